"""Events over HTTP: stored, read, listed page by page, changed, deleted.

It runs unchanged on SQLite and on a Databricks SQL warehouse; the environment says on which::

    python -m pip install fastapi uvicorn
    uvicorn --app-dir examples fastapi_app:app

On Databricks the tables have to be there: ``vinci db upgrade``.
"""

from __future__ import annotations

from dataclasses import asdict
from datetime import timezone
from typing import Annotated, Any

from fastapi import Depends, FastAPI, HTTPException, Path, Query, Request
from fastapi.responses import JSONResponse
from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError, OperationalError, StatementError
from sqlalchemy.orm import Session
from sqlalchemy.orm.exc import StaleDataError

from vinci_code.core.errors import FallbackFileError, StandbyReadError, ValueRefusedError
from vinci_code.database.models import Event
from vinci_code.database.session import backend, database_state, get_db

app = FastAPI(title="Events")

_LARGEST_KEY = 2**63 - 1

Db = Annotated[Session, Depends(get_db)]
Utc = Annotated[AwareDatetime, AfterValidator(lambda time: time.astimezone(timezone.utc))]
EventId = Annotated[int, Path(ge=1, le=_LARGEST_KEY)]


class EventIn(BaseModel):
    """What is needed to store an event."""

    model_config = ConfigDict(extra="forbid")

    event_key: str | None = None
    event_type: str
    source: str
    description: str | None = None
    payload: dict[str, Any] | None = None
    occurred_at: AwareDatetime | None = None


class EventChange(BaseModel):
    """What is to be changed; what is left out stays as it is."""

    model_config = ConfigDict(extra="forbid")

    event_type: str | None = None
    source: str | None = None
    description: str | None = None
    payload: dict[str, Any] | None = None


class EventOut(BaseModel):
    """An event as it is stored.

    Attributes:
        id: Its key, as text: on Databricks keys have 63 bits, of which JavaScript keeps 53.
        occurred_at: When it happened, in UTC whatever it was given in.
    """

    model_config = ConfigDict(from_attributes=True, coerce_numbers_to_str=True)

    id: str
    event_key: str | None
    event_type: str
    source: str
    description: str | None
    payload: dict[str, Any] | None
    occurred_at: Utc
    created_at: Utc


class Page(BaseModel):
    """Some events in the order of their keys.

    Attributes:
        items: The events.
        next: What to ask for with ``after`` to get the next page; ``None`` on the last one.
    """

    items: list[EventOut]
    next: str | None


@app.post("/events", status_code=201)
def create(new: EventIn, db: Db) -> EventOut:
    """Store an event."""
    event = Event(**new.model_dump(exclude_unset=True))
    db.add(event)
    db.commit()
    return EventOut.model_validate(event)


@app.get("/events")
def list_events(
    db: Db,
    after: Annotated[int, Query(ge=0, le=_LARGEST_KEY)] = 0,
    limit: Annotated[int, Query(ge=1, le=1000)] = 50,
) -> Page:
    """Give one page: one statement, whichever page it is."""
    # One more than is asked for tells whether there is another page.
    query = select(Event).where(Event.id > after).order_by(Event.id).limit(limit + 1)
    found = db.scalars(query).all()
    items = [EventOut.model_validate(event) for event in found[:limit]]
    return Page(items=items, next=items[-1].id if len(found) > limit else None)


@app.get("/events/{event_id}")
def read(event_id: EventId, db: Db) -> EventOut:
    """Give one event."""
    return EventOut.model_validate(_find(event_id, db))


@app.patch("/events/{event_id}")
def change(event_id: EventId, changes: EventChange, db: Db) -> EventOut:
    """Change some of an event."""
    event = _find(event_id, db)
    for name, value in changes.model_dump(exclude_unset=True).items():
        setattr(event, name, value)
    db.commit()
    return EventOut.model_validate(event)


@app.delete("/events/{event_id}", status_code=204)
def delete(event_id: EventId, db: Db) -> None:
    """Delete an event."""
    db.delete(_find(event_id, db))
    db.commit()


@app.get("/health")
def health() -> dict[str, Any]:
    """Say where events go now, and how many units of work have not arrived; nothing is asked."""
    return {"backend": backend(), **asdict(database_state())}


@app.exception_handler(IntegrityError)
@app.exception_handler(StaleDataError)
def conflict(_request: Request, _error: Exception) -> JSONResponse:
    """Answer 409: the key is taken, a value is missing, or somebody else was faster."""
    return _answer(
        409,
        "The event conflicts with what is stored: its event_key has to be new, event_type and "
        "source must not be null, and nobody else may have deleted it meanwhile.",
    )


@app.exception_handler(OperationalError)
@app.exception_handler(StandbyReadError)
@app.exception_handler(FallbackFileError)
def unavailable(_request: Request, _error: Exception) -> JSONResponse:
    """Answer 503: the database is locked, starting, out of reach, or was written to meanwhile.

    Or it is away, and what was asked for is not here.
    """
    return _answer(503, "The database cannot do this now. Try again.", {"Retry-After": "5"})


@app.exception_handler(StatementError)
def refused(_request: Request, error: StatementError) -> JSONResponse:
    """Answer 422 where a value cannot be stored unchanged, such as NaN within JSON."""
    if not isinstance(error.orig, ValueRefusedError):
        raise error
    return _answer(422, str(error.orig))


def _find(event_id: int, db: Session) -> Event:
    event = db.get(Event, event_id)
    if event is None:
        raise HTTPException(404, f"There is no event {event_id}.")
    return event


def _answer(status: int, detail: str, headers: dict[str, str] | None = None) -> JSONResponse:
    return JSONResponse({"detail": detail}, status, headers)
