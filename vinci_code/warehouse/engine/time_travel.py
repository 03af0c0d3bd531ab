"""Time travel: which version of a table ``VERSION AS OF`` and ``TIMESTAMP AS OF`` mean."""

from __future__ import annotations

from datetime import datetime, timezone

from vinci_code.warehouse.engine.model import Table, TableState
from vinci_code.warehouse.sql.errors import SqlError, unsupported

KEPT_ROWS = 1_000_000
"""How many removed rows of a table are kept, so that older versions can be read."""


def at_version(table: Table, version: int) -> TableState:
    """Return a table at a version.

    Raises:
        SqlError: ``DELTA_VERSION_NOT_FOUND`` where there is no such version; a refusal by name
            where rows of it were reclaimed.
    """
    if not 0 <= version <= table.state.version:
        raise SqlError(
            "DELTA_VERSION_NOT_FOUND",
            "22003",
            f"Cannot time travel Delta table to version {version}. Available versions: "
            f"[0, {table.state.version}].",
        )
    return _kept(table, version)


def at_timestamp(table: Table, moment: datetime) -> TableState:
    """Return a table at the version that was the newest at an instant.

    Raises:
        SqlError: ``DELTA_TIMESTAMP_EARLIER_THAN_COMMIT_RETENTION`` before the first version,
            ``DELTA_TIMESTAMP_GREATER_THAN_COMMIT`` after the last.
    """
    last, first = table.commits[-1].timestamp, table.commits[0].timestamp
    if moment > last:
        raise SqlError(
            "DELTA_TIMESTAMP_GREATER_THAN_COMMIT",
            "42816",
            f"The provided timestamp ({_shown(moment)}) is after the latest version available to "
            f"this table ({table.name}). Please use a timestamp before or at {_shown(last)}.",
        )
    if moment < first:
        raise SqlError(
            "DELTA_TIMESTAMP_EARLIER_THAN_COMMIT_RETENTION",
            "42816",
            f"The provided timestamp ({_shown(moment)}) is before the earliest version available "
            f"to this table ({table.name}). Please use a timestamp after {_shown(first)}.",
        )
    version = max(item.version for item in table.commits if item.timestamp <= moment)
    return _kept(table, version)


def _kept(table: Table, version: int) -> TableState:
    if version < table.oldest:
        raise unsupported(
            f"version {version} of {table.name}: rows that were removed before version "
            f"{table.oldest} were reclaimed, since there were more than {KEPT_ROWS} of them"
        )
    return table.at(version)


def _shown(moment: datetime) -> str:
    text = moment.astimezone(timezone.utc).strftime("%Y-%m-%d %H:%M:%S.%f")
    return text.rstrip("0").rstrip(".")
