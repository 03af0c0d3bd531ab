"""Copying a database: plan, tables, rows, proof."""

from __future__ import annotations

import datetime as dt
import sqlite3
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, inspect
from sqlalchemy.engine.url import URL
from sqlalchemy.exc import ArgumentError, DBAPIError, IntegrityError
from sqlalchemy.schema import CreateIndex, CreateTable

from vinci_code.core.config import DatabaseSettings, Settings
from vinci_code.core.errors import CopyRefusedError
from vinci_code.database.moving.comparing import Difference, differences
from vinci_code.database.moving.files import set_last_number, what_has
from vinci_code.database.moving.looking import forms_lost, look_at
from vinci_code.database.moving.marks import NAME, Marks, TableMark, unfinished_tables
from vinci_code.database.moving.other_side import OtherSide
from vinci_code.database.moving.places import CopyEnd, Use, hidden, place_of, require_two
from vinci_code.database.moving.planning import Wishes, plan_copy
from vinci_code.database.moving.plans import Chunk, CopyPlan, Refusal, TablePlan, TableProof
from vinci_code.database.moving.reports import SHOWN_KEYS, CopyReport, Mode, TableReport
from vinci_code.database.moving.snapshots import Side, pin, side_of, snapshot, told_of, unchecked
from vinci_code.database.moving.sqlite_side import SqliteSide
from vinci_code.database.moving.writing import Writer
from vinci_code.database.sqlite import is_of_file
from vinci_code.database.units_of_work import was_outrun

CHUNK_ROWS = {"sqlite": 10_000, "databricks": 50_000, "other": 10_000}
"""How many rows are written in one transaction by default, by what they are written to."""

_KEYS_AT_ONCE = 500
_TIMES_OUTRUN, _OUTRUN_PAUSE_S = 10, 1.0
_NO_KINDS: Mapping[str, str] = {}

_USES: Mapping[Mode, Use] = {
    "copy": "written",
    "sync": "written",
    "plan": "planned",
    "verify": "read",
}

Told = Callable[[int, int], None]


def copy_database(
    source: str | Path | URL | Engine,
    target: str | Path | URL | Engine,
    *,
    tables: Sequence[str] = (),
    kinds: Mapping[str, str] = _NO_KINDS,
    timezone: str | None = None,
    dry_run: bool = False,
    sync: bool = False,
    delete: bool = False,
    verify_only: bool = False,
    keep: bool = False,
    chunk_rows: int | None = None,
    settings: Settings | DatabaseSettings | None = None,
    on_progress: Told | None = None,
) -> CopyReport:
    """Copy the tables of a database into another one, and prove that they are equal.

    ::

        report = copy_database("shop.db", "databricks")
        assert report.is_proved

    The source is read as it was at one moment. Tables that the target has not are made; those that
    it has must match, and be empty or equal. Rows go in chunks, each in one transaction with a mark
    of how far it is, in the table ``vinci_copy_progress`` of the target: after a failure the same
    call goes on behind the last mark. At the end both sides compute counts and checksums.

    Args:
        source: The name of a SQLite file, the word ``databricks``, any URL of SQLAlchemy's whose
            driver is installed, or an engine.
        target: As of ``source``.
        tables: The tables to copy; all of them by default. Views are left out.
        kinds: What columns hold, as ``{"table.column": "uuid"}``, where their type does not say.
        timezone: The time zone of moments on SQLite that become instants: ``Europe/Berlin``.
        dry_run: Whether to plan only, and write nothing; what is refused is in the report then.
        sync: Whether tables may have rows: those that are new or differ are brought over, by key.
        delete: With ``sync``, whether rows that the source has not are deleted.
        verify_only: Whether to compare only, and write nothing.
        keep: Whether to leave the marks in the target at the end.
        chunk_rows: How many rows are written in one transaction, where they have not more than 32
            MB; by default 50,000 to Databricks and 10,000 to others.
        settings: The settings of ``databricks`` instead of those of the environment.
        on_progress: Is called with the rows written so far and those to write in all.

    Returns:
        What was done. Whether all is equal is said by ``is_proved``, and not by an error.

    Raises:
        CopyRefusedError: Something cannot be copied; where it was found before the first row, as
            nearly all is, nothing was written.
        ArgumentError: Arguments contradict each other.
        ConfigurationError: The settings cannot be used.
        DatabaseFileError: A SQLite file cannot be used.
        DBAPIError: A database has failed; the same call goes on from there.
    """
    source, target = hidden(source), hidden(target)
    mode = _mode(dry_run=dry_run, sync=sync, delete=delete, verify_only=verify_only)
    if isinstance(tables, str):
        raise ArgumentError(f"tables={tables!r}: it is a list of names, as [{tables!r}]")
    if chunk_rows is not None and chunk_rows < 1:
        raise ArgumentError(f"chunk_rows={chunk_rows!r}: it is a number of rows, 1 or more")
    with ExitStack() as stack:
        read = place_of(source, "read", settings=settings)
        stack.callback(read.close)
        written = place_of(target, _USES[mode], settings=settings)
        stack.callback(written.close)
        require_two(read, written)
        wishes = Wishes(tuple(tables), kinds, timezone)
        copy = _Copy(read, written, wishes, mode)
        copy.delete, copy.keep = delete, keep
        copy.chunk_rows = chunk_rows or CHUNK_ROWS[written.backend]
        copy.told = on_progress or _tell_nobody
        return copy.run()


