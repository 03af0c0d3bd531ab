"""Functions on strings and binaries."""

from __future__ import annotations

import re

from sqlglot import exp

from vinci_code.warehouse.sql.binder import data_diff_types, unexpected_input
from vinci_code.warehouse.sql.bounds import bytes_checked
from vinci_code.warehouse.sql.builtins.registry import (
    Builtin,
    FunctionCall,
    check_arity,
    function,
    simple,
)
from vinci_code.warehouse.sql.casts import cast, let
from vinci_code.warehouse.sql.errors import SqlError, unsupported
from vinci_code.warehouse.sql.rewrites.operators import bit_shift, concat
from vinci_code.warehouse.sql.types import (
    BIGINT,
    BINARY,
    BOOLEAN,
    DOUBLE,
    INT,
    STRING,
    array,
    map_of,
)
from vinci_code.warehouse.sql.values import Typed, cast_sql, literal

_PLAIN_REGEX = re.compile(r"[\w\s@#%&=:;,<>/'\"!~-]*\Z")

simple("upper ucase", (STRING,), STRING, "vinci_upper({0})")
# Java keeps the dot of the capital I with a dot as a character of its own.
simple("lower lcase", (STRING,), STRING, "lower(replace({0}, chr(304), 'i' || chr(775)))")
simple("ascii", (STRING,), INT, "ascii({0})")
simple("initcap", (STRING,), STRING, "vinci_initcap({0})")
simple("soundex", (STRING,), STRING, "vinci_soundex({0})")
simple("translate", (STRING, STRING, STRING), STRING, "translate({0}, {1}, {2})")
simple("instr", (STRING, STRING), INT, "CAST(instr({0}, {1}) AS INTEGER)")
simple("substring_index", (STRING, STRING, INT), STRING, "vinci_substring_index({0}, {1}, {2})")
simple("find_in_set", (STRING, STRING), INT, "vinci_find_in_set({0}, {1})")
simple("unhex", (STRING,), BINARY, "vinci_unhex({0})")
simple("url_encode", (STRING,), STRING, "vinci_url_encode({0})")
simple("url_decode", (STRING,), STRING, "vinci_url_decode({0})")
# Of hexadecimal digits that 64 bits hold, DuckDB makes the number itself, in a tenth of the time.
simple(
    "conv",
    (STRING, INT, INT),
    STRING,
    "CASE WHEN {1} = 16 AND {2} = 10 AND regexp_full_match({0}, '[0-9A-Fa-f]{{1,15}}') "
    "THEN CAST(CAST('0x' || {0} AS UBIGINT) AS VARCHAR) ELSE vinci_conv({0}, {1}, {2}) END",
)
simple("bin", (BIGINT,), STRING, "vinci_bin({0})")
simple("split_part", (STRING, STRING, INT), STRING, "vinci_split_part({0}, {1}, {2})")
simple(
    "chr char",
    (BIGINT,),
    STRING,
    "CASE WHEN {0} < 0 THEN '' ELSE chr(CAST({0} % 256 AS INTEGER)) END",
)
simple("regexp_count", (STRING, STRING), INT, "vinci_regexp_count({0}, {1})")
simple("regexp_substr", (STRING, STRING), STRING, "vinci_regexp_substr({0}, {1})")
simple("regexp_like rlike regexp", (STRING, STRING), BOOLEAN, "vinci_rlike({0}, {1})")
simple("luhn_check", (STRING,), BOOLEAN, "vinci_luhn({0})")


# Base64 as it is usually written: complete, and without line breaks.
_PLAIN_BASE64 = "(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?"


@function("unbase64", 1)
def build_unbase64(call: FunctionCall) -> Typed:
    """Bytes of Base64 text; DuckDB reads the usual form, the general rules all others."""
    value = call.argument(0, STRING)

    def body(text: str) -> str:
        plain = f"regexp_full_match({text}, '{_PLAIN_BASE64}')"
        return f"CASE WHEN {plain} THEN from_base64({text}) ELSE vinci_unbase64({text}) END"

    return Typed(f"({let(value.sql, body, atom=value.is_atom)})", BINARY, call.shown)


