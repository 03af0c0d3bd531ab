"""Loads through a volume: what they write, refuse, and leave behind."""

from __future__ import annotations

import asyncio
import datetime as dt
import io
import os
import re
import stat
import tempfile
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
import sqlalchemy as sa
from sqlalchemy.exc import ArgumentError, DBAPIError, IntegrityError, NotSupportedError
from sqlalchemy.ext.asyncio import create_async_engine

from tests.database.loading.staging import Staging, all_of, batches_of, items, numbered, stored
from tests.dialect.held import engine_on
from vinci_code.database.dialect.dberrors import (
    AtomicityError,
    PendingWritesError,
    PermissionDenied,
)
from vinci_code.database.files import parquet as groups
from vinci_code.database.loading import parquet, staged
from vinci_code.database.loading.staged import load_staged, remove_staged, staging_refused
from vinci_code.database.loading.stored import StoredColumn
from vinci_code.database.loading.volumes import Volume
from vinci_code.warehouse.faults import STAGING_PUT, Fault
from vinci_code.warehouse.pytest_plugin import TestWarehouse

Connect = Callable[..., sa.Engine]
_AT_ONCE = dt.timedelta(seconds=-60)
_UTC = dt.timezone.utc


def _at(year: int, month: int, day: int) -> dt.datetime:
    return dt.datetime(year, month, day, 23, 59, 59, 999_999)  # noqa: DTZ001 - as the column


def _as_it_is(column: sa.Column[Any], kind: pa.DataType) -> StoredColumn:
    return StoredColumn(column, kind, "{}")


@pytest.fixture
def connect(local_warehouse: TestWarehouse) -> Iterator[Connect]:
    """Makes engines on the test's schema."""
    made: list[sa.Engine] = []

    def engine(**options: Any) -> sa.Engine:
        made.append(engine_on(local_warehouse.warehouse, local_warehouse.schema, **options))
        return made[-1]

    yield engine
    for one in made:
        one.dispose()


@pytest.fixture
def staging(local_warehouse: TestWarehouse) -> Staging:
    return Staging(local_warehouse)


@pytest.fixture
def table(connect: Connect) -> sa.Table:
    """An empty table."""
    made = items(sa.MetaData())
    made.create(connect())
    return made


@pytest.fixture
def connection(connect: Connect, table: sa.Table) -> Iterator[sa.Connection]:
    with connect().connect() as opened:
        yield opened


def sent_since(staging: Staging, begin: int) -> list[str]:
    """The operations of the requests since some, with the word of a statement."""
    return [
        (record.statement or record.operation).split("'")[0].strip()[:11].strip()
        for record in staging.warehouse.requests[begin:]
    ]


# --- what is written ------------------------------------------------------------------------------


def test_rows_are_appended_by_one_statement_and_no_file_is_left(
    staging: Staging, connection: sa.Connection, table: sa.Table
) -> None:
    begin = len(staging.warehouse.requests)
    outcome = staging.load(connection, table, numbered(0, 2500))
    assert len(staging.files()) == 1
    connection.commit()
    assert sent_since(staging, begin) == [
        "LIST",
        "PUT",
        "PUT /stagin",
        "INSERT INTO",
        "REMOVE",
        "DELETE /sta",
    ]
    assert (outcome.rows, outcome.inserted, outcome.changed, outcome.skipped) == (2500, 2500, 0, 0)
    assert all_of(connection, table) == numbered(0, 2500)
    assert staging.files() == []


@pytest.mark.parametrize("held_before", [False, True])
def test_an_upsert_changes_what_is_there_and_inserts_the_rest(
    staging: Staging, connection: sa.Connection, table: sa.Table, held_before: bool
) -> None:
    connection.execute(table.insert(), [{"id": 1, "name": "one", "amount": Decimal("9.99")}])
    if not held_before:
        connection.commit()
    outcome = staging.load(
        connection, table, numbered(0, 5), "upsert", keys=["id"], update=["name"]
    )
    connection.commit()
    expected = numbered(0, 5)
    expected[1] = (1, "name 1", Decimal("9.99"))
    assert all_of(connection, table) == expected
    # Of a unit that is more than the load the warehouse does not tell it apart.
    told = (None, None, None) if held_before else (4, 1, 0)
    assert (outcome.inserted, outcome.changed, outcome.skipped) == told


