"""Parameters of a statement, put into its text as Spark itself does it: as typed literals.

Delta Lake's parser (4.4) does not pass parameters on: ``spark.sql(text, args=…)`` fails with
UNBOUND_SQL_PARAMETER as soon as its extension is loaded.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from databricks.sql.parameters.native import dbsql_parameter_from_primitive

# Strings, raw strings, quoted names and comments hold no markers.
_MARKER = re.compile(
    r"""(?P<kept>[rR]?'(?:[^'\\]|\\.)*'|[rR]?"(?:[^"\\]|\\.)*"|`[^`]*`|--[^\n]*|/\*.*?\*/|::)"""
    r"""|(?P<named>:[A-Za-z_]\w*)|(?P<plain>\?(?!::))""",
    re.DOTALL,
)


def with_literals(sql: str, parameters: Any) -> str:
    """Return a statement with its parameters in place of their markers.

    Args:
        sql: A statement with ``:name`` or ``?`` markers.
        parameters: An object by name or an array by position, as a case of the corpus has them.
    """
    if not parameters:
        return sql
    if isinstance(parameters, dict):
        named = {f":{name}": literal(value) for name, value in parameters.items()}
        return _replaced(sql, lambda marker: named.get(marker, marker))
    # A marker without a parameter stays, and Spark says what it thinks of it.
    rest = map(literal, parameters)
    return _replaced(sql, lambda marker: next(rest, marker) if marker == "?" else marker)


def literal(value: Any) -> str:
    """One parameter as a literal of its type; what the driver would send for a plain value."""
    kind, text, arguments = _typed(value)
    if kind == "ARRAY":
        return f"array({', '.join(arguments)})"
    if kind == "MAP":
        return f"map({', '.join(arguments)})"
    if text is None:
        return "NULL" if kind == "VOID" else f"CAST(NULL AS {kind})"
    return quoted(text) if kind == "STRING" else f"CAST({quoted(text)} AS {kind})"


def quoted(text: str) -> str:
    """A string literal."""
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return "'" + escaped.replace("\n", "\\n").replace("\r", "\\r") + "'"


def _typed(value: Any) -> tuple[str, str | None, list[str]]:
    if isinstance(value, dict) and value.keys() == {"type", "value"}:
        return value["type"], value["value"], []
    if isinstance(value, list):
        return "ARRAY", None, [literal(item) for item in value]
    if isinstance(value, dict):
        pairs = [literal(part) for pair in value.items() for part in pair]
        return "MAP", None, pairs
    sent = dbsql_parameter_from_primitive(value).as_tspark_param(named=False)
    return sent.type, None if sent.value is None else sent.value.stringValue, []


def _replaced(sql: str, put: Callable[[str], str]) -> str:
    return _MARKER.sub(lambda match: match[0] if match["kept"] else put(match[0]), sql)
