"""Casts between Databricks types, in DuckDB SQL.

https://docs.databricks.com/aws/en/sql/language-manual/functions/cast says which types can be cast
to which, and how. ANSI mode raises where a value does not fit; the ``try`` form gives NULL.
"""

# ruff: noqa: ARG001 - every cast has the same parameters
from __future__ import annotations

import re
import zlib
from collections.abc import Callable
from decimal import Decimal

from vinci_code.warehouse.sql.coercion import INTEGER_DECIMALS, interval_units, precision_scale
from vinci_code.warehouse.sql.errors import SqlError, unsupported
from vinci_code.warehouse.sql.texts import MICROS, parse_interval
from vinci_code.warehouse.sql.types import (
    DOUBLE,
    MAX_PRECISION,
    STRING,
    VOID,
    SqlType,
    parse_type,
)
from vinci_code.warehouse.sql.values import Typed, cast_sql, fail_sql, months_sql, quote, text_sql

_LIMITS = {
    "TINYINT": (-(2**7), 2**7 - 1),
    "SMALLINT": (-(2**15), 2**15 - 1),
    "INT": (-(2**31), 2**31 - 1),
    "BIGINT": (-(2**63), 2**63 - 1),
}
# How Spark writes the value in a CAST_OVERFLOW message: 300L, 300S, 1.0E20D.
_SUFFIX = {"BIGINT": "L", "SMALLINT": "S", "TINYINT": "T", "DOUBLE": "D"}


def variable(seed: str) -> str:
    """Return a name for a lambda's parameter.

    The same value gets the same name, so that an expression is the same text in SELECT and in
    GROUP BY, where DuckDB compares them.
    """
    return f'"v{zlib.crc32(seed.encode()):x}"'


def let(value: str, body: Callable[[str], str], *, atom: bool = False) -> str:
    """Return SQL that computes ``value`` once and uses it in ``body`` as often as needed.

    DuckDB has no LET: a lambda over a list of one is its nearest form.
    """
    if atom:
        return body(value)
    name = variable(value)
    return f"list_transform([{value}], lambda {name}: {body(name)})[1]"


def cast(
    value: Typed, target: SqlType, zone: str = "UTC", *, attempt: bool = False, name: str = ""
) -> Typed:
    """Return ``CAST(value AS target)``, or ``TRY_CAST`` where ``attempt`` is set.

    Raises:
        SqlError: ``DATATYPE_MISMATCH.CAST_…_SUGGESTION`` for types that cannot be cast.
    """
    if not name:
        name = value.name if target.is_nested else f"CAST({value.name} AS {target.text})"
    if value.type == target:
        return Typed(value.sql, target, name, value.nullable, value.constant)
    if value.type == VOID:
        return _cast_void(value, target, name)
    sql = _Caster(zone, attempt).convert(value.sql, value.type, target, atom=value.is_atom)
    if sql is None:
        raise cast_mismatch(name, value.type, target, attempt=attempt)
    return Typed(sql, target, name, value.nullable or attempt)


def _cast_void(value: Typed, target: SqlType, name: str) -> Typed:
    if value.is_atom:
        return Typed(cast_sql("NULL", target), target, name, constant=None)
    # raise_error() is VOID as well: it has to be computed, and DuckDB must not see that it is NULL.
    return Typed(cast_sql(f"CAST({value.sql} AS VARCHAR)", target), target, name)


def can_cast(source: SqlType, target: SqlType) -> bool:
    """Return whether there is a cast from one type to the other at all."""
    return (
        source in (target, VOID) or _Caster("UTC", False).convert('"x"', source, target) is not None
    )


def cast_mismatch(
    name: str, source: SqlType, target: SqlType, *, attempt: bool = False
) -> SqlError:
    """Return the refusal of a cast between types that have none; it says what does it instead."""
    kind, advice = "WITHOUT", "."
    kinds = (_kind(source), _kind(target))
    if "date" in kinds and {"integral", "decimal", "fractional"} & set(kinds):
        function = "UNIX_DATE" if kinds[0] == "date" else "DATE_FROM_UNIX_DATE"
        kind, advice = "WITH_FUNC", f".\nTo convert values, you can use the function `{function}`."
    elif not attempt and kinds in _CASTS_WITHOUT_ANSI:
        kind = "WITH_CONF"
        advice = ' with ANSI mode on. If you have to, set "ansi_mode" as "false".'
    return SqlError(
        f"DATATYPE_MISMATCH.CAST_{kind}_SUGGESTION",
        "42K09",
        f'Cannot resolve "{name}" due to data type mismatch: cannot cast "{source.text}" to '
        f'"{target.text}"{advice}',
    )


_CASTS_WITHOUT_ANSI = (
    ("integral", "binary"),
    ("date", "boolean"),
    ("timestamp", "boolean"),
    ("boolean", "timestamp"),
)


