"""How far a revision has come, so that it can be taken up again where it was interrupted.

A warehouse has no transaction around DDL: a migration that dies between two statements leaves the
first one done. So each statement of a revision that changes something is written down before it
is sent, and statements that are known to be done are left out the next time. The note is a
property of Alembic's own version table, and goes when the revision's number is written there.

Of the one statement that was under way nobody knows whether it was run. DDL is sent again, and what
the warehouse then says to be there already, or to be gone already, counts as done. A statement that
changes rows is not repeated: the migration stops with :class:`UnknownOutcomeError`, until
:func:`settle_interrupted` says what was found in the table.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Callable
from typing import Any, TypeVar

from sqlalchemy.engine import Connection
from sqlalchemy.exc import DBAPIError

from vinci_code.core.errors import VinciError
from vinci_code.database.dialect.dberrors import AmbiguousWriteError
from vinci_code.database.dialect.sql.constructs import TRAITS
from vinci_code.database.dialect.text.literals import quote_text
from vinci_code.database.dialect.text.scanning import DEFINITION, LOOK, QUERY, describe, words_of

PROPERTY = "vinci.migration_progress"
"""The property of the version table that holds the note."""

_T = TypeVar("_T")

# What is done again, and may be done twice, beside queries and DDL. Any other statement may change
# rows.
_REPEATED = frozenset(
    """
    ANALYZE CACHE CLEAR CONVERT DECLARE FSCK MSCK OPTIMIZE REFRESH REORG REPAIR RESET SET SYNC
    UNCACHE USE VACUUM
    """.split()
)
_DDL = ("CREATE", "ALTER", "DROP", "COMMENT", "REPLACE", "UNDROP", "GRANT", "REVOKE")
_IS_THERE = re.compile(r"ALREADY_EXISTS|MULTIPLE_PRIMARY_KEYS")
_IS_GONE = re.compile(r"NOT_FOUND|DOES_NOT_EXIST|UNRESOLVED_COLUMN")


class UnknownOutcomeError(VinciError):
    """A migration was interrupted while it changed rows: nobody knows whether it did."""


class RevisionProgress:
    """The note about the revision that a connection runs; the version table is given as SQL."""

    def __init__(self, connection: Connection, version_table: str) -> None:
        self._connection = connection
        self._table = version_table
        self._loaded = False
        self._heads: list[str] = []
        self._done: list[str] = []
        self._to_skip: Counter[str] = Counter()
        self._interrupted: str | None = None

    def run(self, statement: str, execute: Callable[[], _T], *, repeatable: bool) -> _T | None:
        """Run a statement, unless it is done already.

        It is ``repeatable`` where running it twice is the same as once, or refused.

        Raises:
            UnknownOutcomeError: It may have been run before, and is not repeatable.
        """
        self._load()
        digest = _digest(statement)
        if self._to_skip[digest]:
            self._to_skip[digest] -= 1
            return None
        resumed = digest == self._interrupted
        self._interrupted = None if resumed else self._interrupted
        if resumed and not repeatable:
            raise UnknownOutcomeError(_question(statement))
        self._write(started=digest)
        try:
            result = execute()
        except DBAPIError as error:
            if not (resumed and _says_done(statement, error)):
                if _is_answered(error):
                    self._write(started=None)
                raise
            result = None
        self._done.append(digest)
        if not repeatable:
            self._write(started=None)
        return result

    def finish(self) -> None:
        """Forget the note: the number of the revision is written."""
        # Always: a note that has outlived its revision must not meet it again after a downgrade.
        self._connection.exec_driver_sql(
            f"ALTER TABLE {self._table} UNSET TBLPROPERTIES IF EXISTS ('{PROPERTY}')",
            execution_options={TRAITS: DEFINITION},
        )
        self._loaded = False

    def _load(self) -> None:
        if self._loaded:
            return
        heads = self._connection.exec_driver_sql(
            f"SELECT version_num FROM {self._table}",  # noqa: S608 - a name
            execution_options={TRAITS: QUERY},
        )
        self._heads = sorted(heads.scalars())
        note = _read(self._connection, self._table)
        # The number of the revision was written, and the note outlived it.
        is_stale = note.get("from") != self._heads
        self._done = [] if is_stale else list(note["done"])
        self._to_skip = Counter(self._done)
        self._interrupted = None if is_stale else note["started"]
        self._loaded = True

    def _write(self, started: str | None) -> None:
        note = {"from": self._heads, "done": self._done, "started": started}
        _write(self._connection, self._table, note)

    @property
    def resumes(self) -> bool:
        """Whether something of this revision was done before."""
        self._load()
        return bool(self._done)


def settle_interrupted(
    connection: Connection, *, was_run: bool, version_table: str = "alembic_version"
) -> None:
    """Say whether the statement that was under way when a migration ended has changed its rows.

    The next upgrade goes on behind it, or with it.

    Args:
        connection: A connection to the database.
        was_run: Whether the rows are changed.
        version_table: The version table, as SQL.
    """
    note = _read(connection, version_table)
    if note.get("started"):
        done = [*note["done"], note["started"]] if was_run else note["done"]
        _write(connection, version_table, {**note, "done": done, "started": None})


def _read(connection: Connection, table: str) -> dict[str, Any]:
    found = connection.exec_driver_sql(
        f"SHOW TBLPROPERTIES {table}", execution_options={TRAITS: LOOK}
    )
    properties = {row[0]: row[1] for row in found}
    note: dict[str, Any] = json.loads(properties.get(PROPERTY, "{}"))
    return note


def _write(connection: Connection, table: str, note: dict[str, Any]) -> None:
    connection.exec_driver_sql(
        f"ALTER TABLE {table} SET TBLPROPERTIES ('{PROPERTY}' = {quote_text(json.dumps(note))})",
        execution_options={TRAITS: DEFINITION},
    )


def _question(statement: str) -> str:
    start = " ".join(statement.split())[:200]
    return (
        "The migration was interrupted while this statement was under way, and whether it was run "
        f"is not known: {start} -- Look at the rows, then say what you found with "
        "vinci_code.database.dialect.alembic.settle_interrupted(connection, was_run=…), and "
        "migrate again."
    )


def changes_rows(statement: str) -> bool:
    """Whether a statement changes rows, or may."""
    traits = describe(statement)
    return not traits.reads and traits.keyword not in _REPEATED.union(_DDL)


def changes_tables(statement: str) -> bool:
    """Whether a statement is DDL."""
    return describe(statement).keyword in _DDL


def _digest(statement: str) -> str:
    return hashlib.sha256(statement.encode()).hexdigest()[:12]


def _says_done(statement: str, error: DBAPIError) -> bool:
    """Whether the warehouse refuses a statement because its work is done already."""
    said = str(getattr(error.orig, "error_class", None) or "")
    words = set(words_of(statement))
    if words & {"DROP", "RENAME"} and _IS_GONE.search(said):
        return True
    return bool(words & {"CREATE", "ADD", "RENAME"} and _IS_THERE.search(said))


def _is_answered(error: DBAPIError) -> bool:
    """Whether the warehouse itself has refused the statement."""
    if isinstance(error.orig, AmbiguousWriteError):
        return False
    return bool(getattr(error.orig, "error_class", None) or getattr(error.orig, "sqlstate", None))
