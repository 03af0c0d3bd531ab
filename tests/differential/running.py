"""Runs units of work on a side: what each line was shown, how the unit ended, and what is there."""

from __future__ import annotations

import datetime as dt
import decimal
import uuid
import warnings
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import CodeType
from typing import Any

import sqlalchemy as sa
from sqlalchemy import orm
from sqlalchemy.engine import Result
from sqlalchemy.orm.exc import StaleDataError

from tests.dialect.held import engine_on
from tests.differential import tables
from tests.differential.expressions import GENERATED
from tests.differential.programs import AUTOCOMMIT, COMMIT, CORE, Unit
from vinci_code.database import upsert
from vinci_code.database.sqlite import create_sqlite_engine
from vinci_code.warehouse import LocalWarehouse

SQLITE, WAREHOUSE = "sqlite", "warehouse"

COMMITTED, ROLLED_BACK = "committed", "rolled back"
INTEGRITY, STALE, REFUSED, OTHER = "IntegrityError", "StaleDataError", "refused", "another error"

# By name: the dialect's classes are wrapped by SQLAlchemy's, or are none of them.
_REFUSALS = (
    "PendingWritesError",
    "AtomicityError",
    "ValueRefusedError",
    "CompileError",
    "UnsupportedCompilationError",
    "NotSupportedError",
)

Rows = dict[str, list[tuple[Any, ...]]]


@dataclass
class Ended:
    """How a unit went on one side.

    Attributes:
        seen: What lines were shown, by their number.
        fate: ``COMMITTED``, ``ROLLED_BACK``, ``INTEGRITY``, ``STALE``, ``REFUSED`` or ``OTHER``.
        message: The error in words.
        error: The name of its class.
        line: The number of the line that raised it; the number of lines where the commit did.
        skipped: The reads that were refused by name, after which the unit went on.
        broken: The error of the rollback after an error.
    """

    seen: dict[int, Any] = field(default_factory=dict)
    fate: str = COMMITTED
    message: str = ""
    error: str = ""
    line: int = -1
    skipped: dict[int, str] = field(default_factory=dict)
    broken: str = ""

    @property
    def ended_well(self) -> bool:
        """Whether no error has ended it."""
        return self.fate in (COMMITTED, ROLLED_BACK)


class Side:
    """A database with the tables.

    Args:
        name: ``SQLITE`` or ``WAREHOUSE``.
        engine: Its engine.
        empty: Makes some of its tables empty.
    """

    def __init__(
        self, name: str, engine: sa.Engine, empty: Callable[[Collection[str]], None]
    ) -> None:
        self.name = name
        self.engine = engine
        self._empty = empty
        self._session: orm.Session | None = None
        self._names: dict[str, Any] = {}
        self._used: set[str] = set()

    def start(self, used: Collection[str]) -> None:
        """Begin a program.

        Args:
            used: The tables that it names.
        """
        self.end()
        self._empty(self._used | set(used))
        self._used = set(used)

    def end(self) -> None:
        """Close the session of a program."""
        if self._session is not None:
            self._session.close()
        self._session = None

    def run(self, unit: Unit, *, ends: str | None = None, skip: Collection[int] = ()) -> Ended:
        """Run a unit.

        Args:
            unit: The unit.
            ends: How it ends, if not as it says.
            skip: Lines whose results are not noted, since the other side did not run them.
        """
        ended = Ended()
        ends = ends or unit.ends
        if unit.kind == CORE:
            self.end()
            with self._connection(unit.isolation) as connection:
                self._run(unit, ended, connection, connection, ends, skip)
        else:
            if self._session is None or not unit.same_session:
                self.end()
                self._session = orm.Session(self.engine)
            session = self._session
            session.autoflush = unit.autoflush
            if unit.isolation and self.name == WAREHOUSE:
                session.connection(execution_options=_level(unit.isolation))
            self._run(unit, ended, session, None, ends, skip)
            if not ended.ended_well or ends != COMMIT:
                self.end()
        return ended

    def rows(self, names: Iterable[str]) -> Rows:
        """The rows of tables, in no order."""
        with self.engine.connect() as connection:
            return {
                name: [tuple(row) for row in connection.execute(sa.select(tables.TABLES[name]))]
                for name in names
            }

    def _connection(self, isolation: str) -> sa.Connection:
        connection = self.engine.connect()
        if isolation == AUTOCOMMIT or (isolation and self.name == WAREHOUSE):
            connection.execution_options(**_level(isolation))
        return connection

    def _run(
        self,
        unit: Unit,
        ended: Ended,
        on: Any,
        connection: sa.Connection | None,
        ends: str,
        skip: Collection[int],
    ) -> None:
        shown: list[Any] = []
        names = {
            "__name__": "program",
            **namespace(),
            "session": on,
            "conn": connection if connection is not None else on,
            "see": lambda value: shown.append(_described(value, ordered=False)),
            "see_ordered": lambda value: shown.append(_described(value, ordered=True)),
        }
        number = -1
        try:
            for number, line in enumerate(unit.lines):
                shown.clear()
                try:
                    exec(_compiled(line), names)
                except Exception as error:
                    if not self._may_go_on(line, error):
                        raise
                    ended.skipped[number] = reason(error)[1]
                if shown and number not in skip:
                    ended.seen[number] = shown[0]
            number += 1
            if ends == COMMIT:
                on.commit()
            else:
                on.rollback()
                ended.fate = ROLLED_BACK
        except Exception as error:  # noqa: BLE001 - whatever it is, it is compared
            ended.fate, ended.error = reason(error)
            ended.message = _first_lines(error)
            ended.line = number
            self._roll_back(on, ended)

    def _roll_back(self, on: Any, ended: Ended) -> None:
        try:
            on.rollback()
        except Exception as error:  # noqa: BLE001 - a finding
            ended.broken = _first_lines(error)
            on.close()

    def _may_go_on(self, line: str, error: Exception) -> bool:
        """Whether a line was refused that only reads, so that what is held is still held."""
        return line.startswith("see") and reason(error) == (REFUSED, "PendingWritesError")


