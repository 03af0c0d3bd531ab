"""What the warehouse's query history says of a statement that was tagged.

``GET /api/2.0/sql/history/queries`` (https://docs.databricks.com/api/workspace/queryhistory/list;
fields as of ``QueryInfo`` in databricks-sdk-py): the statements of a warehouse, newest first, each
with its query tags, its status, and whether that is final. It is asked over the connection's own
way: same host, certificates, proxy and credentials.

How soon a statement appears there is not documented, nor that every user may ask, so neither is
relied on: it is asked again until it is certain or the time is up, and that a statement is not
there says nothing.
"""

from __future__ import annotations

import json
import random
import re
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from enum import Enum
from typing import Any
from urllib.parse import urlencode

from vinci_code.database.dialect.dberrors import Error
from vinci_code.database.dialect.driver.transport import Answer
from vinci_code.database.dialect.driver.waiting import seconds_in
from vinci_code.database.dialect.interruptions import is_from_signal

UNIT_TAG = "vinci_unit"
"""The query tag that holds the identity of the unit of work that a statement belongs to."""

TAG = "vinci_commit"
"""The query tag that holds the identity of a commit."""

OWN_TAGS = frozenset({TAG, UNIT_TAG})
"""The query tags of the dialect, which an application gives no statement."""

TIMEOUT = 30.0
"""Seconds that the history is asked, unless something else is asked for."""

Get = Callable[[str, float], Answer]
"""Asks the workspace for a path, within so many seconds."""

_PATH = "/api/2.0/sql/history/queries"
# C/session.py of the driver; clusters, which have other paths, have no history that can be asked.
_WAREHOUSE = re.compile(r"/?sql/1\.0/(?:warehouses|endpoints)/([^?&/]+)")

_FIRST_PAUSE, _LONGEST_PAUSE = 0.2, 5.0
_JITTER = 0.1
_LONGEST_REQUEST = 20.0
# What two clocks may differ by: before the workspace has given its own, and after, when it is the
# time that a request takes and the second that a Date header is rounded to.
_MARGIN, _MARGIN_OF_KNOWN = 600.0, 60.0
_PAGE = 100
_OK, _NOT_YET = 200, frozenset({408, 425, 429})


class Fate(Enum):
    """What became of a statement."""

    FINISHED = "it was executed"
    NOT_EXECUTED = "it has ended without any effect"
    UNKNOWN = "not known"


@dataclass(frozen=True)
class Verdict:
    """What the history says.

    Attributes:
        fate: What became of the statement.
        reason: In words: what it failed with, or why nothing is known.
        failed: Whether it failed by itself, and was not cancelled.
    """

    fate: Fate
    reason: str
    failed: bool = False


@dataclass(frozen=True)
class Sought:
    """The statement that is looked for.

    Attributes:
        identity: The value of its tag.
        word: The word that it begins with. A statement within a block may have the block's tags.
        sent_at: When it was sent, in seconds since the epoch by this machine's clock.
        copies: How many times it was sent at most, refused ones included.
    """

    identity: str
    word: str
    sent_at: float
    copies: int = 1


def ask(
    get: Get, http_path: str, sought: Sought, timeout: float, *, patient: bool = True
) -> Verdict:
    """Ask until it is certain what became of a statement, or ``timeout`` seconds are over.

    Where the workspace cannot be reached it is asked again, if ``patient``.
    """
    warehouse = _WAREHOUSE.match(http_path)
    if warehouse is None:
        return _unknown("there is a query history of SQL warehouses only, and this is a cluster")
    if timeout <= 0:
        return _unknown("the query history was not asked, since history_timeout is 0")
    return _Asking(get, warehouse.group(1), sought, timeout, patient).until_certain()


