"""The execution option ``databricks_timeout``: a deadline for one statement, or for all of some."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import URL, Engine, create_engine, event, select, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from tests.patience import FOR_LONG_S, PATIENCE_S, SHORT_S, hold_clock, soon, wait_until
from vinci_code.database.dialect.driver import dbapi, execution, transport, waiting
from vinci_code.warehouse.faults import Fault
from vinci_code.warehouse.pytest_plugin import TestWarehouse
from vinci_code.warehouse.wire import thrift_service

POLL = "GetOperationStatus"


def operations(warehouse: TestWarehouse) -> list[str]:
    return [record.operation for record in warehouse.requests]


@pytest.mark.parametrize("way", ["statement", "connection", "engine", "call"])
def test_a_statement_is_cancelled_at_its_deadline(
    way: str, engine: Engine, local_warehouse: TestWarehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The statement has a name at once, and is polled for.
    monkeypatch.setattr(thrift_service, "DIRECT_RESULTS_SECONDS", 0.0)
    clock = hold_clock(monkeypatch, dbapi, execution, transport, waiting)
    clock.move_on(PATIENCE_S, once=lambda: POLL in operations(local_warehouse))
    local_warehouse.inject(Fault.slow_poll(FOR_LONG_S, statement="SELECT 1"))
    option = {"databricks_timeout": PATIENCE_S}
    statement = text("SELECT 1").execution_options(**(option if way == "statement" else {}))
    engine = engine.execution_options(**option) if way == "engine" else engine
    with engine.connect() as connection:
        if way == "connection":
            connection = connection.execution_options(**option)
        with pytest.raises(DBAPIError) as caught:
            connection.execute(statement, execution_options=option if way == "call" else {})
    assert operations(local_warehouse).count(POLL) == 1
    # What takes long goes on by itself.
    wait_until(lambda: "CancelOperation" in operations(local_warehouse))
    cancelled = [r for r in local_warehouse.requests if r.operation == "CancelOperation"]
    assert isinstance(caught.value.orig, dbapi.StatementTimeout)
    assert "To fix it: raise the execution option 'databricks_timeout'" in str(caught.value.orig)
    assert [record.operation_id for record in cancelled] == [caught.value.orig.statement_id]


def test_a_statement_that_is_not_answered_is_ended_with_its_session(
    engine: Engine, local_warehouse: TestWarehouse
) -> None:
    local_warehouse.inject(Fault.delay(FOR_LONG_S, statement="SELECT 7"))
    with engine.connect() as connection:
        with soon(), pytest.raises(DBAPIError) as caught:
            connection.execute(text("SELECT 7").execution_options(databricks_timeout=SHORT_S))
        assert isinstance(caught.value.orig, dbapi.StatementTimeout)
    wait_until(lambda: "CloseSession" in operations(local_warehouse))


def test_the_option_is_the_statements_alone(engine: Engine, local_warehouse: TestWarehouse) -> None:
    with engine.connect() as connection:
        statement = select(1).execution_options(databricks_timeout=SHORT_S)
        assert connection.scalar(statement) == 1
        local_warehouse.inject(Fault.delay(SHORT_S + 1.0, statement="SELECT 2"))
        assert connection.scalar(text("SELECT 2")) == 2


def test_a_session_hands_the_option_on(engine: Engine) -> None:
    with Session(engine) as session:
        given = cursor_timeouts(engine)
        session.connection(execution_options={"databricks_timeout": 8})
        session.execute(select(1), execution_options={"databricks_timeout": 7})
        session.execute(select(1))
    assert given == [7.0, 8.0]


def test_the_option_goes_before_the_connect_argument(
    engine_url: URL, engine_args: dict[str, Any]
) -> None:
    engine = create_engine(engine_url, connect_args={**engine_args, "timeout": 5})
    given = cursor_timeouts(engine)
    with engine.connect() as connection:
        connection.execute(select(1))
        connection.execute(select(1).execution_options(databricks_timeout=9))
        connection.execute(select(1).execution_options(databricks_timeout=None))
    engine.dispose()
    assert given == [5.0, 9.0, None]


@pytest.mark.parametrize("way", ["connect_args", "cursor"])
def test_what_has_set_a_deadline_is_what_is_to_be_raised(
    way: str, connect: Callable[..., dbapi.Connection], local_warehouse: TestWarehouse
) -> None:
    connection = connect(**({"timeout": SHORT_S} if way == "connect_args" else {}))
    cursor = connection.cursor()
    if way == "cursor":
        cursor.timeout = SHORT_S
    local_warehouse.inject(Fault.delay(FOR_LONG_S, statement="SELECT 7"))
    with soon(), pytest.raises(dbapi.StatementTimeout) as caught:
        cursor.execute("SELECT 7")
    said = "'timeout' in connect_args" if way == "connect_args" else "'timeout' of the cursor"
    assert f"its deadline of {SHORT_S:g} s" in str(caught.value)
    assert f"To fix it: raise {said}, or" in str(caught.value)


@pytest.mark.parametrize("value", ["5", True, -1, float("nan")])
def test_what_is_no_time_is_refused_before_anything_is_sent(
    value: object, engine: Engine, local_warehouse: TestWarehouse
) -> None:
    with engine.connect() as connection:
        local_warehouse.warehouse.clear_requests()
        with pytest.raises(DBAPIError, match="'databricks_timeout' has to be a number of seconds"):
            connection.execute(select(1).execution_options(databricks_timeout=value))
    assert "ExecuteStatement" not in operations(local_warehouse)


def cursor_timeouts(engine: Engine) -> list[float | None]:
    """The deadline of each statement's cursor, as the statements are executed."""
    given: list[float | None] = []

    @event.listens_for(engine, "before_cursor_execute")
    def note(connection: Any, cursor: Any, *_: Any) -> None:
        given.append(cursor.timeout)

    return given
