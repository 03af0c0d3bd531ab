"""Tables as they are made and as they are found again."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
import sqlalchemy as sa

pytestmark = pytest.mark.filterwarnings("ignore:Dialect sqlite.pysqlite does .not. support Decimal")

METADATA = sa.MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
    }
)

parent = sa.Table(
    "parent",
    METADATA,
    sa.Column("id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("code", sa.String, unique=True),
    sa.Column("flag", sa.Boolean, nullable=False, server_default=sa.true()),
    sa.Column("amount", sa.Integer, server_default=sa.text("7")),
    sa.Column("note", sa.String, server_default="it's \\ here"),
    sa.Column("price", sa.Numeric(12, 3)),
    sa.CheckConstraint("amount < 1000", name="small"),
)
child = sa.Table(
    "child",
    METADATA,
    sa.Column("a", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("b", sa.String(10), primary_key=True),
    sa.Column("parent_id", sa.BigInteger, sa.ForeignKey("parent.id")),
)


@pytest.fixture
def inspector(engine: sa.Engine) -> Iterator[sa.Inspector]:
    with engine.connect() as connection:
        yield sa.inspect(connection)


def test_table_names(inspector: sa.Inspector) -> None:
    assert set(inspector.get_table_names()) == {"parent", "child"}


def test_has_table(inspector: sa.Inspector) -> None:
    assert inspector.has_table("parent")
    assert not inspector.has_table("nothing")


def test_columns(inspector: sa.Inspector) -> None:
    found = {c["name"]: c for c in inspector.get_columns("parent")}
    assert list(found) == ["id", "code", "flag", "amount", "note", "price"]
    assert [c["nullable"] for c in found.values()] == [False, True, False, True, True, True]
    assert isinstance(found["id"]["type"], sa.BigInteger)
    assert isinstance(found["code"]["type"], sa.String)
    assert isinstance(found["flag"]["type"], sa.Boolean)
    assert isinstance(found["amount"]["type"], sa.Integer)
    price: Any = found["price"]["type"]
    assert (price.precision, price.scale) == (12, 3)


def test_primary_key(inspector: sa.Inspector) -> None:
    assert inspector.get_pk_constraint("parent")["constrained_columns"] == ["id"]
    assert inspector.get_pk_constraint("child")["constrained_columns"] == ["a", "b"]
    assert inspector.get_pk_constraint("child")["name"] == "pk_child"


def test_foreign_keys(inspector: sa.Inspector) -> None:
    (found,) = inspector.get_foreign_keys("child")
    assert found["name"] == "fk_child_parent_id"
    assert found["constrained_columns"] == ["parent_id"]
    assert (found["referred_table"], found["referred_columns"]) == ("parent", ["id"])
    assert found["referred_schema"] is None


def test_unique_constraints(inspector: sa.Inspector) -> None:
    (found,) = inspector.get_unique_constraints("parent")
    assert (found["name"], found["column_names"]) == ("uq_parent_code", ["code"])


def test_check_constraints(inspector: sa.Inspector) -> None:
    found = [c["name"] for c in inspector.get_check_constraints("parent")]
    assert found == ["ck_parent_small"]


def test_no_indexes(inspector: sa.Inspector) -> None:
    assert inspector.get_indexes("child") == []


def test_no_views(inspector: sa.Inspector) -> None:
    assert inspector.get_view_names() == []


def test_server_defaults(connection: sa.Connection) -> None:
    connection.execute(sa.insert(parent).values(id=1))
    columns = (parent.c.flag, parent.c.amount, parent.c.note, parent.c.code)
    query = sa.select(*columns).where(parent.c.id == 1)
    assert connection.execute(query).one() == (True, 7, "it's \\ here", None)


def test_explicit_null_beats_the_default(connection: sa.Connection) -> None:
    connection.execute(sa.insert(parent).values(id=2, amount=None))
    assert connection.scalar(sa.select(parent.c.amount).where(parent.c.id == 2)) is None


def test_reflected_table_works(engine: sa.Engine) -> None:
    metadata = sa.MetaData()
    metadata.reflect(engine)
    assert set(metadata.tables) == {"parent", "child"}
    table = metadata.tables["parent"]
    with engine.connect() as connection:
        connection.execute(sa.insert(table).values(id=3, code="r", price=Decimal("1.250")))
        query = sa.select(table.c.code, table.c.price).where(table.c.id == 3)
        assert connection.execute(query).one() == ("r", Decimal("1.250"))
    (key,) = metadata.tables["child"].c.parent_id.foreign_keys
    assert key.column is table.c.id


def test_create_and_drop(engine: sa.Engine) -> None:
    metadata = sa.MetaData()
    table = sa.Table("passing", metadata, sa.Column("x", sa.Integer))
    metadata.create_all(engine)
    metadata.create_all(engine)
    assert sa.inspect(engine).has_table("passing")
    table.drop(engine)
    assert not sa.inspect(engine).has_table("passing")
    metadata.drop_all(engine)


def test_view(engine: sa.Engine) -> None:
    with engine.begin() as connection:
        connection.execute(sa.text("CREATE VIEW twice AS SELECT id, id * 2 AS double FROM parent"))
    try:
        inspector = sa.inspect(engine)
        assert inspector.get_view_names() == ["twice"]
        assert "twice" not in inspector.get_table_names()
        assert inspector.has_table("twice")
        assert [c["name"] for c in inspector.get_columns("twice")] == ["id", "double"]
    finally:
        with engine.begin() as connection:
            connection.execute(sa.text("DROP VIEW twice"))


def test_a_table_without_a_key(engine: sa.Engine) -> None:
    table = sa.Table("loose", sa.MetaData(), sa.Column("x", sa.Integer))
    table.create(engine)
    try:
        assert sa.inspect(engine).get_pk_constraint("loose")["constrained_columns"] == []
        with engine.begin() as connection:
            connection.execute(sa.insert(table).values([{"x": 1}, {"x": 1}, {"x": None}]))
            query = sa.select(table.c.x, sa.func.count()).group_by(table.c.x).order_by(table.c.x)
            assert connection.execute(query).all() == [(None, 1), (1, 2)]
    finally:
        table.drop(engine)