@function("repeat space", 1, 2)
def build_repeat(call: FunctionCall) -> Typed:
    """A text, or a blank, several times."""
    wanted = 2 if call.name == "repeat" else 1
    check_arity(call.name, Builtin(build_repeat, wanted, wanted), len(call.args))
    count = call.argument(wanted - 1, INT)
    text = call.binder.as_string(call.args[0], call.name) if wanted == 2 else literal(" ")

    def body(one: str, times: str) -> str:
        checked = bytes_checked(call.name, f"strlen({one}) * {times}", times)
        return f"repeat({one}, CASE WHEN {times} < 0 THEN 0 ELSE {checked} END)"

    sql = let(
        text.sql,
        lambda one: let(count.sql, lambda times: body(one, times), atom=count.is_atom),
        atom=text.is_atom,
    )
    return Typed(f"({sql})", STRING, call.shown)


@function("length char_length character_length len", 1)
def build_length(call: FunctionCall) -> Typed:
    """Characters of a string, bytes of a binary."""
    if call.args[0].type == BINARY:
        return Typed(f"CAST(octet_length({call.args[0].sql}) AS INTEGER)", INT, call.shown)
    return Typed(f"CAST(length({call.text(0)}) AS INTEGER)", INT, call.shown)


@function("octet_length bit_length", 1)
def build_octet_length(call: FunctionCall) -> Typed:
    """Bytes, or bits, of a string in UTF-8 or of a binary."""
    data = call.args[0].sql if call.args[0].type == BINARY else f"encode({call.text(0)})"
    factor = " * 8" if call.name == "bit_length" else ""
    return Typed(f"CAST(octet_length({data}){factor} AS INTEGER)", INT, call.shown)


@function("substring substr", 2, 3)
def build_substring(call: FunctionCall) -> Typed:
    """Positions count from 1, 0 is 1, and negative ones count from the end."""
    source = call.args[0]
    binary = source.type == BINARY
    text = source.sql if binary else call.text(0)
    start = call.argument(1, INT).sql
    length = call.argument(2, INT).sql if len(call.args) == 3 else "2147483647"
    name = f"{call.name}({source.name}, {call.args[1].name}, "
    name += (call.args[2].name if len(call.args) == 3 else "2147483647") + ")"
    size = "octet_length" if binary else "length"

    def body(value: str) -> str:
        first = (
            f"(CASE WHEN {start} > 0 THEN CAST({start} AS BIGINT) - 1 WHEN {start} < 0 "
            f"THEN {size}({value}) + {start} WHEN {start} = 0 THEN 0 END)"
        )

        def cut(begin: str) -> str:
            # greatest() would pass over NULL.
            begun = f"(CASE WHEN {begin} < 0 THEN 0 ELSE {begin} END)"
            rest = f"({begin} + {length} - {begun})"
            count = f"(CASE WHEN {rest} < 0 THEN 0 ELSE {rest} END)"
            if binary:
                return f"vinci_binary_slice({value}, {begun}, {count})"
            return f"substring({value}, {begun} + 1, {count})"

        return let(first, cut)

    return Typed(
        let(text, body, atom=source.is_atom and source.type == STRING),
        source.type if binary else STRING,
        name,
    )


@function("left right", 2)
def build_end(call: FunctionCall) -> Typed:
    """The first or last characters; none for a negative count."""
    count = call.argument(1, INT).sql
    kept = f"CASE WHEN {count} < 0 THEN 0 ELSE {count} END"
    if call.args[0].type == BINARY and call.name == "left":
        return Typed(f"vinci_binary_left({call.args[0].sql}, {kept})", BINARY, call.shown)
    return Typed(f"{call.name}({call.text(0)}, {kept})", STRING, call.shown)


