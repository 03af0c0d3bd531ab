"""Constraints that the warehouse does not enforce, checked by the statement that writes.

PRIMARY KEY, UNIQUE and FOREIGN KEY are informational on Databricks. A guard is a SELECT that calls
``raise_error()`` for a row that must not be, and counts none where all is well; what is written is
joined with the guards, and comes only where they counted none. So the check and the write are one
step: Delta runs both on one snapshot of the table, and checks what was read when it commits. (As a
scalar sub-select a guard could not read the table that a MERGE writes to: open-source Delta says
"Table does not support reads".)

What that can promise while others write at the same time depends on the isolation level of the
table (``delta.isolationLevel``, https://docs.databricks.com/aws/en/optimizations/isolation-level):

* A statement with a guard reads the table, so it is no blind append. Two of them that add rows
  which the other has looked for are in conflict: the later one fails with ``ConflictError`` or runs
  again and finds the row. That holds for ``WriteSerializable``, the default, and ``Serializable``.
* An INSERT without a guard, of another program or with ``enforce_keys=False``, is a blind append,
  which under ``WriteSerializable`` is not checked against the reads of others: it may bring in a
  key that a guarded statement is adding at the same moment. With
  ``TBLPROPERTIES ('delta.isolationLevel' = 'Serializable')`` it is checked.
* Within a transaction each table is read at the version of its first access, and conflicts surface
  at COMMIT.

Raw text has no guards; every statement that SQLAlchemy has compiled has those that it needs.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from operator import itemgetter
from typing import Any, NamedTuple

from sqlalchemy.exc import NoReferenceError
from sqlalchemy.schema import CheckConstraint, Column, ForeignKeyConstraint, Table
from sqlalchemy.sql.expression import FromClause
from sqlalchemy.types import LargeBinary

from vinci_code.database.dialect.dberrors import (
    ConflictError,
    Error,
    IntegrityError,
    NotSupportedError,
)
from vinci_code.database.dialect.sql.refusals import UNCHECKED_UNIQUE
from vinci_code.database.dialect.sql.uniques import (
    KEY,
    Render,
    Unique,
    changed,
    row_key,
    unchecked,
    uniques,
)
from vinci_code.database.dialect.text.literals import quote_text
from vinci_code.database.dialect.writes.compared import conditions
from vinci_code.database.dialect.writes.shapes import OWN, ROWS, Field, Row, Shape, WriteKind

Bound = Callable[[Field], str]
"""Returns a condition on a column that all values of a field fulfil, or an empty text."""

Format = Callable[[Any], str]
"""Returns the name of a table or of a column as SQL."""

IsExact = Callable[[Field], bool]
"""Returns whether values of a field are equal in Python just where they are in their column."""

Default = Callable[[Column[Any]], "str | None"]
"""Returns the SQL of the default that the warehouse has for a column."""


class Names(NamedTuple):
    """What guards need to know of a statement beside its shape.

    Attributes:
        bound: A condition on a column that all of its values fulfil.
        format: Names as SQL.
        is_exact: Whether Python can tell values apart as the column does.
        default: The default of a column.
        render: An expression as SQL, with the names of columns alone.
        hide_keys: Whether messages leave out the values of keys.
    """

    bound: Bound
    format: Format
    is_exact: IsExact
    default: Default
    render: Render
    hide_keys: bool = False


_ButOwn = Callable[[str], str]
"""Returns the join that leaves out a statement's own rows of a table that goes by some name."""

_NEW, _THERE = "vinci_new", "vinci_there"
_UNIQUE, _FOREIGN, _STALE, _CONFLICT = "unique", "foreign", "stale", "conflict"
_NOT_NULL, _CHECK = "notnull", "check"
_SQLSTATES = {_FOREIGN: "23503", _NOT_NULL: "23502", _CHECK: "23001"}
_ADVICE = {
    "23502": "give the column a value in each write, also of a row that is changed again later",
    "23001": "write what fulfils the constraint in each write, also of a row that is changed later",
}
_ONE_ROW = " is that of several rows of the upsert, which are one row as they are stored"
_BYTES = LargeBinary()._type_affinity
_GUARD = "vinci_guard"
"""What the guards of a statement are called in it."""
RESERVED = frozenset({ROWS, _GUARD, OWN, _NEW, _THERE, "vinci_parent", "vinci_child"})
"""What no table may be called that rows are written to as a set: statements use these names."""

# Behind the condition: another message may quote the statement, where a quote stands before it.
_RAISED = re.compile(
    r"USER_RAISED_EXCEPTION\] vinci:(unique|foreign|notnull|check|stale|conflict):(.*?)"
    r"(?: SQLSTATE: \w{5}.*)?\Z",
    re.DOTALL,
)


def foreign_keys(table: FromClause) -> list[ForeignKeyConstraint]:
    """The foreign keys of a table whose other table is known."""
    if not isinstance(table, Table):
        return []
    return [
        constraint
        for constraint in sorted(table.foreign_key_constraints, key=lambda item: str(item.name))
        if all(_referred(element) is not None for element in constraint.elements)
    ]


