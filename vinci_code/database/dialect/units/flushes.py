"""What the ORM writes by itself, in a flush, as opposed to what an application executes.

SQLAlchemy does not say it of a statement. What is taken for it is what makes the ORM's statements
the ORM's: they are executed with the very cache of compiled statements of a mapper, and a session
that is flushing knows that it is.
"""

from __future__ import annotations

import itertools
import weakref
from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar
from typing import Any

# Caches of mappers that were met, by their identity.
_known: dict[int, Any] = {}
_numbers = itertools.count(1)


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
    """The number of the flush that runs here: another one for each, and another one after it."""
    flush = _here.get()
    return 0 if flush is None else flush.number


def asks_for_relation(table: Any) -> bool:
    """Whether rows of a many-to-many relation are being written by the flush that runs here.

    The ORM executes these statements as any other, and asks how many rows there were.
    """
    return is_running() and any(
        relation.secondary is table for mapper in mappers() for relation in mapper.relationships
    )


def at_end(check: Callable[[], object]) -> None:
    """Have the flush that runs here call something when it has written everything."""
    flush = _here.get()
    if flush is not None:
        flush.checks.append(check)


def is_running() -> bool:
    """Whether a session is flushing here."""
    flush = _here.get()
    return flush is not None and bool(flush.running())


class _Flush:
    """A flush, with those that listeners of it have begun in other sessions."""

    def __init__(self) -> None:
        self.number = next(_numbers)
        self.checks: list[Callable[[], object]] = []
        self.sessions: list[weakref.ref[Any]] = []

    def running(self) -> list[weakref.ref[Any]]:
        """The sessions of it that are flushing still; one that has failed is not."""
        return [
            reference
            for reference in self.sessions
            if (session := reference()) is not None and session._flushing
        ]


# Of a thread, or of a task: others flush in the same thread while a task waits for its database.
_here: ContextVar[_Flush | None] = ContextVar("vinci_flush", default=None)


def _begun(session: Any, *_: Any) -> None:
    flush = _here.get()
    if flush is None or not flush.running():
        flush = _Flush()
        _here.set(flush)
    flush.sessions = [*flush.running(), weakref.ref(session)]


def _ended(session: Any, *_: Any) -> None:
    flush = _here.get()
    if flush is None:
        return  # it had begun before anybody listened
    # A listener of one flush may have another session flush: that is a part of the first.
    flush.sessions = [one for one in flush.running() if one() is not session]
    if not flush.sessions:
        flush.number = next(_numbers)
    checks, flush.checks = flush.checks, []
    for check in checks:
        check()


def mappers() -> Iterator[Any]:
    """All mappers that there are."""
    from sqlalchemy.orm.mapper import _all_registries

    for registry in list(_all_registries()):
        yield from list(registry.mappers)
