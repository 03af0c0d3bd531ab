"""Where units of work go: to the warehouse, or to the standby while that is away.

``online`` → ``away``: a unit could not begin, or could not be committed, because the warehouse is
away. ``away`` → ``returning``: the first unit after a pause has reached it; what waits in the
journal is sent before anything else. ``returning`` → ``online``: nothing waits any more.

The state lies in the journal's file, so that all processes of a machine have the same one. Nothing
is asked of the warehouse by an application that does nothing: there is no thread, and a unit of
work pays for the question.
"""

from __future__ import annotations

import logging
import random
import threading
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from sqlalchemy import Engine, MetaData, Table
from sqlalchemy.exc import DBAPIError

from vinci_code.core.errors import FallbackFileError, StandbyReadError
from vinci_code.database.dialect.compiler import VinciCompiler
from vinci_code.database.dialect.dberrors import (
    AmbiguousWriteError,
    ConflictError,
    Error,
    SessionLostError,
)
from vinci_code.database.dialect.forking import in_child
from vinci_code.database.dialect.interruptions import is_from_signal
from vinci_code.database.dialect.units.held import Held, bare_name, joined
from vinci_code.database.dialect.units.unit import Origin
from vinci_code.database.fallback.away import is_away
from vinci_code.database.fallback.belonging import require_same_application, require_same_place
from vinci_code.database.fallback.coding import encode, keys_made
from vinci_code.database.fallback.journal import Journal
from vinci_code.database.fallback.records import Counts, Mirror, Sent, Standing
from vinci_code.database.fallback.records import State as UnitState
from vinci_code.database.fallback.replay import OnParked, Replayed, replay
from vinci_code.database.fallback.shadow import Shadow, shadow_engine
from vinci_code.database.fallback.standby import (
    StandbyConnection,
    as_raised,
    is_alike,
    standby_engine,
)
from vinci_code.database.fallback.states import DatabaseState, State, moment_of, state_of
from vinci_code.database.fallback.touched import Touched, touched, touched_by

ReadsOption = Literal["mirrored", "always", "never"]

FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0
"""Seconds after which the warehouse is tried again: at first, and at most."""

_REPLAY_SECONDS = 10.0
"""For how long one unit of work sends what waits, before it is journaled itself."""

_ONLINE = Standing("online", 0.0)
# How long what was read of the journal's state counts.
_FRESH = 0.25

_log = logging.getLogger(__name__)


