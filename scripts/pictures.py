"""Draw the pictures of the documentation: `python -m scripts.pictures`, or `make pictures`.

Each is an SVG in `docs/pictures/`, narrow enough for a telephone, on a white ground of its own. The
site writes it into its page, where `docs/site.css` gives the roles the colours of the page. The
charts are drawn from the figures in `bench/figures/` and in `docs/units_of_work.md`, which were
measured by benchmarks.
"""

from __future__ import annotations

import argparse
import html
import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Literal, TypedDict

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "docs" / "pictures"
WIDTH = 400

Role = Literal["paper", "ink", "faint", "line", "shade", "ours", "other", "white", "none"]
Anchor = Literal["start", "middle", "end"]

# Those that the page changes have a class; white text can be read on the others in both schemes.
COLOURS: Mapping[Role, str] = {
    "paper": "#ffffff",
    "ink": "#24292f",
    "faint": "#57606a",
    "line": "#8c959f",
    "shade": "#eaeef2",
    "ours": "#1f6feb",
    "other": "#6e7781",
    "white": "#ffffff",
    "none": "none",
}
OF_THE_PAGE = frozenset({"paper", "ink", "faint", "line", "shade"})


class Figures(TypedDict):
    """What `python -m bench.writes --figures` has measured.

    Attributes:
        rows: Objects in the commit.
        latency_ms: Milliseconds that each statement waited.
        rows_a_second: Of each side.
    """

    rows: int
    latency_ms: int
    rows_a_second: dict[str, float]


class LoadFigure(TypedDict):
    """Of one side, in seconds: rows that it has written, and read."""

    rows: int
    side: str
    write_s: float
    read_s: float
    requests: list[int]


class LoadFigures(TypedDict):
    """What `python -m bench.bulk --figures` has measured, with so many seconds a request."""

    latency: float
    figures: list[LoadFigure]


OBJECTS = 5
"""How many objects the picture of a commit has; `tests/integration/test_affected.py` counts."""


class Drawing:
    """An SVG that is drawn from top to bottom.

    Args:
        name: What it is called; the ids within it begin so, since a page may hold several.
        height: In units of which it is `WIDTH` wide.
    """

    def __init__(self, name: str, height: int) -> None:
        self._tip = f"{name}-tip"
        self._height = height
        self._parts: list[str] = []

    def rect(
        self, x: float, y: float, width: float, height: float, role: Role, *, round_: int = 0
    ) -> None:
        """A rectangle."""
        rx = f' rx="{round_}"' if round_ else ""
        self._parts.append(
            f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}"{rx} {_fill(role)}/>'
        )

    def text(
        self,
        x: float,
        y: float,
        *lines: str,
        role: Role = "ink",
        anchor: Anchor = "start",
        bold: bool = False,
    ) -> None:
        """Lines of text, of which the first stands on `y`."""
        weight = ' font-weight="bold"' if bold else ""
        for number, line in enumerate(lines):
            self._parts.append(
                f'<text x="{x:g}" y="{y + 17 * number:g}" text-anchor="{anchor}"{weight} '
                f"{_fill(role)}>{html.escape(line)}</text>"
            )

    def path(
        self,
        steps: str,
        role: Role = "line",
        *,
        width: float = 1.5,
        tip: bool = False,
        dashed: bool = False,
    ) -> None:
        """A line by SVG's own steps, with a tip where it is an arrow."""
        more = ' stroke-dasharray="4 4"' if dashed else ""
        more += f' marker-end="url(#{self._tip})"' if tip else ""
        stroke = f'stroke="{COLOURS[role]}"'
        stroke = f'class="{role}" {stroke}' if role in OF_THE_PAGE else stroke
        self._parts.append(
            f'<path d="{steps}" fill="none" {stroke} stroke-width="{width:g}"{more}/>'
        )

    def dot(self, x: float, y: float, *, hollow: bool = False) -> None:
        """A unit of work; a hollow one has not arrived yet."""
        fill = f'fill="none" stroke="{COLOURS["ours"]}" stroke-width="3"' if hollow else ""
        self._parts.append(
            f'<circle cx="{x:g}" cy="{y:g}" r="{5 if hollow else 6}" {fill or _fill("ours")}/>'
        )

    def svg(self) -> str:
        """The whole of it, as the text of a file."""
        head = (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {self._height}" '
            f'width="{WIDTH}" height="{self._height}" '
            'font-family="Helvetica, Arial, sans-serif" font-size="14">'
        )
        tip = (
            f'<defs><marker id="{self._tip}" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="8" '
            f'markerHeight="8" orient="auto"><path d="M0,0 L10,5 L0,10 z" {_fill("line")}/>'
            "</marker></defs>"
        )
        ground = f'<rect width="{WIDTH}" height="{self._height}" {_fill("paper")}/>'
        return "\n".join([head, tip, ground, *self._parts, "</svg>", ""])