@function("lpad rpad", 2, 3)
def build_pad(call: FunctionCall) -> Typed:
    """Pad or cut to a length."""
    if call.args[0].type == BINARY and (len(call.args) == 2 or call.args[2].type == BINARY):
        fill = call.args[2].sql if len(call.args) == 3 else r"'\x00'::BLOB"
        sql = f"vinci_binary_{call.name}({call.args[0].sql}, {call.argument(1, INT).sql}, {fill})"
        return Typed(sql, BINARY, call.shown)
    fill = call.text(2) if len(call.args) == 3 else "' '"
    shown = call.shown if len(call.args) == 3 else f"{call.shown[:-1]},  )"
    length = call.argument(1, INT)
    sql = let(
        length.sql,
        lambda size: (
            f"vinci_{call.name}({call.text(0)}, {bytes_checked(call.name, size, size)}, {fill})"
        ),
        atom=length.is_atom,
    )
    return Typed(f"({sql})", STRING, shown)


@function("trim", 1, 3)
def build_trim(call: FunctionCall) -> Typed:
    """``trim(x)`` and ``trim(LEADING y FROM x)``; only blanks are cut by default."""
    words = {"BOTH": "trim", "LEADING": "ltrim", "TRAILING": "rtrim"}
    side = (
        call.nodes[1].name if len(call.nodes) > 1 and isinstance(call.nodes[1], exp.Var) else "BOTH"
    )
    value = call.binder.expression(call.nodes[0], call.scope)
    text = call.binder.as_string(value, "trim").sql
    if len(call.nodes) == 3:
        letters = call.binder.as_string(call.binder.expression(call.nodes[2], call.scope), "trim")
        name = f"TRIM({side} {letters.name} FROM {value.name})"
        return Typed(f"{words[side]}({text}, {letters.sql})", STRING, name)
    return Typed(f"{words[side]}({text}, ' ')", STRING, f"trim({value.name})")


@function("ltrim rtrim btrim", 1, 2)
def build_one_trim(call: FunctionCall) -> Typed:
    """``ltrim(x)`` and the two-argument form, whose letters come first except for btrim."""
    verb = {"btrim": "trim"}.get(call.name, call.name)
    if len(call.args) == 1:
        return Typed(f"{verb}({call.text(0)}, ' ')", STRING, call.shown)
    text, letters = (0, 1) if call.name == "btrim" else (1, 0)
    return Typed(f"{verb}({call.text(text)}, {call.text(letters)})", STRING, call.shown)


@function("concat", 0, None)
def build_concat(call: FunctionCall) -> Typed:
    """NULL where any argument is NULL."""
    return concat(call.binder, call.args)


@function("concat_ws", 1, None)
def build_concat_ws(call: FunctionCall) -> Typed:
    """Joins strings and arrays of strings; NULLs are left out."""
    separator = call.text(0)
    lists = []
    for index, arg in enumerate(call.args[1:], 2):
        if arg.type.element is not None:
            texts = call.binder.cast(arg, array(STRING)).sql
            lists.append(f"coalesce({texts}, [])")
        else:
            lists.append(f"[{call.binder.as_string(arg, call.name, index).sql}]")
    if not lists:
        return Typed(f"CASE WHEN {separator} IS NOT NULL THEN '' END", STRING, call.shown)
    joined = lists[0]
    for one in lists[1:]:
        joined = f"list_concat({joined}, {one})"
    kept = f"list_filter({joined}, lambda x: x IS NOT NULL)"
    if call.args[0].is_constant:
        text = f"array_to_string({kept}, {separator})"
    else:
        # DuckDB's array_to_string() takes one separator for all rows.
        text = let(
            kept,
            lambda found: (
                f"CASE WHEN len({found}) > 0 THEN "
                f"list_reduce({found}, lambda x, y: x || {separator} || y) END"
            ),
        )
    sql = f"CASE WHEN {separator} IS NOT NULL THEN coalesce({text}, '') END"
    return Typed(f"({sql})", STRING, call.shown)


