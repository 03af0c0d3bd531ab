"""What a warehouse answers when a statement fails: an error class, a SQLSTATE and a message.

The classes and SQLSTATEs are those of the Databricks documentation
(https://docs.databricks.com/aws/en/error-messages/error-classes) and of Apache Spark's
``error-conditions.json``. An error that arises while DuckDB runs a statement travels through DuckDB
as text: ``encode`` packs an ``SqlError`` into that text and ``from_duckdb`` unpacks it again.
"""

from __future__ import annotations

import re
from collections.abc import Callable

import duckdb

from vinci_code.core.errors import VinciError

_START = "\x01"
_SEPARATOR = "\x02"
_END = "\x03"
_ENCODED = re.compile(
    f"{_START}([^{_SEPARATOR}]*){_SEPARATOR}([^{_SEPARATOR}]*){_SEPARATOR}([^{_END}]*){_END}",
    re.DOTALL,
)


class SqlError(VinciError):
    """A statement failed, in the words of a real warehouse.

    Attributes:
        error_class: The error class, for example ``TABLE_OR_VIEW_NOT_FOUND``.
        sqlstate: The SQLSTATE, for example ``42P01``.
        message: The text without class and SQLSTATE.
        position: ``(line, column)`` in the statement, both as Spark counts them (line from 1,
            column from 0), where the error is one of syntax.
        statement: The text of the statement, where the error is one of syntax.
    """

    def __init__(
        self,
        error_class: str,
        sqlstate: str,
        message: str,
        *,
        position: tuple[int, int] | None = None,
        statement: str | None = None,
    ) -> None:
        super().__init__(error_class, sqlstate, message)
        self.error_class = error_class
        self.sqlstate = sqlstate
        self.message = message
        self.position = position
        self.statement = statement

    def __str__(self) -> str:
        text = f"[{self.error_class}] {self.message} SQLSTATE: {self.sqlstate}"
        if self.position is None or self.statement is None:
            return text
        line, column = self.position
        head = self.statement.split("\n")[:line]
        tail = self.statement.split("\n")[line:]
        marked = "\n".join([*head, "-" * column + "^^^", *tail])
        return f"\n{text} (line {line}, pos {column})\n\n== SQL ==\n{marked}\n"


def unsupported(construct: str) -> SqlError:
    """Return the refusal of what Databricks has and the local warehouse cannot compute."""
    return SqlError(
        "UNSUPPORTED_BY_LOCAL_WAREHOUSE",
        "0A000",
        f"The local warehouse cannot compute {construct}.",
    )


def too_complex() -> SqlError:
    """Return the refusal of a statement that is nested too deeply, or too long a chain.

    It is what Spark's parser raises where its stack overflows (``parserStackOverflow`` in
    ``QueryParsingErrors.scala``).
    """
    return SqlError(
        "FAILED_TO_PARSE_TOO_COMPLEX",
        "54001",
        "The statement, including potential SQL functions and referenced views, was too complex to "
        "parse. To mitigate this error divide the statement into multiple, less complex chunks.",
    )


def syntax_error(near: str, statement: str, offset: int = 0) -> SqlError:
    """Return ``PARSE_SYNTAX_ERROR`` in the shape of Spark's parser.

    ``near`` is the offending word, empty for the end of the input, and ``offset`` where it begins
    in the whole text, which the message repeats with a mark below the line.
    """
    place = f"'{near}'" if near else "end of input"
    message = f"Syntax error at or near {place}."
    line = statement.count("\n", 0, offset) + 1
    position = (line, offset - (statement.rfind("\n", 0, offset) + 1))
    return SqlError("PARSE_SYNTAX_ERROR", "42601", message, position=position, statement=statement)


def missing_size(name: str) -> SqlError:
    """Return ``DATATYPE_MISSING_SIZE`` of ``CHAR`` or ``VARCHAR``."""
    return SqlError(
        "DATATYPE_MISSING_SIZE",
        "42K01",
        f'DataType "{name}" requires a length parameter, for example "{name}"(10). Please specify '
        "the length.",
    )


def encode(error: SqlError) -> str:
    """Pack an error into text that survives the way through DuckDB's ``error()``."""
    return (
        f"{_START}{error.error_class}{_SEPARATOR}{error.sqlstate}{_SEPARATOR}{error.message}{_END}"
    )


