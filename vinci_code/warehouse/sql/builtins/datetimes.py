"""Functions on dates, timestamps and intervals."""

from __future__ import annotations

import re
from zoneinfo import ZoneInfo

from sqlglot import exp

from vinci_code.warehouse.sql.binder import refused, unexpected_input
from vinci_code.warehouse.sql.bounds import items_checked
from vinci_code.warehouse.sql.builtins.registry import FunctionCall, function, simple
from vinci_code.warehouse.sql.casts import cast, let, local_sql
from vinci_code.warehouse.sql.coercion import interval_units
from vinci_code.warehouse.sql.errors import SqlError, invalid_timezone, unsupported
from vinci_code.warehouse.sql.types import (
    BIGINT,
    DATE,
    DOUBLE,
    INT,
    INTERVAL_DAY_SECOND,
    INTERVAL_YEAR_MONTH,
    STRING,
    TIMESTAMP,
    TIMESTAMP_NTZ,
    SqlType,
    decimal,
)
from vinci_code.warehouse.sql.values import Typed, cast_sql, fail_sql, literal, months_sql, text_sql

_UNITS = {
    "MICROSECOND": 1,
    "MILLISECOND": 1_000,
    "SECOND": 1_000_000,
    "MINUTE": 60_000_000,
    "HOUR": 3_600_000_000,
    "DAY": 86_400_000_000,
    "DAYOFYEAR": 86_400_000_000,
    "WEEK": 7 * 86_400_000_000,
}
_MONTH_UNITS = {"MONTH": 1, "QUARTER": 3, "YEAR": 12}


def wall_clock(call: FunctionCall, index: int) -> str:
    """Return a date or timestamp argument as DuckDB's TIMESTAMP in the session's zone."""
    value = call.args[index]
    if value.type == TIMESTAMP_NTZ:
        return value.sql
    if value.type == DATE:
        return f"CAST({value.sql} AS TIMESTAMP)"
    return local_sql(call.argument(index, TIMESTAMP).sql, call.binder.zone)


def _day(call: FunctionCall, index: int) -> str:
    return call.argument(index, DATE).sql


@function("current_date curdate", 0)
def build_current_date(call: FunctionCall) -> Typed:
    """The date in the session's zone when the statement began."""
    return Typed(
        f"CAST({local_sql(_now(call), call.binder.zone)} AS DATE)", DATE, "current_date()", False
    )


def _now(call: FunctionCall) -> str:
    text = call.binder.now.strftime("%Y-%m-%d %H:%M:%S.%f+00")
    return f"CAST('{text}' AS TIMESTAMP WITH TIME ZONE)"


@function("current_timestamp now getdate", 0)
def build_current_timestamp(call: FunctionCall) -> Typed:
    """The instant when the statement began."""
    return Typed(_now(call), TIMESTAMP, call.shown, False)


@function("localtimestamp", 0)
def build_localtimestamp(call: FunctionCall) -> Typed:
    """The wall clock when the statement began."""
    return Typed(local_sql(_now(call), call.binder.zone), TIMESTAMP_NTZ, call.shown, False)


_PARTS = {
    "year": "year({})",
    "quarter": "quarter({})",
    "month": "month({})",
    "day": "day({})",
    "dayofmonth": "day({})",
    "dayofweek": "dayofweek({}) + 1",
    "weekday": "isodow({}) - 1",
    "dayofyear": "dayofyear({})",
    "weekofyear": "weekofyear({})",
    "hour": "hour({})",
    "minute": "minute({})",
    "second": "second({})",
}


@function(" ".join(_PARTS), 1)
def build_part(call: FunctionCall) -> Typed:
    """One field of a date or timestamp."""
    clock = call.name in ("hour", "minute", "second")
    source = wall_clock(call, 0) if clock else _day(call, 0)
    return Typed(f"CAST({_PARTS[call.name].format(source)} AS INTEGER)", INT, call.shown)


