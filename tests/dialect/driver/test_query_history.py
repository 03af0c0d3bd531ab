"""What became of a commit is asked of the query history, and proved, or reported as not known."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import (
    DDL,
    Column,
    Engine,
    Integer,
    MetaData,
    String,
    Table,
    create_engine,
    delete,
    func,
    insert,
    literal,
    select,
    text,
    update,
)
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column
from sqlalchemy.orm.exc import StaleDataError

from tests.dialect.held import rows_of, run_and_commit, wait_for_history
from tests.full import part
from tests.patience import FOR_LONG_S, PATIENCE_S, SHORT_S, soon
from vinci_code.database import statistics, upsert
from vinci_code.database.dialect import dberrors
from vinci_code.database.dialect.driver import dbapi, query_history, transport
from vinci_code.database.dialect.driver.query_history import TAG, UNIT_TAG, Fate, Sought
from vinci_code.database.dialect.sql.keys import KeyMaker
from vinci_code.warehouse.engine import dispatch
from vinci_code.warehouse.faults import HISTORY, Fault
from vinci_code.warehouse.pytest_plugin import TestWarehouse
from vinci_code.warehouse.wire import server
from vinci_code.warehouse.wire.recording import RequestRecord

pytestmark = part(3)


METADATA = MetaData()
DAYS = Table(
    "days",
    METADATA,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("day", Integer),
    Column("v", String),
)
ACCOUNTS = Table(
    "accounts",
    METADATA,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("n", Integer),
)


class Base(DeclarativeBase):
    pass


class Task(Base):
    __tablename__ = "task"
    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    state: Mapped[str]
    version: Mapped[int] = mapped_column()
    __mapper_args__ = {"version_id_col": version}


class Message(Base):
    __tablename__ = "message"
    id: Mapped[int] = mapped_column(primary_key=True)
    body: Mapped[str]


TASKS: Any = Task.__table__
MESSAGES: Any = Message.__table__

WRITES = r"^\s*(INSERT|MERGE|UPDATE|DELETE|BEGIN ATOMIC|COMMIT)"

# How the query history behaves, and whether it tells.
HISTORIES: dict[str, tuple[list[Fault], bool]] = {
    "answers": ([], True),
    "late": ([Fault.history_late(0.3, statement=WRITES)], True),
    "busy": ([Fault.http(429, retry_after=0.1, operation=HISTORY, times=2)], True),
    "cut off": ([Fault.reset("before", operation=HISTORY, times=2)], True),
    "forbidden": ([Fault.http(403, operation=HISTORY, times=999)], False),
    "unknown": ([Fault.http(404, operation=HISTORY, times=999)], False),
    "broken": ([Fault.http(500, operation=HISTORY, times=999)], False),
    "never shown": ([Fault.history_hidden(statement=WRITES, times=9)], False),
}


@pytest.fixture
def tables(connected: Callable[..., Engine], local_warehouse: TestWarehouse) -> Engine:
    """An engine with the tables."""
    engine = connected()
    METADATA.create_all(engine, checkfirst=False)
    Base.metadata.create_all(engine, checkfirst=False)
    with engine.begin() as connection:
        connection.execute(insert(DAYS), [{"id": n, "day": 1, "v": "old"} for n in (1, 2)])
        connection.execute(insert(ACCOUNTS), {"id": 1, "n": 0})
    local_warehouse.warehouse.clear_requests()
    return engine


class Losing:
    """Loses the answer to a write, while the query history behaves in one of its ways.

    Attributes:
        tells: Whether the history will tell what became of it.
    """

    def __init__(self, name: str, warehouse: TestWarehouse) -> None:
        self._faults, self.tells = HISTORIES[name]
        self._warehouse = warehouse

    def __call__(self, engine: Engine, when: str, statement: str = WRITES) -> None:
        """Lose the next one, before it arrives or after it was executed."""
        wait_for_history(engine, when if self.tells else "before")
        self._warehouse.inject(
            *self._faults, Fault.reset(when, operation="ExecuteStatement", statement=statement)
        )


@pytest.fixture(params=HISTORIES)
def lose(request: pytest.FixtureRequest, local_warehouse: TestWarehouse) -> Losing:
    """Loses an answer, with each way that the history may behave."""
    return Losing(request.param, local_warehouse)


def ending(work: Callable[[], object]) -> str:
    """What an application is told of a commit: committed, ambiguous, or the error's name."""
    try:
        work()
    except DBAPIError as error:
        if isinstance(error.orig, dberrors.AmbiguousWriteError):
            return "ambiguous"
        return type(error.orig).__name__
    except StaleDataError:
        return "StaleDataError"
    return "committed"


