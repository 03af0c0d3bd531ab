"""JSON text and VARIANT: paths, schemas, and values checked against a schema.

The rules are those of Spark's ``JacksonParser`` (from_json), ``get_json_object`` and
``VariantGet``: https://docs.databricks.com/aws/en/sql/language-manual/functions/from_json,
https://docs.databricks.com/aws/en/sql/language-manual/sql-ref-json-path-expression.
"""

from __future__ import annotations

import json
import re
from base64 import b64decode
from binascii import Error as Base64Error
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation, localcontext
from functools import lru_cache
from typing import Any

import orjson

from vinci_code.warehouse.sql.casts import number_text
from vinci_code.warehouse.sql.coercion import interval_units
from vinci_code.warehouse.sql.errors import SqlError, malformed_record, unsupported
from vinci_code.warehouse.sql.json_reading import (
    Number,
    Repeated,
    copied,
    double,
    dump,
    load,
    pairs,
    read,
    read_strictly,
)
from vinci_code.warehouse.sql.patterns import parse_datetime
from vinci_code.warehouse.sql.texts import (
    parse_date,
    parse_interval,
    parse_timestamp,
    parse_timestamp_ntz,
)
from vinci_code.warehouse.sql.types import SqlType, parse_type

_RANGES = {"TINYINT": 2**7, "SMALLINT": 2**15, "INT": 2**31, "BIGINT": 2**63}


class BadRecordError(ValueError):
    """A JSON value does not fit the schema."""


_Steps = tuple[tuple[str, Any], ...]

# Of the paths that ``:`` and ``[]`` are made into, which nobody but the translation writes. What
# stands for one character stands for no other: a long key takes no more time than its length.
_STEP = re.compile(
    r"\.(?P<name>[^.\[\]]+)|\[(?P<index>\d+)\]|\[(?P<star>\*)\]|"
    r"\[(?P<loose>~?)'(?P<key>(?:\\.|[^\\'])*)'\]|(?P<wild>\.\*)",
    re.DOTALL,
)


# Of the paths that get_json_object and variant_get take, as Spark's parsers of them: a backslash is
# a character as any other.
_OBJECT_STEP = re.compile(
    r"\.\s*(?P<name>[^.\[]+)|\[\s*(?P<index>\d+)\]|\[(?P<star>\*)\]|\s*\['\s*(?P<key>[^']+)'\]"
)
_VARIANT_STEP = re.compile(
    r"\.(?P<name>[^.\[]+)|\[(?P<index>\d+)\]|\['(?P<single>[^']*)'\]|\[\"(?P<double>[^\"]*)\"\]"
)
_LARGEST_INDEX = 2**31 - 1


@lru_cache(maxsize=4096)
def parse_path(path: str) -> _Steps | None:
    """Return the steps of a path of the translation, or ``None`` where it is no path."""
    return _steps(path, _STEP, _step)


@lru_cache(maxsize=4096)
def parse_object_path(path: str) -> _Steps | None:
    """Return the steps of a path for ``get_json_object``, or ``None`` where it is no path."""
    return _steps(path, _OBJECT_STEP, _object_step)


@lru_cache(maxsize=4096)
def parse_variant_path(path: str) -> _Steps | None:
    """Return the steps of a path for ``variant_get``, or ``None`` where it is no path."""
    return _steps(path, _VARIANT_STEP, _variant_step)


def _steps(
    path: str, step: re.Pattern[str], read_step: Callable[[re.Match[str]], tuple[str, Any]]
) -> _Steps | None:
    if not path.startswith("$"):
        return None
    steps: list[tuple[str, Any]] = []
    position = 1
    while position < len(path):
        match = step.match(path, position)
        if match is None:
            return None
        steps.append(read_step(match))
        position = match.end()
    if any(kind == "index" and place > _LARGEST_INDEX for kind, place in steps):
        return None
    return tuple(steps)


