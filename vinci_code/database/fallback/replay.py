"""Bringing to the warehouse what was committed while it was away.

Units go in the order in which they were committed, as many at a time as fit into one atomic
statement, by the dialect's own held writes: with the guards that each would have had. Before a
statement is sent, its identity and what it consists of are noted in the journal; what an earlier
process has noted, and has not seen the end of, is found out first. So a lost answer or a crash
repeats nothing and skips nothing.

Where a statement of several units fails by what they write, it is halved until the one unit is
found; that is parked with its reason, and with it each later one that touches the same rows.

What is known of a statement whose end nobody has seen comes from the query history, or from stored
rows whose keys were made for it. Where neither tells, its units stay in doubt, and those behind
them that touch the same rows wait; after ``IN_DOUBT_SECONDS`` they are parked. A copy of it may
still come, and rows that are not there may have been consumed: so it is never sent again.
"""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any

from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm.exc import StaleDataError

from vinci_code.core.errors import DocumentError
from vinci_code.database.dialect import dberrors
from vinci_code.database.dialect.interruptions import is_from_signal
from vinci_code.database.dialect.units.recovery import Commit, CommitOutcome
from vinci_code.database.fallback.away import is_away
from vinci_code.database.fallback.coding import decode
from vinci_code.database.fallback.journal import Journal
from vinci_code.database.fallback.records import Batch, Entry, State
from vinci_code.database.fallback.touched import Touched, touched

if TYPE_CHECKING:
    from sqlalchemy import Table
    from sqlalchemy.engine import Engine

    from vinci_code.database.dialect.units.held import Held
    from vinci_code.database.dialect.units.unit import Unit

MOST_UNITS = 1000
"""How many units one statement holds at most."""

_MOST_BYTES = 4_000_000
"""How many bytes of documents one statement holds at most, unless one unit alone has more."""

# Of these no unit is at fault, so that nothing is parked for them.
_NOT_OF_A_UNIT = (
    dberrors.AuthenticationFailed,
    dberrors.PermissionDenied,
    dberrors.InterfaceError,
    dberrors.ConnectionLostError,
    dberrors.ConflictError,
)
IN_DOUBT_SECONDS = 900.0
"""How long after it was sent the query history may still come to show a statement."""

HISTORY_SECONDS = 2.0
"""How long the query history is asked, where an application waits for its unit of work."""

_CONFLICTS = 5
_FIRST_PAUSE = 0.1

OnParked = Callable[[Entry, str], object]
"""Is called with a unit that was parked, and why."""

_log = logging.getLogger(__name__)


@dataclass
class Replayed:
    """What a replay has done.

    Attributes:
        units: How many units are on the warehouse now.
        parked: How many could not arrive.
        finished: Whether nothing waits any more.
        error: What has stopped it; ``None`` where nothing has, or the time was up.
    """

    units: int = 0
    parked: int = 0
    finished: bool = False
    error: BaseException | None = None


def replay(
    engine: Engine,
    journal: Journal,
    tables: Mapping[str, Table],
    *,
    seconds: float | None = None,
    on_parked: OnParked | None = None,
) -> Replayed:
    """Send what waits in a journal; whoever calls it has the journal's lock of replay.

    The tables are those of the application, by their full names. After ``seconds`` no other
    statement is begun. ``on_parked`` is called with each unit that was parked.
    """
    replaying = _Replaying(journal, tables, on_parked)
    try:
        with engine.connect() as connection:
            # It waits for a warehouse that starts, and finds out whether this one is there.
            connection.exec_driver_sql("SELECT 1").all()
            connection.rollback()
            opened: Any = connection.connection.dbapi_connection
            try:
                replaying.run(opened.unit, seconds)
            except dberrors.Error:
                connection.invalidate()  # SQLAlchemy has not seen the error
                raise
    except (DBAPIError, dberrors.Error) as error:
        if is_from_signal(error):
            raise
        replaying.done.error = error
    counter: Any = engine.dialect
    counter.statistics.add(parked=replaying.done.parked)
    return replaying.done


@dataclass(frozen=True)
class _Unit:
    entry: Entry
    held: list[Held]
    touched: Touched


