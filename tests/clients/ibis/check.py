"""ibis: its set-up (a volume for tables in memory), and expressions against their rows."""

from __future__ import annotations

import datetime as dt
import tempfile

import ibis
import pandas as pd

from tests.clients.checks import Checks, connect_arguments, rows_of

checks = Checks()
connection = checks.step(
    "connect makes the volume for tables in memory",
    lambda: ibis.databricks.connect(
        **connect_arguments(),
        catalog="main",
        schema="default",
        staging_allowed_local_path=tempfile.gettempdir(),
    ),
)
frame = pd.DataFrame(
    {
        "id": [1, 2, 3, 4],
        "who": ["Ada", "Ada", "Grace", None],
        "amount": [1.5, 2.5, 10.0, None],
        "day": [dt.date(2024, 5, day) for day in (1, 2, 2, 3)],
    }
)


def rows(expression) -> list[tuple]:
    return [tuple(row.values()) for row in expression.to_pyarrow().to_pylist()]


table = checks.step("create_table from a frame", lambda: connection.create_table("o", frame))
checks.equal(
    "its rows",
    lambda: rows_of("SELECT id, who FROM o ORDER BY id"),
    [(1, "Ada"), (2, "Ada"), (3, "Grace"), (4, None)],
)
checks.equal("list_tables", lambda: "o" in connection.list_tables(), True)
checks.equal("schema", lambda: table.schema()["day"].is_date(), True)
checks.equal(
    "group_by",
    lambda: rows(
        table.group_by("who").agg(n=table.count(), total=table.amount.sum()).order_by("who")
    ),
    [("Ada", 2, 4.0), ("Grace", 1, 10.0), (None, 1, None)],
)
checks.equal(
    "filter and mutate",
    lambda: rows(
        table.filter(table.amount > 2).mutate(b=table.amount * 2).order_by("id")[["id", "b"]]
    ),
    [(2, 5.0), (3, 20.0)],
)
checks.equal(
    "window",
    lambda: rows(
        table.mutate(r=ibis.row_number().over(group_by="who", order_by=ibis.desc("id"))).order_by(
            "id"
        )[["id", "r"]]
    ),
    [(1, 1), (2, 0), (3, 0), (4, 0)],
)
checks.equal(
    "join with a table in memory",
    lambda: rows(
        table.join(ibis.memtable({"who": ["Grace"], "team": ["navy"]}), "who")[["id", "team"]]
    ),
    [(3, "navy")],
)
checks.equal(
    "dates",
    lambda: rows(table.select(m=table.day.truncate("M"), y=table.day.year()).distinct()),
    [(dt.date(2024, 5, 1), 2024)],
)
checks.equal(
    "strings",
    lambda: rows(table.filter(table.who.like("A%")).select(u=table.who.upper()).distinct()),
    [("ADA",)],
)
checks.equal("raw sql", lambda: rows(connection.sql("SELECT max(id) AS m FROM o")), [(4,)])
checks.step("insert", lambda: connection.insert("o", frame.assign(id=frame.id + 10)))
checks.equal("it has inserted", lambda: rows_of("SELECT count(*), max(id) FROM o"), [(8, 14)])
checks.step("create_view", lambda: connection.create_view("v", table.filter(table.id > 10)))
checks.equal("its rows", lambda: connection.table("v").count().execute(), 4)
checks.step("drop_table", lambda: (connection.drop_view("v"), connection.drop_table("o")))
checks.equal("it is gone", lambda: "o" in connection.list_tables(), False)
checks.end()
