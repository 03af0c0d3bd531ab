"""Three-level names: catalog, schema and table; stored in lower case, quoted where needed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from vinci_code.warehouse.sql.errors import SqlError

_PARAMETER = re.compile(r"\$(\w+)")
_QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"")
_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
# Characters that Unity Catalog does not take in the name of an object:
# https://docs.databricks.com/aws/en/sql/language-manual/sql-ref-names
_FORBIDDEN = re.compile(r"[. /\x00-\x1f\x7f]")
_MAX_LENGTH = 255


@dataclass(frozen=True, order=True)
class TableName:
    """The full name of a table or view."""

    catalog: str
    schema: str
    name: str

    def __str__(self) -> str:
        return f"{self.catalog}.{self.schema}.{self.name}"

    @property
    def quoted(self) -> str:
        """The name with each part in backticks, as error messages print it."""
        return f"`{self.catalog}`.`{self.schema}`.`{self.name}`"


def quote(name: str) -> str:
    """Return a Databricks identifier: plain where it may be, else in backticks."""
    return name if _PLAIN.match(name) else backtick(name)


def backtick(name: str) -> str:
    """Return a Databricks identifier in backticks."""
    return "`" + name.replace("`", "``") + "`"


def duckdb_name(name: str) -> str:
    """Return a DuckDB identifier in double quotes."""
    return '"' + name.replace('"', '""') + '"'


def object_name(name: str) -> str:
    """Return the stored form of the name of a catalog, schema, table or view.

    Raises:
        SqlError: ``INVALID_SCHEMA_OR_RELATION_NAME`` where Unity Catalog refuses the characters.
    """
    if not name or len(name) > _MAX_LENGTH or _FORBIDDEN.search(name):
        raise SqlError(
            "INVALID_SCHEMA_OR_RELATION_NAME",
            "42602",
            f"{backtick(name)} is not a valid name for tables/schemas. Valid names only contain "
            "alphabet characters, numbers and _.",
        )
    return name.lower()


def string_literal(text: str) -> str:
    """Return a Databricks string literal that means exactly this text."""
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def used_binds(sql: str, binds: Mapping[str, object]) -> dict[str, object]:
    """Return the values of the parameters that occur in DuckDB SQL, outside of its strings.

    DuckDB refuses values that are not asked for, and the translation of a query may drop a part
    that held one, or write the value out.
    """
    if not binds:
        return {}
    found = set(_PARAMETER.findall(_QUOTED.sub("", sql)))
    return {name: value for name, value in binds.items() if name in found}


def duckdb_literal(text: str) -> str:
    """Return a DuckDB string literal that means exactly this text."""
    return "'" + text.replace("'", "''") + "'"
