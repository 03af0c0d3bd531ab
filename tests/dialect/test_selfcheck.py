"""An SQLAlchemy that is not as the dialect takes it to be: no engine is made with it."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

import pytest
from sqlalchemy import BigInteger, Column, Table, create_engine, event, inspect
from sqlalchemy.exc import InvalidRequestError
from sqlalchemy.orm import attributes, registry
from sqlalchemy.orm.base import NO_VALUE
from sqlalchemy.sql.compiler import SQLCompiler

from vinci_code.database.dialect import selfcheck
from vinci_code.database.dialect.units import flushed_keys, flushes, loaded
from vinci_code.database.dialect.writes.dml import WriteCompiler

Patch = pytest.MonkeyPatch

FLUSH = "a flush of the ORM is not recognised any more"
LOADED = "what an object was loaded with is not told any more"


@pytest.fixture(autouse=True)
def unchecked(monkeypatch: Patch) -> None:
    """Have it checked again; afterwards it counts as checked, as it did before."""
    monkeypatch.setattr(selfcheck, "_checked", False)


def _make_engine() -> None:
    create_engine("databricks+vinci://host?http_path=/sql/1.0/warehouses/1").dispose()


def _no_mappers(patch: Patch) -> None:
    # In its package this name is a function.
    patch.setattr(import_module("sqlalchemy.orm.mapper"), "_all_registries", set)


def _no_session_flushes(patch: Patch) -> None:
    patch.setattr(flushes, "is_running", lambda: False)


def _flagging_is_not_noted(patch: Patch) -> None:
    def flag(instance: Any, key: str) -> None:
        inspect(instance).committed_state[key] = NO_VALUE

    patch.setattr(attributes, "flag_modified", flag)


def _loaded_values_are_not_kept(patch: Patch) -> None:
    patch.setattr(loaded, "loaded_of", lambda _: {})


def _values_are_copied(patch: Patch) -> None:
    construct = SQLCompiler.construct_params

    def copied(*given: Any, **named: Any) -> dict[str, Any]:
        values = construct(*given, **named)
        return {
            name: float(str(value)) if isinstance(value, float) else value
            for name, value in values.items()
        }

    patch.setattr(SQLCompiler, "construct_params", copied)


def _no_shape_of(word: str) -> Callable[[Patch], None]:
    def change(patch: Patch) -> None:
        shape: Any = vars(WriteCompiler)["shape"]

        def known(compiled: Any) -> Any:
            matches = getattr(compiled, f"is{word.lower()}")
            return None if matches else shape.fget(compiled)

        patch.setattr(WriteCompiler, "shape", property(known))

    return change


CHANGES: dict[str, tuple[Callable[[Patch], None], str]] = {
    "no mappers": (_no_mappers, FLUSH),
    "no session flushes": (_no_session_flushes, FLUSH),
    "flagging is not noted": (_flagging_is_not_noted, LOADED),
    "loaded values are not kept": (_loaded_values_are_not_kept, LOADED),
    "values are copied": (_values_are_copied, LOADED),
    **{
        f"no shape of {word}": (
            _no_shape_of(word),
            f"what a plain {word} writes is not told any more",
        )
        for word in ("INSERT", "UPDATE", "DELETE")
    },
}


@pytest.mark.parametrize(("change", "expected"), CHANGES.values(), ids=list(CHANGES))
def test_no_engine_is_made_with_it(
    change: Callable[[Patch], None], expected: str, monkeypatch: Patch
) -> None:
    with monkeypatch.context() as patch:
        change(patch)
        # Not only for the first engine.
        for _ in range(2):
            with pytest.raises(InvalidRequestError, match=expected) as caught:
                _make_engine()
            assert "is not as this dialect takes it to be" in str(caught.value)
            assert "no engine is made" in str(caught.value)
    assert not selfcheck._checked
    _make_engine()
    assert selfcheck._checked


def test_a_mapper_that_was_not_seen_is_seen_by_the_next_engine(monkeypatch: Patch) -> None:
    """The first engine of a process could not see it, or another thread is half way through."""
    mapped = registry()
    key = Column("id", BigInteger, primary_key=True)
    mapper: Any = mapped.map_imperatively(
        type("Unseen", (), {}),
        Table("unseen", mapped.metadata, key),
    )
    _make_engine()
    event.remove(mapper, "before_insert", flushed_keys._make_key)
    with monkeypatch.context() as patch:
        _no_mappers(patch)
        _make_engine()
        assert not event.contains(mapper, "before_insert", flushed_keys._make_key)
    _make_engine()
    assert event.contains(mapper, "before_insert", flushed_keys._make_key)
    mapped.dispose()


def test_it_is_checked_once_in_a_process(monkeypatch: Patch) -> None:
    _make_engine()
    _no_session_flushes(monkeypatch)
    _make_engine()
