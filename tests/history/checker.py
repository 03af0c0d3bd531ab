"""Whether a history can be explained by units of work that happen as a whole, or not at all.

The model of the tables is taken through the history: each acknowledged unit changes it, a failed
one does not, and an ambiguous one may have. So there is a set of states that the tables may be in;
it is empty where an acknowledgement cannot be true, and what a clean connection finds afterwards
has to be one of them. What happens within a commit comes before or after it.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from sqlalchemy.orm.exc import StaleDataError

from tests.history import model
from tests.history.events import (
    ACKNOWLEDGED,
    AMBIGUOUS,
    FAILED,
    INTERRUPTED,
    PARTIAL,
    Began,
    Counted,
    Ended,
    Event,
    History,
    Read,
    Refused,
)
from tests.history.model import Row, State, Write
from tests.history.schedules import HARMLESS, PER_TABLE, UNIT
from vinci_code.database.dialect.driver import dbapi


def check(history: History) -> list[str]:
    """What is wrong with a history, in words; nothing where all is well.

    The first thing that is wrong hides what follows from it.
    """
    return _Checker(history).violations()


_DECIDED = "though the query history tells what became of it"


class _WrongError(Exception):
    """Something that must not be."""


@dataclass
class _Timeline:
    """The states that the tables may have been in, one set after the other."""

    sets: list[list[State]] = field(default_factory=lambda: [[model.START]])

    @property
    def now(self) -> list[State]:
        return self.sets[-1]

    def since(self, begin: int) -> list[State]:
        """Every state since a point in time."""
        return _distinct(itertools.chain.from_iterable(self.sets[begin:]))


class _Checker:
    def __init__(self, history: History) -> None:
        self._history = history
        self._timeline = _Timeline()
        self._began: dict[int, int] = {}
        self._ended: dict[int, str] = {}

    def violations(self) -> list[str]:
        try:
            for event in self._history.events:
                self._take(event)
            self._check_broken()
            self._compare()
        except _WrongError as wrong:
            return [str(wrong)]
        return []

    def _take(self, event: Event) -> None:
        if isinstance(event, Began):
            self._begin(event.unit)
        elif isinstance(event, Refused):
            self._check_refused(event)
        elif isinstance(event, Read):
            self._check_read(event)
        elif isinstance(event, Counted):
            self._check_count(event)
        else:
            self._end(event)

    def _begin(self, unit: int) -> None:
        before = self._ended.get(unit, FAILED)
        if before != FAILED:
            raise _WrongError(f"u{unit} is run again, though it was {before}")
        self._began[unit] = len(self._timeline.sets) - 1

    # --- what a unit was shown --------------------------------------------------------------------

    def _views(self, unit: int, table: str, pending: Sequence[Write]) -> list[State]:
        """What a unit may see of a table: what it has written, on what there was since it began.

        What it has written to other tables may not have been sent yet.
        """
        views: list[State] = []
        tables = {table}
        if any(write.action == model.COPY and write.table == table for write in pending):
            tables.add(model.SETTING)
        sent = [write for write in pending if write.table in tables]
        past = self._timeline.since(self._began[unit])
        floating = self._floating(unit)
        for state in past:
            views += model.apply(state, sent, floating, past).states
        return _distinct(views)

    def _check_read(self, read: Read) -> None:
        views = self._views(read.unit, read.table, read.pending)
        rows = [view[read.table].get(read.key) for view in views]
        if read.found not in rows:
            raise _WrongError(
                f"u{read.unit} has read {_shown(read.table, read.key, read.found)}; "
                f"it can only be {_options(rows)}, after its own {_listed(read.pending)}"
            )

    def _check_count(self, counted: Counted) -> None:
        views = self._views(counted.unit, counted.table, counted.pending)
        counts = {int(counted.key in view[counted.table]) for view in views}
        if counted.rows not in counts:
            raise _WrongError(
                f"u{counted.unit} was told that {counted.rows} rows of {counted.table} have the "
                f"key {counted.key}; it can only be {sorted(counts)}"
            )

    def _check_refused(self, refused: Refused) -> None:
        if self._history.transactions:
            raise _WrongError(
                f"u{refused.unit} may not read, though there are transactions: {refused.error}"
            )

    # --- the end of a unit ------------------------------------------------------------------------

    def _end(self, ended: Ended) -> None:
        for event in ended.meanwhile:
            if isinstance(event, Began):
                self._begin(event.unit)
            elif isinstance(event, Ended):
                self._ended[event.unit] = event.outcome
        self._ended[ended.unit] = ended.outcome
        inner = [event for event in ended.meanwhile if isinstance(event, Ended)]
        visited: list[State] = []
        after: list[State] = []
        for order in _orders(ended, inner):
            states = self._timeline.now
            passed = [*states]
            for item in order:
                states = self._after(item, states)
                passed += states
            visited += passed if states else []
            after += states
        if not after:
            raise _WrongError(self._unexplained(ended, inner))
        self._timeline.sets += [_distinct(visited), _distinct(after)]
        for event in ended.meanwhile:
            if not isinstance(event, (Began, Ended)):
                self._take(event)
        for item in [*inner, ended]:
            self._check_error(item)

    def _after(self, ended: Ended, states: list[State]) -> list[State]:
        """The states after a unit, if it may have happened."""
        floating = self._floating(ended.unit) if ended.snapshot else frozenset()
        past = self._timeline.since(self._began[ended.unit]) if ended.snapshot else []
        after: list[State] = []
        for state in states:
            if ended.outcome == PARTIAL:
                after += _in_part(state, ended)
            elif ended.outcome == AMBIGUOUS and self._per_table:
                after += _one_statement(state, ended.writes)
            elif ended.outcome == INTERRUPTED and self._per_table:
                after += _up_to_somewhere(state, ended.writes)
            else:
                after += model.apply(state, ended.writes, floating, past).states
        return _distinct(after)

    @property
    def _per_table(self) -> bool:
        return self._history.schedule.atomicity == PER_TABLE

    def _floating(self, unit: int) -> frozenset[tuple[str, int]]:
        """Rows that were not there all the time since a unit has begun."""
        states = self._timeline.since(self._began[unit])
        return frozenset(
            (name, key)
            for name in model.TABLES
            for key in {key for state in states for key in state[name]}
            if not all(key in state[name] for state in states)
        )

    def _unexplained(self, ended: Ended, inner: Sequence[Ended]) -> str:
        units = "; ".join(_unit_text(item) for item in [ended, *inner])
        reasons = {
            reason
            for state in self._timeline.now
            for reason in model.apply(state, ended.writes).reasons
        }
        return f"nothing explains that {units}; in its way: {', '.join(sorted(reasons)) or '-'}"

    # --- why a unit has failed --------------------------------------------------------------------

    def _check_error(self, ended: Ended) -> None:
        error = ended.error
        if ended.signalled and ended.outcome != INTERRUPTED:
            raise _WrongError(f"{_unit_text(ended)}, though a signal handler has raised: {error}")
        if error is None or ended.outcome == INTERRUPTED:
            return
        problem = self._problem(ended, error)
        if problem:
            raise _WrongError(f"{_unit_text(ended)}, {problem}: {type(error).__name__}: {error}")

    def _problem(self, ended: Ended, error: Exception) -> str | None:
        """Why an error should not have been raised."""
        disturbed = any(kind not in HARMLESS for kind in ended.mishaps)
        if isinstance(error, dbapi.IntegrityError):
            return self._unless(ended, model.COLLISION)
        if isinstance(error, StaleDataError):
            return self._unless(ended, model.STALE)
        if isinstance(error, dbapi.ConflictError):
            alone = len(self._timeline.since(self._began[ended.unit])) == 1
            return "though nobody else has written" if alone and not disturbed else None
        if isinstance(error, dbapi.AtomicityError):
            whole = self._history.transactions or self._history.schedule.atomicity != UNIT
            return "though it can be done as a whole" if whole else None
        if isinstance(error, dbapi.PartialCommitError):
            if not self._per_table:
                return "which is for per_table alone"
            ambiguous = isinstance(error.__cause__, dbapi.AmbiguousWriteError)
            return _DECIDED if ambiguous and not ended.withheld else None
        if isinstance(error, dbapi.AmbiguousWriteError):
            return None if ended.withheld else _DECIDED
        if isinstance(error, dbapi.NotSupportedError) and ended.back:
            # What was sent cannot be taken back alone; whatever comes next fails.
            return None if ended.snapshot else "though nothing of it was sent"
        if isinstance(error, dbapi.OperationalError):
            return None if disturbed else "though nothing went wrong"
        return "which is none of the errors that it may have"

    def _unless(self, ended: Ended, reason: str) -> str | None:
        for state in self._timeline.since(self._began[ended.unit]):
            if reason in model.apply(state, ended.writes).reasons:
                return None
        return f"though it has never met {reason}"

    # --- what is there afterwards -----------------------------------------------------------------

    def _check_broken(self) -> None:
        broken = self._history.broken
        if broken is not None:
            raise _WrongError(f"where no error may be raised: {type(broken).__name__}: {broken}")

    def _compare(self) -> None:
        found: dict[str, dict[int, Row]] = {name: {} for name in model.TABLES}
        for table, key, row in self._history.rows:
            if key in found[table]:
                raise _WrongError(
                    f"there are two rows of {table} with the key {key}: "
                    f"{found[table][key]} and {row}"
                )
            found[table][key] = row
        codes = [row[0] for row in found[model.ITEM].values() if row[0] is not None]
        for code in codes:
            if codes.count(code) > 1:
                raise _WrongError(f"there are two rows of item with the unique code {code}")
        if found not in self._timeline.now:
            nearest = min(
                self._timeline.now, key=lambda state: len(model.changed_rows(state, found))
            )
            raise _WrongError(
                "afterwards there is "
                + ", ".join(
                    f"{_shown(name, key, found[name].get(key))} instead of {nearest[name].get(key)}"
                    for name, key in model.changed_rows(nearest, found)
                )
            )


def _orders(ended: Ended, inner: Sequence[Ended]) -> Iterator[list[Ended]]:
    """Every order of a unit and of what has ended within its commit, of what may be there."""
    # Nothing goes wrong within a commit of another unit, so that nothing is ambiguous there.
    others = [item for item in inner if item.outcome == ACKNOWLEDGED]
    if ended.outcome in (ACKNOWLEDGED, AMBIGUOUS, INTERRUPTED, PARTIAL):
        for at in range(len(others) + 1):
            yield [*others[:at], ended, *others[at:]]
    if ended.outcome not in (ACKNOWLEDGED, PARTIAL):
        yield others


def _one_statement(state: State, writes: Sequence[Write]) -> list[State]:
    """One statement of a unit, which writes some rows of one table."""
    after: list[State] = []
    for name in dict.fromkeys(write.table for write in writes):
        after += _some_rows(state, [write for write in writes if write.table == name])
    return after


def _up_to_somewhere(state: State, writes: Sequence[Write]) -> list[State]:
    """What a unit has written, table by table, until it was interrupted."""
    some = [state]
    for name in dict.fromkeys(write.table for write in writes):
        part = [write for write in writes if write.table == name]
        some = _distinct(found for item in some for found in _some_rows(item, part))
    return some


def _in_part(state: State, ended: Ended) -> list[State]:
    """What a unit has written that says which of its tables it has written."""
    error = ended.error
    assert isinstance(error, dbapi.PartialCommitError)
    written = {name.rpartition(".")[2].strip("`") for name in error.written}
    missing = {name.rpartition(".")[2].strip("`") for name in error.not_written}
    if {write.table for write in ended.writes} - written - missing:
        return []
    whole = [write for write in ended.writes if write.table in written - missing]
    unsure = written & missing
    if isinstance(error.__cause__, dbapi.AmbiguousWriteError):
        unsure |= missing
    after: list[State] = []
    for begun in model.apply(state, whole).states:
        some = [begun]
        for name in sorted(unsure):
            part = [write for write in ended.writes if write.table == name]
            some = _distinct(found for item in some for found in _some_rows(item, part))
        after += some
    return after


def _some_rows(state: State, writes: Sequence[Write]) -> list[State]:
    """The states with some of the rows as some of these writes leave them."""
    reached: list[State] = [state]
    for write in writes:
        reached += model.apply(reached[-1], [write]).states[:1]
    rows = sorted({row for after in reached for row in model.changed_rows(state, after)})
    choices = [_distinct_rows(after[name].get(key) for after in reached) for name, key in rows]
    return [
        model.mixed(state, dict(zip(rows, chosen, strict=True)))
        for chosen in itertools.product(*choices)
    ]


def _distinct(states: Iterable[State]) -> list[State]:
    listed: list[State] = []
    for state in states:
        if state not in listed:
            listed.append(state)
    return listed


def _distinct_rows(rows: Iterable[Row | None]) -> list[Row | None]:
    return list(dict.fromkeys(rows))


def _unit_text(ended: Ended) -> str:
    during = "" if ended.during is None else f" in {ended.during}"
    error = "" if ended.error is None else f" with {type(ended.error).__name__}"
    return f"u{ended.unit} was {ended.outcome}{during}{error} ({_listed(ended.writes)})"


def _listed(writes: Sequence[Write]) -> str:
    return ", ".join(f"{w.action} {_shown(w.table, w.key, w.row)}" for w in writes) or "nothing"


def _shown(table: str, key: int, row: Row | None) -> str:
    return f"{table} {key} = {row}"


def _options(rows: Iterable[Row | None]) -> str:
    return " or ".join(map(str, dict.fromkeys(rows))) or "nothing at all"
