"""One statement that the warehouse ran, as its query history tells of it.

The fields are those of ``QueryInfo`` and ``QueryMetrics`` in databricks-sdk-py
(https://docs.databricks.com/api/workspace/queryhistory/list). A field that is missing, or is not
what it is documented to be, is not known: it is ``None``, and never 0.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from vinci_code.core.printable import on_one_line
from vinci_code.core.redaction import redact
from vinci_code.database.dialect.driver.query_history import UNIT_TAG
from vinci_code.database.dialect.text.scanning import parts_of

FINISHED, FAILED, CANCELED = "FINISHED", "FAILED", "CANCELED"

TEXT_SHOWN = 100
"""The most characters of a statement's text that are shown."""

ERROR_SHOWN = 300
"""The most characters of an error message that are shown."""

# Of a longer text no more is looked at: what stands behind it is not shown.
_LOOKED_AT = 4 * TEXT_SHOWN
_LITERAL, _NUMBER = "'…'", "…"
# At its beginning: what stands in brackets further down may be a value.
_CLASS = re.compile(r"\s*(?:Error running query: )?\[([A-Z][A-Z0-9_]*(?:\.[A-Z][A-Z0-9_]*)?)\]")
_SQLSTATE = re.compile(r"SQLSTATE: ([0-9A-Z]{5})\b")
_LARGEST = 2**63 - 1


@dataclass(frozen=True)
class RanStatement:
    """One statement; what the history does not tell is ``None``.

    Attributes:
        statement_id: Its id, by which the workspace finds it.
        status: ``QUEUED``, ``STARTED``, ``COMPILING``, ``COMPILED``, ``RUNNING``, ``FINISHED``,
            ``FAILED`` or ``CANCELED``.
        is_final: Whether nothing more will become of it.
        kind: What it is: ``SELECT``, ``MERGE`` …
        started: When it arrived, in UTC.
        ended: When the warehouse had done with it, the fetching of its rows included, in UTC.
        duration_ms: Milliseconds from its arrival to the end of its execution.
        compute_wait_ms: Of these, those in which it waited for compute: a warehouse that started.
        queued_ms: Of these, those in which it waited because the warehouse was busy.
        execution_ms: Of these, those in which it was executed.
        rows: How many rows it gave back.
        bytes_read: How many bytes it read.
        tags: Its query tags; a tag may have no value.
        session_id: Its session.
        user: Who ran it.
        user_id: The id of the user.
        client: The program that sent it.
        warehouse_id: Where it ran.
        text: Its text, which may hold values; see ``shown_text``.
        error: What went wrong, which may hold values.
    """

    statement_id: str | None = None
    status: str | None = None
    is_final: bool = False
    kind: str | None = None
    started: dt.datetime | None = None
    ended: dt.datetime | None = None
    duration_ms: int | None = None
    compute_wait_ms: int | None = None
    queued_ms: int | None = None
    execution_ms: int | None = None
    rows: int | None = None
    bytes_read: int | None = None
    tags: Mapping[str, str | None] = field(default_factory=dict)
    session_id: str | None = None
    user: str | None = None
    user_id: str | None = None
    client: str | None = None
    warehouse_id: str | None = None
    text: str | None = field(default=None, repr=False)
    error: str | None = field(default=None, repr=False)

    @property
    def unit(self) -> str | None:
        """The unit of work that it was sent by: the value of the tag ``vinci_unit``."""
        return self.tags.get(UNIT_TAG)

    @property
    def error_class(self) -> str | None:
        """The name of the condition that it failed with: ``TABLE_OR_VIEW_NOT_FOUND``."""
        found = _CLASS.match(self.error or "")
        return None if found is None else found.group(1)

    @property
    def sqlstate(self) -> str | None:
        """The SQLSTATE that it failed with."""
        found = _SQLSTATE.search(self.error or "")
        return None if found is None else found.group(1)


