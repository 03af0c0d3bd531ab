"""Text for a terminal: with nothing in it that would steer one, or that no stream can encode."""

from __future__ import annotations

import re

# C0, DEL, C1, the marks that turn the direction of writing, and lone surrogates: bytes of the
# environment or the command line that are no UTF-8, and that no stream can encode.
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_CONTROL_IN_LINES = re.compile(_CONTROL.pattern.replace(r"\x00-\x1f", r"\x00-\x09\x0b-\x1f"))


def on_one_line(text: str) -> str:
    """The text with every control character, a line end too, as an escape."""
    return _CONTROL.sub(_escaped, text)


def in_lines(text: str) -> str:
    """The same, and the lines stay lines."""
    return _CONTROL_IN_LINES.sub(_escaped, text)


def _escaped(match: re.Match[str]) -> str:
    return match.group().encode("unicode_escape").decode("ascii")
