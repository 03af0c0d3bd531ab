"""What the warehouse ran, from its query history.

``GET /api/2.0/sql/history/queries`` (https://docs.databricks.com/api/workspace/queryhistory/list):
newest first, page by page. It is asked over REST alone: no session is opened, and a warehouse that
is stopped stays so. How soon a statement appears there is not documented; most do within seconds.
"""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from vinci_code.core.config.normalise import warehouse_id_of
from vinci_code.core.errors import DatabricksConnectionError
from vinci_code.diagnostics.asking import WHO_AM_I, answer_of, content_of, unexpected
from vinci_code.diagnostics.ran import RanStatement, read_entry

if TYPE_CHECKING:
    from vinci_code.database.databricks_connector import DatabricksConnector

LOOKED_AT = 20_000
"""The most statements of the history that are looked at for one question."""

LONGEST = dt.timedelta(days=30)
"""The longest time that the history can be asked for at once."""

_PATH = "/api/2.0/sql/history/queries"
_WHAT = "the query history"
_RIGHT = (
    "ask a workspace admin for the right to read the query history; for statements of others, the "
    "owner of the warehouse for CAN MONITOR on it"
)
_PAGE, _LARGEST_PAGE = 100, 999
# A statement may have 16 MiB of text.
_LARGEST_ANSWER = 48 * 1024 * 1024
_SECONDS = 120.0


@dataclass(frozen=True)
class HistoryQuestion:
    """What is asked for.

    Attributes:
        since: From when on statements are looked for.
        until: Until when, or ``None`` for now.
        limit: How many are wanted at most.
        user_id: Whose, by the user's id; ``None`` for those of everybody that may be seen.
        statuses: In which states; empty for all.
        keep: What else has to hold of a statement.
    """

    since: dt.datetime
    until: dt.datetime | None = None
    limit: int = LOOKED_AT
    user_id: str | None = None
    statuses: Sequence[str] = ()
    keep: Callable[[RanStatement], bool] = field(default=lambda _: True)


@dataclass(frozen=True)
class Found:
    """What the history told.

    Attributes:
        statements: The statements, newest first.
        looked_at: How many were looked at to find them.
        is_whole: Whether all of the time that was asked for was looked at.
        reached: How far back it was looked: the start of the oldest statement that was seen;
            ``None`` where there was none.
    """

    statements: tuple[RanStatement, ...]
    looked_at: int
    is_whole: bool
    reached: dt.datetime | None


def list_statements(
    connector: DatabricksConnector, question: HistoryQuestion, *, most: int = LOOKED_AT
) -> Found:
    """Look for statements that the warehouse of the settings ran.

    Args:
        connector: The warehouse, and who asks.
        question: What is wanted.
        most: How many statements of the history are looked at, at most.

    Raises:
        AuthenticationError: The workspace does not show the history.
        DatabricksConnectionError: It could not be asked, or what it answered is not the history.
    """
    search = _Search(connector, question, most)
    entries = search.entries()
    found: list[RanStatement] = []
    looked_at, reached, is_whole = 0, None, True
    for statement in entries:
        looked_at += 1
        if statement.started is not None:
            reached = statement.started if reached is None else min(reached, statement.started)
        if search.is_wanted(statement):
            found.append(statement)
        if len(found) >= question.limit or looked_at >= most:
            is_whole = next(entries, None) is None
            break
    found.sort(key=lambda ran: ran.started or _NEVER, reverse=True)
    return Found(tuple(found), looked_at, is_whole, reached)


def own_user_id(connector: DatabricksConnector) -> str:
    """The id of who is signed in.

    Raises:
        DatabricksConnectionError: The workspace does not tell it.
    """
    what = "the current user"
    reply = answer_of(
        connector, WHO_AM_I, what, right="ask for the statements of everybody: --everyone"
    )
    identifier = content_of(connector, reply, what).get("id")
    if isinstance(identifier, str) and identifier.isascii() and identifier.isdigit():
        return identifier
    raise DatabricksConnectionError(
        f"{connector.target} does not tell the id of who is signed in, by which the query history "
        "is filtered. To fix it: ask for the statements of everybody: --everyone"
    )


