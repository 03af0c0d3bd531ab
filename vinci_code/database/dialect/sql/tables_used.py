"""Which tables a statement reads and writes, noted as it is compiled."""

from __future__ import annotations

from typing import Any

from sqlalchemy.sql import visitors
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.elements import ClauseElement

from vinci_code.database.dialect.sql.constructs import (
    is_compiled_elsewhere,
    is_own_name,
    is_own_of_databricks,
    is_own_text,
)
from vinci_code.database.dialect.sql.identifiers import schema_parts
from vinci_code.database.dialect.sql.views import Name
from vinci_code.database.dialect.text.builtins import NAMES
from vinci_code.database.dialect.text.scanning import may_read_tables

_DESCRIBES = "information_schema"


class TablesUsed(SQLCompiler):
    """Notes what a statement uses.

    Attributes:
        tables_used: The bare names of its tables, in lower case; ``None`` where others may be
            read: raw text may name them, be it an operator or a hint of the application's own, and
            a view, or a function that is not built in, reads them.
        names_used: The same with their schemas, except of what describes other tables.
    """

    tables_used: frozenset[str] | None = frozenset()
    names_used: frozenset[Name] = frozenset()
    # While the values of a write are rendered.
    _noting = False

    def __init__(self, dialect: Any, statement: Any, *args: Any, **kw: Any) -> None:
        super().__init__(dialect, statement, *args, **kw)
        if isinstance(statement, ClauseElement):
            self._note_own(statement)
        elif statement is not None:
            self.tables_used = None  # what stands around a statement is not looked through

    def process(self, obj: Any, **kwargs: Any) -> str:
        """Note what the default of a column is made of, which the statement does not show."""
        if self._noting:
            self._note_own(obj)
        return super().process(obj, **kwargs)

    def _compose_select_body(self, text: str, select: Any, *args: Any) -> str:
        # What the ORM has made of it: with the conditions of relationships, and column properties.
        self._note_own(select)
        composed: str = super()._compose_select_body(text, select, *args)  # type: ignore[no-untyped-call]
        return composed

    def get_statement_hint_text(self, hint_texts: Any) -> str:
        """Note that a hint may be any SQL."""
        self.tables_used = None
        text: str = super().get_statement_hint_text(hint_texts)  # type: ignore[no-untyped-call]
        return text

    def visit_table(self, table: Any, *args: Any, **kw: Any) -> str:
        """Note the table."""
        self._note(table)
        text: str = super().visit_table(table, *args, **kw)  # type: ignore[no-untyped-call]
        return text

    def visit_textclause(self, textclause: Any, *args: Any, **kw: Any) -> str:
        """Note that a text may name tables."""
        if kw.get("asfrom") or may_read_tables(textclause.text):
            self.tables_used = None
        text: str = super().visit_textclause(textclause, *args, **kw)  # type: ignore[no-untyped-call]
        return text

    def visit_column(self, column: Any, *args: Any, **kw: Any) -> str:
        """Note that a ``literal_column()`` may name tables."""
        if is_own_name(column.name) or (column.is_literal and may_read_tables(column.name)):
            self.tables_used = None
        text: str = super().visit_column(column, *args, **kw)
        return text

    def visit_function(self, func: Any, *args: Any, **kw: Any) -> str:
        """Note that a function which is not built in may be one of SQL, which reads tables."""
        if self.may_read(func):
            self.tables_used = None
        text: str = super().visit_function(func, *args, **kw)
        return text

    def may_read(self, func: Any) -> bool:
        """Whether a function may read tables: one that is not built in."""
        name = str(func.name).lower()
        if func.packagenames:
            return name not in NAMES or not is_own_of_databricks(func)
        rendered_here = hasattr(self, f"visit_{name}_func")
        return not rendered_here and name not in NAMES

    def _note_own(self, element: Any) -> None:
        """Note that what an application renders, or writes as text, may name tables."""
        nodes = visitors.iterate(element)
        if any(is_compiled_elsewhere(node) or is_own_text(node) for node in nodes):
            self.tables_used = None

    def _note(self, table: Any) -> None:
        if getattr(table, "is_view", False) or is_own_name(table.name):
            self.tables_used = None
        elif self.tables_used is not None:
            self.tables_used |= {str(table.name).lower()}
        schema = schema_parts(table.schema)[-1] if table.schema else ""
        if schema.lower() != _DESCRIBES:
            self.names_used |= {Name(table.schema, str(table.name).lower())}
