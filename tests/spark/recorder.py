"""Records what reaches a local warehouse as cases: statements, their tables, and the answers.

Of statements with the same shape (``shapes.py``) one is kept: the first that has something to show
and is short. Of SELECTs of values alone, whose values matter, up to three are.

Statements about metadata (``SHOW``, ``DESCRIBE``, ``information_schema``) and DDL are recorded as
accepted or refused, without an answer.
"""

from __future__ import annotations

import hashlib
import os
import re
import threading
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
from sqlglot import exp

from tests.spark import casefile
from tests.spark.casefile import Written
from tests.spark.shapes import Namespace, columns_of, kind, types_of
from tests.spark.snapshots import (
    MANY_ROWS,
    MAX_BYTES,
    Answer,
    NotRecordableError,
    Snapshot,
    Snapshots,
    is_of_this_run,
    read,
    taken,
    targets_of,
)
from tests.warehouse.corpus.compare import table_rows
from tests.warehouse.corpus.reader import Case
from vinci_code.warehouse.engine.result import Column, Result
from vinci_code.warehouse.engine.session import EngineSession
from vinci_code.warehouse.sql.errors import SqlError
from vinci_code.warehouse.sql.parameters import Parameter
from vinci_code.warehouse.sql.parse import first_word, parse_statement

CONSTANTS_KEPT = 3
BEGIN = "BEGIN TRANSACTION"
_SHORT = 4_000
_WITH_ANSWER = frozenset(("SELECT", "INSERT", "UPDATE", "DELETE", "MERGE"))
_READS = ("SELECT", "WITH", "VALUES")
_METADATA_WORDS = ("SHOW", "DESC", "DESCRIBE")
_METADATA = re.compile(r"\binformation_schema\b", re.IGNORECASE)
_BY_CLOCK_OR_CHANCE = re.compile(
    r"\b(current_timestamp|current_date|current_time|curdate|now|localtimestamp|uuid|rand|random"
    r"|randn|current_user|session_user|user|version|current_version|unix_timestamp)\b\s*(\(|$)",
    re.IGNORECASE,
)
# What comes of another session, or of the moment, is no property of the statement.
_BY_OTHERS = re.compile(
    r"OPERATION_CANCELED|STATEMENT_TIMEOUT|CONCURRENT|CONFLICT|ROLLBACK_REQUIRED"
)


@dataclass(frozen=True)
class Recorded:
    """One statement as a case.

    Attributes:
        case: The case.
        rank: The lower, the better is it suited to stand for its shape.
    """

    case: Written
    rank: tuple[bool, bool, bool, int]


