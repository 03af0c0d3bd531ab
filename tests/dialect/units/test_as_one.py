"""Without transactions, several writes to one table are one statement."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import (
    CheckConstraint,
    Column,
    Engine,
    Integer,
    MetaData,
    String,
    Table,
    create_engine,
    delete,
    func,
    insert,
    null,
    select,
    text,
    update,
)
from sqlalchemy.exc import DBAPIError, IntegrityError

from tests.dialect.units.test_laid_over import ITEM, METADATA, OTHER, OTHERS, READS, THERE, WRITES
from tests.full import part
from tests.parity.backends import warehouse_engine
from vinci_code.database.dialect import dberrors
from vinci_code.warehouse import LocalWarehouse

_schemas = itertools.count(1)
WITHIN = [
    "a row by expressions",
    "change by a sub-select",
    "change to a sub-select",
    "delete by EXISTS",
]
OF_ITEM = [name for name in WRITES if not name.startswith("other") and name not in WITHIN]


@pytest.fixture(scope="module")
def warehouse() -> Iterator[LocalWarehouse]:
    """A warehouse without transactions."""
    with LocalWarehouse(transactions=False) as made:
        yield made


@pytest.fixture
def engine(warehouse: LocalWarehouse) -> Iterator[Engine]:
    """An engine with the rows of ``THERE``."""
    schema = f"one_{next(_schemas)}"
    warehouse.sql(f"CREATE SCHEMA {schema}")
    made = warehouse_engine(warehouse, schema, transactions="off")
    fill(made)
    yield made
    made.dispose()
    warehouse.sql(f"DROP SCHEMA {schema} CASCADE")


def fill(engine: Engine) -> None:
    METADATA.create_all(engine, [ITEM, OTHER], checkfirst=False)
    for table, rows in ((ITEM, THERE), (OTHER, OTHERS)):
        with engine.begin() as connection:
            connection.execute(insert(table), rows)


def after(engine: Engine, writes: list[Any]) -> Any:
    """What is there after a unit of work, or the kind of its error."""
    try:
        with engine.begin() as connection:
            for write in writes:
                connection.execute(write)
    except IntegrityError as error:
        found: Any = str(error.orig).partition(":")[0].lower()
    else:
        found = "committed"
    with engine.connect() as connection:
        return found, connection.execute(READS["all"]).all()


@part(3)
@pytest.mark.parametrize("seed", range(12))
def test_as_on_sqlite(seed: int, engine: Engine, warehouse: LocalWarehouse) -> None:
    rng = random.Random(seed)
    names = rng.sample(OF_ITEM, 4)
    sqlite = create_engine("sqlite://")
    fill(sqlite)
    writes = [WRITES[name] for name in names]
    before = len(warehouse.statements)
    assert after(engine, writes) == after(sqlite, writes), names
    sent = [text for text in warehouse.statements[before:] if not text.startswith("SELECT")]
    assert len(sent) == 1


TWICE: dict[str, list[Any]] = {
    "a key that is there": [
        delete(ITEM).where(ITEM.c.id == 2),
        insert(ITEM).values(id=1, name="again"),
    ],
    "a name that is there": [
        update(ITEM).where(ITEM.c.id == 2).values(price=1),
        insert(ITEM).values(id=30, name="n1"),
    ],
    "a key that a query gives": [
        delete(ITEM).where(ITEM.c.price > 8),
        insert(ITEM).from_select(["id", "name"], select(ITEM.c.id, ITEM.c.name + "x")),
    ],
    "a name that a condition gives": [
        insert(ITEM).values(id=30, name="thirty"),
        update(ITEM).where(ITEM.c.price > 4).values(name=func.lower("SAME")),
    ],
}


@pytest.mark.parametrize("what", TWICE)
def test_a_key_that_would_be_there_twice(what: str, engine: Engine) -> None:
    sqlite = create_engine("sqlite://")
    fill(sqlite)
    found = after(engine, TWICE[what])
    assert found[0] == "unique constraint failed"
    assert found == after(sqlite, TWICE[what])


KEPT = Table(
    "kept",
    MetaData(),
    Column("id", String, primary_key=True, autoincrement=False),
    Column("kind", String, nullable=False),
    Column("price", Integer, CheckConstraint("price > 0")),
    Column("parent", String),
)
GOOD = {"id": "a", "kind": "x", "price": 1}
IN_BETWEEN: dict[str, list[Any]] = {
    "no key, deleted": [insert(KEPT).values(kind="dog"), delete(KEPT)],
    "no key, deleted by a condition": [
        insert(KEPT).values([{"kind": "dog"}, {"kind": "cat"}]),
        delete(KEPT).where(KEPT.c.kind > "b"),
    ],
    "NULL, changed again": [
        update(KEPT).values(kind=None),
        update(KEPT).values(kind="y"),
    ],
    "NULL by an expression, changed again": [
        update(KEPT).values(kind=func.nullif(KEPT.c.kind, "x")),
        update(KEPT).values(kind="y"),
    ],
    "NULL from a query, deleted": [
        insert(KEPT).from_select(["id", "kind"], select(KEPT.c.kind, null())),
        delete(KEPT).where(KEPT.c.id == "x"),
    ],
    "a CHECK, changed again": [
        update(KEPT).values(price=KEPT.c.price - 1),
        update(KEPT).values(price=7),
    ],
    "a CHECK of a row, deleted": [
        insert(KEPT).values(id="b", kind="x", price=0),
        delete(KEPT).where(KEPT.c.id == "b"),
    ],
    "nothing": [
        insert(KEPT).values(id="b", kind="x", price=None),
        update(KEPT).values(price=None),
        update(KEPT).values(price=7, parent=None),
        delete(KEPT).where(KEPT.c.id == "b"),
    ],
}


@pytest.mark.filterwarnings("ignore:Column .kept.id. is marked as a member")
@pytest.mark.parametrize("writes", IN_BETWEEN.values(), ids=IN_BETWEEN.keys())
def test_what_is_broken_in_between_only_is_found(writes: list[Any], engine: Engine) -> None:
    sqlite = create_engine("sqlite://")
    outcomes = []
    for each in (engine, sqlite):
        KEPT.create(each)
        with each.begin() as connection:
            connection.execute(insert(KEPT), GOOD)
        try:
            with each.begin() as connection:
                for write in writes:
                    connection.execute(write)
        except IntegrityError as error:
            outcomes.append(str(error.orig).partition("\n")[0].partition(":")[0])
        else:
            outcomes.append("committed")
        with each.connect() as connection:
            outcomes.append(connection.execute(select(KEPT)).all())
    sqlite.dispose()
    assert outcomes[:2] == outcomes[2:]


def test_a_value_that_names_a_column_is_taken_from_no_row(engine: Engine) -> None:
    KEPT.create(engine)
    with engine.begin() as connection:
        connection.execute(insert(KEPT), GOOD)
    own = insert(KEPT).values(id="b", kind="y", price=KEPT.c.price + 1)
    # Several statements are none; alone it is what the warehouse says of it.
    for writes, error in (
        ([update(KEPT).values(kind="z"), own], dberrors.AtomicityError),
        ([own], dberrors.ProgrammingError),
    ):
        with engine.connect() as connection:
            for write in writes:
                connection.execute(write)
            with pytest.raises(DBAPIError) as refused:
                connection.commit()
        assert isinstance(refused.value.orig, error)
    # And it is no row of what is held.
    with engine.connect() as connection:
        connection.execute(own)
        with pytest.raises(DBAPIError):
            connection.execute(select(KEPT))
    with engine.connect() as connection:
        assert connection.execute(select(KEPT)).all() == [("a", "x", 1, None)]


def test_a_name_may_be_given_on(engine: Engine) -> None:
    sqlite = create_engine("sqlite://")
    fill(sqlite)
    writes = [
        delete(ITEM).where(ITEM.c.name == "n1"),
        insert(ITEM).values(id=1, name="n1", price=100),
        delete(ITEM).where(ITEM.c.id == 2),
        update(ITEM).where(ITEM.c.id == 3).values(id=2, name="n2"),
    ]
    assert after(engine, writes) == after(sqlite, writes)


def test_sub_selects_texts_and_several_tables_stay_refused(engine: Engine) -> None:
    several = [text("UPDATE item SET price = 0"), insert(OTHER).values(id=99)]
    for other in [*several, *(WRITES[name] for name in WITHIN)]:
        with engine.connect() as connection:
            connection.execute(insert(ITEM).values(id=90))
            connection.execute(other)
            with pytest.raises(Exception, match="takes more than one") as raised:
                connection.commit()
        assert isinstance(raised.value.orig, dberrors.AtomicityError)  # type: ignore[attr-defined]
    with engine.connect() as connection:
        assert connection.execute(READS["count"]).scalar() == len(THERE)
