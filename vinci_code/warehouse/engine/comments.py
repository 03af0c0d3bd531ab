"""COMMENT ON."""

from __future__ import annotations

from dataclasses import replace

from vinci_code.warehouse.engine import namespaces, views, volume_statements
from vinci_code.warehouse.engine.alteration import Alteration
from vinci_code.warehouse.engine.catalog import table_not_found
from vinci_code.warehouse.engine.namespace import full_name
from vinci_code.warehouse.engine.reader import Reader
from vinci_code.warehouse.engine.result import Result, empty_result
from vinci_code.warehouse.engine.work import Work
from vinci_code.warehouse.sql.errors import unsupported


def comment_on(work: Work, reader: Reader) -> Result:
    """Run COMMENT ON."""
    reader.expect("COMMENT", "ON")
    kind = reader.accept_any("CATALOG", "SCHEMA", "DATABASE", "TABLE", "VIEW", "COLUMN", "VOLUME")
    if kind is None:
        if reader.accept_any("CONNECTION", "PROVIDER", "RECIPIENT", "SHARE"):
            raise unsupported("COMMENT ON this kind of object")
        raise reader.error()
    parts = reader.name_parts()
    reader.expect("IS")
    comment = None if reader.accept("NULL") else reader.string()
    reader.end()
    if kind == "CATALOG":
        namespaces.comment_catalog(work, parts[0], comment)
    elif kind in ("SCHEMA", "DATABASE"):
        namespaces.comment_schema(work, parts, comment)
    elif kind == "COLUMN":
        _comment_on_column(work, parts, comment)
    elif kind == "VOLUME":
        volume_statements.comment_volume(work, parts, comment)
    else:
        _comment_on_table(work, parts, comment)
    return empty_result()


def _comment_on_table(work: Work, parts: list[str], comment: str | None) -> None:
    name = full_name(parts, work.session.catalog, work.session.schema)
    view = work.catalogs.find_view(name)
    if view is not None:
        views.comment_view(work, view, comment)
        return
    with work.room.store.commit_lock:
        change = Alteration(work, work.catalogs.table(name), Reader(""))
        change.commit(replace(change.schema, comment=comment), "SET TBLPROPERTIES")


def _comment_on_column(work: Work, parts: list[str], comment: str | None) -> None:
    if len(parts) < 2:
        raise table_not_found(parts[0])
    name = full_name(parts[:-1], work.session.catalog, work.session.schema)
    with work.room.store.commit_lock:
        change = Alteration(work, work.catalogs.table(name), Reader(""))
        column = replace(change.schema.column(parts[-1]), comment=comment)
        change.commit(change.schema.with_column(column), "CHANGE COLUMN")
