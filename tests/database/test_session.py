"""Sessions: which database they are on, how they end, and the engine behind them."""

from __future__ import annotations

import asyncio
import gc
import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import cast

import pytest
from sqlalchemy import Engine, QueuePool, func, inspect, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session, scoped_session, sessionmaker

from tests.patience import PATIENCE_S
from vinci_code.core.config import ConfigurationError, get_settings, reload_settings
from vinci_code.core.errors import DatabaseFileError
from vinci_code.database.migrations import HEAD, status
from vinci_code.database.models import Base, Event
from vinci_code.database.session import (
    SessionLocal,
    backend,
    create_configured_engine,
    dispose_engine,
    get_db,
    get_engine,
    session_scope,
)
from vinci_code.database.sqlite import create_sqlite_engine

DATABRICKS = {
    "USE_DATABRICKS": "true",
    "DATABRICKS_SERVER_HOSTNAME": "adb-1234567890123456.7.azuredatabricks.net",
    "DATABRICKS_HTTP_PATH": "/sql/1.0/warehouses/0123456789abcdef",
    "DATABRICKS_ACCESS_TOKEN": "dapi" + "0123456789abcdef" * 2,
}


def event(**fields: object) -> Event:
    return Event(**{"event_type": "t", "source": "s", **fields})


def stored() -> int:
    with SessionLocal() as session:
        return session.scalar(select(func.count()).select_from(Event)) or 0


def in_use() -> int:
    """How many connections of the engine somebody holds."""
    return cast("QueuePool", get_engine().pool).checkedout()


def fail_in(unit: AbstractContextManager[Session], error: BaseException) -> None:
    """Raise an error in a unit of work that has written already."""
    with unit as session:
        session.add(event())
        session.flush()
        raise error


