"""Databricks types: as text, in DuckDB, in Arrow.

https://docs.databricks.com/aws/en/sql/language-manual/sql-ref-datatypes lists them. VARIANT is
carried as JSON text. An interval is carried as DuckDB's INTERVAL and leaves as text, since the
driver asks for intervals as strings.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import TYPE_CHECKING

import pyarrow as pa
from sqlglot import exp

from vinci_code.warehouse.sql.errors import SqlError, missing_size, syntax_error, unsupported
from vinci_code.warehouse.sql.lexemes import Lexeme, lexemes, name_of, string_value

if TYPE_CHECKING:
    from duckdb.sqltypes import DuckDBPyType

MAX_PRECISION = 38
DEFAULT_DECIMAL = (10, 0)
TIMESTAMP_ZONE = "Etc/UTC"


@dataclass(frozen=True)
class Field:
    """A field of a STRUCT."""

    name: str
    type: SqlType
    nullable: bool = True
    comment: str | None = None


@dataclass(frozen=True)
class SqlType:
    """A Databricks type.

    Attributes:
        name: ``INT``, ``DECIMAL``, ``STRING``, ``ARRAY``, ``INTERVAL DAY TO SECOND`` …
        precision: Of a DECIMAL.
        scale: Of a DECIMAL.
        length: Of a CHAR or VARCHAR.
        element: Of an ARRAY.
        key: Of a MAP.
        value: Of a MAP.
        fields: Of a STRUCT, or of the OBJECT that ``schema_of_variant`` names.
    """

    name: str
    precision: int | None = None
    scale: int | None = None
    length: int | None = None
    element: SqlType | None = None
    key: SqlType | None = None
    value: SqlType | None = None
    fields: tuple[Field, ...] = field(default=())

    @property
    def text(self) -> str:
        """The type as Databricks writes it: ``DECIMAL(10,2)``, ``STRUCT<a: INT, b: STRING>``."""
        if self.name == "DECIMAL":
            return f"DECIMAL({self.precision},{self.scale})"
        if self.name in ("CHAR", "VARCHAR"):
            return f"{self.name}({self.length})"
        if self.element is not None:
            return f"ARRAY<{self.element.text}>"
        if self.key is not None and self.value is not None:
            return f"MAP<{self.key.text}, {self.value.text}>"
        if self.name in ("STRUCT", "OBJECT"):
            return f"{self.name}<{', '.join(map(_field_text, self.fields))}>"
        return self.name

    @property
    def simple(self) -> str:
        """The type as DESCRIBE prints it: ``decimal(10,2)``, ``struct<a:int,b:string>``."""
        if self.element is not None:
            return f"array<{self.element.simple}>"
        if self.key is not None and self.value is not None:
            return f"map<{self.key.simple},{self.value.simple}>"
        if self.name == "STRUCT":
            inner = ",".join(f"{item.name}:{item.type.simple}" for item in self.fields)
            return f"struct<{inner}>"
        return self.text.lower()

    @property
    def is_integral(self) -> bool:
        """Whether it is one of the four integer types."""
        return self.name in INTEGRAL

    @property
    def is_numeric(self) -> bool:
        """Whether it is an integer, DECIMAL, FLOAT or DOUBLE."""
        return self.name in INTEGRAL or self.name in ("DECIMAL", "FLOAT", "DOUBLE")

    @property
    def is_string(self) -> bool:
        """Whether it is STRING, CHAR or VARCHAR."""
        return self.name in ("STRING", "CHAR", "VARCHAR")

    @property
    def is_interval(self) -> bool:
        """Whether it is an interval of either kind."""
        return self.name.startswith("INTERVAL")

    @property
    def is_month_interval(self) -> bool:
        """Whether it is an interval of years and months."""
        return self.name in _MONTH_INTERVALS

    @property
    def is_nested(self) -> bool:
        """Whether it is an ARRAY, MAP or STRUCT."""
        return self.name in ("ARRAY", "MAP", "STRUCT")

    def duckdb(self) -> str:
        """Return the DuckDB type that holds its values."""
        if self.name == "DECIMAL":
            return f"DECIMAL({self.precision},{self.scale})"
        if self.element is not None:
            return f"{self.element.duckdb()}[]"
        if self.key is not None and self.value is not None:
            return f"MAP({self.key.duckdb()}, {self.value.duckdb()})"
        if self.name == "STRUCT":
            inner = ", ".join(
                f'"{item.name.replace(chr(34), chr(34) * 2)}" {item.type.duckdb()}'
                for item in self.fields
            )
            return f"STRUCT({inner})"
        if self.is_interval:
            return "INTERVAL"
        return _DUCKDB[self.name]

    def arrow(self) -> pa.DataType:
        """Return the Arrow type in which its values leave the engine."""
        if self.name == "DECIMAL":
            return pa.decimal128(self.precision or 10, self.scale or 0)
        if self.element is not None:
            return pa.list_(pa.field("element", self.element.arrow()))
        if self.key is not None and self.value is not None:
            if self.key.name == "VOID":
                raise unsupported("a map whose keys have no type in a result")
            return pa.map_(self.key.arrow(), self.value.arrow())
        if self.name == "STRUCT":
            return pa.struct([pa.field(item.name, item.type.arrow()) for item in self.fields])
        if self.is_interval:
            return pa.string()
        return _ARROW[self.name]


@dataclass(frozen=True)
class Column:
    """A column of a table or of a result.

    Attributes:
        name: The name, in the case it was written in.
        type: The Databricks type.
        nullable: Whether it can hold NULL.
        comment: The comment, if any.
    """

    name: str
    type: SqlType
    nullable: bool = True
    comment: str | None = None


VOID = SqlType("VOID")
BOOLEAN = SqlType("BOOLEAN")
TINYINT = SqlType("TINYINT")
SMALLINT = SqlType("SMALLINT")
INT = SqlType("INT")
BIGINT = SqlType("BIGINT")
FLOAT = SqlType("FLOAT")
DOUBLE = SqlType("DOUBLE")
STRING = SqlType("STRING")
BINARY = SqlType("BINARY")
DATE = SqlType("DATE")
TIMESTAMP = SqlType("TIMESTAMP")
TIMESTAMP_NTZ = SqlType("TIMESTAMP_NTZ")
VARIANT = SqlType("VARIANT")
INTERVAL_YEAR_MONTH = SqlType("INTERVAL YEAR TO MONTH")
INTERVAL_DAY_SECOND = SqlType("INTERVAL DAY TO SECOND")

# From the narrowest to the widest.
INTEGRAL = ("TINYINT", "SMALLINT", "INT", "BIGINT")


def precision_exceeded(precision: int) -> SqlError:
    """Return the error of a DECIMAL with more digits than there are."""
    return SqlError(
        "DECIMAL_PRECISION_EXCEEDS_MAX_PRECISION",
        "22003",
        f"Decimal precision {precision} exceeds max precision {MAX_PRECISION}.",
    )


def decimal(precision: int, scale: int) -> SqlType:
    """Return DECIMAL(precision, scale)."""
    return SqlType("DECIMAL", precision=precision, scale=scale)


def array(element: SqlType) -> SqlType:
    """Return ARRAY<element>."""
    return SqlType("ARRAY", element=element)


def map_of(key: SqlType, value: SqlType) -> SqlType:
    """Return MAP<key, value>."""
    return SqlType("MAP", key=key, value=value)


def struct(*fields: tuple[str, SqlType]) -> SqlType:
    """Return a STRUCT of the given names and types."""
    return SqlType("STRUCT", fields=tuple(Field(name, kind) for name, kind in fields))


@lru_cache(maxsize=4096)
def parse_type(text: str) -> SqlType:
    """Read a type as Databricks writes it.

    Raises:
        SqlError: ``UNSUPPORTED_DATATYPE`` for a name that is no type, ``PARSE_SYNTAX_ERROR`` for a
            text that is none.
    """
    reader = _TypeReader(text)
    result = reader.type()
    reader.end()
    return result


@lru_cache(maxsize=1024)
def parse_row_type(text: str) -> SqlType:
    """Read a schema: either a type, or ``a INT, b STRING`` which stands for a STRUCT of these."""
    reader = _TypeReader(text)
    result = reader.row()
    reader.end()
    return result


def from_sqlglot(expression: exp.DataType) -> SqlType:
    """Return the type that sqlglot read.

    Raises:
        SqlError: ``UNSUPPORTED_DATATYPE`` for a type that only other dialects have.
    """
    inner = expression.this
    if isinstance(inner, exp.Interval):
        return parse_type(inner.sql(dialect="databricks"))
    name = inner.name if isinstance(inner, exp.DType) else str(inner).upper()
    if name in _SQLGLOT_NAMES:
        return SqlType(_SQLGLOT_NAMES[name])
    if name == "ARRAY" and len(expression.expressions) == 1:
        return array(from_sqlglot(expression.expressions[0]))
    if name == "MAP" and len(expression.expressions) == 2:
        key, value = expression.expressions
        return map_of(from_sqlglot(key), from_sqlglot(value))
    if name in ("DECIMAL", "VARCHAR", "CHAR", "STRUCT", "TEXT", "INTERVAL"):
        return parse_type(expression.sql(dialect="databricks"))
    if name in _REFUSED:
        raise unsupported(f"the type {name}")
    raise SqlError("UNSUPPORTED_DATATYPE", "0A000", f'Unsupported data type "{name}".')


def with_nullable_fields(kind: SqlType) -> SqlType:
    """Return a type all of whose fields take NULL, as Delta stores what a query answers."""
    return replace(
        kind,
        element=kind.element and with_nullable_fields(kind.element),
        key=kind.key and with_nullable_fields(kind.key),
        value=kind.value and with_nullable_fields(kind.value),
        fields=tuple(
            replace(item, type=with_nullable_fields(item.type), nullable=True)
            for item in kind.fields
        ),
    )


def from_duckdb_type(kind: DuckDBPyType | str) -> SqlType:
    """Return the Databricks type that holds the values of a DuckDB type.

    Raises:
        SqlError: ``UNSUPPORTED_BY_LOCAL_WAREHOUSE`` for a type that Databricks lacks.
    """
    text = str(kind).strip()
    if text.endswith("[]"):
        return array(from_duckdb_type(text[:-2]))
    head, _, rest = text.partition("(")
    name = head.strip().upper()
    if name == "DECIMAL" and rest:
        precision, _, scale = rest.rstrip(")").partition(",")
        return decimal(int(precision), int(scale or 0))
    if name in ("MAP", "STRUCT"):
        return _from_duckdb_nested(name, rest[: rest.rindex(")")])
    try:
        return _FROM_DUCKDB[name]
    except KeyError:
        raise unsupported(f"values of the engine's type {text}") from None


def _from_duckdb_nested(name: str, inner: str) -> SqlType:
    parts = _split(inner)
    if name == "MAP":
        return map_of(from_duckdb_type(parts[0]), from_duckdb_type(parts[1]))
    fields = []
    for part in parts:
        match = re.match(r'\s*("(?:[^"]|"")*"|\S+)\s+(.*)$', part, re.DOTALL)
        if match is None:
            raise unsupported(f"values of the engine's type {name}({inner})")
        label = match.group(1)
        if label.startswith('"'):
            label = label[1:-1].replace('""', '"')
        fields.append((label, from_duckdb_type(match.group(2))))
    return struct(*fields)


def _split(text: str) -> list[str]:
    parts, depth, start, quoted = [], 0, 0, False
    for index, letter in enumerate(text):
        if letter == '"':
            quoted = not quoted
        elif quoted:
            continue
        elif letter in "([":
            depth += 1
        elif letter in ")]":
            depth -= 1
        elif letter == "," and depth == 0:
            parts.append(text[start:index])
            start = index + 1
    return [*parts, text[start:]]


def _field_text(item: Field) -> str:
    name = item.name if re.fullmatch(r"\w+", item.name) else f"`{item.name.replace('`', '``')}`"
    suffix = "" if item.nullable else " NOT NULL"
    if item.comment is not None:
        escaped = item.comment.replace("\\", "\\\\").replace("'", "\\'")
        suffix += f" COMMENT '{escaped}'"
    return f"{name}: {item.type.text}{suffix}"


class _TypeReader:
    """Reads one type out of text, word by word."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._lexemes = list(_split_brackets(lexemes(text)))
        self._index = 0

    def type(self) -> SqlType:
        word = self._next().upper()
        if word == "ARRAY":
            return array(self._angle(self.type))
        if word == "MAP":
            return self._angle(self._pair)
        if word == "STRUCT":
            return self._struct()
        if word in ("DECIMAL", "DEC", "NUMERIC"):
            return self._decimal()
        if word in ("CHAR", "CHARACTER", "VARCHAR"):
            return self._sized(word)
        if word == "INTERVAL":
            return self._interval()
        return self._plain(word)

    def row(self) -> SqlType:
        start = self._index
        try:
            result = self.type()
        except SqlError:
            result = None
        if result is not None and self._peek() == "":
            return result
        self._index = start
        return SqlType("STRUCT", fields=tuple(self._fields("")))

    def end(self) -> None:
        if self._index < len(self._lexemes):
            raise self._error(self._peek())

    def _plain(self, word: str) -> SqlType:
        name = _ALIASES.get(word, word)
        if word == "TIMESTAMP" and self._peek().upper() == "WITHOUT":
            raise self._error("WITHOUT")
        if name in _REFUSED:
            raise unsupported(f"the type {name}")
        if name not in _DUCKDB:
            raise SqlError("UNSUPPORTED_DATATYPE", "0A000", f'Unsupported data type "{word}".')
        if name == "STRING" and self._peek().upper() == "COLLATE":
            self._next()
            collation = self._next().upper()
            if collation != "UTF8_BINARY":
                raise unsupported(f"the collation {collation}")
        return SqlType(name)

    def _decimal(self) -> SqlType:
        precision, scale = DEFAULT_DECIMAL
        if self._peek() == "(":
            self._next()
            precision, scale = self._number(), 0
            if self._peek() == ",":
                self._next()
                scale = self._number()
            self._expect(")")
        if precision > MAX_PRECISION or precision < 1:
            raise precision_exceeded(precision)
        if scale > precision:
            raise SqlError(
                "DECIMAL_SCALE_EXCEEDS_PRECISION",
                "22003",
                f"Decimal scale ({scale}) cannot be greater than precision ({precision}).",
            )
        return decimal(precision, scale)

    def _sized(self, word: str) -> SqlType:
        name = "CHAR" if word == "CHARACTER" else word
        if self._peek() != "(":
            raise missing_size(name)
        self._next()
        length = self._number()
        self._expect(")")
        return SqlType(name, length=length)

    def _interval(self) -> SqlType:
        if self._peek() == "":
            raise unsupported("the type INTERVAL without units")
        unit = self._next().upper()
        if self._peek().upper() == "TO":
            self._next()
            unit = f"{unit} TO {self._next().upper()}"
        name = f"INTERVAL {unit}"
        if name not in _MONTH_INTERVALS and name not in _DAY_INTERVALS:
            raise self._error(unit)
        return SqlType(name)

    def _struct(self) -> SqlType:
        if self._peek() != "<":
            raise SqlError(
                "INCOMPLETE_TYPE_DEFINITION.STRUCT",
                "42K01",
                "Incomplete complex type: The definition of STRUCT type is incomplete. You must "
                "provide at least one field type. For example: STRUCT<name STRING, age INT>.",
            )
        self._next()
        fields = tuple(self._fields(">"))
        self._expect(">")
        return SqlType("STRUCT", fields=fields)

    def _fields(self, end: str) -> list[Field]:
        fields: list[Field] = []
        while self._peek() != end:
            if fields:
                self._expect(",")
            fields.append(self._field())
        return fields

    def _field(self) -> Field:
        name = self._take("word", "quoted", "number")
        if self._peek() == ":":
            self._next()
        kind = self.type()
        nullable, comment = True, None
        if self._peek().upper() == "NOT":
            self._next()
            self._expect("NULL")
            nullable = False
        if self._peek().upper() == "COMMENT":
            self._next()
            comment = string_value(self._take("string", "raw"))
        return Field(name_of(name), kind, nullable, comment)

    def _pair(self) -> SqlType:
        key = self.type()
        self._expect(",")
        return map_of(key, self.type())

    def _angle(self, inner: Callable[[], SqlType]) -> SqlType:
        self._expect("<")
        result = inner()
        self._expect(">")
        return result

    def _number(self) -> int:
        word = self._next()
        if not word.isdigit():
            raise self._error(word)
        return int(word)

    def _peek(self) -> str:
        return self._lexemes[self._index].text if self._index < len(self._lexemes) else ""

    def _next(self) -> str:
        word = self._peek()
        if not word:
            raise self._error("")
        self._index += 1
        return word

    def _take(self, *kinds: str) -> Lexeme:
        word = self._next()
        lexeme = self._lexemes[self._index - 1]
        if lexeme.kind not in kinds:
            raise self._error(word)
        return lexeme

    def _expect(self, word: str) -> None:
        found = self._next()
        if found.upper() != word:
            raise self._error(found)

    def _error(self, near: str) -> SqlError:
        return syntax_error(near, self._text)


