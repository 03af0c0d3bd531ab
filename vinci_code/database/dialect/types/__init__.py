"""The types of Databricks, and how SQLAlchemy's own are kept there.

Other rooms import from it:

- ``base``: what all types have in common
- ``documents``: JSON and VARIANT
- ``nested``: ARRAY, MAP and STRUCT
- ``numbers``: numbers and truth values
- ``texts``: text, bytes, UUIDs and enumerations
- ``times``: dates and times
- ``transports``: how values travel in a payload
- ``typecompiler``: types made into their names
- ``typenames``: names made into types
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import types as sqltypes
from sqlalchemy.types import TypeEngine

from vinci_code.database.dialect.types import elsewhere as _elsewhere  # noqa: F401
from vinci_code.database.dialect.types.documents import (
    VARIANT,
    VinciJSON,
    VinciJSONIndex,
    VinciJSONPath,
)
from vinci_code.database.dialect.types.nested import ARRAY, MAP, STRUCT
from vinci_code.database.dialect.types.numbers import (
    TINYINT,
    VinciBoolean,
    VinciFloat,
    VinciInt,
    VinciInteger,
    VinciNumeric,
    VinciSingle,
    VinciSmallint,
)
from vinci_code.database.dialect.types.texts import (
    VinciBinary,
    VinciEnum,
    VinciString,
    VinciUuid,
    VinciVarchar,
)
from vinci_code.database.dialect.types.times import (
    TIMESTAMP,
    TIMESTAMP_NTZ,
    VinciDate,
    VinciDateTime,
    VinciInterval,
    VinciTime,
)

__all__ = [
    "ARRAY",
    "COLSPECS",
    "MAP",
    "STRUCT",
    "TIMESTAMP",
    "TIMESTAMP_NTZ",
    "TINYINT",
    "VARIANT",
]

COLSPECS: dict[type[TypeEngine[Any]], type[TypeEngine[Any]]] = {
    sqltypes.Integer: VinciInteger,
    sqltypes.INTEGER: VinciInt,
    sqltypes.SMALLINT: VinciSmallint,
    sqltypes.Boolean: VinciBoolean,
    sqltypes.Float: VinciFloat,
    sqltypes.REAL: VinciSingle,
    sqltypes.FLOAT: VinciSingle,
    sqltypes.Numeric: VinciNumeric,
    sqltypes.Enum: VinciEnum,
    sqltypes.String: VinciString,
    sqltypes.VARCHAR: VinciVarchar,
    sqltypes.CHAR: VinciVarchar,
    sqltypes.NCHAR: VinciVarchar,
    sqltypes.NVARCHAR: VinciVarchar,
    sqltypes.LargeBinary: VinciBinary,
    sqltypes.Uuid: VinciUuid,
    sqltypes.Date: VinciDate,
    sqltypes.Time: VinciTime,
    sqltypes.DateTime: VinciDateTime,
    sqltypes.Interval: VinciInterval,
    sqltypes.JSON.JSONIndexType: VinciJSONIndex,
    sqltypes.JSON.JSONPathType: VinciJSONPath,
    sqltypes.JSON: VinciJSON,
    sqltypes.ARRAY: ARRAY,
}
