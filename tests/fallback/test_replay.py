"""What is sent of a journal, in which statements, and what becomes of units that cannot arrive.

The warehouse is an object that notes what it is given: it fails where a test wants it to.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Engine,
    Insert,
    MetaData,
    String,
    Table,
    insert,
    update,
)
from sqlalchemy.orm.exc import StaleDataError

from tests.fallback.documents import held_of
from tests.fallback.journals import add, opened
from vinci_code.database.dialect import dberrors
from vinci_code.database.dialect.units.held import Held
from vinci_code.database.dialect.units.recovery import Commit, CommitFinding, CommitOutcome
from vinci_code.database.fallback import replay as module
from vinci_code.database.fallback.coding import encode
from vinci_code.database.fallback.journal import Journal
from vinci_code.database.fallback.records import State
from vinci_code.database.fallback.replay import HISTORY_SECONDS, Replayed, _Replaying

METADATA = MetaData()
ONE, TWO = (
    Table(
        name,
        METADATA,
        Column("id", BigInteger, primary_key=True, autoincrement=False),
        Column("v", String),
    )
    for name in ("one", "two")
)


def row(key: int, table: Table = ONE) -> Insert:
    return insert(table).values(id=key, v="x")


class Warehouse:
    """Takes the place of a unit of work.

    Attributes:
        sent: The keys of the rows of each statement that arrived or failed, in their order.
        asked: What the fate was asked of, and how long.
        fails: What a statement fails with, by the keys of its rows; ``None`` where it arrives.
        found: What became of a statement that nobody has seen the end of.
        notes: Whether it notes what it is about to send; it does not where that is nothing.
    """

    def __init__(self) -> None:
        self.sent: list[list[int]] = []
        self.asked: list[tuple[str, str, list[int], float | None]] = []
        self.fails: Callable[[list[int]], Exception | None] = lambda keys: None
        self.found = CommitFinding(CommitOutcome.UNKNOWN, "nobody knows")
        self.notes = True

    def replay(self, held: Sequence[Held], identity: str, note: Callable[[Commit], None]) -> None:
        keys = _keys(held)
        if self.notes:
            note(Commit("INSERT INTO one", held, identity))
        self.sent.append(keys)
        error = self.fails(keys)
        if error is not None:
            raise error

    def fate(
        self,
        identity: str,
        verb: str,
        began: float,
        held: Sequence[Held],
        *,
        seconds: float | None,
    ) -> CommitFinding:
        self.asked.append((identity, verb, _keys(held), seconds))
        return self.found


def _keys(held: Sequence[Held]) -> list[int]:
    writes: Any = held
    return [each[0] for write in writes for each in write.rows]


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    with opened(tmp_path / "journal.db") as made:
        yield made


@pytest.fixture
def warehouse() -> Warehouse:
    return Warehouse()


@pytest.fixture
def keep(engine: Engine, journal: Journal) -> Callable[..., None]:
    """Stores units of work, of one statement each."""

    def keep(*statements: Any) -> None:
        for statement in statements:
            write = partial(Connection.execute, statement=statement)
            add(journal, encode(held_of(engine, write)))

    return keep


def replayed(
    journal: Journal,
    warehouse: Any,
    seconds: float | None = None,
    on_parked: Callable[..., object] | None = None,
) -> Replayed:
    replaying = _Replaying(journal, METADATA.tables, on_parked)
    try:
        replaying.run(warehouse, seconds)
    except (dberrors.Error, StaleDataError) as error:
        replaying.done.error = error
    return replaying.done


def states(journal: Journal) -> dict[int, State]:
    return {entry.seq: entry.state for entry in journal.entries()}


def test_all_that_waits_is_one_statement(
    journal: Journal, warehouse: Warehouse, keep: Callable[..., None]
) -> None:
    keep(row(1), row(2, TWO), row(3))
    done = replayed(journal, warehouse)
    assert (done.units, done.parked, done.finished) == (3, 0, True)
    assert warehouse.sent == [[1, 2, 3]]
    assert states(journal) == {}


def test_no_more_begins_when_the_time_is_up(
    journal: Journal,
    warehouse: Warehouse,
    keep: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "MOST_UNITS", 2)
    keep(*(row(key) for key in range(1, 6)))
    done = replayed(journal, warehouse, -1.0)
    assert (done.units, done.finished) == (2, False)
    done = replayed(journal, warehouse, 3600.0)
    assert (done.units, done.finished) == (3, True)
    assert warehouse.sent == [[1, 2], [3, 4], [5]]


@pytest.mark.parametrize(
    "error",
    [
        dberrors.IntegrityError("a key"),
        dberrors.OperationalError("a class", error_class="DIVIDE_BY_ZERO"),
        dberrors.OperationalError("a state", sqlstate="22012"),
        StaleDataError("changed"),
    ],
    ids=lambda error: str(error),
)
def test_a_unit_that_cannot_arrive_is_found_by_halves(
    journal: Journal, warehouse: Warehouse, keep: Callable[..., None], error: Exception
) -> None:
    keep(*(row(key) for key in range(1, 6)))
    warehouse.fails = lambda keys: error if 3 in keys else None
    reported: list[tuple[int, str]] = []
    done = replayed(
        journal, warehouse, on_parked=lambda entry, why: reported.append((entry.seq, why))
    )
    assert warehouse.sent == [[1, 2, 3, 4, 5], [1, 2], [3, 4, 5], [3], [4, 5]]
    assert (done.units, done.parked, done.finished, done.error) == (4, 1, True, None)
    assert states(journal) == {3: State.PARKED}
    assert reported == [(3, f"{type(error).__name__}: {error}")]
    assert journal.entry(3).reason == reported[0][1]


@pytest.mark.parametrize(
    "error",
    [
        dberrors.AuthenticationFailed("401"),
        dberrors.PermissionDenied("403", sqlstate="42501"),
        dberrors.InterfaceError("closed"),
        dberrors.SessionLostError("gone", error_class="INVALID_HANDLE"),
        dberrors.ConnectionLostError("reset"),
        dberrors.TooManyRequests("429", sqlstate="53000"),
        dberrors.OperationalError("404"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_no_unit_is_parked_for_what_is_not_its_own(
    journal: Journal, warehouse: Warehouse, keep: Callable[..., None], error: Exception
) -> None:
    keep(row(1), row(2))
    warehouse.fails = lambda keys: error
    done = replayed(journal, warehouse)
    assert (done.units, done.parked, done.finished) == (0, 0, False)
    assert done.error is error
    assert warehouse.sent == [[1, 2]]
    # The statement has failed, so that nothing is in doubt.
    assert states(journal) == {1: State.WAITING, 2: State.WAITING}


def test_a_conflict_is_tried_again_after_longer_and_longer_pauses(
    journal: Journal,
    warehouse: Warehouse,
    keep: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pauses: list[float] = []
    # The module's alone: the warehouse of the documents sleeps too.
    clock = SimpleNamespace(sleep=pauses.append, monotonic=time.monotonic, time=time.time)
    monkeypatch.setattr(module, "time", clock)
    keep(row(1), row(2))
    warehouse.fails = lambda keys: dberrors.ConflictError("somebody was faster")
    done = replayed(journal, warehouse)
    assert isinstance(done.error, dberrors.ConflictError)
    assert warehouse.sent == [[1, 2]] * 5
    assert pauses == [0.1, 0.2, 0.4, 0.8]
    assert states(journal) == {1: State.WAITING, 2: State.WAITING}
    warehouse.fails = lambda keys: (
        dberrors.ConflictError("once") if len(warehouse.sent) == 6 else None
    )
    done = replayed(journal, warehouse)
    assert (done.units, done.finished, done.error) == (2, True, None)
    assert len(warehouse.sent) == 7


def test_what_has_no_answer_is_in_doubt_until_it_is_found_out(
    journal: Journal, warehouse: Warehouse, keep: Callable[..., None]
) -> None:
    keep(row(1), row(2))
    warehouse.fails = lambda keys: dberrors.AmbiguousWriteError("no answer")
    done = replayed(journal, warehouse)
    assert isinstance(done.error, dberrors.AmbiguousWriteError)
    assert (done.units, done.parked) == (0, 0)
    assert warehouse.sent == [[1, 2]]
    assert states(journal) == {1: State.IN_DOUBT, 2: State.IN_DOUBT}

    (batch,) = journal.open_batches()
    for seconds, asked in ((3600.0, HISTORY_SECONDS), (None, None)):
        done = replayed(journal, warehouse, seconds)
        assert warehouse.asked[-1] == (batch.identity, "INSERT", [1, 2], asked)
        assert states(journal) == {1: State.IN_DOUBT, 2: State.IN_DOUBT}
        assert "nobody knows" in str(journal.open_batches()[0].reason)
    assert (done.units, done.parked, done.finished) == (0, 0, True)

    warehouse.fails = lambda keys: None
    warehouse.found = CommitFinding(CommitOutcome.ABSENT)
    done = replayed(journal, warehouse)
    assert done.units == 2
    assert warehouse.sent[1:] == [[1, 2]]
    assert states(journal) == {}


def test_what_has_arrived_after_all_is_not_sent_again(
    journal: Journal, warehouse: Warehouse, keep: Callable[..., None]
) -> None:
    keep(row(1), row(2))
    warehouse.fails = lambda keys: dberrors.AmbiguousWriteError("no answer")
    replayed(journal, warehouse)
    warehouse.found = CommitFinding(CommitOutcome.COMMITTED)
    done = replayed(journal, warehouse)
    assert (done.units, done.finished) == (2, True)
    assert warehouse.sent == [[1, 2]]
    assert states(journal) == {}


def test_what_stays_in_doubt_is_parked_after_a_while(
    journal: Journal,
    warehouse: Warehouse,
    keep: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    keep(row(1), row(2))
    warehouse.fails = lambda keys: dberrors.AmbiguousWriteError("no answer")
    replayed(journal, warehouse)
    monkeypatch.setattr(module, "IN_DOUBT_SECONDS", -1e6)
    reported: list[int] = []
    done = replayed(journal, warehouse, on_parked=lambda entry, why: reported.append(entry.seq))
    assert (done.units, done.parked, reported) == (0, 2, [1, 2])
    assert warehouse.sent == [[1, 2]]
    assert states(journal) == {1: State.PARKED, 2: State.PARKED}
    assert all(entry.may_be_there for entry in journal.entries())


def test_behind_one_in_doubt_wait_those_of_its_rows_alone(
    journal: Journal, warehouse: Warehouse, keep: Callable[..., None]
) -> None:
    keep(row(1))
    warehouse.fails = lambda keys: dberrors.AmbiguousWriteError("no answer")
    replayed(journal, warehouse)
    # The fourth touches nothing of the first, but of the second.
    keep(update(ONE).values(v="y"), row(3, TWO), row(4))
    warehouse.fails = lambda keys: None
    done = replayed(journal, warehouse)
    assert warehouse.sent == [[1], [3]]
    assert (done.units, done.parked) == (1, 0)
    assert states(journal) == {1: State.IN_DOUBT, 2: State.WAITING, 4: State.WAITING}


def test_with_a_parked_one_are_parked_those_of_its_rows_alone(
    journal: Journal, warehouse: Warehouse, keep: Callable[..., None]
) -> None:
    keep(row(1), row(2), row(1), row(2))
    journal.park([1], "a person wants it")
    done = replayed(journal, warehouse)
    assert warehouse.sent == [[2, 2]]
    assert (done.units, done.parked) == (2, 1)
    assert states(journal) == {1: State.PARKED, 3: State.PARKED}
    assert "touches rows of a unit that is parked" in str(journal.entry(3).reason)


def test_one_that_is_parked_stops_none_before_it(
    journal: Journal, warehouse: Warehouse, keep: Callable[..., None]
) -> None:
    keep(row(1), row(1))
    journal.park([2], "a person wants it")
    done = replayed(journal, warehouse)
    assert (done.units, done.parked) == (1, 0)
    assert warehouse.sent == [[1]]


def test_what_fails_takes_those_of_its_rows_along(
    journal: Journal, warehouse: Warehouse, keep: Callable[..., None]
) -> None:
    keep(row(1), row(2), row(1), row(3))
    warehouse.fails = lambda keys: dberrors.IntegrityError("a key") if 1 in keys else None
    done = replayed(journal, warehouse)
    assert warehouse.sent == [[1, 2, 1, 3], [1, 2], [1], [2], [3]]
    assert (done.units, done.parked) == (2, 2)
    assert states(journal) == {1: State.PARKED, 3: State.PARKED}


def test_a_document_that_nobody_can_read_is_parked(
    journal: Journal, warehouse: Warehouse, keep: Callable[..., None]
) -> None:
    add(journal, b"no document")
    keep(row(2))
    done = replayed(journal, warehouse)
    assert states(journal)[1] is State.PARKED
    assert done.parked + done.units == 2


def test_of_several_tables_are_several_statements_where_one_cannot_be_atomic(
    journal: Journal, warehouse: Warehouse, keep: Callable[..., None]
) -> None:
    keep(row(1), row(2, TWO), row(3), row(4, TWO))
    warehouse.fails = lambda keys: (
        dberrors.AtomicityError("several tables") if {1, 2} <= set(keys) else None
    )
    done = replayed(journal, warehouse)
    assert warehouse.sent == [[1, 2, 3, 4], [1, 3], [2, 4]]
    assert (done.units, done.parked, done.finished) == (4, 0, True)


def test_a_unit_that_can_never_be_atomic_is_parked(
    journal: Journal, warehouse: Warehouse, keep: Callable[..., None]
) -> None:
    keep(row(1), row(2))
    warehouse.fails = lambda keys: dberrors.AtomicityError("never") if 1 in keys else None
    done = replayed(journal, warehouse)
    assert warehouse.sent == [[1, 2], [1, 2], [1], [2]]
    assert (done.units, done.parked) == (1, 1)
    assert states(journal) == {1: State.PARKED}


def test_what_writes_nothing_has_arrived(
    journal: Journal, warehouse: Warehouse, keep: Callable[..., None]
) -> None:
    keep(row(1))
    warehouse.notes = False
    done = replayed(journal, warehouse)
    assert (done.units, done.finished) == (1, True)
    assert states(journal) == {}


def test_a_listener_that_fails_changes_nothing(
    journal: Journal,
    warehouse: Warehouse,
    keep: Callable[..., None],
    caplog: pytest.LogCaptureFixture,
) -> None:
    def fail(*_: object) -> None:
        raise ValueError("of the listener")

    keep(row(1), row(2))
    warehouse.fails = lambda keys: dberrors.IntegrityError("a key") if 1 in keys else None
    done = replayed(journal, warehouse, on_parked=fail)
    assert (done.units, done.parked, done.finished) == (1, 1, True)
    assert "on_parked failed for unit 1" in caplog.text
    assert "of the listener" in caplog.text
