"""The tables that the histories are about, and what is there before each."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sqlalchemy import BigInteger, MetaData, String
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

THING, COUNTER, MARK = "things", "counters", "marks"

WIDTH = 1000
"""How many keys each schedule has for itself."""


class Base(DeclarativeBase):
    metadata = MetaData()


class Thing(Base):
    """A row whose log says which writes it has seen since it was made, or set anew."""

    __tablename__ = THING
    id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    run: Mapped[int]
    log: Mapped[str] = mapped_column(String)
    code: Mapped[str | None] = mapped_column(String(40), unique=True)


class Counter(Base):
    """The same with a version counter."""

    __tablename__ = COUNTER
    id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    run: Mapped[int]
    log: Mapped[str] = mapped_column(String)
    version: Mapped[int] = mapped_column()
    __mapper_args__ = {"version_id_col": version}


class Mark(Base):
    """A row that each unit writes beside its work."""

    __tablename__ = MARK
    id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    run: Mapped[int]
    unit: Mapped[int]


THINGS, COUNTERS = 4, 2
"""How many rows of each there are at the beginning."""


def first_rows(base: int) -> Iterator[tuple[str, tuple[Any, ...]]]:
    """The rows of a schedule at the beginning, with their tables."""
    for key in range(THINGS):
        yield THING, (base * WIDTH + key, base, "0", None)
    for key in range(COUNTERS):
        yield COUNTER, (base * WIDTH + key, base, "0", 1)
