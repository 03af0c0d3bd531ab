"""Ranges of small keys, which a process reserves on the warehouse and uses up by itself.

The rule: a range is used by who knows for certain that its request has reserved it. One request
moves the count of the table on by as many keys as the range has, writes its own name beside it, and
asks which name stands there (``sql.key_blocks``). Where it is its own, the range that ends where
the count stands is its own too: the count only grows, and each request moves it from where the one
before has left it. Where it is another one, somebody has moved the count in between, and the range
is a gap; so it is where the answer is lost, and where the process dies. A copy of a request that
comes late reserves a range that nobody uses. Of two that move the count at the same moment Delta
refuses one (``ConflictError``), which tries again.

So a range costs one request, however many processes reserve keys of the table, and one more each
time that another one was in between or at the same moment. The first range of a table costs three
more: its row is made, once. Each range that a process asks for is twice as long as the one before,
up to 64 times the first; one that a unit of work needs many keys of is as long as that. Whose
requests were in vain again and again waits between two of them, for a random part of a time that
doubles.

The statements run on a connection of their own, so that neither a rollback nor a pool of one
connection that is in use matters, and it is closed afterwards. Threads share the ranges of their
process; a forked child begins without any.
"""

from __future__ import annotations

import logging
import os
import random
import threading
import time
import uuid
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from operator import length_hint
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar
from weakref import ReferenceType, ref

from sqlalchemy.exc import CompileError, DBAPIError
from sqlalchemy.schema import Column
from sqlalchemy.types import TypeDecorator

from vinci_code.database.dialect.dberrors import (
    AmbiguousWriteError,
    ConflictError,
    Error,
    InterfaceError,
    NotSupportedError,
    OperationalError,
    ProgrammingError,
)
from vinci_code.database.dialect.driver.announcing import StatementKind
from vinci_code.database.dialect.forking import in_child, renew_lock_in_child
from vinci_code.database.dialect.interruptions import is_foreign
from vinci_code.database.dialect.sql.key_blocks import LARGEST, KeyStatements
from vinci_code.database.dialect.text.scanning import BLOCK, QUERY, WRITE, StatementTraits
from vinci_code.database.dialect.types.base import innermost

if TYPE_CHECKING:
    from sqlalchemy.engine import Engine

    from vinci_code.database.dialect.driver.dbapi import Connection, Cursor

BLOCK_SIZE = 1000
"""How many keys the first range of a process has."""

_GROWTH = 64
_ATTEMPTS = 100
_LONGEST_PAUSE = 10.0
_NOT_THERE = "TABLE_OR_VIEW_NOT_FOUND"

_log = logging.getLogger(__name__)

_Given = TypeVar("_Given")


class KeyRanges:
    """The keys that an engine has reserved, of all of its tables.

    Args:
        size: How many keys the first range of a table has.
    """

    def __init__(self, size: int = BLOCK_SIZE) -> None:
        self._size = size
        self._engine: ReferenceType[Engine] | None = None
        self._tables: dict[tuple[str | None, str], _TableKeys] = {}
        in_child(self, KeyRanges._begin_anew)

    def attach(self, engine: Engine) -> None:
        """Reserve keys with connections like those of an engine."""
        self._engine = ref(engine)

    def next(
        self,
        column: Column[Any],
        schema: str | None,
        left: Callable[[], int],
        *,
        reserve: bool = True,
    ) -> int:
        """Return the next key of a column.

        Args:
            column: The column.
            schema: The schema of its table.
            left: Says how many keys are needed at once, this one among them.
            reserve: Whether a range may be reserved, where none is left.

        Raises:
            Error: No range could be reserved.
        """
        return self._keys_of(column, schema).next(left, reserve=reserve)

    def given(self, column: Column[Any], schema: str | None, key: object) -> None:
        """Note that the application gives a row a key of its own: the next are behind it."""
        if type(key) is int and 0 < key <= LARGEST:
            self._keys_of(column, schema).given(key)

    def doubt(self, tables: Collection[str] | None) -> None:
        """Have it looked whether somebody else has taken reserved keys, before more are used.

        Args:
            tables: The bare names of the tables; ``None`` for any.
        """
        for (_, name), keys in list(self._tables.items()):
            if tables is None or name in tables:
                keys.doubt()

    def _keys_of(self, column: Column[Any], schema: str | None) -> _TableKeys:
        place = (None if schema is None else schema.lower(), column.table.name.lower())
        keys = self._tables.get(place)
        if keys is None:
            made = _TableKeys(column, schema, self._attached, self._size)
            keys = self._tables.setdefault(place, made)
        return keys

    def _attached(self) -> Engine:
        engine = None if self._engine is None else self._engine()
        if engine is None:
            raise InterfaceError(
                "keys are to come from blocks (keys='blocks'), and the engine whose connections "
                "they are reserved with is not there; nothing was sent\n"
                "To fix it: keep a reference to the engine as long as its connections are used."
            )
        return engine

    def _begin_anew(self) -> None:
        """In a forked child: what was reserved is the parent's."""
        self._tables = {}


