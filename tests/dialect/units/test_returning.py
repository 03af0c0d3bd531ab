"""RETURNING of writes that are held: what SQLite gives, with one request or none."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import (
    CompoundSelect,
    Engine,
    case,
    create_engine,
    delete,
    func,
    insert,
    literal,
    select,
    text,
    update,
)
from sqlalchemy.exc import IntegrityError, StatementError
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from tests.dialect.held import first_words, sending
from tests.dialect.units.test_laid_over import ALIAS, ITEM, METADATA, OTHER, OTHERS, STAMPED, THERE
from tests.full import part
from vinci_code.database.dialect.dberrors import NotSupportedError
from vinci_code.warehouse.pytest_plugin import TestWarehouse

COMPUTED = {
    "a row": insert(ITEM).values(id=20, name="x").returning(ITEM),
    "a default": insert(ITEM).values(id=20, name="x").returning(ITEM.c.id, ITEM.c.size),
    "an expression of it": insert(ITEM)
    .values(id=20, name="x", price=4)
    .returning(ITEM.c.price * literal(2) + 1, func.upper(ITEM.c.name), ITEM.c.id),
    "the same column twice": insert(ITEM)
    .values(id=20, name="x")
    .returning(ITEM.c.state, ITEM.c.state, ITEM.c.state.label("again")),
    "a sub-select for a value": insert(ITEM)
    .values(id=20, name="x", price=select(func.max(ALIAS.c.price)).scalar_subquery())
    .returning(ITEM.c.id, ITEM.c.price),
    "rows in the statement": insert(ITEM)
    .values([{"id": 22, "name": "x"}, {"id": 21, "name": "y"}])
    .returning(ITEM.c.id, ITEM.c.state),
    "rows of sub-selects": insert(ITEM)
    .values(
        [
            {"id": 22, "name": "x", "price": select(func.max(ALIAS.c.price)).scalar_subquery()},
            {"id": 21, "name": "y", "price": select(func.min(ALIAS.c.price)).scalar_subquery()},
        ]
    )
    .returning(ITEM.c.id, ITEM.c.price),
    "rows of a query": insert(ITEM)
    .from_select(["id", "name"], select(ITEM.c.id + 100, ITEM.c.name + "c").where(ITEM.c.id > 7))
    .returning(ITEM.c.id, ITEM.c.state),
    "a change by key": update(ITEM)
    .where(ITEM.c.id == 3)
    .values(price=ITEM.c.price + 1)
    .returning(ITEM),
    "a change of nothing": update(ITEM)
    .where(ITEM.c.id == 99)
    .values(price=1)
    .returning(ITEM.c.id),
    "a change of a key": update(ITEM).where(ITEM.c.id == 3).values(id=33).returning(ITEM.c.id),
    "a change by a condition": update(ITEM)
    .where(ITEM.c.price > 4)
    .values(price=ITEM.c.price * 2, state=case((ITEM.c.price > 6, "dear"), else_=ITEM.c.state))
    .returning(ITEM.c.id, ITEM.c.price, ITEM.c.state),
    "a change by a list": update(ITEM)
    .where(ITEM.c.id.in_([1, 2, 50]))
    .values(state="listed")
    .returning(ITEM.c.id, ITEM.c.state),
    "a change by a sub-select": update(ITEM)
    .where(ITEM.c.id.in_(select(OTHER.c.item_id)))
    .values(size=0)
    .returning(ITEM.c.id, ITEM.c.size),
    "a removal by key": delete(ITEM).where(ITEM.c.id == 4).returning(ITEM.c.name),
    "a removal by a condition": delete(ITEM).where(ITEM.c.price > 6).returning(ITEM),
    "a removal of all": delete(ITEM).returning(ITEM.c.id),
}  # fmt: skip
BEFORE: dict[str, list[Any]] = {
    "nothing": [],
    "a change": [update(ITEM).where(ITEM.c.price.is_not(None)).values(price=ITEM.c.price + 3)],
    "rows": [
        insert(ITEM).values([{"id": 50, "name": "fifty", "price": 9}]),
        delete(ITEM).where(ITEM.c.id == 8),
        update(ITEM).where(ITEM.c.id == 3).values(price=40),
    ],
}


class Base(DeclarativeBase):
    """Of the models."""


class Model(Base):
    """A row with a default of the database, and an eager one."""

    __tablename__ = "model"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)
    state: Mapped[str] = mapped_column(server_default="new")


class Eager(Base):
    """A row whose defaults are fetched by the flush."""

    __tablename__ = "eager"
    id: Mapped[int] = mapped_column(primary_key=True)
    state: Mapped[str] = mapped_column(server_default="new")
    __mapper_args__ = {"eager_defaults": True}


@pytest.fixture
def engine(connected: Callable[..., Engine]) -> Engine:
    """An engine whose reads bring along what is held."""
    return connected(held_read_bytes=1_000_000)


@pytest.fixture
def sides(engine: Engine) -> tuple[Engine, Engine]:
    """SQLite and the warehouse, with the same rows."""
    sqlite = create_engine("sqlite://")
    for side in (sqlite, engine):
        METADATA.create_all(side, [ITEM, OTHER, STAMPED])
        Base.metadata.create_all(side)
        for table, rows in ((ITEM, THERE), (OTHER, OTHERS)):
            with side.begin() as connection:
                connection.execute(insert(table), rows)
    return sqlite, engine


@part(3)
@pytest.mark.parametrize("before", BEFORE)
@pytest.mark.parametrize("statement", COMPUTED)
def test_it_gives_what_sqlite_gives(
    statement: str, before: str, sides: tuple[Engine, Engine], local_warehouse: TestWarehouse
) -> None:
    found, words = [], []
    for side in sides:
        with side.begin() as connection:
            for write in BEFORE[before]:
                connection.execute(write)
            with sending(lambda: local_warehouse.warehouse.statements) as sent:
                result = connection.execute(COMPUTED[statement])
                rows = list(map(tuple, result.all()))
            words.append(first_words(sent))
        is_ordered = COMPUTED[statement].is_insert and not isinstance(
            COMPUTED[statement].select, CompoundSelect
        )
        with side.connect() as connection:
            stored = connection.execute(select(ITEM).order_by(ITEM.c.id)).all()
        found.append((rows if is_ordered else sorted(rows, key=repr), stored))
    assert found[0] == found[1]
    # Once, it is asked whether another table that is read is a view.
    assert words[1] in (["WITH"], ["SELECT", "WITH"])


def test_what_the_client_knows_takes_no_request(
    sides: tuple[Engine, Engine], local_warehouse: TestWarehouse
) -> None:
    rows = [{"id": 30, "name": "b", "price": None}, {"id": 29, "name": "a", "price": 2}]
    statement = insert(ITEM).returning(
        ITEM.c.name, ITEM.c.id, ITEM.c.price, sort_by_parameter_order=True
    )
    with (
        sending(lambda: local_warehouse.warehouse.statements) as sent,
        sides[1].connect() as connection,
    ):
        found = connection.execute(statement, rows).all()
        connection.rollback()
    assert found == [("b", 30, None), ("a", 29, 2)]
    assert sent == []


def test_many_rows_come_in_the_order_of_their_parameters(sides: tuple[Engine, Engine]) -> None:
    rows = [{"id": 100 + n * 7 % 50, "name": f"m{n}"} for n in range(50)]
    statement = insert(ITEM).returning(ITEM.c.id, ITEM.c.state, sort_by_parameter_order=True)
    with sides[1].connect() as connection:
        found = connection.execute(statement, rows).all()
    assert found == [(row["id"], "new") for row in rows]


def test_a_key_that_is_made_is_given(sides: tuple[Engine, Engine]) -> None:
    with sides[1].begin() as connection:
        model: Any = Model.__table__
        key = connection.scalar(insert(model).values(name="x").returning(model.c.id))
    with sides[1].connect() as connection:
        assert connection.execute(select(model.c.id, model.c.name)).all() == [(key, "x")]


def test_a_key_that_is_there_is_refused_at_once(sides: tuple[Engine, Engine]) -> None:
    for side in sides:
        with side.connect() as connection:
            with pytest.raises(IntegrityError, match="UNIQUE constraint failed: item"):
                connection.execute(insert(ITEM).values(id=1, name="z").returning(ITEM))
            connection.execute(insert(ITEM).values(id=40, name="z"))
            with pytest.raises(IntegrityError, match="UNIQUE constraint failed: item"):
                connection.execute(insert(ITEM).values(id=40, name="y").returning(ITEM))


def test_in_a_transaction_it_sees_what_was_sent(sides: tuple[Engine, Engine]) -> None:
    with sides[1].connect() as connection:
        connection.execute(insert(ITEM).values(id=60, name="sent", price=1))
        connection.execute(text("SELECT count(*) FROM item"))
        connection.execute(update(ITEM).where(ITEM.c.id == 60).values(price=2))
        changed = update(ITEM).where(ITEM.c.id == 60).values(price=ITEM.c.price + 5)
        assert connection.scalars(changed.returning(ITEM.c.price)).all() == [7]
        connection.commit()
        assert connection.scalar(select(ITEM.c.price).where(ITEM.c.id == 60)) == 7


def test_the_orm_makes_objects_of_it(sides: tuple[Engine, Engine]) -> None:
    found = []
    for side in sides:
        with Session(side) as session:
            rows = [{"id": n, "name": f"n{n}"} for n in (3, 1, 2)]
            statement = insert(Model).returning(Model, sort_by_parameter_order=True)
            made = session.scalars(statement, rows).all()
            one = session.scalar(insert(Model).values(id=9, name="nine").returning(Model))
            assert one is not None
            states = [(m.id, m.name, m.state) for m in [*made, one]]
            first = session.scalar(
                update(Model).where(Model.id == 1).values(name="one").returning(Model)
            )
            assert first is made[1]
            names = session.scalars(
                update(Model)
                .where(Model.id > 2)
                .values(name=Model.name + "!")
                .returning(Model.name)
            ).all()
            gone = session.scalars(delete(Model).where(Model.id == 2).returning(Model.id)).all()
            session.commit()
            left = session.execute(select(Model.id, Model.name, Model.state).order_by(Model.id))
            found.append((states, made[1].name, sorted(names), gone, list(map(tuple, left))))
    assert found[0] == found[1]


def test_a_flush_asks_for_nothing(
    sides: tuple[Engine, Engine], local_warehouse: TestWarehouse
) -> None:
    with (
        Session(sides[1]) as session,
        sending(lambda: local_warehouse.warehouse.statements) as sent,
    ):
        models = [Model(name=f"f{n}") for n in range(3)]
        session.add_all(models)
        session.flush()
        assert len({model.id for model in models}) == 3
        assert sent == []
        session.rollback()


def test_eager_defaults_are_read(sides: tuple[Engine, Engine]) -> None:
    with Session(sides[1]) as session:
        made = [Eager(), Eager()]
        session.add_all(made)
        session.flush()
        assert [one.__dict__["state"] for one in made] == ["new", "new"]
        session.commit()


REFUSED: dict[str, tuple[Any, str]] = {
    "a default of the moment": (
        insert(STAMPED).values(id=1).returning(STAMPED.c.at),
        "known to the warehouse alone",
    ),
    "a random value": (
        insert(ITEM).values(id=70, name="r", price=func.random()).returning(ITEM.c.price),
        "known to the warehouse alone",
    ),
    "a condition of the moment": (
        delete(STAMPED).where(STAMPED.c.at < func.now()).returning(STAMPED.c.id),
        "known to the warehouse alone",
    ),
    "a sub-select": (
        insert(ITEM)
        .values(id=70, name="r")
        .returning(select(func.count(OTHER.c.id)).scalar_subquery()),
        "more than columns",
    ),
    "an aggregate": (delete(ITEM).returning(func.count(ITEM.c.id)), "more than columns"),
    "another table": (
        update(ITEM).where(ITEM.c.id == OTHER.c.id).values(price=1).returning(ITEM.c.id),
        "known to the warehouse alone",
    ),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_is_not_known_is_refused_and_nothing_is_held(
    what: str, sides: tuple[Engine, Engine], local_warehouse: TestWarehouse
) -> None:
    statement, why = REFUSED[what]
    with sides[1].connect() as connection:
        with pytest.raises(Exception, match=why) as raised:
            connection.execute(statement)
        assert isinstance(getattr(raised.value, "orig", None), NotSupportedError)
        with sending(lambda: local_warehouse.warehouse.statements) as sent:
            connection.commit()
    assert sent == []


def test_what_is_sent_at_once_gives_what_the_client_knows(sides: tuple[Engine, Engine]) -> None:
    with sides[1].connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        found = connection.execute(insert(ITEM).values(id=80, name="at once").returning(ITEM.c.id))
        assert found.scalar() == 80
        with pytest.raises(Exception, match="sent at once"):
            connection.execute(insert(ITEM).values(id=81, name="later").returning(ITEM.c.state))
        assert connection.scalars(select(ITEM.c.id).where(ITEM.c.id > 79)).all() == [80]


def test_without_held_reads_what_is_not_known_is_refused(connected: Callable[..., Engine]) -> None:
    engine = connected(held_read_bytes=0)
    METADATA.create_all(engine, [ITEM])
    with engine.connect() as connection:
        assert connection.scalar(insert(ITEM).values(id=1, name="a").returning(ITEM.c.id)) == 1
        with pytest.raises(Exception, match="RETURNING of this INSERT on item"):
            connection.execute(insert(ITEM).values(id=2, name="b").returning(ITEM.c.state))


def test_several_changes_at_once_cannot_return(sides: tuple[Engine, Engine]) -> None:
    statement = update(Model).returning(Model.id)
    for side in sides:
        with Session(side) as session, pytest.raises(StatementError, match="executemany"):
            session.execute(statement, [{"id": 1, "name": "a"}, {"id": 2, "name": "b"}])
