"""``databricks+vinci_async``: what a task waits for, and what it does not."""

from __future__ import annotations

import asyncio
import gc
import importlib.util
import threading
import traceback
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import orm
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, IntegrityError, InvalidRequestError, MissingGreenlet
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine
from sqlalchemy.pool import NullPool, QueuePool
from sqlalchemy.util.concurrency import await_only

from tests.dialect.heard import hearing
from tests.patience import wait_until
from vinci_code.core.errors import MissingExtraError
from vinci_code.database.dialect import dberrors
from vinci_code.database.dialect.asynchronous import VinciAsyncDialect
from vinci_code.database.dialect.driver import threads
from vinci_code.database.dialect.units import flushes
from vinci_code.warehouse.faults import HISTORY, Fault
from vinci_code.warehouse.pytest_plugin import TestWarehouse

THREAD = "vinci: a connection"

# How long a statement of the local warehouse takes that is to be cancelled before.
LONG_S = 300.0

Make = Callable[..., AsyncEngine]


class Base(orm.DeclarativeBase):
    pass


class Thing(Base):
    __tablename__ = "thing"

    id: orm.Mapped[int] = orm.mapped_column(primary_key=True)
    name: orm.Mapped[str]


@pytest.fixture
def make(engine_url: sa.URL, engine_args: dict[str, Any]) -> Make:
    """Makes engines on the test's schema; each is disposed of by who makes it."""

    def made(**options: Any) -> AsyncEngine:
        arguments = {**engine_args, **options.pop("connect_args", {})}
        url = engine_url.set(drivername="databricks+vinci_async")
        return create_async_engine(url, connect_args=arguments, **options)

    return made


@pytest.fixture
def tables(local_warehouse: TestWarehouse, engine: sa.Engine) -> None:
    """The tables of the models."""
    Base.metadata.create_all(engine)
    engine.dispose()
    local_warehouse.warehouse.clear_requests()


def run(make: Make, work: Callable[[AsyncEngine], Awaitable[Any]], **options: Any) -> Any:
    """What some work gives with an engine, which leaves nothing behind."""

    async def main() -> Any:
        engine = make(**options)
        try:
            return await work(engine)
        finally:
            await engine.dispose()
            assert threads_left() == []

    return asyncio.run(main())


def threads_left() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == THREAD]


async def until(happened: Callable[[], object], what: str = "what is waited for") -> None:
    """Wait for something as a task, which holds nobody up."""
    await asyncio.to_thread(wait_until, happened, what)


def arrived(warehouse: TestWarehouse, text: str) -> bool:
    return any(text in statement for statement in warehouse.statements)


def count(engine: sa.Engine) -> int:
    with engine.connect() as connection:
        return int(connection.scalar(sa.select(sa.func.count()).select_from(Thing)) or 0)


# --- how it is found -----------------------------------------------------------------------------


def test_both_urls_lead_to_the_dialect() -> None:
    assert make_url("databricks+vinci_async://host").get_dialect() is VinciAsyncDialect
    for name in ("vinci", "vinci_async"):
        engine = create_async_engine(f"databricks+{name}://host?http_path=/sql/1.0/warehouses/1")
        assert isinstance(engine.dialect, VinciAsyncDialect)
        assert engine.dialect.is_async


def test_it_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"greenlet is not installed.*pip install.*async"):
        VinciAsyncDialect.import_dbapi()


def test_a_pool_of_threads_is_refused(make: Make) -> None:
    with pytest.raises(ArgumentError, match="QueuePool"):
        make(poolclass=QueuePool)


def test_without_asyncio_nothing_is_sent(
    local_warehouse: TestWarehouse, engine_url: sa.URL, engine_args: dict[str, Any]
) -> None:
    url = engine_url.set(drivername="databricks+vinci_async")
    engine = sa.create_engine(url, connect_args=engine_args)
    with pytest.raises(MissingGreenlet, match=r"create_async_engine\(\)"):
        engine.connect()
    assert local_warehouse.requests == ()
    assert threads_left() == []


def test_a_creator_is_refused(make: Make) -> None:
    async def connect(engine: AsyncEngine) -> None:
        with pytest.raises(sa.exc.InterfaceError, match="async_creator cannot be used"):
            await engine.connect()

    async def creator() -> Any:
        raise AssertionError("it is not called")

    run(make, connect, async_creator=creator)


