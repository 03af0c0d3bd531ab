"""``SET a = …, s.field = …``: assignments of UPDATE and MERGE, as values of physical columns."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from sqlglot import exp

from vinci_code.warehouse.engine.model import TableColumn, TableState, unresolved_column
from vinci_code.warehouse.engine.names import backtick, string_literal
from vinci_code.warehouse.engine.rows import check_default_word, default_value
from vinci_code.warehouse.engine.work import Work
from vinci_code.warehouse.sql import parse
from vinci_code.warehouse.sql.errors import SqlError, unsupported
from vinci_code.warehouse.sql.query_context import Relation
from vinci_code.warehouse.sql.types import SqlType

# A path within a column (empty for the column itself), and the value that goes there.
_Edit = tuple[tuple[str, ...], exp.Expression]


def assignments(
    work: Work,
    state: TableState,
    items: Sequence[exp.Expression],
    aliases: Sequence[str],
    relations: Sequence[tuple[str, Relation]],
) -> dict[str, str | None]:
    """Translate assignments into the values of physical columns.

    A column may be qualified by ``aliases``, of which the first exposes the table's rows. The
    values may refer to ``relations``.
    """
    edits: dict[str, list[_Edit]] = {}
    columns: dict[str, TableColumn] = {}
    for item in items:
        column, path = assigned_column(state, item, aliases)
        columns[column.physical] = column
        edits.setdefault(column.physical, []).append((path, item.expression))
    values: dict[str, str | None] = {}
    for physical, column in columns.items():
        _check_conflict(column.name, [path for path, _ in edits[physical]])
        owner = f"{backtick(aliases[0])}.{backtick(column.name)}"
        value = _edited(owner, column.type, edits[physical])
        values[physical] = _value(work, column, value, relations)
    return values


def assigned_column(
    state: TableState, item: exp.Expression, aliases: Sequence[str]
) -> tuple[TableColumn, tuple[str, ...]]:
    """Return the column that an assignment is about, and the path to a field within it."""
    target = item.this
    if not isinstance(item, exp.EQ) or not isinstance(target, (exp.Column, exp.Dot)):
        raise unsupported(f"the assignment {item.sql(dialect='databricks')}")
    parts = [part.name for part in target.parts]
    rest = _unqualified(state, parts, aliases)
    return state.schema.column(rest[0]), tuple(rest[1:])


def is_default(item: exp.Expression) -> bool:
    """Return whether an expression is the keyword DEFAULT."""
    if isinstance(item, exp.Var):
        return item.name.upper() == "DEFAULT"
    if not isinstance(item, exp.Column) or item.args.get("table") is not None:
        return False
    name = item.this
    return (
        isinstance(name, exp.Identifier)
        and not name.args.get("quoted")
        and name.name.upper() == "DEFAULT"
    )


def _unqualified(state: TableState, parts: list[str], aliases: Sequence[str]) -> list[str]:
    lowered = [part.lower() for part in parts]
    if len(parts) > 1 and lowered[0] in {alias.lower() for alias in aliases}:
        return parts[1:]
    name = state.name
    full = [name.catalog, name.schema, name.name]
    for start in range(3):
        prefix = full[start:]
        if len(parts) > len(prefix) and lowered[: len(prefix)] == prefix:
            return parts[len(prefix) :]
    if state.schema.find(parts[0]) is None:
        raise unresolved_column(".".join(parts), [item.name for item in state.schema.columns])
    return parts


def _check_conflict(name: str, paths: Sequence[tuple[str, ...]]) -> None:
    lowered = sorted(tuple(part.lower() for part in path) for path in paths)
    for one, other in pairwise(lowered):
        if other[: len(one)] == one:
            raise SqlError(
                "DELTA_CONFLICT_SET_COLUMN",
                "42701",
                f"There is a conflict from these SET columns: {backtick(name)}.",
            )


def _edited(owner: str, kind: SqlType, edits: Sequence[_Edit]) -> exp.Expression:
    """Return a value with new values in some of its fields and the old ones in the others."""
    if not edits[0][0]:
        return edits[0][1]
    if kind.name != "STRUCT":
        raise SqlError(
            "DELTA_UNSUPPORTED_FIELD_UPDATE_NON_STRUCT",
            "0AKDC",
            "Updating nested fields is only supported for StructType, but you are trying to update "
            f"a field of {owner}, which is of type: {kind.text}.",
        )
    known = {item.name.lower() for item in kind.fields}
    for path, _ in edits:
        if path[0].lower() not in known:
            raise unresolved_column(path[0], [item.name for item in kind.fields])
    parts, holes = [], {}
    for index, item in enumerate(kind.fields):
        field = f"{owner}.{backtick(item.name)}"
        inner = [(path[1:], value) for path, value in edits if path[0].lower() == item.name.lower()]
        if inner:
            holes[f"_value_{index}"] = _edited(field, item.type, inner)
            field = f"CAST(_value_{index} AS {item.type.text})"
        parts.append(f"{string_literal(item.name)}, {field}")
    return _filled(f"named_struct({', '.join(parts)})", holes)


def _filled(text: str, holes: dict[str, exp.Expression]) -> exp.Expression:
    built = parse.parse_expression(text).copy()
    for node in list(built.find_all(exp.Column)):
        if node.name in holes and len(node.parts) == 1:
            node.replace(holes[node.name].copy())
    return built


def _value(
    work: Work,
    column: TableColumn,
    value: exp.Expression,
    relations: Sequence[tuple[str, Relation]],
) -> str | None:
    if column.identity is not None:
        raise SqlError(
            "DELTA_IDENTITY_COLUMNS_UPDATE_NOT_SUPPORTED",
            "42808",
            f"UPDATE on IDENTITY column {column.name} is not supported.",
        )
    if is_default(value):
        check_default_word(column)
        return default_value(work, column)
    translated = work.expression(value.copy(), *relations)
    return work.stored(translated.sql, translated.type, column)
