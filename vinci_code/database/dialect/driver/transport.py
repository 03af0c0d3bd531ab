"""One driver session's requests: when each is sent, sent again, and given up.

The driver would do that itself, but it sends an ExecuteStatement again when the connection breaks
before the answer, though the statement may have been executed; waits a minute where the warehouse
asked for a second; and gives up after a quarter of an hour where the host cannot be reached. So it
is told to send everything once, and what happens then is decided here:

* credentials that were not accepted are renewed, once;
* 429 and 503 are waited out, within the budget of ``waiting.Patience``. A *write* is sent again
  only where the answer has a ``Retry-After``, which says that it was not executed;
* what can be asked twice is asked again when its answer was lost;
* everything else, a statement above all, is reported to whoever sent it.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import ssl
import sys
import threading
import time
import uuid
import weakref
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, TypeVar

from vinci_code.database.dialect.dberrors import (
    ADVICE,
    AmbiguousWriteError,
    AuthenticationFailed,
    CancelledError,
    ConnectionLostError,
    ConnectTimeout,
    Error,
    InterfaceError,
    LimitExceeded,
    SessionLostError,
    StatementTimeout,
    WarehouseStartTimeout,
)
from vinci_code.database.dialect.driver import adapter
from vinci_code.database.dialect.driver.adapter import ThriftClient
from vinci_code.database.dialect.driver.advice import Address
from vinci_code.database.dialect.driver.credentials import RequestCredentials
from vinci_code.database.dialect.driver.downloads import Downloads
from vinci_code.database.dialect.driver.translation import (
    Evidence,
    chain,
    class_names,
    clean,
    cleaned,
)
from vinci_code.database.dialect.driver.uploads import Uploads
from vinci_code.database.dialect.driver.waiting import Patience, seconds_in
from vinci_code.database.dialect.forking import in_helper
from vinci_code.database.dialect.interruptions import is_foreign, note_handlers

MAX_ANSWER = 32 * 1024 * 1024
"""The most bytes that are read of an answer beside the driver's own."""

EXECUTE, OPEN, FETCH = "ExecuteStatement", "OpenSession", "FetchResults"

# Nobody waits for the answers to these, nor for long, and what they end is gone if they fail.
_HOUSEKEEPING = frozenset({"CloseSession", "CloseOperation", "CancelOperation"})
_HOUSEKEEPING_SECONDS = 5.0

_TRIES = {EXECUTE: 1, OPEN: 2, FETCH: 2}
_TRIES_OF_QUESTIONS = 4
_PAUSE = 0.2

# Above the deadline, so that an answer that is about to come can still name the statement, which
# is what a cancellation needs.
_GRACE = 0.4

# What a workspace says of a token that it does not know (recorded in databricks-jdbc's tests).
_UNKNOWN_TOKEN = b"Invalid access token"

# TOperationState and TStatusCode of the driver's TCLIService.thrift.
_FINISHED, _CANCELED, _ERROR, _TIMED_OUT = 2, 3, 5, 8
_STATUS_ERRORS = frozenset({3, 4})

# What says that a request was not taken, where the answer says when to come again.
_NOT_NOW = frozenset({429, 503})

_log = logging.getLogger(__name__)


CONNECT_ARGUMENT = "'timeout' in connect_args"
"""What has set the deadline of a statement, unless something else is said."""


class DeadlinePassed(StatementTimeout):
    """The deadline of a statement has passed; whether it still runs is to be found out."""


class StopAsked(DeadlinePassed):
    """Who waited for a statement waits no more; whether it still runs is to be found out."""


@dataclass
class Exchange:
    """One request of the driver, and what was answered to it.

    Attributes:
        written: Whether the request began to be written. It did not where the credentials could not
            be had, or where connecting failed, be it in the tunnel of a proxy or in the handshake.
        answered: Whether the warehouse has answered it in its protocol.
        status: The HTTP status of the answer; ``None`` where there was none.
        retry_after: The header ``Retry-After`` of the answer, in seconds.
        sqlstate: The SQLSTATE of the answer.
        ended: The state of the statement that the answer tells, a ``TOperationState``.
    """

    written: bool = False
    answered: bool = False
    status: int | None = None
    retry_after: float | None = None
    sqlstate: str | None = None
    ended: int | None = None

    @property
    def refusal(self) -> int | None:
        """The HTTP status, where it is none of success."""
        return self.status if self.status is not None and self.status >= 300 else None

    @property
    def is_refused(self) -> bool:
        """Whether the status says that the request was not taken.

        Of 429 and 503 only that they may say so. Other statuses of 5xx, and 408, come from what
        lies between, too, when the statement has been passed on.
        """
        status = self.refusal
        return status is not None and (
            status in _NOT_NOW or status == 501 or (status < 500 and status != 408)
        )


