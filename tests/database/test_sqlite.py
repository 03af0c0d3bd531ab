"""The SQLite engine: real transactions and savepoints; a file that cannot be used is named."""

from __future__ import annotations

import logging
import os
import sqlite3
import tempfile
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from sqlalchemy import (
    Column,
    Connection,
    Engine,
    ForeignKey,
    Integer,
    MetaData,
    Table,
    func,
    insert,
    inspect,
    select,
    text,
    update,
)
from sqlalchemy.event import listen
from sqlalchemy.exc import IntegrityError, OperationalError, StatementError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.orm import Session

from tests.patience import PATIENCE_S
from vinci_code.core.config import reload_settings
from vinci_code.core.errors import EXIT_UNAVAILABLE, DatabaseFileError
from vinci_code.database import sqlite as sqlite_module
from vinci_code.database.models import Base, Event
from vinci_code.database.session import dispose_engine, get_engine, session_scope
from vinci_code.database.sqlite import create_sqlite_engine, file_of, is_in_memory

metadata = MetaData()
parents = Table("parents", metadata, Column("id", Integer, primary_key=True))
children = Table("children", metadata, Column("parent", ForeignKey(parents.c.id), nullable=False))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "data.db"


@pytest.fixture
def engine(file: Path) -> Iterator[Engine]:
    engine = create_sqlite_engine(f"sqlite:///{file}")
    metadata.create_all(engine)
    yield engine
    engine.dispose()


def count(connection: Connection) -> int:
    return connection.scalar(select(func.count()).select_from(parents)) or 0


def committed(engine: Engine) -> int:
    with engine.connect() as connection:
        return count(connection)


def add(connection: Connection, key: int) -> None:
    connection.execute(insert(parents).values(id=key))


class TestConnections:
    def test_nothing_is_opened_before_the_first_connection(self, file: Path) -> None:
        create_sqlite_engine(f"sqlite:///{file}").dispose()

        assert not file.exists()

    @pytest.mark.parametrize(
        ("pragma", "value"),
        [("foreign_keys", 1), ("journal_mode", "wal"), ("busy_timeout", 30_000)],
    )
    def test_every_connection_is_set_up(self, engine: Engine, pragma: str, value: object) -> None:
        with engine.connect() as one, engine.connect() as other:
            assert one.connection.dbapi_connection is not other.connection.dbapi_connection
            for connection in (one, other):
                assert connection.exec_driver_sql(f"PRAGMA {pragma}").scalar() == value

    def test_a_busy_timeout_in_the_url_counts(self, file: Path) -> None:
        engine = create_sqlite_engine(f"sqlite:///{file}?timeout=5")
        with engine.connect() as connection:
            assert connection.exec_driver_sql("PRAGMA busy_timeout").scalar() == 5_000
        engine.dispose()

    def test_foreign_keys_are_enforced(self, engine: Engine) -> None:
        with pytest.raises(IntegrityError, match="FOREIGN KEY"), engine.begin() as connection:
            connection.execute(insert(children).values(parent=1))

    def test_the_log_of_statements_has_no_values(
        self, engine: Engine, caplog: pytest.LogCaptureFixture
    ) -> None:
        Base.metadata.create_all(engine)
        with caplog.at_level(logging.DEBUG, "sqlalchemy.engine"), Session(engine) as session:
            session.add(Event(event_type="between you and me", source="s"))
            session.commit()

        assert "INSERT INTO events" in caplog.text
        assert "between you and me" not in caplog.text

    @pytest.mark.parametrize(
        ("url", "path"),
        [
            ("sqlite://", None),
            ("sqlite:///", None),
            ("sqlite:///:memory:", None),
            ("sqlite:///file::memory:?uri=true&cache=shared", None),
            ("sqlite:///file:name?mode=memory&uri=true", None),
            ("sqlite:///a.db", "a.db"),
            ("sqlite:////somewhere/a.db", "/somewhere/a.db"),
            ("sqlite+pysqlite:///a.db?timeout=5", "a.db"),
            ("sqlite:///file:a.db?uri=true", "a.db"),
            ("sqlite:///file:///some%20where/a.db?mode=ro&uri=true", "/some where/a.db"),
            ("sqlite:///file:a.db", "file:a.db"),
        ],
    )
    def test_the_file_of_a_url(self, url: str, path: str | None) -> None:
        found = file_of(url)

        assert found == (Path.cwd() / path if path is not None else None)

    def test_a_file_named_by_a_uri_has_a_connection_for_each_user(self, file: Path) -> None:
        engine = create_sqlite_engine(f"sqlite:///file:{file}?uri=true")
        with engine.connect() as one, engine.connect() as other:
            assert one.scalar(select(1)) == other.scalar(select(1)) == 1
        engine.dispose()

        assert file.exists()
        assert not is_in_memory(engine)


