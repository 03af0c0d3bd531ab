"""What comes in and goes out over HTTP."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, Generic, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

from shop.models import OrderState, Tag

_Item = TypeVar("_Item")

Email = Annotated[
    str, StringConstraints(to_lower=True, max_length=254, pattern=r"^[!-?A-~]+@[!-?A-~]+$")
]
Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=500)]
Price = Annotated[Decimal, Field(ge=0, max_digits=10, decimal_places=2)]
# Keys have up to 63 bits, of which JavaScript keeps 53: they are text outside.
KeyOut = Annotated[str, BeforeValidator(str)]


def _name_of(tag: Tag | str) -> str:
    return tag if isinstance(tag, str) else tag.name


class _In(BaseModel):
    model_config = ConfigDict(extra="forbid")


class _Out(BaseModel):
    model_config = ConfigDict(from_attributes=True)


class UserIn(_In):
    """A new user."""

    email: Email
    name: Text
    settings: dict[str, Any] = {}


class UserOut(_Out):
    """A user."""

    id: KeyOut
    email: str
    name: str
    settings: dict[str, Any]
    created_at: datetime


class TagIn(_In):
    """A new tag."""

    name: Text


class TagOut(_Out):
    """A tag, how many orders have it, and what they cost."""

    name: str
    orders: int
    total: Decimal


class LineIn(_In):
    """One product that is wanted."""

    product: Text
    quantity: Annotated[int, Field(ge=1, le=10_000)]
    unit_price: Price


class LineOut(_Out):
    """One product of an order."""

    product: str
    quantity: int
    unit_price: Decimal


Lines = Annotated[list[LineIn], Field(max_length=100)]


class OrderIn(_In):
    """A new order, not placed yet."""

    user_id: int
    note: Text | None = None
    lines: Lines = []
    tags: list[str] = []


class OrderChange(_In):
    """What is to be changed of an order; what is left out stays.

    Attributes:
        version: Of the order that the change was made up for.
    """

    version: int
    note: Text | None = None
    lines: Lines = []
    tags: list[str] = []


class OrderOut(_Out):
    """An order."""

    id: KeyOut
    user_id: KeyOut
    state: OrderState
    note: str | None
    total: Decimal
    lines: list[LineOut]
    tags: list[Annotated[str, BeforeValidator(_name_of)]]
    created_at: datetime
    updated_at: datetime
    placed_at: datetime | None
    version: int


class Page(BaseModel, Generic[_Item]):
    """Some of what was found.

    Attributes:
        items: What is on this page.
        next: What to ask for with ``after`` to get the next one; ``None`` on the last.
    """

    items: list[_Item]
    next: str | None