def referring(table: FromClause) -> list[ForeignKeyConstraint]:
    """The foreign keys that point to a table, of all tables that its MetaData knows."""
    if not isinstance(table, Table):
        return []
    return [
        constraint
        for other in table.metadata.sorted_tables
        for constraint in foreign_keys(other)
        if constraint.referred_table is table
    ]


def checked_columns(table: Any, keys: bool, foreign: bool) -> set[Column[Any]]:
    """The columns of a table that no statement may write without a look at other rows.

    ``keys`` stands for PRIMARY KEY and UNIQUE being checked, ``foreign`` for FOREIGN KEY.
    """
    found: set[Column[Any]] = set()
    if keys:
        for unique in uniques(table):
            found |= set(unique.concerned)
    if foreign:
        for constraint in foreign_keys(table):
            found |= {element.parent for element in constraint.elements}
        for constraint in referring(table):
            found |= {element.column for element in constraint.elements}
    return found


# --- what is checked here -----------------------------------------------------------------------


def refuse_unchecked(table: FromClause) -> None:
    """Refuse to write to a table whose keys could not all be checked.

    Raises:
        NotSupportedError: There is one that cannot.
    """
    for found in unchecked(table):
        raise NotSupportedError(UNCHECKED_UNIQUE.format(found.name, table, found.why))


def refuse_duplicates(shape: Shape, rows: Sequence[Row], *, hide_keys: bool = False) -> None:
    """Refuse rows of one statement that write the same key twice.

    Raises:
        IntegrityError: There are two; its message names the constraint, and the key unless that is
            to be hidden.
    """
    if len(rows) < 2:
        return
    written = {field.column: field.first for field in shape.values if field.is_plain}
    places = {field.column: field.first for field in shape.matches} | written
    for unique in uniques(shape.table):
        if not unique.is_plain or not any(column in written for column in unique.columns):
            continue
        if not all(column in places for column in unique.columns):
            continue
        positions = [places[column] for column in unique.columns]
        if len(set(map(itemgetter(*positions), rows))) == len(rows):
            continue
        seen: set[Any] = set()
        for row in rows:
            key = tuple([row[position] for position in positions])
            if None in key:
                continue
            if key in seen:
                told = "the key" if hide_keys else f"the key {_key_text(key)}"
                raise _violation(f"{unique.violation}: {told} is written twice")
            seen.add(key)


def refuse_early_children(shape: Shape, rows: Sequence[Row], *, hide_keys: bool = False) -> None:
    """Refuse rows that refer to rows of the same table which are written after them.

    Raises:
        IntegrityError: There is one; SQLite would not have found the other row either.
    """
    if len(rows) < 2 or len(shape.places) > 1:
        return  # of one statement, whose rows are looked at when all are there
    places = {field.column: field.first for field in shape.values if field.is_plain}
    for constraint in foreign_keys(shape.table):
        pairs = [(element.parent, element.column) for element in constraint.elements]
        known = all(column in places for pair in pairs for column in pair)
        if constraint.referred_table is not shape.table or _now(constraint) or not known:
            continue
        child, parent = ([places[column] for column in side] for side in zip(*pairs, strict=True))
        written = {tuple([row[place] for place in parent]) for row in rows}
        before: set[tuple[Any, ...]] = set()
        for row in rows:
            before.add(tuple([row[place] for place in parent]))
            key = tuple([row[place] for place in child])
            if None in key:
                continue  # refers to nothing
            if key in written and key not in before:
                told = "the key" if hide_keys else f"the key {_key_text(key)}"
                raise _violation(
                    f"FOREIGN KEY constraint failed: {_columns(constraint)}: {told} is written "
                    "after the row that refers to it",
                    "23503",
                )


def in_order(shape: Shape, rows: Sequence[Row]) -> Iterator[Sequence[Row]]:
    """The rows of an upsert in parts, so that none refers to one that comes later in its part.

    Where each row is taken by itself, as SQLite does, a row may only refer to what is there.
    """
    places = {field.column: field.first for field in shape.values if field.is_plain}
    selves = [
        [(places[element.parent], places[element.column]) for element in constraint.elements]
        for constraint in foreign_keys(shape.table)
        if constraint.referred_table is shape.table
        and all(e.parent in places and e.column in places for e in constraint.elements)
    ]
    begin = 0
    referred: list[set[tuple[Any, ...]]] = [set() for _ in selves]
    for number, row in enumerate(rows):
        own = [tuple([row[place] for _, place in pairs]) for pairs in selves]
        if any(key in seen for key, seen in zip(own, referred, strict=True)):
            yield rows[begin:number]
            begin, referred = number, [set() for _ in selves]
        for pairs, seen, key in zip(selves, referred, own, strict=True):
            wanted = tuple([row[place] for place, _ in pairs])
            if wanted != key and None not in wanted:
                seen.add(wanted)
    yield rows[begin:]


