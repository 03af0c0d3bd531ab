"""Everything between the settings and the rows: connection, sessions, models, migrations.

Other rooms import from it:

- ``databricks_connector``: connector, engine and validation for Databricks
- ``deadlines``: being back in time from calls that know no deadline
- ``session``: sessions of the package's own tables, on the database that the configuration chooses
- ``sqlite``: the engine for SQLite
- ``table_copies``: migrating SQLite, where a table is changed by a copy of it
- ``upserts``: rows that are inserted, or changed where they are there
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vinci_code.database.arrow.frames import read_pandas, read_polars
    from vinci_code.database.arrow.reading import read_arrow, read_arrow_async, read_batches
    from vinci_code.database.async_session import create_configured_async_engine
    from vinci_code.database.engines import create_configured_engine
    from vinci_code.database.loading.loading import load, load_async
    from vinci_code.database.loading.results import LoadPlan, LoadResult, Progress
    from vinci_code.database.moving.copying import copy_database
    from vinci_code.database.sessionmakers import create_configured_sessionmaker
    from vinci_code.database.units_of_work import run_unit, run_unit_async, statistics
    from vinci_code.database.upserts import upsert

__all__ = [
    "LoadPlan",
    "LoadResult",
    "Progress",
    "copy_database",
    "create_configured_async_engine",
    "create_configured_engine",
    "create_configured_sessionmaker",
    "load",
    "load_async",
    "read_arrow",
    "read_arrow_async",
    "read_batches",
    "read_pandas",
    "read_polars",
    "run_unit",
    "run_unit_async",
    "statistics",
    "upsert",
]

if not TYPE_CHECKING:  # or every name that is not there would be one of any type

    def __getattr__(name: str) -> Any:
        # Imported when asked for: the parts of this package are imported one by one, without these.
        if name == "upsert":
            from vinci_code.database.upserts import upsert

            return upsert
        if name == "create_configured_engine":
            from vinci_code.database.engines import create_configured_engine

            return create_configured_engine
        if name == "create_configured_async_engine":
            from vinci_code.database.async_session import create_configured_async_engine

            return create_configured_async_engine
        if name == "create_configured_sessionmaker":
            from vinci_code.database.sessionmakers import create_configured_sessionmaker

            return create_configured_sessionmaker
        if name in {"load", "load_async"}:
            from vinci_code.database.loading import loading

            return getattr(loading, name)
        if name in {"LoadPlan", "LoadResult", "Progress"}:
            from vinci_code.database.loading import results

            return getattr(results, name)
        if name in {"run_unit", "run_unit_async", "statistics"}:
            from vinci_code.database import units_of_work

            return getattr(units_of_work, name)
        if name in {"read_arrow", "read_arrow_async", "read_batches"}:
            from vinci_code.database.arrow import reading

            return getattr(reading, name)
        if name in {"read_pandas", "read_polars"}:
            from vinci_code.database.arrow import frames

            return getattr(frames, name)
        if name == "copy_database":
            from vinci_code.database.moving.copying import copy_database

            return copy_database
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
