"""The names of types in Databricks."""

from __future__ import annotations

from typing import Any

from sqlalchemy import types as sqltypes
from sqlalchemy.sql import compiler
from sqlalchemy.types import TypeEngine

from vinci_code.database.dialect.types.numbers import UNBOUNDED


class VinciTypeCompiler(compiler.GenericTypeCompiler):
    """Names of types."""

    def process(self, type_: TypeEngine[Any], **kw: Any) -> str:
        """Render a type by its own name in this class.

        The dialect of databricks-sqlalchemy, where it is installed as well, registers renderings of
        SQLAlchemy's types for every dialect of the name ``databricks`` (``@compiles``): an INT of
        32 bits, a DECIMAL without digits after the point. They are not for us; what an application
        registers for types of its own is.
        """
        variant = type_._variant_mapping.get(self.dialect.name, type_)
        owner = next(kind for kind in type(variant).__mro__ if "_compiler_dispatch" in vars(kind))
        visit = getattr(self, f"visit_{variant.__visit_name__}", None)
        if visit is None or not owner.__module__.startswith("sqlalchemy."):
            return super().process(variant, **kw)
        rendered: str = visit(variant, **kw)
        return rendered

    def visit_integer(self, type_: sqltypes.Integer, **kw: Any) -> str:
        """Render 64 bits, which an integer of SQLite has as well."""
        return "BIGINT"

    visit_small_integer = visit_integer
    visit_big_integer = visit_integer

    def visit_INTEGER(self, type_: sqltypes.Integer, **kw: Any) -> str:
        """Render INT."""
        return "INT"

    def visit_TINYINT(self, type_: Any, **kw: Any) -> str:
        """Render TINYINT."""
        return "TINYINT"

    def visit_float(self, type_: sqltypes.Float[Any], **kw: Any) -> str:
        """Render 64 bits, which a float of Python has as well."""
        return "DOUBLE"

    visit_DOUBLE_PRECISION = visit_float

    def visit_REAL(self, type_: sqltypes.REAL[Any], **kw: Any) -> str:
        """Render FLOAT, of 32 bits."""
        return "FLOAT"

    def visit_NUMERIC(self, type_: sqltypes.Numeric[Any], **kw: Any) -> str:
        """Render DECIMAL; where no precision is given, all digits that there are."""
        return _decimal(type_)

    visit_DECIMAL = visit_NUMERIC

    def visit_string(self, type_: Any, **kw: Any) -> str:
        """Render STRING: a length is not enforced on SQLite either."""
        return "STRING"

    visit_text = visit_string
    visit_unicode = visit_string
    visit_unicode_text = visit_string
    visit_TEXT = visit_string
    visit_CLOB = visit_string
    visit_enum = visit_string
    visit_uuid = visit_string
    visit_UUID = visit_string

    def visit_VARCHAR(self, type_: sqltypes.String, **kw: Any) -> str:
        """Render VARCHAR with its length, STRING without one."""
        return f"VARCHAR({type_.length})" if type_.length else "STRING"

    # CHAR would be filled up with spaces that were not written.
    visit_CHAR = visit_VARCHAR
    visit_NCHAR = visit_VARCHAR
    visit_NVARCHAR = visit_VARCHAR

    def visit_large_binary(self, type_: Any, **kw: Any) -> str:
        """Render BINARY."""
        return "BINARY"

    visit_BLOB = visit_large_binary
    visit_BINARY = visit_large_binary
    visit_VARBINARY = visit_large_binary

    def visit_datetime(self, type_: sqltypes.DateTime, **kw: Any) -> str:
        """Render TIMESTAMP for an instant, TIMESTAMP_NTZ for a clock on the wall."""
        return "TIMESTAMP" if type_.timezone else "TIMESTAMP_NTZ"

    visit_DATETIME = visit_datetime
    visit_TIMESTAMP = visit_datetime

    def visit_TIMESTAMP_NTZ(self, type_: Any, **kw: Any) -> str:
        """Render TIMESTAMP_NTZ."""
        return "TIMESTAMP_NTZ"

    def visit_time(self, type_: sqltypes.Time, **kw: Any) -> str:
        """Render STRING: TIME is not there on every warehouse."""
        return "STRING"

    visit_TIME = visit_time

    def visit_JSON(self, type_: sqltypes.JSON, **kw: Any) -> str:
        """Render STRING, which keeps the text as it was written."""
        return "STRING"

    def visit_VARIANT(self, type_: Any, **kw: Any) -> str:
        """Render VARIANT."""
        return "VARIANT"

    def visit_ARRAY(self, type_: sqltypes.ARRAY[Any], **kw: Any) -> str:
        """Render ARRAY of its items' type."""
        depth = type_.dimensions or 1
        return "ARRAY<" * depth + self.process(type_.item_type, **kw) + ">" * depth

    def visit_MAP(self, type_: Any, **kw: Any) -> str:
        """Render MAP of its keys' and values' types."""
        return f"MAP<{self.process(type_.key_type)}, {self.process(type_.value_type)}>"

    def visit_STRUCT(self, type_: Any, **kw: Any) -> str:
        """Render STRUCT with its fields."""
        quote = self.dialect.identifier_preparer.quote
        fields = (f"{quote(name)}: {self.process(kind)}" for name, kind in type_.fields)
        return f"STRUCT<{', '.join(fields)}>"


def _decimal(kind: TypeEngine[Any]) -> str:
    precision, scale = getattr(kind, "precision", None), getattr(kind, "scale", None)
    if precision is None:
        precision, scale = UNBOUNDED[0], UNBOUNDED[1] if scale is None else scale
    return f"DECIMAL({precision},{scale or 0})"
