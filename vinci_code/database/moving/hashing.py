"""Sums of rows in Python, by the rules of ``canonical``."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import md5
from typing import Any

from vinci_code.database.moving.canonical import number_of, part
from vinci_code.database.moving.plans import TableProof


class Sums:
    """Adds up the canonical texts of rows.

    Attributes:
        rows: How many rows were added.
    """

    def __init__(self, columns: int, keys: Sequence[int]) -> None:
        self.rows = 0
        self._keys = tuple(keys)
        self._values = [0] * columns
        self._sums = [0] * columns
        self._whole = 0

    def add(self, texts: Sequence[str | None]) -> None:
        """Add a row: for each column the canonical text of its value, ``None`` for NULL."""
        self.rows += 1
        key = key_text(texts, self._keys)
        values, sums = self._values, self._sums
        for place, text in enumerate(texts):
            if text is not None:
                values[place] += 1
                digest = md5((key + text).encode(), usedforsecurity=False).digest()
                sums[place] += int.from_bytes(digest[:8], "big") >> 4
        if not self._keys:
            self._whole += row_number(texts)

    def proof(self) -> TableProof:
        """What was added up."""
        whole = None if self._keys else self._whole
        return TableProof(self.rows, tuple(self._values), tuple(self._sums), whole)


def key_text(texts: Sequence[Any], keys: Sequence[int]) -> str:
    """The text of a row's key, empty without one."""
    return "".join([part(texts[place]) for place in keys])


def row_number(texts: Sequence[str | None]) -> int:
    """The number of all that a row holds."""
    return number_of("".join(["-" if text is None else part(text) for text in texts]))


def bucket_of(key: str, count: int) -> int:
    """Which of so many buckets a key belongs to."""
    return number_of(key) % count
