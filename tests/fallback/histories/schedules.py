"""Random schedules: units of work of several applications, outages, and what goes wrong beside.

A schedule is a function of its seed and number alone. It is written as JSON, one step a line, and
read back to run it again.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

COMMIT, ROLLBACK = "commit", "rollback"

AWAY, BACK, ELSE, RETRY, DELIVER, REPLAY, PAUSE = (
    "away",
    "back",
    "somebody else",
    "retry",
    "deliver",
    "replay",
    "pause",
)
"""What is no step of a unit: the warehouse goes away, or answers again; somebody else writes to it;
parked units are tried again; a statement that was lost arrives after all; what waits is sent."""

LOST_BEFORE, LOST_AFTER, LOST_MIDDLE = "lost before", "lost after", "lost in the middle"
CONFLICT, SESSION_LOST, GONE = "conflict", "session lost", "gone"
"""Of these, ``GONE`` is an outage that begins within the step and stays."""

UNAVAILABLE, TOO_MANY = "unavailable", "too many requests"
"""Outages that are answers: each request gets a status that says to wait, longer than is waited."""

HIDDEN, HISTORY_GONE = "history hidden", "history gone"

AT_ONE_TABLE = ("add", "change", "extend", "sweep", "count", "nested", "read")
"""What a unit may do where there are no transactions."""

WORK = (*AT_ONE_TABLE, "change", "put", "drop", "remove", "readd", "upsert", "extend", "add")

THREADS, CHILDREN = (0, 1, 2), (3, 4)
"""The applications: threads of one process, and processes of their own."""


@dataclass(frozen=True)
class Mishap:
    """What goes wrong during a step.

    Attributes:
        kind: What.
        skip: How many statements pass before.
        times: How often.
        writes: Whether it is statements that write alone.
    """

    kind: str
    skip: int = 0
    times: int = 1
    writes: bool = False


@dataclass(frozen=True)
class Kill:
    """When a process is killed during a step.

    Attributes:
        moment: ``time`` after its begin, when a statement has come to the warehouse
            (``arrival``), when it is dropped there (``lost``), or when one was committed there
            (``done``).
        after: Seconds, or how many statements pass before.
    """

    moment: str
    after: float


@dataclass(frozen=True)
class Step:
    """A step.

    Attributes:
        does: What is done.
        slot: The application that does it; -1 for what none of them does.
        unit: The unit of work that it is of; -1 for none.
        keys: The rows that it is about.
        mishaps: What goes wrong meanwhile.
        kill: When its process is killed.
    """

    does: str
    slot: int = -1
    unit: int = -1
    keys: tuple[int, ...] = ()
    mishaps: tuple[Mishap, ...] = ()
    kill: Kill | None = None


@dataclass(frozen=True)
class Schedule:
    """A schedule.

    Attributes:
        name: Its seed and number.
        transactions: Whether the warehouse has transactions.
        reads: The option of the fallback.
        eager: Whether the warehouse is tried with each unit, and not after a pause that never ends.
        keep: Whether an application keeps its session, with the objects in it.
        most_units: How many units one statement of a replay has at most.
        patient: Whether units in doubt stay so, and are not parked when nobody tells.
        steps: Its steps.
    """

    name: str
    transactions: bool = True
    reads: str = "always"
    eager: bool = True
    keep: bool = False
    most_units: int = 1000
    patient: bool = True
    steps: tuple[Step, ...] = field(default=())

    def as_json(self) -> str:
        """The schedule as JSON, a step a line."""
        head = {name: value for name, value in asdict(self).items() if name != "steps"}
        lines = [json.dumps(_step_fields(step)) for step in self.steps]
        return json.dumps(head)[:-1] + ', "steps": [\n' + ",\n".join(lines) + "\n]}"


def read(text: str) -> Schedule:
    """A schedule that ``as_json`` has written."""
    found = json.loads(text)
    steps = tuple(_read(step) for step in found.pop("steps"))
    return Schedule(**found, steps=steps)


def generate(seed: int, number: int, *, transactions: bool, kills: bool = False) -> Schedule:
    """The schedule of a seed and a number."""
    return _Maker(random.Random(f"{seed}.{number}"), transactions, kills).schedule(
        f"{seed}.{number}"
    )


def simpler(schedule: Schedule) -> Iterator[Schedule]:
    """Schedules with something left out: several steps, a unit, a step, a mishap."""
    steps = schedule.steps
    for size in (len(steps) // 2, len(steps) // 4):
        for begin in range(0, len(steps), size or 1):
            if size:
                yield replace(schedule, steps=steps[:begin] + steps[begin + size :])
    for unit in sorted({step.unit for step in steps if step.unit >= 0}):
        yield replace(schedule, steps=tuple(step for step in steps if step.unit != unit))
    for at, step in enumerate(steps):
        yield replace(schedule, steps=steps[:at] + steps[at + 1 :])
        for lost in range(len(step.mishaps)):
            less = replace(step, mishaps=step.mishaps[:lost] + step.mishaps[lost + 1 :])
            yield replace(schedule, steps=(*steps[:at], less, *steps[at + 1 :]))
        if step.kill is not None:
            less = replace(step, kill=None)
            yield replace(schedule, steps=(*steps[:at], less, *steps[at + 1 :]))


class _Maker:
    def __init__(self, by: random.Random, transactions: bool, kills: bool) -> None:
        self._by = by
        self._transactions = transactions
        self._kills = kills
        self._work = WORK if transactions else AT_ONE_TABLE
        self._eager = by.random() < 0.7

    def schedule(self, name: str) -> Schedule:
        by = self._by
        slots = list(THREADS[: by.randint(1, 3)])
        if self._kills or by.random() < 0.3:
            slots += CHILDREN[: by.randint(1, 2)]
        queues: dict[int, list[Step]] = {slot: [] for slot in slots}
        for unit in range(by.randint(3, 9)):
            slot = by.choice(slots if not self._kills else [*slots, CHILDREN[0]])
            queues[slot] += self._unit(slot, unit)
        steps = list(self._merged(list(queues.values())))
        for step in self._around(slots):
            steps.insert(by.randint(0, len(steps)), step)
        self._outages(steps, slots)
        return Schedule(
            name,
            self._transactions,
            by.choice(["always", "always", "mirrored"]),
            self._eager,
            by.random() < 0.3,
            by.choice([1, 2, 3, 1000, 1000]),
            by.random() < 0.6,
            tuple(steps),
        )

    def _unit(self, slot: int, unit: int) -> Iterator[Step]:
        by = self._by
        for _ in range(by.choice([1, 1, 2, 3])):
            does = by.choice(self._work)
            keys = tuple(by.sample(range(6), by.choice([1, 1, 2])))
            yield Step(does, slot, unit, keys, self._mishaps(0.06), self._kill(slot, 0.05))
            if not self._transactions:
                break  # a unit is one statement
        end = ROLLBACK if by.random() < 0.06 else COMMIT
        yield Step(end, slot, unit, (), self._mishaps(0.3), self._kill(slot, 0.35))

    def _merged(self, queues: list[list[Step]]) -> Iterator[Step]:
        while queues := [queue for queue in queues if queue]:
            yield self._by.choice(queues).pop(0)

    def _around(self, slots: Sequence[int]) -> Iterator[Step]:
        by = self._by
        for _ in range(by.choice([0, 0, 1, 2])):
            does = by.choice(["else extend", "else add", "else remove", "else count"])
            yield Step(ELSE, keys=(by.randint(0, 5),), unit=-1, slot=-1, mishaps=(Mishap(does),))
        for _ in range(by.choice([0, 1, 1, 2])):
            slot = by.choice(list(slots))
            yield Step(REPLAY, slot, -1, (), self._mishaps(0.4), self._kill(slot, 0.4))
        if by.random() < 0.25:
            yield Step(RETRY)
        if by.random() < 0.25:
            yield Step(DELIVER)

    def _outages(self, steps: list[Step], slots: Sequence[int]) -> None:
        by = self._by
        for _ in range(by.choice([0, 1, 1, 1, 2])):
            begin = by.randint(0, len(steps))
            end = min(len(steps), begin + by.randint(1, 12))
            kinds = [by.choice([GONE, GONE, UNAVAILABLE, TOO_MANY])]
            kinds += [] if by.random() < 0.5 else [HISTORY_GONE]
            if by.random() < 0.6:
                # What waits is sent, and this goes wrong.
                slot = by.choice(slots)
                steps.insert(end, Step(REPLAY, slot, -1, (), self._lost(), self._kill(slot, 0.5)))
            steps.insert(end, Step(BACK))
            steps.insert(begin, Step(AWAY, mishaps=tuple(map(Mishap, kinds))))

    def _lost(self) -> tuple[Mishap, ...]:
        """What becomes of a statement of a replay."""
        by = self._by
        if by.random() < 0.3:
            return ()
        kind = by.choice([LOST_BEFORE, LOST_AFTER, LOST_AFTER, LOST_MIDDLE])
        found = [Mishap(kind, by.choice([0, 0, 1]), 1, writes=True)]
        found += [Mishap(HIDDEN, times=1000)] * (by.random() < 0.6)
        return tuple(found + [Mishap(GONE, skip=2)] * (by.random() < 0.3))

    def _mishaps(self, odds: float) -> tuple[Mishap, ...]:
        by = self._by
        if by.random() >= odds:
            return ()
        kind = by.choice(
            [LOST_BEFORE, LOST_AFTER, LOST_AFTER, LOST_MIDDLE, CONFLICT, SESSION_LOST, GONE, GONE]
        )
        skip, writes = by.choice([0, 0, 0, 1, 2]), by.random() < 0.6
        found = [Mishap(kind, skip, by.choice([1, 1, 1, 2, 6]) if kind == CONFLICT else 1, writes)]
        if kind in (LOST_AFTER, LOST_BEFORE, LOST_MIDDLE) and by.random() < 0.6:
            found.append(Mishap(GONE))  # and nothing answers from then on
        if by.random() < 0.4:
            found.append(Mishap(by.choice([HIDDEN, HISTORY_GONE]), times=1000))
        return tuple(found)

    def _kill(self, slot: int, odds: float) -> Kill | None:
        by = self._by
        if not self._kills or slot not in CHILDREN or by.random() >= odds:
            return None
        moment = by.choice(["time", "time", "arrival", "lost", "done"])
        after = by.uniform(0, 0.03) if moment == "time" else by.choice([0, 0, 1])
        return Kill(moment, after)


def _step_fields(step: Step) -> dict[str, object]:
    return {name: value for name, value in asdict(step).items() if value not in ((), None, -1)}


def _read(found: dict[str, Any]) -> Step:
    kill = found.get("kill")
    return Step(
        found["does"],
        found.get("slot", -1),
        found.get("unit", -1),
        tuple(found.get("keys", ())),
        tuple(Mishap(**item) for item in found.get("mishaps", ())),
        None if kill is None else Kill(**kill),
    )
