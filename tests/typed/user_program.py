"""An application as its authors write it: what it uses of ours is typed, with no ``Any`` in it.

``test_user_program`` has mypy and pyright check it, and runs it on SQLite and on a local warehouse.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path

from sqlalchemy import Engine, String, select
from sqlalchemy.exc import IntegrityError, SQLAlchemyError
from sqlalchemy.orm import Mapped, Session, mapped_column, sessionmaker
from typing_extensions import assert_type

from vinci_code.core.config import DatabaseSettings, Settings, get_settings, reload_settings
from vinci_code.core.errors import ConfigurationError, ConfigurationProblem, VinciError
from vinci_code.database import run_unit, statistics, upsert
from vinci_code.database.databricks_connector import (
    DatabricksConnector,
    ValidationResult,
    create_databricks_engine,
    validate_databricks_connection,
)
from vinci_code.database.dialect import (
    ARRAY,
    MAP,
    STRUCT,
    TIMESTAMP,
    TIMESTAMP_NTZ,
    TINYINT,
    VARIANT,
    VinciDialect,
)
from vinci_code.database.dialect.dberrors import AmbiguousWriteError, ConflictError
from vinci_code.database.dialect.units.statistics import Counter, Progress, Statistics
from vinci_code.database.fallback import (
    DatabaseState,
    Fallback,
    FallbackSessions,
    with_fallback,
)
from vinci_code.database.models import Base, Event
from vinci_code.database.session import (
    SessionLocal,
    backend,
    database_state,
    dispose_engine,
    get_db,
    get_engine,
    get_fallback,
    session_scope,
)
from vinci_code.database.upserts import Upsert
from vinci_code.warehouse import Fault, LocalWarehouse


class Order(Base):
    """A model of the application's own, beside ``Event``."""

    __tablename__ = "orders"

    id: Mapped[int] = mapped_column(primary_key=True)
    number: Mapped[str] = mapped_column(String, unique=True)
    amount: Mapped[int] = mapped_column(default=0)


# --- settings -------------------------------------------------------------------------------------


def settings() -> DatabaseSettings:
    found = get_settings()
    assert_type(found, Settings)
    database = found.database
    assert_type(database.use_databricks, bool)
    assert_type(database.databricks_server_hostname, str | None)
    assert_type(database.databricks_fallback_file, Path)
    assert_type(database.port, int)
    for view in database.describe():
        print(view.variable, view.value or "-", view.source)
    return database


def problems(error: ConfigurationError) -> list[str]:
    listed = list(error.problems)
    assert_type(listed, list[ConfigurationProblem])
    return [str(problem) for problem in listed]


# --- sessions -------------------------------------------------------------------------------------


def store(number: str) -> int:
    with session_scope() as session:
        assert_type(session, Session)
        order = Order(number=number, amount=1)
        session.add(order)
        session.add(Event(event_type="order", source="web", description=number))
        session.flush()
        return order.id


def newest() -> list[Event]:
    session = SessionLocal()
    assert_type(session, Session)
    try:
        return list(session.scalars(select(Event).order_by(Event.id.desc()).limit(10)))
    finally:
        session.close()


def in_one_unit(order_id: int) -> int:
    def add_one(session: Session) -> int:
        order = session.get_one(Order, order_id)
        order.amount += 1
        return order.amount

    amount = run_unit(add_one, retries=3)
    assert_type(amount, int)
    return amount


def load_again(numbers: list[str]) -> int:
    statement = upsert(
        Order,
        [{"id": place, "number": number} for place, number in enumerate(numbers, 1)],
        keys=["number"],
        update=[],
    )
    assert_type(statement, Upsert)
    assert_type(upsert(Order, [], keys=("id",)), Upsert)
    with SessionLocal.begin() as session:
        session.execute(statement)
    with SessionLocal() as session:
        return len(session.scalars(select(Order.id)).all())


def request() -> Iterator[Session]:
    assert_type(get_db(), Iterator[Session])
    yield from get_db()


def fails_twice(number: str) -> str:
    try:
        store(number)
    except IntegrityError as error:
        cause = error.orig
        if isinstance(cause, (AmbiguousWriteError, ConflictError)):
            assert_type(cause.sqlstate, str | None)
            assert_type(cause.statement_id, str | None)
        return type(error).__name__
    except SQLAlchemyError:
        return "another"
    return "none"


# --- the dialect ----------------------------------------------------------------------------------


