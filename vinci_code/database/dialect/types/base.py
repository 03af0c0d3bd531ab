"""What all types have in common: two ways for a value, to be compared and to be stored.

A value that is *compared* is taken as SQLite takes it. A value that is to be *stored* is checked:
what the column would not give back equal is refused, with a ``ValueRefusedError``; what is left is
of exactly one plain Python type, that of ``stored_as``, or ``None``:

===================================================  ==============================================
type                                                 what is stored of a value
===================================================  ==============================================
Integer, SmallInteger, BigInteger, INTEGER, TINYINT  ``int``
Boolean                                              ``bool``
Float, Double, REAL                                  ``float``
Numeric                                              ``Decimal``
String, Text, Unicode, VARCHAR                       ``str``
Enum                                                 ``str``: the name, or what ``values_callable``
                                                     gives
Uuid                                                 ``str``: with hyphens, in small letters
Time                                                 ``str``: ``23:59:59.999999``
JSON, VARIANT                                        ``str``: the document
ARRAY, MAP, STRUCT                                   ``str``: JSON, of which ``bind_expression`` has
                                                     the warehouse make the value
LargeBinary                                          ``bytes``
Date                                                 ``date``
DateTime, TIMESTAMP_NTZ                              ``datetime``, naive
DateTime(timezone=True), TIMESTAMP                   ``datetime``, aware, in UTC
Interval                                             ``datetime``, naive: so long after 1970
a ``TypeDecorator``                                  as its ``impl``, of what it makes of the value
===================================================  ==============================================
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar

from sqlalchemy.types import TypeDecorator, TypeEngine

from vinci_code.core.errors import ValueRefusedError
from vinci_code.database.dialect.text.binding import literal

if TYPE_CHECKING:
    from sqlalchemy.engine import Dialect

Processor = Callable[[Any], Any]


class VinciType:
    """A type whose literals are what would have been bound, written out.

    Attributes:
        stored_as: The plain Python type of what is stored of a value that is not NULL.
        takes_stored: Whether it takes what it stores for a value: a Date does, and an Enum, which
            stores the name of a member, does not.
        binds_stored: Whether what it binds is of the type ``stored_as``, as of a type of columns.
    """

    stored_as: ClassVar[type[Any] | None] = None
    takes_stored: ClassVar[bool] = True
    binds_stored: ClassVar[bool] = True

    # Set on the copy that ``write_processor`` makes for values that are stored.
    _stores = False
    _place: str | None = None

    def bind_processor(self, dialect: Dialect) -> Processor | None:
        """Return what makes a value of this type one of the driver's."""
        return self.storing(dialect) if self._stores else self.comparing(dialect)

    def comparing(self, dialect: Dialect) -> Processor | None:
        """Return what a value passes that is compared with others."""
        return None

    def storing(self, dialect: Dialect) -> Processor:
        """Return what a value passes that is to be stored."""
        kind, keep = self.stored_as if self.takes_stored else None, self.keep

        def process(value: Any) -> Any:
            if type(value) is kind or value is None:
                return value
            return self.placed(keep, value)

        return process

    def keep(self, value: Any) -> Any:
        """Return a value that is not NULL as it is stored.

        Raises:
            ValueRefusedError: The column would not give it back equal.
        """
        raise NotImplementedError

    def placed(self, keep: Processor, value: Any) -> Any:
        """Keep a value; an error names the column.

        Raises:
            ValueRefusedError: As of ``keep``.
        """
        try:
            return keep(value)
        except ValueRefusedError as error:
            if self._place is None:
                raise
            raise ValueRefusedError(f"{self._place}: {error}") from None

    def literal_processor(self, dialect: Dialect) -> Callable[[Any], str]:
        """Return what writes a value into the statement."""
        bind = self.bind_processor(dialect)
        if bind is None:
            return literal
        return lambda value: literal(bind(value))


def write_processor(
    kind: TypeEngine[Any], dialect: Dialect, place: str | None = None
) -> Processor | None:
    """Return what a value passes that is to be stored in a column of a type.

    A ``TypeDecorator`` comes first, and the type that it is made of checks what it gives.
    ``place`` is the column's name for messages, such as ``users.id``.
    """
    impl = kind.dialect_impl(dialect)
    process: Processor | None = _stores(impl, place).bind_processor(dialect)
    expected = stored_as(kind, dialect)
    if expected is None or not _is_bound_by_itself(impl):
        return process
    return then(process, exactly(expected, place))


def stored_as(kind: TypeEngine[Any], dialect: Dialect) -> type[Any] | None:
    """Return the plain Python type of what a column of a type stores.

    ``None`` where it is not known: of ``NullType``, and of a ``UserDefinedType``.
    """
    impl: Any = innermost(kind, dialect)
    return impl.stored_as if isinstance(impl, VinciType) else None


def innermost(kind: TypeEngine[Any], dialect: Dialect) -> TypeEngine[Any]:
    """Return the dialect's type that a type comes down to, without the decorators around it."""
    impl = kind.dialect_impl(dialect)
    while _decorates(impl):
        impl = impl.impl_instance  # type: ignore[attr-defined]
    return impl


def exactly(expected: type[Any], place: str | None) -> Processor:
    """Return what lets values of one plain type pass."""

    def process(value: Any) -> Any:
        if type(value) is expected or value is None:
            return value
        text = f"{expected.__name__} is stored here, found {named(value)}"
        raise ValueRefusedError(f"{place}: {text}" if place else text)

    return process


def then(first: Processor | None, second: Processor) -> Processor:
    """Return what does one after the other."""
    return second if first is None else lambda value: second(first(value))


def named(value: Any) -> str:
    """Return what a value is, for a message: its type, as it may be a secret itself."""
    name = type(value).__name__
    return f"an {name}" if name[0].lower() in "aeio" else f"a {name}"


def plain(value: Any) -> Any:
    """Return the Python value that a scalar of numpy is; any other value as it is."""
    if type(value).__module__.partition(".")[0] != "numpy" or not hasattr(value, "item"):
        return value
    if getattr(value, "ndim", 0):
        return value
    return value.item()


def _stores(impl: Any, place: str | None) -> Any:
    """A copy of a type that checks what it is given, within the same decorators."""
    if _decorates(impl):
        decorator = impl.copy()
        decorator.impl_instance = _stores(impl.impl_instance, place)
        return decorator
    if not isinstance(impl, VinciType):
        return impl
    made = copy.copy(impl)
    made._stores, made._place = True, place
    return made


def _decorates(impl: Any) -> bool:
    # An Interval is a decorator by its class, and a type of ours.
    return isinstance(impl, TypeDecorator) and not isinstance(impl, VinciType)


def _is_bound_by_itself(impl: Any) -> bool:
    """Whether a decorator of the application binds values without asking the type it is made of."""
    if not _decorates(impl):
        return False
    owner = next(kind for kind in type(impl).__mro__ if "bind_processor" in vars(kind))
    return not owner.__module__.startswith("sqlalchemy.") or _is_bound_by_itself(impl.impl_instance)
