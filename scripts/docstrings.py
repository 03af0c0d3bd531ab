"""Docstrings as Markdown, for the reference of the site: an extension of griffe, see `mkdocs.yml`.

The docstrings are Google's, with a few habits of reStructuredText that editors show well and
Markdown does not know: roles, code after ``::``, and lists of terms.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import griffe

_ROLE = re.compile(r":[a-z]+:`~?([^`]+)`")
_TERM = re.compile(r"``.*")
_FENCE = "```"


class MarkdownDocstrings(griffe.Extension):
    """Has each docstring read as Markdown."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Change the docstring of an object that was loaded."""
        if obj.docstring is not None:
            obj.docstring.value = markdown(obj.docstring.value)


def markdown(text: str) -> str:
    """A docstring with our habits, as Markdown.

    - ``:func:`name``` becomes the name as code.
    - What is indented below a line that ends with ``::`` becomes a block of Python.
    - A line that begins with code, and has indented lines below it, becomes a term of a list.
    """
    lines = _ROLE.sub(r"`\1`", text).split("\n")
    return "\n".join(_with_terms(list(_with_fences(lines))))


def _with_fences(lines: list[str]) -> Iterator[str]:
    place = 0
    while place < len(lines):
        line = lines[place]
        place += 1
        if not line.rstrip().endswith("::"):
            yield line
            continue
        said = line.rstrip()[:-2].rstrip()
        if said:
            yield f"{said}:"
        end = _end_of_block(lines, place, _indent(line))
        block = lines[place:end]
        while block and not block[0].strip():
            block.pop(0)
        trailing = 0
        while block and not block[-1].strip():
            block.pop()
            trailing += 1
        margin = " " * _indent(line)
        inner = min((_indent(item) for item in block if item.strip()), default=0)
        yield ""
        yield f"{margin}{_FENCE}python"
        yield from (margin + item[inner:] for item in block)
        yield f"{margin}{_FENCE}"
        yield from [""] * trailing
        place = end


def _with_terms(lines: list[str]) -> Iterator[str]:
    place = 0
    while place < len(lines):
        line = lines[place]
        place += 1
        after = lines[place] if place < len(lines) else ""
        if not (_TERM.match(line) and after.strip() and _indent(after) == 4):
            yield line
            continue
        yield ""  # ends the term before
        yield line
        end = _end_of_block(lines, place, 0)
        yield f":   {lines[place].strip()}"
        yield from lines[place + 1 : end]
        place = end


def _end_of_block(lines: list[str], place: int, margin: int) -> int:
    """Where the lines end that are empty or further in than the margin."""
    while place < len(lines) and (not lines[place].strip() or _indent(lines[place]) > margin):
        place += 1
    return place


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip(" "))
