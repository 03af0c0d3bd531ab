"""Statements on a local warehouse, one by one, through the vendor's driver."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from vinci_code.core.errors import EXIT_FAILED, VinciError

if TYPE_CHECKING:
    from vinci_code.warehouse.local import LocalWarehouse


class StatementFailedError(VinciError):
    """A statement failed; the message is the warehouse's."""

    exit_code = EXIT_FAILED


@dataclass(frozen=True)
class Answered:
    """What a statement gave.

    Attributes:
        names: The columns.
        types: Their types, as the driver names them.
        rows: The rows that are shown.
        more: Whether there are others.
        seconds: How long it took, until the last row that is shown had come.
    """

    names: Sequence[str]
    types: Sequence[str]
    rows: Sequence[Sequence[Any]]
    more: bool
    seconds: float


class Statements:
    """Runs statements on a connection of the vendor's driver.

    Args:
        connection: The connection.
        most: How many rows of a result are read.
    """

    def __init__(self, connection: Any, most: int) -> None:
        self._connection = connection
        self._most = most

    def run(self, statement: str) -> Answered:
        """Run one.

        Raises:
            StatementFailedError: It failed.
        """
        from databricks.sql.exc import Error

        begun = time.perf_counter()
        try:
            with closing(self._connection.cursor()) as cursor:
                cursor.execute(statement)
                described = cursor.description or []
                table = cursor.fetchmany_arrow(self._most + 1)
        except Error as error:
            raise StatementFailedError(str(error.message or error).strip()) from error
        seconds = time.perf_counter() - begun
        names = [item[0] for item in described]
        # By position: two columns may have one name.
        columns = [table.column(index).to_pylist() for index in range(table.num_columns)]
        rows = list(zip(*columns, strict=True))
        more = len(rows) > self._most
        return Answered(names, [item[1] for item in described], rows[: self._most], more, seconds)


@contextmanager
def connected(warehouse: LocalWarehouse, most: int) -> Iterator[Statements]:
    """Statements on a warehouse that runs in this process."""
    from databricks import sql

    with sql.connect(**warehouse.connect_args) as connection:
        yield Statements(connection, most)
