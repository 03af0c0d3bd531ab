"""The checks for a SQL warehouse, from the driver to the scratch table."""

from __future__ import annotations

import importlib.metadata
import statistics
import time

from vinci_code.core.config import DatabaseSettings
from vinci_code.core.config.normalise import warehouse_id_of
from vinci_code.core.errors import FallbackFileError, MissingExtraError, SchemaError
from vinci_code.core.redaction import redact_exception
from vinci_code.database.databricks.failures import (
    Failure,
    Kind,
    Target,
    refused_by_status,
    status_of,
)
from vinci_code.database.databricks.http import Reply
from vinci_code.database.databricks_connector import (
    DatabricksConnector,
    create_databricks_engine,
    require_databricks_extra,
    select_one,
)
from vinci_code.database.dialect.driver import adapter
from vinci_code.database.dialect.driver.waiting import Waiting
from vinci_code.diagnostics.asking import WAREHOUSE, WHO_AM_I, ask
from vinci_code.diagnostics.checks import SLOW_TO_LOAD, Check, Context
from vinci_code.diagnostics.migrating import compared_with_head, unknown_revision
from vinci_code.diagnostics.network import SOCKET_TIMEOUT, check_name, check_tcp, check_tls
from vinci_code.diagnostics.report import Finding, Status, in_one_piece
from vinci_code.diagnostics.scratch import check_scratch_table

STATEMENT_TIMEOUT = 20.0
"""Seconds after which a statement of the checks is cancelled."""

LATENCY_CALLS = 5

# States in which a session is opened at once; that of a warehouse which may not be looked at is not
# known.
_RUNNING = ("RUNNING", "unknown")
_GONE = ("DELETED", "DELETING")


def check_databricks_settings(context: Context, database: DatabaseSettings) -> Finding:
    """Resolve address and credentials; a profile is read here."""
    try:
        connector = DatabricksConnector(database)
    except MissingExtraError:
        # The next check says so.
        return Finding(Status.OK, f"Databricks, {database.databricks_server_hostname or 'profile'}")
    context.connector = connector
    source = database.provenance[
        {
            "token": "databricks_access_token",
            "profile": "databricks_profile",
            "oauth_m2m": "databricks_client_secret",
        }[database.auth_method or "token"]
    ]
    target = connector.target
    return Finding(
        Status.OK,
        f"Databricks, {target}{target.http_path}, {target.auth} from {source}, "
        f"transactions {database.databricks_transactions}, "
        f"atomicity {database.databricks_atomicity}",
    )


def _check_driver(_context: Context) -> Finding:
    require_databricks_extra()
    adapter.load()  # so that the time for it is not taken for the network's
    versions = [
        f"{name} {importlib.metadata.version(name)}"
        for name in ("databricks-sql-connector", "databricks-sdk")
    ]
    return Finding(Status.OK, ", ".join(versions))


def _check_authentication(context: Context) -> Finding:
    connector = context.the_connector()
    reply = _ask(connector, WHO_AM_I)
    if reply.ok:
        name = reply.json().get("userName") or reply.json().get("displayName") or "somebody"
        return Finding(Status.OK, f"signed in as {name} with {connector.target.auth}")
    if not _is_definite(reply):
        # A host that does not know this question may still know the warehouse.
        reply = _ask(connector, WAREHOUSE + warehouse_id_of(connector.http_path))
        if reply.ok:
            return Finding(Status.OK, f"{connector.target} accepts {connector.target.auth}")
    if _is_definite(reply):
        return _failed(status_of(reply, connector.target), reply)
    return Finding(
        Status.WARNING,
        f"{connector.target} does not say who is signed in (status {reply.status})",
        cause="The workspace does not answer the question for the current user.",
        next_step="nothing, if the warehouse answers below",
    )


def _is_definite(reply: Reply) -> bool:
    """Whether a reply that is not ok says something about the credentials or the workspace."""
    return reply.status in (401, 403, 429) or reply.status >= 500


def _check_warehouse(context: Context) -> Finding:
    """Ask for the warehouse's state, then open a session, waiting while it starts."""
    connector = context.the_connector()
    reply = _ask(connector, WAREHOUSE + warehouse_id_of(connector.http_path))
    state = str(reply.json().get("state") or "unknown")
    refusal = _refusal(reply, state, connector.target)
    if refusal is not None:
        return refusal
    began = time.monotonic()
    failure = _open_session(context, state)
    if failure is not None and failure.kind is Kind.NAMESPACE:
        # The warehouse is in order; the check of catalog and schema tells what is not.
        context.namespace_failure = failure
        failure = _open_session(context, state, in_namespace=False)
    if failure is not None:
        return Finding(Status.FAILED, cause=failure.cause, next_step=failure.next_step)
    took = time.monotonic() - began
    named = reply.json().get("name")
    label = f"'{named}' ({warehouse_id_of(connector.http_path)})" if named else connector.http_path
    if state in _RUNNING:
        return Finding(Status.OK, f"{label} is running; a session opened in {took * 1000:.0f} ms")
    return Finding(Status.OK, f"{label} was {state} and started in {took:.1f} s")


