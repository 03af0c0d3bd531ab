"""What a commit costs: statements, bytes and rows a second, beside peers in the same run.

    python -m bench.writes [--sizes 1,100,1000,10000] [--latency 0.1] [--no-peers] [--figures FILE]

ORM inserts, updates and deletes, and an upsert, through ``databricks+vinci``, the vendor's dialect
``databricks-sqlalchemy``, pandas' ``to_sql`` over that dialect with the largest chunks that the
limit of 255 parameters allows, ``executemany`` of the driver, and SQLite; and the floor: one
statement of the same rows and checks, made beforehand and sent by the driver. All of it against one
local warehouse, without and with a latency that each statement waits.

What takes one statement a row is measured with fewer rows where it would take minutes, and scaled:
its statements and bytes grow with the rows, one for one. Such lines carry a ``~``. ``--whole``
measures them in full.
"""

from __future__ import annotations

import argparse
import gc
import json
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from databricks import sql
from sqlalchemy import orm

from bench.reading import our_engine, vendor_engine
from vinci_code.database import upsert
from vinci_code.database.dialect.writes.compared import with_expected
from vinci_code.database.dialect.writes.payload import payloads
from vinci_code.database.dialect.writes.sets import Checks, SetStatement, SetWriter
from vinci_code.warehouse import LocalWarehouse

MAX_PARAMETERS = 255
OURS, FLOOR, SQLITE = "databricks+vinci", "floor: one statement, driver", "SQLite file"
VENDOR, PANDAS, DRIVER = "databricks-sqlalchemy", "pandas.to_sql, vendor", "driver, executemany"
SCALED = "~"
MOST_ROWS = 300
"""Rows of what takes one statement each, where it is not measured whole."""

ROUNDS = 5
"""How often what takes one statement is measured, in turns: of times the shortest is kept, of the
ratio to the floor the median."""

MOST_SECONDS_WAITED = 5.0
"""Latency that is waited for in one measurement, where it is not measured whole."""


class Base(orm.DeclarativeBase):
    """The tables of the benchmark."""


class Sale(Base):
    """A row of common types."""

    __tablename__ = "sale"
    id: orm.Mapped[int] = orm.mapped_column(
        sa.BigInteger().with_variant(sa.Integer(), "sqlite"), primary_key=True, autoincrement=False
    )
    customer: orm.Mapped[str]
    product: orm.Mapped[str]
    amount: orm.Mapped[float] = orm.mapped_column(sa.Double)
    paid: orm.Mapped[bool]
    at: orm.Mapped[datetime]
    note: orm.Mapped[str | None]


@dataclass
class Measured:
    """One measurement.

    Attributes:
        seconds: Wall clock.
        statements: Statements that the warehouse received; ``None`` where there is none.
        size: Bytes of the requests that carried them.
        scaled: Whether it was measured with fewer rows.
        beyond: Seconds of them beyond what SQLAlchemy's unit of work took before anything was sent.
        turns: Those seconds of each turn, and the floor's of the same turn.
    """

    seconds: float
    statements: int | None
    size: int | None
    scaled: bool = False
    beyond: float = 0.0
    turns: list[tuple[float, float]] = field(default_factory=list)

    def times_the_floor(self) -> float:
        """What is beyond SQLAlchemy's unit of work, over the floor: the median of the turns.

        The shortest times of both sides may be of turns in which the machine differed.
        """
        return statistics.median(beyond / floor for beyond, floor in self.turns)

    def times(self, factor: float) -> Measured:
        """The same for more rows, where every row costs the same."""
        if factor == 1:
            return self
        return Measured(
            self.seconds * factor,
            None if self.statements is None else round(self.statements * factor),
            None if self.size is None else round(self.size * factor),
            True,
        )


Results = dict[tuple[str, int, str], Measured]
"""By what is done, how many rows, and who does it."""


