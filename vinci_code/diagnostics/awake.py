"""What kept a warehouse awake: computed from its statements, and from its auto-stop alone.

A SQL warehouse stops by itself when no statement has run for ``auto_stop_mins``
(https://docs.databricks.com/api/workspace/warehouses/get). So a statement keeps it awake from its
start until the auto-stop time after its end; the warehouse is awake where any of them does. What is
computed here is this union, and for each statement by how much it has made it longer: these parts
add up to the whole. What the history does not tell is left out of it: a start by hand, a session
that was opened and asked nothing, and the time that compute takes to start and to stop.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from enum import Enum

from vinci_code.diagnostics.ran import RanStatement

_HOUR = dt.timedelta(hours=1)
_ZERO = dt.timedelta()


class Effect(Enum):
    """What a statement did to the warehouse's auto-stop."""

    WOKE = "woke it"
    RESET = "reset the auto-stop"
    ALONGSIDE = "ran beside others"


@dataclass(frozen=True)
class Kept:
    """One statement, and for how long it kept the warehouse awake.

    Attributes:
        ran: The statement.
        effect: ``WOKE`` where the warehouse had to be asleep before it, ``RESET`` where it came
            while no other ran and the warehouse waited to stop, ``ALONGSIDE`` where another ran.
        gap: How long no statement had run before it; ``None`` for the first, and for those that
            ran beside others.
        awake: By how much it has made the time longer in which the warehouse was awake.
    """

    ran: RanStatement
    effect: Effect
    gap: dt.timedelta | None
    awake: dt.timedelta


@dataclass
class Share:
    """The part that the statements of one unit, tag, user or client had.

    Attributes:
        statements: How many there were.
        running: How long they ran, added up.
        awake: By how much they have made the time longer in which the warehouse was awake.
        resets: How many of them reset the auto-stop.
        wakes: How many of them woke the warehouse.
    """

    statements: int = 0
    running: dt.timedelta = _ZERO
    awake: dt.timedelta = _ZERO
    resets: int = 0
    wakes: int = 0


@dataclass
class Hour:
    """One hour.

    Attributes:
        begin: When it began, in UTC.
        statements: How many statements started in it.
        awake: For how long of it the warehouse was awake.
    """

    begin: dt.datetime
    statements: int = 0
    awake: dt.timedelta = _ZERO


@dataclass(frozen=True)
class AwakeReport:
    """What kept a warehouse awake from ``since`` to ``until``.

    Attributes:
        since: The beginning of what was looked at.
        until: Its end.
        auto_stop: After how long without a statement the warehouse stops.
        kept: The statements that started in that time, in the order of their start.
        awake: How long the warehouse was awake.
        running: For how long of this at least one statement ran.
        hours: Every hour of that time.
        without_start: How many statements are left out, since the history tells no start of them.
        running_still: How many had not ended; they count until the end of the time.
    """

    since: dt.datetime
    until: dt.datetime
    auto_stop: dt.timedelta
    kept: tuple[Kept, ...]
    awake: dt.timedelta
    running: dt.timedelta
    hours: tuple[Hour, ...]
    without_start: int = 0
    running_still: int = 0

    @property
    def share(self) -> float:
        """The part of the time in which the warehouse was awake, from 0 to 1."""
        whole = self.until - self.since
        return self.awake / whole if whole else 0.0

    @property
    def from_before(self) -> dt.timedelta:
        """For how long statements that had started before ``since`` kept it awake."""
        return self.awake - sum((kept.awake for kept in self.kept), _ZERO)

    def longest(self, count: int) -> list[Kept]:
        """The statements that kept it awake longest, at most so many, the longest first."""
        return sorted(self.kept, key=lambda kept: kept.awake, reverse=True)[:count]

    def count(self, effect: Effect) -> int:
        """How many statements had an effect."""
        return sum(kept.effect is effect for kept in self.kept)

    def shares(self, names: Callable[[RanStatement], Iterable[str]]) -> dict[str, Share]:
        """The shares of what a function names, the largest first.

        Args:
            names: What a statement counts for; it may be several, as the tags of a statement are.
        """
        found: dict[str, Share] = {}
        for kept in self.kept:
            for name in names(kept.ran):
                share = found.setdefault(name, Share())
                share.statements += 1
                share.running += _ran_for(kept.ran, self.until)
                share.awake += kept.awake
                share.resets += kept.effect is Effect.RESET
                share.wakes += kept.effect is Effect.WOKE
        order = sorted(
            found.items(), key=lambda item: (-item[1].awake, -item[1].statements, item[0])
        )
        return dict(order)


