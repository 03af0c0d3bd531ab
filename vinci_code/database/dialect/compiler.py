"""SELECT, INSERT, UPDATE and DELETE as Databricks writes them.

What it lacks is refused here, before anything is sent, with a message that names the alternative.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from sqlalchemy import null
from sqlalchemy import types as sqltypes
from sqlalchemy.exc import CompileError

from vinci_code.database.dialect.sql.comparisons import Comparisons
from vinci_code.database.dialect.sql.date_functions import DateFunctions
from vinci_code.database.dialect.sql.functions import FunctionCompiler
from vinci_code.database.dialect.sql.locking import LockingReads
from vinci_code.database.dialect.sql.operators import OperatorCompiler
from vinci_code.database.dialect.sql.refusals import (
    FETCH,
    ON_CONFLICT,
)
from vinci_code.database.dialect.sql.scalar_functions import ScalarFunctions
from vinci_code.database.dialect.sql.storing import StoredValues
from vinci_code.database.dialect.sql.tables_used import TablesUsed
from vinci_code.database.dialect.sql.value_texts import is_text, text_form
from vinci_code.database.dialect.types.numbers import VinciInteger
from vinci_code.database.dialect.writes.dml import WriteCompiler

_GREATEST_LIMIT = (1 << 31) - 1


class VinciCompiler(
    Comparisons,
    OperatorCompiler,
    FunctionCompiler,
    ScalarFunctions,
    DateFunctions,
    WriteCompiler,
    LockingReads,
    TablesUsed,
    StoredValues,
):
    """Compiles statements."""

    def process(self, obj: Any, **kwargs: Any) -> str:
        """Render an element.

        For a NULL that is written out SQLAlchemy has a type rendered, which no part of this
        compiler could look into.
        """
        return super().process(null() if isinstance(obj, sqltypes.NullType) else obj, **kwargs)

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

    def visit_empty_set_expr(self, element_types: Sequence[Any], **kw: Any) -> str:
        """Render a SELECT that gives no row."""
        process = self.dialect.type_compiler_instance.process
        names = (
            "NULL" if kind._isnull else f"CAST(NULL AS {process(kind)})"
            for kind in element_types or [sqltypes.Integer()]
        )
        return f"SELECT {', '.join(names)} WHERE 1 != 1"

    def visit_cast(self, cast: Any, **kwargs: Any) -> str:
        """Render CAST; the text of a value is that which SQLite makes of it."""
        form = text_form(cast.clause) if is_text(cast.type) else None
        if form is not None:
            return form.format(self.process(cast.clause, **kwargs))
        text: str = super().visit_cast(cast, **kwargs)  # type: ignore[no-untyped-call]
        return text

    # --- INSERT, UPDATE, DELETE -----------------------------------------------------------------

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
