"""Statements that make and change tables.

A construct that Databricks cannot run in one piece is rendered as several statements, a ``Script``,
which ``schema_changes`` runs one after the other:

- CHECK is not accepted in CREATE TABLE, so each becomes an ALTER TABLE behind it;
- the table that counts keys stands before the CREATE TABLE of a table whose keys come from blocks.

PRIMARY KEY, FOREIGN KEY and UNIQUE are rendered as what they are there: informational constraints,
which ``information_schema.table_constraints`` gives back. A foreign key that does not refer to a
primary key is left out, with a line in the log. A unique index is a UNIQUE constraint with the name
of the index. A plain index of a table that is made is left out, with a line in the log.
"""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import types as sqltypes
from sqlalchemy.exc import CompileError
from sqlalchemy.schema import (
    CheckConstraint,
    Column,
    Constraint,
    ForeignKeyConstraint,
    Index,
    Table,
)
from sqlalchemy.sql import compiler
from sqlalchemy.sql.elements import TextClause

from vinci_code.database.dialect.dberrors import NotSupportedError
from vinci_code.database.dialect.sql.constructs import described
from vinci_code.database.dialect.sql.foreign_keys import is_declared_key
from vinci_code.database.dialect.sql.inserts import comes_from_block, generated_key, is_narrow
from vinci_code.database.dialect.sql.key_blocks import counter_name, create_counter
from vinci_code.database.dialect.sql.refusals import (
    COLLATION,
    CREATE_INDEX,
    DROP_INDEX,
    IDENTITY_OPTIONS,
    SEQUENCE,
    UNCHECKED_UNIQUE,
)
from vinci_code.database.dialect.sql.uniques import Unchecked, is_declared, of_index, unchecked
from vinci_code.database.dialect.text.literals import quote_text
from vinci_code.database.dialect.text.scanning import StatementTraits
from vinci_code.database.dialect.types.texts import sqlite_collation

_SEPARATOR = ";\n\n"

_CATALOG_COMMITS = "'delta.feature.catalogManaged' = 'supported'"
"""The table property that lets transactions write to a table."""

_log = logging.getLogger(__name__)

# Delta stores such names only where columns are mapped by name:
# https://docs.databricks.com/aws/en/delta/column-mapping
_NEEDS_MAPPING = re.compile(r"[ ,;{}()\n\t=]")
_NUMBER = re.compile(r"[+-]?\d+(\.\d+)?\Z")
# What nobody carries out on Databricks, where NO ACTION and RESTRICT ask for nothing to be done.
_ACTIONS = ("CASCADE", "SET NULL", "SET DEFAULT")


@dataclass(frozen=True)
class Script:
    """What a DDL construct is rendered as.

    Attributes:
        statements: The statements, in order; there may be none.
        made: The name, as SQL, of the table that the first statement makes; ``None`` where it makes
            none, or may find it there already.
        without_commits: The first statement without the property for catalog commits; ``None``
            where it does not have that.
        before: What is run first, and harms nobody where it was run before.
        described: What each statement is; ``None`` where only its text is known.
    """

    statements: tuple[str, ...]
    made: str | None = None
    without_commits: str | None = None
    described: StatementTraits | None = None
    before: tuple[str, ...] = ()

    @property
    def all(self) -> tuple[str, ...]:
        """All statements, in order."""
        return self.before + self.statements

    @property
    def text(self) -> str:
        """All statements, to be looked at."""
        return _SEPARATOR.join(self.all)

    def translated(self, translate: Callable[[str], str]) -> Script:
        """The same with the schemas that stand for others."""
        return Script(
            tuple(map(translate, self.statements)),
            None if self.made is None else translate(self.made),
            None if self.without_commits is None else translate(self.without_commits),
            self.described,
            tuple(map(translate, self.before)),
        )

    def changed(self, text: str) -> Script:
        """The same where its text is another one: somebody has added a comment, or a clause.

        Raises:
            NotSupportedError: It is several statements, and which of them was changed is not known.
        """
        if text == self.text:
            return self
        if len(self.all) > 1:
            raise NotSupportedError(
                "the text of a DDL construct was changed that is several statements, by an event "
                f"or by @compiles; nothing was sent. It begins with {self.all[0][:80]!r}\n"
                "To fix it: leave the text of CREATE TABLE as it is where the table has CHECK "
                "constraints, or keys that come from blocks; or add the constraints with a "
                "construct of their own."
            )
        return Script((text,) if text.strip() else (), self.made)


