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
from vinci_code.warehouse.engine.text_options import TextReading
from vinci_code.warehouse.engine.work import Work
from vinci_code.warehouse.sql import query
from vinci_code.warehouse.sql.errors import SqlError, unsupported
from vinci_code.warehouse.sql.query_context import Relation
from vinci_code.warehouse.sql.types import STRING, Column, parse_row_type

RESCUED = "_rescued_data"
"""The column that ``read_files`` adds where no schema is given: what fits in no other one."""

_READ_FILES = "read_files"
_BY_PATH = ("csv", "json", "parquet")
_METADATA = "_metadata"


def stage_calls(work: Work, expression: exp.Expression) -> None:
    """Let a statement read what its calls of ``read_files`` give: they become names of tables."""
    for node in list(expression.find_all(exp.Table)):
        call = node.this
        if node.db.lower() in _BY_PATH:
            refuse_metadata(expression)
        if isinstance(call, exp.Anonymous) and call.name.lower() == _READ_FILES:
            refuse_metadata(expression)
            known = f"known_{len(work.resolver.known)}"
            work.resolver.known[known] = _called(work, call)
            node.set("this", exp.to_identifier(known))


def refuse_metadata(expression: exp.Expression) -> None:
    """Refuse the column that files have beside their own.

    How it writes a path of a volume, and when a file was changed, is not known for certain.
    """
    for column in expression.find_all(exp.Column):
        if any(part.name.lower() == _METADATA for part in column.parts):
            raise unsupported(f"{_METADATA}, the column that files have beside their own")


def _called(work: Work, call: exp.Anonymous) -> Relation:
    volumes, transaction = work.room.volumes, work.transaction
    refuse_in_transaction(transaction)
    text, options = _arguments(work, call)
    name = options.pop("format", None)
    if name is None:
        raise unsupported("read_files without format => '…'")
    rescued = options.pop("rescueddatacolumn", None)
    reading = _reading(work, name, options, rescued)
    if rescued is None and reading.schema is None:
        rescued = RESCUED
    file_format = format_of(name, options, reading)
    path = file_reading.locate(volumes, text)
    files = file_reading.discover(volumes, path, recursive=True)
    if not files:
        raise nothing_to_read(name)
    columns = file_reading.columns_of(volumes, file_format, files, merge=True)
    staged = relation_of(file_reading.stage(volumes, transaction, file_format, files, columns))
    return staged if rescued is None else _with_rescued(staged, rescued)


def _reading(work: Work, name: str, options: dict[str, str], rescued: str | None) -> TextReading:
    """Take the options that are of ``read_files`` itself."""
    if "inferschema" in options:
        raise unsupported("inferSchema in read_files, where inferColumnTypes says it")
    infers = options.pop("infercolumntypes", "true").lower()
    if infers not in ("true", "false"):
        raise unsupported(f"inferColumnTypes => {infers}: it is true or false")
    schema = _columns(options.pop("schema", None), "schema")
    hints = _columns(options.pop("schemahints", None), "schemaHints") or ()
    if infers == "false" and schema is None and name.upper() != "CSV":
        raise unsupported("inferColumnTypes => false of any format but CSV")
    if schema is not None and hints:
        raise unsupported("schema and schemaHints together")
    if rescued is not None and name.upper() == "PARQUET":
        raise unsupported("rescuedDataColumn of Parquet files")
    return TextReading(
        zone=str(work.session.configuration["TIMEZONE"]),
        schema=schema,
        hints=hints,
        infers=schema is None and infers == "true",
        rescues=schema is None or rescued is not None,
        check_interrupt=work.session.check_interrupt,
    )


def _columns(text: str | None, option: str) -> tuple[Column, ...] | None:
    """Read a list of columns with their types.

    Raises:
        SqlError: It is none, or says more of a column.
    """
    if text is None:
        return None
    kind = parse_row_type(text)
    if kind.name != "STRUCT" or not kind.fields or text.strip().upper().startswith("STRUCT<"):
        raise unsupported(f"{option} => '{text}': it is a list of columns with their types")
    for item in kind.fields:
        if not item.nullable or item.comment is not None:
            raise unsupported(f"NOT NULL, or a comment, in {option} of read_files")
        if item.type.name in ("CHAR", "VARCHAR"):
            raise unsupported(f"{item.type.text} in {option} of read_files")
    return tuple(Column(item.name, item.type) for item in kind.fields)


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


def _with_rescued(relation: Relation, name: str) -> Relation:
    if any(item.name.lower() == name.lower() for item in relation.columns):
        raise unsupported(f"a file with a column {name} in read_files")
    physical = f"c{len(relation.physical)}"
    listed = ", ".join(relation.physical)
    return Relation(
        f"(SELECT {listed}, CAST(NULL AS VARCHAR) AS {physical} FROM {relation.sql} AS _r)",
        (*relation.columns, Column(name, STRING)),
        (),
        (*relation.physical, physical),
    )
