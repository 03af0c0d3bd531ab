"""What is sent, as those who listen are told of it: once before it is sent, and once after.

Every statement passes one place, ``Connection`` of ``dbapi``, which tells an ``Observer``. Who
sends says what the statement is for; it is never read from its text.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any, Protocol

from vinci_code.database.dialect.text.binding import byte_length
from vinci_code.database.dialect.text.scanning import LOOKS, TRANSFERS, StatementTraits

if TYPE_CHECKING:
    from vinci_code.database.dialect.driver.transport import Call

_DEFINITIONS = frozenset({"ALTER", "COMMENT", "CREATE", "DROP", "REPLACE", "UNDROP"})


class StatementKind(str, Enum):
    """What a statement is sent for."""

    READ = "read"
    """A query of the application's; it may bring along what is held."""
    WRITE = "write"
    """A write within a transaction, or a text of the application's own that writes."""
    COMMIT = "commit"
    """The statement that commits a unit of work: with what it holds, or ``COMMIT``."""
    BEGIN = "begin"
    ROLLBACK = "rollback"
    GUARD = "guard"
    """A query that checks, before the commit, what was written since a savepoint or by a flush."""
    COUNT = "count"
    """A query for the number of rows that a held write matches."""
    PROBE = "probe"
    """A query that finds out what became of a commit whose answer was lost."""
    LOOK = "look"
    """A look at names and definitions."""
    KEYS = "keys"
    """What reserves a range of keys."""
    FILE = "file"
    """PUT, GET or REMOVE of a file in a volume."""
    DEFINITION = "definition"
    """DDL."""
    SESSION = "session"
    """USE, SET and the like, which the session keeps."""
    OTHER = "other"


def kind_of(statement: StatementTraits) -> StatementKind:
    """What a statement is for, where who sends it says nothing else."""
    kinds = {
        StatementKind.LOOK: statement.reads and statement.keyword in LOOKS,
        StatementKind.FILE: statement.keyword in TRANSFERS,
        StatementKind.READ: statement.reads,
        StatementKind.BEGIN: statement.begins_transaction,
        StatementKind.COMMIT: statement.ends_transaction and statement.keyword == "COMMIT",
        StatementKind.ROLLBACK: statement.ends_transaction,
        StatementKind.WRITE: statement.writes_rows,
        StatementKind.DEFINITION: statement.keyword in _DEFINITIONS,
        StatementKind.SESSION: statement.changes_session,
    }
    return next((kind for kind, is_it in kinds.items() if is_it), StatementKind.OTHER)


class UnitOutcome(str, Enum):
    """How a unit of work has ended."""

    COMMITTED = "committed"
    ROLLED_BACK = "rolled back"
    FAILED = "failed"
    """Its commit has raised an error; nothing was written, unless the error says something else."""
    IN_DOUBT = "in doubt"
    """Whether it was written is not known."""
    KEPT = "kept"
    """The fallback keeps it until the warehouse is back."""


@dataclass(eq=False)
class UnitOfWork:
    """A unit of work that has written or sent something.

    Attributes:
        id: Its own; the query tag ``vinci_unit`` of its statements.
        began: When it began, in seconds since the epoch.
        statements: How many statements it has sent.
        rows: How many rows it has sent to be written.
        bytes: How many bytes its statements and their parameters had.
        retries: How many statements were sent again.
        waited: Seconds that were spent waiting for a warehouse that starts or is busy.
        duration: Seconds from its beginning to its end; ``None`` until then.
        outcome: How it has ended; ``None`` until then.
        error: What it has failed with.
    """

    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    began: float = field(default_factory=time.time)
    statements: int = 0
    rows: int = 0
    bytes: int = 0
    retries: int = 0
    waited: float = 0.0
    duration: float | None = None
    outcome: UnitOutcome | None = None
    error: BaseException | None = field(default=None, repr=False)
    _clock: float = field(default_factory=time.perf_counter, repr=False)

    def add(self, statement: SentStatement) -> None:
        """Count a statement that was sent."""
        self.statements += 1
        self.rows += statement.rows or 0
        self.bytes += statement.bytes
        self.retries += statement.retries
        self.waited += statement.waited

    def end(self, outcome: UnitOutcome, error: BaseException | None) -> None:
        """Note how it has ended."""
        self.duration = time.perf_counter() - self._clock
        self.outcome, self.error = outcome, error


