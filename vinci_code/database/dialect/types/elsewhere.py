"""The types in capitals on other databases, so that the same models work there.

SQLite keeps ARRAY, MAP, STRUCT and VARIANT as JSON text, and gives back the same values.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy.ext.compiler import compiles

from vinci_code.database.dialect.types.documents import VARIANT
from vinci_code.database.dialect.types.nested import ARRAY, MAP, STRUCT
from vinci_code.database.dialect.types.numbers import TINYINT
from vinci_code.database.dialect.types.times import TIMESTAMP_NTZ


def _named(name: str) -> Any:
    return lambda _type, _compiler, **_: name


for kind in (ARRAY, MAP, STRUCT, VARIANT):
    compiles(kind, "sqlite")(_named("JSON"))
compiles(TINYINT, "sqlite")(_named("TINYINT"))
compiles(TIMESTAMP_NTZ, "sqlite")(_named("DATETIME"))