class TestTransactions:
    def test_a_transaction_sees_one_snapshot_from_its_first_select(self, engine: Engine) -> None:
        with engine.connect() as reader:
            assert count(reader) == 0
            with engine.begin() as writer:
                add(writer, 1)
            assert committed(engine) == 1
            assert count(reader) == 0
            reader.rollback()
            assert count(reader) == 1

    def test_a_write_on_a_snapshot_that_is_out_of_date_is_refused(self, engine: Engine) -> None:
        with engine.begin() as connection:
            add(connection, 1)
        with engine.connect() as late:
            assert late.scalar(select(parents.c.id)) == 1
            with engine.begin() as early:
                early.execute(update(parents).values(id=2))
            # It would otherwise overwrite what it has never seen.
            with pytest.raises(OperationalError, match="locked"):
                late.execute(update(parents).values(id=3))

        with engine.connect() as connection:
            assert connection.scalar(select(parents.c.id)) == 2

    def test_a_unit_that_will_write_can_take_the_lock_at_its_start(self, engine: Engine) -> None:
        with Session(engine) as session:
            session.connection(execution_options={"sqlite_begin": "IMMEDIATE"})
            with (
                closing(sqlite3.connect(str(engine.url.database), timeout=0)) as other,
                pytest.raises(sqlite3.OperationalError, match="locked"),
            ):
                other.execute("INSERT INTO parents VALUES (9)")
            session.execute(insert(parents).values(id=1))
            session.commit()

        assert committed(engine) == 1

    def test_a_writer_waits_for_another_one(self, engine: Engine) -> None:
        entered = threading.Event()

        def write_second() -> None:
            entered.set()
            with engine.begin() as connection:
                add(connection, 2)

        second = threading.Thread(target=write_second)
        with engine.begin() as first:
            add(first, 1)
            second.start()
            assert entered.wait(PATIENCE_S)
            assert count(first) == 1
        second.join(PATIENCE_S)

        assert not second.is_alive()
        assert committed(engine) == 2

    def test_ddl_is_rolled_back(self, engine: Engine) -> None:
        with engine.connect() as connection:
            connection.execute(text("CREATE TABLE extra (id INTEGER)"))
            connection.execute(text("ALTER TABLE parents ADD COLUMN name TEXT"))
            add(connection, 1)
            connection.rollback()

        assert not inspect(engine).has_table("extra")
        assert [column["name"] for column in inspect(engine).get_columns("parents")] == ["id"]
        assert committed(engine) == 0

    def test_leaving_without_commit_keeps_nothing(self, engine: Engine) -> None:
        with engine.connect() as connection:
            add(connection, 1)

        assert committed(engine) == 0

    def test_autocommit_means_what_it_says(self, engine: Engine) -> None:
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            add(connection, 1)
            connection.execute(text("VACUUM"))

        assert committed(engine) == 1
        with engine.connect() as connection:  # the same one, from the pool
            add(connection, 2)
            connection.rollback()
        assert committed(engine) == 1


