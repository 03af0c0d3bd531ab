"""What makes two statements the same: their text without names and without values."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from types import MappingProxyType

from sqlglot.tokenizer_core import TokenType

from tests.warehouse.corpus.reader import Case, Typed, typed
from vinci_code.warehouse.engine.session import EngineSession
from vinci_code.warehouse.sql.dialect import tokenize as databricks_tokens
from vinci_code.warehouse.sql.errors import SqlError
from vinci_code.warehouse.sql.lexemes import Lexeme, lexemes, name_of, string_value
from vinci_code.warehouse.sql.parameters import Parameter

_NAMES = ("word", "quoted")
_BEFORE_A_SCHEMA = frozenset(("IN", "FROM", "SCHEMA", "SCHEMAS", "DATABASE", "USE"))
_WITH_LENGTHS = frozenset(("DECIMAL", "NUMERIC", "DEC", "VARCHAR", "CHAR"))
# What from_json() is given as a type belongs to the statement, not to its values.
_TYPE = re.compile(r"(array|struct|map)<", re.IGNORECASE)
# As a snapshot writes them: one to a line.
_COLUMN = re.compile(r"^\s+`((?:[^`]|``)+)` (.+?),?\)?$", re.MULTILINE)
_NO_COLUMNS: Mapping[str, str] = MappingProxyType({})


@dataclass
class Namespace:
    """The names of a session's schemas, and what stands for them in a case.

    Attributes:
        catalog: The current catalog, ``${catalog}``.
        schema: The current schema, ``${schema}``.
        others: The other schemas of the catalog.
        used: Those of them that occurred, in this order: ``${schema}_2``, ``${schema}_3`` …
    """

    catalog: str
    schema: str
    others: frozenset[str]
    used: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, session: EngineSession) -> Namespace:
        """The namespace of a session as it is now."""
        catalog = session.room.catalog.catalog(session.catalog)
        others = frozenset(catalog.schemas) - {session.schema}
        return cls(session.catalog, session.schema, others)

    def marker(self, schema: str) -> str | None:
        """What stands for a schema; ``None`` for a name that is none."""
        schema = schema.lower()
        if schema == self.schema:
            return "${schema}"
        if schema not in self.others:
            return None
        if schema not in self.used:
            self.used.append(schema)
        return f"${{schema}}_{self.used.index(schema) + 2}"

    def text(self, text: str) -> str:
        """A statement with markers in place of the names."""
        try:
            tokens = list(lexemes(text))
        except SqlError:
            return text
        parts, position = [], 0
        for index, token in enumerate(tokens):
            marker = self._marker_of(tokens, index)
            if marker is not None:
                parts += [text[position : token.start], marker]
                position = token.end
        return "".join(parts) + text[position:]

    def value(self, value: str) -> str:
        """A text with a marker in its place if it is the name of a schema."""
        # "default" is a word that values have, too.
        return value if value == "default" else self.marker(value) or value

    def parameter(self, parameter: Parameter) -> Typed:
        """A parameter, without its name, with markers in place of names."""
        if parameter.arguments:
            return Typed(parameter.type, tuple(map(self.parameter, parameter.arguments)))
        value = parameter.value
        return Typed(parameter.type, None if value is None else self.value(value))

    def _marker_of(self, tokens: Sequence[Lexeme], index: int) -> str | None:
        token = tokens[index]
        if token.kind == "string":
            value = string_value(token)
            marked = self.value(value)
            return None if marked == value else f"'{marked}'"
        if token.kind not in _NAMES:
            return None
        name = _name(token)
        after = tokens[index + 1].text if index + 1 < len(tokens) else ""
        before = tokens[index - 1].text.upper() if index else ""
        if after == "." and name == self.catalog and self._is_schema(tokens, index + 2):
            return _like(token, "${catalog}")
        if after == "." or before in _BEFORE_A_SCHEMA:
            marker = self.marker(name)
            return marker and _like(token, marker)
        return None

    def _is_schema(self, tokens: Sequence[Lexeme], index: int) -> bool:
        return index < len(tokens) and self.marker(_name(tokens[index])) is not None


def shape(text: str, types: Iterable[str], columns: Mapping[str, str] = _NO_COLUMNS) -> str:
    """What is left of a statement of a case without names and values.

    Args:
        text: The statement.
        types: The types of its parameters, which belong to it.
        columns: What stands for the columns of its tables, by name in lower case: their types. All
            other names are counted, but for those that need their backticks.
    """
    # The driver makes a DECIMAL as wide as its value.
    bound = ",".join(re.sub(r"\(.*\)", "", kind.upper()) for kind in types)
    try:
        tokens = list(lexemes(text))
    except SqlError:
        return f"{text} | {bound}"
    if [token.text.upper() for token in tokens[:2]] != ["BEGIN", "ATOMIC"]:
        return f"{_left(tokens, columns)} | {bound}"
    # SQLAlchemy writes to tables in any order, where no foreign key asks for one.
    parts = sorted(_left(part, columns) for part in _split(tokens[2:]))
    return f"BEGIN ATOMIC {' ; '.join(parts)} | {bound}"


def kind(text: str, types: Sequence[str], columns: Mapping[str, str]) -> str:
    """What makes a statement worth a case: its shape as it is, and with its columns' types.

    Without the first, a statement might not be among the shapes of those that were recorded.
    """
    return f"{shape(text, types)} | {shape(text, types, columns)}"


def shapes_of(case: Case) -> set[str]:
    """The shapes of a case's own statements."""
    return {
        shape(step.sql, [kind.type for kind in types_of(step.parameters)]) for step in case.steps
    }


