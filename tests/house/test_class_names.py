"""One class name, one meaning: whoever searches for a name finds one class."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

import vinci_code

PACKAGE = Path(vinci_code.__file__).parent
# The local warehouse and the rest meet on the wire alone, so each has names of its own.
APART = PACKAGE / "warehouse"
# A name that stands in several places, and why.
SHARED = {"Comparator": "SQLAlchemy's name for what the columns of a type can do, within the type"}


def places_of(sources: Mapping[str, str]) -> dict[str, list[str]]:
    """The classes that are defined in sources by their names, each with its places."""
    found: dict[str, list[str]] = defaultdict(list)
    for place, source in sources.items():
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.ClassDef):
                found[node.name].append(f"{place}:{node.lineno}")
    return found


def test_no_two_classes_have_one_name() -> None:
    sources = {
        str(path.relative_to(PACKAGE)): path.read_text()
        for path in sorted(PACKAGE.rglob("*.py"))
        if APART not in path.parents
    }
    several = {name: places for name, places in places_of(sources).items() if len(places) > 1}
    assert {name: places for name, places in several.items() if name not in SHARED} == {}
    assert SHARED.keys() <= several.keys(), "a name that is shared no more"


def test_a_name_that_comes_twice_is_seen() -> None:
    sources = {"one.py": "class Rows: ...", "two.py": "def f():\n    class Rows: ..."}
    assert places_of(sources) == {"Rows": ["one.py:1", "two.py:2"]}
