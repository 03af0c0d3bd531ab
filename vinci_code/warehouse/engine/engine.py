"""The engine: catalogs, tables and sessions behind one store."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path

from vinci_code.warehouse.engine.catalog import CatalogStore
from vinci_code.warehouse.engine.dispatch import execute
from vinci_code.warehouse.engine.session import EngineSession
from vinci_code.warehouse.engine.store import MEMORY_LIMIT, Store
from vinci_code.warehouse.engine.transactions import Engineroom
from vinci_code.warehouse.engine.volume_files import VolumeFiles
from vinci_code.warehouse.engine.volumes import Volumes
from vinci_code.warehouse.sql.query_context import USER


class Engine:
    """A Databricks SQL engine, in memory or in a file.

    Attributes:
        transactions: Whether transactions are enabled.
        volumes: The volumes and their files.
    """

    def __init__(
        self,
        path: str | Path | None = None,
        transactions: bool = True,
        *,
        appends_conflict: bool = False,
        memory_limit: int = MEMORY_LIMIT,
    ) -> None:
        """Open the engine.

        Args:
            path: The file that holds everything; ``None`` keeps it in memory. The files of volumes
                lie in a folder beside it, ``<path>.volumes``, or in a temporary one.
            transactions: ``False`` for a workspace where they are not enabled.
            appends_conflict: Whether two transactions that only insert into the same table
                conflict. Delta lets them pass; the driver's documentation says that they conflict.
            memory_limit: How many bytes of memory tables, sorts, joins and aggregates may take;
                what exceeds it lies in temporary files.
        """
        self.transactions = transactions
        self._store = Store(path, memory_limit)
        try:
            self._files = VolumeFiles(self._store, None if path is None else Path(path))
        except BaseException:
            self._store.close()
            raise
        catalogs = CatalogStore(self._store, USER)
        self.volumes = Volumes(catalogs, self._files)
        self._room = Engineroom(self._store, catalogs, self.volumes, appends_conflict)
        self._sessions: set[EngineSession] = set()
        self._lock = threading.Lock()

    def open_session(
        self,
        catalog: str | None = None,
        schema: str | None = None,
        configuration: Mapping[str, str] | None = None,
        user: str = USER,
    ) -> EngineSession:
        """Open a session.

        Args:
            catalog: The first current catalog; it may be created later.
            schema: The first current schema; it may be created later.
            configuration: Session parameters.
            user: What ``current_user()`` answers, and who owns what is created.

        Raises:
            SqlError: For a parameter that cannot be taken.
        """
        session = EngineSession(
            self._room,
            execute,
            catalog=catalog,
            schema=schema,
            configuration=configuration,
            user=user,
            transactions=self.transactions,
        )
        with self._lock:
            self._sessions = {item for item in self._sessions if not item.closed}
            self._sessions.add(session)
        return session

    def close(self) -> None:
        """Close every session and the store; what was committed is in the file."""
        with self._lock:
            sessions, self._sessions = self._sessions, set()
        for session in sessions:
            session.close()
        self._store.close()
        self._files.close()
