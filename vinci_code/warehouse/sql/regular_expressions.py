"""Java's regular expressions, read and computed by RE2 in time that grows with the text alone.

Python's ``re`` goes back over what it has tried, holds the interpreter while it does, and can take
years for one row. RE2 goes over a text once, and lets other threads run. It lacks what needs going
back: lookaround, backreferences, atomic groups and possessive quantifiers are refused by name, and
so is what the two are not known to answer alike.

https://docs.oracle.com/en/java/javase/17/docs/api/java.base/java/util/regex/Pattern.html is Java's
syntax, https://github.com/google/re2/wiki/Syntax that of RE2.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from typing import Any

import re2

from vinci_code.warehouse.sql.errors import SqlError, unsupported

_MAX_PATTERN = 100_000
_MAX_DEPTH = 100
_MAX_REPEAT = 1_000  # RE2's own limit
_MAX_MEMORY = 2 * 1024 * 1024  # bytes, of one compiled pattern
# RE2 takes at most one step per instruction of the pattern and byte of the text, some hundred
# million in a second, and cannot be stopped in between.
_MAX_STEPS = 200_000_000
# So few that the longest text is no matter; DuckDB's RE2 counts no steps.
_FEW_INSTRUCTIONS = 100

_Range = tuple[int, int]
_TOP = 0x10FFFF
_DIGIT: list[_Range] = [(48, 57)]
_WORD: list[_Range] = [(48, 57), (65, 90), (95, 95), (97, 122)]
_SPACE: list[_Range] = [(9, 13), (32, 32)]
_HORIZONTAL: list[_Range] = [
    (9, 9), (32, 32), (0xA0, 0xA0), (0x1680, 0x1680), (0x180E, 0x180E), (0x2000, 0x200A),
    (0x202F, 0x202F), (0x205F, 0x205F), (0x3000, 0x3000),
]  # fmt: skip
_VERTICAL: list[_Range] = [(10, 13), (0x85, 0x85), (0x2028, 0x2029)]
_PREDEFINED = {"d": _DIGIT, "w": _WORD, "s": _SPACE, "h": _HORIZONTAL, "v": _VERTICAL}
_POSIX: dict[str, list[_Range]] = {
    "Lower": [(97, 122)],
    "Upper": [(65, 90)],
    "ASCII": [(0, 127)],
    "Alpha": [(65, 90), (97, 122)],
    "Digit": _DIGIT,
    "Alnum": [(48, 57), (65, 90), (97, 122)],
    "Punct": [(33, 47), (58, 64), (91, 96), (123, 126)],
    "Graph": [(33, 126)],
    "Print": [(32, 126)],
    "Blank": [(9, 9), (32, 32)],
    "Cntrl": [(0, 31), (127, 127)],
    "XDigit": [(48, 57), (65, 70), (97, 102)],
    "Space": _SPACE,
}
_CATEGORIES = frozenset(
    "L Ll Lm Lo Lt Lu M Mc Me Mn N Nd Nl No P Pc Pd Pe Pf Pi Po Ps S Sc Sk Sm So Z Zl Zp Zs".split()
)
_CASED = frozenset(("Lower", "Upper", "Ll", "Lu", "Lt"))
_SINGLE = {"t": 9, "n": 10, "r": 13, "f": 12, "a": 7, "e": 27}
_DOT = r"[^\n\r\x{85}\x{2028}\x{2029}]"
_TERMINATORS = ("\n", "\r", "\x85", "\u2028", "\u2029")
_NOT_ASCII = re.compile(r"[^\x00-\x7f]")


class Pattern:
    """A pattern of Java's, compiled.

    Attributes:
        text: The pattern as it was written.
        translated: The same in RE2's syntax.
        groups: How many groups it has.
        names: The numbers of its named groups.
        plain: Whether RE2 alone answers for every text where it is found.
    """

    def __init__(self, text: str) -> None:
        """Read a pattern.

        Raises:
            SqlError: ``INVALID_PARAMETER_VALUE.PATTERN``, or a refusal by name.
        """
        reading = _Reading(text)
        self.text = text
        self.translated = reading.translate()
        self.groups = reading.groups
        self.names = reading.names
        self._ends = reading.ends
        self._boundaries = reading.boundaries
        self._unsure_spans = reading.unsure_spans
        self._one_end = reading.ends == 1 and not reading.repeated_end and not reading.absolute_end
        options = re2.Options()
        options.log_errors = False
        options.max_mem = _MAX_MEMORY
        try:
            self._compiled: Any = re2.compile(self.translated, options)
        except re2.error as error:
            raise unsupported(
                f"the regular expression '{_shown(text)}', for which RE2 says: {_reason(error)}"
            ) from None
        few = self._compiled.programsize <= _FEW_INSTRUCTIONS
        self.plain = few and not self._ends and not self._boundaries

    def found(self, text: str) -> bool:
        """Return whether it matches anywhere in a text."""
        self._check(text)
        if self._ends and text.endswith(_TERMINATORS):
            if not self._one_end:
                raise self._end_refused()
            # Java's `$` is true before the last line terminator, too.
            shorter = text[: -2 if text.endswith("\r\n") else -1]
            if self._compiled.search(shorter) is not None:
                return True
        return self._compiled.search(text) is not None

    def first(self, text: str) -> Match | None:
        """Return the first match."""
        return next(self.matches(text), None)

    def matches(self, text: str) -> Iterator[Match]:
        """Return one match after another; none overlaps with the one before."""
        self._check(text)
        if self._ends and text.endswith(_TERMINATORS):
            raise self._end_refused()
        if self._unsure_spans:
            raise unsupported(
                f"the regular expression '{_shown(self.text)}', which repeats what may be empty, "
                "where it matters what it matched"
            )
        return map(Match, self._compiled.finditer(text))

    def _check(self, text: str) -> None:
        if self._boundaries and _NOT_ASCII.search(text):
            raise unsupported(
                rf"\b and \B in the regular expression '{_shown(self.text)}' on a text with "
                "letters outside of ASCII, on which releases of Java differ"
            )
        if len(text) * self._compiled.programsize > _MAX_STEPS:
            raise unsupported(
                f"the regular expression '{_shown(self.text)}' on a text of {len(text)} characters:"
                f" {self._compiled.programsize} instructions for each of them; at most "
                f"{_MAX_STEPS} in all can be"
            )

    def _end_refused(self) -> SqlError:
        return unsupported(
            rf"$ and \Z in the regular expression '{_shown(self.text)}' on a text that ends with a "
            r"line terminator; \z can be"
        )


@dataclass(frozen=True)
class Match:
    """One match of a pattern."""

    found: Any

    @property
    def start(self) -> int:
        """Where it begins."""
        return int(self.found.start())

    @property
    def end(self) -> int:
        """Where it ends."""
        return int(self.found.end())

    def group(self, number: int) -> str:
        """Return the text of a group; empty where it took no part."""
        return self.found.group(number) or ""


@lru_cache(maxsize=64)
def pattern(text: str) -> Pattern:
    """Return a pattern of Java's, compiled.

    Raises:
        SqlError: ``INVALID_PARAMETER_VALUE.PATTERN``, or a refusal by name.
    """
    return Pattern(text)


class Wildcard(Enum):
    """A place in a pattern that a client sent: any text, or any character."""

    TEXT = ".*"
    CHARACTER = "."


def wildcards(pieces: Sequence[str | Wildcard]) -> Any:
    """Return a compiled pattern of texts in any case, and wildcards between them.

    It is matched with ``fullmatch``.
    """
    options = re2.Options()
    options.log_errors = False
    options.case_sensitive = False
    options.dot_nl = True
    options.max_mem = 64 * 1024 * 1024
    text = "".join(
        piece.value if isinstance(piece, Wildcard) else re2.escape(piece) for piece in pieces
    )
    return compiled(text, options)


def compiled(text: str, options: Any = None) -> Any:
    """Return a pattern of RE2's that the warehouse has made of what a client sent.

    Raises:
        SqlError: A refusal by name, where it is too large.
    """
    if options is None:
        options = re2.Options()
        options.log_errors = False
    try:
        return re2.compile(text, options)
    except re2.error as error:
        raise unsupported(f"a pattern of {len(text)} characters: {_reason(error)}") from None


def _reason(error: Exception) -> str:
    found = error.args[0] if error.args else ""
    return found.decode(errors="replace") if isinstance(found, bytes) else str(found)


def _shown(text: str) -> str:
    return text if len(text) <= 200 else f"{text[:200]}…"


@dataclass(frozen=True)
class _Flags:
    ignore_case: bool = False
    dot_all: bool = False
    multiline: bool = False


@dataclass(frozen=True)
class _Piece:
    """A part of a pattern in RE2's syntax, and what has to be known where it is repeated."""

    text: str
    empty: bool = False
    anchor: bool = False
    ends: bool = False


