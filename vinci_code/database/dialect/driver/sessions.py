"""One session of the driver, as the rest of the dialect uses it."""

from __future__ import annotations

import contextlib
import logging
import sys
from collections.abc import Mapping
from typing import Any

from vinci_code.core.redaction import redact_exception
from vinci_code.database.dialect.driver import adapter
from vinci_code.database.dialect.driver.adapter import ThriftClient
from vinci_code.database.dialect.driver.connecting import Arguments
from vinci_code.database.dialect.driver.downloads import unreadable
from vinci_code.database.dialect.driver.driver_logs import unlogged
from vinci_code.database.dialect.driver.transport import Call, Channel, interruption_in
from vinci_code.database.dialect.driver.uploads import SentFile
from vinci_code.database.dialect.forking import undisturbed
from vinci_code.database.dialect.interruptions import is_foreign
from vinci_code.database.dialect.text.binding import Parameter

_log = logging.getLogger(__name__)


class Session:
    """One session of the driver, with the channel that its requests go through.

    Attributes:
        temporary_views: The bare names, in lower case, of the temporary views that may be in it;
            ``scanning.ANY_VIEW`` among them where there may be any.
    """

    def __init__(self, arguments: Arguments, call: Call) -> None:
        self.temporary_views: set[str] = set()
        channels: list[Channel] = []

        def attach(client: ThriftClient) -> contextlib.AbstractContextManager[None]:
            channels.append(
                Channel(client, arguments.credentials, arguments.address, arguments.timeouts)
            )
            return channels[0].on_behalf_of(call)

        adapter.load()
        handled = sys.exc_info()[1]
        interruption: Exception | None = None
        try:
            with undisturbed():
                self.driver_connection = adapter.connect(attach, arguments.for_driver)
        except Exception as error:
            # The driver's own clean-up fails where it is interrupted before it has a session.
            interruption = interruption_in(error, handled)
            if interruption is None:
                raise
        if interruption is not None:
            raise interruption
        adapter.connect_undisturbed(self.driver_connection)
        self.channel = channels[0]
        self._command_of: Any = None
        self._command: Any = None

    def execute(
        self,
        text: str,
        parameters: list[Parameter],
        call: Call,
        query_tags: Mapping[str, str] | None = None,
        sent: SentFile | None = None,
    ) -> Any:
        """Send a statement and return the driver's cursor with its result.

        ``sent`` is the file of a PUT from ``__input_stream__``.
        """
        driver_cursor = self.driver_connection.cursor()
        self._command_of, self._command = driver_cursor, None
        bound = [adapter.parameter(parameter) for parameter in parameters]
        try:
            with self.channel.on_behalf_of(call), unlogged(text):
                driver_cursor.execute(text, bound or None, query_tags=query_tags, input_stream=sent)
        except Exception as error:
            self._command = self.running()  # which the cursor forgets
            if is_foreign(error):
                raise
            understood = unreadable(error) or self.channel.understood(error, call)
            understood.__cause__ = understood.__cause__ or redact_exception(error)
            self.release(driver_cursor, call.statement_id)
            raise understood  # noqa: B904 - its cause is set
        return driver_cursor

    def running(self) -> Any:
        """The driver's name for the statement that was begun last, if it is known."""
        return self._command or getattr(self._command_of, "active_command_id", None)

    def cancel(self, command: Any) -> None:
        """Cancel a statement."""
        adapter.client_of(self.driver_connection).cancel_command(command)

    def state_of(self, command: Any, call: Call) -> None:
        """Ask for the state of a statement, and note it on the call."""
        with self.channel.on_behalf_of(call):
            adapter.client_of(self.driver_connection).get_query_state(command)

    def release(self, driver_cursor: Any, statement_id: str | None = None) -> None:
        """Give a result back to the warehouse, and let the driver forget its cursor."""
        self.channel.downloads.forget(statement_id)
        try:
            driver_cursor.close()
        except Exception as error:
            # What cannot be given back expires by itself.
            if is_foreign(error):
                raise
        finally:
            # The driver keeps every cursor until the connection is closed.
            adapter.forget_cursor(self.driver_connection, driver_cursor)
        self.channel.let_through()

    def abandon(self) -> None:
        """Let nothing more be sent through the session but its end."""
        self.channel.downloads.end()
        adapter.forget_cursors(self.driver_connection)

    def close(self) -> None:
        """End the session."""
        self.channel.downloads.end()
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
