"""Which tables a statement reads and writes, noted as it is compiled."""

from __future__ import annotations

import re
from typing import Any

from sqlalchemy.sql.compiler import SQLCompiler

from vinci_code.database.dialect.identifiers import schema_parts
from vinci_code.database.dialect.views import Name

_DESCRIBES = "information_schema"
# Text that may name a table.
_NAMES_TABLES = re.compile(r"\b(?:SELECT|FROM|JOIN|TABLE)\b", re.IGNORECASE)


class TablesUsed(SQLCompiler):
    """Notes what a statement uses.

    Attributes:
        tables_used: The bare names of its tables, in lower case; ``None`` where others may be
            read: raw text may name them, and a view reads them.
        names_used: The same with their catalogs, except of what describes other tables.
    """

    tables_used: frozenset[str] | None = frozenset()
    names_used: frozenset[Name] = frozenset()

    def visit_table(self, table: Any, *args: Any, **kw: Any) -> str:
        """Note the table."""
        self._note(table)
        text: str = super().visit_table(table, *args, **kw)  # type: ignore[no-untyped-call]
        return text

    def visit_textclause(self, textclause: Any, *args: Any, **kw: Any) -> str:
        """Note that a text may name tables."""
        if kw.get("asfrom") or _NAMES_TABLES.search(textclause.text):
            self.tables_used = None
        text: str = super().visit_textclause(textclause, *args, **kw)  # type: ignore[no-untyped-call]
        return text

    def visit_column(self, column: Any, *args: Any, **kw: Any) -> str:
        """Note that a ``literal_column()`` may name tables."""
        if column.is_literal and _NAMES_TABLES.search(column.name):
            self.tables_used = None
        text: str = super().visit_column(column, *args, **kw)
        return text

    def _note(self, table: Any) -> None:
        if getattr(table, "is_view", False):
            self.tables_used = None
        elif self.tables_used is not None:
            self.tables_used |= {str(table.name).lower()}
        *catalog, schema = schema_parts(table.schema) if table.schema else [""]
        if schema.lower() != _DESCRIBES:
            written = self.preparer.quote(catalog[0]) if catalog else None
            self.names_used |= {Name(written, str(table.name).lower())}