class ReservedKeys:
    """The keys that are reserved already, for while the warehouse is away.

    Args:
        ranges: Those of the engine of the warehouse.
    """

    def __init__(self, ranges: KeyRanges) -> None:
        self._ranges = ranges

    def attach(self, engine: Engine) -> None:
        """Do nothing: the engine that this one stands for reserves them."""

    def next(self, column: Column[Any], schema: str | None, left: Callable[[], int]) -> int:
        """Return the next key of a column.

        Raises:
            DBAPIError: None is left. It is SQLAlchemy's, since the connection is one of SQLite,
                which would not make it of an error of this module.
        """
        try:
            return self._ranges.next(column, schema, left, reserve=False)
        except Error as error:
            raise DBAPIError.instance(None, None, error, Error, hide_parameters=True) from error

    def given(self, column: Column[Any], schema: str | None, key: object) -> None:
        """See ``KeyRanges``."""
        self._ranges.given(column, schema, key)

    def doubt(self, tables: Collection[str] | None) -> None:
        """See ``KeyRanges``."""
        self._ranges.doubt(tables)


class _Count(NamedTuple):
    """Where the count of a table stands.

    Attributes:
        last: The last key that is reserved.
        is_mine: Whether it was this request that reserved it.
    """

    last: int
    is_mine: bool


class _Span(NamedTuple):
    """What is left of a range.

    Attributes:
        keys: Gives the keys. One call takes one, so that a finaliser that the garbage collector
            runs in between gets another.
        last: The last of them.
    """

    keys: Iterator[int]
    last: int

    @classmethod
    def of(cls, first: int, last: int) -> _Span:
        """A range from its first key to its last."""
        return cls(iter(range(first, last + 1)), last)

    @property
    def left(self) -> tuple[int, int]:
        """The first and the last that are left; none where the first is the greater."""
        return self.last - length_hint(self.keys) + 1, self.last