def _check_select(context: Context) -> Finding:
    connection = context.the_connection()
    times = sorted(select_one(connection) for _ in range(LATENCY_CALLS))
    return Finding(
        Status.OK,
        f"{LATENCY_CALLS} calls: min {times[0]:.0f} ms, median {statistics.median(times):.0f} ms, "
        f"max {times[-1]:.0f} ms",
    )


def _check_namespace(context: Context) -> Finding:
    failure = context.namespace_failure
    if failure is not None:
        return Finding(Status.FAILED, cause=failure.cause, next_step=failure.next_step)
    assert context.settings is not None  # noqa: S101 - this check needs 'settings'
    database = context.settings.database
    with context.the_connection().cursor() as cursor:
        cursor.execute("SELECT current_catalog(), current_schema()")
        row = cursor.fetchone()
        catalog, schema = (str(row[0]), str(row[1])) if row is not None else ("", "")
        # Names are kept in lower case, however they are written.
        wanted = (database.databricks_catalog or catalog, database.databricks_schema or schema)
        if (catalog.lower(), schema.lower()) != (wanted[0].lower(), wanted[1].lower()):
            return Finding(
                Status.FAILED,
                cause=f"The session is in {catalog}.{schema} and not in {'.'.join(wanted)}.",
                next_step="check DATABRICKS_CATALOG and DATABRICKS_SCHEMA",
            )
        cursor.execute(f"DESCRIBE SCHEMA {quoted(catalog)}.{quoted(schema)}")
    given = "" if database.databricks_schema else "; DATABRICKS_SCHEMA is not set"
    return Finding(Status.OK, f"{catalog}.{schema} can be used{given}")


def _check_migrations(context: Context) -> Finding:
    """Compare the tables with those of this release, as an application does when it begins."""
    from vinci_code.database import migrations
    from vinci_code.database.dialect.options import TIMEOUT

    assert context.settings is not None  # noqa: S101 - this check needs 'settings'
    engine = create_databricks_engine(context.settings.database)
    try:
        status = migrations.status(engine.execution_options(**{TIMEOUT: STATEMENT_TIMEOUT}))
    except SchemaError as error:
        return unknown_revision(error, "name another schema in DATABRICKS_SCHEMA")
    finally:
        engine.dispose()
    return compared_with_head(
        status,
        "get_engine() and SessionLocal() refuse to begin until then; an application that has only "
        "tables of its own needs none of these",
    )


def _check_fallback(context: Context) -> Finding:
    """Say where units of work go, and what has not arrived; also where the fallback is off now."""
    assert context.settings is not None  # noqa: S101 - this check needs 'settings'
    database = context.settings.database
    file = database.databricks_fallback_file
    is_on = database.databricks_fallback != "off"
    if not file.exists():
        return Finding(Status.OK, f"on; {file} does not exist yet")
    from vinci_code.database.fallback.states import opened, state_of

    try:
        with opened(file) as journal:
            state = state_of(journal)
    except FallbackFileError as error:
        cause, _, step = str(error).partition(" To fix it: ")
        return Finding(Status.FAILED, cause=cause, next_step=step or "see docs/fallback.md")
    goes_to = state.goes_to if is_on else "databricks"
    detail = (
        f"{'on' if is_on else 'off'}, {file}; units of work go to {goes_to}; {state.waiting} wait, "
        f"{state.in_doubt} in doubt, {state.parked} parked, {state.damaged} damaged"
    )
    if state.parked or state.damaged:
        return Finding(
            Status.WARNING,
            detail,
            cause="Units of work cannot arrive.",
            next_step=f"decide about them: {in_one_piece('vinci fallback list')}",
        )
    if state.waiting or state.in_doubt:
        return Finding(
            Status.WARNING,
            detail,
            cause="Units of work have not arrived yet.",
            next_step="nothing: the next unit of work sends them, when the warehouse answers"
            if is_on
            else "set DATABRICKS_FALLBACK=sqlite, which sends them",
        )
    return Finding(Status.OK, detail)


def _without_fallback(context: Context) -> str | None:
    if context.settings is None or context.settings.database.databricks_fallback != "off":
        return None
    file = context.settings.database.databricks_fallback_file
    return None if file.exists() else "DATABRICKS_FALLBACK is off"


