"""How long an event loop is held up while statements are slow, beside the same in threads.

    python bench/loop_lag.py [statements]

A task asks for the time again and again; the longest pause between two answers is the lag. It is
measured with nothing to do, with slow statements through ``databricks+vinci_async``, and with as
many that are run in ``asyncio.to_thread`` by ``databricks+vinci``. The warehouse, of which each
answer takes a second, is another process, as a real one would be.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import sys
import time
from collections.abc import Awaitable, Callable
from multiprocessing.connection import Connection
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import create_async_engine

import vinci_code.database.dialect  # noqa: F401 - registers databricks+vinci_async
from vinci_code.warehouse import LocalWarehouse

SLOW_S = 1.0


async def lag_during(work: Callable[[], Awaitable[object]]) -> float:
    """The longest pause of the loop while some work is done, in seconds."""
    longest = 0.0

    async def look() -> None:
        nonlocal longest
        before = time.perf_counter()
        while True:
            await asyncio.sleep(0.001)
            now = time.perf_counter()
            longest, before = max(longest, now - before - 0.001), now

    looking = asyncio.create_task(look())
    await work()
    looking.cancel()
    return longest


def serve(there: Connection) -> None:
    """Serve, in a process of its own, until somebody says something."""
    with LocalWarehouse(latency=SLOW_S) as warehouse:
        there.send(warehouse.connect_args)
        there.recv()


async def measure(given: dict[str, Any], statements: int) -> None:
    """Measure, and print."""
    arguments = {name: given[name] for name in ("access_token", "_tls_trusted_ca_file")}
    url = sa.URL.create(
        "databricks+vinci_async",
        host=given["server_hostname"],
        port=given["_port"],
        query={"http_path": given["http_path"]},
    )
    engine = create_async_engine(url, connect_args=arguments, pool_size=statements)
    plain = sa.create_engine(
        url.set(drivername="databricks+vinci"), connect_args=arguments, pool_size=statements
    )

    async def ask() -> None:
        async with engine.connect() as connection:
            await connection.execute(sa.text("SELECT 1"))

    def ask_plainly() -> None:
        with plain.connect() as connection:
            connection.execute(sa.text("SELECT 1"))

    async def all_of_them() -> None:
        await asyncio.gather(*[ask() for _ in range(statements)])

    async def in_threads() -> None:
        await asyncio.gather(*[asyncio.to_thread(ask_plainly) for _ in range(statements)])

    async def nothing() -> None:
        await asyncio.sleep(SLOW_S)

    # The first time, sessions are opened.
    for name in ("sessions are opened", "sessions are open"):
        for kind, work in (
            ("nothing to do", nothing),
            ("databricks+vinci_async", all_of_them),
            ("threads of asyncio", in_threads),
        ):
            found = await lag_during(work)
            print(f"{name}, {kind}: {found * 1000:.1f} ms")
    await engine.dispose()
    plain.dispose()


def main(statements: int) -> None:
    """Start the warehouse, and measure."""
    spawning = multiprocessing.get_context("spawn")
    here, there = spawning.Pipe()
    serving = spawning.Process(target=serve, args=(there,))
    serving.start()
    try:
        asyncio.run(measure(here.recv(), statements))
    finally:
        here.send("end")
        serving.join()


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 20)
