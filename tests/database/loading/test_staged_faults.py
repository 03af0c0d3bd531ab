"""Each request of a load through a volume fails in each way: all or nothing, no file is left."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from tests.database.loading.staging import Staging, all_of, items, numbered
from tests.dialect.held import engine_on
from tests.full import part
from vinci_code.database.dialect.dberrors import AmbiguousWriteError
from vinci_code.database.dialect.driver import uploads
from vinci_code.database.dialect.units import staged_files, unit
from vinci_code.database.files import parquet as groups
from vinci_code.database.loading import parquet, staged
from vinci_code.database.loading.staged import remove_staged
from vinci_code.warehouse.faults import (
    RESET_AFTER,
    RESET_BEFORE,
    RESET_MID_REPLY,
    STAGING_PUT,
    STAGING_REMOVE,
    Fault,
)
from vinci_code.warehouse.pytest_plugin import TestWarehouse

# What a load of two files sends, in order: the n-th request of an operation.
REQUESTS = [
    ("OpenSession", 0),
    ("ExecuteStatement", 0),  # LIST
    ("ExecuteStatement", 1),  # PUT
    (STAGING_PUT, 0),
    ("ExecuteStatement", 2),  # PUT
    (STAGING_PUT, 1),
    ("ExecuteStatement", 3),  # INSERT or MERGE
    ("ExecuteStatement", 4),  # REMOVE
    (STAGING_REMOVE, 0),
    ("ExecuteStatement", 5),  # REMOVE
    (STAGING_REMOVE, 1),
]


class Way(NamedTuple):
    """A way to fail.

    Attributes:
        fault: Makes the fault.
        of_statements: Whether statements alone fail in this way.
    """

    fault: Callable[..., Fault]
    of_statements: bool = False


WAYS: dict[str, Way] = {
    "lost before": Way(lambda **scope: Fault.reset(RESET_BEFORE, **scope)),
    "lost after": Way(lambda **scope: Fault.reset(RESET_AFTER, **scope)),
    "lost in the reply": Way(lambda **scope: Fault.reset(RESET_MID_REPLY, **scope)),
    "busy": Way(lambda **scope: Fault.http(503, retry_after=0.01, **scope)),
    "unavailable": Way(lambda **scope: Fault.http(503, **scope)),
    "executed, and refused by what lies between": Way(
        lambda **scope: Fault.http(502, executed=True, **scope)
    ),
    "broken": Way(lambda **scope: Fault.http(500, **scope)),
    "expired": Way(lambda **scope: Fault.http(403, **scope)),
    "token expired": Way(lambda **scope: Fault.token_expired(**scope)),
    "session lost": Way(lambda **scope: Fault.session_lost(**scope), of_statements=True),
    "conflict": Way(lambda **scope: Fault.commit_conflict(**scope), of_statements=True),
}


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two small files, and short pauses."""
    monkeypatch.setattr(parquet, "FILE_BYTES", 1)
    monkeypatch.setattr(groups, "GROUP_ROWS", 20)
    monkeypatch.setattr(uploads, "_PAUSE", 0.01)


@pytest.fixture
def place(local_warehouse: TestWarehouse) -> Iterator[tuple[Staging, sa.Table, sa.Engine]]:
    """A volume, a table with some rows, and an engine that has sent nothing."""
    table = items(sa.MetaData())
    preparing = engine_on(local_warehouse.warehouse, local_warehouse.schema)
    table.create(preparing)
    with preparing.begin() as connection:
        connection.execute(
            table.insert(), [{"id": n, "name": f"name {n}", "amount": 9} for n in BEFORE]
        )
    preparing.dispose()
    warehouse = local_warehouse.warehouse
    arguments = {
        "access_token": warehouse.access_token,
        "_tls_trusted_ca_file": str(warehouse.ca_file),
        "start_timeout": 3,
    }
    engine = sa.create_engine(preparing.url, connect_args=arguments, history_timeout=0.5)
    yield Staging(local_warehouse), table, engine
    engine.dispose()


BEFORE = (-1, 5)
ROWS = {
    "append": numbered(10, 50),
    "upsert": numbered(0, 40),
    "insert_missing": numbered(0, 40),
    "replace": numbered(0, 40),
}
KEYS: dict[str, Any] = {
    "append": {},
    "upsert": {"keys": ["id"], "update": ["amount"]},
    "insert_missing": {"keys": ["id"]},
    "replace": {},
}


def load(staging: Staging, engine: sa.Engine, table: sa.Table, mode: str) -> None:
    with engine.connect() as connection:
        staging.load(connection, table, ROWS[mode], mode, **KEYS[mode])
        connection.commit()


def before_and_after(mode: str) -> tuple[list[Any], list[Any]]:
    before = [(n, f"name {n}", 9) for n in BEFORE]
    there, given = ({row[0]: row for row in rows} for rows in (before, ROWS[mode]))
    after = {"replace": given, "insert_missing": given | there}.get(mode, there | given)
    return before, sorted(after.values())


