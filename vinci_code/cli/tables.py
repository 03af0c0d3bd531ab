"""Tables and bar charts for the terminal."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from vinci_code.cli.output import blocks, line_width, page_width, render, say, shown

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text

_WIDEST = 24
"""The most characters of a label or a narrow column; somebody may have pasted a book there."""


def print_table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print a table in which nothing is cut off, nor broken: what is copied of it is whole.

    Where the lines of a terminal have too little room for it, each cell stands on a line of its
    own, which the terminal breaks by itself.

    Args:
        header: The columns' names.
        rows: The cells, in the order of the columns.
    """
    from rich.table import Table
    from rich.text import Text

    cells = [[Text(shown(cell)) for cell in row] for row in rows]
    columns = list(zip(header, *cells, strict=True))
    widths = [max(len(name), *(cell.cell_len for cell in column)) for name, *column in columns]
    room = line_width()
    if room is not None and sum(widths) + 2 * len(widths) > room:
        for first, *others in cells:
            say(first.plain)
            for name, cell in zip(header[1:], others, strict=True):
                say(f"  {name}: {cell.plain}")
        return
    result = Table(box=None, header_style="bold", pad_edge=False, padding=(0, 2, 0, 0))
    for name, width in zip(header, widths, strict=True):
        result.add_column(name, no_wrap=True, width=width)
    for row in cells:
        result.add_row(*row)
    render(result, wide_if_piped=True)


def one_line_table(
    header: Sequence[str], rows: Sequence[Sequence[object]], room: int | None
) -> Table:
    """Lay out a table of one line a row; where there is no room, the last column is cut off.

    Args:
        header: The columns' names.
        rows: The cells, in the order of the columns.
        room: How many characters a line may have; ``None`` if there is no limit.
    """
    from rich.table import Table
    from rich.text import Text

    # Rich would take room from all columns alike, and half a number is none.
    columns = list(zip(header, *([Text(shown(cell)) for cell in row] for row in rows), strict=True))
    result = Table(box=None, header_style="bold", pad_edge=False, padding=(0, 2, 0, 0))
    for position, (name, *cells) in enumerate(columns):
        width = max([len(name), *(cell.cell_len for cell in cells)])
        if room is not None and position == len(columns) - 1:
            width = min(width, max(len(name), room))
        else:
            width = min(width, _WIDEST) if room is not None else width
            room = room and room - width - 2
        result.add_column(name, no_wrap=True, overflow="ellipsis", width=width)
    for row in zip(*(cells for _, *cells in columns), strict=True):
        result.add_row(*row)
    return result


def bar_chart(counts: Mapping[object, int]) -> Text:
    """Draw one bar a line: label, bar, number; the longest fills the line."""
    from rich.text import Text

    text = Text(no_wrap=True)
    if not counts:
        return text
    labels = {label: _shortened(shown(label)) for label in counts}
    label_width = max(map(len, labels.values()))
    number_width = max(len(f"{count:,}") for count in counts.values())
    room = max(1, page_width() - label_width - number_width - 4)
    largest = max(counts.values())
    for label, count in counts.items():
        text.append(f"{labels[label]:<{label_width}}  ", style="dim")
        text.append(f"{_bar(count, largest, room):<{room}}", style="cyan")
        text.append(f"  {count:>{number_width},}\n")
    text.right_crop(1)
    return text


def _shortened(label: str) -> str:
    return label if len(label) <= _WIDEST else f"{label[: _WIDEST - 1]}…"


def _bar(count: int, largest: int, room: int) -> str:
    parts = blocks()
    # At least the smallest part: something is not nothing.
    eighths = max(1, round(count * room * len(parts) / largest)) if count > 0 else 0
    full, rest = divmod(eighths, len(parts))
    return parts[-1] * full + (parts[rest - 1] if rest else "")
