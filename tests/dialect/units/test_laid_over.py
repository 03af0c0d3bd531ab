"""What a unit holds, laid over the tables that it reads, beside SQLite and a transaction."""

from __future__ import annotations

import datetime as dt
import random
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    Computed,
    DateTime,
    Engine,
    ForeignKey,
    Integer,
    LargeBinary,
    MetaData,
    Numeric,
    String,
    Table,
    and_,
    create_engine,
    delete,
    exists,
    false,
    func,
    insert,
    literal_column,
    null,
    select,
    text,
    true,
    union,
    union_all,
    update,
)
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from tests.dialect.held import first_words, sending
from tests.full import part
from vinci_code.database.dialect import ARRAY, MAP, STRUCT, VARIANT
from vinci_code.database.dialect.writes import afterwards
from vinci_code.database.upserts import upsert
from vinci_code.warehouse.pytest_plugin import TestWarehouse

METADATA = MetaData()
ITEM = Table(
    "item",
    METADATA,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("name", String, unique=True),
    Column("price", Integer),
    Column("state", String, server_default="new"),
    Column("size", Integer, server_default=text("7")),
)
OTHER = Table(
    "other",
    METADATA,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("item_id", Integer),
)
STAMPED = Table(
    "stamped",
    METADATA,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("at", DateTime, server_default=func.now()),
)
COMPUTED = Table(
    "computed",
    METADATA,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("twice", Integer, Computed("id * 2")),
)
ALIAS = ITEM.alias("a")
_CTE = select(ITEM.c.id, ITEM.c.price).where(ITEM.c.price > 2).cte("dear")

Row = dict[str, Any]
THERE: list[Row] = [
    {"id": n, "name": f"n{n}", "price": None if n % 4 == 0 else n} for n in range(1, 10)
]
OTHERS: list[Row] = [{"id": n, "item_id": n * 2} for n in range(1, 6)]


@pytest.fixture
def engine(connected: Callable[..., Engine]) -> Engine:
    """An engine whose reads bring along what is held."""
    return connected(held_read_bytes=1_000_000)


@pytest.fixture
def sides(engine: Engine) -> tuple[Engine, Engine]:
    """SQLite and the warehouse, with the same rows."""
    sqlite = create_engine("sqlite://")
    for side in (sqlite, engine):
        METADATA.create_all(side, [ITEM, OTHER])
        with side.begin() as connection:
            connection.execute(insert(ITEM), THERE)
        with side.begin() as connection:
            connection.execute(insert(OTHER), OTHERS)
    return sqlite, engine


