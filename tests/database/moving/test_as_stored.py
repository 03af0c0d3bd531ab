"""Between two SQLite files values, and what stands beside them, are afterwards what they were."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy as sa

from tests.database.moving.samples import content, execute
from vinci_code.core.errors import CopyRefusedError
from vinci_code.database import copy_database
from vinci_code.database.moving import copying, writing


def table(path: Path, columns: str, *values: str) -> Path:
    execute(path, f"CREATE TABLE t ({columns})")
    for one in values:
        execute(path, f"INSERT INTO t VALUES ({one})")
    return path


@pytest.mark.parametrize(
    ("declared", "kind", "values"),
    [
        ("DATETIME", None, ["'2024-01-01 10:00:00'", "'2024-01-01 10:00:00.5'"]),
        ("DATETIME", "instant", ["'2024-01-01 10:00:00'"]),
        ("", "moment", ["'2024-01-01 10:00:00'"]),
        ("", "json", ["'5'", "'1.5'", "5", "1.5", "'{}'"]),
        ("TEXT", "json", ["'1e-7'", "'5'"]),
        ("JSON", None, ["'1e20'", "'1e-7'", "'5'", "'[1]'", "9e999"]),
        ("", "double", ["5", "5.0", "9007199254740993"]),
        ("", "decimal(10, 2)", ["5", "5.0", "5.25"]),
        ("NUMERIC", None, ["1152921504606846976", "0.5"]),
    ],
)
def test_a_value_keeps_its_class_and_its_letters(
    tmp_path: Path, declared: str, kind: str | None, values: list[str]
) -> None:
    rows = [f"{number}, {one}" for number, one in enumerate(values)]
    source = table(tmp_path / "source.db", f"id INTEGER PRIMARY KEY, a {declared}", *rows)
    kinds = {} if kind is None else {"t.a": kind}
    target = tmp_path / "copy.db"
    report = copy_database(source, target, kinds=kinds, timezone="UTC")
    assert report.is_proved, report.lines()
    assert content(target) == content(source)
    assert not any("kept in UTC" in note for note in report.tables[0].plan.columns[1].notes)


def test_each_form_of_a_value_is_told_from_others(tmp_path: Path) -> None:
    source = table(
        tmp_path / "a.db", "id INTEGER PRIMARY KEY, m DATETIME", "1, '2024-01-01 10:00:00'"
    )
    target = table(
        tmp_path / "b.db", "id INTEGER PRIMARY KEY, m DATETIME", "1, '2024-01-01 10:00:00.000000'"
    )
    assert not copy_database(source, target, verify_only=True).is_proved
    assert copy_database(source, target, sync=True).is_proved
    assert content(target) == content(source)


def test_two_texts_of_one_moment_are_two_keys(tmp_path: Path) -> None:
    rows = ("'2024-01-01 10:00:00', 1", "'2024-01-01 10:00:00.0', 2")
    source = table(tmp_path / "source.db", "m DATETIME PRIMARY KEY, a INT", *rows)
    assert copy_database(source, tmp_path / "copy.db", chunk_rows=1).is_proved
    assert content(tmp_path / "copy.db") == content(source)


def test_what_keeps_any_value_says_nothing_of_them(tmp_path: Path) -> None:
    source = tmp_path / "source.db"
    execute(source, "CREATE TABLE t (id INTEGER PRIMARY KEY, a ANY) STRICT")
    execute(source, "INSERT INTO t VALUES (1, 5), (2, 5.0)")
    with pytest.raises(CopyRefusedError, match=r"t\.a: its type says nothing of its values \(dec"):
        copy_database(source, tmp_path / "copy.db")
    assert copy_database(source, tmp_path / "copy.db", kinds={"t.a": "double"}).is_proved
    assert content(tmp_path / "copy.db") == content(source)


def test_a_value_of_another_class_in_the_target_is_a_difference(tmp_path: Path) -> None:
    source = table(tmp_path / "source.db", "id INTEGER PRIMARY KEY, a INT", "1, 5")
    target = table(tmp_path / "copy.db", "id INTEGER PRIMARY KEY, a INT", "1, 'word'")
    report = copy_database(source, target, verify_only=True)
    assert not report.is_proved
    assert report.tables[0].differing == ["1"]


def test_where_a_value_was_read_is_said(tmp_path: Path, warehouse: sa.Engine) -> None:
    source = table(tmp_path / "source.db", "id INTEGER PRIMARY KEY, a INT", "1, 5")
    assert copy_database(source, warehouse).is_proved
    execute(source, "UPDATE t SET a = 'word'")
    with pytest.raises(CopyRefusedError, match=r"t\.a, row 1 of those read from the target: found"):
        copy_database(warehouse, source, verify_only=True)


def test_moments_whose_form_a_warehouse_does_not_keep_are_told(
    tmp_path: Path, warehouse: sa.Engine
) -> None:
    rows = ("1, '2024-01-01 10:00:00'", "2, '2024-01-01 10:00:00.500000'")
    source = table(tmp_path / "source.db", "id INTEGER PRIMARY KEY, m DATETIME", *rows)
    report = copy_database(source, warehouse)
    assert report.is_proved
    assert report.left_out == [
        "t.m: the form of 1 texts, which have no six digits of a second; the moments are the same"
    ]


def test_decimals_of_all_digits_are_read(tmp_path: Path, warehouse: sa.Engine) -> None:
    source = table(tmp_path / "s.db", "id INTEGER PRIMARY KEY, n NUMERIC", "1, 1152921504606846976")
    assert copy_database(source, warehouse).is_proved
    assert copy_database(warehouse, tmp_path / "back.db").is_proved
    assert content(tmp_path / "back.db") == content(source)


def test_autoincrement_gives_no_number_twice(tmp_path: Path) -> None:
    source = table(
        tmp_path / "source.db", "id INTEGER PRIMARY KEY AUTOINCREMENT, a TEXT", "90, 'x'"
    )
    execute(source, "UPDATE t SET id = 1")
    target = tmp_path / "copy.db"
    assert copy_database(source, target).is_proved
    execute(source, "INSERT INTO t (a) VALUES ('y')")
    execute(target, "INSERT INTO t (a) VALUES ('y')")
    assert content(target) == content(source)
    assert [row[0] for row in content(target)["t"]] == [1, 91]


def test_what_is_not_taken_over_is_named(tmp_path: Path, warehouse: sa.Engine) -> None:
    source = table(tmp_path / "source.db", "id INTEGER PRIMARY KEY AUTOINCREMENT", "7")
    execute(source, "PRAGMA user_version = 3")
    execute(source, "CREATE TRIGGER fires AFTER INSERT ON t BEGIN SELECT 1; END")
    assert set(copy_database(source, warehouse).left_out) == {
        "t: AUTOINCREMENT, and its last number 7",
        "t: the trigger fires",
    }
    assert set(copy_database(source, tmp_path / "copy.db").left_out) == {
        "of the file: its user_version 3",
        "t: the trigger fires",
    }


def test_a_key_that_a_collation_takes_for_the_same_is_kept_up(tmp_path: Path) -> None:
    columns = "k TEXT PRIMARY KEY COLLATE NOCASE, v INT"
    source, target = table(tmp_path / "source.db", columns, "'a', 1", "'b', 2"), tmp_path / "c.db"
    assert copy_database(source, target).is_proved
    execute(source, "UPDATE t SET k = 'A' WHERE k = 'a'")
    assert copy_database(source, target, sync=True, delete=True).is_proved
    assert content(target) == content(source)


def test_rows_that_have_exchanged_unique_values_are_kept_up(tmp_path: Path) -> None:
    source = table(
        tmp_path / "s.db", "id INTEGER PRIMARY KEY, u INT UNIQUE", "1, 5", "2, 6", "3, 7"
    )
    target = tmp_path / "copy.db"
    assert copy_database(source, target).is_proved
    for one in ("SET u = 0 WHERE id = 1", "SET u = 5 WHERE id = 2", "SET u = 6 WHERE id = 1"):
        execute(source, f"UPDATE t {one}")
    assert copy_database(source, target, sync=True).is_proved
    execute(source, "UPDATE t SET id = 4 WHERE id = 3")
    with pytest.raises(CopyRefusedError, match=r"t: the target refuses a row .*UNIQUE.* --delete"):
        copy_database(source, target, sync=True)
    report = copy_database(source, target, sync=True, delete=True)
    assert report.is_proved
    assert report.tables[0].deleted == 1
    assert content(target) == content(source)


def test_a_plan_says_what_a_copy_would_refuse(
    tmp_path: Path, warehouse: sa.Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = table(tmp_path / "source.db", "id INTEGER PRIMARY KEY", "1")
    target = table(tmp_path / "copy.db", "id INTEGER PRIMARY KEY", "2")
    (refusal,) = copy_database(source, target, dry_run=True).refusals
    assert refusal.startswith("t: the target has 1 rows of it")
    monkeypatch.setattr(writing, "KEYLESS_MOST", 0)
    keyless = table(tmp_path / "keyless.db", "a INT", "1")
    (refusal,) = copy_database(keyless, warehouse, dry_run=True).refusals
    assert "it has no key, and it has 1 rows" in refusal


@pytest.mark.parametrize("columns", ["a INT", "a INTEGER PRIMARY KEY"])
def test_a_table_that_was_dropped_meanwhile_is_copied_anew(tmp_path: Path, columns: str) -> None:
    source, target = table(tmp_path / "source.db", columns, "1", "2"), tmp_path / "copy.db"
    assert copy_database(source, target, keep=True).is_proved
    execute(target, "DROP TABLE t")
    assert not copy_database(source, target, dry_run=True).refusals
    assert copy_database(source, target).is_proved
    assert content(target) == content(source)


def test_half_a_copy_is_no_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, half = table(tmp_path / "source.db", "id INTEGER PRIMARY KEY", "1"), tmp_path / "h.db"

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(copying._Copy, "_one", stop)
    with pytest.raises(KeyboardInterrupt):
        copy_database(source, half)
    monkeypatch.undo()
    with pytest.raises(CopyRefusedError, match="t: a copy into the source has not come to its end"):
        copy_database(half, tmp_path / "copy.db")


def test_an_engine_from_elsewhere_reads_one_moment(tmp_path: Path) -> None:
    source = table(tmp_path / "source.db", "id INTEGER PRIMARY KEY, a INT", "1, 1", "2, 2")
    execute(source, "PRAGMA journal_mode = wal")
    execute(source, "CREATE TABLE u (id INTEGER PRIMARY KEY)")
    engine = sa.create_engine(f"sqlite:///{source}")

    def change(*_: int) -> None:
        execute(source, "INSERT INTO t (a) VALUES (9)")
        execute(source, "INSERT INTO u VALUES (NULL)")

    report = copy_database(engine, tmp_path / "copy.db", on_progress=change)
    engine.dispose()
    assert report.is_proved, report.lines()


def test_rows_without_a_key_that_another_copy_wrote_are_not_doubled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, target = table(tmp_path / "source.db", "a INT", "1", "2"), tmp_path / "copy.db"
    whole = writing.Writer.as_whole

    def outrun(*arguments: object) -> int:
        with closing(sqlite3.connect(target)) as connection:
            connection.execute("INSERT INTO t VALUES (1), (2)")
            connection.commit()
        return whole(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(writing.Writer, "as_whole", outrun)
    assert copy_database(source, target).is_proved
    assert content(target)["t"] == content(source)["t"]


def test_an_engine_that_commits_each_statement_is_refused(tmp_path: Path) -> None:
    source = table(tmp_path / "source.db", "a INT", "1", "2")
    engine = sa.create_engine(f"sqlite:///{tmp_path / 'copy.db'}", isolation_level="AUTOCOMMIT")
    with pytest.raises(CopyRefusedError, match="commits each statement"):
        copy_database(source, engine)
    engine.dispose()
    assert set(content(tmp_path / "copy.db")) == {"vinci_copy_progress"}
    assert copy_database(source, tmp_path / "copy.db").is_proved


def test_what_sqlalchemy_makes_anew_is_without_what_is_named(tmp_path: Path) -> None:
    source = tmp_path / "source.db"
    execute(source, 'CREATE TABLE "a.p" (id INTEGER PRIMARY KEY)')
    execute(source, "CREATE TABLE gone (id INTEGER PRIMARY KEY)")
    execute(
        source,
        "CREATE TABLE t (k TEXT PRIMARY KEY COLLATE NOCASE, u TEXT COLLATE RTRIM UNIQUE, "
        'g INTEGER REFERENCES gone, p INTEGER REFERENCES "a.p")',
    )
    report = copy_database(source, tmp_path / "copy.db", tables=["a.p", "t"])
    assert report.is_proved
    assert report.left_out == [
        "t.k: its collation NOCASE",
        "t.u: its collation RTRIM",
        "t: the foreign key (g) to gone, which is not copied",
    ]


def test_the_encoding_of_a_file_is_named(tmp_path: Path) -> None:
    source = tmp_path / "source.db"
    with closing(sqlite3.connect(source)) as connection:
        connection.execute("PRAGMA encoding = 'UTF-16le'")
        connection.execute("CREATE TABLE t (id INTEGER PRIMARY KEY)")
    report = copy_database(source, tmp_path / "copy.db")
    assert report.left_out == ["of the file: its encoding UTF-16le"]
