"""Functions on JSON text and on VARIANT (carried as JSON text)."""

from __future__ import annotations

import json

from sqlglot import exp

from vinci_code.warehouse.sql.binder import unexpected_input
from vinci_code.warehouse.sql.builtins.registry import FunctionCall, function, simple
from vinci_code.warehouse.sql.casts import (
    cast,
    cast_mismatch,
    decode_json,
    json_text,
    let,
    variable,
    variant_array,
)
from vinci_code.warehouse.sql.errors import SqlError, unsupported
from vinci_code.warehouse.sql.json_schemas import schema_of_json
from vinci_code.warehouse.sql.types import (
    BOOLEAN,
    INT,
    STRING,
    VARIANT,
    SqlType,
    array,
    parse_row_type,
    parse_type,
)
from vinci_code.warehouse.sql.values import Typed, cast_sql, literal, quote, text_sql

simple("get_json_object", (STRING, STRING), STRING, "vinci_get_json_object({0}, {1})")
simple("json_array_length", (STRING,), INT, "vinci_json_array_length({0})")
simple("json_object_keys", (STRING,), array(STRING), "vinci_json_object_keys({0})")
simple("parse_json", (STRING,), VARIANT, "vinci_parse_json({0}, FALSE)")
simple("try_parse_json", (STRING,), VARIANT, "vinci_parse_json({0}, TRUE)")


@function("from_json", 2, 3)
def build_from_json(call: FunctionCall) -> Typed:
    """JSON text as a typed value; what does not fit follows the ``mode``."""
    schema = call.constant(1, "schema")
    if not isinstance(schema, str):
        raise SqlError(
            "INVALID_SCHEMA.NON_STRING_LITERAL",
            "42K07",
            f'The input schema "{call.args[1].name}" is not a valid schema string. The input '
            "expression must be string literal and not null.",
        )
    kind = parse_row_type(schema)
    if not kind.is_nested and kind != VARIANT:
        raise SqlError(
            "DATATYPE_MISMATCH.INVALID_JSON_SCHEMA",
            "42K09",
            f'Cannot resolve "from_json({call.args[0].name})" due to data type mismatch: Input '
            f'schema "{kind.text}" must be a struct, an array, a map or a variant.',
        )
    options = json.dumps(_json_options(call))
    zone = call.binder.zone
    settings = ", ".join(text_sql(one) for one in (kind.text, options, zone))
    text = f"vinci_from_json({call.text(0)}, {settings})"
    # A cast, since DuckDB gives a constant NULL no type.
    # Spark calls a MAP "entries" (JsonToStructs.sql).
    name = "entries" if kind.key else f"from_json({call.args[0].name})"
    return Typed(cast_sql(decode_json(text, kind), kind), kind, name)


def _options(call: FunctionCall, index: int) -> dict[str, str]:
    """Return the options of ``map('mode', 'FAILFAST')``."""
    node = call.nodes[index]
    names = getattr(node, "this", "")
    if str(names).lower() != "map":
        raise SqlError(
            "INVALID_OPTIONS.NON_MAP_FUNCTION",
            "42K06",
            "Invalid options: Must use the `map()` function for options.",
        )
    values = call.binder.expressions(node.expressions, call.scope)
    if any(not isinstance(value.constant, str) for value in values):
        raise SqlError(
            "INVALID_OPTIONS.NON_STRING_TYPE",
            "42K06",
            "Invalid options: A type of keys and values in `map()` must be string.",
        )
    return {
        str(key.constant).lower(): str(value.constant)
        for key, value in zip(values[::2], values[1::2], strict=True)
    }


_JSON_OPTIONS = ("mode", "timestampformat", "timestampntzformat", "dateformat")


def _json_options(call: FunctionCall) -> dict[str, str]:
    options = _options(call, 2) if len(call.nodes) == 3 else {}
    for name in options:
        if name not in _JSON_OPTIONS:
            raise unsupported(f"the option {name} of from_json")
    mode = options.get("mode", "PERMISSIVE").upper()
    if mode not in ("PERMISSIVE", "FAILFAST"):
        raise SqlError(
            "PARSE_MODE_UNSUPPORTED",
            "42601",
            f"The function `from_json` doesn't support the {mode} mode. Acceptable modes are "
            "PERMISSIVE and FAILFAST.",
        )
    return {**options, "mode": mode}


@function("to_json", 1, 2)
def build_to_json(call: FunctionCall) -> Typed:
    """A struct, array, map or VARIANT as JSON text; NULL fields are left out."""
    if len(call.nodes) == 2:
        raise unsupported("to_json with options")
    value = call.args[0]
    name = f"to_json({value.name})"
    if value.type == VARIANT:
        return Typed(value.sql, STRING, name)
    if not value.type.is_nested:
        raise unexpected_input("to_json", 1, '("STRUCT" or "ARRAY" or "MAP" or "VARIANT")', value)
    return Typed(json_text(value.sql, value.type, call.binder.zone), STRING, name)


