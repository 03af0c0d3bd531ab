"""The engine of whichever database the settings choose, with no tables of anybody's."""

from __future__ import annotations

from sqlalchemy import Engine

from vinci_code.core.config import DatabaseSettings, Settings, get_settings


def create_configured_engine(settings: Settings | DatabaseSettings | None = None) -> Engine:
    """Create the engine that the settings choose, leaving the tables as they are.

    It is for applications with tables of their own; nothing of this package's is made or asked for.
    Nothing is opened yet.

    Args:
        settings: The settings to use instead of those of the environment.

    Raises:
        ConfigurationError: The settings cannot be used, or a part that they need is not installed.
        DatabaseFileError: The SQLite file lies in a folder that does not exist.
    """
    if settings is None:
        settings = get_settings()
    if isinstance(settings, Settings):
        settings = settings.database
    # Of the two, one is loaded.
    if settings.use_databricks:
        from vinci_code.database.databricks_connector import create_databricks_engine

        # As the engine on SQLite does: what JSON would change is refused on both.
        from vinci_code.database.models.types import dump_json

        return create_databricks_engine(settings, json_serializer=dump_json)
    from vinci_code.database.sqlite import create_sqlite_engine

    return create_sqlite_engine(settings.database_url, echo=settings.database_echo)
