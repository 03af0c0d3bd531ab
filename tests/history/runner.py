"""Runs schedules against a local warehouse, one step after the other in one thread.

Every unit of work is a session of its own. What shall happen in the middle of a commit happens
there: the warehouse, or the dialect, is held at that moment while the other steps run.
"""

from __future__ import annotations

import itertools
import os
import re
import secrets
import signal
import ssl
import sys
import threading
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from types import FrameType, TracebackType
from typing import Any
from unittest import mock

import sqlalchemy as sa
from sqlalchemy import orm

from tests.history import model
from tests.history.model import ACCOUNT, ITEM, NOTE, RECEIPT, SETTING, WALLET, Row, Write
from tests.history.schedules import (
    ARRIVAL,
    AWAY,
    BETWEEN,
    COMMIT,
    CONFLICT,
    DONE,
    END,
    FORBIDDEN,
    FORK,
    HIDDEN,
    LOST_AFTER,
    LOST_BEFORE,
    LOST_MIDDLE,
    OVERLAP,
    PER_TABLE,
    PROBE,
    REPEAT,
    RESEND,
    ROLLBACK,
    TOO_LATE,
    UNIT,
    WITHHELD,
    Mishap,
    Schedule,
    Step,
)
from vinci_code.database import run_unit, upsert
from vinci_code.database.dialect import dbapi, query_history, units, waiting
from vinci_code.warehouse import LocalWarehouse
from vinci_code.warehouse.engine.transactions import Effect, Transaction
from vinci_code.warehouse.faults import HISTORY, Fault
from vinci_code.warehouse.history import FINISHED, Entry

ACKNOWLEDGED, FAILED, AMBIGUOUS = "acknowledged", "failed", "ambiguous"
PARTIAL, ROLLED_BACK, INTERRUPTED = "partial", "rolled back", "interrupted"

# How many rows of one table a schedule may use, and for how many schedules rows are made at once.
_RANGE = 16
_AHEAD = 50
# How long the query history is asked that will not tell; one that will is waited for.
_HISTORY_SECONDS, _LONGEST = 0.05, 60.0
# How many statements it remembers here: who looks for one that is not there reads all of them.
_REMEMBERED = 150
_TIMES = 1000

_WRITES = r"^\s*(INSERT|MERGE|UPDATE|DELETE|BEGIN ATOMIC)"

_MISHAPS: dict[str, Callable[..., Fault]] = {
    LOST_BEFORE: lambda **scope: Fault.reset("before", **scope),
    LOST_AFTER: lambda **scope: Fault.reset("after", **scope),
    LOST_MIDDLE: lambda **scope: Fault.reset("mid_reply", **scope),
    "503": lambda **scope: Fault.http(503, **scope),
    "503 executed": lambda **scope: Fault.http(503, executed=True, **scope),
    "504 executed": lambda **scope: Fault.http(504, executed=True, **scope),
    "429": lambda **scope: Fault.http(429, retry_after=0.01, **scope),
    "session lost": Fault.session_lost,
    CONFLICT: Fault.commit_conflict,
    "delayed": lambda **scope: Fault.delay(0.01, **scope),
    "slow": lambda **scope: Fault.slow_poll(0.01, **scope),
    HIDDEN: lambda **_: Fault.history_hidden(times=_TIMES),
    TOO_LATE: lambda **_: Fault.history_late(1000.0, times=_TIMES),
    FORBIDDEN: lambda **_: Fault.http(403, operation=HISTORY, times=_TIMES),
    AWAY: lambda **_: Fault.http(503, operation=HISTORY, times=_TIMES),
    "history late": lambda **_: Fault.history_late(0.03, times=_TIMES),
    "history busy": lambda **_: Fault.http(429, operation=HISTORY, retry_after=0.01, times=2),
    "history away once": lambda **_: Fault.http(500, operation=HISTORY),
    "history cut": lambda **_: Fault.reset("before", operation=HISTORY),
}


class Soft(Exception):  # noqa: N818 - as Celery's
    """A time limit of the application."""


RAISED: tuple[type[Exception], ...] = (Soft, TimeoutError, dbapi.StatementTimeout)
"""What the handler of a signal raises; of the last two, only where they come from tells."""

_TIME_IS_UP = "time is up"


class Base(orm.DeclarativeBase):
    """The tables of the checker."""


class Account(Base):
    """A row with a version counter; each version adds a unit to the log."""

    __tablename__ = ACCOUNT
    id: orm.Mapped[int] = orm.mapped_column(sa.BigInteger, primary_key=True, autoincrement=False)
    log: orm.Mapped[str]
    version: orm.Mapped[int] = orm.mapped_column()
    __mapper_args__ = {"version_id_col": version}  # noqa: RUF012 - SQLAlchemy's form


class Item(Base):
    """A row with a unique code."""

    __tablename__ = ITEM
    id: orm.Mapped[int] = orm.mapped_column(sa.BigInteger, primary_key=True, autoincrement=False)
    code: orm.Mapped[str | None] = orm.mapped_column(sa.String(40), unique=True)
    writer: orm.Mapped[str]


class Setting(Base):
    """A row whose last writer wins."""

    __tablename__ = SETTING
    id: orm.Mapped[int] = orm.mapped_column(sa.BigInteger, primary_key=True, autoincrement=False)
    value: orm.Mapped[str]


class Wallet(Base):
    """A row without a version; each change adds a unit to the log, and one to the balance."""

    __tablename__ = WALLET
    id: orm.Mapped[int] = orm.mapped_column(sa.BigInteger, primary_key=True, autoincrement=False)
    log: orm.Mapped[str]
    balance: orm.Mapped[int]


