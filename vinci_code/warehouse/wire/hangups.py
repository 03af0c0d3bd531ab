"""Whether the client whose request this thread answers has hung up.

A server that waits for a statement reads nothing from its client, and would not see it go.
"""

from __future__ import annotations

import select
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_local = threading.local()
# That the client sends no more; poll() has it on Linux alone.
_SENDS_NO_MORE = getattr(select, "POLLRDHUP", 0)


@contextmanager
def watched(probe: Callable[[], bool]) -> Iterator[None]:
    """Let ``probe`` tell whether the client of this thread's request is gone, in the body."""
    _local.probe = probe
    try:
        yield
    finally:
        _local.probe = None


def has_hung_up() -> bool:
    """Whether the client of the request that this thread answers is gone."""
    probe: Callable[[], bool] | None = getattr(_local, "probe", None)
    return probe is not None and probe()


def has_closed(connection: socket.socket) -> bool:
    """Whether the other side has closed a connection, of TLS or not.

    Where ``poll`` cannot tell (macOS, Windows), a close is seen if no byte came before it: TLS may
    send one that says goodbye.
    """
    if not _SENDS_NO_MORE:
        return _is_at_end(connection)
    watcher = select.poll()
    watcher.register(connection, _SENDS_NO_MORE)
    return bool(watcher.poll(0))


def _is_at_end(connection: socket.socket) -> bool:
    if not select.select([connection], [], [], 0)[0]:
        return False
    # Not SSLSocket.recv, which takes no flags and would read what is to be read later.
    return socket.socket.recv(connection, 1, socket.MSG_PEEK) == b""