def local_sql(sql: str, zone: str) -> str:
    """Return the wall clock of an instant (and the instant of a wall clock) in a time zone."""
    return f"timezone({text_sql(zone)}, {sql})"


def invalid_input(source: SqlType, target: SqlType) -> SqlError:
    """Return ``CAST_INVALID_INPUT`` with a place for the value."""
    return SqlError(
        "CAST_INVALID_INPUT",
        "22018",
        f'The value \'{{}}\' of the type "{source.text}" cannot be cast to "{target.text}" because '
        "it is malformed. Correct the value as per the syntax, or change its target type. Use "
        "`try_cast` to tolerate malformed input and return NULL instead.",
    )


def cast_overflow(source: SqlType, target: SqlType) -> SqlError:
    """Return ``CAST_OVERFLOW`` with a place for the value."""
    return SqlError(
        "CAST_OVERFLOW",
        "22003",
        f'The value {{}}{_SUFFIX.get(source.name, "")} of the type "{source.text}" cannot be cast '
        f'to "{target.text}" due to an overflow. Use `try_cast` to tolerate overflow and return '
        "NULL instead.",
    )


def out_of_range(target: SqlType) -> SqlError:
    """Return ``NUMERIC_VALUE_OUT_OF_RANGE`` with a place for the value."""
    return SqlError(
        "NUMERIC_VALUE_OUT_OF_RANGE.WITH_SUGGESTION",
        "22003",
        f"{{}} cannot be represented as Decimal({target.precision}, {target.scale}). If necessary "
        'set ansi_mode to "false" to bypass this error, and return NULL instead.',
    )


_NUMBER = re.compile(r"[+-]?(\d+(?:\.\d*)?|\.\d+)([eE][+-]?\d{1,10})?", re.ASCII)
_EXPONENT_LIMIT = 2**31


def reject_text(text: str, target: str) -> str:
    """Return the text of a number that DuckDB does not read, being next to nothing; refuse others.

    Raises:
        SqlError: ``NUMERIC_VALUE_OUT_OF_RANGE.WITH_SUGGESTION`` for a number that a DECIMAL does
            not hold, ``NUMERIC_OUT_OF_SUPPORTED_RANGE`` for one that none does, else
            ``CAST_INVALID_INPUT``.
    """
    kind = parse_type(target)
    if kind.is_interval:
        raise _interval_format(text, kind)
    number = _exact(text) if kind.name == "DECIMAL" else None
    if number is None:
        raise _with_value(invalid_input(STRING, kind), text)
    if not number or number.adjusted() < -MAX_PRECISION:
        return "0"
    if number.adjusted() >= MAX_PRECISION:
        raise SqlError(
            "NUMERIC_OUT_OF_SUPPORTED_RANGE",
            "22003",
            f"The value {text} cannot be interpreted as a numeric since it has more than "
            f"{MAX_PRECISION} digits.",
        )
    raise _with_value(out_of_range(kind), f"{number:f}")


def _with_value(error: SqlError, shown: str) -> SqlError:
    return SqlError(error.error_class, error.sqlstate, error.message.replace("{}", shown, 1))


def _exact(text: str) -> Decimal | None:
    stripped = text.strip(_BLANK)
    if not _NUMBER.fullmatch(stripped):
        return None
    number = Decimal(stripped)
    return number if abs(int(number.as_tuple().exponent)) < _EXPONENT_LIMIT else None


def _interval_format(text: str, kind: SqlType) -> SqlError:
    form = "UNMATCHED_FORMAT_STRING" + ("" if kind.is_month_interval else "_WITH_NOTICE")
    why = f"Interval string does not match the format of {kind.text} when cast to it."
    if parse_interval(text, *interval_units(kind)) is not None:
        form, why = "INTERVAL_PARSING", f"No {kind.text} is as long."
    return SqlError(
        f"INVALID_INTERVAL_FORMAT.{form}",
        "22006",
        f"Error parsing '{text}' to interval. Please ensure that the value provided is in a valid "
        f"format for defining an interval. {why}",
    )


def number_text(text: str) -> str | None:
    """Return the text of a floating-point number as DuckDB reads it, ``None`` where it is none."""
    word = text.strip(_BLANK).lower()
    if word.lstrip("+-") in ("nan", "inf", "infinity"):
        return word.lstrip("+-") if word.endswith("nan") else word.lstrip("+")
    match = _FLOAT.fullmatch(word)
    return match[1] if match else None


_BLANK = "".join(map(chr, range(0x21)))
_FLOAT = re.compile(r"([+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:e[+-]?\d+)?)[df]?", re.ASCII)