def _violation(message: str, sqlstate: str = "23505") -> IntegrityError:
    """The error for a constraint that is violated."""
    advice = _ADVICE.get(sqlstate, "write another key, or read the row that is there and change it")
    return IntegrityError(
        f"{message}\nTo fix it: {advice}; nothing was written.", sqlstate=sqlstate
    )


def _key_text(key: Sequence[Any]) -> str:
    return f"({', '.join(repr(value) for value in key)})"


# --- what the statement writes -------------------------------------------------------------------


def _may_write(shape: Shape, columns: Iterable[Column[Any]], names: Names) -> bool:
    """Whether a statement may give rows another key of these columns.

    It writes the columns that it names, and what is computed of them. A row of an INSERT has the
    defaults of columns as well, and is NULL in all others, which equals nothing.
    """
    written = {field.column for field in shape.values}
    if shape.kind is not WriteKind.INSERT:
        return not changed(shape.table, written).isdisjoint(columns)
    return all(c in written or c.computed or names.default(c) is not None for c in columns)


# --- what the statement checks ------------------------------------------------------------------


def insert_guards(shape: Shape, names: Names) -> Iterator[str]:
    """The guards of an INSERT: no key may be in the table already."""
    given = {field.column: field for field in shape.values}
    for unique in uniques(shape.table):
        fields = [given[column] for column in unique.columns if column in given]
        if not unique.is_plain:
            yield from _as_computed(shape, unique, names, _nothing)
        elif len(fields) == len(unique.columns) and all(map(names.is_exact, fields)):
            yield _exists(shape, unique, fields, names, "")
        elif _may_write(shape, unique.columns, names):
            yield from _as_computed(shape, unique, names, _nothing)


def replace_guards(
    shape: Shape, names: Names, *, keys: bool, foreign_keys_too: bool
) -> Iterator[str]:
    """The guards of rows that take the place of all that are in a table.

    Args:
        shape: What is inserted.
        names: What they need to know.
        keys: Whether no key may be written twice; none is in the table any more.
        foreign_keys_too: Whether what the rows refer to has to be there, and what others refer to
            by the rows.
    """
    if keys:
        for unique in uniques(shape.table):
            rows = _new_rows(shape, unique.concerned, names)
            yield _twice(unique, names, rows, " is written twice")
    if not foreign_keys_too:
        return
    for constraint in foreign_keys(shape.table):
        pairs = [(element.parent, element.column) for element in constraint.elements]
        new = _new_rows(shape, [parent for parent, _ in pairs], names)
        own = None
        if constraint.referred_table is shape.table:
            own = _new_rows(shape, [column for _, column in pairs], names)
        yield _parent_of_computed(constraint, names, new, own, stored=own is None)
    for constraint in referring(shape.table):
        if constraint.table is not shape.table:
            yield _kept_parent(shape, constraint, names)


def _kept_parent(shape: Shape, constraint: ForeignKeyConstraint, names: Names) -> str:
    """The guard of rows that take the place of those which others refer to."""
    pairs = [(element.parent, element.column) for element in constraint.elements]
    rows = _new_rows(shape, [column for _, column in pairs], names)
    children = [f"vinci_child.{names.format(parent)}" for parent, _ in pairs]
    same = " AND ".join(
        f"{_NEW}.{names.format(column)} = {child}"
        for (_, column), child in zip(pairs, children, strict=True)
    )
    known = " AND ".join(f"{child} IS NOT NULL" for child in children)
    text = f"FOREIGN KEY constraint failed: {_columns(constraint)} refers to the key"
    kinds = [column.type for _, column in pairs]
    why = f", which is not among those that take its place{_now(constraint)}"
    message = _message(text, kinds, children, why, names.hide_keys)
    child = names.format(constraint.table)
    join = f"FROM {child} AS vinci_child LEFT ANTI JOIN ({rows}) AS {_NEW} ON {same}"
    return _guard(_FOREIGN, message, f"{join} WHERE {known}")


def update_guards(shape: Shape, names: Names, *, matched: bool) -> Iterator[str]:
    """The guards of an UPDATE: no other row may have a key that is written.

    Rows that the same statement changes do not count: each gets a new value for the same columns.
    If ``matched``, every row is there; what is written to one that is not collides with none.
    """
    given = {field.column: field for field in shape.values}
    others = {field.column: field for field in shape.matches}
    for unique in uniques(shape.table):
        if not _may_write(shape, unique.concerned, names):
            continue
        but_own = _but_own(shape.matches)
        fields = [given.get(column) or others.get(column) for column in unique.columns]
        known = [field for field in fields if field is not None]
        exact = len(known) == len(fields) and all(map(names.is_exact, known))
        if matched and exact and unique.is_plain:
            yield _exists(shape, unique, known, names, but_own(shape.target))
        else:
            yield from _as_computed(shape, unique, names, but_own)


