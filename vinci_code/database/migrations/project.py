"""An application's own Alembic project, driven with an engine that is given.

Its ``env.py`` has to migrate the connection that it finds in ``config.attributes["connection"]``,
as ``run_migrations`` does: https://alembic.sqlalchemy.org/en/latest/cookbook.html
(sharing a connection across one or more programmatic migration commands).
"""

from __future__ import annotations

import configparser
import shlex
import sqlite3
import traceback
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from vinci_code.core.errors import MigrationsPendingError, SchemaError, VinciError
from vinci_code.core.redaction import redact
from vinci_code.database.dialect import dberrors
from vinci_code.database.migrations.writing import only_thread, writing
from vinci_code.database.sqlite import is_of_file

if TYPE_CHECKING:
    from alembic.config import Config
    from alembic.runtime.migration import MigrationContext
    from alembic.script import ScriptDirectory


class Revision(NamedTuple):
    """A revision of a project: its identifier, and what its file says that it does."""

    revision: str
    message: str


@dataclass(frozen=True)
class ProjectStatus:
    """Where a database stands.

    Attributes:
        current: The revisions that it is at: one, or none before the first migration; several where
            the history has branches.
        heads: The newest revisions of the project.
        pending: The revisions still to be applied, in their order.
    """

    current: tuple[str, ...]
    heads: tuple[str, ...]
    pending: tuple[Revision, ...]

    @property
    def is_current(self) -> bool:
        """Whether nothing is left to do."""
        return not self.pending


class AlembicProject:
    """A project, by the path of its ``alembic.ini``; the file is read when something is asked.

    Every method raises ``SchemaError`` where the file, the ``env.py`` or a revision cannot be used;
    the message names what is wrong, and where.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        # Where its env.py and its revisions are, once that is known.
        self._folder: Path | None = None

    def status(self, engine: Engine) -> ProjectStatus:
        """Say where a database stands, changing nothing."""
        with self._at_work("read the revision"), engine.connect() as connection:
            script, found = self._look(connection)
            return self._status(script, found.heads)

    def apply_pending(self, engine: Engine) -> bool:
        """Apply what is pending, if anything is; return whether anything was.

        Several processes may do this at once: one of them does the work.
        """
        found = self.status(engine)
        self._require_one_head(found)
        return not found.is_current and self.upgrade(engine) != ()

    def require_heads(self, engine: Engine) -> None:
        """Make sure that nothing is pending.

        Raises:
            MigrationsPendingError: Something is; the message names the command that applies it.
        """
        found = self.status(engine)
        self._require_one_head(found)
        if not found.is_current:
            raise MigrationsPendingError(
                f"The tables are at revision {', '.join(found.current) or '(none)'}, and "
                f"{self.path} is at {', '.join(found.heads)}. Migrations are not applied by "
                f"themselves here; apply them: vinci db upgrade --config {self._quoted}"
            )

    def upgrade(self, engine: Engine, revision: str = "head") -> tuple[Revision, ...]:
        """Apply migrations up to ``revision``; return those that were applied, in their order.

        Others that migrate meanwhile wait. On SQLite all of it is one transaction.

        Raises:
            MigrationRunningError: Another process migrates tables on Databricks, and is not done in
                time, or is dead.
            DBAPIError: The database cannot be reached or written: SQLAlchemy's error, as it came.
        """
        from alembic import command

        with self._migrating(engine, f"upgrade to {revision}") as (connection, script, before):
            command.upgrade(self._config(connection), revision)
            after = self._look(connection)[1].heads
            return self._between(script, before, after)

    def downgrade(self, engine: Engine, revision: str) -> tuple[Revision, ...]:
        """Take migrations back down to ``revision``, or ``base``; return those that were.

        Raises:
            Exception: What ``upgrade`` raises.
        """
        from alembic import command

        with self._migrating(engine, f"downgrade to {revision}") as (connection, script, before):
            command.downgrade(self._config(connection), revision)
            after = self._look(connection)[1].heads
            return self._between(script, after, before)[::-1]

    # --- how ------------------------------------------------------------------------------------

    @contextmanager
    def _migrating(
        self, engine: Engine, what: str
    ) -> Iterator[tuple[Connection, ScriptDirectory, tuple[str, ...]]]:
        with self._at_work(what):
            with engine.connect() as connection:
                # Before anything is claimed: whether the project can be used, and by which name
                # another process that migrates it is known.
                _, found = self._look(connection)
            with writing(engine, version_table=found.table, schema=found.schema) as connection:
                script, found = self._look(connection)
                self._status(script, found.heads)
                yield connection, script, found.heads

    def _look(self, connection: Connection) -> tuple[ScriptDirectory, _Found]:
        """Have the ``env.py`` say what it would migrate; nothing is changed."""
        from alembic.runtime.environment import EnvironmentContext
        from alembic.script import ScriptDirectory

        config = self._config(connection)
        script = ScriptDirectory.from_config(config)
        self._folder = Path(script.dir).resolve()
        seen: list[tuple[tuple[str, ...], MigrationContext]] = []

        def see(heads: Any, context: MigrationContext) -> list[Any]:
            seen.append((tuple(heads), context))
            return []

        with EnvironmentContext(config, script, fn=see, dont_mutate=True):
            script.run_env()
        if not seen:
            raise SchemaError(f"its env.py ran no migrations. {self._remedy}")
        if any(context.connection is not connection for _, context in seen):
            raise SchemaError(
                "its env.py migrates a connection of its own, which may be that of another "
                f"database; nothing was changed. {self._remedy}"
            )
        heads, context = seen[-1]
        return script, _Found(heads, context.version_table, context.version_table_schema)

    def _config(self, connection: Connection) -> Config:
        from alembic.config import Config

        if not self.path.is_file():
            raise SchemaError("there is no such file. To fix it: name an alembic.ini.")
        config = Config(str(self.path))
        config.attributes["connection"] = connection
        return config

    def _status(self, script: ScriptDirectory, current: tuple[str, ...]) -> ProjectStatus:
        heads = tuple(script.get_heads())
        known = {one.revision for one in script.walk_revisions()}
        if strange := [one for one in current if one not in known]:
            raise SchemaError(
                f"the database is at revision {', '.join(strange)}, which is not among those of "
                "this project. To fix it: install the release that made it, or use another "
                "database."
            )
        return ProjectStatus(current, heads, self._between(script, current, heads))

    def _between(
        self, script: ScriptDirectory, lower: Iterable[str], upper: Iterable[str]
    ) -> tuple[Revision, ...]:
        """The revisions that ``upper`` has and ``lower`` has not, oldest first."""
        wanted = _with_ancestors(script, upper) - _with_ancestors(script, lower)
        return tuple(
            Revision(one.revision, (one.doc or "").partition("\n")[0].strip())
            for one in reversed(list(script.walk_revisions()))
            if one.revision in wanted
        )

    def _require_one_head(self, found: ProjectStatus) -> None:
        if len(found.heads) > 1:
            raise SchemaError(
                f"{self.path} has {len(found.heads)} newest revisions ({', '.join(found.heads)}), "
                "and which are meant is not known. To fix it: join them (alembic merge heads)."
            )

    @contextmanager
    def _at_work(self, what: str) -> Iterator[None]:
        """Turn what goes wrong in the project's files into an error that names the place."""
        from alembic.util import CommandError

        failed = f"Cannot {what} by {self.path}: "
        with only_thread():
            if self.path in _at_work:
                raise SchemaError(
                    f"{failed}its env.py asks for the tables that it is to make. {self._remedy}"
                )
            _at_work.add(self.path)
            try:
                yield
            except SchemaError as error:
                raise SchemaError(f"{failed}{error}") from error
            except VinciError:
                raise
            except (CommandError, AssertionError) as error:
                # Alembic asserts that a revision is not empty, and that one is above "head+1".
                why = str(error) or "there is no such revision"
                raise SchemaError(redact(f"{failed}{_ended(why)}")) from error
            except (configparser.Error, UnicodeDecodeError) as error:
                why = f"it is not an alembic.ini: {_ended(str(error))}"
                raise SchemaError(redact(failed + why)) from error
            except DBAPIError as error:
                if not _is_of_statement(error):
                    raise
                why = f"{_place(error, self._folder)}{_ended(str(error.orig))}"
                raise SchemaError(redact(f"{failed}{why}")) from error
            except (Exception, SystemExit) as error:
                why = f"{_place(error, self._folder)}{type(error).__name__}: {_ended(str(error))}"
                if isinstance(error, ModuleNotFoundError):
                    why += " To fix it: prepend_sys_path in the alembic.ini names where it is."
                raise SchemaError(redact(f"{failed}{why}")) from error
            finally:
                _at_work.discard(self.path)

    @property
    def _quoted(self) -> str:
        return shlex.quote(str(self.path))

    @property
    def _remedy(self) -> str:
        return (
            "To fix it: have it call vinci_code.database.alembic.run_migrations(Base.metadata), or "
            "configure the connection that is in context.config.attributes['connection']."
        )


