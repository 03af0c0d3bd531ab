"""JSON text as Spark reads it, which is not quite as Python's ``json`` does.

Spark reads with Jackson: it stops at the end of the first value, whatever follows; most of its
functions take texts in single quotes, and ``from_json`` takes ``NaN`` and ``Infinity`` bare. A
number that is no integer keeps its text, and an object that repeats a key keeps every pair.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from vinci_code.warehouse.sql.texts import java_float


class Number(str):
    """A JSON number with a point or an exponent, or ``NaN`` or ``Infinity``: its text."""

    __slots__ = ()


class Repeated(dict[str, Any]):
    """An object that repeats a key; as a ``dict``, the last value of a key counts.

    Its pairs are every key with its value, in order.
    """

    def __init__(self, pairs: list[tuple[str, Any]]) -> None:
        super().__init__(pairs)
        self.pairs = pairs


def load(text: str) -> Any:
    """Return a JSON text that holds nothing unusual, such as a VARIANT.

    Raises:
        ValueError: The text is not JSON.
    """
    return _PLAIN.decode(text)


def read_strictly(text: str) -> Any:
    """Return the JSON value that a text begins with; texts stand in double quotes.

    Raises:
        ValueError: The text does not begin with a JSON value.
    """
    return _first_value(_STRICT, text)


def read(text: str, *, words: bool = False) -> Any:
    """Return the JSON value that a text begins with; texts may stand in single quotes.

    With ``words``, the numbers ``NaN`` and ``Infinity`` are taken.

    Raises:
        ValueError: The text does not begin with such a value.
    """
    decoder = _WORDS if words else _STRICT
    try:
        return _first_value(decoder, text)
    except ValueError:
        usual = _LOOSE.sub(_usual, text)
        if usual == text:
            raise
        return _first_value(decoder, usual)


def read_alone(text: str) -> Any:
    """Return the JSON value that a text is, with nothing after it; texts stand in double quotes.

    Raises:
        ValueError: It is not.
    """
    value, end = _WORDS.raw_decode(text, _BLANKS.match(text).end())  # type: ignore[union-attr]
    if text[end:].strip(" \t\n\r"):
        raise ValueError("something follows a value")
    return value


def pairs(value: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield the keys and values of an object, those of a repeated key too."""
    yield from value.pairs if isinstance(value, Repeated) else value.items()


def dump(value: Any, *, sort: bool = False) -> str:
    """Return compact JSON text."""
    if isinstance(value, Number):
        return str(value)
    if isinstance(value, dict):
        items = sorted(value.items()) if sort else pairs(value)
        inner = ",".join(f"{_quoted(key)}:{dump(item, sort=sort)}" for key, item in items)
        return f"{{{inner}}}"
    if isinstance(value, list):
        return "[" + ",".join(dump(item, sort=sort) for item in value) + "]"
    if isinstance(value, str):
        return _quoted(value)
    return json.dumps(value)


def copied(value: Any) -> str:
    """Return compact JSON text as Jackson copies it: a number that is no integer is a double."""
    return dump(_doubles(value))


def double(text: str) -> str:
    """Return the JSON of a number as a double; it has no form for those that are not finite."""
    shown = java_float(repr(float(text)))
    return _quoted(shown) if shown[-1] in "Ny" else shown


def _doubles(value: Any) -> Any:
    if isinstance(value, Number):
        return Number(double(value))
    if isinstance(value, Repeated):
        return Repeated([(key, _doubles(item)) for key, item in value.pairs])
    if isinstance(value, dict):
        return {key: _doubles(item) for key, item in value.items()}
    return [_doubles(item) for item in value] if isinstance(value, list) else value


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _no_word(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def _object(found: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(found)
    return result if len(result) == len(found) else Repeated(found)


_PLAIN = json.JSONDecoder(parse_float=Number, parse_constant=_no_word)
_STRICT = json.JSONDecoder(parse_float=Number, parse_constant=_no_word, object_pairs_hook=_object)
_WORDS = json.JSONDecoder(parse_float=Number, parse_constant=Number, object_pairs_hook=_object)
_BLANKS = re.compile(r"[ \t\n\r]*")
# What may not follow a number or a word that is the whole value.
_AFTER_NUMBER = re.compile(r"[^ \t\n\r]")
_AFTER_WORD = re.compile(r"[\w$]")


def _first_value(decoder: json.JSONDecoder, text: str) -> Any:
    start = _BLANKS.match(text).end()  # type: ignore[union-attr]  # it matches every text
    value, end = decoder.raw_decode(text, start)
    if not isinstance(value, (dict, list)):
        _check_end(value, text, end)
    return value


def _check_end(value: Any, text: str, end: int) -> None:
    if isinstance(value, (bool, type(None))):
        follows = _AFTER_WORD
    elif isinstance(value, (int, Number)):
        follows = _AFTER_NUMBER
    else:
        return
    if follows.match(text, end):
        raise ValueError(f"{text[end]!r} follows a value")


_LOOSE = re.compile(
    r"""(?P<double>"(?:[^"\\]|\\.)*")|'(?P<single>(?:[^'\\]|\\.)*)'|"""
    r"(?P<word>(?:[+-]INF|\+Infinity)(?![\w$]))|"
    # What is never closed goes to the end, so that it is looked through once.
    r"""(?P<open>"(?:[^"\\]|\\.)*\\?\Z|'(?:[^'\\]|\\.)*\\?\Z)""",
    re.DOTALL,
)


def _usual(match: re.Match[str]) -> str:
    """Return a text in single quotes, or a word of Jackson's, as Python's reader knows it."""
    if match["open"] is not None:
        return match["open"]
    if match["word"] is not None:
        return "-Infinity" if match["word"].startswith("-") else "Infinity"
    if match["double"] is not None:
        return _ESCAPE.sub(_unescaped, match["double"])
    return f'"{_ESCAPE_OR_QUOTE.sub(_unescaped, match["single"])}"'


_ESCAPE = re.compile(r"\\.", re.DOTALL)
_ESCAPE_OR_QUOTE = re.compile(r'\\.|"', re.DOTALL)


def _unescaped(match: re.Match[str]) -> str:
    return {"\\'": "'", '"': '\\"'}.get(match[0], match[0])