def from_duckdb(error: duckdb.Error, sql: str) -> SqlError:
    """Translate what DuckDB raised into what Databricks would have answered.

    What has no match is ``INTERNAL_ERROR`` (XX000) with DuckDB's own text, so that it is seen and
    never mistaken for a Databricks error. The DuckDB SQL that was run is kept out of the message,
    since it is not the user's text.
    """
    text = str(error)
    packed = _ENCODED.search(text)
    if packed:
        return SqlError(*packed.groups())
    for kind, pattern, build in _TRANSLATIONS:
        if isinstance(error, kind):
            match = re.search(pattern, text, re.IGNORECASE | re.DOTALL)
            if match and build is _missing_aggregation and " GROUP BY " not in sql:
                return _missing_group_by()
            if match:
                return build(match)
    return SqlError("INTERNAL_ERROR", "XX000", f"The engine failed: {text}")


def arithmetic_overflow(what: str = "overflow", hint: str = "") -> SqlError:
    """Return ``ARITHMETIC_OVERFLOW``; ``hint`` names the ``try_`` form of the function."""
    advice = f" Use '{hint}' to tolerate overflow and return NULL instead." if hint else ""
    return SqlError(
        "ARITHMETIC_OVERFLOW",
        "22003",
        f'{what}.{advice} If necessary set ansi_mode to "false" to bypass this error.',
    )


def divide_by_zero() -> SqlError:
    """Return ``DIVIDE_BY_ZERO``."""
    return SqlError(
        "DIVIDE_BY_ZERO",
        "22012",
        "Division by zero. Use `try_divide` to tolerate divisor being 0 and return NULL instead. "
        'If necessary set ansi_mode to "false" to bypass this error.',
    )


def remainder_by_zero() -> SqlError:
    """Return ``REMAINDER_BY_ZERO``."""
    return SqlError(
        "REMAINDER_BY_ZERO",
        "22012",
        "Remainder by zero. Use `try_mod` to tolerate divisor being 0 and return NULL instead. If "
        'necessary set ansi_mode to "false" to bypass this error.',
    )


def malformed_record(text: str) -> SqlError:
    """Return ``MALFORMED_RECORD_IN_PARSING`` for a text that is no JSON."""
    return SqlError(
        "MALFORMED_RECORD_IN_PARSING.WITHOUT_SUGGESTION",
        "22023",
        f"Malformed records are detected in record parsing: {text}. Parse Mode: FAILFAST.",
    )


def invalid_timezone(zone: str) -> SqlError:
    """Return ``INVALID_TIMEZONE``."""
    return SqlError(
        "INVALID_TIMEZONE",
        "22009",
        f"The timezone: {zone} is invalid. The timezone must be either a region-based zone ID or a "
        "zone offset. Region IDs must have the form 'area/city', such as 'America/Los_Angeles'. "
        "Zone offsets must be in the format '(+|-)HH', '(+|-)HH:mm' or '(+|-)HH:mm:ss'.",
    )


def _overflow(match: re.Match[str]) -> SqlError:
    return arithmetic_overflow(f"{match.group(1).lower()} caused overflow")


_FORMS = {"addition": "try_add", "subtraction": "try_subtract", "multiplication": "try_multiply"}


def _operator_overflow(match: re.Match[str]) -> SqlError:
    operation = match.group(1).lower()
    kind = {"INT64": "long", "INT32": "integer", "INT16": "short", "INT8": "byte"}.get(
        match.group(2).upper(), "decimal"
    )
    return arithmetic_overflow(f"{kind} overflow", _FORMS.get(operation, ""))


def _decimal_overflow(_match: re.Match[str]) -> SqlError:
    return SqlError(
        "NUMERIC_VALUE_OUT_OF_RANGE.WITHOUT_SUGGESTION",
        "22003",
        "The value cannot be represented as a decimal of the required precision and scale.",
    )


def _small_overflow(match: re.Match[str]) -> SqlError:
    suffix = "T" if match.group(2).upper() == "INT8" else "S"
    symbol = {"addition": "+", "subtraction": "-", "multiplication": "*"}.get(match.group(1), "?")
    left, _, right = match.group(3).partition(f" {symbol} ")
    advice = _FORMS.get(match.group(1), "")
    return SqlError(
        "BINARY_ARITHMETIC_OVERFLOW",
        "22003",
        f"{left}{suffix} {symbol} {right}{suffix} caused overflow. Use `{advice}` to ignore "
        f"overflow "
        "problem and return NULL.",
    )


def _cast_overflow(match: re.Match[str]) -> SqlError:
    return SqlError(
        "CAST_OVERFLOW",
        "22003",
        f"The value {match.group(2)} of the type {_spark_name(match.group(1))} cannot be cast to "
        f"{_spark_name(match.group(3))} due to an overflow. Use `try_cast` to tolerate overflow "
        "and return NULL instead.",
    )


def _missing_group_by() -> SqlError:
    return SqlError(
        "MISSING_GROUP_BY",
        "42803",
        "The query does not include a GROUP BY clause. Add GROUP BY or turn it into the window "
        "functions using OVER clauses.",
    )


