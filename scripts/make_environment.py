#!/usr/bin/env python
"""Make an environment with the oldest, or the newest, versions that pyproject.toml allows.

  python scripts/make_environment.py oldest .venv-oldest    Python 3.10, requirements/oldest.lock
  python scripts/make_environment.py newest .venv-newest    the newest Python and versions there are

A Python of the wanted version is looked for on PATH, then among the versions of pyenv, whose
commands on PATH run only where one of them is chosen. Where there is none, uv is asked to bring it.
Where uv cannot, the Python that is at hand is taken, and a line says so.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
OLDEST, NEWEST = (3, 10), (3, 14)
# For the oldest versions of some packages there are no wheels for later Pythons.
LAST_OF_THE_LOCK = (3, 12)
_SCRIPTS = "Scripts" if os.name == "nt" else "bin"
_BINARY = "python.exe" if os.name == "nt" else "bin/python"

Version = tuple[int, int]


def text_of(version: Version) -> str:
    """The version as people write it."""
    return f"{version[0]}.{version[1]}"


def find(version: Version) -> str | None:
    """The first Python of this version that runs."""
    return next((path for path in _candidates(version) if version_of(path) == version), None)


def newest() -> str | None:
    """The newest Python that runs, of those that the package is for."""
    versions = [(NEWEST[0], minor) for minor in range(NEWEST[1], OLDEST[1] - 1, -1)]
    return next(filter(None, map(find, versions)), None)


def _candidates(version: Version) -> Iterator[str]:
    text = text_of(version)
    for name in (f"python{text}", "python3", "python"):
        path = shutil.which(name)
        if path is not None:
            yield path
    if sys.version_info[:2] == version:
        yield sys.executable
    root = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"
    # 3.10.13 is newer than 3.10.9.
    for folder in sorted(root.glob(f"{text}.*"), key=_patch_of, reverse=True):
        yield str(folder / _BINARY)


def _patch_of(folder: Path) -> int:
    patch = folder.name.rpartition(".")[2]
    return int(patch) if patch.isdecimal() else -1


def version_of(path: str) -> Version | None:
    """The version of a Python, or ``None`` where it does not run."""
    found = _output(path, "-c", "import sys; print(*sys.version_info[:2])").split()
    return (int(found[0]), int(found[1])) if len(found) == 2 else None


def _output(*command: str | Path) -> str:
    # A command of pyenv's that runs nothing says so on its standard error, for nobody to read.
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=300).stdout.strip()
    except (OSError, subprocess.TimeoutExpired):
        return ""


def uv() -> Path:
    """The uv of `make lock`, installed where it is not there yet."""
    folder = ROOT / ".venv-lock"
    path = folder / _SCRIPTS / "uv"
    if not path.with_suffix(".exe" if os.name == "nt" else "").is_file():
        _run(sys.executable, "-m", "venv", folder)
        _run(folder / _SCRIPTS / "python", "-m", "pip", "install", "--quiet", "uv")
    return path


def bring(version: Version) -> str | None:
    """Have uv bring a Python; ``None`` where it cannot."""
    text = text_of(version)
    # Without a network each try would take a minute.
    os.environ.setdefault("UV_HTTP_RETRIES", "0")
    _output(uv(), "python", "install", "--no-bin", text)
    found = _output(uv(), "python", "find", "--managed-python", "--no-python-downloads", text)
    return found if version_of(found) == version else None


def choose(version: Version, at_hand: str | None) -> tuple[str, str]:
    """A Python of this version, or that which is at hand; and what is to be said of it."""
    found = find(version) or bring(version)
    if found is not None:
        return found, f"Python {text_of(version)}"
    taken = at_hand or sys.executable
    there = text_of(version_of(taken) or sys.version_info[:2])
    return taken, (
        f"Python {there}, since no Python {text_of(version)} is here and uv could not bring one"
    )


def make_oldest(folder: Path) -> str:
    """Make the environment, and say what it is."""
    python, said = choose(OLDEST, None)
    pip = _new_environment(python, folder)
    version = version_of(python)
    if version is not None and version <= LAST_OF_THE_LOCK:
        lock = ROOT / "requirements" / "oldest.lock"
        _run(*pip, "--require-hashes", "--no-deps", "--only-binary", ":all:", "-r", lock)
        _run(*pip, "--no-deps", "--no-build-isolation", "--no-index", "--editable", ROOT)
        return f"{said}, with the oldest versions allowed (requirements/oldest.lock)"
    _resolve(folder, pip, "lowest-direct")
    return f"{said}, with the oldest versions allowed that have wheels for it"


def make_newest(folder: Path) -> str:
    """Make the environment, and say what it is."""
    python, said = choose(NEWEST, newest())
    pip = _new_environment(python, folder)
    _resolve(folder, pip, "highest")
    return f"{said}, with the newest versions allowed"


def _resolve(folder: Path, pip: list[str | Path], resolution: str) -> None:
    _run(*pip, "--only-binary", ":all:", "hatchling", "editables")
    # uv, since pip looks through old releases for many minutes.
    how = ("--resolution", resolution, "--only-binary", ":all:", "--no-binary", "vinci-code")
    here = ("--python", folder, "--no-build-isolation", "--editable", f"{ROOT}[dev]")
    _run(uv(), "pip", "install", "--quiet", *how, *here)


def _new_environment(python: str, folder: Path) -> list[str | Path]:
    _run(python, "-m", "venv", "--clear", folder)
    own = folder / _SCRIPTS / "python"
    return [own, "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]


def _run(*command: str | Path) -> None:
    subprocess.run(command, check=True)


def main(arguments: list[str]) -> int:
    """Make the environment that is asked for."""
    kind, folder = arguments
    print({"oldest": make_oldest, "newest": make_newest}[kind](Path(folder).absolute()))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
