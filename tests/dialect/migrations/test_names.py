"""Names with capitals: what the warehouse stores in small letters is no other table.

The names are drawn from a seed, which a failure prints.
"""

# ruff: noqa: RUF001 - that letters look alike is the point

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import (
    Column,
    Engine,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
    UniqueConstraint,
    inspect,
    text,
)
from sqlalchemy.exc import CompileError, InvalidRequestError

from tests.full import some
from vinci_code.warehouse.pytest_plugin import TestWarehouse

NAMES = 200
_LETTERS = "aZbYäÄßẞİıIiΣσςÉñŁдЖ日_7"
_RESERVED = ["Select", "ORDER", "From", "Table", "User", "CURRENT_DATE", "Null"]
_ONLY_COLUMNS = " '\"`-.,;:%$/()"


def names_of(draw: random.Random, count: int, letters: str, reserved: list[str]) -> Iterator[str]:
    """Names that the warehouse can tell apart."""
    seen: set[str] = set()
    while len(seen) < count:
        length = draw.randint(2, 9)
        name = "".join(draw.choice(letters) for _ in range(length)).strip(" .")
        name = reserved.pop() if reserved and draw.random() < 0.2 else name
        if name and name.lower() not in seen:
            seen.add(name.lower())
            yield name


def tables_of(draw: random.Random, schemas: list[str | None]) -> MetaData:
    """Tables with keys, foreign keys and unique indexes, of which all have such names."""
    metadata = MetaData()
    tables = list(names_of(draw, NAMES // 10, _LETTERS + "-'`\"$", list(_RESERVED)))
    columns = names_of(draw, NAMES * 6 // 10, _LETTERS + _ONLY_COLUMNS, list(_RESERVED))
    constraints = names_of(draw, NAMES * 3 // 10, _LETTERS + " -'`", [])
    before: Table | None = None
    for number, name in enumerate(tables):
        key, other, *more = (next(columns) for _ in range(6))
        items: list[Any] = [
            Column(key, Integer),
            Column(other, Integer),
            *(Column(each, String) for each in more),
            PrimaryKeyConstraint(key, name=next(constraints)),
            UniqueConstraint(more[0], name=next(constraints)),
        ]
        if before is not None:
            parent = f"{before.fullname}.{before.primary_key.columns[0].name}"
            if "." not in before.name + before.primary_key.columns[0].name:
                items.append(ForeignKeyConstraint([other], [parent], name=f"FK_{number}"))
        before = Table(name, metadata, *items, schema=draw.choice(schemas))
        if number % 2:
            Index(next(constraints), before.c[more[1]], unique=True)
    return metadata


Differences = Callable[..., list[Any]]


@pytest.fixture
def differences(engine: Engine) -> Differences:
    """What autogenerate finds different."""

    def compare(metadata: MetaData, **options: Any) -> list[Any]:
        with engine.connect() as connection:
            context = MigrationContext.configure(connection, opts=options)
            return list(compare_metadata(context, metadata))

    return compare


@pytest.fixture
def other_schemas(local_warehouse: TestWarehouse) -> Iterator[list[str]]:
    """Two more schemas, with capitals, in whatever case the warehouse stores them."""
    names = [f"{local_warehouse.schema}_Sales", f"{local_warehouse.schema}_ÄÉ"]
    for name in names:
        local_warehouse.warehouse.sql(f"CREATE SCHEMA `{name}`")
    yield names
    for name in names:
        local_warehouse.warehouse.sql(f"DROP SCHEMA `{name}` CASCADE")


@pytest.mark.parametrize("seed", some(range(8), range(1)))
def test_nothing_is_different_whatever_the_names(
    engine: Engine, differences: Differences, other_schemas: list[str], seed: int
) -> None:
    print(f"seed {seed}")
    metadata = tables_of(random.Random(seed), [None, *other_schemas])
    count = sum(
        1
        + len(table.c)
        + sum(item.name is not None for item in table.constraints)
        + len(table.indexes)
        for table in metadata.tables.values()
    )
    assert count > NAMES
    metadata.create_all(engine)
    mine = {None, *other_schemas}
    options = {
        "include_schemas": True,
        "include_name": lambda name, kind, _: kind != "schema" or name in mine,
        "compare_server_default": True,
    }
    assert differences(metadata, **options) == []
    metadata.create_all(engine)  # finds all of them
    metadata.drop_all(engine)
    inspector = inspect(engine)
    assert [inspector.get_table_names(schema) for schema in mine] == [[], [], []]


def mixed() -> MetaData:
    metadata = MetaData()
    Table("Order", metadata, Column("Id", Integer, primary_key=True))
    Table(
        "UserAccount",
        metadata,
        Column("userId", Integer, primary_key=True),
        Column("orderId", ForeignKey("Order.Id", name="FK_Order")),
        Column("eMail", String),
        UniqueConstraint("eMail", name="UQ_EMail"),
    )
    return metadata


def test_what_is_told_to_the_filters_has_the_models_names(
    engine: Engine, differences: Differences
) -> None:
    metadata = mixed()
    metadata.create_all(engine)
    told: set[tuple[str, str]] = set()

    def include(name: str, kind: str, _: Any) -> bool:
        told.add((kind, name))
        return name in ("Order", "userId", None) or kind not in ("table", "column", "schema")

    assert differences(metadata, include_name=include)[0][0] == "add_table"
    assert ("table", "UserAccount") in told
    assert ("column", "Id") in told
    metadata.remove(metadata.tables["UserAccount"])
    tables = {
        "include_name": lambda name, kind, _: kind != "table" or name in metadata.tables,
    }
    assert differences(metadata, **tables) == []


def test_what_is_different_has_the_models_names(engine: Engine, differences: Differences) -> None:
    mixed().create_all(engine)
    metadata = mixed()
    table = metadata.tables["UserAccount"]
    table.append_column(Column("More", Integer))
    table.constraints = {
        item for item in table.constraints if not isinstance(item, UniqueConstraint)
    }
    Table("Third", metadata, Column("Id", Integer, primary_key=True))
    found = differences(metadata)
    assert [item[0] for item in found] == ["add_table", "add_column", "remove_constraint"]
    assert found[1][2:3] == ("UserAccount",)
    assert found[2][1].name == "uq_email"
    assert differences(MetaData())[0][1].name in ("order", "useraccount")


def test_columns_in_another_case_are_the_same(engine: Engine, differences: Differences) -> None:
    with engine.connect() as connection:
        connection.execute(
            text(
                "CREATE TABLE useraccount (USERID BIGINT NOT NULL PRIMARY KEY, `ORDERID` BIGINT, "
                "email STRING, CONSTRAINT uq_email UNIQUE (EMAIL))"
            )
        )
        connection.execute(text("CREATE TABLE ORDER (iD BIGINT NOT NULL PRIMARY KEY)"))
        connection.execute(
            text(
                "ALTER TABLE useraccount ADD CONSTRAINT fk_order FOREIGN KEY (orderid) REFERENCES "
                "ORDER (ID)"
            )
        )
    assert differences(mixed()) == []


def test_the_default_schema_in_another_case_is_the_default_schema(
    engine: Engine, differences: Differences, local_warehouse: TestWarehouse
) -> None:
    metadata = MetaData()
    schema = local_warehouse.schema.upper()
    Table("Parent", metadata, Column("id", Integer, primary_key=True), schema=schema)
    Table("plain", metadata, Column("id", Integer, primary_key=True))
    child = Table("Child", metadata, Column("id", Integer, primary_key=True), schema=schema)
    child.append_column(Column("parent", ForeignKey(f"{schema}.Parent.id")))
    metadata.create_all(engine)
    assert differences(metadata) == []
    mine = (None, schema, local_warehouse.schema)
    options = {"include_name": lambda name, kind, _: kind != "schema" or name in mine}
    assert differences(metadata, include_schemas=True, **options) == []


def test_the_version_table_may_have_capitals(engine: Engine, differences: Differences) -> None:
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"version_table": "Their_Version"})
        context._ensure_version_table()
    assert differences(MetaData(), version_table="Their_Version") == []


def test_tables_are_reflected_by_the_names_that_are_asked_for(engine: Engine) -> None:
    mixed().create_all(engine)
    with engine.connect() as connection:
        connection.execute(text("CREATE VIEW MyView AS SELECT 1 AS one"))
    found = MetaData()
    found.reflect(engine, only=["UserAccount", "Order", "MyView"], views=True)
    assert set(found.tables) == {"UserAccount", "Order", "MyView"}
    [key] = found.tables["UserAccount"].foreign_keys
    assert key.column is found.tables["Order"].c.Id
    with engine.connect() as connection:
        again = MetaData()
        again.reflect(connection, only=["Order"])
        again.reflect(connection, only=["UserAccount"], extend_existing=True)
        assert set(again.tables) == {"UserAccount", "Order"}
        again.reflect(connection)  # those that are there are not there twice
        assert set(again.tables) == {"UserAccount", "Order"}
    with pytest.raises(InvalidRequestError, match="NoSuch"):
        MetaData().reflect(engine, only=["NoSuch"])
    every = MetaData()
    every.reflect(engine, only=lambda name, _: name.startswith("user"))
    assert set(every.tables) == {"useraccount", "order"}


def test_a_table_refers_to_those_of_its_metadata(engine: Engine) -> None:
    mixed().create_all(engine)
    found = MetaData()
    order = Table("Order", found, autoload_with=engine)
    account = Table("UserAccount", found, autoload_with=engine)
    assert set(found.tables) == {"UserAccount", "Order"}
    [key] = account.foreign_keys
    assert key.column is order.c.Id


def test_pandas_finds_tables_with_capitals(engine: Engine) -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"Id": [1, 2], "note": ["a", "b"]})
    for _ in range(2):
        # It looks for the name among those that are stored, and says so.
        with pytest.warns(UserWarning, match="not found exactly as such"):
            frame.to_sql("MixedCase", engine, if_exists="replace", index=False)
    with engine.connect() as connection:
        read = pandas.read_sql_table("MixedCase", connection)
    assert sorted(read["Id"]) == [1, 2]
    assert inspect(engine).get_table_names() == ["mixedcase"]


@pytest.mark.parametrize("others", [("UserAccount", "useraccount"), ("ÄPFEL", "äpfel")])
def test_two_tables_that_would_be_one_are_refused_by_name(
    engine: Engine, differences: Differences, others: tuple[str, str]
) -> None:
    metadata = MetaData()
    for name in ("first", *others):
        Table(name, metadata, Column("id", Integer, primary_key=True))
    with pytest.raises(CompileError, match=f"'{others[0]}' and '{others[1]}'.*in case only"):
        metadata.create_all(engine)
    assert inspect(engine).get_table_names() == []
    with pytest.raises(CompileError, match="in case only"):
        differences(metadata)


def test_tables_of_one_name_in_two_schemas_are_two(
    engine: Engine, other_schemas: list[str]
) -> None:
    metadata = MetaData()
    for name, schema in (("T", None), ("t", other_schemas[0]), ("T", other_schemas[1])):
        Table(name, metadata, Column("id", Integer, primary_key=True), schema=schema)
    metadata.create_all(engine)
    metadata.drop_all(engine)