@dataclass
class Recorder:
    """Watches statements (``watching.py``) and keeps one of each shape.

    Attributes:
        known: What other files have cases of (``kind_of``), which is not recorded again.
        seen: How many statements there were.
    """

    known: frozenset[str] = frozenset()
    seen: int = 0
    _kept: dict[str, list[Recorded]] = field(default_factory=lambda: defaultdict(list))
    _left_out: dict[str, str] = field(default_factory=dict)
    _snapshots: Snapshots = field(default_factory=Snapshots)
    _lock: threading.RLock = field(default_factory=threading.RLock)

    def __call__(
        self,
        session: EngineSession,
        text: str,
        parameters: Sequence[Parameter],
        run: Callable[[], Result],
    ) -> Result:
        """Run a statement, and record it."""
        with self._lock:
            recording = _Recording(self, session, text, parameters)
            self.seen += 1
        try:
            result = run()
            table = taken(result)
        except SqlError as error:
            with self._lock:
                self._keep(recording, recording.error(error))
            raise
        with self._lock:
            self._keep(recording, recording.answer(result, table))
        return result

    def text(self, head: Sequence[str]) -> str:
        """The file of all cases, with remarks above."""
        kept = [item for items in self._kept.values() for item in items]
        return casefile.text(head, [item.case for item in kept])

    def summary(self) -> str:
        """How much was seen and kept, and what was left out for which reason."""
        kept = [item for items in self._kept.values() for item in items]
        setups = {item.case.setup.name for item in kept if item.case.setup is not None}
        missing = {shape: why for shape, why in self._left_out.items() if shape not in self._kept}
        counts = (
            f"{self.seen} statements, {len(self._kept)} shapes, {len(kept)} cases, "
            f"{len(setups)} set-ups, {len(missing)} shapes left out"
        )
        lines = [
            counts,
            *(f"  left out: {why}: {shape[:150]}" for shape, why in sorted(missing.items())),
        ]
        return "\n".join(lines)

    def _keep(self, recording: _Recording, outcome: _Outcome | None) -> None:
        if outcome is None:
            return
        key = f"{recording.shape} | {outcome.label}"
        if key in self.known:
            return
        if recording.problem or outcome.problem:
            self._left_out.setdefault(key, recording.problem or outcome.problem)
            return
        lines = (*recording.lines, *outcome.lines)
        setup = recording.setup
        size = sum(map(len, lines)) + sum(map(len, setup.statements if setup else ()))
        many = max(outcome.rows, setup.rows if setup else 0) > MANY_ROWS
        # The values of what is computed from them alone matter: they make another case.
        digest = key + ("\n".join(recording.lines) if recording.constant else "")
        hashed = hashlib.sha256(digest.encode()).hexdigest()[:8]
        case = Written(f"{recording.stem}_{hashed}", setup, lines, recording.reads)
        item = Recorded(case, (many, not outcome.telling, size > _SHORT, self.seen))
        kept = {one.case.name: one for one in self._kept[key]}
        kept[case.name] = min(kept.get(case.name, item), item, key=lambda one: one.rank)
        most = CONSTANTS_KEPT if recording.constant else 1
        self._kept[key] = sorted(kept.values(), key=lambda one: one.rank)[:most]


def kind_of(case: Case) -> str:
    """What makes a recorded case the same as another one."""
    step = next((step for step in case.steps if step.sql != BEGIN), case.steps[0])
    types = [kind.type for kind in types_of(step.parameters)]
    columns = columns_of(one.sql for one in case.setup)
    return f"{kind(step.sql, types, columns)} | {step.error_class or 'ok'}"


@dataclass(frozen=True)
class _Outcome:
    label: str
    lines: tuple[str, ...] = ()
    rows: int = 0
    telling: bool = True
    problem: str = ""


