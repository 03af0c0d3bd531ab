"""Small keys: what is sent for them, that none comes twice, and what becomes of lost answers."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import (
    INTEGER,
    SMALLINT,
    BigInteger,
    Column,
    Engine,
    Identity,
    Integer,
    MetaData,
    String,
    Table,
    TypeDecorator,
    create_engine,
    delete,
    event,
    func,
    insert,
    inspect,
    select,
    text,
)
from sqlalchemy.engine import URL
from sqlalchemy.exc import ArgumentError, CompileError, DBAPIError, IntegrityError, StatementError
from sqlalchemy.exc import NotSupportedError as Unsupported
from sqlalchemy.exc import OperationalError as Operational
from sqlalchemy.exc import ProgrammingError as Programming
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column
from sqlalchemy.pool import NullPool
from sqlalchemy.schema import CreateTable

from tests.dialect.held import first_words, sending
from tests.dialect.sides import Sides, sides_of
from tests.dialect.test_forking import in_child, wait_for
from tests.full import part, some
from vinci_code.database.dialect.sql.key_blocks import KEY_TABLE, LARGEST, KeyStatements
from vinci_code.database.dialect.units import key_ranges
from vinci_code.warehouse import Fault
from vinci_code.warehouse.pytest_plugin import TestWarehouse

Connected = Callable[..., Engine]


class Base(DeclarativeBase):
    pass


class Row(Base):
    __tablename__ = "row_"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str | None]


class Other(Base):
    __tablename__ = "other"

    id: Mapped[int] = mapped_column(primary_key=True)
    code: Mapped[str] = mapped_column(String, unique=True)


ROW: Any = Row.__table__
COUNTED = Table(KEY_TABLE, MetaData(), Column("table_name", String), Column("last_key", Integer))


@pytest.fixture(params=["with transactions", "without"])
def warehouse(request: pytest.FixtureRequest) -> TestWarehouse:
    name = "local_warehouse" if request.param == "with transactions" else "without_transactions"
    found: TestWarehouse = request.getfixturevalue(name)
    return found


@pytest.fixture
def engine(connected: Connected) -> Engine:
    """An engine whose keys come from blocks of ten, with the tables."""
    engine = connected(keys="blocks", keys_block_size=10)
    Base.metadata.create_all(engine)
    return engine


@pytest.fixture
def another(connected: Connected) -> Engine:
    """Another engine on the same tables, as another process has one."""
    return connected(keys="blocks", keys_block_size=10)


def add(engine: Engine, count: int = 1, **values: Any) -> list[int]:
    """Add rows by a unit of work of the ORM, and return their keys."""
    with Session(engine, expire_on_commit=False) as session:
        rows = [Row(**values) for _ in range(count)]
        session.add_all(rows)
        session.commit()
        return [row.id for row in rows]


def keys_of(engine: Engine) -> list[int]:
    with engine.connect() as connection:
        return list(connection.scalars(select(Row.id).order_by(Row.id)))


def counted(engine: Engine) -> dict[str, int]:
    """What the counting table says, without the row that has no name."""
    with engine.connect() as connection:
        found = connection.execute(select(COUNTED).where(COUNTED.c.table_name != ""))
        return {name: last for name, last in found}  # noqa: C416 - rows are no pairs for mypy


def words(sent: list[str]) -> list[str]:
    return first_words(sent)


# --- what they are, and what they cost ------------------------------------------------------------


def test_keys_are_small_and_in_order(warehouse: TestWarehouse, connected: Connected) -> None:
    engine = connected(warehouse, keys="blocks")
    Base.metadata.create_all(engine)
    assert add(engine, 3) == [1, 2, 3]
    assert add(engine) == [4]
    with engine.begin() as connection:
        connection.execute(insert(Row), [{"name": "a"}, {"name": "b"}])
        connection.execute(insert(Row).values([{"name": "c"}, {"name": "d"}]))
        assert connection.execute(insert(Row), {"name": "e"}).inserted_primary_key == (9,)
    assert keys_of(engine) == list(range(1, 10))
    assert counted(engine) == {"row_": 1000}


@pytest.fixture
def sides(engine: Engine, tmp_path: Path) -> Iterator[Sides]:
    with sides_of(engine, tmp_path, Base.metadata) as sides:
        yield sides


def test_they_are_those_of_sqlite(sides: Sides) -> None:
    sides.write(insert(Row), [{"name": f"n{number}"} for number in range(25)])
    sides.write(insert(Row).values([{"name": "a"}, {"name": "b"}]))
    sides.write(insert(Row).values(name=func.upper("c")))
    for engine in sides.engines:
        add(engine, 7)
    assert sides.rows(select(Row.id).order_by(Row.id)) == [(key,) for key in range(1, 36)]


def test_a_key_that_the_application_gives_is_passed_over_as_on_sqlite(sides: Sides) -> None:
    for engine in sides.engines:
        add(engine, 2, name="before any is given")
        with Session(engine) as session:
            session.add(Row(id=5))
            session.commit()
        assert add(engine, 1) == [6]
    sides.write(insert(Row), [{"id": 8}, {"id": None}, {"id": None}])
    sides.write(insert(Row).values(id=30))
    sides.write(insert(Row).values(name="last"))
    expected = [1, 2, 5, 6, 8, 9, 10, 30, 31]
    assert sides.rows(select(Row.id).order_by(Row.id)) == [(key,) for key in expected]


def test_a_key_that_is_given_first_is_passed_over(engine: Engine) -> None:
    with Session(engine) as session:
        session.add(Row(id=1))
        session.flush()
        session.add(row := Row())
        session.commit()
        assert row.id == 2


def test_a_range_costs_one_statement(warehouse: TestWarehouse, connected: Connected) -> None:
    engine = connected(warehouse, keys="blocks", keys_block_size=10)
    Base.metadata.create_all(engine)
    with sending(lambda: warehouse.statements) as sent:
        add(engine, 4)
    # The table has no count, so that it gets one, once.
    assert words(sent) == ["BEGIN", "SELECT", "MERGE", "BEGIN", "INSERT"]
    with sending(lambda: warehouse.statements) as sent, engine.begin() as connection:
        connection.execute(insert(Row), [{}] * 6)
    assert words(sent) == ["INSERT"]
    # Each is twice as long as the one before, up to 64 times the first.
    for size in (20, 40, 80, 160, 320, 640, 640):
        before = counted(engine)["row_"]
        with sending(lambda: warehouse.statements) as sent:
            for rows in (1, size - 1):
                with engine.begin() as connection:
                    connection.execute(insert(Row), [{}] * rows)
        assert words(sent) == ["BEGIN", "INSERT", "INSERT"]
        assert counted(engine)["row_"] == before + size


def test_what_a_unit_needs_is_one_range(engine: Engine, local_warehouse: TestWarehouse) -> None:
    add(engine, 3)
    for write in (_many_objects, _many_rows, _rows_within):
        with sending(lambda: local_warehouse.statements) as sent:
            write(engine, 700)
        assert words(sent) == ["BEGIN", "INSERT"]
    assert keys_of(engine) == list(range(1, 2104))


def _many_objects(engine: Engine, count: int) -> None:
    with Session(engine) as session:
        session.add_all([Row() for _ in range(count)])
        session.commit()


def _many_rows(engine: Engine, count: int) -> None:
    with engine.begin() as connection:
        connection.execute(insert(Row), [{"name": "a"}] * count)


def _rows_within(engine: Engine, count: int) -> None:
    with engine.begin() as connection:
        connection.execute(insert(Row).values([{"name": "a"}] * count))


def test_only_the_rows_without_a_key_are_counted(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(insert(Row), [{"id": number} for number in range(100, 200)])
        connection.execute(
            insert(Row), [{"id": number} for number in range(200, 300)] + [{"id": None}]
        )
    assert keys_of(engine)[-1] == 300
    assert counted(engine) == {"row_": 309}


def test_a_statement_that_is_looked_at_takes_no_key(
    engine: Engine, local_warehouse: TestWarehouse
) -> None:
    with sending(lambda: local_warehouse.statements) as sent:
        for statement in (insert(Row), insert(Row).values([{"name": "a"}, {"name": "b"}])):
            compiled = statement.compile(engine)
            assert compiled.params.get("id") is None
            assert "INSERT" in str(compiled)
    assert sent == []


# --- which tables ---------------------------------------------------------------------------------


def test_a_table_says_otherwise_than_its_engine(connected: Connected) -> None:
    metadata = MetaData()
    small, large = (
        Table(kind, metadata, Column("id", Integer, primary_key=True), databricks_keys=kind)
        for kind in ("blocks", "time_ordered")
    )
    plain = Table("plain", metadata, Column("id", Integer, primary_key=True))
    for keys, expected in (("blocks", {small, plain}), ("time_ordered", {small})):
        engine = connected(keys=keys)
        metadata.create_all(engine)
        with engine.begin() as connection:
            for table in (small, large, plain):
                key = connection.execute(insert(table)).inserted_primary_key[0]  # type: ignore[index]
                assert (key <= 2000) is (table in expected), table.name
        metadata.drop_all(engine)


def test_an_unknown_word_is_refused(connected: Connected, engine: Engine) -> None:
    with pytest.raises(ArgumentError, match="keys='small': it is one of 'time_ordered', 'blocks'"):
        connected(keys="small")
    for size in (0, -1, True, "10"):
        with pytest.raises(ArgumentError, match="keys_block_size"):
            connected(keys_block_size=size)
    table = Table("t", MetaData(), Column("id", Integer, primary_key=True), databricks_keys="block")
    for refused in (CreateTable(table), insert(table)):
        with pytest.raises(ArgumentError, match="databricks_keys='block' of the table t"):
            refused.compile(engine)


def test_sqlite_takes_no_notice(tmp_path: Path) -> None:
    table = Table(
        "t", MetaData(), Column("id", Integer, primary_key=True), databricks_keys="blocks"
    )
    engine = create_engine(f"sqlite:///{tmp_path / 'a.db'}")
    table.create(engine)
    with engine.begin() as connection:
        assert connection.execute(insert(table)).inserted_primary_key == (1,)
    assert inspect(engine).get_table_names() == ["t"]
    engine.dispose()


def test_keys_that_nobody_makes_need_no_count(engine: Engine) -> None:
    metadata = MetaData()
    for column in (
        Column("id", String, primary_key=True),
        Column("id", BigInteger, Identity(always=True), primary_key=True),
        Column("id", Integer, primary_key=True, autoincrement=False),
    ):
        metadata.clear()
        table = Table("t", metadata, column)
        assert KEY_TABLE not in str(CreateTable(table).compile(engine))
    assert KEY_TABLE in str(CreateTable(ROW).compile(engine))


def test_a_column_of_few_bits_gets_what_it_holds(
    connected: Connected, caplog: pytest.LogCaptureFixture
) -> None:
    engine, metadata = connected(keys="blocks"), MetaData()
    narrow = Table("narrow", metadata, Column("id", INTEGER, primary_key=True))
    short = Table("short", metadata, Column("id", SMALLINT, primary_key=True))
    metadata.create_all(engine)
    assert "less than the 63 bits" not in caplog.text
    with engine.begin() as connection:
        for table in (narrow, short):
            assert connection.execute(insert(table)).inserted_primary_key == (1,)
        connection.execute(insert(short), {"id": 32_766})
    later = connected(keys="blocks")
    with later.begin() as connection:
        assert connection.execute(insert(short)).inserted_primary_key == (32_767,)
    with later.connect() as connection, pytest.raises(Unsupported) as refused:
        connection.execute(insert(short))
    assert "short.id from a block would be 33767, and 32767 is the largest" in str(refused.value)


class Doubled(TypeDecorator[int]):
    impl = Integer
    cache_ok = True

    def process_bind_param(self, value: int | None, dialect: Any) -> int | None:
        return None if value is None else 2 * value


def test_a_type_that_stores_something_else_is_refused(engine: Engine) -> None:
    table = Table("t", MetaData(), Column("id", Doubled, primary_key=True))
    table.create(engine)
    with engine.connect() as connection, pytest.raises((CompileError, StatementError)) as refused:
        connection.execute(insert(table))
    assert "t.id" in str(refused.value)
    assert "TypeDecorator" in str(refused.value)


def test_insert_from_select_is_refused(engine: Engine, local_warehouse: TestWarehouse) -> None:
    refused = pytest.raises((CompileError, StatementError), match="INSERT … SELECT leaves the keys")
    with (
        sending(lambda: local_warehouse.statements) as sent,
        engine.connect() as connection,
        refused,
    ):
        connection.execute(insert(Row).from_select(["name"], select(Other.code)))
    assert sent == []
    with engine.begin() as connection:
        connection.execute(insert(Other), {"code": "a"})
        connection.execute(insert(Row).from_select(["id", "name"], select(Other.id, Other.code)))
    assert keys_of(engine) == [1]


# --- tables that have rows ------------------------------------------------------------------------


def test_the_first_range_is_behind_the_rows_that_are_there(
    engine: Engine, local_warehouse: TestWarehouse
) -> None:
    local_warehouse.warehouse.sql(
        f"INSERT INTO {local_warehouse.schema}.row_ VALUES (-7, 'n'), (41, 'imported')"
    )
    assert add(engine, 2) == [42, 43]


def test_a_later_process_begins_behind_the_count_and_the_rows(
    engine: Engine, another: Engine, connected: Connected, local_warehouse: TestWarehouse
) -> None:
    assert add(engine) == [1]
    assert add(another) == [11]
    local_warehouse.warehouse.sql(
        f"INSERT INTO {local_warehouse.schema}.row_ VALUES (500, 'imported')"
    )
    assert add(connected(keys="blocks")) == [501]
    with engine.begin() as connection:
        connection.execute(delete(Row))
    # Deleted keys do not come back.
    assert add(connected(keys="blocks")) == [1501]


def test_a_table_with_keys_of_63_bits_is_refused_by_name(
    engine: Engine, connected: Connected, local_warehouse: TestWarehouse
) -> None:
    schema = local_warehouse.schema
    large = f"INSERT INTO {schema}.row_ VALUES (385029678178269284, 'x')"
    local_warehouse.warehouse.sql(large)
    with sending(lambda: local_warehouse.statements) as sent, pytest.raises(Unsupported) as refused:
        add(engine)
    assert words(sent) == ["BEGIN", "SELECT"]
    assert counted(engine) == {}
    said = str(refused.value)
    assert "row_.id" in said
    assert "databricks_keys='time_ordered'" in said
    # What the message offers: to begin below them. They are no reason to stop from then on.
    begin = said.partition("let blocks begin below them: ")[2].partition("\n")[0]
    local_warehouse.warehouse.sql(begin.replace(KEY_TABLE, f"{schema}.{KEY_TABLE}"))
    local_warehouse.warehouse.sql(
        f"INSERT INTO {schema}.row_ VALUES (7, 'a'), ({LARGEST + 1}, 'b')"
    )
    assert add(engine, 2) == [8, 9]
    local_warehouse.warehouse.sql(large.replace("284", "285"))
    assert add(connected(keys="blocks")) == [18]


def test_the_last_small_key_is_the_last(engine: Engine, local_warehouse: TestWarehouse) -> None:
    local_warehouse.warehouse.sql(
        f"INSERT INTO {local_warehouse.schema}.row_ VALUES ({LARGEST - 2}, 'a')"
    )
    assert add(engine, 2) == [LARGEST - 1, LARGEST]
    with pytest.raises(Unsupported, match=f"{LARGEST} is the largest that the column"):
        add(engine)


def test_keys_that_somebody_else_gives_are_found_by_the_commit_and_left_behind(
    engine: Engine, local_warehouse: TestWarehouse
) -> None:
    assert add(engine, 2) == [1, 2]
    local_warehouse.warehouse.sql(
        f"INSERT INTO {local_warehouse.schema}.row_ SELECT id, 'x' FROM range(3, 60)"
    )
    with pytest.raises(IntegrityError):
        add(engine)
    assert add(engine, 2) == [60, 61]


def test_a_range_is_behind_such_keys(engine: Engine, local_warehouse: TestWarehouse) -> None:
    add(engine, 10)
    local_warehouse.warehouse.sql(f"INSERT INTO {local_warehouse.schema}.row_ VALUES (15, 'x')")
    with sending(lambda: local_warehouse.statements) as sent:
        assert add(engine, 2) == [16, 17]
    assert words(sent)[:2] == ["BEGIN", "INSERT"]


def test_another_collision_costs_a_question_and_no_range(
    engine: Engine, local_warehouse: TestWarehouse
) -> None:
    def add_other() -> int:
        with Session(engine) as session:
            session.add(other := Other(code="a"))
            session.flush()
            key = other.id
            session.commit()
            return key

    assert add_other() == 1
    with pytest.raises(IntegrityError):
        add_other()
    with sending(lambda: local_warehouse.statements) as sent, pytest.raises(IntegrityError):
        add_other()
    assert words(sent) == ["SELECT", "INSERT"]
    assert counted(engine) == {"other": 10}
    # Those of other tables are not asked about.
    with sending(lambda: local_warehouse.statements) as sent:
        add(engine)
    assert words(sent)[:5] == ["BEGIN", "SELECT", "MERGE", "BEGIN", "INSERT"]


# --- units of work, connections -------------------------------------------------------------------


def test_a_rollback_gives_nothing_back(engine: Engine) -> None:
    with Session(engine) as session:
        session.add(Row())
        session.flush()
        session.rollback()
    assert add(engine) == [2]


@pytest.mark.parametrize("level", ["READ COMMITTED", "REPEATABLE READ", "AUTOCOMMIT"])
def test_a_pool_of_one_connection_is_enough(
    level: str, connected: Connected, local_warehouse: TestWarehouse
) -> None:
    engine = connected(
        keys="blocks", keys_block_size=2, pool_size=1, max_overflow=0, pool_timeout=1
    )
    Base.metadata.create_all(engine)
    with engine.execution_options(isolation_level=level).connect() as connection:
        for _ in range(5):
            # Within a transaction of the warehouse that has read the table.
            connection.execute(select(Row))
            connection.execute(insert(Row))
        connection.commit()
    assert keys_of(engine) == [1, 2, 3, 4, 5]
    # Those that ranges were reserved with are closed.
    opened = [r.session_id for r in local_warehouse.requests if r.operation == "OpenSession"]
    closed = [r.session_id for r in local_warehouse.requests if r.operation == "CloseSession"]
    assert len(set(opened) - set(closed)) == 1


def test_keys_while_rows_are_read_by_and_by(engine: Engine) -> None:
    add(engine, 30)
    with Session(engine) as session:
        for row in session.scalars(select(Row).order_by(Row.id).execution_options(yield_per=7)):
            session.add(Row(name=f"copy of {row.id}"))
        session.commit()
    assert len(keys_of(engine)) == 60


def test_any_pool_will_do(connected: Connected) -> None:
    engine = connected(keys="blocks", poolclass=NullPool)
    Base.metadata.create_all(engine)
    assert add(engine, 2) == [1, 2]


def test_the_connection_is_opened_as_others_are(engine: Engine) -> None:
    opened: list[Any] = []
    event.listen(engine, "do_connect", lambda *arguments: opened.append(arguments))
    add(engine)
    assert len(opened) == 1


def test_a_schema_has_its_own_count(connected: Connected, local_warehouse: TestWarehouse) -> None:
    warehouse, schema = local_warehouse.warehouse, f"{local_warehouse.schema}_b"
    warehouse.sql(f"CREATE SCHEMA {schema}")
    try:
        engine = connected(keys="blocks", keys_block_size=10)
        table = Table("row_", MetaData(), Column("id", Integer, primary_key=True), schema=schema)
        table.create(engine)
        Base.metadata.create_all(engine)
        with engine.begin() as connection:
            assert connection.execute(insert(table)).inserted_primary_key == (1,)
        assert add(engine) == [1]
        moved = engine.execution_options(schema_translate_map={None: schema})
        with moved.begin() as connection:
            assert connection.execute(insert(Row)).inserted_primary_key == (2,)
        Base.metadata.drop_all(moved)
        Base.metadata.create_all(moved)
        with Session(moved) as session:
            session.add(row := Row())
            session.flush()
            assert row.id == 3
        there = select(COUNTED.c.last_key).order_by(COUNTED.c.last_key)
        with moved.connect() as connection:
            # That of the row without a name, which was changed when the table got its row.
            assert connection.scalars(there).all() == [1, 10]
    finally:
        warehouse.sql(f"DROP SCHEMA {schema} CASCADE")


# --- the counting table ---------------------------------------------------------------------------


def test_without_the_counting_table_it_is_said_how_to_make_it(
    engine: Engine, local_warehouse: TestWarehouse
) -> None:
    warehouse, schema = local_warehouse.warehouse, local_warehouse.schema
    warehouse.sql(f"DROP TABLE {schema}.{KEY_TABLE}")
    with pytest.raises(Programming) as refused:
        add(engine)
    said = str(refused.value)
    assert f"the table that counts them, {KEY_TABLE}, is not there" in said
    statement = said[said.index("CREATE TABLE") :].partition("\n[SQL")[0].partition("\n(Back")[0]
    with engine.begin() as connection:
        connection.execute(text(statement))
    assert add(engine) == [1]


def test_it_is_no_table_of_the_application(engine: Engine) -> None:
    assert sorted(inspect(engine).get_table_names()) == ["other", "row_"]
    assert inspect(engine).has_table(KEY_TABLE)
    found = MetaData()
    found.reflect(engine)
    assert sorted(found.tables) == ["other", "row_"]


def test_autogenerate_leaves_it_alone(engine: Engine) -> None:
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    from vinci_code.database.dialect.alembic import register

    register()

    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), Base.metadata) == []


def test_a_table_that_is_made_again_goes_on(engine: Engine, another: Engine) -> None:
    assert add(another) == [1]
    assert add(engine) == [11]
    Base.metadata.drop_all(engine)
    Base.metadata.create_all(engine)
    # Another process may hold keys of the one before.
    assert add(engine) == [12]
    assert add(another) == [2]


# --- others, and lost answers ---------------------------------------------------------------------


def test_another_process_has_other_keys(
    engine: Engine, another: Engine, local_warehouse: TestWarehouse
) -> None:
    assert add(engine, 10) == list(range(1, 11))
    assert add(another, 10) == list(range(11, 21))
    with sending(lambda: local_warehouse.statements) as sent:
        assert add(engine) == [21]
    # That another one has reserved keys since costs nothing.
    assert words(sent) == ["BEGIN", "INSERT"]
    assert add(another, 3) == [41, 42, 43]


LOST = {
    "the connection is cut before it arrives": Fault.reset(
        "before", statement="^BEGIN\\s+MERGE INTO vinci_keys"
    ),
    "the connection is cut after it ran": Fault.reset(
        "after", statement="^BEGIN\\s+MERGE INTO vinci_keys"
    ),
    "the connection is cut in the reply": Fault.reset(
        "mid_reply", statement="^BEGIN\\s+MERGE INTO vinci_keys"
    ),
    "a gateway gives up": Fault.http(504, statement="^BEGIN\\s+MERGE INTO vinci_keys"),
    "a gateway gives up on what runs": Fault.http(
        504, executed=True, statement="^BEGIN\\s+MERGE INTO vinci_keys"
    ),
    "somebody else was first": Fault.commit_conflict(
        times=3, statement="^BEGIN\\s+MERGE INTO vinci_keys"
    ),
    "not now": Fault.http(503, retry_after=0, times=2, statement="^BEGIN\\s+MERGE INTO vinci_keys"),
    "the session is gone": Fault.session_lost(statement="^BEGIN\\s+MERGE INTO vinci_keys"),
    "the session is gone before the question": Fault.session_lost(
        statement="^BEGIN[^;]*;\\s+SELECT .*vinci_keys"
    ),
    "the question is cut": Fault.reset("after", statement="^BEGIN[^;]*;\\s+SELECT .*vinci_keys"),
}


@part(4)
@pytest.mark.parametrize("is_first", [True, False], ids=["first", "later"])
@pytest.mark.parametrize("fault", LOST.values(), ids=LOST.keys())
def test_a_range_is_used_only_by_who_knows_that_it_is_his(
    fault: Fault, is_first: bool, engine: Engine, another: Engine, local_warehouse: TestWarehouse
) -> None:
    if not is_first:
        add(engine, 10)
    before = counted(engine).get("row_", 0)
    local_warehouse.inject(fault)
    keys = [*add(engine, 3), *add(another, 3), *add(engine, 40), *add(another, 40)]
    assert min(keys) > before
    assert len(set(keys)) == 86
    assert keys_of(engine)[-86:] == sorted(keys)
    assert not local_warehouse.warehouse.faults.pending
    ran = fault.when in ("after", "mid_reply") or fault.executed
    if ran and not is_first:
        # The range that was reserved, and whose answer was lost, is left unused.
        assert min(keys) > before + 10


def test_a_lost_answer_about_the_count_itself_does_no_harm(
    engine: Engine, another: Engine, local_warehouse: TestWarehouse
) -> None:
    for when in ("before", "after", "mid_reply"):
        local_warehouse.inject(Fault.reset(when, statement="^MERGE INTO vinci_keys"))
        assert add(engine, 3) == [1, 2, 3]
        assert add(another, 3) == [11, 12, 13]
        assert counted(engine) == {"row_": 20}
        assert not local_warehouse.warehouse.faults.pending
        for statement in (delete(Row), delete(COUNTED).where(COUNTED.c.table_name != "")):
            with engine.begin() as connection:
                connection.execute(statement)
        for used in (engine, another):
            used.dialect.key_ranges._begin_anew()  # type: ignore[attr-defined]


def test_a_range_that_another_one_has_passed_is_left(
    engine: Engine, local_warehouse: TestWarehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Somebody reserves keys between the two statements of the request.
    add(engine, 10)
    passing = KeyStatements.reserve

    def passed(self: KeyStatements, *given: Any) -> str:
        monkeypatch.setattr(KeyStatements, "reserve", passing)
        first, last = passing(self, *given).split(";\n", 1)
        other = f"UPDATE {KEY_TABLE} SET last_key = last_key + 5, request = 'x'"
        return f"{first};\n{other} WHERE table_name = 'row_';\n{last}"

    monkeypatch.setattr(KeyStatements, "reserve", passed)
    with sending(lambda: local_warehouse.statements) as sent:
        assert add(engine) == [36]
    assert words(sent) == ["BEGIN", "BEGIN", "INSERT"]


@pytest.mark.parametrize("answer", ["NULL AS request", "upper(request) AS request"])
def test_a_request_that_is_not_told_by_its_name_is_no_proof(
    answer: str, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(engine, 10)
    reserve = KeyStatements.reserve

    def answered(self: KeyStatements, *given: Any) -> str:
        return reserve(self, *given).replace(", request FROM", f", {answer} FROM")

    monkeypatch.setattr(KeyStatements, "reserve", answered)
    monkeypatch.setattr(key_ranges, "_ATTEMPTS", 2)
    with pytest.raises(Operational, match="could be reserved in 2 attempts"):
        add(engine)
    assert len(keys_of(engine)) == 10


def test_an_answer_that_is_always_lost_is_an_error(
    engine: Engine, local_warehouse: TestWarehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(engine, 10)
    monkeypatch.setattr(key_ranges, "_ATTEMPTS", 3)
    local_warehouse.inject(
        Fault.reset("after", times=3, statement="^BEGIN\\s+MERGE INTO vinci_keys")
    )
    with pytest.raises(Operational) as refused:
        add(engine)
    assert "no keys of row_.id could be reserved in 3 attempts" in str(refused.value)
    assert len(keys_of(engine)) == 10
    assert add(engine) == [71]


def test_a_small_key_proves_no_commit(connected: Connected, local_warehouse: TestWarehouse) -> None:
    # Somebody else may have written a row with key 1.
    engine = connected(keys="blocks", history_timeout=0)
    Base.metadata.create_all(engine)
    local_warehouse.inject(Fault.reset("after", statement="^INSERT"))
    with pytest.raises(Operational, match="AmbiguousWriteError"):
        add(engine)
    assert keys_of(engine) == [1]


def test_an_error_says_that_it_is_about_keys(
    engine: Engine, local_warehouse: TestWarehouse
) -> None:
    local_warehouse.inject(Fault.http(403, message="no", statement="vinci_keys"))
    with pytest.raises(DBAPIError, match=r"a key of row_\.id is to come from a block"):
        add(engine)
    assert add(engine) == [1]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork()")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_child_has_keys_of_its_own(engine: Engine) -> None:
    assert add(engine, 2) == [1, 2]

    def work() -> None:
        assert add(engine, 2) == [11, 12]

    wait_for(in_child(work))
    assert add(engine, 9) == [*range(3, 11), 21]


def test_threads_share_a_range(engine: Engine, local_warehouse: TestWarehouse) -> None:
    threads, each = 8, some(100, 20)
    made: list[int] = []

    # Nothing is checked, so that a key that comes twice is stored twice, and no unit is in
    # conflict with another.
    unchecked = engine.execution_options(enforce_keys=False)

    def work() -> None:
        for _ in range(each // 4):
            made.extend(add(unchecked, 4))

    with sending(lambda: local_warehouse.statements) as sent:
        running = [threading.Thread(target=work) for _ in range(threads)]
        for thread in running:
            thread.start()
        for thread in running:
            thread.join()
    assert len(set(made)) == threads * each
    assert keys_of(engine) == sorted(made)
    reserved = [
        statement for statement in sent if statement.startswith("BEGIN\nMERGE INTO vinci_keys")
    ]
    # 10 + 20 + 40 + … keys, and nobody else reserves any.
    assert len(reserved) <= (threads * each // 10).bit_length() + 1


def test_no_event_loop_waits_for_a_range(
    engine: Engine, engine_url: URL, engine_args: dict[str, Any]
) -> None:
    made: list[int] = []

    async def add_row(engine: AsyncEngine) -> None:
        async with AsyncSession(engine, expire_on_commit=False) as session:
            session.add(row := Row())
            await session.commit()
            made.append(row.id)

    async def add_rows() -> None:
        url = engine_url.set(drivername="databricks+vinci_async")
        # Nothing is checked, as in the test of threads.
        engine = create_async_engine(
            url, connect_args=engine_args, keys="blocks", keys_block_size=2, enforce_keys=False
        )
        try:
            await add_row(engine)
            async with engine.begin() as connection:
                await connection.execute(insert(Row), [{}] * 4)
            await asyncio.gather(*(add_row(engine) for _ in range(6)))
        finally:
            await engine.dispose()

    asyncio.run(add_rows())
    assert made[0] == 1
    assert len(set(made)) == 7
    assert len(set(keys_of(engine))) == len(keys_of(engine)) == 11
