"""A result that was executed by SQLAlchemy, and whose rows are fetched as Arrow.

The statement goes the whole way of SQLAlchemy: events, held writes, names of schemas and the values
of parameters are as of any other. Only its rows are fetched from the cursor of PEP 249 below.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar, cast

import pyarrow as pa
from sqlalchemy import Column as TableColumn
from sqlalchemy import CursorResult, Engine
from sqlalchemy.engine.cursor import CursorFetchStrategy
from sqlalchemy.exc import InvalidRequestError
from sqlalchemy.sql.elements import Label, TextClause
from sqlalchemy.sql.selectable import Select, SelectBase, TextualSelect

from vinci_code.core.errors import ColumnRefusedError
from vinci_code.database.arrow.columns import Column, Described, column_of
from vinci_code.database.arrow.statements import Bind, require_known
from vinci_code.database.dialect.options import AS_ARROW

_Given = TypeVar("_Given")

# SQLAlchemy fetches a row in advance with these, and whoever asks the cursor would miss it.
_UNFETCHED = {AS_ARROW: True, "stream_results": False, "yield_per": None}

PORTION = 50_000
"""How many rows of Python there are at once, where a whole result is read from SQLite."""


@contextlib.contextmanager
def executed(
    bind: Bind,
    statement: SelectBase | TextClause,
    parameters: Mapping[str, Any] | None,
    options: Mapping[str, Any],
    *,
    is_raw: bool,
    wanted_by: str,
) -> Iterator[ArrowResult]:
    """Execute a statement, and close its result afterwards.

    Raises:
        ColumnRefusedError: A column of it cannot be given as Arrow.
        InvalidRequestError: Its rows are not those of its columns.
    """
    with contextlib.ExitStack() as stack:
        on: Any = stack.enter_context(bind.connect()) if isinstance(bind, Engine) else bind
        result = on.execute(statement, parameters, execution_options={**options, **_UNFETCHED})
        stack.callback(result.close)
        raw = _cursor_result(result, wanted_by)
        require_known(raw.context.dialect, wanted_by)
        yield ArrowResult(raw, is_raw=is_raw)


class ArrowResult:
    """The rows of a result that nobody has fetched yet.

    Args:
        result: The result.
        is_raw: Whether the types of SQLAlchemy's are left out of it.

    Raises:
        ColumnRefusedError: A column of it cannot be given as Arrow.
    """

    def __init__(self, result: CursorResult[Any], *, is_raw: bool) -> None:
        self._result = result
        self._context = cast("Any", result.context)
        self._cursor: Any = result.cursor
        self._given: Iterator[tuple[Any, ...]] | None = None
        self._is_raw = is_raw
        dialect = self._context.dialect
        self._sends_arrow = dialect.name != "sqlite"
        if self._sends_arrow and self._context.given_rows is not None:
            self._sends_arrow, self._given = False, iter(self._context.given_rows)
        elif type(result.cursor_strategy) is not CursorFetchStrategy:
            raise InvalidRequestError(
                f"rows of the result may be with {type(result.cursor_strategy).__name__} of "
                "SQLAlchemy's already, and none was read\nTo fix it: leave out what fetches rows "
                "in advance, an option or a listener."
            )
        described = _described(result)
        _require_names([column.name for column in described])
        if is_raw and self._given is not None:
            raise ColumnRefusedError(
                described[0].name,
                "its rows are held or locked here, and the warehouse has not sent them",
                "leave raw=True out",
            )
        self._columns: list[Column] = [
            column_of(column, dialect, is_raw=is_raw) for column in described
        ]

    def all(self) -> Any:
        """All rows, as a table.

        Raises:
            ColumnRefusedError: A value cannot be given as Arrow.
            DBAPIError: As of ``fetchall`` of SQLAlchemy's own results.
        """
        if self._sends_arrow:
            return self._table(self._fetch(lambda: self._cursor.fetchall_arrow()))
        parts: list[list[Any]] = [[] for _ in self._columns]
        while rows := self._rows(PORTION):
            for part, column, values in zip(
                parts, self._columns, zip(*rows, strict=True), strict=True
            ):
                # Of a column without a type, that is the one of all of its values.
                part += [column.of_values(values)] if column.is_known else values
        return self._made(
            [
                pa.chunked_array(part, type=column.type)
                if column.is_known
                else column.of_values(part)
                for part, column in zip(parts, self._columns, strict=True)
            ]
        )

    def next(self, count: int) -> Any:
        """The next rows, at most so many, as a table.

        Raises:
            ColumnRefusedError: A value cannot be given as Arrow.
            DBAPIError: As of ``fetchmany`` of SQLAlchemy's own results.
        """
        if self._sends_arrow:
            return self._table(self._fetch(lambda: self._cursor.fetchmany_arrow(count)))
        rows = self._rows(count)
        values: Sequence[Sequence[Any]] = list(zip(*rows, strict=True)) or [()] * len(self._columns)
        return self._made(
            [column.of_values(of) for column, of in zip(self._columns, values, strict=True)]
        )

    def _rows(self, count: int) -> Sequence[tuple[Any, ...]]:
        if self._given is not None:
            return [row for _, row in zip(range(count), self._given, strict=False)]
        rows: Sequence[tuple[Any, ...]] = self._fetch(lambda: self._cursor.fetchmany(count))
        return rows

    def _fetch(self, fetch: Callable[[], _Given]) -> _Given:
        try:
            return fetch()
        except BaseException as error:
            # As SQLAlchemy does where it fetches: the error is one of its own, and a connection
            # that is broken is used no more.
            self._result.connection._handle_dbapi_exception(
                error, None, None, self._cursor, self._context
            )
            raise

    def _table(self, sent: Any) -> Any:
        if self._is_raw:
            return sent
        opened = self._context.root_connection.connection.dbapi_connection
        # In the connection's own thread, where there is one: no event loop waits for it.
        return self._context.dialect.run_on(opened, lambda: self._converted(sent))

    def _converted(self, sent: Any) -> Any:
        columns = sent.columns
        if sent.num_rows == 0 and not columns:
            # The driver has a table without any, where nothing was sent but links to no files.
            columns = [pa.chunked_array([], pa.null()) for _ in self._columns]
        return self._made(
            [column.of_arrow(of) for column, of in zip(self._columns, columns, strict=True)]
        )

    def _made(self, columns: list[Any]) -> Any:
        return pa.table(columns, names=[column.name for column in self._columns])


def _cursor_result(result: Any, wanted_by: str) -> CursorResult[Any]:
    """The result below what the ORM makes of it.

    Raises:
        InvalidRequestError: There is none, or it has columns that belong to other rows.
    """
    raw = result if isinstance(result, CursorResult) else getattr(result, "raw", None)
    if not isinstance(raw, CursorResult):
        raise InvalidRequestError(
            f"{wanted_by} got a {type(result).__name__} whose rows do not come from a cursor, as "
            "where a listener of do_orm_execute answers from a cache\n"
            "To fix it: leave the session out, with session.connection()."
        )
    if not raw.returns_rows:
        raise InvalidRequestError(
            f"{wanted_by} reads rows, and the statement has given none; it was executed\n"
            "To fix it: run it with execute()."
        )
    compiled: Any = raw.context.compiled
    state = compiled.compile_state
    is_of_orm = type(state).__module__.startswith("sqlalchemy.orm.")
    if is_of_orm and isinstance(compiled.statement, Select) and state.secondary_columns:
        raise InvalidRequestError(
            f"{wanted_by} reads the columns of a SELECT, and joined eager loading has added those "
            "of other objects to it\n"
            "To fix it: switch it off, with statement.options(lazyload('*')), or select the "
            "columns."
        )
    return raw


def _described(result: CursorResult[Any]) -> list[Described]:
    """The columns of a result.

    Raises:
        InvalidRequestError: They are not those that the statement was compiled to.
    """
    context: Any = result.context
    compiled = context.compiled
    names = list(result.keys())
    entries = list(compiled._result_columns)
    statement = compiled.statement
    if isinstance(statement, TextualSelect):
        if not statement.positional:
            by_name = {entry.keyname: entry for entry in entries}
            entries = [by_name.get(name) for name in names]
        entries += [None] * (len(names) - len(entries))
    elif isinstance(statement, TextClause):
        entries = [None] * len(names)
    if len(entries) != len(names):
        raise InvalidRequestError(
            f"the statement has {len(entries)} columns, and its result has {len(names)}; nothing "
            "was read\nTo fix it: leave the statement as it is compiled, in listeners too."
        )
    cursor: Any = result.cursor
    kinds = [of[1] for of in cursor.description or ()] or [None] * len(names)
    return [
        Described(name) if entry is None else _of_entry(context, name, entry, kind)
        for name, entry, kind in zip(names, entries, kinds, strict=False)
    ]


def _of_entry(context: Any, name: str, entry: Any, coltype: Any) -> Described:
    process = context.get_result_processor(entry.type, name, coltype)
    return Described(name, entry.type, any(map(_is_column, entry.objects)), process)


def _is_column(element: Any) -> bool:
    """Whether something is a column of a table, be it under another name."""
    return isinstance(element.element if isinstance(element, Label) else element, TableColumn)


def _require_names(names: list[str]) -> None:
    for name in names:
        if names.count(name) > 1:
            raise ColumnRefusedError(
                name,
                "the result has several columns of this name",
                "give them names, with column.label(name)",
            )