_FIELDS = {
    "YEAR": ("year({})", INT),
    "Y": ("year({})", INT),
    "YEARS": ("year({})", INT),
    "YR": ("year({})", INT),
    "YRS": ("year({})", INT),
    "YEAROFWEEK": ("isoyear({})", INT),
    "QUARTER": ("quarter({})", INT),
    "QTR": ("quarter({})", INT),
    "MONTH": ("month({})", INT),
    "MON": ("month({})", INT),
    "MONS": ("month({})", INT),
    "MONTHS": ("month({})", INT),
    "WEEK": ("weekofyear({})", INT),
    "W": ("weekofyear({})", INT),
    "WEEKS": ("weekofyear({})", INT),
    "DAY": ("day({})", INT),
    "D": ("day({})", INT),
    "DAYS": ("day({})", INT),
    "DAYOFWEEK": ("dayofweek({}) + 1", INT),
    "DOW": ("dayofweek({}) + 1", INT),
    "DAYOFWEEK_ISO": ("isodow({})", INT),
    "DOW_ISO": ("isodow({})", INT),
    "DOY": ("dayofyear({})", INT),
    "HOUR": ("hour({})", INT),
    "H": ("hour({})", INT),
    "HOURS": ("hour({})", INT),
    "HR": ("hour({})", INT),
    "HRS": ("hour({})", INT),
    "MINUTE": ("minute({})", INT),
    "M": ("minute({})", INT),
    "MIN": ("minute({})", INT),
    "MINS": ("minute({})", INT),
    "MINUTES": ("minute({})", INT),
    "SECOND": ("microsecond({}) / 1000000", decimal(8, 6)),
    "S": ("microsecond({}) / 1000000", decimal(8, 6)),
    "SEC": ("microsecond({}) / 1000000", decimal(8, 6)),
    "SECONDS": ("microsecond({}) / 1000000", decimal(8, 6)),
    "SECS": ("microsecond({}) / 1000000", decimal(8, 6)),
}


@function("extract date_part datepart", 2)
def build_extract(call: FunctionCall) -> Typed:
    """``extract(field FROM x)``; seconds come with their fraction."""
    value = call.binder.expression(call.nodes[1], call.scope)
    field = _word(call.nodes[0])
    name = f"{call.name}({field}"
    name += f" FROM {value.name})" if call.name == "extract" else f", {value.name})"
    call._args = [literal(field), value]
    if value.type.is_interval:
        return _interval_field(field.upper(), value, name)
    found = _FIELDS.get(field.upper())
    if found is None:
        raise SqlError(
            "INVALID_EXTRACT_FIELD", "42601", f'Cannot extract `{field}` from "{value.name}".'
        )
    template, kind = found
    sql = template.format(wall_clock(call, 1))
    if kind != INT:
        return Typed(f"CAST({sql} AS {kind.duckdb()})", kind, name)
    return Typed(f"CAST({sql} AS INTEGER)", INT, name)


def _word(node: exp.Expr) -> str:
    if isinstance(node, (exp.Literal, exp.Column, exp.Identifier, exp.Var)):
        return str(node.name)
    raise refused(node)


_INTERVAL_WORDS = {
    "YEAR": ("YEAR", "Y", "YEARS", "YR", "YRS"),
    "MONTH": ("MONTH", "MON", "MONS", "MONTHS"),
    "DAY": ("DAY", "D", "DAYS"),
    "HOUR": ("HOUR", "H", "HOURS", "HR", "HRS"),
    "MINUTE": ("MINUTE", "M", "MIN", "MINS", "MINUTES"),
    "SECOND": ("SECOND", "S", "SEC", "SECONDS", "SECS"),
}
_INTERVAL_UNITS = tuple(_INTERVAL_WORDS)


def _interval_field(field: str, value: Typed, name: str) -> Typed:
    months = months_sql(value.sql)
    micros = f"epoch_us({value.sql})"
    templates = {
        "YEAR": (f"{months} // 12", INT),
        "MONTH": (f"{months} % 12", SqlType("TINYINT")),
        "DAY": (f"{micros} // 86400000000", INT),
        "HOUR": (f"{micros} // 3600000000 % 24", SqlType("TINYINT")),
        "MINUTE": (f"{micros} // 60000000 % 60", SqlType("TINYINT")),
        "SECOND": (f"{micros} % 60000000 / 1000000", decimal(8, 6)),
    }
    first, last = map(_INTERVAL_UNITS.index, interval_units(value.type))
    unit = next((one for one, words in _INTERVAL_WORDS.items() if field in words), "")
    if unit not in _INTERVAL_UNITS[first : last + 1]:
        raise SqlError(
            "INVALID_EXTRACT_FIELD", "42601", f'Cannot extract `{field}` from "{value.name}".'
        )
    sql, kind = templates[unit]
    return Typed(f"CAST({sql} AS {kind.duckdb()})", kind, name)