class TestSavepoints:
    def test_rolling_back_to_a_savepoint_keeps_the_work_around_it(self, engine: Engine) -> None:
        with engine.begin() as connection:
            add(connection, 1)
            inner = connection.begin_nested()
            add(connection, 2)
            inner.rollback()
            add(connection, 3)

        with engine.connect() as connection:
            assert connection.scalars(select(parents.c.id)).all() == [1, 3]

    def test_a_savepoint_before_any_other_statement_is_one_too(self, engine: Engine) -> None:
        with engine.connect() as connection:
            with connection.begin_nested():
                add(connection, 1)
            connection.rollback()

        assert committed(engine) == 0

    def test_savepoints_within_savepoints(self, engine: Engine) -> None:
        with engine.begin() as connection, connection.begin_nested():
            add(connection, 1)
            middle = connection.begin_nested()
            add(connection, 2)
            with connection.begin_nested():
                add(connection, 3)
            middle.rollback()
            add(connection, 4)

        with engine.connect() as connection:
            assert connection.scalars(select(parents.c.id)).all() == [1, 4]

    def test_a_released_savepoint_goes_with_its_transaction(self, engine: Engine) -> None:
        with engine.connect() as connection:
            with connection.begin_nested():
                add(connection, 1)
            assert count(connection) == 1
            connection.rollback()

        assert committed(engine) == 0

    def test_ddl_in_a_savepoint_is_rolled_back_with_it(self, engine: Engine) -> None:
        with engine.begin() as connection:
            add(connection, 1)
            inner = connection.begin_nested()
            connection.execute(text("CREATE TABLE extra (id INTEGER)"))
            inner.rollback()

        assert not inspect(engine).has_table("extra")
        assert committed(engine) == 1

    def test_a_session_goes_on_after_a_nested_failure(self, engine: Engine) -> None:
        Base.metadata.create_all(engine)
        with Session(engine) as session:
            session.add(Event(event_type="t", source="s", event_key="a"))
            for key in ("a", "b"):
                try:
                    with session.begin_nested():
                        session.add(Event(event_type="t", source="s", event_key=key))
                except IntegrityError:
                    continue
            session.commit()
            keys = session.scalars(select(Event.event_key).order_by(Event.id)).all()

        assert keys == ["a", "b"]


