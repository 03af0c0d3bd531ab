"""One load, from what was asked for to what came of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache

from sqlalchemy import Connection, Table
from sqlalchemy.exc import ArgumentError

from vinci_code.database.loading.choosing import Choice, choose
from vinci_code.database.loading.given import GivenColumn, given_columns
from vinci_code.database.loading.portions import Portion
from vinci_code.database.loading.results import LoadPlan, LoadResult, Mode, Outcome, Report
from vinci_code.database.loading.rows import RowLoad
from vinci_code.database.loading.sources import Source
from vinci_code.database.loading.targets import Target, matching, quoted
from vinci_code.database.loading.telling import Telling


@dataclass(frozen=True)
class Request:
    """What was asked for: the arguments of ``load``."""

    source: Source
    mode: Mode
    keys: Sequence[str] | None
    update: Sequence[str] | None
    enforce_keys: bool
    report: Report | None
    volume: str | None
    create: bool


class Job:
    """One load.

    Args:
        request: What was asked for.
        target: The table.

    Raises:
        ArgumentError: It does not go together, or names are not those of the table.
        LoadRefusedError: The types of the source do not fit the table.
    """

    def __init__(self, request: Request, target: Target) -> None:
        self._request = request
        self._source = request.source
        self._target = target
        asks = request.mode in {"upsert", "insert_missing"}
        # With create=True they are the primary key of the table.
        keys = None if request.create and not asks else request.keys
        self._matching = matching(target, request.mode, keys, request.update)
        self._columns = cache(self._given)
        self._first = self._columns(self._source.names) if self._source.names else ()
        self._telling = Telling(request.report, self._source.rows)
        self._choice: Choice | None = None

    @property
    def table(self) -> Table:
        """The table."""
        return self._target.table

    def plan(self, connection: Connection) -> LoadPlan:
        """What would be done; nothing is.

        Raises:
            ArgumentError: The source can be read once only, and had to be read for that.
        """
        if self._source.is_once and connection.dialect.name != "sqlite":
            raise ArgumentError(
                f"explain=True reads rows to see how large they are, and {self._source.told} can be "
                "read once only; nothing was loaded\nTo fix it: pass a list, a table or files."
            )
        choice = self._choose(connection)
        return LoadPlan(
            self.table.fullname,
            self._request.mode,
            tuple(column.name for column in self._matching.keys),
            choice.way,
            choice.why,
            self._source.rows,
            tuple(given.column.name for given in self._first),
        )

    def run(self, connection: Connection) -> Outcome:
        """Write the rows, in a transaction that somebody else ends."""
        self._choice = self._choose(connection)
        load = RowLoad(
            connection,
            self.table,
            self._matching,
            enforce_keys=self._request.enforce_keys,
            telling=self._telling,
        )
        return load.run(self._choice.portions, self._columns)

    def result(self, outcome: Outcome) -> LoadResult:
        """What came of it."""
        choice = self._choice
        assert choice is not None  # noqa: S101 - it was run
        return LoadResult(
            self.table.fullname,
            self._request.mode,
            self._telling.rows,
            outcome.written,
            outcome.inserted,
            outcome.changed,
            outcome.skipped,
            choice.way,
            choice.why,
            self._telling.seconds,
            outcome.bytes,
            outcome.requests,
        )

    def _choose(self, connection: Connection) -> Choice:
        return choose(connection, self._portions(), self._request.volume)

    def _portions(self) -> Iterator[Portion]:
        return (portion for portion in self._source.portions() if portion.rows)

    def _given(self, names: tuple[str, ...]) -> tuple[GivenColumn, ...]:
        """The columns that names of the source stand for.

        Raises:
            ArgumentError: They are not those of the table, or a key is not among them.
            LoadRefusedError: The type of one does not fit.
        """
        found = given_columns(self._target, names, self._source.schema)
        given = {item.column for item in found}
        missing = [column.name for column in self._matching.keys if column not in given]
        if missing:
            raise ArgumentError(
                f"the source has no {quoted(missing)}, which is a key of {self.table.fullname}; "
                "nothing was loaded"
            )
        return found
