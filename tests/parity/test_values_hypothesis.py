"""Any value of any type is equal after a write and a read: alone, and in a batch of a thousand."""

from __future__ import annotations

import datetime as dt
import itertools
import math
from decimal import Decimal
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.full import part
from tests.parity.backends import same
from vinci_code.database.models.types import UtcDateTime

pytestmark = [
    pytest.mark.filterwarnings("ignore:Dialect sqlite.pysqlite does .not. support Decimal"),
    part(3),
]

METADATA = sa.MetaData()

# SQLite's text has no end at a zero character, its drivers' tools do; a surrogate is no character.
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=60)
NUMBERS = st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False)
DOCUMENTS = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
).filter(lambda document: document is not None)

# The type of a column, and its values. SQLite keeps 15 digits of a number with a point.
TYPES: dict[str, tuple[Any, st.SearchStrategy[Any]]] = {
    "smallint": (sa.SmallInteger(), st.integers(-(2**15), 2**15 - 1)),
    "integer": (sa.Integer(), st.integers(-(2**31), 2**31 - 1)),
    "bigint": (sa.BigInteger(), st.integers(-(2**63), 2**63 - 1)),
    "numeric": (sa.Numeric(15, 4), st.decimals(-(10**10), 10**10, places=4)),
    "double": (sa.Double(), st.floats(allow_nan=False)),
    "boolean": (sa.Boolean(), st.booleans()),
    "string": (sa.String(), TEXT),
    "date": (sa.Date(), st.dates()),
    "time": (sa.Time(), st.times()),
    "datetime": (sa.DateTime(), st.datetimes()),
    "instant": (
        UtcDateTime(),
        st.datetimes(
            min_value=dt.datetime(2, 1, 1),
            max_value=dt.datetime(9998, 12, 31),
            timezones=st.timezones(),
        ),
    ),
    "interval": (
        sa.Interval(),
        st.timedeltas(dt.timedelta(days=-200_000), dt.timedelta(days=2_000_000)),
    ),
    "uuid": (sa.Uuid(), st.uuids()),
    "binary": (sa.LargeBinary(), st.binary(max_size=200)),
    "json": (sa.JSON(), DOCUMENTS),
    "pickle": (sa.PickleType(), st.sets(st.integers()) | st.tuples(TEXT, st.binary())),
}

TABLES = {
    name: sa.Table(
        f"v_{name}",
        METADATA,
        sa.Column("id", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("value", kind),
    )
    for name, (kind, _) in TYPES.items()
}

_keys = itertools.count(1_000_000)


def equal(found: object, written: object) -> bool:
    """The same value and type; an instant may come back in another zone."""
    if isinstance(written, dt.datetime) and written.tzinfo is not None:
        return found == written
    return same(found, written)


@pytest.mark.parametrize("name", TYPES)
def test_alone(engine: sa.Engine, name: str) -> None:
    table = TABLES[name]

    @settings(
        max_examples=12, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
    )
    @given(TYPES[name][1])
    def run(value: Any) -> None:
        key = next(_keys)
        connection.execute(sa.insert(table).values(id=key, value=value))
        found = connection.scalar(sa.select(table.c.value).where(table.c.id == key))
        assert equal(found, value), f"wrote {value!r}, found {found!r}"

    with engine.connect() as connection:
        run()


@pytest.mark.slow
@pytest.mark.parametrize("name", TYPES)
def test_in_a_batch_of_a_thousand(engine: sa.Engine, name: str) -> None:
    table = TABLES[name]

    @settings(
        max_examples=2, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
    )
    @given(st.lists(st.none() | TYPES[name][1], min_size=20, max_size=40))
    def run(values: list[Any]) -> None:
        first = next(_keys) * 1000
        written = list(itertools.islice(itertools.cycle(values), 1000))
        rows = [
            {"id": first + number, "value": sa.null() if value is None else value}
            for number, value in enumerate(written)
        ]
        connection.execute(sa.insert(table).values(rows))
        query = sa.select(table.c.value).where(table.c.id.between(first, first + 999))
        found = connection.scalars(query.order_by(table.c.id)).all()
        assert len(found) == 1000
        wrong = [(w, f) for w, f in zip(written, found, strict=True) if not equal(f, w)]
        assert wrong == []

    with engine.connect() as connection:
        run()


def test_floats_to_the_last_bit(engine: sa.Engine) -> None:
    table = TABLES["double"]
    values = [math.nextafter(0.1, 1), 2**-1074, -0.0, math.pi * 1e200, 9007199254740993.0]
    with engine.connect() as connection:
        for value in values:
            key = next(_keys)
            connection.execute(sa.insert(table).values(id=key, value=value))
            found = connection.scalar(sa.select(table.c.value).where(table.c.id == key))
            assert found is not None
            assert found.hex() == value.hex() or value == 0


def test_decimals_keep_their_scale(engine: sa.Engine) -> None:
    table = TABLES["numeric"]
    with engine.connect() as connection:
        for text in ("0.0000", "1.5000", "-9999999999.9999", "0.0001"):
            key = next(_keys)
            connection.execute(sa.insert(table).values(id=key, value=Decimal(text)))
            found = connection.scalar(sa.select(table.c.value).where(table.c.id == key))
            assert str(found) == text
