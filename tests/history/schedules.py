"""Random schedules of units of work: what each does, in which order, and what goes wrong meanwhile.

A schedule is a list of steps, a function of its seed and number alone. It is told as JSON, one step
a line, which is read back to run it again.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace

UNIT, PER_TABLE = "unit", "per_table"

COMMIT, ROLLBACK = "commit", "rollback"
ENDS = (COMMIT, ROLLBACK)

BETWEEN, OVERLAP, PROBE, RESEND, END = "between", "overlap", "probe", "resend", "end"
"""Moments of a commit: when the first statement of a block was computed; when all were, and nothing
is committed yet; when the answer was lost and nobody has asked yet; when somebody has; when all is
over."""

LOST_BEFORE, LOST_AFTER, LOST_MIDDLE = "lost before", "lost after", "lost in the middle"
CONFLICT = "conflict"
HARMLESS = ("delayed", "slow", "429")
MISHAPS = (
    LOST_BEFORE,
    LOST_AFTER,
    LOST_MIDDLE,
    "503",
    "503 executed",
    "504 executed",
    "session lost",
    CONFLICT,
    *HARMLESS,
)

_KEYS = 6
_MOMENTS = (OVERLAP, OVERLAP, BETWEEN, BETWEEN, PROBE, RESEND)
_CODES = (None, "c0", "c1", "c2", "c3", "c4", "c5")
_OPERATIONS = {
    "append": 16,
    "remove": 1,
    "open": 3,
    "add": 4,
    "recode": 3,
    "drop": 2,
    "put": 4,
    "set": 3,
    "unset": 1,
    "touch": 4,
    "read": 4,
    "count": 1,
}


@dataclass(frozen=True)
class Mishap:
    """A fault that waits for requests during one step.

    Attributes:
        kind: One of ``MISHAPS``.
        operation: The operation that it hits.
        skip: How many requests pass unharmed first.
        times: How many it hits then.
    """

    kind: str
    operation: str = "ExecuteStatement"
    skip: int = 0
    times: int = 1


@dataclass(frozen=True)
class Step:
    """One step of one unit; its first one begins it.

    Attributes:
        unit: The number of the unit.
        does: What it does: see ``runner.Runner``.
        keys: The rows that it is about, by their number within the schedule.
        code: The code that it writes, where it writes one.
        table: The table that it reads.
        mishaps: What goes wrong.
        late: The moment at which a lost statement arrives after all; ``None`` for never.
        meanwhile: How many of the following steps, of other units, happen within this one.
        moment: When they do.
    """

    unit: int
    does: str
    keys: tuple[int, ...] = ()
    code: str | None = None
    table: str | None = None
    mishaps: tuple[Mishap, ...] = ()
    late: str | None = None
    meanwhile: int = 0
    moment: str = OVERLAP


@dataclass(frozen=True)
class Schedule:
    """Steps in the order in which they happen.

    Attributes:
        name: Its seed and number.
        atomicity: The engine's argument: ``UNIT`` or ``PER_TABLE``.
        repeatable: The units whose level is ``REPEATABLE READ``.
        steps: The steps.
    """

    name: str
    atomicity: str = UNIT
    repeatable: tuple[int, ...] = ()
    steps: tuple[Step, ...] = field(default=())

    def told(self) -> str:
        """The schedule as JSON, without what is as usual."""
        head = {"name": self.name, "atomicity": self.atomicity, "repeatable": self.repeatable}
        lines = [json.dumps(_told(step)) for step in self.steps]
        return json.dumps(head)[:-1] + ', "steps": [\n ' + ",\n ".join(lines) + "\n]}"


def read(told: str) -> Schedule:
    """Read what ``Schedule.told`` gives."""
    given = json.loads(told)
    steps = [
        Step(
            **{
                **step,
                "keys": tuple(step.get("keys", ())),
                "mishaps": tuple(Mishap(**mishap) for mishap in step.get("mishaps", ())),
            }
        )
        for step in given["steps"]
    ]
    return Schedule(given["name"], given["atomicity"], tuple(given["repeatable"]), tuple(steps))


def generate(seed: int, number: int, *, transactions: bool) -> Schedule:
    """The schedule with a number.

    Args:
        seed: The seed of the run.
        number: Which of its schedules.
        transactions: Whether the warehouse has transactions.
    """
    name = f"{seed}:{number}"
    rng = random.Random(name)
    atomicity = PER_TABLE if not transactions and rng.random() < 0.5 else UNIT
    units = rng.randint(2, 5)
    calm = rng.random() < 0.2
    left: list[list[Step]] = [
        _unit(rng, unit, calm=calm, overlaps=atomicity == UNIT) for unit in range(units)
    ]
    steps: list[Step] = []
    opened = left[: rng.randint(2, 3)]
    waiting = left[len(opened) :]
    while opened:
        unit = rng.choice(opened)
        steps.append(unit.pop(0))
        if not unit:
            opened.remove(unit)
            opened += [waiting.pop(0)] if waiting else []
    repeatable = [unit for unit in range(units) if transactions and rng.random() < 0.15]
    return Schedule(name, atomicity, tuple(repeatable), tuple(steps))


def simpler(schedule: Schedule) -> Iterator[Schedule]:
    """Schedules with something left out, the largest parts first."""
    steps = schedule.steps
    for unit in sorted({step.unit for step in steps}):
        yield replace(schedule, steps=tuple(step for step in steps if step.unit != unit))
    for at, step in enumerate(steps):
        if step.does not in ENDS:
            yield replace(schedule, steps=steps[:at] + steps[at + 1 :])
    for at, step in enumerate(steps):
        for less in _calmer(step):
            yield replace(schedule, steps=(*steps[:at], less, *steps[at + 1 :]))
    if schedule.repeatable:
        yield replace(schedule, repeatable=())


def _calmer(step: Step) -> Iterator[Step]:
    if step.mishaps:
        yield replace(step, mishaps=(), late=None)
    if step.late is not None:
        yield replace(step, late=None)
    if step.meanwhile:
        yield replace(step, meanwhile=0)
    if len(step.keys) > 1:
        yield replace(step, keys=step.keys[:1])


def _unit(rng: random.Random, unit: int, *, calm: bool, overlaps: bool) -> list[Step]:
    names, weights = list(_OPERATIONS), list(_OPERATIONS.values())
    steps = [_step(rng, unit, name) for name in rng.choices(names, weights, k=rng.randint(1, 4))]
    for _ in range(2):
        # Around some of them, and sometimes within another one.
        if rng.random() < 0.25:
            begin = rng.randrange(len(steps))
            end = rng.randint(begin + 1, len(steps))
            over = Step(unit, rng.choice(("back", "back", "release")))
            steps = [*steps[:begin], Step(unit, "savepoint"), *steps[begin:end], over, *steps[end:]]
    if not calm:
        steps = [
            replace(step, mishaps=(_mishap(rng),)) if rng.random() < 0.06 else step
            for step in steps
        ]
    if rng.random() < 0.12:
        return [*steps, Step(unit, ROLLBACK)]
    return [*steps, _commit(rng, unit, calm=calm, overlaps=overlaps)]


def _commit(rng: random.Random, unit: int, *, calm: bool, overlaps: bool) -> Step:
    commit = Step(unit, COMMIT)
    if overlaps and rng.random() < 0.3:
        commit = replace(commit, meanwhile=rng.randint(1, 3), moment=rng.choice(_MOMENTS))
    if calm or rng.random() < 0.4:
        return commit
    if rng.random() < 0.2:
        late = rng.choice((PROBE, RESEND, END))
        return replace(commit, mishaps=(Mishap(LOST_BEFORE),), late=late)
    mishaps = [_mishap(rng) for _ in range(rng.choice((1, 1, 1, 2)))]
    return replace(commit, mishaps=tuple(mishaps))


def _mishap(rng: random.Random) -> Mishap:
    kind = rng.choice((*MISHAPS, LOST_BEFORE, LOST_AFTER, LOST_MIDDLE))
    operation = rng.choices(("ExecuteStatement", "OpenSession", "FetchResults"), (9, 1, 1))[0]
    if kind in ("session lost", CONFLICT, "slow"):
        operation = "ExecuteStatement"
    return Mishap(kind, operation, rng.choice((0, 0, 0, 1, 1, 2)), rng.choice((1, 1, 1, 2)))


def _step(rng: random.Random, unit: int, does: str) -> Step:
    # Of the first two there is a row from the beginning, over which units are to fight.
    key = rng.choice((0, 0, 0, 1, 2)) if does != "open" else rng.randrange(1, _KEYS)
    if does in ("add", "put"):
        keys: Sequence[int] = rng.sample(range(int(does == "add"), _KEYS), rng.choice((1, 1, 2)))
        code = rng.choice(_CODES) if does == "add" else None
        return Step(unit, does, tuple(keys), code)
    if does == "recode":
        return Step(unit, does, (key,), rng.choice(_CODES))
    if does == "touch":
        return Step(unit, does, tuple(sorted(rng.sample(range(_KEYS), 2))))
    if does == "read":
        return Step(unit, does, (key,), table=rng.choice(("account", "item", "setting")))
    return Step(unit, does, (key,))


def _told(step: Step) -> dict[str, object]:
    usual = asdict(Step(step.unit, step.does))
    told = {name: value for name, value in asdict(step).items() if value != usual[name]}
    if step.mishaps:
        plain = asdict(Mishap(""))
        told["mishaps"] = [
            {name: value for name, value in asdict(mishap).items() if value != plain[name]}
            for mishap in step.mishaps
        ]
    return {"unit": step.unit, "does": step.does, **told}