def what_kept_awake(
    statements: Sequence[RanStatement],
    auto_stop: dt.timedelta,
    since: dt.datetime,
    until: dt.datetime,
) -> AwakeReport:
    """Compute what kept a warehouse awake.

    Args:
        statements: What ran; those that started before ``since`` count as far as they reach in.
        auto_stop: After how long without a statement the warehouse stops; more than 0.
        since: The beginning of the time that is looked at.
        until: Its end: what comes after it is not known, and does not count.

    Raises:
        ValueError: ``auto_stop`` is not more than 0, or ``until`` lies before ``since``.
    """
    if auto_stop <= _ZERO:
        raise ValueError("auto_stop must be more than 0: else the warehouse never stops by itself")
    if until < since:
        raise ValueError("until must not lie before since")
    with_start = [ran for ran in statements if ran.started is not None and ran.started <= until]
    with_start.sort(key=_start)
    walk = _Walk(auto_stop, since, until)
    for ran in with_start:
        walk.take(ran)
    walk.close()
    started = [kept for kept in walk.kept if _start(kept.ran) >= since]
    return AwakeReport(
        since,
        until,
        auto_stop,
        tuple(started),
        awake=sum((end - begin for begin, end in walk.awake), _ZERO),
        running=sum((end - begin for begin, end in walk.running), _ZERO),
        hours=_hours(since, until, started, walk.awake),
        without_start=sum(ran.started is None for ran in statements),
        running_still=sum(ran.ended is None for ran in with_start),
    )


_Span = tuple[dt.datetime, dt.datetime]


@dataclass
class _Walk:
    """One walk through the statements, in the order of their start."""

    auto_stop: dt.timedelta
    since: dt.datetime
    until: dt.datetime
    kept: list[Kept] = field(default_factory=list)
    awake: list[_Span] = field(default_factory=list)
    running: list[_Span] = field(default_factory=list)
    # The stretch of running statements that is open, as far as it is known.
    busy: _Span | None = None
    # When the warehouse was last asleep: where the stretch in which it is awake began.
    woken: dt.datetime | None = None

    def take(self, ran: RanStatement) -> None:
        start = _start(ran)
        end = self.until if ran.ended is None else max(ran.ended, start)
        if self.busy is None:
            effect, gap, before = Effect.WOKE, None, start
        else:
            gap = start - self.busy[1]
            before = self.busy[1] + self.auto_stop
            if gap <= _ZERO:
                effect, gap = Effect.ALONGSIDE, None
            elif gap < self.auto_stop:
                effect = Effect.RESET
            else:
                effect, before = Effect.WOKE, start
        longer = self.within(before, end + self.auto_stop)
        self.kept.append(Kept(ran, effect, gap, longer))
        self.extend(effect, start, end)

    def extend(self, effect: Effect, start: dt.datetime, end: dt.datetime) -> None:
        if effect is Effect.ALONGSIDE and self.busy is not None:
            self.busy = (self.busy[0], max(self.busy[1], end))
            return
        if effect is Effect.WOKE:
            self.close()
            self.woken = start
        elif self.busy is not None:
            self.note(self.running, *self.busy)
        self.busy = (start, end)

    def close(self) -> None:
        """Note the stretch that is open: nothing has made it longer."""
        if self.busy is not None and self.woken is not None:
            self.note(self.running, *self.busy)
            self.note(self.awake, self.woken, self.busy[1] + self.auto_stop)
        self.busy = self.woken = None

    def note(self, spans: list[_Span], begin: dt.datetime, end: dt.datetime) -> None:
        begin, end = max(begin, self.since), min(end, self.until)
        if begin < end:
            spans.append((begin, end))

    def within(self, begin: dt.datetime, end: dt.datetime) -> dt.timedelta:
        return max(min(end, self.until) - max(begin, self.since), _ZERO)


def _hours(
    since: dt.datetime, until: dt.datetime, kept: Sequence[Kept], awake: Sequence[_Span]
) -> tuple[Hour, ...]:
    first = since.replace(minute=0, second=0, microsecond=0)
    count = max(-((first - until) // _HOUR), 1)
    hours = [Hour(first + number * _HOUR) for number in range(count)]
    for statement in kept:
        # What starts at the very end, on the hour, counts for the last one.
        hours[min((_start(statement.ran) - first) // _HOUR, count - 1)].statements += 1
    for begin, end in awake:
        for hour in hours[(begin - first) // _HOUR : -((first - end) // _HOUR)]:
            hour.awake += min(end, hour.begin + _HOUR) - max(begin, hour.begin)
    return tuple(hours)


def _start(ran: RanStatement) -> dt.datetime:
    assert ran.started is not None  # noqa: S101 - the others were left out
    return ran.started


def _ran_for(ran: RanStatement, until: dt.datetime) -> dt.timedelta:
    return max((until if ran.ended is None else ran.ended) - _start(ran), _ZERO)
