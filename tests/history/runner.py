"""Runs schedules against a local warehouse, one step after the other in one thread.

Every unit of work is a session of its own. What shall happen in the middle of a commit happens
there: the warehouse, or the dialect, is held at that moment while the other steps run.
"""

from __future__ import annotations

import itertools
import re
import secrets
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from typing import Any
from unittest import mock

import sqlalchemy as sa
from sqlalchemy import orm

from tests.history import model
from tests.history.model import ACCOUNT, ITEM, SETTING, Row, Write
from tests.history.schedules import (
    BETWEEN,
    COMMIT,
    CONFLICT,
    END,
    LOST_AFTER,
    LOST_BEFORE,
    LOST_MIDDLE,
    OVERLAP,
    PER_TABLE,
    PROBE,
    RESEND,
    ROLLBACK,
    UNIT,
    Mishap,
    Schedule,
    Step,
)
from vinci_code.database import upsert
from vinci_code.database.dialect import dbapi, query_history, units, waiting
from vinci_code.warehouse import LocalWarehouse
from vinci_code.warehouse.engine.transactions import Effect, Transaction
from vinci_code.warehouse.faults import Fault

ACKNOWLEDGED, FAILED, AMBIGUOUS = "acknowledged", "failed", "ambiguous"
PARTIAL, ROLLED_BACK = "partial", "rolled back"

# How many rows of one table a schedule may use, and for how many schedules rows are made at once.
_RANGE = 16
_AHEAD = 50
# Of what has never arrived the query history says nothing, however long it is asked.
_HISTORY_SECONDS = 0.1

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
}


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