def _split_brackets(found: Iterable[Lexeme]) -> Iterator[Lexeme]:
    # STRUCT<> is a type without fields, and no comparison.
    for lexeme in found:
        if lexeme.text == "<>":
            yield from (lexeme._replace(text=bracket) for bracket in lexeme.text)
        else:
            yield lexeme


_DUCKDB = {
    "VOID": "INTEGER",
    "BOOLEAN": "BOOLEAN",
    "TINYINT": "TINYINT",
    "SMALLINT": "SMALLINT",
    "INT": "INTEGER",
    "BIGINT": "BIGINT",
    "FLOAT": "FLOAT",
    "DOUBLE": "DOUBLE",
    "STRING": "VARCHAR",
    "CHAR": "VARCHAR",
    "VARCHAR": "VARCHAR",
    "BINARY": "BLOB",
    "DATE": "DATE",
    "TIMESTAMP": "TIMESTAMP WITH TIME ZONE",
    "TIMESTAMP_NTZ": "TIMESTAMP",
    "VARIANT": "VARCHAR",
}

_FROM_DUCKDB = {
    **{text: SqlType(name) for name, text in reversed(_DUCKDB.items())},
    "VARCHAR": STRING,
    "INTEGER": INT,
    "HUGEINT": decimal(38, 0),
    "TIMESTAMP WITH TIME ZONE": TIMESTAMP,
    "TIMESTAMPTZ": TIMESTAMP,
    "INTERVAL": INTERVAL_DAY_SECOND,
    "JSON": STRING,
    '"NULL"': VOID,
    "NULL": VOID,
    "REAL": FLOAT,
}

