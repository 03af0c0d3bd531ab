"""Writes that went wrong in the hands of a hostile user, each beside SQLite or the promise."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import (
    Column,
    Engine,
    ForeignKey,
    ForeignKeyConstraint,
    Integer,
    Interval,
    MetaData,
    PickleType,
    String,
    Table,
    UniqueConstraint,
    bindparam,
    delete,
    event,
    func,
    insert,
    literal,
    literal_column,
    select,
    text,
    union_all,
    update,
)
from sqlalchemy.exc import CompileError, IntegrityError, NotSupportedError
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column
from sqlalchemy.orm.exc import StaleDataError
from sqlalchemy.sql.functions import FunctionElement

from tests.dialect.held import rows_of
from tests.dialect.sides import Sides
from tests.full import part
from vinci_code.database import upsert

pytestmark = part(3)


class Base(DeclarativeBase):
    pass


class Plain(Base):
    __tablename__ = "plain"
    id: Mapped[int] = mapped_column(primary_key=True)
    code: Mapped[int | None] = mapped_column(unique=True)
    name: Mapped[str | None] = mapped_column(default="new")
    kept: Mapped[dt.timedelta | None] = mapped_column(Interval)


class Renamed(Base):
    """Attributes, keys and columns all have other names."""

    __tablename__ = "renamed"
    pk: Mapped[int] = mapped_column("ID_", Integer, key="idk", primary_key=True)
    code: Mapped[int | None] = mapped_column("CODE", unique=True)


def table_of(model: type[Any]) -> Any:
    """The table of a mapped class."""
    return model.__table__


@pytest.fixture
def sides(connected: Callable[..., Engine], tmp_path: Path) -> Iterator[Sides]:
    """SQLite and the warehouse, with the tables of this module."""
    both = Sides(connected(), tmp_path, Base.metadata)
    yield both
    both.close()


def _run(engine: Engine, unit: Callable[[Session], Any]) -> None:
    with Session(engine) as session:
        unit(session)
        session.commit()


def _add(engine: Engine, *objects: Any) -> None:
    with Session(engine) as session:
        session.add_all(objects)
        session.commit()


INSERTS = [
    pytest.param(insert(Plain).values(id=50, code=5), id="one row"),
    pytest.param(insert(Plain).values({Plain.id: 50, Plain.code: 5}), id="attributes"),
    pytest.param(
        insert(Plain).values([{"id": 50, "code": 5}, {"id": 51, "code": 6}]), id="rows by names"
    ),
    pytest.param(
        insert(Plain).values([{Plain.id: 50, "code": 5}, {Plain.id: 51, "code": 6}]),
        id="rows by attributes",
    ),
    pytest.param(
        insert(table_of(Plain)).values([{Plain.id: 50, "code": 5}, {Plain.id: 51, "code": 6}]),
        id="rows of a table by attributes",
    ),
    pytest.param(
        insert(Plain).from_select([Plain.id, Plain.code], select(literal(50), literal(5))),
        id="of a select",
    ),
    pytest.param(
        insert(Renamed).values([{"pk": 50, "code": 5}, {"pk": 51, "code": 6}]),
        id="rows by names that differ",
    ),
    pytest.param(
        insert(Renamed).values([{Renamed.pk: 50, "code": 5}, {Renamed.pk: 51, "code": 6}]),
        id="rows by attributes that differ",
    ),
    pytest.param(insert(Renamed).values(pk=50, code=5), id="one row by names that differ"),
]


@pytest.mark.parametrize("statement", INSERTS)
def test_insert_of_a_model_writes_what_it_is_given_and_checks_it(
    sides: Sides, statement: Any
) -> None:
    table = statement.table
    for engine in sides.engines:
        _run(engine, lambda session: session.execute(statement))
    key = table.c.idk if "idk" in table.c else table.c.id
    assert sides.rows(select(key).order_by(key))[0] == (50,)
    for engine in sides.engines:
        with pytest.raises(IntegrityError, match="UNIQUE constraint failed"):
            _run(engine, lambda session: session.execute(statement))


@pytest.mark.parametrize("key", [Plain.id, "id"])
def test_rows_of_a_model_get_keys_where_they_have_none(sides: Sides, key: Any) -> None:
    statement = insert(Plain).values([{key: None, "code": 1}, {key: None, "code": 2}])
    _run(sides.warehouse, lambda session: session.execute(statement))
    with Session(sides.warehouse) as session:
        keys = session.scalars(select(Plain.id)).all()
    assert len(set(keys)) == 2
    assert min(keys) > 2**40


def test_a_value_after_an_expression_is_no_lost_update(sides: Sides) -> None:
    for engine in sides.engines:
        _add(engine, Plain(id=1, code=10))

        def unit(session: Session) -> None:
            one = session.get_one(Plain, 1)
            one.code = Plain.code + 1
            session.flush()
            one.code = 50
            session.flush()
            one.code = Plain.code + 1

        _run(engine, unit)
    assert sides.rows(select(Plain.code)) == [(51,)]


@pytest.mark.parametrize("flushed", [False, True])
def test_what_a_bulk_update_has_changed_is_no_lost_update(sides: Sides, flushed: bool) -> None:
    for engine in sides.engines:
        _add(engine, Plain(id=1, code=10), Plain(id=2, code=20))

        def unit(session: Session) -> None:
            one = session.get_one(Plain, 1)
            if flushed:
                one.code = 11
                one.code = 10  # noted, and not written
                one.name = func.lower("N")
                session.flush()
            session.bulk_update_mappings(Plain.__mapper__, [{"id": 1, "code": 40}])
            one.code = 6

        _run(engine, unit)
    assert sides.rows(select(Plain.code).order_by(Plain.id)) == [(6,), (20,)]


def test_a_bulk_update_leaves_the_checks_of_other_rows(sides: Sides) -> None:
    engine = sides.warehouse
    _add(engine, Plain(id=1, code=10), Plain(id=2, code=20))
    with Session(engine) as session:
        two = session.get_one(Plain, 2)
        with engine.begin() as other:
            other.execute(update(table_of(Plain)).where(Plain.id == 2).values(code=21))
        session.bulk_update_mappings(Plain.__mapper__, [{"id": 1, "code": 40}])
        two.code = 22
        with pytest.raises(StaleDataError):
            session.commit()


def test_a_flush_within_a_flush_leaves_its_checks(sides: Sides) -> None:
    engine = sides.warehouse
    _add(engine, Plain(id=1, code=10))

    def write_beside(_: Any, connection: Any, target: Any) -> None:
        with Session(bind=connection) as inner:
            inner.add(Renamed(pk=7, code=7))
            inner.flush()

    event.listen(Plain, "before_update", write_beside)
    try:
        with Session(engine) as session:
            one = session.get_one(Plain, 1)
            with engine.begin() as other:
                other.execute(update(table_of(Plain)).values(code=11))
            one.code = 12
            with pytest.raises(StaleDataError):
                session.commit()
    finally:
        event.remove(Plain, "before_update", write_beside)


def test_an_interval_is_checked_as_any_other_value(sides: Sides) -> None:
    engine = sides.warehouse
    _add(engine, Plain(id=1, kept=dt.timedelta(days=1)))
    with Session(engine) as session:
        one = session.get_one(Plain, 1)
        assert one.kept == dt.timedelta(days=1)
        with engine.begin() as other:
            other.execute(update(table_of(Plain)).values(kept=dt.timedelta(days=2)))
        one.kept = dt.timedelta(microseconds=-1)
        with pytest.raises(StaleDataError):
            session.commit()
    with Session(engine) as session:
        one = session.get_one(Plain, 1)
        one.kept = dt.timedelta(microseconds=-1)
        session.commit()
        one.kept = None
        session.commit()
        assert one.kept is None


referred = MetaData()
parents = Table(
    "parents",
    referred,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("a", Integer),
    Column("b", Integer),
    Column("mail", String(20), unique=True),
    UniqueConstraint("a", "b"),
)
children = Table(
    "children",
    referred,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("a", Integer),
    Column("b", Integer),
    Column("mail", String(20), ForeignKey("parents.mail")),
    Column("next", Integer, ForeignKey("children.id")),
    ForeignKeyConstraint(["a", "b"], ["parents.a", "parents.b"]),
)
KEY = parents.c.id == bindparam("key")
DELETES = [
    pytest.param(delete(parents).where(parents.c.id == 1), None, False, id="of two columns"),
    pytest.param(delete(parents).where(parents.c.id == 2), None, False, id="of one column"),
    pytest.param(delete(parents).where(parents.c.id == 3), None, True, id="not referred to"),
    pytest.param(delete(parents).where(KEY), [{"key": 3}, {"key": 1}], False, id="one of several"),
    pytest.param(delete(parents).where(parents.c.a == 1), None, False, id="by a condition"),
    pytest.param(
        delete(parents).where(parents.c.id == 1, parents.c.a == 9), None, True, id="of no row"
    ),
    pytest.param(
        delete(children).where(children.c.id == 1, children.c.a == 9), None, True, id="no own row"
    ),
    pytest.param(delete(children).where(children.c.id == 1), None, False, id="of one's own table"),
    pytest.param(delete(children), None, True, id="all of one's own table"),
]


@pytest.mark.parametrize(("statement", "rows", "allowed"), DELETES)
def test_a_delete_looks_at_all_that_is_referred_to(
    connected: Callable[..., Engine], tmp_path: Path, statement: Any, rows: Any, allowed: bool
) -> None:
    both = Sides(connected(enforce_foreign_keys=True), tmp_path, referred)
    both.write(insert(parents), [{"id": n, "a": n, "b": n, "mail": f"m{n}"} for n in (1, 2, 3)])
    both.write(
        insert(children),
        [
            {"id": 1, "a": 1, "b": 1, "mail": None, "next": None},
            {"id": 2, "a": 2, "b": None, "mail": "m2", "next": 1},
        ],
    )
    for engine in both.engines:
        with engine.connect() as connection:
            if engine is both.sqlite:
                connection.execute(text("PRAGMA foreign_keys=ON"))
                connection.commit()
            with nullcontext() if allowed else pytest.raises(IntegrityError):
                connection.execute(statement, rows)
                connection.commit()
            connection.rollback()
            if engine is both.sqlite:
                connection.execute(text("PRAGMA foreign_keys=OFF"))
    both.rows(select(parents).order_by(parents.c.id))
    both.rows(select(children).order_by(children.c.id))
    both.close()


def test_a_table_with_a_name_of_the_statements_is_refused_for_every_write(
    connected: Callable[..., Engine],
) -> None:
    metadata = MetaData()
    table = Table("vinci_new", metadata, Column("id", Integer, primary_key=True))
    engine = connected()
    metadata.create_all(engine)
    statements = [insert(table).values(id=1), insert(table).from_select(["id"], select(literal(1)))]
    for statement in statements:
        with engine.connect() as connection, pytest.raises(NotSupportedError, match="called"):
            connection.execute(statement)


# --- what goes by another name, or is another one -------------------------------------------------


@pytest.mark.parametrize(
    "statement",
    [
        lambda a: update(a).where(a.c.id == 2).values(id=1),
        lambda a: update(a).where(a.c.id > 0).values(code=7),
        lambda a: update(a).where(a.c.id == bindparam("k")).values(code=bindparam("v")),
        lambda a: update(a).values({a.c.code: a.c.id + 1}),
    ],
)
def test_a_write_by_an_alias_that_needs_checks_is_refused(
    sides: Sides, statement: Callable[[Any], Any]
) -> None:
    table = table_of(Plain)
    for engine in sides.engines:
        with engine.begin() as connection:
            connection.execute(insert(table), [{"id": 1, "code": 1}, {"id": 2, "code": 2}])
    for name in (table.alias("x"), table.alias("x").alias("y")):
        with (
            sides.warehouse.begin() as connection,
            pytest.raises(NotSupportedError, match=r"alias of plain .*\. Write UPDATE"),
        ):
            connection.execute(statement(name), {"k": 1, "v": 2})
    other = table.alias("x")
    for engine in sides.engines:
        with engine.begin() as connection:
            connection.execute(update(other).where(other.c.id == 2).values(name="by an alias"))
    rows = select(Plain.id, Plain.code, Plain.name).order_by(Plain.id)
    assert sides.rows(rows) == [(1, 1, "new"), (2, 2, "by an alias")]


def test_a_delete_by_an_alias_is_refused_where_it_may_leave_references(
    connected: Callable[..., Engine],
) -> None:
    metadata = MetaData()
    parent = Table("parent", metadata, Column("id", Integer, primary_key=True))
    Table("child", metadata, Column("id", ForeignKey("parent.id"), primary_key=True))
    other: Any = parent.alias()
    for enforced in (True, False):
        engine = connected(enforce_foreign_keys=enforced)
        metadata.create_all(engine)
        with engine.begin() as connection:
            refused = pytest.raises(NotSupportedError, match="alias of parent")
            with refused if enforced else nullcontext():
                connection.execute(delete(other).where(other.c.id == 1))


def test_an_update_of_a_join_is_refused_by_name(sides: Sides) -> None:
    plain, renamed = table_of(Plain), table_of(Renamed)
    joined = plain.join(renamed, plain.c.id == renamed.c.idk)
    with sides.warehouse.begin() as connection, pytest.raises(CompileError, match="of a join"):
        connection.execute(update(joined).values({plain.c.code: 5}))


@pytest.mark.parametrize("folded", [False, True])
def test_a_table_that_was_declared_twice_keeps_the_checks_of_each(
    sides: Sides, folded: bool
) -> None:
    strict: Any = table_of(Plain)
    loose = Table(
        "plain",
        MetaData(),
        Column("id", Integer, primary_key=True, autoincrement=False),
        Column("code", Integer),
        Column("name", String),
    )
    for engine in sides.engines:
        with engine.begin() as connection:
            connection.execute(insert(strict), {"id": 1, "code": 1})
        change = update(strict).where(strict.c.id == 9).values(code=1)
        second: Any = change if folded else insert(strict).values(id=8, code=1, name="b")

        def unit(session: Session, second: Any = second) -> None:
            session.execute(insert(loose).values(id=9, code=5, name="a"))
            session.execute(second)

        with pytest.raises(IntegrityError):
            _run(engine, unit)
    assert sides.rows(select(strict.c.id, strict.c.code)) == [(1, 1)]


def test_a_text_that_an_event_changes_is_refused(sides: Sides) -> None:
    table: Any = table_of(Plain)
    engine = sides.warehouse
    with engine.begin() as connection:
        connection.execute(insert(table), [{"id": 1, "code": 1}, {"id": 2, "code": 2}])
    changed = " /* by the tracer */"

    @event.listens_for(engine, "before_cursor_execute", retval=True)
    def add(_: Any, __: Any, statement: str, given: Any, *___: Any) -> Any:
        return (statement if statement.startswith("SELECT") else statement + changed), given

    by_key = update(table).where(table.c.id == 2).values(name="x")
    statements = [by_key, update(table).values(name="y"), delete(table).where(table.c.id == 1)]
    with engine.begin() as connection:
        for statement in statements:
            connection.execute(statement)
    assert min(rows_of(engine, table))[:3] == (2, 2, "y")
    changed = " AND code < 2"
    for statement in (by_key, insert(table).values(id=7), delete(table).where(table.c.id == 2)):
        # A listener is called for what is sent, at the commit.
        with (
            pytest.raises(NotSupportedError, match=r"has changed its text(.|\n)* before_execute"),
            engine.begin() as connection,
        ):
            connection.execute(statement)
    assert rows_of(engine, table)[0][:3] == (2, 2, "y")


# --- values ---------------------------------------------------------------------------------------


def test_a_truth_value_in_a_number_is_one_or_nothing_by_key_too(sides: Sides) -> None:
    for engine in sides.engines:
        with engine.begin() as connection:
            connection.execute(insert(Plain).values(id=1, code=literal(3) > literal(2)))
        with Session(engine) as session:
            session.add(Plain(id=2, code=5))
            session.commit()
            one = session.get_one(Plain, 2)
            one.code = Plain.code > 7
            session.commit()
    assert sides.rows(select(Plain.id, Plain.code).order_by(Plain.id)) == [(1, 1), (2, 0)]


VALUES: list[Any] = ["new", "1", 1, True, False, 2.0, None]


# Where the first is a truth value or a float, SQLAlchemy itself makes others the same, or fails.
PAIRS = [
    [one, other]
    for one in VALUES
    for other in VALUES
    if not isinstance(one, bool) or isinstance(other, bool) or other is None
    if not isinstance(one, float) or other != "new"
]


def test_text_is_compared_with_values_of_other_kinds(sides: Sides) -> None:
    for engine in sides.engines:
        with engine.begin() as connection:
            rows = [{"id": n, "name": name} for n, name in enumerate(["new", "1", "0", "2.0"])]
            connection.execute(insert(Plain), rows)
    for values in PAIRS:
        conditions = [Plain.name.in_(values), Plain.name.not_in(values), Plain.name == values[0]]
        if values[0] is not None and not isinstance(values[0], bool):
            conditions.append(Plain.name > values[0])
        sides.rows(
            union_all(
                *(select(Plain.id, literal(n)).where(c) for n, c in enumerate(conditions))
            ).order_by(literal_column("2"), literal_column("1"))
        )
    for engine in sides.engines:
        with engine.begin() as connection:
            connection.execute(update(Plain).where(Plain.name.in_([1, "new"])).values(name="z"))
    assert sides.rows(select(Plain.name).order_by(Plain.id)) == [("z",), ("z",), ("0",), ("2.0",)]


def _twice(context: Any) -> Any:
    return context.get_current_parameters()["a"] * 2


class Doubled(Base):
    """A key that is given out, and a default that looks at its row."""

    __tablename__ = "doubled"
    id: Mapped[int] = mapped_column(primary_key=True)
    a: Mapped[int]
    b: Mapped[int] = mapped_column(default=_twice)


def test_rows_of_values_with_a_default_that_looks_at_its_row(sides: Sides) -> None:
    table: Any = table_of(Doubled)
    for engine in sides.engines:
        with engine.begin() as connection:
            connection.execute(insert(table).values([{"a": 5}, {"a": 6}]))
            connection.execute(insert(table).values([{"a": 7}]))
    assert sides.rows(select(table.c.a, table.c.b).order_by(table.c.a)) == [
        (5, 10),
        (6, 12),
        (7, 14),
    ]


class Highest(FunctionElement[Any]):
    """A function of the application's, by the name of one that is built in."""

    inherit_cache = True
    name = "coalesce"
    type = Integer()


