"""The report of a copy as a page: one file, which asks no other host for anything."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

from vinci_code.database.moving.reports import CopyReport, TableReport

_WIDTH, _HEIGHT, _EDGE = 640, 220, 40


def page(report: CopyReport) -> str:
    """The report as HTML."""
    title = f"Copy of {report.source}"
    parts = [
        f"<h1>{escape(title)}</h1>",
        f'<p class="{"good" if report.is_proved else "bad"}">{escape(report.verdict())}</p>',
        _facts(report),
        "<h2>Tables</h2>",
        _tables(report.tables),
        *_chart(report.timeline),
        "<h2>Proof</h2>",
        *[_proof(one) for one in report.tables],
        *_listed("Refused", report.refusals),
        *_listed("To know", report.notes),
        *_listed("Views, left out", report.views),
        *_listed("Not taken over", report.left_out),
        *_listed("In the target alone, and not compared", report.only_there),
        *_listed("Tables that refer to each other in a circle", report.cycles),
        *_listed("Foreign keys that refer to rows which are not there", report.dangling),
    ]
    body = "\n".join(parts)
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f"<title>{escape(title)}</title>\n<style>{_STYLE}</style>\n</head>\n"
        f"<body>\n{body}\n</body>\n</html>\n"
    )


def _facts(report: CopyReport) -> str:
    rows = [
        ("From", report.source),
        ("To", report.target),
        ("Begun", report.started_at),
        ("Seconds", f"{report.seconds:,.1f}"),
        ("Rows written", f"{report.rows:,}"),
    ]
    return _table((), rows)


def _tables(reports: Sequence[TableReport]) -> str:
    rows = [
        (
            one.plan.name,
            f"{one.plan.rows if one.source is None else one.source.rows:,}",
            "" if one.plan.version is None else str(one.plan.version),
            f"{one.copied:,}",
            f"{one.changed:,}",
            f"{one.deleted:,}",
            f"{one.seconds:,.1f}",
            "" if one.source is None else "equal" if one.is_proved else "NOT EQUAL",
        )
        for one in reports
    ]
    head = ("table", "rows", "version", "copied", "changed", "deleted", "seconds", "proof")
    return _table(head, rows)


def _proof(report: TableReport) -> str:
    sums = {proof.name: proof for proof in report.columns}
    rows = []
    for column in report.plan.columns:
        proof = sums.get(column.name)
        found = ("", "", "")
        if proof is not None:
            verdict = "equal" if proof.is_equal else f"NOT EQUAL: {proof.target[1]}"
            found = (f"{proof.source[0]:,}", str(proof.source[1]), verdict)
        types = f"{column.source_type} → {column.target_type}"
        rows.append((column.name, types, *found, "; ".join(column.notes)))
    head = ("column", "type", "values", "checksum", "target", "decisions")
    summary = f"<summary>{escape(report.plan.name)}</summary>"
    opened = "" if report.is_proved else " open"
    return f"<details{opened}>{summary}{_table(head, rows)}</details>"


def _chart(timeline: Sequence[tuple[float, int]]) -> list[str]:
    """Rows over time, as a line."""
    if len(timeline) < 2:
        return []
    longest = max(at for at, _ in timeline) or 1
    most = max(rows for _, rows in timeline) or 1
    points = " ".join(
        f"{_EDGE + at / longest * (_WIDTH - 2 * _EDGE):.1f},"
        f"{_HEIGHT - _EDGE - rows / most * (_HEIGHT - 2 * _EDGE):.1f}"
        for at, rows in timeline
    )
    floor, right = _HEIGHT - _EDGE, _WIDTH - _EDGE
    axes = f'<path d="M{_EDGE} {_EDGE} V{floor} H{right}" class="axis"/>'
    labels = (
        f'<text x="{_EDGE}" y="{_EDGE - 8}">{most:,} rows</text>'
        f'<text x="{right}" y="{floor + 20}" text-anchor="end">{longest:,.1f} s</text>'
    )
    line = f'<polyline points="{points}" class="line"/>'
    opened = f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" width="{_WIDTH}" role="img"'
    picture = f'{opened} aria-label="Rows over time">{axes}{line}{labels}</svg>'
    return ["<h2>Rows over time</h2>", picture]


def _listed(title: str, lines: Sequence[str]) -> list[str]:
    if not lines:
        return []
    return [f"<h2>{escape(title)}</h2>", f"<ul>{_joined('li', lines)}</ul>"]


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    top = f"<tr>{_joined('th', head)}</tr>" if head else ""
    lines = [f"<tr>{_joined('td', row)}</tr>" for row in rows]
    return f"<table>{top}{''.join(lines)}</table>"


def _joined(tag: str, texts: Iterable[str]) -> str:
    return "".join(f"<{tag}>{escape(text)}</{tag}>" for text in texts)


_STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;max-width:70rem;margin:2rem auto;padding:0 1rem;"
    "color:#222;background:#fff}table{border-collapse:collapse;margin:.5rem 0}"
    "td,th{border:1px solid #ccc;padding:.2rem .6rem;text-align:left;vertical-align:top}"
    ".good{color:#176117;font-weight:600}.bad{color:#a11;font-weight:600}"
    "svg .axis{fill:none;stroke:#888}svg .line{fill:none;stroke:#2457c5;stroke-width:2}"
    "svg text{font-size:12px;fill:#555}"
)
