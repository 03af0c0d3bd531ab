"""The same statements through every protocol and client: rows, types and errors as plain texts.

A client's own way to hold a value is taken out (Python's ``Decimal``, JavaScript's ``Date``, Java's
``Timestamp``); what a client cannot hold (JavaScript's numbers, its milliseconds) is compared as
far as it can.
"""

from __future__ import annotations

import datetime as dt
import json
import re
import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

_LITERALS = (
    "true", "false", "CAST(1 AS TINYINT)", "CAST(-128 AS TINYINT)", "CAST(32767 AS SMALLINT)",
    "0", "-1", "2147483647", "-2147483648", "2147483648", "9007199254740991",
    "9007199254740993", "9223372036854775807", "1.5", "-0.001", "0.00", "123456789.123456789",
    "CAST(1 AS DECIMAL(10, 2))", "CAST(99999999999999999999.99 AS DECIMAL(22, 2))",
    "isnan(CAST('NaN' AS DOUBLE))", "CAST('Infinity' AS DOUBLE)", "1.0E10", "1.5E-7", "-0.0D",
    "CAST(1.1 AS FLOAT)", "CAST(1e20 AS FLOAT)", "CAST(1e20 AS DOUBLE)", "CAST(0.1 AS DOUBLE)",
    "''", "'x'", "'it\\'s'", "'a\"b'", "'ä€𝄞'", "'a,b'", "'tab\\there'", "'  '", "'null'",
    "X''", "X'00ff10'", "CAST('ab' AS BINARY)", "DATE'2024-02-29'", "DATE'0001-01-01'",
    "DATE'9999-12-31'", "TIMESTAMP'2024-01-02 03:04:05'", "TIMESTAMP'2024-01-02 03:04:05.678'",
    "TIMESTAMP'2024-01-02 03:04:05.678901'", "TIMESTAMP'1969-12-31 23:59:59.999'",
    "TIMESTAMP_NTZ'2024-01-02 03:04:05.678'", "NULL", "CAST(NULL AS INT)",
    "CAST(NULL AS STRING)", "CAST(NULL AS DECIMAL(5, 2))", "CAST(NULL AS DATE)",
    "CAST(NULL AS TIMESTAMP)", "CAST(NULL AS BOOLEAN)", "CAST(NULL AS DOUBLE)",
    "CAST(NULL AS BINARY)", "CAST(NULL AS ARRAY<INT>)", "array(1, 2, 3)", "array('a', 'b')",
    "array()", "array(array(1), array(2, 3))", "map('a', 1, 'b', 2)", "map(1, 'x')",
    "named_struct('a', 1, 'b', 'x')", "named_struct('a', array(1), 'b', named_struct('c', true))",
    "array(named_struct('a', 1), named_struct('a', 2))", "parse_json('{\"a\":[1,2]}')",
    "parse_json('null')",
)  # fmt: skip
_EXPRESSIONS = (
    "1 + 1", "7 / 2", "7 div 2", "7 % 3", "-7 % 3", "1.10 + 2.2", "1.5 * 1.5", "10 / 4.0",
    "2 > 1", "NULL = NULL", "NULL <=> NULL", "NOT true", "'a' || 'b'", "concat('a', 1)",
    "upper('aß')", "length('ä€')", "substring('hello', 2, 3)", "split('a,b,c', ',')",
    "trim('  x ')", "replace('abc', 'b', 'xx')", "lpad('7', 3, '0')", "reverse('abc')",
    "coalesce(NULL, 2)", "nullif(1, 1)", "if(1 > 2, 'a', 'b')", "CASE WHEN 1 = 1 THEN 'x' END",
    "abs(-5)", "round(2.5)", "floor(-1.5)", "ceil(1.2)", "sqrt(2)", "power(2, 10)", "pi()",
    "greatest(1, 3, 2)", "least('b', 'a')", "CAST('12' AS INT)", "CAST(1.9 AS INT)",
    "try_cast('x' AS INT)", "CAST(true AS STRING)", "CAST(1.50 AS STRING)", "CAST(1e10 AS STRING)",
    "date_add(DATE'2024-01-31', 1)", "datediff(DATE'2024-03-01', DATE'2024-02-01')",
    "year(DATE'2024-02-03')", "date_format(TIMESTAMP'2024-01-02 03:04:05', 'yyyy/MM/dd HH:mm')",
    "to_date('2024-05-06')", "add_months(DATE'2024-01-31', 1)",
    "date_trunc('MONTH', TIMESTAMP'2024-05-06 07:08:09')", "size(array(1, 2))",
    "element_at(array(10, 20), 2)", "array_contains(array(1, 2), 2)", "sort_array(array(3, 1, 2))",
    "map_keys(map('a', 1))", "named_struct('a', 5).a", "explode(array(1, 2))", "hex('abc')",
    "md5('x')", "sha2('x', 256)", "to_json(named_struct('a', 1))", "current_catalog()",
    "typeof(1.5)", "try_divide(1, 0)", "2 BETWEEN 1 AND 3", "'abc' LIKE 'a%'", "'abc' RLIKE '^a'",
    "1 IN (1, 2)", "bit_count(7)", "shiftleft(1, 4)", "crc32('x')", "ascii('a')",
)  # fmt: skip
_ON_TABLES = (
    "CREATE TABLE t (a INT, b STRING, c DECIMAL(10, 2), d TIMESTAMP, e ARRAY<INT>)",
    "SELECT * FROM t",
    (
        "INSERT INTO t VALUES (1, 'x', 1.5, TIMESTAMP'2024-01-01 00:00:00', array(1)), "
        "(2, NULL, NULL, NULL, NULL), (3, 'z', -0.25, TIMESTAMP'1999-12-31 23:59:59', array())"
    ),
    "SELECT * FROM t ORDER BY a",
    "SELECT count(*) AS n, sum(a) AS s, avg(c) AS m, min(b) AS low, max(d) AS high FROM t",
    "UPDATE t SET b = 'y' WHERE a = 2",
    "UPDATE t SET b = 'y' WHERE a = 99",
    "DELETE FROM t WHERE a = 3",
    "SELECT a, b FROM t ORDER BY a DESC",
    (
        "MERGE INTO t USING (SELECT 1 AS a, 'm' AS b) s ON t.a = s.a WHEN MATCHED THEN UPDATE SET "
        "b = s.b WHEN NOT MATCHED THEN INSERT (a, b) VALUES (s.a, s.b)"
    ),
    "SELECT a, b FROM t ORDER BY a",
    "CREATE VIEW v AS SELECT a, upper(b) AS u FROM t",
    "SELECT * FROM v ORDER BY a",
    "CREATE TABLE u AS SELECT a, c FROM t",
    "SELECT t.a, u.c FROM t JOIN u ON t.a = u.a ORDER BY t.a",
    "SELECT t.a, u.c FROM t LEFT JOIN u ON t.a = u.a + 1 ORDER BY t.a",
    "SELECT b, count(*) AS n FROM t GROUP BY b HAVING count(*) > 0 ORDER BY b",
    "SELECT a, row_number() OVER (ORDER BY a DESC) AS r FROM t ORDER BY a",
    "WITH x AS (SELECT a FROM t) SELECT a FROM x UNION ALL SELECT a FROM u ORDER BY a",
    "SELECT a FROM t WHERE EXISTS (SELECT 1 FROM u WHERE u.a = t.a) ORDER BY a",
    (
        "SELECT table_name FROM main.information_schema.tables "
        "WHERE table_schema = current_schema() ORDER BY table_name"
    ),
    "DESCRIBE t", "SHOW COLUMNS IN t", "SHOW CATALOGS LIKE 'ma*'",
    "ALTER TABLE t ADD COLUMN f DOUBLE", "SELECT * FROM t ORDER BY a", "TRUNCATE TABLE u",
    "SELECT * FROM u", "DROP VIEW v", "DROP TABLE u", "DROP TABLE IF EXISTS u",
    "SELECT id FROM range(2500)", "SELECT id, id * 2 AS b, 'x' AS c FROM range(20000)",
)  # fmt: skip
_FAILING = (
    "SELEC 1", "SELECT", "SELECT FROM t", "SELECT * FROM nowhere", "SELECT nope FROM t",
    "SELECT 1 / 0", "SELECT CAST('x' AS INT)", "SELECT 2147483647 + CAST(1 AS INT)",
    "SELECT CAST(300 AS TINYINT)", "SELECT nofunction(1)", "SELECT upper()",
    "SELECT element_at(array(1), 5)", "SELECT a FROM t GROUP BY b", "SELECT sum(sum(a)) FROM t",
    "CREATE TABLE t (a INT)", "DROP TABLE nowhere", "INSERT INTO t (nope) VALUES (1)",
    "INSERT INTO nowhere VALUES (1)", "USE nowhere", "SELECT (SELECT a FROM t)",
    "SELECT raise_error('mine')", "SELECT to_date('x')", "CREATE SCHEMA main.default",
    "SELECT a, a FROM t ORDER BY nope", "SELECT * FROM t WHERE a = array(1)",
    "CREATE TABLE main.nowhere.x (a INT)", "SELECT assert_true(false)", "SELECT 1 +",
)  # fmt: skip

