"""great_expectations: a data source, and expectations that hold and that fail."""

from __future__ import annotations

import os

import great_expectations as gx
from great_expectations import expectations as gxe

from tests.clients.checks import Checks, rows_of

checks = Checks()
URL = (
    f"databricks://token:{os.environ['DATABRICKS_TOKEN']}@localhost:443"
    f"?http_path={os.environ['DATABRICKS_HTTP_PATH']}&catalog=main&schema=default"
)
rows_of(
    "CREATE TABLE g AS SELECT id, CAST(id AS STRING) AS s, if(id = 3, NULL, id) AS n FROM range(10)"
)
context = gx.get_context(mode="ephemeral")
context.variables.progress_bars = {"globally": False}
source = checks.step(
    "the data source connects",
    lambda: context.data_sources.add_databricks_sql("warehouse", connection_string=URL),
)
batch = checks.step(
    "a table is its asset",
    lambda: (
        source.add_table_asset("g", table_name="g")
        .add_batch_definition_whole_table("all")
        .get_batch()
    ),
)
query = checks.step(
    "a query is one",
    lambda: (
        source.add_query_asset("q", query="SELECT id FROM g WHERE id > 4")
        .add_batch_definition_whole_table("all")
        .get_batch()
    ),
)


def result(of, expectation) -> tuple:
    found = of.validate(expectation)
    return found.success, found.result.get("observed_value", found.result.get("unexpected_count"))


for expectation, expected in (
    (gxe.ExpectTableRowCountToEqual(value=10), (True, 10)),
    (gxe.ExpectTableColumnsToMatchSet(column_set=["id", "s", "n"]), (True, ["id", "n", "s"])),
    (gxe.ExpectColumnValuesToBeUnique(column="id"), (True, 0)),
    (gxe.ExpectColumnValuesToNotBeNull(column="n"), (False, 1)),
    (gxe.ExpectColumnValuesToBeBetween(column="id", min_value=0, max_value=7), (False, 2)),
    (gxe.ExpectColumnMeanToBeBetween(column="id", min_value=4, max_value=5), (True, 4.5)),
    (gxe.ExpectColumnMaxToBeBetween(column="id", max_value=8), (False, 9)),
    (gxe.ExpectColumnSumToBeBetween(column="id", min_value=45, max_value=45), (True, 45)),
    (gxe.ExpectColumnValuesToMatchRegex(column="s", regex="^[0-8]$"), (False, 1)),
    (gxe.ExpectColumnValueLengthsToEqual(column="s", value=1), (True, 0)),
    (gxe.ExpectColumnValuesToBeInSet(column="s", value_set=list("01234567")), (False, 2)),
    (gxe.ExpectColumnUniqueValueCountToBeBetween(column="n", min_value=9, max_value=9), (True, 9)),
    (
        gxe.ExpectColumnPairValuesAToBeGreaterThanB(column_A="id", column_B="n", or_equal=True),
        (True, 0),
    ),
):
    checks.equal(type(expectation).__name__, lambda e=expectation: result(batch, e), expected)
checks.equal(
    "of a query", lambda: result(query, gxe.ExpectTableRowCountToEqual(value=5)), (True, 5)
)
checks.end()
