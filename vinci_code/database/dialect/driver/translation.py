"""From whatever comes out of the driver to one of the exceptions of ``dberrors``.

The driver lets its own exceptions through and those of urllib3, ssl, thrift and pyarrow, and its
own carry the condition's name and SQLSTATE in their text alone. ``RULES`` is the only place that
says which of them means what. It is read from the top, the most specific first: the name of the
condition, well-known texts, the SQLSTATE, the HTTP status, and the class of the exception. What is
said counts where the warehouse has said it: see ``_applies``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

from vinci_code.core.redaction import redact_exception
from vinci_code.database.dialect import dberrors as e
from vinci_code.database.dialect.driver.advice import Address, advice_on
from vinci_code.database.dialect.interruptions import is_foreign


class By(Enum):
    """What of a failure a rule looks at."""

    CONDITION = "condition"
    TEXT = "text"
    SQLSTATE = "sqlstate"
    STATUS = "status"
    CLASS = "class"


class Rule(NamedTuple):
    """One line of the table.

    Attributes:
        by: What it looks at.
        pattern: A regular expression: searched in a text, matched as a whole with anything else.
        kind: The exception that it stands for.
    """

    by: By
    pattern: str
    kind: type[e.Error]


# Conditions: https://docs.databricks.com/aws/en/error-messages/error-classes and
# https://docs.databricks.com/aws/en/error-messages/delta-concurrent-append-error-class.
# SQLSTATEs: https://docs.databricks.com/aws/en/error-messages/sqlstates.
RULES: tuple[Rule, ...] = (
    # Conditions whose SQLSTATE says less than their name.
    Rule(By.CONDITION, r"DELTA_CONCURRENT_\w+|DELTA_METADATA_CHANGED", e.ConflictError),
    Rule(By.CONDITION, r"DELTA_PROTOCOL_CHANGED|CONCURRENT_\w+", e.ConflictError),
    Rule(By.CONDITION, r"PERMISSION_DENIED|INSUFFICIENT_PERMISSIONS\w*", e.PermissionDenied),
    Rule(By.CONDITION, r"INSUFFICIENT_PRIVILEGES?|UNAUTHORIZED_ACCESS", e.PermissionDenied),
    Rule(By.CONDITION, r"DELTA_(NOT_NULL|VIOLATE)_CONSTRAINT\w*", e.IntegrityError),
    # Of a column that takes no NULL and has no default: elsewhere the NULL is what is refused.
    Rule(By.CONDITION, r"DELTA_INSERT_COLUMN_MISMATCH", e.IntegrityError),
    Rule(By.CONDITION, r"(MULTI_STATEMENT_)?TRANSACTION_NOT_SUPPORTED", e.NotSupportedError),
    Rule(By.CONDITION, r"(MULTI_STATEMENT_)?TRANSACTION_\w+", e.OperationalError),
    Rule(By.CONDITION, r"(MULTI_STATEMENT_TRANSACTION_)?NO_ACTIVE_TRANSACTION", e.ProgrammingError),
    Rule(By.CONDITION, r"AUTOCOMMIT_\w+", e.ProgrammingError),
    Rule(By.CONDITION, r"INTERNAL_ERROR\w*", e.InternalError),
    Rule(By.CONDITION, r"STATEMENT_TIMEOUT", e.StatementTimeout),
    # What has no condition, or came before there were any.
    Rule(By.TEXT, r"Invalid Session ?Handle|Session \[[^]]*\] is closed", e.SessionLostError),
    Rule(By.TEXT, r"has not been initialized or had already (been )?closed", e.SessionLostError),
    Rule(By.TEXT, r"Invalid OperationHandle|unexpectedly closed server side", e.ResultExpired),
    Rule(By.TEXT, r"some result batches must have been skipped", e.ConnectionLostError),
    Rule(By.TEXT, r"TEMPORARILY_UNAVAILABLE|temporarily unavailable", e.WarehouseStartTimeout),
    Rule(By.TEXT, r"Couldn't create directory /local_disk0", e.WarehouseStartTimeout),
    Rule(By.TEXT, r"Concurrent(Append|Delete\w*|Write|Transaction)Exception", e.ConflictError),
    Rule(
        By.TEXT, r"too many parameters|limit is \d+\b|exceeds? the (maximum|limit)", e.LimitExceeded
    ),
    Rule(By.TEXT, r"(would exceed|Retry policy) max retry duration", e.WarehouseStartTimeout),
    # SQLSTATEs, and the classes that their first two characters are.
    Rule(By.SQLSTATE, r"KP001", e.ProtocolUnsupported),
    Rule(By.SQLSTATE, r"2D521|40001", e.ConflictError),
    Rule(By.SQLSTATE, r"42501", e.PermissionDenied),
    Rule(By.SQLSTATE, r"57014|HY008", e.CancelledError),
    Rule(By.SQLSTATE, r"HYT0[01]", e.StatementTimeout),
    Rule(By.SQLSTATE, r"54\w{3}|53\w{3}", e.LimitExceeded),
    Rule(By.SQLSTATE, r"0A\w{3}|56038", e.NotSupportedError),
    Rule(By.SQLSTATE, r"22\w{3}", e.DataError),
    Rule(By.SQLSTATE, r"23\w{3}|44\w{3}", e.IntegrityError),
    Rule(By.SQLSTATE, r"28\w{3}", e.AuthenticationFailed),
    Rule(By.SQLSTATE, r"XX\w{3}|P0\w{3}|38\w{3}|39\w{3}", e.InternalError),
    Rule(By.SQLSTATE, r"(07|0[1-7]|0[B-Z]|2[01467]|3\w|42|46)\w{3}", e.ProgrammingError),
    Rule(By.SQLSTATE, r"08\w{3}", e.ConnectionLostError),
    Rule(By.SQLSTATE, r"(2[5BD]|40|5\w|KD|HY|F0|HV)\w{3}", e.OperationalError),
    # HTTP statuses. A wrong token is 403 with "Invalid access token.", a missing one 401 (recorded
    # from a workspace in the test data of databricks-jdbc).
    Rule(By.STATUS, r"401", e.AuthenticationFailed),
    Rule(By.STATUS, r"403", e.AuthenticationFailed),
    Rule(By.STATUS, r"408|504", e.ConnectTimeout),
    Rule(By.STATUS, r"413", e.LimitExceeded),
    Rule(By.STATUS, r"429", e.TooManyRequests),
    Rule(By.STATUS, r"501", e.NotSupportedError),
    Rule(By.STATUS, r"503", e.WarehouseStartTimeout),
    Rule(By.STATUS, r"500|502|5\d\d", e.ConnectionLostError),
    Rule(By.STATUS, r"[34]\d\d", e.OperationalError),
    # The driver's exceptions (databricks/sql/exc.py).
    Rule(By.CLASS, r"databricks\.sql\.exc\.ReydenThriftUnsupportedError", e.ProtocolUnsupported),
    Rule(By.CLASS, r"databricks\.sql\.exc\.SessionAlreadyClosedError", e.SessionLostError),
    Rule(By.CLASS, r"databricks\.sql\.exc\.CursorAlreadyClosedError", e.ResultExpired),
    Rule(By.CLASS, r"databricks\.sql\.exc\.MaxRetryDurationError", e.WarehouseStartTimeout),
    Rule(By.CLASS, r"databricks\.sql\.exc\.NonRecoverableNetworkError", e.NotSupportedError),
    Rule(By.CLASS, r"databricks\.sql\.exc\.TelemetryRateLimitError", e.LimitExceeded),
    Rule(By.CLASS, r"databricks\.sql\.exc\.TelemetryNonRateLimitError", e.OperationalError),
    Rule(By.CLASS, r"databricks\.sql\.exc\.(UnsafeToRetry|Request)Error", e.ConnectionLostError),
    Rule(By.CLASS, r"databricks\.sql\.exc\.InvalidServerResponseError", e.OperationalError),
    Rule(By.CLASS, r"databricks\.sql\.exc\.(Transaction|Operational)Error", e.OperationalError),
    Rule(By.CLASS, r"databricks\.sql\.exc\.ServerOperationError", e.DatabaseError),
    Rule(By.CLASS, r"databricks\.sql\.exc\.IntegrityError", e.IntegrityError),
    Rule(By.CLASS, r"databricks\.sql\.exc\.DataError", e.DataError),
    Rule(By.CLASS, r"databricks\.sql\.exc\.InternalError", e.InternalError),
    Rule(By.CLASS, r"databricks\.sql\.exc\.ProgrammingError", e.ProgrammingError),
    Rule(By.CLASS, r"databricks\.sql\.exc\.NotSupportedError", e.NotSupportedError),
    Rule(By.CLASS, r"databricks\.sql\.exc\.InterfaceError", e.InterfaceError),
    Rule(By.CLASS, r"databricks\.sql\.exc\.(DatabaseError|Error|Warning)", e.DatabaseError),
    # What lies below the driver.
    Rule(By.CLASS, r"urllib3\.exceptions\.(Read|Connect)TimeoutError", e.ConnectTimeout),
    Rule(By.CLASS, r"urllib3\.exceptions\.(LocationValueError|ProxyScheme\w+)", e.InterfaceError),
    Rule(By.CLASS, r"urllib3\.exceptions\.(HTTPError|HTTPWarning)", e.ConnectionLostError),
    Rule(By.CLASS, r"builtins\.TimeoutError", e.ConnectTimeout),
    # A file that a connection needs is no connection: that was never made.
    Rule(By.CLASS, r"builtins\.(FileNotFound|IsADirectory|NotADirectory)Error", e.InterfaceError),
    Rule(By.CLASS, r"ssl\.SSLError|builtins\.OSError", e.ConnectionLostError),
    Rule(By.CLASS, r"http\.client\.HTTPException|builtins\.EOFError", e.ConnectionLostError),
    Rule(By.CLASS, r"thrift\.Thrift\.TException", e.ConnectionLostError),
    Rule(By.CLASS, r"pyarrow\.lib\.ArrowException", e.InternalError),
    Rule(By.CLASS, r"builtins\.(ValueError|TypeError|ImportError)", e.InterfaceError),
    Rule(By.CLASS, r"builtins\.Exception", e.InternalError),
)

# What a 403 says where the credentials are good: their owner may not, or not from this address.
NO_PERMISSION = re.compile(r"permission|not authori[sz]ed", re.IGNORECASE)
NO_ADDRESS = re.compile(r"ip acl|ip access list", re.IGNORECASE)

_NOT_NOW = frozenset({429, 503})
_TO_BE_REPEATED = (
    e.ConflictError,
    e.ConnectionLostError,
    e.ResultExpired,
    e.WarehouseStartTimeout,
)

_CONDITION = re.compile(r"\[([A-Z][A-Z0-9_]*(?:\.[A-Z0-9_]+)*)\]")
_SQLSTATE = re.compile(r"SQLSTATE:? ?\(?([0-9A-Z]{5})\b")
_WRAPPERS = ("TASK_WRITE_FAILED",)
_CAUSE = re.compile(
    r"^Caused by: [\w.$]+: (\[[A-Z][A-Z0-9_.]*\].*?)(?=^\s+at |^\s+\.{3} |^Caused by: |\Z)",
    re.DOTALL | re.MULTILINE,
)
_STATUS_IN_TEXT = re.compile(r"too many (\d{3}) error responses")


@dataclass(frozen=True)
class Evidence:
    """What is known of a failure beside the exception itself.

    Attributes:
        status: The HTTP status of the answer, if there was one that is no success.
        said: What its headers say.
        sqlstate: The SQLSTATE of the answer.
        statement_id: The statement that it is about.
        address: The warehouse, for messages; ``None`` where the message is that of its answer.
        answered: Whether the exception tells of an answer, and not of what lies on the way to it.
        opening: Whether a session was being opened.
        written: Whether the request had begun to be written, over a connection that was made.
    """

    status: int | None = None
    said: str = ""
    sqlstate: str | None = None
    statement_id: str | None = None
    address: Address | None = None
    answered: bool = True
    opening: bool = False
    written: bool = False


NOTHING_KNOWN = Evidence()


def cleaned(error: Exception, evidence: Evidence = NOTHING_KNOWN) -> Exception:
    """What an exception goes on as: that of ``clean``, or itself if it says nothing of a request.

    See ``interruptions`` for what does not.
    """
    if is_foreign(error):
        redact_exception(error)
        return error
    return clean(error, evidence)


def clean(error: Exception, evidence: Evidence = NOTHING_KNOWN) -> e.Error:
    """The exception of ``dberrors`` that stands for what came out of the driver.

    What it is chained to holds no secret any more, nor do the frames that it went through: those of
    the driver and of urllib3 have the request's headers among their locals.
    """
    own = next((item for item in chain(error) if isinstance(item, e.Error)), None)
    if own is not None:
        # Raised by what the driver has called, and wrapped by it on the way.
        redact_exception(error)
        return own
    translated = translate(error, evidence)
    translated.__cause__ = redact_exception(error)
    return translated


def translate(error: Exception, evidence: Evidence = NOTHING_KNOWN) -> e.Error:
    """The exception of ``dberrors`` for another one, not chained to it."""
    reason = _most_telling(error)
    text = evidence.said or _cause_of(reason) or _text_of(reason)
    status = evidence.status or _refused_with(status_in(error, text))
    condition = _CONDITION.search(text) if evidence.answered else None
    found_state = _SQLSTATE.search(text) if evidence.answered else None
    sqlstate = found_state.group(1) if found_state else evidence.sqlstate
    error_class = condition.group(1) if condition else None
    kind = classify(reason, text, error_class, sqlstate, status, answered=evidence.answered)
    return kind(
        _message(kind, error, text, status, error_class, evidence),
        sqlstate=sqlstate,
        error_class=error_class,
        statement_id=evidence.statement_id or _statement_of(error),
    )


def classify(
    error: BaseException,
    text: str = "",
    condition: str | None = None,
    sqlstate: str | None = None,
    status: int | None = None,
    *,
    answered: bool = True,
) -> type[e.Error]:
    """The class of exception by the first rule of the table that applies and fits."""
    if status == 403 and (NO_PERMISSION.search(text) or NO_ADDRESS.search(text)):
        return e.PermissionDenied
    main_condition = (condition or "").partition(".")[0]
    subjects: dict[By, list[str]] = {
        By.CONDITION: [main_condition] if main_condition else [],
        By.SQLSTATE: [sqlstate] if sqlstate else [],
        By.STATUS: [str(status)] if status else [],
        By.CLASS: class_names(error),
    }
    for rule in RULES:
        if not _applies(rule, status, answered=answered):
            continue
        if rule.by is By.TEXT:
            # Where there is a condition, the text may quote anything, the statement above all.
            if not condition and re.search(rule.pattern, text, re.IGNORECASE):
                return rule.kind
        elif any(re.fullmatch(rule.pattern, item) for item in subjects[rule.by]):
            return rule.kind
    return e.InternalError


def _applies(rule: Rule, status: int | None, *, answered: bool) -> bool:
    """Whether a rule says something of what comes with an HTTP status, or with no answer at all.

    The words of an error on the way ("Resource temporarily unavailable") and those of a gateway,
    which has passed the statement on and tired of waiting, say nothing of the statement. A status
    of 4xx says that the request was refused, but its words are no reason to send it again: what has
    lost a session says so in the protocol, and what starts says 503.
    """
    if not answered:
        return rule.by is By.CLASS
    if rule.by in (By.STATUS, By.CLASS) or status is None or status in _NOT_NOW:
        return True
    if status == 408 or status >= 500:
        return False
    return not issubclass(rule.kind, _TO_BE_REPEATED)


def class_names(error: BaseException) -> list[str]:
    """The full names of an exception's classes, its own first."""
    return [f"{kind.__module__}.{kind.__qualname__}" for kind in type(error).__mro__]


