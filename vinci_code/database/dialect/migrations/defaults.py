"""Whether two defaults of a column mean the same.

What the warehouse keeps is the text that it was given, and a model may say the same in other words:
``func.now()``, ``CURRENT_TIMESTAMP`` and ``(current_timestamp())``; ``5`` and ``'5'`` of a BIGINT.
Constants are compared as what a column of its type makes of them, and any other expression word by
word. So two expressions that are written differently count as different, even where they may mean
the same: a needless line in a revision is seen, a change that is not noticed is not.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from decimal import Decimal
from typing import NamedTuple

from vinci_code.database.dialect.text.scanning import Part, parts_of


def same_default(one: str | None, other: str | None, kind: str) -> bool:
    """Whether two defaults, as SQL, mean the same for a column of a type, as DDL names it."""
    return _meaning(one, kind) == _meaning(other, kind)


class _Written(NamedTuple):
    """A literal: a text, a number as it is written, a truth value, or NULL."""

    value: str | bool | None
    is_number: bool = False


def _meaning(default: str | None, kind: str) -> object:
    """What can be compared; ``None`` where there is no default."""
    if default is None:
        return None
    parts = _bare(list(parts_of(default)))
    constant = _constant(parts, kind)
    if constant is None:
        return _words(parts)
    if constant.value is None:
        return None
    stored = _STORED.get(kind.partition("(")[0].strip(), lambda _: None)(constant)
    return _words(parts) if stored is None else ("constant", stored)


# --- what is written -----------------------------------------------------------------------------


def _bare(parts: Sequence[Part]) -> Sequence[Part]:
    """The parts without parentheses around all of them."""
    while parts and parts[0].kind == "open" and _closing(parts, 0) == len(parts) - 1:
        parts = parts[1:-1]
    return parts


def _closing(parts: Sequence[Part], at: int) -> int:
    """Where the parentheses end that open at a part; -1 where they do not."""
    depth = 0
    for place in range(at, len(parts)):
        depth += (parts[place].kind == "open") - (parts[place].kind == "close")
        if depth == 0:
            return place
    return -1


def _constant(parts: Sequence[Part], kind: str) -> _Written | None:
    """The literal that some parts are; that they are cast to the column's type changes nothing."""
    words = [part.text.upper() if part.kind == "word" else part.text for part in parts]
    if words[:1] == ["CAST"] and _closing(parts, 1) == len(parts) - 1 and "AS" in words:
        at = len(words) - 1 - words[::-1].index("AS")
        if _is_type(words[at + 1 : -1], kind):
            return _constant(_bare(parts[2:at]), kind)
        return None
    if len(parts) == 2 and parts[1].kind == "literal" and _is_type(words[:1], kind):
        parts, words = parts[1:], words[1:]  # DATE'2024-01-01'
    if len(parts) == 1 and parts[0].kind == "literal":
        # Neighbours are joined, or one of them is a quote: which of both, differs between releases.
        text = _text_of(parts[0].text)
        return None if text is None else _Written(text)
    if words in (["TRUE"], ["FALSE"]):
        return _Written(words == ["TRUE"])
    if words == ["NULL"]:
        return _Written(None)
    number = "".join(words)
    return _Written(number, is_number=True) if _NUMBER.fullmatch(number) else None


def _is_type(words: Sequence[str], kind: str) -> bool:
    return "".join(words) == kind.upper().replace(" ", "")


def _words(parts: Sequence[Part]) -> tuple[str, ...]:
    """The parts of an expression; of a function that takes nothing, its name."""
    found: list[str] = []
    for part in parts:
        found.append(part.text.upper() if part.kind == "word" else part.text)
        if found[-2:] == ["(", ")"] and len(found) > 2 and found[-3] in _WITHOUT_ARGUMENTS:
            found[-3:] = [_WITHOUT_ARGUMENTS[found[-3]]]
    return tuple(found)


# https://docs.databricks.com/aws/en/sql/language-manual/functions/now and the pages beside it.
_WITHOUT_ARGUMENTS = {
    "NOW": "CURRENT_TIMESTAMP",
    "CURRENT_TIMESTAMP": "CURRENT_TIMESTAMP",
    "CURDATE": "CURRENT_DATE",
    "CURRENT_DATE": "CURRENT_DATE",
    "CURRENT_USER": "CURRENT_USER",
}
_NUMBER = re.compile(r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)

# https://docs.databricks.com/aws/en/sql/language-manual/data-types/string-type
_ESCAPE = re.compile(r"\\(u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|[0-3][0-7]{2}|.)", re.DOTALL)
_SIGNS = {"0": "\0", "b": "\b", "n": "\n", "r": "\r", "t": "\t", "Z": "\x1a"}


def _text_of(literal: str) -> str | None:
    """The text that a literal is; ``None`` where it has no end."""
    raw = literal[0] in "rR"
    quoted = literal[1:] if raw else literal
    if len(quoted) < 2 or quoted[0] not in "'\"" or quoted[-1] != quoted[0]:
        return None
    return quoted[1:-1] if raw else _ESCAPE.sub(_sign, quoted[1:-1])


def _sign(match: re.Match[str]) -> str:
    found = match[1]
    if found[0] in "uU" and len(found) > 1:
        number = int(found[1:], 16)
        return chr(number) if number <= 0x10FFFF else match[0]
    if len(found) == 3:
        return chr(int(found, 8))
    if found in "%_":
        return match[0]  # for LIKE, which takes the backslash away
    return _SIGNS.get(found, found)


# --- what a column makes of it -------------------------------------------------------------------


def _integer(constant: _Written) -> object:
    if isinstance(constant.value, str) and _INTEGER.fullmatch(constant.value.strip()):
        return int(constant.value)
    return None


def _decimal(constant: _Written) -> object:
    if isinstance(constant.value, str) and _NUMBER.fullmatch(constant.value.strip()):
        return Decimal(constant.value.strip())
    return None


def _truth(constant: _Written) -> object:
    if isinstance(constant.value, bool):
        return constant.value
    if constant.is_number or constant.value is None:
        return None
    return _TRUTHS.get(constant.value.strip().lower())


def _text(constant: _Written) -> object:
    if isinstance(constant.value, bool):
        return str(constant.value).lower()
    if constant.is_number:
        return None if (number := _integer(constant)) is None else str(number)
    return constant.value


def _as_written(constant: _Written) -> object:
    return None if constant.is_number or isinstance(constant.value, bool) else constant.value


_INTEGER = re.compile(r"[+-]?\d+", re.ASCII)
_TRUTHS = {
    **dict.fromkeys(("t", "true", "y", "yes", "1"), True),
    **dict.fromkeys(("f", "false", "n", "no", "0"), False),
}
_STORED = {
    **dict.fromkeys(("TINYINT", "SMALLINT", "INT", "BIGINT"), _integer),
    **dict.fromkeys(("DECIMAL", "DOUBLE", "FLOAT"), _decimal),
    **dict.fromkeys(("DATE", "TIMESTAMP", "TIMESTAMP_NTZ"), _as_written),
    "BOOLEAN": _truth,
    "STRING": _text,
}
