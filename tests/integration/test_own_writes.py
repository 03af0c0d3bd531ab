"""Applications see of what they have written what they see on SQLite."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Session

from tests.full import part
from tests.integration.own_writes import SNIPPETS, Base, Item, Snippet, Tag
from tests.parity.backends import sqlite_engine, warehouse_engine
from vinci_code.database.dialect import dberrors
from vinci_code.warehouse import LocalWarehouse
from vinci_code.warehouse.pytest_plugin import TestWarehouse

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

DOCUMENT = Path(__file__).parents[2] / "docs" / "units_of_work.md"

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
    engine = warehouse_engine(warehouse, schema)
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


@part(2)
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


@pytest.mark.parametrize("snippet", SNIPPETS, ids=lambda snippet: snippet.__name__)
def test_documented(snippet: Snippet) -> None:
    alone = "`AtomicityError`" if snippet.__name__ in SEVERAL_TABLES else "as on SQLite"
    line = f"| {snippet.__name__.replace('_', ' ')} | as on SQLite | {alone} |"
    assert line in DOCUMENT.read_text(encoding="utf-8").splitlines()


@pytest.fixture
def engine(local_warehouse: TestWarehouse) -> Iterator[sa.Engine]:
    """An engine with the tables of the snippets."""
    made = warehouse_engine(local_warehouse.warehouse, local_warehouse.schema)
    Base.metadata.create_all(made, checkfirst=False)
    yield made
    made.dispose()


def test_a_query_after_an_add_is_one_request(
    engine: sa.Engine, local_warehouse: TestWarehouse
) -> None:
    before = len(local_warehouse.statements)
    with Session(engine) as session:
        session.add_all([Item(id=n, name="x", price=n) for n in range(3)])
        assert len(session.scalars(sa.select(Item)).all()) == 3
        session.commit()
    sent = local_warehouse.statements[before:]
    assert [text.split(None, 1)[0] for text in sent] == ["WITH", "INSERT"]


def test_get_or_create_asks_once_for_each_look_up_and_each_release(
    engine: sa.Engine, local_warehouse: TestWarehouse
) -> None:
    with Session(engine) as session, session.begin():
        session.add_all([Tag(name=f"t{n}") for n in (3, 7)])
    before = len(local_warehouse.statements)
    look_ups = releases = 0
    with Session(engine) as session:
        for number in range(10):
            look_ups += 1
            if session.scalar(sa.select(Tag).where(Tag.name == f"t{number}")) is None:
                releases += 1
                with session.begin_nested():
                    session.add(Tag(name=f"t{number}"))
        session.commit()
    assert (look_ups, releases) == (10, 8)
    assert len(local_warehouse.statements) - before == look_ups + releases + 1
