"""Functions on arrays, maps and structs, and higher-order functions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from sqlglot import exp

from vinci_code.warehouse.sql.binder import Binder, data_diff_types, unexpected_input
from vinci_code.warehouse.sql.bounds import (
    bytes_checked,
    has_variable_size,
    items_checked,
    makes_much,
    result_checked,
    weight,
)
from vinci_code.warehouse.sql.builtins.registry import FunctionCall, function
from vinci_code.warehouse.sql.casts import let, variable
from vinci_code.warehouse.sql.coercion import common_of_two, comparable, tightest_of_two
from vinci_code.warehouse.sql.errors import SqlError, unsupported
from vinci_code.warehouse.sql.scope import LAMBDA_VARIABLE, Scope
from vinci_code.warehouse.sql.types import (
    BINARY,
    BOOLEAN,
    INT,
    STRING,
    VOID,
    Field,
    SqlType,
    array,
    map_of,
    struct,
)
from vinci_code.warehouse.sql.values import Typed, cast_sql, fail_sql, quote


def _array_of(call: FunctionCall, index: int = 0) -> tuple[Typed, SqlType]:
    value = call.args[index]
    if value.type == VOID:
        return call.binder.cast(value, array(VOID)), VOID
    if value.type.element is None:
        raise unexpected_input(call.name, index + 1, "ARRAY", value)
    return value, value.type.element


def _map_of(call: FunctionCall) -> tuple[Typed, SqlType, SqlType]:
    value = call.args[0]
    if value.type.key is None or value.type.value is None:
        raise unexpected_input(call.name, 1, "MAP", value)
    return value, value.type.key, value.type.value


@function("array", 0, None)
def build_array(call: FunctionCall) -> Typed:
    """An array of the least common type."""
    values, kind = call.binder.unify(call.args, call.shown)
    items = ", ".join(value.sql for value in values)
    return Typed(f"CAST([{items}] AS {kind.duckdb()}[])", array(kind), call.shown, False)


@function("map", 0, None)
def build_map(call: FunctionCall) -> Typed:
    """A map of keys and values in turn; a NULL key or the same key twice is an error."""
    if len(call.args) % 2:
        raise SqlError(
            "WRONG_NUM_ARGS.WITHOUT_SUGGESTION",
            "42605",
            f"The `map` requires 2n (n > 0) parameters but the actual number is {len(call.args)}.",
        )
    keys, key = call.binder.unify(call.args[::2], call.shown)
    values, value = call.binder.unify(call.args[1::2], call.shown)
    kind = map_of(key, value)
    listed = (
        f"CAST([{', '.join(one.sql for one in keys)}] AS {key.duckdb()}[])",
        f"CAST([{', '.join(one.sql for one in values)}] AS {value.duckdb()}[])",
    )
    return Typed(_checked_map(*listed), kind, call.shown, False)


def _checked_map(keys: str, values: str) -> str:
    null_key = SqlError("NULL_MAP_KEY", "2200E", "Cannot use null as map key.")
    twice = SqlError(
        "DUPLICATED_MAP_KEY",
        "23505",
        "Duplicate map key was found, please check the input data.",
    )

    def body(found: str) -> str:
        return (
            f"CASE WHEN len({found}) <> list_count({found}) THEN {fail_sql(null_key)} "
            f"WHEN len(list_distinct({found})) <> len({found}) THEN {fail_sql(twice)} "
            f"ELSE map({found}, {values}) END"
        )

    return let(keys, body)


def make_struct(binder: Binder, nodes: Sequence[exp.Expr], scope: Scope) -> Typed:
    """Return ``struct(a, b + 1, c AS x)``: names from columns and aliases, else col1, col2 …."""
    fields, parts, shown = [], [], []
    for index, node in enumerate(nodes):
        inner = node.this if isinstance(node, exp.Alias) else node
        value = binder.expression(inner, scope)
        name = f"col{index + 1}"
        if isinstance(node, exp.Alias):
            name = node.alias
            shown.append(f"{value.name} AS {name}")
        else:
            if isinstance(inner, (exp.Column, exp.Dot, exp.Identifier)):
                name = value.name
            shown.append(value.name)
        fields.append(Field(name, value.type, value.nullable))
        parts.append((name, value))
    return _struct_value(parts, fields, f"struct({', '.join(shown)})")


def _struct_value(parts: list[tuple[str, Typed]], fields: list[Field], shown: str) -> Typed:
    names = [name.lower() for name, _ in parts]
    if len(set(names)) != len(names):
        raise unsupported("a struct with the same field name twice")
    if not parts:
        raise unsupported("a struct without fields")
    inner = ", ".join(
        f"{quote(name)}: {value.sql if value.sql != 'NULL' else cast_sql('NULL', value.type)}"
        for name, value in parts
    )
    return Typed(f"{{{inner}}}", SqlType("STRUCT", fields=tuple(fields)), shown, False)


@function("struct", 1, None)
def build_struct(call: FunctionCall) -> Typed:
    """A struct of its arguments."""
    return make_struct(call.binder, call.nodes, call.scope)


@function("named_struct", 2, None)
def build_named_struct(call: FunctionCall) -> Typed:
    """A struct of names and values in turn."""
    if len(call.args) % 2:
        raise SqlError(
            "WRONG_NUM_ARGS.WITHOUT_SUGGESTION",
            "42605",
            "The `named_struct` requires 2n (n > 0) parameters but the actual number is "
            f"{len(call.args)}.",
        )
    names = [str(call.constant(index, "name")) for index in range(0, len(call.args), 2)]
    values = call.args[1::2]
    fields = [Field(n, v.type, v.nullable) for n, v in zip(names, values, strict=True)]
    return _struct_value(list(zip(names, values, strict=True)), fields, call.shown)


@function("size cardinality", 1)
def build_size(call: FunctionCall) -> Typed:
    """How many elements an array or a map has."""
    value = call.args[0]
    if value.type.name not in ("ARRAY", "MAP", "VOID"):
        raise unexpected_input(call.name, 1, '("ARRAY" or "MAP")', value)
    verb = "cardinality" if value.type.name == "MAP" else "len"
    return Typed(f"CAST({verb}({value.sql}) AS INTEGER)", INT, call.shown)


@function("array_size", 1)
def build_array_size(call: FunctionCall) -> Typed:
    """How many elements an array has."""
    return Typed(f"CAST(len({_array_of(call)[0].sql}) AS INTEGER)", INT, call.shown)


@function("element_at try_element_at", 2)
def build_element_at(call: FunctionCall) -> Typed:
    """Positions count from 1, negative ones from the end; map keys give NULL where missing."""
    value = call.args[0]
    attempt = call.name.startswith("try")
    if value.type.key is not None and value.type.value is not None:
        key = call.argument(1, value.type.key).sql
        return Typed(f"map_extract_value({value.sql}, {key})", value.type.value, call.shown)
    items, element = _array_of(call)
    place = call.argument(1, INT)
    zero = SqlError(
        "INVALID_INDEX_OF_ZERO",
        "22003",
        "The index 0 is invalid. An index shall be either < 0 or > 0 (the first element has "
        "index 1).",
    )
    beyond = SqlError(
        "INVALID_ARRAY_INDEX_IN_ELEMENT_AT",
        "22003",
        "The index {} is out of bounds. The array has {} elements. Use `try_element_at` to "
        "tolerate "
        "accessing element at invalid index and return NULL instead.",
    )

    def body(found: str) -> str:
        failure = "NULL" if attempt else fail_sql(beyond, place.sql, f"len({found})")
        return (
            f"CASE WHEN {found} IS NULL OR {place.sql} IS NULL THEN NULL "
            f"WHEN {place.sql} = 0 THEN {fail_sql(zero)} "
            f"WHEN abs({place.sql}) > len({found}) THEN {failure} ELSE {found}[{place.sql}] END"
        )

    return Typed(let(items.sql, body, atom=items.is_atom), element, call.shown)


@function("get", 2)
def build_get(call: FunctionCall) -> Typed:
    """Counts from 0; NULL beyond the end."""
    items, element = _array_of(call)
    place = call.argument(1, INT).sql
    sql = f"(CASE WHEN {place} >= 0 THEN ({items.sql})[{place} + 1] END)"
    return Typed(sql, element, call.shown)


def _with_element(call: FunctionCall, index: int = 1) -> tuple[str, str, SqlType]:
    """Bring an array and one value to a common element type."""
    items, element = _array_of(call)
    added = call.args[index]
    kind = tightest_of_two(element, added.type)
    if kind is None and call.name == "array_contains" and element.is_numeric:
        # It only looks: any number will do.
        kind = common_of_two(element, added.type) if added.type.is_numeric else None
    if kind is None:
        raise data_diff_types(call.shown, [items.type, added.type], "ARRAY_FUNCTION_DIFF_TYPES")
    found = call.binder.cast(items, array(kind)).sql
    value = call.binder.cast(added, kind).sql
    return found, cast_sql("NULL", kind) if value == "NULL" else value, kind


def _two_arrays(call: FunctionCall) -> tuple[list[str], SqlType]:
    """Bring two arrays to a common type."""
    one, other = call.args
    kind = tightest_of_two(one.type, other.type)
    if kind is None:
        raise data_diff_types(call.shown, [one.type, other.type], "BINARY_ARRAY_DIFF_TYPES")
    if kind.element is None:
        raise unexpected_input(call.name, 1, "ARRAY", one)
    return [call.binder.cast(value, kind).sql for value in call.args], kind


@function("array_contains", 2)
def build_array_contains(call: FunctionCall) -> Typed:
    """NULL where it is not found and the array has a NULL."""
    items, value, _ = _with_element(call)
    sql = let(
        items,
        lambda a: (
            f"CASE WHEN {a} IS NULL OR {value} IS NULL THEN NULL WHEN list_contains({a}, {value}) "
            f"THEN TRUE WHEN len({a}) <> list_count({a}) THEN NULL ELSE FALSE END"
        ),
    )
    return Typed(sql, BOOLEAN, call.shown)


@function("array_position", 2)
def build_array_position(call: FunctionCall) -> Typed:
    """Counts from 1; 0 where it is not found."""
    items, value, _ = _with_element(call)
    sql = (
        f"CASE WHEN {items} IS NOT NULL AND {value} IS NOT NULL THEN "
        f"CAST(coalesce(list_position({items}, {value}), 0) AS BIGINT) END"
    )
    return Typed(f"({sql})", SqlType("BIGINT"), call.shown)


@function("array_append array_prepend", 2)
def build_array_append(call: FunctionCall) -> Typed:
    """One more element at an end."""
    items, value, kind = _with_element(call)
    joined = (
        f"list_concat({items}, [{value}])"
        if call.name == "array_append"
        else f"list_concat([{value}], {items})"
    )
    return Typed(f"(CASE WHEN {items} IS NOT NULL THEN {joined} END)", array(kind), call.shown)


@function("array_remove", 2)
def build_array_remove(call: FunctionCall) -> Typed:
    """Without the elements that are equal to the value; NULL elements stay."""
    items, value, kind = _with_element(call)
    sql = (
        f"CASE WHEN {value} IS NOT NULL THEN "
        f"list_filter({items}, lambda x: x IS NULL OR x <> {value}) END"
    )
    return Typed(f"({sql})", array(kind), call.shown)


@function("array_compact", 1)
def build_array_compact(call: FunctionCall) -> Typed:
    """Without NULLs."""
    items, element = _array_of(call)
    return Typed(f"list_filter({items.sql}, lambda x: x IS NOT NULL)", array(element), call.shown)


@function("array_repeat", 2)
def build_array_repeat(call: FunctionCall) -> Typed:
    """One value several times."""
    value = call.args[0]
    one = value.sql if value.sql != "NULL" else cast_sql("NULL", value.type)

    def body(times: str, item: str) -> str:
        checked = items_checked("array_repeat", times, times)
        heavy = value.type.is_nested or value.type.is_string or value.type == BINARY
        if heavy and not value.is_constant:
            # A NULL is repeated as any other item.
            size = f"{weight(item, value.type)} * {times}"
            checked = bytes_checked("array_repeat", size, checked)
        return (
            f"list_transform(range(CASE WHEN {times} < 0 THEN 0 ELSE {checked} END), "
            f"lambda i: {item})"
        )

    number = call.argument(1, INT)
    sql = let(
        number.sql,
        lambda times: let(one, lambda item: body(times, item), atom=value.is_atom),
        atom=number.is_atom,
    )
    return Typed(sql, array(value.type), call.shown)


@function("array_distinct", 1)
def build_array_distinct(call: FunctionCall) -> Typed:
    """The first of equal elements, in their order."""
    items, element = _array_of(call)
    return Typed(_distinct(items.sql), array(element), call.shown)


def _distinct(items: str) -> str:
    """Return SQL of the distinct elements in order, one NULL among them."""
    return let(
        items,
        lambda a: (
            f"list_filter({a}, lambda x, i: "
            f"i = coalesce(list_position({a}, x), i) AND (x IS NOT NULL OR "
            f"NOT list_contains(list_transform({a}[:i - 1], lambda y: y IS NULL), TRUE)))"
        ),
    )


@function("array_union array_intersect array_except", 2)
def build_array_set(call: FunctionCall) -> Typed:
    """Set operations without duplicates, in the order of the arrays."""
    (left, right), kind = _two_arrays(call)
    if call.name == "array_union":
        inner = f"list_concat({left}, {right})"
    else:
        found = (
            f"CASE WHEN x IS NULL THEN len({right}) <> list_count({right}) "
            f"ELSE list_contains({right}, x) END"
        )
        test = found if call.name == "array_intersect" else f"NOT ({found})"
        inner = f"list_filter({left}, lambda x: {test})"
    sql = f"CASE WHEN {left} IS NOT NULL AND {right} IS NOT NULL THEN {_distinct(inner)} END"
    return Typed(f"({sql})", kind, call.shown)


@function("arrays_overlap", 2)
def build_arrays_overlap(call: FunctionCall) -> Typed:
    """Whether two arrays share an element; NULL where only NULLs decide."""
    (left, right), _ = _two_arrays(call)
    sql = (
        f"CASE WHEN {left} IS NULL OR {right} IS NULL THEN NULL "
        f"WHEN list_has_any({left}, {right}) THEN TRUE "
        f"WHEN len({left}) > 0 AND len({right}) > 0 AND (len({left}) <> list_count({left}) OR "
        f"len({right}) <> list_count({right})) THEN NULL ELSE FALSE END"
    )
    return Typed(f"({sql})", BOOLEAN, call.shown)


@function("array_join", 2, 3)
def build_array_join(call: FunctionCall) -> Typed:
    """Joins texts; NULLs are left out unless a text stands for them."""
    items, _ = _array_of(call)
    texts = call.binder.cast(items, array(STRING)).sql
    if len(call.args) == 3:
        kept = f"list_transform({texts}, lambda x: coalesce(x, {call.text(2)}))"
    else:
        kept = f"list_filter({texts}, lambda x: x IS NOT NULL)"
    # The separator and the text that stands for NULL must be there.
    given = "".join(f" AND {call.text(n)} IS NOT NULL" for n in range(1, len(call.args)))
    sql = (
        f"CASE WHEN {texts} IS NOT NULL{given} THEN "
        f"coalesce(array_to_string({kept}, {call.text(1)}), '') END"
    )
    return Typed(f"({sql})", STRING, call.shown)


@function("array_max array_min", 1)
def build_array_extreme(call: FunctionCall) -> Typed:
    """The greatest or least element that is not NULL."""
    items, element = _array_of(call)
    verb = "list_max" if call.name == "array_max" else "list_min"
    return Typed(f"{verb}({items.sql})", element, call.shown)


@function("sort_array", 1, 2)
def build_sort_array(call: FunctionCall) -> Typed:
    """NULLs come first ascending, last descending."""
    items, element = _array_of(call)
    if not comparable(element):
        raise unexpected_input("sort_array", 1, "ARRAY of orderable elements", items)
    name = call.shown if len(call.args) == 2 else f"{call.shown[:-1]}, true)"
    ascending = f"list_sort({items.sql}, 'ASC', 'NULLS FIRST')"
    if len(call.args) == 1:
        return Typed(ascending, array(element), name)
    descending = f"list_sort({items.sql}, 'DESC', 'NULLS LAST')"
    sql = f"(CASE WHEN {call.argument(1, BOOLEAN).sql} THEN {ascending} ELSE {descending} END)"
    return Typed(sql, array(element), name)


@function("array_sort", 1, 2)
def build_array_sort(call: FunctionCall) -> Typed:
    """Ascending with NULLs last; a comparison of one's own is refused."""
    if len(call.nodes) == 2:
        raise unsupported("array_sort with a comparison function")
    items, element = _array_of(call)
    sql = f"list_sort({items.sql}, 'ASC', 'NULLS LAST')"
    return Typed(sql, array(element), f"array_sort({items.name}, lambdafunction)")