class Note(Base):
    """A message of a queue, whose key is made here."""

    __tablename__ = NOTE
    id: orm.Mapped[int] = orm.mapped_column(primary_key=True)
    slot: orm.Mapped[int] = orm.mapped_column(sa.BigInteger)
    writer: orm.Mapped[str]


class Receipt(Base):
    """What was done once, by its idempotency key."""

    __tablename__ = RECEIPT
    id: orm.Mapped[int] = orm.mapped_column(primary_key=True)
    slot: orm.Mapped[int] = orm.mapped_column(sa.BigInteger, unique=True)
    writer: orm.Mapped[str]


_VIEW = "shown_setting"

_ACCOUNTS: Any = Account.__table__
_ITEMS: Any = Item.__table__
_SETTINGS: Any = Setting.__table__
_WALLETS: Any = Wallet.__table__
_RECEIPTS: Any = Receipt.__table__
_SHOWN = sa.table(_VIEW, sa.column("id", sa.BigInteger), sa.column("value", sa.String))


@dataclass(frozen=True)
class Read:
    """A unit has read a row.

    Attributes:
        unit: The unit.
        table: The table.
        key: The row.
        found: What it holds; ``None`` where there is none.
        pending: What the unit has written before.
    """

    unit: int
    table: str
    key: int
    found: Row | None
    pending: tuple[Write, ...]


@dataclass(frozen=True)
class Counted:
    """A unit was told how many rows a change of one row has matched."""

    unit: int
    table: str
    key: int
    rows: int
    pending: tuple[Write, ...]


@dataclass(frozen=True)
class Began:
    """A unit has begun."""

    unit: int


@dataclass(frozen=True)
class Refused:
    """A step was refused, and the unit goes on without it."""

    unit: int
    error: Exception


@dataclass(frozen=True)
class Ended:
    """A unit has ended.

    Attributes:
        unit: The unit.
        outcome: What its session was told.
        error: The error that it was told by.
        writes: What it has written, without what was rolled back to a savepoint.
        snapshot: Whether it may have read from a snapshot of its own.
        mishaps: What was to go wrong during any of its steps.
        during: The step in which it failed, where that is not the commit.
        meanwhile: What happened within its commit.
        withheld: Whether the query history did not tell what became of a statement of it: it was
            made not to, or did not see all copies of it arrive.
        signalled: Whether the handler of a signal has raised an exception within it.
        back: Whether it has gone back to a savepoint.
    """

    unit: int
    outcome: str
    error: Exception | None
    writes: tuple[Write, ...]
    snapshot: bool
    mishaps: tuple[str, ...]
    during: str | None = None
    meanwhile: tuple[Event, ...] = ()
    withheld: bool = False
    signalled: bool = False
    back: bool = False


Event = Began | Read | Counted | Refused | Ended


@dataclass(frozen=True)
class History:
    """What happened in a schedule.

    Attributes:
        schedule: The schedule.
        transactions: Whether the warehouse has transactions.
        events: What happened, in order.
        rows: The rows afterwards, as a clean connection reads them: table, key, what it holds.
        found_out: What became of the commits whose answer was lost.
        broken: An error that was raised where none may be, and ended the schedule.
    """

    schedule: Schedule
    transactions: bool
    events: tuple[Event, ...]
    rows: tuple[tuple[str, int, Row], ...]
    found_out: tuple[str, ...] = ()
    broken: Exception | None = None


@dataclass
class _Open:
    """A unit that has begun."""

    number: int
    session: orm.Session
    writes: list[Write] = field(default_factory=list)
    savepoints: list[tuple[orm.SessionTransaction, int]] = field(default_factory=list)
    snapshot: bool = False
    mishaps: list[str] = field(default_factory=list)
    # Whether it has written to wallets by other statements than a flush: nothing is compared then.
    untold: bool = False
    # Whether it has gone back to a savepoint.
    back: bool = False
    # Objects that stay in its session, and those that it has made.
    kept: list[Any] = field(default_factory=list)
    made: list[Note | Receipt] = field(default_factory=list)


