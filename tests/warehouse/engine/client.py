"""What the engine's tests share: an engine, a session, and short ways to ask it things."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from vinci_code.warehouse.engine.engine import Engine
from vinci_code.warehouse.engine.result import Result
from vinci_code.warehouse.engine.session import EngineSession
from vinci_code.warehouse.sql.errors import SqlError
from vinci_code.warehouse.sql.parameters import Parameter

MANAGED = "TBLPROPERTIES ('delta.feature.catalogManaged' = 'supported')"


class Client:
    """A session with helpers that read a result to its end."""

    def __init__(
        self, engine: Engine, catalog: str | None = None, schema: str | None = None
    ) -> None:
        self.session: EngineSession = engine.open_session(catalog, schema)

    def result(self, text: str, parameters: Sequence[Parameter] = ()) -> Result:
        """Run a statement."""
        return self.session.execute(text, parameters)

    def run(self, text: str, parameters: Sequence[Parameter] = ()) -> list[tuple[Any, ...]]:
        """Run a statement and return its rows."""
        result = self.result(text, parameters)
        rows = [
            row
            for batch in result.batches
            for row in zip(*(column.to_pylist() for column in batch.columns), strict=True)
        ]
        result.close()
        return rows

    def script(self, *statements: str) -> None:
        """Run statements one after another."""
        for statement in statements:
            self.run(statement)

    def column(self, text: str) -> list[Any]:
        """Return the first column of a statement's rows, sorted."""
        return sorted((row[0] for row in self.run(text)), key=lambda value: (value is None, value))

    def names(self, text: str) -> list[str]:
        """Return the names of a statement's columns."""
        result = self.result(text)
        result.close()
        return [column.name for column in result.columns]

    def fails(self, text: str, error_class: str, sqlstate: str, *parts: str) -> SqlError:
        """Run a statement that has to fail, with this class, this SQLSTATE and these words."""
        with pytest.raises(SqlError) as caught:
            self.run(text)
        error = caught.value
        assert (error.error_class, error.sqlstate) == (error_class, sqlstate), str(error)
        for part in parts:
            assert part in str(error)
        return error


@pytest.fixture
def engine() -> Iterator[Engine]:
    """An engine in memory."""
    opened = Engine()
    yield opened
    opened.close()


@pytest.fixture
def db(engine: Engine) -> Client:
    """A session of it."""
    return Client(engine)


@pytest.fixture
def other(engine: Engine) -> Client:
    """A second session of the same engine."""
    return Client(engine)
