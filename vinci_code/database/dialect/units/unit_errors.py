"""What goes wrong with a unit of work as a whole, in words."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from vinci_code.database.dialect.dberrors import (
    ADVICE,
    AmbiguousWriteError,
    AtomicityError,
    Error,
    OperationalError,
    PartialCommitError,
    PendingWritesError,
    StatementTimeout,
)
from vinci_code.database.dialect.driver.query_history import TAG
from vinci_code.database.dialect.driver.translation import Evidence, translate
from vinci_code.database.dialect.units.held import Held, HeldFiles, HeldRows, tables_of
from vinci_code.database.dialect.units.recovery import Commit, CommitFinding
from vinci_code.database.dialect.units.steps import Step
from vinci_code.database.dialect.writes import guards

# What a warehouse says that has no transactions at all.
_UNKNOWN_WORD = re.compile(r"at or near '?(?:ATOMIC|BEGIN|TRANSACTION|WORK)\b")


def not_atomic(held: Sequence[Held], error: Error | None = None) -> AtomicityError:
    """The error for a unit that takes several statements, where there are no transactions."""
    found = f": {error.happened}" if error is not None else " is needed, and transactions are off"
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


def not_of_files(held: Sequence[Held]) -> AtomicityError:
    """The error for a unit of several statements, of which one reads files of a volume."""
    return AtomicityError(
        f"a unit of work that writes to {', '.join(tables_of(held))} takes more than one "
        "statement, of which one loads rows from files of a volume, and a transaction cannot read "
        "files\nNothing was written. To fix it: commit the load by itself, before or after the "
        "rest."
    )


def says_unavailable(error: Error) -> bool:
    """Whether an error says that the workspace, or a table, has no transactions."""
    condition = error.error_class or ""
    if "PARSE_SYNTAX_ERROR" in condition:
        return _UNKNOWN_WORD.search(str(error)) is not None
    return "TRANSACTION_NOT_SUPPORTED" in condition


def ambiguous(
    error: AmbiguousWriteError, commit: Commit, finding: CommitFinding
) -> AmbiguousWriteError:
    """The error for a commit of which nobody can say what became of it."""
    what = error.happened
    made = AmbiguousWriteError(
        f"{what}\nWhether it was committed cannot be proved: {finding.reason}. Its query tag is "
        f"{TAG} = {commit.identity}: in the query history of the warehouse, FINISHED means "
        "committed; FAILED or CANCELED means not committed.\n"
        "To fix it: look there, and repeat the unit of work only where it was not committed.",
        sqlstate=error.sqlstate,
        error_class=error.error_class,
        statement_id=error.statement_id,
    )
    made.copies, made.commit = error.copies, commit
    return made


def not_committed(error: AmbiguousWriteError, finding: CommitFinding) -> Exception:
    """The error for a commit whose answer was lost, and that is known to have had no effect."""
    said = f"failed: {finding.reason}" if finding.failed else "was cancelled with its session"
    text = (
        "the answer to a commit was lost; the query history of the warehouse says that it "
        f"{said}, so that it wrote nothing\nTo fix it: repeat the unit of work."
    )
    known = translate(error, Evidence(said=finding.reason)) if finding.failed else None
    timed_out = isinstance(error.__cause__, StatementTimeout)
    kind = type(known) if known is not None else StatementTimeout if timed_out else OperationalError
    made = kind(
        text,
        sqlstate=None if known is None else known.sqlstate,
        error_class=None if known is None else known.error_class,
        statement_id=error.statement_id,
    )
    return guards.raised(made) or made


def partly_committed(done: Sequence[Step], held: Sequence[Held], error: Exception) -> Exception:
    """The error for statements that are committed one by one, of which one failed.

    ``done`` were executed, ``held`` is what all of them were made of.
    """
    # By identity: two writes may be equal.
    at = {id(write): number for number, write in enumerate(held)}
    failed = at[id(done[-1].of)] + done[-1].last if done else 0
    rest = "the rest of " if done and not done[-1].last else ""
    first, others = f"{rest}{summary([held[failed]])}", summary(held[failed + 1 :])
    # What the statement alone says of itself would be read as said of the unit.
    what = str(error).partition(ADVICE)[0]
    if isinstance(error, AmbiguousWriteError):
        known = f"Not known: {first}. Not written: {others or 'nothing else'}"
        way = "find out the fate of what is not known by its query tag; then "
        if not done:
            return error if not others else _first_unknown(error, f"{what}\n{known}", way)
    else:
        known, way = f"Not written: {first}{', ' if others else ''}{others}", ""
        if not done:
            return error
    return PartialCommitError(
        f"a unit of work was written in part. Written: {summary([step.part for step in done])}. "
        f"{known}. What happened: {what}\n"
        f"To fix it: {way}repeat what was not written, or take back what was.",
        written=list(tables_of(step.of for step in done)),
        not_written=list(tables_of(held[failed:])),
    )


def _first_unknown(error: AmbiguousWriteError, known: str, way: str) -> AmbiguousWriteError:
    return AmbiguousWriteError(
        f"{known}\nTo fix it: {way}write what was not written; do not repeat the unit of work "
        "where a part of it is committed.",
        sqlstate=error.sqlstate,
        error_class=error.error_class,
        statement_id=error.statement_id,
    )


def summary(held: Sequence[Held]) -> str:
    """What is held in words: ``INSERT 3 into t, UPDATE 1 of u``."""
    words = []
    for write in held:
        if isinstance(write, HeldRows):
            words.append(f"{write.shape.kind.value} {len(write):,} rows of {write.shape.target}")
        elif isinstance(write, HeldFiles):
            words.append(f"load {write.payload.rows:,} rows into {write.shape.target}")
        else:
            words.append(f"a statement on {write.written or 'tables not known'}")
    return ", ".join(words)


def pending(why: str, held: Iterable[Held], error: Error | None = None) -> PendingWritesError:
    """The error for held writes that cannot be sent before the commit."""
    reason = f": {error.happened}" if error is not None else ""
    return PendingWritesError(
        f"{why}, and {', '.join(tables_of(held))} has writes that are held until the commit; "
        f"sending them before needs a transaction, which is not to be had here{reason}\n"
        "To fix it: commit before reading, or read before writing; or make the tables "
        "transactional: ALTER TABLE … SET TBLPROPERTIES ('delta.feature.catalogManaged' = "
        "'supported'), with transactions='auto'. What is held is still held."
    )
