"""Connect to a Databricks SQL warehouse with what the settings say, and with nothing else.

``DatabricksConnector`` takes no token: secrets come from the environment or from a profile, never
from code. It builds the arguments of the vendor's driver so that a connection is verified, bounded
in time, and silent: no telemetry, no listening socket, no credentials from ``~/.netrc``. Whatever
goes wrong ends in one exception that says what happened and what to do next.
"""

from __future__ import annotations

import importlib.util
import logging
import time
import weakref
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from vinci_code import __version__
from vinci_code.core.config import DatabaseSettings, Settings, get_settings
from vinci_code.core.errors import (
    ConfigurationError,
    ConfigurationProblem,
    DatabricksConnectionError,
    MissingExtraError,
)
from vinci_code.core.redaction import HoldsSecret, redact, redact_exception
from vinci_code.database.deadlines import run_with_deadline

if TYPE_CHECKING:
    from databricks.sql.client import Connection
    from sqlalchemy.engine import Engine

    from vinci_code.database.databricks.auth import CredentialsProvider
    from vinci_code.database.databricks.failures import Failure, Target

CONNECT_TIMEOUT = 20.0
"""Seconds after which opening a connection is given up."""

STATEMENT_TIMEOUT = 900.0
"""Seconds that the driver waits for each answer of an open connection; the driver's own default."""

_HTTPS_PORT = 443
_CLOSE_TIMEOUT = 5.0
# Above the driver's own bounds, so that its more telling error comes first.
_SLACK = 1.5

_SILENT = logging.NullHandler()
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ValidationResult:
    """Whether a connection works; true as a bool if it does.

    Attributes:
        ok: Whether a session was opened and ``SELECT 1`` answered.
        host: The workspace, or ``None`` if the configuration names none that can be used.
        http_path: The warehouse's path, or ``None`` as above.
        auth_method: How it was authenticated: ``pat``, ``oauth-m2m`` or ``profile``.
        latency_ms: Milliseconds that ``SELECT 1`` took, or ``None`` if it was not answered.
        error: What went wrong, without a secret.
        next_step: What to do about it.
    """

    ok: bool
    host: str | None = None
    http_path: str | None = None
    auth_method: str | None = None
    latency_ms: float | None = None
    error: str | None = None
    next_step: str | None = None

    def __bool__(self) -> bool:
        return self.ok

    def __str__(self) -> str:
        where = f"{self.host}{self.http_path}" if self.host and self.http_path else "Databricks"
        if self.ok:
            return f"{where} answers ({self.auth_method}, SELECT 1 in {self.latency_ms:.0f} ms)"
        return f"{where} cannot be used: {self.error} To fix it: {self.next_step}"


