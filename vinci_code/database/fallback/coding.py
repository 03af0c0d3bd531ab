"""The held writes of a unit of work as one JSON text, and the held writes again.

What is written of a write is what its statement is made of: a shape with the rows, or a text with
its parameters. Nothing of it is evaluated when it is read. The table, its columns and with them all
constraints are those that the reader knows by the same names, so that a unit that was kept before a
change of the schema is checked by what is declared now.

Columns are kept, not rows: see ``values``.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, fields
from itertools import chain
from typing import Any
from weakref import WeakKeyDictionary

import orjson
from sqlalchemy.schema import Column, Table

from vinci_code.core.errors import DocumentError, UnknownTableError
from vinci_code.database.dialect.dberrors import NotSupportedError
from vinci_code.database.dialect.text.binding import checked_text
from vinci_code.database.dialect.text.scanning import StatementTraits
from vinci_code.database.dialect.types.transports import Transport, transport_named
from vinci_code.database.dialect.units.held import Held, HeldRows, HeldText
from vinci_code.database.dialect.units.recovery import made_once
from vinci_code.database.dialect.writes.sets import Checks, OnConflict
from vinci_code.database.dialect.writes.shapes import (
    Field,
    Loaded,
    Row,
    Shape,
    WriteKind,
    key_places,
)
from vinci_code.database.fallback.values import packed, packed_row, unpacked

FORMAT = 1
"""The format of the documents; a reader knows those up to its own."""

# What the reading of something else than a document fails with.
_UNREADABLE = (
    ValueError,
    KeyError,
    TypeError,
    IndexError,
    AttributeError,
    ArithmeticError,
    RecursionError,
)
# ``asdict`` would take a tenth of a commit of one row.
_CHECKS = tuple(field.name for field in fields(Checks))
# A compiled statement keeps its shape, and units of work come in the same few.
_shape_texts: WeakKeyDictionary[Shape, bytes] = WeakKeyDictionary()
_NOT_KEPT = "it cannot be kept while the warehouse is away: "
_DAMAGED = "what was kept of a unit of work cannot be read{}\nTo fix it: {}"


def encode(held: Sequence[Held], noted: Collection[int] | None = None) -> bytes:
    """The document of held writes, in order; of the same writes it is the same.

    Args:
        held: The writes.
        noted: Keys of which it was noted that a stored row with one proves its write; ``None`` for
            those that this process has made for one write alone.

    Raises:
        NotSupportedError: A value, or how it travels, cannot be kept.
        DataError: A text holds half of a character.
    """
    writer = _Writer(noted)
    try:
        writes = [writer.write(write) for write in held]
        return orjson.dumps({"format": FORMAT, "shapes": writer.shapes, "writes": writes})
    except TypeError as error:
        _refuse_halves(held)
        raise NotSupportedError(f"{_NOT_KEPT}{error}") from error


def keys_made(held: Sequence[Held]) -> frozenset[int]:
    """The keys by which a stored row proves one of some writes: what a document notes of them."""
    return frozenset(chain.from_iterable(map(made_once, held)))


def decode(document: bytes, tables: Mapping[str, Table]) -> list[Held]:
    """The held writes of a document.

    Args:
        document: What ``encode`` has made.
        tables: The tables, by their names with their schemas, as ``MetaData.tables`` has them.

    Raises:
        UnknownTableError: A table, or a column, is not among them.
        DocumentError: The document is damaged, or of a later release.
    """
    held = []
    for write in each(document, tables):
        if isinstance(write, UnknownTableError):
            raise write
        held.append(write)
    return held


def each(document: bytes, tables: Mapping[str, Table]) -> Iterator[Held | UnknownTableError]:
    """The held writes of a document; where one is of a table that is not known, what says so.

    Raises:
        DocumentError: The document is damaged, or of a later release.
    """
    try:
        read = orjson.loads(document)
        known = read["format"]
    except (ValueError, KeyError, TypeError) as error:
        raise _damaged(error) from error
    if not isinstance(known, int) or not 1 <= known <= FORMAT:
        raise DocumentError(
            _DAMAGED.format(
                f": its format is {known!r}, and this release knows those up to {FORMAT}",
                "use the release that has kept it, or a later one.",
            )
        )
    try:
        reader = _HeldReader(read["shapes"], tables)
        for write in read["writes"]:
            try:
                yield reader.held(write)
            except UnknownTableError as unknown:
                yield unknown
    except _UNREADABLE as error:
        raise _damaged(error) from error


# --- writing --------------------------------------------------------------------------------------


class _Writer:
    """Writes held writes; a shape that several have is written once."""

    def __init__(self, noted: Collection[int] | None) -> None:
        self._noted = noted
        self.shapes: list[orjson.Fragment] = []
        self._numbers: dict[bytes, int] = {}
        self._known: dict[Shape, int] = {}

    def write(self, held: Held) -> dict[str, Any]:
        if isinstance(held, HeldText):
            return _text(held)
        upsert = held.upsert
        return {
            "shape": self._shape(held.shape),
            "rows": len(held.rows),
            "columns": _columns(held.rows, held.shape.width),
            "checks": {name: getattr(held.checks, name) for name in _CHECKS},
            "upsert": None if upsert is None else [upsert.keys, upsert.update],
            "reads": None if held.reads is None else sorted(held.reads),
            # In the order of the rows, of which the newest come last.
            "made": made_once(held, self._noted),
        }

    def _shape(self, shape: Shape) -> int:
        number = self._known.get(shape)
        if number is None:
            # Where a schema stands for another, each execution has a shape of its own.
            text = _text_of_shape(shape)
            number = self._known[shape] = self._numbers.setdefault(text, len(self.shapes))
            if number == len(self.shapes):
                self.shapes.append(orjson.Fragment(text))
        return number


def _text(held: HeldText) -> dict[str, Any]:
    return {
        "text": held.text,
        "parameters": packed(list(held.parameters)),
        "tables": None if held.tables is None else sorted(held.tables),
        "written": held.written,
        "changes": None if held.changes is None else sorted(held.changes),
        "certain": held.certain,
        "described": asdict(held.described),
    }


def _columns(rows: Sequence[Row], width: int) -> list[Any]:
    if not rows or not width:
        return [[] for _ in range(width)]
    if len(rows) == 1 and len(rows[0]) == width:
        return packed_row(rows[0])
    values = list(chain.from_iterable(rows))
    if len(values) != len(rows) * width:
        raise AssertionError(f"rows of {width} values each have {len(values)} in all")
    return [packed(values[number::width]) for number in range(width)]


def _text_of_shape(shape: Shape) -> bytes:
    text = _shape_texts.get(shape)
    if text is None:
        text = _shape_texts[shape] = orjson.dumps(_shape(shape))
    return text


def _shape(shape: Shape) -> dict[str, Any]:
    return {
        "kind": shape.kind.value,
        "table": [shape.table.schema, shape.table.name],
        "target": shape.target,
        "values": [_field(item) for item in shape.values],
        "matches": [_field(item) for item in shape.matches],
        "transports": [_transport(kind) for kind in shape.transports],
        "loaded": [list(item) for item in shape.loaded],
        "schemas": None if shape.schemas is None else [list(i) for i in shape.schemas.items()],
        # How many rows its statement had: those of one may refer to each other.
        "together": len(shape.places),
    }


def _field(item: Field) -> list[Any]:
    return [item.column.name, item.name, item.made, item.own, item.binds, item.is_plain]


def _transport(kind: Transport | None) -> str | None:
    if kind is None:
        return None
    if transport_named(kind.sql) != kind:
        raise NotSupportedError(f"{_NOT_KEPT}values travel as {kind.sql}, which is not known")
    return kind.sql


def _refuse_halves(held: Sequence[Held]) -> None:
    """Refuse texts that hold half of a character, which says where that is.

    Raises:
        DataError: There is one.
    """
    for write in held:
        rows = [write.parameters] if isinstance(write, HeldText) else write.rows
        for value in chain.from_iterable(rows):
            if isinstance(value, str):
                checked_text(value)


# --- reading --------------------------------------------------------------------------------------


class _HeldReader:
    """Reads held writes; those of one shape get the same."""

    def __init__(self, shapes: list[Any], tables: Mapping[str, Table]) -> None:
        self._written = shapes
        self._tables = tables
        self._shapes: dict[int, Shape] = {}

    def held(self, write: Mapping[str, Any]) -> Held:
        if "text" in write:
            return _read_text(write)
        number = write["shape"]
        shape = self._shapes.get(number)
        if shape is None:
            shape = self._shapes[number] = self._shape(self._written[number])
        upsert = write["upsert"]
        return HeldRows(
            shape,
            _read_rows(write, shape.width),
            Checks(**write["checks"]),
            None if upsert is None else OnConflict(*map(tuple, upsert)),
            reads=_names(write["reads"]),
            made=frozenset(write["made"]),
        )

    def _shape(self, written: Mapping[str, Any]) -> Shape:
        schema, name = written["table"]
        full = name if schema is None else f"{schema}.{name}"
        table = self._tables.get(full)
        if table is None or (table.schema, table.name) != (schema, name):
            raise UnknownTableError(full)
        columns = {column.name: column for column in table.columns}
        kind = WriteKind(written["kind"])
        values, matches = (
            tuple(_read_field(item, full, columns) for item in written[part])
            for part in ("values", "matches")
        )
        schemas = written["schemas"]
        return Shape(
            kind,
            table,
            written["target"],
            values,
            matches,
            tuple(map(_read_transport, written["transports"])),
            ((),) * written["together"],
            key_places(table, values if kind is WriteKind.INSERT else matches),
            None if schemas is None else dict(schemas),
            tuple(_read_loaded(item, full, columns) for item in written["loaded"]),
        )


def _read_text(write: Mapping[str, Any]) -> HeldText:
    return HeldText(
        write["text"],
        tuple(unpacked(write["parameters"])),
        _names(write["tables"]),
        write["written"],
        _names(write.get("changes")),  # an earlier release did not write it down
        write["certain"],
        StatementTraits(**write["described"]),
    )


def _read_rows(write: Mapping[str, Any], width: int) -> list[Row]:
    count, columns = write["rows"], write["columns"]
    if len(columns) != width:
        raise ValueError(f"{len(columns)} columns, and the shape has {width}")
    if not width:
        return [()] * count
    rows: list[Row] = list(zip(*map(unpacked, columns), strict=True))
    if len(rows) != count:
        raise ValueError(f"{len(rows)} rows, and there were {count}")
    return rows


def _read_field(item: Sequence[Any], table: str, columns: Mapping[str, Column[Any]]) -> Field:
    column, name, made, own, binds, is_plain = item
    return Field(_known(column, table, columns), name, made, own, tuple(binds), is_plain)


def _read_loaded(item: Sequence[Any], table: str, columns: Mapping[str, Column[Any]]) -> Loaded:
    loaded = Loaded(*item)
    _known(loaded.column, table, columns)
    return loaded


def _known(name: str, table: str, columns: Mapping[str, Column[Any]]) -> Column[Any]:
    column = columns.get(name)
    if column is None:
        raise UnknownTableError(table, name)
    return column


def _read_transport(sql: str | None) -> Transport | None:
    if sql is None:
        return None
    kind = transport_named(sql)
    if kind is None:
        raise ValueError(f"no values travel as {sql}")
    return kind


def _names(listed: Sequence[str] | None) -> frozenset[str] | None:
    return None if listed is None else frozenset(listed)


def _damaged(error: Exception) -> DocumentError:
    return DocumentError(
        _DAMAGED.format(
            f": it is damaged ({type(error).__name__}: {error})",
            "export it, and give the unit up; what it holds is to be seen there.",
        )
    )
