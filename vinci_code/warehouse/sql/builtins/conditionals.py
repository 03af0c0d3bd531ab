"""Conditional functions, hashes, and functions about the session."""

from __future__ import annotations

from dataclasses import replace

from vinci_code.warehouse.sql.builtins.registry import FunctionCall, function, simple
from vinci_code.warehouse.sql.casts import cast, let, to_text
from vinci_code.warehouse.sql.errors import SqlError, unsupported
from vinci_code.warehouse.sql.rewrites.operators import (
    absolute,
    compare,
    divide,
    integer_divide,
    modulo,
    negate,
    try_arithmetic,
)
from vinci_code.warehouse.sql.types import (
    BIGINT,
    BINARY,
    BOOLEAN,
    DOUBLE,
    INT,
    STRING,
    VOID,
    SqlType,
    parse_type,
)
from vinci_code.warehouse.sql.values import Typed, fail_sql, literal, text_sql

_VERSION = "18.0"


@function("if iff", 3)
def build_if(call: FunctionCall) -> Typed:
    """``if(condition, a, b)``."""
    test = call.binder.condition(call.nodes[0], call.scope, "If")
    values, kind = call.binder.unify(call.args[1:], call.shown)
    name = f"(IF({', '.join(arg.name for arg in call.args)}))"
    sql = f"CASE WHEN {test.sql} THEN {values[0].sql} ELSE {values[1].sql} END"
    return Typed(f"({sql})", kind, name, values[0].nullable or values[1].nullable)


@function("coalesce", 1, None)
def build_coalesce(call: FunctionCall) -> Typed:
    """The first value that is not NULL."""
    values, kind = call.binder.unify(call.args, call.shown)
    sql = f"coalesce({', '.join(value.sql for value in values)})"
    return Typed(sql, kind, call.shown, all(value.nullable for value in values))


@function("nvl ifnull", 2)
def build_nvl(call: FunctionCall) -> Typed:
    """``coalesce`` of two."""
    return build_coalesce(call)


@function("nvl2", 3)
def build_nvl2(call: FunctionCall) -> Typed:
    """The second value where the first is not NULL, else the third."""
    values, kind = call.binder.unify(call.args[1:], call.shown)
    test = call.args[0].computed
    sql = f"(CASE WHEN {test} IS NOT NULL THEN {values[0].sql} ELSE {values[1].sql} END)"
    return Typed(sql, kind, call.shown)


@function("nullif", 2)
def build_nullif(call: FunctionCall) -> Typed:
    """NULL where both are equal."""
    left, right = call.args
    # Not filled up with the blanks of a CHAR, as an operand of "=" is.
    text = replace(left, type=STRING) if left.type.is_string else left
    same = compare(call.binder, text, right, "=")
    return Typed(f"(CASE WHEN {same.sql} THEN NULL ELSE {left.sql} END)", left.type, call.shown)


@function("nullifzero", 1)
def build_nullifzero(call: FunctionCall) -> Typed:
    """NULL for zero."""
    return Typed(f"nullif({call.args[0].sql}, 0)", call.args[0].type, call.shown)


@function("zeroifnull", 1)
def build_zeroifnull(call: FunctionCall) -> Typed:
    """Zero for NULL."""
    values, kind = call.binder.unify([call.args[0], literal(0)], call.shown)
    return Typed(f"coalesce({values[0].sql}, {values[1].sql})", kind, call.shown, False)


@function("greatest least", 2, None)
def build_extreme(call: FunctionCall) -> Typed:
    """The greatest or least value; NULLs are passed over."""
    values, kind = call.binder.unify(call.args, call.shown)
    return Typed(f"{call.name}({', '.join(value.sql for value in values)})", kind, call.shown)