class DatabricksConnector(HoldsSecret):
    """The way to one SQL warehouse.

    Building one contacts nobody. As a context manager it closes every connection that it opened.

    Args:
        settings: The settings to use instead of those of the environment.
        connect_timeout: Seconds after which opening a connection is given up.

    Raises:
        ConfigurationError: Databricks is switched off, or the configuration is incomplete,
            contradictory or not real.
        MissingExtraError: The driver is not installed.
    """

    def __init__(
        self,
        settings: Settings | DatabaseSettings | None = None,
        *,
        connect_timeout: float = CONNECT_TIMEOUT,
    ) -> None:
        database = _database_settings(settings)
        _require_switched_on(database)
        require_databricks_extra()
        # Here and below, what only Databricks needs is imported where it is used: ssl, http and the
        # rest are nothing that an application on SQLite should wait for.
        from vinci_code.database.databricks.access import resolve_access

        access = resolve_access(database)
        self._target = access.target
        self._credentials = access.credentials
        self._catalog = database.databricks_catalog
        self._schema = database.databricks_schema
        self._connect_timeout = connect_timeout
        self._has_fallback = database.databricks_fallback != "off"
        # Weak, so that a connection that its user has closed and forgotten is not kept for ever.
        self._connections: weakref.WeakSet[Connection] = weakref.WeakSet()

    @property
    def target(self) -> Target:
        """The address in words, for messages."""
        return self._target

    @property
    def host(self) -> str:
        """The workspace's host name."""
        return self._target.host

    @property
    def port(self) -> int:
        """443, or another port on this machine's own addresses."""
        return self._target.port

    @property
    def http_path(self) -> str:
        """The warehouse's path."""
        return self._target.http_path

    @property
    def auth_method(self) -> str:
        """How it authenticates: ``pat``, ``oauth-m2m`` or ``profile``."""
        return self._credentials.auth_type()

    @property
    def credentials(self) -> CredentialsProvider:
        """What requests to the workspace are signed with; shows nothing of the secret."""
        return self._credentials

    def connect_arguments(self) -> dict[str, Any]:
        """The arguments for ``databricks.sql.connect``, by the driver's own names.

        The dictionary may be printed, since the credentials in it are an object that shows nothing;
        it may not be pickled.
        """
        arguments: dict[str, Any] = {
            "server_hostname": self.host,
            "http_path": self.http_path,
            "credentials_provider": self._credentials,
            "catalog": self._catalog,
            "schema": self._schema,
            "user_agent_entry": f"vinci_code/{__version__}",
            # On by default, and then asks port 443 of the host at every connect, whatever the port.
            "enable_telemetry": False,
            # The Thrift backend: the other two ignore the port and take no credentials provider.
            "use_kernel": False,
            "use_sea": False,
            **self._limits(),
        }
        if self.port != _HTTPS_PORT:
            arguments["_port"] = self.port
        if self._target.ca_file is not None:
            arguments["_tls_trusted_ca_file"] = str(self._target.ca_file)
        return arguments

    def connect(self, *, statement_timeout: float = STATEMENT_TIMEOUT) -> Connection:
        """Open a connection of the vendor's driver.

        Args:
            statement_timeout: Seconds that the open connection waits for each answer.

        Raises:
            AuthenticationError: The workspace did not accept the credentials.
            DeadlineExceededError: It did not answer in time.
            DatabricksConnectionError: Anything else; the message says what to do, and the original
                error is its ``__cause__``.
        """
        try:
            return self.open(statement_timeout=statement_timeout)
        except Exception as error:
            if _is_from_signal(error):
                raise
            # Those of urllib3, ssl and thrift come through.
            from vinci_code.database.databricks.failures import connection_error

            raise connection_error(self.explain(error)) from redact_exception(error)

    def open(self, *, statement_timeout: float = STATEMENT_TIMEOUT) -> Connection:
        """Like :meth:`connect`, but raises whatever the driver raises."""
        # Asked for first, so that a refusal is told as it is and not as an error of the driver;
        # what was got is kept, so the driver's own asking costs nothing.
        self._credentials.headers()
        try:
            connection = run_with_deadline(
                lambda: _open(self.connect_arguments(), statement_timeout),
                self._connect_timeout + _SLACK,
                f"opening a connection to {self._target}",
                dispose=lambda late: late.close(),
            )
        except Exception as error:  # noqa: BLE001 - it goes on, without the locals of its frames
            # Where no answer came, those of the driver and of urllib3 hold the header.
            raise redact_exception(error)  # noqa: B904 - the same object
        self._connections.add(connection)
        return connection

    def validate(self) -> ValidationResult:
        """Open a connection, ask ``SELECT 1``, close it.

        It never raises for trouble on the way; what the handler of a signal raises comes through.
        """
        known = ValidationResult(False, str(self._target), self.http_path, self.auth_method)
        try:
            connection = self.open(statement_timeout=self._connect_timeout)
            try:
                latency = run_with_deadline(
                    lambda: select_one(connection), self._connect_timeout, "SELECT 1"
                )
            finally:
                self._close(connection)
        except Exception as error:
            if _is_from_signal(error):
                raise  # it is about the application, and not about the connection
            failure = self.explain(redact_exception(error))
            return replace(known, error=failure.cause, next_step=failure.next_step)
        return replace(known, ok=True, latency_ms=latency)

    def explain(self, error: BaseException) -> Failure:
        """What an error on the way to the warehouse means, and what to do about it."""
        from vinci_code.database.databricks.explain import explain
        from vinci_code.database.databricks.failures import with_meanwhile

        failure = explain(error, self._target)
        return failure if self._has_fallback else with_meanwhile(failure)

    def close(self) -> None:
        """Close every connection that was opened here; may be called more than once."""
        for connection in list(self._connections):
            self._close(connection)

    def __enter__(self) -> DatabricksConnector:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<DatabricksConnector {self._target}{self.http_path}, {self._target.auth}>"

    def _limits(self) -> Mapping[str, float]:
        """Bounds that keep the driver from trying for 15 minutes, which is its default.

        The driver sends a request twice at least (``_retry_stop_after_attempts_count`` below 1 is
        raised to 1, ``backend/thrift_backend.py``), so each try gets half of the time. A 503 is
        repeated once, after ``_retry_delay_max`` (5 s is the least it takes).
        """
        return {
            "_socket_timeout": self._connect_timeout / 2,
            "_retry_stop_after_attempts_count": 1,
            "_retry_stop_after_attempts_duration": max(2 * self._connect_timeout, 1.0),
            "_retry_delay_min": 0.1,
            "_retry_delay_max": 5.0,
        }

    def _close(self, connection: Connection) -> None:
        self._connections.discard(connection)
        try:
            run_with_deadline(connection.close, _CLOSE_TIMEOUT, "closing a connection")
        except Exception as error:
            if _is_from_signal(error):
                raise
            # What is closed is gone, whatever it says.
            _log.debug("closing a connection to %s: %s", self._target, type(error).__name__)


