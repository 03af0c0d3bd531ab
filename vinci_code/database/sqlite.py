"""The SQLite engine: real transactions, real savepoints, several processes at once."""

from __future__ import annotations

import importlib.util
import sqlite3
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from sqlalchemy import URL, Connection, Engine, QueuePool, create_engine, event
from sqlalchemy.engine.url import make_url
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import ConnectionPoolEntry

from vinci_code.core.errors import DatabaseFileError, MissingExtraError
from vinci_code.database.models.types import dump_json

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

BUSY_TIMEOUT_S = 30.0
"""How long a statement waits for another process to finish writing."""


def create_sqlite_engine(url: str | URL, *, echo: bool = False) -> Engine:
    """Create an engine on a SQLite file; the file is opened at the first connection.

    Every connection has foreign keys enforced, write-ahead logging, so that readers and one writer
    do not wait for each other, and a busy timeout of :data:`BUSY_TIMEOUT_S` seconds, unless the URL
    says another one (``?timeout=5``).

    A database in memory has one connection, for one transaction at a time; a second session waits
    until the first is closed, and gives up with SQLAlchemy's ``TimeoutError``.

    Args:
        url: ``sqlite:///FILE`` or ``sqlite:///:memory:``.
        echo: Whether SQL is logged; parameters never are.

    Raises:
        DatabaseFileError: The folder of the file does not exist.
    """
    options = _options(url, echo=echo)
    if file_of(url) is None:
        # Lent to one user at a time: were it shared, as by StaticPool, the end of one transaction
        # would be the end of both.
        options["poolclass"] = QueuePool
        options["connect_args"]["check_same_thread"] = False
    engine = create_engine(url, **options)
    event.listen(engine, "connect", _prepare_connection)
    _listen(engine)
    return engine


def create_async_sqlite_engine(
    url: str, *, echo: bool = False, fill: Callable[[sqlite3.Connection], object] | None = None
) -> AsyncEngine:
    """Create an engine for asyncio on a SQLite file, which behaves as that of ``create_engine``.

    Args:
        url: ``sqlite:///FILE`` or ``sqlite:///:memory:``, as of ``create_sqlite_engine``.
        echo: Whether SQL is logged; parameters never are.
        fill: Is given a new connection to a database in memory, in the connection's thread.

    Raises:
        DatabaseFileError: The folder of the file does not exist.
        MissingExtraError: aiosqlite or greenlet is not installed.
    """
    require_async_extra("an async engine on SQLite", ("aiosqlite", "greenlet"))
    # Not at the top: who uses no event loop does not want it.
    from sqlalchemy.ext.asyncio import create_async_engine
    from sqlalchemy.pool import AsyncAdaptedQueuePool

    options = _options(url, echo=echo)
    in_memory = file_of(url) is None
    if in_memory:
        options["poolclass"] = AsyncAdaptedQueuePool
    options["connect_args"]["factory"] = _prepared(fill if in_memory else None)
    engine = create_async_engine(make_url(url).set(drivername="sqlite+aiosqlite"), **options)
    _listen(engine.sync_engine)
    return engine


def require_async_extra(wanted_by: str, packages: Sequence[str]) -> None:
    """Refuse to go on without what SQLAlchemy's asyncio needs.

    Raises:
        MissingExtraError: With what is missing, and the command that installs it.
    """
    missing = [name for name in packages if importlib.util.find_spec(name) is None]
    if missing:
        raise MissingExtraError("async", wanted_by, missing)


def file_of(url: str | URL) -> Path | None:
    """The file that a SQLite URL names, absolute; ``None`` for a database in memory."""
    parsed = make_url(url)
    database = parsed.database
    if database and database.startswith("file:") and "uri" in parsed.query:
        # https://www.sqlite.org/uri.html
        in_memory = parsed.query.get("mode") == "memory"
        database = None if in_memory else unquote(urlsplit(database).path)
    return Path(database).absolute() if database and database != ":memory:" else None


def is_in_memory(engine: Engine) -> bool:
    """Whether the engine is one on a SQLite database that ends with its process."""
    return engine.dialect.name == "sqlite" and file_of(engine.url) is None


# Result codes that tell of a statement: an error in its text, or what it needs is not there; a
# constraint. https://www.sqlite.org/rescode.html
_OF_STATEMENTS = frozenset({1, 19})