@dataclass(eq=False)
class SentStatement:
    """A statement that is sent to the warehouse, or was.

    Attributes:
        kind: What it is sent for.
        text: Its text, with ``?`` for parameters. It may hold values: those that the application
            has written into a text, and what is too large for a parameter.
        keyword: Its first keyword, or that of its main clause.
        unit: The unit of work that it belongs to; ``None`` for none.
        rows: How many rows it is to write; ``None`` where that is not known, or it writes none.
        bytes: The bytes of its text and its parameters.
        tags: The query tags that it is sent with.
        began: When it was begun, in seconds since the epoch.
        attempts: How many times it was sent, those included that were refused.
        waits: How many pauses were made for a warehouse that starts or is busy.
        waited: Seconds of these.
        statement_id: Its name on the warehouse; ``None`` where none is known.
        rowcount: How many rows the warehouse says it has changed, or -1.
        duration: Seconds until it was executed, or had failed; ``None`` until then.
        error: What it has failed with.
        is_told: Whether SQLAlchemy tells its own listeners of it.
    """

    kind: StatementKind
    # Not in its repr, which reporters of errors show of each frame.
    text: str = field(repr=False)
    keyword: str
    unit: UnitOfWork | None = None
    rows: int | None = None
    bytes: int = 0
    tags: Mapping[str, str] = field(default_factory=dict)
    began: float = field(default_factory=time.time)
    attempts: int = 0
    waits: int = 0
    waited: float = 0.0
    statement_id: str | None = None
    rowcount: int = -1
    duration: float | None = None
    error: BaseException | None = field(default=None, repr=False)
    is_told: bool = False
    writes: Callable[[], str] | None = field(default=None, repr=False)
    _clock: float = field(default_factory=time.perf_counter, repr=False)

    @property
    def retries(self) -> int:
        """How many times it was sent again."""
        return max(self.attempts - 1, 0)

    @property
    def summary(self) -> str:
        """What it is in words, without values: ``INSERT 3 rows of t``, or its keyword."""
        return self.keyword if self.writes is None else self.writes()

    def note(self, call: Call) -> None:
        """Keep what has become of it."""
        self.attempts = call.copies
        self.waits, self.waited = call.patience.waits, call.patience.slept
        self.statement_id = call.statement_id or self.statement_id

    def end(self, error: BaseException | None = None) -> None:
        """Note that it was executed, or has failed."""
        self.duration = time.perf_counter() - self._clock
        self.error = error


class Observer(Protocol):
    """Who is told of what is sent."""

    def before(self, statement: SentStatement, cursor: Any, parameters: Sequence[Any]) -> str:
        """Tell that a statement is about to be sent; returns the text to send.

        Raises:
            Exception: It is not to be sent.
        """

    def after(self, statement: SentStatement, cursor: Any, parameters: Sequence[Any]) -> None:
        """Tell that it was executed, or has failed."""

    def count(
        self, *, waits: int, waited: float, received: int, opened: int, replaced: int
    ) -> None:
        """Count what was done beside statements, or for several of them."""


def size_of(text: str, parameters: Sequence[Any]) -> int:
    """How many bytes a statement and its parameters have, numbers as their text."""
    return byte_length(text) + sum(map(_bytes_of, parameters))


def _bytes_of(value: Any) -> int:
    if isinstance(value, str):
        return byte_length(value)
    if isinstance(value, (bytes, bytearray)):
        return len(value)
    return 0 if value is None else len(str(value))
