"""The tables that programs write: each kind of key, constraint, default, type and mapping once."""

from __future__ import annotations

import datetime as dt
import enum
import uuid
from decimal import Decimal
from typing import Any

import sqlalchemy as sa
from sqlalchemy import ForeignKey, Index, UniqueConstraint, func, select, text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship


class Base(DeclarativeBase):
    """The base of the mapped classes."""


# SQLite gives out an integer key that is missing, even where nobody wants it, unless told so.
_GIVEN = {"sqlite_with_rowid": False}


def key() -> Mapped[int]:
    """An integer key that the program gives."""
    return mapped_column(sa.Integer, primary_key=True, autoincrement=False)


# By RETURNING, SQLite reads what a default gave as a row is inserted, and what is changed past the
# object is not seen then.
_READ_LATER = {"eager_defaults": False}


class Item(Base):
    """A unique code that may be missing, a CHECK, and each place that a default can have."""

    __tablename__ = "item"
    __table_args__ = (sa.CheckConstraint("price >= 0", name="item_price"), _GIVEN)
    id: Mapped[int] = key()
    code: Mapped[int | None] = mapped_column(unique=True)
    x: Mapped[int | None]
    name: Mapped[str | None] = mapped_column(sa.String(40))
    price: Mapped[Decimal | None] = mapped_column(sa.Numeric(12, 2))
    state: Mapped[str | None] = mapped_column(sa.String(20), server_default="new")
    hits: Mapped[int | None] = mapped_column(default=7)
    __mapper_args__ = _READ_LATER


class Part(Base):
    """A key of two columns, and UNIQUE over two of which one may be NULL."""

    __tablename__ = "part"
    __table_args__ = (
        UniqueConstraint("qty", "label", name="part_label"),
        sa.CheckConstraint("qty >= 0", name="part_qty"),
        _GIVEN,
    )
    box: Mapped[int] = key()
    slot: Mapped[str] = mapped_column(sa.String(10), primary_key=True)
    qty: Mapped[int]
    label: Mapped[str | None] = mapped_column(sa.String(20))


class Tag(Base):
    """A key that is text, and a foreign key."""

    __tablename__ = "tag"
    name: Mapped[str] = mapped_column(sa.String(20), primary_key=True)
    item_id: Mapped[int | None] = mapped_column(ForeignKey("item.id"))
    weight: Mapped[float | None]
    item: Mapped[Item | None] = relationship(backref="tags")


class Doc(Base):
    """A key that is a UUID, and a foreign key that is text."""

    __tablename__ = "doc"
    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    owner: Mapped[str | None] = mapped_column(ForeignKey("tag.name"))
    title: Mapped[str | None] = mapped_column(sa.String(30), unique=True)


class Note(Base):
    """A key that SQLite, or the dialect, gives out."""

    __tablename__ = "note"
    __table_args__ = ({"sqlite_autoincrement": True},)
    id: Mapped[int] = mapped_column(primary_key=True)
    body: Mapped[str | None] = mapped_column(sa.String(30), unique=True)
    about: Mapped[int | None] = mapped_column(ForeignKey("note.id"))


class Account(Base):
    """A version counter."""

    __tablename__ = "account"
    __table_args__ = (_GIVEN,)
    id: Mapped[int] = key()
    balance: Mapped[int] = mapped_column(default=100)
    owner: Mapped[str | None] = mapped_column(sa.String(20), unique=True)
    version: Mapped[int] = mapped_column()
    __mapper_args__ = {"version_id_col": version}


class Animal(Base):
    """Three classes in one table."""

    __tablename__ = "animal"
    __table_args__ = (_GIVEN,)
    id: Mapped[int] = key()
    kind: Mapped[str] = mapped_column(sa.String(10))
    name: Mapped[str | None] = mapped_column(sa.String(20), unique=True)
    __mapper_args__ = {
        "polymorphic_on": kind,
        "polymorphic_identity": "animal",
        **_READ_LATER,
    }


class Dog(Animal):
    """One of them."""

    tricks: Mapped[int | None]
    __mapper_args__ = {"polymorphic_identity": "dog"}


class Cat(Animal):
    """Another one."""

    lives: Mapped[int | None] = mapped_column(server_default=text("9"))
    __mapper_args__ = {"polymorphic_identity": "cat"}


class Person(Base):
    """A class in a table, whose subclass has one more."""

    __tablename__ = "person"
    __table_args__ = (_GIVEN,)
    id: Mapped[int] = key()
    kind: Mapped[str] = mapped_column(sa.String(10))
    name: Mapped[str | None] = mapped_column(sa.String(20), unique=True)
    __mapper_args__ = {"polymorphic_on": kind, "polymorphic_identity": "person"}


class Employee(Person):
    """The subclass, in two tables."""

    __tablename__ = "employee"
    __table_args__ = (_GIVEN,)
    id: Mapped[int] = mapped_column(ForeignKey("person.id"), primary_key=True, autoincrement=False)
    salary: Mapped[int | None]
    badge: Mapped[int | None] = mapped_column(unique=True)
    __mapper_args__ = {"polymorphic_identity": "employee"}


