"""Files of a large result, which the driver fetches by links (CloudFetch).

A warehouse answers a large result with links to files on its cloud's storage, several at a time,
and the driver fetches them in threads of its own. It would take any address, follow redirects, wait
ten seconds before it asks again, and go on behind the back of a deadline; and it looks at the rows
that arrive with an ``assert`` alone. What is done here instead:

* a link has to be ``https``, its host is verified as the workspace is, and redirects are refused;
* a file that did not arrive whole is asked for again, a few times;
* who waits for a file waits no longer than its statement may take, and can be stopped;
* the links have to follow on one another, and the rows that arrived are counted.

A link is a secret: its query string is in no message and no log.
"""

from __future__ import annotations

import contextlib
import ssl
import threading
import time
import urllib.parse
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from vinci_code.database.dialect.dberrors import (
    ADVICE,
    Error,
    InternalError,
    OperationalError,
    ResultExpired,
)
from vinci_code.database.dialect.driver import adapter
from vinci_code.database.dialect.driver.driver_logs import hide_query
from vinci_code.database.dialect.driver.storage import (
    NOT_NOW,
    StorageRefusedError,
    TransferFailure,
)
from vinci_code.database.dialect.driver.translation import chain

_TRIES = 4
_PAUSE, _LONGEST_PAUSE = 0.2, 10.0
_READ_SECONDS = 60.0
"""How long a part of a file is waited for; the driver's own limit of a download."""
_PIECE = 1024 * 1024
_AGAIN = f"{ADVICE}run the query again."


class File(NamedTuple):
    """What the driver is given of a file: it reads these two."""

    status: int
    data: bytes


@dataclass
class _Told:
    """What the warehouse has told of the rows of a statement.

    Attributes:
        rows: How many it has sent, or sent links to; ``None`` where it does not say.
        ended: Whether there are no more.
        links: The links.
    """

    rows: int | None = 0
    ended: bool = False
    links: list[str] = field(default_factory=list, repr=False)


@dataclass
class _Flight:
    """A file that is being fetched, for a statement.

    Attributes:
        statement_id: The statement.
        connection: urllib3's connection that its request is written to, from then on.
        is_cut: Whether it was cut off, be it before it had a connection.
    """

    statement_id: str
    connection: Any = None
    is_cut: bool = False


class Downloads:
    """Fetches the files of a session's results.

    Args:
        client: The driver's client of the session.
        connect: Seconds for a connection.
        left: Gives the seconds that there are for who waits for a statement, by its id; raises what
            ends the waiting.
    """

    def __init__(
        self, client: adapter.ThriftClient, connect: float, left: Callable[[str], float]
    ) -> None:
        self._client = client
        self._connect = connect
        self._left = left
        # Taken by finalisers, too: see ``forking``.
        self._lock = threading.RLock()
        self._told: dict[str, _Told] = {}
        self._statement_of: dict[str, str] = {}
        self._flights: list[_Flight] = []
        self._received = 0
        client.fetch_links_by(self.fetch)

    def note(self, statement_id: str, page: Any) -> None:
        """Keep what a page of a result tells of its rows.

        Args:
            statement_id: The statement.
            page: The driver's ``TFetchResultsResp``.

        Raises:
            InternalError: Its links do not follow on those before.
        """
        results = getattr(page, "results", None)
        if results is None:
            return
        with self._lock:
            told = self._told.setdefault(statement_id, _Told())
            told.ended = not page.hasMoreRows
            if results.resultLinks:
                self._note_links(statement_id, told, results.resultLinks)
            elif results.columns:
                told.rows = None
            elif told.rows is not None:
                told.rows += sum(batch.rowCount for batch in results.arrowBatches or ())

    def rows_of(self, statement_id: str | None) -> int | None:
        """How many rows a result has; ``None`` before all were told, and where nothing tells."""
        with self._lock:
            told = self._told.get(statement_id or "")
            return told.rows if told is not None and told.ended else None

    def take_received(self) -> int:
        """How many bytes of files came since this was asked last."""
        with self._lock:
            received, self._received = self._received, 0
        return received

    def forget(self, statement_id: str | None) -> None:
        """Fetch nothing more of a result."""
        with self._lock:
            told = self._told.pop(statement_id or "", None)
            for link in told.links if told is not None else ():
                self._statement_of.pop(link, None)
        if told is not None and told.links:
            self.cut(statement_id)

    def end(self) -> None:
        """Fetch nothing more at all: the session ends."""
        with self._lock:
            self._told.clear()
            self._statement_of.clear()
        self.cut()

    def cut(self, statement_id: str | None = None) -> None:
        """Cut off what is being fetched, of one result or of all, from any thread."""
        with self._lock:
            flights = [f for f in self._flights if statement_id in (None, f.statement_id)]
        for flight in flights:
            flight.is_cut = True
            adapter.cut(flight.connection)

    def fetch(self, link: str, headers: Mapping[str, str]) -> File:
        """Fetch a file, in place of the driver.

        Raises:
            Error: It could not be had.
        """
        address = urllib.parse.urlsplit(link)
        hide_query(address.query)
        if address.scheme != "https":
            raise OperationalError(
                f"the warehouse has answered with a link to {address.hostname} that is no https, "
                f"and was not followed{ADVICE}tell those who run the workspace; until then "
                "use_cloud_fetch=False in connect_args has rows sent without links."
            )
        tried = 0
        while True:
            statement_id = self._statement(link)
            connect = min(self._connect, self._left(statement_id))
            try:
                return self._once(link, headers, statement_id, connect)
            except Exception as error:  # noqa: BLE001 - it goes on as one of ours
                # The statement may have ended meanwhile, by a deadline or by its closing: then that
                # is what is reported, and not what has come of it here.
                self._require_wanted(link)
                tried += 1
                failure = _understood(error, address.hostname)
                if tried == _TRIES or not failure.again:
                    raise failure.error from None
                self._pause(link, failure.after or _PAUSE * 2 ** (tried - 1))

    # --- one by one -----------------------------------------------------------------------------

    def _once(
        self, link: str, headers: Mapping[str, str], statement_id: str, connect: float
    ) -> File:
        with self._flight(statement_id) as flight:

            def written(connection: Any) -> None:
                flight.connection = connection
                if flight.is_cut:  # while it was connecting
                    raise ConnectionAbortedError("it was cut off before it was asked for")

            left = min(_READ_SECONDS, self._left(statement_id))
            timeout = self._client.timeout(max(connect, 0.01), max(left, 0.01))
            response = self._client.ask_link("GET", link, headers, timeout, written)
            try:
                if response.status != 200:
                    raise StorageRefusedError(response.status, response.headers.get("Retry-After"))
                return File(200, self._body(response, link))
            except BaseException:
                # Not back to the pool: the rest of the answer would be taken for the next one.
                response.close()
                raise

    def _body(self, response: Any, link: str) -> bytes:
        parts: list[bytes] = []
        # Of a file that drips, only what has come is waited for.
        read = getattr(response, "read1", None) or response.read
        while part := read(_PIECE):
            parts.append(part)
            with self._lock:
                self._received += len(part)
            self._require_wanted(link)
        return b"".join(parts)

    def _require_wanted(self, link: str) -> None:
        """Return if somebody wants the file, and has the time for it."""
        self._left(self._statement(link))

    def _pause(self, link: str, seconds: float) -> None:
        until = time.monotonic() + min(seconds, _LONGEST_PAUSE)
        while (rest := until - time.monotonic()) > 0:
            self._require_wanted(link)
            time.sleep(min(rest, 0.05))

    def _statement(self, link: str) -> str:
        with self._lock:
            statement_id = self._statement_of.get(link)
        if statement_id is None:
            raise ResultExpired("the result was closed while a part of it was fetched")
        return statement_id

    @contextlib.contextmanager
    def _flight(self, statement_id: str) -> Iterator[_Flight]:
        flight = _Flight(statement_id)
        with self._lock:
            self._flights.append(flight)
        try:
            yield flight
        finally:
            with self._lock:
                self._flights.remove(flight)

    def _note_links(self, statement_id: str, told: _Told, links: Any) -> None:
        for link in links:
            if told.rows != link.startRowOffset or link.rowCount < 0:
                raise InternalError(
                    f"the warehouse has answered with a link to the rows from {link.startRowOffset}"
                    f", where those from {told.rows} come next: some would be missing, or come "
                    f"twice{_AGAIN}",
                    statement_id=statement_id,
                )
            told.rows += link.rowCount
            told.links.append(link.fileLink)
            self._statement_of[link.fileLink] = statement_id


