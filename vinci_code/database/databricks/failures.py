"""What can go wrong between here and a warehouse, in words, and what to do about it.

Each kind of trouble is described once, here, whether the driver ran into it or a check did.
``databricks/explain.py`` finds out which of them an exception is.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path

from vinci_code.core.errors import (
    AuthenticationError,
    DatabricksConnectionError,
    DeadlineExceededError,
)
from vinci_code.database.databricks.http import ProxyRefusedError, Reply, proxy_for
from vinci_code.database.dialect.driver.translation import NO_ADDRESS, NO_PERMISSION


class Kind(Enum):
    """What sort of trouble it is."""

    CONFIGURATION = "configuration"
    NAME = "name resolution"
    NETWORK = "network"
    PROXY = "proxy"
    TLS = "tls"
    AUTHENTICATION = "authentication"
    PERMISSION = "permission"
    PATH = "path"
    STARTING = "starting"
    TIMEOUT = "timeout"
    PROTOCOL = "protocol"
    NAMESPACE = "namespace"
    SERVER = "server"


@dataclass(frozen=True)
class Target:
    """What was contacted, for the words of a message.

    Attributes:
        host: Name of the workspace.
        port: Its port.
        http_path: Path of the warehouse.
        auth: The auth method in words: "the personal access token".
        ca_file: The CA bundle in use, if it is not the system's.
    """

    host: str
    port: int
    http_path: str
    auth: str
    ca_file: Path | None = None

    def __str__(self) -> str:
        return self.host if self.port == 443 else f"{self.host}:{self.port}"


@dataclass(frozen=True)
class Failure:
    """What went wrong, and what to do about it.

    Attributes:
        kind: What sort of trouble it is.
        cause: What happened, on what; without a secret.
        next_step: The one thing to do next.
        checks_tell_more: Whether 'vinci check' finds out more than is known here.
    """

    kind: Kind
    cause: str
    next_step: str
    checks_tell_more: bool = False

    def __str__(self) -> str:
        return f"{self.cause} To fix it: {self.next_step}"


MEANWHILE = "to keep working meanwhile: set DATABRICKS_FALLBACK=sqlite"
"""What can be done where it is off, and the warehouse may be back in a while."""

_MAY_BE_OVER = frozenset({Kind.NAME, Kind.NETWORK, Kind.STARTING, Kind.TIMEOUT, Kind.SERVER})


def with_meanwhile(failure: Failure) -> Failure:
    """The failure, with how to go on without the warehouse where it may be back in a while."""
    if failure.kind not in _MAY_BE_OVER:
        return failure
    return replace(failure, next_step=f"{failure.next_step}; {MEANWHILE}")


def with_checks(failure: Failure) -> Failure:
    """The failure, with what 'vinci check' would tell; never for the checks themselves."""
    if not failure.checks_tell_more:
        return failure
    step = f"{failure.next_step}; 'vinci check' shows at which step it fails"
    return replace(failure, next_step=step, checks_tell_more=False)


class ExplainedError(Exception):
    """Carries a failure that is understood where it happens, up to where it is reported."""

    def __init__(self, failure: Failure) -> None:
        self.failure = failure
        super().__init__(str(failure))

    def __reduce__(self) -> tuple[type[ExplainedError], tuple[Failure]]:
        return type(self), (self.failure,)


def connection_error(failure: Failure) -> DatabricksConnectionError:
    """The exception of ours that stands for ``failure``."""
    if failure.kind in {Kind.AUTHENTICATION, Kind.PERMISSION}:
        return AuthenticationError(str(failure))
    if failure.kind is Kind.TIMEOUT:
        return DeadlineExceededError(str(failure))
    return DatabricksConnectionError(str(failure))


def refused_by_status(status: int, message: str, target: Target) -> Failure | None:
    """What an HTTP status means, whether it came to the driver or to a request of ours.

    A wrong token is 403 with the message "Invalid access token." and a missing one 401, as recorded
    from a workspace in the public test data of databricks-jdbc (``src/test/resources``).
    """
    # The driver puts ": " in front of a reason that came without a message.
    said = f" It said: {message.strip(': ')}" if message.strip(": ") else ""
    if status in (401, 403):
        return _refused_credentials(status, said, target)
    if status in (400, 404):
        return Failure(
            Kind.PATH,
            f"{target} knows no warehouse at {target.http_path} (status {status}).{said}",
            "copy the HTTP path again: SQL Warehouses > your warehouse > Connection details > HTTP "
            "path, into DATABRICKS_HTTP_PATH, and check that DATABRICKS_SERVER_HOSTNAME is the "
            "workspace it is in",
        )
    if status in (429, 503):
        return starting(status, said, target)
    if status >= 500:
        return Failure(
            Kind.SERVER,
            f"{target} answered with the error {status}.{said}",
            "try again in a few minutes; if it stays, look at the workspace's status page",
        )
    return None


def status_of(reply: Reply, target: Target) -> Failure | None:
    """What a reply's status means, or ``None`` for one that is not a refusal."""
    return refused_by_status(reply.status, reply.message(), target)


