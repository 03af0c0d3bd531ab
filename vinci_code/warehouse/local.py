"""The local warehouse as a context manager."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from vinci_code.warehouse.faults import Fault, FaultScript
from vinci_code.warehouse.sql.query_context import USER
from vinci_code.warehouse.wire.files_api import FilesApi
from vinci_code.warehouse.wire.gateway import Gateway
from vinci_code.warehouse.wire.history import QueryHistory
from vinci_code.warehouse.wire.operations import CloudFetch
from vinci_code.warehouse.wire.recording import RequestLog, RequestRecord
from vinci_code.warehouse.wire.rest import AcceptedCredentials, Rest, WarehouseState
from vinci_code.warehouse.wire.result_files import CLOUD_FETCH_BYTES, LINK_LIFETIME, FileStore
from vinci_code.warehouse.wire.server import Server
from vinci_code.warehouse.wire.staging import Staging, takes_file
from vinci_code.warehouse.wire.statement_api import StatementApi
from vinci_code.warehouse.wire.statements import StatementService
from vinci_code.warehouse.wire.thrift_service import ThriftService
from vinci_code.warehouse.wire.tls import LoopbackCertificate
from vinci_code.warehouse.wire.unity_api import UnityApi

if TYPE_CHECKING:
    from typing_extensions import Self

    from vinci_code.warehouse.engine.catalog_view import CatalogView
    from vinci_code.warehouse.engine.volumes import Volumes
    from vinci_code.warehouse.wire.operations import EngineSessionLike

HOST_NAME = "localhost"
CATALOG = "main"
SCHEMA = "default"

_MAX_STATEMENTS = 256


class EngineLike(Protocol):
    """What the warehouse needs of an engine."""

    @property
    def volumes(self) -> Volumes:
        """The volumes and their files."""

    def open_session(
        self,
        catalog: str | None,
        schema: str | None,
        configuration: dict[str, str],
        user: str = USER,
    ) -> EngineSessionLike:
        """Open a session."""

    def close(self) -> None:
        """Write what is to be kept, and end."""


class LocalWarehouse:
    """A Databricks SQL warehouse on this machine, for as long as the ``with`` block lasts.

    It listens on a port of 127.0.0.1 with TLS, a certificate of its own authority, and a token
    that is made anew each time::

        with LocalWarehouse() as wh:
            with databricks.sql.connect(**wh.connect_args) as connection:
                ...

    Args:
        data: A DuckDB file in which the tables are kept; ``None`` keeps them in memory. The files
            of volumes are kept in a folder beside it, ``<data>.volumes``, or in a temporary one.
        port: The port to listen on; 0 takes a free one.
        transactions: Whether multi-statement transactions are enabled.
        latency: Seconds that every request waits before it is worked on.
        token_lifetime: Seconds that a token of the OAuth token endpoint is good for.
        record_limit: How many requests are remembered; ``None`` remembers all.
        cloud_fetch_bytes: Results of more bytes than this, as Arrow and before compression, are
            sent as links to files, where the client says that it can download results (CloudFetch);
            ``None`` sends every result inline.
        link_lifetime: Seconds that such a link is good for.
        memory_limit: How many bytes of memory tables, sorts, joins and aggregates may take; what
            exceeds it lies in temporary files, and a statement that cannot do with it fails.
        tokens: Tokens of users beside the warehouse's own, and whose they are:
            ``{"token": "ada@example.com"}``. ``credentials.add(token, user)`` adds one while it
            runs, ``credentials.revoke(token)`` refuses one from then on.

    Raises:
        ValueError: One of ``tokens`` is no token, or names no user.

    Attributes:
        faults: The fault script: ``wh.faults.add(Fault.http(503, operation="ExecuteStatement"))``.
        credentials: The access token, the service principal, and what was revoked of them.
    """

    def __init__(
        self,
        data: str | Path | None = None,
        *,
        port: int = 0,
        transactions: bool = True,
        latency: float = 0.0,
        token_lifetime: float = 3600.0,
        record_limit: int | None = None,
        cloud_fetch_bytes: int | None = CLOUD_FETCH_BYTES,
        link_lifetime: float = LINK_LIFETIME,
        memory_limit: int = 512 * 1024 * 1024,
        tokens: Mapping[str, str] | None = None,
    ) -> None:
        self.faults = FaultScript()
        self.credentials = AcceptedCredentials(token_lifetime, tokens)
        self.warehouse_id = secrets.token_hex(8)
        self.catalog = CATALOG
        self.schema = SCHEMA
        self._data = data
        self._port = port
        self._transactions = transactions
        self._latency = latency
        self._cloud_fetch_bytes = cloud_fetch_bytes
        self._link_lifetime = link_lifetime
        self._memory_limit = memory_limit
        self._log = RequestLog(record_limit)
        self._log.hide(self.credentials.secrets)
        self.credentials.on_secret = lambda secret: self._log.hide([secret])
        self._state = WarehouseState()
        self._running: _RunningWarehouse | None = None

    # --- its life -------------------------------------------------------------------------------

    def start(self) -> Self:
        """Start; connections are accepted when this returns.

        Raises:
            RuntimeError: It runs already.
            PortError: The port is taken.
            DatabaseFileError: The file cannot be used.
        """
        if self._running is not None:
            raise RuntimeError("The local warehouse runs already.")
        self._running = _RunningWarehouse(self, self._port)
        return self

    def close(self) -> None:
        """Stop: no thread, socket or temporary file stays; closing twice does nothing."""
        running, self._running = self._running, None
        if running is not None:
            running.close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *error: object) -> None:
        self.close()

    # --- how to reach it ------------------------------------------------------------------------

    @property
    def host(self) -> str:
        """The host name in its certificate."""
        return HOST_NAME

    @property
    def port(self) -> int:
        """The port that it listens on."""
        return self._live.server.port

    @property
    def http_path(self) -> str:
        """The warehouse's HTTP path."""
        return f"/sql/1.0/warehouses/{self.warehouse_id}"

    @property
    def access_token(self) -> str:
        """A personal access token."""
        return self.credentials.access_token

    @property
    def ca_file(self) -> Path:
        """The certificate that a client has to trust, as a PEM file."""
        return self._live.identity.ca_file

    @property
    def connect_args(self) -> dict[str, Any]:
        """Arguments for ``databricks.sql.connect(**wh.connect_args)``."""
        return self.connect_args_for(self.catalog, self.schema)

    @property
    def env(self) -> dict[str, str]:
        """Environment variables that point the application at this warehouse."""
        return self.env_for(self.catalog, self.schema)

    def connect_args_for(self, catalog: str, schema: str) -> dict[str, Any]:
        """The connect arguments with another initial namespace."""
        return {
            "server_hostname": self.host,
            "_port": self.port,
            "http_path": self.http_path,
            "access_token": self.access_token,
            "_tls_trusted_ca_file": str(self.ca_file),
            # Telemetry would go to port 443 of the host, whatever _port says (telemetry_client.py).
            "enable_telemetry": False,
            "catalog": catalog,
            "schema": schema,
        }

    def env_for(self, catalog: str, schema: str) -> dict[str, str]:
        """The environment variables with another initial namespace."""
        return {
            "USE_DATABRICKS": "true",
            "DATABRICKS_SERVER_HOSTNAME": f"{self.host}:{self.port}",
            "DATABRICKS_HTTP_PATH": self.http_path,
            "DATABRICKS_ACCESS_TOKEN": self.access_token,
            "DATABRICKS_CA_FILE": str(self.ca_file),
            "DATABRICKS_CATALOG": catalog,
            "DATABRICKS_SCHEMA": schema,
        }

    # --- what happened, and what shall ----------------------------------------------------------

    @property
    def requests(self) -> tuple[RequestRecord, ...]:
        """Every request so far, in the order of arrival."""
        return self._log.snapshot()

    @property
    def statements(self) -> list[str]:
        """The text of every statement so far."""
        return [record.statement for record in self.requests if record.statement is not None]

    def clear_requests(self) -> None:
        """Forget the requests so far."""
        self._log.clear()

    def inject(self, *faults: Fault) -> None:
        """Add faults to the script: the same as ``wh.faults.add``."""
        self.faults.add(*faults)

    @property
    def state(self) -> str:
        """``RUNNING``, ``STARTING`` or ``STOPPED``, as the REST API tells it."""
        return self._state.state

    @property
    def session_count(self) -> int:
        """How many sessions are open."""
        return self._live.service.session_count

    def sql(self, statement: str, catalog: str | None = None, schema: str | None = None) -> None:
        """Run a statement in the warehouse itself, unrecorded: for preparing and cleaning up."""
        session = self._live.engine.open_session(catalog or self.catalog, schema or self.schema, {})
        try:
            result = session.execute(statement)
            for _ in result.batches:
                continue
            result.close()
        finally:
            session.close()

    @property
    def _live(self) -> _RunningWarehouse:
        if self._running is None:
            raise RuntimeError("The local warehouse does not run: use it in a 'with' block.")
        return self._running

    def _make_engine(self) -> EngineLike:
        from vinci_code.warehouse.engine.engine import Engine

        return Engine(self._data, transactions=self._transactions, memory_limit=self._memory_limit)


