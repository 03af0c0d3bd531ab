"""What a migration has to know of keys: of rows that it inserts, and of tables that it refers to.

An operation of Alembic names tables and columns, and knows no more of them. Where there is a
connection, the warehouse is asked. Where SQL is written to a file, what is known is what the script
itself has made.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from alembic.ddl.impl import DefaultImpl
from sqlalchemy import Column, MetaData, PrimaryKeyConstraint, Table
from sqlalchemy.exc import CompileError, NoReferenceError, NoSuchTableError
from sqlalchemy.schema import DropConstraint, ForeignKeyConstraint
from sqlalchemy.sql.selectable import TableClause
from sqlalchemy.types import Integer

from vinci_code.database.dialect.reflection.names import Namespace, place_of, stored
from vinci_code.database.dialect.sql.foreign_keys import DECLARED, is_declared_key, refers_to
from vinci_code.database.dialect.sql.inserts import generated_key, require_room
from vinci_code.database.dialect.sql.key_blocks import TIME_ORDERED, key_kind
from vinci_code.database.dialect.sql.keys import next_key


@dataclass(frozen=True)
class _Keys:
    """The keys of a table.

    Attributes:
        primary: The columns of its primary key.
        generated: The one whose values SQLite would give out, if one is.
    """

    primary: tuple[str, ...] = ()
    generated: Column[Any] | None = None


class KeyedImpl(DefaultImpl):
    """Inserts rows with keys, and declares the foreign keys that can be declared."""

    def __init__(self, *args: Any, **kw: Any) -> None:
        super().__init__(*args, **kw)
        # Those of the tables that a script has made so far.
        self._written: dict[tuple[Namespace, str], _Keys] = {}

    def bulk_insert(
        self, table: TableClause | Table, rows: list[dict[str, Any]], multiinsert: bool = True
    ) -> None:
        """Insert rows; one that has no key gets it, where SQLite would give it out.

        Raises:
            CompileError: The key column cannot hold such a key; or SQL is written to a file, and
                keys are those of blocks, which have to be reserved on the warehouse.
        """
        key = self._key_to_make(table)
        # Alembic says what else is no list of rows.
        if key is not None and any(_lacks(row, key.key) for row in rows):
            into = _keyed_table(table, key)
            # One of which the key is None gets it as the statement is executed.
            made = self._key_for_script(into, key) if self.as_sql else lambda: None
            rows = [{**row, key.key: made()} if _lacks(row, key.key) else row for row in rows]
            table = into
        super().bulk_insert(table, rows, multiinsert)

    def _key_for_script(self, table: Table, key: Column[Any]) -> Callable[[], int]:
        require_room(key, self.dialect)
        if key_kind(table, self.dialect) != TIME_ORDERED:
            raise CompileError(
                f"The rows for {table.fullname} have no key ({key.name}), and SQL is written to a "
                "file: keys of blocks are reserved on the warehouse. To fix it: give each row its "
                "key, or run the migration instead."
            )
        return next_key.for_row

    def _key_to_make(self, table: TableClause | Table) -> Column[Any] | None:
        if isinstance(table, Table):
            return generated_key(table)
        return self._keys_of(table.name, table.schema).generated

    # --- foreign keys ----------------------------------------------------------------------------

    def create_table(self, table: Table, **kw: Any) -> None:
        """Create a table with the foreign keys that can be declared."""
        for constraint in table.foreign_key_constraints:
            self._decide(constraint, table)
        if self.as_sql:
            keys = tuple(item.name for item in table.primary_key.columns)
            self._written[_place(table.name, table.schema)] = _Keys(keys, generated_key(table))
        super().create_table(table, **kw)

    def add_constraint(self, const: Any, **kw: Any) -> None:
        """Add a constraint, unless it is a foreign key that cannot be declared."""
        if isinstance(const, ForeignKeyConstraint):
            self._decide(const, const.table)
        elif isinstance(const, PrimaryKeyConstraint) and self.as_sql:
            keys = tuple(item.name for item in const.columns)
            self._written[_place(const.table.name, const.table.schema)] = _Keys(keys)
        super().add_constraint(const, **kw)

    def drop_constraint(self, const: Any, **kw: Any) -> None:
        """Drop a constraint; a foreign key may not be there, because it could not be declared."""
        if isinstance(const, ForeignKeyConstraint):
            kw.setdefault("if_exists", True)
            self._exec(DropConstraint(const, **kw))
        else:
            super().drop_constraint(const, **kw)

    def correct_for_autogen_foreignkeys(
        self,
        conn_fks: set[ForeignKeyConstraint],
        metadata_fks: set[ForeignKeyConstraint],
    ) -> None:
        """Leave out those of the models that are not declared."""
        for constraint in list(metadata_fks):
            try:
                declared = is_declared_key(constraint)
            except NoReferenceError:
                continue  # Alembic says so better
            if not declared:
                metadata_fks.discard(constraint)

    def _decide(self, constraint: ForeignKeyConstraint, table: Table) -> None:
        """Note whether a foreign key is to be declared: its parent is here no more than a name."""
        parent = constraint.referred_table
        own = _place(parent.name, parent.schema) == _place(table.name, table.schema)
        key: tuple[str, ...] | None = tuple(item.name for item in table.primary_key.columns)
        if not (own and key):
            key = self._primary_key_of(parent)
        # Of a parent that is not known, the warehouse has to say so itself.
        constraint.info[DECLARED] = key is None or refers_to(constraint, list(key))

    def _primary_key_of(self, parent: Any) -> tuple[str, ...] | None:
        try:
            keys = self._keys_of(parent.name, parent.schema, must_exist=True)
        except NoSuchTableError:
            return None
        return keys.primary

    # --- what is known of a table ----------------------------------------------------------------

    def rename_table(
        self, old_table_name: str, new_table_name: str, schema: str | None = None
    ) -> None:
        """Rename a table."""
        super().rename_table(old_table_name, new_table_name, schema)
        keys = self._written.pop(_place(old_table_name, schema), None)
        if keys is not None:
            self._written[_place(new_table_name, schema)] = keys

    def drop_table(self, table: Table, **kw: Any) -> None:
        """Drop a table."""
        super().drop_table(table, **kw)
        self._written.pop(_place(table.name, table.schema), None)

    def _renamed(self, table_name: str, schema: str | None, before: str, after: str) -> None:
        """Note that a column has another name."""
        place = _place(table_name, schema)
        keys = self._written.get(place)
        if keys is not None:
            made = keys.generated
            if made is not None and stored(made.name) == stored(before):
                made = Column(after, made.type)
            names = (after if stored(name) == stored(before) else name for name in keys.primary)
            self._written[place] = replace(keys, primary=tuple(names), generated=made)

    def _keys_of(self, name: str, schema: str | None, *, must_exist: bool = False) -> _Keys:
        """The keys of a table; none of one that is not known.

        Raises:
            NoSuchTableError: There is no such table, and ``must_exist`` asks for one.
        """
        if self.as_sql or self.connection is None:
            found = self._written.get(_place(name, schema))
            if found is None and must_exist:
                raise NoSuchTableError(name)
            return found or _Keys()
        try:
            return self._asked(name, schema)
        except NoSuchTableError:
            if must_exist:
                raise
            return _Keys()

    def _asked(self, name: str, schema: str | None) -> _Keys:
        dialect: Any = self.dialect
        asked: dict[str, Any] = {"info_cache": {}}
        found = dialect.get_pk_constraint(self.connection, name, schema, **asked)
        primary = tuple(found["constrained_columns"])
        if len(primary) != 1:
            return _Keys(primary)
        columns = dialect.get_columns(self.connection, name, schema, **asked)
        [one] = (item for item in columns if item["name"] == primary[0])
        given = one["default"] is not None or "identity" in one or "computed" in one
        if given or not isinstance(one["type"], Integer):
            return _Keys(primary)
        return _Keys(primary, Column(primary[0], one["type"]))


def _place(name: str, schema: str | None) -> tuple[Namespace, str]:
    return place_of(schema), stored(name)


def _lacks(row: Any, key: str) -> bool:
    """Whether a row has no key; Alembic says what is no row."""
    return isinstance(row, dict) and row.get(key) is None


def _keyed_table(into: TableClause | Table, key: Column[Any]) -> Table:
    """The table with its key."""
    if isinstance(into, Table):
        return into
    columns = [Column(item.name, item.type) for item in into.c if item.key != key.key]
    own = Column(key.name, key.type, primary_key=True)
    return Table(into.name, MetaData(), own, *columns, schema=into.schema)
