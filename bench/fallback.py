"""What the fallback costs, as ratios of runs that take turns, and requests, which no load changes.

    python bench/fallback.py [--rounds N] [--profile WHAT]

Away: a unit of work on the standby (rows, journal and all, synced) against a plain commit of the
same rows to a SQLite file with the same write-ahead log and the same ``synchronous``; by the ORM
and by Core. Online: a unit with the fallback on against the same with it off. Sides take turns, so
that a busy machine slows each of them down; the shortest times are compared, which others disturb
least. ``--profile`` takes a name of those that are printed, and shows where its time goes.
"""

from __future__ import annotations

import argparse
import cProfile
import gc
import itertools
import logging
import pstats
import statistics
import tempfile
import time
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import orm

from vinci_code.database.fallback.fallback import Fallback
from vinci_code.database.fallback.sessions import RoutedSession
from vinci_code.database.sqlite import create_sqlite_engine
from vinci_code.warehouse import Fault, LocalWarehouse

AWAY_LIMIT, ONLINE_LIMIT = 2.0, 1.03
SIZES = (1, 100, 10_000)

_keys = itertools.count(1)


class Base(orm.DeclarativeBase):
    """The table of the benchmark."""


class Sale(Base):
    """A row of common types."""

    __tablename__ = "sales"
    id: orm.Mapped[int] = orm.mapped_column(
        sa.BigInteger().with_variant(sa.Integer(), "sqlite"), primary_key=True, autoincrement=False
    )
    customer: orm.Mapped[str] = orm.mapped_column(sa.String(50))
    amount: orm.Mapped[float]
    paid: orm.Mapped[bool]
    at: orm.Mapped[datetime]
    note: orm.Mapped[str | None]


def _values() -> dict[str, Any]:
    key = next(_keys)
    return {
        "id": key,
        "customer": f"customer {key % 100}",
        "amount": key * 0.5,
        "paid": key % 3 == 0,
        "at": datetime(2026, 1, 1, 12, 0, key % 60, tzinfo=timezone.utc).replace(tzinfo=None),
        "note": None if key % 10 else f"note {key}",
    }


Work = Callable[[orm.Session, list[dict[str, Any]]], object]


def _by_orm(session: orm.Session, rows: list[dict[str, Any]]) -> None:
    session.add_all([Sale(**row) for row in rows])


def _by_core(session: orm.Session, rows: list[dict[str, Any]]) -> None:
    session.execute(sa.insert(Base.metadata.tables["sales"]), rows)


WORKS: dict[str, Work] = {"ORM": _by_orm, "Core": _by_core}


def _timed(make: Callable[[], orm.Session], work: Work, size: int) -> float:
    rows = [_values() for _ in range(size)]
    began = time.perf_counter()
    with make() as session:
        work(session, rows)
        session.commit()
    return time.perf_counter() - began


def _in_turns(
    sides: list[Callable[[], orm.Session]], work: Work, size: int, rounds: int
) -> list[list[float]]:
    times: list[list[float]] = [[] for _ in sides]
    for make in sides:
        _timed(make, work, size)  # what is made once
    gc.collect()
    gc.freeze()
    gc.disable()
    for number in range(rounds):
        for side in sorted(range(len(sides)), key=lambda at: (at + number) % len(sides)):
            times[side].append(_timed(sides[side], work, size))
    gc.enable()
    gc.unfreeze()
    return times


def _profiled(make: Callable[[], orm.Session], work: Work, size: int, rounds: int) -> None:
    _timed(make, work, size)
    profile = cProfile.Profile()
    profile.enable()
    for _ in range(rounds):
        _timed(make, work, size)
    profile.disable()
    pstats.Stats(profile).sort_stats("cumulative").print_stats(45)
    pstats.Stats(profile).sort_stats("tottime").print_stats(30)