def chain(error: BaseException, *, handled: bool = False) -> Iterator[BaseException]:
    """Every exception in and around one, the outermost first.

    urllib3 keeps the reason of a ``MaxRetryError`` in ``reason`` and that of a ``ProxyError`` in
    ``original_error``, and others only among their arguments. If ``handled``, those count too that
    were being handled when another one was raised, which may have nothing to do with it.
    """
    seen: set[int] = set()
    waiting: list[object] = [error]
    while waiting:
        current = waiting.pop(0)
        if not isinstance(current, BaseException) or id(current) in seen:
            continue
        seen.add(id(current))
        yield current
        waiting += [
            current.__cause__,
            current.__context__ if handled else None,
            getattr(current, "reason", None),
            getattr(current, "original_error", None),
            *current.args,
        ]


def status_in(error: BaseException, text: str) -> int | None:
    """The HTTP status that an exception of the driver tells of; it may be one of success."""
    context = getattr(error, "context", None)
    status = context.get("http-code") if isinstance(context, dict) else None
    code = status if isinstance(status, int) else None
    if _refused_with(code) is None and (found := _STATUS_IN_TEXT.search(text)):
        return int(found.group(1))
    return code


def _most_telling(error: BaseException) -> BaseException:
    """The reason inside a ``MaxRetryError``, which itself says only that there was one."""
    reason = getattr(error, "reason", None)
    return reason if isinstance(reason, BaseException) else error


