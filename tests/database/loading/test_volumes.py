"""Which volume a load takes, and what names one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import ArgumentError, OperationalError

from tests.database.loading.staging import Staging
from tests.dialect.held import engine_on
from vinci_code.core.config import ConfigurationError, reload_settings
from vinci_code.database import load
from vinci_code.database.dialect.driver.volume_names import volume_path
from vinci_code.database.loading.volumes import Volume, volume_for
from vinci_code.warehouse.faults import Fault
from vinci_code.warehouse.pytest_plugin import TestWarehouse

PATH = "/Volumes/main/default/landing"
GOOD = ["main.default.landing", PATH, f" {PATH}/ ", "`main`.`default`.`landing`"]
BAD = [
    "", "landing", "default.landing", "a.main.default.landing", "/Volumes/main/default",
    f"{PATH}/deeper", "/Volumes//default/landing", "main..landing", "main.default.lan ding",
    "main.default.lan'ding", "main.default.lan`ding", "main.default.lan\\ding", "dbfs:" + PATH,
    "main.default.lan\nding", f"main.default.{'x' * 256}", "/Volumes/main/default/..", "s3://a.b.c",
]  # fmt: skip


@pytest.fixture
def engine(local_warehouse: TestWarehouse) -> Iterator[sa.Engine]:
    made = engine_on(local_warehouse.warehouse, local_warehouse.schema)
    yield made
    made.dispose()


def test_what_names_no_volume_is_refused_where_rows_are_few_too(engine: sa.Engine) -> None:
    table = sa.Table("few", sa.MetaData(), sa.Column("id", sa.Integer, primary_key=True))
    for on in (engine, sa.create_engine("sqlite://")):
        with pytest.raises(ArgumentError, match="names no volume"):
            load(on, table, [{"id": 1}], volume="landing")


@pytest.mark.parametrize("text", GOOD)
def test_a_volume_is_named_by_three_names_or_by_its_path(text: str) -> None:
    assert volume_path(text) == PATH
    assert Volume.parse(text) == Volume(PATH)
    assert str(Volume(PATH)) == "main.default.landing"


@pytest.mark.parametrize("text", BAD)
def test_what_names_no_volume_is_refused(text: str, engine: sa.Engine) -> None:
    assert volume_path(text) is None
    with pytest.raises(ArgumentError, match="names no volume; wanted is catalog"):
        Volume.parse(text)
    with pytest.raises(ArgumentError, match="names no volume; wanted is catalog"):
        sa.create_engine("databricks+vinci://h?http_path=/x", volume=text)


def test_the_volume_that_is_asked_for_comes_first_and_that_of_the_engine_next(
    local_warehouse: TestWarehouse,
) -> None:
    engine = engine_on(
        local_warehouse.warehouse, local_warehouse.schema, volume="main.default.of_engine"
    )
    with engine.connect() as connection:
        begin = len(local_warehouse.requests)
        asked = volume_for(connection, PATH)
        assert (asked.volume, asked.reason) == (Volume(PATH), "it was asked for")
        found = volume_for(connection, None)
        assert found.volume == Volume("/Volumes/main/default/of_engine")
        assert len(local_warehouse.requests) == begin
    engine.dispose()


def test_one_by_the_documented_name_is_found_by_one_request(
    local_warehouse: TestWarehouse, engine: sa.Engine
) -> None:
    Staging(local_warehouse, "another")
    with engine.connect() as connection:
        none = volume_for(connection, None)
        assert none.volume is None
        assert "the connection's schema has none called vinci_load" in none.reason
    staging = Staging(local_warehouse)
    with engine.connect() as connection:
        begin = len(local_warehouse.requests)
        assert volume_for(connection, None).volume == staging.volume
        assert len(local_warehouse.requests) == begin + 1


COMPLETE = {
    "USE_DATABRICKS": "true",
    "DATABRICKS_SERVER_HOSTNAME": "adb-1234567890123456.7.azuredatabricks.net",
    "DATABRICKS_HTTP_PATH": "/sql/1.0/warehouses/0123456789abcdef",
    "DATABRICKS_ACCESS_TOKEN": "dapi" + "0123456789abcdef" * 2,
}


@pytest.fixture
def complete(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in COMPLETE.items():
        monkeypatch.setenv(name, value)


# --- the setting ----------------------------------------------------------------------------------


@pytest.mark.usefixtures("complete")
def test_a_warehouse_that_cannot_be_asked_has_not_said_that_there_is_none(
    local_warehouse: TestWarehouse, engine: sa.Engine
) -> None:
    with engine.connect() as connection:
        hurried = connection.execution_options(databricks_timeout=0.3)
        local_warehouse.inject(Fault.delay(30.0, operation="ExecuteStatement", times=1))
        with pytest.raises(OperationalError):
            volume_for(hurried, None)


@pytest.mark.parametrize("text", [*GOOD[:2], f"{PATH}/"])
def test_the_setting_takes_names_and_paths(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABRICKS_VOLUME", text)
    found = reload_settings().database.databricks_volume
    assert found == text
    assert volume_path(found) == PATH


@pytest.mark.usefixtures("complete")
@pytest.mark.parametrize("text", [one for one in BAD if one])
def test_the_setting_refuses_what_names_no_volume(
    text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABRICKS_VOLUME", text)
    with pytest.raises(ConfigurationError, match="DATABRICKS_VOLUME"):
        reload_settings()
