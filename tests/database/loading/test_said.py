"""What texts and numbers of CSV and JSON say; SQLite refuses what Databricks refuses."""

from __future__ import annotations

import datetime as dt
import decimal
import json
import math
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import sqlalchemy as sa

from tests.dialect.held import rows_of
from vinci_code.core.errors import RowRefusedError, ValueRefusedError
from vinci_code.database import load
from vinci_code.database.dialect.types.nested import ARRAY, MAP, STRUCT
from vinci_code.database.loading.documents import ExactFloat, document, kept_float
from vinci_code.database.loading.families import family_of
from vinci_code.database.loading.plain import BadValueError
from vinci_code.database.loading.said import said_values

pytestmark = pytest.mark.filterwarnings("ignore:Dialect sqlite.pysqlite does .not. support Decimal")

KINDS: dict[str, Any] = {
    "integer": sa.BigInteger(),
    "boolean": sa.Boolean(),
    "double": sa.Double(),
    "numeric": sa.Numeric(6, 2),
    "text": sa.String(),
    "uuid": sa.Uuid(),
    "document": sa.JSON(),
    "day": sa.Date(),
    "time": sa.Time(),
    "moment": sa.DateTime(),
}
TABLE = sa.Table("said", sa.MetaData(), *(sa.Column(name, kind) for name, kind in KINDS.items()))


@pytest.fixture(autouse=True)
def table(request: pytest.FixtureRequest) -> None:
    if "engine" in request.fixturenames:
        TABLE.create(request.getfixturevalue("engine"))


CSV = [
    ("integer", "1180591620717411303424", "64 bits"),
    ("integer", "1.0", "no whole number"),
    ("double", "1e400", "greater than each float"),
    ("numeric", "1.234", "more digits after the point"),
    ("numeric", "12345.00", "digits before the point"),
    ("numeric", "NaN", "no number"),
    ("time", "12:00:00.123456789", "nanoseconds"),
    ("time", '"12:00:00,123456789"', "nanoseconds"),
    ("time", "12:00:00+02:00", "with a zone"),
    ("time", "12:00:00Z", "with a zone"),
    ("time", "12:00:00.", "no time"),
    ("moment", '"2026-01-31T12:00:00,123456789"', "nanoseconds"),
    ("document", '"{""a"":1e400}"', "greater than each float"),
    ("document", '"{""a"":1,""a"":2}"', "one name twice"),
]
JSONL = [
    ("integer", "1.5", "whole number is wanted"),
    ("integer", "1e400", "whole number is wanted"),
    ("integer", "9007199254740993.5", "whole number is wanted"),
    ("integer", "true", "whole number is wanted"),
    ("integer", "1180591620717411303424", "64 bits"),
    ("integer", "[1]", "whole number is wanted"),
    ("boolean", "5", "True, False, 1 or 0"),
    ("double", "1e400", "greater than each float"),
    ("double", "true", "a number is wanted"),
    ("double", "18446744073709551617", "more digits than a float"),
    ("numeric", "1.234", "more digits after the point"),
    ("numeric", "true", "a number is wanted"),
    ("text", "1.10", "a float, and its column holds text"),
    ("text", "true", "a bool, and its column holds text"),
    ("text", '{"a": 1}', "a dict, and its column holds text"),
    ("text", r'"\ud800"', "no Unicode"),
    ("uuid", "5", "holds UUIDs"),
    ("day", "5", "holds days"),
    ("document", '{"a": 1e400}', "greater than each float"),
    ("document", '{"a": [0.1234567890123456789012]}', "more digits than a float keeps"),
]


def test_what_a_field_of_csv_does_not_say(engine: sa.Engine, tmp_path: Path) -> None:
    for name, text, message in CSV:
        path = tmp_path / "a.csv"
        path.write_text(f"{name},boolean\n,1\n{text},1\n")
        with pytest.raises(RowRefusedError, match=message) as caught:
            load(engine, TABLE, path)
        assert (caught.value.row, caught.value.column) == (2, name), text
    assert rows_of(engine, TABLE) == []


def test_what_a_value_of_json_does_not_say(engine: sa.Engine, tmp_path: Path) -> None:
    for name, text, message in JSONL:
        path = tmp_path / "a.jsonl"
        path.write_text(f'{{"{name}": null}}\n{{"{name}": {text}}}\n')
        with pytest.raises(RowRefusedError, match=message) as caught:
            load(engine, TABLE, path)
        assert (caught.value.row, caught.value.column) == (2, name), text
    assert rows_of(engine, TABLE) == []


def test_what_json_says(engine: sa.Engine, tmp_path: Path) -> None:
    row = {
        "integer": "9007199254740993.0",
        "boolean": "1",
        "double": "3",
        "numeric": "1.10",
        "text": '"1.10"',
        "document": '{"a": [0.1, 1.10, 0.10000000000000001, 12345678901234567890123]}',
        "time": '"12:00:00,5"',
        "moment": '"2026-01-31T12:00:00.500000000"',
    }
    path = tmp_path / "a.jsonl"
    path.write_text("{" + ", ".join(f'"{name}": {text}' for name, text in row.items()) + "}\n")
    load(engine, TABLE, path)
    [found] = rows_of(engine, TABLE)
    assert dict(zip(KINDS, found, strict=True)) == {
        "integer": 9007199254740993,
        "boolean": True,
        "double": 3.0,
        "numeric": Decimal("1.10"),
        "text": "1.10",
        "uuid": None,
        "document": {"a": [0.1, 1.1, 0.1, 12345678901234567890123]},
        "day": None,
        "time": dt.time(12, 0, 0, 500_000),
        "moment": dt.datetime(2026, 1, 31, 12, 0, 0, 500_000),  # noqa: DTZ001
    }


