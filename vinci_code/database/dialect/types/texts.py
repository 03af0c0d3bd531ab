"""Text, bytes, UUIDs and enumerations."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

from sqlalchemy import types as sqltypes

from vinci_code.database.dialect.types.base import Processor, Rendered

if TYPE_CHECKING:
    from sqlalchemy.engine import Dialect


class VinciString(Rendered, sqltypes.String):
    """Text of any length and of any characters."""

    def bind_processor(self, dialect: Dialect) -> Processor | None:
        """Bind it as it is."""
        return None


class VinciEnum(Rendered, sqltypes.Enum):
    """One of several names, stored as text."""

    def bind_processor(self, dialect: Dialect) -> Processor | None:
        """Return SQLAlchemy's own, which checks the name."""
        process: Processor | None = sqltypes.Enum.bind_processor(self, dialect)  # type: ignore[no-untyped-call]
        return process


class VinciBinary(Rendered, sqltypes.LargeBinary):
    """Bytes."""

    def bind_processor(self, dialect: Dialect) -> Processor:
        """Make ``bytes`` of it."""
        return _bytes

    def result_processor(self, dialect: Dialect, coltype: object) -> Processor:
        """Give ``bytes``."""
        return _bytes


class VinciUuid(Rendered, sqltypes.Uuid[Any]):
    """A UUID, stored as text in the form that ``uuid()`` of Databricks gives, with hyphens."""

    def bind_processor(self, dialect: Dialect) -> Processor:
        """Write it with hyphens, whichever form it comes in."""
        return _uuid_text

    def result_processor(self, dialect: Dialect, coltype: object) -> Processor:
        """Give a ``UUID``, or text where ``as_uuid=False``."""
        return _uuid if self.as_uuid else _uuid_text


def _bytes(value: Any) -> bytes | None:
    if isinstance(value, str):
        raise TypeError("bytes are wanted here, found a str")
    return None if value is None else bytes(value)


def _uuid(value: Any) -> uuid.UUID | None:
    return None if value is None else uuid.UUID(value)


def _uuid_text(value: Any) -> str | None:
    if value is None:
        return None
    return str(value if isinstance(value, uuid.UUID) else uuid.UUID(str(value)))
