"""What the ORM does with held writes: the same on SQLite and on the warehouse."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import (
    Column,
    Connection,
    Engine,
    ForeignKey,
    Integer,
    MetaData,
    String,
    Table,
    bindparam,
    create_engine,
    delete,
    event,
    func,
    insert,
    select,
    update,
)
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import (
    DeclarativeBase,
    Mapped,
    Session,
    mapped_column,
    relationship,
)
from sqlalchemy.orm.exc import StaleDataError

from tests.dialect.held import first_words, rows_of, sending
from tests.full import part
from vinci_code.warehouse.pytest_plugin import TestWarehouse

pytestmark = part(3)


class Base(DeclarativeBase):
    pass


LINKS = Table(
    "links",
    Base.metadata,
    Column("order_id", ForeignKey("orders.id"), primary_key=True),
    Column("tag_id", ForeignKey("tags.id"), primary_key=True),
)


PLAIN_LINKS = Table(
    "plain_links",
    Base.metadata,
    Column("order_id", ForeignKey("orders.id")),
    Column("tag_id", ForeignKey("tags.id")),
)


class Order(Base):
    __tablename__ = "orders"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)
    note: Mapped[str | None] = mapped_column(server_default="none")
    lines: Mapped[list[Line]] = relationship(
        back_populates="order", cascade="all, delete-orphan", order_by="Line.number"
    )
    tags: Mapped[list[Tag]] = relationship(secondary=LINKS, order_by="Tag.id")
    others: Mapped[list[Tag]] = relationship(secondary=PLAIN_LINKS, order_by="Tag.id")


class Line(Base):
    __tablename__ = "lines"
    order_id: Mapped[int] = mapped_column(ForeignKey("orders.id"), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    amount: Mapped[int]
    order: Mapped[Order] = relationship(back_populates="lines")


class Tag(Base):
    __tablename__ = "tags"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]


class Person(Base):
    __tablename__ = "persons"
    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str]
    name: Mapped[str | None]
    __mapper_args__ = {"polymorphic_on": "kind", "polymorphic_identity": "person"}


class Worker(Person):
    __tablename__ = "workers"
    id: Mapped[int] = mapped_column(ForeignKey("persons.id"), primary_key=True)
    wage: Mapped[int | None]
    __mapper_args__ = {"polymorphic_identity": "worker"}


class Node(Base):
    __tablename__ = "nodes"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    parent_id: Mapped[int | None] = mapped_column(ForeignKey("nodes.id"))
    parent: Mapped[Node | None] = relationship(back_populates="children", remote_side=[id])
    children: Mapped[list[Node]] = relationship(
        back_populates="parent", cascade="all, delete-orphan"
    )


class Team(Base):
    __tablename__ = "teams"
    id: Mapped[int] = mapped_column(primary_key=True)
    captain_id: Mapped[int | None] = mapped_column(
        ForeignKey("members.id", use_alter=True, name="captain")
    )
    captain: Mapped[Member | None] = relationship(foreign_keys=[captain_id], post_update=True)


class Member(Base):
    __tablename__ = "members"
    id: Mapped[int] = mapped_column(primary_key=True)
    team_id: Mapped[int] = mapped_column(ForeignKey("teams.id"))
    team: Mapped[Team] = relationship(foreign_keys=[team_id])


class Account(Base):
    __tablename__ = "accounts"
    id: Mapped[int] = mapped_column(primary_key=True)
    balance: Mapped[int] = mapped_column(default=0)
    changed: Mapped[str | None] = mapped_column(onupdate="yes")
    version: Mapped[int] = mapped_column()
    __mapper_args__ = {"version_id_col": version}


class Stamped(Base):
    __tablename__ = "stamped"
    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=uuid.uuid4)
    name: Mapped[str | None]
    at: Mapped[dt.datetime] = mapped_column(server_default=func.now())
    __mapper_args__ = {"eager_defaults": True}


TAGS, ACCOUNTS = (Base.metadata.tables[name] for name in ("tags", "accounts"))


# --- scenarios: each is run on both sides ---------------------------------------------------------

Scenario = Callable[[Session], Any]


def cascades(session: Session) -> Any:
    order = Order(id=1, name="a", lines=[Line(number=n, amount=n) for n in range(5)])
    session.add_all([order, Order(id=2, name="b", tags=[Tag(id=1, name="x"), Tag(id=2, name="y")])])
    session.commit()
    del order.lines[1:3]
    order.lines.append(Line(number=9, amount=9))
    order.lines[0].amount = 100
    session.commit()
    session.delete(session.get_one(Order, 2))
    session.commit()
    return [line.number for line in order.lines]


def many_to_many(session: Session) -> Any:
    tags = [Tag(id=n, name=str(n)) for n in range(5)]
    first, second = Order(id=1, name="a", tags=tags[:3]), Order(id=2, name="b", tags=tags[2:])
    session.add_all([first, second])
    session.commit()
    first.tags = [tags[4], tags[0]]
    second.tags.remove(tags[3])
    session.commit()
    return [tag.id for tag in first.tags], [tag.id for tag in second.tags]


def many_to_many_without_a_key(session: Session) -> Any:
    tags = [Tag(id=n, name=str(n)) for n in range(5)]
    first, second = Order(id=1, name="a", others=tags[:3]), Order(id=2, name="b", others=tags[2:])
    session.add_all([first, second])
    session.commit()
    first.others = [tags[4], tags[0]]
    second.others.remove(tags[3])
    session.flush()
    second.others.append(tags[3])
    session.commit()
    return [tag.id for tag in first.others], [tag.id for tag in second.others]


def links_that_are_gone(session: Session) -> Any:
    order = Order(id=1, name="a", tags=[Tag(id=1, name="x"), Tag(id=2, name="y")])
    session.add(order)
    session.commit()
    assert len(order.tags) == 2
    session.connection().execute(delete(LINKS).where(LINKS.c.tag_id == 1))
    order.tags = []
    session.commit()


def inheritance(session: Session) -> Any:
    session.add_all([Worker(id=n, name=str(n), wage=n) for n in range(3)])
    session.add(Person(id=10, name="p"))
    session.commit()
    worker = session.get_one(Worker, 1)
    worker.wage, worker.name = 100, "changed"
    session.delete(session.get_one(Person, 2))
    session.commit()
    return [(p.id, p.kind, p.name) for p in session.scalars(select(Person).order_by(Person.id))]


def trees(session: Session) -> Any:
    root = Node(id=1, name="root")
    root.children = [Node(id=2, name="a", children=[Node(id=3, name="b")]), Node(id=4, name="c")]
    session.add(root)
    session.commit()
    moved = session.get_one(Node, 3)
    moved.parent = root
    session.flush()
    session.delete(session.get_one(Node, 2))
    session.commit()
    return sorted(node.id for node in root.children)


def circles(session: Session) -> Any:
    team = Team(id=1)
    session.add(Member(id=1, team=team))
    team.captain = Member(id=2, team=team)
    session.commit()
    team.captain = None
    session.flush()
    session.delete(session.get_one(Member, 2))
    session.commit()
    return team.captain_id


def merged(session: Session) -> Any:
    session.add(Order(id=1, name="a", lines=[Line(number=1, amount=1)]))
    session.commit()
    session.expunge_all()
    session.merge(Order(id=1, name="changed", lines=[Line(number=1, amount=5)]))
    session.merge(Order(id=2, name="new"))
    session.commit()
    return session.scalar(select(func.count()).select_from(Order))


def in_bulk(session: Session) -> Any:
    session.bulk_save_objects([Tag(id=n, name=str(n)) for n in range(10)])
    session.bulk_insert_mappings(Tag.__mapper__, [{"id": n, "name": "m"} for n in (20, 21)])
    session.commit()
    session.bulk_update_mappings(Tag.__mapper__, [{"id": 1, "name": "u"}, {"id": 20, "name": "v"}])
    session.execute(insert(Tag), [{"id": 30, "name": "i"}, {"id": 31, "name": "j"}])
    session.execute(update(Tag), [{"id": 2, "name": "w"}, {"id": 3, "name": "x"}])
    session.commit()
    deleted = session.query(Tag).filter(Tag.id < 5).delete()
    changed = session.query(Tag).filter(Tag.id >= 20).update({"name": "z"})
    session.commit()
    return deleted, changed


def bulk_update_of_nothing(session: Session) -> Any:
    session.execute(update(Tag), [{"id": 2, "name": "w"}])
    session.commit()


def bulk_update_with_a_condition(session: Session) -> Any:
    session.add_all([Tag(id=1, name="a"), Tag(id=2, name="b")])
    session.commit()
    session.connection().execute(
        update(TAGS).where(Tag.id == 1, Tag.name == "b").values(name="never")
    )
    session.commit()
    statement = update(Tag).where(Tag.name == "a").execution_options(synchronize_session=None)
    session.execute(statement, [{"id": 1, "name": "c"}, {"id": 2, "name": "d"}])
    session.commit()


def expressions(session: Session) -> Any:
    account = Account(id=1, balance=5)
    session.add(account)
    session.commit()
    account.balance = Account.balance + 10
    session.commit()
    account.balance = func.abs(-7)
    session.commit()
    return account.balance, account.version, account.changed


def versions(session: Session) -> Any:
    account = Account(id=1)
    session.add(account)
    session.flush()
    for number in range(3):
        account.balance += number
        session.flush()
    session.commit()
    account.balance = 50
    session.flush()
    account.balance = 60
    session.commit()
    found = account.version
    session.delete(account)
    session.commit()
    return found


def stale_update(session: Session) -> Any:
    account = Account(id=1, balance=1)
    session.add(account)
    session.commit()
    assert account.balance == 1
    with Session(session.get_bind()) as other:
        other.get_one(Account, 1).balance = 99
        other.commit()
    account.balance = 5
    session.commit()


def stale_update_seen(session: Session) -> Any:
    session.add(Account(id=1, balance=1))
    session.commit()
    account = session.get_one(Account, 1)
    session.connection().execute(update(ACCOUNTS).values(version=7))
    account.balance = 5
    session.commit()


def stale_delete(session: Session) -> Any:
    session.add(Account(id=1, balance=1))
    session.commit()
    account = session.get_one(Account, 1)
    session.connection().execute(update(ACCOUNTS).values(version=7))
    session.delete(account)
    session.commit()


def gone(session: Session) -> Any:
    session.add(Tag(id=1, name="a"))
    session.commit()
    tag = session.get_one(Tag, 1)
    session.connection().execute(delete(TAGS))
    tag.name = "b"
    session.commit()


def primary_key_changed(session: Session) -> Any:
    session.add(Tag(id=1, name="a"))
    session.commit()
    tag = session.get_one(Tag, 1)
    tag.id = 2
    session.flush()
    tag.name = "b"
    session.commit()
    session.delete(tag)
    session.add(Tag(id=1, name="c"))
    session.commit()


def deleted_and_inserted(session: Session) -> Any:
    session.add(Order(id=1, name="a"))
    session.commit()
    session.delete(session.get_one(Order, 1))
    session.flush()
    session.add(Order(id=1, name="a", note="new"))
    session.flush()
    session.add(Order(id=2, name="b"))
    session.commit()


def a_duplicate(session: Session) -> Any:
    session.add(Order(id=1, name="a"))
    session.commit()
    session.add_all([Order(id=2, name="b"), Order(id=3, name="a")])
    session.commit()


def after_a_failure(session: Session) -> Any:
    session.add(Tag(id=1, name="a"))
    session.commit()
    session.add(Tag(id=1, name="b"))
    try:
        session.commit()
    except IntegrityError:
        session.rollback()
    session.add(Tag(id=2, name="c"))
    session.commit()


def savepoints(session: Session) -> Any:
    session.add(Tag(id=1, name="a"))
    with session.begin_nested():
        session.add(Tag(id=2, name="b"))
    nested = session.begin_nested()
    session.add(Tag(id=3, name="c"))
    session.flush()
    nested.rollback()
    session.add(Tag(id=4, name="d"))
    session.commit()
    return sorted(tag.id for tag in session.scalars(select(Tag)))


def rolled_back(session: Session) -> Any:
    session.add(Tag(id=1, name="a"))
    session.commit()
    tag = session.get_one(Tag, 1)
    tag.name = "b"
    session.add(Tag(id=2, name="x"))
    session.flush()
    found = session.scalars(select(Tag.name).order_by(Tag.id)).all()
    session.rollback()
    return found, tag.name


def server_defaults(session: Session) -> Any:
    order = Order(id=1, name="a")
    session.add(order)
    session.commit()
    return order.note


def autoflush(session: Session) -> Any:
    session.add_all([Tag(id=1, name="a"), Tag(id=2, name="b")])
    first = session.scalars(select(Tag).order_by(Tag.id)).all()
    first[0].name = "changed"
    return session.scalars(select(Tag.name).order_by(Tag.id)).all()


SCENARIOS: list[Scenario] = [
    cascades,
    many_to_many,
    many_to_many_without_a_key,
    links_that_are_gone,
    inheritance,
    trees,
    circles,
    merged,
    in_bulk,
    bulk_update_of_nothing,
    bulk_update_with_a_condition,
    expressions,
    versions,
    stale_update_seen,
    stale_delete,
    gone,
    primary_key_changed,
    deleted_and_inserted,
    a_duplicate,
    after_a_failure,
    savepoints,
    rolled_back,
    server_defaults,
    autoflush,
]


def _outcome(engine: Engine, scenario: Scenario) -> list[Any]:
    tables = [table for table in Base.metadata.sorted_tables if table.name != "stamped"]
    with Session(engine) as session:
        try:
            said = scenario(session)
        except (IntegrityError, StaleDataError) as error:
            said = type(error).__name__
    return [said, *(rows_of(engine, table) for table in tables)]


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """A SQLite file that enforces foreign keys, with the tables."""
    folder: Path = tmp_path_factory.mktemp("held")
    engine = create_engine(f"sqlite:///{folder / 'file.db'}")
    event.listen(engine, "connect", lambda raw, _: raw.execute("PRAGMA foreign_keys=ON"))
    Base.metadata.create_all(engine)
    yield engine
    engine.dispose()


@pytest.fixture
def strict(connected: Callable[..., Engine]) -> Engine:
    """An engine that enforces foreign keys, with the tables."""
    engine = connected(enforce_foreign_keys=True)
    Base.metadata.create_all(engine, checkfirst=False)
    return engine


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.__name__)
def test_as_on_sqlite(scenario: Scenario, file: Engine, strict: Engine) -> None:
    try:
        wanted = _outcome(file, scenario)
    finally:
        with file.begin() as connection:
            connection.exec_driver_sql("PRAGMA defer_foreign_keys=ON")
            for table in reversed(Base.metadata.sorted_tables):
                connection.execute(delete(table))
    assert _outcome(strict, scenario) == wanted


def test_somebody_else_changed_it(strict: Engine) -> None:
    with pytest.raises(StaleDataError, match=r"accounts.*\(1, 1\).*somebody else"):
        _outcome_of_stale_update(strict)
    assert [row[:2] for row in rows_of(strict, ACCOUNTS)] == [(1, 99)]


def _outcome_of_stale_update(engine: Engine) -> None:
    with Session(engine) as session:
        stale_update(session)


def test_what_is_generated_is_read_again(strict: Engine, local_warehouse: TestWarehouse) -> None:
    with sending(lambda: local_warehouse.statements) as sent, Session(strict) as session:
        stamped = Stamped(name="a")
        session.add(stamped)
        session.flush()
        assert isinstance(stamped.at, dt.datetime)
        assert isinstance(stamped.id, uuid.UUID)
        session.commit()
    assert first_words(sent) == ["BEGIN", "INSERT", "SELECT", "COMMIT"]


def test_keys_are_known_after_the_flush(strict: Engine, local_warehouse: TestWarehouse) -> None:
    with sending(lambda: local_warehouse.statements) as sent, Session(strict) as session:
        orders = [Order(name=str(n), lines=[Line(number=1, amount=n)]) for n in range(20)]
        session.add_all(orders)
        session.flush()
        assert all(order.lines[0].order_id == order.id for order in orders)
        assert len({order.id for order in orders}) == 20
        assert sent == []
        session.commit()
    assert first_words(sent) == ["BEGIN"]


def test_objects_stay_as_they_are(strict: Engine, local_warehouse: TestWarehouse) -> None:
    with Session(strict, expire_on_commit=False) as session:
        tag = Tag(id=1, name="a")
        session.add(tag)
        session.commit()
        with sending(lambda: local_warehouse.statements) as sent:
            assert tag.name == "a"
        assert sent == []


def test_relations_are_one_request(strict: Engine, local_warehouse: TestWarehouse) -> None:
    with Session(strict) as session:
        tags = [Tag(id=n, name=str(n)) for n in range(10)]
        order = Order(id=1, name="a", tags=tags, others=tags)
        session.add(order)
        session.commit()
        assert len(order.tags) == len(order.others) == 10
        with sending(lambda: local_warehouse.statements) as sent:
            order.tags, order.others = tags[5:], tags[:2]
            session.commit()
    assert first_words(sent) == [*["SELECT"] * (len(sent) - 1), "BEGIN"]
    assert sent[-1].count("MERGE INTO") == 2


class Loose(Base):
    """Its key is none of its table's."""

    __table__ = Table(
        "loose",
        Base.metadata,
        Column("id", Integer, unique=True, nullable=False),
        Column("k", Integer),
        Column("v", Integer),
    )
    __mapper_args__ = {"primary_key": [__table__.c.k]}


