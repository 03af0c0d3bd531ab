"""The program that the canary test runs: it sends a secret through every channel there is.

    python -m tests.core.redaction.canary_program CHANNEL …

The settings of the environment hold the secret, and ``CANARY`` says which one it is. Before each
channel it prints ``=== CHANNEL``. With ``CANARY_CONTROL`` set, nothing is masked, so that the test
can show that it would notice.
"""

from __future__ import annotations

import asyncio
import atexit
import base64
import copy
import json
import logging
import os
import pickle
import pprint
import sys
import threading
import traceback
import types
import warnings
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from pydantic import BaseModel

from vinci_code.core import logging_setup, redaction
from vinci_code.core.config import get_settings
from vinci_code.core.redaction import hooks, redact_exception
from vinci_code.core.redaction.text import exact_values
from vinci_code.database import databricks_connector
from vinci_code.database.databricks_connector import DatabricksConnector, create_databricks_engine

if TYPE_CHECKING:
    from databricks.sdk import WorkspaceClient

# Neither has a known shape, so that only the exact value can be what is found; both change when
# they are URL-encoded. In the program they are read from the environment like any secret.
TOKEN = "Vc9/kZ+7qT~pat.Lw3=Rx5_Nf8-Hy2"
SECRET = "Jd4+mQ/8xB~sec.Ty6=Gk1_Pu9-We3"
# Of a user of the application, and in no setting.
USER = "Zb7/uM~usr.Hn4+Kd2_Vs6-Qe9"
SECRETS = {"token": TOKEN, "secret": SECRET, "user": USER}
PLANTED = SECRETS[os.environ.get("CANARY", "token")]

SPELLINGS: dict[str, Callable[[str], str]] = {
    "raw": str,
    "url": partial(quote, safe=""),
    "base64": lambda value: base64.b64encode(f"client:{value}".encode()).decode(),
}
LOGGERS = (
    "vinci_code.database.session",
    "databricks.sql.client",
    "databricks.sdk",
    "urllib3.connectionpool",
    "sqlalchemy.engine.Engine",
    "sqlalchemy.pool.impl.QueuePool",
    "alembic.runtime.migration",
    "asyncio",
    "anything.else",
    "root",
)


class _Plain(BaseModel):
    """What the settings would be if a secret were a string."""

    secret: str = PLANTED


