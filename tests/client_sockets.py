"""The sockets of clients whose handshake was broken off, which nobody closes.

Where the server goes away in the middle, Python or urllib3 closes such a socket only as it is
collected, which would be a warning in whatever test comes next.
"""

from __future__ import annotations

import gc
import ssl
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def closing_those_left() -> Iterator[None]:
    """Close the sockets of clients that are open at the end of the block, and were not before."""
    before = _open()
    yield
    for left in _open() - before:
        left.close()


def _open() -> set[ssl.SSLSocket]:
    """Those that are open, whoever still knows them."""
    found = [each for each in gc.get_objects() if type(each) is ssl.SSLSocket]
    return {each for each in found if each.fileno() >= 0 and not each.server_side}
