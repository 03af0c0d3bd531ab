"""DESCRIBE in its forms.

https://docs.databricks.com/aws/en/sql/language-manual/sql-ref-syntax-aux-describe-table and the
pages beside it. The layout of DESCRIBE TABLE EXTENDED is that which databricks-sqlalchemy reads
(``databricks/sqlalchemy/_parse.py``), that of AS JSON the one which dbt-databricks reads.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime, timezone
from typing import Any

from vinci_code.warehouse.engine import properties
from vinci_code.warehouse.engine.catalog import table_not_found
from vinci_code.warehouse.engine.model import Table, TableColumn, View
from vinci_code.warehouse.engine.names import backtick
from vinci_code.warehouse.engine.namespace import full_name
from vinci_code.warehouse.engine.reader import Reader, qualify_schema
from vinci_code.warehouse.engine.result import Result, rows_result, text_columns, typed_columns
from vinci_code.warehouse.engine.show import key_definition, table_or_view_columns
from vinci_code.warehouse.engine.volume_statements import describe_volume
from vinci_code.warehouse.engine.work import Work
from vinci_code.warehouse.sql.errors import SqlError, unsupported
from vinci_code.warehouse.sql.types import (
    BIGINT,
    BOOLEAN,
    INT,
    STRING,
    TIMESTAMP,
    SqlType,
    array,
    map_of,
    struct,
)

_Rows = list[tuple[str, str, str | None]]
_ENGINE_INFO = "vinci-code local warehouse"
_QUERY_WORDS = ("SELECT", "WITH", "VALUES", "FROM")


def describe(work: Work, reader: Reader) -> Result:
    """Run DESCRIBE."""
    reader.next()
    for words, action in _FORMS:
        if reader.accept(*words):
            return action(work, reader)
    if any(reader.peek(word) for word in _QUERY_WORDS) or reader.peek("("):
        return _query(work, reader)
    # A table may be called "volume".
    if reader.peek("VOLUME") and len(reader.lexemes) > reader.index + 1:
        reader.expect("VOLUME")
        return describe_volume(work, reader)
    for word in (
        "FUNCTION",
        "CONNECTION",
        "PROVIDER",
        "RECIPIENT",
        "SHARE",
        "CREDENTIAL",
    ):
        if reader.peek(word) and len(reader.lexemes) > reader.index + 1:
            raise unsupported(f"DESCRIBE {word}")
    return _table(work, reader)


def allowed_in_transaction(reader: Reader) -> bool:
    """Return whether a DESCRIBE may stand in a transaction: the basic form, and of a query."""
    reader.next()
    if reader.accept("QUERY") or any(reader.peek(word) for word in _QUERY_WORDS):
        return True
    reader.accept("TABLE")
    words = ("EXTENDED", "FORMATTED", "DETAIL", "HISTORY", "CATALOG", "SCHEMA", "DATABASE")
    if any(reader.peek(word) for word in (*words, "FUNCTION", "VOLUME")):
        return len(reader.lexemes) == reader.index + 1
    return True


def _query(work: Work, reader: Reader) -> Result:
    translated = work.translate_text(reader.rest())
    rows = [(item.name, item.type.simple, item.comment) for item in translated.columns]
    return rows_result("DESCRIBE", text_columns("col_name", "data_type", "comment"), rows)


# ---- tables and views


def _table(work: Work, reader: Reader) -> Result:
    reader.accept("TABLE")
    extended = reader.accept_any("EXTENDED", "FORMATTED") is not None
    parts = reader.name_parts()
    as_json = reader.accept("AS", "JSON")
    if not reader.done and reader.at_name:
        raise unsupported("DESCRIBE of one column")
    reader.end()
    if as_json:
        if not extended:
            raise SqlError(
                "DESCRIBE_JSON_NOT_EXTENDED",
                "0A000",
                "DESCRIBE TABLE ... AS JSON only supported when [EXTENDED|FORMATTED] is specified. "
                "For example: DESCRIBE EXTENDED <tableName> AS JSON is supported but DESCRIBE "
                "<tableName> AS JSON is not.",
            )
        text = json.dumps(_json(work, parts))
        return rows_result("DESCRIBE", text_columns("json_metadata"), [[text]])
    columns = table_or_view_columns(work, parts)
    rows: _Rows = [(item.name, item.type.simple, item.comment) for item in columns]
    rows += _detail_rows(work, parts, extended)
    return rows_result("DESCRIBE", text_columns("col_name", "data_type", "comment"), rows)


def table_details(work: Work, parts: list[str]) -> list[tuple[str, str]]:
    """What DESCRIBE TABLE EXTENDED tells of a table or view below its columns, by its labels.

    Raises:
        SqlError: ``TABLE_OR_VIEW_NOT_FOUND``.
    """
    found = _found(work, parts)
    rows = _view_rows(found) if isinstance(found, View) else _table_rows(found)
    return [(label, value) for label, value, _ in rows]


def _found(work: Work, parts: list[str]) -> Table | View:
    if len(parts) == 1 and parts[0].lower() in work.temporary_views:
        return work.temporary_views[parts[0].lower()]
    name = full_name(parts, work.session.catalog, work.session.schema)
    found = work.catalogs.find_table(name) or work.catalogs.find_view(name)
    if found is None:
        raise table_not_found(".".join(backtick(part) for part in parts))
    return found


def _detail_rows(work: Work, parts: list[str], extended: bool) -> _Rows:
    found = _found(work, parts)
    rows: _Rows = []
    if isinstance(found, Table):
        rows += _layout_rows(found)
    if not extended:
        return rows
    rows += [("", "", ""), ("# Detailed Table Information", "", "")]
    if isinstance(found, View):
        return rows + _view_rows(found)
    rows += _table_rows(found)
    if found.state.schema.keys:
        rows += [("", "", ""), ("# Constraints", "", "")]
        rows += [(key.name, key_definition(key), "") for key in found.state.schema.keys]
    return rows


def _layout_rows(table: Table) -> _Rows:
    schema = table.state.schema
    names = schema.partition_by or schema.cluster_by
    if not names:
        return []
    title = "# Partition Information" if schema.partition_by else "# Clustering Information"
    rows: _Rows = [(title, "", ""), ("# col_name", "data_type", "comment")]
    chosen = [schema.column(name) for name in names]
    return rows + [(item.name, item.type.simple, item.comment) for item in chosen]


def _table_rows(table: Table) -> _Rows:
    name, schema = table.name, table.state.schema
    listed = ",".join(f"{key}={value}" for key, value in properties.shown(schema).items())
    rows = [
        ("Catalog", name.catalog),
        ("Database", name.schema),
        ("Table", name.name),
        ("Created Time", _java_time(table.created)),
        ("Last Access", "UNKNOWN"),
        ("Created By", _ENGINE_INFO),
        ("Type", "MANAGED"),
        ("Location", ""),
        ("Provider", "delta"),
        *([("Comment", schema.comment)] if schema.comment else []),
        ("Owner", table.owner),
        ("Is_managed_location", "true"),
        ("Table Properties", f"[{listed}]"),
    ]
    return [(label, value, "") for label, value in rows]


def _view_rows(view: View) -> _Rows:
    name = view.name
    rows = [
        ("Catalog", name.catalog),
        ("Database", name.schema),
        ("Table", name.name),
        ("Created Time", _java_time(view.created)),
        ("Last Access", "UNKNOWN"),
        ("Created By", _ENGINE_INFO),
        ("Type", "VIEW"),
        *([("Comment", view.comment)] if view.comment else []),
        ("Owner", view.owner),
        ("View Text", view.text),
        ("View Catalog and Namespace", f"{view.catalog}.{view.schema}"),
        ("View Query Output Columns", f"[{', '.join(view.outputs)}]"),
    ]
    return [(label, value, "") for label, value in rows]


def _java_time(moment: datetime) -> str:
    return moment.astimezone(timezone.utc).strftime("%a %b %d %H:%M:%S UTC %Y")


# ---- AS JSON


def _json(work: Work, parts: list[str]) -> dict[str, Any]:
    found = _found(work, parts)
    name = found.name
    data: dict[str, Any] = {
        "table_name": name.name,
        "catalog_name": name.catalog,
        "namespace": [name.schema],
        "schema_name": name.schema,
    }
    created = found.created.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    if isinstance(found, View):
        columns = [TableColumn(c.name, c.type, "", c.nullable, c.comment) for c in found.columns]
        data["columns"] = [_json_column(column) for column in columns]
        data.update(type="VIEW", view_text=found.text, owner=found.owner, created_time=created)
        data["view_query_output_columns"] = list(found.outputs)
        comment = found.comment
    else:
        schema = found.state.schema
        data["columns"] = [_json_column(column) for column in schema.columns]
        data.update(type="MANAGED", provider="delta", owner=found.owner, created_time=created)
        data["is_managed_location"] = True
        data["table_properties"] = properties.shown(schema)
        if schema.partition_by:
            data["partition_columns"] = list(schema.partition_by)
        if schema.cluster_by:
            data["clustering_columns"] = list(schema.cluster_by)
        if schema.keys:
            listed = ", ".join(f"({key.name}, {key_definition(key)})" for key in schema.keys)
            data["table_constraints"] = f"[{listed}]"
        comment = schema.comment
    if comment:
        data["comment"] = comment
    return data


def _json_column(column: TableColumn) -> dict[str, Any]:
    data: dict[str, Any] = {
        "name": column.name,
        "type": json_type(column.type),
        "nullable": column.nullable,
    }
    if column.comment:
        data["comment"] = column.comment
    if column.default is not None:
        data["default"] = column.default
    return data


def json_type(kind: SqlType) -> dict[str, Any]:
    """Return a type as DESCRIBE … AS JSON writes it."""
    name = kind.name.lower()
    if kind.element is not None:
        return {"name": name, "element_type": json_type(kind.element), "element_nullable": True}
    if kind.key is not None and kind.value is not None:
        return {
            "name": name,
            "key_type": json_type(kind.key),
            "value_type": json_type(kind.value),
            "value_nullable": True,
        }
    if kind.name == "STRUCT":
        fields = [
            {"name": item.name, "type": json_type(item.type), "nullable": item.nullable}
            for item in kind.fields
        ]
        return {"name": name, "fields": fields}
    if kind.name == "DECIMAL":
        return {"name": name, "precision": kind.precision, "scale": kind.scale}
    if kind.length is not None:
        return {"name": name, "length": kind.length}
    if kind.name == "STRING":
        return {"name": name, "collation": "UTF8_BINARY"}
    if kind.name == "TIMESTAMP":
        return {"name": "timestamp_ltz"}
    return {"name": name}


# ---- catalogs and schemas


def _schema(work: Work, reader: Reader) -> Result:
    extended = reader.accept("EXTENDED")
    catalog, name = qualify_schema(reader.name_parts(), work.session.catalog)
    reader.end()
    schema = work.catalogs.schema(catalog, name)
    rows = [
        ("Catalog Name", catalog),
        ("Namespace Name", schema.name),
        ("Comment", schema.comment or ""),
        ("Location", ""),
        ("Owner", schema.owner),
    ]
    if extended:
        listed = ", ".join(f"({key},{value})" for key, value in sorted(schema.properties.items()))
        rows.append(("Properties", f"({listed})" if listed else ""))
    columns = text_columns("database_description_item", "database_description_value")
    return rows_result("DESCRIBE", columns, rows)


def _catalog(work: Work, reader: Reader) -> Result:
    reader.accept("EXTENDED")
    name = reader.identifier()
    reader.end()
    catalog = work.catalogs.catalog(name)
    rows = [
        ("Catalog Name", catalog.name),
        ("Comment", catalog.comment or ""),
        ("Owner", catalog.owner),
        ("Catalog Type", "MANAGED_CATALOG"),
    ]
    return rows_result("DESCRIBE", text_columns("info_name", "info_value"), rows)


# ---- history and detail


def _delta_table(work: Work, reader: Reader, what: str) -> Table:
    name = full_name(reader.name_parts(), work.session.catalog, work.session.schema)
    if work.catalogs.find_view(name) is not None:
        if what == "HISTORY":
            raise SqlError(
                "DELTA_CANNOT_DESCRIBE_VIEW_HISTORY",
                "42809",
                "Cannot describe the history of a view.",
            )
        raise SqlError(
            "DELTA_UNSUPPORTED_DESCRIBE_DETAIL_VIEW",
            "42809",
            f"{name} is a view. DESCRIBE DETAIL is only supported for tables.",
        )
    return work.catalogs.table(name)


def _history(work: Work, reader: Reader) -> Result:
    table = _delta_table(work, reader, "HISTORY")
    limit = reader.integer() if reader.accept("LIMIT") else None
    reader.end()
    text_map = map_of(STRING, STRING)
    columns = typed_columns(
        ("version", BIGINT),
        ("timestamp", TIMESTAMP),
        ("userId", STRING),
        ("userName", STRING),
        ("operation", STRING),
        ("operationParameters", text_map),
        ("job", struct(("jobId", STRING), ("jobName", STRING), ("jobRunId", STRING),
                       ("runId", STRING), ("jobOwnerId", STRING), ("triggerType", STRING))),
        ("notebook", struct(("notebookId", STRING))),
        ("clusterId", STRING),
        ("readVersion", BIGINT),
        ("isolationLevel", STRING),
        ("isBlindAppend", BOOLEAN),
        ("operationMetrics", text_map),
        ("userMetadata", STRING),
        ("engineInfo", STRING),
    )  # fmt: skip
    rows = [
        (
            item.version, item.timestamp, None, table.owner, item.operation,
            list(item.parameters.items()), None, None, None, item.read_version, item.isolation,
            item.blind_append, list(item.metrics.items()), None, _ENGINE_INFO,
        )
        for item in reversed(table.commits)
    ]  # fmt: skip
    return rows_result("DESCRIBE", columns, rows[:limit])


def _detail(work: Work, reader: Reader) -> Result:
    table = _delta_table(work, reader, "DETAIL")
    reader.end()
    schema, strings = table.state.schema, array(STRING)
    columns = typed_columns(
        ("format", STRING),
        ("id", STRING),
        ("name", STRING),
        ("description", STRING),
        ("location", STRING),
        ("createdAt", TIMESTAMP),
        ("lastModified", TIMESTAMP),
        ("partitionColumns", strings),
        ("clusteringColumns", strings),
        ("numFiles", BIGINT),
        ("sizeInBytes", BIGINT),
        ("properties", map_of(STRING, STRING)),
        ("minReaderVersion", INT),
        ("minWriterVersion", INT),
        ("tableFeatures", strings),
    )
    shown = properties.shown(schema)
    features = [
        key[len(properties.FEATURE) :] for key in shown if key.startswith(properties.FEATURE)
    ]
    protocol = ("delta.minReaderVersion", "delta.minWriterVersion")
    plain = [
        (key, value)
        for key, value in shown.items()
        if not key.startswith(properties.FEATURE) and key not in protocol
    ]
    row = (
        "delta", f"{table.state.id:032x}", str(table.name), schema.comment, "",
        table.created, table.commits[-1].timestamp, list(schema.partition_by),
        list(schema.cluster_by), None, None, plain, 3, 7, sorted(features),
    )  # fmt: skip
    return rows_result("DESCRIBE", columns, [row])


_FORMS: tuple[tuple[tuple[str, ...], Callable[[Work, Reader], Result]], ...] = (
    (("HISTORY",), _history),
    (("DETAIL",), _detail),
    (("SCHEMA",), _schema),
    (("DATABASE",), _schema),
    (("CATALOG",), _catalog),
    (("QUERY",), _query),
)