class _Dump(logging.Handler):
    """Prints a record as text and with every field, as JSON formatters do."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            print(self.format(record))
        except TypeError:
            self.handleError(record)
        fields = {name: value for name, value in vars(record).items() if name != "exc_info"}
        print(json.dumps(fields, default=str), fields)
        if isinstance(record.exc_info, tuple):
            print("".join(traceback.format_exception(*record.exc_info)))


# --- logs -----------------------------------------------------------------------------------------


class _Lazy:
    def __init__(self, text: str) -> None:
        self.text = text

    def __str__(self) -> str:
        return f"lazy {self.text}"


def _fail(text: str) -> None:
    try:
        raise KeyError(text)
    except KeyError as error:
        raise RuntimeError("it failed") from error


def _log_exception(log: logging.Logger, text: str) -> None:
    try:
        _fail(text)
    except RuntimeError:
        log.debug("failed", exc_info=True)


STYLES: dict[str, Callable[[logging.Logger, str], None]] = {
    "percent": lambda log, text: log.debug("with %s and %d", text, 3),
    "dict": lambda log, text: log.debug("with %(value)s", {"value": text}),
    "f-string": lambda log, text: log.debug(f"with {text}"),  # noqa: G004
    "object": lambda log, text: log.debug("with %s", _Lazy(text)),
    "extra": lambda log, text: log.debug("here", extra={"header": {"value": text}}),
    "exc_info": _log_exception,
    "stack_info": lambda log, text: log.debug("at %s", text, stack_info=True),
    "broken format": lambda log, text: log.debug("%s and %s", text),
}


def _log(style: str) -> None:
    for name in LOGGERS:
        for spell in SPELLINGS.values():
            STYLES[style](logging.getLogger(name), spell(PLANTED))


# --- what objects show ----------------------------------------------------------------------------


def _subjects() -> dict[str, Any]:
    """Everything that knows a secret, or in the control, what it would be without care."""
    if os.environ.get("CANARY_CONTROL"):
        return {name: _Plain() for name in ("settings", "connector", "engine")}
    from vinci_code.database.sqlite import create_sqlite_engine

    settings = get_settings()
    connector = DatabricksConnector()
    engine = create_sqlite_engine("sqlite:///:memory:")
    return {
        "settings": settings,
        "database settings": settings.database,
        "token": settings.database.databricks_access_token,
        "secret": settings.database.databricks_client_secret,
        "provenance": dict(settings.database.provenance),
        "described": settings.database.describe(),
        "connector": connector,
        "credentials": connector.credentials,
        "header factory": connector.credentials(),
        "connect arguments": connector.connect_arguments(),
        "target": connector.target,
        "connector's fields": vars(connector),
        "engine": engine,
        "engine's URL": engine.url,
        "engine's pool": engine.pool,
    }


def _show_objects() -> None:
    import rich
    from rich.pretty import pretty_repr

    for name, subject in _subjects().items():
        print(name, str(subject), repr(subject), f"{subject}", f"{subject!a}")
        pprint.pprint(subject)
        rich.print(pretty_repr(subject))
        print(json.dumps({name: subject}, default=str), json.dumps([subject], default=repr))


def _dump_models() -> None:
    for name, subject in _subjects().items():
        if isinstance(subject, BaseModel):
            print(name, subject.model_dump(), subject.model_dump(mode="json"), dict(subject))
            print(subject.model_dump_json(), subject.__dict__, copy.copy(subject))
            try:
                print(subject.model_copy(), subject.model_copy(deep=True), copy.deepcopy(subject))
            except TypeError as error:
                print("cannot be copied:", error)


def _pickle_objects() -> None:
    for name, subject in _subjects().items():
        for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
            try:
                print(name, protocol, pickle.dumps(subject, protocol))
            except (TypeError, AttributeError, pickle.PicklingError) as error:
                print(name, protocol, "cannot be pickled:", error)


def _refused_engine() -> None:
    engine = create_databricks_engine(echo="debug")
    print(engine, repr(engine), engine.url, vars(engine.dialect), vars(engine.pool))
    try:
        with engine.connect() as connection:
            connection.exec_driver_sql(f"SELECT '{PLANTED}', ?", (PLANTED,))
    except Exception as error:
        logging.getLogger("vinci_code").exception("failed with %s", error)
        _show_exception(error)
    finally:
        engine.dispose()


# --- exceptions -----------------------------------------------------------------------------------


def _show_exception(error: BaseException) -> None:
    """Show all that any report of an exception shows: its chain, its fields, its locals."""
    print("".join(traceback.format_exception(error)))
    report = traceback.TracebackException.from_exception(error, capture_locals=True)
    print("".join(report.format()))
    waiting: list[BaseException | None] = [error]
    seen: set[int] = set()
    while waiting:
        current = waiting.pop()
        if current is not None and id(current) not in seen:
            seen.add(id(current))
            print(repr(current), str(current), current.args, vars(current))
            waiting += [current.__cause__, current.__context__]


def _refused_connect() -> None:
    with DatabricksConnector() as connector:
        try:
            connector.connect()
        except Exception as error:  # noqa: BLE001
            _show_exception(error)
        else:
            print("the connection was not refused")


def _refused_open() -> None:
    connector = DatabricksConnector()
    for attempt in (connector.open, connector.credentials.headers):
        try:
            attempt()
        except Exception as error:  # noqa: BLE001
            _show_exception(error)


def _validate() -> None:
    from vinci_code.database.databricks_connector import validate_databricks_connection

    print(repr(validate_databricks_connection()), validate_databricks_connection())


def _masked_chain() -> None:
    def connect(password: str) -> None:
        try:
            _fail(f"url https://u:{quote(password, safe='')}@host")
        except RuntimeError as error:
            header = base64.b64encode(f"client:{password}".encode())
            raise OSError(5, f"sent {header!r}", password) from error

    try:
        connect(PLANTED)
    except OSError as error:
        _show_exception(redact_exception(error))


def _sql_statement() -> None:
    from sqlalchemy import text
    from sqlalchemy.exc import SQLAlchemyError

    from vinci_code.database.sqlite import create_sqlite_engine

    engine = create_sqlite_engine("sqlite:///:memory:", echo=True)
    try:
        with engine.connect() as connection:
            connection.execute(text(f"SELECT '{PLANTED}', :p FROM missing"), {"p": PLANTED})
    except SQLAlchemyError as error:
        logging.getLogger("vinci_code").exception("failed with %s", error)
        _show_exception(redact_exception(error))


# --- users ----------------------------------------------------------------------------------------


def _users() -> None:
    """Act for a user: one whom the workspace refuses, and one who is connected."""
    from vinci_code.database import connection_for, create_user_pools

    with create_user_pools(echo="debug") as pools:
        for act in (
            lambda: connection_for(USER),
            lambda: connection_for(f"Bearer {USER}"),
            lambda: pools.connection_for(f"{USER}\n"),
            lambda: pools.session_for(USER).connection(),
            lambda: pools.session_for(f" {USER}"),
            lambda: pools.forget(f"Bearer {USER}"),
        ):
            try:
                act()
            except Exception as error:
                logging.getLogger("vinci_code").exception("failed with %s", error)
                _show_exception(error)
    _connected_user()


def _connected_user() -> None:
    from sqlalchemy import create_engine, event

    from vinci_code.database.users.pools import UserPools

    def make_engine(credentials: Any, pool: dict[str, Any]) -> Any:
        url = "databricks+vinci://localhost?http_path=/sql/1.0/warehouses/abc"
        return create_engine(url, creator=lambda: _Connected(credentials), echo="debug", **pool)

    with UserPools(make_engine) as pools, pools.session_for(USER) as session:
        engine = session.get_bind()
        for name in ("do_connect", "checkout", "checkin", "close"):
            event.listen(engine, name, lambda *args: print(args, list(map(_fields, args))))
        connection = session.connection()
        (user,) = pools._places.all()
        things = [pools, user, user.engine, user.pool, user.credentials, session, connection]
        for thing in things:
            print(thing, repr(thing), _fields(thing))
            try:
                print(pickle.dumps(thing))
            except (TypeError, AttributeError, pickle.PicklingError) as error:
                print("cannot be pickled:", error)
        for name in LOGGERS:
            for spell in SPELLINGS.values():
                logging.getLogger(name).debug("with %s", spell(USER))
        warnings.warn(f"old {USER}", DeprecationWarning, stacklevel=2)
        try:
            raise KeyError(USER)
        except KeyError as error:
            _show_exception(redact_exception(error))


class _Connected:
    """What the pool needs of a connection, and what that was opened with."""

    is_foreign, is_as_found, in_transaction, closed = False, True, False, False
    initial_schema = "default"

    def __init__(self, credentials: Any) -> None:
        self.credentials = credentials
        self.unit: Any = None

    def begin_use(self) -> None: ...

    def observe(self, observer: object) -> None: ...

    def rollback(self) -> None: ...

    def close(self) -> None: ...


def _fields(thing: Any) -> Any:
    return getattr(thing, "__dict__", thing)


# --- the vendor's code ----------------------------------------------------------------------------


def _driver() -> None:
    """Run the vendor's driver, refused and not, with a secret where users put one by mistake."""
    from databricks import sql

    arguments = DatabricksConnector().connect_arguments()
    # By itself it would try for a quarter of an hour where nobody answers.
    bounds = {
        "_socket_timeout": arguments.pop("connect_timeout") / 2,
        "_retry_stop_after_attempts_count": 1,
        "_retry_stop_after_attempts_duration": 40.0,
        "_retry_delay_max": 5.0,
    }
    try:
        connection = sql.connect(**arguments, **bounds)
    except Exception as error:
        logging.getLogger("vinci_code").exception("refused")
        _show_exception(redact_exception(error))
        return
    with connection, connection.cursor() as cursor:
        try:
            cursor.execute(f"SELECT '{PLANTED}', ?", [PLANTED])
        except Exception as error:  # noqa: BLE001
            _show_exception(redact_exception(error))


