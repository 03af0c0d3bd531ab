"""What a changed object was loaded with: a flush checks that it is still stored.

Who reads a row, changes it and commits, takes for granted that nobody has changed it in between;
SQLite sees to that with its lock. So an UPDATE of a flush makes sure, in the same statement, that
each column that it changes still holds what the object was loaded with; where one does not, the
commit fails with ``StaleDataError``, and nothing was written.

Left out, so that nobody is told of a change that there was not:

* classes with a ``version_id_col``, which has the same purpose;
* classes that say ``__compare_and_set__ = False``;
* columns that were not loaded when they were changed, those set to an expression, and those that
  only their ``onupdate`` sets;
* types of which the same value may be stored in several forms: JSON, VARIANT, ARRAY, MAP, STRUCT,
  ``Uuid``, ``Time``, ``Numeric(asdecimal=False)``, ``Enum(omit_aliases=False)`` with aliases, any
  ``TypeDecorator`` that has no attribute ``compare_and_set = True``, such as one that encrypts, and
  a type of which nothing is known, such as a ``UserDefinedType``;
* values that can change after they were given, such as a ``bytearray``: what has no hash;
* rows of a table that the unit of work has changed before by other statements than a flush, and
  rows that it has changed before by ``bulk_update_mappings()`` or ``bulk_save_objects()``;
* columns of a row that the unit of work has changed before by the flush of another object;
* an UPDATE of which a listener of ``before_execute`` gives every value anew by its parameters;
* classes that are mapped to what is no ``Table``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from sqlalchemy.schema import Column, Table
from sqlalchemy.types import Float, Interval, Numeric, TypeDecorator

from vinci_code.database.dialect.interruptions import is_from_signal
from vinci_code.database.dialect.types.base import innermost, write_processor
from vinci_code.database.dialect.types.documents import VinciJSON
from vinci_code.database.dialect.types.nested import ARRAY, MAP, STRUCT
from vinci_code.database.dialect.types.texts import VinciEnum, VinciUuid
from vinci_code.database.dialect.types.times import VinciTime
from vinci_code.database.dialect.types.transports import BOOLEAN, STRING, Transport, transport_of
from vinci_code.database.dialect.units import flushes
from vinci_code.database.dialect.writes.shapes import ROWS, Loaded, Shape, letters

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
        self._rows: dict[tuple[Table, Key], _Noted] = {}
        # By which columns rows were noted.
        self._keys: dict[Table, tuple[str, ...]] = {}
        # Rows that were changed as by a flush, but for no object: by ``bulk_update_mappings()``
        # and its like. What objects were loaded with says nothing of them any more.
        # Kept in order, for savepoints.
        self._others: dict[tuple[Table, Key], None] = {}
        # Which object has written a column last: two sessions may share a connection, and what the
        # object of one was loaded with says nothing of what that of the other has written since.
        self._writers: dict[tuple[Table, Key], dict[str, Any]] = {}

    def note(self, table: Table, key: Key, row: _Noted) -> None:
        """Keep which object an UPDATE of a row will be of."""
        self._only_of_this_flush()
        self._rows[table, key] = row
        self._keys[table] = row.key

    def key_of(self, table: Table) -> tuple[str, ...] | None:
        """The columns that rows of a table were noted by; ``None`` where none was in this flush."""
        self._only_of_this_flush()
        return self._keys.get(table)

    def take(self, table: Table, key: Key, given: Mapping[str, Any]) -> Expected | None:
        """What a row is to hold before an UPDATE; ``None`` where nothing is known.

        Args:
            table: The table.
            key: The key of the row, in the order of the names of its columns.
            given: What the UPDATE writes, by names of columns; ``EXPRESSION`` for what is computed.
        """
        self._only_of_this_flush()
        row = self._rows.get((table, key))
        if row is None or not row.is_of_object(given):
            self._others[table, key] = None
        if row is None or (table, key) in self._others:
            return None
        return row.expected(given, self._writers.setdefault((table, key), {}))

    def mark(self) -> int:
        """The place that a savepoint stands for."""
        return len(self._others)

    def back_to(self, mark: int) -> None:
        """Forget what was changed since a savepoint, which is not changed any more."""
        while len(self._others) > mark:
            self._others.popitem()
        # Who has written before is not known any more; that is checked which one was loaded with.
        self._writers.clear()

    def clear(self) -> None:
        """Forget everything, at the end of a unit."""
        self._rows.clear()
        self._keys.clear()
        self._others.clear()
        self._writers.clear()

    def _only_of_this_flush(self) -> None:
        # After the flush, objects hold what it has written.
        if self._flush != flushes.number():
            self._flush = flushes.number()
            self._rows.clear()
            self._keys.clear()


def listen() -> None:
    """Note what the changed objects of every mapper were loaded with, if they go to a warehouse."""
    # Not at the top: who uses Core alone does not want the ORM.
    from sqlalchemy import event
    from sqlalchemy.orm import Mapper, QueryableAttribute

    if not event.contains(Mapper, "before_update", _note):
        event.listen(Mapper, "before_update", _note)
        event.listen(QueryableAttribute, "modified", _keep_flagged, raw=True)


def _note(mapper: Any, connection: Any, target: Any) -> None:
    dialect = getattr(connection.dialect, "held_by", None)
    if dialect is None or not dialect.compare_and_set:
        return
    plans = dialect.loaded_plans.get(mapper)
    if plans is None:
        plans = dialect.loaded_plans[mapper] = list(_plans(mapper, dialect))
    if not plans:
        return
    state = target._sa_instance_state
    loaded: LoadedValues = connection.connection.dbapi_connection.unit.loaded
    for plan in plans:
        loaded.note(plan.table, plan.key_of(state), _Noted(plan, state))


class _Flagged(str):
    """The name of an attribute that ``flag_modified()`` was called for, with what was loaded.

    SQLAlchemy forgets the loaded value then, and keeps that it was never there. This name is put
    into its place beforehand: as a key of a dictionary it stays there as long as that is kept, and
    goes with it, when the object is expired, read again or flushed.
    """

    __slots__ = ("loaded",)
    loaded: Any

    def __reduce__(self) -> tuple[Any, ...]:
        return str, (str(self),)


def _keep_flagged(state: Any, token: Any) -> None:
    """Keep what an attribute was loaded with, before ``flag_modified()`` has it forgotten."""
    before, values, name = state.committed_state, state.dict, token.key
    if token.impl.collection or name not in values:
        return
    loaded = loaded_of(state).get(name, values[name])
    if _is_value(loaded):
        kept = _Flagged(name)
        kept.loaded = loaded
        before.pop(name, None)
        before[kept] = loaded


def loaded_of(state: Any) -> dict[str, Any]:
    """What the changed attributes of an object were loaded with."""
    return {
        name: name.loaded if isinstance(name, _Flagged) and not _is_value(value) else value
        for name, value in state.committed_state.items()
    }


def _is_value(value: Any) -> bool:
    """Whether it is a value, and not a word of SQLAlchemy's for one that was not loaded."""
    from sqlalchemy.orm.base import LoaderCallableStatus

    return not isinstance(value, LoaderCallableStatus)


