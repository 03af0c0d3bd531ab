"""dbt-databricks: 14 commands on a project, and what they leave in the warehouse."""

from __future__ import annotations

import datetime as dt
import json
import os
import shutil
import tempfile
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

from dbt.cli.main import dbtRunner

from tests.clients.checks import Checks, rows_of

checks = Checks()
project = Path(tempfile.mkdtemp(prefix="dbt-")) / "project"
shutil.copytree(Path(__file__).parent / "project", project)
os.chdir(project)


def dbt(*arguments: str) -> Callable[[], Any]:
    """A command; it fails where dbt says so, or where one of its nodes failed."""

    def run() -> Any:
        done = dbtRunner().invoke([*arguments, "--profiles-dir", "."])
        if done.exception is not None:
            raise done.exception
        wrong = [
            f"{item.node.name}: {item.message}"
            for item in getattr(done.result, "results", None) or ()
            if str(getattr(item, "status", "")) in ("error", "fail", "runtime error")
        ]
        assert done.success, wrong
        return done.result if done.result is not None else True

    return run


def rows(name: str, statement: str, expected: list[tuple]) -> None:
    checks.equal(name, lambda: [tuple(row) for row in rows_of(statement)], expected)


def changed(path: str, old: str, new: str) -> None:
    file = project / path
    assert old in file.read_text()
    file.write_text(file.read_text().replace(old, new))


S = "dbt_shop"
checks.step("1 debug", dbt("debug"))
checks.step("2 seed", dbt("seed"))
rows(
    "seeds have their rows",
    f"SELECT * FROM {S}.customers ORDER BY id",
    [
        (1, "Ada", dt.date(2024, 1, 2)),
        (2, "Grace, H.", dt.date(2024, 2, 3)),
        (3, "O'Brien", dt.date(2024, 3, 4)),
    ],
)
checks.step("3 run", dbt("run"))
rows(
    "a table has its rows",
    f"SELECT id, orders, total FROM {S}.customer_totals ORDER BY id",
    [(1, 2, Decimal("19.75")), (2, 1, Decimal("100.00")), (3, 1, Decimal("0.75"))],
)
rows(
    "a view is one",
    "SELECT table_name FROM main.information_schema.tables "
    f"WHERE table_schema = '{S}' AND table_type = 'VIEW'",
    [("stg_orders",)],
)
rows(
    "a description is a comment",
    "SELECT comment FROM main.information_schema.tables "
    f"WHERE table_schema = '{S}' AND table_name = 'customer_totals'",
    [("Each customer's orders.",)],
)
checks.step("4 snapshot", dbt("snapshot"))
checks.step("5 test", dbt("test"))
changed("seeds/customers.csv", "Ada", "Ada L.")
changed("seeds/orders.csv", "12,2,100.00", "12,2,101.00")
checks.step("6 seed again", dbt("seed"))
checks.step("7 run incrementally", dbt("run", "--vars", "{run: 2}"))
rows(
    "merge",
    f"SELECT order_id, amount, run_number FROM {S}.orders_merged ORDER BY ALL",
    [
        (10, Decimal("12.50"), 1),
        (11, Decimal("7.25"), 1),
        (12, Decimal("101.00"), 2),
        (13, Decimal("0.75"), 2),
    ],
)
rows(
    "append",
    f"SELECT order_id, run_number FROM {S}.orders_appended ORDER BY ALL",
    [(10, 1), (11, 1), (12, 1), (12, 2), (13, 1), (13, 2)],
)
rows(
    "replace",
    f"SELECT order_id, run_number FROM {S}.orders_replaced ORDER BY ALL",
    [(10, 1), (11, 1), (12, 2), (13, 2)],
)
rows(
    "overwrite",
    f"SELECT DISTINCT run_number FROM {S}.orders_overwritten",
    [(2,)],
)
checks.step("8 snapshot again", dbt("snapshot"))
rows(
    "the snapshot keeps what was",
    f"SELECT name, dbt_valid_to IS NULL FROM {S}.customers_snapshot "
    "WHERE id = 1 ORDER BY dbt_valid_from",
    [("Ada", False), ("Ada L.", True)],
)
checks.step("9 test again", dbt("test"))
changed("models/schema.yml", "[10, 11, 12, 13]", "[10, 11, 12]")
checks.equal(
    "a test that has to fail does",
    lambda: [
        str(item.status)
        for item in dbtRunner()
        .invoke(["test", "--select", "stg_orders", "--profiles-dir", "."])
        .result.results
        if item.node.name.startswith("accepted_values")
    ],
    ["fail"],
)
changed("models/schema.yml", "[10, 11, 12]", "[10, 11, 12, 13]")
checks.step("10 build anew", dbt("build", "--full-refresh"))
rows("it began anew", f"SELECT count(*) FROM {S}.orders_appended", [(4,)])
checks.step("11 docs generate", dbt("docs", "generate"))


def documented() -> dict[str, list[str]]:
    nodes = json.loads((project / "target" / "catalog.json").read_text())["nodes"]
    return {
        name.rpartition(".")[2]: [column["type"] for column in node["columns"].values()]
        for name, node in nodes.items()
        if name.startswith("model.") and name.endswith(("stg_orders", "customer_totals"))
    }


checks.equal(
    "docs have the columns",
    documented,
    {
        "customer_totals": ["bigint", "string", "bigint", "decimal(20,2)"],
        "stg_orders": ["bigint", "bigint", "decimal(10,2)", "date"],
    },
)
checks.step("12 show", dbt("show", "--select", "customer_totals"))
checks.equal("13 list", lambda: len(dbt("list", "--resource-type", "model")()), 6)
checks.step("14 compile", dbt("compile"))
checks.end()
