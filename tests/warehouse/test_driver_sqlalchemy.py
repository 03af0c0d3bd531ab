"""The vendor's SQLAlchemy dialect, unmodified: create, reflect, insert, query, drop."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from decimal import Decimal

import pytest
import sqlalchemy as sa
from sqlalchemy import orm

from vinci_code.warehouse.pytest_plugin import TestWarehouse

# What SQLAlchemy says about the dialect, which is not ours to mend.
pytestmark = pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SAWarning")

MOMENT = dt.datetime(2024, 2, 29, 12, 34, 56, 789012)  # noqa: DTZ001 (a TIMESTAMP_NTZ)


class Base(orm.DeclarativeBase):
    pass


class Author(Base):
    __tablename__ = "author"

    id: orm.Mapped[int] = orm.mapped_column(sa.BigInteger, primary_key=True, autoincrement=False)
    name: orm.Mapped[str] = orm.mapped_column(sa.String(50))
    born: orm.Mapped[dt.date | None]


class Book(Base):
    __tablename__ = "book"

    id: orm.Mapped[int] = orm.mapped_column(sa.BigInteger, primary_key=True, autoincrement=False)
    title: orm.Mapped[str | None]
    price: orm.Mapped[Decimal | None] = orm.mapped_column(sa.Numeric(10, 2))
    at: orm.Mapped[dt.datetime | None]
    sold: orm.Mapped[bool | None]
    author_id: orm.Mapped[int | None] = orm.mapped_column(sa.ForeignKey("author.id"))
    author: orm.Mapped[Author | None] = orm.relationship()


@pytest.fixture
def engine(local_warehouse: TestWarehouse) -> Iterator[sa.Engine]:
    args = local_warehouse.connect_args
    url = sa.URL.create(
        "databricks",
        username="token",
        password=args.pop("access_token"),
        host=args.pop("server_hostname"),
        query={key: args.pop(key) for key in ("http_path", "catalog", "schema")},
    )
    made = sa.create_engine(url, connect_args=args)
    yield made
    made.dispose()


@pytest.fixture
def tables(engine: sa.Engine) -> sa.Engine:
    Base.metadata.create_all(engine)
    return engine


def test_create_and_drop(engine: sa.Engine) -> None:
    Base.metadata.create_all(engine)
    assert set(sa.inspect(engine).get_table_names()) == {"author", "book"}
    Base.metadata.create_all(engine)
    Base.metadata.drop_all(engine)
    assert sa.inspect(engine).get_table_names() == []


def test_has_table(tables: sa.Engine) -> None:
    inspector = sa.inspect(tables)
    assert inspector.has_table("author")
    assert not inspector.has_table("nope")


def test_reflected_columns(tables: sa.Engine) -> None:
    columns = {column["name"]: column for column in sa.inspect(tables).get_columns("book")}
    assert list(columns) == ["id", "title", "price", "at", "sold", "author_id"]
    assert isinstance(columns["id"]["type"], sa.BigInteger)
    assert isinstance(columns["title"]["type"], sa.String)
    assert isinstance(columns["price"]["type"], sa.Numeric)
    assert isinstance(columns["sold"]["type"], sa.Boolean)


def test_reflected_keys(tables: sa.Engine) -> None:
    inspector = sa.inspect(tables)
    assert inspector.get_pk_constraint("book")["constrained_columns"] == ["id"]
    (foreign,) = inspector.get_foreign_keys("book")
    assert foreign["constrained_columns"] == ["author_id"]
    assert foreign["referred_table"] == "author"
    assert foreign["referred_columns"] == ["id"]


def test_reflected_table_can_be_queried(tables: sa.Engine) -> None:
    with tables.begin() as connection:
        connection.execute(sa.insert(Author), {"id": 1, "name": "Ann", "born": None})
        reflected = sa.Table("author", sa.MetaData(), autoload_with=connection)
        assert connection.execute(sa.select(reflected)).all() == [(1, "Ann", None)]


def test_schema_and_view_names(local_warehouse: TestWarehouse, tables: sa.Engine) -> None:
    with tables.begin() as connection:
        connection.execute(sa.text("CREATE VIEW names AS SELECT name FROM author"))
    inspector = sa.inspect(tables)
    assert local_warehouse.schema in inspector.get_schema_names()
    assert inspector.get_view_names() == ["names"]


def test_session_writes_and_reads(tables: sa.Engine) -> None:
    with orm.Session(tables) as session:
        ann = Author(id=1, name="Ann 'the pen' \\ 😀", born=dt.date(1980, 2, 29))
        session.add(ann)
        session.flush()
        session.add(
            Book(id=7, title=None, price=Decimal("12.50"), at=MOMENT, sold=True, author=ann)
        )
        session.commit()
    with orm.Session(tables) as session:
        book = session.scalars(sa.select(Book).where(Book.id == 7)).one()
        assert (book.title, book.price, book.at, book.sold) == (
            None,
            Decimal("12.50"),
            MOMENT,
            True,
        )
        assert book.author is not None
        assert book.author.name == "Ann 'the pen' \\ 😀"
        assert book.author.born == dt.date(1980, 2, 29)


def test_update_and_delete(tables: sa.Engine) -> None:
    with orm.Session(tables) as session:
        session.add_all([Author(id=n, name=f"a{n}") for n in (1, 2, 3)])
        session.commit()
        session.get_one(Author, 2).name = "changed"
        session.delete(session.get_one(Author, 3))
        session.commit()
        names = session.scalars(sa.select(Author.name).order_by(Author.id)).all()
    assert names == ["a1", "changed"]


def test_queries(tables: sa.Engine) -> None:
    with orm.Session(tables) as session:
        session.add_all([Author(id=n, name="odd" if n % 2 else "even") for n in range(1, 8)])
        session.commit()
        grouped = (
            sa.select(Author.name, sa.func.count(), sa.func.sum(Author.id))
            .group_by(Author.name)
            .having(sa.func.count() > 3)
        )
        assert session.execute(grouped).all() == [("odd", 4, 16)]
        page = sa.select(Author.id).order_by(Author.id.desc()).limit(2).offset(1)
        assert session.scalars(page).all() == [6, 5]
        chosen = sa.select(Author.id).where(Author.id.in_([1, 3, 99])).order_by(Author.id)
        assert session.scalars(chosen).all() == [1, 3]
        like = sa.select(sa.func.count()).where(Author.name.like("e%"))
        assert session.scalar(like) == 3


def test_many_values_in_one_insert(tables: sa.Engine) -> None:
    rows = [{"id": n, "name": f"n{n}"} for n in range(100)]
    with tables.begin() as connection:
        connection.execute(sa.insert(Author).values(rows))
        assert connection.scalar(sa.select(sa.func.count()).select_from(Author)) == 100
