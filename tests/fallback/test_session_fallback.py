"""The application's sessions with ``DATABRICKS_FALLBACK=sqlite``: the same code, away and back."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import pytest
from sqlalchemy import create_engine, event, func, select
from sqlalchemy.exc import ArgumentError, DBAPIError, InvalidRequestError
from sqlalchemy.orm import Session

from tests.dialect.held import engine_on
from tests.fallback.outages import Outages
from tests.patience import soon
from vinci_code.core.config import reload_settings
from vinci_code.core.errors import FallbackFileError, MigrationsPendingError, StandbyReadError
from vinci_code.database.databricks.failures import MEANWHILE
from vinci_code.database.fallback import DatabaseState, sessions, with_fallback
from vinci_code.database.fallback.sessions import RoutedSession
from vinci_code.database.models import Base, Event
from vinci_code.database.session import (
    SessionLocal,
    backend,
    create_configured_engine,
    database_state,
    dispose_engine,
    get_db,
    get_engine,
    get_fallback,
    on_parked,
    session_scope,
)
from vinci_code.database.units_of_work import run_unit
from vinci_code.warehouse import Fault

FILE = Path("vinci-fallback.db")


def new(source: str = "s") -> Event:
    return Event(event_type="t", source=source)


def write(source: str = "s") -> None:
    with session_scope() as session:
        session.add(new(source))


def sources() -> list[str]:
    with SessionLocal() as session:
        return list(session.scalars(select(Event.source).order_by(Event.id)))


# --- where units go -------------------------------------------------------------------------------


def test_units_go_on_and_arrive(outages: Outages) -> None:
    write("before")
    assert database_state().goes_to == "databricks"
    get_engine().dialect.history_timeout = 0.3  # type: ignore[attr-defined]
    outages.begin()
    write("lost before it arrived")
    write("on the standby")
    for session in get_db():
        session.add(new("of a request"))
        session.commit()
    run_unit(lambda session: session.add(new("of a unit")))
    state = database_state()
    assert (state.goes_to, state.state) == ("standby", "away")
    assert (state.waiting, state.in_doubt) == (3, 1)
    assert backend() == "databricks"
    outages.end()
    write("after")
    # Of that which was lost the query history shows nothing: it may still come.
    assert sources() == [
        "before",
        "on the standby",
        "of a request",
        "of a unit",
        "after",
    ]
    state = database_state()
    assert (state.goes_to, state.waiting, state.in_doubt) == ("databricks", 0, 1)


def test_a_unit_whose_answer_was_lost_is_there_once(outages: Outages) -> None:
    write("before")
    get_engine().dialect.history_timeout = 0.0  # type: ignore[attr-defined]
    outages.of.inject(
        Fault.reset(when="after", statement="INSERT", times=1), Fault.reset("before", times=10**6)
    )
    write("executed, and its answer lost")
    assert database_state().in_doubt == 1
    outages.end()
    write("after")
    assert sources() == ["before", "executed, and its answer lost", "after"]
    assert database_state().in_doubt == 0


def test_reads_are_refused_by_name_or_answered(
    outages: Outages, monkeypatch: pytest.MonkeyPatch
) -> None:
    outages.begin()
    write("kept")
    with pytest.raises(StandbyReadError, match="vinci fallback refresh events"):
        sources()
    monkeypatch.setenv("DATABRICKS_FALLBACK_READS", "always")
    reload_settings()
    assert sources() == ["kept"]


def test_a_session_tells_that_it_is_on_the_standby(outages: Outages) -> None:
    outages.begin()
    with SessionLocal(info={"mine": 1}) as session:
        session.add(new())
        session.commit()
    with SessionLocal(info={"mine": 1}) as session:
        session.add(new())
        session.flush()
        assert session.info["mine"] == 1
        assert session.info["standby"]["since"] is not None


def test_who_listens_to_the_sessions_hears_of_it(outages: Outages) -> None:
    heard: list[Session] = []

    def listen(session: Session) -> None:
        heard.append(session)

    write()  # the class that is routed is there already
    event.listen(SessionLocal, "before_commit", listen)
    try:
        write()
    finally:
        event.remove(SessionLocal, "before_commit", listen)
    assert len(heard) == 1


def test_a_session_with_an_engine_of_its_own_is_left_alone(
    outages: Outages, tmp_path: Path
) -> None:
    outages.begin()
    own = create_engine(f"sqlite:///{tmp_path}/own.db")
    Base.metadata.create_all(own)
    with SessionLocal(bind=own) as session:
        session.add(new())
        session.commit()
        assert session.scalar(select(func.count()).select_from(Event)) == 1
    own.dispose()
    assert not FILE.exists()


# --- the start ------------------------------------------------------------------------------------


def test_a_warehouse_that_was_never_seen(outages: Outages) -> None:
    dispose_engine()
    outages.begin()
    write("first")
    write("second")
    assert database_state().waiting == 2
    outages.end()
    assert sources() == ["first", "second"]


def test_what_was_not_migrated_is_reported_when_the_warehouse_is_back(
    unmigrated: Outages, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(MigrationsPendingError):
        get_engine()
    unmigrated.begin()
    write("kept")
    unmigrated.end()
    with pytest.raises(MigrationsPendingError, match="vinci db upgrade"):
        write("refused")
    unmigrated.migrate()
    write("after")
    assert sources() == ["kept", "after"]


def test_a_process_that_starts_within_an_outage_does_not_ask_again(outages: Outages) -> None:
    outages.begin()
    write()
    dispose_engine()
    outages.pause(3600)
    before = outages.requests()
    write()
    assert database_state().waiting == 2
    assert outages.requests() == before


def test_wrong_credentials_are_no_outage(outages: Outages, monkeypatch: pytest.MonkeyPatch) -> None:
    dispose_engine()
    monkeypatch.setenv("DATABRICKS_ACCESS_TOKEN", "dapi" + "0123456789abcdef" * 2)
    reload_settings()
    with soon(), pytest.raises(DBAPIError, match="credentials"):
        write()
    assert database_state().waiting == 0


def test_a_file_that_cannot_be_used_is_reported_at_the_start(
    outages: Outages, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABRICKS_FALLBACK_FILE", "nowhere/kept.db")
    reload_settings()
    with pytest.raises(FallbackFileError, match="nowhere"):
        SessionLocal()


# --- switched off ---------------------------------------------------------------------------------


def test_without_it_the_error_says_how_to_keep_working(
    outages: Outages, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABRICKS_FALLBACK", "off")
    reload_settings()
    get_engine().dispose()
    outages.begin()
    with pytest.raises(DBAPIError) as caught:
        write()
    assert str(caught.value).count(MEANWHILE[1:]) == 1
    assert str(caught.value.orig).count(MEANWHILE[1:]) == 1
    assert database_state() == DatabaseState("databricks")
    assert get_fallback() is None
    assert not FILE.exists()


def test_what_waits_for_one_that_was_switched_off_is_reported(
    outages: Outages, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    outages.begin()
    write()
    outages.end()
    monkeypatch.setenv("DATABRICKS_FALLBACK", "off")
    reload_settings()
    with caplog.at_level(logging.WARNING, "vinci_code.database.sessionmakers"):
        get_engine()
    assert "1 units of work have not arrived" in caplog.text


def test_the_state_of_sqlite(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABRICKS_FALLBACK", "sqlite")
    write()
    assert database_state() == DatabaseState("sqlite")
    assert get_fallback() is None
    assert not FILE.exists()


def test_the_state_is_reported_without_an_engine(outages: Outages) -> None:
    outages.begin()
    write()
    dispose_engine()
    before = outages.requests()
    assert database_state().waiting == 1
    assert outages.requests() == before


# --- settings, processes --------------------------------------------------------------------------


def test_other_settings_have_another_file(
    outages: Outages, monkeypatch: pytest.MonkeyPatch
) -> None:
    outages.begin()
    write()
    monkeypatch.setenv("DATABRICKS_FALLBACK_FILE", "other.db")
    reload_settings()
    assert database_state().waiting == 0
    write()
    write()
    assert database_state().waiting == 2
    monkeypatch.delenv("DATABRICKS_FALLBACK_FILE")
    reload_settings()
    assert database_state().waiting == 1


def test_what_waits_is_never_sent_to_another_schema(
    outages: Outages, monkeypatch: pytest.MonkeyPatch
) -> None:
    outages.begin()
    write("of this schema")
    monkeypatch.setenv("DATABRICKS_SCHEMA", "default")
    reload_settings()
    for _ in range(2):
        with pytest.raises(FallbackFileError, match="schema default") as caught:
            SessionLocal()
    assert f"schema {outages.schema}" in str(caught.value)
    monkeypatch.setenv("DATABRICKS_SCHEMA", outages.schema.upper())
    reload_settings()
    outages.end()
    assert sources() == ["of this schema"]


def test_a_forked_child_goes_on_with_a_connection_of_its_own(outages: Outages) -> None:
    outages.begin()
    write("parent")
    child = os.fork()
    if child == 0:
        code = 1
        try:
            write("child")
            code = 0
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    write("parent again")
    outages.end()
    assert sources() == ["parent", "child", "parent again"]


# --- run_unit -------------------------------------------------------------------------------------


def test_a_unit_that_reads_first_goes_on_in_the_standby(
    outages: Outages, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABRICKS_FALLBACK_READS", "always")
    reload_settings()
    write()
    outages.begin()

    def work(session: Session) -> int:
        found = len(session.scalars(select(Event)).all())
        session.add(new())
        return found

    assert run_unit(work) == 0
    assert database_state().waiting == 1


def test_another_engine_within_a_unit_is_refused_as_before(
    outages: Outages, tmp_path: Path
) -> None:
    own = create_engine(f"sqlite:///{tmp_path}/own.db")
    outages.begin()
    write()

    def work(session: Session) -> None:
        session.add(new())
        session.flush()
        session.execute(select(1), bind_arguments={"bind": own})

    with pytest.raises(InvalidRequestError, match="one after the other"):
        run_unit(work)
    own.dispose()


def test_a_unit_that_was_outrun_on_the_standby_is_run_again(
    outages: Outages, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABRICKS_FALLBACK_READS", "always")
    reload_settings()
    outages.begin()
    write()
    tries: list[int] = []

    def work(session: Session) -> None:
        tries.append(1)
        session.scalars(select(Event)).all()
        if len(tries) == 1:
            write("faster")
        session.add(new("slower"))

    run_unit(work, pause=lambda _: None)
    assert len(tries) == 2
    assert database_state().waiting == 3


def test_the_callback_is_called_for_what_is_parked(outages: Outages) -> None:
    parked: list[tuple[int, str]] = []
    on_parked(lambda unit, reason: parked.append((unit.seq, reason)))
    try:
        outages.begin()
        for key in ("taken", "free"):
            with session_scope() as session:
                session.add(Event(event_type="t", source="kept", event_key=key))
        dispose_engine()  # what is asked for outlives the engine
        outages.end()
        engine = engine_on(outages.warehouse, outages.schema)
        with Session(engine) as session, session.begin():
            session.add(Event(event_type="t", source="somebody else", event_key="taken"))
        engine.dispose()
        write("now")
        assert [seq for seq, _ in parked] == [1]
        assert "IntegrityError" in parked[0][1]
    finally:
        on_parked(None)


# --- models of the application's own --------------------------------------------------------------


def test_an_application_of_its_own(outages: Outages, tmp_path: Path) -> None:
    class MySession(Session):
        mine = True

    engine = engine_on(outages.warehouse, outages.schema)
    parked: list[str] = []
    sessions = with_fallback(
        engine,
        file=tmp_path / "own.db",
        metadata=Base.metadata,
        class_=MySession,
        expire_on_commit=False,
        on_parked=lambda _, reason: parked.append(reason),
    )
    with pytest.raises(ArgumentError, match="already"):
        with_fallback(engine, file=tmp_path / "two.db", metadata=Base.metadata)
    outages.begin()
    for _ in range(2):
        with sessions.begin() as session:
            assert isinstance(session, MySession)
            session.add(new())
    assert sessions.state().waiting == 2
    outages.end(tmp_path / "own.db")
    with sessions() as session:
        assert session.scalar(select(func.count()).select_from(Event)) == 2
    assert parked == []
    sessions.dispose()
    engine.dispose()


def test_on_sqlite_it_is_what_it_is_without(tmp_path: Path) -> None:
    engine = create_engine(f"sqlite:///{tmp_path}/own.db")
    Base.metadata.create_all(engine)
    sessions = with_fallback(engine, file=tmp_path / "kept.db", metadata=Base.metadata)
    with sessions.begin() as session:
        session.add(new())
    assert sessions.state() == DatabaseState("sqlite")
    assert not (tmp_path / "kept.db").exists()
    sessions.dispose()
    engine.dispose()


@pytest.mark.parametrize("options", [{"atomicity": "per_table"}, {"isolation_level": "AUTOCOMMIT"}])
def test_units_that_are_none_cannot_be_kept(
    outages: Outages, tmp_path: Path, options: dict[str, str]
) -> None:
    engine = engine_on(outages.warehouse, outages.schema, **options)
    with pytest.raises(ArgumentError, match="no fallback can be made"):
        with_fallback(engine, file=tmp_path / "kept.db", metadata=Base.metadata)
    engine.dispose()


def test_the_configured_engine_has_none_by_itself(outages: Outages) -> None:
    engine = create_configured_engine(reload_settings().database)
    assert engine.dialect.unsent is None  # type: ignore[attr-defined]
    engine.dispose()


def test_a_session_is_made_of_an_sqlalchemy_that_tells_its_connections(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sessions, "_checked", False)
    RoutedSession(fallback=lambda: None).close()
    assert sessions._checked
    monkeypatch.setattr(sessions, "_checked", False)
    monkeypatch.setattr(Session, "get_transaction", lambda _: object())
    with pytest.raises(InvalidRequestError, match="not as the fallback takes it to be"):
        RoutedSession(fallback=lambda: None)
