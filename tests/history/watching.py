"""Holds the dialect and the warehouse at the moments of a commit, and sees what becomes of it."""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import Any
from unittest import mock

import sqlalchemy as sa

from tests.history.schedules import ARRIVAL, BETWEEN, DONE, OVERLAP, PROBE, RESEND
from vinci_code.database.dialect.driver import query_history, waiting
from vinci_code.database.dialect.units import unit as units
from vinci_code.warehouse import LocalWarehouse
from vinci_code.warehouse.engine.transactions import Effect, Transaction
from vinci_code.warehouse.faults import Fault
from vinci_code.warehouse.wire.history import FINISHED, HistoryEntry

# How long the query history is asked that will not tell; one that will is waited for.
HISTORY_SECONDS = 0.05
_LONGEST = 60.0


class Watch:
    """Watches the commits of one schedule.

    Args:
        warehouse: The warehouse, whose query history it can read.
        engine: The engine of the units.

    Attributes:
        found_out: What became of the commits whose answer was lost.
        asked: Whether an answer of the commit that runs was lost.
        silent: Whether the query history is made to be silent.
        withheld: Whether the query history gave no answer.
        broken: What was raised in threads of the warehouse.
    """

    def __init__(self, warehouse: LocalWarehouse, engine: sa.Engine) -> None:
        self.found_out: list[str] = []
        self.asked = False
        self.silent = False
        self.withheld = False
        self.broken: list[Exception] = []
        self._warehouse = warehouse
        self._engine = engine
        # What is to be done at a moment of the commit that runs.
        self._plans: dict[str, list[Callable[[], None]]] = {}

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold both at the moments of a commit within the block; wait for nothing long."""
        find_out = vars(units)["find_out"]
        apply, commit = Transaction.apply, Transaction.commit
        faults = self._warehouse.faults
        draw = faults.draw

        def watched_find_out(sought: Any, *arguments: Any) -> Any:
            self.asked = True
            self.reach(PROBE)
            tells = self._history_tells(sought.identity)
            self.withheld |= not tells
            dialect: Any = self._engine.dialect
            dialect.history_timeout = _LONGEST if tells else HISTORY_SECONDS
            found = find_out(sought, *arguments)
            suffix = "" if tells else ", without the history"
            self.found_out.append(f"{found.outcome.value}{suffix}")
            self.reach(RESEND)
            return found

        def watched_draw(operation: str, *arguments: Any, **named: Any) -> Fault | None:
            if operation == "ExecuteStatement":
                self._reach_in_warehouse(ARRIVAL)
            return draw(operation, *arguments, **named)

        def watched_apply(transaction: Transaction, effect: Effect) -> None:
            apply(transaction, effect)
            self._reach_in_warehouse(BETWEEN)

        def watched_commit(transaction: Transaction) -> None:
            self._reach_in_warehouse(OVERLAP)
            commit(transaction)
            self._reach_in_warehouse(DONE)

        with ExitStack() as stack:
            for target, name, value in (
                (units, "find_out", watched_find_out),
                (Transaction, "apply", watched_apply),
                (Transaction, "commit", watched_commit),
                (waiting, "_FIRST_PAUSE", 0.005),
                (waiting, "_LONGEST_PAUSE", 0.02),
                (waiting, "_JITTER", 0.0),
                (query_history, "_FIRST_PAUSE", 0.005),
                (query_history, "_LONGEST_PAUSE", 0.02),
                (faults, "draw", watched_draw),
                # The certificates of the system, of which none is that of the warehouse.
                (ssl.SSLContext, "load_default_certs", lambda *_: None),
            ):
                stack.enter_context(mock.patch.object(target, name, value))
            yield

    def plan(self, moment: str, action: Callable[[], None]) -> None:
        """Have something done when a moment is reached, once."""
        self._plans.setdefault(moment, []).append(action)

    def reach(self, moment: str) -> None:
        """Do what was planned for a moment."""
        for action in self._plans.pop(moment, ()):
            action()

    def forget(self) -> None:
        """Forget what was planned."""
        self._plans.clear()

    @contextmanager
    def undisturbed(self) -> Iterator[None]:
        """Keep the faults, and what was planned, for those whom they are meant for."""
        faults = self._warehouse.faults
        waiting_faults = faults.pending
        plans, self._plans = self._plans, {}
        faults.clear()
        try:
            yield
        finally:
            self._plans = plans
            faults.add(*(replace(fault, skip=0) for fault in waiting_faults))

    def settle(self) -> list[HistoryEntry]:
        """Wait until the warehouse has done with every statement; gives its query history."""
        end = time.monotonic() + _LONGEST
        while any(entry.ended is None for entry in self._entries()):
            if time.monotonic() > end:
                raise AssertionError("a statement that nobody waits for does not end")
            time.sleep(0.002)
        return self._entries()

    def _reach_in_warehouse(self, moment: str) -> None:
        try:
            self.reach(moment)
        except Exception as error:  # noqa: BLE001 - this is a thread of the warehouse
            self.broken.append(error)

    def _history_tells(self, identity: str) -> bool:
        """Whether the query history tells what became of a commit, by what the warehouse knows."""
        entries = [entry for entry in self.settle() if identity in entry.tags.values()]
        sent = sum(
            identity in record.configuration.get("query_tags", "")
            for record in self._warehouse.requests
        )
        if self.silent:
            return False
        finished = any(entry.status == FINISHED for entry in entries)
        return finished or (bool(entries) and len(entries) >= sent)

    def _entries(self) -> list[HistoryEntry]:
        history = self._warehouse._live.service._history
        with history._lock:
            return list(history._entries)
