"""What loading and reading many rows costs, beside peers in the same run.

    python -m bench.bulk [--sizes 1000,100000,1000000] [--latency 0.1] [--rounds N]
        [--sides load,…] [--memory ROWS] [--figures FILE]

Rows of five columns go from Arrow into a table of one local warehouse, and come back as Arrow:

* load: ``vinci_code.database.load``, and ``read_arrow``;
* by hand: the vendor's driver: a Parquet file, ``PUT`` and ``COPY INTO``, which checks no key; and
  ``fetchall_arrow``;
* pandas: ``to_sql`` and ``read_sql`` through the dialect of this package;
* polars: ``write_database`` and ``read_database`` through it;
* dlt: its own destination, where it is installed;
* DuckDB: the same in its own process, with no server: what cannot be undercut.

The sides take turns, so that a busy machine slows each of them down; medians are compared. Requests
and bytes are counts, which depend on no machine. The warehouse runs in a process of its own, and
with ``--memory`` a load and a read of that many rows run in one, too, whose peak is told.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import gc
import importlib
import importlib.util
import json
import multiprocessing
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import sqlalchemy as sa
from databricks import sql

from bench.read_arrow import Connect, engine_on, resident
from vinci_code.database import load, read_arrow, read_batches
from vinci_code.warehouse import LocalWarehouse

VOLUME = "main.default.bulk"
FASTER_THAN_TO_SQL, SLOWER_THAN_BY_HAND, MOST_MEGABYTES = 10.0, 1.3, 300.0
COLUMNS = "id BIGINT, approximate DOUBLE, amount DECIMAL(18, 2), name STRING, at TIMESTAMP_NTZ"
OPTIONS = "TBLPROPERTIES ('delta.feature.catalogManaged' = 'supported')"
QUERY = "SELECT id, approximate, amount, name, at FROM {table}"
AMOUNT = sa.Numeric(18, 2)
CHUNK = 100_000
AT_MOST = {"pandas": 100_000, "polars": 100_000, "dlt": 100_000}
"""Rows beyond which a side that takes minutes is measured only when it is asked for by name."""


class Side:
    """One way in and out.

    Attributes:
        name: What it is called.
        write: Writes a table of Arrow to an empty table.
        read: Reads it, and returns how many rows it has.
    """

    def __init__(
        self, name: str, write: Callable[[Any, str], None], read: Callable[[str], int]
    ) -> None:
        self.name = name
        self.write = write
        self.read = read


def rows_of(count: int, first: int = 0) -> pa.Table:
    """Rows of five columns of common types."""
    con = duckdb.connect()
    try:
        found = con.sql(
            "SELECT id, id * 0.5::DOUBLE AS approximate, "
            "CAST(id * 0.01::DECIMAL(18, 2) AS DECIMAL(18, 2)) AS amount, "
            "'name-' || id AS name, TIMESTAMP '2020-01-01' + to_seconds(id) AS at "
            f"FROM range({first}, {first + count}) AS t(id)"
        )
        return found.to_arrow_table()
    finally:
        con.close()


def table_of(name: str) -> sa.Table:
    """The table as SQLAlchemy knows it, without a key, as the peers have it."""
    return sa.Table(
        name,
        sa.MetaData(),
        sa.Column("id", sa.BigInteger),
        sa.Column("approximate", sa.Double),
        sa.Column("amount", AMOUNT),
        sa.Column("name", sa.String),
        sa.Column("at", sa.DateTime),
    )


def sides(arguments: Connect, engine: sa.Engine, folder: Path) -> Iterator[Side]:
    """Those whose packages are installed."""

    def by_load(rows: pa.Table, name: str) -> None:
        load(engine, table_of(name), rows, volume=VOLUME)

    def by_read_arrow(name: str) -> int:
        return int(read_arrow(engine, sa.select(table_of(name))).num_rows)

    yield Side("load", by_load, by_read_arrow)

    def by_hand(rows: pa.Table, name: str) -> None:
        file = folder / "rows.parquet"
        pq.write_table(rows, file, coerce_timestamps="us")
        # A file of a name that was loaded before would be passed over.
        path = f"/Volumes/{VOLUME.replace('.', '/')}/{name}-{time.monotonic_ns()}.parquet"
        with (
            sql.connect(**arguments, staging_allowed_local_path=str(folder)) as connection,
            connection.cursor() as cursor,
        ):
            cursor.execute(f"PUT '{file}' INTO '{path}' OVERWRITE")
            cursor.execute(f"COPY INTO {name} FROM '{path}' FILEFORMAT = PARQUET")
            cursor.execute(f"REMOVE '{path}'")

    def by_fetchall_arrow(name: str) -> int:
        with sql.connect(**arguments) as connection, connection.cursor() as cursor:
            cursor.execute(QUERY.format(table=name))
            return int(cursor.fetchall_arrow().num_rows)

    yield Side("by hand", by_hand, by_fetchall_arrow)
    if importlib.util.find_spec("pandas"):
        pd: Any = importlib.import_module("pandas")

        yield Side(
            "pandas",
            lambda rows, name: _nothing(
                rows.to_pandas().to_sql(
                    name, engine, index=False, if_exists="append", dtype={"amount": AMOUNT}
                )
            ),
            lambda name: len(pd.read_sql(sa.text(QUERY.format(table=name)), engine)),
        )
    if importlib.util.find_spec("polars"):
        pl: Any = importlib.import_module("polars")

        def by_polars(rows: pa.Table, name: str) -> None:
            options = {"dtype": {"amount": AMOUNT}}
            pl.from_arrow(rows).write_database(
                name, engine, if_table_exists="append", engine_options=options
            )

        yield Side(
            "polars",
            by_polars,
            lambda name: len(pl.read_database(QUERY.format(table=name), engine)),
        )
    held = duckdb.connect(str(folder / "duck.db"))

    def by_duckdb(rows: pa.Table, name: str) -> None:
        held.register("given", rows)
        held.execute(f"CREATE OR REPLACE TABLE {name} AS FROM given")
        held.unregister("given")

    yield Side(
        "DuckDB",
        by_duckdb,
        lambda name: int(held.sql(f"FROM {name}").to_arrow_table().num_rows),
    )


def _nothing(_: object) -> None:
    return None


def main() -> None:
    """Measure, and print medians and ratios."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--sizes", default="1000,10000,100000,1000000", help="rows, with commas")
    parser.add_argument("--latency", type=float, default=0.0, help="seconds of each request")
    parser.add_argument("--rounds", type=int, default=3, help="rounds of each side (default 3)")
    parser.add_argument("--sides", default="", help="these sides alone, however long they take")
    parser.add_argument("--memory", type=int, default=0, help="rows to tell the memory of")
    parser.add_argument("--figures", type=Path, help="write the medians there, as JSON")
    options = parser.parse_args()
    for name in ("pandas", "polars", "dlt"):
        if importlib.util.find_spec(name) is None:
            print(f"{name} is not installed: it is left out")
    wanted = [name for name in options.sides.split(",") if name]
    figures: list[dict[str, Any]] = []
    with served(options.latency) as (arguments, requests), tempfile.TemporaryDirectory() as folder:
        engine = engine_on(arguments)
        for count in [int(size) for size in options.sizes.split(",") if size]:
            figures += measured(
                count, options.rounds, wanted, arguments, engine, Path(folder), requests
            )
        engine.dispose()
        if options.memory:
            told(options.memory, arguments)
    if options.figures:
        text = json.dumps({"latency": options.latency, "figures": figures}, indent=1)
        options.figures.write_text(f"{text}\n", "utf-8")


