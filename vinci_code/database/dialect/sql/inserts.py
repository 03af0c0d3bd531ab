"""INSERT: the keys that SQLite would have given out are made here.

- A statement with parameters gets a key for each set of them: with ``execute(insert(t), [{…}, …])``
  as with the ORM.
- Rows that stand in the statement, ``insert(t).values([{…}, …])``, get one each.
- ``insert(t).from_select(…)`` makes keys of a number from here and the number of the row.

A key that is given is taken as it is; ``None`` means that one is to be made, as on SQLite.

Where keys come from blocks (``key_blocks``), a statement that is compiled to be looked at has none,
and ``from_select`` is refused: how many there would have to be is known to the warehouse alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from sqlalchemy import bindparam, func, literal_column, select
from sqlalchemy.exc import CompileError
from sqlalchemy.schema import Column, Table
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.dml import Insert
from sqlalchemy.sql.elements import BindParameter
from sqlalchemy.types import BigInteger

from vinci_code.database.dialect.sql.key_blocks import (
    BLOCKS,
    KeyNeed,
    block_key,
    key_kind,
    note_given,
)
from vinci_code.database.dialect.sql.keys import ROW_STEP, next_key
from vinci_code.database.dialect.sql.refusals import NARROW_KEY, SELECTED_BLOCKS, SEQUENCE
from vinci_code.database.dialect.types.base import innermost

_BITS = 64


class InsertKeys(SQLCompiler):
    """Adds keys to INSERT."""

    # The name of the parameter for which a key is made where none is given.
    _made_key: str | None = None
    _key_column: Any = None
    _from_block = False
    # The parameters of the keys of rows that stand in the statement, in their order.
    _keys_of_rows: Sequence[BindParameter[Any]] = ()

    def with_key(self, statement: Insert) -> Insert:
        """Return the statement with the column of its key, where that is left to the database."""
        column = generated_key(as_declared(statement.table))
        if column is None:
            return statement
        dialect: Any = self.dialect
        if statement.select is not None:
            return _numbered(statement, column, dialect.held_by)
        if statement._multi_values:
            made: list[BindParameter[Any]] = []
            statement = _keyed_rows(statement, column, _key_later(column, dialect.held_by, made))
            self._keys_of_rows = made
            return statement
        self._made_key = column.key
        self._key_column = column
        self._from_block = comes_from_block(column, dialect.held_by)
        if self.column_keys is None:
            if statement._values:
                self.column_keys = [column.key]
        elif column.key not in self.column_keys:
            self.column_keys = [*self.column_keys, column.key]
        return statement

    def construct_params(self, params: Any = None, *args: Any, **kw: Any) -> Any:
        """Return the parameters of one row, its key among them."""
        name = self._made_key
        if name is None:
            return super().construct_params(params, *args, **kw)
        if not params or name not in params:
            params = {**(params or {}), name: None} if self._is_parameter(name) else params
        built = super().construct_params(params, *args, **kw)
        bound = self.escaped_bind_names.get(name, name) if self.escaped_bind_names else name
        dialect: Any = self.dialect
        if built.get(bound, 0) is None:
            built[bound] = _made(self._key_column, dialect.held_by)
        elif self._from_block:
            note_given(self._key_column, dialect.held_by, built.get(bound))
        return built

    def key_need(
        self,
        schemas: Mapping[str | None, str | None] | None,
        parameters: Sequence[Mapping[str, Any]] | None,
    ) -> KeyNeed | None:
        """What an execution with these sets of parameters needs of keys; ``None`` if of none."""
        if self._made_key is None and not self._keys_of_rows:
            return None
        return KeyNeed(schemas, parameters or [{}], self._made_key, len(self._keys_of_rows))

    def _is_parameter(self, name: str) -> bool:
        """Whether the key is left open, and not given by ``values()``."""
        parameter = self.binds.get(name)
        return parameter is not None and parameter.required


def executions(
    statement: Any, compiled: Any, parameters: Sequence[Mapping[str, Any]]
) -> Iterator[tuple[Any, list[Mapping[str, Any]]]]:
    """What writes the same again: a construct, and the sets of parameters that it is executed with.

    The defaults and the keys that were made are among them. Keys of rows that stand in the
    statement take their places there, so that each set of parameters has a construct of its own.
    The parameters that are given have the names that ``compiled`` has for them.
    """
    binds: Sequence[BindParameter[Any]] = compiled._keys_of_rows
    rows = list(_given(compiled, parameters))
    if not binds:
        yield statement, rows
        return
    for row, values in zip(rows, parameters, strict=True):
        keys = [values[compiled.bind_names[bind]] for bind in binds]
        yield _with_keys(statement, iter(keys)), [row]


def as_declared(table: Any) -> Any:
    """A table as its constraints know it: ``insert(Model)`` has a copy of it with annotations."""
    return table if table is None else table._deannotate()


def generated_key(table: Any) -> Column[Any] | None:
    """Return the column whose values SQLite would give out, or ``None``; only a ``Table`` has one.

    An identity column is one if it takes a value (BY DEFAULT): nobody would learn the number that
    the warehouse gives to a row.

    Raises:
        CompileError: They are to come from a sequence.
    """
    column = table._autoincrement_column if isinstance(table, Table) else None
    if column is None:
        return None
    if column.server_default is not None and (column.identity is None or column.identity.always):
        return None
    default: Any = column.default
    if default is None:
        return column
    if not default.is_sequence:
        return None
    if not default.optional:
        raise CompileError(SEQUENCE)
    return column


def comes_from_block(column: Column[Any], dialect: Any) -> bool:
    """Whether the keys of a column are taken from ranges that are reserved on the warehouse."""
    return key_kind(column.table, dialect) == BLOCKS


def require_room(column: Column[Any], dialect: Any) -> None:
    """Refuse to make a key for a column that cannot hold it.

    Raises:
        CompileError: It has less than 64 bits.
    """
    if is_narrow(column, dialect):
        raise CompileError(NARROW_KEY.format(column))


def is_narrow(column: Column[Any], dialect: Any) -> bool:
    """Whether a column has less bits than the keys that are made here, such as one of INTEGER."""
    return bool(getattr(innermost(column.type, dialect), "bits", _BITS) < _BITS)


def _made(column: Column[Any], dialect: Any) -> int | None:
    """A key for a row; ``None`` where it would come from a block, and nothing is executed.

    Raises:
        CompileError: The column cannot hold it.
        Error: No block could be reserved.
    """
    if comes_from_block(column, dialect):
        return block_key(column, dialect)
    require_room(column, dialect)
    return next_key.for_row()


def _given(compiled: Any, parameters: Iterable[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    """The sets of parameters with what was made for them, but for the keys of rows within."""
    wanted = set(compiled.column_keys or ())
    keys_of_rows = set(compiled._keys_of_rows)
    within = compiled.isinsert and compiled.compile_state.statement._multi_values
    if not within:
        wanted |= {column.key for column in compiled.insert_prefetch}
        wanted |= {column.key for column in compiled.update_prefetch}
    names = {
        bind.key: name
        for bind, name in compiled.bind_names.items()
        if (bind.key in wanted or bind.callable is not None) and bind not in keys_of_rows
    }
    for row in parameters:
        yield {key: row[name] for key, name in names.items()}


def _with_keys(statement: Insert, keys: Iterator[Any]) -> Insert:
    column: Any = generated_key(as_declared(statement.table))
    return _keyed_rows(statement, column, lambda _: next(keys))


def _keyed_rows(statement: Insert, column: Column[Any], make: Callable[[int], Any]) -> Insert:
    keyed = tuple(
        [
            _keyed_row(_by_name(row, statement.table), column, number, make)
            for number, row in enumerate(rows)
        ]
        for rows in statement._multi_values
    )
    made = statement._generate()
    made._multi_values = keyed
    return made


def _key_later(
    column: Column[Any], dialect: Any, made: list[BindParameter[Any]]
) -> Callable[[int], Any]:
    """Makes parameters whose values, the keys, are made at each execution; notes them."""

    def later(number: int) -> Any:
        # By this name a default that looks at its row asks for the key. That of the first row gets
        # it from SQLAlchemy.
        name = f"{column.key}_m{number}" if number else None
        make = partial(_made, column, dialect)
        key = bindparam(name, callable_=make, type_=column.type, unique=name is None)
        made.append(key)
        return key

    return later


def _by_name(row: Any, table: Any) -> dict[Any, Any]:
    """A row of ``values()`` by the keys of its columns; a tuple has all of them, in order."""
    if isinstance(row, Sequence):
        return {column.key: value for column, value in zip(table.c, row, strict=False)}
    return dict(row)


def _keyed_row(
    row: dict[Any, Any], column: Column[Any], number: int, make: Callable[[int], Any]
) -> dict[Any, Any]:
    own = {key for key in row if _names(key, column)}
    if any(_value(row[key]) is not None for key in own):
        return row
    others = {name: value for name, value in row.items() if name not in own}
    return {**others, column.key: make(number)}


def _names(key: Any, column: Column[Any]) -> bool:
    """Whether what a row of ``values()`` calls a column is this one.

    Of attributes, as of ``insert(Model)``, it is a copy of the column with annotations.
    """
    return key == column.key if isinstance(key, str) else as_declared(key) is column


def _value(item: Any) -> Any:
    return getattr(item, "value", item)


def _numbered(statement: Insert, column: Column[Any], dialect: Any) -> Insert:
    names = list(statement._select_names or [])
    if column.key in names or column.name in names:
        return statement
    if comes_from_block(column, dialect):
        raise CompileError(SELECTED_BLOCKS.format(column))
    require_room(column, dialect)
    rows = statement.select.subquery()  # type: ignore[union-attr]
    number = func.row_number().over(order_by=literal_column("1"))
    base = bindparam(None, callable_=next_key.base, type_=BigInteger(), unique=True)
    key = base + number * literal_column(str(ROW_STEP), BigInteger())
    made = statement._generate()
    made._select_names = [column.key, *names]
    made.select = select(key.label(None), *rows.columns)
    return made
