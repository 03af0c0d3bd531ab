"""The ``env.py`` of a stranger's application, in three lines, on SQLite and on a warehouse."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import alembic.command
import pytest
from alembic.config import Config
from alembic.util import CommandError
from sqlalchemy import Engine, inspect, text

from vinci_code.core.config import reload_settings
from vinci_code.database import create_configured_engine, migrations
from vinci_code.warehouse.pytest_plugin import TestWarehouse

ENV = """
from vinci_code.database.alembic import run_migrations
from their_models import METADATA
run_migrations(METADATA{options})
"""
MODELS = """
from sqlalchemy import Column, Integer, MetaData, String, Table
METADATA = MetaData()
Table("orders", METADATA, Column("id", Integer, primary_key=True), Column("note", String))
"""
MORE = """
Table("lines", METADATA, Column("id", Integer, primary_key=True))
METADATA.tables["orders"].append_column(Column("paid", Integer, server_default="0"))
"""
"""What comes with the second revision."""


class Project:
    """An Alembic project in a folder, as ``alembic init`` makes it but for its ``env.py``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.output = io.StringIO()
        alembic.command.init(Config(folder / "alembic.ini"), str(folder / "theirs"))
        # Of no file, whose set-up of logging would outlive the test.
        self.config = Config(stdout=self.output, output_buffer=self.output)
        self.config.set_main_option("script_location", str(folder / "theirs"))
        self.config.set_main_option("path_separator", "os")
        self.write("")
        self.models(MODELS)

    def write(self, options: str) -> None:
        """Write the ``env.py``."""
        (self.folder / "theirs" / "env.py").write_text(ENV.format(options=options))

    def models(self, text: str) -> None:
        """Write the models; an ``env.py`` imports them anew."""
        (self.folder / "their_models.py").write_text(text)
        sys.modules.pop("their_models", None)
        for made in (self.folder / "__pycache__").glob("their_models*"):
            made.unlink()

    def revise(self, name: str) -> str:
        """Make a revision of what differs; returns its text."""
        script: Any = alembic.command.revision(self.config, name, autogenerate=True)
        return Path(script.path).read_text()


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Project]:
    monkeypatch.syspath_prepend(str(tmp_path))
    yield Project(tmp_path)
    sys.modules.pop("their_models", None)


@pytest.fixture(params=["sqlite", "warehouse"])
def engine(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Engine]:
    """The engine of the configuration, on SQLite and on a warehouse."""
    if request.param == "sqlite":
        configure({"DATABASE_URL": f"sqlite:///{tmp_path / 'theirs.db'}"}, monkeypatch)
    else:
        configure(request.getfixturevalue("local_warehouse").env, monkeypatch)
    engine = create_configured_engine()
    yield engine
    engine.dispose()


def tables(engine: Engine) -> set[str]:
    return set(inspect(engine).get_table_names())


def test_the_whole_way_of_a_schema(project: Project, engine: Engine) -> None:
    migrations.upgrade(engine)
    first = project.revise("first")
    assert "create_table('orders'" in first
    # What is ours is not theirs to drop.
    assert "drop_table('events')" not in first.partition("def downgrade")[0]
    assert "vinci_code_version" not in first
    alembic.command.upgrade(project.config, "head")
    alembic.command.check(project.config)
    assert tables(engine) == {"events", "vinci_code_version", "orders", "alembic_version"}

    project.models(MODELS + MORE)
    with pytest.raises(CommandError, match="New upgrade operations detected"):
        alembic.command.check(project.config)
    second = project.revise("second")
    assert "create_table('lines'" in second
    assert "'paid'" in second
    alembic.command.upgrade(project.config, "head")
    alembic.command.check(project.config)

    alembic.command.downgrade(project.config, "base")
    assert tables(engine) == {"events", "vinci_code_version", "alembic_version"}
    assert migrations.status(engine).is_current
    assert migrations.downgrade(engine, "base") == (migrations.HEAD,)


def test_sql_is_written_without_a_database(project: Project, engine: Engine) -> None:
    project.revise("first")
    before = tables(engine)
    alembic.command.upgrade(project.config, "head", sql=True)
    written = project.output.getvalue()
    assert "CREATE TABLE orders" in written
    assert "INSERT INTO alembic_version (version_num) VALUES ('" in written
    assert tables(engine) == before


def test_a_connection_of_the_caller_is_used(project: Project, engine: Engine) -> None:
    with engine.connect() as connection:
        project.config.attributes["connection"] = connection
        project.revise("first")
        alembic.command.upgrade(project.config, "head")
        assert not connection.closed
        connection.rollback()


def test_a_type_of_ours_is_written_with_its_import(project: Project, engine: Engine) -> None:
    project.models(
        "from vinci_code.database.models.types import JSON_VALUE, StrictText, UtcDateTime\n"
        + MODELS.replace(
            "String)", "StrictText), Column('at', UtcDateTime), Column('x', JSON_VALUE)"
        )
    )
    assert "\nimport vinci_code.database.models.types\n" in project.revise("first")
    alembic.command.upgrade(project.config, "head")
    alembic.command.check(project.config)


def test_options_are_those_of_alembic(project: Project, engine: Engine) -> None:
    project.write(", version_table='their_version', include_name=lambda name, *_: name != 'lines'")
    with engine.connect() as connection:
        connection.execute(text("CREATE TABLE lines (id INTEGER)"))
        connection.commit()
    assert "lines" not in project.revise("first")
    alembic.command.upgrade(project.config, "head")
    assert tables(engine) == {"lines", "orders", "their_version"}


def test_their_own_table_of_our_name_is_theirs(project: Project, engine: Engine) -> None:
    project.models(MODELS.replace("orders", "events"))
    assert "create_table('events'" in project.revise("first")
    alembic.command.upgrade(project.config, "head")
    alembic.command.check(project.config)
    assert tables(engine) == {"events", "alembic_version"}


def test_others_that_migrate_meanwhile_wait(
    project: Project, local_warehouse: TestWarehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    configure(local_warehouse.env, monkeypatch)
    project.revise("first")
    before = len(local_warehouse.statements)
    alembic.command.upgrade(project.config, "head")
    sent = local_warehouse.statements[before:]
    (claim,) = [n for n, one in enumerate(sent) if "CREATE TABLE alembic_version_claim" in one]
    (table,) = [n for n, one in enumerate(sent) if "CREATE TABLE orders" in one]
    assert claim < table < len(sent) - 1
    assert sent[-1] == "DROP TABLE IF EXISTS alembic_version_claim"


def configure(environment: Mapping[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Have this process use a database."""
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    reload_settings()