def _mode(*, dry_run: bool, sync: bool, delete: bool, verify_only: bool) -> Mode:
    if dry_run + sync + verify_only > 1:
        raise ArgumentError("dry_run, sync and verify_only exclude each other")
    if delete and not sync:
        raise ArgumentError("delete deletes what a sync finds gone, and there is no sync")
    return "plan" if dry_run else "sync" if sync else "verify" if verify_only else "copy"


class _Copy:
    """One run."""

    delete = keep = False
    chunk_rows: int
    told: Told

    def __init__(self, source: CopyEnd, target: CopyEnd, wishes: Wishes, mode: Mode) -> None:
        self._source, self._target, self._wishes, self._mode = source, target, wishes, mode
        self._from = side_of(source, is_target=False)
        self._to = side_of(target, is_target=True)
        self._started = time.monotonic()
        now = dt.datetime.now(dt.timezone.utc).isoformat(timespec="seconds")
        self._report = CopyReport(source.name, target.name, mode, now)
        self._moved = self._total = 0

    def run(self) -> CopyReport:
        """Do it all."""
        source, target = self._source, self._target
        with snapshot(source.engine) as reading, unchecked(target.engine) as writing:
            unfinished = unfinished_tables(reading)
            self._marks = Marks(writing, source.name)
            self._marks.load()
            plan = plan_copy((source, reading), (target, writing), self._wishes)
            writing.rollback()
            plan.refusals += _of_a_copy(plan, unfinished)
            self._look(reading, plan)
            report = self._report
            report.notes = told_of(source)
            report.views, report.cycles, report.left_out = plan.views, plan.cycles, plan.left_out
            if self._mode in ("sync", "verify"):
                report.only_there = plan.only_there
            if self._mode == "plan":
                self._foresee(reading, writing, plan)
                report.tables = [TableReport(table) for table in plan.tables]
                report.refusals += [str(one) for one in plan.refusals]
            else:
                self._work(reading, writing, plan)
        report.seconds = time.monotonic() - self._started
        return report

    def _look(self, reading: Connection, plan: CopyPlan) -> None:
        for table in plan.tables:
            mark = self._marks.found.get(table.target_name)
            # A copy goes on with the version that it began with; anything else wants the newest.
            version = mark.version if mark is not None and self._mode == "copy" else None
            pin(self._from, reading, table, version)
            if self._source.backend == "sqlite":
                plan.refusals += look_at(reading, table)
                plan.left_out += forms_lost(reading, table)
            else:
                table.rows = self._from.count(reading, table)
            if not table.exists and self._mode == "verify":
                fix = "copy it"
                plan.refusals.append(Refusal(table.name, "the target has no such table", fix))

    def _foresee(self, reading: Connection, writing: Connection, plan: CopyPlan) -> None:
        """Refuse in a plan what a copy would refuse too, as far as the plan is one."""
        if plan.refusals:
            return
        plan.refusals += self._without_room(reading, writing, plan)
        try:
            self._require_whole(writing, Writer(writing, self._to, self._marks), plan)
        except CopyRefusedError as error:
            self._report.refusals = list(error.refusals)

    def _work(self, reading: Connection, writing: Connection, plan: CopyPlan) -> None:
        plan.require()
        self._total = sum(table.rows for table in plan.tables)
        self._point()
        self._marks.forget([one.target_name for one in plan.tables if not one.exists], self._mode)
        if self._mode == "copy":
            plan.refusals += self._without_room(reading, writing, plan)
            plan.require()
        writer = Writer(writing, self._to, self._marks)
        if self._mode != "verify":
            self._require_whole(writing, writer, plan)
            self._make(writing, plan)
            writer.prepare()
        for table in plan.tables:
            self._report.tables.append(self._one(reading, writing, writer, table))
        if self.delete:
            self._delete_gone(reading, writing)
        self._prove(reading, writing)
        self._report.is_atomic = self._marks.is_atomic
        if self._mode != "verify":
            _carry_numbers(writing, plan)
            self._report.dangling = _dangling(writing, plan, self._report.notes)
            if self._report.is_proved and not self.keep:
                self._marks.drop([table.target_name for table in plan.tables])

    def _without_room(
        self, reading: Connection, writing: Connection, plan: CopyPlan
    ) -> list[Refusal]:
        """Refuse tables with rows that are not of this copy, and not the source's."""
        refusals = []
        for table in plan.tables:
            if not table.exists or table.target_name in self._marks.found:
                continue
            rows = self._to.count(writing, table)
            if rows == 0:
                continue
            theirs = self._from.proof(reading, table)
            if rows == theirs.rows and self._to.proof(writing, table) == theirs:
                table.state = "copied"
                continue
            fix = "bring over what differs with --sync, or empty it"
            refusals.append(Refusal(table.name, f"the target has {rows:,} rows of it", fix))
        writing.rollback()
        return refusals

    def _require_whole(self, writing: Connection, writer: Writer, plan: CopyPlan) -> None:
        """Refuse tables without a key that cannot be written as one, before anything is."""
        for table in plan.tables:
            mark = self._marks.found.get(table.target_name)
            is_done = table.state == "copied" or (mark is not None and mark.is_done)
            if not table.key and not (is_done and self._has_what_is_marked(writing, table)):
                writer.require_whole(table)

    def _has_what_is_marked(self, writing: Connection, table: TablePlan) -> bool:
        """Whether a table has rows, where its mark says so: it may have been emptied since."""
        mark = self._marks.found.get(table.target_name)
        if mark is None or not mark.copied or not table.exists:
            return True
        rows = self._to.count(writing, table)
        writing.rollback()
        return rows > 0

    def _make(self, writing: Connection, plan: CopyPlan) -> None:
        """Make tables, each with a mark that says of it that it is of this copy."""
        waiting = []
        for table in plan.tables:
            rows = self._to.count(writing, table) if table.exists else 0
            if table.state != "copied" and rows == 0:
                waiting.append(table)
        writing.rollback()
        self._marks.begin([(table.target_name, table.version) for table in waiting])
        self._marks.restart([table.target_name for table in waiting])
        for table in waiting:
            with writing.begin():
                if table.statements:
                    _make_as_it_is(writing, table)
                elif table.made is not None:
                    # Also where what a killed process has sent makes it now: its mark says so.
                    writing.execute(CreateTable(table.made, if_not_exists=True))
                    for index in sorted(table.made.indexes, key=lambda one: str(one.name)):
                        writing.execute(CreateIndex(index, if_not_exists=True))

    def _one(
        self, reading: Connection, writing: Connection, writer: Writer, table: TablePlan
    ) -> TableReport:
        report, started = TableReport(table), time.monotonic()
        mark = self._marks.found.get(table.target_name)
        if self._mode == "sync":
            self._sync(reading, writing, writer, report)
        elif self._mode == "copy" and table.state != "copied" and mark is not None:
            self._copy(reading, writing, writer, report, mark)
        report.seconds = time.monotonic() - started
        return report

    def _copy(
        self,
        reading: Connection,
        writing: Connection,
        writer: Writer,
        report: TableReport,
        mark: TableMark,
    ) -> None:
        table = report.plan
        report.went_on = mark.copied
        self._moved += mark.copied
        if mark.is_done:
            return
        if table.key:
            report.copied = self._by_key(reading, writer, table, mark) - mark.copied
            return
        stored = self._to.count(writing, table)
        writing.rollback()
        report.went_on = stored

        def chunks() -> Generator[Chunk, None, None]:
            return self._from.chunks(reading, table, None, self.chunk_rows)

        report.copied = writer.as_whole(table, chunks, stored, self._note) - stored

    def _by_key(
        self, reading: Connection, writer: Writer, table: TablePlan, mark: TableMark
    ) -> int:
        """Copy a table from its mark on; return how many rows are there in all.

        What a process has sent that was killed may be executed only now: then it has taken the
        place of a chunk of this one, which is refused, and has moved the mark.
        """
        for _ in range(_TIMES_OUTRUN):
            # Closed as this ends, also by an error: they hold a cursor of the source.
            with closing(self._from.chunks(reading, table, mark.last, self.chunk_rows)) as chunks:
                try:
                    return writer.by_key(table, chunks, mark, self._note)
                except DBAPIError as error:
                    found = self._marks.read(table.target_name)
                    has_moved = found != mark and isinstance(error, IntegrityError)
                    if found is None or not (has_moved or was_outrun(error)):
                        if self._mode == "copy" and isinstance(error, IntegrityError):
                            raise CopyRefusedError([_in_the_way(table, error)]) from error
                        raise
                    mark = found
            time.sleep(_OUTRUN_PAUSE_S)
        refusal = (
            f"{table.name}: another process writes to it, and was faster {_TIMES_OUTRUN} times; "
            "to fix it: end the other copy into this target, and run this one again"
        )
        raise CopyRefusedError([refusal])

    def _sync(
        self, reading: Connection, writing: Connection, writer: Writer, report: TableReport
    ) -> None:
        table = report.plan
        mark = self._marks.found.get(table.target_name)
        if mark is not None and not mark.is_done:
            try:
                self._copy(reading, writing, writer, report, mark)
            except IntegrityError:
                # Rows that are not of this copy are in its way: they are compared, as all are.
                if not table.key:
                    raise
            else:
                if not report.went_on:
                    return
        if not table.key:
            report.problem = "it has no key, so that only the whole can be compared"
            return
        for part in differences(table, (self._from, reading), (self._to, writing)):
            writing.rollback()
            report.differing += part.shown[: SHOWN_KEYS - len(report.differing)]
            report.deleted += self._bring(reading, writing, table, part)
            report.copied += len(part.new)
            report.changed += len(part.changed)
            report.gone += len(part.gone)
        writing.rollback()

    def _bring(
        self, reading: Connection, writing: Connection, table: TablePlan, part: Difference
    ) -> int:
        """Write the rows of a part that are new or changed; return how many of the gone went."""
        keys = [*part.new, *part.changed]
        some = [keys[at : at + _KEYS_AT_ONCE] for at in range(0, len(keys), _KEYS_AT_ONCE)]
        done = 0
        try:
            for one in some:
                chunk = self._from.fetch(reading, table, one)
                with writing.begin():
                    self._to.upsert(writing, table, chunk)
                self._note(len(one))
                done += len(one)
        except IntegrityError as error:
            if not isinstance(self._to, SqliteSide):
                raise
            gone = self._bring_anew(reading, writing, table, part, some, error)
            self._note(len(keys) - done)
            return gone
        return 0

    def _bring_anew(
        self,
        reading: Connection,
        writing: Connection,
        table: TablePlan,
        part: Difference,
        some: Sequence[Sequence[tuple[Any, ...]]],
        error: IntegrityError,
    ) -> int:
        """Write the rows where they take from each other what is UNIQUE: out first, then in.

        One transaction, of which all is there or nothing. Rows that are gone make room only where
        they are to be deleted.
        """
        gone = part.gone if self.delete else []
        out = [*part.replaced, *gone]
        try:
            with writing.begin():
                for start in range(0, len(out), _KEYS_AT_ONCE):
                    self._to.delete(writing, table, out[start : start + _KEYS_AT_ONCE])
                for one in some:
                    self._to.upsert(writing, table, self._from.fetch(reading, table, one))
        except IntegrityError:
            refusal = (
                f"{table.name}: the target refuses a row ({error.orig}), maybe since one that the "
                "source has no more has what is UNIQUE; to fix it: use --delete, or empty the "
                "target's table"
            )
            raise CopyRefusedError([refusal]) from None
        return len(gone)

    def _delete_gone(self, reading: Connection, writing: Connection) -> None:
        """Delete what the source has not, those first that refer to others."""
        for report in reversed(self._report.tables):
            if not report.gone:
                continue
            table = report.plan
            for part in differences(table, (self._from, reading), (self._to, writing)):
                writing.rollback()
                for start in range(0, len(part.gone), _KEYS_AT_ONCE):
                    some = part.gone[start : start + _KEYS_AT_ONCE]
                    with writing.begin():
                        self._to.delete(writing, table, some)
                    report.deleted += len(some)
            writing.rollback()

    def _prove(self, reading: Connection, writing: Connection) -> None:
        for report in self._report.tables:
            started, table = time.monotonic(), report.plan
            report.source, report.target = self._both(reading, writing, table)
            if report.is_proved:
                report.differing = []
            elif table.key and not report.differing:
                for part in differences(table, (self._from, reading), (self._to, writing)):
                    report.differing += part.shown[: SHOWN_KEYS - len(report.differing)]
            report.seconds += time.monotonic() - started
        writing.rollback()
        for place, side in ((self._source, self._from), (self._target, self._to)):
            self._report.notes += _summed_here(place, side)

    def _both(
        self, reading: Connection, writing: Connection, table: TablePlan
    ) -> tuple[TableProof, TableProof]:
        """What both sides compute of a table: at the same time, but for two files of SQLite."""
        # A connection of SQLite's stays in the thread that has opened it.
        if self._target.backend != "sqlite":
            with ThreadPoolExecutor(1, "vinci-copy") as pool:
                later = pool.submit(self._to.proof, writing, table)
                return self._from.proof(reading, table), later.result()
        if self._source.backend != "sqlite":
            with ThreadPoolExecutor(1, "vinci-copy") as pool:
                other = pool.submit(self._from.proof, reading, table)
                target = self._to.proof(writing, table)
                return other.result(), target
        return self._from.proof(reading, table), self._to.proof(writing, table)

    def _note(self, rows: int) -> None:
        self._moved += rows
        self._point()
        self.told(self._moved, self._total)

    def _point(self) -> None:
        self._report.timeline.append((time.monotonic() - self._started, self._moved))


