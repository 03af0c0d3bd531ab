"""The columns of a result, each with what makes a column of Arrow of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import pyarrow as pa
from sqlalchemy.types import TypeEngine

from vinci_code.core.errors import ColumnRefusedError
from vinci_code.database.arrow.forms import Form, NoFormError, exact_float, form_of
from vinci_code.database.dialect.driver.rows import to_rows

Processor = Callable[[Any], Any]


class Described(NamedTuple):
    """A column of a result, as SQLAlchemy knows it.

    Attributes:
        name: Its name.
        kind: Its type; ``None`` where nothing is known of it.
        is_column: Whether it is one of a table, and not an expression.
        process: Makes what SQLAlchemy gives of what the driver gives; ``None`` for the same.
    """

    name: str
    kind: TypeEngine[Any] | None = None
    is_column: bool = False
    process: Processor | None = None


class TypedColumn:
    """A column whose type in Arrow is known from its type in SQLAlchemy."""

    is_known = True

    def __init__(self, name: str, form: Form, process: Processor | None) -> None:
        self.name = name
        self.type = form.arrow
        self._form = form
        self._process = None if form.is_stored else process

    def of_arrow(self, sent: Any) -> Any:
        """What the warehouse has sent, in the column's type.

        Raises:
            ColumnRefusedError: Not every value of it can be.
        """
        with _refusing(self.name, self.type):
            made = self._form.cast(sent)
        if made is not None:
            return made
        return pa.chunked_array(
            [self.of_values(_values(chunk)) for chunk in sent.chunks], type=self.type
        )

    def of_values(self, values: Sequence[Any]) -> Any:
        """What the driver has given, value by value, in the column's type.

        Raises:
            ColumnRefusedError: Not every value of it can be.
        """
        process, plain = self._process, self._form.value
        with _refusing(self.name, self.type):
            given = values if process is None else map(process, values)
            return pa.array([plain(value) for value in given], type=self.type)


class UntypedColumn:
    """A column of which SQLAlchemy knows no type: its type in Arrow is that of its values.

    What the warehouse sends has a type. Values of a database that sends none have one: whole
    numbers are ``int64``, numbers ``double``, texts ``string``, bytes ``binary``, truth values
    ``bool``, and nothing but NULL is ``null``. A column that is given out in parts keeps the type
    of its first part.
    """

    def __init__(self, name: str, *, is_raw: bool) -> None:
        self.name = name
        self.type: Any = None
        self._is_raw = is_raw

    @property
    def is_known(self) -> bool:
        """Whether its type was found already."""
        return self.type is not None

    def of_arrow(self, sent: Any) -> Any:
        """What the warehouse has sent; a moment with a zone is given in UTC."""
        kind = sent.type
        if not self._is_raw and pa.types.is_timestamp(kind) and kind.tz is not None:
            sent = sent.cast(pa.timestamp(kind.unit, "UTC"))
        self.type = sent.type
        return sent

    def of_values(self, values: Sequence[Any]) -> Any:
        """What the driver has given, value by value.

        Raises:
            ColumnRefusedError: The values have no type in common, or not that of those before.
        """
        found = self._type_of(values)
        if self.type is None:
            self.type = found
        elif found not in (self.type, pa.null(), *_FITTING.get(self.type, ())):
            raise ColumnRefusedError(
                self.name,
                f"its type is not known, its first values were {self.type}, and later ones are "
                f"{found}",
                _NAME_A_TYPE,
            )
        with _refusing(self.name, self.type):
            given = map(_float, values) if self.type == pa.float64() else values
            return pa.array(list(given), type=self.type)

    def _type_of(self, values: Sequence[Any]) -> Any:
        kinds = frozenset(map(type, values)) - {type(None)}
        if kinds in _TYPES:
            return _TYPES[kinds]
        names = " and ".join(sorted(kind.__name__ for kind in kinds))
        raise ColumnRefusedError(
            self.name, f"its type is not known, and its values are {names}", _NAME_A_TYPE
        )


Column = TypedColumn | UntypedColumn


def column_of(described: Described, dialect: Any, *, is_raw: bool) -> Column:
    """What makes a column of Arrow.

    Args:
        described: The column.
        dialect: The dialect that reads it.
        is_raw: Whether types of SQLAlchemy's are left out of it.

    Raises:
        ColumnRefusedError: Its type has no form in Arrow.
    """
    if is_raw or described.kind is None:
        return UntypedColumn(described.name, is_raw=is_raw)
    try:
        form = form_of(described.kind, dialect, is_column=described.is_column)
    except NoFormError as error:
        raise ColumnRefusedError(described.name, str(error), _READ_RAW) from None
    if form is None:
        return UntypedColumn(described.name, is_raw=False)
    return TypedColumn(described.name, form, described.process)


_READ_RAW = (
    "read it with raw=True, which gives what is stored, or leave it out and read it as rows, with "
    "execute()"
)
_NAME_A_TYPE = "say which type it has, with type_coerce(…, type) or text(…).columns(name=type)"

_TYPES: dict[frozenset[type], Any] = {
    frozenset(): pa.null(),
    frozenset({bool}): pa.bool_(),
    frozenset({bytes}): pa.binary(),
    frozenset({float}): pa.float64(),
    frozenset({int}): pa.int64(),
    frozenset({int, float}): pa.float64(),
    frozenset({str}): pa.string(),
}
# Whole numbers among numbers that have a point.
_FITTING = {pa.float64(): (pa.int64(),)}


def _float(value: Any) -> Any:
    return None if value is None else exact_float(value)


def _values(chunk: Any) -> list[Any]:
    return [value for (value,) in to_rows(pa.table([chunk], names=["value"]))]


class _refusing:  # noqa: N801 - used as a word
    """Says of which column it is what cannot be converted."""

    def __init__(self, name: str, wanted: Any) -> None:
        self._name = name
        self._wanted = wanted

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if isinstance(error, NoFormError):
            raise ColumnRefusedError(self._name, str(error), _READ_RAW) from None
        if isinstance(
            error, (pa.ArrowException, ValueError, TypeError, LookupError, OverflowError)
        ):
            # What these say has the value in it.
            raise ColumnRefusedError(
                self._name, f"not every value of it can be {self._wanted}", _READ_RAW
            ) from None