def show_progress(progress: Progress) -> None:
    assert_type(progress.rows_in_all, int)
    print(f"{progress.rows} of {progress.rows_in_all} rows")


def dialect_of(engine: Engine) -> VinciDialect | None:
    dialect = engine.dialect
    return dialect if isinstance(dialect, VinciDialect) else None


def counted(engine: Engine) -> Statistics | None:
    dialect = dialect_of(engine)
    if dialect is None:
        return None
    assert_type(dialect, VinciDialect)
    assert_type(dialect.statistics, Counter)
    assert_type(dialect.transactions, str)
    assert_type(dialect.atomicity, str)
    assert_type(dialect.enforce_keys, bool)
    assert_type(dialect.enforce_foreign_keys, bool)
    assert_type(dialect.compare_and_set, bool)
    assert_type(dialect.case_sensitive_like, bool)
    assert_type(dialect.history_timeout, float)
    dialect.on_progress = show_progress
    found = dialect.statistics.read()
    assert_type(found, Statistics)
    assert_type(found.statements, int)
    assert_type(found.parked, int)
    assert_type(statistics(engine), Statistics)
    return found


def made_by_hand() -> VinciDialect:
    return VinciDialect(
        transactions="off",
        atomicity="per_table",
        enforce_foreign_keys=True,
        on_progress=show_progress,
        history_timeout=5.0,
    )


def types() -> list[str]:
    array, mapping = ARRAY(TINYINT), MAP(String, TIMESTAMP())
    assert_type(mapping, MAP)
    struct = STRUCT(("street", String()), ("since", TIMESTAMP_NTZ))
    assert_type(struct, STRUCT)
    dialect = made_by_hand()
    return [kind.compile(dialect) for kind in (array, mapping, struct, VARIANT())]


# --- connecting -----------------------------------------------------------------------------------


def validated(database: DatabaseSettings) -> str:
    result = validate_databricks_connection(database)
    assert_type(result, ValidationResult)
    with DatabricksConnector(database) as connector:
        return f"{connector.host}:{connector.port} {bool(result)}"


def own_sessions(database: DatabaseSettings, file: Path) -> FallbackSessions:
    engine = create_databricks_engine(database)
    assert_type(engine, Engine)
    made = with_fallback(engine, file=file, metadata=Base.metadata)
    assert_type(made, FallbackSessions)
    assert_type(made(), Session)
    assert_type(made.state(), DatabaseState)
    sessions: sessionmaker[Session] = made
    return made if sessions is made else FallbackSessions()


def where() -> str:
    fallback = get_fallback()
    assert_type(fallback, Fallback | None)
    state = database_state()
    assert_type(state, DatabaseState)
    return backend() if fallback is None else state.goes_to


# --- all of it ------------------------------------------------------------------------------------


def application() -> None:
    database = settings()
    engine = get_engine()
    assert_type(engine, Engine)
    Base.metadata.create_all(engine)
    order = store("A-1")
    print("amount", in_one_unit(order))
    print("error", fails_twice("A-1"))
    print("orders", load_again(["A-1", "A-2"]))
    print("events", [event.description for event in newest()])
    print("sessions", len([session.is_active for session in request()]))
    print("statistics", counted(engine) is not None)
    print("types", *types())
    print("where", where())
    if database.use_databricks:
        print("validated", validated(database))
    dispose_engine()


def on_warehouse(folder: Path) -> None:
    with LocalWarehouse(latency=0.0) as warehouse:
        assert_type(warehouse, LocalWarehouse)
        assert_type(warehouse.env, dict[str, str])
        assert_type(warehouse.statements, list[str])
        os.environ.update(warehouse.env)
        database = reload_settings().database
        engine = create_databricks_engine(database)
        from vinci_code.database.migrations import upgrade

        upgrade(engine)
        engine.dispose()
        warehouse.faults.add(Fault.http(503, operation="ExecuteStatement", times=1))
        application()
        sessions = own_sessions(database, folder / "fallback.db")
        with sessions.begin() as session:
            print("own", len(session.scalars(select(Order.id)).all()))
        sessions.dispose()


if __name__ == "__main__":
    print("began", datetime.now(timezone.utc) > datetime.min.replace(tzinfo=timezone.utc))
    try:
        on_warehouse(Path.cwd()) if sys.argv[1:] == ["databricks"] else application()
    except ConfigurationError as error:
        sys.exit("\n".join(problems(error)))
    except VinciError as error:
        sys.exit(str(error))