def measured(
    count: int,
    rounds: int,
    wanted: list[str],
    arguments: Connect,
    engine: sa.Engine,
    folder: Path,
    requests: Callable[[], list[str]],
) -> list[dict[str, Any]]:
    """Measure all sides with so many rows, and print what it has come to."""
    rows = rows_of(count)
    chosen = [
        side
        for side in sides(arguments, engine, folder)
        if (side.name in wanted if wanted else count <= AT_MOST.get(side.name, count))
    ]
    times: dict[str, tuple[list[float], list[float]]] = {side.name: ([], []) for side in chosen}
    asked: dict[str, tuple[int, int]] = {}
    for number in range(rounds + 1):
        for side in chosen:
            name = f"bulk_{side.name.replace(' ', '_').lower()}"
            with sql.connect(**arguments) as connection, connection.cursor() as cursor:
                cursor.execute(f"CREATE OR REPLACE TABLE {name} ({COLUMNS}) {OPTIONS}")
            gc.collect()
            requests()
            begin = time.perf_counter()
            side.write(rows, name)
            between = time.perf_counter()
            written = len(requests())
            again = time.perf_counter()
            found = side.read(name)
            end = time.perf_counter()
            if found != count:
                raise SystemExit(f"{side.name} has read {found:,} rows of {count:,}")
            asked[side.name] = written, len(requests())
            if number or rounds == 1:  # the first is to warm up
                times[side.name][0].append(between - begin)
                times[side.name][1].append(end - again)
        if rounds == 1:
            break
    return _report(count, times, asked)


