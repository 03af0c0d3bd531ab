"""What errors of the driver, urllib3, ssl and sockets mean, whichever way they are wrapped."""

from __future__ import annotations

import errno
import pickle
import socket
import ssl
from pathlib import Path
from typing import Any

import pytest
import urllib3.exceptions as u
from databricks.sql import exc as driver_errors

from vinci_code.core.errors import (
    AuthenticationError,
    DatabricksConnectionError,
    DeadlineExceededError,
)
from vinci_code.database.databricks.explain import explain
from vinci_code.database.databricks.failures import (
    ExplainedError,
    Failure,
    Kind,
    Target,
    connection_error,
    refused_by_status,
    with_checks,
)

exc: Any = driver_errors  # without types
TARGET = Target("w.cloud.databricks.com", 443, "/sql/1.0/warehouses/1a2b", "the token")
WITH_CA = Target(
    TARGET.host, 443, TARGET.http_path, TARGET.auth, ca_file=Path("/etc/corporate.pem")
)


def around(error: BaseException) -> u.MaxRetryError:
    """As urllib3 raises it once it has given up."""
    pool: object = None
    return u.MaxRetryError(pool, "/sql/1.0/warehouses/1a2b", error)  # type: ignore[arg-type]


def http(status: int, message: str = "") -> BaseException:
    """As the driver raises it for an HTTP status."""
    context = {"http-code": status, "error-message": message}
    error: BaseException = exc.RequestError("Error during request to server", context)
    return error


def certificate_error(reason: str, code: int) -> u.SSLError:
    """As OpenSSL makes one: https://docs.openssl.org/master/man3/X509_STORE_CTX_get_error/."""
    error = ssl.SSLCertVerificationError(1, f"certificate verify failed: {reason}")
    error.verify_message, error.verify_code = reason, code
    return u.SSLError(error)


CASES = {
    "wrong token": (http(403, ": Invalid access token."), Kind.AUTHENTICATION, "create a new one"),
    "no token": (http(401), Kind.AUTHENTICATION, "create a new one"),
    "may not use": (http(403, "PERMISSION_DENIED: no permission"), Kind.PERMISSION, "CAN USE"),
    "blocked address": (
        http(403, "Source IP address: 192.0.2.1 is blocked by Databricks IP ACL"),
        Kind.PERMISSION,
        "IP access list",
    ),
    "wrong path": (http(404, "Endpoint 1a2b does not exist"), Kind.PATH, "copy the HTTP path"),
    "bad request": (http(400), Kind.PATH, "copy the HTTP path"),
    "stopped": (http(503), Kind.STARTING, "wait until it runs"),
    "busy": (http(429), Kind.STARTING, "wait until it runs"),
    "stopped, tried again": (
        around(u.ResponseError("too many 503 error responses")),
        Kind.STARTING,
        "wait until it runs",
    ),
    "stopped, Retry-After too long": (
        exc.RequestError(
            "Retry request would exceed Retry policy max retry duration of 40 seconds"
        ),
        Kind.STARTING,
        "wait until it runs",
    ),
    "cold start in HTTP 200": (
        exc.DatabaseError(
            "requirement failed: Session handle: SessionHandle [x] has not been initialized or had "
            "already closed."
        ),
        Kind.STARTING,
        "wait until it runs",
    ),
    "broken server": (http(500), Kind.SERVER, "try again"),
    "unknown CA": (
        around(certificate_error("unable to get local issuer certificate", 20)),
        Kind.TLS,
        "DATABRICKS_CA_FILE",
    ),
    "other name": (
        around(certificate_error("Hostname mismatch, certificate is not valid for 'w'.", 62)),
        Kind.TLS,
        "DATABRICKS_SERVER_HOSTNAME",
    ),
    "expired": (around(certificate_error("certificate has expired", 10)), Kind.TLS, "clock"),
    "not TLS": (
        around(u.SSLError(ssl.SSLError(1, "[SSL: WRONG_VERSION_NUMBER] wrong version number"))),
        Kind.TLS,
        "workspace itself",
    ),
    "name": (
        around(u.NameResolutionError("w", None, socket.gaierror(-2, "unknown"))),  # type: ignore[arg-type]
        Kind.NAME,
        "typing errors",
    ),
    "refused, as urllib3 tells it": (
        around(u.NewConnectionError(None, "Failed to establish")),  # type: ignore[arg-type]
        Kind.NETWORK,
        "firewall",
    ),
    "refused by the kernel": (
        ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused"),
        Kind.NETWORK,
        "firewall",
    ),
    "no route": (OSError(errno.EHOSTUNREACH, "No route to host"), Kind.NETWORK, "firewall"),
    "nothing answers": (
        around(u.ConnectTimeoutError(None, "timed out")),
        Kind.NETWORK,
        "outbound",
    ),
    "no answer": (
        around(u.ReadTimeoutError(None, "/", "Read timed out.")),  # type: ignore[arg-type]
        Kind.TIMEOUT,
        "whoever runs the network",
    ),
    "cut off": (
        u.ProtocolError("Connection aborted.", ConnectionResetError(104, "reset by peer")),
        Kind.NETWORK,
        "firewall",
    ),
    "deadline": (DeadlineExceededError("it took too long"), Kind.TIMEOUT, "try again"),
    "no such catalog": (
        exc.DatabaseError("[NO_SUCH_CATALOG_EXCEPTION] Catalog 'mian' was not found."),
        Kind.NAMESPACE,
        "DATABRICKS_CATALOG",
    ),
    "no permission on a schema": (
        exc.ServerOperationError("[INSUFFICIENT_PERMISSIONS] User does not have USE SCHEMA"),
        Kind.NAMESPACE,
        "ask the owner",
    ),
    "login page": (http(200), Kind.PROTOCOL, "login page"),
    "real-time warehouse": (
        exc.ReydenThriftUnsupportedError("KP001"),
        Kind.PROTOCOL,
        "real-time",
    ),
    "anything else": (RuntimeError("what is this"), Kind.SERVER, "whoever runs the workspace"),
}


