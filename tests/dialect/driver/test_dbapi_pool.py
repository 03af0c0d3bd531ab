"""URLs, and a pool that gives idle sessions back."""

from __future__ import annotations

import gc
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import Engine, create_engine, make_url, text
from sqlalchemy.engine import URL
from sqlalchemy.exc import ArgumentError

from tests.full import part
from tests.patience import PATIENCE_S, wait_until
from vinci_code.core.redaction import redact
from vinci_code.database.dialect.driver.pooling import SessionPool
from vinci_code.database.dialect.driver.urls import create_connect_args, without_credentials
from vinci_code.warehouse.pytest_plugin import TestWarehouse

HOST = "example.cloud.databricks.com"
PATH = "/sql/1.0/warehouses/1234567890abcdef"
TOKEN = "dapi" + "0123456789abcdef" * 2

_BEFORE: dict[str, int] = {}


@pytest.fixture(autouse=True)
def sessions_before(local_warehouse: TestWarehouse) -> None:
    """Other tests share the warehouse, and may have left sessions behind."""
    gc.collect()  # closes what nobody holds any more, before it is counted
    _BEFORE["count"] = local_warehouse.warehouse.session_count


def open_sessions(local_warehouse: TestWarehouse) -> int:
    return local_warehouse.warehouse.session_count - _BEFORE["count"]


def test_a_url_gives_the_drivers_arguments() -> None:
    url = f"databricks+vinci://{HOST}:8443?http_path={PATH}&catalog=main&schema=a%2Fb&timeout=2.5"
    assert create_connect_args(make_url(url)) == {
        "server_hostname": HOST,
        "_port": 8443,
        "http_path": PATH,
        "catalog": "main",
        "schema": "a/b",
        "timeout": 2.5,
    }


def test_a_token_is_taken_out_of_the_url_at_once() -> None:
    url = make_url(f"databricks+vinci://token:{TOKEN}@{HOST}?http_path={PATH}")
    arguments = create_connect_args(url)
    assert arguments["access_token"].get_secret_value() == TOKEN
    assert TOKEN not in repr(arguments)
    assert TOKEN not in redact(f"what was {TOKEN}?")
    kept = without_credentials(url)
    assert kept.render_as_string(hide_password=False) == (
        f"databricks+vinci://{HOST}?http_path=%2Fsql%2F1.0%2Fwarehouses%2F1234567890abcdef"
    )
    assert without_credentials(kept) is kept


@part(3)
@pytest.mark.parametrize(
    "url",
    [
        "databricks+vinci://",
        f"databricks+vinci://{HOST}/catalog?http_path={PATH}",
        f"databricks+vinci://{HOST}?htp_path={PATH}",
        f"databricks+vinci://{HOST}?http_path=a&http_path=b",
        f"databricks+vinci://{HOST}?timeout=soon",
        f"databricks+vinci://me:{TOKEN}@{HOST}?http_path={PATH}",
        f"databricks+vinci://token@{HOST}?http_path={PATH}",
    ],
)
def test_what_means_nothing_in_a_url_is_refused_with_the_form(url: str) -> None:
    with pytest.raises(ArgumentError, match="Accepted is databricks") as caught:
        create_connect_args(make_url(url))
    assert TOKEN not in str(caught.value)


def test_a_url_with_a_token_connects(local_warehouse: TestWarehouse) -> None:
    warehouse = local_warehouse.warehouse
    engine = create_engine(
        f"databricks+vinci://token:{warehouse.access_token}@localhost:{warehouse.port}"
        f"?http_path={warehouse.http_path}&schema={local_warehouse.schema}&catalog=main",
        connect_args={"_tls_trusted_ca_file": str(warehouse.ca_file)},
    )
    try:
        with engine.connect() as connection:
            found = connection.execute(text("SELECT current_schema()")).scalar_one()
        assert found == local_warehouse.schema
    finally:
        engine.dispose()


# --- the pool ------------------------------------------------------------------------------------


class Clock:
    """The time that pools go by, which stands still until a test moves it."""

    def __init__(self) -> None:
        self.now = 1000.0

    def pool_class(self) -> type[SessionPool]:
        """A pool that goes by this clock; its timer goes by the machine's."""

        class Timed(SessionPool):
            def _now(timed) -> float:  # noqa: N805 - the clock is self
                return self.now

        return Timed


MakeEngine = Callable[..., Engine]


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def make_engine(engine_url: URL, engine_args: dict[str, Any], clock: Clock) -> Iterator[MakeEngine]:
    made: list[Engine] = []

    def make(**arguments: Any) -> Engine:
        arguments = {"poolclass": clock.pool_class(), "connect_args": engine_args, **arguments}
        made.append(create_engine(engine_url, **arguments))
        return made[-1]

    yield make
    for engine in made:
        engine.dispose()


