"""How rows travel: as those of a commit, or staged as files in a volume."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import Connection, Table

from vinci_code.database.dialect.writes.payload import LARGE_JSON_BYTES
from vinci_code.database.loading.generated import NotStageableError
from vinci_code.database.loading.given import GivenColumn
from vinci_code.database.loading.portions import Portion
from vinci_code.database.loading.results import Way
from vinci_code.database.loading.sizes import json_bytes

if TYPE_CHECKING:
    from vinci_code.database.loading.storing import Storing
    from vinci_code.database.loading.volumes import Volume


@dataclass(frozen=True)
class Staging:
    """What files are made of, and where they lie."""

    storing: Storing
    volume: Volume


@dataclass(frozen=True)
class Choice:
    """How rows travel.

    Attributes:
        way: As rows of a commit, or as files.
        why: The reason.
        portions: The rows, those among them that were looked at.
        staging: What they are staged with, where they are.
    """

    way: Way
    why: str
    portions: Iterator[Portion]
    staging: Staging | None = None


def choose(
    connection: Connection,
    table: Table,
    given: Sequence[GivenColumn],
    portions: Iterator[Portion],
    volume: str | None,
) -> Choice:
    """How the rows of a load travel.

    Few rows on Databricks are those of any commit: up to what one statement takes, which is
    ``LARGE_JSON_BYTES`` of JSON.

    Args:
        connection: The connection.
        table: The table.
        given: The columns that the source gives; none where its rows differ in what they have.
        portions: The rows.
        volume: The volume that is wanted for files.

    Raises:
        ArgumentError: What is wanted names no volume.
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
    many = f"its rows take more than the {LARGE_JSON_BYTES:,} bytes of one statement"
    found = _staging(connection, table, given, volume)
    if isinstance(found, str):
        return Choice("rows", f"{many}, and cannot be staged in a volume: {found}", both)
    staging, reason = found
    return Choice("staged", f"{many}; of the volume {staging.volume}: {reason}", both, staging)


def _staging(
    connection: Connection, table: Table, given: Sequence[GivenColumn], wanted: str | None
) -> tuple[Staging, str] | str:
    """What rows are staged with, and why in this volume; or why they are not."""
    if not given:
        return "each object has attributes of its own that are set"
    from vinci_code.database.loading.staged import staging_refused
    from vinci_code.database.loading.storing import Storing
    from vinci_code.database.loading.volumes import volume_for

    try:
        storing = Storing(table, given, connection.dialect)
    except NotStageableError as error:
        return str(error)
    refused = staging_refused(connection, table)
    if refused is not None:
        return refused
    chosen = volume_for(connection, wanted)
    if chosen.volume is None:
        return chosen.reason
    return Staging(storing, chosen.volume), chosen.reason