class _Found(NamedTuple):
    """What an ``env.py`` works on: the revisions there, and the name of the version table."""

    heads: tuple[str, ...]
    table: str
    schema: str | None


# The projects whose files run now, in the one thread that may use Alembic.
_at_work: set[Path] = set()

# Errors of the warehouse that tell of a statement, and not of the way there.
_OF_STATEMENTS = (
    dberrors.DataError,
    dberrors.IntegrityError,
    dberrors.NotSupportedError,
    dberrors.ProgrammingError,
)


def _is_of_statement(error: DBAPIError) -> bool:
    if isinstance(error.orig, sqlite3.Error):
        return not is_of_file(error)
    return isinstance(error.orig, _OF_STATEMENTS)


def _with_ancestors(script: ScriptDirectory, revisions: Iterable[str]) -> set[str]:
    """Some revisions, and all that they stand on."""
    found: set[str] = set()
    left = list(revisions)
    while left:
        one = script.get_revision(left.pop())
        if one.revision in found:
            continue
        found.add(one.revision)
        for below in (one.down_revision, one.dependencies):
            left += [below] if isinstance(below, str) else below or ()
    return found


def _place(error: BaseException, folder: Path | None) -> str:
    """The file and line of a project that an error comes from; empty where it is none of it."""
    if folder is None:
        return ""
    places = [(frame.filename, frame.lineno) for frame in traceback.extract_tb(error.__traceback__)]
    if isinstance(error, SyntaxError) and error.filename is not None:
        places.append((error.filename, error.lineno))
    for name, line in reversed(places):
        file = Path(name)
        if file.resolve().is_relative_to(folder):
            return f"{file.name}, line {line}: "
    return ""


def _ended(text: str) -> str:
    """A text as the end of a sentence."""
    return f"{text.strip().rstrip('.')}."
