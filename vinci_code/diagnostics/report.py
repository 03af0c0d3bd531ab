"""What the checks found, as lines for people and as one JSON object for machines."""

from __future__ import annotations

import json
import textwrap
from dataclasses import dataclass, field
from enum import Enum

from vinci_code import __version__
from vinci_code.core.errors import EXIT_CONFIG, EXIT_FAILED
from vinci_code.core.printable import in_lines
from vinci_code.core.redaction import redact

_WIDTH = 100
_INDENT = " " * 10
# Stands for a blank at which no line is broken: textwrap takes it for a part of a word, and no path
# has it.
_KEPT = "\x00"


class Status(Enum):
    """How a check ended."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass(frozen=True)
class Finding:
    """What a check found out.

    Attributes:
        status: How it ended.
        detail: What was found.
        cause: On failure or warning, what is wrong.
        next_step: On failure or warning, the one thing to do next.
        is_configuration: Whether the configuration is at fault, and nothing else.
        pieces: The parts of these texts that were given ``in_one_piece``.
    """

    status: Status
    detail: str = ""
    cause: str | None = None
    next_step: str | None = None
    is_configuration: bool = False
    pieces: tuple[str, ...] = field(default=(), init=False)

    def __post_init__(self) -> None:
        for name in ("detail", "cause", "next_step"):
            text = getattr(self, name) or ""
            if _KEPT in text:
                found = [word.replace(_KEPT, " ") for word in text.split() if _KEPT in word]
                object.__setattr__(self, "pieces", (*self.pieces, *found))
                object.__setattr__(self, name, text.replace(_KEPT, " "))


@dataclass(frozen=True)
class CheckResult:
    """One line of the report.

    Attributes:
        name: The check's name for machines: ``"tls"``.
        title: Its name for people.
        milliseconds: How long it took.
        finding: What it found.
    """

    name: str
    title: str
    milliseconds: float
    finding: Finding

    @property
    def status(self) -> Status:
        """How it ended."""
        return self.finding.status

    def as_dict(self) -> dict[str, object]:
        """The result as JSON values, without a secret."""
        return {
            "name": self.name,
            "title": self.title,
            "status": self.status.value,
            "milliseconds": round(self.milliseconds, 1),
            "detail": redact(self.finding.detail),
            "cause": None if self.finding.cause is None else redact(self.finding.cause),
            "next_step": None if self.finding.next_step is None else redact(self.finding.next_step),
        }

    def as_text(self, room: int | None = None) -> str:
        """The result as lines of text, without a secret and without a line end.

        Args:
            room: How many characters a line of the terminal has. Words, and commands that are
                ``in_one_piece``, are never broken: what is copied is whole. ``None``: there is no
                terminal, and what was found stands on one line.
        """
        mark = self.status.value if self.status is not Status.FAILED else "FAILED"
        took = "" if self.status is Status.SKIPPED else f" ({_duration(self.milliseconds)})"
        head = f"{mark:<9} {self.title}{took}"
        first = f"{head}: {self.finding.detail}" if self.finding.detail else head
        width = _WIDTH if room is None else min(_WIDTH, room)
        lines = [first] if room is None else self._wrapped("", _INDENT, first, width)
        for label, text in (("cause", self.finding.cause), ("next", self.finding.next_step)):
            if text and text != self.finding.detail:
                label = f"{_INDENT}{label + ':':<7}"
                lines += self._wrapped(label, " " * len(label), text, width)
        return in_lines(redact("\n".join(lines).replace(_KEPT, " ")))

    def _wrapped(self, label: str, indent: str, text: str, width: int) -> list[str]:
        """The paragraphs of ``text``, the first of them behind ``label``."""
        # A path may stand within a command.
        for piece in sorted(self.finding.pieces, key=len, reverse=True):
            text = text.replace(piece, in_one_piece(piece))
        lines: list[str] = []
        for number, paragraph in enumerate(text.splitlines()):
            lines += textwrap.wrap(
                paragraph,
                width=width,
                initial_indent=label if number == 0 else indent,
                subsequent_indent=indent,
                break_long_words=False,
                break_on_hyphens=False,
            )
        return lines


@dataclass(frozen=True)
class Report:
    """What all checks found, in their order.

    Attributes:
        backend: ``"sqlite"`` or ``"databricks"``; ``None`` if the settings do not say.
        results: One result for each check.
    """

    backend: str | None
    results: tuple[CheckResult, ...]

    @property
    def ok(self) -> bool:
        """Whether no check failed."""
        return self.exit_code == 0

    @property
    def exit_code(self) -> int:
        """0 if no check failed, 78 if the configuration is at fault, 1 otherwise."""
        failed = [result for result in self.results if result.status is Status.FAILED]
        if any(result.finding.is_configuration for result in failed):
            return EXIT_CONFIG
        return EXIT_FAILED if failed else 0

    def result(self, name: str) -> CheckResult:
        """The result of the check of this name.

        Raises:
            KeyError: There is no such check.
        """
        for result in self.results:
            if result.name == name:
                return result
        raise KeyError(name)

    def summary(self) -> str:
        """One line that says how it all ended."""
        failed = [result.title for result in self.results if result.status is Status.FAILED]
        warned = [result.title for result in self.results if result.status is Status.WARNING]
        if failed:
            return f"Failed: {', '.join(failed)}."
        if warned:
            return f"All checks passed, with a warning: {', '.join(warned)}."
        return "All checks passed."

    def as_text(self) -> str:
        """All results and the summary, as lines of text."""
        return "\n".join([*(result.as_text() for result in self.results), "", self.summary()])

    def as_dict(self) -> dict[str, object]:
        """The report as JSON values, without a secret."""
        return {
            "version": __version__,
            "backend": self.backend,
            "ok": self.ok,
            "exit_code": self.exit_code,
            "checks": [result.as_dict() for result in self.results],
        }

    def as_json(self) -> str:
        """The report as one JSON object, on one line."""
        return json.dumps(self.as_dict())  # also on a stream that is not UTF-8


def in_one_piece(command: str) -> str:
    """A command for a finding, which no line break is to part where it is printed."""
    return command.replace(" ", _KEPT)


def _duration(milliseconds: float) -> str:
    return f"{milliseconds / 1000:.1f} s" if milliseconds >= 1000 else f"{milliseconds:.0f} ms"