def commits(warehouse: TestWarehouse) -> list[RequestRecord]:
    """The statements that had a tag of their own."""
    return [r for r in warehouse.requests if TAG in r.configuration.get("query_tags", "")]


# --- what was reported wrongly --------------------------------------------------------------------


@pytest.mark.parametrize("value", ["old", "new"])
@pytest.mark.parametrize("when", ["before", "after"])
def test_delete_and_reload_of_the_same_keys(
    when: str, value: str, tables: Engine, lose: Losing
) -> None:
    """Was reported as committed though nothing of it was: the rows were there, the old ones."""

    def reload() -> None:
        with tables.begin() as connection:
            connection.execute(delete(DAYS).where(DAYS.c.day == 1))
            connection.execute(insert(DAYS), [{"id": n, "day": 1, "v": value} for n in (1, 2)])
            connection.execute(update(ACCOUNTS).values(n=ACCOUNTS.c.n + 1))

    lose(tables, when)
    outcome = ending(reload)
    done = rows_of(tables, ACCOUNTS) == [(1, 1)]
    assert done == (when == "after")
    assert rows_of(tables, DAYS) == [(n, 1, value if done else "old") for n in (1, 2)]
    assert outcome == ("committed" if done and lose.tells else "ambiguous")


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_versioned_row_that_somebody_else_has_set_to_the_same(
    when: str, tables: Engine, lose: Losing
) -> None:
    """Was reported as committed, and the ``+ 100`` was lost."""
    with Session(tables) as session:
        session.add(Task(id=1, state="open"))
        session.commit()
    with Session(tables) as first, Session(tables) as second:
        mine, theirs = first.get_one(Task, 1), second.get_one(Task, 1)
        theirs.state = "done"
        if when == "before":
            second.commit()
        mine.state = "done"
        first.execute(update(ACCOUNTS).values(n=ACCOUNTS.c.n + 100))
        lose(tables, when)
        outcome = ending(first.commit)
    added = rows_of(tables, ACCOUNTS) == [(1, 100)]
    assert added == (when == "after")
    assert outcome == ("committed" if added and lose.tells else "ambiguous")


@part(2)
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("key", [7, None], ids=["given", "made"])
def test_a_message_that_is_consumed_before_anybody_asks(
    key: int | None,
    when: str,
    tables: Engine,
    lose: Losing,
    monkeypatch: pytest.MonkeyPatch,
    connected: Callable[..., Engine],
) -> None:
    """Was sent twice: received twice, and charged twice."""
    received: list[int] = []
    others = connected()

    def consume() -> None:
        with others.begin() as connection:
            received.extend(connection.scalars(select(MESSAGES.c.id)))
            connection.execute(delete(MESSAGES))

    ask = query_history.ask

    def asked(*arguments: Any, **options: Any) -> Any:
        consume()
        return ask(*arguments, **options)

    monkeypatch.setattr(query_history, "ask", asked)

    def send() -> None:
        with tables.begin() as connection:
            connection.execute(insert(MESSAGES).values(body="pay", **({"id": key} if key else {})))
            connection.execute(update(ACCOUNTS).values(n=ACCOUNTS.c.n - 10))

    lose(tables, when)
    outcome = ending(send)
    consume()
    assert len(received) == (when == "after")
    assert rows_of(tables, ACCOUNTS) == [(1, -10 if when == "after" else 0)]
    assert outcome == ("committed" if when == "after" and lose.tells else "ambiguous")


