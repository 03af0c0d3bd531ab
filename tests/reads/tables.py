"""The tables that programs write and read: many types, each kind of key, and constant defaults."""

from __future__ import annotations

import datetime as dt
import enum
import uuid
from decimal import Decimal
from typing import Any

import sqlalchemy as sa
from sqlalchemy import ForeignKey, UniqueConstraint, text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship


class Base(DeclarativeBase):
    """The base of the mapped classes."""


def key() -> Mapped[int]:
    """An integer key that the program gives."""
    return mapped_column(sa.Integer, primary_key=True, autoincrement=False)


# SQLite gives out an integer key that is missing, even where nobody wants it, unless told so.
_GIVEN = {"sqlite_with_rowid": False}


class Author(Base):
    """A parent, with a name that is unique and two constant defaults."""

    __tablename__ = "author"
    __table_args__ = (_GIVEN,)
    id: Mapped[int] = key()
    name: Mapped[str | None] = mapped_column(sa.String(30), unique=True)
    rank: Mapped[int | None] = mapped_column(sa.SmallInteger)
    big: Mapped[int | None] = mapped_column(sa.BigInteger)
    born: Mapped[dt.date | None]
    score: Mapped[float | None]
    ok: Mapped[bool | None]
    state: Mapped[str | None] = mapped_column(sa.String(20), server_default="new")
    size: Mapped[int | None] = mapped_column(server_default=text("7"))
    books: Mapped[list[Book]] = relationship(back_populates="author", order_by="Book.id")


class Book(Base):
    """A child, with two columns that are unique together."""

    __tablename__ = "book"
    __table_args__ = (UniqueConstraint("author_id", "title", name="book_title"), _GIVEN)
    id: Mapped[int] = key()
    author_id: Mapped[int | None] = mapped_column(ForeignKey("author.id"))
    title: Mapped[str | None] = mapped_column(sa.String(30))
    price: Mapped[Decimal | None] = mapped_column(sa.Numeric(12, 2))
    pages: Mapped[int | None]
    at: Mapped[dt.datetime | None] = mapped_column(sa.DateTime)
    code: Mapped[uuid.UUID | None]
    author: Mapped[Author | None] = relationship(back_populates="books")


class Stock(Base):
    """A key of two columns, which a book's and a shop's make."""

    __tablename__ = "stock"
    __table_args__ = (_GIVEN,)
    shop: Mapped[str] = mapped_column(sa.String(10), primary_key=True)
    book_id: Mapped[int] = key()
    qty: Mapped[int]
    note: Mapped[str | None] = mapped_column(sa.String(20), server_default="it's")
    left: Mapped[Decimal | None] = mapped_column(sa.Numeric(6, 2), server_default=text("1.5"))


class Node(Base):
    """A tree."""

    __tablename__ = "node"
    __table_args__ = (_GIVEN,)
    id: Mapped[int] = key()
    parent_id: Mapped[int | None] = mapped_column(ForeignKey("node.id"))
    rank: Mapped[int | None]
    label: Mapped[str | None] = mapped_column(sa.String(20), unique=True)
    parent: Mapped[Node | None] = relationship(remote_side="Node.id", back_populates="children")
    children: Mapped[list[Node]] = relationship(back_populates="parent", order_by="Node.id")


class Colour(enum.Enum):
    """Values of an Enum column."""

    RED = "red"
    GREEN = "green"


class Sample(Base):
    """A column of each type, some with a default."""

    __tablename__ = "sample"
    __table_args__ = (_GIVEN,)
    id: Mapped[int] = key()
    small: Mapped[int | None] = mapped_column(sa.SmallInteger)
    exact: Mapped[Decimal | None] = mapped_column(sa.Numeric(30, 10))
    real: Mapped[float | None] = mapped_column(sa.Float)
    wide: Mapped[float | None] = mapped_column(sa.Double)
    word: Mapped[str | None] = mapped_column(sa.String(20))
    body: Mapped[str | None] = mapped_column(sa.Text)
    flag: Mapped[bool | None] = mapped_column(server_default=sa.true())
    day: Mapped[dt.date | None]
    at: Mapped[dt.datetime | None] = mapped_column(sa.DateTime)
    hour: Mapped[dt.time | None]
    raw: Mapped[bytes | None] = mapped_column(sa.LargeBinary)
    data: Mapped[Any | None] = mapped_column(sa.JSON)
    code: Mapped[uuid.UUID | None]
    colour: Mapped[Colour | None]
    size: Mapped[int | None] = mapped_column(sa.BigInteger, server_default="-5")