@function("date_trunc", 2)
def build_date_trunc(call: FunctionCall) -> Typed:
    """Cuts a timestamp to a unit."""
    unit = call.constant(0, "unit")
    clock = wall_clock(call, 1)
    word = _TRUNCATIONS.get(str(unit).upper())
    if word is None:
        return Typed(cast_sql("NULL", TIMESTAMP), TIMESTAMP, call.shown)
    cut = f"CAST(date_trunc('{word}', {clock}) AS TIMESTAMP)"
    return Typed(local_sql(cut, call.binder.zone), TIMESTAMP, call.shown)


_TRUNCATIONS = {
    "YEAR": "year",
    "YYYY": "year",
    "YY": "year",
    "QUARTER": "quarter",
    "MONTH": "month",
    "MM": "month",
    "MON": "month",
    "WEEK": "week",
    "DAY": "day",
    "DD": "day",
    "HOUR": "hour",
    "MINUTE": "minute",
    "SECOND": "second",
    "MILLISECOND": "milliseconds",
    "MICROSECOND": "microseconds",
}


@function("trunc", 2)
def build_trunc(call: FunctionCall) -> Typed:
    """Cuts a date to a unit; NULL for a unit it does not know."""
    day = _day(call, 0)
    word = _TRUNCATIONS.get(str(call.constant(1, "unit")).upper())
    if word not in ("year", "quarter", "month", "week"):
        return Typed("CAST(NULL AS DATE)", DATE, call.shown)
    return Typed(f"CAST(date_trunc('{word}', {day}) AS DATE)", DATE, call.shown)


@function("date_add dateadd date_sub timestampadd", 2, 3)
def build_date_add(call: FunctionCall) -> Typed:
    """``date_add(date, days)``, or ``dateadd(unit, n, timestamp)``."""
    if len(call.nodes) == 3:
        return _add_units(call)
    sign = "-" if call.name == "date_sub" else "+"
    count = call.args[1]
    if count.type.is_numeric and count.type.name not in ("TINYINT", "SMALLINT", "INT"):
        raise unexpected_input(call.name, 2, '("INT" or "SMALLINT" or "TINYINT")', count)
    days = call.argument(1, INT)
    sql = f"CAST({_day(call, 0)} {sign} {days.sql} AS DATE)"
    return Typed(
        sql,
        DATE,
        f"{'date_sub' if sign == '-' else 'date_add'}({call.args[0].name}, {call.args[1].name})",
    )


def _unit(call: FunctionCall) -> str:
    unit = _word(call.nodes[0]).upper()
    if unit not in _UNITS and unit not in _MONTH_UNITS:
        raise SqlError(
            "INVALID_PARAMETER_VALUE.DATETIME_UNIT",
            "22023",
            f"The value of parameter(s) `unit` in `{call.name}` is invalid: expects one of "
            f"the units "
            "without quotes YEAR, QUARTER, MONTH, WEEK, DAY, DAYOFYEAR, HOUR, MINUTE, SECOND, "
            f"MILLISECOND, MICROSECOND, but got the string literal '{_word(call.nodes[0])}'.",
        )
    call._args = [literal(unit), *call.binder.expressions(call.nodes[1:], call.scope)]
    return unit


def _add_units(call: FunctionCall) -> Typed:
    unit = _unit(call)
    count = call.argument(1, INT).sql
    moment = call.args[2]
    name = f"timestampadd({_word(call.nodes[0])}, {call.args[1].name}, {moment.name})"
    if unit in _MONTH_UNITS:
        step = f"to_months(CAST({count} * {_MONTH_UNITS[unit]} AS INTEGER))"
    else:
        step = f"to_microseconds(CAST({count} AS BIGINT) * {_UNITS[unit]})"
    kind = TIMESTAMP_NTZ if moment.type == TIMESTAMP_NTZ else TIMESTAMP
    moved = f"({wall_clock(call, 2)} + {step})"
    if kind == TIMESTAMP and unit in ("HOUR", "MINUTE", "SECOND", "MILLISECOND", "MICROSECOND"):
        return Typed(f"({call.argument(2, TIMESTAMP).sql} + {step})", kind, name)
    return Typed(moved if kind == TIMESTAMP_NTZ else local_sql(moved, call.binder.zone), kind, name)


