"""The writes of a unit of work, held in order until they are sent, and joined into sets.

Joining changes no outcome: a row may move to an earlier statement only past writes that do not
touch what it touches.

* Rows of the same table, columns and kind become one statement.
* A later change of a row that is inserted, or changed, by the same unit is made to what is written.
* Writes of different tables pass each other, unless foreign keys are enforced between them; rows
  of a table that refers to itself then pass each other only within one statement.
* Writes by another ``Table`` of the same name pass nothing: it may have its key in another order.
* Whatever is not of that form, such as ``UPDATE … WHERE price > 5``, ``INSERT … SELECT`` or raw
  text, stays where it is, and nothing on the same tables passes it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from operator import itemgetter
from typing import Any, NamedTuple

from vinci_code.database.dialect.sql.uniques import PRIMARY_KEY, uniques
from vinci_code.database.dialect.text.scanning import WRITE, StatementTraits
from vinci_code.database.dialect.writes.compared import still_holds
from vinci_code.database.dialect.writes.guards import foreign_keys, in_order, referring
from vinci_code.database.dialect.writes.payload import Payload
from vinci_code.database.dialect.writes.sets import Checks, OnConflict
from vinci_code.database.dialect.writes.shapes import Field, Row, Shape, WriteKind


@dataclass(eq=False)
class HeldRows:
    """Rows of one shape that are to be written.

    Attributes:
        shape: What is done to each.
        rows: The parameters of each.
        checks: What their statement makes sure of.
        upsert: What an INSERT does with a row that is there already.
        counted: Whether somebody may ask how many rows there were.
        rowcount: How many rows there were, once that is known.
        sources: The writes that were joined into it.
        apart: Whether it is a part of its source, of which the others are counted too.
        reads: The bare names of the other tables that it reads; ``None`` if unknown.
        made: Keys of its rows of which another process has noted that they prove it: see
            ``recovery``.
        counts: What the warehouse has said of the rows of an upsert, by its names, where all of
            them and nothing else went into one statement.
    """

    shape: Shape
    rows: list[Row]
    checks: Checks
    upsert: OnConflict | None = None
    counted: bool = False
    rowcount: int | None = None
    sources: list[HeldRows] = field(default_factory=list)
    apart: bool = False
    reads: frozenset[str] | None = frozenset()
    made: frozenset[int] = frozenset()
    counts: Mapping[str, int] = field(default_factory=dict)

    def note_counts(self, counts: Mapping[str, int]) -> None:
        """Keep what the warehouse has said of the rows of its statement."""
        self.counts = counts
        if len(self.sources) == 1 and len(self.sources[0].rows) == len(self.rows):
            self.sources[0].counts = counts

    def note_rowcount(self, rowcount: int) -> None:
        """Keep how many rows a statement of its own has matched."""
        self.rowcount = rowcount
        if self.apart:
            (source,) = self.sources
            source.rowcount = (source.rowcount or 0) + rowcount
            return
        # Only where all of a write, and nothing else, went into the statement.
        if len(self.sources) == 1 and len(self.sources[0].rows) == len(self.rows):
            self.sources[0].rowcount = rowcount

    def settled(self) -> Sequence[Row]:
        """The rows, of an upsert with one for each key.

        The first decides what is inserted, and the last what is changed, as where SQLite takes
        them one by one. MERGE refuses two rows for one.
        """
        if self.upsert is None:
            return self.rows
        places = {item.column.name: item.binds for item in self.shape.values}
        keys = list(chain.from_iterable(places[name] for name in self.upsert.keys))
        # What is computed without a parameter is the same for each row.
        changed = list(chain.from_iterable(places.get(name, ()) for name in self.upsert.update))
        settled: list[Any] = []
        seen: dict[Any, int] = {}
        for row in self.rows:
            key = tuple([row[position] for position in keys])
            at = len(settled) if None in key else seen.setdefault(key, len(settled))
            if at == len(settled):
                settled.append(row)
                continue
            values = list(settled[at])
            for position in changed:
                values[position] = row[position]
            settled[at] = tuple(values)
        return settled

    @property
    def tables(self) -> frozenset[str] | None:
        """The bare names of the table that they are written to, and of those that are read."""
        return None if self.reads is None else self.reads | self.changes

    @property
    def changes(self) -> frozenset[str]:
        """The bare name of the table that they are written to."""
        return frozenset({bare_name(self.shape.table)})

    @property
    def reads_others(self) -> bool:
        """Whether what is written depends on other tables, so that nothing on these may pass."""
        return self.reads is None or bool(self.reads)

    @property
    def signature(self) -> tuple[Any, ...]:
        """Equal for rows that may be sent together."""
        return self.shape.signature, self.checks, self.upsert

    def goes_on_with(self, other: HeldRows) -> bool:
        """Whether other rows, which come next, may as well have been given with these."""
        return (
            other.shape is self.shape
            and not (other.counted or self.counted)
            and not (other.reads_others or self.reads_others)
            and other.signature == self.signature
        )

    def __len__(self) -> int:
        return len(self.rows)


class After(NamedTuple):
    """What a write leaves of its table.

    Attributes:
        compiled: The write. What is asked of it is compiled then: most units read nothing that they
            have written.
        values: The parameters, by their keys.
        checks: What it makes sure of by itself.
    """

    compiled: Any
    values: Mapping[str, Any]
    checks: Checks

    @property
    def table(self) -> Any:
        """The table."""
        return self.compiled.written_table

    @property
    def query(self) -> Any:
        """What gives its rows as they are afterwards, compiled; ``None`` if that is not known."""
        return self.compiled.after

    @property
    def found(self) -> Any:
        """What counts the rows that the write finds, compiled; ``None`` if that is not known."""
        return self.compiled.found


@dataclass(eq=False)
class HeldText:
    """A statement that is run as it is.

    Attributes:
        text: The statement.
        parameters: Its parameters.
        tables: The bare names of the tables that it reads and writes; ``None`` if unknown.
        written: The name of the table that it writes to; ``None`` if unknown.
        changes: The bare name of that table; ``None`` if unknown.
        certain: How many rows it writes, or the commit fails; ``None`` if that is not known before.
        described: What the statement is.
        sets: The columns that it may set, each by the bare names of its table and its own; ``None``
            if unknown.
        rowcount: How many rows it has matched, once that is known.
        after: What it leaves of its table; ``None`` where nobody may ask, or nothing is known.
    """

    text: str
    parameters: Sequence[Any]
    tables: frozenset[str] | None
    written: str | None = None
    changes: frozenset[str] | None = None
    certain: int | None = None
    described: StatementTraits = WRITE
    sets: frozenset[tuple[str, str]] | None = None
    rowcount: int | None = None
    after: After | None = None

    def note_rowcount(self, rowcount: int) -> None:
        """Keep how many rows it has matched."""
        self.rowcount = rowcount

    def __len__(self) -> int:
        return 1


@dataclass(eq=False)
class HeldFiles(HeldText):
    """A statement whose rows lie in files of a volume.

    Its text is made already. Where the rows are read before the commit, or are a part of one
    statement with others, they are laid over the table as those of ``HeldRows`` are.

    Attributes:
        shape: What is done to each row.
        payload: The rows, as a query of the files.
        checks: What the statement makes sure of.
        upsert: What an INSERT does with a row that is there already.
        replaces: Whether the rows take the place of all that are in the table.
        counts: What the warehouse has said of the rows that it has written, by its names.
    """

    shape: Shape = field(kw_only=True)
    payload: Payload = field(kw_only=True)
    checks: Checks = field(kw_only=True)
    upsert: OnConflict | None = None
    replaces: bool = False
    counts: Mapping[str, int] = field(default_factory=dict)


Held = HeldRows | HeldText


def bare_name(table: Any) -> str:
    """The name of a table without its schema, by which two may be the same."""
    return str(table.name).lower()


class HeldMark(NamedTuple):
    """A place in what is held: how many entries there are, and rows in the last."""

    entries: int
    rows: int
    sent: int


class HeldWrites:
    """What a unit of work has written and not sent yet, in order.

    Attributes:
        sent: How many times it has been taken to be sent, in this unit.
        version: Another number whenever something else is held.
    """

    def __init__(self) -> None:
        self._entries: list[Held] = []
        self._changes: set[str] | None = set()
        self.sent = 0
        self.version = 0

    def __bool__(self) -> bool:
        return bool(self._entries)

    def __iter__(self) -> Iterator[Held]:
        return iter(self._entries)

    def __len__(self) -> int:
        return sum(map(len, self._entries))

    def add(self, held: Held) -> None:
        """Hold a write."""
        self.version += 1
        last = self._entries[-1] if self._entries else None
        if isinstance(held, HeldRows) and isinstance(last, HeldRows) and last.goes_on_with(held):
            last.rows.extend(held.rows)
            return
        self._entries.append(held)
        self._note(held)

    def holds(self, write: Held) -> bool:
        """Whether a write is still held."""
        return any(entry is write for entry in self._entries)

    def touches(self, tables: Iterable[str] | None) -> bool:
        """Whether a statement that reads tables of these bare names would miss something.

        It misses nothing on a table that the writes only read. ``None`` stands for tables that are
        not known.
        """
        if not self._entries:
            return False
        if tables is None or self._changes is None:
            return True
        return not self._changes.isdisjoint(tables)

    def to(self, table: str) -> list[Held]:
        """The writes that read, or write, a table of this bare name."""
        return [entry for entry in self._entries if entry.tables is None or table in entry.tables]

    def mark(self) -> HeldMark:
        """The place that a savepoint stands for."""
        last = self._entries[-1] if self._entries else ()
        return HeldMark(len(self._entries), len(last), self.sent)

    def back_to(self, mark: HeldMark) -> None:
        """Drop what was held since a savepoint."""
        self.version += 1
        del self._entries[mark.entries :]
        if self._entries and isinstance(self._entries[-1], HeldRows):
            del self._entries[-1].rows[mark.rows :]
        self._changes = set()
        for entry in self._entries:
            self._note(entry)

    def parted(self, mark: HeldMark) -> tuple[list[Held], list[Held]]:
        """What was held before a savepoint, and what was held since."""
        before, since = self._entries[: mark.entries], self._entries[mark.entries :]
        last = before[-1] if before else None
        if isinstance(last, HeldRows) and len(last) > mark.rows:
            before[-1] = replace(last, rows=last.rows[: mark.rows])
            since.insert(0, replace(last, rows=last.rows[mark.rows :]))
        return before, since

    def take(self) -> list[Held]:
        """Everything that is held, which is held no more."""
        self.version += 1
        taken, self._entries = self._entries, []
        self._changes = set()
        self.sent += bool(taken)
        return taken

    def put_back(self, taken: Sequence[Held]) -> None:
        """Hold again what was taken and of which nothing was sent."""
        self.version += 1
        later, self._entries = self._entries, list(taken)
        self._entries += later
        self.sent -= 1
        self._changes = set()
        for entry in self._entries:
            self._note(entry)

    def clear(self) -> None:
        """Drop everything, at the end of a unit."""
        self.version += 1
        self._entries = []
        self._changes = set()
        self.sent = 0

    def _note(self, held: Held) -> None:
        if held.changes is None:
            self._changes = None
        elif self._changes is not None:
            self._changes |= held.changes


def joined(held: Iterable[Held], alone: Collection[Held] = ()) -> list[Held]:
    """Join writes into as few statements as their order allows.

    Those in ``alone`` stay statements of their own, since their rows are to be counted.
    """
    writes = list(held)
    if len(writes) == 1 and not alone and isinstance(writes[0], HeldRows) and _is_whole(writes[0]):
        # Most units are this: what follows would come to the same.
        return [replace(writes[0], sources=[writes[0]])] if len(writes[0]) else []
    joiner = _Joiner(_written_once(writes), _related(writes))
    for write in writes:
        if write in alone and isinstance(write, HeldRows):
            joiner.add_alone(write)
        else:
            joiner.add(write)
    return joiner.written()


def _written_once(held: Sequence[Held]) -> frozenset[str]:
    """The tables that one write is on, and no other: nothing can be joined with it."""
    counts: Counter[str] = Counter()
    for write in held:
        if write.tables is None:
            return frozenset()
        counts.update(write.tables)
    return frozenset(name for name, count in counts.items() if count == 1)


def _related(held: Sequence[Held]) -> dict[str, set[str]]:
    """The tables that refer to each other, by their bare names, where foreign keys are enforced."""
    tables = {
        write.shape.table
        for write in held
        if isinstance(write, HeldRows) and write.checks.foreign_keys
    }
    related: dict[str, set[str]] = {}
    for key in chain.from_iterable((*foreign_keys(t), *referring(t)) for t in tables):
        child, parent = bare_name(key.table), bare_name(key.referred_table)
        related.setdefault(child, set()).add(parent)
        related.setdefault(parent, set()).add(child)
    return related


@dataclass
class _Batch:
    """Rows that become one statement.

    Attributes:
        rows: The rows.
        at: The position of each row by its key; ``None`` where several have one key.
    """

    rows: HeldRows
    at: dict[Any, int | None] = field(default_factory=dict)


@dataclass
class _Table:
    """What has been planned for one table since nothing may pass any more.

    Attributes:
        floor: The position in the plan before which nothing may be joined.
        open: The position of the latest batch of each sort.
        last_of: The position of the latest batch that has a key.
        last: The position of the latest batch.
        of: The table that the keys are of.
    """

    floor: int = 0
    open: dict[tuple[Any, ...], int] = field(default_factory=dict)
    last_of: dict[Any, int] = field(default_factory=dict)
    last: int = -1
    of: Any = None


class _Joiner:
    """Plans statements: each write goes into an earlier batch, or begins a new one.

    Args:
        once: The bare names of the tables that one write is on.
        related: The bare names of the tables that refer to others, or are referred to, with these.
    """

    def __init__(self, once: frozenset[str], related: Mapping[str, set[str]]) -> None:
        self._once = once
        self._related = related
        self._plan: list[_Batch | HeldText] = []
        self._tables: dict[str, _Table] = {}
        self._closed = 0

    def add(self, write: Held) -> None:
        """Plan a write."""
        if isinstance(write, HeldText):
            self._close_related(write.tables)
            self._plan.append(write)
            self._close(write.tables)
        elif write.reads_others:
            self.add_alone(write)
        else:
            self._add_rows(write)

    def add_alone(self, write: HeldRows) -> None:
        """Plan rows that nothing is joined with."""
        self._close_related(write.tables)
        if _refers_to_itself(write):
            self._add_in_order(write)
            return
        self._close(write.tables)
        apart = replace(write, rows=[], sources=[write], apart=True)
        if _is_a_batch(write) or write.shape.key is None or computes_key(write.shape):
            self._add_as_they_are(apart, write)
        else:
            # A row that is changed twice is counted twice, as where each is executed by itself.
            planner = _RowPlanner(self._plan, self._table_of(write), write, apart)
            for row in write.rows:
                planner.add(row)
        self._close(write.tables)

    def _add_as_they_are(self, empty: HeldRows, write: HeldRows) -> None:
        if computes_key(write.shape):
            self._plan += [_Batch(replace(empty, rows=[row])) for row in write.rows]
        else:
            self._plan.append(_Batch(replace(empty, rows=list(write.rows))))

    def written(self) -> list[Held]:
        """The statements, in order."""
        listed = [item.rows if isinstance(item, _Batch) else item for item in self._plan]
        return [item for item in listed if len(item)]

    def _close(self, tables: Iterable[str] | None) -> None:
        """Let nothing on these tables, or on any, be joined past the end of the plan."""
        if tables is None:
            self._closed = len(self._plan)
            self._tables.clear()
            return
        for name in tables:
            self._tables[name] = _Table(floor=len(self._plan))

    def _add_rows(self, write: HeldRows) -> None:
        shape = write.shape
        name = bare_name(shape.table)
        self._close_related((name,))
        if _refers_to_itself(write):
            self._add_in_order(write)
            return
        if name in self._once and _is_a_batch(write):
            # A commit of very many rows is this, for the most part: they are not looked at one by
            # one, nor copied.
            self._plan.append(_Batch(replace(write, sources=[write])))
            self._close(write.tables)
            return
        table = self._table_of(write)
        if shape.key is None or write.upsert is not None:
            self._add_unkeyed(write, table)
            return
        if computes_key(shape):
            for row in write.rows:
                self._plan.append(_Batch(replace(write, rows=[row], sources=[write])))
            self._close(write.tables)
            return
        in_order = name in self._related.get(name, ())
        planner = _RowPlanner(self._plan, table, write, in_order=in_order)
        for row in write.rows:
            planner.add(row)
        if planner.changed_inserted == len(write.rows):
            # What this unit inserts is there to be changed.
            write.note_rowcount(len(write.rows))

    def _table_of(self, write: HeldRows) -> _Table:
        """What is planned for the table of a write, nothing if by another ``Table`` of its name."""
        of = write.shape.table
        table = self._tables.get(bare_name(of))
        if table is None:
            table = _Table(floor=self._closed, of=of)
        elif table.of is not of:
            # Its key may have other columns, or these in another order.
            table = _Table(floor=len(self._plan), of=of)
        self._tables[bare_name(of)] = table
        return table

    def _add_in_order(self, write: HeldRows) -> None:
        """Rows that may refer to each other: of one statement to any, of an upsert to those before.

        Joined with rows of another write they could refer to these.
        """
        self._close(write.tables)
        parts = [write.rows] if write.upsert is None else in_order(write.shape, write.rows)
        for rows in parts:
            self._plan.append(_Batch(replace(write, rows=list(rows), sources=[write])))
        self._close(write.tables)

    def _add_unkeyed(self, write: HeldRows, table: _Table) -> None:
        """Rows whose keys are not all known join only what stands last."""
        if table.last >= table.floor and self._joins(table.last, write):
            batch = self._plan[table.last]
            assert isinstance(batch, _Batch)  # noqa: S101 - _joins has looked
            batch.rows.rows.extend(write.rows)
            batch.rows.sources.append(write)
            return
        self._plan.append(_Batch(replace(write, rows=list(write.rows), sources=[write])))
        position = len(self._plan) - 1
        # Their keys are not known, so nothing passes them.
        of = write.shape.table
        self._tables[bare_name(of)] = _Table(floor=position, last=position, of=of)

    def _joins(self, position: int, write: HeldRows) -> bool:
        batch = self._plan[position]
        return isinstance(batch, _Batch) and batch.rows.signature == write.signature

    def _close_related(self, names: Iterable[str] | None) -> None:
        """Where foreign keys are enforced, rows of tables that refer to each other keep order."""
        if not self._related or names is None:
            return
        written = set(names)
        for other in set().union(*(self._related.get(name, ()) for name in written)) - written:
            planned = self._tables.get(other)
            if planned is not None and planned.last >= planned.floor:
                self._tables[other] = _Table(floor=len(self._plan))


def _is_whole(write: HeldRows) -> bool:
    """Whether a write that comes with no other is one statement as it is."""
    return not write.reads_others and not _refers_to_itself(write) and _is_a_batch(write)


def _is_a_batch(write: HeldRows) -> bool:
    """Whether the rows of one write can be one statement without a look at each of them."""
    shape = write.shape
    if shape.kind is WriteKind.INSERT or write.upsert is not None:
        return True
    if shape.key is None or _touches_unique(shape) or new_key(shape) or computes_key(shape):
        return False
    keys = set(map(itemgetter(*shape.key), write.rows))
    return len(keys) == len(write.rows)


def _refers_to_itself(write: HeldRows) -> bool:
    """Whether it matters in which order rows of a write, which refer to each other, are written."""
    shape = write.shape
    if not write.checks.foreign_keys or (write.upsert is None and len(shape.places) == 1):
        return False
    return any(key.referred_table is shape.table for key in foreign_keys(shape.table))


class _RowPlanner:
    """Plans rows of one write.

    Each batch begins as ``empty``; none of its rows is changed by a later one. ``in_order`` says
    whether rows of the table may refer to others of it, so that they pass nothing.

    Attributes:
        changed_inserted: How many of them have changed a row that the same unit inserts.
    """

    changed_inserted = 0

    def __init__(
        self,
        plan: list[_Batch | HeldText],
        table: _Table,
        write: HeldRows,
        empty: HeldRows | None = None,
        *,
        in_order: bool = False,
    ) -> None:
        self._empty = empty
        self._plan = plan
        self._table = table
        self._write = write
        self._signature = write.signature
        self._kind = write.shape.kind
        key = write.shape.key or ()
        self._positions = key
        self._new_positions = new_key(write.shape)
        self._in_order = in_order or _touches_unique(write.shape)
        # The row that is referred to may be inserted later than the one that refers to it.
        self._moves_reference = in_order and _writes_reference(write.shape)

    def add(self, row: Row) -> None:
        """Plan a row: fold it into an earlier one, join a batch, or begin a new batch."""
        key = _key_of(row, self._positions)
        table = self._table
        before = table.last_of.get(key, -1)
        may_fold = before >= 0 and self._kind is WriteKind.UPDATE and self._empty is None
        if may_fold and self._fold(before, key, row):
            return
        at = table.open.get(self._signature, -1)
        if at < 0 or not self._may_join(at, before):
            at = self._begin()
        self._append(at, key, row)

    def _may_join(self, at: int, before: int) -> bool:
        if self._in_order and at != self._table.last:
            return False
        if self._kind is WriteKind.INSERT:
            # A second INSERT of the same key is refused there.
            return before in (-1, at)
        return before < at

    def _begin(self) -> int:
        empty = self._empty
        if empty is None:
            begun = replace(self._write, rows=[], sources=[])
        else:
            begun = replace(empty, rows=[], sources=list(empty.sources))
        self._plan.append(_Batch(begun))
        at = len(self._plan) - 1
        self._table.open[self._signature] = self._table.last = at
        return at

    def _append(self, at: int, key: Any, row: Row) -> None:
        batch = self._batch(at)
        self._note_source(batch)
        batch.at[key] = None if key in batch.at else len(batch.rows.rows)
        batch.rows.rows.append(row)
        self._table.last_of[key] = at
        if self._new_positions:
            self._table.last_of[_key_of(row, self._new_positions)] = at

    def _batch(self, at: int) -> _Batch:
        batch = self._plan[at]
        assert isinstance(batch, _Batch)  # noqa: S101 - only batches are remembered by key
        return batch

    def _fold(self, before: int, key: Any, row: Row) -> bool:
        """Make a change to the row as it is written earlier; whether that was possible."""
        if self._in_order and before != self._table.last:
            return False
        batch = self._batch(before)
        if self._moves_reference and batch.rows.shape.kind is WriteKind.INSERT:
            return False
        at = batch.at.get(key)
        if at is None:
            return False
        folded = _folded(batch.rows, batch.rows.rows[at], self._write, row)
        if folded is None:
            return False
        batch.rows.rows[at] = folded
        self.changed_inserted += batch.rows.shape.kind is WriteKind.INSERT
        self._note_source(batch)
        return True

    def _note_source(self, batch: _Batch) -> None:
        sources = batch.rows.sources
        if not sources or sources[-1] is not self._write:
            sources.append(self._write)


def _folded(earlier: HeldRows, written: Row, change: HeldRows, row: Row) -> Row | None:
    """The earlier row with a change to it; ``None`` where that would not be the same."""
    if not _is_certain(earlier) or earlier.shape.target != change.shape.target:
        return None
    if earlier.shape.table is not change.shape.table:
        return None  # which may declare other constraints
    if earlier.checks != _like(change, earlier):
        return None
    places = {item.name: item.first for item in earlier.shape.values if item.is_plain}
    changes = change.shape.values
    if any(item.name not in places or not item.is_plain for item in changes):
        return None
    key = {column.name for column in change.shape.table.primary_key}
    if any(item.column.name in key for item in changes):
        return None
    if not all(
        _is_met(match, earlier, written, places, row)
        for match in change.shape.matches
        if match.column.name not in key
    ):
        return None
    # What the unit has written itself is what the object held when it was changed again.
    if not all(still_holds(item, written[places[item.name]], row) for item in change.shape.loaded):
        return None
    values = list(written)
    for item in changes:
        values[places[item.name]] = row[item.first]
    return tuple(values)


def _is_met(
    match: Field, earlier: HeldRows, written: Row, places: Mapping[str, int], row: Row
) -> bool:
    """Whether a condition beside the key, such as a version counter, holds for an earlier row.

    It is known to only if this unit has written it, and the earlier write is certain to be there.
    """
    certain = earlier.shape.kind is WriteKind.INSERT or earlier.checks.matched
    if not certain or match.name not in places:
        return False
    before = written[places[match.name]]
    # NULL is equal to nothing, itself included.
    return before is not None and bool(before == row[match.first])


def _is_certain(earlier: HeldRows) -> bool:
    """Whether a row that is found by its key is the one that the earlier write has written."""
    shape = earlier.shape
    if shape.kind is not WriteKind.UPDATE:
        return shape.kind is WriteKind.INSERT
    if new_key(shape):
        return False
    return earlier.checks.matched or all(item.column.primary_key for item in shape.matches)


def new_key(shape: Shape) -> tuple[int, ...]:
    """Where the primary key stands that an UPDATE gives to a row; empty where it leaves it."""
    key = list(shape.table.primary_key)
    written = {item.column.name: item.first for item in shape.values if item.is_plain}
    if shape.kind is not WriteKind.UPDATE or not any(column.name in written for column in key):
        return ()
    places = {item.column.name: item.first for item in shape.matches} | written
    return tuple(places[column.name] for column in key)


def computes_key(shape: Shape) -> bool:
    """Whether an UPDATE gives a primary key to a row that only the warehouse knows."""
    key = set(shape.table.primary_key)
    written = [item for item in shape.values if item.column in key]
    return shape.kind is WriteKind.UPDATE and not all(item.is_plain for item in written)


def _key_of(row: Row, positions: Sequence[int]) -> Any:
    return row[positions[0]] if len(positions) == 1 else tuple([row[p] for p in positions])


def _like(change: HeldRows, earlier: HeldRows) -> Checks:
    """The checks of an earlier write that a change of its row may be folded into."""
    if earlier.shape.kind is WriteKind.INSERT:
        # That the row is there needs no check any more.
        return replace(change.checks, matched=earlier.checks.matched)
    return change.checks


def _touches_unique(shape: Shape) -> bool:
    """Whether the order of a write matters for what is unique beside the primary key."""
    others = [
        unique
        for unique in uniques(shape.table)
        if unique.name != PRIMARY_KEY or not unique.is_plain
    ]
    if shape.kind is not WriteKind.UPDATE:
        return bool(others)
    concerned = chain(shape.table.primary_key, *(unique.concerned for unique in others))
    return _changes(shape, concerned)


def _writes_reference(shape: Shape) -> bool:
    """Whether an UPDATE changes what rows of its table refer to each other by."""
    elements = chain.from_iterable(
        key.elements
        for key in foreign_keys(shape.table)
        if bare_name(key.referred_table) == bare_name(shape.table)
    )
    pairs = ((element.parent, element.column) for element in elements)
    return _changes(shape, chain.from_iterable(pairs))


def _changes(shape: Shape, columns: Iterable[Any]) -> bool:
    """Whether an UPDATE may change one of these columns; one that is computed may use any."""
    written = {item.column for item in shape.values}
    return any(column in written or column.computed is not None for column in columns)


def tables_of(held: Iterable[Held]) -> Iterator[str]:
    """The names of the tables that are written to, each once, in order."""
    seen: set[str] = set()
    for write in held:
        name = write.shape.target if isinstance(write, HeldRows) else (write.written or "raw SQL")
        if name not in seen:
            seen.add(name)
            yield name
