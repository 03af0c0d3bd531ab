"""SHOW in its forms.

https://docs.databricks.com/aws/en/sql/language-manual/sql-ref-syntax-aux-show
"""

from __future__ import annotations

from collections.abc import Callable

from vinci_code.warehouse.engine import properties, show_catalog
from vinci_code.warehouse.engine.catalog import INFORMATION_SCHEMA, table_not_found
from vinci_code.warehouse.engine.catalog_view import CatalogView
from vinci_code.warehouse.engine.information_schema import TABLES
from vinci_code.warehouse.engine.model import KeyConstraint, Table, TableColumn, TableSchema, View
from vinci_code.warehouse.engine.names import backtick, quote, string_literal
from vinci_code.warehouse.engine.namespace import full_name
from vinci_code.warehouse.engine.reader import Reader, qualify_schema
from vinci_code.warehouse.engine.result import Result, rows_result, text_columns, typed_columns
from vinci_code.warehouse.engine.work import Work
from vinci_code.warehouse.sql.builtins import FUNCTIONS
from vinci_code.warehouse.sql.errors import unsupported
from vinci_code.warehouse.sql.regular_expressions import Wildcard, wildcards
from vinci_code.warehouse.sql.types import BOOLEAN, STRING, Column


def show(work: Work, reader: Reader) -> Result:
    """Run SHOW."""
    reader.expect("SHOW")
    for words, action in _FORMS:
        if reader.accept(*words):
            return action(work, reader)
    if reader.at_name:
        raise unsupported(f"SHOW {reader.next().text.upper()}")
    raise reader.error()


def like_pattern(reader: Reader) -> Callable[[str], bool]:
    """Read ``[LIKE] 'pattern'``: ``*`` is any text and ``|`` separates alternatives."""
    asked = reader.accept("LIKE")
    if not asked and not reader.at_string:
        return lambda _: True
    text = reader.string()
    patterns = []
    for item in text.split("|"):
        pieces: list[str | Wildcard] = []
        for piece in item.strip().split("*"):
            pieces += [piece, Wildcard.TEXT]
        patterns.append(wildcards(pieces[:-1]))
    return lambda name: any(pattern.fullmatch(name) for pattern in patterns)


def _catalogs(work: Work, reader: Reader) -> Result:
    matches = like_pattern(reader)
    reader.end()
    names = [name for name in CatalogView(work.catalogs).catalogs() if matches(name)]
    return rows_result("SHOW", text_columns("catalog"), [[name] for name in names])


def _schemas(work: Work, reader: Reader) -> Result:
    catalog = work.session.catalog
    if reader.accept_any("IN", "FROM"):
        catalog = reader.identifier()
    matches = like_pattern(reader)
    reader.end()
    view = CatalogView(work.catalogs)
    if catalog.lower() not in view.catalogs():
        work.catalogs.catalog(catalog)
    names = [name for name in view.schemas(catalog) if matches(name)]
    return rows_result("SHOW", text_columns("databaseName"), [[name] for name in names])


def _schema_and_pattern(work: Work, reader: Reader) -> tuple[str, str, bool, Callable[[str], bool]]:
    catalog, schema = work.session.catalog, work.session.schema
    named = reader.accept_any("IN", "FROM") is not None
    if named:
        catalog, schema = qualify_schema(reader.name_parts(), catalog)
    matches = like_pattern(reader)
    reader.end()
    if schema != INFORMATION_SCHEMA:
        work.catalogs.schema(catalog, schema)
    return catalog, schema, named, matches


def _of_catalog(
    action: Callable[[Work, Reader, str | None, show_catalog.Pattern], Result],
    otherwise: Callable[[Work, Reader], Result],
) -> Callable[[Work, Reader], Result]:
    """What runs ``IN CATALOG c`` and ``IN ALL CATALOGS``, and the usual form otherwise."""

    def run(work: Work, reader: Reader) -> Result:
        if reader.accept("IN", "ALL", "CATALOGS"):
            return action(work, reader, None, like_pattern)
        start = reader.index
        if reader.accept("IN", "CATALOG"):
            # A schema or table may have this name, too: then no other name comes after it.
            if reader.at_name and not reader.peek("LIKE"):
                return action(work, reader, reader.identifier(), like_pattern)
            reader.index = start
        return otherwise(work, reader)

    return run


