"""SET, RESET and SET TIME ZONE, which change the parameters of a session.

https://docs.databricks.com/aws/en/sql/language-manual/sql-ref-syntax-aux-conf-mgmt-set
"""

from __future__ import annotations

from vinci_code.warehouse.engine import query_tags
from vinci_code.warehouse.engine.reader import Reader
from vinci_code.warehouse.engine.result import Result, empty_result, rows_result, text_columns
from vinci_code.warehouse.engine.session import EngineSession
from vinci_code.warehouse.engine.settings import ALIASES, DEFAULTS, checked, time_zone
from vinci_code.warehouse.sql.errors import SqlError, unsupported


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
    name = ALIASES.get(key.upper(), key.upper())
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
    name = ALIASES.get(key.upper(), key.upper())
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
