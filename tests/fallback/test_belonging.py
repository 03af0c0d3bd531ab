"""A file of the fallback is one application's, and ``vinci fallback`` knows whose."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import Column, Integer, MetaData, String, Table, insert
from sqlalchemy.orm import Session

from tests.cli.test_events import run
from tests.fallback.outages import Outages
from vinci_code.core.errors import FallbackFileError
from vinci_code.database import create_configured_engine, create_configured_sessionmaker
from vinci_code.database.fallback.journal import Journal
from vinci_code.database.session import SessionLocal
from vinci_code.database.sessionmakers import ConfiguredSessionmaker

FILE = Path("vinci-fallback.db")


def tables(*names: str) -> MetaData:
    metadata = MetaData()
    for name in names:
        Table(
            name,
            metadata,
            Column("id", Integer, primary_key=True),
            Column("note", String, unique=True),
        )
    return metadata


Make = Callable[..., ConfiguredSessionmaker[Session]]


@pytest.fixture
def make() -> Iterator[Make]:
    made: list[ConfiguredSessionmaker[Session]] = []

    def maker(*names: str) -> ConfiguredSessionmaker[Session]:
        made.append(create_configured_sessionmaker(tables(*names)))
        return made[-1]

    yield maker
    for each in made:
        each.dispose()


def write(maker: ConfiguredSessionmaker[Session], table: str, note: str) -> None:
    with maker.begin() as session:
        session.execute(insert(tables(table).tables[table]), [{"id": 1, "note": note}])


def waiting(outages: Outages, make: Make) -> ConfiguredSessionmaker[Session]:
    """Have a unit wait that is of orders, of an application that has lines as well."""
    engine = create_configured_engine()
    tables("orders", "lines").create_all(engine)
    engine.dispose()
    outages.begin()
    maker = make("orders", "lines")
    write(maker, "orders", "kept")
    assert maker.state().waiting == 1
    return maker


def test_another_application_is_refused(outages: Outages, make: Make) -> None:
    waiting(outages, make).dispose()
    before = FILE.read_bytes()
    for ask in (make("invoices"), SessionLocal):
        with pytest.raises(FallbackFileError, match=r"used for the tables lines, orders, and not"):
            ask()
    with pytest.raises(FallbackFileError, match="not for none at all"):
        make()()
    assert FILE.read_bytes() == before
    outages.end()
    maker = make("orders", "lines")
    maker().close()
    assert maker.state().waiting == 0


def test_a_release_with_other_tables_is_the_same_application(outages: Outages, make: Make) -> None:
    waiting(outages, make).dispose()
    make("lines", "returns")().close()
    make("returns")().close()
    make("orders")().close()
    with pytest.raises(FallbackFileError, match="used for the tables lines, orders, returns, and"):
        make("invoices")()


def test_a_file_without_the_note_is_known_by_its_units(outages: Outages, make: Make) -> None:
    waiting(outages, make).dispose()
    journal = Journal(FILE)
    journal.prepare()
    connection = journal.connect()
    connection.execute("DROP TABLE vinci_fallback_belongs_tables")
    connection.close()
    journal.close()
    with pytest.raises(FallbackFileError, match="used for the tables orders, and not for invoices"):
        make("invoices")()
    make("orders")().close()


def test_vinci_looks_at_it_and_leaves_sending_to_the_application(
    outages: Outages, make: Make
) -> None:
    maker = waiting(outages, make)
    outages.end()
    status = run("fallback", "status")
    assert (status.code, status.err) == (0, "")
    assert "1 waiting" in status.out
    assert '"note": "kept"' in run("fallback", "show", "1").out
    exported = run("fallback", "export", "-").out
    assert json.loads(exported)["writes"][0]["table"] == "orders"
    for command in ("send", "refresh"):
        refused = run("fallback", command)
        assert (refused.code, refused.out) == (69, "")
        assert "tables that are not known to vinci: lines, orders." in refused.err
        assert "bring_back()" in refused.err
    assert maker.state().waiting == 1
    assert maker.fallback is not None
    maker.fallback.bring_back()
    assert maker.state().waiting == 0


def test_vinci_has_parked_units_wait_for_the_application(outages: Outages, make: Make) -> None:
    maker = waiting(outages, make)
    outages.end()
    engine = create_configured_engine()
    with engine.begin() as connection:
        connection.execute(insert(tables("orders").tables["orders"]), [{"id": 1, "note": "other"}])
    assert maker.fallback is not None
    maker.fallback.bring_back()
    assert maker.state().parked == 1
    with engine.begin() as connection:
        connection.execute(tables("orders").tables["orders"].delete())
    engine.dispose()
    again = run("fallback", "retry", "1")
    assert (again.code, again.out) == (0, "Unit 1: waiting\n")
    assert "They wait for the application of the tables lines, orders." in again.err
    maker.fallback.bring_back()
    state = maker.state()
    assert (state.waiting, state.parked) == (0, 0)