@function("decode", 2, None)
def build_decode(call: FunctionCall) -> Typed:
    """``decode(binary, charset)``, or a chain of equal/then pairs where NULL equals NULL."""
    if len(call.args) == 2:
        return _decode_charset(call)
    subject, rest = call.args[0], call.args[1:]
    pairs = len(rest) // 2
    tests = [compare(call.binder, subject, rest[2 * i], "<=>").sql for i in range(pairs)]
    results = [rest[2 * i + 1] for i in range(pairs)]
    if len(rest) % 2:
        results.append(rest[-1])
    values, kind = call.binder.unify(results, call.shown)
    sql = "CASE " + " ".join(
        f"WHEN {test} THEN {value.sql}" for test, value in zip(tests, values, strict=False)
    )
    sql += f" ELSE {values[-1].sql} END" if len(rest) % 2 else " END"
    return Typed(f"({sql})", kind, call.shown)


def _decode_charset(call: FunctionCall) -> Typed:
    data = call.args[0]
    sql = data.sql if data.type == BINARY else cast(data, BINARY).sql
    charset = call.text(1)
    name = f"decode({', '.join(arg.name for arg in call.args)})"
    if isinstance(call.args[1].constant, str) and call.args[1].constant.upper() == "UTF-8":
        return Typed(f"vinci_decode_utf8({sql})", STRING, name)
    return Typed(f"vinci_decode({sql}, {charset})", STRING, name)


simple("encode", (STRING, STRING), BINARY, "vinci_encode({0}, {1})")


@function("isnull", 1)
def build_isnull(call: FunctionCall) -> Typed:
    """Whether it is NULL."""
    value = call.args[0]
    return Typed(f"({value.computed} IS NULL)", BOOLEAN, f"({value.name} IS NULL)", False)


@function("isnotnull", 1)
def build_isnotnull(call: FunctionCall) -> Typed:
    """Whether it is not NULL."""
    value = call.args[0]
    return Typed(f"({value.computed} IS NOT NULL)", BOOLEAN, f"({value.name} IS NOT NULL)", False)


@function("isnan", 1)
def build_isnan(call: FunctionCall) -> Typed:
    """Whether it is NaN; false for NULL."""
    value = call.argument(0, DOUBLE)
    return Typed(f"coalesce(isnan({value.sql}), FALSE)", BOOLEAN, call.shown, False)


@function("nanvl", 2)
def build_nanvl(call: FunctionCall) -> Typed:
    """The second value where the first is NaN."""
    one, two = call.argument(0, DOUBLE), call.argument(1, DOUBLE)
    return Typed(
        f"(CASE WHEN isnan({one.sql}) THEN {two.sql} ELSE {one.sql} END)", DOUBLE, call.shown
    )


@function("equal_null", 2)
def build_equal_null(call: FunctionCall) -> Typed:
    """The function form of ``<=>``."""
    return compare(call.binder, call.args[0], call.args[1], "<=>").named(call.shown)


@function("raise_error", 1, 2)
def build_raise_error(call: FunctionCall) -> Typed:
    """Raise ``USER_RAISED_EXCEPTION`` with the text, for every row that reaches it."""
    error = SqlError("USER_RAISED_EXCEPTION", "P0001", "{}")
    if len(call.args) == 2:
        raise unsupported("raise_error with an error class")
    return Typed(fail_sql(error, call.text(0)), VOID, f"raise_error({call.args[0].name})")


@function("assert_true", 1, 2)
def build_assert_true(call: FunctionCall) -> Typed:
    """NULL where the condition holds, else ``USER_RAISED_EXCEPTION``."""
    test = call.binder.condition(call.nodes[0], call.scope, "assert_true")
    message = (
        call.text(1) if len(call.args) == 2 else text_sql(f"'{call.args[0].name}' is not true!")
    )
    failure = fail_sql(SqlError("USER_RAISED_EXCEPTION", "P0001", "{}"), message)
    return Typed(f"CASE WHEN {test.sql} THEN NULL ELSE {failure} END", VOID, call.shown)


@function("typeof", 1)
def build_typeof(call: FunctionCall) -> Typed:
    """The type's text, in lower case."""
    return literal(call.args[0].type.simple).named(call.shown)


_CASTS = {
    "bigint": "BIGINT",
    "binary": "BINARY",
    "boolean": "BOOLEAN",
    "date": "DATE",
    "decimal": "DECIMAL(10,0)",
    "double": "DOUBLE",
    "float": "FLOAT",
    "int": "INT",
    "smallint": "SMALLINT",
    "string": "STRING",
    "timestamp": "TIMESTAMP",
    "tinyint": "TINYINT",
}