_ARROW = {
    "VOID": pa.null(),
    "BOOLEAN": pa.bool_(),
    "TINYINT": pa.int8(),
    "SMALLINT": pa.int16(),
    "INT": pa.int32(),
    "BIGINT": pa.int64(),
    "FLOAT": pa.float32(),
    "DOUBLE": pa.float64(),
    "STRING": pa.string(),
    "CHAR": pa.string(),
    "VARCHAR": pa.string(),
    "BINARY": pa.binary(),
    "DATE": pa.date32(),
    "TIMESTAMP": pa.timestamp("us", tz=TIMESTAMP_ZONE),
    "TIMESTAMP_NTZ": pa.timestamp("us"),
    "VARIANT": pa.string(),
}

_ALIASES = {
    "BYTE": "TINYINT",
    "SHORT": "SMALLINT",
    "INTEGER": "INT",
    "LONG": "BIGINT",
    "REAL": "FLOAT",
    "TIMESTAMP_LTZ": "TIMESTAMP",
    "NULL": "VOID",
}

# sqlglot's names of the types that need no more than a name.
_SQLGLOT_NAMES = {
    "NULL": "VOID",
    "VOID": "VOID",
    "BOOLEAN": "BOOLEAN",
    "TINYINT": "TINYINT",
    "SMALLINT": "SMALLINT",
    "INT": "INT",
    "BIGINT": "BIGINT",
    "FLOAT": "FLOAT",
    "DOUBLE": "DOUBLE",
    "BINARY": "BINARY",
    "VARBINARY": "BINARY",
    "DATE": "DATE",
    "TIMESTAMP": "TIMESTAMP",
    "TIMESTAMPTZ": "TIMESTAMP",
    "TIMESTAMPLTZ": "TIMESTAMP",
    "TIMESTAMPNTZ": "TIMESTAMP_NTZ",
    "VARIANT": "VARIANT",
}

_REFUSED = ("OBJECT", "GEOGRAPHY", "GEOMETRY", "TIME")

_MONTH_INTERVALS = ("INTERVAL YEAR", "INTERVAL MONTH", "INTERVAL YEAR TO MONTH")
_DAY_INTERVALS = tuple(
    f"INTERVAL {text}"
    for text in (
        "DAY",
        "HOUR",
        "MINUTE",
        "SECOND",
        "DAY TO HOUR",
        "DAY TO MINUTE",
        "DAY TO SECOND",
        "HOUR TO MINUTE",
        "HOUR TO SECOND",
        "MINUTE TO SECOND",
    )
)