def twice_guards(table: Table, names: Names, rows: str) -> Iterator[str]:
    """The guards for rows of a SELECT, all of a table: no key may come twice."""
    for unique in uniques(table):
        yield _twice(unique, names, rows, " is there twice")


def kept_guards(table: Table, names: Names, conditions: Iterable[str], rows: str) -> Iterator[str]:
    """The guards for rows of a table that nothing stores: what the warehouse would refuse.

    Args:
        table: The table.
        names: What they need to know.
        conditions: Those of its CHECK constraints, which are fulfilled where they are NULL.
        rows: What gives the rows.
    """
    for column in table.columns:
        if not column.nullable and column.computed is None:
            message = quote_text(f"NOT NULL constraint failed: {table}.{column.name}")
            yield _guard(_NOT_NULL, message, f"FROM {rows} WHERE {names.format(column)} IS NULL")
    for condition in conditions:
        message = quote_text(f"CHECK constraint failed: {table}: {condition}")
        yield _guard(_CHECK, message, f"FROM {rows} WHERE ({condition}) IS FALSE")


def may_break_kept(shape: Shape, rows: Sequence[Row]) -> bool:
    """Whether rows may break NOT NULL or CHECK, as far as it is known without the warehouse."""
    table, given = shape.table, {field.column: field for field in shape.values}
    if shape.kind is WriteKind.DELETE:
        return False
    constraints = [*table.constraints, *(each for c in table.columns for each in c.constraints)]
    if any(isinstance(item, CheckConstraint) for item in constraints):
        return True
    if not all(field.is_plain for field in shape.values):
        return True
    for column in table.columns:
        field = given.get(column)
        if column.nullable or (field is None and shape.kind is WriteKind.UPDATE):
            continue
        if field is None or any(row[field.first] is None for row in rows):
            return True
    return False


def _as_computed(shape: Shape, unique: Unique, names: Names, but_own: _ButOwn) -> Iterator[str]:
    """The guards for keys that are known only when the statement is executed."""
    yield from _of_rows(shape, unique, names, _new_rows(shape, unique.concerned, names), but_own)


def _of_rows(
    shape: Shape, unique: Unique, names: Names, rows: str, but_own: _ButOwn
) -> Iterator[str]:
    """The guards for keys that a SELECT gives."""
    yield _twice(unique, names, rows, " is written twice")
    new, columns = _keys_of(unique, names, rows)
    there = target = shape.target
    if not unique.is_plain:
        there = _THERE
        target = f"({unique.select(shape.target, names.render, '*, ')}) AS {_THERE}"
    keys = [f"{_NEW}.{column}" for column in columns]
    equals = "<=>" if unique.nulls_equal else "="
    same = [f"{there}.{column} {equals} {key}" for column, key in zip(columns, keys, strict=True)]
    source = f"FROM {target} JOIN {new} ON {' AND '.join(same)}{but_own(there)}"
    yield _guard(_UNIQUE, _unique_message(unique, names, keys, " is in the table already"), source)


def _twice(unique: Unique, names: Names, rows: str, why: str) -> str:
    """The guard for rows of a SELECT, of which no two may have one key."""
    new, columns = _keys_of(unique, names, rows)
    keys = [f"{_NEW}.{column}" for column in columns]
    known = " AND ".join(f"{key} IS NOT NULL" for key in keys)
    where = "" if unique.nulls_equal else f"WHERE {known} "
    twice = (
        f"(SELECT {', '.join(keys)} FROM {new} {where}GROUP BY {', '.join(keys)} "
        f"HAVING count(*) > 1) AS {_NEW}"
    )
    return _guard(_UNIQUE, _unique_message(unique, names, keys, why), f"FROM {twice}")


def _keys_of(unique: Unique, names: Names, rows: str) -> tuple[str, list[str]]:
    """What is unique of the rows of a SELECT, as a source, and what its columns are called."""
    if unique.is_plain:
        return f"({rows}) AS {_NEW}", [names.format(column) for column in unique.columns]
    columns = [f"{KEY}{number}" for number, _ in enumerate(unique.keys)]
    return f"({unique.select(f'({rows})', names.render)}) AS {_NEW}", columns


def _unique_message(unique: Unique, names: Names, keys: Sequence[str], after: str) -> str:
    text = f"{unique.violation}: the key"
    return _message(text, [key.type for key in unique.keys], keys, after, names.hide_keys)


def _new_rows(shape: Shape, columns: Sequence[Column[Any]], names: Names, beside: str = "") -> str:
    """The SELECT of columns as they will be, and of what else is wanted, with a comma before it."""
    source = ROWS
    if shape.kind is WriteKind.UPDATE:
        on = [f"{shape.target}.{f.name} = {f.made}" for f in shape.matches]
        source = f"{shape.target} JOIN {ROWS} ON {' AND '.join(on)}"
    return _rows_of(shape, columns, names, source, beside)


