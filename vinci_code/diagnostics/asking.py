"""Questions to the workspace's REST API: none of them wakes a warehouse, nor keeps it awake."""

from __future__ import annotations

import json
import math
import time
from typing import TYPE_CHECKING, Any

from vinci_code.core.errors import AuthenticationError, DatabricksConnectionError
from vinci_code.core.redaction import redact, redact_exception
from vinci_code.database.databricks.failures import connection_error, refused_by_status
from vinci_code.database.databricks.http import MAX_REPLY_BYTES, Reply, request
from vinci_code.database.dialect.driver.translation import NO_ADDRESS
from vinci_code.database.dialect.driver.waiting import seconds_in
from vinci_code.database.dialect.interruptions import is_from_signal

if TYPE_CHECKING:
    from vinci_code.database.databricks_connector import DatabricksConnector

TIMEOUT = 20.0
"""Seconds that connecting, and each read of an answer, may take."""

WHO_AM_I = "/api/2.0/preview/scim/v2/Me"
"""Who is signed in (https://docs.databricks.com/api/workspace/currentuser/me)."""

WAREHOUSE = "/api/2.0/sql/warehouses/"
"""A warehouse and its state, with its id behind (…/api/workspace/warehouses/get)."""

PATIENCE = 30.0
"""Seconds that 429 and 503 are waited out, altogether."""

_NOT_NOW = frozenset({429, 503})
_FIRST_PAUSE = 1.0
_SHOWN = 300
# What a workspace says of a token that it does not know (recorded in databricks-jdbc's tests).
_UNKNOWN_TOKEN = "Invalid access token"  # noqa: S105 - what is said of one


def ask(
    connector: DatabricksConnector,
    path: str,
    *,
    timeout: float = TIMEOUT,
    most: int = MAX_REPLY_BYTES,
) -> Reply:
    """Ask once, and return the answer, whatever its status is.

    Args:
        connector: Where, and as whom.
        path: Path and query.
        timeout: Seconds that connecting and each read may take.
        most: The most bytes that are read.

    Raises:
        OSError: No answer; see ``http.request``.
    """
    headers = dict(connector.credentials.headers())
    workspace = workspace_of(connector)
    if workspace:
        # Which of several workspaces on one host is meant (session.py of the driver).
        headers["x-databricks-org-id"] = workspace
    return request(
        "GET",
        connector.host,
        connector.port,
        path,
        timeout=timeout,
        ca_file=connector.target.ca_file,
        headers=headers,
        most=most,
    )


def ask_once(connector: DatabricksConnector, path: str, *, most: int = MAX_REPLY_BYTES) -> Reply:
    """Like ``ask``, but what goes wrong on the way is explained.

    Raises:
        AuthenticationError: There are no credentials to be had.
        DatabricksConnectionError: There was no answer; the message says what to do.
    """
    try:
        return ask(connector, path, most=most)
    except Exception as error:
        if is_from_signal(error):
            raise
        raise connection_error(connector.explain(error)) from redact_exception(error)


def workspace_of(connector: DatabricksConnector) -> str:
    """The id of the workspace, where the path of the warehouse tells it; else ``""``."""
    return connector.http_path.partition("?o=")[2]


def answer_of(
    connector: DatabricksConnector,
    path: str,
    what: str,
    *,
    right: str,
    patience: float = PATIENCE,
    most: int = MAX_REPLY_BYTES,
) -> Reply:
    """Ask, wait while the workspace says that it is too busy, and return what was answered well.

    Args:
        connector: As of ``ask``, like ``path`` and ``most``.
        path: As of ``ask``.
        what: What is asked for, in words: "the query history".
        right: What a user needs who is refused it.
        patience: Seconds that 429 and 503 are waited out.
        most: As of ``ask``.

    Raises:
        AuthenticationError: The credentials are not accepted, or may not see it.
        DatabricksConnectionError: Anything else; the message says what to do.
    """
    until = time.monotonic() + patience
    pause = _FIRST_PAUSE
    while True:
        reply = ask_once(connector, path, most=most)
        if reply.ok:
            return reply
        wanted = max(pause, seconds_in(reply.headers.get("retry-after")) or 0.0)
        if reply.status not in _NOT_NOW or time.monotonic() + wanted > until:
            raise refused(connector, reply, what, right)
        time.sleep(wanted)
        pause *= 2


def content_of(connector: DatabricksConnector, reply: Reply, what: str) -> dict[str, Any]:
    """The JSON object of an answer.

    Raises:
        DatabricksConnectionError: It is none.
    """
    try:
        content = json.loads(reply.body)
    except (ValueError, RecursionError):
        raise unexpected(connector, what, "no JSON") from None
    if not isinstance(content, dict):
        raise unexpected(connector, what, f"JSON that is no object, but {type(content).__name__}")
    return content


def unexpected(connector: DatabricksConnector, what: str, found: str) -> DatabricksConnectionError:
    """The error for an answer that is not what the API is documented to give."""
    return DatabricksConnectionError(
        f"{connector.target} answered the question for {what} with {found}. To fix it: check that "
        "DATABRICKS_SERVER_HOSTNAME is the workspace itself, and that no proxy answers in its place"
    )


def refused(
    connector: DatabricksConnector, reply: Reply, what: str, right: str
) -> DatabricksConnectionError:
    """The error for an answer with a status that is none of success; see ``answer_of``."""
    target = connector.target
    message = redact(reply.message())[:_SHOWN]
    said = f" It said: {message}" if message else ""
    if reply.status == 403 and not (_UNKNOWN_TOKEN in message or NO_ADDRESS.search(message)):
        return AuthenticationError(
            f"{target} does not show {what} to who {target.auth} belongs to (status 403).{said} "
            f"To fix it: {right}"
        )
    if reply.status in (400, 404):
        return DatabricksConnectionError(
            f"{target} did not answer the question for {what} (status {reply.status}).{said} "
            "To fix it: check that DATABRICKS_SERVER_HOSTNAME is the workspace itself, and that "
            "DATABRICKS_HTTP_PATH is a warehouse in it"
        )
    if reply.status in _NOT_NOW:
        after = seconds_in(reply.headers.get("retry-after"))
        when = "in a minute" if after is None or math.isinf(after) else f"in {after:g} s"
        return DatabricksConnectionError(
            f"{target} takes no question for {what} now (status {reply.status}).{said} "
            f"To fix it: try again {when}"
        )
    failure = refused_by_status(reply.status, message, target)
    if failure is None:
        return unexpected(connector, what, f"status {reply.status}")
    return connection_error(failure)
