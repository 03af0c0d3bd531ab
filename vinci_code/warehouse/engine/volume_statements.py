"""Statements on volumes: CREATE, DROP, DESCRIBE, COMMENT ON and LIST.

https://docs.databricks.com/aws/en/sql/language-manual/sql-ref-syntax-ddl-create-volume and the
pages beside it.
"""

from __future__ import annotations

import uuid
from dataclasses import replace
from datetime import datetime, timezone

from vinci_code.warehouse.engine.catalog import INFORMATION_SCHEMA, SYSTEM_CATALOG
from vinci_code.warehouse.engine.model import Volume
from vinci_code.warehouse.engine.names import TableName
from vinci_code.warehouse.engine.namespace import full_name
from vinci_code.warehouse.engine.namespaces import change_catalog
from vinci_code.warehouse.engine.reader import Reader, qualify
from vinci_code.warehouse.engine.result import Result, empty_result, rows_result
from vinci_code.warehouse.engine.volume_files import Entry
from vinci_code.warehouse.engine.volume_paths import VolumePath, VolumePathError
from vinci_code.warehouse.engine.work import Work
from vinci_code.warehouse.sql.errors import SqlError, unsupported
from vinci_code.warehouse.sql.types import BIGINT, STRING, Column

_MAX_LIST = 1001
"""https://docs.databricks.com/aws/en/sql/language-manual/sql-ref-syntax-aux-list: the default limit
of LIST, and the largest."""


def create_volume(work: Work, reader: Reader) -> Result:
    """Run CREATE VOLUME."""
    tolerant = reader.if_not_exists()
    name = qualify(reader.name_parts(), work.session.catalog, work.session.schema)
    comment = None
    while not reader.done:
        if reader.accept("COMMENT"):
            comment = reader.string()
        elif reader.accept("LOCATION"):
            raise unsupported("CREATE VOLUME with a location, which makes it an external one")
        else:
            raise reader.error()
    if name.schema == INFORMATION_SCHEMA or name.catalog == SYSTEM_CATALOG:
        raise SqlError("PERMISSION_DENIED", "42501", f"{name.quoted} cannot be created.")
    with work.room.store.commit_lock:
        schema = work.catalogs.schema(name.catalog, name.schema)
        if name.name in schema.volumes:
            if tolerant:
                return empty_result()
            raise _already_exists(name)
        now = datetime.now(timezone.utc)
        volume = Volume(name, uuid.uuid4().hex, work.session.user, comment, now, now)
        change_catalog(
            work,
            lambda: work.catalogs.write_volume(work.cursor, volume),
            lambda: schema.volumes.update({name.name: volume}),
        )
    return empty_result()


def drop_volume(work: Work, reader: Reader) -> Result:
    """Run DROP VOLUME; its files go with it."""
    tolerant = reader.if_exists()
    name = _named(work, reader.name_parts())
    reader.end()
    files = work.room.volumes.files
    with work.room.store.commit_lock:
        schema = work.catalogs.schema(name.catalog, name.schema)
        if tolerant and name.name not in schema.volumes:
            return empty_result()
        volume = work.room.volumes.volume(name)

        def persist() -> None:
            work.room.store.remove(work.cursor, "volume", str(name))
            files.forget_records(work.cursor, volume.id)

        def show() -> None:
            del schema.volumes[name.name]

        change_catalog(work, persist, show)
        files.forget(volume.id)
    return empty_result()


def describe_volume(work: Work, reader: Reader) -> Result:
    """Run DESCRIBE VOLUME, of which the first words are read."""
    name = _named(work, reader.name_parts())
    reader.end()
    volume = work.room.volumes.volume(name)
    row = (name.name, name.catalog, name.schema, volume.owner, None, "MANAGED", volume.comment)
    columns = [
        Column("name", STRING, nullable=False),
        Column("catalog", STRING, nullable=False),
        Column("database", STRING, nullable=False),
        Column("owner", STRING, nullable=False),
        Column("storageLocation", STRING),
        Column("volumeType", STRING, nullable=False),
        Column("comment", STRING),
    ]
    return rows_result("DESCRIBE", columns, [row])


def comment_volume(work: Work, parts: list[str], comment: str | None) -> None:
    """Set the comment of a volume."""
    name = _named(work, parts)
    with work.room.store.commit_lock:
        volume = work.room.volumes.volume(name)
        changed = replace(volume, comment=comment, altered=datetime.now(timezone.utc))
        schema = work.catalogs.schema(name.catalog, name.schema)
        change_catalog(
            work,
            lambda: work.catalogs.write_volume(work.cursor, changed),
            lambda: schema.volumes.update({name.name: changed}),
        )


def list_files(work: Work, reader: Reader) -> Result:
    """Run LIST: what lies immediately at a path."""
    reader.expect("LIST")
    text = reader.string()
    if reader.accept("WITH"):
        raise unsupported("LIST with a credential")
    limit = reader.integer() if reader.accept("LIMIT") else _MAX_LIST
    reader.end()
    if not 1 <= limit <= _MAX_LIST:
        raise unsupported(f"LIST with a limit of {limit}; it is from 1 to {_MAX_LIST}")
    columns = [
        Column("path", STRING, nullable=False),
        Column("name", STRING, nullable=False),
        Column("size", BIGINT, nullable=False),
        Column("modification_time", BIGINT, nullable=False),
    ]
    path = locate(work, text)
    rows = [_listed(path, entry) for entry in _entries(work, path)[:limit]]
    return rows_result("SHOW", columns, rows)


def locate(work: Work, text: str) -> VolumePath:
    """Read a path of a volume that exists.

    Raises:
        SqlError: ``UNSUPPORTED_BY_LOCAL_WAREHOUSE`` for a path of anything else, such as cloud
            storage; ``UC_VOLUME_NOT_FOUND``.
    """
    try:
        return work.room.volumes.locate(text)
    except VolumePathError as error:
        raise unsupported(f"the path '{text}': of the path of a volume, {error}") from error


def path_not_found(path: object) -> SqlError:
    """Return ``PATH_NOT_FOUND``, in the words of a workspace."""
    return SqlError("PATH_NOT_FOUND", "42K03", f"Path does not exist: dbfs:{path}.")


def _entries(work: Work, path: VolumePath) -> list[Entry]:
    volumes = work.room.volumes
    file = volumes.file(path)
    if file is not None:
        return [file]
    if not volumes.is_directory(path):
        raise path_not_found(path)
    return volumes.entries(path)


def _listed(path: VolumePath, entry: Entry) -> tuple[str, str, int, int]:
    # A directory is told by a slash at its end; the reference page names no mark of one.
    end = "/" if entry.is_directory else ""
    whole = VolumePath(path.volume, entry.path)
    return f"{whole}{end}", f"{entry.name}{end}", entry.size, entry.modified


def _named(work: Work, parts: list[str]) -> TableName:
    return full_name(parts, work.session.catalog, work.session.schema)


def _already_exists(name: TableName) -> SqlError:
    return SqlError(
        "VOLUME_ALREADY_EXISTS",
        "42000",
        f"Cannot create volume {name.quoted} because it already exists.\nChoose a different name, "
        "drop or replace the existing object, or add the IF NOT EXISTS clause to tolerate "
        "pre-existing objects.",
    )
