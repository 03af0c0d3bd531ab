"""The SQLAlchemy dialect for Databricks SQL: ``create_engine("databricks+vinci://…")``.

``VinciDialect`` is the dialect; the types in capitals are those that Databricks has and SQLAlchemy
has not.

Other rooms import from it:

- ``alembic``: what Alembic gets from here, loaded where Alembic is
- ``asynchronous``: the dialect for SQLAlchemy's asyncio
- ``borrowed``: what is used of SQLAlchemy and Alembic that is private to them
- ``compiler``: SELECT, INSERT, UPDATE and DELETE as text
- ``dberrors``: the exceptions of PEP 249, and those below them
- ``file_loads``: rows in files of a volume, written as one statement
- ``forking``: what a forked child must not share with its parent
- ``interruptions``: exceptions of signal handlers and of other foreign code
- ``options``: the names of execution options
"""

from __future__ import annotations

from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any

from sqlalchemy.dialects import registry

from vinci_code.database.dialect.types import (
    ARRAY,
    MAP,
    STRUCT,
    TIMESTAMP,
    TIMESTAMP_NTZ,
    TINYINT,
    VARIANT,
)

if TYPE_CHECKING:
    from vinci_code.database.dialect.base import VinciDialect

__all__ = [
    "ARRAY",
    "MAP",
    "STRUCT",
    "TIMESTAMP",
    "TIMESTAMP_NTZ",
    "TINYINT",
    "VARIANT",
    "VinciDialect",
]


if not TYPE_CHECKING:  # or every name that is not there would be one of any type

    def __getattr__(name: str) -> Any:
        # The models import the types on SQLite too, where nothing else of the dialect is wanted.
        if name == "VinciDialect":
            return _dialect()
        if name == "NamedDatabricks":
            return _named_databricks()
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def _dialect() -> type[VinciDialect]:
    from vinci_code.database.dialect.base import VinciDialect

    return VinciDialect


def _named_databricks() -> Any:
    """What SQLAlchemy checks arguments such as ``databricks_cluster_by=`` against.

    Another package that has registered the name, where there is one: its URLs shall go on working.
    """
    for entry in entry_points(group="sqlalchemy.dialects", name="databricks"):
        if entry.module != __name__:
            named = entry.load()
            # databricks-sqlalchemy also tells Alembic how to migrate what is called "databricks".
            _dialect().register_migrations()
            return named
    return _dialect()


# The entry point of this name leads here too. Which of two packages' is found first is chance.
registry.impls.setdefault("databricks", _named_databricks)
# For a checkout that was installed before it had this dialect.
registry.register("databricks.vinci_async", f"{__name__}.asynchronous", "VinciAsyncDialect")
