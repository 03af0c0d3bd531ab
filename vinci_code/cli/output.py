"""Everything that the command prints goes through here, and through the mask for secrets."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TextIO

from vinci_code.core.printable import in_lines, on_one_line

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

_PAGE = 80
"""The width of what is printed where there is no terminal to ask."""


@contextmanager
def to_output() -> Iterator[None]:
    """Have what goes wrong with standard output say that it is of that."""
    try:
        yield
    except OSError as error:
        if error.filename is not None or error.errno is None:
            raise
        raise OSError(error.errno, error.strerror, "standard output") from error


def flush() -> None:
    """Send what was printed.

    Raises:
        OSError: It cannot be sent, as to a device that is full.
    """
    if sys.stdout is not None:
        with to_output():
            sys.stdout.flush()


def say(text: str = "") -> None:
    """Print lines on standard output."""
    with to_output():
        _write(sys.stdout, text)


def tell(text: str) -> None:
    """Print lines on standard error: what is about the run and not its result."""
    _write(sys.stderr, text)


def print_document(value: object) -> None:
    """Print one JSON document on standard output; what looks like a secret in it is masked."""
    if sys.stdout is not None:
        with to_output():
            sys.stdout.write(f"{_dumped(masked(value))}\n")


def masked(value: object) -> Any:
    """A JSON document with every secret in it masked, and still a JSON document.

    The finished text cannot be masked as a whole: a mask that takes a quote or a backslash with it
    would leave something that no machine can read.
    """
    from vinci_code.core.redaction import redact

    if isinstance(value, dict):
        return {redact(name): _masked_member(name, inner) for name, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [masked(item) for item in value]
    return redact(value) if isinstance(value, str) else value


def _masked_member(name: str, value: object) -> Any:
    from vinci_code.core.redaction import MASK, redact

    clean = masked(value)
    if not isinstance(clean, str) or clean == MASK:
        return clean
    # Some secrets show only beside their name: {"password": "…"}.
    pair = json.dumps({name: clean})
    return clean if redact(pair) == pair else MASK


def _dumped(value: object) -> str:
    text = json.dumps(value, indent=2, ensure_ascii=not _is_utf8(sys.stdout))
    try:
        text.encode()
    except UnicodeEncodeError:
        return json.dumps(value, indent=2)
    return text


def shown(value: object) -> str:
    """A value as a cell of a table: on one line, with nothing that would steer a terminal."""
    from vinci_code.core.redaction import redact

    return on_one_line(redact("" if value is None else str(value)))


def render(*parts: RenderableType, wide_if_piped: bool = False) -> None:
    """Print tables and texts of Rich on standard output, plain where it is no terminal.

    Args:
        parts: What to print.
        wide_if_piped: Whether lines may be longer than :data:`_PAGE` where there is no terminal, so
            that nothing is cut off on the way to a file or another command.
    """
    from vinci_code.core.redaction import redact

    if sys.stdout is None:
        return
    console = _console(sys.stdout, width=10_000 if wide_if_piped else None)
    with to_output():  # Rich flushes at the end of a capture
        with console.capture() as capture:
            for part in parts:
                console.print(part, highlight=False)
        lines = [line.rstrip() for line in redact(capture.get()).split("\n")]
        sys.stdout.write("\n".join(lines))


def error_console() -> Console:
    """Rich's console on standard error, for progress bars."""
    return _console(sys.stderr)


def page_width() -> int:
    """How many characters a line has room for, at most :data:`_PAGE`."""
    return min(_PAGE, _console(sys.stdout).width) if sys.stdout is not None else _PAGE


def line_width() -> int | None:
    """How many characters fit into a line of standard output; ``None``: as many as there are."""
    return _console(sys.stdout).width if is_terminal(sys.stdout) else None


def is_terminal(stream: TextIO | None) -> bool:
    """Whether somebody is looking at a stream."""
    return stream is not None and not stream.closed and stream.isatty()


def blocks() -> str:
    """The characters that bars are drawn with, from one eighth to a full one, or ``#``."""
    return "▏▎▍▌▋▊▉█" if _is_utf8(sys.stdout) else "#"


def listing(words: Iterable[str]) -> str:
    """Words as a sentence has them: ``a, b, c``, or ``none``."""
    return ", ".join(words) or "none"


def _write(stream: TextIO | None, text: str) -> None:
    from vinci_code.core.redaction import redact

    if stream is not None:
        stream.write(f"{in_lines(redact(text))}\n")


def _is_utf8(stream: TextIO | None) -> bool:
    encoding = getattr(stream, "encoding", None) or ""
    return encoding.lower().replace("-", "") == "utf8"


def _console(stream: TextIO, width: int | None = None) -> Console:
    from rich.console import Console

    if is_terminal(stream):
        width = None
    elif width is None and not os.environ.get("COLUMNS", "").isdigit():
        width = _PAGE
    # Rich would take NO_COLOR to mean no colour, and still send bold and dim.
    return Console(
        file=stream,
        width=width,
        color_system=None if os.environ.get("NO_COLOR") else "auto",
        no_color=bool(os.environ.get("NO_COLOR")) or None,
        soft_wrap=False,
        emoji=False,
        markup=False,
    )
