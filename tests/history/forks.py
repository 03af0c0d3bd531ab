"""Fork a process whose threads use an engine, and see whose answers the children get.

    python -m tests.history.forks --forks 1000 --seed 7

Threads of the parent select numbers, each its own, and open sessions and end them meanwhile, so
that a fork may come at any moment of that. Each child selects numbers of its own, through the pool
and after it was refused a connection that its parent has in use. The seed is printed first; the
exit code is 1 if anybody got another's answer, lost a session, or did not come to an end.
"""

from __future__ import annotations

import argparse
import faulthandler
import gc
import logging
import os
import random
import signal
import sys
import threading
import time
import traceback
import warnings
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa

from tests.certificates import trust_none_of_the_machine
from tests.served_elsewhere import served_elsewhere

_log = logging.getLogger(__name__)

ASKED = 4
"""How many numbers each child selects."""

_AT_ONCE = 4
_CHILD_SECONDS = 120
_SHOWN_SECONDS = 15


@dataclass
class Report:
    """What a run came to.

    Attributes:
        forks: How many children there were.
        asked_by_children: How many numbers they got.
        asked_by_parent: How many numbers its threads got meanwhile.
        hung: How many children did not come to an end: a lock of OpenSSL that a thread of the
            parent held can be renewed by nobody.
        wrong: What was wrong.
        seconds: How long it took.
    """

    forks: int = 0
    asked_by_children: int = 0
    asked_by_parent: int = 0
    hung: int = 0
    wrong: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def as_text(self) -> str:
        """The report in words."""
        head = (
            f"{self.forks} forks in {self.seconds:.1f} s; the children got "
            f"{self.asked_by_children} numbers, the parent's threads {self.asked_by_parent}; "
            f"{self.hung} hung, {len(self.wrong)} wrong"
        )
        return "\n".join([head, *self.wrong])


def run(count: int, seed: int, threads: int = 3) -> Report:
    """Fork so many children of a process with so many threads."""
    report = Report()
    begin = time.monotonic()
    # What others have left in this process, such as databases with threads of their own, is none
    # of what a child may have to clear away: it waited for threads that it has not.
    gc.collect()
    gc.freeze()
    with served_elsewhere() as address:
        engine = _engine(*address)
        load = _Load(engine, threads, seed)
        rng = random.Random(seed)
        in_use = engine.connect()
        in_use.execute(sa.text("SELECT 0"))
        children: dict[int, int] = {}
        try:
            while report.forks < count and not load.wrong:
                children[_fork(engine, in_use, 1_000_000 + report.forks * ASKED)] = report.forks
                report.forks += 1
                report.seconds = time.monotonic() - begin
                if report.forks % 50 == 0:
                    _log.info("%s", report.as_text())
                time.sleep(rng.uniform(0, 0.02))
                if len(children) >= _AT_ONCE:
                    _wait(children, report)
            while children:
                _wait(children, report)
        finally:
            load.stop()
        if in_use.scalar(sa.text("SELECT 42")) != 42:
            report.wrong.append("the connection in use got another's answer")
        in_use.close()
        engine.dispose()
    gc.unfreeze()
    report.asked_by_parent = load.asked
    report.wrong += load.wrong
    report.seconds = time.monotonic() - begin
    return report


class _Load:
    """Threads that select numbers, and now and then end the session that they did it on."""

    def __init__(self, engine: sa.Engine, threads: int, seed: int) -> None:
        self.asked = 0
        self.wrong: list[str] = []
        self._engine = engine
        self._stopped = threading.Event()
        self._threads = [
            threading.Thread(target=self._ask, args=(random.Random(f"{seed} {n}"), n * 10_000))
            for n in range(threads)
        ]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Wait for the threads to end."""
        self._stopped.set()
        for thread in self._threads:
            thread.join()

    def _ask(self, rng: random.Random, first: int) -> None:
        try:
            while not self._stopped.is_set():
                number = rng.randrange(first, first + 10_000)
                with self._engine.connect() as connection:
                    found = connection.scalar(sa.text(f"SELECT {number}"))
                    if rng.random() < 0.2:
                        connection.invalidate()
                self.asked += 1
                if found != number:
                    self.wrong.append(f"a thread of the parent asked for {number}, got {found}")
        except Exception:  # noqa: BLE001 - the report names it
            self.wrong.append(f"a thread of the parent: {traceback.format_exc()}")


def _engine(url: str, arguments: dict[str, Any]) -> sa.Engine:
    return sa.create_engine(url, connect_args=arguments, pool_size=3, max_overflow=2)


def _fork(engine: sa.Engine, in_use: sa.Connection, first: int) -> int:
    with warnings.catch_warnings():
        # Python 3.12 and later warn of exactly what is tried here.
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child:
        return child
    code = 1
    try:
        # Shows where it hangs, before a deadline of its own ends that, and then ends it.
        faulthandler.dump_traceback_later(_SHOWN_SECONDS)
        faulthandler.register(signal.SIGALRM, chain=True)
        signal.alarm(_CHILD_SECONDS)
        code = _in_child(engine, in_use, first)
    except BaseException:  # noqa: BLE001 - a child must not go on as its parent
        traceback.print_exc()
    finally:
        os._exit(code)


def _in_child(engine: sa.Engine, in_use: sa.Connection, first: int) -> int:
    try:
        in_use.execute(sa.text("SELECT 1"))
        return 3
    except sa.exc.OperationalError as error:
        if "before this process was forked" not in str(error):
            raise
    in_use.rollback()
    in_use.close()
    gc.collect()
    for number in range(first, first + ASKED):
        with engine.connect() as connection:
            found: Any = connection.scalar(sa.text(f"SELECT {number}"))
        if found != number:
            return 2
    engine.dispose()
    return 0


_MEANING = {
    1: "failed",
    2: "got another's answer",
    3: "was not refused its parent's connection",
}


def _wait(children: dict[int, int], report: Report) -> None:
    process, number = next(iter(children.items()))
    _, status = os.waitpid(process, 0)
    del children[process]
    code = os.waitstatus_to_exitcode(status)
    if code == 0:
        report.asked_by_children += ASKED
    elif code == -signal.SIGALRM:
        report.hung += 1
    else:
        report.wrong.append(f"child {number} {_MEANING.get(code, f'ended with {code}')}")


def main() -> int:
    """Run what the command line asks for."""
    trust_none_of_the_machine()
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--forks", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=3)
    given = parser.parse_args()
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    _log.setLevel(logging.INFO)
    print(f"seed {given.seed}", flush=True)
    report = run(given.forks, given.seed, given.threads)
    print(report.as_text())
    return int(bool(report.wrong or report.hung))


if __name__ == "__main__":
    sys.exit(main())
