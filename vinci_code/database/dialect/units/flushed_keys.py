"""Keys for new objects, made before a flush.

A flush sends objects whose keys are known as one INSERT with many sets of parameters, and the
others one by one, since it has to learn the key of each. So an object that leaves its key to the
database gets it as the flush begins; on another database nothing happens.

It gets it as SQLAlchemy puts in the keys that a database gives out: no event and no validator hears
of it, and the application's own listeners come first, which see no key, and may make one.
"""

from __future__ import annotations

from collections import deque
from functools import partial
from typing import Any

from vinci_code.database.dialect.dberrors import Error
from vinci_code.database.dialect.sql.inserts import (
    comes_from_block,
    generated_key,
    require_room,
)
from vinci_code.database.dialect.sql.key_blocks import translated
from vinci_code.database.dialect.sql.keys import next_key
from vinci_code.database.dialect.units.flushes import mappers

# What a listener returns that lets the others come, once the ORM is there. To import it for each
# row took 1.5 µs of the 12 that an INSERT of many costs beyond SQLAlchemy's own work.
_CONTINUE: Any = None


def listen() -> None:
    """Make keys for the new objects of every mapper, if they go to a warehouse."""
    # Not at the top: who uses Core alone does not want the ORM.
    from sqlalchemy import event
    from sqlalchemy.orm import Mapper
    from sqlalchemy.orm.interfaces import EXT_CONTINUE

    global _CONTINUE
    _CONTINUE = EXT_CONTINUE
    # SQLAlchemy calls what listens to all mappers before what listens to one, so that to be the
    # last takes a listener of each mapper. Each is looked at whenever an engine is made: another
    # thread may be half way through them, and one that could not see them has done nothing.
    if not event.contains(Mapper, "after_mapper_constructed", _begin):
        event.listen(Mapper, "after_mapper_constructed", _begin)
    for mapper in mappers():
        if not event.contains(mapper, "before_insert", _make_key):
            _begin(mapper)
    if not event.contains(Mapper, "before_insert", _be_last):
        event.listen(Mapper, "before_insert", _be_last)


def _begin(mapper: Any, *_: Any) -> None:
    from sqlalchemy import event

    # Raw and with a value: so it is not wrapped, and can be known again among the listeners.
    event.listen(mapper, "before_insert", _make_key, raw=True, retval=True)


def _be_last(mapper: Any, *_: Any) -> None:
    """Put the listener that makes the key behind those that were registered since."""
    listeners = mapper.dispatch.before_insert
    own = listeners.listeners
    if own[-1] is not _make_key:
        # Another one, and not the same in another order: a second thread may be going through it.
        listeners.listeners = deque([*(one for one in own if one is not _make_key), _make_key])


def _make_key(mapper: Any, connection: Any, state: Any) -> Any:
    dialect, values = getattr(connection.dialect, "held_by", None), state.dict
    if dialect is None:
        return _CONTINUE
    # A class may be mapped to a join or to a sub-query: its rows go to the tables in it.
    for table in mapper.tables:
        column = generated_key(table)
        if column is None or column not in mapper._columntoproperty:
            continue
        name = mapper._columntoproperty[column].key
        if values.get(name) is None:
            values[name] = _made(column, dialect, connection, state)
        elif comes_from_block(column, dialect):
            dialect.key_ranges.given(column, _schema(column, connection), values[name])
    return _CONTINUE


def _made(column: Any, dialect: Any, connection: Any, state: Any) -> int:
    if not comes_from_block(column, dialect):
        require_room(column, dialect)
        return next_key.for_row()
    schema = _schema(column, connection)
    try:
        key: int = dialect.key_ranges.next(column, schema, partial(_without_key, column, state))
    except Error as error:
        # SQLAlchemy makes its own of what cursors and commits raise, and not of this.
        connection._handle_dbapi_exception(error, None, None, None, None)
        raise
    return key


def _schema(column: Any, connection: Any) -> str | None:
    schemas = connection.get_execution_options().get("schema_translate_map") or {}
    return translated(column.table, schemas)


def _without_key(column: Any, state: Any) -> int:
    """How many new objects of the flush have no key of a column yet."""
    from sqlalchemy import inspect

    count = 0
    for found in map(inspect, () if state.session is None else state.session.new):
        property_ = found.mapper._columntoproperty.get(column)
        count += property_ is not None and found.dict.get(property_.key) is None
    return max(1, count)
