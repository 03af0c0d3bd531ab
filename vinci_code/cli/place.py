"""Which database the settings choose, in words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from vinci_code.core.config import DatabaseSettings


def backend_of(settings: DatabaseSettings) -> Literal["sqlite", "databricks"]:
    """The backend as machines name it."""
    return "databricks" if settings.use_databricks else "sqlite"


def place_of(settings: DatabaseSettings) -> str:
    """The database as people find it again."""
    from vinci_code.database.sqlite import file_of

    if settings.use_databricks:
        return f"Databricks, {settings.host}"
    path = file_of(settings.database_url)
    return "SQLite, in memory" if path is None else f"SQLite, {path}"
