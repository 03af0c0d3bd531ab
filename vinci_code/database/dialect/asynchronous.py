"""The dialect ``databricks+vinci_async``: that of ``base``, for SQLAlchemy's asyncio.

::

    create_async_engine(
        "databricks+vinci_async://HOST?http_path=/sql/1.0/warehouses/ID&catalog=main&schema=default",
        connect_args={"access_token": …},
    )

Arguments, execution options and types are those of ``databricks+vinci``. What they do to a
connection is done in a thread that each connection has, so that no event loop waits for a
warehouse: units of work are sent there, and what they lay over a query is asked there.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from types import ModuleType
from typing import TYPE_CHECKING, Any

from sqlalchemy import event
from sqlalchemy.engine import URL
from sqlalchemy.util.concurrency import await_only, in_greenlet

from vinci_code.core.errors import MissingExtraError
from vinci_code.database.dialect.base import VinciDialect
from vinci_code.database.dialect.context import VinciExecutionContext
from vinci_code.database.dialect.driver.async_pooling import AsyncSessionPool
from vinci_code.database.dialect.driver.threads import ThreadsOfEngine
from vinci_code.database.dialect.options import AS_ARROW
from vinci_code.database.dialect.units import flushes
from vinci_code.database.dialect.units import unit as units

if TYPE_CHECKING:
    from sqlalchemy.engine import Engine
    from sqlalchemy.engine.interfaces import DBAPICursor
    from sqlalchemy.pool import Pool


class VinciAsyncExecutionContext(VinciExecutionContext):
    """One execution, of which nothing waits in the loop's thread."""

    def create_default_cursor(self) -> Any:
        """A cursor that fetches all rows at once; one whose rows are fetched as Arrow does not."""
        if self.execution_options.get(AS_ARROW, False):
            return self.create_server_side_cursor()
        return super().create_default_cursor()

    def create_server_side_cursor(self) -> Any:
        """A cursor for ``stream()``, with the deadline that the execution options name."""
        return self.with_deadline(self._dbapi_connection.cursor(server_side=True))

    def post_exec(self) -> None:
        """Count the rows of an UPDATE or a DELETE that is held, as long as somebody can wait.

        ``result.rowcount`` is asked for where nobody can. The execution option
        ``preserve_rowcount=False`` saves the request.
        """
        super().post_exec()
        if self.isinsert or not self._held or self._is_flush or flushes.is_running():
            return
        if self.execution_options.get("preserve_rowcount", True) and self.known_rowcount is None:
            self.count()


class VinciAsyncDialect(VinciDialect):
    """Databricks SQL over the vendor's driver, for SQLAlchemy's asyncio."""

    driver = "vinci_async"
    is_async = True
    has_terminate = True
    supports_statement_cache = True
    # All of its cursors are on the server; these are not fetched whole at once.
    supports_server_side_cursors = True

    execution_ctx_cls = VinciAsyncExecutionContext

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.threads = ThreadsOfEngine()

    @classmethod
    def import_dbapi(cls) -> ModuleType:
        """Import the DB-API module for asyncio.

        Raises:
            MissingExtraError: greenlet is not installed.
        """
        require_greenlet()
        from vinci_code.database.dialect.driver import async_dbapi

        return async_dbapi

    @classmethod
    def get_pool_class(cls, url: URL) -> type[Pool]:  # noqa: ARG003 - asked by SQLAlchemy
        """Use a pool as of ``databricks+vinci``, whose waiting is a task's."""
        return AsyncSessionPool

    @classmethod
    def engine_created(cls, engine: Engine) -> None:
        """Have ``dispose()`` leave no thread behind."""
        super().engine_created(engine)
        event.listen(engine, "engine_disposed", _await_threads)

    def connect(self, *arguments: Any, **named: Any) -> Any:
        """Open a connection; its thread is known from the first moment."""
        named.setdefault("note_thread", self.threads.add)
        return super().connect(*arguments, **named)

    def on_connect(self) -> Callable[[Any], None]:
        """Give each connection a unit of work."""

        def connected(dbapi_connection: Any) -> None:
            opened = dbapi_connection.sync_connection
            opened.unit = units.Unit(opened, self)
            opened.observe(self.announcer)

        return connected

    def get_driver_connection(self, connection: Any) -> Any:
        """The connection that the thread uses; it refuses to send from another one."""
        return connection.sync_connection

    def run_on(self, dbapi_connection: Any, work: Callable[[], Any]) -> Any:
        """What some work on a connection gives, done in its thread."""
        return dbapi_connection.call(work)

    def do_rollback(self, dbapi_connection: Any) -> None:
        """Drop what is held, which is gone already where the connection is.

        Where nothing is to be sent no task waits: a pool rolls back after each commit, and a
        cancellation that met it there would hide that the commit was successful.
        """
        if dbapi_connection.closed:
            return
        opened = dbapi_connection.sync_connection
        if opened.unit.is_open or opened.in_transaction:
            super().do_rollback(dbapi_connection)
        else:
            opened.unit.rollback()

    def do_terminate(self, dbapi_connection: Any) -> None:
        """Close a connection, and stop what runs on it."""
        dbapi_connection.terminate()

    def do_execute(
        self, cursor: DBAPICursor, statement: str, parameters: Any, context: Any = None
    ) -> None:
        """Run a statement, or hold it, in the connection's thread."""
        run = super().do_execute
        threaded: Any = cursor
        threaded.run(lambda real: run(real, statement, parameters, context))

    def do_executemany(
        self, cursor: DBAPICursor, statement: str, parameters: Any, context: Any = None
    ) -> None:
        """Run a statement for each set of parameters, or hold all of them, in that thread."""
        run = super().do_executemany
        threaded: Any = cursor
        threaded.run(lambda real: run(real, statement, parameters, context))


def require_greenlet() -> None:
    """Refuse to go on without what SQLAlchemy's asyncio needs.

    Raises:
        MissingExtraError: With the command that installs it.
    """
    if importlib.util.find_spec("greenlet") is None:
        raise MissingExtraError("async", "databricks+vinci_async", ["greenlet"])


def _await_threads(engine: Engine) -> None:
    """Wait until the threads of closed connections have ended; those in use go on."""
    dialect: Any = engine.dialect
    if in_greenlet():
        await_only(dialect.threads.ended())
