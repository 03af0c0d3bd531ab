"""The journal: what is stored, in which order, what becomes of it, and who sees it when."""

from __future__ import annotations

import os
import sqlite3
import stat
import threading
from collections.abc import Callable
from contextlib import closing
from datetime import datetime, timezone
from pathlib import Path

import pytest

from tests.database.test_sqlite import a_folder_without_root_rights
from tests.fallback.journals import add, opened, run
from vinci_code.core.errors import FallbackFileError, JournalError
from vinci_code.database.fallback.journal import Journal
from vinci_code.database.fallback.records import Batch, Mirror, Sent, Standing, State

POSIX = pytest.mark.skipif(os.name == "nt", reason="rights of files as POSIX has them")


def waiting(journal: Journal, **limits: int) -> list[int]:
    return [entry.seq for entry in journal.waiting(**limits)]


def test_nothing_is_opened_before_it_is_prepared() -> None:
    with closing(Journal(Path("journal.db"))):
        assert list(Path().iterdir()) == []


def test_units_come_back_as_they_were_stored_in_the_order_of_their_commits() -> None:
    documents = [b"one", b"", b"\x00\xff" * 50_000, "vier ü".encode()]
    with opened() as journal:
        assert add(journal, *documents) == [1, 2, 3, 4]
    with opened() as journal:
        entries = journal.waiting()
        assert [entry.seq for entry in entries] == [1, 2, 3, 4]
        assert [entry.document for entry in entries] == documents
        assert {entry.state for entry in entries} == {State.WAITING}
        assert entries[0].identity == "unit of b'one'"
        assert entries[0].rows == 1
        assert entries[0].reason is None
        committed_at = datetime.fromisoformat(entries[0].committed_at)
        assert abs((datetime.now(timezone.utc) - committed_at).total_seconds()) < 60
        assert list(journal.entries()) == entries
        assert journal.entry(4) == entries[3]
        counts = journal.counts()
        assert (counts.waiting, counts.rows, counts.appended) == (4, 4, 4)
        assert counts.oldest == entries[0].committed_at
        assert counts.missing == ()


def test_a_unit_is_there_with_the_rows_of_its_transaction_or_not_at_all() -> None:
    with opened() as journal, closing(journal.connect()) as connection:
        connection.execute("CREATE TABLE t (a)")
        for end in ("ROLLBACK", "COMMIT", "ROLLBACK"):
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("INSERT INTO t VALUES (?)", (end,))
            seq = journal.append(connection, identity=end, document=b"d", rows=1)
            connection.execute(end)
        assert seq == 2
        assert connection.execute("SELECT a FROM t").fetchall() == [("COMMIT",)]
        assert [entry.identity for entry in journal.waiting()] == ["COMMIT"]
        assert journal.counts().appended == 1


def test_a_connection_syncs_at_each_commit_and_begins_nothing_by_itself() -> None:
    with opened() as journal, closing(journal.connect()) as connection:
        asked = "journal_mode", "synchronous", "foreign_keys", "busy_timeout"
        found = [connection.execute(f"PRAGMA {name}").fetchone()[0] for name in asked]
        assert found == ["wal", 2, 0, 30_000]
        assert connection.isolation_level is None


def test_a_unit_is_refused_outside_a_transaction() -> None:
    with opened() as journal, closing(journal.connect()) as connection:
        with pytest.raises(JournalError, match="BEGIN IMMEDIATE"):
            journal.append(connection, identity="i", document=b"d", rows=1)
        assert journal.waiting() == []


def test_waiting_units_are_bounded_by_their_number_and_bytes() -> None:
    with opened() as journal:
        add(journal, *(b"x" * 1000 for _ in range(6)))
        assert waiting(journal, most_units=2) == [1, 2]
        assert waiting(journal, after=2, most_units=2) == [3, 4]
        assert waiting(journal, most_bytes=3500) == [1, 2, 3]
        with closing(journal.connect()) as connection:
            sizes = connection.execute("SELECT length(record) FROM vinci_journal_units").fetchall()
        three = sum(size for (size,) in sizes[:3])
        assert waiting(journal, most_bytes=three) == [1, 2, 3]
        assert waiting(journal, most_bytes=three - 1) == [1, 2]
        assert waiting(journal, most_bytes=1) == [1]
        assert waiting(journal, after=6) == []


