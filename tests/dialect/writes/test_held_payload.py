"""Payloads: every value arrives as it was, in any company."""

from __future__ import annotations

import datetime as dt
import math
import random
import uuid
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import given as for_any
from hypothesis import strategies as st
from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    Date,
    DateTime,
    Engine,
    Float,
    Integer,
    LargeBinary,
    MetaData,
    Numeric,
    String,
    Table,
    Time,
    Uuid,
    insert,
    select,
    true,
    update,
)
from sqlalchemy.exc import DBAPIError
from sqlalchemy.types import NullType

from vinci_code.database.dialect.base import VinciDialect
from vinci_code.database.dialect.dberrors import DataError, LimitExceeded, ProgrammingError
from vinci_code.database.dialect.text.binding import literal
from vinci_code.database.dialect.types.transports import transport_of
from vinci_code.database.dialect.writes.payload import MAX_JSON_BYTES, payloads
from vinci_code.database.dialect.writes.shapes import letters

DIALECT = VinciDialect()
INTEGER, TEXT = (transport_of(kind, DIALECT) for kind in (Integer(), String()))

METADATA = MetaData()
EVERY = Table(
    "every",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("yes", Boolean),
    Column("n", Integer),
    Column("ratio", Float),
    Column("exact", Numeric(38, 10)),
    Column("text", String),
    Column("raw", LargeBinary),
    Column("day", Date),
    Column("clock", Time),
    Column("at", DateTime),
    Column("when", DateTime(timezone=True)),
    Column("name", Uuid),
    Column("document", JSON(none_as_null=True)),
)

_ALPHABET = "a\x00'\"\\`?{}$ \n\t\u2028\ufeffé\u0301\U0001f600"
_SPECIAL_FLOATS = (0.0, -0.0, 5e-324, 1.7976931348623157e308, math.inf, -math.inf, 0.1, 1e16)


def _random_row(rng: random.Random, number: int) -> dict[str, Any]:
    moment = dt.datetime(1, 1, 2) + dt.timedelta(
        days=rng.randrange(3_650_000), microseconds=rng.randrange(86_400_000_000)
    )
    values: dict[str, Any] = {
        "yes": rng.random() < 0.5,
        "n": rng.choice([0, 1, -1, 2**63 - 1, -(2**63), rng.randrange(2**40)]),
        "ratio": rng.choice([*_SPECIAL_FLOATS, rng.random(), rng.uniform(-1e300, 1e300)]),
        "exact": Decimal(rng.randrange(-(10**38) + 1, 10**38)).scaleb(-10),
        "text": "".join(rng.choices(_ALPHABET, k=rng.randrange(8))),
        "raw": rng.randbytes(rng.randrange(8)),
        "day": moment.date(),
        "clock": moment.time(),
        "at": moment,
        "when": moment.replace(tzinfo=dt.timezone.utc),
        "name": uuid.UUID(int=rng.getrandbits(128)),
        "document": rng.choice([[], {}, {"a": [1, None, "\x00'"]}, "text", 0, False]),
    }
    return {"id": number} | {
        name: None if rng.random() < 0.2 else value for name, value in values.items()
    }


@pytest.mark.parametrize("seed", [1, 2])
def test_a_thousand_rows_of_every_type(seed: int, engine: Engine) -> None:
    METADATA.create_all(engine, checkfirst=False)
    rng = random.Random(seed)
    rows = [_random_row(rng, number) for number in range(1000)]
    with engine.begin() as connection:
        connection.execute(insert(EVERY), rows)
    assert _stored(engine) == rows
    changed = [{**_random_row(rng, row["id"]), "key": row["id"]} for row in rows[::2]]
    with engine.begin() as connection:
        for row in changed[:3]:
            values = {name: value for name, value in row.items() if name not in ("id", "key")}
            connection.execute(update(EVERY).where(EVERY.c.id == row["key"]).values(values))
    found = _stored(engine)
    for row in changed[:3]:
        assert found[row["id"]] == {name: row[name] for name in found[row["id"]]}


