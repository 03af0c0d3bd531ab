"""Loading by rows: SQLAlchemy's own INSERT and ``upsert()``, portion by portion."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

from sqlalchemy import Connection, Table, delete, func, insert, select
from sqlalchemy.exc import DBAPIError, InterfaceError, ProgrammingError, StatementError
from sqlalchemy.sql import ClauseElement

from vinci_code.core.errors import RowRefusedError, ValueRefusedError
from vinci_code.database.dialect.types.base import named, write_processor
from vinci_code.database.loading.binds import begin_writing, is_counted
from vinci_code.database.loading.given import GivenColumn as Given
from vinci_code.database.loading.given import Row, names_of, portions_within, rows_of
from vinci_code.database.loading.portions import ROWS, Portion
from vinci_code.database.loading.results import LoadOutcome, left_over
from vinci_code.database.loading.sqlite import column_insert, unbound
from vinci_code.database.loading.targets import Matching
from vinci_code.database.loading.telling import Telling
from vinci_code.database.upserts import upsert


class RowLoad:
    """One load by rows.

    Args:
        connection: The connection, in a transaction that somebody else ends.
        table: The table.
        matching: What is done with rows that are there.
        enforce_keys: Whether keys are checked on Databricks; SQLite checks always.
        telling: Counts the rows, and tells of them.
    """

    def __init__(
        self,
        connection: Connection,
        table: Table,
        matching: Matching,
        *,
        enforce_keys: bool,
        telling: Telling,
    ) -> None:
        self._connection = connection
        self._table = table
        self._matching = matching
        self._options: dict[str, Any] = {} if enforce_keys else {"enforce_keys": False}
        self._telling = telling
        self._counts = is_counted(connection.dialect)
        self._insert_of = cache(partial(column_insert, connection, table))
        # Upserts that are held; the warehouse tells after the commit what it has done.
        self._held: list[Any] = []

    def run(self, portions: Iterable[Portion], columns_of: Any) -> LoadOutcome | HeldOutcome:
        """Write all rows.

        Args:
            portions: The rows.
            columns_of: Gives the columns for the names of a portion.

        Raises:
            RowRefusedError: A value cannot be stored.
            DBAPIError: The database does not take the rows.
        """
        mode = self._matching.mode
        begin_writing(self._connection, self._table)
        if mode == "replace":
            self._connection.execute(delete(self._table))
        before = self._count() if self._counts and mode == "upsert" else 0
        written = 0
        for portion in portions_within(portions, ROWS if self._counts else _HELD_ROWS):
            written += self._write_portion(portion, columns_of(names_of(portion)))
            self._telling.add(portion.rows, portion.size)
        return self._outcome(written, before)

    def _write_portion(self, portion: Portion, columns: Sequence[Given]) -> int:
        if self._matching.mode in {"append", "replace"}:
            by_column = self._insert_of(tuple(columns))
            if by_column is not None:
                by_column.run(portion, self._telling.rows)
                return portion.rows
        return self._write(rows_of(portion, columns, self._telling.rows), columns)

    def _write(self, rows: Sequence[Row], columns: Sequence[Given]) -> int:
        if not rows:
            return 0
        statement: Any = insert(self._table)
        given: Sequence[Row] | None = rows
        if self._matching.mode in {"upsert", "insert_missing"}:
            statement, given = self._upsert(rows, columns), None
        try:
            result = self._connection.execute(statement, given, execution_options=self._options)
        except (StatementError, OverflowError, UnicodeError) as error:
            is_unbound = self._counts and isinstance(error, (InterfaceError, ProgrammingError))
            if isinstance(error, DBAPIError) and not is_unbound:
                raise
            self._explain(error, rows, columns)
            raise
        if not self._counts:
            self._held += getattr(getattr(result, "context", None), "held_writes", ())
        return result.rowcount if self._counts else 0

    def _upsert(self, rows: Sequence[Row], columns: Sequence[Given]) -> Any:
        keys = [column.key for column in self._matching.keys]
        update = [column.key for column in self._matching.update]
        if self._matching.mode == "upsert" and not update:
            update = [given.column.key for given in columns if given.column.key not in keys]
        return upsert(self._table, rows, keys=keys, update=update)

    def _explain(self, error: Exception, rows: Sequence[Row], columns: Sequence[Given]) -> None:
        """Say in which row a value is that a type has refused.

        Raises:
            RowRefusedError: It was found.
        """
        dialect = self._connection.dialect
        found = [
            (number, given, refused)
            for given in columns
            for number, refused in [_first_refused(rows, given, dialect)]
            if refused is not None
        ]
        if not found:
            return
        number, given, refused = min(found, key=lambda item: item[0])
        raise RowRefusedError(self._telling.rows + number + 1, given.name, refused) from error

    def _count(self) -> int:
        return self._connection.scalar(select(func.count()).select_from(self._table)) or 0

    def _outcome(self, written: int, before: int) -> LoadOutcome | HeldOutcome:
        read, mode = self._telling.rows, self._matching.mode
        if mode in {"append", "replace"} or read == 0:
            return LoadOutcome(written=read, inserted=read, changed=0, skipped=0)
        if not self._counts:
            return HeldOutcome(read, tuple(self._held), not self._options)
        # Of an upsert that changes nothing, as of keys alone, SQLite counts what is new.
        inserted = written if mode == "insert_missing" else self._count() - before
        return LoadOutcome(
            written=written, inserted=inserted, changed=written - inserted, skipped=read - written
        )


@dataclass(frozen=True)
class HeldOutcome:
    """What becomes of the rows of an upsert that are held, told after their commit.

    Attributes:
        read: How many rows there were.
        writes: The writes that hold them.
        is_checked: Whether each key stands for one row.
    """

    read: int
    writes: tuple[Any, ...]
    is_checked: bool = True

    def told(self) -> LoadOutcome:
        """What the warehouse has told; nothing where they have not gone as one statement.

        Or where several have one key, of which one row was made.
        """
        if len(self.writes) != 1 or len(self.writes[0].settled()) != self.read:
            return LoadOutcome()
        counts = self.writes[0].counts
        inserted, changed = counts.get("num_inserted_rows"), counts.get("num_updated_rows")
        if inserted is None or changed is None:
            return LoadOutcome()
        return LoadOutcome(
            written=inserted + changed,
            inserted=inserted,
            changed=changed,
            skipped=left_over(self.read, inserted, changed, is_checked=self.is_checked),
        )


_HELD_ROWS = 65_536
"""How many rows of Arrow are one write that is held."""


def _first_refused(rows: Sequence[Row], given: Given, dialect: Any) -> tuple[int, str | None]:
    """Which row has the first value of a column that its type refuses, and why."""
    process, key = write_processor(given.column.type, dialect), given.column.key
    is_sqlite = dialect.name == "sqlite"
    if process is None and not is_sqlite:
        return 0, None
    for number, row in enumerate(rows):
        try:
            found = row[key] if process is None else process(row[key])
        except ValueRefusedError as error:
            return number, str(error)
        except Exception:  # noqa: BLE001 - whatever a type of the application's raises
            # What it says may have the value in it.
            return number, f"{named(row[key])}, which {given.column.type!r} does not take"
        reason = unbound(found) if is_sqlite and not isinstance(found, ClauseElement) else None
        if reason is not None:
            return number, reason
    return 0, None
