"""Small keys: ranges of them are reserved on the warehouse, in a table that counts.

``keys="blocks"`` of ``create_engine``, or ``databricks_keys="blocks"`` of a ``Table``, has the keys
that SQLite would give out taken from ranges: 1 to 1,000, 1,001 to 3,000 and so on. Here is which
tables want that, the table that counts, the statements on it, and what one execution needs of keys;
``units.key_ranges`` has the protocol.

The counting table lies in the schema of the tables whose keys it counts, and has a row for each,
which tells the last key that is reserved and by which request. A range is reserved by a MERGE that
moves the count on, and by whom it was moved is asked for in the same request, a compound statement
(BEGIN … END, https://docs.databricks.com/aws/en/sql/language-manual/control-flow/compound-stmt),
which needs no transactions.

The row without a name is changed whenever a row is added. Two statements that add a row for one
table at the same time have both changed that row, and of two that change one row Delta lets a
single one commit, whatever the isolation level
(https://docs.databricks.com/aws/en/optimizations/isolation-level). Of two that only add rows it is
not documented that they are in conflict.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from sqlalchemy.exc import ArgumentError
from sqlalchemy.schema import Column, MetaData, Table

from vinci_code.database.dialect.text.literals import quote_text

TIME_ORDERED = "time_ordered"
BLOCKS = "blocks"
KINDS = (TIME_ORDERED, BLOCKS)

KEY_TABLE = "vinci_keys"
"""The table that counts; reflection does not list it, as SQLite's does not list its own."""

LARGEST = (1 << 53) - 1
"""The largest whole number that a binary number of 64 bits holds with all numbers below it, which
is what JavaScript, Excel, and pandas for a column with NULLs make of a key."""

_OPTION = "databricks_keys"


def key_kind(table: Table, dialect: Any) -> str:
    """How the keys of a table are made, one of ``KINDS``.

    Raises:
        ArgumentError: Its ``databricks_keys=`` is something else.
    """
    # Without an argument for Databricks nothing is looked up: that would import whichever package
    # answers to the name ``databricks``.
    given = table.dialect_kwargs.get(_OPTION) if "databricks" in table.dialect_options else None
    kind: str = dialect.keys if given is None else given
    if kind not in KINDS:
        raise ArgumentError(
            f"{_OPTION}={kind!r} of the table {table.fullname}: it is one of "
            f"{', '.join(map(repr, KINDS))}"
        )
    return kind


@dataclass(frozen=True)
class KeyStatements:
    """The statements that reserve keys of one column.

    Attributes:
        counter: The counting table, as SQL.
        table: The table of the column, as SQL.
        column: The column, as SQL.
        name: What the table is called in the counting table.
    """

    counter: str
    table: str
    column: str
    name: str

    @classmethod
    def of(cls, column: Column[Any], schema: str | None, preparer: Any) -> KeyStatements:
        """Those for a column whose table is in a schema; ``None`` is that of the connection."""
        table = column.table
        there = Table(table.name, MetaData(), schema=schema)
        return cls(
            counter=counter_name(schema, preparer),
            table=preparer.format_table(there),
            column=preparer.format_column(column),
            name=quote_text(table.name.lower()),
        )

    @property
    def create(self) -> str:
        """Makes the counting table where it is not there."""
        return create_counter(self.counter)

    @property
    def look(self) -> str:
        """Asks for the largest key that is there."""
        return f"SELECT max({self.column}) FROM {self.table}"  # noqa: S608

    def count(self, ranges: Sequence[tuple[int, int]]) -> str:
        """Counts the rows whose keys lie in ranges, given by their first and last keys."""
        within = " OR ".join(self._between(first, last) for first, last in ranges)
        return f"SELECT count(*) FROM {self.table} WHERE {within}"  # noqa: S608

    def reserve(self, size: int, behind: int, known: int, request: str) -> str:
        """Moves the count by the size of a range, and asks where it stands and who moved it last.

        The range lies behind the count, behind a key, and behind each small key that is there.

        Args:
            size: How many keys the range has.
            behind: A key that it is to be behind.
            known: What the count is known to have reached: rows with a key up to it lie below it.
            request: What tells this request from any other.
        """
        return (
            "BEGIN\n"  # noqa: S608
            f"MERGE INTO {self.counter} AS vinci_there\n"
            f"USING (SELECT max({self.column}) AS largest FROM {self.table} "
            f"WHERE {self._between(known + 1, LARGEST)}) AS vinci_new\n"
            f"ON vinci_there.table_name = {self.name}\n"
            "WHEN MATCHED THEN UPDATE SET last_key = "
            f"greatest(vinci_there.last_key, vinci_new.largest, {behind}) + {size}, "
            f"request = {quote_text(request)};\n"
            f"SELECT last_key, request FROM {self.counter} WHERE table_name = {self.name};\n"
            "END"
        )

    @property
    def begin(self) -> str:
        """Gives the table its row, with nothing reserved, unless it has one."""
        return (
            f"MERGE INTO {self.counter} AS vinci_there\n"  # noqa: S608
            f"USING (SELECT '' AS name UNION ALL SELECT {self.name}) AS vinci_new\n"
            "ON vinci_there.table_name = vinci_new.name\n"
            "WHEN MATCHED AND vinci_new.name = '' "
            "THEN UPDATE SET last_key = vinci_there.last_key + 1\n"
            "WHEN NOT MATCHED AND vinci_new.name <> '' "
            "THEN INSERT (table_name, last_key) VALUES (vinci_new.name, 0)"
        )

    def _between(self, first: int, last: int) -> str:
        return f"{self.column} BETWEEN {first} AND {last}"