def _stored(engine: Engine) -> list[dict[str, Any]]:
    with engine.connect() as connection:
        found = connection.execute(select(EVERY).order_by(EVERY.c.id)).mappings().all()
    return [dict(row) for row in found]


_PLAIN = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False),
    st.decimals(allow_nan=False, allow_infinity=False, places=3, min_value=-1e9, max_value=1e9),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=5),
    st.binary(max_size=5),
    st.dates(),
    st.datetimes(),
    st.uuids(),
    st.timedeltas(min_value=dt.timedelta(-999), max_value=dt.timedelta(999)),
    st.integers(-5, 5).map(np.int64),
    st.floats(-5, 5, width=32).map(np.float32),
    st.booleans().map(np.bool_),
)


@settings(max_examples=200)
@for_any(rows=st.lists(st.tuples(_PLAIN, _PLAIN), min_size=1, max_size=30))
def test_every_row_is_in_one_payload_in_order(rows: list[tuple[Any, Any]]) -> None:
    made = list(payloads(rows, [None, None]))
    assert sum(item.rows for item in made) == len(rows)
    written = " UNION ALL ".join(item.written for item in made)
    assert written == " UNION ALL ".join(
        f"SELECT {literal(one)} AS a, {literal(other)} AS b" for one, other in rows
    )


def test_values_that_differ_in_what_they_are_do_not_go_together() -> None:
    values = [Decimal("1.10"), Decimal("2.20"), None, Decimal("2.345678"), 1, 1 << 40, "a", True]
    made = list(payloads([(value,) for value in values], [None]))
    assert [item.rows for item in made] == [3, 1, 2, 1, 1]


@pytest.fixture(scope="module")
def mixed() -> Table:
    """A table whose column has no type of SQLAlchemy's, so that values come as they are."""
    return Table(
        "mixed",
        MetaData(),
        Column("id", Integer, primary_key=True),
        Column("v", NullType()),
    )


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@for_any(
    values=st.lists(
        st.one_of(
            st.none(),
            st.text(st.characters(exclude_categories=["Cs"]), max_size=5),
            st.integers(-(2**70), 2**70),
            st.booleans(),
            st.dates(min_value=dt.date(1000, 1, 1)),
            st.integers(0, 9).map(np.int64),
        ),
        min_size=1,
        max_size=12,
    )
)
def test_values_of_several_sorts_in_one_column(
    engine: Engine, mixed: Table, values: list[Any]
) -> None:
    with engine.begin() as connection:
        connection.exec_driver_sql("DROP TABLE IF EXISTS mixed")
        connection.exec_driver_sql(
            "CREATE TABLE mixed (id BIGINT NOT NULL, v STRING) "
            "TBLPROPERTIES ('delta.feature.catalogManaged' = 'supported')"
        )
    with engine.begin() as connection:
        rows = [{"id": number, "v": value} for number, value in enumerate(values)]
        connection.execute(insert(mixed), rows)
    with engine.connect() as connection:
        found = connection.execute(select(mixed).order_by(mixed.c.id)).all()
    assert [value for _, value in found] == [_as_text(value) for value in values]


def _as_text(value: Any) -> str | None:
    if value is None:
        return None
    return str(value).lower() if isinstance(value, bool) else str(value)


# --- what is refused ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "kind", "expected"),
    [
        ("a\ud800", DataError, "half of a surrogate pair"),
        (Decimal("NaN"), DataError, "DECIMAL has no"),
        (Decimal(10) ** 40, DataError, "longer than DECIMAL"),
        (10**40, DataError, "longer than DECIMAL"),
        (object(), ProgrammingError, "object cannot be sent"),
        (1j, ProgrammingError, "complex cannot be sent"),
    ],
)
@pytest.mark.parametrize("others", [[], [None], ["text"], [1]])
def test_what_is_refused(
    value: Any, kind: type[Exception], expected: str, others: Sequence[Any]
) -> None:
    with pytest.raises(kind, match=expected):
        list(payloads([(item,) for item in (*others, value)], [None]))


