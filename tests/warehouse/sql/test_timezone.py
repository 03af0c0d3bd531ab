"""The session's time zone: instants are shown, read and computed in it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, timezone

import pytest

from tests.warehouse.sql.support import NOW, Database, translate
from vinci_code.warehouse.sql.errors import SqlError

NEW_YORK = "America/New_York"


@pytest.fixture(scope="module")
def database() -> Iterator[Database]:
    database = Database()
    yield database
    database.close()


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=timezone.utc)  # type: ignore[arg-type,misc]


CASES = {
    "TIMESTAMP '2020-01-01 00:00:00'": utc(2020, 1, 1, 5),
    "TIMESTAMP '2020-07-01 00:00:00'": utc(2020, 7, 1, 4),
    "TIMESTAMP '2020-01-01 00:00:00Z'": utc(2020, 1, 1),
    "CAST('2020-01-01' AS TIMESTAMP)": utc(2020, 1, 1, 5),
    "CAST(DATE '2020-01-01' AS TIMESTAMP)": utc(2020, 1, 1, 5),
    "CAST(TIMESTAMP '2020-01-01 02:00:00Z' AS DATE)": date(2019, 12, 31),
    "CAST(TIMESTAMP '2020-01-01 02:00:00Z' AS STRING)": "2019-12-31 21:00:00",
    "CAST(TIMESTAMP_NTZ '2020-01-01 00:00:00' AS TIMESTAMP)": utc(2020, 1, 1, 5),
    "hour(TIMESTAMP '2020-01-01 02:00:00Z')": 21,
    "date_trunc('DAY', TIMESTAMP '2020-01-01 02:00:00Z')": utc(2019, 12, 31, 5),
    "TIMESTAMP '2020-03-07 12:00:00' + INTERVAL 1 MONTH": utc(2020, 4, 7, 16),
    "date_format(TIMESTAMP '2020-01-01 02:00:00Z', 'yyyy-MM-dd HH:mm XXX')": (
        "2019-12-31 21:00 -05:00"
    ),
    "to_timestamp('2020-01-01 00:00', 'yyyy-MM-dd HH:mm')": utc(2020, 1, 1, 5),
    "to_date('2020-01-01', 'yyyy-MM-dd')": date(2020, 1, 1),
    "unix_timestamp('1970-01-01 00:00:00')": 18000,
    "from_unixtime(0)": "1969-12-31 19:00:00",
    "to_json(struct(TIMESTAMP '2020-01-01 00:00:00' AS t))": (
        '{"t":"2020-01-01T00:00:00.000-05:00"}'
    ),
    "from_json('{\"t\":\"2020-01-01 00:00:00\"}', 't TIMESTAMP').t": utc(2020, 1, 1, 5),
    "current_timezone()": NEW_YORK,
    "current_date()": date(2024, 2, 29),
    "current_timestamp()": NOW,
}


@pytest.mark.parametrize("sql", CASES)
def test_in_new_york(database: Database, sql: str) -> None:
    assert database.value(sql, TIMEZONE=NEW_YORK) == CASES[sql]


def test_unknown_zone_is_refused() -> None:
    with pytest.raises(SqlError, match=r"INVALID_CONF_VALUE.TIME_ZONE"):
        translate("SELECT 1", TIMEZONE="Mars/Olympus")
