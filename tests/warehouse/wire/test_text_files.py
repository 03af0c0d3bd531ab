"""CSV and JSON by the vendor's driver: put into a volume, read, copied, and refused."""

from __future__ import annotations

import datetime as dt
import gzip
import io
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest

from tests.warehouse.driver import sql
from vinci_code.warehouse import LocalWarehouse

V = "/Volumes/main/default/v"
LINES = b'id,name,price,day\n1,"a, b",1.50,2024-02-29\n2,,,\n'
RECORDS = b'{"id": 3, "tags": ["x", "y"], "of": {"n": 1}}\n{"id": 4}\n'
SCHEMA = "id BIGINT, name STRING, price DECIMAL(8,2), day DATE"
ROWS = [(1, "a, b", Decimal("1.50"), dt.date(2024, 2, 29)), (2, None, None, None)]


@pytest.fixture(scope="module")
def cursor() -> Iterator[Any]:
    """A cursor of a warehouse with a volume."""
    with (
        LocalWarehouse() as warehouse,
        sql.connect(**warehouse.connect_args) as connection,
        connection.cursor() as opened,
    ):
        opened.execute("CREATE VOLUME v")
        yield opened


def put(cursor: Any, name: str, content: bytes) -> None:
    statement = f"PUT '__input_stream__' INTO '{V}/{name}' OVERWRITE"
    cursor.execute(statement, input_stream=io.BytesIO(content))


def rows(cursor: Any, statement: str, parameters: Any = None) -> list[tuple[Any, ...]]:
    cursor.execute(statement, parameters)
    return [tuple(row) for row in cursor.fetchall()]


@pytest.mark.parametrize("packed", [False, True])
def test_csv_is_read_and_copied(cursor: Any, packed: bool) -> None:
    name = "lines.csv.gz" if packed else "lines.csv"
    put(cursor, name, gzip.compress(LINES) if packed else LINES)
    assert rows(
        cursor,
        "SELECT * FROM read_files(:path, format => 'csv', header => true, schema => :schema)",
        {"path": f"{V}/{name}", "schema": SCHEMA},
    ) == ROWS  # fmt: skip
    cursor.execute(f"CREATE OR REPLACE TABLE lines ({SCHEMA})")
    copy = (
        "COPY INTO lines FROM (SELECT id::bigint AS id, name, price::decimal(8,2) AS price, "
        f"day::date AS day FROM '{V}/{name}') FILEFORMAT = CSV FORMAT_OPTIONS ('header' = 'true')"
    )
    assert rows(cursor, copy) == [(2, 2, 0)]
    assert rows(cursor, copy) == [(0, 0, 0)]
    assert rows(cursor, "SELECT * FROM lines ORDER BY id") == ROWS


def test_json_is_read_and_copied(cursor: Any) -> None:
    put(cursor, "records.json", RECORDS)
    cursor.execute(f"SELECT * FROM json.`{V}/records.json`")
    assert [column[0] for column in cursor.description] == ["id", "of", "tags"]
    (first, second) = cursor.fetchall()
    assert (first.id, dict(first.of), list(first.tags)) == (3, {"n": 1}, ["x", "y"])
    assert tuple(second) == (4, None, None)
    cursor.execute("CREATE TABLE records (id BIGINT)")
    copy = f"COPY INTO records FROM '{V}/records.json' FILEFORMAT = JSON"
    grown = f"{copy} COPY_OPTIONS ('mergeSchema' = 'true')"
    with pytest.raises(sql.Error, match="COPY_INTO_SCHEMA_MISMATCH_WITH_TARGET_TABLE"):
        cursor.execute(copy)
    assert rows(cursor, grown) == [(2, 2, 0)]
    assert rows(cursor, "SELECT id, of.n, tags[1] FROM records ORDER BY id") == [
        (3, 1, "y"), (4, None, None),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "content", "options"),
    [
        ("long.csv", b"x" * 20_000_000, "format => 'csv', schema => 'a STRING'"),
        ("deep.json", b"[" * 10_000, "format => 'json', schema => 'a STRING'"),
        ("deep.json", b'{"a":' * 10_000, "format => 'json'"),
        ("bomb.csv.gz", gzip.compress(bytes(200_000_000)), "format => 'csv', schema => 'a STRING'"),
        ("bytes.csv", bytes(range(256)), "format => 'csv', schema => 'a STRING'"),
        ("open.csv", b'a,"b\n' * 9, "format => 'csv', header => true"),
        ("../x.csv", b"", "format => 'csv', header => true"),
    ],
)
def test_hostile_files_are_refused_by_name(
    cursor: Any, name: str, content: bytes, options: str
) -> None:
    if not name.startswith(".."):
        put(cursor, name, content)
    with pytest.raises(sql.Error) as caught:
        cursor.execute(f"SELECT * FROM read_files('{V}/{name}', {options})")
    assert "[UNSUPPORTED_BY_LOCAL_WAREHOUSE]" in str(caught.value)
    assert len(str(caught.value)) < 5_000
    assert rows(cursor, "SELECT 1") == [(1,)]
