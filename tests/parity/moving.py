"""What an application does on SQLite without a thought, and what it comes to on a warehouse.

Each scenario is a function of an engine with an empty schema; what it returns is one word
or value, the name of the exception if it raises one.
"""

from __future__ import annotations

import datetime as dt
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import sqlalchemy as sa
from sqlalchemy import orm

from vinci_code.warehouse import Fault, LocalWarehouse

Scenario = Callable[[sa.Engine, LocalWarehouse], object]


@dataclass(frozen=True)
class Row:
    """A line of the table in the documentation.

    Attributes:
        what: What the application does.
        run: The scenario.
        vendor: What ``databricks-sqlalchemy`` 2.0.10 makes of it, measured.
        ours: What ``databricks+vinci`` makes of it.
        sqlite: What SQLite makes of it; ``None`` where it has no such thing.
    """

    what: str
    run: Scenario
    vendor: object
    ours: object
    sqlite: object = None


def outcome(engine: sa.Engine, warehouse: LocalWarehouse, run: Scenario) -> object:
    """The scenario's result, or the name of what it raised."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return run(engine, warehouse)
        except Exception as error:  # noqa: BLE001 (which one is what is to be found out)
            return type(error).__name__


def _table(engine: sa.Engine, *columns: sa.Column[Any], **options: Any) -> sa.Table:
    key = sa.Column("id", sa.BigInteger, primary_key=True, autoincrement=False)
    table = sa.Table("t", sa.MetaData(), key, *columns, **options)
    table.create(engine)
    return table


def _kept(kind: Any, value: Any) -> Scenario:
    """Write a value and read it again."""

    def run(engine: sa.Engine, warehouse: LocalWarehouse) -> object:
        table = _table(engine, sa.Column("value", kind))
        with engine.begin() as connection:
            connection.execute(sa.insert(table).values(id=1, value=value))
            return connection.scalar(sa.select(table.c.value))

    return run


def integer_key(engine: sa.Engine, warehouse: LocalWarehouse) -> object:
    class Base(orm.DeclarativeBase):
        pass

    class Thing(Base):
        __tablename__ = "t"

        id: orm.Mapped[int] = orm.mapped_column(primary_key=True)
        name: orm.Mapped[str]

    Base.metadata.create_all(engine)
    with orm.Session(engine) as session:
        thing = Thing(name="x")
        session.add(thing)
        session.flush()
        session.commit()
        return thing.id > 0 and session.get(Thing, thing.id) is thing


def stale_version(engine: sa.Engine, warehouse: LocalWarehouse) -> object:
    class Base(orm.DeclarativeBase):
        pass

    class Thing(Base):
        __tablename__ = "t"

        id: orm.Mapped[int] = orm.mapped_column(
            sa.BigInteger, primary_key=True, autoincrement=False
        )
        name: orm.Mapped[str]
        version: orm.Mapped[int] = orm.mapped_column()

        __mapper_args__ = {"version_id_col": version}

    Base.metadata.create_all(engine)
    with orm.Session(engine, expire_on_commit=False) as session:
        thing = Thing(id=1, name="x")
        session.add(thing)
        session.commit()
        with engine.begin() as connection:
            connection.execute(sa.text("UPDATE t SET version = 5, name = 'theirs'"))
        thing.name = "mine"
        session.commit()
    return "lost without a word"


def unique(engine: sa.Engine, warehouse: LocalWarehouse) -> object:
    _table(engine, sa.Column("code", sa.String, unique=True))
    found = sa.inspect(engine).get_unique_constraints("t")
    return [constraint["column_names"] for constraint in found]


def check(engine: sa.Engine, warehouse: LocalWarehouse) -> object:
    column = sa.Column("amount", sa.Integer, sa.CheckConstraint("amount >= 0", name="positive"))
    try:
        table = _table(engine, column)
    except sa.exc.DatabaseError:
        return "CREATE TABLE fails"
    with engine.begin() as connection:
        connection.execute(sa.insert(table).values(id=1, amount=-1))
    return "written"


def not_null(engine: sa.Engine, warehouse: LocalWarehouse) -> object:
    table = _table(engine, sa.Column("name", sa.String, nullable=False))
    with engine.begin() as connection:
        connection.execute(sa.insert(table).values(id=1, name=None))
    return "written"


def long_in(engine: sa.Engine, warehouse: LocalWarehouse) -> object:
    table = _table(engine)
    with engine.begin() as connection:
        connection.execute(sa.insert(table).values(id=7))
        query = sa.select(table.c.id).where(table.c.id.in_(range(5000)))
        return connection.scalars(query).all()


def many_rows(engine: sa.Engine, warehouse: LocalWarehouse) -> object:
    table = _table(engine, sa.Column("a", sa.Integer), sa.Column("b", sa.String))
    rows = [{"id": number, "a": number, "b": "x"} for number in range(200)]
    with engine.begin() as connection:
        connection.execute(sa.insert(table).values(rows))
        return connection.scalar(sa.select(sa.func.count()).select_from(table))


def json_path(engine: sa.Engine, warehouse: LocalWarehouse) -> object:
    table = _table(engine, sa.Column("value", sa.JSON))
    with engine.begin() as connection:
        connection.execute(sa.insert(table).values(id=1, value={"a": {"b": 2}}))
        query = sa.select(table.c.id).where(table.c.value["a"]["b"].as_integer() == 2)
        return connection.scalars(query).all()


def regular_expression(engine: sa.Engine, warehouse: LocalWarehouse) -> object:
    table = _table(engine, sa.Column("name", sa.String))
    with engine.begin() as connection:
        connection.execute(sa.insert(table).values(id=1, name="abc"))
        query = sa.select(table.c.id).where(table.c.name.regexp_match("^a"))
        return connection.scalars(query).all()


def index(engine: sa.Engine, warehouse: LocalWarehouse) -> object:
    _table(engine, sa.Column("name", sa.String, index=True))
    return "created"


def lost_session(engine: sa.Engine, warehouse: LocalWarehouse) -> object:
    with engine.connect() as connection:
        connection.scalar(sa.text("SELECT 1"))
    warehouse.inject(Fault.session_lost(operation="ExecuteStatement"))
    try:
        with engine.connect() as connection:
            return connection.scalar(sa.text("SELECT 1"))
    finally:
        warehouse.faults.clear()


def lost_reply(engine: sa.Engine, warehouse: LocalWarehouse) -> object:
    """How many rows a single INSERT leaves if the reply to it is lost."""
    table = _table(engine)
    warehouse.inject(Fault.reset("after", operation="ExecuteStatement", statement="INSERT"))
    raised = "no error"
    try:
        with engine.begin() as connection:
            connection.execute(sa.insert(table).values(id=1))
    except Exception as error:  # noqa: BLE001 (reported below)
        raised = type(getattr(error, "orig", error)).__name__
    finally:
        warehouse.faults.clear()
    with engine.connect() as connection:
        rows = connection.scalar(sa.select(sa.func.count()).select_from(table))
    return f"{raised}, {rows} rows"


def reflection(engine: sa.Engine, warehouse: LocalWarehouse) -> object:
    """How many requests it takes to reflect 20 tables."""
    metadata = sa.MetaData()
    for number in range(20):
        key = sa.Column("id", sa.BigInteger, primary_key=True, autoincrement=False)
        sa.Table(f"t{number}", metadata, key)
    metadata.create_all(engine)
    before = len(warehouse.requests)
    sa.MetaData().reflect(engine)
    calls = [
        request
        for request in warehouse.requests[before:]
        if request.operation in {"ExecuteStatement", "GetColumns", "GetTables"}
    ]
    return "6 statements or fewer" if len(calls) <= 6 else f"{len(calls)} statements"


def enum_in_list(engine: sa.Engine, warehouse: LocalWarehouse) -> object:
    table = _table(engine, sa.Column("size", sa.Enum("s", "l", name="size")))
    with engine.begin() as connection:
        connection.execute(sa.insert(table).values(id=1, size="l"))
        return connection.scalars(sa.select(table.c.id).where(table.c.size.in_(["s", "l"]))).all()


def for_update(engine: sa.Engine, warehouse: LocalWarehouse) -> object:
    table = _table(engine)
    with engine.connect() as connection:
        return connection.execute(sa.select(table).with_for_update()).all()


def rolled_back(engine: sa.Engine, warehouse: LocalWarehouse) -> object:
    table = _table(engine)
    with engine.connect() as connection:
        connection.execute(sa.insert(table).values(id=1))
        connection.rollback()
        rows = connection.scalar(sa.select(sa.func.count()).select_from(table))
    return f"{rows} rows are left"


def duplicate_key(engine: sa.Engine, warehouse: LocalWarehouse) -> object:
    table = _table(engine)
    with engine.begin() as connection:
        connection.execute(sa.insert(table).values(id=1))
        connection.execute(sa.insert(table).values(id=1))
        rows = connection.scalar(sa.select(sa.func.count()).select_from(table))
    return f"{rows} rows are there"


def capitals(engine: sa.Engine, warehouse: LocalWarehouse) -> object:
    with engine.connect() as connection:
        found = connection.scalar(sa.select(sa.literal("abc").like("A%")))
    return "found" if found else "not found"


MOMENT = dt.datetime(2024, 7, 1, 12, tzinfo=dt.timezone(dt.timedelta(hours=2)))


def instant(engine: sa.Engine, warehouse: LocalWarehouse) -> object:
    found = _kept(sa.DateTime(timezone=True), MOMENT)(engine, warehouse)
    assert isinstance(found, dt.datetime)
    return "the same instant" if found.tzinfo and found == MOMENT else f"{found.isoformat()}"


ROWS: list[Row] = [
    Row("`id: Mapped[int]` as primary key, `flush()`", integer_key, "DatabaseError", True, True),
    Row(
        "`JSON` column",
        _kept(sa.JSON, {"a": [1, None]}),
        "CompileError",
        {"a": [1, None]},
        {"a": [1, None]},
    ),
    Row("`JSON` path in a condition", json_path, "CompileError", [1], [1]),
    Row(
        "`LargeBinary` column",
        _kept(sa.LargeBinary, b"\x00\xff"),
        "StatementError",
        b"\x00\xff",
        b"\x00\xff",
    ),
    Row("`PickleType` column", _kept(sa.PickleType, {1, 2}), "StatementError", {1, 2}, {1, 2}),
    Row(
        "`Numeric` without precision: 1.25",
        _kept(sa.Numeric, Decimal("1.25")),
        Decimal(1),
        Decimal("1.25"),
        Decimal("1.25"),
    ),
    Row(
        "`Numeric(20, 12)`: 0.0000000001",
        _kept(sa.Numeric(20, 12), Decimal("1E-10")),
        Decimal("0E-12"),
        Decimal("1E-10"),
        Decimal("1E-10"),
    ),
    Row("`Float`: 0.1", _kept(sa.Float, 0.1), 0.10000000149011612, 0.1, 0.1),
    Row(
        "`DateTime(timezone=True)`: 12:00+02:00", instant, "2024-07-01T10:00:00", "the same instant"
    ),
    Row(
        "`unique=True`, found again by the inspector",
        unique,
        "NotImplementedError",
        [["code"]],
        [["code"]],
    ),
    Row(
        "`CheckConstraint`, and a row that breaks it",
        check,
        "CREATE TABLE fails",
        "IntegrityError",
        "IntegrityError",
    ),
    Row(
        "`nullable=False`, and a `None`",
        not_null,
        "DatabaseError",
        "IntegrityError",
        "IntegrityError",
    ),
    Row("`index=True`", index, "DatabaseError", "created", "created"),
    Row("`IN` with 5,000 values", long_in, "OperationalError", [7], [7]),
    Row("200 rows in one `insert().values([…])`", many_rows, "OperationalError", 200, 200),
    Row("`Enum` column in an `IN`", enum_in_list, "TypeError", [1], [1]),
    Row("`regexp_match`", regular_expression, "CompileError", [1], [1]),
    Row(
        "`version_id_col`, and somebody else's change",
        stale_version,
        "lost without a word",
        "StaleDataError",
        "StaleDataError",
    ),
    Row(
        "`rollback()` after an `INSERT`",
        rolled_back,
        "1 rows are left",
        "0 rows are left",
        "0 rows are left",
    ),
    Row(
        "the same primary key twice",
        duplicate_key,
        "2 rows are there",
        "IntegrityError",
        "IntegrityError",
    ),
    Row("`'abc' LIKE 'A%'`", capitals, "not found", "found", "found"),
    Row("`with_for_update()`", for_update, "DatabaseError", [], []),
    Row("the warehouse forgot the idle session", lost_session, "DatabaseError", 1),
    Row(
        "the reply to an `INSERT` is lost",
        lost_reply,
        "no error, 2 rows",
        "no error, 1 rows",
    ),
    Row("`MetaData.reflect` of 20 tables", reflection, "82 statements", "6 statements or fewer"),
]


def shown(value: object) -> str:
    """A measured value as the documentation shows it."""
    if value is None:
        return "none"
    if isinstance(value, str):
        return f"`{value}`" if value.endswith("Error") else value
    if value is True:
        return "works"
    return f"`{value!r}`"


def table() -> str:
    """The table of the documentation."""
    head = (
        "| what the application does | SQLite | databricks-sqlalchemy 2.0.10 | databricks+vinci |"
    )
    lines = [head, "|---|---|---|---|"]
    lines += [
        f"| {row.what} | {shown(row.sqlite)} | {shown(row.vendor)} | {shown(row.ours)} |"
        for row in ROWS
    ]
    return "\n".join(lines)
