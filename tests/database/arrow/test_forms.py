"""A type whose values Arrow cannot be told of is refused by name, and raw=True reads it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
import sqlalchemy as sa
from sqlalchemy.types import TypeDecorator, UserDefinedType

from tests.full import part
from vinci_code.core.errors import ColumnRefusedError
from vinci_code.database import read_arrow, read_batches
from vinci_code.database.arrow.forms import NoFormError, form_of
from vinci_code.database.dialect.types import ARRAY, MAP, STRUCT
from vinci_code.database.dialect.types.base import Processor
from vinci_code.database.models.types import UtcDateTime

DIALECT = sa.create_engine("sqlite://").dialect


class Shouted(TypeDecorator[str]):
    impl = sa.String
    cache_ok = True

    def process_result_value(self, value: str | None, dialect: sa.Dialect) -> str | None:
        return None if value is None else value.upper()


class Processed(TypeDecorator[str]):
    impl = sa.String
    cache_ok = True

    def result_processor(self, dialect: sa.Dialect, coltype: object) -> Any:
        return str.upper


class Outer(TypeDecorator[str]):
    impl = Shouted
    cache_ok = True


class Later(UtcDateTime):
    cache_ok = True

    def process_result_value(self, value: Any, dialect: sa.Dialect) -> Any:
        return value


class Upper(sa.String):
    def result_processor(self, dialect: sa.Dialect, coltype: object) -> Processor:
        return str.upper


class Own(UserDefinedType[Any]):
    cache_ok = True

    def get_col_spec(self, **_: Any) -> str:
        return "VARCHAR"


class OwnProcessed(Own):
    cache_ok = True

    def result_processor(self, dialect: sa.Dialect, coltype: object) -> Processor:
        return str.upper


class Keeping(TypeDecorator[str]):
    """Changes only what is written."""

    impl = sa.String
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: sa.Dialect) -> str | None:
        return value


class Chosen(TypeDecorator[Any]):
    impl = sa.String
    cache_ok = True

    def load_dialect_impl(self, dialect: sa.Dialect) -> Any:
        return sa.Date()


REFUSED: dict[str, tuple[Any, str]] = {
    "a decorator": (Shouted(), r"Shouted.process_result_value\(\)"),
    "its processor": (Processed(), r"Processed.result_processor\(\)"),
    "a decorator within": (Outer(), r"Shouted.process_result_value\(\)"),
    "a decorator of a decorator": (Later(), r"Later.process_result_value\(\)"),
    "a subclass": (Upper(), r"Upper.result_processor\(\)"),
    "a type": (OwnProcessed(), r"OwnProcessed.result_processor\(\)"),
    "pickle": (sa.PickleType(), r"PickleType.result_processor\(\)"),
    "decimal of a float": (sa.Float(asdecimal=True), "how many digits"),
    "too many digits": (sa.Numeric(50, 2), r"no \(50, 2\)"),
    "within an array": (ARRAY(Shouted), r"Shouted.process_result_value\(\)"),
    "within a map": (MAP(sa.String, sa.PickleType), "PickleType"),
    "within a struct": (STRUCT(("a", sa.JSON)), "JSON, whose text is gone"),
    "nothing within": (ARRAY(sa.types.NullType), "says nothing"),
    "a variant": (sa.String().with_variant(Shouted(), "sqlite"), "Shouted"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_type_that_changes_what_is_read_has_no_form(name: str) -> None:
    kind, message = REFUSED[name]
    with pytest.raises(NoFormError, match=message):
        form_of(kind, DIALECT, is_column=True)


def test_a_type_that_says_nothing_has_none() -> None:
    assert form_of(sa.types.NullType(), DIALECT, is_column=True) is None
    assert form_of(Own(), DIALECT, is_column=True) is None


def test_a_decorator_that_reads_as_its_type_is_that_type() -> None:
    for kind, arrow in {
        Keeping(): pa.string(),
        Chosen(): pa.date32(),
        sa.String().with_variant(sa.Date(), "sqlite"): pa.date32(),
        sa.Date().with_variant(Shouted(), "oracle"): pa.date32(),
    }.items():
        form = form_of(kind, DIALECT, is_column=True)
        assert form is not None
        assert form.arrow == arrow


def test_it_is_refused_by_its_name_and_read_raw(engine: sa.Engine) -> None:
    table = sa.Table("t", sa.MetaData(), sa.Column("a", sa.Integer), sa.Column("loud", Shouted))
    table.create(engine)
    with engine.connect() as connection:
        connection.execute(sa.insert(table), [{"a": 1, "loud": "x"}])
        for read in (read_arrow, read_batches):
            with pytest.raises(ColumnRefusedError, match=r"'loud' .*\nTo fix it: .* raw=True"):
                read(connection, sa.select(table))
        assert read_arrow(connection, sa.select(table), raw=True)["loud"].to_pylist() == ["x"]
        assert read_arrow(connection, sa.select(table.c.a)).to_pylist() == [{"a": 1}]


# What a SELECT says that its column is, and what stands there instead.
WRONG: dict[str, tuple[Any, Any]] = {
    "a text as a number": ("'x'", sa.Integer),
    "a text as a date": ("'x'", sa.Date),
    "a text as a time": ("'x'", sa.Time),
    "a text as a UUID": ("'x'", sa.Uuid),
    "a text that is no name": ("'x'", sa.Enum("a", "b")),
    "a fraction as a whole number": ("1.5", sa.Integer),
    "a number as bytes": ("1", sa.LargeBinary),
    "a number as text": ("1", sa.String),
    "too many digits": ("12345.5", sa.Numeric(38, 36)),
    "a document that is none": ("'['", ARRAY(sa.Integer)),
}


@part(2)
@pytest.mark.parametrize("name", WRONG)
def test_a_value_of_another_type_is_refused(name: str, engine: sa.Engine) -> None:
    text, kind = WRONG[name]
    query = sa.select(sa.literal_column(text, kind).label("value"))
    with pytest.raises(ColumnRefusedError, match="the column 'value' cannot be given as Arrow"):
        read_arrow(engine, query)


def test_a_time_without_its_zone_names_no_instant(engines: tuple[sa.Engine, ...]) -> None:
    """SQLite drops the zone of a plain DateTime(timezone=True)."""
    table = sa.Table("t", sa.MetaData(), sa.Column("at", sa.DateTime(timezone=True)))
    noon = dt.datetime(2024, 2, 29, 12, tzinfo=dt.timezone(dt.timedelta(hours=2)))
    for engine in engines:
        table.create(engine)
        with engine.begin() as connection:
            connection.execute(sa.insert(table), [{"at": noon}])
    assert read_arrow(engines[1], sa.select(table))["at"].to_pylist() == [noon]
    with pytest.raises(ColumnRefusedError, match="has no zone, which this database did not keep"):
        read_arrow(engines[0], sa.select(table))


LOOSE: dict[str, tuple[str, Any, Any]] = {
    "a whole number as a float": ("7", sa.Float, 7.0),
    "a decimal of fewer digits": ("CAST(1.5 AS DECIMAL(3,1))", sa.Numeric(10, 2), Decimal("1.50")),
    "a moment as one with a zone": ("TIMESTAMP_NTZ'2024-01-01 00:00:00'", UtcDateTime, 2024),
    "a moment with a zone as one without": ("TIMESTAMP'2024-01-01 00:00:00Z'", sa.DateTime, 2024),
    "a number as a truth value": ("1", sa.Boolean, True),
    "a text as a date": ("'2024-02-29'", sa.Date, dt.date(2024, 2, 29)),
    "large letters": (f"'{'A' * 8}-AAAA-AAAA-AAAA-{'A' * 12}'", sa.Uuid, None),
    "nothing": ("NULL", STRUCT(("a", sa.Integer)), None),
}


@pytest.mark.parametrize("name", LOOSE)
def test_what_sqlalchemy_converts_is_converted(name: str, engines: tuple[sa.Engine, ...]) -> None:
    text, kind, wanted = LOOSE[name]
    query = sa.select(sa.literal_column(text, kind).label("value"))
    with engines[1].connect() as connection:
        (row,) = connection.execute(query)
        found = read_arrow(connection, query)["value"].to_pylist()[0]
    if name == "large letters":
        assert found == str(row.value)
    else:
        assert found == row.value
        assert wanted in (found, getattr(found, "year", None))


def test_a_column_of_several_chunks_is_looked_at_chunk_by_chunk(
    engines: tuple[sa.Engine, ...],
) -> None:
    sent: Callable[[int], str] = "SELECT '0{0}:00:00' AS t FROM range(120000) WHERE id >= 0".format
    query = sa.text(sent(3)).columns(t=sa.Time)
    table = read_arrow(engines[1], query)
    assert table.num_rows == 120_000
    assert table["t"].unique().to_pylist() == [dt.time(3)]
