"""What the tables hold after units of work that happen as a whole, one after the other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from tests.fallback.histories.tables import COUNTER, THING, first_rows

Row = tuple[Any, ...]
State = dict[str, dict[int, Row]]

INSERT, SWAP, EXTEND, PUT, DROP, REMOVE, UPSERT, SWEEP = (
    "insert",
    "swap",
    "extend",
    "put",
    "drop",
    "remove",
    "upsert",
    "sweep",
)


class Effect(NamedTuple):
    """What a unit does to a row.

    Attributes:
        action: What.
        table: To a row of which table.
        key: Its key.
        row: What it becomes, or what its log gets more.
        before: What it was when it was loaded; it has to be so still.
    """

    action: str
    table: str
    key: int
    row: Row = ()
    before: Row = ()


class ImpossibleError(Exception):
    """What cannot have been done to the tables as they were."""


def start(base: int) -> State:
    """What is there at the beginning."""
    state: State = {THING: {}, COUNTER: {}}
    for table, (key, _, log, more) in first_rows(base):
        state[table][key] = (log, more)
    return state


def apply(state: State, effects: Sequence[Effect]) -> None:
    """Change a state as a unit does.

    Raises:
        ImpossibleError: It has to have failed.
    """
    for effect in effects:
        _ACTIONS[effect.action](state[effect.table], effect)


def _insert(rows: dict[int, Row], effect: Effect) -> None:
    if effect.key in rows:
        raise ImpossibleError(f"{effect} was inserted, and is there: {rows[effect.key]}")
    _, code = effect.row
    taken = [key for key, row in rows.items() if code is not None and row[1] == code]
    if taken and effect.table == THING:
        raise ImpossibleError(f"{effect} has a code that {taken} has")
    rows[effect.key] = effect.row


def _swap(rows: dict[int, Row], effect: Effect) -> None:
    if rows.get(effect.key) != effect.before:
        raise ImpossibleError(f"{effect}, and it is {rows.get(effect.key)}: a lost update")
    rows[effect.key] = effect.row


def _extend(rows: dict[int, Row], effect: Effect) -> None:
    if effect.key in rows:
        log, *more = rows[effect.key]
        rows[effect.key] = (log + effect.row[0], *more)


def _sweep(rows: dict[int, Row], effect: Effect) -> None:
    for key in rows:
        _extend(rows, effect._replace(key=key))


def _put(rows: dict[int, Row], effect: Effect) -> None:
    if effect.key in rows:
        rows[effect.key] = (effect.row[0], *rows[effect.key][1:])


def _upsert(rows: dict[int, Row], effect: Effect) -> None:
    if effect.key in rows:
        _put(rows, effect)
    else:
        rows[effect.key] = effect.row


def _drop(rows: dict[int, Row], effect: Effect) -> None:
    rows.pop(effect.key, None)


_ACTIONS = {
    INSERT: _insert,
    SWAP: _swap,
    EXTEND: _extend,
    PUT: _put,
    DROP: _drop,
    REMOVE: _drop,
    UPSERT: _upsert,
    SWEEP: _sweep,
}
