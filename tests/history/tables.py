"""The tables of the checker: mapped classes, a view, and the rows of one schedule in them."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import sqlalchemy as sa
from sqlalchemy import orm

from tests.history.model import ACCOUNT, ITEM, NOTE, RECEIPT, SETTING, WALLET, Row
from vinci_code.database.dialect.driver import dbapi

SLOTS = 16
"""How many rows of one table a schedule may use."""


class Base(orm.DeclarativeBase):
    """The tables of the checker."""


class Account(Base):
    """A row with a version counter; each version adds a unit to the log."""

    __tablename__ = ACCOUNT
    id: orm.Mapped[int] = orm.mapped_column(sa.BigInteger, primary_key=True, autoincrement=False)
    log: orm.Mapped[str]
    version: orm.Mapped[int] = orm.mapped_column()
    __mapper_args__ = {"version_id_col": version}  # noqa: RUF012 - SQLAlchemy's form


class Item(Base):
    """A row with a unique code."""

    __tablename__ = ITEM
    id: orm.Mapped[int] = orm.mapped_column(sa.BigInteger, primary_key=True, autoincrement=False)
    code: orm.Mapped[str | None] = orm.mapped_column(sa.String(40), unique=True)
    writer: orm.Mapped[str]


class Setting(Base):
    """A row whose last writer wins."""

    __tablename__ = SETTING
    id: orm.Mapped[int] = orm.mapped_column(sa.BigInteger, primary_key=True, autoincrement=False)
    value: orm.Mapped[str]


class Wallet(Base):
    """A row without a version; each change adds a unit to the log, and one to the balance."""

    __tablename__ = WALLET
    id: orm.Mapped[int] = orm.mapped_column(sa.BigInteger, primary_key=True, autoincrement=False)
    log: orm.Mapped[str]
    balance: orm.Mapped[int]


class Note(Base):
    """A message of a queue, whose key is made here."""

    __tablename__ = NOTE
    id: orm.Mapped[int] = orm.mapped_column(primary_key=True)
    slot: orm.Mapped[int] = orm.mapped_column(sa.BigInteger)
    writer: orm.Mapped[str]


class Receipt(Base):
    """What was done once, by its idempotency key."""

    __tablename__ = RECEIPT
    id: orm.Mapped[int] = orm.mapped_column(primary_key=True)
    slot: orm.Mapped[int] = orm.mapped_column(sa.BigInteger, unique=True)
    writer: orm.Mapped[str]


VIEW = "shown_setting"
"""A view on ``setting``."""

ACCOUNTS: Any = Account.__table__
ITEMS: Any = Item.__table__
SETTINGS: Any = Setting.__table__
WALLETS: Any = Wallet.__table__
RECEIPTS: Any = Receipt.__table__
SHOWN = sa.table(VIEW, sa.column("id", sa.BigInteger), sa.column("value", sa.String))


class Rows:
    """The rows of one schedule: a range of keys in each table, and codes of its own.

    The schedule numbers its rows from 0, and knows short codes; both are stored otherwise.

    Args:
        base: Which range of keys it is.
    """

    def __init__(self, base: int) -> None:
        self._base = base
        self._first = base * SLOTS

    def stored_key(self, key: int) -> int:
        """The key in the tables of a row of the schedule."""
        return self._first + key

    def key(self, stored: int) -> int:
        """The number within the schedule of a row of the tables."""
        return stored - self._first

    def stored_code(self, code: str | None) -> str | None:
        """The code in the tables of a code of the schedule."""
        return None if code is None else f"{self._base}:{code}"

    def code(self, stored: str | None) -> str | None:
        """The code within the schedule; one that another schedule has written is left as it is."""
        return None if stored is None else re.sub(f"^{self._base}:", "", stored)

    def values(self, table: str, key: int, row: Row) -> dict[str, Any]:
        """The values to insert a row by."""
        return _VALUES[table](self, key, row)

    def found(self, clean: dbapi.Connection) -> tuple[tuple[str, int, Row], ...]:
        """The rows that there are, as a connection reads them: table, key, what it holds."""
        low, high = self.stored_key(0), self.stored_key(SLOTS - 1)
        within, by_slot = (f"WHERE {name} BETWEEN {low} AND {high}" for name in ("id", "slot"))
        cursor = clean.cursor()
        cursor.execute(
            f"SELECT '{ACCOUNT}', id, log, CAST(version AS STRING) FROM {ACCOUNT} {within} "
            f"UNION ALL SELECT '{ITEM}', id, code, writer FROM {ITEM} {within} "
            f"UNION ALL SELECT '{SETTING}', id, value, NULL FROM {SETTING} {within} "
            f"UNION ALL SELECT '{WALLET}', id, log, CAST(balance AS STRING) FROM {WALLET} {within} "
            f"UNION ALL SELECT '{NOTE}', slot, writer, NULL FROM {NOTE} {by_slot} "
            f"UNION ALL SELECT '{RECEIPT}', slot, writer, NULL FROM {RECEIPT} {by_slot}"
        )
        found: list[tuple[str, int, Row]] = []
        for table, stored, first, second in cursor.fetchall():
            row: Row = (first,)
            if table == ITEM:
                row = (self.code(first), second)
            elif table in (ACCOUNT, WALLET) and int(second) != len(first.split(",")):
                row = (f"{first} as version {second}",)
            found.append((table, self.key(stored), row))
        cursor.close()
        return tuple(sorted(found, key=repr))


def _account(rows: Rows, key: int, row: Row) -> dict[str, Any]:
    return {"id": rows.stored_key(key), "log": row[0], "version": 1}


def _item(rows: Rows, key: int, row: Row) -> dict[str, Any]:
    return {"id": rows.stored_key(key), "code": rows.stored_code(row[0]), "writer": row[1]}


def _setting(rows: Rows, key: int, row: Row) -> dict[str, Any]:
    return {"id": rows.stored_key(key), "value": row[0]}


def _wallet(rows: Rows, key: int, row: Row) -> dict[str, Any]:
    return {"id": rows.stored_key(key), "log": row[0], "balance": 1}


def _by_slot(rows: Rows, key: int, row: Row) -> dict[str, Any]:
    return {"slot": rows.stored_key(key), "writer": row[0]}


_VALUES: dict[str, Callable[[Rows, int, Row], dict[str, Any]]] = {
    ACCOUNT: _account,
    ITEM: _item,
    SETTING: _setting,
    WALLET: _wallet,
    NOTE: _by_slot,
    RECEIPT: _by_slot,
}
