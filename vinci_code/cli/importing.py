"""``vinci events import``: run an import, show how far it is, and tell how it ended."""

from __future__ import annotations

import sys
import time
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from vinci_code.cli.failures import CommandRun
from vinci_code.cli.interruption import Breaks
from vinci_code.cli.output import is_terminal, tell
from vinci_code.cli.progress import Meter, meter
from vinci_code.core.errors import InputDataError

if TYPE_CHECKING:
    from vinci_code.database.events import ImportReport

_SHOWN_BAD_LINES = 20
"""Further bad lines are counted and not shown."""


@dataclass
class Order:
    """What to import, and how.

    Attributes:
        file: The file's name, ``-`` for standard input.
        kind: The file's form; by its name, if not given.
        on_error: Whether a bad line ends the import or is passed over.
        batch_size: Records in a transaction.
    """

    file: str
    kind: Literal["jsonl", "csv", "parquet"] | None = None
    on_error: Literal["stop", "skip"] = "stop"
    batch_size: int | None = None


@dataclass
class ImportOutcome:
    """What came of it, and how long it took."""

    report: ImportReport
    seconds: float = 0.0

    def fields(self, order: Order, *, completed: bool) -> dict[str, Any]:
        """The same for a machine."""
        return {
            "file": order.file,
            **asdict(self.report),
            "seconds": round(self.seconds, 3),
            "completed": completed,
        }


def run_import(order: Order, run: CommandRun) -> ImportOutcome:
    """Import; if it does not come to its end, leave in ``run`` what was committed.

    Raises:
        InputDataError: The file, or with ``on_error="stop"`` a line of it, cannot be used.
        Interruption: A signal ended it.
    """
    from vinci_code.database.events import ImportReport, import_events, open_source
    from vinci_code.database.events.importing import DEFAULT_BATCH_SIZE
    from vinci_code.database.session import get_engine

    outcome = ImportOutcome(ImportReport())
    started = time.monotonic()
    begun = False
    _prepare_input(order)
    try:
        # The file first: a name that was mistyped is not to leave an empty database behind.
        with open_source(order.file, order.kind) as source:
            engine = get_engine()
            with (
                meter("Importing", source.total_bytes) as bar,
                Breaks().watched() as breaks,
            ):
                begun = True
                import_events(
                    engine,
                    breaks.between(source.records),
                    report=outcome.report,
                    batch_size=order.batch_size or DEFAULT_BATCH_SIZE,
                    on_error=order.on_error,
                    on_skip=_BadLines(bar).show,
                    on_commit=lambda report: bar.moved(report.read, source.position()),
                )
                breaks.check()
    except BaseException as error:
        # Reported and passed on, whatever it is: what was committed stays.
        outcome.seconds = time.monotonic() - started
        run.committed += _committed_lines(outcome.report, order, error) if begun else []
        run.fields |= outcome.fields(order, completed=False)
        raise
    outcome.seconds = time.monotonic() - started
    return outcome


def _prepare_input(order: Order) -> None:
    if order.file != "-":
        return
    if sys.stdin is None:
        raise InputDataError("<stdin>", None, "is closed")
    if is_terminal(sys.stdin):
        tell("Reading events from the terminal; Ctrl-D ends them.")


def summary(outcome: ImportOutcome, order: Order) -> list[str]:
    """Say what a complete import has done."""
    report = outcome.report
    source = "standard input" if order.file == "-" else order.file
    done = f"Imported {_count(report.inserted, 'new event')} from {source}"
    return [f"{done} in {outcome.seconds:.1f} s; {_rest(report)}.", *_about_keys(report)]


def _committed_lines(report: ImportReport, order: Order, error: BaseException) -> list[str]:
    if not report.read:
        return ["Nothing was committed before it."]
    line = (
        f"Committed before it, and kept: {_count(report.inserted, 'new event')}; {_rest(report)}."
    )
    # With "skip", what stands before the place where a file is damaged is stored, too.
    if order.on_error == "stop" or not isinstance(error, InputDataError):
        line += " Of the batch in which it ended, nothing is kept."
    lines = [line]
    if report.without_key == 0 and order.file != "-":
        lines.append("The same command goes on from there: what is stored is left as it is.")
    return lines + _about_keys(report)


def _rest(report: ImportReport) -> str:
    skipped = f", {_count(report.skipped, 'bad line')} skipped" if report.skipped else ""
    return f"{report.already_there:,} already there{skipped}"


def _about_keys(report: ImportReport) -> list[str]:
    if not report.without_key:
        return []
    events = _count(report.without_key, "event")
    return [f"{events} without an event_key: importing the file again stores them again."]


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


@dataclass
class _BadLines:
    """Shows the first bad lines, and says once that the rest is only counted."""

    bar: Meter
    seen: int = field(default=0)

    def show(self, error: InputDataError) -> None:
        self.seen += 1
        if self.seen <= _SHOWN_BAD_LINES:
            self.bar.note(f"Skipped: {error}")
        elif self.seen == _SHOWN_BAD_LINES + 1:
            self.bar.note("Further bad lines are counted and not shown.")
