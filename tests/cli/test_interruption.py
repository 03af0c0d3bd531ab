"""Signals during an import: they end the reading at once, and wait while a batch is stored."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest

from vinci_code.cli.failures import Interruption
from vinci_code.cli.interruption import Breaks

BOTH = pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda n: n.name)


@BOTH
def test_a_signal_while_a_record_is_stored_waits_for_the_next_one(number: signal.Signals) -> None:
    with Breaks().watched() as breaks:
        records = breaks.between([1, 2])
        assert next(records) == 1
        signal.raise_signal(number)  # nothing happens here: this is where the commit is
        with pytest.raises(Interruption) as caught:
            next(records)
    assert caught.value.signum == number


@BOTH
def test_a_signal_while_a_record_is_read_ends_it_at_once(number: signal.Signals) -> None:
    reached = []

    def reading() -> Iterator[int]:
        signal.raise_signal(number)
        reached.append("behind the signal")
        yield 1

    with Breaks().watched() as breaks, pytest.raises(Interruption):
        next(breaks.between(reading()))
    assert reached == []


def test_a_signal_in_the_last_batch_is_not_lost() -> None:
    with Breaks().watched() as breaks:
        for _ in breaks.between([1]):
            pass
        signal.raise_signal(signal.SIGTERM)
        with pytest.raises(Interruption):
            breaks.check()


def test_the_second_signal_waits_for_nothing() -> None:
    with Breaks().watched() as breaks:
        next(breaks.between([1, 2]))
        signal.raise_signal(signal.SIGINT)
        with pytest.raises(Interruption):
            signal.raise_signal(signal.SIGINT)


def test_handlers_are_put_back_and_ignored_signals_stay_ignored() -> None:
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        interrupt = signal.getsignal(signal.SIGINT)
        with Breaks().watched():
            assert signal.getsignal(signal.SIGTERM) == signal.SIG_IGN
            assert signal.getsignal(signal.SIGINT) != interrupt
        assert signal.getsignal(signal.SIGINT) == interrupt
    finally:
        signal.signal(signal.SIGTERM, before)
