"""Known shapes: texts that look like a credential, whoever it belongs to.

Every pattern takes time that grows linearly with the text, hostile text included: no pattern can
start again inside what it has already scanned in vain.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from typing import NamedTuple

_NAMES = (
    r"(?:(?:access|refresh|id|auth|bearer|session|security|sas|oauth|api|databricks)[_-]?token"
    r"|client[_-]?secret|(?<![A-Za-z0-9_-])(?:token|secret|pwd)|api[_-]?key|private[_-]?key"
    r"|secret[_-]?(?:access[_-]?)?key|pass(?:word|wd|phrase)"
    r"|x-(?:amz|goog)-(?:signature|credential|security-token)|sharedaccesssignature)"
)
_QUERY_NAMES = (
    r"(?:[A-Za-z0-9_.-]{0,40}(?:token|secret|password|passwd|pwd|signature|credential"
    r"|api_?key|accesskeyid)|sig)"
)
_LITERAL_NAMES = (
    rf"""(?:{_NAMES}(?:["']\s{{0,4}}[:=]|\s{{0,4}}=)|authorization["']\s{{0,4}}[:,=])"""
)
_AMPERSAND = r"(?:[?&]|%(?:25){0,3}(?:26|3f)|\\u0026)"
_WORD = r"""[^\s"'<>\\,;)}\]&]"""


class _Shape(NamedTuple):
    """One shape of credential.

    Attributes:
        hints: Lower-case texts; where a text has none of them, the pattern is not tried.
        pattern: What to look for.
        replace: Makes what is put there.
    """

    hints: tuple[str, ...]
    pattern: re.Pattern[str]
    replace: Callable[[re.Match[str]], str]


def mask_shapes(text: str, mask: str) -> str:
    """Return ``text`` with everything that looks like a credential replaced by ``mask``."""
    lowered = text.lower()
    for shape in _shapes(mask):
        if any(hint in lowered for hint in shape.hints):
            text = shape.pattern.sub(shape.replace, text)
    return text


def may_hold_one(lowered: str) -> bool:
    """Whether a text in lower case has a hint of some shape; nearly no log line has.

    Every log line comes here: a loop over the hints would take twice as long, one pattern for all
    of them five times.
    """
    return (
        "api" in lowered  # dapi and dsapi
        or "dose" in lowered
        or "dkea" in lowered
        or "eyj" in lowered
        or "://" in lowered
        or "bearer" in lowered
        or "basic" in lowered
        or "authorization" in lowered
        # What follows is a name, and behind it an equals sign or a quote.
        or (
            ("=" in lowered or "'" in lowered or '"' in lowered or "%" in lowered)
            and (
                "token" in lowered
                or "secret" in lowered
                or "pass" in lowered
                or "pwd" in lowered
                or "key" in lowered
                or "sig" in lowered
                or "credential" in lowered
                or "amz" in lowered
                or "goog" in lowered
            )
        )
    )


@functools.cache
def _shapes(mask: str) -> tuple[_Shape, ...]:
    """Compile the shapes at first use, so that importing costs nothing."""

    def shape(hints: str, pattern: str, *parts: int | str) -> _Shape:
        compiled = re.compile(pattern, re.ASCII | re.IGNORECASE | re.MULTILINE)
        return _Shape(tuple(hints.split()), compiled, functools.partial(_join, parts))

    names = "token secret pwd pass key amz goog signature"
    return (
        # Personal access tokens and the other prefixes that Databricks' own secret scanner lists.
        shape(
            "dapi dose dkea dsapi",
            r"(?-i:dapi|dose|dkea|dsapi)(?-i:[a-h0-9]{16,})(?:-\d+)?",
            mask,
        ),
        # JSON web tokens, signed (3 parts) or encrypted (5). The look-behind lets a match start
        # only where a word does, or after an escape (`%20eyJ…`, `\neyJ…`): `eyJeyJeyJ…` would take
        # quadratic time without it.
        shape(
            "eyj",
            r"(?:(?<![\w-])|(?<=%[0-9a-f]{2})|(?<=\\[nrt]))(?-i:eyJ)[\w-]{6,}(?:\.[\w-]*){2,4}"
            r"(?<!\.)",
            mask,
        ),
        # `scheme://user:password@`; a port that a query follows is none.
        shape(
            "://",
            r"""(://[^\s/:@"'<>]*:)(?!\d+[?#])[^\s/"'<>]+@""",
            1,
            f"{mask}@",
        ),
        # `Authorization: Bearer …` as a header has it: one word, or the whole line where the scheme
        # has several fields, or a word with a digit and no scheme. Prose has none of them.
        shape(
            "authorization",
            r"(authorization\s{0,4}[:=]\s{0,4})(?:"
            r"((?:bearer|basic|negotiate|token)(?:\s{1,4}|%20|\+))" + _WORD + "+"
            r"""|((?:digest|aws4-hmac-sha256)\s{1,4})[^"'\\\r\n]+"""
            r"|(?=[a-z._~+/=-]{0,4096}\d)" + _WORD + "{8,})",
            1,
            2,
            3,
            mask,
        ),
        # `Bearer …` by itself: prose ("Bearer authentication") has no digit in the word.
        shape(
            "bearer basic",
            r"\b((?:bearer|basic)(?:\s{1,4}|%20))(?=[a-z._~+/=-]{0,4096}\d)[\w.~+/=-]{16,}",
            1,
            mask,
        ),
        # Presigned URLs (S3, Google, Azure) and tokens in a query string.
        shape(
            "sig= sig% token secret passw pwd signature credential key",
            rf"({_AMPERSAND}{_QUERY_NAMES}(?:=|%(?:25){{0,3}}3d))" + r"""[^\s&"'<>\\]+""",
            1,
            mask,
        ),
        # `'password': '…'`, `"password": "…"`, `password='…'`: the literal, up to the end of the
        # line where it was cut off. It may also be a header in a list of pairs.
        shape(
            names + " authorization",
            rf"""({_LITERAL_NAMES}\s{{0,4}}[bru]{{0,2}})(["'])(?!\2)[^\n]*?(?:(?<!\\)\2|$)""",
            1,
            2,
            mask,
            2,
        ),
        # The same in JSON that was put into JSON: `\"password\": \"…\"`.
        shape(
            names + " authorization",
            rf"""({_NAMES}\\+["']\s{{0,4}}[:=]\s{{0,4}})(\\+["'])(?!\2)[^\n]*?(?:(?<!\\)\2|$)""",
            1,
            2,
            mask,
            2,
        ),
        # `password=…` with nothing around it. Code has that form too (`token=self._token` in the
        # lines of a traceback, `token = :token_1` in SQL), so the value has to look like a secret:
        # a digit, no call, no mark of a placeholder.
        shape(
            names,
            rf"({_NAMES}\s{{0,4}}=\s{{0,4}})(?![\s:$%?{{])"
            r"(?=[^\s\d\"'()\[\]=]{0,4096}\d)"
            r"""[^\s"'<>()\[\]&,;]{8,}""",
            1,
            mask,
        ),
    )


def _join(parts: tuple[int | str, ...], match: re.Match[str]) -> str:
    """Put groups of a match and texts together.

    A template for `re.sub` would do, but needs an import the first time that it is used, and a
    finaliser that fails while the interpreter ends can import nothing any more.
    """
    return "".join(part if isinstance(part, str) else match[part] or "" for part in parts)