def test_a_batch_is_in_doubt_until_its_outcome_is_noted() -> None:
    with opened() as journal:
        add(journal, b"1", b"2", b"3", b"4")
        journal.begin_batch("first", [1, 2], verb="INSERT", began=12.5)
        journal.begin_batch("second", [3], verb="BEGIN", began=13, copies=4)
        assert waiting(journal) == [4]
        assert journal.entry(1).state is State.IN_DOUBT
        first = Batch("first", (1, 2), "INSERT", 12.5, 1, None)
        assert journal.open_batches() == [first, Batch("second", (3,), "BEGIN", 13.0, 4, None)]
        assert journal.counts().in_doubt == 3
    with opened() as journal:
        journal.batch_in_doubt("second", "no history")
        assert [batch.reason for batch in journal.open_batches()] == [None, "no history"]
        assert journal.entry(3).reason == "no history"
        journal.batch_committed("first")
        journal.batch_not_executed("second")
        assert journal.open_batches() == []
        assert waiting(journal) == [3, 4]
        assert journal.entry(3).reason is None
        counts = journal.counts()
        assert (counts.done, counts.waiting, counts.appended) == (2, 2, 4)
        for note in (journal.batch_committed, journal.batch_not_executed):
            with pytest.raises(JournalError, match="outcome was noted"):
                note("first")


def test_a_batch_of_units_that_do_not_wait_changes_nothing() -> None:
    with opened() as journal:
        add(journal, b"1", b"2", b"3")
        journal.park([2], "taken")
        for seqs, message in (([1, 2], "unit 2 .* parked"), ([1, 9], "no unit 9")):
            with pytest.raises(JournalError, match=f"(?i){message}"):
                journal.begin_batch("b", seqs, verb="INSERT", began=0)
        assert journal.open_batches() == []
        assert waiting(journal) == [1, 3]


def test_a_unit_whose_answer_was_lost_is_stored_in_doubt() -> None:
    with opened() as journal:
        with closing(journal.connect()) as connection:
            connection.execute("BEGIN IMMEDIATE")
            journal.append(
                connection,
                identity="sent",
                document=b"d",
                rows=2,
                sent=Sent("MERGE", 5.0, "no answer", 3),
            )
            connection.execute("COMMIT")
        assert waiting(journal) == []
        assert journal.open_batches() == [Batch("sent", (1,), "MERGE", 5.0, 3, "no answer")]
        assert journal.entry(1).state is State.IN_DOUBT
        journal.batch_committed("sent")
        assert journal.counts().done == 1


def test_parked_units_are_kept_until_somebody_decides() -> None:
    with opened() as journal:
        add(journal, b"1", b"2", b"3", b"4")
        journal.park([1, 3], "key taken")
        assert waiting(journal) == [2, 4]
        parked = list(journal.entries([State.PARKED]))
        assert [(entry.seq, entry.reason) for entry in parked] == [
            (1, "key taken"),
            (3, "key taken"),
        ]
        journal.retry([3])
        assert waiting(journal) == [2, 3, 4]
        assert journal.entry(3).reason is None
        with pytest.raises(JournalError, match="waiting, and has to be parked"):
            journal.retry([3])
        journal.discard([1, 4])
        assert waiting(journal) == [2, 3]
        counts = journal.counts()
        assert (counts.discarded, counts.parked, counts.missing) == (2, 0, ())
        for seq in (1, 4, 5, 0):
            with pytest.raises(JournalError):
                journal.discard([seq])
            with pytest.raises(JournalError, match=f"no unit {seq}"):
                journal.entry(seq)