@function("reverse", 1)
def build_reverse(call: FunctionCall) -> Typed:
    """Of a string or of an array."""
    value = call.args[0]
    if value.type.element is not None:
        return Typed(f"list_reverse({value.sql})", value.type, call.shown)
    if value.type == BINARY:
        return Typed(f"vinci_binary_reverse({value.sql})", BINARY, call.shown)
    return Typed(f"vinci_reverse({call.text(0)})", STRING, call.shown)


@function("replace", 2, 3)
def build_replace(call: FunctionCall) -> Typed:
    """An empty search text changes nothing."""
    target = call.text(2) if len(call.args) == 3 else "''"
    text, search = call.text(0), call.text(1)
    name = call.shown if len(call.args) == 3 else f"{call.shown[:-1]}, )"
    if len(call.args) == 2 or call.args[2].constant in ("", None):
        sql = f"CASE WHEN {search} = '' THEN {text} ELSE replace({text}, {search}, {target}) END"
        return Typed(f"({sql})", STRING, name)

    def body(one: str) -> str:
        # Each place where the search text may stand grows to the new text.
        places = f"(CAST(strlen({one}) AS DOUBLE) / greatest(strlen({search}), 1))"
        grown = f"strlen({one}) + {places} * strlen({target})"
        made = f"replace({bytes_checked('replace', grown, one)}, {search}, {target})"
        return f"CASE WHEN {search} = '' THEN {one} ELSE {made} END"

    sql = let(text, body, atom=call.args[0].is_atom and call.args[0].type == STRING)
    return Typed(f"({sql})", STRING, name)


@function("locate position charindex", 2, 3)
def build_locate(call: FunctionCall) -> Typed:
    """The position of one text in another from a start, 0 where it is not found."""
    if len(call.args) == 2:
        sql = f"vinci_locate({call.text(0)}, {call.text(1)}, 1)"
        return Typed(sql, INT, f"{call.shown[:-1]}, 1)")
    start = call.argument(2, INT).sql
    found = f"vinci_locate({call.text(0)}, {call.text(1)}, {start})"
    # No start is 0, whatever the texts are; a text that is NULL gives NULL.
    return Typed(f"(CASE WHEN {start} IS NULL THEN 0 ELSE {found} END)", INT, call.shown)


@function("format_number", 2)
def build_format_number(call: FunctionCall) -> Typed:
    """With separators of thousands; integers and decimals are exact."""
    number = call.args[0]
    if call.args[1].type.is_string:
        raise unsupported("format_number with a pattern")
    if not (number.type.is_integral or number.type.name == "DECIMAL"):
        number = call.argument(0, DOUBLE)
    places = call.argument(1, INT)
    sql = f"vinci_format_number(CAST({number.sql} AS VARCHAR), {places.sql})"
    return Typed(sql, STRING, call.shown)


@function("split", 2, 3)
def build_split(call: FunctionCall) -> Typed:
    """Splits by a regular expression."""
    limit = call.argument(2, INT).sql if len(call.args) == 3 else "-1"
    name = call.shown if len(call.args) == 3 else f"{call.shown[:-1]}, -1)"
    pattern = call.args[1].constant
    if limit == "-1" and isinstance(pattern, str) and pattern and _PLAIN_REGEX.match(pattern):
        return Typed(f"string_split({call.text(0)}, {call.text(1)})", array(STRING), name)
    return Typed(f"vinci_split({call.text(0)}, {call.text(1)}, {limit})", array(STRING), name)


@function("regexp_replace", 3, 4)
def build_regexp_replace(call: FunctionCall) -> Typed:
    """Replaces every match; ``$1`` is a group."""
    start = call.argument(3, INT).sql if len(call.args) == 4 else "1"
    name = call.shown if len(call.args) == 4 else f"{call.shown[:-1]}, 1)"
    sql = f"vinci_regexp_replace({call.text(0)}, {call.text(1)}, {call.text(2)}, {start})"
    return Typed(sql, STRING, name)


@function("regexp_extract", 2, 3)
def build_regexp_extract(call: FunctionCall) -> Typed:
    """A group of the first match, the first group by default; empty where nothing matches."""
    group = call.argument(2, INT).sql if len(call.args) == 3 else "1"
    name = call.shown if len(call.args) == 3 else f"{call.shown[:-1]}, 1)"
    return Typed(f"vinci_regexp_extract({call.text(0)}, {call.text(1)}, {group})", STRING, name)


