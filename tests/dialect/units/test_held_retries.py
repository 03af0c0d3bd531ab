"""run_unit(), statistics(), progress, and what is logged."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import (
    Column,
    Engine,
    Integer,
    MetaData,
    String,
    Table,
    create_engine,
    insert,
    text,
)
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError, ProgrammingError
from sqlalchemy.orm import Session, sessionmaker
from sqlalchemy.orm.exc import StaleDataError

from tests.dialect.held import count_of, run_and_commit
from vinci_code.database import run_unit, statistics
from vinci_code.database.dialect import dberrors
from vinci_code.database.dialect.units.statistics import Progress
from vinci_code.warehouse.faults import Fault
from vinci_code.warehouse.pytest_plugin import TestWarehouse

METADATA = MetaData()
ONE = Table("one", METADATA, Column("id", Integer, primary_key=True), Column("v", String))
TWO = Table("two", METADATA, Column("id", Integer, primary_key=True))


@pytest.fixture
def tables(engine: Engine) -> Engine:
    """The engine, with the tables."""
    METADATA.create_all(engine, checkfirst=False)
    return engine


class Work:
    """A unit of work that notes how often it was run, and in how many sessions."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.sessions: list[Session] = []

    def __call__(self, session: Session) -> int:
        self.sessions.append(session)
        session.execute(insert(ONE), {"id": len(self.sessions)})
        if self.errors:
            raise self.errors.pop(0)
        return len(self.sessions)


def _of(error: Exception) -> DBAPIError:
    return OperationalError("statement", None, error)


OUTRUN: dict[str, Exception] = {
    "conflict": _of(dberrors.ConflictError("somebody else")),
    "stale": StaleDataError("changed"),
    "locked": _of(sqlite3.OperationalError("database is locked")),
    "table locked": _of(sqlite3.OperationalError("database table is locked")),
}
OTHERS: dict[str, Exception] = {
    "ambiguous": _of(dberrors.AmbiguousWriteError("lost")),
    "partial": _of(dberrors.PartialCommitError("half")),
    "lost": _of(dberrors.ConnectionLostError("lost")),
    "integrity": IntegrityError("statement", None, dberrors.IntegrityError("twice")),
    "pending": _of(dberrors.PendingWritesError("held")),
    "readonly": _of(sqlite3.OperationalError("attempt to write a readonly database")),
    "other": RuntimeError("database is locked"),
}


@pytest.mark.parametrize("name", OUTRUN)
def test_it_is_run_again(name: str, tables: Engine) -> None:
    pauses: list[float] = []
    work = Work(*[OUTRUN[name]] * 3)
    assert run_unit(work, sessions=sessionmaker(tables), pause=pauses.append) == 4
    assert len(set(map(id, work.sessions))) == 4
    assert len(pauses) == 3
    assert all(0 <= pause <= 0.1 * 2**number for number, pause in enumerate(pauses))
    assert count_of(tables, ONE) == 1


@pytest.mark.parametrize("name", OTHERS)
def test_it_is_not_run_again(name: str, tables: Engine) -> None:
    work = Work(OTHERS[name])
    with pytest.raises(type(OTHERS[name])):
        run_unit(work, sessions=sessionmaker(tables), pause=lambda _: None)
    assert len(work.sessions) == 1
    assert count_of(tables, ONE) == 0


@pytest.mark.parametrize("retries", [0, 2])
def test_it_is_given_up(retries: int, tables: Engine) -> None:
    work = Work(*[OUTRUN["conflict"]] * 9)
    with pytest.raises(OperationalError):
        run_unit(work, retries=retries, sessions=sessionmaker(tables), pause=lambda _: None)
    assert len(work.sessions) == retries + 1


def test_less_than_never() -> None:
    with pytest.raises(ValueError, match="0 or more"):
        run_unit(Work(), retries=-1)


def test_a_conflict_of_the_warehouse(tables: Engine, local_warehouse: TestWarehouse) -> None:
    local_warehouse.inject(Fault.commit_conflict(statement="INSERT", times=2))
    work = Work()
    assert run_unit(work, sessions=sessionmaker(tables), pause=lambda _: None) == 3
    assert count_of(tables, ONE) == 1


def test_a_sqlite_file_that_is_locked(tmp_path: Path) -> None:
    path = tmp_path / "file.db"
    engine = create_engine(f"sqlite:///{path}", connect_args={"timeout": 0})
    METADATA.create_all(engine)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")

    def pause(seconds: float) -> None:
        del seconds
        other.execute("ROLLBACK")

    assert run_unit(Work(), sessions=sessionmaker(engine), pause=pause) == 2
    other.close()
    engine.dispose()


# --- what is seen --------------------------------------------------------------------------------


def test_statistics(tables: Engine, local_warehouse: TestWarehouse) -> None:
    assert statistics(tables).units == 0
    with tables.begin() as connection:
        connection.execute(insert(ONE), [{"id": n, "v": "x" * 100} for n in range(10)])
    first = statistics(tables)
    assert (first.units, first.statements, first.rows, first.retries) == (1, 1, 10, 0)
    assert 1000 < first.bytes < 3000
    with tables.begin() as connection:
        connection.execute(insert(ONE), {"id": 10})
        connection.execute(insert(TWO), {"id": 10})
    with tables.connect() as connection:
        connection.execute(insert(ONE), {"id": 11})
        connection.rollback()
    second = statistics(tables)
    assert (second.units, second.statements, second.rows) == (2, 2, 12)
    before = len(local_warehouse.statements)
    with tables.begin() as connection:
        connection.execute(insert(ONE), {"id": 12})
        assert connection.scalar(text("SELECT count(*) FROM one")) == 12
    sent = len(local_warehouse.statements) - before
    third = statistics(tables)
    assert (third.units, third.statements, third.rows) == (3, 2 + sent - 1, 13)