class _Caster:
    """Builds the SQL of one cast, with casts of elements and fields inside it."""

    def __init__(self, zone: str, attempt: bool) -> None:
        self._zone = zone
        self._attempt = attempt

    def convert(
        self, sql: str, source: SqlType, target: SqlType, *, atom: bool = False
    ) -> str | None:
        """Return the SQL, or ``None`` where the types have no cast."""
        if source == target or (source.is_string and target.is_string):
            return self._fit(sql, target)
        if source == VOID:
            return f"CAST(NULL AS {target.duckdb()})"
        if target.is_string:
            return to_text(sql, source, self._zone)
        build = getattr(self, f"_from_{_kind(source)}")
        result: str | None = build(sql, source, target, atom)
        return result

    def _fit(self, sql: str, target: SqlType) -> str:
        # CAST(x AS VARCHAR(3)) cuts; only a column enforces its length.
        if target.length is None:
            return sql
        cut = f"left({sql}, {target.length})"
        return f"rpad({cut}, {target.length}, ' ')" if target.name == "CHAR" else cut

    def _checked(self, value: str, result: str, error: SqlError, shown: str | None = None) -> str:
        """Return ``result``, or the error where it is NULL though ``value`` is not."""
        if self._attempt:
            return result
        failure = fail_sql(error, shown or value)
        return f"CASE WHEN {value} IS NOT NULL THEN coalesce({result}, {failure}) END"

    def _from_string(self, sql: str, source: SqlType, target: SqlType, atom: bool) -> str | None:
        if target.name == "BINARY":
            return f"encode({sql})"
        if target.name == "VARIANT":
            return f"CAST(to_json({sql}) AS VARCHAR)"
        parse = _STRING_PARSERS.get(_kind(target))
        if parse is None:
            return None
        zone = self._zone
        return let(sql, lambda v: self._parsed(v, parse(v, target, zone), target), atom=atom)

    def _parsed(self, text: str, value: str, target: SqlType) -> str:
        """Return the value of a text, or the error where the text has none."""
        if self._attempt:
            return value
        rejected = f"vinci_reject({text}, {text_sql(target.text)})"
        return (
            f"CASE WHEN {text} IS NOT NULL THEN coalesce({value}, {cast_sql(rejected, target)}) END"
        )

    def _from_integral(self, sql: str, source: SqlType, target: SqlType, atom: bool) -> str | None:
        kind = _kind(target)
        if kind == "integral":
            return self._narrow(sql, source, target, atom)
        if kind == "decimal":
            return self._to_decimal(sql, target, atom, INTEGER_DECIMALS[source.name])
        if kind == "boolean":
            return f"({sql} <> 0)"
        if kind == "timestamp":
            return f"to_timestamp({sql})"
        if kind in ("fractional", "variant"):
            return cast_sql(sql, target)
        if target.is_interval:
            return self._number_to_interval(sql, source, target, atom)
        return None

    def _from_decimal(self, sql: str, source: SqlType, target: SqlType, atom: bool) -> str | None:
        kind = _kind(target)
        if kind == "integral":
            return self._truncate(sql, source, target, atom)
        if kind == "decimal":
            return self._to_decimal(sql, target, atom, source)
        if kind == "boolean":
            return f"({sql} <> 0)"
        if kind == "timestamp":
            return _moment(f"trunc({sql} * 1000000)")
        if target.is_interval:
            return self._number_to_interval(sql, source, target, atom)
        if kind == "variant":
            text = decimal_text(sql, source)
            return f"rtrim(rtrim({text}, '0'), '.')" if source.scale else text
        return cast_sql(sql, target) if kind == "fractional" else None

    def _from_fractional(
        self, sql: str, source: SqlType, target: SqlType, atom: bool
    ) -> str | None:
        kind = _kind(target)
        if kind == "fractional":
            return self._to_float(sql, target)
        if kind == "integral":
            return self._truncate(sql, source, target, atom)
        if kind == "decimal":
            # NaN and infinity have no decimal: NULL, even in ANSI mode.
            # A FLOAT has the digits of the DOUBLE that is as great: 0.1F is 0.10000000149011612.
            wide = cast_sql(sql, DOUBLE)
            text = let(wide, lambda v: f"CASE WHEN isfinite({v}) THEN CAST({v} AS VARCHAR) END")
            return self._to_decimal(text, target, False)
        if kind == "boolean":
            return f"({sql} <> 0)"
        if kind == "timestamp":
            return self._double_to_moment(sql, source, target, atom)
        if kind == "variant":
            return f"vinci_number_json({to_text(sql, source, self._zone)})"
        return None

    def _from_boolean(self, sql: str, source: SqlType, target: SqlType, atom: bool) -> str | None:
        kind = _kind(target)
        if kind in ("integral", "decimal", "fractional"):
            return cast_sql(f"CAST({sql} AS INTEGER)", target)
        if kind == "variant":
            return cast_sql(sql, STRING)
        return None

    def _from_date(self, sql: str, source: SqlType, target: SqlType, atom: bool) -> str | None:
        if target.name == "TIMESTAMP_NTZ":
            return cast_sql(sql, target)
        if target.name == "TIMESTAMP":
            return local_sql(f"CAST({sql} AS TIMESTAMP)", self._zone)
        return f"'\"' || CAST({sql} AS VARCHAR) || '\"'" if target.name == "VARIANT" else None

    def _from_timestamp(self, sql: str, source: SqlType, target: SqlType, atom: bool) -> str | None:
        kind = _kind(target)
        if kind == "date":
            return f"CAST({local_sql(sql, self._zone)} AS DATE)"
        if kind == "ntz":
            return local_sql(sql, self._zone)
        if kind == "integral":
            seconds = f"CAST(floor(epoch_us({sql}) / 1000000) AS BIGINT)"
            return self._narrow(seconds, SqlType("BIGINT"), target, False)
        if kind == "decimal":
            return self._to_decimal(
                f"(CAST(epoch_us({sql}) AS DECIMAL(20,0)) * 0.000001)", target, False
            )
        if kind == "fractional":
            return cast_sql(f"(epoch_us({sql}) / 1000000)", target)
        return f"'\"' || {to_text(sql, source, self._zone)} || '\"'" if kind == "variant" else None

    def _from_ntz(self, sql: str, source: SqlType, target: SqlType, atom: bool) -> str | None:
        kind = _kind(target)
        if kind == "date":
            return cast_sql(sql, target)
        if kind == "timestamp":
            return local_sql(sql, self._zone)
        return f"'\"' || {to_text(sql, source, self._zone)} || '\"'" if kind == "variant" else None

    def _from_binary(self, sql: str, source: SqlType, target: SqlType, atom: bool) -> str | None:
        return f"('\"' || to_base64({sql}) || '\"')" if target.name == "VARIANT" else None

    def _from_interval(self, sql: str, source: SqlType, target: SqlType, atom: bool) -> str | None:
        if target.is_interval and source.is_month_interval == target.is_month_interval:
            return _cut_interval(sql, source, target)
        last = interval_units(source)[1]
        if source.is_month_interval:
            count = f"({months_sql(sql)}" + (" // 12)" if last == "YEAR" else ")")
        else:
            count = f"(epoch_us({sql}) // {MICROS[last]})"
        if _kind(target) == "integral":
            return self._narrow(count, SqlType("BIGINT"), target, False)
        if _kind(target) == "decimal":
            if last == "SECOND":
                count = f"(CAST(epoch_us({sql}) AS DECIMAL(20,0)) * 0.000001)"
            return self._to_decimal(count, target, False)
        return None

    def _from_variant(self, sql: str, source: SqlType, target: SqlType, atom: bool) -> str | None:
        if target.is_interval:
            return None
        if target.name == "BINARY":
            # JSON, as which it is kept, does not tell bytes from their Base64.
            raise unsupported("a VARIANT as BINARY")
        mode = "try" if self._attempt else "cast"
        schema = text_sql(target.text)
        text = f"vinci_variant_cast({sql}, {schema}, '{mode}', {text_sql(self._zone)})"
        return cast_sql(decode_json(text, target), target)

    def _from_array(self, sql: str, source: SqlType, target: SqlType, atom: bool) -> str | None:
        element = target if target.name == "VARIANT" else target.element
        if element is None or source.element is None:
            return None
        name = variable(sql)
        inner = self.convert(name, source.element, element, atom=True)
        if inner is not None and element is target:
            return variant_array(sql, name, inner)
        return None if inner is None else f"list_transform({sql}, lambda {name}: {inner})"

    def _from_map(self, sql: str, source: SqlType, target: SqlType, atom: bool) -> str | None:
        if not (target.key and target.value and source.key and source.value):
            return None
        entry = variable(sql)
        key = self.convert(f"{entry}.key", source.key, target.key)
        value = self.convert(f"{entry}.value", source.value, target.value)
        if key is None or value is None:
            return None
        return (
            f"map_from_entries(list_transform(map_entries({sql}), lambda {entry}: "
            f"{{'key': {key}, 'value': {value}}}))"
        )

    def _from_struct(self, sql: str, source: SqlType, target: SqlType, atom: bool) -> str | None:
        if target.name != "STRUCT" or len(source.fields) != len(target.fields):
            return None

        def build(value: str) -> str | None:
            parts = []
            for old, new in zip(source.fields, target.fields, strict=True):
                inner = self.convert(f"({value}).{quote(old.name)}", old.type, new.type)
                if inner is None:
                    return None
                parts.append(f"{quote(new.name)}: {inner}")
            return f"CASE WHEN {value} IS NOT NULL THEN {{{', '.join(parts)}}} END"

        if build('"x"') is None:
            return None
        return let(sql, lambda value: build(value) or "NULL", atom=atom)

    def _narrow(self, sql: str, source: SqlType, target: SqlType, atom: bool) -> str:
        _low, high = _LIMITS[target.name]
        if _LIMITS[source.name][1] <= high:
            return cast_sql(sql, target)
        error = cast_overflow(source, target)
        return let(
            sql,
            lambda v: self._checked(v, f"TRY_CAST({v} AS {target.duckdb()})", error),
            atom=atom,
        )

    def _truncate(self, sql: str, source: SqlType, target: SqlType, atom: bool) -> str:
        error = cast_overflow(source, target)
        suffix = "BD" if source.name == "DECIMAL" else ""
        _, _high = _LIMITS[target.name]

        def body(v: str) -> str:
            whole = f"TRY_CAST(trunc({v}) AS {target.duckdb()})"
            if target.name == "BIGINT" and source.name != "DECIMAL":
                # 2^63 is a double and 2^63-1 is not: Java lets it through as the greatest long.
                edge = "9223372036854775808.0::DOUBLE"
                whole = (
                    f"CASE WHEN {v} = {edge} THEN 9223372036854775807 "
                    f"WHEN {v} < {edge} THEN {whole} END"
                )
            shown = to_text(v, source, self._zone)
            return self._checked(v, whole, error, f"({shown} || '{suffix}')")

        return let(sql, body, atom=atom)

    def _to_decimal(
        self, sql: str, target: SqlType, atom: bool, source: SqlType | None = None
    ) -> str:
        if source is not None and _holds(source, target):
            return cast_sql(sql, target)
        error = out_of_range(target)
        return let(
            sql, lambda v: self._checked(v, f"TRY_CAST({v} AS {target.duckdb()})", error), atom=atom
        )

    def _to_float(self, sql: str, target: SqlType) -> str:
        if target.name == "DOUBLE":
            return cast_sql(sql, target)
        # A double beyond FLOAT becomes infinite, as in Java; DuckDB would raise.
        return let(
            sql,
            lambda v: (
                f"coalesce(TRY_CAST({v} AS FLOAT), "
                f"CASE WHEN {v} > 0 THEN 'inf'::FLOAT WHEN {v} < 0 THEN '-inf'::FLOAT END)"
            ),
        )

    def _number_to_interval(self, sql: str, source: SqlType, target: SqlType, atom: bool) -> str:
        """A number counts an interval's last unit."""
        last = interval_units(target)[1]
        months = target.is_month_interval
        factor = {"YEAR": 12, "MONTH": 1}[last] if months else MICROS[last]
        holder = "INTEGER" if months else "BIGINT"

        def body(v: str) -> str:
            wide = "DECIMAL(38,0)" if source.is_integral else f"DECIMAL(38,{source.scale})"
            count = f"TRY_CAST(round(CAST({v} AS {wide}) * {factor}, 0) AS {holder})"
            make = "to_months" if months else "to_microseconds"
            return self._checked(v, f"{make}({count})", cast_overflow(source, target))

        return let(sql, body, atom=atom)

    def _double_to_moment(self, sql: str, source: SqlType, target: SqlType, atom: bool) -> str:
        """Microseconds are cut, not rounded; NaN and infinity are no moment."""
        malformed = SqlError(
            "CAST_INVALID_INPUT",
            "22018",
            invalid_input(source, target).message,
        )

        def body(v: str) -> str:
            double = f"CAST({v} AS DOUBLE)"
            micros = f"trunc({double} * 1000000)"
            fits = f"CASE WHEN abs({micros}) < 9223372036854775807 THEN {_moment(micros)} END"
            beyond = self._checked(v, fits, cast_overflow(DOUBLE, SqlType("BIGINT")), micros)
            wrong = "NULL" if self._attempt else fail_sql(malformed, to_text(v, source, self._zone))
            return (
                f"CASE WHEN isfinite({double}) THEN {beyond} WHEN {v} IS NOT NULL THEN {wrong} END"
            )

        return let(sql, body, atom=atom)


