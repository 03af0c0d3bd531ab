"""What a unit of work holds, laid over the tables that a query reads."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain, product, takewhile
from typing import Any

from sqlalchemy.schema import Table

from vinci_code.database.dialect.sql.held_reads import PREFIX
from vinci_code.database.dialect.sql.uniques import uniques
from vinci_code.database.dialect.units.held import (
    Held,
    HeldFiles,
    HeldMark,
    HeldRows,
    HeldText,
    HeldWrites,
    bare_name,
    joined,
)
from vinci_code.database.dialect.units.recovery import has_new_keys, place_of
from vinci_code.database.dialect.units.steps import refuse_duplicates
from vinci_code.database.dialect.writes.dml import Returned
from vinci_code.database.dialect.writes.guards import foreign_keys, referring
from vinci_code.database.dialect.writes.layers import CannotLayError, Layers
from vinci_code.database.dialect.writes.payload import MAX_JSON_BYTES
from vinci_code.database.dialect.writes.sets import Checks
from vinci_code.database.dialect.writes.shapes import WriteKind
from vinci_code.database.dialect.writes.whole import merged

# Up to two for each write; a plan of very many takes the warehouse seconds.
_MAX_LAYERS = 32

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class LaidOver:
    """Tables as they come out with what is held.

    Attributes:
        names: The name of the expression that gives the rows of a table, by the table.
        text: The expressions.
        parameters: Their parameters.
    """

    names: Mapping[Any, str]
    text: str
    parameters: tuple[Any, ...]


class Laying:
    """Lays what is held over tables, and keeps it while nothing else is held."""

    def __init__(self, held: HeldWrites, dialect: Any) -> None:
        self._held = held
        self._dialect = dialect
        self._version = -1
        self._known: dict[tuple[frozenset[Table], bool], LaidOver | None] = {}

    def over(self, query: Any) -> LaidOver | None:
        """The tables of a query as they come out.

        Args:
            query: The query, compiled.

        Returns:
            The tables; ``None`` where that cannot be done for certain.

        Raises:
            IntegrityError: A key is held twice.
        """
        if self._version != self._held.version:
            self._version = self._held.version
            self._known = {}
        key = query.tables_read, query.selects_within
        if key not in self._known:
            self._known[key] = self._laid_over(*key)
        return self._known[key]

    def count(self, write: Held) -> LaidOver | None:
        """A query that counts the rows which a write that is held finds.

        Returns:
            The query; ``None`` where that is not known for certain.
        """
        before = list(takewhile(lambda entry: entry is not write, self._held))
        tables = _tables_of(write)
        if tables is None or not _may_be_counted(write):
            return None
        apart = isinstance(write, HeldText) and _selects_within(write)
        layers = self._layers(before, {bare_name(t): t for t in tables}, apart=apart)
        if layers is None:
            return None
        try:
            if isinstance(write, HeldRows):
                text = layers.count(write.shape, write.rows)
            else:
                assert write.after is not None  # noqa: S101 - _may_be_counted has looked
                text = layers.count_by(write.after.found, write.after.values)
        except CannotLayError as error:
            _log.debug("the rows of a write are not counted: %s", error)
            return None
        return LaidOver({}, text, tuple(layers.parameters))

    def returned(
        self, writes: Sequence[Held], returned: Returned, values: Mapping[str, Any]
    ) -> LaidOver | None:
        """A query for what RETURNING gives of writes that are about to be held.

        Args:
            writes: The writes, all of one statement.
            returned: What it gives.
            values: The parameters of the statement, by their keys.

        Returns:
            The query; ``None`` where that is not known for certain.

        Raises:
            IntegrityError: A key is held twice.
        """
        used = [_tables_of(write) for write in writes]
        if returned.touched is None and not all(isinstance(write, HeldRows) for write in writes):
            return None
        tables: dict[str, Table] = {}
        for table in chain.from_iterable(one or () for one in used):
            if tables.setdefault(bare_name(table), table) is not table:
                return None
        apart = returned.query.selects_within or any(map(_selects_within, writes))
        layers = None if None in used else self._layers(list(self._held), tables, apart=apart)
        if layers is None:
            return None
        table, columns = returned.returning.table, returned.returning.columns
        refuse_duplicates(writes)
        given = []
        try:
            for write in writes:
                if isinstance(write, HeldRows):
                    layers.touch(write.shape, write.rows, columns, _checks_of(write))
                elif write.after is not None:
                    given.append(write.after.values)
            if given:
                layers.touch_queries(table, product(given, returned.touched or ()))
            text = layers.in_order(table, returned.query, values)
        except CannotLayError as error:
            _log.debug("what RETURNING gives is not known: %s", error)
            return None
        return LaidOver({}, text, tuple(layers.parameters))

    def check(self, mark: HeldMark, *, matched: bool) -> LaidOver | None:
        """A query that raises where what was written since a savepoint breaks a constraint.

        Args:
            mark: The savepoint.
            matched: Whether it is a reason to ask that a changed row has to be there still.

        Returns:
            The query; ``None`` where there is nothing to check, or nothing is known for certain,
            so that the commit alone checks.

        Raises:
            IntegrityError: It breaks one by itself.
        """
        before, since = self._held.parted(mark)
        if not all(isinstance(write, HeldRows) for write in since):
            return None
        written = joined(since)
        refuse_duplicates(written)
        tables: dict[str, Table] = {}
        for write in written:
            used = _tables_of(write)
            if used is None or not isinstance(write, HeldRows):
                return None
            if any(tables.setdefault(bare_name(t), t) is not t for t in used):
                return None
        layers = self._layers(before, tables, checked=False)
        if layers is None:
            return None
        try:
            for write in written:
                if isinstance(write, HeldRows):
                    layers.add(write.shape, write.settled(), write.upsert, _checks_of(write))
        except CannotLayError as error:
            _log.debug("what was written since a savepoint is not checked: %s", error)
            return None
        text = layers.check(matched=matched)
        return None if text is None else LaidOver({}, text, tuple(layers.parameters))

    def whole(self, held: Sequence[Held]) -> LaidOver | None:
        """One statement that does what writes do to one table.

        Args:
            held: The writes, joined.

        Returns:
            The statement; ``None`` where they are on several tables, or it is not known for certain
            what they leave.
        """
        written = {_written(write) for write in held}
        table = written.pop()
        if table is None or written:
            return None
        layers = self._layers(held, {bare_name(table): table}, limit=MAX_JSON_BYTES)
        own = [
            write
            for write in held
            if isinstance(write, HeldText) and not isinstance(write, HeldFiles)
        ]
        # Of a correlated sub-select in the source of a MERGE, Spark says "key not found".
        if layers is None or any(map(_breaks_references, own)) or any(map(_selects_within, own)):
            return None
        try:
            unique = any(map(_may_break_keys, own))
            text = merged(layers, table, self._dialect, unique=unique)
        except CannotLayError as error:
            _log.debug("several writes are not one statement: %s", error)
            return None
        return LaidOver({}, text, tuple(layers.parameters))

    def _laid_over(self, tables: frozenset[Table], apart: bool) -> LaidOver | None:
        by_name = {bare_name(table): table for table in tables}
        if len(by_name) < len(tables):
            return None
        layers = self._layers(self._held, dict(by_name), apart=apart)
        if layers is None:
            return None
        # The same names whatever is held: the query is compiled for each set of them.
        for number, (_, table) in enumerate(sorted(by_name.items())):
            if table in layers.names:
                layers.name(table, f"{PREFIX}{number}")
        names = {table: layers.names[table] for table in tables if table in layers.names}
        return LaidOver(names, ", ".join(layers.texts), tuple(layers.parameters))

    def _layers(
        self,
        held: Iterable[Held],
        by_name: dict[str, Table],
        *,
        apart: bool = False,
        checked: bool = True,
        limit: int | None = None,
    ) -> Layers | None:
        """Writes, laid over the tables with these bare names.

        Args:
            held: The writes.
            by_name: The tables.
            apart: Whether what reads them has a sub-select in an expression.
            checked: Whether reading them raises an error where they break a constraint.
            limit: How many bytes of rows are brought along; by default as the dialect says.
        """
        writes = _concerned(held, by_name)
        if writes is None or any(name.startswith(PREFIX) for name in by_name):
            return None
        limit = self._dialect.held_read_bytes if limit is None else limit
        apart = apart or any(map(_selects_within, writes))
        layers = Layers(self._dialect, limit, apart=apart)
        try:
            written = joined(writes)
            if checked:
                refuse_duplicates(written)
            for write in written:
                if isinstance(write, HeldRows):
                    checks = _checks_of(write) if checked else None
                    layers.add(write.shape, write.settled(), write.upsert, checks)
                elif isinstance(write, HeldFiles):
                    layers.add_files(
                        write.shape,
                        write.payload,
                        write.upsert,
                        write.checks if checked else None,
                        replaces=write.replaces,
                    )
                elif write.after is not None:
                    layers.add_query(write.after.table, write.after.query, write.after.values)
        except CannotLayError as error:
            _log.debug("what is held is not laid over %s: %s", ", ".join(by_name), error)
            return None
        return layers if len(layers.texts) <= _MAX_LAYERS else None


def _concerned(held: Iterable[Held], tables: dict[str, Table]) -> list[Held] | None:
    """The writes by which the rows of some tables come out, with those that these read.

    Args:
        held: The writes.
        tables: The tables by their bare names; those that the writes read are added.

    Returns:
        The writes; ``None`` where it is not known of one what it does.
    """
    while True:
        known = len(tables)
        found: list[Held] = []
        for write in held:
            if write.changes is not None and tables.keys().isdisjoint(write.changes):
                continue
            used = _tables_of(write)
            if used is None:
                return None
            if any(tables.setdefault(bare_name(t), t) is not t for t in used):
                return None  # another Table of the same name
            found.append(write)
        if len(tables) == known:
            return found


def _tables_of(write: Held) -> list[Table] | None:
    """What a write reads, checks and writes; ``None`` where it is not known what it does."""
    if write.tables is None:
        return None
    if isinstance(write, HeldText) and not isinstance(write, HeldFiles):
        after = write.after
        if after is None or after.query is None:
            return None
        return [after.table, *after.query.tables_read]
    if write.shape.schemas or (isinstance(write, HeldRows) and write.reads_others):
        return None
    table, used = write.shape.table, [write.shape.table]
    if write.checks.foreign_keys:
        # What is made sure of is so in what is held: a row may refer to one that is held, too.
        used += [key.referred_table for key in foreign_keys(table)]
        if write.shape.kind is not WriteKind.INSERT or write.upsert is not None:
            used += [key.table for key in referring(table)]
    return used


def _written(write: Held) -> Table | None:
    """The table that a write is on; ``None`` if unknown."""
    if isinstance(write, (HeldRows, HeldFiles)):
        return write.shape.table
    return None if write.after is None else write.after.table


def _selects_within(write: Held) -> bool:
    """Whether there is a sub-select in an expression of what a write leaves."""
    after = write.after if isinstance(write, HeldText) else None
    return after is not None and after.query is not None and after.query.selects_within


def _may_break_keys(write: HeldText) -> bool:
    """Whether a write that is no set of rows may write what is unique."""
    assert write.after is not None  # noqa: S101 - it was laid over its table
    if not write.after.checks.keys:
        return False
    concerned = {
        place_of(unique.table, column)
        for unique in uniques(write.after.table)
        for column in unique.concerned
    }
    return write.sets is None or not concerned.isdisjoint(write.sets)


def _breaks_references(write: HeldText) -> bool:
    """Whether a write that is no set of rows would have to make sure of references."""
    assert write.after is not None  # noqa: S101 - it was laid over its table
    table = write.after.table
    return write.after.checks.foreign_keys and bool(foreign_keys(table) or referring(table))


def _checks_of(write: HeldRows) -> Checks:
    """What is to be made sure of, where a write is read before the commit makes sure of it."""
    if write.checks.keys and has_new_keys(write):
        return replace(write.checks, keys=False)
    return write.checks


def _may_be_counted(write: Held) -> bool:
    if isinstance(write, HeldRows):
        return write.upsert is None
    return write.after is not None and write.after.found is not None
