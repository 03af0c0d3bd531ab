"""The statements that a unit of work is sent as."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from vinci_code.database.dialect.text.binding import byte_length
from vinci_code.database.dialect.text.scanning import WRITE, StatementTraits
from vinci_code.database.dialect.units.held import Held, HeldFiles, HeldRows, HeldText, bare_name
from vinci_code.database.dialect.writes import guards
from vinci_code.database.dialect.writes.locks import LockedRows
from vinci_code.database.dialect.writes.payload import payloads
from vinci_code.database.dialect.writes.sets import SetWriter
from vinci_code.database.dialect.writes.shapes import WriteKind


@dataclass(frozen=True)
class Step:
    """A statement that is ready to be sent.

    Attributes:
        text: The statement.
        parameters: Its parameters.
        rows: How many rows it writes, as far as is known.
        of: What it was made of.
        whole: Whether it is all that was made of it.
        last: Whether nothing more is made of it.
        part: What it writes; the same as ``of`` where that is one statement.
        described: What the statement is.
    """

    text: str
    parameters: Sequence[Any]
    rows: int
    of: Held
    whole: bool
    last: bool
    part: Held
    described: StatementTraits = WRITE

    @property
    def size(self) -> int:
        """Its bytes, those of strings among its parameters too."""
        texts = (p for p in self.parameters if isinstance(p, str))
        return byte_length(self.text) + sum(map(byte_length, texts))


def steps(
    held: Iterable[Held],
    dialect: Any,
    *,
    bound: bool = True,
    split: bool = True,
    locked: Sequence[LockedRows] = (),
) -> Iterator[Step]:
    """Make statements of what is held, one after the other as they are sent.

    If ``bound``, a payload may be a parameter. If ``split``, rows become several statements where
    one would take much memory. The first makes sure that ``locked`` rows are as they were.

    Raises:
        DataError: A value cannot be held by any type that the warehouse has.
        LimitExceeded: One row alone is larger than a statement may be.
    """
    first = [rows.guard() for rows in locked]
    for write in held:
        if isinstance(write, HeldText):
            for text in (*(locking(locked) if first else ()), write):
                yield _of_text(text)
            first = []
            continue
        given = write.settled()
        begin = 0
        for payload in payloads(given, write.shape.transports, split=split):
            rows = given[begin : begin + payload.rows]
            begin += payload.rows
            writer = SetWriter(write.shape, write.checks, dialect, rows=rows, locked=first)
            first = []
            made = writer.statement(payload, write.upsert, bound=bound)
            whole, last = payload.rows == len(given), begin == len(given)
            # Of the largest payload there is room for one in memory.
            del payload, writer
            part = write if whole else replace(write, rows=list(rows), sources=[])
            yield Step(made.text, made.parameters, made.rows, write, whole, last, part)


def _of_text(text: HeldText) -> Step:
    rows = text.payload.rows if isinstance(text, HeldFiles) else 0
    return Step(text.text, text.parameters, rows, text, True, True, text, text.described)


def locking(locked: Iterable[LockedRows]) -> list[HeldText]:
    """Statements which make sure that rows are as they were, and leave them so."""
    return [
        HeldText(rows.statement(), (), frozenset({bare_name(rows.of.table)}), rows.of.target)
        for rows in locked
    ]


def refuse_duplicates(held: Iterable[Held]) -> None:
    """Refuse rows that break a constraint among themselves, before anything is sent.

    Raises:
        IntegrityError: A key is written twice, or a row refers to one that comes later.
    """
    for write in held:
        if not isinstance(write, HeldRows):
            continue
        if write.checks.foreign_keys and write.shape.kind is WriteKind.INSERT:
            guards.refuse_early_children(write.shape, write.rows, hide_keys=write.checks.hide_keys)
        if not write.checks.keys or write.upsert is not None:
            continue
        # Of rows that may not be there, two may be given one key.
        if write.shape.kind is WriteKind.INSERT or write.checks.matched:
            guards.refuse_duplicates(write.shape, write.rows, hide_keys=write.checks.hide_keys)