def _object_step(match: re.Match[str]) -> tuple[str, Any]:
    if match["index"] is not None:
        return "index", int(match["index"])
    if match["star"] is not None:
        return "star", None
    name = match["name"] or match["key"]
    # All the fields of an object, which finds nothing.
    return ("fields", None) if name == "*" else ("key", name)


def _variant_step(match: re.Match[str]) -> tuple[str, Any]:
    if match["index"] is not None:
        return "index", int(match["index"])
    return "key", match[str(match.lastgroup)]


def _step(match: re.Match[str]) -> tuple[str, Any]:
    if match["index"] is not None:
        return "index", int(match["index"])
    if match["star"] is not None or match["wild"] is not None or match["name"] == "*":
        return "star", None
    if match["name"] is not None:
        return "key", match["name"]
    kind = "loose" if match["loose"] else "key"
    return kind, re.sub(r"\\(.)", r"\1", match["key"], flags=re.DOTALL)


_MISSING = object()


def walk(value: Any, steps: _Steps) -> Any:
    """Return what a path finds; several finds of ``[*]`` are a list, ``_MISSING`` for none."""
    for number, (kind, name) in enumerate(steps):
        rest = steps[number + 1 :]
        if kind == "star":
            if not isinstance(value, list):
                return _MISSING
            return _found([walk(item, rest) for item in value]) or _MISSING
        if isinstance(value, Repeated) and kind == "key":
            found = _found([walk(item, rest) for key, item in value.pairs if key == name])
            return next((item for item in found if item is not None), _MISSING)
        value = _take(value, kind, name)
        if value is _MISSING:
            return _MISSING
    return value


def _found(values: list[Any]) -> list[Any]:
    return [value for value in values if value is not _MISSING]


def _take(value: Any, kind: str, name: Any) -> Any:
    if kind == "index":
        return value[name] if isinstance(value, list) and name < len(value) else _MISSING
    if not isinstance(value, dict):
        return _MISSING
    if kind == "loose" and name not in value:
        lowered = str(name).lower()
        return next((item for key, item in value.items() if key.lower() == lowered), _MISSING)
    return value.get(name, _MISSING)


def get_json_object(text: str | None, path: str | None) -> str | None:
    """Return what a path finds in JSON text: text as it is, anything else as JSON."""
    return _json_text(text, path, parse_object_path)


def json_path(text: str | None, path: str | None) -> str | None:
    """Return what a path of the translation finds in JSON text, as ``get_json_object``."""
    return _json_text(text, path, parse_path)


def _json_text(
    text: str | None, path: str | None, parse: Callable[[str], _Steps | None]
) -> str | None:
    if text is None or path is None:
        return None
    steps = parse(path)
    if steps is None:
        return None
    try:
        found = walk(read(text), steps)
    except (ValueError, RecursionError):
        return None
    if found is _MISSING or found is None:
        return None
    if isinstance(found, list) and len(found) == 1 and any(kind == "star" for kind, _ in steps):
        found = found[0]
    if isinstance(found, str) and not isinstance(found, Number):
        return found
    return copied(found)


def variant_get(text: str | None, path: str | None) -> str | None:
    """Return a part of a VARIANT as a VARIANT.

    Raises:
        SqlError: ``INVALID_VARIANT_GET_PATH``.
    """
    return _variant_part(text, path, parse_variant_path)


def variant_path(text: str | None, path: str | None) -> str | None:
    """Return what a path of the translation finds in a VARIANT, as ``variant_get``."""
    return _variant_part(text, path, parse_path)


def _variant_part(
    text: str | None, path: str | None, parse: Callable[[str], _Steps | None]
) -> str | None:
    if text is None or path is None:
        return None
    steps = parse(path)
    if steps is None or any(kind == "star" for kind, _ in steps):
        raise SqlError(
            "INVALID_VARIANT_GET_PATH",
            "22023",
            f"The path `{path}` is not a valid variant extraction path in `variant_get`. A "
            f"valid path "
            "should start with `$` and is followed by zero or more segments like `[123]`, `.name`, "
            "`['name']`, or `[\"name\"]`.",
        )
    found = walk(load(text), steps)
    return None if found is _MISSING else dump(found, sort=True)


