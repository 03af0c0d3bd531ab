"""SQLAlchemy's events of cursors, for what is sent, and not for what is held.

SQLAlchemy calls ``before_cursor_execute`` and ``after_cursor_execute`` around each execution. Here
an INSERT is held, and what writes its row goes out at the commit, for which SQLAlchemy has no such
events: so an instrumentation sees fast writes and no commits. What is done instead:

* an execution that sends one statement, as it is, has SQLAlchemy's own events;
* of any other execution SQLAlchemy calls nobody; each statement that it sends, and each that a
  commit, a check or a rollback sends, has the two events of its own, with an execution context of
  its own (``SentContext``). A statement that fails has ``handle_error`` in place of the second.

A listener that changes the text (``retval=True``) may add a comment to it. What else it changes is
refused, before anything is sent: what is sent then was made from constructs, and is checked.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any
from weakref import ReferenceType

from sqlalchemy.engine import Engine
from sqlalchemy.engine.base import Connection, ExceptionContextImpl, OptionEngine
from sqlalchemy.engine.interfaces import ExecutionContext
from sqlalchemy.pool import _AdhocProxiedConnection

from vinci_code.database.dialect.dberrors import NotSupportedError
from vinci_code.database.dialect.driver.announcing import SentStatement, StatementKind
from vinci_code.database.dialect.interruptions import is_from_signal
from vinci_code.database.dialect.text.scanning import is_comment

_log = logging.getLogger(__name__)

# Whoever raises here keeps it from being known what became of a write, or from being undone.
_ALWAYS = frozenset({StatementKind.PROBE, StatementKind.ROLLBACK})


class SentContext(ExecutionContext):
    """The execution context of a statement that is no execution of the application's.

    Attributes:
        sent: The statement.
    """

    compiled = None
    executemany = False
    isinsert = isupdate = isdelete = is_text = is_crud = isddl = False
    invoked_statement = None
    no_parameters = False

    def __init__(
        self, connection: Connection, cursor: Any, sent: SentStatement, parameters: Sequence[Any]
    ) -> None:
        self.sent = sent
        self.root_connection = connection
        self.dialect = connection.dialect
        self.engine = connection.engine
        self.cursor = cursor
        self.statement = sent.text
        self.parameters = [tuple(parameters)]
        self.execution_options = connection._execution_options


class EngineConnection(Connection):
    """SQLAlchemy's connection, which calls listeners of cursors for what is sent."""

    listeners: Any = None
    """Whom to call while SQLAlchemy is to call nobody."""

    def _exec_single_context(
        self, dialect: Any, context: Any, statement: Any, parameters: Any
    ) -> Any:
        before, listened = self.listeners, self._has_events or self.engine._has_events
        if listened and not context.is_sent_as_it_is:
            silent: Any = _Silent(self.dispatch)
            self.listeners, self.dispatch = self.dispatch, silent
        elif listened:
            context.is_told = True
        try:
            return super()._exec_single_context(dialect, context, statement, parameters)
        except BaseException:
            # Reporters of errors show the locals of each frame, and these hold texts.
            del context, statement, parameters
            raise
        finally:
            if self.listeners is not before:
                self.dispatch, self.listeners = self.listeners, before


class _Silent:
    """The listeners of a connection, without those of cursors."""

    def __init__(self, listeners: Any) -> None:
        self._listeners = listeners

    before_cursor_execute = ()

    @staticmethod
    def after_cursor_execute(*arguments: Any) -> None:
        """Call nobody."""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._listeners, name)


class _Options(OptionEngine):
    """An engine of ``execution_options()``, with the same connections."""

    _connection_cls = EngineConnection


_Options._option_cls = _Options


def attach(engine: Engine) -> None:
    """Have an engine call listeners of cursors for what is sent."""
    engine._connection_cls = EngineConnection
    engine._option_cls = _Options


def before(
    engine: ReferenceType[Engine] | None,
    statement: SentStatement,
    cursor: Any,
    parameters: Sequence[Any],
) -> str:
    """Call those who listen before a statement is sent; returns the text to send.

    Raises:
        NotSupportedError: One has changed more of it than a comment.
        Exception: As one of them has raised it.
    """
    connection = _connection_of(engine, cursor)
    if connection is None:
        return statement.text
    context = SentContext(connection, cursor, statement, parameters)
    cursor.context = context
    text, given = statement.text, tuple(parameters)
    for listener in _listeners(connection).before_cursor_execute:
        try:
            text, given = listener(connection, cursor, text, given, context, False)
        except Exception as error:
            if statement.kind not in _ALWAYS or is_from_signal(error):
                raise
            _log.warning("a listener of before_cursor_execute failed", exc_info=True)
    if text is not statement.text and text != statement.text:
        _require_comment(text, statement)
    if given is not parameters and tuple(given) != tuple(parameters):
        raise _changed("its parameters", statement)
    return text


def after(statement: SentStatement, cursor: Any, parameters: Sequence[Any]) -> None:
    """Call those who listen after a statement was executed, or has failed."""
    context: SentContext | None = cursor.__dict__.pop("context", None)
    if context is None:
        return
    connection = context.root_connection
    try:
        if statement.error is None:
            _listeners(connection).after_cursor_execute(
                connection, cursor, statement.text, tuple(parameters), context, False
            )
        else:
            _tell_error(connection, cursor, context, statement.error)
    except Exception as error:
        if is_from_signal(error):
            raise
        # What was executed must not be reported as lost.
        _log.warning("a listener of a statement's end failed", exc_info=True)


def _tell_error(
    connection: Connection, cursor: Any, context: SentContext, error: BaseException
) -> None:
    dialect: Any = connection.dialect
    told = ExceptionContextImpl(
        error,
        None,
        connection.engine,
        dialect,
        connection,
        cursor,
        context.statement,
        context.parameters[0],
        context,
        dialect.is_disconnect(error, None, cursor),
        False,
        False,
    )
    for listener in dialect.dispatch.handle_error:
        listener(told)


def _connection_of(engine: ReferenceType[Engine] | None, cursor: Any) -> Connection | None:
    """SQLAlchemy's connection for a cursor; ``None`` where nobody listens."""
    unit = cursor.connection.unit
    owner: Connection | None = None if unit is None else unit.owner()
    if owner is not None:
        return owner if owner._has_events or owner.engine._has_events else None
    of = None if engine is None else engine()
    if of is None or not of._has_events:
        return None
    # A cursor of the application's own, keys that are reserved, or what was kept elsewhere.
    lent: Any = _AdhocProxiedConnection(cursor.connection, None)  # type: ignore[arg-type]
    found = EngineConnection(
        of, connection=lent, _has_events=False, _allow_revalidate=False, _allow_autobegin=False
    )
    found.listeners = of.dispatch
    return found


def _listeners(connection: Any) -> Any:
    return connection.dispatch if connection.listeners is None else connection.listeners


def _require_comment(text: str, statement: SentStatement) -> None:
    in_front, found, behind = text.partition(statement.text)
    # A comment of dashes that goes on would hide the first line of the statement.
    goes_on = is_comment(f"{in_front}.")
    if not found or goes_on or not (is_comment(in_front) and is_comment(behind)):
        raise _changed("its text", statement)


def _changed(what: str, statement: SentStatement) -> NotSupportedError:
    return NotSupportedError(
        f"a listener of before_cursor_execute (retval=True) has changed {what}, of a statement "
        f"that is sent for a {statement.kind.value} ({statement.summary}): it is made from what "
        "the unit of work holds, and was checked as it was. Nothing of it was sent\n"
        "To fix it: change the construct in before_execute, which is called for what is held; a "
        "comment may be added here."
    )
