"""Views and temporary views: CREATE VIEW and ALTER VIEW."""

from __future__ import annotations

from dataclasses import replace as changed

from sqlglot import exp

from vinci_code.warehouse.engine.catalog import (
    INFORMATION_SCHEMA,
    already_exists,
    expect_view,
    table_not_found,
)
from vinci_code.warehouse.engine.model import View
from vinci_code.warehouse.engine.names import TableName, backtick, object_name
from vinci_code.warehouse.engine.namespace import full_name
from vinci_code.warehouse.engine.namespaces import change_catalog
from vinci_code.warehouse.engine.reader import Reader, qualify
from vinci_code.warehouse.engine.result import Result, empty_result
from vinci_code.warehouse.engine.work import Work
from vinci_code.warehouse.sql import parse
from vinci_code.warehouse.sql.errors import SqlError, unsupported
from vinci_code.warehouse.sql.types import Column


def create(work: Work, reader: Reader, *, replace: bool, temporary: bool) -> Result:
    """Run CREATE [OR REPLACE] [TEMPORARY] VIEW."""
    tolerant = reader.if_not_exists()
    if tolerant and replace:
        raise reader.error()
    parts = reader.name_parts()
    names = _read_columns(reader) if reader.peek("(") else None
    comment, properties = None, {}
    while not reader.accept("AS"):
        if reader.accept("COMMENT"):
            comment = reader.string()
        elif reader.accept("TBLPROPERTIES"):
            properties = reader.properties()
        elif reader.accept("WITH", "SCHEMA"):
            _read_binding(reader)
        else:
            raise reader.error()
    view = _view(work, _view_name(work, parts, temporary), reader.rest(), names)
    view = changed(view, comment=comment, properties=properties)
    if temporary:
        return _create_temporary(work, view, replace=replace, tolerant=tolerant)
    return _create_view(work, view, replace=replace, tolerant=tolerant)


def _view_name(work: Work, parts: list[str], temporary: bool) -> TableName:
    if not temporary:
        return qualify(parts, work.session.catalog, work.session.schema)
    if len(parts) > 1:
        raise SqlError(
            "TEMP_VIEW_NAME_TOO_MANY_NAME_PARTS",
            "428EK",
            "CREATE TEMPORARY VIEW or the corresponding Dataset APIs only accept single-part view "
            f"names, but got: {'.'.join(backtick(part) for part in parts)}.",
        )
    return TableName("", "", object_name(parts[0]))


def _view(
    work: Work, name: TableName, text: str, names: list[tuple[str, str | None]] | None
) -> View:
    if work.context.parameters:
        raise unsupported("a view whose query has parameters")
    if name.catalog != "":
        _refuse_temporary_references(work, name, text)
    translated = work.translate_text(text)
    work.binds.clear()
    outputs = tuple(column.name.lower() for column in translated.columns)
    labels = names or [(column.name, column.comment) for column in translated.columns]
    if len(labels) != len(translated.columns):
        few = len(labels) > len(translated.columns)
        detail = "NOT_ENOUGH_DATA_COLUMNS" if few else "TOO_MANY_DATA_COLUMNS"
        raise SqlError(
            f"CREATE_VIEW_COLUMN_ARITY_MISMATCH.{detail}",
            "21S01",
            f"Cannot create view {name.quoted}, the reason is "
            f"{'not enough' if few else 'too many'} data columns: View columns: "
            f"{', '.join(backtick(label) for label, _ in labels)}. Data columns: "
            f"{', '.join(backtick(column.name) for column in translated.columns)}.",
        )
    if len({label.lower() for label, _ in labels}) < len(labels):
        raise SqlError(
            "COLUMN_ALREADY_EXISTS",
            "42711",
            "A column of the view exists twice. Choose another name or rename the existing column.",
        )
    columns = tuple(
        Column(label, column.type, column.nullable, comment)
        for (label, comment), column in zip(labels, translated.columns, strict=True)
    )
    session = work.session
    return View(name, text, columns, outputs, session.catalog, session.schema, owner=session.user)


def _refuse_temporary_references(work: Work, name: TableName, text: str) -> None:
    for table in parse.parse_statement(text).find_all(exp.Table):
        parts = table.parts
        if len(parts) == 1 and parts[0].name.lower() in work.temporary_views:
            raise SqlError(
                "INVALID_TEMP_OBJ_REFERENCE",
                "42K0F",
                f"Cannot create the persistent object {name.quoted} of the type VIEW because it "
                f"references to the temporary object {backtick(parts[0].name)} of the type VIEW. "
                "Please make the temporary object persistent, or make the persistent object "
                "temporary.",
            )