def _tables(work: Work, reader: Reader) -> Result:
    catalog, schema, _, matches = _schema_and_pattern(work, reader)
    names = [item.name for item in CatalogView(work.catalogs).tables(catalog, schema)]
    if schema == INFORMATION_SCHEMA:
        names = sorted(TABLES)
    rows: list[tuple[object, ...]] = [(schema, name, False) for name in names if matches(name)]
    rows += [("", name, True) for name in sorted(work.temporary_views) if matches(name)]
    columns = typed_columns(("database", STRING), ("tableName", STRING), ("isTemporary", BOOLEAN))
    return rows_result("SHOW", columns, rows)


def _views(work: Work, reader: Reader) -> Result:
    catalog, schema, _, matches = _schema_and_pattern(work, reader)
    found = CatalogView(work.catalogs).tables(catalog, schema)
    rows: list[tuple[object, ...]] = [
        (schema, item.name, False, False)
        for item in found
        if item.kind == "VIEW" and matches(item.name)
    ]
    rows += [("", name, True, False) for name in sorted(work.temporary_views) if matches(name)]
    columns = typed_columns(
        ("namespace", STRING),
        ("viewName", STRING),
        ("isTemporary", BOOLEAN),
        ("isMaterialized", BOOLEAN),
    )
    return rows_result("SHOW", columns, rows)


def _volumes(work: Work, reader: Reader) -> Result:
    catalog, schema, _, matches = _schema_and_pattern(work, reader)
    names = [item.name.name for item in CatalogView(work.catalogs).volumes(catalog, schema)]
    rows = [[schema, name] for name in names if matches(name)]
    columns = [Column(name, STRING, nullable=False) for name in ("database", "volumeName")]
    return rows_result("SHOW", columns, rows)


def _columns(work: Work, reader: Reader) -> Result:
    if reader.accept_any("IN", "FROM") is None:
        raise reader.error()
    parts = reader.name_parts()
    if reader.accept_any("IN", "FROM"):
        parts = [*reader.name_parts(), parts[-1]]
    reader.end()
    names = [[column.name] for column in table_or_view_columns(work, parts)]
    return rows_result("SHOW", text_columns("col_name"), names)


def table_or_view_columns(work: Work, parts: list[str]) -> list[TableColumn]:
    """Return the columns of a table as the transaction sees it, or of a view.

    Raises:
        SqlError: ``TABLE_OR_VIEW_NOT_FOUND``.
    """
    view = work.temporary_views.get(parts[0].lower()) if len(parts) == 1 else None
    name = full_name(parts, work.session.catalog, work.session.schema)
    if view is None:
        state = work.transaction.state(name, read=False)
        if state is not None:
            return list(state.schema.columns)
        view = work.catalogs.find_view(name)
    if view is None:
        raise table_not_found(".".join(backtick(part) for part in parts))
    return [
        TableColumn(item.name, item.type, "", item.nullable, item.comment) for item in view.columns
    ]


def _properties(work: Work, reader: Reader) -> Result:
    name = full_name(reader.name_parts(), work.session.catalog, work.session.schema)
    key = None
    if reader.accept("("):
        key = reader.property_key()
        reader.expect(")")
    reader.end()
    view = work.catalogs.find_view(name)
    found = (
        dict(sorted(view.properties.items()))
        if view is not None
        else properties.shown(work.catalogs.table(name).state.schema)
    )
    rows = list(found.items())
    if key is not None:
        missing = f"Table {name} does not have property: {key}"
        rows = [(key, found.get(key, missing))]
    return rows_result("SHOW", text_columns("key", "value"), rows)


def _all_functions(work: Work, reader: Reader) -> Result:
    return _list_functions(work, reader, sorted(FUNCTIONS))


def _user_functions(work: Work, reader: Reader) -> Result:
    # There are none, since CREATE FUNCTION is refused.
    return _list_functions(work, reader, [])


def _list_functions(work: Work, reader: Reader, names: list[str]) -> Result:
    if reader.accept_any("IN", "FROM"):
        catalog, schema = qualify_schema(reader.name_parts(), work.session.catalog)
        work.catalogs.schema(catalog, schema)
    matches = like_pattern(reader)
    reader.end()
    rows = [[name.lower()] for name in names if matches(name)]
    return rows_result("SHOW", text_columns("function"), rows)


