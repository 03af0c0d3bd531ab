"""Processes that commit units of work as fast as they can, through outages, and are killed.

    python -m tests.fallback.histories.free --seconds 60 --seed 7 [--processes 3]

Each unit writes a row to two tables, under a key of its own, and notes the key before it commits
and once more when that is acknowledged. Meanwhile the warehouse goes away and comes back, answers
are lost, processes are killed and begun anew, and children are forked of them. In the end each key
that was acknowledged has to be in both tables once, or in the journal with a reason; a key of a
unit that failed may be nowhere; and no key may be in one table alone.

How things fall together is the machine's, and not the seed's. The exit code is 1 if something is
lost, doubled or half.
"""

from __future__ import annotations

import argparse
import logging
import os
import random
import signal
import sys
import tempfile
import threading
import time
from collections import Counter as Counts
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy.exc import SQLAlchemyError

from tests.certificates import trust_none_of_the_machine
from tests.fallback.histories.application import Place, hurried, place
from tests.fallback.histories.processes import context
from tests.fallback.histories.runner import Eye
from tests.fallback.histories.tables import MARK, THING, Base, Mark, Thing
from tests.patience import PATIENCE_S
from vinci_code.core.errors import VinciError
from vinci_code.database.dialect.driver import dbapi
from vinci_code.database.fallback.coding import decode
from vinci_code.database.fallback.fallback import Fallback
from vinci_code.database.fallback.journal import Journal
from vinci_code.database.fallback.records import State
from vinci_code.database.fallback.sessions import RoutedSession
from vinci_code.warehouse import Fault, LocalWarehouse

_FOREVER = 10**6
_EACH = 1_000_000
_EXPECTED = (SQLAlchemyError, dbapi.Error, VinciError)
_PAUSES = (0.05, 0.4)


@dataclass
class Report:
    """What a run came to.

    Attributes:
        counts: How many keys came to what: what was noted of it, and where it is in the end.
        wrong: What must not be.
    """

    counts: Counts[str] = field(default_factory=Counts)
    wrong: list[str] = field(default_factory=list)

    def as_text(self) -> str:
        """The report in words."""
        counted = ", ".join(f"{count} {name}" for name, count in self.counts.most_common())
        return "\n".join([f"{counted}; {len(self.wrong)} wrong", *self.wrong[:20]])


def run(seconds: float, seed: int, *, processes: int = 3) -> Report:
    """Have so many processes work for so long."""
    by, report = random.Random(seed), Report()
    with (
        tempfile.TemporaryDirectory() as folder,
        LocalWarehouse(transactions=True, record_limit=200) as warehouse,
    ):
        at = place(warehouse, "default")
        engine = at.engine()
        Base.metadata.create_all(engine)
        file = Path(folder) / "standby.db"
        made = Fallback(engine, file, Base.metadata)
        made.standby  # noqa: B018 - its tables
        made.dispose()
        workers = [_Worker(at, file, number) for number in range(processes)]
        end = time.monotonic() + seconds
        try:
            # On a busy machine a process takes long to begin, and until then nothing is seen.
            while time.monotonic() < end or not (
                any("did" in worker.noted().values() for worker in workers)
                or time.monotonic() > end + PATIENCE_S
            ):
                time.sleep(by.uniform(*_PAUSES))
                _disturb(by, warehouse, workers, report)
                for worker in workers:
                    if not worker.lives:
                        report.wrong.append(f"process {worker.number} has ended by itself")
                        worker.begin()
        finally:
            for worker in workers:
                worker.end()
            warehouse.faults.clear()
        with hurried():
            _bring_back(engine, file, report)
        _check(warehouse, file, workers, report)
        engine.dispose()
    return report


def _disturb(
    by: random.Random, warehouse: LocalWarehouse, workers: list[_Worker], report: Report
) -> None:
    """Do one of the things that go wrong, or right again."""
    what = by.choice(["away", "back", "back", "status", "lost", "lost", "kill"])
    report.counts[f"times {what}"] += 1
    if what == "kill":
        worker = by.choice(workers)
        worker.kill()
        worker.begin()
        return
    if what == "lost":
        warehouse.faults.add(
            Fault.reset(by.choice(["after", "mid_reply"]), operation="ExecuteStatement")
        )
        return
    warehouse.faults.clear()
    if what == "away":
        warehouse.faults.add(Fault.reset("before", times=_FOREVER))
    elif what == "status":
        warehouse.faults.add(Fault.http(by.choice([429, 503]), retry_after=600, times=_FOREVER))


def _bring_back(engine: Any, file: Path, report: Report) -> None:
    fallback = Fallback(engine, file, Base.metadata, create_tables=lambda _: None)
    try:
        for _ in range(5):
            done = fallback.bring_back()
            if done is not None and done.finished and not fallback.state().waiting:
                return
        state = fallback.state()
        # What may still arrive holds back nothing: no two units touch the same rows.
        if state.waiting:
            report.wrong.append(f"units wait, though the warehouse is there: {state}")
    finally:
        fallback.dispose()


