"""A unit of work on one connection: what it has written is held, and sent when it is committed.

A unit is in one of three states:

* **holding**: nothing of it was sent. A SELECT on tables without held writes just runs, and one on
  others may bring these along (``laid_over``). COMMIT sends everything as one statement, or as one
  ``BEGIN ATOMIC … END``; ROLLBACK drops it.
* **in a transaction** of the warehouse: begun by a SELECT that has to see what is held and does not
  bring it along, by a unit that is too large for one statement, or at the first statement with
  ``REPEATABLE READ``.
* **failed**: a statement of its transaction has failed, so that only ROLLBACK is left.

With ``AUTOCOMMIT`` nothing is held; each statement is a unit of its own.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain, islice
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple, Protocol

from vinci_code.database.dialect.dberrors import (
    AmbiguousWriteError,
    Error,
    IntegrityError,
    NotSupportedError,
    OperationalError,
    PendingWritesError,
    PermissionDenied,
    ProgrammingError,
    StatementTimeout,
)
from vinci_code.database.dialect.driver import query_history
from vinci_code.database.dialect.driver.announcing import StatementKind, UnitOfWork, UnitOutcome
from vinci_code.database.dialect.interruptions import is_foreign, is_from_signal
from vinci_code.database.dialect.sql.keys import next_key
from vinci_code.database.dialect.sql.locking import LockedTable
from vinci_code.database.dialect.sql.views import KnownViews, Name, questions
from vinci_code.database.dialect.text.binding import MAX_STATEMENT_BYTES, byte_length, written_out
from vinci_code.database.dialect.text.scanning import (
    ANY_VIEW,
    BEGIN,
    BLOCK,
    COMMIT,
    LOOK,
    LOOKS,
    QUERY,
    ROLLBACK,
    ROWS,
    StatementTraits,
    is_several,
)
from vinci_code.database.dialect.units import unit_errors
from vinci_code.database.dialect.units.copying import settled
from vinci_code.database.dialect.units.held import (
    Held,
    HeldFiles,
    HeldMark,
    HeldRows,
    HeldText,
    HeldWrites,
    bare_name,
    computes_key,
    joined,
    new_key,
    tables_of,
)
from vinci_code.database.dialect.units.key_ranges import KeyRanges, ReservedKeys
from vinci_code.database.dialect.units.laid_over import LaidOver, Laying
from vinci_code.database.dialect.units.loaded import LoadedValues, moment
from vinci_code.database.dialect.units.recovery import (
    Commit,
    CommitFinding,
    CommitOutcome,
    find_out,
    is_new_key,
    note_keys,
)
from vinci_code.database.dialect.units.staged_files import REMOVAL_SECONDS, StagedFiles
from vinci_code.database.dialect.units.statistics import Counter, Progress
from vinci_code.database.dialect.units.steps import Step, locking, refuse_duplicates, steps
from vinci_code.database.dialect.writes import guards
from vinci_code.database.dialect.writes.dml import Returned
from vinci_code.database.dialect.writes.locks import LockedRows
from vinci_code.database.dialect.writes.look_ups import LookUp
from vinci_code.database.dialect.writes.payload import SPLIT_JSON_BYTES
from vinci_code.database.dialect.writes.shapes import WriteKind

if TYPE_CHECKING:
    from vinci_code.database.dialect.driver.dbapi import Connection, Cursor


@dataclass(frozen=True)
class Origin:
    """An execution that a unit of work consists of.

    Attributes:
        statement: The construct.
        rows: Its sets of parameters, with the defaults and the keys that were made for them.
        options: Its execution options.
    """

    statement: Any
    rows: Sequence[Mapping[str, Any]]
    options: Mapping[str, Any]


Unsent = Callable[[Sequence[Origin | None], Sequence[Held], Error], bool]
"""Keeps a unit of work whose commit could not be sent, or whose fate nobody could be asked for.

