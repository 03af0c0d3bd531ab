"""Connect arguments: the driver's own and ours, checked and completed before anything is sent."""

from __future__ import annotations

import os
import re
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vinci_code import __version__
from vinci_code.core.files import warn_if_exposed
from vinci_code.core.redaction import redact_exception
from vinci_code.database.dialect.dberrors import InterfaceError
from vinci_code.database.dialect.driver.advice import HTTPS_PORT, Address
from vinci_code.database.dialect.driver.credentials import RequestCredentials, take_credentials
from vinci_code.database.dialect.driver.headers import checked_headers
from vinci_code.database.dialect.driver.transport import Timeouts
from vinci_code.database.dialect.driver.waiting import START_TIMEOUT, Waiting
from vinci_code.database.dialect.forking import undisturbed

DOWNLOADS_AHEAD = 4
"""How many files of a large result are fetched before they are read.

The driver's own 10 take more than 300 MB while rows are read in batches.
"""

CONNECT_TIMEOUT = 20.0
"""Seconds after which a host that does not answer is given up."""

READ_TIMEOUT = 900.0
"""Seconds that an answer is waited for; the driver's own default for ``_socket_timeout``."""

_CA_FILE = "_tls_trusted_ca_file"
_OWN_FILE, _OWN_KEY = "_tls_client_cert_file", "_tls_client_cert_key_file"
_INITIAL_SCHEMA = "default"
# The driver puts both into an address as they are: RFC 3986, section 3.2.2 and 3.3 with a query.
_IS_HOST = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,252})|\[[0-9A-Fa-f:.]+\]").fullmatch
_HOST_AND_PORT = re.compile(r"[A-Za-z0-9._-]+:[0-9]+").fullmatch
_IS_PATH = re.compile(r"[!-~]+").fullmatch

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
        address: The warehouse, for messages.
        timeouts: How long answers are waited for.
        timeout: Seconds after which a statement is cancelled.
        start_timeout: Seconds that a warehouse is waited for.
        on_waiting: Called before each pause of such waiting.
    """

    for_driver: dict[str, Any] = field(repr=False)
    credentials: RequestCredentials | None
    address: Address
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
    host = _host(given)
    http_path = _http_path(given)
    port = _port(given)
    # Before anything of them is read: there may be a password for the key among them.
    credentials = take_credentials(given, host)
    _require_file(_CA_FILE, given.get(_CA_FILE))
    _require_file(_OWN_FILE, given.get(_OWN_FILE), with_key=not given.get(_OWN_KEY))
    _require_file(_OWN_KEY, given.get(_OWN_KEY), with_key=True)
    _require_certificates(given.get(_CA_FILE))
    _require_own_certificate(given)
    for name in ("catalog", "schema"):
        _require_text_or_nothing(name, given.get(name))
    _take_headers(given)
    connect_timeout = _seconds(given, "connect_timeout", CONNECT_TIMEOUT)
    read_timeout = _seconds(given, "_socket_timeout", READ_TIMEOUT)
    timeout = _seconds(given, "timeout", None)
    start_timeout = _seconds(given, "start_timeout", START_TIMEOUT)
    on_waiting = given.pop("on_waiting", None)
    for name in _OVERRULED:
        given.pop(name, None)
    given["server_hostname"], given["http_path"] = host, http_path
    _complete(given, credentials)
    ca_file = given.get(_CA_FILE)
    return Arguments(
        for_driver=given,
        credentials=credentials,
        address=Address(host, port, http_path, os.fspath(ca_file) if ca_file else None),
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
    given.setdefault("max_download_threads", DOWNLOADS_AHEAD)
    given["_retry_stop_after_attempts_count"] = 1


def _require_file(name: str, path: Any, *, with_key: bool = False) -> None:
    if path is None or path == "":
        return
    if not isinstance(path, (str, os.PathLike)) or not isinstance(os.fspath(path), str):
        raise InterfaceError(
            f"{name!r} has to be the path of a file; found {type(path).__name__}; nothing was sent"
            "\nTo fix it: give a str or a Path."
        )
    try:
        if Path(path).is_fifo():
            raise OSError("it is a pipe")  # which would be waited for
        with Path(path).open("rb"):
            pass
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        where = "connect_args or in DATABRICKS_CA_FILE" if name == _CA_FILE else "connect_args"
        raise InterfaceError(
            f"{name!r} names the file {os.fspath(path)!r}, which cannot be read: {reason}; nothing "
            f"was sent\nTo fix it: correct the path, in {where}."
        ) from error
    # Who can change the certificates that are trusted can have the token sent elsewhere.
    warn_if_exposed(Path(path), "a private key" if with_key else "")


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


def _require_own_certificate(given: Mapping[str, Any]) -> None:
    """Load a client's certificate as the driver will, but never ask a terminal for the password."""
    path, key = given.get(_OWN_FILE), given.get(_OWN_KEY)
    if key and not path:
        raise InterfaceError(
            f"{_OWN_KEY!r} is given without {_OWN_FILE!r}, so that it would not be used; nothing "
            "was sent\nTo fix it: name the certificate, too."
        )
    if not path:
        return
    password = given.get("_tls_client_cert_key_password")
    try:
        with undisturbed():
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_cert_chain(
                path, key or None, password=password or (lambda: b"")
            )
    except (OSError, TypeError, ValueError) as error:
        reason = getattr(error, "reason", None) or error
        named = os.fspath(path) if not key else f"{os.fspath(path)} and {os.fspath(key)}"
        raise InterfaceError(
            f"{_OWN_FILE!r} names {named}, which hold no certificate with its key that can be used "
            f"({reason}); nothing was sent\n"
            f"To fix it: name both in PEM form, the key in {_OWN_KEY!r} where it has a file of its "
            "own, and its password in '_tls_client_cert_key_password' where it has one."
        ) from redact_exception(error)