def parse_json(text: str | None, attempt: bool) -> str | None:
    """Return JSON text as a VARIANT.

    Raises:
        SqlError: ``MALFORMED_RECORD_IN_PARSING.WITHOUT_SUGGESTION`` unless ``attempt`` is set.
    """
    if text is None:
        return None
    try:
        return _variant(text)
    except (ValueError, RecursionError):
        if attempt:
            return None
        raise malformed_record(text) from None


def _variant(text: str) -> str:
    value = read_strictly(text)
    try:
        # Refused are the subclasses: numbers that are no integers, and objects with repeated keys.
        return orjson.dumps(value, option=_SORTED).decode()
    except TypeError:
        return dump(_normal(value), sort=True).encode("utf-8", "replace").decode()


_SORTED = orjson.OPT_SORT_KEYS | orjson.OPT_PASSTHROUGH_SUBCLASS


def _normal(value: Any) -> Any:
    """Numbers are what VARIANT holds: decimals of 38 digits without zeros at the end, or doubles.

    Raises:
        BadRecordError: An object repeats a key.
    """
    if isinstance(value, Repeated):
        raise BadRecordError("a repeated key")
    if isinstance(value, dict):
        return {key: _normal(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_normal(item) for item in value]
    if isinstance(value, Number):
        return _normal_number(value)
    if isinstance(value, int) and abs(value) >= _DECIMAL_LIMIT:
        return Number(double(str(value)))
    return value


_DECIMAL_LIMIT = 10**38


def _normal_number(text: Number) -> Number:
    number = Decimal(text)
    digits, exponent = number.as_tuple()[1:]
    if "e" in text.lower() or not number.is_finite() or max(len(digits), -int(exponent)) > 38:
        return Number(double(text))
    plain = f"{number:f}".rstrip("0").rstrip(".")
    return Number(plain if number else "0")


def variant_text(text: str | None) -> str | None:
    """Return ``CAST(variant AS STRING)``: text as it is, JSON null as NULL."""
    if text is None:
        return None
    value = load(text)
    if value is None:
        return None
    return str(value) if isinstance(value, str) else dump(value, sort=True)


def variant_entries(text: str | None) -> str | None:
    """Return the rows of ``variant_explode`` as a JSON array."""
    if text is None:
        return None
    value = load(text)
    if isinstance(value, dict):
        pairs: Iterator[tuple[str | None, Any]] = iter(sorted(value.items()))
    elif isinstance(value, list):
        pairs = ((None, item) for item in value)
    else:
        return None
    return json.dumps(
        [
            {"pos": index, "key": key, "value": dump(item, sort=True)}
            for index, (key, item) in enumerate(pairs)
        ]
    )


def json_array_length(text: str | None) -> int | None:
    """Return the length of a JSON array, ``None`` for anything else."""
    value = _loaded(text)
    return len(value) if isinstance(value, list) else None


def json_object_keys(text: str | None) -> list[str] | None:
    """Return the keys of a JSON object, ``None`` for anything else."""
    value = _loaded(text)
    return [key for key, _ in pairs(value)] if isinstance(value, dict) else None


def _loaded(text: str | None) -> Any:
    try:
        return None if text is None else read(text)
    except (ValueError, RecursionError):
        return None


@lru_cache(maxsize=1024)
def _schema_type(schema: str) -> SqlType:
    return parse_type(schema)


@lru_cache(maxsize=256)
def _loaded_options(text: str) -> dict[str, str]:
    return dict(json.loads(text))


def from_json(text: str | None, schema: str, options: str, zone: str) -> str | None:
    """Return JSON text that fits a schema, every leaf a text that DuckDB casts without loss.

    Raises:
        SqlError: ``MALFORMED_RECORD_IN_PARSING`` in FAILFAST mode.
    """
    if text is None:
        return None
    kind = _schema_type(schema)
    settings = _loaded_options(options)
    mode = settings["mode"]
    fitter = Fitter(zone, strict=mode == "FAILFAST", formats=settings)
    try:
        if not text.strip():
            return None
        value = fitter.top(read(text, words=True), kind)
        if value is None and (mode == "FAILFAST" or kind.name == "STRUCT"):
            raise BadRecordError("null")
    except (ValueError, RecursionError):
        if mode == "FAILFAST":
            raise SqlError(
                "MALFORMED_RECORD_IN_PARSING.WITHOUT_SUGGESTION",
                "22023",
                f"Malformed records are detected in record parsing: {_excerpt(text)}. Parse Mode: "
                "FAILFAST. To process malformed records as null result, try setting the option "
                "'mode' as 'PERMISSIVE'.",
            ) from None
        return _permissive_null(kind)
    if value is None:
        return None
    found = value if kind.name == "VARIANT" else json.dumps(value, ensure_ascii=False)
    # Half of a surrogate pair is a question mark, as in Java.
    return str(found).encode("utf-8", "replace").decode()


_EXCERPT = 200


def _excerpt(text: str) -> str:
    return text if len(text) <= _EXCERPT else text[:_EXCERPT] + "…"


def _permissive_null(kind: SqlType) -> str | None:
    # A malformed record is a struct of NULLs where the schema is a struct, else NULL.
    if kind.name == "STRUCT":
        return json.dumps({item.name: None for item in kind.fields})
    return None


class Fitter:
    """Fits JSON values to types as Spark's JSON reader does.

    Args:
        zone: The time zone of times that name none.
        strict: Whether a value that does not fit is an error; otherwise it is NULL.
        formats: Patterns of dates and times, by the names of their options in small letters.
    """

    def __init__(self, zone: str, *, strict: bool, formats: dict[str, str] | None = None) -> None:
        self._zone = zone
        self._formats = formats or {}
        self._strict = strict

    def top(self, value: Any, kind: SqlType) -> Any:
        """Fit the outermost value; an object stands for an array of one."""
        if kind.element is not None and kind.element.name == "STRUCT" and isinstance(value, dict):
            return [self.fit(value, kind.element)]
        if kind.name == "STRUCT" and isinstance(value, list):
            raise BadRecordError(kind.name)
        return self.fit(value, kind)

    def fit(self, value: Any, kind: SqlType) -> Any:
        """Return the value for a type.

        Raises:
            BadRecordError: It does not fit.
        """
        if value is None:
            return "null" if kind.name == "VARIANT" else None
        if kind.name == "STRUCT":
            return self._struct(value, kind)
        if kind.element is not None:
            if not isinstance(value, list):
                raise BadRecordError(kind.name)
            return [self.fit(item, kind.element) for item in value]
        if kind.key is not None and kind.value is not None:
            if not isinstance(value, dict):
                raise BadRecordError(kind.name)
            if isinstance(value, Repeated):
                # Spark makes a MAP that holds the key twice.
                raise unsupported("from_json of an object that repeats a key, as a MAP")
            return {
                str(_leaf(key, kind.key, self._zone)): self.fit(item, kind.value)
                for key, item in value.items()
            }
        pattern = self.pattern(kind)
        if pattern is not None and isinstance(value, str):
            return _formatted(value, pattern, kind, self._zone)
        return _leaf(value, kind, self._zone)

    def pattern(self, kind: SqlType) -> str | None:
        """Return the pattern that an option gives for the texts of a type."""
        return self._formats.get(_FORMAT_OPTIONS.get(kind.name, ""))

    def _struct(self, value: Any, kind: SqlType) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise BadRecordError(kind.name)
        result = {}
        for item in kind.fields:
            result[item.name] = self._field(_values(value, item.name), item.type)
        return result

    def _field(self, values: list[Any], kind: SqlType) -> Any:
        found = None
        for value in values:
            try:
                found = self.fit(value, kind)
            except ValueError:
                if self._strict:
                    raise
                # PERMISSIVE keeps the other fields, and what the key had before.
        return found


def _values(value: dict[str, Any], name: str) -> list[Any]:
    """Every value of a key, in order."""
    if isinstance(value, Repeated):
        return [item for key, item in value.pairs if key == name]
    return [value[name]] if name in value else []


_FORMAT_OPTIONS = {
    "TIMESTAMP": "timestampformat",
    "TIMESTAMP_NTZ": "timestampntzformat",
    "DATE": "dateformat",
}


def _formatted(text: str, pattern: str, kind: SqlType, zone: str) -> str:
    moment = parse_datetime(text, pattern, zone if kind.name == "TIMESTAMP" else "UTC")
    if moment is None:
        raise BadRecordError(text)
    return moment.date().isoformat() if kind.name == "DATE" else moment.isoformat(" ")


def _leaf(value: Any, kind: SqlType, zone: str) -> Any:
    if kind.is_string:
        plain = isinstance(value, str) and not isinstance(value, Number)
        return str(value) if plain else copied(value)
    if kind.name == "VARIANT":
        return dump(_normal(value), sort=True)
    reader = _LEAVES.get("INTEGRAL" if kind.is_integral else kind.name)
    if kind.is_interval:
        reader = _read_interval
    if reader is None:
        raise BadRecordError(kind.name)
    found = reader(value, kind, zone)
    if found is None:
        raise BadRecordError(kind.name)
    return found


def _read_boolean(value: Any, _kind: SqlType, _zone: str) -> bool | None:
    return value if isinstance(value, bool) else None


def _read_integer(value: Any, kind: SqlType, _zone: str) -> int | None:
    if isinstance(value, bool) or not isinstance(value, int):
        return None
    limit = _RANGES[kind.name]
    return value if -limit <= value < limit else None


_FLOAT_WORDS = {
    "NaN": "nan",
    "+INF": "inf",
    "Infinity": "inf",
    "+Infinity": "inf",
    "-INF": "-inf",
    "-Infinity": "-inf",
}


def _read_float(value: Any, _kind: SqlType, _zone: str) -> str | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, (int, Number)):
        return repr(float(value))
    return _FLOAT_WORDS.get(value) if isinstance(value, str) else None