def _rows_of(
    shape: Shape, columns: Sequence[Column[Any]], names: Names, source: str, beside: str = ""
) -> str:
    """The same of other rows; what is computed of columns is computed of what these will be."""
    computed = [(column, column.computed) for column in columns if column.computed is not None]
    # What is computed may use any column.
    wanted = list(shape.table.columns) if computed else columns
    made = ", ".join(
        f"{_new_value(shape, column, names)} AS {names.format(column)}"
        for column in wanted
        if column.computed is None
    )
    rows = f"SELECT {made}{beside} FROM {source}"
    if not computed:
        return rows
    texts = [f"({names.render(how.sqltext)}) AS {names.format(column)}" for column, how in computed]
    return f"SELECT *, {', '.join(texts)} FROM ({rows})"


def _new_value(shape: Shape, column: Column[Any], names: Names) -> str:
    for field in (*shape.values, *shape.matches):
        if field.column is column:
            return field.made
    if shape.kind is WriteKind.UPDATE:
        return f"{shape.target}.{names.format(column)}"
    return names.default(column) or "NULL"


def upsert_guards(shape: Shape, change: Shape, names: Names) -> Iterator[str]:
    """The guards of an upsert: no row with another key may have what is unique.

    ``shape`` is what is inserted, ``change`` what becomes of rows that are there already.
    """
    keys = {field.column for field in change.matches}
    exact = all(map(names.is_exact, change.matches))
    for unique in uniques(shape.table):
        if unique.is_plain and set(unique.columns) == keys:
            if not exact:
                # As of ``lower(?)``: which rows are one is known to the warehouse alone.
                rows = _upserted_rows(shape, change, unique.columns, names, changes=False)
                if change.values:
                    rows = _new_rows(shape, unique.columns, names)
                yield _twice(unique, names, rows, _ONE_ROW)
            continue
        changes = _may_write(change, unique.concerned, names)
        if not (changes or not unique.is_plain or _may_write(shape, unique.columns, names)):
            continue
        # Rows that are there already, and change, do not count as they are.
        rows = _upserted_rows(shape, change, unique.concerned, names, changes=changes)
        but_own = _but_own(change.matches) if changes else _nothing
        yield from _of_rows(shape, unique, names, rows, but_own)


def _upserted_rows(
    shape: Shape, change: Shape, columns: Sequence[Column[Any]], names: Names, *, changes: bool
) -> str:
    """The SELECT of columns as they will be, of rows that are new, and of those that change."""
    on = " AND ".join(f"{shape.target}.{field.name} = {field.made}" for field in change.matches)
    new = f"{ROWS} LEFT ANTI JOIN {shape.target} ON {on}"
    rows = _rows_of(shape, columns, names, new)
    return f"{rows} UNION ALL {_new_rows(change, columns, names)}" if changes else rows


def _exists(
    shape: Shape,
    unique: Unique,
    fields: Sequence[Field],
    names: Names,
    but_not: str,
) -> str:
    same = [f"{shape.target}.{field.name} = {field.made}" for field in fields]
    same += filter(None, map(names.bound, fields))
    keys = [field.made for field in fields]
    return _guard(
        _UNIQUE,
        _unique_message(unique, names, keys, " is in the table already"),
        f"FROM {shape.target} JOIN {ROWS} ON {' AND '.join(same)}{but_not}",
    )


def match_guard(shape: Shape, names: Names) -> str:
    """The guard of an UPDATE or DELETE each of whose rows has to be there."""
    same = [f"{shape.target}.{field.name} = {field.made}" for field in shape.matches]
    same += filter(None, map(names.bound, shape.matches))
    same += conditions(shape)
    version = bool(shape.loaded) or any(not field.column.primary_key for field in shape.matches)
    why = "changed or deleted by somebody else" if version else "not there, or no longer"
    text = f"{shape.kind.value} statement on table '{shape.table.fullname}': the row"
    return _guard(
        _STALE,
        _message_of(text, shape.matches, f" is {why}", names.hide_keys),
        f"FROM {ROWS} LEFT ANTI JOIN {shape.target} ON {' AND '.join(same)}",
    )


def once_guard(shape: Shape, names: Names) -> Iterator[str]:
    """The guard of the same where nothing makes the rows unique: each has to be there once.

    Of a many-to-many relation whose table has no key, a link may be there twice.
    """
    matched = {field.column for field in shape.matches}
    if any(unique.is_plain and matched >= set(unique.columns) for unique in uniques(shape.table)):
        return
    same = [f"{shape.target}.{field.name} = {field.made}" for field in shape.matches]
    same += filter(None, map(names.bound, shape.matches))
    keys = ", ".join(field.made for field in shape.matches)
    given = f"SELECT {keys}, count(*) AS vinci_n FROM {ROWS} GROUP BY {keys}"
    other = (
        f"SELECT {keys} FROM ({given}) AS {ROWS} JOIN {shape.target} ON {' AND '.join(same)} "
        f"GROUP BY {keys}, {ROWS}.vinci_n HAVING count(*) <> {ROWS}.vinci_n"
    )
    text = f"{shape.kind.value} statement on table '{shape.table.fullname}': the row"
    message = _message_of(text, shape.matches, " is there several times", names.hide_keys)
    yield _guard(_STALE, message, f"FROM ({other}) AS {ROWS}")


