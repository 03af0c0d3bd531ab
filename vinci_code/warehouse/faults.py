"""Scripted faults: what a real warehouse does on a bad day, as often as a test asks for.

A fault waits for the requests it is meant for (by operation and statement), fires as many times as
it was asked to, and is written on the record of every request that it hits.

The texts are those of real servers: ``TEMPORARILY_UNAVAILABLE`` in the header
``x-thriftserver-error-message`` with HTTP 503 while a cluster starts (quoted in trinodb/trino pull
request 29376), the session texts in databricks-sql-python's issues, ``KP001`` in the driver's
``backend/thrift_backend.py``.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

from vinci_code.core.errors import VinciError

if TYPE_CHECKING:
    from typing_extensions import Unpack

HTTP = "http"
COLD_START = "cold_start"
SESSION_LOST = "session_lost"
TOKEN_EXPIRED = "token_expired"  # noqa: S105 (the name of a fault)
TOKEN_REVOKED = "token_revoked"  # noqa: S105 (the name of a fault)
RESET = "reset"
DELAY = "delay"
COMMIT_CONFLICT = "commit_conflict"
PROTOCOL_UNSUPPORTED = "protocol_unsupported"
SLOW_POLL = "slow_poll"
HISTORY_LATE = "history_late"
HISTORY_HIDDEN = "history_hidden"
LINK_EXPIRED = "link_expired"
SHORT_FILE = "short_file"
MISSING_ROWS = "missing_rows"
BROKEN_FILE = "broken_file"

HISTORY = "GET /api/2.0/sql/history/queries"
"""The operation of the query history, for faults such as ``Fault.http(403, operation=HISTORY)``."""

RESULT_FILE = "GET result file"
"""The operation of a link to a file of a large result (CloudFetch), for faults such as
``Fault.http(503, operation=RESULT_FILE)``; ``statement`` is then searched in the statement whose
result it is of."""

STAGING_PUT, STAGING_GET, STAGING_REMOVE = "PUT /staging", "GET /staging", "DELETE /staging"
"""The operations of the transfers that PUT, GET and REMOVE ask the client for."""

KINDS = (
    HTTP,
    COLD_START,
    SESSION_LOST,
    TOKEN_EXPIRED,
    TOKEN_REVOKED,
    RESET,
    DELAY,
    COMMIT_CONFLICT,
    PROTOCOL_UNSUPPORTED,
    SLOW_POLL,
    HISTORY_LATE,
    HISTORY_HIDDEN,
    LINK_EXPIRED,
    SHORT_FILE,
    MISSING_ROWS,
    BROKEN_FILE,
)

RESET_BEFORE = "before"
RESET_AFTER = "after"
RESET_MID_REPLY = "mid_reply"
RESETS = (RESET_BEFORE, RESET_AFTER, RESET_MID_REPLY)

STYLE_HTTP = "http"
STYLE_SESSION = "session"
STYLES = (STYLE_HTTP, STYLE_SESSION)

UNAVAILABLE_TEXT = "TEMPORARILY_UNAVAILABLE: Cluster local is temporarily unavailable"


class FaultScope(TypedDict, total=False):
    """Which requests a fault is for, and how often: see the attributes of ``Fault``."""

    operation: str | None
    statement: str | None
    times: int
    skip: int


class FaultScriptError(VinciError):
    """A fault, or a file of faults, cannot be understood."""


@dataclass(frozen=True)
class Fault:
    """One scripted fault. Use the class methods, which name what each kind needs.

    Attributes:
        kind: One of ``KINDS``.
        operation: The operation to hit (``ExecuteStatement``, ``OpenSession``, …); ``None`` for
            any.
        statement: A regular expression searched, without regard to case, in the statement's text;
            ``None`` for any. A request without a statement never matches an expression.
        times: How often it fires.
        skip: How many matching requests pass unharmed first.
        status: HTTP status, for ``http``.
        retry_after: Seconds in the ``Retry-After`` header; ``None`` leaves the header out.
        message: The text in the error headers, or of the error.
        executed: For ``http``: whether the statement runs before the status is answered, as when
            a gateway gives up on a server that goes on working.
        when: For ``reset``: ``before`` the request is looked at, ``after`` it was executed and
            before the reply, or in ``mid_reply``.
        seconds: For ``delay``, ``slow_poll`` and ``history_late``: how long; for ``cold_start``:
            how long it starts.
        stopped: For ``cold_start``: seconds that the warehouse stays stopped before it starts.
        style: For ``cold_start``: ``http`` answers 503, ``session`` opens sessions at once and
            then fails every call on them, as classic warehouses do.
    """

    kind: str
    operation: str | None = None
    statement: str | None = None
    times: int = 1
    skip: int = 0
    status: int = 503
    retry_after: float | None = None
    message: str | None = None
    executed: bool = False
    when: str = RESET_BEFORE
    seconds: float = 0.0
    stopped: float = 0.0
    style: str = STYLE_HTTP

    def __post_init__(self) -> None:
        for problem in _problems(vars(self)):
            raise FaultScriptError(problem)

    @property
    def name(self) -> str:
        """How the request log names it: the kind, and the detail that tells two of it apart."""
        detail = {HTTP: str(self.status), RESET: self.when}.get(self.kind)
        return self.kind if detail is None else f"{self.kind}:{detail}"

    @classmethod
    def http(
        cls,
        status: int,
        *,
        retry_after: float | None = None,
        message: str | None = None,
        executed: bool = False,
        **scope: Unpack[FaultScope],
    ) -> Fault:
        """Answer with an HTTP status instead of a result."""
        return cls(
            HTTP,
            status=status,
            retry_after=retry_after,
            message=message,
            executed=executed,
            **scope,
        )

    @classmethod
    def cold_start(
        cls,
        seconds: float,
        *,
        stopped: float = 0.0,
        retry_after: float | None = None,
        style: str = STYLE_HTTP,
        **scope: Unpack[FaultScope],
    ) -> Fault:
        """The warehouse is found stopped, and runs again after ``stopped + seconds``."""
        return cls(
            COLD_START,
            seconds=seconds,
            stopped=stopped,
            retry_after=retry_after,
            style=style,
            **scope,
        )

    @classmethod
    def session_lost(cls, *, message: str | None = None, **scope: Unpack[FaultScope]) -> Fault:
        """The server forgets the request's session; its statement is not run."""
        return cls(SESSION_LOST, message=message, **scope)

    @classmethod
    def token_expired(cls, **scope: Unpack[FaultScope]) -> Fault:
        """The request's token is refused this time."""
        return cls(TOKEN_EXPIRED, **scope)

    @classmethod
    def token_revoked(cls, **scope: Unpack[FaultScope]) -> Fault:
        """The request's token is refused from now on."""
        return cls(TOKEN_REVOKED, **scope)

    @classmethod
    def reset(cls, when: str = RESET_BEFORE, **scope: Unpack[FaultScope]) -> Fault:
        """Cut the connection (with a TCP reset) at the point named by ``when``."""
        return cls(RESET, when=when, **scope)

    @classmethod
    def delay(cls, seconds: float, **scope: Unpack[FaultScope]) -> Fault:
        """Execute, and reply ``seconds`` later."""
        return cls(DELAY, seconds=seconds, **scope)

    @classmethod
    def commit_conflict(cls, *, message: str | None = None, **scope: Unpack[FaultScope]) -> Fault:
        """Fail a write or a COMMIT as if somebody else had committed to its table first."""
        return cls(COMMIT_CONFLICT, message=message, **scope)

    @classmethod
    def protocol_unsupported(cls, **scope: Unpack[FaultScope]) -> Fault:
        """Refuse OpenSession with SQLSTATE KP001, as a warehouse without Thrift does."""
        return cls(PROTOCOL_UNSUPPORTED, **scope)

    @classmethod
    def slow_poll(cls, seconds: float, **scope: Unpack[FaultScope]) -> Fault:
        """Report the statement as running until ``seconds`` after it arrived."""
        return cls(SLOW_POLL, seconds=seconds, **scope)

    @classmethod
    def history_late(cls, seconds: float, **scope: Unpack[FaultScope]) -> Fault:
        """Show the statement in the query history ``seconds`` after it arrived, not before."""
        return cls(HISTORY_LATE, seconds=seconds, **scope)

    @classmethod
    def history_hidden(cls, **scope: Unpack[FaultScope]) -> Fault:
        """Never show the statement in the query history."""
        return cls(HISTORY_HIDDEN, **scope)

    @classmethod
    def link_expired(cls, **scope: Unpack[FaultScope]) -> Fault:
        """Refuse a link to a file of a large result, as if it had expired."""
        return cls(LINK_EXPIRED, **scope)

    @classmethod
    def short_file(cls, **scope: Unpack[FaultScope]) -> Fault:
        """Send the first half of a file of a large result, as if that were all of it."""
        return cls(SHORT_FILE, **scope)

    @classmethod
    def missing_rows(cls, **scope: Unpack[FaultScope]) -> Fault:
        """Send a file of a large result that is whole, but has fewer rows than its link tells."""
        return cls(MISSING_ROWS, **scope)

    @classmethod
    def broken_file(cls, **scope: Unpack[FaultScope]) -> Fault:
        """Send a file of a large result with one bit changed."""
        return cls(BROKEN_FILE, **scope)

    def matches(self, operation: str, statement: str | None) -> bool:
        """Whether a request is one of those that it is meant for."""
        if self.kind not in _REACHABLE_BY_ANY and operation not in _TARGETS[self.kind]:
            return False
        if self.operation is not None and self.operation != operation:
            return False
        if self.statement is None:
            return True
        return statement is not None and bool(
            re.search(self.statement, statement, re.IGNORECASE | re.DOTALL)
        )


