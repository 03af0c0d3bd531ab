"""How many requests it takes: a warehouse is paid for by the minute, and each takes its time."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator

import pytest
import sqlalchemy as sa
from sqlalchemy import orm

from tests.parity.backends import warehouse_engine
from tests.parity.library import METADATA, Author, Book, three_authors
from vinci_code.warehouse import LocalWarehouse

_schemas = itertools.count(1)


@pytest.fixture(scope="module")
def filled(parity_warehouse: LocalWarehouse) -> Iterator[sa.Engine]:
    parity_warehouse.sql("CREATE SCHEMA statements")
    engine = warehouse_engine(parity_warehouse, "statements")
    METADATA.create_all(engine)
    with orm.Session(engine) as session:
        three_authors(session)
    yield engine
    engine.dispose()


@pytest.fixture
def log(parity_warehouse: LocalWarehouse, filled: sa.Engine) -> LocalWarehouse:
    """The warehouse, with one session open and nothing on record."""
    with filled.connect():
        pass
    parity_warehouse.clear_requests()
    return parity_warehouse


def operations(warehouse: LocalWarehouse) -> list[str]:
    return [request.operation for request in warehouse.requests]


def test_reading_objects_is_one_request(log: LocalWarehouse, filled: sa.Engine) -> None:
    with orm.Session(filled) as session:
        assert len(session.scalars(sa.select(Author)).all()) == 3
    assert operations(log) == ["ExecuteStatement"]


def test_get_is_one_request_and_then_none(log: LocalWarehouse, filled: sa.Engine) -> None:
    with orm.Session(filled) as session:
        key = session.scalars(sa.select(Author.id).limit(1)).one()
        log.clear_requests()
        author = session.get(Author, key)
        assert session.get(Author, key) is author
    assert operations(log) == ["ExecuteStatement"]


def test_select_in_loading_is_one_request_more(log: LocalWarehouse, filled: sa.Engine) -> None:
    with orm.Session(filled) as session:
        query = sa.select(Author).options(orm.selectinload(Author.books))
        assert sum(len(author.books) for author in session.scalars(query)) == 3
    assert operations(log) == ["ExecuteStatement"] * 2


def test_a_checkout_sends_nothing(log: LocalWarehouse, filled: sa.Engine) -> None:
    for _ in range(3):
        with filled.connect():
            pass
        with orm.Session(filled) as session:
            session.connection()
            session.commit()
    assert operations(log) == []


def test_commit_and_rollback_without_writes_send_nothing(
    log: LocalWarehouse, filled: sa.Engine
) -> None:
    with filled.connect() as connection:
        connection.scalar(sa.text("SELECT 1"))
        connection.commit()
        connection.scalar(sa.text("SELECT 2"))
        connection.rollback()
    assert operations(log) == ["ExecuteStatement"] * 2


def test_an_idle_engine_sends_nothing(log: LocalWarehouse, filled: sa.Engine) -> None:
    time.sleep(1.5)
    assert operations(log) == []


def test_a_new_engine_sends_nothing_until_it_is_used(log: LocalWarehouse) -> None:
    engine = warehouse_engine(log, "statements")
    assert operations(log) == []
    with engine.connect():
        pass
    assert operations(log) == ["OpenSession"]
    engine.dispose()
    assert operations(log) == ["OpenSession", "CloseSession"]


def test_the_key_of_a_new_object_costs_nothing(log: LocalWarehouse, filled: sa.Engine) -> None:
    with orm.Session(filled, expire_on_commit=False) as session:
        book = Book(title="new")
        session.add(book)
        session.commit()
        assert book.id is not None
    assert operations(log) == ["ExecuteStatement"]
    with filled.begin() as connection:
        connection.execute(sa.text("DELETE FROM book WHERE title = 'new'"))


@pytest.mark.slow
def test_reflecting_two_hundred_tables(parity_warehouse: LocalWarehouse) -> None:
    parity_warehouse.sql("CREATE SCHEMA two_hundred")
    for number in range(200):
        parity_warehouse.sql(
            f"CREATE TABLE t{number} (id BIGINT NOT NULL, name STRING COMMENT 'a name', "
            f"CONSTRAINT pk_{number} PRIMARY KEY (id))",
            schema="two_hundred",
        )
    engine = warehouse_engine(parity_warehouse, "two_hundred")
    with engine.connect() as connection:
        inspector = sa.inspect(connection)
        parity_warehouse.clear_requests()
        metadata = sa.MetaData()
        metadata.reflect(connection)
        assert len(metadata.tables) == 200
        assert metadata.tables["t199"].primary_key.columns.keys() == ["id"]
        assert len(parity_warehouse.statements) <= 6
        for _ in range(2):
            parity_warehouse.clear_requests()
            assert len(inspector.get_multi_columns()) == 200
            assert len(inspector.get_multi_pk_constraint()) == 200
            assert len(inspector.get_multi_foreign_keys()) == 200
            assert len(inspector.get_table_names()) == 200
            assert inspector.get_columns("t7")[1]["comment"] == "a name"
            sent = len(parity_warehouse.statements)
        assert sent == 0
    engine.dispose()
