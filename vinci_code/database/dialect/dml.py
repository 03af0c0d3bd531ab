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
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

from sqlalchemy import util
from sqlalchemy.exc import CompileError
from sqlalchemy.schema import Column, Table
from sqlalchemy.sql import crud, operators, visitors
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.elements import (
    BinaryExpression,
    BindParameter,
    BooleanClauseList,
    ColumnClause,
    Grouping,
)
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import Boolean

from vinci_code.database.dialect import guards
from vinci_code.database.dialect.dberrors import NotSupportedError
from vinci_code.database.dialect.inserts import InsertKeys
from vinci_code.database.dialect.loaded import with_loaded
from vinci_code.database.dialect.refusals import (
    NO_ROW_KEY,
    SEVERAL_SOURCES,
    WRITE_IN_STATEMENT,
    WRITE_WITH_CTE,
    WRITE_WITH_PREFIX,
)
from vinci_code.database.dialect.scanning import is_comment
from vinci_code.database.dialect.sets import Checks, SetWriter
from vinci_code.database.dialect.shapes import OWN, ROWS, Field, Kind, Shape, letters
from vinci_code.database.dialect.transports import Transport, transport_of

# Of these an expression may be made that is computed for each row of a set: none of them reads a
# table, and none makes one row of several.
_OF_ROWS = frozenset(
    {
        "binary", "bindparam", "case", "cast", "clauselist", "expression_clauselist", "extract",
        "false", "grouping", "null", "true", "type_coerce", "unary",
    }
)  # fmt: skip
_SCALAR_FUNCTIONS = frozenset(
    {
        "abs", "ceil", "coalesce", "concat", "current_date", "current_timestamp", "floor",
        "greatest", "ifnull", "least", "length", "lower", "ltrim", "now", "nullif", "parse_json",
        "replace", "round", "rtrim", "sign", "substr", "substring", "trim", "upper",
    }
)  # fmt: skip
_DEFAULT = "DEFAULT"


