"""A way to a warehouse that can be shut: then its port refuses connections, as of a service that is
gone.
"""

from __future__ import annotations

import select
import socket
import threading
from collections.abc import Iterable
from contextlib import ExitStack, suppress
from types import TracebackType

_CHUNK = 65536


class Relay:
    """Passes connections on to a port of this machine, from a port that stays the same.

    Args:
        target: The port to pass them on to.
    """

    def __init__(self, target: int) -> None:
        self._target = target
        self._stop: socket.socket | None = None
        self._thread: threading.Thread | None = None
        # Held all the time, without listening while it is shut: nobody else gets it.
        self._listening = _bound(0)
        self.port: int = self._listening.getsockname()[1]
        self.open()

    def open(self) -> None:
        """Take connections."""
        if self._thread is None:
            self._listening.listen()
            self._stop, stopped = socket.socketpair()
            self._thread = threading.Thread(target=self._run, args=(self._listening, stopped))
            self._thread.start()

    def shut(self) -> None:
        """Refuse connections, and end those that there are."""
        if self._thread is not None and self._stop is not None:
            self._stop.close()
            self._thread.join()
            self._thread = self._stop = None
            self._listening.close()
            self._listening = _bound(self.port)

    def __enter__(self) -> Relay:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.shut()
        self._listening.close()

    def _run(self, listening: socket.socket, stopped: socket.socket) -> None:
        peers: dict[socket.socket, socket.socket] = {}
        with ExitStack() as stack:
            stack.enter_context(stopped)
            stack.callback(_close, peers)
            while True:
                ready, _, _ = select.select([listening, stopped, *peers], [], [])
                if stopped in ready:
                    return
                for each in ready:
                    if each is listening:
                        near, _ = listening.accept()
                        far = socket.create_connection(("127.0.0.1", self._target))
                        peers[near], peers[far] = far, near
                    elif each in peers:
                        _pass_on(each, peers)


def _pass_on(source: socket.socket, peers: dict[socket.socket, socket.socket]) -> None:
    target = peers[source]
    with suppress(OSError):
        if data := source.recv(_CHUNK):
            target.sendall(data)
            return
    for end in (source, target):
        del peers[end]
        end.close()


def _close(peers: Iterable[socket.socket]) -> None:
    for each in peers:
        each.close()


def _bound(port: int) -> socket.socket:
    made = socket.socket()
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    made.bind(("127.0.0.1", port))
    return made
