"""Who is told of what is sent: listeners, statistics and the log.

::

    from sqlalchemy import event

    @event.listens_for(engine, "vinci_after_send")
    def note(statement):
        print(statement.kind.value, statement.summary, statement.duration)

The events are those of ``StatementEvents``; a listener takes an engine, or the class ``Engine`` for
all engines. SQLAlchemy's own ``before_cursor_execute`` and ``after_cursor_execute`` are called for
the same statements (``cursor_events``).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any
from weakref import ReferenceType, ref

from sqlalchemy import event
from sqlalchemy.engine import Engine

from vinci_code.database.dialect import cursor_events
from vinci_code.database.dialect.driver.announcing import (
    SentStatement,
    StatementKind,
    UnitOfWork,
)
from vinci_code.database.dialect.interruptions import is_from_signal
from vinci_code.database.dialect.units.statistics import Counter

_log = logging.getLogger(__name__)

_READS = frozenset({StatementKind.READ, StatementKind.LOOK})


class StatementEvents(event.Events):  # type: ignore[type-arg]
    """What is told of an engine of this dialect.

    What a listener raises is logged, and stops nothing: to look on must not change what is written.
    """

    def vinci_before_send(self, statement: SentStatement) -> None:
        """Tell that a statement is about to be sent.

        It is called in the thread that sends; with asyncio that is none of the event loop.
        """

    def vinci_after_send(self, statement: SentStatement) -> None:
        """Tell that a statement was executed, or has failed (``statement.error``)."""

    def vinci_unit_begin(self, unit: UnitOfWork) -> None:
        """Tell that a unit of work has written or sent something."""

    def vinci_unit_end(self, unit: UnitOfWork) -> None:
        """Tell how a unit of work has ended."""

    @classmethod
    def _accept_with(cls, target: Any, identifier: str) -> Any:  # noqa: ARG003 - SQLAlchemy's
        if isinstance(target, type):
            return Announcer if issubclass(target, (Engine, Announcer)) else None
        # That of asyncio is no Engine, and has one; a connection of asyncio has it, too.
        engine = getattr(target, "sync_engine", target) if hasattr(target, "dispose") else target
        if isinstance(engine, Engine):
            return getattr(engine.dialect, "announcer", None)
        return target if isinstance(target, Announcer) else None


class Announcer:
    """Tells of what the connections of an engine send; used by several threads at once.

    Attributes:
        statistics: What is counted.
        slow: Seconds above which a statement or a unit is logged at WARNING; ``None`` for never.
    """

    dispatch: Any = event.dispatcher(StatementEvents)

    def __init__(self, statistics: Counter, slow: float | None = None) -> None:
        self.statistics = statistics
        self.slow = slow
        self._engine: ReferenceType[Engine] | None = None

    def attach(self, engine: Engine) -> None:
        """Tell the listeners of an engine."""
        self._engine = ref(engine)

    # --- statements -----------------------------------------------------------------------------

    def before(self, statement: SentStatement, cursor: Any, parameters: Sequence[Any]) -> str:
        """Tell that a statement is about to be sent; returns the text to send.

        Raises:
            Exception: A listener of SQLAlchemy's wants it not to be sent.
        """
        text = statement.text
        if not statement.is_told:
            text = cursor_events.before(self._engine, statement, cursor, parameters)
        # Behind those who may keep it from being sent.
        if self.dispatch.vinci_before_send:
            self._tell(self.dispatch.vinci_before_send, statement)
        return text

    def after(self, statement: SentStatement, cursor: Any, parameters: Sequence[Any]) -> None:
        """Tell that it was executed, or has failed."""
        if statement.unit is not None:
            statement.unit.add(statement)
        self.statistics.add(
            sent=max(statement.attempts, 1) if statement.error is None else statement.attempts,
            reads=statement.kind in _READS,
            retries=statement.retries,
            failed=statement.error is not None,
            bytes_out=statement.bytes,
        )
        if not statement.is_told:
            cursor_events.after(statement, cursor, parameters)
        if self.dispatch.vinci_after_send:
            self._tell(self.dispatch.vinci_after_send, statement)
        if self.slow is not None and (statement.duration or 0.0) > self.slow:
            _log.warning(
                "slow statement: %s, %s, %.3f s, statement %s, unit %s",
                statement.kind.value,
                statement.summary,
                statement.duration,
                statement.statement_id,
                None if statement.unit is None else statement.unit.id,
                extra=_fields(statement),
            )

    def count(
        self, *, waits: int, waited: float, received: int, opened: int, replaced: int
    ) -> None:
        """Count what was done beside statements, or for several of them."""
        if waits or received or opened or replaced:
            self.statistics.add(
                waits=waits, waited=waited, bytes_in=received, sessions=opened, replaced=replaced
            )

    # --- units of work --------------------------------------------------------------------------

    def unit_begins(self, unit: UnitOfWork) -> None:
        """Tell that a unit of work has written or sent something."""
        if self.dispatch.vinci_unit_begin:
            self._tell(self.dispatch.vinci_unit_begin, unit)

    def unit_ends(self, unit: UnitOfWork, of: Callable[[], str]) -> None:
        """Tell how a unit of work has ended."""
        if self.dispatch.vinci_unit_end:
            self._tell(self.dispatch.vinci_unit_end, unit)
        is_slow = self.slow is not None and (unit.duration or 0.0) > self.slow and unit.statements
        level = logging.WARNING if is_slow else logging.DEBUG
        if _log.isEnabledFor(level):
            assert unit.outcome is not None  # noqa: S101 - it has ended
            _log.log(
                level,
                "%sunit %s %s: %s%d statements, %d rows, %d bytes, %d retries, %.0f ms",
                "slow: " if is_slow else "",
                unit.id,
                unit.outcome.value,
                f"{words}; " if (words := of()) else "",
                unit.statements,
                unit.rows,
                unit.bytes,
                unit.retries,
                (unit.duration or 0.0) * 1000,
                extra=_fields(unit),
            )

    def _tell(self, listeners: Any, about: Any) -> None:
        for listener in listeners:
            try:
                listener(about)
            except Exception as error:
                if is_from_signal(error):
                    raise
                _log.warning("a listener of %s failed", listeners.name, exc_info=True)


def _fields(about: SentStatement | UnitOfWork) -> dict[str, object]:
    """What a record of the log carries beside its text, for those who write it as JSON."""
    if isinstance(about, UnitOfWork):
        return {
            "vinci_unit": about.id,
            "vinci_outcome": None if about.outcome is None else about.outcome.value,
            "vinci_statements": about.statements,
            "vinci_rows": about.rows,
            "vinci_bytes": about.bytes,
            "vinci_retries": about.retries,
            "vinci_seconds": about.duration,
        }
    return {
        "vinci_unit": None if about.unit is None else about.unit.id,
        "vinci_kind": about.kind.value,
        "vinci_statement_id": about.statement_id,
        "vinci_rows": about.rows,
        "vinci_bytes": about.bytes,
        "vinci_attempts": about.attempts,
        "vinci_seconds": about.duration,
    }
