"""What reading a large result by links (CloudFetch) costs, as ratios in one run.

    python bench/cloud_fetch.py [--rounds N] [--rows N]

The same rows of five columns as Arrow, through the unmodified driver from one local warehouse: by
links, by links without LZ4, and inline; against DuckDB in this process. All of a table is read, and
then a query that computes its rows. All sides take turns, so that a busy machine slows each of them
down, and medians are compared. Both ends of the wire run in this process: the clock of the process
is beside the wall clock, since it depends less on who else runs. Below stands what a round of each
side asks for, and how many bytes it is sent; and what as many bytes cost that are nothing but sent
over TLS and read by the driver's HTTP library: no side that the driver reads can be below that.
"""

from __future__ import annotations

import argparse
import gc
import secrets
import statistics
import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial

import duckdb
import pyarrow as pa
import urllib3
from databricks import sql

from vinci_code.warehouse import LocalWarehouse
from vinci_code.warehouse.faults import RESULT_FILE
from vinci_code.warehouse.wire.result_files import FILE_BYTES
from vinci_code.warehouse.wire.server import HttpAnswer, Server
from vinci_code.warehouse.wire.tls import LoopbackCertificate

WANTED = 0.5
FILES = 5
"""How many files the rows are in, by default."""
COLUMNS = """
SELECT id, id * 0.5D AS price, concat('name-', id) AS name, id % 7 = 0 AS lucky,
       timestamp_seconds(id) AS at
FROM range({rows})
"""
# The same columns and values as DuckDB spells them.
DUCKDB_COLUMNS = """
SELECT range AS id, range * 0.5::DOUBLE AS price, 'name-' || range AS name, range % 7 = 0 AS lucky,
       to_timestamp(range) AS at
FROM range({rows})
"""
SIDES: dict[str, dict[str, object]] = {
    "links": {},
    "links, no LZ4": {"enable_query_result_lz4_compression": False},
    "inline": {"use_cloud_fetch": False},
}

Side = Callable[[], pa.Table]
Times = dict[str, list[tuple[float, float]]]


def main() -> None:
    """Measure, and print medians, ratios and counts."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=7, help="rounds of each side (default 7)")
    parser.add_argument("--rows", type=int, default=1_000_000, help="rows (default 1,000,000)")
    options = parser.parse_args()
    ours, theirs = (text.format(rows=options.rows) for text in (COLUMNS, DUCKDB_COLUMNS))
    with LocalWarehouse() as warehouse, duckdb.connect() as local, ExitStack() as stack:
        local.execute("SET TimeZone = 'UTC'")
        local.execute(f"CREATE TABLE t AS {theirs}")
        warehouse.sql(f"CREATE TABLE t AS {ours}")
        cursors = {
            name: stack.enter_context(
                stack.enter_context(sql.connect(**(warehouse.connect_args | arguments))).cursor()
            )
            for name, arguments in SIDES.items()
        }
        for title, statement, peer in (
            ("a table", "SELECT * FROM t", "SELECT * FROM t"),
            ("a query that computes its rows", ours, theirs),
        ):
            sides: dict[str, Side] = {
                name: partial(by_driver, cursor, statement) for name, cursor in cursors.items()
            }
            sides["DuckDB"] = partial(in_process, local, peer)
            check(sides, options.rows)
            print(f"{options.rows:,} rows of {title}, {options.rounds} rounds")
            report(take_turns(sides, options.rounds))
        counts(warehouse, cursors)
    bytes_alone(options.rounds)


def by_driver(cursor: sql.client.Cursor, statement: str) -> pa.Table:
    """Read everything through the driver."""
    cursor.execute(statement)
    return cursor.fetchall_arrow()


def in_process(local: duckdb.DuckDBPyConnection, statement: str) -> pa.Table:
    """Read everything in this process."""
    return local.sql(statement).to_arrow_table()


def check(sides: dict[str, Side], rows: int) -> None:
    """Warm up, and see that all sides read the same."""
    found = [read() for read in sides.values()]
    sums = {sum(table.column(0).to_pylist()) for table in found}
    if {table.num_rows for table in found} != {rows} or len(sums) != 1:
        raise SystemExit("The sides do not read the same rows.")


def take_turns(sides: dict[str, Side], rounds: int) -> Times:
    """Seconds of wall clock and of processor of each side, round by round."""
    times: Times = {name: [] for name in sides}
    for _ in range(rounds):
        for name, read in sides.items():
            gc.collect()
            wall, processor = time.perf_counter(), time.process_time()
            read()
            times[name].append((time.perf_counter() - wall, time.process_time() - processor))
    return times


def report(times: Times) -> None:
    """Print medians, and the speed of each side against that of DuckDB."""
    middle = {
        name: tuple(statistics.median(column) for column in zip(*found, strict=True))
        for name, found in times.items()
    }
    wall, processor = middle["DuckDB"]
    for name, (seconds, worked) in middle.items():
        print(
            f"    {name:<14} wall {seconds * 1e3:7.0f} ms  speed {wall / seconds:5.2f}"
            f"    processor {worked * 1e3:7.0f} ms  speed {processor / worked:5.2f}"
        )
    print(f"    wanted: links at a speed of at least {WANTED}")


def counts(warehouse: LocalWarehouse, cursors: dict[str, sql.client.Cursor]) -> None:
    """Print the requests of one round of each side, and the bytes of the answers."""
    print("one round of a table")
    for name, cursor in cursors.items():
        warehouse.clear_requests()
        cursor.execute("SELECT * FROM t")
        cursor.fetchall_arrow()
        files = [record for record in warehouse.requests if record.operation == RESULT_FILE]
        sent = sum(record.bytes_out for record in warehouse.requests)
        print(f"    {name:<14} {len(warehouse.requests)} requests, {len(files)} of them for files,")
        print(f"    {'':<14} {sent:,} bytes, {sum(r.bytes_out for r in files):,} of them in files")


def bytes_alone(rounds: int) -> None:
    """Print what the bytes of the files cost over TLS, without an engine, Arrow or LZ4."""
    content = memoryview(secrets.token_bytes(FILE_BYTES))
    certificate = LoopbackCertificate()
    server = Server(lambda _request: HttpAnswer(200, parts=[content]), certificate.context)
    server.start()
    try:
        with urllib3.PoolManager(ca_certs=str(certificate.ca_file)) as http:
            times = []
            for _ in range(rounds):
                gc.collect()
                wall, processor = time.perf_counter(), time.process_time()
                address = f"https://localhost:{server.port}/"
                kept = [http.request("GET", address).data for _ in range(FILES)]
                times.append((time.perf_counter() - wall, time.process_time() - processor))
                del kept
    finally:
        server.stop()
        server.join()
        certificate.close()
    seconds, worked = (statistics.median(column) for column in zip(*times, strict=True))
    print(f"{FILES * FILE_BYTES:,} bytes over TLS alone, one connection")
    print(f"    wall {seconds * 1e3:7.0f} ms    processor {worked * 1e3:7.0f} ms")


if __name__ == "__main__":
    main()
