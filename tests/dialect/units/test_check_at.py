"""With ``check_at="flush"`` a flush raises what the commit would."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import Engine, exc, insert, update
from sqlalchemy.orm import Session
from sqlalchemy.orm.exc import StaleDataError

from tests.dialect.held import first_words, sending
from tests.integration.own_writes import Author, Base, Item, Tag, fill
from vinci_code.warehouse.pytest_plugin import TestWarehouse


@pytest.fixture
def engine(connected: Callable[..., Engine]) -> Engine:
    """An engine with a tag and an item."""
    made = connected(held_read_bytes=1_000_000, check_at="flush")
    Base.metadata.create_all(made)
    fill(lambda: Session(made), Tag(id=1, name="old"), Item(id=1, name="a", price=1))
    return made


@pytest.mark.parametrize("isolation", ["READ COMMITTED", "REPEATABLE READ"])
def test_a_flush_raises_for_a_name_that_is_taken(isolation: str, engine: Engine) -> None:
    with Session(engine.execution_options(isolation_level=isolation)) as session:
        session.add(Item(id=2, name="b"))
        session.flush()
        session.add(Tag(name="old"))
        with pytest.raises(exc.IntegrityError, match=r"UNIQUE constraint failed: tag\.name"):
            session.flush()
        session.rollback()
        session.add(Tag(name="new"))
        session.commit()
    with Session(engine) as session:
        assert {tag.name for tag in session.query(Tag)} == {"old", "new"}
        assert session.get(Item, 2) is None


def test_a_flush_raises_for_a_name_that_is_held(engine: Engine) -> None:
    with Session(engine) as session:
        session.add(Tag(name="new"))
        session.flush()
        session.add(Tag(name="new"))
        with pytest.raises(exc.IntegrityError, match=r"UNIQUE constraint failed: tag\.name"):
            session.flush()


def test_a_flush_raises_for_a_row_that_was_changed(engine: Engine) -> None:
    with Session(engine) as session:
        item = session.get_one(Item, 1)
        with engine.begin() as connection:
            connection.execute(update(Item).where(Item.id == 1).values(price=2))
        item.price = 3
        with pytest.raises(StaleDataError):
            session.flush()


def test_one_request_for_a_flush_that_writes_keys(
    engine: Engine, local_warehouse: TestWarehouse
) -> None:
    with (
        Session(engine) as session,
        sending(lambda: local_warehouse.warehouse.statements) as sent,
    ):
        session.add_all([Tag(name="a"), Author(name="b"), Tag(name="c")])
        session.flush()
        session.flush()
        session.commit()
    assert first_words(sent) == ["WITH", "BEGIN"]


def test_what_a_failed_flush_has_left_is_forgotten(engine: Engine) -> None:
    with Session(engine) as session:
        session.add(Tag(name="a"))
        session.add(Item(id=7, name="x" * 10, price=object()))
        with pytest.raises(exc.StatementError):
            session.flush()
    with Session(engine) as session:
        session.add(Tag(name="b"))
        session.commit()


def test_another_value_is_refused(connected: Callable[..., Engine]) -> None:
    with pytest.raises(exc.ArgumentError, match="check_at='now': it is one of 'commit', 'flush'"):
        connected(check_at="now")


def test_core_is_checked_by_the_commit(engine: Engine) -> None:
    statement: Any = insert(Tag).values(name="old")
    with engine.connect() as connection:
        connection.execute(statement)
        with pytest.raises(exc.IntegrityError):
            connection.commit()