def _in_the_way(table: TablePlan, error: IntegrityError) -> str:
    # What another driver says may have values of the row in it.
    told = f" ({error.orig})" if isinstance(error.orig, sqlite3.Error) else ""
    return (
        f"{table.name}: the target refuses a row{told}, maybe since one that is not of this copy "
        "has its key, or what is UNIQUE; to fix it: run it again with --sync, which compares all "
        "rows of the table, or empty the target's table"
    )


def _make_as_it_is(writing: Connection, table: TablePlan) -> None:
    """Make a table by the statements of its source, unless it has been made meanwhile."""
    if what_has(inspect(writing), table.target_name) is None:
        for statement in table.statements:
            writing.exec_driver_sql(statement)


def _carry_numbers(writing: Connection, plan: CopyPlan) -> None:
    """Have AUTOINCREMENT give no number that it has given in the source."""
    for table in plan.tables:
        if table.last_number is not None:
            with writing.begin():
                set_last_number(writing, table.target_name, table.last_number)


def _of_a_copy(plan: CopyPlan, unfinished: Sequence[str]) -> list[Refusal]:
    """Tables of the source that are the target of another copy, which goes on or was broken off."""
    fix = "let that copy come to its end"
    reason = f"a copy into the source has not come to its end, as its table {NAME} says"
    return [
        Refusal(one.name, reason, fix) for one in plan.tables if one.name in frozenset(unfinished)
    ]


