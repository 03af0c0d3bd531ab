"""`scripts/make_environment.py` finds a Python that runs, or says which it takes instead."""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path
from types import ModuleType

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts" / "make_environment.py"

pytestmark = pytest.mark.skipif(os.name == "nt", reason="these Pythons are scripts of a shell")


def load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_environment", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


MAKE = load()


@pytest.fixture(autouse=True)
def only_what_is_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path / "pyenv"))
    monkeypatch.setattr(MAKE.sys, "version_info", (3, 9, 1))


def stand_in(path: Path, answer: str) -> str:
    """A command that says that it is this version of Python, or fails."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{answer}\n")
    path.chmod(0o755)
    return str(path)


def test_it_is_found_on_the_path(tmp_path: Path) -> None:
    python = stand_in(tmp_path / "python3.10", "echo 3 10")
    assert MAKE.choose((3, 10), None) == (python, "Python 3.10")


def test_a_command_that_fails_gives_way_to_the_newest_of_pyenv(tmp_path: Path) -> None:
    stand_in(tmp_path / "python3.10", "echo no such version >&2; exit 127")
    stand_in(tmp_path / "pyenv/versions/3.10.9/bin/python", "echo 3 10")
    newest = stand_in(tmp_path / "pyenv/versions/3.10.13/bin/python", "echo 3 10")
    assert MAKE.find((3, 10)) == newest


def test_one_of_another_version_is_not_taken(tmp_path: Path) -> None:
    stand_in(tmp_path / "python3", "echo 3 11")
    assert MAKE.find((3, 10)) is None


def test_the_newest_is_found(tmp_path: Path) -> None:
    stand_in(tmp_path / "python3.11", "echo 3 11")
    python = stand_in(tmp_path / "python3.13", "echo 3 13")
    assert MAKE.newest() == python


def test_one_that_uv_cannot_bring_is_replaced_and_that_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    uv = stand_in(tmp_path / "uv", "exit 2")
    monkeypatch.setattr(MAKE, "uv", lambda: uv)
    python = stand_in(tmp_path / "python3.13", "echo 3 13")
    assert MAKE.choose((3, 14), MAKE.newest()) == (
        python,
        "Python 3.13, since no Python 3.14 is here and uv could not bring one",
    )


def test_what_uv_brings_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    python = stand_in(tmp_path / "managed/python", "echo 3 14")
    uv = stand_in(tmp_path / "uv", f'test "$2" = install || echo {python}')
    monkeypatch.setattr(MAKE, "uv", lambda: uv)
    assert MAKE.choose((3, 14), sys.executable) == (python, "Python 3.14")
