"""What an SQLAlchemy type is in Arrow: the same on both databases.

==========================================  =====================================================
type                                        in Arrow
==========================================  =====================================================
Integer and its kin                         ``int64``
Boolean                                     ``bool``
Float, Double, Numeric(asdecimal=False)     ``double``
a column of Numeric(p, s)                   ``decimal128(p, s)``; without a precision (38, 18)
an expression of Numeric(p, s)              ``decimal128(38, s)``, since a sum has more digits
String, Text, Unicode, VARCHAR              ``string``
Enum                                        ``string``: what is stored, the name as a rule
Uuid                                        ``string``: with hyphens, in small letters
JSON, VARIANT                               ``string``: the text of the document, as it is stored
LargeBinary                                 ``binary``
Date                                        ``date32``
Time                                        ``time64[us]``
DateTime, TIMESTAMP_NTZ                     ``timestamp[us]``
DateTime(timezone=True), TIMESTAMP          ``timestamp[us, tz=UTC]``
Interval                                    ``duration[us]``
ARRAY, MAP, STRUCT                          ``list``, ``map``, ``struct`` of these
a ``TypeDecorator`` without a result value  as the type that it is made of
==========================================  =====================================================

What a type makes of the values that it reads, and Arrow has no way to be told, is refused by name.
"""

from __future__ import annotations

import datetime as dt
import json
import uuid
from collections.abc import Callable
from decimal import Decimal
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
from sqlalchemy import types as sqltypes
from sqlalchemy.types import TypeDecorator, TypeEngine

from vinci_code.database.dialect.types.nested import ARRAY, MAP, STRUCT
from vinci_code.database.dialect.types.numbers import MAX_DIGITS, UNBOUNDED, effective_scale
from vinci_code.database.models.types import UtcDateTime

Cast = Callable[[Any], Any]
"""Makes a column of Arrow another one, or gives ``None`` where the values have to be looked at."""


class NoFormError(ValueError):
    """A type, or a value, that Arrow cannot have as it is; the message is the reason."""


class Form(NamedTuple):
    """What the values of a type are in Arrow.

    Attributes:
        arrow: Arrow's type.
        kinds: The Python types that its values have, where they are looked at.
        plain: Makes of such a value what Arrow takes; ``None`` where that is the value itself.
        cast: Makes what the warehouse has sent a column of the type.
        is_stored: Whether its values are what is stored, and not what the type makes of it.
        is_checked: Whether values of Arrow's type may be none of its own.
    """

    arrow: Any
    kinds: frozenset[type]
    cast: Cast
    plain: Callable[[Any], Any] | None = None
    is_stored: bool = False
    is_checked: bool = False

    def value(self, value: Any) -> Any:
        """What Arrow takes for a value.

        Raises:
            NoFormError: It is none of the type.
        """
        if value is None:
            return None
        if type(value) not in self.kinds:
            wanted = " or ".join(sorted(kind.__name__ for kind in self.kinds))
            raise NoFormError(f"a value of it is of the type {type(value).__name__}, not {wanted}")
        return value if self.plain is None else self.plain(value)


def form_of(kind: TypeEngine[Any], dialect: Any, *, is_column: bool) -> Form | None:
    """What the values of a type are in Arrow.

    Args:
        kind: The type.
        dialect: The dialect that reads them.
        is_column: Whether they are those of a column of a table, and not of an expression.

    Returns:
        The form; ``None`` for a type that says nothing, such as ``NullType``.

    Raises:
        NoFormError: It has none.
    """
    own = _without_decorators(kind, dialect)
    for base, make in _FORMS:
        if isinstance(own, base):
            return make(own, dialect, is_column)
    if isinstance(own, sqltypes.NullType):
        return None
    if own.dialect_impl(dialect).result_processor(dialect, None) is None:
        return None
    raise NoFormError(f"what the type {type(own).__name__} reads is known to SQLAlchemy alone")


