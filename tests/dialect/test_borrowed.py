"""What is private to SQLAlchemy and Alembic, and used here, stands in one list that is true."""

from __future__ import annotations

import ast
import importlib
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy

import vinci_code
from vinci_code.database.dialect.borrowed import (
    ALEMBIC,
    SINCE_2_1,
    SQLALCHEMY,
    Used,
    missing,
    of_sqlalchemy,
)
from vinci_code.database.dialect.driver import adapter

PACKAGE = Path(vinci_code.__file__).parent
OTHERS = ("sqlalchemy", "alembic")
LISTED = {
    name
    for used in (SQLALCHEMY, SINCE_2_1, ALEMBIC, adapter.USED)
    for each in used.values()
    for name in each
}
# What SQLAlchemy sets on each class of its constructs and types, ours among them.
BY_ITSELF = frozenset(
    {
        "_bind_translate_chars",
        "_bind_translate_re",
        "_has_events",
        "_compiler_dispatch",
        "_compiler_dispatcher",
        "_original_compiler_dispatch",
    }
)
# Private to the databricks-sdk, which databricks/profile.py alone uses, and looks for; and what an
# object of a mapped class has, of which no class of SQLAlchemy's knows.
ELSEWHERE = frozenset({"_load_from_env", "_resolve_host_metadata", "_sa_instance_state"})


@pytest.mark.parametrize("used", [of_sqlalchemy(sqlalchemy.__version__), [ALEMBIC]], ids=OTHERS)
def test_all_that_is_listed_is_there(used: list[Used]) -> None:
    assert missing(*used) == []


def test_an_earlier_release_is_not_asked_for_what_it_needs_not() -> None:
    assert of_sqlalchemy("2.0.40") == [SQLALCHEMY]
    for later in ("2.1.0b1", "2.1.9", "2.2.0", "3.0"):
        assert of_sqlalchemy(later) == [SQLALCHEMY, SINCE_2_1]


@pytest.mark.parametrize("place", [*SQLALCHEMY, *ALEMBIC], ids=lambda place: ".".join(place))
def test_what_another_release_has_not_is_missed(place: tuple[str, str]) -> None:
    """Where it is gone, where nobody sets it on an object, and where its class is gone."""
    module, name = place
    assert missing({place: ("_of_another_release",)}) == [f"{name or module}._of_another_release"]
    if name:
        assert missing({(module, f"{name}Gone"): ("_clone",)}) == [f"{name}Gone._clone"]


def test_what_is_used_is_listed() -> None:
    own = set(names_of_our_own())
    used = {
        node.attr
        for tree in trees()
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and is_private(node.attr) and node.attr not in own
    }
    assert used - LISTED - ELSEWHERE == set()


def test_what_is_overridden_is_listed() -> None:
    overridden = {
        name
        for made in classes()
        for name in vars(made)
        if is_private(name) and any(name in vars(base) for base in bases_of_others(made))
    }
    assert {"_compose_select_body", "_init_compiled"} <= overridden
    assert overridden - LISTED - BY_ITSELF == set()


def test_what_is_listed_is_used() -> None:
    text = "".join(path.read_text() for path in paths() if path.name != "borrowed.py")
    assert [name for name in sorted(LISTED) if name not in text] == []


def paths() -> Iterator[Path]:
    for path in PACKAGE.rglob("*.py"):
        if "warehouse" not in path.relative_to(PACKAGE).parts:
            yield path


def trees() -> Iterator[ast.Module]:
    for path in paths():
        yield ast.parse(path.read_text())


def names_of_our_own() -> Iterator[str]:
    for tree in trees():
        for node in ast.walk(tree):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
                yield node.name
            elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                yield node.id
            elif isinstance(node, ast.Attribute) and is_set_on_itself(node):
                yield node.attr


def is_set_on_itself(node: ast.Attribute) -> bool:
    if not isinstance(node.ctx, ast.Store) or not isinstance(node.value, ast.Name):
        return False
    return node.value.id in ("self", "cls")


def classes() -> Iterator[type]:
    for path in paths():
        parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
        if path.name in ("env.py", "__main__.py") or "versions" in parts:
            continue  # these do something when they are imported
        module = importlib.import_module(".".join(parts).removesuffix(".__init__"))
        for found in vars(module).values():
            if isinstance(found, type) and found.__module__ == module.__name__:
                yield found


def bases_of_others(made: type) -> Iterator[type]:
    for base in made.__mro__[1:]:
        if base.__module__.partition(".")[0] in OTHERS:
            yield base


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__")
