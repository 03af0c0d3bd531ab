"""What is sent is told, statement by statement, by every channel: and nothing else is."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from sqlalchemy import (
    CheckConstraint,
    Column,
    Engine,
    Integer,
    MetaData,
    String,
    Table,
    create_engine,
    event,
    func,
    insert,
    select,
    text,
    update,
)
from sqlalchemy.exc import DBAPIError, NotSupportedError
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from tests.dialect.heard import Heard, hearing
from vinci_code.database import statistics, upsert
from vinci_code.warehouse import Fault
from vinci_code.warehouse.pytest_plugin import TestWarehouse

METADATA = MetaData()
ONE = Table("one", METADATA, Column("id", Integer, primary_key=True), Column("v", String))
TWO = Table("two", METADATA, Column("id", Integer, primary_key=True), Column("n", Integer))


class Base(DeclarativeBase):
    pass


class Item(Base):
    __tablename__ = "item"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(20))


@pytest.fixture
def tables(engine: Engine) -> Engine:
    """The engine, with the tables and a row in each."""
    METADATA.create_all(engine, checkfirst=False)
    Base.metadata.create_all(engine, checkfirst=False)
    with engine.begin() as connection:
        connection.execute(insert(ONE), {"id": 1, "v": "there"})
        connection.execute(insert(TWO), {"id": 1, "n": 0})
    return engine


def _nothing(engine: Engine) -> None:
    with engine.begin():
        pass


def _read(engine: Engine) -> None:
    with engine.connect() as connection:
        assert connection.execute(select(ONE.c.v)).scalars().all() == ["there"]
        connection.commit()


def _single(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(insert(ONE), [{"id": 2, "v": "a"}, {"id": 3, "v": "b"}])


def _objects(engine: Engine) -> None:
    with Session(engine) as session, session.begin():
        session.add_all([Item(name="a"), Item(name="b")])


def _block(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(insert(ONE).values(id=2, v="a"))
        connection.execute(update(TWO).values(n=TWO.c.n + 1))


def _repeatable(engine: Engine) -> None:
    with engine.connect() as found:
        connection = found.execution_options(isolation_level="REPEATABLE READ")
        with connection.begin():
            connection.execute(select(ONE.c.id)).all()
            connection.execute(insert(ONE).values(id=2, v="a"))


def _over(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(insert(ONE).values(id=2, v="a"))
        assert connection.scalar(select(func.count()).select_from(ONE)) == 2


def _known(engine: Engine) -> None:
    with Session(engine) as session, session.begin():
        session.add(item := Item(name="a"))
        session.flush()
        session.refresh(item)


def _not_over(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(insert(ONE).values(id=2, v="a"))
        assert connection.scalar(text("SELECT count(*) FROM one")) == 2


def _dropped(engine: Engine) -> None:
    with engine.connect() as connection:
        connection.execute(insert(ONE).values(id=2, v="a"))
        connection.rollback()


def _taken_back(engine: Engine) -> None:
    with engine.connect() as connection:
        connection.execute(insert(ONE).values(id=2, v="a"))
        connection.scalar(text("SELECT count(*) FROM one"))
        connection.rollback()


def _savepoint(engine: Engine) -> None:
    with engine.begin() as connection, connection.begin_nested():
        connection.execute(insert(ONE).values(id=2, v="a"))


def _counted(engine: Engine) -> None:
    with engine.begin() as connection:
        assert connection.execute(update(TWO).where(TWO.c.n < 9).values(n=2)).rowcount == 1


def _there_already(engine: Engine) -> None:
    with pytest.raises(DBAPIError), engine.begin() as connection:
        connection.execute(insert(ONE).values(id=1, v="again"))


def _own_text(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(text("INSERT INTO one VALUES (2, 'a')"))


def _own_cursor(engine: Engine) -> None:
    raw = engine.raw_connection()
    try:
        cursor = raw.cursor()
        cursor.execute("SELECT 1")
        assert cursor.fetchall() == [(1,)]
    finally:
        raw.close()


def _at_once(engine: Engine) -> None:
    with engine.connect() as found:
        connection = found.execution_options(isolation_level="AUTOCOMMIT")
        connection.execute(insert(ONE).values(id=2, v="a"))


def _definition(engine: Engine) -> None:
    checked = Column("n", Integer, CheckConstraint("n > 0", name="positive"))
    Table("checked", MetaData(), checked).create(engine)


def _upsert(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(upsert(ONE, [{"id": 1, "v": "b"}], keys=["id"]))


KINDS: dict[str, tuple[Callable[[Engine], None], list[str], list[str]]] = {
    "nothing": (_nothing, [], []),
    "a read": (_read, ["read"], ["committed"]),
    "one statement": (_single, ["commit"], ["committed"]),
    "objects": (_objects, ["commit"], ["committed"]),
    "a block": (_block, ["commit"], ["committed"]),
    "a transaction": (_repeatable, ["begin", "read", "write", "commit"], ["committed"]),
    "a read over what is held": (_over, ["read", "commit"], ["committed"]),
    "a row that is known": (_known, ["commit"], ["committed"]),
    "a read that begins a transaction": (
        _not_over,
        ["begin", "write", "read", "commit"],
        ["committed"],
    ),
    "rolled back before anything is sent": (_dropped, [], ["rolled back"]),
    "rolled back": (_taken_back, ["begin", "write", "read", "rollback"], ["rolled back"]),
    "a savepoint": (_savepoint, ["guard", "commit"], ["committed"]),
    "rows that are counted": (_counted, ["count", "commit"], ["committed"]),
    "a key that is there": (_there_already, ["commit"], ["failed"]),
    "a text of the application's own": (_own_text, ["commit"], ["committed"]),
    "a cursor of the application's own": (_own_cursor, ["read"], ["rolled back"]),
    "AUTOCOMMIT": (_at_once, ["commit"], ["committed"]),
    "DDL of two statements": (_definition, ["definition", "definition"], ["committed"]),
    "an upsert": (_upsert, ["commit"], ["committed"]),
}


@pytest.mark.parametrize("name", KINDS)
def test_every_channel_tells_of_what_is_sent(
    name: str, tables: Engine, local_warehouse: TestWarehouse
) -> None:
    work, kinds, outcomes = KINDS[name]
    with hearing(tables, local_warehouse) as heard:
        work(tables)
    assert heard.kinds == kinds
    assert [unit.outcome and unit.outcome.value for unit in heard.ended] == outcomes
    heard.agree()


def test_a_lost_answer(tables: Engine, local_warehouse: TestWarehouse) -> None:
    local_warehouse.inject(Fault.reset("after", operation="ExecuteStatement", statement="INSERT"))
    with hearing(tables, local_warehouse) as heard:
        _single(tables)
    heard.agree()
    assert heard.kinds == ["commit"]
    assert [type(statement.error).__name__ for statement in heard.after] == ["AmbiguousWriteError"]
    assert [unit.outcome and unit.outcome.value for unit in heard.ended] == ["committed"]
    assert heard.errors == [heard.after[0].error]


def test_an_answer_that_nobody_finds_out(
    connected: Callable[..., Engine], tables: Engine, local_warehouse: TestWarehouse
) -> None:
    engine = connected(history_timeout=0)
    local_warehouse.inject(Fault.reset("before", operation="ExecuteStatement", statement="INSERT"))
    with hearing(engine, local_warehouse) as heard, suppress(DBAPIError):
        _single(engine)
    assert [unit.outcome and unit.outcome.value for unit in heard.ended] == ["in doubt"]
    assert [type(unit.error).__name__ for unit in heard.ended] == ["AmbiguousWriteError"]
    assert heard.kinds[0] == "commit"
    assert set(heard.kinds[1:]) <= {"probe"}
    assert len(heard.cursors) == len(heard.after)


def test_a_statement_that_is_sent_again(tables: Engine, local_warehouse: TestWarehouse) -> None:
    local_warehouse.inject(
        Fault.http(503, retry_after=0, operation="ExecuteStatement"),
        Fault.http(429, retry_after=0, operation="ExecuteStatement"),
    )
    with hearing(tables, local_warehouse) as heard:
        _single(tables)
    heard.agree()
    assert [(each.attempts, each.waits, each.retries) for each in heard.after] == [(3, 2, 2)]
    assert (heard.counted.waits, heard.counted.retries, heard.counted.units) == (2, 2, 1)
    assert heard.counted.waited > 0
    assert heard.ended[0].retries == 2


def test_a_session_that_is_replaced(
    tables: Engine, local_warehouse: TestWarehouse, caplog: pytest.LogCaptureFixture
) -> None:
    local_warehouse.inject(Fault.session_lost(operation="ExecuteStatement"))
    with caplog.at_level("INFO"), hearing(tables, local_warehouse) as heard:
        _read(tables)
    heard.agree()
    assert [each.attempts for each in heard.after] == [2]
    assert (heard.counted.replaced, heard.counted.sessions, heard.counted.retries) == (1, 1, 1)
    assert [line for line in caplog.messages if "the session was lost, and is replaced by" in line]


def test_a_cold_start(
    connected: Callable[..., Engine], local_warehouse: TestWarehouse, caplog: Any
) -> None:
    engine = connected()
    local_warehouse.inject(Fault.http(503, retry_after=0, operation="OpenSession"))
    with caplog.at_level("INFO"), hearing(engine, local_warehouse) as heard:
        _own_cursor(engine)
    heard.agree()
    assert (heard.counted.waits, heard.counted.sessions) == (1, 1)
    assert heard.counted.waited > 0
    assert [line for line in caplog.messages if "waited for" in line]


def test_keys_that_are_reserved(
    connected: Callable[..., Engine], local_warehouse: TestWarehouse
) -> None:
    engine = connected(keys="blocks")
    table = Table("numbered", MetaData(), Column("id", Integer, primary_key=True))
    table.create(engine)
    with hearing(engine, local_warehouse) as heard, engine.begin() as connection:
        connection.execute(insert(table), [{}, {}])
    heard.agree()
    assert set(heard.kinds[:-1]) == {"keys"}
    assert heard.kinds[-1] == "commit"


def test_a_commit_has_its_real_duration(tables: Engine, local_warehouse: TestWarehouse) -> None:
    local_warehouse.inject(Fault.delay(0.5, operation="ExecuteStatement", statement="INSERT"))
    with hearing(tables, local_warehouse) as heard:
        _single(tables)
    [(_, seconds)] = heard.cursors
    assert seconds is not None
    assert seconds >= 0.5
    assert heard.after[0].summary == "INSERT 2 rows of one"


# --- listeners that do not only listen ------------------------------------------------------------


def test_a_comment_of_a_listener_is_sent(tables: Engine, local_warehouse: TestWarehouse) -> None:
    @event.listens_for(tables, "before_cursor_execute", retval=True)
    def add(_: Any, __: Any, statement: str, given: Any, *___: Any) -> Any:
        return f"/* ours */ {statement} /* traced */", given

    local_warehouse.warehouse.clear_requests()
    _block(tables)
    _definition(tables)
    assert len(local_warehouse.statements) == 3
    for sent in local_warehouse.statements:
        assert sent.startswith("/* ours */ ")
        assert sent.endswith(" /* traced */")


@pytest.mark.parametrize(
    "change",
    [
        lambda text, given: (text.replace("one", "two"), given),
        lambda text, given: (f"-- goes on: {text}", given),
        lambda text, given: (f"{text} WHERE 1 = 0", given),
        lambda text, given: (f"/* {text}", given),
        lambda text, given: (text, [*given][:-1]),
        lambda text, given: (text, ["[]" for _ in given]),
    ],
)
def test_what_a_listener_changes_of_a_commit_is_refused(
    change: Any, tables: Engine, local_warehouse: TestWarehouse
) -> None:
    local_warehouse.warehouse.clear_requests()

    def changed(_: Any, __: Any, statement: str, given: Any, *___: Any) -> Any:
        return change(statement, given)

    event.listen(tables, "before_cursor_execute", changed, retval=True)
    with pytest.raises(NotSupportedError, match=r"has changed its (text|parameters)(.|\n)*To fix"):
        _single(tables)
    event.remove(tables, "before_cursor_execute", changed)
    assert local_warehouse.statements == []
    _read(tables)


def test_what_a_listener_raises_before_a_commit_keeps_it_from_being_sent(
    tables: Engine, local_warehouse: TestWarehouse
) -> None:
    def refuse(*_: Any) -> None:
        raise RuntimeError("not today")

    local_warehouse.warehouse.clear_requests()
    event.listen(tables, "before_cursor_execute", refuse)
    with pytest.raises(RuntimeError, match="not today"):
        _single(tables)
    event.remove(tables, "before_cursor_execute", refuse)
    assert local_warehouse.statements == []


@pytest.mark.parametrize(
    "name", ["after_cursor_execute", "vinci_after_send", "vinci_before_send", "vinci_unit_end"]
)
def test_what_a_listener_raises_afterwards_is_logged(
    name: str, tables: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: Any) -> None:
        raise RuntimeError("a listener's own trouble")

    event.listen(tables, name, fail)
    _single(tables)
    event.remove(tables, name, fail)
    assert "a listener's own trouble" in caplog.text
    with tables.connect() as connection:
        assert connection.scalar(select(func.count()).select_from(ONE)) == 3


def test_an_engine_of_options_is_heard_too(tables: Engine, local_warehouse: TestWarehouse) -> None:
    with hearing(tables, local_warehouse) as heard:
        _single(tables.execution_options(own="option").execution_options(other=1))
    heard.agree()
    assert heard.kinds == ["commit"]


def test_all_engines_are_heard_by_their_class(
    tables: Engine, local_warehouse: TestWarehouse
) -> None:
    heard: list[str] = []

    def told(statement: Any) -> None:
        heard.append(statement.kind.value)

    event.listen(Engine, "vinci_after_send", told)
    try:
        _single(tables)
    finally:
        event.remove(Engine, "vinci_after_send", told)
    assert heard == ["commit"]


def test_no_other_engine_can_be_heard() -> None:
    with pytest.raises(Exception, match="vinci_after_send"):
        event.listen(create_engine("sqlite://"), "vinci_after_send", print)


# --- slow, and counted ----------------------------------------------------------------------------


def test_what_is_slow_is_a_warning(
    connected: Callable[..., Engine], tables: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    engine = connected(slow_statement=0.000001)
    with caplog.at_level("WARNING"):
        _single(engine)
    [statement, unit] = [line for line in caplog.messages if "slow" in line]
    assert statement.startswith("slow statement: commit, INSERT 2 rows of one, ")
    assert "committed: " in unit
    caplog.clear()
    with caplog.at_level("WARNING"), connected(slow_statement=600).begin() as connection:
        connection.execute(insert(ONE).values(id=9, v="a"))
    assert caplog.messages == []


def test_the_counts_for_prometheus(tables: Engine) -> None:
    _single(tables)
    shown = statistics(tables).as_prometheus(engine='of "orders"')
    assert "# TYPE vinci_units_total counter\n" in shown
    assert 'vinci_units_total{engine="of \\"orders\\""} 2\n' in shown
    assert "vinci_waited_seconds_total" in shown
    assert len(shown.splitlines()) == 2 * len(statistics(tables).as_dict())


# --- query tags -----------------------------------------------------------------------------------


def _tags(heard: Heard) -> list[str]:
    return [tags for _, _, tags in heard.recorded]


def test_query_tags_of_engine_session_unit_and_statement(
    connected: Callable[..., Engine], tables: Engine, local_warehouse: TestWarehouse
) -> None:
    engine = connected(query_tags={"app": "orders", "team": "a"})
    with hearing(engine, local_warehouse) as heard:
        with Session(engine, info={"query_tags": {"team": "b"}}) as session:
            session.connection(execution_options={"query_tags": {"job": "nightly"}})
            session.execute(select(ONE.c.id).execution_options(query_tags={"page": "1"})).all()
            session.add(Item(name="a"))
            session.commit()
            session.execute(select(ONE.c.id)).all()
        _read(engine)
    first, commit, second, last = _tags(heard)
    assert all("app:orders" in each for each in (first, commit, second, last))
    assert all("team:b" in each for each in (first, commit, second))
    assert "team:a" in last
    assert "page:1" in first
    assert "page:1" not in commit
    assert "job:nightly" in first
    assert "job:nightly" in commit
    assert "job:nightly" not in second


def test_the_tags_of_a_held_statement_go_with_the_commit(
    tables: Engine, local_warehouse: TestWarehouse
) -> None:
    with hearing(tables, local_warehouse) as heard, tables.begin() as connection:
        connection.execute(insert(ONE).values(id=2).execution_options(query_tags={"one": "1"}))
        connection.execute(insert(ONE).values(id=3).execution_options(query_tags={"two": "2"}))
    [tags] = _tags(heard)
    assert "one:1" in tags
    assert "two:2" in tags
    assert "vinci_commit:" in tags


@pytest.mark.parametrize(
    "given",
    [
        "text",
        {"": "x"},
        {"a:b": "x"},
        {"a,b": "x"},
        {"vinci_commit": "x"},
        {"VINCI_unit": "x"},
        {"a": 1},
        {"a": ""},
        {"a": " x"},
        {"a": "x\ny"},
        {"a": "x" * 129},
        {"a" * 129: "x"},
        {f"t{number}": "x" for number in range(19)},
    ],
)
def test_tags_that_cannot_be_sent_are_refused(
    given: Any, tables: Engine, local_warehouse: TestWarehouse
) -> None:
    local_warehouse.warehouse.clear_requests()
    with tables.connect() as connection, pytest.raises(DBAPIError, match="To fix it: give"):
        connection.execute(select(ONE).execution_options(query_tags=given))
    assert local_warehouse.statements == []
