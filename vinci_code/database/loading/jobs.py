"""One load, from what was asked for to what came of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING, Any

from sqlalchemy import Column, Connection, Table
from sqlalchemy.exc import ArgumentError, DBAPIError

from vinci_code.core.errors import LoadRefusedError
from vinci_code.database.dialect.dberrors import PermissionDenied
from vinci_code.database.loading.choosing import Choice, Staging, choose
from vinci_code.database.loading.given import GivenColumn, given_columns
from vinci_code.database.loading.mapped import require_identity, require_loadable
from vinci_code.database.loading.portions import Portion, Source
from vinci_code.database.loading.results import LoadOutcome, LoadPlan, LoadResult, Mode, Report
from vinci_code.database.loading.rows import HeldOutcome, RowLoad
from vinci_code.database.loading.targets import LoadTarget, matching, quoted
from vinci_code.database.loading.telling import Telling

if TYPE_CHECKING:
    from vinci_code.database.loading.staged import StagedOutcome
    from vinci_code.database.loading.storing import Storing


@dataclass(frozen=True)
class LoadRequest:
    """What was asked for: the arguments of ``load``."""

    source: Source
    mode: Mode
    keys: Sequence[str] | None
    update: Sequence[str] | None
    enforce_keys: bool
    report: Report | None
    volume: str | None
    create: bool


class LoadJob:
    """One load.

    Args:
        request: What was asked for.
        target: The table.

    Raises:
        ArgumentError: It does not go together, or names are not those of the table.
        LoadRefusedError: The types of the source do not fit the table.
    """

    def __init__(self, request: LoadRequest, target: LoadTarget) -> None:
        self._request = request
        self._source = request.source
        self._target = target
        asks = request.mode in {"upsert", "insert_missing"}
        # With create=True they are the primary key of the table.
        keys = None if request.create and not asks else request.keys
        self._matching = matching(target, request.mode, keys, request.update)
        if target.mapper is not None:
            require_loadable(target.mapper, request.mode)
        self._columns = cache(self._given)
        self._first = self._columns(self._source.names) if self._source.names else ()
        self._telling = Telling(request.report, self._source.rows)
        self._choice: Choice | None = None

    @property
    def table(self) -> Table:
        """The table."""
        return self._target.table

    def plan(self, connection: Connection) -> LoadPlan:
        """What would be done; nothing is."""
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

    def run(self, connection: Connection) -> LoadOutcome | HeldOutcome | StagedOutcome:
        """Write the rows, in a transaction that somebody else ends."""
        choice = self._choose(connection)
        if choice.staging is not None:
            found, choice = self._stage(connection, choice, choice.staging)
            if found is not None:
                self._choice = choice
                return found
        self._choice = choice
        load = RowLoad(
            connection,
            self.table,
            self._matching,
            enforce_keys=self._request.enforce_keys,
            telling=self._telling,
        )
        return load.run(choice.portions, self._columns)

    def _stage(
        self, connection: Connection, choice: Choice, staging: Staging
    ) -> tuple[StagedOutcome | None, Choice]:
        """What came of staging the rows; nothing where the volume may not be used.

        Raises:
            DBAPIError: It was asked for, and may not be used; or it failed later.
        """
        from vinci_code.database.loading.staged import load_staged

        matching = self._matching
        batches = _Batches(choice.portions, staging.storing, self._telling)
        try:
            found = load_staged(
                connection,
                self.table,
                staging.storing.columns,
                batches,
                mode=matching.mode,
                keys=tuple(column.name for column in matching.keys),
                update=tuple(column.name for column in self._update()),
                enforce_keys=self._request.enforce_keys,
                volume=staging.volume,
            )
        except DBAPIError as error:
            if batches.has_begun or self._request.volume is not None or not _is_closed(error):
                raise
            reason = str(error.orig).partition("\n")[0]
            return None, replace(choice, way="rows", why=f"{choice.why}; but {reason}")
        return found, choice

    def _update(self) -> Sequence[Column[Any]]:
        """The columns that an upsert changes."""
        matching = self._matching
        if matching.mode != "upsert" or matching.update:
            return matching.update
        return [item.column for item in self._first if item.column not in matching.keys]

    def result(self, outcome: LoadOutcome | HeldOutcome | StagedOutcome) -> LoadResult:
        """What came of it, as far as it was told until now."""
        choice = self._choice
        assert choice is not None  # noqa: S101 - it was run
        counted = _told(outcome)
        return LoadResult(
            self.table.fullname,
            self._request.mode,
            self._telling.rows,
            counted.written,
            counted.inserted,
            counted.changed,
            counted.skipped,
            choice.way,
            choice.why,
            self._telling.seconds,
            counted.bytes,
            counted.requests,
        )

    def _choose(self, connection: Connection) -> Choice:
        if self._source.is_result and connection.dialect.name == "sqlite":
            raise LoadRefusedError(
                self._source.told,
                "SQLite would give it rows that the load has written, where both are of one "
                "connection",
                "call its all()",
            )
        return choose(connection, self.table, self._first, self._portions(), self._request.volume)

    def _portions(self) -> Iterator[Portion]:
        return (portion for portion in self._source.portions() if portion.rows)

    def _given(self, names: tuple[str, ...]) -> tuple[GivenColumn, ...]:
        """The columns that names of the source stand for.

        Raises:
            ArgumentError: They are not those of the table, or a key is not among them.
            LoadRefusedError: The type of one does not fit.
        """
        schema = None if self._source.is_text else self._source.schema
        found = given_columns(self._target, names, schema)
        given = {item.column for item in found}
        if self._target.mapper is not None:
            require_identity(self._target.mapper, given)
        missing = [column.name for column in self._matching.keys if column not in given]
        if missing:
            raise ArgumentError(
                f"the source has no {quoted(missing)}, which is a key of {self.table.fullname}; "
                "nothing was loaded"
            )
        return found


class _Batches(Iterator[Any]):
    """The batches of files, of which the rows are counted as they are taken."""

    def __init__(self, portions: Iterator[Portion], storing: Storing, telling: Telling) -> None:
        self._portions = portions
        self._storing = storing
        self._telling = telling
        self._before: Portion | None = None
        self.has_begun = False

    def __next__(self) -> Any:
        """The next batch."""
        self.has_begun = True
        if self._before is not None:
            before, self._before = self._before, None
            self._telling.add(before.rows, before.size)
        portion = next(self._portions)
        batch = self._storing.batch(portion, self._telling.rows)
        self._before = portion
        return batch


def _is_closed(error: DBAPIError) -> bool:
    """Whether a volume is not there, or may not be used."""
    own: Any = error.orig
    return isinstance(own, PermissionDenied) or own.error_class == "UC_VOLUME_NOT_FOUND"


def _told(found: LoadOutcome | HeldOutcome | StagedOutcome) -> LoadOutcome:
    if isinstance(found, LoadOutcome):
        return found
    if isinstance(found, HeldOutcome):
        return found.told()
    inserted, changed = found.inserted, found.changed
    written = None if inserted is None or changed is None else inserted + changed
    return LoadOutcome(written, inserted, changed, found.skipped, found.bytes)
