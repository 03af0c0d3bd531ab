"""What SQLAlchemy gives as a source; and what an error, or an interrupt, leaves behind."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pytest
import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from tests.dialect.held import rows_of
from vinci_code.core.errors import LoadRefusedError
from vinci_code.database import load

NAMES = list("abcdefgh")


@pytest.fixture
def table(engine: sa.Engine) -> sa.Table:
    found = sa.Table(
        "results",
        sa.MetaData(),
        sa.Column("id", sa.BigInteger, primary_key=True, autoincrement=False),
        *(sa.Column(name, sa.String) for name in NAMES),
    )
    found.create(engine)
    return found


def made(*numbers: int) -> list[dict[str, Any]]:
    return [{"id": number, **dict.fromkeys(NAMES, "x")} for number in numbers]


def test_mappings_of_a_result_are_taken(engine: sa.Engine, table: sa.Table) -> None:
    load(engine, table, made(1, 2))
    with engine.connect() as connection:
        found = connection.execute(sa.select(table)).mappings().all()
    load(engine, table, found, mode="replace")
    assert [row[0] for row in rows_of(engine, table)] == [1, 2]


def test_a_result_that_is_being_read(engine: sa.Engine, table: sa.Table) -> None:
    """SQLite's would be given the rows that it is to give."""
    load(engine, table, made(1, 2))
    with engine.begin() as connection:
        moved: Any = sa.select((table.c.id + 10).label("id"), table.c.a)
        source = connection.execute(moved).mappings()
        if engine.dialect.name == "sqlite":
            with pytest.raises(LoadRefusedError, match=r"(\n.*)all\(\)"):
                load(connection, table, source)
            source = connection.execute(moved).mappings().all()
        load(connection, table, source)
    assert [row[0] for row in rows_of(engine, table)] == [1, 2, 11, 12]


@pytest.mark.parametrize("mode", ["append", "upsert"])
def test_an_error_does_not_tell_the_rows(sqlite: sa.Engine, mode: Any) -> None:
    table = sa.Table(
        "people",
        sa.MetaData(),
        sa.Column("id", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("name", sa.String, unique=True),
    )
    # One of the application's: those that are made here hide rows by themselves.
    engine = sa.create_engine(sqlite.url)
    table.create(engine)
    rows = [{"id": number, "name": "hunter2secret"} for number in (1, 2)]
    with pytest.raises(IntegrityError, match=r"people\.name") as caught:
        load(engine, table, rows, mode=mode)
    engine.dispose()
    assert "hunter2" not in str(caught.value)


def test_an_interrupt_leaves_the_file_free(
    sqlite: sa.Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = sa.Table("numbers", sa.MetaData(), sa.Column("id", sa.BigInteger))
    table.create(sqlite)
    execute = sqlite.dialect.do_executemany

    def interrupted(cursor: Any, statement: str, parameters: Any, context: Any) -> None:
        def some() -> Iterator[Any]:
            yield from parameters[:1000]
            raise KeyboardInterrupt

        execute(cursor, statement, some(), context)

    monkeypatch.setattr(sqlite.dialect, "do_executemany", interrupted)
    with pytest.raises(KeyboardInterrupt):
        load(sqlite, table, pa.table({"id": range(5000)}))
    other = sqlite3.connect(str(sqlite.url.database), timeout=0)
    other.execute("BEGIN IMMEDIATE")
    other.close()
    monkeypatch.undo()
    assert rows_of(sqlite, table) == []