def types_of(parameters: object) -> list[Typed]:
    """The parameters of a step, which all name their types."""
    if parameters is None:
        return []
    values = parameters.values() if isinstance(parameters, dict) else parameters
    assert isinstance(values, Iterable), parameters
    found = [typed(value) for value in values]
    return [parameter for parameter in found if parameter is not None]


def columns_of(statements: Iterable[str]) -> dict[str, str]:
    """The columns of the tables that a set-up creates, with their types and constraints."""
    return {
        name.replace("``", "`").lower(): kind
        for text in statements
        for name, kind in _COLUMN.findall(text)
    }


def _left(tokens: Sequence[Lexeme], columns: Mapping[str, str]) -> str:
    names: dict[str, str] = {}
    return " ".join(_without_value(tokens, n, columns, names) for n in range(len(tokens)))


def _split(tokens: Sequence[Lexeme]) -> Iterator[Sequence[Lexeme]]:
    """The tokens between semicolons."""
    start = 0
    for index, token in enumerate(tokens):
        if token.text == ";":
            yield tokens[start:index]
            start = index + 1
    yield tokens[start:]


def _without_value(
    tokens: Sequence[Lexeme], index: int, columns: Mapping[str, str], names: dict[str, str]
) -> str:
    token = tokens[index]
    if token.kind in _NAMES and _is_name(token, tokens[index + 1 : index + 2]):
        name = _name(token)
        return columns.get(name) or names.setdefault(name, f"n{len(names)}")
    if token.kind in ("string", "raw"):
        value = string_value(token)
        return f"'{value}'" if _TYPE.match(value) else "'?'"
    if token.kind == "number" and not _is_length(tokens, index):
        return "0"
    return token.text


def _is_name(token: Lexeme, following: Sequence[Lexeme]) -> bool:
    if token.kind == "quoted":
        # A name that has to be quoted is worth a case of its own.
        return re.fullmatch(r"`[A-Za-z_]\w*`", token.text) is not None
    return not (following and following[0].text == "(") and _is_no_keyword(token.text)


@cache
def _is_no_keyword(word: str) -> bool:
    if not word.isascii():
        return True
    return [token.token_type for token in databricks_tokens(word)] == [TokenType.VAR]


def _is_length(tokens: Sequence[Lexeme], index: int) -> bool:
    before = [token.text.upper() for token in tokens[max(index - 4, 0) : index]]
    opened = len(before) - 1 - before[::-1].index("(") if "(" in before else 0
    return opened > 0 and before[opened - 1] in _WITH_LENGTHS


def _name(token: Lexeme) -> str:
    return name_of(token).lower()


def _like(token: Lexeme, marker: str) -> str:
    return f"`{marker}`" if token.kind == "quoted" else marker
