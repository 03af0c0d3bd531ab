"""Find out what an exception on the way to a warehouse means.

The driver lets errors of urllib3, ssl, socket, thrift and its own through, often several of them
around each other. ``explain`` looks through the whole chain for the most telling one.
"""

from __future__ import annotations

import re
import socket
import ssl
from collections.abc import Callable
from dataclasses import replace

from vinci_code.core.errors import ConfigurationError, DeadlineExceededError
from vinci_code.core.redaction import redact
from vinci_code.database.databricks.failures import (
    ExplainedError,
    Failure,
    Kind,
    Target,
    proxy_refused,
    real_time_warehouse,
    refused_by_status,
    starting,
    unreachable,
    unreachable_proxy,
)
from vinci_code.database.databricks.http import ProxyRefusedError, proxy_for
from vinci_code.database.dialect.dberrors import SessionLostError, WarehouseStartTimeout
from vinci_code.database.dialect.driver.advice import Distrust, distrust
from vinci_code.database.dialect.driver.translation import chain as chain_of
from vinci_code.database.dialect.driver.translation import classify, status_in

Chain = list[BaseException]

_NAMESPACE_CLASSES = re.compile(
    r"\[(NO_SUCH_CATALOG_EXCEPTION|CATALOG_NOT_FOUND|SCHEMA_NOT_FOUND|NO_SUCH_DATABASE|"
    r"NO_SUCH_CATALOG|INSUFFICIENT_PERMISSIONS|PERMISSION_DENIED)[.\w]*\][^\n]*"
)


def explain(error: BaseException, target: Target) -> Failure:
    """Find out what ``error``, raised while ``target`` was contacted, means for the user."""
    chain = list(chain_of(error, handled=True))
    for explainer in _EXPLAINERS:
        failure = explainer(chain, target)
        if failure is not None:
            cause, step = redact(failure.cause), redact(failure.next_step)
            return replace(failure, cause=cause, next_step=step)
    return Failure(
        Kind.SERVER,
        redact(f"{target} could not be used: {type(error).__name__}: {_first_line(error)}"),
        "try again; if it stays, give what it says to whoever runs the workspace",
        checks_tell_more=True,
    )


# One function per kind of trouble, each asked with the whole chain, in the order of _EXPLAINERS.


def _already_explained(chain: Chain, target: Target) -> Failure | None:
    del target
    found = next((error for error in chain if isinstance(error, ExplainedError)), None)
    return None if found is None else found.failure


def _configuration(chain: Chain, target: Target) -> Failure | None:
    del target
    found = next((error for error in chain if isinstance(error, ConfigurationError)), None)
    if found is None:
        return None
    fix = found.problems[0].fix if len(found.problems) == 1 else "correct each of these"
    return Failure(Kind.CONFIGURATION, str(found), fix)


def _needs_another_protocol(chain: Chain, target: Target) -> Failure | None:
    # A real-time warehouse refuses the Thrift protocol with SQLSTATE KP001; the driver then tries
    # its kernel backend, which is another package and takes no credentials provider
    # (_open_session_with_reyden_fallback in databricks/sql/client.py).
    refused = any(type(error).__name__ == "ReydenThriftUnsupportedError" for error in chain)
    return real_time_warehouse(target.http_path) if refused else None


def _certificate(chain: Chain, target: Target) -> Failure | None:
    found = next((e for e in chain if isinstance(e, ssl.SSLCertVerificationError)), None)
    if found is None:
        return None
    reason, why = found.verify_message or str(found), distrust(found)
    if why is Distrust.NAME:
        return Failure(
            Kind.TLS,
            f"The certificate that {target} shows is for another name ({reason}).",
            "check DATABRICKS_SERVER_HOSTNAME; if it is right, something between here and the "
            "workspace answers in its place: ask whoever runs the network",
        )
    if why is Distrust.TIME:
        return Failure(
            Kind.TLS,
            f"The certificate that {target} shows is out of date ({reason}).",
            "check this machine's clock; if it is right, the certificate has to be renewed by "
            "whoever runs the proxy or the workspace",
        )
    trusted = "the system's CA store" if target.ca_file is None else f"the CA file {target.ca_file}"
    return Failure(
        Kind.TLS,
        f"The certificate that {target} shows is signed by a CA that is not in {trusted} "
        f"({reason}). A proxy that inspects TLS does this.",
        "get the CA certificate (PEM) from whoever runs the proxy or network and set "
        "DATABRICKS_CA_FILE to its path; verification is never switched off",
    )


def _unreadable_ca_file(chain: Chain, target: Target) -> Failure | None:
    if target.ca_file is None:
        return None
    for error in chain:
        no_certificates = isinstance(error, ssl.SSLError) and (
            "NO_CERTIFICATE_OR_CRL_FOUND" in str(error) or "PEM" in str(error)
        )
        if no_certificates or isinstance(error, FileNotFoundError | PermissionError):
            return Failure(
                Kind.TLS,
                f"DATABRICKS_CA_FILE, {target.ca_file}, cannot be read as certificates in PEM form "
                f"({_first_line(error)}).",
                "point it to a readable file that holds '-----BEGIN CERTIFICATE-----' blocks",
            )
    return None


def _proxy(chain: Chain, target: Target) -> Failure | None:
    refused = next((error for error in chain if isinstance(error, ProxyRefusedError)), None)
    if refused is not None:
        return proxy_refused(refused, target)
    if not any(type(error).__name__ == "ProxyError" for error in chain):
        return None
    tunnel = next(
        (
            m
            for e in chain
            if (m := re.search(r"[Tt]unnel connection failed: (\d+)([^'\"]*)", str(e)))
        ),
        None,
    )
    proxy = proxy_for(target.host)
    if tunnel is not None and proxy is not None:
        answered = ProxyRefusedError(proxy, int(tunnel.group(1)), tunnel.group(2).strip(" )"))
        return proxy_refused(answered, target)
    return unreachable_proxy(target, "it does not answer as a proxy does")


