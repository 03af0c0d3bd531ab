"""Writes cases in the format of ``tests/warehouse/corpus/README.md``."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tests.spark.literals import UNSEEN
from tests.spark.snapshots import Snapshot
from tests.warehouse.corpus.reader import Typed

_PLAIN = re.compile(r"[A-Za-z0-9_]+\Z")


@dataclass(frozen=True)
class Written:
    """A case to be written.

    Attributes:
        name: Its name.
        setup: The tables that it needs.
        lines: Its own lines.
        reads: Whether it leaves its tables as they are.
    """

    name: str
    setup: Snapshot | None
    lines: Sequence[str]
    reads: bool


def text(head: Sequence[str], cases: Sequence[Written]) -> str:
    """A file of cases, below the set-ups that they share.

    Those of a set-up stand together, and those that only read come first: they can share its
    tables.
    """
    blocks = ["\n".join(f"# {line}" for line in head)]
    last = ""
    for case in sorted(cases, key=lambda one: (_setup_name(one), not one.reads, one.name)):
        name = _setup_name(case)
        if case.setup is not None and name != last:
            lines = [line for sql in case.setup.statements for line in statement(sql, [])]
            blocks.append("\n".join([f"+++ {name}", *lines]))
        last = name
        used = [f"<< {name}"] if name else []
        blocks.append("\n".join([f"=== {case.name}", *used, *case.lines]))
    return "\n\n".join(blocks) + "\n"


def statement(sql: str, parameters: Sequence[tuple[str | None, Typed]]) -> list[str]:
    """The lines of a statement and of its parameters."""
    first, *rest = sql.split("\n")
    lines = [f"> {first}", *(f". {line}" for line in rest)]
    if not parameters:
        return lines
    values = [(name, _parameter(value)) for name, value in parameters]
    named = all(name for name, _ in values)
    bound: Any = dict(values) if named else [value for _, value in values]
    return [*lines, f"?? {_json(bound)}"]


def answer(
    columns: Sequence[tuple[str, str]], rows: Sequence[Sequence[Any]], *, ordered: bool
) -> list[str]:
    """The lines of an answer; rows without an order are sorted by their texts."""
    listed = ", ".join(f"{_name(name)} {kind}" for name, kind in columns)
    lines = [_json(list(row)) for row in rows]
    return [f"{'::' if ordered else '~~'} {listed}", *(lines if ordered else sorted(lines))]


def _setup_name(case: Written) -> str:
    return "" if case.setup is None else case.setup.name


def _parameter(value: Typed) -> dict[str, Any]:
    inner = value.value
    parts = [_parameter(item) for item in inner] if isinstance(inner, tuple) else inner
    return {"type": value.type, "value": parts}


def _json(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False)
    # What ends a line, or cannot be seen, stands in a string.
    return UNSEEN.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def _name(name: str) -> str:
    return name if _PLAIN.match(name) and name != "_" else "`" + name.replace("`", "``") + "`"
