"""A journal that is truncated or flipped anywhere: what is whole is found, the rest is named."""

from __future__ import annotations

import random
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.fallback.journals import add, opened
from tests.full import part, some
from vinci_code.core.errors import FallbackFileError, JournalError
from vinci_code.database.fallback.journal import Journal
from vinci_code.database.fallback.journal_file import PAGE_SIZE, JournalFile
from vinci_code.database.fallback.records import Counts, Entry, State
from vinci_code.database.fallback.salvage import Salvaged, salvage

pytestmark = part(3)


SEED = 20260131
DAMAGES = some(250, few=100)
PATH = Path("journal.db")
ENDINGS = ("", "-wal", "-shm", ".mark", ".lock")


@dataclass(frozen=True)
class Stored:
    """A journal as processes that were killed left it, and what was acknowledged of it."""

    folder: Path
    waiting: dict[int, bytes]
    parked: dict[int, bytes]
    sent: dict[int, bytes]
    done: set[int]

    @property
    def kept(self) -> dict[int, bytes]:
        return {**self.waiting, **self.parked, **self.sent}


def document_of(number: int, choice: random.Random) -> bytes:
    sizes = (20, 300, 2_000, 3_890, 4_100, 9_000, 60_000)
    return b"%d " % number + choice.randbytes(choice.choice(sizes))


def store(folder: Path, choice: random.Random, *, in_log: bool) -> Stored:
    """Units of all states and sizes, in the main file or mostly in its log."""
    documents: dict[int, bytes] = {}
    with opened(PATH) as journal, closing(journal.connect()) as other:

        def more(number: int) -> None:
            for _ in range(number):
                document = document_of(len(documents) + 1, choice)
                documents[add(journal, document)[0]] = document

        other.execute("PRAGMA wal_autocheckpoint = 0")
        more(30)
        journal.begin_batch("done", range(1, 11), verb="INSERT", began=1.0)
        journal.batch_committed("done")
        journal.park([12, 20], "taken")
        if not in_log:
            other.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        more(10)
        journal.begin_batch("sent", [13, 14], verb="INSERT", began=2.0)
        journal.discard([16])
        if not in_log:
            other.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        folder.mkdir()
        for ending in ENDINGS:
            if ending != "-shm":
                shutil.copy(f"{PATH}{ending}", folder) if Path(f"{PATH}{ending}").exists() else None
    ended = {*range(1, 11), 16}
    for seq in ended:
        documents.pop(seq)
    parked = {seq: documents.pop(seq) for seq in (12, 20)}
    sent = {seq: documents.pop(seq) for seq in (13, 14)}
    return Stored(folder, documents, parked, sent, ended)


def lay_out(stored: Stored, name: str) -> Path:
    folder = Path(name)
    folder.mkdir()
    for path in stored.folder.iterdir():
        shutil.copy(path, folder)
    return folder / PATH


def first_pages(log: bytes | bytearray) -> list[int]:
    """Where the log has the first page of the file."""
    frames = range(32, len(log), 24 + PAGE_SIZE)
    return [at + 24 for at in frames if log[at : at + 4] == (1).to_bytes(4, "big")]


def spoil_head(path: Path) -> bytes:
    """Damage the first 100 bytes of a file, and of what its log has of them; the damaged file."""
    log = path.with_name(f"{path.name}-wal")
    for spoiled in filter(Path.exists, (path, log)):
        content = bytearray(spoiled.read_bytes())
        for at in [0] if spoiled == path else first_pages(content):
            content[at : at + 100] = b"\xff" * 100
        spoiled.write_bytes(content)
    return path.read_bytes()


def check(path: Path, stored: Stored) -> str:
    """Open a damaged journal as an application does; how it ended."""
    try:
        with closing(Journal(path)) as journal:
            journal.prepare()
            journal.open_batches()
            journal.state()
            journal.mirrored()
            waiting = {entry.seq: entry for entry in journal.waiting()}
            entries = {entry.seq: entry for entry in journal.entries()}
            counts = journal.counts()
    except FallbackFileError as error:
        damaged = error.damaged
    else:
        return check_entries(stored, waiting, entries, counts)
    assert damaged
    check_salvaged(salvage(path), stored)
    return "salvaged"


