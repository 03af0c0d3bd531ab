"""A change of a table's metadata: it becomes a version of the table."""

from __future__ import annotations

from dataclasses import replace

from vinci_code.warehouse.engine import properties
from vinci_code.warehouse.engine.model import Table, TableColumn, TableSchema, TableState
from vinci_code.warehouse.engine.reader import Reader
from vinci_code.warehouse.engine.store import Change
from vinci_code.warehouse.engine.work import Work


class Alteration:
    """One ALTER TABLE statement on one table; the commit lock is held."""

    def __init__(self, work: Work, table: Table, reader: Reader) -> None:
        self.work = work
        self.table = table
        self.reader = reader
        self.new_columns: list[TableColumn] = []
        self.copied: dict[str, str] = {}

    @property
    def state(self) -> TableState:
        """The table as it is."""
        return self.table.state

    @property
    def schema(self) -> TableSchema:
        """The table's metadata as it is."""
        return self.table.state.schema

    def commit(
        self, schema: TableSchema, operation: str, details: dict[str, str] | None = None
    ) -> None:
        """Make the changed metadata a version of the table."""
        room, base = self.work.room, self.state
        commit = replace(
            room.next_commit(self.table, base, operation),
            parameters=details or {},
            metadata=True,
            protocol=properties.changes_protocol(base.schema.properties, schema.properties),
        )
        change = Change(
            base, commit, schema=schema, new_columns=self.new_columns, copied=self.copied
        )
        with self.work.session.shielded():
            room.publish(self.work.cursor, [change])
