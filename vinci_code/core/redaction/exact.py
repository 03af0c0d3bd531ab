"""Exact values: the secrets in use, in every spelling that a text may hold them in."""

from __future__ import annotations

import base64
import os
import re
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from operator import itemgetter
from typing import NamedTuple
from urllib.parse import quote, quote_plus

# Shorter values are not looked for: they would mask ordinary words (a password "admin" would eat
# half of every log). No credential of Databricks or of a cloud is that short.
_SHORTEST_SECRET = 8

_MOST_ROTATING = 24
# Pieces of ordinary words are rarely as long and part of a secret.
_PIECE = 8
# Texts of up to so many characters, as nearly all lines of logs are, are looked through at once.
_LINE = 1_000
_PLAIN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-")
_NAMED_ESCAPES = {"\n": "n", "\r": "r", "\t": "t", "\b": "b", "\f": "f", "\v": "v", "\a": "a"}
_HTML = {"&": "amp", "<": "lt", ">": "gt", '"': "quot", "'": "apos"}
_BASE64_DIGIT = "[A-Za-z0-9+/_-]?"


class _Form(NamedTuple):
    """One spelling of a secret.

    Attributes:
        size: How many characters of the secret's text it stands for; longer ones are tried first.
        anchor: A text without which the pattern cannot match; looking for it costs next to nothing.
        pattern: The regular expression.
    """

    size: int
    anchor: str
    pattern: str


class _Finder(NamedTuple):
    """What finds one secret.

    Attributes:
        anchors: Texts of which one is there wherever the pattern matches.
        pattern: Every spelling of the secret, in a look-ahead: a match may begin inside another.
        rotates: Whether another secret takes its place some day.
    """

    anchors: tuple[str, ...]
    pattern: re.Pattern[str]
    rotates: bool


