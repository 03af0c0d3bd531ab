"""Small keys in several processes, some of which are killed: none comes twice."""

from __future__ import annotations

import logging
import multiprocessing
import random
import re
from itertools import pairwise
from multiprocessing.connection import Connection, wait
from typing import Any, NamedTuple

import pytest
from sqlalchemy import (
    BigInteger,
    Column,
    Engine,
    MetaData,
    String,
    Table,
    create_engine,
    distinct,
    func,
    insert,
    select,
)
from sqlalchemy.engine import URL

from tests.full import full
from tests.patience import PATIENCE_S
from vinci_code.database.dialect.units import key_ranges
from vinci_code.warehouse.pytest_plugin import TestWarehouse

ROW = Table(
    "row_",
    MetaData(),
    Column("id", BigInteger, primary_key=True),
    Column("who", String),
    databricks_keys="blocks",
)
SEED = 11
_RESERVED = re.compile(r"keys (\d+) to (\d+) of")
_REFUSED = re.compile(r"keys of .* were reserved by another at the same moment")


class Size(NamedTuple):
    """How much is done.

    Attributes:
        processes: How many processes write at the same time.
        killed: How many are killed, each of which has another one take its place.
        keys: How many keys each of the others makes.
        rows: How many rows each unit of work has.
    """

    processes: int
    killed: int
    keys: int
    rows: int


SIZES = [
    pytest.param(Size(3, 1, 2_000, 250), id="small", marks=pytest.mark.slow),
    pytest.param(Size(16, 8, 62_500, 500), id="million", marks=full),
]


class _Told(logging.Handler):
    """Tells of each range that is reserved, and of each request that was in conflict."""

    def __init__(self, pipe: Connection) -> None:
        super().__init__()
        self._pipe = pipe

    def emit(self, record: logging.LogRecord) -> None:
        if (found := _RESERVED.match(record.getMessage())) is not None:
            self._pipe.send(("reserved", int(found[1]), int(found[2])))
        elif _REFUSED.match(record.getMessage()) is not None:
            self._pipe.send(("refused",))


def write(url: URL, arguments: dict[str, Any], size: Size, who: str, pipe: Connection) -> None:
    """Insert rows by units of work, as a process of its own."""
    log = logging.getLogger(key_ranges.__name__)
    log.addHandler(_Told(pipe))
    log.setLevel(logging.DEBUG)
    # Nothing is checked: a key that comes twice is stored twice, and found.
    engine = create_engine(url, connect_args=arguments, enforce_keys=False)
    for _ in range(size.keys // size.rows):
        with engine.begin() as connection:
            connection.execute(insert(ROW), [{"who": who}] * size.rows)
        pipe.send(("committed",))
    engine.dispose()
    pipe.send(("done",))


class _Writers:
    """The processes, and what they have told."""

    def __init__(self, url: URL, arguments: dict[str, Any], size: Size) -> None:
        self.ranges: list[tuple[int, int]] = []
        self.committed = self.refused = self.ended_well = 0
        self._given = (url, arguments, size)
        self._size = size
        self._context = multiprocessing.get_context("spawn")
        self._running: dict[Connection, Any] = {}
        self._units: dict[Connection, int] = {}
        self._begun = 0

    def begin(self) -> None:
        """Begin one more."""
        ours, theirs = self._context.Pipe(duplex=False)
        who = f"process {self._begun}"
        process = self._context.Process(target=write, args=(*self._given, who, theirs))
        process.start()
        theirs.close()
        self._begun += 1
        self._running[ours], self._units[ours] = process, 0

    def run(self) -> None:
        """Have all write, and kill some of them somewhere on their way."""
        chance = random.Random(SEED)
        units = self._size.keys // self._size.rows
        deaths = {
            number: chance.randrange(units)
            for number in chance.sample(range(self._size.processes), self._size.killed)
        }
        for _ in range(self._size.processes):
            self.begin()
        doomed = {pipe: deaths.get(number) for number, pipe in enumerate(list(self._running))}
        while self._running:
            ready = wait(list(self._running), timeout=PATIENCE_S)
            assert ready, "nobody has told anything for too long"
            for pipe in ready:
                assert isinstance(pipe, Connection)
                self._hear(pipe)
                # It goes on with what comes next, and dies wherever it is.
                if pipe in self._running and self._units[pipe] == doomed.get(pipe):
                    doomed[pipe] = None
                    self._running[pipe].kill()
                    self.begin()

    def end(self) -> None:
        """Leave none behind."""
        for process in self._running.values():
            process.kill()
            process.join()

    def _hear(self, pipe: Connection) -> None:
        try:
            word, *values = pipe.recv()
        except EOFError:
            self._running.pop(pipe).join()
            pipe.close()
            return
        if word == "reserved":
            self.ranges.append((values[0], values[1]))
        elif word == "refused":
            self.refused += 1
        elif word == "committed":
            self.committed += 1
            self._units[pipe] += 1
        else:
            self.ended_well += 1


@pytest.mark.skipif(
    "spawn" not in multiprocessing.get_all_start_methods(), reason="processes cannot be begun"
)
@pytest.mark.parametrize("size", SIZES)
def test_no_key_comes_twice_in_processes_of_which_some_are_killed(
    size: Size,
    engine: Engine,
    engine_url: URL,
    engine_args: dict[str, Any],
    local_warehouse: TestWarehouse,
) -> None:
    ROW.create(engine)
    before = len(local_warehouse.requests)
    writers = _Writers(engine_url, engine_args, size)
    try:
        writers.run()
    finally:
        writers.end()
    sent = [
        one for one in local_warehouse.requests[before:] if "vinci_keys" in (one.statement or "")
    ]
    claims = [one for one in sent if str(one.statement).startswith("BEGIN\nMERGE INTO vinci_keys")]
    executed = sum(one.executed is True for one in claims)
    others = len(sent) - len(claims)
    told = sorted(writers.ranges)
    with engine.connect() as connection:
        rows, keys, last = connection.execute(
            select(func.count(), func.count(distinct(ROW.c.id)), func.max(ROW.c.id))
        ).one()
    print(
        f"\n{rows:,} rows of {size.processes} processes, {size.killed} killed: {keys:,} keys, the "
        f"last {last:,}; {len(told)} ranges by {len(claims)} requests, of which "
        f"{len(claims) - executed} were in conflict, and {others} for the count itself; "
        f"{writers.committed} units of work; seed {SEED}"
    )
    assert writers.ended_well == size.processes
    assert rows == keys >= size.processes * size.keys
    # What was committed is there, with a unit at most of each that was killed before it told.
    assert 0 <= rows - writers.committed * size.rows <= size.killed * size.rows
    for (_, end), (begin, _) in pairwise(told):
        assert end < begin, "two ranges overlap"
    # One request for each range, and one more for each that Delta refused, which those report that
    # were not killed. Who is killed may not have reported a range; the first of all find no count,
    # which is made once.
    assert len(told) <= executed <= len(told) + size.killed + others
    assert writers.refused <= len(claims) - executed
