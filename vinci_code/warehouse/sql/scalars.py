"""Functions on text and numbers that DuckDB lacks or computes by other rules, in Python."""

from __future__ import annotations

import hashlib
import math
import re
import sys
import zlib
from base64 import b64decode
from binascii import Error as Base64Error
from calendar import monthrange
from datetime import date, datetime, timedelta
from decimal import (
    ROUND_CEILING,
    ROUND_DOWN,
    ROUND_FLOOR,
    ROUND_HALF_EVEN,
    ROUND_HALF_UP,
    Decimal,
    localcontext,
)
from typing import AnyStr
from urllib.parse import quote_plus, unquote_plus

from vinci_code.warehouse.sql import regular_expressions
from vinci_code.warehouse.sql.bounds import Room, check_length
from vinci_code.warehouse.sql.errors import SqlError, divide_by_zero, remainder_by_zero, unsupported

_MODES = {
    "up": ROUND_HALF_UP,
    "even": ROUND_HALF_EVEN,
    "ceil": ROUND_CEILING,
    "floor": ROUND_FLOOR,
}


def decimal_arithmetic(
    left: str, right: str, operator: str, precision: int, scale: int
) -> str | None:
    """Return exact decimal arithmetic, rounded half up to precision and scale.

    The operator is ``!`` to raise or ``?`` for NULL, and then ``+ - * / % div``.
    """
    attempt, symbol = operator[0] == "?", operator[1:]
    with localcontext() as context:
        context.prec = 120
        one, two = Decimal(left), Decimal(right)
        if symbol in ("/", "%", "div") and not two:
            if attempt:
                return None
            raise divide_by_zero() if symbol != "%" else remainder_by_zero()
        exact = _compute(one, two, symbol)
        result = exact.quantize(Decimal(1).scaleb(-scale), ROUND_HALF_UP)
    if result.copy_abs() >= Decimal(10) ** (precision - scale):
        if attempt:
            return None
        raise SqlError(
            "NUMERIC_VALUE_OUT_OF_RANGE.WITH_SUGGESTION",
            "22003",
            f"{exact:f} cannot be represented as Decimal({precision}, {scale}). If necessary set "
            'ansi_mode to "false" to bypass this error, and return NULL instead.',
        )
    return f"{result:f}"


def _compute(one: Decimal, two: Decimal, symbol: str) -> Decimal:
    if symbol == "+":
        return one + two
    if symbol == "-":
        return one - two
    if symbol == "*":
        return one * two
    if symbol == "/":
        return one / two
    whole = (one / two).to_integral_value(ROUND_DOWN)
    return whole if symbol == "div" else one - two * whole


_MOST_DIGITS = 350  # of a DOUBLE, before its point


def round_text(text: str, scale: int, mode: str) -> str:
    """Return a number, given and returned as text, rounded at a digit."""
    if not text.lstrip("-")[:1].isdigit():
        return text
    scale = max(scale, -_MOST_DIGITS)  # before the first digit everything is rounded away
    with localcontext() as context:
        context.prec = 400
        value = Decimal(text) or Decimal(0)  # Java's BigDecimal has no -0
        if value and -int(value.as_tuple().exponent) <= scale:
            return text
        rounded = value.quantize(Decimal(1).scaleb(-scale), _MODES[mode])
        return f"{rounded or Decimal(0):f}"


def shift(value: int, count: int, symbol: str, bits: int) -> int:
    """Return a shift of the bits of a Java int or long."""
    count %= bits
    mask = (1 << bits) - 1
    if symbol == ">>":
        return value >> count
    result = (value << count) & mask if symbol == "<<" else (value & mask) >> count
    return result - (1 << bits) if result >> (bits - 1) else result


def initcap(text: str) -> str:
    """Return the text with the first letter of every word in upper case."""
    return " ".join(word[:1].upper() + word[1:].lower() for word in text.split(" "))


def substring_index(text: str, delimiter: str, count: int) -> str:
    """Return what stands before (or, for a negative count, after) the n-th delimiter."""
    if not delimiter or not count:
        return ""
    parts = text.split(delimiter)
    return delimiter.join(parts[:count] if count > 0 else parts[count:])