class Runner:
    """Runs schedules, each on rows of its own in the same three tables.

    Args:
        warehouse: The warehouse, which nobody else uses meanwhile.
        transactions: Whether it has transactions.
    """

    def __init__(self, warehouse: LocalWarehouse, *, transactions: bool) -> None:
        self.transactions = transactions
        self._warehouse = warehouse
        self._schema = f"history_{secrets.token_hex(4)}"
        warehouse.sql(f"CREATE SCHEMA {self._schema}")
        self._engines = {level: self._engine(level) for level in (UNIT, PER_TABLE)}
        Base.metadata.create_all(self._engines[UNIT])
        warehouse.sql(
            f"CREATE VIEW {self._schema}.{_VIEW} AS SELECT id, value FROM {self._schema}.{SETTING}"
        )
        warehouse._live.service._history._most = _REMEMBERED
        self._clean = dbapi.connect(**warehouse.connect_args_for(warehouse.catalog, self._schema))
        self._bases = itertools.count(1)
        self._made = 0

    def close(self) -> None:
        """End every session."""
        self._clean.close()
        for engine in self._engines.values():
            engine.dispose()
        self._warehouse.sql(f"DROP SCHEMA {self._schema} CASCADE")

    def __enter__(self) -> Runner:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def run(self, schedule: Schedule) -> History:
        """Run a schedule."""
        base = next(self._bases)
        if base > self._made:
            self._make_rows(base)
        run = _Run(schedule, self._warehouse, self._engines[schedule.atomicity], base, self._clean)
        broken: Exception | None = None
        with run.watching():
            try:
                run.all_steps()
            except Exception as error:  # noqa: BLE001 - whatever it is, the checker tells it
                broken = error
        events, found_out = tuple(run.events), tuple(run.found_out)
        return History(schedule, self.transactions, events, self._rows(base), found_out, broken)

    def _engine(self, atomicity: str) -> sa.Engine:
        warehouse = self._warehouse
        url = sa.URL.create(
            "databricks+vinci",
            host=warehouse.host,
            port=warehouse.port,
            query={
                "http_path": warehouse.http_path,
                "catalog": warehouse.catalog,
                "schema": self._schema,
            },
        )
        arguments = {
            "access_token": warehouse.access_token,
            "_tls_trusted_ca_file": str(warehouse.ca_file),
        }
        return sa.create_engine(
            url, atomicity=atomicity, connect_args=arguments, history_timeout=_HISTORY_SECONDS
        )

    def _make_rows(self, first: int) -> None:
        bases = range(first, first + _AHEAD)
        with orm.Session(self._engines[PER_TABLE]) as session:
            for table, made in _ROWS.items():
                rows = [
                    made(base, key, row)
                    for base in bases
                    for key, row in model.START[table].items()
                ]
                session.execute(sa.insert(Base.metadata.tables[table]), rows)
            session.commit()
        self._made = bases[-1]

    def _rows(self, base: int) -> tuple[tuple[str, int, Row], ...]:
        low, high = base * _RANGE, base * _RANGE + _RANGE - 1
        within, by_slot = (f"WHERE {name} BETWEEN {low} AND {high}" for name in ("id", "slot"))
        cursor = self._clean.cursor()
        cursor.execute(
            f"SELECT '{ACCOUNT}', id, log, CAST(version AS STRING) FROM {ACCOUNT} {within} "
            f"UNION ALL SELECT '{ITEM}', id, code, writer FROM {ITEM} {within} "
            f"UNION ALL SELECT '{SETTING}', id, value, NULL FROM {SETTING} {within} "
            f"UNION ALL SELECT '{WALLET}', id, log, CAST(balance AS STRING) FROM {WALLET} {within} "
            f"UNION ALL SELECT '{NOTE}', slot, writer, NULL FROM {NOTE} {by_slot} "
            f"UNION ALL SELECT '{RECEIPT}', slot, writer, NULL FROM {RECEIPT} {by_slot}"
        )
        found: list[tuple[str, int, Row]] = []
        for table, key, first, second in cursor.fetchall():
            row: Row = (first,)
            if table == ITEM:
                row = (_short(first, base), second)
            elif table in (ACCOUNT, WALLET) and int(second) != len(first.split(",")):
                row = (f"{first} as version {second}",)
            found.append((table, key - low, row))
        cursor.close()
        return tuple(sorted(found, key=repr))


