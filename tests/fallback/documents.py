"""What the tests of documents share: the held writes of a connection, and what is sent of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import Connection, Engine

from vinci_code.database.dialect.units.held import Held, joined
from vinci_code.database.dialect.units.steps import steps
from vinci_code.database.dialect.units.unit import Unit

Write = Callable[[Connection], object]


def unit_of(connection: Connection) -> Unit:
    """The unit of work of a connection."""
    raw: Any = connection.connection.dbapi_connection
    unit: Unit = raw.unit
    return unit


def held_of(engine: Engine, *writes: Write) -> list[Held]:
    """What a unit of work holds after some writes; it is rolled back."""
    with engine.connect() as connection:
        for write in writes:
            write(connection)
        return list(unit_of(connection).held)


def sent_of(held: Sequence[Held], engine: Engine, *, bound: bool = True) -> list[Any]:
    """The statements that are made of held writes, and their parameters."""
    made = steps(joined(held), engine.dialect, bound=bound)
    return [(step.text, repr(tuple(step.parameters)), step.rows) for step in made]
