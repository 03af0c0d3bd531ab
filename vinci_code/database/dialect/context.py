"""What SQLAlchemy does around the execution of a statement: most writes are held."""

from __future__ import annotations

import copy
import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from sqlalchemy import util
from sqlalchemy.engine import default
from sqlalchemy.exc import InvalidRequestError
from sqlalchemy.sql.elements import TextClause
from sqlalchemy.sql.selectable import TextualSelect

from vinci_code.database.dialect import schema_changes
from vinci_code.database.dialect.binding import Struct, Typed
from vinci_code.database.dialect.connecting import checked_seconds
from vinci_code.database.dialect.dberrors import Error, NotSupportedError, ProgrammingError
from vinci_code.database.dialect.guards import RESERVED, refuse_unchecked
from vinci_code.database.dialect.refusals import IDENTITY_FLUSH
from vinci_code.database.dialect.scanning import ROWS, describe, is_several
from vinci_code.database.dialect.sets import Checks
from vinci_code.database.dialect.shapes import Kind, Shape
from vinci_code.database.dialect.views import Name
from vinci_code.database.dialect.writes import Held, Rows, Text, bare_name

if TYPE_CHECKING:
    from vinci_code.database.dialect.ddl import Script
    from vinci_code.database.dialect.units import Unit

AT_ONCE = "vinci_at_once"
"""The execution option with which a write is not held, as a migration's: it is DDL for the most
part, which is committed as it runs."""

_MUTABLE = frozenset({list, dict, bytearray, Struct, Typed})

# What looks at names and definitions, not at rows.
_DESCRIBES = frozenset({"SHOW", "DESCRIBE", "DESC", "EXPLAIN", "LIST"})

TIMEOUT_OPTION = "databricks_timeout"
"""The execution option for a statement's deadline."""