def require_all(arrived: int, told: int | None, statement_id: str | None) -> None:
    """Return if as many rows have arrived as the warehouse has told, or it has told nothing.

    Raises:
        InternalError: There are fewer, or more.
    """
    if told is not None and told != arrived:
        raise InternalError(
            f"{arrived} rows of the result have arrived, and the warehouse has told of {told}: "
            f"the result is not whole{_AGAIN}",
            statement_id=statement_id,
        )


def unreadable(error: Exception) -> Error | None:
    """What an exception means that the driver raised over a file which is not what it should be.

    The driver checks the rows of a file by an ``assert`` and leaves the rest to LZ4 and Arrow
    (``utils.py`` and ``cloudfetch/downloader.py`` of databricks-sql-connector).
    """
    if isinstance(error, AssertionError):
        return InternalError(
            f"a file of the result has fewer rows than the warehouse has told{_AGAIN}"
        )
    text = str(error)
    if isinstance(error, RuntimeError) and ("LZ4" in text or "arrow based file" in text):
        return InternalError(
            "a file of the result cannot be read: it is cut short, or was changed on the way "
            f"({text.partition('(')[0].strip() or 'no reason given'}){_AGAIN}"
        )
    return None


def _understood(error: Exception, host: str | None) -> TransferFailure:
    if isinstance(error, Error):
        return TransferFailure(error, again=False)
    if isinstance(error, StorageRefusedError):
        status = error.status
        if status in NOT_NOW:
            busy = OperationalError(
                f"a file of the result could not be fetched from {host}: it answered with status "
                f"{status}, several times{_AGAIN}"
            )
            return TransferFailure(busy, again=True, after=error.retry_after)
        return TransferFailure(
            ResultExpired(
                f"a file of the result could not be fetched from {host}: it answered with status "
                f"{status}. A link is good for some minutes{ADVICE}run the query again, and fetch "
                "its rows sooner; use_cloud_fetch=False in connect_args has rows sent without "
                "links."
            ),
            again=False,
        )
    # No ConnectionLostError: the session is as good as before. And not what the error says:
    # urllib3's quote the address.
    name = type(error).__name__
    untrusted = any(isinstance(item, ssl.SSLCertVerificationError) for item in chain(error))
    if untrusted:
        what = "its certificate was not accepted"
        advice = "name the CA that signs it in '_tls_trusted_ca_file', among connect_args."
        lost = OperationalError(
            f"a file of the result could not be fetched from {host}: {what}{ADVICE}{advice}"
        )
        return TransferFailure(lost, again=False)
    lost = OperationalError(
        f"a file of the result could not be fetched from {host}: the connection broke ({name}), "
        f"several times{ADVICE}see that {host} can be reached from here; use_cloud_fetch=False in "
        "connect_args has rows sent without links."
    )
    return TransferFailure(lost, again=True)