class Rendered(str):
    """The text of an element, which it keeps.

    Attributes:
        element: The element.
    """

    __slots__ = ("element",)
    element: Any

    @classmethod
    def of(cls, text: str, element: Any) -> Rendered:
        """The text of an element."""
        made = cls(text)
        made.element = element
        return made


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
        has_conditions: Whether an UPDATE or DELETE has conditions with values of their own, beside
            those that are given when it is executed.
        is_versioned: Whether it asks for more than the primary key.
    """

    kind: Kind
    table: Any
    text: str
    planned: _Plan | None = None
    rows: int | None = None
    has_conditions: bool = False
    is_versioned: bool = False


class WriteCompiler(InsertKeys, SQLCompiler):
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
            return Rendered.of(text, obj)
        if self._write is not None and obj is self.statement and text is not self._write.text:
            self._write = None
        return text

    def visit_bindparam(self, bindparam: Any, *args: Any, **kw: Any) -> str:
        """Render a parameter: as one of the statement, or as a column of the rows of a set."""
        if self._over is None:
            text: str = super().visit_bindparam(bindparam, *args, **kw)  # type: ignore[no-untyped-call]
            return Rendered.of(text, bindparam) if self._noting else text
        if not kw.get("skip_bind_expression"):
            impl = bindparam.type.dialect_impl(self.dialect)
            if impl._has_bind_expression:
                kw["skip_bind_expression"] = True
                made: str = impl.bind_expression(bindparam)._compiler_dispatch(self, *args, **kw)
                return made
        return self._over.take(bindparam)

    # --- what is known of the statement ---------------------------------------------------------

    @property
    def write(self) -> Write | None:
        """What the statement is; ``None`` if it was compiled by somebody else."""
        return self._write

    @property
    def written_table(self) -> Any:
        """The table that an INSERT, UPDATE or DELETE writes to."""
        state: Any = self.compile_state
        return None if state is None else getattr(state, "dml_table", None)

    @util.memoized_property
    def shape(self) -> Shape | None:
        """What the statement does to each row of its parameters, where it can be held as rows."""
        write = self._write
        if write is None or write.planned is None:
            return None
        return write.planned.shape(self.bind_names, self.positiontup or [])

    @util.memoized_property
    def shape_with_loaded(self) -> Shape | None:
        """The shape of an UPDATE that checks what its rows were loaded with."""
        return None if self.shape is None else with_loaded(self.shape, self.dialect)

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

    # --- INSERT ---------------------------------------------------------------------------------

    def visit_insert(self, insert_stmt: Any, *args: Any, **kw: Any) -> str:
        """Render INSERT, with the keys that SQLite would have given out."""
        state = self._begin(self.with_key(insert_stmt), "INSERT", kw)
        self.isinsert = True
        statement = state.statement
        with self._within(statement, set()):
            given = self._crud(statement, state, kw)
            source: str | None = None
            if statement.select is not None:
                # SQLAlchemy adds the defaults of columns that are left out to its SELECT.
                chosen = self.stack[-1]["insert_from_select"]
                source = self.process(chosen, insert_into=True, **kw)
            after = statement._post_values_clause
            if after is not None:
                self.process(after, **kw)  # refuses ON CONFLICT
                raise CompileError(WRITE_WITH_PREFIX.format("INSERT", "what follows its values"))
            prefixes = self._prefixes(statement, kw)
            render: Any = self._render_cte_clause
            with_list = render(include_following_stack=True) if self.ctes else ""
            insert = _Insert(self, statement.table, given, source, with_list, prefixes)
            checks = self.checks
            text = insert.text() if checks is None else insert.guarded(checks)
            planned = (
                None if checks is not None or source is not None or with_list else insert.planned()
            )
            rows = len(given) if source is None else None
            self._write = Write(Kind.INSERT, statement.table, text, planned, rows)
            return text

    # --- UPDATE and DELETE ----------------------------------------------------------------------

    def visit_update(self, update_stmt: Any, *args: Any, **kw: Any) -> str:
        """Render UPDATE; with a second table, MERGE."""
        state = self._begin(update_stmt, "UPDATE", kw)
        self.isupdate = True
        return self._change(Kind.UPDATE, state, kw)

    def visit_delete(self, delete_stmt: Any, *args: Any, **kw: Any) -> str:
        """Render DELETE; with a second table, MERGE."""
        state = self._begin(delete_stmt, "DELETE", kw)
        self.isdelete = True
        return self._change(Kind.DELETE, state, kw)

    def _change(self, kind: Kind, state: Any, kw: dict[str, Any]) -> str:
        statement = state.statement
        table = statement.table
        others = [other for other in state._extra_froms or () if other is not table]
        with self._within(statement, {table, *others}):
            target = table._compiler_dispatch(self, asfrom=True, iscrud=True, **kw)
            given = self._crud(statement, state, kw)
            change = _Change(
                self,
                kind,
                table,
                target,
                _single(given),
                [other._compiler_dispatch(self, asfrom=True, **kw) for other in others],
                list(_terms(statement._where_criteria)),
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
                change.is_versioned,
            )
            return text

    def _where(self, statement: Any, kw: dict[str, Any]) -> str:
        criteria = statement._where_criteria
        if not criteria:
            return ""
        render: Any = self._generate_delimited_and_list
        text: str = render(criteria, **kw)
        return text

    def _refuse_after(self, kind: Kind, statement: Any, kw: dict[str, Any]) -> None:
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
        if state.statement._returning:
            refuse: Any = self.returning_clause
            refuse(state.statement, state.statement._returning)
        return state

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

    def over_rows(self, element: Any, rows: str, first: int) -> tuple[str, list[Any]]:
        """Render an expression as one of the rows of a set.

        Args:
            element: The expression.
            rows: What the rows are called.
            first: The number of its first parameter.

        Returns:
            The text, and the parameters in it.
        """
        self._over = over = _Over(rows, first)
        try:
            text = element._compiler_dispatch(self)
        finally:
            self._over = None
        return str(text), over.binds


class _Over:
    """The parameters of an expression that is rendered over the rows of a set."""

    def __init__(self, rows: str, first: int) -> None:
        self.binds: list[Any] = []
        self._rows = rows
        self._first = first

    def take(self, bindparam: Any) -> str:
        """The column of the rows that stands for a parameter."""
        self.binds.append(bindparam)
        return f"{self._rows}.{letters(self._first + len(self.binds) - 1)}"


def _single(given: list[list[Any]]) -> list[Any]:
    (only,) = given
    return only


# --- rows of parameters ---------------------------------------------------------------------------


@dataclass(frozen=True)
class _Plan:
    """A shape whose parameters have no positions yet: these are known when all is compiled."""

    kind: Kind
    table: Table
    target: str
    values: tuple[Field, ...]
    matches: tuple[Field, ...]
    transports: tuple[Transport | None, ...]
    rows: tuple[tuple[Any, ...], ...]

    def shape(self, names: dict[Any, str], positions: Sequence[str]) -> Shape:
        at: dict[str, int] = {}
        for position, name in enumerate(positions):
            at.setdefault(name, position)
        places = tuple(tuple(at[names[bind]] for bind in row) for row in self.rows)
        fields = self.values if self.kind is Kind.INSERT else self.matches
        return Shape(
            self.kind,
            self.table,
            self.target,
            self.values,
            self.matches,
            self.transports,
            places,
            _key(self.table, fields),
        )


def _key(table: Table, fields: Iterable[Field]) -> tuple[int, ...] | None:
    """Where the primary key stands; ``None`` if there is none, or a part of it is not given."""
    given = {item.column.name: item.first for item in fields if item.is_plain}
    columns = [column.name for column in table.primary_key]
    if not columns or any(name not in given for name in columns):
        return None
    return tuple(given[name] for name in columns)


class _Fields:
    """Makes the fields of one row, as far as they can be computed for each row of a set."""

    def __init__(self, compiler: WriteCompiler, table: Table, kind: Kind) -> None:
        self.binds: list[Any] = []
        self.transports: list[Transport | None] = []
        self._compiler = compiler
        self._table = table
        self._kind = kind

    def add(self, column: Any, name: str, value: Any) -> Field | None:
        """The field of a column; ``None`` where its value is none of a set's."""
        element = getattr(value, "element", None)
        if element is None or not isinstance(column, Column):
            return None
        first = len(self.binds)
        if isinstance(element, BindParameter):
            if not self._takes(element, column):
                return None
        elif not self._may_be_of_rows(element):
            return None
        made, binds = self._compiler.over_rows(element, ROWS, first)
        own, _ = self._compiler.over_rows(element, OWN, first)
        plain = isinstance(element, BindParameter) and made == f"{ROWS}.{letters(first)}"
        self.binds += binds
        self.transports += [self._transport(bind) for bind in binds]
        numbers = tuple(range(first, len(self.binds)))
        return Field(column, name, made, own, numbers, plain)

    def _takes(self, bind: Any, column: Column[Any]) -> bool:
        """Whether a parameter is one of its column's type."""
        if bind.expanding or bind.literal_execute:
            return False
        return self._transport(bind) == transport_of(column.type, self._compiler.dialect)

    def _transport(self, bind: Any) -> Transport | None:
        return transport_of(bind.type, self._compiler.dialect)

    def _may_be_of_rows(self, element: Any) -> bool:
        return all(map(self._is_of_rows, visitors.iterate(element)))

    def _is_of_rows(self, node: Any) -> bool:
        if isinstance(node, BindParameter):
            if node.expanding or node.literal_execute:
                return False
            # What a number is that is computed with depends on its digits, not on a column.
            transport = self._transport(node)
            return transport is not None and transport.scale is None
        if isinstance(node, FunctionElement):
            name = str(getattr(node, "name", "")).lower()
            return not getattr(node, "packagenames", ()) and name in _SCALAR_FUNCTIONS
        if isinstance(node, ColumnClause):
            return self._kind is Kind.UPDATE and own_column(self._table, node) is not None
        return node.__visit_name__ in _OF_ROWS


