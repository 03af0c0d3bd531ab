"""What a room says that it offers is what other rooms import from it, module by module."""

from __future__ import annotations

import ast
import importlib
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

import vinci_code

PACKAGE = Path(vinci_code.__file__).parent
# The local warehouse stands apart; revisions are looked for by Alembic, as files.
PATHS = [
    path
    for path in sorted(PACKAGE.rglob("*.py"))
    if not {"warehouse", "versions"} & set(path.relative_to(PACKAGE).parts[:-1])
]
TESTS = PACKAGE.parent / "tests"
# Of several rooms, of what the application is as a whole, or of the tree itself.
_OF_NO_ROOM = frozenset(
    "clients compliance differential history house integration parity reads scripts spark typed "
    "unit".split()
)
_OFFERED = re.compile(r"^- ``(\w+)``: \S", re.MULTILINE)


def name_of(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


SOURCES = {name_of(path): path.read_text() for path in PATHS}
ROOMS = {name_of(path) for path in PATHS if path.name == "__init__.py"}


def room_of(module: str, rooms: set[str]) -> str:
    return module if module in rooms else module.rpartition(".")[0]


def imported(source: str, modules: set[str]) -> Iterator[tuple[str, str | None]]:
    """The modules that a source imports, each with the name; ``None`` for the module itself."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom):
            assert node.module is not None
            for alias in node.names:
                within = f"{node.module}.{alias.name}"
                yield (within, None) if within in modules else (node.module, alias.name)
        elif isinstance(node, ast.Import):
            yield from ((alias.name, None) for alias in node.names)
        elif isinstance(node, ast.Constant) and node.value in modules:
            yield node.value, None  # for importlib


def used(sources: dict[str, str], rooms: set[str]) -> dict[str, set[str]]:
    """What is imported from each room by others: its modules, and names of its ``__init__``."""
    found: dict[str, set[str]] = defaultdict(set)
    for module, source in sources.items():
        for target, name in imported(source, set(sources)):
            room = room_of(target, rooms)
            if target in sources and room != room_of(module, rooms):
                offered = name if target == room else target.rpartition(".")[2]
                if offered is not None:
                    found[room].add(offered)
    return found


def listed(room: str) -> set[str]:
    """The names in a room's ``__all__``."""
    return {
        ast.literal_eval(item)
        for node in ast.parse(SOURCES[room]).body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__"
        for item in ast.walk(node.value)
        if isinstance(item, ast.Constant)
    }


USED = used(SOURCES, ROOMS)


@pytest.mark.parametrize("room", sorted(ROOMS))
def test_a_room_offers_what_others_import(room: str) -> None:
    modules = _OFFERED.findall(ast.get_docstring(ast.parse(SOURCES[room])) or "")
    assert modules == sorted(USED[room] - listed(room)), "the modules that others import, in order"
    assert [name for name in modules if f"{room}.{name}" not in SOURCES] == [], "not in __all__"


@pytest.mark.parametrize("room", sorted(ROOMS))
def test_a_room_has_what_it_lists(room: str) -> None:
    found = importlib.import_module(room)
    assert [name for name in sorted(listed(room)) if not hasattr(found, name)] == []


def test_nobody_imports_what_is_private_elsewhere() -> None:
    assert [
        f"{module} imports {target}.{name or ''}"
        for module, source in SOURCES.items()
        for target, name in imported(source, set(SOURCES))
        if target.startswith("vinci_code.") and (name or "").startswith("_")
    ] == []


def test_what_is_imported_from_elsewhere_is_seen() -> None:
    sources = {
        "a": "",
        "a.b": "NAME = 1",
        "a.b.c": "from a.b import d",
        "a.b.d": "",
        "a.e": "from a.b import NAME, c\nload('a.b.d')",
    }
    assert used(sources, {"a", "a.b"}) == {"a.b": {"NAME", "c", "d"}}


def test_the_tests_of_a_room_lie_in_a_folder_of_its_name() -> None:
    folders = {path.parent.relative_to(TESTS) for path in TESTS.rglob("test_*.py")}
    of_rooms = {folder for folder in folders if folder.parts[0] not in _OF_NO_ROOM}
    inner = {"dialect": Path("database", "dialect"), "fallback": Path("database", "fallback")}
    rooms = {folder: inner.get(folder.parts[0], Path(folder.parts[0])) for folder in of_rooms}
    assert [
        str(folder)
        for folder, outer in sorted(rooms.items())
        if not (PACKAGE / outer.joinpath(*folder.parts[1:]) / "__init__.py").exists()
    ] == []
    of_dialect = (PACKAGE / "database" / "dialect").glob("*/__init__.py")
    assert {Path("dialect", path.parent.name) for path in of_dialect} <= of_rooms
