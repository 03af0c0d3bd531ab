"""The exceptions of the dialect's DB-API module, as drawn at the top of ``core/errors.py``.

Each carries what the warehouse said of it: ``error_class``, ``sqlstate``, ``statement_id``; and
``retryable``, which says that the same statement may be sent again as it is, since it was not run.
No message contains a secret.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from vinci_code.core.errors import EXIT_DATA, EXIT_UNAVAILABLE, VinciError
from vinci_code.core.redaction import redact

ADVICE = "\nTo fix it: "
"""What stands between what happened and what to do about it."""


class Warning(Exception):  # noqa: A001, N818 - PEP 249 gives it this name
    """An important note that is no error."""


class WrittenAnyway(Warning):
    """What was cancelled had been written before the warehouse was told; it is written whole."""


class Error(VinciError):
    """The base of every exception of this module.

    Args:
        message: What happened; secrets in it are masked.
        sqlstate: The five characters of the SQL standard, where the warehouse gave them.
        error_class: Databricks' own name of the condition: ``TABLE_OR_VIEW_NOT_FOUND``.
        statement_id: The statement, as the query history names it.

    Attributes:
        retryable: Whether the same statement may be sent again as it is: it was not run.
    """

    retryable = False

    def __init__(
        self,
        message: object = "",
        *,
        sqlstate: str | None = None,
        error_class: str | None = None,
        statement_id: str | None = None,
    ) -> None:
        super().__init__(redact(str(message)))
        self.sqlstate = sqlstate
        self.error_class = error_class
        self.statement_id = statement_id

    @property
    def happened(self) -> str:
        """The message without what to do: within another message that would be read as its own."""
        return str(self).partition(ADVICE)[0]


class InterfaceError(Error):
    """The module was used wrongly, and nothing was sent."""


class DatabaseError(Error):
    """The warehouse, or the way to it."""


class DataError(DatabaseError):
    """A value does not fit where it was meant to go."""

    exit_code = EXIT_DATA


class IntegrityError(DatabaseError):
    """A constraint is violated."""


class InternalError(DatabaseError):
    """A defect, of the warehouse or of the driver."""


class ProgrammingError(DatabaseError):
    """The statement cannot be run as it is written."""


class NotSupportedError(DatabaseError):
    """The warehouse cannot do that."""


class ProtocolUnsupported(NotSupportedError):  # noqa: N818 - it names a state
    """The warehouse does not speak the Thrift protocol, as real-time warehouses do not."""


class AtomicityError(NotSupportedError):
    """A unit of work takes several statements, and the tables have no transactions.

    Nothing was written.
    """


class PendingWritesError(NotSupportedError):
    """A statement needs what is held to be sent before the commit, and that cannot be done.

    Nothing was sent, and what is held is still held: the unit of work can be committed, or rolled
    back.
    """


class OperationalError(DatabaseError):
    """Something that has nothing to do with how the statement is written."""

    exit_code = EXIT_UNAVAILABLE


class ConflictError(OperationalError):
    """Somebody else committed to the same rows or tables first; nothing was written.

    To try again means to read again: the whole unit of work is to be repeated, not the statement.
    """


class AuthenticationFailed(OperationalError):  # noqa: N818 - it names a state
    """The workspace did not accept the credentials."""


class PermissionDenied(OperationalError):  # noqa: N818 - it names a state
    """The workspace accepted the credentials, which may not do this."""


class LimitExceeded(OperationalError):  # noqa: N818 - it names a state
    """Too many, too large, or too much at once."""


class TooManyRequests(LimitExceeded):
    """The workspace takes no more requests for now, also after the time that it asked to wait."""


class CancelledError(OperationalError):
    """The statement was cancelled, and wrote nothing."""


class StatementTimeout(CancelledError):  # noqa: N818 - as TimeoutExpired in the standard library
    """The statement was cancelled because its deadline had passed, and wrote nothing."""


class WarehouseStartTimeout(OperationalError):  # noqa: N818 - as TimeoutExpired
    """The warehouse did not start within the budget."""

    retryable = True


class ConnectionLostError(OperationalError):
    """The way to the warehouse is broken, and nothing was written."""


class SessionLostError(ConnectionLostError):
    """The warehouse no longer knows the session, and refused the statement."""

    retryable = True


class ConnectTimeout(ConnectionLostError):  # noqa: N818 - as TimeoutExpired
    """The warehouse did not answer in time."""


class ResultExpired(OperationalError):  # noqa: N818 - it names a state
    """The warehouse no longer holds the rows that were not fetched yet."""


class AmbiguousWriteError(OperationalError):
    """A write was sent and its answer was lost: it was executed once, or not at all.

    Look for the rows, or for ``statement_id`` in the query history, before sending it again.

    Attributes:
        copies: How many times it was sent, those included that were refused.
        commit: The ``recovery.Commit`` that it was; ``None`` for another statement.
    """

    copies = 1
    commit: Any = None


class PartialCommitError(OperationalError):
    """With ``atomicity="per_table"``: a statement of a unit failed, and others were written before.

    Attributes:
        written: The tables that were written to.
        not_written: The tables that were not, or not all of it.
    """

    def __init__(
        self, message: object = "", *, written: Sequence[str] = (), not_written: Sequence[str] = ()
    ) -> None:
        super().__init__(message)
        self.written = tuple(written)
        self.not_written = tuple(not_written)