@compiles(Highest)
def _highest(*_: Any, **__: Any) -> str:
    return "(SELECT max(code) FROM plain)"


def test_what_an_application_renders_itself_may_read_anything(sides: Sides) -> None:
    for engine in sides.engines:
        with engine.begin() as connection:
            connection.execute(insert(Plain), {"id": 1, "code": 5})
        with engine.begin() as connection:
            connection.execute(update(Plain).where(Plain.id == 1).values(code=50))
            connection.execute(insert(Doubled).values(id=1, a=Highest(), b=0))
            connection.execute(update(Plain).where(Plain.id == 1).values(code=500))
            connection.execute(insert(Doubled).values(id=2, a=Highest(), b=0))
    assert sides.rows(select(Doubled.id, Doubled.a).order_by(Doubled.id)) == [(1, 50), (2, 500)]


def test_an_upsert_takes_execution_options(sides: Sides) -> None:
    statement = upsert(Plain, [{"id": 1, "code": 2}], keys=["id"]).execution_options(own=1)
    seen: list[Any] = []
    for engine in sides.engines:
        event.listen(
            engine,
            "before_execute",
            lambda _, __, ___, ____, options: seen.append(options.get("own")),
        )
        with Session(engine) as session:
            session.execute(statement)
            session.commit()
    assert seen[0] == 1
    assert 1 in seen[1:]
    assert sides.rows(select(Plain.id, Plain.code)) == [(1, 2)]