It is given the executions that it consists of, ``None`` for a text of the application's own; what
they hold; and the error. It returns whether the unit is kept, so that it counts as committed.
"""

BeforeCommit = Callable[[Sequence[Held]], None]
"""Raises why a unit of work, with these writes, is not to be sent now, and may be kept."""

DEFAULT = "READ COMMITTED"
REPEATABLE_READ = "REPEATABLE READ"
AUTOCOMMIT = "AUTOCOMMIT"
LEVELS = (DEFAULT, REPEATABLE_READ, AUTOCOMMIT)

# Room for the words around the statements of a block.
_MAX_BLOCK_BYTES = MAX_STATEMENT_BYTES - 64 * 1024
# What stands between the statements of a block.
_BETWEEN = "\n;\n"

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Replay:
    """How what was held elsewhere is committed here.

    Attributes:
        identity: That of the commit.
        made: The keys that prove it.
        sending: Called with the commit right before it is sent.
    """

    identity: str
    made: frozenset[int]
    sending: Callable[[Commit], object] | None


class UnitObserver(Protocol):
    """Who is told of units of work."""

    def unit_begins(self, unit: UnitOfWork) -> None:
        """Tell that one has written or sent something."""

    def unit_ends(self, unit: UnitOfWork, of: Callable[[], str]) -> None:
        """Tell that it has ended; ``of`` says in words what it has written."""


class Options(Protocol):
    """What a unit of work asks of the dialect, by the names of its options."""

    atomicity: str
    before_commit: BeforeCommit | None
    held_read_bytes: int
    hide_keys: bool
    history_timeout: float
    identifier_preparer: Any
    key_ranges: KeyRanges | ReservedKeys
    statistics: Counter
    transactions: str
    unsent: Unsent | None
    views: KnownViews

    @property
    def announcer(self) -> UnitObserver:
        """Who is told of units."""

    def tell(self, progress: Progress) -> None:
        """Tell how far the sending has come."""


class Query(Protocol):
    """What is known of a compiled query: see ``TablesUsed`` and ``HeldReads``."""

    tables_used: frozenset[str] | None
    tables_read: frozenset[Any]
    is_written_by_hand: bool
    selects_within: bool
    locked: Sequence[LockedTable]


class Unit:
    """The unit of work of a connection; one follows the other.

    Attributes:
        held: What was written and not sent yet.
        loaded: What objects were loaded with that a flush is about to write.
        is_for_later: Whether it is not sent at its commit, but when others may have written.
        owner: Gives SQLAlchemy's connection that it is used by, for whoever listens to that;
            ``None`` where none is known. It keeps none alive: a connection that an application has
            dropped goes back to the pool when it is collected.
        own_tags: The query tags that the application has given it.
    """

    is_for_later = False

    def __init__(self, connection: Connection, dialect: Options) -> None:
        self.held = HeldWrites()
        self.loaded = LoadedValues()
        self._laying = Laying(self.held, dialect)
        # The tables that were written to by other statements than a flush; ``None`` for any.
        # When, by the bare names of tables; under no name that of any table.
        self._changed: dict[str | None, int] = {}
        # The tables that were read with what is held, in order.
        self._seen: list[str] = []
        self._connection = connection
        self._dialect = dialect
        self._level = DEFAULT
        self._in_transaction = False
        self._failed = False
        self._lost_savepoint: str | None = None
        # What its transaction has sent: by it a lost COMMIT is found out.
        self._sent: list[Held] = []
        # With what was noted of changed rows, which have none of it when they are back there.
        self._savepoints: dict[str, _Savepoint] = {}
        # The executions that it consists of, where somebody keeps what cannot be sent.
        self._origins: list[Origin | None] = []
        self.owner: Callable[[], Any] = _nobody
        self.own_tags: Mapping[str, str] = {}
        # What is told of it, from its first write or statement on.
        self._record: UnitOfWork | None = None
        self._outcome = UnitOutcome.ROLLED_BACK
        self._error: BaseException | None = None
        self._written: Sequence[Held] = ()
        self._replay: _Replay | None = None
        # What was held when the flush began that is to be checked at its end.
        self._before_flush: HeldMark | None = None
        # Rows that were read FOR UPDATE, of which nothing was made sure yet.
        self._locked: list[LockedRows] = []
        # The files in volumes that its writes read.
        self._files = StagedFiles(connection)

    # --- levels ---------------------------------------------------------------------------------

    @property
    def level(self) -> str:
        """The isolation level, one of ``LEVELS``."""
        return self._level

    @level.setter
    def level(self, level: str) -> None:
        self._level = level
        self._connection.autocommit = level == AUTOCOMMIT

    @property
    def holds(self) -> bool:
        """Whether writes are held, and not run at once."""
        # A transaction that was begun by a statement of the application's own is its affair.
        return self._level != AUTOCOMMIT and (
            self._in_transaction or not self._connection.in_transaction
        )

    @property
    def tags(self) -> dict[str, str]:
        """The query tags of its statements: the application's, and the one that names the unit."""
        return {**self.own_tags, query_history.UNIT_TAG: self.begun().id}

    def begun(self) -> UnitOfWork:
        """What is told of it; it begins with that, where it has not begun."""
        if self._record is None:
            self._record = UnitOfWork()
            self._dialect.announcer.unit_begins(self._record)
        return self._record

    def require_transactions(self) -> None:
        """Begin a transaction, and roll it back.

        Raises:
            NotSupportedError: The workspace has none.
        """
        try:
            self._begin()
        except (NotSupportedError, ProgrammingError) as error:
            if not unit_errors.says_unavailable(error):
                raise
            raise NotSupportedError(
                "the workspace has no transactions, and transactions='on' wants them: "
                f"{error.happened}\n"
                "To fix it: have the preview of transactions switched on for the workspace, or "
                "choose transactions='auto' (DATABRICKS_TRANSACTIONS).",
                sqlstate=error.sqlstate,
                error_class=error.error_class,
                statement_id=error.statement_id,
            ) from error
        self._abandon_transaction()

    # --- statements -----------------------------------------------------------------------------

    def changed_at(self, table: str) -> int | None:
        """When this unit has written a table last by another statement than a flush.

        To go back to a savepoint is one, if what is undone was read: SQLAlchemy leaves an object as
        it was loaded in between, unless somebody has changed it.

        Args:
            table: Its bare name.

        Returns:
            The moment, as of ``loaded.moment``; ``None`` where it has not.
        """
        return _last(self._changed, table)

    def write(
        self,
        held: Sequence[Held],
        cursor: Cursor,
        *,
        at_once: bool = False,
        flush: bool = False,
        origins: Callable[[], Iterable[Origin]] | None = None,
    ) -> bool:
        """Hold what one execution writes, or run it at once; returns whether it is held.

        Args:
            held: The writes: one, or one for each set of parameters.
            cursor: The cursor that it was executed on.
            at_once: Whether it is to be run now.
            flush: Whether it is one of the ORM's flush.
            origins: Say what was executed; ``None`` for a text of the application's own.
        """
        self._require_sound()
        self.begun()
        if at_once:
            self.before_other("a write that is not to be held")
        for write in held:
            if not flush:
                self._note_changed(write)
            note_keys(write)
        if not at_once and self.holds:
            self._begin_if_wanted()
            for write in held:
                self.held.add(write)
            if self._dialect.unsent is not None:
                self._origins += [None] if origins is None else origins()
            cursor.rowcount = (
                -1 if any(isinstance(write, HeldText) for write in held) else _rows(held)
            )
            return True
        self._run_at_once(held, cursor)
        return False

    def refuses_files(self, table: str) -> str | None:
        """Why rows of files cannot be loaded now; ``None`` where they can.

        Args:
            table: The bare name of the table that they are for.
        """
        if self._level == REPEATABLE_READ or self._connection.in_transaction:
            return "a transaction of the warehouse cannot read the files of a volume"
        if self._dialect.atomicity == "per_table":
            return None
        others = [write for write in self.held if write.changes != frozenset({table})]
        if others:
            return (
                f"the unit of work has written to {', '.join(tables_of(others))} before; both "
                "would take a transaction, which cannot read the files of a volume"
            )
        return None

    def look(self, text: str) -> list[tuple[Any, ...]]:
        """The rows of a statement that looks at names, and not at rows."""
        self._require_sound()
        cursor = self._connection.cursor()
        cursor.execute(text, described=LOOK)
        return cursor.fetchall()

    def hold_files(self, write: HeldFiles) -> None:
        """Hold a load of files, or run it at once where nothing is held.

        Raises:
            Error: It failed; its files are removed, unless nobody knows what became of it.
        """
        cursor = self._connection.cursor()
        try:
            if self.write([write], cursor):
                return
        except AmbiguousWriteError:
            self._files.leave()
            raise
        finally:
            if not self.held.holds(write):
                self._files.remove_all()

    def put_file(self, path: str, file: BinaryIO, size: int) -> None:
        """Send a file to a volume, which is removed from there when the unit has ended.

        Raises:
            Error: It could not be sent.
        """
        self._require_sound()
        self._files.put(path, file, size)

    def remove_files(self, paths: Iterable[str]) -> None:
        """Remove files from a volume; what cannot be removed is logged, and stays."""
        self._files.remove(paths)

    def remove_file(self, path: str) -> None:
        """Remove a file from a volume.

        Raises:
            Error: It cannot be removed.
        """
        self._require_sound()
        self._connection.remove_file(path, REMOVAL_SECONDS)

    def close(self) -> None:
        """Remove the files of loads that will not be committed, since the connection is closed."""
        self._files.remove_all()

    def flush_begins(self) -> None:
        """Note what is held before the first write of a flush."""
        if self._before_flush is None:
            self._before_flush = self.held.mark()

    def flush_ends(self) -> None:
        """Raise where what was written since ``flush_begins`` breaks a constraint.

        Raises:
            IntegrityError: It does.
            StaleDataError: A row was changed or deleted by somebody else.
        """
        mark, self._before_flush = self._before_flush, None
        if mark is None:
            return
        if self._in_transaction and self.held:
            self._send_held("what a flush has written is checked")
        else:
            self._check_since(mark, matched=True)

    def known_row(self, query: LookUp, key: tuple[Any, ...]) -> tuple[Any, ...] | None:
        """The row that a query looks up, where this unit has inserted it with plain values.

        Args:
            query: The query.
            key: The values of the key.

        Returns:
            The row; ``None`` where it has to be asked for.
        """
        self._require_sound()
        if self._level != DEFAULT or not self.holds or not is_new_key(query.table, key):
            return None  # somebody else may have a row with this key
        writes = self.held.to(bare_name(query.table))
        if not all(
            isinstance(write, HeldRows)
            and write.shape.table is query.table
            and write.shape.key is not None
            and write.upsert is None
            and not write.checks.foreign_keys
            and not new_key(write.shape)
            and not computes_key(write.shape)
            for write in writes
        ):
            return None
        found: tuple[Any, ...] | None = query.row(
            key, [(write.shape, write.rows) for write in writes if isinstance(write, HeldRows)]
        )
        self._seen.append(bare_name(query.table))
        return found

    def laid_over(self, query: Query, names: Collection[Name]) -> LaidOver | None:
        """What is held on the tables of a query, for the query to bring it along.

        Args:
            query: The query.
            names: What it reads; schemas that stand for others are translated.

        Returns:
            The tables as they come out; ``None`` where the query misses nothing, or where that
            cannot be done for certain, so that ``before_read`` sends what is held.
        """
        tables = query.tables_used
        if not self._dialect.held_read_bytes:
            return None
        self._require_sound()
        if tables is None or query.is_written_by_hand or self._connection.temporary_views:
            return None  # a temporary view may hide any of the tables
        if self._level != DEFAULT or self._in_transaction or not self.holds:
            return None
        if not self.held.touches(tables) or not all(map(self._may_lock, query.locked)):
            return None
        laid = self._laying.over(query)
        if laid is None:
            return None
        # What rows are written to is no view.
        written = set(map(bare_name, laid.names))
        if self._reads_view({n for n in names if n.table not in written}):
            return None
        self._seen += written
        return laid

    def returned(
        self, writes: Sequence[Held], returned: Returned, values: Mapping[str, Any]
    ) -> LaidOver | None:
        """A query for what RETURNING gives of writes that are about to be held.

        Args:
            writes: The writes, all of one statement.
            returned: What it gives.
            values: The parameters of the statement, by their keys.

        Returns:
            The query; ``None`` where that is not known for certain.

        Raises:
            IntegrityError: A key is held twice.
        """
        self._require_sound()
        if not self.holds or not self._dialect.held_read_bytes or self._connection.temporary_views:
            return None
        self._begin_if_wanted()
        self._seen += chain.from_iterable(write.tables or () for write in writes)
        return self._laying.returned(writes, returned, values)

    def before_lock(self) -> None:
        """Refuse to read rows FOR UPDATE where no commit of the unit could make sure of them.

        Raises:
            NotSupportedError: The application has begun a transaction by a statement of its own.
        """
        self._require_sound()
        if self._level != AUTOCOMMIT and not self.holds:
            raise NotSupportedError(
                "rows are read FOR UPDATE within a transaction that was begun by a statement of "
                "the application's own, and its COMMIT makes sure of nothing; nothing was read\n"
                "To fix it: leave BEGIN TRANSACTION out; the unit of work is committed as a whole, "
                "and isolation_level='REPEATABLE READ' begins a transaction."
            )

    def lock(self, of: LockedTable, rows: Iterable[Sequence[Any]]) -> None:
        """Have the commit make sure that rows, which were read, are as they were.

        Args:
            of: Their table.
            rows: The values of its key, and of its other columns, of each.
        """
        if not self.holds:
            return  # AUTOCOMMIT: the unit has ended with the statement
        noted = LockedRows(of, hide_keys=self._dialect.hide_keys)
        noted.add(rows, {} if self._in_transaction else self._own(of))
        if noted.rows:
            self._locked.append(noted)

    def before_read(
        self, tables: Iterable[str] | None, names: Collection[Name] = frozenset()
    ) -> None:
        """Send what a SELECT would miss.

        Args:
            tables: The bare names of the tables that it reads; ``None`` where they are not known.
            names: What of these may be a view, which reads others; schemas that stand for others
                are translated.

        Raises:
            PendingWritesError: That needs a transaction, and there are none.
        """
        self._require_sound()
        if not self.holds:
            return
        self._begin_if_wanted()
        if self.held.touches(tables) or (self.held and self._reads_view(names)):
            self._send_held("a SELECT has to see what the unit has written")

    def settled_tables(
        self, tables: frozenset[str] | None, names: Collection[Name]
    ) -> frozenset[str] | None:
        """The tables that a write reads and writes, if it is known that it reads no others.

        Later writes to what lies beneath a view must not be made before a write that reads it.

        Args:
            tables: Their bare names; ``None`` where they are not known.
            names: What it reads, the table that it writes to left out; each may be a view.

        Returns:
            The same; ``None`` where one of the names may be a view, so that others are read.
        """
        self._require_sound()
        if tables is None or not self.holds:
            return tables
        return None if self._reads_view(names) else tables

    @property
    def may_send_before_read(self) -> bool:
        """Whether something may have to be sent before a SELECT, which does not bring it along."""
        begins = self._level == REPEATABLE_READ and not self._in_transaction
        return self.holds and (begins or bool(self.held))

    @property
    def is_open(self) -> bool:
        """Whether something is held, in a transaction that the unit has begun, or lost with one.

        Where it has failed, no commit or rollback has reported that yet.
        """
        return (
            bool(self.held)
            or self._in_transaction
            or self._failed
            or self._lost_savepoint is not None
        )

    def hold_raw(
        self, text: str, parameters: Sequence[Any], traits: StatementTraits, cursor: Cursor
    ) -> bool:
        """Make ready for a statement of the application's own; returns whether it is held.

        Raises:
            PendingWritesError: It cannot wait, and there are held writes.
        """
        refuse_several(text, traits)
        if traits.writes_rows and self.holds:
            (row,) = settled([parameters])
            return self.write([HeldText(text, row, None, described=traits)], cursor)
        if traits.writes_rows:
            self._require_sound()
            self._changed[None] = moment()
        else:
            self.before_text(traits)
        return False

    def before_text(self, traits: StatementTraits) -> None:
        """Make ready for a text that does not write rows, and is run now.

        Raises:
            PendingWritesError: It cannot wait, and there are held writes.
        """
        if traits.reads:
            self.before_read(frozenset() if traits.keyword in LOOKS else None)
        else:
            self.before_other(traits.keyword or "a statement")
            self._dialect.views.forget()

    def before_definitions(self) -> None:
        """Refuse a look at definitions, not rows, where the transaction would be aborted by it.

        Raises:
            NotSupportedError: There is a transaction.
        """
        self._require_sound()
        if self._in_transaction:
            raise NotSupportedError(
                "within a transaction the warehouse does not tell what tables and columns there "
                "are, and would abort the transaction; nothing was sent\n"
                "To fix it: inspect on a connection of its own, or before the unit of work."
            )

    def before_other(self, what: str) -> None:
        """Refuse a statement that cannot wait, and cannot be undone, between held writes.

        Raises:
            PendingWritesError: There are held writes.
        """
        self._require_sound()
        next_key.doubt()  # it may write any of them
        if self.holds and (self.held or self._in_transaction):
            raise PendingWritesError(
                f"{what} takes effect at once, and the unit of work has written to "
                f"{self._tables() or 'tables'} before; nothing was sent\n"
                "To fix it: commit first, or run it on a connection with "
                "isolation_level='AUTOCOMMIT'."
            )

    def count(self, write: Held) -> None:
        """Count how many rows a held write matches, where nothing has to be sent before.

        By that ``rowcount_of`` knows it.
        """
        if write.rowcount is None and self.held.holds(write):
            write.rowcount = self._counted_as_held(write)

    def rowcount_of(self, write: Held) -> int:
        """How many rows a write has matched.

        A write that is held still is sent for that, unless they can be counted without.

        Raises:
            PendingWritesError: That needs a transaction, and there are none.
        """
        self.count(write)
        if write.rowcount is None and self.held.holds(write):
            self._send_held("result.rowcount was asked for", counting=True)
        return -1 if write.rowcount is None else write.rowcount

    # --- the end of a unit ----------------------------------------------------------------------

    def commit(self) -> None:
        """Send what is held, and commit it.

        Raises:
            IntegrityError: A key is there already; nothing was written.
            StaleDataError: A row was changed or deleted by somebody else; nothing was written.
            ConflictError: Somebody else committed to the same rows first; nothing was written.
            AtomicityError: It cannot be done as a whole; nothing was written.
            PartialCommitError: With ``atomicity="per_table"``: a part was written.
            AmbiguousWriteError: Whether it was written is not known.
        """
        try:
            self._require_sound()
            self._commit()
            self._connection.commit()
            if self._outcome is UnitOutcome.ROLLED_BACK:
                self._outcome = UnitOutcome.COMMITTED
        except AmbiguousWriteError as error:
            self._outcome, self._error = UnitOutcome.IN_DOUBT, error
            self._files.leave()
            self._abandon_transaction()
            if not self._connection.closed:
                self._connection.rollback()
            raise
        except BaseException as error:
            self._outcome, self._error = UnitOutcome.FAILED, error
            self._abandon_transaction()
            if not self._connection.closed:
                self._connection.rollback()
            raise
        finally:
            self._end()

    def replay(
        self,
        held: Sequence[Held],
        identity: str,
        sending: Callable[[Commit], object] | None = None,
    ) -> None:
        """Commit what was held elsewhere, by one unit of work or by several, as a whole.

        The statement that commits it is sent once, with ``identity`` for its query tag: by that
        ``fate`` finds out later, in another process too, what became of it. So it waits for no
        warehouse that starts; a query before it does. Where its answer is lost, that is found out
        as for any commit. An ``atomicity`` of ``"per_table"`` is no reason to send it in parts.

        Args:
            held: The writes, in the order of the units.
            identity: A new one for each attempt.
            sending: Called with the commit, its word and time, right before it is sent; what
                it raises is raised here, and nothing is sent. Not called where there is nothing.

        Raises:
            ProgrammingError: The connection has a unit of work of its own; nothing was sent.
            AmbiguousWriteError: Whether it was written is not known.
            Exception: As of ``commit``; nothing was written.
        """
        self._require_ended()
        self._replay = _Replay(identity, _made_in(held), sending)
        self.held.put_back(held)
        self.commit()

    def fate(
        self,
        identity: str,
        word: str,
        began: float,
        held: Sequence[Held] = (),
        *,
        seconds: float | None = None,
    ) -> CommitFinding:
        """Find out what became of a replay, perhaps of another process.

        Args:
            identity: Its identity.
            word: The word that its commit began with.
            began: When that was sent, in seconds since the epoch.
            held: The writes: where the query history does not say, rows with keys that were made
                for them prove it. By default the history alone is asked.
            seconds: How long the history is asked at most; by default as for any commit.

        Returns:
            What was found out; ``UNKNOWN`` also where the warehouse could not be asked.

        Raises:
            ProgrammingError: The connection has a unit of work of its own.
        """
        self._require_ended()
        commit = Commit(word, joined(held), identity, began, _made_in(held))
        return self._find_out(commit, copies=1, seconds=seconds)

    def rollback(self) -> None:
        """Drop what is held; what a transaction has sent is rolled back."""
        if self.held:
            _log.debug("rolled back: %d writes were dropped unsent", len(self.held))
        try:
            self._abandon_transaction()
        finally:
            self._end()
        if not self._connection.closed:
            self._connection.rollback()

    def savepoint(self, name: str) -> None:
        """Mark a place to come back to.

        Raises:
            NotSupportedError: Nothing is held, so that nothing could be dropped later.
        """
        self._require_sound()
        if not self.holds:
            what = (
                "with AUTOCOMMIT each statement is committed as it runs"
                if self._level == AUTOCOMMIT
                else "within a transaction that was begun by a statement of the application's own, "
                "each statement is sent as it comes"
            )
            raise NotSupportedError(
                f"a savepoint cannot be set: {what}, and Databricks has no savepoints; nothing was "
                "sent\nTo fix it: begin_nested() on a connection with the isolation level "
                f"{DEFAULT!r}, without a BEGIN of your own; or leave the savepoint out."
            )
        self._savepoints.pop(name, None)
        self._savepoints[name] = _Savepoint(
            self.held.mark(),
            {**self._changed},
            len(self._seen),
            self.loaded.mark(),
            len(self._origins),
            len(self._locked),
        )

    def rollback_to(self, name: str) -> None:
        """Drop what was held since a savepoint.

        Where something of it was sent already, and cannot be undone alone, the whole unit is rolled
        back. Whoever goes on with it, or commits, is refused; whoever rolls all of it back, after
        an error of the application's own, has what is wanted.
        """
        if self._failed:
            return  # the whole unit is rolled back
        saved = self._mark(name)
        if saved.mark.sent != self.held.sent:
            self._failed = True
            self._lost_savepoint = name
            self.held.clear()
            self._abandon_transaction()
            return
        self.held.back_to(saved.mark)
        self._before_flush = None
        undone = {
            table
            for table in self._seen[saved.seen :]
            if self.changed_at(table) != _last(saved.changed, table)
        }
        self._changed = saved.changed | (dict.fromkeys(undone, moment()) if undone else {})
        self.loaded.back_to(saved.loaded)
        del self._origins[saved.origins :]
        del self._locked[saved.locked :]
        for later in list(self._savepoints)[list(self._savepoints).index(name) + 1 :]:
            del self._savepoints[later]

    def release(self, name: str) -> None:
        """Forget a savepoint, and those within it.

        What was written since has to break no constraint: the warehouse is asked once. What cannot
        be asked for then, the commit checks.

        Raises:
            IntegrityError: It breaks one; what was held since the savepoint is dropped.
            StaleDataError: A row was changed or deleted by somebody else; likewise.
        """
        self._require_sound()
        saved = self._mark(name)
        try:
            self._check_since(saved.mark)
        except BaseException:
            # SQLAlchemy does not go back to a savepoint whose release has failed.
            self.rollback_to(name)
            raise
        for later in list(self._savepoints)[list(self._savepoints).index(name) :]:
            del self._savepoints[later]

    # --- how ------------------------------------------------------------------------------------

    def _require_ended(self) -> None:
        self._require_sound()
        if self.is_open or not self.holds:
            raise ProgrammingError(
                "what was held elsewhere is replayed, and found out, between two units of work of "
                f"a connection with the isolation level {DEFAULT!r}; nothing was sent\n"
                "To fix it: commit or roll back first, or take another connection."
            )

    def _require_sound(self) -> None:
        if self._lost_savepoint is not None:
            raise NotSupportedError(
                f"what was written after the savepoint {self._lost_savepoint} had been sent "
                "already when it was rolled back, because a SELECT had to see it, and Databricks "
                "has no savepoints; the whole unit of work is rolled back, nothing was written\n"
                "To fix it: call rollback() and repeat the unit, and read before the savepoint, "
                "or after its end."
            )
        if self._failed:
            raise OperationalError(
                "the unit of work has failed before and is rolled back; nothing was written\n"
                "To fix it: call rollback() after an error, and repeat the unit."
            )
        self._connection.require_transaction()

    def _reads_view(self, names: Collection[Name]) -> bool:
        """Whether one of the names is, or may be, a view; the warehouse is asked once for each."""
        if not names:
            return False
        temporary = self._connection.temporary_views
        if ANY_VIEW in temporary or any(name.table in temporary for name in names):
            return True
        known = self._dialect.views
        if self._connection.session_changed:
            # After USE, a name without a catalog is not what it is for other sessions.
            known = KnownViews()
        unknown = known.unknown(names)
        if unknown and self._in_transaction:
            # There it does not tell; and what is held may as well be sent.
            return True
        for question in questions(unknown, self._dialect.identifier_preparer.quote):
            cursor = self._connection.cursor()
            try:
                cursor.execute(
                    question.text,
                    question.parameters,
                    described=QUERY,
                    kind=StatementKind.LOOK,
                )
            except (ProgrammingError, PermissionDenied) as error:
                _log.debug("the warehouse does not say what is a view: %s", error)
                return True
            known.note(question.answer(cursor.fetchall()))
        return known.any_of(names)

    def _run_at_once(self, held: Sequence[Held], cursor: Cursor) -> None:
        """Run what one execution writes, each of its statements committed by itself.

        Unless the application has begun a transaction: then they belong to that.

        Raises:
            PartialCommitError: One failed, and others were committed before.
        """
        total = 0
        done: list[Step] = []
        within = self._connection.in_transaction
        # A row that is written twice takes two statements.
        parts = [part for write in held for part in joined([write], [write])]
        refuse_duplicates(parts)
        try:
            for step in steps(parts, self._dialect, split=False):
                cursor.keeps_counts = isinstance(step.of, HeldFiles)
                self._run_commit(step, [step.part], cursor)
                done.append(step)
                if isinstance(step.of, HeldFiles):
                    step.of.note_rowcount(cursor.rowcount)
                    step.of.counts = cursor.counts
                counted = _counted(step.part, cursor)
                total = -1 if -1 in (total, counted) else total + counted
        except Exception as error:
            if within or is_foreign(error):
                raise
            explained = unit_errors.partly_committed(done, parts, error)
            if explained is error:
                raise
            raise explained from error
        cursor.rowcount = total
        if not within and not self.holds:
            self._outcome = UnitOutcome.COMMITTED

    def _note_changed(self, held: Held) -> None:
        self._changed |= dict.fromkeys([None] if held.tables is None else held.tables, moment())

    def _may_lock(self, of: LockedTable) -> bool:
        """Whether it is known which rows of a table the unit has written, and what of them."""
        writes = self.held.to(bare_name(of.table))
        return all(
            isinstance(write, HeldRows)
            and write.upsert is None
            and write.shape.table is of.table
            and write.shape.key is not None
            and not new_key(write.shape)
            and not computes_key(write.shape)
            for write in writes
        )

    def _own(self, of: LockedTable) -> dict[tuple[Any, ...], set[str] | None]:
        """The columns that the unit has written, by the keys of the rows; ``None`` for new ones."""
        own: dict[tuple[Any, ...], set[str] | None] = {}
        for write in self.held.to(bare_name(of.table)):
            assert isinstance(write, HeldRows)  # noqa: S101 - _may_lock has looked
            columns = {item.column.name for item in write.shape.values}
            for row in write.rows:
                key = tuple(row[place] for place in write.shape.key or ())
                known = None if write.shape.kind is WriteKind.INSERT else own.get(key, set())
                own[key] = None if known is None else known | columns
        return own

    def _check_since(self, mark: HeldMark, *, matched: bool = False) -> None:
        """Raise where what was written since a savepoint breaks a constraint."""
        if self._level != DEFAULT or self._in_transaction or mark.sent != self.held.sent:
            return
        if not self._dialect.held_read_bytes:
            return
        query = None if self.is_for_later else self._laying.check(mark, matched=matched)
        if query is None:
            return
        try:
            self._only_value(query, StatementKind.GUARD)
        except Error as error:
            kept = self._dialect.unsent is not None and not is_from_signal(error)
            if not kept or isinstance(error, IntegrityError):
                raise
            # The unit is kept, should the warehouse still be away at its commit.
            _log.debug("what was written since a savepoint is not checked: %s", error)

    def _counted_as_held(self, write: Held) -> int | None:
        """How many rows a held write finds; ``None`` where that cannot be counted for certain."""
        if self._level != DEFAULT or self._in_transaction or not self._dialect.held_read_bytes:
            return None
        query = self._laying.count(write)
        return None if query is None else self._only_value(query, StatementKind.COUNT)

    def _only_value(self, query: LaidOver, kind: StatementKind) -> int:
        cursor = self._connection.cursor()
        self._run(query.text, query.parameters, QUERY, cursor, held=self.held, kind=kind)
        return int(cursor.fetchall()[0][0])

    def _mark(self, name: str) -> _Savepoint:
        if name not in self._savepoints:
            raise ProgrammingError(f"there is no savepoint {name} in this unit of work")
        return self._savepoints[name]

    def _end(self) -> None:
        self.held.clear()
        self.loaded.clear()
        self._changed.clear()
        self._seen.clear()
        self._sent = []
        self._origins.clear()
        self._savepoints.clear()
        self._locked.clear()
        self._before_flush = None
        self._lost_savepoint = None
        self._failed = False
        self._replay = None
        self._files.remove_all()
        record, self._record = self._record, None
        outcome, error, written = self._outcome, self._error, self._written
        self._outcome, self._error, self._written = UnitOutcome.ROLLED_BACK, None, ()
        self.owner, self.own_tags = _nobody, {}
        if record is not None:
            record.end(outcome, error)
            self._dialect.announcer.unit_ends(record, partial(unit_errors.summary, written))

    def _count_sent(self, **counted: int) -> None:
        self._dialect.statistics.add(**counted)

    def _tables(self) -> str:
        return ", ".join(tables_of(self.held))

    def _begin_if_wanted(self) -> None:
        if self._level == REPEATABLE_READ and not self._in_transaction:
            self._begin()

    def _begin(self) -> None:
        self._run("BEGIN TRANSACTION", (), BEGIN)
        self._in_transaction = True
        self._count_sent(statements=1)

    def _abandon_transaction(self) -> None:
        """Roll a transaction back; a session that cannot is ended, which does the same."""
        begun = self._in_transaction or self._connection.in_transaction
        self._in_transaction = False
        if not begun or self._connection.closed:
            return
        try:
            self._run("ROLLBACK", (), ROLLBACK)
            self._count_sent(statements=1)
        except Error as error:
            _log.debug("the session is ended, since ROLLBACK failed: %s", error)
            self._connection.give_up()
            if is_from_signal(error):
                raise

    def _commit(self) -> None:
        held = joined(self.held.take())
        if self._connection.in_transaction and not self._in_transaction:
            self._send_commit([])  # it was begun by the application
        elif held or self._in_transaction:
            whole = [*self._sent, *held]
            try:
                if self._dialect.before_commit is not None and self._replay is None:
                    self._dialect.before_commit(whole)
                self._commit_unit(held)
            except Error as error:
                # Rows that were read FOR UPDATE cannot be made sure of later.
                keep = None if self._locked else self._dialect.unsent
                if keep is None or not keep(self._origins, joined(whole), error):
                    raise
                self._abandon_transaction()
                self._outcome, self._error = UnitOutcome.KEPT, error
                return
        else:
            return
        self._count_sent(units=1)
        self._written = self._sent or held

    def _commit_unit(self, held: list[Held]) -> None:
        if self._in_transaction:
            if held or self._sent:
                self._send_locked()
            self._send_all(held)
            self._send_commit(self._sent, wrote=bool(self._sent))
        else:
            self._commit_held(held)

    def _commit_held(self, held: list[Held]) -> None:
        refuse_duplicates(held)
        alone = len(held) == 1
        made = steps(held, self._dialect, bound=alone, locked=self._locked)
        first = next(made)
        second = next(made, None)
        if second is None:
            self._send_alone(first, held)
        elif self._dialect.atomicity == "per_table" and self._replay is None:
            self._send_one_by_one(chain([first, second], made), held)
        elif any(isinstance(write, HeldFiles) for write in held):
            # PATH_BASED_ACCESS is one of the things that a transaction does not allow.
            self._send_alone(self._as_one(held, None), held)
        elif self._dialect.transactions == "off":
            self._send_whole(held, None)
        else:
            self._send_together(chain([first, second], made), held)

    def _send_whole(self, held: list[Held], error: Error | None) -> None:
        """Send a unit without a transaction, if one statement can hold it at the price of memory.

        Raises:
            AtomicityError: It cannot; nothing was sent.
        """
        made = steps(held, self._dialect, split=False, locked=self._locked)
        first, *others = islice(made, 2)
        if others:
            first = self._as_one(held, error)
        self._send_alone(first, held)

    def _as_one(self, held: list[Held], error: Error | None) -> Step:
        """A unit that takes several statements as one, if all are on one table.

        Raises:
            AtomicityError: It cannot be one; nothing was sent.
        """
        one = None if self._locked else self._laying.whole(held)
        if one is None and any(isinstance(write, HeldFiles) for write in held):
            raise unit_errors.not_of_files(held)
        if one is None:
            raise unit_errors.not_atomic(held, error) from error
        rows = sum(map(len, held))
        return Step(one.text, one.parameters, rows, held[0], False, True, held[0])

    def _send_alone(self, step: Step, held: list[Held]) -> None:
        cursor = self._send(step, held)
        if step.whole:
            step.of.note_rowcount(cursor.rowcount)
            if isinstance(step.of, HeldFiles):
                step.of.counts = cursor.counts
            elif isinstance(step.of, HeldRows):
                step.of.note_counts(cursor.counts)

    def _send_together(self, made: Iterator[Step], held: list[Held]) -> None:
        """Send statements as one block; where they are too large for it, as a transaction."""
        block: list[Step] = []
        texts: list[str] = []
        size = 0
        for step in made:
            block.append(step)
            # Raw text may end with a semicolon, or with a comment that ends with its line.
            texts.append(written_out(step.text, step.parameters).rstrip(" \t\r\n;"))
            size += byte_length(texts[-1]) + len(_BETWEEN)
            was_split = not step.whole and step.size > SPLIT_JSON_BYTES
            if was_split or size > _MAX_BLOCK_BYTES:
                self._send_as_transaction(chain(block, made), held)
                return
        rows = sum(step.rows for step in block)
        block_text = f"BEGIN ATOMIC\n{_BETWEEN.join(texts)}{_BETWEEN}END"
        whole = Step(block_text, (), rows, held[0], False, True, held[0], BLOCK)
        try:
            self._send(whole, held)
        except (NotSupportedError, ProgrammingError) as error:
            if not unit_errors.says_unavailable(error):
                raise
            self._send_alone(self._as_one(held, error), held)

    def _send_as_transaction(self, made: Iterator[Step], held: list[Held]) -> None:
        try:
            self._begin()
            self._send_steps(made, sum(map(len, held)))
        except (NotSupportedError, ProgrammingError) as error:
            if not unit_errors.says_unavailable(error):
                raise
            self._abandon_transaction()
            self._failed = False
            self._send_whole(held, error)
            return
        self._send_commit(held)

    def _send_one_by_one(self, made: Iterator[Step], held: list[Held]) -> None:
        done: list[Step] = []
        try:
            for step in made:
                self._send_alone(step, [step.part])
                done.append(step)
        except Exception as error:
            # It may have been raised by the making of a statement, too.
            if is_foreign(error):
                raise
            explained = unit_errors.partly_committed(done, held, error)
            if explained is error:
                raise
            raise explained from error

    def _send_held(self, why: str, *, counting: bool = False) -> None:
        """Send what is held within a transaction, so that it can be read, or its rows counted."""
        taken = self.held.take()
        off = self._dialect.transactions == "off"
        if off or any(isinstance(write, HeldFiles) for write in taken):
            self.held.put_back(taken)
            if not off:
                why = f"{why}, and a transaction cannot read the files of a load"
            raise unit_errors.pending(why, self.held)
        begun = self._in_transaction
        try:
            if not begun:
                self._begin()
            # Of any of them it may be asked later how many rows there were.
            alone = {
                held for held in taken if counting and isinstance(held, HeldRows) and held.counted
            }
            self._send_locked()
            self._send_all(joined(taken, alone))
        except (NotSupportedError, ProgrammingError) as error:
            if begun or not unit_errors.says_unavailable(error):
                self._failed = True
                raise
            self._abandon_transaction()
            self._failed = False
            self.held.put_back(taken)
            raise unit_errors.pending(why, self.held, error) from error
        except BaseException:
            # What was taken is held no more, so that nothing of the unit may be committed.
            self._failed = True
            raise

    def _send_locked(self) -> None:
        """Make sure of rows that were read FOR UPDATE, before what was written later is sent."""
        writes = locking(self._locked)
        self._send_steps(steps(writes, self._dialect), 0)
        self._locked.clear()

    def _send_all(self, held: list[Held]) -> None:
        refuse_duplicates(held)
        self._send_steps(steps(held, self._dialect), sum(map(len, held)))
        self._sent += held

    def _send_steps(self, made: Iterator[Step], rows_in_all: int) -> None:
        """Send statements within a transaction; if one fails, only ROLLBACK is left."""
        sent = rows = size = 0
        try:
            for step in made:
                cursor = self._connection.cursor()
                self._run(
                    step.text,
                    step.parameters,
                    step.described,
                    cursor,
                    held=[step.of],
                    kind=StatementKind.WRITE,
                    rows=step.rows,
                )
                if step.whole:
                    step.of.note_rowcount(cursor.rowcount)
                sent, rows, size = sent + 1, rows + step.rows, size + step.size
                self._count_sent(statements=1, rows=step.rows, bytes=step.size)
                self._dialect.tell(Progress(sent, rows, rows_in_all, size))
        except BaseException:
            self._failed = True
            raise

    def _send_commit(self, held: list[Held], *, wrote: bool = True) -> None:
        commit = self._commit_by("COMMIT", held)
        self._in_transaction = False
        try:
            self._run(commit.text, (), COMMIT, query_tags=commit.tags)
        except AmbiguousWriteError as error:
            if not wrote:
                self._connection.give_up()  # there is nothing that its fate would change
                return
            found = self._found_out(commit, error)
            if found.outcome is CommitOutcome.ABSENT:
                # It has ended with its session, and cannot be committed any more.
                raise unit_errors.not_committed(error, found) from error
        except Error:
            self._in_transaction = True  # it has to be rolled back
            raise
        self._count_sent(statements=1)

    def _send(self, step: Step, held: list[Held]) -> Cursor:
        """Send a statement that is a commit, and tell of it; see ``_run_commit``."""
        cursor = self._connection.cursor()
        is_upsert = isinstance(step.of, HeldRows) and step.of.upsert is not None
        cursor.keeps_counts = is_upsert or isinstance(step.of, HeldFiles)
        self._run_commit(step, held, cursor)
        try:
            self._dialect.tell(Progress(1, step.rows, step.rows, step.size))
        except Exception as error:
            if is_from_signal(error):
                raise
            # What is committed must not be reported as lost.
            _log.warning("on_progress failed after a commit", exc_info=True)
        return cursor

    def _run_commit(self, step: Step, held: list[Held], cursor: Cursor) -> None:
        """Run a statement that is a commit; where its answer is lost, find out what became of it.

        Raises:
            AmbiguousWriteError: That could not be found out.
        """
        try:
            self._run_until_known(step, held, cursor)
        except BaseException as error:
            if not isinstance(error, Exception) or is_from_signal(error):
                # The statement may be executed all the same, and still read its files.
                self._files.leave()
            raise

    def _run_until_known(self, step: Step, held: list[Held], cursor: Cursor) -> None:
        last = 2 if self._replay is None else 1
        for attempt in range(1, last + 1):
            commit = self._commit_by(step.text, held)
            self._count_sent(statements=1, rows=step.rows, bytes=step.size)
            try:
                self._run(
                    step.text,
                    step.parameters,
                    step.described,
                    cursor,
                    commit.tags,
                    held=held,
                    kind=StatementKind.COMMIT,
                    rows=step.rows,
                )
                return
            except AmbiguousWriteError as error:
                found = self._found_out(commit, error)
                if found.outcome is CommitOutcome.COMMITTED:
                    return
                if found.failed or attempt == last or isinstance(error.__cause__, StatementTimeout):
                    # Its own error, or its deadline, ends it.
                    raise unit_errors.not_committed(error, found) from error
                self._count_sent(retries=1)

    def _found_out(self, commit: Commit, error: AmbiguousWriteError) -> CommitFinding:
        """Find out what became of a commit, whose session is ended before.

        Raises:
            AmbiguousWriteError: Nobody can say.
        """
        found = self._find_out(commit, error.copies, self._connection.give_up)
        _log.info(
            "the answer to the commit %s of unit %s was lost; found out: %s",
            commit.identity,
            self.begun().id,
            found.outcome.value,
        )
        if found.outcome is CommitOutcome.UNKNOWN:
            raise unit_errors.ambiguous(error, commit, found) from error
        return found

    def _find_out(
        self,
        commit: Commit,
        copies: int,
        before: Callable[[], None] | None = None,
        seconds: float | None = None,
    ) -> CommitFinding:
        connection = self._connection

        def ask_history() -> query_history.Verdict:
            timeout = self._dialect.history_timeout
            timeout = timeout if seconds is None else min(timeout, seconds)
            return query_history.ask(
                connection.ask_workspace,
                connection.http_path,
                commit.sought(copies),
                timeout,
                # What is kept meanwhile is found out later.
                patient=self._dialect.unsent is None,
            )

        def count(text: str) -> int:
            cursor = connection.cursor()
            self._run(text, (), QUERY, cursor, kind=StatementKind.PROBE)
            return int(cursor.fetchall()[0][0])

        try:
            # Also for who waits no more: what is not known could be written twice.
            with connection.settling():
                if before is not None:
                    before()
                return find_out(commit, ask_history, count)
        except Error as failure:
            if is_from_signal(failure):
                raise
            _log.debug("what became of a commit cannot be asked for: %s", failure)
            return CommitFinding(
                CommitOutcome.UNKNOWN, f"the warehouse could not be asked ({failure.happened})"
            )

    def _commit_by(self, text: str, held: Sequence[Held]) -> Commit:
        """The commit by a statement, which is about to be sent."""
        replay = self._replay
        if replay is None:
            return Commit(text, held)
        commit = Commit(text, held, replay.identity, made=replay.made)
        if replay.sending is not None:
            replay.sending(commit)
        return commit

    def _run(
        self,
        text: str,
        parameters: Sequence[Any],
        described: StatementTraits,
        cursor: Cursor | None = None,
        query_tags: Mapping[str, str] | None = None,
        held: Iterable[Held] = (),
        kind: StatementKind | None = None,
        rows: int | None = None,
    ) -> None:
        """Run a statement; ``query_tags`` are those of a commit."""
        try:
            run = cursor or self._connection.cursor()
            writes = [*held] if kind in (StatementKind.COMMIT, StatementKind.WRITE) else []
            run.execute(
                text,
                parameters,
                query_tags=query_tags,
                described=described,
                # What is found out later must be of one copy.
                once=self._replay is not None and query_tags is not None,
                kind=kind,
                rows=rows,
                writes=partial(unit_errors.summary, writes) if writes else None,
            )
        except Error as error:
            raised = guards.raised(error)
            if raised is None:
                raise
            if isinstance(raised, IntegrityError):
                # Somebody may have given rows the very keys that are reserved here.
                self._dialect.key_ranges.doubt(_tables(held))
            raise raised from error


