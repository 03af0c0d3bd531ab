"""Pieces of DuckDB SQL that carry their Databricks type."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Final

from vinci_code.warehouse.sql.errors import SqlError, encode
from vinci_code.warehouse.sql.types import (
    BIGINT,
    BOOLEAN,
    INT,
    INTEGRAL,
    MAX_PRECISION,
    STRING,
    VOID,
    SqlType,
    decimal,
    precision_exceeded,
)


class _Missing:
    def __repr__(self) -> str:
        return "MISSING"


MISSING: Final = _Missing()
# Longer text is bound instead of being written into the SQL, which DuckDB would have to parse.
MAX_INLINE_TEXT = 2_000
_ATOM = re.compile(r'(?:"(?:[^"]|"")*"(?:\."(?:[^"]|"")*")?|NULL|TRUE|FALSE|-?\d+|\'[^\']*\')\Z')


@dataclass(frozen=True)
class Typed:
    """An expression of DuckDB SQL with what Databricks knows of it.

    Attributes:
        sql: DuckDB SQL that can be put next to any operator.
        type: The Databricks type.
        name: What Databricks would call a result column made of it.
        nullable: Whether it can be NULL.
        constant: Its value where the statement holds it as a literal, else ``MISSING``.
    """

    sql: str
    type: SqlType
    name: str
    nullable: bool = True
    constant: object = MISSING

    @property
    def is_constant(self) -> bool:
        """Whether the value is known without running the query."""
        return self.constant is not MISSING

    @property
    def is_atom(self) -> bool:
        """Whether the SQL may be repeated without doing work twice."""
        return _ATOM.match(self.sql) is not None

    @property
    def computed(self) -> str:
        """The SQL, which DuckDB computes even where only its being NULL is asked.

        Its optimiser answers that for ``a + 1`` from ``a``, which loses the overflow; it does not
        look into lists.
        """
        return self.sql if self.is_atom else f"([{self.sql}])[1]"

    def named(self, name: str) -> Typed:
        """Return the same under another name."""
        return replace(self, name=name)


def quote(name: str) -> str:
    """Return a DuckDB identifier."""
    return '"' + name.replace('"', '""') + '"'


def months_sql(interval: str) -> str:
    """Return the SQL of the whole months of an interval."""
    return f"(datepart('year', {interval}) * 12 + datepart('month', {interval}))"


def path_key_sql(sql: str) -> str:
    """Return a name as a path of the translation writes it between quotes."""
    doubled = f"replace({sql}, {text_sql(chr(92))}, {text_sql(chr(92) * 2)})"
    return f"replace({doubled}, {text_sql(chr(39))}, {text_sql(chr(92) + chr(39))})"


def text_sql(value: str) -> str:
    """Return a DuckDB string literal."""
    if "\0" in value:
        return "(" + " || chr(0) || ".join(text_sql(part) for part in value.split("\0")) + ")"
    return "'" + value.replace("'", "''") + "'"


def literal(value: bool | int | str | Decimal | None, kind: SqlType | None = None) -> Typed:
    """Return a literal of the statement's translation."""
    if value is None:
        return Typed("NULL", kind or VOID, "NULL", constant=None)
    if isinstance(value, bool):
        return Typed(str(value).upper(), BOOLEAN, str(value).lower(), False, value)
    if isinstance(value, int):
        return _integer(value, kind)
    if isinstance(value, Decimal):
        return _decimal(value, kind)
    return Typed(text_sql(value), kind or STRING, value, False, value)


def _integer(value: int, kind: SqlType | None) -> Typed:
    if kind is None:
        kind = INT if -(2**31) <= value < 2**31 else BIGINT
    if kind is BIGINT and not -(2**63) <= value < 2**63:
        return _decimal(Decimal(value), None)
    sql = str(value) if kind is INT and value != -(2**31) else f"CAST({value} AS {kind.duckdb()})"
    return Typed(sql, kind, str(value), False, value)


def _decimal(value: Decimal, kind: SqlType | None) -> Typed:
    _, digits, exponent = value.as_tuple()
    scale = max(-int(exponent), 0)
    precision = max(len(digits) + max(int(exponent), 0), scale)
    if kind is None and precision > MAX_PRECISION:
        raise precision_exceeded(precision)
    kind = kind or decimal(precision, scale)
    text = f"{value:f}"
    # Java's BigDecimal shows the exponent of a number far behind the point.
    name = str(value) if int(exponent) < 0 else text
    return Typed(f"CAST('{text}' AS {kind.duckdb()})", kind, name, False, value)


def recast_literal(value: Typed, target: SqlType) -> Typed | None:
    """Return a numeric literal in a wider numeric type, ``None`` where it needs a real cast."""
    number = value.constant
    if isinstance(number, bool) or not isinstance(number, (int, Decimal)):
        return None
    if value.type.is_integral and target.name in ("BIGINT", "INT", "SMALLINT"):
        if INTEGRAL.index(value.type.name) > INTEGRAL.index(target.name):
            return None
        return replace(literal(int(number), target), name=value.name)
    if target.name != "DECIMAL" or not value.type.is_numeric:
        return None
    exact = Decimal(number)
    scale = max(-int(exact.as_tuple().exponent), 0)
    fits = abs(exact) < Decimal(10) ** ((target.precision or 0) - (target.scale or 0))
    if scale > (target.scale or 0) or not fits:
        return None
    return replace(_decimal(exact, target), name=value.name)


def cast_sql(sql: str, kind: SqlType) -> str:
    """Return a DuckDB cast; only for values for which DuckDB's rule is Databricks' rule."""
    return f"CAST({sql} AS {kind.duckdb()})"


def fail_sql(error: SqlError, *values: str) -> str:
    """Return SQL that raises ``error``.

    Each ``{}`` of its message takes the text of one of ``values``, which are DuckDB SQL.
    """
    pieces = encode(error).split("{}")
    if len(pieces) == 1 or not values:
        return f"error({text_sql('{}'.join(pieces))})"
    parts = [text_sql(pieces[0])]
    for piece, value in zip(pieces[1:], values, strict=True):
        parts += [f"coalesce(CAST({value} AS VARCHAR), 'NULL')", text_sql(piece)]
    return f"error({' || '.join(parts)})"
