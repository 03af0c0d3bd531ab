"""The journal: what was committed while the warehouse was away, in the order of its commits.

A unit of work is stored in the transaction of its rows in the standby tables, and leaves the
journal when it is known to have arrived, or when somebody discards it. In between it waits, or is
in doubt (it was sent, and its outcome is not known), or is parked (it could not arrive), or was
found damaged. The order is that of ``seq``, which the ledger counts up within the transactions.

Before a statement goes to the warehouse its batch is noted, and synced: its units are in doubt from
then on, whatever happens to the process, until the outcome is noted. So no crash sends a unit again
whose first statement may have committed.

The ledger counts what was stored, what arrived and what was discarded, each in the transaction that
does it, and the runs of units that have left are kept. What is neither here nor among those is
missing, and is named. A row whose seal or digest is wrong is never given out: its unit is damaged,
and named. Where the ledger itself cannot be believed, nothing can: the file has to be salvaged.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterator, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from vinci_code.core.errors import JournalError
from vinci_code.database.fallback import journal_tables as tables
from vinci_code.database.fallback.journal_connection import OwnConnection
from vinci_code.database.fallback.journal_file import JournalFile, sqlite_explained
from vinci_code.database.fallback.journal_tables import Place
from vinci_code.database.fallback.locks import owned
from vinci_code.database.fallback.records import (
    Batch,
    Counts,
    Entry,
    Ledger,
    Mirror,
    Sent,
    Standing,
    State,
    now,
    pack,
)

_MOST_BYTES = 8 * 1024 * 1024
MOST_UNITS = 1000


class Journal:
    """The journal in the SQLite file of the fallback; for any number of threads and processes.

    None of its methods but ``append``, ``note_mirror`` and ``acknowledged`` may be called by a
    thread that has a transaction open on another connection: it would wait for itself.

    Args:
        path: The file; nothing is opened yet.
    """

    def __init__(self, path: Path) -> None:
        self._file = JournalFile(path)
        self._own = OwnConnection(self._file)
        self._counted: tuple[Ledger, Counts] | None = None
        self._appended: dict[int, Ledger] = {}  # by seq; not known to be committed yet

    @property
    def path(self) -> Path:
        """The file, with every link followed."""
        return self._file.path

    def prepare(self) -> None:
        """Make the file where it is not there, or check that it can be relied on.

        Raises:
            FallbackFileError: The file, its log, or its folder cannot be used; ``damaged`` tells
                that it has to be salvaged.
        """
        self._file.prepare()
        noted = self._file.mark.read()  # before the ledger, which others count up
        try:
            with self._file.looked_at() as connection:
                ledger = tables.read_ledger(self._file, connection)
                tables.check_end(self._file, ledger, noted)
                tables.count(self._file, connection, ledger)
            with self._own.changing() as connection:
                # BEGIN IMMEDIATE alone does not fail on a file that may only be read.
                tables.take_write_lock(connection)
        except BaseException:
            self.close()
            raise

    def connect(self, factory: type[sqlite3.Connection] = sqlite3.Connection) -> sqlite3.Connection:
        """Open a connection that is set up as all to this file must be.

        Write-ahead log, synced at each commit; transactions by BEGIN alone; foreign keys not
        enforced. ``BEGIN IMMEDIATE`` is right for a transaction that appends: one that has read
        before cannot write any more when somebody else has written meanwhile.

        Raises:
            FallbackFileError: It cannot be opened.
        """
        return self._file.connect(factory)

    def close(self) -> None:
        """Close what was opened here; connections of ``connect`` belong to who asked for them."""
        self._own.close()
        self._file.mark.close()

    def explained(self) -> AbstractContextManager[None]:
        """Turn what SQLite says meanwhile into a ``FallbackFileError``, as for a COMMIT."""
        return sqlite_explained(self.path)

    def append(
        self,
        connection: sqlite3.Connection,
        *,
        identity: str,
        document: bytes,
        rows: int,
        sent: Sent | None = None,
        may_wait: bool = True,
    ) -> int:
        """Store a unit of work within the transaction of a connection, which then commits it.

        Args:
            connection: One of ``connect``, in a transaction.
            identity: The uuid of the unit.
            document: What is stored.
            rows: How many rows it writes.
            sent: How it was sent to the warehouse already, where its answer was lost: it is in
                doubt, in a batch of its own identity.
            may_wait: Whether to take the lock to write first, and wait for it; a transaction that
                has changed rows has it.

        Returns:
            Its ``seq``; after the commit has returned, give it to ``acknowledged``.

        Raises:
            FallbackFileError: It could not be stored; the transaction was rolled back.
        """
        if not connection.in_transaction:
            raise JournalError(
                f"Unit {identity} was not stored: its connection to {self.path} has no "
                "transaction. To fix it: begin one with BEGIN IMMEDIATE."
            )
        try:
            with sqlite_explained(self.path):
                if may_wait:
                    tables.take_write_lock(connection)
                return self._append(connection, identity, document, rows, sent)
        except BaseException:
            # Half of it could be committed by who does not heed the error. SQLite has rolled back
            # by itself where the disk is full.
            with suppress(sqlite3.Error):
                connection.rollback()
            raise

    def acknowledged(self, seq: int) -> None:
        """Note that the commit of an appended unit has returned.

        Without it a damage that takes the end of the file is not seen as far as this unit.
        """
        ledger = self._appended.pop(seq, None)
        if ledger is not None:
            self._file.mark.note(ledger)

    def waiting(
        self, after: int = 0, most_units: int = MOST_UNITS, most_bytes: int = _MOST_BYTES
    ) -> list[Entry]:
        """The next units that wait, in their order.

        A unit that is found damaged meanwhile is not among them: it is ``DAMAGED`` from then on,
        which ``counts`` and ``entries`` tell.

        Args:
            after: The ``seq`` behind which to begin.
            most_units: How many at most.
            most_bytes: How many bytes of documents at most; the first is given whatever it has.

        Raises:
            FallbackFileError: The file cannot be read.
        """
        found: list[Entry] = []
        damaged: dict[int, str] = {}
        size = 0
        with self._own.reading() as connection:
            for place in tables.places_that_wait(connection, after):
                if len(found) == most_units or (found and size + place.size > most_bytes):
                    break
                entry = tables.read_entry(connection, place)
                if entry.state is State.WAITING:
                    found.append(entry)
                    size += place.size
                else:
                    damaged[place.seq] = entry.reason or ""
        self._note_damaged(damaged)
        return found

    def entries(self, states: Collection[State] = tuple(State)) -> Iterator[Entry]:
        """All units in the journal, in their order, one at a time in memory.

        One that is not whole is ``DAMAGED``, whatever it was, with no document.

        Raises:
            FallbackFileError: The file cannot be read.
        """
        after = 0
        while True:
            with self._own.reading() as connection:
                places = tables.some_places_after(connection, after)
            for place in places:
                with self._own.reading() as connection:
                    entry = tables.read_entry(connection, place)
                if entry.state in states:
                    yield entry
            if not places:
                return
            after = places[-1].seq

    def entry(self, seq: int) -> Entry:
        """One unit in the journal; one that is not whole is ``DAMAGED``, with no document.

        Raises:
            JournalError: It is not there.
            FallbackFileError: The file cannot be read.
        """
        with self._own.reading() as connection:
            return tables.read_entry(connection, self._place(connection, seq))

    def begin_batch(
        self, identity: str, seqs: Sequence[int], *, verb: str, began: float, copies: int = 1
    ) -> None:
        """Note, and sync, that units are sent as one statement; to be called before it is.

        Args:
            identity: The identity that the statement is sent with.
            seqs: The units, all of which have to be waiting.
            verb: The statement's first word.
            began: When it is sent, in seconds since the epoch.
            copies: How many times it is sent at most.

        Raises:
            JournalError: One of them does not wait any more; nothing was noted.
            FallbackFileError: It could not be noted.
        """
        with self._own.changing() as connection:
            places = [self._place(connection, seq, State.WAITING) for seq in seqs]
            tables.write_batch(connection, Batch(identity, (), verb, began, copies, None))
            for place in places:
                tables.write_place(
                    connection, replace(place, state=State.IN_DOUBT, batch=identity, reason=None)
                )
            self._count(connection)

    def open_batches(self) -> list[Batch]:
        """The batches whose outcome is not noted, by the order of their first units.

        Raises:
            FallbackFileError: They cannot be read, or not be believed.
        """
        with self._own.reading() as connection:
            return tables.read_batches(self._file, connection)

    def batch_committed(self, identity: str) -> None:
        """Note that a batch arrived: its units leave the journal.

        Raises:
            JournalError: There is no such batch.
            FallbackFileError: It could not be noted.
        """
        with self._own.changing() as connection:
            batch = self._batch(connection, identity)
            tables.remove(self._file, connection, batch.seqs)
            tables.remove_batch(connection, identity)
            self._count(connection, done=len(batch.seqs))

    def batch_not_executed(self, identity: str) -> None:
        """Note that a batch wrote nothing: its units wait again.

        Raises:
            JournalError: There is no such batch.
            FallbackFileError: It could not be noted.
        """
        with self._own.changing() as connection:
            self._end_batch(connection, identity, state=State.WAITING, reason=None, batch=None)

    def batch_in_doubt(self, identity: str, reason: str) -> None:
        """Note that the outcome of a batch could not be found out yet; it is kept.

        Raises:
            JournalError: There is no such batch.
            FallbackFileError: It could not be noted.
        """
        with self._own.changing() as connection:
            batch = self._batch(connection, identity)
            tables.write_batch(connection, replace(batch, reason=reason))
            for seq in batch.seqs:
                place = self._place(connection, seq, State.IN_DOUBT)
                tables.write_place(connection, replace(place, reason=reason))
            self._count(connection)

    def park(self, seqs: Sequence[int], reason: str) -> None:
        """Set units aside that cannot arrive, until somebody decides about them.

        Raises:
            JournalError: One of them is not there, or is in a batch; nothing was changed.
            FallbackFileError: It could not be noted.
        """
        with self._own.changing() as connection:
            for seq in seqs:
                place = self._place(connection, seq, State.WAITING, State.PARKED)
                tables.write_place(connection, replace(place, state=State.PARKED, reason=reason))
            self._count(connection)

    def park_batch(self, identity: str, reason: str) -> None:
        """Set the units of a batch aside whose outcome nobody can find out.

        They keep the identity of the batch, so that ``retry`` asks whether they were written.

        Raises:
            JournalError: There is no such batch.
            FallbackFileError: It could not be noted.
        """
        with self._own.changing() as connection:
            self._end_batch(connection, identity, state=State.PARKED, reason=reason)

    def retry(self, seqs: Sequence[int], *, not_written: bool = False) -> None:
        """Have parked units wait again, each at its place in the order.

        Args:
            seqs: The units.
            not_written: That somebody has found out that none of them is on the warehouse. Without
                it a unit that may be there is refused: it would be written twice.

        Raises:
            JournalError: One of them is not there, not parked, not whole, or may be on the
                warehouse already; nothing was changed.
            FallbackFileError: It could not be noted.
        """
        with self._own.changing() as connection:
            for seq in seqs:
                place = self._place(connection, seq, State.PARKED)
                entry = tables.read_entry(connection, place)
                if entry.state is not State.PARKED:
                    raise JournalError(
                        f"Unit {seq} of {self.path} cannot be sent again: {entry.reason}. To fix "
                        "it: find out what it wrote from its application, and discard it."
                    )
                if entry.may_be_there and not not_written:
                    raise self._may_be_there(entry)
                tables.write_place(
                    connection, replace(place, state=State.WAITING, batch=None, reason=None)
                )
            self._count(connection)

    def discard(self, seqs: Sequence[int]) -> None:
        """Take units out of the journal for good: parked, damaged, waiting, or missing ones.

        Raises:
            JournalError: One of them was never there, has left already, or is in a batch; nothing
                was changed.
            FallbackFileError: It could not be noted.
        """
        with self._own.changing() as connection:
            appended = tables.read_ledger(self._file, connection).appended
            for seq in seqs:
                place = tables.read_place(connection, seq)
                if place is None and not 0 < seq <= appended:
                    raise self._not_there(seq)
                if place is not None and place.state is State.IN_DOUBT:
                    raise self._not_so(place, ())
            tables.remove(self._file, connection, sorted(set(seqs)))
            self._count(connection, discarded=len(set(seqs)))

    def counts(self) -> Counts:
        """What the journal holds; what it has not changed since is not counted again.

        Raises:
            FallbackFileError: The file cannot be read, or not be believed.
        """
        with self._own.reading() as connection:
            ledger = tables.read_ledger(self._file, connection)
            if self._counted is None or self._counted[0] != ledger:
                self._counted = ledger, tables.count(self._file, connection, ledger)
            return self._counted[1]

    def state(self) -> Standing | None:
        """Where units of work go, as was set last by any process; ``None`` where it never was.

        Raises:
            FallbackFileError: It cannot be read, or not be believed.
        """
        with self._own.reading() as connection:
            return tables.read_standing(self._file, connection)

    def set_state(self, standing: Standing) -> None:
        """Tell all processes where units of work go.

        Raises:
            FallbackFileError: It could not be noted.
        """
        with self._own.changing() as connection:
            tables.write_standing(connection, standing)

    def mirrored(self) -> dict[str, Mirror]:
        """The tables that were copied from the warehouse, by their names.

        Raises:
            FallbackFileError: It cannot be read, or not be believed.
        """
        with self._own.reading() as connection:
            return tables.read_mirrors(self._file, connection)

    def note_mirror(
        self,
        connection: sqlite3.Connection,
        table: str,
        as_of: str,
        version: int | None,
        rows: int,
    ) -> None:
        """Note within the transaction of a connection that a table was copied with it.

        Args:
            connection: One of ``connect``.
            table: The table's name.
            as_of: The time that its rows are of.
            version: The table's version there, where it is known.
            rows: How many rows were copied.

        Raises:
            FallbackFileError: It could not be noted.
        """
        with sqlite_explained(self.path):
            tables.write_mirror(connection, Mirror(table, as_of, version, rows))

    def replaying(self) -> AbstractContextManager[bool]:
        """Own the replay of this file meanwhile; ``False`` at once where somebody else does.

        Between threads and processes; it ends with its owner, and no forked child has it.
        """
        return owned(self._file.beside(".lock"))

    # What one transaction does

    def _append(
        self,
        connection: sqlite3.Connection,
        identity: str,
        document: bytes,
        rows: int,
        sent: Sent | None,
    ) -> int:
        self._file.check_there()
        ledger = tables.read_ledger(self._file, connection)
        seq, committed_at = ledger.appended + 1, now()
        record = pack(
            seq=seq, identity=identity, committed_at=committed_at, rows=rows, document=document
        )
        place = Place(seq, State.WAITING, None, None, committed_at, rows, len(record))
        if sent is not None:
            place = replace(place, state=State.IN_DOUBT, batch=identity, reason=sent.reason)
            batch = Batch(identity, (), sent.verb, sent.began, sent.copies, sent.reason)
            tables.write_batch(connection, batch)
        tables.write_record(connection, seq, record)
        tables.write_place(connection, place)
        ended = ledger.done, ledger.discarded, ledger.lost
        ledger = Ledger(ledger.file, ledger.version + 1, seq, *ended)
        tables.write_ledger(connection, ledger)
        self._file.ledger = ledger
        self._appended[seq] = ledger
        if len(self._appended) > _MOST_UNNOTED:
            self._appended.pop(min(self._appended), None)
        return seq

    def _count(self, connection: sqlite3.Connection, **more: int) -> Ledger:
        """Change the ledger within the transaction that does what it counts."""
        ledger = tables.read_ledger(self._file, connection)
        added = {name: getattr(ledger, name) + number for name, number in more.items()}
        ledger = replace(ledger, version=ledger.version + 1, **added)
        tables.write_ledger(connection, ledger)
        return ledger

    def _end_batch(self, connection: sqlite3.Connection, identity: str, **new: Any) -> None:
        """Remove a batch, and change the places of its units."""
        for seq in self._batch(connection, identity).seqs:
            place = self._place(connection, seq, State.IN_DOUBT)
            tables.write_place(connection, replace(place, **new))
        tables.remove_batch(connection, identity)
        self._count(connection)

    def _note_damaged(self, damaged: dict[int, str]) -> None:
        if not damaged:
            return
        with self._own.changing() as connection:
            for seq, reason in damaged.items():
                place = tables.read_place(connection, seq)
                if place is not None and place.state in (State.WAITING, State.DAMAGED):
                    tables.write_place(
                        connection, replace(place, state=State.DAMAGED, batch=None, reason=reason)
                    )
            self._count(connection)

    def _batch(self, connection: sqlite3.Connection, identity: str) -> Batch:
        for batch in tables.read_batches(self._file, connection):
            if batch.identity == identity:
                return batch
        raise JournalError(
            f"The journal {self.path} has no batch {identity}: its outcome was noted already."
        )

    def _place(self, connection: sqlite3.Connection, seq: int, *wanted: State) -> Place:
        place = tables.read_place(connection, seq)
        if place is None:
            raise self._not_there(seq)
        if wanted and place.state not in wanted:
            raise self._not_so(place, wanted)
        return place

    def _not_there(self, seq: int) -> JournalError:
        return JournalError(
            f"There is no unit {seq} in {self.path}: it arrived, was discarded, or never was."
        )

    def _may_be_there(self, entry: Entry) -> JournalError:
        return JournalError(
            f"Unit {entry.seq} of {self.path} may be on the warehouse already, and would be "
            f"written twice: {entry.reason}. Nothing was changed. To fix it: look for its rows "
            f"(vinci fallback show {entry.seq}), and for the query tag in the query history if the "
            f"reason names one. If it is there: vinci fallback discard {entry.seq}. If it is not: "
            f"vinci fallback retry {entry.seq} --not-written."
        )

    def _not_so(self, place: Place, wanted: Collection[State]) -> JournalError:
        expected = " or ".join(state.value for state in wanted) or "known to be sent or not"
        return JournalError(
            f"Unit {place.seq} of {self.path} is {place.state.value}, and has to be {expected}. "
            "Nothing was changed."
        )


_MOST_UNNOTED = 1000
