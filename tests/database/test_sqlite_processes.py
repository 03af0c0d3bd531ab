"""The data layer in processes of its own: importing, first use at once, fork, kill."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from tests.patience import PATIENCE_S
from vinci_code.database.session import dispose_engine, get_engine


def run(program: str, *arguments: str) -> str:
    """Run a program in the present folder with warnings as errors; return what it prints."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(program), *arguments],
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


@contextmanager
def started(program: str, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """Start a program that says when it is ready, and goes on when it is told to."""
    with subprocess.Popen(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(program), *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def count() -> int:
    with closing(get_engine().raw_connection()) as connection:
        cursor = connection.cursor()
        cursor.execute("PRAGMA integrity_check")
        assert cursor.fetchall() == [("ok",)]
        cursor.execute("SELECT count(*) FROM events")
        return int(cursor.fetchall()[0][0])


def test_the_first_program_of_a_newcomer_runs_in_an_empty_folder() -> None:
    printed = run(
        """
        from vinci_code.database.session import SessionLocal
        from vinci_code.database.models import Event

        session = SessionLocal()
        try:
            events = session.query(Event).limit(10).all()
            print(f"Retrieved {len(events)} events")
        finally:
            session.close()
        """
    )

    assert printed == "Retrieved 0 events\n"
    assert Path("vinci.db").exists()


def test_importing_opens_nothing_and_reads_no_settings() -> None:
    printed = run(
        """
        import os, sys, threading
        os.environ["USE_DATABRICKS"] = "neither"
        opened = []
        kinds = ("sqlite3.connect", "socket.connect", "socket.bind", "subprocess.Popen")
        sys.addaudithook(lambda kind, args: kind in kinds and opened.append(kind))
        import vinci_code.database.session, vinci_code.database.models, vinci_code.database.events
        import vinci_code.database.migrations, vinci_code.database.databricks_connector
        print(opened, os.listdir("."), threading.active_count(), "alembic" in sys.modules)
        """
    )

    assert printed == "[] [] 1 False\n"


@pytest.mark.slow
def test_processes_at_first_use_of_a_fresh_file_share_it() -> None:
    program = """
        import sys
        from vinci_code.database.models import Event
        from vinci_code.database.session import session_scope

        print("ready", flush=True)
        sys.stdin.readline()
        for number in range(5):
            with session_scope() as session:
                session.add(Event(event_type="t", source=sys.argv[1]))
        """
    with (
        started(program, "0") as a,
        started(program, "1") as b,
        started(program, "2") as c,
    ):
        processes = [a, b, c]
        for process in processes:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        for process in processes:
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        ends = [process.communicate(timeout=PATIENCE_S) for process in processes]

    assert ends == [("", "")] * 3
    assert [process.returncode for process in processes] == [0] * 3
    assert count() == 15


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork()")
def test_a_forked_child_has_connections_of_its_own() -> None:
    printed = run(
        """
        import os
        from vinci_code.database.models import Event
        from vinci_code.database.session import get_engine, session_scope

        def add():
            with session_scope() as session:
                session.add(Event(event_type="t", source="s"))

        add()
        engine = get_engine()
        with engine.connect() as held:  # one in use, one waiting in the pool
            held.exec_driver_sql("SELECT 1")
            add()
            assert engine.pool.checkedin() == 1
            child = os.fork()
            if child == 0:
                same = get_engine() is engine
                os.write(1, f"child {same} {engine.pool.checkedin()}\\n".encode())
                add()
                add()
                os._exit(0)
            assert os.waitpid(child, 0) == (child, 0)
            assert engine.pool.checkedin() == 1
        add()
        print("parent")
        """
    )

    assert printed == "child True 0\nparent\n"
    assert count() == 5


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork()")
def test_a_forked_child_has_its_copy_of_a_database_in_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("DATABASE_URL", "sqlite:///:memory:")
    printed = run(
        """
        import os
        from vinci_code.database.models import Event
        from vinci_code.database.session import session_scope

        def add():
            with session_scope() as session:
                session.add(Event(event_type="t", source="s"))
                session.flush()
                return session.query(Event).count()

        add()
        child = os.fork()
        if child == 0:
            os.write(1, f"child {add()}\\n".encode())
            os._exit(0)
        assert os.waitpid(child, 0) == (child, 0)
        print("parent", add())
        """
    )

    assert printed == "child 2\nparent 2\n"


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork()")
@pytest.mark.parametrize("first", ["upgrade", "downgrade"])
def test_a_migration_that_is_killed_between_any_two_statements_leaves_nothing(first: str) -> None:
    # Each child dies before its n-th statement, until one of them reaches the end.
    printed = run(
        """
        import os, signal, sys
        from sqlalchemy import event, inspect
        from vinci_code.database.migrations import downgrade, status, upgrade
        from vinci_code.database.sqlite import create_sqlite_engine

        def move(engine):
            upgrade(engine) if sys.argv[1] == "upgrade" else downgrade(engine, "base")

        def die_before(number, engine):
            left = iter(range(number))
            def count(*_):
                if next(left, None) is None:
                    os.kill(os.getpid(), signal.SIGKILL)
            event.listen(engine, "before_cursor_execute", count)

        deaths = 0
        for number in range(100):
            engine = create_sqlite_engine(f"sqlite:///{number}.db")
            if sys.argv[1] == "downgrade":
                upgrade(engine)
            before = sorted(inspect(engine).get_table_names()), status(engine)
            engine.dispose()
            child = os.fork()
            if child == 0:
                engine = create_sqlite_engine(f"sqlite:///{number}.db")
                die_before(number, engine)
                move(engine)
                os._exit(0)
            code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
            if code == 0:
                assert (sorted(inspect(engine).get_table_names()), status(engine)) != before
                break
            assert code == -signal.SIGKILL, code
            deaths += 1
            assert (sorted(inspect(engine).get_table_names()), status(engine)) == before, number
            move(engine)
            engine.dispose()
        print(deaths)
        """,
        first,
    )

    assert int(printed) > 5


def test_a_writer_that_is_killed_leaves_nothing_of_its_unit_and_no_lock() -> None:
    program = """
        import sys
        from vinci_code.database.models import Event
        from vinci_code.database.session import SessionLocal

        session = SessionLocal()
        session.add(Event(event_type="t", source="s"))
        session.commit()
        session.add_all(Event(event_type="t", source="s") for _ in range(100))
        session.flush()
        print("ready", flush=True)
        sys.stdin.readline()
        """
    with started(program) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.kill()
        process.wait(PATIENCE_S)

    assert count() == 1
    dispose_engine()
    run("from vinci_code.database.session import SessionLocal; SessionLocal.begin().__enter__()")