def own_column(table: Any, element: Any) -> Column[Any] | None:
    """The column of a table that an element of a statement is; ``None`` for anything else."""
    if not isinstance(element, ColumnClause) or getattr(element, "is_literal", False):
        return None
    found: Any = table.columns.get(element.key)
    if found is None or found not in element.base_columns:
        return None
    return found if element.table in {table, None} or element.table == table else None


def _terms(criteria: Iterable[Any]) -> Iterator[Any]:
    """What a condition asks for all at once."""
    for item in criteria:
        if isinstance(item, BooleanClauseList) and item.operator is operators.and_:
            yield from _terms(item.clauses)
        elif isinstance(item, Grouping):
            yield from _terms([item.element])
        else:
            yield item


# --- INSERT ---------------------------------------------------------------------------------------


class _Insert:
    """The forms of one INSERT."""

    def __init__(
        self,
        compiler: WriteCompiler,
        table: Any,
        given: list[list[Any]],
        source: str | None,
        with_list: str,
        prefixes: str,
    ) -> None:
        self._compiler = compiler
        self._table = table
        self._target = compiler.preparer.format_table(table)
        self._given = given
        self._source = source
        self._with = with_list
        self._prefixes = prefixes

    def text(self) -> str:
        """The statement as it is."""
        head = f"INSERT {self._prefixes}INTO {self._target}"
        if self._source is None and not self._given[0]:
            columns = self._defaulted()
            defaults = ", ".join([_DEFAULT] * len(columns))
            return f"{head} ({self._names(columns)}) VALUES ({defaults})"
        names = ", ".join(name for _, name, _, _ in self._given[0])
        if self._source is not None:
            return f"{head} ({names}) {self._with}{self._source}"
        if self._with:
            return f"{head} ({names}) {self._with}{self._selected()}"
        rows = ", ".join(
            f"({', '.join(_as_stored(self._compiler, column, v) for column, _, v, _ in row)})"
            for row in self._given
        )
        return f"{head} ({names}) VALUES {rows}"

    def planned(self) -> _Plan | None:
        """The rows that it writes; ``None`` where it has to be a statement of its own."""
        if not isinstance(self._table, Table) or not self._given[0]:
            return None
        rows, kept = [], None
        for row in self._given:
            made = _Fields(self._compiler, self._table, Kind.INSERT)
            fields = [made.add(column, name, value) for column, name, value, _ in row]
            if None in fields or (kept is not None and fields != kept[0]):
                return None
            if kept is not None and made.transports != kept[1]:
                return None
            kept = fields, made.transports
            rows.append(tuple(made.binds))
        assert kept is not None  # noqa: S101 - there is a row
        values: Any = tuple(kept[0])
        return _Plan(
            Kind.INSERT, self._table, self._target, values, (), tuple(kept[1]), tuple(rows)
        )

    def guarded(self, checks: Checks) -> str:
        """The statement with guards, over the rows that its SELECT or its values give."""
        if not isinstance(self._table, Table):
            return self.text()
        given = self._given[0] or [
            (column, self._format(column), None, ()) for column in self._defaulted()
        ]
        fields = tuple(
            Field(column, name, f"{ROWS}.{name}", f"{OWN}.{name}") for column, name, _, _ in given
        )
        shape = Shape(Kind.INSERT, self._table, self._target, fields, ())
        writer = SetWriter(shape, checks, self._compiler.dialect, self._format)
        wanted = writer.guards()
        if not wanted:
            return self.text()
        names = ", ".join(name for _, name, _, _ in given)
        separator = f"{self._with.rstrip()}, " if self._with else "WITH "
        source = self._source or self._selected()
        rows = f"{separator}{ROWS} ({names}) AS ({source})"
        made = ", ".join(item.made for item in fields)
        return (
            f"INSERT INTO {self._target} ({names}) {rows} "
            f"SELECT {made} {guards.unless_raised(wanted)}"
        )

    def _selected(self) -> str:
        """Its values as a SELECT."""
        if not self._given[0]:
            return f"SELECT {', '.join(map(self._default, self._defaulted()))}"
        several = len(self._given) > 1
        rows = []
        for row in self._given:
            made = [self._computed(column, value, several) for column, _, value, _ in row]
            rows.append(f"SELECT {', '.join(made)}")
        return " UNION ALL ".join(rows)

    def _computed(self, column: Any, value: Any, several: bool) -> str:
        element = getattr(value, "element", None)
        if _is_word_default(element):
            return self._default(column)
        # Or the types of the other rows would decide what becomes of this one.
        return _as_stored(self._compiler, column, value, always=several)

    def _defaulted(self) -> list[Any]:
        return [column for column in self._table.columns if column.identity is None]

    def _default(self, column: Any) -> str:
        return _default(self._compiler, column)

    def _names(self, columns: Iterable[Any]) -> str:
        return ", ".join(map(self._format, columns))

    def _format(self, item: Any) -> str:
        return _formatted(self._compiler, item)


