"""Keys for new objects, made before a flush.

A flush sends objects whose keys are known as one INSERT with many sets of parameters, and the
others one by one, since it has to learn the key of each. So an object that leaves its key to the
database gets it as the flush begins; on another database nothing happens.
"""

from __future__ import annotations

from typing import Any

from vinci_code.database.dialect.inserts import generated_key, require_room
from vinci_code.database.dialect.keys import next_key


def listen() -> None:
    """Make keys for the new objects of every mapper, if they go to a warehouse."""
    # Not at the top: who uses Core alone does not want the ORM.
    from sqlalchemy import event
    from sqlalchemy.orm import Mapper

    if not event.contains(Mapper, "before_insert", _make_key):
        event.listen(Mapper, "before_insert", _make_key)


def _make_key(mapper: Any, connection: Any, target: Any) -> None:
    if connection.dialect.name != "databricks" or connection.dialect.driver != "vinci":
        return
    # A class may be mapped to a join or to a sub-query: its rows go to the tables in it.
    for table in mapper.tables:
        column = generated_key(table)
        if column is None or column not in mapper._columntoproperty:
            continue
        name = mapper._columntoproperty[column].key
        if getattr(target, name) is None:
            require_room(column, connection.dialect)
            setattr(target, name, next_key.for_row())