def test_a_unit_that_is_being_sent_is_neither_parked_nor_discarded() -> None:
    with opened() as journal:
        add(journal, b"1", b"2")
        journal.begin_batch("b", [1, 2], verb="INSERT", began=0)
        with pytest.raises(JournalError, match="in doubt"):
            journal.discard([1])
        with pytest.raises(JournalError, match="in doubt"):
            journal.park([1], "no")
        journal.park_batch("b", "nobody knows")
        assert journal.counts().parked == 2
        assert journal.open_batches() == []


def test_what_may_be_there_is_sent_again_only_by_who_has_looked() -> None:
    with opened() as journal:
        add(journal, b"1", b"2", b"3")
        journal.park([1], "key taken")
        journal.begin_batch("b", [2, 3], verb="INSERT", began=0)
        assert [entry.may_be_there for entry in journal.entries()] == [False, True, True]
        journal.park_batch("b", "sent as b, and nobody knows")
    with opened() as journal:
        assert [entry.may_be_there for entry in journal.entries()] == [False, True, True]
        with pytest.raises(JournalError, match=r"Unit 3 .*sent as b.*retry 3 --not-written"):
            journal.retry([1, 3])
        assert waiting(journal) == []  # none of them
        journal.park([3], "again")
        assert journal.entry(3).may_be_there
        journal.retry([1])
        journal.retry([2], not_written=True)
        assert waiting(journal) == [1, 2]
        assert not journal.entry(2).may_be_there
        journal.park([2], "key taken")
        journal.retry([2])
        journal.discard([3])
        assert waiting(journal) == [1, 2]


def test_the_order_is_never_used_twice() -> None:
    with opened() as journal:
        add(journal, b"1", b"2")
        journal.discard([2, 1])
        assert add(journal, b"3") == [3]


def test_runs_that_have_left_become_one() -> None:
    with opened() as journal:
        add(journal, *(b"%d" % number for number in range(1, 101)))
        journal.park([50], "no")
        for number, seq in enumerate([*range(1, 100, 2), *range(2, 50, 2), *range(52, 101, 2)]):
            if seq != 50:
                journal.begin_batch(str(number), [seq], verb="INSERT", began=0)
                journal.batch_committed(str(number))
        with closing(journal.connect()) as connection:
            rows = connection.execute("SELECT first, last FROM vinci_journal_ended").fetchall()
        assert rows == [(1, 49), (51, 100)]
        assert journal.counts().done == 99


def test_a_row_that_is_gone_is_named() -> None:
    with opened() as journal:
        add(journal, b"1", b"2", b"3", b"4", b"5")
        journal.discard([2])
        with closing(journal.connect()) as connection:
            connection.execute("DELETE FROM vinci_journal_places WHERE seq IN (1, 3, 5)")
    with opened() as journal:
        assert journal.counts().missing == ((1, 1), (3, 3), (5, 5))
        journal.discard([1, 3, 5])
        assert journal.counts().missing == ()


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE vinci_journal_units SET record = substr(record, 1, length(record) - 1)",
        "UPDATE vinci_journal_units SET record = CAST(record || x'00' AS BLOB)",
        "UPDATE vinci_journal_units SET record = 'text'",
        "UPDATE vinci_journal_units SET record = (SELECT max(record) FROM vinci_journal_units)",
        "UPDATE vinci_journal_places SET state = CAST(x'ff' AS TEXT)",
        "DELETE FROM vinci_journal_units",
        "UPDATE vinci_journal_places SET rows = rows + 1",
        "UPDATE vinci_journal_places SET state = 'waitinh'",
        "UPDATE vinci_journal_places SET state = NULL",
    ],
)
def test_a_unit_that_is_not_as_it_was_stored_is_damaged_and_never_given_out(change: str) -> None:
    with opened() as journal:
        add(journal, b"1", b"2", b"3")
        with closing(journal.connect()) as connection:
            connection.execute(f"{change} WHERE seq = 2")
        damaged = journal.entry(2)
        assert (damaged.state, damaged.document) == (State.DAMAGED, b"")
        assert damaged.reason
        assert waiting(journal) == [1, 3]
        assert journal.counts().damaged == 1
        assert [entry.seq for entry in journal.entries([State.DAMAGED])] == [2]
        for refused in (journal.retry, lambda seqs: journal.park(seqs, "no")):
            with pytest.raises(JournalError):
                refused([2])
        journal.discard([2])
        assert journal.counts().damaged == 0


