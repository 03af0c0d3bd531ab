"""What kept a warehouse awake, on histories whose answers were computed by hand."""

from __future__ import annotations

import datetime as dt
import random
from collections.abc import Sequence

import pytest

from vinci_code.diagnostics.awake import AwakeReport, Effect, Hour, what_kept_awake
from vinci_code.diagnostics.ran import RanStatement

NOON = dt.datetime(2026, 11, 30, 12, tzinfo=dt.timezone.utc)
TEN = dt.timedelta(minutes=10)


def at(minutes: float) -> dt.datetime:
    """So many minutes after noon."""
    return NOON + dt.timedelta(minutes=minutes)


def minutes(span: dt.timedelta | None) -> float | None:
    return None if span is None else span.total_seconds() / 60


def ran(begin: float, end: float | None, name: str = "", **more: object) -> RanStatement:
    """A statement that ran from and to so many minutes after noon."""
    ended = None if end is None else at(end)
    return RanStatement(statement_id=name or f"{begin:g}", started=at(begin), ended=ended, **more)  # type: ignore[arg-type]


def report(statements: Sequence[RanStatement], since: float = 0, until: float = 120) -> AwakeReport:
    return what_kept_awake(statements, TEN, at(since), at(until))


def kept(found: AwakeReport) -> list[tuple[str | None, str, float | None, float | None]]:
    return [
        (kept.ran.statement_id, kept.effect.name, minutes(kept.gap), minutes(kept.awake))
        for kept in found.kept
    ]


def test_one_statement_keeps_it_awake_until_the_auto_stop_after_its_end() -> None:
    found = report([ran(5, 7)])
    assert kept(found) == [("5", "WOKE", None, 12)]
    assert minutes(found.awake) == 12
    assert minutes(found.running) == 2
    assert found.share == pytest.approx(0.1)


def test_what_comes_within_the_auto_stop_resets_it() -> None:
    # Awake from 5 to 17; then from 16 on until 17 + 10; then it sleeps until 40.
    found = report([ran(5, 7), ran(16, 17), ran(40, 41)])
    assert kept(found) == [
        ("5", "WOKE", None, 12),
        ("16", "RESET", 9, 10),
        ("40", "WOKE", 23, 11),
    ]
    assert minutes(found.awake) == 22 + 11
    assert (found.count(Effect.WOKE), found.count(Effect.RESET)) == (2, 1)


def test_what_comes_as_it_stops_wakes_it() -> None:
    assert kept(report([ran(0, 1), ran(11, 12)])) == [
        ("0", "WOKE", None, 11),
        ("11", "WOKE", 10, 11),
    ]
    assert kept(report([ran(0, 1), ran(10.9, 12)]))[1][1] == "RESET"


def test_what_runs_beside_others_counts_for_what_it_adds_alone() -> None:
    # The second ends before the first, the third after it.
    found = report([ran(0, 20), ran(5, 6), ran(10, 25)])
    assert kept(found) == [
        ("0", "WOKE", None, 30),
        ("5", "ALONGSIDE", None, 0),
        ("10", "ALONGSIDE", None, 5),
    ]
    assert (minutes(found.awake), minutes(found.running)) == (35, 25)
    # Where one begins as another ends, none waited.
    assert kept(report([ran(0, 5), ran(5, 6)]))[1] == ("5", "ALONGSIDE", None, 1)


def test_a_poll_every_nine_minutes_keeps_it_awake_all_day() -> None:
    day = 24 * 60
    found = report([ran(9 * n, 9 * n, user="poll") for n in range(160)], until=day)
    assert found.share == 1.0
    assert (found.count(Effect.WOKE), found.count(Effect.RESET)) == (1, 159)
    assert minutes(found.running) == 0
    assert len(found.hours) == 24
    assert sum(hour.statements for hour in found.hours) == 160
    assert {minutes(hour.awake) for hour in found.hours} == {60}


