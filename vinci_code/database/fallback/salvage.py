"""Take what is whole out of a damaged journal into a new one.

SQLite refuses a file whose pages do not fit each other, and takes a log (-wal) for ended where a
frame is not whole. Here nothing of that is asked: their bytes are searched (remains.py).

A unit that is found may have arrived long ago, or may never have been committed: old pages and old
frames keep what stood in them. So each is parked in the new journal, for somebody to look up, but
for those of which it is found that they had left the former one: that is true for ever. What is
neither found nor known to have left, of all that were stored, is counted as lost. The damaged file
and its log are kept under another name.
"""

from __future__ import annotations

import secrets
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

from vinci_code.core.errors import FallbackFileError
from vinci_code.database.fallback import journal_tables as tables
from vinci_code.database.fallback.journal_file import (
    JournalFile,
    files_explained,
    make_file,
    sqlite_explained,
    switch_log_on,
    sync_folder,
)
from vinci_code.database.fallback.journal_tables import SALVAGED, Place
from vinci_code.database.fallback.records import Entry, Ledger, State, pack
from vinci_code.database.fallback.remains import Left, Remains, find_units, opened

_REASON = (
    "the file of the fallback was damaged, and this was found in what was left of it: find out "
    "whether it is on the warehouse already; discard it if it is, and retry it with --not-written "
    "if it is not"
)


@dataclass(frozen=True)
class Salvaged:
    """What became of a damaged journal.

    Attributes:
        path: The new journal.
        kept_as: The name of the damaged one now; its log has the same with ``-wal``.
        units: How many units were found whole; all are parked.
        broken: How many records were found that are not whole, and nowhere else either.
        lost: How many units were neither found nor are known to have left the journal.
    """

    path: Path
    kept_as: Path
    units: int
    broken: int
    lost: int


def salvage(path: Path) -> Salvaged:
    """Put a new journal in the place of a damaged one, with every unit that is found whole, parked.

    Repeated after it was broken off, it goes on.

    Args:
        path: The damaged file. No process may have it open.

    Raises:
        FallbackFileError: It is in use, is not there, or is not damaged; or the new one cannot be
            made. The file was left as it is.
    """
    file = JournalFile(path)
    with files_explained(file.path):
        if not any(file.beside(ending).exists() for ending in ("", "-wal", ".mark")):
            raise FallbackFileError(f"There is no file of the fallback {file.path}.")
        try:
            if not file.mark.take():
                raise FallbackFileError(
                    f"The file of the fallback {file.path} is in use. To fix it: end every process "
                    "that has it open, and begin again."
                )
            return _salvage(file)
        finally:
            file.mark.close()


def _salvage(file: JournalFile) -> Salvaged:
    made, broken = file.beside(".salvaged"), 0
    if not made.exists():
        if _is_sound(file):
            raise FallbackFileError(
                f"The file of the fallback {file.path} is not damaged; it was left as it is."
            )
        broken = _make(file, made)
    kept_as = _keep_damaged(file)
    made.replace(file.path)
    sync_folder(file.path.parent)
    with file.looked_at() as connection:
        ledger = tables.read_ledger(file, connection)
        counts = tables.count(file, connection, ledger)
    file.mark.note(ledger, anew=True)
    return Salvaged(file.path, kept_as, counts.parked, broken, counts.lost)


def _is_sound(file: JournalFile) -> bool:
    """Whether all that is to be in the file is there and whole."""
    if not file.path.exists() or not file.path.stat().st_size:
        return False
    noted = file.mark.read()
    try:
        file.check_ours()
        with file.looked_at() as connection:
            ledger = tables.read_ledger(file, connection)
            tables.check_end(file, ledger, noted)
            counts = tables.count(file, connection, ledger)
            tables.read_batches(file, connection)
            tables.read_standing(file, connection)
            tables.read_mirrors(file, connection)
            for seq in tables.all_seqs(connection):
                place = tables.read_place(connection, seq)
                if place is None or tables.read_entry(connection, place).state is State.DAMAGED:
                    return False
            checked = connection.execute("PRAGMA quick_check(1)").fetchone()
            return not counts.missing and checked == ("ok",)
    except FallbackFileError:
        return False


def _make(file: JournalFile, made: Path) -> int:
    """Make the new file, whole under its name at once; how many records were broken."""
    with opened(file.path) as main, opened(file.beside("-wal")) as log:
        remains = Remains(main, log)
        left = remains.left()
        found, broken = find_units(remains, left)
        ledger = _ledger(file, remains, [seq for seq, _ in found], left)
        making = file.beside(".salvaging")
        make_file(making, ledger)
        with (
            sqlite_explained(making),
            closing(sqlite3.connect(making, isolation_level=None)) as connection,
        ):
            connection.execute("PRAGMA synchronous = EXTRA")
            connection.execute("BEGIN EXCLUSIVE")
            for seq, spot in found:
                _park(connection, seq, remains.entry(spot))
            for first, last in _gaps([seq for seq, _ in found], ledger.appended):
                tables.end_run(file, connection, first, last)
            connection.execute("COMMIT")
    switch_log_on(making)
    making.replace(made)
    sync_folder(made.parent)
    return broken


def _park(connection: sqlite3.Connection, seq: int, entry: Entry) -> None:
    record = pack(
        seq=seq,
        identity=entry.identity,
        committed_at=entry.committed_at,
        rows=entry.rows,
        document=entry.document,
    )
    tables.write_record(connection, seq, record)
    tables.write_place(
        connection,
        Place(seq, State.PARKED, _REASON, SALVAGED, entry.committed_at, entry.rows, len(record)),
    )


def _gaps(seqs: list[int], last: int) -> Iterator[tuple[int, int]]:
    """The runs up to the last that are not among numbers in order."""
    expected = 1
    for seq in [*seqs, last + 1]:
        if seq > expected:
            yield expected, seq - 1
        expected = seq + 1


def _ledger(file: JournalFile, remains: Remains, found: list[int], left: Left) -> Ledger:
    """The ledger of the new file: what is known of the former one, and what is lost."""
    noted = file.mark.read()
    known = [*remains.ledgers(), *([noted] if noted else [])]
    last = max(known, key=lambda ledger: ledger.version, default=Ledger(b"\0" * 16))
    appended = max(last.appended, left.last, *found, 0)
    gone = appended - len(found)
    # Where what has left is not all found, no more is lost than was kept.
    lost = min(gone - min(gone, len(left)), last.kept + appended - last.appended)
    lost_before = min(last.lost, gone - lost)
    done = min(last.done, gone - lost - lost_before)
    return Ledger(
        secrets.token_bytes(16),
        appended=appended,
        done=done,
        discarded=gone - lost - lost_before - done,
        lost=lost + lost_before,
    )


def _keep_damaged(file: JournalFile) -> Path:
    """Give the damaged file and its log another name; at no time is the file's name free."""
    time = datetime.now(timezone.utc).strftime("%Y%m%dT%H%M%S")
    kept_as = file.beside(f".damaged-{time}")
    number = 1
    while kept_as.exists():
        number += 1
        kept_as = file.beside(f".damaged-{time}-{number}")
    if file.path.exists():
        try:
            kept_as.hardlink_to(file.path)
        except OSError:  # the disk has no links
            shutil.copy2(file.path, kept_as)
    log = file.beside("-wal")
    if log.exists():
        log.replace(kept_as.with_name(kept_as.name + "-wal"))
    # SQLite would read the new file with what these say of the former one.
    for ending in ("-shm", "-journal"):
        file.beside(ending).unlink(missing_ok=True)
    sync_folder(file.path.parent)
    return kept_as
