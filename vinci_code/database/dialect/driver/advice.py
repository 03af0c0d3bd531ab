"""What to do about a failure on the way to a warehouse, and at it: the end of an error's message.

What happened is known from classes, from OpenSSL's codes, from HTTP statuses and from the names of
conditions. An engine may be made of a URL or out of the settings: both names of what is to be
corrected are told.
"""

from __future__ import annotations

import errno
import socket
import ssl
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

from vinci_code.database.dialect import dberrors as e

HTTPS_PORT = 443


@dataclass(frozen=True)
class Address:
    """A warehouse, for the words of a message.

    Attributes:
        host: Name of the workspace.
        port: Its port.
        http_path: Path of the warehouse.
        ca_file: The file with the CAs that are trusted; ``None``: those of the system.
    """

    host: str
    port: int
    http_path: str
    ca_file: str | None = None

    @property
    def server(self) -> str:
        """Host and port, where that is another one than 443."""
        return self.host if self.port == HTTPS_PORT else f"{self.host}:{self.port}"

    def __str__(self) -> str:
        return f"the SQL warehouse {self.http_path} of {self.server}"


class Distrust(Enum):
    """Why a certificate is not accepted."""

    NAME = "name"
    TIME = "time"
    AUTHORITY = "authority"


class Advice(NamedTuple):
    """What a message says beside what the warehouse, or the exception, says.

    Attributes:
        what: What happened, in place of the exception's own words; empty where those are better.
        step: What to do.
    """

    what: str
    step: str


# https://docs.openssl.org/master/man3/X509_STORE_CTX_get_error/#error-codes
_BY_TIME = frozenset({9, 10})  # NOT_YET_VALID, HAS_EXPIRED
_BY_NAME = frozenset({62, 64})  # HOSTNAME_MISMATCH, IP_ADDRESS_MISMATCH

_COPY_PATH = (
    "copy the HTTP path again (SQL Warehouses > your warehouse > Connection details > HTTP path) "
    "into 'http_path' of the engine's URL or DATABRICKS_HTTP_PATH, and check that the host is the "
    "workspace that it is in; a warehouse that was deleted has to be replaced by another one"
)
_NAMESPACE = (
    "correct the name where the statement has it, or 'catalog' and 'schema' of the engine's URL "
    "(DATABRICKS_CATALOG, DATABRICKS_SCHEMA); Catalog in the workspace shows what there is"
)
_CREDENTIALS = (
    "check that the credentials belong to this workspace and have neither expired nor been "
    "revoked, and create new ones if in doubt"
)
_SPEAKS_THRIFT = "use a serverless, pro or classic SQL warehouse"

_NO_NAMESPACE = frozenset(
    {
        "CATALOG_NOT_FOUND",
        "NO_SUCH_CATALOG",
        "NO_SUCH_CATALOG_EXCEPTION",
        "NO_SUCH_DATABASE",
        "SCHEMA_NOT_FOUND",
    }
)
_STEPS: dict[type[e.Error], str] = {
    e.AuthenticationFailed: _CREDENTIALS,
    e.PermissionDenied: "ask the owner of the data for the privilege that is missing; USE CATALOG "
    "and USE SCHEMA are needed beside that on the table",
    e.SessionLostError: "run the unit of work again; it gets a new session",
    e.ResultExpired: "fetch the rows without long pauses, or run the query again",
    e.ProtocolUnsupported: _SPEAKS_THRIFT,
    e.ConflictError: "read the rows again and repeat the whole unit of work",
}


def distrust(error: ssl.SSLCertVerificationError) -> Distrust:
    """Why a certificate is not accepted, by the code of OpenSSL."""
    code = getattr(error, "verify_code", 0)
    if code in _BY_NAME:
        return Distrust.NAME
    return Distrust.TIME if code in _BY_TIME else Distrust.AUTHORITY


def advice_on(
    kind: type[e.Error],
    causes: Sequence[BaseException],
    address: Address | None,
    *,
    status: int | None = None,
    not_from_here: bool = False,
    condition: str | None = None,
    opening: bool = False,
    written: bool = False,
) -> Advice | None:
    """What to say about a failure, or ``None`` where nothing is known to help.

    Args:
        kind: The exception that it becomes.
        causes: Every exception in it, the outermost first.
        address: The warehouse; ``None`` where it is an answer of the warehouse that failed.
        status: The HTTP status, where that is one of a refusal.
        not_from_here: Whether the workspace says that it takes no request from this network.
        condition: Databricks' name of the condition.
        opening: Whether a session was being opened, so that nothing was asked of the warehouse.
        written: Whether the request had begun to be written, over a connection that was made.
    """
    if status is not None:
        return _on_status(kind, status, address, not_from_here=not_from_here, opening=opening)
    if address is not None:
        found = _on_the_way(causes, address, opening=opening, written=written)
        if found is not None:
            return found
    if (condition or "").partition(".")[0] in _NO_NAMESPACE:
        return Advice("", _NAMESPACE)
    step = _STEPS.get(kind)
    return None if step is None else Advice("", step)


