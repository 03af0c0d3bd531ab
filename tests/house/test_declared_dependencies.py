"""What the package imports is declared where it is installed: read from the import lines."""

from __future__ import annotations

import ast
import importlib
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement

import vinci_code

# Python has had it since 3.11.
tomllib: Any = importlib.import_module("tomllib" if sys.version_info >= (3, 11) else "tomli")

PACKAGE = Path(vinci_code.__file__).parent
PROJECT = tomllib.loads((PACKAGE.parent / "pyproject.toml").read_text("utf-8"))["project"]

# What is imported, where its distribution has another name. The longest name that fits counts.
DISTRIBUTIONS = {
    "databricks.sdk": "databricks-sdk",
    "databricks.sql": "databricks-sql-connector",
    "dotenv": "python-dotenv",
    "opentelemetry": "opentelemetry-api",
    "re2": "google-re2",
}
# The parts that need more than the base, and the extra that brings it; the longest name counts.
EXTRAS = {
    "vinci_code.database.arrow": "databricks",
    "vinci_code.database.databricks": "databricks",
    "vinci_code.database.dialect.driver": "databricks",
    "vinci_code.database.events.parquet": "databricks",
    "vinci_code.database.files": "databricks",
    "vinci_code.database.loading": "databricks",
    "vinci_code.database.moving.arrows": "databricks",
    "vinci_code.database.telemetry": "telemetry",
    "vinci_code.diagnostics": "databricks",
    "vinci_code.warehouse": "warehouse",
}
# pytest alone loads this module, so pytest is there.
BROUGHT_BY_THE_CALLER = {("vinci_code.warehouse.pytest_plugin", "pytest")}


def declared(extra: str | None) -> set[str]:
    lines = [*PROJECT["dependencies"]]
    if extra is not None:
        lines += PROJECT["optional-dependencies"][extra]
    wanted = [Requirement(line) for line in lines]
    # An extra of another distribution, which has the name of what it brings: the driver's pyarrow.
    return {normal(name) for one in wanted for name in (one.name, *one.extras)}


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def extra_of(module: str) -> str | None:
    # "databricks" stands for every module whose name starts so: databricks_connector.
    fitting = [part for part in EXTRAS if module == part or module.startswith((f"{part}.", part))]
    return EXTRAS[max(fitting, key=len)] if fitting else None


def foreign_imports(source: str) -> Iterator[str]:
    """The names of modules that are neither ours nor Python's, those for types too."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ""
            # `from databricks import sql`: the package itself is nobody's.
            shared = module in {name.partition(".")[0] for name in DISTRIBUTIONS if "." in name}
            names = [f"{module}.{alias.name}" for alias in node.names] if shared else [module]
        else:
            continue
        for name in names:
            if name.partition(".")[0] not in sys.stdlib_module_names | {"vinci_code"}:
                yield name


def distribution_of(name: str) -> str:
    for known in sorted(DISTRIBUTIONS, key=len, reverse=True):
        if name == known or name.startswith(f"{known}."):
            return DISTRIBUTIONS[known]
    return normal(name.partition(".")[0])


def undeclared(module: str, source: str) -> set[str]:
    found = {distribution_of(name) for name in foreign_imports(source)}
    brought = {name for place, name in BROUGHT_BY_THE_CALLER if place == module}
    return found - declared(extra_of(module)) - brought


def name_of(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = sorted(PACKAGE.rglob("*.py"))


def test_what_a_module_imports_is_declared() -> None:
    found = {name_of(path): undeclared(name_of(path), path.read_text("utf-8")) for path in MODULES}
    assert {module: names for module, names in found.items() if names} == {}


@pytest.mark.parametrize(
    ("module", "line", "missing"),
    [
        ("vinci_code.core.config", "import dotenv.parser", set[str]()),
        ("vinci_code.core.config", "import duckdb", {"duckdb"}),
        ("vinci_code.warehouse.sql", "import duckdb", set[str]()),
        ("vinci_code.warehouse.sql", "from databricks.sdk import Config", {"databricks-sdk"}),
        ("vinci_code.database.databricks_connector", "from databricks import sql", set[str]()),
        ("vinci_code.database.session", "def f():\n    from urllib3 import Timeout", {"urllib3"}),
        ("vinci_code.warehouse.local", "import pytest", {"pytest"}),
        ("vinci_code.cli", "import os, json, vinci_code.core", set[str]()),
    ],
)
def test_what_is_not_declared_is_seen(module: str, line: str, missing: set[str]) -> None:
    assert undeclared(module, line) == missing


EXTRA = PROJECT["optional-dependencies"]
LINES = [*PROJECT["dependencies"], *EXTRA["databricks"], *EXTRA["warehouse"]]


@pytest.mark.parametrize("requirement", [Requirement(line) for line in LINES], ids=str)
def test_every_dependency_has_a_lower_bound_that_the_oldest_lock_tests(
    requirement: Requirement,
) -> None:
    bound = next(s.version for s in requirement.specifier if s.operator == ">=")
    lock = (PACKAGE.parent / "requirements" / "oldest.lock").read_text("utf-8")
    pinned = re.findall(rf"^{normal(requirement.name)}==(\S+)", lock, re.MULTILINE)
    # 4.9 stands for 4.9.0; on the newest Pythons the first release with a wheel may be later.
    assert any(version == bound or version.startswith(f"{bound}.0") for version in pinned)


@pytest.mark.parametrize(
    "name", ["databricks-sdk", "duckdb", "pydantic", "python-dotenv", "sqlalchemy", "sqlglot"]
)
def test_what_is_used_from_within_has_an_upper_bound(name: str) -> None:
    found = [one for one in map(Requirement, LINES) if normal(one.name) == name]
    assert found
    assert all(any(s.operator == "<" for s in one.specifier) for one in found)