def test_the_requests_of_a_load_are_those_that_fail_here(
    place: tuple[Staging, sa.Table, sa.Engine],
) -> None:
    staging, table, engine = place
    staging.warehouse.warehouse.clear_requests()
    load(staging, engine, table, "append")
    sent = [record.operation for record in staging.warehouse.requests]
    assert sent == [operation for operation, _ in REQUESTS]


CASES = [
    (number, way)
    for number, (operation, _) in enumerate(REQUESTS)
    for way, (_, of_statements) in WAYS.items()
    if operation == "ExecuteStatement" or not of_statements
]


@part(41)
@pytest.mark.parametrize("times", [1, 2])
@pytest.mark.parametrize(("request_number", "way"), CASES)
@pytest.mark.parametrize("mode", list(ROWS))
def test_a_load_is_all_or_nothing_wherever_it_fails(
    place: tuple[Staging, sa.Table, sa.Engine],
    mode: str,
    request_number: int,
    way: str,
    times: int,
) -> None:
    operation, skip = REQUESTS[request_number]
    staging, table, engine = place
    staging.warehouse.inject(WAYS[way].fault(operation=operation, skip=skip, times=times))
    error: BaseException | None = None
    try:
        load(staging, engine, table, mode)
    except DBAPIError as raised:
        error = raised.orig
    staging.warehouse.warehouse.faults.clear()
    before, after = before_and_after(mode)
    with engine.connect() as connection:
        found = all_of(connection, table)
        unknown = isinstance(error, AmbiguousWriteError)
        if unknown:
            assert found in (before, after)
            # Nobody knows what became of the statement: it might still read its files.
            remove_staged(connection, staging.volume, older_than=-staged.STALE)
        else:
            assert found == (before if error is not None else after)
    assert staging.files() == []
    # Whoever has been told of an error does it again.
    if found == before:
        load(staging, engine, table, mode)
    with engine.connect() as connection:
        assert all_of(connection, table) == after
    assert staging.files() == []


def test_files_are_kept_while_nobody_knows_whether_the_commit_happened(
    place: tuple[Staging, sa.Table, sa.Engine],
) -> None:
    staging, table, engine = place
    staging.warehouse.inject(
        Fault.history_hidden(statement="^INSERT"), Fault.reset(RESET_AFTER, statement="^INSERT")
    )
    with pytest.raises(DBAPIError) as caught:
        load(staging, engine, table, "append")
    assert isinstance(caught.value.orig, AmbiguousWriteError)
    assert len(staging.files()) == 2
    # Here it was executed; a workspace may as well be about to.
    with engine.connect() as connection:
        assert all_of(connection, table) == before_and_after("append")[1]
        assert remove_staged(connection, staging.volume) == 0
        assert remove_staged(connection, staging.volume, older_than=-staged.STALE) == 2
    assert staging.files() == []


def test_a_commit_that_was_lost_and_found_out_leaves_no_file(
    place: tuple[Staging, sa.Table, sa.Engine],
) -> None:
    staging, table, engine = place
    dialect: Any = engine.dialect
    dialect.history_timeout = 60.0
    staging.warehouse.inject(Fault.reset(RESET_AFTER, statement="^INSERT"))
    load(staging, engine, table, "append")
    assert staging.files() == []
    with engine.connect() as connection:
        assert all_of(connection, table) == before_and_after("append")[1]


def test_a_volume_that_does_not_answer_any_more_holds_nobody_up_for_long(
    place: tuple[Staging, sa.Table, sa.Engine],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    staging, table, engine = place
    monkeypatch.setattr(staged_files, "REMOVAL_SECONDS", 0.3)
    staging.warehouse.inject(Fault.http(503, operation=STAGING_REMOVE, times=1000))
    load(staging, engine, table, "append")
    assert f"files of a load may be left in {staging.volume.path}/vinci_load" in caplog.text
    assert len(staging.files()) == 2
    staging.warehouse.warehouse.faults.clear()
    with engine.connect() as connection:
        assert all_of(connection, table) == before_and_after("append")[1]
        assert remove_staged(connection, staging.volume, older_than=-staged.STALE) == 2


def test_files_are_kept_where_a_commit_is_interrupted(
    place: tuple[Staging, sa.Table, sa.Engine], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What has been sent may be executed after the interrupt, and reads its files then."""
    staging, table, engine = place
    run = unit.Unit._run

    def interrupted(self: Any, text: str, *given: Any, **named: Any) -> Any:
        run(self, text, *given, **named)
        if text.startswith("INSERT"):
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(unit.Unit, "_run", interrupted)
        with pytest.raises(KeyboardInterrupt):
            load(staging, engine, table, "append")
    assert len(staging.files()) == 2
    with engine.connect() as connection:
        assert all_of(connection, table) == before_and_after("append")[1]
        remove_staged(connection, staging.volume, older_than=-staged.STALE)
    assert staging.files() == []