@function("schema_of_json", 1, 2)
def build_schema_of_json(call: FunctionCall) -> Typed:
    """The DDL of a JSON literal's schema."""
    value = call.constant(0, "json")
    if len(call.nodes) == 2:
        raise unsupported("schema_of_json with options")
    return literal(schema_of_json(str(value))).named(call.shown)


def _variant(call: FunctionCall) -> Typed:
    value = call.args[0]
    if value.type != VARIANT and value.type.name != "VOID":
        raise unexpected_input(call.name, 1, "VARIANT", value)
    return value


@function("variant_get try_variant_get", 2, 3)
def build_variant_get(call: FunctionCall) -> Typed:
    """A part of a VARIANT, cast to a type."""
    value = _variant(call)
    found = Typed(f"vinci_variant_get({value.sql}, {call.text(1)})", VARIANT, value.name)
    if len(call.args) == 2:
        return found.named(call.shown)
    target = parse_type(str(call.constant(2, "type")))
    attempt = call.name.startswith("try")
    return cast(
        found,
        target,
        call.binder.zone,
        attempt=attempt,
        name=f"{call.name}({value.name}, {call.args[1].name})",
    )


@function("is_variant_null", 1)
def build_is_variant_null(call: FunctionCall) -> Typed:
    """Whether it is the JSON null, which SQL NULL is not."""
    return Typed(f"coalesce({_variant(call).sql} = 'null', FALSE)", BOOLEAN, call.shown, False)


@function("to_variant_object", 1)
def build_to_variant_object(call: FunctionCall) -> Typed:
    """A struct, array or map as VARIANT."""
    value = call.args[0]
    if not value.type.is_nested:
        raise unexpected_input("to_variant_object", 1, "a nested type", value)
    return Typed(_variant_object(value.sql, value.type, call), VARIANT, call.shown)


def _variant_object(sql: str, kind: SqlType, call: FunctionCall) -> str:
    name = variable(sql)
    if kind.element is not None:
        return variant_array(sql, name, _variant_object(name, kind.element, call))
    if kind.key is not None and kind.value is not None:
        if not kind.key.is_string:
            raise cast_mismatch(call.shown, call.args[0].type, VARIANT)
        item = f"coalesce({_variant_object(f'{name}.value', kind.value, call)}, 'null')"
        entry = f"CAST(to_json({name}.key) AS VARCHAR) || ':' || {item}"
        items = f"list_transform(list_sort(map_entries({sql})), lambda {name}: {entry})"
        return f"('{{' || array_to_string({items}, ',') || '}}')"
    if kind.name == "STRUCT":
        return let(sql, lambda value: _variant_struct(value, kind, call))
    return cast(Typed(sql, kind, call.shown), VARIANT, call.binder.zone).sql


def _variant_struct(value: str, kind: SqlType, call: FunctionCall) -> str:
    parts = []
    for item in sorted(kind.fields, key=lambda item: item.name):
        key = text_sql(f"{json.dumps(item.name, ensure_ascii=False)}:")
        part = _variant_object(f"({value}).{quote(item.name)}", item.type, call)
        parts.append(f"{key} || coalesce({part}, 'null')")
    inner = " || ',' || ".join(parts) or "''"
    return f"CASE WHEN {value} IS NOT NULL THEN '{{' || {inner} || '}}' END"


@function("schema_of_variant", 1)
def build_schema_of_variant(call: FunctionCall) -> Typed:
    """The schema of a VARIANT as text.

    Raises:
        SqlError: ``UNSUPPORTED_BY_LOCAL_WAREHOUSE`` for what was made of a value of a type that
            JSON, as which a VARIANT is kept, has no word for.
    """
    for node in call.nodes[0].find_all(exp.Cast, exp.Anonymous):
        made = _made_variant(call, node)
        if made is not None and _forgotten(made):
            raise unsupported(f"the schema of a VARIANT that was made of {made.text}")
    return Typed(f"vinci_schema_of_variant({_variant(call).sql})", STRING, call.shown)


def _made_variant(call: FunctionCall, node: exp.Expr) -> SqlType | None:
    """The type of what a cast, or ``to_variant_object``, makes a VARIANT of."""
    if isinstance(node, exp.Cast):
        value = node.this if call.binder.expression(node, call.scope).type == VARIANT else None
    else:
        value = node.expressions[0] if node.name.lower() == "to_variant_object" else None
    return None if value is None else call.binder.expression(value, call.scope).type


def _forgotten(kind: SqlType) -> bool:
    """Whether a VARIANT of the type does not say that it was one."""
    inner = [part for part in (kind.element, kind.key, kind.value) if part is not None]
    inner += [field.type for field in kind.fields]
    lost = ("DATE", "TIMESTAMP", "TIMESTAMP_NTZ", "BINARY", "FLOAT", "DOUBLE")
    return kind.name in lost or any(map(_forgotten, inner))