@pytest.mark.parametrize(
    ("what", "counted"),
    [
        (lambda journal: journal.park([2], "a person wants it"), "parked"),
        (lambda journal: journal.begin_batch("b", [2], verb="INSERT", began=0), "in_doubt"),
        (lambda journal: journal.discard([2]), "discarded"),
        (lambda journal: None, "damaged"),
    ],
    ids=["parked", "sent", "discarded", "waiting"],
)
def test_what_became_of_a_unit_while_it_was_found_damaged_stays(
    what: Callable[[Journal], None], counted: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    note = Journal._note_damaged
    with opened() as journal, opened() as other:

        def note_late(self: Journal, damaged: dict[int, str]) -> None:
            assert list(damaged) == [2]
            what(other)
            note(self, damaged)

        add(journal, b"1", b"2", b"3")
        with closing(journal.connect()) as connection:
            connection.execute("UPDATE vinci_journal_units SET record = x'00' WHERE seq = 2")
        with monkeypatch.context() as patch:
            patch.setattr(Journal, "_note_damaged", note_late)
            assert waiting(journal) == [1, 3]
        counts = journal.counts()
        names = ("waiting", "in_doubt", "parked", "damaged", "discarded")
        found = {name: getattr(counts, name) for name in names}
        assert found == {**dict.fromkeys(names, 0), "waiting": 2, counted: 1}


def test_bytes_that_became_a_text_are_whole() -> None:
    with opened() as journal:
        add(journal, b"1", b"2")
        with closing(journal.connect()) as connection:
            connection.execute("UPDATE vinci_journal_units SET record = CAST(record AS TEXT)")
            connection.execute("UPDATE vinci_journal SET ledger = CAST(ledger AS TEXT)")
        assert waiting(journal) == [1, 2]


def test_all_processes_see_a_change_at_their_next_call() -> None:
    with opened() as one, opened() as other:
        assert one.state() is None
        assert one.counts().waiting == other.counts().waiting == 0
        add(one, b"1")
        assert other.counts().waiting == 1
        for standing in (Standing("away", 1.5, "no route", 3, 9.5), Standing("online", 2.0)):
            one.set_state(standing)
            assert other.state() == standing
        other.park([1], "r")
        assert one.counts().parked == 1


def test_a_mirror_is_noted_with_its_rows() -> None:
    with opened() as journal, closing(journal.connect()) as connection:
        for end, version in (("COMMIT", 7), ("ROLLBACK", 8)):
            connection.execute("BEGIN IMMEDIATE")
            journal.note_mirror(connection, "main.t", "2026-01-01T00:00:00+00:00", version, 3)
            connection.execute(end)
        mirror = Mirror("main.t", "2026-01-01T00:00:00+00:00", 7, 3)
        assert journal.mirrored() == {"main.t": mirror}


def test_one_replays_at_a_time() -> None:
    with opened() as one, opened() as other:
        found: list[bool] = []

        def ask() -> None:
            with other.replaying() as mine:
                found.append(mine)

        with one.replaying() as mine:
            assert mine
            ask()
            thread = threading.Thread(target=ask)
            thread.start()
            thread.join()
            with one.replaying() as again:
                assert not again
        ask()
        assert found == [False, False, True]


@POSIX
def test_all_files_are_private_from_their_first_moment() -> None:
    before = os.umask(0)
    try:
        with opened() as journal:
            add(journal, b"1")
            with journal.replaying():
                modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in Path().iterdir()}
    finally:
        os.umask(before)
    names = {f"journal.db{ending}" for ending in ("", "-wal", "-shm", ".lock", ".mark")}
    assert modes == dict.fromkeys(names, 0o600)


