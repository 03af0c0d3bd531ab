"""BEGIN, COMMIT and ROLLBACK as statements, and sessions that are lost around them."""

from __future__ import annotations

import pytest

from vinci_code.database.dialect.driver import dbapi
from vinci_code.database.dialect.text.scanning import describe
from vinci_code.warehouse import Fault
from vinci_code.warehouse.pytest_plugin import TestWarehouse

LOST = "SessionHandle"


def ask(connection: dbapi.Connection, statement: str) -> object:
    cursor = connection.cursor()
    cursor.execute(statement)
    row = cursor.fetchone() if cursor.description is not None else None
    return None if row is None else row[0]


def test_a_session_is_replaced_before_a_transaction_and_after_it(
    connection: dbapi.Connection, local_warehouse: TestWarehouse
) -> None:
    for end in ("COMMIT", "ROLLBACK"):
        local_warehouse.inject(Fault.session_lost(operation="ExecuteStatement"))
        ask(connection, "BEGIN TRANSACTION")
        assert ask(connection, "SELECT 1") == 1
        ask(connection, end)
        connection.commit()
        local_warehouse.inject(Fault.session_lost(operation="ExecuteStatement"))
        assert ask(connection, "SELECT 1") == 1
        connection.commit()


@pytest.mark.parametrize("autocommit", [True, False])
def test_a_session_is_not_replaced_within_a_transaction(
    connection: dbapi.Connection, local_warehouse: TestWarehouse, autocommit: bool
) -> None:
    connection.autocommit = autocommit
    ask(connection, "BEGIN TRANSACTION")
    local_warehouse.inject(Fault.session_lost(operation="ExecuteStatement"))
    with pytest.raises(dbapi.SessionLostError, match=LOST):
        ask(connection, "SELECT 1")


def test_a_transaction_that_was_refused_is_none(
    connection: dbapi.Connection, local_warehouse: TestWarehouse
) -> None:
    ask(connection, "BEGIN TRANSACTION")
    ask(connection, "ROLLBACK")
    with pytest.raises(dbapi.Error):
        ask(connection, "BEGIN TRANSACTION NONSENSE")
    connection.rollback()
    local_warehouse.inject(Fault.session_lost(operation="ExecuteStatement"))
    assert ask(connection, "SELECT 1") == 1


@pytest.mark.parametrize(
    ("statement", "begins", "ends"),
    [
        ("BEGIN TRANSACTION", True, False),
        ("begin work", True, False),
        ("BEGIN", True, False),
        ("BEGIN ATOMIC INSERT INTO t VALUES (1); END", False, False),
        ("/* end */ COMMIT", False, True),
        ("ROLLBACK WORK", False, True),
        ("SELECT 'BEGIN'", False, False),
    ],
)
def test_which_statements_begin_and_end_a_transaction(
    statement: str, begins: bool, ends: bool
) -> None:
    described = describe(statement)
    assert (described.begins_transaction, described.ends_transaction) == (begins, ends)


def test_a_transaction_that_is_refused_on_another_session_was_not_lost(
    connection: dbapi.Connection, local_warehouse: TestWarehouse
) -> None:
    local_warehouse.inject(Fault.session_lost(operation="ExecuteStatement"))
    with pytest.raises(dbapi.ProgrammingError):
        ask(connection, "BEGIN TRANSACTION nonsense")
    assert ask(connection, "SELECT 1") == 1