class _TableKeys:
    """The keys that this process has reserved of one table."""

    def __init__(
        self, column: Column[Any], schema: str | None, engine: Callable[[], Engine], size: int
    ) -> None:
        self._lock = threading.RLock()
        renew_lock_in_child(self)
        self._process = os.getpid()
        self._engine = engine
        self._name = str(column)
        dialect = engine().dialect
        self._largest = _largest(column, dialect)
        preparer = dialect.identifier_preparer
        self._statements = KeyStatements.of(column, schema, preparer)
        self._size, self._longest = size, size * _GROWTH
        self._spans: list[_Span] = []
        # The last that is known to be reserved: rows with a key up to it are not looked for.
        self._known = 0
        self._doubted = False
        # The largest key that this process has given a row by itself.
        self._given = 0

    def given(self, key: int) -> None:
        """Have the next keys be behind one."""
        with self._lock:
            self._given = max(self._given, key)

    def next(self, left: Callable[[], int], *, reserve: bool) -> int:
        """Return the next key; see ``KeyRanges``."""
        with self._lock:
            if self._process != os.getpid():
                self._spans, self._process = [], os.getpid()
            if self._doubted and reserve:
                self._look_again()
            while (key := self._take()) is None:
                if not reserve:
                    raise OperationalError(self._used_up())
                self._reserve(left())
            return key

    def doubt(self) -> None:
        """Have the rest of what is reserved looked at before it is used."""
        self._doubted = True

    def _take(self) -> int | None:
        while self._spans:
            span = self._spans[0]
            first, last = span.left
            if first <= self._given <= last:
                span = self._spans[0] = _Span.of(self._given + 1, last)
            key = next(span.keys, None)
            if key is not None:
                return key
            with suppress(ValueError):
                self._spans.remove(span)
        return None

    def _look_again(self) -> None:
        """Give up what is reserved where rows have keys of it that others have given them."""
        ranges = [span.left for span in self._spans if length_hint(span.keys)]
        if ranges:
            with self._connected() as connection:
                found = connection.ask(self._statements.count(ranges))[0]
            if found:
                self._spans = []
        self._doubted = False

    def _reserve(self, needed: int) -> None:
        """Reserve a range with so many keys at least.

        Raises:
            Error: None could be reserved.
        """
        with self._connected() as connection:
            for attempt in range(_ATTEMPTS):
                size, began = max(needed, self._size), time.monotonic()
                try:
                    count = self._send(connection, size)
                except ConflictError:
                    _log.debug("keys of %s were reserved by another at the same moment", self._name)
                    count = _Count(0, is_mine=False)
                except AmbiguousWriteError as error:
                    _log.info("%d keys of %s are given up: %s", size, self._name, error)
                    connection.give_up()
                    continue
                if count is None:
                    self._begin(connection)
                    continue
                self._size = min(self._longest, self._size * 2)
                self._known = max(self._known, count.last)
                if count.is_mine:
                    self._keep(count.last - size + 1, count.last)
                    return
                # Of many at one moment one is first. The more often it was another, the longer are
                # the ranges and the pauses, so that all come by sooner.
                took = time.monotonic() - began
                longest = min(_LONGEST_PAUSE, took * 2 ** (min(attempt, 16) + 1))
                pause = random.uniform(0, longest)  # noqa: S311
                connection.run(lambda _: time.sleep(pause))  # noqa: B023 - it is run at once
        raise OperationalError(
            f"no keys of {self._name} could be reserved in {_ATTEMPTS} attempts: others have moved "
            f"the count in {self._statements.counter} each time, or its answers were lost; nothing "
            "was inserted\nTo fix it: repeat the unit of work; with very many processes, make "
            "keys_block_size larger."
        )

    def _send(self, connection: _Lent, size: int) -> _Count | None:
        """Move the count by so many keys; ``None`` where the table has none."""
        request = uuid.uuid4().hex
        moved = self._statements.reserve(size, self._given, self._known, request)
        rows = connection.answered(moved)
        return None if not rows else _Count(int(rows[0][0]), is_mine=rows[0][1] == request)

    def _begin(self, connection: _Lent) -> None:
        """Give the table a count.

        Raises:
            NotSupportedError: It has keys of 63 bits.
        """
        (largest,) = connection.ask(self._statements.look)
        if largest is not None and largest > LARGEST:
            raise NotSupportedError(self._too_large(largest))
        with suppress(ConflictError, AmbiguousWriteError):
            connection.write(self._statements.begin)

    def _keep(self, first: int, last: int) -> None:
        """Use what a column holds of a range.

        Raises:
            NotSupportedError: Nothing of it.
        """
        if first > self._largest:
            raise NotSupportedError(
                f"the next key of {self._name} from a block would be {first}, and {self._largest} "
                "is the largest that the column, or a number of JavaScript, holds; nothing was "
                "inserted\nTo fix it: make keys of 63 bits from now on, in a BIGINT column, with "
                "databricks_keys='time_ordered' in the arguments of the table."
            )
        self._spans.append(_Span.of(first, min(last, self._largest)))
        _log.debug("keys %d to %d of %s are reserved", first, last, self._name)

    def _too_large(self, found: int) -> str:
        begin = (
            f"INSERT INTO {self._statements.counter} (table_name, last_key) "  # noqa: S608
            f"VALUES ({self._statements.name}, 0)"
        )
        return (
            f"keys of {self._name} are to come from blocks (keys='blocks'), and there are rows "
            f"with larger ones than {LARGEST}, such as {found}; small keys would sort before those "
            "rows, though they are newer; nothing was sent\n"
            "To fix it: leave the table as it is, with databricks_keys='time_ordered' in its "
            "arguments; or give the rows small keys; or, where the order of the keys says nothing, "
            f"let blocks begin below them: {begin}"
        )

    def _used_up(self) -> str:
        return (
            f"the keys of {self._name} that this process has reserved (keys='blocks') are used up, "
            "and no more can be reserved while the warehouse is away; nothing was written\n"
            "To fix it: repeat the unit of work when the warehouse is back; or give tables that "
            "are written meanwhile databricks_keys='time_ordered', whose keys need no warehouse."
        )

    @contextmanager
    def _connected(self) -> Iterator[_Lent]:
        """A connection for questions about the keys of this table."""
        with self._explained(), _opened(self._engine()) as connection:
            yield connection

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Say of errors that they are about the keys of this table; their classes stay."""
        try:
            yield
        except Error as error:
            if _NOT_THERE in (error.error_class or ""):
                raise ProgrammingError(
                    f"keys of {self._name} are to come from blocks (keys='blocks'), and the table "
                    f"that counts them, {self._statements.counter}, is not there, or "
                    f"{self._statements.table} itself: {error}\n"
                    "To fix it: create_all() and migrations make it with each table whose keys "
                    f"come from blocks; for a table that was there before, run this:\n"
                    f"{self._statements.create}",
                    sqlstate=error.sqlstate,
                    error_class=error.error_class,
                    statement_id=error.statement_id,
                ) from error
            if is_foreign(error):
                raise
            raise type(error)(
                f"a key of {self._name} is to come from a block (keys='blocks'), and none could be "
                f"reserved, so that nothing was written: {error}",
                sqlstate=error.sqlstate,
                error_class=error.error_class,
                statement_id=error.statement_id,
            ) from error


def _largest(column: Column[Any], dialect: Any) -> int:
    """The largest key that a column may get.

    Raises:
        CompileError: What is stored in it may be something else than the key.
    """
    if isinstance(column.type.dialect_impl(dialect), TypeDecorator):
        raise CompileError(
            f"keys of {column} are to come from blocks (keys='blocks'), which go on behind the "
            f"largest that is stored, and its type, {column.type!r}, is a TypeDecorator, which may "
            "store something else than the key. Give the column Integer or BigInteger; or the "
            "table databricks_keys='time_ordered'."
        )
    bits: int = getattr(innermost(column.type, dialect), "bits", 64)
    return min(LARGEST, (1 << (bits - 1)) - 1)


@contextmanager
def _opened(engine: Engine) -> Iterator[_Lent]:
    """A connection that is opened for this, as the engine's pool opens its own, and closed."""
    pool = engine.pool.recreate()
    lent = pool.connect()
    # It keeps no session, and looks after none.
    pool.dispose()
    try:
        opened = _Lent(engine.dialect, lent.dbapi_connection)
        # Each statement is a unit of its own.
        opened.run(lambda connection: setattr(connection, "autocommit", True))
        yield opened
    finally:
        lent.detach()
        lent.close()


