"""What goes wrong on one database goes wrong on the other, with the same exception class."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import orm

from vinci_code.core.errors import ValueRefusedError
from vinci_code.database.models.types import UtcDateTime

METADATA = sa.MetaData()

thing = sa.Table(
    "thing",
    METADATA,
    sa.Column("id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("name", sa.String(20), nullable=False),
    sa.Column("amount", sa.Integer, sa.CheckConstraint("amount >= 0", name="not_negative")),
    sa.Column("at", UtcDateTime),
    sa.Column("document", sa.JSON),
    sa.Column("kind", sa.Enum("a", "b", name="kind", validate_strings=True)),
    sa.Column("day", sa.Date),
)


class Base(orm.DeclarativeBase):
    metadata = METADATA


class Thing(Base):
    __table__ = thing


def _execute(statement: Any, *parameters: Any) -> Callable[[sa.Connection], object]:
    return lambda connection: connection.execute(statement, *parameters)


def _flush(entity: Callable[[], object]) -> Callable[[sa.Connection], object]:
    def run(connection: sa.Connection) -> None:
        session = orm.Session(connection)
        session.add(entity())
        session.flush()

    return run


CASES: dict[str, tuple[Callable[[sa.Connection], object], type[Exception]]] = {
    "not-null": (_execute(sa.insert(thing).values(id=1, name=None)), sa.exc.IntegrityError),
    "not-null-left-out": (_execute(sa.insert(thing).values(id=1)), sa.exc.IntegrityError),
    "not-null-by-update": (
        lambda connection: (
            connection.execute(sa.insert(thing).values(id=77, name="x")),
            connection.execute(sa.update(thing).where(thing.c.id == 77).values(name=None)),
        ),
        sa.exc.IntegrityError,
    ),
    "check": (_execute(sa.insert(thing).values(id=2, name="x", amount=-1)), sa.exc.IntegrityError),
    "check-by-update": (
        lambda connection: (
            connection.execute(sa.insert(thing).values(id=78, name="x", amount=1)),
            connection.execute(sa.update(thing).where(thing.c.id == 78).values(amount=-1)),
        ),
        sa.exc.IntegrityError,
    ),
    "not-null-in-a-session": (_flush(lambda: Thing(id=3)), sa.exc.IntegrityError),
    "check-in-a-session": (_flush(lambda: Thing(id=4, name="x", amount=-5)), sa.exc.IntegrityError),
    "unknown-enum": (
        _execute(sa.insert(thing).values(id=5, name="x", kind="z")),
        sa.exc.StatementError,
    ),
    "naive-instant": (
        _execute(sa.insert(thing).values(id=6, name="x", at=dt.datetime(2024, 1, 1))),
        sa.exc.StatementError,
    ),
    "document-that-is-none": (
        _execute(sa.insert(thing).values(id=7, name="x", document=object())),
        sa.exc.StatementError,
    ),
    "text-as-date": (
        _execute(sa.insert(thing).values(id=8, name="x", day="2024-01-01")),
        sa.exc.StatementError,
    ),
    "missing-parameter": (
        _execute(sa.select(thing.c.id).where(thing.c.id == sa.bindparam("x"))),
        sa.exc.StatementError,
    ),
    "unconsumed-column": (
        _execute(sa.insert(thing).values(id=9, name="x", nothing=1)),
        sa.exc.CompileError,
    ),
    "no-such-attribute": (lambda connection: thing.c.nothing, AttributeError),
    "result-closed": (
        lambda connection: _closed_result(connection).fetchall(),
        sa.exc.ResourceClosedError,
    ),
    "rows-of-an-insert": (
        lambda connection: connection.execute(
            sa.insert(thing).values(id=10, name="x", amount=1)
        ).fetchall(),
        sa.exc.ResourceClosedError,
    ),
    "no-row": (
        lambda connection: connection.execute(sa.select(thing).where(sa.false())).one(),
        sa.exc.NoResultFound,
    ),
    "no-such-column-in-row": (
        lambda connection: connection.execute(sa.select(sa.literal(1).label("a"))).one().b,
        AttributeError,
    ),
    "reflecting-nothing": (
        lambda connection: sa.Table("no_such_table", sa.MetaData(), autoload_with=connection),
        sa.exc.NoSuchTableError,
    ),
    "columns-of-nothing": (
        lambda connection: sa.inspect(connection).get_columns("no_such_table"),
        sa.exc.NoSuchTableError,
    ),
}


def _closed_result(connection: sa.Connection) -> sa.CursorResult[Any]:
    result = connection.execute(sa.select(thing.c.id))
    result.close()
    return result


@pytest.mark.parametrize("name", CASES)
def test_exception(connection: sa.Connection, name: str) -> None:
    action, expected = CASES[name]
    with pytest.raises(expected):
        _committed(connection, action)


def _committed(connection: sa.Connection, action: Callable[[sa.Connection], object]) -> None:
    """Do something; on a warehouse a write is held until the commit."""
    action(connection)
    connection.commit()


# What SQLite calls OperationalError has a class of its own in PEP 249; both are a DatabaseError.
MALFORMED = {
    "syntax": "SELEC 1",
    "no-such-table": "SELECT * FROM no_such_table",
    "no-such-column": "SELECT no_such_column FROM thing",
    "no-such-function": "SELECT no_such_function(1)",
    "insert-into-nothing": "INSERT INTO no_such_table VALUES (1)",
    "too-few-values": "INSERT INTO thing (id, name) VALUES (1)",
    "drop-nothing": "DROP TABLE no_such_table",
}


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed_text(connection: sa.Connection, name: str) -> None:
    with pytest.raises(sa.exc.DatabaseError) as caught:
        _committed(connection, _execute(sa.text(MALFORMED[name])))
    assert isinstance(caught.value, (sa.exc.OperationalError, sa.exc.ProgrammingError))


def test_creating_a_table_twice(engine: sa.Engine) -> None:
    with pytest.raises(sa.exc.DatabaseError):
        thing.create(engine, checkfirst=False)
    METADATA.create_all(engine)


def test_connection_works_after_an_error(connection: sa.Connection) -> None:
    with pytest.raises(sa.exc.DatabaseError):
        connection.execute(sa.text("SELECT * FROM no_such_table"))
    connection.rollback()
    assert connection.scalar(sa.select(sa.literal(1))) == 1


def test_a_failed_flush_leaves_nothing(engine: sa.Engine) -> None:
    with orm.Session(engine) as session:
        session.add(Thing(id=900, name=None))
        with pytest.raises(sa.exc.IntegrityError):
            session.commit()
    with engine.connect() as connection:
        query = sa.select(sa.func.count()).where(thing.c.id == 900)
        assert connection.scalar(query) == 0


def test_closed_connection(engine: sa.Engine) -> None:
    connection = engine.connect()
    connection.close()
    with pytest.raises(sa.exc.ResourceClosedError):
        connection.execute(sa.select(1))


def test_cause_of_a_refused_value(connection: sa.Connection) -> None:
    with pytest.raises(sa.exc.StatementError) as caught:
        connection.execute(sa.insert(thing).values(id=6, name="x", at=dt.datetime(2024, 1, 1)))
    assert isinstance(caught.value.orig, ValueRefusedError)


@pytest.mark.filterwarnings("ignore:Dialect sqlite.pysqlite does .not. support Decimal")
def test_number_that_does_not_fit_is_not_cut(connection: sa.Connection) -> None:
    query = sa.select(sa.cast(sa.literal(Decimal("1234.5678")), sa.Numeric(8, 4)))
    assert connection.scalar(query) == Decimal("1234.5678")