class VinciDDLCompiler(compiler.DDLCompiler):
    """Renders CREATE, ALTER and DROP."""

    dialect: Any

    # Whether the constraints that come by are those of CREATE TABLE.
    _creating = False
    _script: Script | None = None

    @property
    def script(self) -> Script:
        """The statements that the construct was rendered as."""
        text = str(self)
        made = Script((text,)) if self._script is None else self._script
        known = replace(made, described=described(self.statement))
        return known.changed(text) if text.strip() else Script(())

    # --- tables ---------------------------------------------------------------------------------

    def visit_create_table(self, create: Any, **kw: Any) -> str:
        """Render CREATE TABLE, and an ALTER TABLE for each CHECK."""
        table: Table = create.element
        for column in table.columns:
            collation = sqlite_collation(column.type)
            if collation is not None:
                raise CompileError(COLLATION.format(column, collation))
        if self.dialect.enforce_keys:
            self._refuse_unchecked(table)
        self._creating = True
        try:
            text: str = super().visit_create_table(create, **kw).strip()  # type: ignore[no-untyped-call]
        finally:
            self._creating = False
        name = self.preparer.format_table(table)
        checks = (
            f"ALTER TABLE {name} ADD {self.visit_check_constraint(check)}"
            for check in self.checks_of(table)
        )
        commits = self.dialect.wants_catalog_commits(table)
        self._script = Script(
            (text + self._layout(table, commits), *checks),
            None if create.if_not_exists else name,
            text + self._layout(table, False) if commits else None,
            before=tuple(self._counter(table)),
        )
        return self._script.text

    def _counter(self, table: Table) -> Iterator[str]:
        """Render the table that counts the keys, if they come from blocks."""
        column = generated_key(table)
        if column is not None and comes_from_block(column, self.dialect):
            yield create_counter(counter_name(table.schema, self.preparer))

    def create_table_constraints(self, table: Table, *args: Any, **kw: Any) -> str:
        """Render the constraints, unique indexes among them."""
        text = super().create_table_constraints(table, *args, **kw)  # type: ignore[no-untyped-call]
        rendered = [text] if text else []
        for index in sorted(table.indexes, key=lambda index: str(index.name)):
            rendered += self._settled(index)
        return ", \n\t".join(rendered)

    def _settled(self, index: Index) -> list[str]:
        """Render an index of a table that is made; ``visit_create_index`` then has no work left."""
        self.dialect.settled_indexes.add(index)
        if index.unique:
            return list(self._unique_index(index))
        if index.table is not None:
            _log.info(
                "index %s on %s is left out: Databricks has none, and skips files by their "
                "statistics; databricks_cluster_by=[…] on the table makes that sharper",
                index.name,
                index.table.fullname,
            )
        return []

    def _unique_index(self, index: Index) -> Iterator[str]:
        """Render UNIQUE, if that is what a unique index says; else it is checked, not declared."""
        unique = of_index(index)
        assert index.table is not None  # noqa: S101 - it is rendered with its table
        if isinstance(unique, Unchecked):
            if self.dialect.enforce_keys:
                raise CompileError(
                    UNCHECKED_UNIQUE.format(unique.name, index.table.fullname, unique.why)
                )
        elif is_declared(index):
            names = ", ".join(self.preparer.quote(column.name) for column in unique.columns)
            yield f"CONSTRAINT {self.preparer.format_index(index)} UNIQUE ({names})"
            return
        else:
            # What cannot be rendered could not be checked.
            unique.select("t", self.bare)
        _log.info(
            "unique index %s on %s is not declared: Databricks knows UNIQUE on columns, for all "
            "rows, alone; it is checked by the statements that write, with enforce_keys",
            index.name,
            index.table.fullname,
        )

    def bare(self, expression: Any) -> str:
        """Render an expression with the names of columns alone."""
        text: str = self.sql_compiler.process(expression, include_table=False, literal_binds=True)
        return text

    def _refuse_unchecked(self, table: Table) -> None:
        for found in unchecked(table):
            raise CompileError(UNCHECKED_UNIQUE.format(found.name, table.fullname, found.why))

    def _layout(self, table: Table, commits: bool) -> str:
        """Render comment, partitions, clustering and properties, which end CREATE TABLE."""
        parts = []
        if table.comment is not None:
            parts.append(f"COMMENT {quote_text(table.comment)}")
        partition = _option(table, "partition_by")
        if partition:
            parts.append(f"PARTITIONED BY ({self._names(partition)})")
        cluster = _option(table, "cluster_by")
        if cluster is not None:
            parts.append(self.cluster_clause(cluster))
        properties = [
            f"{quote_text(key)} = {quote_text(value)}"
            for key, value in table_properties(table).items()
        ]
        if commits:
            properties.append(_CATALOG_COMMITS)
        if properties:
            parts.append(f"TBLPROPERTIES ({', '.join(properties)})")
        return "".join(f"\n{part}" for part in parts)

    def cluster_clause(self, value: Any) -> str:
        """Render CLUSTER BY of ``databricks_cluster_by=``: names, ``"auto"`` or ``"none"``."""
        if isinstance(value, str) and value.upper() in ("AUTO", "NONE"):
            return f"CLUSTER BY {value.upper()}"
        return f"CLUSTER BY ({self._names(value)})"

    def _names(self, value: Any) -> str:
        items = [value] if isinstance(value, (str, Column)) else value
        return ", ".join(
            self.preparer.quote(item.name if isinstance(item, Column) else item) for item in items
        )

    # --- columns --------------------------------------------------------------------------------

    def get_column_specification(self, column: Column[Any], **kwargs: Any) -> str:
        """Render a column with its comment."""
        if getattr(column.default, "is_sequence", False) and not getattr(
            column.default, "optional", False
        ):
            raise CompileError(SEQUENCE)
        text = super().get_column_specification(column, **kwargs)
        if self._creating and generated_key(column.table) is column:
            self._warn_of_width(column)
        if column.comment is not None:
            text += f" COMMENT {quote_text(column.comment)}"
        return text

    def _warn_of_width(self, column: Column[Any]) -> None:
        if is_narrow(column, self.dialect) and not comes_from_block(column, self.dialect):
            _log.warning(
                "the key %s has less than the 63 bits of the keys that are made by this dialect, "
                "so each row needs a key of its own. To fix it: declare it as BigInteger or "
                "Integer, which are BIGINT; or with autoincrement=False, where keys are given",
                column,
            )

    def get_column_default_string(self, column: Column[Any]) -> str | None:
        """Render a default as a value of the column's type, which SQLite would make of it."""
        argument = getattr(column.server_default, "arg", None)
        kind = column.type
        if isinstance(argument, TextClause):
            if kind._type_affinity is sqltypes.Boolean and argument.text.strip() in ("0", "1"):
                return "TRUE" if argument.text.strip() == "1" else "FALSE"
        elif isinstance(argument, str) and not isinstance(kind, sqltypes.String):
            if _NUMBER.match(argument) and isinstance(kind, (sqltypes.Integer, sqltypes.Numeric)):
                return argument
            name = self.dialect.type_compiler_instance.process(kind)
            return (
                quote_text(argument)
                if name == "STRING"
                else (f"CAST({quote_text(argument)} AS {name})")
            )
        return super().get_column_default_string(column)

    def get_identity_options(self, identity_options: Any) -> str:
        """Render START WITH and INCREMENT BY; refuse what else would change the numbers."""
        for name in ("minvalue", "maxvalue", "cycle"):
            if getattr(identity_options, name, None):
                raise CompileError(IDENTITY_OPTIONS.format(name))
        parts = []
        if identity_options.start is not None:
            parts.append(f"START WITH {int(identity_options.start)}")
        if identity_options.increment is not None:
            parts.append(f"INCREMENT BY {int(identity_options.increment)}")
        return " ".join(parts)

    def visit_computed_column(self, generated: Any, **kw: Any) -> str:
        """Render a generated column; Delta stores its values always."""
        return f"GENERATED ALWAYS AS ({self.bare(generated.sqltext)})"

    # --- constraints ----------------------------------------------------------------------------

    def visit_table_or_column_check_constraint(
        self, constraint: CheckConstraint, **kw: Any
    ) -> str | None:
        """Render nothing within CREATE TABLE."""
        if self._creating:
            return "" if constraint.is_column_level else None
        return self.visit_check_constraint(constraint, **kw)

    def visit_check_constraint(self, constraint: CheckConstraint, **kw: Any) -> str:
        """Render CHECK, with a name of its own making where it has none."""
        # Delta refuses a row whose condition is NULL; SQL, and so SQLite, lets it pass.
        condition = self.bare(constraint.sqltext)
        body = f"CHECK (({condition}) IS NOT FALSE)"
        return f"CONSTRAINT {self._check_name(constraint, body)} {body}"

    def checks_of(self, table: Table) -> list[CheckConstraint]:
        """The CHECK constraints that a table and its columns have on the warehouse."""
        constraints = [*table._sorted_constraints]
        for column in table.columns:
            constraints += [item for item in column.constraints if item not in constraints]
        return [
            item
            for item in constraints
            if isinstance(item, CheckConstraint) and item._should_create_for_compiler(self)
        ]

    def _check_name(self, constraint: CheckConstraint, body: str) -> str:
        if constraint.name is not None:
            given = self.preparer.format_constraint(constraint)
            if given is not None:
                return given
        digest = hashlib.sha256(body.encode()).hexdigest()[:8]
        parent: Any = constraint.parent
        table = parent.table if isinstance(parent, Column) else parent
        return self.preparer.quote(f"ck_{table.name}_{digest}")

    def visit_foreign_key_constraint(  # type: ignore[override]
        self, constraint: ForeignKeyConstraint, **kw: Any
    ) -> str | None:
        """Render FOREIGN KEY, or nothing where the warehouse would refuse it."""
        if is_declared_key(constraint):
            return super().visit_foreign_key_constraint(constraint, **kw)
        self._tell_left_out(constraint)
        return None

    def _tell_left_out(self, constraint: ForeignKeyConstraint) -> None:
        if constraint in self.dialect.reported_keys:
            return
        self.dialect.reported_keys.add(constraint)
        _log.info(
            "foreign key %s on %s (%s) is not declared: a FOREIGN KEY of Databricks refers to the "
            "primary key of its parent, and %s is not that of %s; it is checked by the statements "
            "that write, with enforce_foreign_keys",
            constraint.name or "without a name",
            constraint.table.fullname,
            ", ".join(constraint.column_keys),
            ", ".join(element.column.name for element in constraint.elements),
            constraint.referred_table.fullname,
        )

    def visit_add_constraint(self, create: Any, **kw: Any) -> str:
        """Render ADD CONSTRAINT, or nothing for a foreign key that is left out."""
        constraint = create.element
        if isinstance(constraint, ForeignKeyConstraint) and not is_declared_key(constraint):
            self._tell_left_out(constraint)
            return ""
        text: str = super().visit_add_constraint(create, **kw)  # type: ignore[no-untyped-call]
        return text

    def visit_drop_constraint(self, drop: Any, **kw: Any) -> str:
        """Render DROP CONSTRAINT, or nothing for a foreign key that was left out."""
        constraint = drop.element
        if isinstance(constraint, ForeignKeyConstraint) and not is_declared_key(constraint):
            return ""
        text: str = super().visit_drop_constraint(drop, **kw)  # type: ignore[no-untyped-call]
        return text

    def define_constraint_cascades(self, constraint: ForeignKeyConstraint) -> str:
        """Render nothing: keys are informational, and NO ACTION is all that can be said.

        A warning in the log names each other action that is declared: nobody carries it out.
        """
        for event, action in (("DELETE", constraint.ondelete), ("UPDATE", constraint.onupdate)):
            if action is not None and action.upper() in _ACTIONS:
                self._warn_of(constraint, event, action.upper())
        self.dialect.reported_actions.add(constraint)
        return ""

    def _warn_of(self, constraint: ForeignKeyConstraint, event: str, action: str) -> None:
        if constraint in self.dialect.reported_actions:
            return
        _log.warning(
            "ON %s %s of the foreign key %s on %s (%s) is carried out by nobody: Databricks has NO "
            "ACTION alone, so rows that refer to the one in question stay as they are. To fix it: "
            "have the ORM do it, with relationship(cascade=…) and without passive_deletes= and "
            "passive_updates=; or change those rows in the same unit of work",
            event,
            action,
            constraint.name or "without a name",
            constraint.table.fullname,
            ", ".join(constraint.column_keys),
        )

    def define_constraint_deferrability(self, constraint: Constraint) -> str:
        """Render nothing: what is not enforced is neither deferred nor matched."""
        return ""

    define_constraint_match = define_constraint_deferrability

    # --- indexes and sequences ------------------------------------------------------------------

    def visit_create_index(self, create: Any, *args: Any, **kw: Any) -> str:
        """Render a unique index as a UNIQUE constraint, or as nothing; refuse any other.

        Raises:
            CompileError: Databricks has no indexes; or what is unique could not be checked.
        """
        index: Index = create.element
        self._verify_index_table(index)
        if index in self.dialect.settled_indexes:
            self.dialect.settled_indexes.discard(index)
            return ""
        if not index.unique or index.table is None:
            raise CompileError(CREATE_INDEX.format(index.name))
        table = self.preparer.format_table(index.table)
        return "".join(f"ALTER TABLE {table} ADD {text}" for text in self._unique_index(index))

    def visit_drop_index(self, drop: Any, **kw: Any) -> str:
        """Drop the UNIQUE constraint that a unique index is.

        Raises:
            CompileError: Databricks has no other indexes.
        """
        index: Index = drop.element
        if not index.unique or index.table is None:
            raise CompileError(DROP_INDEX.format(index.name))
        if not is_declared(index):
            return ""
        exists = "IF EXISTS " if drop.if_exists else ""
        table = self.preparer.format_table(index.table)
        return f"ALTER TABLE {table} DROP CONSTRAINT {exists}{self.preparer.format_index(index)}"

    def visit_create_sequence(self, create: Any, *args: Any, **kw: Any) -> str:
        """Refuse it.

        Raises:
            CompileError: Databricks has no sequences.
        """
        raise CompileError(SEQUENCE)

    def visit_drop_sequence(self, drop: Any, **kw: Any) -> str:
        """Refuse it.

        Raises:
            CompileError: Databricks has no sequences.
        """
        raise CompileError(SEQUENCE)

    # --- comments -------------------------------------------------------------------------------

    def visit_set_column_comment(self, create: Any, **kw: Any) -> str:
        """Render the comment of a column."""
        return self._column_comment(create.element, create.element.comment or "")

    def visit_drop_column_comment(self, drop: Any, **kw: Any) -> str:
        """Render an empty comment, which is none."""
        return self._column_comment(drop.element, "")

    def _column_comment(self, column: Column[Any], comment: str) -> str:
        table = self.preparer.format_table(column.table)
        name = self.preparer.format_column(column)
        return f"ALTER TABLE {table} ALTER COLUMN {name} COMMENT {quote_text(comment)}"


def _option(table: Table, name: str) -> Any:
    """Return what was given as ``databricks_<name>=``, or ``None``.

    Without an argument for Databricks nothing is looked up: that would import whichever package
    answers to the name ``databricks``.
    """
    if "databricks" not in table.dialect_options:
        return None
    return table.dialect_kwargs.get(f"databricks_{name}")


def table_properties(table: Table) -> dict[str, str]:
    """Return the properties that a table is made with, those that it needs among them.

    Those of ``databricks_tblproperties=`` come first and win.
    """
    given: Mapping[str, Any] = _option(table, "tblproperties") or {}
    properties = {str(key): _property(value) for key, value in given.items()}
    known = {key.lower() for key in properties}
    needed = {key: value for key, value in _needed(table) if key.lower() not in known}
    return {**properties, **needed}


def _needed(table: Table) -> Iterator[tuple[str, str]]:
    if any(getattr(column.server_default, "arg", None) is not None for column in table.columns):
        yield "delta.feature.allowColumnDefaults", "supported"
    if any(_NEEDS_MAPPING.search(column.name) for column in table.columns):
        yield "delta.columnMapping.mode", "name"


def _property(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
