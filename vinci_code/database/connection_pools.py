"""How many connections an engine's pool has, and who uses them."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy.engine import Engine
from sqlalchemy.ext.asyncio import AsyncEngine


@dataclass(frozen=True)
class PoolStatus:
    """The connections of a pool, at one moment.

    Attributes:
        kind: The class of the pool.
        in_use: Connections that are checked out.
        idle: Connections that wait in the pool.
        size: How many the pool keeps; ``None`` where it has no such number.
        limit: How many there may be at one time; ``None`` for any number.
    """

    kind: str
    in_use: int | None
    idle: int | None
    size: int | None
    limit: int | None

    def as_dict(self) -> dict[str, object]:
        """The numbers by their names."""
        return asdict(self)


def pool_status(engine: Engine | AsyncEngine) -> PoolStatus:
    """Look at the pool of an engine; nothing is sent, and no connection is opened.

    Args:
        engine: An engine of any database.
    """
    pool: Any = engine.sync_engine.pool if isinstance(engine, AsyncEngine) else engine.pool
    most = getattr(pool, "_max_overflow", None)
    size = _asked(pool, "size")
    return PoolStatus(
        type(pool).__name__,
        _asked(pool, "checkedout"),
        _asked(pool, "checkedin"),
        size,
        None if size is None or most is None or most < 0 else size + most,
    )


def _asked(pool: Any, name: str) -> int | None:
    """A number that a pool has; not every class of pools has each."""
    counted = getattr(pool, name, None)
    return None if counted is None else int(counted())
