"""How many statements a unit of work is."""

from __future__ import annotations

from hashlib import md5
from typing import Any

import pytest
from sqlalchemy import Column, Engine, Integer, MetaData, String, Table, bindparam, func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from tests.dialect.held import count_of, first_words, rows_of, sending
from tests.full import full
from vinci_code.database import upsert
from vinci_code.database.dialect.units import unit as units
from vinci_code.database.dialect.writes import payload
from vinci_code.database.models import Event
from vinci_code.warehouse.pytest_plugin import TestWarehouse


class Base(DeclarativeBase):
    pass


class Item(Base):
    __tablename__ = "item"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str | None] = mapped_column(unique=True)
    size: Mapped[int | None]


class Box(Base):
    __tablename__ = "box"
    id: Mapped[int] = mapped_column(primary_key=True)
    label: Mapped[str | None]


class Shelf(Base):
    __tablename__ = "shelf"
    id: Mapped[int] = mapped_column(primary_key=True)
    label: Mapped[str | None]


ITEM, BOX, SHELF = (model.metadata.tables[model.__tablename__] for model in (Item, Box, Shelf))


@pytest.fixture
def tables(engine: Engine) -> Engine:
    """The engine, with the tables."""
    Base.metadata.create_all(engine, checkfirst=False)
    return engine


def test_one_object(tables: Engine, local_warehouse: TestWarehouse) -> None:
    with sending(lambda: local_warehouse.statements) as sent, Session(tables) as session:
        session.add(Item(name="a"))
        session.commit()
    assert first_words(sent) == ["INSERT"]


def test_ten_thousand_events(engine: Engine, local_warehouse: TestWarehouse) -> None:
    Event.metadata.create_all(engine, checkfirst=False)
    with sending(lambda: local_warehouse.statements) as sent, Session(engine) as session:
        session.add_all(
            Event(event_type="t", source="s", event_key=str(n), payload={"n": n})
            for n in range(10_000)
        )
        session.commit()
    assert first_words(sent) == ["INSERT"]
    with Session(engine) as session:
        assert session.scalar(select(func.count()).select_from(Event)) == 10_000


def test_a_thousand_dirty_objects(tables: Engine, local_warehouse: TestWarehouse) -> None:
    with Session(tables) as session:
        session.add_all(Item(name=str(n)) for n in range(1000))
        session.commit()
        items = session.scalars(select(Item)).all()
        with sending(lambda: local_warehouse.statements) as sent:
            for item in items:
                item.size = len(item.name or "")
            session.commit()
    assert first_words(sent) == ["MERGE"]
    rows = rows_of(tables, ITEM)
    assert rows
    assert all(size == len(name) for _, name, size in rows)


def test_a_thousand_deletes(tables: Engine, local_warehouse: TestWarehouse) -> None:
    with Session(tables) as session:
        session.add_all(Item(name=str(n)) for n in range(1001))
        session.commit()
        items = session.scalars(select(Item).order_by(Item.id)).all()
        with sending(lambda: local_warehouse.statements) as sent:
            for item in items[1:]:
                session.delete(item)
            session.commit()
    assert first_words(sent) == ["MERGE"]
    assert len(rows_of(tables, ITEM)) == 1


def test_all_sorts_over_three_tables(tables: Engine, local_warehouse: TestWarehouse) -> None:
    with Session(tables) as session:
        kept, gone = [Item(name=f"kept {n}") for n in range(20)], [Box() for _ in range(20)]
        session.add_all([*kept, *gone])
        session.commit()
        for item in [*kept, *gone]:
            session.refresh(item)
        with sending(lambda: local_warehouse.statements) as sent:
            for number, (item, box) in enumerate(zip(kept, gone, strict=True)):
                item.size = number
                session.delete(box)
                session.add_all([Shelf(label=str(number)), Item(name=str(number)), Box(label="b")])
                session.flush()
            session.commit()
    assert first_words(sent) == ["BEGIN"]
    assert sent[0].startswith("BEGIN ATOMIC")
    assert (sent[0].count("INSERT INTO"), sent[0].count("MERGE INTO")) == (3, 2)
    assert [count_of(tables, table) for table in (ITEM, BOX, SHELF)] == [40, 20, 20]