def _index(finders: Iterable[_Finder]) -> Callable[[str], bool]:
    """What tells at once of nearly every text that no secret can be in it.

    A log line is looked through for each handler, and has to cost next to nothing with 25 secrets.
    Where a secret is, one of its anchors is. Of the pieces of ``size`` characters that begin at
    every ``step`` of a text, one lies wholly within an anchor that is as long as the shortest: so
    these few pieces are looked up among all pieces that anchors have.
    """
    anchors = {anchor for finder in finders for anchor in finder.anchors}
    shortest = min(map(len, anchors), default=sys.maxsize)
    if not shortest:
        return lambda _text: True  # a secret of special characters alone, which has no anchor
    size = max(1, min(_PIECE, shortest // 2 + 1))
    step = shortest - size + 1
    pieces = frozenset(
        anchor[at : at + size] for anchor in anchors for at in range(len(anchor) - size + 1)
    )

    # By the number of pieces, what takes them out of a text. One more than there are is cut short,
    # and none of theirs.
    several = [slice(at, at + size) for at in range(0, _LINE, step)] if anchors else []
    taken = [itemgetter(*several[: max(2, number)]) for number in range(1, len(several) + 1)]
    most = len(taken) if len(several) > 1 else 0

    def may_be_in(text: str) -> bool:
        number = len(text) // step
        if number < most:
            return not pieces.isdisjoint(taken[number](text))
        for at in range(0, len(text) - size + 1, step):  # noqa: SIM110 - any() takes twice as long
            if text[at : at + size] in pieces:
                return True
        return False

    return may_be_in


class ExactValues:
    """The secrets in use; finds any spelling of any of them.

    Attributes:
        may_be_in: Whether one may be in a text; ``mask`` is for the texts of which this is so.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()
        # Replaced as a whole, so that a thread that masks while another adds sees either of both.
        self._finders: dict[str, _Finder] = {}
        self.may_be_in = _index(())
        self._newest: str | None = None
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._renew_lock)

    def add(self, value: str, *, rotates: bool = False) -> None:
        """Look for ``value`` from now on; see `_SHORTEST_SECRET` for what is ignored.

        Args:
            value: The secret.
            rotates: Whether it may be forgotten after others that rotate, too. A JSON web token
                always may: it expires, and is known by its shape besides.
        """
        secret = value.strip()
        if len(secret) < _SHORTEST_SECRET or not secret.strip("*"):
            return
        rotates = rotates or secret.startswith("eyJ")
        with self._lock:
            while not self._add(secret, rotates):
                pass

    def _add(self, secret: str, rotates: bool) -> bool:
        before = self._finders
        known = before.get(secret)
        if known is None:
            known = _finder(secret, rotates)
        elif not known.rotates or (rotates and secret == self._newest):
            return True
        others = {kept: f for kept, f in before.items() if kept != secret}
        finders = _bounded({**others, secret: known._replace(rotates=rotates)})
        # A finaliser that the garbage collector runs in this thread may have added another one.
        if self._finders is not before:
            return False
        # The index first: with one that knows more than there is, no secret is missed.
        self.may_be_in = _index(finders.values())
        self._finders, self._newest = finders, secret
        return True

    def clear(self) -> None:
        """Forget every value."""
        with self._lock:
            self._finders = {}
            self.may_be_in = _index(())
            self._newest = None

    def __len__(self) -> int:
        """How many values are looked for."""
        return len(self._finders)

    def mask(self, text: str, mask: str) -> str:
        """Return ``text`` with every spelling of every value replaced by ``mask``."""
        spans = [
            match.span(1)
            for finder in self._finders.values()
            if any(anchor in text for anchor in finder.anchors)
            for match in finder.pattern.finditer(text)
        ]
        kept = []
        rest = 0
        for start, end in _merged(sorted(spans)):
            kept.append(text[rest:start])
            rest = end
        return mask.join((*kept, text[rest:]))

    def _renew_lock(self) -> None:
        """In a forked child, where no thread is left that would release the old one."""
        self._lock = threading.RLock()


def _bounded(finders: dict[str, _Finder]) -> dict[str, _Finder]:
    """Forget the secret that rotates and was not made known for longest, if there are too many.

    A process that lives for months gets an OAuth token an hour; those of last week have expired.
    """
    rotating = [value for value, finder in finders.items() if finder.rotates]
    if len(rotating) > _MOST_ROTATING:
        del finders[rotating[0]]
    return finders


def _finder(value: str, rotates: bool) -> _Finder:
    forms = sorted(set(_forms(value)), reverse=True)
    anchors = tuple(dict.fromkeys(form.anchor for form in forms))
    pattern = re.compile(f"(?=({'|'.join(form.pattern for form in forms)}))")
    return _Finder(anchors, pattern, rotates)


def _merged(spans: Iterable[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Join the spans that overlap: of two secrets that share characters, both are hidden."""
    start = end = -1
    for next_start, next_end in spans:
        if next_start < end:
            end = max(end, next_end)
            continue
        if end > start:
            yield start, end
        start, end = next_start, next_end
    if end > start:
        yield start, end


def _forms(value: str) -> Iterator[_Form]:
    yield _form(value, _spellings)
    for data in _encodings(value):
        # UTF-8 that was read as Latin-1, as http.client and the repr of bytes have it.
        yield _form(data.decode("latin-1"), _spellings)
        yield from _base64_forms(data)
        yield _Form(2 * len(data), data.hex(), data.hex())
        yield _Form(2 * len(data), data.hex().upper(), data.hex().upper())


def _encodings(value: str) -> set[bytes]:
    """Return the bytes that stand for ``value`` before base64 is applied to them.

    OAuth clients percent-encode the secret inside a Basic header (RFC 6749 section 2.3.1), and
    ``requests`` encodes one as Latin-1 (``requests/auth.py``, ``_basic_auth_str``).
    """
    encodings = {
        value.encode("utf-8", "surrogatepass"),
        quote(value, safe="", errors="surrogatepass").encode(),
        quote_plus(value, errors="surrogatepass").encode(),
    }
    if all(ord(character) < 256 for character in value):
        encodings.add(value.encode("latin-1"))
    return encodings


def _base64_forms(data: bytes) -> Iterator[_Form]:
    """Yield ``data`` inside a longer base64 text, where 0, 1 or 2 bytes of another group lead.

    The digits at the edges mix bits of the neighbours with bits of the secret: they are masked with
    it, but cannot be known.
    """
    for lead in range(3):
        digits = base64.b64encode(b"\0" * lead + data).decode()
        first = -(-lead * 8 // 6)
        last, rest = divmod((lead + len(data)) * 8, 6)
        form = _form(digits[first:last], _base64_spellings)
        before = _BASE64_DIGIT if lead else ""
        after = _BASE64_DIGIT if rest else ""
        yield form._replace(pattern=before + form.pattern + after)


def _form(text: str, spell: Callable[[str], str]) -> _Form:
    # A run of backslashes is one unit: `(\\{1,8})(\\{1,8})` would be tried in every split.
    units: list[str] = re.findall(r"\\+|[^\\]", text)
    anchor = max(re.split(r"[^A-Za-z0-9_.-]", text), key=len)
    return _Form(len(text), anchor, "".join(spell(unit) for unit in units))


def _spellings(unit: str) -> str:
    """Return a pattern for one character as URLs, JSON, ``repr`` and HTML spell it."""
    if unit in _PLAIN:
        return re.escape(unit)
    character = unit[0]
    octets = character.encode("utf-8", "surrogatepass")
    units = character.encode("utf-16-be", "surrogatepass").hex()
    patterns = [
        "".join(f"%(?:25){{0,3}}{octet:02x}" for octet in octets) * len(unit),
        "".join(rf"\\{{1,4}}u{units[at : at + 4]}" for at in range(0, len(units), 4)),
        "".join(rf"\\{{1,4}}x{octet:02x}" for octet in octets),
        rf"\\{{1,4}}U{ord(character):08x}",
        f"&#(?:{ord(character)}|x{ord(character):x});",
    ]
    if ord(character) < 256:
        patterns.append(rf"\\{{1,4}}x{ord(character):02x}")
        patterns.append(f"%(?:25){{0,3}}{ord(character):02x}")
    if character in _NAMED_ESCAPES:
        patterns.append(rf"\\{{1,4}}{_NAMED_ESCAPES[character]}")
    if character in _HTML:
        patterns.append(f"&{_HTML[character]};")
    if character == " ":
        patterns.append(r"\+")
    alternatives = "|".join(f"(?i:{pattern})" for pattern in patterns)
    if character == "\\":
        return rf"(?:{alternatives}|\\{{{len(unit)},{4 * len(unit) + 4}}})"
    return rf"(?:{alternatives}|\\{{0,4}}{re.escape(character)})"


def _base64_spellings(unit: str) -> str:
    """Return a pattern for one base64 digit in the standard and in the URL-safe alphabet."""
    if unit == "+":
        return r"(?:[+-]|%(?:25){0,3}2[Bb])"
    if unit == "/":
        return r"(?:\\{0,4}/|_|%(?:25){0,3}2[Ff])"
    return unit
