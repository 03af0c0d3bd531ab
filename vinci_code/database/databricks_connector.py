"""Connect to a Databricks SQL warehouse with what the settings say, and with nothing else.

``DatabricksConnector`` takes no token: secrets come from the environment or from a profile, never
from code. A connection of it is one of the dialect's own, opened with the arguments that an engine
opens its connections with: what works here works for the application, and in the same way. Whatever
goes wrong ends in one exception that says what happened and what to do next.
"""

from __future__ import annotations

import importlib.util
import logging
import time
import weakref
from collections.abc import Callable
from dataclasses import dataclass, replace
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

if TYPE_CHECKING:
    from sqlalchemy.engine import URL, Engine
    from sqlalchemy.ext.asyncio import AsyncEngine

    from vinci_code.database.databricks.auth import CredentialsProvider
    from vinci_code.database.databricks.failures import Failure, Target
    from vinci_code.database.dialect.driver.dbapi import Connection
    from vinci_code.database.dialect.driver.waiting import Waiting

CONNECT_TIMEOUT = 20.0
"""Seconds after which opening a connection is given up."""

_HTTPS_PORT = 443
# The modules of the extra, and the packages that they are in.
_EXTRA = {
    "databricks.sql": "databricks-sql-connector",
    "databricks.sdk": "databricks-sdk",
    "pyarrow": "pyarrow",
    "urllib3": "urllib3",
}
# What an engine's URL says of these arguments.
_IN_QUERY = ("http_path", "catalog", "schema")

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
        """The arguments of the dialect's ``connect()``, most by the driver's own names.

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
            "connect_timeout": self._connect_timeout,
        }
        if self.port != _HTTPS_PORT:
            arguments["_port"] = self.port
        if self._target.ca_file is not None:
            arguments["_tls_trusted_ca_file"] = str(self._target.ca_file)
        return arguments

    def connect(
        self,
        *,
        statement_timeout: float | None = None,
        start_timeout: float = 0.0,
        on_waiting: Callable[[Waiting], object] | None = None,
    ) -> Connection:
        """Open a connection, as PEP 249 describes them.

        Args:
            statement_timeout: Seconds after which a statement is cancelled; ``None`` lets it run.
            start_timeout: Seconds that a warehouse is waited for that starts.
            on_waiting: Called before each pause of such waiting.

        Raises:
            AuthenticationError: The workspace did not accept the credentials.
            DeadlineExceededError: It did not answer in time.
            DatabricksConnectionError: Anything else; the message says what to do, and the original
                error is its ``__cause__``.
        """
        try:
            return self.open(
                statement_timeout=statement_timeout,
                start_timeout=start_timeout,
                on_waiting=on_waiting,
            )
        except Exception as error:
            if _is_from_signal(error):
                raise
            from vinci_code.database.databricks.failures import connection_error, with_checks

            failure = with_checks(self.explain(error))
            raise connection_error(failure) from redact_exception(error)

    def open(
        self,
        *,
        statement_timeout: float | None = None,
        start_timeout: float = 0.0,
        on_waiting: Callable[[Waiting], object] | None = None,
        in_namespace: bool = True,
    ) -> Connection:
        """Like :meth:`connect`, but raises the errors of the dialect.

        Args:
            statement_timeout: As above, like ``start_timeout`` and ``on_waiting``.
            start_timeout: As above.
            on_waiting: As above.
            in_namespace: Whether the session begins in the catalog and schema of the settings, and
                is refused where there are none such; else it begins where the workspace says.
        """
        from vinci_code.database.dialect.driver.dbapi import connect

        arguments = self.connect_arguments()
        if not in_namespace:
            arguments.update(catalog=None, schema=None)
        connection = connect(
            **arguments,
            timeout=statement_timeout,
            start_timeout=start_timeout,
            on_waiting=on_waiting,
        )
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
                latency = select_one(connection)
            finally:
                self._close(connection)
        except Exception as error:
            if _is_from_signal(error):
                raise  # it is about the application, and not about the connection
            from vinci_code.database.databricks.failures import with_checks

            failure = with_checks(self.explain(redact_exception(error)))
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

    def __exit__(self, *error: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<DatabricksConnector {self._target}{self.http_path}, {self._target.auth}>"

    def _close(self, connection: Connection) -> None:
        self._connections.discard(connection)
        try:
            connection.close()
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
    url, arguments = engine_arguments(settings, options, "databricks+vinci")
    from sqlalchemy import create_engine

    return create_engine(url, **arguments)


def create_async_databricks_engine(
    settings: Settings | DatabaseSettings | None = None, **options: Any
) -> AsyncEngine:
    """The engine of ``create_databricks_engine``, for SQLAlchemy's asyncio.

    Args:
        settings: The settings to use instead of those of the environment.
        **options: What ``create_async_engine`` takes beside.

    Raises:
        ConfigurationError: The configuration cannot be used.
        MissingExtraError: The driver, or greenlet, is not installed.
    """
    url, arguments = engine_arguments(settings, options, "databricks+vinci_async")
    # The dialect is registered by it; and it refuses to be used without greenlet.
    from vinci_code.database.dialect.asynchronous import require_greenlet

    require_greenlet()
    from sqlalchemy.ext.asyncio import create_async_engine

    return create_async_engine(url, **arguments)


def engine_arguments(
    settings: Settings | DatabaseSettings | None, options: dict[str, Any], drivername: str
) -> tuple[URL, dict[str, Any]]:
    """The URL of an engine, and what ``sqlalchemy.create_engine`` makes it with.

    Args:
        settings: The settings to use instead of those of the environment.
        options: What is given beside, and wins.
        drivername: ``databricks+vinci`` or ``databricks+vinci_async``.

    Raises:
        ConfigurationError: The configuration cannot be used.
        MissingExtraError: The driver is not installed.
    """
    database = _database_settings(settings)
    connector = DatabricksConnector(database)
    from sqlalchemy import URL

    arguments = connector.connect_arguments()
    host, port = arguments.pop("server_hostname"), arguments.pop("_port", None)
    named = {name: arguments.pop(name) for name in _IN_QUERY}
    query = {name: value for name, value in named.items() if value is not None}
    # The credentials are an object that shows nothing, and no part of the URL.
    return URL.create(drivername, host=host, port=port, query=query), {
        "connect_args": arguments,
        "echo": database.database_echo,
        "hide_parameters": True,
        "keys": database.databricks_keys,
        "hide_keys": database.databricks_hide_keys,
        "slow_statement": database.databricks_slow_statement,
        "transactions": database.databricks_transactions,
        "volume": database.databricks_volume,
        "atomicity": database.databricks_atomicity,
        **options,
    }


def require_databricks_extra() -> None:
    """Refuse to go on without the driver, the SDK, or what they are used with.

    Raises:
        MissingExtraError: With what is missing, and the command that installs it.
    """
    missing = [package for module, package in _EXTRA.items() if not _is_there(module)]
    if missing:
        raise MissingExtraError("databricks", "USE_DATABRICKS=true", missing)


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


def _is_there(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ImportError:
        return False


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
