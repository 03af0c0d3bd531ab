"""Runs DDL, of which one construct may be several statements."""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING, Any

from vinci_code.database.dialect.dberrors import DatabaseError, OperationalError
from vinci_code.database.dialect.text.scanning import DEFINITION, describe

if TYPE_CHECKING:
    from vinci_code.database.dialect.sql.ddl import Script

_log = logging.getLogger(__name__)

_REFUSED = re.compile(
    r"catalogManaged|catalogOwned|catalog.commit|UNSUPPORTED_FEATURE|PREVIEW_NOT_ENABLED"
    r"|TRANSACTION_NOT_SUPPORTED",
    re.IGNORECASE,
)


def run(dialect: Any, cursor: Any, script: Script, *, is_told: bool = False) -> None:
    """Run what a DDL construct was rendered as: no statement, one, or several.

    ``is_told`` says whether SQLAlchemy tells its listeners of the only one.

    A table whose CHECK constraints cannot be added is dropped again: it would otherwise be found
    by the next ``create_all()``, and be without them for good.
    """
    if not script.statements:
        return
    for statement in script.before:
        _execute(cursor, statement, script)
    first, *others = script.statements
    _create(dialect, cursor, first, script, is_told=is_told)
    try:
        for statement in others:
            _execute(cursor, statement, script)
    except DatabaseError as error:
        if script.made is not None and not isinstance(error, OperationalError):
            cursor.execute(f"DROP TABLE IF EXISTS {script.made}", described=DEFINITION)
        raise


def _create(dialect: Any, cursor: Any, statement: str, script: Script, *, is_told: bool) -> None:
    """Run a statement; where the workspace has no catalog commits, and may have none, without."""
    otherwise = script.without_commits
    try:
        _execute(cursor, statement, script, is_told=is_told)
    except DatabaseError as error:
        optional = dialect.transactions == "auto" and otherwise is not None
        if not optional or not _REFUSED.search(str(error)):
            raise
        dialect.catalog_commits = False
        _log.info(
            "tables are made without catalog commits, which this workspace refuses: %s", error
        )
        _execute(cursor, str(otherwise), script)


def _execute(cursor: Any, statement: str, script: Script, *, is_told: bool = False) -> None:
    cursor.execute(statement, described=script.described or describe(statement), is_told=is_told)
