"""What a copy has done, and what was proved of it: for people and for machines."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from vinci_code.database.moving.plans import TablePlan, TableProof

Mode = Literal["copy", "plan", "sync", "verify"]

SHOWN_KEYS = 5
"""How many keys of rows that differ are shown of a table."""


@dataclass(frozen=True)
class ColumnProof:
    """What both sides have computed of a column.

    Attributes:
        name: The column's name in the source.
        source: How many values it has there, and their checksum.
        target: The same of the target.
    """

    name: str
    source: tuple[int, int]
    target: tuple[int, int]

    @property
    def is_equal(self) -> bool:
        """Whether both are the same."""
        return self.source == self.target


@dataclass
class TableReport:
    """What has become of a table.

    Attributes:
        plan: What was planned for it.
        copied: How many rows were written by this run.
        went_on: How many rows a run before had copied.
        changed: How many rows were changed.
        gone: How many rows the target has and the source has not, found while they were compared.
        deleted: How many of these were deleted.
        seconds: How long it took, its proof included.
        source: What the source has computed of it; ``None`` where nothing was.
        target: The same of the target.
        differing: The keys of the first rows that differ.
        problem: Why it was not brought up to date, where it was not.
    """

    plan: TablePlan
    copied: int = 0
    went_on: int = 0
    changed: int = 0
    gone: int = 0
    deleted: int = 0
    seconds: float = 0.0
    source: TableProof | None = None
    target: TableProof | None = None
    differing: list[str] = field(default_factory=list)
    problem: str | None = None

    @property
    def is_proved(self) -> bool:
        """Whether both sides have computed the same."""
        return self.source is not None and self.source == self.target

    @property
    def columns(self) -> list[ColumnProof]:
        """For each column what both sides have computed."""
        if self.source is None or self.target is None:
            return []
        theirs = zip(self.source.values, self.source.sums, strict=True)
        ours = zip(self.target.values, self.target.sums, strict=True)
        names = self.plan.names(on_target=False)
        return [ColumnProof(*one) for one in zip(names, theirs, ours, strict=True)]


@dataclass
class CopyReport:
    """What a copy has done.

    Attributes:
        source: What the source is called.
        target: What the target is called.
        mode: What was asked for.
        started_at: When it began, in UTC, as ISO 8601.
        seconds: How long it took.
        tables: What has become of each table.
        views: Views of the source, which are left out.
        cycles: Tables that refer to each other in a circle.
        left_out: What of the tables is not taken over.
        only_there: Tables that the target alone has; nothing was compared with them.
        refusals: What cannot be copied; with one of them nothing was.
        dangling: Foreign keys of the target, on SQLite, that refer to rows which are not there.
        is_atomic: Whether each chunk and its mark were one transaction.
        notes: How the databases were read, and who has computed checksums, where it is not obvious.
        timeline: Seconds since the start, and how many rows were copied until then.
    """

    source: str
    target: str
    mode: Mode
    started_at: str
    seconds: float = 0.0
    tables: list[TableReport] = field(default_factory=list)
    views: list[str] = field(default_factory=list)
    cycles: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    only_there: list[str] = field(default_factory=list)
    refusals: list[str] = field(default_factory=list)
    dangling: list[str] = field(default_factory=list)
    is_atomic: bool = True
    notes: list[str] = field(default_factory=list)
    timeline: list[tuple[float, int]] = field(default_factory=list)

    @property
    def is_proved(self) -> bool:
        """Whether every table is the same on both sides; of no table nothing is proved."""
        return not self.refusals and bool(self.tables) and all(one.is_proved for one in self.tables)

    @property
    def rows(self) -> int:
        """How many rows were written."""
        return sum(one.copied + one.changed for one in self.tables)

    def fields(self) -> dict[str, Any]:
        """The same as a JSON document."""
        return {
            "source": self.source,
            "target": self.target,
            "mode": self.mode,
            "started_at": self.started_at,
            "seconds": round(self.seconds, 3),
            "proved": self.is_proved,
            "rows": self.rows,
            "tables": [_table_fields(one) for one in self.tables],
            "views_left_out": self.views,
            "cycles": self.cycles,
            "left_out": self.left_out,
            "only_in_target": self.only_there,
            "refusals": self.refusals,
            "dangling": self.dangling,
            "one_transaction_per_chunk": self.is_atomic,
            "notes": self.notes,
            "timeline": [[round(at, 3), rows] for at, rows in self.timeline],
        }

    def lines(self) -> list[str]:
        """The same in words."""
        lines = [f"From {self.source}", f"to   {self.target}"]
        for one in self.tables:
            lines += _table_lines(one, self.mode)
        lines += _listed("Left out, as views are", self.views)
        lines += _listed("These refer to each other in a circle", self.cycles)
        lines += [f"Not taken over: {one}" for one in self.left_out]
        lines += _listed("In the target alone, and not compared", self.only_there)
        lines += [f"Refused: {one}" for one in self.refusals]
        lines += [f"Refers to rows that are not there: {one}" for one in self.dangling]
        lines += [f"To know: {one}" for one in self.notes]
        if not self.is_atomic:
            lines.append(
                "The target has no transactions of several tables: each chunk was written by key, "
                "and its mark afterwards."
            )
        return [*lines, self.verdict()]

    def verdict(self) -> str:
        """How it ended, in a sentence."""
        count = f"{len(self.tables):,} table{'' if len(self.tables) == 1 else 's'}"
        if self.mode == "plan":
            if self.refusals:
                return f"Nothing was written. {len(self.refusals):,} refused: see above."
            return f"Nothing was written. {count} can be copied."
        took = f"in {self.seconds:.1f} s"
        if self.is_proved:
            done = {"copy": "Copied", "sync": "Brought up to date", "verify": "Compared"}[self.mode]
            return f"{done} {count} {took}: equal on both sides, by counts and checksums."
        unlike = ", ".join(one.plan.name for one in self.tables if not one.is_proved)
        return f"NOT EQUAL {took}: {unlike}. {_ADVICE[self.mode]}"


_ADVICE: dict[Mode, str] = {
    "copy": "To fix it: run it again with --sync, which brings over what differs.",
    "sync": "To fix it: see what was told of these tables; --delete deletes rows that are gone.",
    "verify": "To fix it: run it with --sync, which brings over what differs.",
    "plan": "",
}


def _listed(what: str, names: list[str]) -> list[str]:
    return [f"{what}: {', '.join(names)}"] if names else []


def _table_lines(one: TableReport, mode: Mode) -> list[str]:
    plan = one.plan
    version = "" if plan.version is None else f", version {plan.version}"
    if mode == "plan":
        state = "is there already" if plan.exists else "is made"
        lines = [f"{plan.name}: {plan.rows:,} rows{version}; {plan.target_name} {state}"]
        for column in plan.columns:
            notes = f" ({'; '.join(column.notes)})" if column.notes else ""
            lines.append(f"  {column.name}: {column.source_type} -> {column.target_type}{notes}")
        return lines + [f"  {note}" for note in plan.notes]
    told = [f"{one.copied:,} rows copied"] if mode == "copy" else []
    if mode == "sync":
        told = [f"{one.copied:,} new", f"{one.changed:,} changed", f"{one.gone:,} gone"]
        told += [f"{one.deleted:,} deleted"] if one.deleted else []
    if one.went_on:
        told.append(f"{one.went_on:,} by a run before")
    told.append("equal" if one.is_proved else "NOT EQUAL")
    lines = [f"{plan.name}{version}: {', '.join(told)}, {one.seconds:.1f} s"]
    if one.problem and not one.is_proved:
        lines.append(f"  {one.problem}")
    return lines + [f"  {line}" for line in _unlike(one)]


def _unlike(one: TableReport) -> list[str]:
    if one.is_proved or one.source is None or one.target is None:
        return []
    lines = []
    if one.source.rows != one.target.rows:
        lines.append(f"rows: {one.source.rows:,} in the source, {one.target.rows:,} in the target")
    for column in one.columns:
        if not column.is_equal:
            counts = f"{column.source[0]:,} and {column.target[0]:,} values"
            lines.append(f"{column.name}: the checksums differ ({counts})")
    if not lines:
        lines.append("the checksum of the whole rows differs, and that of no column")
    if one.differing:
        lines.append(f"rows that differ, by key: {', '.join(one.differing[:SHOWN_KEYS])}")
    return lines


def _table_fields(one: TableReport) -> dict[str, Any]:
    plan = one.plan
    fields: dict[str, Any] = {
        "table": plan.name,
        "target_table": plan.target_name,
        "rows": plan.rows if one.source is None else one.source.rows,
        "version": plan.version,
        "key": list(plan.key),
        "copied": one.copied,
        "copied_before": one.went_on,
        "changed": one.changed,
        "gone": one.gone,
        "deleted": one.deleted,
        "seconds": round(one.seconds, 3),
        "proved": one.is_proved,
        "notes": plan.notes,
        "differing": one.differing[:SHOWN_KEYS],
        "problem": None if one.is_proved else one.problem,
        "columns": [
            {
                "column": column.name,
                "kind": str(column.kind),
                "source_type": column.source_type,
                "target_type": column.target_type,
                "notes": list(column.notes),
            }
            for column in plan.columns
        ],
    }
    if one.source is not None and one.target is not None:
        fields["target_rows"] = one.target.rows
        fields["checksums"] = {
            proof.name: {
                "source": {"values": proof.source[0], "sum": str(proof.source[1])},
                "target": {"values": proof.target[0], "sum": str(proof.target[1])},
                "equal": proof.is_equal,
            }
            for proof in one.columns
        }
    return fields
