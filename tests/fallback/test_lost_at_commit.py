"""Units of work that ask the database for the present, and lose the warehouse at their commit."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import (
    BigInteger,
    DateTime,
    Engine,
    String,
    bindparam,
    func,
    insert,
    select,
    update,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from tests.fallback.circle import Circle, circle
from vinci_code.database.fallback.records import State
from vinci_code.warehouse import Fault
from vinci_code.warehouse.faults import HISTORY
from vinci_code.warehouse.pytest_plugin import TestWarehouse

# The warehouse says that it does not take the commit.
REFUSED = Fault.http(503, retry_after=600, times=10**6)


class Base(DeclarativeBase):
    pass


class Page(Base):
    __tablename__ = "pages"
    id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    text: Mapped[str] = mapped_column(String(50))
    made: Mapped[dt.datetime] = mapped_column(DateTime, server_default=func.now())
    changed: Mapped[dt.datetime | None] = mapped_column(DateTime, onupdate=func.now())


class Line(Base):
    __tablename__ = "lines"
    id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    text: Mapped[str] = mapped_column(String(50))


LINE: Any = Line.__table__


@pytest.fixture
def made(
    local_warehouse: TestWarehouse, connected: Callable[..., Engine], tmp_path: Path
) -> Iterator[Circle]:
    online = connected(history_timeout=0.5)
    with circle(local_warehouse, online, tmp_path / "standby.db", Base.metadata) as found:
        yield found


def present() -> dt.datetime:
    return dt.datetime.now(dt.timezone.utc).replace(tzinfo=None)


def adds(session: Session) -> None:
    session.add(Page(id=2, text="added"))


def changes(session: Session) -> None:
    page = session.get(Page, 1)
    assert page is not None
    page.text = "changed"


def changes_by_core(session: Session) -> None:
    session.execute(update(Page).where(Page.id == 1).values(text="changed", changed=func.now()))


def adds_by_core(session: Session) -> None:
    session.execute(insert(Page).values(id=3, text="added", changed=func.now()))
    # Of one shape while away, and of two before.
    session.execute(insert(Page).values(id=4, text="given", made=present()))


@pytest.mark.parametrize("work", [adds, changes, changes_by_core, adds_by_core])
def test_it_is_kept_with_the_present(made: Circle, work: Callable[[Session], None]) -> None:
    made.run(lambda session: session.add(Page(id=1, text="there")))
    before = present().replace(microsecond=0)
    with made.session() as session:
        work(session)
        session.flush()
        made.of.inject(REFUSED)
        session.commit()
    after = present()

    assert [unit.state for unit in made.units()] == [State.WAITING]
    with made.session() as session:
        away = pages(session)
        assert "standby" in session.info
    made.end()
    made.fallback.bring_back()

    assert made.units() == []
    with made.session() as session:
        arrived = pages(session)
    written = {key: page for key, page in arrived.items() if key != 1 or page["text"] != "there"}
    assert written
    for key, page in written.items():
        # Row 1 was never copied.
        assert key == 1 or page == away[key]
        moment = page["changed"] or page["made"]
        assert before <= moment <= after


@pytest.mark.parametrize("sets", [1, 2])
def test_rows_in_a_statement_are_kept_with_the_keys_that_were_made(made: Circle, sets: int) -> None:
    made.run(lambda session: session.add(Page(id=1, text="there")))
    with made.session() as session:
        rows = insert(LINE).values([{"text": "a"}, {"text": bindparam("b")}, {"text": "c"}])
        session.connection().execute(rows, [{"b": f"b{number}"} for number in range(sets)])
        made.of.inject(REFUSED)
        session.commit()
    assert [unit.state for unit in made.units()] == [State.WAITING]
    with made.session() as session:
        away = session.execute(select(Line.id, Line.text).order_by(Line.id)).all()
    assert sorted(text for _, text in away) == sorted(["a", "b0", "c", "a", "b1", "c"][: 3 * sets])
    made.end()
    made.fallback.bring_back()
    assert made.units() == []
    assert made.rows(LINE) == list(map(tuple, away))


def test_what_an_object_was_loaded_with_is_still_compared(
    made: Circle, connected: Callable[..., Engine]
) -> None:
    made.run(lambda session: session.add(Page(id=1, text="there")))
    with made.session() as session:
        changes(session)
        made.of.inject(REFUSED)
        session.commit()
    made.of.warehouse.faults.clear()
    with Session(connected()) as other:
        other.execute(update(Page).values(text="somebody else's"))
        other.commit()
    made.end()
    made.fallback.bring_back()

    (unit,) = made.units()
    assert unit.state is State.PARKED
    assert "StaleDataError" in (unit.reason or "")
    assert [row[1] for row in made.rows(Page.__table__)] == ["somebody else's"]


def test_one_whose_answer_was_lost_is_not_sent_again(made: Circle) -> None:
    with made.session() as session:
        adds(session)
        session.flush()
        # It is executed; then nothing answers, and the history neither.
        made.of.inject(
            Fault.reset("after", operation="ExecuteStatement"),
            Fault.http(500, operation=HISTORY, times=10**6),
            Fault.reset("before", times=10**6),
        )
        session.commit()
    (unit,) = made.units()
    assert unit.state is State.IN_DOUBT
    made.end()
    made.fallback.bring_back()

    assert made.units() == []
    assert [row[:2] for row in made.rows(Page.__table__)] == [(2, "added")]


def pages(session: Session) -> dict[int, dict[str, Any]]:
    return {
        row.id: {"text": row.text, "made": row.made, "changed": row.changed}
        for row in session.execute(select(Page.__table__))
    }