@function("datediff date_diff timestampdiff", 2, 3)
def build_datediff(call: FunctionCall) -> Typed:
    """``datediff(end, start)`` in days, or ``datediff(unit, start, end)`` in whole units."""
    if len(call.nodes) == 2:
        sql = f"CAST({_day(call, 0)} - {_day(call, 1)} AS INTEGER)"
        return Typed(sql, INT, f"datediff({call.args[0].name}, {call.args[1].name})")
    unit = _unit(call)
    name = f"timestampdiff({_word(call.nodes[0])}, {call.args[1].name}, {call.args[2].name})"
    start, end = wall_clock(call, 1), wall_clock(call, 2)
    if unit in _MONTH_UNITS:
        sql = f"vinci_months_between({end}, {start}) // {_MONTH_UNITS[unit]}"
    else:
        sql = f"(epoch_us({end}) - epoch_us({start})) // {_UNITS[unit]}"
    return Typed(f"CAST({sql} AS BIGINT)", BIGINT, name)


@function("add_months", 2)
def build_add_months(call: FunctionCall) -> Typed:
    """Moves a date by months; the day is cut to the month's last."""
    sql = f"CAST({_day(call, 0)} + to_months({call.argument(1, INT).sql}) AS DATE)"
    return Typed(sql, DATE, call.shown)


@function("months_between", 2, 3)
def build_months_between(call: FunctionCall) -> Typed:
    """Months with a fraction of 31 days, rounded to 8 digits unless told otherwise."""
    name = call.shown if len(call.args) == 3 else f"{call.shown[:-1]}, true)"
    rounded = call.args[2].sql if len(call.args) == 3 else "TRUE"
    sql = f"vinci_months_fraction({wall_clock(call, 0)}, {wall_clock(call, 1)}, {rounded})"
    return Typed(sql, DOUBLE, name)


simple("last_day", (DATE,), DATE, "last_day({0})")
simple("next_day", (DATE, STRING), DATE, "vinci_next_day({0}, {1})")
simple("dayname", (DATE,), STRING, "strftime({0}, '%a')")
simple("monthname", (DATE,), STRING, "strftime({0}, '%b')")
simple("unix_date", (DATE,), INT, "CAST({0} - DATE '1970-01-01' AS INTEGER)")
simple("date_from_unix_date", (INT,), DATE, "CAST(DATE '1970-01-01' + {0} AS DATE)")


_SINCE_1970 = {"unix_seconds": 1_000_000, "unix_millis": 1_000, "unix_micros": 1}


@function(" ".join(_SINCE_1970), 1)
def build_unix_time(call: FunctionCall) -> Typed:
    """A TIMESTAMP, and nothing else, as seconds, milliseconds or microseconds since 1970."""
    moment = call.args[0]
    if moment.type.name not in ("TIMESTAMP", "VOID"):
        raise unexpected_input(call.name, 1, "TIMESTAMP", moment)
    micros = f"epoch_us({call.argument(0, TIMESTAMP).sql})"
    unit = _SINCE_1970[call.name]
    sql = micros if unit == 1 else f"CAST(floor({micros} / {unit}) AS BIGINT)"
    return Typed(sql, BIGINT, call.shown)


simple("timestamp_millis", (BIGINT,), TIMESTAMP, "timezone('UTC', make_timestamp({0} * 1000))")
simple("timestamp_micros", (BIGINT,), TIMESTAMP, "timezone('UTC', make_timestamp({0}))")


@function("timestamp_seconds", 1)
def build_timestamp_seconds(call: FunctionCall) -> Typed:
    """Seconds since the epoch, with their fraction."""
    value = call.args[0]
    number = value if value.type.is_numeric else call.argument(0, BIGINT)
    wide = cast_sql(number.sql, BIGINT) if number.type.is_integral else number.sql
    micros = f"CAST({wide} * 1000000 AS BIGINT)"
    if number.type.name == "DECIMAL" and (number.type.scale or 0) > _MICROS_DIGITS:
        # Java's exception for this has no name.
        finer = fail_sql(unsupported("a TIMESTAMP of less than microseconds"))
        micros = let(
            f"{wide} * 1000000",
            lambda n: f"CASE WHEN {n} <> trunc({n}) THEN {finer} ELSE CAST({n} AS BIGINT) END",
        )
    if number.type.name in ("FLOAT", "DOUBLE"):
        finite = f"(CASE WHEN isfinite({wide}) THEN {cast_sql(wide, DOUBLE)} END)"
        micros = let(f"{finite} * 1000000", _cut_to_bigint)
    return Typed(f"timezone('UTC', make_timestamp({micros}))", TIMESTAMP, call.shown)


