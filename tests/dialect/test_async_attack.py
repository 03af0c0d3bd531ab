"""Many tasks, few connections, and cancellations at random; a warehouse that dies; forks, ends."""

from __future__ import annotations

import asyncio
import os
import random
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import orm
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine

import vinci_code.database.dialect  # noqa: F401 - registers databricks+vinci_async
from tests.client_sockets import closing_those_left
from tests.full import some
from tests.patience import PATIENCE_S, wait_until
from vinci_code.database.dialect import dberrors
from vinci_code.warehouse import LocalWarehouse
from vinci_code.warehouse.faults import Fault
from vinci_code.warehouse.pytest_plugin import TestWarehouse

THREAD = "vinci: a connection"
SEED = int(os.environ.get("VINCI_RANDOM_SEED", "20"))
TASKS = some(200, 60)


class Base(orm.DeclarativeBase):
    pass


class Row(Base):
    __tablename__ = "attacked"

    number: orm.Mapped[int] = orm.mapped_column(primary_key=True, autoincrement=False)


def engine_on(warehouse: LocalWarehouse, schema: str, **options: Any) -> AsyncEngine:
    url = sa.URL.create(
        "databricks+vinci_async",
        host=warehouse.host,
        port=warehouse.port,
        query={
            "http_path": warehouse.http_path,
            "catalog": warehouse.catalog,
            "schema": schema,
        },
    )
    arguments = {
        "access_token": warehouse.access_token,
        "_tls_trusted_ca_file": str(warehouse.ca_file),
        "start_timeout": 5.0,
    }
    return create_async_engine(url, connect_args=arguments, **options)


def threads_left() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == THREAD]


async def write(engine: AsyncEngine, number: int) -> BaseException | None:
    """Write a row; returns what the commit, or what was before it, has raised."""
    session = AsyncSession(engine)
    try:
        await session.scalar(sa.text("SELECT 1"))
        session.add(Row(number=number))
        await session.commit()
    except BaseException as error:  # noqa: BLE001 - a cancellation is none of Exception
        return error
    finally:
        await session.close()
    return None


def told(outcome: BaseException | None) -> str:
    """What a task was told of its row: written, not, or that nobody knows."""
    if outcome is None or isinstance(outcome.__cause__, dberrors.WrittenAnyway):
        return "written"
    original = getattr(outcome, "orig", None)
    if isinstance(original, dberrors.AmbiguousWriteError):
        return "unknown"
    assert isinstance(outcome, (asyncio.CancelledError, sa.exc.DBAPIError)), repr(outcome)
    return "not written"


