"""Migrations: up, down, what is pending, and databases that are not ours."""

from __future__ import annotations

import io
import logging
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import alembic.command
import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, create_engine, inspect, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from tests.patience import PATIENCE_S
from vinci_code.core.config import reload_settings
from vinci_code.core.errors import MigrationsPendingError, SchemaError
from vinci_code.database import migrations
from vinci_code.database.migrations import (
    HEAD,
    VERSION_TABLE,
    MigrationStatus,
    apply_pending,
    downgrade,
    require_head,
    status,
    upgrade,
)
from vinci_code.database.models import Base, Event
from vinci_code.database.session import get_engine
from vinci_code.database.sqlite import create_sqlite_engine

SCRIPTS = ScriptDirectory(Path(migrations.__file__).parent)


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    engine = create_sqlite_engine(f"sqlite:///{tmp_path / 'data.db'}")
    yield engine
    engine.dispose()


def execute(engine: Engine, *statements: str) -> None:
    with engine.begin() as connection:
        for statement in statements:
            connection.execute(text(statement))


def tables(engine: Engine) -> set[str]:
    return set(inspect(engine).get_table_names())


class TestHistory:
    def test_the_revision_that_is_written_down_is_the_newest_one(self) -> None:
        assert SCRIPTS.get_heads() == [HEAD]
        assert len(SCRIPTS.get_bases()) == 1

    def test_the_migrated_tables_are_those_of_the_models(self, engine: Engine) -> None:
        upgrade(engine)

        with engine.connect() as connection:
            context = MigrationContext.configure(
                connection,
                opts={
                    "version_table": VERSION_TABLE,
                    "compare_type": True,
                    "compare_server_default": True,
                },
            )
            assert compare_metadata(context, Base.metadata) == []

    def test_constraints_have_the_names_that_the_models_give_them(
        self, engine: Engine, tmp_path: Path
    ) -> None:
        # compare_metadata looks at no name of a primary key.
        upgrade(engine)
        other = create_sqlite_engine(f"sqlite:///{tmp_path / 'models.db'}")
        Base.metadata.create_all(other)

        def constraints(engine: Engine) -> object:
            found = inspect(engine)
            return found.get_pk_constraint("events"), found.get_unique_constraints("events")

        assert constraints(engine) == constraints(other)
        other.dispose()

    def test_every_revision_can_be_taken_back_and_applied_again(self, engine: Engine) -> None:
        upgrade(engine)
        before = schema(engine)

        downgrade(engine, "base")
        assert tables(engine) == {"vinci_code_version"}
        upgrade(engine)

        assert schema(engine) == before