@function("flatten", 1)
def build_flatten(call: FunctionCall) -> Typed:
    """An array of arrays as one; NULL where one of them is NULL."""
    items, element = _array_of(call)
    if element.element is None:
        raise unexpected_input("flatten", 1, "ARRAY of ARRAY", items)
    sql = let(items.sql, lambda a: f"CASE WHEN len({a}) = list_count({a}) THEN flatten({a}) END")
    return Typed(sql, element, call.shown)


@function("slice", 3)
def build_slice(call: FunctionCall) -> Typed:
    """A part of an array from a position that counts from 1 or from the end."""
    items, element = _array_of(call)
    start, length = call.argument(1, INT).sql, call.argument(2, INT).sql
    zero = SqlError(
        "INVALID_PARAMETER_VALUE.START",
        "22023",
        "The value of parameter(s) `start` in `slice` is invalid: Expects a positive or a "
        "negative value for `start`, but got 0.",
    )
    below = SqlError(
        "INVALID_PARAMETER_VALUE.LENGTH",
        "22023",
        "The value of parameter(s) `length` in `slice` is invalid: Expects `length` greater "
        "than or equal to 0, but got {}.",
    )

    def body(a: str) -> str:
        first = f"CASE WHEN {start} < 0 THEN len({a}) + {start} + 1 ELSE {start} END"
        return (
            f"CASE WHEN {a} IS NULL THEN NULL WHEN {start} = 0 THEN {fail_sql(zero)} "
            f"WHEN {length} < 0 THEN "
            f"{fail_sql(below, length)} "
            f"WHEN ({first}) < 1 THEN {a}[1:0] ELSE {a}[({first}):(({first}) + {length} - 1)] END"
        )

    return Typed(let(items.sql, body, atom=items.is_atom), array(element), call.shown)


