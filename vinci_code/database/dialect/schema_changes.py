"""Runs DDL, of which one construct may be several statements."""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING, Any

from vinci_code.database.dialect.dberrors import DatabaseError, OperationalError
from vinci_code.database.dialect.ddl import CATALOG_COMMITS, SEPARATOR

if TYPE_CHECKING:
    from vinci_code.database.dialect.base import VinciDialect

_log = logging.getLogger(__name__)

_CREATE_TABLE = re.compile(r"CREATE\s+(?:TEMP(?:ORARY)?\s+)?TABLE\s+(?!IF\s)(.+?)\s*\(", re.DOTALL)
_REFUSED = re.compile(
    r"catalogManaged|catalogOwned|catalog.commit|UNSUPPORTED_FEATURE|PREVIEW_NOT_ENABLED"
    r"|TRANSACTION_NOT_SUPPORTED",
    re.IGNORECASE,
)


def run(dialect: VinciDialect, cursor: Any, text: str) -> None:
    """Run what a DDL construct was rendered as: no statement, one, or several.

    A table whose CHECK constraints cannot be added is dropped again: it would otherwise be found
    by the next ``create_all()``, and be without them for good.
    """
    statements = [part for part in text.split(SEPARATOR) if part.strip()]
    if not statements:
        return
    _create(dialect, cursor, statements[0])
    made = _CREATE_TABLE.match(statements[0].lstrip())
    try:
        for statement in statements[1:]:
            cursor.execute(statement)
    except DatabaseError as error:
        if made is not None and not isinstance(error, OperationalError):
            cursor.execute(f"DROP TABLE IF EXISTS {made.group(1)}")
        raise


def _create(dialect: VinciDialect, cursor: Any, statement: str) -> None:
    """Run a statement; where the workspace has no catalog commits, and may have none, without."""
    try:
        cursor.execute(statement)
    except DatabaseError as error:
        optional = dialect.transactions == "auto" and CATALOG_COMMITS in statement
        if not optional or not _REFUSED.search(str(error)):
            raise
        dialect.catalog_commits = False
        _log.info(
            "tables are made without catalog commits, which this workspace refuses: %s", error
        )
        cursor.execute(without_catalog_commits(statement))


def without_catalog_commits(statement: str) -> str:
    """Return CREATE TABLE without the property that lets transactions write to the table."""
    text = statement.replace(f", {CATALOG_COMMITS})", ")")
    return text.replace(f"\nTBLPROPERTIES ({CATALOG_COMMITS})", "")
