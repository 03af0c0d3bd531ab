"""Spark as the other side of a comparison: scripts of one expression share a SELECT."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from decimal import Decimal
from typing import Any

from pyspark.sql import SparkSession, VariantVal

from tests.spark import values
from tests.spark.random_agreement import UNREADABLE, Outcome
from tests.spark.random_tree import Script

_BATCH = 20


class Spark:
    """Runs scripts on a Spark session, in a schema of its own."""

    def __init__(self, session: SparkSession) -> None:
        self._session = session
        session.sql("CREATE SCHEMA random_agreement")
        session.sql("USE random_agreement")

    def answers(
        self, scripts: Sequence[Script], doubtful: Collection[int] = ()
    ) -> list[list[Outcome]]:
        """The outcomes of each script's statements."""
        sure = [n for n, s in enumerate(scripts) if s.kind == "expression" and n not in doubtful]
        found: dict[int, list[Outcome]] = {}
        for start in range(0, len(sure), _BATCH):
            numbers = sure[start : start + _BATCH]
            found.update(self._together(numbers, [scripts[n].texts[0] for n in numbers]))
        return [found.get(n) or self._run(script) for n, script in enumerate(scripts)]

    def close(self) -> None:
        """Drop the schema."""
        self._session.sql("USE default")
        self._session.sql("DROP SCHEMA random_agreement CASCADE")

    def _together(self, numbers: list[int], texts: list[str]) -> dict[int, list[Outcome]]:
        """Ask for several values at once; halves of what fails are asked again."""
        if len(texts) == 1:
            return {numbers[0]: [self._ask(texts[0])]}
        expressions = [text.removeprefix("SELECT ").removesuffix(" AS r") for text in texts]
        listed = ", ".join(f"{value} AS r{place}" for place, value in enumerate(expressions))
        whole = self._ask(f"SELECT {listed}")
        if whole.error_class is None:
            return {
                number: [Outcome((("r", whole.columns[place][1]),), [[whole.rows[0][place]]])]
                for place, number in enumerate(numbers)
            }
        half = len(texts) // 2
        return {
            **self._together(numbers[:half], texts[:half]),
            **self._together(numbers[half:], texts[half:]),
        }

    def _run(self, script: Script) -> list[Outcome]:
        outcomes: list[Outcome] = []
        for text in script.texts:
            outcomes.append(self._ask(text))
            if outcomes[-1].error_class is not None:
                break
        if len(script.statements) > 1:
            self._session.sql("DROP TABLE IF EXISTS t")
        return outcomes

    def _ask(self, text: str) -> Outcome:
        try:
            answer = values.ask(self._session, text)
        except (ValueError, OverflowError, NotImplementedError) as error:
            # Python has no dates before year 1 and after 9999, and PySpark no intervals of months
            # inside of something.
            return Outcome(error_class=UNREADABLE, message=str(error))
        if answer.error_class is not None:
            return Outcome(
                error_class=answer.error_class, sqlstate=answer.sqlstate, message=answer.message
            )
        return Outcome(
            tuple(answer.columns), [[_plain(item) for item in row] for row in answer.rows]
        )


def _plain(value: Any) -> Any:
    """A value in which a VARIANT inside of something is the text that a client reads."""
    if isinstance(value, VariantVal):
        number = value.toPython()
        # PySpark writes a DECIMAL with the zeros at its end, a warehouse without them.
        return f"{number.normalize():f}" if isinstance(number, Decimal) else value.toJson()
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return {key: _plain(item) for key, item in value.items()} if isinstance(value, dict) else value
