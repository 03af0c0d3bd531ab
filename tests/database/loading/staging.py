"""What the tests of loads through a volume share: a table, rows, and what lies in the volume."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pyarrow as pa
import sqlalchemy as sa

from vinci_code.database.dialect.writes.shapes import letters
from vinci_code.database.loading.staged import StagedOutcome, load_staged
from vinci_code.database.loading.stored import StoredColumn
from vinci_code.database.loading.volumes import OURS, Volume
from vinci_code.warehouse.pytest_plugin import TestWarehouse
from vinci_code.warehouse.sql.errors import SqlError


def items(metadata: sa.MetaData, name: str = "items", **options: Any) -> sa.Table:
    """A table with a key, a unique column and an amount."""
    return sa.Table(
        name,
        metadata,
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("name", sa.String, unique=True),
        sa.Column("amount", sa.Numeric(12, 2)),
        **options,
    )


def stored(table: sa.Table, *names: str) -> list[StoredColumn]:
    """How columns of such a table are stored; by default all."""
    kinds = {"id": pa.int64(), "name": pa.string(), "amount": pa.string(), "parent": pa.int64()}
    made = {"amount": "CAST({} AS DECIMAL(12, 2))"}
    return [
        StoredColumn(table.c[name], kinds[name], made.get(name, "{}"))
        for name in names or table.columns.keys()
    ]


def batches_of(
    columns: list[StoredColumn], rows: list[tuple[Any, ...]], most: int = 1000
) -> Iterator[pa.RecordBatch]:
    """Rows as batches, as ``load_staged`` takes them."""
    schema = pa.schema([(letters(n), item.arrow) for n, item in enumerate(columns)])
    for begin in range(0, len(rows), most):
        values = zip(*rows[begin : begin + most], strict=True)
        arrays = [
            pa.array([str(v) if isinstance(v, Decimal) else v for v in given], field.type)
            for given, field in zip(values, schema, strict=True)
        ]
        yield pa.RecordBatch.from_arrays(arrays, schema=schema)


def numbered(begin: int, end: int, amount: str = "1.25") -> list[tuple[Any, ...]]:
    """Rows of ``items``."""
    return [(n, f"name {n}", Decimal(amount)) for n in range(begin, end)]


class Staging:
    """A volume in the schema of a test, and loads through it.

    Attributes:
        volume: The volume.
    """

    def __init__(self, warehouse: TestWarehouse, name: str = OURS) -> None:
        self.warehouse = warehouse
        self.volume = Volume(f"/Volumes/{warehouse.catalog}/{warehouse.schema}/{name}")
        warehouse.warehouse.sql(f"CREATE VOLUME {warehouse.schema}.{name}")

    def load(
        self,
        connection: sa.Connection,
        table: sa.Table,
        rows: list[tuple[Any, ...]],
        mode: str = "append",
        *names: str,
        **options: Any,
    ) -> StagedOutcome:
        """Load rows into a table."""
        columns = stored(table, *names)
        return load_staged(
            connection,
            table,
            columns,
            batches_of(columns, rows),
            mode=mode,
            volume=self.volume,
            **options,
        )

    def files(self) -> list[str]:
        """The names of the files that lie in the folder of loads."""
        return [name for name, _ in self.listed()]

    def listed(self) -> list[tuple[str, int]]:
        """The same with their sizes; asked for in the warehouse itself, unrecorded."""
        session = self.warehouse.warehouse._live.engine.open_session(None, None, {})
        try:
            result = session.execute(f"LIST '{self.volume.path}/{OURS}'")
            rows = [row for batch in result.batches for row in batch.to_pylist()]
            result.close()
        except SqlError as error:
            if error.error_class != "PATH_NOT_FOUND":
                raise
            return []
        finally:
            session.close()
        return [(str(row["name"]), int(row["size"])) for row in rows]


def all_of(connection: sa.Connection, table: sa.Table) -> list[tuple[Any, ...]]:
    """The rows of a table, by their first column."""
    return [tuple(row) for row in connection.execute(sa.select(table).order_by(*table.primary_key))]