WRITES: dict[str, Any] = {
    "rows": insert(ITEM).values(
        [{"id": 20, "name": "x", "price": 1}, {"id": 21, "name": "y", "price": None}]
    ),
    "a row by expressions": insert(ITEM).values(
        id=22, name=func.lower("QQ"), price=select(func.max(ALIAS.c.price)).scalar_subquery()
    ),
    "rows of a query": insert(ITEM).from_select(
        ["id", "name", "price"],
        select(ITEM.c.id + 100, ITEM.c.name + "c", ITEM.c.price).where(ITEM.c.price > 5),
    ),
    "rows of another table": insert(ITEM).from_select(
        ["id", "price"], select(OTHER.c.id + 200, OTHER.c.item_id)
    ),
    "change by key": update(ITEM).where(ITEM.c.id == 3).values(price=30, name="three"),
    "change by key with an expression": (
        update(ITEM).where(ITEM.c.id == 5).values(price=ITEM.c.price * 2 + 1)
    ),
    "change to NULL": update(ITEM).where(ITEM.c.id == 1).values(price=None),
    "change of a key": update(ITEM).where(ITEM.c.id == 2).values(id=50),
    "change by a condition": update(ITEM).where(ITEM.c.price > 4).values(price=ITEM.c.price + 10),
    "change by NULL": update(ITEM).where(ITEM.c.price.is_(None)).values(price=0),
    "change by a list": update(ITEM).where(ITEM.c.id.in_([1, 2, 50])).values(state="listed"),
    "change of all": update(ITEM).values(size=ITEM.c.size + 1),
    "change by a sub-select": update(ITEM)
    .where(ITEM.c.id.in_(select(OTHER.c.item_id).where(OTHER.c.item_id > 4)))
    .values(state="referred"),
    "change to a sub-select": update(ITEM).values(
        price=select(func.count(OTHER.c.id)).where(OTHER.c.item_id == ITEM.c.id).scalar_subquery()
    ),
    "delete by key": delete(ITEM).where(ITEM.c.id == 4),
    "delete by a condition": delete(ITEM).where(ITEM.c.price > 7),
    "delete by EXISTS": delete(ITEM).where(exists().where(OTHER.c.item_id == ITEM.c.id)),
    "delete of all": delete(ITEM),
    "other rows": insert(OTHER).values([{"id": 60, "item_id": 6}, {"id": 61, "item_id": 20}]),
    "other rows gone": delete(OTHER).where(OTHER.c.item_id < 5),
}
READS: dict[str, Any] = {
    "all": select(ITEM).order_by(ITEM.c.id),
    "by key": select(ITEM).where(ITEM.c.id == 3),
    "some": select(ITEM.c.name, ITEM.c.price).where(ITEM.c.price > 2).order_by(ITEM.c.id),
    "count": select(func.count()).select_from(ITEM),
    "aggregates": select(func.sum(ITEM.c.price), func.min(ITEM.c.name), func.max(ITEM.c.size)),
    "groups": select(ITEM.c.state, func.count(ITEM.c.id))
    .group_by(ITEM.c.state)
    .having(func.count(ITEM.c.id) > 1)
    .order_by(ITEM.c.state),
    "alias": select(ALIAS.c.id, ALIAS.c.size).order_by(ALIAS.c.id.desc()),
    "itself": select(ITEM.c.id, ALIAS.c.id)
    .join(ALIAS, and_(ALIAS.c.price == ITEM.c.price, ALIAS.c.id > ITEM.c.id))
    .order_by(ITEM.c.id, ALIAS.c.id),
    "join": select(ITEM.c.id, OTHER.c.id)
    .join(OTHER, OTHER.c.item_id == ITEM.c.id)
    .order_by(ITEM.c.id, OTHER.c.id),
    "outer join": select(OTHER.c.id, ITEM.c.name)
    .outerjoin(ITEM, OTHER.c.item_id == ITEM.c.id)
    .order_by(OTHER.c.id),
    "cte": select(_CTE.c.id, ITEM.c.name).join(ITEM, ITEM.c.id == _CTE.c.id).order_by(_CTE.c.id),
    "sub-query": select(select(ITEM.c.price).distinct().subquery().c.price).order_by("price"),
    "scalar sub-query": select(
        OTHER.c.id,
        select(ITEM.c.name).where(ITEM.c.id == OTHER.c.item_id).scalar_subquery().label("name"),
    ).order_by(OTHER.c.id),
    "scalar sub-query of each row": select(
        ITEM.c.id,
        select(func.max(OTHER.c.id)).where(OTHER.c.item_id == ITEM.c.id).scalar_subquery(),
        exists().where(OTHER.c.item_id == ITEM.c.id).label("referred"),
    ).order_by(ITEM.c.id),
    "in": select(OTHER.c.id)
    .where(OTHER.c.item_id.in_(select(ITEM.c.id).where(ITEM.c.price.is_not(None))))
    .order_by(OTHER.c.id),
    "exists": select(select(ITEM).where(ITEM.c.name == "x").exists()),
    "not exists": select(OTHER.c.id)
    .where(~exists().where(ITEM.c.id == OTHER.c.item_id))
    .order_by(OTHER.c.id),
    "union": union(select(ITEM.c.price), select(OTHER.c.item_id)).order_by("price"),
    "union all": union_all(select(ITEM.c.id), select(ALIAS.c.id).where(ALIAS.c.id < 3)).order_by(
        "id"
    ),
    "window": select(
        ITEM.c.id, func.row_number().over(order_by=[ITEM.c.price.desc(), ITEM.c.id])
    ).order_by(ITEM.c.id),
    "page": select(ITEM.c.id).order_by(ITEM.c.id).limit(3).offset(2),
}


def seen(engine: Engine, writes: list[str], reads: list[str]) -> list[Any]:
    """What each read gives after each write, and what is there after the commit."""
    found: list[Any] = []
    with engine.connect() as connection:
        for write in writes:
            connection.execute(WRITES[write])
            found += [(write, r, connection.execute(READS[r]).all()) for r in reads]
        connection.commit()
        found.append(connection.execute(READS["all"]).all())
    return found


