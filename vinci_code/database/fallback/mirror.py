"""Copies of the warehouse's tables, from which the standby answers while the warehouse is away.

A table is read by one SELECT. Delta answers that from one version of the table, whatever is written
meanwhile, and whether or not the table has time travel; so what is copied is never half of one
version and half of another. Its time is that of this machine's clock before the SELECT was sent:
what was committed before then is in the copy, and of what was committed while it began, some may
be. The version's number is not asked for: DESCRIBE HISTORY may be that of another one, or be
forbidden. Each table has a version, and a time, of its own.

The rows go to a file beside the standby first (``….mirror``), which nobody reads, a chunk at a
time. When all are there, one transaction of SQLite puts them in the place of the former rows, and
notes as of when they are. Readers of the standby see the one or the other, and a process that ends
in between leaves the former. While that transaction goes on, which takes about a second for some
100,000 rows, a commit on the standby waits, as for any other that writes.

What is copied of a value is what is stored of it, wherever both databases store the same: text, and
so JSON and ``Enum``, bytes, and what a ``TypeDecorator`` makes of its values. Anything else is read
by the column's type as an application would, and written by it as one would. A number or an instant
that would not come back equal is refused, by the column's name.
"""

from __future__ import annotations

import datetime as dt
import os
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import Column, MetaData, String, Table, func, insert, select
from sqlalchemy import types as sqltypes
from sqlalchemy.exc import DBAPIError
from sqlalchemy.sql.expression import type_coerce
from sqlalchemy.types import TypeDecorator, TypeEngine

from vinci_code.core.errors import MirrorError
from vinci_code.database.dialect.dberrors import Error
from vinci_code.database.dialect.units.held import bare_name
from vinci_code.database.fallback.away import is_away
from vinci_code.database.fallback.journal_file import files_explained
from vinci_code.database.fallback.locks import open_private
from vinci_code.database.fallback.records import Mirror, State, now

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection, Dialect

    from vinci_code.database.fallback.fallback import Fallback
    from vinci_code.database.fallback.journal import Journal

OnMirrorProgress = Callable[[str, int, "int | None"], object]
"""Is called with a table, how many of its rows are here, and how many there are, roughly."""

_MOST_ROWS = 2_000
"""How many rows are in memory at a time, at most."""

_MOST_BYTES = 8 * 1024 * 1024
"""How many bytes these have, about, unless 10 rows alone have more."""

_FEWEST_ROWS, _FIRST_ROWS = 10, 100
_SOME_VALUES = 100
_STAGE = "vinci_mirror"


def refresh(
    fallback: Fallback,
    tables: Sequence[str] | None = None,
    progress: OnMirrorProgress | None = None,
) -> list[Mirror]:
    """Copy tables from the warehouse into the standby.

    What waits in the journal is sent first, since a copy without it would hide it. Of a unit of
    work that is parked, its rows in the standby are replaced by those that the warehouse has: the
    unit itself stays in the journal, and is decided about there.

    Meanwhile no process sends what is journaled. Where units of work are committed on the standby
    while a table is copied, because the warehouse is away for some process, the copy is given up.

    Args:
        fallback: The fallback.
        tables: Names of tables, with their schemas or without; by default all that it has.
        progress: Is called at the beginning and the end of each table, and after each chunk. The
            number of all rows is that of a moment before, for which one more request is sent.

    Returns:
        The tables in the order in which they were copied. Where it fails, those that were copied
        before stay.

    Raises:
        MirrorError: There is no such table; units of work wait, or their outcome is not known;
            another process is sending them, or is copying; or the standby cannot hold the rows.
        FallbackFileError: The file of the standby cannot be used.
        DBAPIError: What the warehouse says, as when it is away.
    """
    chosen = _chosen(fallback.tables, tables)
    done = fallback.bring_back()
    if done is None:
        raise _busy()
    if done.error is not None:
        raise done.error
    with fallback.journal.replaying() as mine:
        if not mine:
            raise _busy()
        return list(_refreshed(fallback, chosen, progress))


def _refreshed(
    fallback: Fallback, tables: Sequence[Table], progress: OnMirrorProgress | None
) -> Iterator[Mirror]:
    standby: Any = fallback.standby.dialect
    try:
        with _staging(fallback.journal) as stage, fallback.online.connect() as connection:
            stage.require_nothing_waits()
            for table in tables:
                copying = _Copying(table, connection, standby, stage, progress)
                yield copying.run()
                fallback.reads.forget()
    except (DBAPIError, Error) as error:
        if is_away(error):
            fallback.went_away(error)
        raise


# --- one table --------------------------------------------------------------------------------


