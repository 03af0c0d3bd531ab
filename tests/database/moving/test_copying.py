"""A database there and back is the same, bit for bit, and an end in the middle changes nothing."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
import sqlalchemy as sa

from tests.database.moving.samples import KINDS, META, content, execute, make
from tests.dialect.held import engine_on
from vinci_code.core.errors import CopyRefusedError, DatabaseFileError
from vinci_code.database import copy_database
from vinci_code.database.moving import marks
from vinci_code.warehouse import Fault, LocalWarehouse
from vinci_code.warehouse.pytest_plugin import TestWarehouse


def test_there_and_back_is_equal_to_the_bit(
    sample: Path, warehouse: sa.Engine, tmp_path: Path
) -> None:
    there = copy_database(sample, warehouse, kinds=KINDS, chunk_rows=70)
    assert there.is_proved, there.lines()
    # The target has the types that a text of the warehouse does not tell.
    back = tmp_path / "back.db"
    engine = sa.create_engine(f"sqlite:///{back}")
    META.create_all(engine)
    engine.dispose()
    again = copy_database(warehouse, str(back), kinds=KINDS, chunk_rows=70)
    assert again.is_proved, again.lines()
    assert content(back) == content(sample)
    assert {one.plan.version for one in again.tables} != {None}


def test_tables_that_are_made_on_sqlite_hold_the_same_values(sample: Path, tmp_path: Path) -> None:
    report = copy_database(sample, str(tmp_path / "copy.db"), chunk_rows=30)
    assert report.is_proved, report.lines()
    assert content(tmp_path / "copy.db") == content(sample)
    assert [one.plan.name for one in report.tables] == ["keyless", "parents", "twice", "every"]


def test_marks_are_gone_at_the_end_unless_they_are_kept(sample: Path, tmp_path: Path) -> None:
    target = tmp_path / "copy.db"
    copy_database(sample, str(target), keep=True)
    assert marks.NAME in content(target)
    report = copy_database(sample, str(target))
    assert report.is_proved
    assert report.rows == 0
    assert marks.NAME not in content(target)


def test_marks_of_tables_that_are_not_copied_now_stay(sample: Path, tmp_path: Path) -> None:
    target = tmp_path / "copy.db"
    copy_database(sample, target, keep=True)
    execute(target, f"UPDATE {marks.NAME} SET state = 'copying' WHERE table_name = 'every'")
    assert copy_database(sample, target, tables=["twice"]).is_proved
    left = [row[0] for row in content(target)[marks.NAME]]
    assert left == ["every", "keyless", "parents"]


def test_text_that_is_no_unicode_is_named(sample: Path, tmp_path: Path) -> None:
    execute(sample, "UPDATE twice SET vinci = CAST(x'ff41' AS TEXT) WHERE b = 3")
    with pytest.raises(DatabaseFileError, match="rows of the table twice cannot be read") as found:
        copy_database(sample, tmp_path / "copy.db")
    assert "column 'vinci'" in str(found.value)
    assert "with text" not in str(found.value)


def test_the_source_is_left_as_it_is(sample: Path, tmp_path: Path) -> None:
    before = sample.read_bytes()
    copy_database(sample, str(tmp_path / "copy.db"))
    assert sample.read_bytes() == before
    assert [one.name for one in tmp_path.glob("sample.db*")] == ["sample.db"]


def test_what_is_written_meanwhile_is_not_read(sample: Path, tmp_path: Path) -> None:
    execute(sample, "PRAGMA journal_mode = WAL")
    before = content(sample)

    def write(rows: int, _: int) -> None:
        execute(sample, "INSERT INTO twice (a, b) VALUES (?, ?)", f"new-{rows}", 1)

    report = copy_database(sample, str(tmp_path / "copy.db"), chunk_rows=30, on_progress=write)
    assert report.is_proved
    assert content(tmp_path / "copy.db") == before
    assert content(sample) != before


def test_a_version_of_a_warehouse_is_read_whatever_is_written_meanwhile(
    sample: Path, warehouse: sa.Engine, tmp_path: Path
) -> None:
    copy_database(sample, warehouse, tables=["parents", "twice"])

    def write(_rows: int, _total: int) -> None:
        with warehouse.begin() as connection:
            connection.execute(sa.text("DELETE FROM twice"))

    report = copy_database(warehouse, str(tmp_path / "copy.db"), chunk_rows=40, on_progress=write)
    assert report.is_proved, report.lines()
    assert len(content(tmp_path / "copy.db")["twice"]) == 100


def test_an_outage_in_the_middle_is_gone_on_behind(
    sample: Path, warehouse: sa.Engine, local_warehouse: TestWarehouse
) -> None:
    local_warehouse.inject(Fault.http(403, statement="BEGIN ATOMIC", skip=2, times=1))
    with pytest.raises(sa.exc.DBAPIError):
        copy_database(sample, warehouse, kinds=KINDS, chunk_rows=50)
    report = copy_database(sample, warehouse, kinds=KINDS, chunk_rows=50)
    assert report.is_proved, report.lines()
    went_on = sum(one.went_on for one in report.tables)
    assert 0 < went_on < sum(one.plan.rows for one in report.tables)
    copied = sum(one.copied for one in report.tables)
    assert went_on + copied == sum(one.plan.rows for one in report.tables)


def test_the_reply_to_a_chunk_is_lost(
    sample: Path, warehouse: sa.Engine, local_warehouse: TestWarehouse
) -> None:
    local_warehouse.inject(Fault.reset("after", statement="BEGIN ATOMIC", skip=2, times=1))
    with contextlib.suppress(sa.exc.DBAPIError):  # it may be found out that the chunk is there
        copy_database(sample, warehouse, kinds=KINDS, chunk_rows=50)
    report = copy_database(sample, warehouse, kinds=KINDS, chunk_rows=50)
    assert report.is_proved, report.lines()


def test_without_transactions_chunks_are_written_by_key(sample: Path) -> None:
    with LocalWarehouse(transactions=False) as server:
        engine = engine_on(server, "default")
        try:
            report = copy_database(sample, engine, kinds=KINDS, chunk_rows=50, keep=True)
            assert report.is_proved, report.lines()
            assert not report.is_atomic
            assert "no transactions of several tables" in "\n".join(report.lines())
            # What a kill between a chunk and its mark leaves: more rows than are told of.
            with engine.begin() as connection:
                connection.execute(sa.text("DELETE FROM twice WHERE a > 'a5'"))
            with engine.begin() as connection:
                connection.execute(
                    sa.text(
                        f"UPDATE {marks.NAME} SET state = 'by key', copied = 3, "
                        'last_key = \'[{"value": "a0"}, {"value": 14}]\' '
                        "WHERE table_name = 'twice'"
                    )
                )
            report = copy_database(sample, engine, kinds=KINDS, chunk_rows=20)
            assert report.is_proved, report.lines()
            assert [one.went_on for one in report.tables if one.plan.name == "twice"] == [3]
        finally:
            engine.dispose()


def test_a_copy_from_elsewhere_is_not_gone_on_with(sample: Path, tmp_path: Path) -> None:
    target = str(tmp_path / "copy.db")
    copy_database(sample, target, keep=True)
    other = make(tmp_path / "other.db", 10)
    with pytest.raises(CopyRefusedError, match=r"a copy from SQLite, .*sample\.db into this"):
        copy_database(other, target)


def test_rows_that_are_the_targets_own_are_not_touched(sample: Path, tmp_path: Path) -> None:
    target = make(tmp_path / "other.db", 10, seed=2)
    before = content(target)
    with pytest.raises(CopyRefusedError, match=r"every: the target has 10 rows of it") as refused:
        copy_database(sample, str(target))
    assert "parents" not in str(refused.value), "its rows are equal"
    assert content(target) == before


def test_one_database_is_no_two(sample: Path) -> None:
    with pytest.raises(CopyRefusedError, match="it is the source and the target"):
        copy_database(sample, f"sqlite:///{sample}")


def test_a_source_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(DatabaseFileError, match=r"missing\.db does not exist"):
        copy_database(tmp_path / "missing.db", str(tmp_path / "copy.db"))
    assert list(tmp_path.glob("*.db")) == []


def test_foreign_keys_in_a_circle_are_told_and_kept(tmp_path: Path) -> None:
    source = tmp_path / "circle.db"
    execute(source, "CREATE TABLE a (id INTEGER PRIMARY KEY, b_id INTEGER REFERENCES b (id))")
    execute(source, "CREATE TABLE b (id INTEGER PRIMARY KEY, a_id INTEGER REFERENCES a (id))")
    execute(source, "INSERT INTO a VALUES (1, 1), (2, NULL)")
    execute(source, "INSERT INTO b VALUES (1, 2)")
    execute(source, "CREATE VIEW v AS SELECT * FROM a")
    report = copy_database(source, str(tmp_path / "copy.db"))
    assert report.is_proved
    assert (report.cycles, report.views, report.dangling) == (["a", "b"], ["v"], [])
    with pytest.raises(Exception, match="FOREIGN KEY"):
        _enforced(tmp_path / "copy.db", "INSERT INTO a VALUES (3, 99)")


def test_rows_that_refer_to_nothing_are_told(tmp_path: Path) -> None:
    source = tmp_path / "loose.db"
    execute(source, "CREATE TABLE p (id INTEGER PRIMARY KEY)")
    execute(source, "CREATE TABLE c (id INTEGER PRIMARY KEY, p_id INTEGER REFERENCES p (id))")
    execute(source, "INSERT INTO c VALUES (1, 99)")
    report = copy_database(source, str(tmp_path / "copy.db"))
    assert report.is_proved
    assert report.dangling == ["1 of c (to p)"]


def _enforced(path: Path, statement: str) -> None:
    engine = sa.create_engine(f"sqlite:///{path}")
    try:
        with engine.connect() as connection:
            connection.exec_driver_sql("PRAGMA foreign_keys = ON")
            connection.exec_driver_sql(statement)
    finally:
        engine.dispose()
