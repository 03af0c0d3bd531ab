"""SELECT, INSERT, UPDATE and DELETE as Databricks writes them."""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any

from sqlalchemy.exc import CompileError
from sqlalchemy.sql import compiler, elements
from sqlalchemy.sql.dml import Insert

from vinci_code.database.dialect.keys import next_key
from vinci_code.database.dialect.literals import quote_text


class VinciCompiler(compiler.SQLCompiler):
    """Compiles statements."""

    # The column whose key is made here, where the statement does not give one.
    _made_key: str | None = None

    def visit_type_name(self, element: Any, **kw: Any) -> str:
        """Render the name of a type as a literal."""
        return quote_text(self.dialect.type_compiler_instance.process(element.kind))

    def visit_now_func(self, fn: Any, **kw: Any) -> str:
        """Render the present."""
        return "current_timestamp()"

    def limit_clause(self, select: Any, **kw: Any) -> str:
        """Render LIMIT and OFFSET."""
        text = ""
        if select._limit_clause is not None:
            text += "\n LIMIT " + self.process(_in_the_text(select, select._limit_clause), **kw)
        if select._offset_clause is not None:
            if select._limit_clause is None:
                text += "\n LIMIT ALL"
            text += " OFFSET " + self.process(_in_the_text(select, select._offset_clause), **kw)
        return text

    def visit_insert(self, insert_stmt: Insert, *args: Any, **kw: Any) -> str:
        """Render INSERT, with a key made here where SQLite would make one."""
        key = insert_stmt.table._autoincrement_column
        if key is not None and key.default is None and key.server_default is None:
            self._made_key = key.key
            if self.column_keys is not None and key.key not in self.column_keys:
                self.column_keys = [*self.column_keys, key.key]
        return super().visit_insert(insert_stmt, *args, **kw)

    def construct_params(
        self, params: Any = None, *args: Any, **kw: Any
    ) -> MutableMapping[str, Any]:
        """Return the parameters, with a key made for the row."""
        if self._made_key is not None and (params or {}).get(self._made_key) is None:
            params = {**(params or {}), self._made_key: next_key()}
        return super().construct_params(params, *args, **kw)

    def for_update_clause(self, select: Any, **kw: Any) -> str:
        """Refuse it."""
        raise CompileError("Databricks has no SELECT … FOR UPDATE")


def _in_the_text(select: Any, clause: elements.ClauseElement) -> elements.ClauseElement:
    if select._simple_int_clause(clause):
        rendered: elements.ClauseElement = clause.render_literal_execute()  # type: ignore[attr-defined]
        return rendered
    return clause
