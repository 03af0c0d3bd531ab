"""The fixtures that an application's own tests use, in a pytest of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import URL, create_engine, inspect, text
from sqlalchemy.exc import ArgumentError

from tests.patience import PATIENCE_S
from vinci_code.warehouse.pytest_plugin import TestWarehouse

MODELS = """
from sqlalchemy import create_engine, inspect, select
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

class Base(DeclarativeBase):
    pass

class Order(Base):
    __tablename__ = "orders"
    id: Mapped[int] = mapped_column(primary_key=True)
    customer: Mapped[str]

def used(engine):
    # The schema is this test's alone.
    assert inspect(engine).get_table_names() == []
    Base.metadata.create_all(engine)
    with Session(engine) as session:
        session.add(Order(customer="Ada"))
        session.commit()
        assert session.scalars(select(Order.customer)).all() == ["Ada"]
"""
TESTS = """
import pytest
from their_models import create_engine, used

@pytest.mark.parametrize("n", range(2))
def test_engine(warehouse_engine, n):
    used(warehouse_engine)

@pytest.mark.parametrize("engine_url", ["sqlite", "warehouse"], indirect=True)
def test_url(engine_url):
    engine = create_engine(engine_url)
    used(engine)
    engine.dispose()
"""
NOTHING_OF_THE_SDK = """
import sys
sys.modules["databricks.sdk"] = None
"""
UNUSED = """
import sys

def test_nothing_is_loaded(request):
    assert request.config.pluginmanager.has_plugin("vinci_code_warehouse")
    heavy = {"alembic", "databricks", "duckdb", "pyarrow", "sqlalchemy", "sqlglot", "thrift"}
    assert heavy & {name.split(".")[0] for name in sys.modules} == set()
    assert sorted(name for name in sys.modules if name.startswith("vinci_code")) == [
        "vinci_code", "vinci_code.warehouse", "vinci_code.warehouse.pytest_plugin"
    ]
"""


def run(*arguments: str, **files: str) -> subprocess.CompletedProcess[str]:
    """Run pytest in a project of its own, with the plugin as its entry point names it."""
    for name, source in files.items():
        Path(f"{name}.py").write_text(source)
    options = ("-q", "-W", "error", "-p", "no:cacheprovider", *arguments)
    return subprocess.run(
        [sys.executable, "-m", "pytest", *options],
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        env={**os.environ, "SSL_CERT_FILE": os.devnull},
    )


def test_a_test_has_an_engine_on_a_schema_of_its_own() -> None:
    done = run(their_models=MODELS, test_theirs=TESTS, conftest=NOTHING_OF_THE_SDK)
    assert "4 passed" in done.stdout, done.stdout + done.stderr


@pytest.mark.slow
def test_several_processes_do_not_meet() -> None:
    done = run("-n", "2", their_models=MODELS, test_theirs=TESTS.replace("range(2)", "range(6)"))
    assert "8 passed" in done.stdout, done.stdout + done.stderr


def test_nothing_is_imported_before_a_fixture_is_used() -> None:
    done = run("-p", "no:xdist", test_theirs=UNUSED)
    assert "1 passed" in done.stdout, done.stdout + done.stderr


def test_another_database_is_refused_by_name() -> None:
    done = run(
        test_theirs="""
import pytest
@pytest.mark.parametrize("engine_url", ["oracle"], indirect=True)
def test_it(engine_url):
    pass
"""
    )
    assert "engine_url is of sqlite or warehouse, and not of 'oracle'" in done.stdout


def test_the_url_holds_no_token_and_no_plugin_is_left(local_warehouse: TestWarehouse) -> None:
    url: URL = local_warehouse.engine_url
    token = local_warehouse.warehouse.access_token
    assert token not in url.render_as_string(hide_password=False)
    engine = create_engine(str(url))  # as text, it is the same
    assert token not in repr(engine.url)
    assert "plugin" not in engine.url.query
    with engine.connect() as connection:
        assert connection.scalar(text("SELECT current_schema()")) == local_warehouse.schema
    assert inspect(engine).get_table_names() == []
    engine.dispose()


def test_arguments_of_the_caller_stay(local_warehouse: TestWarehouse) -> None:
    given: dict[str, Any] = {"user_agent_entry": "theirs"}
    engine = create_engine(local_warehouse.engine_url, connect_args=given)
    with engine.connect() as connection:
        connection.execute(text("SELECT 1"))
    engine.dispose()
    assert given == {"user_agent_entry": "theirs"}


def test_a_warehouse_that_is_not_here_is_named(local_warehouse: TestWarehouse) -> None:
    with pytest.raises(ArgumentError, match="no local warehouse of this process listens on port 1"):
        create_engine(local_warehouse.engine_url.set(port=1))