class VinciExecutionContext(default.DefaultExecutionContext):
    """One execution.

    Execution options of a statement, a connection or an engine:

    * ``enforce_keys``, ``enforce_foreign_keys``: as the arguments of ``create_engine``;
    * ``databricks_timeout``: the deadline of a statement that is sent at once, in seconds.
    """

    # What is held of it, and how many rows that are; ``None`` where it was run at once.
    _held: Sequence[Held] = ()
    _held_rows = 0

    def create_default_cursor(self) -> Any:
        """A cursor with the deadline that the execution options name, if they name one."""
        cursor: Any = super().create_default_cursor()
        if TIMEOUT_OPTION in self.execution_options:
            cursor.timeout = checked_seconds(TIMEOUT_OPTION, self.execution_options[TIMEOUT_OPTION])
        return cursor

    def pre_exec(self) -> None:
        """Refuse a flush that could not learn the key of its object, before the row is written.

        Raises:
            InvalidRequestError: The key is one of an IDENTITY column.
        """
        if self.isinsert and not self.executemany and self._is_flush:
            column = self._unknown_key()
            if column is not None:
                raise InvalidRequestError(
                    IDENTITY_FLUSH.format(f"{column.table.fullname}.{column.name}", "Model")
                )

    def run(self, cursor: Any, statement: str, parameters: Sequence[Any]) -> None:
        """Run the statement, or hold it, for each set of parameters."""
        unit: Unit = cursor.connection.unit
        dialect: Any = self.dialect
        if self.isddl:
            unit.before_other("DDL")
            dialect.views.forget()
            schema_changes.run(dialect, cursor, self._script(statement))
        elif self.isinsert or self.isupdate or self.isdelete:
            self._write(unit, cursor, self._as_held(unit, statement, parameters))
        elif self._is_raw:
            self._run_raw(unit, cursor, statement, parameters)
        else:
            compiled: Any = self.compiled
            unit.before_read(compiled.tables_used, self._names())
            _execute(cursor, statement, parameters)

    def _script(self, statement: str) -> Script:
        """The statements of a DDL construct, of which the text is that which is to be run."""
        compiled: Any = self.compiled
        script: Script = compiled.script
        if compiled.schema_translate_map:
            schemas = self.execution_options.get("schema_translate_map", {})
            script = script.translated(
                lambda text: compiled.preparer._render_schema_translates(text, schemas)
            )
        return script.changed(statement)

    def post_exec(self) -> None:
        """Keep how many rows an INSERT wrote, which the cursor forgets when it is closed."""
        if self.isinsert and self._rowcount is None:
            self._rowcount = self.cursor.rowcount

    @util.non_memoized_property
    def rowcount(self) -> int:
        """How many rows were matched.

        What a flush has written, and the rows of an INSERT, count as matched: the commit fails
        where they are not. To count others that are held, they are sent in a transaction. Of an
        upsert it is not known.

        Raises:
            PendingWritesError: There are no transactions.
        """
        if not self._held:
            found: int = super().rowcount
            return found
        first = self._held[0]
        if isinstance(first, Rows) and (self.isinsert or self._is_flush):
            return self._held_rows if first.upsert is None else -1
        if isinstance(first, Rows) and not first.checks.matched and _asked_by_a_relation():
            first.checks = replace(first.checks, matched=True)
        if isinstance(first, Rows) and first.checks.matched:
            return self._held_rows
        try:
            counts = list(map(self._count, self._held))
        except Error as error:
            self.root_connection._handle_dbapi_exception(error, None, None, None, self)
        return -1 if -1 in counts else sum(counts)

    def _count(self, held: Held) -> int:
        if held.rowcount is not None:
            return held.rowcount
        if self.root_connection.closed or self.root_connection.invalidated:
            return -1
        connection: Any = self.root_connection.connection.dbapi_connection
        unit: Unit = connection.unit
        return unit.count(held)

    @property
    def _is_flush(self) -> bool:
        # The ORM's own statements come with the compiled cache of the mapper; an application may
        # give one too, a dictionary as a rule.
        return isinstance(self.execution_options.get("compiled_cache"), util.LRUCache)

    @property
    def _is_raw(self) -> bool:
        compiled: Any = self.compiled
        return compiled is None or isinstance(compiled.statement, (TextClause, TextualSelect))

    def _run_raw(self, unit: Unit, cursor: Any, statement: str, parameters: Sequence[Any]) -> None:
        """Run text: a write is held in its place, and nothing else can be."""
        told = describe(statement)
        if told.keyword in ROWS and is_several(statement):
            raise ProgrammingError(
                "a text of several statements with semicolons between them was given; the "
                "warehouse takes one at a time, and nothing was sent\n"
                "To fix it: execute each by itself."
            )
        if told.writes_rows:
            self._write(unit, cursor, [Text(statement, row, None) for row in _settled(parameters)])
            return
        if self.execution_options.get("vinci_definitions"):
            unit.before_definitions()
        elif told.reads:
            unit.before_read(frozenset() if told.keyword in _DESCRIBES else None)
        else:
            dialect: Any = self.dialect
            unit.before_other(told.keyword or "a statement")
            dialect.views.forget()
        _execute(cursor, statement, parameters)

    def _write(self, unit: Unit, cursor: Any, held: Sequence[Held]) -> None:
        at_once = self.execution_options.get(AT_ONCE, False)
        total = 0
        for write in held:
            if not unit.write(write, cursor, at_once=at_once):
                total = -1 if -1 in (total, cursor.rowcount) else total + cursor.rowcount
                continue
            self._held = held
            self._held_rows += len(write)
        if not self._held:
            cursor.rowcount = total

    def _names(self) -> frozenset[Name]:
        """What the statement reads."""
        compiled: Any = self.compiled
        schemas = self.execution_options.get("schema_translate_map")
        return frozenset(name.translated(schemas) for name in compiled.names_used)

    def _reads(self, unit: Unit, table: Any) -> frozenset[str] | None:
        """The bare names of what a write reads beside its own table; ``None`` if unknown."""
        compiled: Any = self.compiled
        used: frozenset[str] | None = compiled.tables_used
        if used is None or table is None:
            return used
        schemas = self.execution_options.get("schema_translate_map")
        own = Name(getattr(table, "schema", None), bare_name(table)).translated(schemas)
        return unit.settled_tables(used - {own.table}, self._names() - {own})

    def _as_held(self, unit: Unit, statement: str, parameters: Sequence[Any]) -> Sequence[Held]:
        compiled: Any = self.compiled
        shape: Shape | None = compiled.shape
        upsert = self.execution_options.get("vinci_upsert")
        if shape is None and upsert is not None:
            raise NotSupportedError(
                f"an upsert into {compiled.written_table} cannot be written as MERGE, since a "
                "default of a column is a sub-select\nTo fix it: give the column a value."
            )
        if shape is None:
            table = compiled.written_table
            used = self._reads(unit, table)
            if used is not None and table is not None:
                used |= {bare_name(table)}
            written = None if table is None else str(table)
            return [Text(statement, row, used, written) for row in _settled(parameters)]
        if bare_name(shape.table) in RESERVED:
            raise NotSupportedError(
                f"rows cannot be written to a table called {shape.table}, since statements use "
                "this name for their own\nTo fix it: give the table another name."
            )
        schemas = self.execution_options.get("schema_translate_map")
        if schemas:
            target = compiled.preparer._render_schema_translates(shape.target, schemas)
            shape = shape.translated(target, schemas)
        rows = _settled(parameters)
        if shape.rows > 1:
            width = shape.width
            rows = [
                row[begin : begin + width]
                for row in parameters
                for begin in range(0, len(row), width)
            ]
        checks = self._checks(shape)
        if checks.keys and shape.kind is not Kind.DELETE:
            refuse_unchecked(shape.table)
        counted = shape.kind is not Kind.INSERT and not self._is_flush
        reads = self._reads(unit, shape.table)
        return [Rows(shape, rows, checks, upsert, counted, reads=reads)]

    def _checks(self, shape: Shape) -> Checks:
        options = self.execution_options
        dialect: Any = self.dialect
        matched = self._is_flush and not self._has_conditions(shape)
        versioned = any(not field.column.primary_key for field in shape.matches)
        return Checks(
            keys=options.get("enforce_keys", dialect.enforce_keys),
            foreign_keys=options.get("enforce_foreign_keys", dialect.enforce_foreign_keys),
            # The ORM only warns of a DELETE that finds nothing, unless there is a version counter.
            matched=matched and (shape.kind is Kind.UPDATE or versioned),
        )

    def _has_conditions(self, shape: Shape) -> bool:
        """Whether there are conditions of the application's own, which rows need not fulfil."""
        compiled: Any = self.compiled
        return any(compiled.binds[compiled.positiontup[f.first]].unique for f in shape.matches)

    def _unknown_key(self) -> Any:
        compiled: Any = self.compiled
        table = compiled.compile_state.dml_table
        for column in table.primary_key:
            given = self.compiled_parameters[0] if self.compiled_parameters else {}
            if column.identity is not None and given.get(column.key) is None:
                return column
        return None


def _settled(parameters: Sequence[Any]) -> list[Any]:
    """The parameters as they are now: what the application may change later is copied."""
    return [
        copy.deepcopy(row) if not _MUTABLE.isdisjoint(map(type, row)) else row for row in parameters
    ]


def _asked_by_a_relation() -> bool:
    """Whether the ORM asks whether all rows of a many-to-many relation were there.

    It asks for the rowcount right after it has deleted or changed them, within a flush, by
    statements like any other; so they are made sure of by a guard, and need not be sent before.
    """
    frame = sys._getframe(2)
    # Past what SQLAlchemy has between its result and this.
    while frame.f_globals["__name__"].startswith(("sqlalchemy.engine", "sqlalchemy.util")):
        if frame.f_back is None:
            return False
        frame = frame.f_back
    return (
        frame.f_globals["__name__"] == "sqlalchemy.orm.dependency"
        and frame.f_code.co_name == "_run_crud"
    )


def _execute(cursor: Any, statement: str, parameters: Sequence[Any]) -> None:
    if len(parameters) == 1:
        cursor.execute(statement, parameters[0])
    else:
        cursor.executemany(statement, parameters)