def is_of_file(error: DBAPIError) -> bool:
    """Whether an error tells of the SQLite file, and not of the statement that was run.

    Python 3.10 does not tell SQLite's code; there each error but that of a constraint is one.
    """
    code = getattr(error.orig, "sqlite_errorcode", None)
    if code is None:
        return not isinstance(error.orig, sqlite3.IntegrityError)
    return code & 0xFF not in _OF_STATEMENTS  # the lowest byte is the primary code


def explain(error: Exception, path: Path | None) -> DatabaseFileError:
    """Say in our words why a SQLite file could not be used; raise the result ``from`` the error."""
    reason = getattr(error, "orig", None) or error
    return DatabaseFileError(
        f"The SQLite file {path or ':memory:'} cannot be used: {reason}. "
        "Check that it is a SQLite database and that you may read and write it and its folder, "
        "or set DATABASE_URL to another file."
    )


def _options(url: str | URL, *, echo: bool) -> dict[str, Any]:
    """What engines on a URL are made with, be they for asyncio or not.

    Raises:
        DatabaseFileError: The folder of the file does not exist.
    """
    path = file_of(url)
    options: dict[str, Any] = {
        "echo": echo,
        "hide_parameters": True,
        "json_serializer": dump_json,
        "connect_args": {},
    }
    if path is None:
        # Another connection would see another, empty database.
        options |= {"pool_size": 1, "max_overflow": 0, "pool_timeout": BUSY_TIMEOUT_S}
    elif not path.parent.is_dir():
        raise DatabaseFileError(
            f"The folder of the SQLite file {path} does not exist. Create it, or set DATABASE_URL "
            "to a file in a folder that does."
        )
    if "timeout" not in make_url(url).query:
        options["connect_args"]["timeout"] = BUSY_TIMEOUT_S
    return options


def _listen(engine: Engine) -> None:
    event.listen(engine, "begin", _begin)
    event.listen(engine, "checkin", _checked_in)


def _prepared(fill: Callable[[sqlite3.Connection], object] | None) -> type[sqlite3.Connection]:
    """A class of connections that are set up as they are made, in the thread that makes them."""

    class Prepared(sqlite3.Connection):
        """A connection that is set up."""

        def __init__(self, *arguments: Any, **named: Any) -> None:
            super().__init__(*arguments, **named)
            try:
                _set_up(self)
                if fill is not None:
                    fill(self)
            except BaseException:
                self.close()  # nobody else does
                raise

    return Prepared


def _prepare_connection(connection: sqlite3.Connection, _: ConnectionPoolEntry) -> None:
    try:
        _set_up(connection)
    except BaseException:
        connection.close()  # nobody else does: the pool never gets to see it
        raise


def _set_up(connection: sqlite3.Connection) -> None:
    # sqlite3 would open transactions by guessing from the statement's first word, and not before a
    # SELECT or a SAVEPOINT: SQLAlchemy's BEGIN below says it instead.
    # https://docs.sqlalchemy.org/en/20/dialects/sqlite.html#pysqlite-serializable
    connection.isolation_level = None
    connection.execute("PRAGMA foreign_keys = ON")
    deadline = time.monotonic() + BUSY_TIMEOUT_S
    while not _write_ahead_log_is_on(connection):
        # Another process is switching the very same file: this PRAGMA ignores the busy timeout.
        if time.monotonic() > deadline:
            raise sqlite3.OperationalError("database is locked")
        time.sleep(0.01)


def _write_ahead_log_is_on(connection: sqlite3.Connection) -> bool:
    """Ask for the write-ahead log; whether that is settled, so that nobody need ask again."""
    try:
        connection.execute("PRAGMA journal_mode = WAL").fetchone()
    except sqlite3.OperationalError as error:
        if "locked" in str(error):
            return False
        if "readonly" in str(error):
            return True  # a file that may only be read keeps the journal that it has
        raise
    return True


def _begin(connection: Connection) -> None:
    options = connection.get_execution_options()
    if options.get("isolation_level") != "AUTOCOMMIT":  # asked for, as VACUUM needs it
        connection.exec_driver_sql(f"BEGIN {options.get('sqlite_begin', 'DEFERRED')}")


def _checked_in(_: Any, record: ConnectionPoolEntry) -> None:
    """Let no transaction reach the next user of a connection.

    SQLAlchemy rolls back nothing where a commit was stopped before it began, by a listener of
    "commit" or by a signal.
    """
    # sqlite3's connection, or aiosqlite's.
    opened: Any = record.driver_connection
    if opened is not None and opened.in_transaction:
        adapted: Any = record.dbapi_connection
        adapted.rollback()
