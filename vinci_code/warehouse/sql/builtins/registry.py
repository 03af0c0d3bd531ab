"""The allow-list of functions: what Databricks calls them, and what DuckDB computes for them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from sqlglot import exp

from vinci_code.warehouse.sql.binder import Binder, unexpected_input
from vinci_code.warehouse.sql.errors import SqlError, unsupported
from vinci_code.warehouse.sql.scope import Scope
from vinci_code.warehouse.sql.types import DOUBLE, SqlType
from vinci_code.warehouse.sql.values import Typed


@dataclass(frozen=True)
class Modifiers:
    """What may stand in and behind the parentheses of a call, beside its arguments.

    Attributes:
        distinct: ``DISTINCT `` for an aggregate of distinct values, else empty.
        filter: The condition of ``FILTER (WHERE …)``.
        over: `` OVER (…)`` of a window function.
        framed: Whether OVER holds ORDER BY or a frame.
        order: ORDER BY of the aggregate's values, for ``WITHIN GROUP``.
        order_values: What is ordered by.
        order_shown: ORDER BY as it shows in a column's name.
        ignore_nulls: True for ``IGNORE NULLS``, False for ``RESPECT NULLS``, ``None`` for neither.
    """

    distinct: str = ""
    filter: str = ""
    over: str = ""
    framed: bool = False
    order: str = ""
    order_values: tuple[Typed, ...] = ()
    order_shown: str = ""
    ignore_nulls: bool | None = None

    @property
    def given(self) -> set[str]:
        """The words of those that stand in the statement."""
        words = {
            "DISTINCT": self.distinct,
            "FILTER": self.filter,
            "OVER": self.over,
            "WITHIN GROUP": self.order,
            "IGNORE NULLS": self.ignore_nulls is True,
            "RESPECT NULLS": self.ignore_nulls is False,
        }
        return {word for word, value in words.items() if value}


@dataclass
class FunctionCall:
    """One call of a function.

    What a builder asks for of its modifiers is marked, so that the call is refused where one of
    them is left over: ``corr(DISTINCT a, b)`` is no ``corr(a, b)``.

    Attributes:
        binder: Of the statement.
        name: The function's name in lower case.
        nodes: The arguments as they were read.
        scope: Where the call stands.
        modifiers: What stands beside its arguments.
        looked_at: The words of the modifiers that were asked for.
    """

    binder: Binder
    name: str
    nodes: Sequence[exp.Expr]
    scope: Scope
    modifiers: Modifiers = field(default_factory=Modifiers)
    looked_at: set[str] = field(default_factory=set)
    _args: list[Typed] | None = field(default=None)

    @property
    def distinct(self) -> str:
        """``DISTINCT `` for an aggregate of distinct values, else empty."""
        self.looked_at.add("DISTINCT")
        return self.modifiers.distinct

    @property
    def order(self) -> str:
        """ORDER BY of the aggregate's values, for ``WITHIN GROUP``."""
        self.looked_at.add("WITHIN GROUP")
        return self.modifiers.order

    @property
    def ignore_nulls(self) -> bool:
        """Whether ``IGNORE NULLS`` was given; ``RESPECT NULLS`` is the same as neither."""
        self.looked_at |= {"IGNORE NULLS", "RESPECT NULLS"}
        return bool(self.modifiers.ignore_nulls)

    @property
    def windowed(self) -> bool:
        """Whether the call has an OVER clause."""
        return bool(self.modifiers.over)

    @property
    def lost(self) -> set[str]:
        """The words of the modifiers that stand in the statement, and were not asked for."""
        return self.modifiers.given - self.looked_at

    @property
    def args(self) -> list[Typed]:
        """The translated arguments."""
        if self._args is None:
            args = self.binder.expressions(self.nodes, self.scope)
            filtered = self.modifiers.filter
            self._args = [self._filtered(arg, filtered) for arg in args] if filtered else args
        return self._args

    def _filtered(self, arg: Typed, test: str) -> Typed:
        # DuckDB computes the argument for every row, also where FILTER leaves the row out.
        if arg.is_atom or arg.is_constant:
            return arg
        return replace(arg, sql=f"CASE WHEN {test} THEN {arg.sql} END", nullable=True)

    @property
    def suffix(self) -> str:
        """FILTER and OVER, to stand behind the call in DuckDB."""
        return self.suffixed()

    def suffixed(self, condition: str = "") -> str:
        """Return FILTER and OVER with one more condition on the values."""
        self.looked_at |= {"FILTER", "OVER"}
        tests = " AND ".join(test for test in (self.modifiers.filter, condition) if test)
        return (f" FILTER (WHERE {tests})" if tests else "") + self.modifiers.over

    @property
    def shown(self) -> str:
        """What a result column made of the call alone is named."""
        inner = ", ".join(arg.name for arg in self.args)
        return f"{self.name}({self.modifiers.distinct}{inner})"

    def argument(self, index: int, kind: SqlType) -> Typed:
        """Return an argument cast to the type the function takes."""
        return self.binder.argument(self.args[index], kind, self.name, index + 1)

    def number(self, wanted: str) -> Typed:
        """Return the first argument, a text as DOUBLE; ``wanted`` names the types for an error."""
        value = self.args[0]
        if value.type.is_string or value.type.name == "VOID":
            return self.binder.cast(value, DOUBLE)
        if not value.type.is_numeric:
            raise unexpected_input(self.name, 1, wanted, value)
        return value

    def text(self, index: int) -> str:
        """Return the SQL of an argument as STRING."""
        return self.binder.as_string(self.args[index], self.name, index + 1).sql

    def constant(self, index: int, what: str = "", kind: SqlType | None = None) -> object:
        """Return an argument that must be a literal, of a type where one is given.

        Raises:
            SqlError: ``DATATYPE_MISMATCH.NON_FOLDABLE_INPUT``; ``UNEXPECTED_INPUT_TYPE``.
        """
        value = self.args[index]
        if not value.is_constant:
            raise self.not_foldable(index, what or "argument", kind or value.type)
        if kind is not None and value.type != kind:
            raise unexpected_input(self.name, index + 1, kind.text, value)
        return value.constant

    def not_foldable(self, index: int, what: str, wanted: SqlType) -> SqlError:
        """Return the refusal of an argument that is no literal.

        A warehouse computes those that read no column, which is refused by name.
        """
        if not any(self.nodes[index].find_all(exp.Column, exp.Query, exp.Dot)):
            return unsupported(f"{self.name} with a computed {what}")
        return SqlError(
            "DATATYPE_MISMATCH.NON_FOLDABLE_INPUT",
            "42K09",
            f'Cannot resolve "{self.shown}" due to data type mismatch: the input `{what}` should '
            f'be a foldable "{wanted.text}" expression; however, got "{self.args[index].name}".',
        )


