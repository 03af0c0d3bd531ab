"""Functions, rendered so that they give on Databricks what they give on SQLite.

The functions of SQLite that applications call by name, such as ``func.group_concat``, are rendered
with those that Databricks has for them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import case, cast, func
from sqlalchemy import types as sqltypes
from sqlalchemy.exc import CompileError
from sqlalchemy.sql import operators
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.elements import FunctionFilter, quoted_name
from sqlalchemy.sql.sqltypes import TableValueType

from vinci_code.database.dialect.sql.comparisons import alike, as_condition
from vinci_code.database.dialect.sql.constructs import is_own_of_databricks
from vinci_code.database.dialect.sql.refusals import ARGUMENTS, SEQUENCE
from vinci_code.database.dialect.sql.refused_functions import refuse_function
from vinci_code.database.dialect.sql.value_texts import as_text

_EXTRACT = {
    "second": "second({0})",
    "doy": "dayofyear({0})",
    # Sunday is 0.
    "dow": "(dayofweek({0}) - 1)",
    # Monday begins a week; the days before the first Monday are week 0.
    "week": "((dayofyear({0}) + 6 - weekday({0})) DIV 7)",
    "epoch": "unix_seconds(CAST({0} AS TIMESTAMP))",
}


# The column of a function that gives rows, where SQLAlchemy has no name for it.
_VALUE = "value"


class FunctionCompiler(SQLCompiler):
    """Functions."""

    # Of ``TablesUsed``.
    tables_used: frozenset[str] | None
    may_read: Callable[[Any], bool]

    def visit_function(self, func: Any, add_to_result_map: Any = None, **kw: Any) -> str:
        """Render a function of a schema by its own name, though one that is built in has it, too.

        SQLAlchemy looks for ``visit_upper_func`` for ``func.shop.upper`` as well. One that is built
        in is ``func.system.builtin.upper``: it is Databricks' own, whatever SQLite's gives.

        Raises:
            CompileError: It is one of SQLite's that has no counterpart.
        """
        if not func.packagenames:
            refuse_function(str(func.name).lower())
            text: str = super().visit_function(func, add_to_result_map, **kw)
            return text
        if self.may_read(func):
            # What it does is not known, so that it may read any table.
            self.tables_used = None
        if getattr(self, "_collect_params", False):
            self._add_to_params(func)
        if add_to_result_map is not None:
            add_to_result_map(func.name, func.name, (func.name,), func.type)
        kw["within_aggregate_function"] = True
        packages = () if is_own_of_databricks(func) else func.packagenames
        names = [self._function_name(name) for name in (*packages, func.name)]
        ordinality = " WITH ORDINALITY" * bool(func._with_ordinality)
        return f"{'.'.join(names)}{self.function_argspec(func, **kw)}{ordinality}"

    def visit_table_valued_alias(self, element: Any, **kw: Any) -> str:
        """Render a function that gives rows; the column of ``column_valued()`` gets a name."""
        text: str = super().visit_table_valued_alias(element, **kw)  # type: ignore[no-untyped-call]
        if kw.get("asfrom") and _is_column_valued(element):
            return f"{text}({_VALUE})"
        return text

    def visit_table_valued_column(self, element: Any, **kw: Any) -> str:
        """Render a column of a function that gives rows, be it the one of ``column_valued()``.

        SQLAlchemy names the whole row, for which Databricks has no name. The column is not called
        as the row is: ``ORDER BY n.n`` would be a field of what is selected as ``n``.
        """
        text: str = super().visit_table_valued_column(element, **kw)  # type: ignore[no-untyped-call]
        return f"{text}.{_VALUE}" if _is_column_valued(element.scalar_alias) else text

    def _function_name(self, name: str) -> str:
        preparer: Any = self.preparer
        quoted = isinstance(name, quoted_name) or preparer._requires_quotes_illegal_chars(name)
        return str(preparer.quote(name)) if quoted else name

    # --- time -----------------------------------------------------------------------------------

    def visit_now_func(self, fn: Any, **kw: Any) -> str:
        """Render the present."""
        return "current_timestamp()"

    visit_current_timestamp_func = visit_now_func
    visit_localtimestamp_func = visit_now_func
    visit_sysdate_func = visit_now_func

    def visit_current_date_func(self, fn: Any, **kw: Any) -> str:
        """Render today."""
        return "current_date()"

    def visit_current_time_func(self, fn: Any, **kw: Any) -> str:
        """Render the time of day as text, as a Time is kept."""
        return "date_format(current_timestamp(), 'HH:mm:ss')"

    visit_localtime_func = visit_current_time_func

    def visit_extract(self, extract: Any, **kw: Any) -> str:
        """Render a part of a date, as the whole number that SQLite gives."""
        text = self.process(extract.expr, **kw)
        form = _EXTRACT.get(extract.field)
        return form.format(text) if form else f"EXTRACT({extract.field} FROM {text})"

    # --- text -----------------------------------------------------------------------------------

    def visit_aggregate_strings_func(self, fn: Any, **kw: Any) -> str:
        """Render listagg; by default a comma stands between two texts."""
        value, *between = self._given(fn)
        order = getattr(fn.clauses, "aggregate_order_by", None)
        text = self._text(value, **kw)
        constant = {**kw, "literal_execute": True}
        delimiter = self._text(between[0], **constant) if between else "','"
        within = "" if order is None else f" WITHIN GROUP (ORDER BY {self.process(order, **kw)})"
        return f"listagg({text}, {delimiter}){within}"

    visit_group_concat_func = visit_aggregate_strings_func
    visit_string_agg_func = visit_aggregate_strings_func

    def _given(self, fn: Any) -> list[Any]:
        # With aggregate_order_by() the arguments and the order stand in one element.
        inline = getattr(fn.clauses, "aggregate_order_by", None) is not None
        return list(fn.clauses.element if inline else fn.clauses)

    def visit_concat_func(self, fn: Any, **kw: Any) -> str:
        """Render concat; what is NULL counts as empty, as in SQLite's function."""
        return f"concat_ws('', {', '.join(self._text(item, **kw) for item in fn.clauses)})"

    def visit_length_func(self, fn: Any, **kw: Any) -> str:
        """Render a function of text, which SQLite makes of any value."""
        return f"{fn.name}({', '.join(self._text(item, **kw) for item in fn.clauses)})"

    visit_char_length_func = visit_length_func
    visit_concat_ws_func = visit_length_func
    visit_lower_func = visit_length_func
    visit_octet_length_func = visit_length_func
    visit_replace_func = visit_length_func
    visit_upper_func = visit_length_func

    def _text(self, element: Any, **kw: Any) -> str:
        return self.process(as_text(element), **kw)

    def visit_ltrim_func(self, fn: Any, **kw: Any) -> str:
        """Render ltrim, whose arguments are the other way round."""
        return self._trimmed(fn, "LEADING", **kw)

    def visit_rtrim_func(self, fn: Any, **kw: Any) -> str:
        """Render rtrim, whose arguments are the other way round."""
        return self._trimmed(fn, "TRAILING", **kw)

    def visit_trim_func(self, fn: Any, **kw: Any) -> str:
        """Render trim."""
        return self._trimmed(fn, "BOTH", **kw)

    def _trimmed(self, fn: Any, side: str, **kw: Any) -> str:
        text, *letters = (self._text(item, **kw) for item in fn.clauses)
        return f"trim({' '.join([side, *letters, 'FROM', text])})"

    # --- numbers and truth ----------------------------------------------------------------------

    def visit_avg_func(self, fn: Any, **kw: Any) -> str:
        """Render the average as SQLite gives it: a float, also of decimals."""
        return self._aggregate(fn, "avg", (sqltypes.Numeric, sqltypes.Boolean), "DOUBLE", **kw)

    def visit_sum_func(self, fn: Any, **kw: Any) -> str:
        """Render the sum, in which a truth value counts 1 or 0."""
        return self._aggregate(fn, "sum", (sqltypes.Boolean,), "BIGINT", **kw)

    def visit_total_func(self, fn: Any, **kw: Any) -> str:
        """Render the sum as a float, which is 0.0 of nothing."""
        return f"coalesce({self._aggregate(fn, 'sum', None, 'DOUBLE', **kw)}, 0.0D)"

    def visit_over(self, over: Any, **kw: Any) -> str:
        """Render a function over a window; of ``total`` what is within coalesce()."""
        total = _total_as_sum(over.element)
        if total is None:
            text: str = super().visit_over(over, **kw)  # type: ignore[no-untyped-call]
            return text
        made = over._clone()
        made.element = total
        return f"coalesce({super().visit_over(made, **kw)}, 0.0D)"  # type: ignore[no-untyped-call]

    def visit_funcfilter(self, funcfilter: Any, **kw: Any) -> str:
        """Render a function of some rows; of ``total`` what is within coalesce()."""
        total = _total_as_sum(funcfilter)
        if total is None:
            text: str = super().visit_funcfilter(funcfilter, **kw)  # type: ignore[no-untyped-call]
            return text
        return f"coalesce({super().visit_funcfilter(total, **kw)}, 0.0D)"  # type: ignore[no-untyped-call]

    def _aggregate(
        self, fn: Any, name: str, kinds: Sequence[type[Any]] | None, cast: str, **kw: Any
    ) -> str:
        arguments = list(fn.clauses)
        distinct = ""
        argument = arguments[0]
        if getattr(getattr(argument, "operator", None), "__name__", "") == "distinct_op":
            distinct, argument = "DISTINCT ", argument.element
        text = self.process(argument, **kw)
        if kinds is None or argument.type._type_affinity in kinds:
            text = f"CAST({text} AS {cast})"
        return f"{name}({distinct}{text})"

    def visit_max_func(self, fn: Any, **kw: Any) -> str:
        """Render the greatest of a column, or of several values."""
        return self._extreme(fn, "max", "greatest", **kw)

    def visit_min_func(self, fn: Any, **kw: Any) -> str:
        """Render the least of a column, or of several values."""
        return self._extreme(fn, "min", "least", **kw)

    def _extreme(self, fn: Any, name: str, several: str, **kw: Any) -> str:
        texts = [self.process(item, **kw) for item in alike(list(fn.clauses), fn.type)]
        if len(texts) == 1:
            return f"{name}({texts[0]})"
        # SQLite gives NULL where any is; Databricks leaves it out.
        unknown = " OR ".join(f"{text} IS NULL" for text in texts)
        return f"CASE WHEN {unknown} THEN NULL ELSE {several}({', '.join(texts)}) END"

    def visit_iif_func(self, fn: Any, **kw: Any) -> str:
        """Render if(), or CASE where there are more conditions than one."""
        if len(fn.clauses) != _ONE_CONDITION:
            return self.process(_cases(fn), **kw)
        asked, *chosen = fn.clauses
        items = [as_condition(asked), *alike(chosen, fn.type)]
        return f"if({', '.join(self.process(item, **kw) for item in items)})"

    visit_if_func = visit_iif_func

    def visit_coalesce_func(self, fn: Any, **kw: Any) -> str:
        """Render a function that gives one of its arguments, brought to one type."""
        items = alike(list(fn.clauses), fn.type)
        return f"{fn.name}({', '.join(self.process(item, **kw) for item in items)})"

    visit_ifnull_func = visit_coalesce_func
    visit_nullif_func = visit_coalesce_func

    def visit_next_value_func(self, next_value: Any, **kw: Any) -> str:
        """Refuse it.

        Raises:
            CompileError: Databricks has no sequences.
        """
        raise CompileError(SEQUENCE)

    def visit_sequence(self, sequence: Any, **kw: Any) -> str:
        """Refuse it.

        Raises:
            CompileError: Databricks has no sequences.
        """
        raise CompileError(SEQUENCE)


