"""Exact values: the secrets in use, in every spelling that a text may hold them in."""

from __future__ import annotations

import base64
import os
import re
import sys
import threading
from collections.abc import Callable, Collection, Iterable, Iterator
from functools import lru_cache
from operator import itemgetter
from typing import Any, NamedTuple
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
_TEXT, _BASE64, _EXACT = "text", "base64", "exact"
# A run of backslashes is one unit: `(\\{1,8})(\\{1,8})` would be tried in every split.
_UNITS = re.compile(r"\\+|[^\\]").findall
_UNANCHORED = re.compile(r"[^A-Za-z0-9_.-]").split


class _Form(NamedTuple):
    """One spelling of a secret.

    Attributes:
        size: How many characters of the secret's text it stands for; longer ones are tried first.
        anchor: A text without which the pattern cannot match; looking for it costs next to nothing.
        text: The secret, as it is spelled there.
        kind: Which characters of it may be spelled otherwise: those of a text, of base64, or none.
        before: A pattern of what leads.
        after: A pattern of what follows.
    """

    size: int
    anchor: str
    text: str
    kind: str
    before: str = ""
    after: str = ""

    @property
    def pattern(self) -> str:
        """The regular expression."""
        if self.kind == _EXACT:
            return self.text
        spell = _spellings if self.kind == _TEXT else _base64_spellings
        return self.before + "".join(spell(unit) for unit in _UNITS(self.text)) + self.after


class _Finder:
    """What finds one secret.

    Attributes:
        anchors: Texts of which one is there wherever the pattern matches.
    """

    def __init__(self, value: str) -> None:
        self._forms = sorted(set(_forms(value)), reverse=True)
        self.anchors = tuple(dict.fromkeys(form.anchor for form in self._forms))
        self._pieces: tuple[int, int, frozenset[str]] = 0, 0, frozenset()
        self._pattern: re.Pattern[str] | None = None

    @property
    def pattern(self) -> re.Pattern[str]:
        """Every spelling of the secret, in a look-ahead: a match may begin inside another.

        Made when a text first has an anchor of it, as next to none has: that of a long token takes
        20 ms, and an application has one for each user.
        """
        if self._pattern is None:
            patterns = "|".join(form.pattern for form in self._forms)
            self._pattern = re.compile(f"(?=({patterns}))")
        return self._pattern

    def pieces(self, length: int, size: int) -> frozenset[str]:
        """All pieces of ``size`` characters of the last ``length`` of each anchor.

        The last ones, since the first ones are those of every JSON web token.
        """
        known = self._pieces
        if known[:2] != (length, size):
            ends = [anchor[-length:] for anchor in self.anchors]
            found = frozenset(
                end[at : at + size] for end in ends for at in range(length - size + 1)
            )
            self._pieces = known = length, size, found
        return known[2]


class _Kept(NamedTuple):
    """A secret that is looked for.

    Attributes:
        finder: What finds it.
        rotates: Whether another secret takes its place some day.
        held: Whether it is looked for as long as it is held, and no longer.
    """

    finder: _Finder
    rotates: bool
    held: bool = False