def main() -> None:
    """Measure, and print ratios."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=300, help="rounds of units of one row")
    parser.add_argument("--folder", type=Path, help="where the files are; a folder that is removed")
    parser.add_argument("--profile", help="such as 'away, ORM, 100 rows'")
    options = parser.parse_args()
    logging.disable(logging.CRITICAL)
    with tempfile.TemporaryDirectory(dir=options.folder) as folder, LocalWarehouse() as warehouse:
        _measure(warehouse, Path(folder), options.rounds, options.profile)


def _measure(  # noqa: C901 - one after the other
    warehouse: LocalWarehouse, folder: Path, rounds: int, profiled: str | None
) -> None:
    online, plain_online = (_engine(warehouse) for _ in range(2))
    Base.metadata.create_all(online)
    fallback = Fallback(online, folder / "standby.db", Base.metadata)
    plain = create_sqlite_engine(f"sqlite:///{folder / 'plain.db'}")
    level: Any = fallback.journal.connect()
    (wanted,) = level.execute("PRAGMA synchronous").fetchone()
    level.close()
    sa.event.listen(plain, "connect", _as_the_journal(wanted))
    Base.metadata.create_all(plain)

    def routed() -> orm.Session:
        return RoutedSession(bind=online, fallback=lambda: fallback)

    def on_sqlite() -> orm.Session:
        return orm.Session(plain)

    def without() -> orm.Session:
        return orm.Session(plain_online)

    def show(name: str, sides: list[Callable[[], orm.Session]], limit: float, times: int) -> None:
        _, work, size = name.split(", ")
        rows = int(size.split()[0])
        if profiled is not None:
            if profiled == name:
                _profiled(sides[0], WORKS[work], rows, times)
            return
        found = _in_turns(sides, WORKS[work], rows, times)
        best = [min(side) for side in found]
        medians = [statistics.median(side) for side in found]
        ratio, median = best[0] / best[1], medians[0] / medians[1]
        print(
            f"{name:24} {best[0] * 1000:9.2f} ms against {best[1] * 1000:9.2f} ms: {ratio:5.2f} "
            f"(medians {median:5.2f}), at most {limit}",
            flush=True,
        )

    fallback.place()
    for work in WORKS:
        for size in (1, 100):
            show(
                f"online, {work}, {size} rows", [routed, without], ONLINE_LIMIT, max(1, rounds // 4)
            )
    for make, side in ((routed, "on"), (without, "off")):
        warehouse.clear_requests()
        for _ in range(10):
            _timed(make, _by_orm, 3)
        print(f"10 units with the fallback {side}: {len(warehouse.requests)} requests")
    warehouse.faults.add(Fault.reset("before", times=10**9))
    fallback.went_away(ConnectionError("for the benchmark"))
    standing: Any = fallback.journal.state()
    fallback.journal.set_state(type(standing)("away", standing.since, "", 1, 1e12))
    fallback._known = type(fallback._known)()
    print(f"synchronous = {wanted}, on {folder}")
    for work in WORKS:
        for size in SIZES:
            times = max(5, rounds // max(1, size // 10))
            show(f"away, {work}, {size} rows", [routed, on_sqlite], AWAY_LIMIT, times)
    fallback.dispose()
    for engine in (online, plain_online, plain):
        engine.dispose()


def _as_the_journal(level: int) -> Callable[[Any, Any], None]:
    def connected(connection: Any, _: Any) -> None:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute(f"PRAGMA synchronous = {level}")

    return connected


def _engine(warehouse: LocalWarehouse) -> sa.Engine:
    url = sa.URL.create(
        "databricks+vinci",
        host=warehouse.host,
        port=warehouse.port,
        query={
            "http_path": warehouse.http_path,
            "catalog": warehouse.catalog,
            "schema": warehouse.schema,
        },
    )
    arguments = {
        "access_token": warehouse.access_token,
        "_tls_trusted_ca_file": str(warehouse.ca_file),
    }
    return sa.create_engine(url, connect_args=arguments)


if __name__ == "__main__":
    main()
