"""Random writes against a model of the table: rows, counts, transactions, every older version."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest
from databricks import sql
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.full import some
from tests.warehouse.driver import Connection
from vinci_code.warehouse import LocalWarehouse

SCHEMA = "random_tables"
SEEDED = settings(
    derandomize=True,
    deadline=None,
    max_examples=some(30, few=15),
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

Row = tuple[int, "int | None"]


@dataclass(frozen=True)
class Write:
    """One statement, what it does to the rows, and how many it says it touched."""

    text: str
    apply: Callable[[list[Row]], tuple[list[Row], int]]


@dataclass
class Model:
    """What the table must hold, and what each of its versions must go on holding."""

    rows: list[Row] = field(default_factory=list)
    versions: list[list[Row]] = field(default_factory=lambda: [[]])

    def commit(self, rows: list[Row]) -> None:
        """Take rows as the newest version."""
        self.rows = rows
        self.versions.append(rows)


def ordered(rows: list[Row]) -> list[Row]:
    return sorted(rows, key=lambda row: (row[0], row[1] is not None, row[1] or 0))


def literal(value: int | None) -> str:
    return "NULL" if value is None else str(value)


def insert(new: list[Row]) -> Write:
    values = ", ".join(f"({row[0]}, {literal(row[1])})" for row in new)
    return Write(f"INSERT INTO t VALUES {values}", lambda rows: (rows + new, len(new)))


def insert_copies(limit: int) -> Write:
    def apply(rows: list[Row]) -> tuple[list[Row], int]:
        copies = [(row[0] + 10, row[1]) for row in rows if row[0] < limit]
        return rows + copies, len(copies)

    return Write(f"INSERT INTO t SELECT id + 10, v FROM t WHERE id < {limit}", apply)


def update(step: int, limit: int) -> Write:
    def apply(rows: list[Row]) -> tuple[list[Row], int]:
        hit = [row for row in rows if row[1] is not None and row[1] >= limit]
        changed = [
            (row[0], row[1] + step) if row[1] is not None and row[1] >= limit else row
            for row in rows
        ]
        return changed, len(hit)

    return Write(f"UPDATE t SET v = v + {step} WHERE v >= {limit}", apply)


def delete(number: int) -> Write:
    def apply(rows: list[Row]) -> tuple[list[Row], int]:
        kept = [row for row in rows if row[0] % 5 != number]
        return kept, len(rows) - len(kept)

    return Write(f"DELETE FROM t WHERE pmod(id, 5) = {number}", apply)


def merge(source: dict[int, int]) -> Write:
    values = ", ".join(f"({key}, {value})" for key, value in source.items())
    text = (
        f"MERGE INTO t USING (SELECT * FROM VALUES {values} AS v(id, v)) AS s ON t.id = s.id "
        "WHEN MATCHED AND s.v < 0 THEN DELETE WHEN MATCHED THEN UPDATE SET v = s.v "
        "WHEN NOT MATCHED THEN INSERT *"
    )

    def apply(rows: list[Row]) -> tuple[list[Row], int]:
        present = {row[0] for row in rows}
        kept = [(row[0], source.get(row[0], row[1])) for row in rows if source.get(row[0], 0) >= 0]
        added: list[Row] = [pair for pair in source.items() if pair[0] not in present]
        touched = sum(row[0] in source for row in rows) + len(added)
        return kept + added, touched

    return Write(text, apply)


small = st.integers(-3, 12)
writes = st.one_of(
    st.lists(st.tuples(small, st.one_of(st.none(), small)), min_size=1, max_size=4).map(insert),
    small.map(insert_copies),
    st.builds(update, small, small),
    st.integers(0, 4).map(delete),
    st.dictionaries(small, small, min_size=1, max_size=4).map(merge),
)


@pytest.fixture(scope="module")
def connection(local_warehouse_server: LocalWarehouse) -> Iterator[Connection]:
    local_warehouse_server.sql(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}")
    args = local_warehouse_server.connect_args_for(local_warehouse_server.catalog, SCHEMA)
    with sql.connect(**args) as opened:
        yield opened


def run(connection: Connection, statement: str) -> tuple[list[Row], int]:
    with connection.cursor() as cursor:
        cursor.execute(statement)
        return [tuple(row) for row in cursor.fetchall()], cursor.rowcount


def rows_of(connection: Connection, version: str = "") -> list[Row]:
    return run(connection, f"SELECT id, v FROM t {version} ORDER BY id, v")[0]


def start(connection: Connection) -> Model:
    # An example that failed may have left its transaction open.
    run(connection, "ROLLBACK")
    run(connection, "DROP TABLE IF EXISTS t")
    run(
        connection,
        "CREATE OR REPLACE TABLE t (id INT, v INT) "
        "TBLPROPERTIES ('delta.feature.catalogManaged' = 'supported')",
    )
    return Model()


@SEEDED
@given(steps=st.lists(writes, min_size=1, max_size=8))
def test_rows_and_counts(connection: Connection, steps: list[Write]) -> None:
    model = start(connection)
    for write in steps:
        expected, touched = write.apply(model.rows)
        _, rowcount = run(connection, write.text)
        assert rowcount == touched, write.text
        model.rows = expected
        assert rows_of(connection) == ordered(expected), write.text


@SEEDED
@given(steps=st.lists(st.lists(st.tuples(small, small), min_size=1, max_size=3), max_size=6))
def test_every_version_stays_readable(connection: Connection, steps: list[list[Row]]) -> None:
    model = start(connection)
    for new in steps:
        run(connection, insert(new).text)
        model.commit(model.rows + new)
        # Changes every row, so that each version but the newest lives in removed rows alone.
        run(connection, "UPDATE t SET v = v + 1")
        model.commit([(key, None if v is None else v + 1) for key, v in model.rows])
    for number, rows in enumerate(model.versions):
        assert rows_of(connection, f"VERSION AS OF {number}") == ordered(rows)


@SEEDED
@given(
    before=st.lists(writes, max_size=2),
    inside=st.lists(writes, min_size=1, max_size=5),
    ending=st.sampled_from(["COMMIT", "ROLLBACK"]),
)
def test_transactions(
    connection: Connection, before: list[Write], inside: list[Write], ending: str
) -> None:
    model = start(connection)
    for write in before:
        run(connection, write.text)
        model.rows = write.apply(model.rows)[0]
    run(connection, "BEGIN TRANSACTION")
    rows = model.rows
    for write in inside:
        rows, touched = write.apply(rows)
        assert run(connection, write.text)[1] == touched, write.text
        assert rows_of(connection) == ordered(rows), write.text
    run(connection, ending)
    assert rows_of(connection) == ordered(rows if ending == "COMMIT" else model.rows)