_MICROS_DIGITS = 6


def _cut_to_bigint(value: str) -> str:
    """A DOUBLE as Java makes a BIGINT of it: what is too great becomes the greatest."""
    return (
        f"CASE WHEN {value} >= {2**63} THEN {2**63 - 1} WHEN {value} < {-(2**63)} "
        f"THEN {-(2**63)} ELSE CAST(trunc({value}) AS BIGINT) END"
    )


@function("make_date", 3)
def build_make_date(call: FunctionCall) -> Typed:
    """A date of its parts; a date that does not exist is an error."""
    parts = ", ".join(call.argument(index, INT).sql for index in range(3))
    return Typed(f"vinci_make_date({parts})", DATE, call.shown)


@function("make_timestamp make_timestamp_ltz make_timestamp_ntz", 6, 7)
def build_make_timestamp(call: FunctionCall) -> Typed:
    """A timestamp of its parts."""
    whole = [call.argument(index, INT).sql for index in range(5)]
    seconds = call.argument(5, decimal(16, 6)).sql
    clock = f"vinci_make_timestamp({', '.join(whole)}, CAST({seconds} AS VARCHAR))"
    if call.name.endswith("ntz"):
        return Typed(clock, TIMESTAMP_NTZ, call.shown)
    if len(call.args) == 7:
        return Typed(_instant(clock, call, 6), TIMESTAMP, call.shown)
    return Typed(local_sql(clock, call.binder.zone), TIMESTAMP, call.shown)


_OFFSET = re.compile(r"(?:UTC|GMT|UT)?([+-])(\d{1,2})(?::?(\d{2})(?::(\d{2}))?)?")


def _offset(zone: object) -> str | None:
    """The shift from UTC of a zone that is a constant and no region, as a DuckDB interval."""
    if not isinstance(zone, str):
        return None
    if zone in ("Z", "UT", "UTC", "GMT"):
        return "INTERVAL 0 SECOND"
    match = _OFFSET.fullmatch(zone)
    if match is not None:
        hours, minutes, seconds = (int(part or 0) for part in match.groups()[1:])
        if hours * 60 + minutes <= 18 * 60:
            return f"to_seconds({match[1]}{hours * 3600 + minutes * 60 + seconds})"
    try:
        ZoneInfo(zone)
    except (ValueError, OSError, KeyError):
        raise invalid_timezone(zone) from None
    return None


def _instant(clock: str, call: FunctionCall, index: int) -> str:
    """The instant of a wall clock in a zone that is an argument."""
    offset = _offset(call.args[index].constant)
    if offset is not None:
        return f"timezone('UTC', {clock} - {offset})"
    zone = call.text(index)

    def earlier(moment: str) -> str:
        # Where the clock goes back DuckDB takes the second of two instants, and Java the first.
        tests = [
            f"WHEN timezone({zone}, {moment} - {step}) = {clock} THEN {moment} - {step}"
            for step in ("INTERVAL 1 HOUR", "INTERVAL 30 MINUTE")
        ]
        return f"CASE {' '.join(tests)} ELSE {moment} END"

    return let(f"timezone({zone}, {clock})", earlier)


def _wall(moment: str, call: FunctionCall, index: int) -> str:
    """The wall clock of an instant in a zone that is an argument."""
    offset = _offset(call.args[index].constant)
    if offset is None:
        return f"timezone({call.text(index)}, {moment})"
    return f"(timezone('UTC', {moment}) + {offset})"


@function("make_dt_interval", 0, 4)
def build_make_dt_interval(call: FunctionCall) -> Typed:
    """An interval of days, hours, minutes and seconds."""
    parts = []
    for index, unit in zip(
        range(len(call.args)), ("DAY", "HOUR", "MINUTE", "SECOND"), strict=False
    ):
        kind = decimal(18, 6) if unit == "SECOND" else INT
        parts.append(f"CAST({call.argument(index, kind).sql} AS DECIMAL(24,6)) * {_UNITS[unit]}")
    total = " + ".join(parts) or "0"
    return Typed(f"to_microseconds(CAST({total} AS BIGINT))", INTERVAL_DAY_SECOND, call.shown)