def _moment(micros: str) -> str:
    """The instant of a count of microseconds that fits into BIGINT."""
    return f"timezone('UTC', make_timestamp(CAST({micros} AS BIGINT)))"


def _cut_interval(sql: str, source: SqlType, target: SqlType) -> str:
    """An interval without what is less than the target's last unit."""
    last, fields = interval_units(target)[1], interval_units(source)
    if last == fields[1] or last in ("MONTH", "SECOND"):
        return sql
    if last == "YEAR":
        return f"to_months(CAST({months_sql(sql)} // 12 * 12 AS INTEGER))"
    return f"to_microseconds(epoch_us({sql}) // {MICROS[last]} * {MICROS[last]})"


def _holds(source: SqlType, target: SqlType) -> bool:
    """Return whether every value of one decimal type is a value of another."""
    (p1, s1), (p2, s2) = precision_scale(source), precision_scale(target)
    return s2 >= s1 and p2 - s2 >= p1 - s1


def interval_sql(number: str, unit: str) -> str:
    """Return a DuckDB interval of a whole number of units."""
    if unit == "YEAR":
        return f"to_months(CAST({number} * 12 AS INTEGER))"
    if unit == "MONTH":
        return f"to_months(CAST({number} AS INTEGER))"
    return f"to_microseconds(CAST({number} * {MICROS[unit]} AS BIGINT))"


