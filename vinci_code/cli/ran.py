"""Statements that the warehouse ran, for people and for machines."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

from vinci_code.cli.output import print_document, say, shown

if TYPE_CHECKING:
    from vinci_code.database.databricks_connector import DatabricksConnector
    from vinci_code.diagnostics.query_history import Found, HistoryQuestion
    from vinci_code.diagnostics.ran import RanStatement

_TAG_SHOWN = 60
_TAGS_SHOWN = 8


def show_statements(
    connector: DatabricksConnector, question: HistoryQuestion, *, as_json: bool
) -> None:
    """Look for statements, and print them.

    Raises:
        DatabricksConnectionError: The query history could not be asked.
    """
    from vinci_code.diagnostics.query_history import list_statements

    found = list_statements(connector, question)
    if as_json:
        print_document(_document(connector, question, found))
        return
    for ran in found.statements:
        say(_lines(connector, ran))
    say(_summary(question, found))


def instant(moment: dt.datetime | None) -> str | None:
    """A time for machines, in UTC."""
    if moment is None:
        return None
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def duration(milliseconds: float | None) -> str:
    """A duration for people."""
    if milliseconds is None:
        return "?"
    if milliseconds < 1000:
        return f"{milliseconds:.0f} ms"
    if milliseconds < 120_000:
        return f"{milliseconds / 1000:.1f} s"
    if milliseconds < 7_200_000:
        return f"{milliseconds / 60_000:.1f} min"
    return f"{milliseconds / 3_600_000:.1f} h"


def _document(
    connector: DatabricksConnector, question: HistoryQuestion, found: Found
) -> dict[str, Any]:
    from vinci_code.core.config.normalise import warehouse_id_of

    return {
        "warehouse_id": warehouse_id_of(connector.http_path),
        "user_id": question.user_id,
        "since": instant(question.since),
        "looked_at": found.looked_at,
        "is_whole": found.is_whole,
        "statements": [record_of(connector, ran) for ran in found.statements],
    }


def record_of(connector: DatabricksConnector, ran: RanStatement) -> dict[str, Any]:
    """A statement for a machine; its text without values."""
    from vinci_code.diagnostics.ran import shown_error, shown_text

    return {
        "statement_id": ran.statement_id,
        "page": _page(connector, ran),
        "started": instant(ran.started),
        "ended": instant(ran.ended),
        "status": ran.status,
        "is_final": ran.is_final,
        "kind": ran.kind,
        "duration_ms": ran.duration_ms,
        "execution_ms": ran.execution_ms,
        "compute_wait_ms": ran.compute_wait_ms,
        "queued_ms": ran.queued_ms,
        "rows": ran.rows,
        "bytes_read": ran.bytes_read,
        "unit": ran.unit,
        "tags": dict(ran.tags),
        "user": ran.user,
        "client": ran.client,
        "session_id": ran.session_id,
        "text": shown_text(ran.text),
        "error_class": ran.error_class,
        "sqlstate": ran.sqlstate,
        "error": shown_error(ran.error) or None,
    }


def _page(connector: DatabricksConnector, ran: RanStatement) -> str | None:
    from vinci_code.diagnostics.asking import workspace_of
    from vinci_code.diagnostics.ran import page_of

    if ran.statement_id is None:
        return None
    return page_of(str(connector.target), ran.statement_id, workspace_of(connector))


def _lines(connector: DatabricksConnector, ran: RanStatement) -> str:
    from vinci_code.diagnostics.ran import shown_error, shown_text

    began = "at no known time" if ran.started is None else f"{ran.started:%Y-%m-%d %H:%M:%S}"
    parts = [
        ("executed", ran.execution_ms),
        ("waited for compute", ran.compute_wait_ms),
        ("queued", ran.queued_ms),
    ]
    inner = ", ".join(f"{word} {duration(spent)}" for word, spent in parts if spent is not None)
    counts = [
        *([] if ran.rows is None else [f"{ran.rows:,} row{'' if ran.rows == 1 else 's'}"]),
        *([] if ran.bytes_read is None else [f"{ran.bytes_read:,} bytes read"]),
    ]
    head = "  ".join(
        [
            began,
            shown(ran.status or "?"),
            duration(ran.duration_ms) + (f" ({inner})" if inner else ""),
            *counts,
        ]
    )
    text = shown_text(ran.text)
    lines = [head, f"  {shown(text) if text else '(its text is not shown)'}"]
    if ran.error is not None:
        lines.append(f"  error: {shown(shown_error(ran.error))}")
    if ran.tags:
        lines.append(f"  {_tags(ran)}")
    lines.append(f"  statement {shown(ran.statement_id or '?')} of {shown(ran.user or '?')}")
    page = _page(connector, ran)
    if page is not None:
        lines.append(f"  {shown(page)}")
    return "\n".join(lines)


def _tags(ran: RanStatement) -> str:
    """The unit and the tags, each of them short enough for a line."""
    from vinci_code.database.dialect.driver.query_history import OWN_TAGS

    others = {name: value for name, value in ran.tags.items() if name not in OWN_TAGS}
    words = [] if ran.unit is None else [f"unit {_cut(ran.unit)}"]
    if others:
        listed = [
            _cut(name) if value is None else f"{_cut(name)}={_cut(value)}"
            for name, value in list(others.items())[:_TAGS_SHOWN]
        ]
        more = len(others) - len(listed)
        words.append(f"tags {', '.join(listed)}{f' and {more} more' if more else ''}")
    return "; ".join(words)


def _cut(text: str) -> str:
    short = shown(text)  # whole first: a part of a secret is none that is known
    return short if len(short) <= _TAG_SHOWN else f"{short[: _TAG_SHOWN - 1]}…"


def _summary(question: HistoryQuestion, found: Found) -> str:
    count = len(found.statements)
    what = f"{count:,} statement{'' if count == 1 else 's'}"
    looked = f"of {found.looked_at:,} that were looked at"
    begin = f"{question.since:%Y-%m-%d %H:%M} UTC"
    if found.is_whole:
        return f"{what}, {looked}, since {begin}."
    reached = "" if found.reached is None else f", back to {found.reached:%Y-%m-%d %H:%M} UTC"
    return f"{what}, {looked}{reached}; there are more since {begin}: see --limit and --since."
