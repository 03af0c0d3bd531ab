"""A unit whose rows take much memory: several statements where that can be had, one where not."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import Any

import pytest
from sqlalchemy import Column, Engine, Integer, MetaData, String, Table, insert, update
from sqlalchemy.exc import DBAPIError

from tests.dialect.held import count_of, first_words, sending
from vinci_code.database.dialect import dberrors
from vinci_code.database.dialect.units import unit as units
from vinci_code.database.dialect.writes import payload
from vinci_code.warehouse.pytest_plugin import TestWarehouse

METADATA = MetaData()
LARGE = Table("large", METADATA, Column("id", Integer, primary_key=True), Column("text", String))
OTHER = Table("other", METADATA, Column("id", Integer, primary_key=True))
ROWS: list[dict[str, Any]] = [{"id": number, "text": "x" * 100} for number in range(1, 1001)]


@pytest.fixture(autouse=True)
def small_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have 40 kB count as large."""
    monkeypatch.setattr(payload, "LARGE_JSON_BYTES", 40_000)
    monkeypatch.setattr(payload, "_BLOCK", 200)
    monkeypatch.setattr(payload, "SPLIT_JSON_BYTES", 30_000)
    monkeypatch.setattr(units, "SPLIT_JSON_BYTES", 20_000)


def test_it_is_a_transaction(engine: Engine, local_warehouse: TestWarehouse) -> None:
    METADATA.create_all(engine)
    with sending(lambda: local_warehouse.statements) as sent, engine.begin() as connection:
        connection.execute(insert(LARGE), ROWS)
    words = first_words(sent)
    assert words == ["BEGIN", *["INSERT"] * (len(words) - 2), "COMMIT"]
    assert len(words) > 4
    assert count_of(engine, LARGE) == len(ROWS)


def test_it_is_all_or_nothing(engine: Engine) -> None:
    METADATA.create_all(engine)
    with engine.begin() as connection:
        connection.execute(insert(LARGE), [{"id": 1000, "text": "there before"}])
    with pytest.raises(DBAPIError, match="1000"), engine.begin() as connection:
        connection.execute(insert(LARGE), ROWS)
    assert count_of(engine, LARGE) == 1


@pytest.mark.parametrize("transactions", ["auto", "off"])
def test_without_transactions_it_is_one_statement(
    connected: Callable[..., Engine], without_transactions: TestWarehouse, transactions: str
) -> None:
    engine = connected(without_transactions, transactions=transactions)
    METADATA.create_all(engine)
    with sending(lambda: without_transactions.statements) as sent, engine.begin() as connection:
        connection.execute(insert(LARGE), ROWS)
    assert first_words(sent) == (["INSERT"] if transactions == "off" else ["BEGIN", "INSERT"])
    assert count_of(engine, LARGE) == len(ROWS)


def test_without_transactions_two_tables_are_refused(
    connected: Callable[..., Engine], without_transactions: TestWarehouse
) -> None:
    engine = connected(without_transactions)
    METADATA.create_all(engine)
    with engine.connect() as connection:
        connection.execute(insert(LARGE), ROWS)
        connection.execute(insert(OTHER), [{"id": 1}])
        with pytest.raises(DBAPIError) as caught:
            connection.commit()
    assert isinstance(caught.value.orig, dberrors.AtomicityError)
    assert count_of(engine, LARGE) == 0


def test_at_once_a_write_in_part_is_reported(engine: Engine) -> None:
    METADATA.create_all(engine)
    rows: list[dict[str, Any]] = [
        {"id": 1, "text": date(2024, 1, 1)},
        {"id": 2, "text": "of another"},
    ]
    at_once = engine.execution_options(isolation_level="AUTOCOMMIT")
    with at_once.connect() as connection:
        connection.execute(insert(LARGE), {"id": 2, "text": "there before"})
        mixed = Table("large", MetaData(), Column("id", Integer, primary_key=True), Column("text"))
        with pytest.raises(DBAPIError) as caught:
            connection.execute(insert(mixed), rows)
    assert isinstance(caught.value.orig, dberrors.PartialCommitError)
    assert "Written: INSERT 1 rows of large" in str(caught.value.orig)
    assert count_of(engine, LARGE) == 2


@pytest.mark.parametrize("letter", ["é", "'"], ids=["two bytes", "one that is escaped"])
def test_a_block_is_measured_as_it_is_sent(
    engine: Engine,
    local_warehouse: TestWarehouse,
    monkeypatch: pytest.MonkeyPatch,
    letter: str,
) -> None:
    METADATA.create_all(engine)
    monkeypatch.setattr(units, "_MAX_BLOCK_BYTES", 40_000)
    with engine.begin() as connection:
        connection.execute(insert(LARGE), [{"id": n, "text": str(n)} for n in (1, 2, 3)])
    with sending(lambda: local_warehouse.statements) as sent, engine.begin() as connection:
        for number in (1, 2, 3):
            where = LARGE.c.text == str(number)
            connection.execute(update(LARGE).where(where).values(text=letter * 9_000))
    assert first_words(sent) == ["BEGIN", *["UPDATE"] * 3, "COMMIT"]


def test_rows_that_are_written_out_are_measured_as_they_are_sent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(payload, "_MAX_WRITTEN_BYTES", 1_000)
    made = list(payload.payloads([("é" * 300,)] * 3, [None]))
    assert [(one.rows, len(one.written.encode()) <= 1_000) for one in made] == [(1, True)] * 3
    with pytest.raises(dberrors.LimitExceeded, match=r"takes 1,2\d\d bytes"):
        list(payload.payloads([("é" * 600,)], [None]))
