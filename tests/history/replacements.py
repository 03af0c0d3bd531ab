"""Lose sessions, let the opening of others fail, and see whether connections are fit afterwards.

    python -m tests.history.replacements --schedules 10000 --seed 7

Each schedule takes the session from the one connection of a pool, at a deadline or by having the
warehouse forget it, and lets up to three tries to open another one fail: by 503 and 429 beyond the
budget, resets, timeouts, refused tokens, Ctrl-C and a time limit. Then all is well, and the next
use of the pool has to work. What was acknowledged has to be there once, and what has failed must
not be there. The seed is printed first; the exit code is 1 if a schedule fails.
"""

from __future__ import annotations

import argparse
import collections
import random
import signal
import sys
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType
from typing import Any
from unittest import mock

import sqlalchemy as sa

from tests.certificates import trust_none_of_the_machine
from vinci_code.database.dialect.driver import dbapi, transport, waiting
from vinci_code.warehouse import LocalWarehouse
from vinci_code.warehouse.faults import Fault

_OPEN, _EXECUTE = "OpenSession", "ExecuteStatement"
_SECONDS = 0.1
"""How long is waited for what does not come."""
_TIMEOUT = "timeout"

_T = sa.Table("kept", sa.MetaData(), sa.Column("id", sa.BigInteger, primary_key=True))


class SoftLimit(Exception):  # noqa: N818 - as Celery's
    """A time limit that a signal handler raises."""


@dataclass
class Report:
    """What a run came to.

    Attributes:
        schedules: How many schedules were run.
        met: What the application met, and how often.
        broken: The schedules after which the connection was not fit for use, or a row was wrong.
        seconds: How long it took.
    """

    schedules: int = 0
    met: collections.Counter[str] = field(default_factory=collections.Counter)
    broken: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def as_text(self) -> str:
        """The report in words."""
        met = ", ".join(f"{name}: {count}" for name, count in self.met.most_common())
        head = (
            f"{self.schedules} schedules in {self.seconds:.1f} s, {len(self.broken)} broken; {met}"
        )
        return "\n".join([head, *self.broken])


def run(schedules: int, seed: int, first: int = 0, most_seconds: float = float("inf")) -> Report:
    """Run schedules until one fails."""
    report = Report()
    begin = time.monotonic()
    with (
        LocalWarehouse(record_limit=64) as warehouse,
        # Pauses between tries; what is tried is the same.
        mock.patch.object(transport, "_PAUSE", 0.001),
        mock.patch.object(transport, "_GRACE", 0.05),
        mock.patch.object(waiting, "_FIRST_PAUSE", 0.02),
    ):
        engine = _engine(warehouse)
        _T.create(engine)
        for number in range(first, first + schedules):
            wrong = _Schedule(warehouse, engine, f"{seed} {number}", number, report.met).run()
            report.schedules += 1
            report.seconds = time.monotonic() - begin
            if wrong:
                report.broken.append(f"schedule {number}: {wrong}")
                break
            if report.seconds > most_seconds:
                break
        warehouse.faults.clear()
        engine.dispose()
    return report


