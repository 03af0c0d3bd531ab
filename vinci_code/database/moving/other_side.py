"""Any other database that SQLAlchemy speaks to, as one side of a copy.

What its columns are is what SQLAlchemy reflects. Values are what the driver gives: each is looked
at, and one of another class than its column's kind has is refused.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import (
    Column,
    Connection,
    MetaData,
    Table,
    and_,
    bindparam,
    cast,
    delete,
    func,
    insert,
    inspect,
    select,
    text,
    type_coerce,
    update,
)
from sqlalchemy import types as sqltypes

from vinci_code.core.errors import CopyRefusedError
from vinci_code.database.moving import hashing
from vinci_code.database.moving.canonical import canonical
from vinci_code.database.moving.driver_forms import driver_reader, driver_writer
from vinci_code.database.moving.errors import NoPlainValueError
from vinci_code.database.moving.forms import Form
from vinci_code.database.moving.kinds import ValueKind
from vinci_code.database.moving.plans import (
    CHUNK_BYTES,
    Chunk,
    ColumnPlan,
    RowMark,
    TablePlan,
    TableProof,
)
from vinci_code.database.moving.postgres import pg_form, pg_number, pg_parts, refusal_of
from vinci_code.database.moving.selecting import among, behind

_AT_ONCE = 1_000
_KEYS_AT_ONCE = 500
_LONG = frozenset({"text", "json", "binary"})
_FIX = "change the value, or name another kind than {} for the column (--as)"


class OtherSide:
    """Reads and writes tables of a database by its SQLAlchemy dialect.

    Attributes:
        is_target: Whether it is the side that is written to.
        summed_here: For tables whose checksums the database did not compute itself, why not.
    """

    def __init__(self, word: str, *, is_target: bool) -> None:
        self.word = word
        self.is_target = is_target
        self.summed_here: dict[str, str] = {}
        self._known: dict[str, dict[str, Any]] = {}

    def chunks(
        self, connection: Connection, table: TablePlan, after: Sequence[Any] | None, most: int
    ) -> Generator[Chunk, None, None]:
        """The rows in the order of the key, from behind a key on, some at a time.

        Raises:
            CopyRefusedError: A value is none of its column's kind.
        """
        stored = self._stored(connection, table)
        keys = [stored.c[place] for place in table.keys]
        wanted = self._wanted(stored, table).order_by(*keys)
        if after is not None:
            wanted = wanted.where(behind(keys, self._given(connection, table, [after])[0]))
        done = 0
        for rows in self._selected(connection, table, wanted, most):
            columns = self._plain(table, rows, done)
            last = [columns[place][-1] for place in table.keys] if table.key else None
            done += len(rows)
            yield Chunk(columns, last)

    def count(self, connection: Connection, table: TablePlan) -> int:
        """How many rows a table has."""
        stored = self._stored(connection, table)
        return int(connection.execute(select(func.count()).select_from(stored)).scalar_one())

    def proof(self, connection: Connection, table: TablePlan) -> TableProof:
        """Have the database count and sum the table, or read it a second time and do it here.

        Raises:
            CopyRefusedError: A value is none of its column's kind.
        """
        reason = self._reason(connection, table)
        if reason is None:
            self.summed_here.pop(table.name, None)
            return self._summed_there(connection, table)
        self.summed_here[table.name] = reason
        found = hashing.Sums(len(table.columns), table.keys)
        for texts, _ in self._texts(connection, table):
            found.add(texts)
        return found.proof()

    def buckets(
        self, connection: Connection, table: TablePlan, count: int
    ) -> dict[int, tuple[int, int]]:
        """For each bucket of keys how many rows it has, and the sum of their numbers."""
        found: dict[int, tuple[int, int]] = {}
        for bucket, number, _, _ in self._hashed(connection, table, count):
            rows, total = found.get(bucket, (0, 0))
            found[bucket] = rows + 1, total + number
        return found

    def marks(
        self, connection: Connection, table: TablePlan, count: int, wanted: frozenset[int]
    ) -> dict[str, RowMark]:
        """The rows of some buckets, by the texts of their keys."""
        return {
            key_text: RowMark(number, key)
            for bucket, number, key_text, key in self._hashed(connection, table, count)
            if bucket in wanted
        }

    def fetch(
        self, connection: Connection, table: TablePlan, keys: Sequence[tuple[Any, ...]]
    ) -> Chunk:
        """The rows with some keys."""
        stored = self._stored(connection, table)
        columns = [stored.c[place] for place in table.keys]
        wanted = self._wanted(stored, table).where(
            among(columns, self._given(connection, table, keys))
        )
        parts = self._selected(connection, table, wanted, _AT_ONCE)
        rows = [row for part in parts for row in part]
        return Chunk(self._plain(table, rows, 0))

    def insert(self, connection: Connection, table: TablePlan, chunk: Chunk) -> None:
        """Write new rows.

        Raises:
            CopyRefusedError: The database would change a value.
        """
        self._insert(connection, table, self._rows(connection, table, chunk))

    def insert_all(self, connection: Connection, table: TablePlan, chunks: Iterable[Chunk]) -> int:
        """Write all rows of a table in the transaction that is going on; return their number."""
        rows = 0
        for chunk in chunks:
            rows += chunk.rows
            self.insert(connection, table, chunk)
        return rows

    def insert_missing(self, connection: Connection, table: TablePlan, chunk: Chunk) -> None:
        """Write rows whose key is not there."""
        new, _ = self._told_apart(connection, table, chunk)
        self._insert(connection, table, new)

    def upsert(self, connection: Connection, table: TablePlan, chunk: Chunk) -> None:
        """Write rows, in the place of those with the same key."""
        new, there = self._told_apart(connection, table, chunk)
        stored = self._stored(connection, table)
        others = [column for column in stored.c if not column.primary_key]
        if there and others:
            keys: list[Any] = [column for column in stored.c if column.primary_key]
            changed: dict[str, Any] = {
                column.name: bindparam(f"new_{column.name}") for column in others
            }
            statement = (
                update(stored)
                .where(and_(*(key == bindparam(f"key_{key.name}") for key in keys)))
                .values(changed)
            )
            renamed = {
                column.name: f"{'key' if column.primary_key else 'new'}_{column.name}"
                for column in stored.c
            }
            connection.execute(
                statement, [{renamed[name]: one for name, one in row.items()} for row in there]
            )
        self._insert(connection, table, new)

    def delete(
        self, connection: Connection, table: TablePlan, keys: Sequence[tuple[Any, ...]]
    ) -> None:
        """Delete the rows with some keys."""
        stored = self._stored(connection, table)
        columns = [stored.c[place] for place in table.keys]
        connection.execute(
            delete(stored).where(among(columns, self._given(connection, table, keys)))
        )

    def _insert(
        self, connection: Connection, table: TablePlan, rows: Sequence[Mapping[str, Any]]
    ) -> None:
        if rows:
            connection.execute(insert(self._stored(connection, table)), list(rows))

    def _told_apart(
        self, connection: Connection, table: TablePlan, chunk: Chunk
    ) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        """The rows of a chunk that are not there, and those that are."""
        keys = list(zip(*(chunk.columns[place] for place in table.keys), strict=True))
        there: set[tuple[Any, ...]] = set()
        for start in range(0, len(keys), _KEYS_AT_ONCE):
            found = self.fetch(connection, table, keys[start : start + _KEYS_AT_ONCE])
            there.update(zip(*(found.columns[place] for place in table.keys), strict=True))
        rows = self._rows(connection, table, chunk)
        new = [row for row, key in zip(rows, keys, strict=True) if key not in there]
        return new, [row for row, key in zip(rows, keys, strict=True) if key in there]

    def _rows(self, connection: Connection, table: TablePlan, chunk: Chunk) -> list[dict[str, Any]]:
        """The rows of a chunk as the driver is given them."""
        names = self._names(table)
        columns = [
            self._formed(table, one, form, values, 0)
            for one, form, values in zip(
                table.columns, self._writers(connection, table), chunk.columns, strict=True
            )
        ]
        return [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]

    def _given(
        self, connection: Connection, table: TablePlan, keys: Sequence[Sequence[Any]]
    ) -> list[tuple[Any, ...]]:
        """Plain keys as the driver is given them."""
        writers = self._writers(connection, table)
        forms = [writers[place] for place in table.keys]
        return [tuple(form(one) for form, one in zip(forms, key, strict=True)) for key in keys]

    def _writers(self, connection: Connection, table: TablePlan) -> list[Form]:
        types = self._types(connection, table)
        return [
            driver_writer(one.kind, types[name], connection.dialect.name)
            for name, one in zip(self._names(table), table.columns, strict=True)
        ]

    def _selected(
        self, connection: Connection, table: TablePlan, wanted: Any, most: int
    ) -> Iterator[list[Any]]:
        long = [place for place, one in enumerate(table.columns) if one.kind.name in _LONG]
        options = {"stream_results": True, "yield_per": min(most, _AT_ONCE)}
        rows, size = [], 0
        with connection.execute(wanted, execution_options=options) as result:
            for row in result:
                rows.append(row)
                for place in long:
                    value = row[place]
                    size += len(value) if isinstance(value, (str, bytes)) else 0
                if len(rows) >= most or size >= CHUNK_BYTES:
                    yield rows
                    rows, size = [], 0
        if rows:
            yield rows

    def _wanted(self, stored: Table, table: TablePlan) -> Any:
        return select(
            *(_read(column, one.kind) for column, one in zip(stored.c, table.columns, strict=True))
        )

    def _plain(self, table: TablePlan, rows: list[Any], done: int) -> list[list[Any]]:
        columns = zip(*rows, strict=True) if rows else ([] for _ in table.columns)
        return [
            self._formed(table, column, driver_reader(column.kind), values, done)
            for column, values in zip(table.columns, columns, strict=True)
        ]

    def _formed(
        self, table: TablePlan, column: ColumnPlan, form: Form, values: Any, done: int
    ) -> list[Any]:
        made: list[Any] = []
        try:
            made.extend(None if value is None else form(value) for value in values)
        except NoPlainValueError as error:
            place = f"{table.named(on_target=False)}.{column.name}"
            # extend() has taken what came before.
            refusal = f"{place}, row {done + len(made) + 1:,} of those read: {error}"
            fix = _FIX.format(column.kind)
            raise CopyRefusedError([f"{refusal}; to fix it: {fix}"]) from None
        return made

    def _texts(
        self, connection: Connection, table: TablePlan
    ) -> Iterator[tuple[Sequence[Any], tuple[Any, ...]]]:
        """Of each row the canonical texts, and its plain key."""
        forms = [canonical(one.kind) for one in table.columns]
        wanted, done, keys = self._wanted(self._stored(connection, table), table), 0, table.keys
        for rows in self._selected(connection, table, wanted, _AT_ONCE):
            columns = self._plain(table, rows, done)
            texts = [
                [None if value is None else form(value) for value in values]
                for form, values in zip(forms, columns, strict=True)
            ]
            for place, row in enumerate(zip(*texts, strict=True)):
                yield row, tuple(columns[key][place] for key in keys)
            done += len(rows)

    def _hashed(
        self, connection: Connection, table: TablePlan, count: int
    ) -> Iterator[tuple[int, int, str, tuple[Any, ...]]]:
        for texts, key in self._texts(connection, table):
            key_text = hashing.key_text(texts, table.keys)
            yield hashing.bucket_of(key_text, count), hashing.row_number(texts), key_text, key

    def _reason(self, connection: Connection, table: TablePlan) -> str | None:
        """Why the database does not sum the table itself."""
        name = connection.dialect.name
        if name != "postgresql":
            return f"its canonical texts in the SQL of {self.word} are not known"
        return refusal_of(connection, [one.kind for one in table.columns])

    def _summed_there(self, connection: Connection, table: TablePlan) -> TableProof:
        quote = connection.dialect.identifier_preparer.quote_identifier
        types = self._types(connection, table)
        forms = [
            pg_form(_shown(one.kind, types[name]), quote(name))
            for name, one in zip(self._names(table), table.columns, strict=True)
        ]
        key = pg_parts([forms[place] for place in table.keys])
        parts = ["count(*)"]
        for form in forms:
            number = pg_number(f"{key} || {form}" if table.key else form)
            parts += [f"count({form})", f"sum({number})"]
        if not table.key:
            parts.append(f"sum({pg_number(pg_parts(forms))})")
        named = quote(table.named(on_target=self.is_target))
        statement = f"SELECT {', '.join(parts)} FROM {named}"  # noqa: S608 - quoted
        row = connection.execute(text(statement.replace(":", r"\:"))).one()
        rows, *rest = (int(value or 0) for value in row)
        whole = None if table.key else rest.pop()
        return TableProof(rows, tuple(rest[::2]), tuple(rest[1::2]), whole)

    def _stored(self, connection: Connection, table: TablePlan) -> Table:
        """The table, with the types that the database says, and documents as their text."""
        types, keys = self._types(connection, table), set(table.keys)
        columns: list[Column[Any]] = [
            Column(name, _bound(types[name]), primary_key=place in keys, autoincrement=False)
            for place, name in enumerate(self._names(table))
        ]
        return Table(table.named(on_target=self.is_target), MetaData(), *columns)

    def _types(self, connection: Connection, table: TablePlan) -> dict[str, Any]:
        name = table.named(on_target=self.is_target)
        if name not in self._known:
            found = inspect(connection).get_columns(name)
            self._known[name] = {one["name"]: one["type"] for one in found}
        return self._known[name]

    def _names(self, table: TablePlan) -> list[str]:
        return table.names(on_target=self.is_target)


class _DocumentText(sqltypes.TypeDecorator[str]):
    """A document that is written as its text, and not as what Python makes of it."""

    impl = sqltypes.Text
    cache_ok = True

    def bind_expression(self, bindvalue: Any) -> Any:
        return cast(type_coerce(bindvalue, sqltypes.Text()), sqltypes.JSON())


def _shown(kind: ValueKind, stored: Any) -> ValueKind:
    """The kind by which the database writes a value: a time may be kept as its text."""
    is_text = kind.name == "time" and not isinstance(stored, sqltypes.Time)
    return ValueKind("text") if is_text else kind


def _bound(stored: Any) -> Any:
    """The type that values are written with."""
    return _DocumentText() if isinstance(stored, sqltypes.JSON) else stored


def _read(column: Any, kind: ValueKind) -> Any:
    """How a column is read, so that the driver gives a plain value or what is made one."""
    stored = column.type
    if isinstance(stored, _DocumentText):
        return cast(column, sqltypes.Text())
    if kind.name == "text" and isinstance(stored, sqltypes.Enum):
        return type_coerce(column, sqltypes.String())
    if kind.name == "double" and not isinstance(stored, sqltypes.Double):
        # Of 32 bits, drivers give the shortest digits that tell them apart: another number.
        return cast(column, sqltypes.Double())
    return column