@function("make_ym_interval", 0, 2)
def build_make_ym_interval(call: FunctionCall) -> Typed:
    """An interval of years and months."""
    parts = [
        f"{call.argument(index, INT).sql} * {factor}"
        for index, factor in zip(range(len(call.args)), (12, 1), strict=False)
    ]
    total = " + ".join(parts) or "0"
    return Typed(f"to_months(CAST({total} AS INTEGER))", INTERVAL_YEAR_MONTH, call.shown)


@function("date_format", 2)
def build_date_format(call: FunctionCall) -> Typed:
    """Formats a timestamp by a pattern of Java's ``DateTimeFormatter``."""
    zone = text_sql(call.binder.zone)
    sql = f"vinci_date_format({wall_clock(call, 0)}, {call.text(1)}, {zone})"
    return Typed(sql, STRING, call.shown)


@function("to_date try_to_date", 1, 2)
def build_to_date(call: FunctionCall) -> Typed:
    """A cast to DATE, or a text read by a pattern."""
    attempt = call.name.startswith("try")
    if len(call.args) == 1:
        return cast(call.args[0], DATE, call.binder.zone, attempt=attempt, name=call.shown)
    if not call.args[0].type.is_string:
        return cast(call.args[0], DATE, call.binder.zone, attempt=attempt, name=call.shown)
    clock = _parsed(call, attempt, "try_to_date", "UTC")
    return Typed(f"CAST({clock} AS DATE)", DATE, call.shown)


def _parsed(call: FunctionCall, attempt: bool, suggestion: str, zone: str) -> str:
    mode = "try" if attempt else suggestion
    return f"vinci_parse_timestamp({call.text(0)}, {call.text(1)}, '{mode}', {text_sql(zone)})"


@function("to_timestamp try_to_timestamp to_timestamp_ltz", 1, 2)
def build_to_timestamp(call: FunctionCall) -> Typed:
    """A cast to TIMESTAMP, or a text read by a pattern."""
    attempt = call.name.startswith("try")
    if len(call.args) == 1 or not call.args[0].type.is_string:
        return cast(call.args[0], TIMESTAMP, call.binder.zone, attempt=attempt, name=call.shown)
    clock = _parsed(call, attempt, "try_to_timestamp", call.binder.zone)
    return Typed(local_sql(clock, "UTC"), TIMESTAMP, call.shown)


@function("to_timestamp_ntz", 1)
def build_to_timestamp_ntz(call: FunctionCall) -> Typed:
    """A cast to TIMESTAMP_NTZ."""
    return cast(call.args[0], TIMESTAMP_NTZ, call.binder.zone, name=call.shown)


@function("unix_timestamp to_unix_timestamp", 0, 2)
def build_unix_timestamp(call: FunctionCall) -> Typed:
    """Seconds since the epoch: of now, of a timestamp, or of a text."""
    pattern = "yyyy-MM-dd HH:mm:ss"
    if not call.args:
        name = f"{call.name}(current_timestamp(), {pattern})"
        return Typed(_seconds(_now(call)), BIGINT, name, False)
    shown = call.shown if len(call.args) == 2 else f"{call.shown[:-1]}, {pattern})"
    if not call.args[0].type.is_string:
        return Typed(_seconds(call.argument(0, TIMESTAMP).sql), BIGINT, shown)
    text = call.text(1) if len(call.args) == 2 else text_sql(pattern)
    clock = (
        f"vinci_parse_timestamp({call.text(0)}, {text}, 'try_to_timestamp', "
        f"{text_sql(call.binder.zone)})"
    )
    return Typed(_seconds(local_sql(clock, "UTC")), BIGINT, shown)


def _seconds(moment: str) -> str:
    # Towards zero, unlike a cast.
    return f"(epoch_us({moment}) // 1000000)"


