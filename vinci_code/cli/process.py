"""What the command needs of its process: streams, signals, warnings, the exit code."""

from __future__ import annotations

import io
import logging
import os
import signal
import sys
import threading
import warnings
from types import FrameType
from typing import TextIO

from vinci_code.cli.app import app
from vinci_code.cli.failures import Interruption, report
from vinci_code.cli.output import flush, tell

_AGAIN_S = 0.05


def run() -> int:
    """Run the command line in ``sys.argv``, and see to it that it ends with a line and a code."""
    signal.signal(signal.SIGTERM, _end)
    sys.unraisablehook = _show_unraisable
    warnings.showwarning = _show_warning
    _make_printable(sys.stdout)
    _log_to_standard_error()
    try:
        code = _run_app()
        # Here, and not at the interpreter's exit: a full disk is to end in our words.
        flush()
    except (Exception, KeyboardInterrupt, Interruption) as error:  # noqa: BLE001
        # The outermost boundary: whatever comes here ends in one line instead of a traceback.
        code = report(error)
    _let_go_of_output()
    return code


def _run_app() -> int:
    try:
        app()
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    return 0


def _end(signum: int, _: FrameType | None) -> None:
    raise Interruption(signum)


def _show_unraisable(unraisable: sys.UnraisableHookArgs) -> None:
    """Let a signal come through that arrived while Python cleaned up, where nothing can be raised.

    As in the callback of a weak reference while modules are imported: Python prints what is raised
    there, and goes on.
    """
    error = unraisable.exc_value
    if not isinstance(error, (Interruption, KeyboardInterrupt)):
        sys.__unraisablehook__(unraisable)
        return
    number = error.signum if isinstance(error, Interruption) else signal.SIGINT
    # Sent again from elsewhere, when the cleaning up is done: from here it would end the same way.
    sender = threading.Timer(_AGAIN_S, os.kill, (os.getpid(), number))
    sender.daemon = True
    sender.start()


def _make_printable(stream: TextIO | None) -> None:
    # A terminal that is not UTF-8 shows \u escapes for the rest, instead of ending the command.
    if isinstance(stream, io.TextIOWrapper):
        stream.reconfigure(errors="backslashreplace")


def _log_to_standard_error() -> None:
    # SQLAlchemy would write the statements of DATABASE_ECHO to standard output, where a machine
    # expects one JSON document, unless this very logger has a handler by then
    # (sqlalchemy/log.py, InstanceLogger).
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s %(message)s"))
    logging.getLogger("sqlalchemy.engine.Engine").addHandler(handler)


def _show_warning(
    message: Warning | str,
    category: type[Warning],  # noqa: ARG001 - the signature of warnings.showwarning
    filename: str,  # noqa: ARG001
    lineno: int,  # noqa: ARG001
    file: TextIO | None = None,  # noqa: ARG001
    line: str | None = None,  # noqa: ARG001
) -> None:
    tell(f"Warning: {message}")


def _let_go_of_output() -> None:
    """Send what could not be written nowhere: the interpreter would complain about it at its exit.

    https://docs.python.org/3/library/signal.html#note-on-sigpipe
    """
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None:
                stream.flush()
        except OSError:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, stream.fileno())
            os.close(nowhere)
