"""A unit of work that is run by ``run_unit``: it reads, and writes what follows from that."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from types import TracebackType
from typing import Any

import sqlalchemy as sa
from sqlalchemy import orm

from tests.history.deeds import load, once, pay
from tests.history.schedules import Step
from tests.history.tables import Wallet
from tests.history.unit import Unit
from vinci_code.database import run_unit


def run_repeated(
    step: Step,
    engine: sa.Engine,
    *,
    begin: Callable[[orm.Session], Unit],
    loaded: Callable[[], None],
    end: Callable[[Unit, Exception | None], None],
) -> None:
    """Run a unit, again where somebody else was faster.

    Args:
        step: Its one step.
        engine: The engine of its sessions.
        begin: Begins the unit anew, with another session.
        loaded: Is called when it has read for the first time, and not written yet.
        end: Is called with how the unit has ended, each time.

    Raises:
        Exception: The error that it has ended by.
    """
    attempts = itertools.count()
    now: list[Unit] = []

    def sessions() -> orm.Session:
        session = _Watched(engine, autoflush=False, expire_on_commit=False)
        session.on_end = lambda error: end(now[-1], error)
        now.append(begin(session))
        return session

    def work(_session: orm.Session) -> None:
        unit = now[-1]
        wallet = load(unit, Wallet, step.keys[0])
        if next(attempts) == 0:
            loaded()
        if wallet is None:
            once(unit, step)
            return
        pay(unit, step)

    run_unit(work, retries=3, sessions=sessions, pause=lambda _: None)


class _Watched(orm.Session):
    """A session that tells how the block of its ``begin()`` has ended."""

    on_end: Callable[[Exception | None], None]

    def begin(self, nested: bool = False) -> Any:
        return _Block(super().begin(nested), self.on_end)


class _Block:
    """The block of a transaction."""

    def __init__(
        self, transaction: orm.SessionTransaction, on_end: Callable[[Exception | None], None]
    ) -> None:
        self._transaction = transaction
        self._on_end = on_end

    def __enter__(self) -> orm.SessionTransaction:
        return self._transaction.__enter__()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            self._transaction.__exit__(kind, error, trace)
        except Exception as raised:
            self._on_end(raised)
            raise
        if error is None or isinstance(error, Exception):
            self._on_end(error)