def _create_table(work: Work, reader: Reader) -> Result:
    parts = reader.name_parts()
    reader.end()
    name = full_name(parts, work.session.catalog, work.session.schema)
    view = work.catalogs.find_view(name)
    text = (
        _view_statement(view) if view is not None else _table_statement(work.catalogs.table(name))
    )
    return rows_result("SHOW", text_columns("createtab_stmt"), [[text]])


def _view_statement(view: View) -> str:
    name = ".".join(quote(part) for part in (view.name.catalog, view.name.schema, view.name.name))
    columns = ",\n  ".join(
        quote(item.name) + (f" COMMENT {string_literal(item.comment)}" if item.comment else "")
        for item in view.columns
    )
    comment = f"COMMENT {string_literal(view.comment)}\n" if view.comment else ""
    return f"CREATE VIEW {name} (\n  {columns})\n{comment}AS {view.text}\n"


def _table_statement(table: Table) -> str:
    schema, name = table.state.schema, table.name
    full = ".".join(quote(part) for part in (name.catalog, name.schema, name.name))
    lines = [_column_text(item) for item in schema.columns]
    lines += [_key_text(key) for key in schema.keys]
    text = f"CREATE TABLE {full} (\n  " + ",\n  ".join(lines) + ")\nUSING delta\n"
    text += _layout_text(schema)
    if schema.comment:
        text += f"COMMENT {string_literal(schema.comment)}\n"
    listed = ",\n  ".join(
        f"{string_literal(key)} = {string_literal(value)}"
        for key, value in properties.shown(schema).items()
        if not key.startswith(properties.CHECK)
    )
    return text + f"TBLPROPERTIES (\n  {listed})\n"


def _layout_text(schema: TableSchema) -> str:
    if schema.partition_by:
        return f"PARTITIONED BY ({', '.join(map(quote, schema.partition_by))})\n"
    if schema.cluster_auto:
        return "CLUSTER BY AUTO\n"
    if schema.cluster_by:
        return f"CLUSTER BY ({', '.join(map(quote, schema.cluster_by))})\n"
    return ""


def _column_text(column: TableColumn) -> str:
    text = f"{quote(column.name)} {column.type.text}"
    if column.generated is not None:
        text += f" GENERATED ALWAYS AS ( {column.generated} )"
    if column.identity is not None:
        kind = "ALWAYS" if column.identity.always else "BY DEFAULT"
        text += (
            f" GENERATED {kind} AS IDENTITY (START WITH {column.identity.start} "
            f"INCREMENT BY {column.identity.step})"
        )
    if not column.nullable:
        text += " NOT NULL"
    if column.default is not None:
        text += f" DEFAULT {column.default}"
    if column.comment:
        text += f" COMMENT {string_literal(column.comment)}"
    return text


def _key_text(key: KeyConstraint) -> str:
    text = f"CONSTRAINT {backtick(key.name)} {key_definition(key)}"
    return text + (" RELY" if key.rely else "")


def key_definition(key: KeyConstraint) -> str:
    """Return a key as DESCRIBE prints it."""
    columns = ", ".join(backtick(name) for name in key.columns)
    text = f"{key.kind} ({columns})"
    if key.parent is not None:
        referenced = ", ".join(backtick(name) for name in key.parent_columns)
        text += f" REFERENCES {key.parent.quoted} ({referenced})"
    return text


_FORMS: tuple[tuple[tuple[str, ...], Callable[[Work, Reader], Result]], ...] = (
    (("CATALOGS",), _catalogs),
    (("SCHEMAS",), _schemas),
    (("DATABASES",), _schemas),
    (("TABLES",), _of_catalog(show_catalog.show_tables, _tables)),
    (("VIEWS",), _views),
    (("VOLUMES",), _volumes),
    (("COLUMNS",), _of_catalog(show_catalog.show_columns, _columns)),
    (("TBLPROPERTIES",), _properties),
    (("CREATE", "TABLE"), _create_table),
    (("FUNCTIONS",), _all_functions),
    (("ALL", "FUNCTIONS"), _all_functions),
    (("SYSTEM", "FUNCTIONS"), _all_functions),
    (("USER", "FUNCTIONS"), _user_functions),
)
