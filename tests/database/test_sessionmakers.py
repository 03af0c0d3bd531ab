"""Sessions for an application's own models, on whichever database the configuration chooses."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Column, Engine, Integer, MetaData, String, Table, inspect, select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, sessionmaker

from tests.database.theirs import Theirs
from tests.fallback.outages import Outages, configured
from tests.patience import PATIENCE_S
from vinci_code.core.config import ConfigurationError, reload_settings
from vinci_code.core.errors import DatabaseFileError, MigrationsPendingError, SchemaError
from vinci_code.database import create_configured_engine, create_configured_sessionmaker
from vinci_code.database.migrations.project import AlembicProject
from vinci_code.database.sessionmakers import ConfiguredSessionmaker
from vinci_code.warehouse.pytest_plugin import TestWarehouse


class Base(DeclarativeBase):
    pass


class Order(Base):
    __tablename__ = "orders"

    id: Mapped[int] = mapped_column(primary_key=True)
    customer: Mapped[str]


Make = Callable[..., ConfiguredSessionmaker[Session]]


@pytest.fixture
def make() -> Iterator[Make]:
    """Makes sessionmakers that end with the test."""
    made: list[ConfiguredSessionmaker[Session]] = []

    def maker(base: Any = Base, **options: Any) -> ConfiguredSessionmaker[Session]:
        made.append(create_configured_sessionmaker(base, **options))
        return made[-1]

    yield maker
    for each in made:
        each.dispose()


@pytest.fixture
def theirs(tmp_path: Path) -> Iterator[Theirs]:
    folder = tmp_path / "shop"
    folder.mkdir()
    project = Theirs(folder)
    yield project
    project.forget()


@pytest.fixture
def outages(local_warehouse: TestWarehouse, monkeypatch: pytest.MonkeyPatch) -> Outages:
    """A warehouse that goes away, without tables, with the fallback on."""
    found = configured(local_warehouse, monkeypatch)
    reload_settings()
    return found


def configure(environment: Mapping[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    reload_settings()


def create(tables: MetaData = Base.metadata) -> None:
    """Make tables on the database of the configuration."""
    engine = create_configured_engine()
    tables.create_all(engine)
    engine.dispose()


def upgrade(theirs: Theirs) -> None:
    """Apply their migrations on the database of the configuration."""
    engine = create_configured_engine()
    AlembicProject(theirs.ini).upgrade(engine)
    engine.dispose()


def add(maker: sessionmaker[Session], customer: str = "Ada") -> None:
    with maker.begin() as session:
        session.add(Order(customer=customer))


def customers(maker: sessionmaker[Session]) -> list[str]:
    with maker() as session:
        return list(session.scalars(select(Order.customer).order_by(Order.id)))


def tables(maker: ConfiguredSessionmaker[Session]) -> set[str]:
    return set(inspect(maker.engine).get_table_names())


# --- on SQLite ------------------------------------------------------------------------------------


def test_nothing_is_opened_before_the_first_session(make: Make) -> None:
    maker = make()
    assert isinstance(maker, sessionmaker)
    assert list(Path.cwd().iterdir()) == []
    add(maker)
    assert customers(maker) == ["Ada"]
    # None of this package's.
    assert tables(maker) == {"orders"}
    assert "events" not in Base.metadata.tables


def test_a_metadata_and_tables_of_core_will_do(make: Make) -> None:
    metadata = MetaData()
    copies = Table(
        "copies", metadata, Column("id", Integer, primary_key=True), Column("customer", String)
    )
    maker = make(metadata)
    with maker.begin() as session:
        session.execute(copies.insert(), [{"id": 1, "customer": "Ada"}])
    with maker() as session:
        assert session.scalars(select(copies.c.customer)).all() == ["Ada"]


def test_objects_keep_their_values_unless_it_is_asked_for_otherwise(make: Make) -> None:
    for options, kept in (({}, True), ({"expire_on_commit": True}, False)):
        with make(**options)() as session:
            order = Order(customer="Ada")
            session.add(order)
            session.commit()
            assert ("customer" in order.__dict__) is kept


def test_the_class_of_the_sessions_is_the_application_s(make: Make) -> None:
    class Own(Session):
        pass

    with make(class_=Own)() as session:
        assert isinstance(session, Own)


def test_a_new_configuration_gets_a_new_engine(
    make: Make, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    maker = make()
    add(maker)
    former = maker.engine
    configure({"DATABASE_URL": f"sqlite:///{tmp_path / 'other.db'}"}, monkeypatch)
    assert customers(maker) == []
    made = maker.engine
    assert made is not former
    assert maker.engine is made


def test_an_engine_that_was_disposed_of_is_made_again(make: Make) -> None:
    maker = make()
    add(maker)
    former = maker.engine
    maker.dispose()
    assert customers(maker) == ["Ada"]
    assert maker.engine is not former


def test_an_engine_of_the_caller_s_is_used(make: Make, tmp_path: Path) -> None:
    maker = make()
    other = create_configured_engine()
    Base.metadata.create_all(other)
    with maker(bind=other) as session:
        assert session.get_bind() is other
    other.dispose()
    assert maker._holder._current is None


def test_a_configuration_that_cannot_be_used_is_never_sqlite(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("USE_DATABRICKS", "true")
    with pytest.raises(ConfigurationError):
        make()()
    assert list(Path.cwd().iterdir()) == []


def test_threads_that_begin_together_share_one_engine(make: Make) -> None:
    made: list[Engine] = []

    def count(engine: Engine) -> None:
        made.append(engine)
        Base.metadata.create_all(engine)

    maker = make(migrate=count)
    threads = [threading.Thread(target=add, args=(maker, str(n))) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE_S)
    assert made == [maker.engine]
    assert sorted(customers(maker)) == [str(n) for n in range(8)]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_leaves_the_connections_to_its_parent(make: Make) -> None:
    maker = make()
    add(maker)
    pool = maker.engine.pool
    child = os.fork()
    if child == 0:
        code = 1
        try:
            add(maker, "of the child")
            code = 0 if maker.engine.pool is not pool else 2
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert customers(maker) == ["Ada", "of the child"]
    assert maker.engine.pool is pool


def test_a_file_that_is_none_is_named(make: Make) -> None:
    Path("vinci.db").write_text("no database, but a text that is long enough to be looked at" * 9)
    with pytest.raises(DatabaseFileError, match=r"vinci\.db cannot be used"):
        make()()


@pytest.mark.skipif(sys.version_info < (3, 11), reason="Python tells SQLite's code since 3.11")
def test_a_mistake_in_making_the_tables_is_not_one_of_the_file(make: Make) -> None:
    def wrong(engine: Engine) -> None:
        with engine.begin() as connection:
            connection.exec_driver_sql("CREATE TABLE (")

    with pytest.raises(DBAPIError, match="syntax error"):
        make(migrate=wrong)()


# --- migrations of one's own ----------------------------------------------------------------------


def test_pending_migrations_are_applied_on_sqlite(
    make: Make, theirs: Theirs, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(theirs.folder)
    maker = make(migrate="alembic.ini")
    monkeypatch.chdir(tmp_path)  # the path is that of the call
    add(maker)
    assert tables(maker) == {"orders", "alembic_version"}
    theirs.revision("b2", "a1", "notes", 'op.create_table("notes", sa.Column("id", sa.Integer))')
    maker.dispose()
    assert customers(maker) == ["Ada"]
    assert tables(maker) == {"orders", "notes", "alembic_version"}


def test_a_migration_that_fails_leaves_nothing_and_is_named(make: Make, theirs: Theirs) -> None:
    theirs.revision("b2", "a1", "broken", 'op.execute("DROP TABLE nobody")')
    maker = make(migrate=theirs.ini)
    with pytest.raises(SchemaError) as caught:
        maker()
    message = str(caught.value)
    assert message.startswith(f"Cannot upgrade to head by {theirs.ini}: ")
    if sys.version_info >= (3, 11):
        assert "b2_.py, line 11: no such table: nobody." in message
    engine = create_configured_engine()
    assert inspect(engine).get_table_names() == []
    engine.dispose()


def test_a_project_with_two_heads_is_refused(make: Make, theirs: Theirs) -> None:
    theirs.revision("b2", "a1", "one")
    theirs.revision("c3", "a1", "other")
    with pytest.raises(SchemaError, match=r"2 newest revisions .*alembic merge heads"):
        make(migrate=theirs.ini)()


def test_an_env_py_that_asks_for_its_own_tables_is_refused(
    make: Make, theirs: Theirs, monkeypatch: pytest.MonkeyPatch
) -> None:
    maker = make(migrate=theirs.ini)
    theirs.env("from their_models import Base\nBase.maker.engine\n")
    monkeypatch.syspath_prepend(theirs.folder)
    importlib.import_module("their_models").Base.maker = maker
    with pytest.raises(SchemaError, match="asks for the tables that it is to make"):
        maker()


# --- on Databricks --------------------------------------------------------------------------------


def test_on_databricks_nothing_is_created_and_nothing_asked(
    make: Make, local_warehouse: TestWarehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    configure(local_warehouse.env, monkeypatch)
    called: list[Engine] = []
    for migrate in (None, called.append):
        maker = make(migrate=migrate)
        maker().close()
        with pytest.raises(DBAPIError, match="TABLE_OR_VIEW_NOT_FOUND"):
            customers(maker)
    assert called == []
    assert not any("CREATE" in statement for statement in local_warehouse.statements)
    Base.metadata.create_all(maker.engine)
    add(maker)
    assert customers(maker) == ["Ada"]


def test_on_databricks_the_tables_have_to_be_at_the_heads(
    make: Make, theirs: Theirs, local_warehouse: TestWarehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    configure(local_warehouse.env, monkeypatch)
    maker = make(migrate=theirs.ini)
    with pytest.raises(MigrationsPendingError) as caught:
        maker()
    assert str(caught.value).endswith(f"vinci db upgrade --config {theirs.ini}")
    assert not any("CREATE" in statement for statement in local_warehouse.statements)
    upgrade(theirs)
    add(maker)
    assert customers(maker) == ["Ada"]
    assert tables(maker) == {"orders", "alembic_version"}


def test_a_check_of_the_application_s_own_is_asked_instead(
    make: Make, theirs: Theirs, local_warehouse: TestWarehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    configure(local_warehouse.env, monkeypatch)

    def refuse(engine: Engine) -> None:
        raise RuntimeError(engine.dialect.name)

    with pytest.raises(RuntimeError, match="databricks"):
        make(migrate=theirs.ini, check=refuse)()
    monkeypatch.setenv("USE_DATABRICKS", "false")
    reload_settings()
    make(migrate=theirs.ini, check=refuse)().close()


# --- with the fallback ----------------------------------------------------------------------------


@pytest.mark.parametrize("by_alembic", [False, True], ids=["created", "migrated"])
def test_units_go_on_and_arrive(
    make: Make, theirs: Theirs, outages: Outages, by_alembic: bool
) -> None:
    if by_alembic:
        upgrade(theirs)
    else:
        create()
    maker = make(migrate=theirs.ini if by_alembic else None)
    add(maker, "before")
    assert maker.fallback is not None
    outages.begin()
    maker.engine.dispose()
    add(maker, "meanwhile")
    state = maker.state()
    assert (state.goes_to, state.waiting) == ("standby", 1)
    outages.end()
    add(maker, "after")
    assert customers(maker) == ["before", "meanwhile", "after"]
    assert maker.state().waiting == 0


def test_an_application_starts_while_the_warehouse_is_away(
    make: Make, theirs: Theirs, outages: Outages
) -> None:
    outages.begin()
    maker = make(migrate=theirs.ini)
    add(maker)
    assert maker.state().waiting == 1
    outages.end()
    with pytest.raises(MigrationsPendingError):
        add(maker)
    assert maker.state().waiting == 1
    upgrade(theirs)
    add(maker, "Bob")
    assert customers(maker) == ["Ada", "Bob"]


def test_what_cannot_arrive_is_told(make: Make, outages: Outages) -> None:
    create()
    told: list[str] = []
    maker = make(on_parked=lambda _, reason: told.append(reason))
    with maker.begin() as session:
        session.add(Order(id=1, customer="first"))
    outages.begin()
    maker.engine.dispose()
    with maker.begin() as session:
        session.add(Order(id=1, customer="second"))
    outages.end()
    customers(maker)
    assert len(told) == 1
    assert maker.state().parked == 1


# --- what importing costs -------------------------------------------------------------------------


def test_neither_the_types_nor_the_engine_bring_tables_of_ours() -> None:
    code = """
import sqlalchemy.orm
from vinci_code.database import create_configured_engine, create_configured_sessionmaker
from vinci_code.database.models.types import INTEGER_KEY, JSON_VALUE, StrictText, UtcDateTime
class Base(sqlalchemy.orm.DeclarativeBase): pass
Session = create_configured_sessionmaker(Base)
engine = create_configured_engine()
Session().close()
print(sqlalchemy.inspect(engine).get_table_names(), list(Base.metadata.tables))
from vinci_code.database.models import Event
print(Event.metadata is Base.metadata, list(Base.metadata.tables))
"""
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=PATIENCE_S
    )
    assert run.stdout.split("\n") == ["[] []", "False []", ""], run.stderr
