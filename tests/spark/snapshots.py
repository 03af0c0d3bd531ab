"""The tables that a statement names, as the statements that make them again."""

from __future__ import annotations

import copy
import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, datetime, timezone
from typing import Any

import pyarrow as pa
from sqlglot import exp

from tests.spark.literals import literal, string
from tests.spark.shapes import Namespace
from tests.spark.watching import quiet
from vinci_code.warehouse.engine import show
from vinci_code.warehouse.engine.model import (
    CheckConstraint,
    TableColumn,
    TableSchema,
    TableState,
    View,
)
from vinci_code.warehouse.engine.names import TableName, backtick
from vinci_code.warehouse.engine.namespace import full_name
from vinci_code.warehouse.engine.reader import split_atomic, split_compound
from vinci_code.warehouse.engine.result import Column, Result
from vinci_code.warehouse.engine.session import EngineSession
from vinci_code.warehouse.engine.transactions import Transaction
from vinci_code.warehouse.sql.errors import SqlError
from vinci_code.warehouse.sql.lexemes import lexemes, name_of
from vinci_code.warehouse.sql.parse import parse_statement

MANY_ROWS = 60
MAX_BYTES = 100_000
_BEFORE_A_TABLE = frozenset(
    """TABLE VIEW EXISTS REFERENCES FROM JOIN INTO IN DETAIL EXTENDED HISTORY UPDATE USING
    DESCRIBE DESC FORMATTED COLUMN TBLPROPERTIES""".split()
)
_STARTED = datetime.now(timezone.utc)
_SOME_TIME = datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone.utc)


class NotRecordableError(Exception):
    """A statement cannot be made a case; says why."""


@dataclass(frozen=True)
class Snapshot:
    """The tables and views that a statement names.

    Attributes:
        statements: What makes them, in order.
        rows: How many rows the largest has.
        stem: The name of the first, for a name of all.
    """

    statements: tuple[str, ...]
    rows: int
    stem: str

    @property
    def name(self) -> str:
        """A name that is the same for the same tables with the same rows."""
        digest = hashlib.sha256("\n".join(self.statements).encode()).hexdigest()
        return f"{self.stem}_{digest[:8]}"


@dataclass
class Snapshots:
    """Takes snapshots; a table that nobody has written to is read once."""

    _rows: dict[tuple[int, int, int], tuple[str, int]] = field(default_factory=dict)

    def take(self, session: EngineSession, text: str, names: Namespace) -> Snapshot | None:
        """The tables that a statement names, as the session sees them; ``None`` without any.

        Raises:
            NotRecordableError: One of them has too many rows, or cannot be made by statements.
        """
        taking = _Taking(session, names, self._rows, keys=not _is_query_or_dml(text))
        for parts in _names_in(text):
            taking.add(parts, session.catalog, session.schema)
        return taking.snapshot()


