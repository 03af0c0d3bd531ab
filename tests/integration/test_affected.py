"""The page for those who come from the vendor's dialect: each line, measured with both dialects."""

from __future__ import annotations

import datetime as dt
import inspect
import re
import uuid
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import databricks.sqlalchemy as vendor
import pytest
import sqlalchemy as sa

from tests.integration import affected
from tests.integration.affected import LINES, NEW, Line
from tests.parity.backends import warehouse_engine
from tests.parity.test_moving import measured, vendor_engine
from vinci_code.core.errors import ValueRefusedError
from vinci_code.database.dialect import dberrors
from vinci_code.warehouse import LocalWarehouse

DOCUMENT = Path(__file__).parents[2] / "docs" / "from_databricks_sqlalchemy.md"
IDS = [re.sub(r"[^A-Za-z0-9]+", "-", line.row.what).strip("-") for line in LINES]
NEW_IDS = [name for name, line in zip(IDS, LINES, strict=True) if line in NEW]
NAIVE = dt.datetime(2024, 1, 1)  # noqa: DTZ001 - a column without a time zone
ENABLE = "SET TBLPROPERTIES ('delta.feature.catalogManaged' = 'supported')"


@pytest.fixture(scope="module")
def warehouse() -> Iterator[LocalWarehouse]:
    with LocalWarehouse() as started:
        yield started


@pytest.fixture
def schema(warehouse: LocalWarehouse, request: pytest.FixtureRequest) -> Iterator[str]:
    name = "affected_" + re.sub(r"\W+", "_", request.node.name).strip("_").lower()
    warehouse.sql(f"CREATE SCHEMA {name}")
    yield name
    warehouse.sql(f"DROP SCHEMA {name} CASCADE")


@pytest.mark.parametrize("line", NEW, ids=NEW_IDS)
def test_ours(warehouse: LocalWarehouse, schema: str, line: Line) -> None:
    assert measured(warehouse_engine, warehouse, schema, line.row) == line.row.ours


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("line", NEW, ids=NEW_IDS)
def test_vendor(warehouse: LocalWarehouse, schema: str, line: Line) -> None:
    assert measured(vendor_engine, warehouse, schema, line.row) == line.row.vendor


@pytest.mark.parametrize("line", LINES, ids=IDS)
def test_documented(line: Line) -> None:
    assert str(line) in DOCUMENT.read_text(encoding="utf-8").splitlines()


def test_page_has_no_other_lines() -> None:
    page = DOCUMENT.read_text(encoding="utf-8")
    tables = re.findall(r"^\| your code \|.*\n\|---.*\n((?:\|.*\n)+)", page, re.MULTILINE)
    assert [row for rows in tables for row in rows.splitlines()] == list(map(str, LINES))


@pytest.mark.parametrize("line", LINES, ids=IDS)
def test_what_is_searched_for_is_in_such_code(line: Line) -> None:
    if line.search is not None:
        code = inspect.getsource(line.row.run) + line.row.what + inspect.getsource(affected._things)
        assert line.search in code


# --- what stays when the scheme of the URL is changed ---------------------------------------------


def test_token_in_the_url_is_taken_and_kept_out_of_sight(
    warehouse: LocalWarehouse, schema: str
) -> None:
    url = (
        f"databricks+vinci://token:{warehouse.access_token}@{warehouse.host}:"
        f"{warehouse.port}?http_path={warehouse.http_path}"
        f"&catalog={warehouse.catalog}&schema={schema}"
    )
    trusted = {"_tls_trusted_ca_file": str(warehouse.ca_file), "use_inline_params": False}
    engine = sa.create_engine(url, connect_args=trusted)
    try:
        with engine.connect() as connection:
            assert connection.scalar(sa.text("SELECT current_schema()")) == schema
        assert warehouse.access_token not in engine.url.render_as_string(False)
    finally:
        engine.dispose()


def test_argument_of_the_vendors_url_is_refused_by_name() -> None:
    url = "databricks+vinci://localhost?http_path=/sql/1.0/warehouses/1&enable_multirow_insert_casts=true"
    with pytest.raises(sa.exc.ArgumentError, match="enable_multirow_insert_casts"):
        sa.create_engine(url).connect()


@pytest.mark.filterwarnings("ignore:.*cache key")  # the vendor's ARRAY and MAP say nothing of it
@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (vendor.TINYINT(), 5),
        (vendor.TIMESTAMP_NTZ(), NAIVE),
        (vendor.DatabricksArray(sa.Integer), [1, 2]),  # type: ignore[no-untyped-call]
        (vendor.DatabricksMap(sa.String, sa.Integer), {"a": 1}),  # type: ignore[no-untyped-call]
    ],
    ids=["TINYINT", "TIMESTAMP_NTZ", "DatabricksArray", "DatabricksMap"],
)
def test_types_of_the_vendor_go_on_working(
    warehouse: LocalWarehouse, schema: str, kind: Any, value: Any
) -> None:
    engine = warehouse_engine(warehouse, schema)
    try:
        assert _kept(engine, kind, value) == value
    finally:
        engine.dispose()


