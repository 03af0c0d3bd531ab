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
        others: The tables that it has written to by other statements than a flush, so that nothing
            of them is compared, with how much it had written before the first of these.
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
    others: dict[str, int] = field(default_factory=dict)
    back: bool = False
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
        self.others.setdefault(table, len(self.writes))

    def changed(self, table: str, key: int, row: Row, before: Row) -> None:
        """Note the change of an object, which checks what it was loaded with."""
        if table in self.others:
            self.wrote(model.CHANGE, table, key, row)
        else:
            self.wrote(model.SWAP, table, key, row, before)

    def goes_back(self, kept: int) -> None:
        """Forget what it has written since."""
        del self.writes[kept:]
        self.others = {name: at for name, at in self.others.items() if at < kept}

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

    def has_read(self, table: str, key: int, row: Row | None) -> None:
        """Note what it was shown of a row."""
        self.shared.note(Read(self.number, table, key, row, tuple(self.writes)))
