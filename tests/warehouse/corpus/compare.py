"""Turns what the driver returns into the corpus's notation, and says where the two differ."""

from __future__ import annotations

import datetime as dt
import fnmatch
import json
import math
import re
from decimal import Decimal
from typing import Any

import pyarrow as pa

from tests.warehouse.corpus.reader import Expected, Step, split_top

# What the driver calls a type in cursor.description: TTypeId without "_TYPE", in lower case
# (databricks/sql/backend/thrift_backend.py, _col_to_description). Thrift has no TIMESTAMP_NTZ.
_TYPE_CODES = {"TIMESTAMP_NTZ": "timestamp", "VOID": "null"}
_WIRE_STRINGS = ("VARIANT",)
_PLAIN = {
    pa.int8(): "TINYINT",
    pa.int16(): "SMALLINT",
    pa.int32(): "INT",
    pa.int64(): "BIGINT",
    pa.float32(): "FLOAT",
    pa.float64(): "DOUBLE",
    pa.bool_(): "BOOLEAN",
    pa.string(): "STRING",
    pa.binary(): "BINARY",
    pa.date32(): "DATE",
    pa.null(): "VOID",
    pa.timestamp("us"): "TIMESTAMP_NTZ",
}


def type_code(type_text: str) -> str:
    """The type code of ``cursor.description`` for a Databricks type."""
    name = re.split(r"[<(]", type_text)[0].strip()
    if name.startswith("INTERVAL"):
        return "interval_year_month" if _is_year_month(name) else "interval_day_time"
    return _TYPE_CODES.get(name, name.lower())


def precision_and_scale(type_text: str) -> tuple[int | None, int | None]:
    """The precision and scale of ``cursor.description``; set for DECIMAL alone."""
    match = re.fullmatch(r"DECIMAL\((\d+),\s*(\d+)\)", type_text)
    return (int(match[1]), int(match[2])) if match else (None, None)


def wire_type(type_text: str) -> str:
    """A Databricks type as it travels, in the spelling of ``arrow_type``."""
    match = re.fullmatch(r"(ARRAY|MAP|STRUCT)<(.*)>", type_text.strip())
    if match is None:
        text = re.sub(r"\s+", "", type_text)
        return "STRING" if text in _WIRE_STRINGS or text.startswith("INTERVAL") else text
    kind, inner = match.groups()
    if kind == "STRUCT":
        fields = [re.split(r"\s*:\s*", part.strip(), maxsplit=1) for part in split_top(inner)]
        return f"STRUCT<{','.join(f'{name}:{wire_type(text)}' for name, text in fields)}>"
    return f"{kind}<{','.join(wire_type(part.strip()) for part in split_top(inner))}>"


def arrow_type(found: pa.DataType) -> str:
    """An Arrow type in Databricks' words, without blanks."""
    if pa.types.is_decimal(found):
        return f"DECIMAL({found.precision},{found.scale})"
    if pa.types.is_timestamp(found) and found.tz is not None and found.unit == "us":
        return "TIMESTAMP"
    if pa.types.is_list(found):
        return f"ARRAY<{arrow_type(found.value_type)}>"
    if pa.types.is_map(found):
        return f"MAP<{arrow_type(found.key_type)},{arrow_type(found.item_type)}>"
    if pa.types.is_struct(found):
        return f"STRUCT<{','.join(f'{f.name}:{arrow_type(f.type)}' for f in found)}>"
    return _PLAIN.get(found, str(found))


def canonical(value: Any, found: pa.DataType) -> object:  # noqa: ANN401 (any value at all)
    """One value of an Arrow column in the corpus's notation."""
    if value is None:
        return None
    if pa.types.is_list(found):
        return [canonical(item, found.value_type) for item in value]
    if pa.types.is_map(found):
        return [[canonical(k, found.key_type), canonical(v, found.item_type)] for k, v in value]
    if pa.types.is_struct(found):
        return {f.name: canonical(value[f.name], f.type) for f in found}
    return _scalar(value)


def table_rows(table: pa.Table) -> list[list[Any]]:
    """The rows of a result in the corpus's notation; columns may share a name."""
    columns = [
        [canonical(value, column.type) for value in column.to_pylist()]
        for column in table.itercolumns()
    ]
    return [list(row) for row in zip(*columns, strict=True)]


def column_problems(expected: list[Expected], description: list[Any], table: pa.Table) -> list[str]:
    """Differences in the columns' names and types, by description and by Arrow."""
    names = [column[0] for column in description]
    problems = []
    if len(names) != len(expected) or any(
        want.name not in ("_", name) for want, name in zip(expected, names, strict=False)
    ):
        return [f"columns: expected {[c.name for c in expected]}, got {names}"]
    for want, column in zip(expected, description, strict=True):
        found = (column[1], column[4], column[5])
        if found != (type_code(want.type), *precision_and_scale(want.type)):
            problems.append(f"column {column[0]}: expected {want.type}, description has {found}")
    if table.num_columns:
        for want, field in zip(expected, table.schema, strict=True):
            if arrow_type(field.type) != wire_type(want.type):
                problems.append(f"column {want.name}: expected {want.type}, Arrow has {field.type}")
    return problems


def row_problems(step: Step, rows: list[list[Any]]) -> list[str]:
    """Differences in the rows."""
    expected = step.rows
    if not step.ordered:
        expected, rows = sorted(expected, key=json.dumps), sorted(rows, key=json.dumps)
    if len(expected) == len(rows) and all(map(_same_row, expected, rows)):
        return []
    return ["rows: expected " + _lines(expected), "          got " + _lines(rows)]


def error_matches(step: Step, message: str) -> bool:
    """Whether an error's text has the class, the SQLSTATE and the words that are asked for."""
    found_class = re.search(r"\[([A-Z][A-Z0-9_]*(?:\.[A-Z][A-Z0-9_]*)*)\]", message)
    found_state = re.search(r"SQLSTATE: (\w{5})", message)
    if found_class is None or found_state is None or step.error_class is None:
        return False
    pattern = step.error_class
    right_class = any(fnmatch.fnmatchcase(found_class[1], p) for p in (pattern, f"{pattern}.*"))
    right_state = fnmatch.fnmatchcase(found_state[1], step.sqlstate or "*")
    # Where any error will do, a refusal is one.
    refused = found_class[1] == "UNSUPPORTED_BY_LOCAL_WAREHOUSE" and pattern != "*"
    return right_class and right_state and not refused and step.error_text in message


def _is_year_month(name: str) -> bool:
    return name.split()[1] in ("YEAR", "MONTH")


def _scalar(value: object) -> object:
    if isinstance(value, Decimal):
        return f"{value:f}"
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else ("Infinity" if value > 0 else "-Infinity")
    if isinstance(value, bytes):
        return "0x" + value.hex().upper()
    if isinstance(value, dt.datetime):
        moment = value if value.tzinfo is None else value.astimezone(dt.timezone.utc)
        return str(moment.replace(tzinfo=None))
    return str(value) if isinstance(value, dt.date) else value


def _same_row(expected: list[Any], found: list[Any]) -> bool:
    return len(expected) == len(found) and all(map(_same, expected, found))


def _same(expected: object, found: object) -> bool:
    if expected == "<any>":
        return found is not None
    # bool is an int, and 1 == 1.0: the kinds have to agree too.
    return json.dumps(expected) == json.dumps(found)


def _lines(rows: list[list[Any]]) -> str:
    return json.dumps(rows, ensure_ascii=False)
