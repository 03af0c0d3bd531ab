"""``vinci events add``: check what was typed, and store it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from vinci_code.core.errors import InputDataError

if TYPE_CHECKING:
    from vinci_code.database.events import EventRow

_WHERE = "the command line"


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
    from vinci_code.database.session import session_scope

    event = Event(**_checked(new))
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


def _checked(new: NewEvent) -> EventRow:
    from vinci_code.database.events import checked_event
    from vinci_code.database.models.types import utc_now

    record = {
        **asdict(new),
        "payload": _payload(new.payload),
        "occurred_at": utc_now().isoformat() if new.occurred_at is None else new.occurred_at,
    }
    try:
        for text in asdict(new).values():
            # The command line may hold any bytes; those that are no UTF-8 are lone surrogates.
            (text or "").encode()
        return checked_event(record)
    except UnicodeEncodeError:
        raise InputDataError(_WHERE, None, "holds bytes that are not UTF-8") from None
    except ValueError as error:
        raise InputDataError(_WHERE, None, str(error)) from None


def _payload(text: str | None) -> object:
    if text is None:
        return None
    try:
        return json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise InputDataError("--payload", None, f"is not JSON: {error}") from None


def _refuse(name: str) -> None:
    raise ValueError(f"{name} is not JSON")