def check_entries(
    stored: Stored, waiting: dict[int, Entry], entries: dict[int, Entry], counts: Counts
) -> str:
    missing = {seq for first, last in counts.missing for seq in range(first, last + 1)}
    assert set(entries) | missing == set(stored.kept)
    for seq, entry in entries.items():
        if entry.state is not State.DAMAGED:
            assert entry.document == stored.kept[seq]
    whole = {seq for seq, entry in entries.items() if entry.state is not State.DAMAGED}
    assert set(waiting) == whole & set(stored.waiting)
    assert all(entry.reason for entry in entries.values() if entry.state is State.DAMAGED)
    assert counts.damaged == len(set(entries) & set(stored.waiting) - whole)
    return "named" if whole != set(stored.kept) else "whole"


def check_salvaged(salvaged: Salvaged, stored: Stored) -> None:
    with opened(salvaged.path) as journal:
        entries = list(journal.entries())
        counts = journal.counts()
    assert {entry.state for entry in entries} <= {State.PARKED}
    assert counts.parked == salvaged.units == len(entries)
    assert (counts.missing, counts.damaged) == ((), 0)
    found = {entry.document for entry in entries}
    lost = [seq for seq, document in stored.kept.items() if document not in found]
    # What is lost is known, but for what neither the file, nor its log, nor the mark tells.
    assert salvaged.lost >= len(lost), (salvaged, lost)


@pytest.fixture
def choice() -> random.Random:
    print(f"seed {SEED}")
    return random.Random(SEED)


@pytest.mark.slow
@pytest.mark.parametrize("in_log", [False, True])
@pytest.mark.parametrize("kind", ["truncated", "flipped"])
def test_a_damage_anywhere_is_whole_named_or_salvaged(
    kind: str, in_log: bool, choice: random.Random
) -> None:
    stored = store(Path("stored"), choice, in_log=in_log)
    assert check(lay_out(stored, "sound"), stored) == "whole"
    ends = {"whole": 0, "named": 0, "salvaged": 0}
    for number in range(DAMAGES):
        path = lay_out(stored, str(number))
        target = path
        log = path.with_name(path.name + "-wal")
        if log.exists() and log.stat().st_size and number % 4:
            target = log
        content = bytearray(target.read_bytes())
        at = choice.randrange(len(content))
        if kind == "truncated":
            del content[at:]
        else:
            content[at] ^= 1 << choice.randrange(8)
            for _ in range(choice.choice((0, 0, 5, 100))):
                content[choice.randrange(len(content))] ^= 1 << choice.randrange(8)
        target.write_bytes(content)
        try:
            ends[check(path, stored)] += 1
        except BaseException:
            print(f"damage {number}: {kind} {target.name} at {at}")
            raise
        shutil.rmtree(path.parent)
    print(ends)
    assert ends["named"] + ends["salvaged"] > DAMAGES / 3


def test_all_that_is_whole_is_salvaged_and_parked(choice: random.Random) -> None:
    for in_log in (False, True):
        stored = store(Path(f"stored{in_log}"), choice, in_log=in_log)
        path = lay_out(stored, f"damaged{in_log}")
        content = spoil_head(path)
        with pytest.raises(FallbackFileError, match="damaged") as caught, opened(path):
            pass
        assert caught.value.damaged

        salvaged = salvage(path)

        assert (salvaged.lost, salvaged.broken) == (0, 0)
        assert salvaged.kept_as.read_bytes() == content
        with opened(path) as journal:
            entries = {entry.seq: entry for entry in journal.entries()}
            assert {seq: entry.document for seq, entry in entries.items()} == stored.kept
            assert {entry.state for entry in entries.values()} == {State.PARKED}
            assert "damaged" in str(entries[11].reason)
            assert journal.waiting() == []
            counts = journal.counts()
            assert (counts.appended, counts.done, counts.discarded) == (40, 10, 1)
            assert add(journal, b"more") == [41]
            with pytest.raises(JournalError, match="may be on the warehouse already"):
                journal.retry([11])
            journal.retry([11], not_written=True)
            assert [entry.seq for entry in journal.waiting()] == [11, 41]
        for ending in ENDINGS:
            Path(f"{PATH}{ending}").unlink(missing_ok=True)


