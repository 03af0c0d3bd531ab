"""Columns whose values the warehouse makes: identity columns and computed ones.

``information_schema.columns`` has fields for them, which are reserved for future use; what tells is
SHOW CREATE TABLE, the statement that would make the table:
https://docs.databricks.com/aws/en/sql/language-manual/sql-ref-syntax-aux-show-create-table
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from vinci_code.database.dialect.text.scanning import Part, parts_of, unquoted


class Identity(NamedTuple):
    """How an identity column counts."""

    always: bool
    start: int
    increment: int


class Computed(NamedTuple):
    """The expression of a computed column; Delta stores its values always."""

    sqltext: str
    persisted: bool = True


def parse_generated(statement: str) -> dict[str, Identity | Computed]:
    """The identity columns and the computed ones of a CREATE TABLE statement, by name."""
    found: dict[str, Identity | Computed] = {}
    for item in _items(statement):
        generated = _Item(statement, item).generated()
        if generated is not None:
            found[unquoted(item[0].text)] = generated
    return found


def _items(statement: str) -> list[list[Part]]:
    """The parts of each column and each constraint."""
    items: list[list[Part]] = [[]]
    depth = angles = 0
    in_type = True
    for part in parts_of(statement):
        depth += (part.kind == "open") - (part.kind == "close")
        if depth == 0:
            if part.kind == "close":
                break  # the list is at its end
            continue
        if depth == 1 and part.kind == "comma" and angles == 0:
            items.append([])
            in_type = True
        elif not (depth == 1 and part.kind == "open"):
            items[-1].append(part)
            # STRUCT<a: INT, b: INT>; behind the type these signs compare.
            if depth == 1 and angles == 0 and len(items[-1]) > 2:
                in_type = in_type and part.text.upper() not in _BEHIND_TYPE
            if depth == 1 and in_type:
                angles += (part.text == "<") - (part.text == ">")
    return [item for item in items if item]


_BEHIND_TYPE = frozenset({"GENERATED", "DEFAULT", "NOT", "COMMENT", "COLLATE", "MASK"})


@dataclass
class _Item:
    """A column, or a constraint, as it is written."""

    statement: str
    parts: Sequence[Part]

    def generated(self) -> Identity | Computed | None:
        """How its values are made; ``None`` where they are given."""
        words = [part.text.upper() if part.kind == "word" else part.kind for part in self.parts]
        for at in range(1, len(words)):
            for always, start in ((True, _ALWAYS), (False, _BY_DEFAULT)):
                behind = at + len(start)
                if words[at:behind] != start:
                    continue
                if words[behind : behind + 1] == ["IDENTITY"]:
                    return self._identity(always, behind + 1)
                if always and words[behind : behind + 1] == ["open"]:
                    return Computed(self._enclosed(behind))
        return None

    def _identity(self, always: bool, at: int) -> Identity:
        given = "".join(part.text.upper() for part in self.parts[at:])
        return Identity(
            always, _number_behind(given, "STARTWITH"), _number_behind(given, "INCREMENTBY")
        )

    def _enclosed(self, at: int) -> str:
        """The text in the parentheses that open at a part."""
        depth = 0
        for part in self.parts[at:]:
            depth += (part.kind == "open") - (part.kind == "close")
            if depth == 0:
                return self.statement[self.parts[at].end : part.start].strip()
        return self.statement[self.parts[at].end :].strip()


_ALWAYS = ["GENERATED", "ALWAYS", "AS"]
_BY_DEFAULT = ["GENERATED", "BY", "DEFAULT", "AS"]


def _number_behind(text: str, words: str) -> int:
    """The number behind some words of an identity column; 1 where they are not there."""
    if not text.startswith("(") or words not in text:
        return 1
    rest = text.partition(words)[2]
    digits = rest.removeprefix("-")
    length = next((at for at, sign in enumerate(digits) if not sign.isdigit()), len(digits))
    number = int(digits[:length])
    return -number if rest.startswith("-") else number