def to_text(sql: str, source: SqlType, zone: str) -> str:
    """Return the SQL of ``CAST(value AS STRING)``."""
    kind = _kind(source)
    if kind == "fractional":
        return let(
            sql,
            lambda v: (
                f"CASE WHEN {v} = 0 OR (abs({v}) >= 0.001 AND abs({v}) < 10000000) "
                f"THEN CAST({v} AS VARCHAR) ELSE vinci_java_float(CAST({v} AS VARCHAR)) END"
            ),
        )
    if kind == "timestamp":
        return f"CAST({local_sql(sql, zone)} AS VARCHAR)"
    if kind == "binary":
        # Spark keeps the bytes, which DuckDB's text cannot hold.
        lost = fail_sql(unsupported("the text of bytes that are no UTF-8"))
        return let(
            sql, lambda v: f"CASE WHEN {v} IS NOT NULL THEN coalesce(TRY(decode({v})), {lost}) END"
        )
    if kind == "interval":
        return _interval_text(sql, source)
    if kind in ("array", "map", "struct"):
        return _nested_text(sql, source, zone)
    if kind == "string":
        return sql
    if kind == "variant":
        return f"vinci_variant_text({sql})"
    if kind == "decimal":
        return decimal_text(sql, source)
    return f"CAST({sql} AS VARCHAR)"


