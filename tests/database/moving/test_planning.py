"""A plan says what is done with each column, and refuses by name what is not known."""

from __future__ import annotations

from pathlib import Path

import pytest
import sqlalchemy as sa

from tests.database.moving.samples import content, execute
from vinci_code.core.errors import CopyRefusedError
from vinci_code.database import copy_database


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return tmp_path / "source.db"


def refusals(source: Path, target: object, **options: object) -> list[str]:
    """What a dry run refuses; a copy refuses the same, and writes nothing."""
    planned = copy_database(source, target, dry_run=True, **options)  # type: ignore[arg-type]
    with pytest.raises(CopyRefusedError) as refused:
        copy_database(source, target, **options)  # type: ignore[arg-type]
    assert list(refused.value.refusals) == planned.refusals
    return planned.refusals


def test_a_dry_run_writes_nothing(sample: Path, warehouse: sa.Engine, tmp_path: Path) -> None:
    report = copy_database(sample, warehouse, dry_run=True)
    assert sa.inspect(warehouse).get_table_names() == []
    shown = "\n".join(report.lines())
    assert "  i: BIGINT -> BIGINT" in shown
    assert "  m: DATETIME -> TIMESTAMP_NTZ" in shown
    assert "  n: NUMERIC(12, 3) -> DECIMAL(12,3)" in shown
    assert shown.endswith("Nothing was written. 4 tables can be copied.")
    copy_database(sample, str(tmp_path / "new.db"), dry_run=True)
    assert not (tmp_path / "new.db").exists()


@pytest.mark.parametrize(
    ("declared", "value", "reason"),
    [
        ("", 1, "its type says nothing of its values"),
        ("INTEGER", "x", "has stored 1 text"),
        ("TEXT", b"x", "has stored 1 blob"),
        ("REAL", "x", "has stored 1 text"),
        ("BLOB", "x", "has stored 1 text"),
        ("BOOLEAN", 2, "1 of its values are no boolean: found a whole number where 0 or 1"),
        ("DATE", "29.2.2024", "1 of its values are no date: found a text of 9 characters"),
        ("DATE", "2023-02-29", "1 of its values are no date"),
        ("DATETIME", "2024-01-01T00:00:00Z", "1 of its values are no moment"),
        ("DATETIME", 1_700_000_000, "has stored 1 integer"),
        ("TIME", "25:00:00.000000", "1 of its values are no time"),
        ("NUMERIC(5, 2)", 1.005, "more digits than decimal(5, 2) has"),
        ("NUMERIC(5, 2)", 12345, "decimal(5, 2) has no room for"),
        ("DECIMAL(50, 2)", 1, "a decimal(50, 2) is none that Databricks has"),
    ],
)
def test_a_column_that_says_little_is_refused(
    source: Path, tmp_path: Path, declared: str, value: object, reason: str
) -> None:
    execute(source, f"CREATE TABLE t (id INTEGER PRIMARY KEY, c {declared})")
    execute(source, "INSERT INTO t VALUES (1, ?)", value)
    (refusal,) = refusals(source, tmp_path / "copy.db")
    assert refusal.startswith("t.c: ")
    assert reason in refusal
    assert "--as t.c=text" in refusal
    assert not (tmp_path / "copy.db").exists()


def test_a_kind_that_is_said_is_taken(source: Path, warehouse: sa.Engine) -> None:
    execute(source, "CREATE TABLE t (id INTEGER PRIMARY KEY, c)")
    execute(source, "INSERT INTO t VALUES (1, 5), (2, 2.5)")
    report = copy_database(source, warehouse, kinds={"t.c": "decimal(10, 1)"})
    assert report.is_proved, report.lines()
    with warehouse.connect() as connection:
        found = connection.execute(sa.text("SELECT CAST(c AS STRING) FROM t ORDER BY id"))
        assert found.scalars().all() == ["5.0", "2.5"]


def test_moments_that_become_instants_ask_for_a_zone(
    source: Path, warehouse: sa.Engine, tmp_path: Path
) -> None:
    execute(source, "CREATE TABLE t (id INTEGER PRIMARY KEY, at DATETIME)")
    execute(source, "INSERT INTO t VALUES (1, '2024-07-01 12:00:00.5'), (2, '2024-01-01 12:00:00')")
    with warehouse.begin() as connection:
        connection.execute(sa.text("CREATE TABLE t (id BIGINT NOT NULL PRIMARY KEY, at TIMESTAMP)"))
    (refusal,) = refusals(source, warehouse)
    assert refusal.startswith("t.at: moments without a zone are to become instants (TIMESTAMP)")
    assert "--timezone Europe/Berlin" in refusal
    report = copy_database(source, warehouse, timezone="Europe/Berlin")
    assert report.is_proved, report.lines()
    with warehouse.connect() as connection:
        found = connection.execute(sa.text("SELECT unix_micros(at) FROM t ORDER BY id"))
        assert found.scalars().all() == [1_719_828_000_500_000, 1_704_106_800_000_000]
    back = copy_database(warehouse, str(tmp_path / "back.db"))
    assert back.is_proved, back.lines()
    assert content(tmp_path / "back.db")["t"] == [
        (1, "integer", "2024-07-01 10:00:00.500000", "text"),
        (2, "integer", "2024-01-01 11:00:00.000000", "text"),
    ]
    again = copy_database(warehouse, str(tmp_path / "back.db"), sync=True)
    assert again.is_proved, again.lines()


