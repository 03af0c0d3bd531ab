"""Errors: whatever comes out of the driver is one of ours, by one table."""

from __future__ import annotations

import inspect
import re
import ssl
from types import ModuleType
from typing import Any

import pytest
import urllib3.exceptions
from databricks.sql import exc as driver_exceptions
from sqlalchemy import Engine, exc, text

from tests.dialect.held import run_and_commit
from vinci_code.core.errors import VinciError
from vinci_code.core.redaction import forget_secrets, register_secret
from vinci_code.database.dialect import dberrors
from vinci_code.database.dialect.driver import async_dbapi, dbapi
from vinci_code.database.dialect.driver.translation import (
    RULES,
    By,
    Evidence,
    class_names,
    classify,
    clean,
    translate,
)
from vinci_code.database.dialect.writes.guards import raised
from vinci_code.warehouse.faults import Fault
from vinci_code.warehouse.pytest_plugin import TestWarehouse


def exceptions_in(module: Any) -> list[type[BaseException]]:
    return [
        kind
        for _, kind in inspect.getmembers(module, inspect.isclass)
        if issubclass(kind, BaseException) and kind.__module__ == module.__name__
    ]


def bare(kind: type[BaseException]) -> BaseException:
    """An exception of a class whose constructor may want anything."""
    return kind.__new__(kind)


@pytest.mark.parametrize(
    "kind",
    [*exceptions_in(driver_exceptions), *exceptions_in(urllib3.exceptions)],
    ids=lambda kind: f"{kind.__module__}.{kind.__name__}",
)
def test_every_exception_of_the_driver_and_of_urllib3_has_a_line(kind: type[Exception]) -> None:
    """One of its own, or of a class that it derives from; the last line is for the unforeseen."""
    names = class_names(bare(kind))
    lines = [
        rule
        for rule in RULES
        if rule.by is By.CLASS
        and rule.pattern != r"builtins\.Exception"
        and any(re.fullmatch(rule.pattern, name) for name in names)
    ]
    assert lines
    assert classify(bare(kind)) is lines[0].kind


def test_every_driver_exception_keeps_its_pep_249_class() -> None:
    for name in (
        "DataError",
        "IntegrityError",
        "InternalError",
        "ProgrammingError",
        "NotSupportedError",
        "OperationalError",
        "InterfaceError",
        "DatabaseError",
    ):
        kind = getattr(driver_exceptions, name)
        assert type(translate(kind("it failed"))) is getattr(dberrors, name)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: f"{rule.by.value}: {rule.pattern}")
def test_every_line_of_the_table_can_be_reached(rule: Any) -> None:
    assert issubclass(rule.kind, dberrors.Error)
    earlier = RULES[: RULES.index(rule)]
    assert all((other.by, other.pattern) != (rule.by, rule.pattern) for other in earlier)
    re.compile(rule.pattern)


