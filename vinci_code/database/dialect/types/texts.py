"""Text, bytes, UUIDs and enumerations."""

from __future__ import annotations

import uuid
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from sqlalchemy import types as sqltypes

from vinci_code.core.errors import ValueRefusedError
from vinci_code.database.dialect.types.base import Processor, VinciType, named

if TYPE_CHECKING:
    from sqlalchemy.engine import Dialect


class VinciString(VinciType, sqltypes.String):
    """Text of any length and of any characters."""

    stored_as = str

    def comparing(self, dialect: Dialect) -> Processor | None:
        """Make text of numbers and truth values, as SQLite does beside a column of text."""
        return number_as_text

    def storing(self, dialect: Dialect) -> Processor:
        """Return what lets text pass, and nothing that would become text."""

        def process(value: Any) -> str | None:
            if type(value) is str and value.isascii():
                return value
            return None if value is None else self.placed(self.keep, value)

        return process

    def keep(self, value: Any) -> str:
        """Return text.

        Raises:
            ValueRefusedError: It is something else, or holds half of a character.
        """
        return as_text(value)


class VinciVarchar(VinciString):
    """VARCHAR in capitals, and its like: text of a length, which Databricks enforces.

    Spaces behind the length would be cut off without a word.
    """

    def storing(self, dialect: Dialect) -> Processor:
        """Return what lets text pass that is not too long."""
        if self.length is None:
            return super().storing(dialect)
        return lambda value: None if value is None else self.placed(self.keep, value)

    def keep(self, value: Any) -> str:
        """Return text.

        Raises:
            ValueRefusedError: It is something else, holds half of a character, or is too long.
        """
        text = super().keep(value)
        if self.length is not None and len(text) > self.length:
            raise ValueRefusedError(
                f"a text of {len(text)} characters, and the column has room for {self.length}; "
                "make it String, whose length is not enforced"
            )
        return text


class VinciEnum(VinciType, sqltypes.Enum):
    """One of several names, stored as text."""

    stored_as = str
    takes_stored = False

    def comparing(self, dialect: Dialect) -> Processor | None:
        """Return SQLAlchemy's own, which checks the name."""
        process: Processor | None = sqltypes.Enum.bind_processor(self, dialect)  # type: ignore[no-untyped-call]
        return process

    def storing(self, dialect: Dialect) -> Processor:
        """Return what makes the name of a member."""
        look_up: Any = sqltypes.Enum.bind_processor(self, dialect)  # type: ignore[no-untyped-call]

        names = frozenset(self.enums)
        kept: dict[Any, str] = {}

        def keep(value: Any) -> str:
            try:
                name = look_up(value)
            except (LookupError, TypeError):
                name = None
            # SQLAlchemy lets an unknown text pass, which nobody could read again.
            if name not in names:
                raise ValueRefusedError(
                    f"one of {', '.join(map(repr, self.enums))} is wanted here, found "
                    f"{named(value)} that is none of them"
                )
            kept[value] = as_text(name)
            return kept[value]

        def process(value: Any) -> str | None:
            try:
                return kept[value]
            except (KeyError, TypeError):
                return None if value is None else self.placed(keep, value)

        return process


class VinciBinary(VinciType, sqltypes.LargeBinary):
    """Bytes."""

    stored_as = bytes

    def comparing(self, dialect: Dialect) -> Processor:
        """Make ``bytes`` of it."""
        return _bytes

    def keep(self, value: Any) -> bytes:
        """Return a copy of bytes.

        Raises:
            ValueRefusedError: It is something else, such as a number or a list of them.
        """
        if isinstance(value, (bytes, bytearray, memoryview)):
            # Not bytes(value), which a subclass may answer as it likes.
            return memoryview(value).tobytes()
        raise ValueRefusedError(
            f"bytes are wanted here, found {named(value)}; encode it first, as with "
            "value.encode() or value.tobytes()"
        )

    def result_processor(self, dialect: Dialect, coltype: object) -> Processor:
        """Give ``bytes``."""
        return _bytes


class VinciUuid(VinciType, sqltypes.Uuid[Any]):
    """A UUID, stored as text in the form that ``uuid()`` of Databricks gives, with hyphens."""

    stored_as = str
    takes_stored = False

    def comparing(self, dialect: Dialect) -> Processor:
        """Write it with hyphens, whichever form it comes in."""
        return _uuid_text

    def storing(self, dialect: Dialect) -> Processor:
        """Return what writes it with hyphens."""
        plain = uuid.UUID if self.as_uuid else None

        def process(value: Any) -> str | None:
            if type(value) is plain:
                return str(value)
            return None if value is None else self.placed(self.keep, value)

        return process

    def keep(self, value: Any) -> str:
        """Return its text.

        Raises:
            ValueRefusedError: It is no ``UUID``, or no text of one where ``as_uuid=False``.
        """
        if self.as_uuid:
            if isinstance(value, uuid.UUID):
                return str(uuid.UUID(int=value.int))
            raise ValueRefusedError(
                f"a UUID is wanted here, found {named(value)}; make it one: uuid.UUID(value)"
            )
        if not isinstance(value, str):
            raise ValueRefusedError(
                f"the text of a UUID is wanted here, found {named(value)}; pass str(value)"
            )
        try:
            return str(uuid.UUID(value))
        except ValueError:
            raise ValueRefusedError(
                "the text of a UUID is wanted here, found a text that is none"
            ) from None

    def result_processor(self, dialect: Dialect, coltype: object) -> Processor:
        """Give a ``UUID``, or text where ``as_uuid=False``."""
        return _uuid if self.as_uuid else _uuid_text


def as_text(value: Any) -> str:
    """Return text as a plain ``str``.

    Raises:
        ValueRefusedError: It is something else, or holds half of a character.
    """
    if not isinstance(value, str):
        advice = "value.decode()" if isinstance(value, bytes) else "str(value)"
        raise ValueRefusedError(
            f"text is wanted here, found {named(value)}; make it text first, as with {advice}"
        )
    text = str.__str__(value)
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ValueRefusedError(
            f"a text that holds half of a surrogate pair (at position {error.start}), which is no "
            "character; take it out"
        ) from None
    return text


def number_as_text(value: Any) -> Any:
    """Return a number as the text that SQLite makes of it; any other value as it is."""
    if isinstance(value, int):
        return str(int(value))
    if not isinstance(value, (float, Decimal)):
        return value
    mantissa, exponent, size = f"{float(value):.15g}".partition("e")
    return f"{mantissa}{'' if '.' in mantissa else '.0'}{exponent}{size}"


def sqlite_collation(kind: Any) -> str | None:
    """The collation of a type by which SQLite alone compares; ``None`` where there is none."""
    name = str(getattr(kind, "collation", None) or "").strip('"').upper()
    return name if name in {"NOCASE", "RTRIM"} else None


def _bytes(value: Any) -> bytes | None:
    # Of a whole number, bytes() would make as many zeros.
    if isinstance(value, (str, int)):
        raise TypeError(f"bytes are wanted here, found {named(value)}")
    return None if value is None else bytes(value)


def _uuid(value: Any) -> uuid.UUID | None:
    return None if value is None else uuid.UUID(value)


def _uuid_text(value: Any) -> str | None:
    if value is None:
        return None
    return str(value if isinstance(value, uuid.UUID) else uuid.UUID(str(value)))
