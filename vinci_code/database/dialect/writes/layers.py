"""The rows of a table with held writes laid over them, as common table expressions.

Each write is one expression over the one before it, the first over the stored table. A column that
a write does not change is passed through as it is, so that the warehouse pushes a condition on it,
such as one on the key, down to the stored table.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from typing import Any

from sqlalchemy.schema import Column, Table
from sqlalchemy.sql.elements import False_, Null, True_
from sqlalchemy.sql.selectable import CompoundSelect

from vinci_code.database.dialect.text.binding import MAX_PARAMETER_BYTES
from vinci_code.database.dialect.text.scanning import is_constant
from vinci_code.database.dialect.types.base import innermost
from vinci_code.database.dialect.types.documents import VARIANT
from vinci_code.database.dialect.types.nested import ARRAY, MAP, STRUCT
from vinci_code.database.dialect.types.transports import BIGINT, transport_of
from vinci_code.database.dialect.writes import guards
from vinci_code.database.dialect.writes.payload import Payload, payloads
from vinci_code.database.dialect.writes.sets import Checks, OnConflict, SetWriter, bound_of
from vinci_code.database.dialect.writes.shapes import (
    BEFORE,
    ROWS,
    Field,
    Row,
    Shape,
    WriteKind,
    letters,
)

# Their values travel as text, of which an expression of the column makes them.
_MADE_OF_TEXT = (ARRAY, MAP, STRUCT, VARIANT)
_MARKER = "?"
_LAYER = "vinci_layer_"
_ORDER = "vinci_order"
_ONE = "vinci_one"


class CannotLayError(Exception):
    """A write cannot be laid over the rows of its table."""


class Layers:
    """The expressions for some tables.

    Args:
        dialect: The dialect.
        limit: How many bytes of rows they may carry.
        apart: Whether what reads them may select from a sub-select in an expression.

    Attributes:
        names: What gives the rows of a table, by the table: the name of its latest expression.
        parameters: Their parameters, in the order of the texts.
    """

    def __init__(self, dialect: Any, limit: int, *, apart: bool) -> None:
        self.names: dict[Table, str] = {}
        self.parameters: list[Any] = []
        # What gives the rows of a table after each write that may break NOT NULL or CHECK.
        self._stages: dict[Table, list[str]] = {}
        # The expressions by their names.
        self._made: dict[str, str] = {}
        self._guarded: list[str] = []
        self._has_keys = False
        self._has_order = True
        self._dialect = dialect
        self._left = limit
        self._apart = apart

    @property
    def texts(self) -> list[str]:
        """The expressions, each with its name."""
        return [f"{name} AS ({text})" for name, text in self._made.items()]

    def add(
        self,
        shape: Shape,
        rows: Sequence[Row],
        upsert: OnConflict | None = None,
        checks: Checks | None = None,
    ) -> None:
        """Lay rows over what there is of their table.

        Args:
            shape: What is done to each.
            rows: The rows.
            upsert: What an INSERT does with a row that is there already.
            checks: What is made sure of: where it is not so, reading the rows raises an error. By
                default nothing is.

        Raises:
            CannotLayError: They cannot be laid over it.
        """
        before = self.names.get(shape.table, shape.target)
        given = self._payload(shape, rows)
        if checks is not None:
            given = self._checked(replace(shape, target=before), rows, upsert, checks, given)
        layer = _Layer(shape, before, self._dialect, rows)
        text = layer.text(self._named(given), upsert)
        is_union = shape.kind is WriteKind.INSERT
        self.names[shape.table] = self._named(self._united(text) if is_union else text)
        if guards.may_break_kept(shape, rows):
            self._stages.setdefault(shape.table, []).append(self.names[shape.table])

    def add_files(
        self,
        shape: Shape,
        payload: Payload,
        upsert: OnConflict | None,
        checks: Checks | None,
        *,
        replaces: bool,
    ) -> None:
        """Lay rows of files over what there is of their table; see ``add``.

        Args:
            shape: What is done to each.
            payload: The rows.
            upsert: What an INSERT does with a row that is there already.
            checks: What is made sure of.
            replaces: Whether they take the place of what there is.

        Raises:
            CannotLayError: They cannot be laid over it.
        """
        before = self.names.get(shape.table, shape.target)
        given = payload.written
        if checks is not None:
            over = replace(shape, target=before)
            given = self._checked(over, (), upsert, checks, given, replaces=replaces)
        layer = _Layer(shape, before, self._dialect, (), replaces=replaces)
        text = layer.text(self._named(given), upsert)
        self.names[shape.table] = self._named(text if replaces else self._united(text))
        self._stages.setdefault(shape.table, []).append(self.names[shape.table])

    def passed(self, table: Table) -> list[str]:
        """What gives the rows of a table after each write that may break NOT NULL or CHECK.

        But after the last write: what it leaves is stored, and the warehouse looks at that.
        """
        return [name for name in self._stages.get(table, ()) if name != self.names[table]]

    def add_query(self, table: Table, compiled: Any, values: Mapping[str, Any]) -> None:
        """Lay the outcome of a write over what there is of its table.

        Args:
            table: The table.
            compiled: The query that gives it.
            values: Those of its parameters, by their keys.

        Raises:
            CannotLayError: It cannot be laid over it.
        """
        over = self._over(compiled)
        text, parameters = bound(over, values)
        text = f"WITH {text}" if over.has_with_list else text
        is_union = isinstance(compiled.statement, CompoundSelect)
        self.names[table] = self._named(self._united(text) if is_union else text)
        self._stages.setdefault(table, []).append(self.names[table])
        self.parameters += parameters

    def touch(
        self, shape: Shape, rows: Sequence[Row], columns: Collection[str], checks: Checks
    ) -> None:
        """Have a table stand for those of its rows that rows of a shape write, or delete.

        Args:
            shape: What is done to each.
            rows: The rows.
            columns: The columns that they are to have, by name.
            checks: What is made sure of; see ``add``.

        Raises:
            CannotLayError: They are not known.
        """
        before = self.names.get(shape.table, shape.target)
        numbered = replace(shape, transports=(*shape.transports, BIGINT))
        given = self._payload(numbered, [(*row, number) for number, row in enumerate(rows)])
        given = self._checked(replace(shape, target=before), rows, None, checks, given)
        layer = _Layer(shape, before, self._dialect, rows)
        text = layer.touched(self._named(given), columns, letters(shape.width))
        self.names[shape.table] = self._named(text)

    def touch_queries(self, table: Table, queries: Iterable[tuple[Mapping[str, Any], Any]]) -> None:
        """Have a table stand for the rows that queries give, in their order.

        Args:
            table: The table.
            queries: Each with those of its parameters that are not its own, which stand before it.

        Raises:
            CannotLayError: They are not known.
        """
        texts = []
        for number, (values, compiled) in enumerate(queries):
            over = self._over(compiled)
            text, parameters = bound(over, values)
            text = f"WITH {text}" if over.has_with_list else text
            texts.append(f"SELECT {BEFORE}.*, {number} AS {_ORDER} FROM ({text}) AS {BEFORE}")
            self.parameters += parameters
        self._has_order = len(texts) > 1
        text = " UNION ALL ".join(texts)
        self.names[table] = self._named(self._united(text) if self._has_order else text)

    def in_order(self, table: Table, compiled: Any, values: Mapping[str, Any]) -> str:
        """A query over the rows of a table that it stands for after ``touch``, in their order.

        The rows that one query gives have none.
        """
        over = self._over(compiled)
        text, parameters = bound(over, values)
        self.parameters += parameters
        if self._has_order:
            text = f"{text} ORDER BY {self.names[table]}.{_ORDER}"
        return str(over.with_in_front(text, ", ".join(self.texts)))

    def count(self, shape: Shape, rows: Sequence[Row]) -> str:
        """A query that counts the rows of a table that rows of a shape find."""
        before = self.names.get(shape.table, shape.target)
        given = self._named(self._payload(shape, rows))
        on = " AND ".join(f"{BEFORE}.{item.name} = {item.made}" for item in shape.matches)
        query = f"SELECT count(*) FROM {before} AS {BEFORE} JOIN {given} AS {ROWS} ON {on}"
        return f"WITH {', '.join(self.texts)} {query}"

    def count_by(self, compiled: Any, values: Mapping[str, Any]) -> str:
        """A query that counts rows, over what there is; see ``add_query``."""
        over = self._over(compiled)
        text, parameters = bound(over, values)
        self.parameters += parameters
        return over.with_in_front(text, ", ".join(self.texts)) if self.texts else text

    def check(self, *, matched: bool) -> str | None:
        """A query that raises where something is not as it has to be; ``None`` if nothing has to.

        It gives one row.

        Args:
            matched: Whether it is a reason to ask that a changed row has to be there still.
        """
        if not self._guarded or not (matched or self._has_keys):
            return None
        rows = " UNION ALL ".join(f"SELECT 1 AS n FROM {name}" for name in self._guarded)
        return f"WITH {', '.join(self.texts)} SELECT count(*) FROM ({rows})"

    def _checked(
        self,
        shape: Shape,
        rows: Sequence[Row],
        upsert: OnConflict | None,
        checks: Checks,
        given: str,
        *,
        replaces: bool = False,
    ) -> str:
        """What gives the rows, and does so only where all is as it has to be."""
        named = f"{ROWS} AS ({given})"
        if not all(item.is_plain for item in shape.values):
            # What is computed names the rows that it is computed of.
            named += f", {BEFORE} AS (SELECT * FROM {shape.target})"
            values = tuple(replace(item, made=_laid(item)) for item in shape.values)
            shape = replace(shape, target=BEFORE, values=values)
        writer = SetWriter(shape, checks, self._dialect, self._format, rows=rows, replaces=replaces)
        wanted = writer.guards(upsert)
        if not wanted:
            return given
        unmatched = SetWriter(shape, replace(checks, matched=False), self._dialect, self._format)
        if unmatched.guards(upsert):
            self._has_keys = True
        self._guarded.append(f"{_LAYER}{len(self._made)}")
        raised = guards.unless_raised(wanted)
        return f"WITH {named} SELECT {ROWS}.* {raised}"

    def _format(self, item: Any) -> str:
        if item in self.names:
            return self.names[item]
        preparer = self._dialect.identifier_preparer
        is_column = isinstance(item, Column)
        return str(preparer.format_column(item) if is_column else preparer.format_table(item))

    def _over(self, compiled: Any) -> Any:
        """A query over what there is."""
        if compiled.is_written_by_hand or compiled.tables_used is None:
            raise CannotLayError("it is not known what a write reads")
        return compiled.over(self.names) if self.names else compiled

    def name(self, table: Table, name: str) -> None:
        """Give what has become of a table another name."""
        latest = self.names[table]
        if latest == next(reversed(self._made)):
            # No other reads it: it needs no second name, which the warehouse would have to resolve.
            self._made[name] = self._made.pop(latest)
        else:
            self._made[name] = f"SELECT * FROM {latest}"
        self.names[table] = name

    def _united(self, text: str) -> str:
        """A union that what is selected of it is not moved into.

        Spark moves it, and where it is a sub-select that names a column of the union, Spark says
        "key not found" and plans nothing. It moves no columns through a join.
        """
        if not self._apart:
            return text
        one = f"CROSS JOIN (SELECT 1 AS n) AS {_ONE}"
        return f"SELECT {BEFORE}.* FROM ({text}) AS {BEFORE} {one}"

    def _named(self, text: str) -> str:
        name = f"{_LAYER}{len(self._made)}"
        self._made[name] = text
        return name

    def _payload(self, shape: Shape, rows: Sequence[Row]) -> str:
        if len(rows) * len("{},") > self._left:
            raise CannotLayError("the rows are more than the limit")
        made = list(islice(payloads(rows, shape.transports, split=False), 2))
        if len(made) != 1:
            raise CannotLayError("the rows are too many for one text")
        (payload,) = made
        begin, end = payload.around()
        return f"{begin}{self._sent(payload)}{end}"

    def _sent(self, payload: Payload) -> str:
        if payload.json is None:
            raise CannotLayError("the type of a value is not known")
        self._left -= len(payload.json)
        if self._left < 0:
            raise CannotLayError("the rows are more than the limit")
        if len(payload.json) <= MAX_PARAMETER_BYTES:
            self.parameters.append(payload.json.decode())
            return _MARKER
        return "".join(payload.literal())


def bound(compiled: Any, values: Mapping[str, Any]) -> tuple[str, tuple[Any, ...]]:
    """The text of a compiled query and its parameters, by position.

    Args:
        compiled: The query.
        values: Those of its parameters that are not its own, by their keys.
    """
    given = {
        name: values.get(bind.key, bind.effective_value)
        for bind, name in compiled.bind_names.items()
    }
    processors = dict(compiled._bind_processors)
    text, positions = compiled.string, compiled.positiontup
    if compiled.post_compile_params or compiled.literal_execute_params:
        expanded = compiled._process_parameters_for_postcompile(given)
        text, positions = expanded.statement, expanded.positiontup
        given |= expanded.additional_parameters
        processors |= expanded.processors
    return text, tuple(
        processors[name](given[name]) if name in processors else given[name]
        for name in positions or ()
    )


class _Layer:
    """What rows of one shape do to the rows of their table.

    Args:
        shape: What is done to each.
        before: What gives the rows of the table as they were before.
        dialect: The dialect.
        given: The rows.
        replaces: Whether they take the place of what there is.
    """

    def __init__(
        self,
        shape: Shape,
        before: str,
        dialect: Any,
        given: Sequence[Row],
        *,
        replaces: bool = False,
    ) -> None:
        self._replaces = replaces
        self._shape = shape
        self._table = shape.table
        self._before = before
        self._dialect = dialect
        self._given = given
        format_column = dialect.identifier_preparer.format_column
        self._names = {column.name: str(format_column(column)) for column in shape.table.columns}

    def text(self, rows: str, upsert: OnConflict | None) -> str:
        """The rows of the table as they are afterwards.

        Args:
            rows: What gives the rows that are written.
            upsert: What an INSERT does with a row that is there already.
        """
        shape = self._shape
        if any(map(is_peculiar, shape.table.columns)):
            raise CannotLayError("a column is computed by the warehouse, or has a collation")
        if upsert is not None:
            return self._upserted(upsert, rows)
        if self._replaces:
            names = self._names.values()
            items = [f"{made} AS {name}" for made, name in zip(self._each(), names, strict=True)]
            return f"SELECT {', '.join(items)} FROM {rows} AS {ROWS}"
        if shape.kind is WriteKind.INSERT:
            return f"{self._passed()} UNION ALL {self._inserted()} FROM {rows} AS {ROWS}"
        if shape.kind is WriteKind.UPDATE:
            return self._updated(shape, rows)
        return f"{self._passed()} WHERE NOT EXISTS ({self._found(rows)})"

    def _passed(self) -> str:
        columns = ", ".join(f"{BEFORE}.{name}" for name in self._names.values())
        return f"SELECT {columns} FROM {self._before} AS {BEFORE}"

    def _inserted(self) -> str:
        return f"SELECT {', '.join(self._each())}"

    def _each(self) -> list[str]:
        """What is inserted into each column."""
        given = {item.column.name: item for item in self._shape.values}
        made = []
        for column in self._table.columns:
            item = given.get(column.name)
            made.append(self._default(column) if item is None else self._made(item))
        return made

    def touched(self, rows: str, columns: Collection[str], order: str) -> str:
        """Columns of the rows that are written, or deleted, and which number each has."""
        shape = self._shape
        given = {item.column.name: item for item in shape.values}
        kept = {name: self._names[name] for name in self._names if name in columns}
        if shape.kind is WriteKind.UPDATE and any(is_peculiar(self._table.c[n]) for n in kept):
            raise CannotLayError("a column is computed by the warehouse, or has a collation")
        if shape.kind is WriteKind.INSERT:
            made = {
                name: self._made(given[name])
                if name in given
                else self._default(self._table.columns[name])
                for name in kept
            }
            source = f"{rows} AS {ROWS}"
        else:
            made = {
                name: self._made(given[name]) if name in given else f"{BEFORE}.{called}"
                for name, called in kept.items()
            }
            on = self._matched(shape.matches)
            source = f"{self._before} AS {BEFORE} JOIN {rows} AS {ROWS} ON {on}"
        items = [f"{text} AS {kept[name]}" for name, text in made.items()]
        return f"SELECT {', '.join([*items, f'{ROWS}.{order} AS {_ORDER}'])} FROM {source}"

    def _updated(self, shape: Shape, rows: str) -> str:
        changed = {item.column.name: self._made(item) for item in shape.values}
        on = self._matched(shape.matches)
        found = f"{shape.matches[0].made} IS NOT NULL"
        columns = ", ".join(
            f"CASE WHEN {found} THEN {changed[key]} ELSE {BEFORE}.{name} END AS {name}"
            if key in changed
            else f"{BEFORE}.{name}"
            for key, name in self._names.items()
        )
        return (
            f"SELECT {columns} FROM {self._before} AS {BEFORE} LEFT JOIN {rows} AS {ROWS} ON {on}"
        )

    def _upserted(self, upsert: OnConflict, rows: str) -> str:
        given = {item.column.name: item for item in self._shape.values}
        keys = tuple(given[name] for name in upsert.keys)
        columns = self._table.columns
        changed = tuple(
            given.get(name) or self._field(columns[name], self._default(columns[name]))
            for name in upsert.update
        )
        there = replace(self._shape, kind=WriteKind.UPDATE, values=changed, matches=keys)
        known = self._updated(there, rows) if changed else self._passed()
        # What is stored is searched once more, which a condition on what is read does not narrow.
        bounds = filter(None, (bound_of(item, self._given, BEFORE) for item in keys))
        found = " AND ".join([self._matched(keys), *bounds])
        others = (
            f"{self._inserted()} FROM {rows} AS {ROWS} WHERE NOT EXISTS ("
            f"SELECT 1 FROM {self._before} AS {BEFORE} WHERE {found})"
        )
        return f"{known} UNION ALL {others}"

    def _found(self, rows: str) -> str:
        return f"SELECT 1 FROM {rows} AS {ROWS} WHERE {self._matched(self._shape.matches)}"

    def _matched(self, matches: Sequence[Field]) -> str:
        return " AND ".join(f"{BEFORE}.{item.name} = {item.made}" for item in matches)

    def _made(self, item: Field) -> str:
        """A value as one of the type that its column has."""
        laid = _laid(item)
        return laid if item.is_plain else f"CAST({laid} AS {self._type(item.column)})"

    def _field(self, column: Column[Any], made: str) -> Field:
        return Field(column, self._names[column.name], made, made, laid=made)

    def _default(self, column: Column[Any]) -> str:
        """What is stored where a column is left out."""
        if column.identity is not None or not is_constant_default(column):
            raise CannotLayError("a default is computed by the warehouse")
        compiler = self._dialect.ddl_compiler(self._dialect, None)
        text = compiler.get_column_default_string(column) or "NULL"
        return f"CAST({text} AS {self._type(column)})"

    def _type(self, column: Column[Any]) -> str:
        kind = transport_of(column.type, self._dialect)
        if kind is None:
            raise CannotLayError("the type of a column is not known")
        if isinstance(innermost(column.type, self._dialect), _MADE_OF_TEXT):
            return str(self._dialect.type_compiler_instance.process(column.type))
        return kind.sql


def _laid(item: Field) -> str:
    if item.laid is None:
        raise CannotLayError("a value is another one each time that it is computed")
    return item.laid


def is_peculiar(column: Column[Any]) -> bool:
    """Whether the warehouse computes a column, or compares it by rules of its own."""
    return column.computed is not None or getattr(column.type, "collation", None) is not None


def is_constant_default(column: Column[Any]) -> bool:
    """Whether what the warehouse stores where a column is left out is the same each time."""
    if column.server_default is None:
        return True
    argument: Any = getattr(column.server_default, "arg", None)
    text = getattr(argument, "text", argument)
    if isinstance(argument, (str, True_, False_, Null)):
        return True
    return isinstance(text, str) and is_constant(text)
