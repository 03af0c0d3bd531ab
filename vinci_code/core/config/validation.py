"""Turn raw readings into values, collecting every problem instead of stopping at the first."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy.engine.url import make_url
from sqlalchemy.exc import ArgumentError

from vinci_code.core.config.normalise import (
    NotUsableError,
    normalise_host,
    normalise_http_path,
    unwrap,
)
from vinci_code.core.config.placeholders import Kind, holds_token, placeholder_reason
from vinci_code.core.config.references import reference_in
from vinci_code.core.config.sources import Reading, Variable
from vinci_code.core.errors import ConfigurationProblem
from vinci_code.core.redaction import redact

_TRUE = frozenset({"true", "1", "yes", "on"})
_FALSE = frozenset({"false", "0", "no", "off"})

# Longer than any value that is meant, short enough to keep a message readable.
_SHOWN_AT_MOST = 80

ACCEPTED_HOST = "the workspace's host name, such as dbc-a1b2c3d4-e5f6.cloud.databricks.com"
ACCEPTED_PATH = "/sql/1.0/warehouses/<id>"

# What was pasted into the wrong variable; a whole URL of a warehouse is both, and understood.
_WAREHOUSE_FORM = re.compile(r"/*sql/\S+|(?:warehouses|endpoints)/\S+|[0-9a-f]{16}", re.IGNORECASE)
_HOST_FORM = re.compile(
    r"(?:https?://)?[a-z0-9.-]+\."
    r"(?:azuredatabricks\.net|databricks\.(?:com|us|azure\.us|azure\.cn))(?::443)?/?",
    re.IGNORECASE,
)


@dataclass
class Collected:
    """What validation has found out so far.

    Attributes:
        values: The settings whose readings were accepted.
        sources: Where each setting that was given stood, accepted or not.
        problems: Everything that is wrong.
    """

    values: dict[str, Any] = field(default_factory=dict)
    sources: dict[str, str] = field(default_factory=dict)
    problems: list[ConfigurationProblem] = field(default_factory=list)

    def refuse(self, variable: str, found: str, accepted: str, fix: str) -> None:
        """Add a problem, with anything that looks like a secret taken out of it."""
        self.problems.append(
            ConfigurationProblem(variable, redact(found), redact(accepted), redact(fix))
        )


_Parser = Callable[[str], Any]


def collect(
    name: str, variable: Variable, readings: list[Reading], parse: _Parser, into: Collected
) -> None:
    """Parse every reading of one setting, and take its value if all readings agree.

    A name and its alias that say different things are a problem that names both: whichever was
    taken, somebody would be surprised.
    """
    into.sources[name] = readings[0].source
    parsed: list[tuple[Reading, Any]] = []
    for reading in readings:
        try:
            parsed.append((reading, parse(reading.value)))
        except _RefusedValueError as refusal:
            into.refuse(
                reading.source, refusal.found, refusal.accepted, refusal.fix_for(reading.variable)
            )
    if len(parsed) != len(readings):
        return
    first, value = parsed[0]
    for other, other_value in parsed[1:]:
        if other_value != value:
            into.refuse(
                f"{first.source} and {other.source}",
                "two different values for one setting",
                "one of them, or the same value in both",
                _how_to_agree(first, other, variable),
            )
            return
    into.values[name] = value


def _how_to_agree(first: Reading, other: Reading, variable: Variable) -> str:
    if first.variable == other.variable:
        return f"remove one of the two lines that set {first.variable}"
    return f"remove {variable.alias}, which is the alias of {variable.name}, or make both the same"


class _RefusedValueError(Exception):
    """A value that was not accepted, in the words of a ConfigurationProblem."""

    def __init__(self, found: str, accepted: str, fix: str | None = None) -> None:
        super().__init__(found)
        self.found = found
        self.accepted = accepted
        self.fix = fix

    def fix_for(self, variable: str) -> str:
        fix = self.fix or "set {variable} to " + self.accepted
        return fix.replace("{variable}", variable)


def parse_switch(raw: str) -> bool:
    """Read ``true``/``false``, ``1``/``0``, ``yes``/``no``, ``on``/``off`` in any case."""
    text = unwrap(raw).lower()
    if text in _TRUE:
        return True
    if text in _FALSE:
        return False
    raise _RefusedValueError(_shown(raw), "true/false, 1/0, yes/no or on/off")


def parse_choice(*choices: str) -> _Parser:
    """Make a parser that accepts one of ``choices``, in any case."""

    def parse(raw: str) -> str:
        text = unwrap(raw).lower()
        if text in choices:
            return text
        raise _RefusedValueError(_shown(raw), " or ".join(choices))

    return parse


def parse_seconds(raw: str) -> float:
    """Read a number of seconds, above 0."""
    text = unwrap(raw)
    accepted = "a number of seconds above 0, such as 2.5"
    if not re.fullmatch(r"\d{1,9}(\.\d{1,9})?", text, re.ASCII) or float(text) == 0:
        raise _RefusedValueError(_shown(raw), accepted)
    return float(text)


def parse_host(raw: str) -> str:
    """Read a workspace host; see :func:`normalise_host`."""
    text = unwrap(raw)
    _refuse_token(text, ACCEPTED_HOST)
    if _WAREHOUSE_FORM.fullmatch(text):
        raise _RefusedValueError(
            f"{_shown(text)}, the path or id of a warehouse",
            ACCEPTED_HOST,
            "move it to DATABRICKS_HTTP_PATH, and set {variable} to the host name",
        )
    _refuse_placeholder(text, "host", ACCEPTED_HOST)
    try:
        host = normalise_host(text)
    except NotUsableError as error:
        raise _RefusedValueError(f"{error}{_hint(text)}", ACCEPTED_HOST) from None
    _refuse_placeholder(host, "host", ACCEPTED_HOST)
    return host


def parse_http_path(raw: str) -> str:
    """Read the HTTP path or the bare id of a SQL warehouse; see :func:`normalise_http_path`."""
    fix = "copy 'HTTP path' from the warehouse's page, tab 'Connection details'"
    text = unwrap(raw)
    _refuse_token(text, ACCEPTED_PATH)
    if _HOST_FORM.fullmatch(text):
        raise _RefusedValueError(
            f"{_shown(text)}, the name of a host",
            ACCEPTED_PATH,
            f"move it to DATABRICKS_SERVER_HOSTNAME; for {{variable}}, {fix}",
        )
    _refuse_placeholder(text, "id", ACCEPTED_PATH, fix)
    try:
        path = normalise_http_path(text)
    except NotUsableError as error:
        raise _RefusedValueError(f"{error}{_hint(text)}", ACCEPTED_PATH, fix) from None
    warehouse_id = path.partition("?")[0].rpartition("/")[2]
    _refuse_placeholder(warehouse_id, "id", ACCEPTED_PATH, fix)
    return path


def parse_secret(raw: str) -> str:
    """Read a token or client secret; its text never appears in a message."""
    accepted = "the secret alone, as the workspace showed it when it was created"
    text = unwrap(raw)
    if re.match(r"(?:bearer|basic)\s", text, re.IGNORECASE):
        raise _RefusedValueError("a whole Authorization header", accepted)
    _refuse_place_of_secret(text, accepted)
    reason = placeholder_reason(text, "secret")
    if reason is not None:
        raise _RefusedValueError(f"{len(text)} characters that are {reason}", accepted)
    if not re.fullmatch(r"[\x21-\x7e]+", text):
        raise _RefusedValueError(
            f"{len(text)} characters, some of them spaces, control or non-ASCII characters, "
            "which no HTTP header can carry",
            accepted,
        )
    return text


def parse_client_id(raw: str) -> str:
    """Read the application id of a service principal."""
    text = unwrap(raw)
    accepted = "the application (client) id of a service principal"
    _refuse_token(
        text,
        accepted,
        "if it is the secret of the service principal, move it to DATABRICKS_CLIENT_SECRET, and "
        "set {variable} to the application id; if it is an access token, move it to "
        "DATABRICKS_ACCESS_TOKEN, and remove {variable}",
    )
    _refuse_placeholder(text, "id", accepted)
    if not re.fullmatch(r"[\x21-\x7e]+", text):
        raise _RefusedValueError(f"{_shown(text)}, with characters that no id has", accepted)
    return text


def parse_profile(raw: str) -> str:
    """Read the name of a section of the profile file."""
    text = unwrap(raw)
    accepted = "the name of a section of ~/.databrickscfg, without its brackets"
    _refuse_token(text, accepted, "move it to DATABRICKS_ACCESS_TOKEN, and remove {variable}")
    _refuse_placeholder(text, "name", accepted)
    if not text.isprintable() or "]" in text or "[" in text:
        raise _RefusedValueError(f"{_shown(text)}, which no section is called", accepted)
    return text


def parse_object_name(raw: str) -> str:
    """Read the name of a catalog or schema, by the rules of Unity Catalog.

    Names have at most 255 characters and none of period, space, forward slash and control
    characters (https://docs.databricks.com/en/sql/language-manual/sql-ref-names.html).
    """
    text = unwrap(raw)
    accepted = "one name of at most 255 characters without '.', '/', spaces or control characters"
    _refuse_token(text, accepted)
    _refuse_placeholder(text, "name", accepted)
    if len(text) > 255 or not text.isprintable() or re.search(r"[\s./]", text):
        raise _RefusedValueError(
            _shown(text),
            accepted,
            "give the catalog in DATABRICKS_CATALOG and the schema in DATABRICKS_SCHEMA, "
            "each by its own name",
        )
    return text


def parse_volume(raw: str) -> str:
    """Read the name of a volume, ``catalog.schema.volume``, or its path ``/Volumes/…``.

    The path has these three names in this order (https://docs.databricks.com/aws/en/volumes/paths).
    """
    text = unwrap(raw)
    accepted = "catalog.schema.volume, or /Volumes/catalog/schema/volume"
    _refuse_token(text, accepted)
    _refuse_placeholder(text, "name", accepted)
    is_path = text.startswith("/Volumes/")
    parts = text.removeprefix("/Volumes/").removesuffix("/").split("/" if is_path else ".")
    sound = all(
        0 < len(part) <= 255 and part.isprintable() and not re.search(r"[\s./\\`'\"]", part)
        for part in parts
    )
    if len(parts) != 3 or not sound:
        raise _RefusedValueError(
            _shown(text), accepted, "name the volume with its catalog and its schema"
        )
    return text


def parse_path(raw: str) -> Path:
    """Read the name of a file; whether it exists is asked by whoever opens it."""
    text = unwrap(raw)
    if "\0" in text:
        raise _RefusedValueError("a name with a null character", "the name of a file")
    return Path(os.path.expanduser(text))  # noqa: PTH111 - Path.expanduser raises for "~nobody"


def parse_ca_file(raw: str) -> Path:
    """Read the name of a file with certificates in PEM form."""
    path = parse_path(raw)
    accepted = "a readable file with the certificates (PEM) to trust instead of the system's own"
    try:
        content = path.read_bytes()
    except OSError as error:
        raise _RefusedValueError(
            f"{_shown(raw)}, which cannot be read ({error.strerror})", accepted
        ) from None
    if b"-----BEGIN CERTIFICATE-----" not in content:
        raise _RefusedValueError(f"{_shown(raw)}, in which no PEM certificate stands", accepted)
    import ssl  # takes long to load, and few name such a file

    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(path)
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", None) or error
        raise _RefusedValueError(
            f"{_shown(raw)}, of which no certificate can be read ({reason})", accepted
        ) from None
    return path


def parse_sqlite_url(raw: str) -> str:
    """Read the address of the SQLite file, in SQLAlchemy's form."""
    accepted = "sqlite:///FILE (or sqlite:////absolute/FILE), or sqlite:///:memory:"
    fix = (
        f"set DATABASE_URL to {accepted}; for Databricks, set USE_DATABRICKS=true and leave "
        "DATABASE_URL alone"
    )
    text = unwrap(raw)
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):
        raise _RefusedValueError("text that is not a database URL", accepted, fix) from None
    if url.drivername not in {"sqlite", "sqlite+pysqlite"}:
        raise _RefusedValueError(f"a URL for {_shown(url.drivername)}", accepted, fix)
    if url.host or url.username or url.password:
        raise _RefusedValueError("a SQLite URL with two slashes, which names a host", accepted, fix)
    if url.database is not None and "\0" in url.database:
        raise _RefusedValueError("a file name with a null character", accepted, fix)
    if url.database is not None and url.database.startswith("~"):
        file = os.path.expanduser(url.database)  # noqa: PTH111 - as in parse_path
        return url.set(database=file).render_as_string()
    return text


def _refuse_place_of_secret(text: str, accepted: str) -> None:
    """Refuse what says where the secret is, and what belongs into another variable."""
    other, fix = None, None
    if _WAREHOUSE_FORM.fullmatch(text):
        other = "DATABRICKS_HTTP_PATH"
    elif _HOST_FORM.fullmatch(text):
        other = "DATABRICKS_SERVER_HOSTNAME"
    reference = reference_in(text)
    if other is not None:
        meaning = f"what {other} is for"
        fix = f"move them to {other}, and set {{variable}} to the secret"
    elif reference is not None:
        meaning, fix = reference
    else:
        return
    raise _RefusedValueError(f"{len(text)} characters that are {meaning}", accepted, fix)


def _refuse_token(text: str, accepted: str, fix: str | None = None) -> None:
    # A token in front of a host is refused for where it stands.
    if "@" not in text and holds_token(text):
        raise _RefusedValueError(
            "a token (not repeated here)",
            accepted,
            fix or f"move it to DATABRICKS_ACCESS_TOKEN, and set {{variable}} to {accepted}",
        )


def _refuse_placeholder(text: str, kind: Kind, accepted: str, fix: str | None = None) -> None:
    reason = placeholder_reason(text, kind)
    if reason is not None:
        raise _RefusedValueError(f"{_shown(text)}, which is {reason}", accepted, fix)


def _shown(raw: str) -> str:
    text = redact(raw)
    if len(text) > _SHOWN_AT_MOST:
        text = f"{text[:_SHOWN_AT_MOST]}… ({len(raw)} characters)"
    return repr(text)


def _hint(text: str) -> str:
    # A user name or token in front of a host must not be repeated, whatever it looks like.
    return "" if "@" in text or not text else f", in {_shown(text)}"