@function("regexp_extract_all", 2, 3)
def build_regexp_extract_all(call: FunctionCall) -> Typed:
    """A group of every match, the first group by default."""
    group = call.argument(2, INT).sql if len(call.args) == 3 else "1"
    name = call.shown if len(call.args) == 3 else f"{call.shown[:-1]}, 1)"
    sql = f"vinci_regexp_extract_all({call.text(0)}, {call.text(1)}, {group})"
    return Typed(sql, array(STRING), name)


@function("regexp_instr", 2)
def build_regexp_instr(call: FunctionCall) -> Typed:
    """Where the first match begins, 0 where there is none."""
    name = f"{call.shown[:-1]}, 0)"
    return Typed(f"vinci_regexp_instr({call.text(0)}, {call.text(1)})", INT, name)


@function("startswith endswith contains", 2)
def build_affix(call: FunctionCall) -> Typed:
    """Whether one text begins with, ends with or holds another."""
    if call.args[0].type == call.args[1].type == BINARY:
        left, right = call.args[0].sql, call.args[1].sql
        tests = {
            "contains": f"vinci_binary_contains({left}, {right})",
            "startswith": f"starts_with(hex({left}), hex({right}))",
            "endswith": f"ends_with(hex({left}), hex({right}))",
        }
        return Typed(tests[call.name], BOOLEAN, call.shown)
    verb = {"startswith": "starts_with", "endswith": "ends_with"}.get(call.name, "contains")
    return Typed(f"{verb}({call.text(0)}, {call.text(1)})", BOOLEAN, call.shown)


@function("base64", 1)
def build_base64(call: FunctionCall) -> Typed:
    """Base64 of a binary (a string counts as its UTF-8 bytes)."""
    value = call.args[0]
    data = (
        value.sql
        if value.type == BINARY
        else cast(call.binder.as_string(value, "base64"), BINARY).sql
    )
    return Typed(f"to_base64({data})", STRING, call.shown)


@function("hex", 1)
def build_hex(call: FunctionCall) -> Typed:
    """Hexadecimal digits of an integer, of bytes, or of a string's UTF-8 bytes."""
    value = call.args[0]
    if value.type.is_numeric:
        return Typed(f"vinci_hex({call.argument(0, BIGINT).sql})", STRING, call.shown)
    data = value.sql if value.type == BINARY else f"encode({call.text(0)})"
    return Typed(f"hex({data})", STRING, call.shown)


@function("levenshtein", 2, 3)
def build_levenshtein(call: FunctionCall) -> Typed:
    """The edit distance; -1 where it is more than the third argument."""
    if len(call.args) == 3:
        most = call.argument(2, INT).sql
        sql = f"vinci_near_levenshtein({call.text(0)}, {call.text(1)}, {most})"
        return Typed(sql, INT, call.shown)
    return Typed(f"vinci_levenshtein({call.text(0)}, {call.text(1)})", INT, call.shown)


@function("overlay", 3, 4)
def build_overlay(call: FunctionCall) -> Typed:
    """Puts one text over another from a position."""
    length = call.argument(3, INT).sql if len(call.args) == 4 else "-1"
    kinds = [call.args[0].type, call.args[1].type]
    if BINARY in kinds:
        if kinds[0] != kinds[1]:
            raise data_diff_types(call.shown, kinds)
        data = f"{call.args[0].sql}, {call.args[1].sql}, {call.argument(2, INT).sql}, {length}"
        return Typed(f"vinci_binary_overlay({data})", BINARY, call.shown)
    sql = f"vinci_overlay({call.text(0)}, {call.text(1)}, {call.argument(2, INT).sql}, {length})"
    shown = call.shown if len(call.args) == 4 else f"{call.shown[:-1]}, -1)"
    return Typed(sql, STRING, shown)


