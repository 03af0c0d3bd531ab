"""Data frames: keys of 63 bits and whole numbers beside NULL stay what they are."""

from __future__ import annotations

import importlib
import importlib.util
import sys
import types
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
import sqlalchemy as sa

from vinci_code.core.errors import ConfigurationError, MissingPackageError
from vinci_code.database import read_pandas, read_polars

KEY = 2**62 + 1
QUERY = sa.union_all(
    sa.select(
        sa.literal(KEY, sa.BigInteger).label("id"),
        sa.cast(sa.literal(Decimal("0.10")), sa.Numeric(5, 2)).label("price"),
    ),
    sa.select(sa.cast(sa.null(), sa.BigInteger), sa.cast(sa.null(), sa.Numeric(5, 2))),
)


@pytest.mark.filterwarnings("ignore:Dialect sqlite.pysqlite does .not. support Decimal")
def test_pandas_keeps_what_numpy_would_round(engine: sa.Engine) -> None:
    frame = read_pandas(engine, QUERY)
    assert [str(kind) for kind in frame.dtypes] == [
        "int64[pyarrow]",
        "decimal128(38, 2)[pyarrow]",
    ]
    assert frame["id"].dropna().tolist() == [KEY]
    assert frame["price"].dropna().tolist() == [Decimal("0.10")]
    assert frame.isna().sum().tolist() == [1, 1]


def test_polars_is_given_the_table(engine: sa.Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stands in for polars, which is no dependency: it is called by its documented name."""
    given: list[Any] = []
    polars = types.ModuleType("polars")
    polars.from_arrow = lambda table: given.append(table) or "frame"  # type: ignore[attr-defined]
    polars.__spec__ = importlib.machinery.ModuleSpec("polars", None)
    monkeypatch.setitem(sys.modules, "polars", polars)
    assert read_polars(engine, sa.select(sa.literal(KEY, sa.BigInteger).label("id"))) == "frame"
    assert given == [pa.table({"id": pa.array([KEY], pa.int64())})]


def test_polars_itself(engine: sa.Engine) -> None:
    pytest.importorskip("polars")
    frame = read_polars(engine, sa.select(sa.literal(KEY, sa.BigInteger).label("id")))
    assert frame["id"].to_list() == [KEY]


@pytest.mark.parametrize("read", [read_pandas, read_polars])
def test_what_is_missing_is_named(
    read: Any, engine: sa.Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = read.__name__.removeprefix("read_")
    with monkeypatch.context() as patch:
        patch.setattr(importlib.util, "find_spec", lambda _: None)
        with pytest.raises(MissingPackageError) as caught:
            read(engine, sa.text("SELECT 1 AS a"))
    assert caught.value.command.endswith(f" -m pip install {package}")
    assert str(caught.value) == (
        f"{read.__name__}() needs {package}, which is not installed. "
        f"Install it: {caught.value.command}"
    )
    assert isinstance(caught.value, ConfigurationError)
