"""Find out where a database stands, and move it up or down."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from sqlalchemy import Connection, Engine, inspect, text
from sqlalchemy.exc import DBAPIError

from vinci_code.core.errors import MigrationsPendingError, SchemaError
from vinci_code.database.migrations.writing import only_thread, writing

if TYPE_CHECKING:
    from alembic.config import Config
    from alembic.script import ScriptDirectory

HEAD = "0001"
"""The revision that this release works with: the newest file in ``versions/``.

It is written down here so that an application that is up to date starts without loading Alembic.
"""

VERSION_TABLE = "vinci_code_version"
"""Where a database says at which of these revisions it is.

Alembic's own ``alembic_version`` is left to the application that uses the same database.
"""

# Earlier releases kept it there.
_FORMER_TABLE = "alembic_version"
_FORMER_REVISIONS = frozenset({"0001"})
_FORMER_COLUMNS = frozenset(
    "id event_key event_type source description payload occurred_at created_at".split()
)

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class MigrationStatus:
    """Where a database stands.

    Attributes:
        current: The revision it is at; ``None`` before the first migration.
        head: The revision that this release works with.
        pending: The revisions still to be applied, in their order.
    """

    current: str | None
    head: str
    pending: tuple[str, ...]

    @property
    def is_current(self) -> bool:
        """Whether nothing is left to do."""
        return self.current == self.head


def status(engine: Engine) -> MigrationStatus:
    """Say where the database stands, changing nothing.

    Raises:
        SchemaError: It is at a revision that this release does not know.
    """
    with engine.connect() as connection:
        current = _place(connection).revision
    return MigrationStatus(current, HEAD, tuple(_pending(current)))


def apply_pending(engine: Engine) -> bool:
    """Apply what is pending, if anything is; return whether anything was.

    Several processes may do this at once: one of them does the work, the others wait and find it
    done.

    Raises:
        SchemaError: The tables in the database are not those of the migrations.
    """
    if _is_done(engine):
        return False
    return upgrade(engine) != ()


def require_head(engine: Engine) -> None:
    """Make sure that nothing is pending.

    Raises:
        MigrationsPendingError: Something is; the message names the command that applies it.
        SchemaError: The database is at a revision that this release does not know.
    """
    found = status(engine)
    if not found.is_current:
        raise MigrationsPendingError(
            f"The tables are at revision {found.current or '(none)'}, this release works with "
            f"{found.head}. Migrations are not applied by themselves here; apply them: "
            "vinci db upgrade"
        )


def upgrade(engine: Engine, revision: str = "head") -> tuple[str, ...]:
    """Apply migrations up to ``revision``; return those that were applied, in their order.

    Others that migrate meanwhile wait. On SQLite all of it is one transaction: a process that dies
    in the middle leaves nothing behind. On Databricks every statement stays; what a process that
    died has left undone is taken up by the next one, once the claim of the dead one is dropped.

    Raises:
        SchemaError: There is no such revision, or the tables in the database are not those of the
            migrations.
        MigrationRunningError: Another process migrates tables on Databricks, and is not done in
            time, or is dead.
        DBAPIError: The database could not be changed: SQLAlchemy's error, as it came.
    """
    from alembic import command

    if revision == "head" and _is_done(engine):
        return ()
    with writing(engine, version_table=VERSION_TABLE) as connection:
        before = _taken_over(connection)
        with _alembic_at_work(connection, f"upgrade to {revision}"):
            command.upgrade(_config(connection), revision)
        after = _place(connection).revision
        return tuple(_between(before, after))


def downgrade(engine: Engine, revision: str) -> tuple[str, ...]:
    """Take migrations back down to ``revision``, or ``base``; return those that were taken back.

    Raises:
        SchemaError: There is no such revision below the present one.
    """
    from alembic import command

    with writing(engine, version_table=VERSION_TABLE) as connection:
        before = _taken_over(connection)
        with _alembic_at_work(connection, f"downgrade to {revision}"):
            command.downgrade(_config(connection), revision)
        after = _place(connection).revision
        return tuple(reversed(_between(after, before)))


class _Place(NamedTuple):
    """The revision that a database is at, and whether that is written down where it was once."""

    revision: str | None
    is_former: bool = False


def _is_done(engine: Engine) -> bool:
    with engine.connect() as connection:
        return _place(connection) == _Place(HEAD)


def _place(connection: Connection) -> _Place:
    found = inspect(connection)
    if not found.has_table(VERSION_TABLE):
        former = _former_revision(connection)
        return _Place(former, is_former=former is not None)
    revisions = _revisions(connection, VERSION_TABLE)
    if len(revisions) > 1:
        raise SchemaError(
            f"The table {VERSION_TABLE} names {len(revisions)} revisions "
            f"({', '.join(sorted(revisions))}); this release expects one. Another release of "
            "vinci_code may be using this database."
        )
    return _Place(revisions[0] if revisions else None)


def _former_revision(connection: Connection) -> str | None:
    """The revision that an earlier release has written into Alembic's own table, if one has.

    Another application may have a revision of the same name there; it has no table like ours.
    """
    found = inspect(connection)
    if not (found.has_table(_FORMER_TABLE) and found.has_table("events")):
        return None
    revisions = _revisions(connection, _FORMER_TABLE)
    ours = _FORMER_REVISIONS.intersection(revisions)
    columns = {column["name"] for column in found.get_columns("events")}
    if not ours or not columns >= _FORMER_COLUMNS:
        return None
    if len(revisions) > 1:
        raise SchemaError(
            f"The table {_FORMER_TABLE} names {len(revisions)} revisions "
            f"({', '.join(sorted(revisions))}), of which {', '.join(sorted(ours))} is that of an "
            f"earlier release of vinci_code. To fix it: create the table {VERSION_TABLE} "
            "(version_num VARCHAR(32) NOT NULL PRIMARY KEY), and move that row there."
        )
    return next(iter(ours))


def _taken_over(connection: Connection) -> str | None:
    """The revision of a database, which is at its place afterwards.

    One statement moves it, so that a process that dies leaves it at one place or at the other.
    """
    place = _place(connection)
    if place.is_former:
        connection.execute(text(f"ALTER TABLE {_FORMER_TABLE} RENAME TO {VERSION_TABLE}"))
        _log.info("the revision of the tables stands in %s from now on", VERSION_TABLE)
    return place.revision


def _revisions(connection: Connection, table: str) -> list[str]:
    versions = text(f"SELECT version_num FROM {table}")  # noqa: S608 - a constant
    return list(connection.execute(versions).scalars())


def _pending(current: str | None) -> list[str]:
    return [] if current == HEAD else _between(current, HEAD)


def _between(lower: str | None, upper: str | None) -> list[str]:
    """The revisions above ``lower`` up to ``upper``, oldest first."""
    if upper is None or lower == upper:
        return []
    known = [script.revision for script in _scripts().walk_revisions()][::-1]
    for revision in (lower, upper):
        if revision is not None and revision not in known:
            raise SchemaError(
                f"The database is at revision {revision}, which this release of vinci_code does "
                f"not know (it knows {', '.join(known)}). Install the release that made it, or "
                "use another database."
            )
    start = known.index(lower) + 1 if lower is not None else 0
    return known[start : known.index(upper) + 1]


@contextmanager
def _alembic_at_work(connection: Connection, what: str) -> Iterator[None]:
    from alembic.util import CommandError

    try:
        with only_thread():
            yield
    except (CommandError, AssertionError) as error:
        # Alembic asserts that a revision is not empty, and that there is one above "head+1".
        raise SchemaError(f"Cannot {what}: {str(error) or 'there is no such revision'}") from error
    except DBAPIError as error:
        # A file that may only be read, or a full disk, says nothing about the tables.
        if not any(words in str(error.orig) for words in _TABLES_IN_THE_WAY):
            raise
        kept = " Nothing was changed." if connection.dialect.name == "sqlite" else ""
        raise SchemaError(
            f"Cannot {what}: {str(error.orig).rstrip('.')}.{kept} The tables in this database were "
            "not made by these migrations; use another database, or move them out of the way."
        ) from error


# How SQLite words it: https://www.sqlite.org/src/file/src/build.c; its error code for all of them
# is the unspecific SQLITE_ERROR. The last two are Databricks' error classes.
_TABLES_IN_THE_WAY = (
    "already exists",
    "no such table",
    "no such column",
    "duplicate column",
    "TABLE_OR_VIEW_NOT_FOUND",
    "UNRESOLVED_COLUMN",
)


def _config(connection: Connection) -> Config:
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config


def _scripts() -> ScriptDirectory:
    from alembic.script import ScriptDirectory

    return ScriptDirectory(Path(__file__).parent)
