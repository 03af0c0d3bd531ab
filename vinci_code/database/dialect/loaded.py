"""What a changed object was loaded with: a flush checks that it is still stored.

Who reads a row, changes it and commits, takes for granted that nobody has changed it in between;
SQLite sees to that with its lock. So an UPDATE of a flush makes sure, in the same statement, that
each column that it changes still holds what the object was loaded with; where one does not, the
commit fails with ``StaleDataError``, and nothing was written.

Left out, so that nobody is told of a change that there was not:

* classes with a ``version_id_col``, which has the same purpose;
* classes that say ``__compare_and_set__ = False``;
* columns that were not loaded when they were changed, and those set to an expression;
* types of which the same value may be stored in several forms: JSON, VARIANT, ARRAY, MAP, STRUCT,
  ``Uuid``, ``Time``, ``Numeric(asdecimal=False)``, and any ``TypeDecorator`` that has no attribute
  ``compare_and_set = True``, such as one that encrypts;
* rows of a table that the unit of work has changed before by other statements than a flush, and
  rows that it has changed before by ``bulk_update_mappings()`` or ``bulk_save_objects()``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy.schema import Column, Table
from sqlalchemy.types import Float, Interval, Numeric, TypeDecorator

from vinci_code.database.dialect import flushes
from vinci_code.database.dialect.shapes import ROWS, Loaded, Shape, letters
from vinci_code.database.dialect.transports import BOOLEAN, STRING, Transport, transport_of
from vinci_code.database.dialect.types.base import innermost
from vinci_code.database.dialect.types.documents import VinciJSON
from vinci_code.database.dialect.types.nested import ARRAY, MAP, STRUCT
from vinci_code.database.dialect.types.texts import VinciUuid
from vinci_code.database.dialect.types.times import VinciTime

LONGEST = 100
"""Characters, or bytes, of a value that is sent as it is; of a longer one its SHA-256 is sent."""

Key = tuple[Any, ...]
Expected = dict[str, Any]
"""What the columns of a row are to hold, by their names, in the form in which it is stored."""

_OPTION = "__compare_and_set__"
_SEVERAL_FORMS = (VinciJSON, VinciUuid, VinciTime, ARRAY, MAP, STRUCT)
_HASHED = (str, bytes)


class LoadedValues:
    """What the objects of a unit of work were loaded with that its flush is about to write."""

    def __init__(self) -> None:
        self._flush = 0
        self._rows: dict[tuple[Table, Key], Expected] = {}
        # Rows that were changed as by a flush, but for no object: by ``bulk_update_mappings()``
        # and its like. What objects were loaded with says nothing of them any more.
        self._others: set[tuple[Table, Key]] = set()

    def note(self, table: Table, key: Key, expected: Expected) -> None:
        """Keep what a row is to hold; nothing, where none of its columns is to be checked."""
        self._only_of_this_flush()
        self._rows[table, key] = expected

    def take(self, table: Table, key: Key) -> Expected | None:
        """What a row is to hold, which is asked for once; ``None`` where nothing is known."""
        self._only_of_this_flush()
        expected = self._rows.pop((table, key), None)
        if expected is None:
            self._others.add((table, key))
        return None if (table, key) in self._others else expected

    def clear(self) -> None:
        """Forget everything, at the end of a unit."""
        self._rows.clear()
        self._others.clear()

    def _only_of_this_flush(self) -> None:
        # Not each note is taken: a change to an expression, or to what was there, checks nothing.
        if self._flush != flushes.number():
            self._flush = flushes.number()
            self._rows.clear()


def listen() -> None:
    """Note what the changed objects of every mapper were loaded with, if they go to a warehouse."""
    # Not at the top: who uses Core alone does not want the ORM.
    from sqlalchemy import event
    from sqlalchemy.orm import Mapper

    if not event.contains(Mapper, "before_update", _note):
        event.listen(Mapper, "before_update", _note)


def _note(mapper: Any, connection: Any, target: Any) -> None:
    dialect = connection.dialect
    if dialect.name != "databricks" or dialect.driver != "vinci" or not dialect.compare_and_set:
        return
    plans = dialect.loaded_plans.get(mapper)
    if plans is None:
        plans = dialect.loaded_plans[mapper] = list(_plans(mapper, dialect))
    if not plans:
        return
    state, values = target._sa_instance_state, vars(target)
    before: Mapping[str, Any] = state.committed_state
    loaded: LoadedValues = connection.connection.dbapi_connection.unit.loaded
    for plan in plans:
        key = tuple([before.get(name, values.get(name)) for name in plan.key])
        loaded.note(plan.table, key, plan.expected(before))


@dataclass(frozen=True)
class _Plan:
    """Which attributes of a mapped class are checked in one of its tables.

    Attributes:
        table: The table.
        key: The attributes of its primary key.
        columns: The names of columns by attributes, with what makes the stored form of a value.
    """

    table: Table
    key: tuple[str, ...]
    columns: Mapping[str, tuple[str, Callable[[Any], Any]]]

    def expected(self, before: Mapping[str, Any]) -> Expected:
        """What is to be stored, of the attributes that have changed and had been loaded."""
        found = {}
        for attribute, value in before.items():
            if attribute in self.columns:
                name, stored = self.columns[attribute]
                form = stored(value)
                if form is not _UNKNOWN:
                    found[name] = form
        return found


_UNKNOWN = object()


def _plans(mapper: Any, dialect: Any) -> Iterator[_Plan]:
    if mapper.version_id_col is not None or not getattr(mapper.class_, _OPTION, True):
        return
    attributes = mapper._columntoproperty
    for table in mapper.tables:
        if not isinstance(table, Table) or not table.primary_key.columns:
            continue
        if not all(column in attributes for column in table.primary_key):
            continue
        columns = {
            attributes[column].key: (column.name, stored)
            for column in table.columns
            if column in attributes and not column.primary_key
            if (stored := _stored_form(column, dialect)) is not None
        }
        yield _Plan(table, tuple(attributes[c].key for c in table.primary_key), columns)


def _stored_form(column: Column[Any], dialect: Any) -> Callable[[Any], Any] | None:
    """What makes the stored form of a loaded value; ``None`` where it cannot be known again."""
    transport = comparable(column, dialect)
    if transport is None:
        return None
    # Not imported at the top: the ORM is there if this is called.
    from sqlalchemy.orm.base import LoaderCallableStatus

    process = column.type._cached_bind_processor(dialect)

    def stored(value: Any) -> Any:
        if isinstance(value, LoaderCallableStatus):
            return _UNKNOWN
        try:
            form = value if process is None else process(value)
        except Exception:  # noqa: BLE001 - what cannot be stored was not loaded
            return _UNKNOWN
        return form if transport.holds((form,)) else _UNKNOWN

    return stored


def comparable(column: Column[Any], dialect: Any) -> Transport | None:
    """How the values of a column travel to be compared; ``None`` where they cannot be."""
    kind = column.type
    # SQLAlchemy's own Interval is a TypeDecorator, too, and has one stored form.
    is_known = type(kind) is Interval or getattr(kind, "compare_and_set", False)
    if isinstance(kind, TypeDecorator) and not is_known:
        return None
    own = innermost(kind, dialect)
    if isinstance(own, _SEVERAL_FORMS):
        return None
    if isinstance(own, Numeric) and not isinstance(own, Float) and not own.asdecimal:
        return None
    return transport_of(kind, dialect)


# --- in a shape -----------------------------------------------------------------------------------


def with_loaded(shape: Shape, dialect: Any) -> Shape:
    """The shape of an UPDATE that checks what is stored in the columns that it writes."""
    transports = list(shape.transports)
    loaded = []
    for item in shape.values:
        kind = comparable(item.column, dialect) if item.is_plain else None
        if kind is None or item.column.primary_key:
            continue
        first = len(transports)
        hashed = not kind.kinds.isdisjoint(_HASHED)
        transports += [BOOLEAN, kind, *([STRING] * hashed)]
        loaded.append(Loaded(item.name, item.column.name, first, hashed))
    return shape.checking(tuple(loaded), tuple(transports))


def with_expected(
    shape: Shape, rows: Sequence[Sequence[Any]], expected: Iterable[Expected | None]
) -> list[tuple[Any, ...]]:
    """Rows with what is to be stored before; where nothing is known, everything is right."""
    checked = [(item.column, item.hashed) for item in shape.loaded]
    made = []
    for row, wanted in zip(rows, expected, strict=True):
        extra: list[Any] = []
        for name, hashed in checked:
            if wanted is None or name not in wanted:
                extra += (True, None, None) if hashed else (True, None)
                continue
            value = wanted[name]
            if not hashed:
                extra += (None, value)
            elif value is not None and len(value) > LONGEST:
                extra += (None, None, digest(value))
            else:
                extra += (None, value, None)
        made.append((*row, *extra))
    return made


def digest(value: str | bytes) -> str:
    """The SHA-256 of a value as the warehouse's ``sha2`` gives it."""
    data = value.encode() if isinstance(value, str) else value
    return hashlib.sha256(data).hexdigest()


def conditions(shape: Shape) -> Iterator[str]:
    """The conditions under which what a row was loaded with is still stored."""
    for item in shape.loaded:
        column = f"{shape.target}.{item.name}"
        any_value, value = (f"{ROWS}.{letters(item.first + n)}" for n in (0, 1))
        same = f"{column} <=> {value}"
        if item.hashed:
            other = f"{ROWS}.{letters(item.first + 2)}"
            same = f"CASE WHEN {other} IS NULL THEN {same} ELSE sha2({column}, 256) = {other} END"
        yield f"({any_value} OR {same})"


def still_holds(item: Loaded, written: Any, row: Sequence[Any]) -> bool:
    """Whether what the same unit has written to a column is what a change of it expects."""
    if row[item.first]:
        return True
    if item.hashed and row[item.first + 2] is not None:
        return written is not None and digest(written) == row[item.first + 2]
    same: bool = written is row[item.first + 1] or written == row[item.first + 1]
    return same
