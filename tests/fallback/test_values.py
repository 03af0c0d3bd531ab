"""Values of every type come back equal, and of the same type."""

from __future__ import annotations

import datetime as dt
import enum
import math
import uuid
from decimal import Decimal
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vinci_code.database.dialect.dberrors import NotSupportedError
from vinci_code.database.dialect.text.binding import Struct, Typed
from vinci_code.database.fallback.values import packed, unpacked

_ZONE = dt.timezone(dt.timedelta(hours=5, minutes=30, seconds=7))
_COLUMNS: list[list[Any]] = [
    [],
    [None, None],
    [True, False, None],
    [0, 1, -(2**63), 2**63 - 1, None],
    [2**63, 10**38 - 1, -(2**200), None, 1],
    [0.0, -0.0, 1e300, 5e-324, 0.1, 1.0, None],
    [math.nan, math.inf, -math.inf, -0.0, None],
    ["", 'é\0\n"\\', "\U0001f600", "null", None],
    [1, 1.0, True, "1", None],
    [2**64, "x", math.nan, b"", None],
    [Decimal("1E-10"), Decimal("-0.00"), Decimal("1E+30"), Decimal("NaN"), Decimal("12.50"), None],
    [b"", bytes(range(256)), None],
    [dt.date.min, dt.date.max, None],
    [dt.datetime(1, 1, 1), dt.datetime(9999, 12, 31), dt.datetime(2024, 2, 29, 1, 2, 3, 4), None],
    [dt.datetime(2024, 1, 1, tzinfo=dt.timezone.utc), None],
    [dt.datetime(2024, 1, 1, tzinfo=_ZONE), dt.datetime(2024, 1, 1, fold=1), None],
    [dt.datetime(1, 1, 1, tzinfo=dt.timezone.utc), dt.datetime(2024, 1, 1)],
    [dt.time.min, dt.time.max, dt.time(1, 2, 3, 4, tzinfo=_ZONE), dt.time(1, fold=1), None],
    [dt.timedelta.min, dt.timedelta.max, dt.timedelta(microseconds=-1), None],
    [uuid.UUID(int=0), uuid.UUID(int=2**128 - 1), None],
    [[1, None, [2**70]], [], None],
    [(1, "x"), None],
    [{"a": 1, 2: dt.date(2024, 1, 1)}, {}, None],
    [Struct({"a": [1.5]}), Typed([], "ARRAY<BIGINT>"), {"a": 1}],
]


def _back(values: Any) -> list[Any]:
    return list(unpacked(orjson.loads(orjson.dumps(packed(values)))))


def _exact(value: Any) -> Any:
    """A value with all that tells it from others."""
    if isinstance(value, (list, tuple)):
        return type(value), [_exact(item) for item in value]
    if isinstance(value, dict):
        return type(value), [(_exact(key), _exact(item)) for key, item in value.items()]
    if isinstance(value, Typed):
        return Typed, _exact(value.value), value.type
    if isinstance(value, (dt.datetime, dt.time)):
        return type(value), value.isoformat(), value.fold
    return type(value), repr(value)


@pytest.mark.parametrize("values", _COLUMNS, ids=lambda values: str(values)[:40])
def test_a_column_comes_back(values: list[Any]) -> None:
    assert _exact(_back(values)) == _exact(values)
    for value in values:
        assert _exact(_back([value])) == _exact([value])


_SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(),
    st.decimals(),
    st.binary(),
    st.dates(),
    st.datetimes(timezones=st.none() | st.just(dt.timezone.utc)),
    st.times(),
    st.timedeltas(),
    st.uuids(),
)


@given(
    st.one_of(
        st.lists(_SCALARS),
        *(
            st.lists(st.none() | one)
            for one in (
                st.integers(),
                st.floats(),
                st.text(),
                st.decimals(),
                st.binary(),
                st.datetimes(),
            )
        ),
    )
)
def test_any_column_comes_back(values: list[Any]) -> None:
    assert _exact(_back(values)) == _exact(values)


class _Colour(str, enum.Enum):
    RED = "red"


class _Own:
    pass


@pytest.mark.parametrize(
    "value", [_Colour.RED, _Own(), {1, 2}, 1j], ids=lambda value: type(value).__name__
)
def test_another_type_is_refused_by_name(value: Any) -> None:
    for values in ([value], [1, None, value]):
        with pytest.raises(NotSupportedError, match=type(value).__qualname__):
            packed(values)


def test_a_scalar_of_numpy_is_kept_as_what_is_sent_of_it() -> None:
    numpy = pytest.importorskip("numpy")
    values = [numpy.int64(7), None, numpy.int64(-1)]
    assert _exact(_back(values)) == _exact([7, None, -1])
    assert _exact(_back([numpy.float64("nan"), "x"])) == _exact([math.nan, "x"])
    with pytest.raises(NotSupportedError, match="longdouble"):
        packed([numpy.longdouble(1)])