@dataclass
class Call:
    """One thing that the application asked for, and what has become of it so far.

    Attributes:
        patience: The time that may be spent with waiting.
        repeatable: Whether the statement changes nothing.
        deadline: The monotonic time at which it is given up.
        seconds: How long that was from its beginning.
        limited_by: What has set it, in words.
        once: Whether no copy of the statement is sent where the warehouse refused it for now.
        transfers: Whether it is PUT, GET or REMOVE, which is done when a file has been sent.
        sent: Whether the warehouse has, or may have, begun to execute the statement.
        in_flight: Whether the statement's request waits for its answer.
        finished: Whether the warehouse said that the statement is done.
        failed: Whether it said that the statement was not executed.
        modified: How many rows it said the statement changed.
        statement_id: The statement's name on the warehouse.
        copies: How many times the statement was sent, those included that were refused.
        exchange: The request that was sent last.
    """

    patience: Patience
    repeatable: bool = True
    deadline: float | None = None
    seconds: float | None = None
    limited_by: str = CONNECT_ARGUMENT
    once: bool = False
    transfers: bool = False
    sent: bool = False
    in_flight: bool = False
    finished: bool = False
    failed: bool = False
    modified: int | None = None
    statement_id: str | None = None
    renewed: bool = False
    copies: int = 0
    losses: dict[str, int] = field(default_factory=dict)
    exchange: Exchange = field(default_factory=lambda: Exchange())

    def again(self) -> None:
        """Forget what has become of the statement, before it is sent once more."""
        self.sent = self.in_flight = self.finished = self.failed = False
        self.statement_id = self.modified = None
        self.losses.clear()

    def settling(self) -> contextlib.AbstractContextManager[None]:
        """Find out what became of the statement, whoever asks to stop meanwhile."""
        stop = self.patience.stop
        return contextlib.nullcontext() if stop is None else stop.settling()

    def left(self) -> float:
        """Seconds until the deadline."""
        return float("inf") if self.deadline is None else self.deadline - time.monotonic()


@dataclass(frozen=True)
class Timeouts:
    """How long an answer is waited for.

    Attributes:
        connect: Seconds for a connection, and for the answer to OpenSession.
        read: Seconds for the answer to anything else.
    """

    connect: float
    read: float


@dataclass(frozen=True)
class Answer:
    """What the workspace answered to a request beside the driver's own.

    Attributes:
        status: The HTTP status.
        headers: The headers, their names in lower case.
        body: The body, up to ``MAX_ANSWER`` bytes of it.
        cut: Whether there was more.
    """

    status: int
    headers: dict[str, str]
    body: bytes = field(repr=False)
    cut: bool = False