class _Copying:
    """Copies one table from a connection to the warehouse into ``stage``."""

    def __init__(
        self,
        table: Table,
        connection: Connection,
        standby: Dialect,
        stage: _Stage,
        progress: OnMirrorProgress | None,
    ) -> None:
        self._table = table
        self._connection = connection
        self._stage = stage
        self._progress = progress
        # What the databases compute themselves, SQLite computes again.
        columns = [column for column in table.columns if column.computed is None]
        self._columns = [_Copied(column, connection.dialect, standby) for column in columns]
        self._into = _Into(self._columns, standby)

    def run(self) -> Mirror:
        """Copy it."""
        stage, table = self._stage, self._table
        stage.require_columns(table, [each.column for each in self._columns])
        total = self._count()
        self._tell(0, total)
        as_of, rows = now(), 0
        stage.begin(len(self._columns))
        query = select(*(each.selected for each in self._columns)).select_from(table)
        with closing(self._connection.execute(query)) as result:
            while found := result.fetchmany(stage.next_rows(rows)):
                stage.store(table, self._into.text, self._into.values(found))
                rows += len(found)
                stage.require_nothing_waits()
                self._tell(rows, total if total is None else max(rows, total))
        # Here ends what a transaction of the warehouse would hold.
        self._connection.rollback()
        mirror = Mirror(table.fullname, as_of, None, rows)
        stage.swap(table, [each.column.name for each in self._columns], mirror)
        self._tell(rows, rows)
        return mirror

    def _count(self) -> int | None:
        if self._progress is None:
            return None
        return self._connection.scalar(select(func.count()).select_from(self._table))

    def _tell(self, rows: int, total: int | None) -> None:
        if self._progress is not None:
            self._progress(self._table.fullname, rows, total)


class _Copied:
    """How the values of one column come from the warehouse.

    Attributes:
        column: The column.
        kind: The type by which they are copied.
        selected: What is selected: what the driver gives, unless the type has SQL of its own.
    """

    def __init__(self, column: Column[Any], online: Dialect, standby: Dialect) -> None:
        self.column = column
        self.kind = _stored_kind(column.type)
        self.selected: Any = column
        impl: Any = column.type.dialect_impl(online)
        self._load: Callable[[Any], Any] | None = None
        self._read: Callable[[Any], Any] | None = None
        if not impl._has_column_expression:
            self.selected = type_coerce(column, sqltypes.NullType())
            self._load = _loading(self.kind, online)
            self._read = _loading(column.type, online)
        self._read_again = _loading(column.type, standby)

    def stored(self, store: Callable[[Any], Any] | None) -> Callable[[Any], Any] | None:
        """What makes a value of SQLite of a value that is not NULL.

        ``store`` is what the type does with a value that is written.
        """
        if _is_exact(self.column.type):
            return _then(self._load, store)
        load, read, read_again = self._load, self._read, self._read_again
        is_loaded_alike = self.kind is self.column.type
        # Whether an instant comes back depends on its type alone, and a number on the number.
        left = None if _is_number(self.column.type) else _SOME_VALUES

        def checked(value: Any) -> Any:
            nonlocal left
            loaded = value if load is None else load(value)
            kept = loaded if store is None else store(loaded)
            if left == 0:
                return kept
            if left is not None:
                left -= 1
            expected = loaded if is_loaded_alike or read is None else read(value)
            found = kept if read_again is None else read_again(kept)
            # What is of a class of the application's own is compared by that, or not at all.
            if found != expected and type(expected) in _COMPARED:
                raise MirrorError(
                    f"{self.column} was not copied: the warehouse has a {type(expected).__name__} "
                    "in it that SQLite cannot hold as it is, and that would be read as another "
                    "value; what the standby had is unchanged\nTo fix it: give the column a type "
                    "that both hold, such as a whole number of cents, or text."
                )
            return kept

        return checked


class _Into:
    """The INSERT into the stage, and what makes its values of rows."""

    def __init__(self, columns: Sequence[_Copied], standby: Dialect) -> None:
        stage = Table(
            "rows",
            MetaData(),
            *(Column(f"c{number}", each.kind) for number, each in enumerate(columns)),
            schema=_STAGE,
        )
        compiled: Any = insert(stage).compile(dialect=standby)
        self.text: str = compiled.string
        store: Mapping[str, Any] = compiled._bind_processors
        self._stored = [
            each.stored(store.get(column.name))
            for each, column in zip(columns, stage.columns, strict=True)
        ]

    def values(self, rows: Sequence[Any]) -> Iterator[tuple[Any, ...]]:
        """The values of rows, which are not empty."""
        by_column = zip(self._stored, zip(*rows, strict=True), strict=True)
        return zip(
            *(
                values if stored is None else [None if v is None else stored(v) for v in values]
                for stored, values in by_column
            ),
            strict=True,
        )