def test_a_read(tables: Engine, local_warehouse: TestWarehouse) -> None:
    with sending(lambda: local_warehouse.statements) as sent, Session(tables) as session:
        assert session.scalars(select(Item)).all() == []
        session.commit()
    assert first_words(sent) == ["SELECT"]


@pytest.mark.parametrize("how", ["rollback", "close", "exception"])
def test_writes_that_are_rolled_back(
    how: str, tables: Engine, local_warehouse: TestWarehouse
) -> None:
    with sending(lambda: local_warehouse.statements) as sent:
        session = Session(tables)
        session.add_all(Item(name=str(n)) for n in range(100))
        session.flush()
        if how == "rollback":
            session.rollback()
        elif how == "exception":
            with pytest.raises(RuntimeError), session.begin_nested():
                raise RuntimeError
        session.close()
    assert sent == []
    assert count_of(tables, ITEM) == 0


def test_nothing_is_nothing(tables: Engine, local_warehouse: TestWarehouse) -> None:
    with sending(lambda: local_warehouse.statements) as sent:
        with Session(tables) as session:
            session.commit()
        with tables.begin() as connection:
            connection.execute(upsert(ITEM, [], keys=["id"]))
    assert sent == []


def test_core(tables: Engine, local_warehouse: TestWarehouse) -> None:
    with sending(lambda: local_warehouse.statements) as sent, tables.begin() as connection:
        for number in range(50):
            connection.execute(ITEM.insert(), {"id": number, "size": 0})
        key = ITEM.c.id == bindparam("key")
        connection.execute(ITEM.update().where(key).values(size=5), [{"key": 1}, {"key": 2}])
        connection.execute(BOX.insert().values([{"id": 1}, {"id": 2}]))
        connection.execute(BOX.insert(), [{"id": 3}])
    assert first_words(sent) == ["BEGIN"]
    assert sent[0].count("INSERT INTO") == 2
    assert "MERGE" not in sent[0]
    assert count_of(tables, BOX) == 3


LARGE = Table("large", MetaData(), Column("id", Integer, primary_key=True), Column("text", String))


def test_a_unit_too_large_for_a_block(
    engine: Engine, local_warehouse: TestWarehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(payload, "MAX_JSON_BYTES", 100_000)
    monkeypatch.setattr(payload, "_LARGE", 10_000)
    monkeypatch.setattr(units, "_MAX_BLOCK_BYTES", 300_000)
    LARGE.create(engine, checkfirst=False)
    rows: list[dict[str, Any]] = [{"id": n, "text": str(n) * 20_000} for n in range(26)]
    with sending(lambda: local_warehouse.statements) as sent, engine.begin() as connection:
        connection.execute(LARGE.insert(), rows)
    words = first_words(sent)
    assert words == ["BEGIN", *["INSERT"] * (len(words) - 2), "COMMIT"]
    assert 8 < len(words) < 16
    assert rows_of(engine, LARGE) == [tuple(row.values()) for row in rows]
    # A key that is there: nothing of it is written, whichever of the statements has it.
    for number in (0, 25):
        changed = [{**row, "id": row["id"] + 100} for row in rows]
        changed[number]["id"] = number
        with pytest.raises(IntegrityError), engine.begin() as connection:
            connection.execute(LARGE.insert(), changed)
    assert count_of(engine, LARGE) == 26


@full
@pytest.mark.slow
def test_a_unit_of_seventeen_megabytes(engine: Engine, local_warehouse: TestWarehouse) -> None:
    LARGE.create(engine, checkfirst=False)
    rows: list[dict[str, Any]] = [{"id": n, "text": chr(65 + n) * 1_000_000} for n in range(17)]
    with sending(lambda: local_warehouse.statements) as sent, engine.begin() as connection:
        connection.execute(LARGE.insert(), rows)
    words = first_words(sent)
    assert words == ["BEGIN", *["INSERT"] * (len(words) - 2), "COMMIT"]
    assert all(len(text) <= 16 * 1024 * 1024 for text in sent)
    with engine.connect() as connection:
        found = connection.execute(select(LARGE.c.id, func.md5(LARGE.c.text))).all()
    assert sorted(found) == [
        (row["id"], md5(row["text"].encode(), usedforsecurity=False).hexdigest()) for row in rows
    ]
