"""How rows travel: as those of a commit, or staged as files in a volume."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

from sqlalchemy import Connection

from vinci_code.database.dialect.writes.payload import LARGE_JSON_BYTES
from vinci_code.database.loading.portions import Portion
from vinci_code.database.loading.results import Way
from vinci_code.database.loading.sizes import json_bytes


@dataclass(frozen=True)
class Choice:
    """How rows travel.

    Attributes:
        way: As rows of a commit, or as files.
        why: The reason.
        portions: The rows, those among them that were looked at.
    """

    way: Way
    why: str
    portions: Iterator[Portion]


def choose(connection: Connection, portions: Iterator[Portion], volume: str | None) -> Choice:
    """How the rows of a load travel.

    Few rows on Databricks are those of any commit: up to what one statement takes, which is
    ``LARGE_JSON_BYTES`` of JSON.

    Args:
        connection: The connection.
        portions: The rows.
        volume: The volume that is wanted for files.
    """
    if connection.dialect.name == "sqlite":
        return Choice("rows", "SQLite takes rows", portions)
    taken: list[Portion] = []
    size = rows = 0
    for portion in portions:
        taken.append(portion)
        size += json_bytes(portion)
        rows += portion.rows
        if size > LARGE_JSON_BYTES:
            break
    both = itertools.chain(taken, portions)
    if size <= LARGE_JSON_BYTES:
        return Choice(
            "rows",
            f"{rows:,} rows of about {size:,} bytes fit into one statement, which takes "
            f"{LARGE_JSON_BYTES:,}",
            both,
        )
    return Choice("rows", "staging is not connected", both)
