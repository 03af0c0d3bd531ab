"""Reads the corpus files; the format is described in the README beside them."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent

_STATEMENT = re.compile(r"^([A-Z]?)> ?(.*)$")


class CorpusError(Exception):
    """A corpus file breaks the format; says where."""


@dataclass(frozen=True)
class Expected:
    """One column of an expected result: its name (``_`` for any) and its Databricks type."""

    name: str
    type: str


@dataclass
class Step:
    """One statement and what it must answer; nothing set means that it has to succeed."""

    session: str
    sql: str
    line: int
    parameters: Any = None
    columns: list[Expected] | None = None
    rows: list[list[Any]] = field(default_factory=list)
    ordered: bool = True
    rowcount: int | None = None
    error_class: str | None = None
    sqlstate: str | None = None
    error_text: str = ""


@dataclass(frozen=True)
class Typed:
    """A parameter whose type is named.

    Attributes:
        type: The type's text: ``DECIMAL(10,2)``.
        value: The value's text as it travels, ``None`` for NULL; for ARRAY the elements, and for
            MAP the keys and values in turn.
    """

    type: str
    value: str | tuple[Typed, ...] | None


@dataclass
class Case:
    """A named list of steps.

    Attributes:
        subject: The name of its file.
        name: Its own name.
        steps: Its own steps.
        setup: The steps that come before them, which other cases may share.
        setup_name: The name of these in the file.
    """

    subject: str
    name: str
    steps: list[Step] = field(default_factory=list)
    setup: list[Step] = field(default_factory=list)
    setup_name: str | None = None

    @property
    def id(self) -> str:
        """The pytest id, and the name in ``refused.txt``."""
        return f"{self.subject}::{self.name}"


def cases(folder: Path = FOLDER) -> Iterator[Case]:
    """Every case of every file of a folder, in the order of the files' names."""
    for path in sorted(folder.glob("*.case")):
        yield from read(path)


def refused() -> dict[str, str]:
    """Case id to reason, of the cases that the local warehouse refuses by name."""
    found: dict[str, str] = {}
    for line in (FOLDER / "refused.txt").read_text(encoding="utf-8").splitlines():
        if line.strip() and not line.startswith("#"):
            case_id, _, reason = line.partition(" ")
            found[case_id] = reason.strip()
    return found


def read(path: Path) -> list[Case]:
    """The cases of one file."""
    reading = _Reading(path.stem)
    number = 0
    line = ""
    try:
        for number, line in enumerate(path.read_bytes().decode().split("\n"), 1):
            reading.take(line, number)
    except (CorpusError, ValueError, LookupError) as error:
        raise CorpusError(f"{path.name}:{number}: {error}: {line!r}") from error
    for name, times in Counter(case.name for case in reading.cases).items():
        if times > 1:
            raise CorpusError(f"{path.name}: {times} cases are called {name!r}")
    return reading.cases


def typed(parameter: object) -> Typed | None:
    """A parameter of a step as one whose type is named; ``None`` where it is a plain value."""
    if not isinstance(parameter, dict) or parameter.keys() != {"type", "value"}:
        return None
    value = parameter["value"]
    if not isinstance(value, list):
        return Typed(parameter["type"], value)
    parts = [typed(item) for item in value]
    known = tuple(part for part in parts if part is not None)
    if len(known) < len(parts):
        raise CorpusError(f"an element without a type in {parameter}")
    return Typed(parameter["type"], known)


def split_columns(text: str) -> list[Expected]:
    """``a INT, b MAP<INT, INT>`` as columns."""
    columns = []
    for part in split_top(text):
        match = re.match(r"^(?:`((?:[^`]|``)*)`|(\S+))\s+(.+)$", part.strip())
        if match is None:
            raise CorpusError(f"not a column: {part!r}")
        quoted, plain, type_text = match.groups()
        name = plain if quoted is None else quoted.replace("``", "`")
        columns.append(Expected(name, type_text.strip()))
    return columns


def split_top(text: str) -> list[str]:
    """The parts of a text between the commas that stand in no bracket and in no backticks."""
    parts, depth, quoted, current = [], 0, False, ""
    for character in text:
        if character == "`":
            quoted = not quoted
        elif not quoted:
            depth += (character in "<(") - (character in ">)")
            if character == "," and depth == 0:
                parts.append(current)
                current = ""
                continue
        current += character
    return [*parts, current] if current.strip() else parts


class _Reading:
    """What has been read of a file so far."""

    def __init__(self, subject: str) -> None:
        self.cases: list[Case] = []
        self._subject = subject
        self._setups: dict[str, list[Step]] = {}
        self._steps: list[Step] = []

    def take(self, line: str, number: int) -> None:
        if not line.strip() or line.startswith("# ") or line == "#":
            return
        if line.startswith("+++ "):
            self._begin_setup(line[4:].strip())
        elif line.startswith("=== "):
            self.cases.append(Case(self._subject, line[4:].strip()))
            self._steps = self.cases[-1].steps
        elif line.startswith("<< "):
            self._use_setup(line[3:].strip())
        elif match := _STATEMENT.match(line):
            self._steps.append(Step(match[1] or "A", match[2], number))
        else:
            _take_outcome(line, self._steps[-1])

    def _begin_setup(self, name: str) -> None:
        if name in self._setups:
            raise CorpusError(f"two set-ups are called {name!r}")
        self._steps = self._setups[name] = []

    def _use_setup(self, name: str) -> None:
        case = self.cases[-1]
        if case.steps or case.setup_name is not None:
            raise CorpusError("a set-up is a case's first line, and its only one")
        if name not in self._setups:
            raise CorpusError(f"no set-up above is called {name!r}")
        case.setup_name, case.setup = name, self._setups[name]


def _take_outcome(line: str, step: Step) -> None:
    mark, rest = line[:2], line[2:].strip()
    if line.startswith("["):
        if step.columns is None:
            raise CorpusError("a row without columns")
        step.rows.append(json.loads(line))
    elif line.startswith("."):
        step.sql += "\n" + line[2:]
    elif mark == "??":
        step.parameters = json.loads(rest)
    elif mark in ("::", "~~"):
        step.columns, step.ordered = split_columns(rest), mark == "::"
    elif mark == "##":
        step.rowcount = int(rest)
    elif mark == "!!":
        step.error_class, step.sqlstate, *text = rest.split(" ", 2)
        step.error_text = text[0] if text else ""
    else:
        raise CorpusError("not a line of a case")
