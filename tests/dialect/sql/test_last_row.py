"""``result.lastrowid``: the key that was made or given, or an error; never nothing for a row."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import (
    Column,
    Connection,
    Engine,
    ForeignKey,
    Integer,
    MetaData,
    String,
    Table,
    func,
    insert,
    select,
    text,
    update,
)
from sqlalchemy.exc import InvalidRequestError
from sqlalchemy.types import TypeDecorator

from tests.dialect.sides import Sides
from vinci_code.database.upserts import upsert


class Shifted(TypeDecorator[int]):
    """Whole numbers that are stored 100 greater."""

    impl = Integer
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Any) -> Any:
        return None if value is None else value + 100

    def process_result_value(self, value: Any, dialect: Any) -> Any:
        return None if value is None else value - 100


METADATA = MetaData()
PARENT = Table("parent", METADATA, Column("id", Integer, primary_key=True), Column("name", String))
CHILD = Table(
    "child",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("parent_id", ForeignKey("parent.id")),
)
NAMED = Table("named", METADATA, Column("id", String, primary_key=True))
PAIR = Table(
    "pair",
    METADATA,
    Column("a", Integer, primary_key=True),
    Column("b", Integer, primary_key=True),
)
SHIFTED = Table("shifted", METADATA, Column("id", Shifted, primary_key=True))

Run = Callable[[Connection], Any]


@pytest.fixture
def sides(engine: Engine, tmp_path: Path) -> Any:
    """SQLite and the warehouse."""
    made = Sides(engine, tmp_path, METADATA)
    yield made
    made.sqlite.dispose()


def test_the_key_that_was_made_can_be_referred_to(sides: Sides) -> None:
    for engine in sides.engines:
        with engine.begin() as connection:
            for name in ("a", "b"):
                key = connection.execute(insert(PARENT).values(name=name)).lastrowid
                connection.execute(insert(CHILD), {"parent_id": key})
    joined = select(PARENT.c.name).select_from(PARENT.join(CHILD)).order_by(PARENT.c.name)
    assert sides.rows(joined) == [("a",), ("b",)]


@pytest.mark.parametrize(
    "run",
    [
        lambda c: c.execute(insert(PARENT).values(id=7)),
        lambda c: c.execute(insert(PARENT), {"id": 8, "name": "a"}),
        lambda c: c.execute(insert(SHIFTED).values(id=9)),
        lambda c: c.execute(insert(PARENT), [{"id": 11}, {"id": 12}]),
    ],
)
def test_the_key_that_was_given_is_returned_as_on_sqlite(sides: Sides, run: Run) -> None:
    found = []
    for engine in sides.engines:
        with engine.begin() as connection:
            found.append(run(connection).lastrowid)
    assert found[1] == found[0]


@pytest.mark.parametrize(
    "run",
    [
        lambda c: c.execute(insert(PARENT).values([{"name": "a"}, {"name": "b"}])),
        lambda c: c.execute(insert(PARENT).from_select(["name"], select(NAMED.c.id))),
        lambda c: c.execute(insert(PARENT).values(id=func.abs(-4))),
        lambda c: c.execute(insert(NAMED).values(id="a")),
        lambda c: c.execute(insert(PAIR).values(a=1, b=2)),
        lambda c: c.execute(upsert(PARENT, [{"id": 1, "name": "a"}], keys=["id"], update=["name"])),
        lambda c: c.execute(text("INSERT INTO parent (id) VALUES (5)")),
        lambda c: c.exec_driver_sql("INSERT INTO parent (id) VALUES (6)"),
    ],
)
def test_a_key_that_nobody_knows_is_an_error(sides: Sides, run: Run) -> None:
    with sides.warehouse.connect() as connection:
        result = run(connection)
        with pytest.raises(InvalidRequestError, match="lastrowid is known of an INSERT"):
            result.lastrowid  # noqa: B018


def test_what_inserts_nothing_has_none(sides: Sides) -> None:
    with sides.warehouse.connect() as connection:
        assert connection.execute(update(PARENT).values(name="b")).lastrowid is None
        assert connection.execute(text("DELETE FROM parent")).lastrowid is None
