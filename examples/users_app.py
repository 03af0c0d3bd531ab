"""What a Databricks App does for its users, done as these users.

The app's proxy sends the token of who uses it with each request, in ``X-Forwarded-Access-Token``,
where the app has user authorization with the scope ``sql``
(https://docs.databricks.com/aws/en/dev-tools/databricks-apps/auth). Each user sees and writes what
the user may; the app's own credentials, which the environment holds, are not used for it::

    python -m pip install fastapi uvicorn
    uvicorn --app-dir examples users_app:app

The tables have to be there: ``vinci db upgrade``. Whoever can reach the app without the proxy can
write the header too, so let nobody.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Header, Request
from fastapi.responses import JSONResponse
from sqlalchemy import func, select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from vinci_code.core.errors import UserPoolsBusyError, UserTokenEndedError, UserTokenError
from vinci_code.database import close_user_pools, forget_user, session_for
from vinci_code.database.dialect.dberrors import PermissionDenied
from vinci_code.database.models import Event

Token = Annotated[str, Header(alias="X-Forwarded-Access-Token")]


@asynccontextmanager
async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
    """Close what is open for users as the application ends."""
    yield
    close_user_pools()


app = FastAPI(title="Events of users", lifespan=lifespan)


def user_session(token: Token = "") -> Iterator[Session]:
    """A session of whoever has sent the request."""
    with session_for(token) as session:
        yield session


Db = Annotated[Session, Depends(user_session)]


@app.get("/me")
def who(db: Db) -> dict[str, str]:
    """Say who the warehouse takes the user for."""
    return {"user": str(db.scalar(select(func.current_user())))}


@app.get("/events")
def list_events(db: Db) -> list[dict[str, Any]]:
    """List the newest events that the user may see."""
    query = select(Event.source, Event.event_type).order_by(Event.id.desc()).limit(50)
    return [{"source": source, "event_type": kind} for source, kind in db.execute(query)]


@app.post("/events", status_code=201)
def create(event_type: str, source: str, db: Db) -> dict[str, str]:
    """Store an event, as the user."""
    event = Event(event_type=event_type, source=source)
    db.add(event)
    db.commit()
    return {"id": str(event.id)}


@app.post("/sign-out", status_code=204)
def sign_out(token: Token = "") -> None:
    """Close the connections of the user at once."""
    forget_user(token)


@app.exception_handler(UserTokenError)
@app.exception_handler(UserTokenEndedError)
def unauthenticated(_request: Request, _error: Exception) -> JSONResponse:
    """Answer 401: there is no token, or it is good no longer."""
    return JSONResponse({"detail": "Sign in again."}, 401)


@app.exception_handler(UserPoolsBusyError)
def busy(_request: Request, _error: Exception) -> JSONResponse:
    """Answer 503: as many users as there may be are at work."""
    return JSONResponse({"detail": "Try again soon."}, 503, {"Retry-After": "2"})


@app.exception_handler(DBAPIError)
def refused(_request: Request, error: DBAPIError) -> JSONResponse:
    """Answer 403 where the user may not do this, and 503 where the warehouse cannot."""
    if isinstance(error.orig, PermissionDenied):
        return JSONResponse({"detail": "You may not do this."}, 403)
    return JSONResponse({"detail": "The warehouse cannot do this now."}, 503, {"Retry-After": "5"})
