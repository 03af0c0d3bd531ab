"""Keys, times and names that are the same in every run, for the process whose client writes.

It is a plugin of pytest, too: ``-p tests.spark.steady``.
"""

from __future__ import annotations

import itertools
import random
import sys
import uuid
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone, tzinfo
from types import SimpleNamespace
from typing import Any

from sqlalchemy.orm import Mapper, unitofwork
from sqlalchemy.orm.state import InstanceState

from vinci_code.database.dialect.migrations import claim as alembic_claim
from vinci_code.database.dialect.sql import keys
from vinci_code.database.dialect.units import key_ranges
from vinci_code.database.models import types

_SEED = 7
_FIRST_TICK = 1_000_000


class _Meta(type):
    def __instancecheck__(cls, instance: object) -> bool:
        return isinstance(instance, datetime)


class _InOrder(set[Any]):
    """A set of what is to be written, or of whose rows are: its order is not that of addresses."""

    def __iter__(self) -> Iterator[Any]:
        return iter(sorted(super().__iter__(), key=_place))

    def pop(self) -> Any:
        found = next(iter(self))
        self.remove(found)
        return found


def _place(item: Any) -> tuple[str, ...]:
    if isinstance(item, InstanceState):
        return ("", f"{getattr(item, 'insert_order', None) or 0:09}", str(item.key))
    if isinstance(item, Mapper):
        return tuple(map(str, item._sort_key))
    if isinstance(item, tuple):
        return tuple(part for one in item for part in _place(one))
    return tuple(map(str, item.sort_key))


def _clock() -> Any:
    """A ``datetime`` whose clock begins in 2026 and shows a second more at each look."""
    seconds = itertools.count()

    class Steady(datetime, metaclass=_Meta):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Any:
            first = datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone.utc)
            return (first + timedelta(seconds=next(seconds))).astimezone(tz)

    return Steady


def apply() -> None:
    """Replace what is different in every run, for as long as this process lives."""
    chance = random.Random(_SEED)
    ticks = itertools.count(_FIRST_TICK)
    secrets = SimpleNamespace(randbits=chance.getrandbits, randbelow=chance.randrange)
    _set(keys, secrets=secrets, _now=lambda: next(ticks))
    keys.next_key._renew()
    _set(types, datetime=_clock())
    _set(alembic_claim, datetime=_clock(), uuid=SimpleNamespace(uuid4=lambda: _uuid(chance)))
    _set(key_ranges, uuid=SimpleNamespace(uuid4=lambda: _uuid(chance)))
    # SQLAlchemy takes some of what it writes, and in what order, from sets.
    vars(unitofwork)["set"] = _InOrder
    _set(alembic_claim, os=SimpleNamespace(getpid=lambda: 1))
    _set(alembic_claim, socket=SimpleNamespace(gethostname=lambda: "here"))


def pytest_collection_finish() -> None:
    """Apply it, and to SQLAlchemy's suite as well, which has been loaded now."""
    apply()
    chance = random.Random(_SEED)
    made = SimpleNamespace(uuid4=lambda: _uuid(chance), UUID=uuid.UUID)
    suite = "sqlalchemy.testing.suite"
    if suite in sys.modules:
        _set(sys.modules[f"{suite}.test_types"], uuid=made)
        _set(sys.modules[f"{suite}.test_ddl"], random=random.Random(_SEED))


def _uuid(chance: random.Random) -> uuid.UUID:
    return uuid.UUID(int=chance.getrandbits(128), version=4)


def _set(module: Any, **replaced: object) -> None:
    for name, value in replaced.items():
        getattr(module, name)  # it has to be there: else it would replace nothing
        setattr(module, name, value)