@function("arrays_zip", 1, None)
def build_arrays_zip(call: FunctionCall) -> Typed:
    """Structs of the elements at the same place; shorter arrays are filled with NULL."""
    arrays = [_array_of(call, index) for index in range(len(call.args))]
    names = []
    for index, (node, arg) in enumerate(zip(call.nodes, call.args, strict=True)):
        if isinstance(node, exp.Dot):
            names.append(node.name)
        else:
            names.append(arg.name if isinstance(node, exp.Column) else str(index))
    longest = f"greatest({', '.join(f'len({a.sql})' for a, _ in arrays)})"
    if len(arrays) == 1:
        longest = f"len({arrays[0][0].sql})"
    inner = ", ".join(f"{quote(n)}: ({a.sql})[i]" for n, (a, _) in zip(names, arrays, strict=True))
    nulls = " OR ".join(f"{a.sql} IS NULL" for a, _ in arrays)
    kind = array(struct(*((n, e) for n, (_, e) in zip(names, arrays, strict=True))))
    sql = (
        f"(CASE WHEN NOT ({nulls}) THEN list_transform(range(1, {longest} + 1), lambda i: "
        f"{{{inner}}}) END)"
    )
    return Typed(sql, kind, call.shown)


@function("array_insert", 3)
def build_array_insert(call: FunctionCall) -> Typed:
    """One more element at a position that counts from 1."""
    place = call.constant(1, "pos")
    if not isinstance(place, int) or place < 1:
        raise unsupported("array_insert at a position that is not a positive literal")
    items, value, kind = _with_element(call, 2)
    sql = let(
        items,
        lambda a: (
            f"CASE WHEN {a} IS NOT NULL THEN list_concat(list_concat(list_resize({a}, "
            f"{place - 1}), [{value}]), {a}[{place}:]) END"
        ),
    )
    return Typed(sql, array(kind), call.shown)