def _sdk() -> None:
    """Run the vendor's SDK, with the log of its headers switched on."""
    try:
        client = _workspace_client()
        logging.getLogger("vinci_code").debug("%r %s", client.config, client.current_user.me())
    except Exception as error:
        logging.getLogger("vinci_code").exception("refused: %s", error)
        _show_exception(redact_exception(error))


def _workspace_client() -> WorkspaceClient:
    from databricks.sdk import WorkspaceClient
    from databricks.sdk.config import Config

    database = get_settings().database
    given: dict[str, Any] = {"host": f"https://{database.databricks_server_hostname}"}
    if database.databricks_access_token is not None:
        given["token"] = database.databricks_access_token.get_secret_value()
    elif database.databricks_client_secret is not None:
        given["client_id"] = database.databricks_client_id
        given["client_secret"] = database.databricks_client_secret.get_secret_value()
    else:
        given = {"profile": database.databricks_profile}
    more: dict[str, Any] = {
        "http_timeout_seconds": 5,
        "retry_timeout_seconds": 1,
        "debug_headers": True,
        "discovery_url": f"https://{database.databricks_server_hostname}/oidc/"
        ".well-known/oauth-authorization-server",
    }
    return WorkspaceClient(config=Config(**given, **more))


# --- warnings, and the end of the interpreter -----------------------------------------------------


def _warn() -> None:
    warnings.simplefilter("always")
    for spell in SPELLINGS.values():
        warnings.warn(f"old {spell(PLANTED)}", DeprecationWarning, stacklevel=2)
    logging.captureWarnings(True)
    warnings.warn(f"old {PLANTED}", DeprecationWarning, stacklevel=2)
    logging.captureWarnings(False)


