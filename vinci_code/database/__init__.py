"""Everything between the settings and the rows: connection, sessions, models, migrations.

Other rooms import from it:

- ``databricks_connector``: connector, engine and validation for Databricks
- ``deadlines``: being back in time from calls that know no deadline
- ``session``: sessions of the package's own tables, on the database that the configuration chooses
- ``sqlite``: the engine for SQLite
- ``table_copies``: migrating SQLite, where a table is changed by a copy of it
- ``units_of_work``: work that is run again where somebody else was faster
- ``upserts``: rows that are inserted, or changed where they are there
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vinci_code.database.arrow.frames import read_pandas, read_polars
    from vinci_code.database.arrow.reading import read_arrow, read_arrow_async, read_batches
    from vinci_code.database.async_session import create_configured_async_engine
    from vinci_code.database.connection_pools import PoolStatus, pool_status
    from vinci_code.database.engines import create_configured_engine
    from vinci_code.database.loading.loading import load, load_async
    from vinci_code.database.loading.results import LoadPlan, LoadProgress, LoadResult
    from vinci_code.database.moving.copying import copy_database
    from vinci_code.database.sessionmakers import create_configured_sessionmaker
    from vinci_code.database.units_of_work import run_unit, run_unit_async, statistics
    from vinci_code.database.upserts import upsert
    from vinci_code.database.users.async_pools import AsyncUserPools, create_async_user_pools
    from vinci_code.database.users.pools import UserPools, UserPoolsStatus, create_user_pools
    from vinci_code.database.users.process import (
        close_user_pools,
        connection_for,
        forget_user,
        session_for,
        user_pools,
    )

__all__ = [
    "AsyncUserPools",
    "LoadPlan",
    "LoadProgress",
    "LoadResult",
    "PoolStatus",
    "UserPools",
    "UserPoolsStatus",
    "close_user_pools",
    "connection_for",
    "copy_database",
    "create_async_user_pools",
    "create_configured_async_engine",
    "create_configured_engine",
    "create_configured_sessionmaker",
    "create_user_pools",
    "forget_user",
    "load",
    "load_async",
    "pool_status",
    "read_arrow",
    "read_arrow_async",
    "read_batches",
    "read_pandas",
    "read_polars",
    "run_unit",
    "run_unit_async",
    "session_for",
    "statistics",
    "upsert",
    "user_pools",
]

_HOMES = {
    "LoadPlan": "vinci_code.database.loading.results",
    "LoadResult": "vinci_code.database.loading.results",
    "LoadProgress": "vinci_code.database.loading.results",
    "PoolStatus": "vinci_code.database.connection_pools",
    "pool_status": "vinci_code.database.connection_pools",
    "copy_database": "vinci_code.database.moving.copying",
    "create_configured_async_engine": "vinci_code.database.async_session",
    "create_configured_engine": "vinci_code.database.engines",
    "create_configured_sessionmaker": "vinci_code.database.sessionmakers",
    "load": "vinci_code.database.loading.loading",
    "load_async": "vinci_code.database.loading.loading",
    "read_arrow": "vinci_code.database.arrow.reading",
    "read_arrow_async": "vinci_code.database.arrow.reading",
    "read_batches": "vinci_code.database.arrow.reading",
    "read_pandas": "vinci_code.database.arrow.frames",
    "read_polars": "vinci_code.database.arrow.frames",
    "run_unit": "vinci_code.database.units_of_work",
    "run_unit_async": "vinci_code.database.units_of_work",
    "statistics": "vinci_code.database.units_of_work",
    "upsert": "vinci_code.database.upserts",
    "AsyncUserPools": "vinci_code.database.users.async_pools",
    "create_async_user_pools": "vinci_code.database.users.async_pools",
    "UserPools": "vinci_code.database.users.pools",
    "UserPoolsStatus": "vinci_code.database.users.pools",
    "create_user_pools": "vinci_code.database.users.pools",
    "close_user_pools": "vinci_code.database.users.process",
    "connection_for": "vinci_code.database.users.process",
    "forget_user": "vinci_code.database.users.process",
    "session_for": "vinci_code.database.users.process",
    "user_pools": "vinci_code.database.users.process",
}

if not TYPE_CHECKING:  # or every name that is not there would be one of any type

    def __getattr__(name: str) -> Any:
        # Imported when asked for: the parts of this package are imported one by one, without these.
        home = _HOMES.get(name)
        if home is None:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(importlib.import_module(home), name)
