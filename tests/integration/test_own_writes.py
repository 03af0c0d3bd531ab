"""With held reads, applications see of what they have written what they see on SQLite."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Session

from tests.integration.own_writes import SNIPPETS, Base, Snippet
from tests.parity.backends import sqlite_engine, warehouse_engine
from vinci_code.database.dialect import dberrors
from vinci_code.warehouse import LocalWarehouse

SEVERAL_TABLES = frozenset(
    {
        "audit_row",
        "delete_with_cascade",
        "lazy_load_after_flush",
        "parent_with_children",
        "tags_by_association",
    }
)
"""Those that write to several tables in one unit of work."""

_schemas = itertools.count(1)


@pytest.fixture(scope="module", params=[True, False], ids=["transactions", "none"])
def warehouse(request: pytest.FixtureRequest) -> Iterator[LocalWarehouse]:
    """A warehouse, with transactions and without."""
    with LocalWarehouse(transactions=request.param) as made:
        yield made


def on_sqlite(snippet: Snippet, folder: Path) -> object:
    engine = sqlite_engine(folder / "own.db")
    Base.metadata.create_all(engine)
    try:
        return snippet(partial(Session, engine))
    finally:
        engine.dispose()


def on_warehouse(snippet: Snippet, warehouse: LocalWarehouse) -> object:
    """What it comes to, or the error that is raised; no transaction may have been begun."""
    schema = f"own_{next(_schemas)}"
    warehouse.sql(f"CREATE SCHEMA {schema}")
    engine = warehouse_engine(warehouse, schema, held_read_bytes=1_000_000)
    Base.metadata.create_all(engine, checkfirst=False)
    before = len(warehouse.statements)
    try:
        return snippet(partial(Session, engine))
    except (sa.exc.DBAPIError, sa.exc.InvalidRequestError, sa.exc.CompileError) as error:
        return type(getattr(error, "orig", None) or error)
    finally:
        sent = warehouse.statements[before:]
        engine.dispose()
        warehouse.sql(f"DROP SCHEMA {schema} CASCADE")
        assert not [text for text in sent if text.startswith("BEGIN TRANSACTION")]


@pytest.mark.parametrize("snippet", SNIPPETS, ids=lambda snippet: snippet.__name__)
def test_as_on_sqlite(
    snippet: Snippet, warehouse: LocalWarehouse, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    found = on_warehouse(snippet, warehouse)
    alone = "none-" in request.node.name
    if alone and snippet.__name__ in SEVERAL_TABLES:
        assert found is dberrors.AtomicityError
    else:
        assert found == on_sqlite(snippet, tmp_path)
