"""A report for support: what is needed to help, without secrets and without data.

Nothing else is in it than what ``CONTENT`` names. Statements are named by their ids, their kind and
the condition that they failed with: their texts, and the messages of errors, hold values and stay
where they are. ``support_file`` writes it.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import importlib.metadata
import json
import platform
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vinci_code import __version__
from vinci_code.core.config import Settings, get_settings
from vinci_code.core.errors import ConfigurationError, VinciError
from vinci_code.core.redaction import masked_document, redact
from vinci_code.diagnostics.log_errors import errors_of
from vinci_code.diagnostics.runner import run_checks

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from vinci_code.diagnostics.ran import RanStatement

FORMAT = "vinci report 1"
"""What ``manifest.json`` begins with: by this a report is known."""

MANIFEST = "manifest.json"

CONTENT = {
    MANIFEST: "what this is, and the names and sizes of the rest",
    "versions.json": "versions of Python, vinci_code, SQLAlchemy, the driver and the system",
    "settings.json": "the settings in force and where each comes from, secrets masked; or what is "
    "wrong with them",
    "checks.json": "what 'vinci check' finds: host, catalog and who is signed in are named in it",
    "statistics.json": "counters and pools of the engines that were given",
    "errors.json": "the last statements that failed: id, time, kind, condition, SQLSTATE; neither "
    "text nor message",
    "log.json": "the last errors of the log file: time, logger, kind, condition, SQLSTATE, "
    "statement ids; no message",
}
"""What a report holds, in its order: the name of each member, and what is in it."""

SINCE = dt.timedelta(days=7)
"""How far back statements that failed are looked for."""

_ERRORS = 50
_PACKAGES = (
    "vinci-code SQLAlchemy alembic pydantic pydantic-settings typer rich databricks-sql-connector "
    "databricks-sdk pyarrow urllib3 thrift orjson duckdb sqlglot greenlet pandas"
).split()


@dataclass(frozen=True)
class Member:
    """One file of a report.

    Attributes:
        name: Its name in the report.
        what: What is in it, in words.
        content: Its bytes: a JSON document.
    """

    name: str
    what: str
    content: bytes


def planned(*, checks: bool = True, engines: bool = False, log: bool = False) -> list[str]:
    """The names of the members that a report will have, in their order."""
    left_out = {
        *(() if checks else ("checks.json",)),
        *(() if engines else ("statistics.json",)),
        *(() if log else ("log.json",)),
    }
    return [name for name in CONTENT if name not in left_out]


def collect(
    *,
    checks: bool = True,
    engines: Iterable[Engine] = (),
    log: Path | None = None,
    load_settings: Callable[[], Settings] = get_settings,
    on_progress: Callable[[str], None] | None = None,
) -> tuple[Member, ...]:
    """Collect what a report holds; nothing is written.

    Args:
        checks: Whether to run the checks. They open a session, which starts a warehouse that is
            stopped; without them nothing is started.
        engines: Engines of this process, whose counters and pools are to be in it.
        log: A log file whose errors are to be in it, as ``core.logging_setup`` writes them.
        load_settings: Where the settings come from.
        on_progress: Called with a line of text while something is waited for.

    Raises:
        OSError: The log file cannot be read.
    """
    given = list(engines)
    documents: dict[str, Any] = {
        "versions.json": _versions(),
        "settings.json": _settings(load_settings),
    }
    if log is not None:
        documents["log.json"] = {"errors": errors_of(log)}
    if checks:
        found = run_checks(load_settings, on_progress=on_progress)
        documents["checks.json"] = found.as_dict()
    if given:
        documents["statistics.json"] = {"engines": [_engine(engine) for engine in given]}
    documents["errors.json"] = _errors(load_settings)
    members = [
        _member(name, documents[name]) for name in CONTENT if name != MANIFEST and name in documents
    ]
    return (_manifest(members), *members)


def _member(name: str, document: object) -> Member:
    text = json.dumps(masked_document(document), indent=2)
    if redact(text) != text:
        # Each part was masked; what still shows a secret as a whole is not given away.
        text = json.dumps({"left_out": "as a whole it looks like it holds a secret"})
    return Member(name, CONTENT[name], f"{text}\n".encode())


def _manifest(members: Iterable[Member]) -> Member:
    listed = [
        {"name": member.name, "what": member.what, "bytes": len(member.content)}
        for member in members
    ]
    return _member(MANIFEST, {"format": FORMAT, "version": __version__, "members": listed})


def _versions() -> dict[str, Any]:
    packages: dict[str, str | None] = {}
    for name in _PACKAGES:
        try:
            packages[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            packages[name] = None
    return {
        "vinci_code": __version__,
        "python": platform.python_version(),
        "implementation": platform.python_implementation(),
        "system": platform.system(),
        "release": platform.release(),
        "machine": platform.machine(),
        "bits": 64 if sys.maxsize > 2**32 else 32,
        "packages": packages,
    }


def _settings(load_settings: Callable[[], Settings]) -> dict[str, Any]:
    try:
        database = load_settings().database
    except ConfigurationError as error:
        return {"problems": [dataclasses.asdict(problem) for problem in error.problems]}
    return {"settings": [view.model_dump() for view in database.describe()]}


def _engine(engine: Engine) -> dict[str, Any]:
    from vinci_code.database.units_of_work import statistics

    told: dict[str, Any] = {
        "url": engine.url.render_as_string(hide_password=True),
        "pool": engine.pool.status(),
    }
    try:
        counted = statistics(engine)
    except TypeError:
        return {**told, "statistics": None}  # an engine of SQLite
    return {**told, "statistics": dataclasses.asdict(counted)}


def _errors(load_settings: Callable[[], Settings]) -> dict[str, Any]:
    try:
        database = load_settings().database
        if not database.use_databricks:
            return {"statements": [], "note": "SQLite keeps no history of statements"}
        return {"statements": list(_failed_statements(Settings(database=database)))}
    except VinciError as error:
        # The report is for those for whom something does not work.
        return {"statements": [], "note": f"the query history was not shown: {error}"}


def _failed_statements(settings: Settings) -> Iterator[dict[str, Any]]:
    from vinci_code.database.databricks_connector import DatabricksConnector
    from vinci_code.diagnostics.query_history import HistoryQuestion, list_statements, own_user_id
    from vinci_code.diagnostics.ran import FAILED

    since = dt.datetime.now(dt.timezone.utc) - SINCE
    with DatabricksConnector(settings) as connector:
        question = HistoryQuestion(
            since, limit=_ERRORS, user_id=own_user_id(connector), statuses=(FAILED,)
        )
        for ran in list_statements(connector, question).statements:
            yield _failed(ran)


def _failed(ran: RanStatement) -> dict[str, Any]:
    return {
        "statement_id": ran.statement_id,
        "started": None if ran.started is None else ran.started.isoformat(),
        "duration_ms": ran.duration_ms,
        "kind": ran.kind,
        "error_class": ran.error_class,
        "sqlstate": ran.sqlstate,
        "unit": ran.unit,
        "session_id": ran.session_id,
        "client": ran.client,
    }
