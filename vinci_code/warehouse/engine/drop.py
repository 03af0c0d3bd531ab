"""DROP TABLE and DROP VIEW."""

from __future__ import annotations

from vinci_code.warehouse.engine.catalog import table_not_found, wrong_command
from vinci_code.warehouse.engine.names import TableName
from vinci_code.warehouse.engine.namespace import full_name
from vinci_code.warehouse.engine.namespaces import change_catalog
from vinci_code.warehouse.engine.reader import Reader
from vinci_code.warehouse.engine.result import Result, empty_result
from vinci_code.warehouse.engine.work import Work


def drop_table(work: Work, reader: Reader) -> Result:
    """Run DROP TABLE."""
    tolerant, _, name = _read(work, reader)
    with work.room.store.commit_lock:
        table = work.catalogs.find_table(name)
        if table is None:
            if work.catalogs.find_view(name) is not None:
                raise wrong_command("DROP TABLE", "EXTERNAL or MANAGED", name, "VIEW")
            if tolerant:
                return empty_result()
            raise table_not_found(name)

        def show() -> None:
            del work.catalogs.schema(name.catalog, name.schema).tables[name.name]

        change_catalog(work, lambda: work.catalogs.drop_tables(work.cursor, [table]), show)
    return empty_result()


def drop_view(work: Work, reader: Reader) -> Result:
    """Run DROP VIEW, for temporary views too."""
    tolerant, parts, name = _read(work, reader)
    if len(parts) == 1 and work.temporary_views.pop(parts[0].lower(), None) is not None:
        return empty_result()
    with work.room.store.commit_lock:
        if work.catalogs.find_view(name) is None:
            if work.catalogs.find_table(name) is not None:
                raise wrong_command("DROP VIEW", "VIEW", name, "MANAGED")
            if tolerant:
                return empty_result()
            raise table_not_found(name)

        def show() -> None:
            del work.catalogs.schema(name.catalog, name.schema).views[name.name]

        change_catalog(work, lambda: work.room.store.remove(work.cursor, "view", str(name)), show)
    return empty_result()


def _read(work: Work, reader: Reader) -> tuple[bool, list[str], TableName]:
    tolerant = reader.if_exists()
    parts = reader.name_parts()
    reader.end()
    return tolerant, parts, full_name(parts, work.session.catalog, work.session.schema)
