"""CSV that is loaded: its texts as they stand, and what is wrong with a file, named."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
import sqlalchemy as sa

from vinci_code.core.errors import InputDataError, LoadRefusedError
from vinci_code.database import load

TABLE = sa.Table(
    "texts", sa.MetaData(), sa.Column("id", sa.BigInteger), sa.Column("value", sa.String)
)


@pytest.fixture(autouse=True)
def table(request: pytest.FixtureRequest) -> None:
    if "sqlite" in request.fixturenames:
        TABLE.create(request.getfixturevalue("sqlite"))


def loaded(engine: sa.Engine, path: Path, data: bytes) -> list[tuple[int, str | None]]:
    path.write_bytes(data)
    load(engine, TABLE, path)
    with engine.connect() as connection:
        return [tuple(row) for row in connection.execute(sa.select(TABLE))]


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