def main() -> None:
    """Measure, print the table, and keep what the chart is drawn from."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--sizes", default="1,100,1000,10000", help="rows, with commas between")
    parser.add_argument("--latency", type=float, default=0.1, help="seconds of each statement")
    parser.add_argument("--whole", action="store_true", help="scale nothing; takes very long")
    parser.add_argument(
        "--no-peers",
        dest="peers",
        action="store_false",
        help="the floor and SQLite alone beside it",
    )
    parser.add_argument("--figures", type=Path, help="a file to keep the rates of the chart in")
    options = parser.parse_args()
    sizes = [int(size) for size in options.sizes.split(",")]
    last: Results = {}
    for latency in dict.fromkeys((0.0, options.latency)):
        with LocalWarehouse(latency=latency) as warehouse, tempfile.TemporaryDirectory() as folder:
            bench = Bench(warehouse, Path(folder), latency, options.whole, options.peers)
            results = bench.run(sizes)
            bench.close()
        print(f"\nLatency of a statement: {latency * 1000:.0f} ms")
        report(results)
        last = results
    if options.figures is not None:
        kept = figures(last, max(sizes), options.latency)
        options.figures.write_text(kept, encoding="utf-8")


class Bench:
    """Runs every side against one warehouse."""

    def __init__(
        self, warehouse: LocalWarehouse, folder: Path, latency: float, whole: bool, peers: bool
    ) -> None:
        self._warehouse = warehouse
        self._latency = latency
        self._whole = whole
        self._peers = peers
        self._ours, self._vendor = our_engine(warehouse), vendor_engine(warehouse)
        self._sqlite = sa.create_engine(f"sqlite:///{folder / 'bench.db'}")
        self._driver = sql.connect(**warehouse.connect_args)

    def close(self) -> None:
        """Close every connection."""
        self._driver.close()
        for engine in (self._ours, self._vendor, self._sqlite):
            engine.dispose()

    def run(self, sizes: Sequence[int]) -> Results:
        """Measure each side with each number of rows."""
        results: Results = {}
        Base.metadata.create_all(self._sqlite)
        Base.metadata.create_all(self._ours)
        self._orm(self._ours, OURS, 1, {})  # imports, compiled statements, a session
        self._orm(self._sqlite, SQLITE, 1, {})
        for size in sizes:
            for _ in range(ROUNDS):
                found: Results = {}
                self._orm(self._ours, OURS, size, found)
                self._floor(size, found)
                self._orm(self._sqlite, SQLITE, size, found)
                keep_best(results, found)
            if self._peers:
                self._one_by_one(size, results)
        self._upserts(max(sizes), results)
        return results

    # --- sides ----------------------------------------------------------------------------------

    def _orm(self, engine: sa.Engine, side: str, size: int, results: Results) -> None:
        """Insert, change and delete objects, each in one commit."""
        self._empty(engine)
        with orm.Session(engine, expire_on_commit=False) as session:
            session.add_all(sales(size))
            results["insert", size, side] = self._committed(session)
            objects = list(session.scalars(sa.select(Sale).order_by(Sale.id)))
            for item in objects:
                item.note, item.amount = "changed", item.amount + 1
            results["update", size, side] = self._committed(session)
            for item in objects:
                session.delete(item)
            results["delete", size, side] = self._committed(session)

    def _committed(self, session: orm.Session) -> Measured:
        flushed = 0.0

        def commit() -> None:
            nonlocal flushed
            begin = time.perf_counter()
            session.flush()
            flushed = time.perf_counter() - begin
            session.commit()

        measured = self._measured(commit)
        measured.beyond = measured.seconds - flushed
        return measured

    def _floor(self, size: int, results: Results) -> None:
        """Send what our commit sends, made beforehand, with the driver alone."""
        self._empty(self._ours)
        for what, statements in floor_statements(self._ours, size):
            # As our commit does, so that several statements are all-or-nothing.
            begin, end = (["BEGIN TRANSACTION"], ["COMMIT"]) if len(statements) > 1 else ([], [])

            def send(
                statements: Sequence[SetStatement] = statements,
                begin: Sequence[str] = begin,
                end: Sequence[str] = end,
            ) -> None:
                with self._driver.cursor() as cursor:
                    for text in begin:
                        cursor.execute(text)
                    for item in statements:
                        cursor.execute(item.text, list(item.parameters) or None)
                    for text in end:
                        cursor.execute(text)

            results[what, size, FLOOR] = self._measured(send)

    def _one_by_one(self, size: int, results: Results) -> None:
        """Who sends a statement for each row, or for each chunk."""
        rows = self._fewer(size)
        factor = size / rows
        found: Results = {}
        self._orm(self._vendor, VENDOR, rows, found)
        self._executemany(rows, found)
        for (what, _, side), measured in found.items():
            results[what, size, side] = measured.times(factor)
        chunk = MAX_PARAMETERS // len(Sale.__table__.columns)
        rows = min(size, self._fewer(-(-size // chunk)) * chunk)
        results["insert", size, PANDAS] = self._pandas(rows, chunk).times(size / rows)

    def _executemany(self, rows: int, results: Results) -> None:
        self._empty(self._ours)
        parameters = [tuple(values(item).values()) for item in sales(rows)]
        names = ", ".join(values(Sale()))
        marks = ", ".join("?" * len(values(Sale())))

        def send() -> None:
            with self._driver.cursor() as cursor:
                cursor.executemany(f"INSERT INTO sale ({names}) VALUES ({marks})", parameters)

        results["insert", rows, DRIVER] = self._measured(send)

    def _pandas(self, rows: int, chunk: int) -> Measured:
        import pandas as pd  # type: ignore[import-untyped,unused-ignore]

        self._empty(self._ours)
        frame = pd.DataFrame([values(item) for item in sales(rows)])

        def send() -> None:
            frame.to_sql(
                "sale",
                self._vendor,
                if_exists="append",
                index=False,
                chunksize=chunk,
                method="multi",
            )

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return self._measured(send)

    def _upserts(self, size: int, results: Results) -> None:
        """Half of the rows are there already."""
        for engine, side in ((self._ours, OURS), (self._sqlite, SQLITE)):
            self._empty(engine)
            listed = [values(item) for item in sales(size)]
            with orm.Session(engine) as session:
                session.execute(upsert(Sale, listed[: size // 2], keys=["id"]))
                session.commit()

                def send(session: orm.Session = session, rows: Any = listed) -> None:
                    session.execute(upsert(Sale, rows, keys=["id"]))
                    session.commit()

                results["upsert", size, side] = self._measured(send)

    # --- how ------------------------------------------------------------------------------------

    def _fewer(self, statements: int) -> int:
        """How many statements are measured."""
        if self._whole:
            return statements
        most = MOST_ROWS if not self._latency else int(MOST_SECONDS_WAITED / self._latency)
        return min(statements, most)

    def _empty(self, engine: sa.Engine) -> None:
        if engine is self._sqlite:
            with engine.begin() as connection:
                connection.execute(sa.delete(Sale))
        else:
            self._warehouse.sql("DELETE FROM sale")

    def _measured(self, work: Callable[[], object]) -> Measured:
        gc.collect()
        # Both ends of the wire run in this process: what one has in memory shall not be walked
        # through for the other's garbage.
        gc.freeze()
        before = len(self._warehouse.requests)
        begin = time.perf_counter()
        work()
        seconds = time.perf_counter() - begin
        gc.unfreeze()
        sent = [item for item in self._warehouse.requests[before:] if item.statement is not None]
        if not sent:
            return Measured(seconds, None, None)
        return Measured(seconds, len(sent), sum(item.bytes_in for item in sent))


def keep_best(results: Results, found: Results) -> None:
    """Add the measurements of a turn; of two of the same the shorter times."""
    for (what, size, side), measured in found.items():
        if side == OURS:
            measured.turns = [(measured.beyond, found[what, size, FLOOR].seconds)]
        before = results.get((what, size, side))
        if before is not None:
            measured.beyond = min(measured.beyond, before.beyond)
            measured.seconds = min(measured.seconds, before.seconds)
            measured.turns = [*before.turns, *measured.turns]
        results[what, size, side] = measured


def sales(count: int) -> list[Sale]:
    """Objects to insert."""
    start = datetime(2024, 1, 1)  # noqa: DTZ001 - a column without a time zone
    return [
        Sale(
            id=number + 1,
            customer=f"customer {number % 97}",
            product=f"product {number % 13}",
            amount=number / 7,
            paid=number % 2 == 0,
            at=start + timedelta(seconds=number),
            note=None if number % 3 else "a note on this sale",
        )
        for number in range(count)
    ]


def values(item: Sale) -> dict[str, Any]:
    """The values of an object by the names of its columns."""
    return {column.key: getattr(item, column.key) for column in sa.inspect(Sale).columns}


def floor_statements(engine: sa.Engine, size: int) -> Iterable[tuple[str, Sequence[SetStatement]]]:
    """What our commits send, as they would be written by hand."""
    table: Any = Sale.__table__
    rows = [tuple(values(item).values()) for item in sales(size)]
    key: sa.BindParameter[Any] = sa.bindparam("key")
    changes = sa.update(table).where(table.c.id == key)
    kinds: dict[str, tuple[Any, list[str], list[Any]]] = {
        "insert": (sa.insert(table), [column.key for column in table.c], rows),
        "update": (changes, ["note", "amount"], [(row[3] + 1, "changed", row[0]) for row in rows]),
        "delete": (sa.delete(table).where(table.c.id == key), [], [(row[0],) for row in rows]),
    }
    for what, (statement, names, given) in kinds.items():
        compiled: Any = statement.compile(dialect=engine.dialect, column_keys=names)
        shape = compiled.shape
        checks = Checks(matched=what == "update")
        if what == "update":
            # Our commit makes sure as well that nobody has changed what was loaded.
            shape = compiled.shape_with_loaded
            given = with_expected(
                shape, given, [{"note": row[6], "amount": row[3]} for row in rows]
            )
        begin, made = 0, []
        for payload in payloads(given, shape.transports):
            part = given[begin : begin + payload.rows]
            begin += payload.rows
            made.append(SetWriter(shape, checks, engine.dialect, rows=part).statement(payload))
        yield what, made


def report(results: Results) -> None:
    """Print the measurements, each beside ours."""
    print(
        f"{'what':<8}{'rows':>7}  {'who':<30}{'statements':>11}{'kB':>9}{'seconds':>10}"
        f"{'rows/s':>10}{'ours is':>13}"
    )
    for (what, size, side), found in sorted(
        results.items(), key=lambda item: (_ORDER.index(item[0][0]), item[0][1], item[1].seconds)
    ):
        ours = results[what, size, OURS]
        times = found.seconds / ours.seconds
        ratio = "" if side == OURS else f"{times:,.2f} x as fast"
        mark = SCALED if found.scaled else " "
        print(
            f"{what:<8}{size:>7,}  {side:<30}"
            f"{mark + format(found.statements, ',') if found.statements is not None else '-':>11}"
            f"{format(found.size / 1000, ',.0f') if found.size is not None else '-':>9}"
            f"{mark + format(found.seconds, ',.3f'):>10}{size / found.seconds:>10,.0f}{ratio:>18}"
        )

    for what in _ORDER[:3]:
        for size in sorted({rows for done, rows, _ in results if done == what}):
            ours, floor = results[what, size, OURS], results[what, size, FLOOR]
            print(
                f"{what} of {size:,}: {ours.beyond:.3f} s beyond SQLAlchemy's unit of work, "
                f"{ours.times_the_floor():.2f} times the floor (median of the turns; "
                f"{ours.beyond / floor.seconds:.2f} by the shortest times)"
            )


_ORDER = ("insert", "update", "delete", "upsert")


def figures(results: Results, size: int, latency: float) -> str:
    """The rows a second of each side that inserts, as ``python -m scripts.pictures`` reads them."""
    rates = {
        side: round(size / found.seconds)
        for (what, rows, side), found in results.items()
        if what == "insert" and rows == size
    }
    written = {
        "rows": size,
        "latency_ms": round(latency * 1000),
        "rows_a_second": dict(sorted(rates.items(), key=lambda item: -item[1])),
    }
    return json.dumps(written, indent=2) + "\n"


if __name__ == "__main__":
    main()
