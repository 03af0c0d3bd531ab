"""Rewrites of predicates, CASE and access into nested values."""

# ruff: noqa: ARG001 - every rewrite has the same parameters
from __future__ import annotations

from sqlglot import exp

from vinci_code.warehouse.sql import regular_expressions
from vinci_code.warehouse.sql.binder import Binder, only, refused, unexpected_input
from vinci_code.warehouse.sql.builtins.collections import make_struct
from vinci_code.warehouse.sql.casts import let
from vinci_code.warehouse.sql.errors import SqlError, syntax_error
from vinci_code.warehouse.sql.rewrites.aligned import aligned_query
from vinci_code.warehouse.sql.rewrites.operators import compare, padded
from vinci_code.warehouse.sql.scope import LAMBDA_VARIABLE, Scope
from vinci_code.warehouse.sql.types import BOOLEAN, INT, STRING, VARIANT, SqlType, array
from vinci_code.warehouse.sql.values import (
    MISSING,
    Typed,
    fail_sql,
    literal,
    path_key_sql,
    quote,
    text_sql,
)

# What Databricks calls every parameter of a lambda function in a column's name.


def rewrite_column(binder: Binder, node: exp.Column, scope: Scope) -> Typed:
    """A name is a column, a lambda's parameter or an alias; what is left over are fields."""
    parts = [part.name for part in node.parts]
    return resolve_name(parts, scope)


def rewrite_identifier(binder: Binder, node: exp.Identifier, scope: Scope) -> Typed:
    """A bare identifier within a lambda is its parameter, else a column."""
    return resolve_name([node.name], scope)


def resolve_name(parts: list[str], scope: Scope) -> Typed:
    """Return what a dotted name means."""
    value, rest = scope.resolve(parts)
    if value.name == LAMBDA_VARIABLE and not rest:
        return value
    for name in rest:
        value = field(value, name)
    return value.named(parts[-1])


def rewrite_dot(binder: Binder, node: exp.Dot, scope: Scope) -> Typed:
    """``value.field`` reads a field of a struct, of every struct in an array, or a map's value."""
    only(node, "this", "expression")
    if not isinstance(node.expression, exp.Identifier):
        raise refused(node)
    if isinstance(node.this, (exp.Column, exp.Dot)):
        parts = _dotted(node)
        if parts is not None:
            return resolve_name(parts, scope)
    value = binder.expression(node.this, scope)
    return field(value, node.expression.name).named(f"{value.name}.{node.expression.name}")


def _dotted(node: exp.Expr) -> list[str] | None:
    if isinstance(node, exp.Column):
        return [part.name for part in node.parts]
    if isinstance(node, exp.Dot) and isinstance(node.expression, exp.Identifier):
        head = _dotted(node.this)
        return None if head is None else [*head, node.expression.name]
    return None


def field(value: Typed, name: str) -> Typed:
    """Return a field of a value.

    Raises:
        SqlError: ``FIELD_NOT_FOUND``, ``INVALID_EXTRACT_BASE_FIELD_TYPE``, or for an ARRAY
            of what is no STRUCT ``DATATYPE_MISMATCH.UNEXPECTED_INPUT_TYPE``.
    """
    kind = value.type
    if kind.name == "STRUCT":
        found = _find_field(kind, name)
        return Typed(f"({value.sql}).{quote(found[0])}", found[1], name)
    if kind.element is not None and kind.element.name == "STRUCT":
        found = _find_field(kind.element, name)
        sql = f"list_transform({value.sql}, lambda x: x.{quote(found[0])})"
        return Typed(sql, array(found[1]), name)
    if kind.key is not None and kind.value is not None and kind.key.is_string:
        return Typed(f"map_extract_value({value.sql}, {text_sql(name)})", kind.value, name)
    if kind.element is not None:
        raise unexpected_input(f"{value.name}[{name}]", 2, "INTEGRAL", literal(name))
    raise _not_complex(value)


def _not_complex(value: Typed) -> SqlError:
    return SqlError(
        "INVALID_EXTRACT_BASE_FIELD_TYPE",
        "42000",
        f'Can\'t extract a value from "{value.name}". Need a complex type [STRUCT, ARRAY, MAP] but '
        f'got "{value.type.text}".',
    )


