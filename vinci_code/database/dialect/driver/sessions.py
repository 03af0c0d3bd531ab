"""One session of the driver, as the rest of the dialect uses it."""

from __future__ import annotations

import contextlib
import logging
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from vinci_code.database.dialect.driver.connecting import Arguments
from vinci_code.database.dialect.driver.transport import (
    Call,
    Channel,
    connect_undisturbed,
    interruption_in,
)
from vinci_code.database.dialect.forking import undisturbed
from vinci_code.database.dialect.interruptions import is_foreign
from vinci_code.database.dialect.text.binding import Parameter

_SILENT = logging.NullHandler()
# Where the driver logs every request and answer whole, at DEBUG, to nobody by default: a commit of
# 10,000 rows took ten times as long for it, most of that to mask the secrets in it.
_EVERYTHING = "databricks.sql.unsafe"
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Driver:
    """What is used of the driver.

    Attributes:
        connect: Opens a connection: a function that is given the Thrift client before anything is
            sent and returns the context to open the session in, and the driver's arguments.
        make_parameter: Makes the driver's parameter of one of ours.
        make_timeout: urllib3's ``Timeout``.
        make_closing: Makes the request that ends a session, of its handle.
    """

    connect: Callable[[Any, dict[str, Any]], Any]
    make_parameter: Callable[[Parameter], Any]
    make_timeout: Callable[..., Any]
    make_closing: Callable[[Any], Any]


class Session:
    """One session of the driver, with the channel that its requests go through.

    Args:
        driver: The driver.
        arguments: What to connect with.
        call: The call that opening it is part of.

    Attributes:
        temporary_views: The bare names, in lower case, of the temporary views that may be in it;
            ``scanning.ANY_VIEW`` among them where there may be any.
    """

    def __init__(self, driver: Driver, arguments: Arguments, call: Call) -> None:
        self.temporary_views: set[str] = set()
        # What goes wrong is raised, and told once: without this, the driver's own ERROR lines would
        # go to standard error where nobody has configured logging.
        logging.getLogger("databricks").addHandler(_SILENT)
        channels: list[Channel] = []

        def attach(backend: Any) -> contextlib.AbstractContextManager[None]:
            _log_no_contents()  # the backend's module sets the level as it is imported
            channels.append(
                Channel(
                    backend,
                    arguments.credentials,
                    arguments.where,
                    arguments.timeouts,
                    driver.make_timeout,
                    driver.make_closing,
                )
            )
            return channels[0].on_behalf_of(call)

        self._driver = driver
        handled = sys.exc_info()[1]
        interruption: Exception | None = None
        try:
            with undisturbed():
                self.driver_connection = driver.connect(attach, arguments.for_driver)
        except Exception as error:
            # The driver's own clean-up fails where it is interrupted before it has a session.
            interruption = interruption_in(error, handled)
            if interruption is None:
                raise
        if interruption is not None:
            raise interruption
        connect_undisturbed(self.driver_connection.session.backend)
        self.channel = channels[0]
        self._command_of: Any = None
        self._command: Any = None

    def execute(
        self,
        text: str,
        parameters: list[Parameter],
        call: Call,
        query_tags: Mapping[str, str] | None = None,
    ) -> Any:
        """Send a statement and return the driver's cursor with its result."""
        driver_cursor = self.driver_connection.cursor()
        self._command_of, self._command = driver_cursor, None
        bound = [self._driver.make_parameter(parameter) for parameter in parameters]
        try:
            with self.channel.on_behalf_of(call):
                driver_cursor.execute(text, bound or None, query_tags=query_tags)
        except Exception as error:
            self._command = self.running()  # which the cursor forgets
            if is_foreign(error):
                raise
            understood = self.channel.understood(error, call)
            self.release(driver_cursor)
            raise understood  # noqa: B904 - its cause is set
        return driver_cursor

    def running(self) -> Any:
        """The driver's name for the statement that was begun last, if it is known."""
        return self._command or getattr(self._command_of, "active_command_id", None)

    def cancel(self, command: Any) -> None:
        """Cancel a statement."""
        self.driver_connection.session.backend.cancel_command(command)

    def state_of(self, command: Any, call: Call) -> None:
        """Ask for the state of a statement, and note it on the call."""
        with self.channel.on_behalf_of(call):
            self.driver_connection.session.backend.get_query_state(command)

    def release(self, driver_cursor: Any) -> None:
        """Give a result back to the warehouse, and let the driver forget its cursor."""
        try:
            driver_cursor.close()
        except Exception as error:
            # What cannot be given back expires by itself.
            if is_foreign(error):
                raise
        finally:
            with contextlib.suppress(ValueError):
                # The driver keeps every cursor until the connection is closed.
                self.driver_connection._cursors.remove(driver_cursor)
        self.channel.let_through()

    def abandon(self) -> None:
        """Let nothing more be sent through the session but its end."""
        self.driver_connection._cursors.clear()

    def close(self) -> None:
        """End the session."""
        try:
            self.driver_connection.close()
        except Exception as error:
            if is_foreign(error):
                raise
            # What is closed is gone, whatever it says.
            _log.debug("closing a session: %s", type(error).__name__)
        self.channel.let_through()

    def hang_up(self) -> None:
        """Close the sockets; the workspace cannot be asked through them any more."""
        self.channel.hang_up()


def _log_no_contents() -> None:
    """Have requests and answers not logged whole, unless somebody has asked for that."""
    logger = logging.getLogger(_EVERYTHING)
    if all(isinstance(handler, logging.NullHandler) for handler in logger.handlers):
        logger.setLevel(logging.CRITICAL + 1)