def find_in_set(text: str, items: str) -> int:
    """Return the place of a text in a list separated by commas, 0 where it is not in it."""
    parts = items.split(",")
    return parts.index(text) + 1 if "," not in text and text in parts else 0


def format_number(text: str, places: int) -> str | None:
    """Return a number with separators of thousands, rounded half even.

    The text is that of DuckDB. ``None`` is answered where the places behind the point are negative.
    """
    value = Decimal(text)
    if places < 0:
        return None
    if not value.is_finite():
        return "NaN" if value.is_nan() else "∞" if value > 0 else "-∞"
    check_length("format_number", places)
    return f"{_fixed(value, places, ROUND_HALF_EVEN):,f}"


def _fixed(value: Decimal, places: int, rounding: str) -> Decimal:
    """Return a number rounded to some digits after the point, however long it is."""
    with localcontext() as context:
        context.prec = max(value.adjusted(), 0) + places + 40
        return value.quantize(Decimal(1).scaleb(-places), rounding)


def unbase64(text: str) -> bytes:
    """Return the bytes of Base64 text.

    Raises:
        SqlError: ``CONVERSION_INVALID_INPUT``.
    """
    # Letters outside of the alphabet are passed over, as Java's MIME decoder does; but "=" ends the
    # data, where it must complete it.
    data, equals, rest = re.sub(r"[^A-Za-z0-9+/=]", "", text).partition("=")
    missing = -len(data) % 4
    complete = not equals or missing == 1 or (missing == 2 and "==" in text)
    if missing == 3 or not complete or rest.strip("="):
        raise _not_binary(text, "base64")
    return b64decode(data + "=" * missing)


def unhex(text: str) -> bytes | None:
    """Return the bytes of hexadecimal digits, ``None`` for anything else."""
    if not re.fullmatch(r"[0-9a-fA-F]*", text):
        return None
    return bytes.fromhex(text if len(text) % 2 == 0 else f"0{text}")


def decode_utf8(data: bytes) -> str:
    """Return the text of UTF-8 bytes.

    Raises:
        SqlError: ``MALFORMED_CHARACTER_CODING``.
    """
    return decode(data, "UTF-8")


_CHARSETS = {
    "US-ASCII": "ascii",
    "ISO-8859-1": "latin-1",
    "UTF-8": "utf-8",
    "UTF-16BE": "utf-16-be",
    "UTF-16LE": "utf-16-le",
    "UTF-16": "utf-16-be",
    "UTF-32": "utf-32-be",
}
# A mark at the beginning says the order of the bytes; without one it is the big end first.
_MARKS = {
    "UTF-16": ((b"\xff\xfe", "utf-16-le"), (b"\xfe\xff", "utf-16-be")),
    "UTF-32": ((b"\xff\xfe\0\0", "utf-32-le"), (b"\0\0\xfe\xff", "utf-32-be")),
}


def _codec(name: str, function: str) -> str:
    codec = _CHARSETS.get(name.upper())
    if codec is None:
        raise SqlError(
            "INVALID_PARAMETER_VALUE.CHARSET",
            "22023",
            f"The value of parameter(s) `charset` in `{function}` is invalid: expects one of the "
            f"{', '.join(f'`{one}`' for one in _CHARSETS)}, but got {name}.",
        )
    return codec


def decode(data: bytes, charset: str) -> str:
    """Return the text of bytes in a character set."""
    codec = _codec(charset, "decode")
    for mark, marked in _MARKS.get(charset.upper(), ()):
        if data.startswith(mark):
            data, codec = data[len(mark) :], marked
            break
    try:
        return data.decode(codec)
    except UnicodeError:
        raise _malformed("decode", charset) from None


def encode(text: str, charset: str) -> bytes:
    """Return the bytes of a text in a character set; UTF-16 begins with a mark, as in Java."""
    if text and charset.upper() == "UTF-16":
        return b"\xfe\xff" + text.encode("utf-16-be")
    try:
        return text.encode(_codec(charset, "encode"))
    except UnicodeError:
        raise _malformed("encode", charset) from None


def _malformed(function: str, charset: str) -> SqlError:
    return SqlError(
        "MALFORMED_CHARACTER_CODING",
        "22000",
        f"Invalid value found when performing `{function}` with {charset}.",
    )