def test_a_key_of_pickled_values_is_reported_as_bytes(sides: Sides) -> None:
    metadata = MetaData()
    table = Table(
        "pickled", metadata, Column("k", PickleType, primary_key=True), Column("x", Integer)
    )
    metadata.create_all(sides.warehouse)
    with sides.warehouse.begin() as connection:
        connection.execute(insert(table), [{"k": ("a", 1), "x": 1}, {"k": ("b", 2), "x": 2}])
    with pytest.raises(IntegrityError), sides.warehouse.begin() as connection:
        connection.execute(update(table).values(k=("c", 3)))


def test_a_flush_that_an_application_compiles_itself_is_refused(
    sides: Sides, connected: Callable[..., Engine], monkeypatch: pytest.MonkeyPatch
) -> None:
    with Session(sides.warehouse) as session:
        session.add(Plain(id=1, code=1))
        session.commit()
    own = update(Plain).where(Plain.id == 1).values(name="mine")
    compiled: Any = own.compile(dialect=sides.warehouse.dialect)
    monkeypatch.setattr(type(compiled), "write", None)
    for checked in (True, False):
        engine = connected(enforce_keys=False, compare_and_set=checked)
        with Session(engine) as session:
            session.get_one(Plain, 1).name = "b"
            refused = pytest.raises(NotSupportedError, match=r"a flush changes plain .*@compiles")
            with refused if checked else nullcontext():
                session.flush()


