"""What SQLAlchemy does around the execution of a statement: most writes are held."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any
from weakref import ref

from sqlalchemy import util
from sqlalchemy.engine import default
from sqlalchemy.engine.cursor import FullyBufferedCursorFetchStrategy
from sqlalchemy.exc import InvalidRequestError
from sqlalchemy.schema import Table
from sqlalchemy.sql.elements import TextClause
from sqlalchemy.sql.selectable import TextualSelect

from vinci_code.database.dialect import schema_changes
from vinci_code.database.dialect.dberrors import (
    DataError,
    Error,
    NotSupportedError,
)
from vinci_code.database.dialect.driver.connecting import checked_seconds
from vinci_code.database.dialect.driver.query_tags import checked_tags
from vinci_code.database.dialect.options import AT_ONCE, EXPECTED, QUERY_TAGS, TIMEOUT, UPSERT
from vinci_code.database.dialect.sql.constructs import TRAITS, described
from vinci_code.database.dialect.sql.inserts import executions
from vinci_code.database.dialect.sql.key_blocks import needing
from vinci_code.database.dialect.sql.keys import Place
from vinci_code.database.dialect.sql.refusals import (
    CHANGED_BEFORE,
    IDENTITY_FLUSH,
    LAST_ROW,
    OTHER_KEY,
    OTHER_TEXT,
    RETURNING,
    UNKNOWN_FLUSH,
    UNKNOWN_WRITE,
)
from vinci_code.database.dialect.sql.uniques import changed
from vinci_code.database.dialect.sql.views import Name
from vinci_code.database.dialect.text.scanning import (
    QUERY,
    StatementTraits,
    describe,
    is_comment,
)
from vinci_code.database.dialect.types.base import write_processor
from vinci_code.database.dialect.units import flushes
from vinci_code.database.dialect.units.copying import copied, settled
from vinci_code.database.dialect.units.held import (
    After,
    Held,
    HeldRows,
    HeldText,
    bare_name,
)
from vinci_code.database.dialect.units.loaded import EXPRESSION
from vinci_code.database.dialect.units.recovery import place_of
from vinci_code.database.dialect.units.unit import Origin, refuse_several
from vinci_code.database.dialect.writes.compared import Expected, marked_values, with_expected
from vinci_code.database.dialect.writes.guards import (
    RESERVED,
    checked_columns,
    raised,
    referring,
    refuse_unchecked,
)
from vinci_code.database.dialect.writes.sets import Checks
from vinci_code.database.dialect.writes.shapes import Shape, WriteKind

if TYPE_CHECKING:
    from vinci_code.database.dialect.sql.ddl import Script
    from vinci_code.database.dialect.sql.locking import LockedTable
    from vinci_code.database.dialect.units.laid_over import LaidOver
    from vinci_code.database.dialect.units.unit import Unit
    from vinci_code.database.dialect.writes.dml import Returned, Write
    from vinci_code.database.dialect.writes.returning import Returning


class VinciExecutionContext(default.DefaultExecutionContext):
    """One execution.

    Execution options of a statement, a connection or an engine:

    * ``enforce_keys``, ``enforce_foreign_keys``: as the arguments of ``create_engine``;
    * ``databricks_timeout``: the deadline of a statement that is sent at once, in seconds.
    """

    # What is held of it, and how many rows that are; ``None`` where it was run at once.
    _held: Sequence[Held] = ()
    _held_rows = 0
    # What the rows of a flush are to hold before.
    _taken: list[Expected | None] | None = None
    _inserts_by_text = False
    # What its statement has to make sure of, where it is a write.
    _wanted_checks: Checks | None = None
    _given_parameters: Sequence[Mapping[str, Any]] | None = None
    # What is held, where a query brings it along.
    _laid: LaidOver | None = None
    # Whether nobody is asked for the rows of the result.
    _is_given = False

    is_told = False
    """Whether SQLAlchemy calls its listeners of cursors for the statement that is sent."""

    given_rows: Sequence[tuple[Any, ...]] | None = None
    """The rows of the result where its cursor has none of them, as the driver would give them."""

    @classmethod
    def _init_compiled(
        cls,
        dialect: Any,
        connection: Any,
        dbapi_connection: Any,
        execution_options: Any,
        compiled: Any,
        parameters: Any,
        *args: Any,
        **kw: Any,
    ) -> Any:
        """Make the execution of a compiled statement: of a write, of one that has its guards.

        Raises:
            NotSupportedError: It cannot have them.
        """
        checks = laid = None
        make = partial(
            super()._init_compiled, dialect, connection, dbapi_connection, execution_options
        )
        if compiled.isinsert or compiled.isupdate or compiled.isdelete:
            checks = _checks(dialect, compiled, execution_options)
            if compiled.write is None:
                flush = compiled.isupdate and flushes.is_flush(execution_options)
                _refuse_unknown(compiled, checks, loaded=flush and dialect.compare_and_set)
            elif compiled.shape is None:
                compiled = compiled.guarded(checks)
        elif _holds(connection) and described(compiled.statement) is QUERY:
            if compiled.look_up is not None:
                known: Any = make(compiled, parameters, *args, **kw)
                if known._looks_up():
                    return known
            laid = _laid_over(connection, compiled, execution_options)
            if laid is not None:
                compiled = compiled.over(laid.names)
        need = compiled.key_need(execution_options.get("schema_translate_map"), parameters)
        with nullcontext() if need is None else needing(need):
            made: Any = make(compiled, parameters, *args, **kw)
        made._given_parameters = parameters
        made._wanted_checks = checks
        made._add_loaded()
        if laid is not None:
            made._bring(laid)
        return made

    def _looks_up(self) -> bool:
        """Note the row that a query is for, where the same unit has inserted it."""
        compiled: Any = self.compiled
        connection: Any = self.root_connection.connection.dbapi_connection
        unit: Unit = connection.unit
        (values,) = self.compiled_parameters
        processors = compiled._bind_processors
        key = tuple(
            processors[name](values[name]) if name in processors else values[name]
            for name in compiled.look_up.key
        )
        row = unit.known_row(compiled.look_up, key)
        if row is not None:
            self._give([row], len(row))
        return row is not None

    def _give(self, rows: Sequence[tuple[Any, ...]], width: int) -> None:
        """Have the result give rows that nobody is asked for."""
        description: Any = [(str(number), *[None] * 6) for number in range(width)]
        self.cursor_fetch_strategy = FullyBufferedCursorFetchStrategy(
            self.cursor, description, rows
        )
        self._is_given, self.given_rows = True, rows

    def _bring(self, laid: LaidOver) -> None:
        """Have a query bring along what is held."""
        compiled: Any = self.compiled
        self._laid = laid
        self.statement = compiled.with_in_front(self.statement, laid.text)
        self.parameters = [(*laid.parameters, *row) for row in self.parameters]

    def _add_loaded(self) -> None:
        """Add what objects were loaded with to the parameters of a statement that asks for it."""
        compiled: Any = self.compiled
        items = () if compiled.write is None else compiled.write.checked
        if not items:
            return
        connection: Any = self.root_connection.connection.dbapi_connection
        expected = self._expected(connection.unit, compiled.written_table)
        self.parameters = [
            (*row, *marked_values(items, wanted))
            for row, wanted in zip(self.parameters, expected, strict=True)
        ]

    def create_default_cursor(self) -> Any:
        """A cursor with the deadline that the execution options name, if they name one."""
        return self.with_deadline(super().create_default_cursor())

    def with_deadline(self, cursor: Any) -> Any:
        """A cursor, with the deadline and the query tags that the execution options name."""
        if TIMEOUT in self.execution_options:
            seconds = checked_seconds(TIMEOUT, self.execution_options[TIMEOUT])
            cursor.limit_to(seconds, f"the execution option '{TIMEOUT}'")
        if self._own_tags():
            cursor.query_tags = self._own_tags()
        return cursor

    def _own_tags(self) -> dict[str, str]:
        """The query tags of this execution, beside those of its connection.

        SQLAlchemy has the connection's options cover those of the statement.
        """
        of_connection = self.root_connection.get_execution_options().get(QUERY_TAGS)
        statement: Any = self.invoked_statement
        options = {} if statement is None else statement.get_execution_options()
        given = [options.get(QUERY_TAGS), self.execution_options.get(QUERY_TAGS)]
        tags: dict[str, str] = {}
        for found in given:
            if found is not None and found is not of_connection:
                tags |= checked_tags(found)
        return tags

    @property
    def is_sent_as_it_is(self) -> bool:
        """Whether one statement is sent for it, the very one that SQLAlchemy tells of."""
        compiled: Any = self.compiled
        connection: Any = self.root_connection.connection.dbapi_connection
        if self._laid is None and connection.unit.may_send_before_read:
            return False
        if self.isddl:
            return len(compiled.script.all) == 1
        if self._is_given or len(self.parameters) != 1:
            return False
        if self.isinsert or self.isupdate or self.isdelete:
            return False
        if not self._is_raw:
            return True
        own: StatementTraits | None = self.execution_options.get(TRAITS)
        return not (describe(str(self.statement)) if own is None else own).writes_rows

    def pre_exec(self) -> None:
        """Refuse a flush that could not learn the key of its object, before the row is written.

        Raises:
            InvalidRequestError: The key is one of an IDENTITY column.
        """
        if self.isinsert and self._is_flush:
            column = self._unknown_key()
            if column is not None:
                raise InvalidRequestError(
                    IDENTITY_FLUSH.format(f"{column.table.fullname}.{column.name}", "Model")
                )

    def run(self, cursor: Any, statement: str, parameters: Sequence[Any]) -> None:
        """Run the statement, or hold it, for each set of parameters."""
        unit: Unit = cursor.connection.unit
        dialect: Any = self.dialect
        own_by(unit, self.root_connection)
        if self.isddl:
            unit.before_other("DDL")
            dialect.views.forget()
            schema_changes.run(dialect, cursor, self._script(statement), is_told=self.is_told)
        elif self.isinsert or self.isupdate or self.isdelete:
            held = self._as_held(unit, statement, parameters)
            if self.compiled.returns_rows:  # type: ignore[union-attr]
                self._return(unit, cursor, held)
            self._write(unit, cursor, held)
        elif self._is_given:
            return
        elif self._is_raw:
            self._run_raw(unit, cursor, statement, parameters)
        else:
            compiled: Any = self.compiled
            if compiled.locked:
                unit.before_lock()
            if self._laid is None:
                unit.before_read(compiled.tables_used, self._names())
            # An event may have put another text into the place of the construct's.
            own = statement == self.statement
            traits = (described(compiled.statement) if own else None) or describe(statement)
            if self._laid is None:
                _execute(cursor, statement, parameters, traits, is_told=self.is_told)
            else:
                _execute_guarded(cursor, statement, parameters, traits, is_told=self.is_told)
            if compiled.locked:
                self._lock(unit, cursor)

    def _lock(self, unit: Unit, cursor: Any) -> None:
        """Have the commit make sure of the rows that a query FOR UPDATE has read.

        What its result has for that, behind its own columns, is taken from it.
        """
        compiled: Any = self.compiled
        rows, description = cursor.fetchall(), cursor.description
        own = at = len(description) - sum(of.width for of in compiled.locked)
        for of in compiled.locked:
            unit.lock(self._moved(of), [row[at : at + of.width] for row in rows])
            at += of.width
        self.given_rows = [row[:own] for row in rows]
        self.cursor_fetch_strategy = FullyBufferedCursorFetchStrategy(
            cursor, description[:own], self.given_rows
        )

    def _moved(self, of: LockedTable) -> LockedTable:
        schemas = self.execution_options.get("schema_translate_map")
        if not schemas:
            return of
        translate: Any = self.compiled.preparer._render_schema_translates  # type: ignore[union-attr]
        return of._replace(target=translate(of.target, schemas))

    def _return(self, unit: Unit, cursor: Any, held: Sequence[Held]) -> None:
        """Have the result give what RETURNING asks for, before the write is held.

        Raises:
            NotSupportedError: That is not known for certain.
            IntegrityError: A key is there already.
        """
        compiled: Any = self.compiled
        returned: Returned | None = compiled.returned
        known = None if returned is None else self._known(returned.returning, held)
        if returned is not None and known is not None:
            self._give(known, len(returned.returning.elements))
            return
        if self.execution_options.get(AT_ONCE, False) or not unit.holds:
            why = "it is sent at once, and the rows may be others when they are read"
        elif returned is None:
            why = "it asks for more than columns of the table, and what is computed of these"
        else:
            given = (self._given_parameters or [{}])[0]
            values = self._by_key(given, self.compiled_parameters[0])
            query = unit.returned(held, returned, values)
            if query is not None:
                _execute_guarded(cursor, query.text, [query.parameters], QUERY)
                return
            why = "its rows, or what was written before, are known to the warehouse alone"
        word = self.compiled.compile_state.statement.__visit_name__.upper()  # type: ignore[union-attr]
        raise NotSupportedError(RETURNING.format(word, compiled.written_table, why))

    def _known(self, returning: Returning, held: Sequence[Held]) -> Any:
        """The rows that RETURNING gives, where nobody has to be asked for them."""
        if len(held) != 1 or not isinstance(held[0], HeldRows):
            return None
        return returning.known(held[0].shape, held[0].rows, self.dialect)

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

    def get_lastrowid(self) -> int | None:  # type: ignore[override]
        """The key of the row that an INSERT has written, as SQLite's; of anything else ``None``.

        Raises:
            InvalidRequestError: It has no such key, or nobody knows it.
        """
        if self.executemany or not (self.isinsert or self._inserts_by_text):
            return None
        key = None if self._is_raw else self._only_key()
        if key is None:
            raise InvalidRequestError(LAST_ROW)
        return key

    def _only_key(self) -> int | None:
        """The key of an INSERT of one row, if it is one integer that is known here."""
        compiled: Any = self.compiled
        columns = list(getattr(compiled.written_table, "primary_key", ()))
        several = compiled.compile_state._has_multi_parameters or (
            compiled.statement.select is not None
        )
        if len(columns) != 1 or several or UPSERT in self.execution_options:
            return None
        process = write_processor(columns[0].type, self.dialect)
        (key,) = self.inserted_primary_key_rows[0]
        stored = process(key) if process is not None else key
        return stored if isinstance(stored, int) else None

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
        known = self.known_rowcount
        if known is not None:
            return known
        try:
            counts = list(map(self._rowcount_of, self._held))
        except Error as error:
            self.root_connection._handle_dbapi_exception(error, None, None, None, self)
        return -1 if -1 in counts else sum(counts)

    @property
    def held_writes(self) -> Sequence[Held]:
        """What is held of it; nothing where it was run at once."""
        return self._held

    @property
    def known_rowcount(self) -> int | None:
        """How many rows of what is held were matched; ``None`` where that has to be asked for."""
        if self._is_flush and self._may_miss:
            return -1  # as the ORM does not look at it then
        first = self._held[0]
        if isinstance(first, HeldRows) and (self.isinsert or self._is_flush):
            return self._held_rows if first.upsert is None else -1
        if isinstance(first, HeldRows) and flushes.asks_for_relation(first.shape.table):
            # By a guard they are made sure of, and need not be sent before.
            first.checks = replace(first.checks, matched=True)
        if isinstance(first, HeldRows) and first.checks.matched:
            return self._held_rows
        if isinstance(first, HeldText) and first.certain is not None:
            return sum(held.certain or 0 for held in self._held if isinstance(held, HeldText))
        return None

    def count(self) -> None:
        """Count the rows that what is held matches, where nothing has to be sent before."""
        for held in self._held:
            try:
                self._ask(lambda unit, of: unit.count(of), held)
            except Error as error:
                self.root_connection._handle_dbapi_exception(error, None, None, None, self)

    def _rowcount_of(self, held: Held) -> int:
        if held.rowcount is not None:
            return held.rowcount
        if self.root_connection.closed or self.root_connection.invalidated:
            return -1
        found: int = self._ask(lambda unit, of: unit.rowcount_of(of), held)
        return found

    def _ask(self, what: Callable[..., Any], *about: Any) -> Any:
        """What the unit of work of the connection gives, which may ask the warehouse for it."""
        return _ask(self.root_connection, what, *about)

    @property
    def _is_flush(self) -> bool:
        return flushes.is_flush(self.execution_options)

    @property
    def _may_miss(self) -> bool:
        write = getattr(self.compiled, "write", None)
        return write is not None and write.has_conditions

    @property
    def _is_raw(self) -> bool:
        compiled: Any = self.compiled
        return compiled is None or isinstance(compiled.statement, (TextClause, TextualSelect))

    def _run_raw(self, unit: Unit, cursor: Any, statement: str, parameters: Sequence[Any]) -> None:
        """Run text: a write is held in its place, and nothing else can be."""
        own: StatementTraits | None = self.execution_options.get(TRAITS)
        traits = describe(statement) if own is None else own
        self._inserts_by_text = traits.keyword == "INSERT"
        if own is None:
            refuse_several(statement, traits)
        if traits.writes_rows:
            rows = settled(parameters)
            held = [HeldText(statement, row, None, described=traits) for row in rows]
            self._write(unit, cursor, held)
            return
        if self.execution_options.get("vinci_definitions"):
            unit.before_definitions()
        else:
            unit.before_text(traits)
        _execute(cursor, statement, parameters, traits, is_told=self.is_told)

    def _write(self, unit: Unit, cursor: Any, held: Sequence[Held]) -> None:
        at_once = self.execution_options.get(AT_ONCE, False)
        origins = None if self._is_raw else self._origins
        flush = self._is_flush
        if flush and self.dialect.check_at == "flush" and flushes.is_running():  # type: ignore[attr-defined]
            unit.flush_begins()
            flushes.at_end(self._check_flush)
        if cursor.query_tags:
            # It leaves with all else that the unit holds, as one statement.
            unit.own_tags = {**unit.own_tags, **cursor.query_tags}
        if unit.write(held, cursor, at_once=at_once, flush=flush, origins=origins):
            self._held = held
            self._held_rows = sum(map(len, held))

    def _check_flush(self) -> None:
        """Raise where what the flush has written breaks a constraint."""
        connection: Any = self.root_connection
        if connection.closed or connection.invalidated:
            return
        try:
            self._ask(lambda unit: unit.flush_ends())
        except Error as error:
            connection._handle_dbapi_exception(error, None, None, None, self)

    def _origins(self) -> list[Origin]:
        """What is executed, so that it can be executed again."""
        compiled: Any = self.compiled
        options: Any = self.execution_options
        if self._taken is not None:
            options = options.union({EXPECTED: self._taken})
        executed = executions(self.invoked_statement, compiled, self.compiled_parameters)
        return [Origin(statement, rows, options) for statement, rows in executed]

    def _names(self) -> frozenset[Name]:
        """What the statement reads."""
        return _names(self.compiled, self.execution_options)

    def _reads(self, unit: Unit, table: Any) -> frozenset[str] | None:
        """The bare names of what a write reads beside its own table; ``None`` if unknown."""
        compiled: Any = self.compiled
        used: frozenset[str] | None = compiled.tables_used
        if used is None or table is None:
            return used
        own = Name(getattr(table, "schema", None), bare_name(table))
        if used <= {own.table} and compiled.names_used <= {own}:
            return frozenset()  # as most writes
        own = own.translated(self.execution_options.get("schema_translate_map"))
        return unit.settled_tables(used - {own.table}, self._names() - {own})

    def _as_held(self, unit: Unit, statement: str, parameters: Sequence[Any]) -> Sequence[Held]:
        compiled: Any = self.compiled
        self._require_own(statement)
        shape: Shape | None = compiled.shape
        upsert = self.execution_options.get(UPSERT)
        checks = self._wanted_checks
        assert checks is not None  # noqa: S101 - it is a write
        table = compiled.written_table
        if checks.keys and not self.isdelete:
            refuse_unchecked(table)
        if table is not None and bare_name(table) in RESERVED:
            raise NotSupportedError(
                f"rows cannot be written to a table called {table}, since statements use this name "
                "for their own\nTo fix it: give the table another name."
            )
        if shape is not None:
            rows = shape.rows(settled(parameters))
            types_match = shape.types_match(rows)
            if not types_match:
                rows = shape.plain(rows)
                types_match = shape.types_match(rows)
            if types_match:
                if checks.matched and self.isupdate:
                    shape, rows = self._with_loaded(unit, shape, rows)
                counted = shape.kind is not WriteKind.INSERT and not self._is_flush
                reads = self._reads(unit, shape.table)
                moved = self._translated(shape)
                return [HeldRows(moved, rows, checks, upsert, counted, reads=reads)]
            _refuse_other_key(shape, checks)
        if upsert is not None:
            raise NotSupportedError(
                f"an upsert into {compiled.written_table} cannot be written as MERGE, since a "
                "default of a column is not computed of its row alone\n"
                "To fix it: give the column a value."
            )
        return self._as_statements(unit, statement, parameters, checks)

    def _require_own(self, statement: str) -> None:
        """Refuse a text that an event has put into the place of the construct's.

        What is held is made of the construct. A comment before or behind it changes nothing.

        Raises:
            NotSupportedError: It is another one.
        """
        if statement == self.statement:
            return
        own = str(self.statement)
        before, found, behind = statement.partition(own)
        if not found or not is_comment(f"{before}\n{behind}"):
            raise NotSupportedError(OTHER_TEXT.format(str(self.compiled.written_table)))  # type: ignore[union-attr]

    def _with_loaded(self, unit: Unit, shape: Shape, rows: list[Any]) -> tuple[Shape, list[Any]]:
        """The rows of a flush with what their objects were loaded with."""
        compiled: Any = self.compiled
        checking: Shape = compiled.shape_with_loaded
        if not self.dialect.compare_and_set:  # type: ignore[attr-defined]
            return shape, rows
        taken = self._expected(unit, shape.table)
        # Of a class with a version counter nothing is noted.
        if not checking.loaded or (compiled.write.asks_more and not any(taken)):
            return shape, rows
        return checking, with_expected(checking, rows, taken)

    def _expected(self, unit: Unit, table: Any) -> list[Expected | None]:
        """What each row that a flush changes is to hold before.

        Raises:
            NotSupportedError: Nothing tells of which object a row is.
        """
        self._taken = self.execution_options.get(EXPECTED)
        if self._taken is None:
            self._taken = self._taken_of_objects(unit, table)
        return self._taken

    def _taken_of_objects(self, unit: Unit, table: Any) -> list[Expected | None]:
        write, names = self.compiled.write, self.compiled.names_by_key  # type: ignore[union-attr]
        matched = dict(write.keys)
        wanted = unit.loaded.key_of(table) or matched
        if not matched.keys() >= set(wanted):
            raise NotSupportedError(OTHER_KEY.format(table))
        keys = [names[matched[column]] for column in wanted]
        assigned = [(column, key and names[key]) for column, key in write.assigned]
        changed_at = unit.changed_at(bare_name(table))
        since = None if unit.is_for_later else changed_at
        taken = []
        for row in self.compiled_parameters:
            key = tuple([row[name] for name in keys])
            given = {column: EXPRESSION if name is None else row[name] for column, name in assigned}
            taken.append(unit.loaded.take(table, key, given, since))
        if unit.is_for_later and changed_at is not None:
            if any(taken):
                raise NotSupportedError(CHANGED_BEFORE.format(table))
            return [None] * len(taken)
        return taken

    def _as_statements(
        self, unit: Unit, statement: str, parameters: Sequence[Any], checks: Checks
    ) -> Sequence[HeldText]:
        compiled: Any = self.compiled
        table = compiled.written_table
        used = self._reads(unit, table)
        changes = None if table is None else frozenset({bare_name(table)})
        if used is not None and changes is not None:
            used |= changes
        write = compiled.write
        certain = None if write is None else 1 if checks.matched else write.rows
        written = None if table is None else str(table)
        sets = None if write is None or table is None else _sets(write, table)
        after = map(
            partial(self._after, checks), self._given_parameters or [{}], self.compiled_parameters
        )
        return [
            HeldText(statement, row, used, written, changes, certain, sets=sets, after=outcome)
            for row, outcome in zip(settled(parameters), after, strict=True)
        ]

    def _after(
        self, checks: Checks, given: Mapping[str, Any], values: Mapping[str, Any]
    ) -> After | None:
        """What the statement leaves of its table, with one set of parameters.

        Args:
            checks: What it makes sure of.
            given: What the application has given.
            values: The parameters, without those of IN.
        """
        compiled: Any = self.compiled
        if not self.dialect.held_read_bytes:  # type: ignore[attr-defined]
            return None
        if compiled.write is None or self.execution_options.get("schema_translate_map"):
            return None
        by_key = self._by_key(given, values)
        return After(compiled, by_key, checks)

    def _by_key(self, given: Mapping[str, Any], values: Mapping[str, Any]) -> Mapping[str, Any]:
        """The parameters of the statement by their keys, those of IN among them.

        Args:
            given: What the application has given.
            values: The parameters, without those of IN.
        """
        compiled: Any = self.compiled
        whole = compiled.construct_params(
            given, extracted_parameters=self.extracted_parameters, escape_names=False, _check=False
        )
        whole |= values
        return copied({key: whole[name] for key, name in compiled.names_by_key.items()})

    def _translated(self, shape: Shape) -> Shape:
        schemas = self.execution_options.get("schema_translate_map")
        if not schemas:
            return shape
        compiled: Any = self.compiled

        def translate(text: str) -> str:
            translated: str = compiled.preparer._render_schema_translates(text, schemas)
            return translated

        return shape.translated(translate, schemas)

    def _unknown_key(self) -> Any:
        compiled: Any = self.compiled
        table = compiled.compile_state.dml_table
        for column in table.primary_key:
            given = self.compiled_parameters[0] if self.compiled_parameters else {}
            if column.identity is not None and given.get(column.key) is None:
                return column
        return None


def _holds(connection: Any) -> bool:
    """Whether something is held on a connection."""
    return bool(connection.connection.dbapi_connection.unit.held)


def _laid_over(connection: Any, compiled: Any, options: Mapping[str, Any]) -> LaidOver | None:
    """What is held on the tables of a query, where the query is to bring it along."""
    names = _names(compiled, options)
    found: LaidOver | None = _ask(connection, lambda unit: unit.laid_over(compiled, names))
    return found


def _ask(connection: Any, what: Callable[..., Any], *about: Any) -> Any:
    """What the unit of work of a connection gives, which may ask the warehouse for it."""
    opened = connection.connection.dbapi_connection
    own_by(opened.unit, connection)
    return connection.dialect.run_on(opened, partial(what, opened.unit, *about))


def _names(compiled: Any, options: Mapping[str, Any]) -> frozenset[Name]:
    used: frozenset[Name] = frozenset(compiled.names_used)
    schemas = options.get("schema_translate_map")
    return frozenset(name.translated(schemas) for name in used) if schemas else used


def _checks(dialect: Any, compiled: Any, options: Mapping[str, Any]) -> Checks:
    """What a write has to make sure of."""
    write = compiled.write
    flush = isinstance(getattr(write, "table", None), Table) and flushes.is_flush(options)
    return Checks(
        keys=options.get("enforce_keys", dialect.enforce_keys),
        foreign_keys=options.get("enforce_foreign_keys", dialect.enforce_foreign_keys),
        hide_keys=dialect.hide_keys,
        # The ORM only warns of a DELETE that finds nothing, unless there is a version counter. Of
        # one that a listener has restricted (``before_execute``) the row may well be there still.
        matched=flush and (write.asks_more if compiled.isdelete else not write.has_conditions),
    )


def _sets(write: Write, table: Any) -> frozenset[Place]:
    """The columns that a statement sets, for all that its construct tells."""
    if write.kind is WriteKind.DELETE:
        return frozenset()
    wanted = None if write.kind is WriteKind.INSERT else write.sets
    columns = (one for one in table.columns if wanted is None or one.name in wanted)
    return frozenset(place_of(table, column) for column in columns)


def _refuse_unknown(compiled: Any, checks: Checks, *, loaded: bool) -> None:
    """Refuse a write that an application has compiled by itself, if it would need guards.

    ``loaded`` says whether it would have to make sure of what an object was loaded with, too.

    Raises:
        NotSupportedError: It would.
    """
    table = compiled.written_table
    if checked_columns(table, checks.keys, checks.foreign_keys):
        raise NotSupportedError(UNKNOWN_WRITE.format(table))
    if loaded:
        raise NotSupportedError(UNKNOWN_FLUSH.format(table))


def _refuse_other_key(shape: Shape, checks: Checks) -> None:
    """Refuse what needs guards where a value of another type says which row is meant.

    Raises:
        DataError: It is one.
    """
    checked = checked_columns(shape.table, checks.keys, checks.foreign_keys)
    written = changed(shape.table, [field.column for field in shape.values])
    goes = shape.kind is WriteKind.DELETE and checks.foreign_keys and bool(referring(shape.table))
    if not (checks.matched or goes) and written.isdisjoint(checked):
        return
    raise DataError(
        f"{shape.kind.value} of {shape.table}: a value that says which row is meant, or that is "
        "computed with, is not of its column's type, so that what is unique, or refers to it, "
        "cannot be checked\nTo fix it: pass a value of the type that the column has."
    )


def own_by(unit: Unit, connection: Any) -> None:
    """Note SQLAlchemy's connection that a unit of work is of, and its query tags."""
    if unit.owner() is connection:
        return
    unit.owner = ref(connection)
    given = connection.get_execution_options().get(QUERY_TAGS)
    of_engine = connection.dialect.query_tags
    if given or of_engine:
        unit.own_tags = {**of_engine, **checked_tags(given or {}), **unit.own_tags}


def _execute_guarded(
    cursor: Any,
    statement: str,
    parameters: Sequence[Any],
    described: StatementTraits,
    *,
    is_told: bool = False,
) -> None:
    """Run a query of which what it has brought along may break a constraint.

    Raises:
        IntegrityError: It does.
    """
    try:
        _execute(cursor, statement, parameters, described, is_told=is_told)
    except Error as error:
        broken = raised(error)
        if broken is None:
            raise
        raise broken from error


def _execute(
    cursor: Any,
    statement: str,
    parameters: Sequence[Any],
    described: StatementTraits,
    *,
    is_told: bool = False,
) -> None:
    if len(parameters) == 1:
        cursor.execute(statement, parameters[0], described=described, is_told=is_told)
    else:
        cursor.executemany(statement, parameters, described=described)