def use(engine: Engine, threads: int = 1, *, at_once: bool = True) -> None:
    """Ask in threads, each with a connection; all of them hold one at once if there are enough."""
    meeting = threading.Barrier(threads if at_once else 1)

    def select(_: int) -> None:
        with engine.connect() as connection:
            connection.execute(text("SELECT 1"))
            meeting.wait(timeout=PATIENCE_S)

    with ThreadPoolExecutor(threads) as executor:
        list(executor.map(select, range(threads)))


def pool_of(engine: Engine) -> SessionPool:
    assert isinstance(engine.pool, SessionPool)
    return engine.pool


def will_look(engine: Engine) -> bool:
    """Whether the pool looks for idle sessions again, which this prevents."""
    timer = pool_of(engine)._timer
    if timer is None:
        return False
    timer.cancel()
    return True


def test_idle_sessions_are_given_back_by_themselves(
    make_engine: MakeEngine, local_warehouse: TestWarehouse, clock: Clock
) -> None:
    engine = make_engine(idle_timeout=0.05, pool_size=3)
    use(engine, threads=3)
    assert open_sessions(local_warehouse) == 3
    clock.now += 0.06
    wait_until(lambda: open_sessions(local_warehouse) == 0)
    assert pool_of(engine).checkedin() == 0
    use(engine)
    assert open_sessions(local_warehouse) == 1


def test_a_pool_looks_for_idle_sessions_as_long_as_there_are_any(
    make_engine: MakeEngine, local_warehouse: TestWarehouse, clock: Clock
) -> None:
    engine = make_engine(idle_timeout=300)
    assert not will_look(engine)
    use(engine)
    assert will_look(engine)
    pool_of(engine)._look()
    assert will_look(engine)
    clock.now += 301
    pool_of(engine)._look()
    assert not will_look(engine)
    assert open_sessions(local_warehouse) == 0


def test_a_timer_whose_thread_is_gone_is_replaced(make_engine: MakeEngine) -> None:
    """As in a forked child, which has the timer and not its thread."""
    engine = make_engine(idle_timeout=300)
    use(engine)
    first = pool_of(engine)._timer
    assert first is not None
    use(engine)
    assert pool_of(engine)._timer is first
    first.cancel()
    first.join(PATIENCE_S)
    use(engine)
    second = pool_of(engine)._timer
    assert second is not None
    assert second is not first
    assert second.is_alive()
    assert will_look(engine)


def test_sessions_in_use_are_left_alone_and_the_limit_holds(
    make_engine: MakeEngine, local_warehouse: TestWarehouse, clock: Clock
) -> None:
    engine = make_engine(idle_timeout=300, pool_size=2, max_overflow=0)
    with engine.connect() as connection:
        connection.execute(text("SELECT 1"))
        clock.now += 301
        assert pool_of(engine).give_back_idle() == 0
        assert connection.execute(text("SELECT 2")).scalar_one() == 2
    for _ in range(3):
        use(engine, threads=6, at_once=False)
        assert open_sessions(local_warehouse) <= 2
        clock.now += 301
        assert pool_of(engine).give_back_idle() <= 2
        assert open_sessions(local_warehouse) == 0
    assert [r.operation for r in local_warehouse.requests].count("OpenSession") <= 6


def test_only_those_that_were_idle_for_long_enough_are_given_back(
    make_engine: MakeEngine, local_warehouse: TestWarehouse, clock: Clock
) -> None:
    engine = make_engine(idle_timeout=300, pool_size=2)
    use(engine, threads=2)
    for _ in range(2):
        clock.now += 100
        use(engine)  # the last one in is the first one out: the other one stays idle
    clock.now += 100
    assert pool_of(engine).give_back_idle() == 1
    assert open_sessions(local_warehouse) == 1
    clock.now += 199
    assert pool_of(engine).give_back_idle() == 0
    clock.now += 1
    assert pool_of(engine).give_back_idle() == 1
    assert open_sessions(local_warehouse) == 0


def test_a_pool_can_keep_its_sessions(
    make_engine: MakeEngine, local_warehouse: TestWarehouse
) -> None:
    engine = make_engine(idle_timeout=None)
    use(engine)
    assert pool_of(engine).give_back_idle() == 0
    assert pool_of(engine)._timer is None
    engine.dispose()
    assert open_sessions(local_warehouse) == 0
    use(engine)
    assert pool_of(engine)._idle_timeout is None


def test_a_checkout_sends_nothing(make_engine: MakeEngine, local_warehouse: TestWarehouse) -> None:
    engine = make_engine()
    use(engine)
    local_warehouse.warehouse.clear_requests()
    with engine.connect():
        pass
    with engine.connect():
        pass
    assert local_warehouse.requests == ()


def test_a_disposed_pool_keeps_nothing(
    make_engine: MakeEngine, local_warehouse: TestWarehouse
) -> None:
    engine = make_engine(idle_timeout=300)
    pool = pool_of(engine)
    connection = engine.connect()
    connection.execute(text("SELECT 1")).all()
    engine.dispose()
    connection.close()
    assert (pool.checkedin(), pool._timer) == (0, None)
    assert open_sessions(local_warehouse) == 0
    use(engine)
    assert open_sessions(local_warehouse) == 1
