"""Reads the corpus files; the format is described in the README beside them."""

from __future__ import annotations

import json
import re
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


@dataclass
class Case:
    """A named list of steps."""

    subject: str
    name: str
    steps: list[Step] = field(default_factory=list)

    @property
    def id(self) -> str:
        """The pytest id, and the name in ``refused.txt``."""
        return f"{self.subject}::{self.name}"


def cases() -> Iterator[Case]:
    """Every case of every file, in the order of the files' names."""
    for path in sorted(FOLDER.glob("*.case")):
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
    found: list[Case] = []
    number = 0
    line = ""
    try:
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            _take(line, number, path.stem, found)
    except (CorpusError, ValueError, IndexError) as error:
        raise CorpusError(f"{path.name}:{number}: {error}: {line!r}") from error
    names = [case.name for case in found]
    for name in names:
        if names.count(name) > 1:
            raise CorpusError(f"{path.name}: two cases are called {name!r}")
    return found


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


def _take(line: str, number: int, subject: str, found: list[Case]) -> None:
    if not line.strip() or line.startswith("# ") or line == "#":
        return
    if line.startswith("=== "):
        found.append(Case(subject, line[4:].strip()))
    elif match := _STATEMENT.match(line):
        found[-1].steps.append(Step(match[1] or "A", match[2], number))
    else:
        _take_outcome(line, found[-1].steps[-1])


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
