"""Runs schedules, one step after the other, and checks after each step what the warehouse holds.

The mark that each unit has written shows which are there; without transactions, the values that it
has written do. What has newly come is made to the model in the order of commits; what somebody else
writes, when it is written. In the end the tables have to be as the model says, and each
acknowledged unit there, or in the journal with a reason.
"""

from __future__ import annotations

import secrets
import shutil
import sqlite3
import tempfile
import time
from collections import Counter as Counts
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from unittest import mock

from tests.fallback.histories import model
from tests.fallback.histories.application import (
    ACKNOWLEDGED,
    AMBIGUOUS,
    OPEN,
    Answer,
    Application,
    hurried,
    place,
)
from tests.fallback.histories.model import Effect, ImpossibleError
from tests.fallback.histories.processes import Process
from tests.fallback.histories.schedules import (
    AWAY,
    BACK,
    COMMIT,
    CONFLICT,
    DELIVER,
    ELSE,
    GONE,
    HIDDEN,
    HISTORY_GONE,
    LOST_AFTER,
    LOST_BEFORE,
    LOST_MIDDLE,
    REPLAY,
    RETRY,
    SESSION_LOST,
    THREADS,
    TOO_MANY,
    UNAVAILABLE,
    Kill,
    Mishap,
    Schedule,
    Step,
)
from tests.fallback.histories.tables import COUNTER, MARK, THING, WIDTH, Base, first_rows
from vinci_code.database.dialect.driver import dbapi, query_history
from vinci_code.database.fallback.coding import each
from vinci_code.database.fallback.fallback import Fallback
from vinci_code.database.fallback.journal import Journal
from vinci_code.database.fallback.records import Entry, State, unpack
from vinci_code.warehouse import LocalWarehouse
from vinci_code.warehouse.engine import query_tags
from vinci_code.warehouse.engine.transactions import Transaction
from vinci_code.warehouse.faults import HISTORY, Fault

_FOREVER = 10**6
_WRITES = r"^\s*(INSERT|MERGE|UPDATE|DELETE|BEGIN ATOMIC|COMMIT)"
_AHEAD = 50
_REMEMBERED = 300
# How long the query history is asked that may not tell, and that will. A replay asks for whatever
# was sent before, too; what never arrived is never found.
_SHORT, _LONG, _OF_REPLAY = 0.04, 20.0, 0.5
_KILLED = "killed"


@dataclass
class History:
    """What has happened.

    Attributes:
        schedule: The schedule.
        log: The steps and their answers, in words.
        violations: What must not be.
        counts: How often units had which outcome.
    """

    schedule: Schedule
    log: list[str] = field(default_factory=list)
    violations: list[str] = field(default_factory=list)
    counts: Counts[str] = field(default_factory=Counts)