def test_rows_that_are_missing_are_inserted_and_others_left(
    staging: Staging, connection: sa.Connection, table: sa.Table
) -> None:
    connection.execute(table.insert(), [{"id": 1, "name": "one", "amount": Decimal("9.99")}])
    connection.commit()
    outcome = staging.load(connection, table, numbered(0, 5), "insert_missing", keys=["id"])
    connection.commit()
    expected = numbered(0, 5)
    expected[1] = (1, "one", Decimal("9.99"))
    assert all_of(connection, table) == expected
    assert (outcome.inserted, outcome.changed, outcome.skipped) == (4, 0, 1)


def test_rows_take_the_place_of_all_that_were_there(
    staging: Staging, connection: sa.Connection, table: sa.Table
) -> None:
    staging.load(connection, table, numbered(0, 10))
    connection.commit()
    begin = len(staging.warehouse.requests)
    # What is there counts as gone: its keys, and what is unique in it, are free.
    staging.load(connection, table, numbered(5, 8, "2.50"), "replace")
    assert all_of(connection, table) == numbered(5, 8, "2.50")
    connection.commit()
    assert "INSERT OVER" in sent_since(staging, begin)
    assert all_of(connection, table) == numbered(5, 8, "2.50")


def test_no_rows_in_place_of_all_leave_the_table_empty(
    staging: Staging, connection: sa.Connection, table: sa.Table
) -> None:
    staging.load(connection, table, numbered(0, 10))
    connection.commit()
    assert staging.load(connection, table, []).rows == 0
    assert len(all_of(connection, table)) == 10
    assert staging.load(connection, table, [], "replace").rows == 0
    connection.commit()
    assert all_of(connection, table) == []


def test_columns_that_are_left_out_have_their_defaults(staging: Staging, connect: Connect) -> None:
    table = sa.Table(
        "items",
        sa.MetaData(),
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("name", sa.String, server_default="nobody"),
        sa.Column("amount", sa.Numeric(12, 2)),
    )
    engine = connect()
    table.create(engine)
    with engine.begin() as connection:
        staging.load(connection, table, [(1,), (2,)], "append", "id")
    with engine.begin() as connection:
        staging.load(connection, table, [(2,), (3,)], "upsert", "id", keys=["id"], update=["name"])
    with engine.connect() as connection:
        assert all_of(connection, table) == [(n, "nobody", None) for n in (1, 2, 3)]


def test_values_come_back_to_the_bit(staging: Staging, connect: Connect) -> None:
    table = sa.Table(
        "kinds",
        sa.MetaData(),
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("text", sa.String),
        sa.Column("bytes", sa.LargeBinary),
        sa.Column("number", sa.Float),
        sa.Column("at", sa.DateTime),
        sa.Column("zoned", sa.DateTime(timezone=True)),
        sa.Column("day", sa.Date),
    )
    kinds = [
        pa.int64(), pa.string(), pa.binary(), pa.float64(),
        pa.timestamp("us"), pa.timestamp("us", "UTC"), pa.date32(),
    ]  # fmt: skip
    columns = list(map(_as_it_is, table.columns, kinds))
    rows = [
        (1, "", b"", 0.1, _at(1, 1, 1), _at(1, 1, 1), _at(1, 1, 1)),
        (2, "𝄞\x00'\\`\n", b"\x00\xff", float("inf"), _at(9999, 12, 31), _at(2026, 3, 29), None),
        (-(2**63), None, None, None, None, None, None),
        (2**63 - 1, "NULL", b"NULL", -0.0, _at(1969, 12, 31), _at(1969, 12, 31), _at(1582, 10, 4)),
    ]
    engine = connect()
    table.create(engine)
    with engine.begin() as connection:
        given = [(*row[:6], None if row[6] is None else row[6].date()) for row in rows]
        load_staged(
            connection,
            table,
            columns,
            batches_of(columns, given),
            mode="append",
            volume=staging.volume,
        )
    with engine.connect() as connection:
        found = all_of(connection, table)
    utc = [
        row if row[5] is None else (*row[:5], row[5].replace(tzinfo=_UTC), row[6]) for row in given
    ]
    assert found == sorted(utc)