class _Recording:
    """One statement, from before it runs."""

    def __init__(
        self,
        recorder: Recorder,
        session: EngineSession,
        text: str,
        parameters: Sequence[Parameter],
    ) -> None:
        self._session = session
        self._text = text
        self._names = Namespace.of(session)
        self._in_transaction = session.in_transaction
        self.skipped = session.aborted
        word = first_word(text)
        self._metadata = word in _METADATA_WORDS or bool(_METADATA.search(text))
        template = self._names.text(text)
        bound = [(item.name, self._names.parameter(item)) for item in parameters]
        self.setup: Snapshot | None = None
        self.problem = ""
        try:
            self.setup = recorder._snapshots.take(session, text, self._names)
        except NotRecordableError as error:
            self.problem = str(error)
        columns = columns_of(self.setup.statements if self.setup else ())
        self.shape = kind(template, [item.type for _, item in bound], columns)
        self.lines = tuple(casefile.statement(template, bound))
        if sum(map(len, self.lines)) > MAX_BYTES:
            self.problem = f"a statement of {sum(map(len, self.lines))} bytes"
        self.reads = word in _READS
        self.constant = self.reads and not self._metadata and self.setup is None
        self.stem = _stem(word, self.setup)

    def error(self, error: SqlError) -> _Outcome | None:
        """How it was refused."""
        if self.skipped or _BY_OTHERS.search(error.error_class):
            return None
        lines = [f"!! {error.error_class} {error.sqlstate}"]
        if self._in_transaction and error.error_class.startswith("TRANSACTION"):
            self.lines = (f"> {BEGIN}", *self.lines)
        return _Outcome(error.error_class, tuple(lines))

    def answer(self, result: Result, table: pa.Table) -> _Outcome | None:
        """What it answered, and what the tables hold that it wrote to."""
        if first_word(self._text) in ("COMMIT", "ROLLBACK") and self._in_transaction:
            if self.skipped:
                return None
            self.lines = (f"> {BEGIN}", *self.lines)
        if result.statement_kind not in _WITH_ANSWER or self._metadata:
            return _Outcome("ok")
        if table.nbytes > MAX_BYTES and table.num_rows > MANY_ROWS:
            return _Outcome("ok", problem=f"an answer of {table.num_rows} rows")
        lines = self._table_lines(
            result.columns, table, ordered=self._is_ordered(table), unsure=self._by_clock(table)
        )
        rows = table.num_rows
        for target in targets_of(self._text):
            contents = read(self._session, f"SELECT * FROM {target}")
            rows = max(rows, contents.table.num_rows)
            if contents.table.nbytes > MAX_BYTES:
                return _Outcome("ok", problem=f"a table of {rows} rows afterwards")
            lines += self._contents(target, contents)
        changed = result.num_modified_rows
        return _Outcome(
            "ok", tuple(lines), rows, bool(table.num_rows if changed is None else changed)
        )

    def _contents(self, target: str, found: Answer) -> list[str]:
        template = self._names.text(f"SELECT * FROM {target}")
        lines = self._table_lines(found.columns, found.table, ordered=False)
        return [*casefile.statement(template, []), *lines]

    def _table_lines(
        self,
        columns: Sequence[Column],
        table: pa.Table,
        *,
        ordered: bool,
        unsure: frozenset[int] = frozenset(),
    ) -> list[str]:
        listed = [(column.name, column.type.text) for column in columns]
        naming = bool(re.search(r"current_(schema|database|catalog)", self._text, re.IGNORECASE))
        return casefile.answer(listed, _rows(table, unsure, self._names, naming), ordered=ordered)

    def _is_ordered(self, table: pa.Table) -> bool:
        """Whether the rows have to come in this order: not where several are the same to it."""
        expression = _query(self._text)
        if expression is None:
            return True
        order = expression.args.get("order")
        if order is None:
            return False
        texts = [one.unalias().sql() for one in expression.selects]
        names = [one.alias_or_name for one in expression.selects]
        wanted = [one.this for one in order.expressions]
        keys = [
            texts.index(one.sql()) if one.sql() in texts else names.index(one.name)
            for one in wanted
            if one.sql() in texts or one.name in names
        ]
        if len(keys) < len(wanted) or len(texts) != table.num_columns:
            return True
        found = {tuple(str(row[key]) for key in keys) for row in table_rows(table)}
        return len(found) == int(table.num_rows)

    def _by_clock(self, table: pa.Table) -> frozenset[int]:
        """The columns whose values come of the clock, of chance or of who asks."""
        expression = _query(self._text)
        if expression is None or not _BY_CLOCK_OR_CHANCE.search(self._text):
            return frozenset()
        selects = expression.selects
        if len(selects) != table.num_columns:
            return frozenset()
        return frozenset(
            index
            for index, one in enumerate(selects)
            if _BY_CLOCK_OR_CHANCE.search(one.sql(dialect="databricks"))
        )


def _rows(
    table: pa.Table, unsure: frozenset[int], names: Namespace, naming: bool
) -> list[list[Any]]:
    values = table_rows(table)
    plain = [column.to_pylist() for column in table.itercolumns()]
    for number, row in enumerate(values):
        for index, value in enumerate(row):
            original = plain[index][number]
            if value is not None and (index in unsure or is_of_this_run(original)):
                row[index] = "<any>"
            elif naming and isinstance(value, str):
                row[index] = (
                    "${catalog}" if value == names.catalog else names.marker(value) or value
                )
    return values


def _query(text: str) -> Any:
    """The expression of a query; ``None`` for other statements."""
    try:
        expression: Any = parse_statement(text)
    except SqlError:
        return None
    return expression if isinstance(expression, exp.Query) else None


def _stem(word: str, setup: Snapshot | None) -> str:
    module = os.environ.get("PYTEST_CURRENT_TEST", "").partition("::")[0]
    parts = [Path(module).stem.removeprefix("test_"), word.lower(), setup.stem if setup else ""]
    return re.sub(r"\W+", "_", "_".join(part for part in parts if part), flags=re.ASCII)
