"""ARRAY, MAP and STRUCT.

A value travels to the warehouse as one JSON text that ``from_json`` makes the value of, so that
it needs one parameter however much it holds, and each part has its exact type. On SQLite that text
is what is stored.
"""

from __future__ import annotations

import base64
import datetime as dt
import functools
import json
from collections.abc import Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from sqlalchemy import column
from sqlalchemy import types as sqltypes
from sqlalchemy.dialects import registry
from sqlalchemy.exc import ArgumentError
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql import coercions, operators, roles
from sqlalchemy.sql.elements import ColumnElement
from sqlalchemy.sql.visitors import InternalTraversal
from sqlalchemy.types import TypeEngine

from vinci_code.core.errors import ValueRefusedError
from vinci_code.database.dialect.text.literals import quote_text
from vinci_code.database.dialect.types.base import (
    Processor,
    VinciType,
    innermost,
    named,
    write_processor,
)
from vinci_code.database.dialect.types.documents import VARIANT

if TYPE_CHECKING:
    from sqlalchemy.engine import Dialect
    from sqlalchemy.sql.elements import BindParameter


def _instance(kind: TypeEngine[Any] | type[TypeEngine[Any]]) -> TypeEngine[Any]:
    return kind() if isinstance(kind, type) else kind


# SQLAlchemy 2.1 asks each type which operators it has.
_ALL_OPERATORS: Any = getattr(getattr(operators, "OperatorClass", None), "ANY", None)


class _Nested(VinciType):
    """A type whose values travel as JSON text."""

    if TYPE_CHECKING:

        def encode(self, value: Any, dialect: Dialect) -> Any: ...
        def decode(self, value: Any, dialect: Dialect) -> Any: ...

    stored_as = str
    takes_stored = False

    def comparing(self, dialect: Dialect) -> Processor:
        """Write the value as JSON; each part of it is checked as one that is stored."""
        return self.storing(dialect)

    def storing(self, dialect: Dialect) -> Processor:
        """Write the value as JSON."""

        def keep(value: Any) -> str:
            return _dump(self.whole(value, dialect))

        return lambda value: None if value is None else self.placed(keep, value)

    def whole(self, value: Any, dialect: Dialect) -> Any:
        """Return what JSON holds of a value that stands alone."""
        return self.encode(value, dialect)

    def result_processor(self, dialect: Dialect, coltype: object) -> Processor:
        """Give lists, dicts and what is in them."""
        return lambda value: None if value is None else self.decode(_loaded(value), dialect)

    def bind_expression(self, bindvalue: BindParameter[Any]) -> ColumnElement[Any]:
        """Have the warehouse make the value of the text."""
        return _FromText(bindvalue, self)  # type: ignore[arg-type]


class ARRAY(_Nested, sqltypes.ARRAY[Any]):
    """A list of values of one type: ``ARRAY(Integer)``."""

    __visit_name__ = "ARRAY"

    def encode(self, value: Any, dialect: Dialect) -> Any:
        """Return what JSON holds of a value."""
        return _encode_list(value, self.item_type, self.dimensions or 1, dialect)

    def decode(self, value: Any, dialect: Dialect) -> Any:
        """Return the value of what the driver gives."""
        return _decode_list(value, self, self.dimensions or 1, dialect)


