"""Runs units of work: by reads that bring along what is held, in a transaction, and on SQLite."""

from __future__ import annotations

import datetime as dt
import decimal
import functools
import uuid
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from types import CodeType
from typing import Any

import sqlalchemy as sa
from sqlalchemy import orm
from sqlalchemy.engine import Result

from tests.dialect.held import engine_on
from tests.differential.programs import COMMIT, CORE, Unit
from tests.differential.running import COMMITTED, ROLLED_BACK, Unordered, reason
from tests.reads import tables
from vinci_code.database import upsert
from vinci_code.database.sqlite import create_sqlite_engine
from vinci_code.warehouse import LocalWarehouse

HELD, TRANSACTION, SQLITE = "held", "transaction", "sqlite"

# How a read was answered.
CARRIED, PLAIN, WITHIN, BEGUN = "carried", "nothing is held there", "in a transaction", "begins one"
UNASKED = "nothing is asked"

Rows = dict[str, list[tuple[Any, ...]]]


@dataclass
class Ended:
    """How a unit went on one side.

    Attributes:
        seen: What lines were shown, by their number.
        fate: As ``tests.differential.running`` calls it.
        message: The error in words.
        error: The name of its class.
        line: The number of the line that raised it; the number of lines where the commit did.
        answered: How each read was answered, by its line, with the reason.
        stopped: Whether a write was met that SQLite would make otherwise.
    """

    seen: dict[int, Any] = field(default_factory=dict)
    fate: str = COMMITTED
    message: str = ""
    error: str = ""
    line: int = -1
    answered: dict[int, str] = field(default_factory=dict)
    stopped: bool = False

    @property
    def ended_well(self) -> bool:
        """Whether no error has ended it."""
        return self.fate in (COMMITTED, ROLLED_BACK)


class Side:
    """A database with the tables.

    Args:
        name: ``HELD``, ``TRANSACTION`` or ``SQLITE``.
        engine: Its engine.
        empty: Makes some of its tables empty.
        warehouse: The warehouse whose record tells how reads are answered.
    """

    def __init__(
        self,
        name: str,
        engine: sa.Engine,
        empty: Callable[[Collection[str]], None],
        warehouse: LocalWarehouse | None = None,
    ) -> None:
        self.name = name
        self.engine = engine
        self.empty = empty
        self._warehouse = warehouse

    def run(self, unit: Unit, skip: Collection[int] = ()) -> Ended:
        """Run a unit.

        Args:
            unit: The unit.
            skip: Lines that are left out.
        """
        opened: Any = self.engine.connect() if unit.kind == CORE else orm.Session(self.engine)
        with opened as on:
            return _Run(self, unit, on, self._warehouse).run(skip)

    def rows(self, names: Iterable[str]) -> Rows:
        """The rows of tables, in no order."""
        with self.engine.connect() as connection:
            return {
                name: [tuple(row) for row in connection.execute(sa.select(tables.TABLES[name]))]
                for name in names
            }


class _Run:
    """One unit on one side."""

    def __init__(self, side: Side, unit: Unit, on: Any, warehouse: LocalWarehouse | None) -> None:
        self._side = side
        self._unit = unit
        self._on = on
        self._warehouse = warehouse
        self._asides: list[str] = []
        self._begun = ""
        self._shown: list[Any] = []
        self._ended = Ended()

    def run(self, skip: Collection[int]) -> Ended:
        ended, names = self._ended, self._names()
        number = -1
        try:
            for number, line in enumerate(self._unit.lines):
                if number in skip:
                    continue
                if self._side.name == SQLITE and "wide(" in line:
                    if line.startswith("see"):
                        continue
                    ended.stopped = True
                    break
                self._shown.clear()
                self._before()
                exec(_compiled(line), names)
                if self._shown:
                    ended.seen[number] = self._shown[0]
                    self._note(number)
            number += 1
            if self._unit.ends == COMMIT and not ended.stopped:
                self._on.commit()
            else:
                self._on.rollback()
                ended.fate = ROLLED_BACK
        except Exception as error:  # noqa: BLE001 - whatever it is, it is compared
            ended.fate, ended.error = reason(error)
            ended.message = f"{type(error).__name__}: " + " ".join(str(error).split())[:600]
            ended.line = number
            self._on.rollback()
        return ended

    def _names(self) -> dict[str, Any]:
        return {
            "__name__": "program",
            **namespace(),
            "session": self._on,
            "conn": self._on,
            "see": lambda value: self._shown.append(_described(value, ordered=False)),
            "see_ordered": lambda value: self._shown.append(_described(value, ordered=True)),
            "aside": self._aside,
        }

    def _aside(self, why: str, statement: Any) -> Any:
        self._asides.append(why)
        return statement

    def _before(self) -> None:
        if self._warehouse is not None:
            self._warehouse.clear_requests()

    def _note(self, number: int) -> None:
        """Note, from the record of the warehouse, how a read was answered."""
        if self._warehouse is None:
            return
        sent = self._warehouse.statements
        if self._begun:
            how = f"{WITHIN}: {self._begun}"
        elif "BEGIN TRANSACTION" in sent:
            self._begun = self._asides[0] if self._asides else ""
            how = f"{BEGUN}: {self._begun}"
        elif any("vinci_layer_" in text for text in sent):
            how = CARRIED
        else:
            how = PLAIN if sent else UNASKED
        self._ended.answered[number] = how