def any_guard(shape: Shape) -> str:
    """The guard of a change of one row by a condition: the row has to be there, and alone."""
    text = (
        f"{shape.kind.value} statement on table '{shape.table.fullname}': the row is not there, "
        "is there several times, or was changed or deleted by somebody else"
    )
    source = f"FROM {ROWS}"
    if not {field.column for field in shape.matches}.issuperset(row_key(shape.table) or [None]):
        # Nothing that is declared tells rows apart: of several the MERGE would change each.
        same = " AND ".join(f"{shape.target}.{f.name} = {f.made}" for f in shape.matches)
        source = f"FROM {shape.target} JOIN {ROWS} ON {same}"
    counted = f"SELECT count(*) AS n {source}"
    return _guard(_STALE, quote_text(text), f"FROM ({counted}) WHERE n <> 1")


def foreign_guards(shape: Shape, names: Names, *, matched: bool = False) -> Iterator[str]:
    """The guards of rows that refer to others: these have to be there.

    If ``matched``, every row of an UPDATE is there; one that is not refers to nothing.
    """
    given = {field.column: field for field in shape.values}
    found = shape.kind is WriteKind.INSERT or matched
    for constraint in foreign_keys(shape.table):
        pairs = [(element.parent, element.column) for element in constraint.elements]
        if not _may_write(shape, [parent for parent, _ in pairs], names):
            continue
        own_keys: list[Column[Any]] = []
        if constraint.referred_table is shape.table:
            referred = [column for _, column in pairs]
            own_keys = referred if _may_write(shape, referred, names) else []
        plain = [*(parent for parent, _ in pairs), *own_keys]
        if found and all(column in given and given[column].is_plain for column in plain):
            yield _parent_of_plain(shape, constraint, names, given)
            continue
        new = _new_rows(shape, [parent for parent, _ in pairs], names)
        own = _new_rows(shape, own_keys, names) if own_keys else None
        yield _parent_of_computed(constraint, names, new, own)


def upsert_foreign_guards(shape: Shape, change: Shape, names: Names) -> Iterator[str]:
    """The guards of an upsert: what is inserted, or changed, may refer to what is there alone.

    ``shape`` is what is inserted, ``change`` what becomes of rows that are there already.
    """
    for constraint in foreign_keys(shape.table):
        parents = [element.parent for element in constraint.elements]
        changes = _may_write(change, parents, names)
        if not (changes or _may_write(shape, parents, names)):
            continue
        new = _upserted_rows(shape, change, parents, names, changes=changes)
        rows = None
        if constraint.referred_table is shape.table:
            columns = [element.column for element in constraint.elements]
            rows = _upserted_rows(shape, change, columns, names, changes=True)
        yield _parent_of_computed(constraint, names, new, rows)


def _parent_of_plain(
    shape: Shape,
    constraint: ForeignKeyConstraint,
    names: Names,
    given: Mapping[Column[Any], Field],
) -> str:
    """The guard of rows whose reference is among their values."""
    name = names.format
    pairs = [(element.parent, element.column) for element in constraint.elements]
    fields = [given[parent] for parent, _ in pairs]
    referred = name(constraint.referred_table)
    same = [f"vinci_parent.{name(column)} = {given[parent].made}" for parent, column in pairs]
    join = f"FROM {ROWS} LEFT ANTI JOIN {referred} AS vinci_parent ON {' AND '.join(same)}"
    own = [given[column] for _, column in pairs if column in given and given[column].is_plain]
    if constraint.referred_table is shape.table and len(own) == len(pairs):
        join += _but_not(
            [f"{given[column].own} = {given[parent].made}" for parent, column in pairs]
        )
    known = " AND ".join(f"{field.made} IS NOT NULL" for field in fields)
    text = f"FOREIGN KEY constraint failed: {_columns(constraint)}: the key"
    message = _message_of(text, fields, _missing(constraint), names.hide_keys)
    return _guard(_FOREIGN, message, f"{join} WHERE {known}")