_ACCOUNTS: Any = Account.__table__
_ITEMS: Any = Item.__table__
_SETTINGS: Any = Setting.__table__


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
    """

    unit: int
    outcome: str
    error: Exception | None
    writes: tuple[Write, ...]
    snapshot: bool
    mishaps: tuple[str, ...]
    during: str | None = None
    meanwhile: tuple[Event, ...] = ()


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
            for table, made in ((ACCOUNT, _account), (ITEM, _item), (SETTING, _setting)):
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
        within = f"WHERE id BETWEEN {low} AND {high}"
        cursor = self._clean.cursor()
        cursor.execute(
            f"SELECT '{ACCOUNT}', id, log, CAST(version AS STRING) FROM {ACCOUNT} {within} "
            f"UNION ALL SELECT '{ITEM}', id, code, writer FROM {ITEM} {within} "
            f"UNION ALL SELECT '{SETTING}', id, value, NULL FROM {SETTING} {within}"
        )
        found: list[tuple[str, int, Row]] = []
        for table, key, first, second in cursor.fetchall():
            row: Row = (first,)
            if table == ITEM:
                row = (_short(first, base), second)
            elif table == ACCOUNT and int(second) != len(first.split(",")):
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

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Hold the dialect and the warehouse at the moments of a commit; wait for nothing long."""
        find_out = vars(units)["find_out"]
        apply, commit = Transaction.apply, Transaction.commit

        def watched_find_out(*arguments: Any) -> Any:
            self._asked = True
            self._reach(PROBE)
            found = find_out(*arguments)
            self.found_out.append(found.outcome.value)
            self._reach(RESEND)
            return found

        def watched_apply(transaction: Transaction, effect: Effect) -> None:
            apply(transaction, effect)
            self._reach_in_warehouse(BETWEEN)

        def watched_commit(transaction: Transaction) -> None:
            self._reach_in_warehouse(OVERLAP)
            commit(transaction)

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
            ):
                stack.enter_context(mock.patch.object(target, name, value))
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

    # --- steps ----------------------------------------------------------------------------------

    def _take(self, step: Step, *, within: bool = False) -> None:
        if step.unit in self._ended:
            return
        unit = self._open.get(step.unit)
        if unit is None:
            unit = self._begin(step.unit)
        mishaps = () if within else step.mishaps
        self._warehouse.clear_requests()
        for mishap in mishaps:
            self._warehouse.inject(_fault(mishap, late=step.late is not None))
        unit.mishaps += [mishap.kind for mishap in mishaps]
        try:
            if step.does == COMMIT:
                self._commit(unit, step, within=within)
            elif step.does == ROLLBACK:
                self._end(unit, ROLLED_BACK)
            else:
                self._work(unit, step)
        finally:
            if not within:
                self._warehouse.faults.clear()

    def _begin(self, number: int) -> _Open:
        engine = self._engine
        repeatable = number in self._schedule.repeatable
        if repeatable:
            engine = engine.execution_options(isolation_level=units.REPEATABLE_READ)
        session = orm.Session(engine, autoflush=False, expire_on_commit=False)
        self._open[number] = _Open(number, session, snapshot=repeatable)
        self.events.append(Began(number))
        return self._open[number]

    def _work(self, unit: _Open, step: Step) -> None:
        try:
            _DOES[step.does](self, unit, step)
        except (sa.exc.SQLAlchemyError, dbapi.Error) as error:
            if isinstance(_original(error), dbapi.PendingWritesError):
                self.events.append(Refused(unit.number, _original(error)))
            else:
                self._end(unit, FAILED, error, during=step.does)

    def _end(
        self,
        unit: _Open,
        outcome: str,
        error: Exception | None = None,
        *,
        during: str | None = None,
        meanwhile: tuple[Event, ...] = (),
    ) -> None:
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
            )
        )

    def _commit(self, unit: _Open, step: Step, *, within: bool) -> None:
        events, self.events = self.events, [] if not within else self.events
        if not within:
            self._asked = False
            self._plan(unit, step)
        outcome, error = ACKNOWLEDGED, None
        try:
            unit.session.commit()
        except (sa.exc.SQLAlchemyError, dbapi.Error) as raised:
            outcome, error = _outcome_of(_original(raised)), raised
        if within:
            self._end(unit, outcome, error)
            return
        if self._asked:
            self._reach(END)
        self._at.clear()
        meanwhile, self.events = tuple(self.events), events
        self._end(unit, outcome, error, meanwhile=meanwhile)

    def _plan(self, unit: _Open, commit: Step) -> None:
        """Note what is to happen within a commit."""
        self._at.clear()
        if commit.meanwhile:
            # One statement of a block sees what happens before it, and another one does not.
            unit.snapshot |= commit.moment == BETWEEN
            self._at[commit.moment] = [lambda: self._meanwhile(commit)]
        if commit.late is not None:
            self._at.setdefault(commit.late, []).append(self._deliver)

    def _meanwhile(self, commit: Step) -> None:
        others = [step for step in self._left if step.unit != commit.unit][: commit.meanwhile]
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
                    cursor.execute(
                        str(record.statement),
                        [value for _, _, value in record.parameters],
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
        faults.clear()
        try:
            yield
        finally:
            self._at = at
            faults.add(*(replace(fault, skip=0) for fault in waiting_faults))

    # --- what a unit does -----------------------------------------------------------------------

    def _id(self, key: int) -> int:
        return self._base * _RANGE + key

    def _code(self, code: str | None) -> str | None:
        return None if code is None else f"{self._base}:{code}"

    def _load(self, unit: _Open, kind: type[Any], key: int) -> Any:
        """An object as the session has it, or finds it."""
        unit.snapshot |= bool(unit.writes)
        found = unit.session.get(kind, self._id(key))
        row: Row | None = None
        if kind is Account:
            table, row = ACCOUNT, None if found is None else (found.log,)
        else:
            table = ITEM
            row = None if found is None else (_short(found.code, self._base), found.writer)
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
            sa.select(table).where(table.c.id == self._id(step.keys[0]))
        ).all()
        for row in found[1:]:
            raise AssertionError(f"two rows with one key: {found[0]} and {row}")
        read: Row | None = None
        if found and step.table == ITEM:
            read = (_short(found[0].code, self._base), found[0].writer)
        elif found:
            read = (found[0][1],)
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


def _name(unit: _Open) -> str:
    return f"u{unit.number}"


def _account(base: int, key: int, row: Row) -> dict[str, Any]:
    return {"id": base * _RANGE + key, "log": row[0], "version": 1}


def _item(base: int, key: int, row: Row) -> dict[str, Any]:
    code = None if row[0] is None else f"{base}:{row[0]}"
    return {"id": base * _RANGE + key, "code": code, "writer": row[1]}


def _setting(base: int, key: int, row: Row) -> dict[str, Any]:
    return {"id": base * _RANGE + key, "value": row[0]}


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
