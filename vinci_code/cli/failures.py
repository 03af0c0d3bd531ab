"""How a command ends when it does not succeed: one line on standard error, and an exit code."""

from __future__ import annotations

import os
import re
import signal
import sys
import traceback
from dataclasses import asdict, dataclass, field
from typing import Any

from vinci_code.cli.output import flush, print_document, shown, tell
from vinci_code.core.errors import (
    EXIT_FAILED,
    EXIT_UNAVAILABLE,
    ConfigurationError,
    VinciError,
)

EXIT_INTERNAL = 70  # EX_SOFTWARE of sysexits.h: a mistake of ours
EXIT_PIPE = 141  # what shells report for a command that SIGPIPE ended
_BY_SIGNAL = 128  # what shells add to the number of the signal that ended a command


class Interruption(BaseException):
    """A signal asked the command to end; no ``except Exception`` holds it up."""

    def __init__(self, signum: int) -> None:
        super().__init__(signum)
        self.signum = signum


@dataclass
class CommandRun:
    """What one run of a command knows about itself; the ``obj`` of typer's context.

    Attributes:
        as_json: Whether standard output is for a machine: one JSON document, also for a failure.
        committed: Lines that say what was committed before a failure; printed after its own.
        fields: The same for a machine, put into the JSON document.
    """

    as_json: bool = False
    committed: list[str] = field(default_factory=list)
    fields: dict[str, Any] = field(default_factory=dict)


def is_known(error: BaseException) -> bool:
    """Whether a failure is one that users meet, and not a mistake of ours."""
    return _as_known(error) is not None


def report(error: BaseException, run: CommandRun | None = None) -> int:
    """Tell about a failure, and return the exit code that it has."""
    run = run or CommandRun()
    if isinstance(error, BrokenPipeError):
        # The reader has seen enough (`vinci events export - | head -1`): no failure to tell about.
        return EXIT_PIPE
    known = _as_known(error)
    message, code = known or _internal(error)
    if os.environ.get("VINCI_DEBUG") and not isinstance(error, (KeyboardInterrupt, Interruption)):
        _show_traceback(error)
    try:
        tell(message)
        for line in run.committed:
            tell(line)
        if run.as_json:
            print_document({**run.fields, "error": _described(error, message, code)})
            flush()
    except OSError:
        # Standard error or output is gone or full. The exit code is what is left to say it with.
        return code
    return code


def _described(error: BaseException, message: str, code: int) -> dict[str, Any]:
    document: dict[str, Any] = {
        "type": type(error).__name__,
        "message": message.removeprefix("Error: "),
        "exit_code": code,
    }
    if isinstance(error, ConfigurationError):
        document["problems"] = [asdict(problem) for problem in error.problems]
    return document


def _as_known(error: BaseException) -> tuple[str, int] | None:
    """The message and exit code of a failure that users meet.

    Whatever is in it, a file name with a line break for one, it is one line; only the list of what
    is wrong with the configuration is several.
    """
    if isinstance(error, (KeyboardInterrupt, Interruption)):
        signum = error.signum if isinstance(error, Interruption) else signal.SIGINT
        word = "Interrupted." if signum == signal.SIGINT else "Terminated."
        return word, _BY_SIGNAL + signum
    if isinstance(error, ConfigurationError):
        return f"Error: {error}", error.exit_code
    if isinstance(error, VinciError):
        return f"Error: {_in_one_line(error)}", error.exit_code
    if isinstance(error, OSError):
        return f"Error: {shown(_reason(error))}", EXIT_FAILED
    return _as_database_error(error)


def _in_one_line(error: BaseException) -> str:
    """A message whose advice ("To fix it: …") stands on a line of its own, on one line."""
    return shown(re.sub(r"\.?\n(?=To [a-z ]+: )", ". ", str(error)))


def _reason(error: OSError) -> str:
    reason = error.strerror or str(error) or type(error).__name__
    return reason if error.filename is None else f"{os.fsdecode(error.filename)}: {reason}"


def _as_database_error(error: BaseException) -> tuple[str, int] | None:
    # If SQLAlchemy was never loaded, nothing can have raised its errors.
    if "sqlalchemy.exc" not in sys.modules:
        return None
    from sqlalchemy.exc import DBAPIError, StatementError

    if not isinstance(error, StatementError):
        return None
    if isinstance(error.orig, VinciError):
        return f"Error: {_in_one_line(error.orig)}", error.orig.exit_code
    if not isinstance(error, DBAPIError):
        return None
    from vinci_code.core.config import get_settings
    from vinci_code.database.sqlite import explain, file_of

    settings = get_settings().database
    if settings.use_databricks:
        return f"Error: the warehouse refused a statement: {shown(error.orig)}", EXIT_UNAVAILABLE
    explained = explain(error, file_of(settings.database_url))
    return f"Error: {shown(explained)}", explained.exit_code


def _internal(error: BaseException) -> tuple[str, int]:
    hint = "" if os.environ.get("VINCI_DEBUG") else " Set VINCI_DEBUG=1 to see the traceback."
    return (
        f"Error: this is a mistake in vinci_code: {type(error).__name__}: {shown(error)}.{hint}",
        EXIT_INTERNAL,
    )


def _show_traceback(error: BaseException) -> None:
    from vinci_code.core.redaction import redact_exception

    clean = redact_exception(error)
    lines = traceback.format_exception(type(clean), clean, clean.__traceback__)
    tell("".join(lines).rstrip("\n"))
