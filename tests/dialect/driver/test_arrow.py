"""``fetchall_arrow`` and ``fetchmany_arrow``: the warehouse's types, and each row once."""

from __future__ import annotations

import asyncio
import importlib.util
import random
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pytest
from sqlalchemy import URL
from sqlalchemy.ext.asyncio import create_async_engine

from vinci_code.core.errors import MissingExtraError
from vinci_code.database.dialect.driver import dbapi, rows
from vinci_code.database.dialect.driver.rows import to_rows
from vinci_code.warehouse.faults import Fault
from vinci_code.warehouse.pytest_plugin import TestWarehouse

# What is selected, its type in Arrow, and its value there.
TYPES: dict[str, tuple[str, pa.DataType]] = {
    "tinyint": ("CAST(1 AS TINYINT)", pa.int8()),
    "int": ("CAST(2 AS INT)", pa.int32()),
    "bigint": ("9223372036854775807", pa.int64()),
    "float": ("CAST(0.5 AS FLOAT)", pa.float32()),
    "double": ("0.5D", pa.float64()),
    "decimal": ("CAST('12.50' AS DECIMAL(10,2))", pa.decimal128(10, 2)),
    "boolean": ("true", pa.bool_()),
    "string": ("'text'", pa.string()),
    "binary": ("X'00FF'", pa.binary()),
    "date": ("DATE'2024-02-29'", pa.date32()),
    "timestamp": ("TIMESTAMP'2024-02-29 01:02:03.000004Z'", pa.timestamp("us", "Etc/UTC")),
    "timestamp_ntz": ("TIMESTAMP_NTZ'2024-02-29 01:02:03.000004'", pa.timestamp("us")),
    "void": ("NULL", pa.null()),
    "variant": ("parse_json('{\"a\":1}')", pa.string()),
    "array": ("array(1, 2)", pa.list_(pa.int32())),
    "map": ("map('a', 1)", pa.map_(pa.string(), pa.int32())),
    "struct": ("named_struct('a', 1, 'b', 'x')", pa.struct({"a": pa.int32(), "b": pa.string()})),
}


@pytest.mark.parametrize("name", TYPES)
def test_the_type_is_the_warehouses(name: str, connection: dbapi.Connection) -> None:
    expression, kind = TYPES[name]
    select = f"SELECT {expression} AS value"
    cursor = connection.cursor()
    table = cursor.execute(select).fetchall_arrow()
    assert table.schema.field("value").type == kind
    assert to_rows(table) == cursor.execute(select).fetchall()
    assert cursor.execute(f"{select} WHERE false").fetchall_arrow().schema.types == [kind]
    assert cursor.execute(f"{select} LIMIT 0").fetchmany_arrow(5).num_rows == 0


@pytest.mark.parametrize("seed", range(3))
def test_each_row_comes_once_by_whichever_way(seed: int, connection: dbapi.Connection) -> None:
    print(f"seed {seed}")
    chance = random.Random(seed)
    cursor = connection.cursor().execute("SELECT id FROM range(25000)")
    found: list[Any] = []
    ways: list[Callable[[], list[Any]]] = [
        lambda: [row for row in [cursor.fetchone()] if row is not None],
        lambda: cursor.fetchmany(chance.randrange(3000)),
        lambda: to_rows(cursor.fetchmany_arrow(chance.randrange(3000))),
        lambda: to_rows(cursor.fetchmany_arrow()),
    ]
    for _ in range(12):
        found += chance.choice(ways)()
    found += to_rows(cursor.fetchall_arrow()) if seed % 2 else cursor.fetchall()
    assert found == [(number,) for number in range(25000)]
    assert cursor.fetchall_arrow().num_rows == cursor.fetchmany_arrow(3).num_rows == 0
    assert cursor.fetchone() is None


def test_at_most_as_many_rows_as_were_asked_for(connection: dbapi.Connection) -> None:
    cursor = connection.cursor().execute("SELECT id FROM range(10)")
    assert cursor.fetchone() == (0,)
    assert to_rows(cursor.fetchmany_arrow(0)) == []
    assert to_rows(cursor.fetchmany_arrow(4)) == [(1,), (2,), (3,), (4,)]
    assert cursor.fetchone() == (5,)
    assert to_rows(cursor.fetchmany_arrow(99)) == [(6,), (7,), (8,), (9,)]


