"""Revisions that copy a table on SQLite, while rows of other tables refer to its rows."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import alembic.command
import pytest
from alembic.config import Config
from sqlalchemy import Engine, create_engine, event, text
from sqlalchemy.exc import DatabaseError, IntegrityError
from sqlalchemy.pool import Pool

from vinci_code.core.config import reload_settings
from vinci_code.core.errors import SchemaError
from vinci_code.database import create_configured_engine

ENV = """
from sqlalchemy import MetaData
from vinci_code.database.alembic import run_migrations
run_migrations(MetaData())
"""
REVISION = """
from alembic import op
import sqlalchemy as sa
revision = "1"
down_revision = None
def upgrade():
    {upgrade}
def downgrade():
    pass
"""
COPY = """
    with op.batch_alter_table("parent") as batch:
        batch.alter_column("name", existing_type=sa.String(), nullable=False)
"""
ACTIONS = ("ON DELETE CASCADE", "ON DELETE SET NULL", "ON DELETE RESTRICT", "")


def project(folder: Path, upgrade: str) -> Config:
    """An Alembic project with one revision."""
    alembic.command.init(Config(folder / "alembic.ini"), str(folder / "theirs"))
    (folder / "theirs" / "env.py").write_text(ENV)
    (folder / "theirs" / "versions" / "one.py").write_text(REVISION.format(upgrade=upgrade))
    config = Config()
    config.set_main_option("script_location", str(folder / "theirs"))
    config.set_main_option("path_separator", "os")
    return config


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Engine:
    monkeypatch.setenv("DATABASE_URL", f"sqlite:///{tmp_path / 'theirs.db'}")
    reload_settings()
    return create_configured_engine()


def family(engine: Engine, action: str = "") -> None:
    """A parent, two children that refer to it, and one that refers to nobody."""
    refers = f"INTEGER REFERENCES parent (id) {action}"
    with engine.begin() as connection:
        for statement in (
            "CREATE TABLE parent (id INTEGER PRIMARY KEY, name VARCHAR)",
            f"CREATE TABLE child (id INTEGER PRIMARY KEY, parent_id {refers})",
            "INSERT INTO parent VALUES (1, 'a')",
            "INSERT INTO child VALUES (1, 1), (2, 1), (3, NULL)",
        ):
            connection.execute(text(statement))


def children(engine: Engine) -> list[tuple[int, int | None]]:
    with engine.connect() as connection:
        rows = connection.execute(text("SELECT id, parent_id FROM child ORDER BY id"))
        return [(row.id, row.parent_id) for row in rows]


BEFORE = [(1, 1), (2, 1), (3, None)]


@pytest.mark.parametrize("action", ACTIONS)
def test_rows_that_refer_to_a_copied_table_stay(
    action: str, engine: Engine, tmp_path: Path
) -> None:
    family(engine, action)
    alembic.command.upgrade(project(tmp_path, COPY), "head")
    assert children(engine) == BEFORE
    # Afterwards foreign keys act as before, in the table that was copied, too.
    with pytest.raises(IntegrityError), engine.begin() as connection:
        connection.execute(text("INSERT INTO child VALUES (4, 7)"))
    with pytest.raises(IntegrityError), engine.begin() as connection:
        connection.execute(text("INSERT INTO parent VALUES (2, NULL)"))
    engine.dispose()


def test_a_revision_that_would_leave_rows_alone_is_refused(engine: Engine, tmp_path: Path) -> None:
    family(engine)
    upgrade = (
        'op.execute("DELETE FROM parent"); op.create_table("more", sa.Column("id", sa.Integer))'
    )
    with pytest.raises(SchemaError, match=r"2 of child \(to parent\)"):
        alembic.command.upgrade(project(tmp_path, upgrade), "head")
    assert children(engine) == BEFORE
    with engine.connect() as connection:
        found = connection.execute(text("SELECT count(*) FROM parent")).scalar()
        tables = connection.execute(text("SELECT count(*) FROM sqlite_master WHERE name = 'more'"))
        assert (found, tables.scalar()) == (1, 0)
    engine.dispose()


def test_what_was_wrong_before_stops_no_revision(engine: Engine, tmp_path: Path) -> None:
    family(engine)
    careless = create_engine(engine.url)
    with careless.begin() as connection:
        connection.execute(text("INSERT INTO child VALUES (4, 7)"))
        # A foreign key that SQLite cannot check at all.
        connection.execute(text("CREATE TABLE odd (name VARCHAR REFERENCES parent (name))"))
        connection.execute(text("INSERT INTO odd VALUES ('a')"))
    careless.dispose()
    alembic.command.upgrade(project(tmp_path, COPY), "head")
    assert children(engine) == [*BEFORE, (4, 7)]
    engine.dispose()


def test_a_check_that_fails_for_another_reason_ends_the_migration(
    engine: Engine, tmp_path: Path
) -> None:
    family(engine)

    def break_check(connection: Any, *_: Any) -> None:
        connection.set_authorizer(
            lambda _action, name, *_others: (
                sqlite3.SQLITE_DENY if name == "foreign_key_check" else sqlite3.SQLITE_OK
            )
        )

    event.listen(Pool, "connect", break_check)
    try:
        with pytest.raises(DatabaseError, match="not authorized"):
            alembic.command.upgrade(project(tmp_path, COPY), "head")
    finally:
        event.remove(Pool, "connect", break_check)
    assert children(engine) == BEFORE
    engine.dispose()


@pytest.mark.parametrize("action", ACTIONS)
def test_a_table_is_not_dropped_on_a_connection_where_foreign_keys_act(
    action: str, engine: Engine, tmp_path: Path
) -> None:
    family(engine, action)
    config = project(tmp_path, COPY)
    with engine.connect() as connection:
        config.attributes["connection"] = connection
        with pytest.raises(SchemaError, match="rows of child"), connection.begin():
            alembic.command.upgrade(config, "head")
        assert children(engine) == BEFORE
    with engine.begin() as connection:
        connection.execute(text("UPDATE child SET parent_id = NULL"))
    with engine.connect() as connection:
        config.attributes["connection"] = connection
        alembic.command.upgrade(config, "head")
    # What listened to the connection is gone with the migration.
    with engine.begin() as connection:
        connection.execute(text("INSERT INTO child VALUES (4, 1)"))
        versions = connection.execute(text("SELECT version_num FROM alembic_version")).scalars()
        assert versions.all() == ["1"]
    engine.dispose()