STATEMENTS: tuple[str, ...] = (
    *(f"SELECT {literal} AS a" for literal in _LITERALS),
    *(f"SELECT {expression} AS a" for expression in _EXPRESSIONS),
    *_ON_TABLES,
    *_FAILING,
)
"""The statements, to be run in this order in an empty schema."""

SOME: tuple[str, ...] = (
    *(f"SELECT {literal} AS a" for literal in _LITERALS[::4]),
    *(f"SELECT {expression} AS a" for expression in _EXPRESSIONS[::8]),
    *_ON_TABLES,
    *_FAILING,
)
"""A part of them, likewise."""

_CLASS = re.compile(r"\[([A-Z][A-Z0-9_]+(?:\.[A-Z0-9_]+)*)\]")
_STATE = re.compile(r"SQLSTATE: ([0-9A-Z]{5})")
_WHOLE = frozenset({"tinyint", "smallint", "int", "bigint"})
_TYPES = {
    "byte": "tinyint", "short": "smallint", "long": "bigint", "timestamp_ntz": "timestamp",
    "void": "null",
}  # fmt: skip


@dataclass(frozen=True)
class Outcome:
    """What became of a statement.

    Attributes:
        columns: Names and types of the columns; none where it has no result of its own.
        rows: The values as texts.
        error: Class and SQLSTATE, where it failed.
        changed: How many rows it changed, where the client tells nothing else.
    """

    columns: tuple[tuple[str, str], ...] = ()
    rows: tuple[tuple[str | None, ...], ...] = field(default=(), repr=False)
    error: tuple[str, str] | None = None
    changed: int | None = None