def _refused_with(status: int | None) -> int | None:
    return status if status is not None and status >= 300 else None


def _text_of(error: BaseException) -> str:
    message = getattr(error, "message", None)
    # The driver's exceptions return their message from __str__ even where it is None.
    text = message if isinstance(message, str) else " ".join(map(str, error.args))
    return text.strip()


def _cause_of(error: BaseException) -> str:
    """The condition that a wrapper without one, or that of the task which has met it, hides.

    Spark wraps what a sub-query raises as "Exception thrown in awaitResult: ", and what a task that
    writes raises as [TASK_WRITE_FAILED] (both seen with Spark 4.2 and Delta 4.4); the condition
    then stands in the stack trace alone.
    """
    text = _text_of(error)
    outer = _CONDITION.search(text)
    if outer and outer.group(1) not in _WRAPPERS:
        return ""
    inner = _CONDITION.search(text, outer.end()) if outer else None
    if inner:
        return text[inner.start() :]
    context = getattr(error, "context", None)
    trace = context.get("diagnostic-info") if isinstance(context, dict) else None
    causes = _CAUSE.findall(trace) if isinstance(trace, str) else []
    return str(causes[-1]).strip() if causes else ""


def _statement_of(error: BaseException) -> str | None:
    context = getattr(error, "context", None)
    if not isinstance(context, dict):
        return None
    found = context.get("operation-id") or context.get("query-id")
    return found if isinstance(found, str) else None