def starting(status: int, said: str, target: Target) -> Failure:
    """The warehouse is not ready to answer: stopped, starting, or busy."""
    busy = "takes no more requests right now" if status == 429 else "is stopped or starting"
    return Failure(
        Kind.STARTING,
        f"The warehouse at {target.http_path} {busy} (status {status}).{said}",
        "wait until it runs and try again; if it never starts, start it under SQL Warehouses in "
        "the workspace, or ask its owner",
    )


def real_time_warehouse(http_path: str) -> Failure:
    """The warehouse does not speak the driver's protocol."""
    return Failure(
        Kind.PROTOCOL,
        f"The warehouse at {http_path} does not speak the Thrift protocol, which is what "
        "vinci_code uses.",
        "use a serverless, pro or classic SQL warehouse, not a real-time one",
    )


def proxy_refused(error: ProxyRefusedError, target: Target) -> Failure:
    """The proxy answered, and did not open a way to the workspace."""
    if error.status == 407:
        step = "put the user name and password that the proxy wants into HTTPS_PROXY"
    else:
        step = (
            f"ask whoever runs the proxy to allow {target.host}:{target.port}; if the workspace "
            f"can be reached without it, add {target.host} to NO_PROXY"
        )
    return Failure(Kind.PROXY, f"{error} to the request for {target} (HTTPS_PROXY).", step)


def unreachable(target: Target, how: str) -> Failure:
    """No connection can be made to the workspace, or to the proxy on the way."""
    if proxy_for(target.host) is not None:
        return unreachable_proxy(target, how)
    return Failure(
        Kind.NETWORK,
        f"{target.host}, port {target.port}, cannot be reached: {how}.",
        "check the network, VPN and firewall: this machine must be allowed to open outbound "
        f"connections to {target.host} on port {target.port}; where a proxy is required, set "
        "HTTPS_PROXY",
    )


def unreachable_proxy(target: Target, how: str) -> Failure:
    """The proxy that the environment names is not one that works."""
    proxy = proxy_for(target.host)
    named = "The proxy" if proxy is None else f"The proxy {proxy}"
    return Failure(
        Kind.PROXY,
        f"{named} from HTTPS_PROXY cannot be used: {how}.",
        f"correct HTTPS_PROXY, or add {target.host} to NO_PROXY if it can be reached without",
    )


def _refused_credentials(status: int, said: str, target: Target) -> Failure:
    if NO_ADDRESS.search(said):
        return Failure(
            Kind.PERMISSION,
            f"{target} does not accept connections from this network's address.{said}",
            "ask a workspace admin to add this network to the IP access list, or connect from one "
            "that is on it",
        )
    if status == 403 and NO_PERMISSION.search(said):
        return Failure(
            Kind.PERMISSION,
            f"{target} knows {target.auth}, which may not use {target.http_path}.{said}",
            "ask the warehouse's owner for the permission CAN USE on it",
        )
    return Failure(
        Kind.AUTHENTICATION,
        f"{target} did not accept {target.auth} (status {status}).{said}",
        "check that it belongs to this workspace and has neither expired nor been revoked, and "
        "create a new one if in doubt: Settings > Developer > Access tokens; for a service "
        "principal, a new OAuth secret",
    )