class _Lent(NamedTuple):
    """A connection, which is used where it may wait: that of asyncio has a thread for it.

    Attributes:
        dialect: The dialect of its engine.
        connection: The connection that the pool gives.
    """

    dialect: Any
    connection: Any

    def run(self, work: Callable[[Connection], _Given]) -> _Given:
        """What some work on the connection gives."""
        real = self.dialect.get_driver_connection(self.connection)
        given: _Given = self.dialect.run_on(self.connection, lambda: work(real))
        return given

    def ask(self, query: str) -> tuple[Any, ...]:
        """The only row of a query."""

        def asked(connection: Connection) -> tuple[Any, ...]:
            with _run(connection, query, QUERY) as cursor:
                (row,) = cursor.fetchall()
            return tuple(row)

        return self.run(asked)

    def answered(self, script: str) -> list[tuple[Any, ...]]:
        """The rows that a script which writes answers with."""

        def sent(connection: Connection) -> list[tuple[Any, ...]]:
            with _run(connection, script, BLOCK) as cursor:
                return [tuple(row) for row in cursor.fetchall()]

        return self.run(sent)

    def write(self, statement: str) -> None:
        """Send an INSERT, UPDATE, DELETE or MERGE."""
        self.run(lambda connection: _run(connection, statement, WRITE).close())

    def give_up(self) -> None:
        """End the session, and what runs in it; the next statement opens another one."""
        self.run(lambda connection: connection.give_up())


def _run(connection: Connection, statement: str, described: StatementTraits) -> Cursor:
    return connection.cursor().execute(statement, described=described, kind=StatementKind.KEYS)
