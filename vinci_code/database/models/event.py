"""The events that the application stores."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy.orm import Mapped, mapped_column

from vinci_code.database.models.base import Base
from vinci_code.database.models.types import (
    INTEGER_KEY,
    JSON_VALUE,
    StrictText,
    UtcDateTime,
    utc_now,
)


class Event(Base):
    """Something that happened.

    Attributes:
        id: The key, given out by the database layer.
        event_key: A key that the event has where it came from; unique, and what makes importing the
            same events twice harmless. May be missing.
        event_type: What kind of event it is, such as ``earthquake``.
        source: Who reported it.
        description: The event in a few words.
        payload: Everything else that is known about it, a JSON document.
        occurred_at: When it happened, an aware ``datetime``; now, if not given.
        created_at: When it was stored, an aware ``datetime``; set by itself.
    """

    __tablename__ = "events"

    id: Mapped[int] = mapped_column(INTEGER_KEY, primary_key=True)
    event_key: Mapped[str | None] = mapped_column(StrictText, unique=True)
    event_type: Mapped[str] = mapped_column(StrictText)
    source: Mapped[str] = mapped_column(StrictText)
    description: Mapped[str | None] = mapped_column(StrictText)
    payload: Mapped[dict[str, Any] | None] = mapped_column(JSON_VALUE)
    occurred_at: Mapped[datetime] = mapped_column(UtcDateTime, default=utc_now)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, default=utc_now)

    def __repr__(self) -> str:
        return (
            f"Event(id={self.id!r}, event_key={self.event_key!r}, event_type={self.event_type!r})"
        )
