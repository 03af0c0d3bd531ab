"""A fallback on the local warehouse, whose units go out, are kept, and come back."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from unittest import mock

from sqlalchemy import Engine, FromClause, MetaData, select
from sqlalchemy.orm import Session

from tests.patience import PATIENCE_S
from vinci_code.database.fallback import fallback as module
from vinci_code.database.fallback.fallback import Fallback, ReadsOption
from vinci_code.database.fallback.records import Entry, State
from vinci_code.database.fallback.sessions import RoutedSession
from vinci_code.database.sqlite import create_sqlite_engine
from vinci_code.warehouse import Fault
from vinci_code.warehouse.pytest_plugin import TestWarehouse

Work = Callable[[Session], object]


@dataclass
class Circle:
    """A warehouse that goes away and comes back, and sessions that are routed.

    Attributes:
        of: The warehouse.
        online: The engine on it.
        fallback: The fallback.
    """

    of: TestWarehouse
    online: Engine
    fallback: Fallback

    def session(self, **options: Any) -> RoutedSession:
        """A session."""
        return RoutedSession(
            bind=self.online, fallback=lambda: self.fallback, expire_on_commit=False, **options
        )

    def run(self, *works: Work) -> None:
        """Commit units of work, one after the other."""
        for work in works:
            with self.session() as session, session.begin():
                work(session)

    def begin(self) -> None:
        """Cut every request off, and have all know of it."""
        self.of.inject(Fault.reset(when="before", times=10**6))
        self.fallback.went_away(ConnectionError("as the test wants it"))
        self.wait_for(1e6)

    def end(self) -> None:
        """Answer again."""
        self.of.warehouse.faults.clear()
        self.wait_for(0.0)

    def is_back(self) -> bool:
        """Whether what waits is sent, and the warehouse is used again.

        One unit of work sends for ten seconds at most: a busy machine needs several for it.
        """
        return any(self.fallback.place() is self.online for _ in range(30))

    def wait_for(self, moment: float) -> None:
        """Have the warehouse be tried at a moment, in seconds since the epoch, or an hour on."""
        standing = self.fallback.journal.state()
        assert standing is not None
        later = standing.since + 3600.0 if moment else 0.0
        self.fallback.journal.set_state(replace(standing, next_try=later))
        self.fallback._known = type(self.fallback._known)()

    def units(self, *states: State) -> list[Entry]:
        """The units in the journal."""
        return list(self.fallback.journal.entries(states or tuple(State)))

    def rows(self, table: FromClause) -> list[tuple[Any, ...]]:
        """What the warehouse holds of a table, in order of its key."""
        with self.online.connect() as connection:
            return [tuple(row) for row in connection.execute(_all(table))]


@contextmanager
def circle(
    of: TestWarehouse,
    online: Engine,
    file: Path,
    metadata: MetaData,
    reads: ReadsOption = "always",
    **options: Any,
) -> Iterator[Circle]:
    """A circle on an engine, whose tables are made."""
    metadata.create_all(online)
    made = Circle(of, online, Fallback(online, file, metadata, reads=reads, **options))
    try:
        # All that waits is sent before the next statement, however slow the machine is.
        with mock.patch.object(module, "_REPLAY_SECONDS", PATIENCE_S):
            yield made
    finally:
        of.warehouse.faults.clear()
        made.fallback.dispose()


def on_sqlite(metadata: MetaData, *works: Work) -> dict[str, list[tuple[Any, ...]]]:
    """What a plain SQLite database holds after the same units of work."""
    engine = create_sqlite_engine("sqlite:///:memory:")
    try:
        metadata.create_all(engine)
        for work in works:
            with Session(engine, expire_on_commit=False) as session, session.begin():
                work(session)
        with engine.connect() as connection:
            return {
                table.name: [tuple(row) for row in connection.execute(_all(table))]
                for table in metadata.sorted_tables
            }
    finally:
        engine.dispose()


def _all(table: FromClause) -> Any:
    return select(table).order_by(*table.primary_key)