KNOWN: dict[str, tuple[str, type[dberrors.Error]]] = {
    "syntax": ("[PARSE_SYNTAX_ERROR] Syntax error. SQLSTATE: 42601", dbapi.ProgrammingError),
    "no table": ("[TABLE_OR_VIEW_NOT_FOUND] It. SQLSTATE: 42P01", dbapi.ProgrammingError),
    "not null": ("[DELTA_NOT_NULL_CONSTRAINT_VIOLATED] It. SQLSTATE: 23502", dbapi.IntegrityError),
    "left out": ("[DELTA_INSERT_COLUMN_MISMATCH] It. SQLSTATE: 42802", dbapi.IntegrityError),
    "too long": ("[DELTA_EXCEED_CHAR_VARCHAR_LIMIT] It. SQLSTATE: 22001", dbapi.DataError),
    "check": ("[DELTA_VIOLATE_CONSTRAINT_WITH_VALUES] It. SQLSTATE: 23001", dbapi.IntegrityError),
    "division": ("[DIVIDE_BY_ZERO] Division by zero. SQLSTATE: 22012", dbapi.DataError),
    "cast": ("[CAST_INVALID_INPUT] It. SQLSTATE: 22018", dbapi.DataError),
    "append": ("[DELTA_CONCURRENT_APPEND.WITHOUT_HINT] It. SQLSTATE: 2D521", dbapi.ConflictError),
    "metadata": ("[DELTA_METADATA_CHANGED] It. SQLSTATE: 2D521", dbapi.ConflictError),
    "old conflict": ("ConcurrentAppendException: Files were added", dbapi.ConflictError),
    "permission": ("[INSUFFICIENT_PERMISSIONS] It. SQLSTATE: 42501", dbapi.PermissionDenied),
    "no transactions": (
        "[MULTI_STATEMENT_TRANSACTION_NOT_SUPPORTED.COMMAND] It. SQLSTATE: 0A000",
        dbapi.NotSupportedError,
    ),
    "aborted": (
        "[TRANSACTION_ROLLBACK_REQUIRED_AFTER_ABORT.PREVIOUS_QUERY_FAILURE] It. SQLSTATE: 40000",
        dbapi.OperationalError,
    ),
    "no session": ("Invalid SessionHandle: SessionHandle [1-2]", dbapi.SessionLostError),
    "closed session": ("Invalid Session Handle: Session [1] is Closed", dbapi.SessionLostError),
    "young session": (
        "Session handle: SessionHandle [1-2] has not been initialized or had already closed.",
        dbapi.SessionLostError,
    ),
    "no result": ("Invalid OperationHandle: OperationHandle [1]", dbapi.ResultExpired),
    "starting": ("TEMPORARILY_UNAVAILABLE: Cluster 1", dbapi.WarehouseStartTimeout),
    "too many": (
        "BAD_REQUEST: Parameterized query has too many parameters: the limit is 256.",
        dbapi.LimitExceeded,
    ),
    "a text that quotes another": (
        "[USER_RAISED_EXCEPTION] TEMPORARILY_UNAVAILABLE Invalid SessionHandle SQLSTATE: P0001",
        dbapi.InternalError,
    ),
    "unknown condition, known state": ("[NEW_ONE] It. SQLSTATE: 22XYZ", dbapi.DataError),
    "nothing known": ("it failed", dbapi.DatabaseError),
}


@pytest.mark.parametrize(("message", "kind"), KNOWN.values(), ids=list(KNOWN))
def test_what_a_warehouse_says_has_a_class(message: str, kind: type[dberrors.Error]) -> None:
    error = translate(driver_exceptions.ServerOperationError(message))
    assert type(error) is kind
    assert message in str(error)


def test_what_is_known_of_an_error_is_on_it() -> None:
    error = translate(
        driver_exceptions.ServerOperationError(
            "[TABLE_OR_VIEW_NOT_FOUND] It. SQLSTATE: 42P01", {"operation-id": "abc"}
        )
    )
    assert error.sqlstate == "42P01"
    assert error.error_class == "TABLE_OR_VIEW_NOT_FOUND"
    assert error.statement_id == "abc"
    assert not error.retryable
    assert isinstance(error, VinciError)


# As Spark 4.2 with Delta 4.4 wrap what a sub-query, and what a task that writes, has raised.
TRACE = """org.apache.spark.SparkException: {outer}
\tat org.apache.spark.util.SparkThreadUtils$.awaitResult(SparkThreadUtils.scala:56)
Caused by: org.apache.spark.SparkException: Job aborted due to stage failure
\tat org.apache.spark.scheduler.DAGScheduler.failJobAndIndependentStages(DAGScheduler.scala:3)
Caused by: org.apache.spark.SparkRuntimeException: {cause}
\tat org.apache.spark.sql.errors.QueryExecutionErrors$.raiseError(QueryExecutionErrors.scala:2)
\t... 21 more
"""


@pytest.mark.parametrize(
    "outer",
    [
        "Exception thrown in awaitResult: ",
        "[TASK_WRITE_FAILED] Task failed while writing rows to abfss://x. SQLSTATE: 58030",
    ],
)
def test_the_cause_counts_that_a_wrapper_hides(outer: str) -> None:
    cause = "[USER_RAISED_EXCEPTION] vinci:unique:UNIQUE failed:\nthe key 1 SQLSTATE: P0001"
    context = {"operation-id": "abc", "diagnostic-info": TRACE.format(outer=outer, cause=cause)}
    error = translate(driver_exceptions.ServerOperationError(outer, context))
    assert (error.error_class, error.sqlstate) == ("USER_RAISED_EXCEPTION", "P0001")
    violation = raised(error)
    assert isinstance(violation, dbapi.IntegrityError)
    assert str(violation).startswith("UNIQUE failed:\nthe key 1")
    assert "SQLSTATE" not in str(violation).partition("\nTo fix it")[0]