class Runner:
    """Runs schedules on one warehouse, each on rows of its own.

    Args:
        transactions: Whether the warehouse has transactions.
    """

    def __init__(self, *, transactions: bool) -> None:
        self.transactions = transactions
        self._warehouse = LocalWarehouse(transactions=transactions, record_limit=200).start()
        self._schema = f"fallback_{secrets.token_hex(4)}"
        self._warehouse.sql(f"CREATE SCHEMA {self._schema}")
        self._place = place(self._warehouse, self._schema)
        self._online = self._place.engine()
        Base.metadata.create_all(self._online)
        self._warehouse._live.service._history._most = _REMEMBERED
        self._eye = Eye(self._warehouse, self._schema)
        memory = Path("/dev/shm")
        self._folder = Path(tempfile.mkdtemp(dir=memory if memory.is_dir() else None))
        self._template = self._folder / "template.db"
        _make_template(self._online, self._template)
        self._threads = {slot: ThreadPoolExecutor(1) for slot in THREADS}
        self._processes: dict[int, Process] = {}
        self._base = self._made = 0

    def close(self) -> None:
        """End everything."""
        for process in self._processes.values():
            process.end()
        for thread in self._threads.values():
            thread.shutdown()
        self._eye.close()
        self._online.dispose()
        self._warehouse.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def __enter__(self) -> Runner:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def run(self, schedule: Schedule) -> History:
        """Run a schedule, and check it."""
        self._base += 1
        if self._base > self._made:
            self._make_rows()
        file = self._folder / f"{self._base}.db"
        self._copy_template(file)
        history = History(schedule)
        self._warehouse.clear_requests()
        with hurried(schedule), self._watched() as hooks:
            run = _Run(self, schedule, file, self._base, history, hooks)
            try:
                run.all()
            except _ViolationError as wrong:
                history.violations.append(str(wrong))
            finally:
                self._warehouse.faults.clear()
                run.close()
        for left in self._folder.glob(f"{file.name}*"):
            left.unlink()
        return history

    def _make_rows(self) -> None:
        bases = range(self._base, self._base + _AHEAD)
        rows: dict[str, list[str]] = {THING: [], COUNTER: []}
        for base in bases:
            for table, values in first_rows(base):
                listed = ", ".join("NULL" if v is None else repr(v) for v in values)
                rows[table].append(f"({listed})")
        for table, written in rows.items():
            self._warehouse.sql(f"INSERT INTO {self._schema}.{table} VALUES {', '.join(written)}")
        self._made = bases[-1]

    def _copy_template(self, file: Path) -> None:
        shutil.copy(self._template, file)
        shutil.copy(f"{self._template}.mark", f"{file}.mark")
        connection = sqlite3.connect(file, isolation_level=None)
        connection.execute("BEGIN")
        for table, values in first_rows(self._base):
            connection.execute(f"INSERT INTO {table} VALUES (?, ?, ?, ?)", values)
        connection.execute("COMMIT")
        connection.close()

    @contextmanager
    def _watched(self) -> Iterator[_Hooks]:
        """Have what is planned for a moment done at the warehouse."""
        hooks = _Hooks()
        faults = self._warehouse.faults
        draw, commit = faults.draw, Transaction.commit

        def watched_draw(operation: str, *arguments: Any, **named: Any) -> Fault | None:
            if operation == "ExecuteStatement":
                hooks.statements += 1
                if hooks.reach("lost"):
                    return Fault.reset("before")
                hooks.reach("arrival")
            return draw(operation, *arguments, **named)

        def watched_commit(transaction: Transaction) -> None:
            commit(transaction)
            hooks.reach("done")

        with (
            mock.patch.object(faults, "draw", watched_draw),
            mock.patch.object(Transaction, "commit", watched_commit),
        ):
            yield hooks

    def process(self, slot: int) -> tuple[Process, bool]:
        """The process of an application, and whether it is a new one."""
        process = self._processes.get(slot)
        if process is not None and process.lives:
            return process, False
        process = self._processes[slot] = Process(self._place)
        return process, True


class _ViolationError(Exception):
    """Something that must not be."""


class _Hooks:
    """What is to be done when a moment is reached, once, after so many times."""

    def __init__(self) -> None:
        self._moment = ""
        self._left = 0
        self._do: Callable[[], object] = lambda: None
        self.statements = 0  # that have come since somebody has looked

    def plan(self, moment: str, after: int, do: Callable[[], object]) -> None:
        self._moment, self._left, self._do = moment, after, do

    def reach(self, moment: str) -> bool:
        if moment != self._moment:
            return False
        if self._left > 0:
            self._left -= 1
            return False
        self._moment = ""
        self._do()
        return True

    def clear(self) -> None:
        self._moment = ""


