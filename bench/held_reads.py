"""What a SELECT costs that brings along what its unit holds, beside a plain one and a transaction.

    python -m bench.held_reads [--sizes 10,1000,10000] [--latency 0.1] [--rounds N]
        [--kinds inserts,updates,…] [--reads "a stored key",…] [--stored 100000]

A table of 100,000 rows at one local warehouse. Each round of each line holds the same writes twice,
in a unit whose reads bring them along (``held_read_bytes``) and in one that begins a transaction at
its first read, and takes the time of the same SELECT, in turns:

* plain: nothing is held;
* carried: the first read that brings the writes along, and the next, with nothing else held;
* transaction: the first read, which waits for BEGIN and for the writes, and the next.

Of the ratios to the plain SELECT of the same round the medians are printed: by the wall clock, and
by the clock of the process (both ends of the wire run in it), which depends less on who else runs.
Of the statements and the bytes there are counts. What holding the writes takes is the same on both
sides, and is left out.
"""

from __future__ import annotations

import argparse
import gc
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy import orm

from bench.reading import our_engine
from bench.writes import Base, Sale, sales, values
from vinci_code.database import upsert
from vinci_code.warehouse import LocalWarehouse

BYTES = 64_000_000
"""More than any of the units holds: what is measured here is what the limit should be."""

FILL = """
INSERT INTO sale (id, customer, product, amount, paid, at, note)
SELECT id + 1, concat('customer ', id % 97), concat('product ', id % 13), id / 7D, id % 2 = 0,
       CAST(timestamp_seconds(id) AS TIMESTAMP_NTZ), CASE WHEN id % 3 = 0 THEN 'a note' END
FROM range({rows})
"""
MOST_SLOWER = {True: 1.3, False: 2.5}
"""How much slower than the plain SELECT a read may be, with a latency and without."""


class Product(Base):
    """What a sale is joined with."""

    __tablename__ = "product"
    name: orm.Mapped[str] = orm.mapped_column(sa.String(50), primary_key=True)
    price: orm.Mapped[int]


TABLE: Any = Sale.__table__


class Times(NamedTuple):
    """The first read and the next, by the wall clock and by that of the process."""

    first: float
    later: float
    first_processor: float
    later_processor: float

    def over(self, plain: Times) -> Times:
        """The ratios to a plain read."""
        wall, processor = plain.first, plain.first_processor
        return Times(
            self.first / wall,
            self.later / wall,
            self.first_processor / processor,
            self.later_processor / processor,
        )


@dataclass
class Unit:
    """What a unit took, sent and saw."""

    times: Times
    statements: int
    size: int
    seen: Any


@dataclass
class Line:
    """The measurements of one read over one kind of held writes.

    Attributes:
        carried: Of each round, the times of the first read and the next over the plain one, by the
            wall clock and by that of the process.
        transaction: The same of the transaction.
        plain: Seconds of the plain one, by both.
        statements: How many statements the two reads were: carried, and of the transaction.
        size: Bytes of their requests.
    """

    carried: list[Times] = field(default_factory=list)
    transaction: list[Times] = field(default_factory=list)
    plain: list[Times] = field(default_factory=list)
    statements: tuple[int, int] = (0, 0)
    size: tuple[int, int] = (0, 0)


# --- what is written, and what is read ------------------------------------------------------------


def spread(count: int, stored: int, offset: int = 0) -> list[int]:
    """Keys of stored rows from all over the table."""
    step = stored // count
    return [1 + offset + number * step for number in range(count)]


def inserted(count: int, stored: int) -> list[dict[str, Any]]:
    """New rows."""
    rows = list(map(values, sales(count)))
    for row in rows:
        row["id"] += stored
    return rows


def inserts(count: int, stored: int) -> Iterator[tuple[Any, Any]]:
    """New rows alone."""
    yield sa.insert(TABLE), inserted(count, stored)


def updates(count: int, stored: int, offset: int = 0) -> Iterator[tuple[Any, Any]]:
    """Changes by key."""
    change = sa.update(TABLE).where(TABLE.c.id == sa.bindparam("key"))
    keys = spread(count, stored, offset)
    yield change, [{"key": key, "amount": key / 3, "note": "changed"} for key in keys]


