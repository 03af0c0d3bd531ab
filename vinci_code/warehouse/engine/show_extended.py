"""SHOW TABLE EXTENDED: what a table is, in a text of one line for each part.

The lines are those that dbt reads (``dbt/adapters/databricks/impl.py``), from
https://docs.databricks.com/aws/en/sql/language-manual/sql-ref-syntax-aux-show-table. The columns
are drawn as Spark's ``StructType.treeString`` draws them.
"""

from __future__ import annotations

from collections.abc import Iterator

from vinci_code.warehouse.engine.catalog_view import CatalogView
from vinci_code.warehouse.engine.describe import table_details
from vinci_code.warehouse.engine.reader import Reader, qualify_schema
from vinci_code.warehouse.engine.result import Result, rows_result, typed_columns
from vinci_code.warehouse.engine.show import like_pattern, show, table_or_view_columns
from vinci_code.warehouse.engine.work import Work
from vinci_code.warehouse.sql.errors import unsupported
from vinci_code.warehouse.sql.types import BOOLEAN, STRING, SqlType

# The names of Spark's classes of types, where they are not those of SQL.
_TYPE_NAMES = {"TINYINT": "byte", "SMALLINT": "short", "INT": "integer", "BIGINT": "long"}


def show_any(work: Work, reader: Reader) -> Result:
    """Run SHOW in any of its forms."""
    if not reader.accept("SHOW", "TABLE", "EXTENDED"):
        return show(work, reader)
    return _show_extended(work, reader)


def _show_extended(work: Work, reader: Reader) -> Result:
    catalog, schema = work.session.catalog, work.session.schema
    if reader.accept_any("IN", "FROM"):
        catalog, schema = qualify_schema(reader.name_parts(), catalog)
    if not reader.peek("LIKE"):
        raise reader.error()
    matches = like_pattern(reader)
    if reader.peek("PARTITION"):
        raise unsupported("SHOW TABLE EXTENDED … PARTITION")
    reader.end()
    work.catalogs.schema(catalog, schema)
    if any(matches(name) for name in work.temporary_views):
        raise unsupported("SHOW TABLE EXTENDED of a temporary view")
    found = [item.name for item in CatalogView(work.catalogs).tables(catalog, schema)]
    rows = [
        (schema, name, False, _information(work, [catalog, schema, name]))
        for name in found
        if matches(name)
    ]
    columns = typed_columns(
        ("database", STRING), ("tableName", STRING), ("isTemporary", BOOLEAN),
        ("information", STRING),
    )  # fmt: skip
    return rows_result("SHOW", columns, rows)


def _information(work: Work, parts: list[str]) -> str:
    lines = [f"{label}: {value}" for label, value in table_details(work, parts)]
    lines += ["Schema: root"]
    for column in table_or_view_columns(work, parts):
        lines += _tree(" |", column.name, column.type, f"nullable = {_word(column.nullable)}")
    return "\n".join(lines) + "\n\n"


def _tree(prefix: str, name: str, kind: SqlType, note: str | None) -> Iterator[str]:
    """The line of a column, or of a part of one, and below it those of its own parts."""
    yield f"{prefix}-- {name}: {_type_name(kind)}" + ("" if note is None else f" ({note})")
    below = f"{prefix}    |"
    if kind.element is not None:
        yield from _tree(below, "element", kind.element, "containsNull = true")
    if kind.key is not None and kind.value is not None:
        yield from _tree(below, "key", kind.key, None)
        yield from _tree(below, "value", kind.value, "valueContainsNull = true")
    for item in kind.fields:
        yield from _tree(below, item.name, item.type, f"nullable = {_word(item.nullable)}")


def _word(value: bool) -> str:
    return "true" if value else "false"


def _type_name(kind: SqlType) -> str:
    nested = kind.element is not None or kind.key is not None or kind.fields
    return _TYPE_NAMES.get(kind.name, kind.name.lower() if nested else kind.simple)