def test_many_files_are_one_statement(
    staging: Staging,
    connection: sa.Connection,
    table: sa.Table,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(parquet, "FILE_BYTES", 1)
    monkeypatch.setattr(groups, "GROUP_ROWS", 500)
    told: list[tuple[int, int]] = []
    outcome = staging.load(
        connection, table, numbered(0, 2000), progress=lambda rows, size: told.append((rows, size))
    )
    assert [rows for rows, _ in told] == [500, 1000, 1500, 2000]
    listed = staging.listed()
    assert outcome.files == len(listed) == 4
    assert outcome.bytes == told[-1][1] == sum(size for _, size in listed)
    connection.commit()
    assert all_of(connection, table) == numbered(0, 2000)
    assert staging.files() == []


def test_a_file_that_waits_to_be_sent_has_no_name_and_is_nobody_elses(
    staging: Staging,
    connection: sa.Connection,
    table: sa.Table,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Any,
) -> None:
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    seen = []

    def put(connection: Any, path: str, file: Any, size: int, explain: Any) -> None:
        seen.append((os.fstat(file.fileno()), list(folder.iterdir())))

    monkeypatch.setattr(staged, "put_file", put)
    staging.load(connection, table, numbered(0, 10))
    connection.rollback()
    ((state, named),) = seen
    assert named == []
    assert stat.S_IMODE(state.st_mode) == 0o600
    assert list(folder.iterdir()) == []


# --- what is refused ------------------------------------------------------------------------------


def refused(connection: sa.Connection) -> str:
    with pytest.raises(IntegrityError) as caught:
        connection.commit()
    connection.rollback()
    return str(caught.value.orig)


@pytest.mark.parametrize("mode", ["append", "replace", "upsert", "insert_missing"])
def test_a_key_that_comes_twice_in_the_files_is_refused(
    staging: Staging,
    connection: sa.Connection,
    table: sa.Table,
    mode: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(parquet, "FILE_BYTES", 1)
    monkeypatch.setattr(groups, "GROUP_ROWS", 5)
    staging.load(connection, table, numbered(100, 103))
    connection.commit()
    keys = {"keys": ["id"]} if mode in ("upsert", "insert_missing") else {}
    # One in the first file, and one in the last.
    staging.load(connection, table, [*numbered(0, 10), (3, "other", None)], mode, **keys)
    assert "items.id (PRIMARY KEY): the key (3) is" in refused(connection)
    staging.load(connection, table, [*numbered(0, 10), (99, "name 3", None)], mode, **keys)
    assert "items.name (UNIQUE): the key (name 3) is" in refused(connection)
    assert all_of(connection, table) == numbered(100, 103)
    assert staging.files() == []


def test_a_key_that_is_there_is_refused(
    staging: Staging, connection: sa.Connection, table: sa.Table
) -> None:
    staging.load(connection, table, numbered(0, 3))
    connection.commit()
    staging.load(connection, table, [(9, "name 9", None), (2, "other", None)])
    assert "the key (2) is in the table already" in refused(connection)
    staging.load(connection, table, [(9, "name 1", None)], "upsert", keys=["id"])
    assert "the key (name 1) is in the table already" in refused(connection)
    assert all_of(connection, table) == numbered(0, 3)
    # What is NULL is equal to nothing.
    staging.load(connection, table, [(9, None, None), (10, None, None)])
    connection.commit()
    assert len(all_of(connection, table)) == 5


def test_keys_are_not_checked_for_who_knows_better(
    staging: Staging, connection: sa.Connection, table: sa.Table
) -> None:
    rows = [(1, "a", None), (1, "a", None)]
    staging.load(connection, table, rows, enforce_keys=False)
    connection.commit()
    assert all_of(connection, table) == rows


def test_the_values_of_keys_are_hidden_where_they_are_to_be(
    staging: Staging, connect: Connect, table: sa.Table
) -> None:
    with connect(hide_keys=True).connect() as connection:
        staging.load(connection, table, [(4711, "a", None), (4711, "b", None)])
        assert "4711" not in refused(connection)


class TestForeignKeys:
    """References, where they are checked."""

    @pytest.fixture
    def family(self, connect: Connect) -> Iterator[tuple[sa.Connection, sa.Table, sa.Table]]:
        metadata = sa.MetaData()
        parents = items(metadata, "parents")
        children = sa.Table(
            "children",
            metadata,
            sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
            sa.Column("parent", sa.ForeignKey("parents.id")),
        )
        engine = connect(enforce_foreign_keys=True)
        metadata.create_all(engine)
        with engine.connect() as connection:
            connection.execute(parents.insert(), [{"id": n} for n in (1, 2, 3)])
            connection.commit()
            yield connection, parents, children

    @pytest.mark.parametrize("mode", ["append", "replace", "upsert"])
    def test_what_is_referred_to_has_to_be_there(
        self, staging: Staging, family: tuple[sa.Connection, sa.Table, sa.Table], mode: str
    ) -> None:
        connection, _, children = family
        keys: Any = {"keys": ["id"], "update": ["parent"]} if mode == "upsert" else {}
        staging.load(connection, children, [(1, 1), (2, None), (3, 3)], mode, **keys)
        connection.commit()
        if mode == "append":
            keys = {"keys": ["id"], "update": ["parent"]}
        staging.load(connection, children, [(1, 2), (2, 4)], "replace" if not keys else "upsert",
                     **keys)  # fmt: skip
        assert "children.parent: the key (4) is not in parents" in refused(connection)
        assert all_of(connection, children) == [(1, 1), (2, None), (3, 3)]

    def test_what_others_refer_to_has_to_be_among_what_takes_its_place(
        self, staging: Staging, family: tuple[sa.Connection, sa.Table, sa.Table]
    ) -> None:
        connection, parents, children = family
        connection.execute(children.insert(), [{"id": 1, "parent": 3}])
        connection.commit()
        staging.load(connection, parents, numbered(1, 3), "replace")
        assert "children.parent refers to the key (3), which is not among" in refused(connection)
        staging.load(connection, parents, numbered(3, 5), "replace")
        connection.commit()
        assert all_of(connection, parents) == numbered(3, 5)

    def test_rows_refer_to_rows_of_the_same_load(self, staging: Staging, connect: Connect) -> None:
        nodes = sa.Table(
            "nodes",
            sa.MetaData(),
            sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
            sa.Column("parent", sa.ForeignKey("nodes.id")),
        )
        engine = connect(enforce_foreign_keys=True)
        nodes.create(engine)
        with engine.connect() as connection:
            staging.load(connection, nodes, [(1, None), (2, 1), (3, 3)])
            connection.commit()
            # What was there is gone, and cannot be referred to.
            staging.load(connection, nodes, [(4, 1)], "replace")
            assert "the key (1) is not in nodes" in refused(connection)
            staging.load(connection, nodes, [(4, 5), (5, None)], "replace")
            connection.commit()
            assert all_of(connection, nodes) == [(4, 5), (5, None)]


def test_what_is_not_null_is_refused_by_the_warehouse(staging: Staging, connect: Connect) -> None:
    table = sa.Table(
        "items",
        sa.MetaData(),
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("name", sa.String, nullable=False),
    )
    engine = connect()
    table.create(engine)
    with engine.connect() as connection:
        staging.load(connection, table, [(1, "a"), (2, None)])
        with pytest.raises(IntegrityError):
            connection.commit()
        connection.rollback()
        assert all_of(connection, table) == []
    assert staging.files() == []


@pytest.mark.parametrize(
    ("mode", "options"),
    [
        ("merge", {}),
        ("upsert", {}),
        ("append", {"keys": ["id"]}),
        ("insert_missing", {"keys": ["id"], "update": ["name"]}),
    ],
)
def test_a_mode_that_makes_no_sense_is_refused_before_anything_is_sent(
    staging: Staging, connection: sa.Connection, table: sa.Table, mode: str, options: Any
) -> None:
    begin = len(staging.warehouse.requests)
    with pytest.raises(ArgumentError, match="mode="):
        staging.load(connection, table, numbered(0, 1), mode, **options)
    assert len(staging.warehouse.requests) == begin


# --- as a part of the unit of work ----------------------------------------------------------------


def test_a_rollback_undoes_it_and_removes_its_files(
    staging: Staging, connection: sa.Connection, table: sa.Table
) -> None:
    staging.load(connection, table, numbered(0, 10))
    begin = len(staging.warehouse.requests)
    connection.rollback()
    assert sent_since(staging, begin) == ["REMOVE", "DELETE /sta"]
    assert staging.files() == []
    assert all_of(connection, table) == []


def test_a_connection_that_is_given_back_leaves_no_file(
    staging: Staging, connect: Connect, table: sa.Table
) -> None:
    with connect().connect() as connection:
        staging.load(connection, table, numbered(0, 10))
        assert len(staging.files()) == 1
    assert staging.files() == []


def test_a_savepoint_undoes_it(
    staging: Staging, connection: sa.Connection, table: sa.Table
) -> None:
    connection.execute(table.insert(), [{"id": 1000}])
    nested = connection.begin_nested()
    staging.load(connection, table, numbered(0, 10))
    nested.rollback()
    with connection.begin_nested():
        staging.load(connection, table, numbered(20, 23))
    connection.commit()
    assert all_of(connection, table) == [*numbered(20, 23), (1000, None, None)]
    assert staging.files() == []


@pytest.mark.parametrize("transactions", [True, False])
def test_other_writes_of_the_unit_are_one_statement_with_it(
    staging: Staging, connect: Connect, table: sa.Table, transactions: bool
) -> None:
    engine = connect(transactions="auto" if transactions else "off")
    with engine.connect() as connection:
        staging.load(connection, table, numbered(0, 5))
        connection.execute(sa.update(table).where(table.c.id == 3).values(name="three"))
        connection.execute(sa.delete(table).where(table.c.id == 4))
        staging.load(connection, table, numbered(2, 3, "7.00"), "upsert", keys=["id"],
                     update=["amount"])  # fmt: skip
        expected = [*numbered(0, 2), *numbered(2, 3, "7.00"), (3, "three", Decimal("1.25"))]
        begin = len(staging.warehouse.requests)
        assert all_of(connection, table) == expected
        assert len(staging.warehouse.requests) == begin + 1
        connection.commit()
        assert sent_since(staging, begin)[1] == "MERGE INTO"
        assert all_of(connection, table) == expected
    assert staging.files() == []


def test_a_key_that_the_same_unit_has_written_is_refused(
    staging: Staging, connection: sa.Connection, table: sa.Table
) -> None:
    connection.execute(table.insert(), [{"id": 3, "name": "mine"}])
    staging.load(connection, table, numbered(0, 5))
    assert "the key (3) is in the table already" in refused(connection)
    assert all_of(connection, table) == []


def test_a_unit_on_two_tables_is_refused_before_anything_is_written(
    staging: Staging, connect: Connect
) -> None:
    metadata = sa.MetaData()
    one, other = items(metadata, "one"), items(metadata, "other")
    engine = connect()
    metadata.create_all(engine)
    with engine.connect() as connection:
        connection.execute(other.insert(), [{"id": 1}])
        begin = len(staging.warehouse.requests)
        assert "has written to other before" in str(staging_refused(connection, one))
        with pytest.raises(NotSupportedError, match="has written to other before"):
            staging.load(connection, one, numbered(0, 5))
        assert len(staging.warehouse.requests) == begin
        connection.rollback()
        staging.load(connection, one, numbered(0, 5))
        connection.execute(other.insert(), [{"id": 1}])
        with pytest.raises(DBAPIError, match="a transaction cannot read") as caught:
            connection.commit()
        assert isinstance(caught.value.orig, AtomicityError)
        connection.rollback()
        assert all_of(connection, one) == all_of(connection, other) == []
    assert staging.files() == []


def test_a_unit_on_two_tables_goes_one_by_one_where_that_is_asked_for(
    staging: Staging, connect: Connect
) -> None:
    metadata = sa.MetaData()
    one, other = items(metadata, "one"), items(metadata, "other")
    engine = connect(atomicity="per_table")
    metadata.create_all(engine)
    with engine.connect() as connection:
        connection.execute(other.insert(), [{"id": 1}])
        staging.load(connection, one, numbered(0, 5))
        connection.commit()
        assert all_of(connection, one) == numbered(0, 5)
        assert all_of(connection, other) == [(1, None, None)]
    assert staging.files() == []


def test_within_a_transaction_it_is_refused_by_name(
    staging: Staging, connect: Connect, table: sa.Table
) -> None:
    engine = connect(isolation_level="REPEATABLE READ")
    with engine.connect() as connection:
        begin = len(staging.warehouse.requests)
        with pytest.raises(NotSupportedError, match="a transaction of the warehouse cannot read"):
            staging.load(connection, table, numbered(0, 5))
        assert len(staging.warehouse.requests) == begin


def test_a_read_that_would_take_a_transaction_is_refused_and_nothing_is_lost(
    staging: Staging, connection: sa.Connection, table: sa.Table
) -> None:
    staging.load(connection, table, numbered(0, 5))
    with pytest.raises(DBAPIError, match="a transaction cannot read the files") as caught:
        connection.execute(sa.text("SELECT count(*) FROM items"))
    assert isinstance(caught.value.orig, PendingWritesError)
    connection.commit()
    assert all_of(connection, table) == numbered(0, 5)


def test_with_autocommit_it_is_done_at_once(
    staging: Staging, connect: Connect, table: sa.Table
) -> None:
    with connect(isolation_level="AUTOCOMMIT").connect() as connection:
        outcome = staging.load(connection, table, numbered(0, 5), "upsert", keys=["id"])
        assert staging.files() == []
        assert (outcome.inserted, outcome.changed) == (5, 0)
        with pytest.raises(IntegrityError, match="in the table already"):
            staging.load(connection, table, numbered(4, 6))
        assert staging.files() == []
        assert all_of(connection, table) == numbered(0, 5)


def test_schemas_that_stand_for_others_are_translated(
    staging: Staging, connect: Connect, table: sa.Table, local_warehouse: TestWarehouse
) -> None:
    named = items(sa.MetaData(), schema="nowhere")
    engine = connect().execution_options(schema_translate_map={"nowhere": local_warehouse.schema})
    with engine.begin() as connection:
        staging.load(connection, named, numbered(0, 5))
    with engine.connect() as connection:
        assert all_of(connection, table) == numbered(0, 5)


# --- where something goes wrong -------------------------------------------------------------------


@pytest.mark.parametrize("error", [ValueError("row 1500"), KeyboardInterrupt()])
def test_what_the_source_raises_leaves_nothing(
    staging: Staging,
    connection: sa.Connection,
    table: sa.Table,
    error: BaseException,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(parquet, "FILE_BYTES", 1)
    monkeypatch.setattr(groups, "GROUP_ROWS", 500)
    columns = stored(table)

    def failing() -> Iterator[pa.RecordBatch]:
        yield from batches_of(columns, numbered(0, 1500), 500)
        assert len(staging.files()) >= 1
        raise error

    with pytest.raises(type(error)):
        load_staged(connection, table, columns, failing(), mode="append", volume=staging.volume)
    assert staging.files() == []
    connection.commit()
    assert all_of(connection, table) == []


def test_a_batch_of_other_types_is_refused(
    staging: Staging, connection: sa.Connection, table: sa.Table
) -> None:
    columns = stored(table, "id", "name")
    wrong = pa.record_batch([pa.array(["1"]), pa.array(["a"])], names=["a", "b"])
    with pytest.raises(
        TypeError, match="a batch has columns of string, string, where int64, string"
    ):
        load_staged(connection, table, columns, iter([wrong]), mode="append", volume=staging.volume)
    assert staging.files() == []


def test_a_volume_that_does_not_exist_is_told_with_the_fix(
    staging: Staging, connection: sa.Connection, table: sa.Table, local_warehouse: TestWarehouse
) -> None:
    staging.volume = Volume(f"/Volumes/main/{local_warehouse.schema}/nothing")
    with pytest.raises(DBAPIError, match=r"CREATE VOLUME main\.test_") as caught:
        staging.load(connection, table, numbered(0, 5))
    assert "does not exist; nothing was sent" in str(caught.value)


def test_a_connection_that_is_found_broken_leaves_no_file(
    staging: Staging, connection: sa.Connection, table: sa.Table, local_warehouse: TestWarehouse
) -> None:
    staging.load(connection, table, numbered(0, 5))
    local_warehouse.inject(
        Fault.reset(operation="ExecuteStatement", statement="vinci_layer", times=2)
    )
    with pytest.raises(DBAPIError) as caught:
        all_of(connection, table)
    assert caught.value.connection_invalidated
    assert staging.files() == []
    connection.rollback()
    assert all_of(connection, table) == []


@pytest.mark.parametrize("word", ["LIST", "PUT"])
def test_a_right_that_is_missing_is_told_with_the_fix(
    staging: Staging,
    connection: sa.Connection,
    table: sa.Table,
    local_warehouse: TestWarehouse,
    word: str,
) -> None:
    said = "[INSUFFICIENT_PERMISSIONS] Insufficient privileges: User does not have WRITE VOLUME"
    local_warehouse.inject(
        Fault.http(403, message=said, operation="ExecuteStatement", statement=f"^{word}")
    )
    with pytest.raises(DBAPIError, match="GRANT READ VOLUME, WRITE VOLUME") as caught:
        staging.load(connection, table, numbered(0, 5))
    assert isinstance(caught.value.orig, PermissionDenied)
    assert staging.files() == []
    connection.rollback()
    assert all_of(connection, table) == []


def test_links_that_are_refused_for_good_are_told_before_anything_is_seen(
    staging: Staging, connection: sa.Connection, table: sa.Table, local_warehouse: TestWarehouse
) -> None:
    local_warehouse.inject(Fault.http(403, operation=STAGING_PUT, times=9))
    with pytest.raises(DBAPIError, match="answered with status 403"):
        staging.load(connection, table, numbered(0, 5))
    assert staging.files() == []
    assert all_of(connection, table) == []


def test_files_that_were_taken_away_fail_the_commit_and_write_nothing(
    staging: Staging, connection: sa.Connection, table: sa.Table, connect: Connect
) -> None:
    staging.load(connection, table, numbered(0, 5))
    with connect().connect() as other:
        assert remove_staged(other, staging.volume, older_than=_AT_ONCE) == 1
    with pytest.raises(DBAPIError, match="PATH_NOT_FOUND"):
        connection.commit()
    connection.rollback()
    assert all_of(connection, table) == []


def test_a_folder_that_cannot_be_listed_is_a_warning_and_no_obstacle(
    staging: Staging,
    connection: sa.Connection,
    table: sa.Table,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    # As if a workspace had another word for a folder that is not there yet.
    monkeypatch.setattr(staged, "_MISSING", "ANOTHER_WORD")
    staging.load(connection, table, numbered(0, 5))
    connection.commit()
    assert len(all_of(connection, table)) == 5
    assert "cannot be listed" in caplog.text


def test_what_a_killed_process_leaves_is_removed_when_it_is_old(
    staging: Staging,
    connection: sa.Connection,
    table: sa.Table,
    monkeypatch: pytest.MonkeyPatch,
    connect: Connect,
) -> None:
    with connect().connect() as killed:
        staging.load(killed, table, numbered(0, 5))
        left = staging.files()
        opened: Any = killed.connection.dbapi_connection
        opened.unit._files.leave()
    assert staging.files() == left
    # Somebody else's file stays in any case.
    opened = connection.connection.dbapi_connection
    opened.put_file(f"{staging.volume.path}/vinci_load/mine.parquet", io.BytesIO(b"x"), 1)
    staging.load(connection, table, numbered(0, 5))
    connection.rollback()
    assert staging.files() == [*left, "mine.parquet"]
    monkeypatch.setattr(staged, "STALE", _AT_ONCE)
    staging.load(connection, table, numbered(0, 5))
    assert len(staging.files()) == 2
    assert left[0] not in staging.files()
    connection.rollback()
    assert staging.files() == ["mine.parquet"]


def test_a_link_is_in_no_log(
    staging: Staging,
    connection: sa.Connection,
    table: sa.Table,
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level("DEBUG"):
        staging.load(connection, table, numbered(0, 5))
        connection.commit()
    assert "/staging/" in caplog.text
    assert re.findall(r"X-Amz-Signature=(?!<REDACTED>)", caplog.text) == []


def test_an_engine_for_asyncio_stages_on_the_thread_of_its_connection(
    staging: Staging, table: sa.Table, local_warehouse: TestWarehouse
) -> None:
    async def run() -> list[tuple[Any, ...]]:
        engine = create_async_engine(local_warehouse.engine_url)
        try:
            async with engine.connect() as connection:
                await connection.run_sync(staging.load, table, numbered(0, 50))
                await connection.rollback()
                assert staging.files() == []
                await connection.run_sync(staging.load, table, numbered(0, 5))
                await connection.commit()
                return await connection.run_sync(all_of, table)
        finally:
            await engine.dispose()

    assert asyncio.run(run()) == numbered(0, 5)
    assert staging.files() == []
