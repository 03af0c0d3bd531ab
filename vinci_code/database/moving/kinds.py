"""The kinds of values that can be moved: how each is kept on SQLite and on Databricks.

=============  ==============================  ======================  ============================
kind           stored on SQLite                made on Databricks      in the proof
=============  ==============================  ======================  ============================
integer        INTEGER                         BIGINT (INT, …)         decimal digits
boolean        0 and 1                         BOOLEAN                 ``true``, ``false``
double         REAL, INTEGER                   DOUBLE                  xxHash64 of its 64 bits
decimal(p, s)  REAL, INTEGER                   DECIMAL(p, s)           all digits of the scale
text           TEXT                            STRING                  the text
json           TEXT, a number as a number      STRING                  the document's text
uuid           TEXT of 32 hexadecimal digits   STRING with hyphens     with hyphens, small letters
binary         BLOB                            BINARY                  hexadecimal digits
date           TEXT ``YYYY-MM-DD``             DATE                    the same
time           TEXT ``HH:MM:SS.ffffff``        STRING                  the same
moment         TEXT ``YYYY-MM-DD HH:MM:SS.f``  TIMESTAMP_NTZ           without zeros at the end
instant        the same, in UTC                TIMESTAMP               microseconds since 1970
=============  ==============================  ======================  ============================

Other databases have them in the types that SQLAlchemy makes of its own: ``type_on_other``.

A *plain value* is what a value is between the two: ``int``, ``bool``, ``float``, ``Decimal``,
``str``, ``bytes``, ``date``, ``datetime``, naive for a moment and aware for an instant.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import Any

from sqlalchemy import types as sqltypes
from sqlalchemy.dialects import mssql, mysql
from sqlalchemy.types import TypeEngine

from vinci_code.database.dialect.types.documents import VARIANT
from vinci_code.database.dialect.types.numbers import TINYINT, UNBOUNDED
from vinci_code.database.dialect.types.times import TIMESTAMP, TIMESTAMP_NTZ
from vinci_code.database.moving.nested import NESTED, inexact_part

_KEYS = frozenset({"integer", "text", "uuid", "binary", "date", "time", "moment", "instant"})
_AS_TEXT = frozenset({"text", "json", "time"})


class UnknownKindError(ValueError):
    """A type whose values cannot be moved; the message is the reason."""


@dataclass(frozen=True)
class ValueKind:
    """A kind of values.

    Attributes:
        name: Its name in the table above.
        digits: Of a decimal, how many digits it has.
        scale: Of a decimal, how many of them stand behind the point.
        length: Of a text, how many characters it may have where the database sees to that.
        zone: The time zone that moments of a SQLite column are in, which is kept as an instant.
        stored: The SQLAlchemy type that the source says, for a type of the same values.
        nested: Of a document that Databricks keeps as an ARRAY, a MAP or a STRUCT, that type.
    """

    name: str
    digits: int = 0
    scale: int = 0
    length: int | None = None
    zone: str | None = None
    stored: str | None = None
    nested: TypeEngine[Any] | None = field(default=None, compare=False)

    def __str__(self) -> str:
        if self.name == "decimal":
            return f"decimal({self.digits}, {self.scale})"
        return self.name

    @property
    def is_key(self) -> bool:
        """Whether values of it can say which row it is, and be told apart by every database."""
        return self.name in _KEYS


def kind_of(kind: TypeEngine[Any], dialect: str) -> ValueKind:
    """The kind of a column's type.

    Args:
        kind: The type, as it was reflected.
        dialect: The name of the dialect that has reflected it.

    Raises:
        UnknownKindError: Its values cannot be moved.
    """
    _require_known(kind, dialect)
    if isinstance(kind, NESTED):
        return ValueKind("json", nested=kind)
    if isinstance(kind, (TIMESTAMP, TIMESTAMP_NTZ)):
        return ValueKind("instant" if kind.timezone else "moment")
    if isinstance(kind, sqltypes.JSON):
        return ValueKind("json")
    if isinstance(kind, sqltypes.Numeric) and not isinstance(kind, sqltypes.Float):
        return _decimal(kind)
    if isinstance(kind, sqltypes.Enum):
        return ValueKind("text")
    if isinstance(kind, sqltypes.String):
        # SQLite counts no characters.
        length = None if dialect == "sqlite" else kind.length
        return ValueKind("text", length=length)
    if isinstance(kind, sqltypes.DateTime) and dialect != "sqlite":
        has_zone = kind.timezone or isinstance(kind, mssql.DATETIMEOFFSET)
        return ValueKind("instant" if has_zone else "moment")
    for base, name in _NAMES:
        if isinstance(kind, base):
            return ValueKind(name, stored=_sized(kind, name, dialect))
    raise UnknownKindError("its type says nothing of its values")


def kind_named(text: str) -> ValueKind:
    """The kind that a user has named: ``uuid``, ``decimal(20, 4)``.

    Raises:
        UnknownKindError: There is none of that name.
    """
    found = re.fullmatch(r"\s*([a-z]+)\s*(?:\(\s*(\d+)\s*,\s*(\d+)\s*\))?\s*", text.lower())
    if found is not None:
        name, digits, scale = found.groups()
        if name == "decimal" and digits is not None:
            return _bounded(int(digits), int(scale))
        if name in KIND_NAMES and name != "decimal" and digits is None:
            return ValueKind(name)
    raise UnknownKindError(f"the kinds are {', '.join(KIND_NAMES)}, such as decimal(20, 4)")


def common_kind(source: ValueKind, target: ValueKind, zone: str | None) -> ValueKind | None:
    """The kind that values have on both sides, where the target's column is there already.

    Args:
        source: The kind of the source's column.
        target: That of the target's.
        zone: The time zone of moments that become instants.

    Returns:
        ``None`` where values of the one are none of the other.
    """
    if {source.name, target.name} == {"moment", "instant"}:
        return ValueKind("instant", zone=zone) if zone is not None else None
    if source.name == target.name == "decimal":
        room = target.digits - target.scale >= source.digits - source.scale
        return target if target.scale >= source.scale and room else None
    if source.name == target.name:
        return replace(source, length=target.length, stored=target.stored)
    if source.name == "text" and target.name in ("uuid", "json", "time"):
        return ValueKind(target.name)
    if target.name == "text" and source.name in ("uuid", "json", "time"):
        return replace(source, length=target.length)
    return None


def type_on_sqlite(kind: ValueKind) -> TypeEngine[Any]:
    """The type of a column that is made on SQLite."""
    if kind.name == "integer":
        return sqltypes.BigInteger()
    if kind.name == "decimal":
        return sqltypes.Numeric(kind.digits, kind.scale)
    if kind.name == "text":
        return sqltypes.VARCHAR(kind.length) if kind.length else sqltypes.Text()
    made: dict[str, TypeEngine[Any]] = {
        "boolean": sqltypes.Boolean(),
        "double": sqltypes.Double(),
        "json": sqltypes.JSON(),
        "uuid": sqltypes.Uuid(),
        "binary": sqltypes.LargeBinary(),
        "date": sqltypes.Date(),
        "time": sqltypes.Time(),
        "moment": sqltypes.DateTime(),
        "instant": sqltypes.DateTime(),
    }
    return made[kind.name]


def type_on_databricks(kind: ValueKind) -> TypeEngine[Any]:
    """The type of a column that is made on Databricks."""
    if kind.nested is not None:
        return kind.nested
    if kind.name == "integer":
        return _INTEGERS.get(kind.stored or "", sqltypes.BigInteger)()
    if kind.name == "double":
        return sqltypes.REAL() if kind.stored in ("REAL", "FLOAT") else sqltypes.Double()
    if kind.name == "text":
        return sqltypes.VARCHAR(kind.length) if kind.length else sqltypes.Text()
    made: dict[str, TypeEngine[Any]] = {
        "boolean": sqltypes.Boolean(),
        "decimal": sqltypes.Numeric(kind.digits, kind.scale),
        "json": sqltypes.JSON(),
        "uuid": sqltypes.Uuid(),
        "binary": sqltypes.LargeBinary(),
        "date": sqltypes.Date(),
        "time": sqltypes.Time(),
        "moment": TIMESTAMP_NTZ(),
        "instant": TIMESTAMP(),
    }
    return made[kind.name]


def type_on_other(kind: ValueKind, dialect: str) -> TypeEngine[Any]:
    """The type of a column that is made on another database.

    Args:
        kind: The kind of its values.
        dialect: The name of the database's dialect.

    Raises:
        UnknownKindError: The database is not known to have one that holds them.
    """
    if kind.name == "integer":
        made = _OTHER_INTEGERS.get(kind.stored or "", sqltypes.BigInteger)()
    elif kind.name == "double":
        is_real = kind.stored == "REAL" and dialect in _REAL_OF_32_BITS
        made = sqltypes.REAL() if is_real else sqltypes.Double()
    elif kind.name == "instant":
        if dialect not in _WITH_ZONES:
            raise UnknownKindError("it is not known to keep moments with a zone")
        made = sqltypes.DateTime(timezone=True)
    elif kind.name == "json" and dialect != "postgresql":
        made = sqltypes.Text()  # a JSON of another database may not keep the document's text
    elif kind.name in _MYSQL and dialect in ("mysql", "mariadb"):
        made = _MYSQL[kind.name]
    else:
        made = type_on_sqlite(kind)
    return made


def plain_type(kind: ValueKind) -> TypeEngine[Any]:
    """The type that reads and writes plain values on Databricks."""
    if kind.name in _AS_TEXT or kind.name == "uuid":
        return sqltypes.VARCHAR(kind.length) if kind.length else sqltypes.String()
    return type_on_databricks(kind)


def _require_known(kind: TypeEngine[Any], dialect: str) -> None:
    if isinstance(kind, VARIANT):
        raise UnknownKindError("the JSON of a VARIANT does not tell its dates and bytes from text")
    if isinstance(kind, NESTED):
        part = inexact_part(kind)
        if part is not None:
            name = type(kind).__name__
            raise UnknownKindError(f"JSON has no exact form for a part of this {name}: {part}")
    if isinstance(kind, sqltypes.TIMESTAMP) and dialect in ("mysql", "mariadb"):
        # https://dev.mysql.com/doc/refman/8.4/en/datetime.html
        raise UnknownKindError("what it shows depends on the time zone of the session")
    if isinstance(kind, sqltypes.Time) and kind.timezone:
        raise UnknownKindError("a time of day with a zone is none of the kinds")


def _sized(kind: Any, name: str, dialect: str) -> str | None:
    """What a type of numbers is called, where it says how many bits it has."""
    # What SQLite declares as INTEGER or REAL has 64 bits.
    if dialect == "sqlite" or name not in ("integer", "double"):
        return None
    if name == "integer":
        return None if getattr(kind, "unsigned", False) else type(kind).__name__
    if dialect == "databricks":
        return type(kind).__name__
    is_real = isinstance(kind, sqltypes.REAL) and dialect in _REAL_OF_32_BITS
    return "REAL" if is_real else None


def _decimal(kind: Any) -> ValueKind:
    if kind.precision is None:
        return ValueKind("decimal", *UNBOUNDED)
    return _bounded(kind.precision, kind.scale or 0)


def _bounded(digits: int, scale: int) -> ValueKind:
    if not 0 < digits <= _MOST_DIGITS or not 0 <= scale <= digits:
        raise UnknownKindError(f"a decimal({digits}, {scale}) is none that Databricks has")
    return ValueKind("decimal", digits, scale)


_MOST_DIGITS = 38
_NAMES: tuple[tuple[type[TypeEngine[Any]], str], ...] = (
    (sqltypes.Integer, "integer"),
    (sqltypes.Boolean, "boolean"),
    (sqltypes.Float, "double"),
    (sqltypes.Uuid, "uuid"),
    (sqltypes.LargeBinary, "binary"),
    (sqltypes.Date, "date"),
    (sqltypes.Time, "time"),
    (sqltypes.DateTime, "moment"),
)
# https://www.postgresql.org/docs/current/datatype-numeric.html#DATATYPE-FLOAT
# https://learn.microsoft.com/en-us/sql/t-sql/data-types/float-and-real-transact-sql
_REAL_OF_32_BITS = ("postgresql", "mssql")
# TIMESTAMP WITH TIME ZONE, DATETIMEOFFSET: what SQLAlchemy makes of DateTime(timezone=True).
_WITH_ZONES = ("postgresql", "mssql", "oracle")
# What MySQL makes without a word of the length has no fraction of a second, or ends at 64 KB.
_MYSQL: dict[str, TypeEngine[Any]] = {
    "moment": mysql.DATETIME(fsp=6),
    "time": mysql.TIME(fsp=6),
    "binary": mysql.LONGBLOB(),
}
_OTHER_INTEGERS: dict[str, type[TypeEngine[Any]]] = {
    "INTEGER": sqltypes.INTEGER,
    "SMALLINT": sqltypes.SMALLINT,
    "TINYINT": sqltypes.SMALLINT,
}
_INTEGERS: dict[str, type[TypeEngine[Any]]] = {
    "INTEGER": sqltypes.INTEGER,
    "SMALLINT": sqltypes.SMALLINT,
    "TINYINT": TINYINT,
}
KIND_NAMES = (
    "integer",
    "boolean",
    "double",
    "decimal",
    "text",
    "json",
    "uuid",
    "binary",
    "date",
    "time",
    "moment",
    "instant",
)
"""The names of the kinds, as they are listed in the docs."""
