"""Values that lose something are refused with row and column, the same on both databases."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pytest
import sqlalchemy as sa

from tests.dialect.held import rows_of
from vinci_code.core.errors import LoadRefusedError, RowRefusedError
from vinci_code.database import load


def made(engine: sa.Engine, kind: Any) -> sa.Table:
    found = sa.Table(
        "refused",
        sa.MetaData(),
        sa.Column("id", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("v", kind),
    )
    found.create(engine)
    return found


def objects(*values: Any) -> Any:
    pd = pytest.importorskip("pandas")
    return pd.DataFrame({"id": range(len(values)), "v": pd.Series(values, dtype=object)})


def timestamp(*given: Any, **named: Any) -> Any:
    return pytest.importorskip("pandas").Timestamp(*given, **named)


@pytest.mark.parametrize(
    ("kind", "make"),
    [
        (sa.DateTime, lambda: timestamp("2026-01-31 12:00:00.123456789")),
        (sa.DateTime, lambda: timestamp("2026-01-31", tz="Europe/Berlin")),
        (sa.DateTime(timezone=True), lambda: timestamp("2026-01-31")),
        (sa.Date, lambda: timestamp("2026-01-31 12:00:00")),
        (sa.Interval, lambda: pytest.importorskip("pandas").Timedelta(1, "ns")),
        (sa.String, lambda: b"bytes"),
        (sa.Integer, lambda: 1.5),
        (sa.BigInteger, lambda: 2**70),
    ],
)
def test_objects_of_pandas(engine: sa.Engine, kind: Any, make: Callable[[], Any]) -> None:
    table = made(engine, kind)
    with pytest.raises(RowRefusedError) as caught:
        load(engine, table, objects(None, make()))
    assert (caught.value.row, caught.value.column) == (2, "v")
    assert rows_of(engine, table) == []


def test_nothing_in_a_column_of_objects_is_null(engine: sa.Engine) -> None:
    numpy = pytest.importorskip("numpy")
    table = made(engine, sa.JSON)
    load(engine, table, objects({"a": 1}, None, float("nan"), numpy.float32("nan")))
    with engine.connect() as connection:
        found = connection.execute(
            sa.select(table.c.id).where(table.c.v.is_(sa.null())).order_by(table.c.id)
        )
        assert found.scalars().all() == [1, 2, 3]


def test_arrays_of_numpy_are_lists(engine: sa.Engine) -> None:
    numpy = pytest.importorskip("numpy")
    table = made(engine, sa.JSON)
    load(engine, table, objects(numpy.array([1, 2])))
    assert rows_of(engine, table) == [(0, [1, 2])]


def test_a_float_has_the_digits_that_it_is_known_by(engine: sa.Engine) -> None:
    table = made(engine, sa.Numeric(10, 2))
    for value in (2.675, 123.456, 0.001, float("nan")):
        with pytest.raises(RowRefusedError) as caught:
            load(engine, table, pa.table({"id": [1, 2], "v": [1.1, value]}))
        assert (caught.value.row, caught.value.column) == (2, "v")
    load(engine, table, pa.table({"id": [1], "v": [0.29]}))
    assert [str(row[1]) for row in rows_of(engine, table)] == ["0.29"]


@pytest.mark.parametrize("mode", ["append", "upsert"])
@pytest.mark.parametrize(
    ("kind", "value"),
    [(sa.BigInteger, 2**70), (sa.String, "\ud800"), (sa.String, object())],
)
def test_what_no_database_stores(engine: sa.Engine, kind: Any, value: Any, mode: Any) -> None:
    table = made(engine, kind)
    with pytest.raises(RowRefusedError) as caught:
        load(engine, table, [{"id": 1, "v": None}, {"id": 2, "v": value}], mode=mode)
    assert (caught.value.row, caught.value.column) == (2, "v")


def test_types_that_arrow_has_not(sqlite: sa.Engine) -> None:
    pd = pytest.importorskip("pandas")
    table = made(sqlite, sa.String)
    with pytest.raises(LoadRefusedError, match="Arrow does not have"):
        load(sqlite, table, pd.DataFrame({"id": [1], "v": [1 + 2j]}))


def test_a_struct_with_two_fields_of_one_name(sqlite: sa.Engine) -> None:
    table = made(sqlite, sa.JSON)
    struct = pa.StructArray.from_arrays([pa.array([1]), pa.array([2])], names=["a", "a"])
    for column in (struct, pa.ListArray.from_arrays([0, 1], struct)):
        with pytest.raises(LoadRefusedError, match="a struct that has two fields called 'a'"):
            load(sqlite, table, pa.table({"id": [1], "v": column}))
