"""The dialect as a whole: how it is found, what it says of itself, what it sends unasked."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
from sqlalchemy import (
    Column,
    Engine,
    Integer,
    MetaData,
    String,
    Table,
    bindparam,
    create_engine,
    func,
    insert,
    select,
    text,
    update,
)
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column
from sqlalchemy.orm.exc import StaleDataError
from sqlalchemy.schema import CreateTable

from vinci_code.database.dialect import dberrors
from vinci_code.database.dialect.base import VinciDialect
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
def test_a_lost_session_is_told_by_its_class(error: Exception, *, gone: bool) -> None:
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