def _find_field(kind: SqlType, name: str) -> tuple[str, SqlType]:
    for item in kind.fields:
        if item.name.lower() == name.lower():
            return item.name, item.type
    names = ", ".join(f"`{item.name}`" for item in kind.fields)
    raise SqlError("FIELD_NOT_FOUND", "42704", f"No such struct field `{name}` in {names}.")


def rewrite_bracket(binder: Binder, node: exp.Bracket, scope: Scope) -> Typed:
    """``array[i]`` counts from 0 and raises beyond the end; ``map[key]`` gives NULL."""
    only(node, "this", "expressions", "json_access")
    if len(node.expressions) != 1:
        raise refused(node)
    value = binder.expression(node.this, scope)
    index = binder.expression(node.expressions[0], scope)
    name = f"{value.name}[{index.name}]"
    if value.type.name == "VARIANT":
        return variant_step(binder, value, index).named(name)
    if value.type.element is not None:
        return _array_item(binder, value, index, name)
    if value.type.key is not None and value.type.value is not None:
        key = binder.argument(index, value.type.key, "[]", 2)
        return Typed(f"map_extract_value({value.sql}, {key.sql})", value.type.value, name)
    if value.type.name == "STRUCT" and isinstance(index.constant, str):
        return field(value, index.constant).named(name)
    raise _not_complex(value)


def _array_item(binder: Binder, value: Typed, index: Typed, name: str) -> Typed:
    element = value.type.element or STRING
    position = binder.argument(index, INT, "[]", 2)
    error = SqlError(
        "INVALID_ARRAY_INDEX",
        "22003",
        "The index {} is out of bounds. The array has {} elements. Use the SQL function `get()` to "
        "tolerate accessing element at invalid index and return NULL instead.",
    )

    def body(items: str) -> str:
        def pick(place: str) -> str:
            failure = fail_sql(error, place, f"len({items})")
            return (
                f"CASE WHEN {items} IS NULL OR {place} IS NULL THEN NULL "
                f"WHEN {place} < 0 OR {place} >= len({items}) THEN {failure} "
                f"ELSE {items}[{place} + 1] END"
            )

        return let(position.sql, pick, atom=position.is_atom)

    return Typed(let(value.sql, body, atom=value.is_atom), element, name)


def variant_step(binder: Binder, value: Typed, index: Typed) -> Typed:
    """Return one step into a VARIANT by a key or a position."""
    if index.type.is_integral:
        path = f"'$[' || CAST({index.sql} AS VARCHAR) || ']'"
    else:
        path = f"'$[''' || {path_key_sql(index.sql)} || ''']'"
    return Typed(f"vinci_variant_path({value.sql}, {path})", VARIANT, f"{value.name}[{index.name}]")


def rewrite_path(binder: Binder, node: exp.JSONExtract, scope: Scope) -> Typed:
    """``value:a.b[0]`` reads JSON text (as STRING) or a VARIANT (as VARIANT)."""
    if not node.args.get("variant_extract"):
        raise syntax_error("->", node.sql("databricks"))
    value = binder.expression(node.this, scope)
    path, shown = _path_text(node.expression)
    name = f"{value.name}:{shown}"
    if value.type.name == "VARIANT":
        return Typed(f"vinci_variant_path({value.sql}, {text_sql(path)})", VARIANT, _last(shown))
    if not value.type.is_string:
        raise SqlError(
            "DATATYPE_MISMATCH.UNEXPECTED_INPUT_TYPE",
            "42K09",
            f'Cannot resolve "{name}" due to data type mismatch: The first parameter requires the '
            f'("STRING" or "VARIANT") type, however "{value.name}" has the type '
            f'"{value.type.text}".',
        )
    return Typed(f"vinci_json_path({value.sql}, {text_sql(path)})", STRING, _last(shown))


def _last(shown: str) -> str:
    return shown.split("[")[0].split(".")[-1] or shown


def _path_text(path: exp.Expr) -> tuple[str, str]:
    """Return a path whose unquoted keys are marked ``~``: they match in any case of letters."""
    if not isinstance(path, exp.JSONPath):
        raise refused(path)
    text, shown = "$", ""
    for part in path.expressions[1:]:
        if isinstance(part, exp.JSONPathKey):
            mark = "" if part.args.get("quoted") else "~"
            key = str(part.this).replace("\\", "\\\\").replace("'", "\\'")
            text += f"[{mark}'{key}']"
            shown += f".{part.this}" if shown else str(part.this)
        elif isinstance(part, exp.JSONPathSubscript) and isinstance(part.this, int):
            text += f"[{part.this}]"
            shown += f"[{part.this}]"
        elif isinstance(part, exp.JSONPathSubscript):
            text += "[*]"
            shown += "[*]"
        else:
            raise refused(part)
    return text, shown


