"""The query history: which statements there were, what became of them, and what tags they had.

``GET /api/2.0/sql/history/queries``
(https://docs.databricks.com/api/workspace/queryhistory/list): newest first, page by page, filtered
by warehouse, time, status, statement and user. Parameters and fields have the names that
databricks-sdk-py gives them (``QueryFilter``, ``QueryInfo``, ``ListQueriesResponse``). Who does not
own the warehouse sees the own statements alone, as users without a permission on it do
(https://docs.databricks.com/aws/en/sql/user/queries/query-history).

An entry is final when the engine has left its statement, and says then what really became of it: a
statement that was cancelled while it was being committed has FINISHED if the commit came first.
"""

from __future__ import annotations

import base64
import binascii
import math
import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from vinci_code.warehouse.engine.query_tags import QueryTags
from vinci_code.warehouse.sql.errors import SqlError
from vinci_code.warehouse.sql.parse import QUERY_WORDS, first_word
from vinci_code.warehouse.wire.rest import error_answer, json_answer
from vinci_code.warehouse.wire.server import HttpAnswer, Request
from vinci_code.warehouse.wire.users import is_owner, user_id

QUEUED, RUNNING = "QUEUED", "RUNNING"
FINISHED, FAILED, CANCELED = "FINISHED", "FAILED", "CANCELED"
STATUSES = frozenset(
    {QUEUED, "STARTED", "COMPILING", "COMPILED", RUNNING, FINISHED, FAILED, CANCELED}
)

ENTRIES = 10_000
"""How many statements are remembered; the oldest are forgotten first."""

TEXT_BYTES = 32 * 1024 * 1024
"""How much text of statements is remembered altogether."""

_DEFAULT_PAGE, _LARGEST_PAGE = 100, 999
_LONGEST_RANGE_MS = 30 * 24 * 3600 * 1000
_FILTER = "filter_by."
_LISTS = ("warehouse_ids", "statuses", "statement_ids", "user_ids")
_START, _END = (f"{_FILTER}query_start_time_range.{end}_time_ms" for end in ("start", "end"))
_KNOWN = frozenset(
    {"max_results", "page_token", "include_metrics", _START, _END}
    | {f"{_FILTER}{name}" for name in _LISTS}
)
# What ``QueryStatementType`` of the SDK names.
_TYPES = frozenset(
    (
        "ALTER", "ANALYZE", "COPY", "CREATE", "DELETE", "DESCRIBE", "DROP", "EXPLAIN", "GRANT",
        "INSERT", "MERGE", "OPTIMIZE", "REFRESH", "REPLACE", "REVOKE", "SELECT", "SET", "SHOW",
        "TRUNCATE", "UPDATE", "USE",
    )
)  # fmt: skip


@dataclass(eq=False)
class HistoryEntry:
    """One statement.

    Attributes:
        query_id: The operation, as the driver prints it.
        text: The statement.
        tags: Its query tags, those of its session among them.
        session_id: Its session.
        user: Who ran it.
        client: The program that sent it, by its ``User-Agent``.
        shown_from: From when on it is shown, in seconds since the epoch; infinite for never.
        number: Its place in the order of arrival.
        started: When it arrived, in seconds since the epoch.
        status: One of ``STATUSES``.
        ended: When the engine had done with it; ``None`` while it runs.
        error: What went wrong.
        rows: How many rows it gave back; ``None`` where nobody has counted them.
        began: When the engine began with it; ``None`` while it waits for its turn.
    """

    query_id: str
    text: str
    tags: QueryTags
    session_id: str
    user: str
    client: str
    shown_from: float = 0.0
    number: int = 0
    started: float = field(default_factory=time.time)
    status: str = QUEUED
    ended: float | None = None
    error: str | None = None
    rows: int | None = None
    began: float | None = None

    def running(self) -> None:
        """Note that the engine has begun with it."""
        self.began = time.time()
        self.status = RUNNING

    def end(self, status: str, *, error: str | None = None, rows: int | None = None) -> None:
        """Note what became of it."""
        self.error, self.rows = error, rows
        self.ended = time.time()
        self.status = status

    def as_json(self, warehouse_id: str, *, metrics: bool) -> dict[str, object]:
        """The entry as it is answered; fields without a value are left out."""
        started, ended = _milliseconds(self.started), _milliseconds(self.ended)
        status = self.status
        took = None if ended is None or started is None else ended - started
        fields: dict[str, object | None] = {
            "query_id": self.query_id,
            "status": status,
            "is_final": self.ended is not None,
            "query_text": self.text,
            "statement_type": self._type,
            "session_id": self.session_id,
            "warehouse_id": warehouse_id,
            "endpoint_id": warehouse_id,
            "user_id": user_id(self.user),
            "user_name": self.user,
            "executed_as_user_id": user_id(self.user),
            "executed_as_user_name": self.user,
            "client_application": self.client or None,
            "query_start_time_ms": started,
            "execution_end_time_ms": ended,
            "query_end_time_ms": ended,
            "duration": took,
            "error_message": self.error,
            "rows_produced": self.rows if status == FINISHED else None,
            "query_tags": [_tag(key, value) for key, value in self.tags.items()] or None,
            "metrics": self._metrics(took) if metrics else None,
        }
        return {name: value for name, value in fields.items() if value is not None}

    def _metrics(self, took: int | None) -> dict[str, int]:
        """What was measured, by the names of ``QueryMetrics``; the rest is left out."""
        arrived, began, ended = map(_milliseconds, (self.started, self.began, self.ended))
        waited = arrived is not None and began is not None and began > arrived
        found = {
            "total_time_ms": took or 0,
            "execution_time_ms": None if ended is None or began is None else ended - began,
            "overloading_queue_start_timestamp": arrived if waited else None,
            "query_compilation_start_timestamp": began,
            "rows_produced_count": self.rows if self.status == FINISHED else None,
        }
        return {name: value for name, value in found.items() if value is not None}

    @property
    def _type(self) -> str:
        try:
            word = first_word(self.text)
        except SqlError:
            return "OTHER"
        if word in QUERY_WORDS:
            return "SELECT"
        return word if word in _TYPES else "OTHER"