def validate_databricks_connection(
    settings: Settings | DatabaseSettings | None = None,
) -> ValidationResult:
    """Whether the warehouse that the settings name can be used.

    Never raises for trouble with configuration or connection: it is in the result, which is false
    then.
    """
    try:
        with DatabricksConnector(settings) as connector:
            return connector.validate()
    except ConfigurationError as error:
        fixes = " ".join(dict.fromkeys(problem.fix for problem in error.problems))
        return ValidationResult(ok=False, error=redact(str(error)), next_step=redact(fixes))


def create_databricks_engine(
    settings: Settings | DatabaseSettings | None = None, **options: Any
) -> Engine:
    """The SQLAlchemy engine for the warehouse that the settings name; nothing is contacted yet.

    Args:
        settings: The settings to use instead of those of the environment.
        **options: What ``sqlalchemy.create_engine`` takes beside, such as ``json_serializer``.

    Raises:
        ConfigurationError: The configuration cannot be used.
        MissingExtraError: The driver is not installed.
    """
    database = _database_settings(settings)
    connector = DatabricksConnector(database)
    from sqlalchemy import URL, create_engine

    target = connector.target
    place = {"catalog": database.databricks_catalog, "schema": database.databricks_schema}
    query = {"http_path": connector.http_path}
    query |= {name: value for name, value in place.items() if value is not None}
    port = None if connector.port == _HTTPS_PORT else connector.port
    arguments: dict[str, Any] = {
        "credentials_provider": connector.credentials,
        "user_agent_entry": f"vinci_code/{__version__}",
        "connect_timeout": CONNECT_TIMEOUT,
    }
    if target.ca_file is not None:
        arguments["_tls_trusted_ca_file"] = str(target.ca_file)
    # The credentials are an object that shows nothing, and no part of the URL.
    return create_engine(
        URL.create("databricks+vinci", host=connector.host, port=port, query=query),
        connect_args=arguments,
        **{
            "echo": database.database_echo,
            "hide_parameters": True,
            "transactions": database.databricks_transactions,
            "atomicity": database.databricks_atomicity,
            **options,
        },
    )


