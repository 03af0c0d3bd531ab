"""Any number of rows as one statement.

INSERT becomes ``INSERT INTO … SELECT`` from the rows, UPDATE and DELETE by key a MERGE with them,
and so does an upsert. The guards of ``guards`` stand in the same statement.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from operator import itemgetter
from typing import Any

from sqlalchemy.schema import Column

from vinci_code.database.dialect.text.binding import MAX_PARAMETER_BYTES
from vinci_code.database.dialect.writes import guards
from vinci_code.database.dialect.writes.payload import Payload
from vinci_code.database.dialect.writes.shapes import ROWS, Field, Row, Shape, WriteKind

_MARKER = "?"
_LONGEST_BOUND = 64


@dataclass(frozen=True)
class Checks:
    """What a statement makes sure of.

    Attributes:
        keys: That no key of PRIMARY KEY and UNIQUE comes twice.
        foreign_keys: That what a row refers to is there.
        matched: That every row of an UPDATE or DELETE is there.
        hide_keys: That no error says which key it was.
    """

    keys: bool = True
    foreign_keys: bool = False
    matched: bool = False
    hide_keys: bool = False


@dataclass(frozen=True)
class OnConflict:
    """What an INSERT does with a row whose key is there already.

    Attributes:
        keys: The columns that say which row it is.
        update: The columns that are changed then; with none, the row is left as it is.
    """

    keys: tuple[str, ...]
    update: tuple[str, ...]


@dataclass(frozen=True)
class SetStatement:
    """A statement that writes rows; its payload is a parameter, or none where it is in the text."""

    text: str
    parameters: tuple[str, ...]
    rows: int


class SetWriter:
    """Writes the statement for rows of one shape.

    Args:
        shape: What is done to each row.
        checks: What the statement makes sure of.
        dialect: The dialect, for names and defaults.
        name: Returns the name of a table or column as SQL; by default as of the dialect.
        rows: The rows, where they are known: by what is in them Delta skips files.
        locked: Guards of rows that were read before, which come before its own.
        replaces: Whether rows that are inserted take the place of all that are in the table.
    """

    def __init__(
        self,
        shape: Shape,
        checks: Checks,
        dialect: Any,
        name: Callable[[Any], str] | None = None,
        rows: Sequence[Row] = (),
        locked: Sequence[str] = (),
        *,
        replaces: bool = False,
    ) -> None:
        self._replaces = replaces
        self._shape = shape
        self._checks = checks
        self._rows = rows
        self._locked = locked
        self._bounds: dict[str, str] = {}
        self._preparer = dialect.identifier_preparer
        compiler = dialect.ddl_compiler(dialect, None)
        self._ddl = compiler
        self._default = compiler.get_column_default_string
        self._names = guards.Names(
            self._bound,
            name or self._format,
            self._is_exact,
            self._default,
            compiler.bare,
            checks.hide_keys,
        )

    # --- rows of a payload ----------------------------------------------------------------------

    def statement(
        self, payload: Payload, upsert: OnConflict | None = None, *, bound: bool = True
    ) -> SetStatement:
        """The statement for the rows of a payload, which is a parameter only if ``bound``.

        ``upsert`` is what an INSERT does with rows that are there already.
        """
        if upsert is not None:
            before, after = self._upsert(upsert)
        elif self._shape.kind is WriteKind.INSERT:
            before, after = self._insert()
        else:
            before, after = self._around_merge(self.guards())
        if self._locked:
            # Before its own guards: what these find may be there because of that.
            before = f"{before}WITH {ROWS} AS ("
            after = f") SELECT {ROWS}.* {guards.unless_raised(self._locked)}{after}"
        return _filled(payload, before, after, bound)

    def _insert(self) -> tuple[str, str]:
        shape = self._shape
        names = ", ".join(field.name for field in shape.values)
        made = ", ".join(field.made for field in shape.values)
        word = "OVERWRITE" if self._replaces else "INTO"
        return (
            f"INSERT {word} {shape.target} ({names}) WITH {ROWS} AS (",
            f") SELECT {made} {guards.unless_raised(self.guards())}",
        )

    # --- any rows -------------------------------------------------------------------------------

    def guards(self, upsert: OnConflict | None = None) -> list[str]:
        """The guards that the statement needs."""
        if upsert is not None:
            return list(self._upsert_guards(self._change(upsert)))
        if self._shape.kind is WriteKind.INSERT:
            return list(self._insert_guards())
        return list(self._merge_guards())

    def twice(self, rows: str) -> Iterator[str]:
        """Guards for the rows of a SELECT, in which what is unique may not come twice."""
        return guards.twice_guards(self._shape.table, self._names, rows)

    def kept(self, rows: str) -> Iterator[str]:
        """Guards for rows of the table that nothing stores: NOT NULL and CHECK."""
        table = self._shape.table
        conditions = [self._ddl.bare(check.sqltext) for check in self._ddl.checks_of(table)]
        return guards.kept_guards(table, self._names, conditions, rows)

    def merge(self, source: str, checks: Sequence[str]) -> str:
        """The MERGE of rows that a SELECT gives."""
        before, after = self._around_merge(checks)
        return f"{before}{source}{after}"

    def _insert_guards(self) -> Iterator[str]:
        if self._replaces:
            yield from guards.replace_guards(
                self._shape,
                self._names,
                keys=self._checks.keys,
                foreign_keys_too=self._checks.foreign_keys,
            )
            return
        if self._checks.keys:
            yield from guards.insert_guards(self._shape, self._names)
        if self._checks.foreign_keys:
            yield from guards.foreign_guards(self._shape, self._names)

    def _around_merge(self, checks: Sequence[str]) -> tuple[str, str]:
        shape = self._shape
        on = [f"{shape.target}.{field.name} = {field.made}" for field in shape.matches]
        on += filter(None, map(self._bound, shape.matches))
        if shape.kind is WriteKind.DELETE:
            action = "DELETE"
        else:
            sets = ", ".join(f"{field.name} = {field.made}" for field in shape.values)
            action = f"UPDATE SET {sets}"
        begin, end = _guarded(checks)
        return (
            f"MERGE INTO {shape.target} USING ({begin}",
            f"{end}) AS {ROWS} ON {' AND '.join(on)} WHEN MATCHED THEN {action}",
        )

    def _merge_guards(self) -> Iterator[str]:
        shape, checks = self._shape, self._checks
        if checks.matched:
            if shape.transports:
                yield guards.match_guard(shape, self._names)
                yield from guards.once_guard(shape, self._names)
            else:
                # Rows that a condition has found are there; the question is whether it is one.
                yield guards.any_guard(shape)
        if shape.kind is WriteKind.UPDATE:
            if checks.keys:
                yield from guards.update_guards(shape, self._names, matched=checks.matched)
            if checks.foreign_keys:
                yield from guards.foreign_guards(shape, self._names, matched=checks.matched)
                yield from guards.changed_key_guards(shape, self._names)
        elif checks.foreign_keys:
            yield from guards.referring_guards(shape, self._names)

    def _upsert(self, upsert: OnConflict) -> tuple[str, str]:
        shape, change = self._shape, self._change(upsert)
        on = [f"{shape.target}.{field.name} = {field.made}" for field in change.matches]
        on += filter(None, map(self._bound, change.matches))
        names = ", ".join(field.name for field in shape.values)
        made = ", ".join(field.made for field in shape.values)
        sets = ", ".join(f"{field.name} = {field.made}" for field in change.values)
        matched = f"WHEN MATCHED THEN UPDATE SET {sets} " if sets else ""
        inserted = f"WHEN NOT MATCHED THEN INSERT ({names}) VALUES ({made})"
        begin, end = _guarded(self.guards(upsert))
        return (
            f"MERGE INTO {shape.target} USING ({begin}",
            f"{end}) AS {ROWS} ON {' AND '.join(on)} {matched}{inserted}",
        )

    def _change(self, upsert: OnConflict) -> Shape:
        """What an upsert does to the rows that are there, which its guards look at, too."""
        given = {field.column.name: field for field in self._shape.values}
        columns = {column.name: column for column in self._shape.table.columns}
        return replace(
            self._shape,
            kind=WriteKind.UPDATE,
            values=tuple(given.get(name) or self._missing(columns[name]) for name in upsert.update),
            matches=tuple(given[name] for name in upsert.keys),
        )

    def _missing(self, column: Column[Any]) -> Field:
        """A column that the rows lack, which becomes what would be inserted."""
        made = self._default(column) or "NULL"
        return Field(column, self._names.format(column), made, made)

    def _upsert_guards(self, change: Shape) -> Iterator[str]:
        if self._checks.keys:
            yield from guards.upsert_guards(self._shape, change, self._names)
        if self._checks.foreign_keys:
            yield from guards.upsert_foreign_guards(self._shape, change, self._names)
            yield from guards.changed_key_guards(change, self._names, self._shape)

    def _is_exact(self, field: Field) -> bool:
        if not field.is_plain or not self._shape.transports:
            return False
        transport = self._shape.transports[field.first]
        # NaN is equal to itself there, and not here.
        return transport is not None and float not in transport.kinds

    def _bound(self, field: Field) -> str:
        if field.name not in self._bounds:
            self._bounds[field.name] = bound_of(field, self._rows, self._shape.target)
        return self._bounds[field.name]

    def _format(self, item: Any) -> str:
        if isinstance(item, Column):
            return str(self._preparer.format_column(item))
        schemas = self._shape.schemas or {}
        schema = schemas.get(item.schema, item.schema)
        name = str(self._preparer.format_table(item, use_schema=False))
        return f"{self._preparer.quote_schema(schema)}.{name}" if schema else name


def bound_of(field: Field, rows: Sequence[Row], of: str) -> str:
    """The range that the values of a column are in, by which Delta skips files.

    Args:
        field: The column.
        rows: The rows that it is to be equal in.
        of: What gives the rows that are searched.

    Returns:
        The condition; nothing where no range is known.
    """
    if not field.is_plain or len(rows) < 2:
        return ""
    values = list(map(itemgetter(field.first), rows))
    if set(map(type, values)) != {int}:
        return ""
    low, high = min(values), max(values)
    if len(str(low)) + len(str(high)) > _LONGEST_BOUND:
        return ""
    return f"{of}.{field.name} BETWEEN {low} AND {high}"


def _guarded(checks: Sequence[str]) -> tuple[str, str]:
    """What stands around the rows of a MERGE, so that they come only where no guard raises."""
    if not checks:
        return "", ""
    return f"WITH {ROWS} AS (", f") SELECT {ROWS}.* {guards.unless_raised(checks)}"


def _filled(payload: Payload, before: str, after: str, bound: bool) -> SetStatement:
    """The statement with its payload, which is copied once."""
    begin, end = payload.around()
    before, after = before + begin, end + after
    if payload.json is None:
        return SetStatement(f"{before}{payload.written}{after}", (), payload.rows)
    if bound and len(payload.json) <= MAX_PARAMETER_BYTES:
        json = payload.json.decode()
        return SetStatement(f"{before}{_MARKER}{after}", (json,), payload.rows)
    return SetStatement("".join([before, *payload.literal(), after]), (), payload.rows)
