"""Running a command with a local warehouse that lives as long as it does."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import FrameType

from vinci_code.core.errors import VinciError
from vinci_code.warehouse.clients import client_environment
from vinci_code.warehouse.local import LocalWarehouse

# As shells have them: https://pubs.opengroup.org/onlinepubs/9799919799/utilities/V3_chap02.html
_NOT_FOUND = 127
_NOT_EXECUTABLE = 126
_BY_SIGNAL = 128
_PASSED_ON = ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2")
# What Ctrl-C and Ctrl-\ send to all processes in the foreground of a terminal, the command too.
_BY_KEY = frozenset({"SIGINT", "SIGQUIT"})


class CommandNotStartedError(VinciError, OSError):
    """A command cannot be started: there is none such, or it may not be executed.

    Attributes:
        exit_code: 127 or 126, as from a shell.
    """

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code


def run_command(warehouse: LocalWarehouse, command: Sequence[str]) -> int:
    """Run a command to its end, with the environment that points clients at a warehouse.

    Signals that reach this process are passed on to the command. It must be called in the main
    thread, while the warehouse runs.

    Args:
        warehouse: The warehouse.
        command: The program and its arguments.

    Returns:
        Its exit code; 128 and the number of the signal where a signal has ended it.

    Raises:
        CommandNotStartedError: There is no such command, or it may not be executed.
    """
    with _Passing() as passing:
        process = _started(command, client_environment(warehouse))
        passing.to(process)
        code = process.wait()
    return _BY_SIGNAL - code if code < 0 else code


class _Passing:
    """Hands signals on to a process; what comes before it has started waits for it."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._waiting: list[int] = []

    def __enter__(self) -> _Passing:
        numbers = [getattr(signal, name) for name in _PASSED_ON if hasattr(signal, name)]
        self._before = {number: signal.signal(number, self._handle) for number in numbers}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def to(self, process: subprocess.Popen[bytes]) -> None:
        """Hand signals on to this process from now on."""
        self._process = process
        waiting, self._waiting = self._waiting, []
        for number in waiting:
            process.send_signal(number)

    def _handle(self, number: int, _frame: FrameType | None) -> None:
        if signal.Signals(number).name in _BY_KEY and _in_foreground():
            return
        if self._process is None:
            self._waiting.append(number)
        else:
            self._process.send_signal(number)


def _in_foreground() -> bool:
    """Whether a terminal sends us the signals of its keys: then it sends them to the command."""
    try:
        terminal = os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY)
    except OSError:
        return False
    try:
        return os.tcgetpgrp(terminal) == os.getpgrp()
    except OSError:
        return False
    finally:
        os.close(terminal)


def _started(command: Sequence[str], variables: Mapping[str, str]) -> subprocess.Popen[bytes]:
    with _told(command[0]):
        return subprocess.Popen(list(command), env={**os.environ, **variables})  # noqa: S603


@contextmanager
def _told(program: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        code = _NOT_FOUND if error.errno in {errno.ENOENT, errno.ENOTDIR} else _NOT_EXECUTABLE
        reason = error.strerror or str(error)
        raise CommandNotStartedError(
            f"The command {program} cannot be started: {reason}\n"
            "To fix it: name a program of PATH, or one by its path, behind '--'.",
            code,
        ) from error
    finally:
        sys.stdout.flush()