@function("from_unixtime", 1, 2)
def build_from_unixtime(call: FunctionCall) -> Typed:
    """Seconds since the epoch, formatted."""
    pattern = call.text(1) if len(call.args) == 2 else "'yyyy-MM-dd HH:mm:ss'"
    shown = call.shown if len(call.args) == 2 else f"{call.shown[:-1]}, yyyy-MM-dd HH:mm:ss)"
    seconds = call.argument(0, BIGINT).sql
    clock = local_sql(f"timezone('UTC', make_timestamp({seconds} * 1000000))", call.binder.zone)
    return Typed(
        f"vinci_date_format({clock}, {pattern}, {text_sql(call.binder.zone)})", STRING, shown
    )


@function("from_utc_timestamp to_utc_timestamp", 2)
def build_utc_timestamp(call: FunctionCall) -> Typed:
    """Shows the wall clock of another zone as if it were this one's."""
    own = local_sql(call.argument(0, TIMESTAMP).sql, call.binder.zone)
    if call.name == "from_utc_timestamp":
        # The session's wall clock is taken for UTC.
        clock = _wall(f"timezone('UTC', {own})", call, 1)
    else:
        clock = f"timezone('UTC', {_instant(own, call, 1)})"
    return Typed(local_sql(clock, call.binder.zone), TIMESTAMP, call.shown)


@function("convert_timezone", 2, 3)
def build_convert_timezone(call: FunctionCall) -> Typed:
    """The wall clock of one zone in another."""
    last = len(call.args) - 1
    clock = call.argument(last, TIMESTAMP_NTZ).sql
    moment = _instant(clock, call, 0) if last == 2 else local_sql(clock, call.binder.zone)
    return Typed(_wall(moment, call, last - 1), TIMESTAMP_NTZ, call.shown)


@function("sequence", 2, 3)
def build_sequence(call: FunctionCall) -> Typed:
    """The values from a start to an end, both included."""
    start, stop = call.args[0], call.args[1]
    values, kind = call.binder.unify([start, stop], call.shown)
    result = SqlType("ARRAY", element=kind)
    if kind.is_integral:
        return _number_sequence(call, values, result)
    if kind.name not in ("DATE", "TIMESTAMP", "TIMESTAMP_NTZ"):
        raise unexpected_input("sequence", 1, '("TIMESTAMP" or "DATE" or "INTEGRAL")', start)
    step = call.args[2].sql if len(call.args) == 3 else "INTERVAL 1 DAY"
    first, last = values[0].sql, values[1].sql
    if kind == DATE:
        first, last = f"CAST({first} AS TIMESTAMP)", f"CAST({last} AS TIMESTAMP)"
    span = f"abs(epoch({last}) - epoch({first}))"
    count = f"coalesce({span} / nullif(abs(epoch({step})), 0) + 1, 1)"
    made = f"generate_series({first}, {items_checked('sequence', count, last)}, {step})"
    if kind == DATE:
        made = f"list_transform({made}, lambda x: CAST(x AS DATE))"
    return Typed(made, result, call.shown)


def _number_sequence(call: FunctionCall, values: list[Typed], result: SqlType) -> Typed:
    start, stop = values[0].sql, values[1].sql
    element = result.element or INT
    step = call.argument(2, BIGINT).sql if len(call.args) == 3 else "1"
    span = f"abs(CAST({stop} AS DOUBLE) - CAST({start} AS DOUBLE))"
    # A step of 0 makes one item, or is an error.
    count = f"({span} / coalesce(nullif(abs(CAST({step} AS DOUBLE)), 0), {span} + 1) + 1)"
    end = items_checked("sequence", count, stop)
    if len(call.args) == 3:
        error = SqlError(
            "INTERNAL_ERROR",
            "XX000",
            "Illegal sequence boundaries: {} to {} by {}",
        )
        wrong = (
            f"({step} = 0 AND {start} <> {stop}) OR ({step} > 0 AND {start} > {stop}) OR ({step} "
            f"< 0 AND {start} < {stop})"
        )
        items = (
            f"CASE WHEN {wrong} THEN {fail_sql(error, start, stop, step)} WHEN {step} = 0 THEN "
            f"[{start}] ELSE generate_series({start}, {end}, {step}) END"
        )
    else:
        items = (
            f"CASE WHEN {start} <= {stop} THEN generate_series({start}, {end}) ELSE "
            f"generate_series({start}, {end}, -1) END"
        )
    return Typed(f"CAST({items} AS {element.duckdb()}[])", result, call.shown)
