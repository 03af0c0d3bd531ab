"""The canonical text of a value is the same in Python and in a warehouse's SQL."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import sqlalchemy as sa

from vinci_code.database.moving.canonical import canonical, number_of, sql_form, sql_number
from vinci_code.database.moving.kinds import KIND_NAMES, ValueKind

_UTC = dt.timezone.utc
VALUES: list[tuple[ValueKind, str, Any]] = [
    (ValueKind("integer"), "-9223372036854775808L", -(2**63)),
    (ValueKind("boolean"), "true", True),
    (ValueKind("boolean"), "false", False),
    (ValueKind("double"), "0.1D", 0.1),
    (ValueKind("double"), "0.0D", 0.0),
    (ValueKind("double"), "-0.0D", -0.0),
    (ValueKind("double"), "double('NaN')", float("nan")),
    (ValueKind("double"), "double('-Infinity')", float("-inf")),
    (ValueKind("double"), "4.9E-324D", 5e-324),
    (ValueKind("double"), "CAST(0.1 AS FLOAT)", 0.10000000149011612),
    (ValueKind("decimal", 10, 2), "CAST(0 AS DECIMAL(10, 2))", Decimal(0)),
    (ValueKind("decimal", 38, 18), "CAST('-1.5' AS DECIMAL(5, 1))", Decimal("-1.5")),
    (ValueKind("text"), "''", ""),
    (ValueKind("text"), "'ä\U0001f600'", "ä\U0001f600"),
    (ValueKind("json"), "'{\"a\": 1}'", '{"a": 1}'),
    (
        ValueKind("uuid"),
        "'00000000-0000-0000-0000-00000000000a'",
        "00000000-0000-0000-0000-00000000000a",
    ),
    (ValueKind("binary"), "X'00ff'", b"\x00\xff"),
    (ValueKind("binary"), "X''", b""),
    (ValueKind("date"), "DATE'0001-02-03'", dt.date(1, 2, 3)),
    (ValueKind("time"), "'01:02:03.000000'", "01:02:03.000000"),
    (
        ValueKind("moment"),
        "TIMESTAMP_NTZ'0001-02-03 04:05:06.120000'",
        dt.datetime(1, 2, 3, 4, 5, 6, 120_000),  # noqa: DTZ001 - a clock on the wall
    ),
    (ValueKind("moment"), "TIMESTAMP_NTZ'2024-02-29 00:00:00'", dt.datetime(2024, 2, 29)),  # noqa: DTZ001
    (
        ValueKind("instant"),
        "TIMESTAMP'1969-12-31 23:59:59.999999Z'",
        dt.datetime(1969, 12, 31, 23, 59, 59, 999_999, tzinfo=_UTC),
    ),
]


def test_both_compute_the_same(warehouse: sa.Engine) -> None:
    forms = [sql_form(kind, sql) for kind, sql, _ in VALUES]
    with warehouse.connect() as connection:
        texts = connection.execute(sa.text(f"SELECT {_joined(forms)}")).one()
        numbers = connection.execute(
            sa.text(f"SELECT {_joined([sql_number(one) for one in forms])}")
        ).one()
    wanted = [canonical(kind)(value) for kind, _, value in VALUES]
    assert list(texts) == wanted
    assert list(numbers) == [number_of(text) for text in wanted]
    assert {kind.name for kind, _, _ in VALUES} == set(KIND_NAMES)


def test_of_null_both_have_nothing(warehouse: sa.Engine) -> None:
    kinds = {kind.name: (kind, sql) for kind, sql, _ in VALUES}
    forms = [sql_form(kind, f"nullif({sql}, {sql})") for kind, sql in kinds.values()]
    with warehouse.connect() as connection:
        row = connection.execute(sa.text(f"SELECT {_joined(forms)}")).one()
    assert set(row) == {None}


def test_no_two_floats_have_one_text() -> None:
    text = canonical(ValueKind("double"))
    numbers = [1.0, 1.0000000000000002, -1.0, 0.0, -0.0, 5e-324, 1e-323, float("inf")]
    assert len({text(number) for number in numbers}) == len(numbers)


def _joined(forms: list[str]) -> str:
    return ", ".join(one.replace(":", r"\:") for one in forms)
