"""Sessions for asyncio on the configured database."""

from __future__ import annotations

import asyncio
import importlib.util
import threading
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select, text
from sqlalchemy.exc import IntegrityError, InvalidRequestError
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm.exc import StaleDataError

from vinci_code.core.config import reload_settings
from vinci_code.core.errors import (
    ConfigurationError,
    DatabaseFileError,
    MigrationsPendingError,
    MissingExtraError,
)
from vinci_code.database import (
    create_configured_async_engine,
    migrations,
    run_unit_async,
)
from vinci_code.database.async_session import (
    AsyncSessionLocal,
    async_session_scope,
    dispose_async_engine,
    get_async_db,
    get_async_engine,
)
from vinci_code.database.databricks_connector import create_databricks_engine
from vinci_code.database.migrations.runner import upgrade
from vinci_code.database.models import Event
from vinci_code.warehouse.pytest_plugin import TestWarehouse


def event(**fields: object) -> Event:
    return Event(**{"event_type": "t", "source": "s", **fields})


def run(work: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
    """What some work gives; the engine of the process is disposed of."""

    async def main() -> Any:
        try:
            return await work()
        finally:
            await dispose_async_engine()

    return asyncio.run(main())


async def stored() -> int:
    async with AsyncSessionLocal() as session:
        return await session.scalar(select(func.count()).select_from(Event)) or 0


@pytest.fixture
def on_warehouse(local_warehouse: TestWarehouse, monkeypatch: pytest.MonkeyPatch) -> TestWarehouse:
    """The warehouse that the settings name."""
    for name, value in local_warehouse.env.items():
        monkeypatch.setenv(name, value)
    reload_settings()
    return local_warehouse


def test_the_first_session_makes_the_tables() -> None:
    async def work() -> tuple[int, int]:
        async with async_session_scope() as session:
            session.add(event())
            await session.flush()

        async def fail() -> None:
            async with async_session_scope() as session:
                session.add(event())
                raise RuntimeError("on purpose")

        with pytest.raises(RuntimeError, match="on purpose"):
            await fail()
        async for session in get_async_db():
            session.add(event())
        return await stored(), await stored()

    assert run(work) == (1, 1)
    assert Path("vinci.db").exists()


def test_migrations_do_not_run_in_the_thread_of_the_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    """Once, for who comes at the same time; and again where they have failed."""
    ran: list[int] = []
    apply_pending = migrations.apply_pending

    def applied(engine: Any) -> bool:
        ran.append(threading.get_ident())
        if len(ran) == 1:
            raise RuntimeError("on purpose")
        return apply_pending(engine)

    monkeypatch.setattr(migrations, "apply_pending", applied)

    async def work() -> list[int]:
        with pytest.raises(RuntimeError, match="on purpose"):
            await stored()
        return await asyncio.gather(*[stored() for _ in range(3)])

    assert run(work) == [0, 0, 0]
    assert len(ran) == 2
    assert threading.get_ident() not in ran


@pytest.mark.parametrize("url", ["sqlite:///file.db", "sqlite://"])
def test_sqlite_is_what_it_is_without_asyncio(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", url)
    reload_settings()

    async def work() -> None:
        async with AsyncSessionLocal() as session:
            assert await session.scalar(text("PRAGMA foreign_keys")) == 1
            await session.commit()
            session.add(event(event_key="kept"))
            await session.flush()

            async def twice() -> None:
                async with session.begin_nested():
                    session.add(event(event_key="kept"))
                    await session.flush()

            with pytest.raises(IntegrityError):
                await twice()
            await session.commit()
        async with AsyncSessionLocal() as session:
            session.add(event())
            await session.flush()
        async with get_async_engine().begin() as connection:
            raw: Any = (await connection.get_raw_connection()).driver_connection
            assert raw.in_transaction  # by BEGIN, before anything is written
        assert await stored() == 1

    run(work)


def test_a_commit_that_a_listener_stops_leaves_no_transaction() -> None:
    from sqlalchemy import event as events

    async def work() -> None:
        engine = get_async_engine()
        stopping = [True]

        @events.listens_for(engine.sync_engine, "commit")
        def stop(_: object) -> None:
            if stopping:
                raise RuntimeError("on purpose")

        with pytest.raises(RuntimeError, match="on purpose"):
            async with async_session_scope() as session:
                session.add(event())
        stopping.clear()
        assert await stored() == 0

    run(work)


def test_a_folder_that_is_missing_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "sqlite:///missing/file.db")
    reload_settings()
    for make in (get_async_engine, create_configured_async_engine):
        with pytest.raises(DatabaseFileError, match="does not exist"):
            make()


def test_a_file_that_is_none_of_sqlite_is_told() -> None:
    Path("vinci.db").write_bytes(b"no database" * 100)
    with pytest.raises(DatabaseFileError, match="not a database"):
        run(stored)


def test_it_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"aiosqlite and greenlet are not.*install.*async"):
        get_async_engine()


def test_each_loop_has_its_engine() -> None:
    async def twice() -> tuple[int, object]:
        async with async_session_scope() as session:
            session.add(event())
        engine = get_async_engine()

        async def elsewhere() -> None:
            with pytest.raises(InvalidRequestError, match=r"another event loop.*\n.*in each loop"):
                get_async_engine()

        await asyncio.to_thread(lambda: asyncio.run(elsewhere()))
        found = await stored(), engine
        await engine.dispose()
        return found

    first, second = asyncio.run(twice()), run(twice)
    assert (first[0], second[0]) == (1, 2)
    assert first[1] is not second[1]


def test_the_warehouse_has_to_have_the_tables(on_warehouse: TestWarehouse) -> None:
    async def write() -> int:
        with pytest.raises(MigrationsPendingError, match="vinci db upgrade"):
            await stored()
        engine = create_databricks_engine()
        await asyncio.to_thread(upgrade, engine)
        engine.dispose()
        async with async_session_scope() as session:
            session.add_all([event(), event()])
        return await stored()

    assert run(write) == 2


def test_a_fallback_is_refused_before_anything_happens(
    on_warehouse: TestWarehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABRICKS_FALLBACK", "sqlite")
    reload_settings()
    with pytest.raises(ConfigurationError, match=r"DATABRICKS_FALLBACK[\s\S]*to_thread"):
        AsyncSessionLocal()
    assert on_warehouse.requests == ()
    assert list(Path.cwd().iterdir()) == []


def test_a_unit_is_run_again_where_somebody_was_faster() -> None:
    pauses: list[float] = []

    async def pause(seconds: float) -> None:
        pauses.append(seconds)

    async def work() -> tuple[str, int]:
        tries: list[int] = []

        async def unit(session: AsyncSession) -> str:
            tries.append(1)
            session.add(event())
            await session.flush()
            if len(tries) < 3:
                raise StaleDataError("on purpose")
            return "done"

        return await run_unit_async(unit, pause=pause), await stored()

    assert run(work) == ("done", 1)
    assert len(pauses) == 2


def test_a_cancelled_unit_is_not_run_again() -> None:
    async def work() -> int:
        tries: list[int] = []

        async def unit(session: AsyncSession) -> None:
            tries.append(1)
            session.add(event())
            await session.flush()
            await asyncio.Event().wait()

        task = asyncio.create_task(run_unit_async(unit))
        while not tries:
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await stored() == 0
        return len(tries)

    assert run(work) == 1


def test_a_number_of_retries_is_none_below_zero() -> None:
    async def unit(session: AsyncSession) -> None:
        raise AssertionError("it is not called")

    with pytest.raises(ValueError, match="retries=-1"):
        asyncio.run(run_unit_async(unit, retries=-1))