def counter_name(schema: str | None, preparer: Any) -> str:
    """The counting table of a schema, as SQL."""
    name: str = preparer.format_table(Table(KEY_TABLE, MetaData(), schema=schema))
    return name


def create_counter(name: str) -> str:
    """The statement that makes a counting table, with the row that has no name.

    By one statement, so that the table is never there without it.
    """
    return (
        f"CREATE TABLE IF NOT EXISTS {name}\n"
        "COMMENT 'The last key that was reserved for each table; do not drop it'\n"
        "AS SELECT '' AS table_name, CAST(0 AS BIGINT) AS last_key, CAST(NULL AS STRING) AS request"
    )


class KeyNeed:
    """What one execution needs of keys.

    Args:
        schemas: The schemas that stand for others, of its ``schema_translate_map``.
        rows: Its sets of parameters.
        name: The parameter for which a key is made where none is given; ``None`` where the keys
            stand within the statement.
        within: For how many rows within the statement.
    """

    def __init__(
        self,
        schemas: Mapping[str | None, str | None] | None,
        rows: Sequence[Mapping[str, Any]],
        name: str | None,
        within: int,
    ) -> None:
        self.schemas = schemas or {}
        self._rows = rows
        self._name = name
        self._within = within
        self._made = 0

    def made(self) -> None:
        """Note that a key was made."""
        self._made += 1

    def left(self) -> int:
        """How many more it needs at most."""
        if self._name is None:
            needed = self._within * max(1, len(self._rows))
        else:
            needed = sum(row.get(self._name) is None for row in self._rows)
        return max(1, needed - self._made)

    def schema_of(self, table: Table) -> str | None:
        """The schema that a table is in."""
        return translated(table, self.schemas)


def translated(table: Table, schemas: Mapping[str | None, str | None]) -> str | None:
    """The schema of a table, where schemas may stand for others."""
    return schemas.get(table.schema, table.schema)


_needed: ContextVar[KeyNeed | None] = ContextVar("vinci_key_need", default=None)


@contextmanager
def needing(need: KeyNeed) -> Iterator[None]:
    """Have what is executed within the block take keys.

    A statement that is only compiled, to be looked at, takes none: that would ask the warehouse.
    """
    before = _needed.set(need)
    try:
        yield
    finally:
        _needed.reset(before)


def note_given(column: Column[Any], dialect: Any, key: object) -> None:
    """Note that the execution that goes on gives a row a key of its own."""
    need = _needed.get()
    if need is not None:
        dialect.key_ranges.given(column, need.schema_of(column.table), key)


def block_key(column: Column[Any], dialect: Any) -> int | None:
    """The next key of a column for the execution that goes on; ``None`` without one.

    Raises:
        Error: None could be reserved.
    """
    need = _needed.get()
    if need is None:
        return None
    key: int = dialect.key_ranges.next(column, need.schema_of(column.table), need.left)
    need.made()
    return key
