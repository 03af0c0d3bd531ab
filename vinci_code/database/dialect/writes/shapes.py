"""What an INSERT, UPDATE or DELETE does to which rows.

``dml`` makes shapes of SQLAlchemy's constructs while it compiles them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from functools import cached_property
from operator import itemgetter
from typing import Any, NamedTuple

from sqlalchemy.schema import Column, Table

from vinci_code.database.dialect.types.transports import Transport

Row = Sequence[Any]

ROWS, OWN = "vinci_rows", "vinci_own"
"""What the rows of a statement are called in it, and what they are beside themselves."""
BEFORE = "vinci_before"
"""What the rows of a table are called that held writes are laid over."""


class WriteKind(Enum):
    """What a statement does to the rows that it is given."""

    INSERT = "INSERT"
    UPDATE = "UPDATE"
    DELETE = "DELETE"


@dataclass(frozen=True)
class Field:
    """One column of a shape.

    Attributes:
        column: The column.
        name: Its name as SQL.
        made: What is stored or compared, as SQL over the rows of the statement.
        own: The same, where these rows are called ``OWN``.
        laid: The same, where its table is called ``BEFORE``; ``None`` where it is another value
            each time that it is computed.
        binds: The numbers of its parameters among those of a row.
        is_plain: Whether it is one parameter and nothing else.
    """

    column: Column[Any]
    name: str
    made: str
    own: str
    binds: tuple[int, ...] = ()
    is_plain: bool = False
    laid: str | None = None

    @property
    def first(self) -> int:
        """The number of its only parameter, where it is plain."""
        return self.binds[0]


class Loaded(NamedTuple):
    """A column of which an UPDATE makes sure that it holds what it was loaded with.

    Attributes:
        name: Its name as SQL.
        column: Its name.
        first: The number of its first parameter: whether any value is right. The second is the
            value, and the third, of text and bytes, the SHA-256 of a long one.
        hashed: Whether it has the third.
    """

    name: str
    column: str
    first: int
    hashed: bool


@dataclass(frozen=True, eq=False)
class Shape:
    """What a statement does to each row of its parameters.

    Attributes:
        kind: INSERT, UPDATE or DELETE.
        table: The table.
        target: Its name as SQL.
        values: The columns that are written.
        matches: The columns that say which row it is, among them the primary key.
        transports: How each parameter of a row travels; ``None`` where only its value tells.
        places: For each row of the statement, where the row's parameters stand among all; ``None``
            for NULL, which is none of them.
        key: The numbers of the primary key's parameters; ``None`` where not all of it is known.
        signature: Equal for statements whose rows can be sent together.
        schemas: The schemas that stand for others, as of ``schema_translate_map``.
        loaded: The columns that have to hold what they were loaded with.
    """

    kind: WriteKind
    table: Table
    target: str
    values: tuple[Field, ...]
    matches: tuple[Field, ...]
    transports: tuple[Transport | None, ...] = ()
    places: tuple[tuple[int | None, ...], ...] = ()
    key: tuple[int, ...] | None = None
    schemas: Mapping[str | None, str | None] | None = None
    loaded: tuple[Loaded, ...] = ()
    signature: tuple[Any, ...] = field(init=False)

    def __post_init__(self) -> None:
        signature = (
            self.kind,
            # Another Table of the same name may declare other constraints.
            self.table,
            self.target,
            tuple((item.name, item.made) for item in self.values),
            tuple((item.name, item.made) for item in self.matches),
            self.transports,
            self.loaded,
            # By these the guards name other tables than its own.
            frozenset((self.schemas or {}).items()),
        )
        object.__setattr__(self, "signature", signature)

    @property
    def width(self) -> int:
        """How many parameters a row has."""
        return len(self.transports)

    def checking(
        self, loaded: tuple[Loaded, ...], transports: tuple[Transport | None, ...]
    ) -> Shape:
        """The same for rows that have what columns were loaded with behind their parameters."""
        return replace(self, loaded=loaded, transports=transports) if loaded else self

    def translated(
        self, translate: Callable[[str], str], schemas: Mapping[str | None, str | None]
    ) -> Shape:
        """The same for tables of other schemas."""

        def moved(fields: Sequence[Field]) -> tuple[Field, ...]:
            return tuple(
                replace(item, made=translate(item.made), own=translate(item.own)) for item in fields
            )

        return replace(
            self,
            target=translate(self.target),
            values=moved(self.values),
            matches=moved(self.matches),
            schemas=schemas,
        )

    def rows(self, parameters: Sequence[Row]) -> list[Row]:
        """The rows of sets of parameters."""
        if len(self.places) == 1:
            (places,) = self.places
            if places == tuple(range(len(places))):
                return list(parameters)
        picks = [_picker(places) for places in self.places]
        return [pick(row) for row in parameters for pick in picks]

    def types_match(self, rows: Sequence[Row]) -> bool:
        """Whether each value that says which row is meant, or is computed with, is of its type.

        Python compares these, and the warehouse would compare what it casts them to: ``"9"`` is
        not ``9`` here, and is there. What is computed with is not cast either: ``x + 0.5``.
        """
        return all(
            (transport := self.transports[at]) is not None
            and transport.holds(list(map(itemgetter(at), rows)))
            for at in self._compared
        )

    @cached_property
    def _compared(self) -> set[int]:
        """The numbers of the parameters that are more than stored."""
        computed = [item.binds for item in self.values if not item.is_plain]
        return {item.first for item in self.matches}.union(*computed)

    def plain(self, rows: Sequence[Row]) -> list[Row]:
        """The rows with plain values for those that say which row is meant and are equal to one.

        A member of a str-Enum is equal to its text, and 2.0 to 2; what is of another type stays.
        """
        kept = {
            at: transport for at in self._compared if (transport := self.transports[at]) is not None
        }
        return [
            tuple(kept[at].plain(value) if at in kept else value for at, value in enumerate(row))
            for row in rows
        ]


def key_places(table: Table, fields: Iterable[Field]) -> tuple[int, ...] | None:
    """Where the primary key stands; ``None`` if there is none, or a part of it is not given."""
    given = {item.column.name: item.first for item in fields if item.is_plain}
    columns = [column.name for column in table.primary_key]
    if not columns or any(name not in given for name in columns):
        return None
    return tuple(given[name] for name in columns)


def letters(number: int) -> str:
    """The name of a parameter's column in the rows: ``a`` to ``z``, ``aa_`` and so on."""
    name = ""
    number += 1
    while number:
        number, rest = divmod(number - 1, 26)
        name = chr(ord("a") + rest) + name
    # A word such as ``as`` or ``is`` would not be taken for a name.
    return f"{name}_" if len(name) > 1 else name


def _picker(places: Sequence[int | None]) -> Callable[[Row], Row]:
    known = [place for place in places if place is not None]
    if len(known) < len(places) or len(known) < 2:
        return lambda row: tuple([None if place is None else row[place] for place in places])
    return itemgetter(*known)
