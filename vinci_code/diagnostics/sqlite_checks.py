"""The checks for a SQLite file: the file, the rights, its integrity, its migrations."""

from __future__ import annotations

import os
import shlex
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import quote

from vinci_code.core.errors import SchemaError
from vinci_code.database.sqlite import create_sqlite_engine, file_of
from vinci_code.diagnostics.checks import Check, Context
from vinci_code.diagnostics.migrating import compared_with_head, unknown_revision
from vinci_code.diagnostics.report import Finding, Status, in_one_piece

_BUSY_TIMEOUT = 5.0
_LOCKED = ("locked", "busy")
# https://www.sqlite.org/fileformat.html#magic_header_string
_MAGIC = b"SQLite format 3\x00"
_MAX_ERRORS_SHOWN = 3


def _check_file(context: Context) -> Finding:
    path = _file(context)
    if path is None:
        return Finding(Status.OK, "in memory: it ends with the process")
    if not path.parent.is_dir():
        return Finding(
            Status.FAILED,
            cause=f"The folder {_whole(path.parent)} of DATABASE_URL does not exist.",
            next_step=f"create it ({_command('mkdir -p', path.parent)}) or correct DATABASE_URL",
        )
    if path.is_dir():
        return Finding(
            Status.FAILED,
            cause=f"DATABASE_URL names {_whole(path)}, which is a folder.",
            next_step="name a file in DATABASE_URL: sqlite:///folder/vinci.db",
        )
    if not path.exists():
        return Finding(Status.OK, f"{_whole(path)} does not exist yet; the first use creates it")
    try:
        with path.open("rb") as stream:
            beginning = stream.read(len(_MAGIC))
    except PermissionError:
        return Finding(
            Status.FAILED,
            cause=f"You may not read {_whole(path)}.",
            next_step=f"let its owner give you the right: {_command('chmod u+rw', path)}",
        )
    if beginning not in (b"", _MAGIC):
        return Finding(
            Status.FAILED,
            cause=f"{_whole(path)} is not a SQLite database.",
            next_step="name another file in DATABASE_URL; this one is left as it is",
        )
    return Finding(Status.OK, f"{_whole(path)}, {path.stat().st_size:,} bytes, SQLite {_library()}")


def _check_rights(context: Context) -> Finding:
    """Take the write lock, which needs the file, and its folder for the files beside it."""
    path = _file(context)
    if path is None:
        return Finding(Status.OK, "in memory")
    if not os.access(path.parent, os.W_OK | os.X_OK):
        return Finding(
            Status.FAILED,
            cause=f"You may not create files in {_whole(path.parent)}, where SQLite keeps its "
            "journal.",
            next_step=f"get the right to write there: {_command('chmod u+rwx', path.parent)}",
        )
    if not path.exists():
        return Finding(Status.OK, f"{_whole(path.parent)} can be written")
    if not os.access(path, os.W_OK):
        # SQLite opens such a file for reading and even gives out the write lock.
        return _not_writable(path, "permission denied")
    try:
        with _opened(path) as connection:
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("ROLLBACK")
    except sqlite3.OperationalError as error:
        if any(word in str(error) for word in _LOCKED):
            return Finding(
                Status.WARNING,
                f"another process has held the write lock for {_BUSY_TIMEOUT:g} s",
                cause="Another process is writing, or was stopped in the middle of it.",
                next_step=f"wait for it to end; '{_command('fuser', path)}' names it",
            )
        return _not_writable(path, str(error))
    return Finding(Status.OK, "the file and its folder can be written")


def _check_integrity(context: Context) -> Finding:
    path = _existing_file(context)
    if path is None:
        return Finding(Status.OK, "there is nothing to check yet")
    try:
        with _opened(path) as connection:
            rows = connection.execute("PRAGMA integrity_check").fetchall()
            broken = connection.execute("PRAGMA foreign_key_check").fetchall()
    except sqlite3.DatabaseError as error:
        rows, broken = [(str(error),)], []
    said = [str(row[0]) for row in rows]
    if said != ["ok"]:
        return Finding(
            Status.FAILED,
            cause=f"{_whole(path)} is damaged: {'; '.join(said[:_MAX_ERRORS_SHOWN])}",
            next_step="restore a backup, or save what is left: "
            + _command("sqlite3", path, ".recover"),
        )
    if broken:
        return Finding(
            Status.FAILED,
            cause=f"{len(broken)} rows point to rows that do not exist.",
            next_step="look at them: " + _command("sqlite3", path, "'PRAGMA foreign_key_check'"),
        )
    return Finding(Status.OK, "PRAGMA integrity_check says ok")


def _check_migrations(context: Context) -> Finding:
    path = _existing_file(context)
    if path is None:
        return Finding(Status.OK, "none are applied yet; the first use applies them")
    from vinci_code.database import migrations

    assert context.settings is not None  # noqa: S101 - this check needs 'settings'
    engine = create_sqlite_engine(context.settings.database.database_url)
    try:
        status = migrations.status(engine)
    except SchemaError as error:
        return unknown_revision(error, "name another file in DATABASE_URL")
    finally:
        engine.dispose()
    return compared_with_head(status, "the first session of the application applies them, too")


CHECKS = (
    Check("database_file", "Database file", 10.0, _check_file, needs=("settings",)),
    Check("rights", "Rights", 15.0, _check_rights, needs=("database_file",)),
    Check(
        "integrity",
        "Integrity",
        120.0,
        _check_integrity,
        needs=("rights",),
        when_late="the file is large: run "
        + in_one_piece("sqlite3 FILE 'PRAGMA integrity_check'")
        + " and wait",
    ),
    Check("migrations", "Migrations", 45.0, _check_migrations, needs=("integrity",)),
)
"""In the order in which they are run."""


def _file(context: Context) -> Path | None:
    assert context.settings is not None  # noqa: S101 - these checks need 'settings'
    return file_of(context.settings.database.database_url)


def _not_writable(path: Path, reason: str) -> Finding:
    return Finding(
        Status.FAILED,
        cause=f"{_whole(path)} cannot be written ({reason}).",
        next_step=f"get the right to write it: {_command('chmod u+rw', path)}",
    )


def _command(words: str, path: Path, behind: str = "") -> str:
    return in_one_piece(f"{words} {shlex.quote(str(path))} {behind}".rstrip())


def _whole(path: Path) -> str:
    return in_one_piece(str(path))


def _existing_file(context: Context) -> Path | None:
    path = _file(context)
    return path if path is not None and path.exists() and path.stat().st_size else None


@contextmanager
def _opened(path: Path) -> Iterator[sqlite3.Connection]:
    """Open the file without creating it."""
    uri = f"file:{quote(str(path))}?mode=rw"
    with closing(
        sqlite3.connect(uri, uri=True, timeout=_BUSY_TIMEOUT, isolation_level=None)
    ) as connection:
        yield connection


def _library() -> str:
    return sqlite3.sqlite_version
