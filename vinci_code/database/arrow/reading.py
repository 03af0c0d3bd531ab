"""Results as Arrow: tables, and batches in constant memory."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from sqlalchemy.exc import ArgumentError

from vinci_code.database.arrow.statements import checked_bind, checked_statement
from vinci_code.database.dialect.driver.rows import require_pyarrow

if TYPE_CHECKING:
    from typing_extensions import Self

    from vinci_code.database.arrow.results import ArrowResult

BATCH_ROWS = 65_536
"""How many rows a batch has by default."""

_NO_OPTIONS: Mapping[str, Any] = {}


def read_arrow(
    bind: Any,
    statement: Any,
    parameters: Mapping[str, Any] | None = None,
    *,
    raw: bool = False,
    execution_options: Mapping[str, Any] = _NO_OPTIONS,
) -> Any:
    """Read the whole result of a statement as a ``pyarrow.Table``.

    ::

        table = read_arrow(session, select(Event.id, Event.occurred_at))

    The statement is executed as ``execute()`` executes it, with its events and its deadline; with a
    session or a connection it is part of the unit of work, and sees what that has written. On
    Databricks no row becomes one of Python. Columns are those of the SELECT as it is sent, with
    their names in the database; entities of the ORM stand for their columns, and no object is made.

    Their types are those that the SELECT's columns have in SQLAlchemy, the same on both databases:
    ``forms`` has the table. A column without one, as of ``text()``, has the type that the warehouse
    sends, and on SQLite that of all of its values.

    Args:
        bind: An ``Engine``, a ``Connection`` or a ``Session``.
        statement: A SELECT, or ``text()`` that reads.
        parameters: Values for the statement's parameters.
        raw: Whether to give what the driver gives, with none of the types of SQLAlchemy's.
        execution_options: As of ``execute()``.

    Raises:
        ArgumentError: The statement writes, or ``bind`` is something else; nothing was executed.
        ColumnRefusedError: A column cannot be given as Arrow, or two have one name.
        InvalidRequestError: Its rows are not those of the SELECT, as with joined eager loading.
        MissingExtraError: pyarrow is not installed.
        DBAPIError: As of ``execute()``, and of fetching its rows.
    """
    with _executed("read_arrow()", bind, statement, parameters, raw, execution_options) as result:
        return result.all()


def read_batches(
    bind: Any,
    statement: Any,
    parameters: Mapping[str, Any] | None = None,
    *,
    batch_rows: int = BATCH_ROWS,
    raw: bool = False,
    execution_options: Mapping[str, Any] = _NO_OPTIONS,
) -> ArrowBatches:
    """Read the result of a statement in batches, in constant memory.

    ::

        with read_batches(session, select(Event)) as batches:
            for batch in batches: …  # a pyarrow.RecordBatch

    It is as ``read_arrow``, but for a column without a type on SQLite: that has the type of its
    values in the first batch, and later ones that do not fit are refused.

    Args:
        bind: As of ``read_arrow``; it is in use until the batches are closed.
        statement: As of ``read_arrow``.
        parameters: As of ``read_arrow``.
        batch_rows: How many rows a batch has at most.
        raw: As of ``read_arrow``.
        execution_options: As of ``read_arrow``.

    Raises:
        ArgumentError: As of ``read_arrow``, or ``batch_rows`` is less than 1.
        Exception: As of ``read_arrow``; also while the batches are iterated over.
    """
    if type(batch_rows) is not int or batch_rows < 1:
        raise ArgumentError(
            f"batch_rows={batch_rows!r}: it is a number of rows, 1 or more; nothing was executed"
        )
    with contextlib.ExitStack() as stack:
        result = stack.enter_context(
            _executed("read_batches()", bind, statement, parameters, raw, execution_options)
        )
        first = result.next(batch_rows)
        return ArrowBatches(result, first, batch_rows, stack.pop_all())


class ArrowBatches(Iterator[Any]):
    """The batches of a result, each a ``pyarrow.RecordBatch``; a result without rows has none.

    It is closed at its end, by an error, by ``close()``, and by the end of a ``with`` block.

    Attributes:
        schema: The ``pyarrow.Schema`` that each of them has.
    """

    def __init__(
        self, result: ArrowResult, first: Any, batch_rows: int, stack: contextlib.ExitStack
    ) -> None:
        self.schema = first.schema
        self._result = result
        self._rows = batch_rows
        self._stack = stack
        self._waiting = _batches(first)

    def __next__(self) -> Any:
        """The next batch."""
        try:
            while not self._waiting:
                if self._rows == 0:
                    raise StopIteration
                table = self._result.next(self._rows)
                if table.num_rows == 0:
                    self.close()
                    raise StopIteration
                self._waiting = _batches(table)
        except BaseException:
            self.close()
            raise
        return self._waiting.pop(0)

    def close(self) -> None:
        """Give the result back; closing twice does nothing."""
        self._rows, self._waiting = 0, []
        self._stack.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


async def read_arrow_async(
    bind: Any,
    statement: Any,
    parameters: Mapping[str, Any] | None = None,
    *,
    raw: bool = False,
    execution_options: Mapping[str, Any] = _NO_OPTIONS,
) -> Any:
    """Read the whole result of a statement as a ``pyarrow.Table``, as ``read_arrow`` does.

    Args:
        bind: An ``AsyncEngine``, an ``AsyncConnection`` or an ``AsyncSession``.
        statement: As of ``read_arrow``.
        parameters: As of ``read_arrow``.
        raw: As of ``read_arrow``.
        execution_options: As of ``read_arrow``.

    Raises:
        ArgumentError: ``bind`` is something else.
        Exception: As of ``read_arrow``.
    """
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession

    def read(on: Any) -> Any:
        return read_arrow(on, statement, parameters, raw=raw, execution_options=execution_options)

    if isinstance(bind, AsyncEngine):
        async with bind.connect() as connection:
            return await connection.run_sync(read)
    if isinstance(bind, (AsyncConnection, AsyncSession)):
        return await bind.run_sync(read)
    raise ArgumentError(
        "read_arrow_async() takes an AsyncEngine, an AsyncConnection or an AsyncSession, found a "
        f"{type(bind).__name__}; nothing was executed\n"
        "To fix it: call read_arrow(), where it is one that is not for asyncio."
    )


@contextlib.contextmanager
def _executed(
    wanted_by: str,
    bind: Any,
    statement: Any,
    parameters: Mapping[str, Any] | None,
    raw: bool,
    options: Mapping[str, Any],
) -> Iterator[ArrowResult]:
    checked = checked_statement(statement, wanted_by)
    on = checked_bind(bind, wanted_by)
    require_pyarrow(wanted_by)
    # Not at the top: what lies there is asked for on SQLite too, where pyarrow may be missing.
    from vinci_code.database.arrow.results import executed

    with executed(on, checked, parameters, options, is_raw=raw, wanted_by=wanted_by) as result:
        yield result


def _batches(table: Any) -> list[Any]:
    found: list[Any] = table.combine_chunks().to_batches()
    return [batch for batch in found if batch.num_rows]
