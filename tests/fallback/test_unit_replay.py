"""What was held elsewhere is committed as a whole, once, and what became of it is found out."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
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
    insert,
    text,
    update,
)

from tests.dialect.held import count_of, first_words, rows_of, sending, wait_for_history
from tests.fallback.documents import held_of, unit_of
from tests.full import part
from vinci_code.database.dialect import dberrors
from vinci_code.database.dialect.driver.query_history import TAG
from vinci_code.database.dialect.units.held import Held
from vinci_code.database.dialect.units.recovery import Commit, CommitOutcome
from vinci_code.database.dialect.units.unit import Unit
from vinci_code.database.fallback.coding import decode, encode
from vinci_code.warehouse.engine import dispatch
from vinci_code.warehouse.faults import HISTORY, Fault
from vinci_code.warehouse.pytest_plugin import TestWarehouse

pytestmark = part(3)


METADATA = MetaData()
ONE = Table(
    "one", METADATA, Column("id", BigInteger, primary_key=True), Column("v", String, unique=True)
)
TWO = Table(
    "two",
    METADATA,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("n", Integer),
)

_ADD = insert(ONE).values(id=2, v="new")
_MADE = insert(ONE).values(v="made")
_COUNT = update(TWO).where(TWO.c.id == 1).values(n=TWO.c.n + 1)


@pytest.fixture
def tables(engine: Engine) -> Engine:
    """The engine, with the tables and a row in each."""
    METADATA.create_all(engine, checkfirst=False)
    with engine.begin() as connection:
        connection.execute(insert(ONE), {"id": 1, "v": "there"})
        connection.execute(insert(TWO), {"id": 1, "n": 0})
    return engine


class Sent:
    """What was announced right before a commit."""

    def __init__(self) -> None:
        self.commits: list[Commit] = []

    def __call__(self, commit: Commit) -> None:
        self.commits.append(commit)

    @property
    def commit(self) -> Commit:
        (commit,) = self.commits
        return commit


def _kept(engine: Engine, *statements: Any) -> list[Held]:
    """What was held of statements, as it comes out of a document."""
    held = held_of(engine, *(lambda c, s=s: c.execute(s) for s in statements))
    return decode(encode(held), METADATA.tables)


@contextmanager
def _unit(engine: Engine) -> Iterator[Unit]:
    with engine.connect() as connection:
        yield unit_of(connection)


def _replay(engine: Engine, held: Sequence[Held], identity: str, sent: Sent | None = None) -> None:
    with _unit(engine) as unit:
        unit.replay(held, identity, sent)


def _identity() -> str:
    return str(uuid.uuid4())


def test_units_are_one_statement_with_the_identity_for_its_tag(
    tables: Engine, local_warehouse: TestWarehouse
) -> None:
    units = [_kept(tables, insert(ONE).values(id=n, v=str(n))) for n in range(10, 20)]
    held = [write for unit in units for write in unit]
    identity, sent = _identity(), Sent()
    with sending(lambda: local_warehouse.statements) as statements:
        _replay(tables, held, identity, sent)
    assert first_words(statements) == ["INSERT"]
    assert (sent.commit.identity, sent.commit.word) == (identity, "INSERT")
    assert sent.commit.tags == {TAG: identity}
    assert count_of(tables, ONE) == 11
    with _unit(tables) as unit:
        assert unit.fate(identity, "INSERT", sent.commit.began).outcome is CommitOutcome.COMMITTED


def test_what_is_replayed_can_be_replayed_again(tables: Engine) -> None:
    held = _kept(tables, _ADD, insert(ONE).values(id=3, v="x"), _COUNT)
    before = [(len(write), getattr(write, "rows", None)) for write in held]
    with pytest.raises(dberrors.IntegrityError):
        _replay(tables, [*held, *_kept(tables, insert(ONE).values(id=1, v="y"))], _identity())
    assert [(len(write), getattr(write, "rows", None)) for write in held] == before
    assert rows_of(tables, TWO) == [(1, 0)]
    _replay(tables, held, _identity())
    assert rows_of(tables, ONE) == [(1, "there"), (2, "new"), (3, "x")]
    assert rows_of(tables, TWO) == [(1, 1)]


def test_several_tables_are_one_block(tables: Engine, local_warehouse: TestWarehouse) -> None:
    sent = Sent()
    held = _kept(tables, _ADD, _COUNT)
    with sending(lambda: local_warehouse.statements) as statements:
        _replay(tables, held, _identity(), sent)
    assert first_words(statements) == ["BEGIN"]
    assert sent.commit.word == "BEGIN"


def test_what_is_too_large_for_a_block_is_a_transaction(
    tables: Engine, local_warehouse: TestWarehouse
) -> None:
    held = held_of(
        tables,
        lambda c: c.execute(insert(ONE), [{"id": n, "v": f"{n}" * 400_000} for n in range(10, 40)]),
        lambda c: c.execute(_COUNT),
    )
    sent = Sent()
    identity = _identity()
    with sending(lambda: local_warehouse.statements) as statements:
        _replay(tables, decode(encode(held), METADATA.tables), identity, sent)
    assert {first_words(statements)[0], first_words(statements)[-1]} == {"BEGIN", "COMMIT"}
    assert sent.commit.word == "COMMIT"
    assert count_of(tables, ONE) == 31
    with _unit(tables) as unit:
        assert unit.fate(identity, "COMMIT", sent.commit.began).outcome is CommitOutcome.COMMITTED


@pytest.mark.parametrize("statements", [(_ADD,), (_ADD, _COUNT)], ids=["one", "block"])
def test_nothing_is_sent_where_that_cannot_be_noted(
    statements: Sequence[Any], tables: Engine, local_warehouse: TestWarehouse
) -> None:
    held = _kept(tables, *statements)

    def fail(commit: Commit) -> None:
        raise OSError("no room")

    with _unit(tables) as unit, sending(lambda: local_warehouse.statements) as sent:
        with pytest.raises(OSError, match="no room"):
            unit.replay(held, _identity(), fail)
        assert not unit.is_open
    assert sent == []
    _replay(tables, held, _identity())
    assert (2, "new") in rows_of(tables, ONE)


def test_nothing_is_nothing(tables: Engine, local_warehouse: TestWarehouse) -> None:
    sent = Sent()
    with sending(lambda: local_warehouse.statements) as statements:
        _replay(tables, [], _identity(), sent)
    assert (statements, sent.commits) == ([], [])


def test_a_unit_that_is_open_is_not_mixed_with_others(tables: Engine) -> None:
    held = _kept(tables, _COUNT)
    with tables.connect() as connection:
        connection.execute(_ADD)
        unit = unit_of(connection)
        for use in (
            lambda: unit.replay(held, _identity()),
            lambda: unit.fate(_identity(), "MERGE", time.time()),
        ):
            with pytest.raises(dberrors.ProgrammingError, match="between two units"):
                use()
        connection.commit()
    with _unit(tables.execution_options(isolation_level="AUTOCOMMIT")) as unit:
        refused = pytest.raises(dberrors.ProgrammingError, match="isolation level")
        with refused:
            unit.replay(held, _identity())
    assert rows_of(tables, ONE) == [(1, "there"), (2, "new")]
    assert rows_of(tables, TWO) == [(1, 0)]


@pytest.mark.parametrize("statements", [(_ADD,), (_ADD, _COUNT)], ids=["one", "block"])
@pytest.mark.parametrize("when", ["before", "after", "mid_reply"])
def test_a_lost_answer(
    when: str, statements: Sequence[Any], tables: Engine, local_warehouse: TestWarehouse
) -> None:
    held = _kept(tables, *statements)
    wait_for_history(tables, when)
    local_warehouse.inject(
        Fault.reset(when, operation="ExecuteStatement", statement="INSERT|BEGIN")
    )
    identity, sent = _identity(), Sent()
    with sending(lambda: local_warehouse.statements) as texts:
        if when == "before":
            with pytest.raises(dberrors.AmbiguousWriteError, match=identity):
                _replay(tables, held, identity, sent)
        else:
            _replay(tables, held, identity, sent)
    assert ((2, "new") in rows_of(tables, ONE)) == (when != "before")
    assert len(sent.commits) == 1
    assert len(texts) == 1
    with _unit(tables) as unit:
        found = unit.fate(identity, sent.commit.word, sent.commit.began)
    assert found.outcome is (CommitOutcome.UNKNOWN if when == "before" else CommitOutcome.COMMITTED)


def test_what_it_failed_with_is_reported_though_its_answer_was_lost(
    tables: Engine, local_warehouse: TestWarehouse
) -> None:
    held = _kept(tables, insert(ONE).values(id=1, v="twice"))
    wait_for_history(tables, "after")
    local_warehouse.inject(Fault.reset("after", operation="ExecuteStatement", statement="INSERT"))
    identity, sent = _identity(), Sent()
    # The history says that it has failed, and why.
    with pytest.raises(dberrors.IntegrityError, match="PRIMARY KEY"):
        _replay(tables, held, identity, sent)
    assert len(sent.commits) == 1
    with _unit(tables) as unit:
        found = unit.fate(identity, "INSERT", sent.commit.began)
    assert (found.outcome, found.failed) == (CommitOutcome.ABSENT, True)
    assert "unique" in found.reason


def test_what_was_cancelled_is_not_sent_again(
    tables: Engine, local_warehouse: TestWarehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A statement that still ran when its session was ended: who replays decides what follows."""
    held, identity, sent = _kept(tables, _ADD), _identity(), Sent()
    run_alone = dispatch._run_alone

    def run_late(session: Any, word: str, statement: str, parameters: Any) -> Any:
        deadline = time.monotonic() + 60
        while word == "INSERT" and time.monotonic() < deadline:
            if session._running.interrupted:
                break
            time.sleep(0.01)
        return run_alone(session, word, statement, parameters)

    wait_for_history(tables, "after")
    local_warehouse.inject(Fault.reset("before", operation="GetOperationStatus", times=4))
    with monkeypatch.context() as patched:
        patched.setattr(dispatch, "_run_alone", run_late)
        with pytest.raises(dberrors.OperationalError, match="was cancelled"):
            _replay(tables, held, identity, sent)
    assert len(sent.commits) == 1
    assert rows_of(tables, ONE) == [(1, "there")]
    with _unit(tables) as unit:
        found = unit.fate(identity, "INSERT", sent.commit.began)
    assert (found.outcome, found.failed) == (CommitOutcome.ABSENT, False)