def test_nothing_counts_that_lies_outside() -> None:
    # Of the first, 3 of its 10 minutes reach in; of the last, 4.
    found = report([ran(-8, -7), ran(56, 57), ran(70, 71)], until=60)
    assert kept(found) == [("56", "WOKE", 63, 4)]
    assert minutes(found.awake) == 3 + 4
    assert minutes(found.from_before) == 3
    assert report([]).share == 0


def test_what_still_runs_counts_until_the_end() -> None:
    found = report([ran(50, None), ran(55, 56)], until=60)
    assert kept(found) == [("50", "WOKE", None, 10), ("55", "ALONGSIDE", None, 0)]
    assert (minutes(found.running), found.running_still) == (10, 1)


def test_what_has_no_start_is_left_out_and_said() -> None:
    found = report([RanStatement(statement_id="x"), ran(0, 1)])
    assert (len(found.kept), found.without_start) == (1, 1)


def test_hours() -> None:
    # Awake from 12:55 to 13:08, and from 13:50 to 14:01.
    found = report([ran(55, 58), ran(110, 111)], since=30, until=150)
    assert found.hours == (
        Hour(at(0), 1, dt.timedelta(minutes=5)),
        Hour(at(60), 1, dt.timedelta(minutes=8 + 10)),
        Hour(at(120), 0, dt.timedelta(minutes=1)),
    )


def test_shares_add_up() -> None:
    statements = [
        ran(0, 2, user="ada", tags={"team": "grid", "cron": None}),
        ran(10, 11, user="grace", tags={"team": "grid"}),
        ran(50, 50, user="ada"),
    ]
    found = report(statements)
    # 0 to 12, then until 21; 50 to 60.
    by_user = found.shares(lambda ran: [ran.user or ""])
    assert {name: (minutes(of.awake), of.statements) for name, of in by_user.items()} == {
        "ada": (12 + 10, 2),
        "grace": (9, 1),
    }
    assert list(by_user) == ["ada", "grace"]
    assert (by_user["ada"].wakes, by_user["ada"].resets) == (2, 0)
    assert (by_user["grace"].wakes, by_user["grace"].resets) == (0, 1)
    assert minutes(by_user["ada"].running) == 2
    by_tag = found.shares(lambda ran: ran.tags)
    assert {name: minutes(of.awake) for name, of in by_tag.items()} == {"team": 21, "cron": 12}
    assert [kept.ran.statement_id for kept in found.longest(2)] == ["0", "50"]


@pytest.mark.parametrize("seed", range(20))
def test_it_is_what_counting_second_by_second_gives(seed: int) -> None:
    print("seed", seed)
    chance = random.Random(seed)
    begins = [chance.randrange(-30, 140) for _ in range(chance.randrange(25))]
    statements = [ran(begin, begin + chance.choice([0, 1, 3, 30])) for begin in begins]
    chance.shuffle(statements)
    found = report(statements)
    spans = [
        (minutes(one.started - NOON) or 0, minutes(one.ended - NOON) or 0)
        for one in statements
        if one.started and one.ended and one.started <= at(120)
    ]
    awake = [any(begin <= m < end + 10 for begin, end in spans) for m in range(120)]
    running = [any(begin <= m < end for begin, end in spans) for m in range(120)]
    assert minutes(found.awake) == sum(awake)
    assert minutes(found.running) == sum(running)
    assert sum((one.awake for one in found.kept), found.from_before) == found.awake
    assert sum((hour.awake for hour in found.hours), dt.timedelta()) == found.awake
    assert [minutes(hour.awake) for hour in found.hours] == [sum(awake[:60]), sum(awake[60:])]
    assert all(one.awake >= dt.timedelta() for one in found.kept)


@pytest.mark.parametrize(
    ("auto_stop", "until"), [(dt.timedelta(), at(1)), (TEN, at(-1))], ids=["never", "backwards"]
)
def test_what_cannot_be_computed_is_refused(auto_stop: dt.timedelta, until: dt.datetime) -> None:
    with pytest.raises(ValueError, match="must"):
        what_kept_awake([], auto_stop, at(0), until)
