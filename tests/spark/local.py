"""Runs cases on the local warehouse's engine, in process."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pyarrow as pa

from tests.spark.shapes import types_of
from tests.spark.snapshots import taken
from tests.warehouse.corpus import compare
from tests.warehouse.corpus.reader import Case, Step, Typed
from vinci_code.warehouse.engine.engine import Engine
from vinci_code.warehouse.engine.result import Column
from vinci_code.warehouse.engine.session import EngineSession
from vinci_code.warehouse.sql.errors import SqlError
from vinci_code.warehouse.sql.parameters import Parameter
from vinci_code.warehouse.sql.parse import first_word

_READS = frozenset(("SELECT", "WITH", "VALUES", "SHOW", "DESC", "DESCRIBE"))


class Replay:
    """An engine with the set-ups of cases; those that only read share one."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._numbers = itertools.count(1)
        self._shared: dict[str, str] = {}

    def problems(self, case: Case) -> list[str]:
        """What a case answers otherwise than it says, at the first step where it does."""
        reads = all(first_word(step.sql) in _READS for step in case.steps)
        schema = self._shared_schema(case) if reads else self._new_schema(case)
        session = self._engine.open_session(schema=schema)
        try:
            for step in case.steps:
                if found := _problems(session, step):
                    return [f"{case.subject}.case:{step.line}: {step.sql}", *found]
            return []
        finally:
            session.close()
            if not reads:
                self._drop(schema)

    def _shared_schema(self, case: Case) -> str:
        key = f"{case.subject}/{case.setup_name}"
        if key not in self._shared:
            self._shared[key] = self._new_schema(case)
        return self._shared[key]

    def _new_schema(self, case: Case) -> str:
        schema = f"replay{next(self._numbers)}"
        session = self._engine.open_session()
        _run(session, f"CREATE SCHEMA {schema}", [])
        session.use_schema(session.catalog, schema)
        for step in case.setup:
            _run(session, _filled(session, step.sql), [])
        session.close()
        return schema

    def _drop(self, schema: str) -> None:
        session = self._engine.open_session()
        for name in sorted(session.room.catalog.catalog(session.catalog).schemas):
            if name == schema or name.startswith(f"{schema}_"):
                _run(session, f"DROP SCHEMA {name} CASCADE", [])
        session.close()


def engine_parameters(parameters: Any) -> list[Parameter]:
    """The parameters of a step as the engine takes them."""
    names = list(parameters) if isinstance(parameters, dict) else itertools.repeat(None)
    return [
        _parameter(name, value) for name, value in zip(names, types_of(parameters), strict=False)
    ]


def _problems(session: EngineSession, step: Step) -> list[str]:
    parameters = json.loads(_filled(session, json.dumps(step.parameters)))
    try:
        columns, table = _run(session, _filled(session, step.sql), engine_parameters(parameters))
    except SqlError as error:
        if (error.error_class, error.sqlstate) == (step.error_class, step.sqlstate):
            return []
        return [f"expected {step.error_class or 'an answer'}", f"got {error}"]
    if step.error_class is not None:
        return [f"expected {step.error_class}", f"got {compare.table_rows(table)}"]
    if step.columns is None:
        return []
    expected = [(column.name, column.type) for column in step.columns]
    found = [(column.name, column.type.text) for column in columns]
    if expected != found:
        return [f"columns: expected {expected}", f"got {found}"]
    step.rows = json.loads(_filled(session, json.dumps(step.rows)))
    return compare.row_problems(step, compare.table_rows(table))


def _run(
    session: EngineSession, text: str, parameters: list[Parameter]
) -> tuple[list[Column], pa.Table]:
    result = session.execute(text, parameters)
    try:
        return result.columns, taken(result)
    finally:
        result.close()


def _filled(session: EngineSession, text: str) -> str:
    return text.replace("${catalog}", session.catalog).replace("${schema}", session.schema)


def _parameter(name: str | None, value: Typed) -> Parameter:
    if isinstance(value.value, tuple):
        items = tuple(_parameter(None, item) for item in value.value)
        return Parameter(name, value.type, None, items)
    return Parameter(name, value.type, value.value)
