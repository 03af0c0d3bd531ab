"""The shop over HTTP.

alembic upgrade head
uvicorn shop.app:app
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any

from fastapi import APIRouter, Depends, FastAPI, Path, Query, Request
from fastapi.responses import JSONResponse
from pydantic import AwareDatetime
from sqlalchemy.exc import IntegrityError, OperationalError, StatementError
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm.exc import StaleDataError

from shop import orders, users
from shop.database import Database
from shop.errors import ConflictError, InvalidError, NotFoundError
from shop.models import Order, OrderState
from shop.schemas import OrderChange, OrderIn, OrderOut, Page, TagIn, TagOut, UserIn, UserOut
from vinci_code.core.errors import ValueRefusedError

api = APIRouter()


def create_app() -> FastAPI:
    """Make the application; its engine lives as long as it runs."""
    app = FastAPI(title="Shop", lifespan=_lifespan)
    app.include_router(api)
    for error, answer in _ANSWERS.items():
        app.add_exception_handler(error, answer)
    return app


def get_database(request: Request) -> Database:
    """Give the database, for what writes: a unit of work that can be run again."""
    database: Database = request.app.state.database
    return database


async def get_session(request: Request) -> AsyncIterator[AsyncSession]:
    """Give a session for one request that only reads."""
    async with get_database(request).sessions() as session:
        yield session


Db = Annotated[Database, Depends(get_database)]
Session = Annotated[AsyncSession, Depends(get_session)]
Key = Annotated[int, Path(ge=1, le=2**63 - 1)]
Version = Annotated[int, Query(ge=1, le=2**31 - 1)]
Limit = Annotated[int, Query(ge=1, le=100)]


@api.post("/users", status_code=201)
async def create_user(new: UserIn, db: Db) -> UserOut:
    """Register a user."""
    return UserOut.model_validate(await db.run(users.create_user, new))


@api.get("/users")
async def list_users(
    session: Session,
    q: str = "",
    limit: Limit = 20,
    offset: Annotated[int, Query(ge=0, le=10_000)] = 0,
) -> list[UserOut]:
    """Search users."""
    found = await users.search_users(session, q, limit, offset)
    return [UserOut.model_validate(user) for user in found]


@api.get("/users/{user_id}")
async def read_user(user_id: Key, session: Session) -> UserOut:
    """Give a user."""
    return UserOut.model_validate(await users.find_user(session, user_id))


@api.patch("/users/{user_id}/settings")
async def change_settings(user_id: Key, changes: dict[str, Any], db: Db) -> UserOut:
    """Set some of a user's settings."""
    return UserOut.model_validate(await db.run(users.change_settings, user_id, changes))


@api.delete("/users/{user_id}", status_code=204)
async def delete_user(user_id: Key, db: Db) -> None:
    """Delete a user."""
    await db.run(users.delete_user, user_id)


@api.post("/tags", status_code=201)
async def create_tag(new: TagIn, db: Db) -> TagOut:
    """Make a tag."""
    tag = await db.run(orders.create_tag, new)
    return TagOut(name=tag.name, orders=0, total=Decimal(0))


@api.get("/tags")
async def list_tags(session: Session) -> list[TagOut]:
    """Give all tags, and what was ordered with each."""
    return await orders.count_tags(session)


@api.post("/orders", status_code=201)
async def create_order(new: OrderIn, db: Db) -> OrderOut:
    """Make an order."""
    return OrderOut.model_validate(await db.run(orders.create_order, new))


def _filter(
    user_id: int | None = None,
    state: OrderState | None = None,
    q: str | None = None,
    tag: str | None = None,
    product: str | None = None,
    min_total: Decimal | None = None,
    since: AwareDatetime | None = None,
    before: AwareDatetime | None = None,
) -> orders.Filter:
    return orders.Filter(user_id, state, q, tag, product, min_total, since, before)


@api.get("/orders")
async def list_orders(
    session: Session,
    wanted: Annotated[orders.Filter, Depends(_filter)],
    after: str | None = None,
    limit: Limit = 20,
) -> Page[OrderOut]:
    """Search orders, page by page."""
    # One more than is asked for tells whether there is another page.
    found = await orders.search_orders(session, wanted, _place(after), limit + 1)
    items = [OrderOut.model_validate(order) for order in found[:limit]]
    return Page(items=items, next=_mark(found[limit - 1]) if len(found) > limit else None)


@api.get("/orders/{order_id}")
async def read_order(order_id: Key, session: Session) -> OrderOut:
    """Give an order."""
    return OrderOut.model_validate(await orders.find_order(session, order_id))


@api.patch("/orders/{order_id}")
async def change_order(order_id: Key, change: OrderChange, db: Db) -> OrderOut:
    """Change an order."""
    return OrderOut.model_validate(await db.run(orders.change_order, order_id, change))


@api.post("/orders/{order_id}/place")
async def place_order(order_id: Key, version: Version, db: Db) -> OrderOut:
    """Place an order."""
    return OrderOut.model_validate(await db.run(orders.place_order, order_id, version))


@api.delete("/orders/{order_id}", status_code=204)
async def delete_order(order_id: Key, version: Version, db: Db) -> None:
    """Delete an order."""
    await db.run(orders.delete_order, order_id, version)


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    app.state.database = database = Database()
    try:
        yield
    finally:
        await database.dispose()


def _mark(order: Order) -> str:
    """What tells the place of an order to who asks for the next page."""
    text = f"{order.created_at.isoformat()} {order.id}"
    return base64.urlsafe_b64encode(text.encode()).decode()


def _place(mark: str | None) -> orders.Place | None:
    if mark is None:
        return None
    try:
        time, key = base64.b64decode(mark, altchars=b"-_", validate=True).decode().split(" ")
        return orders.Place(datetime.fromisoformat(time), int(key))
    except (ValueError, binascii.Error) as error:
        raise InvalidError("The page that `after` names is none.") from error


def _answer(status: int, detail: str) -> JSONResponse:
    headers = {"Retry-After": "5"} if status == 503 else None
    return JSONResponse({"detail": detail}, status, headers)


def _not_found(_request: Request, error: Exception) -> JSONResponse:
    return _answer(404, str(error))


def _conflict(_request: Request, error: Exception) -> JSONResponse:
    return _answer(409, str(error))


def _invalid(_request: Request, error: Exception) -> JSONResponse:
    return _answer(422, str(error))


def _taken(_request: Request, _error: Exception) -> JSONResponse:
    return _answer(409, "It is there already.")


def _outrun(_request: Request, _error: Exception) -> JSONResponse:
    return _answer(409, "Somebody else has changed it meanwhile.")


def _unavailable(_request: Request, _error: Exception) -> JSONResponse:
    return _answer(503, "The shop cannot do this now. Try again.")


def _refused(_request: Request, error: Exception) -> JSONResponse:
    """Answer where a value cannot be stored as it is, such as half a character."""
    if isinstance(error, StatementError) and isinstance(error.orig, ValueRefusedError):
        return _answer(422, str(error.orig))
    raise error


_ANSWERS = {
    NotFoundError: _not_found,
    ConflictError: _conflict,
    InvalidError: _invalid,
    IntegrityError: _taken,
    StaleDataError: _outrun,
    OperationalError: _unavailable,
    StatementError: _refused,
}

app = create_app()