shifted = MetaData()
nodes = Table(
    "nodes",
    shifted,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("parent", Integer, ForeignKey("nodes.id")),
)
leaves = Table(
    "leaves",
    shifted,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("node", Integer, ForeignKey("nodes.id")),
)
SHIFTS = [
    pytest.param(update(nodes).values(id=nodes.c.id - 1), None, True, id="into each other"),
    pytest.param(
        update(nodes).values(id=nodes.c.id + 100, parent=nodes.c.parent + 100),
        [],
        True,
        id="with what refers to them",
    ),
    pytest.param(
        update(nodes).values(id=nodes.c.id + 100, parent=nodes.c.parent + 0),
        [],
        False,
        id="with what refers to what goes",
    ),
    pytest.param(update(nodes).values(id=nodes.c.id + 100), [], False, id="without"),
    pytest.param(
        update(nodes).values(id=nodes.c.id + 100, parent=None), [], True, id="without a reference"
    ),
    pytest.param(
        update(nodes).where(nodes.c.id > 2).values(id=9, parent=2), [], True, id="that has none"
    ),
    pytest.param(
        update(nodes).where(nodes.c.id == 2).values(id=9, parent=2), [], False, id="to its own old"
    ),
    pytest.param(
        update(nodes).where(nodes.c.id == 2).values(id=9, parent=9), [], False, id="of a parent"
    ),
    pytest.param(
        update(nodes).where(nodes.c.id == 3).values(id=9, parent=9), [], True, id="to its own new"
    ),
    pytest.param(
        update(nodes).values(id=nodes.c.id + 100, parent=nodes.c.parent + 100),
        [{"id": 1, "node": 2}],
        False,
        id="of another table",
    ),
    pytest.param(
        update(nodes).values(id=nodes.c.id - 1),
        [{"id": 1, "node": 2}],
        True,
        id="into each other, of another table",
    ),
    pytest.param(
        update(nodes).values(id=nodes.c.id - 1),
        [{"id": 1, "node": 3}],
        False,
        id="into each other, but for the last",
    ),
]


@pytest.mark.parametrize(("statement", "referring", "allowed"), SHIFTS)
def test_a_key_that_another_row_gets_may_be_referred_to(
    connected: Callable[..., Engine], tmp_path: Path, statement: Any, referring: Any, allowed: bool
) -> None:
    both = Sides(connected(enforce_foreign_keys=True), tmp_path, shifted)
    rows = [{"id": 1, "parent": None}, {"id": 2, "parent": None}, {"id": 3, "parent": 2}]
    # Into each other, the first row must be free to go.
    both.write(insert(nodes), rows if referring is not None else [rows[1], rows[2]])
    if referring:
        both.write(insert(leaves), referring)
    for engine in both.engines:
        with engine.connect() as connection:
            if engine is both.sqlite:
                connection.execute(text("PRAGMA foreign_keys=ON"))
                connection.commit()
            with (
                nullcontext()
                if allowed
                else pytest.raises(IntegrityError, match=r"FOREIGN|foreign")
            ):
                connection.execute(statement)
                connection.commit()
            connection.rollback()
            if engine is both.sqlite:
                connection.execute(text("PRAGMA foreign_keys=OFF"))
    both.rows(select(nodes).order_by(nodes.c.id))
    both.close()