# --- what it does --------------------------------------------------------------------------------


@pytest.mark.usefixtures("tables")
def test_a_unit_of_work_is_written_and_read(make: Make, local_warehouse: TestWarehouse) -> None:
    async def work(engine: AsyncEngine) -> tuple[list[str], list[str], int]:
        async with AsyncSession(engine, expire_on_commit=False) as session:
            session.add_all([Thing(name=f"n{number}") for number in range(5)])
            await session.flush()
            assert not arrived(local_warehouse, "INSERT")
            held = list(await session.scalars(sa.select(Thing.name).order_by(Thing.name)))
            await session.commit()
            result = await session.stream_scalars(sa.select(Thing.name).order_by(Thing.name))
            streamed = [name async for name in result]
            changed = await session.execute(
                sa.update(Thing).where(Thing.name > "n2").values(name="new")
            )
            await session.rollback()
            return held, streamed, changed.rowcount  # type: ignore[attr-defined]

    names = [f"n{number}" for number in range(5)]
    assert run(make, work) == (names, names, 2)


@pytest.mark.usefixtures("tables")
def test_rows_are_not_counted_where_that_is_asked_for(
    make: Make, local_warehouse: TestWarehouse
) -> None:
    async def work(engine: AsyncEngine) -> None:
        change = sa.update(Thing).values(name="new")
        async with engine.connect() as connection:
            result = await connection.execute(
                change, execution_options={"preserve_rowcount": False}
            )
            assert local_warehouse.statements == []
            with pytest.raises(MissingGreenlet):
                _ = result.rowcount
            assert await connection.run_sync(lambda _: result.rowcount) == 0

    run(make, work)


@pytest.mark.usefixtures("tables")
def test_errors_tell_what_they_tell_without_asyncio(make: Make) -> None:
    async def work(engine: AsyncEngine) -> sa.exc.ProgrammingError:
        async with AsyncSession(engine) as session:
            session.add(Thing(id=1, name="one"))
            await session.commit()
        async with AsyncSession(engine) as session:
            session.add(Thing(id=1, name="two"))
            with pytest.raises(IntegrityError) as caught:
                await session.commit()
            await session.rollback()
            assert isinstance(caught.value.orig, dberrors.IntegrityError)
            # The session goes on.
            with pytest.raises(sa.exc.ProgrammingError) as missed:
                await session.execute(sa.text("SELECT * FROM missing"))
        return missed.value

    error = run(make, work).orig
    assert isinstance(error, dberrors.ProgrammingError)
    assert (error.sqlstate, error.error_class) == ("42P01", "TABLE_OR_VIEW_NOT_FOUND")
    assert error.statement_id


def test_no_secret_is_in_a_traceback(make: Make) -> None:
    token = "dapi" + "fedcba9876543210" * 2

    async def work(engine: AsyncEngine) -> BaseException:
        try:
            async with engine.connect():
                raise AssertionError("the token is wrong")
        except sa.exc.DBAPIError as error:
            return error

    async def main() -> str:
        engine = make(connect_args={"access_token": token})
        error = await asyncio.create_task(work(engine))
        await engine.dispose()
        shown = traceback.TracebackException.from_exception(error, capture_locals=True)
        assert isinstance(getattr(error, "orig", None), dberrors.AuthenticationFailed)
        return "".join(shown.format())

    text = asyncio.run(main())
    assert "AuthenticationFailed" in text
    assert token not in text


@pytest.mark.usefixtures("tables")
def test_a_flush_is_one_of_its_task(make: Make) -> None:
    """Two tasks flush in one thread, each while the other waits."""
    seen: dict[str, list[int]] = {"a": [], "b": []}

    async def work(engine: AsyncEngine) -> None:
        both = asyncio.Barrier(2) if hasattr(asyncio, "Barrier") else None
        if both is None:
            pytest.skip("asyncio has no Barrier before Python 3.11")

        async def flush(name: str) -> None:
            async with AsyncSession(engine) as session:

                @sa.event.listens_for(session.sync_session, "before_flush")
                def wait(*_: object) -> None:
                    await_only(both.wait())
                    seen[name].append(flushes.number())
                    await_only(both.wait())

                @sa.event.listens_for(session.sync_session, "after_flush")
                def look(*_: object) -> None:
                    seen[name].append(flushes.number())

                session.add(Thing(name=name))
                await session.flush()

        await asyncio.gather(flush("a"), flush("b"))

    run(make, work)
    assert seen["a"][0] != seen["b"][0]


