"""What a flush does for a mapped class beside its columns, and a load does not: it is refused."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from sqlalchemy import Column, Table, inspect
from sqlalchemy.exc import ArgumentError
from sqlalchemy.orm import Mapper

from vinci_code.core.errors import LoadRefusedError


def require_loadable(mapper: Mapper[Any], mode: str) -> None:
    """Refuse a class whose rows a load would not make as a flush does.

    Raises:
        ArgumentError: It counts versions; or it shares its table with other classes, whose rows the
            mode would delete or change.
    """
    name = mapper.class_.__name__
    if _counts_versions(mapper):
        raise ArgumentError(
            f"{name} has a version_id_col, which each flush counts and load() does not; nothing "
            f"was loaded\nTo fix it: load into {name}.__table__, with the version in each row; or "
            "call session.add_all()."
        )
    if mapper.inherits is not None and mode in {"replace", "upsert"}:
        raise ArgumentError(
            f"{name} shares the table {mapper.local_table} with other classes, whose rows "
            f"mode={mode!r} would change as well; nothing was loaded\n"
            f"To fix it: load into {mapper.base_mapper.class_.__name__}, if all rows are meant."
        )


def require_identity(mapper: Mapper[Any], given: Collection[Column[Any]]) -> None:
    """Refuse rows of a class that do not have the column by which it is told from others.

    Raises:
        ArgumentError: It is not given.
    """
    told_by = mapper.polymorphic_on
    table = mapper.local_table
    if not isinstance(told_by, Column) or not isinstance(table, Table):
        return
    if table.columns.contains_column(told_by) and told_by not in given:
        name = mapper.class_.__name__
        raise ArgumentError(
            f"the source has no {told_by.key!r}, by which {name} is told from the other classes in "
            f"{table.fullname}; nothing was loaded\nTo fix it: add it to each row, with "
            f"{mapper.polymorphic_identity!r} for a {name}."
        )


class FlushedParts:
    """What a flush would write beside the columns of an object.

    Args:
        kind: The class of the objects.

    Raises:
        LoadRefusedError: The class counts versions.
    """

    def __init__(self, kind: type[Any]) -> None:
        mapper: Any = inspect(kind)
        if _counts_versions(mapper):
            raise LoadRefusedError(
                f"an iterable of {kind.__name__}",
                "it has a version_id_col, which each flush counts and load() does not",
                "call session.add_all(), or pass dicts with the version in each",
            )
        self._name = kind.__name__
        # The columns of the object itself that a flush sets from the other one.
        self._relations = {
            one.key: [
                mapper.get_property_by_column(column).key
                for column in one.local_columns
                if one.direction.name == "MANYTOONE"
            ]
            for one in mapper.relationships
            if not one.viewonly
        }

    def require_none(self, number: int, row: Any) -> None:
        """Refuse an object that has others beside it.

        Raises:
            LoadRefusedError: A relationship of it is set, or was loaded.
        """
        if not self._relations:
            return
        state: Any = inspect(row)
        for name, columns in self._relations.items():
            if name in state.dict:
                found = state.dict[name]
                is_set = bool(found) if isinstance(found, Collection) else found is not None
                # A flush clears the columns of one that is set to None.
                is_set = is_set or any(state.dict.get(key) is not None for key in columns)
            else:
                # Of relationships that are written only.
                is_set = name in state.committed_state
            if is_set:
                raise LoadRefusedError(
                    f"row {number:,}",
                    f"{self._name}.{name} is set, and load() stores columns, not relationships",
                    "call session.add_all(), or set the columns of the foreign key instead",
                )


def _counts_versions(mapper: Any) -> bool:
    return mapper.version_id_col is not None and mapper.version_id_generator is not False