def _summed_here(place: CopyEnd, side: Side) -> list[str]:
    """Of which tables the checksums were not computed by the database that has them."""
    if not isinstance(side, OtherSide):
        return []
    reasons: dict[str, list[str]] = {}
    for table, reason in side.summed_here.items():
        reasons.setdefault(reason, []).append(table)
    return [
        f"{place.name}: the checksums of {', '.join(tables)} were computed here, from a second "
        f"read, since {reason}"
        for reason, tables in reasons.items()
    ]


def _dangling(writing: Connection, plan: CopyPlan, notes: list[str]) -> list[str]:
    """What refers to rows that are not there; what SQLite cannot check is noted."""
    if writing.dialect.name != "sqlite":
        return []
    found: dict[tuple[str, str], int] = {}
    for table in plan.tables:
        name = SqliteSide.quoted(table.target_name)
        try:
            for row in writing.exec_driver_sql(f"PRAGMA main.foreign_key_check({name})"):
                place = (table.target_name, str(row[2]))
                found[place] = found.get(place, 0) + 1
        except DBAPIError as error:
            # Python 3.10 does not tell which kind of error it is.
            if is_of_file(error) and not str(error.orig).startswith("foreign key mismatch"):
                raise
            reason = f"the foreign keys of {table.target_name} were not checked: {error.orig}"
            notes.append(reason)
    writing.rollback()
    return [f"{count:,} of {name} (to {to})" for (name, to), count in sorted(found.items())]


def _tell_nobody(_rows: int, _total: int) -> None:
    """Say nothing."""