def _is_word_default(element: Any) -> bool:
    """Whether a value is the word for its column's own default, written as text."""
    text = getattr(element, "text", None) or (
        element.name if getattr(element, "is_literal", False) else ""
    )
    return str(text).strip().upper() == _DEFAULT


def _as_stored(compiler: Any, column: Any, value: Any, *, always: bool = False) -> str:
    """A value as one of its column's type: a truth value is 1 or 0 in a number, as on SQLite."""
    kind = transport_of(column.type, compiler.dialect)
    affinity = getattr(getattr(value, "element", None), "type", column.type)._type_affinity
    is_truth = affinity is Boolean and column.type._type_affinity is not Boolean
    if kind is None or not (always or is_truth):
        return str(value)
    return f"CAST({value} AS {kind.sql})"


def _default(compiler: Any, column: Any) -> str:
    """What the warehouse stores where a column is left out."""
    dialect: Any = compiler.dialect
    return dialect.ddl_compiler(dialect, None).get_column_default_string(column) or "NULL"


def _formatted(compiler: Any, item: Any) -> str:
    preparer = compiler.preparer
    made = preparer.format_column(item) if isinstance(item, Column) else preparer.format_table(item)
    return str(made)


# --- UPDATE and DELETE ----------------------------------------------------------------------------