def _lambda(
    call: FunctionCall, index: int, parameters: Sequence[SqlType], seed: str
) -> tuple[list[str], Typed]:
    """Translate ``x -> …`` and return its DuckDB parameters and its body."""
    node = call.nodes[index]
    if not isinstance(node, exp.Lambda):
        raise SqlError(
            "DATATYPE_MISMATCH.UNEXPECTED_INPUT_TYPE",
            "42K09",
            f'Cannot resolve "{call.name}" due to data type mismatch: The argument number '
            f"{index + 1} must be a lambda function.",
        )
    _check_lambda(node)
    names = [item.name for item in node.expressions]
    if len(names) > len(parameters):
        raise SqlError(
            "INVALID_LAMBDA_FUNCTION_CALL.NUM_ARGS_MISMATCH",
            "42K0D",
            "Invalid lambda function call. A higher order function expects "
            f"{len(parameters)} arguments, but got {len(names)}.",
        )
    sql_names = [variable(f"{seed}/{name}/{index}") for name in names]
    known = {
        name.lower(): Typed(sql, kind, LAMBDA_VARIABLE)
        for name, sql, kind in zip(names, sql_names, parameters, strict=False)
    }
    body = call.binder.expression(node.this, Scope(parent=call.scope, variables=known))
    return sql_names, body


