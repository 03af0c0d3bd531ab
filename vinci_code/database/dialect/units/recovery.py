"""Whether a commit happened whose answer was lost.

The rule: every statement that commits a unit carries a query tag of its own. When its answer is
lost, its session is ended, and the query history of the warehouse is asked for the tag. FINISHED
means committed. FAILED means not committed, and the unit fails with the error recorded there;
CANCELED means not committed, and the same statement is sent once more (but for the COMMIT of a
transaction, which has ended with its session): it has an entry, so it has arrived, and no copy of
it can still come. Where the history does not say, for it shows no such statement in time, refuses
to tell, or there is none, one thing still proves that the unit was committed: a stored row whose
key was made by this process for a row of this very unit, and that no other write can ever have
held, because nobody else can have written it. Nothing that rows say proves that a unit was not
committed: who consumes rows may have deleted them, who loads the same rows again has put them
back, and a copy of the statement may come late; so it is never sent again for what rows say. All
else is ``AmbiguousWriteError``, which names the tag.

What is known of rows is known from the construct: ``inserts`` and ``flushed_keys`` make a key where
SQLAlchemy's INSERT leaves it to the database, ``keys`` remembers it as made, and ``note_keys``
notes which write holds it. A key proves only while no other write can have held it. So one that a
second write holds, of an object that is added again after an error or merged into another session,
proves nothing; nor does one that an upsert or an UPDATE sets, that the application has given, or
that was made before a fork, since the child may have it. A statement that computes what it inserts
takes the proof from the keys of its table, and one of which nothing is known, such as raw text or
DDL, from all keys that were made until then. A foreign key, in plain rows of another table or
column, takes nothing.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

from vinci_code.database.dialect.driver.query_history import TAG, Fate, Sought, Verdict
from vinci_code.database.dialect.sql.inserts import generated_key
from vinci_code.database.dialect.sql.keys import Place, next_key
from vinci_code.database.dialect.sql.uniques import uniques
from vinci_code.database.dialect.units.held import Held, HeldRows, HeldText, bare_name
from vinci_code.database.dialect.writes.shapes import Field, Shape, WriteKind

# Of the rows with made keys one is enough; others may have been deleted by who has consumed them.
_SAMPLE = 100
_QUESTIONS = 3


class CommitOutcome(Enum):
    """What became of a unit of work."""

    COMMITTED = "committed"
    ABSENT = "absent"
    """It was not committed, and no copy of it will be."""
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class CommitFinding:
    """What was found out.

    Attributes:
        outcome: What became of the unit.
        reason: In words: what it failed with, or why nothing is known.
        failed: Whether it failed by itself, with ``reason``, and was not cancelled.
    """

    outcome: CommitOutcome
    reason: str = ""
    failed: bool = False


@dataclass(frozen=True)
class Commit:
    """A statement by which a unit of work is committed.

    Attributes:
        text: The statement.
        held: What it commits.
        identity: Its own, which no other commit has.
        began: When it was sent, in seconds since the epoch.
        made: The keys that prove it, as another process has noted them; ``None`` where this
            process has made them, and remembers.
    """

    text: str
    held: Sequence[Held]
    identity: str = field(default_factory=lambda: str(uuid.uuid4()))
    began: float = field(default_factory=time.time)
    made: Collection[int] | None = None

    @property
    def word(self) -> str:
        """The word that it begins with."""
        return self.text.split(None, 1)[0]

    @property
    def tags(self) -> dict[str, str]:
        """The query tags that it is sent with."""
        return {TAG: self.identity}

    def sought(self, copies: int) -> Sought:
        """What is looked for in the query history, where it was sent so many times at most."""
        return Sought(self.identity, self.word, self.began, copies)


def find_out(
    commit: Commit, ask_history: Callable[[], Verdict], count: Callable[[str], int]
) -> CommitFinding:
    """Find out what became of a unit of work, by the rule above.

    The session of ``commit`` was ended. ``count`` runs a query that counts rows, on a new one.

    Raises:
        Error: The rows cannot be counted.
    """
    verdict = ask_history()
    if verdict.fate is Fate.FINISHED:
        return CommitFinding(CommitOutcome.COMMITTED)
    if verdict.fate is Fate.NOT_EXECUTED:
        return CommitFinding(CommitOutcome.ABSENT, verdict.reason, verdict.failed)
    for question in _questions(commit):
        if count(question):
            return CommitFinding(CommitOutcome.COMMITTED)
    return CommitFinding(CommitOutcome.UNKNOWN, verdict.reason)


# --- what is known of a held write from its construct ---------------------------------------------


def note_keys(write: Held) -> None:
    """Note which keys that were made for rows a write holds, or may hold."""
    if isinstance(write, HeldText):
        next_key.doubt(write.sets)
        return
    plan = _plan_of(write.shape)
    own = _place_of_key(write)
    for item, place in plan.places:
        if own is not None and item.column is own.column:
            next_key.claim([row[own.position] for row in write.rows], place)
        elif item.column is plan.generated or next_key.proves_at(place):
            keys = [row[item.first] for row in write.rows] if item.is_plain else None
            next_key.doubt({place}, keys)


def place_of(table: Any, column: Any) -> Place:
    """The place of a column, whatever ``Table`` it is of."""
    return bare_name(table), str(column.name).lower()


def is_new_key(table: Any, key: Sequence[Any]) -> bool:
    """Whether nobody else can have a row with a key, nor one that is unique in it otherwise.

    So it is of a key that was made here, and held once, in a table where nothing else is unique.
    """
    column = generated_key(table)
    if column is None or len(key) != 1 or len(list(uniques(table))) != 1:
        return False
    return bool(next_key.written_once(key, place_of(table, column)))


def has_new_keys(write: HeldRows) -> bool:
    """Whether that is so of the keys of all rows that a write inserts; see ``is_new_key``."""
    own, table = _place_of_key(write), write.shape.table
    if own is None or len(list(uniques(table))) != 1:
        return False
    keys = [row[own.position] for row in write.rows]
    return len(next_key.written_once(keys, place_of(table, own.column))) == len(keys)


def made_once(write: Held, noted: Collection[int] | None = None) -> list[int]:
    """The keys of a write's rows by which a stored row proves it: the newest, a few.

    ``noted`` are those of which another process has noted that they do; ``None`` for this one's.
    """
    own = _place_of_key(write) if isinstance(write, HeldRows) else None
    if own is None or not isinstance(write, HeldRows):
        return []
    keys = [row[own.position] for row in write.rows]
    if noted is not None:
        return [key for key in keys if key in noted][-_SAMPLE:]
    return next_key.written_once(keys, place_of(write.shape.table, own.column))[-_SAMPLE:]


def _questions(commit: Commit) -> Iterator[str]:
    """Queries that count rows which only this unit can have written."""
    asked = 0
    for write in commit.held:
        own = _place_of_key(write) if isinstance(write, HeldRows) else None
        if own is None or not isinstance(write, HeldRows) or asked == _QUESTIONS:
            continue
        made = made_once(write, commit.made)
        if made:
            asked += 1
            target = write.shape.target
            listed = ", ".join(map(str, made))  # whole numbers, which need no marker
            yield f"SELECT count(*) FROM {target} WHERE {target}.{own.name} IN ({listed})"  # noqa: S608


class _Key(NamedTuple):
    """Where a key stands that is made here: its column, the name of it as rendered, and where."""

    column: Any
    name: str
    position: int


class _KeyPlan(NamedTuple):
    """What is known of the keys that are written by statements of one shape.

    Attributes:
        places: The columns that are written, each with its place.
        generated: That of them whose keys are made here, if there is one.
        key: Where the keys stand of rows that are inserted, if they are made here.
    """

    places: tuple[tuple[Field, Place], ...]
    generated: Any
    key: _Key | None


_plans: WeakKeyDictionary[Shape, _KeyPlan] = WeakKeyDictionary()


def _place_of_key(write: HeldRows) -> _Key | None:
    """Where the keys stand of rows that are inserted, and not changed if they are there."""
    return _plan_of(write.shape).key if write.upsert is None else None


def _plan_of(shape: Shape) -> _KeyPlan:
    plan = _plans.get(shape)
    if plan is None:
        plan = _plans[shape] = _planned(shape)
    return plan


def _planned(shape: Shape) -> _KeyPlan:
    made = generated_key(shape.table)
    named = (item.column for item in shape.values)
    generated = (
        None if made is None else next((one for one in named if one.name == made.name), None)
    )
    keys = (
        _Key(item.column, item.name, item.first)
        for item in shape.values
        if item.column is generated and item.is_plain and shape.kind is WriteKind.INSERT
    )
    places = tuple((item, place_of(shape.table, item.column)) for item in shape.values)
    return _KeyPlan(places, generated, next(keys, None))
