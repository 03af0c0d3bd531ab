"""The SQLite file of the fallback: that it is ours, private, whole, and on a disk that keeps it.

Nothing here opens the file by other means than SQLite: the end of any other opening of it would
end the locks that SQLite has on it in this process, as POSIX has it. So its mode is set by its
name, and whose it is is asked through a connection that takes no locks and writes nothing.

All tables are made before the write-ahead log is switched on, so that the main file says whose it
is and of which format even where its log is lost.
"""

from __future__ import annotations

import os
import secrets
import sqlite3
import stat
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import NamedTuple

from vinci_code import __version__
from vinci_code.core.errors import FallbackFileError
from vinci_code.core.files import warn_if_exposed
from vinci_code.database.fallback.marks import PATIENCE_S, Mark
from vinci_code.database.fallback.records import Ledger

BUSY_TIMEOUT_S = 30.0
"""How long a statement waits for another connection to finish writing."""

PAGE_SIZE = 4096
_FORMAT = 1
_APPLICATION = 0x56694642  # "ViFB"

_TABLES = (
    "vinci_journal (one INTEGER PRIMARY KEY, release TEXT, ledger BLOB)",
    "vinci_journal_units (seq INTEGER PRIMARY KEY, record BLOB)",
    """vinci_journal_places (seq INTEGER PRIMARY KEY, state TEXT, reason TEXT, batch TEXT,
    committed_at TEXT, rows INTEGER, size INTEGER, seal BLOB)""",
    "vinci_journal_ended (first INTEGER PRIMARY KEY, last INTEGER, run BLOB)",
    """vinci_journal_batches (identity TEXT PRIMARY KEY, verb TEXT, began REAL, copies INTEGER,
    reason TEXT, seal BLOB) WITHOUT ROWID""",
    """vinci_journal_standing (one INTEGER PRIMARY KEY, word TEXT, since REAL, reason TEXT,
    attempt INTEGER, next_try REAL, seal BLOB)""",
    """vinci_journal_mirrors (name TEXT PRIMARY KEY, as_of TEXT, version INTEGER, rows INTEGER,
    seal BLOB) WITHOUT ROWID""",
)

_SALVAGE = (
    "To fix it: end every process that uses it, and run `vinci fallback salvage` with its name: "
    "the damaged file is kept, and what is whole is taken over."
)


