"""The present, as one value for the standby and for the warehouse.

A row that says ``func.now()`` while the warehouse is away was made now, and not when the warehouse
is back. So the present is a parameter there, in a write as in the default of a column, and both
databases get the same value. As on SQLite it is in UTC, and has whole seconds.
"""

from __future__ import annotations

import datetime as dt
import threading
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

from sqlalchemy import Date, DateTime, bindparam
from sqlalchemy.exc import CompileError
from sqlalchemy.schema import Computed, Table
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.dml import Insert
from sqlalchemy.sql.functions import FunctionElement

from vinci_code.database.dialect.compiler import VinciCompiler
from vinci_code.database.dialect.sql.constructs import is_own_of_databricks
from vinci_code.database.fallback.parameters import WholeRows

_NAMES = frozenset({"now", "current_timestamp", "localtimestamp", "sysdate"})
# What gives something else each time.
_BY_CHANCE = frozenset(
    "rand random randn uniform uuid uuidv7 monotonically_increasing_id shuffle randstr "
    "randomblob unix_timestamp current_time localtime curdate unixepoch julianday".split()
)
_NOT_LATER = _BY_CHANCE | _NAMES | {"current_date"}
_TO_FIX = "\nTo fix it: give the value from Python."

_of_thread = threading.local()


def begin_moment() -> None:
    """Begin another present, for the statement that comes."""
    _of_thread.moment = dt.datetime.now(dt.timezone.utc).replace(tzinfo=None, microsecond=0)


def moment() -> dt.datetime:
    """The present of the statement, naive, in UTC."""
    if not hasattr(_of_thread, "moment"):
        begin_moment()  # what is compiled to be looked at belongs to no execution
    found: dt.datetime = _of_thread.moment
    return found


def today() -> dt.date:
    """The day of it."""
    return moment().date()


class Moments(SQLCompiler):
    """Renders the present as a parameter."""

    def visit_now_func(self, fn: Any, **kw: Any) -> str:
        """Render the present."""
        return self.process(self._parameter(fn, _present), **kw)

    visit_current_timestamp_func = visit_now_func
    visit_localtimestamp_func = visit_now_func
    visit_sysdate_func = visit_now_func

    def visit_current_date_func(self, fn: Any, **kw: Any) -> str:
        """Render today."""
        return self.process(self._parameter(fn, _today), **kw)

    def _parameter(self, fn: Any, make: Callable[[], Any]) -> Any:
        # The same one each time: an expression may be rendered twice, for the text and for rows.
        made: dict[int, tuple[Any, Any]] = self.__dict__.setdefault("_moments", {})
        return made.setdefault(id(fn), (fn, make()))[1]


class ShadowCompiler(WholeRows, Moments, VinciCompiler):
    """Compiles writes that are kept, to be sent later."""

    def visit_insert(self, insert_stmt: Any, *args: Any, **kw: Any) -> str:
        """Render INSERT, with the present where the database would make it."""
        return super().visit_insert(with_moments(insert_stmt), *args, **kw)

    def visit_function(self, func: Any, add_to_result_map: Any = None, **kw: Any) -> str:
        """Refuse what would give something else later.

        Raises:
            CompileError: It is such a function.
        """
        name = str(func.name).lower()
        own = is_own_of_databricks(func)
        if (name in _BY_CHANCE and not func.packagenames) or (own and name in _NOT_LATER):
            raise CompileError(
                f"while the warehouse is away, {func.name}() cannot be written: it would give "
                f"something else when the write is sent; nothing was written{_TO_FIX}"
            )
        return super().visit_function(func, add_to_result_map, **kw)

    def present_moment(self) -> str:
        """Refuse the present of a function of dates: it would be another one later.

        Raises:
            CompileError: Each time.
        """
        raise CompileError(
            "while the warehouse is away, a date of 'now' cannot be written: it would be "
            f"another one when the write is sent; nothing was written{_TO_FIX}"
        )


def with_moments(statement: Insert) -> Insert:
    """An INSERT that gives the present to the columns for which the database would make it.

    Of INSERT … SELECT, whose rows are not known, it stays as it is.
    """
    table = statement.table
    columns = presents(table)
    if not columns or statement.select is not None:
        return statement
    if not statement._multi_values:
        return statement.values(_missing(columns, statement._values or {}))
    made = statement._generate()
    made._multi_values = tuple(
        [{**row, **_missing(columns, row)} if isinstance(row, dict) else row for row in rows]  # type: ignore[misc]
        for rows in statement._multi_values
    )
    return made


def presents(table: Any) -> list[Any]:
    """The columns of a table that have the present by default."""
    columns = table.columns if isinstance(table, Table) else ()
    return [column for column in columns if _is_present(column)]


def unknown_default(table: Any, given: Collection[str]) -> str | None:
    """The first column whose value the database would make, and that is not known here.

    ``given`` are the keys of the columns that a row has values for.
    """
    for column in table.columns if isinstance(table, Table) else ():
        default = column.server_default
        if default is None or column.key in given or isinstance(default, Computed):
            continue
        # IDENTITY and FetchedValue say nothing of the value; a text of Python is the value.
        if not isinstance(getattr(default, "arg", None), str):
            return str(column)
    return None


def _missing(columns: Iterable[Any], values: Mapping[Any, Any]) -> dict[str, Any]:
    given = {getattr(key, "key", key) for key in values}
    return {column.key: _present() for column in columns if column.key not in given}


def _is_present(column: Any) -> bool:
    default = getattr(column.server_default, "arg", None)
    return (
        isinstance(default, FunctionElement)
        and str(getattr(default, "name", "")).lower() in _NAMES
        and not list(default.clauses)
    )


def _present() -> Any:
    return bindparam(None, callable_=moment, type_=DateTime(), unique=True)


def _today() -> Any:
    return bindparam(None, callable_=today, type_=Date(), unique=True)
