"""The three tables of the history checker as plain values, and what a unit of work does to them.

* ``account`` has a version counter. Its column ``log`` lists the units that have changed the row,
  in order: a unit that is lost or doubled shows there.
* ``item`` has a unique ``code`` that may be NULL.
* ``setting`` has neither; the last writer wins.

Whatever a unit writes names the unit.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

ACCOUNT, ITEM, SETTING = "account", "item", "setting"
TABLES = (ACCOUNT, ITEM, SETTING)

COLLISION = "a key that is there already"
STALE = "a row that is not as it was read"

Row = tuple[str | None, ...]
"""What a row holds beside its key: an account's log; an item's code and writer; a value."""

State = Mapping[str, Mapping[int, Row]]
"""The rows of each table by their key."""

SEED = "seed"
START: State = {
    ACCOUNT: {0: (SEED,), 1: (SEED,)},
    ITEM: {0: ("c0", SEED), 1: ("c1", SEED)},
    SETTING: {0: (SEED,), 1: (SEED,)},
}
"""What every schedule begins with."""

INSERT = "insert"
SWAP = "swap"
CHANGE = "change"
SET = "set"
EXTEND = "extend"
UPSERT = "upsert"


@dataclass(frozen=True)
class Write:
    """One change of one row.

    Attributes:
        action: ``INSERT``; ``SWAP``, which wants the row to be ``expected``; ``CHANGE``, which
            wants it to be there; ``SET`` and ``EXTEND`` (which appends to the text), which want
            nothing; ``UPSERT``.
        table: The table.
        key: The row.
        row: What it holds afterwards; ``None`` where it is deleted.
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
    state: State, writes: Sequence[Write], floating: Iterable[tuple[str, int]] = ()
) -> Applied:
    """Make the writes of a unit, as a whole.

    A code that comes twice for a moment may be refused, as SQLite does, or not be noticed.

    Args:
        state: What is there before.
        writes: The writes, in order.
        floating: Rows that a transaction may see or not, because they came after it had begun; a
            write that wants nothing of its row may miss them.
    """
    missed = frozenset(floating)
    branches: list[_Branch] = [({name: dict(state[name]) for name in TABLES}, True)]
    reasons: set[str] = set()
    for write in writes:
        after: list[_Branch] = []
        for branch, sound in branches:
            refusal = _refusal(branch, write)
            if refusal is not None:
                # What comes later may be what is told, since writes are joined.
                reasons.add(refusal)
                after.append((branch, False))
                continue
            if write.action in (SET, EXTEND) and (write.table, write.key) in missed:
                after.append(({name: dict(branch[name]) for name in TABLES}, sound))
            _make(branch, write)
            if _codes_collide(branch):
                reasons.add(COLLISION)
            after.append((branch, sound))
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
    if write.action == CHANGE and there is None:
        return STALE
    if write.action == SWAP and there != write.expected:
        return STALE
    return None


def _make(state: dict[str, dict[int, Row]], write: Write) -> None:
    rows = state[write.table]
    there = rows.get(write.key)
    if write.action in (SET, EXTEND) and there is None:
        return
    row = write.row
    if write.action == EXTEND and there is not None and row is not None:
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
