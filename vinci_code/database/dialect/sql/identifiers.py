"""Names in SQL: backticks, reserved words, and names of catalogs in front of those of schemas."""

from __future__ import annotations

import re
from typing import Any

from sqlalchemy.engine import Dialect
from sqlalchemy.sql.compiler import IdentifierPreparer
from sqlalchemy.sql.elements import quoted_name

# The reserved words of ANSI mode, with those that are special in a reference to a column, before a
# join or as a type: https://docs.databricks.com/aws/en/sql/language-manual/sql-ref-reserved-words
_RESERVED_WORDS = frozenset(
    """
    all alter analyze and anti any array as asc at authorization between bigint binary boolean both
    by case cast check cluster collate column comment commit constraint create cross cube current
    current_catalog current_date current_schema current_time current_timestamp current_user date
    decimal default delete desc describe distinct double drop else end escape except exists explain
    extract false fetch filter float for foreign from full function generated grant group grouping
    having ilike in index inner insert int integer intersect interval into is join lateral leading
    left like limit local map merge minus natural no not null numeric of offset on only or order
    outer overlaps partition pivot position primary qualify range recursive references regexp
    replace returning revoke right rlike rollback rollup row rows select semi session session_user
    set show smallint some sort start string struct table tablesample then time timestamp
    timestamp_ntz tinyint to trailing true truncate union unique unknown unpivot update use user
    using values variant view void when where window with within
    """.split()
)

# A part of a name with dots: bare, or in backticks.
_PART = re.compile(r"`((?:[^`]|``)*)`(?=\.|\Z)|([^.]+)")


class VinciIdentifierPreparer(IdentifierPreparer):
    """Quotes names with backticks; ``schema="catalog.schema"`` names both."""

    reserved_words = set(_RESERVED_WORDS)  # noqa: RUF012 - declared by SQLAlchemy
    illegal_initial_characters = set("0123456789$")  # noqa: RUF012
    legal_characters = re.compile(r"^[A-Za-z0-9_]+\Z", re.ASCII)

    def __init__(self, dialect: Dialect, **options: Any) -> None:
        quotes = {"initial_quote": "`", "final_quote": "`", "escape_quote": "`"}
        super().__init__(dialect, **{**quotes, **options})

    def quote_schema(self, schema: str, force: object = None) -> str:
        """Quote the name of a schema, or those of a catalog and a schema with a dot between."""
        if isinstance(schema, quoted_name) and schema.quote is False:
            # A placeholder of schema_translate_map, which comes back here with the name.
            return str(schema)
        return ".".join(self.quote(part) for part in schema_parts(schema))

    def format_schema(self, name: str) -> str:
        """Quote the name of a schema in CREATE SCHEMA and DROP SCHEMA."""
        return self.quote_schema(name)


def schema_parts(schema: str) -> list[str]:
    """Return the parts of a schema's name: ``["catalog", "schema"]`` or ``["schema"]``.

    A dot that is part of a name stands in backticks, or in a ``quoted_name`` with ``quote=True``,
    which is one name whatever it holds.
    """
    if isinstance(schema, quoted_name) and schema.quote:
        return [str(schema)]
    parts = [
        quoted.replace("``", "`") if quoted else bare for quoted, bare in _PART.findall(schema)
    ]
    return parts or [schema]