@part(3)
@pytest.mark.parametrize("write", WRITES)
def test_each_write_is_seen_by_each_read(
    write: str, sides: tuple[Engine, Engine], local_warehouse: TestWarehouse
) -> None:
    sqlite, warehouse = sides
    with sending(lambda: local_warehouse.statements) as sent:
        found = seen(warehouse, [write], list(READS))
    assert found == seen(sqlite, [write], list(READS))
    # No transaction was begun: each read is one request, and the commit is one.
    reads = [text for text in sent if "information_schema" not in text]
    assert not [text for text in reads if text.startswith("BEGIN TRANSACTION")]
    assert len(reads) == len(READS) + 2


@part(3)
@pytest.mark.parametrize("number", range(12))
def test_writes_upon_writes_are_seen(number: int, sides: tuple[Engine, Engine]) -> None:
    chance = random.Random(number)
    print("seed", number)
    # No key twice: what is refused at the commit is another test's.
    writes = chance.sample(sorted(WRITES), 5)
    reads = chance.sample(sorted(READS), 4)
    sqlite, warehouse = sides
    assert seen(warehouse, writes, reads) == seen(sqlite, writes, reads)


@part(3)
@pytest.mark.parametrize("number", range(6))
def test_what_is_seen_is_what_a_transaction_shows(
    number: int, sides: tuple[Engine, Engine]
) -> None:
    chance = random.Random(100 + number)
    print("seed", 100 + number)
    writes = chance.sample(sorted(WRITES), 4)
    _, warehouse = sides
    found = []
    for engine in (warehouse, warehouse.execution_options(isolation_level="REPEATABLE READ")):
        with engine.connect() as connection:
            for write in writes:
                connection.execute(WRITES[write])
            found.append([connection.execute(read).all() for read in READS.values()])
            connection.rollback()
    assert found[0] == found[1]


def test_an_upsert_is_seen(sides: tuple[Engine, Engine]) -> None:
    rows = [{"id": 1, "name": "one", "price": 11}, {"id": 90, "name": "new", "price": 12}]
    _, warehouse = sides
    with warehouse.connect() as connection:
        connection.execute(upsert(ITEM, rows, keys=["id"], update=["price"]))
        left = [{"id": 2, "name": "two", "price": 1}]
        connection.execute(upsert(ITEM, left, keys=["id"], update=[]))
        held = connection.execute(READS["all"]).all()
        connection.commit()
        assert connection.execute(READS["all"]).all() == held
    assert [row for row in held if row.id in {1, 2, 90}] == [
        (1, "n1", 11, "new", 7),
        (2, "n2", 2, "new", 7),
        (90, "new", 12, "new", 7),
    ]


def test_values_of_each_type_are_seen_as_they_are_stored(engine: Engine) -> None:
    table = Table(
        "typed",
        MetaData(),
        Column("id", Integer, primary_key=True, autoincrement=False),
        Column("text", String),
        Column("number", Numeric(12, 3)),
        Column("flag", Boolean),
        Column("at", DateTime),
        Column("raw", LargeBinary),
        Column("list", ARRAY(Integer)),
        Column("map", MAP(String, Integer)),
        Column("struct", STRUCT(("a", Integer), ("b", String))),
        Column("json", JSON),
        Column("variant", VARIANT),
    )
    table.create(engine)
    rows: list[Row] = [
        {
            "id": 1,
            "text": 'it\'s \\ "ü" \U0001f600\n?',
            "number": Decimal("1.100"),
            "flag": True,
            "at": dt.datetime(2024, 1, 2, 3, 4, 5, 678901),
            "raw": b"\x00\xff",
            "list": [1, None, 3],
            "map": {"a": 1},
            "struct": {"a": 1, "b": "x"},
            "json": {"a": [1, None]},
            "variant": {"a": [1, None]},
        },
        {"id": 2, "text": ""} | dict.fromkeys([c.name for c in table.columns][2:]),
    ]
    with engine.connect() as connection:
        connection.execute(insert(table), rows)
        held = connection.execute(select(table).order_by(table.c.id)).all()
        connection.commit()
        assert connection.execute(select(table).order_by(table.c.id)).all() == held
    assert [row._asdict() for row in held] == rows


