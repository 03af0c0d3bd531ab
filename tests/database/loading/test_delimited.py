"""CSV: what is read, and what is an error with its line."""

from __future__ import annotations

import gzip
import io
from pathlib import Path

import pytest
import sqlalchemy as sa
from vinci_code.database.loading.delimited import DelimitedError, DelimitedRows, Fields

from vinci_code.core.errors import InputDataError, LoadRefusedError
from vinci_code.database import load
from vinci_code.database.loading import delimited

TABLE = sa.Table(
    "texts", sa.MetaData(), sa.Column("id", sa.BigInteger), sa.Column("value", sa.String)
)


@pytest.fixture(autouse=True)
def table(request: pytest.FixtureRequest) -> None:
    if "sqlite" in request.fixturenames:
        TABLE.create(request.getfixturevalue("sqlite"))


def rows(text: str, wanted: int | None = None) -> list[Fields]:
    return list(DelimitedRows(io.StringIO(text, newline="")).rows(wanted))


def loaded(engine: sa.Engine, path: Path, data: bytes) -> list[tuple[int, str | None]]:
    path.write_bytes(data)
    load(engine, TABLE, path)
    with engine.connect() as connection:
        return [tuple(row) for row in connection.execute(sa.select(TABLE))]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        ("a,b", [["a", "b"]]),
        ('a,""\n,\n', [["a", ""], [None, None]]),
        ('"a ""q"", b\r\nc",d\r\n', [['a "q", b\r\nc', "d"]]),
        ('""""\n"a\n\n""\nb"\n', [['"'], ['a\n\n"\nb']]),
        ("a\r\nb\rc\n", [["a"], ["b"], ["c"]]),
        ("a,b\n\nc,d\n", [["a", "b"], ["c", "d"]]),
        ('"a",\n', [["a", None]]),
        ('a,"b"', [["a", "b"]]),
        ("'a,b'\n", [["'a", "b'"]]),
        ("a\\b, c \n", [["a\\b", " c "]]),
        ("a\u2028b\x0b\x1c\n", [["a\u2028b\x0b\x1c"]]),
    ],
)
def test_rows(text: str, expected: list[Fields]) -> None:
    assert rows(text) == expected


def test_an_empty_line_is_a_row_of_one_field() -> None:
    assert rows('a\n\n""\n\n', 1) == [["a"], [None], [""], [None]]


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        ('a,b\nc,"d', 2, "closed nowhere"),
        ('a,b\nc,"d\ne\n', 2, "closed nowhere"),
        ('a,"b\n1,"c"\n', 2, "the field begins in line 1"),
        ('a,b\n"c"d,e\n', 2, "behind a quote"),
        ('a,"b\\"c"\n', 1, "behind a quote"),
        ('a,"b" \n', 1, "behind a quote"),
        ('a,b"c\n', 1, "begins without one"),
        ('a, "b"\n', 1, "begins without one"),
        ("a,b\nc\n", 2, "it has 1 fields"),
        ('a,b\n"c\nd",e,f\n', 2, "it has 3 fields"),
        ("a,b\n   \n", 2, "it has 1 fields"),
    ],
)
def test_what_is_no_csv(text: str, line: int, reason: str) -> None:
    with pytest.raises(DelimitedError, match=reason) as caught:
        rows(text, 2)
    assert caught.value.line == line


def test_what_has_no_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delimited, "LONGEST", 10)
    assert rows("123456789\n"[1:]) == [["23456789"]]
    with pytest.raises(DelimitedError, match="longer than 10"):
        rows("a\n0123456789\n")
    with pytest.raises(DelimitedError, match="not closed within 10"):
        rows('"' + "a\n" * 9)


def test_texts_are_as_they_stand(sqlite: sa.Engine, tmp_path: Path) -> None:
    data = b'\xef\xbb\xbf"id",value\r\n1,007\r\n2,""\r\n3,\r\n4,"a\r\nb"\r\n\r\n5,NULL'
    assert loaded(sqlite, tmp_path / "a.csv", data) == [
        (1, "007"),
        (2, ""),
        (3, None),
        (4, "a\r\nb"),
        (5, "NULL"),
    ]


def test_a_field_may_be_large(sqlite: sa.Engine, tmp_path: Path) -> None:
    large = "x\n" * 2_000_000
    found = loaded(sqlite, tmp_path / "a.csv", f'id,value\n1,"{large}"\n2,b\n'.encode())
    assert found == [(1, large), (2, "b")]


@pytest.mark.parametrize("quote", ['"', ""])
def test_a_file_that_was_cut_off_leaves_nothing(
    sqlite: sa.Engine, tmp_path: Path, quote: str
) -> None:
    whole = "id,value\n" + "".join(f'{number},"text {number}"\n' for number in range(20_000))
    with pytest.raises(InputDataError) as caught:
        loaded(sqlite, tmp_path / "a.csv", (whole[:-2] + quote + "x").encode())
    assert caught.value.line == 20_001
    with sqlite.connect() as connection:
        assert connection.scalar(sa.select(sa.func.count()).select_from(TABLE)) == 0


def test_it_is_told_what_is_wrong(sqlite: sa.Engine, tmp_path: Path) -> None:
    packed = gzip.compress(b"id,value\n1,a\n")
    for name, data, reason in [
        ("a.csv", "id,value\n1,\xe9\n".encode("latin-1"), "no UTF-8"),
        ("a.csv", "id,value\n".encode("utf-16"), "no UTF-8"),
        ("a.csv.gz", b"id,value\n1,a\n", "no whole gzip"),
        ("a.csv.gz", packed[:-9], "no whole gzip"),
    ]:
        with pytest.raises(InputDataError, match=reason):
            loaded(sqlite, tmp_path / name, data)
    with pytest.raises(LoadRefusedError, match="separated by commas"):
        loaded(sqlite, tmp_path / "a.csv", b"id;value\n1;a\n")


def test_lines_without_text_are_values_of_one_column(sqlite: sa.Engine, tmp_path: Path) -> None:
    assert loaded(sqlite, tmp_path / "a.csv", b"value\na\n\nb\n") == [
        (None, "a"),
        (None, None),
        (None, "b"),
    ]


def test_a_file_is_named_once(sqlite: sa.Engine, tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("id,value\n1,a\n")
    (tmp_path / "link.csv").symlink_to(path)
    for given in ([path, path], [path, str(tmp_path / "a*.csv")], [str(tmp_path / "*.csv")]):
        with pytest.raises(LoadRefusedError, match="named twice"):
            load(sqlite, TABLE, given)


def test_a_folder_with_brackets_stands_for_itself(sqlite: sa.Engine, tmp_path: Path) -> None:
    folder = tmp_path / "a[1]"
    folder.mkdir()
    (folder / "b.csv").write_text("id,value\n1,a\n")
    assert load(sqlite, TABLE, str(folder / "*.csv")).read == 1
