"""INSERT, UPDATE and DELETE: their text, and what they do, known from the construct.

Both come from the same pass of the compiler. SQLAlchemy's own rules for columns, values and
defaults (``sqlalchemy.sql.crud``) say which column gets what; of each value the element that it was
rendered from is kept, so that no text is ever read again.

A write whose values are parameters, or expressions of them alone, has a ``Shape``: its rows can be
sent as a set, with guards. Any other one is run as a statement of its own; where it writes what is
unique, ``guarded()`` is the same statement with guards in it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from sqlalchemy import util
from sqlalchemy.exc import CompileError
from sqlalchemy.sql import crud
from sqlalchemy.sql.base import _select_iterables
from sqlalchemy.sql.selectable import Join

from vinci_code.database.dialect.sql.held_reads import HeldReads
from vinci_code.database.dialect.sql.inserts import InsertKeys, as_declared
from vinci_code.database.dialect.sql.refusals import (
    SEVERAL_SOURCES,
    WRITE_IN_STATEMENT,
    WRITE_TO_JOIN,
    WRITE_WITH_CTE,
    WRITE_WITH_PREFIX,
)
from vinci_code.database.dialect.text.scanning import is_comment
from vinci_code.database.dialect.writes import afterwards
from vinci_code.database.dialect.writes.compared import Checked, with_loaded
from vinci_code.database.dialect.writes.dml_change import ChangeForms
from vinci_code.database.dialect.writes.dml_insert import InsertForms
from vinci_code.database.dialect.writes.dml_rows import Plan, terms
from vinci_code.database.dialect.writes.dml_values import (
    default_of,
    rendered,
    selected_as_stored,
)
from vinci_code.database.dialect.writes.look_ups import LookUp, look_up
from vinci_code.database.dialect.writes.returning import Returning, returning
from vinci_code.database.dialect.writes.sets import Checks
from vinci_code.database.dialect.writes.shapes import Shape, WriteKind, letters


def _unknown() -> None:
    return None


def _no_rows(_: frozenset[str]) -> None:
    return None


@dataclass(frozen=True)
class Write:
    """What a compiled INSERT, UPDATE or DELETE is.

    Attributes:
        kind: INSERT, UPDATE or DELETE.
        table: What it writes to.
        text: The statement as this compiler has rendered it; an application's own compilation of
            the construct (``@compiles``) gives another one, of which nothing is known.
        planned: What it does to each row; ``None`` where it has to be a statement of its own.
        rows: How many rows an INSERT writes; ``None`` where only the warehouse knows.
        has_conditions: Whether it is an UPDATE of the ORM's to whose key the application has added
            conditions, so that rows may be missed.
        asks_more: Whether it asks for more than that the primary key is what is given.
        keys: The columns that the ORM tells the row of an UPDATE by, with the keys of their
            parameters.
        assigned: The columns that an UPDATE sets, with the keys of their parameters;
            ``None`` for an expression.
        checked: The columns of which a statement of its own has the loaded values as further
            parameters.
        sets: The columns that an UPDATE sets, by name, those of their ``onupdate`` included.
        after: Gives the rows of the table as they are afterwards, as a query; ``None`` where that
            is not known to be the same each time.
        found: Counts the rows that it finds, as a query; ``None`` likewise, and for an INSERT of
            values.
        returned: What it gives of its rows; ``None`` where that is nothing, or not known.
        touched: Gives columns of the rows that it writes, or deletes, as queries, in the order of
            the rows; ``None`` where these are not known to be the same each time.
    """

    kind: WriteKind
    table: Any
    text: str
    planned: Plan | None = None
    rows: int | None = None
    has_conditions: bool = False
    asks_more: bool = False
    keys: tuple[tuple[str, str], ...] = ()
    assigned: tuple[tuple[str, str | None], ...] = ()
    checked: tuple[Checked, ...] = ()
    sets: tuple[str, ...] = ()
    after: Callable[[], Any] = _unknown
    found: Callable[[], Any] = _unknown
    returned: Returning | None = None
    touched: Callable[[frozenset[str]], Sequence[Any] | None] = _no_rows


@dataclass(frozen=True)
class Returned:
    """What a write gives of its rows, compiled.

    Attributes:
        returning: What it is.
        query: The SELECT that gives it of all rows of the table.
        touched: Queries for the rows, in their order, with the columns that are read; ``None``
            where these are not known.
    """

    returning: Returning
    query: Any
    touched: Sequence[Any] | None


class WriteCompiler(InsertKeys, HeldReads):
    """Compiles writes.

    Attributes:
        checks: What the text itself has to make sure of; ``None`` for the text of the construct.
    """

    _write: Write | None = None
    # While the values of a write are rendered: their elements are kept.
    _noting = False
    # While an expression is rendered as one of the rows of a set: what these are called, and the
    # parameters that it has.
    _over: _Over | None = None

    def __init__(self, *args: Any, checks: Checks | None = None, **kwargs: Any) -> None:
        self.checks = checks
        super().__init__(*args, **kwargs)

    # --- elements and their text ----------------------------------------------------------------

    def process(self, obj: Any, **kwargs: Any) -> str:
        """Render an element; of the whole statement see that nobody has changed its text."""
        text: str = super().process(obj, **kwargs)
        if self._noting:
            return rendered(text, obj)
        if self._write is not None and obj is self.statement and text is not self._write.text:
            self._write = None
        return text

    def visit_bindparam(self, bindparam: Any, *args: Any, **kw: Any) -> str:
        """Render a parameter: as one of the statement, or as a column of the rows of a set."""
        if self._over is None:
            text: str = super().visit_bindparam(bindparam, *args, **kw)  # type: ignore[no-untyped-call]
            return rendered(text, bindparam) if self._noting else text
        if not kw.get("skip_bind_expression"):
            impl = bindparam.type.dialect_impl(self.dialect)
            if impl._has_bind_expression:
                kw["skip_bind_expression"] = True
                made: str = impl.bind_expression(bindparam)._compiler_dispatch(self, *args, **kw)
                return made
        known = bindparam.key in self.binds
        return self._over.take(bindparam, known and not kw.get("literal_execute"))

    # --- what is known of the statement ---------------------------------------------------------

    @property
    def write(self) -> Write | None:
        """What the statement is; ``None`` if it was compiled by somebody else."""
        return self._write

    @property
    def written_table(self) -> Any:
        """The table that an INSERT, UPDATE or DELETE writes to."""
        state: Any = self.compile_state
        return None if state is None else as_declared(getattr(state, "dml_table", None))

    @util.memoized_property
    def shape(self) -> Shape | None:
        """What the statement does to each row of its parameters, where it can be held as rows."""
        write = self._write
        if write is None or write.planned is None:
            return None
        return write.planned.shape(self.bind_names, self.positiontup or [])

    @util.memoized_property
    def after(self) -> WriteCompiler | None:
        """What gives the rows of the table as they are afterwards; ``None`` if not known."""
        return self._compiled(None if self._write is None else self._write.after())

    @util.memoized_property
    def found(self) -> WriteCompiler | None:
        """What counts the rows that it finds; ``None`` if not known."""
        return self._compiled(None if self._write is None else self._write.found())

    @util.memoized_property
    def returned(self) -> Returned | None:
        """What it gives of its rows, as queries; ``None`` where it gives nothing, or not known."""
        write = self._write
        if write is None or write.returned is None:
            return None
        query = self._compiled(write.returned.query())
        found = write.touched(write.returned.columns)
        touched = None if found is None else [self._compiled(item) for item in found]
        if query is None:
            return None
        whole = touched if touched is None or None not in touched else None
        return Returned(write.returned, query, whole)

    @util.memoized_property
    def look_up(self) -> LookUp | None:
        """What a query looks up by its key; ``None`` where it does something else."""
        statement = getattr(self.compile_state, "statement", None)
        return look_up(self, statement, self.names_by_key)

    @property
    def returns_rows(self) -> bool:
        """Whether an INSERT, UPDATE or DELETE is to give something of its rows."""
        statement: Any = getattr(self.compile_state, "statement", None)
        return bool(self.implicit_returning or getattr(statement, "_returning", ()))

    def _compiled(self, query: Any) -> WriteCompiler | None:
        try:
            return None if query is None else type(self)(self.dialect, query)
        except CompileError:
            return None  # what cannot be selected may be written all the same

    @util.memoized_property
    def shape_with_loaded(self) -> Shape | None:
        """The shape of an UPDATE that checks what its rows were loaded with."""
        return None if self.shape is None else with_loaded(self.shape, self.dialect)

    @util.memoized_property
    def names_by_key(self) -> dict[str, str]:
        """The names of parameters by their keys.

        By the parameters themselves they are not found: a type's bind_expression makes another one
        of the same key each time.
        """
        return {bind.key: name for bind, name in self.bind_names.items()}

    @util.memoized_property
    def _variants(self) -> dict[Checks, WriteCompiler]:
        return {}

    def guarded(self, checks: Checks) -> WriteCompiler:
        """The same statement with guards in it, for one that is no set of rows.

        Raises:
            NotSupportedError: It cannot have them.
        """
        found = self._variants.get(checks)
        if found is None:
            found = type(self)(
                self.dialect,
                self.statement,
                checks=checks,
                cache_key=self.cache_key,
                column_keys=self.column_keys,
                for_executemany=self.for_executemany,
                schema_translate_map=self.schema_translate_map,
            )
            self._variants[checks] = found
        return found

    def visit_vinci_stored_default(self, element: Any, **kw: Any) -> str:
        """Render what is stored in a column that is left out."""
        kind = self.dialect.type_compiler_instance.process(element.type)
        return f"CAST({default_of(self, element.column)} AS {kind})"

    # --- INSERT ---------------------------------------------------------------------------------

    def visit_insert(self, insert_stmt: Any, *args: Any, **kw: Any) -> str:
        """Render INSERT, with the keys that SQLite would have given out."""
        state = self._begin(self.with_key(insert_stmt), "INSERT", kw)
        self.isinsert = True
        statement = state.statement
        with self._within(statement, set()):
            given = self._crud(statement, state, kw)
            source: str | None = None
            table = as_declared(statement.table)
            after, found = partial(afterwards.added, table, given), _unknown
            touched = partial(afterwards.each_added, table, given)
            if statement.select is not None:
                # SQLAlchemy adds the defaults of columns that are left out to its SELECT.
                columns = [column for column, *_ in given[0]]
                chosen = selected_as_stored(self.stack[-1]["insert_from_select"], columns)
                source = self.process(chosen, insert_into=True, **kw)
                after = partial(afterwards.inserted, table, columns, chosen)
                found = partial(afterwards.chosen_rows, table, chosen)
                touched = partial(_one_query, partial(afterwards.inserted, table, columns, chosen))
            behind = statement._post_values_clause
            if behind is not None:
                self.process(behind, **kw)  # refuses ON CONFLICT
                raise CompileError(WRITE_WITH_PREFIX.format("INSERT", "what follows its values"))
            prefixes = self._prefixes(statement, kw)
            render: Any = self._render_cte_clause
            with_list = render(include_following_stack=True) if self.ctes else ""
            insert = InsertForms(self, table, given, source, with_list, prefixes)
            checks = self.checks
            text = insert.text() if checks is None else insert.guarded(checks)
            planned = (
                None if checks is not None or source is not None or with_list else insert.planned()
            )
            rows = len(given) if source is None else None
            self._write = Write(
                WriteKind.INSERT,
                table,
                text,
                planned,
                rows,
                after=after,
                found=found,
                returned=self._returned(statement, table, kw),
                touched=touched,
            )
            return text

    # --- UPDATE and DELETE ----------------------------------------------------------------------

    def visit_update(self, update_stmt: Any, *args: Any, **kw: Any) -> str:
        """Render UPDATE; with a second table, MERGE."""
        state = self._begin(update_stmt, "UPDATE", kw)
        self.isupdate = True
        return self._change(WriteKind.UPDATE, state, kw)

    def visit_delete(self, delete_stmt: Any, *args: Any, **kw: Any) -> str:
        """Render DELETE; with a second table, MERGE."""
        state = self._begin(delete_stmt, "DELETE", kw)
        self.isdelete = True
        return self._change(WriteKind.DELETE, state, kw)

    def _change(self, kind: WriteKind, state: Any, kw: dict[str, Any]) -> str:
        statement = state.statement
        table = as_declared(statement.table)
        if isinstance(table, Join):
            raise CompileError(WRITE_TO_JOIN.format(kind.value))
        others = [other for other in state._extra_froms or () if other is not table]
        with self._within(statement, {table, *others}):
            target = table._compiler_dispatch(self, asfrom=True, iscrud=True, **kw)
            given = self._crud(statement, state, kw)
            change = ChangeForms(
                self,
                kind,
                statement,
                table,
                target,
                _single(given),
                [other._compiler_dispatch(self, asfrom=True, **kw) for other in others],
                list(terms(statement._where_criteria)),
                self._where(statement, kw),
                self._prefixes(statement, kw),
            )
            self._refuse_after(kind, statement, kw)
            if self.ctes:
                raise CompileError(WRITE_WITH_CTE.format(kind.value))
            if len(others) > 1:
                raise CompileError(SEVERAL_SOURCES)
            checks = self.checks
            text = change.text() if checks is None else change.guarded(checks)
            self._write = Write(
                kind,
                table,
                text,
                change.planned() if checks is None else None,
                None,
                change.has_conditions,
                change.asks_more,
                change.keys if kind is WriteKind.UPDATE else (),
                change.assigned if kind is WriteKind.UPDATE else (),
                () if checks is None else change.checked(checks),
                tuple(column.name for column, *_ in change.given),
                change.after,
                change.found,
                self._returned(statement, table, kw),
                partial(_one_query, change.touched),
            )
            return text

    def _where(self, statement: Any, kw: dict[str, Any]) -> str:
        criteria = statement._where_criteria
        if not criteria:
            return ""
        render: Any = self._generate_delimited_and_list
        text: str = render(criteria, **kw)
        return text

    def _refuse_after(self, kind: WriteKind, statement: Any, kw: dict[str, Any]) -> None:
        """Refuse what an extension of SQLAlchemy 2.1 has put behind the condition."""
        if getattr(statement, "_post_criteria_clause", None) is not None:
            raise CompileError(WRITE_WITH_PREFIX.format(kind.value, "what follows its condition"))

    # --- both -----------------------------------------------------------------------------------

    def _begin(self, statement: Any, word: str, kw: dict[str, Any]) -> Any:
        if self.stack or kw.pop("visiting_cte", None) is not None:
            raise CompileError(WRITE_IN_STATEMENT.format(word))
        state = statement._compile_state_factory(statement, self, **kw)
        if not self.dml_compile_state:
            self.dml_compile_state = state
        if not self.compile_state:
            self.compile_state = state
        if not _is_asked_for(state):
            # The ORM's flush asks for defaults when they are needed, and makes the keys before.
            state._supports_implicit_returning = False
        return state

    def _returned(self, statement: Any, table: Any, kw: dict[str, Any]) -> Returning | None:
        """What RETURNING is to give, of which the result has the columns."""
        elements = self.implicit_returning or statement._returning
        if not elements:
            return None
        render: Any = self.returning_clause
        render(statement, elements, populate_result_map=True, **kw)
        # As entities of the ORM they would make its query of the SELECT.
        return returning(table, [item._deannotate() for item in _select_iterables(elements)])

    @contextlib.contextmanager
    def _within(self, statement: Any, froms: set[Any]) -> Iterator[None]:
        """Have SQLAlchemy know which tables a sub-select may refer to."""
        entry: Any = {"correlate_froms": froms, "asfrom_froms": froms, "selectable": statement}
        self.stack.append(entry)
        try:
            yield
        finally:
            self.stack.pop(-1)

    def _crud(self, statement: Any, state: Any, kw: dict[str, Any]) -> list[list[Any]]:
        """Which column gets what, for each row of the statement."""
        self._noting = True
        try:
            made = crud._get_crud_params(self, statement, state, True, **kw)
        finally:
            self._noting = False
        if statement._independent_ctes:
            dispatch: Any = self._dispatch_independent_ctes
            dispatch(statement, kw)
        several: list[Any] = list(made.all_multi_params)
        return several or [list(made.single_params)]

    def _prefixes(self, statement: Any, kw: dict[str, Any]) -> str:
        """What stands before the name of the table: comments go, of others nothing is known.

        Raises:
            CompileError: It is not a comment.
        """
        mine = [
            prefix
            for prefix, dialect_name in statement._prefixes
            if dialect_name in {None, "*", self.dialect.name}
        ]
        for prefix in mine:
            if not is_comment(getattr(prefix, "text", "")):
                word = type(statement).__name__.upper()
                raise CompileError(WRITE_WITH_PREFIX.format(word, "its prefix"))
        return "".join(f"{self.process(prefix, **kw)} " for prefix in mine)

    def over_rows(
        self, element: Any, rows: str, first: int, names: Mapping[Any, str] = util.EMPTY_DICT
    ) -> tuple[str, list[Any] | None]:
        """Render an expression as one of the rows of a set, which are called ``rows``.

        ``first`` is the number of its first parameter, and ``names`` says which tables go by
        another name in it. With the text go the parameters in it; ``None`` for these where one is
        none of a row's.
        """
        self._over = over = _Over(rows, first)
        around, self.laid_over = self.laid_over, names
        try:
            text = element._compiler_dispatch(self)
        finally:
            self._over = None
            self.laid_over = around
        return str(text), over.binds if over.of_rows else None


class _Over:
    """The parameters of an expression that is rendered over the rows of a set.

    Attributes:
        binds: The parameters.
        of_rows: Whether all are the statement's. One that is made while it is rendered, as for the
            digits of ``round``, which have to be a constant, is another one each time.
    """

    def __init__(self, rows: str, first: int) -> None:
        self.binds: list[Any] = []
        self.of_rows = True
        self._rows = rows
        self._first = first

    def take(self, bindparam: Any, of_rows: bool) -> str:
        """The column of the rows that stands for a parameter."""
        self.of_rows &= of_rows
        self.binds.append(bindparam)
        return f"{self._rows}.{letters(self._first + len(self.binds) - 1)}"


def _is_asked_for(state: Any) -> bool:
    """Whether what is to be fetched for the ORM is something that the application has asked for."""
    statement = state.statement
    is_flush = not type(state).__module__.startswith("sqlalchemy.orm.")
    return not is_flush and bool(statement._supplemental_returning)


def _one_query(make: Callable[..., Any], found: frozenset[str]) -> Sequence[Any] | None:
    query = make(found=found)
    return None if query is None else [query]


def _single(given: list[list[Any]]) -> list[Any]:
    (only,) = given
    return only
