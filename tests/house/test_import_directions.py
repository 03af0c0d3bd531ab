"""Who may import whom, read from the import lines: a wrong one fails where it is written."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import vinci_code

PACKAGE = Path(vinci_code.__file__).parent

# A part, and what it may import of ours beside itself. A module belongs to the longest part that
# its name starts with. `vinci_code` alone, which holds only the version, may be imported by all.
JOURNAL = [
    f"vinci_code.database.fallback.{name}"
    for name in (
        "journal",
        "journal_connection",
        "journal_file",
        "journal_tables",
        "locks",
        "marks",
        "records",
        "remains",
        "salvage",
    )
]
# The rooms of the dialect, each with those below it that it may use. What stands for itself on the
# ground floor, may be used by all of them; what lies at the top, may use all of them.
DIALECT = "vinci_code.database.dialect"
GROUND = {
    f"{DIALECT}.{name}" for name in ("borrowed", "dberrors", "forking", "interruptions", "options")
}
ROOMS = {
    "text": (),
    "driver": ("text",),
    "types": ("text",),
    "sql": ("text", "types"),
    "writes": ("text", "types", "sql"),
    "units": ("text", "driver", "types", "sql", "writes"),
    "reflection": ("text", "types", "sql"),
    "migrations": ("text", "types", "sql", "reflection"),
}
# Whether others of the machine can read or change a file: asked wherever one is opened.
FILES = "vinci_code.core.files"
REPLACING = "vinci_code.core.replacing"
COMMON = {"vinci_code.core.errors", "vinci_code.core.redaction"}
ALLOWED: dict[str, set[str]] = {
    **{part: {*COMMON, *GROUND} for part in GROUND},
    **{
        f"{DIALECT}.{room}": {*COMMON, *GROUND, *(f"{DIALECT}.{below}" for below in rooms)}
        for room, rooms in ROOMS.items()
    },
    f"{DIALECT}.driver": {*COMMON, FILES, *GROUND, f"{DIALECT}.text"},
    "vinci_code.core.errors": set(),
    FILES: {"vinci_code.core.errors"},
    "vinci_code.core.redaction": set(),
    "vinci_code.core.config": {"vinci_code.core"},
    "vinci_code.core": set(),
    DIALECT: COMMON,
    "vinci_code.database.models": {"vinci_code.core.errors", "vinci_code.database.dialect"},
    "vinci_code.database.sqlite": {"vinci_code.core.errors", "vinci_code.database.models"},
    # Files of rows, which loads and imports stand on.
    "vinci_code.database.files": {"vinci_code.core.errors", "vinci_code.database.dialect"},
    "vinci_code.database.events": {
        "vinci_code.core.errors",
        REPLACING,
        "vinci_code.database.dialect",
        "vinci_code.database.files",
        "vinci_code.database.models",
        "vinci_code.database.sqlite",
        "vinci_code.database.upserts",
    },
    "vinci_code.database.arrow": {
        "vinci_code.core.errors",
        "vinci_code.database.dialect",
        "vinci_code.database.models",
    },
    "vinci_code.database.moving": {
        "vinci_code.core",
        "vinci_code.database.arrow",
        "vinci_code.database.databricks",
        "vinci_code.database.dialect",
        "vinci_code.database.loading",
        "vinci_code.database.models",
        "vinci_code.database.sqlite",
        "vinci_code.database.units_of_work",
        "vinci_code.database.upserts",
    },
    "vinci_code.database.loading": {
        "vinci_code.core.errors",
        "vinci_code.database.dialect",
        "vinci_code.database.files",
        "vinci_code.database.models",
        "vinci_code.database.upserts",
    },
    "vinci_code.database.table_copies": {"vinci_code.core.errors"},
    "vinci_code.database.migrations": {
        *COMMON,
        "vinci_code.database.models",
        "vinci_code.database.dialect",
        "vinci_code.database.sqlite",
        "vinci_code.database.table_copies",
    },
    "vinci_code.database.engines": {
        "vinci_code.core",
        "vinci_code.database.databricks",
        "vinci_code.database.models",
        "vinci_code.database.sqlite",
    },
    "vinci_code.database.users": {
        "vinci_code.core",
        "vinci_code.database.databricks",
        "vinci_code.database.dialect",
        "vinci_code.database.models",
    },
    "vinci_code.database.sessionmakers": {
        "vinci_code.core",
        "vinci_code.database.databricks",
        "vinci_code.database.dialect",
        "vinci_code.database.engines",
        "vinci_code.database.fallback",
        "vinci_code.database.migrations",
        "vinci_code.database.sqlite",
    },
    "vinci_code.database.session": {
        "vinci_code.core",
        "vinci_code.database.engines",
        "vinci_code.database.fallback",
        "vinci_code.database.migrations",
        "vinci_code.database.models",
        "vinci_code.database.sessionmakers",
    },
    "vinci_code.database.async_session": {
        "vinci_code.core",
        "vinci_code.database.databricks",
        "vinci_code.database.sqlite",
        "vinci_code.database.migrations",
        "vinci_code.database.models",
    },
    # databricks_connector.py and the modules that it is made of
    "vinci_code.database.databricks": {
        "vinci_code.core",
        "vinci_code.database.deadlines",
        "vinci_code.database.dialect",
    },
    "vinci_code.database.deadlines": {"vinci_code.core.errors"},
    # The journal's modules, and what salvages it, know SQLite and bytes alone.
    # They take each other as modules, from the package that is empty.
    **{
        module: {"vinci_code.core.errors", FILES, "vinci_code.database.fallback", *JOURNAL}
        for module in JOURNAL
    },
    "vinci_code.database.fallback.states": {"vinci_code.database.fallback.journal"},
    "vinci_code.database.fallback": {
        "vinci_code.core.errors",
        "vinci_code.database.dialect",
        "vinci_code.database.sqlite",
    },
    "vinci_code.database.telemetry": {
        "vinci_code.core.errors",
        "vinci_code.database.connection_pools",
        "vinci_code.database.dialect",
        "vinci_code.database.fallback",
        "vinci_code.database.units_of_work",
    },
    "vinci_code.database": set(),
    "vinci_code.diagnostics": {"vinci_code.core", "vinci_code.database"},
    "vinci_code.warehouse.sql": {"vinci_code.core.errors"},
    "vinci_code.warehouse.engine": {"vinci_code.core.errors", FILES, "vinci_code.warehouse.sql"},
    "vinci_code.warehouse.faults": {"vinci_code.core.errors"},
    "vinci_code.warehouse.wire": {
        *COMMON,
        "vinci_code.warehouse.faults",
        "vinci_code.warehouse.engine",
        "vinci_code.warehouse.sql",
    },
    "vinci_code.warehouse": {*COMMON, FILES},
    "vinci_code.cli": {"vinci_code"},
    "vinci_code.__main__": {"vinci_code.cli"},
    "vinci_code": set(),
}


def name_of(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = sorted(PACKAGE.rglob("*.py"))
NAMES = {name_of(path) for path in MODULES}


def part_of(module: str) -> str:
    return max((part for part in ALLOWED if is_within(module, part)), key=len)


def is_within(module: str, part: str) -> bool:
    # "databricks" stands for every module whose name starts so.
    return module == part or module.startswith((part + ".", part + "_"))


def imports_of(source: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative imports are not used here"
            assert node.module is not None
            for alias in node.names:
                within = f"{node.module}.{alias.name}"
                yield within if within in NAMES else node.module


def violations(module: str, source: str) -> list[str]:
    part = part_of(module)
    allowed = ALLOWED[part] | {part}
    return [
        f"{module} imports {name}; {part} may import {', '.join(sorted(allowed))}"
        for name in imports_of(source)
        if name.startswith("vinci_code.") and not any(is_within(name, a) for a in allowed)
    ]


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_imports_keep_their_direction(path: Path) -> None:
    assert violations(name_of(path), path.read_text()) == []


@pytest.mark.parametrize(
    ("module", "line"),
    [
        ("vinci_code.core.errors", "from vinci_code.core.redaction import redact"),
        ("vinci_code.core.redaction.text", "import vinci_code.core.config"),
        ("vinci_code.database.models.event", "from vinci_code.database.session import get_engine"),
        ("vinci_code.warehouse.wire.server", "from vinci_code.database.models import Event"),
        (f"{DIALECT}.driver.dbapi", f"from {DIALECT}.sql.keys import next_key"),
        (f"{DIALECT}.types.nested", f"from {DIALECT} import base"),
        (f"{DIALECT}.writes.guards", f"if TYPE_CHECKING:\n    from {DIALECT}.units import unit"),
        ("vinci_code.warehouse.engine.work", "from vinci_code.warehouse.wire import server"),
        ("vinci_code.database.session", "def f():\n    from vinci_code.cli import main"),
        ("vinci_code.diagnostics.checks", "import vinci_code.cli"),
    ],
)
def test_a_wrong_direction_is_seen(module: str, line: str) -> None:
    assert violations(module, line)


def test_no_modules_are_in_a_circle() -> None:
    imports = {
        name_of(path): set(imports_of(path.read_text())) & NAMES - {name_of(path)}
        for path in MODULES
    }
    assert circles(imports) == []


def test_a_circle_is_seen() -> None:
    imports = {"a": {"b"}, "b": {"c"}, "c": {"b", "d"}, "d": set[str]()}
    assert circles(imports) == [["b", "c"]]


def circles(imports: dict[str, set[str]]) -> list[list[str]]:
    """The modules that import each other, over however many others."""
    left = dict(imports)
    while True:
        # What imports nothing that is left, and what nobody that is left imports, is in no circle.
        wanted = set().union(*left.values()) if left else set()
        out = {name for name, used in left.items() if not used & left.keys() or name not in wanted}
        if not out:
            return [sorted(left)] if left else []
        left = {name: used for name, used in left.items() if name not in out}


def test_only_the_settings_read_the_environment() -> None:
    readers = {
        name_of(path)
        for path in MODULES
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute)
        and node.attr in {"environ", "getenv", "environb"}
        and isinstance(node.value, ast.Name)
        and node.value.id == "os"
    }
    assert readers - MAY_READ_THE_ENVIRONMENT == set()


MAY_READ_THE_ENVIRONMENT = {
    "vinci_code.core.config.sources",
    "vinci_code.cli.output",  # NO_COLOR and COLUMNS, which belong to the terminal
    "vinci_code.warehouse.running",  # a command has that of this process, and more
    "vinci_code.cli.failures",  # VINCI_DEBUG: needed to show a failure of the settings themselves
}


def test_the_files_of_the_table_are_there() -> None:
    """In the contributors' page: which question which file answers."""
    text = (PACKAGE.parent / "CONTRIBUTING.md").read_text()
    listed = re.findall(r"^\| .*\? \| `(.*)` \|$", text, re.MULTILINE)
    assert len(listed) == 36
    assert [name for name in listed if not (PACKAGE / name).is_file()] == []
