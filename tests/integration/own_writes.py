"""Ordinary pieces of applications that read what they have written, before they commit it.

Each is a function of a session factory, whose tables are there and empty; what it returns is what
it has seen, and what was stored in the end.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import sqlalchemy as sa
from sqlalchemy import orm
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Mapped, Session, mapped_column, relationship
from sqlalchemy.orm.exc import StaleDataError

Sessions = Callable[[], Session]
Snippet = Callable[[Sessions], object]


class Base(orm.DeclarativeBase):
    """The models of all of them."""


class Author(Base):
    """A parent with children, and with a name that is unique."""

    __tablename__ = "author"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(sa.String, unique=True)
    books: Mapped[list[Book]] = relationship(
        back_populates="author", cascade="all, delete-orphan", order_by="Book.title"
    )


tagged = sa.Table(
    "tagged",
    Base.metadata,
    sa.Column("book_id", sa.ForeignKey("book.id"), primary_key=True),
    sa.Column("tag_id", sa.ForeignKey("tag.id"), primary_key=True),
)


class Book(Base):
    """A child."""

    __tablename__ = "book"
    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str] = mapped_column(sa.String)
    pages: Mapped[int | None]
    author_id: Mapped[int | None] = mapped_column(sa.ForeignKey("author.id"))
    author: Mapped[Author | None] = relationship(back_populates="books")
    tags: Mapped[list[Tag]] = relationship(secondary=tagged, order_by="Tag.name")


class Tag(Base):
    """What is found or made."""

    __tablename__ = "tag"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(sa.String, unique=True)


class Item(Base):
    """A row with a default of the database, and a mark that it is gone."""

    __tablename__ = "item"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(sa.String)
    price: Mapped[int | None]
    state: Mapped[str] = mapped_column(sa.String, server_default="new")
    gone: Mapped[bool] = mapped_column(sa.Boolean, default=False)


class Account(Base):
    """A row with a version counter."""

    __tablename__ = "account"
    id: Mapped[int] = mapped_column(primary_key=True)
    balance: Mapped[int]
    version: Mapped[int] = mapped_column()
    __mapper_args__ = {"version_id_col": version}  # noqa: RUF012 - declared by SQLAlchemy


class Audit(Base):
    """What was done."""

    __tablename__ = "audit"
    id: Mapped[int] = mapped_column(primary_key=True)
    what: Mapped[str] = mapped_column(sa.String)


def query_after_add(sessions: Sessions) -> object:
    with sessions() as session:
        session.add_all([Item(id=n, name=f"n{n}", price=n) for n in (1, 2, 3)])
        found = session.scalars(sa.select(Item.name).where(Item.price > 1).order_by(Item.id)).all()
        session.commit()
    return found, stored(sessions, Item)


def is_this_name_free(sessions: Sessions) -> object:
    with sessions() as session:
        for name in ("a", "b", "a", "c", "b"):
            taken = session.scalar(sa.select(sa.exists().where(Author.name == name)))
            if not taken:
                session.add(Author(name=name))
        session.commit()
    with sessions() as session:
        return session.scalars(sa.select(Author.name).order_by(Author.name)).all()


def count_after_add(sessions: Sessions) -> object:
    counts = []
    with sessions() as session:
        for number in range(1, 4):
            session.add(Item(id=number, name="x"))
            counts.append(session.scalar(sa.select(sa.func.count()).select_from(Item)))
        session.commit()
    return counts, stored(sessions, Item)


def change_two_objects(sessions: Sessions) -> object:
    fill(sessions, Item(id=1, name="a", price=10), Item(id=2, name="b", price=5))
    with sessions() as session:
        first, second = session.get_one(Item, 1), session.get_one(Item, 2)
        first.price, second.price = 7, 8
        total = session.scalar(sa.select(sa.func.sum(Item.price)))
        second.price = 9
        dearest = session.scalars(sa.select(Item.name).order_by(Item.price.desc())).first()
        session.commit()
    return total, dearest, stored(sessions, Item)


def lazy_load_after_flush(sessions: Sessions) -> object:
    with sessions() as session:
        author = Author(id=1, name="a")
        session.add(author)
        session.flush()
        session.add(Book(id=1, title="t", author_id=1))
        session.flush()
        session.expire(author)
        titles = [book.title for book in author.books]
        session.commit()
    return titles, stored(sessions, Book)


def get_or_create(sessions: Sessions) -> object:
    fill(sessions, Tag(id=1, name="old"))
    found = []
    with sessions() as session:
        for name in ("old", "new", "new"):
            try:
                with session.begin_nested():
                    tag = Tag(name=name)
                    session.add(tag)
            except IntegrityError:
                tag = session.scalars(sa.select(Tag).where(Tag.name == name)).one()
                found.append(name)
            assert tag.id is not None
        session.commit()
    with sessions() as session:
        return found, session.scalars(sa.select(Tag.name).order_by(Tag.name)).all()


def savepoint_read_rollback(sessions: Sessions) -> object:
    fill(sessions, Item(id=1, name="a"))
    seen = []
    with sessions() as session:
        session.add(Item(id=2, name="b"))
        session.flush()
        nested = session.begin_nested()
        session.add(Item(id=3, name="c"))
        seen.append(session.scalar(sa.select(sa.func.count()).select_from(Item)))
        nested.rollback()
        seen.append(session.scalar(sa.select(sa.func.count()).select_from(Item)))
        session.commit()
    return seen, stored(sessions, Item)


def returning(sessions: Sessions) -> object:
    with sessions() as session:
        statement = sa.insert(Item).returning(Item.id, Item.name, Item.state)
        one = session.execute(statement, {"id": 1, "name": "a"}).one()
        many = session.execute(
            sa.insert(Item).returning(Item.name, sort_by_parameter_order=True),
            [{"id": 3, "name": "c"}, {"id": 2, "name": "b"}],
        ).scalars()
        changed = session.execute(
            sa.update(Item).where(Item.id > 1).values(price=7).returning(Item.id, Item.price)
        ).all()
        gone = session.scalars(sa.delete(Item).where(Item.id == 2).returning(Item.name)).all()
        seen = tuple(one), many.all(), sorted(map(tuple, changed)), gone
        session.commit()
    return seen, stored(sessions, Item)


def server_default_before_commit(sessions: Sessions) -> object:
    with sessions() as session:
        item = Item(id=1, name="a")
        session.add(item)
        session.flush()
        state = item.state
        session.commit()
    return state, stored(sessions, Item)


def query_update(sessions: Sessions) -> object:
    fill(sessions, *(Item(id=n, name="x", price=n) for n in (1, 2, 3)))
    with sessions() as session:
        loaded = session.get_one(Item, 3)
        dear = session.query(Item).filter(Item.price > 1)
        dear.update({"price": Item.price * 10}, synchronize_session="fetch")
        seen = loaded.price, session.scalars(sa.select(Item.price).order_by(Item.id)).all()
        session.query(Item).filter(Item.price == 20).delete(synchronize_session="fetch")
        left = session.scalars(sa.select(Item.id).order_by(Item.id)).all()
        session.commit()
    return seen, left, stored(sessions, Item)


def rowcounts(sessions: Sessions) -> object:
    fill(sessions, *(Item(id=n, name="x", price=n) for n in (1, 2, 3)))
    with sessions() as session:
        by_key: Any = session.execute(sa.update(Item).where(Item.id == 2).values(price=5))
        none: Any = session.execute(sa.update(Item).where(Item.id == 9).values(price=5))
        by_condition: Any = session.execute(sa.delete(Item).where(Item.price > 2))
        counts = by_key.rowcount, none.rowcount, by_condition.rowcount
        session.commit()
    return counts, stored(sessions, Item)


def for_update(sessions: Sessions) -> object:
    fill(sessions, Item(id=1, name="a", price=10))
    with sessions() as session:
        item = session.scalars(sa.select(Item).where(Item.id == 1).with_for_update()).one()
        item.price = (item.price or 0) - 1
        session.commit()
    return stored(sessions, Item)


def parent_with_children(sessions: Sessions) -> object:
    with sessions() as session:
        session.add(Author(id=1, name="a", books=[Book(id=n, title=f"t{n}") for n in (1, 2)]))
        session.flush()
        session.expire_all()
        statement = sa.select(Author).options(orm.selectinload(Author.books))
        titles = [book.title for author in session.scalars(statement) for book in author.books]
        session.commit()
    return titles, stored(sessions, Author), stored(sessions, Book)


def tags_by_association(sessions: Sessions) -> object:
    with sessions() as session:
        book = Book(id=1, title="t", tags=[Tag(id=1, name="a"), Tag(id=2, name="b")])
        session.add(book)
        session.flush()
        book.tags.remove(book.tags[0])
        session.flush()
        session.expire(book)
        names = [tag.name for tag in book.tags]
        session.commit()
    with sessions() as session:
        return names, [tuple(row) for row in session.execute(sa.select(tagged))]


def delete_with_cascade(sessions: Sessions) -> object:
    books = [Book(id=n, title=f"t{n}") for n in (1, 2)]
    fill(sessions, Author(id=1, name="a", books=books), Author(id=2, name="b"))
    with sessions() as session:
        session.delete(session.get_one(Author, 1))
        left = session.scalar(sa.select(sa.func.count()).select_from(Book))
        names = session.scalars(sa.select(Author.name)).all()
        session.commit()
    return left, names, stored(sessions, Author), stored(sessions, Book)


def audit_row(sessions: Sessions) -> object:
    fill(sessions, Item(id=1, name="a", price=1))
    with sessions() as session:
        session.get_one(Item, 1).price = 2
        price = session.scalar(sa.select(Item.price).where(Item.id == 1))
        session.add(Audit(id=1, what=f"price is {price}"))
        session.commit()
    return price, stored(sessions, Item), stored(sessions, Audit)


def reload_of_a_table(sessions: Sessions) -> object:
    fill(sessions, *(Item(id=n, name="old") for n in (1, 2, 3)))
    with sessions() as session:
        session.execute(sa.delete(Item))
        empty = session.scalar(sa.select(sa.func.count()).select_from(Item))
        session.execute(sa.insert(Item), [{"id": n, "name": "new"} for n in (2, 3, 4)])
        names = session.execute(sa.select(Item.id, Item.name).order_by(Item.id)).all()
        session.commit()
    return empty, list(map(tuple, names)), stored(sessions, Item)


def pagination_while_writing(sessions: Sessions) -> object:
    fill(sessions, *(Item(id=n, name="x", price=n) for n in range(1, 8)))
    pages = []
    with sessions() as session:
        for page in range(4):
            statement = sa.select(Item).order_by(Item.id).limit(2).offset(page * 2)
            items = session.scalars(statement).all()
            pages.append([item.id for item in items])
            for item in items:
                item.price = (item.price or 0) + 100
        total = session.scalar(sa.select(sa.func.sum(Item.price)))
        session.commit()
    return pages, total, stored(sessions, Item)


def soft_delete(sessions: Sessions) -> object:
    fill(sessions, *(Item(id=n, name="x") for n in (1, 2, 3)))
    with sessions() as session:
        session.get_one(Item, 2).gone = True
        left = session.scalars(sa.select(Item.id).where(Item.gone.is_(False)).order_by(Item.id))
        seen = left.all()
        session.commit()
    return seen, stored(sessions, Item)


def optimistic_locking(sessions: Sessions) -> object:
    fill(sessions, Account(id=1, balance=10))
    with sessions() as session, sessions() as other:
        mine, theirs = session.get_one(Account, 1), other.get_one(Account, 1)
        other.rollback()  # SQLite lets one write at a time
        theirs = other.get_one(Account, 1)
        theirs.balance = 20
        other.commit()
        mine.balance = 30
        try:
            session.commit()
        except StaleDataError:
            return "stale", stored(sessions, Account)
    return "lost", stored(sessions, Account)


def batch_with_flushes(sessions: Sessions) -> object:
    counts = []
    with sessions() as session:
        for number in range(1, 301):
            session.add(Item(id=number, name="x", price=number % 7))
            if number % 100 == 0:
                session.flush()
                counts.append(session.scalar(sa.select(sa.func.count()).select_from(Item)))
        session.commit()
    return counts, len(stored(sessions, Item))


def merging(sessions: Sessions) -> object:
    fill(sessions, Item(id=1, name="a", price=1))
    with sessions() as session:
        session.merge(Item(id=1, name="merged", price=2))
        session.merge(Item(id=2, name="added", price=3))
        session.flush()
        session.merge(Item(id=2, name="again", price=4))
        names = session.scalars(sa.select(Item.name).order_by(Item.id)).all()
        session.commit()
    return names, stored(sessions, Item)


def refreshing(sessions: Sessions) -> object:
    fill(sessions, Item(id=1, name="a", price=1))
    with sessions() as session:
        item = session.get_one(Item, 1)
        session.execute(sa.update(Item).where(Item.price == 1).values(price=Item.price + 41))
        session.refresh(item)
        price = item.price
        session.commit()
    return price, stored(sessions, Item)


def exists_or_insert(sessions: Sessions) -> object:
    fill(sessions, Tag(id=1, name="a"))
    with sessions() as session:
        for name in ("a", "b", "b"):
            if not session.query(sa.exists().where(Tag.name == name)).scalar():
                session.add(Tag(name=name))
        session.commit()
    with sessions() as session:
        return session.scalars(sa.select(Tag.name).order_by(Tag.name)).all()


SNIPPETS: tuple[Snippet, ...] = (
    query_after_add,
    is_this_name_free,
    count_after_add,
    change_two_objects,
    lazy_load_after_flush,
    get_or_create,
    savepoint_read_rollback,
    returning,
    server_default_before_commit,
    query_update,
    rowcounts,
    for_update,
    parent_with_children,
    tags_by_association,
    delete_with_cascade,
    audit_row,
    reload_of_a_table,
    pagination_while_writing,
    soft_delete,
    optimistic_locking,
    batch_with_flushes,
    merging,
    refreshing,
    exists_or_insert,
)


def fill(sessions: Sessions, *objects: object) -> None:
    """Store objects, each kind by itself: without transactions a commit is on one table."""
    with sessions() as session:
        for entity in objects:
            session.add(entity)
            session.flush()
        session.commit()


def stored(sessions: Sessions, entity: Any) -> list[tuple[Any, ...]]:
    """The rows of a table."""
    table = entity.__table__
    with sessions() as session:
        return [tuple(row) for row in session.execute(sa.select(table).order_by(table.c.id))]