@dataclass
class _Asking:
    get: Get
    warehouse: str
    sought: Sought
    timeout: float
    patient: bool = True
    deadline: float = field(init=False)
    # How far the workspace's clock is ahead of ours, once it has told the time.
    ahead: float | None = None
    page: int = _PAGE

    def __post_init__(self) -> None:
        self.deadline = time.monotonic() + self.timeout

    def until_certain(self) -> Verdict:
        pause = _FIRST_PAUSE
        while True:
            try:
                verdict = self.once()
                asked_for = None
            except _RefusedError as refused:
                if refused.is_final:
                    return _unknown(refused.reason)
                verdict, asked_for = _unknown(refused.reason), refused.retry_after
            left = self.deadline - time.monotonic()
            wanted = max(pause, asked_for or 0.0)
            if verdict.fate is not Fate.UNKNOWN:
                return verdict
            if wanted >= left:
                return _unknown(f"{verdict.reason}, for {self.timeout:g} s")
            # Not all of those who have lost an answer together shall come together.
            time.sleep(wanted + random.uniform(0, min(_JITTER * wanted, left - wanted)))  # noqa: S311
            pause = min(pause * 2, _LONGEST_PAUSE)

    def once(self) -> Verdict:
        found: list[dict[str, Any]] = []
        for entry in self.entries():
            if _is_of(entry, self.sought):
                found.append(entry)
            if len(found) >= self.sought.copies:
                break  # there can be no more
        if not found:
            return _unknown("the query history did not show it")
        final = [str(entry.get("status")) for entry in found if entry.get("is_final") is True]
        if "FINISHED" in final:
            return Verdict(Fate.FINISHED, "")
        ended = len(final) == len(found) and set(final) <= {"FAILED", "CANCELED"}
        if ended and len(found) >= self.sought.copies:
            failed = next((entry for entry in found if entry.get("status") == "FAILED"), None)
            if failed is None:
                return Verdict(Fate.NOT_EXECUTED, "it was cancelled")
            reason = str(failed.get("error_message") or "no reason is given")
            return Verdict(Fate.NOT_EXECUTED, reason, failed=True)
        statuses = ", ".join(sorted({str(entry.get("status")) for entry in found}))
        return _unknown(f"the query history did not say how it ended, but {statuses}")

    def entries(self) -> Iterator[dict[str, Any]]:
        """The entries since the statement was sent, page by page."""
        since = self.sought.sent_at - _MARGIN
        if self.ahead is not None:
            since = self.sought.sent_at + self.ahead - _MARGIN_OF_KNOWN
        filters = [
            ("filter_by.warehouse_ids", self.warehouse),
            ("filter_by.query_start_time_range.start_time_ms", str(int(since * 1000))),
            ("max_results", str(self.page)),
        ]
        seen: set[str] = set()
        token: str | None = None
        while True:
            answer = self.read([*filters, *([("page_token", token)] if token else [])])
            listed = answer.get("res")
            yield from (item for item in _listed(listed) if isinstance(item, dict))
            token = answer.get("next_page_token")
            if not isinstance(token, str) or not token or token in seen:
                return
            seen.add(token)

    def read(self, query: Sequence[tuple[str, str]]) -> dict[str, Any]:
        """One page.

        Raises:
            _RefusedError: There is none.
        """
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise _RefusedError("the query history has more statements than could be looked at")
        try:
            answer = self.get(f"{_PATH}?{urlencode(query)}", min(left, _LONGEST_REQUEST))
        except Error as error:
            if is_from_signal(error):
                raise
            raise _RefusedError(
                f"the query history could not be asked ({error.happened})",
                is_final=not self.patient,
            ) from error
        self.note_time(answer)
        if answer.status != _OK:
            is_final = answer.status < 500 and answer.status not in _NOT_YET
            raise _RefusedError(
                f"the query history was refused with status {answer.status}{_said(answer)}",
                is_final=is_final,
                retry_after=seconds_in(answer.headers.get("retry-after")),
            )
        if answer.cut:
            self.page = max(self.page // 4, 1)
            raise _RefusedError("a page of the query history is too large")
        try:
            content = json.loads(answer.body)
        except ValueError as error:
            raise _RefusedError("the query history was answered with no JSON") from error
        if not isinstance(content, dict):
            raise _RefusedError("the query history was answered with no object")
        return content

    def note_time(self, answer: Answer) -> None:
        try:
            server_time = parsedate_to_datetime(answer.headers.get("date", ""))
        except (TypeError, ValueError):
            return
        self.ahead = server_time.timestamp() - time.time()


class _RefusedError(Exception):
    def __init__(
        self, reason: str, *, is_final: bool = False, retry_after: float | None = None
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.is_final = is_final
        self.retry_after = retry_after


def _is_of(entry: dict[str, Any], sought: Sought) -> bool:
    """Whether an entry is of the statement, and not of something else with its tag."""
    tags = [tag for tag in _listed(entry.get("query_tags")) if isinstance(tag, dict)]
    if not any(tag.get("key") == TAG and tag.get("value") == sought.identity for tag in tags):
        return False
    # Where texts are not shown there is none.
    text = entry.get("query_text")
    words = text.split(None, 1) if isinstance(text, str) else []
    return not words or words[0].upper() == sought.word.upper()


def _listed(value: object) -> Sequence[Any]:
    return value if isinstance(value, list) else ()


def _said(answer: Answer) -> str:
    try:
        message = json.loads(answer.body).get("message")
    except (ValueError, AttributeError):
        return ""
    return f": {message[:300]}" if isinstance(message, str) and message else ""


def _unknown(reason: str) -> Verdict:
    return Verdict(Fate.UNKNOWN, reason)