def _index(finders: Collection[_Finder]) -> Callable[[str], bool]:
    """What tells at once of nearly every text that no secret can be in it.

    A log line is looked through for each handler, and has to cost next to nothing with 25 secrets.
    Where a secret is, one of its anchors is, and so are the last characters of this, as many as the
    shortest anchor has. Of the pieces of ``size`` characters that begin at every ``step`` of a
    text, one lies wholly within these: so these few pieces are looked up among all that anchors
    end with.
    """
    shortest = min((len(anchor) for f in finders for anchor in f.anchors), default=sys.maxsize)
    if not shortest:
        return lambda _text: True  # a secret of special characters alone, which has no anchor
    size = max(1, min(_PIECE, shortest // 2 + 1))
    step = shortest - size + 1
    pieces = frozenset().union(*(finder.pieces(shortest, size) for finder in finders))
    taken = _takers(size, step) if finders else []
    most = len(taken)

    def may_be_in(text: str) -> bool:
        number = len(text) // step
        if number < most:
            return not pieces.isdisjoint(taken[number](text))
        for at in range(0, len(text) - size + 1, step):  # noqa: SIM110 - any() takes twice as long
            if text[at : at + size] in pieces:
                return True
        return False

    return may_be_in


@lru_cache(maxsize=64)
def _takers(size: int, step: int) -> list[itemgetter[Any]]:
    """By the number of pieces, what takes them out of a text.

    One more than there are is cut short, and none of theirs.
    """
    several = [slice(at, at + size) for at in range(0, _LINE, step)]
    taken = [itemgetter(*several[: max(2, number)]) for number in range(1, len(several) + 1)]
    return taken if len(several) > 1 else []


class ExactValues:
    """The secrets in use; finds any spelling of any of them.

    Attributes:
        may_be_in: Whether one may be in a text; ``mask`` is for the texts of which this is so.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()
        # Replaced as a whole, so that a thread that masks while another adds sees either of both.
        self._kept: dict[str, _Kept] = {}
        self.may_be_in = _index(())
        self._newest: str | None = None
        # How many hold a secret.
        self._holders: dict[str, int] = {}
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._renew_lock)

    def add(self, value: str, *, rotates: bool = False) -> None:
        """Look for ``value`` from now on; see `_SHORTEST_SECRET` for what is ignored.

        Args:
            value: The secret.
            rotates: Whether it may be forgotten after others that rotate, too. A JSON web token
                always may: it expires, and is known by its shape besides.
        """
        secret = _secret_in(value)
        if secret is None:
            return
        # What is held is made known by each of its requests, too, and is to be forgotten all the
        # same. Who makes it known for good knows it otherwise.
        if rotates and secret in self._holders:
            return
        rotates = rotates or secret.startswith("eyJ")
        with self._lock:
            while not self._add(secret, rotates):
                pass

    def hold(self, value: str) -> None:
        """Look for ``value`` until whoever holds it has released it; see ``add`` for what is not.

        There is no limit to how many are held.
        """
        secret = _secret_in(value)
        if secret is None:
            return
        with self._lock:
            self._holders[secret] = self._holders.get(secret, 0) + 1
            while not self._hold(secret):
                pass

    def release(self, value: str) -> None:
        """Hold ``value`` no longer; who else holds it, or has made it known for good, is not hurt.

        More often than it was held does nothing.
        """
        secret = _secret_in(value)
        with self._lock:
            if secret is None or secret not in self._holders:
                return
            self._holders[secret] -= 1
            if not self._holders[secret]:
                del self._holders[secret]
                while not self._release(secret):
                    pass

    def _add(self, secret: str, rotates: bool) -> bool:
        before = self._kept
        known = before.get(secret)
        if known is not None and not known.held:
            newest = rotates and secret == self._newest
            if not known.rotates or newest:
                return True
        finder = _Finder(secret) if known is None else known.finder
        others = {other: kept for other, kept in before.items() if other != secret}
        return self._replace(
            before, self._bounded({**others, secret: _Kept(finder, rotates)}), secret
        )

    def _hold(self, secret: str) -> bool:
        before = self._kept
        if secret in before:
            return True
        held = _Kept(_Finder(secret), rotates=False, held=True)
        return self._replace(before, {**before, secret: held}, self._newest)

    def _release(self, secret: str) -> bool:
        before = self._kept
        known = before.get(secret)
        if known is None or not known.held or secret in self._holders:
            return True
        others = {other: kept for other, kept in before.items() if other != secret}
        return self._replace(before, others, self._newest)

    def _replace(
        self, before: dict[str, _Kept], kept: dict[str, _Kept], newest: str | None
    ) -> bool:
        """Look for these secrets, unless others are looked for meanwhile than before."""
        may_be_in = _index([secret.finder for secret in kept.values()])
        # A finaliser that the garbage collector runs in this thread may have added another one.
        if self._kept is not before:
            return False
        if len(kept) < len(before):
            # Of one that knows less, too late: with one that knows more, no secret is missed.
            self._kept, self.may_be_in = kept, may_be_in
        else:
            self.may_be_in, self._kept = may_be_in, kept
        self._newest = newest
        return True

    def clear(self) -> None:
        """Forget every value."""
        with self._lock:
            self._kept = {}
            self.may_be_in = _index(())
            self._newest = None
            self._holders = {}

    def __len__(self) -> int:
        """How many values are looked for."""
        return len(self._kept)

    def mask(self, text: str, mask: str) -> str:
        """Return ``text`` with every spelling of every value replaced by ``mask``."""
        spans = [
            match.span(1)
            for kept_secret in self._kept.values()
            if any(anchor in text for anchor in kept_secret.finder.anchors)
            for match in kept_secret.finder.pattern.finditer(text)
        ]
        kept = []
        rest = 0
        for start, end in _merged(sorted(spans)):
            kept.append(text[rest:start])
            rest = end
        return mask.join((*kept, text[rest:]))

    def _bounded(self, secrets: dict[str, _Kept]) -> dict[str, _Kept]:
        """Forget the one that rotates and was not made known for longest, if there are too many.

        A process that lives for months gets an OAuth token an hour; those of last week have
        expired. What is held is not forgotten.
        """
        rotating = [
            value for value, kept in secrets.items() if kept.rotates and value not in self._holders
        ]
        if len(rotating) > _MOST_ROTATING:
            del secrets[rotating[0]]
        return secrets

    def _renew_lock(self) -> None:
        """In a forked child, where no thread is left that would release the old one."""
        self._lock = threading.RLock()


def _secret_in(value: str) -> str | None:
    """What of a value is looked for; ``None`` where it would mask ordinary words."""
    secret = value.strip()
    return None if len(secret) < _SHORTEST_SECRET or not secret.strip("*") else secret


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
    yield _form(value, _TEXT)
    for data in _encodings(value):
        # UTF-8 that was read as Latin-1, as http.client and the repr of bytes have it.
        yield _form(data.decode("latin-1"), _TEXT)
        yield from _base64_forms(data)
        for digits in (data.hex(), data.hex().upper()):
            yield _Form(len(digits), digits, digits, _EXACT)


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
        before = _BASE64_DIGIT if lead else ""
        after = _BASE64_DIGIT if rest else ""
        yield _form(digits[first:last], _BASE64)._replace(before=before, after=after)


def _form(text: str, kind: str) -> _Form:
    return _Form(len(text), max(_UNANCHORED(text), key=len), text, kind)


def _spellings(unit: str) -> str:
    """Return a pattern for one character as URLs, JSON, ``repr`` and HTML spell it."""
    if unit in _PLAIN:
        return re.escape(unit)
    character = unit[0]
    octets = character.encode("utf-8", "surrogatepass")
    units = _utf16(ord(character))
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


def _utf16(number: int) -> str:
    """Return the code units of a character as hexadecimal digits, four for each.

    A codec would have to be found for that, which a finaliser at the end of the interpreter, where
    a text is masked too, cannot do.
    """
    if number < 0x10000:
        return f"{number:04x}"
    high, low = divmod(number - 0x10000, 0x400)
    return f"{0xD800 + high:04x}{0xDC00 + low:04x}"


def _base64_spellings(unit: str) -> str:
    """Return a pattern for one base64 digit in the standard and in the URL-safe alphabet."""
    if unit == "+":
        return r"(?:[+-]|%(?:25){0,3}2[Bb])"
    if unit == "/":
        return r"(?:\\{0,4}/|_|%(?:25){0,3}2[Ff])"
    return unit
