"""What reading through SQLAlchemy costs, as ratios against peers in the same run.

    python bench/reading.py [--rounds N] [--rows N]

The same rows of the same table of one local warehouse, fetched whole: by the driver's own
``fetchall``, through Core on ``databricks+vinci``, and through Core on the vendor's dialect. The
table has columns of every common type. All sides take turns, so that a busy machine slows each of
them down, and medians are compared; the clock of the process (both ends of the wire run in it) is
beside the wall clock, since it depends less on who else runs.
"""

from __future__ import annotations

import argparse
import gc
import statistics
import time
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import sqlalchemy as sa
from databricks import sql

from vinci_code.warehouse import LocalWarehouse

LIMIT = 1.3
TABLE = """
CREATE TABLE readings AS
SELECT id, CAST(id % 1000 AS INT) AS number, id * 0.5D AS approximate,
       CAST(id * 0.01BD AS DECIMAL(18, 2)) AS amount, concat('name-', id) AS name,
       CASE WHEN id % 10 = 0 THEN NULL ELSE concat('note ', id) END AS note, id % 7 = 0 AS flag,
       date_add(DATE'2000-01-01', CAST(id % 9000 AS INT)) AS day,
       CAST(timestamp_seconds(id) AS TIMESTAMP_NTZ) AS at
FROM range({rows})
"""

readings = sa.Table(
    "readings",
    sa.MetaData(),
    sa.Column("id", sa.BigInteger),
    sa.Column("number", sa.Integer),
    sa.Column("approximate", sa.Double),
    sa.Column("amount", sa.Numeric(18, 2)),
    sa.Column("name", sa.String),
    sa.Column("note", sa.String),
    sa.Column("flag", sa.Boolean),
    sa.Column("day", sa.Date),
    sa.Column("at", sa.DateTime),
)


def main() -> None:
    """Measure, and print medians and ratios."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=7, help="rounds of each side (default 7)")
    parser.add_argument("--rows", type=int, default=100_000, help="rows to read (default 100,000)")
    options = parser.parse_args()
    with LocalWarehouse() as warehouse:
        warehouse.sql(TABLE.format(rows=options.rows))
        ours, vendor = our_engine(warehouse), vendor_engine(warehouse)
        connection = sql.connect(**warehouse.connect_args)
        sides: dict[str, Callable[[], Sequence[Any]]] = {
            "driver, fetchall": lambda: by_driver(connection),
            "databricks+vinci, Core": lambda: by_core(ours),
            "databricks-sqlalchemy, Core": lambda: by_core(vendor),
        }
        check(sides, options.rows)
        print(f"{options.rows:,} rows of {len(readings.c)} columns, {options.rounds} rounds")
        report(take_turns(sides, options.rounds))
        connection.close()
        ours.dispose()
        vendor.dispose()


def our_engine(warehouse: LocalWarehouse, **options: Any) -> sa.Engine:
    """An engine of ours, with some options."""
    return sa.create_engine(
        f"databricks+vinci://{warehouse.host}:{warehouse.port}",
        connect_args={
            "http_path": warehouse.http_path,
            "catalog": warehouse.catalog,
            "schema": warehouse.schema,
            "access_token": warehouse.access_token,
            "_tls_trusted_ca_file": str(warehouse.ca_file),
        },
        **options,
    )


def vendor_engine(warehouse: LocalWarehouse) -> sa.Engine:
    """An engine of the vendor's dialect."""
    arguments = warehouse.connect_args
    url = sa.URL.create(
        "databricks",
        username="token",
        password=arguments.pop("access_token"),
        host=arguments.pop("server_hostname"),
        query={name: arguments.pop(name) for name in ("http_path", "catalog", "schema")},
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return sa.create_engine(url, connect_args=arguments)


def by_driver(connection: Any) -> Sequence[Any]:
    """Read everything with the driver."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT * FROM readings")
        rows: Sequence[Any] = cursor.fetchall()
        return rows


def by_core(engine: sa.Engine) -> Sequence[Any]:
    """Read everything through Core."""
    with engine.connect() as connection:
        return connection.execute(sa.select(readings)).all()


def check(sides: dict[str, Callable[[], Sequence[Any]]], rows: int) -> None:
    """Warm up, and see that all sides read the same."""
    found = {name: sorted(map(tuple, read())) for name, read in sides.items()}
    first, *others = found.values()
    if len(first) != rows or any(other != first for other in others):
        raise SystemExit("The sides do not read the same rows.")


def take_turns(
    sides: dict[str, Callable[[], Sequence[Any]]], rounds: int
) -> dict[str, tuple[list[float], list[float]]]:
    """Seconds of wall clock and of processor of each side, round by round."""
    times: dict[str, tuple[list[float], list[float]]] = {name: ([], []) for name in sides}
    for _ in range(rounds):
        for name, read in sides.items():
            gc.collect()
            wall, processor = time.perf_counter(), time.process_time()
            read()
            times[name][0].append(time.perf_counter() - wall)
            times[name][1].append(time.process_time() - processor)
    return times


def report(times: dict[str, tuple[list[float], list[float]]]) -> None:
    """Print medians, and ratios to the first side."""
    floor: tuple[float, float] | None = None
    for name, (wall, processor) in times.items():
        medians = statistics.median(wall), statistics.median(processor)
        floor = floor or medians
        print(
            f"    {name:<28} wall {medians[0] * 1e3:8.0f} ms  ratio {medians[0] / floor[0]:5.2f}"
            f"    processor {medians[1] * 1e3:8.0f} ms  ratio {medians[1] / floor[1]:5.2f}"
        )
    print(f"    wanted: databricks+vinci at a ratio of at most {LIMIT}")


if __name__ == "__main__":
    main()