@POSIX
def test_a_file_that_others_may_read_is_made_private() -> None:
    with opened() as journal:
        add(journal, b"1")
    for path in Path().iterdir():
        path.chmod(0o644)
    with opened():
        assert {stat.S_IMODE(path.stat().st_mode) for path in Path().iterdir()} == {0o600}


@POSIX
def test_a_link_is_followed() -> None:
    Path("there").mkdir()
    Path("link.db").symlink_to(Path("there/real.db").absolute())
    with opened("link.db") as journal, opened("there/real.db") as other:
        add(journal, b"1")
        assert waiting(other) == [1]
        with journal.replaying(), other.replaying() as mine:
            assert not mine
    assert Path("link.db").is_symlink()
    assert stat.S_IMODE(Path("there/real.db").stat().st_mode) == 0o600


@pytest.mark.parametrize("name", ["none/journal.db", "file/journal.db"])
def test_a_folder_that_is_none_is_refused_by_name(name: str) -> None:
    Path("file").touch()
    with pytest.raises(FallbackFileError, match=Path(name).parent.name) as caught, opened(name):
        pass
    assert not caught.value.damaged


def test_a_folder_that_cannot_be_synced_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(number: int) -> None:
        raise OSError(22, "Invalid argument")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(FallbackFileError, match="cannot be synced"), opened():
        pass
    assert list(Path().iterdir()) == []


@pytest.mark.parametrize("kind", ["folder", "fifo", "text", "database", "database in wal"])
def test_what_is_not_ours_is_refused_and_left_as_it_is(kind: str) -> None:
    path = Path("journal.db")
    if kind == "folder":
        path.mkdir()
    elif kind == "fifo":
        if os.name == "nt":
            pytest.skip("Windows has none")
        os.mkfifo(path)
    elif kind == "text":
        path.write_text("some text\n" * 1000)
    else:
        with closing(sqlite3.connect(path)) as connection:
            if "wal" in kind:
                connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("CREATE TABLE t (a)")
            connection.commit()
    path.chmod(0o755)
    before = path.read_bytes() if path.is_file() else None
    with pytest.raises(FallbackFileError, match="not a file") as caught, opened():
        pass
    assert not caught.value.damaged
    assert list(Path().iterdir()) == [path]
    assert stat.S_IMODE(path.stat().st_mode) == 0o755
    assert before is None or path.read_bytes() == before


def test_a_file_of_another_format_is_refused_by_its_release() -> None:
    with opened() as journal, closing(journal.connect()) as connection:
        connection.execute("UPDATE vinci_journal SET release = '99.0'")
        connection.execute("PRAGMA user_version = 2")
    before = Path("journal.db").read_bytes()
    with pytest.raises(FallbackFileError, match=r"format 2, made by release 99\.0 ") as caught:
        Journal(Path("journal.db")).prepare()
    assert not caught.value.damaged
    assert Path("journal.db").read_bytes() == before


def test_a_file_that_was_replaced_while_in_use_takes_nothing() -> None:
    with opened() as journal, closing(journal.connect()) as connection:
        add(journal, b"1")
        Path("journal.db").rename("away.db")
        with pytest.raises(FallbackFileError, match="No such file"):
            journal.set_state(Standing("away", 0))
        with closing(sqlite3.connect("journal.db")):
            Path("journal.db").touch()
        connection.execute("BEGIN IMMEDIATE")
        with pytest.raises(FallbackFileError, match="replaced while it was in use"):
            journal.append(connection, identity="i", document=b"d", rows=1)
        assert not connection.in_transaction