Builder = Callable[[FunctionCall], Typed]


@dataclass(frozen=True)
class Builtin:
    """A function of the allow-list.

    Attributes:
        build: Makes the SQL.
        low: The least number of arguments.
        high: The greatest number, ``None`` for any.
        kind: ``scalar``, ``aggregate``, ``window``, ``generator`` or ``table``.
    """

    build: Builder
    low: int
    high: int | None
    kind: str = "scalar"


FUNCTIONS: dict[str, Builtin] = {}


def function(
    names: str, low: int, high: int | None = -1, kind: str = "scalar"
) -> Callable[[Builder], Builder]:
    """Register a builder under one or more names.

    Args:
        names: The names, separated by blanks.
        low: The least number of arguments.
        high: The greatest; the same as ``low`` where it is left out, ``None`` for any number.
        kind: Of the function.
    """

    def register(build: Builder) -> Builder:
        top = low if high == -1 else high
        for name in names.split():
            FUNCTIONS[name] = Builtin(build, low, top, kind)
        return build

    return register


def simple(
    names: str,
    kinds: Sequence[SqlType],
    result: SqlType,
    template: str,
    *,
    optional: int = 0,
    shown: str = "",
) -> None:
    """Register a function that DuckDB computes by one expression.

    Args:
        names: The names, separated by blanks.
        kinds: The types that the arguments are cast to.
        result: The type of the result.
        template: DuckDB SQL with ``{0}``, ``{1}`` … for the arguments; ``{all}`` for all of them.
        optional: How many of the last arguments may be left out.
        shown: The name Databricks gives it in a result column, where it differs.
    """

    def build(call: FunctionCall) -> Typed:
        values = [call.argument(index, kinds[index]).sql for index in range(len(call.args))]
        sql = template.format(*values, all=", ".join(values))
        name = call.shown
        if shown:
            name = f"{shown}({', '.join(arg.name for arg in call.args)})"
        return Typed(sql, result, name)

    function(names, len(kinds) - optional, len(kinds))(build)


def check_arity(name: str, builtin: Builtin, count: int) -> None:
    """Refuse a wrong number of arguments.

    Raises:
        SqlError: ``WRONG_NUM_ARGS.WITHOUT_SUGGESTION``.
    """
    if count >= builtin.low and (builtin.high is None or count <= builtin.high):
        return
    if builtin.high is None:
        wanted = f"> {builtin.low - 1}"
    elif builtin.low == builtin.high:
        wanted = str(builtin.low)
    else:
        wanted = f"[{', '.join(str(n) for n in range(builtin.low, builtin.high + 1))}]"
    raise SqlError(
        "WRONG_NUM_ARGS.WITHOUT_SUGGESTION",
        "42605",
        f"The `{name}` requires {wanted} parameters but the actual number is {count}. Please, "
        f"refer "
        "to 'https://docs.databricks.com/sql/language-manual/sql-ref-functions.html' for a fix.",
    )
