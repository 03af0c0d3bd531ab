"""What nobody wishes for: odd files, targets that change meanwhile, and two copies at once."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from tests.database.moving.samples import content, execute
from vinci_code.core.errors import CopyRefusedError
from vinci_code.database import copy_database
from vinci_code.database.moving import marks
from vinci_code.database.moving.places import shown as without_secrets
from vinci_code.database.moving.writing import Writer

SECRET = "hunter2"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """60 rows with a key, and the same without one."""
    file = tmp_path / "source.db"
    execute(file, "CREATE TABLE p (id INTEGER PRIMARY KEY, v TEXT UNIQUE)")
    numbers = "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 59)"
    execute(file, f"{numbers} INSERT INTO p SELECT i, 'v' || i FROM n")
    execute(file, "CREATE TABLE k (v TEXT)")
    execute(file, "INSERT INTO k SELECT v FROM p")
    return file


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "target.db"


class StoppedError(Exception):
    """Stands for an end in the middle."""


def stopped(source: Path, target: Path) -> None:
    """Copy the table without a key, and half of the one with a key."""

    def told(rows: int, _: int) -> None:
        if rows > 80:
            raise StoppedError

    with pytest.raises(StoppedError):
        copy_database(source, target, chunk_rows=10, on_progress=told)
    assert 0 < len(content(target)["p"]) < 60


@pytest.mark.parametrize(
    "change", ["DROP TABLE p", "DELETE FROM p", "DELETE FROM k", "DROP TABLE k"]
)
@pytest.mark.parametrize("is_kept_up", [False, True])
def test_a_table_that_is_empty_meanwhile_is_copied_anew(
    change: str, source: Path, target: Path, *, is_kept_up: bool
) -> None:
    stopped(source, target)
    execute(target, change)
    report = copy_database(source, target, sync=is_kept_up)
    assert report.is_proved, report.lines()
    assert content(target) == content(source)


def test_a_row_in_the_way_is_named_and_compared_by_a_sync(source: Path, target: Path) -> None:
    stopped(source, target)
    execute(target, "INSERT INTO p VALUES (45, 'own')")
    with pytest.raises(CopyRefusedError, match="run it again with --sync"):
        copy_database(source, target)
    assert copy_database(source, target, sync=True).is_proved
    assert content(target) == content(source)


def test_two_copies_at_once_write_a_table_without_a_key_once(
    source: Path, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, waiting = Writer._whole, [True]

    def outrun(self: Writer, *given: Any) -> int:
        if waiting:
            waiting.pop()
            assert copy_database(source, target, tables=["k"], keep=True).is_proved
        return write(self, *given)

    monkeypatch.setattr(Writer, "_whole", outrun)
    assert copy_database(source, target, tables=["k"]).is_proved
    assert len(content(target)["k"]) == 60
    assert copy_database(source, target, tables=["k"]).is_proved


def test_unique_values_that_have_moved_are_brought_over(source: Path, target: Path) -> None:
    copy_database(source, target)
    execute(source, "UPDATE p SET v = 'gone' WHERE id = 1")
    execute(source, "UPDATE p SET v = 'v1' WHERE id = 2")
    execute(source, "UPDATE p SET v = 'v2' WHERE id = 1")
    assert copy_database(source, target, tables=["p"], sync=True).is_proved
    execute(source, "UPDATE p SET id = 99 WHERE id = 5")
    with pytest.raises(CopyRefusedError, match="use --delete"):
        copy_database(source, target, tables=["p"], sync=True)
    report = copy_database(source, target, tables=["p"], sync=True, delete=True)
    assert report.is_proved
    assert (report.tables[0].copied, report.tables[0].deleted) == (1, 1)
    assert content(target) == content(source)


def test_virtual_tables_are_refused_with_what_belongs_to_them(tmp_path: Path, target: Path) -> None:
    source = tmp_path / "virtual.db"
    execute(source, "CREATE VIRTUAL TABLE r USING rtree(id, a, b)")
    execute(source, "CREATE TABLE p (id INTEGER PRIMARY KEY)")
    report = copy_database(source, target, dry_run=True)
    assert [one.partition(",")[0] for one in report.refusals] == ["r: it is a virtual table"]
    for shadow in ("r_node", "r_parent", "r_rowid"):
        with pytest.raises(CopyRefusedError, match=f"{shadow}: it is a part of a virtual table"):
            copy_database(source, target, tables=[shadow])
    assert copy_database(source, target, tables=["p"]).is_proved
    execute(target, "DROP TABLE p")
    execute(target, "CREATE VIRTUAL TABLE p USING rtree(id, a, b)")
    with pytest.raises(CopyRefusedError, match="p of the target is a virtual table"):
        copy_database(source, target, tables=["p"])


def test_autoincrement_goes_on_where_it_does_in_the_source(tmp_path: Path, target: Path) -> None:
    source = tmp_path / "numbered.db"
    execute(source, "CREATE TABLE t (id INTEGER PRIMARY KEY AUTOINCREMENT, v TEXT)")
    execute(source, "INSERT INTO t VALUES (1, 'a'), (100, 'b')")
    execute(source, "DELETE FROM t WHERE id = 100")
    assert copy_database(source, target).is_proved
    execute(target, "INSERT INTO t (v) VALUES ('c')")
    assert [row[0] for row in content(target)["t"]] == [1, 101]
    other = tmp_path / "other.db"
    execute(other, "CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT)")
    report = copy_database(source, other)
    assert report.left_out == ["t: the number 100 that AUTOINCREMENT goes on behind"]


def test_foreign_keys_that_sqlite_cannot_check_are_told(tmp_path: Path, target: Path) -> None:
    source = tmp_path / "mismatch.db"
    execute(source, "CREATE TABLE p (id INTEGER PRIMARY KEY, a INT)")
    execute(source, "CREATE TABLE c (id INTEGER PRIMARY KEY, a INT REFERENCES p(a))")
    execute(source, "INSERT INTO c VALUES (1, 1)")
    report = copy_database(source, target)
    assert report.is_proved
    assert report.notes[0].startswith(
        "the foreign keys of c were not checked: foreign key mismatch"
    )


def test_names_in_another_case_and_with_points_are_found(tmp_path: Path, target: Path) -> None:
    source = tmp_path / "odd.db"
    execute(source, 'CREATE TABLE "a.b" (Id INTEGER PRIMARY KEY, V TEXT, UNIQUE (v))')
    execute(
        source,
        'CREATE TABLE c (id INTEGER PRIMARY KEY, r INT REFERENCES "A.B"(iD), o INT REFERENCES o)',
    )
    execute(source, "CREATE TABLE o (id INTEGER PRIMARY KEY)")
    assert copy_database(source, target, tables=["a.b", "c"]).is_proved
    with closing(sqlite3.connect(target)) as connection:
        ((parent, own, its),) = connection.execute(
            'SELECT "table", "from", "to" FROM pragma_foreign_key_list(\'c\')'
        ).fetchall()
    assert (parent, own, its) == ("a.b", "r", "Id")


def test_tables_of_the_target_alone_are_told(source: Path, target: Path) -> None:
    copy_database(source, target, keep=True)
    execute(target, "CREATE TABLE z (id INTEGER PRIMARY KEY)")
    report = copy_database(source, target, verify_only=True)
    assert report.only_there == ["z"]
    assert copy_database(source, target, tables=["p"], verify_only=True).only_there == []


@pytest.mark.parametrize("name", ["INDEX p ON o (id)", "VIEW P AS SELECT 1 AS id"])
def test_a_name_that_is_taken_is_refused_in_the_plan(name: str, source: Path, target: Path) -> None:
    execute(target, "CREATE TABLE o (id INTEGER PRIMARY KEY)")
    execute(target, f"CREATE {name}")
    with pytest.raises(CopyRefusedError, match=r"p: the target has [pP], which is no table"):
        copy_database(source, target)
    assert list(content(target)) == ["o"]


def test_a_table_with_the_name_of_the_marks(source: Path, target: Path) -> None:
    execute(source, f"CREATE TABLE {marks.NAME} (id INTEGER PRIMARY KEY)")
    report = copy_database(source, target)
    assert f"{marks.NAME}: a copy keeps its marks in a table of this name" in report.left_out
    execute(target, f"CREATE TABLE {marks.NAME} (id INTEGER PRIMARY KEY)")
    with pytest.raises(CopyRefusedError, match="is not the one that a copy keeps its marks in"):
        copy_database(source, target)


@pytest.mark.parametrize(
    "url",
    [
        f"mysql+nope://me:{SECRET}@h/db",
        f"mysql+nope://me@h/db?passwd={SECRET}",
        f"oracle+nope://me:p@h/db?x=1&y={SECRET}",
        f"sqlite+aiosqlite:///x.db?key={SECRET}",
        f"postgresql://me:{SECRET}@h:x/db",
    ],
)
def test_no_secret_of_a_url_is_told(url: str, source: Path) -> None:
    with pytest.raises(CopyRefusedError) as found:
        copy_database(source, url)
    assert SECRET not in str(found.value)


def test_a_database_is_called_by_its_url_without_secrets() -> None:
    told = without_secrets(f"postgresql://me:{SECRET}@h/db?sslpassword={SECRET}")
    assert told == "postgresql://me:***@h/db"
    assert without_secrets("shop.db") == "shop.db"


def test_columns_named_as_what_a_proof_computes(warehouse: sa.Engine, tmp_path: Path) -> None:
    source = tmp_path / "source.db"
    execute(source, "CREATE TABLE t (Vinci_Copy_Key INTEGER PRIMARY KEY, vinci_copy_number TEXT)")
    execute(source, "INSERT INTO t VALUES (1, 'a'), (2, 'b')")
    assert copy_database(source, warehouse).is_proved
    execute(source, "UPDATE t SET vinci_copy_number = 'c' WHERE vinci_copy_key = 2")
    report = copy_database(source, warehouse, verify_only=True)
    assert report.tables[0].differing == ["2"]
    assert copy_database(source, warehouse, sync=True).is_proved


def test_a_parent_that_is_there_already_is_referred_to(
    warehouse: sa.Engine, tmp_path: Path
) -> None:
    source = tmp_path / "source.db"
    execute(source, "CREATE TABLE p (id INTEGER PRIMARY KEY)")
    assert copy_database(source, warehouse).is_proved
    execute(source, "CREATE TABLE c (id INTEGER PRIMARY KEY, r INTEGER REFERENCES p)")
    assert copy_database(source, warehouse).is_proved
    assert len(sa.inspect(warehouse).get_foreign_keys("c")) == 1
