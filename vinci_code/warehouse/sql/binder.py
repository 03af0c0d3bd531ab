"""Binds one statement: finds what every name means and gives every expression its type.

The binder holds what the rewrites share: the session's context, the bound parameters, implicit
casts, and the table of rewrites by node. Only what a rewrite produced reaches DuckDB; a node that
no rewrite knows is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timezone
from zoneinfo import ZoneInfo

from sqlglot import exp

from vinci_code.warehouse.sql.casts import can_cast, cast
from vinci_code.warehouse.sql.coercion import common_type, is_boolean
from vinci_code.warehouse.sql.errors import SqlError, syntax_error, unsupported
from vinci_code.warehouse.sql.interruption import check_interrupt
from vinci_code.warehouse.sql.parameters import Parameter, bind_parameter
from vinci_code.warehouse.sql.query_context import QueryContext
from vinci_code.warehouse.sql.scope import BoundQuery, Scope
from vinci_code.warehouse.sql.types import BOOLEAN, STRING, SqlType
from vinci_code.warehouse.sql.values import MAX_INLINE_TEXT, Typed, recast_literal, text_sql

Rewriter = Callable[["Binder", exp.Expr, Scope], Typed]
QueryBinder = Callable[["Binder", exp.Expr, "Scope | None"], BoundQuery]


class Binder:
    """Translates one statement.

    Attributes:
        context: The session.
        binds: Values of the bound parameters so far, by name.
        zone: The session's time zone.
        depth: How many sub-queries and sources were made; numbers their DuckDB aliases.
    """

    def __init__(
        self,
        context: QueryContext,
        rewriters: dict[type, Rewriter],
        bind_query: QueryBinder,
        bind_prefix: str = "",
    ) -> None:
        self.context = context
        self._bind_prefix = bind_prefix
        self.binds: dict[str, object] = {}
        self._texts: dict[str, str] = {}
        self.zone = session_zone(context.configuration)
        self._rewriters = rewriters
        self._bind_query = bind_query
        self._number = 0
        self._now = context.now

    @property
    def now(self) -> datetime:
        """The instant of ``current_timestamp()``, one for the whole statement."""
        if self._now is None:
            self._now = datetime.now(timezone.utc)
        return self._now

    def alias(self, prefix: str) -> str:
        """Return a fresh alias for DuckDB."""
        self._number += 1
        return f"{prefix}_{self._number}"

    def bind_value(self, value: object) -> str:
        """Return the marker of a value that is bound, not written into the SQL.

        One text has one marker, so that ``f(x, ?)`` in SELECT and in GROUP BY is the same
        expression where the values are the same, as it is to a warehouse.
        """
        known = self._texts.get(value) if isinstance(value, str) else None
        if known is not None:
            return known
        name = f"{self._bind_prefix}b{len(self.binds) + 1}"
        self.binds[name] = value
        if isinstance(value, str):
            self._texts[value] = f"${name}"
        return f"${name}"

    def text(self, value: str) -> str:
        """Return SQL for a text: a literal, or a bound value where it is long."""
        if len(value) <= MAX_INLINE_TEXT:
            return text_sql(value)
        return f"CAST({self.bind_value(value)} AS VARCHAR)"

    def expression(self, node: exp.Expr | None, scope: Scope) -> Typed:
        """Translate one scalar expression."""
        check_interrupt()
        rewriter = self._rewriters.get(type(node))
        if rewriter is None or node is None:
            raise refused(node)
        return rewriter(self, node, scope)

    def expressions(self, nodes: Sequence[exp.Expr], scope: Scope) -> list[Typed]:
        """Translate several scalar expressions."""
        return [self.expression(node, scope) for node in nodes]

    def query(self, node: exp.Expr, scope: Scope | None) -> BoundQuery:
        """Translate a query; ``scope`` is what it can see of the queries around it."""
        return self._bind_query(self, node, scope)

    def inner_query(self, node: exp.Expr, scope: Scope) -> BoundQuery:
        """Translate a sub-query of an expression: the same one to the same SQL in a grouping."""
        if scope.queries is None:
            return self.query(node, scope)
        found = scope.queries.get(node)
        if found is None:
            found = scope.queries[node] = self.query(node, scope)
        return found

    def cast(self, value: Typed, target: SqlType) -> Typed:
        """Convert a value to another type, implicitly: its name stays."""
        if value.type == target:
            return value
        if value.is_constant:
            known = recast_literal(value, target)
            if known is not None:
                return known
        return cast(value, target, self.zone, name=value.name)

    def condition(self, node: exp.Expr, scope: Scope, clause: str = "Filter") -> Typed:
        """Translate an expression that must be BOOLEAN."""
        value = self.expression(node, scope)
        if not is_boolean(value.type):
            raise SqlError(
                f"DATATYPE_MISMATCH.{clause.upper()}_NOT_BOOLEAN"
                if clause == "Filter"
                else "DATATYPE_MISMATCH.UNEXPECTED_INPUT_TYPE",
                "42K09",
                f'Cannot resolve "{value.name}" due to data type mismatch: {clause} expression '
                f'"{value.name}" of type "{value.type.text}" is not a boolean.',
            )
        return self.cast(value, BOOLEAN)

    def unify(self, values: Sequence[Typed], what: str) -> tuple[list[Typed], SqlType]:
        """Cast values to their least common type.

        Raises:
            SqlError: ``DATATYPE_MISMATCH.DATA_DIFF_TYPES`` where they have none.
        """
        kind = common_type(value.type for value in values)
        if kind is None:
            raise data_diff_types(what, [value.type for value in values])
        return [self.cast(value, kind) for value in values], kind

    def as_string(self, value: Typed, function: str, position: int = 1) -> Typed:
        """Cast an argument that must be STRING, as Databricks does implicitly."""
        if value.type.is_nested or value.type.name == "VARIANT":
            raise unexpected_input(function, position, "STRING", value)
        return self.cast(value, STRING)

    def argument(self, value: Typed, kind: SqlType, function: str, position: int) -> Typed:
        """Cast an argument to the type that a function takes, where that is done implicitly."""
        if value.type == kind:
            return value
        allowed = (
            value.type.name == "VOID"
            or value.type.is_string
            or (value.type.is_numeric and kind.is_numeric)
            or (kind.is_string and not value.type.is_nested)
            or (value.type.name in _DATETIMES and kind.name in _DATETIMES)
        )
        if not allowed or not can_cast(value.type, kind):
            raise unexpected_input(function, position, kind.text, value)
        return self.cast(value, kind)

    def parameter(self, node: exp.Placeholder) -> Typed:
        """Return the bound value of a parameter marker."""
        name = node.args.get("kind")
        found = self._positional(node) if name == "?" else self._named(node.name)
        return bind_parameter(self, found)

    def _named(self, name: str) -> Parameter:
        for parameter in self.context.parameters:
            if parameter.name is not None and parameter.name.lower() == name.lower():
                return parameter
        raise SqlError(
            "UNBOUND_SQL_PARAMETER",
            "42P02",
            f"Found the unbound parameter: {name}. Please, fix `args` and provide a mapping of the "
            "parameter to either a SQL literal or collection constructor functions such as "
            "`map()`, `array()`, `struct()`.",
        )

    def _positional(self, node: exp.Placeholder) -> Parameter:
        position = int(node.name)
        given = self.context.parameters
        # A value with a name is of a marker with this name alone.
        if position < len(given) and given[position].name is None:
            return given[position]
        raise SqlError(
            "UNBOUND_SQL_PARAMETER",
            "42P02",
            f"Found the unbound parameter: _{position + 1}. Please, fix `args` and provide a "
            f"mapping "
            "of the parameter to either a SQL literal or collection constructor functions such as "
            "`map()`, `array()`, `struct()`.",
        )


_DATETIMES = ("DATE", "TIMESTAMP", "TIMESTAMP_NTZ")


def session_zone(configuration: object) -> str:
    """Return the session's time zone, ``UTC`` where none is set.

    Raises:
        SqlError: ``INVALID_CONF_VALUE.TIME_ZONE`` for a name that is no time zone.
    """
    values = {str(key).upper(): str(value) for key, value in dict(configuration).items()}  # type: ignore[call-overload]
    name = values.get("TIMEZONE") or values.get("SPARK.SQL.SESSION.TIMEZONE") or "UTC"
    if name.upper() in ("UTC", "Z", "ETC/UTC", "GMT"):
        return "UTC"
    try:
        ZoneInfo(name)
    except (ValueError, OSError, KeyError):
        raise SqlError(
            "INVALID_CONF_VALUE.TIME_ZONE",
            "22022",
            f"The value '{name}' in the config \"TIMEZONE\" is invalid. Cannot resolve the given "
            "timezone.",
        ) from None
    return name


def only(node: exp.Expr, *allowed: str) -> None:
    """Refuse a node that carries anything but the given parts."""
    for key, value in node.args.items():
        if key not in allowed and value not in (None, False, [], ""):
            raise refused(value if isinstance(value, exp.Expr) else node, key)


def refused(node: exp.Expr | None, part: str = "") -> SqlError:
    """Return the refusal of a construct that no rewrite knows."""
    if node is None:
        return syntax_error("", "")
    words = type(node).__name__
    return unsupported(f"{words} ({part})" if part else words)


def data_diff_types(
    what: str, kinds: Sequence[SqlType], error: str = "DATA_DIFF_TYPES"
) -> SqlError:
    """Return the refusal of arguments that have no type in common."""
    types = ", ".join(f'"{kind.text}"' for kind in kinds)
    return SqlError(
        f"DATATYPE_MISMATCH.{error}",
        "42K09",
        f'Cannot resolve "{what}" due to data type mismatch: Input to '
        f"`{what.split('(')[0]}` should all be the same type, but it's ({types}).",
    )


def unexpected_input(function: str, position: int, wanted: str, value: Typed) -> SqlError:
    """Return ``DATATYPE_MISMATCH.UNEXPECTED_INPUT_TYPE``."""
    ordinal = ("first", "second", "third", "fourth", "fifth")[min(position, 5) - 1]
    return SqlError(
        "DATATYPE_MISMATCH.UNEXPECTED_INPUT_TYPE",
        "42K09",
        f'Cannot resolve "{function}" due to data type mismatch: The {ordinal} parameter requires '
        f'the "{wanted}" type, however "{value.name}" has the type "{value.type.text}".',
    )


@contextmanager
def variables(scope: Scope, names: dict[str, Typed]) -> Iterator[Scope]:
    """Give a scope in which lambda parameters are visible."""
    inner = Scope(parent=scope, variables=names)
    yield inner