class MAP(_Nested, sqltypes.Indexable, TypeEngine[Any]):
    """Values by keys: ``MAP(String, Integer)``; a ``dict`` in Python.

    Keys may be of any type, but within another ARRAY, MAP or STRUCT they have to be text.
    """

    class Comparator(sqltypes.Indexable.Comparator[Any]):
        """``column["key"]``: NULL where there is no such key."""

        def _setup_getitem(self, index: Any) -> tuple[Any, Any, Any]:
            kind: Any = self.type
            key = coercions.expect(
                roles.BinaryElementRole,
                index,
                expr=self.expr,
                operator=operators.getitem,
                bindparam_type=kind.key_type,
            )
            return operators.getitem, key, kind.value_type

    __visit_name__ = "MAP"
    cache_ok = True
    comparator_factory = Comparator
    operator_classes = _ALL_OPERATORS

    def __init__(
        self,
        key_type: TypeEngine[Any] | type[TypeEngine[Any]],
        value_type: TypeEngine[Any] | type[TypeEngine[Any]],
    ) -> None:
        self.key_type = _instance(key_type)
        self.value_type = _instance(value_type)

    @property
    def python_type(self) -> type[Any]:
        """``dict``."""
        return dict

    @property
    def has_text_keys(self) -> bool:
        """Whether JSON has a form for it as an object."""
        return self.key_type._type_affinity is sqltypes.String

    def whole(self, value: Any, dialect: Dialect) -> Any:
        """Return what JSON holds: an object, or pairs where the keys are no text."""
        return self.encode(value, dialect) if self.has_text_keys else self._pairs(value, dialect)

    def encode(self, value: Any, dialect: Dialect) -> Any:
        """Return what JSON holds of a value.

        Raises:
            TypeError: The keys are no text, and so cannot be those of an object.
        """
        if not self.has_text_keys:
            raise TypeError("the keys of a MAP within another ARRAY, MAP or STRUCT have to be text")
        return {
            _encode(self.key_type, key, dialect): _encode(self.value_type, item, dialect)
            for key, item in _mapping(value).items()
        }

    def _pairs(self, value: Any, dialect: Dialect) -> list[dict[str, Any]]:
        return [
            {
                "key": _encode(self.key_type, key, dialect),
                "value": _encode(self.value_type, item, dialect),
            }
            for key, item in _mapping(value).items()
        ]

    def decode(self, value: Any, dialect: Dialect) -> Any:
        """Return the value of what the driver gives: a dict, or its pairs."""
        pairs = value.items() if isinstance(value, Mapping) else map(_pair, value)
        return {
            _decode(self.key_type, key, dialect): _decode(self.value_type, item, dialect)
            for key, item in pairs
        }


class STRUCT(_Nested, sqltypes.Indexable, TypeEngine[Any]):
    """Named values: ``STRUCT(("street", String), ("number", Integer))``; a ``dict`` in Python."""

    class Comparator(sqltypes.Indexable.Comparator[Any]):
        """``column["street"]``: a field."""

        def _setup_getitem(self, index: Any) -> tuple[Any, Any, Any]:
            kinds: dict[str, Any] = dict(self.type.fields)  # type: ignore[attr-defined]
            if index not in kinds:
                raise ArgumentError(f"a STRUCT has no field {index!r}; it has {', '.join(kinds)}")
            return operators.getitem, column(index), kinds[index]

    __visit_name__ = "STRUCT"
    cache_ok = True
    comparator_factory = Comparator
    operator_classes = _ALL_OPERATORS

    def __init__(self, *fields: tuple[str, TypeEngine[Any] | type[TypeEngine[Any]]]) -> None:
        self.fields = tuple((name, _instance(kind)) for name, kind in fields)

    def __repr__(self) -> str:
        return f"STRUCT({', '.join(map(repr, self.fields))})"

    def adapt(self, cls: Any, **kw: Any) -> Any:
        """Return a copy; SQLAlchemy's own way of copying does not know of ``*fields``."""
        return cls(*self.fields)

    @property
    def _static_cache_key(self) -> Any:
        return (STRUCT, *((name, kind._static_cache_key) for name, kind in self.fields))

    @property
    def python_type(self) -> type[Any]:
        """``dict``."""
        return dict

    def encode(self, value: Any, dialect: Dialect) -> Any:
        """Return what JSON holds of a value.

        Raises:
            ValueRefusedError: It is no mapping, or has fields that the type lacks, which JSON
                would drop.
        """
        unknown = set(_mapping(value)) - {name for name, _ in self.fields}
        if unknown:
            raise ValueRefusedError(
                f"a STRUCT has no field {', '.join(sorted(map(repr, unknown)))}"
            )
        return {name: _encode(kind, value.get(name), dialect) for name, kind in self.fields}

    def decode(self, value: Any, dialect: Dialect) -> Any:
        """Return the value of what the driver gives."""
        given = value if isinstance(value, Mapping) else value.asDict()
        return {name: _decode(kind, given.get(name), dialect) for name, kind in self.fields}


class _FromText(ColumnElement[Any]):
    """A value of a type, made of JSON text: what ``parsed`` says, and on SQLite the text itself."""

    __visit_name__ = "from_text"
    inherit_cache = True
    _traverse_internals = [  # noqa: RUF012 - SQLAlchemy's form
        ("text", InternalTraversal.dp_clauseelement),
        ("type", InternalTraversal.dp_type),
    ]

    def __init__(self, text: ColumnElement[Any], kind: TypeEngine[Any]) -> None:
        self.text = text
        self.type = kind


