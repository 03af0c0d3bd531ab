"""A query in which tables stand as they come out with what is held.

The unit of work lays what it holds over the stored rows, as common table expressions; here each
such table is read by the name of its expression, wherever it stands in the query.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import util
from sqlalchemy.schema import Table
from sqlalchemy.sql import operators
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.elements import ColumnClause

from vinci_code.database.dialect.sql.inserts import as_declared
from vinci_code.database.dialect.text.scanning import is_constant

PREFIX = "vinci_held_"
"""What the names of these expressions begin with."""


class HeldReads(SQLCompiler):
    """Reads tables by other names.

    Attributes:
        laid_over: The name that stands for a table, by the table.
        tables_read: The tables that it names.
        is_written_by_hand: Whether a text of the application's own stands in it, which may name
            tables and columns, or count them.
        has_with_list: Whether the text begins with further common table expressions, the word WITH
            left out.
        is_recursive: Whether one of these is recursive.
        selects_within: Whether a sub-select stands in an expression.
    """

    laid_over: Mapping[Any, str]
    tables_read: frozenset[Any] = frozenset()
    is_written_by_hand = False
    has_with_list = False
    is_recursive = False
    selects_within = False
    # While the list is rendered that the whole query begins with.
    _at_the_top = False

    def __init__(
        self, *args: Any, laid_over: Mapping[Any, str] = util.EMPTY_DICT, **kwargs: Any
    ) -> None:
        self.laid_over = laid_over
        # Of EXISTS and count(), where a star means nothing.
        self._harmless_stars: list[Any] = []
        super().__init__(*args, **kwargs)

    @util.memoized_property
    def _laid_over(self) -> dict[frozenset[tuple[Any, str]], HeldReads]:
        return {}

    def over(self, names: Mapping[Any, str]) -> HeldReads:
        """The same query with some tables by other names.

        Args:
            names: The name that stands for a table, by the table.
        """
        key = frozenset(names.items())
        found = self._laid_over.get(key)
        if found is None:
            found = type(self)(
                self.dialect,
                self.statement,
                cache_key=self.cache_key,
                column_keys=self.column_keys,
                for_executemany=self.for_executemany,
                schema_translate_map=self.schema_translate_map,
                laid_over=names,
            )
            self._laid_over[key] = found
        return found

    def with_in_front(self, text: str, held: str) -> str:
        """The text of the query with common table expressions in front of it."""
        word = "WITH RECURSIVE" if self.is_recursive else "WITH"
        return f"{word} {held}{',' if self.has_with_list else ''} {text}"

    # --- tables ---------------------------------------------------------------------------------

    def visit_table(self, table: Any, *args: Any, **kw: Any) -> str:
        """Render a table, or what stands for it."""
        declared = as_declared(table)
        self.tables_read |= {declared}
        text: str = super().visit_table(table, *args, **kw)  # type: ignore[no-untyped-call]
        return self.laid_over.get(declared, text) if text else text

    def visit_column(self, column: Any, *args: Any, **kw: Any) -> str:
        """Render a column, of what stands for its table."""
        if column.is_literal and not (self._is_harmless(column) or is_constant(column.name)):
            self.is_written_by_hand = True
        name = None
        if self.laid_over and kw.get("include_table", True) and isinstance(column.table, Table):
            name = self.laid_over.get(as_declared(column.table))
        if name is None:
            text: str = super().visit_column(column, *args, **kw)
            return text
        kw["include_table"] = False
        return f"{name}.{super().visit_column(column, *args, **kw)}"

    # --- sub-selects -----------------------------------------------------------------------------

    def visit_select(self, select_stmt: Any, *args: Any, **kw: Any) -> str:
        """Note that a query stands in an expression."""
        self._note_place(kw)
        text: str = super().visit_select(select_stmt, *args, **kw)  # type: ignore[no-untyped-call]
        return text

    def visit_compound_select(self, cs: Any, *args: Any, **kw: Any) -> str:
        """Note that a union stands in an expression."""
        self._note_place(kw)
        text: str = super().visit_compound_select(cs, *args, **kw)  # type: ignore[no-untyped-call]
        return text

    def _note_place(self, kw: Mapping[str, Any]) -> None:
        # It is none where the statement is at its beginning, in FROM, or a part of a union.
        if self.stack and not kw.get("asfrom") and kw.get("compound_index") is None:
            self.selects_within = True

    # --- the list in front ----------------------------------------------------------------------

    def _render_cte_clause(
        self, nesting_level: int | None = None, include_following_stack: bool = False
    ) -> str:
        render: Any = super()._render_cte_clause
        self._at_the_top = bool(self.laid_over) and not (nesting_level and nesting_level > 1)
        try:
            text: str = render(nesting_level, include_following_stack)
        finally:
            at_the_top, self._at_the_top = self._at_the_top, False
        if at_the_top:
            self.has_with_list = bool(text)
        return text

    def get_cte_preamble(self, recursive: bool) -> str:
        """Render WITH, which the expressions of the unit of work come behind."""
        if self._at_the_top:
            self.is_recursive = recursive
            return ""
        text: str = super().get_cte_preamble(recursive)  # type: ignore[no-untyped-call]
        return text

    # --- what the application has written -------------------------------------------------------

    def visit_textclause(self, textclause: Any, *args: Any, **kw: Any) -> str:
        """Note that a text of the application's own stands in it; a constant names nothing."""
        if not is_constant(textclause.text):
            self.is_written_by_hand = True
        text: str = super().visit_textclause(textclause, *args, **kw)  # type: ignore[no-untyped-call]
        return text

    def get_statement_hint_text(self, hint_texts: Any) -> str:
        """Note that a hint is text of the application's own."""
        self.is_written_by_hand = True
        text: str = super().get_statement_hint_text(hint_texts)  # type: ignore[no-untyped-call]
        return text

    def format_from_hint_text(self, *args: Any) -> str:
        """Note that a hint is text of the application's own."""
        self.is_written_by_hand = True
        text: str = super().format_from_hint_text(*args)  # type: ignore[no-untyped-call]
        return text

    def visit_unary(self, unary: Any, *args: Any, **kw: Any) -> str:
        """Render an operator; of EXISTS it does not matter what the query selects."""
        if unary.operator is operators.exists:
            element = unary.element
            while element is not None and not hasattr(element, "_raw_columns"):
                element = getattr(element, "element", None)
            self._harmless_stars += getattr(element, "_raw_columns", ())
        text: str = super().visit_unary(unary, *args, **kw)  # type: ignore[no-untyped-call]
        return text

    def visit_function(self, func: Any, *args: Any, **kw: Any) -> str:
        """Render a function; ``count(*)`` counts rows, whatever their columns."""
        if str(func.name).lower() == "count":
            self._harmless_stars += func.clauses
        text: str = super().visit_function(func, *args, **kw)
        return text

    def _is_harmless(self, column: ColumnClause[Any]) -> bool:
        return column.name == "*" and any(column is star for star in self._harmless_stars)