# --- the loop is free ----------------------------------------------------------------------------


def test_a_loop_is_free_while_twenty_statements_are_slow(
    make: Make, local_warehouse: TestWarehouse
) -> None:
    """All of them are under way at one time, and the loop goes on meanwhile."""
    order: list[str] = []

    async def work(engine: AsyncEngine) -> None:
        async def ask(number: int) -> None:
            async with engine.connect() as connection:
                await connection.execute(sa.text(f"SELECT {number}"))
            order.append("answered")

        async def go_on() -> None:
            await until(lambda: len(local_warehouse.statements) == 20, "20 statements at once")
            for _ in range(100):
                await asyncio.sleep(0)
            order.append("went on")
            local_warehouse.warehouse.faults.clear()

        local_warehouse.inject(Fault.slow_poll(5.0, times=20))
        await asyncio.gather(go_on(), *[ask(number) for number in range(20)])

    run(make, work, pool_size=20)
    assert order == ["went on", *["answered"] * 20]


def test_openings_begin_one_after_the_other(monkeypatch: pytest.MonkeyPatch, make: Make) -> None:
    now = [100.0]
    with monkeypatch.context() as patched:
        patched.setattr(threads.time, "monotonic", lambda: now[0])
        openings = threads._Openings()
        first = [openings.delay() for _ in range(3)]
        now[0] += 10 * threads.OPENING_EVERY
        later = openings.delay()
    assert first == pytest.approx([0, threads.OPENING_EVERY, 2 * threads.OPENING_EVERY])
    assert later == 0

    # Each connection that is opened takes its turn.
    delays: list[float] = []
    monkeypatch.setattr(threads._openings, "delay", lambda: delays.append(0) or 0)

    async def ask_at_once() -> None:
        async def ask() -> None:
            async with engine.connect() as connection:
                await connection.execute(sa.text("SELECT 1"))

        await asyncio.gather(*(ask() for _ in range(3)))
        await engine.dispose()

    engine = make(pool_size=3)
    asyncio.run(ask_at_once())
    assert len(delays) == 3


def test_nothing_is_sent_by_the_thread_of_the_loop(make: Make) -> None:
    async def work(engine: AsyncEngine) -> None:
        async with engine.connect() as connection:
            raw = await connection.get_raw_connection()
            opened: Any = raw.driver_connection
            with pytest.raises(dberrors.InterfaceError, match="another thread"):
                opened.cursor().execute("SELECT 1")
            assert await connection.scalar(sa.text("SELECT 1")) == 1

    run(make, work)


# --- cancelling ----------------------------------------------------------------------------------


async def cancelled(task: asyncio.Task[Any]) -> BaseException:
    """Cancel a task, and return what it ends with."""
    task.cancel()
    try:
        await task
    except BaseException as error:  # noqa: BLE001 - a cancellation is none of Exception
        return error
    raise AssertionError("it was not cancelled")


def test_a_cancelled_query_is_cancelled_on_the_warehouse(
    make: Make, local_warehouse: TestWarehouse
) -> None:
    async def work(engine: AsyncEngine) -> None:
        async def ask() -> None:
            async with engine.connect() as connection:
                await connection.execute(sa.text("SELECT 7"))

        local_warehouse.inject(Fault.slow_poll(LONG_S, statement="SELECT 7"))
        task = asyncio.create_task(ask())
        await until(lambda: arrived(local_warehouse, "SELECT 7"))
        assert isinstance(await cancelled(task), asyncio.CancelledError)
        named = [r.operation for r in local_warehouse.requests]
        await until(
            lambda: "CancelOperation" in [r.operation for r in local_warehouse.requests],
            f"the end of the statement, after {named}",
        )
        async with engine.connect() as connection:
            assert await connection.scalar(sa.text("SELECT 8")) == 8

    run(make, work, pool_size=1, max_overflow=0)


