"""What the checker makes of histories that are written by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.history.checker import check
from tests.history.events import (
    ACKNOWLEDGED,
    AMBIGUOUS,
    FAILED,
    INTERRUPTED,
    PARTIAL,
    Began,
    Ended,
    Event,
    History,
    Read,
)
from tests.history.model import (
    ACCOUNT,
    APPEND,
    COPY,
    INSERT,
    ITEM,
    NOTE,
    SEED,
    SET,
    SETTING,
    START,
    SWAP,
    WALLET,
    Row,
    State,
    Write,
    mixed,
)
from tests.history.schedules import LOST_AFTER, PER_TABLE, UNIT, Schedule
from vinci_code.database.dialect.driver import dbapi

_APPENDED = Write(SWAP, ACCOUNT, 0, (f"{SEED},u0",), (SEED,))
_SET = Write(SET, SETTING, 1, ("u0.1",))
_BOTH = (_APPENDED, _SET)
_DONE: dict[tuple[str, int], Row | None] = {
    (ACCOUNT, 0): (f"{SEED},u0",),
    (SETTING, 1): ("u0.1",),
}
_HALF: dict[tuple[str, int], Row | None] = {(SETTING, 1): ("u0.1",)}

_LOST = dbapi.AmbiguousWriteError("the answer was lost")
_IN_PART = dbapi.PartialCommitError(
    "written in part", written=["main.s.setting"], not_written=["main.s.account"]
)


def _ended(
    outcome: str,
    *,
    unit: int = 0,
    writes: tuple[Write, ...] = _BOTH,
    error: Exception | None = None,
    meanwhile: tuple[Event, ...] = (),
    withheld: bool = True,
    signalled: bool = False,
) -> Ended:
    mishaps = (LOST_AFTER,) if isinstance(error, dbapi.AmbiguousWriteError) else ()
    return Ended(unit, outcome, error, writes, False, mishaps, None, meanwhile, withheld, signalled)


def _checked(
    events: list[Event],
    state: State,
    *,
    atomicity: str = UNIT,
    more: tuple[tuple[str, int, Row], ...] = (),
) -> list[str]:
    rows = [(name, key, row) for name in state for key, row in state[name].items()]
    rows += more
    schedule = Schedule("by hand", atomicity)
    return check(History(schedule, atomicity == UNIT, tuple(events), tuple(rows)))


@pytest.mark.parametrize(
    ("ended", "rows", "sound"),
    [
        (_ended(ACKNOWLEDGED), _DONE, True),
        (_ended(ACKNOWLEDGED), {}, False),
        (_ended(ACKNOWLEDGED), _HALF, False),
        (_ended(FAILED, error=dbapi.ConflictError("faster")), _DONE, False),
        (_ended(AMBIGUOUS, error=_LOST), _DONE, True),
        (_ended(AMBIGUOUS, error=_LOST), {}, True),
        (_ended(AMBIGUOUS, error=_LOST), _HALF, False),
    ],
)
def test_a_unit_is_there_wholly_or_not_at_all(
    ended: Ended, rows: dict[tuple[str, int], Row | None], sound: bool
) -> None:
    assert (not _checked([Began(0), ended], mixed(START, rows))) == sound


@pytest.mark.parametrize("rows", [_DONE, {}], ids=["written", "not written"])
def test_only_a_silent_history_leaves_a_commit_open(
    rows: dict[tuple[str, int], Row | None],
) -> None:
    state = mixed(START, rows)
    assert not _checked([Began(0), _ended(AMBIGUOUS, error=_LOST)], state)
    ended = _ended(AMBIGUOUS, error=_LOST, withheld=False)
    (violation,) = _checked([Began(0), ended], state)
    assert "though the query history tells what became of it" in violation


@pytest.mark.parametrize(
    ("rows", "sound"), [(_DONE, True), ({}, True), (_HALF, False)], ids=["whole", "none", "half"]
)
def test_a_unit_that_was_interrupted_is_there_or_not(
    rows: dict[tuple[str, int], Row | None], sound: bool
) -> None:
    ended = _ended(INTERRUPTED, error=TimeoutError("time is up"), signalled=True)
    assert (not _checked([Began(0), ended], mixed(START, rows))) == sound


@pytest.mark.parametrize("outcome", [ACKNOWLEDGED, FAILED])
def test_what_a_signal_handler_has_raised_has_to_be_reported(outcome: str) -> None:
    error = None if outcome == ACKNOWLEDGED else dbapi.ConnectionLostError("reset")
    state = mixed(START, _DONE if outcome == ACKNOWLEDGED else {})
    (violation,) = _checked([Began(0), _ended(outcome, error=error, signalled=True)], state)
    assert "though a signal handler has raised" in violation


@pytest.mark.parametrize(("outcome", "sound"), [(FAILED, True), (AMBIGUOUS, False)])
def test_only_what_has_failed_is_run_again(outcome: str, sound: bool) -> None:
    error = _LOST if outcome == AMBIGUOUS else dbapi.ConflictError("faster")
    mishaps = ("conflict",)
    first = replace(_ended(outcome, error=error), mishaps=mishaps)
    events: list[Event] = [Began(0), first, Began(0), _ended(ACKNOWLEDGED)]
    assert (not _checked(events, mixed(START, _DONE))) == sound


def test_a_message_that_is_there_twice_is_reported() -> None:
    sent = Write(INSERT, NOTE, 5, ("u0",))
    events: list[Event] = [Began(0), _ended(ACKNOWLEDGED, writes=(sent,))]
    state = mixed(START, {(NOTE, 5): ("u0",)})
    assert not _checked(events, state)
    (violation,) = _checked(events, state, more=((NOTE, 5, ("u0",)),))
    assert "two rows of note with the key 5" in violation


def test_a_copy_holds_what_was_there_before_what_came_after_it() -> None:
    writes = (
        Write(INSERT, SETTING, 3, ("first",)),
        Write(COPY, WALLET, 3),
        Write(SET, SETTING, 3, ("then",)),
    )
    events: list[Event] = [Began(0), _ended(ACKNOWLEDGED, writes=writes)]
    for copied, sound in (("first", True), ("then", False)):
        rows: dict[tuple[str, int], Row | None] = {
            (SETTING, 3): ("then",),
            (WALLET, 3): (copied,),
        }
        assert (not _checked(events, mixed(START, rows))) == sound


def test_a_key_that_is_freed_may_be_written_again() -> None:
    writes = (Write(SET, ITEM, 0, None), Write(INSERT, ITEM, 0, ("c0", "u0")))
    events: list[Event] = [Began(0), _ended(ACKNOWLEDGED, writes=writes)]
    assert not _checked(events, mixed(START, {(ITEM, 0): ("c0", "u0")}))
    (violation,) = _checked(
        [Began(0), _ended(ACKNOWLEDGED, writes=writes[1:])],
        mixed(START, {(ITEM, 0): ("c0", "u0")}),
    )
    assert "a key that is there already" in violation


def test_a_change_by_expression_wants_its_row() -> None:
    gained = Write(APPEND, WALLET, 0, (",u0",))
    events: list[Event] = [Began(0), _ended(ACKNOWLEDGED, writes=(gained,))]
    assert not _checked(events, mixed(START, {(WALLET, 0): (f"{SEED},u0",)}))
    lost = replace(gained, key=4)
    (violation,) = _checked([Began(0), _ended(ACKNOWLEDGED, writes=(lost,))], START)
    assert "not as it was read" in violation


def test_an_update_may_not_be_lost() -> None:
    other = Write(SWAP, ACCOUNT, 0, (f"{SEED},u1",), (SEED,))
    events: list[Event] = [
        Began(0),
        Began(1),
        _ended(ACKNOWLEDGED),
        _ended(ACKNOWLEDGED, unit=1, writes=(other,)),
    ]
    (violation,) = _checked(events, mixed(START, {**_DONE, (ACCOUNT, 0): (f"{SEED},u1",)}))
    assert "u1 was acknowledged" in violation
    assert "not as it was read" in violation


def test_what_happens_within_a_commit_comes_before_or_after_it() -> None:
    last = Write(SET, SETTING, 1, ("u1.0",))
    within: tuple[Event, ...] = (Began(1), _ended(ACKNOWLEDGED, unit=1, writes=(last,)))
    events: list[Event] = [Began(0), _ended(ACKNOWLEDGED, meanwhile=within)]
    assert not _checked(events, mixed(START, _DONE))
    assert not _checked(events, mixed(START, {**_DONE, (SETTING, 1): ("u1.0",)}))
    assert _checked(events, mixed(START, {**_DONE, (SETTING, 1): (SEED,)}))


def test_a_row_that_is_there_twice_is_reported() -> None:
    (violation,) = _checked([], START, more=((ITEM, 0, ("c0", SEED)),))
    assert "two rows of item with the key 0" in violation


def test_a_code_that_is_there_twice_is_reported() -> None:
    write = Write(INSERT, ITEM, 3, ("c0", "u0"))
    events: list[Event] = [Began(0), _ended(ACKNOWLEDGED, writes=(write,))]
    (violation,) = _checked(events, mixed(START, {(ITEM, 3): ("c0", "u0")}))
    assert "u0 was acknowledged" in violation


def test_a_unit_reads_what_it_has_written() -> None:
    seen = Read(0, SETTING, 1, ("u0.1",), _BOTH)
    missed = Read(0, SETTING, 1, (SEED,), _BOTH)
    end = _ended(ACKNOWLEDGED)
    assert not _checked([Began(0), seen, end], mixed(START, _DONE))
    (violation,) = _checked([Began(0), missed, end], mixed(START, _DONE))
    assert "u0 has read setting 1 = ('seed',)" in violation


def test_a_partial_commit_says_what_was_written() -> None:
    ended = _ended(PARTIAL, error=_IN_PART)
    assert not _checked([Began(0), ended], mixed(START, _HALF), atomicity=PER_TABLE)
    assert _checked([Began(0), ended], mixed(START, _DONE), atomicity=PER_TABLE)
    assert _checked([Began(0), ended], START, atomicity=PER_TABLE)
    (violation,) = _checked([Began(0), ended], mixed(START, _HALF))
    assert "which is for per_table alone" in violation


@pytest.mark.parametrize(
    "error",
    [
        dbapi.IntegrityError("UNIQUE constraint failed"),
        dbapi.ConflictError("faster"),
        dbapi.AtomicityError("several statements"),
        dbapi.ConnectionLostError("reset"),
        dbapi.InternalError("a defect"),
    ],
)
def test_an_error_without_a_reason_is_reported(error: Exception) -> None:
    (violation,) = _checked([Began(0), _ended(FAILED, error=error)], START)
    assert type(error).__name__ in violation
