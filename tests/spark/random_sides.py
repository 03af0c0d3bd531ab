"""The local warehouse as one side of a comparison: in this process, a fresh schema a script."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Sequence

from tests.spark.random_agreement import UNREADABLE, Outcome
from tests.spark.random_tree import Script
from tests.warehouse.corpus import compare
from tests.warehouse.engine.client import Client
from vinci_code.warehouse.engine.engine import Engine
from vinci_code.warehouse.sql.errors import SqlError


class Warehouse:
    """Runs scripts on an engine in memory."""

    def __init__(self) -> None:
        self._engine = Engine()
        self._client = Client(self._engine)
        self._schemas = itertools.count()

    def answers(
        self, scripts: Sequence[Script], doubtful: Collection[int] = ()
    ) -> list[list[Outcome]]:
        """The outcomes of each script's statements."""
        return [self._run(script) for script in scripts]

    def close(self) -> None:
        """Free the engine."""
        self._engine.close()

    def _run(self, script: Script) -> list[Outcome]:
        if len(script.statements) == 1:
            return [self._ask(script.texts[0])]
        name = f"s{next(self._schemas)}"
        self._client.script(f"CREATE SCHEMA {name}", f"USE SCHEMA {name}")
        outcomes: list[Outcome] = []
        for text in script.texts:
            outcomes.append(self._ask(text))
            if outcomes[-1].error_class is not None:
                break
        self._client.script("USE SCHEMA default", f"DROP SCHEMA {name} CASCADE")
        return outcomes

    def _ask(self, text: str) -> Outcome:
        try:
            result = self._client.result(text)
            rows = [
                list(row)
                for batch in result.batches
                for row in zip(
                    *(
                        [compare.canonical(value, column.type) for value in column.to_pylist()]
                        for column in batch.columns
                    ),
                    strict=True,
                )
            ]
            result.close()
        except (ValueError, OverflowError) as error:
            return Outcome(error_class=UNREADABLE, message=str(error))
        except SqlError as error:
            return Outcome(
                error_class=error.error_class, sqlstate=error.sqlstate, message=str(error)
            )
        columns = tuple(
            (column.name, column.type.simple.upper().replace(" ", "")) for column in result.columns
        )
        return Outcome(columns, rows)