def _removes(session: Session) -> None:
    order = session.get_one(Order, 1)
    order.others.remove(order.others[0])


def _changes(session: Session) -> None:
    loose: Any = session.get_one(Loose, 1)
    loose.v = 5


@pytest.mark.parametrize("change", [_removes, _changes])
@pytest.mark.parametrize("times", [1, 2])
def test_a_row_without_a_key_is_there_once(
    strict: Engine, tmp_path: Path, change: Callable[[Session], None], times: int
) -> None:
    found = []
    sqlite = create_engine(f"sqlite:///{tmp_path / 'side.db'}")
    Base.metadata.create_all(sqlite)
    for engine in (sqlite, strict):
        with Session(engine) as session:
            tags = [Tag(id=n, name=str(n)) for n in (1, 2)]
            session.add(Order(id=1, name="a", others=[*tags[:1] * times, tags[1]]))
            session.execute(insert(Loose), [{"id": n, "k": 1} for n in range(times)])
            session.commit()
            change(session)
            refused = pytest.raises(StaleDataError, match=r"matched|several times")
            with refused if times > 1 else nullcontext():
                session.commit()
        found.append([rows_of(engine, table) for table in (PLAIN_LINKS, Loose.__table__)])
    sqlite.dispose()
    assert found[0] == found[1]