def test_awkward_names_and_another_schema(engine: Engine, local_warehouse: TestWarehouse) -> None:
    for schema in (None, local_warehouse.schema):
        table = Table(
            "select" if schema is None else "from",
            MetaData(),
            Column("order by", Integer, primary_key=True, autoincrement=False),
            Column("a.b`c", String),
            schema=schema,
        )
        table.create(engine)
        key, value = table.columns
        with engine.begin() as connection:
            connection.execute(insert(table), [{"order by": n, "a.b`c": "x"} for n in (1, 2, 3)])
        with engine.connect() as connection, sending(lambda: local_warehouse.statements) as sent:
            connection.execute(update(table).where(key == 2).values({"a.b`c": "y"}))
            connection.execute(update(table).where(value == "x").values({"a.b`c": value + "!"}))
            connection.execute(delete(table).where(key > 2))
            found = connection.execute(select(table).where(value != "").order_by(key)).all()
            assert found == [(1, "x!"), (2, "y")]
            connection.commit()
        assert len(sent) == 2


def test_more_parameters_than_a_statement_takes(sides: tuple[Engine, Engine]) -> None:
    for side in sides:
        with side.connect() as connection:
            connection.execute(update(ITEM).where(ITEM.c.price > 3).values(price=0))
            query = select(func.count()).where(ITEM.c.id.in_(range(400)), ITEM.c.price == 0)
            assert connection.scalar(query) == 4
            connection.rollback()


def test_what_an_upsert_searches_is_bounded_by_its_keys(
    engine: Engine, local_warehouse: TestWarehouse
) -> None:
    # Otherwise it is all keys that are stored, whatever the query asks for.
    METADATA.create_all(engine)
    rows = [{"id": n, "name": f"n{n}", "price": n} for n in (3, 8, 5)]
    with engine.connect() as connection, sending(lambda: local_warehouse.statements) as sent:
        connection.execute(upsert(ITEM, rows, keys=["id"]))
        assert connection.scalar(select(func.count()).where(ITEM.c.price > 3)) == 2
        connection.rollback()
    (read,) = sent
    assert "vinci_before.id = vinci_rows.a AND vinci_before.id BETWEEN 3 AND 8)" in read


def test_no_expression_only_gives_another_its_name(
    engine: Engine, local_warehouse: TestWarehouse
) -> None:
    METADATA.create_all(engine)
    query = select(ITEM.c.id, OTHER.c.id).join(OTHER, OTHER.c.item_id == ITEM.c.id)
    with engine.connect() as connection, sending(lambda: local_warehouse.statements) as sent:
        connection.execute(insert(OTHER), [{"id": 1, "item_id": 7}])
        connection.execute(insert(ITEM), [{"id": 7}])
        assert connection.execute(query).all() == [(7, 1)]
        connection.execute(update(ITEM).where(ITEM.c.price > 4).values(price=0))
        assert connection.execute(select(ITEM.c.id)).all() == [(7,)]
        connection.rollback()
    both, one = sent
    # The rows with their guard, and the table with them, of each; what is not last has two names.
    assert both.count(" AS (SELECT * FROM vinci_layer_") == 1
    assert " AS (SELECT * FROM" not in one


@pytest.mark.parametrize(
    "query",
    [
        select(ITEM.c.id, select(OTHER.c.id).where(OTHER.c.item_id == ITEM.c.id).scalar_subquery()),
        select(ITEM.c.id, exists().where(OTHER.c.item_id == ITEM.c.id)),
        select(ITEM.c.id, (ITEM.c.id + 1).in_(union(select(OTHER.c.id), select(ALIAS.c.id)))),
    ],
)
def test_a_sub_select_of_each_row_is_not_moved_into_a_union(
    query: Any, engine: Engine, local_warehouse: TestWarehouse
) -> None:
    # Spark moves it there, and then says "key not found": a join stands between them.
    METADATA.create_all(engine)
    with engine.connect() as connection, sending(lambda: local_warehouse.statements) as sent:
        connection.execute(insert(ITEM), [{"id": 7}])
        assert [row[0] for row in connection.execute(query)] == [7]
        assert connection.scalar(select(func.count()).select_from(ITEM)) == 1
        # So it is where the next write selects within what this one leaves.
        connection.execute(WRITES["change to a sub-select"])
        assert connection.execute(select(ITEM.c.price)).all() == [(0,)]
        connection.rollback()
    united = [one for one in sent if " UNION ALL " in one]
    assert ["CROSS JOIN (SELECT 1 AS n)" in one for one in united] == [True, False, True]


