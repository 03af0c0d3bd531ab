"""What is told of an engine, by each channel, beside what the local warehouse has recorded."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Engine, event

from vinci_code.database import statistics
from vinci_code.database.dialect import listeners
from vinci_code.database.dialect.driver.announcing import SentStatement, StatementKind, UnitOfWork
from vinci_code.database.dialect.units.statistics import Statistics
from vinci_code.warehouse.pytest_plugin import TestWarehouse


@dataclass
class Heard:
    """What was told while a unit of work went on.

    Attributes:
        before, after: The statements, as they were told.
        begun, ended: The units.
        cursors: The texts that SQLAlchemy's listeners were told of, and the seconds of each;
            ``None`` where it has not ended.
        errors: The errors that ended some of them.
        lines: The lines of the log, one for each unit.
        counted: What the statistics have counted.
        recorded: The statements that the warehouse was sent, by their texts, ids and tags.
    """

    before: list[SentStatement] = field(default_factory=list)
    after: list[SentStatement] = field(default_factory=list)
    begun: list[UnitOfWork] = field(default_factory=list)
    ended: list[UnitOfWork] = field(default_factory=list)
    cursors: list[tuple[str, float | None]] = field(default_factory=list)
    errors: list[BaseException] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    counted: Statistics = field(default_factory=Statistics)
    recorded: list[tuple[str, str | None, str]] = field(default_factory=list)

    @property
    def kinds(self) -> list[str]:
        """What was sent, and for what."""
        return [statement.kind.value for statement in self.after]

    def agree(self) -> None:
        """Check that all channels tell of the same statements, and the warehouse of these too."""
        assert self.before == self.after
        copies = [statement.text for statement in self.after for _ in range(statement.attempts)]
        assert [text for text, _, _ in self.recorded] == copies
        ids = {name for _, name, _ in self.recorded}
        assert all(statement.statement_id in ids for statement in self.after if _ended(statement))
        assert [text for text, _ in self.cursors] == [statement.text for statement in self.after]
        assert [text for text, seconds in self.cursors if seconds is None] == []
        assert all(statement.duration is not None for statement in self.after)
        assert self.begun == self.ended
        for unit in self.ended:
            own = [statement for statement in self.after if statement.unit is unit]
            assert unit.statements == len(own)
            assert unit.rows == sum(statement.rows or 0 for statement in own)
            assert unit.bytes == sum(statement.bytes for statement in own)
            for statement in own:
                tagged = [tags for text, _, tags in self.recorded if text == statement.text]
                assert any(f"vinci_unit:{unit.id}" in tags for tags in tagged)
        assert len(self.lines) == len(self.ended)
        counted = self.counted
        assert counted.sent == len(self.recorded)
        reads = {StatementKind.READ, StatementKind.LOOK}
        assert counted.reads == sum(statement.kind in reads for statement in self.after)
        assert counted.retries >= sum(statement.retries for statement in self.after)
        assert counted.failed == sum(statement.error is not None for statement in self.after)
        assert counted.bytes_out == sum(statement.bytes for statement in self.after)
        assert (counted.bytes_in > 0) == bool(self.recorded)


def _ended(statement: SentStatement) -> bool:
    return statement.error is None


@contextmanager
def hearing(engine: Engine, warehouse: TestWarehouse) -> Iterator[Heard]:
    """Listen, by every channel, to what is done meanwhile."""
    heard = Heard()
    told = {
        "vinci_before_send": heard.before.append,
        "vinci_after_send": heard.after.append,
        "vinci_unit_begin": heard.begun.append,
        "vinci_unit_end": heard.ended.append,
    }
    running: dict[int, tuple[int, float]] = {}

    def begins(_: Any, __: Any, text: str, ___: Any, context: Any, ____: Any) -> None:
        running[id(context)] = len(heard.cursors), time.perf_counter()
        heard.cursors.append((text, None))

    def ends(context: Any) -> None:
        if id(context) not in running:
            return
        place, began = running.pop(id(context))
        heard.cursors[place] = heard.cursors[place][0], time.perf_counter() - began

    def after(*arguments: Any) -> None:
        ends(arguments[4])

    def failed(context: Any) -> None:
        if context.execution_context is not None:
            heard.errors.append(context.original_exception)
            ends(context.execution_context)

    lines = _Lines(heard.lines)
    log = logging.getLogger(listeners.__name__)
    level = log.level
    before = statistics(engine)
    told_by_sqlalchemy = {
        "before_cursor_execute": begins,
        "after_cursor_execute": after,
        "handle_error": failed,
    }
    for name, listener in {**told, **told_by_sqlalchemy}.items():
        event.listen(engine, name, listener)
    log.addHandler(lines)
    log.setLevel(logging.DEBUG)
    warehouse.warehouse.clear_requests()
    try:
        yield heard
    finally:
        log.removeHandler(lines)
        log.setLevel(level)
        for name, listener in {**told, **told_by_sqlalchemy}.items():
            event.remove(engine, name, listener)
        heard.counted = _difference(before, statistics(engine))
        heard.recorded = [
            (
                request.statement or "",
                request.operation_id,
                request.configuration.get("query_tags", ""),
            )
            for request in warehouse.requests
            if request.operation == "ExecuteStatement"
        ]


class _Lines(logging.Handler):
    def __init__(self, lines: list[str]) -> None:
        super().__init__(logging.DEBUG)
        self._lines = lines

    def emit(self, record: logging.LogRecord) -> None:
        self._lines.append(record.getMessage())


def _difference(before: Statistics, after: Statistics) -> Statistics:
    was = before.as_dict()
    return Statistics(**{name: value - was[name] for name, value in after.as_dict().items()})  # type: ignore[arg-type]
