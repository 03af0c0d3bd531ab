"""The two ends of a copy: a SQLite file, the configured Databricks, or any URL of SQLAlchemy's."""

from __future__ import annotations

import re
import sqlite3
import unicodedata
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import quote

from sqlalchemy import Engine, create_engine
from sqlalchemy.engine.url import URL, make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError

from vinci_code.core.config import DatabaseSettings, Settings, get_settings
from vinci_code.core.errors import CopyRefusedError, DatabaseFileError
from vinci_code.core.redaction import register_secret
from vinci_code.database.sqlite import create_sqlite_engine, file_of

DATABRICKS = "databricks"
"""The word for the warehouse that the settings name."""

Use = Literal["read", "written", "planned"]
"""What a place is for: it is read, it is written to, or a plan asks what it has."""


@dataclass(frozen=True)
class CopyEnd:
    """A database that is copied from, or to.

    Attributes:
        name: What it is called in a report, with no secret in it.
        backend: Which of the databases that can be copied it is.
        engine: The engine on it.
        is_ours: Whether the engine was made here, and is disposed of here.
        made: The file that is made by writing to it, where it was not there.
    """

    name: str
    backend: Literal["sqlite", "databricks", "other"]
    engine: Engine
    is_ours: bool
    made: Path | None = None

    def close(self) -> None:
        """Give back what was opened here; a file that was made, and is empty, is taken away."""
        if self.is_ours:
            self.engine.dispose()
        if self.made is not None and self.made.is_file() and _is_empty(self.made):
            self.made.unlink()


def hidden(given: str | Path | URL | Engine) -> str | Path | URL | Engine:
    """The same, with a URL as an object of which no password is seen in a traceback's frames.

    Raises:
        CopyRefusedError: SQLAlchemy cannot read the URL.
    """
    if not isinstance(given, str) or "://" not in given:
        return given
    try:
        given = make_url(given)
    except (ArgumentError, ValueError):
        given = ""
    if isinstance(given, str):
        raise CopyRefusedError(
            ["a URL that SQLAlchemy cannot read; to fix it: write it as sqlite:///FILE"]
        )
    return given


def place_of(
    given: str | Path | URL | Engine,
    use: Use,
    *,
    settings: Settings | DatabaseSettings | None = None,
) -> CopyEnd:
    """Find a database; nothing is contacted.

    Args:
        given: The word ``databricks``, the name of a SQLite file, a URL, or an engine.
        use: What it is for. A file that is not written to is opened for reading alone, and one
            that a plan looks at may be missing: it is empty then.
        settings: The settings of ``databricks`` instead of those of the environment.

    Raises:
        CopyRefusedError: It is none that can be copied.
        ConfigurationError: The settings cannot be used.
        DatabaseFileError: The SQLite file is not there.
    """
    given = hidden(given)
    if isinstance(given, Engine):
        return _of_engine(given)
    if isinstance(given, Path):
        given = URL.create("sqlite", database=str(given))
    if isinstance(given, str) and given.lower() == DATABRICKS:
        return _configured(settings)
    url = _url_of(given)
    _register_secrets(url)
    if url.get_backend_name() == "sqlite" and url.get_driver_name() in ("", "pysqlite"):
        return _sqlite(url, use)
    return _other(url)


def require_two(source: CopyEnd, target: CopyEnd) -> None:
    """Refuse to copy a database into itself.

    Raises:
        CopyRefusedError: Both are one.
    """
    files = [file_of(one.engine.url) for one in (source, target) if one.backend == "sqlite"]
    if source.engine is target.engine or (len(files) == 2 and are_one(*files)):
        raise CopyRefusedError([f"{source.name}: it is the source and the target"])
    if source.backend == target.backend != "sqlite" and source.name == target.name:
        raise CopyRefusedError([f"{source.name}: it is the source and the target"])


def are_one(first: Path | None, second: Path | None) -> bool:
    """Whether two names are, or would be, those of one file: also by a link, or by way of others.

    Of a file that is not there yet it is not known whether letter case matters: it is taken not to.
    """
    if first is None or second is None:
        return False
    try:
        return first.samefile(second)
    except OSError:
        names = [
            unicodedata.normalize("NFC", str(one.resolve())).casefold() for one in (first, second)
        ]
        return names[0] == names[1]


def files_of(given: str | Path | URL | Engine) -> list[Path]:
    """The files in which SQLite keeps a database; none of another one."""
    given = hidden(given)
    if isinstance(given, Engine):
        url = given.url
    elif isinstance(given, str) and given.lower() == DATABRICKS:
        return []
    else:
        url = _url_of(str(given) if isinstance(given, Path) else given)
    path = file_of(url) if url.get_backend_name() == "sqlite" else None
    if path is None:
        return []
    # https://www.sqlite.org/tempfiles.html
    ends = ("", "-journal", "-wal", "-shm")
    return [Path(f"{one}{end}") for one in (path, path.resolve()) for end in ends]


def shown(given: str | Path | URL | Engine) -> str:
    """What a database is called in a message: of a URL without its password and its options."""
    given = given.url if isinstance(given, Engine) else hidden(given)
    return _shown_url(given) if isinstance(given, URL) else str(given)


