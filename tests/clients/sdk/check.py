"""databricks-sdk: statements over REST, and what it lists."""

from __future__ import annotations

from databricks.sdk import WorkspaceClient
from databricks.sdk.service.sql import Disposition, Format, StatementParameterListItem

from tests.clients.checks import Checks

checks = Checks()
client = checks.step("the client finds its settings", WorkspaceClient)
warehouse = client.config.warehouse_id


def run(statement: str, **options):
    reply = client.statement_execution.execute_statement(statement, warehouse, **options)
    assert reply.status.state.value == "SUCCEEDED", reply.status
    return reply.result.data_array if reply.result else None


checks.equal("a statement", lambda: run("SELECT 1 AS a, 'x' AS b, NULL AS c"), [["1", "x", None]])
checks.equal(
    "a parameter",
    lambda: run(
        "SELECT :n + 1", parameters=[StatementParameterListItem("n", type="INT", value="41")]
    ),
    [["42"]],
)
checks.step("a table is made", lambda: run("CREATE TABLE main.default.s (a INT)") or True)
checks.step(
    "it is filled", lambda: run("INSERT INTO s VALUES (1), (2)", catalog="main", schema="default")
)
checks.equal("its rows", lambda: run("SELECT a FROM main.default.s ORDER BY a"), [["1"], ["2"]])


def failure() -> str:
    reply = client.statement_execution.execute_statement("SELECT nope", warehouse)
    return f"{reply.status.state.value} {reply.status.error.message[:18]}"


checks.equal("an error is told", failure, "FAILED [UNRESOLVED_COLUMN")


def external() -> int:
    reply = client.statement_execution.execute_statement(
        "SELECT * FROM range(1000)",
        warehouse,
        disposition=Disposition.EXTERNAL_LINKS,
        format=Format.ARROW_STREAM,
    )
    return sum(link.row_count for link in reply.result.external_links)


checks.equal("external links", external, 1000)
checks.equal("the warehouse runs", lambda: client.warehouses.get(warehouse).state.value, "RUNNING")
checks.equal(
    "it is listed", lambda: warehouse in [one.id for one in client.warehouses.list()], True
)
checks.equal("who asks", lambda: bool(client.current_user.me().user_name), True)
checks.equal("catalogs", lambda: "main" in [one.name for one in client.catalogs.list()], True)
checks.equal(
    "schemas", lambda: "default" in [one.name for one in client.schemas.list("main")], True
)
checks.equal(
    "tables", lambda: "s" in [one.name for one in client.tables.list("main", "default")], True
)
checks.equal(
    "the query history",
    lambda: (
        "SELECT nope" in [one.query_text for one in client.query_history.list(max_results=50).res]
    ),
    True,
)
checks.end()
