"""One migration at a time: threads, and processes that run ``vinci db upgrade``."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import URL, Engine, create_engine, inspect, text

from tests.cli.process import COMMAND, environment, vinci
from tests.full import full
from tests.patience import FOR_LONG_S, PATIENCE_S, wait_until
from vinci_code.database.dialect.alembic import MigrationRunningError, claimed
from vinci_code.database.dialect.migrations import claim as alembic_claim
from vinci_code.database.migrations import VERSION_TABLE
from vinci_code.warehouse.faults import Fault
from vinci_code.warehouse.pytest_plugin import TestWarehouse

CLAIM = "alembic_version_claim"


@pytest.fixture
def another(engine_url: URL, engine_args: dict[str, Any]) -> Iterator[Engine]:
    """An engine of somebody else on the same schema."""
    engine = create_engine(engine_url, connect_args=engine_args)
    yield engine
    engine.dispose()


def is_claimed(engine: Engine) -> bool:
    return inspect(engine).has_table(CLAIM)


def test_a_claim_is_a_table_while_it_lasts(engine: Engine) -> None:
    with claimed(engine):
        assert is_claimed(engine)
    assert not is_claimed(engine)


def test_a_second_one_is_refused_by_the_name_of_the_first(engine: Engine, another: Engine) -> None:
    with claimed(engine):
        with pytest.raises(MigrationRunningError) as caught, claimed(another, wait=0):
            pytest.fail("there are two")
        assert f"process {os.getpid()} on " in str(caught.value)
        assert is_claimed(engine)
        # What the message says to do.
        with another.connect() as connection:
            connection.execute(text(str(caught.value).rpartition(": ")[2]))
        with claimed(another, wait=0):
            pass


def test_one_that_waits_goes_on_when_the_first_is_done(engine: Engine, another: Engine) -> None:
    order: list[str] = []
    waits = threading.Event()

    def second() -> None:
        with claimed(another):
            order.append("second")

    class Logged(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            waits.set()

    logger = logging.getLogger("vinci_code.database.dialect.migrations.claim")
    handler, level = Logged(), logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    thread = threading.Thread(target=second)
    try:
        with claimed(engine):
            thread.start()
            assert waits.wait(PATIENCE_S)
            order.append("first")
        thread.join()
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
    assert order == ["first", "second"]


def test_a_claim_that_is_given_up_just_then_is_free(
    engine: Engine, another: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = claimed(engine)
    ask_whose = alembic_claim._holder

    def ask_too_late(engine: Engine, name: str) -> str | None:
        first.__exit__(None, None, None)
        return ask_whose(engine, name)

    monkeypatch.setattr(alembic_claim, "_holder", ask_too_late)
    first.__enter__()
    with claimed(another, wait=0):
        assert is_claimed(another)


def test_many_are_never_together(engine: Engine) -> None:
    inside, together, done = threading.Semaphore(1), threading.Event(), []

    def migrate() -> None:
        with claimed(engine):
            if not inside.acquire(blocking=False):
                together.set()
            done.append(threading.get_ident())
            inside.release()

    threads = [threading.Thread(target=migrate) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not together.is_set()
    assert len(done) == 4
    assert not is_claimed(engine)


@pytest.mark.parametrize("error", [ValueError("no"), KeyboardInterrupt()])
def test_a_migration_that_fails_gives_its_claim_up(error: BaseException, engine: Engine) -> None:
    with pytest.raises(type(error)), claimed(engine):
        raise error
    assert not is_claimed(engine)


def test_a_claim_that_cannot_be_given_up_hides_no_error(
    engine: Engine, local_warehouse: TestWarehouse, caplog: pytest.LogCaptureFixture
) -> None:
    local_warehouse.inject(Fault.http(403, statement=f"DROP TABLE IF EXISTS {CLAIM}", times=5))
    with pytest.raises(ValueError, match="the reason"), claimed(engine):
        raise ValueError("the reason")
    assert f"DROP TABLE {CLAIM}" in caplog.text
    assert is_claimed(engine)


def test_a_claim_whose_answer_was_lost_is_still_ones_own(
    engine: Engine, local_warehouse: TestWarehouse
) -> None:
    local_warehouse.inject(Fault.reset("after", statement=f"CREATE TABLE {CLAIM}"))
    with claimed(engine, wait=0):
        assert is_claimed(engine)


def test_a_claim_is_in_the_schema_of_its_version_table(
    engine: Engine, local_warehouse: TestWarehouse
) -> None:
    with claimed(engine, version_table="our_versions", schema=local_warehouse.schema):
        assert inspect(engine).has_table("our_versions_claim", schema=local_warehouse.schema)
        with claimed(engine, wait=0):
            pass


# --- processes -----------------------------------------------------------------------------------


def upgrading(local_warehouse: TestWarehouse, folder: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*COMMAND, "db", "upgrade"],
        env=environment(**local_warehouse.env),
        cwd=folder,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )


def revisions(engine: Engine) -> list[str]:
    with engine.connect() as connection:
        found = connection.execute(text(f"SELECT version_num FROM {VERSION_TABLE}"))
        return [version for (version,) in found]


def test_of_two_processes_one_migrates(
    engine: Engine, local_warehouse: TestWarehouse, tmp_path: Path
) -> None:
    # Long enough for both to be there.
    local_warehouse.inject(Fault.delay(1.5, statement="CREATE TABLE", times=2))
    processes = [upgrading(local_warehouse, tmp_path) for _ in range(2)]
    said = sorted(process.communicate(timeout=PATIENCE_S)[0] for process in processes)
    assert said == ["Applied: 0001.\n", "Nothing to apply.\n"]
    assert [process.returncode for process in processes] == [0, 0]
    assert revisions(engine) == ["0001"]
    assert not inspect(engine).has_table(f"{VERSION_TABLE}_claim")


@full
def test_what_a_killed_process_has_left_is_taken_up_when_its_claim_is_dropped(
    engine: Engine, local_warehouse: TestWarehouse, tmp_path: Path
) -> None:
    local_warehouse.inject(Fault.delay(FOR_LONG_S, statement="CREATE TABLE events"))
    with upgrading(local_warehouse, tmp_path) as process:
        wait_until(lambda: any("TABLE events" in s for s in local_warehouse.statements))
        process.send_signal(signal.SIGKILL)
    refused = pytest.raises(MigrationRunningError, match=f"process {process.pid} on")
    with refused, claimed(engine, version_table=VERSION_TABLE, wait=0):
        pytest.fail("there are two")
    with engine.connect() as connection:
        connection.execute(text(f"DROP TABLE {VERSION_TABLE}_claim"))
    assert vinci("db", "upgrade", env=local_warehouse.env).code == 0
    assert revisions(engine) == ["0001"]
