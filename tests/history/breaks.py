"""Rules of the product that are broken on purpose: random histories have to find each of them.

    python -m tests.history.run --breaks

Each break replaces one thing at run time. What is found first may be something else than what the
rule is for: a commit that is sent twice, say, is reported as a row that is not as it was read.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import Any
from unittest import mock

from tests.history.schedules import IN_A_TRANSACTION, Schedule, generate
from vinci_code.database import units_of_work
from vinci_code.database.dialect import interruptions
from vinci_code.database.dialect.driver import dbapi, query_history
from vinci_code.database.dialect.driver.query_history import Fate, Verdict
from vinci_code.database.dialect.sql.keys import KeyMaker
from vinci_code.database.dialect.units import recovery
from vinci_code.database.dialect.units import unit as units
from vinci_code.database.dialect.units.held import HeldWrites
from vinci_code.database.dialect.units.recovery import CommitFinding, CommitOutcome
from vinci_code.database.dialect.writes import guards

Replace = Callable[[object, str, object], object]
"""Puts something in the place of an attribute."""

WITHIN = 400
"""Within how many schedules each break is to be found."""


@dataclass(frozen=True)
class Break:
    """A rule that is broken.

    Attributes:
        does: Breaks it.
        about: The story in which it matters, which every second schedule is then about.
        transactions: Whether it is looked for on a warehouse with transactions.
    """

    does: Callable[[Replace], None]
    about: str | None = None
    transactions: bool = True

    @property
    def name(self) -> str:
        """What is broken, in words."""
        return self.does.__name__.strip("_").replace("_", " ")

    def schedules(self, seed: int, count: int) -> Iterator[Schedule]:
        """The schedules in which it is looked for."""
        for number in range(count):
            about = self.about if number % 2 else None
            yield generate(seed, number, transactions=self.transactions, about=about)

    @contextmanager
    def broken(self) -> Iterator[None]:
        """Have the rule broken within the block."""
        with ExitStack() as stack:

            def put(place: Any, name: str, other: Any) -> None:
                _require_like(vars(place)[name], other, name)
                stack.enter_context(mock.patch.object(place, name, other))

            self.does(put)
            yield


def _require_like(rule: Any, other: Any, name: str) -> None:
    """Make sure that what stands in for a rule can be called as the rule is.

    One that could not would be found by its own ``TypeError``, whatever the histories find.
    """
    if not inspect.isfunction(rule):
        return
    taken = inspect.signature(other).parameters.values()
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in taken):
        return
    named = {
        p.name for p in inspect.signature(rule).parameters.values() if p.kind is p.KEYWORD_ONLY
    }
    missing = named - {parameter.name for parameter in taken}
    assert not missing, f"what stands in for {name}() does not take {', '.join(sorted(missing))}"


# --- guards ---------------------------------------------------------------------------------------


def _inserted_keys_are_not_checked(put: Replace) -> None:
    put(guards, "insert_guards", lambda *_: iter(()))


def _changed_keys_are_not_checked(put: Replace) -> None:
    put(guards, "update_guards", lambda *_, **__: iter(()))


def _rows_to_be_changed_may_be_gone(put: Replace) -> None:
    put(guards, "match_guard", lambda *_: "SELECT 0 AS raised")


def _what_was_loaded_is_not_compared(put: Replace) -> None:
    put(guards, "conditions", lambda *_: iter(()))


def _what_was_changed_otherwise_is_compared(put: Replace) -> None:
    put(units.Unit, "changed_at", lambda *_: None)


# --- what became of a commit ----------------------------------------------------------------------


def _failed_counts_as_committed(put: Replace) -> None:
    ask = query_history.ask

    def believing(*given: Any, **options: Any) -> Verdict:
        verdict = ask(*given, **options)
        return Verdict(Fate.FINISHED, "") if verdict.fate is Fate.NOT_EXECUTED else verdict

    put(query_history, "ask", believing)


def _finished_counts_as_cancelled(put: Replace) -> None:
    ask = query_history.ask

    def doubting(*given: Any, **options: Any) -> Verdict:
        verdict = ask(*given, **options)
        return Verdict(Fate.NOT_EXECUTED, "") if verdict.fate is Fate.FINISHED else verdict

    put(query_history, "ask", doubting)


def _silence_counts_as_committed(put: Replace) -> None:
    _unknown_is(put, lambda _: CommitOutcome.COMMITTED)


def _silence_counts_as_not_committed(put: Replace) -> None:
    _unknown_is(put, lambda _: CommitOutcome.ABSENT)


def _missing_rows_prove_that_nothing_was_written(put: Replace) -> None:
    def outcome(commit: recovery.Commit) -> CommitOutcome:
        return CommitOutcome.ABSENT if any(recovery._questions(commit)) else CommitOutcome.UNKNOWN

    _unknown_is(put, outcome)


def _keys_that_others_hold_are_proof(put: Replace) -> None:
    put(KeyMaker, "written_once", lambda _, keys, place: list(keys))


def _the_session_is_not_ended_before_rows_are_counted(put: Replace) -> None:
    put(dbapi.Connection, "give_up", lambda _: None)


def _the_history_is_not_asked(put: Replace) -> None:
    put(query_history, "ask", lambda *_, **__: Verdict(Fate.UNKNOWN, "nobody has asked"))


def _late_entries_are_not_waited_for(put: Replace) -> None:
    ask = query_history.ask

    def hasty(get: Any, path: str, sought: Any, _seconds: float, **options: Any) -> Verdict:
        return ask(get, path, sought, 0.001, **options)

    put(query_history, "ask", hasty)


def _ambiguous_units_are_run_again(put: Replace) -> None:
    was_outrun = units_of_work.was_outrun

    def outrun(error: Exception) -> bool:
        lost = isinstance(getattr(error, "orig", None), dbapi.AmbiguousWriteError)
        return lost or was_outrun(error)

    put(units_of_work, "was_outrun", outrun)


def _unknown_is(put: Replace, outcome: Callable[[recovery.Commit], CommitOutcome]) -> None:
    find_out = vars(units)["find_out"]

    def guessed(commit: recovery.Commit, *given: Any) -> CommitFinding:
        found: CommitFinding = find_out(commit, *given)
        if found.outcome is not CommitOutcome.UNKNOWN:
            return found
        return replace(found, outcome=outcome(commit))

    put(units, "find_out", guessed)


# --- order, ends and interruptions ----------------------------------------------------------------


def _views_hide_what_lies_beneath(put: Replace) -> None:
    put(units.Unit, "settled_tables", lambda _unit, tables, _names: tables)


def _reads_miss_what_is_held(put: Replace) -> None:
    put(HeldWrites, "touches", lambda *_: False)


def _rollback_keeps_what_is_held(put: Replace) -> None:
    rollback = units.Unit.rollback

    def keeping(unit: units.Unit) -> None:
        kept, changes = unit.held._entries, unit.held._changes
        rollback(unit)
        unit.held._entries, unit.held._changes = kept, changes

    put(units.Unit, "rollback", keeping)
    # The pool would close a connection that holds something.
    put(dbapi.Connection, "is_as_found", property(lambda _: True))


def _savepoints_keep_what_is_held(put: Replace) -> None:
    put(HeldWrites, "back_to", lambda *_: None)


def _signals_are_taken_for_answers(put: Replace) -> None:
    put(interruptions, "_codes_of_handlers", lambda: set())
    put(interruptions, "_known", set())  # what is known from before
    put(interruptions, "_ON_THE_WAY", interruptions._ON_THE_WAY | {"tests"})


def _stale_rows_are_not_reported_as_a_part(put: Replace) -> None:
    put(interruptions, "_ON_THE_WAY", interruptions._ON_THE_WAY - {"sqlalchemy"})


def _children_use_the_connections_of_their_parents(put: Replace) -> None:
    put(dbapi.Connection, "is_foreign", False)


BREAKS = (
    Break(_inserted_keys_are_not_checked),
    Break(_changed_keys_are_not_checked, "taken code"),
    Break(_rows_to_be_changed_may_be_gone, "lost update"),
    Break(_what_was_loaded_is_not_compared, "lost update"),
    Break(_what_was_changed_otherwise_is_compared, "changed otherwise"),
    Break(_failed_counts_as_committed),
    Break(_finished_counts_as_cancelled),
    Break(_silence_counts_as_committed),
    Break(_silence_counts_as_not_committed, "loaded again"),
    Break(_missing_rows_prove_that_nothing_was_written, "consumed"),
    Break(_keys_that_others_hold_are_proof, "added again"),
    Break(_the_session_is_not_ended_before_rows_are_counted, IN_A_TRANSACTION),
    Break(_the_history_is_not_asked),
    Break(_late_entries_are_not_waited_for, "loaded again"),
    Break(_ambiguous_units_are_run_again, "run again"),
    Break(_views_hide_what_lies_beneath, "copied"),
    Break(_reads_miss_what_is_held),
    Break(_rollback_keeps_what_is_held),
    Break(_savepoints_keep_what_is_held),
    Break(_signals_are_taken_for_answers),
    Break(_stale_rows_are_not_reported_as_a_part, transactions=False),
    Break(_children_use_the_connections_of_their_parents, "forked"),
)
