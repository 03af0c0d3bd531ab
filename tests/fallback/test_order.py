"""Units of work on the same rows arrive in the order of their commits, wherever they have begun."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import BigInteger, Engine, select, text, update
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from tests.fallback.circle import Circle, circle
from vinci_code.core.errors import JournalError
from vinci_code.database.dialect.driver import dbapi
from vinci_code.database.fallback import replay
from vinci_code.database.fallback.records import State
from vinci_code.warehouse import Fault
from vinci_code.warehouse.pytest_plugin import TestWarehouse


class Base(DeclarativeBase):
    pass


class Count(Base):
    __tablename__ = "counts"
    id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    n: Mapped[int]


@pytest.fixture
def made(
    local_warehouse: TestWarehouse, connected: Callable[..., Engine], tmp_path: Path
) -> Iterator[Circle]:
    engine = connected(history_timeout=0.1)
    with circle(local_warehouse, engine, tmp_path / "s.db", Base.metadata) as found:
        found.run(lambda session: session.add_all([Count(id=1, n=0), Count(id=2, n=0)]))
        yield found


def _put(n: int, key: int = 1) -> Callable[[Session], Any]:
    return lambda session: session.execute(update(Count).where(Count.id == key).values(n=n))


def test_a_unit_that_began_before_an_outage_goes_behind_those_of_the_outage(made: Circle) -> None:
    with made.session() as older:
        _put(2)(older)
        made.begin()
        made.run(_put(1))
        made.of.warehouse.faults.clear()
        older.commit()
    assert len(made.units(State.WAITING)) == 2
    made.end()
    made.fallback.bring_back()
    assert made.units() == []
    assert made.rows(Count.__table__) == [(1, 2), (2, 0)]


def test_one_that_cannot_go_behind_them_is_to_be_repeated(made: Circle) -> None:
    with made.session() as older:
        older.execute(text("UPDATE counts SET n = 2 WHERE id = 1"))
        made.begin()
        made.run(_put(1))
        made.of.warehouse.faults.clear()
        with pytest.raises(OperationalError, match="would pass them") as raised:
            older.commit()
    assert isinstance(raised.value.orig, dbapi.ConflictError)
    made.end()
    made.fallback.bring_back()
    assert made.rows(Count.__table__) == [(1, 1), (2, 0)]


def _leave_in_doubt(made: Circle) -> None:
    """A unit whose statement was lost, and whose fate nobody tells."""
    made.of.inject(
        Fault.history_hidden(times=100),
        Fault.reset("before", statement="UPDATE|MERGE"),
        Fault.reset("before", times=10**6),
    )
    made.run(_put(1))
    made.end()
    made.fallback.bring_back()
    assert len(made.units(State.IN_DOUBT)) == 1


def test_rows_of_a_unit_in_doubt_are_not_written_before_it(made: Circle) -> None:
    _leave_in_doubt(made)
    with made.session() as session:
        _put(2)(session)
        with pytest.raises(OperationalError, match="not known yet") as raised:
            session.commit()
    assert isinstance(raised.value.orig, dbapi.ConflictError)
    assert made.rows(Count.__table__) == [(1, 0), (2, 0)]


def test_one_that_stays_in_doubt_is_parked_and_not_sent_again_unseen(
    made: Circle, monkeypatch: pytest.MonkeyPatch
) -> None:
    _leave_in_doubt(made)
    made.of.inject(Fault.history_hidden(times=100))
    monkeypatch.setattr(replay, "IN_DOUBT_SECONDS", 0.0)
    made.fallback.bring_back()
    (unit,) = made.units()
    assert (unit.state, unit.may_be_there) == (State.PARKED, True)
    with pytest.raises(JournalError, match="with the query tag"):
        made.fallback.journal.retry([unit.seq])
    assert made.rows(Count.__table__) == [(1, 0), (2, 0)]
    made.fallback.journal.retry([unit.seq], not_written=True)
    made.fallback.bring_back()
    assert made.units() == []
    assert made.rows(Count.__table__) == [(1, 1), (2, 0)]


def test_other_tables_are_written_meanwhile(made: Circle) -> None:
    _leave_in_doubt(made)
    made.run(lambda session: session.scalars(select(Count)).all())
    made.run(lambda session: session.add(Other(id=1)))
    assert made.rows(Other.__table__) == [(1,)]


class Other(Base):
    __tablename__ = "others"
    id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
