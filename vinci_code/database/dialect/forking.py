"""What a forked child must not share with its parent: server sessions, sockets and locks.

A child has copies of the parent's sockets. What it wrote into one would be part of the parent's
encrypted stream, and of two that read from it each gets some of the other's answers: of fifty
children that selected their number from a connection of their parent's pool two got another's. So
a child uses nothing that was opened before it was there, and ends none of the parent's sessions.

And it has copies of the locks, as they were; one that another thread held would never be released,
since the child has no other threads. Ours are renewed; those of OpenSSL cannot be, and a child
would wait for them for ever at its first connection, so a fork waits until no session is just being
opened, and no thread of ours that has used OpenSSL just ends (``undisturbed``).

All of our locks can be taken twice by one thread: within one the garbage collector may run the
finaliser of a session that nobody has closed, which rolls back and gives the connection back to the
pool. What a lock guards is left in a state that is right for that, at each point where it may come.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

_PATIENCE = 5.0
"""Seconds that a fork waits at most for sessions that are just being opened."""

_EXIT_SECONDS = 0.5

_in_child: WeakKeyDictionary[Any, Callable[[Any], None]] = WeakKeyDictionary()


def in_child(thing: Any, do: Callable[[Any], None]) -> None:
    """Have every forked child do something to its copy of a thing, before it does anything else.

    The thing is referred to weakly. ``do`` has to be quick, and must not wait for anything.
    """
    _in_child[thing] = do


def renew_lock_in_child(thing: Any) -> None:
    """Have a child give its copy of an object or a module another ``RLock``, as ``_lock``."""
    in_child(thing, _renew_lock)


@contextmanager
def undisturbed() -> Iterator[None]:
    """Have no fork come meanwhile, unless it takes longer than ``_PATIENCE``.

    For what takes locks of OpenSSL: making a context, the handshake of a connection, and the
    beginning and the end of a thread that uses it (OpenSSL 3 has a list of these, and a lock of
    that). Of the children of a process that opened sessions all the time, one in some hundreds hung
    in ``ssl.SSLContext()``. That cannot be ruled out, since threads of the application's own end
    too: a process that forks while its threads use TLS does best to fork before it begins with
    that.
    """
    gate = _gate
    gate.enter()
    try:
        yield
    finally:
        gate.leave()


def in_helper(work: Callable[[], object], name: str, seconds: float) -> None:
    """Do something that uses OpenSSL in a thread of its own; it goes on by itself when time is up.

    No fork comes until that thread has ended, or time is up. ``work`` raises nothing.
    """

    def run() -> None:
        _helps.somebody = True  # who waits for it is busy, and a fork waits for that
        work()

    thread = threading.Thread(target=run, name=name, daemon=True)
    with undisturbed():
        thread.start()
        thread.join(seconds)
        if not thread.is_alive():
            _await_exit(thread)


def await_end(thread: threading.Thread) -> None:
    """Wait for a thread that ends just now and has used OpenSSL, with no fork meanwhile."""
    with undisturbed():
        thread.join(_EXIT_SECONDS)
        if not thread.is_alive():
            _await_exit(thread)


_helps = threading.local()


class _Gate:
    """Who must not be disturbed by a fork."""

    def __init__(self) -> None:
        self.renew()

    def renew(self) -> None:
        """Begin anew, in a child: the threads that were busy are not there."""
        self.quiet = threading.Condition()
        self.busy: list[int] = []
        self.forks = 0

    def enter(self) -> None:
        """Be busy, once nobody forks."""
        thread = threading.get_ident()
        known = getattr(_helps, "somebody", False)
        with self.quiet:
            # A fork waits for who was busy before it. Nobody waits for it longer than it does.
            self.quiet.wait_for(lambda: known or not self.forks or thread in self.busy, _PATIENCE)
            self.busy.append(thread)

    def leave(self) -> None:
        """Be busy no longer."""
        with self.quiet:
            # In a child that was forked meanwhile, nobody is.
            with suppress(ValueError):
                self.busy.remove(threading.get_ident())
            self.quiet.notify_all()

    def close(self) -> None:
        """Before a fork: wait for who is busy, and let nobody else begin."""
        # Who forks while it is busy itself has to do with it.
        thread = threading.get_ident()
        self.quiet.acquire()
        self.forks += 1
        self.quiet.wait_for(lambda: set(self.busy) <= {thread}, _PATIENCE)

    def open(self) -> None:
        """After a fork, in the parent."""
        self.forks -= 1
        self.quiet.notify_all()
        self.quiet.release()


_gate = _Gate()


def _renew_lock(thing: Any) -> None:
    thing._lock = threading.RLock()


def _await_exit(thread: threading.Thread) -> None:
    """Wait until a thread that Python has done with is gone.

    It takes OpenSSL's lock after Python's last word of it, and ``join`` of Python before 3.13 waits
    for that word alone. Linux tells; elsewhere nobody does.
    """
    task = Path(f"/proc/self/task/{thread.native_id}")
    end = time.monotonic() + _EXIT_SECONDS
    while task.exists() and time.monotonic() < end:
        time.sleep(0)


def _after_fork() -> None:
    _gate.renew()
    for thing, do in list(_in_child.items()):
        do(thing)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_gate.close, after_in_parent=_gate.open, after_in_child=_after_fork)