def rewrite_is(binder: Binder, node: exp.Is, scope: Scope) -> Typed:
    """``IS NULL``, ``IS TRUE``, ``IS FALSE``."""
    only(node, "this", "expression")
    value = binder.expression(node.this, scope)
    other = node.expression
    if isinstance(other, exp.Null):
        return Typed(f"({value.computed} IS NULL)", BOOLEAN, f"({value.name} IS NULL)", False)
    if isinstance(other, exp.Boolean):
        return compare(binder, value, literal(bool(other.this)), "<=>")
    raise refused(node)


def rewrite_between(binder: Binder, node: exp.Between, scope: Scope) -> Typed:
    """``BETWEEN`` compares with both ends, each by its own common type."""
    only(node, "this", "low", "high")
    value, low, high = (binder.expression(node.args[key], scope) for key in ("this", "low", "high"))
    name = f"between({value.name}, {low.name}, {high.name})"

    def body(inner: str) -> str:
        # Its ends are not filled up with the blanks of a CHAR.
        kind = STRING if value.type.is_string else value.type
        one = Typed(inner, kind, value.name, value.nullable)
        first, second = compare(binder, one, low, ">="), compare(binder, one, high, "<=")
        return f"({first.sql} AND {second.sql})"

    # DuckDB takes no sub-query in the body of a LET.
    queried = any(node.args[key].find(exp.Query) for key in ("low", "high"))
    once = not (queried or value.is_atom or "CAST($" in value.sql)
    return Typed(let(value.sql, body, atom=not once), BOOLEAN, name)


def rewrite_in(binder: Binder, node: exp.In, scope: Scope) -> Typed:
    """``IN`` a list or a sub-query, on values of the least common type."""
    only(node, "this", "expressions", "query")
    query = node.args.get("query")
    if query is not None:
        return _in_query(binder, node, query, scope)
    values = binder.expressions([node.this, *node.expressions], scope)
    name = f"({values[0].name} IN ({', '.join(value.name for value in values[1:])}))"
    if values[0].type.name == "CHAR" and all(value.is_constant for value in values[1:]):
        values[1:] = [padded(value, values[0]) for value in values[1:]]
    cast, _ = binder.unify(values, "in(" + name)
    if len(cast) > _MANY_ITEMS and _are_plain(values):
        return Typed(_in_list(binder, cast[0], values[1:]), BOOLEAN, name)
    items = ", ".join(value.sql for value in cast[1:])
    return Typed(f"({cast[0].sql} IN ({items}))", BOOLEAN, name)


# DuckDB needs 25 microseconds and 5 KiB for each item that is written into its SQL, and cannot be
# interrupted meanwhile.
_MANY_ITEMS = 10_000
_BETWEEN = "\x1f"
_WHOLE = ("TINYINT", "SMALLINT", "INT", "BIGINT")


def _are_plain(values: list[Typed]) -> bool:
    """Whether a cast changes nothing of values, of which all but the first are literals."""
    if not all(value.is_constant for value in values[1:]):
        return False
    if values[0].type.name in _WHOLE:
        return all(value.type.name in _WHOLE for value in values[1:])
    return all(value.type == STRING for value in values) and not any(
        _BETWEEN in str(value.constant) for value in values[1:]
    )


def _in_list(binder: Binder, value: Typed, items: list[Typed]) -> str:
    """Return SQL of ``value IN (items)``, none of which is NULL: they are bound as one text."""
    # One text has one marker: the same list in SELECT and in GROUP BY is the same expression.
    text = binder.bind_value(_BETWEEN.join(str(item.constant) for item in items))
    listed = f"string_split(CAST({text} AS VARCHAR), {text_sql(_BETWEEN)})"
    return f"list_contains(CAST({listed} AS {value.type.duckdb()}[]), {value.sql})"