def test_what_a_write_leaves_is_compiled_when_it_is_read(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    METADATA.create_all(engine)
    asked: list[Any] = []
    changed = afterwards.changed

    def noting(*given: Any, **more: Any) -> Any:
        asked.append(given)
        return changed(*given, **more)

    monkeypatch.setattr(afterwards, "changed", noting)
    with engine.connect() as connection:
        for price in range(3):
            connection.execute(update(ITEM).where(ITEM.c.price > price).values(size=price))
        connection.execute(select(OTHER.c.id)).all()
        assert not asked
        assert connection.execute(select(ITEM.c.id)).all() == []
        assert len(asked) == 1
        connection.rollback()


# --- what is certain, though it does not look so -------------------------------------------------


def _carried(engine: Engine, warehouse: TestWarehouse, write: Any, *reads: Any) -> list[Any]:
    """What reads give after a write, none of which begins a transaction."""
    with engine.connect() as connection, sending(lambda: warehouse.statements) as sent:
        connection.execute(write)
        found = [connection.execute(read).all() for read in reads]
        connection.rollback()
    assert "BEGIN TRANSACTION" not in sent
    return found


def test_a_constant_that_the_application_writes_names_nothing(
    sides: tuple[Engine, Engine], local_warehouse: TestWarehouse
) -> None:
    _, warehouse = sides
    one: Any = literal_column("1")
    # As the ORM writes Query.exists(), and any() and has() of a relationship.
    found = _carried(
        warehouse,
        local_warehouse,
        insert(ITEM).values(id=30, name="mine"),
        select(select(one).where(ITEM.c.name == "mine").exists()),
        select(OTHER.c.id).where(select(one).where(ITEM.c.id == OTHER.c.item_id + 28).exists()),
        select(text("'a'"), ITEM.c.id).where(ITEM.c.id > 9).order_by(text("2")),
    )
    assert found == [[(True,)], [(1,)], [("a", 30)]]


def test_an_exists_of_the_orm_is_carried(
    sides: tuple[Engine, Engine], local_warehouse: TestWarehouse
) -> None:
    _, warehouse = sides
    with Session(warehouse) as session, sending(lambda: local_warehouse.statements) as sent:
        session.execute(insert(ITEM).values(id=30))
        inner = session.query(ITEM.c.id).filter(ITEM.c.id == 30)
        assert session.query(inner.exists()).scalar() is True
        session.execute(delete(ITEM).where(inner.exists()).where(ITEM.c.id == 1))
        session.rollback()
    assert "BEGIN TRANSACTION" not in sent


def test_a_default_that_is_a_constant_of_sqlalchemy_is_laid_over(
    engine: Engine, local_warehouse: TestWarehouse
) -> None:
    table = Table(
        "constants",
        MetaData(),
        Column("id", Integer, primary_key=True, autoincrement=False),
        Column("yes", Boolean, server_default=true()),
        Column("no", Boolean, server_default=false()),
        Column("nothing", Integer, server_default=null()),
    )
    table.create(engine)
    ((row,),) = _carried(engine, local_warehouse, insert(table).values(id=1), select(table))
    assert row == (1, True, False, None)


def test_an_expression_beside_or_in_a_key_is_laid_over_held_rows(
    sides: tuple[Engine, Engine], local_warehouse: TestWarehouse
) -> None:
    found = []
    for side in sides:
        with side.connect() as connection, sending(lambda: local_warehouse.statements) as sent:
            connection.execute(update(ITEM).where(ITEM.c.id == 3).values(price=30))
            connection.execute(insert(ITEM).values(id=31, name="x", price=func.abs(-4)))
            connection.execute(update(ITEM).where(ITEM.c.id == 3).values(name=ITEM.c.name + "!"))
            connection.execute(update(ITEM).where(ITEM.c.id == 4).values(id=ITEM.c.id + 40))
            found.append(connection.execute(READS["all"]).all())
            connection.commit()
            found.append(connection.execute(READS["all"]).all())
    assert "BEGIN TRANSACTION" not in sent
    assert found[0] == found[1] == found[2] == found[3]


def test_a_key_that_is_computed_and_taken_is_found_by_the_read(
    sides: tuple[Engine, Engine],
) -> None:
    _, warehouse = sides
    with warehouse.connect() as connection:
        connection.execute(insert(ITEM).values(id=31, name="n3!"))
        connection.execute(update(ITEM).where(ITEM.c.id == 3).values(name=ITEM.c.name + "!"))
        with pytest.raises(IntegrityError, match="UNIQUE"):
            connection.execute(READS["all"])


def test_a_count_of_some_rows_is_laid_over(
    sides: tuple[Engine, Engine], local_warehouse: TestWarehouse
) -> None:
    count = select(func.count().filter(OTHER.c.item_id > 4)).scalar_subquery()
    write = update(ITEM).where(ITEM.c.id < 3).values(price=count)
    read = select(ITEM.c.price).where(ITEM.c.id < 3)
    assert _carried(sides[1], local_warehouse, write, read) == [[(3,), (3,)]]


def test_a_foreign_key_finds_what_is_held(
    connected: Callable[..., Engine], local_warehouse: TestWarehouse
) -> None:
    metadata = MetaData()
    parent = Table("parent", metadata, Column("id", Integer, primary_key=True, autoincrement=False))
    child = Table(
        "child",
        metadata,
        Column("id", Integer, primary_key=True, autoincrement=False),
        Column("parent_id", ForeignKey("parent.id")),
    )
    engine = connected(held_read_bytes=1_000_000, enforce_foreign_keys=True)
    metadata.create_all(engine)
    with engine.connect() as connection, sending(lambda: local_warehouse.statements) as sent:
        connection.execute(insert(parent).values(id=1))
        connection.execute(insert(child).values(id=1, parent_id=1))
        assert connection.execute(select(child)).all() == [(1, 1)]  # of the child alone
        connection.execute(delete(child).where(child.c.id == 1))
        connection.execute(delete(parent).where(parent.c.id == 1))
        assert connection.execute(select(parent)).all() == []
        connection.execute(insert(child).values(id=2, parent_id=7))
        with pytest.raises(IntegrityError, match="FOREIGN KEY"):
            connection.execute(select(child))
        connection.rollback()
    assert "BEGIN TRANSACTION" not in sent


# --- what is not laid over -----------------------------------------------------------------------

OLD_WAY: dict[str, tuple[Any, Any]] = {
    "a text reads": (insert(ITEM).values(id=30), text("SELECT count(*) FROM item WHERE id = 30")),
    "a text within": (
        insert(ITEM).values(id=30),
        select(func.count()).select_from(ITEM).where(text("item.id = 30")),
    ),
    "a literal column": (
        insert(ITEM).values(id=30),
        select(literal_column("count(item.id)")).select_from(ITEM).where(ITEM.c.id == 30),
    ),
    "a star": (
        insert(OTHER).values(id=1),
        select(literal_column("*")).select_from(OTHER).where(OTHER.c.id == 1),
    ),
    "a text writes": (
        text("INSERT INTO item (id) VALUES (30)"),
        select(func.count()).select_from(ITEM).where(ITEM.c.id == 30),
    ),
    "another value each time": (
        insert(ITEM).values(id=30, name=select(func.uuid()).scalar_subquery()),
        select(func.count()).select_from(ITEM).where(ITEM.c.id == 30),
    ),
    "the present": (
        update(STAMPED).where(STAMPED.c.id > 0).values(at=func.now()),
        select(func.count() + 1).select_from(STAMPED),
    ),
    "a default that is computed": (
        insert(STAMPED).values(id=1),
        select(func.count()).select_from(STAMPED),
    ),
    "a column that is computed": (
        insert(COMPUTED).values(id=1),
        select(func.count()).select_from(COMPUTED),
    ),
    "a fetch": (
        insert(ITEM).from_select(["id"], select(OTHER.c.id + 29).fetch(1)),
        select(func.count()).select_from(ITEM).where(ITEM.c.id > 29),
    ),
    "a lateral": (
        insert(ITEM).from_select(["id"], select(select(OTHER.c.id + 29).lateral("l").c[0])),
        select(func.count()).select_from(ITEM).where(ITEM.c.id > 29),
    ),
    "a limit": (
        insert(ITEM).from_select(["id"], select(OTHER.c.id + 29).limit(1)),
        select(func.count()).select_from(ITEM).where(ITEM.c.id > 29),
    ),
}


@pytest.mark.parametrize("name", OLD_WAY)
def test_what_is_not_certain_takes_a_transaction(
    name: str, engine: Engine, local_warehouse: TestWarehouse
) -> None:
    METADATA.create_all(engine)
    with engine.begin() as connection:
        connection.execute(
            insert(OTHER).values(id=1) if name in {"a limit", "a fetch", "a lateral"} else select(1)
        )
    write, read = OLD_WAY[name]
    with engine.connect() as connection, sending(lambda: local_warehouse.statements) as sent:
        connection.execute(write)
        assert connection.execute(read).first() is not None
        connection.rollback()
    assert first_words(sent)[0] == "BEGIN" or "BEGIN TRANSACTION" in sent


@pytest.mark.parametrize(
    "write",
    [
        insert(ITEM).from_select(["id"], select(OTHER.c.id + 29).limit(1)),
        insert(ITEM).from_select(["id"], select(OTHER.c.id + 29)),
        update(ITEM).values(price=select(func.max(OTHER.c.id)).scalar_subquery()),
        insert(ITEM).values(id=30, price=select(func.max(OTHER.c.id)).scalar_subquery()),
    ],
)
def test_a_table_that_is_only_read_by_what_is_held_is_read_as_it_is(
    write: Any, sides: tuple[Engine, Engine], local_warehouse: TestWarehouse
) -> None:
    _, warehouse = sides
    with warehouse.connect() as connection, sending(lambda: local_warehouse.statements) as sent:
        connection.execute(write)
        assert connection.scalar(select(func.count()).select_from(OTHER)) == len(OTHERS)
        connection.rollback()
    # The first may ask what is a view.
    assert "FROM other" in sent[-1]
    assert "WITH" not in sent[-1]
    assert all("information_schema" in one for one in sent[:-1])


def test_more_than_the_limit_takes_a_transaction(
    connected: Callable[..., Engine], local_warehouse: TestWarehouse
) -> None:
    for limit, begins in ((0, True), (100, True), (10_000, False)):
        engine = connected(held_read_bytes=limit)
        METADATA.create_all(engine)
        with engine.connect() as connection, sending(lambda: local_warehouse.statements) as sent:
            connection.execute(insert(ITEM), [{"id": n, "name": f"n{n}"} for n in range(20)])
            assert connection.scalar(select(func.count()).select_from(ITEM)) == 20
            connection.rollback()
        assert ("BEGIN TRANSACTION" in sent) is begins


def test_more_expressions_than_the_warehouse_plans_fast_take_a_transaction(
    engine: Engine, local_warehouse: TestWarehouse
) -> None:
    METADATA.create_all(engine)
    for count, begins in ((32, False), (33, True)):
        with engine.connect() as connection, sending(lambda: local_warehouse.statements) as sent:
            for number in range(count):
                connection.execute(update(ITEM).where(ITEM.c.price > number).values(size=number))
            assert connection.scalar(select(func.count()).select_from(ITEM)) == 0
            connection.rollback()
        assert ("BEGIN TRANSACTION" in sent) is begins


def test_another_table_of_the_same_name_takes_a_transaction(
    engine: Engine, local_warehouse: TestWarehouse
) -> None:
    METADATA.create_all(engine)
    same = Table("item", MetaData(), Column("id", Integer, primary_key=True))
    with engine.connect() as connection, sending(lambda: local_warehouse.statements) as sent:
        connection.execute(insert(ITEM).values(id=1))
        assert connection.execute(select(same.c.id)).all() == [(1,)]
        connection.rollback()
    assert "BEGIN TRANSACTION" in sent


def test_what_is_in_a_transaction_already_is_sent_there(
    engine: Engine, local_warehouse: TestWarehouse
) -> None:
    METADATA.create_all(engine)
    with engine.connect() as connection, sending(lambda: local_warehouse.statements) as sent:
        connection.execute(insert(ITEM).values(id=1))
        assert connection.scalar(text("SELECT count(*) FROM item")) == 1
        connection.execute(insert(ITEM).values(id=2))
        assert connection.execute(select(ITEM.c.id).order_by(ITEM.c.id)).all() == [(1,), (2,)]
        connection.commit()
    assert first_words(sent) == ["BEGIN", "INSERT", "SELECT", "INSERT", "SELECT", "COMMIT"]


# --- savepoints ----------------------------------------------------------------------------------


def _insert(connection: Any, key: int, name: str) -> None:
    connection.execute(insert(ITEM).values(id=key, name=name))


def test_a_savepoint_that_breaks_a_constraint_raises_and_the_unit_goes_on(
    sides: tuple[Engine, Engine], local_warehouse: TestWarehouse
) -> None:
    _, warehouse = sides
    with warehouse.connect() as connection, sending(lambda: local_warehouse.statements) as sent:
        _insert(connection, 30, "thirty")
        for key, name in ((1, "stored key"), (31, "n1"), (30, "held key"), (32, "thirty")):
            with (
                pytest.raises(IntegrityError, match=r"PRIMARY KEY|UNIQUE"),
                connection.begin_nested(),
            ):
                _insert(connection, key, name)
        with connection.begin_nested():
            _insert(connection, 33, "free")
        connection.commit()
    assert len(sent) == 6  # one for each release, and the commit
    with warehouse.connect() as connection:
        found = connection.scalars(select(ITEM.c.id).where(ITEM.c.id > 9).order_by(ITEM.c.id))
        assert found.all() == [30, 33]


def test_a_read_that_brings_along_a_key_that_is_taken_raises(sides: tuple[Engine, Engine]) -> None:
    _, warehouse = sides
    for keys in ([1], [30, 30]):
        with warehouse.connect() as connection:
            connection.execute(insert(ITEM), [{"id": key} for key in keys])
            for end in (lambda c=connection: c.execute(READS["all"]), connection.commit):
                with pytest.raises(IntegrityError, match="PRIMARY KEY"):
                    end()
            connection.rollback()
    with warehouse.connect() as connection:
        assert connection.scalar(READS["count"]) == len(THERE)


def test_a_temporary_view_may_hide_a_table(engine: Engine, local_warehouse: TestWarehouse) -> None:
    METADATA.create_all(engine)
    with engine.connect() as connection, sending(lambda: local_warehouse.statements) as sent:
        connection.execute(text("CREATE TEMPORARY VIEW other_view AS SELECT 1 AS id"))
        connection.execute(insert(ITEM).values(id=1))
        assert connection.scalar(select(func.count()).select_from(ITEM)) == 1
        connection.rollback()
    assert "BEGIN TRANSACTION" in sent


def test_a_key_that_was_deleted_before_is_free(sides: tuple[Engine, Engine]) -> None:
    for side in sides:
        with side.connect() as connection:
            connection.execute(delete(ITEM).where(ITEM.c.id == 1))
            with connection.begin_nested():
                _insert(connection, 1, "again")
            connection.execute(update(ITEM).where(ITEM.c.id == 2).values(name="moved"))
            with connection.begin_nested():
                _insert(connection, 40, "n2")
            connection.commit()
            assert connection.scalar(select(ITEM.c.name).where(ITEM.c.id == 1)) == "again"


def test_a_nested_savepoint_goes_back_by_itself(sides: tuple[Engine, Engine]) -> None:
    found = []
    for side in sides:
        with Session(side) as session:
            session.execute(insert(ITEM).values(id=70, name="outer"))
            outer = session.begin_nested()
            session.execute(update(ITEM).where(ITEM.c.id == 70).values(price=1))
            assert session.scalar(select(ITEM.c.price).where(ITEM.c.id == 70)) == 1
            inner = session.begin_nested()
            session.execute(update(ITEM).where(ITEM.c.price == 1).values(price=2))
            two = session.scalars(select(ITEM.c.id).where(ITEM.c.price == 2)).all()
            inner.rollback()
            one = session.scalars(select(ITEM.c.id).where(ITEM.c.price == 1)).all()
            outer.rollback()
            none = session.scalar(select(ITEM.c.price).where(ITEM.c.id == 70))
            session.commit()
            found.append((sorted(two), sorted(one), none))
    assert found[0] == found[1] == ([1, 2, 70], [1, 70], None)


# --- rowcount ------------------------------------------------------------------------------------


@part(3)
@pytest.mark.parametrize(
    "write", [name for name in WRITES if name.startswith(("change", "delete", "rows of"))]
)
def test_the_rows_of_a_held_write_are_counted(
    write: str, sides: tuple[Engine, Engine], local_warehouse: TestWarehouse
) -> None:
    sqlite, warehouse = sides
    counts = []
    with sending(lambda: local_warehouse.statements) as sent:
        for side in (sqlite, warehouse):
            with side.connect() as connection:
                connection.execute(insert(ITEM).values(id=7000, name="mine", price=6))
                connection.execute(update(ITEM).where(ITEM.c.price == 5).values(price=6))
                result: Any = connection.execute(WRITES[write])
                counts.append(result.rowcount)
                connection.rollback()
    assert counts[0] == counts[1] > 0
    assert len([text for text in sent if "information_schema" not in text]) == 1