def read_entry(entry: Mapping[str, Any]) -> RanStatement:
    """A statement from its entry of the history, whatever stands in the fields."""
    metrics = entry.get("metrics")
    measured: Mapping[str, Any] = metrics if isinstance(metrics, dict) else {}
    started = _number(entry, "query_start_time_ms")
    ended = _number(entry, "query_end_time_ms")
    if ended is None:
        ended = _number(entry, "execution_end_time_ms")
    duration = _number(entry, "duration")
    if duration is None and started is not None and ended is not None:
        duration = max(ended - started, 0)
    provisioning = _number(measured, "provisioning_queue_start_timestamp")
    overloading = _number(measured, "overloading_queue_start_timestamp")
    compiled = _number(measured, "query_compilation_start_timestamp")
    user_id = _number(entry, "user_id")
    return RanStatement(
        statement_id=_text(entry, "query_id"),
        status=_text(entry, "status"),
        is_final=entry.get("is_final") is True,
        kind=_text(entry, "statement_type"),
        started=_moment(started),
        ended=_moment(ended),
        duration_ms=duration,
        # It waits for compute first, for its turn then, and is compiled when both are over.
        compute_wait_ms=_between(provisioning, compiled if overloading is None else overloading),
        queued_ms=_between(overloading, compiled),
        execution_ms=_number(measured, "execution_time_ms"),
        rows=_first(_number(entry, "rows_produced"), _number(measured, "rows_produced_count")),
        bytes_read=_number(measured, "read_bytes"),
        tags=_tags(entry.get("query_tags")),
        session_id=_text(entry, "session_id"),
        user=_text(entry, "user_name"),
        user_id=None if user_id is None else str(user_id),
        client=_text(entry, "client_application"),
        warehouse_id=_text(entry, "warehouse_id") or _text(entry, "endpoint_id"),
        text=_text(entry, "query_text"),
        error=_text(entry, "error_message"),
    )


def shown_text(text: str | None) -> str:
    """The beginning of a statement's text on one line, without values and without secrets.

    Texts in quotes and numbers are values, and an ellipsis stands in their place; names are shown.
    """
    if text is None:
        return ""
    cut = len(text) > _LOOKED_AT
    shown = " ".join(_without_values(text[:_LOOKED_AT]))
    shown = re.sub(r" ?([(),.;]) ?", _closer, shown).strip()
    return _shortened(redact(on_one_line(shown)), TEXT_SHOWN, more=cut)


def shown_error(error: str | None) -> str:
    """The beginning of an error message on one line, without secrets; it may hold values."""
    if error is None:
        return ""
    # Redacted before it is cut: a part of a secret is none that is known.
    return _shortened(redact(on_one_line(" ".join(error.split()))), ERROR_SHOWN)


def page_of(host: str, statement_id: str, workspace: str = "") -> str:
    """The address of a statement's page in *Query History* of the workspace.

    Args:
        host: The workspace, with its port where that is not 443.
        statement_id: The statement.
        workspace: The workspace's id, where several are on one host.
    """
    address = f"https://{host}/sql/history?queryId={quote(statement_id, safe='')}"
    return f"{address}&o={quote(workspace, safe='')}" if workspace else address


def _without_values(text: str) -> list[str]:
    parts = []
    for part in parts_of(text):
        if part.kind == "literal":
            parts.append(_LITERAL)
        elif part.kind == "other" and part.text[0].isdigit():
            parts.append(_NUMBER)
        else:
            parts.append(part.text)
    return parts


def _closer(sign: re.Match[str]) -> str:
    """A sign as it is usually written among words."""
    return {",": ", ", ")": ") ", ";": "; "}.get(sign.group(1), sign.group(1))


def _shortened(text: str, most: int, *, more: bool = False) -> str:
    return f"{text[: most - 1]}…" if len(text) > most or (more and text) else text


def _text(entry: Mapping[str, Any], name: str) -> str | None:
    value = entry.get(name)
    return value if isinstance(value, str) and value else None


def _number(entry: Mapping[str, Any], name: str) -> int | None:
    value = entry.get(name)
    if isinstance(value, bool) or not isinstance(value, int):
        return None
    return value if 0 <= value <= _LARGEST else None


def _first(*numbers: int | None) -> int | None:
    return next((number for number in numbers if number is not None), None)


def _between(begin: int | None, end: int | None) -> int | None:
    return None if begin is None or end is None else max(end - begin, 0)


def _moment(milliseconds: int | None) -> dt.datetime | None:
    if milliseconds is None:
        return None
    try:
        return _EPOCH + dt.timedelta(milliseconds=milliseconds)
    except OverflowError:
        return None


_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.timezone.utc)


def _tags(listed: object) -> dict[str, str | None]:
    found: dict[str, str | None] = {}
    for tag in listed if isinstance(listed, list) else ():
        key = tag.get("key") if isinstance(tag, dict) else None
        if isinstance(key, str) and key:
            value = tag.get("value")
            found[key] = value if isinstance(value, str) else None
    return found
