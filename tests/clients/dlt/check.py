"""dlt: pipelines that replace, append and merge, with nested rows and a schema that grows."""

from __future__ import annotations

import os
import tempfile

os.environ["RUNTIME__DLTHUB_TELEMETRY"] = "false"
os.environ["DLT_DATA_DIR"] = tempfile.mkdtemp(prefix="dlt-")

import dlt
from dlt.destinations import databricks

from tests.clients.checks import Checks, connect_arguments, rows_of

checks = Checks()
arguments = connect_arguments()
credentials = {
    "server_hostname": arguments["server_hostname"],
    "http_path": arguments["http_path"],
    "access_token": arguments["access_token"],
    "catalog": "main",
    "connection_parameters": {
        name: arguments[name] for name in ("_port", "_tls_trusted_ca_file", "enable_telemetry")
    },
}
pipeline = dlt.pipeline(
    "shop", destination=databricks(credentials=credentials), dataset_name="dlt_shop"
)


def load(rows: list[dict], name: str, how: str, key: str | None = None) -> None:
    resource = dlt.resource(rows, name=name, write_disposition=how, primary_key=key)
    assert not pipeline.run(resource).has_failed_jobs


ORDERS = [
    {"id": 1, "amount": 1.5, "items": [{"sku": "a"}, {"sku": "b"}]},
    {"id": 2, "amount": None},
]
checks.step("the first load makes the schema", lambda: load(ORDERS, "orders", "merge", "id"))
checks.equal(
    "its rows",
    lambda: rows_of("SELECT id, amount FROM dlt_shop.orders ORDER BY id"),
    [(1, 1.5), (2, None)],
)
checks.equal(
    "nested rows",
    lambda: rows_of("SELECT sku FROM dlt_shop.orders__items ORDER BY sku"),
    [("a",), ("b",)],
)
MORE = [{"id": 2, "amount": 9.0, "items": [{"sku": "c"}]}, {"id": 3, "amount": 3.0}]
checks.step("merge", lambda: load(MORE, "orders", "merge", "id"))
checks.equal(
    "merged",
    lambda: rows_of("SELECT id, amount FROM dlt_shop.orders ORDER BY id"),
    [(1, 1.5), (2, 9.0), (3, 3.0)],
)
checks.equal(
    "nested rows merged",
    lambda: rows_of("SELECT sku FROM dlt_shop.orders__items ORDER BY sku"),
    [("a",), ("b",), ("c",)],
)
checks.step("append", lambda: load([{"n": 1}], "log", "append"))
checks.step("append a column", lambda: load([{"n": 2, "why": "it's"}], "log", "append"))
checks.equal(
    "appended",
    lambda: rows_of("SELECT n, why FROM dlt_shop.log ORDER BY n"),
    [(1, None), (2, "it's")],
)
checks.step("replace", lambda: load([{"n": 7}], "log", "replace"))
checks.equal("replaced", lambda: rows_of("SELECT n, why FROM dlt_shop.log"), [(7, None)])
checks.equal(
    "its dataset reads",
    lambda: pipeline.dataset().orders.df()["id"].sort_values().tolist(),
    [1, 2, 3],
)
checks.equal(
    "its own tables",
    lambda: rows_of("SELECT count(*) > 0 FROM dlt_shop._dlt_loads WHERE status = 0"),
    [(True,)],
)
checks.end()
