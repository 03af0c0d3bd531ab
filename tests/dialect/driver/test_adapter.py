"""The adapter is the only way to the driver, and knows what it uses of it."""

from __future__ import annotations

import ast
import importlib
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import vinci_code
from vinci_code.database.dialect.borrowed import missing
from vinci_code.database.dialect.driver import adapter

PACKAGE = Path(vinci_code.__file__).parent
ADAPTER = PACKAGE / "database" / "dialect" / "driver" / "adapter.py"
PRIVATE = frozenset(
    name
    for names in adapter.USED.values()
    for name in names
    # Locks of our own have that name, too.
    if name.startswith("_") and name != "_lock"
)


def test_all_that_is_used_is_there() -> None:
    assert missing(adapter.USED) == []


@pytest.mark.parametrize("used", adapter.USED, ids=lambda used: used[1])
def test_what_another_release_has_not_is_missed(used: tuple[str, str]) -> None:
    assert missing({used: (*adapter.USED[used], "_of_another_release")}) == [
        f"{used[1]}._of_another_release"
    ]


def test_a_method_that_is_gone_is_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Though other methods of the driver still call it."""
    backend = importlib.import_module("databricks.sql.backend.thrift_backend")
    monkeypatch.delattr(backend.ThriftDatabricksClient, "make_request")
    assert missing(adapter.USED) == ["ThriftDatabricksClient.make_request"]


def test_a_driver_that_lacks_something_is_one_line_and_nothing_is_sent() -> None:
    program = (
        "from databricks.sql.backend.thrift_backend import ThriftDatabricksClient\n"
        "del ThriftDatabricksClient.make_request\n"
        "from vinci_code.database.dialect.driver import dbapi\n"
        "try:\n"
        "    dbapi.connect(server_hostname='localhost', http_path='/x', access_token='t')\n"
        "except dbapi.InterfaceError as error:\n"
        "    print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True
    )
    (line,) = done.stdout.splitlines()
    found = importlib.metadata.version(adapter.DISTRIBUTION)
    assert line.startswith(f"{adapter.DISTRIBUTION} {found} is installed, and ")
    assert f"{adapter.DISTRIBUTION}{adapter.SUPPORTED} is supported" in line
    assert "ThriftDatabricksClient.make_request" in line
    assert "nothing was sent. To fix it: python -m pip install" in line
    assert done.stderr == ""


def test_the_supported_releases_are_those_that_are_declared() -> None:
    declared = (PACKAGE.parent / "pyproject.toml").read_text()
    found = re.findall(rf'"{adapter.DISTRIBUTION}(?:\[[a-z]+\])?(.*)"', declared)
    assert len(found) == 2  # the extras "databricks" and "warehouse"
    assert set(found) == {adapter.SUPPORTED}


def test_nobody_else_imports_the_driver() -> None:
    importing = {path for path, tree in modules() if imports_driver(tree)}
    assert importing == {ADAPTER}


def test_nobody_else_names_what_is_private_in_it() -> None:
    naming = {
        (path, node.attr)
        for path, tree in modules()
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and node.attr in PRIVATE and not is_own(node)
    }
    assert {path for path, _ in naming} == {ADAPTER}


def modules() -> Iterator[tuple[Path, ast.Module]]:
    """All modules but those of the local warehouse, which speaks the driver's protocol itself."""
    for path in PACKAGE.rglob("*.py"):
        if "warehouse" not in path.relative_to(PACKAGE).parts:
            yield path, ast.parse(path.read_text())


def imports_driver(tree: ast.Module) -> bool:
    for node in ast.walk(tree):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom) and node.level == 0:
            names = [str(node.module), *(f"{node.module}.{alias.name}" for alias in node.names)]
        if any(name == "databricks.sql" or name.startswith("databricks.sql.") for name in names):
            return True
    return False


def is_own(node: ast.Attribute) -> bool:
    """Whether it is an attribute of the object itself, or of its class."""
    return isinstance(node.value, ast.Name) and node.value.id in ("self", "cls")