class Eye:
    """Looks at the tables from within the warehouse, whatever happens outside."""

    def __init__(self, warehouse: Any, schema: str) -> None:
        self._warehouse = warehouse
        self._session = warehouse._live.engine.open_session(warehouse.catalog, schema, {})

    def close(self) -> None:
        self._session.close()

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        result = self._session.execute(query)
        try:
            batches = list(result.batches)
        finally:
            result.close()
        return [
            row for b in batches for row in zip(*(c.to_pylist() for c in b.columns), strict=True)
        ]

    def settle(self) -> None:
        """Wait until the warehouse has done with every statement."""
        history = self._warehouse._live.service._history
        end = time.monotonic() + 60
        while True:
            # A request that has come, and whose statement has not begun yet, is no entry.
            done = all(
                record.duration is not None
                for record in self._warehouse.requests
                if record.operation == "ExecuteStatement"
            )
            with history._lock:
                if done and all(entry.ended is not None for entry in history._entries):
                    return
            if time.monotonic() > end:
                raise AssertionError("a statement that nobody waits for does not end")
            time.sleep(0.001)

    def write(self, statement: str) -> None:
        self._session.execute(statement).close()


@dataclass
class _Known:
    """What is known of a unit.

    Attributes:
        effects: What it does.
        place: Its place in the order of commits, once it has been committed, or perhaps.
        sure: Whether its commit has returned.
    """

    effects: list[Effect] = field(default_factory=list)
    place: int = -1
    sure: bool = False