def test_statistics_of_another_database() -> None:
    engine = create_engine("sqlite://")
    with pytest.raises(TypeError, match="found one of sqlite"):
        statistics(engine)
    engine.dispose()


def test_progress(connected: Callable[..., Engine]) -> None:
    reports: list[Progress] = []
    engine = connected(on_progress=reports.append)
    METADATA.create_all(engine, checkfirst=False)
    with engine.begin() as connection:
        connection.execute(insert(ONE), [{"id": n} for n in range(10)])
    assert [(p.statements, p.rows, p.rows_in_all) for p in reports] == [(1, 10, 10)]
    reports.clear()
    with engine.begin() as connection:
        connection.execute(insert(ONE), [{"id": n} for n in range(10, 15)])
        connection.execute(insert(TWO), [{"id": 1}])
        connection.execute(text("SELECT count(*) FROM one"))
    assert [(p.statements, p.rows, p.rows_in_all) for p in reports] == [(1, 5, 6), (2, 6, 6)]
    assert reports[0].bytes < reports[1].bytes


def test_a_progress_that_fails_does_not_undo(
    connected: Callable[..., Engine], caplog: pytest.LogCaptureFixture
) -> None:
    def fail(progress: Progress) -> None:
        raise RuntimeError(f"of {progress.rows} rows")

    engine = connected(on_progress=fail)
    METADATA.create_all(engine, checkfirst=False)
    with engine.begin() as connection:
        connection.execute(insert(ONE), {"id": 1})
    assert count_of(engine, ONE) == 1
    assert "on_progress failed after a commit" in caplog.text
    assert "RuntimeError: of 1 rows" in caplog.text
    # Within a transaction it ends the unit.
    with pytest.raises(RuntimeError), engine.connect() as connection:
        run_and_commit(connection, insert(ONE).values(id=2), text("SELECT count(*) FROM one"))
    assert count_of(engine, ONE) == 1


SECRET = "value-that-nobody-logs"


def test_what_is_logged_holds_no_values(
    tables: Engine, local_warehouse: TestWarehouse, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, logger="vinci_code")
    rows = [{"id": number, "v": f"{SECRET} {number}"} for number in range(1, 4)]
    with tables.begin() as connection:
        connection.execute(insert(ONE), rows)
        connection.execute(insert(TWO), {"id": 987_654_321})
    with tables.connect() as connection:
        connection.execute(insert(ONE), [{"id": 5, "v": SECRET}])
        connection.rollback()
    with pytest.raises(IntegrityError), tables.begin() as connection:
        connection.execute(insert(ONE), rows)
    local_warehouse.inject(Fault.commit_conflict(statement="INSERT"))
    run_unit(_write_secret, sessions=sessionmaker(tables), pause=lambda _: None)
    local_warehouse.inject(Fault.reset("after", operation="ExecuteStatement", statement="INSERT"))
    run_unit(_write_another, sessions=sessionmaker(tables), pause=lambda _: None)
    logged = [r.getMessage() for r in caplog.records if r.name.startswith("vinci_code")]
    committed = "committed: INSERT 3 rows of one, INSERT 1 rows of two; 1 statements, "
    assert any(committed in line for line in logged)
    assert "rolled back: 1 writes were dropped unsent" in logged
    assert any("is run again" in line for line in logged)
    assert not [line for line in logged if SECRET in line or "987654321" in line]


def test_a_unit_that_was_read_within_is_logged_whole(
    tables: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, logger="vinci_code")
    with tables.connect() as other, tables.begin() as connection:
        connection.execute(insert(ONE), {"id": 1, "v": "a"})
        assert connection.scalar(text("SELECT count(*) FROM one")) == 1
        other.execute(insert(TWO), {"id": 1})
        other.commit()
    logged = [r.getMessage() for r in caplog.records if r.name.endswith(".listeners")]
    committed = [line.partition(" committed: ")[2] for line in logged if " committed: " in line]
    assert [line.rpartition(" statements")[0] for line in committed] == [
        "INSERT 1 rows of two; 1",
        "INSERT 1 rows of one; 4",  # BEGIN, INSERT, SELECT, COMMIT
    ]


def _write_secret(session: Session) -> None:
    session.execute(insert(ONE), {"id": 6, "v": SECRET})


def _write_another(session: Session) -> None:
    session.execute(insert(ONE), {"id": 7, "v": SECRET})


def test_errors_can_be_pickled(tables: Engine) -> None:
    import pickle

    with tables.begin() as connection:
        connection.execute(insert(ONE), {"id": 1})
    caught: list[Any] = []
    for rows in ([{"id": 1}], [{"id": 2}, {"id": 2}]):
        with pytest.raises(IntegrityError) as error, tables.begin() as connection:
            connection.execute(insert(ONE), rows)
        caught.append(error.value.orig)
    with pytest.raises(ProgrammingError) as gone, tables.begin() as connection:
        connection.execute(text("INSERT INTO nowhere VALUES (1)"))
    caught.append(gone.value.orig)
    caught.append(dberrors.PartialCommitError("x", written=["a"], not_written=["b"]))
    for error_ in caught:
        again = pickle.loads(pickle.dumps(error_))
        assert type(again) is type(error_)
        assert str(again) == str(error_)
        assert vars(again) == vars(error_)
