"""Running one statement: what is done when it is refused, cancelled, or its answer is lost.

A statement that reads is run again, once, where its answer was lost. One that writes never is: what
the warehouse said of it last decides between success, an error, and ``AmbiguousWriteError``.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from vinci_code.database.dialect.dberrors import (
    ADVICE,
    AmbiguousWriteError,
    CancelledError,
    ConnectionLostError,
    Error,
    SessionLostError,
    StatementTimeout,
)
from vinci_code.database.dialect.driver.transport import Call, DeadlinePassed, StopAsked, within
from vinci_code.database.dialect.interruptions import is_foreign

_CANCEL_SECONDS = 0.4
_INTERRUPT_SECONDS = 5.0
_STATE_SECONDS = 0.5


class SessionLike(Protocol):
    """What is needed of a session."""

    def running(self) -> Any:
        """The driver's name for the statement that was begun last, if it is known."""

    def cancel(self, command: Any) -> None:
        """Cancel a statement."""

    def state_of(self, command: Any, call: Call) -> None:
        """Ask for the state of a statement, and note it on the call."""


@dataclass
class Outcome:
    """How a statement ended, where it was successful.

    Attributes:
        driver_cursor: The driver's cursor; ``None`` where the statement is known to have been
            executed, though its answer was lost.
        rowcount: How many rows it changed, or -1.
        statement_id: Its name on the warehouse.
    """

    driver_cursor: Any
    rowcount: int
    statement_id: str | None


class Execution:
    """Runs one statement.

    Args:
        call: The call that it is part of.
        session: Returns the session to use.
        send: Sends the statement and returns the driver's cursor with its result.
        replace: Replaces the session by a new one; ``None`` where something of it would be lost.
        end: Ends the session and everything that runs in it, within so many seconds.
    """

    def __init__(
        self,
        call: Call,
        session: Callable[[], SessionLike],
        send: Callable[[Call], Any],
        replace: Callable[[Call], None] | None,
        end: Callable[[float], None],
    ) -> None:
        self._call = call
        self._session = session
        self._send = send
        self._replace = replace
        self._end = end
        self._repeated = call.once
        self._replaced = False

    def run(self) -> Outcome:
        """Run it.

        Raises:
            Error: It was not executed, or failed.
            AmbiguousWriteError: It writes, and whether it was executed is not known.
            BaseException: What interrupted it, as it is: see ``interruptions``.
        """
        while True:
            try:
                return self._outcome(self._send(self._call))
            except DeadlinePassed as passed:
                return self._give_up(passed)
            except BaseException as error:
                if not isinstance(error, Error) or is_foreign(error):
                    self._interrupt()
                    raise
                outcome = self._after(error)
            if outcome is not None:
                return outcome
            self._call.again()

    def _outcome(self, driver_cursor: Any) -> Outcome:
        changed = -1 if self._call.modified is None else self._call.modified
        return Outcome(driver_cursor, changed, self._call.statement_id)

    def _after(self, error: Error) -> Outcome | None:
        """The outcome after an error; ``None`` to run the statement once more."""
        call = self._call
        if not call.repeatable and call.sent and not call.failed:
            return self._after_write(error)
        if isinstance(error, SessionLostError) and self._replace is not None:
            self._renew_session(error)
            return None
        lost = isinstance(error, ConnectionLostError) and call.sent
        if lost and not isinstance(error, SessionLostError) and not self._repeated:
            self._repeated = True
            return None
        raise error

    def _after_write(self, error: Error) -> Outcome:
        if self._call.finished and self._call.transfers:
            # What was executed tells the client what to do, and that has failed.
            raise error
        if self._call.finished:
            # It was executed; only its (empty) result did not arrive.
            return self._outcome(None)
        raise ambiguous(error, self._call) from error

    def _renew_session(self, error: SessionLostError) -> None:
        assert self._replace is not None  # noqa: S101 - the caller has looked
        if self._replaced:
            # A classic warehouse that starts opens sessions at once and then does not know them.
            self._call.patience.wait(error)
        self._replaced = True
        self._replace(self._call)

    def _give_up(self, passed: DeadlinePassed) -> Outcome:
        call, session = self._call, self._session()
        command = session.running()
        if command is not None:
            within(_CANCEL_SECONDS, lambda: session.cancel(command))
            if call.repeatable or call.failed:
                raise given_up(passed, call) from passed
            return self._settle(session, command, passed)
        if call.sent or call.in_flight:
            # Without a name, only the end of its session ends a statement.
            self._end(_CANCEL_SECONDS)
            if not call.repeatable:
                raise ambiguous(passed, call) from passed
        raise given_up(passed, call) from passed

    def _settle(self, session: SessionLike, command: Any, passed: DeadlinePassed) -> Outcome:
        """Find out whether a write was faster than its cancellation."""
        call = self._call
        until = time.monotonic() + _STATE_SECONDS
        call.deadline = until
        with call.settling():
            while not (call.finished or call.failed) and time.monotonic() < until:
                try:
                    session.state_of(command, call)
                except Error:
                    break
                time.sleep(_STATE_SECONDS / 5)
        if call.failed:
            raise given_up(passed, call) from passed
        if call.finished:
            return self._outcome(None)
        raise ambiguous(passed, call) from passed

    def _interrupt(self) -> None:
        """Ctrl-C, a time limit or whatever it is ends the statement on the warehouse too.

        What became of the statement is not known, so its session is used no more.
        """
        call, session = self._call, self._session()
        if not (call.sent or call.in_flight):
            return
        try:
            command = session.running()
            if command is not None:
                within(_INTERRUPT_SECONDS, lambda: session.cancel(command))
        finally:
            self._end(_INTERRUPT_SECONDS)


def ambiguous(error: Error, call: Call) -> AmbiguousWriteError:
    """The error for a write whose fate is not known."""
    found = error.happened.rstrip(".")
    named = (
        f"statement {call.statement_id}" if call.statement_id else "a statement that has no id yet"
    )
    lost = AmbiguousWriteError(
        f"the answer to {named} was lost after it had been sent: it was executed once, or not at "
        f"all. What happened: {found}\nTo fix it: look for its rows, or for the statement in the "
        "query history, before sending it again.",
        sqlstate=error.sqlstate,
        error_class=error.error_class,
        statement_id=call.statement_id,
    )
    lost.copies = call.copies
    return lost


def given_up(passed: DeadlinePassed, call: Call) -> CancelledError:
    """The error for a statement that was cancelled at its deadline, or as somebody asked for it."""
    if isinstance(passed, StopAsked):
        return CancelledError(
            "the statement was cancelled by who waited for it; it wrote nothing",
            statement_id=call.statement_id,
        )
    seconds = "" if call.seconds is None else f" of {call.seconds:g} s"
    return StatementTimeout(
        f"the statement did not finish before its deadline{seconds}, and was cancelled; it wrote "
        f"nothing{ADVICE}raise {call.limited_by}, or let the statement do less.",
        statement_id=call.statement_id,
    )
