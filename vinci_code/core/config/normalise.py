"""Bring the many shapes in which people paste a host or an HTTP path to one."""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import unquote

HTTPS_PORT = 443

_QUOTES = {'"': '"', "'": "'", "`": "`"}
_SCHEME = re.compile(r"^(?:jdbc:)?[a-z][a-z0-9+.-]*://", re.IGNORECASE)
_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_WAREHOUSE = re.compile(
    r"(?:^|[/=])sql/(?:1\.0/)?(?:warehouses|endpoints)/([^/?#;&\s]+)", re.IGNORECASE
)
_CLUSTER = re.compile(r"sql/protocolv1/", re.IGNORECASE)
_WORKSPACE_ID = re.compile(r"[?&]o=([0-9]+)(?:[&#;]|$)")
_WAREHOUSE_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")


class NotUsableError(ValueError):
    """A value that cannot be brought into shape; the message completes "found …"."""


def unwrap(text: str) -> str:
    """Take off what pasting leaves around a value: spaces, quotes, ``<https://…>``."""
    text = text.strip()
    while len(text) >= 2 and _QUOTES.get(text[0]) == text[-1]:
        text = text[1:-1].strip()
    if re.match(r"<https?://.*>$", text, re.IGNORECASE):
        text = text[1:-1].strip()
    return text


def normalise_host(text: str) -> str:
    """Return the bare host name in lower case, with its port where that is not 443.

    Raises:
        NotUsableError: The text cannot be a host. Nothing of a user name or password that was
            pasted along is repeated in the message.
    """
    authority = _authority(unwrap(text))
    host, port = _split_port(authority)
    host = host.lower().rstrip(".")
    _require_host_name(host)
    if port == HTTPS_PORT:
        return host
    if not _is_loopback(host):
        raise NotUsableError(
            f"the port {port}; a workspace answers on {HTTPS_PORT} alone, "
            "and another port is accepted for this machine's own addresses only"
        )
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def host_and_port(normalised: str) -> tuple[str, int]:
    """Split what :func:`normalise_host` returned."""
    return _split_port(normalised)


def _is_loopback(host: str) -> bool:
    """Whether ``host`` names this very machine."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def normalise_http_path(text: str) -> str:
    """Return ``/sql/1.0/warehouses/<id>``, with ``?o=<workspace id>`` kept where it was given.

    The workspace id matters on hosts that serve several workspaces: the driver turns it into the
    ``x-databricks-org-id`` header.

    Raises:
        NotUsableError: The text names no SQL warehouse.
    """
    path = unquote(unwrap(text))
    if _CLUSTER.search(path):
        raise NotUsableError("the path of an all-purpose cluster, not of a SQL warehouse")
    match = _WAREHOUSE.search(path)
    warehouse_id = match.group(1) if match else _bare_id(path)
    if not _WAREHOUSE_ID.fullmatch(warehouse_id):
        raise NotUsableError("a warehouse id with characters that no id has")
    workspace = _WORKSPACE_ID.search(path)
    suffix = f"?o={workspace.group(1)}" if workspace else ""
    return f"/sql/1.0/warehouses/{warehouse_id}{suffix}"


def warehouse_id_of(http_path: str) -> str:
    """Return the id in a path that :func:`normalise_http_path` returned."""
    return http_path.partition("?")[0].rpartition("/")[2]


def _bare_id(path: str) -> str:
    candidate = re.sub(r"^(?:warehouses|endpoints)/", "", path.strip("/"), flags=re.IGNORECASE)
    if not candidate:
        raise NotUsableError("nothing but slashes")
    if not _WAREHOUSE_ID.fullmatch(candidate):
        raise NotUsableError("text with no '/sql/1.0/warehouses/<id>' in it")
    return candidate


def _authority(text: str) -> str:
    if not text:
        raise NotUsableError("nothing")
    without_scheme = _SCHEME.sub("", text).removeprefix("//")
    authority = re.split(r"[/?#;\\]", without_scheme, maxsplit=1)[0].strip()
    if "@" in authority:
        raise NotUsableError("a user name or token in front of the host (not repeated here)")
    if not authority:
        raise NotUsableError("a URL with no host in it")
    return authority


def _split_port(authority: str) -> tuple[str, int]:
    if authority.startswith("["):
        host, closed, rest = authority[1:].partition("]")
        if not closed or (rest and not rest.startswith(":")):
            raise NotUsableError("an IPv6 address that is not in brackets as a whole")
        return host, _port(rest[1:]) if rest else HTTPS_PORT
    if authority.count(":") > 1:
        return authority, HTTPS_PORT
    host, colon, port = authority.partition(":")
    return host, _port(port) if colon else HTTPS_PORT


def _port(text: str) -> int:
    if re.fullmatch(r"[0-9]{1,5}", text) and 0 < int(text) < 65536:
        return int(text)
    raise NotUsableError("a port that is not a number from 1 to 65535")


def _require_host_name(host: str) -> None:
    if ":" in host:
        _require_ip_address(host)
        return
    if not host:
        raise NotUsableError("a port with no host in front of it")
    if any(character.isspace() for character in host):
        raise NotUsableError("a name with spaces inside")
    labels = host.split(".")
    if len(host) > 253 or not all(_LABEL.fullmatch(label) for label in labels):
        raise NotUsableError("a name with characters or parts that no host name has")
    if len(labels) == 1 and not _is_loopback(host):
        raise NotUsableError("a name without a domain, such as .cloud.databricks.com")


def _require_ip_address(host: str) -> None:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        raise NotUsableError("text with more than one ':' that is no IPv6 address") from None