@dataclass
class _Search:
    connector: DatabricksConnector
    question: HistoryQuestion
    most: int

    def __post_init__(self) -> None:
        self.page = _PAGE if self.question.limit <= _PAGE else _LARGEST_PAGE
        self.warehouse = warehouse_id_of(self.connector.http_path)
        self.deadline = time.monotonic() + _SECONDS

    def is_wanted(self, ran: RanStatement) -> bool:
        """Whether a statement is what was asked for; the workspace is not taken at its word."""
        asked = self.question
        return (
            ran.warehouse_id in (None, self.warehouse)
            and (asked.user_id is None or ran.user_id in (None, asked.user_id))
            and (not asked.statuses or ran.status in asked.statuses)
            and (ran.started is None or ran.started >= asked.since)
            and (asked.until is None or ran.started is None or ran.started <= asked.until)
            and asked.keep(ran)
        )

    def entries(self) -> Iterator[RanStatement]:
        """The statements of all pages, each once."""
        seen: set[str] = set()
        for entry in self.pages():
            if not isinstance(entry, dict):
                raise self.strange(f"an entry that is no object, but {type(entry).__name__}")
            ran = read_entry(entry)
            if ran.statement_id is not None:
                # New statements move the pages while they are read.
                if ran.statement_id in seen:
                    continue
                seen.add(ran.statement_id)
            yield ran

    def pages(self) -> Iterator[Any]:
        tokens: set[str] = set()
        token: str | None = None
        while True:
            content = self.read(token)
            if content is None:
                # What was seen is seen again, and known by its id.
                tokens, token = set(), None
                continue
            listed = content.get("res", [])
            if not isinstance(listed, list):
                raise self.strange(f"'res' that is no list, but {type(listed).__name__}")
            yield from listed
            token = content.get("next_page_token")
            if not token or content.get("has_next_page") is False:
                return
            if not isinstance(token, str):
                raise self.strange("'next_page_token' that is no text")
            if token in tokens:
                raise self.strange("the same page again and again")
            tokens.add(token)
            if time.monotonic() > self.deadline:
                raise DatabricksConnectionError(
                    f"{self.connector.target} took more than {_SECONDS:g} s to show the query "
                    "history. To fix it: ask for less: a shorter --since, or a smaller --limit"
                )

    def read(self, token: str | None) -> dict[str, Any] | None:
        """One page; ``None`` where it was too large, and smaller ones are to be asked for."""
        query = [*self.filters(), *([("page_token", token)] if token else [])]
        reply = answer_of(
            self.connector,
            f"{_PATH}?{urlencode(query)}",
            _WHAT,
            right=_RIGHT,
            most=_LARGEST_ANSWER,
        )
        if len(reply.body) >= _LARGEST_ANSWER:
            if self.page == 1:
                raise self.strange("a statement that is larger than any can be")
            self.page = max(self.page // 10, 1)
            return None
        return content_of(self.connector, reply, _WHAT)

    def filters(self) -> Iterator[tuple[str, str]]:
        asked = self.question
        yield "filter_by.warehouse_ids", self.warehouse
        start = "filter_by.query_start_time_range"
        yield f"{start}.start_time_ms", str(_milliseconds(asked.since))
        if asked.until is not None:
            yield f"{start}.end_time_ms", str(_milliseconds(asked.until))
        if asked.user_id is not None:
            yield "filter_by.user_ids", asked.user_id
        for status in asked.statuses:
            yield "filter_by.statuses", status
        yield "include_metrics", "true"
        yield "max_results", str(self.page)

    def strange(self, found: str) -> DatabricksConnectionError:
        return unexpected(self.connector, _WHAT, found)


_NEVER = dt.datetime.min.replace(tzinfo=dt.timezone.utc)


def _milliseconds(moment: dt.datetime) -> int:
    return int(moment.timestamp() * 1000)
