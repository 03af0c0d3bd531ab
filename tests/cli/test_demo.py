"""`vinci demo`: the main job from end to end."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.cli.process import SAMPLE, environment, vinci
from tests.cli.test_events import keys, run

REPOSITORY = Path(__file__).parents[2]


def demo() -> str:
    found = run("demo")
    assert (found.code, found.err) == (0, "")
    return found.out


def test_the_first_run_migrates_imports_rolls_back_and_reports() -> None:
    text = demo()
    assert f"SQLite, {Path('vinci.db').absolute()}" in text
    assert "Migrations applied: 0001" in text
    assert "Imported 1,707 events from earthquakes.jsonl; 0 were already there" in text
    assert re.search(r"1,707 events before\n +\+3 added .* rolled back\n +1,707 events after", text)
    assert re.search(r"^earthquake    █+  1,679$", text, re.MULTILINE)
    assert re.search(r"^usgs\.ci  █+  386$", text, re.MULTILINE)
    assert re.search(r"^2018-02-04  █+  301$", text, re.MULTILINE)
    newest = text.partition("The newest\n")[2].splitlines()
    assert newest[1].startswith("2018-02-07 01:26:13  earthquake  usgs.ci  M 2.0 - 4km W of")


def test_the_second_run_imports_nothing_and_says_so() -> None:
    demo()
    before = keys()
    text = demo()
    assert "Migrations: nothing to apply" in text
    assert "Imported 0 events from earthquakes.jsonl; 1,707 were already there" in text
    assert keys() == before
    assert "demo" not in run("events", "stats", "--json").document()["by_type"]


def test_it_is_plain_text_of_80_columns_and_the_same_in_every_run() -> None:
    demo()
    first, second = demo(), demo()
    assert first == second
    assert "\x1b" not in first
    lines = first.replace(str(Path("vinci.db").absolute()), "").splitlines()
    assert max(map(len, lines)) <= 80


def test_a_rollback_that_leaves_something_behind_would_be_reported(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The same command over a session_scope() that commits what it should roll back."""
    from collections.abc import Iterator
    from contextlib import contextmanager

    from sqlalchemy.orm import Session

    from vinci_code.database import session as session_module

    @contextmanager
    def commits_always() -> Iterator[Session]:
        with session_module.SessionLocal() as session:
            try:
                yield session
            finally:
                session.commit()

    monkeypatch.setattr(session_module, "session_scope", commits_always)
    found = run("demo")
    assert found.code == 1
    assert "The rollback left 3 events behind" in found.err


def test_it_works_on_the_database_that_is_configured() -> None:
    Path("folder").mkdir()
    found = vinci("demo", env={"DATABASE_URL": "sqlite:///folder/other.db"})
    assert (found.code, found.err) == (0, "")
    assert Path("folder/other.db").exists()
    assert not Path("vinci.db").exists()


@pytest.mark.slow
def test_an_installed_wheel_carries_the_sample() -> None:
    """Built from a copy, so that nothing is left in the checkout."""
    copy = Path("copy")
    copy.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(REPOSITORY / name, copy)
    for name in ("vinci_code", "examples"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(REPOSITORY / name, copy / name, ignore=ignored)
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "--target", "wheel"],
        cwd=copy,
        check=True,
        capture_output=True,
    )
    (wheel,) = (copy / "dist").glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall("installed")
    shutil.rmtree(copy)
    # The unpacked wheel comes before the checkout that is installed for development.
    program = (
        "import sys; sys.path.insert(0, 'installed'); import vinci_code.cli as cli\n"
        "assert 'installed' in cli.__file__, cli.__file__\n"
        "from vinci_code.cli.sample import sample_file; print(sample_file(), file=sys.stderr)\n"
        "sys.argv = ['vinci', 'demo']; sys.exit(cli.main())"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        env=environment(),
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "Imported 1,707 events" in done.stdout
    found = Path(done.stderr.strip())
    assert "installed" in found.parts
    assert found.read_bytes() == SAMPLE.read_bytes()