def test_an_exception_between_flush_and_commit(strict: Engine) -> None:
    @event.listens_for(Session, "before_commit")
    def fail(session: Session) -> None:
        session.flush()
        raise RuntimeError("in between")

    session = Session(strict)
    try:
        session.add(Tag(id=1, name="a"))
        with pytest.raises(RuntimeError, match="in between"):
            session.commit()
    finally:
        event.remove(Session, "before_commit", fail)
    session.rollback()
    session.add(Tag(id=2, name="b"))
    session.commit()
    session.close()
    assert rows_of(strict, TAGS) == [(2, "b")]


def test_bulk_insert_of_alembic(engine: Engine, local_warehouse: TestWarehouse) -> None:
    from alembic.migration import MigrationContext
    from alembic.operations import Operations

    import vinci_code.database.dialect.alembic  # noqa: F401 - it tells Alembic of the dialect

    table = Table(
        "seeds", MetaData(), Column("id", Integer, primary_key=True), Column("name", String)
    )
    table.create(engine, checkfirst=False)
    rows = [{"id": n, "name": str(n)} for n in range(300)]
    with sending(lambda: local_warehouse.statements) as sent, engine.begin() as connection:
        Operations(MigrationContext.configure(connection)).bulk_insert(table, rows)
    assert first_words(sent) == ["INSERT"]
    assert rows_of(engine, table) == [tuple(row.values()) for row in rows]