DOCUMENTS: list[tuple[Any, str]] = [
    (pa.table({"document": ["1", '{"a": 1e400}']}), "greater than each float"),
    (pa.table({"document": ["1", '[{"a": 1, "a": 2}]']}), "one name twice"),
    (pa.table({"document": ["1", "[0.1234567890123456789012]"]}), "more digits"),
    (pa.table({"document": [1.0, math.nan]}), "NaN or an infinity"),
    (pa.table({"document": [{"a": [1.0]}, {"a": [math.inf]}]}), "NaN or an infinity"),
    (
        pa.table(
            {
                "document": pa.array(
                    [[("a", 1)], [("a", 1), ("a", 2)]], pa.map_(pa.string(), pa.int64())
                )
            }
        ),
        "one key twice",
    ),
    (
        pa.table(
            {
                "document": pa.array(
                    [None, {"m": [[("a", 1), ("a", 1)]]}],
                    pa.struct({"m": pa.list_(pa.map_(pa.string(), pa.int64()))}),
                )
            }
        ),
        "one key twice",
    ),
    ([{"document": {"a": 1}}, {"document": {"a": (1, math.nan)}}], "NaN or an infinity"),
]


def test_what_is_no_document(engine: sa.Engine) -> None:
    for source, message in DOCUMENTS:
        with pytest.raises(RowRefusedError, match=message) as caught:
            load(engine, TABLE, source)
        assert (caught.value.row, caught.value.column) == (2, "document")
    assert rows_of(engine, TABLE) == []


def test_a_frame_has_no_document_with_nan(engine: sa.Engine) -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"document": [{"a": 1}, {"a": math.nan}]})
    with pytest.raises(RowRefusedError, match=r"NaN or an infinity|JSON compliant"):
        load(engine, TABLE, frame)


def test_it_is_told_what_a_document_has_in_it(sqlite: sa.Engine) -> None:
    TABLE.create(sqlite)
    for value in ({"a": [Decimal(1)]}, [dt.date(2026, 1, 31)]):
        with pytest.raises(RowRefusedError, match=r"it has a (Decimal|date) in it|hold|no form"):
            load(sqlite, TABLE, [{"document": value}])


def test_a_map_with_a_key_twice(online: sa.Engine) -> None:
    maps = sa.Table("maps", sa.MetaData(), sa.Column("value", MAP(sa.String, sa.Integer)))
    maps.create(online)
    source = pa.array(
        [[("a", 1), ("b", 1)], [("a", 1), ("a", 2)]], pa.map_(pa.string(), pa.int64())
    )
    with pytest.raises(RowRefusedError, match=r"row 2, .*one key twice"):
        load(online, maps, pa.table({"value": source}))
    load(online, maps, pa.table({"value": source}).slice(0, 1))
    assert rows_of(online, maps) == [({"a": 1, "b": 1},)]


def test_numbers_within_lists_have_all_their_digits(online: sa.Engine, tmp_path: Path) -> None:
    exact = sa.Table("exact", sa.MetaData(), sa.Column("value", ARRAY(sa.Numeric(30, 20))))
    exact.create(online)
    path = tmp_path / "a.jsonl"
    path.write_text('{"value": [0.12345678901234567890, 5]}\n')
    load(online, exact, path)
    assert rows_of(online, exact) == [([Decimal("0.12345678901234567890"), Decimal(5)],)]


@pytest.mark.parametrize(
    ("kind", "text", "expected"),
    [
        (ARRAY(sa.Numeric(20, 2), dimensions=2), "[[1.10], null]", [[Decimal("1.10")], None]),
        (MAP(sa.String, ARRAY(sa.Numeric)), '{"a": [1.10]}', {"a": [Decimal("1.10")]}),
        (STRUCT(("a", sa.Numeric), ("b", sa.Float)), '{"a": 1.5, "b": 1.5}', None),
    ],
)
def test_numbers_are_those_of_their_parts(kind: Any, text: str, expected: Any) -> None:
    value = json.loads(text, parse_float=ExactFloat)
    [found] = said_values([value], family_of(kind), kind)
    assert repr(found) == repr(expected or {"a": Decimal("1.5"), "b": 1.5})
    floats = ARRAY(sa.Float)
    with pytest.raises(BadValueError, match="more digits"):
        said_values([[ExactFloat("0.12345678901234567890")]], family_of(floats), floats)


@pytest.mark.parametrize(
    "text", ["0.1", "1.10", "0.10000000000000001", "1e308", "-0.0", "0e999", "5e-324", "1.5E+3"]
)
def test_what_a_float_keeps(text: str) -> None:
    assert kept_float(text) == float(text)
    assert document(f"[{text}]") == [float(text)]


@pytest.mark.parametrize(
    "text", ["1e400", "-1e309", "1e-400", "0.1234567890123456789012", "1." + "1" * 2_000]
)
def test_what_no_float_keeps(text: str) -> None:
    with pytest.raises(ValueRefusedError):
        kept_float(text)


def test_a_decimal_context_of_the_caller_changes_nothing() -> None:
    with decimal.localcontext() as context:
        context.prec = 2
        assert kept_float("1234567.123456789") == 1234567.123456789


def test_one_dict_that_is_given_again_and_again(engine: sa.Engine) -> None:
    row: dict[str, Any] = {}

    def rows() -> Any:
        for number in range(3):
            row["integer"] = number
            yield row

    load(engine, TABLE, rows())
    assert sorted(found[0] for found in rows_of(engine, TABLE)) == [0, 1, 2]