def _fill(role: Role) -> str:
    fill = f'fill="{COLOURS[role]}"'
    return f'class="{role}" {fill}' if role in OF_THE_PAGE else fill


# --- charts ---------------------------------------------------------------------------------------


def bars(
    name: str,
    heading: Sequence[str],
    values: Sequence[tuple[str, float, Role]],
    shown: Callable[[float], str],
    scale: Callable[[float], float],
) -> str:
    """A bar for each value, below its name.

    Args:
        name: What the drawing is called.
        heading: The lines above it.
        values: Names, values, and the role of each bar.
        shown: The value as text.
        scale: Grows with the value; the longest bar has the largest.
    """
    top = 24 + 17 * len(heading)
    drawing = Drawing(name, top + 44 * len(values) + 4)
    drawing.text(10, 22, *heading)
    longest = max(scale(value) for _, value, _ in values)
    for number, (label, value, role) in enumerate(values):
        y = top + 44 * number
        width = max(scale(value) / longest * 310, 2)
        drawing.text(10, y + 10, label, role="ink" if role == "ours" else "faint")
        drawing.rect(10, y + 16, width, 16, role)
        drawing.text(width + 18, y + 29, shown(value))
    return drawing.svg()


def writes(figures: Figures, ours: str) -> str:
    """Rows a second of each side that inserts, on a logarithmic scale."""
    rates = figures["rows_a_second"]
    values: list[tuple[str, float, Role]] = [
        (side, rate, "ours" if side == ours else "other")
        for side, rate in sorted(rates.items(), key=lambda item: -item[1])
    ]
    heading = (
        f"Rows a second: {figures['rows']:,} objects in one commit,",
        f"{figures['latency_ms']} ms a statement (logarithmic)",
    )
    return bars("writes", heading, values, lambda rate: f"{rate:,.0f}", _decades)


def loads(figures: LoadFigures, ours: str) -> str:
    """Rows a second of each side that loads, on a logarithmic scale."""
    (size,) = {one["rows"] for one in figures["figures"]}
    rates = sorted(
        ((size / one["write_s"], one["side"]) for one in figures["figures"]), reverse=True
    )
    values: list[tuple[str, float, Role]] = [
        (side, rate, "ours" if side == ours else "other") for rate, side in rates
    ]
    heading = (
        f"Rows a second: {size:,} rows are loaded,",
        f"{figures['latency'] * 1000:.0f} ms a request (logarithmic)",
    )
    return bars("loads", heading, values, lambda rate: f"{rate:,.0f}", _decades)


def _decades(rate: float) -> float:
    # From 1 on: less than one row a second would have no length.
    return math.log10(max(rate, 1.0))


def held_reads(page: str) -> str:
    """What a read costs that brings along what is held, as its table has it."""
    rows = re.findall(
        r"^\| ([\w ,]+) \| ([\d.]+), [\d.]+ \| ([\d.]+), [\d.]+ \|$", page, re.MULTILINE
    )
    if not rows:
        raise SystemExit("docs/units_of_work.md has no table of reads over held writes")
    values: list[tuple[str, float, Role]] = []
    for what, carried, transaction in rows:
        values.append((f"{what}, brought along", float(carried), "ours"))
        values.append((f"{what}, in a transaction", float(transaction), "other"))
    heading = (
        "The first read by key over 1,000 held rows:",
        "times the same SELECT with nothing held",
    )
    return bars("held-reads", heading, values, lambda value: f"{value:.1f}", float)


# --- drawings -------------------------------------------------------------------------------------


def commit() -> str:
    """A commit of some objects beside time, of ours and of the vendor's."""
    bottom = 70 + 66 * OBJECTS
    drawing = Drawing("commit", bottom + 66)
    sides: tuple[tuple[int, str, Role, list[str]], ...] = (
        (30, "databricks+vinci", "ours", [f"INSERT, {OBJECTS} rows"]),
        (230, "databricks-sqlalchemy", "other", [f"INSERT, row {n + 1}" for n in range(OBJECTS)]),
    )
    for left, name, role, requests in sides:
        right = left + 140
        drawing.text(left + 70, 22, name, anchor="middle", bold=True)
        drawing.text(left, 48, "app", role="faint", anchor="middle")
        drawing.text(right, 48, "warehouse", role="faint", anchor="end")
        for x in (left, right):
            drawing.path(f"M{x},56 V{70 + 66 * len(requests)}", dashed=True)
        for number, request in enumerate(requests):
            y = 84 + 66 * number
            drawing.text(left + 70, y - 7, request, anchor="middle")
            drawing.path(f"M{left},{y} L{right - 2},{y + 14}", tip=True)
            drawing.rect(right - 4, y + 14, 8, 18, role)
            drawing.path(f"M{right},{y + 32} L{left + 2},{y + 46}", tip=True)
    drawing.text(30, 170, "All rows, or none.")
    drawing.text(30, 200, "The same statement", "checks PRIMARY KEY", "and UNIQUE.")
    drawing.text(
        10,
        bottom + 24,
        f"commit() of {OBJECTS} new objects; time goes down. On",
        "the right each row is stored when its INSERT ends.",
        role="faint",
    )
    return drawing.svg()


