"""A session: one client's namespace, configuration and transaction on the shared engine."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import duckdb

from vinci_code.warehouse.engine import settings
from vinci_code.warehouse.engine import transaction_errors as errors
from vinci_code.warehouse.engine.catalog import DEFAULT_CATALOG, DEFAULT_SCHEMA
from vinci_code.warehouse.engine.catalog_view import CatalogView
from vinci_code.warehouse.engine.model import View
from vinci_code.warehouse.engine.result import Column, Result
from vinci_code.warehouse.engine.transactions import Engineroom, Transaction
from vinci_code.warehouse.sql.errors import SqlError, too_complex
from vinci_code.warehouse.sql.interruption import checked_by
from vinci_code.warehouse.sql.parameters import Parameter, check_limits
from vinci_code.warehouse.sql.query_context import USER

__all__ = ["Column", "EngineSession", "Result"]

StatementRunner = Callable[["EngineSession", str, Sequence[Parameter]], Result]
"""Runs one statement of a session: its text, and its parameters in the order sent."""

_INTERRUPT_PATIENCE = 5.0  # seconds; a commit that is under way is let finish
_INTERRUPT_STEP = 0.01


@dataclass
class _RunningStatement:
    """The statement that a session is executing."""

    cursors: list[duckdb.DuckDBPyConnection] = field(default_factory=list)
    interrupted: bool = False
    only_reads: bool = False
    timed_out: bool = False
    finished: threading.Event = field(default_factory=threading.Event)


class EngineSession:
    """What one client sees of an engine.

    Statements of a session run one after another; ``interrupt`` may be called from another thread.

    Attributes:
        configuration: Session parameters by name.
        user: What ``current_user()`` answers.
        run: Runs its statements.
        autocommit: Whether each statement is its own transaction.
        temporary_views: The session's temporary views by name.
    """

    def __init__(
        self,
        room: Engineroom,
        run: StatementRunner,
        *,
        catalog: str | None = None,
        schema: str | None = None,
        configuration: Mapping[str, str] | None = None,
        user: str = USER,
        transactions: bool = True,
    ) -> None:
        """Open a session, as ``Engine.open_session`` says; ``run`` runs a statement of it.

        Raises:
            SqlError: For a parameter that cannot be taken.
        """
        self.room = room
        self.run = run
        self.user = user
        self.transactions = transactions
        self.configuration = settings.initial(configuration or {})
        # Not looked up: clients open a session in a schema that they are about to create (the
        # tests of databricks-sql-python, dbt). The first statement that needs it finds out.
        self.catalog = DEFAULT_CATALOG if catalog is None else catalog.lower()
        self.schema = DEFAULT_SCHEMA if schema is None else schema.lower()
        self.autocommit = True
        self.temporary_views: dict[str, View] = {}
        self.open_transaction: Transaction | None = None
        self.implicit = False
        self.aborted = False
        self.cursor = room.store.cursor()
        self._lock = threading.RLock()
        self._running: _RunningStatement | None = None
        self._shield_lock = threading.Lock()
        self._shielded = 0
        self._closed = False

    @property
    def in_transaction(self) -> bool:
        """Whether an interactive transaction is open, aborted or not."""
        return self.open_transaction is not None or self.aborted

    @property
    def only_reads(self) -> bool:
        """Whether the statement that runs is known to change nothing."""
        running = self._running
        return running is not None and running.only_reads

    def reads(self) -> None:
        """Note that the statement that runs is a query, and changes nothing."""
        if self._running is not None:
            self._running.only_reads = True

    @property
    def closed(self) -> bool:
        """Whether the session was closed."""
        return self._closed

    def execute(self, text: str, parameters: Sequence[Parameter] = ()) -> Result:
        """Run one statement of Databricks SQL; its parameters are in the order sent.

        Raises:
            SqlError: In the words of a real warehouse.
        """
        with self._lock:
            running = self._running = _RunningStatement([self.cursor])
            timer = self._timer(running)
            try:
                check_limits(parameters)
                with checked_by(self.check_interrupt):
                    return self.run(self, text, parameters)
            except duckdb.Error as error:
                raise self._failure(running, errors.from_engine(error, text)) from error
            except SqlError as error:
                raise self._failure(running, error) from error.__cause__
            except RecursionError:
                # Without its cause: the thousand frames of it are of no use to anybody.
                raise self._failure(running, too_complex()) from None
            finally:
                if timer is not None:
                    timer.cancel()
                self._running = None
                running.finished.set()

    def _timer(self, running: _RunningStatement) -> threading.Timer | None:
        """Start the clock of STATEMENT_TIMEOUT, where it is not the default of two days."""
        seconds = int(self.configuration["STATEMENT_TIMEOUT"])
        if seconds == 0 or str(seconds) == settings.DEFAULTS["STATEMENT_TIMEOUT"]:
            return None

        def expire() -> None:
            running.timed_out = True
            self._interrupt(running)

        timer = threading.Timer(seconds, expire)
        timer.daemon = True
        timer.start()
        return timer

    def _failure(self, running: _RunningStatement, error: SqlError) -> SqlError:
        if running.timed_out and error.error_class == "OPERATION_CANCELED":
            seconds = self.configuration["STATEMENT_TIMEOUT"]
            return SqlError(
                "STATEMENT_TIMEOUT",
                "57KD0",
                f"The statement was canceled: it ran longer than STATEMENT_TIMEOUT = {seconds}.",
            )
        return error

    def interrupt(self) -> None:
        """Stop the statement that is running in another thread; without one, do nothing."""
        running = self._running
        if running is not None:
            self._interrupt(running)

    def _interrupt(self, running: _RunningStatement) -> None:
        running.interrupted = True
        deadline = time.monotonic() + _INTERRUPT_PATIENCE
        # DuckDB forgets an interruption that comes just before a query starts, so it is repeated.
        while not running.finished.is_set() and time.monotonic() < deadline:
            with self._shield_lock:
                if not self._shielded:
                    for cursor in tuple(running.cursors):
                        cursor.interrupt()
            running.finished.wait(_INTERRUPT_STEP)

    def close(self) -> None:
        """Discard an open transaction and free what the session holds."""
        self.interrupt()
        with self._lock:
            if self._closed:
                return
            self._closed = True
            if self.open_transaction is not None:
                self.open_transaction.discard()
                self.open_transaction = None
            self.room.store.give_back(self.cursor)

    def catalog_view(self) -> CatalogView:
        """Return a read-only listing of catalogs, schemas, tables and columns.

        Raises:
            SqlError: Within a transaction, which stays usable: the driver's own tests
                (``tests/e2e/test_transactions.py``) expect both.
        """
        if self.in_transaction:
            raise errors.metadata_not_supported()
        return CatalogView(self.room.catalog)

    def use_catalog(self, name: str) -> None:
        """Make a catalog the current one, and its schema ``default`` the current schema."""
        self.catalog = self.room.catalog.catalog(name).name
        self.schema = DEFAULT_SCHEMA

    def use_schema(self, catalog: str, name: str) -> None:
        """Make a schema the current one."""
        found = self.room.catalog.schema(catalog, name)
        self.catalog, self.schema = catalog.lower(), found.name

    # ---- for the statements

    def begin(self, *, interactive: bool) -> Transaction:
        """Return a new transaction."""
        return Transaction(self.room, self.cursor, self.shielded, interactive=interactive)

    def check_interrupt(self) -> None:
        """Stop here if the statement was interrupted.

        Raises:
            SqlError: ``OPERATION_CANCELED``.
        """
        if self._running is not None and self._running.interrupted:
            raise SqlError("OPERATION_CANCELED", "HY008", "Operation has been canceled.")

    @contextmanager
    def interruptible(self, cursor: duckdb.DuckDBPyConnection) -> Iterator[None]:
        """Let an interruption reach another connection while the body runs."""
        running = self._running
        if running is None:
            yield
            return
        running.cursors.append(cursor)
        try:
            self.check_interrupt()
            yield
        finally:
            with self._shield_lock:
                running.cursors.remove(cursor)

    @contextmanager
    def shielded(self) -> Iterator[None]:
        """Keep an interruption away while the body runs."""
        with self._shield_lock:
            self._shielded += 1
        try:
            yield
        finally:
            with self._shield_lock:
                self._shielded -= 1

    def abort(self) -> None:
        """Abort the open transaction: nothing but ROLLBACK goes from here on."""
        if self.open_transaction is not None:
            self.open_transaction.discard()
            self.open_transaction = None
        self.aborted = True

    def check_transactions(self) -> None:
        """Refuse transactions where the workspace has none.

        Raises:
            SqlError: ``TRANSACTION_NOT_SUPPORTED.PREVIEW_NOT_ENABLED``.
        """
        if not self.transactions:
            raise errors.preview_not_enabled()