def _parent_of_computed(
    constraint: ForeignKeyConstraint,
    names: Names,
    rows: str,
    own: str | None,
    *,
    stored: bool = True,
) -> str:
    """The guard of rows whose reference is known only when the statement is executed.

    ``rows`` is the SELECT of what they refer to, ``own`` that of the keys that they have
    themselves, where these are referred to; ``stored`` says whether what is stored counts.
    """
    pairs = [(element.parent, element.column) for element in constraint.elements]
    keys = [f"{_NEW}.{names.format(parent)}" for parent, _ in pairs]
    referred = names.format(constraint.referred_table)
    join = f"FROM ({rows}) AS {_NEW}"
    parents = [(f"{referred} AS vinci_parent", "vinci_parent")] if stored else []
    parents += [(f"({own}) AS {_THERE}", _THERE)] if own is not None else []
    for source, called in parents:
        same = [
            f"{called}.{names.format(column)} = {key}"
            for (_, column), key in zip(pairs, keys, strict=True)
        ]
        join += f" LEFT ANTI JOIN {source} ON {' AND '.join(same)}"
    known = " AND ".join(f"{key} IS NOT NULL" for key in keys)
    text = f"FOREIGN KEY constraint failed: {_columns(constraint)}: the key"
    kinds = [parent.type for parent, _ in pairs]
    message = _message(text, kinds, keys, _missing(constraint), names.hide_keys)
    return _guard(_FOREIGN, message, f"{join} WHERE {known}")


def changed_key_guards(shape: Shape, names: Names, inserted: Shape | None = None) -> Iterator[str]:
    """The guards of an UPDATE: no row may refer to a key that is changed, and that none gets.

    ``inserted`` is what an upsert inserts beside it.
    """
    for constraint in referring(shape.table):
        pairs = [(element.parent, element.column) for element in constraint.elements]
        columns = [column for _, column in pairs]
        if not _may_write(shape, columns, names):
            continue
        before = [f"vinci_before_{n}" for n, _ in enumerate(pairs)]
        after = [names.format(column) for column in columns]
        numbered = list(zip(before, after, strict=True))
        stood = "".join(f", {shape.target}.{new} AS {old}" for old, new in numbered)
        rows = f"({_new_rows(shape, columns, names, stood)})"
        same = " AND ".join(
            f"vinci_child.{names.format(parent)} = {_NEW}.{old}"
            for (parent, _), old in zip(pairs, before, strict=True)
        )
        kept = " AND ".join(f"{_NEW}.{old} <=> {_NEW}.{new}" for old, new in numbered)
        # As of ``id = id - 1``, the key of one row may become that of another.
        taken = " AND ".join(f"{_THERE}.{new} = {_NEW}.{old}" for old, new in numbered)
        text = f"FOREIGN KEY constraint failed: {_columns(constraint)} refers to the key"
        kinds = [column.type for column in columns]
        keys = [f"{_NEW}.{old}" for old in before]
        why = f", which is to be changed{_now(constraint)}"
        message = _message(text, kinds, keys, why, names.hide_keys)
        child = _references_after(shape, constraint, names, inserted)
        yield _guard(
            _FOREIGN,
            message,
            f"FROM {rows} AS {_NEW} JOIN {child} AS vinci_child ON {same} "
            f"LEFT ANTI JOIN {rows} AS {_THERE} ON {taken} WHERE NOT ({kept})",
        )


def _references_after(
    shape: Shape, constraint: ForeignKeyConstraint, names: Names, inserted: Shape | None
) -> str:
    """What refers to others by a constraint when all is done, as a table or a SELECT."""
    table = names.format(constraint.table)
    parents = [element.parent for element in constraint.elements]
    if constraint.table is not shape.table:
        return table
    if inserted is None and not _may_write(shape, parents, names):
        return table
    # Rows that are changed refer to what is written, and no more to what they did.
    columns = ", ".join(f"vinci_child.{names.format(parent)}" for parent in parents)
    others = f"SELECT {columns} FROM {table} AS vinci_child"
    if inserted is None:
        written = _new_rows(shape, parents, names)
    else:
        written = _upserted_rows(inserted, shape, parents, names, changes=True)
    return f"({others}{_but_own(shape.matches)('vinci_child')} UNION ALL {written})"


def referring_guards(shape: Shape, names: Names) -> Iterator[str]:
    """The guards of a DELETE: no row may refer to one that goes."""
    given = {field.column: field for field in shape.matches}
    on = " AND ".join(f"{shape.target}.{f.name} = {f.made}" for f in shape.matches)
    for constraint in referring(shape.table):
        pairs = [(element.parent, element.column) for element in constraint.elements]
        source, keys = ROWS, [given[column].made for _, column in pairs if column in given]
        if {column for _, column in pairs} != set(given):
            # They refer to something else than what tells which rows go.
            columns = ", ".join(
                f"{shape.target}.{names.format(column)} AS before_{n}"
                for n, (_, column) in enumerate(pairs)
            )
            source = f"(SELECT {columns} FROM {shape.target} JOIN {ROWS} ON {on}) AS {_NEW}"
            keys = [f"{_NEW}.before_{n}" for n, _ in enumerate(pairs)]
        same = [
            f"vinci_child.{names.format(parent)} = {key}"
            for (parent, _), key in zip(pairs, keys, strict=True)
        ]
        where = ""
        if constraint.table is shape.table:
            where = _but_own(shape.matches)("vinci_child")
        text = f"FOREIGN KEY constraint failed: {_columns(constraint)} refers to the key"
        kinds = [column.type for _, column in pairs]
        why = f", which is to be deleted{_now(constraint)}"
        message = _message(text, kinds, keys, why, names.hide_keys)
        child = f"{names.format(constraint.table)} AS vinci_child"
        join = f"FROM {child} JOIN {source} ON {' AND '.join(same)}{where}"
        yield _guard(_FOREIGN, message, join)


