"""From the name of a type, as Databricks writes it, to the SQLAlchemy type.

The names are those of ``information_schema.columns.full_data_type`` and of DESCRIBE
(``array<struct<a:int>>``), and those of SQL (``ARRAY<STRUCT<a: INT NOT NULL COMMENT 'x'>>``):
https://docs.databricks.com/aws/en/sql/language-manual/sql-ref-datatypes
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy.types import (
    BIGINT,
    BOOLEAN,
    CHAR,
    DATE,
    DECIMAL,
    DOUBLE,
    FLOAT,
    INTEGER,
    SMALLINT,
    VARCHAR,
    LargeBinary,
    NullType,
    String,
    Time,
    TypeEngine,
)

from vinci_code.database.dialect.types import (
    ARRAY,
    MAP,
    STRUCT,
    TIMESTAMP,
    TIMESTAMP_NTZ,
    TINYINT,
    VARIANT,
)

AnyType = TypeEngine[Any]

# What a bare DECIMAL means: https://docs.databricks.com/aws/en/sql/language-manual/data-types/decimal-type
_DECIMAL = (10, 0)


class UnknownTypeError(ValueError):
    """A type name that SQLAlchemy has no type for; reflection gives ``NullType`` and warns."""

    def __init__(self, name: str) -> None:
        super().__init__(f"the type {name!r} is none that this dialect knows")
        self.name = name


def parse_type_name(name: str) -> AnyType:
    """Return the SQLAlchemy type that a Databricks type name means.

    Args:
        name: The name, in any case: ``bigint``, ``decimal(10,2)``, ``map<string,array<int>>``.

    Raises:
        UnknownTypeError: It is none, or one that this dialect does not know.
    """
    reader = _Reader(name)
    found = reader.type()
    reader.end()
    return found


class _Reader:
    """Reads one type from the left to the right."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0

    def type(self) -> AnyType:
        """Read one type, with what it holds."""
        word = self._take(_WORD).lower()
        nested = _NESTED.get(word)
        if nested is not None:
            return nested(self)
        if word == "interval":
            return self._interval()
        make = _SIMPLE.get(word)
        if make is None:
            raise self._unknown()
        return self._collated(make(*self._numbers()))

    def array(self) -> AnyType:
        """Read what follows ARRAY."""
        self._expect("<")
        item = self.type()
        self._expect(">")
        if isinstance(item, ARRAY):  # SQLAlchemy's arrays count their dimensions
            return ARRAY(item.item_type, dimensions=(item.dimensions or 1) + 1)
        return ARRAY(item)

    def map(self) -> AnyType:
        """Read what follows MAP."""
        self._expect("<")
        key = self.type()
        self._expect(",")
        value = self.type()
        self._expect(">")
        return MAP(key, value)

    def struct(self) -> AnyType:
        """Read what follows STRUCT."""
        fields: list[tuple[str, AnyType]] = []
        self._expect("<")
        while not self._accept(">"):
            if fields:
                self._expect(",")
            fields.append(self._field())
        return STRUCT(*fields)

    def end(self) -> None:
        """Refuse whatever stands behind the type."""
        if self._text[self._at :].strip():
            raise self._unknown()

    def _field(self) -> tuple[str, AnyType]:
        quoted = self._find(_QUOTED_NAME)
        name = quoted[1:-1].replace("``", "`") if quoted else self._take(_FIELD_NAME).strip()
        self._accept(":")
        kind = self.type()
        self._find(_NOT_NULL)
        self._find(_COMMENT)
        return name, kind

    def _interval(self) -> AnyType:
        # Which units it is made of is left to the database: values come and go as text.
        self._take(_INTERVAL_UNITS)
        raise self._unknown()

    def _numbers(self) -> tuple[int, ...]:
        found = self._find(_NUMBERS)
        return tuple(int(number) for number in re.findall(r"\d+", found)) if found else ()

    def _collated(self, kind: AnyType) -> AnyType:
        found = self._find(_COLLATE)
        if found and isinstance(kind, String):
            kind.collation = found.split()[-1]
        return kind

    def _expect(self, sign: str) -> None:
        if not self._accept(sign):
            raise self._unknown()

    def _accept(self, sign: str) -> bool:
        return self._find(re.compile(re.escape(sign))) != ""

    def _take(self, pattern: re.Pattern[str]) -> str:
        found = self._find(pattern)
        if not found:
            raise self._unknown()
        return found

    def _find(self, pattern: re.Pattern[str]) -> str:
        """What the pattern matches here, space before it left out; empty if it does not."""
        found = re.compile(rf"\s*({pattern.pattern})", pattern.flags).match(self._text, self._at)
        if found is None:
            return ""
        self._at = found.end()
        return found.group(1)

    def _unknown(self) -> UnknownTypeError:
        return UnknownTypeError(self._text)


_WORD = re.compile(r"[A-Za-z_]\w*")
_NUMBERS = re.compile(r"\(\s*\d+\s*(?:,\s*\d+\s*)?\)")
_COLLATE = re.compile(r"collate\s+\w+", re.IGNORECASE)
_QUOTED_NAME = re.compile(r"`(?:[^`]|``)*`")
# DESCRIBE and information_schema do not quote the names of fields: "struct<a b:int>".
_FIELD_NAME = re.compile(r"[^:<>,`]+(?=:)|[^\s:<>,`]+")
_NOT_NULL = re.compile(r"not\s+null", re.IGNORECASE)
_COMMENT = re.compile(r"comment\s+(?:'(?:\\.|[^'\\])*'|\"(?:\\.|[^\"\\])*\")", re.IGNORECASE)
_INTERVAL_UNITS = re.compile(r"\w+(?:\s+to\s+\w+)?", re.IGNORECASE)

_NESTED: Mapping[str, Callable[[_Reader], AnyType]] = {
    "array": _Reader.array,
    "map": _Reader.map,
    "struct": _Reader.struct,
}


def _decimal(precision: int = _DECIMAL[0], scale: int = _DECIMAL[1]) -> AnyType:
    return DECIMAL(precision, scale)


_SIMPLE: Mapping[str, Callable[..., AnyType]] = {
    "bigint": BIGINT,
    "binary": LargeBinary,
    "boolean": BOOLEAN,
    "byte": TINYINT,
    "char": CHAR,
    "date": DATE,
    "dec": _decimal,
    "decimal": _decimal,
    "double": DOUBLE,
    "float": FLOAT,
    "int": INTEGER,
    "integer": INTEGER,
    "long": BIGINT,
    "numeric": _decimal,
    "real": FLOAT,
    "short": SMALLINT,
    "smallint": SMALLINT,
    "string": String,
    "time": lambda *_: Time(),
    "timestamp": TIMESTAMP,
    "timestamp_ltz": TIMESTAMP,
    "timestamp_ntz": TIMESTAMP_NTZ,
    "tinyint": TINYINT,
    "varchar": VARCHAR,
    "variant": VARIANT,
    "void": NullType,
}