_REACHABLE_BY_ANY = {HTTP, RESET, DELAY, TOKEN_EXPIRED, TOKEN_REVOKED}
# What a request meets beside the one fault that it is hit by.
_OF_HISTORY = frozenset({HISTORY_LATE, HISTORY_HIDDEN})
_SESSION_CALLS = frozenset(
    {
        "CloseSession",
        "GetInfo",
        "ExecuteStatement",
        "GetTypeInfo",
        "GetCatalogs",
        "GetSchemas",
        "GetTables",
        "GetTableTypes",
        "GetColumns",
        "GetFunctions",
        "GetPrimaryKeys",
        "GetCrossReference",
        "GetOperationStatus",
        "CancelOperation",
        "CloseOperation",
        "GetResultSetMetadata",
        "FetchResults",
    }
)
_TARGETS: dict[str, frozenset[str]] = {
    COLD_START: _SESSION_CALLS | {"OpenSession"},
    SESSION_LOST: _SESSION_CALLS,
    COMMIT_CONFLICT: frozenset({"ExecuteStatement"}),
    SLOW_POLL: frozenset({"ExecuteStatement"}),
    HISTORY_LATE: frozenset({"ExecuteStatement"}),
    HISTORY_HIDDEN: frozenset({"ExecuteStatement"}),
    PROTOCOL_UNSUPPORTED: frozenset({"OpenSession"}),
    **dict.fromkeys(
        (LINK_EXPIRED, SHORT_FILE, MISSING_ROWS, BROKEN_FILE), frozenset({RESULT_FILE})
    ),
}