def sha2(data: bytes, bits: int) -> str | None:
    """Return SHA-2 in hexadecimal digits, ``None`` for a number of bits that it lacks."""
    name = {0: "sha256", 224: "sha224", 256: "sha256", 384: "sha384", 512: "sha512"}.get(bits)
    return hashlib.new(name, data).hexdigest() if name else None


def crc32(data: bytes) -> int:
    """Return CRC-32."""
    return zlib.crc32(data)


def conv(text: str, source: int, target: int) -> str | None:
    """Return a number in another base, as Hive's ``conv`` does."""
    text = text.strip()
    if not text or not 2 <= source <= 36 or not 2 <= abs(target) <= 36:
        return None
    negative = text.startswith("-")
    digits = ""
    for letter in text[1:] if negative else text:
        if not (letter.isascii() and letter.isalnum()) or int(letter, 36) >= source:
            break
        digits += letter
    digits = digits.lstrip("0")
    # More digits than 64 bits have in any base; to read them takes the square of their number.
    value = 2**64 if len(digits) > 64 else int(digits or "0", source)
    if value >= 2**64:
        raise SqlError("ARITHMETIC_OVERFLOW", "22003", "Overflow in function conv().")
    if negative:
        value = -value if target < 0 else (2**64 - value) % 2**64
    elif target < 0 and value >= 2**63:
        value -= 2**64
    sign = "-" if value < 0 else ""
    return sign + _in_base(abs(value), abs(target))


def _in_base(value: int, base: int) -> str:
    digits = ""
    while True:
        value, rest = divmod(value, base)
        digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"[rest] + digits
        if not value:
            return digits


def binary_digits(value: int) -> str:
    """Return the bits of a long."""
    return format(value & (2**64 - 1), "b")


def hex_digits(value: int) -> str:
    """Return the hexadecimal digits of a long."""
    return format(value & (2**64 - 1), "X")


def split_part(text: str, delimiter: str, part: int) -> str:
    """Return one part of a text; an empty text beyond the end."""
    if not part:
        raise SqlError(
            "INVALID_INDEX_OF_ZERO",
            "22003",
            "The index 0 is invalid. An index shall be either < 0 or > 0 (the first element has "
            "index 1).",
        )
    parts = text.split(delimiter) if delimiter else [text]
    index = part - 1 if part > 0 else len(parts) + part
    return parts[index] if 0 <= index < len(parts) else ""


def rlike(text: str, pattern: str) -> bool:
    """Return whether a pattern is found in a text."""
    return regular_expressions.pattern(pattern).found(text)


def regexp_replace(text: str, pattern: str, replacement: str, position: int) -> str:
    """Return a text with every match from a position replaced."""
    start = max(position - 1, 0)
    if start > len(text):
        return text
    compiled = regular_expressions.pattern(pattern)
    rest, parts, index = text[start:], [text[:start]], 0
    pieces: list[str | int] = []
    room = Room("regexp_replace")
    for match in compiled.matches(rest):
        # A replacement that names a group that is not there does no harm where nothing matches.
        try:
            pieces = pieces or _replacement(replacement, compiled)
        except LookupError:
            raise SqlError(
                "INVALID_REGEXP_REPLACE",
                "22023",
                f'Could not perform regexp_replace for source = "{text}", pattern = "{pattern}", '
                f'replacement = "{replacement}" and position = {position}.',
            ) from None
        new = "".join(match.group(one) if isinstance(one, int) else one for one in pieces)
        room.take(len(new))
        parts += [rest[index : match.start], new]
        index = match.end
    return "".join([*parts, rest[index:]])


def _replacement(text: str, compiled: regular_expressions.Pattern) -> list[str | int]:
    r"""Return the parts of Java's replacement: texts, and the numbers of groups (``$1``, ``${n}``).

    Raises:
        LookupError: There is no such group.
    """
    result: list[str | int] = [""]
    for match in _REPLACEMENT.finditer(text):
        if match["plain"] is not None or match["escaped"] is not None:
            result.append(match["plain"] or match["escaped"] or "")
            continue
        name = match["name"]
        number = int(match["digits"]) if name is None else compiled.names[name]
        if number > compiled.groups:
            raise IndexError(number)
        result.append(number)
    return result