class _RunningWarehouse:
    """The parts of a warehouse that runs, from the engine outwards."""

    def __init__(self, warehouse: LocalWarehouse, port: int) -> None:
        self.identity = LoopbackCertificate()
        try:
            self.engine = warehouse._make_engine()
            try:
                self._assemble(warehouse, port)
            except BaseException:
                self.engine.close()
                raise
        except BaseException:
            self.identity.close()
            raise

    def close(self) -> None:
        """Close from the outside inwards."""
        self.gateway.close()
        self.server.stop()
        self.service.close()
        self.server.join()
        self.executor.shutdown(wait=True)
        self.files.close()
        self.engine.close()
        self.identity.close()

    def _catalog_view(self) -> CatalogView:
        session = self.engine.open_session(None, None, {})
        try:
            return session.catalog_view()
        finally:
            session.close()

    def _assemble(self, warehouse: LocalWarehouse, port: int) -> None:
        credentials, state, log = warehouse.credentials, warehouse._state, warehouse._log
        identifier = warehouse.warehouse_id
        self.executor = ThreadPoolExecutor(_MAX_STATEMENTS, "warehouse-statement")
        history = QueryHistory(identifier)
        self.files = FileStore(warehouse._link_lifetime)
        cloud_fetch = CloudFetch(self.files, warehouse._cloud_fetch_bytes)
        transfers = Staging(self.engine.volumes)
        self.service = StatementService(
            self.engine.open_session, self.executor, log, history, transfers.rows, cloud_fetch
        )
        files_api = FilesApi(self.engine.volumes)
        endpoints = Rest(
            credentials,
            state,
            identifier,
            history.answer,
            files_api.answer,
            UnityApi(self._catalog_view).answer,
        )
        self.gateway = Gateway(
            ThriftService(self.service, log),
            StatementApi(self.service, self.files, log, identifier),
            endpoints,
            transfers,
            credentials,
            state,
            warehouse.faults,
            log,
            identifier,
            warehouse._latency,
            self.files,
        )
        self.server = Server(
            self.gateway, self.identity.context, port, takes_file, self.gateway.admits
        )
        base_url = f"https://{HOST_NAME}:{self.server.port}"
        endpoints.base_url = transfers.base_url = self.files.base_url = base_url
        self.server.start()
