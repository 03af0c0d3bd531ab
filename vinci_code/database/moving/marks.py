"""How far a copy is, kept in the target itself: what is written with the rows is true of them."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    MetaData,
    String,
    Table,
    Text,
    delete,
    insert,
    inspect,
    select,
    update,
)
from sqlalchemy.schema import CreateTable

from vinci_code.core.errors import CopyRefusedError
from vinci_code.database.upserts import upsert

NAME = "vinci_copy_progress"
"""The table that a copy keeps in the target while it goes on."""

_COPYING, _BY_KEY, _COPIED = "copying", "by key", "copied"
_TABLE = Table(
    NAME,
    MetaData(),
    Column("table_name", String(255), primary_key=True),
    Column("source", String(2000), nullable=False),
    Column("version", BigInteger),
    Column("last_key", String(100_000).with_variant(Text(), "mysql", "mariadb", "oracle", "mssql")),
    Column("copied", BigInteger, nullable=False),
    Column("state", String(20), nullable=False),
)


def unfinished_tables(connection: Connection) -> list[str]:
    """The tables that a copy into this database has not brought to their end."""
    inspector = inspect(connection)
    if not inspector.has_table(NAME):
        return []
    if not {one.name for one in _TABLE.c} <= {one["name"] for one in inspector.get_columns(NAME)}:
        return []  # no copy has made it
    wanted = select(_TABLE.c.table_name).where(_TABLE.c.state != _COPIED)
    return list(connection.execute(wanted).scalars())


@dataclass(frozen=True)
class TableMark:
    """How far a table is.

    Attributes:
        version: Of a table on Databricks, the version that is read.
        last: The key of the last row that was copied; ``None`` before the first one.
        copied: How many rows were copied.
        is_done: Whether all of them were.
    """

    version: int | None
    last: list[Any] | None
    copied: int
    is_done: bool


class Marks:
    """The table of marks in the target.

    Args:
        connection: A connection to the target, in no transaction.
        source: What the source is called.

    Attributes:
        found: How far each table is, by its name in the target.
        is_atomic: Whether a chunk and its mark are written in one transaction.
    """

    def __init__(self, connection: Connection, source: str) -> None:
        self._connection = connection
        self._source = source
        self.found: dict[str, TableMark] = {}
        self.is_atomic = True

    def forget(self, names: Sequence[str], mode: str) -> None:
        """Take away the marks of tables that the target has no more: their rows are gone too."""
        lost = [name for name in names if name in self.found]
        if not lost or mode == "verify":
            return
        with self._connection.begin():
            self._connection.execute(delete(_TABLE).where(_TABLE.c.table_name.in_(lost)))
        for name in lost:
            del self.found[name]

    def load(self) -> None:
        """Read the marks that a copy before has left.

        Raises:
            CopyRefusedError: They are of a copy from elsewhere.
        """
        rows: Sequence[Any] = ()
        with self._connection.begin():
            if inspect(self._connection).has_table(NAME):
                self._require_ours()
                rows = self._connection.execute(select(_TABLE)).all()
        for row in rows:
            if row.source != self._source:
                refusal = (
                    f"a copy from {row.source} into this target has not come to its end; to fix "
                    f"it: run it again until it has, or drop the table {NAME}, and the tables that "
                    "it has filled"
                )
                raise CopyRefusedError([refusal])
            self.is_atomic = self.is_atomic and row.state != _BY_KEY
            self.found[row.table_name] = _mark_of(row)

    def read(self, name: str) -> TableMark | None:
        """How far a table is now; ``None`` where its mark is gone."""
        wanted = select(_TABLE).where(_TABLE.c.table_name == name)
        with self._connection.begin():
            row = self._connection.execute(wanted).one_or_none()
        return None if row is None else _mark_of(row)

    def go_by_key(self) -> None:
        """Say, before it is so, that chunks are written by key, and their marks afterwards."""
        self.is_atomic = False
        with self._connection.begin():
            self._connection.execute(
                update(_TABLE).where(_TABLE.c.state == _COPYING).values(state=_BY_KEY)
            )

    def begin(self, tables: Sequence[tuple[str, int | None]]) -> None:
        """Say of tables, before they are made, that they are of this copy.

        What a process has sent that was killed may be executed meanwhile, and says the same.
        """
        with self._connection.begin():
            self._connection.execute(CreateTable(_TABLE, if_not_exists=True))
        new = [(name, version) for name, version in tables if name not in self.found]
        if not new:
            return
        with self._connection.begin():
            rows = [
                {
                    "table_name": name,
                    "source": self._source,
                    "version": version,
                    "last_key": None,
                    "copied": 0,
                    "state": _COPYING if self.is_atomic else _BY_KEY,
                }
                for name, version in new
            ]
            if self._connection.dialect.name in ("sqlite", "databricks"):
                self._connection.execute(upsert(_TABLE, rows, keys=["table_name"], update=[]))
            else:
                self._connection.execute(insert(_TABLE), rows)
            _require_transaction(self._connection)
        self.load()

    def restart(self, names: Sequence[str]) -> None:
        """Say of tables without a row that nothing of them is there: they were emptied meanwhile.

        Where a mark says so already, it stays as it is.
        """
        found = [(name, self.found[name]) for name in names]
        emptied = [name for name, mark in found if mark.copied or mark.is_done]
        if not emptied:
            return
        state = _COPYING if self.is_atomic else _BY_KEY
        with self._connection.begin():
            for name in emptied:
                self._set(name, last_key=None, copied=0, state=state)
        self.load()

    def claim(self, name: str) -> bool:
        """Say that a table is whole, in the transaction that writes it, before its rows.

        Of two copies that write it at once, one waits here until the other one has ended.

        Returns:
            Whether no other copy has said so.
        """
        ours = update(_TABLE).where(_TABLE.c.table_name == name, _TABLE.c.state != _COPIED)
        return self._connection.execute(ours.values(state=_COPIED)).rowcount == 1

    def note(self, name: str, last: Sequence[Any] | None, copied: int) -> None:
        """Say how far a table is, in the transaction that is going on."""
        key = None if last is None else json.dumps([_encoded(one) for one in last])
        self._set(name, last_key=key, copied=copied)

    def finish(self, name: str, copied: int) -> None:
        """Say that a table is whole, in the transaction that is going on."""
        self._set(name, copied=copied, state=_COPIED)

    def drop(self, names: Sequence[str]) -> None:
        """Take the marks of some tables away, and with the last of them the table of marks."""
        with self._connection.begin():
            if self.found.keys() <= set(names):
                _TABLE.drop(self._connection, checkfirst=True)
            else:
                self._connection.execute(delete(_TABLE).where(_TABLE.c.table_name.in_(names)))

    def _require_ours(self) -> None:
        found = {str(one["name"]).lower() for one in inspect(self._connection).get_columns(NAME)}
        if found != {column.name for column in _TABLE.columns}:
            refusal = (
                f"{NAME}: the target has a table of this name, and it is not the one that a copy "
                "keeps its marks in; to fix it: rename it"
            )
            raise CopyRefusedError([refusal])

    def _set(self, name: str, **values: Any) -> None:
        self._connection.execute(update(_TABLE).where(_TABLE.c.table_name == name).values(**values))


def _require_transaction(connection: Connection) -> None:
    """Refuse an engine on SQLite that commits each statement: rows would be there, and no mark."""
    if connection.dialect.name != "sqlite":
        return
    driver: Any = connection.connection.driver_connection
    if not driver.in_transaction:
        refusal = (
            "the target's engine commits each statement (AUTOCOMMIT), and a chunk is written with "
            "its mark; to fix it: give an engine without that isolation level"
        )
        raise CopyRefusedError([refusal])


def _mark_of(row: Any) -> TableMark:
    last = None if row.last_key is None else [_decoded(one) for one in json.loads(row.last_key)]
    return TableMark(row.version, last, row.copied, row.state == _COPIED)


def _encoded(value: Any) -> dict[str, Any]:
    if isinstance(value, bytes):
        return {"bytes": value.hex()}
    if isinstance(value, dt.datetime):
        return {"moment": value.isoformat()}
    if isinstance(value, dt.date):
        return {"date": value.isoformat()}
    return {"value": value}


def _decoded(value: dict[str, Any]) -> Any:
    ((kind, inner),) = value.items()
    if kind == "bytes":
        return bytes.fromhex(inner)
    if kind == "moment":
        return dt.datetime.fromisoformat(inner)
    return dt.date.fromisoformat(inner) if kind == "date" else inner
