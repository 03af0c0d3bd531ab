"""A table for a source: each type of Arrow has one of SQLAlchemy's.

====================================  ============================================================
Arrow                                 SQLAlchemy
====================================  ============================================================
int8, uint8, int16                    ``SmallInteger``
uint16, int32                         ``Integer``
uint32, int64                         ``BigInteger``
uint64                                ``Numeric(20, 0)``
bool                                  ``Boolean``
float16, float32, float64             ``Double``
decimal(p, s)                         ``Numeric(p, s)``, up to 38 digits
string                                ``String``
binary                                ``LargeBinary``
date32, date64                        ``Date``
time32, time64                        ``Time``
timestamp                             ``TIMESTAMP_NTZ``
timestamp with a zone                 ``TIMESTAMP``
duration                              ``Interval``
list, map, struct                     ``ARRAY``, ``MAP``, ``STRUCT`` of these
dictionary, and other encodings       as their values
null                                  none: there is nothing to tell it from
====================================  ============================================================

A CSV file tells no types: its columns are ``String``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Column, MetaData, Table
from sqlalchemy import types as sqltypes
from sqlalchemy.exc import ArgumentError
from sqlalchemy.types import TypeEngine

from vinci_code.core.errors import LoadRefusedError
from vinci_code.database.dialect.types.nested import ARRAY, MAP, STRUCT
from vinci_code.database.dialect.types.numbers import MAX_DIGITS
from vinci_code.database.dialect.types.times import TIMESTAMP, TIMESTAMP_NTZ
from vinci_code.database.loading.portions import Source
from vinci_code.database.loading.targets import LoadTarget, quoted


def table_for(name: str, schema: str | None, source: Source, keys: Sequence[str]) -> LoadTarget:
    """A table for what a source gives, which is not made yet.

    Args:
        name: Its name.
        schema: Its schema; ``None`` for that of the connection.
        source: The source.
        keys: The columns of its primary key.

    Raises:
        ArgumentError: The source has not these columns.
        LoadRefusedError: It has no types, or one that no table has.
    """
    if source.schema is None:
        raise LoadRefusedError(
            source.told,
            "a table is to be made of its types, and rows of Python have none",
            "pass a Table, or a pyarrow.Table of the rows",
        )
    unknown = [key for key in keys if key not in source.schema.names]
    if unknown:
        raise ArgumentError(f"{source.told} has no {quoted(unknown)}, which is to be a key")
    columns = [
        Column(
            field.name,
            _type_of(field.name, field.type),
            primary_key=field.name in keys,
            # Or SQLite and the client would make keys for what is given.
            autoincrement=False,
        )
        for field in source.schema
    ]
    table = Table(name, MetaData(), *columns, schema=schema)
    return LoadTarget(table, {column.name: column for column in table.columns})


def _type_of(name: str, given: Any) -> TypeEngine[Any]:
    # Not at the top: rows of Python are loaded into SQLite without pyarrow.
    import pyarrow as pa

    from vinci_code.database.loading.plain import NoPlainTypeError, plain_type

    what = f"the column {name!r}"
    if isinstance(given, pa.BaseExtensionType) and given.extension_name == "arrow.uuid":
        return sqltypes.Uuid()
    if isinstance(given, pa.BaseExtensionType) and given.extension_name == "arrow.json":
        return sqltypes.JSON(none_as_null=True)
    try:
        found = _known(pa, plain_type(given))
    except NoPlainTypeError as error:
        raise LoadRefusedError(what, str(error), _CAST) from None
    if found is None:
        raise LoadRefusedError(what, f"no table has Arrow's type {given}", _CAST)
    return found


_CAST = "cast it to another type, or make the table yourself"


def _known(pa: Any, kind: Any) -> TypeEngine[Any] | None:
    t = pa.types
    for accepts, make in (
        (t.is_boolean, sqltypes.Boolean),
        (t.is_floating, sqltypes.Double),
        (t.is_string, sqltypes.String),
        (t.is_binary, sqltypes.LargeBinary),
        (t.is_date32, sqltypes.Date),
        (t.is_time, sqltypes.Time),
        (t.is_duration, sqltypes.Interval),
    ):
        if accepts(kind):
            made: TypeEngine[Any] = make()
            return made
    if t.is_integer(kind):
        return _integer(t, kind)
    if t.is_decimal(kind):
        fits = kind.precision <= MAX_DIGITS and 0 <= kind.scale <= kind.precision
        return sqltypes.Numeric(kind.precision, kind.scale) if fits else None
    if t.is_timestamp(kind):
        return TIMESTAMP_NTZ() if kind.tz is None else TIMESTAMP()
    return _nested(pa, kind)


def _integer(t: Any, kind: Any) -> TypeEngine[Any]:
    bits = kind.bit_width + t.is_unsigned_integer(kind)
    if bits <= 16:
        return sqltypes.SmallInteger()
    if bits <= 32:
        return sqltypes.Integer()
    return sqltypes.BigInteger() if bits <= 64 else sqltypes.Numeric(20, 0)


def _nested(pa: Any, kind: Any) -> TypeEngine[Any] | None:
    parts: list[TypeEngine[Any] | None]
    if pa.types.is_list(kind):
        parts = [_known(pa, kind.value_type)]
    elif pa.types.is_map(kind):
        parts = [_known(pa, kind.key_type), _known(pa, kind.item_type)]
    elif pa.types.is_struct(kind):
        parts = [_known(pa, kind.field(number).type) for number in range(kind.num_fields)]
    else:
        return None
    known = [part for part in parts if part is not None]
    if len(known) < len(parts) or not known:
        return None
    if pa.types.is_list(kind):
        return ARRAY(known[0])
    if pa.types.is_map(kind):
        return MAP(known[0], known[1])
    names = [kind.field(number).name for number in range(kind.num_fields)]
    return STRUCT(*zip(names, known, strict=True))