class Channel:
    """Stands between a session of the driver and its requests.

    Args:
        client: The driver's Thrift client, before it has sent anything.
        credentials: What the requests are signed with; ``None`` where the driver sees to that.
        address: The warehouse, for messages.
        timeouts: How long answers are waited for.
    """

    def __init__(
        self,
        client: ThriftClient,
        credentials: RequestCredentials | None,
        address: Address,
        timeouts: Timeouts,
    ) -> None:
        self._client = client
        self._credentials = credentials
        self._address = address
        self._timeouts = timeouts
        self._call: Call | None = None
        # The request that is being sent; another thread may send one for the next.
        self._current = Exchange()
        # What was raised while the driver waited, and says nothing of the request: the driver makes
        # an error of its own of it, or a line in its log.
        self._interruption: Exception | None = None
        # urllib3's connection that the last request was written to.
        self._written_to: Callable[[], Any] = _nothing
        self.lost = False
        """Whether the warehouse no longer knows the session."""
        self._received = 0
        self.downloads = Downloads(client, timeouts.connect, self._left)
        self.uploads = Uploads(client, timeouts.connect, self._left_of_call)
        client.send_by(self.request)

    @contextlib.contextmanager
    def on_behalf_of(self, call: Call) -> Iterator[None]:
        """Count what is sent meanwhile as part of a call."""
        before, self._call = self._call, call
        try:
            yield
        finally:
            self._call = before

    def understood(self, error: Exception, call: Call) -> Error:
        """What an exception means that the driver raised over an answer which is no failure."""
        return clean(
            error, Evidence(sqlstate=call.exchange.sqlstate, statement_id=call.statement_id)
        )

    def take_received(self) -> int:
        """How many bytes of answers, and of files of results, came since this was asked last."""
        received, self._received = self._received, 0
        return received + self.downloads.take_received()

    def hang_up(self) -> None:
        """Close the sockets."""
        self._client.hang_up()

    def cut(self) -> None:
        """Cut off the request that waits for its answer, from another thread."""
        adapter.cut(self._written_to())
        self.downloads.cut()
        self.uploads.cut()

    def let_through(self) -> None:
        """Raise what a signal handler has raised in a request, and the driver has swallowed."""
        interruption, self._interruption = self._interruption, None
        if interruption is not None:
            raise interruption

    def request(self, method: Any, request: Any, retryable: bool = True) -> Any:
        """Send a request of the driver, in place of its ``make_request``.

        Raises:
            Error: What went wrong.
            Exception: What says nothing of the request, as it is: see ``interruptions``.
        """
        del retryable
        note_handlers()
        name = method.__name__
        if name in _HOUSEKEEPING:
            return self._keep_house(method, request)
        call = self._call
        if call is None:
            raise InterfaceError(f"{name} was sent outside of any call")
        while True:
            self._require_time(call)
            try:
                return self._once(method, request, call)
            except Exception as error:
                if is_foreign(error):
                    raise
                # The driver lets anything through.
                known = error if isinstance(error, Error) else self._understood(error, name, call)
                self._decide(known, name, call)

    def get(self, path: str, seconds: float) -> Answer:
        """Ask the workspace for a path, on the way of the driver's own requests.

        The host, its certificates, the proxy and the credentials are those of the session, which
        may have ended. Nothing is sent again but once with renewed credentials, and no redirect is
        followed.

        Args:
            path: Path and query.
            seconds: How long to wait for the answer, to the last of it.

        Raises:
            Error: There was no answer.
        """
        note_handlers()
        handled = sys.exc_info()[1]
        until = time.monotonic() + seconds
        try:
            sent, answer = self._get_in_time(path, until)
            # Another 403 is a right that is missing: its credentials are good.
            unknown = answer.status == 403 and _UNKNOWN_TOKEN in answer.body
            refused = answer.status == 401 or unknown
            if refused and self._credentials is not None and self._credentials.renew(sent):
                _, answer = self._get_in_time(path, until)
        except Exception as error:  # noqa: BLE001 - it goes on as one of ours, if it is none already
            failure = interruption_in(error, handled) or error
            raise cleaned(failure, Evidence(address=self._address))  # noqa: B904 - its cause is set
        return answer

    def _get_in_time(self, path: str, until: float) -> tuple[str | None, Answer]:
        """The same, and be back in time, however slowly the answer drips."""
        seconds = max(until - time.monotonic(), 0.01)
        answer = in_time(seconds, lambda: self._get(path, seconds))
        if answer is None:
            raise ConnectTimeout(f"{self._address} did not answer in time")
        return answer

    def _get(self, path: str, seconds: float) -> tuple[str | None, Answer]:
        connect = min(self._timeouts.connect, seconds)
        sent, response = self._client.get(path, self._client.timeout(connect, seconds))
        try:
            body = response.read(MAX_ANSWER + 1)
            named = {name.lower(): value for name, value in response.headers.items()}
        finally:
            response.close()
        self._received += len(body)
        cut = len(body) > MAX_ANSWER
        return sent, Answer(response.status, named, body[:MAX_ANSWER], cut)

    # --- sending --------------------------------------------------------------------------------

    def _once(self, method: Any, request: Any, call: Call) -> Any:
        name = method.__name__
        call.in_flight = name == EXECUTE
        call.copies += call.in_flight
        if call.in_flight:
            call.failed = call.finished = False  # of what was sent before
        call.exchange = Exchange()
        exchange = self._exchange_in_time if name == OPEN else self._exchange
        response = exchange(method, request, call.exchange, self._timeout(name, call))
        if not call.exchange.written:
            # Else a write that was executed would be taken for one that was never sent.
            raise InterfaceError(
                f"the driver did not write {name} where it was expected to, and what became of it "
                f"is not known; {adapter.DISTRIBUTION}{adapter.SUPPORTED} is supported"
            )
        call.in_flight = False
        if call.exchange.ended in (_CANCELED, _TIMED_OUT):
            call.failed = True
            raise self._stopped(call)
        return response

    def _exchange(self, method: Any, request: Any, exchange: Exchange, timeout: Any) -> Any:
        with self._client.lock:
            self._current = exchange
            self._watch()
            self._client.prepare(timeout)
            self._interruption = None
            handled = sys.exc_info()[1]
            try:
                response = self._client.send(self._observed(method, exchange), request)
            except Exception as error:
                # It may have been raised beside the method, too, as where the driver logs.
                if not self._was_interrupted():
                    self._interruption = interruption_in(error, handled)
                if not self._was_interrupted():
                    raise
                response = None
            finally:
                exchange.status = self._client.status
                exchange.retry_after = seconds_in(self._client.header("Retry-After"))
            # Not while the driver's error is handled: it says nothing of what is raised here.
            self.let_through()
            return response

    def _was_interrupted(self) -> bool:
        return self._interruption is not None

    def _exchange_in_time(self, method: Any, request: Any, exchange: Exchange, timeout: Any) -> Any:
        """The same, and be back in time where nobody else sees to it.

        Names are resolved without any limit, and each of a host's addresses is given all of the
        time that there is.
        """
        response = in_time(
            self._timeouts.connect + _GRACE,
            lambda: self._exchange(method, request, exchange, timeout),
            self._close_late,
        )
        if response is None:
            raise ConnectTimeout(
                f"{self._address} did not answer within {self._timeouts.connect:g} s{ADVICE}"
                "check the network and the host's name, or raise 'connect_timeout' in connect_args."
            )
        return response

    def _close_late(self, opened: Any) -> None:
        """End a session that was opened when nobody waited for it any more."""
        handle = getattr(opened, "sessionHandle", None)
        if handle is not None:
            self._keep_house(*self._client.closing(handle))
            self.hang_up()

    def _observed(self, method: Any, exchange: Exchange) -> Any:
        @functools.wraps(method)
        def observed(request: Any) -> Any:
            handled = sys.exc_info()[1]
            try:
                response = method(request)
                self._received += self._client.received
                self._note(method.__name__, response, exchange)
                self._note_rows(request, response)
            except Exception as error:
                self._interruption = interruption_in(error, handled)
                raise
            return response

        return observed

    def _note(self, name: str, response: Any, exchange: Exchange) -> None:
        """Keep what the driver's exceptions leave out of an answer."""
        exchange.answered = True
        status = getattr(response, "status", None)
        refused = False
        if status is not None and status.statusCode in _STATUS_ERRORS:
            refused = True
            exchange.sqlstate = status.sqlState
        call = self._call
        if call is None:
            return
        if name == EXECUTE:
            call.failed = refused
            call.sent = not refused
            call.statement_id = _statement_id(response) or call.statement_id
            direct = getattr(response, "directResults", None)
            response = getattr(direct, "operationStatus", None)
        elif name != "GetOperationStatus":
            return
        if response is not None and not refused:
            self._note_state(response, call, exchange)

    def _note_rows(self, request: Any, response: Any) -> None:
        """Keep what an answer tells of the rows of a result."""
        direct = getattr(response, "directResults", None)
        page = response if direct is None else getattr(direct, "resultSet", None)
        statement_id = _statement_id(response) or _statement_id(request)
        if statement_id is not None:
            self.downloads.note(statement_id, page)

    def _note_state(self, status: Any, call: Call, exchange: Exchange) -> None:
        state = status.operationState
        exchange.ended = state
        if state == _FINISHED:
            call.finished = True
            call.modified = status.numModifiedRows
        elif state == _ERROR:
            call.failed = True
            exchange.sqlstate = status.sqlState

    def _keep_house(self, method: Any, request: Any) -> Any:
        if self.lost:
            return None
        timeout = self._client.timeout(_HOUSEKEEPING_SECONDS, _HOUSEKEEPING_SECONDS)
        try:
            return self._exchange(method, request, Exchange(), timeout)
        except Exception as error:
            if is_foreign(error):
                self._interruption = error
                raise
            # See _HOUSEKEEPING.
            _log.debug("%s: %s failed: %s", self._address, method.__name__, type(error).__name__)
            return None

    def _timeout(self, name: str, call: Call) -> Any:
        left = call.left() + (_GRACE if name == EXECUTE else 0)
        read = self._timeouts.connect if name == OPEN else self._timeouts.read
        connect = min(self._timeouts.connect, max(left, 0.01))
        return self._client.timeout(connect, min(read, max(left, 0.01)))

    def _require_time(self, call: Call) -> None:
        stop = call.patience.stop
        if stop is not None and stop.asked:
            raise StopAsked("it was cancelled by who waited for it", statement_id=call.statement_id)
        if call.left() <= 0:
            raise DeadlinePassed(
                "the statement did not finish before its deadline", statement_id=call.statement_id
            )

    def _left(self, statement_id: str) -> float:
        """The seconds that there are for who waits for a file; threads of the driver's ask.

        Of a statement's own call alone: for another one the driver fetches ahead.

        Raises:
            DeadlinePassed: There are none any more.
        """
        call = self._call
        if call is None or call.statement_id != statement_id:
            return float("inf")
        self._require_time(call)
        return call.left()

    def _left_of_call(self) -> float:
        """The seconds that there are for the call that is served.

        Raises:
            DeadlinePassed: There are none any more.
        """
        call = self._call
        if call is None:
            return float("inf")
        self._require_time(call)
        return call.left()

    def _watch(self) -> None:
        """Have it noted when a request begins to be written."""
        watching = weakref.ref(self)

        def written(connection: Any) -> None:
            channel = watching()
            if channel is not None:
                channel._current.written = True
                channel._written_to = weakref.ref(connection)

        self._client.watch(written)

    # --- what comes of it -----------------------------------------------------------------------

    def _understood(self, error: Exception, name: str, call: Call) -> Error:
        exchange = call.exchange
        status = exchange.refusal
        context = getattr(error, "context", None) or {}
        broken = status is not None or not class_names(error)[0].startswith("databricks.sql.exc.")
        return clean(
            error,
            Evidence(
                status=status,
                said=str(context.get("error-message") or "") if status else "",
                sqlstate=exchange.sqlstate,
                statement_id=call.statement_id,
                address=self._address if broken else None,
                answered=exchange.answered or status is not None,
                opening=name == OPEN,
                written=exchange.written,
            ),
        )

    def _decide(self, failure: Error, name: str, call: Call) -> None:
        """Return if the request is to be sent again; raise what is to be reported otherwise."""
        exchange = call.exchange
        lost = isinstance(failure, ConnectionLostError) and not isinstance(
            failure, SessionLostError
        )
        if isinstance(failure, SessionLostError):
            self.lost = True
        if name == EXECUTE and call.in_flight:
            call.in_flight = False
            call.sent = exchange.written and not (call.failed or exchange.is_refused)
        starts = exchange.answered and isinstance(failure, WarehouseStartTimeout)
        if starts or exchange.status in _NOT_NOW:
            self._wait(failure, name, call)
            return
        if isinstance(failure, AuthenticationFailed) and self._renew(call):
            return
        if lost:
            self._require_time(call)
            if self._may_ask_again(name, call, failure):
                time.sleep(_PAUSE)
                return
        raise failure

    def _renew(self, call: Call) -> bool:
        if self._credentials is None or call.renewed:
            return False
        call.renewed = True
        return self._credentials.renew(self._client.sent_authorization())

    def _wait(self, failure: Error, name: str, call: Call) -> None:
        retry_after = call.exchange.retry_after
        may_have_begun = retry_after is None and call.exchange.status in _NOT_NOW
        if name == EXECUTE and may_have_begun and not call.repeatable:
            call.sent = True
            raise AmbiguousWriteError(
                f"{failure.happened}\nThe answer does not say whether the statement had begun."
            ) from failure
        if name == EXECUTE and call.once:
            raise failure
        try:
            call.patience.wait(failure, retry_after)
        except (WarehouseStartTimeout, LimitExceeded):
            self._require_time(call)
            raise

    def _may_ask_again(self, name: str, call: Call, failure: Error) -> bool:
        tries = _TRIES.get(name, _TRIES_OF_QUESTIONS)
        if name == OPEN and isinstance(failure, ConnectTimeout):
            return False
        if not call.exchange.written:
            if any(isinstance(error, ssl.SSLCertVerificationError) for error in chain(failure)):
                return False  # the same one comes again
            tries = max(tries, 2)
        call.losses[name] = call.losses.get(name, 0) + 1
        return call.losses[name] < tries

    def _stopped(self, call: Call) -> CancelledError:
        if call.exchange.ended == _TIMED_OUT:
            return StatementTimeout(
                "the warehouse cancelled the statement, because it took longer than "
                f"STATEMENT_TIMEOUT allows; it wrote nothing{ADVICE}let the statement do less, or "
                "raise it: SET STATEMENT_TIMEOUT = SECONDS, or session_configuration="
                "{'STATEMENT_TIMEOUT': 'SECONDS'} in connect_args.",
                statement_id=call.statement_id,
            )
        return CancelledError(
            "the statement was cancelled on the warehouse", statement_id=call.statement_id
        )


