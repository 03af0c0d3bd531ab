"""The driver's log without the texts of statements, and without what makes a link good.

At DEBUG the driver logs every statement as it sends it (``Cursor.execute`` in ``client.py`` and
``execute_command`` in ``backend/thrift_backend.py`` of databricks-sql-connector 4.9). Rows stand in
it where they are too many to be bound, and what an application has written into its own text. Who
wants to see statements has ``echo``, which shows them without their values.

Whoever has a link to a file of a result can fetch it. urllib3 logs the path of every request at
DEBUG, and the driver the whole link, as a warning, where a file came slowly.
"""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Iterator

_LOGGERS = ("databricks.sql.client", "databricks.sql.backend.thrift_backend")
_LOGGERS_OF_LINKS = ("databricks.sql.cloudfetch.downloader", "urllib3.connectionpool")
_sending = threading.local()


@contextlib.contextmanager
def unlogged(text: str) -> Iterator[None]:
    """Keep the text of a statement out of the driver's log while this thread sends it."""
    _sending.text = text
    try:
        yield
    finally:
        _sending.text = None


def hide_query(query: str) -> None:
    """Keep the query string of a link out of the logs, until this thread fetches another one."""
    _sending.query = query


class _WithoutQuery(logging.Filter):
    """Leaves the query string out of the link that is fetched."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Change the record; every record passes."""
        query = getattr(_sending, "query", None)
        if query:
            message = record.getMessage()
            if query in message:
                record.msg, record.args = message.replace(query, "…"), ()
        return True


class _WithoutStatement(logging.Filter):
    """Puts the length of the statement that is being sent in place of its text."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Change the record; every record passes."""
        text = getattr(_sending, "text", None)
        if text:
            message = record.getMessage()
            if text in message:
                shown = message.replace(text, f"<a statement of {len(text)} characters>")
                record.msg, record.args = shown, ()
        return True


for _name in _LOGGERS:
    logging.getLogger(_name).addFilter(_WithoutStatement())
for _name in _LOGGERS_OF_LINKS:
    logging.getLogger(_name).addFilter(_WithoutQuery())