def _create_temporary(work: Work, view: View, *, replace: bool, tolerant: bool) -> Result:
    name = view.name.name
    if name in work.temporary_views and not replace:
        if tolerant:
            return empty_result()
        raise SqlError(
            "TEMP_TABLE_OR_VIEW_ALREADY_EXISTS",
            "42P07",
            f"Cannot create the temporary view {backtick(name)} because it already exists. Choose "
            "a different name, drop or replace the existing view, or add the IF NOT EXISTS clause "
            "to tolerate pre-existing views.",
        )
    if name in work.temporary_views and _mentions(view.text, name):
        raise unsupported("a temporary view that replaces itself in its own query")
    work.temporary_views[name] = view
    return empty_result()


def _mentions(text: str, name: str) -> bool:
    return any(
        len(table.parts) == 1 and table.name.lower() == name
        for table in parse.parse_statement(text).find_all(exp.Table)
    )


def _create_view(work: Work, view: View, *, replace: bool, tolerant: bool) -> Result:
    name = view.name
    if name.schema == INFORMATION_SCHEMA:
        raise SqlError("PERMISSION_DENIED", "42501", f"{name.quoted} cannot be created.")
    with work.room.store.commit_lock:
        schema = work.catalogs.schema(name.catalog, name.schema)
        if name.name in schema.tables:
            if tolerant:
                return empty_result()
            raise expect_view(name) if replace else already_exists(name)
        if name.name in schema.views and not replace:
            if tolerant:
                return empty_result()
            raise already_exists(name)
        _store(work, view)
    return empty_result()


def alter(work: Work, reader: Reader) -> Result:
    """Run ALTER VIEW: AS, RENAME TO, SET and UNSET TBLPROPERTIES."""
    parts = reader.name_parts()
    name = full_name(parts, work.session.catalog, work.session.schema)
    with work.room.store.commit_lock:
        view = work.catalogs.find_view(name)
        if view is None:
            if work.catalogs.find_table(name) is not None:
                raise expect_view(name)
            raise table_not_found(name)
        if reader.accept("AS"):
            fresh = _view(work, name, reader.rest(), None)
            _store(
                work,
                changed(
                    view,
                    text=fresh.text,
                    columns=fresh.columns,
                    outputs=fresh.outputs,
                    catalog=fresh.catalog,
                    schema=fresh.schema,
                ),
            )
        elif reader.accept("RENAME", "TO"):
            _rename(work, view, reader)
        elif reader.accept("SET", "TBLPROPERTIES"):
            added = reader.properties()
            reader.end()
            _store(work, changed(view, properties={**view.properties, **added}))
        elif reader.accept("SET", "OWNER", "TO") or reader.accept("OWNER", "TO"):
            owner = reader.identifier()
            reader.end()
            _store(work, changed(view, owner=owner))
        else:
            raise reader.error()
    return empty_result()


def comment_view(work: Work, view: View, comment: str | None) -> None:
    """Set the comment of a view."""
    with work.room.store.commit_lock:
        _store(work, changed(view, comment=comment))


def _rename(work: Work, view: View, reader: Reader) -> None:
    new = qualify(reader.name_parts(), view.name.catalog, view.name.schema)
    reader.end()
    schema = work.catalogs.schema(new.catalog, new.schema)
    if new.name in schema.tables or new.name in schema.views:
        raise already_exists(new)
    renamed = changed(view, name=new)

    def persist() -> None:
        work.room.store.remove(work.cursor, "view", str(view.name))
        work.catalogs.write_view(work.cursor, renamed)

    def show() -> None:
        old = work.catalogs.schema(view.name.catalog, view.name.schema)
        del old.views[view.name.name]
        schema.views[new.name] = renamed

    change_catalog(work, persist, show)


def _store(work: Work, view: View) -> None:
    def show() -> None:
        work.catalogs.schema(view.name.catalog, view.name.schema).views[view.name.name] = view

    change_catalog(work, lambda: work.catalogs.write_view(work.cursor, view), show)


def _read_columns(reader: Reader) -> list[tuple[str, str | None]]:
    reader.expect("(")
    names = []
    while True:
        name = reader.identifier()
        names.append((name, reader.string() if reader.accept("COMMENT") else None))
        if not reader.accept(","):
            break
    reader.expect(")")
    return names


def _read_binding(reader: Reader) -> None:
    if reader.accept("COMPENSATION") or reader.accept("EVOLUTION"):
        return
    if reader.accept("BINDING") or reader.accept("TYPE", "EVOLUTION"):
        return
    raise reader.error()