def decimal_text(sql: str, source: SqlType) -> str:
    """Return the SQL of a decimal's text; DuckDB writes .5 where there are no whole digits."""
    precision, scale = precision_scale(source)
    if precision > scale:
        return f"CAST({sql} AS VARCHAR)"
    return f"regexp_replace(CAST({sql} AS VARCHAR), '^(-?)\\.', '\\10.')"


def _interval_text(sql: str, source: SqlType) -> str:
    count = months_sql(sql) if source.is_month_interval else f"epoch_us({sql})"
    return f"vinci_interval_text(CAST({count} AS BIGINT), {text_sql(source.name)})"


def _nested_text(sql: str, source: SqlType, zone: str) -> str:
    def element(value: str, kind: SqlType) -> str:
        return f"coalesce({to_text(value, kind, zone)}, 'null')"

    if source.element is not None:
        name, inner = variable(sql), source.element
        items = f"list_transform({sql}, lambda {name}: {element(name, inner)})"
        return f"('[' || array_to_string({items}, ', ') || ']')"
    if source.key and source.value:
        name = variable(sql)
        entry = (
            f"{element(f'{name}.key', source.key)} || ' -> ' || "
            f"{element(f'{name}.value', source.value)}"
        )
        items = f"list_transform(map_entries({sql}), lambda {name}: {entry})"
        return f"('{{' || array_to_string({items}, ', ') || '}}')"
    fields = source.fields
    return let(
        sql,
        lambda v: (
            f"CASE WHEN {v} IS NOT NULL THEN '{{' || "
            + " || ', ' || ".join(element(f"({v}).{quote(f.name)}", f.type) for f in fields)
            + " || '}' END"
        ),
    )


def variant_array(sql: str, name: str, item: str) -> str:
    """Return the SQL of an array as VARIANT, its items made by ``item`` of the variable."""
    items = f"list_transform({sql}, lambda {name}: coalesce({item}, 'null'))"
    return f"('[' || array_to_string({items}, ',') || ']')"


def json_text(sql: str, source: SqlType, zone: str) -> str:
    """Return the SQL of ``to_json``: one value as JSON text, NULL where the value is NULL."""
    kind = _kind(source)
    if kind == "variant":
        return sql
    if source.element is not None:
        name = variable(sql)
        inner = f"coalesce({json_text(name, source.element, zone)}, 'null')"
        return (
            f"('[' || array_to_string(list_transform({sql}, lambda {name}: {inner}), ',') || ']')"
        )
    if source.key and source.value:
        name = variable(sql)
        key = f"CAST(to_json({to_text(f'{name}.key', source.key, zone)}) AS VARCHAR)"
        value = f"coalesce({json_text(f'{name}.value', source.value, zone)}, 'null')"
        items = f"list_transform(map_entries({sql}), lambda {name}: {key} || ':' || {value})"
        return f"('{{' || array_to_string({items}, ',') || '}}')"
    if kind == "struct":
        return _json_struct(sql, source, zone)
    return _json_scalar(sql, source, zone)