@pytest.mark.parametrize("status", [429, 503])
def test_a_refusal_for_now_ends_it(
    status: int, tables: Engine, local_warehouse: TestWarehouse
) -> None:
    held, sent = _kept(tables, _ADD), Sent()
    local_warehouse.inject(
        Fault.http(status, retry_after=0, operation="ExecuteStatement", statement="INSERT")
    )
    with pytest.raises(dberrors.OperationalError) as caught:
        _replay(tables, held, _identity(), sent)
    assert not isinstance(caught.value, dberrors.AmbiguousWriteError)
    assert len(sent.commits) == 1
    assert rows_of(tables, ONE) == [(1, "there")]
    _replay(tables, held, _identity())
    assert (2, "new") in rows_of(tables, ONE)


def test_a_session_that_is_lost_ends_it(tables: Engine, local_warehouse: TestWarehouse) -> None:
    held = _kept(tables, _ADD)
    local_warehouse.inject(Fault.session_lost(operation="ExecuteStatement", statement="INSERT"))
    with pytest.raises(dberrors.SessionLostError):
        _replay(tables, held, _identity())
    assert rows_of(tables, ONE) == [(1, "there")]


def test_what_nobody_sent_is_not_known(tables: Engine) -> None:
    wait_for_history(tables, "before")
    with _unit(tables) as unit:
        found = unit.fate(_identity(), "INSERT", time.time())
    assert found.outcome is CommitOutcome.UNKNOWN
    assert "the query history" in found.reason