class JournalFile:
    """The file of a journal and those beside it; nothing is opened before it is asked for.

    Attributes:
        path: The file, with every link followed.
        mark: The mark beside it.
        ledger: A ledger whose bytes are known, in case that they are read again.
    """

    def __init__(self, path: Path) -> None:
        # SQLite follows a link as well, and puts its log beside the target.
        self.path = Path(os.path.realpath(path))
        self.mark = Mark(self.beside(".mark"))
        self.ledger: Ledger | None = None
        self._identity: tuple[int, int] | None = None

    def beside(self, ending: str) -> Path:
        """The file beside it whose name has this ending more."""
        return self.path.with_name(self.path.name + ending)

    def prepare(self) -> None:
        """Make the file where it is not there, or check that it is one of ours, and private.

        Raises:
            FallbackFileError: It cannot be used; it was left as it was.
        """
        try:
            with files_explained(self.path):
                _check_folder(self.path.parent)
                if not self._is_empty():
                    self.check_ours()  # a file of somebody else is left as it is
                self._check_private()
                self._wait_for_file()
                self.check_ours()
                self._check_private()
                warn_if_exposed(self.path, "units of work")
                self._identity = _identity_of(self.path)
        except BaseException:
            self.mark.close()  # it is not in use: whoever salvages it may have it
            raise

    def connect(self, factory: type[sqlite3.Connection] = sqlite3.Connection) -> sqlite3.Connection:
        """Open a connection that is set up as all must be.

        Write-ahead log, synced at each commit; no transaction but by BEGIN; foreign keys not
        enforced, since the warehouse does not either.

        Raises:
            FallbackFileError: It cannot be opened.
        """
        with sqlite_explained(self.path):
            connection = sqlite3.connect(
                f"{self.path.as_uri()}?mode=rw",
                uri=True,
                timeout=BUSY_TIMEOUT_S,
                isolation_level=None,
                check_same_thread=False,
                factory=factory,
            )
            try:
                _set_up(connection, self.path)
            except BaseException:
                connection.close()
                raise
            return connection

    @contextmanager
    def looked_at(self) -> Iterator[sqlite3.Connection]:
        """Read the file in one transaction, and leave all of it as it is.

        A connection that may write would, at its end, take over what SQLite believes of the log and
        remove the log: with a damage in it, what stands behind that would be gone.

        Raises:
            FallbackFileError: It cannot be read.
        """
        uri = f"{self.path.as_uri()}?mode=ro"
        with (
            sqlite_explained(self.path),
            closing(sqlite3.connect(uri, uri=True, timeout=BUSY_TIMEOUT_S)) as connection,
        ):
            connection.isolation_level = None
            connection.text_factory = any_text
            connection.execute("BEGIN")
            yield connection

    def check_ours(self) -> None:
        """See that it is a file of ours, of this format, without writing anything.

        Raises:
            FallbackFileError: It is not.
        """
        if self.beside(".salvaged").exists():
            raise self.damaged("its salvage was broken off")
        uri = f"{self.path.as_uri()}?mode=ro&immutable=1"
        try:
            with closing(sqlite3.connect(uri, uri=True)) as connection:
                head = _head(connection)
        except sqlite3.Error as error:
            if not self._is_noted():
                raise self._not_ours(str(error)) from error
            # Without its log, a file that somebody is just taking the log over into is no whole one
            # ("database disk image is malformed"), or one who was killed at that. It is one of
            # ours, so that it may be opened with its log.
            try:
                with self.looked_at() as connection:
                    head = _head(connection)
            except FallbackFileError as found:
                raise self._not_ours(str(error)) from found
        if head.application != _APPLICATION:
            raise self._not_ours("it belongs to another application")
        if head.format != _FORMAT or head.page_size != PAGE_SIZE:
            raise self._of_other_format(head.format)

    def check_there(self) -> None:
        """See that the name is still that of the file that was prepared.

        Raises:
            FallbackFileError: What is committed would go to a file that nobody finds any more.
        """
        with files_explained(self.path):
            if self._identity not in (None, _identity_of(self.path)):
                raise FallbackFileError(
                    f"The file of the fallback {self.path} was replaced while it was in use. "
                    "Nothing of this was stored. To fix it: end every process that uses it, and "
                    "start them again.",
                    damaged=True,
                )

    def damaged(self, what: str) -> FallbackFileError:
        """The error of a file that is not as it was left."""
        return FallbackFileError(
            f"The file of the fallback {self.path} is damaged: {what}. {_SALVAGE}", damaged=True
        )

    def _check_private(self) -> None:
        for ending in ("", "-wal", "-shm", ".lock", ".mark"):
            path = self.beside(ending)
            if path.exists():
                # SQLite gave a log the mode of the file, which may have been read-only then.
                _make_private(path, but=0 if ending else 0o600)

    def _wait_for_file(self) -> None:
        """Go on when the file is there, made by this process or by another one."""
        deadline = time.monotonic() + PATIENCE_S
        while self._is_empty():
            if self.mark.take():
                try:
                    self._make_first()
                finally:
                    self.mark.give_back()
            elif time.monotonic() > deadline:
                raise FallbackFileError(
                    f"The file of the fallback {self.path} is gone, though other processes have it "
                    "open. To fix it: end them, and start them again."
                )
            else:
                time.sleep(0.01)
        if not self.mark.share():
            raise FallbackFileError(
                f"The file of the fallback {self.path} is being salvaged by another process. To "
                "fix it: wait for its end, and start again."
            )

    def _make_first(self) -> None:
        if not self._is_empty():
            return
        if self.beside(".salvaged").exists():
            raise self.damaged("its salvage was broken off")
        noted = self.mark.read()
        if noted is not None and noted.kept:
            raise self.damaged(f"it is empty or gone, and {noted.kept} units of work stood in it")
        log = self.beside("-wal")
        if log.exists() and log.stat().st_size:
            raise self.damaged("it is empty or gone, and its log (-wal) is there")  # SQLite
            # would begin with removing that.
        ledger = Ledger(secrets.token_bytes(16))
        made = self.beside(".making")
        make_file(made, ledger)
        switch_log_on(made)
        made.replace(self.path)
        sync_folder(self.path.parent)
        self.mark.note(ledger, anew=True)

    def _is_empty(self) -> bool:
        if not self.path.exists():
            return True
        _check_regular(self.path)
        return self.path.stat().st_size == 0

    def _is_noted(self) -> bool:
        return self.mark.path.exists() and self.mark.read() is not None

    def _not_ours(self, what: str) -> FallbackFileError:
        if self._is_noted():
            return self.damaged(what)
        return FallbackFileError(
            f"{self.path} is not a file of the fallback: {what}. It was left as it is. To fix it: "
            "name another file with DATABRICKS_FALLBACK_FILE."
        )

    def _of_other_format(self, found: int) -> FallbackFileError:
        release = "another release"
        uri = f"{self.path.as_uri()}?mode=ro&immutable=1"
        try:
            with closing(sqlite3.connect(uri, uri=True)) as connection:
                (made_by,) = connection.execute("SELECT release FROM vinci_journal").fetchone()
                release = f"release {made_by}"
        except (sqlite3.Error, TypeError):
            pass
        return FallbackFileError(
            f"The file of the fallback {self.path} has format {found}, made by {release} of "
            f"vinci_code; this is release {__version__}, which has format {_FORMAT}. It was left "
            f"as it is. To fix it: use {release} until nothing waits in it, or name another file "
            "with DATABRICKS_FALLBACK_FILE."
        )


