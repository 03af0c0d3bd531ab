"""What the local warehouse takes of a statement beyond DuckDB, and what many clients get at once.

    python -m bench.answering [--clients 100] [--seconds 10]

1. Each query of the tests' corpus, in this process, after the statements that it needs: the time
   until its rows are there, less what the query in DuckDB's words took in DuckDB. Counted as the
   warehouse's are reading and translating the statement, and rows that it brings along.
2. Clients that ask at once, each with a connection of its own, through the driver: how many answers
   each got, how many errors, and how long the slowest client waited for an answer at the median
   beside the median of all.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

from databricks import sql

from tests.warehouse.corpus import reader
from tests.warehouse.corpus.binding import driver_parameters
from tests.warehouse.corpus.reader import Case
from vinci_code.warehouse import LocalWarehouse
from vinci_code.warehouse.engine import select
from vinci_code.warehouse.engine.session import EngineSession

ROUNDS = 5
"""How often each query is asked: the median counts."""

SEED = 7
ASKED = (
    "SELECT 1",
    "SELECT count(*) FROM numbers WHERE id % 7 = 3",
    "SELECT * FROM numbers WHERE id = 4711",
    "SELECT id % 10 AS digit, sum(id) FROM numbers GROUP BY 1 ORDER BY 1",
)


def main() -> None:
    """Measure both, and print them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--clients", type=int, default=100, help="clients at once (default 100)")
    parser.add_argument("--seconds", type=float, default=10, help="how long they ask (default 10)")
    options = parser.parse_args()
    beyond_duckdb()
    at_once(options.clients, options.seconds)


# --- a statement ----------------------------------------------------------------------------------


def beyond_duckdb() -> None:
    """Print what the queries of the corpus take beyond DuckDB."""
    found = []
    with LocalWarehouse() as warehouse, duckdb_times() as (within, whole):
        for number, case in enumerate(reader.cases()):
            found += list(_of_case(warehouse, case, f"corpus_{number}", within, whole))
    times = sorted(seconds for seconds, _ in found)
    slowest = sorted(found)[-3:]
    print(f"{len(found)} queries of the corpus, beyond DuckDB's own time")
    print(
        f"    median {statistics.median(times) * 1e3:.2f} ms, p95 "
        f"{statistics.quantiles(times, n=20)[-1] * 1e3:.2f} ms, most {times[-1] * 1e3:.2f} ms"
    )
    for seconds, text in slowest:
        print(f"    {seconds * 1e3:9.2f} ms  {' '.join(text.split())[:80]}")


@contextmanager
def duckdb_times() -> Iterator[tuple[list[float], list[float]]]:
    """While open, each statement notes the seconds of its query in DuckDB, and of all of it."""
    within: list[float] = []
    whole: list[float] = []
    with (
        patch.object(select, "run", _timed(select.run, within)),
        patch.object(EngineSession, "execute", _timed(EngineSession.execute, whole)),
    ):
        yield within, whole


def _timed(function: Callable[..., Any], times: list[float]) -> Callable[..., Any]:
    def timed(*arguments: Any) -> Any:
        begin = time.perf_counter()
        try:
            return function(*arguments)
        finally:
            times.append(time.perf_counter() - begin)

    return timed


def _of_case(
    warehouse: LocalWarehouse, case: Case, schema: str, within: list[float], whole: list[float]
) -> Iterator[tuple[float, str]]:
    """The seconds beyond DuckDB of each query of a case whose statements all succeed."""
    warehouse.sql(f"CREATE SCHEMA {schema}")
    if any(
        step.error_class is not None or step.session != case.steps[0].session for step in case.steps
    ):
        return
    names = {"${catalog}": warehouse.catalog, "${schema}": schema}
    with (
        sql.connect(**{**warehouse.connect_args, "schema": schema}) as connection,
        connection.cursor() as cursor,
    ):
        for step in case.setup + case.steps:
            text, given = step.sql, json.dumps(step.parameters)
            for name, value in names.items():
                text, given = text.replace(name, value), given.replace(name, value)
            bound = driver_parameters(json.loads(given)) if step.parameters is not None else None
            is_query = text.split(None, 1)[0].upper() in ("SELECT", "VALUES", "WITH")
            found = []
            for _ in range(ROUNDS if is_query else 1):
                within.clear()
                whole.clear()
                try:
                    cursor.execute(text, bound)
                except sql.Error:
                    return
                found.append((sum(within), sum(whole)))
            if is_query and all(inside for inside, _ in found):
                yield statistics.median(total - inside for inside, total in found), text


# --- many clients ---------------------------------------------------------------------------------


def at_once(clients: int, seconds: float) -> None:
    """Print what clients that ask at once get."""
    waits: list[list[float]] = [[] for _ in range(clients)]
    errors: list[BaseException] = []
    with LocalWarehouse() as warehouse:
        warehouse.sql("CREATE TABLE numbers AS SELECT id FROM range(10000)")
        begin = threading.Barrier(clients)
        threads = [
            threading.Thread(target=_ask, args=(warehouse, number, seconds, begin, waits, errors))
            for number in range(clients)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    medians = [statistics.median(found) if found else float("inf") for found in waits]
    middle = statistics.median(medians)
    print(f"{clients} clients at once for {seconds:g} s, seed {SEED}")
    print(
        f"    {sum(map(len, waits)):,} answers, {len(errors)} errors, fewest of a client "
        f"{min(map(len, waits))}, most {max(map(len, waits))}\n"
        f"    a client's median wait: {middle * 1e3:.0f} ms, of the slowest client "
        f"{max(medians) * 1e3:.0f} ms, {max(medians) / middle:.2f} times it"
    )
    for error in errors[:3]:
        print(f"    {type(error).__name__}: {str(error)[:200]}")


def _ask(
    warehouse: LocalWarehouse,
    number: int,
    seconds: float,
    begin: threading.Barrier,
    waits: Sequence[list[float]],
    errors: list[BaseException],
) -> None:
    random_ = random.Random(SEED * 1000 + number)
    try:
        with (
            sql.connect(**warehouse.connect_args) as connection,
            connection.cursor() as cursor,
        ):
            begin.wait()
            end = time.perf_counter() + seconds
            while time.perf_counter() < end:
                asked = time.perf_counter()
                cursor.execute(random_.choice(ASKED)).fetchall()
                waits[number].append(time.perf_counter() - asked)
    except (sql.Error, OSError, threading.BrokenBarrierError) as error:
        errors.append(error)
        begin.abort()


if __name__ == "__main__":
    main()