@compiles(_FromText)
def _text_itself(element: _FromText, compiler: Any, **kw: Any) -> str:
    rendered: str = compiler.process(element.text, **kw)
    return rendered


@compiles(_FromText, "databricks")
def _value_of_text(element: _FromText, compiler: Any, **kw: Any) -> str:
    text, kind = compiler.process(element.text, **kw), element.type
    if not isinstance(kind, MAP) or kind.has_text_keys:
        return _from_json(text, kind, compiler)
    pairs = ARRAY(STRUCT(("key", kind.key_type), ("value", kind.value_type)))
    return f"map_from_entries({_from_json(text, pairs, compiler)})"


def _from_json(text: str, kind: TypeEngine[Any], compiler: Any) -> str:
    """Return ``from_json`` of a text; ``FAILFAST``, as a bad value would become NULL without."""
    name = quote_text(compiler.dialect.type_compiler_instance.process(kind))
    return f"from_json({text}, {name}, map('mode', 'FAILFAST'))"


def _encode(kind: TypeEngine[Any], value: Any, dialect: Dialect) -> Any:
    """Return what JSON holds of a value of a type."""
    if value is None:
        return None
    impl = kind.dialect_impl(_ours(dialect))
    if isinstance(impl, _Nested):
        return impl.encode(value, dialect)
    if isinstance(impl, VARIANT):
        raise ValueRefusedError(
            "a VARIANT within an ARRAY, MAP or STRUCT would be stored as the text of its document; "
            "make it JSON there, which is kept as text"
        )
    process = write_processor(kind, _ours(dialect))
    return _plain(process(value) if process is not None else value)


def _decode(kind: TypeEngine[Any], value: Any, dialect: Dialect) -> Any:
    """Return the value of what the driver gives for a type."""
    if value is None:
        return None
    impl = kind.dialect_impl(_ours(dialect))
    if isinstance(impl, _Nested):
        return impl.decode(value, dialect)
    if isinstance(value, str):
        value = _of_text(innermost(kind, _ours(dialect)), value)
    process = impl.result_processor(_ours(dialect), None)
    return process(value) if process is not None else value


def _of_text(kind: TypeEngine[Any], text: str) -> Any:
    """What the driver would give for a type, of the text that JSON holds; else the text itself."""
    if isinstance(kind, sqltypes.LargeBinary):
        return base64.b64decode(text)
    return dt.datetime.fromisoformat(text) if isinstance(kind, sqltypes.Interval) else text


def _ours(dialect: Dialect) -> Dialect:
    """Return this dialect, whose text is exact: SQLite's would make floats of decimals."""
    return dialect if dialect.name == "databricks" else _own_dialect()


@functools.cache
def _own_dialect() -> Dialect:
    # By the name that SQLAlchemy knows it by: the types are made before the dialect is.
    made: Dialect = registry.load("databricks.vinci")()
    return made


def _dump(value: Any) -> str:
    """Write JSON."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _loaded(value: Any) -> Any:
    return json.loads(value) if isinstance(value, str) else value


def _plain(value: Any) -> Any:
    if isinstance(value, (Decimal, dt.date, dt.datetime)):
        return value.isoformat() if isinstance(value, dt.date) else f"{value:f}"
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, float) and value - value != 0:
        return {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}[str(value)]
    return value


def _pair(item: Any) -> tuple[Any, Any]:
    return (item["key"], item["value"]) if isinstance(item, Mapping) else (item[0], item[1])


def _mapping(value: Any) -> Mapping[Any, Any]:
    if isinstance(value, Mapping):
        return value
    raise ValueRefusedError(f"a dict is wanted here, found {named(value)}")


def _encode_list(value: Any, kind: TypeEngine[Any], depth: int, dialect: Dialect) -> Any:
    if not isinstance(value, (list, tuple)):
        raise ValueRefusedError(
            f"a list is wanted here, found {named(value)}; make it one: list(value)"
        )
    if depth > 1:
        return [
            None if item is None else _encode_list(item, kind, depth - 1, dialect) for item in value
        ]
    return [_encode(kind, item, dialect) for item in value]


def _decode_list(value: Any, kind: ARRAY, depth: int, dialect: Dialect) -> Any:
    if depth > 1:
        items = [
            None if item is None else _decode_list(item, kind, depth - 1, dialect) for item in value
        ]
    else:
        items = [_decode(kind.item_type, item, dialect) for item in value]
    return tuple(items) if kind.as_tuple else items
