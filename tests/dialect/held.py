"""What the tests of held writes share: engines, what is sent, and what is there."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import pytest
from sqlalchemy import URL, Connection, Engine, create_engine, func, select
from sqlalchemy.schema import Table

from vinci_code.warehouse import LocalWarehouse

Sent = list[str]


class Of(NamedTuple):
    """A value of a package that may be missing: it is made when it is asked for.

    Attributes:
        package: The package.
        name: What of it is called.
        argument: With what.
    """

    package: str
    name: str
    argument: Any

    def made(self) -> Any:
        """Return the value, or skip the test."""
        return getattr(pytest.importorskip(self.package), self.name)(self.argument)


def value_of(value: Any) -> Any:
    """Return a value; one of a package that may be missing is made."""
    return value.made() if isinstance(value, Of) else value


@contextmanager
def sending(statements: Callable[[], list[str]]) -> Iterator[Sent]:
    """Collect the statements that are sent within the block."""
    before = len(statements())
    sent: Sent = []
    yield sent
    sent += statements()[before:]


def first_words(sent: Sent) -> list[str]:
    """The word that each statement begins with."""
    return [text.split(None, 1)[0] for text in sent]


def engine_on(warehouse: LocalWarehouse, schema: str, **options: Any) -> Engine:
    """An engine on a schema of a warehouse."""
    url = URL.create(
        "databricks+vinci",
        host=warehouse.host,
        port=warehouse.port,
        query={"http_path": warehouse.http_path, "catalog": warehouse.catalog, "schema": schema},
    )
    connect_args = {
        "access_token": warehouse.access_token,
        "_tls_trusted_ca_file": str(warehouse.ca_file),
    }
    return create_engine(url, connect_args=connect_args, **options)


def wait_for_history(engine: Engine, when: str) -> None:
    """Have the query history waited for as is right where an answer is lost.

    Of what was lost before it arrived nothing ever comes; anything else is waited for as long as
    it takes.
    """
    dialect: Any = engine.dialect
    dialect.history_timeout = 0.3 if when == "before" else 60.0


def run_and_commit(connection: Connection, *statements: Any) -> None:
    """Run statements and commit: the errors of a write come with the commit."""
    for statement in statements:
        connection.execute(statement)
    connection.commit()


def rows_of(engine: Engine, table: Table) -> list[tuple[Any, ...]]:
    """The rows of a table, sorted, as another connection sees them."""
    with engine.connect() as connection:
        return sorted_rows(connection, table)


def sorted_rows(connection: Connection, table: Table) -> list[tuple[Any, ...]]:
    """The rows of a table, sorted, as a connection sees them."""
    rows = [tuple(row) for row in connection.execute(select(table))]
    return sorted(rows, key=lambda row: [(value is not None, value) for value in row])


def count_of(engine: Engine, table: Table) -> int:
    """How many rows a table has, as another connection sees it."""
    with engine.connect() as connection:
        return connection.scalar(select(func.count()).select_from(table)) or 0
