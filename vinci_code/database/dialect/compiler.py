"""SELECT, INSERT, UPDATE and DELETE as Databricks writes them.

What it lacks is refused here, before anything is sent, with a message that names the alternative.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from sqlalchemy import types as sqltypes
from sqlalchemy.exc import CompileError
from sqlalchemy.sql.dml import Insert

from vinci_code.database.dialect.comparisons import Comparisons
from vinci_code.database.dialect.functions import FunctionCompiler
from vinci_code.database.dialect.inserts import InsertKeys
from vinci_code.database.dialect.operators import OperatorCompiler
from vinci_code.database.dialect.refusals import (
    FETCH,
    FOR_UPDATE,
    ON_CONFLICT,
    RETURNING,
    SEVERAL_SOURCES,
    WRITE_WITH_CTE,
)
from vinci_code.database.dialect.scalar_functions import ScalarFunctions
from vinci_code.database.dialect.storing import StoredValues
from vinci_code.database.dialect.tables_used import TablesUsed
from vinci_code.database.dialect.types.numbers import VinciInteger

_GREATEST_LIMIT = (1 << 31) - 1
# Stands between the parts of an UPDATE or DELETE that becomes a MERGE.
_MARK = "\x00"


class VinciCompiler(
    Comparisons,
    OperatorCompiler,
    FunctionCompiler,
    ScalarFunctions,
    InsertKeys,
    TablesUsed,
    StoredValues,
):
    """Compiles statements."""

    # --- SELECT ---------------------------------------------------------------------------------

    def limit_clause(self, select: Any, **kw: Any) -> str:
        """Render LIMIT and OFFSET, which Databricks takes as INT only, not as the BIGINT bound."""
        limit, offset = select._limit_clause, select._offset_clause
        text = ""
        if limit is not None or offset is not None:
            text = (
                f"\n LIMIT {'ALL' if limit is None else self._count(select, limit, _Limit, **kw)}"
            )
        if offset is not None:
            text += f" OFFSET {self._count(select, offset, _Offset, **kw)}"
        return text

    def fetch_clause(self, select: Any, *args: Any, **kw: Any) -> str:
        """Render FETCH as LIMIT.

        Raises:
            CompileError: It asks for a percentage, or for ties.
        """
        options = select._fetch_clause_options or {}
        if options.get("percent") or options.get("with_ties"):
            raise CompileError(FETCH.format("PERCENT" if options["percent"] else "WITH TIES"))
        text = f"\n LIMIT {self._count(select, select._fetch_clause, _Limit, **kw)}"
        if select._offset_clause is not None:
            text += f" OFFSET {self._count(select, select._offset_clause, _Offset, **kw)}"
        return text

    def _count(self, select: Any, clause: Any, kind: type[sqltypes.Integer], **kw: Any) -> str:
        if select._simple_int_clause(clause):
            written = clause.render_literal_execute()
            written.type = kind()
            return self.process(written, **kw)
        return f"CAST({self.process(clause, **kw)} AS INT)"

    def for_update_clause(self, select: Any, **kw: Any) -> str:
        """Refuse it.

        Raises:
            CompileError: Databricks has no locks.
        """
        raise CompileError(FOR_UPDATE)

    def visit_empty_set_expr(self, element_types: Sequence[Any], **kw: Any) -> str:
        """Render a SELECT that gives no row."""
        process = self.dialect.type_compiler_instance.process
        names = (
            "NULL" if kind._isnull else f"CAST(NULL AS {process(kind)})"
            for kind in element_types or [sqltypes.Integer()]
        )
        return f"SELECT {', '.join(names)} WHERE 1 != 1"

    def visit_cast(self, cast: Any, **kwargs: Any) -> str:
        """Render CAST; a truth value as text is 1 or 0."""
        if cast.clause.type._type_affinity is sqltypes.Boolean and isinstance(
            cast.type, sqltypes.String
        ):
            return f"CAST(CAST({self.process(cast.clause, **kwargs)} AS INT) AS STRING)"
        text: str = super().visit_cast(cast, **kwargs)  # type: ignore[no-untyped-call]
        return text

    # --- INSERT, UPDATE, DELETE -----------------------------------------------------------------

    def visit_insert(self, insert_stmt: Insert, *args: Any, **kw: Any) -> str:
        """Render INSERT, with the keys that SQLite would have given out."""
        keyed = insert_stmt if self.stack else self.with_key(insert_stmt)
        text: str = super().visit_insert(keyed, *args, **kw)  # type: ignore[no-untyped-call]
        if not text.endswith(" DEFAULT VALUES"):
            return text
        columns = [column for column in insert_stmt.table.columns if column.identity is None]
        names = ", ".join(self.preparer.format_column(column) for column in columns)
        defaults = ", ".join(["DEFAULT"] * len(columns))
        return f"{text.removesuffix(' DEFAULT VALUES')} ({names}) VALUES ({defaults})"

    def visit_update(self, update_stmt: Any, *args: Any, **kw: Any) -> str:
        """Render UPDATE; with a second table, MERGE."""
        text = super().visit_update(update_stmt, *args, **kw)
        self._refuse_with("UPDATE")
        if _MARK not in text:
            return text
        table, sets, source, rest = text.split(_MARK)
        table, condition = table.removeprefix("UPDATE "), rest.removeprefix(" WHERE ") or "TRUE"
        assignments = sets.removeprefix(" SET ").strip()
        return (
            f"MERGE INTO {table} USING {source} ON {condition} "
            f"WHEN MATCHED THEN UPDATE SET {assignments}"
        )

    def update_tables_clause(
        self, update_stmt: Any, from_table: Any, extra_froms: Any, **kw: Any
    ) -> str:
        """Render the table; with a second one, mark its end."""
        text: str = from_table._compiler_dispatch(self, asfrom=True, iscrud=True, **kw)
        return text + _MARK if update_stmt is self._with_sources(update_stmt) else text

    def _with_sources(self, statement: Any) -> Any:
        state: Any = self.compile_state
        return statement if getattr(state, "_extra_froms", None) else None

    def update_from_clause(
        self, update_stmt: Any, from_table: Any, extra_froms: Any, from_hints: Any, **kw: Any
    ) -> str:
        """Render the second table, between marks."""
        return self._source(extra_froms, from_hints, **kw)

    def visit_delete(self, delete_stmt: Any, *args: Any, **kw: Any) -> str:
        """Render DELETE; with a second table, MERGE."""
        text: str = super().visit_delete(delete_stmt, *args, **kw)  # type: ignore[no-untyped-call]
        self._refuse_with("DELETE")
        if _MARK not in text:
            return text
        table, source, rest = text.split(_MARK)
        table = table.removeprefix("DELETE FROM ").strip()
        condition = rest.removeprefix(" WHERE ") or "TRUE"
        return f"MERGE INTO {table} USING {source} ON {condition} WHEN MATCHED THEN DELETE"

    def delete_extra_from_clause(
        self, delete_stmt: Any, from_table: Any, extra_froms: Any, from_hints: Any, **kw: Any
    ) -> str:
        """Render the second table, between marks."""
        return self._source(extra_froms, from_hints, **kw)

    def _source(self, extra_froms: Sequence[Any], from_hints: Any, **kw: Any) -> str:
        if len(extra_froms) != 1:
            raise CompileError(SEVERAL_SOURCES)
        text = extra_froms[0]._compiler_dispatch(self, asfrom=True, fromhints=from_hints, **kw)
        return f"{_MARK}{text}{_MARK}"

    def _refuse_with(self, word: str) -> None:
        if self.ctes and not self.stack:
            raise CompileError(WRITE_WITH_CTE.format(word))

    def returning_clause(self, *args: Any, **kw: Any) -> NoReturn:
        """Refuse it.

        Raises:
            CompileError: Databricks has no RETURNING.
        """
        raise CompileError(RETURNING)

    def visit_on_conflict_do_nothing(self, on_conflict: Any, **kw: Any) -> NoReturn:
        """Refuse it.

        Raises:
            CompileError: Databricks has MERGE instead.
        """
        raise CompileError(ON_CONFLICT)

    visit_on_conflict_do_update = visit_on_conflict_do_nothing
    visit_on_duplicate_key_update = visit_on_conflict_do_nothing


class _Limit(VinciInteger):
    """How many rows at most: none below zero, as on SQLite, means all."""

    cache_ok = True

    def literal_processor(self, dialect: Any) -> Callable[[Any], str]:
        return lambda value: str(int(value)) if 0 <= value <= _GREATEST_LIMIT else "ALL"


class _Offset(VinciInteger):
    """How many rows to leave out: below zero, as on SQLite, means none."""

    cache_ok = True

    def literal_processor(self, dialect: Any) -> Callable[[Any], str]:
        return lambda value: str(max(int(value), 0))
