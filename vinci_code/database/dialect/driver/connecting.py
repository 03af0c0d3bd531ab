"""Connect arguments: the driver's own and ours, checked and completed before anything is sent."""

from __future__ import annotations

import os
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vinci_code import __version__
from vinci_code.database.dialect.dberrors import InterfaceError
from vinci_code.database.dialect.driver.credentials import RequestCredentials, take_credentials
from vinci_code.database.dialect.driver.transport import Timeouts
from vinci_code.database.dialect.driver.waiting import START_TIMEOUT, Waiting
from vinci_code.database.dialect.forking import undisturbed

CONNECT_TIMEOUT = 20.0
"""Seconds after which a host that does not answer is given up."""

READ_TIMEOUT = 900.0
"""Seconds that an answer is waited for; the driver's own default for ``_socket_timeout``."""

_HTTPS_PORT = 443
_CA_FILE = "_tls_trusted_ca_file"
_FILES = (_CA_FILE, "_tls_client_cert_file", "_tls_client_cert_key_file")
_INITIAL_SCHEMA = "default"

# What would undo what the dialect is for, and what to do instead.
_REFUSED: dict[str, tuple[Callable[[Any], bool], str]] = {
    "_tls_no_verify": (
        bool,
        "certificates are always verified; name the CA that signs them in '_tls_trusted_ca_file'",
    ),
    "_tls_verify_hostname": (
        lambda value: not value,
        "host names are always verified; connect by the name that is in the certificate",
    ),
    "_connection_uri": (bool, "give 'server_hostname', '_port' and 'http_path' instead"),
    "use_kernel": (bool, "the dialect uses the Thrift protocol, which is the driver's default"),
    "use_sea": (bool, "the dialect uses the Thrift protocol, which is the driver's default"),
    "use_inline_params": (
        bool,
        "values are bound, and written as literals where they are too many to be; leave it out",
    ),
    "session_configuration": (
        lambda value: any(str(name).upper() == "AUTOCOMMIT" for name in value or ()),
        "leave AUTOCOMMIT out of it; 'isolation_level' of create_engine says what a commit is",
    ),
    "username": (bool, "use 'access_token' or 'credentials_provider'"),
    "password": (bool, "use 'access_token' or 'credentials_provider'"),
}

# Decided here, whatever is given: see transport.py.
_OVERRULED = (
    "_retry_delay_min",
    "_retry_delay_max",
    "_retry_delay_default",
    "_retry_stop_after_attempts_count",
    "_retry_stop_after_attempts_duration",
    "_retry_dangerous_codes",
    "_retry_max_redirects",
    "_enable_v3_retries",
    "_respect_server_retry_after_header",
    "ignore_transactions",
    "fetch_autocommit_from_server",
)


@dataclass(frozen=True)
class Arguments:
    """What a connection is opened with.

    Attributes:
        for_driver: The driver's arguments; no secret that ``credentials`` can stand for is in them.
        credentials: What requests are signed with; ``None`` where the driver sees to that.
        where: The warehouse, in words.
        timeouts: How long answers are waited for.
        timeout: Seconds after which a statement is cancelled.
        start_timeout: Seconds that a warehouse is waited for.
        on_waiting: Called before each pause of such waiting.
    """

    for_driver: dict[str, Any] = field(repr=False)
    credentials: RequestCredentials | None
    where: str
    timeouts: Timeouts
    timeout: float | None
    start_timeout: float
    on_waiting: Callable[[Waiting], object] | None


def settle(arguments: dict[str, Any]) -> Arguments:
    """Check and complete connect arguments, and empty their dict: no secret stays in it.

    Raises:
        InterfaceError: Some of them cannot be used.
    """
    given = dict(arguments)
    arguments.clear()
    for name, (is_refused, instead) in _REFUSED.items():
        if name in given and is_refused(given[name]):
            raise InterfaceError(f"{name!r} cannot be used with this dialect: {instead}")
    for name in _FILES:
        _require_file(name, given.get(name))
    _require_certificates(given.get(_CA_FILE))
    host = _required_text(given, "server_hostname").strip().rstrip("/")
    host = host.partition("://")[2] or host
    http_path = _required_text(given, "http_path")
    port = given.get("_port") or _HTTPS_PORT
    credentials = take_credentials(given, host)
    connect_timeout = _seconds(given, "connect_timeout", CONNECT_TIMEOUT)
    read_timeout = _seconds(given, "_socket_timeout", READ_TIMEOUT)
    timeout = _seconds(given, "timeout", None)
    start_timeout = _seconds(given, "start_timeout", START_TIMEOUT)
    on_waiting = given.pop("on_waiting", None)
    for name in _OVERRULED:
        given.pop(name, None)
    given["server_hostname"] = host
    _complete(given, credentials)
    named = host if port == _HTTPS_PORT else f"{host}:{port}"
    return Arguments(
        for_driver=given,
        credentials=credentials,
        where=f"the SQL warehouse {http_path} of {named}",
        timeouts=Timeouts(connect_timeout or CONNECT_TIMEOUT, read_timeout or READ_TIMEOUT),
        timeout=timeout,
        start_timeout=START_TIMEOUT if start_timeout is None else start_timeout,
        on_waiting=on_waiting,
    )


def checked_seconds(name: str, value: Any) -> float | None:
    """What was given as a number of seconds; ``None`` stands for itself.

    Raises:
        InterfaceError: It is no such number.
    """
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not value >= 0:
        raise InterfaceError(f"{name!r} has to be a number of seconds; found {value!r}")
    return float(value)


def initial_schema(arguments: Mapping[str, Any]) -> str:
    """The schema that a session opened with these arguments is in, as Unity Catalog writes it."""
    return str(arguments.get("schema") or _INITIAL_SCHEMA).lower()


def _complete(given: dict[str, Any], credentials: RequestCredentials | None) -> None:
    if credentials is not None:
        given["credentials_provider"] = credentials
    given.setdefault("user_agent_entry", f"vinci_code/{__version__}")
    # On by default, and then asks port 443 of the host at every connect, whatever the port.
    given.setdefault("enable_telemetry", False)
    given["_retry_stop_after_attempts_count"] = 1


def _require_file(name: str, path: Any) -> None:
    if not path:
        return
    try:
        with Path(path).open("rb"):
            pass
    except (OSError, TypeError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InterfaceError(
            f"{name!r} names the file {os.fspath(path)!r}, which cannot be read: {reason}; nothing "
            "was sent\nTo fix it: correct the path, in connect_args or in DATABRICKS_CA_FILE."
        ) from error


def _require_certificates(path: Any) -> None:
    if not path:
        return
    try:
        with undisturbed():
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(path)
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", None) or error
        raise InterfaceError(
            f"{_CA_FILE!r} names the file {os.fspath(path)!r}, which holds no certificates that "
            f"can be read ({reason}); nothing was sent\n"
            "To fix it: name a file of certificates in PEM form (-----BEGIN CERTIFICATE-----)."
        ) from error


def _required_text(given: dict[str, Any], name: str) -> str:
    value = given.get(name)
    if not isinstance(value, str) or not value.strip():
        raise InterfaceError(
            f"{name!r} is missing: give it in the engine's URL, "
            "databricks+vinci://HOST?http_path=/sql/1.0/warehouses/ID, or in connect_args"
        )
    return value


def _seconds(given: dict[str, Any], name: str, default: float | None) -> float | None:
    found = checked_seconds(name, given.pop(name, None))
    return default if found is None else found