class _Run:
    """One schedule while it runs."""

    def __init__(
        self,
        runner: Runner,
        schedule: Schedule,
        file: Path,
        base: int,
        history: History,
        hooks: _Hooks,
    ) -> None:
        self._runner = runner
        self._warehouse = runner._warehouse
        self._eye = runner._eye
        self._schedule = schedule
        self._file = file
        self._base = base
        self._history = history
        self._hooks = hooks
        self._left = list(schedule.steps)
        self._application: Application | None = None
        self._opened: set[int] = set()
        self._ended: set[int] = set()
        self._units: dict[int, _Known] = {}
        self._commits = 0
        self._arrived: set[int] = set()
        self._retried = False
        self._else = 0
        self._gone: list[Fault] = []
        self._model = model.start(base)
        self._began = time.monotonic()

    def all(self) -> None:
        while self._left:
            step = self._left.pop(0)
            self._take(step)
        for unit in [u for u, known in self._units.items() if u not in self._ended]:
            self._say(f"u{unit} is left open")
        self._end_applications()
        self._bring_back()
        self._compare()

    def close(self) -> None:
        with suppress(Exception):
            self._end_applications()

    # --- steps ------------------------------------------------------------------------------------

    def _take(self, step: Step) -> None:
        if step.unit in self._ended:
            return
        if step.slot < 0:
            self._around(step)
        else:
            self._inject(step.mishaps)
            seconds = self._seconds(step)
            answer = self._ask(step, seconds)
            self._hooks.clear()
            if self._hooks.statements:
                self._eye.settle()
            self._note(step, answer)
            self._clear(step.mishaps)
        self._observe()

    def _ask(self, step: Step, seconds: float) -> Answer | None:
        """Have an application take a step; ``None`` where it was killed."""
        if step.slot in THREADS:
            if self._application is None:
                runner = self._runner
                self._application = Application(
                    runner._online, self._file, self._base, self._schedule
                )
            thread = self._runner._threads[step.slot]
            return thread.submit(self._application.take, step, seconds).result()
        process, new = self._runner.process(step.slot)
        if new or step.slot not in self._opened:
            with self._undisturbed():
                process.open(self._file, self._base, self._schedule)
            self._opened.add(step.slot)
        if step.kill is None:
            return process.take(step, seconds)
        return self._kill(process, step, step.kill, seconds)

    def _kill(self, process: Process, step: Step, kill: Kill, seconds: float) -> Answer | None:
        if kill.moment != "time":
            self._hooks.plan(kill.moment, int(kill.after), process.kill)
        process.begin(step, seconds)
        answer = process.ended(kill.after if kill.moment == "time" else 60.0)
        process.kill()
        self._opened.discard(step.slot)
        self._history.counts[f"killed in {step.does} ({kill.moment})"] += answer is None
        for unit, slot in self._slots():
            if slot == step.slot and unit != step.unit:
                self._ended.add(unit)  # with its process
        return answer

    def _slots(self) -> list[tuple[int, int]]:
        return [
            (s.unit, s.slot)
            for s in self._schedule.steps
            if s.unit in self._units and s.unit not in self._ended
        ]

    def _note(self, step: Step, answer: Answer | None) -> None:
        """Note what came of a step."""
        if step.unit < 0:
            self._say(f"{step.does} by {step.slot}: {answer and answer.error}")
            self._judge(answer)
            return
        known = self._units.setdefault(step.unit, _Known())
        outcome = _KILLED if answer is None else answer.outcome
        if answer is not None:
            known.effects = answer.effects
        self._say(
            f"u{step.unit} {step.does} {step.keys} by {step.slot}: {outcome}"
            f"{' (standby)' if answer and answer.standby else ''} {(answer and answer.error) or ''}"
            f" {[m.kind for m in step.mishaps]}{step.kill or ''}"
        )
        self._judge(answer)
        if step.does == COMMIT and outcome in (ACKNOWLEDGED, AMBIGUOUS, _KILLED):
            self._commits += 1
            known.place = self._commits
            known.sure = outcome == ACKNOWLEDGED
        if outcome != OPEN or (step.kill is not None):
            self._ended.add(step.unit)
            error = (answer.error if answer else "") or ""
            where = "on the standby" if answer and answer.standby else ""
            self._history.counts[f"{outcome} {error.partition(':')[0]} {where}".strip()] += 1
        elif answer is not None and answer.standby and answer.effects:
            # Whoever writes to SQLite keeps others from it until its end.
            mine = [s for s in self._left if s.unit == step.unit]
            self._left = mine + [s for s in self._left if s.unit != step.unit]

    def _judge(self, answer: Answer | None) -> None:
        if answer is not None and answer.wrong:
            raise _ViolationError(f"an error that nobody expects: {answer.error}")

    # --- what happens around ----------------------------------------------------------------------

    def _around(self, step: Step) -> None:
        self._say(f"{step.does} {[m.kind for m in step.mishaps]} {step.keys}")
        if step.does == AWAY:
            self._gone = list(_faults_of(step.mishaps))
            self._warehouse.faults.clear()
            self._warehouse.faults.add(*self._gone)
        elif step.does == BACK:
            self._gone = []
            self._warehouse.faults.clear()
        elif step.does == ELSE:
            self._somebody_else(step)
        elif step.does == DELIVER:
            self._deliver()
        elif step.does == RETRY:
            journal = Journal(self._file)
            try:
                journal.prepare()
                # Whoever sends again what may be there has looked whether it is.
                parked = journal.entries({State.PARKED})
                seqs = [entry.seq for entry in parked if not entry.may_be_there]
                journal.retry(seqs)
                self._retried = self._retried or bool(seqs)
            finally:
                journal.close()

    def _inject(self, mishaps: tuple[Mishap, ...]) -> None:
        if mishaps:
            self._warehouse.faults.clear()
            self._warehouse.faults.add(*_faults_of(mishaps), *self._gone)

    def _clear(self, mishaps: tuple[Mishap, ...]) -> None:
        if not mishaps:
            return
        self._warehouse.faults.clear()
        if any(mishap.kind == GONE for mishap in mishaps):
            self._gone = [Fault.reset("before", times=_FOREVER)]
        self._warehouse.faults.add(*self._gone)

    def _seconds(self, step: Step) -> float:
        """How long the query history is asked."""
        sure = {LOST_AFTER, CONFLICT, SESSION_LOST}
        tells = bool(step.mishaps) and all(mishap.kind in sure for mishap in step.mishaps)
        if not tells or self._gone:
            return _SHORT
        return _OF_REPLAY if step.does == REPLAY else _LONG

    def _somebody_else(self, step: Step) -> None:
        (how,) = (mishap.kind for mishap in step.mishaps)
        key, token = self._base * WIDTH + step.keys[0], f"|x{self._else}"
        self._else += 1
        things, counters = self._model[THING], self._model[COUNTER]
        if how == "else extend":
            effect = Effect(model.EXTEND, THING, key, (token,))
            text = f"UPDATE {THING} SET log = concat(log, '{token}') WHERE id = {key}"
        elif how == "else count":
            key = self._base * WIDTH + step.keys[0] % 2
            log, version = counters[key]
            effect = Effect(model.PUT, COUNTER, key, (log + token,))
            text = (
                f"UPDATE {COUNTER} SET log = concat(log, '{token}'), version = version + 1 "
                f"WHERE id = {key}"
            )
            counters[key] = (log, version + 1)
        elif how == "else remove":
            effect = Effect(model.REMOVE, THING, key)
            text = f"DELETE FROM {THING} WHERE id = {key}"
        elif key in things or self._is_meant(key):
            return
        else:
            effect = Effect(model.INSERT, THING, key, (token, None))
            text = f"INSERT INTO {THING} VALUES ({key}, {self._base}, '{token}', NULL)"
        self._eye.write(text)
        model.apply(self._model, [effect])

    def _is_meant(self, key: int) -> bool:
        """Whether a unit that goes on has written to a row, which it may have found missing."""
        effects = (
            effect
            for unit, known in self._units.items()
            if unit not in self._ended
            for effect in known.effects
        )
        return any(
            effect.table == THING and (effect.key == key or effect.action == model.SWEEP)
            for effect in effects
        )

    def _deliver(self) -> None:
        """Let a statement arrive that was lost on its way."""
        lost = [
            record
            for record in self._warehouse.requests
            if record.fault == "reset:before"
            and record.statement
            # What is part of a transaction has ended with it.
            and query_history.TAG in record.configuration.get("query_tags", "")
            and not record.statement.startswith("COMMIT")
        ]
        for record in lost[-1:]:
            given = record.parameters
            named: Any = {name: value for name, _, value in given if name is not None}
            with self._undisturbed():
                warehouse, schema = self._warehouse, self._runner._schema
                clean = dbapi.connect(**warehouse.connect_args_for(warehouse.catalog, schema))
                cursor = clean.cursor()
                with suppress(dbapi.Error):
                    cursor.execute(
                        str(record.statement),
                        named or [value for _, _, value in given],
                        query_tags=query_tags.parse(record.configuration["query_tags"]),
                    )
                cursor.close()
                clean.close()
            self._eye.settle()

    @contextmanager
    def _undisturbed(self) -> Iterator[None]:
        faults = self._warehouse.faults
        held = [replace(fault, skip=0) for fault in faults.pending]
        faults.clear()
        try:
            yield
        finally:
            faults.add(*held)

    # --- what is there ----------------------------------------------------------------------------

    def _observe(self) -> None:
        """See which units have newly come, and make them to the model."""
        if not self._hooks.statements and self._schedule.transactions:
            return
        self._hooks.statements = 0
        present = self._present()
        new = present - self._arrived
        for unit in sorted(new, key=lambda u: self._units[u].place if u in self._units else -1):
            known = self._units.get(unit)
            if known is None or known.place < 0:
                raise _ViolationError(f"u{unit} is there, and was never committed")
            self._check_order(unit, known)
            try:
                model.apply(self._model, known.effects)
            except ImpossibleError as error:
                raise _ViolationError(f"u{unit} cannot have arrived: {error}") from error
            self._say(f"   u{unit} has arrived")
            self._arrived.add(unit)

    def _check_order(self, unit: int, known: _Known) -> None:
        """See that no later unit on the same rows has arrived before."""
        if self._retried or not self._schedule.patient or not known.sure:
            return  # somebody has decided
        for other in self._arrived:
            later = self._units[other]
            if later.sure and later.place > known.place and _meet(known.effects, later.effects):
                raise _ViolationError(f"u{unit} arrives after u{other}, which was committed later")

    def _present(self) -> set[int]:
        run = self._base
        if self._schedule.transactions:
            units = self._eye.rows(f"SELECT unit FROM {MARK} WHERE run = {run}")
            counted = Counts(unit for (unit,) in units)
            twice = [unit for unit, count in counted.items() if count > 1]
            if twice:
                raise _ViolationError(f"doubled: {twice}")
            gone = self._arrived - set(counted)
            if gone:
                raise _ViolationError(f"gone again: {sorted(gone)}")
            return set(counted)
        found = self._eye.rows(
            f"SELECT log FROM {THING} WHERE run = {run} UNION ALL "
            f"SELECT log FROM {COUNTER} WHERE run = {run}"
        )
        tokens = {token for (log,) in found for token in log.split("|") if token[:1] == "u"}
        seen = {int(token[1:].partition(".")[0]) for token in tokens}
        # What has left no trace is there if the journal has it no more.
        kept = self._kept()
        sure = {unit for unit, known in self._units.items() if known.sure and known.effects}
        return self._arrived | seen | (sure - kept)

    def _kept(self) -> set[int]:
        """The units in the journal."""
        connection = sqlite3.connect(self._file)
        try:
            records = connection.execute("SELECT record FROM vinci_journal_units").fetchall()
        finally:
            connection.close()
        found = (unpack(record, State.WAITING) for (record,) in records)
        return {unit for entry in found if (unit := _unit_in(entry.document)) is not None}

    def _end_applications(self) -> None:
        self._warehouse.faults.clear()
        self._gone = []
        if self._application is not None:
            application, self._application = self._application, None
            application.close()
        for slot in sorted(self._opened):
            self._opened.discard(slot)
            process = self._runner._processes[slot]
            if process.lives:
                process.close()

    def _bring_back(self) -> None:
        """Send what waits, as an application that begins with this file."""
        dialect: Any = self._runner._online.dialect
        dialect.history_timeout = _SHORT
        fallback = Fallback(
            self._runner._online, self._file, Base.metadata, create_tables=lambda _: None
        )
        try:
            for _ in range(3):
                done = fallback.bring_back()
                if done is None:
                    raise _ViolationError("nobody replays, and the lock is held")
                if done.error is not None:
                    raise _ViolationError(f"the replay has failed: {done.error!r}")
                self._eye.settle()
                self._observe()
                if done.finished and not fallback.state().waiting:
                    break
            self._check_journal(fallback)
        finally:
            fallback.dispose()

    def _check_journal(self, fallback: Fallback) -> None:  # noqa: C901 - one thing after the other
        entries = list(fallback.journal.entries())
        counts = fallback.journal.counts()
        if counts.missing or counts.damaged:
            raise _ViolationError(f"the journal is not whole: {counts}")
        kept: dict[int, Entry] = {}
        for entry in entries:
            unit = _unit_in(entry.document)
            if unit is None:
                continue
            if unit in kept:
                raise _ViolationError(f"u{unit} is in the journal twice")
            kept[unit] = entry
        in_doubt = any(entry.state is State.IN_DOUBT for entry in entries)
        for unit, entry in kept.items():
            known = self._units.get(unit)
            self._say(f"u{unit} in the journal: {entry.state.value}, {entry.reason}")
            self._history.counts[f"in the end {entry.state.value}"] += 1
            if known is None or known.place < 0:
                raise _ViolationError(f"u{unit} is in the journal, and was never committed")
            if entry.state is State.WAITING and not in_doubt:
                raise _ViolationError(f"u{unit} waits, though the warehouse is there")
            if entry.state is not State.WAITING and not entry.reason:
                raise _ViolationError(f"u{unit} is {entry.state.value} with no reason")
            if unit in self._arrived and not entry.may_be_there:
                raise _ViolationError(f"u{unit} is there, and {entry.state.value}: {entry.reason}")
        for unit, known in self._units.items():
            if known.sure and known.effects and unit not in self._arrived and unit not in kept:
                raise _ViolationError(f"u{unit} is lost")

    def _compare(self) -> None:
        for table, more in ((THING, "code"), (COUNTER, "version")):
            rows = self._eye.rows(f"SELECT id, log, {more} FROM {table} WHERE run = {self._base}")
            if len({key for key, *_ in rows}) < len(rows):
                raise _ViolationError(f"{table} has two rows of one key: {sorted(rows)}")
            found = {key: tuple(row) for key, *row in rows}
            for key in sorted(found.keys() | self._model[table].keys()):
                if found.get(key) != self._model[table].get(key):
                    raise _ViolationError(
                        f"{table} {key} is {found.get(key)}, and has to be "
                        f"{self._model[table].get(key)}"
                    )

    def _say(self, what: str) -> None:
        self._history.log.append(f"{time.monotonic() - self._began:6.2f} {what}")