def _stored_kind(kind: TypeEngine[Any]) -> TypeEngine[Any]:
    """The type by which what is stored of values can be copied, so that both read the same of it.

    Decorators of the application are left out where they are the same on both databases: what they
    make of a value when it is written they may not make of one that was read, as of a password.
    The type of the column is returned itself where that is not known.
    """
    while not kind._variant_mapping and not _is_own(kind, *_STORING):
        if isinstance(kind, (sqltypes.Enum, sqltypes.JSON)):
            return String()
        if not isinstance(kind, TypeDecorator) or isinstance(kind, sqltypes.Interval):
            break
        kind = kind.impl_instance
    return kind


_STORING = (
    "bind_expression",
    "bind_processor",
    "column_expression",
    "load_dialect_impl",
    "result_processor",
)
_COMPARED = frozenset({Decimal, float, int, str, dt.datetime, dt.date})


def _is_own(kind: TypeEngine[Any], *methods: str) -> bool:
    """Whether a type has one of these methods from a class of the application."""
    for method in methods:
        owner = next((each for each in type(kind).__mro__ if method in vars(each)), TypeEngine)
        if not owner.__module__.startswith(("sqlalchemy.", "vinci_code.")):
            return True
    return False


def _is_exact(kind: TypeEngine[Any]) -> bool:
    """Whether SQLite holds every value of a type: not of numbers with a point, nor of instants."""
    inner = _innermost(kind)
    return not _is_number(kind) and not (isinstance(inner, sqltypes.DateTime) and inner.timezone)


def _is_number(kind: TypeEngine[Any]) -> bool:
    """Whether a type is of numbers with a point."""
    return isinstance(_innermost(kind), (sqltypes.Numeric, sqltypes.Float))


def _innermost(kind: TypeEngine[Any]) -> TypeEngine[Any]:
    while isinstance(kind, TypeDecorator):
        kind = kind.impl_instance
    return kind


def _loading(kind: TypeEngine[Any], dialect: Dialect) -> Callable[[Any], Any] | None:
    """What makes a value of a type of what a driver gives."""
    return kind.dialect_impl(dialect).result_processor(dialect, None)


def _then(
    first: Callable[[Any], Any] | None, second: Callable[[Any], Any] | None
) -> Callable[[Any], Any] | None:
    if first is None or second is None:
        return first or second
    return lambda value: second(first(value))


# --- the file of the standby ------------------------------------------------------------------


