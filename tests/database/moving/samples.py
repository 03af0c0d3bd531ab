"""SQLite databases with every kind of value, and what is in a database."""

from __future__ import annotations

import datetime as dt
import random
import sqlite3
import uuid
from contextlib import closing
from pathlib import Path
from typing import Any

import sqlalchemy as sa

KINDS = {"every.u": "uuid"}
"""What is to be said of the sample's columns."""

META = sa.MetaData()
PARENTS = sa.Table(
    "parents",
    META,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("name", sa.String(30), unique=True),
)
EVERY = sa.Table(
    "every",
    META,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("parent_id", sa.ForeignKey("parents.id")),
    sa.Column("i", sa.BigInteger),
    sa.Column("b", sa.Boolean),
    sa.Column("f", sa.Float),
    sa.Column("n", sa.Numeric(12, 3)),
    sa.Column("s", sa.Text),
    sa.Column("j", sa.JSON),
    sa.Column("x", sa.LargeBinary),
    sa.Column("d", sa.Date),
    sa.Column("t", sa.Time),
    sa.Column("m", sa.DateTime),
    sa.Column("u", sa.Uuid),
)
TWICE = sa.Table(
    "twice",
    META,
    sa.Column("a", sa.String, primary_key=True),
    sa.Column("b", sa.Integer, primary_key=True),
    sa.Column("vinci", sa.Text),
)
KEYLESS = sa.Table("keyless", META, sa.Column("a", sa.Integer), sa.Column("b", sa.Text))

_NUMBERS = [0.1, 1e300, 5e-324, float("inf"), float("-inf"), 0.0, 1.7976931348623157e308, 2.0]
_TEXTS = ["", "ä:b", "x'y\\\"", "\U0001f600 z", "a\x00b", "5:x", "%(x)s %s :y", " ", "-"]
_DOCUMENTS = [{"a": 1}, [1, "ä"], 5, "x", 1.5, {}, True]


def make(path: Path, rows: int, seed: int = 1) -> Path:
    """Make a database with so many rows of every type, and fewer in its other tables."""
    draw = random.Random(seed)
    engine = sa.create_engine(f"sqlite:///{path}")
    META.create_all(engine)
    with engine.begin() as connection:
        connection.execute(
            sa.insert(PARENTS), [{"id": one, "name": f"p{one}"} for one in range(10)]
        )
        connection.execute(sa.insert(EVERY), [_row(draw, number) for number in range(rows)])
        connection.execute(
            sa.insert(TWICE),
            [{"a": f"a{one % 7}", "b": one, "vinci": "v"} for one in range(rows // 2)],
        )
        connection.execute(
            sa.insert(KEYLESS), [{"a": one % 5, "b": None} for one in range(rows // 4)]
        )
    engine.dispose()
    return path


def content(path: Path) -> dict[str, Any]:
    """All that a SQLite file has, value by value with its storage class."""
    found: dict[str, Any] = {}
    with closing(sqlite3.connect(path)) as connection:
        names = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        for (name,) in names:
            columns = [row[1] for row in connection.execute(f'PRAGMA table_info("{name}")')]
            listed = ", ".join(f'"{one}", typeof("{one}")' for one in columns)
            rows = connection.execute(f'SELECT {listed} FROM "{name}"').fetchall()
            found[name.lower()] = sorted(rows, key=repr)
    return found


def execute(path: Path, statement: str, *parameters: Any) -> None:
    """Change a SQLite file."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(statement, parameters)
        connection.commit()


def _row(draw: random.Random, number: int) -> dict[str, Any]:
    row = {
        "parent_id": number % 10,
        "i": draw.choice([0, -(2**63), 2**63 - 1, draw.randrange(-(2**63), 2**63)]),
        "b": draw.random() < 0.5,
        "f": draw.choice([*_NUMBERS, draw.random()]),
        "n": round(draw.random() * 1000, 3),
        "s": draw.choice(_TEXTS),
        "j": draw.choice(_DOCUMENTS),
        "x": draw.choice([b"", bytes(range(256)), b"\x00"]),
        "d": dt.date(1, 1, 1) + dt.timedelta(draw.randrange(3_000_000)),
        "t": dt.time(1, 2, 3, draw.choice([0, draw.randrange(1_000_000)])),
        "m": dt.datetime(1, 1, 1)  # noqa: DTZ001 - a clock on the wall
        + dt.timedelta(microseconds=draw.choice([0, 10**15, draw.randrange(10**17)])),
        "u": uuid.UUID(int=draw.getrandbits(128)),
    }
    nulled = {name: None if draw.random() < 0.1 else value for name, value in row.items()}
    return {"id": number - 3, **nulled}