# --- what a line is shown ------------------------------------------------------------------------


def _described(value: Any, *, ordered: bool) -> Any:
    if isinstance(value, Result):
        value = [tuple(row) for row in value]
    if not isinstance(value, list):
        return _plain(value)
    rows = tuple(map(_plain, value))
    return rows if ordered else Unordered(rows)


def _plain(value: Any) -> Any:
    """An object as its class and columns; anything else as it is."""
    if isinstance(value, tuple):
        return tuple(map(_plain, value))
    if isinstance(value, list) and any(isinstance(item, tables.Base) for item in value):
        return tuple(map(_plain, value))
    if not isinstance(value, tables.Base):
        return value
    names = [attribute.key for attribute in sa.inspect(type(value)).column_attrs]
    return (type(value).__name__, *((name, getattr(value, name)) for name in names))


# --- what a line may name ------------------------------------------------------------------------


def _objects(session: orm.Session, statement: Any) -> list[Any]:
    """The objects of a query as they are now, and not as they were loaded before."""
    session.flush()
    session.expire_all()
    return list(session.scalars(statement).unique().all())


def _again(session: orm.Session, of: Any, key: Any) -> Any:
    found = session.get(of, key)
    if found is not None:
        session.refresh(found)
    return found


def _change(session: orm.Session, of: Any, key: Any, **values: Any) -> None:
    found = session.get(of, key, populate_existing=True)
    if found is not None:
        for name, value in values.items():
            setattr(found, name, value)
        session.flush()


def _attach(session: orm.Session, of: Any, key: Any, name: str, item: Any) -> None:
    found = session.get(of, key, populate_existing=True)
    if found is not None:
        getattr(found, name).append(item)
        session.flush()


def _remove(session: orm.Session, of: Any, key: Any) -> None:
    found = session.get(of, key, populate_existing=True)
    if found is not None:
        session.delete(found)
        session.flush()


@functools.cache
def namespace() -> dict[str, Any]:
    """The names that every line may use, beside those of its unit."""
    words = (
        "insert update delete select func text literal literal_column bindparam case exists true"
        " and_ or_ not_ tuple_ cast union union_all intersect except_ intersect_all except_all desc"
        " Integer String"
    )
    names: dict[str, Any] = {name: getattr(sa, name) for name in words.split()}
    names |= {"upsert": upsert, "Decimal": decimal.Decimal, "UUID": uuid.UUID, "datetime": dt}
    names |= {"joinedload": orm.joinedload, "selectinload": orm.selectinload}
    names |= {"objects": _objects, "again": _again, "change": _change, "attach": _attach}
    names |= {"remove": _remove, "wide": lambda statement: statement, "Colour": tables.Colour}
    names |= tables.CLASSES
    names["Node_2"] = orm.aliased(tables.Node, name="node_o")
    for name, table in tables.TABLES.items():
        names[name] = table
        for number in range(2, tables.COPIES + 1):
            names[f"{name}_{number}"] = table.alias(f"{name}_{number}")
    return names


@functools.lru_cache(maxsize=512)
def _compiled(line: str) -> CodeType:
    return compile(line, "<program>", "exec")


# --- sides ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Sides:
    """The three that are compared."""

    held: Side
    transaction: Side
    sqlite: Side

    def empty(self, names: Collection[str]) -> None:
        """Make some tables empty everywhere."""
        for side in (self.held, self.transaction, self.sqlite):
            side.empty(names)


@contextmanager
def sides(**options: Any) -> Iterator[Sides]:
    """Three sides, two of them schemas of one warehouse; options are those of its engines."""
    options = {"enforce_foreign_keys": True, **options}
    with ExitStack() as stack:
        warehouse = stack.enter_context(LocalWarehouse(record_limit=64))
        made = {}
        for name, limit in ((HELD, 1_000_000), (TRANSACTION, 0)):
            warehouse.sql(f"CREATE SCHEMA {name}")
            engine = engine_on(warehouse, name, held_read_bytes=limit, **options)
            stack.callback(engine.dispose)
            tables.Base.metadata.create_all(engine)
            record = warehouse if name == HELD else None
            made[name] = Side(name, engine, _emptying(warehouse, name), record)
        made[SQLITE] = stack.enter_context(_sqlite())
        yield Sides(made[HELD], made[TRANSACTION], made[SQLITE])


def _emptying(warehouse: LocalWarehouse, schema: str) -> Callable[[Collection[str]], None]:
    def empty(names: Collection[str]) -> None:
        for name in names:
            warehouse.sql(f"DELETE FROM {schema}.{name}")

    return empty


@contextmanager
def _sqlite() -> Iterator[Side]:
    engine = create_sqlite_engine("sqlite:///:memory:")
    tables.Base.metadata.create_all(engine)

    def empty(names: Collection[str]) -> None:
        # Within a transaction the pragma is ignored: https://www.sqlite.org/pragma.html
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.exec_driver_sql("PRAGMA foreign_keys = OFF")
            for name in names:
                connection.exec_driver_sql(f"DELETE FROM {name}")
            connection.exec_driver_sql("PRAGMA foreign_keys = ON")

    yield Side(SQLITE, engine, empty)
    engine.dispose()


def counted(ended: Ended) -> Counter[str]:
    """How often reads were answered how."""
    return Counter(f"read: {how}" for how in ended.answered.values())
