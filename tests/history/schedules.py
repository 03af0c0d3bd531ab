"""Random schedules of units of work: what each does, in which order, and what goes wrong meanwhile.

A schedule is a list of steps, a function of its seed and number alone. It is written as JSON, one
step a line, and read back to run it again.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace

UNIT, PER_TABLE = "unit", "per_table"

COMMIT, ROLLBACK = "commit", "rollback"
ENDS = (COMMIT, ROLLBACK)
REPEAT, FORK = "repeat", "fork"
"""Units of one step: one that is run by ``run_unit``, and one of a child process."""

BETWEEN, OVERLAP, PROBE, RESEND, END = "between", "overlap", "probe", "resend", "end"
"""Moments of a commit: when the first statement of a block was computed; when all were, and nothing
is committed yet; when the answer was lost and nobody has asked yet; when somebody has; when all is
over."""

ARRIVAL, DONE = "arrival", "done"
"""Two more, at which a signal comes: when a statement has arrived; when it has committed, and the
answer was not sent yet."""

SIGNALS = (ARRIVAL, BETWEEN, OVERLAP, DONE, PROBE, RESEND)
"""The moments of a commit at which a signal may come."""

AFTER_LOADING = "loaded"
"""Of a unit that is repeated: when it has read, and not written yet."""

LOST_BEFORE, LOST_AFTER, LOST_MIDDLE = "lost before", "lost after", "lost in the middle"
CONFLICT = "conflict"
HARMLESS = ("delayed", "slow", "429")

HIDDEN, TOO_LATE, FORBIDDEN, AWAY = (
    "history hidden",
    "history too late",
    "history forbidden",
    "history away",
)
WITHHELD = (HIDDEN, TOO_LATE, FORBIDDEN, AWAY)
"""The query history does not say what became of a commit."""

HINDERED = ("history late", "history busy", "history away once", "history cut")
"""It says so after a while, and has to be waited for."""
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
    "append": 8,
    "remove": 1,
    "open": 2,
    "add": 3,
    "recode": 2,
    "drop": 2,
    "reload": 4,
    "put": 2,
    "set": 2,
    "unset": 1,
    "touch": 2,
    "pay": 10,
    "bump": 4,
    "gain": 3,
    "grant": 2,
    "close": 2,
    "renew": 3,
    "copy": 1,
    "send": 5,
    "consume": 6,
    "once": 5,
    "forget": 2,
    "again": 3,
    "read": 5,
    "count": 1,
}
# What has two keys of those that units fight over.
_SEVERAL = ("touch", "reload")
_TABLES = ("account", "item", "setting", "wallet", "wallet", "note", "receipt")


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
        does: What it does: see ``deeds``.
        keys: The rows that it is about, by their number within the schedule.
        code: The code that it writes, where it writes one.
        table: The table that it reads.
        mishaps: What goes wrong.
        late: The moment at which a lost statement arrives after all; ``None`` for never.
        meanwhile: How many of the following steps, of other units, happen within this one.
        moment: When they do.
        signal: The moment at which the handler of a signal raises an exception.
        raises: Which: see ``signals.RAISED``.
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
    signal: str | None = None
    raises: int = 0


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

    def as_json(self) -> str:
        """The schedule as JSON, without what is as usual."""
        head = {"name": self.name, "atomicity": self.atomicity, "repeatable": self.repeatable}
        lines = [json.dumps(_step_fields(step)) for step in self.steps]
        return json.dumps(head)[:-1] + ', "steps": [\n ' + ",\n ".join(lines) + "\n]}"


def read(text: str) -> Schedule:
    """Read what ``Schedule.as_json`` gives."""
    given = json.loads(text)
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


def generate(seed: int, number: int, *, transactions: bool, about: str | None = None) -> Schedule:
    """The schedule with a number.

    Args:
        seed: The seed of the run.
        number: Which of its schedules.
        transactions: Whether the warehouse has transactions.
        about: One of ``STORIES``; any, or mostly none, by default.
    """
    name = f"{seed}:{number}"
    rng = random.Random(name)
    atomicity = PER_TABLE if not transactions and rng.random() < 0.5 else UNIT
    if about is not None or rng.random() < 0.2:
        weights = [weight for weight, _ in _STORIES.values()]
        story = about or rng.choices(STORIES, weights)[0]
        story_steps = tuple(_STORIES[story][1](rng))
        # By itself a read brings along what is held, and begins no transaction.
        first = (0,) if story == IN_A_TRANSACTION and transactions else ()
        goes = atomicity if _goes_per_table(story_steps) else UNIT
        return Schedule(name, goes, first, story_steps)
    units = rng.randint(2, 4)
    calm = rng.random() < 0.2
    # Without transactions a unit on several tables is refused, and then there is little to see.
    most = 4 if transactions or atomicity == PER_TABLE or rng.random() < 0.3 else 1
    left: list[list[Step]] = [
        _unit(rng, unit, calm=calm, overlaps=atomicity == UNIT, most=most) for unit in range(units)
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
    if not _goes_per_table(steps):
        atomicity = UNIT
    repeatable = [unit for unit in range(units) if transactions and rng.random() < 0.15]
    return Schedule(name, atomicity, tuple(repeatable), tuple(steps))


def _goes_per_table(steps: Sequence[Step]) -> bool:
    """Whether a unit that is written table by table is known by the tables that it has written.

    That is not so where it copies from one to the other, or others come between its statements.
    """
    return not any(
        step.does == "copy" or (step.does == COMMIT and step.meanwhile) for step in steps
    )


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
    if len(step.mishaps) > 1:
        for at in range(len(step.mishaps)):
            yield replace(step, mishaps=step.mishaps[:at] + step.mishaps[at + 1 :])
    if step.signal is not None:
        yield replace(step, signal=None)
    if step.meanwhile:
        yield replace(step, meanwhile=0)
    if len(step.keys) > 1:
        yield replace(step, keys=step.keys[:1])


def _unit(rng: random.Random, unit: int, *, calm: bool, overlaps: bool, most: int) -> list[Step]:
    if rng.random() < 0.12:
        return [_repeated(rng, unit, calm=calm)]
    if rng.random() < 0.025:
        return [Step(unit, FORK, (rng.choice((0, 0, 1)),))]
    names, weights = list(_OPERATIONS), list(_OPERATIONS.values())
    steps = [_step(rng, unit, name) for name in rng.choices(names, weights, k=rng.randint(1, most))]
    for _ in range(2):
        # Around some of them, and sometimes within another one.
        if rng.random() < 0.25:
            begin = rng.randrange(len(steps))
            end = rng.randint(begin + 1, len(steps))
            over = Step(unit, rng.choice(("back", "back", "release")))
            steps = [*steps[:begin], Step(unit, "savepoint"), *steps[begin:end], over, *steps[end:]]
    if not calm:
        steps = [_disturbed(rng, step) for step in steps]
    if rng.random() < 0.12:
        return [*steps, Step(unit, ROLLBACK)]
    return [*steps, _commit(rng, unit, calm=calm, overlaps=overlaps)]


def _commit(rng: random.Random, unit: int, *, calm: bool, overlaps: bool) -> Step:
    commit = Step(unit, COMMIT)
    if overlaps and rng.random() < 0.3:
        commit = replace(commit, meanwhile=rng.randint(1, 3), moment=rng.choice(_MOMENTS))
    if calm or rng.random() < 0.35:
        return commit
    if rng.random() < 0.12:
        signal, raises = rng.choice(SIGNALS), rng.randrange(3)
        lost = (Mishap(rng.choice((LOST_BEFORE, LOST_AFTER))),) if signal in _MOMENTS[4:] else ()
        return replace(commit, mishaps=lost, signal=signal, raises=raises)
    silence = (Mishap(rng.choice((*WITHHELD, *HINDERED))),) if rng.random() < 0.4 else ()
    if rng.random() < 0.2:
        late = rng.choice((PROBE, RESEND, END))
        return replace(commit, mishaps=(Mishap(LOST_BEFORE), *silence), late=late)
    if silence and rng.random() < 0.7:
        return replace(commit, mishaps=(Mishap(rng.choice((LOST_AFTER, LOST_MIDDLE))), *silence))
    mishaps = [_mishap(rng) for _ in range(rng.choice((1, 1, 1, 2)))]
    return replace(commit, mishaps=(*mishaps, *silence))


def _repeated(rng: random.Random, unit: int, *, calm: bool) -> Step:
    """A unit that is run again where somebody else was faster."""
    mishaps = () if calm or rng.random() < 0.7 else (_mishap(rng),)
    return Step(
        unit,
        REPEAT,
        (rng.choice((0, 0, 0, 1)),),
        mishaps=mishaps,
        meanwhile=rng.choice((0, 1, 2, 4)),
        moment=AFTER_LOADING,
    )


def _disturbed(rng: random.Random, step: Step) -> Step:
    if rng.random() < 0.05:
        return replace(step, mishaps=(_mishap(rng),))
    if rng.random() < 0.015:
        return replace(step, signal=ARRIVAL, raises=rng.randrange(3))
    return step


# --- what chance alone seldom brings about --------------------------------------------------------


def _lost_update(rng: random.Random) -> Iterator[Step]:
    """Two units read the same row, and the first commits before the second does."""
    key = (rng.choice((0, 1)),)
    yield Step(0, "read", key, table="wallet")
    yield Step(1, rng.choice(("pay", "pay", "bump", "renew", "close")), key)
    yield Step(0, rng.choice(("pay", "pay", "bump")), key)
    yield from _committed(rng, 1)
    yield from _committed(rng, 0)


def _loaded_again(rng: random.Random) -> Iterator[Step]:
    """A delete and reload of the same keys that is lost on its way."""
    keys = (0, 1)
    if rng.random() < 0.5:
        yield Step(1, "reload", keys, rng.choice(_CODES))
        yield Step(1, COMMIT)
    yield Step(0, "reload", keys, rng.choice(_CODES))
    if rng.random() < 0.5:
        yield Step(0, "bump", (0,))
    yield from _committed(rng, 0, lost=1.0)


def _consumed(rng: random.Random) -> Iterator[Step]:
    """A message is sent, its answer lost, and the message consumed before anybody asks."""
    yield Step(0, "send", (2,))
    if rng.random() < 0.5:
        yield Step(0, rng.choice(("bump", "pay", "append")), (0,))
    if rng.random() < 0.3:
        yield Step(0, "read", (0,), table="note")
    silence = (Mishap(rng.choice(WITHHELD)),) if rng.random() < 0.6 else ()
    lost = Mishap(rng.choice((LOST_AFTER, LOST_AFTER, LOST_MIDDLE, LOST_BEFORE)))
    yield Step(0, COMMIT, mishaps=(lost, *silence), meanwhile=3, moment=PROBE)
    for unit, does in ((1, "consume"), (2, rng.choice(("consume", "send")))):
        yield Step(unit, does, (2,))
        yield Step(unit, "bump", (1,))
        yield Step(unit, COMMIT)


def _added_again(rng: random.Random) -> Iterator[Step]:
    """A row with a key that this process has made is sent, and sent again by another unit."""
    does = rng.choice(("send", "send", "once"))
    yield Step(0, does, (3,))
    late = rng.choice((RESEND, END, END))
    yield Step(0, COMMIT, mishaps=(Mishap(LOST_BEFORE),), late=late)
    yield Step(1, "again")
    yield Step(1, rng.choice(("bump", "pay", "append")), (0,))
    yield from _committed(rng, 1, lost=0.9)


def _copied(rng: random.Random) -> Iterator[Step]:
    """What a view shows is copied, and what lies beneath it is changed by the same unit."""
    key = rng.choice((2, 3))
    if rng.random() < 0.8:
        yield Step(0, "fill", (key,))
    yield Step(0, "copy", (key,))
    yield Step(0, rng.choice(("set", "set", "unset")), (key,))
    yield from _committed(rng, 0, lost=0.2)


def _in_transaction(rng: random.Random) -> Iterator[Step]:
    """A unit sends what it holds for a reading, and its COMMIT is lost."""
    yield Step(0, rng.choice(("send", "once")), (2,))
    yield Step(0, "read", (2,), table="note")
    yield Step(0, "read", (2,), table="receipt")
    yield from _committed(rng, 0, lost=1.0)
    yield Step(1, "read", (2,), table="note")
    yield Step(1, COMMIT)


def _forked(rng: random.Random) -> Iterator[Step]:
    """A process is forked while it holds writes, or does not know what became of some."""
    yield Step(0, "bump", (0,))
    if rng.random() < 0.5:
        yield Step(1, FORK, (0,))
        yield from _committed(rng, 0)
    else:
        commit = Step(0, COMMIT, meanwhile=1, moment=PROBE)
        yield replace(commit, mishaps=(Mishap(rng.choice((LOST_AFTER, LOST_BEFORE))),))
        yield Step(1, FORK, (0,))
    yield Step(2, "pay", (0,))
    yield Step(2, COMMIT)


def _changed_otherwise(rng: random.Random) -> Iterator[Step]:
    """What was read is changed by the same unit in two ways."""
    key = (rng.choice((0, 1)),)
    for does in ("pay", "bump", "pay"):
        yield Step(0, does, key)
    yield from _committed(rng, 0, lost=0.2)


def _taken_code(rng: random.Random) -> Iterator[Step]:
    """A row is given a code, which another one may have."""
    yield Step(0, "recode", (0,), rng.choice(("c1", "c1", "c2")))
    if rng.random() < 0.5:
        yield Step(1, "recode", (1,), rng.choice(("c0", "c2")))
        yield from _committed(rng, 1)
    yield from _committed(rng, 0)


def _run_again(rng: random.Random) -> Iterator[Step]:
    """A unit that is run again where somebody was faster loses the answer to its commit."""
    silence = (Mishap(rng.choice((*WITHHELD, *HINDERED))),) if rng.random() < 0.7 else ()
    lost = Mishap(rng.choice((LOST_AFTER, LOST_BEFORE, LOST_MIDDLE)), skip=rng.choice((1, 1, 3)))
    others = rng.choice((0, 0, 2))
    repeated = Step(0, REPEAT, (0,), mishaps=(lost, *silence), moment=AFTER_LOADING)
    yield replace(repeated, meanwhile=others)
    yield Step(1, rng.choice(("bump", "pay")), (0,))
    yield Step(1, COMMIT)


IN_A_TRANSACTION = "in a transaction"
_STORIES: dict[str, tuple[int, Callable[[random.Random], Iterator[Step]]]] = {
    "lost update": (4, _lost_update),
    "loaded again": (2, _loaded_again),
    "consumed": (2, _consumed),
    "added again": (2, _added_again),
    "copied": (2, _copied),
    IN_A_TRANSACTION: (2, _in_transaction),
    "forked": (2, _forked),
    "changed otherwise": (1, _changed_otherwise),
    "taken code": (1, _taken_code),
    "run again": (2, _run_again),
}
STORIES = tuple(_STORIES)
"""What a schedule may be about: see ``generate``."""


def _committed(rng: random.Random, unit: int, *, lost: float = 0.3) -> Iterator[Step]:
    """The end of a unit, whose answer is lost now and then."""
    commit = Step(unit, COMMIT)
    if rng.random() < lost:
        kind = rng.choice((LOST_BEFORE, LOST_BEFORE, LOST_AFTER, LOST_MIDDLE, "504 executed"))
        silence = (Mishap(rng.choice((*WITHHELD, *HINDERED))),) if rng.random() < 0.4 else ()
        late = rng.choice((None, PROBE, END)) if kind == LOST_BEFORE else None
        commit = replace(commit, mishaps=(Mishap(kind), *silence), late=late)
    yield commit


# --- steps ----------------------------------------------------------------------------------------


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
    if does in _SEVERAL:
        two = tuple(sorted(rng.sample(range(_KEYS), 2)))
        return Step(unit, does, two, rng.choice(_CODES) if does == "reload" else None)
    if does == "read":
        return Step(unit, does, (key,), table=rng.choice(_TABLES))
    if does == "send":
        return Step(unit, does, (2 + 3 * unit + rng.randrange(3),))
    if does in ("grant", "copy"):
        return Step(unit, does, (rng.randrange(1, _KEYS),))
    return Step(unit, does, (key,))


def _step_fields(step: Step) -> dict[str, object]:
    usual = asdict(Step(step.unit, step.does))
    fields = {name: value for name, value in asdict(step).items() if value != usual[name]}
    if step.mishaps:
        plain = asdict(Mishap(""))
        fields["mishaps"] = [
            {name: value for name, value in asdict(mishap).items() if value != plain[name]}
            for mishap in step.mishaps
        ]
    return {"unit": step.unit, "does": step.does, **fields}