class _Run:
    """One schedule while it runs."""

    def __init__(
        self,
        schedule: Schedule,
        warehouse: LocalWarehouse,
        engine: sa.Engine,
        base: int,
        clean: dbapi.Connection,
    ) -> None:
        self.events: list[Event] = []
        self.found_out: list[str] = []
        self._schedule = schedule
        self._warehouse = warehouse
        self._engine = engine
        self._base = base
        self._clean = clean
        self._left = list(schedule.steps)
        self._open: dict[int, _Open] = {}
        self._ended: set[int] = set()
        # What is to be done at a moment of the commit that runs, and whether an answer of it was
        # lost.
        self._at: dict[str, list[Callable[[], None]]] = {}
        self._asked = False
        self._broken: list[Exception] = []
        self._committing: _Open | None = None
        # Whether the query history is made to be silent, and whether it has told nothing.
        self._silent = False
        self._withheld = False
        # What the handler of a signal is to raise, and whether it has.
        self._raises: type[Exception] | None = None
        self._signalled = False
        self._slots: set[int] = set()
        self._unsure: list[Note | Receipt] = []

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Hold the dialect and the warehouse at the moments of a commit; wait for nothing long."""
        find_out = vars(units)["find_out"]
        apply, commit = Transaction.apply, Transaction.commit
        faults = self._warehouse.faults
        draw = faults.draw

        def watched_find_out(sought: Any, *arguments: Any) -> Any:
            self._asked = True
            self._reach(PROBE)
            tells = self._history_tells(sought.identity)
            self._withheld |= not tells
            dialect: Any = self._engine.dialect
            dialect.history_timeout = _LONGEST if tells else _HISTORY_SECONDS
            found = find_out(sought, *arguments)
            told = "" if tells else ", without the history"
            self.found_out.append(f"{found.outcome.value}{told}")
            self._reach(RESEND)
            return found

        def watched_draw(operation: str, *arguments: Any, **named: Any) -> Fault | None:
            if operation == "ExecuteStatement":
                self._reach_in_warehouse(ARRIVAL)
            return draw(operation, *arguments, **named)

        def watched_apply(transaction: Transaction, effect: Effect) -> None:
            apply(transaction, effect)
            self._reach_in_warehouse(BETWEEN)

        def watched_commit(transaction: Transaction) -> None:
            self._reach_in_warehouse(OVERLAP)
            commit(transaction)
            self._reach_in_warehouse(DONE)

        with ExitStack() as stack:
            for target, name, value in (
                (units, "find_out", watched_find_out),
                (Transaction, "apply", watched_apply),
                (Transaction, "commit", watched_commit),
                (waiting, "_FIRST_PAUSE", 0.005),
                (waiting, "_LONGEST_PAUSE", 0.02),
                (waiting, "_JITTER", 0.0),
                (query_history, "_FIRST_PAUSE", 0.005),
                (query_history, "_LONGEST_PAUSE", 0.02),
                (faults, "draw", watched_draw),
                # The certificates of the system, of which none is that of the warehouse.
                (ssl.SSLContext, "load_default_certs", lambda *_: None),
            ):
                stack.enter_context(mock.patch.object(target, name, value))
            signal.signal(signal.SIGUSR1, self._on_signal)
            # Not to what it was, which would end the process for a signal that comes late.
            stack.callback(signal.signal, signal.SIGUSR1, signal.SIG_IGN)
            try:
                yield
            finally:
                self._warehouse.faults.clear()
                for unit in self._open.values():
                    unit.session.close()

    def all_steps(self) -> None:
        """Take every step; what has not ended by itself is rolled back."""
        while self._left:
            self._take(self._left.pop(0))
        for number in list(self._open):
            self._take(Step(number, ROLLBACK))
        for error in self._broken:
            raise error

    def _reach(self, moment: str) -> None:
        for action in self._at.pop(moment, ()):
            action()

    def _reach_in_warehouse(self, moment: str) -> None:
        try:
            self._reach(moment)
        except Exception as error:  # noqa: BLE001 - this is a thread of the warehouse
            self._broken.append(error)

    # --- the query history, and signals -----------------------------------------------------------

    def _entries(self) -> list[Entry]:
        history = self._warehouse._live.service._history
        with history._lock:
            return list(history._entries)

    def _settle(self) -> list[Entry]:
        """Wait until the warehouse has done with every statement."""
        end = time.monotonic() + _LONGEST
        while any(entry.ended is None for entry in self._entries()):
            if time.monotonic() > end:
                raise AssertionError("a statement that nobody waits for does not end")
            time.sleep(0.002)
        return self._entries()

    def _history_tells(self, identity: str) -> bool:
        """Whether the query history tells what became of a commit, by what the warehouse knows."""
        entries = [entry for entry in self._settle() if identity in entry.tags.values()]
        sent = sum(
            identity in record.configuration.get("query_tags", "")
            for record in self._warehouse.requests
        )
        if self._silent:
            return False
        finished = any(entry.status == FINISHED for entry in entries)
        return finished or (bool(entries) and len(entries) >= sent)

    def _signal(self) -> None:
        """Have the handler of a signal raise an exception in the thread that waits."""
        if self._raises is None:
            return
        self._signalled = True
        signal.pthread_kill(_main_thread(), signal.SIGUSR1)

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        raises, self._raises = self._raises, None
        if raises is not None:
            raise raises(_TIME_IS_UP)

    def _was_interrupted(self, error: Exception, raises: type[Exception] | None) -> bool:
        told = str(error).startswith(_TIME_IS_UP)
        return self._signalled and type(error) is raises and told

    # --- steps ----------------------------------------------------------------------------------

    def _take(self, step: Step, *, within: bool = False) -> None:
        if step.unit in self._ended:
            return
        if step.does == FORK:
            self._fork(step)
            return
        if within:
            self._do(step, within=True)
            return
        self._warehouse.clear_requests()
        for mishap in step.mishaps:
            self._warehouse.inject(_fault(mishap, late=step.late is not None))
        self._silent = any(mishap.kind in WITHHELD for mishap in step.mishaps)
        self._withheld = self._signalled = False
        try:
            self._do(step, within=False)
        finally:
            self._warehouse.faults.clear()
            self._at.clear()
            self._raises = None
            self._silent = self._withheld = self._signalled = False

    def _do(self, step: Step, *, within: bool) -> None:
        mishaps = [] if within else [mishap.kind for mishap in step.mishaps]
        if step.does == REPEAT:
            self._repeat(step, mishaps, within=within)
            return
        unit = self._open.get(step.unit) or self._begin(step.unit)
        unit.mishaps += mishaps
        if step.does == COMMIT:
            self._commit(unit, step, within=within)
        elif step.does == ROLLBACK:
            self._end(unit, ROLLED_BACK)
        else:
            self._work(unit, step, within=within)

    def _begin(self, number: int) -> _Open:
        engine = self._engine
        repeatable = number in self._schedule.repeatable
        if repeatable:
            engine = engine.execution_options(isolation_level=units.REPEATABLE_READ)
        session = orm.Session(engine, autoflush=False, expire_on_commit=False)
        self._open[number] = _Open(number, session, snapshot=repeatable)
        self.events.append(Began(number))
        return self._open[number]

    def _work(self, unit: _Open, step: Step, *, within: bool) -> None:
        raises = None
        if step.signal is not None and not within:
            self._raises = raises = RAISED[step.raises]
            self._at[step.signal] = [self._signal]
        try:
            _DOES[step.does](self, unit, step)
        except _EXPECTED as error:
            # Nothing is committed before the commit, whatever has interrupted the step.
            self._raises = None
            if not within and self._was_interrupted(_original(error), raises):
                self._settle()
                unit.writes.clear()
                self._end(unit, INTERRUPTED, error, during=step.does)
            elif isinstance(_original(error), dbapi.PendingWritesError):
                self.events.append(Refused(unit.number, _original(error)))
            else:
                self._end(unit, FAILED, error, during=step.does)
        else:
            self._raises = None
            if not within and self._signalled:
                raise AssertionError(f"what a signal handler raised in {step.does} was swallowed")

    def _end(
        self,
        unit: _Open,
        outcome: str,
        error: Exception | None = None,
        *,
        during: str | None = None,
        meanwhile: tuple[Event, ...] = (),
        within: bool = False,
    ) -> None:
        if outcome != ACKNOWLEDGED:
            self._unsure += unit.made
        with unit.session as session:
            try:
                session.rollback()
            except (sa.exc.NotSupportedError, dbapi.NotSupportedError):
                # SQLAlchemy goes back to the savepoints first; what was sent since cannot.
                # Whoever was told so before is not told again.
                if during == "back" or not (unit.savepoints and unit.snapshot):
                    raise
        del self._open[unit.number]
        self._ended.add(unit.number)
        self._note_end(unit, outcome, error, during=during, meanwhile=meanwhile, within=within)

    def _note_end(
        self,
        unit: _Open,
        outcome: str,
        error: Exception | None,
        *,
        during: str | None = None,
        meanwhile: tuple[Event, ...] = (),
        within: bool = False,
    ) -> None:
        self.events.append(
            Ended(
                unit.number,
                outcome,
                None if error is None else _original(error),
                tuple(unit.writes),
                unit.snapshot,
                tuple(unit.mishaps),
                during,
                meanwhile,
                self._withheld and not within,
                self._signalled and not within,
                unit.back,
            )
        )

    def _commit(self, unit: _Open, step: Step, *, within: bool) -> None:
        events, self.events = self.events, [] if not within else self.events
        raises = None
        if not within:
            self._asked = False
            raises = self._plan(unit, step)
            self._committing = unit
        outcome, error = ACKNOWLEDGED, None
        try:
            unit.session.commit()
        except _EXPECTED as raised:
            outcome, error = _outcome_of(_original(raised)), raised
        if within:
            self._end(unit, outcome, error, within=True)
            return
        self._raises = self._committing = None
        if error is not None and self._was_interrupted(_original(error), raises):
            outcome = INTERRUPTED
        self._settle()
        if self._asked:
            self._reach(END)
        self._at.clear()
        meanwhile, self.events = tuple(self.events), events
        self._end(unit, outcome, error, meanwhile=meanwhile)

    def _plan(self, unit: _Open, commit: Step) -> type[Exception] | None:
        """Note what is to happen within a commit; returns what a signal handler is to raise."""
        self._at.clear()
        if commit.meanwhile:
            # One statement of a block sees what happens before it, and another one does not.
            unit.snapshot |= commit.moment == BETWEEN
            self._at[commit.moment] = [lambda: self._meanwhile(commit)]
        if commit.late is not None:
            self._at.setdefault(commit.late, []).append(self._deliver)
        if commit.signal is not None:
            self._raises = RAISED[commit.raises]
            self._at.setdefault(commit.signal, []).append(self._signal)
        return self._raises

    def _meanwhile(self, commit: Step) -> None:
        others = [step for step in self._left if step.unit != commit.unit][: commit.meanwhile]
        if threading.current_thread() is not threading.main_thread():
            # A process is forked where its program runs, not where the warehouse does.
            others = [step for step in others if step.does != FORK]
        with self._undisturbed():
            for step in others:
                self._left.remove(step)
                self._take(step, within=True)

    def _deliver(self) -> None:
        """Let the statement arrive after all that was lost on its way."""
        lost = [r for r in self._warehouse.requests if r.fault == "reset:before" and r.statement]
        with self._undisturbed():
            for record in lost[:1]:
                cursor = self._clean.cursor()
                try:
                    _, _, identity = record.configuration.get("query_tags", "").partition(":")
                    given = record.parameters
                    # The text has the names that the dialect has made of its markers.
                    named: Any = {name: value for name, _, value in given if name is not None}
                    cursor.execute(
                        str(record.statement),
                        named or [value for _, _, value in given],
                        query_tags={query_history.TAG: identity} if identity else None,
                    )
                except dbapi.Error:
                    # Nobody is there to be told.
                    pass
                finally:
                    cursor.close()

    @contextmanager
    def _undisturbed(self) -> Iterator[None]:
        """Keep the faults for those whom they are meant for."""
        faults = self._warehouse.faults
        waiting_faults = faults.pending
        at, self._at = self._at, {}
        raises, self._raises = self._raises, None
        faults.clear()
        try:
            yield
        finally:
            self._at, self._raises = at, raises
            faults.add(*(replace(fault, skip=0) for fault in waiting_faults))

    # --- what a unit does -----------------------------------------------------------------------

    def _id(self, key: int) -> int:
        return self._base * _RANGE + key

    def _code(self, code: str | None) -> str | None:
        return None if code is None else f"{self._base}:{code}"

    def _load(self, unit: _Open, kind: type[Any], key: int) -> Any:
        """An object as the session has it, or finds it."""
        unit.snapshot |= bool(unit.writes)
        session = unit.session
        known = session.identity_key(kind, self._id(key)) in session.identity_map
        found = session.get(kind, self._id(key))
        row: Row | None = None
        if kind is Item:
            row = None if found is None else (_short(found.code, self._base), found.writer)
        else:
            row = None if found is None else (found.log,)
        if not known:
            table = str(kind.__tablename__)
            self.events.append(Read(unit.number, table, key, row, tuple(unit.writes)))
        return found

    def _append(self, unit: _Open, step: Step) -> None:
        account = self._load(unit, Account, step.keys[0])
        if account is not None:
            before = account.log
            account.log = f"{before},{_name(unit)}"
            unit.session.flush()
            unit.writes.append(Write(model.SWAP, ACCOUNT, step.keys[0], (account.log,), (before,)))

    def _remove(self, unit: _Open, step: Step) -> None:
        account = self._load(unit, Account, step.keys[0])
        if account is not None:
            unit.session.delete(account)
            unit.session.flush()
            unit.writes.append(Write(model.SWAP, ACCOUNT, step.keys[0], None, (account.log,)))

    def _open_account(self, unit: _Open, step: Step) -> None:
        row = (_name(unit),)
        values = _account(self._base, step.keys[0], row)
        unit.session.execute(sa.insert(_ACCOUNTS), values)
        unit.writes.append(Write(model.INSERT, ACCOUNT, step.keys[0], row))

    def _add(self, unit: _Open, step: Step) -> None:
        rows = [
            (key, (step.code if number == 0 else None, _name(unit)))
            for number, key in enumerate(step.keys)
        ]
        listed = [_item(self._base, key, row) for key, row in rows]
        unit.session.execute(sa.insert(_ITEMS), listed)
        unit.writes += [Write(model.INSERT, ITEM, key, row) for key, row in rows]

    def _recode(self, unit: _Open, step: Step) -> None:
        item = self._load(unit, Item, step.keys[0])
        if item is not None:
            # Both at once, even where one is as before: the row is this unit's afterwards.
            item.code, item.writer = self._code(step.code), _name(unit)
            orm.attributes.flag_modified(item, "code")
            orm.attributes.flag_modified(item, "writer")
            unit.session.flush()
            row = (step.code, _name(unit))
            unit.writes.append(Write(model.CHANGE, ITEM, step.keys[0], row))

    def _drop(self, unit: _Open, step: Step) -> None:
        unit.session.execute(sa.delete(_ITEMS).where(_ITEMS.c.id == self._id(step.keys[0])))
        unit.writes.append(Write(model.SET, ITEM, step.keys[0], None))

    def _reload(self, unit: _Open, step: Step) -> None:
        """Delete rows, and insert the same keys again."""
        keys = range(step.keys[0], step.keys[-1] + 1)
        low, high = self._id(keys[0]), self._id(keys[-1])
        unit.session.execute(sa.delete(_ITEMS).where(_ITEMS.c.id.between(low, high)))
        unit.writes += [Write(model.SET, ITEM, key, None) for key in keys]
        self._add(unit, replace(step, keys=tuple(keys)))

    def _pay(self, unit: _Open, step: Step) -> None:
        """Change what was read before."""
        wallet = self._load(unit, Wallet, step.keys[0])
        if wallet is None:
            return
        unit.kept.append(wallet)
        before = wallet.log
        wallet.log, wallet.balance = f"{before},{_name(unit)}", wallet.balance + 1
        unit.session.flush()
        action = model.CHANGE if unit.untold else model.SWAP
        expected = None if unit.untold else (before,)
        unit.writes.append(Write(action, WALLET, step.keys[0], (wallet.log,), expected))

    def _bump(self, unit: _Open, step: Step) -> None:
        """Change what is stored."""
        text = f",{_name(unit)}"
        unit.untold = True
        unit.session.execute(
            sa.update(_WALLETS)
            .where(_WALLETS.c.id == self._id(step.keys[0]))
            .values(log=_WALLETS.c.log + text, balance=_WALLETS.c.balance + 1)
        )
        unit.writes.append(Write(model.EXTEND, WALLET, step.keys[0], (text,)))

    def _gain(self, unit: _Open, step: Step) -> None:
        """Change what is stored of an object that was read."""
        wallet: Any = self._load(unit, Wallet, step.keys[0])
        if wallet is not None:
            text = f",{_name(unit)}"
            wallet.log, wallet.balance = Wallet.log + text, Wallet.balance + 1
            unit.session.flush()
            unit.writes.append(Write(model.APPEND, WALLET, step.keys[0], (text,)))

    def _grant(self, unit: _Open, step: Step) -> None:
        row = (_name(unit),)
        unit.untold = True
        unit.session.execute(sa.insert(_WALLETS), _wallet(self._base, step.keys[0], row))
        unit.writes.append(Write(model.INSERT, WALLET, step.keys[0], row))

    def _close(self, unit: _Open, step: Step) -> None:
        wallet = self._load(unit, Wallet, step.keys[0])
        if wallet is not None:
            unit.session.delete(wallet)
            unit.session.flush()
            unit.writes.append(Write(model.SET, WALLET, step.keys[0], None))

    def _renew(self, unit: _Open, step: Step) -> None:
        """Delete an object, and add another one with its key."""
        wallet = self._load(unit, Wallet, step.keys[0])
        if wallet is not None:
            unit.session.delete(wallet)
            unit.session.flush()
            row = (_name(unit),)
            unit.session.add(Wallet(**_wallet(self._base, step.keys[0], row)))
            unit.session.flush()
            unit.writes.append(Write(model.SET, WALLET, step.keys[0], None))
            unit.writes.append(Write(model.INSERT, WALLET, step.keys[0], row))

    def _fill(self, unit: _Open, step: Step) -> None:
        row = (self._value(unit),)
        values = _setting(self._base, step.keys[0], row)
        unit.session.execute(sa.insert(_SETTINGS), values)
        unit.writes.append(Write(model.INSERT, SETTING, step.keys[0], row))

    def _copy(self, unit: _Open, step: Step) -> None:
        """Copy what a view shows of a setting."""
        unit.untold = True
        shown = sa.select(_SHOWN.c.id, _SHOWN.c.value, sa.literal(1))
        source = shown.where(_SHOWN.c.id == self._id(step.keys[0]))
        unit.session.execute(sa.insert(_WALLETS).from_select(["id", "log", "balance"], source))
        unit.writes.append(Write(model.COPY, WALLET, step.keys[0]))

    def _send(self, unit: _Open, step: Step) -> None:
        if step.keys[0] not in self._slots:
            self._slots.add(step.keys[0])
            self._make(unit, Note(slot=self._id(step.keys[0]), writer=_name(unit)))

    def _once(self, unit: _Open, step: Step) -> None:
        self._make(unit, Receipt(slot=self._id(step.keys[0]), writer=_name(unit)))

    def _again(self, unit: _Open, _step: Step) -> None:
        """Add once more, with its key, what another unit has added in vain, or perhaps."""
        if self._unsure:
            before = self._unsure.pop()
            kind = type(before)
            self._make(unit, kind(id=before.id, slot=before.slot, writer=_name(unit)))

    def _make(self, unit: _Open, row: Note | Receipt) -> None:
        unit.session.add(row)
        unit.session.flush()
        # As values, which no end of a session takes back.
        unit.made.append(type(row)(id=row.id, slot=row.slot, writer=row.writer))
        key = row.slot - self._id(0)
        unit.writes.append(Write(model.INSERT, row.__tablename__, key, (_name(unit),)))

    def _consume(self, unit: _Open, _step: Step) -> None:
        """Take the oldest message of the queue, and write elsewhere."""
        unit.snapshot |= bool(unit.writes)
        within = Note.slot.between(self._id(0), self._id(_RANGE - 1))
        notes = unit.session.scalars(sa.select(Note).where(within).order_by(Note.id)).all()
        found = {note.slot - self._id(0): note for note in notes}
        if len(found) < len(notes):
            raise AssertionError(f"{len(notes)} messages in {sorted(found)}")
        for key in sorted({0, 1} | self._slots):
            row = (found[key].writer,) if key in found else None
            self.events.append(Read(unit.number, NOTE, key, row, tuple(unit.writes)))
        if notes:
            unit.session.delete(notes[0])
            unit.session.flush()
            unit.writes.append(Write(model.SET, NOTE, notes[0].slot - self._id(0), None))
            self._bump(unit, Step(unit.number, "bump", (1,)))

    def _forget(self, unit: _Open, step: Step) -> None:
        where = _RECEIPTS.c.slot == self._id(step.keys[0])
        unit.session.execute(sa.delete(_RECEIPTS).where(where))
        unit.writes.append(Write(model.SET, RECEIPT, step.keys[0], None))

    # --- units of one step ------------------------------------------------------------------------

    def _repeat(self, step: Step, mishaps: list[str], *, within: bool) -> None:
        """A unit that is run by ``run_unit``: it reads, and writes what follows from that."""
        attempts = itertools.count()
        now: list[_Open] = []

        def sessions() -> orm.Session:
            session = _Told(self._engine, autoflush=False, expire_on_commit=False)
            session.on_end = end
            now.append(_Open(step.unit, session, mishaps=[*mishaps]))
            self._withheld = self._withheld and within
            self.events.append(Began(step.unit))
            return session

        def work(session: orm.Session) -> None:
            unit = now[-1]
            wallet = self._load(unit, Wallet, step.keys[0])
            if next(attempts) == 0 and not within:
                self._meanwhile(step)
            if wallet is None:
                self._once(unit, step)
                return
            self._pay(unit, step)

        def end(error: Exception | None) -> None:
            outcome = ACKNOWLEDGED if error is None else _outcome_of(_original(error))
            self._note_end(now[-1], outcome, error, within=within)

        self._ended.add(step.unit)
        try:
            run_unit(work, retries=3, sessions=sessions, pause=lambda _: None)
        except _EXPECTED:
            # Told at the end of the session.
            self._settle()

    def _fork(self, step: Step) -> None:
        """A unit of a child process, which may use no connection of its parent."""
        if step.unit in self._open:
            return
        self._ended.add(step.unit)
        unit = _Open(step.unit, orm.Session(self._engine))
        text = f",{_name(unit)}"
        unit.writes.append(Write(model.EXTEND, WALLET, step.keys[0], (text,)))
        self.events.append(Began(step.unit))
        with warnings.catch_warnings():
            # Python 3.12 and later warn of exactly what is tried here.
            warnings.simplefilter("ignore", DeprecationWarning)
            child = os.fork()
        if not child:
            self._in_child(unit, step)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        if code:
            meaning = {_USED_PARENTS: "has committed what its parent holds"}
            raise AssertionError(f"a child {meaning.get(code, f'has ended with {code}')}")
        self._note_end(unit, ACKNOWLEDGED, None, within=True)

    def _in_child(self, unit: _Open, step: Step) -> None:
        code = 1
        try:
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            signal.alarm(int(_LONGEST))
            self._at.clear()
            code = self._child(unit, step)
        except BaseException:  # noqa: BLE001 - a child must not go on as its parent
            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(code)

    def _child(self, unit: _Open, step: Step) -> int:
        for parents in self._open.values():
            if parents is self._committing:
                continue  # in the middle of which it was forked
            try:
                parents.session.commit()
            except (sa.exc.SQLAlchemyError, dbapi.Error):
                # For its connection, or before that for what it holds; what is stored tells it.
                continue
            else:
                if parents.writes:
                    return _USED_PARENTS
        with unit.session as session:
            self._bump(unit, step)
            session.commit()
        self._engine.dispose()
        return 0

    def _upsert(self, unit: _Open, step: Step) -> None:
        value = self._value(unit)
        rows = [{"id": self._id(key), "value": value} for key in step.keys]
        unit.session.execute(upsert(Setting, rows, keys=["id"]))
        unit.writes += [Write(model.UPSERT, SETTING, key, (value,)) for key in step.keys]

    def _set(self, unit: _Open, step: Step) -> Any:
        value = self._value(unit)
        where = _SETTINGS.c.id == self._id(step.keys[0])
        result = unit.session.execute(sa.update(_SETTINGS).where(where).values(value=value))
        unit.writes.append(Write(model.SET, SETTING, step.keys[0], (value,)))
        return result

    def _unset(self, unit: _Open, step: Step) -> None:
        where = _SETTINGS.c.id == self._id(step.keys[0])
        unit.session.execute(sa.delete(_SETTINGS).where(where))
        unit.writes.append(Write(model.SET, SETTING, step.keys[0], None))

    def _touch(self, unit: _Open, step: Step) -> None:
        """What has to be run as it is, and cannot be told from its rows afterwards."""
        text = f"+{self._value(unit)}"
        unit.session.execute(
            sa.update(_SETTINGS)
            .where(_SETTINGS.c.id.between(self._id(step.keys[0]), self._id(step.keys[-1])))
            .values(value=_SETTINGS.c.value + text)
        )
        unit.writes += [
            Write(model.EXTEND, SETTING, key, (text,))
            for key in range(step.keys[0], step.keys[-1] + 1)
        ]

    def _read(self, unit: _Open, step: Step) -> None:
        table = Base.metadata.tables[str(step.table)]
        unit.snapshot |= bool(unit.writes)
        found = unit.session.execute(
            sa.select(table).where(
                table.c["slot" if "slot" in table.c else "id"] == self._id(step.keys[0])
            )
        ).all()
        for row in found[1:]:
            raise AssertionError(f"two rows with one key: {found[0]} and {row}")
        read: Row | None = None
        if found and step.table == ITEM:
            read = (_short(found[0].code, self._base), found[0].writer)
        elif found:
            read = (found[0].writer if "slot" in table.c else found[0][1],)
        self.events.append(
            Read(unit.number, str(step.table), step.keys[0], read, tuple(unit.writes))
        )

    def _count(self, unit: _Open, step: Step) -> None:
        pending = tuple(unit.writes)
        unit.snapshot = True
        result = self._set(unit, step)
        event = Counted(unit.number, SETTING, step.keys[0], result.rowcount, pending)
        self.events.append(event)

    def _savepoint(self, unit: _Open, _step: Step) -> None:
        unit.savepoints.append((unit.session.begin_nested(), len(unit.writes)))

    def _release(self, unit: _Open, _step: Step) -> None:
        if unit.savepoints:
            unit.savepoints.pop()[0].commit()

    def _back(self, unit: _Open, _step: Step) -> None:
        if unit.savepoints:
            unit.back = True
            savepoint, kept = unit.savepoints[-1]
            savepoint.rollback()
            unit.savepoints.pop()
            del unit.writes[kept:]

    def _value(self, unit: _Open) -> str:
        return f"{_name(unit)}.{len(unit.writes)}"


_DOES: dict[str, Callable[[_Run, _Open, Step], Any]] = {
    "append": _Run._append,
    "remove": _Run._remove,
    "open": _Run._open_account,
    "add": _Run._add,
    "recode": _Run._recode,
    "drop": _Run._drop,
    "reload": _Run._reload,
    "pay": _Run._pay,
    "bump": _Run._bump,
    "gain": _Run._gain,
    "grant": _Run._grant,
    "close": _Run._close,
    "renew": _Run._renew,
    "fill": _Run._fill,
    "copy": _Run._copy,
    "send": _Run._send,
    "once": _Run._once,
    "again": _Run._again,
    "consume": _Run._consume,
    "forget": _Run._forget,
    "put": _Run._upsert,
    "set": _Run._set,
    "unset": _Run._unset,
    "touch": _Run._touch,
    "read": _Run._read,
    "count": _Run._count,
    "savepoint": _Run._savepoint,
    "release": _Run._release,
    "back": _Run._back,
}


_EXPECTED: tuple[type[Exception], ...] = (sa.exc.SQLAlchemyError, dbapi.Error, *RAISED)
# The exit code of a child that could use a connection of its parent.
_USED_PARENTS = 3


class _Told(orm.Session):
    """A session that tells how the block of its ``begin()`` has ended."""

    on_end: Callable[[Exception | None], None]

    def begin(self, nested: bool = False) -> Any:
        return _Block(super().begin(nested), self.on_end)


class _Block:
    """The block of a transaction."""

    def __init__(
        self, transaction: orm.SessionTransaction, on_end: Callable[[Exception | None], None]
    ) -> None:
        self._transaction = transaction
        self._on_end = on_end

    def __enter__(self) -> orm.SessionTransaction:
        return self._transaction.__enter__()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            self._transaction.__exit__(kind, error, trace)
        except Exception as raised:
            self._on_end(raised)
            raise
        if error is None or isinstance(error, Exception):
            self._on_end(error)


def _main_thread() -> int:
    identity = threading.main_thread().ident
    assert identity is not None
    return identity


def _name(unit: _Open) -> str:
    return f"u{unit.number}"


def _account(base: int, key: int, row: Row) -> dict[str, Any]:
    return {"id": base * _RANGE + key, "log": row[0], "version": 1}


def _item(base: int, key: int, row: Row) -> dict[str, Any]:
    code = None if row[0] is None else f"{base}:{row[0]}"
    return {"id": base * _RANGE + key, "code": code, "writer": row[1]}


def _setting(base: int, key: int, row: Row) -> dict[str, Any]:
    return {"id": base * _RANGE + key, "value": row[0]}


def _wallet(base: int, key: int, row: Row) -> dict[str, Any]:
    return {"id": base * _RANGE + key, "log": row[0], "balance": 1}


def _by_slot(base: int, key: int, row: Row) -> dict[str, Any]:
    return {"slot": base * _RANGE + key, "writer": row[0]}


_ROWS: dict[str, Callable[[int, int, Row], dict[str, Any]]] = {
    ACCOUNT: _account,
    ITEM: _item,
    SETTING: _setting,
    WALLET: _wallet,
    NOTE: _by_slot,
    RECEIPT: _by_slot,
}


def _short(code: str | None, base: int) -> str | None:
    return None if code is None else re.sub(f"^{base}:", "", code)


def _fault(mishap: Mishap, *, late: bool) -> Fault:
    return _MISHAPS[mishap.kind](
        operation=mishap.operation,
        statement=_WRITES if late else None,
        skip=mishap.skip,
        times=mishap.times,
    )


def _original(error: Exception) -> Exception:
    original = getattr(error, "orig", None)
    return original if isinstance(original, Exception) else error


def _outcome_of(error: Exception) -> str:
    if isinstance(error, dbapi.AmbiguousWriteError):
        return AMBIGUOUS
    return PARTIAL if isinstance(error, dbapi.PartialCommitError) else FAILED