@dataclass(frozen=True)
class _Plan:
    """Which attributes of a mapped class are checked in one of its tables.

    Attributes:
        table: The table.
        names: The names of the columns of its key, in order.
        key: The attributes of its key, with where they stand in the identity of an object;
            ``None`` where they are no part of that. In the order of the names of the columns.
        attributes: All attributes, by the names of their columns.
        forms: What makes the stored form of a value, by the names of the columns to be checked.
    """

    table: Table
    names: tuple[str, ...]
    key: tuple[tuple[str, int | None], ...]
    attributes: Mapping[str, str]
    forms: Mapping[str, Callable[[Any], Any]]

    def key_of(self, state: Any) -> Key:
        """The key that the row of an object has before it is changed."""
        before, values = state.committed_state, state.dict
        return tuple([self._part(state, before, values, name, at) for name, at in self.key])

    def _part(self, state: Any, before: Any, values: Any, name: str, at: int | None) -> Any:
        if name in before:
            if _is_value(before[name]):
                return before[name]
        elif name in values:
            return values[name]
        if at is not None:
            return state.key[1][at]
        # The condition of an UPDATE needs it as well, so it is read now and not then.
        return state.manager[name].impl.get(state, values) if before else None


EXPRESSION = object()
"""What an UPDATE writes to a column that is set to an expression."""