def test_a_value_of_another_type_than_its_column() -> None:
    with pytest.raises(DataError, match="sent as BIGINT is str, where NoneType or int is wanted"):
        list(payloads([(1,), ("2",)], [INTEGER]))


def test_a_row_larger_than_a_statement(engine: Engine) -> None:
    with pytest.raises(LimitExceeded, match="store large values in a volume"):
        list(payloads([("a",), ("x" * 12_000_000,)], [TEXT]))
    METADATA.create_all(engine, checkfirst=False)
    with pytest.raises(DBAPIError, match="one row takes"), engine.begin() as connection:
        connection.execute(insert(EVERY), {"id": 1, "text": "x" * 12_000_000})
    assert _stored(engine) == []


@pytest.mark.parametrize("split", [True, False])
@pytest.mark.parametrize(("count", "size"), [(2000, 10), (30, 600_000), (600, 30_000)])
def test_rows_of_any_size_are_in_one_payload_each(count: int, size: int, split: bool) -> None:
    rows = [(number, str(number % 10) * size) for number in range(count)]
    made = list(payloads(rows, [INTEGER, TEXT], split=split))
    found = [orjson.loads(payload.json or b"") for payload in made]
    assert [len(each) for each in found] == [payload.rows for payload in made]
    assert [(row["a"], row["b"]) for each in found for row in each] == rows
    assert all(len(payload.json or b"") <= MAX_JSON_BYTES for payload in made)


def test_columns_of_nulls_are_not_sent() -> None:
    [payload] = payloads([(1, None, "a"), (2, None, "b")], [INTEGER, TEXT, TEXT])
    assert payload.json == b'[{"a":1,"c":"a"},{"a":2,"c":"b"}]'
    assert "struct<a:bigint,b:string,c:string>" in payload.around()[1]
    [nothing] = payloads([(None,), (None,)], [TEXT])
    assert nothing.json == b"[{},{}]"


def test_rows_of_which_nothing_is_sent_are_as_many(engine: Engine) -> None:
    [payload] = payloads([(), ()], [])
    assert (payload.rows, payload.json) == (2, b"[{},{}]")
    table = Table("written", MetaData(), Column("yes", Boolean))
    table.create(engine)
    with engine.begin() as connection:
        for _ in range(3):
            connection.execute(insert(table).values(yes=true()))
    with engine.connect() as connection:
        assert connection.scalars(select(table.c.yes)).all() == [True] * 3


@pytest.mark.parametrize("others", [[], ["2.345678"], ["1", "-1E-10"]])
def test_a_decimal_keeps_its_digits_whatever_stands_beside_it(others: list[str]) -> None:
    kind = transport_of(Numeric(), DIALECT)
    rows = [(Decimal(text),) for text in ("1.10", *others)]
    [payload] = payloads(rows, [kind])
    assert payload.json is not None
    assert payload.json.startswith(b'[{"a":"1.10"}')
    assert payload.around()[0].startswith("SELECT CAST(a AS DECIMAL(38,18)) AS a FROM")


def test_names_of_columns() -> None:
    names = [letters(number) for number in range(1000)]
    assert names[:3] == ["a", "b", "c"]
    assert names[25:28] == ["z", "aa_", "ab_"]
    assert len(set(names)) == 1000


def test_a_literal_is_what_was_encoded() -> None:
    import base64

    rows = [(f"'{number}\\\U0001f600",) for number in range(100_000)]
    [payload] = payloads(rows, [TEXT], split=False)
    written = "".join(payload.literal())
    encoded = written.removeprefix("decode(unbase64('").removesuffix("'), 'UTF-8')")
    assert base64.b64decode(encoded, validate=True) == payload.json