def _check_lambda(node: exp.Lambda) -> None:
    if node.find(exp.Query):
        raise SqlError(
            "UNSUPPORTED_SUBQUERY_EXPRESSION_CATEGORY.HIGHER_ORDER_FUNCTION",
            "0A000",
            "Unsupported subquery expression: Subquery expressions are not supported within "
            "higher-order functions. Please remove all subquery expressions from higher-order "
            "functions and then try the query again.",
        )
    if node.find(exp.Window):
        raise unsupported("a window function inside of a lambda function")


def _shown(call: FunctionCall, values: Sequence[Typed], body: Typed, names: Sequence[str]) -> str:
    labels = ", ".join(LAMBDA_VARIABLE for _ in names)
    inner = ", ".join(value.name for value in values)
    return f"{call.name}({inner}, lambdafunction({body.name}, {labels}))"


def _first(call: FunctionCall) -> tuple[Typed, SqlType]:
    value = call.binder.expression(call.nodes[0], call.scope)
    if value.type.element is None:
        raise unexpected_input(call.name, 1, "ARRAY", value)
    return value, value.type.element


@function("transform", 2)
def build_transform(call: FunctionCall) -> Typed:
    """Applies a function to every element, with its index from 0 if it wants one."""
    items, element = _first(call)
    names, body = _lambda(call, 1, [element, INT], items.sql)
    inner = body.sql
    if len(names) == 2:
        inner = inner.replace(names[1], f"({names[1]} - 1)")
    given = items.sql
    if has_variable_size(body.type) and makes_much(inner):
        # DuckDB computes the items in vectors of 2,048, too, and each may be full.
        inner = result_checked(inner, body.type)
        given = let(
            given,
            lambda one: items_checked("transform", f"len({one}) * {_FULL_ITEMS}", one),
            atom=items.is_atom,
        )
    sql = f"list_transform({given}, lambda {', '.join(names)}: {inner})"
    return Typed(sql, array(body.type), _shown(call, [items], body, names))


