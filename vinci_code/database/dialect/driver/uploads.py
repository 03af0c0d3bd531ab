"""Files that a session sends to a volume, and removes from it, by links (PUT and REMOVE).

A warehouse answers PUT and REMOVE with a link that is all the right a request needs, and the driver
sends the file to it (``client.py``, ``_handle_staging_operation``, of databricks-sql-connector). It
would read the whole file into memory, follow redirects, never send it again after a broken
connection, wait ten seconds before it does after a 503, and go on behind the back of a deadline.
What is done here instead:

* a link has to be ``https``, its host is verified as the workspace is, and redirects are refused;
* a file is sent piece by piece, and again from its beginning, a few times, where it did not arrive:
  it has one name, and takes the place of what is there;
* who waits for it waits no longer than the statement may take, and can be stopped.

A link is a secret: its query string is in no message and no log, nor is what the storage says.
"""

from __future__ import annotations

import contextlib
import io
import ssl
import threading
import time
import urllib.parse
from collections.abc import Callable, Iterator, Mapping
from typing import Any, BinaryIO, NamedTuple

from vinci_code.database.dialect.dberrors import ADVICE, Error, OperationalError
from vinci_code.database.dialect.driver import adapter
from vinci_code.database.dialect.driver.driver_logs import hide_query
from vinci_code.database.dialect.driver.storage import (
    NOT_NOW,
    StorageRefusedError,
    TransferFailure,
)
from vinci_code.database.dialect.driver.translation import chain
from vinci_code.database.dialect.interruptions import is_foreign

_TRIES = 4
_PAUSE, _LONGEST_PAUSE = 0.2, 10.0
_READ_SECONDS = 300.0
"""How long the storage may take to say that it has a file."""
_PIECE = 1024 * 1024
_DONE = frozenset({200, 201, 202, 204})
_GONE = 404


class LinkRefusedError(OperationalError):
    """The storage takes a link no more, or never did; another one may be good."""


class Transferred(NamedTuple):
    """What the driver is given of a file that was sent or removed: it reads these two."""

    status: int
    data: bytes = b""


class SentFile:
    """A file to be sent, in the place of the bytes that the driver would read.

    Args:
        file: The file, open at any place.
        size: How many bytes it has.
    """

    def __init__(self, file: BinaryIO, size: int) -> None:
        self._file = file
        self.size = size

    def read(self) -> SentFile:
        """Itself: what the driver reads it hands on as it is."""
        return self

    def pieces(self, going_on: Callable[[], object]) -> Iterator[bytes]:
        """Its bytes from the beginning; ``going_on`` is called before each piece is read."""
        self._file.seek(0)
        left = self.size
        while left:
            going_on()
            piece = self._file.read(min(_PIECE, left))
            if not piece:
                raise EOFError(f"the file that is sent has {left} bytes less than it had")
            left -= len(piece)
            yield piece