def _nothing() -> None:
    """Stand for a reference to what is not there."""


def interruption_in(error: Exception, handled: BaseException | None) -> Exception | None:
    """What was raised in a request and says nothing of it, be it within an error of urllib3's.

    Which makes one of its own of a ``TimeoutError``, whoever has raised it. ``handled`` is what the
    application was handling while it asked for the request.
    """
    before = [] if handled is None else list(chain(handled, handled=True))
    interruptions = [
        found
        for found in chain(error, handled=True)
        if isinstance(found, Exception) and found not in before and is_foreign(found)
    ]
    # Where a request is interrupted while it is sent, urllib3 gives its own error the traceback of
    # what it has caught, so that a signal handler seems to have raised both.
    own = (found for found in interruptions if not type(found).__module__.startswith("urllib3."))
    return next(own, interruptions[0] if interruptions else None)


def _statement_id(response: Any) -> str | None:
    handle = getattr(response, "operationHandle", None)
    guid = getattr(getattr(handle, "operationId", None), "guid", None)
    return str(uuid.UUID(bytes=guid)) if isinstance(guid, bytes) and len(guid) == 16 else None


def within(seconds: float, work: Callable[[], object]) -> None:
    """Do something that may take longer than anybody can wait for; it goes on by itself then."""

    def run() -> None:
        try:
            work()
        except Exception as error:  # noqa: BLE001 - nobody is left to tell; a daemon thread ends
            _log.debug("%s failed: %s", getattr(work, "__name__", work), type(error).__name__)

    in_helper(run, "vinci: a request", seconds)


_Made = TypeVar("_Made")


def in_time(
    seconds: float, work: Callable[[], _Made], late: Callable[[_Made], object] | None = None
) -> _Made | None:
    """What some work gives, or raises; ``None`` where it takes longer, and goes on by itself.

    ``late`` is given what came too late, also where the waiting for it was interrupted.
    """
    outcome: list[tuple[_Made | None, Exception | None]] = []
    given_up: list[bool] = []
    settling = threading.RLock()

    def run() -> None:
        made, failure = None, None
        try:
            made = work()
        except Exception as error:  # noqa: BLE001 - raised by the thread that waits
            failure = error
        with settling:
            outcome.append((made, failure))
            is_late = bool(given_up)
        if is_late and late is not None and made is not None:
            late(made)

    try:
        within(seconds, run)
    finally:
        with settling:
            given_up.append(True)
            found = outcome[0] if outcome else (None, None)
    made, failure = found
    if failure is not None:
        raise failure
    return made