def _on_status(
    kind: type[e.Error],
    status: int,
    address: Address | None,
    *,
    not_from_here: bool,
    opening: bool,
) -> Advice | None:
    if not_from_here:
        return Advice(
            "",
            "ask a workspace admin to add this network to the IP access list, or connect from one "
            "that is on it",
        )
    if issubclass(kind, e.PermissionDenied):
        return Advice("", "ask the owner of the warehouse for the permission CAN USE on it")
    # What is refused while a session is opened has nothing to do with a statement.
    if status == 404 or (status == 400 and opening):
        return Advice("", _COPY_PATH)
    if 300 <= status < 400:
        server = "it" if address is None else address.server
        return Advice(
            "",
            f"check that {server} is the workspace itself and not a page that leads there, in the "
            "engine's URL or DATABRICKS_SERVER_HOSTNAME",
        )
    if status >= 500 and opening:
        return Advice(
            "", "try again in a few minutes; if it stays, look at the workspace's status page"
        )
    step = _STEPS.get(kind)
    return None if step is None else Advice("", step)


def _on_the_way(
    causes: Sequence[BaseException], address: Address, *, opening: bool, written: bool
) -> Advice | None:
    """What kept a request from the workspace, or its answer from us; the most specific first."""
    for error in causes:
        if isinstance(error, ssl.SSLCertVerificationError):
            return _on_certificate(error, address)
    # urllib3 says ProxyError of a tunnel that breaks later, too.
    if not written and _any_named(causes, "urllib3.exceptions.ProxyError"):
        return Advice(
            f"the proxy that HTTPS_PROXY names cannot be used: {_innermost(causes)}",
            "correct HTTPS_PROXY (after 407 with the user name and password that it wants), have "
            f"the proxy allow {address.host}:{address.port}, or add {address.host} to NO_PROXY if "
            "it can be reached without",
        )
    if any(isinstance(error, socket.gaierror) for error in causes):
        return Advice(
            f"the name {address.host} does not resolve to an address ({_innermost(causes)})",
            "check the host in the engine's URL or DATABRICKS_SERVER_HOSTNAME for typing errors; "
            "if it is right, this machine's DNS and network (a workspace with private link only "
            "resolves inside of its network)",
        )
    if any(_is_no_tls(error) for error in causes):
        return Advice(
            f"{address.server} answered, but not with TLS that can be used ({_innermost(causes)})",
            "check that the host in the engine's URL or DATABRICKS_SERVER_HOSTNAME is the "
            "workspace itself; if a proxy or firewall is in between, ask whoever runs it to let "
            "TLS to the workspace through",
        )
    if any(_is_unreachable(error) for error in causes):
        return Advice(
            f"{address.host}, port {address.port}, cannot be reached: {_innermost(causes)}",
            f"{_network_to(address)}; where a proxy is required, set HTTPS_PROXY",
        )
    if _any_named(causes, "urllib3.exceptions.ConnectTimeoutError") or (
        opening and _any_named(causes, "urllib3.exceptions.ReadTimeoutError")
    ):
        return Advice(
            f"{address.host}, port {address.port}, did not answer in time",
            f"{_network_to(address)}; where a proxy is required, set HTTPS_PROXY; if it is only "
            "slow, raise 'connect_timeout' in connect_args",
        )
    return None


def _on_certificate(error: ssl.SSLCertVerificationError, address: Address) -> Advice:
    reason = error.verify_message or str(error)
    shown = f"the certificate that {address.server} shows"
    why = distrust(error)
    if why is Distrust.NAME:
        return Advice(
            f"{shown} is for another name ({reason})",
            "check the host in the engine's URL or DATABRICKS_SERVER_HOSTNAME; if it is right, "
            "something between here and the workspace answers in its place: ask whoever runs the "
            "network",
        )
    if why is Distrust.TIME:
        return Advice(
            f"{shown} is out of date ({reason})",
            "check this machine's clock; if it is right, the certificate has to be renewed by "
            "whoever runs the proxy or the workspace",
        )
    trusted = "the system's CA store" if address.ca_file is None else f"the file {address.ca_file}"
    return Advice(
        f"{shown} is signed by a CA that is not in {trusted} ({reason}), as where a proxy looks "
        "into TLS",
        "get the CA's certificate (PEM) from whoever runs the proxy or network, and name its file "
        "in '_tls_trusted_ca_file' of connect_args or in DATABRICKS_CA_FILE; 'vinci check' shows "
        "who has signed it; certificates are always verified",
    )


def _network_to(address: Address) -> str:
    return (
        "check the network, VPN and firewall: this machine must be allowed to open outbound "
        f"connections to {address.host} on port {address.port}"
    )


# A connection that was there, and broke: no sign of what answers in the workspace's place.
_BROKEN = (ssl.SSLEOFError, ssl.SSLZeroReturnError, ssl.SSLSyscallError)
_NOT_THERE = frozenset({errno.EHOSTUNREACH, errno.ENETUNREACH})


def _is_no_tls(error: BaseException) -> bool:
    return isinstance(error, ssl.SSLError) and not isinstance(error, _BROKEN)


def _is_unreachable(error: BaseException) -> bool:
    if isinstance(error, ConnectionRefusedError):
        return True
    return isinstance(error, OSError) and error.errno in _NOT_THERE


def _any_named(causes: Sequence[BaseException], name: str) -> bool:
    return any(name in _names_of(error) for error in causes)


def _names_of(error: BaseException) -> Iterator[str]:
    # By name: the driver's dependencies are imported by the adapter alone.
    for kind in type(error).__mro__:
        yield f"{kind.__module__}.{kind.__qualname__}"


def _innermost(causes: Sequence[BaseException]) -> str:
    """The words of what happened first: those around it only repeat it, with names of classes."""
    by_system = [error for error in causes if isinstance(error, OSError)]
    error = by_system[-1] if by_system else causes[-1]
    reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return str(reason).splitlines()[0]