class _Replaying:
    def __init__(
        self,
        journal: Journal,
        tables: Mapping[str, Table],
        on_parked: OnParked | None,
    ) -> None:
        self.done = Replayed()
        self._journal = journal
        self._tables = tables
        self._on_parked = on_parked
        # What those that were parked before this touch, and those of which it may still be found
        # out what they did, as far as they come before the unit that is looked at.
        self._parked = Touched()
        self._in_doubt = Touched()
        # Whether a statement was found to be all that can be atomic.
        self._only_alike = False
        self._stopped: Iterator[Entry] = iter(())
        self._next_stopped: Entry | None = None

    def run(self, unit: Unit, seconds: float | None) -> None:
        """Send what waits, until nothing does or the time is up."""
        end = None if seconds is None else time.monotonic() + seconds
        for batch in self._journal.open_batches():
            self._settle(unit, batch, HISTORY_SECONDS if seconds is not None else None)
        self._stopped = self._journal.entries({State.PARKED, State.IN_DOUBT, State.DAMAGED})
        self._next_stopped = next(self._stopped, None)
        after = 0
        while entries := self._journal.waiting(after, MOST_UNITS, _MOST_BYTES):
            after = entries[-1].seq
            self._send(unit, list(self._ready(entries)))
            if end is not None and time.monotonic() > end:
                return
        self.done.finished = True

    # --- what an earlier replay has left --------------------------------------------------------

    def _settle(self, unit: Unit, batch: Batch, seconds: float | None) -> None:
        """Find out what became of a statement that was sent, and whose end was not noted."""
        held = list(self._held_of(batch))
        found = unit.fate(batch.identity, batch.verb, batch.began, held, seconds=seconds)
        if found.outcome is CommitOutcome.COMMITTED:
            self._journal.batch_committed(batch.identity)
            self.done.units += len(batch.seqs)
        elif found.outcome is CommitOutcome.ABSENT:
            self._journal.batch_not_executed(batch.identity)
        else:
            self._doubt(batch, found.reason)

    def _doubt(self, batch: Batch, why: str) -> None:
        reason = (
            f"it was sent to the warehouse with the query tag {batch.identity}, and whether it "
            f"was written is not known: {why}"
        )
        if time.time() - batch.began < IN_DOUBT_SECONDS:
            self._journal.batch_in_doubt(batch.identity, reason)
            return
        self._journal.park_batch(batch.identity, reason)
        for seq in batch.seqs:
            self._tell(self._journal.entry(seq), reason)

    def _held_of(self, batch: Batch) -> Iterator[Held]:
        for seq in batch.seqs:
            try:
                yield from decode(self._journal.entry(seq).document, self._tables)
            except DocumentError:
                return

    # --- what waits -----------------------------------------------------------------------------

    def _ready(self, entries: Sequence[Entry]) -> Iterator[_Unit]:
        """The units that can be sent; others are parked."""
        for entry in entries:
            self._note_stopped_before(entry.seq)
            touches = touched(entry.document, self._tables)
            if touches.meets(self._in_doubt):
                self._in_doubt.update(touches)  # it waits, and so do those behind it
                continue
            if touches.meets(self._parked):
                self._park(entry, touches, "it touches rows of a unit that is parked")
                continue
            try:
                held = decode(entry.document, self._tables)
            except DocumentError as error:
                self._park(entry, touches, str(error))
                continue
            yield _Unit(entry, held, touches)

    def _note_stopped_before(self, seq: int) -> None:
        """Note what those touch that have stopped before a place in the order."""
        while self._next_stopped is not None and self._next_stopped.seq < seq:
            entry = self._next_stopped
            stopped = self._in_doubt if entry.state is State.IN_DOUBT else self._parked
            stopped.update(touched(entry.document, self._tables))
            self._next_stopped = next(self._stopped, None)

    def _send(self, unit: Unit, units: Sequence[_Unit]) -> None:
        """Send units as one statement, and by halves where it fails by what they write."""
        units = [each for each in units if not self._is_blocked(each)]
        if not units:
            return
        groups = _alike(units) if self._only_alike else [units]
        if len(groups) > 1:
            for group in groups:
                self._send(unit, group)
            return
        try:
            self._commit(unit, units)
        except (dberrors.Error, StaleDataError) as error:
            if is_from_signal(error) or is_away(error) or not _is_of_units(error):
                raise
            if isinstance(error, dberrors.AmbiguousWriteError):
                raise  # it is found out before anything else, when the warehouse answers
            if len(units) == 1:
                (alone,) = units
                self._park(alone.entry, alone.touched, f"{type(error).__name__}: {error}")
                return
            if isinstance(error, dberrors.AtomicityError) and not self._only_alike:
                self._only_alike = True
                self._send(unit, units)
                return
            middle = len(units) // 2
            self._send(unit, units[:middle])
            self._send(unit, units[middle:])

    def _is_blocked(self, unit: _Unit) -> bool:
        """Whether a unit touches what another one of the same statement has been parked with."""
        if not unit.touched.meets(self._parked):
            return False
        self._park(unit.entry, unit.touched, "it touches rows of a unit that is parked")
        return True

    def _commit(self, unit: Unit, units: Sequence[_Unit]) -> None:
        held = list(chain.from_iterable(each.held for each in units))
        seqs = [each.entry.seq for each in units]
        pause = _FIRST_PAUSE
        for attempt in range(1, _CONFLICTS + 1):
            identity = str(uuid.uuid4())
            noted = False

            def note(commit: Commit, identity: str = identity) -> None:
                nonlocal noted
                self._journal.begin_batch(identity, seqs, verb=commit.word, began=commit.began)
                noted = True

            try:
                unit.replay(held, identity, note)
            except (dberrors.Error, StaleDataError) as error:
                if is_from_signal(error) or isinstance(error, dberrors.AmbiguousWriteError):
                    raise  # the journal knows that it was sent
                if noted:
                    self._journal.batch_not_executed(identity)
                if not isinstance(error, dberrors.ConflictError) or attempt == _CONFLICTS:
                    raise
                time.sleep(pause)
                pause *= 2
                continue
            if not noted:
                note(Commit("SELECT", held))  # there was nothing to be written
            self._journal.batch_committed(identity)
            self.done.units += len(units)
            return

    def _park(self, entry: Entry, touches: Touched, reason: str) -> None:
        self._journal.park([entry.seq], reason)
        self._parked.update(touches)
        self._tell(entry, reason)

    def _tell(self, entry: Entry, reason: str) -> None:
        self.done.parked += 1
        _log.warning("unit %d of the journal is parked: %s", entry.seq, reason)
        if self._on_parked is None:
            return
        try:
            self._on_parked(entry, reason)
        except Exception as error:
            if is_from_signal(error):
                raise
            # The unit is parked already.
            _log.warning("on_parked failed for unit %d", entry.seq, exc_info=True)


def _is_of_units(error: Exception) -> bool:
    """Whether a statement failed by what its units write, and not by a request that was refused.

    A path that is wrong, say, is answered with a status, and with no name of an error.
    """
    if isinstance(error, _NOT_OF_A_UNIT):
        return False
    if type(error) is not dberrors.OperationalError:
        return True
    return error.error_class is not None or error.sqlstate is not None


def _alike(units: Sequence[_Unit]) -> list[list[_Unit]]:
    """Units in groups of which each may be one statement, in an order that changes nothing.

    Without transactions only those that write to the same columns of one table in one way can be
    sent together. One may go before others that touch nothing of what it touches.
    """
    groups: list[tuple[Any, list[_Unit], Touched]] = []
    for unit in units:
        sort = [getattr(write, "signature", None) for write in unit.held]
        for known, members, touches in reversed(groups):
            if known == sort:
                members.append(unit)
                touches.update(unit.touched)
                break
            if unit.touched.meets(touches):
                groups.append((sort, [unit], _copy(unit.touched)))
                break
        else:
            groups.append((sort, [unit], _copy(unit.touched)))
    return [members for _, members, _ in groups]


def _copy(touches: Touched) -> Touched:
    copied = Touched()
    copied.update(touches)
    return copied
