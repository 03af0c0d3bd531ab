"""What goes wrong with a unit of work as a whole, in words."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from vinci_code.database.dialect.dberrors import (
    AmbiguousWriteError,
    AtomicityError,
    Error,
    PartialCommitError,
    PendingWritesError,
)
from vinci_code.database.dialect.steps import Step
from vinci_code.database.dialect.writes import Held, Rows, tables_of

# What a warehouse says that has no transactions at all.
_UNKNOWN_WORD = re.compile(r"at or near '?(?:ATOMIC|BEGIN|TRANSACTION|WORK)\b")


def not_atomic(held: Sequence[Held], error: Error | None = None) -> AtomicityError:
    """The error for a unit that takes several statements, where there are no transactions."""
    found = f": {error}" if error is not None else " is needed, and transactions are off"
    return AtomicityError(
        f"a unit of work that writes to {', '.join(tables_of(held))} takes more than one "
        f"statement, for which a transaction{found}\nNothing was written. To fix it: make these "
        "tables transactional with ALTER TABLE … SET TBLPROPERTIES "
        "('delta.feature.catalogManaged' = 'supported') and transactions='auto'; or choose "
        "atomicity='per_table' (DATABRICKS_ATOMICITY), which sends one statement after the other "
        "and may leave a unit half-written.",
        sqlstate=getattr(error, "sqlstate", None),
        error_class=getattr(error, "error_class", None),
        statement_id=getattr(error, "statement_id", None),
    )


def says_unavailable(error: Error) -> bool:
    """Whether an error says that the workspace, or a table, has no transactions."""
    condition = error.error_class or ""
    if "PARSE_SYNTAX_ERROR" in condition:
        return _UNKNOWN_WORD.search(str(error)) is not None
    return "TRANSACTION_NOT_SUPPORTED" in condition


def still_ambiguous(error: Exception) -> AmbiguousWriteError:
    """The error for a commit whose answer was lost, and that failed when it was sent again."""
    return AmbiguousWriteError(
        "the answer to a commit was lost, and sending it again failed, so that it was executed "
        f"once or not at all. What happened: {error}\nTo fix it: look for its rows before "
        "sending it again.",
        sqlstate=getattr(error, "sqlstate", None),
        error_class=getattr(error, "error_class", None),
        statement_id=getattr(error, "statement_id", None),
    )


def partial(done: Sequence[Step], held: Sequence[Held], error: Exception) -> PartialCommitError:
    """The error for a unit of which some statements were executed, and one failed."""
    failed = held.index(done[-1].of) + done[-1].last
    written = list(tables_of(step.of for step in done))
    ambiguous = isinstance(error, AmbiguousWriteError)
    rest = "" if done[-1].last else "the rest of "
    return PartialCommitError(
        f"a unit of work was written in part. Written: {told([step.part for step in done])}. "
        f"{'Not known' if ambiguous else 'Not written'}: {rest}{told([held[failed]])}. "
        f"Not written: {told(held[failed + 1 :]) or 'nothing else'}. "
        f"What happened: {error}\nTo fix it: repeat what was not written, or take back what was.",
        written=written,
        not_written=list(tables_of(held[failed:])),
    )


def told(held: Sequence[Held]) -> str:
    """What is held in words: ``INSERT 3 into t, UPDATE 1 of u``."""
    words = []
    for write in held:
        if isinstance(write, Rows):
            words.append(f"{write.shape.kind.value} {len(write):,} rows of {write.shape.target}")
        else:
            words.append(f"a statement on {write.written or 'tables not known'}")
    return ", ".join(words)


def pending(why: str, held: Iterable[Held], error: Error | None = None) -> PendingWritesError:
    """The error for held writes that cannot be sent before the commit."""
    reason = f": {error}" if error is not None else ""
    return PendingWritesError(
        f"{why}, and {', '.join(tables_of(held))} has writes that are held until the commit; "
        f"sending them before needs a transaction, which is not to be had here{reason}\n"
        "To fix it: commit before reading, or read before writing; or make the tables "
        "transactional: ALTER TABLE … SET TBLPROPERTIES ('delta.feature.catalogManaged' = "
        "'supported'), with transactions='auto'. What is held is still held."
    )