def _crash() -> None:
    _fail(" ".join(spell(PLANTED) for spell in SPELLINGS.values()))


def _fail_plainly() -> None:
    raise ValueError(PLANTED)


def _crash_in_thread() -> None:
    thread = threading.Thread(target=_fail_plainly, name="worker")
    thread.start()
    thread.join()


def _crash_at_exit() -> None:
    atexit.register(_fail_plainly)


class _Fragile:
    def __del__(self) -> None:
        _fail_plainly()


def _crash_in_finaliser() -> None:
    fragile = _Fragile()
    del fragile


def _crash_in_finaliser_at_exit() -> None:
    # The hook of sys is called as long as there is a sys: the module outlives this object.
    sys.modules["canary_leftover"] = types.ModuleType("canary_leftover")
    vars(sys.modules["canary_leftover"])["fragile"] = _Fragile()


def _crash_in_task() -> None:
    async def work() -> None:
        _fail(PLANTED)

    async def main() -> None:
        task = asyncio.create_task(work(), name="worker")
        await asyncio.wait([task])

    asyncio.run(main())


# --- the command line -----------------------------------------------------------------------------


def _own_lines() -> None:
    """What ``logging_setup`` writes, in both of its forms, where nobody else has set handlers."""
    root = logging.getLogger()
    others, level = root.handlers[:], root.level
    root.handlers[:] = []
    for as_json in (True, False):
        assert logging_setup(json=as_json)
        for spell in SPELLINGS.values():
            text = spell(PLANTED)
            extra = {"it": text, "deep": [{"of": (text, {text: 1})}], "as": _Lazy(text)}
            logging.getLogger("app").warning("with %s", text, extra=extra, stack_info=True)
            _log_exception(logging.getLogger("app"), text)
    root.handlers[:] = others
    root.setLevel(level)


def _command_line() -> None:
    """Run ``vinci config show``; in the control, a version of it that shows what it should not."""
    from vinci_code.cli import main

    if os.environ.get("CANARY_CONTROL"):
        from vinci_code.core.config import settings

        settings._shown = lambda value: (
            value.get_secret_value() if hasattr(value, "get_secret_value") else str(value)
        )
    sys.argv = ["vinci", "config", "show"]
    print("exit code", main())


CHANNELS: dict[str, Callable[[], None]] = {
    **{f"log, {style}": partial(_log, style) for style in STYLES},
    "objects": _show_objects,
    "models": _dump_models,
    "pickles": _pickle_objects,
    "engine": _refused_engine,
    "refused connect": _refused_connect,
    "refused open": _refused_open,
    "validate": _validate,
    "chain": _masked_chain,
    "SQL": _sql_statement,
    "users": _users,
    "driver": _driver,
    "SDK": _sdk,
    "warnings": _warn,
    "logging_setup": _own_lines,
    "command line": _command_line,
}
# Nothing leaks here even without a mask, so the control needs another leak.
TIGHT = {"users", "engine", "refused connect", "refused open", "validate", "driver", "SDK"}
# Each of these ends the interpreter, or shows when it ends.
CRASHES: dict[str, Callable[[], None]] = {
    "uncaught": _crash,
    "thread": _crash_in_thread,
    "atexit": _crash_at_exit,
    "finaliser": _crash_in_finaliser,
    "finaliser at exit": _crash_in_finaliser_at_exit,
    "task": _crash_in_task,
}


def main(names: list[str]) -> None:
    """Go through the channels that are named."""
    if os.environ.get("CANARY_CONTROL"):
        _take_masks_off()
    get_settings()
    DatabricksConnector()  # a profile is read here
    logging.basicConfig(level=logging.DEBUG, stream=sys.stdout)
    logging.getLogger().addHandler(_Dump())
    for name in names:
        print(f"=== {name}", flush=True)
        if name in TIGHT and os.environ.get("CANARY_CONTROL"):
            print(PLANTED)
        (CHANNELS | CRASHES)[name]()
        sys.stdout.flush()
        sys.stderr.flush()


def _take_masks_off() -> None:
    redaction.forget_secrets()
    vars(exact_values)["add"] = lambda _value, **_named: None
    vars(exact_values)["hold"] = lambda _value: None
    hooks.install = lambda: None
    globals()["redact_exception"] = _unchanged
    databricks_connector.redact_exception = _unchanged  # type: ignore[attr-defined]


def _unchanged(error: BaseException) -> BaseException:
    return error


if __name__ == "__main__":
    main(sys.argv[1:])
