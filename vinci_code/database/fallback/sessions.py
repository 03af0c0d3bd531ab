"""Sessions whose units of work go where the fallback says, each as a whole.

A unit belongs to one database from its first statement to its end. Where the first thing that a
unit does is a SELECT, and the warehouse turns out to be away, the SELECT is answered by the
standby, and the unit goes on there: nothing was done before.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import sqlalchemy
from sqlalchemy import create_engine, event
from sqlalchemy.exc import DBAPIError, InvalidRequestError
from sqlalchemy.orm import ORMExecuteState, Session, SessionTransaction

from vinci_code.database.fallback.away import is_away
from vinci_code.database.fallback.fallback import Fallback

if TYPE_CHECKING:
    from sqlalchemy import Engine

_TO_DO = (
    "this release of SQLAlchemy ({0}) is not as the fallback takes it to be: a session does not "
    "tell which connections it has. A unit of work could go on half here and half there, so no "
    "session is made. To fix it: install a release of vinci-code that names this one, or an older "
    "SQLAlchemy."
)

_checked = False

_STANDBY = "standby"
"""The key in ``session.info`` that says since when, and as of when, a standby answers."""


class RoutedSession(Session):
    """A session whose units of work are routed.

    Args:
        fallback: Gives the fallback, or ``None`` where there is none any more.
        **options: What SQLAlchemy's own takes.

    Raises:
        InvalidRequestError: SQLAlchemy is not as it is taken to be.
    """

    def __init__(self, *, fallback: Callable[[], Fallback | None], **options: Any) -> None:
        _check_sqlalchemy()
        super().__init__(**options)
        self._fallback = fallback
        self._place: Engine | None = None

    def get_bind(self, mapper: Any = None, *, bind: Any = None, **options: Any) -> Any:
        """The engine of the unit of work that goes on, or of the one that begins."""
        fallback = None if bind is not None else self._fallback()
        if fallback is None:
            return super().get_bind(mapper, bind=bind, **options)
        if super().get_bind(mapper, **options) is not fallback.online:
            return super().get_bind(mapper, **options)  # an engine of the application's own
        if self._place is None or not self.in_transaction():
            self._go_to(fallback, fallback.place())
        return self._place

    def _go_to(self, fallback: Fallback, place: Engine) -> None:
        self._place = place
        if place is fallback.online:
            self.info.pop(_STANDBY, None)
        else:
            self.info[_STANDBY] = fallback.answers_as_of()

    def _forget_place(self) -> None:
        self._place = None


def _ended(session: RoutedSession, transaction: SessionTransaction) -> None:
    if transaction.parent is None:
        session._forget_place()


def _first_read(state: ORMExecuteState) -> Any:
    """Run a statement, and on the standby where it is the first and the warehouse is away."""
    session = state.session
    if not isinstance(session, RoutedSession) or not state.is_select:
        return None
    fallback = session._fallback()
    if fallback is None or _has_begun(session):
        return None
    try:
        return state.invoke_statement()
    except DBAPIError as error:
        if session._place is not fallback.online or not is_away(error):
            raise
        fallback.went_away(error)
        _leave_warehouse(session, fallback)
    return state.invoke_statement()


def _has_begun(session: RoutedSession) -> bool:
    """Whether the unit of work has a connection already."""
    transaction = session.get_transaction()
    return transaction is not None and bool(transaction._connections)


def _check_sqlalchemy() -> None:
    """Check once, and without a request, what is used of SQLAlchemy that is not public."""
    global _checked
    if _checked:
        return
    engine = create_engine("sqlite://")
    try:
        with Session(engine) as session:
            connection = session.connection()
            held = getattr(session.get_transaction(), "_connections", None)
            entries = list(held.values()) if isinstance(held, dict) else []
            if not any(entry[0] is connection and entry[1].is_active for entry in entries):
                raise InvalidRequestError(_TO_DO.format(sqlalchemy.__version__))
    finally:
        engine.dispose()
    _checked = True


def _leave_warehouse(session: RoutedSession, fallback: Fallback) -> None:
    """Have a unit that has done nothing go on without the connection that it has got.

    What the session holds, and has not written yet, stays. SQLAlchemy has no public way to that.
    """
    transaction = session.get_transaction()
    if transaction is not None:
        for key, (connection, begun, *_) in list(transaction._connections.items()):
            del transaction._connections[key]
            if not connection.closed:
                begun.rollback()
                connection.close()
    session._go_to(fallback, fallback.standby)


event.listen(RoutedSession, "after_transaction_end", _ended)
event.listen(RoutedSession, "do_orm_execute", _first_read)