def _message(
    kind: type[e.Error],
    error: BaseException,
    text: str,
    status: int | None,
    condition: str | None,
    evidence: Evidence,
) -> str:
    advice = advice_on(
        kind,
        list(chain(error)),
        evidence.address,
        status=status,
        not_from_here=status == 403 and NO_ADDRESS.search(text) is not None,
        condition=condition,
        opening=evidence.opening,
        written=evidence.written,
    )
    words = (advice and advice.what) or _words(_most_telling(error), text, status)
    where = "" if evidence.address is None else f"{evidence.address}: "
    return f"{where}{words}" if advice is None else f"{where}{words}{e.ADVICE}{advice.step}."


def _words(error: BaseException, text: str, status: int | None) -> str:
    """What the exception says, or the answer in it."""
    text = text.strip(": \n") or type(error).__name__
    context = getattr(error, "context", None) or {}
    if context.get("method") and status is None:
        # The driver's own words are "Error during request to server. None".
        reason = context.get("original-exception")
        suffix = "" if reason in (None, "None", "") else f" ({reason})"
        text = f"the answer to {context['method']} was lost, or is none{suffix}"
    if status is not None:
        return f"the request was answered with status {status}: {text}"
    if not class_names(error)[0].startswith("databricks."):
        return f"{type(error).__name__}: {text}"
    return text