@pytest.mark.parametrize("name", CASES)
def test_what_an_error_means(name: str) -> None:
    error, kind, advice = CASES[name]
    failure = explain(error, TARGET)
    assert failure.kind is kind, failure
    assert advice in failure.next_step
    assert failure.cause
    wrapped = RuntimeError("outside")
    wrapped.__cause__ = error
    assert explain(wrapped, TARGET).kind is kind or name == "anything else"


@pytest.mark.parametrize("name", CASES)
def test_the_checks_are_advised_by_what_is_not_one_of_them(name: str) -> None:
    failure = explain(CASES[name][0], TARGET)
    assert "vinci check" not in str(failure)
    advised = "'vinci check' shows at which step it fails" in str(with_checks(failure))
    assert advised == (name in ("no answer", "deadline", "anything else"))


def test_the_innermost_reason_is_the_one_that_is_reported() -> None:
    outside = u.NewConnectionError(None, "Failed to establish")  # type: ignore[arg-type]
    outside.__cause__ = ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused")
    assert "the connection was refused" in explain(around(outside), TARGET).cause


def test_what_was_understood_before_is_kept() -> None:
    failure = Failure(Kind.PATH, "the cause", "the step")
    error = exc.RequestError("outside", {"http-code": 403})
    error.__context__ = ExplainedError(failure)
    assert explain(error, TARGET) == failure
    assert pickle.loads(pickle.dumps(ExplainedError(failure))).failure == failure


def test_a_ca_file_that_holds_no_certificate() -> None:
    error = ssl.SSLError(136, "[X509: NO_CERTIFICATE_OR_CRL_FOUND] no certificate or crl found")
    failure = explain(error, WITH_CA)
    assert failure.kind is Kind.TLS
    assert "/etc/corporate.pem" in failure.cause
    assert "BEGIN CERTIFICATE" in failure.next_step


def test_a_reply_that_is_no_refusal_is_none() -> None:
    assert refused_by_status(200, "", TARGET) is None
    assert refused_by_status(302, "", TARGET) is None


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (Kind.AUTHENTICATION, AuthenticationError),
        (Kind.PERMISSION, AuthenticationError),
        (Kind.TIMEOUT, DeadlineExceededError),
        (Kind.STARTING, DatabricksConnectionError),
        (Kind.NETWORK, DatabricksConnectionError),
    ],
)
def test_the_exception_for_a_kind(kind: Kind, expected: type[Exception]) -> None:
    error = connection_error(Failure(kind, "The cause.", "the step"))
    assert type(error) is expected
    assert str(error) == "The cause. To fix it: the step"


def test_a_cycle_of_errors_ends() -> None:
    first, second = RuntimeError("a"), RuntimeError("b")
    first.__context__, second.__context__ = second, first
    assert explain(first, TARGET).kind is Kind.SERVER


def test_every_advice_is_one_step_without_a_secret() -> None:
    for error, _, _ in CASES.values():
        failure = explain(error, TARGET)
        assert "\n" not in failure.next_step
        assert "**********" not in failure.next_step, "the mask has eaten a word of the advice"