enrolled = sa.Table(
    "enrolled",
    Base.metadata,
    sa.Column("student_id", ForeignKey("student.id"), primary_key=True, autoincrement=False),
    sa.Column("course_id", ForeignKey("course.id"), primary_key=True, autoincrement=False),
    sqlite_with_rowid=False,
)


class Student(Base):
    """One side of a many-to-many."""

    __tablename__ = "student"
    __table_args__ = (_GIVEN,)
    id: Mapped[int] = key()
    name: Mapped[str | None] = mapped_column(sa.String(20))
    courses: Mapped[list[Course]] = relationship(secondary=enrolled, back_populates="students")


class Course(Base):
    """Its other side."""

    __tablename__ = "course"
    __table_args__ = (_GIVEN,)
    id: Mapped[int] = key()
    name: Mapped[str | None] = mapped_column(sa.String(20), unique=True)
    students: Mapped[list[Student]] = relationship(secondary=enrolled, back_populates="courses")


class Node(Base):
    """A tree."""

    __tablename__ = "node"
    __table_args__ = (_GIVEN,)
    id: Mapped[int] = key()
    parent_id: Mapped[int | None] = mapped_column(ForeignKey("node.id"))
    rank: Mapped[int | None]
    children: Mapped[list[Node]] = relationship(
        cascade="all, delete-orphan", back_populates="parent"
    )
    parent: Mapped[Node | None] = relationship(remote_side=[id], back_populates="children")


class Mail(Base):
    """An address that is unique among what is not gone."""

    __tablename__ = "mail"
    __table_args__ = (_GIVEN,)
    id: Mapped[int] = key()
    address: Mapped[str | None] = mapped_column(sa.String(30))
    gone: Mapped[int] = mapped_column(default=0)


Index("mail_address", Mail.address, unique=True, sqlite_where=Mail.gone == 0)


class Login(Base):
    """A computed column that is unique."""

    __tablename__ = "login"
    __table_args__ = (_GIVEN,)
    id: Mapped[int] = key()
    name: Mapped[str | None] = mapped_column(sa.String(30))
    lowered: Mapped[str | None] = mapped_column(
        sa.String(30), sa.Computed("lower(name)"), unique=True
    )
    __mapper_args__ = _READ_LATER


class Rank(Base):
    """Defaults that are SQL: a sub-select, an expression, text, a function of Python, onupdate."""

    __tablename__ = "rank"
    __table_args__ = (_GIVEN,)
    id: Mapped[int] = key()
    name: Mapped[str | None] = mapped_column(sa.String(20), unique=True)
    pos: Mapped[int | None] = mapped_column(unique=True)
    seven: Mapped[int | None] = mapped_column(default=text("7"))
    shout: Mapped[str | None] = mapped_column(sa.String(20), default=func.upper("abc"))
    doubled: Mapped[int | None] = mapped_column(
        # Of several rows in one VALUES, SQLAlchemy finds those alone that have no expression.
        default=lambda context: 2 * (context.get_current_parameters(False).get("id") or 0)
    )
    changes: Mapped[int | None] = mapped_column(default=0, onupdate=text("changes + 1"))


_ranks: Any = Rank.__table__
_next = select(func.coalesce(func.max(_ranks.alias("before").c.pos), 0) + 1).scalar_subquery()
_ranks.c.pos._init_items(sa.ColumnDefault(_next))


class Colour(enum.Enum):
    """Values of an Enum column."""

    RED = "red"
    GREEN = "green"


class Kind(Base):
    """A column of each type."""

    __tablename__ = "kind"
    __table_args__ = (_GIVEN,)
    id: Mapped[int] = key()
    f: Mapped[float | None] = mapped_column(sa.Float)
    n: Mapped[Decimal | None] = mapped_column(sa.Numeric(18, 4))
    s: Mapped[str | None] = mapped_column(sa.String)
    b: Mapped[bytes | None] = mapped_column(sa.LargeBinary)
    at: Mapped[dt.datetime | None] = mapped_column(sa.DateTime)
    day: Mapped[dt.date | None]
    hour: Mapped[dt.time | None]
    span: Mapped[dt.timedelta | None] = mapped_column(sa.Interval)
    j: Mapped[Any | None] = mapped_column(sa.JSON)
    ok: Mapped[bool | None]
    colour: Mapped[Colour | None]
    big: Mapped[int | None] = mapped_column(sa.BigInteger, unique=True)


# A view over items; a Table of its own, which create_all must not make.
VIEWS = sa.MetaData()
cheap = sa.Table(
    "cheap",
    VIEWS,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("code", sa.Integer),
    sa.Column("x", sa.Integer),
    sa.Column("name", sa.String),
)
CREATE_VIEW = "CREATE VIEW cheap AS SELECT id, code, x, name FROM item WHERE x < 5"

MAPPED: tuple[type[Base], ...] = tuple(
    mapper.class_ for mapper in Base.registry.mappers if mapper.inherits is None
)
TABLES: dict[str, sa.Table] = {table.name: table for table in Base.metadata.sorted_tables}
"""Every table by its name; a table comes after those that its foreign keys point at."""