class Fallback:
    """The fallback of one engine of the warehouse.

    Args:
        online: The engine of the warehouse.
        file: The SQLite file of journal and standby; its folder has to be there.
        metadata: The tables of the application.
        create_tables: Makes these in the standby, where they are not there; by default
            ``metadata.create_all``.
        reads: What the standby answers for: tables that were ``mirrored``, ``always`` everything,
            or ``never`` anything.
        on_parked: Is called with each unit that cannot arrive, and the reason.
        check: Makes sure, once, that the warehouse is as the application needs it, before anything
            is sent there; raises what keeps the application from running.
    """

    def __init__(
        self,
        online: Engine,
        file: Path,
        metadata: MetaData,
        *,
        create_tables: Callable[[Engine], object] | None = None,
        reads: ReadsOption = "mirrored",
        on_parked: OnParked | None = None,
        check: Callable[[Engine], object] | None = None,
    ) -> None:
        self.online = online
        self._unchecked = check
        self.journal = Journal(file)
        self._metadata = metadata
        self._create_tables = create_tables or metadata.create_all
        self._on_parked = on_parked
        self._lock = threading.RLock()
        self._known = _Known()
        self.reads = MirroredReads(self, reads)
        self._standby: Engine | None = None
        in_child(self, Fallback._begin_anew)
        try:
            self.journal.prepare()
            require_same_place(self.journal, online)
            require_same_application(self.journal, self.tables)
        except BaseException:
            self.journal.close()
            raise
        dialect: Any = online.dialect
        dialect.unsent = self._unsent
        dialect.before_commit = self._require_order

    # --- where units go -------------------------------------------------------------------------

    def place(self) -> Engine:
        """The engine for a unit of work that begins now.

        Where the warehouse has been away for long enough, it is tried, and what waits is sent.

        Raises:
            FallbackFileError: The journal cannot be used.
        """
        known = self._look()
        if known.lacks_something and time.time() >= (known.standing.next_try or 0.0):
            self._try_again()
            known = self._look()
        if known.goes_online and self._is_reached():
            return self.online
        return self.standby

    @property
    def standby(self) -> Engine:
        """The engine of the standby, with the application's tables in it."""
        with self._lock:
            if self._standby is None:
                file = self.journal.path
                from vinci_code.database.sqlite import create_sqlite_engine

                plain = create_sqlite_engine(f"sqlite:///{file}")
                try:
                    self._create_tables(_without_schemas(plain, self.tables))
                finally:
                    plain.dispose()
                self._standby = standby_engine(self.journal, self.online, self._keep, self.reads)
            return self._standby

    def went_away(self, error: BaseException) -> None:
        """Note that the warehouse is away."""
        reason = str(getattr(error, "orig", None) or error).partition("\n")[0]
        if self._put_off("away", reason):
            _log.warning(
                "the warehouse is away (%s); units of work go to %s until it is back",
                reason,
                self.journal.path,
            )

    def state(self) -> DatabaseState:
        """Where units of work go now, and what has not arrived yet; asks nobody."""
        return state_of(self.journal)

    def bring_back(self, *, seconds: float | None = None) -> Replayed | None:
        """Send what waits, now; ``None`` where another process is at it.

        Where nothing waits, and the warehouse is not known to be away, it is not asked.
        """
        self._known = _Known()
        if not self._look().lacks_something:
            return Replayed(finished=True)
        with self.journal.replaying() as mine:
            return self._replay(seconds) if mine else None

    def answers_as_of(self) -> dict[str, Any]:
        """Since when the standby answers, and as of when its tables are: ``session.info``."""
        return {
            "since": moment_of(self._look().standing.since),
            "as_of": {name: mirror.as_of for name, mirror in self.reads.mirrors().items()},
        }

    def dispose(self) -> None:
        """Close what is open; the engine of the warehouse is its owner's."""
        dialect: Any = self.online.dialect
        dialect.unsent = dialect.before_commit = None
        with self._lock:
            if self._standby is not None:
                dialect = self._standby.dialect
                self._standby.dispose()
                dialect.shadow.dispose()
                self._standby = None
        self.journal.close()

    # --- how ------------------------------------------------------------------------------------

    @property
    def tables(self) -> Mapping[str, Table]:
        """The tables of the application, by their full names."""
        return self._metadata.tables

    def _look(self) -> _Known:
        known = self._known
        if time.monotonic() - known.read_at > _FRESH:
            standing = self.journal.state() or Standing("online", time.time())
            known = self._known = _Known(standing, self.journal.counts(), time.monotonic())
        return known

    def _is_reached(self) -> bool:
        """Whether a connection is there, or can be opened, for a unit that goes to the warehouse.

        One that waits in the pool is not tried: what becomes of it shows when it is used.
        """
        pool: Any = self.online.pool
        if self._unchecked is None and getattr(pool, "checkedin", lambda: 0)():
            return True
        try:
            self._check()
            self.online.connect().close()  # its errors are those of SQLAlchemy
        except (DBAPIError, Error) as error:
            if not is_away(error):
                raise
            self.went_away(error)
            return False
        return True

    def _try_again(self) -> None:
        """Try the warehouse, and send what waits, unless somebody else is at it."""
        with self.journal.replaying() as mine:
            if not mine:
                return
            done = self._replay(_REPLAY_SECONDS)
        if done.error is not None and not _may_pass(done.error):
            raise as_raised(done.error, self.online.dialect) from done.error

    def _check(self) -> None:
        if self._unchecked is not None:
            self._unchecked(self.online)
            self._unchecked = None

    def _replay(self, seconds: float | None) -> Replayed:
        done = self._checked_replay(seconds)
        if done.error is not None:
            if isinstance(done.error, _OUTRUN):
                self._put_off("returning", str(done.error).partition("\n")[0])
            elif _may_pass(done.error):
                self.went_away(done.error)
            return done
        before = self.journal.state() or Standing("online", time.time())
        counts = self.journal.counts()
        if not done.finished or counts.waiting:
            self._put_off("returning", "units of work wait", at_once=done.units > 0)
            return done
        if counts.in_doubt:
            # Those that touch the same rows wait; all others need not.
            self._put_off("online", "what became of units of work is not known yet")
        else:
            self.journal.set_state(Standing("online", time.time()))
        self._known = _Known()
        if before.word != "online":
            _log.info(
                "the warehouse is back after %.0f s; %d units of work arrived, %d are parked",
                time.time() - before.since,
                done.units,
                done.parked,
            )
        return done

    def _checked_replay(self, seconds: float | None) -> Replayed:
        try:
            self._check()
        except (DBAPIError, Error) as error:
            if is_from_signal(error):
                raise
            return Replayed(error=error)
        return replay(
            self.online, self.journal, self.tables, seconds=seconds, on_parked=self._on_parked
        )

    def _put_off(self, word: State, reason: str, *, at_once: bool = False) -> bool:
        """Have the warehouse tried again after a pause that grows; whether it was online before."""
        before = self.journal.state() or Standing("online", time.time())
        now = time.time()
        attempt = 0 if at_once else before.attempt + 1
        pause = min(FIRST_PAUSE * 2.0 ** min(attempt - 1, 16), LONGEST_PAUSE) if attempt else 0.0
        # Of random length: those who have lost it together shall not try together.
        next_try = now + pause * random.uniform(0.5, 1.0)  # noqa: S311
        since = now if "online" in (word, before.word) else before.since
        self.journal.set_state(Standing(word, since, reason, attempt, next_try))
        self._known = _Known()
        return before.word == "online"

    def _begin_anew(self) -> None:
        """Leave to the parent of a forked process what it has open."""
        self._lock = threading.RLock()
        self._known = _Known()
        standby, self._standby = self._standby, None
        if standby is not None:
            # Never closed here: that would end the locks of the parent.
            _left_to_parent.append(standby)

    def _keep(self, connection: StandbyConnection, held: Sequence[Held]) -> int:
        """Keep what a unit holds within the transaction of the standby."""
        return self.journal.append(
            connection,
            identity=str(uuid.uuid4()),
            document=encode(held),
            rows=sum(map(len, held)),
            may_wait=not connection.has_changed,
        )

    def _require_order(self, held: Sequence[Held]) -> None:
        """Have no unit pass others that were committed before it, and may touch the same rows.

        It may have begun before the outage in which they were.

        Raises:
            ConflictError: Such a unit waits, or may have arrived and may still.
        """
        counts = self.journal.counts()
        if counts.waiting:
            raise _UnitsWaitError(
                "units of work that were committed while the warehouse was away have not arrived "
                "yet, and this one would pass them; nothing was written\n"
                "To fix it: repeat the whole unit of work, which goes behind them."
            )
        if not counts.in_doubt:
            return
        own = Touched()
        for write in held:
            own.update(touched_by(write, self.tables))
        for entry in self.journal.entries({UnitState.IN_DOUBT}):
            if touched(entry.document, self.tables).meets(own):
                raise ConflictError(
                    f"it is not known yet whether unit {entry.seq} of the journal, which writes to "
                    "the same rows, has arrived, or may still; nothing was written\n"
                    "To fix it: repeat the whole unit of work when that is known "
                    f"(`vinci fallback show {entry.seq}`)."
                )

    def _unsent(self, origins: Sequence[Origin | None], held: Sequence[Held], error: Error) -> bool:
        """Keep a unit of work that could not be sent, or of which nobody can say what became.

        It is executed once more, on the standby. To be executed again has to give what the unit
        holds; else nothing is kept, and the application is told of the error.
        """
        identity, sent = str(uuid.uuid4()), None
        if isinstance(error, AmbiguousWriteError):
            if error.commit is None or self._answers():
                return False
            commit = error.commit
            identity = commit.identity
            sent = Sent(commit.word, commit.began, str(error), error.copies)
        elif not isinstance(error, _UnitsWaitError) and not is_away(error):
            return False
        if not isinstance(error, _UnitsWaitError):
            self.went_away(error)
        known = [origin for origin in origins if origin is not None]
        if len(known) != len(origins):
            return False  # a text of the application's own
        try:
            # First: by being executed again, the keys of its rows are those of two writes.
            document, noted = encode(held), keys_made(held)
            with self.standby.connect() as connection:
                for origin in known:
                    connection.execute(
                        origin.statement, list(origin.rows), execution_options=origin.options
                    )
                opened: Any = connection.connection.dbapi_connection
                again: StandbyConnection = opened
                found = again.held()
                if not is_alike(found, held):
                    # There the present is a value, and here the warehouse was to tell it.
                    if not is_alike(self._executed_again(known), held):
                        return False
                    document = encode(found, noted)
                again.keep_instead(
                    lambda: self.journal.append(
                        opened,
                        identity=identity,
                        document=document,
                        rows=sum(map(len, held)),
                        sent=sent,
                    )
                )
                connection.commit()
        except (DBAPIError, Error, StandbyReadError) as refused:
            _log.debug("a unit of work is not kept: %s", type(refused).__name__)
            return False
        return True

    def _executed_again(self, origins: Sequence[Origin]) -> list[Held]:
        """What the warehouse would hold of executions, as it does while it is there."""
        shadow = Shadow(shadow_engine(self.online, VinciCompiler))
        try:
            for origin in origins:
                shadow.hold(origin.statement, origin.rows, origin.options)
            return joined(shadow.held())
        finally:
            shadow.close()

    def _answers(self) -> bool:
        """Whether the warehouse answers; where it does, what it does not tell it never will."""
        try:
            with self.online.connect() as connection:
                connection.exec_driver_sql("SELECT 1").all()
        except (DBAPIError, Error) as error:
            return not is_away(error)
        return True