def require_databricks_extra() -> None:
    """Refuse to go on without the driver and the SDK.

    Raises:
        MissingExtraError: With the command that installs them.
    """
    for module in ("databricks.sql", "databricks.sdk"):
        try:
            found = importlib.util.find_spec(module)
        except ImportError:
            found = None
        if found is None:
            raise MissingExtraError("databricks", "USE_DATABRICKS=true")


def select_one(connection: Connection) -> float:
    """Ask ``SELECT 1`` and return how many milliseconds the answer took.

    Raises:
        DatabricksConnectionError: The answer was not 1.
    """
    began = time.perf_counter()
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
        row = cursor.fetchone()
    if row is None or row[0] != 1:
        raise DatabricksConnectionError(f"SELECT 1 was answered with {row!r}")
    return (time.perf_counter() - began) * 1000


def _open(arguments: Mapping[str, Any], statement_timeout: float) -> Connection:
    from databricks import sql

    from vinci_code.database.databricks.http import tls_context
    from vinci_code.database.dialect.forking import keep_in_process

    ca_file = arguments.get("_tls_trusted_ca_file")
    if ca_file is not None:
        # First, since the driver leaves a connection half-built where the file cannot be read,
        # which complains on standard error when it is collected.
        tls_context(Path(ca_file))
    _refuse_known_real_time(arguments["server_hostname"], arguments["http_path"])
    # What goes wrong is raised, and told once. Without this, the driver's own ERROR lines would go
    # to standard error where nobody has configured logging.
    logging.getLogger("databricks").addHandler(_SILENT)
    connection = sql.connect(**arguments)
    keep_in_process(connection)
    # It writes out every request and reply in full, whoever listens (backend/thrift_backend.py sets
    # it to DEBUG): data that nobody asked for, and time for each byte of it.
    logging.getLogger("databricks.sql.unsafe").disabled = True
    backend: Any = connection.session.backend
    # The driver sends a statement again when the connection breaks before the answer, though it
    # may have been executed: one INSERT was executed four times by a server that cut the line. It
    # has no argument against that; urllib3 does not repeat what it may not read again.
    backend.retry_policy.read = False
    # The bound on connecting is too tight for an answer that takes as long as a statement does.
    backend._transport.setTimeout(statement_timeout * 1000.0)
    return connection


def _refuse_known_real_time(host: str, http_path: str) -> None:
    """Spare a warehouse that has refused the Thrift protocol once another try.

    The driver remembers it for six hours and then goes straight to its kernel backend, which is not
    installed; the connection that it leaves behind half-built complains when it is collected.
    """
    from databricks.sql.backend.reyden_warehouse_cache import extract_warehouse_id, is_known_reyden

    warehouse_id = extract_warehouse_id(http_path)
    if warehouse_id is not None and is_known_reyden(host, warehouse_id):
        from vinci_code.database.databricks.failures import ExplainedError, real_time_warehouse

        raise ExplainedError(real_time_warehouse(http_path))


def _is_from_signal(error: BaseException) -> bool:
    # Not at the top: who asks for a connection of the driver does not want SQLAlchemy.
    from vinci_code.database.dialect.interruptions import is_from_signal

    return is_from_signal(error)


def _database_settings(settings: Settings | DatabaseSettings | None) -> DatabaseSettings:
    if isinstance(settings, DatabaseSettings):
        return settings
    return (get_settings() if settings is None else settings).database


def _require_switched_on(settings: DatabaseSettings) -> None:
    if not settings.use_databricks:
        raise ConfigurationError(
            [
                ConfigurationProblem(
                    variable="USE_DATABRICKS",
                    found="false",
                    accepted="true, where Databricks is to be used",
                    fix="set USE_DATABRICKS=true",
                )
            ]
        )