_DECIMAL = re.compile(r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)


def _read_decimal(value: Any, kind: SqlType, _zone: str) -> str | None:
    if isinstance(value, bool) or not isinstance(value, (int, str)):
        return None
    # Java's reader of numbers passes over the separators of thousands.
    text = str(value).replace(",", "")
    if not _DECIMAL.fullmatch(text):
        return None
    precision, scale = kind.precision or 10, kind.scale or 0
    with localcontext() as context:
        context.prec = 120
        try:
            rounded = Decimal(text).quantize(Decimal(1).scaleb(-scale), ROUND_HALF_UP)
        except InvalidOperation:
            return None
    return f"{rounded:f}" if rounded.copy_abs() < Decimal(10) ** (precision - scale) else None


def _read_date(value: Any, _kind: SqlType, _zone: str) -> str | None:
    if not isinstance(value, str) or isinstance(value, Number):
        return None
    day = parse_date(value)
    return day.isoformat() if day else None


def _read_timestamp(value: Any, _kind: SqlType, zone: str) -> str | None:
    if isinstance(value, int) and not isinstance(value, bool):
        return _seconds(value)
    if not isinstance(value, str) or isinstance(value, Number):
        return None
    moment = parse_timestamp(value, zone)
    return moment.isoformat(" ") if moment else None