def deletes(count: int, stored: int, offset: int = 0) -> Iterator[tuple[Any, Any]]:
    """Deletes by key."""
    gone = sa.delete(TABLE).where(TABLE.c.id == sa.bindparam("key"))
    yield gone, [{"key": key} for key in spread(count, stored, offset)]


def upserts(count: int, stored: int) -> Iterator[tuple[Any, Any]]:
    """Upserts, of which every other finds its row."""
    rows = inserted(count, stored)
    for row in rows[::2]:
        row["id"] = 1 + (row["id"] - stored - 1) * (stored // count)
    yield upsert(Sale, rows, keys=["id"]), None


def condition(count: int, _stored: int) -> Iterator[tuple[Any, Any]]:
    """One change by a condition, however many rows it finds."""
    wanted = TABLE.c.product == "product 3"
    yield sa.update(TABLE).where(wanted).values(amount=TABLE.c.amount + count), None


def mix(count: int, stored: int) -> Iterator[tuple[Any, Any]]:
    """A third of each, and a change by a condition."""
    third = max(1, count // 3)
    yield from inserts(third, stored)
    yield from updates(third, stored)
    yield from deletes(third, stored, 1)
    yield from condition(1, stored)


KINDS: dict[str, Callable[[int, int], Iterator[tuple[Any, Any]]]] = {
    "inserts": inserts,
    "updates": updates,
    "deletes": deletes,
    "upserts": upserts,
    "condition": condition,
    "mix": mix,
}


def reads(stored: int) -> dict[str, Callable[[orm.Session], Sequence[Any]]]:
    """The reads, by what they are called."""
    statements = {
        "a stored key": sa.select(TABLE).where(TABLE.c.id == stored // 2 + 7),
        # Of each kind one that is held: inserted, or changed or deleted.
        "a held key": sa.select(TABLE).where(TABLE.c.id.in_([1, 2, stored + 2])),
        "a filter": sa.select(TABLE).where(TABLE.c.customer == "customer 5"),
        "count": sa.select(sa.func.count()).select_from(TABLE),
        # No sum of what is not exact: it depends on the order of the rows.
        "groups": sa.select(TABLE.c.product, sa.func.count(), sa.func.max(TABLE.c.amount)).group_by(
            TABLE.c.product
        ),
        "a join": sa.select(sa.func.sum(Product.price)).join_from(
            TABLE, Product, Product.name == TABLE.c.product
        ),
        "first ten": sa.select(TABLE).order_by(TABLE.c.amount.desc(), TABLE.c.id).limit(10),
    }

    def run(statement: Any) -> Callable[[orm.Session], Sequence[Any]]:
        return lambda session: session.execute(statement).all()

    return {**{name: run(statement) for name, statement in statements.items()}, "orm": query_added}


def query_added(session: orm.Session) -> Sequence[Any]:
    """Query for an object that was added right before; its flush is a part of it."""
    if session.info.get("writes"):
        session.add(sales(1)[0])
        (item,) = session.new
        item.id = session.info["next"] = session.info.get("next", 10_000_000) + 1
    wanted = session.info.get("next", 10_000_000)
    return session.scalars(sa.select(Sale).where(Sale.id == wanted)).all()


# --- how ------------------------------------------------------------------------------------------


class Bench:
    """Takes turns between the sides."""

    def __init__(self, warehouse: LocalWarehouse, stored: int) -> None:
        self._warehouse = warehouse
        self._stored = stored
        self.carrying = our_engine(warehouse, held_read_bytes=BYTES)
        self._sending = our_engine(warehouse, held_read_bytes=0)
        Base.metadata.create_all(self._sending)
        warehouse.sql(FILL.format(rows=stored))
        warehouse.sql("INSERT INTO product SELECT concat('product ', id), id FROM range(13)")

    def close(self) -> None:
        """Close every connection."""
        self.carrying.dispose()
        self._sending.dispose()

    def line(self, kind: str, count: int, read: Callable[..., Any], rounds: int) -> Line:
        """Measure one read over one kind of writes; the first round is not counted."""
        line = Line()
        writes = list(KINDS[kind](count, self._stored)) if count else []
        for number in range(rounds + 1):
            plain = self._unit(self.carrying, [], read)
            carried = self._unit(self.carrying, writes, read)
            sent = self._unit(self._sending, writes, read)
            if carried.seen != sent.seen:
                raise SystemExit(f"{kind}, {count}: the sides do not read the same.")
            if number:
                line.plain.append(plain.times)
                line.carried.append(carried.times.over(plain.times))
                line.transaction.append(sent.times.over(plain.times))
            line.statements = carried.statements, sent.statements
            line.size = carried.size, sent.size
        return line

    def _unit(
        self, engine: sa.Engine, writes: Sequence[tuple[Any, Any]], read: Callable[..., Any]
    ) -> Unit:
        """Hold the writes, read twice, roll back."""
        with orm.Session(engine, info={"writes": writes}) as session:
            session.connection()
            for statement, rows in writes:
                session.execute(statement, rows)
            before = len(self._warehouse.requests)
            gc.collect()
            gc.freeze()  # what the other end has in memory is not walked through for our garbage
            times = []
            for _ in range(2):
                wall, processor = time.perf_counter(), time.process_time()
                found = read(session)
                times.append((time.perf_counter() - wall, time.process_time() - processor))
            gc.unfreeze()
            requests = [r for r in self._warehouse.requests[before:] if r.statement is not None]
            seen = sorted(repr(tuple(r) if isinstance(r, sa.Row) else values(r)) for r in found)
            session.rollback()
        walls, processors = zip(*times, strict=True)
        size = sum(request.bytes_in for request in requests)
        return Unit(Times(*walls, *processors), len(requests), size, seen)


def main() -> None:
    """Measure, and print a table for each latency."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--sizes", default="10,1000,10000", help="held rows, with commas between")
    parser.add_argument("--latency", type=float, default=0.1, help="seconds of each request")
    parser.add_argument("--rounds", type=int, default=5, help="rounds of each line (default 5)")
    parser.add_argument("--kinds", default=",".join(KINDS), help="kinds of held writes")
    parser.add_argument("--reads", default=",".join(reads(1)), help="kinds of reads")
    parser.add_argument("--stored", type=int, default=100_000, help="stored rows")
    options = parser.parse_args()
    sizes = [int(size) for size in options.sizes.split(",")]
    for latency in dict.fromkeys((0.0, options.latency)):
        with LocalWarehouse(latency=latency) as warehouse:
            bench = Bench(warehouse, options.stored)
            print(f"\n{options.stored:,} stored rows, latency {latency * 1000:.0f} ms", flush=True)
            known = reads(options.stored)
            for kind in options.kinds.split(","):
                for size in [1] if kind == "condition" else sizes:
                    print(f"  {kind}, {size:,}", flush=True)
                    for name in options.reads.split(","):
                        line = bench.line(kind, size, known[name], options.rounds)
                        print(shown(name, line, bool(latency)), flush=True)
            bench.close()


def shown(name: str, line: Line, waits: bool) -> str:
    """A line of the table; what is slower than wanted is marked."""
    plain, carried, sent = map(medians, (line.plain, line.carried, line.transaction))
    slow = max(carried[:2]) > MOST_SLOWER[waits] or (waits and carried.first > sent.first)
    return (
        f"    {name:<13} plain {plain.first * 1e3:5.0f} ms, processor"
        f" {plain.first_processor * 1e3:5.0f} ms   carried {ratios(carried)}"
        f"   transaction {ratios(sent)}   statements {line.statements[0]} / {line.statements[1]}"
        f"   bytes {line.size[0]:,} / {line.size[1]:,}{'   *' if slow else ''}"
    )


def medians(times: Sequence[Times]) -> Times:
    """The median of each."""
    return Times(*map(statistics.median, zip(*times, strict=True)))


def ratios(times: Times) -> str:
    """The first read and the next, by both clocks."""
    return (
        f"{times.first:5.2f} {times.later:5.2f}, processor"
        f" {times.first_processor:5.2f} {times.later_processor:5.2f}"
    )


if __name__ == "__main__":
    main()