def test_a_time_limit_ends_a_query(make: Make, local_warehouse: TestWarehouse) -> None:
    async def work(engine: AsyncEngine) -> None:
        async with engine.connect() as connection:
            await connection.execute(sa.text("SELECT 6"))
            local_warehouse.inject(Fault.slow_poll(LONG_S, statement="SELECT 7"))
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(connection.execute(sa.text("SELECT 7")), 1.0)
            await connection.rollback()
            assert await connection.scalar(sa.text("SELECT 8")) == 8

    run(make, work)


def committing(engine: AsyncEngine) -> asyncio.Task[None]:
    async def commit() -> None:
        async with AsyncSession(engine) as session:
            session.add(Thing(id=1, name="one"))
            await session.commit()

    return asyncio.create_task(commit())


@pytest.mark.usefixtures("tables")
def test_a_cancelled_commit_is_not_written(
    make: Make, local_warehouse: TestWarehouse, engine: sa.Engine
) -> None:
    async def work(engine: AsyncEngine) -> BaseException:
        local_warehouse.inject(Fault.slow_poll(LONG_S, statement="INSERT"))
        task = committing(engine)
        await until(lambda: arrived(local_warehouse, "INSERT"))
        return await cancelled(task)

    error = run(make, work)
    assert isinstance(error, asyncio.CancelledError)
    assert isinstance(error.__cause__, (dberrors.CancelledError, dberrors.WrittenAnyway))
    assert count(engine) == isinstance(error.__cause__, dberrors.WrittenAnyway)


@pytest.mark.usefixtures("tables")
def test_a_commit_that_was_faster_than_its_cancellation_is_told(
    make: Make, local_warehouse: TestWarehouse, engine: sa.Engine
) -> None:
    async def work(engine: AsyncEngine) -> BaseException:
        # It is executed, and answered later.
        local_warehouse.inject(Fault.delay(2.0, operation="ExecuteStatement", statement="INSERT"))
        task = committing(engine)
        await until(lambda: arrived(local_warehouse, "INSERT"))
        return await cancelled(task)

    error = run(make, work)
    assert isinstance(error, asyncio.CancelledError)
    assert isinstance(error.__cause__, dberrors.WrittenAnyway)
    assert count(engine) == 1


@pytest.mark.usefixtures("tables")
@pytest.mark.parametrize("hidden", [False, True])
def test_a_cancelled_commit_without_an_answer_is_found_out(
    make: Make,
    local_warehouse: TestWarehouse,
    engine: sa.Engine,
    monkeypatch: pytest.MonkeyPatch,
    hidden: bool,
) -> None:
    """Where the history does not say, nobody is told that it is not written."""
    monkeypatch.setattr(threads, "CUT_AFTER", 0.2)

    async def work(engine: AsyncEngine) -> BaseException:
        local_warehouse.inject(Fault.delay(8.0, operation="ExecuteStatement", statement="INSERT"))
        if hidden:
            local_warehouse.inject(Fault.http(403, operation=HISTORY, times=1000))
        task = committing(engine)
        await until(lambda: arrived(local_warehouse, "INSERT"))
        return await cancelled(task)

    error = run(make, work)
    if hidden:
        assert isinstance(error, sa.exc.DBAPIError)
        assert isinstance(error.orig, dberrors.AmbiguousWriteError)
    else:
        assert isinstance(error, asyncio.CancelledError)
        assert isinstance(error.__cause__, dberrors.WrittenAnyway)
    assert count(engine) == 1


@pytest.mark.usefixtures("tables")
def test_a_commit_that_waits_is_not_sent_after_its_cancellation(
    make: Make, local_warehouse: TestWarehouse, engine: sa.Engine
) -> None:
    async def work(engine: AsyncEngine) -> BaseException:
        local_warehouse.inject(
            Fault.http(503, retry_after=LONG_S, operation="ExecuteStatement", statement="INSERT")
        )
        task = committing(engine)
        await until(lambda: arrived(local_warehouse, "INSERT"))
        return await cancelled(task)

    error = run(make, work, connect_args={"start_timeout": 2 * LONG_S})
    assert isinstance(error, asyncio.CancelledError)
    assert isinstance(error.__cause__, dberrors.CancelledError)
    assert count(engine) == 0


