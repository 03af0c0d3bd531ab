"""Cases of the corpus on Spark: each in a schema of its own, with what its answer is to be."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from dataclasses import replace

from pyspark.sql import SparkSession

from tests.spark import adaptation, values
from tests.spark.adaptation import Adapted
from tests.spark.parameters import with_literals
from tests.spark.values import Answer
from tests.warehouse.corpus import compare
from tests.warehouse.corpus.reader import Case, Step

CATALOG = "spark_catalog"

_READS = ("SELECT", "WITH", "VALUES", "FROM", "(")


class Replay:
    """Runs cases on a Spark session.

    Cases that share a set-up and only read share its tables too, as long as they follow each other.

    Attributes:
        steps: How many steps were compared.
        values: How many values their rows had.
        left: Reason to how many steps were not run, since open-source Spark has no such statement.
    """

    def __init__(self, session: SparkSession) -> None:
        self._session = session
        self._schemas = itertools.count(1)
        self._schema = ""
        self._shared: str | None = None
        self.steps = 0
        self.values = 0
        self.left: dict[str, int] = {}

    def trouble(self, case: Case) -> str:
        """What is not as expected at the first step that goes wrong; nothing if all is well."""
        sessions = {"A": self._session}
        if case.setup_name is None or case.setup_name != self._shared:
            self._open()
            for step in case.setup:
                if problems := self._problems(step, self._session):
                    return _told(case, step, problems)
            self._shared = case.setup_name
        if not all(step.sql.lstrip().upper().startswith(_READS) for step in case.steps):
            self._shared = None
        for step in case.steps:
            if step.session not in sessions:
                sessions[step.session] = self._session.newSession()
                sessions[step.session].sql(f"USE {CATALOG}.{self._schema}")
            if problems := self._problems(step, sessions[step.session]):
                return _told(case, step, problems)
        return ""

    def close(self) -> None:
        """Drop the last case's tables."""
        if self._schema:
            self._session.sql(f"USE {CATALOG}.default")
            for suffix in ("", "_2"):
                name = f"{CATALOG}.{self._schema}{suffix}"
                self._session.sql(f"DROP SCHEMA IF EXISTS {name} CASCADE")
        self._schema = ""

    def _open(self) -> None:
        self.close()
        self._schema = f"case_{next(self._schemas)}"
        self._session.sql(f"CREATE SCHEMA {CATALOG}.{self._schema}")
        self._session.sql(f"USE {CATALOG}.{self._schema}")
        self._session.conf.set("spark.sql.session.timeZone", "UTC")

    def _problems(self, step: Step, session: SparkSession) -> list[str]:
        adapted = adaptation.adapt(step)
        if adapted.left:
            self.left[adapted.left] = self.left.get(adapted.left, 0) + 1
            return []
        answer = Answer()
        for statement in adapted.statements:
            sql = self._filled(with_literals(statement, step.parameters))
            answer = values.ask(session, sql)
            if answer.error_class is not None:
                break
        self.steps += 1
        self.values += sum(map(len, answer.rows))
        return list(self._differences(step, answer, adapted))

    def _differences(self, step: Step, answer: Answer, adapted: Adapted) -> Iterator[str]:
        if answer.error_class is not None:
            told = f"[{answer.error_class}] {answer.message} SQLSTATE: {answer.sqlstate}"
            if step.error_class is None:
                yield f"Spark refuses it: {told[:1000]}"
            elif not compare.error_matches(replace(step, error_text=""), told):
                yield f"expected {step.error_class} {step.sqlstate}, Spark has {told[:1000]}"
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


def _told(case: Case, step: Step, problems: list[str]) -> str:
    return "\n".join([f"{case.subject}.case:{step.line}: {step.sql}", *problems])
