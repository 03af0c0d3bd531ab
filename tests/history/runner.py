"""Runs schedules against a local warehouse, one step after the other in one thread.

Every unit of work is a session of its own. What shall happen in the middle of a commit happens
there: the warehouse, or the dialect, is held at that moment while the other steps run.
"""

from __future__ import annotations

import itertools
import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa
from sqlalchemy import orm

from tests.history import model
from tests.history.children import run_in_child
from tests.history.deeds import do
from tests.history.events import (
    ACKNOWLEDGED,
    FAILED,
    INTERRUPTED,
    ROLLED_BACK,
    Began,
    Ended,
    Event,
    History,
    Log,
    Refused,
    original,
    outcome_of,
)
from tests.history.mishaps import fault_of
from tests.history.model import SETTING
from tests.history.repeats import run_repeated
from tests.history.schedules import (
    BETWEEN,
    COMMIT,
    END,
    FORK,
    PER_TABLE,
    REPEAT,
    ROLLBACK,
    UNIT,
    WITHHELD,
    Schedule,
    Step,
)
from tests.history.signals import RAISED, TimeLimit
from tests.history.tables import VIEW, Base, Rows
from tests.history.unit import Shared, Unit
from tests.history.watching import HISTORY_SECONDS, Watch
from vinci_code.database.dialect.driver import dbapi
from vinci_code.database.dialect.units import unit as units
from vinci_code.warehouse import LocalWarehouse
from vinci_code.warehouse.engine import query_tags

# For how many schedules rows are made at once.
_AHEAD = 50
# How many statements the warehouse remembers here: who looks for one that is not there reads all
# of them.
_REMEMBERED = 150