def _level(isolation: str) -> dict[str, Any]:
    return {"isolation_level": isolation.upper()}


def reason(error: BaseException) -> tuple[str, str]:
    """The fate of a unit that ends with an error, and the name of the class that says why."""
    original = getattr(error, "orig", None) or error
    if isinstance(error, StaleDataError):
        return STALE, "StaleDataError"
    names = [kind.__name__ for kind in type(original).__mro__]
    if isinstance(error, sa.exc.IntegrityError) or "IntegrityError" in names:
        return INTEGRITY, "IntegrityError"
    for refusal in _REFUSALS:
        if refusal in names:
            return REFUSED, refusal
    return OTHER, type(original).__name__


def _first_lines(error: BaseException) -> str:
    return f"{type(error).__name__}: " + " ".join(str(error).split())[:400]


# --- what a line is shown ------------------------------------------------------------------------


@dataclass(frozen=True)
class Unordered:
    """Rows whose order nobody has asked for."""

    rows: tuple[Any, ...]


def _described(value: Any, *, ordered: bool) -> Any:
    if isinstance(value, Result):
        value = [tuple(row) for row in value]
    elif isinstance(value, orm.Query):
        value = value.all()
    if not isinstance(value, list):
        return _plain(value)
    rows = tuple(map(_plain, value))
    return rows if ordered else Unordered(rows)


def _plain(value: Any) -> Any:
    """An object as its class and columns; anything else as it is."""
    if isinstance(value, tuple):
        return tuple(map(_plain, value))
    if isinstance(value, list) and any(isinstance(item, tables.Base) for item in value):
        return Unordered(tuple(map(_plain, value)))
    if isinstance(value, list):
        return list(value)  # a collection that may change later
    if isinstance(value, sa.ClauseElement):
        return "an expression that is not flushed yet"
    if not isinstance(value, tables.Base):
        return value
    mapper = sa.inspect(type(value))
    return (
        type(value).__name__,
        *(
            (attribute.key, _plain(getattr(value, attribute.key)))
            for attribute in mapper.column_attrs
            if str(attribute.columns[0]) not in GENERATED
        ),
    )


# --- what a line may name ------------------------------------------------------------------------


_NAMES: dict[str, Any] = {}
_CODE: dict[str, CodeType] = {}


def namespace() -> dict[str, Any]:
    """The names that every line may use, beside ``conn``, ``session`` and ``see``."""
    if not _NAMES:
        for name in (
            "insert update delete select func text literal literal_column bindparam case exists"
            " null and_ or_ not_ tuple_ cast union union_all Integer String"
        ).split():
            _NAMES[name] = getattr(sa, name)
        _NAMES.update(upsert=upsert, Decimal=decimal.Decimal, UUID=uuid.UUID, datetime=dt)
        _NAMES.update(joinedload=orm.joinedload, selectinload=orm.selectinload)
        _NAMES.update(Colour=tables.Colour, cheap=tables.cheap)
        for mapper in tables.Base.registry.mappers:
            _NAMES[mapper.class_.__name__] = mapper.class_
        for name, table in tables.TABLES.items():
            _NAMES[name] = table
            _NAMES[f"{name}_2"] = table.alias(f"{name}_2")
    return _NAMES


def _compiled(line: str) -> CodeType:
    return compile(line, "<program>", "exec")


# --- sides ---------------------------------------------------------------------------------------


@contextmanager
def sqlite_side() -> Iterator[Side]:
    """SQLite in memory, with foreign keys enforced."""
    engine = create_sqlite_engine("sqlite:///:memory:")
    tables.Base.metadata.create_all(engine)
    with engine.begin() as connection:
        connection.exec_driver_sql(tables.CREATE_VIEW)

    def empty(names: Collection[str]) -> None:
        # Within a transaction the pragma is ignored: https://www.sqlite.org/pragma.html
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.exec_driver_sql("PRAGMA foreign_keys = OFF")
            for name in names:
                connection.exec_driver_sql(f"DELETE FROM {name}")
            connection.exec_driver_sql("PRAGMA foreign_keys = ON")

    side = Side(SQLITE, engine, empty)
    yield side
    side.end()
    engine.dispose()


@contextmanager
def warehouse_side(*, transactions: bool, **options: Any) -> Iterator[Side]:
    """A local warehouse of its own, by way of the dialect and the vendor's driver.

    Args:
        transactions: Whether it has transactions.
        options: Arguments of ``create_engine``.
    """
    with LocalWarehouse(transactions=transactions, record_limit=64) as warehouse:
        engine = engine_on(warehouse, warehouse.schema, **{"enforce_foreign_keys": True, **options})
        for table in tables.TABLES.values():
            _create(engine, table)
        warehouse.sql(tables.CREATE_VIEW)

        def empty(names: Collection[str]) -> None:
            for name in names:
                warehouse.sql(f"DELETE FROM {name}")

        side = Side(WAREHOUSE, engine, empty)
        yield side
        side.end()
        engine.dispose()


def _create(engine: sa.Engine, table: sa.Table) -> None:
    """Make a table; one whose unique index cannot be declared there is made without it.

    What the index forbids is the dialect's affair all the same.
    """
    try:
        table.create(engine)
    except sa.exc.CompileError:
        other = table.to_metadata(sa.MetaData())
        other.indexes.clear()
        other.create(engine)


@contextmanager
def quiet() -> Iterator[None]:
    """Keep warnings of SQLAlchemy about what programs do on purpose to itself."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
