"""From and to a PostgreSQL server, which ``VINCI_POSTGRES`` names: ``make test-postgres``.

It is the URL of a database of a server on which databases may be made and dropped, such as
``postgresql+psycopg://postgres@localhost/postgres``.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from tests.database.moving.samples import KINDS, META, content, execute
from vinci_code.core.errors import CopyRefusedError
from vinci_code.database import copy_database

SERVER = os.environ.get("VINCI_POSTGRES", "")
SEED = 20_261_130
pytestmark = pytest.mark.skipif(
    not SERVER, reason="VINCI_POSTGRES names no server: nothing is known of PostgreSQL"
)


@pytest.fixture
def databases() -> Iterator[list[str]]:
    """The URLs of two empty databases."""
    server = sa.create_engine(SERVER, isolation_level="AUTOCOMMIT")
    names = [f"vinci_copy_{os.getpid()}_{number}" for number in range(2)]
    with server.connect() as connection:
        for name in names:
            connection.execute(sa.text(f"DROP DATABASE IF EXISTS {name}"))
            connection.execute(
                sa.text(f"CREATE DATABASE {name} ENCODING 'UTF8' TEMPLATE template0")
            )
    yield [server.url.set(database=name).render_as_string(hide_password=False) for name in names]
    with server.connect() as connection:
        for name in names:
            connection.execute(sa.text(f"DROP DATABASE {name} WITH (FORCE)"))
    server.dispose()


@pytest.fixture
def plain(sample: Path) -> Path:
    """The sample without the character that PostgreSQL has not."""
    execute(sample, "UPDATE every SET s = 'no nul' WHERE instr(s, char(0))")
    return sample


def run(url: str, *statements: str) -> list[Any]:
    """Run statements; return the rows of the last."""
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        for statement in statements:
            result = connection.execute(sa.text(statement))
        rows = list(result) if result.returns_rows else []
    engine.dispose()
    return rows


def test_there_on_and_back_is_equal_to_the_bit(
    plain: Path, databases: list[str], tmp_path: Path
) -> None:
    first, second = databases
    there = copy_database(plain, first, kinds=KINDS, chunk_rows=70)
    assert there.is_proved, there.lines()
    on = copy_database(first, second, chunk_rows=70)
    assert on.is_proved, on.lines()
    assert on.notes[0] == "postgresql was read in one transaction of the level REPEATABLE READ"
    back = tmp_path / "back.db"
    engine = sa.create_engine(f"sqlite:///{back}")
    META.create_all(engine)
    engine.dispose()
    again = copy_database(second, back, kinds=KINDS, chunk_rows=70)
    assert again.is_proved, again.lines()
    assert content(back) == content(plain)


def test_to_the_warehouse_and_back(plain: Path, databases: list[str], warehouse: sa.Engine) -> None:
    first, second = databases
    assert copy_database(plain, first, kinds=KINDS).is_proved
    run(first, "ALTER TABLE every ADD z TIMESTAMPTZ", "UPDATE every SET z = m WHERE m > '1900-1-1'")
    there = copy_database(first, warehouse)
    assert there.is_proved, there.lines()
    back = copy_database(warehouse, second)
    assert back.is_proved, back.lines()
    kept = "SELECT md5(string_agg(format('%s %s', id, z), ',' ORDER BY id)) FROM every"
    assert run(first, kept) == run(second, kept)


def test_without_floats_it_sums_by_itself(plain: Path, databases: list[str]) -> None:
    target = databases[0]
    execute(plain, "ALTER TABLE every DROP COLUMN f")
    report = copy_database(plain, target, kinds=KINDS)
    assert report.is_proved, report.lines()
    assert report.notes == []


@pytest.mark.parametrize("floats", [True, False])
def test_one_changed_value_is_found(plain: Path, databases: list[str], *, floats: bool) -> None:
    target, draw = databases[0], random.Random(SEED)
    if not floats:
        execute(plain, "ALTER TABLE every DROP COLUMN f")
    execute(plain, "UPDATE every SET s = coalesce(s, 'x'), m = '2024-01-01 00:00:00.000000'")
    assert copy_database(plain, target, kinds=KINDS).is_proved
    changes = {
        "i": "CASE WHEN i = 7 THEN 8 ELSE 7 END",
        "b": "NOT coalesce(b, true)",
        "n": "coalesce(n, 0) + 0.001",
        "s": "s || ' '",
        "j": "'{\"b\": 1}'",
        "x": "coalesce(x, '') || '\\x01'::bytea",
        "d": "CASE WHEN d = '2024-02-29' THEN date '2024-03-01' ELSE '2024-02-29' END",
        "t": "coalesce(t, '00:00') + interval '1 microsecond'",
        "m": "m + interval '1 microsecond'",
        "u": "gen_random_uuid()",
    }
    for column, change in changes.items():
        key = draw.randrange(200) - 3
        before = run(target, f"SELECT CAST({column} AS TEXT) FROM every WHERE id = {key}")[0][0]
        run(target, f"UPDATE every SET {column} = {change} WHERE id = {key}".replace("::", r"\:\:"))
        report = copy_database(plain, target, kinds=KINDS, verify_only=True, tables=["every"])
        wrong = [one.name for one in report.tables[0].columns if not one.is_equal]
        assert wrong == [column], f"seed {SEED}, {key}"
        assert report.tables[0].differing == [str(key)]
        engine = sa.create_engine(target)
        kind = sa.inspect(engine).get_columns("every")
        typed = next(str(one["type"]) for one in kind if one["name"] == column)
        with engine.begin() as connection:
            connection.execute(
                sa.text(f"UPDATE every SET {column} = CAST(:v AS {typed}) WHERE id = {key}"),
                {"v": before},
            )
        engine.dispose()
    assert copy_database(plain, target, kinds=KINDS, verify_only=True).is_proved


def test_what_is_written_meanwhile_is_not_read(
    plain: Path, databases: list[str], tmp_path: Path
) -> None:
    first, _ = databases
    assert copy_database(plain, first, kinds=KINDS).is_proved

    def write(_rows: int, _total: int) -> None:
        run(first, "DELETE FROM twice", "UPDATE every SET s = 'changed'")

    report = copy_database(first, tmp_path / "copy.db", chunk_rows=30, on_progress=write)
    assert report.is_proved, report.lines()
    assert len(content(tmp_path / "copy.db")["twice"]) == 100


def test_it_goes_on_and_is_kept_up(plain: Path, databases: list[str]) -> None:
    target = databases[0]

    def stop(rows: int, _total: int) -> None:
        if rows > 200:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        copy_database(plain, target, kinds=KINDS, chunk_rows=20, on_progress=stop)
    report = copy_database(plain, target, kinds=KINDS, chunk_rows=20)
    assert report.is_proved, report.lines()
    assert sum(one.went_on for one in report.tables) > 150
    execute(plain, "UPDATE every SET s = 'other' WHERE id = 5")
    execute(plain, "DELETE FROM twice WHERE b = 6")
    execute(plain, "INSERT INTO every (id, f) VALUES (999, 1.5)")
    report = copy_database(plain, target, kinds=KINDS, sync=True, delete=True)
    assert report.is_proved, report.lines()
    assert report.rows == 2
    assert sum(one.deleted for one in report.tables) == 1


@pytest.mark.parametrize(
    ("column", "value", "target", "message"),
    [
        ("TEXT", "a\x00b", None, "row 1 of those read: PostgreSQL keeps no character of code zero"),
        ("FLOAT", 0.1, "REAL", "a REAL has 32 bits"),
        ("JSON", '{"a":1}', "JSONB", "JSONB keeps a document in a form of its own"),
        ("DATETIME", "2024-01-01 00:00:00.0", "TIMESTAMPTZ", "say which zone they are in"),
    ],
)
def test_what_it_would_change_is_refused(
    tmp_path: Path, databases: list[str], column: str, value: Any, target: str, message: str
) -> None:
    source = tmp_path / "source.db"
    execute(source, f"CREATE TABLE t (id INTEGER PRIMARY KEY, c {column})")
    execute(source, "INSERT INTO t VALUES (1, ?)", value)
    if target:
        run(databases[0], f"CREATE TABLE t (id BIGINT PRIMARY KEY, c {target})")
    with pytest.raises(CopyRefusedError, match=message):
        copy_database(source, databases[0])


def test_types_that_say_little_are_refused_in_the_plan(
    databases: list[str], tmp_path: Path
) -> None:
    run(
        databases[0],
        "CREATE TABLE t (id INT PRIMARY KEY, a INT[], i INET, v INTERVAL, z TIMETZ, r REAL, "
        "e NUMERIC, c CHAR(4))",
        "INSERT INTO t (id, r, e, c) VALUES (1, 0.1, 1.5, 'ab')",
    )
    found = copy_database(databases[0], tmp_path / "copy.db", dry_run=True).refusals
    assert [one.partition(":")[0] for one in found] == ["t.a", "t.i", "t.v", "t.z"]
    run(databases[0], "ALTER TABLE t DROP a, DROP i, DROP v, DROP z")
    report = copy_database(databases[0], tmp_path / "copy.db")
    assert report.is_proved, report.lines()
    # The 32 bits of a REAL are kept, and not the digits that stand for them.
    assert content(tmp_path / "copy.db")["t"][0][2] == 0.10000000149011612
    run(databases[0], "ALTER TABLE t DROP r")
    (tmp_path / "copy.db").unlink()
    report = copy_database(databases[0], tmp_path / "copy.db")
    assert report.is_proved, report.lines()
    assert content(tmp_path / "copy.db")["t"][0][4] == "ab  "


def test_indexes_of_columns_are_made_and_others_named(tmp_path: Path, databases: list[str]) -> None:
    first, second = databases
    source = tmp_path / "source.db"
    execute(source, "CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT COLLATE NOCASE, b INTEGER)")
    execute(source, "CREATE INDEX plain ON t (b, id)")
    execute(source, "CREATE INDEX down ON t (b DESC)")
    execute(source, "CREATE UNIQUE INDEX folded ON t (a)")
    execute(source, "CREATE INDEX some ON t (b) WHERE b > 1")
    report = copy_database(source, first)
    assert report.is_proved, report.lines()
    assert sorted(report.left_out) == [
        "t: the index down",
        "t: the index folded",
        "t: the index some",
    ]
    run(first, "CREATE INDEX p1 ON t (b) WHERE b > 1", "CREATE INDEX p2 ON t (b) INCLUDE (id)")
    run(first, "CREATE INDEX p3 ON t USING hash (b)", "CREATE INDEX p4 ON t (b DESC)")
    run(first, "CREATE INDEX p5 ON t (lower(a))")
    report = copy_database(first, second)
    assert report.is_proved, report.lines()
    assert sorted(report.left_out) == [f"t: the index p{number}" for number in range(1, 6)]
    engine = sa.create_engine(second)
    (found,) = sa.inspect(engine).get_indexes("t")
    engine.dispose()
    assert (found["name"], found["column_names"]) == ("plain", ["b", "id"])