class _Taking:
    """One snapshot in the making."""

    def __init__(
        self,
        session: EngineSession,
        names: Namespace,
        known: dict[tuple[int, int, int], tuple[str, int]],
        *,
        keys: bool,
    ) -> None:
        self._session = session
        self._names = names
        self._known = known
        self._keys = keys
        self._made: dict[tuple[str, ...], list[str]] = {}
        self._begun: set[tuple[str, ...]] = set()
        self._rows = 0

    def add(self, parts: list[str], catalog: str, schema: str) -> None:
        """Take a table or view, if there is one of this name."""
        if len(parts) > 3:
            return
        temporary = self._session.temporary_views.get(parts[0].lower()) if len(parts) == 1 else None
        if temporary is not None:
            self._add_view(temporary, (parts[0].lower(),), "TEMPORARY VIEW")
            return
        name = full_name(parts, catalog, schema)
        key = (name.catalog, name.schema, name.name)
        state = seen_state(self._session, name)
        view = self._session.room.catalog.find_view(name)
        if state is not None and key not in self._begun:
            self._begun.add(key)
            self._add_parents(state.schema)
            self._made[key] = self._table(state)
        elif view is not None:
            self._add_view(view, key, "VIEW")

    def snapshot(self) -> Snapshot | None:
        """All that was taken."""
        if not self._made and not self._names.used:
            return None
        # What others are made of comes first: views, and tables with foreign keys, were taken
        # after what they need.
        statements = [line for key in self._made for line in self._made[key]]
        schemas = [
            f"CREATE SCHEMA IF NOT EXISTS ${{schema}}_{number}"
            for number, _ in enumerate(self._names.used, 2)
        ]
        first = next(iter(self._made), ("schemas",))[-1]
        stem = re.sub(r"\W+", "_", first, flags=re.ASCII).strip("_").lower()
        return Snapshot((*schemas, *statements), self._rows, stem or "table")

    def _add_view(self, view: View, key: tuple[str, ...], kind: str) -> None:
        if key in self._made:
            return
        for parts in _names_in(view.text):
            if len(parts) == 1 and view.schema != self._session.schema:
                raise NotRecordableError("a view of another schema with names relative to it")
            self.add(parts, view.catalog, view.schema)
        name = self._place(view.name) if len(key) == 3 else backtick(view.name.name)
        columns = ", ".join(backtick(column.name) for column in view.columns)
        self._made[key] = [f"CREATE {kind} {name} ({columns}) AS {self._names.text(view.text)}"]

    def _add_parents(self, schema: TableSchema) -> None:
        parents = [key.parent for key in schema.keys if key.parent is not None]
        for name in parents if self._keys else []:
            self.add([name.catalog, name.schema, name.name], name.catalog, name.schema)

    def _table(self, state: TableState) -> list[str]:
        name = self._place(state.name)
        statements = [self._create(name, state)]
        values, count = self._values(state)
        if count:
            columns = ", ".join(
                backtick(column.name) for column in state.schema.columns if column.generated is None
            )
            statements.append(f"INSERT INTO {name} ({columns}) VALUES\n{values}")
        statements += [_check(name, check) for check in state.schema.checks]
        self._rows = max(self._rows, count)
        return statements

    def _create(self, name: str, state: TableState) -> str:
        schema = state.schema
        lines = [self._column(state, column) for column in schema.columns]
        lines += [show._key_text(key) for key in schema.keys if key.parent is None]
        for key in schema.keys:
            if key.parent is not None and self._keys:
                lines.append(
                    f"CONSTRAINT {backtick(key.name)} FOREIGN KEY "
                    f"({', '.join(map(backtick, key.columns))}) REFERENCES "
                    f"{self._place(key.parent)} ({', '.join(map(backtick, key.parent_columns))})"
                )
        text = f"CREATE TABLE {name} (\n  " + ",\n  ".join(lines) + ")"
        layout = show._layout_text(schema).strip()
        text += f"\n{layout}" if layout else ""
        text += f"\nCOMMENT {string(schema.comment)}" if schema.comment else ""
        properties = ", ".join(
            f"{string(key)} = {string(value)}" for key, value in sorted(schema.properties.items())
        )
        return text + (f"\nTBLPROPERTIES ({properties})" if properties else "")

    def _column(self, state: TableState, column: TableColumn) -> str:
        text = f"{backtick(column.name)} {column.type.text}"
        if column.generated is not None:
            text += f" GENERATED ALWAYS AS ({column.generated})"
        if column.identity is not None:
            # Rows with values of their own can be put in, and the next value is the one it was.
            start, step = column.identity.start, column.identity.step
            start = self._session.room.catalog.identity.get((state.id, column.physical), start)
            text += f" GENERATED BY DEFAULT AS IDENTITY (START WITH {start} INCREMENT BY {step})"
        text += "" if column.nullable else " NOT NULL"
        text += "" if column.default is None else f" DEFAULT {column.default}"
        return text + (f" COMMENT {string(column.comment)}" if column.comment else "")

    def _values(self, state: TableState) -> tuple[str, int]:
        """The rows as the lines of VALUES, and how many they are."""
        transaction = self._session.open_transaction
        own = transaction is not None and state.id in transaction._writes
        version = (state.id, state.version, state.schema_version)
        if own or version not in self._known:
            found = self._read(state)
            if own:
                return found
            self._known[version] = found
        values, count = self._known[version]
        if len(values) > MAX_BYTES:
            raise NotRecordableError(f"a table of {count} rows and {len(values)} bytes")
        return values, count

    def _read(self, state: TableState) -> tuple[str, int]:
        name = state.name
        full = ".".join(map(backtick, (name.catalog, name.schema, name.name)))
        table = read(self._session, f"SELECT * FROM {full}").table
        columns = state.schema.columns
        kept = [index for index, column in enumerate(columns) if column.generated is None]
        arrays = [table.column(index).to_pylist() for index in kept]
        rows = [
            "("
            + ", ".join(_value(value, columns[n]) for n, value in zip(kept, row, strict=True))
            + ")"
            for row in zip(*arrays, strict=True)
        ]
        # In the order of their texts: that of the rows means nothing.
        return ",\n".join(sorted(rows)), len(rows)

    def _place(self, name: TableName) -> str:
        if name.schema == self._session.schema and name.catalog == self._session.catalog:
            return backtick(name.name)
        marker = self._names.marker(name.schema)
        if marker is None or name.catalog != self._session.catalog:
            raise NotRecordableError(f"a table of another catalog: {name.catalog}")
        return f"{marker}.{backtick(name.name)}"


def seen_state(session: EngineSession, name: TableName) -> TableState | None:
    """A table as the session's next statement will see it; nothing is pinned by this."""
    transaction = session.open_transaction
    if transaction is not None and name in transaction._states:
        return transaction._states[name]
    table = session.room.catalog.find_table(name)
    return None if table is None else table.state


