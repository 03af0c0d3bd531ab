"""A proof finds one changed value, wherever it is; both sides compute the same."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy as sa

from tests.database.moving.samples import KINDS, execute, make
from tests.dialect.held import engine_on
from tests.full import full, some
from vinci_code.database import copy_database
from vinci_code.warehouse import LocalWarehouse

ROWS = 200
SEED = 20_261_130
CHANGES = some(100, few=11)
# Of every kind of column, what makes another value of one that is there.
_CHANGES = {
    "parent_id": "coalesce(parent_id, 0) + 1",
    "i": "CASE WHEN i IS NULL THEN 0 ELSE i | 1 END + CASE WHEN i & 1 THEN -1 ELSE 0 END",
    "b": "CASE WHEN b THEN 0 ELSE 1 END",
    "n": "round(coalesce(n, 0) + 0.001, 3)",
    "s": "coalesce(s, '') || ' '",
    "j": "'{\"a\": 2}'",
    "x": "CAST(coalesce(x, x'') || x'01' AS BLOB)",
    "d": "CASE WHEN d = '2024-02-29' THEN '2024-03-01' ELSE '2024-02-29' END",
    "t": "CASE WHEN t = '01:02:03.000001' THEN '01:02:03.000002' ELSE '01:02:03.000001' END",
    "m": "CASE WHEN m = '2024-02-29 01:02:03.000001' THEN NULL "
    "ELSE '2024-02-29 01:02:03.000001' END",
    "u": "lower(hex(randomblob(16)))",
}

CHANGES_ON_A_WAREHOUSE = some(100, few=4)
_CHANGES_THERE = (
    "f = 2.0000000000000004D",  # one bit: 2.0 and the float behind it
    "f = -f",
    "i = i + 1",
    "s = concat(s, ' ')",
    "s = NULL",
    "x = unhex('00FF')",
    "d = date_add(d, 1)",
    "m = m + INTERVAL 1 MICROSECOND",
    "b = NOT b",
    "n = n + 0.001",
    "u = upper(u)",
    "t = '23:59:59.999999'",
)


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("pair")
    source, target = make(folder / "source.db", ROWS), folder / "target.db"
    assert copy_database(source, str(target), kinds=KINDS).is_proved
    return source, target


def one_change(number: int, column: str, rows: int) -> str:
    """A statement that changes one value."""
    key = random.Random(SEED + number).randrange(rows) - 3
    return f"UPDATE every SET {column} = {_CHANGES[column]} WHERE id = {key}"


@pytest.mark.parametrize("number", range(CHANGES))
def test_each_changed_value_is_found(pair: tuple[Path, Path], number: int) -> None:
    source, target = pair
    column = sorted(_CHANGES)[number % len(_CHANGES)]
    changed = target.with_name(f"changed-{number}.db")
    changed.write_bytes(target.read_bytes())
    statement = one_change(number, column, ROWS)
    execute(changed, "PRAGMA journal_mode = DELETE")
    execute(changed, statement)
    report = copy_database(source, str(changed), kinds=KINDS, verify_only=True, tables=["every"])
    changed.unlink()
    assert not report.is_proved, f"seed {SEED}: {statement}"
    (table,) = report.tables
    assert [one.name for one in table.columns if not one.is_equal] == [column]
    assert len(table.differing) == 1


def test_values_that_two_rows_have_exchanged_are_found(pair: tuple[Path, Path]) -> None:
    source, target = pair
    changed = target.with_name("exchanged.db")
    changed.write_bytes(target.read_bytes())
    execute(changed, "PRAGMA journal_mode = DELETE")
    execute(changed, "UPDATE twice SET vinci = 'w' WHERE b = 5")
    other = source.with_name("exchanged-source.db")
    other.write_bytes(source.read_bytes())
    execute(other, "UPDATE twice SET vinci = 'w' WHERE b = 6")
    report = copy_database(other, str(changed), tables=["twice"], verify_only=True)
    assert [one.name for one in report.tables[0].columns if not one.is_equal] == ["vinci"]


def test_rows_without_a_key_that_have_exchanged_values_are_found(tmp_path: Path) -> None:
    for name, rows in (("a.db", "(1, 'x'), (2, 'y')"), ("b.db", "(1, 'y'), (2, 'x')")):
        execute(tmp_path / name, "CREATE TABLE t (n INTEGER, s TEXT)")
        execute(tmp_path / name, f"INSERT INTO t VALUES {rows}")
    report = copy_database(tmp_path / "a.db", tmp_path / "b.db", verify_only=True)
    assert not report.is_proved
    assert [one.is_equal for one in report.tables[0].columns] == [True, True]
    assert "whole rows" in "\n".join(report.lines())


def test_a_row_that_is_there_twice_is_found_without_a_key(pair: tuple[Path, Path]) -> None:
    source, target = pair
    changed = target.with_name("doubled.db")
    changed.write_bytes(target.read_bytes())
    execute(changed, "PRAGMA journal_mode = DELETE")
    execute(changed, "INSERT INTO keyless VALUES (1, NULL)")
    report = copy_database(source, str(changed), tables=["keyless"], verify_only=True)
    assert not report.is_proved


@pytest.mark.parametrize("number", range(CHANGES_ON_A_WAREHOUSE))
def test_the_warehouse_finds_one_change(number: int, copied: tuple[Path, sa.Engine]) -> None:
    source, warehouse = copied
    change = _CHANGES_THERE[number * 5 % len(_CHANGES_THERE)]
    column = change.split()[0]
    keys = _keys_with(source, column)
    key = keys[number // len(_CHANGES_THERE) % len(keys)]
    with warehouse.begin() as connection:
        before = connection.execute(
            sa.text(f"SELECT {column} FROM every WHERE id = {key}")
        ).scalar_one()
        connection.execute(sa.text(f"UPDATE every SET {change} WHERE id = {key}"))
    try:
        report = copy_database(source, warehouse, kinds=KINDS, verify_only=True, tables=["every"])
    finally:
        table = sa.Table("every", sa.MetaData(), autoload_with=warehouse)
        with warehouse.begin() as connection:
            connection.execute(sa.update(table).where(table.c.id == key).values({column: before}))
    assert [one.name for one in report.tables[0].columns if not one.is_equal] == [column]
    assert report.tables[0].differing == [str(key)]


@pytest.fixture(scope="module")
def copied(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, sa.Engine]]:
    """The sample on a warehouse, which has it for the tests of this file."""
    source = make(tmp_path_factory.mktemp("copied") / "source.db", 100)
    with LocalWarehouse() as server:
        engine = engine_on(server, "default")
        assert copy_database(source, engine, kinds=KINDS).is_proved
        yield source, engine
        engine.dispose()


def _keys_with(source: Path, column: str) -> list[int]:
    """The rows whose value of a column is told apart from what it becomes."""
    wanted = f"{column} = 2.0" if column == "f" else f"{column} IS NOT NULL"
    if column == "i":
        wanted = "i BETWEEN -1000000000000000000 AND 1000000000000000000"
    if column == "u":
        wanted = "u GLOB '*[a-f]*'"
    with closing(sqlite3.connect(source)) as connection:
        rows = connection.execute(f"SELECT id FROM every WHERE {wanted} ORDER BY id").fetchall()
    return [int(row[0]) for row in rows]


@full
def test_one_bit_of_one_value_among_a_million_rows(tmp_path: Path) -> None:
    source, target = tmp_path / "source.db", tmp_path / "target.db"
    execute(source, "CREATE TABLE t (id INTEGER PRIMARY KEY, f REAL, x BLOB)")
    execute(
        source,
        "INSERT INTO t SELECT value, value * 1.1, randomblob(8) FROM "
        "(WITH RECURSIVE c(value) AS (SELECT 1 UNION ALL SELECT value + 1 FROM c LIMIT 1000000) "
        "SELECT value FROM c)",
    )
    assert copy_database(source, str(target)).is_proved
    with closing(sqlite3.connect(target)) as connection:
        (data,) = connection.execute("SELECT x FROM t WHERE id = 777777").fetchone()
        connection.execute(
            "UPDATE t SET x = ? WHERE id = 777777", (bytes([data[0] ^ 1]) + data[1:],)
        )
        connection.commit()
    report = copy_database(source, str(target), verify_only=True)
    assert report.tables[0].differing == ["777777"]