_ONE_CONDITION = 3


def _cases(fn: Any) -> Any:
    """The CASE that ``iif`` with several conditions, or without what else comes, stands for."""
    items = list(fn.clauses)
    if len(items) < _ONE_CONDITION - 1:
        raise CompileError(ARGUMENTS.format(fn.name, "a condition and values", len(items), ""))
    otherwise = items.pop() if len(items) % 2 else None
    return case(*zip(items[::2], items[1::2], strict=True), else_=otherwise)


def _total_as_sum(element: Any) -> Any:
    """The sum that ``total`` is made of, maybe with a FILTER; ``None`` for anything else."""
    if isinstance(element, FunctionFilter):
        total = _total_as_sum(element.func)
        if total is None:
            return None
        made: Any = element._clone()
        made.func = total
        return made
    if getattr(element, "packagenames", None) or str(getattr(element, "name", "")) != "total":
        return None
    [argument] = element.clauses
    distinct = getattr(argument, "operator", None) is operators.distinct_op
    value: Any = cast(argument.element if distinct else argument, sqltypes.Double())
    return func.sum(value.distinct() if distinct else value)


def _is_column_valued(alias: Any) -> bool:
    """Whether a function that gives rows is used for the values of its one column."""
    return not isinstance(alias._tableval_type, TableValueType)