def fallback_states() -> str:
    """The states of the fallback, and what leads from one to the other."""
    drawing = Drawing("states", 492)
    for y, role, name, what in (
        (14, "ours", "online", "to the warehouse"),
        (190, "other", "away", "to the journal"),
        (346, "ours", "returning", "the journal is sent"),
    ):
        drawing.rect(125, y, 150, 64, "ours" if role == "ours" else "other", round_=6)
        drawing.text(200, y + 28, name, role="white", anchor="middle", bold=True)
        drawing.text(200, y + 48, what, role="white", anchor="middle")
    drawing.path("M225,78 V188", tip=True)
    drawing.text(235, 120, "a unit finds the", "warehouse away")
    drawing.path("M175,190 V80", tip=True)
    drawing.text(
        165,
        112,
        "a unit after the",
        "pause reaches it,",
        "and has sent all",
        "that waits",
        anchor="end",
    )
    drawing.path("M225,254 V344", tip=True)
    drawing.text(235, 290, "it is reached, and", "some still waits")
    drawing.path("M175,346 V256", tip=True)
    drawing.text(165, 306, "it is away again", anchor="end")
    drawing.path("M275,378 H388 V46 H277", tip=True)
    drawing.text(282, 398, "nothing waits", "any more")
    drawing.text(10, 446, "While it returns, new units queue behind the journal.", role="faint")
    drawing.text(
        10,
        463,
        "The state stands in the file: all processes of the",
        "machine that use it have the same.",
        role="faint",
    )
    return drawing.svg()


def fallback_day() -> str:
    """A day with an outage, downwards."""
    drawing = Drawing("day", 506)
    warehouse, journal = 130, 215
    drawing.rect(60, 170, 330, 180, "shade")
    drawing.text(warehouse, 22, "warehouse", anchor="middle")
    drawing.text(journal, 22, "journal", anchor="middle")
    drawing.text(328, 22, "reads come from", anchor="middle")
    drawing.path("M60,34 V470", "line")
    for y, label in ((70, "06:00"), (170, "09:14"), (350, "09:31")):
        drawing.path(f"M54,{y} H66")
        drawing.text(50, y + 5, label, anchor="end", role="faint")
    drawing.text(68, 190, "away", role="faint")
    drawing.path(f"M{warehouse},34 V170")
    drawing.path(f"M{warehouse},350 V470")
    drawing.path(f"M{journal},170 V392")
    for y in (46, 88, 112, 150, 430, 452):
        drawing.dot(warehouse, y)
    for y in (186, 220, 246, 290, 326):
        drawing.dot(journal, y, hollow=True)
    drawing.rect(warehouse - 9, 372, 18, 40, "ours", round_=9)
    drawing.path(f"M{journal},392 H{warehouse + 12}", "ours", width=2, tip=True)
    drawing.text(journal + 8, 380, "sent in order,", "each unit once")
    for y, height, role, what in (
        (34, 136, "ours", "the warehouse"),
        (170, 192, "other", "copy of 06:00"),
        (412, 58, "ours", "the warehouse"),
    ):
        drawing.rect(265, y, 126, height, "ours" if role == "ours" else "other")
        lines = (what, "and the journal") if role == "other" else (what,)
        drawing.text(328, y + height / 2 + 5, *lines, role="white", anchor="middle")
    drawing.path(f"M{warehouse + 8},70 H262", dashed=True, tip=True)
    drawing.text(150, 64, "refresh", role="faint")
    drawing.text(10, 496, "Each dot is a unit of work; a hollow one waits.", role="faint")
    return drawing.svg()


def pictures() -> dict[str, str]:
    """Each picture, by the name of its file."""
    figures = json.loads((ROOT / "bench" / "figures" / "writes.json").read_text("utf-8"))
    loaded = json.loads((ROOT / "bench" / "figures" / "loads.json").read_text("utf-8"))
    page = (ROOT / "docs" / "units_of_work.md").read_text("utf-8")
    return {
        "commit.svg": commit(),
        "fallback_day.svg": fallback_day(),
        "fallback_states.svg": fallback_states(),
        "held_reads.svg": held_reads(page),
        "loads.svg": loads(loaded, "load"),
        "writes.svg": writes(figures, "databricks+vinci"),
    }


def main() -> None:
    """Draw all of them."""
    argparse.ArgumentParser(description="Draw the pictures of the documentation.").parse_args()
    for name, drawn in pictures().items():
        (FOLDER / name).write_text(drawn, "utf-8")


if __name__ == "__main__":
    main()
