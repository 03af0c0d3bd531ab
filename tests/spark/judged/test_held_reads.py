"""How Spark reads the stored table where a query brings along what its unit holds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import pytest
from pyspark.sql import DataFrame, SparkSession
from sqlalchemy import (
    BigInteger,
    Column,
    Integer,
    MetaData,
    String,
    Table,
    bindparam,
    delete,
    func,
    insert,
    select,
    update,
)

from tests.dialect.held import engine_on
from tests.spark.parameters import with_literals
from vinci_code.database import upsert
from vinci_code.warehouse import LocalWarehouse

FILES, IN_A_FILE = 6, 100
STORED = FILES * IN_A_FILE
ITEM = Table(
    "held_item",
    MetaData(),
    Column("id", BigInteger, primary_key=True, autoincrement=False),
    Column("name", String),
    Column("price", Integer),
    Column("note", String),
)
NEW = [{"id": STORED + n, "name": f"new {n}", "price": n, "note": None} for n in (1, 2, 3)]
CHANGED = [{"key": n, "price": -n} for n in (5, 355)]

WRITES: dict[str, Sequence[tuple[Any, Any]]] = {
    "inserts": [(insert(ITEM), NEW)],
    "updates": [(update(ITEM).where(ITEM.c.id == bindparam("key")), CHANGED)],
    "deletes": [(delete(ITEM).where(ITEM.c.id == bindparam("key")), [{"key": 7}, {"key": 507}])],
    "upserts": [(upsert(ITEM, [NEW[0] | {"id": 450}, NEW[0] | {"id": 490}], keys=["id"]), None)],
    "a condition": [(update(ITEM).where(ITEM.c.price > 90).values(price=ITEM.c.price + 1), None)],
}
WRITES["all of these"] = [step for steps in WRITES.values() for step in steps]
BY_KEY = select(ITEM).where(ITEM.c.id == 350)
SOME = select(ITEM.c.name).where(ITEM.c.id.between(350, 360)).order_by(ITEM.c.id)
ALL = select(func.count(), func.sum(ITEM.c.price))
FIRST = select(ITEM.c.name).limit(3)


class Scan(NamedTuple):
    """How a table was read: of how many files, how many rows, and which columns."""

    files: int
    rows: int
    columns: frozenset[str]


@pytest.fixture(scope="module")
def held(spark: SparkSession) -> Iterator[LocalWarehouse]:
    """A warehouse that renders what is read, with the same rows as a table of several files."""
    with LocalWarehouse() as warehouse:
        spark.sql(f"CREATE TABLE {ITEM} (id BIGINT, name STRING, price INT, note STRING)")
        engine = engine_on(warehouse, warehouse.schema)
        ITEM.create(engine)
        engine.dispose()
        for file in range(FILES):
            rows = (
                f"INSERT INTO {ITEM} SELECT id, concat('n', id), CAST(id % 100 AS INT), 'a note' "
                f"FROM range({file * IN_A_FILE + 1}, {(file + 1) * IN_A_FILE + 1})"
            )
            spark.sql(rows)
            warehouse.sql(rows)
        yield warehouse
        spark.sql(f"DROP TABLE {ITEM}")


def read(held: LocalWarehouse, spark: SparkSession, writes: str, query: Any) -> list[Scan]:
    """Run a query over held writes on both; returns how Spark has read the stored table."""
    engine = engine_on(held, held.schema, held_read_bytes=1_000_000)
    with engine.connect() as connection:
        for statement, rows in WRITES[writes]:
            connection.execute(statement, rows)
        expected = list(map(tuple, connection.execute(query).all()))
        request = [item for item in held.requests if item.statement is not None][-1]
        connection.rollback()
    engine.dispose()
    parameters = [{"type": kind, "value": value} for _, kind, value in request.parameters]
    frame = spark.sql(with_literals(request.statement or "", parameters))
    found = list(map(tuple, frame.collect()))
    # Which rows come with a LIMIT alone is not said.
    assert len(found) == len(expected) if query is FIRST else found == expected
    return list(scans(frame))


def scans(frame: DataFrame) -> Iterator[Scan]:
    """The scans of a plan that was run, by what Spark has counted."""
    plans: list[Any] = [frame._jdf.queryExecution().executedPlan()]
    while plans:
        plan = plans.pop()
        below = [plan.children().apply(n) for n in range(plan.children().size())]
        plans += below
        if not below and plan.nodeName().startswith("Scan parquet"):
            files, rows = map(plan.metrics().apply, ("numFiles", "numOutputRows"))
            columns = frozenset(plan.requiredSchema().fieldNames())
            yield Scan(files.value(), rows.value(), columns)


def of_rows(found: list[Scan], columns: set[str]) -> Scan:
    """The scan that gives rows; another may look for keys."""
    (scan,) = [scan for scan in found if scan.columns >= columns]
    return scan


@pytest.mark.slow
@pytest.mark.parametrize("writes", WRITES)
def test_a_condition_on_the_key_skips_files_and_only_what_is_selected_is_read(
    writes: str, held: LocalWarehouse, spark: SparkSession
) -> None:
    scan = of_rows(read(held, spark, writes, BY_KEY), {"name"})
    assert scan.files == 1
    assert scan.columns == {column.name for column in ITEM.columns}
    # The key alone says which rows are changed.
    scan = of_rows(read(held, spark, writes, SOME), {"name"})
    assert scan.files == 1
    assert scan.columns == {"id", "name"}


@pytest.mark.slow
@pytest.mark.parametrize("writes", WRITES)
def test_a_limit_ends_the_scan(writes: str, held: LocalWarehouse, spark: SparkSession) -> None:
    scan = of_rows(read(held, spark, writes, FIRST), {"name"})
    # Delta leaves out files where it knows how many rows they give, which a DELETE makes uncertain.
    assert scan.rows < IN_A_FILE


@pytest.mark.slow
@pytest.mark.parametrize(("writes", "files"), [("inserts", 0), ("upserts", 1)])
def test_what_looks_for_keys_skips_files_where_the_query_reads_all(
    writes: str, files: int, held: LocalWarehouse, spark: SparkSession
) -> None:
    found = read(held, spark, writes, ALL)
    assert of_rows(found, {"price"}).files == FILES
    assert [scan.files for scan in found if scan.columns == {"id"}] == [files]
