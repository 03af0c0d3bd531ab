"""Awkward names of tables and columns, of labels and parameters."""

from __future__ import annotations

import re

import pytest
import sqlalchemy as sa
from sqlalchemy import orm

from tests.full import part

pytestmark = part(3)


METADATA = sa.MetaData()

COLUMN_NAMES = [
    *"""
    select from where order group table column user timestamp date interval values default
    current_date end case when array map struct lateral cross semi anti using
    with-dash with.dot UPPER MixedCase ünïcode 日本語 _underscore trailing_ 1st 42 a$b a#b a@b a:b
    a?b a!b a'b a"b a`b a\\b a/b a*b a+b a<b a&b a|b a~b a^b a%b a[b] 'quoted' percent%(x)s :colon
    """.split(),
    "with space",
    " leading",
    "a, b",
    "f(x)",
    "{brace}",
    "a;b",
    "a=b",
]

TABLE_NAMES = """
    select order table group user with-dash UPPER MixedCase ünïcode _underscore 1st 42 a$b a`b a'b
    a?b a:b percent%s
""".split()

columns = sa.Table(
    "columns",
    METADATA,
    sa.Column("id", sa.BigInteger, primary_key=True, autoincrement=False),
    *[sa.Column(name, sa.String) for name in COLUMN_NAMES],
)


_OLD = tuple(map(int, re.findall(r"\d+", sa.__version__)[:3])) < (2, 0, 58)


@pytest.mark.parametrize("name", COLUMN_NAMES)
def test_column(connection: sa.Connection, key: int, name: str) -> None:
    if _OLD and "%(" in name:
        pytest.skip("SQLAlchemy 2.0.54 and older fail on such a name, on SQLite too")
    column = columns.c[name]
    connection.execute(sa.insert(columns).values({"id": key, name: "v"}))
    change = sa.update(columns).where(columns.c.id == key, column == "v").values({column: "w"})
    assert connection.execute(change).rowcount == 1
    query = sa.select(column, column.label("x")).where(columns.c.id == key, column.in_(["w"]))
    row = connection.execute(query.order_by(column)).one()
    assert row._mapping[name] == "w"
    assert row.x == "w"


@pytest.mark.parametrize("name", TABLE_NAMES)
def test_table(engine: sa.Engine, name: str) -> None:
    metadata = sa.MetaData()
    table = sa.Table(name, metadata, sa.Column("id", sa.BigInteger, primary_key=True))
    metadata.create_all(engine)
    try:
        with engine.begin() as connection:
            connection.execute(sa.insert(table).values(id=1))
            assert connection.scalar(sa.select(table.c.id).where(table.c.id == 1)) == 1
        assert sa.inspect(engine).has_table(name)
    finally:
        metadata.drop_all(engine)
    assert not sa.inspect(engine).has_table(name)


@pytest.mark.parametrize("name", ["with space", "select", "a`b", "a'b", "ünï", "a.b", "a:b", "a%b"])
def test_label(connection: sa.Connection, name: str) -> None:
    row = connection.execute(sa.select(sa.literal(1).label(name))).one()
    assert row._mapping[name] == 1


@pytest.mark.parametrize("name", ["with space", "select", "ünï", "a.b", "a%b", "1", "a_1"])
def test_parameter(connection: sa.Connection, name: str) -> None:
    query = sa.select(sa.bindparam(name, type_=sa.Integer) + 1)
    assert connection.scalar(query, {name: 2}) == 3


def test_mapped_class_with_awkward_names(engine: sa.Engine) -> None:
    class Base(orm.DeclarativeBase):
        pass

    class Order(Base):
        __tablename__ = "order"

        id: orm.Mapped[int] = orm.mapped_column(primary_key=True)
        group: orm.Mapped[str] = orm.mapped_column("group", sa.String)
        from_: orm.Mapped[str] = orm.mapped_column("from", sa.String)

    Base.metadata.create_all(engine)
    with orm.Session(engine) as session:
        session.add(Order(group="g", from_="f"))
        session.commit()
        found = session.scalars(
            sa.select(Order).where(Order.group == "g", Order.from_ == "f")
        ).one()
        assert (found.group, found.from_) == ("g", "f")
    Base.metadata.drop_all(engine)