@dataclass(frozen=True)
class _HistoryRequest:
    """What is asked for."""

    page: int
    before: float
    metrics: bool
    earliest: float
    latest: float
    filters: dict[str, frozenset[str]]

    def wants(self, entry: HistoryEntry, warehouse_id: str, now: float) -> bool:
        """Whether an entry is to be shown."""
        found = {
            "warehouse_ids": warehouse_id,
            "statuses": entry.status,
            "statement_ids": entry.query_id,
            "user_ids": str(user_id(entry.user)),
        }
        return (
            entry.shown_from <= now
            and entry.number < self.before
            and self.earliest <= entry.started * 1000 <= self.latest
            and all(found[name] in wanted for name, wanted in self.filters.items())
        )


class QueryHistory:
    """Remembers statements, and answers who asks for them; safe to use from several threads.

    Args:
        warehouse_id: The warehouse that all of them ran on.
        entries: How many are remembered.
        text_bytes: How much text of them is remembered altogether.
    """

    def __init__(
        self, warehouse_id: str, entries: int = ENTRIES, text_bytes: int = TEXT_BYTES
    ) -> None:
        self._warehouse_id = warehouse_id
        self._most = entries
        self._most_text = text_bytes
        self._lock = threading.Lock()
        self._entries: deque[HistoryEntry] = deque()
        self._text = 0
        self._count = 0

    def __len__(self) -> int:
        with self._lock:
            return len(self._entries)

    def begin(self, entry: HistoryEntry) -> None:
        """Remember a statement that has arrived."""
        with self._lock:
            self._count += 1
            entry.number = self._count
            self._entries.append(entry)
            self._text += len(entry.text)
            while len(self._entries) > self._most or (
                self._text > self._most_text and len(self._entries) > 1
            ):
                self._text -= len(self._entries.popleft().text)

    def answer(self, request: Request) -> HttpAnswer:
        """Answer ``GET /api/2.0/sql/history/queries``."""
        try:
            question = _question(request.query)
        except ValueError as error:
            return error_answer(400, "INVALID_PARAMETER_VALUE", str(error))
        now = time.time()
        with self._lock:
            entries = list(self._entries)
        wanted = [
            entry
            for entry in reversed(entries)
            if (is_owner(request.user) or entry.user == request.user)
            and question.wants(entry, self._warehouse_id, now)
        ]
        page = wanted[: question.page]
        more = len(wanted) > len(page)
        answer: dict[str, object] = {
            "has_next_page": more,
            "res": [entry.as_json(self._warehouse_id, metrics=question.metrics) for entry in page],
        }
        if more:
            answer["next_page_token"] = _token(page[-1].number)
        return json_answer(answer)


def _question(parameters: Sequence[tuple[str, str]]) -> _HistoryRequest:
    """What the parameters of a request ask for.

    Raises:
        ValueError: They cannot be understood.
    """
    unknown = sorted({name for name, _ in parameters} - _KNOWN)
    if unknown:
        raise ValueError(f"unknown parameter {unknown[0][:100]!a}")
    given = dict(parameters)
    page = _number(given, "max_results", _DEFAULT_PAGE)
    if not 1 <= page <= _LARGEST_PAGE:
        raise ValueError("max_results must be less than 1000 and greater than 0")
    earliest, latest = _number(given, _START, 0), _number(given, _END, math.inf)
    if earliest and latest != math.inf and latest - earliest > _LONGEST_RANGE_MS:
        raise ValueError("query_start_time_range must not be longer than 30 days")
    token = given.get("page_token")
    filters = {
        name: frozenset(value for key, value in parameters if key == f"{_FILTER}{name}")
        for name in _LISTS
        if f"{_FILTER}{name}" in given
    }
    strange = sorted(filters.get("statuses", frozenset()) - STATUSES)
    if strange:
        raise ValueError(f"unknown status {strange[0][:100]!a}")
    metrics = given.get("include_metrics", "false") == "true"
    before = math.inf if token is None else _place(token)
    return _HistoryRequest(int(page), before, metrics, earliest, latest, filters)


def _number(given: dict[str, str], name: str, default: float) -> float:
    text = given.get(name)
    if text is None:
        return default
    if not (text.isascii() and text.isdigit() and len(text) < 16):
        raise ValueError(f"{name} must be a whole number, found {text[:100]!a}")
    return int(text)


def _token(number: int) -> str:
    # With characters that have to be encoded in a URL, as the documentation warns of.
    return base64.b64encode(f">>?{number}".encode()).decode()


def _place(token: str) -> int:
    try:
        text = base64.b64decode(token, validate=True).decode()
        return int(text.removeprefix(">>?"))
    except (binascii.Error, UnicodeDecodeError, ValueError) as error:
        raise ValueError("page_token is none that was given out") from error


def _tag(key: str, value: str | None) -> dict[str, str]:
    return {"key": key} if value is None else {"key": key, "value": value}


def _milliseconds(seconds: float | None) -> int | None:
    return None if seconds is None else int(seconds * 1000)