_REPLACEMENT = re.compile(
    r"\\(?P<escaped>.)|\$(?:(?P<digits>\d)|\{(?P<name>\w+)\})|(?P<plain>[^\\$]+|[\\$])", re.DOTALL
)


def _group(match: regular_expressions.Match, groups: int, group: int, function: str) -> str:
    """A group of a match; Spark looks at the group's number only where something matches."""
    if not 0 <= group <= groups:
        raise SqlError(
            "INVALID_PARAMETER_VALUE.REGEX_GROUP_INDEX",
            "22023",
            f"The value of parameter(s) `idx` in `{function}` is invalid: Expects group index "
            f"between "
            f"0 and {groups}, but got {group}.",
        )
    return match.group(group)


def regexp_extract(text: str, pattern: str, group: int) -> str:
    """Return a group of the first match, empty where there is none."""
    compiled = regular_expressions.pattern(pattern)
    match = compiled.first(text)
    return _group(match, compiled.groups, group, "regexp_extract") if match else ""


def regexp_extract_all(text: str, pattern: str, group: int) -> list[str]:
    """Return a group of every match."""
    compiled = regular_expressions.pattern(pattern)
    matches = compiled.matches(text)
    return [_group(match, compiled.groups, group, "regexp_extract_all") for match in matches]


def regexp_count(text: str, pattern: str) -> int:
    """Return how often a pattern matches."""
    return sum(1 for _ in regular_expressions.pattern(pattern).matches(text))


def regexp_substr(text: str, pattern: str) -> str | None:
    """Return the first match, ``None`` where there is none or it is empty."""
    match = regular_expressions.pattern(pattern).first(text)
    return (match.group(0) or None) if match else None


def regexp_instr(text: str, pattern: str) -> int:
    """Return where the first match begins, counted from 1; 0 where there is none."""
    match = regular_expressions.pattern(pattern).first(text)
    return match.start + 1 if match else 0


def split(text: str, pattern: str, limit: int) -> list[str]:
    """Return the parts of a text between the matches of a pattern, as Java's ``split`` does."""
    parts: list[str] = []
    index = 0
    for match in regular_expressions.pattern(pattern).matches(text):
        if limit > 0 and len(parts) == limit - 1:
            break
        # An empty pattern parts the characters, and nothing behind the last one.
        if match.end == 0 or (not pattern and match.start == len(text)):
            continue
        parts.append(text[index : match.start])
        index = match.end
    return [*parts, text[index:]]


def luhn(text: str) -> bool:
    """Return whether the digits pass the Luhn check."""
    if not text.isdigit():
        return False
    total = 0
    for index, digit in enumerate(reversed(text)):
        number = int(digit) * (2 if index % 2 else 1)
        total += number - 9 if number > 9 else number
    return total % 10 == 0


def pad(text: AnyStr, length: int, fill: AnyStr, *, left: bool) -> AnyStr:
    """Return a text, or bytes, padded or cut to a length."""
    if length <= 0:
        return text[:0]
    if len(text) >= length or not fill:
        return text[:length]
    check_length("lpad" if left else "rpad", length)
    padding = (fill * (length - len(text)))[: length - len(text)]
    return padding + text if left else text + padding


def locate(search: str, text: str, start: int) -> int:
    """Return where a text begins in another from a start; 0 where it does not."""
    if not search and start > 0:
        # Spark's UTF8String finds the empty text at the beginning, wherever it starts to look.
        return 1
    return text.find(search, start - 1) + 1 if start > 0 else 0


def overlay(text: AnyStr, replacement: AnyStr, position: int, length: int) -> AnyStr:
    """Return a text, or bytes, with another put over it."""
    end = position + (len(replacement) if length < 0 else length)
    # A position that is negative counts from the end, as that of substring does.
    rest = text[end - 1 :] if end > 0 else text[end:] if end < 0 else text
    return text[: max(position - 1, 0)] + replacement + rest


def element(index: int, items: list[str | None]) -> str | None:
    """Return the n-th item.

    Raises:
        SqlError: ``INVALID_ARRAY_INDEX``.
    """
    if not 1 <= index <= len(items):
        raise SqlError(
            "INVALID_ARRAY_INDEX",
            "22003",
            f"The index {index} is out of bounds. The array has {len(items)} elements. Use the SQL "
            "function `get()` to tolerate accessing element at invalid index and return NULL "
            "instead.",
        )
    return items[index - 1]