def test_timestamp_of_the_vendor_is_refused(warehouse: LocalWarehouse, schema: str) -> None:
    engine = warehouse_engine(warehouse, schema)
    try:
        with pytest.raises(sa.exc.StatementError) as caught:
            _kept(engine, vendor.TIMESTAMP(), dt.datetime(2024, 1, 1, tzinfo=dt.timezone.utc))
        assert isinstance(caught.value.orig, ValueRefusedError)
    finally:
        engine.dispose()


def _kept(engine: sa.Engine, kind: Any, value: Any) -> object:
    key = sa.Column("id", sa.BigInteger, primary_key=True, autoincrement=False)
    table = sa.Table("t", sa.MetaData(), key, sa.Column("value", kind))
    table.create(engine)
    with engine.begin() as connection:
        connection.execute(sa.insert(table).values(id=1, value=value))
    with engine.connect() as connection:
        return connection.scalar(sa.select(table.c.value))


ALIKE: dict[str, tuple[Any, object]] = {
    "quotes": (sa.String, 'it\'s a \\ "text"'),
    "Uuid": (sa.Uuid, uuid.UUID(int=5)),
    "Time": (sa.Time, dt.time(12, 30)),
    "Boolean": (sa.Boolean, True),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("make", [vendor_engine, warehouse_engine])
@pytest.mark.parametrize("name", ALIKE)
def test_what_both_keep(
    warehouse: LocalWarehouse,
    schema: str,
    make: Callable[[LocalWarehouse, str], sa.Engine],
    name: str,
) -> None:
    kind, value = ALIKE[name]
    engine = make(warehouse, schema)
    try:
        assert _kept(engine, kind, value) == value
    finally:
        engine.dispose()


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("make", [vendor_engine, warehouse_engine])
def test_what_both_do(
    warehouse: LocalWarehouse, schema: str, make: Callable[[LocalWarehouse, str], sa.Engine]
) -> None:
    engine = make(warehouse, schema)
    key = sa.Column("a-key", sa.BigInteger, primary_key=True, autoincrement=False)
    number = sa.Column("number", sa.Integer, server_default="7", comment="it's a number")
    table = sa.Table("t", sa.MetaData(), key, number)
    try:
        table.create(engine)
        with engine.begin() as connection:
            connection.execute(sa.insert(table).values({"a-key": 1}))
        with engine.connect() as connection:
            assert connection.execute(sa.select(table)).all() == [(1, 7)]
            assert connection.scalar(sa.select(sa.literal("abc").ilike("A%")))
        assert sa.inspect(engine).get_columns("t")[1]["comment"] == "it's a number"
    finally:
        engine.dispose()


# --- tables that the vendor's dialect has made ----------------------------------------------------


class Made:
    """Tables of the vendor's dialect, and an engine of ours on them."""

    def __init__(self, warehouse: LocalWarehouse, schema: str) -> None:
        self.metadata = sa.MetaData()
        key = sa.Column("id", sa.Integer, primary_key=True)
        self.old = sa.Table("old", self.metadata, key, sa.Column("amount", sa.Numeric))
        key = sa.Column("id", sa.BigInteger, primary_key=True)
        self.other = sa.Table("other", self.metadata, key)
        theirs = vendor_engine(warehouse, schema)
        try:
            self.metadata.create_all(theirs)
        finally:
            theirs.dispose()
        self.engine = warehouse_engine(warehouse, schema)

    def write(self, *statements: Any) -> object:
        with self.engine.begin() as connection:
            for statement in statements:
                connection.execute(statement)
        return "written"


@pytest.fixture
def made(warehouse: LocalWarehouse, schema: str) -> Iterator[Made]:
    found = Made(warehouse, schema)
    yield found
    found.engine.dispose()


@pytest.mark.filterwarnings("ignore")
def test_unit_over_tables_without_catalog_commits_is_refused_until_they_have_them(
    warehouse: LocalWarehouse, schema: str, made: Made
) -> None:
    both = (sa.insert(made.old).values(id=1), sa.insert(made.other).values(id=1))
    with pytest.raises(sa.exc.NotSupportedError) as caught:
        made.write(*both)
    assert isinstance(caught.value.orig, dberrors.AtomicityError)
    for name in ("old", "other"):
        warehouse.sql(f"ALTER TABLE {name} {ENABLE}", schema=schema)
    assert made.write(*both) == "written"


@pytest.mark.filterwarnings("ignore")
def test_key_that_is_made_does_not_fit_a_column_of_32_bits(made: Made) -> None:
    with pytest.raises(sa.exc.DataError, match="CAST_OVERFLOW_IN_TABLE_INSERT"):
        made.write(sa.insert(made.old).values(amount=1))
    assert made.write(sa.insert(made.other).values()) == "written"


@pytest.mark.filterwarnings("ignore")
def test_digits_that_the_column_has_not_are_rounded_by_the_warehouse(made: Made) -> None:
    made.write(sa.insert(made.old).values(id=1, amount=Decimal("1.25")))
    with made.engine.connect() as connection:
        assert connection.scalar(sa.select(made.old.c.amount)) == 1


@pytest.mark.filterwarnings("ignore")
def test_alembic_finds_the_columns_that_are_narrower_than_the_model(made: Made) -> None:
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    with made.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        found = compare_metadata(context, made.metadata)
    changes = {change[0][3] for change in found if isinstance(change, list)}
    assert changes == {"id", "amount"}
    assert {change[0][2] for change in found if isinstance(change, list)} == {"old"}
