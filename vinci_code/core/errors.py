"""Every error of vinci_code that reaches an application; those without a mark are defined here.

    VinciError
    ├── ConfigurationError               settings are incomplete, contradictory or not real
    │   ├── MissingExtraError            an optional part is switched on, and not installed
    │   └── MissingPackageError          a package of the application's choice is not installed
    ├── DatabricksConnectionError        the connector could not reach the warehouse
    │   ├── AuthenticationError          it answered, and did not accept the credentials
    │   └── DeadlineExceededError        it did not answer in time
    ├── Error                            (1) the base of PEP 249; SQLAlchemy's errors hold it
    │   ├── InterfaceError               the module was used wrongly, and nothing was sent
    │   └── DatabaseError                the warehouse, or the way to it
    │       ├── DataError                a value does not fit
    │       ├── IntegrityError           a constraint is violated
    │       ├── InternalError            a defect, of the warehouse or of the driver
    │       ├── ProgrammingError         the statement cannot be run as it is written
    │       ├── NotSupportedError        the warehouse cannot do that
    │       │   ├── AtomicityError       a unit would need a transaction, and there are none
    │       │   ├── PendingWritesError   a read needs what is held, which cannot be sent now
    │       │   └── ProtocolUnsupported  it does not speak the Thrift protocol
    │       └── OperationalError         it has nothing to do with how the statement is written
    │           ├── AmbiguousWriteError  a write was executed once, or not at all
    │           ├── AuthenticationFailed the workspace did not accept the credentials
    │           ├── CancelledError       the statement was cancelled, and wrote nothing
    │           │   └── StatementTimeout its deadline had passed
    │           ├── ConflictError        somebody else committed first; nothing was written
    │           ├── ConnectionLostError  the way is broken, and nothing was written
    │           │   ├── ConnectTimeout   the warehouse did not answer in time
    │           │   └── SessionLostError it no longer knows the session
    │           ├── LimitExceeded        too many, too large, or too much at once
    │           │   └── TooManyRequests  the workspace takes no more for now
    │           ├── LinkRefusedError     a storage takes the link to a file no more
    │           ├── PartialCommitError   of a unit that was sent in parts, one has failed
    │           ├── PermissionDenied     the credentials may not do this
    │           ├── ResultExpired        rows that were not fetched are gone
    │           └── WarehouseStartTimeout  it did not start within the budget
    ├── DatabaseFileError                the file of a database cannot be used
    ├── StandbyReadError                 the warehouse is away, and the standby cannot answer
    ├── MirrorError                      a table could not be copied into the standby
    ├── FallbackFileError                the file of the fallback cannot be used
    │   └── JournalError                 a unit of work in it is not there, or is not whole
    ├── SchemaError                      the tables are not what this release works with
    │   ├── MigrationsPendingError       migrations have to be applied first
    │   └── UnknownTableError            what was kept is of a table that is not known here
    ├── MigrationRunningError            (2) another process migrates, or has died meanwhile
    ├── UnknownOutcomeError              (2) a migration was broken off as it changed rows
    ├── DocumentError                    what was kept of a unit of work cannot be read
    ├── ValueRefusedError                a value cannot be stored as it is (also a ValueError)
    │   └── RowRefusedError              of a load, with the row and the column that it is in
    ├── LoadRefusedError                 what is to be loaded is none, or does not fit the table
    ├── ColumnRefusedError               a column of a result cannot be given as Arrow
    ├── CopyRefusedError                 a database cannot be copied as it was asked for
    ├── UserTokenError                   what was given as a user's token is none (a ValueError)
    ├── UserTokenEndedError              a user's token is good no longer
    ├── UserPoolsBusyError               as many users as there may be are connected, and busy
    ├── InputDataError                   a line of an input file cannot be used
    ├── ReportFileError                  a report for support cannot be written there
    ├── ScriptError                      (3) a file of SQL statements cannot be run
    ├── CommandNotStartedError           (3) there is no such command (also an OSError)
    ├── StatementFailedError             (3) a statement of the command line failed
    ├── FaultScriptError                 (3) a fault for the local warehouse is none
    ├── SqlError                         (3) the local warehouse's answer to a statement
    ├── VolumePathError                  (3) a text is no path of a volume (also a ValueError)
    ├── VolumeFileError                  (3) a file of a volume cannot be what was asked for
    ├── PortError                        (3) the local warehouse cannot listen (also an OSError)
    └── UnsupportedSqlglotError          (3) the sqlglot that is installed lacks what it needs

    InsecureFileWarning                  (a warning) others can read or change a file

(1) and all below it: ``database.dialect.dberrors``; (2) ``database.dialect.migrations``; (3)
``warehouse``.

Catch ``VinciError`` for all of them. Each message says what happened, on what, what was expected,
what was found and what to do next, and never contains a secret. ``exit_code`` is what the command
line ends with; the numbers above 1 are those of ``sysexits.h``.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

_DISTRIBUTION = "vinci-code"

EXIT_FAILED = 1
EXIT_DATA = 65  # EX_DATAERR: the input data was incorrect
EXIT_UNAVAILABLE = 69  # EX_UNAVAILABLE: a service or a part is not there
EXIT_CONFIG = 78  # EX_CONFIG: something is missing or wrong in the configuration


class VinciError(Exception):
    """The base of every error that vinci_code raises on its own account."""

    exit_code = EXIT_FAILED


@dataclass(frozen=True)
class ConfigurationProblem:
    """One thing that is wrong with the configuration.

    Attributes:
        variable: The environment variable, or variables, that it is about.
        found: What was found there, with no secret in it.
        accepted: What would be accepted.
        fix: What to do about it.
    """

    variable: str
    found: str
    accepted: str
    fix: str

    def __str__(self) -> str:
        return (
            f"{self.variable}: found {self.found}\n"
            f"     accepted: {self.accepted}\n"
            f"     to fix it: {self.fix}"
        )


class ConfigurationError(VinciError):
    """The configuration cannot be used; ``problems`` lists everything that is wrong at once."""

    exit_code = EXIT_CONFIG

    def __init__(self, problems: Sequence[ConfigurationProblem]) -> None:
        self.problems = tuple(problems)
        super().__init__(self.problems)

    def __str__(self) -> str:
        count = len(self.problems)
        heading = "1 problem" if count == 1 else f"{count} problems"
        lines = [f"The configuration has {heading}; nothing was contacted."]
        lines += [f"  {number}. {problem}" for number, problem in enumerate(self.problems, 1)]
        return "\n".join(lines)


class MissingExtraError(ConfigurationError):
    """An optional part of vinci_code is switched on but not installed.

    Attributes:
        extra: The part, by the name of its extra.
        wanted_by: What has switched it on.
        missing: The packages of it that are not installed, as far as is known.
        command: What installs them here.
    """

    def __init__(self, extra: str, wanted_by: str, missing: Sequence[str] = ()) -> None:
        self.extra = extra
        self.wanted_by = wanted_by
        self.missing = tuple(missing)
        self.command = install_command(extra)
        super().__init__(
            [
                ConfigurationProblem(
                    variable=wanted_by,
                    found=f"switched on, and {self._what_is_missing()} not installed",
                    accepted=f"the '{extra}' extra installed beside it, as a whole",
                    fix=self.command,
                )
            ]
        )

    def __reduce__(self) -> tuple[type[MissingExtraError], tuple[str, str, tuple[str, ...]]]:
        return type(self), (self.extra, self.wanted_by, self.missing)

    def __str__(self) -> str:
        return (
            f"{self.wanted_by} needs the '{self.extra}' extra: {self._what_is_missing()} not "
            f"installed. Install it: {self.command}"
        )

    def _what_is_missing(self) -> str:
        if not self.missing:
            return "it is"
        return f"{' and '.join(self.missing)} {'is' if len(self.missing) == 1 else 'are'}"


class MissingPackageError(ConfigurationError):
    """A package that vinci_code works with, and never brings along, is not installed.

    Attributes:
        wanted_by: What needs it.
        package: The package.
        command: What installs it here.
    """

    def __init__(self, wanted_by: str, package: str) -> None:
        self.wanted_by = wanted_by
        self.package = package
        self.command = f"{_python()} -m pip install {package}"
        super().__init__(
            [
                ConfigurationProblem(
                    variable=wanted_by,
                    found=f"called, and {package} is not installed",
                    accepted=f"{package} installed beside vinci-code",
                    fix=self.command,
                )
            ]
        )

    def __reduce__(self) -> tuple[type[MissingPackageError], tuple[str, str]]:
        return type(self), (self.wanted_by, self.package)

    def __str__(self) -> str:
        return (
            f"{self.wanted_by} needs {self.package}, which is not installed. "
            f"Install it: {self.command}"
        )


class DatabricksConnectionError(VinciError):
    """The warehouse could not be reached, or refused the connection."""

    exit_code = EXIT_UNAVAILABLE


class AuthenticationError(DatabricksConnectionError):
    """The workspace answered, and did not accept the credentials."""


class DeadlineExceededError(DatabricksConnectionError):
    """The workspace did not answer within the time allowed."""


class DatabaseFileError(VinciError):
    """The file of a database cannot be used: no folder, no rights, not a database.

    That of SQLite, or that of the local warehouse.
    """

    exit_code = EXIT_UNAVAILABLE


class StandbyReadError(VinciError):
    """The warehouse is away, and the standby has not the rows that are asked for."""

    exit_code = EXIT_UNAVAILABLE


class MirrorError(VinciError):
    """A table could not be copied from the warehouse; the standby has what it had before."""


class FallbackFileError(VinciError):
    """The SQLite file of the fallback cannot be used, or took nothing.

    Attributes:
        damaged: Whether something that stood in it is gone or wrong, so that it has to be salvaged.
    """

    exit_code = EXIT_UNAVAILABLE

    def __init__(self, message: str, *, damaged: bool = False) -> None:
        self.damaged = damaged
        super().__init__(message)


class JournalError(FallbackFileError):
    """A unit of work in the file of the fallback is not there, not whole, or not as it must be."""


class SchemaError(VinciError):
    """The tables in the database are not those that this release works with."""


class MigrationsPendingError(SchemaError):
    """Migrations have to be applied before the application can run."""


class UnknownTableError(SchemaError):
    """What was kept of a unit of work is of a table, or a column, that is not known here.

    Attributes:
        table: The table, with its schema.
        column: The column; ``None`` where the table itself is not known.
    """

    def __init__(self, table: str, column: str | None = None) -> None:
        self.table = table
        self.column = column
        super().__init__(table, column)

    def __str__(self) -> str:
        what = f"the table {self.table}"
        what = what if self.column is None else f"the column {self.column} of {what}"
        return (
            f"a unit of work that was kept writes to {what}, which is not known here\n"
            "To fix it: declare it again, or give the unit up."
        )


class DocumentError(VinciError):
    """What was kept of a unit of work cannot be read: it is damaged, or of another release."""

    exit_code = EXIT_DATA


class ValueRefusedError(VinciError, ValueError):
    """A value that the database cannot hold unchanged; it was not written."""

    exit_code = EXIT_DATA


class RowRefusedError(ValueRefusedError):
    """A value of a load that the database cannot hold unchanged; no row of the load was written.

    Attributes:
        row: The row of the source that it is in, counted from 1.
        column: The column, by the source's name for it.
        reason: Why it cannot.
    """

    def __init__(self, row: int, column: str, reason: str) -> None:
        self.row = row
        self.column = column
        self.reason = reason
        super().__init__(row, column, reason)

    def __str__(self) -> str:
        return f"row {self.row:,}, column {self.column!r}: {self.reason}; nothing was loaded"


class LoadRefusedError(VinciError):
    """What is to be loaded is of no known kind, or does not fit the table; nothing was loaded.

    Attributes:
        what: The source, or the column of it.
        reason: Why it cannot be loaded.
        fix: What to do about it.
    """

    exit_code = EXIT_DATA

    def __init__(self, what: str, reason: str, fix: str) -> None:
        self.what = what
        self.reason = reason
        self.fix = fix
        super().__init__(what, reason, fix)

    def __str__(self) -> str:
        return (
            f"{self.what} cannot be loaded: {self.reason}; nothing was loaded\n"
            f"To fix it: {self.fix}."
        )


class ColumnRefusedError(VinciError):
    """A column of a result cannot be given as Arrow; the statement was run, and has only read.

    Attributes:
        column: The column's name.
        reason: Why it cannot.
        fix: What to do about it.
    """

    exit_code = EXIT_DATA

    def __init__(self, column: str, reason: str, fix: str) -> None:
        self.column = column
        self.reason = reason
        self.fix = fix
        super().__init__(column, reason, fix)

    def __str__(self) -> str:
        return (
            f"the column {self.column!r} cannot be given as Arrow: {self.reason}\n"
            f"To fix it: {self.fix}."
        )


class CopyRefusedError(VinciError):
    """A database cannot be copied as it was asked for; what is refused is named.

    Attributes:
        refusals: What is refused, each with its place, the reason, and what to do about it.
    """

    exit_code = EXIT_DATA

    def __init__(self, refusals: Sequence[str]) -> None:
        self.refusals = tuple(refusals)
        super().__init__(self.refusals)

    def __str__(self) -> str:
        if len(self.refusals) == 1:
            return f"nothing of this was copied: {self.refusals[0]}"
        listed = "; ".join(f"({number}) {one}" for number, one in enumerate(self.refusals, 1))
        return f"{len(self.refusals)} things cannot be copied: {listed}"


class InputDataError(VinciError):
    """A line of an input file cannot be used.

    Attributes:
        source: The file's name as it was given, ``<stdin>`` for standard input.
        line: The line's number, counted from 1, or ``None`` where the file as a whole is meant.
        reason: What is wrong with it.
    """

    exit_code = EXIT_DATA

    def __init__(self, source: str, line: int | None, reason: str) -> None:
        self.source = source
        self.line = line
        self.reason = reason
        super().__init__(source, line, reason)

    def __str__(self) -> str:
        place = self.source if self.line is None else f"{self.source}, line {self.line}"
        return f"{place}: {self.reason}"


class ReportFileError(VinciError):
    """A report for support cannot be written there; nothing was written, nor replaced.

    Attributes:
        reason: Why it cannot.
        fix: What to do about it.
    """

    def __init__(self, reason: str, fix: str) -> None:
        self.reason = reason
        self.fix = fix
        super().__init__(reason, fix)

    def __str__(self) -> str:
        return f"The report was not written: {self.reason}.\nTo fix it: {self.fix}."


class InsecureFileWarning(UserWarning):
    """Other users of this machine can read a file with a secret, or change what is depended on."""


def install_command(extra: str) -> str:
    """The command that installs an extra here, whether the package is installed or a checkout.

    No index has the package. pip takes the one that is installed, and only gets what the extra adds
    to it; where none is, the package is run from a checkout.
    """
    # Here, since they take longer to import than all of this module.
    import importlib.metadata
    import shlex

    try:
        importlib.metadata.version(_DISTRIBUTION)
    except importlib.metadata.PackageNotFoundError:
        checkout = Path(__file__).resolve().parents[2]
        what = f"-e {shlex.quote(f'{checkout}[{extra}]')}"
    else:
        what = f"'{_DISTRIBUTION}[{extra}]'"
    return f"{_python()} -m pip install {what}"


def _python() -> str:
    """This Python, by its short name where a shell finds it by that."""
    import shlex
    import shutil

    found = shutil.which("python")
    # Not what a link leads to: the Python of a virtual environment is a link to another one.
    if found is not None and Path(found).parent == Path(sys.executable).parent:
        return "python"
    return shlex.quote(sys.executable)


class UserTokenError(VinciError, ValueError):
    """What was given as the token of a user is none; nothing was contacted."""


class UserTokenEndedError(VinciError):
    """The token of a user is good no longer; of other users nothing was closed.

    Attributes:
        user: What log lines call the user: a few digits that nobody can turn back into the token.
    """

    exit_code = EXIT_UNAVAILABLE

    def __init__(self, message: str, user: str) -> None:
        super().__init__(message)
        self.user = user

    def __reduce__(self) -> tuple[type[UserTokenEndedError], tuple[str, str]]:
        return type(self), (str(self), self.user)


class UserPoolsBusyError(VinciError):
    """As many users as there may be are connected, and all of them are busy; nothing was sent."""

    exit_code = EXIT_UNAVAILABLE