@function(" ".join(_CASTS), 1)
def build_cast_function(call: FunctionCall) -> Typed:
    """``int(x)`` is ``CAST(x AS INT)``."""
    target = parse_type(_CASTS[call.name])
    return cast(call.args[0], target, call.binder.zone, name=call.args[0].name)


@function("try_add", 2)
def build_try_add(call: FunctionCall) -> Typed:
    """``+`` with NULL where it overflows."""
    return try_arithmetic(call.binder, "+", call.args[0], call.args[1], call.shown)


@function("try_subtract", 2)
def build_try_subtract(call: FunctionCall) -> Typed:
    """``-`` with NULL where it overflows."""
    return try_arithmetic(call.binder, "-", call.args[0], call.args[1], call.shown)


@function("try_multiply", 2)
def build_try_multiply(call: FunctionCall) -> Typed:
    """``*`` with NULL where it overflows."""
    return try_arithmetic(call.binder, "*", call.args[0], call.args[1], call.shown)


@function("try_divide", 2)
def build_try_divide(call: FunctionCall) -> Typed:
    """``/`` with NULL for a divisor of zero."""
    return divide(call.binder, call.args[0], call.args[1], attempt=True)


@function("mod try_mod", 2)
def build_mod(call: FunctionCall) -> Typed:
    """The function form of ``%``."""
    value = modulo(call.binder, call.args[0], call.args[1], attempt=call.name == "try_mod")
    return value.named(call.shown)


@function("div", 2)
def build_div(call: FunctionCall) -> Typed:
    """The function form of ``div``."""
    return integer_divide(call.binder, call.args[0], call.args[1])


@function("pmod", 2)
def build_pmod(call: FunctionCall) -> Typed:
    """``%`` with the sign of the divisor."""
    first = modulo(call.binder, call.args[0], call.args[1])
    divisor = call.binder.cast(call.args[1], first.type)
    kind = first.type.duckdb()
    sql = let(
        first.sql,
        lambda r: (
            f"CASE WHEN {r} < 0 THEN CAST(({r} + {divisor.sql}) % {divisor.sql} AS {kind}) "
            f"ELSE {r} END"
        ),
    )
    return Typed(sql, first.type, call.shown)


@function("abs", 1)
def build_abs(call: FunctionCall) -> Typed:
    """The absolute value."""
    return absolute(call.binder, call.args[0])


@function("negative", 1)
def build_negative(call: FunctionCall) -> Typed:
    """Unary minus."""
    return negate(call.binder, call.args[0]).named(call.shown)


@function("positive", 1)
def build_positive(call: FunctionCall) -> Typed:
    """Unary plus."""
    value = call.args[0]
    # It is no literal any more, whose digits would be the precision of a decimal.
    return Typed(value.sql, value.type, f"(+ {value.name})", value.nullable)


@function("current_catalog", 0)
def build_current_catalog(call: FunctionCall) -> Typed:
    """The session's catalog."""
    return literal(call.binder.context.catalog).named(call.shown)


@function("current_schema current_database", 0)
def build_current_schema(call: FunctionCall) -> Typed:
    """The session's schema."""
    return literal(call.binder.context.schema).named("current_schema()")


@function("current_user user session_user", 0)
def build_current_user(call: FunctionCall) -> Typed:
    """Who runs the statement."""
    return literal(call.binder.context.user).named(call.shown)


@function("version", 0)
def build_version(call: FunctionCall) -> Typed:
    """The version of Spark that the warehouse answers for."""
    return literal("4.0.0 0000000000000000000000000000000000000000").named(call.shown)


@function("current_version", 0)
def build_current_version(call: FunctionCall) -> Typed:
    """The versions of the runtime and of Databricks SQL."""
    kind = parse_type(
        "STRUCT<dbr_version: STRING, dbsql_version: STRING, u_build_hash: STRING, "
        "r_build_hash: STRING>"
    )
    sql = (
        f"{{'dbr_version': NULL::VARCHAR, 'dbsql_version': '{_VERSION}', "
        "'u_build_hash': '0', 'r_build_hash': '0'}"
    )
    return Typed(sql, kind, call.shown, False)


