"""Parameters of a statement, put into its text as Spark itself does it: as typed literals.

Delta Lake's parser (4.4) does not pass parameters on: ``spark.sql(text, args=…)`` fails with
UNBOUND_SQL_PARAMETER as soon as its extension is loaded.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from databricks.sql.parameters.native import dbsql_parameter_from_primitive

from tests.warehouse.corpus.reader import Typed, typed

# Strings, raw strings, quoted names and comments hold no markers.
_MARKER = re.compile(
    r"""(?P<kept>[rR]?'(?:[^'\\]|\\.)*'|[rR]?"(?:[^"\\]|\\.)*"|`[^`]*`|--[^\n]*|/\*.*?\*/|::)"""
    r"""|(?P<named>:(?:[A-Za-z_]\w*|`[^`]+`))|(?P<plain>\?(?!::))""",
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
        return _replaced(sql, lambda marker: named.get(marker.replace("`", ""), marker))
    # A marker without a parameter stays, and Spark says what it thinks of it.
    rest = map(literal, parameters)
    return _replaced(sql, lambda marker: next(rest, marker) if marker == "?" else marker)


def literal(value: Any) -> str:
    """One parameter as a literal of its type; what the driver would send for a plain value."""
    parameter = typed(value)
    return _plain_literal(value) if parameter is None else _typed_literal(parameter)


def quoted(text: str) -> str:
    """A string literal."""
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return "'" + escaped.replace("\n", "\\n").replace("\r", "\\r") + "'"


def _plain_literal(value: Any) -> str:
    if isinstance(value, list):
        return f"array({', '.join(map(literal, value))})"
    if isinstance(value, dict):
        return f"map({', '.join(literal(part) for pair in value.items() for part in pair)})"
    sent = dbsql_parameter_from_primitive(value).as_tspark_param(named=False)
    return _typed_literal(Typed(sent.type, sent.value and sent.value.stringValue))


def _typed_literal(parameter: Typed) -> str:
    kind, value = parameter.type, parameter.value
    if isinstance(value, tuple):
        return f"{kind.lower()}({', '.join(map(_typed_literal, value))})"
    if value is None:
        return "NULL" if kind == "VOID" else f"CAST(NULL AS {kind})"
    return quoted(value) if kind == "STRING" else f"CAST({quoted(value)} AS {kind})"


def _replaced(sql: str, put: Callable[[str], str]) -> str:
    return _MARKER.sub(lambda match: match[0] if match["kept"] else put(match[0]), sql)
