"""Rewrites of generators: functions that make rows (``explode``, ``inline``, ``stack`` …).

DuckDB unnests a list; every generator becomes a list of elements and the columns read from one.
"""

# ruff: noqa: S608 - the SQL is made of translated parts only, user data is bound
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from sqlglot import exp

from vinci_code.warehouse.sql.binder import Binder, unexpected_input
from vinci_code.warehouse.sql.builtins.registry import FUNCTIONS, FunctionCall, check_arity
from vinci_code.warehouse.sql.errors import SqlError
from vinci_code.warehouse.sql.payloads import constant_json, read_rows
from vinci_code.warehouse.sql.scope import Scope, Source, SourceColumn
from vinci_code.warehouse.sql.types import BIGINT, INT, STRING, VARIANT, SqlType
from vinci_code.warehouse.sql.values import Typed, path_key_sql, quote, text_sql

ELEMENT = "e"
POSITION = "p"


@dataclass(frozen=True)
class StagedRows:
    """A relation of rows that a statement carries: its name and the names of its columns."""

    relation: str
    columns: tuple[str, ...]

    def values(self, alias: str, columns: Sequence[tuple[str, SqlType, str]]) -> list[Typed]:
        """Return the columns of a generator, read from the relation under an alias."""
        return [
            Typed(f"{quote(alias)}.{quote(physical)}", kind, name)
            for physical, (name, kind, _) in zip(self.columns, columns, strict=True)
        ]


@dataclass(frozen=True)
class Generator:
    """A generator that is ready to be unnested.

    Attributes:
        list_sql: DuckDB SQL of the list.
        columns: Name, type and the SQL after the element (empty for the element itself).
        outer: Whether an empty list still gives one row of NULLs.
        position: Whether the position in the list is the first column.
        series: Arguments of DuckDB's own table function ``range`` that gives the same rows without
            a list of them; empty where there is none.
        rows: A relation that holds the same rows already, its columns in the order of ``columns``;
            ``None`` where there is none.
    """

    list_sql: str
    columns: tuple[tuple[str, SqlType, str], ...]
    outer: bool = False
    position: bool = False
    series: str = ""
    rows: StagedRows | None = None

    def renamed(self, names: list[str]) -> Generator:
        """Return the generator under the names of ``AS (a, b)``."""
        if not names:
            return self
        if len(names) != len(self.columns):
            raise SqlError(
                "UDTF_ALIAS_NUMBER_MISMATCH",
                "42802",
                "The number of aliases supplied in the AS clause does not match the number "
                "of columns "
                f"output by the UDTF. Expected {len(self.columns)} aliases, but got "
                f"{','.join(names)}. Please ensure that the number of aliases provided matches the "
                "number of columns output by the UDTF.",
            )
        columns = tuple(
            (name, kind, path) for name, (_, kind, path) in zip(names, self.columns, strict=True)
        )
        return replace(self, columns=columns)

    def unnest(self, list_name: str) -> list[str]:
        """Return the select items that make the rows."""
        empty = f"({list_name} IS NULL OR len({list_name}) = 0)"
        items = list_name
        positions = f"range(len({list_name}))"
        if self.outer:
            items = f"CASE WHEN {empty} THEN [NULL] ELSE {items} END"
            positions = f"CASE WHEN {empty} THEN [NULL::BIGINT] ELSE {positions} END"
        result = [f"unnest({items}) AS {quote(ELEMENT)}"]
        if self.position:
            result.append(f"unnest({positions}) AS {quote(POSITION)}")
        return result

    def values(self, alias: str) -> list[Typed]:
        """Return the columns, read from the relation ``alias`` that holds element and position."""
        element = f"{quote(alias)}.{quote(ELEMENT)}"
        result = []
        for index, (name, kind, path) in enumerate(self.columns):
            if self.position and index == 0:
                sql = f"CAST({quote(alias)}.{quote(POSITION)} AS INTEGER)"
            else:
                sql = f"({element}).{path}" if path else element
            result.append(Typed(sql, kind, name))
        return result


def generator_call(node: exp.Expr) -> exp.Anonymous | None:
    """Return the node where it calls a generator."""
    if not isinstance(node, exp.Anonymous):
        return None
    name = node.this if isinstance(node.this, str) else node.this.name
    found = FUNCTIONS.get(name.lower())
    return node if found is not None and found.kind == "generator" else None


def bind_generator(binder: Binder, node: exp.Anonymous, scope: Scope) -> Generator:
    """Translate a call of a generator."""
    full = (node.this if isinstance(node.this, str) else node.this.name).lower()
    outer = full.endswith("_outer")
    name = full.removesuffix("_outer")
    check_arity(full, FUNCTIONS[full], len(node.expressions))
    call = FunctionCall(binder, name, node.expressions, scope)
    return replace(_BUILDERS[name](call), outer=outer)


def _explode(call: FunctionCall) -> Generator:
    value = call.args[0]
    kind = value.type
    position = call.name == "posexplode"
    head: tuple[tuple[str, SqlType, str], ...] = (("pos", INT, ""),) if position else ()
    if kind.element is not None:
        return Generator(value.sql, (*head, ("col", kind.element, "")), position=position)
    if kind.key is not None and kind.value is not None:
        columns = (*head, ("key", kind.key, "key"), ("value", kind.value, "value"))
        return Generator(f"map_entries({value.sql})", columns, position=position)
    raise unexpected_input(call.name, 1, '("ARRAY" or "MAP")', value)