class _Reading:
    """Reads one pattern of Java's from left to right."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._index = 0
        self._depth = 0
        self.groups = 0
        self.names: dict[str, int] = {}
        self.ends = 0
        self.repeated_end = False
        self.absolute_end = False
        self.boundaries = False
        self.unsure_spans = False

    def translate(self) -> str:
        if len(self._text) > _MAX_PATTERN:
            raise unsupported(f"a regular expression of more than {_MAX_PATTERN} characters")
        found, _ = self._alternatives(_Flags())
        if self._index < len(self._text):
            raise self._invalid()
        return found.text

    # ---- structure

    def _alternatives(self, flags: _Flags) -> tuple[_Piece, _Flags]:
        branches: list[str] = []
        empty = ends = False
        while True:
            branch, flags = self._branch(flags)
            branches.append(branch.text)
            empty, ends = empty or branch.empty, ends or branch.ends
            if not self._accept("|"):
                return _Piece("|".join(branches), empty, ends=ends), flags

    def _branch(self, flags: _Flags) -> tuple[_Piece, _Flags]:
        parts: list[_Piece] = []
        while self._peek() not in ("", "|", ")"):
            inline = self._inline_flags(flags)
            if inline is not None:
                flags = inline
                continue
            parts.append(self._quantified(self._atom(flags)))
        text = "".join(part.text for part in parts)
        ends = any(part.ends for part in parts)
        return _Piece(text, all(part.empty for part in parts), ends=ends), flags

    def _inline_flags(self, flags: _Flags) -> _Flags | None:
        """Read ``(?i)``; ``None`` where something else stands here."""
        found = re.compile(r"\(\?([A-Za-z]*)(?:-([A-Za-z]*))?\)").match(self._text, self._index)
        if found is None:
            return None
        self._index = found.end()
        return self._changed(flags, found[1], found[2] or "")

    def _changed(self, flags: _Flags, on: str, off: str) -> _Flags:
        values = dict(vars(flags))
        for letters, value in ((on, True), (off, False)):
            for letter in letters:
                name = {"i": "ignore_case", "s": "dot_all", "m": "multiline"}.get(letter)
                if name is None and letter in "dxuU":
                    raise self._refused(f"the flag {letter}")
                if name is None:
                    raise self._invalid()
                values[name] = value
        return _Flags(**values)

    def _atom(self, flags: _Flags) -> _Piece:
        letter = self._next()
        if letter == "(":
            return self._group(flags)
        if letter == "[":
            return _Piece(self._set(flags).text())
        if letter == ".":
            return _Piece("(?s:.)" if flags.dot_all else _DOT)
        if letter in "^$":
            return self._anchor(letter, flags)
        if letter == "\\":
            return self._escape(flags)
        if letter in "*+?{":
            raise self._invalid()
        return _Piece(_literal(ord(letter), flags))

    def _anchor(self, letter: str, flags: _Flags) -> _Piece:
        if flags.multiline:
            raise self._refused(f"{letter} with the flag m")
        if letter == "^":
            return _Piece(r"\A", empty=True, anchor=True)
        self.ends += 1
        return _Piece(r"\z", empty=True, anchor=True, ends=True)

    def _group(self, flags: _Flags) -> _Piece:
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            raise self._refused(f"groups in more than {_MAX_DEPTH} others")
        opening, inner = self._opening(flags)
        found, _ = self._alternatives(inner)
        if not self._accept(")"):
            raise self._invalid()
        self._depth -= 1
        return _Piece(f"{opening}{found.text})", found.empty, ends=found.ends)

    def _opening(self, flags: _Flags) -> tuple[str, _Flags]:
        if not self._accept("?"):
            self.groups += 1
            return "(", flags
        for sign, what in _REFUSED_GROUPS.items():
            if self._text.startswith(sign, self._index):
                raise self._refused(what)
        named = re.compile(r"<([A-Za-z][A-Za-z0-9]*)>").match(self._text, self._index)
        if named is not None:
            self._index = named.end()
            self.groups += 1
            if named[1] in self.names:
                raise self._invalid()
            self.names[named[1]] = self.groups
            return "(", flags
        options = re.compile(r"([A-Za-z]*)(?:-([A-Za-z]*))?:").match(self._text, self._index)
        if options is None:
            raise self._invalid()
        self._index = options.end()
        return "(?:", self._changed(flags, options[1], options[2] or "")

    def _quantified(self, atom: _Piece) -> _Piece:
        bounds = self._bounds()
        if bounds is None:
            return atom
        if atom.anchor:
            raise self._refused("a quantifier on what matches no character")
        sign, low, many = bounds
        if self._accept("+"):
            raise self._refused("the possessive quantifiers")
        lazy = "?" if self._accept("?") else ""
        if self._peek() in ("*", "+", "?"):
            raise self._invalid()
        if self._peek() == "{":
            raise self._refused("a quantifier of a quantifier")
        if many and atom.empty:
            # How often an empty match is repeated shows in what the groups hold.
            self.unsure_spans = True
        if many and atom.ends:
            self.repeated_end = True
        return _Piece(f"{atom.text}{sign}{lazy}", atom.empty or not low, ends=atom.ends)

    def _bounds(self) -> tuple[str, int, bool] | None:
        letter = self._peek()
        if letter and letter in "*+?":
            self._index += 1
            return letter, int(letter == "+"), letter != "?"
        if letter != "{":
            return None
        found = re.compile(r"\{([0-9]+)(?:(,)([0-9]*))?\}").match(self._text, self._index)
        if found is None:
            raise self._invalid()
        self._index = found.end()
        if max(len(found[1]), len(found[3] or "")) > 9:
            raise self._refused(f"a repetition of more than {_MAX_REPEAT}")
        low, high = int(found[1]), int(found[3] or found[1])
        if found[3] and high < low:
            raise self._invalid()
        if max(low, high) > _MAX_REPEAT:
            raise self._refused(f"a repetition of more than {_MAX_REPEAT}")
        return found[0], low, high > 1 or (found[2] is not None and not found[3])

    # ---- what stands for characters

    def _escape(self, flags: _Flags) -> _Piece:
        letter = self._peek()
        if letter == "Q":
            return self._quotation(flags)
        if letter in ("A", "z"):
            self._index += 1
            self.absolute_end = self.absolute_end or letter == "z"
            return _Piece(f"\\{letter}", empty=True, anchor=True)
        if letter == "Z":
            self._index += 1
            self.ends += 1
            return _Piece(r"\z", empty=True, anchor=True, ends=True)
        if letter in ("b", "B"):
            self._index += 1
            if self._peek() == "{":
                raise self._refused(r"\b{g}")
            self.boundaries = True
            return _Piece(f"\\{letter}", empty=True, anchor=True)
        found = self._escaped(flags)
        return _Piece(_literal(found, flags) if isinstance(found, int) else found.text())

    def _quotation(self, flags: _Flags) -> _Piece:
        begin = self._index + 1
        end = self._text.find("\\E", begin)
        quoted = self._text[begin:] if end < 0 else self._text[begin:end]
        self._index = len(self._text) if end < 0 else end + 2
        if self._peek() in ("*", "+", "?", "{"):
            raise self._refused(r"a quantifier behind \Q…\E")
        return _Piece("".join(_literal(ord(one), flags) for one in quoted), empty=not quoted)

    def _escaped(self, flags: _Flags) -> int | _Set:
        """Read what follows a backslash, in a set or outside: a code point, or a set of them."""
        letter = self._next()
        if not letter:
            raise self._invalid()
        if letter.lower() in _PREDEFINED:
            return _Set(list(_PREDEFINED[letter.lower()]), negated=letter.isupper())
        if letter in "pP":
            return self._property(letter == "P", flags)
        if letter in _SINGLE:
            return _SINGLE[letter]
        if letter in "ux0":
            return self._number(letter)
        if letter.isascii() and letter.isdigit():
            raise self._refused("backreferences")
        if letter in "kRXGNc" or letter in "QE":
            raise self._refused(rf"\{letter}")
        if letter.isascii() and letter.isalpha():
            raise self._invalid()
        return ord(letter)

    def _number(self, kind: str) -> int:
        forms = {
            "u": r"([0-9a-fA-F]{4})",
            "x": r"(?:([0-9a-fA-F]{2})|\{([0-9a-fA-F]{1,6})\})",
            "0": r"([0-3]?[0-7]{1,2})",
        }
        found = re.compile(forms[kind]).match(self._text, self._index)
        if found is None:
            raise self._invalid()
        self._index = found.end()
        value = int(found[found.lastindex or 1], 8 if kind == "0" else 16)
        if value > _TOP:
            raise self._invalid()
        if 0xD800 <= value <= 0xDFFF:
            raise self._refused("half of a surrogate pair")
        return value

    def _property(self, negated: bool, flags: _Flags) -> _Set:
        found = re.compile(r"\{(\^?)([^}]*)\}|(\w)").match(self._text, self._index)
        if found is None:
            raise self._invalid()
        self._index = found.end()
        name = found[3] or found[2]
        if name.startswith("Is") and name[2:] in _CATEGORIES:
            name = name[2:]
        if found[1] or (name not in _CATEGORIES and name not in _POSIX):
            raise self._refused(rf"\p{{{_shown(name)}}}")
        if flags.ignore_case and name in _CASED:
            raise self._refused(rf"\p{{{name}}} with the flag i")
        if name in _POSIX:
            return _Set(list(_POSIX[name]), negated=negated)
        return _Set([], rf"\{'P' if negated else 'p'}{{{name}}}")

    def _set(self, flags: _Flags) -> _Set:
        """Read a set of characters behind its bracket."""
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            raise self._refused(f"groups in more than {_MAX_DEPTH} others")
        result = _Set([], negated=self._accept("^"))
        first = True
        while first or self._peek() != "]":
            if not self._peek() or self._text.startswith("&&", self._index):
                raise self._refused("&& in a set") if self._peek() else self._invalid()
            self._item(result, flags)
            first = False
        self._index += 1
        self._depth -= 1
        return result

    def _item(self, result: _Set, flags: _Flags) -> None:
        letter = self._next()
        if letter == "[":
            if result.negated:
                raise self._refused("a set in a set that begins with ^")
            result.add(self._set(flags))
            return
        low = self._escaped(flags) if letter == "\\" else ord(letter)
        if isinstance(low, _Set):
            result.add(low)
            return
        high = low
        if self._peek() == "-" and self._text[self._index + 1 : self._index + 2] != "]":
            self._index += 1
            high = self._range_end(flags)
            if high < low:
                raise self._invalid()
        result.ranges += _both_cases((low, high)) if flags.ignore_case else [(low, high)]

    def _range_end(self, flags: _Flags) -> int:
        letter = self._next()
        if letter in ("[", "&", ""):
            raise self._refused(f"-{letter} in a set") if letter else self._invalid()
        found = self._escaped(flags) if letter == "\\" else ord(letter)
        if isinstance(found, _Set):
            raise self._invalid()
        return found

    # ---- the text

    def _peek(self) -> str:
        return self._text[self._index : self._index + 1]

    def _next(self) -> str:
        letter = self._peek()
        self._index += 1
        return letter

    def _accept(self, sign: str) -> bool:
        if self._peek() != sign:
            return False
        self._index += 1
        return True

    def _invalid(self) -> SqlError:
        return SqlError(
            "INVALID_PARAMETER_VALUE.PATTERN",
            "22023",
            f"The value of parameter(s) `regexp` is invalid: '{_shown(self._text)}'.",
        )

    def _refused(self, what: str) -> SqlError:
        return unsupported(f"{what} in the regular expression '{_shown(self._text)}'")


class _Set:
    """A set of characters: ranges, and classes of Unicode in RE2's syntax."""

    def __init__(self, ranges: list[_Range], classes: str = "", *, negated: bool = False) -> None:
        self.ranges = ranges
        self.classes = classes
        self.negated = negated

    def add(self, other: _Set) -> None:
        """Take in another set."""
        if other.negated and other.classes:
            raise unsupported("a set with ^ and a class of Unicode in another set")
        self.ranges += _complement(other.ranges) if other.negated else other.ranges
        self.classes += other.classes

    def text(self) -> str:
        """In RE2's syntax."""
        listed = "".join(
            _code(low) if low == high else f"{_code(low)}-{_code(high)}"
            for low, high in self.ranges
        )
        return f"[{'^' if self.negated else ''}{listed}{self.classes}]"


