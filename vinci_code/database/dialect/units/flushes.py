"""What the ORM writes by itself, in a flush, as opposed to what an application executes.

SQLAlchemy does not say it of a statement. What is taken for it is what makes the ORM's statements
the ORM's: they are executed with the very cache of compiled statements of a mapper, and a session
that is flushing knows that it is.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Iterator, Mapping
from typing import Any

# Caches of mappers that were met, by their identity.
_known: dict[int, Any] = {}
_of_thread = threading.local()


def listen() -> None:
    """Note which sessions begin to flush."""
    # Not at the top: who uses Core alone does not want the ORM.
    from sqlalchemy import event
    from sqlalchemy.orm import Session

    if not event.contains(Session, "before_flush", _begun):
        event.listen(Session, "before_flush", _begun)
        event.listen(Session, "after_flush", _ended)


def is_flush(options: Mapping[str, Any]) -> bool:
    """Whether a statement with these execution options is one of a mapper's own."""
    cache = options.get("compiled_cache")
    if cache is None:
        return False
    if _known.get(id(cache)) is cache:
        return True
    if any(vars(mapper).get("_compiled_cache") is cache for mapper in mappers()):
        _known[id(cache)] = cache
        return True
    return False


def number() -> int:
    """The number of the flush of this thread: another one for each, and another one after it."""
    return getattr(_of_thread, "number", 0)


def asks_for_relation(table: Any) -> bool:
    """Whether rows of a many-to-many relation are being written by a flush of this thread.

    The ORM executes these statements as any other, and asks how many rows there were.
    """
    return is_running() and any(
        relation.secondary is table for mapper in mappers() for relation in mapper.relationships
    )


def at_end(check: Callable[[], object]) -> None:
    """Have the flush of this thread call something when it has written everything."""
    _of_thread.checks = [*_checks(), check]


def is_running() -> bool:
    """Whether a session of this thread is flushing."""
    return any(_running())


def _begun(session: Any, *_: Any) -> None:
    running = _running()
    if not running:
        _of_thread.number = number() + 1
        _of_thread.checks = []  # of a flush that has failed
    _of_thread.sessions = [*running, weakref.ref(session)]


def _ended(session: Any, *_: Any) -> None:
    # A listener of one flush may have another session flush: that is a part of the first.
    _of_thread.sessions = [one for one in _running() if one() is not session]
    if not _of_thread.sessions:
        _of_thread.number = number() + 1
    checks, _of_thread.checks = _checks(), []
    for check in checks:
        check()


def _checks() -> list[Callable[[], object]]:
    return list(getattr(_of_thread, "checks", ()))


def _running() -> list[weakref.ref[Any]]:
    return [
        reference
        for reference in getattr(_of_thread, "sessions", ())
        if (session := reference()) is not None and session._flushing
    ]


def mappers() -> Iterator[Any]:
    """All mappers that there are."""
    from sqlalchemy.orm.mapper import _all_registries

    for registry in list(_all_registries()):
        yield from list(registry.mappers)
