"""``vinci events add``: check what was typed, and store it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from vinci_code.core.errors import InputDataError


@dataclass
class NewEvent:
    """An event as it was typed.

    Attributes:
        event_type: Its type.
        source: Who reports it.
        event_key: Its key where it comes from.
        description: The event in a few words.
        payload: The text of a JSON object.
        occurred_at: When it happened, ISO 8601 with an offset; now, if not given.
    """

    event_type: str
    source: str
    event_key: str | None
    description: str | None
    payload: str | None
    occurred_at: str | None


def add_event(new: NewEvent) -> int:
    """Store an event; return its id.

    Raises:
        InputDataError: Something that was typed cannot be stored, or the key is there already.
    """
    from sqlalchemy.exc import IntegrityError

    from vinci_code.database.models import Event
    from vinci_code.database.models.types import utc_now
    from vinci_code.database.session import session_scope

    event = Event(
        event_type=_text("--type", new.event_type),
        source=_text("--source", new.source),
        event_key=_text("--event-key", new.event_key),
        description=_text("--description", new.description),
        payload=_payload(new.payload),
        occurred_at=_instant(new.occurred_at) or utc_now(),
    )
    try:
        with session_scope() as session:
            session.add(event)
            session.flush()
            return event.id
    except IntegrityError as error:
        # The key is the only constraint that is left by now.
        raise InputDataError(
            "--event-key", None, f"an event {new.event_key!r} is stored already; nothing was added"
        ) from error


def _text(option: str, value: str | None) -> str | None:
    if value is None:
        return None
    if not value:
        raise InputDataError(option, None, "is empty")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise InputDataError(option, None, "holds bytes that are not UTF-8") from None
    return value


def _payload(text: str | None) -> dict[str, Any] | None:
    if text is None:
        return None
    try:
        value = json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise InputDataError("--payload", None, f"is not JSON: {error}") from None
    if not isinstance(value, dict):
        raise InputDataError("--payload", None, 'is not a JSON object, such as {"level": 3}')
    return value


def _refuse(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _instant(text: str | None) -> datetime | None:
    from vinci_code.database.events import parse_instant

    if text is None:
        return None
    try:
        return parse_instant(text)
    except ValueError as error:
        raise InputDataError("--occurred-at", None, f"is {text[:40]!r}: {error}") from None
