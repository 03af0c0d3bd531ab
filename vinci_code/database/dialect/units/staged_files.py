"""The files in volumes that the writes of a unit of work read: removed when it has ended."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable
from typing import Any, BinaryIO

from vinci_code.database.dialect.dberrors import Error
from vinci_code.database.dialect.interruptions import is_from_signal

REMOVAL_SECONDS = 30.0
"""How long it takes at most to remove all files; what is left is removed by a later load."""

_REMOVALS = 3

_log = logging.getLogger(__name__)


class StagedFiles:
    """The files that were sent for the unit of work of a connection, and are to be removed.

    Args:
        connection: The connection, of the dialect's driver.
    """

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self._paths: list[str] = []

    def put(self, path: str, file: BinaryIO, size: int) -> None:
        """Send a file to a volume.

        Raises:
            Error: It could not be sent.
        """
        # Before it is sent: it may be there where the answer is lost.
        self._paths.append(path)
        self._connection.put_file(path, file, size)

    def leave(self) -> None:
        """Leave them where they are: a statement that nobody knows the fate of may read them."""
        self._paths.clear()

    def remove_all(self) -> None:
        """Remove those that are there; what cannot be removed is logged, and stays."""
        if self._paths:
            self.remove(list(self._paths))

    def remove(self, paths: Iterable[str]) -> None:
        """Remove files from a volume; what cannot be removed is logged, and stays."""
        gone = list(paths)
        self._paths = [path for path in self._paths if path not in gone]
        if self._connection.closed:
            return
        failures: list[Error] = []
        until = time.monotonic() + REMOVAL_SECONDS
        # Whoever asks to stop meanwhile: nobody else would remove them soon.
        with self._connection.settling():
            for path in gone:
                failures += self._try_to_remove(path, until)
                if failures and time.monotonic() > until:
                    break
        if failures:
            _log.warning(
                "files of a load may be left in %s, which a later load removes: %s",
                gone[0].rpartition("/")[0],
                failures[0].happened,
            )

    def _try_to_remove(self, path: str, until: float) -> list[Error]:
        """Remove a file; what went wrong, where it could not be removed."""
        failures = []
        for _ in range(_REMOVALS):
            try:
                self._connection.remove_file(path, max(until - time.monotonic(), 0.1))
            except Error as error:
                if is_from_signal(error):
                    raise
                failures.append(error)
            else:
                return []
        return failures
