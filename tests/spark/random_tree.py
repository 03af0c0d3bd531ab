"""Statements as trees, so that a statement that disagrees can be made smaller piece by piece."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Union

# The smallest values of a kind: what a part of a statement is tried to be replaced by.
SIMPLEST: dict[str, tuple[str, ...]] = {}
# Kinds that may stand for each other.
NUMERIC = frozenset("nwyhilegf")

_STRING = re.compile(r"^(r?)(['\"])(.*)(['\"])$", re.DOTALL)
_MOST_CHARACTERS = 60


@dataclass(frozen=True)
class Node:
    """A piece of SQL.

    Attributes:
        kind: What may stand for it: a node is replaced by nodes of its own kind alone.
        parts: Text and smaller pieces, in order.
        removable: Whether the statement is one still without this piece.
        least: For a list of pieces (``separator`` is set): how few of them must stay.
        separator: Stands between the pieces of a list.
    """

    kind: str
    parts: tuple[Part, ...]
    removable: bool = False
    least: int = 0
    separator: str | None = None

    @property
    def sql(self) -> str:
        """The text."""
        texts = (part if isinstance(part, str) else part.sql for part in self.parts)
        return ("" if self.separator is None else self.separator).join(texts)


Part = Union[str, Node]  # noqa: UP007 - the name is used above its definition


@dataclass(frozen=True)
class Script:
    """Statements to be run in order on an empty schema; ``kind`` says what it is an example of."""

    kind: str
    statements: tuple[Node, ...]

    @property
    def texts(self) -> tuple[str, ...]:
        """The statements."""
        return tuple(statement.sql for statement in self.statements)


def shrink(script: Script, still: Callable[[Script], bool], attempts: int = 150) -> Script:
    """Return the smallest script for which ``still`` holds that ``attempts`` tries can find.

    ``still`` holds for ``script`` itself; it is asked about every smaller one.
    """
    seen: set[tuple[str, ...]] = {script.texts}
    while True:
        for candidate in _smaller_scripts(script):
            if candidate.texts in seen or _size(candidate) >= _size(script):
                continue
            if not attempts:
                return script
            seen.add(candidate.texts)
            attempts -= 1
            if still(candidate):
                script = candidate
                break
        else:
            return script


def _size(script: Script) -> tuple[int, tuple[str, ...]]:
    return sum(map(len, script.texts)), script.texts


def _smaller_scripts(script: Script) -> Iterator[Script]:
    statements = script.statements
    if len(statements) > 1:
        for index in range(len(statements)):
            yield replace(script, statements=statements[:index] + statements[index + 1 :])
    for index, statement in enumerate(statements):
        for smaller in _smaller(statement):
            changed = (*statements[:index], smaller, *statements[index + 1 :])
            yield replace(script, statements=changed)


def _smaller(node: Node) -> Iterator[Node]:
    """Smaller forms of a node: first those that take the most away."""
    yield from _replacements(node)
    for index, part in enumerate(node.parts):
        if isinstance(part, Node):
            for smaller in _smaller(part):
                yield replace(node, parts=(*node.parts[:index], smaller, *node.parts[index + 1 :]))


def _replacements(node: Node) -> Iterator[Node]:
    if node.removable:
        yield replace(node, parts=(), separator=None)
    if node.separator is not None and len(node.parts) > node.least:
        for index in range(len(node.parts)):
            yield replace(node, parts=node.parts[:index] + node.parts[index + 1 :])
    for inner in _inside(node):
        if node.kind in ("any", inner.kind) or {node.kind, inner.kind} <= NUMERIC:
            # What stood for anything goes on standing for anything.
            yield replace(inner, kind=node.kind, removable=node.removable)
    for text in (*SIMPLEST.get(node.kind, ()), *_shorter_strings(node)):
        yield Node(node.kind, (text,), node.removable)


def _inside(node: Node) -> Iterator[Node]:
    level = [part for part in node.parts if isinstance(part, Node)]
    while level:
        yield from level
        level = [part for inner in level for part in inner.parts if isinstance(part, Node)]


def _shorter_strings(node: Node) -> Iterator[str]:
    """A string literal with characters left out."""
    if len(node.parts) != 1 or not isinstance(node.parts[0], str):
        return
    match = _STRING.match(node.parts[0])
    if match is None or match[2] != match[4] or len(match[3]) > _MOST_CHARACTERS:
        return
    raw, quote, text, _ = match.groups()
    half = len(text) // 2
    if half > 1:
        yield f"{raw}{quote}{text[:half]}{quote}"
        yield f"{raw}{quote}{text[half:]}{quote}"
    for index in range(len(text)):
        yield f"{raw}{quote}{text[:index]}{text[index + 1 :]}{quote}"