def test_no_row_is_skipped_after_a_fetch_that_failed(
    local_warehouse: TestWarehouse, connection: dbapi.Connection
) -> None:
    cursor = connection.cursor().execute("SELECT id FROM range(350000)")
    assert cursor.fetchone() == (0,)
    local_warehouse.inject(Fault.reset("after", operation="FetchResults"))
    with pytest.raises(dbapi.ConnectionLostError, match="skipped"):
        cursor.fetchall_arrow()
    for fetch in (cursor.fetchall_arrow, lambda: cursor.fetchmany_arrow(1), cursor.fetchmany):
        with pytest.raises(dbapi.ResultExpired, match="run the query again"):
            fetch()


def test_a_result_that_the_warehouse_has_forgotten_is_said_to_be_gone(
    connection: dbapi.Connection,
) -> None:
    cursor = connection.cursor().execute("SELECT id FROM range(350000)")
    assert cursor.fetchmany_arrow(10).num_rows == 10
    # As it does with a reader that sleeps for too long.
    result = cursor._driver_cursor.active_result_set
    result.backend.close_command(result.command_id)
    with pytest.raises(dbapi.ResultExpired, match="fetch the rows without long pauses"):
        cursor.fetchall_arrow()


def test_without_rows_it_is_an_error(connection: dbapi.Connection) -> None:
    cursor = connection.cursor()
    for fetch in (cursor.fetchall_arrow, cursor.fetchmany_arrow):
        with pytest.raises(dbapi.InterfaceError, match="there are no rows"):
            fetch()
    cursor.execute("CREATE TABLE t (a INT)")
    with pytest.raises(dbapi.InterfaceError, match="there are no rows"):
        cursor.fetchall_arrow()
    cursor.close()
    with pytest.raises(dbapi.InterfaceError, match="the cursor is closed"):
        cursor.fetchall_arrow()


def test_what_did_not_come_as_arrow_is_refused() -> None:
    class ByColumns:
        num_rows = 1
        column_table = ([1, 2],)

    class Cursor:
        def fetchall_arrow(self) -> ByColumns:
            return ByColumns()

        def fetchmany_arrow(self, size: int) -> ByColumns:
            return ByColumns()

    with pytest.raises(dbapi.NotSupportedError, match="and not as Arrow"):
        rows.ResultRows(Cursor()).all_arrow()
    found = rows.ResultRows(Cursor())
    assert found.one() == (1,)
    with pytest.raises(dbapi.NotSupportedError, match="fetch them as rows"):
        found.many_arrow(1)
    assert found.ready() == (2,)


def test_without_pyarrow_nothing_is_fetched(
    connection: dbapi.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    cursor = connection.cursor().execute("SELECT 1 AS a")
    with monkeypatch.context() as patch:
        patch.setattr(importlib.util, "find_spec", lambda _: None)
        for fetch in (cursor.fetchall_arrow, cursor.fetchmany_arrow):
            with pytest.raises(MissingExtraError, match=r"pyarrow is not installed\. Install it: "):
                fetch()
    assert cursor.fetchall() == [(1,)]


async def cursors(url: URL, arguments: dict[str, Any], work: Callable[..., None]) -> None:
    engine = create_async_engine(url, connect_args=arguments)
    try:
        async with engine.connect() as connection:
            raw: Any = await connection.get_raw_connection()
            await connection.run_sync(lambda _: work(raw.dbapi_connection))
    finally:
        await engine.dispose()


def test_the_cursor_for_asyncio_has_them_too(engine_url: URL, engine_args: dict[str, Any]) -> None:
    def work(opened: Any) -> None:
        cursor = opened.cursor(server_side=True).execute("SELECT id FROM range(10)")
        assert cursor.fetchone() == (0,)
        assert to_rows(cursor.fetchmany_arrow(2)) == [(1,), (2,)]
        assert cursor.fetchall_arrow().num_rows == 7
        cursor.close()
        whole = opened.cursor().execute("SELECT 1 AS a")
        for fetch in (whole.fetchall_arrow, whole.fetchmany_arrow):
            with pytest.raises(dbapi.NotSupportedError, match="server_side=True"):
                fetch()
        assert whole.fetchall() == [(1,)]

    url = engine_url.set(drivername="databricks+vinci_async")
    asyncio.run(cursors(url, engine_args, work))