@dataclass(frozen=True)
class Answer:
    """What a query answered."""

    columns: tuple[Column, ...]
    table: pa.Table


def read(session: EngineSession, text: str) -> Answer:
    """What a query answers in a session, without leaving a trace in it."""
    other = EngineSession(session.room, session.run, user=session.user)
    try:
        other.catalog, other.schema = session.catalog, session.schema
        other.temporary_views = dict(session.temporary_views)
        if session.open_transaction is not None:
            other.open_transaction = _copy(session.open_transaction, other)
        with quiet():
            result = other.execute(text)
            answer = Answer(tuple(result.columns), taken(result))
            result.close()
        return answer
    except SqlError as error:
        # Not as one of the statement that is recorded.
        raise RuntimeError(f"what the recorder asked was refused: {text}") from error
    finally:
        other.close()


def taken(result: Result) -> pa.Table:
    """All rows of a result, which can be read once more afterwards."""
    schema = pa.schema([pa.field(item.name, item.type.arrow()) for item in result.columns])
    batches = list(result.batches)
    result.batches = iter(batches)
    return pa.Table.from_batches(batches, schema)


def is_of_this_run(value: object) -> bool:
    """Whether a date or a time is one at which this process ran: the statement took the clock."""
    now = datetime.now(timezone.utc)
    if isinstance(value, datetime):
        moment = value if value.tzinfo is not None else value.replace(tzinfo=timezone.utc)
        return _STARTED <= moment <= now
    return isinstance(value, date) and _STARTED.date() <= value <= now.date()


def targets_of(text: str) -> list[str]:
    """The tables and views that a statement writes to, as it writes them."""
    expression = _expression(text)
    if expression is None:
        return [name for part in _block_parts(text) for name in targets_of(part)]
    if isinstance(expression, (exp.Insert, exp.Update, exp.Delete, exp.Merge)):
        table = expression.this.find(exp.Table)
        return [".".join(backtick(part.name) for part in table.parts)] if table else []
    return []


def _names_in(text: str) -> list[list[str]]:
    """The names in a text that may be those of tables, each once, in order."""
    expression = _expression(text)
    if expression is not None:
        found = [[part.name for part in table.parts] for table in expression.find_all(exp.Table)]
    else:
        found = [name for part in _block_parts(text) for name in _names_in(part)]
        found = found or list(_named_by_words(text))
    return sorted({tuple(parts): parts for parts in found if all(parts)}.values())


def _named_by_words(text: str) -> Iterator[list[str]]:
    """What follows a word after which a table is named, in statements that are no queries."""
    try:
        tokens = list(lexemes(text))
    except SqlError:
        return
    for index, token in enumerate(tokens):
        if token.kind not in ("word", "quoted") or index == 0:
            continue
        if tokens[index - 1].text.upper() not in _BEFORE_A_TABLE:
            continue
        parts, at = [name_of(token)], index + 1
        while at + 1 < len(tokens) and tokens[at].text == ".":
            parts.append(name_of(tokens[at + 1]))
            at += 2
        yield parts
        yield parts[:-1] or parts


def _expression(text: str) -> exp.Expression | None:
    try:
        return parse_statement(text)
    except SqlError:
        return None


def _block_parts(text: str) -> list[str]:
    if re.match(r"\s*BEGIN\s+ATOMIC\b", text, re.IGNORECASE):
        return split_atomic(text)
    if re.match(r"\s*BEGIN\s+(INSERT|UPDATE|DELETE|MERGE)\b", text, re.IGNORECASE):
        return split_compound(text)
    return []


def _is_query_or_dml(text: str) -> bool:
    expression = _expression(text)
    dml = (exp.Insert, exp.Update, exp.Delete, exp.Merge)
    return bool(_block_parts(text)) or isinstance(expression, (exp.Query, *dml))


def _check(name: str, check: CheckConstraint) -> str:
    return f"ALTER TABLE {name} ADD CONSTRAINT {backtick(check.name)} CHECK ({check.condition})"


def _value(value: Any, column: Any) -> str:
    if is_of_this_run(value):
        moment = _SOME_TIME if getattr(value, "tzinfo", None) else _SOME_TIME.replace(tzinfo=None)
        value = moment if isinstance(value, datetime) else moment.date()
    # A NULL of the column itself needs no type.
    return "NULL" if value is None else literal(value, column.type)


def _copy(transaction: Transaction, session: EngineSession) -> Transaction:
    """A transaction that sees the same, and whose end changes nothing of the other."""
    made = copy.copy(transaction)
    made.cursor = session.cursor
    made._shield = session.shielded
    made._states = dict(transaction._states)
    made._read = set(transaction._read)
    made._writes = dict(transaction._writes)
    made._staged = []
    return made