# What an item counts for where each is a text or a list that a function makes.
_FULL_ITEMS = 200


def _truth(call: FunctionCall, body: Typed) -> str:
    if body.type not in (BOOLEAN, VOID):
        raise unexpected_input(call.name, 2, "BOOLEAN", body)
    return body.sql


@function("filter", 2)
def build_filter(call: FunctionCall) -> Typed:
    """The elements, or map entries, for which the function holds."""
    items, element = _first(call)
    names, body = _lambda(call, 1, [element, INT], items.sql)
    inner = _truth(call, body)
    if len(names) == 2:
        inner = inner.replace(names[1], f"({names[1]} - 1)")
    sql = f"list_filter({items.sql}, lambda {', '.join(names)}: {inner})"
    return Typed(sql, items.type, _shown(call, [items], body, names))


@function("exists any_match forall all_match", 2)
def build_any_or_all(call: FunctionCall) -> Typed:
    """Whether it holds for any element, or for all; NULL where only NULLs decide."""
    items, element = _first(call)
    names, body = _lambda(call, 1, [element], items.sql)
    mapped = f"list_transform({items.sql}, lambda {names[0]}: {_truth(call, body)})"
    decides, otherwise = ("TRUE", "FALSE") if call.name in _ANY else ("FALSE", "TRUE")
    sql = let(
        mapped,
        lambda a: (
            f"CASE WHEN {a} IS NULL THEN NULL WHEN list_contains({a}, {decides}) THEN {decides} "
            f"WHEN len({a}) <> list_count({a}) THEN NULL ELSE {otherwise} END"
        ),
    )
    return Typed(sql, BOOLEAN, _shown(call, [items], body, names))


_ANY = ("exists", "any_match")