def test_a_cold_start_is_waited_for_by_nobody_who_was_cancelled(
    make: Make, local_warehouse: TestWarehouse
) -> None:
    waiting: list[object] = []

    async def work(engine: AsyncEngine) -> None:
        local_warehouse.inject(
            Fault.http(503, retry_after=LONG_S, operation="OpenSession", times=1)
        )
        task = asyncio.create_task(connect(engine))
        await until(lambda: waiting, "waiting for the warehouse")
        assert isinstance(await cancelled(task), asyncio.CancelledError)
        assert engine.pool.checkedout() == 0  # type: ignore[attr-defined]

    async def connect(engine: AsyncEngine) -> None:
        async with engine.connect():
            pass

    arguments = {"on_waiting": waiting.append, "start_timeout": 2 * LONG_S}
    run(make, work, connect_args=arguments)
    assert [r.operation for r in local_warehouse.requests].count("OpenSession") == 1


# --- pools, loops and ends -----------------------------------------------------------------------


def test_idle_sessions_are_given_back_without_a_thread(
    make: Make, local_warehouse: TestWarehouse
) -> None:
    gc.collect()
    before = local_warehouse.warehouse.session_count

    async def work(engine: AsyncEngine) -> None:
        async with engine.connect() as connection:
            await connection.execute(sa.text("SELECT 1"))
        await until(lambda: local_warehouse.warehouse.session_count == before, "the session's end")
        assert engine.pool.checkedin() == 0  # type: ignore[attr-defined]

    run(make, work, idle_timeout=0.05)


def test_a_loop_that_ends_leaves_no_thread_and_no_session(
    make: Make, local_warehouse: TestWarehouse
) -> None:
    gc.collect()
    before = local_warehouse.warehouse.session_count
    engine = make()
    kept: list[Any] = []

    async def main() -> int:
        kept.append(await engine.connect())  # it is never closed
        async with engine.connect() as connection:
            found: int = await connection.scalar(sa.text("SELECT 1"))
        return found

    # The engine serves the next loop, too.
    assert [asyncio.run(main()) for _ in range(2)] == [1, 1]
    wait_until(lambda: not threads_left(), "the end of the threads")
    assert local_warehouse.warehouse.session_count == before
    for connection in kept:
        connection.sync_connection.connection.invalidate()
    engine.sync_engine.dispose()


def test_two_loops_at_one_time_are_refused(make: Make) -> None:
    engine, alone = make(), make(poolclass=NullPool)

    async def ask(asked: AsyncEngine) -> int:
        async with asked.connect() as connection:
            found: int = await connection.scalar(sa.text("SELECT 1"))
        return found

    async def main() -> None:
        assert await ask(engine) == await ask(alone) == 1
        with pytest.raises(InvalidRequestError, match=r"two event loops.*\n.*NullPool"):
            await asyncio.to_thread(lambda: asyncio.run(ask(engine)))
        assert await asyncio.to_thread(lambda: asyncio.run(ask(alone))) == 1
        await engine.dispose()
        await alone.dispose()

    asyncio.run(main())
    assert threads_left() == []


@pytest.mark.filterwarnings("ignore:The garbage collector is trying:sqlalchemy.exc.SAWarning")
def test_what_nobody_holds_any_more_ends(make: Make) -> None:
    async def work(engine: AsyncEngine) -> None:
        async def lose() -> None:
            connection = await engine.connect()
            await connection.execute(sa.text("SELECT 1"))

        await asyncio.create_task(lose())
        # Collected again and again: the thread may still hold what it has just done.
        await until(lambda: gc.collect() >= 0 and not threads_left(), "the end of the thread")

    run(make, work)


@pytest.mark.usefixtures("tables")
def test_what_is_sent_is_told_by_every_channel(make: Make, local_warehouse: TestWarehouse) -> None:
    async def work(engine: AsyncEngine) -> None:
        kinds: list[str] = []
        sa.event.listen(engine, "vinci_after_send", lambda sent: kinds.append(sent.kind.value))
        with hearing(engine.sync_engine, local_warehouse) as heard:
            async with AsyncSession(engine, info={"query_tags": {"job": "1"}}) as session:
                session.add(Thing(name="a"))
                await session.flush()
                assert await session.scalar(sa.select(sa.func.count()).select_from(Thing)) == 1
                await session.commit()
                await session.execute(sa.text("SELECT 1"))
        heard.agree()
        assert heard.kinds == kinds == ["read", "commit", "read"]
        assert ["job:1" in tags for _, _, tags in heard.recorded] == [True] * 3

    run(make, work)