def _check(warehouse: Any, file: Path, workers: Iterable[_Worker], report: Report) -> None:
    eye = Eye(warehouse, "default")
    stored = [
        Counts(key for (key,) in eye.rows(f"SELECT id FROM {table}")) for table in (THING, MARK)
    ]
    eye.close()
    kept = _kept(file)
    for table, found in zip((THING, MARK), stored, strict=True):
        report.wrong += [f"{table} {key} is there twice" for key, n in found.items() if n > 1]
    for key in stored[0].keys() ^ stored[1].keys():
        report.wrong.append(f"{key} is in one table alone")
    for worker in workers:
        for key, word in worker.noted().items():
            state = kept.get(key)
            there = key in stored[0]
            where = "there" if there else "nowhere" if state is None else state.value
            report.counts[f"{word}: {where}"] += 1
            if word == "did" and not there and state is None:
                report.wrong.append(f"{key} is lost")
            if there and state is State.WAITING:
                report.wrong.append(f"{key} is there, and would be sent again")


def _kept(file: Path) -> dict[int, State]:
    journal = Journal(file)
    journal.prepare()
    found: dict[int, State] = {}
    try:
        for entry in journal.entries():
            (mark,) = (
                write
                for write in decode(entry.document, Base.metadata.tables)
                if write.shape.table.name == MARK  # type: ignore[union-attr]
            )
            (place_of_key,) = (
                item.first
                for item in mark.shape.values  # type: ignore[union-attr]
                if item.column.name == "id"
            )
            found[int(mark.rows[0][place_of_key])] = entry.state  # type: ignore[union-attr]
    finally:
        journal.close()
    return found


class _Worker:
    """A process that commits units of work, and can be begun again after it was killed."""

    def __init__(self, at: Place, file: Path, number: int) -> None:
        self.number = number
        self._given = (at, file)
        self._notes = file.with_name(f"notes.{number}")
        self._begun = 0
        self._process: Any = None
        self.begin()

    @property
    def lives(self) -> bool:
        return bool(self._process.is_alive())

    def begin(self) -> None:
        first = (self.number * 100 + self._begun + 1) * _EACH
        self._begun += 1
        self._process = context().Process(
            target=_work, args=(*self._given, self._notes, first), daemon=False
        )
        self._process.start()

    def kill(self) -> None:
        with suppress(ProcessLookupError):
            os.kill(self._process.pid, signal.SIGKILL)
        self._process.join()

    def end(self) -> None:
        """Have it end its unit of work, and with it."""
        with suppress(ProcessLookupError):
            os.kill(self._process.pid, signal.SIGTERM)
        self._process.join(PATIENCE_S)
        if self.lives:
            self.kill()

    def noted(self) -> dict[int, str]:
        """What it has noted last of each key."""
        lines = self._notes.read_text().splitlines() if self._notes.exists() else []
        return {int(key): word for word, _, key in (line.partition(" ") for line in lines)}


def _work(at: Place, file: Path, notes: Path, first: int) -> None:
    logging.disable(logging.CRITICAL)
    stopped = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stopped.set())
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with hurried(), notes.open("ab", buffering=0) as noted:
        online = at.engine()
        fallback = Fallback(online, file, Base.metadata, create_tables=lambda _: None)
        key = first
        while not stopped.is_set():
            key += 1
            if key % 50 == 0 and hasattr(os, "fork"):
                _in_child(online, fallback, noted, key)
            else:
                _unit(online, fallback, noted, key)
        fallback.dispose()
        online.dispose()


def _in_child(online: Any, fallback: Fallback, noted: Any, key: int) -> None:
    """Commit a unit in a forked child, whose parent has connections to both."""
    child = os.fork()
    if child:
        os.waitpid(child, 0)
        return
    try:
        _unit(online, fallback, noted, key)
    finally:
        os._exit(0)


def _unit(online: Any, fallback: Fallback, noted: Any, key: int) -> None:
    noted.write(f"tries {key}\n".encode())
    try:
        with RoutedSession(bind=online, fallback=lambda: fallback) as session:
            session.add(Thing(id=key, run=0, log="", code=None))
            session.add(Mark(id=key, run=0, unit=0))
            session.commit()
    except _EXPECTED as error:
        noted.write(f"{type(getattr(error, 'orig', None) or error).__name__} {key}\n".encode())
    else:
        noted.write(f"did {key}\n".encode())


def main() -> int:
    """Run what the command line asks for."""
    trust_none_of_the_machine()
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--processes", type=int, default=3)
    given = parser.parse_args()
    logging.disable(logging.CRITICAL)
    print(f"seed {given.seed}", flush=True)
    report = run(given.seconds, given.seed, processes=given.processes)
    print(report.as_text())
    return int(bool(report.wrong))


if __name__ == "__main__":
    sys.exit(main())
