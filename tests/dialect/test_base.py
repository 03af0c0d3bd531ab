"""The dialect as a whole: how it is found, what it says of itself, what it sends unasked."""

from __future__ import annotations

import site
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import (
    URL,
    Column,
    Engine,
    Integer,
    MetaData,
    String,
    Table,
    bindparam,
    create_engine,
    event,
    func,
    insert,
    inspect,
    select,
    text,
    update,
)
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column
from sqlalchemy.orm.exc import StaleDataError
from sqlalchemy.schema import CreateTable

import vinci_code
from vinci_code.database.dialect import dberrors
from vinci_code.database.dialect.base import VinciDialect
from vinci_code.database.dialect.driver import dbapi
from vinci_code.warehouse.pytest_plugin import TestWarehouse

TABLE = Table("t", MetaData(), Column("id", Integer, primary_key=True), Column("n", Integer))


def test_it_is_found_by_its_name() -> None:
    assert make_url("databricks+vinci://host").get_dialect() is VinciDialect


def test_it_is_found_without_the_driver_or_the_settings() -> None:
    program = (
        "import sys, sqlalchemy\n"
        "sqlalchemy.make_url('databricks+vinci://host').get_dialect()()\n"
        "print([name for name in sys.modules if name.startswith(('databricks.sql', "
        "'vinci_code.core.config', 'vinci_code.warehouse', 'pyarrow', 'duckdb'))])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


_ARGUMENT = """
import warnings
warnings.simplefilter("error")
from sqlalchemy import Column, Integer, MetaData, Table
from sqlalchemy.dialects import registry
table = Table("t", MetaData(), Column("a", Integer), databricks_cluster_by=["a"])
found = registry.load("databricks")
from vinci_code.database.dialect import NamedDatabricks
assert NamedDatabricks is found
print(found.__name__, table.dialect_kwargs["databricks_cluster_by"])
"""


def test_arguments_of_a_table_need_no_import() -> None:
    # The vendor's dialect is installed beside ours, and goes by the same name.
    for order in ("", "import vinci_code.database.dialect\n"):
        done = subprocess.run(
            [sys.executable, "-c", order + _ARGUMENT], capture_output=True, text=True, check=True
        )
        assert done.stdout == "DatabricksDialect ['a']\n"


def test_arguments_of_a_table_need_no_vendor(tmp_path: Path) -> None:
    for packages in map(Path, site.getsitepackages()):
        for item in packages.iterdir():
            if not item.name.startswith(("databricks_sqlalchemy-", "__pycache__")):
                (tmp_path / item.name).symlink_to(item)
    root = Path(vinci_code.__file__).parents[1]
    path = f"import sys; sys.path[:0] = [{str(tmp_path)!r}, {str(root)!r}]\n"
    run = [sys.executable, "-I", "-S", "-c"]
    done = subprocess.run([*run, path + _ARGUMENT], capture_output=True, text=True, check=True)
    assert done.stdout == "VinciDialect ['a']\n"
    misspelt = path + _ARGUMENT.replace("cluster_by", "clusterby")
    done = subprocess.run([*run, misspelt], capture_output=True, text=True, check=False)
    assert "'databricks_clusterby' is not accepted by dialect 'databricks'" in done.stderr


def test_the_default_schema_is_known_without_a_statement(
    engine_url: URL, engine_args: dict[str, Any], local_warehouse: TestWarehouse
) -> None:
    schema = local_warehouse.schema
    schemas = []
    for url, arguments in (
        (engine_url, {}),
        (engine_url.difference_update_query(["schema"]), {"schema": schema.upper()}),
        (engine_url.difference_update_query(["schema"]), {}),
    ):
        engine = create_engine(url, connect_args={**engine_args, **arguments})
        with engine.connect() as connection:
            schemas.append(inspect(connection).default_schema_name)
        engine.dispose()
    assert schemas == [schema, schema, "default"]
    assert create_engine(engine_url).dialect.default_schema_name == schema
    made = create_engine(
        "databricks+vinci://host", creator=lambda: dbapi.connect(**local_warehouse.connect_args)
    )
    with made.connect():
        assert made.dialect.default_schema_name == schema
    made.dispose()
    assert local_warehouse.statements == []


def test_the_default_schema_can_stand_for_another(engine: Engine) -> None:
    TABLE.create(engine)
    elsewhere = Table("t", MetaData(), Column("n", Integer), schema="elsewhere")
    with engine.connect().execution_options(schema_translate_map={"elsewhere": None}) as connection:
        assert connection.execute(select(elsewhere)).all() == []


def test_connecting_sends_no_statement(engine: Engine, local_warehouse: TestWarehouse) -> None:
    for _ in range(3):
        with engine.connect():
            pass
    operations = [request.operation for request in local_warehouse.requests]
    assert local_warehouse.statements == []
    assert operations.count("OpenSession") == 1


def test_a_ping_sends_nothing(
    engine_url: Any, engine_args: Any, local_warehouse: TestWarehouse
) -> None:
    engine = create_engine(engine_url, connect_args=engine_args, pool_pre_ping=True)
    with engine.connect() as connection:
        connection.execute(text("SELECT 1"))
    before = len(local_warehouse.requests)
    with engine.connect():
        pass
    assert len(local_warehouse.requests) == before
    engine.dispose()


def test_a_read_is_one_statement(engine: Engine, local_warehouse: TestWarehouse) -> None:
    TABLE.create(engine, checkfirst=False)
    with engine.begin() as connection:
        connection.execute(insert(TABLE), [{"n": number} for number in range(5)])
    before = len(local_warehouse.statements)
    with engine.begin() as connection:
        assert len(connection.execute(select(TABLE)).all()) == 5
    assert len(local_warehouse.statements) == before + 1


@pytest.mark.parametrize(
    ("error", "gone"),
    [
        (dberrors.SessionLostError("x"), True),
        (dberrors.ConnectionLostError("x"), True),
        (dberrors.ProgrammingError("Invalid SessionHandle"), False),
        (dberrors.AuthenticationFailed("x"), False),
        (dberrors.ConflictError("x"), False),
        (ValueError("connection lost"), False),
    ],
)
def test_a_lost_session_is_recognised_by_its_class(error: Exception, *, gone: bool) -> None:
    assert VinciDialect().is_disconnect(error, None, None) is gone


def test_isolation_levels(engine: Engine) -> None:
    with engine.connect() as connection:
        assert connection.get_isolation_level() == "READ COMMITTED"
        assert connection.default_isolation_level == "READ COMMITTED"
    for level in ("AUTOCOMMIT", "REPEATABLE READ"):
        with engine.connect().execution_options(isolation_level=level) as connection:
            assert connection.get_isolation_level() == level
            assert connection.scalar(text("SELECT 1")) == 1
    with (
        engine.connect() as connection,
        pytest.raises(ArgumentError, match=r"SERIALIZABLE.*AUTOCOMMIT"),
    ):
        connection.execution_options(isolation_level="SERIALIZABLE")


def test_how_many_rows_were_matched(engine: Engine) -> None:
    TABLE.create(engine)
    with engine.begin() as connection:
        assert connection.execute(insert(TABLE), {"n": 1}).rowcount == 1
        connection.execute(insert(TABLE), [{"n": 1}, {"n": 2}])
        assert connection.execute(update(TABLE).where(TABLE.c.n == 1).values(n=1)).rowcount == 2
        assert connection.execute(update(TABLE).where(TABLE.c.n == 9).values(n=1)).rowcount == 0
        many = update(TABLE).where(TABLE.c.n == bindparam("old")).values(n=bindparam("new"))
        counted = connection.execute(many, [{"old": 1, "new": 5}, {"old": 2, "new": 6}])
        assert counted.rowcount == 3
        assert connection.execute(TABLE.delete()).rowcount == 3


def test_a_stale_version_is_noticed(engine: Engine) -> None:
    class Base(DeclarativeBase):
        pass

    class Versioned(Base):
        __tablename__ = "versioned"
        id: Mapped[int] = mapped_column(primary_key=True)
        name: Mapped[str]
        version: Mapped[int] = mapped_column()
        __mapper_args__ = {"version_id_col": version}

    Base.metadata.create_all(engine)
    with Session(engine) as session:
        session.add(Versioned(name="a"))
        session.commit()
    with Session(engine) as one, Session(engine) as two:
        mine, theirs = one.scalars(select(Versioned)).one(), two.scalars(select(Versioned)).one()
        mine.name = "mine"
        one.commit()
        theirs.name = "theirs"
        with pytest.raises(StaleDataError):
            two.commit()


def test_arguments_of_tables_are_checked() -> None:
    for argument in ("cluster_by", "partition_by", "tblproperties"):
        options: dict[str, Any] = {f"databricks_{argument}": None}
        Table("x", MetaData(), Column("id", Integer), **options)


def test_statements_are_cached(engine: Engine) -> None:
    with engine.connect() as connection:
        statement = select(func.lower(text("'A'"))).where(text("1 = 1")).limit(5)
        for limit in range(1, 20):
            connection.execute(statement.limit(limit))
    assert len(engine._compiled_cache or ()) < 5


def test_the_vendors_renderings_are_not_ours() -> None:
    pytest.importorskip("databricks.sqlalchemy")
    table = Table("x", MetaData(), Column("id", Integer), Column("s", String))
    assert "id BIGINT" in str(CreateTable(table).compile(dialect=VinciDialect()))


def test_the_vendors_listener_keeps_no_connection_from_being_opened(
    engine: Engine, local_warehouse: TestWarehouse
) -> None:
    # Whoever imports the vendor's dialect has every engine on Databricks given another
    # user agent, which ends with a blank where the application has named none.
    vendor = pytest.importorskip("databricks.sqlalchemy.base")
    given: list[dict[str, object]] = []
    event.listen(engine, "do_connect", vendor.receive_do_connect)
    event.listen(engine, "do_connect", lambda *found: given.append(dict(found[-1])))
    with engine.connect() as connection:
        assert connection.scalar(text("SELECT 1")) == 1
    assert given[0]["user_agent_entry"] == "sqlalchemy + "
    assert local_warehouse.statements[-1] == "SELECT 1"
