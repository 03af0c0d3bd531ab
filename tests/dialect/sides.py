"""The same statement on a SQLite file and on the warehouse, side by side."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, MetaData, create_engine


class Sides:
    """Two engines with the same tables.

    Attributes:
        sqlite: The engine on a SQLite file.
        warehouse: The engine on the local warehouse.
    """

    def __init__(self, warehouse: Engine, folder: Path, metadata: MetaData) -> None:
        self.warehouse = warehouse
        self.sqlite = create_engine(f"sqlite:///{folder / 'side.db'}")
        for engine in self.engines:
            metadata.create_all(engine)

    @property
    def engines(self) -> tuple[Engine, Engine]:
        """Both of them."""
        return self.sqlite, self.warehouse

    def write(self, statement: Any, parameters: Any = None) -> None:
        """Run a statement on both."""
        for engine in self.engines:
            with engine.begin() as connection:
                connection.execute(statement, parameters)

    def rows(self, statement: Any, parameters: Any = None) -> list[tuple[Any, ...]]:
        """Return the rows of a statement, which have to be the same on both."""
        found = [self._rows(engine, statement, parameters) for engine in self.engines]
        assert found[1] == found[0], f"warehouse {found[1]!r}, SQLite {found[0]!r}"
        return found[0]

    def value(self, expression: Any) -> Any:
        """Return the value of a statement with one column and one row, the same on both."""
        [[value]] = self.rows(expression)
        return value

    def both(self, run: Callable[[Connection], Any]) -> list[Any]:
        """Return what a function gives on each of them, SQLite first."""
        results = []
        for engine in self.engines:
            with engine.begin() as connection:
                results.append(run(connection))
        return results

    def close(self) -> None:
        """Give the connections back."""
        self.sqlite.dispose()

    @staticmethod
    def _rows(engine: Engine, statement: Any, parameters: Any) -> list[tuple[Any, ...]]:
        with engine.connect() as connection:
            return [tuple(row) for row in connection.execute(statement, parameters)]


@contextmanager
def sides_of(warehouse: Engine, folder: Path, metadata: MetaData) -> Iterator[Sides]:
    """Open both sides."""
    sides = Sides(warehouse, folder, metadata)
    try:
        yield sides
    finally:
        sides.close()