def _inline(call: FunctionCall) -> Generator:
    value = call.args[0]
    element = value.type.element
    if element is None or element.name != "STRUCT":
        raise unexpected_input("inline", 1, "ARRAY<STRUCT>", value)
    columns = tuple((item.name, item.type, quote(item.name)) for item in element.fields)
    # A NULL struct gives a row of NULLs.
    return Generator(value.sql, columns, rows=_staged(call, element))


def _staged(call: FunctionCall, row: SqlType) -> StagedRows | None:
    """Return the rows of a constant JSON text as a relation, where that can be done."""
    stage = call.binder.context.stage
    text = None if stage is None else constant_json(call.binder, call.nodes[0])
    table = None if text is None else read_rows(text, row)
    if stage is None or table is None:
        return None
    return StagedRows(stage(table), tuple(table.column_names))


def _stack(call: FunctionCall) -> Generator:
    rows = call.constant(0, "n")
    values = call.args[1:]
    if not isinstance(rows, int) or rows < 1:
        raise SqlError(
            "DATATYPE_MISMATCH.VALUE_OUT_OF_RANGE",
            "42K09",
            'Cannot resolve "stack" due to data type mismatch: The `n` must be between (0, '
            f"2147483647] (current value = {rows}).",
        )
    width = -(-len(values) // rows)
    columns, cells = [], []
    for column in range(width):
        chosen = values[column::width]
        unified, kind = call.binder.unify(chosen, call.shown)
        columns.append((f"col{column}", kind, quote(f"col{column}")))
        missing = [f"CAST(NULL AS {kind.duckdb()})"] * (rows - len(chosen))
        cells.append([f"CAST({value.sql} AS {kind.duckdb()})" for value in unified] + missing)
    structs = [
        "{" + ", ".join(f"'col{c}': {cells[c][row]}" for c in range(width)) + "}"
        for row in range(rows)
    ]
    return Generator(f"[{', '.join(structs)}]", tuple(columns))


def _json_tuple(call: FunctionCall) -> Generator:
    text = call.text(0)
    names = [call.text(index) for index in range(1, len(call.args))]
    fields = ", ".join(
        f"'c{index}': vinci_json_path({text}, '$[''' || {path_key_sql(name)} || ''']')"
        for index, name in enumerate(names)
    )
    columns = tuple((f"c{index}", STRING, quote(f"c{index}")) for index in range(len(names)))
    return Generator(f"[{{{fields}}}]", columns)


def _variant_explode(call: FunctionCall) -> Generator:
    value = call.args[0]
    if value.type != VARIANT:
        raise unexpected_input(call.name, 1, "VARIANT", value)
    sql = f"json_transform_strict(vinci_variant_entries({value.sql}), {text_sql(_ENTRY)})"
    columns = (("pos", INT, "pos"), ("key", STRING, "key"), ("value", VARIANT, "value"))
    return Generator(sql, columns)


_ENTRY = '[{"pos":"INTEGER","key":"VARCHAR","value":"VARCHAR"}]'


def _range(call: FunctionCall) -> Generator:
    values = [call.argument(index, BIGINT) for index in range(len(call.args))]
    known = all(isinstance(value.constant, int) for value in values)
    stands = len(values) == 3 and values[2].constant == 0
    arguments = ", ".join(value.sql for value in values)
    series = arguments if known and not stands else ""
    return Generator(f"range({arguments})", (("id", BIGINT, ""),), series=series)


_BUILDERS = {
    "explode": _explode,
    "posexplode": _explode,
    "inline": _inline,
    "stack": _stack,
    "json_tuple": _json_tuple,
    "variant_explode": _variant_explode,
    "range": _range,
}


def apply_generator(
    binder: Binder, scope: Scope, from_sql: str, generator: Generator, qualifier: tuple[str, ...]
) -> str:
    """Join a generator to what is in FROM and return the new FROM.

    All sources move into one sub-select beside the unnested list, and the scope follows.
    """
    inner, outer = binder.alias("rows"), binder.alias("rows")
    items: list[str] = []
    scope.sources = [_moved(source, items, outer) for source in scope.sources]
    scope.merged = {
        name: _moved_column(column, items, outer) for name, column in scope.merged.items()
    }
    if scope.level:
        items.append(f'{scope.level} AS "level"')
        scope.level = f'{quote(outer)}."level"'
    kept = [f"{quote(inner)}.{item.rsplit(' AS ', 1)[1]}" for item in items]
    source = f" FROM {from_sql}" if from_sql else ""
    first = ", ".join([*items, f'{generator.list_sql} AS "g"'])
    second = ", ".join([*kept, *generator.unnest(f'{quote(inner)}."g"')])
    columns = tuple(
        SourceColumn(value.name, value.type, value.sql) for value in generator.values(outer)
    )
    scope.sources.append(Source(qualifier, columns))
    return f"(SELECT {second} FROM (SELECT {first}{source}) AS {quote(inner)}) AS {quote(outer)}"


def _moved(source: Source, items: list[str], alias: str) -> Source:
    columns = tuple(_moved_column(column, items, alias) for column in source.columns)
    return replace(source, columns=columns)


def _moved_column(column: SourceColumn, items: list[str], alias: str) -> SourceColumn:
    name = f"c{len(items)}"
    items.append(f'{column.sql} AS "{name}"')
    return replace(column, sql=f'{quote(alias)}."{name}"')
