"""What requests of the statement execution API ask for, read and checked.

https://docs.databricks.com/api/workspace/statementexecution/executestatement; sessions, and the
disposition ``INLINE_OR_EXTERNAL_LINKS``, are not documented and follow what databricks-jdbc and
databricks-sql-kernel send. A field that is not known is refused by name: it might change what the
statement means.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from vinci_code.warehouse.engine.query_tags import QueryTags
from vinci_code.warehouse.sql.parameters import Parameter

INLINE, LINKS, EITHER = "INLINE", "EXTERNAL_LINKS", "INLINE_OR_EXTERNAL_LINKS"
JSON_ARRAY, ARROW_STREAM, CSV = "JSON_ARRAY", "ARROW_STREAM", "CSV"
LZ4_FRAME = "LZ4_FRAME"
CONTINUE, CANCEL = "CONTINUE", "CANCEL"

MAX_STATEMENT = 16 * 1024 * 1024
"""The largest statement, in bytes."""

_WAIT = re.compile(r"(\d{1,2})s")
_STATEMENT_FIELDS = frozenset(
    (
        "statement", "warehouse_id", "session_id", "catalog", "schema", "parameters", "row_limit",
        "byte_limit", "disposition", "format", "result_compression", "wait_timeout",
        "on_wait_timeout", "query_tags",
    )
)  # fmt: skip
_SESSION_FIELDS = frozenset(
    ("warehouse_id", "catalog", "schema", "session_confs", "execution_mode")
)


class ApiError(Exception):
    """A request is refused.

    Attributes:
        status: The HTTP status.
        code: The error code.
        message: Why.
    """

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message


@dataclass(frozen=True)
class SessionRequest:
    """What a new session shall be like."""

    warehouse_id: str
    catalog: str | None
    schema: str | None
    configuration: Mapping[str, str]


@dataclass(frozen=True)
class StatementRequest:
    """A statement, and how its result is wanted; ``wait`` is in seconds."""

    text: str
    warehouse_id: str
    session_id: str | None
    catalog: str | None
    schema: str | None
    parameters: Sequence[Parameter] = field(repr=False)
    row_limit: int | None
    byte_limit: int | None
    disposition: str
    format: str
    lz4: bool
    wait: float
    cancels: bool
    tags: QueryTags


def read_body(body: bytes) -> dict[str, Any]:
    """The fields of a request.

    Raises:
        ApiError: It is no JSON object.
    """
    try:
        content = json.loads(body or b"{}")
    except (ValueError, RecursionError) as error:
        raise ApiError(400, "MALFORMED_REQUEST", f"The body is no JSON: {error}") from error
    if not isinstance(content, dict):
        raise ApiError(400, "MALFORMED_REQUEST", "The body is no JSON object.")
    return content


def session_request(body: Mapping[str, Any]) -> SessionRequest:
    """Read the request for a session.

    Raises:
        ApiError: It cannot be understood.
    """
    _check_fields(body, _SESSION_FIELDS)
    _one_of(body, "execution_mode", "FAST", ("FAST",))
    given = body.get("session_confs") or {}
    if not isinstance(given, dict) or not all(isinstance(item, str) for item in given.values()):
        raise _invalid("session_confs must be an object of texts")
    return SessionRequest(
        _text(body, "warehouse_id") or "", _text(body, "catalog"), _text(body, "schema"), given
    )


def statement_request(body: Mapping[str, Any]) -> StatementRequest:
    """Read the request to run a statement.

    Raises:
        ApiError: It cannot be understood, or goes beyond a limit.
    """
    _check_fields(body, _STATEMENT_FIELDS)
    text = _text(body, "statement")
    if not text:
        raise _invalid("statement is required")
    if len(text.encode()) > MAX_STATEMENT:
        raise _invalid(f"statement is longer than {MAX_STATEMENT} bytes")
    session_id = _text(body, "session_id")
    catalog, schema = _text(body, "catalog"), _text(body, "schema")
    if session_id and (catalog or schema):
        raise _invalid("catalog and schema belong to the session, where there is a session_id")
    disposition = _one_of(body, "disposition", INLINE, (INLINE, LINKS, EITHER))
    form = _one_of(body, "format", JSON_ARRAY, (JSON_ARRAY, ARROW_STREAM, CSV))
    if disposition == INLINE and form != JSON_ARRAY:
        raise _invalid(f"the disposition INLINE is for the format JSON_ARRAY, found {form}")
    if disposition == EITHER and form == CSV:
        raise _invalid("the format CSV is for the disposition EXTERNAL_LINKS")
    compression = _one_of(body, "result_compression", "NONE", ("NONE", LZ4_FRAME))
    return StatementRequest(
        text,
        _text(body, "warehouse_id") or "",
        session_id,
        catalog,
        schema,
        _parameters(body.get("parameters")),
        _count(body, "row_limit"),
        _count(body, "byte_limit"),
        disposition,
        form,
        compression == LZ4_FRAME and form == ARROW_STREAM,
        _seconds(body.get("wait_timeout")),
        _one_of(body, "on_wait_timeout", CONTINUE, (CONTINUE, CANCEL)) == CANCEL,
        _tags(body.get("query_tags")),
    )


def _check_fields(body: Mapping[str, Any], known: frozenset[str]) -> None:
    unknown = sorted(set(body) - known)
    if unknown:
        raise ApiError(
            400,
            "UNSUPPORTED_BY_LOCAL_WAREHOUSE",
            "[UNSUPPORTED_BY_LOCAL_WAREHOUSE] The local warehouse does not have the field "
            f"{unknown[0][:100]!a} of this request. SQLSTATE: 0A000",
        )


def _text(body: Mapping[str, Any], name: str) -> str | None:
    value = body.get(name)
    if value is None or isinstance(value, str):
        return value or None
    raise _invalid(f"{name} must be a text")


def _count(body: Mapping[str, Any], name: str) -> int | None:
    value = body.get(name)
    # Numbers of 64 bits may travel as texts in this API.
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 19:
        value = int(value)
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or not 0 < value < 2**63:
        raise _invalid(f"{name} must be a positive whole number")
    return value


def _one_of(body: Mapping[str, Any], name: str, usual: str, values: Sequence[str]) -> str:
    value = body.get(name)
    if value is None:
        return usual
    if value not in values:
        raise _invalid(f"{name} must be one of {', '.join(values)}, found {str(value)[:100]!a}")
    return str(value)


def _seconds(value: object) -> float:
    if value is None:
        return 10.0
    match = _WAIT.fullmatch(value) if isinstance(value, str) else None
    seconds = int(match.group(1)) if match else -1
    if seconds != 0 and not 5 <= seconds <= 50:
        raise _invalid("wait_timeout must be 0s or between 5s and 50s")
    return float(seconds)


def _parameters(given: object) -> tuple[Parameter, ...]:
    if given is None:
        return ()
    if not isinstance(given, list):
        raise _invalid("parameters must be a list")
    items = [_parameter(item) for item in given]
    ordinals = [ordinal for ordinal, _ in items if ordinal is not None]
    if ordinals and sorted(ordinals) != list(range(1, len(items) + 1)):
        raise _invalid("parameters have names, or the ordinals 1, 2 and so on, each once")
    if ordinals:
        items.sort(key=lambda item: item[0] or 0)
    return tuple(parameter for _, parameter in items)


def _parameter(item: object) -> tuple[int | None, Parameter]:
    if not isinstance(item, dict):
        raise _invalid("a parameter must be an object")
    unknown = sorted(set(item) - {"name", "ordinal", "type", "value"})
    if unknown:
        raise _invalid(f"a parameter has no field {unknown[0][:100]!a}")
    name, kind, value = _text(item, "name"), _text(item, "type") or "STRING", item.get("value")
    ordinal = item.get("ordinal")
    if value is not None and not isinstance(value, str):
        raise _invalid("the value of a parameter must be a text or null")
    if (name is None) == (ordinal is None):
        raise _invalid("a parameter must have a name or an ordinal")
    if ordinal is not None and (not isinstance(ordinal, int) or isinstance(ordinal, bool)):
        raise _invalid("the ordinal of a parameter must be a whole number")
    if kind.upper() == "VOID" or value is None:
        return ordinal, Parameter(name, kind)
    return ordinal, Parameter(name, kind, value)


def _tags(given: object) -> QueryTags:
    if given is None:
        return {}
    if not isinstance(given, list) or not all(isinstance(item, dict) for item in given):
        raise _invalid("query_tags must be a list of objects with key and value")
    tags: QueryTags = {}
    for item in given:
        key = _text(item, "key")
        if key is None:
            raise _invalid("a query tag must have a key")
        tags[key] = _text(item, "value")
    return tags


def _invalid(message: str) -> ApiError:
    return ApiError(400, "INVALID_PARAMETER_VALUE", f"Invalid request: {message}.")