def _columns(constraint: ForeignKeyConstraint) -> str:
    return ", ".join(
        f"{constraint.table.fullname}.{element.parent.name}" for element in constraint.elements
    )


def _missing(constraint: ForeignKeyConstraint) -> str:
    return f" is not in {constraint.referred_table}{_now(constraint)}"


def _now(constraint: ForeignKeyConstraint) -> str:
    """What the message adds of a reference that waits for the end of a unit elsewhere."""
    if str(constraint.initially).upper() != "DEFERRED":
        return ""
    return (
        "; the foreign key is DEFERRED, but each statement is checked by itself here: write what "
        "is referred to first, and delete it last"
    )


def conflict_guard(
    before: str,
    columns: Sequence[Column[Any]],
    values: Sequence[str],
    after: str,
    source: str,
    *,
    hide_keys: bool,
) -> str:
    """The guard that raises ``ConflictError`` for each row of a source.

    Args:
        before: What its message says before the key of the row.
        columns: The columns of the key.
        values: The values of these, as SQL.
        after: What it says behind the key.
        source: The rows, from FROM on.
        hide_keys: Whether it leaves out the key.
    """
    kinds = [column.type for column in columns]
    return _guard(_CONFLICT, _message(before, kinds, values, after, hide_keys), source)


def unless_raised(checks: Sequence[str], rows: str = ROWS) -> str:
    """The FROM and WHERE that give the rows, by default of the payload, where no guard raises."""
    if not checks:
        return f"FROM {rows}"
    counted = checks[0]
    if len(checks) > 1:
        counted = f"SELECT sum(raised) AS raised FROM ({' UNION ALL '.join(checks)})"
    return f"FROM {rows} CROSS JOIN ({counted}) AS {_GUARD} WHERE {_GUARD}.raised = 0"


def _guard(kind: str, message: str, source: str) -> str:
    return f"SELECT count(raise_error(concat('vinci:{kind}:', {message}))) AS raised {source}"


def _but_not(own: Sequence[str]) -> str:
    """The join that leaves out what the rows of the statement themselves stand for."""
    return f" LEFT ANTI JOIN {ROWS} AS {OWN} ON {' AND '.join(own)}"


def _but_own(fields: Sequence[Field]) -> _ButOwn:
    """The same, of what stands in the table and goes by some name there."""
    return lambda there: _but_not([f"{field.own} = {there}.{field.name}" for field in fields])


def _nothing(_: str) -> str:
    return ""


def _message_of(before: str, fields: Sequence[Field], after: str, hide_keys: bool) -> str:
    kinds = [field.column.type for field in fields]
    return _message(before, kinds, [field.made for field in fields], after, hide_keys)


def _message(
    before: str, kinds: Sequence[Any], values: Sequence[str], after: str, hide_keys: bool
) -> str:
    """The arguments of ``concat`` for a message that tells a key, unless that is to be hidden."""
    if hide_keys:
        return quote_text(f"{before}{after}")
    parts = [quote_text(f"{before} (")]
    for number, (kind, value) in enumerate(zip(kinds, values, strict=True)):
        # Bytes are no text.
        form = "hex({})" if kind._type_affinity is _BYTES else "CAST({} AS STRING)"
        parts += ["', '"] * bool(number)
        parts.append(f"coalesce({form.format(value)}, 'NULL')")
    return ", ".join([*parts, quote_text(f"){after}")])


def _referred(element: Any) -> Column[Any] | None:
    try:
        column: Column[Any] = element.column
    except NoReferenceError:
        return None
    return column


# --- what a guard has raised ---------------------------------------------------------------------


def raised(error: Error) -> Exception | None:
    """What a guard has raised, as the exception that it stands for; ``None`` for another error."""
    found = _RAISED.search(str(error))
    if found is None:
        return None
    kind, message = found.groups()
    if kind == _STALE:
        # Not at the top: who uses Core alone does not want the ORM.
        from sqlalchemy.orm.exc import StaleDataError

        return StaleDataError(
            f"{message}\nTo fix it: read the object again, and repeat the change; nothing was "
            "written."
        )
    if kind == _CONFLICT:
        return ConflictError(
            f"{message}\nTo fix it: repeat the unit of work, as run_unit() does; nothing was "
            "written."
        )
    return _violation(message, _SQLSTATES.get(kind, "23505"))