class TestMoving:
    def test_up_and_down_say_what_they_did(self, engine: Engine) -> None:
        assert status(engine) == MigrationStatus(None, HEAD, ("0001",))
        assert not status(engine).is_current

        assert upgrade(engine) == ("0001",)
        assert status(engine) == MigrationStatus("0001", HEAD, ())
        assert status(engine).is_current
        assert upgrade(engine) == ()

        assert downgrade(engine, "-1") == ("0001",)
        assert status(engine) == MigrationStatus(None, HEAD, ("0001",))
        assert downgrade(engine, "base") == ()

        assert upgrade(engine, "+1") == ("0001",)

    def test_asking_changes_nothing(self, engine: Engine) -> None:
        status(engine)
        with pytest.raises(MigrationsPendingError):
            require_head(engine)

        assert tables(engine) == set()

    def test_what_is_pending_is_applied_once(self, engine: Engine) -> None:
        assert apply_pending(engine)
        assert not apply_pending(engine)
        require_head(engine)

    def test_what_is_pending_comes_with_the_command_that_applies_it(self, engine: Engine) -> None:
        with pytest.raises(MigrationsPendingError, match="vinci db upgrade") as caught:
            require_head(engine)

        assert "(none)" in str(caught.value)
        assert HEAD in str(caught.value)

    def test_events_stay_when_nothing_is_to_be_done(self, engine: Engine) -> None:
        upgrade(engine)
        with Session(engine) as session:
            session.add(Event(event_type="t", source="s"))
            session.commit()

        upgrade(engine)
        apply_pending(engine)

        with Session(engine) as session:
            assert session.query(Event).count() == 1

    @pytest.mark.parametrize("move", [upgrade, downgrade])
    @pytest.mark.parametrize("revision", ["9999", "head+1", "no such", "+5", "-5", "", "%(x)s"])
    def test_a_revision_that_does_not_exist(
        self, engine: Engine, move: Callable[[Engine, str], object], revision: str
    ) -> None:
        upgrade(engine)
        before = schema(engine)

        with pytest.raises(SchemaError, match="Cannot "):
            move(engine, revision)

        assert schema(engine) == before

    def test_a_path_with_a_percent_sign_is_one(self, tmp_path: Path) -> None:
        folder = tmp_path / "100%(here)s"
        folder.mkdir()
        engine = create_sqlite_engine(f"sqlite:///{folder / 'data.db'}")

        assert upgrade(engine) == ("0001",)
        engine.dispose()

    def test_a_database_that_sqlalchemy_opened_by_itself_can_be_migrated(
        self, tmp_path: Path
    ) -> None:
        engine = create_engine(f"sqlite:///{tmp_path / 'plain.db'}")

        upgrade(engine)

        assert status(engine).is_current
        engine.dispose()

    def test_threads_each_with_a_database_of_its_own(self, tmp_path: Path) -> None:
        failures: list[BaseException] = []
        together = threading.Barrier(4)

        def migrate(name: int) -> None:
            together.wait(PATIENCE_S)
            for turn in range(4):
                engine = create_sqlite_engine(f"sqlite:///{tmp_path / f'{name}-{turn}.db'}")
                try:
                    upgrade(engine)
                    downgrade(engine, "base")
                    upgrade(engine)
                    assert tables(engine) == {"vinci_code_version", "events"}
                except BaseException as error:  # noqa: BLE001 - a thread hands everything over
                    failures.append(error)
                finally:
                    engine.dispose()

        threads = [threading.Thread(target=migrate, args=(name,)) for name in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(PATIENCE_S)

        assert failures == []


THEIRS = (
    "CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL PRIMARY KEY)",
    "INSERT INTO alembic_version VALUES ('{}')",
)


def versions(engine: Engine) -> dict[str, list[str]]:
    """The revisions that each version table names."""
    found = {}
    with engine.connect() as connection:
        for table in {"alembic_version", "vinci_code_version"} & tables(engine):
            found[table] = list(connection.scalars(text(f"SELECT version_num FROM {table}")))
    return found


class TestBesideAnotherApplication:
    @pytest.mark.parametrize("theirs", ["abcdef012345", HEAD])
    def test_its_revision_is_none_of_ours(
        self, engine: Engine, theirs: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        execute(engine, THEIRS[0], THEIRS[1].format(theirs))
        assert status(engine) == MigrationStatus(None, HEAD, (HEAD,))
        monkeypatch.setenv("DATABASE_URL", str(engine.url))
        reload_settings()

        assert status(get_engine()).is_current
        assert versions(engine) == {"alembic_version": [theirs], "vinci_code_version": [HEAD]}
        downgrade(engine, "base")
        assert versions(engine) == {"alembic_version": [theirs], "vinci_code_version": []}

    def test_its_events_are_none_of_ours(self, engine: Engine) -> None:
        execute(engine, *THEIRS[:1], THEIRS[1].format(HEAD), "CREATE TABLE events (id INTEGER)")
        assert status(engine).current is None
        with pytest.raises(SchemaError, match="table events already exists"):
            upgrade(engine)
        assert versions(engine) == {"alembic_version": [HEAD]}

    def test_its_own_alembic_goes_on(self, engine: Engine, tmp_path: Path) -> None:
        upgrade(engine)
        config = project(tmp_path, engine)
        alembic.command.revision(config, "first", rev_id=HEAD)
        alembic.command.upgrade(config, "head")
        assert versions(engine) == {"alembic_version": [HEAD], "vinci_code_version": [HEAD]}
        alembic.command.downgrade(config, "base")
        assert status(engine).is_current

    @pytest.mark.parametrize("move", [apply_pending, upgrade])
    def test_what_an_earlier_release_wrote_there_is_taken_over_once(
        self,
        engine: Engine,
        move: Callable[[Engine], object],
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        as_by_an_earlier_release(engine)
        assert status(engine).is_current
        require_head(engine)
        assert versions(engine) == {"alembic_version": [HEAD]}

        with caplog.at_level(logging.INFO, "vinci_code"):
            assert not move(engine)
            assert not move(engine)
        assert versions(engine) == {"vinci_code_version": [HEAD]}
        assert [r.getMessage() for r in caplog.records if r.name.startswith("vinci_code")] == [
            "the revision of the tables stands in vinci_code_version from now on"
        ]
        # From then on the other table is somebody else's.
        execute(engine, THEIRS[0], THEIRS[1].format(HEAD))
        assert not move(engine)
        downgrade(engine, "base")
        assert versions(engine) == {"alembic_version": [HEAD], "vinci_code_version": []}

    def test_what_an_earlier_release_wrote_there_can_be_taken_back(self, engine: Engine) -> None:
        as_by_an_earlier_release(engine)
        assert downgrade(engine, "base") == (HEAD,)
        assert versions(engine) == {"vinci_code_version": []}

    def test_both_in_one_table_are_told_apart_by_a_person(self, engine: Engine) -> None:
        as_by_an_earlier_release(engine)
        execute(engine, "INSERT INTO alembic_version VALUES ('abcdef012345')")
        for ask in (status, upgrade):
            with pytest.raises(SchemaError, match="create the table vinci_code_version"):
                ask(engine)
        # As it says:
        execute(
            engine,
            THEIRS[0].replace("alembic_version", "vinci_code_version"),
            f"INSERT INTO vinci_code_version VALUES ('{HEAD}')",
            f"DELETE FROM alembic_version WHERE version_num = '{HEAD}'",
        )
        assert upgrade(engine) == ()


def as_by_an_earlier_release(engine: Engine) -> None:
    """Tables whose revision stands in Alembic's own table."""
    upgrade(engine)
    execute(engine, "ALTER TABLE vinci_code_version RENAME TO alembic_version")


def project(folder: Path, engine: Engine) -> Config:
    """An empty Alembic project as ``alembic init`` makes it."""
    alembic.command.init(Config(folder / "alembic.ini"), str(folder / "theirs"))
    # Of no file, whose set-up of logging would outlive the test.
    config = Config(stdout=io.StringIO())
    config.set_main_option("script_location", str(folder / "theirs"))
    config.set_main_option("path_separator", "os")
    config.set_main_option("sqlalchemy.url", str(engine.url))
    return config


class TestForeignDatabases:
    def test_a_table_of_the_same_name_is_left_as_it_is(
        self, engine: Engine, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        execute(engine, "CREATE TABLE events (theirs TEXT)", "INSERT INTO events VALUES ('kept')")
        before = schema(engine)

        for move in (upgrade, apply_pending):
            with pytest.raises(SchemaError, match="table events already exists") as caught:
                move(engine)
            assert "Nothing was changed" in str(caught.value)

        assert schema(engine) == before
        monkeypatch.setenv("DATABASE_URL", str(engine.url))
        reload_settings()
        with pytest.raises(SchemaError, match="already exists"):
            get_engine()

    @pytest.mark.parametrize("ask", [status, require_head, apply_pending, upgrade])
    def test_a_revision_that_is_not_known(
        self, engine: Engine, ask: Callable[[Engine], object]
    ) -> None:
        upgrade(engine)
        execute(engine, "UPDATE vinci_code_version SET version_num = 'fedcba987654'")
        before = schema(engine)

        with pytest.raises(SchemaError, match="fedcba987654"):
            ask(engine)

        assert schema(engine) == before

    @pytest.mark.parametrize("ask", [status, require_head, apply_pending, upgrade])
    def test_a_history_with_several_heads(
        self, engine: Engine, ask: Callable[[Engine], object]
    ) -> None:
        upgrade(engine)
        execute(engine, "INSERT INTO vinci_code_version VALUES ('aaaa')")

        with pytest.raises(SchemaError, match=r"names 2 revisions \(0001, aaaa\)"):
            ask(engine)

    def test_a_table_that_was_taken_away_cannot_be_taken_back(self, engine: Engine) -> None:
        upgrade(engine)
        execute(engine, "DROP TABLE events")

        with pytest.raises(SchemaError, match="no such table"):
            downgrade(engine, "base")

        assert status(engine).is_current

    def test_a_database_that_is_full_is_no_matter_of_its_tables(self, engine: Engine) -> None:
        # One page more than it has: the first table fits, the rest does not.
        execute(engine, "CREATE TABLE theirs (id INTEGER)")
        with engine.connect() as connection:
            pages = connection.exec_driver_sql("PRAGMA page_count").scalar()
            connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")

        with pytest.raises(OperationalError, match="full"):
            upgrade(engine)

        assert tables(engine) == {"theirs"}

    def test_alembic_by_itself_names_the_command_to_use(self, tmp_path: Path) -> None:
        (tmp_path / "alembic.ini").write_text(
            f"[alembic]\nscript_location = {SCRIPTS.dir}\npath_separator = os\n"
        )

        run = subprocess.run(
            [sys.executable, "-m", "alembic", "upgrade", "head"],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
        )

        assert run.returncode != 0
        assert "vinci db upgrade" in run.stderr


def schema(engine: Engine) -> list[tuple[str, ...]]:
    """What SQLite's catalogue and the note of the revision say."""
    with engine.connect() as connection:
        found = connection.execute(text("SELECT type, name, sql FROM sqlite_master ORDER BY 1, 2"))
        rows = [tuple(map(str, row)) for row in found]
        if "vinci_code_version" in tables(engine):
            versions = connection.execute(text("SELECT version_num FROM vinci_code_version"))
            rows += [tuple(row) for row in versions]
    return rows