def _seconds(value: int) -> str | None:
    try:
        return (_EPOCH + timedelta(seconds=value)).isoformat(" ")
    except OverflowError:
        return None


_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - an instant, as UTC


def _read_ntz(value: Any, _kind: SqlType, _zone: str) -> str | None:
    if not isinstance(value, str) or isinstance(value, Number):
        return None
    clock = parse_timestamp_ntz(value)
    return clock.isoformat(" ") if clock else None


def _read_binary(value: Any, _kind: SqlType, _zone: str) -> str | None:
    if not isinstance(value, str) or isinstance(value, Number):
        return None
    try:
        b64decode(value, validate=True)
    except (Base64Error, ValueError):
        return None
    return value


def _read_interval(value: Any, kind: SqlType, _zone: str) -> str | None:
    if not isinstance(value, str):
        return None
    count = parse_interval(value, *interval_units(kind))
    return None if count is None else str(count)


_LEAVES: dict[str, Callable[[Any, SqlType, str], Any]] = {
    "BOOLEAN": _read_boolean,
    "INTEGRAL": _read_integer,
    "FLOAT": _read_float,
    "DOUBLE": _read_float,
    "DECIMAL": _read_decimal,
    "DATE": _read_date,
    "TIMESTAMP": _read_timestamp,
    "TIMESTAMP_NTZ": _read_ntz,
    "BINARY": _read_binary,
}


