"""Catalogs and schemas: CREATE, DROP, ALTER and USE."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from vinci_code.warehouse.engine.catalog import (
    DEFAULT_SCHEMA,
    INFORMATION_SCHEMA,
    SYSTEM_CATALOG,
    no_such_catalog,
    schema_not_found,
)
from vinci_code.warehouse.engine.model import Catalog, Schema
from vinci_code.warehouse.engine.names import backtick, object_name
from vinci_code.warehouse.engine.reader import Reader, qualify_schema
from vinci_code.warehouse.engine.result import Result, empty_result
from vinci_code.warehouse.engine.work import Work
from vinci_code.warehouse.sql.errors import SqlError, unsupported


def change_catalog(work: Work, persist: Callable[[], None], show: Callable[[], None]) -> None:
    """Change the catalog: in the store in one step, then in memory; the commit lock is held."""
    with work.session.shielded():
        work.room.publish(work.cursor, [], persist, show)


# ---- USE


def use(work: Work, reader: Reader) -> Result:
    """Run USE."""
    reader.expect("USE")
    if reader.accept("CATALOG"):
        name = reader.string() if reader.at_string else reader.identifier()
        reader.end()
        work.session.use_catalog(name)
        return empty_result("USE")
    reader.accept_any("SCHEMA", "DATABASE")
    parts = [reader.string()] if reader.at_string else reader.name_parts()
    reader.end()
    catalog, schema = qualify_schema(parts, work.session.catalog)
    work.session.use_schema(catalog, schema)
    return empty_result("USE")


# ---- catalogs


def create_catalog(work: Work, reader: Reader) -> Result:
    """Run CREATE CATALOG."""
    tolerant = reader.if_not_exists()
    name = object_name(reader.identifier())
    comment = None
    while not reader.done:
        if reader.accept("COMMENT"):
            comment = reader.string()
        elif reader.accept("MANAGED") or reader.accept_any("USING", "OPTIONS", "FOREIGN"):
            raise unsupported("CREATE CATALOG with a location or of a foreign server")
        elif reader.accept("DEFAULT", "COLLATION"):
            _check_collation(reader.identifier())
        else:
            raise reader.error()
    with work.room.store.commit_lock:
        if name in work.catalogs.catalogs or name == SYSTEM_CATALOG:
            if tolerant:
                return empty_result()
            raise SqlError(
                "CATALOG_ALREADY_EXISTS",
                "42P06",
                f"Cannot create catalog {backtick(name)} because it already exists.",
            )
        owner = work.session.user
        catalog = Catalog(name, owner, comment)
        catalog.schemas[DEFAULT_SCHEMA] = Schema(DEFAULT_SCHEMA, owner, "Default schema")

        def persist() -> None:
            work.catalogs.write_catalog(work.cursor, catalog)
            work.catalogs.write_schema(work.cursor, name, catalog.schemas[DEFAULT_SCHEMA])

        change_catalog(work, persist, lambda: work.catalogs.catalogs.update({name: catalog}))
    return empty_result()


def drop_catalog(work: Work, reader: Reader) -> Result:
    """Run DROP CATALOG."""
    tolerant = reader.if_exists()
    name = reader.identifier().lower()
    cascade = _cascade(reader)
    with work.room.store.commit_lock:
        catalog = work.catalogs.catalogs.get(name)
        if catalog is None:
            if tolerant:
                return empty_result()
            raise no_such_catalog(name)
        filled = [item for item in catalog.schemas.values() if not item.is_empty]
        if not cascade and (filled or set(catalog.schemas) - {DEFAULT_SCHEMA}):
            raise SqlError(
                "CATALOG_NOT_EMPTY",
                "2BP01",
                f"Catalog {backtick(name)} is not empty. Use CASCADE to drop it with all that is "
                "in it.",
            )

        schemas = list(catalog.schemas.values())

        def persist() -> None:
            _drop_schemas(work, name, schemas)
            work.room.store.remove(work.cursor, "catalog", name)

        def show() -> None:
            del work.catalogs.catalogs[name]

        change_catalog(work, persist, show)
        _forget_files(work, schemas)
    return empty_result()


def alter_catalog(work: Work, reader: Reader) -> Result:
    """Run ALTER CATALOG … OWNER TO."""
    name = reader.identifier()
    with work.room.store.commit_lock:
        catalog = work.catalogs.catalog(name)
        _replace_catalog(work, catalog, replace(catalog, owner=_new_owner(reader)))
    return empty_result()


def comment_catalog(work: Work, name: str, comment: str | None) -> None:
    """Set the comment of a catalog."""
    with work.room.store.commit_lock:
        catalog = work.catalogs.catalog(name)
        _replace_catalog(work, catalog, replace(catalog, comment=comment))


def _replace_catalog(work: Work, catalog: Catalog, changed: Catalog) -> None:
    def show() -> None:
        catalog.owner, catalog.comment = changed.owner, changed.comment

    change_catalog(work, lambda: work.catalogs.write_catalog(work.cursor, changed), show)


# ---- schemas


def create_schema(work: Work, reader: Reader) -> Result:
    """Run CREATE SCHEMA."""
    tolerant = reader.if_not_exists()
    catalog_name, name = qualify_schema(reader.name_parts(), work.session.catalog)
    comment, properties = None, {}
    while not reader.done:
        if reader.accept("COMMENT"):
            comment = reader.string()
        elif reader.accept("WITH", "DBPROPERTIES"):
            properties = reader.properties()
        elif reader.accept_any("LOCATION", "MANAGED"):
            raise unsupported("CREATE SCHEMA with a location")
        elif reader.accept("DEFAULT", "COLLATION"):
            _check_collation(reader.identifier())
        else:
            raise reader.error()
    with work.room.store.commit_lock:
        catalog = work.catalogs.catalog(catalog_name)
        if name in catalog.schemas or name == INFORMATION_SCHEMA:
            if tolerant:
                return empty_result()
            raise SqlError(
                "SCHEMA_ALREADY_EXISTS",
                "42P06",
                f"Cannot create schema {backtick(name)} because it already exists. Choose a "
                "different name, drop the existing schema, or add the IF NOT EXISTS clause to "
                "tolerate pre-existing schema.",
            )
        schema = Schema(name, work.session.user, comment, properties)
        change_catalog(
            work,
            lambda: work.catalogs.write_schema(work.cursor, catalog.name, schema),
            lambda: catalog.schemas.update({name: schema}),
        )
    return empty_result()


def drop_schema(work: Work, reader: Reader) -> Result:
    """Run DROP SCHEMA."""
    tolerant = reader.if_exists()
    catalog_name, name = qualify_schema(reader.name_parts(), work.session.catalog)
    cascade = _cascade(reader)
    if name == INFORMATION_SCHEMA:
        raise SqlError(
            "PERMISSION_DENIED", "42501", "The schema information_schema cannot be dropped."
        )
    with work.room.store.commit_lock:
        catalog = work.catalogs.catalog(catalog_name)
        schema = catalog.schemas.get(name)
        if schema is None:
            if tolerant:
                return empty_result()
            raise schema_not_found(catalog_name, name)
        if not cascade and not schema.is_empty:
            raise SqlError(
                "SCHEMA_NOT_EMPTY",
                "2BP01",
                f"Cannot drop a schema {backtick(catalog_name)}.{backtick(name)} because it "
                "contains objects. Use DROP SCHEMA ... CASCADE to drop the schema and all its "
                "objects.",
            )

        def show() -> None:
            del catalog.schemas[name]

        change_catalog(work, lambda: _drop_schemas(work, catalog.name, [schema]), show)
        _forget_files(work, [schema])
    return empty_result()


def _drop_schemas(work: Work, catalog: str, schemas: Sequence[Schema]) -> None:
    """Remove schemas from the store, with the records of the files in their volumes."""
    work.catalogs.drop_schemas(work.cursor, catalog, schemas)
    for schema in schemas:
        for volume in schema.volumes.values():
            work.room.volumes.files.forget_records(work.cursor, volume.id)


def _forget_files(work: Work, schemas: Sequence[Schema]) -> None:
    for schema in schemas:
        for volume in schema.volumes.values():
            work.room.volumes.files.forget(volume.id)


def alter_schema(work: Work, reader: Reader) -> Result:
    """Run ALTER SCHEMA … SET DBPROPERTIES, … OWNER TO."""
    catalog_name, name = qualify_schema(reader.name_parts(), work.session.catalog)
    with work.room.store.commit_lock:
        schema = work.catalogs.schema(catalog_name, name)
        if reader.accept("SET", "DBPROPERTIES"):
            changed = replace(schema, properties={**schema.properties, **reader.properties()})
            reader.end()
        else:
            changed = replace(schema, owner=_new_owner(reader))
        _replace_schema(work, catalog_name, schema, changed)
    return empty_result()


def comment_schema(work: Work, parts: list[str], comment: str | None) -> None:
    """Set the comment of a schema."""
    catalog_name, name = qualify_schema(parts, work.session.catalog)
    with work.room.store.commit_lock:
        schema = work.catalogs.schema(catalog_name, name)
        _replace_schema(work, catalog_name, schema, replace(schema, comment=comment))


def _replace_schema(work: Work, catalog: str, schema: Schema, changed: Schema) -> None:
    def show() -> None:
        schema.owner, schema.comment = changed.owner, changed.comment
        schema.properties = changed.properties

    change_catalog(work, lambda: work.catalogs.write_schema(work.cursor, catalog, changed), show)


def _new_owner(reader: Reader) -> str:
    reader.accept("SET")
    reader.expect("OWNER", "TO")
    owner = reader.identifier()
    reader.end()
    return owner


def _cascade(reader: Reader) -> bool:
    word = reader.accept_any("CASCADE", "RESTRICT")
    reader.end()
    return word == "CASCADE"


def _check_collation(name: str) -> None:
    if name.upper() != "UTF8_BINARY":
        raise unsupported(f"the collation {name}")
