"""How long a warehouse is waited for, and in which pauses: by a clock that the test sets."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest

from vinci_code.database.dialect import dberrors
from vinci_code.database.dialect.driver import waiting
from vinci_code.database.dialect.driver.waiting import Patience, Waiting

REFUSAL = dberrors.OperationalError("it starts", sqlstate="57P03", error_class="STARTING")


@dataclass
class Clock:
    """Goes on by what is slept, and by nothing else; jitter is a share of the most there may be.

    Attributes:
        now: What it shows.
        share: That share.
        pauses: What was slept.
        jitters: The most that each jitter could have been.
    """

    now: float = 1000.0
    share: float = 0.0
    pauses: list[float] = field(default_factory=list)
    jitters: list[float] = field(default_factory=list)

    def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds

    def uniform(self, least: float, most: float) -> float:
        self.jitters.append(most)
        return least + self.share * (most - least)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    time = SimpleNamespace(monotonic=lambda: made.now, time=lambda: made.now, sleep=made.sleep)
    monkeypatch.setattr(waiting, "time", time)
    monkeypatch.setattr(waiting, "random", SimpleNamespace(uniform=made.uniform))
    return made


def until_it_fails(wait: Callable[[], None]) -> dberrors.Error:
    for _ in range(1000):
        try:
            wait()
        except dberrors.Error as error:
            return error
    raise AssertionError("it waits for ever")


def test_pauses_become_longer_up_to_a_limit_and_fill_the_budget(clock: Clock) -> None:
    patience = Patience("w", budget=50.0)
    error = until_it_fails(lambda: patience.wait(REFUSAL))
    assert clock.pauses == [0.5, 1.0, 2.0, 4.0, 8.0, 10.0, 10.0, 10.0, 4.5]
    assert sum(clock.pauses) == 50.0
    assert isinstance(error, dberrors.WarehouseStartTimeout)
    assert error.__cause__ is REFUSAL
    assert (error.sqlstate, error.error_class) == ("57P03", "STARTING")
    assert "w was not ready within 50 s. It said: it starts" in str(error)
    assert "(now 50 s)" in str(error)


def test_those_who_were_refused_together_come_back_at_other_times(clock: Clock) -> None:
    clock.share = 1.0
    patience = Patience("w")
    for retry_after in (None, None, 5.0, 100.0):
        patience.wait(REFUSAL, retry_after)
    assert clock.jitters == pytest.approx([0.1, 0.1, 0.5, 1.0])
    assert clock.pauses == pytest.approx([0.6, 1.1, 5.5, 101.0])


def test_the_warehouse_is_waited_for_as_long_as_it_asks(clock: Clock) -> None:
    patience = Patience("w", budget=20.0)
    patience.wait(REFUSAL, 0.0)
    patience.wait(REFUSAL, 7.0)
    patience.wait(REFUSAL, 13.0)
    assert clock.pauses == [0.0, 7.0, 13.0]
    with pytest.raises(dberrors.WarehouseStartTimeout, match="within 20 s, and asked for 0 s more"):
        patience.wait(REFUSAL, 0.0)


def test_what_asks_for_more_than_is_left_is_not_waited_for(clock: Clock) -> None:
    patience = Patience("w", budget=20.0)
    patience.wait(REFUSAL, 8.0)
    with pytest.raises(dberrors.WarehouseStartTimeout, match="within 8 s, and asked for 13 s more"):
        patience.wait(REFUSAL, 12.6)
    assert clock.pauses == [8.0]
    # The last second counts too.
    clock.now = 1019.5
    patience.wait(REFUSAL)
    assert clock.pauses[1:] == [0.5]


@pytest.mark.parametrize(
    ("budget", "deadline", "whole"), [(50.0, 1003.5, 3.5), (3.0, 1050.0, 3.0), (3.0, None, 3.0)]
)
def test_nothing_is_waited_for_behind_the_deadline(
    clock: Clock, budget: float, deadline: float | None, whole: float
) -> None:
    patience = Patience("w", budget=budget, deadline=deadline)
    until_it_fails(lambda: patience.wait(REFUSAL))
    assert sum(clock.pauses) == whole


def test_one_that_is_busy_is_reported_by_the_class_of_its_refusal(clock: Clock) -> None:
    refusal = dberrors.TooManyRequests("slower", sqlstate="53000")
    patience = Patience("w", budget=1.0)
    patience.wait(refusal, 1.0)
    with pytest.raises(dberrors.TooManyRequests, match="w took no request for 1 s") as caught:
        patience.wait(refusal, 2.0)
    assert "asked for 2 s more" in str(caught.value)
    assert "slower" in str(caught.value)
    assert caught.value.sqlstate == "53000"


def test_each_pause_is_reported_and_the_first_one_logged(
    clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    reported: list[Any] = []
    patience = Patience("w", budget=2.5, on_waiting=reported.append)
    with caplog.at_level(logging.INFO, waiting.__name__):
        until_it_fails(lambda: patience.wait(REFUSAL))
    assert reported == [
        Waiting("w", 0.0, 0.5, 2.5, "it starts"),
        Waiting("w", 0.5, 1.0, 2.5, "it starts"),
        Waiting("w", 1.5, 1.0, 2.5, "it starts"),
    ]
    (record,) = (record for record in caplog.records if record.name == waiting.__name__)
    assert record.message == "w is not ready; waiting for up to 2 s"


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("", None),
        ("0", 0.0),
        ("1.5", 1.5),
        ("-3", 0.0),
        ("soon", None),
        ("Thu, 01 Jan 1970 00:16:47 GMT", 7.0),
        ("Thu, 01 Jan 1970 00:16:33 GMT", 0.0),
    ],
)
def test_what_it_asks_for_is_a_number_or_a_date(
    header: str | None, seconds: float | None, clock: Clock
) -> None:
    assert waiting.seconds_in(header) == seconds