@pytest.mark.slow
def test_what_cancelled_tasks_are_told_is_true(local_warehouse: TestWarehouse) -> None:
    print(f"seed {SEED}")
    chance = random.Random(SEED)
    # Some are answered late, so that cancellations meet them.
    local_warehouse.inject(
        *(
            Fault.delay(0.3, operation="ExecuteStatement", statement="attacked", skip=3)
            for _ in range(TASKS // 4)
        )
    )
    warehouse = local_warehouse.warehouse

    async def main() -> tuple[list[str], set[int]]:
        engine = engine_on(
            warehouse, local_warehouse.schema, pool_size=5, max_overflow=0, pool_timeout=PATIENCE_S
        )
        async with engine.begin() as connection:
            await connection.run_sync(Base.metadata.create_all)
        tasks = [asyncio.create_task(write(engine, number)) for number in range(TASKS)]

        async def cancel(task: asyncio.Task[Any], seconds: float) -> None:
            await asyncio.sleep(seconds)
            task.cancel()

        cancelling = [
            asyncio.create_task(cancel(task, chance.uniform(0, TASKS / 8)))
            for task in tasks
            if chance.random() < 0.6
        ]
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.gather(*cancelling)
        # The pool lends as many as ever, one to each at one time.
        lent = [await engine.connect() for _ in range(5)]
        assert [await each.scalar(sa.text("SELECT 1")) for each in lent] == [1] * 5
        stored = set(await lent[0].scalars(sa.select(Row.number)))
        for each in lent:
            await each.close()
        await engine.dispose()
        assert threads_left() == []
        return [told(outcome) for outcome in outcomes], stored

    words, stored = asyncio.run(main())
    print(Counter(words))
    for number, word in enumerate(words):
        if word != "unknown":
            assert (number in stored) == (word == "written"), (number, word)
    assert {"written", "not written"} <= set(words)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:unclosed <ssl.SSLSocket:ResourceWarning")
def test_a_warehouse_that_dies_takes_no_task_and_no_thread_with_it(tmp_path: Path) -> None:
    data = tmp_path / "kept.duckdb"
    tasks_at_once = some(60, 20)
    first = LocalWarehouse(data).start()

    async def main() -> list[str]:
        engine = engine_on(
            first,
            "default",
            pool_size=5,
            max_overflow=0,
            pool_timeout=PATIENCE_S,
            history_timeout=1.0,
        )
        async with engine.begin() as connection:
            await connection.run_sync(Base.metadata.create_all)
        tasks = [asyncio.create_task(write(engine, number)) for number in range(tasks_at_once)]
        while sum(task.done() for task in tasks) < tasks_at_once // 4:
            await asyncio.sleep(0.01)
        await asyncio.to_thread(first.close)
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        await engine.dispose()
        assert threads_left() == []
        return [told(outcome) for outcome in outcomes]

    try:
        with closing_those_left():
            words = asyncio.run(main())
    finally:
        first.close()
    with LocalWarehouse(data) as again:

        async def read() -> set[int]:
            engine = engine_on(again, "default")
            async with engine.connect() as connection:
                found = set(await connection.scalars(sa.select(Row.number)))
            await engine.dispose()
            return found

        stored = asyncio.run(read())
    print(Counter(words))
    for number, word in enumerate(words):
        if word != "unknown":
            assert (number in stored) == (word == "written"), (number, word)
    assert {"written", "not written"} <= set(words)


PROGRAM = """
import asyncio, os, sys
import sqlalchemy as sa
from tests.dialect.test_async_attack import engine_on
from vinci_code.warehouse import LocalWarehouse
from vinci_code.warehouse.faults import Fault

async def ask(engine):
    async with engine.connect() as connection:
        return await connection.scalar(sa.text("SELECT 1"))

async def leave(engine):
    connection = await engine.connect()
    kept.append(connection)
    await connection.scalar(sa.text("SELECT 1"))
    asyncio.create_task(connection.execute(sa.text("SELECT 2")))
    await asyncio.sleep(0.1)

kept = []
with LocalWarehouse() as warehouse:
    engine = engine_on(warehouse, "default")
    if sys.argv[1] == "fork":
        assert asyncio.run(ask(engine)) == 1
        child = os.fork()
        if not child:
            # The thread of its parent's connection is not there: it would wait for ever.
            os._exit(0 if asyncio.run(ask(engine)) == 1 else 1)
        assert os.waitpid(child, 0) == (child, 0)
        requests = [request for request in warehouse.requests if request.statement]
        used = {request.session_id for request in requests}
        assert (len(requests), len(used)) == (2, 2), requests
        print("as it should be")
    else:
        warehouse.inject(Fault.slow_poll(300.0, statement="SELECT 2"))
        asyncio.run(leave(engine))
        print("as it should be")
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    "case",
    [
        "exit",
        pytest.param(
            "fork",
            marks=pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork()"),
        ),
    ],
)
def test_a_process_ends_and_a_child_begins_anew(case: str) -> None:
    run = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", PROGRAM, case],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
    )
    assert run.stdout == "as it should be\n", run.stdout + run.stderr
    assert run.returncode == 0, run.stderr


def test_threads_of_a_loop_end_with_it(local_warehouse: TestWarehouse) -> None:
    """Those, too, whose statement is under way when the loop ends."""
    warehouse = local_warehouse.warehouse
    warehouse.inject(Fault.slow_poll(300.0, statement="SELECT 2"))
    engine = engine_on(warehouse, local_warehouse.schema)
    kept: list[Any] = []

    async def main() -> None:
        connection = await engine.connect()
        kept.append(connection)
        kept.append(asyncio.create_task(connection.execute(sa.text("SELECT 2"))))
        await asyncio.to_thread(
            wait_until, lambda: any("SELECT 2" in text for text in warehouse.statements)
        )

    asyncio.run(main())
    assert kept[1].cancelled()
    wait_until(lambda: not threads_left(), "the end of the threads")
    engine.sync_engine.dispose()
