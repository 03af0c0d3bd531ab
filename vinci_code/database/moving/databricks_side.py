"""Databricks as one side of a copy: rows as Arrow, and checksums that the warehouse computes."""

from __future__ import annotations

import re
from collections.abc import Generator, Iterable, Iterator, Sequence
from typing import Any

from sqlalchemy import (
    Column,
    Connection,
    MetaData,
    Table,
    delete,
    select,
    text,
)

from vinci_code.core.errors import CopyRefusedError
from vinci_code.database.arrow.reading import read_batches
from vinci_code.database.loading.loading import load
from vinci_code.database.loading.results import Mode
from vinci_code.database.moving.arrows import arrow_reader, arrow_table
from vinci_code.database.moving.canonical import sql_form, sql_number, sql_parts
from vinci_code.database.moving.errors import NoPlainValueError
from vinci_code.database.moving.kinds import ValueKind, plain_type
from vinci_code.database.moving.plans import (
    CHUNK_BYTES,
    Chunk,
    ColumnPlan,
    RowMark,
    TablePlan,
    TableProof,
)
from vinci_code.database.moving.selecting import among, behind


class DatabricksSide:
    """Reads and writes tables of a warehouse.

    Attributes:
        is_target: Whether it is the side that is written to.
    """

    word = "Databricks"

    def __init__(self, *, is_target: bool) -> None:
        self.is_target = is_target

    def version(self, connection: Connection, table: TablePlan) -> int:
        """The newest version of a table.

        https://docs.databricks.com/aws/en/delta/history
        """
        found = connection.execute(
            text(f"DESCRIBE HISTORY {self._table(connection, table)} LIMIT 1")
        )
        return int(found.mappings().one()["version"])

    def chunks(
        self, connection: Connection, table: TablePlan, after: Sequence[Any] | None, most: int
    ) -> Generator[Chunk, None, None]:
        """The rows in the order of the key, from behind a key on, some at a time."""
        source = self._source(connection, table)
        keys = [source.c[place] for place in table.keys]
        statement = select(*source.c).order_by(*keys)
        if after is not None:
            statement = statement.where(behind(keys, after))
        with read_batches(connection, statement, batch_rows=most) as batches:
            for batch in batches:
                step = max(1, batch.num_rows // (1 + batch.nbytes // CHUNK_BYTES))
                for start in range(0, batch.num_rows, step):
                    columns = [column.to_pylist() for column in batch.slice(start, step).columns]
                    last = [columns[place][-1] for place in table.keys] if table.key else None
                    yield Chunk(columns, last)

    def count(self, connection: Connection, table: TablePlan) -> int:
        """How many rows a table has."""
        statement = _plain_text(f"SELECT count(*) FROM {self._at_version(connection, table)}")  # noqa: S608
        return int(connection.execute(statement).scalar_one())

    def proof(self, connection: Connection, table: TablePlan) -> TableProof:
        """Have the warehouse count and sum the table."""
        forms, key = self._forms(connection, table), self._free(table, _KEY)
        parts = ["count(*)"]
        for form in forms:
            number = sql_number(f"concat({key}, {form})" if table.key else form)
            parts += [f"count({form})", _summed(number)]
        if not table.key:
            parts.append(_summed(sql_number(sql_parts(forms))))
        row = connection.execute(
            _plain_text(f"SELECT {', '.join(parts)} FROM {self._with_key(connection, table)}")  # noqa: S608
        ).one()
        rows, *rest = (int(value or 0) for value in row)
        whole = None if table.key else rest.pop()
        return TableProof(rows, tuple(rest[::2]), tuple(rest[1::2]), whole)

    def buckets(
        self, connection: Connection, table: TablePlan, count: int
    ) -> dict[int, tuple[int, int]]:
        """For each bucket of keys how many rows it has, and the sum of their numbers."""
        number = sql_number(sql_parts(self._forms(connection, table)))
        key = sql_number(self._free(table, _KEY))
        rows = connection.execute(
            _plain_text(
                f"SELECT {key} % {count} AS b, count(*), {_summed(number)} "  # noqa: S608
                f"FROM {self._with_key(connection, table)} GROUP BY 1"
            )
        )
        return {int(bucket): (int(found), int(total)) for bucket, found, total in rows}

    def marks(
        self, connection: Connection, table: TablePlan, count: int, wanted: frozenset[int]
    ) -> dict[str, RowMark]:
        """The rows of some buckets, by the texts of their keys."""
        number = sql_number(sql_parts(self._forms(connection, table)))
        names = [self._columns(table)[place] for place in table.keys]
        listed = ", ".join(map(str, sorted(wanted)))
        key, its = self._free(table, _KEY), self._free(table, _NUMBER)
        rest = "" if len(wanted) == count else f" WHERE {sql_number(key)} % {count} IN ({listed})"
        quoted = ", ".join(_quote(connection, name) for name in names)
        rows_of = self._with_key(connection, table)
        statement = _plain_text(
            f"SELECT {key}, {number} AS {its}, {quoted} FROM {rows_of}{rest}"  # noqa: S608
        ).columns(
            Column(key, plain_type(_TEXT)),
            Column(its, plain_type(_INTEGER)),
            *(
                Column(names[i], plain_type(table.columns[p].kind))
                for i, p in enumerate(table.keys)
            ),
        )
        return {row[0]: RowMark(row[1], tuple(row[2:])) for row in connection.execute(statement)}

    def fetch(
        self, connection: Connection, table: TablePlan, keys: Sequence[tuple[Any, ...]]
    ) -> Chunk:
        """The rows with some keys."""
        source = self._source(connection, table)
        columns = [source.c[place] for place in table.keys]
        statement = select(*source.c).where(among(columns, keys))
        rows = connection.execute(statement).all()
        return Chunk([list(values) for values in zip(*rows, strict=True)] if rows else [])

    def insert(self, connection: Connection, table: TablePlan, chunk: Chunk) -> None:
        """Write new rows."""
        self._load(connection, table, chunk, "append")

    def insert_all(self, connection: Connection, table: TablePlan, chunks: Iterable[Chunk]) -> int:
        """Write all rows of a table as one load: whatever their number, memory has one chunk."""
        rows = 0

        def tables() -> Iterator[Any]:
            nonlocal rows
            yield self._arrow(table, Chunk([[] for _ in table.columns]))
            for chunk in chunks:
                rows += chunk.rows
                yield self._arrow(table, chunk)

        load(connection, self.plain_table(table), arrow_reader(tables()), mode="append")
        return rows

    def insert_missing(self, connection: Connection, table: TablePlan, chunk: Chunk) -> None:
        """Write rows whose key is not there."""
        self._load(connection, table, chunk, "insert_missing")

    def upsert(self, connection: Connection, table: TablePlan, chunk: Chunk) -> None:
        """Write rows, in the place of those with the same key."""
        self._load(connection, table, chunk, "upsert")

    def delete(
        self, connection: Connection, table: TablePlan, keys: Sequence[tuple[Any, ...]]
    ) -> None:
        """Delete the rows with some keys."""
        target = self.plain_table(table)
        columns = [target.columns[self._columns(table)[place]] for place in table.keys]
        connection.execute(delete(target).where(among(columns, keys)))

    def plain_table(self, table: TablePlan) -> Table:
        """The table with the types of plain values: a document is its text."""
        keys = set(table.keys)
        columns: list[Column[Any]] = [
            Column(
                name,
                self._nested(one) or plain_type(one.kind),
                primary_key=place in keys,
                autoincrement=False,
                nullable=one.nullable and place not in keys,
            )
            for place, (name, one) in enumerate(
                zip(self._columns(table), table.columns, strict=True)
            )
        ]
        return Table(table.named(on_target=self.is_target), MetaData(), *columns)

    def _load(self, connection: Connection, table: TablePlan, chunk: Chunk, mode: Mode) -> None:
        if not chunk.rows:
            return
        target = self.plain_table(table)
        rows = self._arrow(table, chunk)
        keys = None if mode == "append" else [column.name for column in target.primary_key]
        load(connection, target, rows, mode=mode, keys=keys)

    def _source(self, connection: Connection, table: TablePlan) -> Any:
        names = self._columns(table)
        listed = ", ".join(
            quoted if self._nested(one) is None else f"to_json({quoted}) AS {quoted}"
            for quoted, one in zip(
                (_quote(connection, name) for name in names), table.columns, strict=True
            )
        )
        return (
            _plain_text(f"SELECT {listed} FROM {self._at_version(connection, table)}")  # noqa: S608
            .columns(
                *(
                    Column(name, plain_type(one.kind))
                    for name, one in zip(names, table.columns, strict=True)
                )
            )
            .subquery("source")
        )

    def _with_key(self, connection: Connection, table: TablePlan) -> str:
        forms = self._forms(connection, table)
        key = sql_parts([forms[place] for place in table.keys])
        own, stored = self._free(table, _KEY), self._at_version(connection, table)
        return f"(SELECT *, {key} AS {own} FROM {stored}) AS rows_of"  # noqa: S608

    def _forms(self, connection: Connection, table: TablePlan) -> list[str]:
        forms = []
        for name, one in zip(self._columns(table), table.columns, strict=True):
            quoted = _quote(connection, name)
            is_nested = self._nested(one) is not None
            forms.append(f"to_json({quoted})" if is_nested else sql_form(one.kind, quoted))
        return forms

    def _nested(self, column: ColumnPlan) -> Any:
        """The nested type that a column of documents is on this side."""
        return column.nested[1 if self.is_target else 0]

    def _arrow(self, table: TablePlan, chunk: Chunk) -> Any:
        columns = [
            (name, one.kind, self._nested(one))
            for name, one in zip(self._columns(table), table.columns, strict=True)
        ]
        try:
            return arrow_table(columns, chunk)
        except NoPlainValueError as error:
            refusal = (
                f"{table.name}: {error}; to fix it: change the document, or make the column a "
                "STRING in the target"
            )
            raise CopyRefusedError([refusal]) from None

    def _at_version(self, connection: Connection, table: TablePlan) -> str:
        name = self._table(connection, table)
        is_fixed = not self.is_target and table.version is not None
        return f"{name} VERSION AS OF {table.version}" if is_fixed else name

    def _table(self, connection: Connection, table: TablePlan) -> str:
        return _quote(connection, table.named(on_target=self.is_target))

    def _free(self, table: TablePlan, name: str) -> str:
        """A name that no column of the table has, in any letter case."""
        taken = {one.upper().lower() for one in self._columns(table)}
        while name in taken:
            name += "_"
        return name

    def _columns(self, table: TablePlan) -> list[str]:
        return table.names(on_target=self.is_target)


_TEXT, _INTEGER = ValueKind("text"), ValueKind("integer")
_KEY, _NUMBER = "vinci_copy_key", "vinci_copy_number"


def _summed(number: str) -> str:
    return f"sum(CAST({number} AS DECIMAL(38, 0)))"


def _quote(connection: Connection, name: str) -> str:
    return connection.dialect.identifier_preparer.quote_identifier(name)


def _plain_text(statement: str) -> Any:
    return text(re.sub(r"(?<!\\):", r"\\:", statement))  # no colon of it marks a parameter
