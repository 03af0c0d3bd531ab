"""The query tags of a session: those of ``Session.info["query_tags"]``, for all that it sends."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vinci_code.database.dialect.driver.query_tags import checked_tags
from vinci_code.database.dialect.options import QUERY_TAGS

if TYPE_CHECKING:
    from sqlalchemy.orm import Session


def listen() -> None:
    """Look at each session when it begins to use a connection."""
    # Not at the top: who uses Core alone does not want the ORM.
    from sqlalchemy import event
    from sqlalchemy.orm import Session

    if not event.contains(Session, "after_begin", _tag):
        event.listen(Session, "after_begin", _tag)


def _tag(session: Session, transaction: Any, connection: Any) -> None:  # noqa: ARG001 - SQLAlchemy's
    announcing = getattr(connection.dialect, "announcer", None)
    given = session.info.get(QUERY_TAGS)
    if announcing is None or not given:
        return
    unit = connection.connection.dbapi_connection.unit
    # An execution option of the connection says more: it comes later, and counts for one unit.
    unit.own_tags = {**unit.own_tags, **checked_tags(given)}