@dataclass(frozen=True)
class _Change:
    """The forms of one UPDATE or DELETE."""

    compiler: WriteCompiler
    kind: Kind
    table: Any
    target: str
    given: list[Any]
    sources: list[str]
    terms: list[Any]
    where: str
    prefixes: str

    def text(self) -> str:
        """The statement as it is."""
        sets = ", ".join(
            f"{name}={_as_stored(self.compiler, column, value)}"
            for column, name, value, _ in self.given
        )
        if self.sources:
            action = "DELETE" if self.kind is Kind.DELETE else f"UPDATE SET {sets}"
            source = ", ".join(self.sources)
            return (
                f"MERGE INTO {self.target} USING {source} ON {self.where or 'TRUE'} "
                f"WHEN MATCHED THEN {action}"
            )
        where = f" WHERE {self.where}" if self.where else ""
        if self.kind is Kind.DELETE:
            return f"DELETE {self.prefixes}FROM {self.target}{where}"
        return f"UPDATE {self.prefixes}{self.target} SET {sets}{where}"

    @property
    def has_conditions(self) -> bool:
        """Whether a value stands in its condition, and is not given when it is executed."""
        nodes = chain.from_iterable(map(visitors.iterate, self.terms))
        return any(isinstance(node, BindParameter) and node.unique for node in nodes)

    @property
    def is_versioned(self) -> bool:
        """Whether its condition asks for more than the primary key."""
        asked = {own_column(self.table, getattr(term, "left", None)) for term in self.terms}
        return not asked <= set(getattr(self.table, "primary_key", ()))

    def planned(self) -> _Plan | None:
        """The rows that it changes, told by their keys; ``None`` for any other condition."""
        if not isinstance(self.table, Table) or self.sources or not self.terms:
            return None
        made = _Fields(self.compiler, self.table, self.kind)
        values = [made.add(column, name, value) for column, name, value, _ in self.given]
        matches = [self._match(made, term) for term in self.terms]
        fields: list[Any] = [*values, *matches]
        names = [item and item.name for item in matches]
        if None in fields or len(set(names)) < len(names):
            return None
        told = {item.column.name for item in fields[len(values) :]}
        key = {column.name for column in self.table.primary_key}
        # Rows without a key, as those of a many-to-many relation may be, are told by their columns.
        if not (key <= told if key else self.kind is Kind.DELETE):
            return None
        return _Plan(
            self.kind,
            self.table,
            self.target,
            tuple(fields[: len(values)]),
            tuple(fields[len(values) :]),
            tuple(made.transports),
            (tuple(made.binds),),
        )

    def _match(self, made: _Fields, term: Any) -> Field | None:
        """The column of a condition ``column = parameter``."""
        if not isinstance(term, BinaryExpression) or term.operator is not operators.eq:
            return None
        column = own_column(self.table, term.left)
        if column is None or not isinstance(term.right, BindParameter):
            return None
        name = _formatted(self.compiler, column)
        found = made.add(column, name, Rendered.of("", term.right))
        return found if found is not None and found.is_plain else None

    def guarded(self, checks: Checks) -> str:
        """The statement with guards: a MERGE with the rows that it changes, and what they become.

        Raises:
            NotSupportedError: Nothing tells its rows apart.
        """
        if not isinstance(self.table, Table):
            return self.text()
        shape, columns = self._shape()
        writer = SetWriter(shape, checks, self.compiler.dialect, self._format)
        wanted = writer.guards()
        if not wanted:
            return self.text()
        if not shape.matches:
            raise NotSupportedError(NO_ROW_KEY.format(self.kind.value, self.table.fullname))
        froms = ", ".join([self.target, *self.sources])
        where = f" WHERE {self.where}" if self.where else ""
        source = f"SELECT {', '.join(columns)} FROM {froms}{where}"
        return writer.merge(source, wanted)

    def _shape(self) -> tuple[Shape, list[str]]:
        """What becomes of each row, and the columns of the SELECT that tells it."""
        columns: list[str] = []

        def field(column: Any, name: str, text: str) -> Field:
            called = f"vinci_{len(columns)}"
            columns.append(f"{text} AS {called}")
            return Field(column, name, f"{ROWS}.{called}", f"{OWN}.{called}")

        values = tuple(
            field(column, name, self._value(column, value)) for column, name, value, _ in self.given
        )
        matches = tuple(
            field(column, self._format(column), f"{self.target}.{self._format(column)}")
            for column in row_key(self.table)
        )
        return Shape(self.kind, self.table, self.target, values, matches), columns

    def _value(self, column: Any, value: Any) -> str:
        if _is_word_default(getattr(value, "element", None)):
            return _default(self.compiler, column)
        return _as_stored(self.compiler, column, value)

    def _format(self, item: Any) -> str:
        return _formatted(self.compiler, item)


def row_key(table: Table) -> tuple[Column[Any], ...]:
    """The columns that tell the rows of a table apart; none where nothing is declared to."""
    for unique in guards.uniques(table):
        if unique.name == guards.PRIMARY_KEY or not any(c.nullable for c in unique.columns):
            return unique.columns
    return ()