def _name(chain: Chain, target: Target) -> Failure | None:
    found = next((e for e in chain if _is_name_error(e)), None)
    if found is None:
        return None
    if proxy_for(target.host) is not None:
        return unreachable_proxy(target, "its name does not resolve")
    return Failure(
        Kind.NAME,
        f"The name {target.host} does not resolve to an address.",
        "check DATABRICKS_SERVER_HOSTNAME for typing errors; if it is right, check this machine's "
        "DNS and network (a workspace with private link only resolves inside its network)",
    )


def _other_tls(chain: Chain, target: Target) -> Failure | None:
    found = next((error for error in chain if isinstance(error, ssl.SSLError)), None)
    if found is None:
        return None
    return Failure(
        Kind.TLS,
        f"{target} answered, but not with TLS that can be used ({_first_line(found)}).",
        "check that DATABRICKS_SERVER_HOSTNAME is the workspace itself; if a proxy or firewall is "
        "in between, ask whoever runs it to let TLS to the workspace through",
    )


def _http_status(chain: Chain, target: Target) -> Failure | None:
    for error in chain:
        status, message = _status_in(error)
        failure = None if status is None else refused_by_status(status, message, target)
        if failure is not None:
            return failure
    return None


def _cold_start(chain: Chain, target: Target) -> Failure | None:
    # A classic warehouse that starts may open a session and then answer every request with status
    # ERROR in HTTP 200; a 503 whose Retry-After is longer than the retry budget loses its status on
    # the way through the driver (check_proposed_wait in its auth/retry.py).
    kinds = (classify(error, str(error)) for error in chain)
    # A session that has just been opened is not lost: a warehouse that starts does not know it yet.
    starts = any(issubclass(kind, WarehouseStartTimeout | SessionLostError) for kind in kinds)
    return starting(503, "", target) if starts else None


def _namespace(chain: Chain, target: Target) -> Failure | None:
    del target
    for error in chain:
        match = _NAMESPACE_CLASSES.search(str(error))
        if match:
            denied = match.group(1) in {"INSUFFICIENT_PERMISSIONS", "PERMISSION_DENIED"}
            step = (
                "ask the owner for USE CATALOG and USE SCHEMA, and for CREATE TABLE to make tables"
                if denied
                else "correct DATABRICKS_CATALOG and DATABRICKS_SCHEMA: see Catalog in the UI"
            )
            return Failure(Kind.NAMESPACE, f"The warehouse refused: {match.group(0)}", step)
    return None


def _network(chain: Chain, target: Target) -> Failure | None:
    # What is wrapped innermost is what happened; urllib3 only says that it could not connect.
    reasons = [how for error in chain if (how := _how_unreachable(error)) is not None]
    return unreachable(target, reasons[-1]) if reasons else None


def _timeout(chain: Chain, target: Target) -> Failure | None:
    for error in chain:
        if isinstance(error, TimeoutError | DeadlineExceededError) or type(error).__name__ in {
            "ReadTimeoutError",
            "ReadTimeout",
        }:
            return Failure(
                Kind.TIMEOUT,
                f"{target} did not answer in time ({_first_line(error)}).",
                "try again; if it stays, a firewall may drop the traffic silently: ask whoever "
                "runs the network",
                checks_tell_more=True,
            )
    return None


def _not_a_warehouse(chain: Chain, target: Target) -> Failure | None:
    for error in chain:
        module = type(error).__module__
        status, _ = _status_in(error)
        if status is not None or module.startswith(("thrift.", "http.client")):
            return Failure(
                Kind.PROTOCOL,
                f"{target} answered at {target.http_path}, but not as a SQL warehouse does "
                f"({_first_line(error)}).",
                "check that DATABRICKS_SERVER_HOSTNAME is the workspace itself, not its login page "
                "or a proxy; where one host serves several workspaces, the path ends in "
                "'?o=<workspace id>'",
            )
    return None


# The most specific comes first: an unknown CA is a TLS error, too, and a network error after that.
_EXPLAINERS: tuple[Callable[[Chain, Target], Failure | None], ...] = (
    _already_explained,
    _configuration,
    _needs_another_protocol,
    _certificate,
    _unreadable_ca_file,
    _proxy,
    _name,
    _other_tls,
    _http_status,
    _cold_start,
    _namespace,
    _network,
    _timeout,
    _not_a_warehouse,
)


def _is_name_error(error: BaseException) -> bool:
    return isinstance(error, socket.gaierror) or type(error).__name__ == "NameResolutionError"


def _status_in(error: BaseException) -> tuple[int | None, str]:
    context = getattr(error, "context", None)
    said = context.get("error-message") if isinstance(context, dict) else None
    return status_in(error, str(error)), str(said or "")


def _how_unreachable(error: BaseException) -> str | None:
    if isinstance(error, ConnectionRefusedError):
        return "the connection was refused"
    if isinstance(error, ConnectionResetError | ConnectionAbortedError | BrokenPipeError):
        return "the connection was cut off"
    # The driver's dependencies, by name: this module is imported where they are not installed.
    by_name = {
        "ConnectTimeoutError": "nothing answers",
        "NewConnectionError": "no connection can be made",
        "RemoteDisconnected": "the connection was closed before an answer",
    }
    name = type(error).__name__
    if name in by_name:
        return by_name[name]
    if isinstance(error, OSError) and error.errno and not isinstance(error, TimeoutError):
        return (error.strerror or name).lower()
    return None


def _first_line(error: BaseException) -> str:
    text = str(error).strip() or type(error).__name__
    return text.splitlines()[0][:300]