def _report(
    count: int,
    times: dict[str, tuple[list[float], list[float]]],
    asked: dict[str, tuple[int, int]],
) -> list[dict[str, Any]]:
    print(f"{count:,} rows")
    medians = {
        name: (statistics.median(writes), statistics.median(reads))
        for name, (writes, reads) in times.items()
    }
    first = medians.get("load", next(iter(medians.values())))
    for name, (write, read) in medians.items():
        print(
            f"    {name:<10} in {write:8.3f} s, {write / first[0]:6.2f} of ours, "
            f"{asked[name][0]:4} requests   out {read:8.3f} s, {read / first[1]:6.2f} of ours, "
            f"{asked[name][1]:4} requests"
        )
    if "load" in medians and "by hand" in medians:
        ratio = medians["load"][0] / medians["by hand"][0]
        met = "met" if ratio <= SLOWER_THAN_BY_HAND else "MISSED"
        print(f"    load beside PUT and COPY by hand: {ratio:.2f}, {met} ({SLOWER_THAN_BY_HAND})")
    if "load" in medians and "pandas" in medians:
        ratio = medians["pandas"][0] / medians["load"][0]
        print(f"    to_sql beside load: {ratio:.1f}")
    return [
        {"rows": count, "side": name, "write_s": write, "read_s": read, "requests": asked[name]}
        for name, (write, read) in medians.items()
    ]


# --- memory ---------------------------------------------------------------------------------------


def told(count: int, arguments: Connect) -> None:
    """Print the most memory that a load and a read of so many rows take."""
    with sql.connect(**arguments) as connection, connection.cursor() as cursor:
        cursor.execute(f"CREATE OR REPLACE TABLE bulk_memory ({COLUMNS})")
    for what, work in (("load", loaded), ("read_batches", read)):
        context = multiprocessing.get_context("spawn")
        with concurrent.futures.ProcessPoolExecutor(1, mp_context=context) as pool:
            grown = pool.submit(work, count, arguments).result()
        met = "met" if grown <= MOST_MEGABYTES else "MISSED"
        print(f"{what} of {count:,} rows: +{grown:.0f} MB at most, {met} ({MOST_MEGABYTES:.0f})")


def loaded(count: int, arguments: Connect) -> float:
    """How much this process grows by that loads rows which are made as they are read."""
    schema = rows_of(1).schema
    batches = (
        batch
        for first in range(0, count, CHUNK)
        for batch in rows_of(min(CHUNK, count - first), first).to_batches()
    )
    before = resident()
    engine = engine_on(arguments)
    reader = pa.RecordBatchReader.from_batches(schema, batches)
    load(engine, table_of("bulk_memory"), reader, volume=VOLUME)
    engine.dispose()
    return resident() - before


def read(count: int, arguments: Connect) -> float:
    """How much this process grows by that reads rows in batches."""
    before = resident()
    engine = engine_on(arguments)
    with read_batches(engine, sa.select(table_of("bulk_memory"))) as batches:
        found = sum(batch.num_rows for batch in batches)
    engine.dispose()
    if found != count:
        raise SystemExit(f"{found:,} rows were read of {count:,}")
    return resident() - before


# --- the warehouse --------------------------------------------------------------------------------


@contextmanager
def served(latency: float) -> Iterator[tuple[Connect, Callable[[], list[str]]]]:
    """A warehouse in a process of its own: arguments to connect with, and what it was asked.

    The operations that it was asked for are told once.
    """
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(theirs, latency))
    process.start()

    def requests() -> list[str]:
        ours.send("requests")
        found: list[str] = ours.recv()
        return found

    try:
        yield ours.recv(), requests
    finally:
        ours.send("stop")
        process.join()


def _serve(pipe: Any, latency: float) -> None:
    with LocalWarehouse(latency=latency) as warehouse:
        warehouse.sql(f"CREATE VOLUME {VOLUME}")
        pipe.send({**warehouse.connect_args})
        while pipe.recv() == "requests":
            pipe.send([request.operation for request in warehouse.requests])
            warehouse.clear_requests()


if __name__ == "__main__":
    main()