class Runner:
    """Runs schedules, each on rows of its own in the same tables.

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
            f"CREATE VIEW {self._schema}.{VIEW} AS SELECT id, value FROM {self._schema}.{SETTING}"
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
        rows = Rows(base)
        engine = self._engines[schedule.atomicity]
        run = _Run(schedule, self._warehouse, engine, rows, self._clean)
        broken: Exception | None = None
        with run.watched():
            try:
                run.all_steps()
            except Exception as error:  # noqa: BLE001 - whatever it is, the checker tells it
                broken = error
        events, found_out = tuple(run.log.events), tuple(run.watch.found_out)
        found = rows.found(self._clean)
        return History(schedule, self.transactions, events, found, found_out, broken)

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
            url, atomicity=atomicity, connect_args=arguments, history_timeout=HISTORY_SECONDS
        )

    def _make_rows(self, first: int) -> None:
        bases = range(first, first + _AHEAD)
        with orm.Session(self._engines[PER_TABLE]) as session:
            for table, start in model.START.items():
                values = [
                    Rows(base).values(table, key, row)
                    for base in bases
                    for key, row in start.items()
                ]
                session.execute(sa.insert(Base.metadata.tables[table]), values)
            session.commit()
        self._made = bases[-1]


# What a unit may meet; the checker tells whether it should have.
_EXPECTED: tuple[type[Exception], ...] = (sa.exc.SQLAlchemyError, dbapi.Error, *RAISED)


class _Run:
    """One schedule while it runs."""

    def __init__(
        self,
        schedule: Schedule,
        warehouse: LocalWarehouse,
        engine: sa.Engine,
        rows: Rows,
        clean: dbapi.Connection,
    ) -> None:
        self.log = Log()
        self.watch = Watch(warehouse, engine)
        self._limit = TimeLimit()
        self._schedule = schedule
        self._warehouse = warehouse
        self._engine = engine
        self._clean = clean
        self._shared = Shared(rows, self.log.note)
        self._left = list(schedule.steps)
        self._open: dict[int, Unit] = {}
        self._ended: set[int] = set()
        self._committing: Unit | None = None

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Hold what runs at the moments of a commit; afterwards every session is closed."""
        with self.watch.held(), self._limit.handled():
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
        for error in self.watch.broken:
            raise error

    # --- steps ------------------------------------------------------------------------------------

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
            self._warehouse.inject(fault_of(mishap, late=step.late is not None))
        self.watch.silent = any(mishap.kind in WITHHELD for mishap in step.mishaps)
        self.watch.withheld = self._limit.expired = False
        try:
            self._do(step, within=False)
        finally:
            self._warehouse.faults.clear()
            self.watch.forget()
            self._limit.lift()
            self.watch.silent = self.watch.withheld = self._limit.expired = False

    def _do(self, step: Step, *, within: bool) -> None:
        mishaps = [] if within else [mishap.kind for mishap in step.mishaps]
        if step.does == REPEAT:
            self._repeat(step, mishaps, within=within)
            return
        unit = self._open.get(step.unit) or self._begin(step.unit)
        unit.mishaps += mishaps
        if step.does == COMMIT and within:
            self._end(unit, *_committed(unit), within=True)
        elif step.does == COMMIT:
            self._commit(unit, step)
        elif step.does == ROLLBACK:
            self._end(unit, ROLLED_BACK)
        else:
            self._work(unit, step, within=within)

    def _begin(self, number: int) -> Unit:
        engine = self._engine
        repeatable = number in self._schedule.repeatable
        if repeatable:
            engine = engine.execution_options(isolation_level=units.REPEATABLE_READ)
        session = orm.Session(engine, autoflush=False, expire_on_commit=False)
        self._open[number] = Unit(number, session, self._shared, snapshot=repeatable)
        self.log.note(Began(number))
        return self._open[number]

    def _work(self, unit: Unit, step: Step, *, within: bool) -> None:
        if step.signal is not None and not within:
            self._limit.set_to(step.raises)
            self.watch.plan(step.signal, self._limit.expire)
        try:
            do(unit, step)
        except _EXPECTED as error:
            # Nothing is committed before the commit, whatever has interrupted the step.
            self._limit.lift()
            if not within and self._limit.has_raised(original(error)):
                self.watch.settle()
                unit.writes.clear()
                self._end(unit, INTERRUPTED, error, during=step.does)
            elif isinstance(original(error), dbapi.PendingWritesError):
                self.log.note(Refused(unit.number, original(error)))
            else:
                self._end(unit, FAILED, error, during=step.does, within=within)
        else:
            self._limit.lift()
            if not within and self._limit.expired:
                raise AssertionError(f"what a signal handler raised in {step.does} was swallowed")

    def _end(
        self,
        unit: Unit,
        outcome: str,
        error: Exception | None = None,
        *,
        during: str | None = None,
        meanwhile: tuple[Event, ...] = (),
        within: bool = False,
    ) -> None:
        if outcome != ACKNOWLEDGED:
            self._shared.unsure += unit.made
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
        unit: Unit,
        outcome: str,
        error: Exception | None,
        *,
        during: str | None = None,
        meanwhile: tuple[Event, ...] = (),
        within: bool = False,
    ) -> None:
        self.log.note(
            Ended(
                unit.number,
                outcome,
                None if error is None else original(error),
                tuple(unit.writes),
                unit.snapshot,
                tuple(unit.mishaps),
                during,
                meanwhile,
                self.watch.withheld and not within,
                self._limit.expired and not within,
                unit.back,
            )
        )

    # --- a commit, and what happens within it -----------------------------------------------------

    def _commit(self, unit: Unit, step: Step) -> None:
        with self.log.apart() as meanwhile:
            self.watch.asked = False
            self._plan(unit, step)
            self._committing = unit
            outcome, error = _committed(unit)
            self._limit.lift()
            self._committing = None
            if error is not None and self._limit.has_raised(original(error)):
                outcome = INTERRUPTED
            self.watch.settle()
            if self.watch.asked:
                self.watch.reach(END)
            self.watch.forget()
        self._end(unit, outcome, error, meanwhile=tuple(meanwhile))

    def _plan(self, unit: Unit, commit: Step) -> None:
        """Plan what is to happen within a commit."""
        self.watch.forget()
        if commit.meanwhile:
            # One statement of a block sees what happens before it, and another one does not.
            unit.snapshot |= commit.moment == BETWEEN
            self.watch.plan(commit.moment, lambda: self._meanwhile(commit))
        if commit.late is not None:
            self.watch.plan(commit.late, self._deliver)
        if commit.signal is not None:
            self._limit.set_to(commit.raises)
            self.watch.plan(commit.signal, self._limit.expire)

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
                    given = record.parameters
                    # The text has the names that the dialect has made of its markers.
                    named: Any = {name: value for name, _, value in given if name is not None}
                    cursor.execute(
                        str(record.statement),
                        named or [value for _, _, value in given],
                        query_tags=query_tags.parse(record.configuration.get("query_tags", "")),
                    )
                except dbapi.Error:
                    # Nobody is there to be told.
                    pass
                finally:
                    cursor.close()

    @contextmanager
    def _undisturbed(self) -> Iterator[None]:
        """Hold back within the block what is meant for the commit that runs."""
        with self.watch.undisturbed(), self._limit.lifted():
            yield

    # --- units of one step ------------------------------------------------------------------------

    def _repeat(self, step: Step, mishaps: list[str], *, within: bool) -> None:
        def begin(session: orm.Session) -> Unit:
            self.watch.withheld = self.watch.withheld and within
            self.log.note(Began(step.unit))
            return Unit(step.unit, session, self._shared, mishaps=[*mishaps])

        def loaded() -> None:
            if not within:
                self._meanwhile(step)

        def end(unit: Unit, error: Exception | None) -> None:
            outcome = ACKNOWLEDGED if error is None else outcome_of(error)
            self._note_end(unit, outcome, error, within=within)

        self._ended.add(step.unit)
        try:
            run_repeated(step, self._engine, begin=begin, loaded=loaded, end=end)
        except _EXPECTED:
            # Told at the end of the session.
            self.watch.settle()

    def _fork(self, step: Step) -> None:
        if step.unit in self._open:
            return
        self._ended.add(step.unit)
        # A commit in whose middle the child is forked is left to the parent.
        others = [unit for unit in self._open.values() if unit is not self._committing]
        unit = Unit(step.unit, orm.Session(self._engine), self._shared)
        self.log.note(Began(step.unit))
        run_in_child(unit, step, self._engine, others, first=self.watch.forget)
        self._note_end(unit, ACKNOWLEDGED, None, within=True)


def _committed(unit: Unit) -> tuple[str, Exception | None]:
    """Commit a unit; gives its outcome, and the error that has reported it."""
    try:
        unit.session.commit()
    except _EXPECTED as raised:
        return outcome_of(raised), raised
    return ACKNOWLEDGED, None
