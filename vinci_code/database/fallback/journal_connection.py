"""The connection on which a journal does its own transactions, one at a time.

A fork waits until none is open: a child has copies of SQLite's notes of the locks that its process
has, and would believe that it has them too. It leaves the connection itself alone.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import Any
from weakref import WeakSet

from vinci_code.database.fallback import journal_tables as tables
from vinci_code.database.fallback.journal_file import JournalFile, any_text, sqlite_explained

_FORK_PATIENCE_S = 5.0
"""Seconds that a fork waits at most for a transaction of a journal."""


class OwnConnection:
    """A connection to a journal's file; opened at its first use, again after ``close``."""

    def __init__(self, file: JournalFile) -> None:
        self._file = file
        self._lock = threading.RLock()
        self._held_for_fork = False
        self._connection: sqlite3.Connection | None = None
        _all.add(self)

    def reading(self) -> AbstractContextManager[sqlite3.Connection]:
        """Read in one transaction."""
        return self._transaction("BEGIN")

    @contextmanager
    def changing(self) -> Iterator[sqlite3.Connection]:
        """Write in one transaction, which is synced at its end; then note it in the mark."""
        self._file.check_there()
        with self._transaction("BEGIN IMMEDIATE") as connection:
            yield connection
            ledger = tables.read_ledger(self._file, connection)
        self._file.mark.note(ledger)

    def close(self) -> None:
        """Close it."""
        with self._lock:
            connection, self._connection = self._connection, None
            if connection is not None:
                connection.close()

    @contextmanager
    def _transaction(self, begin: str) -> Iterator[sqlite3.Connection]:
        with self._lock, sqlite_explained(self._file.path):
            if self._connection is None:
                self._connection = self._file.connect()
                self._connection.text_factory = any_text
            connection = self._connection
            connection.execute(begin)
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                with suppress(sqlite3.Error):
                    connection.rollback()
                raise

    def _before_fork(self) -> None:
        self._held_for_fork = self._lock.acquire(timeout=_FORK_PATIENCE_S)

    def _after_fork_in_parent(self) -> None:
        if self._held_for_fork:
            self._held_for_fork = False
            self._lock.release()

    def _after_fork_in_child(self) -> None:
        self._lock = threading.RLock()
        self._held_for_fork = False
        self._file.mark.renew_lock()
        if self._connection is not None:
            _left_to_parent.append(self._connection)  # not even closed here
        self._connection = None


_all: WeakSet[OwnConnection] = WeakSet()
_left_to_parent: list[sqlite3.Connection] = []


def _each(do: Callable[[OwnConnection], Any]) -> None:
    for connection in list(_all):
        do(connection)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=lambda: _each(OwnConnection._before_fork),
        after_in_parent=lambda: _each(OwnConnection._after_fork_in_parent),
        after_in_child=lambda: _each(OwnConnection._after_fork_in_child),
    )