class TestSelection:
    def test_without_any_setting_it_is_sqlite_in_the_working_directory(self) -> None:
        assert backend() == "sqlite"
        assert not Path("vinci.db").exists()

        SessionLocal().close()

        assert Path("vinci.db").exists()

    def test_the_tables_are_there_at_first_use(self) -> None:
        assert inspect(get_engine()).has_table("events")
        assert status(get_engine()).current == HEAD

    def test_the_file_is_chosen_by_its_setting(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.setenv("DATABASE_URL", f"sqlite:///{tmp_path / 'mine.db'}")

        SessionLocal().close()

        assert (tmp_path / "mine.db").exists()
        assert not Path("vinci.db").exists()

    def test_a_database_in_memory_is_ready_and_leaves_no_file(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("DATABASE_URL", "sqlite:///:memory:")

        with session_scope() as session:
            session.add(event())

        assert stored() == 1
        assert not list(Path.cwd().iterdir())

    def test_databricks_is_an_engine_of_its_own_and_no_file(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name, value in DATABRICKS.items():
            monkeypatch.setenv(name, value)

        assert backend() == "databricks"
        engine = create_configured_engine(get_settings().database)
        assert (engine.dialect.name, engine.dialect.driver) == ("databricks", "vinci")
        engine.dispose()
        assert not list(Path.cwd().iterdir())

    def test_databricks_without_credentials_is_never_sqlite(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("USE_DATABRICKS", "true")

        for ask in (backend, get_engine, SessionLocal):
            with pytest.raises(ConfigurationError):
                ask()
        assert not list(Path.cwd().iterdir())


class TestSessionScope:
    def test_it_commits_at_the_end_and_closes(self) -> None:
        with session_scope() as session:
            session.add(event())
            assert in_use() == 0  # nothing is sent yet
            session.flush()
            assert in_use() == 1
            assert stored() == 0

        assert in_use() == 0
        assert stored() == 1

    @pytest.mark.parametrize(
        "kind", [ValueError, KeyboardInterrupt, SystemExit, GeneratorExit, asyncio.CancelledError]
    )
    def test_any_exception_rolls_back_closes_and_goes_on(self, kind: type[BaseException]) -> None:
        error = kind("the reason")

        with pytest.raises(kind) as caught:
            fail_in(session_scope(), error)

        assert caught.value is error
        assert in_use() == 0
        assert stored() == 0

    def test_a_commit_that_fails_rolls_back_and_closes(self) -> None:
        with session_scope() as session:
            session.add(event(event_key="a"))

        with pytest.raises(IntegrityError), session_scope() as session:
            session.add_all([event(event_key="b"), event(event_key="a")])

        assert in_use() == 0
        assert stored() == 1

    def test_a_flush_that_fails_and_is_caught_cannot_end_in_half_a_commit(self) -> None:
        with session_scope() as session:
            session.add(event(event_key="a"))
            session.flush()
            session.add(event(event_key="a"))
            with pytest.raises(IntegrityError):
                session.flush()

        assert stored() == 0

    def test_a_scope_that_is_left_alone_is_rolled_back(self) -> None:
        scope = session_scope()
        session = scope.__enter__()
        session.add(event())
        session.flush()
        assert in_use() == 1

        del scope
        gc.collect()

        assert in_use() == 0
        assert stored() == 0

    def test_objects_keep_their_values_after_it(self) -> None:
        with session_scope() as session:
            kept = event(description="still here")
            session.add(kept)

        assert (kept.id, kept.description) == (1, "still here")
        assert in_use() == 0

    def test_scopes_are_units_of_their_own(self) -> None:
        with session_scope() as outer:
            assert outer.scalars(select(Event)).all() == []
            with session_scope() as inner:
                inner.add(event())
            assert outer.scalars(select(Event)).all() == []

        assert stored() == 1

    def test_a_savepoint_in_it_can_be_taken_back(self) -> None:
        with session_scope() as session:
            session.add(event(event_key="a"))
            with pytest.raises(IntegrityError), session.begin_nested():
                session.add(event(event_key="a"))
            session.add(event(event_key="b"))

        assert stored() == 2


class TestGetDb:
    """FastAPI runs a dependency that yields as a context manager around the request.

    https://fastapi.tiangolo.com/tutorial/dependencies/dependencies-with-yield/
    """

    def test_it_gives_one_session_and_closes_it(self) -> None:
        dependency = iter(get_db())
        session = next(dependency)
        session.add(event())
        session.commit()
        session.add(event())
        session.flush()

        with pytest.raises(StopIteration):
            next(dependency)

        assert in_use() == 0
        assert stored() == 1  # what was not committed is not kept

    @pytest.mark.parametrize("kind", [ValueError, KeyboardInterrupt, asyncio.CancelledError])
    def test_an_error_of_the_request_comes_out_again(self, kind: type[BaseException]) -> None:
        error = kind("the reason")

        with pytest.raises(kind) as caught:
            fail_in(contextmanager(get_db)(), error)

        assert caught.value is error
        assert in_use() == 0
        assert stored() == 0

    def test_it_can_be_closed_early(self) -> None:
        dependency = get_db()
        assert hasattr(dependency, "close")
        session = next(dependency)
        session.add(event())
        session.flush()

        dependency.close()

        assert in_use() == 0
        assert stored() == 0

    def test_its_session_may_go_through_several_threads(self) -> None:
        dependency = iter(get_db())
        sessions: list[Session] = []

        def handle() -> None:
            sessions[0].add(event())
            sessions[0].commit()
            sessions[0].scalars(select(Event)).all()

        steps: list[Callable[[], object]] = [
            lambda: sessions.append(next(dependency)),
            handle,
            lambda: next(dependency, None),
        ]
        for step in steps:
            thread = threading.Thread(target=step)
            thread.start()
            thread.join(PATIENCE_S)

        assert in_use() == 0
        assert stored() == 1


class TestSessionLocal:
    def test_begin_commits_and_rolls_back(self) -> None:
        with SessionLocal.begin() as session:
            session.add(event())
        with pytest.raises(ValueError, match="the reason"):
            fail_in(SessionLocal.begin(), ValueError("the reason"))

        assert stored() == 1

    def test_a_closed_session_without_commit_keeps_nothing(self) -> None:
        session = SessionLocal()
        session.add(event())
        session.flush()
        session.close()

        assert stored() == 0

    @pytest.fixture
    def other(self, tmp_path: Path) -> Iterator[Engine]:
        engine = create_sqlite_engine(f"sqlite:///{tmp_path / 'other.db'}")
        Base.metadata.create_all(engine)
        yield engine
        engine.dispose()

    def test_an_engine_of_the_caller_is_used_and_no_other_one_made(self, other: Engine) -> None:
        with SessionLocal(bind=other) as session:
            session.add(event())
            session.commit()
            assert session.get_bind() is other

        assert not Path("vinci.db").exists()

    def test_it_can_be_configured(self, other: Engine) -> None:
        SessionLocal.configure(bind=other)
        try:
            with SessionLocal.begin() as session:
                session.add(event())
                assert session.get_bind() is other
        finally:
            SessionLocal.configure(bind=None)

        assert not Path("vinci.db").exists()
        assert stored() == 0

    def test_it_is_what_sqlalchemy_calls_a_sessionmaker(self) -> None:
        assert isinstance(SessionLocal, sessionmaker)
        registry = scoped_session(SessionLocal)
        registry.add(event())
        registry.commit()
        registry.remove()

        assert stored() == 1


class TestEngine:
    def test_there_is_one(self) -> None:
        assert get_engine() is get_engine()
        with SessionLocal() as session:
            assert session.get_bind() is get_engine()

    def test_new_settings_get_a_new_engine_and_the_old_one_is_closed(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        old = get_engine()
        with session_scope() as session:
            session.add(event())
        assert cast("QueuePool", old.pool).checkedin() == 1

        monkeypatch.setenv("DATABASE_URL", f"sqlite:///{tmp_path / 'new.db'}")
        reload_settings()

        assert stored() == 0
        assert get_engine() is not old
        assert cast("QueuePool", old.pool).checkedin() == 0

    # Python 3.13 on: SQLAlchemy leaves a connection that is in use while its pool is disposed of to
    # the garbage collector.
    @pytest.mark.filterwarnings("ignore:unclosed database:ResourceWarning")
    def test_a_session_from_before_ends_where_it_began(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        with session_scope() as session:
            session.add(event())
            session.flush()
            monkeypatch.setenv("DATABASE_URL", f"sqlite:///{tmp_path / 'new.db'}")
            reload_settings()
            assert stored() == 0
        del session
        gc.collect()

        monkeypatch.delenv("DATABASE_URL")
        reload_settings()
        assert stored() == 1

    def test_it_is_made_again_after_it_was_disposed_of(self) -> None:
        old = get_engine()
        with session_scope() as session:
            session.add(event())

        dispose_engine()
        dispose_engine()

        assert get_engine() is not old
        assert stored() == 1

    def test_a_failure_is_not_remembered(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        folder = tmp_path / "later"
        monkeypatch.setenv("DATABASE_URL", f"sqlite:///{folder / 'data.db'}")
        with pytest.raises(DatabaseFileError):
            get_engine()

        folder.mkdir()

        assert stored() == 0

    def test_many_threads_at_first_use_share_one_engine_and_one_migration(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        together = threading.Barrier(20)
        engines: list[Engine] = []

        def use() -> None:
            together.wait(PATIENCE_S)
            engines.append(get_engine())
            with session_scope() as session:
                session.add(event())

        with caplog.at_level(logging.INFO, "alembic"):
            run_all([threading.Thread(target=use) for _ in range(20)])

        assert len(engines) == 20
        assert len(set(engines)) == 1
        assert caplog.text.count("Running upgrade") == 1
        assert stored() == 20

    def test_settings_that_change_under_its_users_never_leave_them_without(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("DATABASE_URL", "sqlite:///:memory:")
        done = threading.Event()
        found: set[type] = set()

        def use() -> None:
            while not done.is_set():
                found.add(type(get_engine()))

        def change() -> None:
            try:
                for _ in range(10):
                    reload_settings()
                    get_engine()
                    dispose_engine()
            finally:
                done.set()

        run_all([threading.Thread(target=run) for run in (use, use, change)])

        assert found == {Engine}


def run_all(threads: list[threading.Thread]) -> None:
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE_S)
    assert not any(thread.is_alive() for thread in threads)