def _without_decorators(kind: TypeEngine[Any], dialect: Any) -> TypeEngine[Any]:
    """The type that a type comes down to, none of whose decorators changes what is read.

    Raises:
        NoFormError: One of them does.
    """
    own: Any = kind
    while True:
        own = own._variant_mapping.get(dialect.name, own)
        if not isinstance(own, TypeDecorator) or isinstance(own, sqltypes.Interval):
            break
        if type(own).process_result_value is UtcDateTime.process_result_value:
            return sqltypes.DateTime(timezone=True)
        if type(own).process_result_value is not TypeDecorator.process_result_value:
            raise NoFormError(
                f"{type(own).__name__}.process_result_value() makes other values of those that "
                "are stored"
            )
        _require_known(own)
        own = own.load_dialect_impl(dialect)
    _require_known(own)
    _require_known(own.dialect_impl(dialect))
    found: TypeEngine[Any] = own
    return found


def _require_known(own: Any) -> None:
    owner = next(made for made in type(own).__mro__ if "result_processor" in vars(made))
    if owner is sqltypes.PickleType or not owner.__module__.startswith(_KNOWN):
        raise NoFormError(
            f"{owner.__name__}.result_processor() makes other values of those that are stored"
        )


_KNOWN = ("sqlalchemy.", "vinci_code.")


def _sent_as(target: Any, *accepted: Callable[[Any], bool]) -> Cast:
    """A cast of what is of a type already, or of one that can be made it."""

    def cast(column: Any) -> Any:
        kind = column.type
        if kind == target:
            return column
        if pa.types.is_null(kind) or any(accepts(kind) for accepts in accepted):
            return column.cast(target)
        return None

    return cast


def _integer(_kind: Any, _dialect: Any, _is_column: bool) -> Form:
    return Form(pa.int64(), frozenset({int}), _sent_as(pa.int64(), pa.types.is_integer))


def _boolean(_kind: Any, _dialect: Any, _is_column: bool) -> Form:
    return Form(pa.bool_(), frozenset({bool}), _sent_as(pa.bool_()))


def _float(kind: Any, _dialect: Any, _is_column: bool) -> Form:
    if kind.asdecimal:
        raise NoFormError("Float(asdecimal=True) does not say how many digits it reads")
    cast = _sent_as(pa.float64(), pa.types.is_floating)
    return Form(pa.float64(), frozenset({float, int}), cast, exact_float)


def exact_float(value: float) -> float:
    """The float that equals a number.

    Raises:
        NoFormError: There is none.
    """
    number = float(value)
    if isinstance(value, int) and int(number) != value:
        raise NoFormError("a whole number of it has more digits than a float")
    return number


def _numeric(kind: Any, _dialect: Any, is_column: bool) -> Form:
    if not kind.asdecimal:
        cast = _sent_as(pa.float64(), pa.types.is_floating)
        return Form(pa.float64(), frozenset({float, int}), cast, exact_float)
    precision = (kind.precision or UNBOUNDED[0]) if is_column else MAX_DIGITS
    scale = effective_scale(kind)
    if not 0 < precision <= MAX_DIGITS or not 0 <= scale <= precision:
        raise NoFormError(f"DECIMAL has no ({precision}, {scale})")
    target = pa.decimal128(precision, scale)
    cast = _sent_as(target, lambda kind: pa.types.is_decimal(kind) and _holds(target, kind))
    return Form(target, frozenset({Decimal}), cast)


def _holds(target: Any, kind: Any) -> bool:
    """Whether a cast from one DECIMAL to another is right or an error.

    Arrow's own gives wrong digits where more of them behind the point leave too little room before
    it (``12345.5`` as ``decimal128(38, 36)``).
    """
    room = kind.precision - kind.scale <= target.precision - target.scale
    return bool(kind.scale == target.scale or (kind.scale < target.scale and room))


def _text(_kind: Any, _dialect: Any, _is_column: bool) -> Form:
    return Form(pa.string(), frozenset({str}), _sent_as(pa.string(), pa.types.is_large_string))


