"""Which rows the writes of a unit of work touch, so that a later unit may depend on an earlier one.

A row is identified by its primary key, or by another UNIQUE of its table that is written; a row
that is referred to by a foreign key, enforced or not, is read. Where that is not certain, the table
as a whole is touched: of a condition, of a key that is computed, of values that Python compares in
another way than the warehouse. Tables go by their bare names, as in ``writes``: two of one name may
be the same.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Any

from sqlalchemy.schema import Column, ForeignKeyConstraint, Table

from vinci_code.core.errors import DocumentError, UnknownTableError
from vinci_code.database.dialect.sql.uniques import PRIMARY_KEY, Unique, changed, uniques
from vinci_code.database.dialect.units.held import Held, HeldRows, bare_name, computes_key, new_key
from vinci_code.database.dialect.writes.guards import foreign_keys, referring
from vinci_code.database.dialect.writes.shapes import Row, Shape, WriteKind
from vinci_code.database.fallback.coding import each

_Place = tuple[str, tuple[str, ...], Any]
"""A row: its table, what is unique there, and the values of that; ``None`` for any values."""


@dataclass
class Places:
    """Rows, and tables as a whole.

    Attributes:
        rows: The rows.
        tables: The bare names of tables of which any row may be meant.
        of: The bare names of the tables that the rows are of.
        anything: Whether it may be any row of any table.
    """

    rows: set[_Place] = field(default_factory=set)
    tables: set[str] = field(default_factory=set)
    of: set[str] = field(default_factory=set)
    anything: bool = False

    def __bool__(self) -> bool:
        return bool(self.anything or self.tables or self.rows)

    def add(self, rows: Iterable[_Place]) -> None:
        """Add rows."""
        rows = set(rows)
        self.rows |= rows
        self.of.update(map(itemgetter(0), rows))

    def update(self, other: Places) -> None:
        """Add what others are."""
        self.rows |= other.rows
        self.tables |= other.tables
        self.of |= other.of
        self.anything |= other.anything

    def meet(self, other: Places) -> bool:
        """Whether a row may be among both."""
        if self.anything or other.anything:
            return bool(self) and bool(other)
        return not (
            self.rows.isdisjoint(other.rows)
            and self.tables.isdisjoint(other.tables)
            and self.tables.isdisjoint(other.of)
            and self.of.isdisjoint(other.tables)
        )


@dataclass
class Touched:
    """What some writes touch.

    Attributes:
        written: What they write.
        read: What has to be as it was for them.
    """

    written: Places = field(default_factory=Places)
    read: Places = field(default_factory=Places)

    def update(self, other: Touched) -> None:
        """Add what others touch."""
        self.written.update(other.written)
        self.read.update(other.read)

    def meets(self, other: Touched) -> bool:
        """Whether the order of these writes and of others may matter."""
        return (
            self.written.meet(other.written)
            or self.written.meet(other.read)
            or self.read.meet(other.written)
        )


def touched(document: bytes, tables: Mapping[str, Table]) -> Touched:
    """What the writes of a document touch; where it cannot be read, that may be anything."""
    found = Touched()
    try:
        for held in each(document, tables):
            if isinstance(held, UnknownTableError):
                found.written.tables.add(held.table.rpartition(".")[2].lower())
            else:
                found.update(touched_by(held, tables))
    except DocumentError:
        found.written.anything = True
    return found


def touched_by(held: Held, tables: Mapping[str, Table]) -> Touched:
    """What one write touches; its table may refer to others of ``tables``."""
    found = Touched()
    if not isinstance(held, HeldRows):
        _note_all(found, held.tables, tables)
        return found
    if held.reads is None:
        found.read.anything = True
    else:
        found.read.tables |= held.reads
    _note_written(found.written, held)
    for constraint in foreign_keys(held.shape.table):
        _note_referred(found.read, constraint, held)
    if (
        held.shape.kind is WriteKind.DELETE
        or held.upsert is not None
        or _may_change_key(held.shape)
    ):
        found.read.tables.update(bare_name(key.table) for key in referring(held.shape.table))
    return found


def _note_all(found: Touched, names: Collection[str] | None, tables: Mapping[str, Table]) -> None:
    """A statement that is no set of rows: it may be any row of its tables."""
    if names is None:
        found.written.anything = True
        return
    found.written.tables.update(names)
    for table in tables.values():
        if bare_name(table) in names:
            found.read.tables.update(bare_name(k.referred_table) for k in foreign_keys(table))
            found.read.tables.update(bare_name(k.table) for k in referring(table))


def _note_written(places: Places, held: HeldRows) -> None:
    shape, name = held.shape, bare_name(held.shape.table)
    positions = list(_key_positions(held))
    if not positions:
        places.tables.add(name)
        return
    key = tuple(shape.table.primary_key)
    found = [_rows_by(shape, key, numbers, held.rows, null=True) for numbers in positions]
    found += [_rows_of_unique(shape, unique, held.rows) for unique in _written_uniques(shape)]
    for rows in found:
        if rows is None:
            places.tables.add(name)
            return
        places.add(rows)


def _key_positions(held: HeldRows) -> Iterator[Sequence[int]]:
    """Where the primary keys of the rows stand, old and new; none where they are not known."""
    shape, upsert = held.shape, held.upsert
    if shape.key is None or computes_key(shape):
        return
    if upsert is not None and set(upsert.keys) != {c.name for c in shape.table.primary_key}:
        return  # something else identifies the row that it changes
    yield shape.key
    if moved := new_key(shape):
        yield moved


def _written_uniques(shape: Shape) -> Iterator[Unique]:
    """What is unique beside the primary key and may have other values by a write."""
    written = changed(shape.table, [item.column for item in shape.values])
    for unique in uniques(shape.table):
        if unique.name == PRIMARY_KEY and unique.is_plain:
            continue
        # An INSERT leaves the others to their defaults.
        if shape.kind is WriteKind.INSERT or not written.isdisjoint(unique.concerned):
            yield unique


def _rows_of_unique(shape: Shape, unique: Unique, rows: Sequence[Row]) -> list[_Place] | None:
    """The rows by what is unique of them; ``None`` where any row may be meant."""
    if shape.kind is WriteKind.DELETE:
        return []
    if not unique.is_plain:
        return [_place(shape.table, unique.columns, None)]
    items = {item.column: item for item in (*shape.matches, *shape.values)}
    left = [column for column in unique.columns if column not in items]
    if shape.kind is WriteKind.INSERT and any(
        column.server_default is None and column.computed is None for column in left
    ):
        return []  # NULL, which equals nothing
    if left or not all(items[column].is_plain for column in unique.columns):
        return None
    return _rows_by(shape, unique.columns, [items[c].first for c in unique.columns], rows)


def _rows_by(
    shape: Shape,
    columns: Sequence[Column[Any]],
    positions: Sequence[int],
    rows: Sequence[Row],
    *,
    null: bool = False,
) -> list[_Place] | None:
    """Rows by the values of what is unique; ``None`` where these say nothing.

    If ``null``, nothing is said by NULL, too; otherwise it is no row.
    """
    if not all(_is_exact(shape, position, rows) for position in positions):
        return None
    ordered = sorted(zip(columns, positions, strict=True), key=lambda pair: str(pair[0].name))
    keys = {tuple([row[position] for _, position in ordered]) for row in rows}
    known = [key for key in keys if None not in key]
    if null and len(known) < len(keys):
        return None
    return [_place(shape.table, columns, key) for key in known]


def _is_exact(shape: Shape, position: int, rows: Sequence[Row]) -> bool:
    """Whether the values at a place of rows are equal in Python just where they are as stored."""
    transport = shape.transports[position]
    # NaN is equal to itself there, and not here.
    if transport is None or float in transport.kinds:
        return False
    return transport.holds([row[position] for row in rows])


def _place(table: Table, columns: Iterable[Column[Any]], values: Any) -> _Place:
    # By the names of columns, in their order: another Table of the name may have it differently.
    names = sorted(str(column.name).lower() for column in columns)
    return bare_name(table), tuple(names), values


def _note_referred(places: Places, constraint: ForeignKeyConstraint, held: HeldRows) -> None:
    """The rows that rows refer to by a foreign key that is written."""
    shape, parent = held.shape, constraint.referred_table
    pairs = {element.column: element.parent for element in constraint.elements}
    items = {item.column: item for item in (*shape.matches, *shape.values)}
    written = changed(shape.table, [item.column for item in shape.values])
    if shape.kind is WriteKind.DELETE or written.isdisjoint(pairs.values()):
        return
    key = tuple(parent.primary_key)
    given = [items.get(child) for child in pairs.values()]
    rows = None
    if set(pairs) == set(key) and all(item is not None and item.is_plain for item in given):
        positions = [items[pairs[column]].first for column in key]
        found = _rows_by(shape, key, positions, held.rows)
        # They are rows of the other table.
        rows = None if found is None else [_place(parent, key, values) for *_, values in found]
    if rows is None:
        places.tables.add(bare_name(parent))
    else:
        places.add(rows)


def _may_change_key(shape: Shape) -> bool:
    """Whether an UPDATE may change what other tables refer to."""
    if shape.kind is not WriteKind.UPDATE:
        return False
    written = changed(shape.table, [item.column for item in shape.values])
    return any(
        not written.isdisjoint(element.column for element in key.elements)
        for key in referring(shape.table)
    )