def test_a_guard_that_an_error_only_quotes_has_raised_nothing() -> None:
    text = (
        "[PARSE_SYNTAX_ERROR] Syntax error at or near '.'. SQLSTATE: 42601 (line 1, pos 78)\n\n"
        "== SQL ==\nMERGE INTO t USING (SELECT raise_error(concat('vinci:unique:', 'UNIQUE'))"
    )
    assert raised(translate(driver_exceptions.ServerOperationError(text))) is None


def test_the_cause_counts_that_stands_behind_a_wrapper() -> None:
    text = "[TASK_WRITE_FAILED] Task failed while writing rows to abfss://x. Caused by: "
    cause = "[DELTA_VIOLATE_CONSTRAINT_WITH_VALUES] CHECK constraint positive. SQLSTATE: 23001"
    error = translate(driver_exceptions.ServerOperationError(text + cause))
    assert type(error) is dbapi.IntegrityError
    assert error.error_class == "DELTA_VIOLATE_CONSTRAINT_WITH_VALUES"


def test_a_condition_that_is_named_counts_whatever_caused_it() -> None:
    outer = "[DELTA_CONCURRENT_APPEND] It. SQLSTATE: 2D521"
    trace = TRACE.format(outer=outer, cause="[DIVIDE_BY_ZERO] It. SQLSTATE: 22012")
    error = translate(driver_exceptions.ServerOperationError(outer, {"diagnostic-info": trace}))
    assert type(error) is dbapi.ConflictError
    assert error.error_class == "DELTA_CONCURRENT_APPEND"


def test_the_reason_inside_counts() -> None:
    pool: Any = None
    inner = urllib3.exceptions.ConnectTimeoutError("timed out")
    error = translate(urllib3.exceptions.MaxRetryError(pool, "/", inner))
    assert type(error) is dbapi.ConnectTimeout
    assert "timed out" in str(error)


@pytest.mark.parametrize(
    ("status", "said", "kind"),
    [
        (401, "", dbapi.AuthenticationFailed),
        (403, "Invalid access token.", dbapi.AuthenticationFailed),
        (403, "You have no permission to use it", dbapi.PermissionDenied),
        (403, "blocked by IP access list", dbapi.PermissionDenied),
        (404, "", dbapi.OperationalError),
        (413, "", dbapi.LimitExceeded),
        (429, "", dbapi.TooManyRequests),
        (500, "", dbapi.ConnectionLostError),
        (501, "", dbapi.NotSupportedError),
        (503, "", dbapi.WarehouseStartTimeout),
        (504, "", dbapi.ConnectTimeout),
    ],
)
def test_what_a_status_means(status: int, said: str, kind: type[dberrors.Error]) -> None:
    error = driver_exceptions.RequestError("Error during request", {"http-code": status})
    translated = translate(error, Evidence(status=status, said=said))
    assert type(translated) is kind
    assert f"status {status}" in str(translated)


@pytest.mark.parametrize("status", [400, 404, 408, 500, 502, 504])
@pytest.mark.parametrize(
    "said",
    [
        "TEMPORARILY_UNAVAILABLE: upstream temporarily unavailable",
        "Invalid SessionHandle",
        "Session [x] is closed",
        "[DELTA_CONCURRENT_APPEND] Files were added. SQLSTATE: 2D521",
        "Error. SQLSTATE: 08000",
    ],
)
def test_no_words_of_a_gateway_are_a_reason_to_send_a_statement_again(
    status: int, said: str
) -> None:
    error = driver_exceptions.RequestError("Error during request", {"http-code": status})
    worded, silent = (translate(error, Evidence(status=status, said=text)) for text in (said, ""))
    assert type(worded) is type(silent)


def test_the_words_of_an_error_on_the_way_are_not_those_of_the_warehouse() -> None:
    error = OSError(11, "Resource temporarily unavailable [DELTA_CONCURRENT_APPEND]")
    known = translate(error, Evidence(answered=False))
    assert type(known) is dberrors.ConnectionLostError
    assert known.error_class is None


