"""What a forked child must not share with its parent: server sessions, sockets and locks.

A child has copies of the parent's sockets. What it wrote into one would be part of the parent's
encrypted stream, and of two that read from it each gets some of the other's answers: of fifty
children that selected their number from a connection of their parent's pool two got another's. So
a child uses nothing that was opened before it was there, and ends none of the parent's sessions.

And it has copies of the locks, as they were; one that another thread held would never be released,
since the child has no other threads.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import Any
from weakref import WeakKeyDictionary

_in_child: WeakKeyDictionary[Any, Callable[[Any], None]] = WeakKeyDictionary()


def in_child(thing: Any, do: Callable[[Any], None]) -> None:
    """Have every forked child do something to its copy of a thing, before it does anything else.

    Args:
        thing: Referred to weakly.
        do: Called with the thing; has to be quick, and must not wait for anything.
    """
    _in_child[thing] = do


def renew_lock_in_child(thing: Any) -> None:
    """Give a thing's copy in a child another lock, in its attribute ``_lock``."""
    in_child(thing, _renew_lock)


def keep_in_process(driver_connection: Any) -> None:
    """Have a child send nothing through a connection of the vendor's driver.

    Neither on purpose nor as it is collected, which would end the parent's session.

    Args:
        driver_connection: The connection, before its session is opened or after.
    """
    in_child(driver_connection, _disown)


def _renew_lock(thing: Any) -> None:
    thing._lock = threading.Lock()


def _disown(driver_connection: Any) -> None:
    session = driver_connection.session
    session.is_open = False
    session.backend.make_request = _refuse
    driver_connection._cursors = []


def _refuse(method: Any, *_: object, **__: object) -> Any:
    raise ConnectionError(
        f"{method.__name__} was not sent: the session was opened before this process was forked, "
        "and is its parent's\nTo fix it: open a connection in the child."
    )


def _after_fork() -> None:
    for thing, do in list(_in_child.items()):
        do(thing)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
