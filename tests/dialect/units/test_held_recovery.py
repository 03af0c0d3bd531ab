"""A commit whose answer was lost: never doubled, never reported wrongly."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from sqlalchemy import (
    BigInteger,
    Column,
    Engine,
    Integer,
    MetaData,
    String,
    Table,
    bindparam,
    insert,
    select,
    text,
    update,
)
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column
from sqlalchemy.orm.exc import StaleDataError

from tests.dialect.held import rows_of, run_and_commit, wait_for_history
from tests.full import part
from vinci_code.database import statistics, upsert
from vinci_code.database.dialect import dberrors
from vinci_code.database.dialect.base import VinciDialect
from vinci_code.database.dialect.driver.query_history import Fate, Verdict
from vinci_code.database.dialect.sql.keys import next_key
from vinci_code.database.dialect.units.held import HeldRows, HeldText
from vinci_code.database.dialect.units.recovery import (
    Commit,
    CommitFinding,
    CommitOutcome,
    find_out,
    note_keys,
)
from vinci_code.database.dialect.writes.sets import Checks, OnConflict
from vinci_code.warehouse.faults import Fault
from vinci_code.warehouse.pytest_plugin import TestWarehouse

pytestmark = part(2)


METADATA = MetaData()
ONE = Table("one", METADATA, Column("id", Integer, primary_key=True), Column("v", String))
TWO = Table("two", METADATA, Column("id", Integer, primary_key=True), Column("n", Integer))
BARE = Table("bare", METADATA, Column("line", String))


class Base(DeclarativeBase):
    pass


class Account(Base):
    __tablename__ = "account"
    id: Mapped[int] = mapped_column(primary_key=True)
    balance: Mapped[int]
    version: Mapped[int] = mapped_column()
    __mapper_args__ = {"version_id_col": version}


@pytest.fixture
def tables(engine: Engine) -> Engine:
    """The engine, with the tables and a row in each."""
    METADATA.create_all(engine, checkfirst=False)
    Base.metadata.create_all(engine, checkfirst=False)
    with engine.begin() as connection:
        connection.execute(insert(ONE), {"id": 1, "v": "there"})
        connection.execute(insert(TWO), {"id": 1, "n": 0})
    return engine


_ADD = insert(ONE).values(id=2, v="new")
_COUNT = update(TWO).where(TWO.c.id == 1).values(n=TWO.c.n + 1)
_SET = update(TWO).where(TWO.c.id == 1).values(n=7)


@pytest.mark.parametrize("when", ["before", "after", "mid_reply"])
@pytest.mark.parametrize(
    "statements",
    [(_ADD,), (_ADD, _SET), (_SET,), (_ADD, _COUNT), (_COUNT,)],
    ids=["insert", "insert and update", "update", "insert and sum", "sum"],
)
def test_a_lost_reply(
    when: str, statements: Sequence[Any], tables: Engine, local_warehouse: TestWarehouse
) -> None:
    before = rows_of(tables, ONE), rows_of(tables, TWO)
    wait_for_history(tables, when)
    local_warehouse.inject(
        Fault.reset(when, operation="ExecuteStatement", statement="INSERT|MERGE")
    )
    outcome = "committed"
    with tables.connect() as connection:
        try:
            run_and_commit(connection, *statements)
        except OperationalError as error:
            assert isinstance(error.orig, dberrors.AmbiguousWriteError)  # noqa: PT017
            outcome = "ambiguous"
    found = rows_of(tables, ONE), rows_of(tables, TWO)
    # Of what has not arrived the query history has no entry, and what rows say is no proof of it.
    assert (found == before) == (when == "before")
    assert outcome == ("ambiguous" if when == "before" else "committed")
    assert ((2, "new") in found[0]) == (_ADD in statements and when != "before")


def test_the_same_row_of_somebody_else_is_not_taken_for_ones_own(
    tables: Engine, local_warehouse: TestWarehouse
) -> None:
    local_warehouse.inject(Fault.reset("after", operation="ExecuteStatement", statement="INSERT"))
    # The query history says that it has failed, and why.
    with pytest.raises(IntegrityError, match="PRIMARY KEY"), tables.connect() as connection:
        run_and_commit(connection, insert(ONE).values(id=1, v="there"), _SET)
    assert rows_of(tables, TWO) == [(1, 0)]


@pytest.mark.parametrize("when", ["before", "after"])
def test_each_statement_of_a_write_is_found_out_by_its_own_rows(
    when: str,
    tables: Engine,
    local_warehouse: TestWarehouse,
    connected: Callable[..., Engine],
) -> None:
    engine = connected(transactions="off", atomicity="per_table")
    loose = Table("one", MetaData(), Column("id", Integer, primary_key=True), Column("v"))
    # A text and a number have no form in common: two statements, of which the second is lost.
    local_warehouse.inject(
        Fault.reset(when, operation="ExecuteStatement", statement="INSERT", skip=1)
    )
    wait_for_history(engine, when)
    rows: list[dict[str, Any]] = [{"id": 5, "v": "text"}, {"id": 6, "v": 6}]
    with engine.connect() as connection:
        if when == "before":
            with pytest.raises(DBAPIError) as caught:
                run_and_commit(
                    connection, insert(loose).values(rows[0]), insert(loose).values(rows[1])
                )
            assert isinstance(caught.value.orig, dberrors.PartialCommitError)
            assert isinstance(caught.value.orig.__cause__, dberrors.AmbiguousWriteError)
        else:
            run_and_commit(connection, insert(loose).values(rows[0]), insert(loose).values(rows[1]))
    second = [] if when == "before" else [(6, "6")]
    assert rows_of(tables, ONE) == [(1, "there"), (5, "text"), *second]


def test_a_key_twice_is_refused_before_anything_is_lost(
    tables: Engine, local_warehouse: TestWarehouse
) -> None:
    local_warehouse.inject(Fault.reset("before", operation="ExecuteStatement", statement="INSERT"))
    with pytest.raises(IntegrityError), tables.connect() as connection:
        run_and_commit(connection, insert(ONE).values([{"id": 5}, {"id": 6}]), _set_key(6))
    assert rows_of(tables, ONE) == [(1, "there")]


def _set_key(key: int) -> Any:
    return insert(ONE).values(id=key)


def test_what_nothing_decides_is_ambiguous(tables: Engine, local_warehouse: TestWarehouse) -> None:
    wait_for_history(tables, "before")
    for statement in (
        insert(BARE).values(line="x"),
        text("INSERT INTO bare VALUES ('x')"),
        upsert(ONE, [{"id": 1, "v": "there"}, {"id": 3, "v": "x"}], keys=["id"], update=[]),
    ):
        local_warehouse.inject(
            Fault.reset("before", operation="ExecuteStatement", statement="INSERT")
        )
        with pytest.raises(OperationalError) as caught, tables.connect() as connection:
            run_and_commit(connection, statement)
        assert isinstance(caught.value.orig, dberrors.AmbiguousWriteError)
    assert rows_of(tables, BARE) == []


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_changed_row_with_a_version_counter(
    when: str, tables: Engine, local_warehouse: TestWarehouse
) -> None:
    with Session(tables) as session:
        account = Account(id=1, balance=1)
        session.add(account)
        session.commit()
        assert account.balance == 1
        local_warehouse.inject(
            Fault.reset(when, operation="ExecuteStatement", statement="MERGE INTO account")
        )
        account.balance = 2
        wait_for_history(tables, when)
        if when == "before":
            # Others may have deleted the row and inserted it again: its version proves nothing.
            with pytest.raises(OperationalError) as caught:
                session.commit()
            assert isinstance(caught.value.orig, dberrors.AmbiguousWriteError)
        else:
            session.commit()
            assert (account.balance, account.version) == (2, 2)
    stored = (1, 1, 1) if when == "before" else (1, 2, 2)
    assert rows_of(tables, Account.metadata.tables["account"]) == [stored]
    assert statistics(tables).retries == 0


def test_a_version_counter_of_somebody_else(tables: Engine, local_warehouse: TestWarehouse) -> None:
    with Session(tables) as session:
        account = Account(id=1, balance=1)
        session.add(account)
        session.commit()
        assert account.balance == 1
        with Session(tables) as other:
            other.get_one(Account, 1).balance = 50
            other.commit()
        local_warehouse.inject(
            Fault.reset("before", operation="ExecuteStatement", statement="MERGE INTO account")
        )
        account.balance = 2
        wait_for_history(tables, "before")
        with pytest.raises((StaleDataError, OperationalError)):
            session.commit()
    assert rows_of(tables, Account.metadata.tables["account"]) == [(1, 50, 2)]


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_lost_commit_of_a_transaction(
    when: str, tables: Engine, local_warehouse: TestWarehouse
) -> None:
    local_warehouse.inject(Fault.reset(when, operation="ExecuteStatement", statement="^COMMIT"))
    wait_for_history(tables, when)
    committed = True
    with tables.connect() as connection:
        connection.execute(_ADD)
        assert len(connection.execute(text("SELECT * FROM one")).all()) == 2
        try:
            connection.commit()
        except OperationalError as error:
            assert isinstance(error.orig, dberrors.AmbiguousWriteError)  # noqa: PT017
            committed = False
    assert ((2, "new") in rows_of(tables, ONE)) == committed == (when == "after")


def test_a_reply_lost_within_a_transaction(tables: Engine, local_warehouse: TestWarehouse) -> None:
    local_warehouse.inject(Fault.reset("after", operation="ExecuteStatement", statement="INSERT"))
    with tables.connect() as connection:
        connection.execute(_ADD)
        with pytest.raises(OperationalError, match="nothing was written"):
            connection.execute(text("SELECT * FROM one"))
        with pytest.raises(OperationalError, match="has failed before"):
            connection.execute(select(TWO))
        connection.rollback()
        assert connection.execute(select(ONE)).all() == [(1, "there")]


# --- what rows prove -----------------------------------------------------------------------------

MADE = Table(
    "made",
    METADATA,
    Column("id", BigInteger, primary_key=True),
    Column("n", BigInteger),
    Column("other", BigInteger, unique=True),
)


def _held(statement: Any, *names: str, rows: list[Any], **more: Any) -> HeldRows:
    shape: Any = statement.compile(dialect=VinciDialect(), column_keys=list(names) or None).shape
    return HeldRows(shape, rows, Checks(), **more)


def _inserted(*keys: int, **more: Any) -> HeldRows:
    rows = [(key, 1) for key in keys]
    return _held(insert(MADE), "id", "n", rows=rows, **more)


def _made_keys(count: int) -> list[int]:
    return [next_key.for_row() for _ in range(count)]


def _asked(commit: Commit, fate: Fate = Fate.UNKNOWN, found_at: int | None = None) -> Any:
    """What was found out, and by which queries; one of them finds a row."""
    asked: list[str] = []

    def count(query: str) -> int:
        asked.append(query)
        return int(len(asked) == found_at)

    found = find_out(commit, lambda: Verdict(fate, "as it says", failed=True), count)
    return found, asked


@pytest.mark.parametrize(
    ("fate", "found"),
    [
        (Fate.FINISHED, CommitFinding(CommitOutcome.COMMITTED)),
        (Fate.NOT_EXECUTED, CommitFinding(CommitOutcome.ABSENT, "as it says", failed=True)),
    ],
)
def test_rows_are_not_counted_where_the_history_knows(fate: Fate, found: CommitFinding) -> None:
    write = _inserted(1)
    assert _asked(Commit("INSERT", [write], made={1}), fate) == (found, [])


def test_rows_whose_keys_were_made_here_prove_it() -> None:
    first, second = _made_keys(2)
    write = _inserted(first, 7, second)
    note_keys(write)
    query = f"SELECT count(*) FROM made WHERE made.id IN ({first}, {second})"
    commit = Commit("INSERT", [_inserted(8), write])
    assert _asked(commit, found_at=1) == (CommitFinding(CommitOutcome.COMMITTED), [query])
    assert _asked(commit) == (CommitFinding(CommitOutcome.UNKNOWN, "as it says"), [query])


def test_keys_that_somebody_has_noted_prove_it() -> None:
    queries = [f"SELECT count(*) FROM made WHERE made.id IN ({keys})" for keys in ("2, 3", "5")]
    commit = Commit("INSERT", [_inserted(1, 2, 3), _inserted(4), _inserted(5)], made={5, 3, 2})
    assert _asked(commit, found_at=2) == (CommitFinding(CommitOutcome.COMMITTED), queries)


def test_few_rows_of_few_writes_are_asked_for() -> None:
    writes = [_inserted(*range(begin, begin + 150)) for begin in range(0, 1000, 200)]
    _, asked = _asked(Commit("INSERT", writes, made=range(1000)))
    listed = [", ".join(map(str, range(begin + 50, begin + 150))) for begin in (0, 200, 400)]
    assert asked == [f"SELECT count(*) FROM made WHERE made.id IN ({keys})" for keys in listed]


def test_other_writes_prove_nothing() -> None:
    change = update(MADE).where(MADE.c.id == bindparam("k")).values(n=bindparam("v"))
    writes: list[HeldRows | HeldText] = [
        HeldText("INSERT INTO made VALUES (1, 1)", (), None),
        _inserted(1, upsert=OnConflict(("id",), ())),
        _held(change, rows=[(1, 1)]),
    ]
    assert _asked(Commit("INSERT", writes, made={1}))[1] == []
    queries = _asked(Commit("INSERT", [*writes, _inserted(1)], made={1}))[1]
    assert queries == ["SELECT count(*) FROM made WHERE made.id IN (1)"]


@pytest.mark.parametrize(
    "again",
    [
        lambda key: _inserted(key),
        lambda key: _inserted(key, upsert=OnConflict(("id",), ("n",))),
        lambda key: HeldText("INSERT INTO made VALUES (:id)", (key,), None),
        lambda key: HeldText("UPDATE made SET id = 1", (), None, sets=frozenset({("made", "id")})),
    ],
    ids=["insert", "upsert", "text", "text that names what it sets"],
)
def test_a_key_that_another_write_may_hold_proves_nothing(again: Any) -> None:
    (key,) = _made_keys(1)
    write = _inserted(key)
    note_keys(write)
    assert len(_asked(Commit("INSERT", [write]))[1]) == 1
    note_keys(again(key))
    assert _asked(Commit("INSERT", [write]))[1] == []


@pytest.mark.parametrize(
    "other",
    [
        lambda key: _held(insert(ONE), "id", "v", rows=[(key, "x")]),
        lambda key: _held(insert(MADE), "id", "other", rows=[(1, key)]),
        lambda key: _inserted(key + 1),
        lambda key: HeldText("UPDATE made SET n = 1", (), None, sets=frozenset({("made", "n")})),
        lambda key: HeldText("UPDATE a SET id = 1", (), None, sets=frozenset({("a", "id")})),
    ],
    ids=["another table", "another column", "another key", "text on a column", "text on a table"],
)
def test_a_key_that_is_elsewhere_proves_it_still(other: Any) -> None:
    (key,) = _made_keys(1)
    write = _inserted(key)
    note_keys(write)
    note_keys(other(key))
    assert len(_asked(Commit("INSERT", [write]))[1]) == 1