@dataclass(frozen=True)
class _Known:
    """What was read of the journal, and when by this process's clock."""

    standing: Standing = _ONLINE
    counts: Counts | None = None
    read_at: float = float("-inf")

    @property
    def goes_online(self) -> bool:
        """Whether the warehouse is there, and nothing waits for it."""
        return self.standing.word == "online" and not (self.counts and self.counts.waiting)

    @property
    def lacks_something(self) -> bool:
        """Whether the warehouse is away, or something has not arrived, or may not have."""
        return not self.goes_online or bool(self.counts and self.counts.in_doubt)


class MirroredReads:
    """Says which tables the standby can answer for."""

    def __init__(self, fallback: Fallback, option: ReadsOption) -> None:
        self._fallback = fallback
        self._option = option
        self._mirrors: dict[str, Mirror] = {}
        self._read_at = float("-inf")

    def mirrors(self) -> dict[str, Mirror]:
        """The tables that were mirrored, by their bare names, as of a moment ago.

        Each SELECT asks for them. A table that another process has just copied is known a moment
        later; none is ever forgotten.
        """
        if time.monotonic() - self._read_at > _FRESH:
            read_at = time.monotonic()
            found = self._fallback.journal.mirrored()
            self._mirrors = {
                name.rpartition(".")[2].lower(): mirror for name, mirror in found.items()
            }
            self._read_at = read_at
        return self._mirrors

    def forget(self) -> None:
        """Read at the next question again which tables were mirrored."""
        self._read_at = float("-inf")

    def knows(self, table: str) -> bool:
        """Whether it has the rows that a table has on the warehouse, or is to behave so."""
        return self._option == "always" or table in self.mirrors()

    def require(self, tables: frozenset[str] | None) -> None:
        """Refuse to read tables, by their bare names, that it cannot answer for.

        Raises:
            StandbyReadError: It cannot, or they are not known.
        """
        if self._option == "always" or tables == frozenset():
            return
        if self._option == "never":
            raise StandbyReadError(
                "the warehouse is away, and DATABRICKS_FALLBACK_READS=never: nothing is read "
                "meanwhile\nTo fix it: wait for it (`vinci fallback status`), or choose `mirrored`."
            )
        if tables is None:
            raise StandbyReadError(
                "the warehouse is away, and which tables this statement reads is not known, so "
                "that the standby cannot answer for it\nTo fix it: write it as a construct of "
                "SQLAlchemy, or choose DATABRICKS_FALLBACK_READS=always."
            )
        mirrors = self.mirrors()
        missing = sorted(tables - mirrors.keys())
        if missing:
            raise StandbyReadError(
                f"the warehouse is away, and {', '.join(missing)} was never mirrored, so that its "
                "rows are not here\nTo fix it: when the warehouse is back, run `vinci fallback "
                f"refresh {' '.join(missing)}`; or choose DATABRICKS_FALLBACK_READS=always, which "
                "answers with what was written since."
            )


def _without_schemas(engine: Engine, tables: Mapping[str, Table]) -> Engine:
    """An engine on a file, which has no schemas, for tables that may have some.

    Raises:
        FallbackFileError: Two tables have the same name but for their schemas.
    """
    named: dict[str, Table] = {}
    for table in tables.values():
        other = named.setdefault(bare_name(table), table)
        if other is not table:
            raise FallbackFileError(
                f"the standby cannot hold both {other.fullname} and {table.fullname}: a SQLite "
                "file has no schemas\nTo fix it: give one of them another name, or switch the "
                "fallback off."
            )
    schemas: dict[str | None, str | None] = {table.schema: None for table in tables.values()}
    schemas.pop(None, None)
    return engine.execution_options(schema_translate_map=schemas) if schemas else engine


_left_to_parent: list[Engine] = []


class _UnitsWaitError(ConflictError):
    """A unit would pass others that were committed before it."""


# The warehouse is there, and took something else first, or has forgotten the session.
_OUTRUN = (ConflictError, SessionLostError)


def _may_pass(error: BaseException) -> bool:
    """Whether what has stopped a replay may be over in a while."""
    return is_away(error) or isinstance(error, (AmbiguousWriteError, *_OUTRUN))
