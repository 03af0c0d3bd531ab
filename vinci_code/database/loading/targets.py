"""The table that rows are loaded into, and which of its columns they have."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Column, Connection, MetaData, Table, inspect
from sqlalchemy.exc import ArgumentError, NoInspectionAvailable
from sqlalchemy.orm import Mapper

from vinci_code.database.loading.results import MODES, Mode
from vinci_code.database.upserts import is_unique


@dataclass(frozen=True)
class LoadTarget:
    """A table, and its columns by the names that a source may have for them.

    Attributes:
        table: The table.
        names: The columns, by names of attributes and by their own.
        mapper: The mapper of the class that was given.
    """

    table: Table
    names: dict[str, Column[Any]]
    mapper: Mapper[Any] | None = None


@dataclass(frozen=True)
class Matching:
    """What is done with the rows whose key is there.

    Attributes:
        mode: What becomes of rows.
        keys: The columns that say which row it is; none where the mode does not ask.
        update: The columns that are changed in a row that is there.
    """

    mode: Mode
    keys: tuple[Column[Any], ...]
    update: tuple[Column[Any], ...]


def target_of(given: Any, schema: str | None = None) -> LoadTarget | None:
    """The target that a mapped class or a ``Table`` is; ``None`` for a name.

    Raises:
        ArgumentError: It is none of these, or a class that is kept in several tables.
    """
    if isinstance(given, str):
        return None
    if schema is not None:
        raise ArgumentError(
            f"load() got schema={schema!r} for a target that has its schema; nothing was loaded\n"
            "To fix it: leave it out; it goes with the name of a table."
        )
    if isinstance(given, Table):
        return LoadTarget(given, _named(given))
    try:
        found: Any = inspect(given)
    except NoInspectionAvailable:
        found = None
    if not isinstance(found, Mapper):
        raise ArgumentError(
            f"load() takes a mapped class, a Table or the name of a table, found {given!r}; "
            "nothing was loaded"
        )
    table = found.local_table
    if not isinstance(table, Table) or (
        found.inherits is not None and table is not found.inherits.local_table
    ):
        raise ArgumentError(
            f"{given!r} is kept in several tables, and load() fills one; nothing was loaded\n"
            "To fix it: load each of them, as Model.__table__."
        )
    own = {
        attribute.key: attribute.columns[0]
        for attribute in found.column_attrs
        if isinstance(attribute.columns[0], Column)
    }
    return LoadTarget(table, {**_named(table), **own}, found)


def reflected(connection: Connection, name: str, schema: str | None) -> LoadTarget:
    """The target that a name is, as the database tells it.

    Raises:
        NoSuchTableError: There is no such table.
    """
    table = Table(name, MetaData(), autoload_with=connection, schema=schema)
    return LoadTarget(table, _named(table))


def columns_of(target: LoadTarget, names: Sequence[str]) -> dict[str, Column[Any]]:
    """The columns that the names of a source stand for, in the order of these.

    Raises:
        ArgumentError: A name stands for none, or two stand for one; or the table cannot have a row
            without a column that is not given.
    """
    table = target.table.fullname
    unknown = [name for name in names if name not in target.names]
    if unknown:
        raise ArgumentError(
            f"{table} has no {quoted(unknown)}; it has {quoted(target.names)}; nothing was loaded\n"
            "To fix it: rename or drop the columns of the source."
        )
    twice = sorted({name for name in names if list(names).count(name) > 1})
    if twice:
        raise ArgumentError(
            f"the source has several columns called {quoted(twice)}; nothing was loaded"
        )
    found = {name: target.names[name] for name in names}
    for name, column in found.items():
        others = [other for other in names if other != name and found[other] is column]
        if others:
            raise ArgumentError(
                f"{quoted([name, *others])} are one column of {table}; nothing was loaded"
            )
    computed = [name for name, column in found.items() if column.computed is not None]
    if computed:
        raise ArgumentError(
            f"{quoted(computed)} of {table} is computed, and cannot be written; nothing was loaded"
        )
    given = set(found.values())
    missing = [
        column.name for column in target.table.columns if column not in given and _is_needed(column)
    ]
    if missing:
        raise ArgumentError(
            f"the source has no {quoted(missing)}, and {table} has no row without; nothing was "
            f"loaded\nTo fix it: add it to the source, which has {quoted(names)}."
        )
    return found


def matching(
    target: LoadTarget, mode: Any, keys: Sequence[str] | None, update: Sequence[str] | None
) -> Matching:
    """What is done with rows whose key is there.

    ``update`` is left open where it is ``None``: what the source has beside the keys.

    Raises:
        ArgumentError: The mode is none, does not go with the rest, or the keys say of no row which
            it is.
    """
    if mode not in MODES:
        raise ArgumentError(
            f"mode={mode!r}: it is one of {', '.join(map(repr, MODES))}; nothing was loaded"
        )
    asks = mode in {"upsert", "insert_missing"}
    if not asks and keys is not None:
        raise ArgumentError(
            f"keys= goes with mode='upsert' and 'insert_missing', not with {mode!r}; nothing was "
            "loaded"
        )
    if mode != "upsert" and update is not None:
        raise ArgumentError(
            f"update= goes with mode='upsert', not with {mode!r}; nothing was loaded"
        )
    if not asks:
        return Matching(mode, (), ())
    named = _known(target, keys or ()) or tuple(target.table.primary_key)
    _require_unique(target.table, named)
    changed = () if mode == "insert_missing" else _known(target, update or ())
    both = set(named) & set(changed)
    if both:
        raise ArgumentError(
            f"{quoted(column.name for column in both)} is a key, and cannot be updated; nothing "
            "was loaded"
        )
    if update is not None and not changed:
        raise ArgumentError(
            "update=[] changes nothing; nothing was loaded\n"
            "To fix it: mode='insert_missing' leaves the rows as they are that are there."
        )
    return Matching(mode, named, changed)


def quoted(names: Iterable[str]) -> str:
    """Names for a message."""
    return ", ".join(map(repr, sorted(names))) or "none"


def _named(table: Table) -> dict[str, Column[Any]]:
    return {**{c.name: c for c in table.columns}, **{c.key: c for c in table.columns}}


def _known(target: LoadTarget, names: Sequence[str]) -> tuple[Column[Any], ...]:
    if isinstance(names, str):
        raise ArgumentError(f"a list of names is wanted, found the text {names!r}")
    unknown = [name for name in names if name not in target.names]
    if unknown:
        raise ArgumentError(
            f"{target.table.fullname} has no {quoted(unknown)}; it has {quoted(target.names)}; "
            "nothing was loaded"
        )
    return tuple(target.names[name] for name in names)


def _is_needed(column: Column[Any]) -> bool:
    """Whether no row is without a value of the source for a column."""
    return not (
        column.nullable
        or column.default is not None
        or column.server_default is not None
        or column.computed is not None
        or column.identity is not None
        or column is column.table.autoincrement_column
    )


def _require_unique(table: Table, columns: Sequence[Column[Any]]) -> None:
    if not is_unique(table, columns):
        named = quoted(column.name for column in columns)
        raise ArgumentError(
            f"the keys of {table.fullname} are {named}, and neither its primary key nor declared "
            "unique as they are, in all rows, so that they do not say which row is meant; nothing "
            "was loaded\nTo fix it: give unique columns as keys=[…], or declare these unique."
        )
