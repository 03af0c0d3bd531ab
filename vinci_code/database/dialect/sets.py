"""Any number of rows as one statement.

INSERT becomes ``INSERT INTO … SELECT`` from the rows, UPDATE and DELETE by key a MERGE with them,
and so does an upsert. The guards of ``guards`` stand in the same statement.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy.schema import Column

from vinci_code.database.dialect import guards
from vinci_code.database.dialect.binding import MAX_PARAMETER_BYTES
from vinci_code.database.dialect.payload import ROWS, Payload, Row
from vinci_code.database.dialect.shapes import MARKER, Field, Kind, Shape

_LONGEST_BOUND = 64
# Where the payload goes; no statement holds this character.
_HERE = "\x00"


@dataclass(frozen=True)
class Checks:
    """What a statement makes sure of.

    Attributes:
        keys: That no key of PRIMARY KEY and UNIQUE comes twice.
        foreign_keys: That what a row refers to is there.
        matched: That every row of an UPDATE or DELETE is there.
    """

    keys: bool = True
    foreign_keys: bool = False
    matched: bool = False


@dataclass(frozen=True)
class Upsert:
    """What an INSERT does with a row whose key is there already.

    Attributes:
        keys: The columns that say which row it is.
        update: The columns that are changed then; with none, the row is left as it is.
    """

    keys: tuple[str, ...]
    update: tuple[str, ...]


@dataclass(frozen=True)
class SetStatement:
    """A statement that writes rows.

    Attributes:
        text: The statement, with one marker at most.
        parameters: The payload, where it is bound.
        rows: How many rows it writes.
    """

    text: str
    parameters: tuple[str, ...]
    rows: int


class SetWriter:
    """Writes the statement for the rows of one payload.

    Args:
        shape: What is done to each row.
        payload: The rows, ready to be sent.
        rows: The rows as they were given.
        checks: What the statement makes sure of.
        dialect: The dialect, for names and types.
    """

    def __init__(
        self, shape: Shape, payload: Payload, rows: Sequence[Row], checks: Checks, dialect: Any
    ) -> None:
        self._shape = shape
        self._payload = payload
        self._rows = rows
        self._checks = checks
        self._preparer = dialect.identifier_preparer
        self._process_type = dialect.type_compiler_instance.process
        self._names = guards.Names(
            self._refer,
            self._bound,
            self._format,
            self._is_exact,
            dialect.ddl_compiler(dialect, None).get_column_default_string,
        )

    def statement(self, upsert: Upsert | None = None, *, bound: bool = True) -> SetStatement:
        """The statement.

        Args:
            upsert: What an INSERT does with rows that are there already.
            bound: Whether the payload may be a parameter.
        """
        payload = self._payload
        bound = bound and payload.json is not None and len(payload.json) <= MAX_PARAMETER_BYTES
        source = payload.select(_HERE)
        if upsert is not None:
            text = self._upsert(source, upsert)
        elif self._shape.kind is Kind.INSERT:
            text = self._insert(source)
        else:
            text = self._merge(source)
        return self._filled(text, bound)

    def _filled(self, text: str, bound: bool) -> SetStatement:
        """The statement with its payload, which is copied once."""
        payload = self._payload
        before, here, after = text.partition(_HERE)
        if not here:
            return SetStatement(text, (), payload.rows)
        if bound:
            json = (payload.json or b"").decode()
            return SetStatement(f"{before}{MARKER}{after}", (json,), payload.rows)
        return SetStatement("".join([before, *payload.literal(), after]), (), payload.rows)

    def _insert(self, source: str) -> str:
        shape = self._shape
        names = ", ".join(field.name for field in shape.values)
        made = ", ".join(map(self._made, shape.values))
        return (
            f"INSERT INTO {shape.target} ({names}) WITH {ROWS} AS ({source}) "
            f"SELECT {made} {guards.unless_raised(list(self._insert_guards()))}"
        )

    def _insert_guards(self) -> Iterator[str]:
        if self._checks.keys:
            yield from guards.insert_guards(self._shape, self._names)
        if self._checks.foreign_keys:
            yield from guards.foreign_guards(self._shape, self._names)

    def _merge(self, source: str) -> str:
        shape = self._shape
        on = [f"{shape.target}.{field.name} = {self._refer(field)}" for field in shape.matches]
        on += filter(None, map(self._bound, shape.matches))
        if shape.kind is Kind.DELETE:
            action = "DELETE"
        else:
            sets = ", ".join(f"{field.name} = {self._made(field)}" for field in shape.values)
            action = f"UPDATE SET {sets}"
        return (
            f"MERGE INTO {shape.target} USING ({self._guarded(source, self._merge_guards())}) "
            f"AS {ROWS} ON {' AND '.join(on)} WHEN MATCHED THEN {action}"
        )

    def _merge_guards(self) -> Iterator[str]:
        shape, checks = self._shape, self._checks
        if checks.matched:
            yield guards.match_guard(shape, self._refer, self._bound)
        if shape.kind is Kind.UPDATE:
            if checks.keys:
                yield from guards.update_guards(shape, self._names, matched=checks.matched)
            if checks.foreign_keys:
                yield from guards.foreign_guards(shape, self._names)
                yield from guards.changed_key_guards(shape, self._names)
        elif checks.foreign_keys:
            yield from guards.referring_guards(shape, self._refer, self._format)

    def _upsert(self, source: str, upsert: Upsert) -> str:
        shape = self._shape
        given = {field.column.name: field for field in shape.values}
        keys = [given[name] for name in upsert.keys]
        on = [f"{shape.target}.{field.name} = {self._refer(field)}" for field in keys]
        on += filter(None, map(self._bound, keys))
        names = ", ".join(field.name for field in shape.values)
        made = ", ".join(map(self._made, shape.values))
        sets = ", ".join(f"{given[n].name} = {self._made(given[n])}" for n in upsert.update)
        matched = f"WHEN MATCHED THEN UPDATE SET {sets} " if sets else ""
        guarded = self._guarded(source, self._upsert_guards(upsert))
        return (
            f"MERGE INTO {shape.target} USING ({guarded}) AS {ROWS} ON {' AND '.join(on)} {matched}"
            f"WHEN NOT MATCHED THEN INSERT ({names}) VALUES ({made})"
        )

    def _upsert_guards(self, upsert: Upsert) -> Iterator[str]:
        if self._checks.keys:
            yield from guards.upsert_guards(self._shape, upsert.keys, upsert.update, self._names)
        if self._checks.foreign_keys:
            yield from guards.foreign_guards(self._shape, self._names)

    def _guarded(self, source: str, checks: Iterator[str]) -> str:
        checked = list(checks)
        if not checked:
            return source
        return f"WITH {ROWS} AS ({source}) SELECT {ROWS}.* {guards.unless_raised(checked)}"

    def _made(self, field: Field) -> str:
        """What is stored in a column."""
        if field.is_plain:
            return self._payload.reference(field.first)
        text, number = "", field.first
        for piece in field.pieces:
            if piece == MARKER:
                value = self._payload.reference(number)
                piece = "CAST(NULL AS STRING)" if value == "NULL" else value
                number += 1
            text += piece
        return text

    def _refer(self, field: Field, rows: str = ROWS) -> str:
        """A value as it is compared with its column: of the column's type."""
        made = self._made(field)
        if rows != ROWS:
            made = made.replace(f"{ROWS}.", f"{rows}.")
        if made == "NULL" or not field.is_plain:
            return made
        return self._as_type_of(field.column, self._payload.transports[field.first].type, made)

    def _is_exact(self, field: Field) -> bool:
        return field.is_plain and self._refer(field) == self._made(field)

    def _as_type_of(self, column: Column[Any], given: str, made: str) -> str:
        # A string that is compared with a number would be cast to a number, and may be none.
        if not given or column.type._isnull:
            return made
        wanted = self._process_type(column.type)
        same = _family(given) == _family(wanted) or given == wanted
        return made if same else f"CAST({made} AS {wanted})"

    def _bound(self, field: Field) -> str:
        """The range that the values of a column are in, by which Delta skips files."""
        if not field.is_plain:
            return ""
        values = [row[field.first] for row in self._rows]
        if set(map(type, values)) != {int} or len(values) < 2:
            return ""
        low, high = min(values), max(values)
        if len(str(low)) + len(str(high)) > _LONGEST_BOUND:
            return ""
        return f"{self._shape.target}.{field.name} BETWEEN {low} AND {high}"

    def _format(self, item: Any) -> str:
        if isinstance(item, Column):
            return str(self._preparer.format_column(item))
        schemas = self._shape.schemas or {}
        schema = schemas.get(item.schema, item.schema)
        name = str(self._preparer.format_table(item, use_schema=False))
        return f"{self._preparer.quote_schema(schema)}.{name}" if schema else name


def _family(name: str) -> str:
    """What of a type's name decides whether values can be compared as they are."""
    base = name.partition("(")[0]
    return "number" if base in _EXACT_NUMBERS else base


_EXACT_NUMBERS = frozenset({"TINYINT", "SMALLINT", "INT", "BIGINT", "DECIMAL"})