def _in_query(binder: Binder, node: exp.In, query: exp.Expr, scope: Scope) -> Typed:
    left = node.this.unnest() if isinstance(node.this, exp.Paren) else node.this
    nodes = left.expressions if isinstance(left, exp.Tuple) else [left]
    values = binder.expressions(nodes, scope)
    bound = binder.inner_query(query, scope)
    if len(bound.columns) != len(values):
        raise SqlError(
            "DATATYPE_MISMATCH.IN_SUBQUERY_LENGTH_MISMATCH",
            "42K09",
            f'Cannot resolve "({values[0].name} IN (listquery()))" due to data type mismatch: The '
            f"number of columns in the left hand side of an IN subquery does not match the number "
            f"of columns in the output of subquery. Left hand side columns(length: {len(values)}), "
            f"right hand side columns(length: {len(bound.columns)}).",
        )
    values, sql = aligned_query(binder, values, bound)
    head = values[0].sql if len(values) == 1 else f"({', '.join(v.sql for v in values)})"
    return Typed(f"({head} IN ({sql}))", BOOLEAN, f"({values[0].name} IN (listquery()))")


def rewrite_exists(binder: Binder, node: exp.Exists, scope: Scope) -> Typed:
    """``EXISTS (query)``."""
    only(node, "this")
    bound = binder.inner_query(node.this, scope)
    return Typed(f"EXISTS ({bound.sql})", BOOLEAN, "exists()", False)


def rewrite_scalar_query(binder: Binder, node: exp.Subquery, scope: Scope) -> Typed:
    """A query in parentheses is one value; more than one row is an error."""
    only(node, "this", "with_")
    bound = binder.inner_query(node, scope)
    if len(bound.columns) != 1:
        raise SqlError(
            "INVALID_SUBQUERY_EXPRESSION.SCALAR_SUBQUERY_RETURN_MORE_THAN_ONE_OUTPUT_COLUMN",
            "42823",
            "Invalid subquery: Scalar subquery must return only one column, but got "
            f"{len(bound.columns)}.",
        )
    return Typed(f"({bound.sql})", bound.columns[0].type, "scalarsubquery()")


def rewrite_like(binder: Binder, node: exp.Binary, scope: Scope, escape: str = "\\") -> Typed:
    r"""``LIKE`` and ``ILIKE``; ``\`` escapes unless ESCAPE names another character."""
    only(node, "this", "expression", "negate")
    word = "ILIKE" if isinstance(node, exp.ILike) else "LIKE"
    value = binder.as_string(binder.expression(node.this, scope), word.lower())
    if isinstance(node.expression, (exp.Any, exp.All)):
        negated = bool(node.args.get("negate"))
        result = _like_many(binder, value, node.expression, word, scope, negated)
    else:
        result = _like_one(binder, value, node.expression, word, escape, scope)
    if node.args.get("negate") and not isinstance(node.expression, (exp.Any, exp.All)):
        return Typed(f"(NOT {result.sql})", BOOLEAN, f"(NOT {result.name})")
    return result


def _like_one(
    binder: Binder, value: Typed, node: exp.Expr, word: str, escape: str, scope: Scope
) -> Typed:
    pattern = binder.as_string(binder.expression(node, scope), word.lower(), 2)
    name = f"{value.name} {word} {pattern.name}"
    if word == "ILIKE":
        name = f"ilike({value.name}, {pattern.name})"
    if escape != "\\":
        name += f" ESCAPE '{escape}'"
    if pattern.constant is not MISSING and isinstance(pattern.constant, str):
        _check_pattern(pattern.constant, escape)
        checked = pattern.sql
    else:
        checked = _checked_pattern(value.sql, pattern.sql, text_sql(escape))
    return Typed(f"({value.sql} {word} {checked} ESCAPE {text_sql(escape)})", BOOLEAN, name)


def _checked_pattern(value: str, pattern: str, escape: str) -> str:
    """Refuse a pattern that ends with half an escape, as DuckDB 2.0 does by itself.

    DuckDB before 2.0 refuses it only where a value is long enough to reach that end.
    """
    halved = f"(length({pattern}) - length(rtrim({pattern}, {escape}))) % 2 = 1"
    failure = "error('Like pattern must not end with escape character!')"
    return f"(CASE WHEN {value} IS NOT NULL AND {halved} THEN {failure} ELSE {pattern} END)"


def _check_pattern(pattern: str, escape: str) -> None:
    index = 0
    while index < len(pattern):
        if pattern[index] != escape:
            index += 1
            continue
        following = pattern[index + 1 : index + 2]
        if following not in ("_", "%", escape) or not following:
            kind = "ESC_IN_THE_MIDDLE" if following else "ESC_AT_THE_END"
            raise SqlError(
                f"INVALID_FORMAT.{kind}",
                "42601",
                f"The format is invalid: '{pattern}'. The escape character is not allowed "
                + (f"to precede '{following}'." if following else "to end with."),
            )
        index += 2


