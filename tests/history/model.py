"""The tables of the history checker as plain values, and what a unit of work does to them.

* ``account`` has a version counter. Its column ``log`` lists the units that have changed the row,
  in order: a unit that is lost or doubled shows there.
* ``item`` has a unique ``code`` that may be NULL.
* ``setting`` has neither; the last writer wins. There is a view on it.
* ``wallet`` has a log and its length, and no version: what was loaded is compared.
* ``note`` is a queue. Its keys are made by the process; what is ``key`` here is a column of it that
  nothing keeps unique, and that the units use once.
* ``receipt`` has idempotency keys: a key that is made by the process, and a unique column, which is
  ``key`` here.

Whatever a unit writes names the unit.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

ACCOUNT, ITEM, SETTING = "account", "item", "setting"
WALLET, NOTE, RECEIPT = "wallet", "note", "receipt"
TABLES = (ACCOUNT, ITEM, SETTING, WALLET, NOTE, RECEIPT)

COLLISION = "a key that is there already"
STALE = "a row that is not as it was read"

Row = tuple[str | None, ...]
"""What a row holds beside its key: a log; an item's code and writer; a value; a writer."""

State = Mapping[str, Mapping[int, Row]]
"""The rows of each table by their key."""

SEED = "seed"
START: State = {
    ACCOUNT: {0: (SEED,), 1: (SEED,)},
    ITEM: {0: ("c0", SEED), 1: ("c1", SEED)},
    SETTING: {0: (SEED,), 1: (SEED,)},
    WALLET: {0: (SEED,), 1: (SEED,)},
    NOTE: {0: (SEED,), 1: (SEED,)},
    RECEIPT: {0: (SEED,)},
}
"""What every schedule begins with."""

INSERT = "insert"
SWAP = "swap"
CHANGE = "change"
SET = "set"
EXTEND = "extend"
APPEND = "append"
UPSERT = "upsert"
COPY = "copy"


@dataclass(frozen=True)
class Write:
    """One change of one row.

    Attributes:
        action: ``INSERT``; ``SWAP``, which wants the row to be ``expected``; ``CHANGE``, which
            wants it to be there; ``SET`` and ``EXTEND`` (which appends to the text), which want
            nothing; ``APPEND``, which appends, and wants it to be there; ``UPSERT``; ``COPY``,
            which inserts what the row of ``setting`` with the same key holds, if there is one.
        table: The table.
        key: The row.
        row: What it holds afterwards; ``None`` where it is deleted, or copied.
        expected: What it has to hold before.
    """

    action: str
    table: str
    key: int
    row: Row | None = None
    expected: Row | None = None


_Branch = tuple[dict[str, dict[int, Row]], bool]
"""A state, and whether nothing was refused on the way to it."""


@dataclass(frozen=True)
class Applied:
    """What became of a state.

    Attributes:
        states: What it may be afterwards; none where the writes are to be refused.
        reasons: Why they may be refused, ``COLLISION`` or ``STALE``.
    """

    states: tuple[State, ...]
    reasons: frozenset[str]


def apply(
    state: State,
    writes: Sequence[Write],
    floating: Iterable[tuple[str, int]] = (),
    past: Sequence[State] = (),
) -> Applied:
    """Make the writes of a unit, as a whole.

    A code that comes twice for a moment may be refused, as SQLite does, or not be noticed.

    Args:
        state: What is there before.
        writes: The writes, in order.
        floating: Rows that a transaction may see or not, because they came after it had begun; a
            write that wants nothing of its row may miss them.
        past: States of which one may be what is copied from, too.
    """
    missed = frozenset(floating)
    branches: list[_Branch] = [({name: dict(state[name]) for name in TABLES}, True)]
    reasons: set[str] = set()
    for write in writes:
        after: list[_Branch] = []
        for branch, sound in branches:
            refusal = _refusal(branch, write)
            if refusal is not None:
                # What comes later may be what is reported, since writes are joined.
                reasons.add(refusal)
                after.append((branch, False))
                continue
            source = (SETTING if write.action == COPY else write.table, write.key)
            if write.action in (SET, EXTEND, COPY) and source in missed:
                after.append(({name: dict(branch[name]) for name in TABLES}, sound))
            for copied in _copied(branch, write, past):
                made = {name: dict(branch[name]) for name in TABLES}
                _make(made, write, copied)
                if _codes_collide(made):
                    reasons.add(COLLISION)
                after.append((made, sound))
        branches = after
    states: list[State] = []
    for branch, sound in branches:
        if sound and not _codes_collide(branch) and branch not in states:
            states.append(branch)
    return Applied(tuple(states), frozenset(reasons))


def changed_rows(before: State, after: State) -> list[tuple[str, int]]:
    """The rows that differ."""
    return [
        (name, key)
        for name in TABLES
        for key in sorted({*before[name], *after[name]})
        if before[name].get(key) != after[name].get(key)
    ]


def mixed(before: State, rows: Mapping[tuple[str, int], Row | None]) -> State:
    """The state before, with some rows as they are given."""
    made = {name: dict(before[name]) for name in TABLES}
    for (name, key), row in rows.items():
        _put(made[name], key, row)
    return made


def _refusal(state: State, write: Write) -> str | None:
    there = state[write.table].get(write.key)
    if write.action == INSERT and there is not None:
        return COLLISION
    if write.action == COPY and there is not None and write.key in state[SETTING]:
        return COLLISION
    if write.action in (CHANGE, APPEND) and there is None:
        return STALE
    if write.action == SWAP and there != write.expected:
        return STALE
    return None


def _copied(state: State, write: Write, past: Sequence[State]) -> list[Row | None]:
    """What may be copied; of a write that copies nothing, one thing that does not matter."""
    if write.action != COPY:
        return [None]
    return list(dict.fromkeys(found[SETTING].get(write.key) for found in (state, *past)))


def _make(state: dict[str, dict[int, Row]], write: Write, copied: Row | None) -> None:
    rows = state[write.table]
    there = rows.get(write.key)
    if write.action in (SET, EXTEND) and there is None:
        return
    row = write.row
    if write.action == COPY:
        if copied is None:
            return
        row = copied
    if write.action in (EXTEND, APPEND) and there is not None and row is not None:
        row = (f"{there[0]}{row[0]}",)
    _put(rows, write.key, row)


def _put(rows: dict[int, Row], key: int, row: Row | None) -> None:
    if row is None:
        rows.pop(key, None)
    else:
        rows[key] = row


def _codes_collide(state: State) -> bool:
    codes = [row[0] for row in state[ITEM].values() if row[0] is not None]
    return len(codes) != len(set(codes))