def variant_cast(text: str | None, schema: str, mode: str, zone: str) -> str | None:
    """Return a VARIANT as checked JSON for a type; the casts between scalars are those of CAST.

    Raises:
        SqlError: ``INVALID_VARIANT_CAST`` unless the mode is ``try``.
    """
    if text is None:
        return None
    value = load(text)
    if value is None:
        return None
    try:
        fitter = _VariantFitter(zone, attempt=mode == "try")
        found = fitter.fit(value, _schema_type(schema))
    except ValueError:
        raise SqlError(
            "INVALID_VARIANT_CAST",
            "22023",
            f"The variant value `{text}` cannot be cast into `{schema}`. Please use "
            "`try_variant_get` instead.",
        ) from None
    return None if found is None else json.dumps(found, ensure_ascii=False)


class _VariantFitter(Fitter):
    """Fits VARIANT values: scalars are cast as CAST does, text to numbers too.

    An attempt gives NULL for each part that does not fit.
    """

    def __init__(self, zone: str, *, attempt: bool) -> None:
        super().__init__(zone, strict=True)
        self._attempt = attempt

    def fit(self, value: Any, kind: SqlType) -> Any:
        try:
            return self._fit(value, kind)
        except ValueError:
            if self._attempt:
                return None
            raise

    def _fit(self, value: Any, kind: SqlType) -> Any:
        if value is None:
            return "null" if kind.name == "VARIANT" else None
        if kind.name == "VARIANT":
            return dump(value, sort=True)
        if isinstance(value, (dict, list)) or kind.is_nested:
            return super().fit(value, kind)
        return super().fit(_recast(value, kind), kind)


def _recast(value: Any, kind: SqlType) -> Any:
    if kind.name == "BOOLEAN":
        return _recast_boolean(value)
    if kind.is_integral:
        return _recast_integer(value)
    if kind.name in ("DECIMAL", "DOUBLE", "FLOAT"):
        return _recast_number(value, kind)
    return value


def _recast_boolean(value: Any) -> Any:
    if isinstance(value, str) and not isinstance(value, Number):
        word = {
            "true": True,
            "t": True,
            "yes": True,
            "y": True,
            "1": True,
            "false": False,
            "f": False,
            "no": False,
            "n": False,
            "0": False,
        }.get(value.strip().lower())
        if word is None:
            raise BadRecordError(value)
        return word
    return bool(float(value))


def _recast_integer(value: Any) -> int:
    if isinstance(value, Number):
        return int(Decimal(value))
    if isinstance(value, str) and not re.fullmatch(r"\s*[+-]?\d+\s*", value):
        raise BadRecordError(value)
    return int(value)


def _recast_number(value: Any, kind: SqlType) -> Any:
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, str) and not isinstance(value, Number):
        text = number_text(value)
        if text is None or (kind.name == "DECIMAL" and not _DECIMAL.fullmatch(value.strip())):
            raise BadRecordError(value)
        return Number(text)
    return value