class Uploads:
    """Sends and removes the files of a session's PUT and REMOVE.

    Args:
        client: The driver's client of the session.
        connect: Seconds for a connection.
        left: Gives the seconds that there are for the call that is served; raises what ends it.
    """

    def __init__(
        self, client: adapter.ThriftClient, connect: float, left: Callable[[], float]
    ) -> None:
        self._client = client
        self._connect = connect
        self._left = left
        # Taken by finalisers, too: see ``forking``.
        self._lock = threading.RLock()
        self._flying: Any = None
        client.transfer_by(self.transfer)

    def cut(self) -> None:
        """Cut off what is being sent, from any thread."""
        with self._lock:
            flying = self._flying
        if flying is not None:
            adapter.cut(flying)

    def transfer(
        self, method: str, link: str, headers: Mapping[str, str], body: Any
    ) -> Transferred:
        """Send a file to a link by PUT, or remove it by DELETE, in place of the driver.

        A file that is not there counts as removed.

        Raises:
            LinkRefusedError: The link is not taken.
            Error: It could not be done.
        """
        address = urllib.parse.urlsplit(link)
        hide_query(address.query)
        if address.scheme != "https":
            raise OperationalError(
                f"the warehouse has answered {_word(method)} with a link to {address.hostname} "
                f"that is no https, and was not followed{ADVICE}tell those who run the workspace."
            )
        sent = SentFile(io.BytesIO(body), len(body)) if isinstance(body, bytes) else body
        tried = 0
        while True:
            try:
                return Transferred(self._once(method, link, headers, sent))
            except Exception as error:
                if is_foreign(error):
                    raise
                # What ends the waiting is what is reported, and not what has come of it here.
                self._left()
                tried += 1
                failure = _understood(error, method, address.hostname)
                if tried == _TRIES or not failure.again:
                    raise failure.error from None
                self._pause(failure.after or _PAUSE * 2 ** (tried - 1))

    def _once(
        self, method: str, link: str, headers: Mapping[str, str], sent: SentFile | None
    ) -> int:
        left = self._left()
        timeout = self._client.timeout(
            max(min(self._connect, left), 0.01), max(min(_READ_SECONDS, left), 0.01)
        )
        given = dict(headers)
        if sent is not None:
            # By its length the storage knows whether it has come whole.
            given["Content-Length"] = str(sent.size)
        body = None if sent is None else sent.pieces(self._left)
        with self._flight() as written:
            response = self._client.ask_link(method, link, given, timeout, written, body)
            try:
                status = int(response.status)
                if status in _DONE or (method == "DELETE" and status == _GONE):
                    response.read(_PIECE)
                    return status if status in _DONE else 204
                raise StorageRefusedError(status, response.headers.get("Retry-After"))
            finally:
                # Not back to the pool: the rest of an answer would be taken for the next one.
                response.close()

    @contextlib.contextmanager
    def _flight(self) -> Iterator[Callable[[Any], None]]:
        def written(connection: Any) -> None:
            with self._lock:
                self._flying = connection

        try:
            yield written
        finally:
            with self._lock:
                self._flying = None

    def _pause(self, seconds: float) -> None:
        until = time.monotonic() + min(seconds, _LONGEST_PAUSE)
        while (rest := until - time.monotonic()) > 0:
            self._left()
            time.sleep(min(rest, 0.05))


def _understood(error: Exception, method: str, host: str | None) -> TransferFailure:
    if isinstance(error, Error):
        return TransferFailure(error, again=False)
    what = f"a file of a volume could not be {_done(method)} by {_word(method)} at {host}"
    if isinstance(error, StorageRefusedError):
        status = error.status
        if status in NOT_NOW:
            busy = OperationalError(
                f"{what}: it answered with status {status}, several times{ADVICE}try again later."
            )
            return TransferFailure(busy, again=True, after=error.retry_after)
        refused = LinkRefusedError(
            f"{what}: it answered with status {status}{ADVICE}try again, and see that the clock of "
            "this machine is right; a link is good for some minutes."
        )
        return TransferFailure(refused, again=False)
    if isinstance(error, EOFError):
        return TransferFailure(
            OperationalError(f"{what}: {error}{ADVICE}leave it as it is."), again=False
        )
    # No ConnectionLostError: the session is as good as before. And not what the error says:
    # urllib3's quote the address.
    if any(isinstance(item, ssl.SSLCertVerificationError) for item in chain(error)):
        untrusted = OperationalError(
            f"{what}: its certificate was not accepted{ADVICE}name the CA that signs it in "
            "'_tls_trusted_ca_file', among connect_args."
        )
        return TransferFailure(untrusted, again=False)
    lost = OperationalError(
        f"{what}: the connection broke ({type(error).__name__}), several times{ADVICE}see that "
        f"{host} can be reached from here."
    )
    return TransferFailure(lost, again=True)


def _word(method: str) -> str:
    return {"PUT": "PUT", "DELETE": "REMOVE"}[method]


def _done(method: str) -> str:
    return {"PUT": "sent", "DELETE": "removed"}[method]
