"""Name resolution, TCP and TLS, one step at a time, as the driver would take them."""

from __future__ import annotations

import datetime as dt
import re
import socket
import ssl
import time
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from vinci_code.database.databricks.failures import ExplainedError, Target, unreachable
from vinci_code.database.databricks.http import open_socket, proxy_for, tls_context
from vinci_code.diagnostics.checks import Context
from vinci_code.diagnostics.report import Finding, Status

SOCKET_TIMEOUT = 8.0
"""Seconds that connecting and the TLS handshake may take."""

_EXPIRES_SOON = dt.timedelta(days=14)
# Names of products that take the place of the server in a TLS connection to look into it.
_INSPECTORS = re.compile(
    r"zscaler|netskope|palo alto|fortinet|fortigate|blue ?coat|symantec web|forcepoint|umbrella|"
    r"mitmproxy|squid|sophos|check point|charles proxy|fiddler|mcafee web|cato networks|inspect",
    re.IGNORECASE,
)


def check_name(context: Context) -> Finding:
    """Resolve the name that the connection goes to: the workspace's, or the proxy's."""
    target = context.the_connector().target
    proxy = proxy_for(target.host)
    host, port = (target.host, target.port) if proxy is None else (proxy.host, proxy.port)
    answers = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    addresses = list(dict.fromkeys(str(answer[4][0]) for answer in answers))
    shown = ", ".join(addresses[:4]) + (" …" if len(addresses) > 4 else "")
    if proxy is None:
        return Finding(Status.OK, f"{host} is {shown}")
    return Finding(
        Status.OK,
        f"the proxy {proxy} (HTTPS_PROXY) is {shown}; it resolves {target.host} itself",
    )


def check_tcp(context: Context) -> Finding:
    """Open a TCP connection, through the proxy where there is one."""
    target = context.the_connector().target
    proxy = proxy_for(target.host)
    began = time.perf_counter()
    try:
        with closing(open_socket(target.host, target.port, SOCKET_TIMEOUT)) as connection:
            took = (time.perf_counter() - began) * 1000
            peer = connection.getpeername()
    except TimeoutError:
        silence = f"nothing answered within {SOCKET_TIMEOUT:g} s"
        raise ExplainedError(unreachable(target, silence)) from None
    if proxy is None:
        return Finding(Status.OK, f"{peer[0]} port {peer[1]} answers in {took:.0f} ms")
    return Finding(Status.OK, f"the proxy {proxy} opens a tunnel to {target} in {took:.0f} ms")


def check_tls(context: Context) -> Finding:
    """Shake hands, verify, and tell whose certificate it is."""
    target = context.the_connector().target
    try:
        certificate, version = _handshake(target, tls_context(target.ca_file))
    except ssl.SSLCertVerificationError as error:
        failure = context.the_connector().explain(error)
        return Finding(
            Status.FAILED,
            cause=f"{failure.cause}{_shown_instead(target)}",
            next_step=failure.next_step,
        )
    detail = f"{version}, certificate for {certificate.subject}, {_trust(target)}"
    detail += f" (issuer {certificate.issuer}), valid until {certificate.expires:%Y-%m-%d}"
    if _INSPECTORS.search(certificate.issuer):
        detail += "; the issuer looks like a proxy that inspects TLS"
    left = certificate.expires - dt.datetime.now(dt.timezone.utc)
    if left < _EXPIRES_SOON:
        return Finding(
            Status.WARNING,
            detail,
            cause=f"The certificate expires in {left.days} days.",
            next_step="tell whoever runs the workspace or the proxy to renew it",
        )
    return Finding(Status.OK, detail)


@dataclass(frozen=True)
class Certificate:
    """Whom a certificate is for, who signed it, and until when it is valid."""

    subject: str
    issuer: str
    expires: dt.datetime


def _handshake(target: Target, context: ssl.SSLContext) -> tuple[Certificate, str]:
    with (
        closing(open_socket(target.host, target.port, SOCKET_TIMEOUT)) as raw,
        context.wrap_socket(raw, server_hostname=target.host) as secured,
    ):
        return _read(secured.getpeercert() or {}), secured.version() or "TLS"


def _read(fields: dict[str, Any]) -> Certificate:
    """Read what ``SSLSocket.getpeercert`` returns."""
    return Certificate(
        subject=_name(fields.get("subject", ())),
        issuer=_name(fields.get("issuer", ())),
        expires=dt.datetime.fromtimestamp(
            ssl.cert_time_to_seconds(fields["notAfter"]), dt.timezone.utc
        ),
    )


def _name(parts: tuple[tuple[tuple[str, str], ...], ...]) -> str:
    named = {key: value for part in parts for key, value in part}
    common, organization = named.get("commonName"), named.get("organizationName")
    if common and organization and organization != common:
        return f"{common}, {organization}"
    return common or organization or "a subject without a name"


def _trust(target: Target) -> str:
    if target.ca_file is None:
        return "trusted by the system's CA store"
    return f"trusted by DATABRICKS_CA_FILE {target.ca_file}"


def _shown_instead(target: Target) -> str:
    """Who signed the certificate that is not trusted, for the one who has to find the CA.

    Nothing is sent over this connection: it ends with the handshake. The certificate is fetched
    without trust first and then, since Python only reads the fields of one that is trusted, as its
    own trust anchor.
    """
    blind = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    blind.check_hostname = False
    blind.verify_mode = ssl.CERT_NONE
    try:
        with (
            closing(open_socket(target.host, target.port, SOCKET_TIMEOUT)) as raw,
            blind.wrap_socket(raw, server_hostname=target.host) as secured,
        ):
            shown = secured.getpeercert(binary_form=True)
        anchored = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        anchored.check_hostname = False
        anchored.verify_flags |= ssl.VerifyFlags.VERIFY_X509_PARTIAL_CHAIN
        anchored.load_verify_locations(cadata=shown or b"")
        certificate, _ = _handshake(target, anchored)
    except (OSError, KeyError, ValueError):  # said without it, then; ssl.SSLError is an OSError
        return ""
    inspects = " That looks like a proxy." if _INSPECTORS.search(certificate.issuer) else ""
    return (
        f" It was shown a certificate for {certificate.subject} by the issuer "
        f"{certificate.issuer}.{inspects}"
    )
