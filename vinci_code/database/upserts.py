"""Insert rows, or change those that are there: one statement on both databases."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import Column, Connection, Table, UniqueConstraint, insert, inspect
from sqlalchemy.engine import IteratorResult, Result
from sqlalchemy.engine.result import SimpleResultMetaData
from sqlalchemy.exc import ArgumentError, NoInspectionAvailable
from sqlalchemy.sql.base import Executable, Generative
from sqlalchemy.sql.elements import ClauseElement

from vinci_code.database.dialect.options import UPSERT
from vinci_code.database.dialect.sql.uniques import is_declared


def upsert(
    model: type[object] | Table,
    rows: Iterable[Mapping[str, object]],
    *,
    keys: Sequence[str],
    update: Sequence[str] | None = None,
) -> Upsert:
    """A statement that inserts rows, or changes those whose key is there already.

    ::

        session.execute(upsert(Event, rows, keys=["id"], update=["payload"]))

    On SQLite it is ``INSERT … ON CONFLICT``, on Databricks ``MERGE``, which is held until the
    commit as any other write; the table holds the same rows afterwards. Rows go in the order in
    which they are given: of several with one key the first decides what is inserted, and the last
    what the columns of ``update`` hold. A NULL in the key equals nothing, so such a row is
    inserted. Two rows whose keys are equal only as they are stored, by a type's
    ``bind_expression``, are an ``IntegrityError`` on Databricks. Python's column defaults are
    applied; ``onupdate`` is not. Objects in the session are not flushed before and not refreshed
    afterwards.

    Args:
        model: A mapped class, or a ``Table``.
        rows: The rows, by the names of attributes or, for a ``Table``, of columns; each has the
            same ones.
        keys: What says which row it is: the primary key, or columns that are declared unique as
            they are, in all rows.
        update: What is changed in a row that is there: by default all that is given beside the
            keys. With an empty list, rows that are there are left as they are.

    Raises:
        ArgumentError: The names are not those of the model, the keys are not unique, or the rows
            do not all have the same names.
    """
    table, columns = _table_of(model)
    listed = [dict(row) for row in rows]
    names = list(listed[0]) if listed else list(keys)
    for number, row in enumerate(listed, 1):
        if set(row) != set(names):
            raise ArgumentError(
                f"row {number} has {_quoted(row)}, and row 1 has {_quoted(names)}; each row of an "
                "upsert has the same names"
            )
    changed = [name for name in names if name not in keys] if update is None else list(update)
    unknown = [name for name in (*names, *keys, *changed) if name not in columns]
    if unknown:
        raise ArgumentError(
            f"{table.fullname} has no {_quoted(unknown)}; it has {_quoted(columns)}"
        )
    if set(keys) & set(changed):
        raise ArgumentError(f"{_quoted(set(keys) & set(changed))} is a key, and cannot be updated")
    computed = [name for name in (*names, *changed) if columns[name].computed is not None]
    if computed:
        raise ArgumentError(f"{_quoted(computed)} is computed, and cannot be written")
    missing = [name for name in keys if name not in names]
    if missing:
        raise ArgumentError(f"the rows have no {_quoted(missing)}, which is a key")
    _require_unique(table, [columns[name] for name in keys])
    return Upsert(
        table,
        [{columns[name].key: value for name, value in row.items()} for row in listed],
        tuple(columns[name].name for name in keys),
        tuple(columns[name].name for name in changed),
    )


class Upsert(Generative, Executable, ClauseElement):
    """What ``upsert()`` returns: a statement for ``execute``, of a session or of a connection."""

    inherit_cache = False
    _traverse_internals: list[Any] = []  # noqa: RUF012 - SQLAlchemy's form

    def __init__(
        self,
        table: Table,
        rows: Sequence[dict[str, Any]],
        keys: tuple[str, ...],
        update: tuple[str, ...],
    ) -> None:
        self.table = table
        self.rows = rows
        self.keys = keys
        self.update = update

    def _execute_on_connection(  # type: ignore[override]
        self, connection: Connection, distilled_params: Any, execution_options: Any
    ) -> Result[Any]:
        if any(distilled_params):
            raise ArgumentError("the rows of an upsert are given to upsert(), not to execute()")
        if not self.rows:
            return IteratorResult(SimpleResultMetaData([]), iter(()))
        options = {**self._execution_options, **execution_options}
        name = connection.dialect.name
        if hasattr(connection.dialect, "held_by"):
            from vinci_code.database.dialect.writes.sets import OnConflict as Spec

            options[UPSERT] = Spec(self.keys, self.update)
        if name == "sqlite":
            return connection.execute(self._on_conflict(), self.rows, execution_options=options)
        if UPSERT in options:
            return connection.execute(insert(self.table), self.rows, execution_options=options)
        raise NotImplementedError(f"upsert() knows SQLite and databricks+vinci, not {name}")

    def _on_conflict(self) -> Any:
        from sqlalchemy.dialects import sqlite

        statement = sqlite.insert(self.table)
        keys = [self.table.c[_key_of(self.table, name)] for name in self.keys]
        if not self.update:
            return statement.on_conflict_do_nothing(index_elements=keys)
        names = [_key_of(self.table, name) for name in self.update]
        changed = {name: statement.excluded[name] for name in names}
        return statement.on_conflict_do_update(index_elements=keys, set_=changed)


def _key_of(table: Table, name: str) -> str:
    return next(column.key for column in table.columns if column.name == name)


def _table_of(model: type[object] | Table) -> tuple[Table, dict[str, Column[Any]]]:
    """The table of a model, and its columns by the names that rows have."""
    if isinstance(model, Table):
        return model, {column.key: column for column in model.columns}
    try:
        mapper = inspect(model).mapper
    except (NoInspectionAvailable, AttributeError):
        raise ArgumentError(f"a mapped class or a Table is wanted, found {model!r}") from None
    table = mapper.local_table
    if not isinstance(table, Table) or (
        mapper.inherits is not None and table is not mapper.inherits.local_table
    ):
        raise ArgumentError(f"{model!r} is kept in several tables; upsert into each of them")
    return table, {
        attribute.key: attribute.columns[0]
        for attribute in mapper.column_attrs
        if isinstance(attribute.columns[0], Column)
    }


def is_unique(table: Table, columns: Iterable[Column[Any]]) -> bool:
    """Whether columns say which row is meant: the primary key, or what is declared unique as it is.

    An index of a part of the rows, or of an expression, does not say which row a value stands for.
    """
    unique = [set(table.primary_key.columns)]
    unique += [set(c.columns) for c in table.constraints if isinstance(c, UniqueConstraint)]
    unique += [set(index.columns) for index in table.indexes if index.unique and is_declared(index)]
    wanted = set(columns)
    return bool(wanted) and wanted in unique


def _require_unique(table: Table, columns: Sequence[Column[Any]]) -> None:
    if not is_unique(table, columns):
        raise ArgumentError(
            f"{_quoted(column.name for column in columns)} of {table.fullname} is neither its "
            "primary key nor declared unique as it is, in all rows, so that it does not say which "
            "row is meant; give unique columns as keys, or declare these unique"
        )


def _quoted(names: Iterable[str]) -> str:
    return ", ".join(map(repr, sorted(names))) or "none"
