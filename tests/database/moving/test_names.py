"""Which table, column or file is meant: by the rules of the database, and by the file itself."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import sqlalchemy as sa

from tests.database.moving.samples import content, execute
from vinci_code.core.errors import CopyRefusedError
from vinci_code.database import copy_database
from vinci_code.database.moving.naming import KnownNames, as_one
from vinci_code.database.moving.places import are_one, place_of


def made(path: Path, *statements: str) -> Path:
    for one in statements:
        execute(path, one)
    return path


def simple(path: Path, name: str = "t") -> Path:
    table = f'CREATE TABLE "{name}" (id INTEGER PRIMARY KEY, a TEXT)'
    return made(path, table, f"INSERT INTO \"{name}\" VALUES (1, '{name}')")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return simple(tmp_path / "source.db")


@pytest.fixture
def accents(tmp_path: Path) -> Path:
    """Two tables, which SQLite tells apart."""
    path = simple(tmp_path / "accents.db", "É")
    return simple(path, "é")


def test_tables_that_differ_in_an_accents_case_are_two(accents: Path, tmp_path: Path) -> None:
    target = tmp_path / "copy.db"
    assert copy_database(accents, target).is_proved
    assert copy_database(accents, target, verify_only=True).is_proved
    execute(target, 'UPDATE "É" SET a = NULL')
    report = copy_database(accents, target, verify_only=True)
    assert [one.plan.name for one in report.tables if not one.is_proved] == ["É"]
    assert copy_database(accents, target, sync=True).is_proved
    with closing(sqlite3.connect(target)) as connection:
        rows = connection.execute('SELECT a FROM "É" UNION ALL SELECT a FROM "é"').fetchall()
    assert rows == [("É",), ("é",)]


@pytest.mark.parametrize("name", ["É", "é"])
def test_the_table_that_was_asked_for_is_copied(accents: Path, tmp_path: Path, name: str) -> None:
    target = tmp_path / "copy.db"
    assert copy_database(accents, target, tables=[name]).is_proved
    assert list(content(target).values()) == [[(1, "integer", name, "text")]]


def test_a_table_of_another_name_is_not_taken(tmp_path: Path) -> None:
    source = simple(tmp_path / "source.db", "é")
    with pytest.raises(
        CopyRefusedError, match=r"É: .* has no such table; to fix it: name one of é"
    ):
        copy_database(source, tmp_path / "copy.db", tables=["É"])
    assert copy_database(simple(tmp_path / "b.db", "Ab"), tmp_path / "c.db", tables=["aB"])


def test_columns_that_differ_in_an_accents_case_are_two(tmp_path: Path) -> None:
    source, target = tmp_path / "source.db", tmp_path / "copy.db"
    made(source, 'CREATE TABLE t (id INTEGER PRIMARY KEY, "É" TEXT, "é" TEXT)')
    execute(source, "INSERT INTO t VALUES (1, 'great', 'small')")
    execute(target, 'CREATE TABLE t ("é" TEXT, "É" TEXT, id INTEGER PRIMARY KEY)')
    assert copy_database(source, target).is_proved
    assert content(target)["t"] == [("small", "text", "great", "text", 1, "integer")]


def test_a_kind_is_that_of_the_column_that_was_named(tmp_path: Path) -> None:
    source = made(tmp_path / "source.db", 'CREATE TABLE t (id INTEGER PRIMARY KEY, "É", "é")')
    found = copy_database(
        source, tmp_path / "copy.db", kinds={"t.É": "text"}, dry_run=True
    ).refusals
    assert [one.partition(":")[0] for one in found] == ["t.é"]


def test_what_would_be_one_in_a_warehouse_is_refused(
    accents: Path, warehouse: sa.Engine, tmp_path: Path
) -> None:
    with pytest.raises(CopyRefusedError, match="é: in the target it would be one table with É"):
        copy_database(accents, warehouse)
    columns = made(tmp_path / "c.db", 'CREATE TABLE t (id INTEGER PRIMARY KEY, "É" TEXT, "é" TEXT)')
    with pytest.raises(CopyRefusedError, match=r"t\.é: in the target it would be one column with"):
        copy_database(columns, warehouse)
    assert sa.inspect(warehouse).get_table_names() == []


def test_names_of_other_databases(tmp_path: Path) -> None:
    # No driver of it need be installed: nothing is asked.
    driver: Any = SimpleNamespace(__version__="1.31.2", paramstyle="format")
    postgresql = sa.create_engine("postgresql+pg8000://h/d", module=driver)
    file, other = place_of(tmp_path / "x.db", "planned"), place_of(postgresql, "read")
    names = KnownNames(["Orders", "orders", "Single"], other)
    assert [names.find(one) for one in ("orders", "Orders", "single", "none")] == [
        "orders",
        "Orders",
        "Single",
        None,
    ]
    with pytest.raises(CopyRefusedError, match="not known which of them is meant"):
        names.find("ORDERS")
    assert as_one("Orders", other) == "Orders"
    assert as_one("OrdersÉ", file) == "ordersÉ"
    for one in (file, other):
        one.close()


@pytest.mark.parametrize("way", ["link", "hard link", "way round"])
def test_one_file_by_two_names_is_refused(source: Path, tmp_path: Path, way: str) -> None:
    other = tmp_path / "other.db"
    if way == "link":
        other.symlink_to(source)
    elif way == "hard link":
        os.link(source, other)
    else:
        (tmp_path / "folder").mkdir()
        other = tmp_path / "folder" / ".." / source.name
    before = source.read_bytes()
    with pytest.raises(CopyRefusedError, match="it is the source and the target"):
        copy_database(source, other)
    assert source.read_bytes() == before


def test_of_files_that_are_not_there_letter_case_is_not_trusted(tmp_path: Path) -> None:
    assert are_one(tmp_path / "A.db", tmp_path / "a.db")
    assert not are_one(tmp_path / "a.db", tmp_path / "b.db")
    assert not are_one(None, None)


@pytest.mark.parametrize("name", ["a?b.db", "a#b.db", "a%41b.db", "a?mode=rw&x.db", "a b.db"])
def test_the_file_that_was_named_is_read(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    source = simple(folder / "plain.db").rename(folder / name)
    assert copy_database(str(source), tmp_path / "copy.db").rows == 1
    assert [one.name for one in folder.iterdir()] == [name]


def test_a_temporary_table_does_not_stand_for_the_files_own(source: Path, tmp_path: Path) -> None:
    engine = sa.create_engine(f"sqlite:///{source}", poolclass=sa.StaticPool)
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TEMP TABLE t (id INTEGER PRIMARY KEY, a TEXT)")
        connection.exec_driver_sql("INSERT INTO temp.t VALUES (7, 'temporary')")
    target = tmp_path / "copy.db"
    assert copy_database(engine, target).is_proved
    engine.dispose()
    assert content(target) == content(source)


def test_a_view_of_the_target_is_no_table(source: Path, tmp_path: Path) -> None:
    target = simple(tmp_path / "copy.db", "hidden")
    execute(target, "DELETE FROM hidden")
    execute(target, "CREATE VIEW t AS SELECT * FROM hidden")
    execute(
        target,
        "CREATE TRIGGER fill INSTEAD OF INSERT ON t BEGIN "
        "INSERT INTO hidden VALUES (new.id, new.a); END",
    )
    for options in ({}, {"sync": True}, {"verify_only": True}):
        with pytest.raises(CopyRefusedError, match="t: the target has t, which is no table: it is"):
            copy_database(source, target, **options)
    assert content(target) == {"hidden": []}


def test_a_view_of_a_warehouse_is_no_table(source: Path, warehouse: sa.Engine) -> None:
    with warehouse.begin() as connection:
        connection.execute(sa.text("CREATE VIEW t AS SELECT 1 AS id, 'x' AS a"))
    with pytest.raises(CopyRefusedError, match=r"t: the target has t, which is no table: a view\?"):
        copy_database(source, warehouse)


def test_a_name_that_an_index_needs_is_free_or_refused(source: Path, tmp_path: Path) -> None:
    execute(source, "CREATE INDEX ix ON t (a)")
    target = simple(tmp_path / "copy.db", "other")
    execute(target, "CREATE INDEX ix ON other (a)")
    with pytest.raises(CopyRefusedError, match="t: the target has the index ix"):
        copy_database(source, target)
    assert set(content(target)) == {"other"}, "or something was made before"


@pytest.mark.parametrize("name", ["docs", "docs_data"])
def test_a_virtual_table_is_refused_as_what_it_is(tmp_path: Path, name: str) -> None:
    source = made(tmp_path / "source.db", "CREATE VIRTUAL TABLE docs USING fts5(body)")
    simple(source)
    found = copy_database(source, tmp_path / "copy.db", dry_run=True).refusals
    assert [one.partition(",")[0] for one in found] == ["docs: it is a virtual table"]
    assert copy_database(source, tmp_path / "copy.db", tables=["t"]).is_proved
    with pytest.raises(CopyRefusedError, match=f"{name}: it is a (part of a )?virtual table"):
        copy_database(source, tmp_path / "new.db", tables=[name], kinds={"docs.body": "text"})
    target = made(tmp_path / "other.db", "CREATE VIRTUAL TABLE t USING fts5(id, a)")
    with pytest.raises(CopyRefusedError, match="t of the target is a virtual table"):
        copy_database(source, target, tables=["t"])


def test_of_no_table_nothing_is_proved(source: Path, tmp_path: Path) -> None:
    empty = made(tmp_path / "empty.db", "CREATE VIEW seen AS SELECT 1")
    for options in ({}, {"sync": True}, {"verify_only": True}):
        with pytest.raises(CopyRefusedError, match=r"empty\.db: it has no table"):
            copy_database(empty, source, **options)
    report = copy_database(empty, source, dry_run=True)
    assert "it has no table" in report.refusals[0]
    assert not report.is_proved


def test_tables_that_the_target_alone_has_are_told(source: Path, tmp_path: Path) -> None:
    target = simple(simple(tmp_path / "copy.db"), "more")
    report = copy_database(source, target, verify_only=True)
    assert report.only_there == ["more"]
    assert "In the target alone, and not compared: more" in report.lines()
    assert copy_database(source, target, verify_only=True, tables=["t"]).only_there == []


def test_tables_are_a_list(source: Path, tmp_path: Path) -> None:
    with pytest.raises(sa.exc.ArgumentError, match=r"it is a list of names, as \['t'\]"):
        copy_database(source, tmp_path / "copy.db", tables="t")