@function("aggregate reduce", 3, 4)
def build_aggregate(call: FunctionCall) -> Typed:
    """Folds an array from a start value, whose type is that of all that follow."""
    items, element = _first(call)
    start = call.binder.expression(call.nodes[1], call.scope)
    names, body = _lambda(call, 2, [start.type, element], items.sql)
    if body.type != VOID and _unnamed(body.type) != _unnamed(start.type):
        raise unexpected_input(call.name, 3, start.type.text, body)
    if body.type != start.type:
        body = call.binder.cast(body, start.type)
    # DuckDB's list_reduce wants one type for state and element: the state is carried in a struct.
    state = start.type.duckdb()
    initial = f"{{'s': CAST({start.sql} AS {state}), 'e': CAST(NULL AS {element.duckdb()})}}"
    wrapped = variable(items.sql + "w")
    pairs = (
        f"list_transform({items.sql}, lambda {wrapped}: "
        f"{{'s': CAST(NULL AS {state}), 'e': {wrapped}}})"
    )
    one, other = variable(items.sql + "1"), variable(items.sql + "2")
    inner = body.sql.replace(names[0], f"({one}).s").replace(names[1], f"({other}).e")
    step = f"{{'s': CAST({inner} AS {state}), 'e': CAST(NULL AS {element.duckdb()})}}"
    folded = Typed(
        f"(list_reduce({pairs}, lambda {one}, {other}: {step}, {initial})).s",
        start.type,
        start.name,
    )
    name = f"{call.name}({items.name}, {start.name}, lambdafunction({body.name}, "
    name += "namedlambdavariable(), namedlambdavariable()), "
    if len(call.nodes) == 3:
        return folded.named(name + "lambdafunction(namedlambdavariable(), namedlambdavariable()))")
    final, result = _lambda(call, 3, [folded.type], items.sql)
    sql = f"list_transform([{folded.sql}], lambda {final[0]}: {result.sql})[1]"
    sql = f"CASE WHEN {items.sql} IS NOT NULL THEN {sql} END"
    return Typed(
        f"({sql})", result.type, name + f"lambdafunction({result.name}, namedlambdavariable()))"
    )


def _unnamed(kind: SqlType) -> SqlType:
    """A type without the names and the NOT NULL of fields."""
    element, key, value = (
        None if part is None else _unnamed(part) for part in (kind.element, kind.key, kind.value)
    )
    fields = tuple(Field(str(n), _unnamed(one.type)) for n, one in enumerate(kind.fields))
    return replace(kind, element=element, key=key, value=value, fields=fields)


@function("zip_with", 3)
def build_zip_with(call: FunctionCall) -> Typed:
    """Applies a function to the elements at the same place of two arrays."""
    left, one = _first(call)
    right = call.binder.expression(call.nodes[1], call.scope)
    if right.type.element is None:
        raise unexpected_input(call.name, 2, "ARRAY", right)
    names, body = _lambda(call, 2, [one, right.type.element], left.sql + right.sql)
    place = variable(left.sql + right.sql)
    inner = body.sql.replace(names[0], f"({left.sql})[{place}]").replace(
        names[1], f"({right.sql})[{place}]"
    )
    indexes = f"range(1, greatest(len({left.sql}), len({right.sql})) + 1)"
    sql = (
        f"(CASE WHEN {left.sql} IS NOT NULL AND {right.sql} IS NOT NULL THEN "
        f"list_transform({indexes}, lambda {place}: {inner}) END)"
    )
    return Typed(sql, array(body.type), _shown(call, [left, right], body, names))


@function("map_keys map_values", 1)
def build_map_side(call: FunctionCall) -> Typed:
    """The keys, or the values, as an array."""
    value, key, inner = _map_of(call)
    kind = key if call.name == "map_keys" else inner
    return Typed(f"{call.name}({value.sql})", array(kind), call.shown)


@function("map_entries", 1)
def build_map_entries(call: FunctionCall) -> Typed:
    """Structs of key and value."""
    value, key, inner = _map_of(call)
    return Typed(
        f"map_entries({value.sql})", array(struct(("key", key), ("value", inner))), call.shown
    )


@function("map_contains_key", 2)
def build_map_contains_key(call: FunctionCall) -> Typed:
    """Whether the map has the key."""
    value, key, _ = _map_of(call)
    return Typed(f"map_contains({value.sql}, {call.argument(1, key).sql})", BOOLEAN, call.shown)