_CONVERSION = re.compile(r"%(?:(\d+)\$)?([-#+ 0,(]*)([1-9]\d*)?(?:\.(\d+))?([a-zA-Z%])")
_WHOLE = ("TINYINT", "SMALLINT", "INT", "BIGINT")


def format_string(template: str, values: list[str | None], kinds: str) -> str:
    """Return Java's ``String.format``, with conversions such as ``%s`` and ``%05.2f``.

    The values are given as text, their types separated by commas.
    """
    names = kinds.split(",")
    counter = iter(range(len(values)))

    def one(match: re.Match[str]) -> str:
        place, flags, width, digits, letter = match.groups()
        if max(len(width or ""), len(digits or "")) > 9:
            raise _bad_format(match.group(0))
        check_length("format_string", max(int(width or 0), int(digits or 0)))
        if letter == "%":
            return "%".rjust(int(width or 0))
        if letter == "n":
            return "\n"
        index = int(place) - 1 if place else next(counter, len(values))
        if index >= len(values) or letter in "DFO":
            raise _bad_format(match.group(0))
        return _converted(values[index], names[index], flags, width, digits, letter)

    return _CONVERSION.sub(one, template)


def _bad_format(text: str) -> SqlError:
    # Java raises an exception of its own, to which Spark gives no error class.
    return unsupported(f"the format specifier '{text}' with its argument")


def _converted(
    value: str | None, kind: str, flags: str, width: str | None, digits: str | None, letter: str
) -> str:
    lowered = letter.lower()
    if value is None:
        text = ("null" if lowered != "b" else "false")[: int(digits) if digits else None]
        flags = flags.replace("0", "").replace(",", "")
    elif lowered == "d" and kind in _WHOLE:
        text = _signed(f"{int(value):,d}" if "," in flags else str(int(value)), flags)
    elif lowered in "xo" and kind in _WHOLE:
        bits = {"TINYINT": 8, "SMALLINT": 16, "BIGINT": 64}.get(kind, 32)
        text = format(int(value) & (2**bits - 1), lowered)
    elif lowered in "fe" and kind in _FRACTIONAL:
        text, flags = _fractional(Decimal(value), flags, int(digits or 6), lowered)
    elif lowered == "c" and kind in _WHOLE[:3] and 0 <= int(value) <= sys.maxunicode:
        text = chr(int(value))
    elif lowered == "b":
        text = value if kind == "BOOLEAN" else "true"
    elif lowered == "s":
        text = value[: int(digits)] if digits else value
    else:
        raise _bad_format(f"%{letter}")
    return _placed(text.upper() if letter.isupper() else text, flags, width)


_FRACTIONAL = ("DOUBLE", "FLOAT", "DECIMAL")


def _fractional(value: Decimal, flags: str, digits: int, letter: str) -> tuple[str, str]:
    """The text of a number for %f and %e, and the flags that are left for placing it."""
    if not value.is_finite():
        # Words are padded with blanks, never with zeros.
        return _not_finite(value, flags), flags.replace("0", "")
    if letter == "e":
        return _signed(f"{float(value):.{digits}e}", flags), flags
    number = _fixed(value, digits, ROUND_HALF_UP)
    return _signed(f"{number:,f}" if "," in flags else f"{number:f}", flags), flags


def _not_finite(value: Decimal, flags: str) -> str:
    return "NaN" if value.is_nan() else _signed("-Infinity" if value < 0 else "Infinity", flags)


def _signed(text: str, flags: str) -> str:
    if "(" in flags and text.startswith("-"):
        return f"({text[1:]})"
    if "+" in flags and not text.startswith("-"):
        return f"+{text}"
    return f" {text}" if " " in flags and not text.startswith("-") else text


def _placed(text: str, flags: str, width: str | None) -> str:
    size = int(width or 0)
    if "-" in flags:
        return text.ljust(size)
    if "0" in flags:
        sign = text[:1] if text[:1] in "+- (" else ""
        return sign + text[len(sign) :].rjust(size - len(sign), "0")
    return text.rjust(size)