def test_an_end_of_the_log_that_is_gone_is_named(choice: random.Random) -> None:
    stored = store(Path("stored"), choice, in_log=True)
    path = lay_out(stored, "damaged")
    log = path.with_name(path.name + "-wal")
    log.write_bytes(log.read_bytes()[: log.stat().st_size // 2])
    before = path.read_bytes(), log.read_bytes()
    with pytest.raises(FallbackFileError, match=r"its end is gone, and with it \d+ units"):
        Journal(path).prepare()
    assert (path.read_bytes(), log.read_bytes()) == before
    salvaged = salvage(path)
    assert salvaged.lost > 0
    assert salvaged.kept_as.with_name(salvaged.kept_as.name + "-wal").read_bytes() == before[1]


@pytest.mark.parametrize("left", ["", "-wal"])
def test_a_file_that_is_emptied_or_gone_is_not_made_anew(left: str, choice: random.Random) -> None:
    stored = store(Path("stored"), choice, in_log=True)
    path = lay_out(stored, "damaged")
    if not left:
        path.with_name(path.name + "-wal").unlink()
    for damage in (lambda: path.write_bytes(b""), path.unlink):
        damage()
        with pytest.raises(FallbackFileError, match="empty or gone"):
            Journal(path).prepare()
    salvaged = salvage(path)
    assert salvaged.units + salvaged.lost == len(stored.kept)
    with opened(path):
        pass


def test_a_sound_file_is_not_salvaged_nor_one_that_is_in_use() -> None:
    with pytest.raises(FallbackFileError, match="no file"):
        salvage(PATH)
    with opened(PATH) as journal:
        add(journal, b"1")
        with pytest.raises(FallbackFileError, match="in use"):
            salvage(PATH)
    with pytest.raises(FallbackFileError, match="not damaged"):
        salvage(PATH)
    with opened(PATH) as journal:
        assert [entry.document for entry in journal.waiting()] == [b"1"]


def broken_off(real: Callable[..., Any], after: int) -> Callable[..., Any]:
    left = iter(range(after))

    def call(*arguments: Any, **options: Any) -> Any:
        if next(left, None) is None:
            raise KeyboardInterrupt
        return real(*arguments, **options)

    return call


@pytest.mark.parametrize("at", ["replace", "hardlink_to", "unlink"])
def test_a_salvage_that_is_broken_off_goes_on(
    at: str, choice: random.Random, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored = store(Path("stored"), choice, in_log=True)
    for number in range(10):
        path = lay_out(stored, str(number))
        spoil_head(path)
        with monkeypatch.context() as patch:
            patch.setattr(Path, at, broken_off(getattr(Path, at), number))
            try:
                salvage(path)
            except KeyboardInterrupt:
                pass
            else:
                assert number
                break
        with pytest.raises(FallbackFileError):
            Journal(path).prepare()
        salvage(path)
        with opened(path) as journal:
            found = {entry.seq: entry.document for entry in journal.entries()}
            assert found == stored.kept
    else:
        pytest.fail("it was always broken off")


def test_a_process_that_is_killed_while_it_takes_its_log_over_leaves_no_damage() -> None:
    # It has written the first page, which says how long the file is, and no other one: without its
    # log the file is no whole one (https://www.sqlite.org/walformat.html, checkpoints).
    stored = store(Path("stored"), random.Random(SEED), in_log=True)
    log = (stored.folder / f"{PATH}-wal").read_bytes()
    main = bytearray((stored.folder / PATH).read_bytes())
    last = first_pages(log)[-1]
    main[:PAGE_SIZE] = log[last : last + PAGE_SIZE]
    (stored.folder / PATH).write_bytes(main)
    with (
        closing(sqlite3.connect(f"file:{stored.folder / PATH}?immutable=1", uri=True)) as alone,
        pytest.raises(sqlite3.DatabaseError, match="malformed"),
    ):
        alone.execute("PRAGMA application_id").fetchone()
    assert check(stored.folder / PATH, stored) == "whole"


def test_a_file_has_its_log_from_the_first_moment() -> None:
    # Two bytes of the first page say so (https://www.sqlite.org/fileformat.html, section 1.3).
    # What else switches it on writes a rollback journal, which a killed process would leave.
    file = JournalFile(PATH)
    file.prepare()
    file.mark.close()
    assert PATH.read_bytes()[18:20] == b"\x02\x02"
    assert sorted(path.name for path in Path().iterdir()) == [PATH.name, f"{PATH}.mark"]
    damaged = bytearray(PATH.read_bytes())
    damaged[PAGE_SIZE:] = b"x" * (len(damaged) - PAGE_SIZE)
    PATH.write_bytes(damaged)
    salvage(PATH)
    assert PATH.read_bytes()[18:20] == b"\x02\x02"