def _binary(_kind: Any, _dialect: Any, _is_column: bool) -> Form:
    cast = _sent_as(pa.binary(), pa.types.is_large_binary)
    return Form(pa.binary(), frozenset({bytes}), cast)


def _enum(kind: Any, _dialect: Any, _is_column: bool) -> Form:
    names, as_text = frozenset(kind.enums), _sent_as(pa.string())

    def known(name: str) -> str:
        if name not in names:
            raise NoFormError("a text of it is none of the Enum's")
        return name

    def cast(column: Any) -> Any:
        texts = as_text(column)
        if texts is not None:
            for name in pc.unique(texts).drop_null().to_pylist():
                known(name)
        return texts

    return Form(pa.string(), frozenset({str}), cast, known, is_stored=True, is_checked=True)


def _uuid(_kind: Any, _dialect: Any, _is_column: bool) -> Form:
    as_text = _sent_as(pa.string())

    def cast(column: Any) -> Any:
        texts = as_text(column)
        if texts is None or pc.all(pc.match_substring_regex(texts, _UUID)).as_py() is False:
            return None
        return texts

    kinds = frozenset({str, uuid.UUID})
    return Form(pa.string(), kinds, cast, _uuid_text, is_checked=True)


def _uuid_text(value: Any) -> str:
    return str(uuid.UUID(str(value)))


_UUID = "^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$"


def _document(_kind: Any, _dialect: Any, _is_column: bool) -> Form:
    # SQLite keeps a document that is a number as a number.
    kinds = frozenset({str, int, float})
    return Form(pa.string(), kinds, _sent_as(pa.string()), _as_document, is_stored=True)