# --- what proves it -------------------------------------------------------------------------------


def _add_message(engine: Engine) -> None:
    with Session(engine) as session:
        session.add(Message(body="new"))
        session.commit()


def _insert_message(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(insert(MESSAGES), [{"body": "new"}])


def _insert_message_values(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(insert(MESSAGES).values([{"body": "new"}]))


def _insert_in_a_transaction(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(insert(MESSAGES), [{"body": "new"}])
        assert len(connection.execute(text("SELECT * FROM message")).all()) == 1


def _insert_at_once(engine: Engine) -> None:
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(insert(MESSAGES), [{"body": "new"}])


@pytest.mark.parametrize("lose", ["answers", "forbidden"], indirect=True)
@pytest.mark.parametrize("when", ["before", "after", "mid_reply"])
@pytest.mark.parametrize(
    ("work", "statement"),
    [
        (_add_message, WRITES),
        (_insert_message, WRITES),
        (_insert_message_values, WRITES),
        (_insert_in_a_transaction, "^COMMIT"),
        (_insert_at_once, WRITES),
    ],
)
def test_a_key_that_was_made_for_the_row_proves_it(
    work: Callable[[Engine], None],
    statement: str,
    when: str,
    tables: Engine,
    lose: Losing,
) -> None:
    lose(tables, when, statement)
    outcome = ending(lambda: work(tables))
    there = len(rows_of(tables, MESSAGES))
    assert there == (when != "before")
    # Whether the history tells or not.
    assert outcome == ("committed" if there else "ambiguous"), lose.tells


@pytest.mark.parametrize("lose", ["answers", "forbidden"], indirect=True)
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_key_that_was_given_proves_nothing(when: str, tables: Engine, lose: Losing) -> None:
    lose(tables, when)
    outcome = ending(lambda: _commit(tables, insert(MESSAGES).values(id=7, body="new")))
    assert outcome == ("committed" if when == "after" and lose.tells else "ambiguous")


def _commit(engine: Engine, *statements: Any) -> None:
    with engine.connect() as connection:
        run_and_commit(connection, *statements)


def test_a_key_that_is_sent_for_the_second_time_proves_nothing(
    tables: Engine, local_warehouse: TestWarehouse
) -> None:
    with Session(tables, expire_on_commit=False) as session:
        message = Message(body="new")
        session.add(message)
        session.commit()
        again = Message(id=message.id, body="new")
    forbidden = Fault.http(403, operation=HISTORY, times=99)
    local_warehouse.inject(forbidden, Fault.reset("before", statement=WRITES))
    with Session(tables) as session:
        session.add(again)
        # It is there, of another unit, and the second one has to fail with it.
        assert ending(session.commit) == "ambiguous"


def test_a_key_that_was_merged_into_another_session_proves_nothing(
    tables: Engine, local_warehouse: TestWarehouse
) -> None:
    with Session(tables) as first, Session(tables) as second:
        message = Message(body="new")
        first.add(message)
        first.execute(update(ACCOUNTS).values(n=ACCOUNTS.c.n + 100))
        first.flush()
        second.merge(message)
        second.commit()
        local_warehouse.inject(
            Fault.http(403, operation=HISTORY, times=99), Fault.reset("before", statement=WRITES)
        )
        assert ending(first.commit) == "ambiguous"
    assert rows_of(tables, ACCOUNTS) == [(1, 0)]


class Line(Base):
    __tablename__ = "lines"
    id: Mapped[int] = mapped_column(primary_key=True)
    message_id: Mapped[int]


LOOSE = Table("MESSAGE", MetaData(), Column("ID", Integer), Column("body", String))


def _execute(engine: Engine, statement: Any, parameters: Any = None) -> None:
    with engine.begin() as connection:
        connection.execute(statement, parameters)


def _execute_ddl(engine: Engine, statement: str) -> None:
    _execute(engine, DDL(statement))  # type: ignore[no-untyped-call]


def _execute_at_once(engine: Engine, statement: Any, parameters: Any = None) -> None:
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(statement, parameters)


def _execute_raw(engine: Engine, statement: str, parameters: Sequence[Any] = ()) -> None:
    raw = engine.raw_connection()
    raw.cursor().execute(statement, parameters)
    raw.commit()
    raw.close()


def _set_a_key(engine: Engine, key: int) -> None:
    _execute(engine, insert(MESSAGES).values(id=1, body="other"))
    _execute(engine, update(MESSAGES).where(MESSAGES.c.id == 1).values(id=key))


def _set_a_key_where(engine: Engine, key: int) -> None:
    _execute(engine, insert(MESSAGES).values(id=1, body="other"))
    _execute(engine, update(MESSAGES).where(MESSAGES.c.body == "other").values(id=key))


def _fork_and_write(engine: Engine, key: int) -> None:
    child = os.fork()
    if child == 0:
        try:
            _execute(engine, insert(MESSAGES).values(id=key, body="other"))
        finally:
            os._exit(0)
    os.waitpid(child, 0)


A_BODY = select(func.coalesce(func.max(MESSAGES.c.body), "a")).scalar_subquery()
OTHERS: dict[str, Callable[[Engine, int], None]] = {
    "rows": lambda e, k: _execute(e, insert(MESSAGES).values(id=k, body="other")),
    "another Table": lambda e, k: _execute(e, insert(LOOSE).values(ID=k, body="other")),
    "upsert": lambda e, k: _execute(e, upsert(MESSAGES, [{"id": k, "body": "o"}], keys=["id"])),
    "text": lambda e, k: _execute(
        e, text("INSERT INTO message (id, body) VALUES (:k, 'other')"), {"k": k}
    ),
    "text that has it": lambda e, k: _execute(e, text(f"INSERT INTO message VALUES ({k}, 'o')")),
    "text at once": lambda e, k: _execute_at_once(
        e, text("INSERT INTO message (id, body) VALUES (:k, 'other')"), {"k": k}
    ),
    "an expression": lambda e, k: _execute(e, insert(MESSAGES).values(id=k, body=A_BODY)),
    "an expression at once": lambda e, k: _execute_at_once(
        e, insert(MESSAGES).values(id=k, body=A_BODY)
    ),
    "a computed key": lambda e, k: _execute(
        e, insert(MESSAGES).values(id=literal(k - 1) + 1, body="other")
    ),
    "a SELECT": lambda e, k: _execute(
        e, insert(MESSAGES).from_select(["id", "body"], select(literal(k), literal("other")))
    ),
    "an UPDATE by key": _set_a_key,
    "an UPDATE": _set_a_key_where,
    "a raw cursor": lambda e, k: _execute_raw(e, "INSERT INTO message VALUES (?, 'other')", (k,)),
    "DDL": lambda e, k: _execute_ddl(
        e, f"CREATE OR REPLACE TABLE message AS SELECT {k} AS id, 'other' AS body"
    ),
    "a child": _fork_and_write,
}


@pytest.mark.parametrize("other", OTHERS.values(), ids=list(OTHERS))
def test_a_key_that_another_write_may_have_held_proves_nothing(
    other: Callable[[Engine, int], None],
    tables: Engine,
    connected: Callable[..., Engine],
    local_warehouse: TestWarehouse,
) -> None:
    others = connected()
    with Session(tables) as session:
        message = Message(body="new")
        session.add(message)
        session.flush()
        other(others, message.id)
        session.execute(update(ACCOUNTS).values(n=ACCOUNTS.c.n + 100))
        local_warehouse.inject(
            Fault.http(403, operation=HISTORY, times=99), Fault.reset("before", statement=WRITES)
        )
        assert ending(session.commit) == "ambiguous"
    assert rows_of(tables, ACCOUNTS) == [(1, 0)]


def _refer_to_it(engine: Engine, key: int) -> None:
    with Session(engine) as session:
        session.add(Line(message_id=key))
        session.commit()
    _execute(engine, insert(Line).values(id=key, message_id=key))


def _look_for_it(engine: Engine, key: int) -> None:
    _execute(engine, text("SELECT :k"), {"k": key})
    _execute(engine, update(MESSAGES).where(MESSAGES.c.id == key).values(body="other"))
    _execute(engine, update(ACCOUNTS).where(ACCOUNTS.c.n == key).values(n=ACCOUNTS.c.n + key))
    _execute(engine, delete(MESSAGES).where(MESSAGES.c.id == key))
    _execute(engine, delete(MESSAGES).where(MESSAGES.c.id.in_([key]), MESSAGES.c.body == "x"))


@pytest.mark.parametrize("other", [_refer_to_it, _look_for_it])
def test_a_key_that_others_refer_to_still_proves_it(
    other: Callable[[Engine, int], None],
    tables: Engine,
    connected: Callable[..., Engine],
    local_warehouse: TestWarehouse,
) -> None:
    others = connected()
    with Session(tables) as session:
        message = Message(body="new")
        session.add(message)
        session.flush()
        session.add(Line(message_id=message.id))
        session.flush()
        other(others, message.id)
        wait_for_history(tables, "before")
        local_warehouse.inject(
            Fault.http(403, operation=HISTORY, times=99), Fault.reset("after", statement="BEGIN")
        )
        assert ending(session.commit) == "committed"
    assert len(rows_of(tables, MESSAGES)) == 1


def test_keys_that_were_made() -> None:
    make = KeyMaker()
    here, there = ("t", "id"), ("u", "id")
    first, second, third = make.for_row(), make.for_row(), make()
    assert make.written_once([first, second, third], here) == []
    make.claim([first, third, None, "text"], here)
    assert make.written_once([first, second, third], here) == [first]
    make.claim([first, second], here)
    assert make.written_once([first, second, third], here) == [second]
    make.claim([second], there)
    make.doubt({there})
    assert make.written_once([second], here) == [second]
    assert make.written_once([second], there) == []
    make.doubt({here})
    assert make.written_once([second], here) == []
    many = [make.for_row() for _ in range(10_000)]
    make.claim(many, here)
    remembered = make.written_once(many, here)
    assert remembered == many[-len(remembered) :]
    assert 1_000 < len(remembered) < 10_000


@pytest.mark.parametrize("lose", ["answers", "late", "forbidden"], indirect=True)
@pytest.mark.parametrize("atomicity", ["unit", "per_table"])
def test_its_own_error(
    atomicity: str,
    connected: Callable[..., Engine],
    lose: Losing,
    tables: Engine,
) -> None:
    engine = connected(atomicity=atomicity)
    lose(engine, "after")
    outcome = ending(lambda: _commit(engine, insert(DAYS).values(id=1, day=1, v="twice")))
    assert outcome == ("IntegrityError" if lose.tells else "ambiguous")
    assert [row[2] for row in rows_of(tables, DAYS)] == ["old", "old"]
    assert statistics(engine).retries == 0


def test_the_error_of_a_lost_commit(
    tables: Engine, lose: Losing, connected: Callable[..., Engine]
) -> None:
    with tables.connect() as connection, connected().connect() as other:
        run = update(DAYS).where(DAYS.c.id == 1)
        connection.execute(run.values(v="mine"))
        assert connection.scalar(text("SELECT v FROM days WHERE id = 1")) == "mine"
        run_and_commit(other, run.values(v="theirs"))
        lose(tables, "after", "^COMMIT")
        assert ending(connection.commit) == ("ConflictError" if lose.tells else "ambiguous")
    assert rows_of(tables, DAYS)[0] == (1, 1, "theirs")


def test_what_was_cancelled_is_sent_again(
    tables: Engine, local_warehouse: TestWarehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A statement that still ran when its session was ended, and cannot come any more."""
    run_alone = dispatch._run_alone
    held = threading.Semaphore(1)

    def run_late(session: Any, word: str, statement: str, parameters: Any) -> Any:
        if word == "INSERT" and held.acquire(blocking=False):
            deadline = time.monotonic() + 60
            while not session._running.interrupted and time.monotonic() < deadline:
                time.sleep(0.01)
        return run_alone(session, word, statement, parameters)

    monkeypatch.setattr(dispatch, "_run_alone", run_late)
    local_warehouse.inject(Fault.reset("before", operation="GetOperationStatus", times=4))
    _commit(tables, insert(DAYS).values(id=3, day=1, v="new"))
    first, second = commits(local_warehouse)
    assert (first.executed, second.executed) == (False, True)
    assert first.configuration != second.configuration
    assert rows_of(tables, DAYS)[-1] == (3, 1, "new")
    assert statistics(tables).retries == 1


def test_where_a_refused_copy_was_before_one_failure_says_nothing(
    tables: Engine, local_warehouse: TestWarehouse
) -> None:
    def inject() -> None:
        local_warehouse.inject(
            Fault.http(503, retry_after=0.01, statement=WRITES),
            Fault.reset("after", statement=WRITES),
        )

    inject()
    assert ending(lambda: _commit(tables, insert(DAYS).values(id=3, day=1, v="a"))) == "committed"
    inject()
    wait_for_history(tables, "before")
    # Whether the failure is that of the first copy, nobody can say.
    assert ending(lambda: _commit(tables, insert(DAYS).values(id=3, day=1, v="a"))) == "ambiguous"


# --- tags -----------------------------------------------------------------------------------------


def test_every_commit_has_an_identity_of_its_own(
    tables: Engine, local_warehouse: TestWarehouse
) -> None:
    local_warehouse.warehouse.clear_requests()
    add = insert(MESSAGES).values(body="a")
    _commit(tables, add)
    _commit(tables, add, update(ACCOUNTS).values(n=1))
    with tables.connect() as connection:
        connection.execute(add)
        connection.execute(text("SELECT * FROM message")).all()
        connection.commit()
    with tables.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(add)
        connection.execute(text("UPDATE accounts SET n = 2"))
        connection.execute(select(MESSAGES)).all()
    sent = [r for r in local_warehouse.requests if r.operation == "ExecuteStatement"]
    words = [str(r.statement).split()[0] for r in sent]
    assert words == [
        *("INSERT", "BEGIN", "BEGIN", "INSERT", "SELECT", "COMMIT", "INSERT", "UPDATE", "SELECT"),
    ]
    tags = [_tags(r.configuration["query_tags"]) for r in sent]
    assert [TAG in tag for tag in tags] == [
        *(True, True, False, False, False, True, True, True, False),
    ]
    identities = [tag[TAG] for tag in tags if TAG in tag]
    assert len(set(identities)) == len(identities)
    # All statements name their units; in AUTOCOMMIT that is one use of a connection.
    units = [tag[UNIT_TAG] for tag in tags]
    assert [units.index(unit) for unit in units] == [0, 1, 2, 2, 2, 2, 6, 6, 6]


def _tags(text: str) -> dict[str, str]:
    return dict(part.split(":") for part in text.split(","))


def test_the_message_names_the_tag(tables: Engine, local_warehouse: TestWarehouse) -> None:
    local_warehouse.inject(
        Fault.http(403, operation=HISTORY, message="You may not see it."),
        Fault.reset("before", statement=WRITES),
    )
    with pytest.raises(OperationalError) as caught:
        _commit(tables, insert(DAYS).values(id=3))
    message = str(caught.value.orig)
    (sent,) = commits(local_warehouse)
    identity = _tags(sent.configuration["query_tags"])[TAG]
    assert f"{TAG} = {identity}" in message
    assert "403: You may not see it." in message
    assert message.count("To fix it:") == 1


def test_nothing_waits_where_the_history_is_refused(
    connected: Callable[..., Engine], tables: Engine, local_warehouse: TestWarehouse
) -> None:
    engine = connected(history_timeout=FOR_LONG_S)
    for refused in (403, 404, 400):
        local_warehouse.inject(
            Fault.http(refused, operation=HISTORY), Fault.reset("before", statement=WRITES)
        )
        with soon():
            assert ending(lambda: _commit(engine, insert(DAYS).values(id=3))) == "ambiguous"


def test_it_is_not_asked_where_nobody_wants_it(
    connected: Callable[..., Engine], tables: Engine, local_warehouse: TestWarehouse
) -> None:
    engine = connected(history_timeout=0)
    local_warehouse.inject(Fault.reset("after", statement=WRITES))
    assert ending(lambda: _commit(engine, insert(DAYS).values(id=3))) == "ambiguous"
    assert HISTORY not in [r.operation for r in local_warehouse.requests]


@pytest.mark.parametrize("wrong", [-1, "soon", float("nan"), True])
def test_a_timeout_that_is_none(wrong: Any, connected: Callable[..., Engine]) -> None:
    with pytest.raises(dberrors.InterfaceError, match="history_timeout"):
        connected(history_timeout=wrong)


# --- how the history is asked ---------------------------------------------------------------------


@pytest.fixture
def marked(connection: Any) -> tuple[Any, Sought]:
    """A connection, and a statement that it has run with a tag."""
    cursor = connection.cursor()
    sought = Sought("an identity", "SELECT", time.time())
    cursor.execute("SELECT 'marked'", query_tags={TAG: sought.identity})
    return connection, sought


def asked(marked: tuple[Any, Sought], seconds: float = 1.0, **other: Any) -> Any:
    connection, sought = marked
    path = other.pop("http_path", connection.http_path)
    sought = Sought(**{**vars(sought), **other})
    return query_history.ask(connection.ask_workspace, path, sought, seconds).fate


def test_it_is_looked_for_on_every_page(
    marked: tuple[Any, Sought], local_warehouse: TestWarehouse
) -> None:
    connection, _ = marked
    for number in range(10):
        connection.cursor().execute(f"SELECT {number}", query_tags={TAG: "another"})
    local_warehouse.warehouse.clear_requests()
    asking = query_history._Asking(
        connection.ask_workspace,
        local_warehouse.warehouse.warehouse_id,
        marked[1],
        PATIENCE_S,
        page=3,
    )
    assert asking.until_certain().fate is Fate.FINISHED
    assert [r.operation for r in local_warehouse.requests].count(HISTORY) >= 4


def test_it_is_of_the_statement_and_not_of_another_with_its_tag(
    marked: tuple[Any, Sought],
) -> None:
    assert asked(marked, PATIENCE_S) is Fate.FINISHED
    assert asked(marked, word="BEGIN") is Fate.UNKNOWN
    assert asked(marked, identity="nobody") is Fate.UNKNOWN


@pytest.mark.parametrize(
    ("path", "fate"),
    [
        ("/sql/1.0/warehouses/{}", Fate.FINISHED),
        ("sql/1.0/endpoints/{}?o=1", Fate.FINISHED),
        ("/sql/1.0/warehouses/another", Fate.UNKNOWN),
        ("/sql/protocolv1/o/0/0123-456789-abcdefgh", Fate.UNKNOWN),
    ],
)
def test_the_warehouse_is_that_of_the_path(
    path: str, fate: Fate, marked: tuple[Any, Sought], local_warehouse: TestWarehouse
) -> None:
    local_warehouse.warehouse.clear_requests()
    identifier = local_warehouse.warehouse.warehouse_id
    seconds = PATIENCE_S if fate is Fate.FINISHED else 0.5
    assert asked(marked, seconds, http_path=path.format(identifier)) is fate
    if "protocolv1" in path:
        assert not local_warehouse.requests


@pytest.mark.parametrize("hours", [-3, 0, 3])
def test_clocks_may_differ(
    hours: int, marked: tuple[Any, Sought], monkeypatch: pytest.MonkeyPatch
) -> None:
    shifted = SimpleNamespace(
        time=lambda: time.time() + hours * 3600, monotonic=time.monotonic, sleep=time.sleep
    )
    monkeypatch.setattr(query_history, "time", shifted)
    assert asked(marked, PATIENCE_S, sent_at=shifted.time()) is Fate.FINISHED


def test_a_page_that_is_too_large(
    marked: tuple[Any, Sought], monkeypatch: pytest.MonkeyPatch
) -> None:
    connection, _ = marked
    for _ in range(30):
        connection.cursor().execute("SELECT '" + "x" * 2000 + "'")
    monkeypatch.setattr(transport, "MAX_ANSWER", 20_000)
    assert asked(marked, PATIENCE_S) is Fate.FINISHED


@pytest.mark.parametrize(
    ("fault", "asked_for"),
    [(Fault.token_revoked(operation=HISTORY), 2), (Fault.http(403, operation=HISTORY), 1)],
    ids=["revoked", "no right"],
)
def test_renewed_credentials(
    fault: Fault,
    asked_for: int,
    local_warehouse: TestWarehouse,
    engine_url: URL,
    engine_args: dict[str, Any],
    tables: Engine,
) -> None:
    """A token that is not known any more when the history is asked is renewed, once."""
    credentials = local_warehouse.warehouse.credentials
    tokens: list[str] = []

    class Provider:
        def __call__(self) -> Callable[[], dict[str, str]]:
            tokens.append(credentials.issue())
            return lambda: {"Authorization": f"Bearer {tokens[-1]}"}

    arguments = {name: value for name, value in engine_args.items() if name != "access_token"}
    engine = create_engine(
        engine_url, connect_args={**arguments, "credentials_provider": Provider()}
    )
    local_warehouse.inject(Fault.reset("after", statement=WRITES), fault)
    outcome = ending(lambda: _commit(engine, insert(DAYS).values(id=3)))
    engine.dispose()
    assert outcome == ("committed" if asked_for == 2 else "ambiguous")
    assert len(tokens) == asked_for


def test_no_secret_is_logged(
    tables: Engine, local_warehouse: TestWarehouse, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    wait_for_history(tables, "after")
    local_warehouse.inject(
        Fault.reset("mid_reply", operation=HISTORY),
        Fault.http(500, operation=HISTORY),
        Fault.reset("after", statement=WRITES),
    )
    _commit(tables, insert(DAYS).values(id=3))
    assert local_warehouse.warehouse.access_token not in caplog.text


def test_a_host_that_does_not_answer(
    local_warehouse: TestWarehouse, marked: tuple[Any, Sought]
) -> None:
    connection, _ = marked
    local_warehouse.inject(Fault.reset("before", operation=HISTORY))
    with pytest.raises(dberrors.ConnectionLostError):
        connection.ask_workspace("/api/2.0/sql/history/queries", 5.0)
    local_warehouse.inject(Fault.delay(FOR_LONG_S, operation=HISTORY))
    with soon(), pytest.raises(dberrors.ConnectionLostError):
        connection.ask_workspace("/api/2.0/sql/history/queries", 0.3)


def test_an_answer_that_drips_is_not_waited_for_to_its_end(
    local_warehouse: TestWarehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    enough = threading.Event()

    class Dripping:
        """The connection of the server, which says the answers of the history bit by bit."""

        def __init__(self, handler: Any) -> None:
            self._handler, self._connection = handler, handler.connection

        def sendall(self, data: Any) -> None:
            said = bytes(data)
            if "/sql/history" not in self._handler.path:
                self._connection.sendall(said)
                return
            for start in range(len(said)):
                if enough.wait(1.0):
                    self._connection.sendall(said[start:])
                    return
                self._connection.sendall(said[start : start + 1])

        def __getattr__(self, name: str) -> Any:
            return getattr(self._connection, name)

    set_up = server._HttpConnection.setup

    def setup(handler: Any) -> None:
        set_up(handler)
        handler.connection = Dripping(handler)

    monkeypatch.setattr(server._HttpConnection, "setup", setup)
    connection = dbapi.connect(**local_warehouse.connect_args)
    try:
        # The answer would take longer than the patience of a test.
        with soon(), pytest.raises(dberrors.ConnectionLostError):
            connection.ask_workspace("/api/2.0/sql/history/queries", SHORT_S)
    finally:
        enough.set()
    connection.close()
    for thread in threading.enumerate():
        if thread.name == "vinci: a request":
            thread.join(PATIENCE_S)