class _Head(NamedTuple):
    application: int
    format: int
    page_size: int


def _head(connection: sqlite3.Connection) -> _Head:
    """What the first page says of whose a file is."""
    asked = "application_id", "user_version", "page_size"
    return _Head(*(connection.execute(f"PRAGMA {name}").fetchone()[0] for name in asked))


def any_text(found: bytes) -> str:
    """A text of the journal; what is no text gets another one, which its seal tells."""
    return found.decode("utf-8", "replace")


class sqlite_explained:  # noqa: N801 - it is used as a function is
    """Turn what SQLite says meanwhile into a ``FallbackFileError`` that says what to do.

    A class, since each unit of work passes here three times, and a generator takes twice as long.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        if isinstance(error, sqlite3.Error):
            raise _explain(error, self._path) from error


@contextmanager
def files_explained(path: Path) -> Iterator[None]:
    """Turn what the system says of a file into a ``FallbackFileError``."""
    try:
        yield
    except OSError as error:
        raise FallbackFileError(
            f"The file of the fallback {path} cannot be used: {error.strerror or error}"
            f" ({error.filename or path}). To fix it: see that its folder is there, and that you "
            "may write the file and its folder, or name another file with DATABRICKS_FALLBACK_FILE."
        ) from error


def _explain(error: sqlite3.Error, path: Path) -> FallbackFileError:
    """Say in our words what SQLite could not do; raise the result ``from`` the error."""
    said = str(error)
    where = f"The file of the fallback {path}"
    for marks, what, fix in _REASONS:
        if any(mark in said for mark in marks):
            return FallbackFileError(
                f"{where} {what}: {said}. Nothing of this was stored. To fix it: {fix}."
            )
    if isinstance(error, (sqlite3.ProgrammingError, sqlite3.InterfaceError)):
        return FallbackFileError(f"{where} was used in a wrong way: {said}.")
    return FallbackFileError(f"{where} is damaged: {said}. {_SALVAGE}", damaged=True)


_REASONS = (
    (
        ("full",),
        "has no room left",
        "make room on its disk; then it works again",
    ),
    (
        ("disk I/O error",),
        "could not be written or read",
        "make room on its disk, and see whether the disk is sound and files have a limit of size",
    ),
    (
        ("locked", "busy"),
        f"was being written by somebody else for {BUSY_TIMEOUT_S:.0f} seconds",
        "let transactions be short, and see whether a process hangs that has it open",
    ),
    (
        ("readonly", "unable to open", "access permission", "authoriz"),
        "cannot be written",
        "see that it is there, and that you may write it and its folder",
    ),
    (
        ("too big", "out of memory"),
        "cannot take a unit of work of this size",
        "commit fewer rows at once",
    ),
    (
        ("interrupted",),
        "was interrupted",
        "repeat the unit of work",
    ),
)


def make_file(path: Path, ledger: Ledger) -> None:
    """Make a file of a journal, with its first ledger and its tables in it and nothing else.

    It is made under a name of its own and renamed when it is whole, so that nobody ever sees half.
    One of this name is what a process that was killed left.
    """
    for ending in ("", "-journal", "-wal", "-shm"):
        path.with_name(path.name + ending).unlink(missing_ok=True)
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    with sqlite_explained(path), closing(sqlite3.connect(path, isolation_level=None)) as made:
        made.execute(f"PRAGMA page_size = {PAGE_SIZE}")
        made.execute("PRAGMA synchronous = EXTRA")
        made.execute("BEGIN EXCLUSIVE")
        made.execute(f"PRAGMA application_id = {_APPLICATION}")
        made.execute(f"PRAGMA user_version = {_FORMAT}")
        for table in _TABLES:
            made.execute(f"CREATE TABLE {table}")
        made.execute("INSERT INTO vinci_journal VALUES (1, ?, ?)", (__version__, ledger.packed))
        made.execute("COMMIT")


def switch_log_on(path: Path) -> None:
    """Give a new file its write-ahead log, before it gets the name under which others use it.

    The switch writes a rollback journal. With the one of a process that was killed here, nobody
    who only reads could open the file: "attempt to write a readonly database".
    """
    with sqlite_explained(path), closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA synchronous = EXTRA")
        _require_log(connection, path)


def sync_folder(folder: Path) -> None:
    """Have the disk keep the names in a folder."""
    if os.name == "nt":
        return  # Windows opens no folders, and keeps names by itself
    number = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)


def _check_folder(folder: Path) -> None:
    wrong = None
    if not folder.is_dir():
        wrong = "does not exist"
    elif not os.access(
        folder, os.W_OK | os.X_OK, effective_ids=os.access in os.supports_effective_ids
    ):
        wrong = "may not be written"
    else:
        try:
            sync_folder(folder)
        except OSError as error:
            wrong = f"cannot be synced ({error.strerror}), so that it keeps nothing for certain"
    if wrong:
        raise FallbackFileError(
            f"The folder {folder} of the file of the fallback {wrong}. To fix it: name a file in "
            "another folder with DATABRICKS_FALLBACK_FILE, or make this one fit."
        )


def _check_regular(path: Path) -> None:
    if not stat.S_ISREG(path.stat().st_mode):
        raise FallbackFileError(
            f"{path} is not a file. To fix it: name another file with DATABRICKS_FALLBACK_FILE."
        )


def _identity_of(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_dev, status.st_ino


def _make_private(path: Path, but: int) -> None:
    """Give a file the mode 0600, but where its mode is that with some of these bits less."""
    _check_regular(path)
    status = path.stat()
    mode = stat.S_IMODE(status.st_mode)
    if os.name == "nt" or mode | but == 0o600:
        return
    if status.st_uid != os.geteuid():
        raise FallbackFileError(
            f"{path} may be read by others, and belongs to another user of this machine. To fix "
            f"it: have its owner make it private (chmod 600 {path}), or name another file with "
            "DATABRICKS_FALLBACK_FILE."
        )
    path.chmod(0o600)


def _set_up(connection: sqlite3.Connection, path: Path) -> None:
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA fullfsync = ON")  # what a sync is on macOS
    connection.execute("PRAGMA checkpoint_fullfsync = ON")
    connection.execute("PRAGMA foreign_keys = OFF")
    connection.execute("PRAGMA secure_delete = FAST")  # fewer ghosts of what is done
    _require_log(connection, path)


def _require_log(connection: sqlite3.Connection, path: Path) -> None:
    deadline = time.monotonic() + BUSY_TIMEOUT_S
    while (mode := _log_mode(connection)) is None:
        # Somebody else has the whole file for a moment: this PRAGMA ignores the busy timeout.
        if time.monotonic() > deadline:
            raise sqlite3.OperationalError("database is locked")
        time.sleep(0.01)
    if mode != "wal":
        raise FallbackFileError(
            f"The file of the fallback {path} cannot have a write-ahead log. To fix it: name a "
            "file on a disk of this machine with DATABRICKS_FALLBACK_FILE."
        )


def _log_mode(connection: sqlite3.Connection) -> str | None:
    """Ask for the write-ahead log; the mode that is set, ``None`` to ask again."""
    try:
        return str(connection.execute("PRAGMA journal_mode = WAL").fetchone()[0])
    except sqlite3.OperationalError as error:
        if "locked" in str(error):
            return None
        raise