class FaultScript:
    """The faults that are still to fire, in the order in which they were added."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: list[_PendingFault] = []

    def add(self, *faults: Fault) -> None:
        """Put faults at the end of the script."""
        with self._lock:
            self._waiting += [_PendingFault(fault, fault.skip, fault.times) for fault in faults]

    def load(self, path: str | Path) -> None:
        """Add the faults of a JSON file: a list of objects with the attributes of ``Fault``.

        Raises:
            FaultScriptError: The file cannot be read, or one of its faults cannot be understood.
        """
        self.add(*read_faults(path))

    def clear(self) -> None:
        """Take back every fault that has not fired yet."""
        with self._lock:
            self._waiting.clear()

    @property
    def pending(self) -> tuple[Fault, ...]:
        """The faults that will still fire."""
        with self._lock:
            return tuple(waiting.fault for waiting in self._waiting)

    def draw(
        self,
        operation: str,
        statement: str | None,
        *,
        by_name_only: bool = False,
        without: Collection[str] = (),
    ) -> Fault | None:
        """The fault that hits this request, counted as fired; ``None`` for a good day.

        Args:
            operation: The request's operation.
            statement: Its statement, if it has one.
            by_name_only: Leave the request alone unless a fault names its operation, or is of a
                kind that is for it alone. So it is for the REST endpoints and for files: a fault
                for "any request" means the statements' protocol.
            without: Kinds that cannot hit this request.
        """

        def may_hit(fault: Fault) -> bool:
            unnamed = fault.operation is None and fault.kind in _REACHABLE_BY_ANY
            wanted = fault.kind not in _OF_HISTORY and fault.kind not in without
            return wanted and not (by_name_only and unnamed)

        return self._draw(operation, statement, may_hit)

    def draw_for_history(self, operation: str, statement: str | None) -> Fault | None:
        """The fault that the query history's entry of this request meets, counted as fired.

        It comes beside that of ``draw``: a statement whose answer is lost may be shown late, too.
        """
        return self._draw(operation, statement, lambda fault: fault.kind in _OF_HISTORY)

    def _draw(
        self, operation: str, statement: str | None, may_hit: Callable[[Fault], bool]
    ) -> Fault | None:
        with self._lock:
            for position, waiting in enumerate(self._waiting):
                if not may_hit(waiting.fault):
                    continue
                if not waiting.fault.matches(operation, statement):
                    continue
                if waiting.skip > 0:
                    waiting.skip -= 1
                    continue
                waiting.left -= 1
                if waiting.left == 0:
                    del self._waiting[position]
                return waiting.fault
        return None


def read_faults(path: str | Path) -> list[Fault]:
    """Read a JSON file of faults; see ``FaultScript.load``."""
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise FaultScriptError(f"The fault file {path} cannot be read: {error}") from error
    if not isinstance(content, list):
        raise FaultScriptError(
            f"The fault file {path} must hold a JSON list of faults; "
            f"found {type(content).__name__}."
        )
    return [_from_json(item, f"{path}, fault {number}") for number, item in enumerate(content, 1)]


@dataclass
class _PendingFault:
    fault: Fault
    skip: int
    left: int


def _from_json(item: object, place: str) -> Fault:
    if not isinstance(item, Mapping):
        raise FaultScriptError(f"{place}: expected an object, found {type(item).__name__}.")
    known = {field.name for field in fields(Fault)}
    unknown = sorted(set(item) - known)
    if unknown:
        raise FaultScriptError(
            f"{place}: unknown {_names(unknown)}; known are {_names(sorted(known))}."
        )
    if "kind" not in item:
        raise FaultScriptError(f"{place}: 'kind' is missing; known kinds are {_names(KINDS)}.")
    try:
        return Fault(**item)
    except FaultScriptError as error:
        raise FaultScriptError(f"{place}: {error}") from error


def _problems(values: Mapping[str, object]) -> Iterable[str]:
    kind = values["kind"]
    if kind not in KINDS:
        yield f"unknown kind {kind!r}; known are {_names(KINDS)}"
    if not isinstance(values["executed"], bool):
        yield f"'executed' must be true or false, found {values['executed']!r}"
    if kind == RESET and values["when"] not in RESETS:
        yield f"'when' must be one of {_names(RESETS)}, found {values['when']!r}"
    if kind == COLD_START and values["style"] not in STYLES:
        yield f"'style' must be one of {_names(STYLES)}, found {values['style']!r}"
    yield from _number_problems(values)
    yield from _text_problems(values)


def _number_problems(values: Mapping[str, object]) -> Iterable[str]:
    for name, least, most in (("times", 1, 10**9), ("skip", 0, 10**9), ("status", 400, 599)):
        value = values[name]
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
            yield f"{name!r} must be a whole number from {least} to {most}, found {value!r}"
    for name in ("seconds", "stopped", "retry_after"):
        value = values[name]
        if value is None and name == "retry_after":
            continue
        if not isinstance(value, (int, float)) or isinstance(value, bool) or not 0 <= value < 1e6:
            yield f"{name!r} must be a number of seconds, found {value!r}"


def _text_problems(values: Mapping[str, object]) -> Iterable[str]:
    for name in ("operation", "statement", "message"):
        value = values[name]
        if value is not None and not isinstance(value, str):
            yield f"{name!r} must be a text, found {value!r}"
    message, statement = values["message"], values["statement"]
    if isinstance(message, str) and not message.isprintable():
        yield "'message' must be printable, since it is sent in a header"
    if isinstance(statement, str):
        try:
            re.compile(statement)
        except re.error as error:
            yield f"'statement' is not a regular expression: {error}"


def _names(names: Iterable[str]) -> str:
    return ", ".join(repr(name) for name in names)