def str_to_map(text: str, pair: str, inner: str) -> dict[str, str | None]:
    """Return the pairs of a text.

    Raises:
        SqlError: ``DUPLICATED_MAP_KEY``.
    """
    result: dict[str, str | None] = {}
    for part in split(text, pair, -1):
        found = split(part, inner, 2)
        if found[0] in result:
            raise SqlError(
                "DUPLICATED_MAP_KEY",
                "23505",
                f"Duplicate map key {found[0]} was found, please check the input data.",
            )
        result[found[0]] = found[1] if len(found) > 1 else None
    return result


def near_levenshtein(left: str, right: str, most: int) -> int:
    """Return the edit distance, -1 where it is more than ``most``."""
    distance = levenshtein(left, right)
    return distance if distance <= most else -1


def levenshtein(left: str, right: str) -> int:
    """Return the edit distance, counted in characters."""
    if len(left) * len(right) > _MAX_DISTANCES:
        raise unsupported(
            f"levenshtein of texts of {len(left)} and {len(right)} characters: the product of both "
            f"is at most {_MAX_DISTANCES}"
        )
    row = list(range(len(right) + 1))
    for index, one in enumerate(left, 1):
        previous, row[0] = row[0], index
        for column, other in enumerate(right, 1):
            previous, row[column] = (
                row[column],
                min(row[column] + 1, row[column - 1] + 1, previous + (one != other)),
            )
    return row[-1]


# Each takes a step of Python, some million in a second.
_MAX_DISTANCES = 10_000_000


def to_binary(text: str, form: str, attempt: bool) -> bytes | None:
    """Return the bytes of a text in a form.

    Raises:
        SqlError: ``CONVERSION_INVALID_INPUT`` unless ``attempt`` is set.
    """
    if form in ("utf-8", "utf8"):
        return text.encode()
    try:
        data = unhex(text) if form == "hex" else _strict_base64(text)
    except (Base64Error, ValueError):
        data = None
    if data is None and not attempt:
        raise _not_binary(text, form)
    return data


def _strict_base64(text: str) -> bytes:
    compact = re.sub(r"\s", "", text)
    data = compact.rstrip("=")
    padded = data + "=" * (-len(data) % 4)
    # Padding may be left out altogether, and then not in part.
    if compact not in (data, padded):
        raise ValueError(text)
    return b64decode(padded, validate=True)


def _not_binary(text: str, form: str) -> SqlError:
    return SqlError(
        "CONVERSION_INVALID_INPUT",
        "22018",
        f'The value \'{text}\' ("{form.upper()}") cannot be converted to "BINARY" because it is '
        "malformed. Correct the value as per the syntax, or change its format. Use `try_to_binary` "
        "to tolerate malformed input and return NULL instead.",
    )


def soundex(text: str) -> str:
    """Return the Soundex code; a text that begins with no letter is returned as it is."""
    if not text or not ("a" <= text[0].lower() <= "z"):
        return text
    codes = {letter: code for code, letters in _SOUNDEX.items() for letter in letters}
    result = text[0].upper()
    last = codes.get(result, "0")
    for letter in (one.upper() for one in text[1:]):
        code = codes.get(letter, "" if letter in "HW" else "0")
        if not code:
            continue
        if code not in ("0", last):
            result += code
        last = code
    return (result + "000")[:4]


_SOUNDEX = {"1": "BFPV", "2": "CGJKQSXZ", "3": "DT", "4": "L", "5": "MN", "6": "R"}


def url_encode(text: str) -> str:
    """Return a text in the form of a URL's query."""
    return quote_plus(text, safe="*-._").replace("~", "%7E")


def url_decode(text: str) -> str:
    """Return the text of a URL's query.

    Raises:
        SqlError: ``CANNOT_DECODE_URL``.
    """
    if re.search(r"%(?![0-9a-fA-F]{2})", text):
        raise SqlError(
            "CANNOT_DECODE_URL",
            "22546",
            f"The provided URL cannot be decoded: {text}. Please ensure that the URL is properly "
            "formatted and try again.",
        )
    return unquote_plus(text)


