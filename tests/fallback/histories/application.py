"""An application: its units of work, step by step, through routed sessions."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

from sqlalchemy import URL, Engine, create_engine, delete, insert, select, update
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from tests.fallback.histories import model
from tests.fallback.histories.model import Effect
from tests.fallback.histories.schedules import COMMIT, REPLAY, ROLLBACK, Schedule, Step
from tests.fallback.histories.tables import COUNTER, THING, WIDTH, Base, Counter, Mark, Thing
from vinci_code.core.errors import VinciError
from vinci_code.database.dialect.driver import dbapi, query_history, transport, waiting
from vinci_code.database.fallback import fallback as fallback_module
from vinci_code.database.fallback import replay as replay_module
from vinci_code.database.fallback.fallback import Fallback
from vinci_code.database.fallback.sessions import RoutedSession
from vinci_code.database.upserts import upsert

OPEN, ACKNOWLEDGED, ROLLED_BACK, FAILED, AMBIGUOUS = (
    "open",
    "acknowledged",
    "rolled back",
    "failed",
    "ambiguous",
)

_EXPECTED = (SQLAlchemyError, dbapi.Error, VinciError)


@dataclass(frozen=True)
class Place:
    """Where the warehouse and the file are; what a process of its own has to be told.

    Attributes:
        url: The URL of the warehouse.
        arguments: The connect arguments.
    """

    url: str
    arguments: dict[str, Any]

    def engine(self) -> Engine:
        """An engine there."""
        return create_engine(self.url, connect_args=self.arguments, history_timeout=0.05)


def place(warehouse: Any, schema: str) -> Place:
    """The place of a schema of a local warehouse."""
    url = URL.create(
        "databricks+vinci",
        host=warehouse.host,
        port=warehouse.port,
        query={"http_path": warehouse.http_path, "catalog": warehouse.catalog, "schema": schema},
    )
    return Place(
        url.render_as_string(hide_password=False),
        {
            "access_token": warehouse.access_token,
            "_tls_trusted_ca_file": str(warehouse.ca_file),
            # How long a warehouse is waited for that answers with a status that says to wait.
            "start_timeout": 0.05,
        },
    )


@dataclass
class Answer:
    """What came of a step.

    Attributes:
        outcome: What became of the unit.
        effects: What the unit does so far.
        standby: Whether it goes on in the standby.
        error: What was raised.
        wrong: Whether that must not be raised.
    """

    outcome: str = OPEN
    effects: list[Effect] = field(default_factory=list)
    standby: bool = False
    error: str | None = None
    wrong: bool = False


@contextmanager
def hurried(schedule: Schedule | None = None) -> Iterator[None]:
    """Wait for nothing long within the block, and be as a schedule wants it."""
    pause = 1e6 if schedule is not None and not schedule.eager else 0.0
    patches: list[tuple[Any, str, Any]] = [
        (waiting, "_FIRST_PAUSE", 0.002),
        (waiting, "_LONGEST_PAUSE", 0.01),
        (waiting, "_JITTER", 0.0),
        (query_history, "_FIRST_PAUSE", 0.005),
        (query_history, "_LONGEST_PAUSE", 0.02),
        (transport, "_PAUSE", 0.002),
        (fallback_module, "FIRST_PAUSE", pause),
        (fallback_module, "LONGEST_PAUSE", pause),
        (fallback_module, "_FRESH", 0.0),
        (replay_module, "_FIRST_PAUSE", 0.001),
        (replay_module, "HISTORY_SECONDS", 0.04),
    ]
    if schedule is not None:
        patches.append((replay_module, "MOST_UNITS", schedule.most_units))
        if not schedule.patient:
            patches.append((replay_module, "IN_DOUBT_SECONDS", 0.0))
    with ExitStack() as stack:
        for target, name, value in patches:
            stack.enter_context(mock.patch.object(target, name, value))
        yield


class Application:
    """One process with its sessions.

    Args:
        online: The engine of the warehouse.
        file: The file of the fallback, whose tables are made.
        base: Whose rows it is about.
        schedule: How it behaves.
    """

    def __init__(self, online: Engine, file: Path, base: int, schedule: Schedule) -> None:
        self.fallback = Fallback(
            online,
            file,
            Base.metadata,
            create_tables=lambda _: None,
            reads=schedule.reads,  # type: ignore[arg-type]
        )
        self._online = online
        self._base = base
        self._schedule = schedule
        self._units: dict[int, _Unit] = {}
        self._kept: dict[int, RoutedSession] = {}

    def take(self, step: Step, history_timeout: float) -> Answer:
        """Take a step."""
        dialect: Any = self._online.dialect
        dialect.history_timeout = history_timeout
        if step.does == REPLAY:
            return self._replay()
        unit = self._units.get(step.unit)
        if unit is None:
            unit = self._units[step.unit] = _Unit(step.unit, self._base, self._session(step.slot))
        answer = Answer()
        try:
            answer.outcome = unit.take(step, mark=self._schedule.transactions)
        except Exception as error:  # noqa: BLE001 - the checker judges it
            original: Any = getattr(error, "orig", None) or error
            ambiguous = isinstance(original, dbapi.AmbiguousWriteError) and step.does == COMMIT
            answer.outcome = AMBIGUOUS if ambiguous else FAILED
            answer.error = f"{type(original).__name__}: {str(original)[:300]}"
            answer.wrong = not isinstance(error, _EXPECTED)
        answer.standby = unit.session.info.get("standby") is not None
        answer.effects = list(unit.effects)
        if answer.outcome != OPEN:
            self._end(step)
        return answer

    def close(self) -> None:
        """End all units."""
        for unit in self._units.values():
            unit.session.close()
        for session in self._kept.values():
            session.close()
        self.fallback.dispose()

    def _replay(self) -> Answer:
        try:
            self.fallback.bring_back()
        except Exception as error:  # noqa: BLE001 - the checker judges it
            wrong = not isinstance(error, _EXPECTED)
            return Answer(error=f"{type(error).__name__}: {error}", wrong=wrong)
        return Answer()

    def _session(self, slot: int) -> RoutedSession:
        if slot in self._kept:
            self._kept[slot].rollback()
            return self._kept[slot]
        session = RoutedSession(
            bind=self._online,
            fallback=lambda: self.fallback,
            expire_on_commit=False,
            autoflush=False,
        )
        if self._schedule.keep:
            self._kept[slot] = session
        return session

    def _end(self, step: Step) -> None:
        session = self._units.pop(step.unit).session
        session.rollback()
        if step.slot not in self._kept:
            session.close()


class _Unit:
    """A unit of work that has begun."""

    def __init__(self, number: int, base: int, session: Session) -> None:
        self.session = session
        self.effects: list[Effect] = []
        self._number = number
        self._base = base

    def take(self, step: Step, *, mark: bool) -> str:
        if step.does == COMMIT:
            if mark and self.effects:
                # By a key that was made a stored row proves its unit; by one that is given it
                # does not.
                given = self._base * WIDTH + self._number if self._number % 2 else None
                self.session.add(Mark(id=given, run=self._base, unit=self._number))
            self.session.commit()
            return ACKNOWLEDGED
        if step.does == ROLLBACK:
            self.session.rollback()
            return ROLLED_BACK
        work = getattr(self, f"_{step.does}")
        for key in step.keys[:1] if step.does in _OF_ONE else step.keys:
            work(self._base * WIDTH + key)
        return OPEN

    def _token(self) -> str:
        return f"|u{self._number}.{len(self.effects)}"

    def _wrote(self, action: str, table: str, key: int, row: Any = (), before: Any = ()) -> None:
        self.effects.append(Effect(action, table, key, row, before))

    def _add(self, key: int) -> None:
        """A new row, of every second unit with a key that is made for it."""
        made = (self._number + key) % 2 == 0
        code = f"{self._base}.{key % 3}" if (self._number + key) % 3 == 0 else None
        thing = Thing(id=None if made else key, run=self._base, log=self._token(), code=code)
        self.session.add(thing)
        self.session.flush()
        self._wrote(model.INSERT, THING, thing.id, (thing.log, code))

    def _change(self, key: int) -> None:
        thing = self.session.get(Thing, key)
        if thing is not None:
            before = (thing.log, thing.code)
            thing.log += self._token()
            after = (thing.log, thing.code)
            # What the same unit has changed otherwise is not compared.
            others = any(e.action not in _OF_OBJECTS for e in self.effects if e.table == THING)
            self.session.flush()
            self._wrote(model.PUT if others else model.SWAP, THING, key, after, before)

    def _count(self, key: int) -> None:
        counter = self.session.get(Counter, key - key % WIDTH + key % 2)
        if counter is not None:
            before = (counter.log, counter.version)
            counter.log += self._token()
            self.session.flush()
            self._wrote(model.SWAP, COUNTER, counter.id, (counter.log, counter.version), before)

    def _extend(self, key: int) -> None:
        self._core(update(Thing).where(Thing.id == key).values(log=Thing.log + self._token()))
        self._wrote(model.EXTEND, THING, key, (self._token(),))

    def _sweep(self, _: int) -> None:
        whose = Thing.run == self._base
        self._core(update(Thing).where(whose).values(log=Thing.log + self._token()))
        self._wrote(model.SWEEP, THING, 0, (self._token(),))

    def _put(self, key: int) -> None:
        self._core(update(Thing).where(Thing.id == key).values(log=self._token()))
        self._wrote(model.PUT, THING, key, (self._token(),))

    def _upsert(self, key: int) -> None:
        row = {"id": key, "run": self._base, "log": self._token(), "code": None}
        self.session.execute(upsert(Thing, [row], keys=["id"], update=["log"]))
        self._wrote(model.UPSERT, THING, key, (row["log"], None))

    def _drop(self, key: int) -> None:
        thing = self.session.get(Thing, key)
        if thing is not None:
            self.session.delete(thing)
            self.session.flush()
            self._wrote(model.DROP, THING, key)

    def _remove(self, key: int) -> None:
        self._core(delete(Thing).where(Thing.id == key))
        self._wrote(model.REMOVE, THING, key)

    def _readd(self, key: int) -> None:
        self._remove(key)
        row = {"id": key, "run": self._base, "log": self._token(), "code": None}
        self._core(insert(Thing).values(**row))
        self._wrote(model.INSERT, THING, key, (row["log"], None))

    def _nested(self, key: int) -> None:
        with self.session.begin_nested() as point:
            dropped = Thing(run=self._base, log="dropped", code=None)
            self.session.add(dropped)
            self.session.flush()
            point.rollback()
        self._extend(key)

    def _read(self, key: int) -> None:
        self.session.execute(select(Thing.log).where(Thing.id == key)).all()

    def _core(self, statement: Any) -> None:
        self.session.execute(statement, execution_options={"synchronize_session": False})


_OF_OBJECTS = frozenset({model.INSERT, model.SWAP, model.DROP})
_OF_ONE = frozenset({"sweep", "nested", "count"})
