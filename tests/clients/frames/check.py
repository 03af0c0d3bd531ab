"""pandas and polars, through databricks-sqlalchemy and through the vendor's driver."""

from __future__ import annotations

import datetime as dt
import math
import os

import pandas as pd
import polars as pl
import sqlalchemy as sa
from databricks import sql

from tests.clients.checks import Checks, connect_arguments, rows_of

URL = (
    f"databricks://token:{os.environ['DATABRICKS_TOKEN']}@localhost"
    f"?http_path={os.environ['DATABRICKS_HTTP_PATH']}&catalog=main&schema=default"
)
BESIDE = ("_port", "_tls_trusted_ca_file", "enable_telemetry")
checks = Checks()
engine = sa.create_engine(URL, connect_args={name: connect_arguments()[name] for name in BESIDE})
driver = sql.connect(**connect_arguments())
DAY = dt.datetime(2024, 1, 2, 3, 4, 5)
frame = pd.DataFrame(
    {"a": [1, 2, 3], "s": ["x", "it's", None], "f": [1.5, None, 2.5], "d": [DAY] * 3}
)
ROWS = [(1, "x", 1.5, DAY), (2, "it's", None, DAY), (3, None, 2.5, DAY)]


def plain(found: pd.DataFrame) -> list[tuple]:
    def cell(value):
        if value is None or value is pd.NaT or (isinstance(value, float) and math.isnan(value)):
            return None
        return value.to_pydatetime() if isinstance(value, pd.Timestamp) else value

    return [tuple(cell(value) for value in row) for row in found.itertuples(index=False)]


checks.step("pandas.to_sql", lambda: frame.to_sql("p", engine, index=False, method="multi"))
checks.equal("to_sql wrote the rows", lambda: rows_of("SELECT * FROM p ORDER BY a"), ROWS)
checks.equal(
    "pandas.read_sql",
    lambda: plain(pd.read_sql("SELECT * FROM p ORDER BY a", engine)),
    ROWS,
)
checks.step("to_sql appends", lambda: frame.to_sql("p", engine, index=False, if_exists="append"))
checks.equal("it has appended", lambda: rows_of("SELECT count(*), sum(a) FROM p"), [(6, 12)])
checks.step("to_sql replaces", lambda: frame.to_sql("p", engine, index=False, if_exists="replace"))
checks.equal("it has replaced", lambda: rows_of("SELECT count(*), sum(a) FROM p"), [(3, 6)])
checks.equal(
    "read_sql in pieces",
    lambda: [len(piece) for piece in pd.read_sql("SELECT * FROM p", engine, chunksize=2)],
    [2, 1],
)
checks.equal("read_sql_table", lambda: len(pd.read_sql_table("p", engine)), 3)
checks.equal(
    "read_sql with parameters",
    lambda: plain(
        pd.read_sql(sa.text("SELECT a FROM p WHERE s = :s"), engine, params={"s": "it's"})
    ),
    [(2,)],
)
checks.equal(
    "polars.read_database through SQLAlchemy",
    lambda: pl.read_database("SELECT * FROM p ORDER BY a", engine.connect()).rows(),
    ROWS,
)
checks.equal(
    "polars.read_database through the driver",
    lambda: pl.read_database("SELECT * FROM p ORDER BY a", driver).rows(),
    ROWS,
)
checks.equal(
    "polars reads Arrow",
    lambda: pl.from_arrow(
        driver.cursor().execute("SELECT a, array(a, 2) AS l FROM p ORDER BY a").fetchall_arrow()
    ).rows(),
    [(1, [1, 2]), (2, [2, 2]), (3, [3, 2])],
)
checks.step(
    "polars.write_database",
    lambda: pl.DataFrame({"a": [1, 2], "s": ["x", None]}).write_database("q", engine),
)
checks.equal(
    "it wrote the rows", lambda: rows_of("SELECT * FROM q ORDER BY a"), [(1, "x"), (2, None)]
)
checks.end()
