"""To explain a load takes nothing and calls nothing; and what cannot be known is not counted."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pytest
import sqlalchemy as sa
from sqlalchemy.exc import ArgumentError

from tests.dialect.held import rows_of
from vinci_code.database import load


@pytest.fixture
def table(engine: sa.Engine) -> sa.Table:
    found = sa.Table(
        "explained",
        sa.MetaData(),
        sa.Column("id", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("x", sa.String),
    )
    found.create(engine)
    return found


class Stream:
    """Something of Arrow that is empty once it was asked."""

    asked = 0

    def __arrow_c_stream__(self, requested_schema: Any = None) -> Any:
        self.asked += 1
        return pa.table({"id": [1], "x": ["a"]}).__arrow_c_stream__(requested_schema)


def test_nothing_is_taken_of_what_is_read_once(engine: sa.Engine, table: sa.Table) -> None:
    rows = iter([{"id": 1, "x": "a"}, {"id": 2, "x": "b"}])
    batches = pa.table({"id": [3, 4]}).to_batches(max_chunksize=1)
    reader = pa.RecordBatchReader.from_batches(batches[0].schema, batches)
    for source in (rows, reader, {"a": 1}.values()):
        with pytest.raises(ArgumentError, match="read once only; nothing was taken"):
            load(engine, table, source, explain=True)
    stream = Stream()
    with pytest.raises(ArgumentError, match="read once only"):
        load(engine, table, stream, explain=True)
    assert stream.asked == 0
    load(engine, table, rows)
    load(engine, table, reader)
    assert [row[0] for row in rows_of(engine, table)] == [1, 2, 3, 4]


def test_defaults_are_not_called(engine: sa.Engine) -> None:
    counter: Iterator[int] = itertools.count(1)
    table = sa.Table(
        "counted",
        sa.MetaData(),
        sa.Column("id", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("n", sa.BigInteger, default=lambda: next(counter)),
    )
    table.create(engine)
    source = pa.table({"id": [1, 2]})
    way = load(engine, table, source, explain=True).way
    assert load(engine, table, source).way == way
    assert rows_of(engine, table) == [(1, 1), (2, 2)]


def test_rows_of_a_key_that_is_there_twice_are_not_counted(online: sa.Engine, staged: Any) -> None:
    table = sa.Table(
        "twice",
        sa.MetaData(),
        sa.Column("id", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("x", sa.String),
    )
    table.create(online)
    for _ in range(2):
        load(online, table, [{"id": 1, "x": "a"}], enforce_keys=False)
    source = pa.table({"id": [1, 2, 3], "x": ["b"] * 3})
    done = load(online, table, source, mode="upsert", enforce_keys=False)
    assert (done.inserted, done.changed, done.skipped) == (2, 2, None)
