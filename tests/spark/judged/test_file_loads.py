"""What a load through a volume sends, on Spark: the statement, and the file that it reads."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from databricks import sql
from pyspark.sql import SparkSession

from tests.dialect.held import engine_on
from vinci_code.database import load
from vinci_code.database.dialect.types import TIMESTAMP
from vinci_code.database.loading import choosing
from vinci_code.warehouse import LocalWarehouse

FILE = re.compile(r"parquet\.`(/Volumes/[^`]*)`")
ITEM = sa.Table(
    "loaded_item",
    sa.MetaData(),
    sa.Column("id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("code", sa.String, unique=True),
    sa.Column("flag", sa.Boolean),
    sa.Column("approximate", sa.Double),
    sa.Column("amount", sa.Numeric(12, 2)),
    sa.Column("bytes", sa.LargeBinary),
    sa.Column("day", sa.Date),
    sa.Column("moment", sa.DateTime),
    sa.Column("instant", TIMESTAMP),
    sa.Column("document", sa.JSON),
    sa.Column("interval", sa.Interval),
    sa.Column("kind", sa.Enum("one", "two", name="kind")),
)
NAMES = [str(column.name) for column in ITEM.columns]
COLUMNS = (
    "id BIGINT, code STRING, flag BOOLEAN, approximate DOUBLE, amount DECIMAL(12, 2), "
    "bytes BINARY, day DATE, moment TIMESTAMP_NTZ, instant TIMESTAMP, document STRING, "
    "`interval` {interval}, kind STRING"
)
STORED = (
    f"INSERT INTO {ITEM} (id, code, flag) VALUES (1, 'a', true), (2, 'b', NULL), (3, NULL, NULL)"
)
UTC = dt.timezone.utc


def row(number: int, code: str | None, **others: Any) -> dict[str, Any]:
    """A row whose other values are NULL."""
    return dict.fromkeys(NAMES) | {"id": number, "code": code} | others


HOSTILE = [
    row(
        10,
        "it's \\ \u2028 \U0001f600",
        flag=True,
        approximate=0.1,
        amount=Decimal("-9999999999.99"),
        bytes=b"\0\xff",
        day=dt.date(1, 1, 1),
        moment=dt.datetime(1582, 10, 4, 23, 59, 59, 999_999),
        instant=dt.datetime(1883, 11, 18, 12, 3, 58, 1, UTC),
        document={"a": ["\u2029", None]},
        interval=dt.timedelta(days=-1, microseconds=1),
        kind="two",
    ),
    row(
        11,
        "",
        flag=False,
        approximate=-0.0,
        amount=Decimal("0.10"),
        bytes=b"",
        day=dt.date(9999, 12, 31),
    ),
    row(12, None, approximate=5e-324, moment=dt.datetime(9999, 12, 31, 23, 59, 59, 999_999)),
]
LOADS: dict[str, tuple[dict[str, Any], list[dict[str, Any]]]] = {
    "append": ({}, HOSTILE),
    "append, unchecked": ({"enforce_keys": False}, [row(1, "a")]),
    "replace": ({"mode": "replace"}, HOSTILE),
    "upsert": ({"mode": "upsert"}, [row(1, "z", amount=Decimal("1.50")), *HOSTILE]),
    "upsert, one column": ({"mode": "upsert", "update": ["flag"]}, [row(2, "b", flag=True)]),
    "insert_missing": ({"mode": "insert_missing"}, [row(1, "y"), row(20, "x")]),
    "a key that is there": ({}, [row(1, "y")]),
    "a code that is there": ({}, [row(21, "a")]),
    "a key that comes twice": ({}, [row(22, "p"), row(22, "q")]),
    "a code that comes twice": ({"mode": "replace"}, [row(23, "p"), row(24, "p")]),
    "an upsert that takes a code": ({"mode": "upsert"}, [row(1, "b")]),
}


@pytest.fixture(scope="module")
def served() -> Iterator[LocalWarehouse]:
    """A warehouse with a volume, which renders what is sent."""
    with LocalWarehouse() as warehouse:
        warehouse.sql("CREATE VOLUME vinci_load")
        yield warehouse


def sent(
    served: LocalWarehouse, name: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[str, bool, list[tuple[str, ...]]]:
    """Load on the local warehouse.

    Returns:
        The statement, which reads the file from a folder; whether it was well; what is stored then.
    """
    monkeypatch.setattr(choosing, "LARGE_JSON_BYTES", 0)
    options, rows = LOADS[name]
    engine = engine_on(served, served.schema)
    ITEM.drop(engine, checkfirst=True)
    ITEM.create(engine)
    served.sql(STORED)
    with engine.connect() as connection:
        outcome = load(
            connection, ITEM, rows, volume=f"{served.catalog}.{served.schema}.vinci_load", **options
        )
        assert outcome.way == "staged"
        kept = files(served, folder)
        try:
            connection.commit()
            is_well = True
        except sa.exc.IntegrityError:
            is_well = False
            connection.rollback()
        statement = next(
            one.statement
            for one in reversed(served.requests)
            if one.statement is not None and "parquet.`" in one.statement
        )
        found = connection.execute(sa.text(f"SELECT {ALL} FROM {ITEM}")).all()
    engine.dispose()
    text = FILE.sub(lambda file: f"parquet.`{kept[file[1]]}`", statement)
    return text, is_well, sorted(map(tuple, found))


# As texts, so that NULL, -0.0 and times are the same to both.
ALL = ", ".join(
    f"coalesce(CAST({'hex(bytes)' if name == 'bytes' else f'`{name}`'} AS STRING), 'NULL')"
    for name in NAMES
)


def files(served: LocalWarehouse, folder: Path) -> dict[str, Path]:
    """Fetch the files of a load that is not committed yet, by their paths in the volume."""
    arguments = {**served.connect_args, "staging_allowed_local_path": str(folder)}
    with sql.connect(**arguments) as connection, connection.cursor() as cursor:
        volume = f"/Volumes/{served.catalog}/{served.schema}/vinci_load/vinci_load"
        cursor.execute(f"LIST '{volume}'")
        paths = [str(found[0]) for found in cursor.fetchall()]
        kept = {path: folder / f"{number}.parquet" for number, path in enumerate(paths)}
        for path, file in kept.items():
            cursor.execute(f"GET '{path}' TO '{file}'")
    return kept


@pytest.mark.parametrize("name", LOADS)
def test_spark_does_what_the_local_warehouse_does(
    name: str,
    served: LocalWarehouse,
    spark: SparkSession,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    text, is_well, expected = sent(served, name, tmp_path, monkeypatch)
    (interval,) = (kind for column, kind, *_ in described(served) if column == "interval")
    spark.sql(f"CREATE TABLE {ITEM} ({COLUMNS.format(interval=interval)}) USING delta")
    try:
        spark.sql(STORED)
        if is_well:
            spark.sql(text).collect()
        else:
            # Spark gives it as it is, or as what a thread of its own has raised.
            with pytest.raises(Exception, match="vinci:unique"):
                spark.sql(text).collect()
        found = spark.sql(f"SELECT {ALL} FROM {ITEM}").collect()
        assert sorted(map(tuple, found)) == expected
        assert len(expected) == 3 or is_well
    finally:
        spark.sql(f"DROP TABLE {ITEM}")


def described(served: LocalWarehouse) -> list[tuple[Any, ...]]:
    """The columns of the table, with their types."""
    with sql.connect(**served.connect_args) as connection, connection.cursor() as cursor:
        cursor.execute(f"DESCRIBE {ITEM}")
        return [tuple(found) for found in cursor.fetchall()]