def _host(given: Mapping[str, Any]) -> str:
    host = _required_text(given, "server_hostname").strip()
    host = (host.partition("://")[2] or host).rstrip("/")
    if not _IS_HOST(host):
        has_port = _HOST_AND_PORT(host)
        raise InterfaceError(
            f"'server_hostname' is not the name of a host: {_shown(host)}; nothing was sent\n"
            + (
                "To fix it: give the port in '_port', as a number."
                if has_port
                else "To fix it: give the name alone, such as dbc-….cloud.databricks.com."
            )
        )
    return host


def _http_path(given: Mapping[str, Any]) -> str:
    path = _required_text(given, "http_path").strip()
    if not _IS_PATH(path):
        raise InterfaceError(
            f"'http_path' has a character that no path has: {_shown(path)}; nothing was sent\n"
            "To fix it: copy it again from the warehouse's connection details, such as "
            "/sql/1.0/warehouses/ID."
        )
    return path


def _port(given: Mapping[str, Any]) -> int:
    port = given.get("_port")
    if port is None:
        return HTTPS_PORT
    if isinstance(port, bool) or not isinstance(port, int) or not 0 < port < 65536:
        raise InterfaceError(
            f"'_port' has to be a number from 1 to 65535; found {_shown(port)}; nothing was sent\n"
            "To fix it: give an int, or leave it out, for 443."
        )
    return port


def _take_headers(given: dict[str, Any]) -> None:
    """Check what is sent with every request; the driver joins a list of its own to the headers."""
    headers = given.get("http_headers")
    if headers is not None:
        is_list = isinstance(headers, (list, tuple)) and all(
            isinstance(pair, (list, tuple)) and len(pair) == 2 for pair in headers
        )
        if not is_list:
            raise InterfaceError(
                "'http_headers' has to be a list of pairs of name and value; found "
                f"{type(headers).__name__}; nothing was sent\n"
                "To fix it: http_headers=[('name', 'value')]"
            )
        checked = checked_headers(headers, "'http_headers'")
        if any(name.lower() == "authorization" for name in checked):
            raise InterfaceError(
                "'http_headers' has the header Authorization, beside which there would be that of "
                "the credentials; nothing was sent\n"
                "To fix it: give 'access_token' or 'credentials_provider' instead."
            )
        given["http_headers"] = list(checked.items())
    for name in ("user_agent_entry", "_user_agent_entry"):
        entry = given.get(name)
        if entry is not None:
            # As the driver writes it. The vendor's dialect, where it is loaded, gives every engine
            # one that ends with a blank.
            value = f"({entry})" if isinstance(entry, str) else entry
            checked_headers([("User-Agent", value)], repr(name))


def _required_text(given: Mapping[str, Any], name: str) -> str:
    value = given.get(name)
    if value is not None and not isinstance(value, str):
        _require_text_or_nothing(name, value)
    if not value or not value.strip():
        raise InterfaceError(
            f"{name!r} is missing: give it in the engine's URL, "
            "databricks+vinci://HOST?http_path=/sql/1.0/warehouses/ID, or in connect_args"
        )
    return str(value)


def _require_text_or_nothing(name: str, value: object) -> None:
    if value is not None and not isinstance(value, str):
        raise InterfaceError(
            f"{name!r} has to be a text; found {type(value).__name__}; nothing was sent\n"
            "To fix it: give a str."
        )


def _shown(value: object) -> str:
    """A value in a message, cut short; it is no secret, unless one was pasted in its place."""
    return repr(value if not isinstance(value, str) or len(value) <= 80 else value[:77] + "…")


def _seconds(given: dict[str, Any], name: str, default: float | None) -> float | None:
    found = checked_seconds(name, given.pop(name, None))
    return default if found is None else found