class _Schedule:
    """One schedule, on keys of its own."""

    def __init__(
        self,
        warehouse: LocalWarehouse,
        engine: sa.Engine,
        seed: str,
        number: int,
        met: collections.Counter[str],
    ) -> None:
        self._warehouse = warehouse
        self._engine = engine
        self._rng = random.Random(seed)
        self._first = number * 10
        self._next = self._first
        self._met = met
        self._acknowledged: list[int] = []
        self._failed: list[int] = []
        self._steps: list[str] = []

    def run(self) -> str | None:
        """Run it, and return what is wrong."""
        for turn in range(self._rng.randint(1, 3)):
            if turn == 0 or self._rng.random() < 0.5:
                self._lose()
            self._fail_to_open()
            self._use_badly()
            self._warehouse.faults.clear()
        try:
            self._write()
            found = self._found()
        except Exception as error:  # noqa: BLE001 - the report names it
            return f"{'; '.join(self._steps)}; then, with nothing wrong: {error!r}"
        lost = [key for key in self._acknowledged if found.count(key) != 1]
        there = [key for key in self._failed if key in found]
        if lost or there:
            return f"{'; '.join(self._steps)}; lost {lost}, there though failed {there}"
        return None

    def _lose(self) -> None:
        lost = self._rng.choice(["forgotten", "deadline"])
        self._steps.append(lost)
        if lost == "forgotten":
            self._warehouse.faults.add(Fault.session_lost(operation=_EXECUTE))
            return
        self._warehouse.faults.add(
            Fault.delay(4 * _SECONDS, operation=_EXECUTE, statement="SELECT 1")
        )
        with self._engine.connect() as connection:
            try:
                connection.execution_options(databricks_timeout=_SECONDS).scalar(
                    sa.text("SELECT 1")
                )
            except sa.exc.DBAPIError as error:
                self._met[type(error.orig).__name__] += 1

    def _fail_to_open(self) -> None:
        name = self._rng.choice([*_FAILURES, *_INTERRUPTIONS])
        self._steps.append(name)
        if name in _FAILURES:
            self._warehouse.faults.add(_FAILURES[name](operation=_OPEN))
            self._limit = None
        else:
            self._warehouse.faults.add(Fault.delay(_SECONDS, operation=_OPEN))
            self._limit = _INTERRUPTIONS[name]

    def _use_badly(self) -> None:
        with _limit(self._rng.uniform(0.01, 0.12), self._limit):
            try:
                if self._steps[-1] != _TIMEOUT and self._rng.random() < 0.5:
                    self._write()
                else:
                    seconds = _SECONDS if self._steps[-1] == _TIMEOUT else None
                    with self._engine.connect() as connection:
                        connection.execution_options(databricks_timeout=seconds)
                        connection.scalar(sa.text("SELECT 2"))
            except sa.exc.DBAPIError as error:
                self._met[type(error.orig).__name__] += 1
            except (SoftLimit, KeyboardInterrupt) as error:
                self._met[type(error).__name__] += 1
            else:
                self._met["nothing"] += 1

    def _write(self) -> None:
        key = self._next
        self._next += 1
        connection = self._engine.connect()
        try:
            connection.execute(sa.insert(_T).values(id=key))
            connection.commit()
            self._acknowledged.append(key)
        except sa.exc.DBAPIError as error:
            if not isinstance(error.orig, dbapi.AmbiguousWriteError):
                self._failed.append(key)
            raise
        finally:
            connection.close()

    def _found(self) -> list[int]:
        with self._engine.connect() as connection:
            asked = sa.select(_T.c.id).where(_T.c.id.between(self._first, self._first + 9))
            return list(connection.scalars(asked))


_FAILURES: dict[str, Callable[..., Fault]] = {
    "503": lambda **scope: Fault.http(503, times=100, **scope),
    "503 for a minute": lambda **scope: Fault.http(503, retry_after=60, **scope),
    "429": lambda **scope: Fault.http(429, times=100, **scope),
    "500": lambda **scope: Fault.http(500, times=2, **scope),
    "reset before": lambda **scope: Fault.reset("before", times=2, **scope),
    "reset after": lambda **scope: Fault.reset("after", times=2, **scope),
    _TIMEOUT: lambda **scope: Fault.delay(3 * _SECONDS, **scope),
    "token refused": lambda **scope: Fault.token_expired(times=2, **scope),
}
_INTERRUPTIONS: dict[str, type[BaseException]] = {
    "Ctrl-C": KeyboardInterrupt,
    "time limit": SoftLimit,
}


@contextmanager
def _limit(seconds: float, raised: type[BaseException] | None) -> Iterator[None]:
    if raised is None:
        yield
        return

    def handler(number: int, frame: FrameType | None) -> None:
        if _waits(frame):
            raise raised
        signal.setitimer(signal.ITIMER_REAL, 0.002)

    before = signal.signal(signal.SIGALRM, handler)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _waits(frame: FrameType | None) -> bool:
    """Whether a request is being waited for.

    Elsewhere SQLAlchemy's pool may lose count of its connections, which is no affair of ours. What
    is raised where an object is collected, be it within a request, comes to nobody.
    """
    while frame is not None:
        if frame.f_code.co_filename == weakref.__file__ or frame.f_code.co_name == "__del__":
            return False
        if frame.f_code.co_filename == transport.__file__:
            return True
        frame = frame.f_back
    return False


def _engine(warehouse: LocalWarehouse) -> sa.Engine:
    url = sa.URL.create(
        "databricks+vinci",
        host=warehouse.host,
        port=warehouse.port,
        query={"http_path": warehouse.http_path},
    )
    arguments: dict[str, Any] = {
        "access_token": warehouse.access_token,
        "_tls_trusted_ca_file": str(warehouse.ca_file),
        "start_timeout": 0.1,
    }
    return sa.create_engine(url, connect_args=arguments, pool_size=1, max_overflow=0)


def main() -> int:
    """Run what the command line asks for."""
    trust_none_of_the_machine()
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--schedules", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--first", type=int, default=0, help="the number of the first schedule")
    parser.add_argument("--most-seconds", type=float, default=float("inf"))
    given = parser.parse_args()
    print(f"seed {given.seed}", flush=True)
    report = run(given.schedules, given.seed, given.first, given.most_seconds)
    print(report.as_text())
    return int(bool(report.broken))


if __name__ == "__main__":
    sys.exit(main())
