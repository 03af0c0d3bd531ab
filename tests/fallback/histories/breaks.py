"""Rules of the fallback that are broken on purpose: random histories have to find each of them.

    python -m tests.fallback.histories.run --breaks [WORD]

Each break replaces something at run time, in this process; applications in processes of their own
stay whole.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any
from unittest import mock

from tests.fallback.histories.runner import Runner
from tests.fallback.histories.schedules import Schedule, generate
from vinci_code.database.dialect.units.recovery import CommitOutcome
from vinci_code.database.dialect.writes import guards
from vinci_code.database.fallback.fallback import Fallback, _Known
from vinci_code.database.fallback.journal import Journal
from vinci_code.database.fallback.replay import _Replaying
from vinci_code.database.fallback.touched import Touched

Replace = Callable[[object, str, object], object]

WITHIN = 300
"""Within how many schedules each break is to be found."""


@dataclass(frozen=True)
class Break:
    """A rule that is broken.

    Attributes:
        does: Breaks it.
        transactions: Whether it is looked for on a warehouse with transactions.
    """

    does: Callable[[Replace], None]
    transactions: bool = True

    @property
    def name(self) -> str:
        """What is broken, in words."""
        return self.does.__name__.strip("_").replace("_", " ")

    @contextmanager
    def broken(self) -> Iterator[None]:
        """Have the rule broken within the block."""
        with ExitStack() as stack:
            self.does(lambda *given: stack.enter_context(mock.patch.object(*given)))
            yield


def _a_batch_is_noted_when_it_has_arrived(put: Replace) -> None:
    begin, committed = Journal.begin_batch, Journal.batch_committed
    not_executed = Journal.batch_not_executed
    late: dict[str, tuple[Any, Any]] = {}

    def noted(_: Journal, identity: str, seqs: Sequence[int], **given: Any) -> None:
        late[identity] = seqs, given

    def arrived(journal: Journal, identity: str) -> None:
        if identity in late:
            seqs, given = late.pop(identity)
            begin(journal, identity, seqs, **given)
        committed(journal, identity)

    def failed(journal: Journal, identity: str) -> None:
        if late.pop(identity, None) is None:
            not_executed(journal, identity)

    put(Journal, "begin_batch", noted)
    put(Journal, "batch_committed", arrived)
    put(Journal, "batch_not_executed", failed)


def _silence_counts_as_not_executed(put: Replace) -> None:
    put(
        _Replaying,
        "_doubt",
        lambda self, batch, _: self._journal.batch_not_executed(batch.identity),
    )


def _silence_counts_as_arrived(put: Replace) -> None:
    put(_Replaying, "_doubt", lambda self, batch, _: self._journal.batch_committed(batch.identity))


def _what_touches_the_same_rows_is_not_parked(put: Replace) -> None:
    put(Touched, "meets", lambda *_: False)


def _what_waits_goes_in_reverse(put: Replace) -> None:
    waiting = Journal.waiting

    def reversed_(journal: Journal, after: int = 0, *given: Any) -> list[Any]:
        found = waiting(journal, 0, *given) if not after else []
        return found[::-1]

    put(Journal, "waiting", reversed_)


def _new_units_go_before_those_that_wait(put: Replace) -> None:
    put(_Known, "goes_online", True)
    put(_Known, "lacks_something", False)


def _a_unit_that_was_sent_is_kept_as_one_that_was_not(put: Replace) -> None:
    append = Journal.append
    put(
        Journal,
        "append",
        lambda journal, connection, *, sent=None, **given: append(journal, connection, **given),
    )


def _a_unit_that_was_lost_is_acknowledged_and_not_kept(put: Replace) -> None:
    put(Fallback, "_unsent", lambda *_: True)


def _keys_are_not_checked(put: Replace) -> None:
    put(guards, "insert_guards", lambda *_: iter(()))


def _what_was_loaded_is_not_compared(put: Replace) -> None:
    put(guards, "conditions", lambda *_: iter(()))


def _a_unit_is_sent_in_parts(put: Replace) -> None:
    def commit(self: Any, unit: Any, units: Any) -> None:
        for each in units:
            for write in each.held:
                unit.replay([write], str(uuid.uuid4()))
            self._journal.begin_batch(
                identity := str(uuid.uuid4()), [each.entry.seq], verb="INSERT", began=0.0
            )
            self._journal.batch_committed(identity)

    put(_Replaying, "_commit", commit)


def _a_found_commit_is_sent_again(put: Replace) -> None:
    settle = _Replaying._settle

    def settled(self: Any, unit: Any, batch: Any, *given: Any) -> None:
        fate = unit.fate

        def doubted(*args: Any, **named: Any) -> Any:
            found = fate(*args, **named)
            if found.outcome is CommitOutcome.COMMITTED:
                found = type(found)(CommitOutcome.ABSENT, found.reason)
            return found

        with mock.patch.object(unit, "fate", doubted):
            settle(self, unit, batch, *given)

    put(_Replaying, "_settle", settled)


BREAKS = tuple(
    map(
        Break,
        (
            _a_batch_is_noted_when_it_has_arrived,
            _silence_counts_as_not_executed,
            _silence_counts_as_arrived,
            _what_touches_the_same_rows_is_not_parked,
            _what_waits_goes_in_reverse,
            _new_units_go_before_those_that_wait,
            _a_unit_that_was_sent_is_kept_as_one_that_was_not,
            _a_unit_that_was_lost_is_acknowledged_and_not_kept,
            _keys_are_not_checked,
            _what_was_loaded_is_not_compared,
            _a_unit_is_sent_in_parts,
            _a_found_commit_is_sent_again,
        ),
    )
)


def found(
    on: Runner, broken: Break, seed: int, count: int, *, first: int = 0
) -> tuple[int, Schedule, str] | None:
    """At which schedule a break is found, and as what; ``None`` where it is not."""
    with broken.broken():
        for number in range(first, first + count):
            history = on.run(generate(seed, number, transactions=on.transactions))
            if history.violations:
                return number, history.schedule, history.violations[0]
    return None


def find_all(word: str, seed: int, count: int) -> int:
    """Look for each break with a word in its name; 1 where one is not found."""
    chosen = [broken for broken in BREAKS if word in broken.name]
    missed = 0
    for broken in chosen:
        with Runner(transactions=broken.transactions) as on:
            hit = found(on, broken, seed, count)
        missed += hit is None
        what = f"at {hit[0]}: {hit[2][:200]}" if hit else f"NOT FOUND in {count}"
        print(f"{broken.name}: {what}", flush=True)
    print(f"{len(chosen) - missed} of {len(chosen)} breaks were found")
    return int(bool(missed) or not chosen)
