"""SELECT … FOR UPDATE: a query that also gives what its rows are known by.

Databricks locks no rows. The commit makes sure instead that the rows, which the query has read, are
still there, unchanged: behind its own columns the query has those of the tables that it is to lock.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from sqlalchemy.exc import CompileError
from sqlalchemy.schema import Column, Table
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.elements import Over
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.sql.selectable import (
    AliasedReturnsRows,
    FromClause,
    Join,
    ScalarSelect,
    SelectBase,
)

from vinci_code.database.dialect.sql.inserts import as_declared
from vinci_code.database.dialect.sql.refusals import (
    LOCK_NO_KEY,
    LOCK_NO_TABLE,
    LOCK_SEVERAL,
    LOCK_SKIP,
    LOCK_UNKNOWN,
    LOCK_WITHIN,
)
from vinci_code.database.dialect.types.base import innermost
from vinci_code.database.dialect.types.documents import VARIANT
from vinci_code.database.dialect.types.nested import ARRAY, MAP, STRUCT
from vinci_code.database.dialect.types.transports import STRING, Transport, transport_of

_OF_SEVERAL_ROWS = frozenset({"avg", "count", "max", "min", "sum"})
_AS_JSON = (ARRAY, MAP, STRUCT, VARIANT)


class LockedColumn(NamedTuple):
    """A column by which it is known whether a row is as it was.

    Attributes:
        name: Its name.
        sql: Its name as SQL.
        form: What is compared, as SQL, with ``{}`` for the column.
        transport: How its values travel.
    """

    name: str
    sql: str
    form: str
    transport: Transport


class LockedTable(NamedTuple):
    """A table of which rows are to be as they were read.

    Attributes:
        table: The table.
        target: Its name as SQL.
        key: The columns of its primary key.
        columns: The others.
    """

    table: Table
    target: str
    key: tuple[LockedColumn, ...]
    columns: tuple[LockedColumn, ...]

    @property
    def width(self) -> int:
        """How many columns of the query's result are its."""
        return len(self.key) + len(self.columns)


class LockingReads(SQLCompiler):
    """Compiles FOR UPDATE.

    Attributes:
        locked: The tables that the query locks; their columns stand behind its own, in order.
    """

    locked: Sequence[LockedTable] = ()

    def for_update_clause(self, select: Any, **kw: Any) -> str:
        """Render nothing: the commit makes sure of it.

        Raises:
            CompileError: It stands within another statement.
        """
        if len(self.stack) > 1 or not self.locked:
            raise CompileError(LOCK_WITHIN)
        return ""

    def _compose_select_body(
        self,
        text: str,
        select: Any,
        compile_state: Any,
        inner_columns: Any,
        froms: Any,
        byfrom: Any,
        toplevel: bool,
        kwargs: Any,
    ) -> str:
        wanted = select._for_update_arg
        if wanted is not None and toplevel:
            _require_rows(select, wanted)
            found = _wanted(froms, wanted.of)
            self.locked = [self._locked(item) for item in found]
            hidden = [
                column.form.format(self.process(item.c[of.table.c[column.name].key]))
                for item, of in zip(found, self.locked, strict=True)
                for column in (*of.key, *of.columns)
            ]
            inner_columns = [*inner_columns, *hidden]
        compose: Any = super()._compose_select_body
        made: str = compose(
            text, select, compile_state, inner_columns, froms, byfrom, toplevel, kwargs
        )
        return made

    def _locked(self, item: Any) -> LockedTable:
        table: Any = as_declared(item)
        while isinstance(table, AliasedReturnsRows):
            table = as_declared(table.element)
        key = list(table.primary_key)
        if not key:
            raise CompileError(LOCK_NO_KEY.format(table.fullname))
        return LockedTable(
            table,
            str(self.preparer.format_table(table)),
            tuple(map(self._column, key)),
            tuple(self._column(column) for column in table.columns if column not in key),
        )

    def _column(self, column: Column[Any]) -> LockedColumn:
        name = str(self.preparer.format_column(column))
        if isinstance(innermost(column.type, self.dialect), _AS_JSON):
            return LockedColumn(column.name, name, "to_json({})", STRING)
        transport = transport_of(column.type, self.dialect)
        if transport is None:
            raise CompileError(LOCK_UNKNOWN.format(column))
        return LockedColumn(column.name, name, "{}", transport)


def _require_rows(select: Any, wanted: Any) -> None:
    """Refuse what gives no rows of a table one by one.

    Raises:
        CompileError: It does so.
    """
    if wanted.skip_locked:
        raise CompileError(LOCK_SKIP)
    joined = select._distinct or select._group_by_clauses or select._having_criteria
    if joined or any(map(_is_of_several, select._raw_columns)):
        raise CompileError(LOCK_SEVERAL)


def _is_of_several(element: Any) -> bool:
    """Whether an element makes one value of several rows of its query."""
    if isinstance(element, FunctionElement):
        if str(getattr(element, "name", "")).lower() in _OF_SEVERAL_ROWS:
            return True
    elif isinstance(element, (FromClause, SelectBase, ScalarSelect, Over)):
        return False
    return any(map(_is_of_several, element.get_children()))


def _wanted(froms: Iterable[Any], of: Sequence[Any] | None) -> list[Any]:
    """The tables whose rows are to be locked, each as it is read."""
    found = [item for item, _ in _tables(froms)] if of is None else []
    if of is not None:
        wanted = [as_declared(getattr(item, "table", item)) for item in of]
        names = {name for _, name in _tables(wanted)}
        found = [item for item, name in _tables(froms, strict=False) if name in names]
        if len(found) < len(names):
            raise CompileError(LOCK_NO_TABLE)
    return found


def _tables(froms: Iterable[Any], *, strict: bool = True) -> Iterator[tuple[Any, Any]]:
    """The tables in FROM, with what tells each from the others.

    Raises:
        CompileError: Something else stands there.
    """
    for item in froms:
        if isinstance(item, Join):
            yield from _tables([item.left, item.right], strict=strict)
            continue
        element = as_declared(item)
        table = element
        while isinstance(table, AliasedReturnsRows):
            table = as_declared(table.element)
        if isinstance(table, Table):
            alias = None if element is table else element.name
            yield item, (table, alias)
        elif strict:
            raise CompileError(LOCK_NO_TABLE)