@pytest.mark.parametrize("moment", ["2024-10-27 02:30:00", "2024-03-31 02:30:00"])
def test_a_moment_that_was_twice_or_never_is_refused(
    source: Path, tmp_path: Path, moment: str
) -> None:
    execute(source, "CREATE TABLE t (id INTEGER PRIMARY KEY, at DATETIME)")
    execute(source, "INSERT INTO t VALUES (1, ?)", moment)
    target = tmp_path / "copy.db"
    (refusal,) = refusals(source, target, kinds={"t.at": "instant"}, timezone="Europe/Berlin")
    assert "a moment that was twice in Europe/Berlin, or never" in refusal


def test_a_table_that_does_not_match_is_refused(source: Path, tmp_path: Path) -> None:
    target = tmp_path / "target.db"
    execute(source, "CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT, b TEXT)")
    execute(target, "CREATE TABLE t (id INTEGER PRIMARY KEY, a REAL)")
    first, second = refusals(source, str(target))
    assert first == (
        "t.a: text cannot become double (REAL); to fix it: change the type of the target's "
        "column, or say with --as what the source's holds"
    )
    assert second == "t.b: the target's table has no such column; to fix it: add it there"


def test_columns_and_keys_of_the_target_alone_are_refused(source: Path, tmp_path: Path) -> None:
    target = tmp_path / "target.db"
    execute(source, "CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT)")
    execute(target, "CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT, more TEXT)")
    execute(source, "CREATE TABLE u (id INTEGER PRIMARY KEY)")
    execute(target, "CREATE TABLE u (id INTEGER)")
    found = refusals(source, str(target))
    assert "its columns more are none of the source's" in found[0]
    assert found[1].startswith("u: its key is (id), and that of the target's table is (none)")


def test_rows_without_a_key_are_refused(source: Path, tmp_path: Path) -> None:
    execute(source, "CREATE TABLE t (id TEXT PRIMARY KEY)")
    execute(source, "INSERT INTO t VALUES (NULL), ('a')")
    (refusal,) = refusals(source, str(tmp_path / "copy.db"))
    assert refusal == "t.id: 1 rows have no key; to fix it: give each row a key"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"tables": ["nope"]}, "nope: .* has no such table; to fix it: name one of "),
        ({"kinds": {"twice.nope": "text"}}, "--as twice.nope: there is no such column"),
        ({"kinds": {"twice.a": "word"}}, "--as twice.a=word: the kinds are integer, boolean"),
        ({"timezone": "Mars/North"}, "--timezone: 'Mars/North' is no time zone"),
    ],
)
def test_what_is_not_known_is_refused(
    sample: Path, tmp_path: Path, options: dict[str, object], message: str
) -> None:
    with pytest.raises(CopyRefusedError, match=message):
        copy_database(sample, str(tmp_path / "copy.db"), **options)  # type: ignore[arg-type]


def test_what_one_side_alone_can_hold_is_refused(warehouse: sa.Engine, tmp_path: Path) -> None:
    with warehouse.begin() as connection:
        connection.execute(
            sa.text("CREATE TABLE t (id BIGINT, a ARRAY<STRUCT<x: DOUBLE>>, v VARIANT)")
        )
    found = copy_database(warehouse, str(tmp_path / "copy.db"), dry_run=True).refusals
    assert [one.partition(" (")[0] for one in found] == [
        "t.a: JSON has no exact form for a part of this ARRAY: DOUBLE",
        "t.v: the JSON of a VARIANT does not tell its dates and bytes from text",
    ]


@pytest.mark.parametrize(
    ("value", "kind", "reason"),
    [
        ("double('NaN')", "DOUBLE", "SQLite keeps NaN as NULL"),
        ("-0.0D", "DOUBLE", "SQLite keeps -0.0 as 0.0"),
        ("12345678901234567.89", "DECIMAL(20, 2)", "which has not all of its digits"),
    ],
)
def test_a_value_that_sqlite_would_change_is_refused(
    warehouse: sa.Engine, tmp_path: Path, value: str, kind: str, reason: str
) -> None:
    with warehouse.begin() as connection:
        connection.execute(sa.text(f"CREATE TABLE t (id BIGINT NOT NULL PRIMARY KEY, c {kind})"))
        connection.execute(sa.text(f"INSERT INTO t VALUES (1, {value})"))
    with pytest.raises(CopyRefusedError, match=r"t\.c, row 1 of those read: ") as refused:
        copy_database(warehouse, str(tmp_path / "copy.db"))
    assert reason in str(refused.value)
    assert content(tmp_path / "copy.db")["t"] == []
