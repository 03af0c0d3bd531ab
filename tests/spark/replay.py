"""Cases of the corpus on Spark: each in a schema of its own, with what its answer is to be."""

from __future__ import annotations

import itertools
import json
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from pyspark.sql import SparkSession

from tests.spark import adaptation, values
from tests.spark.adaptation import Adapted
from tests.spark.differences import DIFFERENCES
from tests.spark.parameters import with_literals
from tests.spark.values import Answer
from tests.warehouse.corpus import compare
from tests.warehouse.corpus.reader import Case, Step

CATALOG = "spark_catalog"

_READS = re.compile(r"\s*(SELECT|WITH|VALUES|FROM|\()", re.IGNORECASE)


@dataclass(frozen=True)
class _Outcome:
    """What came of a step."""

    problems: list[str] = field(default_factory=list)
    left: str = ""
    values: int = 0
    ends_case: bool = False


class Replay:
    """Runs cases on a Spark session.

    Cases that share a set-up and only read share its tables too, as long as they follow each other;
    these are Parquet files, since Delta needs half a second for what then is read once.

    Attributes:
        steps: How many steps were compared.
        values: How many values their rows had.
        unexplained: How many cases did not go as expected.
        left: Reason to how many steps were not run, since open-source Spark has no such statement.
    """

    # Of all replays, since they may share a session.
    _schemas = itertools.count(1)

    def __init__(self, session: SparkSession) -> None:
        self._session = session
        self._schema = ""
        self._setup: tuple[str | None, bool] = (None, False)
        self._untouched = False
        self.steps = 0
        self.values = 0
        self.unexplained = 0
        self.left: Counter[str] = Counter()

    def trouble(self, case: Case) -> str:
        """What is not as expected at the first step that goes wrong; nothing if all is well."""
        if any(adaptation.uses_transactions(step.sql) for step in case.steps):
            self.left[adaptation.TRANSACTIONS] += len(case.steps)
            return ""
        reads = not writes(case)
        plain = reads and all(adaptation.can_be_plain(step.sql) for step in case.setup)
        if not self._untouched or (case.setup_name, plain) != self._setup:
            self._open()
            self._setup = (case.setup_name, plain)
            for step in case.setup:
                outcome = self._run(step, self._session, plain=plain)
                if outcome.ends_case:
                    self._untouched = False
                    self.left[outcome.left] += len(case.steps)
                    return ""
                if problems := outcome.problems:
                    self._untouched = False
                    return _trouble(f"{case.subject}, set-up {case.setup_name}", step, problems)
        self._untouched = reads
        # Another replay of the same session may have gone elsewhere.
        self._session.sql(f"USE {CATALOG}.{self._schema}")
        return self._steps_trouble(case)

    def _steps_trouble(self, case: Case) -> str:
        sessions = {"A": self._session}
        for place, step in enumerate(case.steps, 1):
            if step.session not in sessions:
                sessions[step.session] = self._session.newSession()
                sessions[step.session].sql(f"USE {CATALOG}.{self._schema}")
            outcome = self._run(step, sessions[step.session])
            self.left.update([outcome.left] if outcome.left else [])
            self.steps += not outcome.left
            self.values += outcome.values
            listed = f"{case.id}#{place}"
            if outcome.problems and listed not in DIFFERENCES:
                return _trouble(listed, step, outcome.problems)
            if not outcome.problems and listed in DIFFERENCES:
                return _trouble(listed, step, ["agrees; take it out of the listed differences"])
            if outcome.problems or outcome.ends_case:
                self.left[adaptation.BEFORE] += len(case.steps) - place
                break
        return ""

    def figures(self) -> dict[str, int]:
        """What was compared, left and seen to differ, by name."""
        left = {f"left: {reason}": count for reason, count in self.left.items()}
        counts = {
            "statements": self.steps,
            "values": self.values,
            "unexplained": self.unexplained,
        }
        return counts | left

    def close(self) -> None:
        """Drop the last case's tables."""
        if self._schema:
            self._session.sql(f"USE {CATALOG}.default")
            # Besides its own there may be others that a case has named ${schema}_2, ${schema}_3 …
            for row in self._session.sql(
                f"SHOW SCHEMAS IN {CATALOG} LIKE '{self._schema}*'"
            ).collect():
                self._session.sql(f"DROP SCHEMA {CATALOG}.{row[0]} CASCADE")
        self._schema = ""

    def _open(self) -> None:
        self.close()
        self._schema = f"case_{next(self._schemas)}_"  # so that none begins another's name
        self._session.sql(f"CREATE SCHEMA {CATALOG}.{self._schema}")
        self._session.sql(f"USE {CATALOG}.{self._schema}")
        self._session.conf.set("spark.sql.session.timeZone", "UTC")

    def _run(self, step: Step, session: SparkSession, *, plain: bool = False) -> _Outcome:
        text = self._filled(with_literals(step.sql, step.parameters))
        adapted = adaptation.adapt(text, plain=plain)
        if adapted.left:
            return _Outcome(left=adapted.left)
        answer = Answer()
        for statement in adapted.statements:
            answer = values.ask(session, statement)
            if answer.error_class is not None:
                break
        if step.error_class is None and answer.error_class is not None:
            reason = adaptation.refused_here(text, answer.error_class)
            if reason:
                return _Outcome(left=reason, ends_case=True)
        return _Outcome(
            list(self._differences(step, answer, adapted)),
            values=sum(map(len, answer.rows)),
            ends_case=adapted.ends_case and answer.error_class is not None,
        )

    def _differences(self, step: Step, answer: Answer, adapted: Adapted) -> Iterator[str]:
        if answer.error_class is not None:
            # Some of Delta's conditions have no SQLSTATE here; one is documented for Databricks.
            state = answer.sqlstate or (step.sqlstate if step.error_class != "*" else "00000")
            message = f"[{answer.error_class.lstrip('_')}] SQLSTATE: {state} {answer.message}"
            if step.error_class is None:
                yield f"Spark refuses it: {message[:1000]}"
            elif not compare.error_matches(replace(step, error_text=""), message):
                yield f"expected {step.error_class} {step.sqlstate}, Spark has {message[:1000]}"
        elif step.error_class is not None:
            yield f"expected {step.error_class} {step.sqlstate}, Spark answers {answer.rows}"
        elif step.columns is not None and adapted.has_result:
            yield from self._result_differences(step, answer)

    def _result_differences(self, step: Step, answer: Answer) -> Iterator[str]:
        expected = [(column.name, values.squeezed(column.type)) for column in step.columns or []]
        if len(expected) != len(answer.columns) or any(
            want[0] not in ("_", found[0]) or want[1] != found[1]
            for want, found in zip(expected, answer.columns, strict=False)
        ):
            yield f"columns: expected {expected}, Spark has {answer.columns}"
            return
        rows = json.loads(self._filled(json.dumps(step.rows)))
        yield from compare.row_problems(replace(step, rows=rows), answer.rows)

    def _filled(self, text: str) -> str:
        return text.replace("${catalog}", CATALOG).replace("${schema}", self._schema)


def writes(case: Case) -> bool:
    """Whether a case has statements that are no queries."""
    return not all(_READS.match(step.sql) for step in case.steps)


def _trouble(name: str, step: Step, problems: list[str]) -> str:
    return "\n".join([f"{name}, line {step.line}: {step.sql}", *problems])