def _missing_aggregation(match: re.Match[str]) -> SqlError:
    return SqlError(
        "MISSING_AGGREGATION",
        "42803",
        f'The non-aggregating expression "{match.group(1)}" is based on columns which are not '
        "participating in the GROUP BY clause. Add the columns or the expression to the GROUP BY, "
        "aggregate the expression, or use "
        f'"any_value({match.group(1)})" if you do not care which of the values within a group is '
        "returned.",
    )


def _like_escape(_match: re.Match[str]) -> SqlError:
    return SqlError(
        "INVALID_FORMAT.ESC_AT_THE_END",
        "42601",
        "The format is invalid. The escape character is not allowed to end with.",
    )


def _scalar_subquery(_match: re.Match[str]) -> SqlError:
    return SqlError(
        "SCALAR_SUBQUERY_TOO_MANY_ROWS",
        "21000",
        "More than one row returned by a subquery used as an expression.",
    )


def _out_of_memory() -> SqlError:
    return unsupported(
        "a statement that needs more memory, or more temporary files, than it may have; the option "
        "memory_limit of the warehouse says how much memory that is"
    )


def _date_range(_match: re.Match[str]) -> SqlError:
    return unsupported("a date or timestamp that is so far from today")


_SPARK_NAMES = {
    "INT8": "TINYINT",
    "INT16": "SMALLINT",
    "INT32": "INT",
    "INT64": "BIGINT",
    "INT128": "DECIMAL(38,0)",
    "VARCHAR": "STRING",
    "BLOB": "BINARY",
}


def _spark_name(duckdb_name: str) -> str:
    return _SPARK_NAMES.get(duckdb_name.upper(), duckdb_name.upper())


# Most specific first: (DuckDB's class, pattern in its text, what it means on Databricks).
_TRANSLATIONS: tuple[tuple[type[Exception], str, Callable[[re.Match[str]], SqlError]], ...] = (
    (
        duckdb.Error,
        r"Max expression depth limit of \d+ exceeded|maximum recursion depth|stack overflow",
        lambda _: too_complex(),
    ),
    (
        duckdb.InterruptException,
        r".*",
        lambda _: SqlError("OPERATION_CANCELED", "HY008", "Operation has been canceled."),
    ),
    (duckdb.OutOfMemoryException, r".*", lambda _: _out_of_memory()),
    (
        duckdb.OutOfRangeException,
        r"Overflow in (\w+) of (INT8|INT16) \(([^)]*)\)",
        _small_overflow,
    ),
    (
        duckdb.OutOfRangeException,
        r"Overflow in (\w+) of (INT8|INT16|INT32|INT64|INT128|DECIMAL)",
        _operator_overflow,
    ),
    (duckdb.OutOfRangeException, r"Overflow in (\w+)", _overflow),
    (duckdb.OutOfRangeException, r"Overflow on abs", lambda _: arithmetic_overflow("overflow")),
    (
        duckdb.Error,
        r"Date out of range|not in timestamp range|Timestamp microseconds out of range",
        _date_range,
    ),
    # A function of ours is given as text what Python has no date for, or finds one beyond them.
    (
        duckdb.Error,
        r"date value out of range|'str' object has no attribute '(?:year|month|day|astimezone)'",
        _date_range,
    ),
    (duckdb.Error, r"Like pattern must not end with escape character", _like_escape),
    (duckdb.OutOfRangeException, r"DECIMAL", _decimal_overflow),
    (
        duckdb.ConversionException,
        r"Type INT128 with value (\S+) can't be cast .* destination type INT64",
        lambda _: arithmetic_overflow("long overflow", "try_sum"),
    ),
    (
        duckdb.ConversionException,
        r"Type (\w+) with value (\S+) can't be cast .* destination type (\w+)",
        _cast_overflow,
    ),
    (duckdb.ConversionException, r"to DECIMAL|DECIMAL\(", _decimal_overflow),
    (
        duckdb.BinderException,
        r'column "?([^"]+?)"? must appear in the GROUP BY clause',
        _missing_aggregation,
    ),
    (
        duckdb.BinderException,
        r"aggregate functions cannot reference lambda parameters",
        lambda _: unsupported("an aggregate function of a lambda function's parameter"),
    ),
    (
        duckdb.BinderException,
        r"subqueries in lambda expressions are not supported",
        lambda _: unsupported(
            "a sub-query at this place; a join or a common table expression can be"
        ),
    ),
    (duckdb.Error, r"Unknown TimeZone '([^']*)'", lambda found: invalid_timezone(found[1])),
    (duckdb.Error, r"More than one row returned by a subquery", _scalar_subquery),
)
