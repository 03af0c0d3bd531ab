"""From an engine's URL to connect arguments.

A token may come in a URL, since that is how the upstream dialect wants it; it does not stay there.
``create_connect_args`` hands it on as a secret that shows nothing, and ``without_credentials`` is
what an engine is to keep.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy.engine import URL
from sqlalchemy.exc import ArgumentError

from vinci_code.core.redaction import Secret, register_secret
from vinci_code.database.dialect.driver.logins import why_refused

FORM = (
    "databricks+vinci://HOST[:PORT]?http_path=/sql/1.0/warehouses/ID&catalog=CATALOG&schema=SCHEMA"
)
"""What is accepted; ``token:TOKEN@`` may stand before the host."""

_TEXTS = ("http_path", "catalog", "schema", "user_agent_entry", "_tls_trusted_ca_file")
_NUMBERS = ("connect_timeout", "timeout", "start_timeout", "_socket_timeout")
_TOKEN_USER = "token"  # noqa: S105 - the name that stands where a user name would


def create_connect_args(url: URL) -> dict[str, Any]:
    """The connect arguments that a URL names, by the driver's own names.

    Raises:
        ArgumentError: The URL has a part that means nothing here.
    """
    if not url.host:
        raise _unusable("it names no host")
    arguments: dict[str, Any] = {"server_hostname": url.host}
    if url.port is not None:
        arguments["_port"] = url.port
    if url.database:
        raise _unusable(f"/{url.database} stands where no path is expected; use 'catalog='")
    arguments.update(_from_query(url))
    token = _token(url)
    if token is not None:
        arguments["access_token"] = token
    return arguments


def without_credentials(url: URL) -> URL:
    """The same URL without user name and password, for an engine to keep."""
    if url.username is None and url.password is None:
        return url
    return URL.create(
        url.drivername, host=url.host, port=url.port, database=url.database, query=url.query
    )


def _from_query(url: URL) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in url.query.items():
        if name not in _TEXTS + _NUMBERS:
            refusal = why_refused(name, value)
            if refusal is not None:
                raise _unusable(f"of its query, {refusal.rstrip('.')}")
            raise _unusable(
                f"its query has {name!r}, which is none of {', '.join(_TEXTS + _NUMBERS)}; give "
                "other arguments of the driver in connect_args"
            )
        if not isinstance(value, str):
            raise _unusable(f"its query has {name!r} more than once")
        found[name] = _number(name, value) if name in _NUMBERS else value
    return found


def _number(name: str, value: str) -> float:
    try:
        return float(value)
    except ValueError:
        raise _unusable(f"{name!r} is to be a number of seconds; found {value!r}") from None


def _token(url: URL) -> Secret | None:
    if url.username is None and url.password is None:
        return None
    if url.password:
        # Before anything can be said about it.
        register_secret(str(url.password))
    if url.username != _TOKEN_USER or not url.password:
        raise _unusable(
            "what stands before '@' is to be 'token:' and an access token, or nothing at all"
        )
    return Secret(str(url.password))


def _unusable(why: str) -> ArgumentError:
    return ArgumentError(f"the URL cannot be used: {why}. Accepted is {FORM}")
