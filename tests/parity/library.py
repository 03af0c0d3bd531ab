"""A library: the mapped classes of the ORM tests."""

from __future__ import annotations

import datetime as dt
from typing import Any

import sqlalchemy as sa
from sqlalchemy import orm
from sqlalchemy.ext.associationproxy import AssociationProxy, association_proxy
from sqlalchemy.ext.hybrid import hybrid_property

METADATA = sa.MetaData()


class Base(orm.DeclarativeBase):
    metadata = METADATA
    type_annotation_map = {dict[str, Any]: sa.JSON}


book_tag = sa.Table(
    "book_tag",
    METADATA,
    sa.Column("book_id", sa.ForeignKey("book.id"), primary_key=True),
    sa.Column("tag_id", sa.ForeignKey("tag.id"), primary_key=True),
)


class Author(Base):
    __tablename__ = "author"

    id: orm.Mapped[int] = orm.mapped_column(primary_key=True)
    name: orm.Mapped[str] = orm.mapped_column(sa.String(50))
    born: orm.Mapped[dt.date | None]
    settings: orm.Mapped[dict[str, Any] | None]
    books: orm.Mapped[list[Book]] = orm.relationship(
        back_populates="author", cascade="all, delete-orphan", order_by="Book.title"
    )
    profile: orm.Mapped[Profile | None] = orm.relationship(
        back_populates="author", cascade="all, delete-orphan"
    )

    @hybrid_property
    def initial(self) -> str:
        return self.name[:1]

    @initial.inplace.expression
    @classmethod
    def _initial(cls) -> sa.ColumnElement[str]:
        return sa.func.substr(cls.name, 1, 1)


class Profile(Base):
    __tablename__ = "profile"

    author_id: orm.Mapped[int] = orm.mapped_column(sa.ForeignKey("author.id"), primary_key=True)
    bio: orm.Mapped[str] = orm.mapped_column(sa.Text)
    author: orm.Mapped[Author] = orm.relationship(back_populates="profile")


class Book(Base):
    __tablename__ = "book"

    id: orm.Mapped[int] = orm.mapped_column(primary_key=True)
    title: orm.Mapped[str] = orm.mapped_column(sa.String(80))
    pages: orm.Mapped[int] = orm.mapped_column(default=100)
    sold: orm.Mapped[bool] = orm.mapped_column(default=False)
    author_id: orm.Mapped[int | None] = orm.mapped_column(sa.ForeignKey("author.id"))
    author: orm.Mapped[Author | None] = orm.relationship(back_populates="books")
    tags: orm.Mapped[list[Tag]] = orm.relationship(
        secondary=book_tag, back_populates="books", order_by="Tag.name"
    )
    tag_names: AssociationProxy[list[str]] = association_proxy("tags", "name")


class Tag(Base):
    __tablename__ = "tag"

    id: orm.Mapped[int] = orm.mapped_column(primary_key=True)
    name: orm.Mapped[str] = orm.mapped_column(sa.String(20))
    books: orm.Mapped[list[Book]] = orm.relationship(
        secondary=book_tag, back_populates="tags", order_by=Book.title
    )

    def __init__(self, name: str) -> None:
        self.name = name


class Shelf(Base):
    """A composite key, and a version."""

    __tablename__ = "shelf"

    floor: orm.Mapped[int] = orm.mapped_column(primary_key=True, autoincrement=False)
    code: orm.Mapped[str] = orm.mapped_column(sa.String(10), primary_key=True)
    label: orm.Mapped[str | None]
    version: orm.Mapped[int] = orm.mapped_column()

    __mapper_args__ = {"version_id_col": version}


class Place(Base):
    """A tree."""

    __tablename__ = "place"

    id: orm.Mapped[int] = orm.mapped_column(primary_key=True)
    name: orm.Mapped[str] = orm.mapped_column(sa.String(30))
    parent_id: orm.Mapped[int | None] = orm.mapped_column(sa.ForeignKey("place.id"))
    children: orm.Mapped[list[Place]] = orm.relationship(
        back_populates="parent", order_by="Place.name"
    )
    parent: orm.Mapped[Place | None] = orm.relationship(back_populates="children", remote_side=[id])


class Person(Base):
    """Joined-table inheritance."""

    __tablename__ = "person"

    id: orm.Mapped[int] = orm.mapped_column(primary_key=True)
    kind: orm.Mapped[str] = orm.mapped_column(sa.String(20))
    name: orm.Mapped[str] = orm.mapped_column(sa.String(30))

    __mapper_args__ = {"polymorphic_on": "kind", "polymorphic_identity": "person"}


class Reader(Person):
    __tablename__ = "reader"

    id: orm.Mapped[int] = orm.mapped_column(sa.ForeignKey("person.id"), primary_key=True)
    card: orm.Mapped[str] = orm.mapped_column(sa.String(10))

    __mapper_args__ = {"polymorphic_identity": "reader"}


class Librarian(Person):
    __tablename__ = "librarian"

    id: orm.Mapped[int] = orm.mapped_column(sa.ForeignKey("person.id"), primary_key=True)
    salary: orm.Mapped[int]

    __mapper_args__ = {"polymorphic_identity": "librarian"}


class Item(Base):
    """Single-table inheritance."""

    __tablename__ = "item"

    id: orm.Mapped[int] = orm.mapped_column(primary_key=True)
    kind: orm.Mapped[str] = orm.mapped_column(sa.String(20))
    title: orm.Mapped[str] = orm.mapped_column(sa.String(30))

    __mapper_args__ = {"polymorphic_on": "kind", "polymorphic_identity": "item"}


class Film(Item):
    minutes: orm.Mapped[int | None] = orm.mapped_column()

    __mapper_args__ = {"polymorphic_identity": "film"}


class Record(Item):
    tracks: orm.Mapped[int | None] = orm.mapped_column()

    __mapper_args__ = {"polymorphic_identity": "record"}


def three_authors(session: orm.Session) -> None:
    """Austen with two books, Borges with one, Carroll with none."""
    classic, short, odd = Tag("classic"), Tag("short"), Tag("odd")
    session.add_all(
        [
            Author(
                name="Austen",
                born=dt.date(1775, 12, 16),
                settings={"theme": "dark", "size": 3},
                profile=Profile(bio="novels"),
                books=[
                    Book(title="Emma", pages=474, tags=[classic]),
                    Book(title="Persuasion", pages=249, sold=True, tags=[classic, short]),
                ],
            ),
            Author(name="Borges", books=[Book(title="Ficciones", pages=174, tags=[short, odd])]),
            Author(name="Carroll", settings={}),
        ]
    )
    session.commit()
