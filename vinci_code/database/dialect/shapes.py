"""What a compiled INSERT, UPDATE or DELETE does to which rows.

It is read from the text that the compiler has rendered, and from the table: what does not have
exactly the form that is expected here has no shape, and is run as it is. So nothing that the
compiler may render is ever taken for something else.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any

from sqlalchemy.schema import Column, Table

MARKER = "?"

# Quoted names, literals, and what separates.
_PIECE = re.compile(r"`(?:[^`]|``)*`|'(?:[^'\\]|\\.)*'|[(),?]|[^`'(),?]+", re.DOTALL)
# What a source of rows cannot hold: a sub-select, and the word for a column's own default.
_NEEDS_STATEMENT = re.compile(r"\b(?:SELECT|DEFAULT|VALUES)\b", re.IGNORECASE)
# A name without its table that a column of the rows may have too.
_MAY_BE_OF_ROWS = re.compile(r"(?<![\w.])(?:[a-z]|[a-z]{2,3}_)(?![\w.(])", re.IGNORECASE)


class Kind(Enum):
    """What a statement does to the rows that it is given."""

    INSERT = "INSERT"
    UPDATE = "UPDATE"
    DELETE = "DELETE"


@dataclass(frozen=True)
class Field:
    """One column of a shape.

    Attributes:
        column: The column.
        name: Its name as rendered.
        form: What is stored or compared: ``?``, or an expression with markers in it.
        first: The position of its first parameter among those of a row.
        count: How many parameters it has.
    """

    column: Column[Any]
    name: str
    form: str
    first: int
    count: int

    @property
    def is_plain(self) -> bool:
        """Whether it is a parameter and nothing else."""
        return self.form == MARKER

    @property
    def pieces(self) -> list[str]:
        """The form in pieces, of which each marker is one."""
        return _PIECE.findall(self.form)


@dataclass(frozen=True, eq=False)
class Shape:
    """What a statement does to each row of its parameters.

    Attributes:
        kind: INSERT, UPDATE or DELETE.
        table: The table.
        target: Its name as rendered.
        values: The columns that are written.
        matches: The columns that say which row it is, among them the primary key.
        width: How many parameters a row has.
        rows: How many rows one set of parameters holds; more than one with ``values([…, …])``.
        key: The positions of the primary key's parameters; ``None`` where not all of it is known.
        signature: Equal for statements whose rows can be sent together.
        schemas: The schemas that stand for others, as of ``schema_translate_map``.
    """

    kind: Kind
    table: Table
    target: str
    values: tuple[Field, ...]
    matches: tuple[Field, ...]
    width: int
    rows: int
    key: tuple[int, ...] | None
    signature: tuple[str, ...]
    schemas: Mapping[str | None, str | None] | None = None

    def translated(self, target: str, schemas: Mapping[str | None, str | None]) -> Shape:
        """The same for a table of another schema."""
        signature = (self.signature[0], target, *self.signature[2:])
        return replace(self, target=target, signature=signature, schemas=schemas)


def read_insert(
    text: str, table: Table, target: str, names: dict[str, Column[Any]]
) -> Shape | None:
    """The shape of ``INSERT INTO t (…) VALUES (…), (…)``; ``None`` for any other INSERT.

    Args:
        text: The statement as rendered.
        table: The table that it writes to.
        target: The table's name as rendered.
        names: The table's columns by their names as rendered.
    """
    head = f"INSERT INTO {target} ("
    if not text.startswith(head):
        return None
    listed, rest = _until_closed(text, len(head))
    given = _split(listed, ", ")
    columns = [names[name] for name in given if name in names]
    if not rest.startswith(" VALUES (") or len(columns) != len(given):
        return None
    rows = [_in_parentheses(row) for row in _split(rest.removeprefix(" VALUES "), ", ")]
    forms = _split(rows[0] or "", ", ")
    if any(row != rows[0] for row in rows) or len(forms) != len(columns):
        return None
    fields = _fields(columns, names, forms)
    if fields is None:
        return None
    return _shape(Kind.INSERT, table, target, fields, (), len(rows))


def read_update(
    text: str, table: Table, target: str, names: dict[str, Column[Any]]
) -> Shape | None:
    """The shape of ``UPDATE t SET … WHERE t.key = ? AND …``; ``None`` for any other UPDATE."""
    head = f"UPDATE {target} SET "
    if not text.startswith(head):
        return None
    sets, found, condition = _partition(text[len(head) :], " WHERE ")
    if not found:
        return None
    columns, forms = [], []
    for assignment in _split(sets, ", "):
        name, _, form = _partition(assignment, "=")
        column = names.get(name)
        if column is None:
            return None
        columns.append(column)
        forms.append(form)
    values = _fields(columns, names, forms)
    if values is None:
        return None
    matches = _matches(condition, target, names, _width(values))
    return None if matches is None else _shape(Kind.UPDATE, table, target, values, matches, 1)


def read_delete(
    text: str, table: Table, target: str, names: dict[str, Column[Any]]
) -> Shape | None:
    """The shape of ``DELETE FROM t WHERE t.key = ? AND …``; ``None`` for any other DELETE."""
    head = f"DELETE FROM {target} WHERE "
    if not text.startswith(head):
        return None
    matches = _matches(text[len(head) :], target, names, 0)
    return None if matches is None else _shape(Kind.DELETE, table, target, (), matches, 1)


def _shape(
    kind: Kind,
    table: Table,
    target: str,
    values: tuple[Field, ...],
    matches: tuple[Field, ...],
    rows: int,
) -> Shape | None:
    key = _key(table, values if kind is Kind.INSERT else matches)
    # Rows without a key, as those of a many-to-many relation may be, are told by their columns.
    told = kind is Kind.INSERT or (kind is Kind.DELETE and not list(table.primary_key))
    if key is None and not told:
        return None
    signature = (
        kind.value,
        target,
        *(f"{field.name}={field.form}" for field in values),
        "",
        *(field.name for field in matches),
    )
    return Shape(
        kind, table, target, values, matches, _width((*values, *matches)), rows, key, signature
    )


def _key(table: Table, fields: tuple[Field, ...]) -> tuple[int, ...] | None:
    """Where the primary key stands; ``None`` if there is none, or a part of it is not given."""
    given = {field.column.name: field.first for field in fields if field.is_plain}
    columns = [column.name for column in table.primary_key]
    if not columns or any(name not in given for name in columns):
        return None
    return tuple(given[name] for name in columns)


def _fields(
    columns: list[Column[Any]], names: dict[str, Column[Any]], forms: list[str]
) -> tuple[Field, ...] | None:
    rendered = {id(column): name for name, column in names.items()}
    fields, position = [], 0
    for column, form in zip(columns, forms, strict=True):
        words = "" if form == MARKER else _without_quoted(form)
        if _NEEDS_STATEMENT.search(words) or _MAY_BE_OF_ROWS.search(words):
            return None
        count = sum(piece == MARKER for piece in _PIECE.findall(form))
        fields.append(Field(column, rendered[id(column)], form, position, count))
        position += count
    return tuple(fields)


def _matches(
    condition: str, target: str, names: dict[str, Column[Any]], position: int
) -> tuple[Field, ...] | None:
    """The columns of ``t.a = ? AND t.b = ?``, each once; ``None`` for any other condition."""
    prefix, suffix = f"{target}.", f" = {MARKER}"
    fields = []
    for number, part in enumerate(_split(condition, " AND ")):
        column = names.get(part.removeprefix(prefix).removesuffix(suffix))
        if column is None or not (part.startswith(prefix) and part.endswith(suffix)):
            return None
        name = part[len(prefix) : -len(suffix)]
        fields.append(Field(column, name, MARKER, position + number, 1))
    return tuple(fields) if len({field.name for field in fields}) == len(fields) else None


def _width(fields: tuple[Field, ...]) -> int:
    return sum(field.count for field in fields)


def _without_quoted(text: str) -> str:
    return "".join(" " if piece[0] in "`'" else piece for piece in _PIECE.findall(text))


def _until_closed(text: str, begin: int) -> tuple[str, str]:
    """What stands before the parenthesis that closes the one before ``begin``, and behind it."""
    depth = 1
    for match in _PIECE.finditer(text, begin):
        depth += {"(": 1, ")": -1}.get(match.group(), 0)
        if not depth:
            return text[begin : match.start()], text[match.end() :]
    return text[begin:], ""


def _in_parentheses(text: str) -> str | None:
    inside, rest = _until_closed(text, 1)
    return inside if text.startswith("(") and not rest else None


def _partition(text: str, separator: str) -> tuple[str, str, str]:
    """Like ``str.partition``, but for separators in parentheses, quotes and backticks."""
    at = next(_places(text, separator), None)
    if at is None:
        return text, "", ""
    return text[:at], separator, text[at + len(separator) :]


def _split(text: str, separator: str) -> list[str]:
    """Like ``str.split``, but for separators in parentheses, quotes and backticks."""
    parts, begin = [], 0
    for at in _places(text, separator):
        parts.append(text[begin:at])
        begin = at + len(separator)
    return [*parts, text[begin:]]


def _places(text: str, separator: str) -> Iterator[int]:
    depth = 0
    end = 0
    for match in _PIECE.finditer(text):
        piece = match.group()
        if piece in {"(", ")"}:
            depth += 1 if piece == "(" else -1
        elif depth == 0 and piece[0] not in "`'":
            # A comma is a piece of its own, and what follows it belongs to the separator.
            at = text.find(separator, match.start())
            while at != -1 and match.start() <= at < match.end() and at >= end:
                yield at
                end = at + len(separator)
                at = text.find(separator, end)
