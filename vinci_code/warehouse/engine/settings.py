"""Session parameters: SET, RESET, SET TIME ZONE, and what a client gives when it opens a session.

https://docs.databricks.com/aws/en/sql/language-manual/sql-ref-parameters
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING
from zoneinfo import available_timezones

from vinci_code.warehouse.engine.reader import Reader
from vinci_code.warehouse.engine.result import Result, empty_result, rows_result, text_columns
from vinci_code.warehouse.sql.errors import SqlError, unsupported
from vinci_code.warehouse.wire import query_tags

if TYPE_CHECKING:
    from vinci_code.warehouse.engine.session import EngineSession

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
_ALIASES = {
    "SPARK.SQL.SESSION.TIMEZONE": "TIMEZONE",
    "SPARK.SQL.ANSI.ENABLED": "ANSI_MODE",
}
_BOOLEANS = ("ANSI_MODE", "ENABLE_PHOTON", "READ_ONLY_EXTERNAL_METASTORE", "USE_CACHED_RESULT")
_OFFSET = re.compile(r"(?:GMT|UTC)?([+-])(\d{1,2})(?::?(\d{2}))?\Z")


def initial(given: Mapping[str, str]) -> dict[str, str]:
    """Return the configuration of a new session.

    Args:
        given: What the client sent; names that are no session parameters are kept as they are,
            since clients send settings of the transport this way.

    Raises:
        SqlError: For a value that cannot be taken.
    """
    configuration = dict(DEFAULTS)
    for key, value in given.items():
        name = _ALIASES.get(key.upper(), key.upper())
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
        SqlError: ``INVALID_CONF_VALUE.TIME_ZONE`` where there is no such zone.
    """
    text = value.strip()
    if text.upper() in ("UTC", "GMT", "Z"):
        return "UTC"
    if text.upper() == "LOCAL":
        return "UTC"
    offset = _OFFSET.match(text.upper())
    if offset:
        sign, hours, minutes = offset.groups()
        if int(hours) <= 18 and int(minutes or 0) < 60:
            return f"{sign}{int(hours):02d}:{int(minutes or 0):02d}"
    if text not in available_timezones():
        raise SqlError(
            "INVALID_CONF_VALUE.TIME_ZONE",
            "22022",
            f"The value '{value}' in the config \"spark.sql.session.timeZone\" is invalid. Cannot "
            "resolve the given timezone.",
        )
    return text


def set_statement(session: EngineSession, reader: Reader) -> Result:
    """Run SET, but for SET AUTOCOMMIT."""
    reader.expect("SET")
    if reader.done:
        return _pairs(sorted(session.configuration.items()))
    if reader.accept("TIME", "ZONE"):
        return _set_time_zone(session, reader)
    if reader.accept_any("CATALOG"):
        session.use_catalog(reader.string() if reader.at_string else reader.identifier())
        reader.end()
        return empty_result("USE")
    if reader.accept_any("VAR", "VARIABLE"):
        raise unsupported("SET VARIABLE")
    if reader.peek("QUERY_TAGS") and not reader.peek("QUERY_TAGS", "="):
        return _query_tags(session, reader)
    key = reader.property_key()
    name = _ALIASES.get(key.upper(), key.upper())
    if name not in DEFAULTS:
        raise SqlError("CONFIG_NOT_AVAILABLE", "42K0I", f"Configuration {key} is not available.")
    if not reader.accept("="):
        reader.end()
        return _pairs([(key, session.configuration[name])])
    text = reader.string() if reader.at_string else reader.rest()
    reader.end()
    value = checked(name, text)
    session.configuration[name] = value
    return _pairs([(key, value)])


def reset_statement(session: EngineSession, reader: Reader) -> Result:
    """Run RESET."""
    reader.expect("RESET")
    if reader.done:
        session.configuration.update(DEFAULTS)
        return empty_result("SET")
    key = reader.property_key()
    reader.end()
    name = _ALIASES.get(key.upper(), key.upper())
    if name not in DEFAULTS:
        raise SqlError("CONFIG_NOT_AVAILABLE", "42K0I", f"Configuration {key} is not available.")
    session.configuration[name] = DEFAULTS[name]
    return empty_result("SET")


def _set_time_zone(session: EngineSession, reader: Reader) -> Result:
    if reader.accept("LOCAL"):
        value = "LOCAL"
    elif reader.at_string:
        value = reader.string()
    else:
        raise unsupported(f"SET TIME ZONE {reader.rest()}")
    reader.end()
    session.configuration["TIMEZONE"] = time_zone(value)
    return empty_result("SET")


def _query_tags(session: EngineSession, reader: Reader) -> Result:
    """Run ``SET QUERY_TAGS`` and ``SET QUERY_TAGS['key'] = 'value', …``.

    https://docs.databricks.com/aws/en/sql/language-manual/sql-ref-syntax-aux-conf-mgmt-set-query-tags
    """
    tags = query_tags.parse(session.configuration["QUERY_TAGS"])
    reader.expect("QUERY_TAGS")
    if not reader.done:
        reader.index -= 1
        _change_tags(tags, reader)
        session.configuration["QUERY_TAGS"] = query_tags.serialize(tags)
    columns = text_columns("key", "value")
    return rows_result("SET", columns, list(tags.items()))


def _change_tags(tags: query_tags.QueryTags, reader: Reader) -> None:
    while True:
        reader.expect("QUERY_TAGS", "[")
        key = reader.string().strip()
        reader.expect("]", "=")
        if reader.accept("UNSET"):
            tags.pop(key, None)
        else:
            tags[key] = None if reader.accept("NULL") else reader.string().strip() or None
        if not reader.accept(","):
            break
    reader.end()


def _pairs(rows: list[tuple[str, str]]) -> Result:
    return rows_result("SET", text_columns("key", "value"), rows)


def _invalid(name: str, value: str) -> SqlError:
    return SqlError(
        "INVALID_CONF_VALUE.TYPE_MISMATCH"
        if name in _BOOLEANS
        else "INVALID_CONF_VALUE.OUT_OF_RANGE_OF_OPTIONS",
        "22022",
        f"The value '{value}' in the config \"{name}\" is invalid.",
    )