class TestInMemory:
    @pytest.fixture
    def memory(self) -> Iterator[Engine]:
        engine = create_sqlite_engine("sqlite:///:memory:")
        metadata.create_all(engine)
        yield engine
        engine.dispose()

    def test_it_lives_as_long_as_its_engine(self, memory: Engine) -> None:
        with memory.begin() as connection:
            add(connection, 1)

        assert committed(memory) == 1
        assert is_in_memory(memory)

    def test_a_rollback_is_real(self, memory: Engine) -> None:
        with memory.connect() as connection:
            add(connection, 1)
            connection.rollback()

        assert committed(memory) == 0

    def test_another_thread_waits_for_the_end_of_the_transaction(self, memory: Engine) -> None:
        seen: list[int] = []
        started = threading.Event()

        def look() -> None:
            started.set()
            seen.append(committed(memory))

        thread = threading.Thread(target=look)
        with memory.begin() as connection:
            add(connection, 1)
            thread.start()
            assert started.wait(PATIENCE_S)
            add(connection, 2)
        thread.join(PATIENCE_S)

        assert seen == [2]

    def test_a_second_session_never_ends_the_work_of_the_first(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        # The time after which it gives up is 30 s otherwise.
        monkeypatch.setattr(sqlite_module, "BUSY_TIMEOUT_S", 0.05)
        engine = create_sqlite_engine("sqlite:///:memory:")
        metadata.create_all(engine)
        with Session(engine) as first, Session(engine) as second:
            first.execute(insert(parents).values(id=1))
            with pytest.raises(PoolTimeoutError):
                second.execute(select(parents))
            second.close()
            first.commit()

        assert committed(engine) == 1
        engine.dispose()


class TestUnusableFiles:
    def test_a_missing_folder(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        file = tmp_path / "no" / "such" / "data.db"
        error = self.refused(monkeypatch, file)

        assert f"The folder of the SQLite file {file} does not exist" in str(error)
        assert "DATABASE_URL" in str(error)
        assert not file.parent.exists()

    def test_a_folder_instead_of_a_file(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        assert "unable to open" in str(self.refused(monkeypatch, tmp_path))

    def test_a_file_where_a_folder_should_be(
        self, monkeypatch: pytest.MonkeyPatch, file: Path
    ) -> None:
        file.write_text("")

        assert "does not exist" in str(self.refused(monkeypatch, file / "data.db"))

    def test_something_else_than_a_database_is_left_as_it_is(
        self, monkeypatch: pytest.MonkeyPatch, file: Path
    ) -> None:
        content = b"These are my notes, not a database. " * 100
        file.write_bytes(content)

        assert "not a database" in str(self.refused(monkeypatch, file))
        assert file.read_bytes() == content

    def test_a_damaged_database(self, monkeypatch: pytest.MonkeyPatch, file: Path) -> None:
        self.configure(monkeypatch, file)
        with session_scope() as session:
            session.add(Event(event_type="t", source="s"))
        dispose_engine()
        content = file.read_bytes()
        file.write_bytes(content[:100] + b"\xff" * (len(content) - 100))

        assert str(file) in str(self.refused(monkeypatch, file))

    def test_a_file_that_another_process_keeps_locked(
        self, monkeypatch: pytest.MonkeyPatch, file: Path
    ) -> None:
        # The time after which it gives up is 30 s otherwise.
        monkeypatch.setattr(sqlite_module, "BUSY_TIMEOUT_S", 0.1)
        with closing(sqlite3.connect(file, isolation_level=None)) as other:
            other.execute("CREATE TABLE theirs (id INTEGER)")
            other.execute("BEGIN EXCLUSIVE")
            assert "locked" in str(self.refused(monkeypatch, file))
            other.execute("ROLLBACK")

        get_engine()  # nothing of the failure is remembered

    def test_a_file_that_may_only_be_read(self, monkeypatch: pytest.MonkeyPatch) -> None:
        with a_folder_without_root_rights() as folder:
            file = folder / "data.db"
            file.write_bytes(b"")
            file.chmod(0o444)
            assert "readonly" in str(self.refused(monkeypatch, file))
            assert file.read_bytes() == b""

            file.chmod(0o644)
            with session_scope() as session:
                session.add(Event(event_type="t", source="s"))
            dispose_engine()
            file.chmod(0o444)
            with session_scope() as session:
                assert session.scalar(select(func.count()).select_from(Event)) == 1
            with pytest.raises(OperationalError, match="readonly"), session_scope() as session:
                session.add(Event(event_type="t", source="s"))
            dispose_engine()

    def test_a_folder_that_may_only_be_read(self, monkeypatch: pytest.MonkeyPatch) -> None:
        with a_folder_without_root_rights() as folder:
            folder.chmod(0o555)
            assert "unable to open" in str(self.refused(monkeypatch, folder / "data.db"))
            folder.chmod(0o755)

    def test_a_connection_that_cannot_be_set_up_is_closed(self, file: Path) -> None:
        file.write_bytes(b"no database " * 100)
        engine = create_sqlite_engine(f"sqlite:///{file}")

        # Its traceback keeps the connection alive, as a log that stores errors would.
        with pytest.raises(StatementError, match="not a database") as caught:
            engine.connect()

        assert caught.tb is not None
        assert file not in open_files()

    def configure(self, monkeypatch: pytest.MonkeyPatch, file: Path) -> None:
        monkeypatch.setenv("DATABASE_URL", f"sqlite:///{file}")
        reload_settings()

    def refused(self, monkeypatch: pytest.MonkeyPatch, file: Path) -> DatabaseFileError:
        self.configure(monkeypatch, file)
        with pytest.raises(DatabaseFileError) as caught:
            get_engine()
        assert str(file) in str(caught.value)
        assert caught.value.exit_code == EXIT_UNAVAILABLE
        return caught.value


def open_files() -> list[Path]:
    """The files that this process has open."""
    folder = Path("/proc/self/fd")
    if not folder.exists():
        pytest.skip("only Linux tells which files a process has open")
    # The listing has a number of its own, which is gone by then.
    return [number.readlink() for number in folder.iterdir() if number.is_symlink()]


@contextmanager
def a_folder_without_root_rights() -> Iterator[Path]:
    """A new folder; whoever runs the tests as root is nobody meanwhile, whom rights do stop."""
    nobody = 65534
    with tempfile.TemporaryDirectory() as name:
        # What is imported at first use may lie where nobody may look.
        get_engine()
        dispose_engine()
        if os.geteuid() != 0:
            yield Path(name)
            return
        os.chown(name, nobody, nobody)
        os.seteuid(nobody)
        try:
            yield Path(name)
        finally:
            os.seteuid(0)


@pytest.mark.parametrize("in_memory", [False, True], ids=["a file", "in memory"])
def test_what_a_stopped_commit_leaves_is_nobody_elses(in_memory: bool, file: Path) -> None:
    engine = create_sqlite_engine("sqlite://" if in_memory else f"sqlite:///{file}")
    metadata.create_all(engine)
    stops = [RuntimeError("not now")]

    def stop(connection: Connection) -> None:
        if stops:
            raise stops.pop()

    listen(engine, "commit", stop)
    with engine.connect() as connection:
        add(connection, 1)
        with pytest.raises(RuntimeError, match="not now"):
            connection.commit()
    with engine.begin() as connection:
        add(connection, 2)
        assert connection.scalars(select(parents.c.id)).all() == [2]
    engine.dispose()
