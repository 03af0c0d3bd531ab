"""``read_files('/Volumes/…', format => 'parquet')`` in FROM.

https://docs.databricks.com/aws/en/sql/language-manual/functions/read_files
"""

# ruff: noqa: S608 - the names in this SQL are made by the engine itself

from __future__ import annotations

from typing import Any

from sqlglot import exp

from vinci_code.warehouse.engine import file_reading
from vinci_code.warehouse.engine.file_formats import format_of
from vinci_code.warehouse.engine.file_relations import (
    nothing_to_read,
    refuse_in_transaction,
    relation_of,
)
from vinci_code.warehouse.engine.work import Work
from vinci_code.warehouse.sql import query
from vinci_code.warehouse.sql.errors import SqlError, unsupported
from vinci_code.warehouse.sql.query_context import Relation
from vinci_code.warehouse.sql.types import STRING, Column

RESCUED = "_rescued_data"
"""The column that ``read_files`` adds where no schema is given: what fits in no other one."""

_READ_FILES = "read_files"


def stage_calls(work: Work, expression: exp.Expression) -> None:
    """Let a statement read what its calls of ``read_files`` give: they become names of tables."""
    for node in list(expression.find_all(exp.Table)):
        call = node.this
        if isinstance(call, exp.Anonymous) and call.name.lower() == _READ_FILES:
            known = f"known_{len(work.resolver.known)}"
            work.resolver.known[known] = _called(work, call)
            node.set("this", exp.to_identifier(known))


def _called(work: Work, call: exp.Anonymous) -> Relation:
    volumes, transaction = work.room.volumes, work.transaction
    refuse_in_transaction(transaction)
    text, options = _arguments(work, call)
    name = options.pop("format", None)
    if name is None:
        raise unsupported("read_files without format => '…'")
    file_format = format_of(name, options)
    path = file_reading.locate(volumes, text)
    files = file_reading.discover(volumes, path, recursive=True)
    if not files:
        raise nothing_to_read(name)
    columns = file_reading.merged(file_reading.columns_of(volumes, file_format, files))
    staged = file_reading.stage(volumes, transaction, file_format, files, columns)
    return _with_rescued(relation_of(staged))


def _arguments(work: Work, call: exp.Anonymous) -> tuple[str, dict[str, str]]:
    path: str | None = None
    options: dict[str, str] = {}
    for argument in call.expressions:
        if isinstance(argument, exp.Kwarg):
            key = argument.this.name.lower()
            if key in options:
                raise SqlError("DUPLICATE_KEY", "23505", f"Found duplicate keys `{key}`.")
            options[key] = _constant(work, argument.expression)
        elif path is None and not options:
            path = _constant(work, argument)
        else:
            raise unsupported("an option of read_files without its name")
    if path is None:
        raise unsupported("read_files without a path")
    return path, options


def _constant(work: Work, expression: exp.Expression) -> str:
    """Return what an expression without columns gives, as text: a literal or a parameter."""
    translated = query.translate_expression(expression.copy(), work.context)
    value: Any = work.run(f"SELECT {translated.sql}", translated.binds)[0][0]
    if isinstance(value, bool):
        return "true" if value else "false"
    if not isinstance(value, (str, int)):
        raise unsupported(f"{expression.sql(dialect='databricks')} as an argument of read_files")
    return str(value)


def _with_rescued(relation: Relation) -> Relation:
    if any(item.name.lower() == RESCUED for item in relation.columns):
        raise unsupported(f"a file with a column {RESCUED} in read_files")
    return Relation(
        f"(SELECT *, CAST(NULL AS VARCHAR) AS {RESCUED} FROM {relation.sql})",
        (*relation.columns, Column(RESCUED, STRING)),
        (),
        (*relation.physical, RESCUED),
    )
