"""A process that is killed in the middle of a load through a volume: all or nothing is there."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError, OperationalError

from tests.cli.process import environment
from tests.database.loading.staging import Staging, all_of, items, numbered
from tests.dialect.held import engine_on
from tests.full import some
from vinci_code.database import load
from vinci_code.database.dialect.dberrors import ConflictError
from vinci_code.database.loading import staged
from vinci_code.database.loading.staged import remove_staged
from vinci_code.warehouse.pytest_plugin import TestWarehouse

SEED = 20_261_201
MODES = ("append", "upsert", "insert_missing", "replace")
BEFORE = numbered(5, 15, "9.00")
ROWS = numbered(0, 40)
MOST_CONFLICTS = 20

# Loads in a process of its own, which ends itself by SIGKILL before or after it sends something for
# the n-th time: to the warehouse or to the storage of its volume. Each is a fork of one that has
# loaded everything. It answers with the wait status, and with how often something was sent.
FORKS = """
import json, os, signal, ssl, sys
from decimal import Decimal
import pyarrow as pa, sqlalchemy as sa
import databricks.sql
from tests.database.loading.staging import items
from vinci_code.database import load
from vinci_code.database.files import parquet as groups
from vinci_code.database.loading import choosing, parquet

choosing.LARGE_JSON_BYTES, parquet.FILE_BYTES, groups.GROUP_ROWS = 0, 1, 20
send, sent = ssl.SSLSocket.send, [0]

def counting(order):
    def counted(self, *given, **named):
        sent[0] += 1
        is_it = sent[0] == order["kill"]
        if is_it and order["when"] == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        done = send(self, *given, **named)
        if is_it:
            os.kill(os.getpid(), signal.SIGKILL)
        return done
    return counted

for line in sys.stdin:
    order = json.loads(line)
    begin, end = os.pipe()
    child = os.fork()
    if child == 0:
        ssl.SSLSocket.send = counting(order)
        engine = sa.create_engine(order["url"], connect_args=order["connect_args"])
        table = items(sa.MetaData())
        amounts = [Decimal(text) for text in order["rows"]["amount"]]
        rows = pa.table({**order["rows"], "amount": amounts})
        done = load(engine, table, rows, mode=order["mode"], volume=order["volume"])
        os.write(end, json.dumps([done.way, sent[0]]).encode())
        os._exit(0)
    _, status = os.waitpid(child, 0)
    os.close(end)
    told = os.read(begin, 1000).decode()
    os.close(begin)
    print(json.dumps([status, json.loads(told) if told else None]), flush=True)
"""


class Loads:
    """The process that forks the loads."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def run(
        self, staging: Staging, engine: sa.Engine, mode: str, kill: int, when: str
    ) -> tuple[int, Any]:
        """Load; return the wait status, and the way and how often something was sent."""
        warehouse = staging.warehouse.warehouse
        names = [column.name for column in items(sa.MetaData()).columns]
        order = {
            "url": engine.url.render_as_string(hide_password=False),
            "connect_args": {
                "access_token": warehouse.access_token,
                "_tls_trusted_ca_file": str(warehouse.ca_file),
            },
            "rows": {
                name: [str(v) if name == "amount" else v for v in values]
                for name, values in zip(names, zip(*ROWS, strict=True), strict=True)
            },
            "mode": mode,
            "volume": staging.volume.path,
            "kill": kill,
            "when": when,
        }
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        status, told = json.loads(self._process.stdout.readline())
        return status, told


@pytest.fixture
def loads() -> Iterator[Loads]:
    with subprocess.Popen(
        [sys.executable, "-c", FORKS],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment(),
    ) as process:
        yield Loads(process)
        assert process.stdin is not None
        process.stdin.close()
        process.wait(30)


@pytest.fixture
def place(local_warehouse: TestWarehouse) -> Iterator[tuple[Staging, sa.Table, sa.Engine]]:
    engine = engine_on(local_warehouse.warehouse, local_warehouse.schema)
    table = items(sa.MetaData())
    table.create(engine)
    yield Staging(local_warehouse), table, engine
    engine.dispose()


def before_of(mode: str) -> list[Any]:
    return [] if mode == "append" else BEFORE


def after_of(mode: str) -> list[Any]:
    """The rows that the table holds in the end."""
    there = {row[0]: row for row in before_of(mode)}
    given = {row[0]: row for row in ROWS}
    if mode == "replace":
        return ROWS
    return sorted(({**there, **given} if mode == "upsert" else {**given, **there}).values())


@pytest.mark.slow
@pytest.mark.parametrize("mode", MODES)
def test_killed_at_each_thing_that_is_sent(
    loads: Loads, place: tuple[Staging, sa.Table, sa.Engine], mode: str
) -> None:
    staging, table, engine = place
    empty(engine, table, mode)
    status, told = loads.run(staging, engine, mode, 0, "before")
    assert status == 0
    way, sent = told
    assert way == "staged"
    draw = random.Random(f"{SEED} {mode}")
    moments = [(number, when) for number in range(1, sent + 1) for when in ("before", "after")]
    outcomes = set()
    for number, when in draw.sample(moments, min(len(moments), some(1000, few=3))):
        about = f"seed {SEED}, {mode}, killed {when} {number} of {sent}"
        empty(engine, table, mode)
        status, told = loads.run(staging, engine, mode, number, when)
        assert status == signal.SIGKILL, about
        with engine.connect() as connection:
            found = all_of(connection, table)
            assert found in (before_of(mode), after_of(mode)), about
            outcomes.add(found == after_of(mode))
        load_again(engine, table, mode, about)
        with engine.connect() as connection:
            assert all_of(connection, table) == after_of(mode), about
            # What lies there may be of a load that goes on: it is removed when it is old.
            remove_staged(connection, staging.volume)
            remove_staged(connection, staging.volume, older_than=-staged.STALE)
        assert staging.files() == [], about
    assert outcomes, "no moment was tried"


def empty(engine: sa.Engine, table: sa.Table, mode: str) -> None:
    """Put the rows there that are there before."""
    with engine.begin() as connection:
        connection.execute(table.delete())
        if before_of(mode):
            names = [column.name for column in table.columns]
            rows = [dict(zip(names, row, strict=True)) for row in before_of(mode)]
            connection.execute(table.insert(), rows)


def load_again(engine: sa.Engine, table: sa.Table, mode: str, about: str) -> None:
    """Load the same rows again, as who finds their process killed."""
    names = [column.name for column in table.columns]
    rows = [dict(zip(names, row, strict=True)) for row in ROWS]
    try:
        # What the process had sent makes one conflict each, and it had sent some; without an end
        # would be a load that cannot succeed.
        for _ in range(MOST_CONFLICTS):
            if is_loaded(engine, table, rows, mode):
                return
    except IntegrityError:
        # What the process had sent before it was killed is there.
        if mode != "append":
            pytest.fail(about)
        return
    pytest.fail(f"{about}: {MOST_CONFLICTS} loads one after the other met a conflict")


def is_loaded(engine: sa.Engine, table: sa.Table, rows: Any, mode: str) -> bool:
    """Load; false where what the process had sent was executed meanwhile."""
    try:
        load(engine, table, rows, mode=mode)
    except OperationalError as error:
        if isinstance(error.orig, ConflictError):
            return False
        raise
    return True