def _complement(ranges: list[_Range]) -> list[_Range]:
    result, start = [], 0
    for low, high in sorted(ranges):
        if low > start:
            result.append((start, low - 1))
        start = max(start, high + 1)
    return [*result, (start, _TOP)] if start <= _TOP else result


def _both_cases(span: _Range) -> list[_Range]:
    """The range, with the other case of the letters of ASCII in it: Java folds no others."""
    low, high = span
    upper = (max(low, 65), min(high, 90))
    lower = (max(low, 97), min(high, 122))
    result = [span]
    if upper[0] <= upper[1]:
        result.append((upper[0] + 32, upper[1] + 32))
    if lower[0] <= lower[1]:
        result.append((lower[0] - 32, lower[1] - 32))
    return result


def _literal(point: int, flags: _Flags) -> str:
    letter = chr(point)
    if flags.ignore_case and letter.isascii() and letter.isalpha():
        return f"[{letter.lower()}{letter.upper()}]"
    return letter if letter.isascii() and letter.isalnum() else _code(point)


def _code(point: int) -> str:
    return f"\\x{{{point:x}}}"


_REFUSED_GROUPS = {
    "=": "lookahead",
    "!": "lookahead",
    "<=": "lookbehind",
    "<!": "lookbehind",
    ">": "atomic groups",
}