@function("elt", 2, None)
def build_elt(call: FunctionCall) -> Typed:
    """The n-th text; NULL beyond the end is an error in ANSI mode."""
    texts = ", ".join(call.text(index) for index in range(1, len(call.args)))
    index = call.argument(0, INT).sql
    return Typed(f"vinci_elt({index}, [{texts}])", STRING, call.shown)


@function("format_string printf", 1, None)
def build_format_string(call: FunctionCall) -> Typed:
    """Java's ``String.format`` for the conversions d, s, f, x, e, c, b and %."""
    kinds, parts = [], []
    for arg in call.args[1:]:
        kinds.append(arg.type.name)
        parts.append(call.binder.cast(arg, STRING).sql)
    values = f"[{', '.join(parts)}]" if parts else "CAST([] AS VARCHAR[])"
    names = ",".join(kinds)
    return Typed(f"vinci_format_string({call.text(0)}, {values}, '{names}')", STRING, call.shown)


@function("str_to_map", 1, 3)
def build_str_to_map(call: FunctionCall) -> Typed:
    """Splits ``a:1,b:2`` into a map."""
    pair = call.text(1) if len(call.args) > 1 else "','"
    inner = call.text(2) if len(call.args) > 2 else "':'"
    names = [arg.name for arg in call.args] + [",", ":"][len(call.args) - 1 :]
    sql = f"vinci_str_to_map({call.text(0)}, {pair}, {inner})"
    return Typed(sql, map_of(STRING, STRING), f"str_to_map({', '.join(names)})")


@function("shiftleft shiftright shiftrightunsigned", 2)
def build_shift(call: FunctionCall) -> Typed:
    """The function forms of the shifts."""
    return bit_shift(call.binder, call.name, call.args[0], call.args[1]).named(call.shown)


@function("bit_count", 1)
def build_bit_count(call: FunctionCall) -> Typed:
    """How many bits of an integer or a BOOLEAN are set."""
    value = call.args[0]
    if not value.type.is_integral and value.type.name not in ("BOOLEAN", "VOID"):
        raise unexpected_input("bit_count", 1, '("INTEGRAL" or "BOOLEAN")', value)
    whole = value.sql if value.type.name == "BOOLEAN" else call.argument(0, BIGINT).sql
    return Typed(f"CAST(bit_count(CAST({whole} AS BIGINT)) AS INTEGER)", INT, call.shown)


@function("like ilike", 2, 3)
def build_like(call: FunctionCall) -> Typed:
    """The function forms of LIKE and ILIKE."""
    escape = call.text(2) if len(call.args) == 3 else "'\\'"
    sql = f"({call.text(0)} {call.name.upper()} {call.text(1)} ESCAPE {escape})"
    return Typed(sql, BOOLEAN, call.shown)


@function("to_binary try_to_binary", 1, 2)
def build_to_binary(call: FunctionCall) -> Typed:
    """The bytes of a text in hexadecimal digits, Base64 or UTF-8."""
    form = str(call.constant(1, "fmt")).lower() if len(call.args) == 2 else "hex"
    if form not in ("hex", "base64", "utf-8", "utf8"):
        if call.name.startswith("try"):
            return Typed(cast_sql("NULL", BINARY), BINARY, call.shown)
        raise SqlError(
            "DATATYPE_MISMATCH.INVALID_ARG_VALUE",
            "42K09",
            f'Cannot resolve "{call.shown}" due to data type mismatch: The `fmt` value must '
            "to be a \"case-insensitive 'hex', 'utf-8', 'utf8', or 'base64'\" literal of "
            f"\"STRING\", but got '{form}'.",
        )
    attempt = "TRUE" if call.name.startswith("try") else "FALSE"
    return Typed(f"vinci_to_binary({call.text(0)}, '{form}', {attempt})", BINARY, call.shown)


@function("collation", 1)
def build_collation(call: FunctionCall) -> Typed:
    """The only collation there is here."""
    return literal("SYSTEM.BUILTIN.UTF8_BINARY").named(call.shown)
