"""What a changed object was loaded with: a flush checks that it is still stored.

Who reads a row, changes it and commits, takes for granted that nobody has changed it in between;
SQLite sees to that with its lock. So an UPDATE of a flush makes sure, in the same statement, that
each column that it changes still holds what the object was loaded with; where one does not, the
commit fails with ``StaleDataError``, and nothing was written.

Left out, so that no error reports a change that nobody made:

* classes with a ``version_id_col``, which has the same purpose;
* classes that say ``__compare_and_set__ = False``;
* columns that were not loaded when they were changed, those set to an expression, and those that
  only their ``onupdate`` sets;
* types of which the same value may be stored in several forms: JSON, VARIANT, ARRAY, MAP, STRUCT,
  ``Uuid``, ``Time``, ``Numeric(asdecimal=False)``, ``Enum(omit_aliases=False)`` with aliases, any
  ``TypeDecorator`` that has no attribute ``compare_and_set = True``, such as one that encrypts, and
  a type of which nothing is known, such as a ``UserDefinedType``;
* values that can change after they were given, such as a ``bytearray``: what has no hash;
* columns of a table that the unit of work has changed by other statements than a flush since they
  were loaded, and rows that it has changed before by ``bulk_update_mappings()`` or
  ``bulk_save_objects()``. What is loaded after such a statement is checked: it is read with what
  the statement does, which the commit executes before;
* columns of a row that the unit of work has changed by the flush of another object since they were
  loaded;
* an UPDATE of which a listener of ``before_execute`` gives every value anew by its parameters;
* classes that are mapped to what is no ``Table``.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from sqlalchemy.schema import Column, Table

from vinci_code.database.dialect.interruptions import is_from_signal
from vinci_code.database.dialect.types.base import write_processor
from vinci_code.database.dialect.units import flushes
from vinci_code.database.dialect.writes.compared import Expected, comparable

_Key = tuple[Any, ...]
_OPTION = "__compare_and_set__"


class LoadedValues:
    """What the objects of a unit of work were loaded with that its flush is about to write."""

    def __init__(self) -> None:
        self._flush = 0
        # By tables, and there by keys: a flush of many rows keeps little of each, since what it
        # keeps is walked through for garbage, and freed, while the commit is waited for.
        self._rows: defaultdict[Table, dict[_Key, _Noted]] = defaultdict(dict)
        # By which columns rows were noted.
        self._keys: dict[Table, tuple[str, ...]] = {}
        # Rows that were changed as by a flush, but for no object: by ``bulk_update_mappings()``
        # and its like. What objects were loaded with says nothing of them any more.
        # Kept in order, for savepoints.
        self._others: dict[tuple[Table, _Key], None] = {}
        # Which object has written a column last: two sessions may share a connection, and what the
        # object of one was loaded with says nothing of what that of the other has written since.
        self._writers: defaultdict[Table, dict[_Key, _Write]] = defaultdict(dict)
        # Each combination of columns that was written, once for all rows.
        self._names: dict[tuple[str, ...], tuple[str, ...]] = {}

    def note(self, table: Table, key: _Key, row: _Noted) -> None:
        """Keep which object an UPDATE of a row will be of."""
        self._only_of_this_flush()
        self._rows[table][key] = row
        self._keys[table] = row.key

    def key_of(self, table: Table) -> tuple[str, ...] | None:
        """The columns that rows of a table were noted by; ``None`` where none was in this flush."""
        self._only_of_this_flush()
        return self._keys.get(table)

    def take(
        self, table: Table, key: _Key, given: Mapping[str, Any], since: int | None = None
    ) -> Expected | None:
        """What a row is to hold before an UPDATE; ``None`` where nothing is known.

        Args:
            table: The table.
            key: Its key, in the order of the names of its columns.
            given: What the UPDATE writes, by names of columns; ``EXPRESSION`` for what is computed.
            since: The moment at which the unit has changed the table by another statement: what was
                loaded before it is not known to be stored. ``None`` if it has not.
        """
        self._only_of_this_flush()
        row = self._rows[table].get(key)
        if row is None or not row.is_of_object(given):
            self._others[table, key] = None
        if row is None or (self._others and (table, key) in self._others):
            return None
        writes, names = self._writers[table], tuple(given)
        names, before = self._names.setdefault(names, names), writes.get(key)
        expected = row.expected(given, before, since)
        writes[key] = row.write(names, before)
        return expected

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
        self._names.clear()

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
    from sqlalchemy.orm import Mapper, QueryableAttribute, Session

    if not event.contains(Mapper, "before_update", _note):
        event.listen(Mapper, "before_update", _note)
        event.listen(QueryableAttribute, "modified", _keep_flagged, raw=True)
        event.listen(Mapper, "refresh", _note_refresh, raw=True)
        event.listen(Session, "detached_to_persistent", _note_added, raw=True)


def moment() -> int:
    """A number for this moment, between those of the queries that objects are loaded by.

    SQLAlchemy numbers the queries of a process by their beginning, and notes the number in what
    they load (``InstanceState.runid``).
    """
    from sqlalchemy.orm.loading import _new_runid

    number: int = _new_runid()
    return number


_PARTS = "vinci_loaded_parts"


def _note_refresh(state: Any, context: Any, attributes: Any) -> None:
    """Note which query has loaded parts of an object again; no attribute of the others is known.

    Without a context SQLAlchemy has computed them by itself, as of an UPDATE in bulk.
    """
    if attributes is None:
        # All of it: what its own number says counts again, or nothing is known.
        vars(state).pop(_PARTS, None)
        if context is None:
            vars(state)[_PARTS] = {}
        return
    parts = vars(state).setdefault(_PARTS, {})
    parts.update(dict.fromkeys(attributes, None if context is None else context.runid))


def _note_added(_session: Any, state: Any) -> None:
    """Note of an object that a session gets as it is that nothing of it was loaded there."""
    vars(state)[_PARTS] = {}


def _is_loaded_since(state: Any, attribute: str, since: int) -> bool:
    """Whether an attribute was loaded by a query that has begun after a moment."""
    parts = vars(state).get(_PARTS)
    number = state.runid if parts is None else parts.get(attribute)
    return number is not None and number > since


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

    def key_of(self, state: Any) -> _Key:
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


class _Write(NamedTuple):
    """What has written a row.

    Attributes:
        names: The columns that it has written.
        state: The object that it was of.
        at: When, as of ``moment``.
        earlier: What has written other columns of the row before.
    """

    names: tuple[str, ...]
    state: Any
    at: int
    earlier: _Write | None


def _last_write(write: _Write | None, name: str) -> _Write | None:
    """What has written a column last; ``None`` where nothing has."""
    while write is not None and name not in write.names:
        write = write.earlier
    return write


def _without(write: _Write | None, names: tuple[str, ...]) -> _Write | None:
    """What has written a row, without what wrote nothing but columns that were written since.

    So there is never more of it than the row has columns.
    """
    kept, since = [], set(names)
    while write is not None:
        if not since.issuperset(write.names):
            kept.append(write)
            since.update(write.names)
        write = write.earlier
    earlier = None
    for each in reversed(kept):
        earlier = each._replace(earlier=earlier)
    return earlier


EXPRESSION = object()
"""What an UPDATE writes to a column that is set to an expression."""


class _Noted:
    """An object that is about to be flushed.

    It is looked at when its UPDATE is there: until then listeners of its class may change it, and
    what ``post_update`` writes comes later still.
    """

    __slots__ = ("_plan", "_state", "_written")

    def __init__(self, plan: _Plan, state: Any) -> None:
        self._plan = plan
        self._state = state
        # The columns that this flush has written already.
        self._written: tuple[str, ...] = ()

    @property
    def key(self) -> tuple[str, ...]:
        """The names of the columns that identify its row, in order."""
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

    def expected(
        self, given: Mapping[str, Any], before_it: _Write | None, since: int | None
    ) -> Expected:
        """What is to be stored, of the columns that an UPDATE changes and that had been loaded.

        ``given`` is what the UPDATE writes, by names of columns; ``before_it`` is what has written
        the row before. For ``since`` see ``take``.
        """
        before, found = loaded_of(self._state), {}
        for name in given:
            form, attribute = self._plan.forms.get(name), self._plan.attributes.get(name)
            # What this flush has written once is not what was loaded any more.
            if form is None or attribute not in before or name in self._written:
                continue
            write = _last_write(before_it, name)
            written_at = 0 if write is None or write.state is self._state else write.at
            doubtful = max(written_at, since or 0)
            if doubtful and not _is_loaded_since(self._state, attribute, doubtful):
                continue
            value = form(before[attribute])
            if value is not _UNKNOWN:
                found[name] = value
        return found

    def write(self, names: tuple[str, ...], before: _Write | None) -> _Write:
        """Note that an UPDATE writes these columns of its row, after what has written it before."""
        self._written = (*self._written, *names) if self._written else names
        return _Write(names, self._state, moment(), _without(before, names))


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
