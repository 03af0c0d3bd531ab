"""The errors of a log file, without their messages: what a report for support may have of them.

Two forms are known, those of ``vinci_code.core.logging_setup``: one JSON document a line, and lines
for people. Of other lines nothing is taken. Messages and tracebacks hold values; what is taken is
when, where, of which kind, by which condition and SQLSTATE, and the ids of statements.
"""

from __future__ import annotations

import json
import os
import re
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any

MOST = 100
"""How many errors are taken at most: the last ones."""

READ = 16 * 1024 * 1024
"""How many bytes of the end of the file are looked at."""

_LEVELS = frozenset({"ERROR", "CRITICAL"})
_HEAD = re.compile(r"(\d{4}-\d\d-\d\dT[\d:.]+Z) ([A-Z]+) ([\w.]+): ")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+Z")
_NAME = re.compile(r"[A-Za-z_][\w.]{0,200}")
# A condition always has several words; one word in brackets may be a value.
_CLASS = re.compile(r"\[([A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+(?:\.[A-Z][A-Z0-9_]*)?)\]")
_SQLSTATE = re.compile(r"SQLSTATE: ([0-9A-Z]{5})\b")
_ID = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
# Any other may be a key.
_STATEMENT = re.compile(rf"\bstatement(?:[ _]id)?[\W_]{{1,4}}({_ID})\b", re.IGNORECASE)
_KIND = re.compile(
    r"^((?:\w+\.)*[A-Z]\w*(?:Error|Exception|Warning|Interrupt|Exit|Failed|Timeout|Denied|Requests"
    r"|Exceeded|Expired|Unsupported))(?::|$)",
    re.MULTILINE,
)
_STATEMENTS = 20


def errors_of(path: Path) -> list[dict[str, Any]]:
    """The last errors of a log file, oldest first.

    Raises:
        OSError: It cannot be read.
    """
    with path.open("rb") as stream:
        size = stream.seek(0, os.SEEK_END)
        stream.seek(max(size - READ, 0))
        lines = stream.read(READ).decode("utf-8", "replace").splitlines()
    return list(deque((found for found in map(_taken, _records(lines)) if found), MOST))


_Record = tuple[Any, Any, Any, str, str]


def _records(lines: list[str]) -> Iterator[_Record]:
    """Time, level, logger, message and traceback of each record that can be told from others."""
    head: re.Match[str] | None = None
    below: list[str] = []
    for line in lines:
        document = _document(line) if line.startswith("{") else None
        begins = _HEAD.match(line)
        if head is not None and (begins or document):
            yield _of_people(head, below)
            head = None
        if document is not None:
            yield _of_machines(document)
        elif begins is not None:
            head, below = begins, []
        else:
            below.append(line)
    if head is not None:
        yield _of_people(head, below)


def _of_people(head: re.Match[str], below: list[str]) -> _Record:
    time, level, logger = head.groups()
    return time, level, logger, head.string[head.end() :], "\n".join(below)


def _of_machines(document: dict[str, Any]) -> _Record:
    time, level, logger = (document.get(name) for name in ("time", "level", "logger"))
    message = f"{document.get('message')}\nstatement {document.get('statement_id')}"
    return time, level, logger, message, str(document.get("exception") or "")


def _document(line: str) -> dict[str, Any] | None:
    try:
        document = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) else None


def _taken(record: _Record) -> dict[str, Any] | None:
    time, level, logger, message, trace = record
    if not isinstance(level, str) or level not in _LEVELS:
        return None
    if not isinstance(time, str) or not _TIME.fullmatch(time):
        return None
    # The last line of a traceback that is not indented names the error.
    kinds = _KIND.findall(trace)
    whole = f"{message}\n{trace}"
    found, state = _CLASS.search(whole), _SQLSTATE.search(whole)
    return {
        "time": time,
        "level": level,
        "logger": logger if isinstance(logger, str) and _NAME.fullmatch(logger) else None,
        "kind": kinds[-1] if kinds else None,
        "error_class": None if found is None else found.group(1),
        "sqlstate": None if state is None else state.group(1),
        "statement_ids": list(dict.fromkeys(_STATEMENT.findall(whole)))[:_STATEMENTS],
    }
