"""Whether two sides answer scripts alike, and the smallest script where they do not."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from tests.spark.random_tree import Script, shrink

#: The error class of an answer that was given and cannot be read in Python.
UNREADABLE = "UNREADABLE"


@dataclass(frozen=True)
class Outcome:
    """What one statement answered, in the corpus's notation, or how it was refused.

    Attributes:
        columns: Names and types; the types in upper case without blanks.
        rows: The rows.
        error_class: Of the error with its subclass; ``None`` if the statement was accepted.
        sqlstate: Of the error.
        message: The error's text.
    """

    columns: tuple[tuple[str, str], ...] = ()
    rows: list[list[Any]] = field(default_factory=list)
    error_class: str | None = None
    sqlstate: str | None = None
    message: str = ""


class Side(Protocol):
    """One of the two that are compared."""

    def answers(
        self, scripts: Sequence[Script], doubtful: Collection[int] = ()
    ) -> list[list[Outcome]]:
        """For each script the outcomes of its statements, up to the first that is refused.

        Args:
            scripts: The scripts.
            doubtful: The numbers of those that are likely to be refused.
        """
        ...


@dataclass(frozen=True)
class Disagreement:
    """The smallest script found on which the two sides differ, and what each answered."""

    script: Script
    way: str
    ours: list[Outcome]
    judged: list[Outcome]

    @property
    def report(self) -> str:
        """What to read about it."""
        lines = [f"{self.way}:", *self.script.texts]
        for name, outcomes in (("warehouse", self.ours), ("Spark", self.judged)):
            lines.append(f"    {name}: {_outcome_text(outcomes[-1])}")
        return "\n".join(lines)


Excused = Callable[[Script, Outcome, Outcome], str]


class Comparison:
    """Compares two sides and counts.

    Args:
        ours: The local warehouse.
        judge: Who is right.
        excused: The reason why a difference is legitimate; empty where it is none.

    Attributes:
        compared: How many outcomes were compared, by the kind of the script.
        values: How many values the rows had that the judge gave.
        excuses: How many differences had each reason.
    """

    def __init__(self, ours: Side, judge: Side, excused: Excused) -> None:
        self._ours = ours
        self._judge = judge
        self._excused = excused
        self.compared: Counter[str] = Counter()
        self.values = 0
        self.excuses: Counter[str] = Counter()

    def disagreements(self, scripts: Sequence[Script]) -> Iterator[Disagreement]:
        """The disagreements over scripts, as they were drawn."""
        answered = self._ours.answers(scripts)
        refused = {n for n, outcomes in enumerate(answered) if outcomes[-1].error_class is not None}
        verdicts = self._judge.answers(scripts, refused)
        for script, ours, judged in zip(scripts, answered, verdicts, strict=True):
            self.compared[script.kind] += len(judged)
            self.values += sum(len(row) for outcome in judged for row in outcome.rows)
            way = self._way(script, ours, judged)
            if way:
                yield Disagreement(script, way, ours, judged)

    def smallest(self, found: Disagreement) -> Disagreement:
        """The same disagreement on the smallest script."""

        def still(script: Script) -> bool:
            return self._one(script).way == found.way

        return self._one(shrink(found.script, still))

    def _one(self, script: Script) -> Disagreement:
        [ours], [judged] = self._ours.answers([script]), self._judge.answers([script])
        return Disagreement(script, self._way(script, ours, judged), ours, judged)

    def _way(self, script: Script, ours: list[Outcome], judged: list[Outcome]) -> str:
        for text, left, right in zip(script.texts, ours, judged, strict=False):
            way = difference(left, right, ordered=_ORDERED.search(text) is not None)
            if way:
                reason = self._excused(script, left, right)
                self.excuses.update([reason] if reason else [])
                return "" if reason else way
        return ""


def difference(ours: Outcome, judged: Outcome, *, ordered: bool) -> str:
    """In which way two outcomes differ; empty if they do not.

    An INSERT on Spark gives no counts; what it wrote is read afterwards.
    """
    if (ours.error_class, ours.sqlstate) != (judged.error_class, judged.sqlstate):
        left, right = (_verdict(outcome) for outcome in (ours, judged))
        return f"the warehouse {left}, Spark {right}"
    if not judged.columns:
        return ""
    if [kind for _, kind in ours.columns] != [kind for _, kind in judged.columns]:
        return "other types"
    if [name for name, _ in ours.columns] != [name for name, _ in judged.columns]:
        return "other names"
    kinds = [kind for _, kind in judged.columns]
    left_rows, right_rows = (_comparable(side.rows, kinds) for side in (ours, judged))
    if not ordered:
        left_rows, right_rows = sorted(left_rows), sorted(right_rows)
    return "" if left_rows == right_rows else "other rows"


def case_text(found: Disagreement, name: str) -> str:
    """A disagreement as a case of the corpus: the answers are the judge's."""
    lines = [f"=== {name}"]
    for statement, outcome in zip(found.script.texts, found.judged, strict=False):
        first, *rest = statement.split("\n")
        lines += [f"> {first}", *(f". {line}" for line in rest)]
        if outcome.error_class is not None:
            lines.append(f"!! {outcome.error_class} {outcome.sqlstate or '*'}")
        elif outcome.columns:
            shown = ", ".join(
                f"{_column_name(name)} {_written(kind)}" for name, kind in outcome.columns
            )
            lines.append(f"~~ {shown}")
            lines += [json.dumps(row, ensure_ascii=False) for row in outcome.rows]
    return "\n".join(lines) + "\n"


def _written(kind: str) -> str:
    """A squeezed type as the corpus writes it; the fields' names are in lower case."""
    spaced = re.sub(r"INTERVAL([A-Z]+?)(?:TO([A-Z]+))?(?![A-Z])", _interval, kind)
    return re.sub(r"(?<=[<,])\w+(?=:)", lambda match: match[0].lower(), spaced)


def _interval(match: re.Match[str]) -> str:
    return f"INTERVAL {match[1]}" + (f" TO {match[2]}" if match[2] else "")


def _column_name(name: str) -> str:
    return name if re.fullmatch(r"\w+", name) else "`" + name.replace("`", "``") + "`"


def _verdict(outcome: Outcome) -> str:
    return "answers" if outcome.error_class is None else f"has {outcome.error_class}"


def _outcome_text(outcome: Outcome) -> str:
    if outcome.error_class is not None:
        return f"{outcome.error_class} {outcome.sqlstate} {outcome.message[:300]!r}"
    columns = ", ".join(f"{name} {kind}" for name, kind in outcome.columns)
    return f"{columns}: {json.dumps(outcome.rows, ensure_ascii=False)[:600]}"


# The ORDER BY of the whole statement is at its end; one in brackets is of something inside.
_ORDERED = re.compile(r"ORDER BY [^()]*$")


def _comparable(rows: list[list[Any]], kinds: list[str]) -> list[str]:
    return [
        json.dumps(
            [_without_order(value, "MAP<" in kind) for value, kind in zip(row, kinds, strict=True)]
        )
        for row in rows
    ]


def _without_order(value: Any, has_maps: bool) -> Any:
    """A value with the entries of its maps in one order, since they have none."""
    if not has_maps:
        return value
    if isinstance(value, dict):
        return {name: _without_order(item, has_maps) for name, item in value.items()}
    if not isinstance(value, list):
        return value
    items = [_without_order(item, has_maps) for item in value]
    is_map = all(isinstance(item, list) and len(item) == 2 for item in items)
    return sorted(items, key=json.dumps) if is_map else items
