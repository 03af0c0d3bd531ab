"""What an application on the vendor's dialect has in its code, and what it comes to on both.

The lines of ``docs/from_databricks_sqlalchemy.md``: those of ``moving.py`` that are about it,
with what to search one's code for, and further ones.
"""

from __future__ import annotations

from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy import orm

from scripts.pictures import OBJECTS
from tests.parity.moving import ROWS, Row, Scenario, shown
from vinci_code.warehouse import LocalWarehouse


@dataclass(frozen=True)
class Line:
    """A line of the page.

    Attributes:
        row: What is measured.
        search: What such code has in it; ``None`` where all code may be affected.
    """

    row: Row
    search: str | None

    def __str__(self) -> str:
        search = f"`{self.search}`" if self.search else "any write"
        return f"| {self.row.what} | {search} | {shown(self.row.vendor)} | {shown(self.row.ours)} |"


def _new_table(engine: sa.Engine, *columns: sa.Column[str]) -> sa.Table:
    key = sa.Column("id", sa.BigInteger, primary_key=True, autoincrement=False)
    table = sa.Table("t", sa.MetaData(), key, *columns)
    table.create(engine)
    return table


def _count(engine: sa.Engine, table: sa.Table) -> int | None:
    with engine.connect() as connection:
        return connection.scalar(sa.select(sa.func.count()).select_from(table))


def _statements(count: int) -> str:
    return "1 statement" if count == 1 else f"{count} statements"


def half_a_unit(engine: sa.Engine, warehouse: LocalWarehouse) -> object:
    table = _new_table(engine)
    try:
        with engine.begin() as connection:
            connection.execute(sa.insert(table).values(id=1))
            raise ValueError
    except ValueError:
        return f"{_count(engine, table)} rows are left"


def savepoint(engine: sa.Engine, warehouse: LocalWarehouse) -> object:
    table = _new_table(engine)
    with engine.begin() as connection:
        connection.execute(sa.insert(table).values(id=1))
        with connection.begin_nested() as nested:
            connection.execute(sa.insert(table).values(id=2))
            nested.rollback()
        return connection.scalars(sa.select(table.c.id)).all()


def _things() -> type[orm.DeclarativeBase]:
    class Base(orm.DeclarativeBase):
        pass

    class Thing(Base):
        __tablename__ = "t"

        id: orm.Mapped[int] = orm.mapped_column(
            sa.BigInteger, primary_key=True, autoincrement=False
        )
        balance: orm.Mapped[int] = orm.mapped_column(sa.BigInteger)

    return Thing


def objects(engine: sa.Engine, warehouse: LocalWarehouse) -> object:
    thing = _things()
    thing.metadata.create_all(engine)
    with orm.Session(engine) as session:
        before = len(warehouse.statements)
        session.add_all([thing(id=number, balance=0) for number in range(OBJECTS)])
        session.commit()
    return _statements(len(warehouse.statements) - before)


def rows(engine: sa.Engine, warehouse: LocalWarehouse) -> object:
    table = _new_table(engine)
    before = len(warehouse.statements)
    with engine.begin() as connection:
        connection.execute(sa.insert(table), [{"id": number} for number in range(OBJECTS)])
    return _statements(len(warehouse.statements) - before)


def lost_update(engine: sa.Engine, warehouse: LocalWarehouse) -> object:
    thing = _things()
    thing.metadata.create_all(engine)
    with orm.Session(engine, expire_on_commit=False) as session:
        mine = thing(id=1, balance=100)
        session.add(mine)
        session.commit()
        with engine.begin() as connection:
            connection.execute(sa.text("UPDATE t SET balance = 80"))
        mine.balance = 90  # type: ignore[attr-defined]
        session.commit()
    return "lost without a word"


def unique_twice(engine: sa.Engine, warehouse: LocalWarehouse) -> object:
    table = _new_table(engine, sa.Column("code", sa.String, unique=True))
    with engine.begin() as connection:
        connection.execute(sa.insert(table).values(id=1, code="a"))
        connection.execute(sa.insert(table).values(id=2, code="a"))
    return f"{_count(engine, table)} rows are there"


def foreign_key(engine: sa.Engine, warehouse: LocalWarehouse) -> object:
    metadata = sa.MetaData()
    key = sa.Column("id", sa.BigInteger, primary_key=True, autoincrement=False)
    sa.Table("parent", metadata, key)
    key = sa.Column("id", sa.BigInteger, primary_key=True, autoincrement=False)
    parent = sa.Column("parent", sa.BigInteger, sa.ForeignKey("parent.id"))
    child = sa.Table("child", metadata, key, parent)
    metadata.create_all(engine)
    with engine.begin() as connection:
        connection.execute(sa.insert(child).values(id=1, parent=9))
    return f"{_count(engine, child)} rows are there"


