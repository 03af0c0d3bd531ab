"""What reading as Arrow costs, as ratios against the vendor's own cursor in the same run.

    python bench/read_arrow.py [--rounds N] [--rows N]

The same table of one local warehouse, of five columns that need no conversion: by the vendor's
``fetchall_arrow``, by ``read_arrow``, by ``read_batches``, and as rows through Core. The sides take
turns, and medians are compared. Memory is what a process has grown by at most that reads once and
does nothing else; beside it stands what Arrow's pool has allocated of that: what the driver has
received lies in bytes of Python, and columns that are as they were sent are views of it.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import gc
import multiprocessing
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import sqlalchemy as sa
from databricks import sql

from vinci_code.database import read_arrow, read_batches
from vinci_code.warehouse import LocalWarehouse

LIMIT = 1.1
TABLE = """
CREATE TABLE readings AS
SELECT id, id * 0.5D AS approximate, CAST(id * 0.01BD AS DECIMAL(18, 2)) AS amount,
       concat('name-', id) AS name, CAST(timestamp_seconds(id) AS TIMESTAMP_NTZ) AS at
FROM range({rows})
"""
QUERY = "SELECT id, approximate, amount, name, at FROM readings"

readings = sa.Table(
    "readings",
    sa.MetaData(),
    sa.Column("id", sa.BigInteger),
    sa.Column("approximate", sa.Double),
    sa.Column("amount", sa.Numeric(18, 2)),
    sa.Column("name", sa.String),
    sa.Column("at", sa.DateTime),
)
Connect = dict[str, Any]


def by_vendor(arguments: Connect) -> int:
    """Read everything with the vendor's cursor."""
    with sql.connect(**arguments) as connection, connection.cursor() as cursor:
        cursor.execute(QUERY)
        rows: int = cursor.fetchall_arrow().num_rows
        return rows


def by_table(arguments: Connect) -> int:
    """Read everything as a table."""
    engine = engine_on(arguments)
    rows: int = read_arrow(engine, sa.select(readings)).num_rows
    engine.dispose()
    return rows


def by_batches(arguments: Connect) -> int:
    """Read everything in batches."""
    engine = engine_on(arguments)
    with read_batches(engine, sa.select(readings)) as batches:
        rows: int = sum(batch.num_rows for batch in batches)
    engine.dispose()
    return rows


def by_core(arguments: Connect) -> int:
    """Read everything as rows."""
    engine = engine_on(arguments)
    with engine.connect() as connection:
        rows = len(connection.execute(sa.select(readings)).all())
    engine.dispose()
    return rows


SIDES: dict[str, Callable[[Connect], int]] = {
    "vendor, fetchall_arrow": by_vendor,
    "read_arrow": by_table,
    "read_batches": by_batches,
    "rows, Core": by_core,
}


def main() -> None:
    """Measure, and print medians and ratios."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=5, help="rounds of each side (default 5)")
    parser.add_argument("--rows", type=int, default=1_000_000, help="rows (default 1,000,000)")
    options = parser.parse_args()
    with LocalWarehouse() as warehouse:
        warehouse.sql(TABLE.format(rows=options.rows))
        arguments = warehouse.connect_args
        times: dict[str, list[float]] = {name: [] for name in SIDES}
        for name, read in SIDES.items():
            if read(arguments) != options.rows:
                raise SystemExit(f"{name} does not read all rows.")
        for _ in range(options.rounds):
            for name, read in SIDES.items():
                gc.collect()
                begin = time.perf_counter()
                read(arguments)
                times[name].append(time.perf_counter() - begin)
        memory = {name: peak(name, arguments) for name in SIDES}
    print(f"{options.rows:,} rows of {len(readings.c)} columns, {options.rounds} rounds")
    report(times, memory)


def peak(name: str, arguments: Connect) -> tuple[float, float]:
    """The most that Arrow, and the process, have held while one side was read, in MB."""
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(1, mp_context=context) as pool:
        return pool.submit(peak_here, name, arguments).result()


def peak_here(name: str, arguments: Connect) -> tuple[float, float]:
    """As ``peak``, in this process."""
    before = resident()
    SIDES[name](arguments)
    return pa.default_memory_pool().max_memory() / 1e6, resident() - before


def resident() -> float:
    """The most memory that this process has had so far, in MB; of Linux alone."""
    # Not by getrusage(): what is told there begins with what the parent had.
    status = Path("/proc/self/status").read_text()
    (line,) = (line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) / 1e3


def report(times: dict[str, list[float]], memory: dict[str, tuple[float, float]]) -> None:
    """Print medians, and ratios to the vendor's cursor."""
    floor = statistics.median(times["vendor, fetchall_arrow"])
    _, whole = memory["vendor, fetchall_arrow"]
    for name, seconds in times.items():
        median = statistics.median(seconds)
        print(
            f"    {name:<24} {median * 1e3:8.0f} ms  ratio {median / floor:5.2f}   "
            f"process +{memory[name][1]:7.1f} MB  ratio {memory[name][1] / whole:5.2f}   "
            f"Arrow's pool {memory[name][0]:6.1f} MB"
        )
    ratio = statistics.median(times["read_arrow"]) / floor
    print(f"read_arrow: {'met' if ratio <= LIMIT else 'MISSED'} (at most {LIMIT})")


def engine_on(arguments: Connect) -> sa.Engine:
    """An engine of ours on the warehouse."""
    named = dict(arguments)
    url = sa.URL.create(
        "databricks+vinci",
        host=named.pop("server_hostname"),
        port=named.pop("_port", None),
        query={name: named.pop(name) for name in ("http_path", "catalog", "schema")},
    )
    return sa.create_engine(url, connect_args=named)


if __name__ == "__main__":
    main()