class _Stage:
    """A table in a file beside the standby, and how its rows become those of the standby.

    The connection is one to the file of the journal, to which the stage is attached.
    """

    def __init__(self, journal: Journal, connection: sqlite3.Connection) -> None:
        self._journal = journal
        self._connection = connection

    def begin(self, columns: int) -> None:
        """Begin a table with so many columns."""
        names = ", ".join(f"c{number}" for number in range(columns))
        with self._journal.explained():
            self._connection.execute(f"DROP TABLE IF EXISTS {_STAGE}.rows")
            # No types: what SQLite makes of a value by them, it makes of it in the standby.
            self._connection.execute(f"CREATE TABLE {_STAGE}.rows ({names})")

    def next_rows(self, rows: int) -> int:
        """How many rows to take, after so many that are here."""
        if not rows:
            return _FIRST_ROWS
        (pages,) = self._connection.execute(f"PRAGMA {_STAGE}.page_count").fetchone()
        (size,) = self._connection.execute(f"PRAGMA {_STAGE}.page_size").fetchone()
        return int(max(_FEWEST_ROWS, min(_MOST_ROWS, _MOST_BYTES * rows // (pages * size))))

    def store(self, table: Table, text: str, rows: Iterator[tuple[Any, ...]]) -> None:
        """Store rows, by an INSERT."""
        with self._transaction("BEGIN"):
            try:
                self._connection.executemany(text, rows)
            except (sqlite3.ProgrammingError, sqlite3.InterfaceError) as error:
                raise MirrorError(
                    f"{table.fullname} was not copied: a type of its columns gives a value that "
                    f"SQLite has no form for ({error}); what the standby had is unchanged"
                ) from error

    def swap(self, table: Table, columns: Sequence[str], mirror: Mirror) -> None:
        """Put the rows in the place of those of the standby."""
        into = _quoted(table.name)
        names = ", ".join(map(_quoted, columns))
        staged = ", ".join(f"c{number}" for number in range(len(columns)))
        with self._transaction("BEGIN IMMEDIATE"):
            self.require_nothing_waits()  # nobody else writes from here on
            self._connection.execute(f"DELETE FROM main.{into}")  # noqa: S608
            try:
                self._connection.execute(
                    f"INSERT INTO main.{into} ({names}) SELECT {staged} FROM {_STAGE}.rows"  # noqa: S608
                )
            except sqlite3.IntegrityError as error:
                raise MirrorError(
                    f"{table.fullname} was not copied: its rows on the warehouse, which does not "
                    f"enforce all of its constraints, break one of them ({error}); what the "
                    "standby had is unchanged\nTo fix it: find and mend these rows there."
                ) from error
            self._journal.note_mirror(
                self._connection, mirror.table, mirror.as_of, mirror.version, mirror.rows
            )

    def require_nothing_waits(self) -> None:
        """Refuse where a unit of work is journaled, whose rows the copy would hide.

        Raises:
            MirrorError: One is.
        """
        with self._journal.explained():
            (units,) = self._connection.execute(
                "SELECT count(*) FROM vinci_journal_places WHERE state IN (?, ?)",
                (State.WAITING.value, State.IN_DOUBT.value),
            ).fetchone()
        if units:
            raise MirrorError(
                f"{units} units of work are in {self._journal.path} that have not arrived at the "
                "warehouse, or of which that is not known; a copy of its tables would hide their "
                "rows\nTo fix it: see `vinci fallback status`, and try again when none waits."
            )

    def require_columns(self, table: Table, columns: Sequence[Column[Any]]) -> None:
        """Refuse a table that is not in the standby as it is declared.

        Raises:
            MirrorError: It, or one of its columns, is not there.
        """
        with self._journal.explained():
            found = self._connection.execute(
                "SELECT name FROM pragma_table_xinfo(?)", (str(table.name),)
            ).fetchall()
        there = {str(name).lower() for (name,) in found}
        missing = [str(column) for column in columns if str(column.name).lower() not in there]
        if missing:
            raise MirrorError(
                f"the standby {self._journal.path} has not {', '.join(missing)}; its tables were "
                "made by an earlier schema of the application\nTo fix it: migrate them as those of "
                "the warehouse, or, when `vinci fallback status` says that nothing waits or is "
                "parked, remove the file."
            )

    @contextmanager
    def _transaction(self, begin: str) -> Iterator[None]:
        with self._journal.explained():
            self._connection.execute(begin)
            try:
                yield
                self._connection.execute("COMMIT")
            except BaseException:
                with suppress(sqlite3.Error):
                    self._connection.rollback()
                raise


@contextmanager
def _staging(journal: Journal) -> Iterator[_Stage]:
    """Open a stage, which is gone afterwards; who asks for it has the journal's lock of replay."""
    path = journal.path.with_name(f"{journal.path.name}.mirror")
    with ExitStack() as stack:
        # What a process that was killed has left, or this one leaves.
        _remove(path)
        stack.callback(_remove, path)
        with files_explained(path):
            os.close(open_private(path))
        connection = stack.enter_context(closing(journal.connect()))
        with journal.explained():
            connection.execute(f"ATTACH DATABASE ? AS {_STAGE}", (str(path),))
            # It is of no use to anybody after a crash.
            connection.execute(f"PRAGMA {_STAGE}.journal_mode = OFF")
            connection.execute(f"PRAGMA {_STAGE}.synchronous = OFF")
        yield _Stage(journal, connection)


def _remove(path: Path) -> None:
    with files_explained(path):
        path.unlink(missing_ok=True)


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


# --- which tables -----------------------------------------------------------------------------


def _chosen(tables: Mapping[str, Table], names: Sequence[str] | None) -> list[Table]:
    """The tables of these names, in the order of the names; by default all.

    Raises:
        MirrorError: There is no such table, or more than one.
    """
    chosen: dict[str, Table] = {}
    unknown = []
    for name in tables if names is None else names:
        found = [tables[name]] if name in tables else _named(tables, name)
        if len(found) > 1:
            raise MirrorError(
                f"{name} may be {' or '.join(table.fullname for table in found)}\n"
                "To fix it: name it with its schema."
            )
        chosen.update({table.fullname: table for table in found})
        if not found:
            unknown.append(name)
    if unknown:
        raise MirrorError(
            f"no table of the application is called {', '.join(unknown)}\n"
            f"To fix it: name some of these: {', '.join(sorted(tables))}."
        )
    return list(chosen.values())


def _named(tables: Mapping[str, Table], name: str) -> list[Table]:
    """The tables that a name may mean, in which case does not matter."""
    wanted = name.lower()
    alike = [table for table in tables.values() if table.fullname.lower() == wanted]
    return alike or [table for table in tables.values() if bare_name(table) == wanted]


def _busy() -> MirrorError:
    return MirrorError(
        "no table was copied: another process sends what waits for the warehouse, or copies tables "
        "itself\nTo fix it: try again when it is done (`vinci fallback status`)."
    )