def returning(engine: sa.Engine, warehouse: LocalWarehouse) -> object:
    table = _new_table(engine)
    with engine.begin() as connection:
        return connection.scalars(sa.insert(table).values(id=1).returning(table.c.id)).all()


def large_integer(engine: sa.Engine, warehouse: LocalWarehouse) -> object:
    table = sa.Table("t", sa.MetaData(), sa.Column("number", sa.Integer))
    table.create(engine)
    with engine.begin() as connection:
        connection.execute(sa.insert(table).values(number=2**40))
        return connection.scalar(sa.select(table.c.number))


def check_constraints(engine: sa.Engine, warehouse: LocalWarehouse) -> object:
    _new_table(engine)
    return sa.inspect(engine).get_check_constraints("t")


def _known(what: str, search: str | None) -> Line:
    return Line(next(row for row in ROWS if row.what == what), search)


def _new(what: str, search: str, run: Scenario, vendor: object, ours: object) -> Line:
    return Line(Row(what, run, vendor, ours), search)


UNITS = [
    _known("`rollback()` after an `INSERT`", ".rollback("),
    _new(
        "an exception after an `INSERT`, within `with engine.begin()`",
        ".begin(",
        half_a_unit,
        "1 rows are left",
        "0 rows are left",
    ),
    _new("a savepoint that is rolled back", "begin_nested(", savepoint, "DatabaseError", [1]),
    _new(
        f"a commit of {OBJECTS} new objects",
        "add_all(",
        objects,
        _statements(OBJECTS),
        "1 statement",
    ),
    _new(
        f"`execute(insert(t), […])` of {OBJECTS} rows",
        "insert(",
        rows,
        _statements(OBJECTS),
        "1 statement",
    ),
    _new(
        "an object is changed that somebody else has changed",
        ".commit(",
        lost_update,
        "lost without a word",
        "StaleDataError",
    ),
    _known("`version_id_col`, and somebody else's change", "version_id_col"),
    _known("`with_for_update()`", "with_for_update("),
    _known("the reply to an `INSERT` is lost", None),
]
KEYS = [
    _known("`id: Mapped[int]` as primary key, `flush()`", "Mapped[int]"),
    _known("the same primary key twice", "insert("),
    _new(
        "the same value twice in a column with `unique=True`",
        "unique=True",
        unique_twice,
        "2 rows are there",
        "IntegrityError",
    ),
    _known("`CheckConstraint`, and a row that breaks it", "CheckConstraint"),
    _known("`nullable=False`, and a `None`", "nullable=False"),
    _new(
        "a foreign key to a row that is not there",
        "ForeignKey(",
        foreign_key,
        "1 rows are there",
        "1 rows are there",
    ),
    _known("`index=True`", "index=True"),
    _new("`insert().returning(…)`", ".returning(", returning, "DatabaseError", [1]),
]
VALUES = [
    _known("`JSON` column", "JSON"),
    _known("`LargeBinary` column", "LargeBinary"),
    _known("`PickleType` column", "PickleType"),
    _known("`Numeric` without precision: 1.25", "Numeric"),
    _known("`Numeric(20, 12)`: 0.0000000001", "Numeric("),
    _known("`Float`: 0.1", "Float"),
    _known("`DateTime(timezone=True)`: 12:00+02:00", "timezone=True"),
    _new("`Integer`: 2**40", "Integer", large_integer, "DatabaseError", 2**40),
    _known("`Enum` column in an `IN`", "Enum("),
]
STATEMENTS = [
    _known("`IN` with 5,000 values", ".in_("),
    _known("200 rows in one `insert().values([…])`", ".values("),
    _known("`JSON` path in a condition", ".as_integer("),
    _known("`regexp_match`", "regexp_match("),
    _known("`'abc' LIKE 'A%'`", ".like("),
    _known("`MetaData.reflect` of 20 tables", ".reflect("),
    _known("`unique=True`, found again by the inspector", "get_unique_constraints("),
    _new(
        "CHECK constraints, asked of the inspector",
        "get_check_constraints(",
        check_constraints,
        "NotImplementedError",
        [],
    ),
    _known("the warehouse forgot the idle session", ".connect("),
]
LINES = [*UNITS, *KEYS, *VALUES, *STATEMENTS]
NEW = [line for line in LINES if line.row not in ROWS]


def table(lines: list[Line]) -> str:
    """A table of the page."""
    head = "| your code | search for | databricks-sqlalchemy 2.0.10 | databricks+vinci |"
    return "\n".join([head, "|---|---|---|---|", *map(str, lines)])
