"""Writes cases in the format of ``tests/warehouse/corpus/README.md``."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

from tests.spark.snapshots import Snapshot
from tests.warehouse.corpus.reader import Typed

_PLAIN = re.compile(r"[A-Za-z0-9_]+\Z")


def text(head: Sequence[str], cases: Sequence[tuple[str, Snapshot | None, Sequence[str]]]) -> str:
    """A file of cases, sorted by name, below the set-ups that they share."""
    setups = {setup.name: setup for _, setup, _ in cases if setup is not None}
    blocks = ["\n".join(f"# {line}" for line in head)]
    for name, setup in sorted(setups.items()):
        lines = [line for sql in setup.statements for line in statement(sql, [])]
        blocks.append("\n".join([f"+++ {name}", *lines]))
    for name, found, lines in sorted(cases, key=lambda case: case[0]):
        used = [] if found is None else [f"<< {found.name}"]
        blocks.append("\n".join([f"=== {name}", *used, *lines]))
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


def _parameter(value: Typed) -> dict[str, Any]:
    inner = value.value
    parts = [_parameter(item) for item in inner] if isinstance(inner, tuple) else inner
    return {"type": value.type, "value": parts}


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


def _name(name: str) -> str:
    return name if _PLAIN.match(name) and name != "_" else "`" + name.replace("`", "``") + "`"