def quoted(name: str) -> str:
    """An identifier in backticks, which are doubled inside."""
    return "`" + name.replace("`", "``") + "`"


def _without_write(context: Context) -> str | None:
    return None if context.write else "only with --write"


CHECKS = (
    Check("driver", "Driver", 60.0, _check_driver, needs=("settings",), when_late=SLOW_TO_LOAD),
    Check(
        "name_resolution",
        "Name resolution",
        10.0,
        check_name,
        needs=("driver",),
        when_late="this machine's DNS servers do not answer: check the network and VPN",
    ),
    Check(
        "tcp",
        "TCP",
        10.0,
        check_tcp,
        needs=("name_resolution",),
        when_late="a firewall drops the traffic: ask for outbound port 443 to the workspace",
    ),
    Check("tls", "TLS", 4 * SOCKET_TIMEOUT, check_tls, needs=("tcp",)),
    Check("authentication", "Authentication", 40.0, _check_authentication, needs=("tls",)),
    Check(
        "warehouse",
        "Warehouse",
        45.0,
        _check_warehouse,
        needs=("authentication",),
        waits_for_start=True,
        when_late="start the warehouse under SQL Warehouses in the workspace, then try again",
    ),
    Check("select_1", "SELECT 1", 60.0, _check_select, needs=("warehouse",)),
    Check("namespace", "Catalog and schema", 45.0, _check_namespace, needs=("select_1",)),
    Check("migrations", "Migrations", 60.0, _check_migrations, needs=("namespace",)),
    Check(
        "scratch_table",
        "Scratch table",
        150.0,
        check_scratch_table,
        needs=("namespace",),
        skip_if=_without_write,
    ),
    Check(
        "fallback",
        "Fallback",
        40.0,
        _check_fallback,
        needs=("settings",),
        skip_if=_without_fallback,
    ),
)
"""In the order in which they are run."""


def _ask(connector: DatabricksConnector, path: str) -> Reply:
    return ask(connector, path, timeout=SOCKET_TIMEOUT)


def _failed(failure: Failure | None, reply: Reply) -> Finding:
    if failure is None:
        return Finding(
            Status.FAILED,
            cause=f"The workspace answered with status {reply.status}.",
            next_step="check that DATABRICKS_SERVER_HOSTNAME is the workspace itself",
        )
    return Finding(Status.FAILED, cause=failure.cause, next_step=failure.next_step)


def _refusal(reply: Reply, state: str, target: Target) -> Finding | None:
    """Why the warehouse cannot be used, as far as its state already tells."""
    if state in _GONE:
        said = f"the warehouse is {state}"
        return _failed(refused_by_status(404, said, target), reply)
    if reply.ok:
        return None
    code = str(reply.json().get("error_code") or "")
    unknown = code in ("RESOURCE_DOES_NOT_EXIST", "NOT_FOUND", "INVALID_PARAMETER_VALUE")
    if unknown or reply.status == 400:
        return _failed(refused_by_status(404, reply.message(), target), reply)
    # Whoever may use a warehouse may not always look at it, and a host may not have this question:
    # the session below tells.
    return None


def _open_session(context: Context, state: str, *, in_namespace: bool = True) -> Failure | None:
    """Open the session that later checks use; a warehouse that is asked starts by itself."""
    connector = context.the_connector()
    waits: list[Waiting] = []

    def tell(waiting: Waiting) -> None:
        if not waits:
            left = waiting.budget - waiting.waited
            why = waiting.reason if state in _RUNNING else f"the warehouse is {state}"
            context.progress(f"No session yet, waiting up to {left:.0f} s for it: {why}")
        waits.append(waiting)

    try:
        context.connection = connector.open(
            statement_timeout=STATEMENT_TIMEOUT,
            start_timeout=context.start_budget,
            on_waiting=tell,
            in_namespace=in_namespace,
        )
    except Exception as error:  # noqa: BLE001 - explained, whatever it is
        failure = connector.explain(redact_exception(error))
    else:
        return None
    if failure.kind is not Kind.STARTING:
        return failure
    if state in _RUNNING:
        return Failure(
            Kind.STARTING,
            f"The warehouse has taken no session within {context.start_budget:g} s. "
            f"{failure.cause}",
            "wait until others have less for it to do, or give it more clusters, and try again",
        )
    return Failure(
        Kind.STARTING,
        f"The warehouse was {state} and did not start within {context.start_budget:g} s. "
        f"{failure.cause}",
        "start it under SQL Warehouses in the workspace and try again when it runs, or ask its "
        "owner",
    )
