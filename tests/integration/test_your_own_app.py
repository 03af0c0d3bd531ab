"""docs/your_own_app.md, followed to the letter from an empty folder, with the wheel installed."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.full import full
from tests.patience import PATIENCE_S
from vinci_code.warehouse.pytest_plugin import TestWarehouse

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "your_own_app.md"
PRINTED = {
    "vinci db status --config alembic.ini": "Pending:   none",
    "python orm.py": "Ada",
    "python core.py": "3",
    "python try_web.py": "['Ada', 'C']",
    "python flask_app.py": "['Ada', 'C']",
    "python flask_sqlalchemy_app.py": "{'paid': False}",
    "python heroes.py": "['Deadpond']",
    "python -m pytest -q tests": "3 passed",
}
"""What the commands of the page print, among other things."""

pytestmark = pytest.mark.slow


def steps(page: str) -> Iterator[tuple[str | None, str]]:
    """The blocks of a page in their order: a file with its name, or commands without one."""
    for language, text in re.findall(r"^```(\w+)\n(.*?)^```$", page, re.MULTILINE | re.DOTALL):
        if language == "bash":
            yield None, text
            continue
        named = re.match(r"# ([\w/]+\.(?:py|ini))\n", text)
        assert named, f"a block is commands, or a file that says its name:\n{text}"
        yield named[1], text


@pytest.fixture(scope="module")
def scripts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programs of an environment into which the wheel is installed.

    What the wheel needs is found where it is installed already, so that nothing is fetched: a line
    of a ``.pth`` file names the folder, behind that of the environment itself.
    """
    home = tmp_path_factory.mktemp("wheel")
    build = ("-m", "hatchling", "build", "--target", "wheel", "--directory", str(home / "dist"))
    subprocess.run([sys.executable, *build], cwd=ROOT, check=True, timeout=PATIENCE_S)
    (wheel,) = (home / "dist").glob("*.whl")
    venv.create(home / "venv", symlinks=os.name != "nt")
    scripts = home / "venv" / ("Scripts" if os.name == "nt" else "bin")
    pip = ("-m", "pip", "--disable-pip-version-check", "--python", str(scripts / "python"))
    install = ("install", "--quiet", "--no-index", "--no-deps", str(wheel))
    subprocess.run([sys.executable, *pip, *install], check=True, timeout=PATIENCE_S)
    inner = {"base": str(home / "venv"), "platbase": str(home / "venv")}
    site = Path(sysconfig.get_path("purelib", vars=inner))
    (site / "installed_already.pth").write_text(f"{sysconfig.get_path('purelib')}\n")
    # The page calls it by its name; there it is a program of the environment that has it installed.
    alembic = scripts / "alembic"
    alembic.write_text(
        f"#!{scripts / 'python'}\nimport sys\nfrom alembic.config import main\nsys.exit(main())\n"
    )
    alembic.chmod(0o755)
    return scripts


@pytest.fixture(params=[pytest.param("sqlite", marks=full), "warehouse"])
def database(request: pytest.FixtureRequest) -> Mapping[str, str]:
    """What the environment says of the database."""
    if request.param == "sqlite":
        return {}
    warehouse: TestWarehouse = request.getfixturevalue("local_warehouse")
    return warehouse.env


def run(command: str, scripts: Path, folder: Path, database: Mapping[str, str]) -> str:
    ours = {"PYTHONPATH", "PATH", "VIRTUAL_ENV"}
    kept = {name: value for name, value in os.environ.items() if name not in ours}
    path = f"{scripts}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", command],
        cwd=folder,
        env={**kept, "PATH": path, "SSL_CERT_FILE": os.devnull, **database},
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
    return done.stdout


def test_the_page_does_what_it_says(
    scripts: Path, database: Mapping[str, str], tmp_path: Path
) -> None:
    folder = tmp_path / "empty"
    folder.mkdir()
    where = run("python -c 'import vinci_code; print(vinci_code.__file__)'", scripts, folder, {})
    assert Path(where).is_relative_to(scripts.parent)  # the wheel, and not this tree
    unseen = dict(PRINTED)
    for name, text in steps(PAGE.read_text("utf-8")):
        if name is not None:
            file = folder / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, "utf-8")
            continue
        for command in text.splitlines():
            output = run(command, scripts, folder, database)
            assert unseen.pop(command, "") in output, output
    assert unseen == {}
    assert (folder / "vinci.db").exists() is not bool(database)


def test_a_block_without_a_name_is_noticed() -> None:
    with pytest.raises(AssertionError, match="a file that says its name"):
        list(steps("```python\nimport this\n```\n"))