def succeeded(columns: Sequence[tuple[str, str]], rows: Sequence[Sequence[Any]]) -> Outcome:
    """The outcome of a result; types in the client's words."""
    named = [(name, _type(kind)) for name, kind in columns]
    if named == [("Result", "string")] and not rows:
        return Outcome()  # Thrift describes what has no result with this one column
    kinds = [kind for _, kind in named]
    plain = (
        tuple(text_of(value, kind) for value, kind in zip(row, kinds, strict=True)) for row in rows
    )
    return Outcome(tuple(named), tuple(plain))


def failed(message: str) -> Outcome:
    """The outcome of an error, by the text that the user sees."""
    kind, state = _CLASS.search(message), _STATE.search(message)
    if kind is None or state is None:
        return Outcome(error=("no error class", message))
    return Outcome(error=(kind[1], state[1]))


def text_of(value: Any, kind: str) -> str | None:
    """A value as text, whatever the client holds it in."""
    if value is None:
        return None
    reader = _READERS.get("whole" if kind in _WHOLE else kind, str)
    return reader(value)


def as_javascript(outcome: Outcome) -> Outcome:
    """What JavaScript can hold of an outcome: doubles for numbers, milliseconds, no VARIANT."""
    kinds = [kind for _, kind in outcome.columns]
    rows = tuple(
        tuple(_in_javascript(value, kind) for value, kind in zip(row, kinds, strict=True))
        for row in outcome.rows
    )
    columns = tuple(
        (name, "string" if kind == "variant" else kind) for name, kind in outcome.columns
    )
    return Outcome(columns, rows, outcome.error, outcome.changed)


def as_kernel(outcome: Outcome) -> Outcome:
    """What the kernel tells of an outcome: a column of NULL and no type is a STRING."""
    columns = tuple((name, "string" if kind == "null" else kind) for name, kind in outcome.columns)
    return Outcome(columns, outcome.rows, outcome.error, outcome.changed)


def as_counts(outcome: Outcome) -> Outcome:
    """What JDBC tells of an outcome: of what has no rows to be read, how many rows it changed."""
    if outcome.error is None and not outcome.columns:
        return Outcome(changed=0)
    if outcome.columns and outcome.columns[0][0] == "num_affected_rows":
        return Outcome(changed=int(outcome.rows[0][0] or 0))
    return outcome


def _in_javascript(value: str | None, kind: str) -> str | None:
    if value is None:
        return None
    if kind in _WHOLE or kind in ("decimal", "double", "float"):
        return repr(float(value))
    return value[:23].removesuffix(".000") if kind == "timestamp" else value


def _type(kind: str) -> str:
    name = re.split(r"[(<]", kind.strip().lower())[0]
    return _TYPES.get(name, name)


def _moment(value: Any) -> str:
    if not isinstance(value, dt.datetime):
        text = str(value).replace(" ", "T")
        moment, _, fraction = text.removesuffix("Z").partition(".")
        moment = f"{moment}:00" if moment.count(":") == 1 else moment
        value = dt.datetime.fromisoformat(f"{moment}.{fraction[:6]:0<6}")
    if value.tzinfo is not None:
        value = value.astimezone(dt.timezone.utc).replace(tzinfo=None)
    return str(value.isoformat())


def _plain(value: Any) -> Any:
    if isinstance(value, str) and value[:1] in ("[", "{"):
        # JDBC writes a number that is a key as it is.
        value = json.loads(re.sub(r"([{,])(-?\d+):", r'\1"\2":', value))
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, list) and value and all(isinstance(item, tuple) for item in value):
        return {str(key): _plain(item) for key, item in value}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return str(value).lower() if isinstance(value, bool) else None if value is None else str(value)


_READERS: dict[str, Callable[[Any], str]] = {
    "whole": lambda value: str(int(value)),
    "boolean": lambda value: str(value).lower(),
    "float": lambda value: repr(struct.unpack("f", struct.pack("f", float(value)))[0]),
    "double": lambda value: repr(float(value)),
    "decimal": lambda value: f"{Decimal(str(value)).normalize():f}",
    "binary": lambda value: value if isinstance(value, str) else bytes(value).hex(),
    "date": lambda value: str(value)[:10],
    "timestamp": _moment,
    **dict.fromkeys(
        ("array", "map", "struct"),
        lambda value: json.dumps(_plain(value), sort_keys=True, ensure_ascii=False),
    ),
}