@function("current_timezone", 0)
def build_current_timezone(call: FunctionCall) -> Typed:
    """The session's time zone."""
    zone = call.binder.zone
    return literal("Etc/UTC" if zone == "UTC" else zone).named(call.shown)


@function("uuid", 0, 1)
def build_uuid(call: FunctionCall) -> Typed:
    """A random UUID as text."""
    if call.args:
        raise unsupported("uuid with a seed")
    return Typed("CAST(uuid() AS VARCHAR)", STRING, "uuid()", False)


@function("rand random", 0, 1)
def build_rand(call: FunctionCall) -> Typed:
    """A random DOUBLE between 0 and 1; a seed would promise Spark's own sequence."""
    if call.args:
        raise unsupported(f"{call.name} with a seed")
    return Typed("random()", DOUBLE, "rand()", False)


def _bytes(call: FunctionCall, index: int = 0) -> str:
    value = call.args[index]
    return (
        value.sql
        if value.type == BINARY
        else cast(call.binder.as_string(value, call.name), BINARY).sql
    )


@function("md5", 1)
def build_md5(call: FunctionCall) -> Typed:
    """MD5 in hexadecimal digits."""
    return Typed(f"md5({_bytes(call)})", STRING, call.shown)


@function("sha sha1", 1)
def build_sha1(call: FunctionCall) -> Typed:
    """SHA-1 in hexadecimal digits."""
    return Typed(f"sha1({_bytes(call)})", STRING, call.shown)


@function("sha2", 2)
def build_sha2(call: FunctionCall) -> Typed:
    """SHA-2 of the given number of bits in hexadecimal digits."""
    bits = call.argument(1, INT)
    return Typed(f"vinci_sha2({_bytes(call)}, {bits.sql})", STRING, call.shown)


@function("crc32", 1)
def build_crc32(call: FunctionCall) -> Typed:
    """CRC-32 as BIGINT."""
    return Typed(f"vinci_crc32({_bytes(call)})", BIGINT, call.shown)


@function("hash", 1, None)
def build_hash(call: FunctionCall) -> Typed:
    """Spark's Murmur3 of the values, with seed 42."""
    return Typed(_hash_chain(call, "vinci_murmur3", INT), INT, call.shown, False)


@function("xxhash64", 1, None)
def build_xxhash64(call: FunctionCall) -> Typed:
    """Spark's xxHash64 of the values, with seed 42."""
    return Typed(_hash_chain(call, "vinci_xxhash64", BIGINT), BIGINT, call.shown, False)


_HASHED = {
    "BOOLEAN": "b",
    "TINYINT": "i",
    "SMALLINT": "i",
    "INT": "i",
    "DATE": "i",
    "BIGINT": "l",
    "DOUBLE": "l",
    "STRING": "s",
    "BINARY": "s",
    "VOID": "s",
}
# Of a DOUBLE Spark takes the bits: those of 0.0 for -0.0, and one NaN for all of them
# (HashExpression, SPARK-35207).
_DOUBLE_BITS = (
    "CASE WHEN {0} = 0 THEN 0 WHEN isnan({0}) THEN 9221120237041090560 "
    "ELSE CAST(CAST({0} AS BIT) AS BIGINT) END"
)


def _hash_chain(call: FunctionCall, udf: str, kind: SqlType) -> str:
    sql = f"CAST(42 AS {kind.duckdb()})"
    for arg in call.args:
        code = _HASHED.get(arg.type.name)
        if code is None:
            raise unsupported(f"{call.name} of {arg.type.text}")
        text = arg.sql
        if arg.type.name == "DATE":
            text = f"({arg.sql} - DATE '1970-01-01')"
        if arg.type.name == "DOUBLE":
            text = _DOUBLE_BITS.format(arg.sql)
        if arg.type.name == "BINARY":
            data = text
        elif code == "s":
            data = f"encode({to_text(text, arg.type, 'UTC')})"
        else:
            data = f"encode(CAST(CAST({text} AS BIGINT) AS VARCHAR))"
        sql = f"{udf}({data}, '{code}', {sql})"
    return sql
