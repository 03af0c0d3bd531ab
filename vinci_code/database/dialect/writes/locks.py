"""Rows that were read FOR UPDATE: the commit makes sure that they are as they were.

A guard does so in the first statement of the commit, which sees what is stored. Where that can have
no guard, or a transaction goes before, a MERGE does so that leaves the rows as they are.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from vinci_code.database.dialect.dberrors import LimitExceeded
from vinci_code.database.dialect.sql.locking import LockedColumn, LockedTable
from vinci_code.database.dialect.types.transports import BOOLEAN, STRING, Transport
from vinci_code.database.dialect.writes.compared import condition, sent
from vinci_code.database.dialect.writes.guards import conflict_guard, unless_raised
from vinci_code.database.dialect.writes.payload import payloads
from vinci_code.database.dialect.writes.shapes import ROWS, letters

_LOCKED = "vinci_locked"
_TEXTS = (str, bytes)


@dataclass
class LockedRows:
    """Rows of one table as they were read.

    Attributes:
        of: The table.
        rows: What each was, by its key: the values of the other columns, by name.
        hide_keys: That the error does not say which row is not as it was.
    """

    of: LockedTable
    rows: dict[tuple[Any, ...], Mapping[str, Any]] = field(default_factory=dict)
    hide_keys: bool = False

    def add(self, rows: Iterable[Sequence[Any]], own: Mapping[Any, Collection[str] | None]) -> None:
        """Note rows, as they were read for the first time.

        Args:
            rows: The values of the key, and of the other columns, of each.
            own: The columns that the unit itself has written, by the key of the row: of these it is
                not known what is stored. ``None`` for a row that is not stored yet.
        """
        width = len(self.of.key)
        for row in rows:
            key = tuple(row[:width])
            if None in key or key in self.rows:
                continue  # of an outer join that has found none, or read before
            written = own.get(key, ())
            if written is None:
                continue
            values = zip(self.of.columns, row[width:], strict=True)
            self.rows[key] = {c.name: value for c, value in values if c.name not in written}

    def guard(self) -> str:
        """A guard that raises where one of them is not as it was."""
        key = [f"{self.of.target}.{c.sql} = {_LOCKED}.{letters(n)}" for n, c in self._key()]
        same = " AND ".join([*key, *self._conditions()])
        return conflict_guard(
            f"table '{self.of.table.fullname}': of the rows that were read FOR UPDATE,",
            list(self.of.table.primary_key),
            [f"{_LOCKED}.{letters(n)}" for n, _ in self._key()],
            f"{' one' * self.hide_keys} was changed or deleted by somebody else",
            f"FROM ({self._given()}) AS {_LOCKED} LEFT ANTI JOIN {self.of.target} ON {same}",
            hide_keys=self.hide_keys,
        )

    def statement(self) -> str:
        """A statement that does the same, and leaves them as they are."""
        names = [letters(n) for n, _ in self._key()]
        on = " AND ".join(f"{self.of.target}.{c.sql} = {ROWS}.{letters(n)}" for n, c in self._key())
        first = self.of.key[0].sql
        source = f"WITH {ROWS} AS ({self._given()}) SELECT {ROWS}.{names[0]}"
        for name in names[1:]:
            source += f", {ROWS}.{name}"
        return (
            f"MERGE INTO {self.of.target} USING ({source} {unless_raised([self.guard()])}) "
            f"AS {ROWS} ON {on} WHEN MATCHED THEN UPDATE SET {first} = {ROWS}.{names[0]}"
        )

    def _key(self) -> Iterable[tuple[int, LockedColumn]]:
        return enumerate(self.of.key)

    def _conditions(self) -> Iterable[str]:
        at = len(self.of.key)
        for column in self.of.columns:
            stored = column.form.format(f"{self.of.target}.{column.sql}")
            any_value, value, other = (f"{_LOCKED}.{letters(at + n)}" for n in range(3))
            yield condition(stored, any_value, value, other if _is_hashed(column) else None)
            at += 2 + _is_hashed(column)

    def _given(self) -> str:
        """The SELECT that gives them, in which nothing is a parameter."""
        transports: list[Transport] = [column.transport for column in self.of.key]
        for column in self.of.columns:
            transports += [BOOLEAN, column.transport, *([STRING] * _is_hashed(column))]
        rows = [(*key, *self._values(values)) for key, values in self.rows.items()]
        made = list(islice(payloads(rows, transports, split=False), 2))
        if len(made) > 1:
            raise LimitExceeded(
                f"{len(rows):,} rows of table {self.of.table.fullname} were read FOR UPDATE, which "
                "are more than one statement can make sure of; nothing was written\n"
                "To fix it: lock fewer rows in a unit of work, or name the tables: "
                "with_for_update(of=[…])."
            )
        begin, end = made[0].around()
        return "".join([begin, *made[0].literal(), end])

    def _values(self, known: Mapping[str, Any]) -> Iterable[Any]:
        for column in self.of.columns:
            hashed = _is_hashed(column)
            if column.name in known:
                yield from (None, *sent(known[column.name], hashed))
            else:
                yield from (True, None, *([None] * hashed))


def _is_hashed(column: LockedColumn) -> bool:
    """Whether of a long value its SHA-256 is sent."""
    return not column.transport.kinds.isdisjoint(_TEXTS)