def _unit_in(document: bytes) -> int | None:
    """Which unit a document is of, by the values that it writes."""
    longest = ""
    for held in each(document, Base.metadata.tables):
        rows: Any = getattr(held, "rows", None)
        if rows is None:
            rows = [held.parameters]  # type: ignore[union-attr]
        shape: Any = getattr(held, "shape", None)
        if shape is not None and shape.table.name == MARK:
            (place,) = (item.first for item in shape.values if item.column.name == "unit")
            return int(rows[0][place])
        # What a row is to become is longer than what it was.
        for value in (value for row in rows for value in row if isinstance(value, str)):
            if "|u" in value and len(value) > len(longest):
                longest = value
    return int(longest.rpartition("|u")[2].partition(".")[0]) if longest else None


def _meet(some: list[Effect], others: list[Effect]) -> bool:
    """Whether effects are on the same rows."""
    return any(
        a.table == b.table and (a.key == b.key or model.SWEEP in (a.action, b.action))
        for a in some
        for b in others
    )


def _faults_of(mishaps: tuple[Mishap, ...]) -> Iterator[Fault]:
    # Outages after the others, which come first.
    for mishap in sorted(mishaps, key=lambda mishap: mishap.kind in _OUTAGES):
        yield _fault_of(mishap)


def _fault_of(mishap: Mishap) -> Fault:
    scope: dict[str, Any] = {"skip": mishap.skip, "times": mishap.times}
    if mishap.writes:
        scope["statement"] = _WRITES
    if mishap.kind in _LOST:
        return Fault.reset(_LOST[mishap.kind], operation="ExecuteStatement", **scope)
    if mishap.kind in _STATUS:
        return Fault.http(_STATUS[mishap.kind], times=_FOREVER)
    made = {
        CONFLICT: lambda: Fault.commit_conflict(**scope),
        SESSION_LOST: lambda: Fault.session_lost(operation="ExecuteStatement", **scope),
        HIDDEN: lambda: Fault.history_hidden(times=_FOREVER),
        HISTORY_GONE: lambda: Fault.http(503, operation=HISTORY, times=_FOREVER),
        GONE: lambda: Fault.reset("before", skip=mishap.skip, times=_FOREVER),
    }
    return made[mishap.kind]()


_STATUS = {UNAVAILABLE: 503, TOO_MANY: 429}
_OUTAGES = {GONE, *_STATUS}
_LOST = {LOST_BEFORE: "before", LOST_AFTER: "after", LOST_MIDDLE: "mid_reply"}


def _make_template(online: Any, file: Path) -> None:
    """A file of the fallback with the tables in it, mirrored, and nothing else."""
    fallback = Fallback(online, file, Base.metadata)
    fallback.standby  # noqa: B018 - its tables
    connection = fallback.journal.connect()
    connection.execute("BEGIN IMMEDIATE")
    for table in (THING, COUNTER, MARK):
        fallback.journal.note_mirror(connection, table, "2026-01-01T00:00:00Z", None, 0)
    connection.execute("COMMIT")
    connection.close()
    fallback.dispose()
    plain = sqlite3.connect(file)
    plain.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    plain.close()