@pytest.mark.parametrize(
    "error",
    [
        OSError("cut"),
        TimeoutError(),
        ssl.SSLError("bad"),
        EOFError(),
        ValueError("no"),
        KeyError("x"),
        ZeroDivisionError(),
        RuntimeError(),
    ],
)
def test_what_nobody_foresaw_is_an_error_of_ours(error: Exception) -> None:
    translated = clean(error)
    assert isinstance(translated, dbapi.Error)
    assert translated.__cause__ is error
    assert str(translated)


def test_a_secret_is_masked_wherever_the_error_has_it() -> None:
    register_secret("a-very-secret-word")
    try:
        cause = driver_exceptions.RequestError("a-very-secret-word", {"x": "a-very-secret-word"})
        error = clean(cause)
        assert "a-very-secret-word" not in repr(error) + str(error) + repr(vars(error))
        assert "a-very-secret-word" not in repr(cause) + str(cause) + repr(vars(cause))
    finally:
        forget_secrets()


@pytest.mark.parametrize("module", [dbapi, async_dbapi], ids=lambda module: module.__name__)
def test_every_exception_is_in_the_module(module: ModuleType) -> None:
    defined = [
        kind
        for _, kind in inspect.getmembers(dberrors, inspect.isclass)
        if kind.__module__ == dberrors.__name__
    ]
    assert len(defined) > 20
    for kind in defined:
        assert getattr(module, kind.__name__) is kind
        assert kind.__name__ in module.__all__


# --- on the warehouse ----------------------------------------------------------------------------

STATEMENTS: dict[str, tuple[str, type[exc.DBAPIError], str]] = {
    "syntax": ("SELEC 1", exc.ProgrammingError, "42601"),
    "no table": ("SELECT * FROM nowhere", exc.ProgrammingError, "42P01"),
    "division": ("SELECT 1 / 0", exc.DataError, "22012"),
    "cast": ("SELECT CAST('a' AS INT)", exc.DataError, "22018"),
    "not null": ("INSERT INTO t VALUES (NULL)", exc.IntegrityError, "23502"),
    "check": ("INSERT INTO t VALUES (-1)", exc.IntegrityError, "23001"),
}


@pytest.mark.parametrize(("statement", "kind", "sqlstate"), STATEMENTS.values(), ids=STATEMENTS)
def test_sqlalchemy_raises_its_own_class_for_each(
    statement: str, kind: type[exc.DBAPIError], sqlstate: str, engine: Engine
) -> None:
    with engine.connect() as connection:
        connection.execute(text("CREATE TABLE t (a INT NOT NULL)"))
        connection.execute(text("ALTER TABLE t ADD CONSTRAINT positive CHECK (a > 0)"))
        connection.commit()
        with pytest.raises(kind) as caught:
            run_and_commit(connection, text(statement))
        assert type(caught.value) is kind
        original = caught.value.orig
        assert isinstance(original, dbapi.Error)
        assert original.sqlstate == sqlstate
        assert original.statement_id
        connection.rollback()
        assert connection.execute(text("SELECT 1")).scalar_one() == 1


def test_a_conflict_is_an_operational_error(engine: Engine, local_warehouse: TestWarehouse) -> None:
    with engine.connect() as connection:
        connection.execute(text("CREATE TABLE t (a INT)"))
        local_warehouse.inject(Fault.commit_conflict(statement="UPDATE"))
        with pytest.raises(exc.OperationalError) as caught:
            run_and_commit(connection, text("UPDATE t SET a = 1"))
    assert isinstance(caught.value.orig, dbapi.ConflictError)
    assert not caught.value.connection_invalidated


def test_a_lost_session_is_a_disconnect(engine: Engine, local_warehouse: TestWarehouse) -> None:
    with engine.connect() as connection:
        connection.execute(text("SELECT 1"))
        local_warehouse.inject(Fault.session_lost(operation="ExecuteStatement"))
        with pytest.raises(exc.OperationalError) as caught:
            connection.execute(text("SELECT 2"))
        assert caught.value.connection_invalidated
    with engine.connect() as connection:
        assert connection.execute(text("SELECT 3")).scalar_one() == 3