def test_to_sql_of_pandas(engine: Engine, local_warehouse: TestWarehouse) -> None:
    pandas = pytest.importorskip("pandas", reason="pandas is not among the locked packages")
    frame = pandas.DataFrame(
        {
            "n": [1, 2, None],
            "word": ["a", None, "\U0001f600"],
            "at": pandas.to_datetime(["2024-01-01 12:00", None, "2024-01-02 00:00"]),
            "yes": [True, False, True],
            "ratio": [0.5, float("inf"), None],
        }
    )
    with engine.begin() as connection:
        frame.head(0).to_sql("frame", connection, index=False)
    with sending(lambda: local_warehouse.statements) as sent, engine.begin() as connection:
        frame.to_sql("frame", connection, index=False, if_exists="append")
    assert first_words([text for text in sent if "INSERT" in text]) == ["INSERT"]
    with engine.connect() as connection:
        found = _rows(connection)
    assert found == [
        (1.0, "a", dt.datetime(2024, 1, 1, 12), True, 0.5),
        (2.0, None, None, False, float("inf")),
        (None, "\U0001f600", dt.datetime(2024, 1, 2), True, None),
    ]


def _rows(connection: Connection) -> list[tuple[Any, ...]]:
    rows = connection.exec_driver_sql("SELECT * FROM frame")
    return sorted((tuple(row) for row in rows), key=lambda row: (row[0] is None, row[0]))


@pytest.mark.parametrize(
    "condition",
    [Order.note.is_(None), Order.name == "a", Order.id > 1, Order.note == bindparam("old", "x")],
    ids=str,
)
def test_a_bulk_update_with_a_condition_need_not_find_its_rows(
    condition: Any, file: Engine, strict: Engine
) -> None:
    there = [
        {"id": n, "name": name, "note": "x" if n == 1 else None} for n, name in enumerate("abc")
    ]
    rows = [{"id": number, "note": "new"} for number in range(5)]
    change = update(Order).where(condition).execution_options(synchronize_session=None)
    found = []
    for engine in (file, strict):
        with Session(engine) as session:
            session.execute(insert(Order), there)
            session.commit()
            session.execute(change, rows)
            session.commit()
            found.append(session.execute(select(Order.id, Order.note).order_by(Order.id)).all())
            session.execute(delete(Order))
            session.commit()
    assert found[1] == found[0]