def _json_struct(sql: str, source: SqlType, zone: str) -> str:
    def body(v: str) -> str:
        parts = []
        for item in source.fields:
            label = text_sql(f"{_json_string(item.name)}:")
            value = json_text(f"({v}).{quote(item.name)}", item.type, zone)
            parts.append(f"{label} || {value}")
        inner = f"concat_ws(',', {', '.join(parts)})" if parts else "''"
        return f"CASE WHEN {v} IS NOT NULL THEN '{{' || {inner} || '}}' END"

    return let(sql, body)


def _json_string(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _json_scalar(sql: str, source: SqlType, zone: str) -> str:
    kind = _kind(source)
    if kind == "decimal":
        return decimal_text(sql, source)
    if kind in ("integral", "boolean"):
        return f"CAST({sql} AS VARCHAR)"
    if kind == "fractional":
        return f"vinci_number_json({to_text(sql, source, zone)})"
    if kind == "date":
        return f"('\"' || CAST({sql} AS VARCHAR) || '\"')"
    if kind in ("timestamp", "ntz"):
        local = local_sql(sql, zone) if kind == "timestamp" else sql
        offset = f"CAST(date_diff('minute', {local_sql(sql, 'UTC')}, {local}) AS INTEGER)"
        shift = f"vinci_zone_offset({offset})" if kind == "timestamp" else "''"
        return f"('\"' || strftime({local}, '%Y-%m-%dT%H:%M:%S.%g') || {shift} || '\"')"
    if kind == "binary":
        return f"('\"' || to_base64({sql}) || '\"')"
    return f"CAST(to_json({to_text(sql, source, zone)}) AS VARCHAR)"


def decode_json(sql: str, target: SqlType) -> str:
    """Return the SQL that makes a typed value of JSON text that was checked against ``target``.

    Leaves are JSON strings of DuckDB's own text forms, so that no digit is lost; an instant is
    text in UTC.
    """
    if target.name == "VARIANT":
        return sql
    if target.is_nested:
        carrier = _carrier(target)
        value = f"json_transform_strict({sql}, {text_sql(_structure(carrier))})"
        return _from_carrier(value, target)
    if target.is_string:
        return f"json_extract_string({sql}, '$')"
    return _leaf(f"json_extract_string({sql}, '$')", target)


def _carrier(kind: SqlType) -> SqlType:
    """Return the type with every leaf that JSON cannot carry exactly as a STRING."""
    if kind.element is not None:
        return SqlType("ARRAY", element=_carrier(kind.element))
    if kind.key and kind.value:
        return SqlType("MAP", key=STRING, value=_carrier(kind.value))
    if kind.name == "STRUCT":
        fields = tuple(type(f)(f.name, _carrier(f.type)) for f in kind.fields)
        return SqlType("STRUCT", fields=fields)
    return kind if kind.name in ("BOOLEAN", "INT", "BIGINT", "SMALLINT", "TINYINT") else STRING


def _structure(kind: SqlType) -> str:
    if kind.element is not None:
        return f"[{_structure(kind.element)}]"
    if kind.name == "STRUCT":
        inner = ",".join(f"{_json_string(f.name)}:{_structure(f.type)}" for f in kind.fields)
        return f"{{{inner}}}"
    return f'"{kind.duckdb()}"' if kind.key is None else _json_string(kind.duckdb())


def _from_carrier(sql: str, kind: SqlType) -> str:
    if _carrier(kind) == kind:
        return sql
    if kind.element is not None:
        name = variable(sql)
        return f"list_transform({sql}, lambda {name}: {_from_carrier(name, kind.element)})"
    if kind.key and kind.value:
        name = variable(sql)
        pair = (
            f"{{'key': {_leaf(f'{name}.key', kind.key)}, "
            f"'value': {_from_carrier(f'{name}.value', kind.value)}}}"
        )
        return f"map_from_entries(list_transform(map_entries({sql}), lambda {name}: {pair}))"
    if kind.name == "STRUCT":
        fields = kind.fields

        def body(v: str) -> str:
            parts = ", ".join(
                f"{quote(f.name)}: {_from_carrier(f'({v}).{quote(f.name)}', f.type)}"
                for f in fields
            )
            return f"CASE WHEN {v} IS NOT NULL THEN {{{parts}}} END"

        return let(sql, body)
    return _leaf(sql, kind)


def _leaf(sql: str, kind: SqlType) -> str:
    if kind.is_string or kind.name == "VARIANT":
        return sql
    if kind.name == "BINARY":
        return f"from_base64({sql})"
    if kind.name == "TIMESTAMP":
        return local_sql(f"CAST({sql} AS TIMESTAMP)", "UTC")
    if kind.is_interval:
        unit = (
            "to_months(CAST({} AS INTEGER))"
            if kind.is_month_interval
            else "to_microseconds(CAST({} AS BIGINT))"
        )
        return unit.format(sql)
    return cast_sql(sql, kind)


def _trimmed(v: str) -> str:
    return f"regexp_replace({v}, '^[\\x00-\\x20]+|[\\x00-\\x20]+$', '', 'g')"


def _parse_integral(v: str, target: SqlType, zone: str) -> str:
    digits = f"regexp_extract({v}, '^[\\x00-\\x20]*([+-]?[0-9]+)[\\x00-\\x20]*$', 1)"
    return f"TRY_CAST(nullif({digits}, '') AS {target.duckdb()})"


def _parse_decimal(v: str, target: SqlType, zone: str) -> str:
    pattern = (
        "^[\\x00-\\x20]*([+-]?(?:[0-9]+\\.?[0-9]*|\\.[0-9]+)(?:[eE][+-]?[0-9]+)?)[\\x00-\\x20]*$"
    )
    return f"TRY_CAST(nullif(regexp_extract({v}, '{pattern}', 1), '') AS {target.duckdb()})"


# Texts of the usual forms are read by DuckDB itself; the general rules take a text apart first.
_PLAIN_NUMBER = "-?[0-9]+(\\.[0-9]+)?([eE][+-]?[0-9]+)?"


def _parse_fractional(v: str, target: SqlType, zone: str) -> str:
    plain = f"regexp_full_match({v}, '{_PLAIN_NUMBER}')"
    return (
        f"TRY_CAST(CASE WHEN {plain} THEN {v} ELSE vinci_number_text({v}) END AS {target.duckdb()})"
    )


def _parse_boolean(v: str, target: SqlType, zone: str) -> str:
    word = f"lower({_trimmed(v)})"
    return (
        f"CASE WHEN {word} IN ('t', 'true', 'y', 'yes', '1') THEN TRUE "
        f"WHEN {word} IN ('f', 'false', 'n', 'no', '0') THEN FALSE END"
    )


_PLAIN_DATE = "[1-9]\\d{3}-\\d{2}-\\d{2}"


def _parse_date(v: str, target: SqlType, zone: str) -> str:
    return (
        f"CASE WHEN regexp_full_match({v}, '{_PLAIN_DATE}') THEN TRY_CAST({v} AS DATE) "
        f"ELSE vinci_date({v}) END"
    )


# DuckDB would take 24:00:00 too.
_PLAIN_TIMESTAMP = f"{_PLAIN_DATE}[ T](?:[01]\\d|2[0-3]):[0-5]\\d:[0-5]\\d(?:\\.\\d{{1,6}})?"


def _parse_timestamp(v: str, target: SqlType, zone: str) -> str:
    general = local_sql(f"vinci_timestamp({v}, {text_sql(zone)})", "UTC")
    if zone == "UTC":
        # DuckDB's own time zone is UTC as well.
        pattern, plain = f"{_PLAIN_TIMESTAMP}(?:\\+00:00)?", f"TRY_CAST({v} AS TIMESTAMPTZ)"
    else:
        pattern, plain = _PLAIN_TIMESTAMP, local_sql(f"TRY_CAST({v} AS TIMESTAMP)", zone)
    return f"CASE WHEN regexp_full_match({v}, '{pattern}') THEN {plain} ELSE {general} END"


def _parse_ntz(v: str, target: SqlType, zone: str) -> str:
    return (
        f"CASE WHEN regexp_full_match({v}, '{_PLAIN_TIMESTAMP}') THEN TRY_CAST({v} AS TIMESTAMP) "
        f"ELSE vinci_timestamp_ntz({v}) END"
    )


def _parse_interval(v: str, target: SqlType, zone: str) -> str:
    count = f"vinci_interval({v}, {text_sql(target.name)})"
    if target.is_month_interval:
        return f"to_months(CAST({count} AS INTEGER))"
    return f"to_microseconds({count})"


_STRING_PARSERS: dict[str, Callable[[str, SqlType, str], str]] = {
    "integral": _parse_integral,
    "decimal": _parse_decimal,
    "fractional": _parse_fractional,
    "boolean": _parse_boolean,
    "date": _parse_date,
    "timestamp": _parse_timestamp,
    "ntz": _parse_ntz,
    "interval": _parse_interval,
}


def _kind(kind: SqlType) -> str:
    """Return the family a type belongs to when it is cast."""
    if kind.is_integral:
        return "integral"
    if kind.is_string:
        return "string"
    if kind.is_interval:
        return "interval"
    families = {
        "DECIMAL": "decimal",
        "FLOAT": "fractional",
        "DOUBLE": "fractional",
        "TIMESTAMP_NTZ": "ntz",
    }
    return families.get(kind.name, kind.name.lower())


__all__ = [
    "DOUBLE",
    "can_cast",
    "cast",
    "cast_mismatch",
    "decode_json",
    "interval_sql",
    "json_text",
    "let",
    "local_sql",
    "to_text",
    "unsupported",
    "variable",
    "variant_array",
]
