"""harlequin: its adapter's connection, catalogue, completions and results."""

from __future__ import annotations

import os

from harlequin_databricks import HarlequinDatabricksAdapter

from tests.clients.checks import Checks

checks = Checks()
adapter = HarlequinDatabricksAdapter(
    server_hostname="localhost",
    http_path=os.environ["DATABRICKS_HTTP_PATH"],
    access_token=os.environ["DATABRICKS_TOKEN"],
)
connection = checks.step("connect", adapter.connect)
checks.step(
    "a table is made", lambda: connection.execute("CREATE TABLE h (a INT, s STRING)") or True
)
checks.step("it is filled", lambda: connection.execute("INSERT INTO h VALUES (1, 'x'), (2, NULL)"))
cursor = checks.step("it is read", lambda: connection.execute("SELECT * FROM h ORDER BY a"))
checks.equal("columns", lambda: cursor.columns(), [("a", "##"), ("s", "s")])
checks.equal(
    "rows", lambda: cursor.fetchall().to_pylist(), [{"a": 1, "s": "x"}, {"a": 2, "s": None}]
)
checks.equal(
    "a limit",
    lambda: connection.execute("SELECT * FROM range(9)").set_limit(2).fetchall().num_rows,
    2,
)


def labels() -> list[str]:
    main = next(item for item in connection.get_catalog().items if item.label == "main")
    schema = next(item for item in main.children if item.label == "default")
    table = next(item for item in schema.children if item.label == "h")
    return [f"{column.label} {column.type_label}" for column in table.children]


checks.equal("the catalogue has the columns", labels, ["a INT", "s STRING"])
checks.equal("completions", lambda: len(connection.get_completions()) > 300, True)
checks.step("close", lambda: connection.close())
checks.end()
