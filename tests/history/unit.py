"""A unit of work that has begun: what its steps write down of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import orm

from tests.history import model
from tests.history.events import Event, Read
from tests.history.model import Row, Write
from tests.history.tables import Note, Receipt, Rows


@dataclass
class Shared:
    """What the units of one schedule share.

    Attributes:
        rows: The rows that they are about.
        note: Notes an event.
        slots: The slots of messages that were used by one of them.
        unsure: What units have made that was not stored, or perhaps.
    """

    rows: Rows
    note: Callable[[Event], None]
    slots: set[int] = field(default_factory=set)
    unsure: list[Note | Receipt] = field(default_factory=list)


@dataclass
class Unit:
    """A unit that has begun.

    Attributes:
        number: Its number in the schedule.
        session: Its session.
        shared: What it shares with the others.
        writes: What it has written.
        savepoints: Those that it has not ended, and how much it had written before each.
        snapshot: Whether it may have read from a snapshot of its own.
        mishaps: What was to go wrong during its steps.
        others: The tables that it has written to by other statements than a flush, so that what was
            loaded of them before is not compared: when it has done so last, and how much it had
            written before the first of these.
        loads: When each object was loaded last.
        moment: The last moment of those.
        back: Whether it has gone back to a savepoint.
        kept: Objects that stay in its session.
        made: Objects that it has made.
    """

    number: int
    session: orm.Session
    shared: Shared
    writes: list[Write] = field(default_factory=list)
    savepoints: list[tuple[orm.SessionTransaction, int]] = field(default_factory=list)
    snapshot: bool = False
    mishaps: list[str] = field(default_factory=list)
    others: dict[str, tuple[int, int]] = field(default_factory=dict)
    loads: dict[tuple[str, int], int] = field(default_factory=dict)
    back: bool = False
    moment: int = 0
    kept: list[Any] = field(default_factory=list)
    made: list[Note | Receipt] = field(default_factory=list)

    @property
    def name(self) -> str:
        """What its rows name it by."""
        return f"u{self.number}"

    def next_value(self) -> str:
        """A value that no other write has."""
        return f"{self.name}.{len(self.writes)}"

    def stored_key(self, key: int) -> int:
        """The key in the tables of a row of the schedule."""
        return self.shared.rows.stored_key(key)

    def values(self, table: str, key: int, row: Row) -> dict[str, Any]:
        """The values to insert a row by."""
        return self.shared.rows.values(table, key, row)

    def writes_past_objects(self, table: str) -> None:
        """Note that it writes to a table by another statement than a flush."""
        self.others[table] = self._next(), self.others.get(table, (0, len(self.writes)))[1]

    def loaded(self, table: str, key: int) -> None:
        """Note that an object is loaded now."""
        self.loads[table, key] = self._next()

    def changed(self, table: str, key: int, row: Row, before: Row) -> None:
        """Note the change of an object, which checks what it was loaded with.

        Unless the table was changed since by another statement.
        """
        if self.loads.get((table, key), 0) < self.others.get(table, (0, 0))[0]:
            self.wrote(model.CHANGE, table, key, row)
        else:
            self.wrote(model.SWAP, table, key, row, before)

    def goes_back(self, kept: int) -> None:
        """Forget what it has written since.

        An object that was loaded with it stays as it is.
        """
        del self.writes[kept:]
        for table, (moment, at) in list(self.others.items()):
            if at >= kept:
                del self.others[table]
                seen = (when for (name, _), when in self.loads.items() if name == table)
                if any(when > moment for when in seen):
                    self.others[table] = self._next(), -1

    def wrote(
        self,
        action: str,
        table: str,
        key: int,
        row: Row | None = None,
        expected: Row | None = None,
    ) -> None:
        """Note a change of a row: see ``model.Write``."""
        self.writes.append(Write(action, table, key, row, expected))

    def _next(self) -> int:
        self.moment += 1
        return self.moment

    def has_read(self, table: str, key: int, row: Row | None) -> None:
        """Note what it was shown of a row."""
        self.shared.note(Read(self.number, table, key, row, tuple(self.writes)))
