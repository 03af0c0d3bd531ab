"""Session parameters: their values, and what a client gives when it opens a session.

https://docs.databricks.com/aws/en/sql/language-manual/sql-ref-parameters
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from zoneinfo import available_timezones

from vinci_code.warehouse.sql.errors import SqlError, unsupported

DEFAULTS = {
    "ANSI_MODE": "true",
    "ENABLE_PHOTON": "true",
    "LEGACY_TIME_PARSER_POLICY": "EXCEPTION",
    "MAX_FILE_PARTITION_BYTES": "128m",
    "QUERY_TAGS": "",
    "READ_ONLY_EXTERNAL_METASTORE": "false",
    "STATEMENT_TIMEOUT": "172800",
    "TIMEZONE": "UTC",
    "USE_CACHED_RESULT": "true",
}
# The Spark names that mean the same thing.
ALIASES = {
    "SPARK.SQL.SESSION.TIMEZONE": "TIMEZONE",
    "SPARK.SQL.ANSI.ENABLED": "ANSI_MODE",
}
_BOOLEANS = ("ANSI_MODE", "ENABLE_PHOTON", "READ_ONLY_EXTERNAL_METASTORE", "USE_CACHED_RESULT")
_OFFSET = re.compile(r"(?:GMT|UTC)?[+-](\d{1,2})(?::?(\d{2}))?\Z")
_MOST_HOURS, _MINUTES = 18, 60


def initial(given: Mapping[str, str]) -> dict[str, str]:
    """Return the configuration of a new session.

    Names that are no session parameters are kept as they are, since clients send settings of the
    transport this way.

    Raises:
        SqlError: For a value that cannot be taken.
    """
    configuration = dict(DEFAULTS)
    for key, value in given.items():
        name = ALIASES.get(key.upper(), key.upper())
        if name in DEFAULTS:
            configuration[name] = checked(name, value)
        else:
            configuration[key] = value
    return configuration


def checked(name: str, value: str) -> str:
    """Return the value of a session parameter as it is kept.

    Raises:
        SqlError: Where it is not one that the parameter takes, or that the local warehouse has.
    """
    if name in _BOOLEANS:
        lowered = value.strip().lower()
        if lowered not in ("true", "false"):
            raise _invalid(name, value)
        if name == "ANSI_MODE" and lowered == "false":
            raise unsupported("ANSI_MODE = false")
        return lowered
    if name == "TIMEZONE":
        return time_zone(value)
    if name == "STATEMENT_TIMEOUT" and not value.strip().isdigit():
        raise _invalid(name, value)
    if name == "LEGACY_TIME_PARSER_POLICY":
        if value.upper() not in ("EXCEPTION", "CORRECTED", "LEGACY"):
            raise _invalid(name, value)
        if value.upper() == "LEGACY":
            raise unsupported("LEGACY_TIME_PARSER_POLICY = LEGACY")
        return value.upper()
    return value


def time_zone(value: str) -> str:
    """Return a time zone's name.

    Raises:
        SqlError: ``INVALID_CONF_VALUE.TIME_ZONE`` where there is no such zone;
            ``UNSUPPORTED_BY_LOCAL_WAREHOUSE`` for an offset, which a real warehouse takes, and
            which neither DuckDB nor ``zoneinfo`` computes by this name.
    """
    text = value.strip()
    if text.upper() in ("UTC", "GMT", "Z"):
        return "UTC"
    if text.upper() == "LOCAL":
        return "UTC"
    offset = _OFFSET.match(text.upper())
    if offset and int(offset[1]) <= _MOST_HOURS and int(offset[2] or 0) < _MINUTES:
        if not int(offset[1]) and not int(offset[2] or 0):
            return "UTC"
        raise unsupported(f"the time zone {value}, an offset: use a region, such as Asia/Singapore")
    if text not in available_timezones():
        raise SqlError(
            "INVALID_CONF_VALUE.TIME_ZONE",
            "22022",
            f"The value '{value}' in the config \"spark.sql.session.timeZone\" is invalid. Cannot "
            "resolve the given timezone.",
        )
    return text


def _invalid(name: str, value: str) -> SqlError:
    return SqlError(
        "INVALID_CONF_VALUE.TYPE_MISMATCH"
        if name in _BOOLEANS
        else "INVALID_CONF_VALUE.OUT_OF_RANGE_OF_OPTIONS",
        "22022",
        f"The value '{value}' in the config \"{name}\" is invalid.",
    )