class _Savepoint(NamedTuple):
    """A savepoint, with what was noted of changed rows, and how much was executed."""

    mark: HeldMark
    changed: dict[str | None, int]
    seen: int
    loaded: int
    origins: int
    locked: int


def refuse_several(text: str, traits: StatementTraits) -> None:
    """Refuse a text of several statements, of which one is on rows.

    Raises:
        ProgrammingError: It is one.
    """
    if traits.keyword in ROWS and is_several(text):
        raise ProgrammingError(
            "a text of several statements with semicolons between them was given; the "
            "warehouse takes one at a time, and nothing was sent\n"
            "To fix it: execute each by itself."
        )


def _nobody() -> None:
    """Stand for a reference to SQLAlchemy's connection, where none is known."""


def _last(changed: Mapping[str | None, int], table: str) -> int | None:
    """When a table was changed last, or any table was."""
    moments = [changed[name] for name in (table, None) if name in changed]
    return max(moments, default=None)


def _made_in(held: Iterable[Held]) -> frozenset[int]:
    return frozenset(chain.from_iterable(w.made for w in held if isinstance(w, HeldRows)))


def _tables(held: Iterable[Held]) -> frozenset[str] | None:
    """The bare names of the tables that writes read and write; ``None`` where one is not known."""
    tables: set[str] = set()
    for write in held:
        if write.tables is None:
            return None
        tables |= write.tables
    return frozenset(tables)


def _rows(held: Sequence[Held]) -> int:
    return sum(map(len, held))


def _counted(write: Held, cursor: Cursor) -> int:
    """How many rows a write that was executed has matched, be its answer lost; -1 if unknown."""
    if cursor.rowcount != -1:
        return cursor.rowcount
    if isinstance(write, HeldText):
        return -1 if write.certain is None else write.certain
    # The statement fails where it finds another row than it should.
    certain = write.checks.matched or write.shape.kind is WriteKind.INSERT
    return len(write) if certain and write.upsert is None else -1