def test_a_history_that_cannot_be_asked(tables: Engine, local_warehouse: TestWarehouse) -> None:
    local_warehouse.inject(Fault.http(403, operation=HISTORY))
    with _unit(tables) as unit:
        found = unit.fate(_identity(), "INSERT", time.time())
    assert found.outcome is CommitOutcome.UNKNOWN
    assert "403" in found.reason


def test_made_keys_prove_it_where_the_history_does_not(
    tables: Engine, local_warehouse: TestWarehouse
) -> None:
    made = held_of(tables, lambda c: c.execute(_MADE))
    document = encode(made)
    wait_for_history(tables, "before")
    for proves in (True, False):
        held = decode(document, METADATA.tables)
        if not proves:
            # A key that the application has given proves nothing.
            held = _kept(tables, _ADD)
        identity, sent = _identity(), Sent()
        local_warehouse.inject(
            Fault.reset("after", operation="ExecuteStatement", statement="INSERT"),
            Fault.history_hidden(operation="ExecuteStatement", statement="INSERT"),
        )
        if proves:
            _replay(tables, held, identity, sent)
        else:
            with pytest.raises(dberrors.AmbiguousWriteError):
                _replay(tables, held, identity, sent)
        with _unit(tables) as unit:
            arguments = identity, "INSERT", sent.commit.began
            assert unit.fate(*arguments).outcome is CommitOutcome.UNKNOWN
            wanted = CommitOutcome.COMMITTED if proves else CommitOutcome.UNKNOWN
            assert unit.fate(*arguments, held).outcome is wanted
        local_warehouse.warehouse.faults.clear()