def math_function(name: str, value: float) -> float:
    """Return a function of Java's ``Math``; NaN outside its domain."""
    if name == "cbrt" and not math.isfinite(value):
        return value
    if name == "cbrt":
        return _cube_root(value)
    try:
        return float(getattr(math, name)(value))
    except ValueError:
        if name == "atanh" and abs(value) == 1:
            return math.copysign(math.inf, value)
        return math.nan
    except OverflowError:
        return math.inf


def _cube_root(value: float) -> float:
    with localcontext() as context:
        context.prec = 40
        size = Decimal(abs(value))
        root = Decimal(abs(value) ** (1 / 3))
        # One step of Newton's makes the sixteen digits of the power exact.
        root -= (root * root * root - size) / (3 * root * root) if size else 0
    return math.copysign(float(root), value)


def width_bucket(value: float, low: float, high: float, count: int) -> int | None:
    """Return the number of the bucket of equal width."""
    if count <= 0 or low == high or math.isnan(value) or not math.isfinite(low + high):
        return None
    inside = (value - low) / (high - low)
    if inside < 0:
        return 0
    return count + 1 if inside >= 1 else int(inside * count) + 1


def whole_months(end: datetime, start: datetime) -> int:
    """Return the whole months from start to end, towards zero."""
    if end < start:
        return -whole_months(start, end)
    months = (end.year - start.year) * 12 + end.month - start.month
    return months - 1 if (end.day, end.time()) < (start.day, start.time()) else months


def fractional_months(end: datetime, start: datetime, rounded: bool) -> float:
    """Return ``months_between``: fractions count by months of 31 days."""
    months = (end.year - start.year) * 12 + end.month - start.month
    if end.day == start.day or (_is_last(end) and _is_last(start)):
        return float(months)
    # Spark counts whole seconds, and rounds as Java's Math.round does.
    value = months + (_seconds_in_month(end) - _seconds_in_month(start)) / (31 * 86_400)
    return math.floor(value * 1e8 + 0.5) / 1e8 if rounded else value


def _seconds_in_month(moment: datetime) -> int:
    return ((moment.day * 24 + moment.hour) * 60 + moment.minute) * 60 + moment.second


def _is_last(moment: datetime) -> bool:
    return moment.day == monthrange(moment.year, moment.month)[1]


_WEEKDAYS = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")


def next_day(day: date, name: str) -> date:
    """Return the first such weekday after a date.

    Raises:
        SqlError: ``ILLEGAL_DAY_OF_WEEK``.
    """
    word = name.strip().upper()
    full = ("MONDAY", "TUESDAY", "WEDNESDAY", "THURSDAY", "FRIDAY", "SATURDAY", "SUNDAY")
    if not any(word in (one, one[:3], one[:2]) for one in full):
        raise SqlError("ILLEGAL_DAY_OF_WEEK", "22009", f"Illegal input for day of week: {name}.")
    target = _WEEKDAYS.index(word[:2])
    return day + timedelta(days=(target - day.weekday() - 1) % 7 + 1)


def make_date(year: int, month: int, day: int) -> date:
    """Return a date of its parts.

    Raises:
        SqlError: ``DATETIME_FIELD_OUT_OF_BOUNDS``.
    """
    try:
        return date(year, month, day)
    except ValueError as error:
        raise _out_of_bounds(error, "make_date") from None


def _out_of_bounds(error: Exception, function: str) -> SqlError:
    return SqlError(
        "DATETIME_FIELD_OUT_OF_BOUNDS.WITH_SUGGESTION",
        "22023",
        f'{error}. If necessary set ansi_mode to "false" to bypass this error ({function}).',
    )


def make_timestamp(
    year: int, month: int, day: int, hour: int, minute: int, second: str
) -> datetime:
    """Return a timestamp of its parts; 60 seconds are the next minute.

    Raises:
        SqlError: ``DATETIME_FIELD_OUT_OF_BOUNDS``.
    """
    micros = int(Decimal(second) * 1_000_000)
    if not 0 <= micros <= 60_000_000:
        raise _out_of_bounds(
            ValueError(f"Invalid value for SecondOfMinute: {second}"), "make_timestamp"
        )
    try:
        start = datetime(year, month, day, hour, minute)  # noqa: DTZ001 - a wall clock
    except ValueError as error:
        raise _out_of_bounds(error, "make_timestamp") from None
    return start + timedelta(microseconds=micros)