def _like_many(
    binder: Binder, value: Typed, node: exp.Expr, word: str, scope: Scope, negated: bool
) -> Typed:
    """``NOT LIKE ALL`` is unlike each of the patterns, not unlike all of them together."""
    inner = node.this.unnest() if isinstance(node.this, exp.Paren) else node.this
    nodes = inner.expressions if isinstance(inner, exp.Tuple) else [inner]
    parts = [_like_one(binder, value, item, word, "\\", scope) for item in nodes]
    joiner = "OR" if isinstance(node, exp.Any) else "AND"
    label = ("not" if negated else "") + "like" + ("any" if joiner == "OR" else "all")
    tests = [f"NOT {part.sql}" if negated else part.sql for part in parts]
    return Typed("(" + f" {joiner} ".join(tests) + ")", BOOLEAN, f"{label}({value.name})")


def rewrite_escape(binder: Binder, node: exp.Escape, scope: Scope) -> Typed:
    """``LIKE … ESCAPE 'c'``."""
    only(node, "this", "expression")
    escape = node.expression
    if not isinstance(node.this, (exp.Like, exp.ILike)) or not isinstance(escape, exp.Literal):
        raise refused(node)
    if len(escape.this) != 1:
        raise SqlError(
            "INVALID_ESCAPE_CHAR",
            "42604",
            f"`EscapeChar` should be a string literal of length one, but got '{escape.this}'.",
        )
    return rewrite_like(binder, node.this, scope, escape.this)


def rewrite_rlike(binder: Binder, node: exp.RegexpLike, scope: Scope) -> Typed:
    """``RLIKE`` finds the pattern anywhere in the text."""
    only(node, "this", "expression", "negate")
    value = binder.as_string(binder.expression(node.this, scope), "rlike")
    pattern = binder.as_string(binder.expression(node.expression, scope), "rlike", 2)
    name = f"RLIKE({value.name}, {pattern.name})"
    sql = f"vinci_rlike({value.sql}, {pattern.sql})"
    if isinstance(pattern.constant, str):
        known = regular_expressions.pattern(pattern.constant)
        if known.plain:
            # DuckDB has RE2, too.
            sql = f"regexp_matches({value.sql}, {text_sql(known.translated)})"
    if node.args.get("negate"):
        return Typed(f"(NOT {sql})", BOOLEAN, f"(NOT {name})")
    return Typed(sql, BOOLEAN, name)


def rewrite_case(binder: Binder, node: exp.Case, scope: Scope) -> Typed:
    """``CASE`` with its results in their least common type."""
    only(node, "this", "ifs", "default")
    operand = binder.expression(node.this, scope) if node.this else None
    conditions = []
    for branch in node.args["ifs"]:
        if operand is None:
            conditions.append(binder.condition(branch.this, scope, "When"))
        else:
            conditions.append(compare(binder, operand, binder.expression(branch.this, scope), "="))
    results = [binder.expression(branch.args["true"], scope) for branch in node.args["ifs"]]
    default = node.args.get("default")
    if default is not None:
        results.append(binder.expression(default, scope))
    return _case(binder, conditions, results)


def _case(binder: Binder, conditions: list[Typed], results: list[Typed]) -> Typed:
    name = "CASE " + " ".join(
        f"WHEN {one.name} THEN {two.name}" for one, two in zip(conditions, results, strict=False)
    )
    has_default = len(results) > len(conditions)
    name += f" ELSE {results[-1].name} END" if has_default else " END"
    values, kind = binder.unify(results, "casewhen(" + name)
    sql = "CASE " + " ".join(
        f"WHEN {one.sql} THEN {two.sql}" for one, two in zip(conditions, values, strict=False)
    )
    sql += f" ELSE {values[-1].sql} END" if has_default else " END"
    nullable = not has_default or any(value.nullable for value in values)
    return Typed(f"({sql})", kind, name, nullable)


def rewrite_tuple(binder: Binder, node: exp.Tuple, scope: Scope) -> Typed:
    """``(a, b)`` is a struct of its items."""
    if not node.expressions:
        raise SqlError("PARSE_SYNTAX_ERROR", "42601", "Syntax error at or near ')'.")
    return make_struct(binder, node.expressions, scope)