def _shown_url(url: URL) -> str:
    # An option may be a secret too, or a whole connection string with one in it.
    return url.set(query={}).render_as_string(hide_password=True)


def _url_of(given: str | URL) -> URL:
    if isinstance(given, URL):
        return given
    return URL.create("sqlite", database=given)


def _register_secrets(url: URL) -> None:
    """Have the password of a URL masked, and the options that hold one by their names."""
    if url.password:
        register_secret(str(url.password))
    for name, value in url.query.items():
        if re.search("pass|pwd|secret|token|key|connect|auth", name, re.IGNORECASE):
            for one in (value,) if isinstance(value, str) else value:
                register_secret(one)


def _sqlite(url: URL, use: Use) -> CopyEnd:
    path = file_of(url)
    if path is None:
        raise CopyRefusedError(
            ["a SQLite database in memory ends with its process; to fix it: name a file"]
        )
    name = f"SQLite, {path}"
    if use != "written":
        if not path.is_file() and use == "planned":
            return CopyEnd(name, "sqlite", create_sqlite_engine("sqlite://"), is_ours=True)
        if not path.is_file():
            raise DatabaseFileError(
                f"The SQLite file {path} does not exist. To fix it: name the file of a database."
            )
        # https://www.sqlite.org/uri.html: nothing of it is changed, its journal mode neither.
        only_read = {"mode": "ro", "uri": "true"}
        url = URL.create("sqlite", database=f"file:{quote(str(path))}", query=only_read)
    made = path if use == "written" and not path.exists() else None
    return CopyEnd(name, "sqlite", create_sqlite_engine(url), is_ours=True, made=made)


def _is_empty(path: Path) -> bool:
    """Whether a SQLite file has no table."""
    with closing(sqlite3.connect(path)) as connection:
        found = connection.execute("SELECT name FROM sqlite_master LIMIT 1").fetchone()
    return found is None


def _configured(settings: Settings | DatabaseSettings | None) -> CopyEnd:
    from vinci_code.database.databricks_connector import create_databricks_engine
    from vinci_code.database.models.types import dump_json

    found = get_settings() if settings is None else settings
    own = found.database if isinstance(found, Settings) else found
    engine = create_databricks_engine(own, json_serializer=dump_json)
    return CopyEnd(_named(engine), "databricks", engine, is_ours=True)


def _of_engine(engine: Engine) -> CopyEnd:
    if engine.dialect.name == "sqlite" and engine.dialect.driver == "pysqlite":
        path = file_of(engine.url)
        name = "SQLite, in memory" if path is None else f"SQLite, {path}"
        return CopyEnd(name, "sqlite", engine, is_ours=False)
    if hasattr(engine.dialect, "held_by"):
        return CopyEnd(_named(engine), "databricks", engine, is_ours=False)
    return _of_other(engine, is_ours=False)


def _other(url: URL) -> CopyEnd:
    """A database of which SQLAlchemy knows the dialect, and whose driver is installed."""
    shown = _shown_url(url)
    if url.get_backend_name() in ("databricks", "sqlite"):
        refusal = (
            f"{shown}: it is not known by its URL, found {url.drivername}; to fix it: name a "
            "SQLite file, sqlite:///FILE, or the word databricks, which stands for the warehouse "
            "that the settings name"
        )
        raise CopyRefusedError([refusal])
    try:
        engine = create_engine(url)
    except NoSuchModuleError:
        refusal = (
            f"{shown}: SQLAlchemy knows no dialect {url.drivername}; to fix it: install the "
            "package that brings it"
        )
        raise CopyRefusedError([refusal]) from None
    except ImportError as error:
        missing = f" ({error.name})" if error.name else ""
        refusal = f"{shown}: its driver{missing} is not installed; to fix it: install it with pip"
        raise CopyRefusedError([refusal]) from None
    except ArgumentError as error:
        raise CopyRefusedError([f"{shown}: {error}; to fix it: change the URL"]) from None
    return _of_other(engine, is_ours=True)


def _of_other(engine: Engine, *, is_ours: bool) -> CopyEnd:
    dialect = engine.dialect
    if dialect.is_async or dialect.name in ("databricks", "sqlite"):
        refusal = (
            f"an engine of {dialect.name}+{dialect.driver}: it is asynchronous, or another driver "
            "for a database that is read by one; to fix it: use sqlite+pysqlite, "
            "databricks+vinci, or a driver without asyncio"
        )
        raise CopyRefusedError([refusal])
    return CopyEnd(_other_name(engine.url), "other", engine, is_ours=is_ours)


def _other_name(url: URL) -> str:
    """What the database is called: without user, password and options."""
    host = f"{url.host or ''}{f':{url.port}' if url.port else ''}"
    return ", ".join(one for one in (url.get_backend_name(), host, url.database or "") if one)


def _named(engine: Engine) -> str:
    url = engine.url
    parts = [str(url.query[name]) for name in ("catalog", "schema") if name in url.query]
    port = "" if url.port in (None, 443) else f":{url.port}"
    return ", ".join([f"Databricks, {url.host}{port}", *([".".join(parts)] if parts else [])])