TABLES: dict[str, sa.Table] = {table.name: table for table in Base.metadata.sorted_tables}
"""Every table by its name; a table comes after those that its foreign keys point at."""
CLASSES: dict[str, type[Base]] = {
    mapper.class_.__name__: mapper.class_ for mapper in Base.registry.mappers
}
COPIES = 9
"""Each table has aliases, such as ``book_2`` and ``book_3``."""

# --- kinds of columns, and their values ----------------------------------------------------------

# What of a column may be computed with, and compared, alike on both databases.
KINDS: dict[str, str] = {
    "author": "id:i name:s rank:i big:g born:day score:f ok:ok state:s size:i",
    "book": "id:i author_id:i title:s price:d pages:i at:at code:u",
    "stock": "shop:s book_id:i qty:i note:s left:d",
    "node": "id:i parent_id:i rank:i label:s",
    "sample": (
        "id:i small:g exact:n real:r wide:r word:s body:t flag:ok day:day at:at hour:h raw:y"
        " data:j code:u colour:c size:i"
    ),
}
"""The kinds of the columns of each table.

``i`` are small integers and ``g`` those of any size, ``s`` and ``t`` are texts, ``d`` are decimals
and ``n`` long ones, ``f`` floats of which sums are exact, ``r`` any others.
"""


def kinds(table: str) -> dict[str, str]:
    """The kind of each column of a table."""
    return dict(item.split(":") for item in KINDS[table].split())


# None beyond ASCII has two cases: upper and lower of SQLite fold the letters of ASCII alone.
VALUES: dict[str, list[Any]] = {
    "i": [0, 1, 2, 3, 4, 5, 7, -1, 9],
    "g": [1, -1, 0, 32767, -32768],
    "s": ["a", "b", "c", "A", "", "it's", "日", "😀", "new", "x y"],
    "t": ["a\nb", 'q"q', "\\", "?", ":p", "{}", "%s", "😀😀", "\t", " a ", "--", "${x}", "`"],
    "d": [Decimal("1.10"), Decimal(0), Decimal("2.50"), Decimal("99.99"), Decimal("-7.25")],
    "n": [Decimal("12345678901234567890.0123456789"), Decimal("-0.0000000001"), Decimal(3)],
    "f": [0.5, -1.25, 3.0, 0.25, 1024.0],
    "r": [0.1, -1.25, 1e30, 3.0, 1e-30, -0.0],
    "day": [dt.date(2024, 2, 29), dt.date(1970, 1, 1), dt.date(1900, 1, 1), dt.date(9999, 12, 31)],
    "at": [
        dt.datetime(2024, 1, 2, 3, 4, 5),  # noqa: DTZ001 - a wall clock
        dt.datetime(1999, 12, 31, 23, 59, 59, 999999),  # noqa: DTZ001 - a wall clock
        dt.datetime(1970, 1, 1),  # noqa: DTZ001 - a wall clock
    ],
    "h": [dt.time(1, 2, 3), dt.time(23, 59, 59, 5)],
    "ok": [True, False],
    "y": [b"", b"a", b"\x00\xff", b"longer than a few"],
    "j": [{"a": 1}, [1, "b", None], "text", 5, 1.5, {}, {"k": {"é": [True]}}],
    "u": [uuid.UUID(int=n) for n in (1, 2, 3, 0xABCDEF << 100)],
    "c": list(Colour),
}
_SPECIAL: dict[str, list[Any]] = {
    "author.big": [1, 2, -5, 2**53 + 1, 2**62, -(2**63)],
    "stock.shop": ["n", "s", "e", "w"],
    "stock.left": [Decimal("1.5"), Decimal("0.25"), Decimal(-3)],
    "stock.qty": [0, 1, 2, 3, 5, 8],
}
FIRST = range(1, 6)
"""The keys of the rows that a table begins with."""


def values_of(table: str, column: str) -> list[Any]:
    """The values that a column may be given; keys apart."""
    return _SPECIAL.get(f"{table}.{column}", VALUES[kinds(table)[column]])
