"""`scripts/check_dist.py` sees what has no place in a distribution, and what is not there."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts" / "check_dist.py"


def load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("check_dist", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


CHECK = load()
INFO = "vinci_code-1.0.dist-info"
WHEEL = {
    name if name.startswith("vinci_code/") else f"{INFO}/{name}": b"" for name in CHECK.WHEEL_NEEDS
}
SDIST = {f"vinci_code-1.0/{name}": b"" for name in (*CHECK.SDIST_NEEDS, "docs/fallback.md")}
# Put together here, so that this file holds no such text.
TOKEN = ("dapi" + "0f" * 16).encode()
KEY = f"-----BEGIN EC {'PRIVATE'} KEY-----\n{'MHcC' * 16}\n".encode()


def wheel(**files: bytes) -> list[str]:
    return list(CHECK.problems_of_wheel(WHEEL | files))


def sdist(**files: bytes) -> list[str]:
    return list(CHECK.problems_of_sdist(SDIST | files, ["docs/fallback.md"]))


def test_what_is_as_it_should_be_passes() -> None:
    assert wheel() == []
    assert sdist() == []
    assert sdist(**{"vinci_code-1.0/examples/shop/tests/test_users.py": b""}) == []


@pytest.mark.parametrize(
    "name",
    [
        "tests/database/test_session.py",
        "vinci_code/__pycache__/a.cpython-310.pyc",
        "vinci.db",
        "vinci.db-wal",
        "vinci_code/warehouse/key.pem",
        ".env",
        "docs/.venv-oldest/pyvenv.cfg",
    ],
)
def test_what_has_no_place_is_seen(name: str) -> None:
    assert f"the wheel holds {name}" in wheel(**{name: b""})
    assert sdist(**{f"vinci_code-1.0/{name}": b""}) == [f"the sdist holds {name}"]


def test_the_example_of_settings_has_its_place() -> None:
    assert sdist(**{"vinci_code-1.0/.env.example": b""}) == []


@pytest.mark.parametrize("secret", [TOKEN, KEY])
def test_a_secret_is_seen(secret: bytes) -> None:
    name = "vinci_code/core/errors.py"
    assert wheel(**{name: b"x = '" + secret}) == [f"the wheel has a secret in {name}"]
    assert sdist(**{f"vinci_code-1.0/{name}": secret}) == [f"the sdist has a secret in {name}"]


@pytest.mark.parametrize("name", [f"{INFO}/licenses/LICENSE", "vinci_code/py.typed"])
def test_what_the_wheel_lacks_is_seen(name: str) -> None:
    files = {key: data for key, data in WHEEL.items() if key != name}
    assert list(CHECK.problems_of_wheel(files)) == [
        f"the wheel lacks {name.removeprefix(f'{INFO}/')}"
    ]


@pytest.mark.parametrize("name", ["LICENSE", "docs/fallback.md"])
def test_what_the_sdist_lacks_is_seen(name: str) -> None:
    files = {key: data for key, data in SDIST.items() if key != f"vinci_code-1.0/{name}"}
    found = list(CHECK.problems_of_sdist(files, ["docs/fallback.md"]))
    assert found == [f"the sdist lacks {name}"]


def test_what_would_lie_beside_the_package_is_seen() -> None:
    assert wheel(**{"scripts/a.py": b""}) == ["the wheel would install scripts beside vinci_code"]


def test_a_link_of_the_readme_that_leads_nowhere_is_seen() -> None:
    readme = "See [keys](docs/keys.md), ![chart](https://example.org/chart.svg), [below](#use)."
    found = "README.md is shown elsewhere, where its link {} leads nowhere"
    links = [found.format("docs/keys.md")]
    for headers, expected in (
        ("Name: vinci-code", []),
        ("Name: vinci-code\nProject-URL: Source, https://example.org", links),
    ):
        metadata = f"{headers}\n\n{readme}".encode()
        assert wheel(**{f"{INFO}/METADATA": metadata}) == expected


def test_a_version_that_differs_is_seen() -> None:
    names = ("vinci_code-1.0-py3-none-any.whl", "vinci_code-1.0.tar.gz")
    assert list(CHECK.problems_of_version("1.0", "## 1.0 (2026-01-01)", *names)) == []
    assert len(list(CHECK.problems_of_version("1.1", "## 1.0 (2026-01-01)", *names))) == 3


def test_an_older_build_beside_the_new_one_is_refused(tmp_path: Path) -> None:
    for name in ("vinci_code-1.0.tar.gz", "vinci_code-1.1.tar.gz"):
        (tmp_path / name).touch()
    with pytest.raises(SystemExit, match=r"vinci_code-1\.0\.tar\.gz, vinci_code-1\.1\.tar\.gz"):
        CHECK.only(tmp_path, "*.tar.gz")