def test_a_key_that_was_written_twice_is_not_noted(tables: Engine) -> None:
    (held,) = held_of(tables, lambda c: c.execute(_MADE))
    (noted,) = decode(encode([held]), METADATA.tables)
    key = held.rows[0][held.shape.key[0]]  # type: ignore[union-attr, index]
    assert noted.made == {key}  # type: ignore[union-attr]
    held_of(tables, lambda c: c.execute(insert(ONE).values(id=key, v="again")))
    (noted,) = decode(encode([held]), METADATA.tables)
    assert noted.made == frozenset()  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "options", [{}, {"transactions": "off"}, {"atomicity": "per_table"}], ids=str
)
def test_it_is_whole_or_refused_without_transactions(
    options: dict[str, str],
    without_transactions: TestWarehouse,
    connected: Callable[..., Engine],
) -> None:
    engine = connected(without_transactions, **options)
    METADATA.create_all(engine, checkfirst=False)
    _replay(engine, _kept(engine, insert(TWO).values(id=1, n=0)), _identity())
    held = _kept(engine, _ADD, _COUNT)
    with pytest.raises(dberrors.AtomicityError):
        _replay(engine, held, _identity())
    assert (rows_of(engine, ONE), rows_of(engine, TWO)) == ([], [(1, 0)])
    _replay(engine, held[:1], _identity())
    assert rows_of(engine, ONE) == [(2, "new")]


def test_per_table_is_whole_where_that_can_be_had(
    connected: Callable[..., Engine], tables: Engine, local_warehouse: TestWarehouse
) -> None:
    engine = connected(atomicity="per_table")
    with sending(lambda: local_warehouse.statements) as statements:
        _replay(engine, _kept(engine, _ADD, _COUNT), _identity())
    assert first_words(statements) == ["BEGIN"]


def test_texts_are_replayed(tables: Engine) -> None:
    held = _kept(
        tables,
        text("INSERT INTO one VALUES (7, 'text');"),
        text("UPDATE two SET n = :n").bindparams(n=9),
    )
    _replay(tables, held, _identity())
    assert (7, "text") in rows_of(tables, ONE)
    assert rows_of(tables, TWO) == [(1, 9)]
