"""Applications in processes of their own, which can be killed."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from multiprocessing import spawn
from pathlib import Path
from typing import Any
from unittest import mock

from tests.certificates import trust_none_of_the_machine
from tests.fallback.histories.application import Answer, Application, Place, hurried
from tests.fallback.histories.schedules import Schedule, Step

_PATIENCE = 60.0
# What the driver imports with its first connection.
_HEAVY = ("databricks.sql.client", "databricks.sql.backend.thrift_backend", "pandas", "pyarrow")

_context: Any = None


def context() -> Any:
    """What makes processes: they are forked from one that has all imported, and no threads."""
    global _context
    if _context is None:
        trust_none_of_the_machine()
        _context = multiprocessing.get_context("forkserver")
        _context.set_forkserver_preload([__name__, *_HEAVY])
    return _context


class Process:
    """An application in a process of its own.

    Args:
        place: Where the warehouse is.
    """

    def __init__(self, place: Place) -> None:
        self._pipe, theirs = context().Pipe()
        self._process = context().Process(target=_serve, args=(theirs, place), daemon=True)
        with _without_main():
            self._process.start()
        theirs.close()

    @property
    def lives(self) -> bool:
        """Whether it has not ended."""
        return bool(self._process.is_alive())

    def open(self, file: Path, base: int, schedule: Schedule) -> None:
        """Begin with a schedule."""
        self._ask("open", file, base, schedule)

    def close(self) -> None:
        """End a schedule."""
        self._ask("close")

    def take(self, step: Step, history_timeout: float) -> Answer:
        """Take a step."""
        found: Answer = self._ask("take", step, history_timeout)
        return found

    def begin(self, step: Step, history_timeout: float) -> None:
        """Take a step, and do not wait for its end."""
        self._pipe.send(("take", step, history_timeout))

    def ended(self, seconds: float) -> Answer | None:
        """What came of the step, if it ends in time; ``None`` also where the process is gone."""
        with suppress(EOFError, ConnectionError):
            if self._pipe.poll(seconds):
                found: Answer = self._pipe.recv()
                return found
        return None

    def kill(self) -> None:
        """Kill it, and wait for its end."""
        with suppress(ProcessLookupError):
            os.kill(self._process.pid, signal.SIGKILL)
        self._process.join()

    def end(self) -> None:
        """End it."""
        with suppress(OSError):
            self._pipe.send(None)
        self._process.join(5)
        self.kill()
        self._pipe.close()

    def _ask(self, *asked: Any) -> Any:
        self._pipe.send(asked)
        if not self._pipe.poll(_PATIENCE):
            raise AssertionError(f"a process does not answer to {asked[:2]}")
        answer = self._pipe.recv()
        if isinstance(answer, Exception):
            raise answer
        return answer


@contextmanager
def _without_main() -> Iterator[None]:
    """Have a process not import the program that begins it, which takes long."""
    prepare = spawn.get_preparation_data

    def prepared(name: str) -> dict[str, Any]:
        return {key: v for key, v in prepare(name).items() if not key.startswith("init_main")}

    with mock.patch.object(spawn, "get_preparation_data", prepared):
        yield


def _serve(pipe: Any, place: Place) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    import logging

    logging.disable(logging.CRITICAL)
    online = place.engine()
    application: Application | None = None
    patched: Any = None
    while (asked := pipe.recv()) is not None:
        word, *given = asked
        answer: Any = None
        try:
            if word == "open":
                patched = hurried(given[2])
                patched.__enter__()
                application = Application(online, *given)
            elif word == "take":
                assert application is not None
                answer = application.take(*given)
            elif application is not None:
                application.close()
                application = None
                patched.__exit__(None, None, None)
        except Exception as error:  # noqa: BLE001 - reported where it is asked
            answer = AssertionError(f"{word}: {type(error).__name__}: {error}")
        pipe.send(answer)
    os._exit(0)
