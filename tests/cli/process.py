"""Run ``vinci`` as a process of its own, the way a user does."""

from __future__ import annotations

import ctypes
import fcntl
import json
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from tests import patience

COMMAND = (sys.executable, "-m", "vinci_code")
SAMPLE = Path(__file__).parents[2] / "examples" / "earthquakes.jsonl"
PATIENCE_S = patience.PATIENCE_S

_PR_CAPBSET_DROP = 24  # linux/prctl.h
_CAP_DAC_OVERRIDE = 1  # linux/capability.h: lets root ignore the rights of files
_CAP_DAC_READ_SEARCH = 2


@dataclass(frozen=True)
class Result:
    """How a command ended.

    Attributes:
        code: Its exit code, negative for the number of a signal.
        out: What it printed on standard output.
        err: What it printed on standard error.
    """

    code: int
    out: str
    err: str

    def document(self) -> Any:
        """Its standard output, which has to be one JSON document."""
        return json.loads(self.out)


def environment(**extra: str) -> dict[str, str]:
    """The environment without what would colour or widen the output."""
    unwanted = {"NO_COLOR", "FORCE_COLOR", "CLICOLOR_FORCE", "COLUMNS", "PYTHONIOENCODING"}
    return {**{k: v for k, v in os.environ.items() if k not in unwanted}, **extra}


def vinci(
    *arguments: str,
    stdin: bytes = b"",
    env: Mapping[str, str] | None = None,
    before_exec: Callable[[], None] | None = None,
) -> Result:
    """Run a command to its end."""
    done = subprocess.run(
        [*COMMAND, *arguments],
        input=stdin,
        capture_output=True,
        env=environment(**(env or {})),
        timeout=PATIENCE_S,
        check=False,
        preexec_fn=before_exec,
    )
    return Result(done.returncode, done.stdout.decode(), done.stderr.decode())


def shell(script: str) -> Result:
    """Run a line of bash in which ``$VINCI`` is the command."""
    done = subprocess.run(
        ["bash", "-c", script],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        env=environment(VINCI=" ".join(COMMAND)),
        timeout=PATIENCE_S,
        check=False,
    )
    return Result(done.returncode, done.stdout.decode(), done.stderr.decode())


def start(*arguments: str) -> subprocess.Popen[bytes]:
    """Start a command that reads from a pipe, with Ctrl-C in force whoever runs the tests."""
    return subprocess.Popen(
        [*COMMAND, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(),
        preexec_fn=_heed_interrupts,
    )


def in_a_terminal(
    *arguments: str,
    columns: int = 80,
    answer: bytes = b"",
    env: Mapping[str, str] | None = None,
) -> str:
    """What a command shows in a terminal of so many columns."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    running = subprocess.Popen(
        [*COMMAND, *arguments],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env=environment(**{"TERM": "xterm-256color", **(env or {})}),
        start_new_session=True,
    )
    os.close(theirs)
    os.write(ours, answer)
    shown = b""
    end = time.monotonic() + PATIENCE_S
    try:
        while time.monotonic() < end:
            if not select.select([ours], [], [], 1.0)[0]:
                continue
            try:
                piece = os.read(ours, 65536)
            except OSError:  # EIO: the other side is closed
                break
            if not piece:
                break
            shown += piece
    finally:
        os.close(ours)
        running.wait(PATIENCE_S)
    return shown.decode(errors="replace")


def without_override() -> None:
    """Make the rights of files bind root as well (in a child, before it runs the command)."""
    if os.geteuid() == 0:
        libc = ctypes.CDLL(None, use_errno=True)
        for capability in (_CAP_DAC_OVERRIDE, _CAP_DAC_READ_SEARCH):
            if libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0) != 0:
                raise OSError(ctypes.get_errno(), "prctl")


def event_line(number: int, **fields: Any) -> str:
    """A line of a file of events."""
    hour, minute, second = number // 3600 % 24, number // 60 % 60, number % 60
    record = {
        "event_key": f"key-{number}",
        "event_type": "test",
        "source": "tests",
        "occurred_at": f"2018-01-31T{hour:02}:{minute:02}:{second:02}Z",
        **fields,
    }
    return json.dumps(record) + "\n"


def write_lines(path: Path, lines: Sequence[str]) -> Path:
    """Write a file of lines."""
    path.write_text("".join(lines), encoding="utf-8")
    return path


def waiting_in(pipe: IO[bytes]) -> int:
    """Count the bytes in a pipe that its reader has not taken yet."""
    found = fcntl.ioctl(pipe.fileno(), termios.FIONREAD, bytes(4))
    return int.from_bytes(found, sys.byteorder)


def _heed_interrupts() -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)
