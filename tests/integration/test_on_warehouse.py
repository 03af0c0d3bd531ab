"""The whole application on a warehouse: the same commands, the same output as on SQLite."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, insert, inspect, select, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from tests.cli.process import SAMPLE, Result, event_line, vinci, write_lines
from tests.full import full
from vinci_code.core.config import DatabaseSettings, reload_settings
from vinci_code.core.errors import EXIT_UNAVAILABLE, MigrationsPendingError, SchemaError
from vinci_code.database import migrations
from vinci_code.database.databricks_connector import create_databricks_engine
from vinci_code.database.events import ImportReport, import_events
from vinci_code.database.events.reading import open_source
from vinci_code.database.models import Event
from vinci_code.database.session import (
    SessionLocal,
    backend,
    create_configured_engine,
    get_engine,
    session_scope,
)
from vinci_code.warehouse import Fault
from vinci_code.warehouse.pytest_plugin import TestWarehouse

Run = Callable[..., Result]


@pytest.fixture
def on_warehouse(local_warehouse: TestWarehouse) -> Run:
    """Runs a command with the environment of the warehouse."""
    return lambda *arguments, **kw: vinci(*arguments, env=local_warehouse.env, **kw)


@pytest.fixture
def configured(local_warehouse: TestWarehouse, monkeypatch: pytest.MonkeyPatch) -> TestWarehouse:
    """The warehouse as what this process is configured for."""
    for name, value in local_warehouse.env.items():
        monkeypatch.setenv(name, value)
    reload_settings()
    return local_warehouse


@pytest.fixture
def migrated(configured: TestWarehouse) -> TestWarehouse:
    """The same, with tables."""
    engine = create_configured_engine(DatabaseSettings())
    migrations.upgrade(engine)
    engine.dispose()
    return configured


def neutral(output: str) -> str:
    """An output without what the two databases cannot have in common."""
    output = re.sub(r"(?m)^(Database: +)?(SQLite|Databricks), .*$", r"\1(the database)", output)
    output = re.sub(r" in [\d.]+ m?s", " in (time)", output)
    output = re.sub(r"(?m)^\d+$|^\d+ +(?=20\d\d-)|^id +(?=occurred)", "(id)", output)
    return re.sub(r'"id":\d+|"created_at":"[^"]*"', "(ours)", output)


# --- commands ------------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_demo_says_the_same_as_on_sqlite(on_warehouse: Run) -> None:
    for _ in range(2):
        here, there = vinci("demo"), on_warehouse("demo")
        assert (there.code, there.err) == (0, "")
        ours, theirs = here.out.splitlines(), there.out.splitlines()
        assert ours[1].startswith("SQLite, ")
        assert theirs[1] == "Databricks, localhost"
        del ours[1], theirs[1]
        assert theirs == ours


@full
@pytest.mark.slow
def test_every_command_says_the_same_as_on_sqlite(on_warehouse: Run, tmp_path: Path) -> None:
    lines = [event_line(n, payload={"n": n, "text": 'it\'s \\ "ü" \U0001f600'}) for n in range(40)]
    lines += [event_line(3), event_line(99, event_key=None), "broken\n"]
    file = str(write_lines(tmp_path / "events.jsonl", lines))
    for command in (
        ("db", "status"),
        ("db", "upgrade"),
        ("db", "status"),
        ("events", "import", file, "--on-error", "skip"),
        ("events", "import", file, "--on-error", "skip", "--batch-size", "7"),
        ("events", "import", file),
        ("events", "add", "--type", "login", "--source", "web", "--payload", '{"a": [1, null]}',
         "--occurred-at", "2018-01-31T01:49:59.650+05:30"),
        ("events", "list", "--limit", "5"),
        ("events", "stats"),
        ("events", "export", "-"),
        ("db", "downgrade", "base", "--yes"),
    ):  # fmt: skip
        here, there = vinci(*command), on_warehouse(*command)
        assert (there.code, neutral(there.err)) == (here.code, neutral(here.err)), command
        assert neutral(there.out) == neutral(here.out), command


def test_the_check_writes_on_the_warehouse(on_warehouse: Run) -> None:
    found = on_warehouse("check", "--write")
    assert found.code == 0, found.out + found.err
    assert "was created, written, read and dropped" in found.out


@full
def test_commands_that_need_tables_say_how_to_get_them(on_warehouse: Run) -> None:
    found = on_warehouse("events", "list")
    assert found.code != 0
    assert "vinci db upgrade" in found.err


def test_a_refused_token_is_one_line(local_warehouse: TestWarehouse) -> None:
    env = {**local_warehouse.env, "DATABRICKS_ACCESS_TOKEN": "dapi" + "0123456789abcdef" * 2}
    found = vinci("events", "list", env=env)
    assert found.code == EXIT_UNAVAILABLE
    assert len(found.err.strip().splitlines()) == 1
    assert env["DATABRICKS_ACCESS_TOKEN"] not in found.out + found.err


# --- the engine ----------------------------------------------------------------------------------


def test_the_engine_holds_no_secret(configured: TestWarehouse) -> None:
    engine = create_databricks_engine(echo_pool=False)
    try:
        token = configured.env["DATABRICKS_ACCESS_TOKEN"]
        assert token not in f"{engine!r} {engine.url!r} {vars(engine.dialect)} {vars(engine)}"
        assert engine.url.password is None
        with engine.connect() as connection:
            assert connection.scalar(select(1)) == 1
    finally:
        engine.dispose()


def test_sessions_on_the_warehouse(migrated: TestWarehouse) -> None:
    assert backend() == "databricks"
    with session_scope() as session:
        session.add(Event(event_type="t", source="s", payload={"a": [1.5, None, "ü"]}))
    with SessionLocal() as session:
        (event,) = session.query(Event).limit(10).all()
        assert event.payload == {"a": [1.5, None, "ü"]}
        assert event.created_at.utcoffset() is not None
    statements = len(migrated.statements)
    with SessionLocal() as session:
        session.query(Event).all()
    assert len(migrated.statements) == statements + 1


def test_without_tables_the_session_is_refused(configured: TestWarehouse) -> None:
    with pytest.raises(MigrationsPendingError, match="vinci db upgrade"):
        get_engine()


# --- units of work -------------------------------------------------------------------------------


class FailedError(Exception):
    """What goes wrong in a unit of work."""


def write_and_fail() -> None:
    with session_scope() as session:
        session.add_all(Event(event_type="t", source="s") for _ in range(3))
        session.flush()
        assert session.scalar(select(func.count()).select_from(Event)) == 3
        raise FailedError


def write_what_is_refused() -> None:
    with session_scope() as session:
        session.add(Event(event_type="t", source="s"))
        session.flush()
        session.execute(text("INSERT INTO nowhere VALUES (1)"))


def count() -> int:
    with SessionLocal() as session:
        return session.scalar(select(func.count()).select_from(Event)) or 0


def test_a_unit_that_fails_leaves_nothing(migrated: TestWarehouse) -> None:
    with pytest.raises(FailedError):
        write_and_fail()
    assert count() == 0
    with session_scope() as session:
        session.add(Event(event_type="t", source="s"))
    assert count() == 1


def test_a_statement_that_fails_takes_the_unit_with_it(migrated: TestWarehouse) -> None:
    with pytest.raises(DBAPIError):
        write_what_is_refused()
    assert count() == 0


def test_a_connection_that_nobody_ends_leaves_nothing(migrated: TestWarehouse) -> None:
    connection = get_engine().connect()
    connection.execute(insert(Event).values(event_type="t", source="s"))
    del connection
    assert count() == 0


def test_units_that_only_read_are_no_transactions(migrated: TestWarehouse) -> None:
    count()
    before = len(migrated.statements)
    count()
    assert [item.split()[0] for item in migrated.statements[before:]] == ["SELECT"]


@pytest.mark.parametrize("choice", ["auto", "on", "off"])
def test_transactions_as_they_are_chosen(
    migrated: TestWarehouse, monkeypatch: pytest.MonkeyPatch, choice: str
) -> None:
    monkeypatch.setenv("DATABRICKS_TRANSACTIONS", choice)
    reload_settings()
    with pytest.raises(FailedError):
        write_and_fail()
    assert count() == 0


# --- migrations ----------------------------------------------------------------------------------


def test_tables_in_the_way_are_reported(configured: TestWarehouse) -> None:
    engine = create_configured_engine(DatabaseSettings())
    with engine.connect() as connection:
        connection.exec_driver_sql("CREATE TABLE events (other STRING)")
    with pytest.raises(SchemaError, match="not made by these migrations") as refused:
        migrations.upgrade(engine)
    assert "Nothing was changed" not in str(refused.value)
    assert migrations.status(engine).current is None
    engine.dispose()


def test_a_migration_that_was_cut_off_is_taken_up(configured: TestWarehouse) -> None:
    engine = create_configured_engine(DatabaseSettings())
    dialect: Any = engine.dialect
    dialect.history_timeout = 0  # or the query history would tell that it was executed
    configured.inject(
        Fault.reset(
            "after", operation="ExecuteStatement", statement="INSERT INTO vinci_code_version"
        )
    )
    with pytest.raises(DBAPIError):
        migrations.upgrade(engine)
    migrations.upgrade(engine)
    assert migrations.status(engine).is_current
    engine.dispose()


def test_the_place_of_an_earlier_release_is_taken_over(configured: TestWarehouse) -> None:
    engine = create_configured_engine(DatabaseSettings())
    migrations.upgrade(engine)

    def run(statement: str) -> list[Any]:
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            found = connection.exec_driver_sql(statement)
            return list(map(tuple, found)) if found.returns_rows else []

    run("ALTER TABLE vinci_code_version RENAME TO alembic_version")
    migrations.require_head(engine)
    assert migrations.upgrade(engine) == ()
    assert migrations.status(engine).is_current
    assert set(inspect(engine).get_table_names()) == {"events", "vinci_code_version"}
    # What another application keeps there is its own.
    run("CREATE TABLE alembic_version (version_num STRING)")
    run("INSERT INTO alembic_version VALUES ('0001')")
    assert migrations.downgrade(engine, "base") == ("0001",)
    assert run("SELECT * FROM alembic_version") == [("0001",)]
    engine.dispose()


# --- events --------------------------------------------------------------------------------------


def test_the_sample_is_stored_as_on_sqlite(migrated: TestWarehouse) -> None:
    warehouse, file = get_engine(), create_configured_engine(DatabaseSettings(use_databricks=False))
    migrations.upgrade(file)
    stored: list[list[Any]] = []
    for engine in (warehouse, file):
        report = ImportReport()
        with open_source(str(SAMPLE)) as source:
            import_events(engine, source.records, report=report, batch_size=700)
        assert (report.inserted, report.already_there) == (1707, 0)
        columns = [
            column for column in Event.__table__.c if column.name not in ("id", "created_at")
        ]
        with engine.connect() as connection:
            stored.append(list(connection.execute(select(*columns).order_by(Event.event_key))))
    file.dispose()
    assert stored[0] == stored[1]


def test_an_import_asks_for_its_keys_and_stores_the_rest(
    migrated: TestWarehouse, tmp_path: Path
) -> None:
    lines = [event_line(n) for n in (1, 2, 2, 3)] + [event_line(0, event_key=None)] * 2
    file = write_lines(tmp_path / "events.jsonl", lines)
    get_engine()
    before = len(migrated.statements)
    for inserted, already_there in ((5, 1), (2, 4)):
        report = ImportReport()
        with open_source(str(file)) as source:
            import_events(get_engine(), source.records, report=report)
        assert (report.inserted, report.already_there, report.without_key) == (
            inserted,
            already_there,
            2,
        )
    words = [item.split()[0] for item in migrated.statements[before:]]
    assert words == ["SELECT", "MERGE"] * 2


@full
def test_an_import_of_large_events_is_several_statements(
    migrated: TestWarehouse, tmp_path: Path
) -> None:
    big = "\U0001f600'\\" * 100_000
    lines = [event_line(n, description=big) for n in range(12)]
    file = write_lines(tmp_path / "events.jsonl", lines)
    with open_source(str(file)) as source:
        import_events(get_engine(), source.records, report=ImportReport())
    with SessionLocal() as session:
        found = session.scalars(select(Event.description)).all()
    assert found == [big] * 12


def test_json_that_would_change_is_refused(migrated: TestWarehouse) -> None:
    with pytest.raises(Exception, match="JSON"), session_scope() as session:
        session.add(Event(event_type="t", source="s", payload={"x": float("nan")}))
    assert count() == 0


def test_a_lost_session_is_replaced_after_a_unit_that_wrote(migrated: TestWarehouse) -> None:
    with session_scope() as session:
        session.add(Event(event_type="t", source="s"))
    migrated.inject(Fault.session_lost(operation="ExecuteStatement"))
    assert count() == 1
    migrated.inject(Fault.session_lost(operation="ExecuteStatement"))
    with session_scope() as session:
        session.add(Event(event_type="t", source="s"))
    assert count() == 2


def write_and_count(session: Session) -> None:
    session.add(Event(event_type="t", source="s"))
    assert session.query(Event).count() == 1


def test_a_session_that_is_lost_within_a_unit_is_an_error_and_nothing_stays(
    migrated: TestWarehouse,
) -> None:
    migrated.inject(Fault.session_lost(operation="ExecuteStatement", statement="^INSERT"))
    with pytest.raises(DBAPIError), session_scope() as session:
        write_and_count(session)
    assert count() == 0
