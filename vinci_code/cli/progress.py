"""The progress bar: on standard error, and only where somebody looks at it."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from vinci_code.cli.output import error_console, is_terminal, shown, tell

if TYPE_CHECKING:
    from rich.progress import Progress, ProgressColumn


class Meter(Protocol):
    """Where the work tells how far it is."""

    def moved(self, rows: int, done: int) -> None:
        """Show ``rows`` as the count, and ``done`` of the total as the length of the bar."""

    def note(self, text: str) -> None:
        """Print a line on standard error without breaking the bar."""


@contextmanager
def meter(what: str, total: int | None, *, silent: bool = False) -> Iterator[Meter]:
    """Show a bar while the work goes on.

    Args:
        what: A word in front of the bar.
        total: What ``done`` will be at the end; ``None`` where it is not known.
        silent: Show nothing, even in a terminal.
    """
    if silent or not is_terminal(sys.stderr):
        yield _NoBar()
        return
    from rich.progress import Progress

    bar = Progress(
        *_columns(time_left=total is not None),
        console=error_console(),
        redirect_stdout=False,
        redirect_stderr=False,
    )
    with bar:
        yield _Bar(bar, what, total)


class _NoBar:
    def moved(self, rows: int, done: int) -> None:
        pass

    def note(self, text: str) -> None:
        tell(text)


class _Bar:
    def __init__(self, bar: Progress, what: str, total: int | None) -> None:
        self._bar = bar
        self._started = time.monotonic()
        self._task = bar.add_task(what, total=total, rows="0", rate="")

    def moved(self, rows: int, done: int) -> None:
        rate = rows / max(time.monotonic() - self._started, 1e-6)
        self._bar.update(self._task, completed=done, rows=f"{rows:,}", rate=f"{rate:,.0f}/s")

    def note(self, text: str) -> None:
        self._bar.console.print(shown(text), highlight=False, markup=False, soft_wrap=True)


def _columns(*, time_left: bool) -> list[ProgressColumn]:
    from rich.progress import BarColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    columns: list[ProgressColumn] = [
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        TextColumn("{task.fields[rows]} rows"),
        TextColumn("{task.fields[rate]}"),
    ]
    if time_left:
        return [*columns, TimeRemainingColumn(), TextColumn("left")]
    return [*columns, TimeElapsedColumn()]