def test_a_full_disk_is_reported_and_the_journal_works_again_with_room() -> None:
    with opened() as journal, closing(journal.connect()) as connection:
        (pages,) = connection.execute("PRAGMA page_count").fetchone()
        connection.execute(f"PRAGMA max_page_count = {pages + 2}")
        connection.execute("BEGIN IMMEDIATE")
        with pytest.raises(FallbackFileError, match=r"no room left.*Nothing.*make room") as caught:
            journal.append(connection, identity="i", document=b"x" * 100_000, rows=1)
        assert not caught.value.damaged
        assert not connection.in_transaction
        connection.execute("PRAGMA max_page_count = 1000000")
        assert add(journal, b"x" * 100_000) == [1]


@POSIX
def test_a_limit_of_the_size_of_files_is_reported_and_nothing_is_half_stored() -> None:
    printed = run(
        """
        import resource
        from contextlib import closing
        from pathlib import Path
        from tests.fallback.journals import add, opened
        from vinci_code.core.errors import FallbackFileError

        with opened() as journal, closing(journal.connect()) as connection:
            stored = len(add(journal, b"before"))
            resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, resource.RLIM_INFINITY))
            try:
                while True:
                    connection.execute("BEGIN IMMEDIATE")
                    seq = journal.append(
                        connection, identity="i", document=b"x" * 20_000, rows=1
                    )
                    with journal.explained():
                        connection.execute("COMMIT")
                    stored += 1
            except FallbackFileError as error:
                print(error.damaged, "make room" in str(error))
            connection.rollback()
            resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
            print(journal.counts().waiting == len(journal.waiting()) == stored > 1)
            print(add(journal, b"after") == [stored + 1])
        """
    )
    assert printed == "False True\nTrue\nTrue\n"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork()")
def test_a_forked_child_has_a_journal_of_its_own_and_no_lock() -> None:
    printed = run(
        """
        import os
        from tests.fallback.journals import add, opened

        with opened() as journal:
            add(journal, b"1")
            with journal.replaying() as mine:
                child = os.fork()
                if child == 0:
                    with journal.replaying() as its:
                        add(journal, b"2")
                        os.write(1, f"child {its} {journal.counts().waiting}\\n".encode())
                    os._exit(0)
                assert os.waitpid(child, 0) == (child, 0)
                with journal.replaying() as again:
                    print("parent", mine, again, journal.counts().waiting, flush=True)
            # A child that lives on keeps nothing of the parent's.
            lock = journal.replaying()
            lock.__enter__()
            read, write = os.pipe()
            ready, there = os.pipe()
            child = os.fork()
            if child == 0:
                os.close(write)
                os.write(there, b".")
                os.read(read, 1)
                os._exit(0)
            os.read(ready, 1)
            lock.__exit__(None, None, None)
            with journal.replaying() as mine:
                print(mine, flush=True)
            os.close(write)
            os.waitpid(child, 0)
        """
    )
    assert printed == "child False 2\nparent True False 2\nTrue\n"


@POSIX
def test_a_folder_or_file_without_rights_is_refused_by_name() -> None:
    with a_folder_without_root_rights() as folder:
        path = folder / "journal.db"
        folder.chmod(0o500)
        with pytest.raises(FallbackFileError, match="may not be written") as caught, opened(path):
            pass
        assert not caught.value.damaged
        folder.chmod(0o700)
        with opened(path) as journal:
            add(journal, b"1")
        path.chmod(0o400)
        with pytest.raises(FallbackFileError, match="may write it") as caught, opened(path):
            pass
        assert not caught.value.damaged
        path.chmod(0o600)
        with opened(path) as journal:
            assert waiting(journal) == [1]


@pytest.mark.skipif(os.name == "nt" or os.geteuid() != 0, reason="only root makes files of others")
def test_a_file_of_another_user_that_others_may_read_is_refused() -> None:
    with opened() as journal:
        add(journal, b"1")
    os.chown("journal.db", 65533, 65533)
    Path("journal.db").chmod(0o644)
    with pytest.raises(FallbackFileError, match="another user") as caught, opened():
        pass
    assert not caught.value.damaged
    assert stat.S_IMODE(Path("journal.db").stat().st_mode) == 0o644