@function("map_from_arrays", 2)
def build_map_from_arrays(call: FunctionCall) -> Typed:
    """A map of two arrays."""
    keys, key = _array_of(call, 0)
    values, value = _array_of(call, 1)
    # Spark's own error for this has no name.
    uneven = unsupported("map_from_arrays of arrays of different lengths")
    sql = let(
        f"{{'k': {keys.sql}, 'v': {values.sql}}}",
        lambda both: (
            f"CASE WHEN len({both}.k) <> len({both}.v) THEN {fail_sql(uneven)} "
            f"WHEN {both}.v IS NOT NULL THEN {_checked_map(f'{both}.k', f'{both}.v')} END"
        ),
    )
    return Typed(sql, map_of(key, value), call.shown)


@function("map_from_entries", 1)
def build_map_from_entries(call: FunctionCall) -> Typed:
    """A map of an array of structs."""
    items, element = _array_of(call)
    if len(element.fields) != 2:
        raise unexpected_input("map_from_entries", 1, "ARRAY of pair STRUCT", items)
    key, value = element.fields
    keys = f"list_transform({items.sql}, lambda x: x.{quote(key.name)})"
    values = f"list_transform({items.sql}, lambda x: x.{quote(value.name)})"
    return Typed(_checked_map(keys, values), map_of(key.type, value.type), call.shown)


@function("map_concat", 1, None)
def build_map_concat(call: FunctionCall) -> Typed:
    """The entries of all maps; the same key twice is an error."""
    values, kind = call.binder.unify(call.args, call.shown)
    if kind.key is None:
        raise unexpected_input("map_concat", 1, "MAP", call.args[0])
    keys, items = "map_keys({})", "map_values({})"
    joined_keys = keys.format(values[0].sql)
    joined_values = items.format(values[0].sql)
    for value in values[1:]:
        joined_keys = f"list_concat({joined_keys}, {keys.format(value.sql)})"
        joined_values = f"list_concat({joined_values}, {items.format(value.sql)})"
    # list_concat takes NULL for an empty list.
    nulls = " OR ".join(f"{value.sql} IS NULL" for value in values)
    joined = _checked_map(joined_keys, joined_values)
    return Typed(f"(CASE WHEN NOT ({nulls}) THEN {joined} END)", kind, call.shown)


def _map_lambda(call: FunctionCall) -> tuple[Typed, SqlType, SqlType, str, Typed]:
    value = call.binder.expression(call.nodes[0], call.scope)
    if value.type.key is None or value.type.value is None:
        raise unexpected_input(call.name, 1, "MAP", value)
    names, body = _lambda(call, 1, [value.type.key, value.type.value], value.sql)
    entry = variable(value.sql)
    inner = body.sql.replace(names[0], f"{entry}.key")
    if len(names) == 2:
        inner = inner.replace(names[1], f"{entry}.value")
    changed = Typed(inner, body.type, body.name, body.nullable)
    return value, value.type.key, value.type.value, entry, changed


@function("map_filter", 2)
def build_map_filter(call: FunctionCall) -> Typed:
    """The entries for which the function holds."""
    value, key, inner, entry, body = _map_lambda(call)
    sql = (
        f"map_from_entries(list_filter(map_entries({value.sql}), lambda {entry}: "
        f"{_truth(call, body)}))"
    )
    return Typed(sql, map_of(key, inner), _shown(call, [value], body, ["k", "v"]))


@function("transform_values transform_keys", 2)
def build_transform_map(call: FunctionCall) -> Typed:
    """Replaces every value, or every key."""
    value, key, inner, entry, body = _map_lambda(call)
    entries = f"map_entries({value.sql})"
    name = _shown(call, [value], body, ["k", "v"])
    if call.name == "transform_values":
        pair = f"{{'key': {entry}.key, 'value': {body.sql}}}"
        sql = f"map_from_entries(list_transform({entries}, lambda {entry}: {pair}))"
        return Typed(sql, map_of(key, body.type), name)
    keys = f"list_transform({entries}, lambda {entry}: {body.sql})"
    return Typed(_checked_map(keys, f"map_values({value.sql})"), map_of(body.type, inner), name)


for _generator, _low, _high in (
    ("explode explode_outer posexplode posexplode_outer inline inline_outer", 1, 1),
    ("stack", 2, None),
    ("json_tuple", 2, None),
    ("variant_explode variant_explode_outer", 1, 1),
    ("range", 1, 3),
):

    def _not_scalar(call: FunctionCall) -> Typed:
        raise unsupported(f"the generator {call.name} inside an expression")

    function(_generator, _low, _high, "generator")(_not_scalar)
