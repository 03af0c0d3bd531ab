"""The lists of Unity Catalog: catalogs, schemas, tables and volumes, as far as they are known here.

``/api/2.1/unity-catalog/…`` (https://docs.databricks.com/api/workspace/tables/list and its
relatives), for reading alone: what is created is created in SQL. Parameters and fields have the
names that databricks-sdk-py gives them (``service/catalog.py``). The tables of
``information_schema`` are not listed.
"""

from __future__ import annotations

import re
import urllib.parse
from collections.abc import Callable, Sequence
from typing import Any

from vinci_code.warehouse.engine.catalog import SYSTEM_CATALOG
from vinci_code.warehouse.engine.catalog_view import (
    CatalogView,
    ColumnInfo,
    SchemaInfo,
    TableInfo,
)
from vinci_code.warehouse.engine.model import Volume
from vinci_code.warehouse.wire.rest import error_answer, json_answer
from vinci_code.warehouse.wire.results import api_type, json_type
from vinci_code.warehouse.wire.server import HttpAnswer, Request

_LARGEST_PAGE = 1000
_PATH = re.compile(r"/api/2\.1/unity-catalog/(catalogs|schemas|tables|volumes)(?:/([^/]+))?")
# What says where to look; the others are accepted because they leave nothing out here.
_SCOPE = {
    "catalogs": (),
    "schemas": ("catalog_name",),
    "tables": ("catalog_name", "schema_name"),
    "volumes": ("catalog_name", "schema_name"),
}
_ACCEPTED = frozenset(
    ("max_results", "page_token", "include_browse", "omit_properties", "omit_username")
)


class _NotThereError(Exception):
    """A name names nothing."""

    def __init__(self, kind: str, name: str) -> None:
        super().__init__(f"{kind.capitalize()} '{name[:200]}' does not exist.")
        self.code = f"{kind.upper()}_DOES_NOT_EXIST"


class UnityApi:
    """Answers what begins with ``/api/2.1/unity-catalog/``; ``view`` gives what there is."""

    def __init__(self, view: Callable[[], CatalogView]) -> None:
        self._view = view

    def answer(self, request: Request) -> HttpAnswer:
        """Answer an authenticated request."""
        match = _PATH.fullmatch(request.path)
        if match is None or request.method != "GET":
            return error_answer(
                400,
                "UNSUPPORTED_BY_LOCAL_WAREHOUSE",
                "[UNSUPPORTED_BY_LOCAL_WAREHOUSE] The local warehouse reads catalogs, schemas, "
                "tables and volumes over REST, and nothing else of Unity Catalog: found "
                f"{request.method} {request.path[:200]}. Use SQL. SQLSTATE: 0A000",
            )
        kind, name = match.groups()
        try:
            if name is not None:
                return json_answer(self._one(kind, urllib.parse.unquote(name)))
            return self._list(kind, dict(request.query))
        except _NotThereError as error:
            return error_answer(404, error.code, str(error))
        except ValueError as error:
            return error_answer(400, "INVALID_PARAMETER_VALUE", str(error))

    def _list(self, kind: str, given: dict[str, str]) -> HttpAnswer:
        unknown = sorted(set(given) - _ACCEPTED - set(_SCOPE[kind]))
        if unknown:
            raise ValueError(f"unknown parameter {unknown[0][:100]!a}")
        missing = [name for name in _SCOPE[kind] if not given.get(name)]
        if missing:
            raise ValueError(f"{missing[0]} is required")
        found = self._all(kind, [given[name] for name in _SCOPE[kind]])
        start, size = _number(given, "page_token"), _number(given, "max_results")
        size = min(size or _LARGEST_PAGE, _LARGEST_PAGE)
        answer: dict[str, Any] = {kind: found[start : start + size]}
        if start + size < len(found):
            answer["next_page_token"] = str(start + size)
        return json_answer(answer)

    def _one(self, kind: str, full_name: str) -> dict[str, Any]:
        *scope, name = full_name.split(".")
        if len(scope) != len(_SCOPE[kind]):
            raise _NotThereError(kind[:-1], full_name)
        for item in self._all(kind, scope):
            if item["name"] == name.lower():
                return item
        raise _NotThereError(kind[:-1], full_name)

    def _all(self, kind: str, scope: Sequence[str]) -> list[dict[str, Any]]:
        view = self._view()
        if scope and scope[0].lower() not in view.catalogs():
            raise _NotThereError("catalog", scope[0])
        if len(scope) > 1 and scope[1].lower() not in view.schemas(scope[0]):
            raise _NotThereError("schema", ".".join(scope))
        if kind == "catalogs":
            return [_catalog(name) for name in view.catalogs()]
        if kind == "schemas":
            return [_schema(item) for item in view.schema_infos(*scope)]
        if kind == "volumes":
            return [_volume(item) for item in view.volumes(*scope)]
        return [
            _table(item, view.columns(item.catalog, item.schema, item.name))
            for item in view.tables(*scope)
        ]


def _number(given: dict[str, str], name: str) -> int:
    text = given.get(name) or "0"
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise ValueError(f"{name} must be a whole number, found {text[:100]!a}")
    return int(text)


def _catalog(name: str) -> dict[str, Any]:
    kind = "SYSTEM_CATALOG" if name == SYSTEM_CATALOG else "MANAGED_CATALOG"
    return {"name": name, "full_name": name, "catalog_type": kind}


def _schema(item: SchemaInfo) -> dict[str, Any]:
    return _filled(
        name=item.name,
        catalog_name=item.catalog,
        full_name=f"{item.catalog}.{item.name}",
        owner=item.owner,
        comment=item.comment,
        created_at=int(item.created.timestamp() * 1000),
    )


def _table(item: TableInfo, columns: Sequence[ColumnInfo]) -> dict[str, Any]:
    is_view = item.kind == "VIEW"
    return _filled(
        name=item.name,
        catalog_name=item.catalog,
        schema_name=item.schema,
        full_name=f"{item.catalog}.{item.schema}.{item.name}",
        table_type="VIEW" if is_view else "MANAGED",
        data_source_format=None if is_view else "DELTA",
        columns=[_column(column) for column in columns],
        owner=item.owner,
        comment=item.comment,
        created_at=int(item.created.timestamp() * 1000),
        updated_at=int(item.altered.timestamp() * 1000),
        view_definition=item.view_text,
    )


def _column(item: ColumnInfo) -> dict[str, Any]:
    told = api_type(item.type)
    name = told["type_name"]
    # This API names types as Unity Catalog does, which has one of its own for this type.
    told["type_name"] = item.type.name if item.type.name == "TIMESTAMP_NTZ" else name
    return _filled(
        name=item.name,
        **told | {"type_text": item.type.text.lower()},
        type_json=json_type(item.type),
        position=item.position,
        nullable=item.nullable,
        comment=item.comment,
        partition_index=item.partition_index,
    )


def _volume(item: Volume) -> dict[str, Any]:
    name = item.name
    return _filled(
        name=name.name,
        catalog_name=name.catalog,
        schema_name=name.schema,
        full_name=f"{name.catalog}.{name.schema}.{name.name}",
        volume_type="MANAGED",
        owner=item.owner,
        comment=item.comment,
        volume_id=str(item.id),
    )


def _filled(**fields: object) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}
