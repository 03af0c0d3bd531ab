"""How many requests a replay takes, and how much memory: counts, which no load changes."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import BigInteger, Engine, String, func, insert, select
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from tests.fallback.circle import Circle, circle
from tests.full import full
from vinci_code.database.fallback.records import State
from vinci_code.warehouse.pytest_plugin import TestWarehouse


class Base(DeclarativeBase):
    pass


class Row(Base):
    __tablename__ = "rows_of_units"
    id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    text: Mapped[str] = mapped_column(String(100))


class Other(Base):
    __tablename__ = "others_of_units"
    id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    text: Mapped[str] = mapped_column(String(100))


@pytest.fixture
def made(
    local_warehouse: TestWarehouse, connected: Callable[..., Engine], tmp_path: Path
) -> Iterator[Circle]:
    with circle(local_warehouse, connected(), tmp_path / "standby.db", Base.metadata) as found:
        yield found


def _journaled(made: Circle, tables: list[Any], first: int, count: int) -> None:
    """Commit units of one row each, as applications do; each its own transaction."""
    with made.fallback.standby.connect() as connection:
        # What is synced is not the matter here.
        raw: Any = connection.connection.dbapi_connection
        raw.execute("PRAGMA synchronous = OFF")
        for key in range(first, first + count):
            table = tables[key % len(tables)]
            connection.execute(insert(table), [{"id": key, "text": f"row {key}"}])
            connection.commit()


def _sent_by(made: Circle, do: Callable[[], object]) -> int:
    made.of.warehouse.clear_requests()
    do()
    return len(made.of.requests)


@full
@pytest.mark.slow
def test_ten_thousand_units_take_few_requests(made: Circle) -> None:
    made.begin()
    _journaled(made, [Row.__table__], 0, 10_000)
    assert made.fallback.state().waiting == 10_000
    made.end()
    requests = _sent_by(made, made.fallback.bring_back)
    print(f"{requests} requests, {len(made.of.statements)} statements")
    assert made.fallback.state().waiting == 0 == made.fallback.state().parked
    assert requests <= 60
    assert [row[0] for row in made.rows(Row.__table__)] == list(range(10_000))


@full
@pytest.mark.slow
def test_units_in_conflict_take_few_more_requests(made: Circle) -> None:
    """One of a hundred is found by halves."""
    made.begin()
    _journaled(made, [Row.__table__], 0, 2_000)
    made.of.warehouse.faults.clear()
    taken = range(37, 2_000, 100)
    values = ", ".join(f"({key}, 'taken')" for key in taken)
    made.of.warehouse.sql(f"INSERT INTO {made.of.schema}.{Row.__tablename__} VALUES {values}")
    made.end()
    requests = _sent_by(made, made.fallback.bring_back)
    print(f"{requests} requests for {len(taken)} units in conflict")
    assert [entry.seq - 1 for entry in made.units(State.PARKED)] == list(taken)
    assert made.fallback.state().waiting == 0
    assert requests <= 20 * len(taken)


@pytest.mark.slow
@pytest.mark.parametrize("option", ["auto", "off"])
def test_units_of_two_tables_in_turn_take_few_requests(
    local_warehouse: TestWarehouse,
    without_transactions: TestWarehouse,
    connected: Callable[..., Engine],
    tmp_path: Path,
    option: str,
) -> None:
    """What is on different tables, and does not meet, is not sent one by one."""
    tables = [Row.__table__, Other.__table__]
    counted = []
    for warehouse, name in ((local_warehouse, "with"), (without_transactions, "without")):
        engine = connected(warehouse, transactions=option)
        with circle(warehouse, engine, tmp_path / f"{name}.db", Base.metadata) as made:
            made.begin()
            _journaled(made, tables, 0, 400)
            made.end()
            counted.append(_sent_by(made, made.fallback.bring_back))
            assert made.units() == []
            assert [len(made.rows(table)) for table in tables] == [200, 200]
    print(f"{counted} requests with and without transactions")
    assert max(counted) <= 30


_REPLAY = """
import resource, sys
from pathlib import Path
from sqlalchemy import create_engine
from tests.fallback.test_requests import Base
from vinci_code.database.fallback.fallback import Fallback
url, token, ca, file = sys.argv[1:]
engine = create_engine(url, connect_args={"access_token": token, "_tls_trusted_ca_file": ca})
fallback = Fallback(engine, Path(file), Base.metadata)
done = fallback.bring_back()
assert done.finished and done.error is None, done
print(done.units, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


@full
@pytest.mark.slow
def test_a_hundred_thousand_rows_take_the_memory_of_some(
    made: Circle, engine_url: Any, engine_args: dict[str, str], tmp_path: Path
) -> None:
    """A process that replays ten times as much has no more memory."""
    used = []
    for first, units in ((0, 100), (100, 1_000)):
        made.begin()
        with made.fallback.standby.connect() as connection:
            for unit in range(first, first + units):
                keys = range(unit * 100, unit * 100 + 100)
                rows = [{"id": key, "text": f"{key}:".ljust(90, "x")} for key in keys]
                connection.execute(insert(Row), rows)
                connection.commit()
        made.end()
        url = engine_url.render_as_string(hide_password=False)
        arguments = [url, engine_args["access_token"], engine_args["_tls_trusted_ca_file"]]
        printed = subprocess.run(
            [sys.executable, "-c", _REPLAY, *arguments, str(tmp_path / "standby.db")],
            check=True,
            capture_output=True,
            text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)},
        ).stdout.split()
        assert int(printed[0]) == units
        used.append(int(printed[1]) / 1024)
    print(f"{used[0]:.0f} MB for 10,000 rows, {used[1]:.0f} MB for 100,000")
    assert used[1] - used[0] < 40
    with made.online.connect() as connection:
        assert connection.scalar(select(func.count()).select_from(Row)) == 110_000