class _Noted:
    """An object that is about to be flushed.

    It is looked at when its UPDATE is there: until then listeners of its class may change it, and
    what ``post_update`` writes comes later still.
    """

    def __init__(self, plan: _Plan, state: Any) -> None:
        self._plan = plan
        self._state = state
        self._written: set[str] = set()

    @property
    def key(self) -> tuple[str, ...]:
        """The names of the columns that its row is told by, in order."""
        return self._plan.names

    def is_of_object(self, given: Mapping[str, Any]) -> bool:
        """Whether an UPDATE writes what the object holds, so that it is one of its own.

        A listener (``before_execute``) may have it write more, or one of the values otherwise.
        """
        values, attributes = self._state.dict, self._plan.attributes
        return not given or any(
            value is EXPRESSION or (name in attributes and values.get(attributes[name]) is value)
            for name, value in given.items()
        )

    def expected(self, given: Mapping[str, Any], writers: dict[str, Any]) -> Expected:
        """What is to be stored, of the columns that an UPDATE changes and that had been loaded.

        Args:
            given: What the UPDATE writes, by names of columns.
            writers: Which object has written a column of the row last, by names of columns.
        """
        before, found = loaded_of(self._state), {}
        for name in given:
            form, attribute = self._plan.forms.get(name), self._plan.attributes.get(name)
            # What this flush has written once is not what was loaded any more.
            if form is None or attribute not in before or name in self._written:
                continue
            if writers.get(name, self._state) is not self._state:
                continue
            value = form(before[attribute])
            if value is not _UNKNOWN:
                found[name] = value
        self._written.update(given)
        writers.update(dict.fromkeys(given, self._state))
        return found


_UNKNOWN = object()


def _plans(mapper: Any, dialect: Any) -> Iterator[_Plan]:
    if mapper.version_id_col is not None or not getattr(mapper.class_, _OPTION, True):
        return
    attributes = mapper._columntoproperty
    for table in mapper.tables:
        keys = mapper._pks_by_table.get(table)
        if not isinstance(table, Table) or not keys:
            continue
        if not all(column in attributes for column in keys):
            continue
        forms = {
            column.name: stored
            for column in table.columns
            if column in attributes and not column.primary_key and column not in keys
            if (stored := _stored_form(column, dialect)) is not None
        }
        yield _Plan(
            table,
            tuple(sorted(map(_name, keys))),
            tuple((attributes[c].key, _at(mapper, c)) for c in sorted(keys, key=_name)),
            {c.name: attributes[c].key for c in table.columns if c in attributes},
            forms,
        )


def _name(column: Any) -> str:
    return str(column.name)


def _at(mapper: Any, column: Any) -> int | None:
    """Where a column of a key, or another one that equals it, stands in the identity."""
    attributes, same = mapper._columntoproperty, mapper._equivalent_columns.get(column, ())
    for number, own in enumerate(mapper.primary_key):
        if own is column or own in same or attributes.get(own) is attributes[column]:
            return number
    return None


def _stored_form(column: Column[Any], dialect: Any) -> Callable[[Any], Any] | None:
    """What makes the stored form of a loaded value; ``None`` where it cannot be known again."""
    transport = comparable(column, dialect)
    if transport is None:
        return None
    store = write_processor(column.type, dialect)
    compare = column.type._cached_bind_processor(dialect)

    def stored(value: Any) -> Any:
        # What the application has changed in place since is not what is stored.
        if not _is_value(value) or not _is_fixed(value):
            return _UNKNOWN
        form = _form(store, value)
        if form is _UNKNOWN:
            # The column may hold more than its type takes, such as a longer VARCHAR.
            form = _form(compare, value)
        return form if form is not _UNKNOWN and transport.holds((form,)) else _UNKNOWN

    return stored


def _form(process: Callable[[Any], Any] | None, value: Any) -> Any:
    try:
        return value if process is None else process(value)
    except Exception as error:
        if is_from_signal(error):
            raise
        return _UNKNOWN  # what cannot be stored was not loaded


def _is_fixed(value: Any) -> bool:
    """Whether a value stays what it is: what can change in place has no hash."""
    try:
        hash(value)
    except (TypeError, ValueError):  # the latter of a memoryview over what can be written
        return False
    return True