def _as_document(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _date(_kind: Any, _dialect: Any, _is_column: bool) -> Form:
    return Form(pa.date32(), frozenset({dt.date}), _sent_as(pa.date32()))


def _time(_kind: Any, _dialect: Any, _is_column: bool) -> Form:
    return Form(pa.time64("us"), frozenset({dt.time}), _sent_as(pa.time64("us")))


def _moment(kind: Any, _dialect: Any, _is_column: bool) -> Form:
    target = pa.timestamp("us", tz="UTC" if kind.timezone else None)
    plain = _aware if kind.timezone else _naive
    return Form(target, frozenset({dt.datetime}), lambda column: _moments(column, target), plain)


def _moments(column: Any, target: Any) -> Any:
    """Moments with or without a zone, as SQLAlchemy reads them: those without are in UTC."""
    kind = column.type
    if kind == target:
        return column
    if pa.types.is_null(kind):
        return column.cast(target)
    if not pa.types.is_timestamp(kind):
        return None
    return column.cast(pa.timestamp("us", kind.tz)).cast(pa.int64()).cast(target)


def _aware(value: dt.datetime) -> dt.datetime:
    if value.tzinfo is None:
        raise NoFormError("a time of it has no zone, which this database did not keep")
    return value.astimezone(dt.timezone.utc)


def _naive(value: dt.datetime) -> dt.datetime:
    if value.tzinfo is not None:
        raise NoFormError("a time of it has a zone")
    return value


def _interval(_kind: Any, _dialect: Any, _is_column: bool) -> Form:
    target = pa.duration("us")

    def cast(column: Any) -> Any:
        # The moment that lies so long after 1970.
        moments = _moments(column, pa.timestamp("us"))
        return None if moments is None else moments.cast(pa.int64()).cast(target)

    return Form(target, frozenset({dt.timedelta}), cast)


def _array(kind: Any, dialect: Any, _is_column: bool) -> Form:
    item = _part(kind.item_type, dialect)
    for _ in range(kind.dimensions or 1):
        item = _list_of(item)
    return item


def _list_of(item: Form) -> Form:
    return _nested(
        pa.list_(item.arrow),
        frozenset({list, tuple}),
        lambda value: [item.value(one) for one in value],
        [item],
    )


def _map(kind: Any, dialect: Any, _is_column: bool) -> Form:
    key, item = _part(kind.key_type, dialect), _part(kind.value_type, dialect)
    return _nested(
        pa.map_(key.arrow, item.arrow),
        frozenset({dict}),
        lambda value: [(key.value(one), item.value(other)) for one, other in value.items()],
        [key, item],
    )


def _struct(kind: Any, dialect: Any, _is_column: bool) -> Form:
    parts = {name: _part(of, dialect) for name, of in kind.fields}
    return _nested(
        pa.struct([pa.field(name, part.arrow) for name, part in parts.items()]),
        frozenset({dict}),
        lambda value: {name: part.value(value.get(name)) for name, part in parts.items()},
        list(parts.values()),
    )


def _nested(
    target: Any, kinds: frozenset[type], plain: Callable[[Any], Any], parts: list[Form]
) -> Form:
    is_checked = any(part.is_checked for part in parts)

    def cast(column: Any) -> Any:
        if not pa.types.is_null(column.type) and (is_checked or not _is_same(column.type, target)):
            return None
        try:
            return column.cast(target)
        except pa.ArrowNotImplementedError:  # an earlier release, of a part of a map
            return None

    return Form(target, kinds, cast, plain, is_checked=is_checked)


def _is_same(sent: Any, target: Any) -> bool:
    """Whether what is sent is a type, but for what a cast makes of it without looking at values."""
    if pa.types.is_struct(target):
        names = [field.name for field in _fields(target)]
        if not pa.types.is_struct(sent) or [field.name for field in _fields(sent)] != names:
            return False
        pairs = zip(_fields(sent), _fields(target), strict=True)
        return all(_is_same(one.type, other.type) for one, other in pairs)
    if pa.types.is_map(target):
        return (
            pa.types.is_map(sent)
            and _is_same(sent.key_type, target.key_type)
            and _is_same(sent.item_type, target.item_type)
        )
    if pa.types.is_list(target):
        return pa.types.is_list(sent) and _is_same(sent.value_type, target.value_type)
    if pa.types.is_timestamp(sent) and pa.types.is_timestamp(target):
        return sent.unit == target.unit and (sent.tz is None) == (target.tz is None)
    whole = pa.types.is_integer(sent) and pa.types.is_integer(target)
    return whole or bool(sent == target)


def _fields(kind: Any) -> list[Any]:
    return [kind.field(number) for number in range(kind.num_fields)]


def _part(kind: TypeEngine[Any], dialect: Any) -> Form:
    """What the values of a type are within others, as SQLAlchemy has read them."""
    found = form_of(kind, dialect, is_column=True)
    if found is None:
        raise NoFormError(f"a part of it is of the type {type(kind).__name__}, which says nothing")
    own = _without_decorators(kind, dialect)
    if isinstance(own, sqltypes.JSON):
        raise NoFormError("a part of it is JSON, whose text is gone when it was read")
    if isinstance(own, sqltypes.Enum):
        write: Any = own.bind_processor(dialect)  # type: ignore[no-untyped-call]
        members = frozenset({str}) if own.enum_class is None else frozenset({own.enum_class})
        return found._replace(kinds=members, plain=write)
    return found


_FORMS: tuple[tuple[type[Any], Callable[[Any, Any, bool], Form]], ...] = (
    (sqltypes.Interval, _interval),
    (sqltypes.Enum, _enum),
    (sqltypes.Uuid, _uuid),
    (sqltypes.JSON, _document),
    (ARRAY, _array),
    (MAP, _map),
    (STRUCT, _struct),
    (sqltypes.Boolean, _boolean),
    (sqltypes.Float, _float),
    (sqltypes.Numeric, _numeric),
    (sqltypes.Integer, _integer),
    (sqltypes.LargeBinary, _binary),
    (sqltypes.DateTime, _moment),
    (sqltypes.Date, _date),
    (sqltypes.Time, _time),
    (sqltypes.String, _text),
)