def comparable(column: Column[Any], dialect: Any) -> Transport | None:
    """How the values of a column travel to be compared; ``None`` where they cannot be."""
    kind = column.type
    # SQLAlchemy's own Interval is a TypeDecorator, too, and has one stored form.
    is_known = type(kind) is Interval or getattr(kind, "compare_and_set", False)
    if isinstance(kind, TypeDecorator) and not is_known:
        return None
    own = innermost(kind, dialect)
    if isinstance(own, _SEVERAL_FORMS) or _has_aliases(own):
        return None
    if isinstance(own, Numeric) and not isinstance(own, Float) and not own.asdecimal:
        return None
    return transport_of(kind, dialect)


def _has_aliases(kind: Any) -> bool:
    """Whether several names are read as one member, as of ``Enum(omit_aliases=False)``."""
    if not isinstance(kind, VinciEnum):
        return False
    members = kind._object_lookup.values()
    return len({id(member) for member in members}) < len(members)


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
            extra += (None, *_sent(wanted[name], hashed))
        made.append((*row, *extra))
    return made


def _sent(value: Any, hashed: bool) -> tuple[Any, ...]:
    """A value, or the SHA-256 of a long one, as it is sent to be compared."""
    if not hashed:
        return (value,)
    if value is not None and len(value) > LONGEST:
        return None, digest(value)
    return value, None


def digest(value: str | bytes) -> str:
    """The SHA-256 of a value as the warehouse's ``sha2`` gives it."""
    data = value.encode() if isinstance(value, str) else value
    return hashlib.sha256(data).hexdigest()


def conditions(shape: Shape) -> Iterator[str]:
    """The conditions under which what a row was loaded with is still stored."""
    for item in shape.loaded:
        column = f"{shape.target}.{item.name}"
        any_value, value = (f"{ROWS}.{letters(item.first + n)}" for n in (0, 1))
        other = f"{ROWS}.{letters(item.first + 2)}" if item.hashed else None
        yield _condition(column, any_value, value, other)


def _condition(column: str, any_value: str, value: str, other: str | None) -> str:
    same = f"{column} <=> {value}"
    if other is not None:
        same = f"CASE WHEN {other} IS NULL THEN {same} ELSE sha2({column}, 256) = {other} END"
    return f"({any_value} OR {same})"


def still_holds(item: Loaded, written: Any, row: Sequence[Any]) -> bool:
    """Whether what the same unit has written to a column is what a change of it expects."""
    if row[item.first]:
        return True
    if item.hashed and row[item.first + 2] is not None:
        return written is not None and digest(written) == row[item.first + 2]
    expected = row[item.first + 1]
    # NaN is NaN on the warehouse, whichever object it is.
    same: bool = written is expected or written == expected
    return same or (written != written and expected != expected)


# --- in a statement that is no shape --------------------------------------------------------------


class Checked(NamedTuple):
    """A column that a statement for one row compares with what was loaded.

    Attributes:
        name: Its name as SQL.
        column: Its name.
        sql: The type that it is compared as.
        hashed: Whether of a long value its SHA-256 is sent.
    """

    name: str
    column: str
    sql: str
    hashed: bool


def checked(column: Column[Any], name: str, dialect: Any) -> Checked | None:
    """How a column that is set to a plain value is checked; ``None`` where it cannot be."""
    kind = comparable(column, dialect)
    if kind is None or column.primary_key:
        return None
    return Checked(name, column.name, kind.sql, not kind.kinds.isdisjoint(_HASHED))


def marked(item: Checked, target: str) -> str:
    """The condition that a column holds what it was loaded with, with markers for values."""
    other = "CAST(? AS STRING)" if item.hashed else None
    column = f"{target}.{item.name}"
    return _condition(column, "CAST(? AS BOOLEAN)", f"CAST(? AS {item.sql})", other)


def marked_values(items: Iterable[Checked], expected: Expected | None) -> Iterator[Any]:
    """The values for the markers; where nothing is known, everything is right."""
    for item in items:
        known = expected is not None and item.column in expected
        sent = _sent(expected[item.column] if expected and known else None, item.hashed)
        yield not known
        if item.hashed:
            # Of these the first stands in the condition twice.
            value, other = sent
            yield from (other, value, other)
        else:
            yield from sent
