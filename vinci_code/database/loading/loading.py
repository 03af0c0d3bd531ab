"""Load what a source gives into a table: all of it, or nothing."""

from __future__ import annotations

from collections.abc import Sequence
from traceback import clear_frames
from typing import Any, Literal, overload

from sqlalchemy import Connection, Engine, inspect
from sqlalchemy.exc import ArgumentError, StatementError

from vinci_code.database.loading.binds import (
    Bind,
    begin_writing,
    checked_bind,
    connection_of,
    require_known,
    require_transaction,
)
from vinci_code.database.loading.creating import table_for
from vinci_code.database.loading.jobs import LoadJob, LoadRequest
from vinci_code.database.loading.results import LoadPlan, LoadResult, Mode, Report
from vinci_code.database.loading.sources import source_of
from vinci_code.database.loading.targets import LoadTarget, reflected, target_of


@overload
def load(
    bind: Any,
    target: Any,
    source: Any,
    *,
    mode: Mode = ...,
    keys: Sequence[str] | None = ...,
    update: Sequence[str] | None = ...,
    enforce_keys: bool = ...,
    create: bool = ...,
    explain: Literal[False] = ...,
    progress: Report | None = ...,
    volume: str | None = ...,
    format: str | None = ...,
    schema: str | None = ...,
) -> LoadResult: ...


@overload
def load(
    bind: Any,
    target: Any,
    source: Any,
    *,
    mode: Mode = ...,
    keys: Sequence[str] | None = ...,
    update: Sequence[str] | None = ...,
    enforce_keys: bool = ...,
    create: bool = ...,
    explain: Literal[True],
    progress: Report | None = ...,
    volume: str | None = ...,
    format: str | None = ...,
    schema: str | None = ...,
) -> LoadPlan: ...


def load(
    bind: Any,
    target: Any,
    source: Any,
    *,
    mode: Mode = "append",
    keys: Sequence[str] | None = None,
    update: Sequence[str] | None = None,
    enforce_keys: bool = True,
    create: bool = False,
    explain: bool = False,
    progress: Report | None = None,
    volume: str | None = None,
    format: str | None = None,  # noqa: A002 - the word for it
    schema: str | None = None,
) -> LoadResult | LoadPlan:
    """Load what a source gives into a table: all of it, or nothing.

    ::

        load(engine, Event, "events-*.parquet", mode="upsert", keys=["event_key"])

    With an engine the load is a transaction of its own. With a connection or a session it is a part
    of the unit of work, which is flushed before; nothing is committed, and what fails leaves the
    unit as it was. On Databricks few rows are held as those of any commit, and many travel as a
    file of Parquet through a volume; ``explain=True`` tells which, and why.

    What is stored is what a commit of the same values would store. Python's column defaults are
    applied, keys that the client makes among them; events of the ORM are not called. NULL of Arrow
    is NULL of SQL, also in a column of JSON. A value that a commit refuses is refused with its row
    and column, and so is one whose type says that it is no value for the column.

    Args:
        bind: An ``Engine``, a ``Connection`` or a ``Session``.
        target: A mapped class, a ``Table``, or the name of a table.
        source: A frame of pandas or polars; a table, a batch, batches or a reader of Arrow, or what
            has ``__arrow_c_stream__``; the path of a Parquet, CSV or JSONL file, a pattern, or a
            list of these; an iterable of mappings, dataclasses or mapped objects.
        mode: ``append`` adds the rows, ``replace`` deletes those that are there, ``upsert`` changes
            those whose key is there, and ``insert_missing`` leaves these as they are.
        keys: What says which row it is, for the last two: the primary key, or columns that are
            declared unique. With ``create``, the primary key of the new table.
        update: What ``upsert`` changes: by default all that is given beside the keys.
        enforce_keys: Whether PRIMARY KEY and UNIQUE are checked on Databricks, which does not do it
            by itself. SQLite checks always.
        create: Whether a table that is not there is made, of the source's types. It needs an
            engine, and the name of a table; where the load fails, the table is dropped again.
        explain: Whether to return what would be done, and do nothing.
        progress: Is called after each portion of rows.
        volume: On Databricks, the volume that files are staged in, as ``catalog.schema.volume``.
        format: ``parquet``, ``csv`` or ``jsonl``, for files whose names do not tell.
        schema: The schema of a table that is given by its name.

    Raises:
        ArgumentError: The arguments do not go together, or names are not those of the table.
        LoadRefusedError: The source is of no known kind, or does not fit the table.
        RowRefusedError: A value cannot be stored.
        InputDataError: A file is damaged.
        MissingExtraError: pyarrow is needed, and not installed.
        DBAPIError: As of ``execute()`` and ``commit()``; ``IntegrityError`` where a key is there.
    """
    on = checked_bind(bind)
    if volume is not None:
        # Not at the top: the names of volumes are Databricks'.
        from vinci_code.database.loading.volumes import Volume

        # Also where the rows are few and need none: tomorrow they are many.
        Volume.parse(volume)
    known = target_of(target, schema)
    request = LoadRequest(
        source_of(source, format, again=explain),
        mode,
        keys,
        update,
        enforce_keys,
        progress,
        volume,
        create,
    )
    try:
        return _loaded(on, target, known, schema, request, explain=explain)
    except StatementError as error:
        # Rows may be secret, and the database's own message tells what it refuses.
        error.hide_parameters = True
        raise
    except Exception:
        raise
    except BaseException as interrupt:
        # SQLAlchemy's frames refer to it, and it to them; with them SQLite's cursor would live on,
        # and the file stay locked, until the garbage is collected.
        clear_frames(interrupt.__traceback__)
        raise


async def load_async(bind: Any, target: Any, source: Any, **options: Any) -> LoadResult | LoadPlan:
    """Load what a source gives into a table, as ``load`` does.

    The source is read in the event loop's thread, between the requests.

    Args:
        bind: An ``AsyncEngine``, an ``AsyncConnection`` or an ``AsyncSession``.
        target: As of ``load``.
        source: As of ``load``.
        **options: As of ``load``.

    Raises:
        ArgumentError: ``bind`` is something else.
        Exception: As of ``load``.
    """
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession
    from sqlalchemy.util import greenlet_spawn

    found: LoadResult | LoadPlan
    if isinstance(bind, AsyncEngine):
        found = await greenlet_spawn(load, bind.sync_engine, target, source, **options)
        return found
    if isinstance(bind, (AsyncConnection, AsyncSession)):
        own: Any = bind
        found = await own.run_sync(load, target, source, **options)
        return found
    raise ArgumentError(
        "load_async() takes an AsyncEngine, an AsyncConnection or an AsyncSession, found a "
        f"{type(bind).__name__}; nothing was loaded\n"
        "To fix it: call load(), where it is one that is not for asyncio."
    )


def _loaded(
    on: Bind,
    target: Any,
    known: LoadTarget | None,
    schema: str | None,
    request: LoadRequest,
    *,
    explain: bool,
) -> LoadResult | LoadPlan:
    """Load on an engine, or within a unit of work."""
    if isinstance(on, Engine):
        require_known(on.dialect)
        if request.create:
            return _created(on, target, schema, request, explain=explain)
        return _by_itself(on, known or _reflected(on, target, schema), request, explain=explain)
    if request.create:
        raise ArgumentError(
            "create=True commits, as DDL does, and a connection or a session has a unit of work of "
            "its own; nothing was loaded\nTo fix it: pass an engine."
        )
    connection = connection_of(on, known)
    job = LoadJob(request, known or reflected(connection, target, schema))
    if explain:
        return job.plan(connection)
    return _within(connection, job)


def _created(
    engine: Engine, name: Any, schema: str | None, request: LoadRequest, *, explain: bool
) -> LoadResult | LoadPlan:
    """Load into a table that is made where it is not there, and dropped again by a failure."""
    if not isinstance(name, str):
        raise ArgumentError(
            "create=True makes a table of a name, and a model or a Table makes its own; nothing "
            "was loaded\nTo fix it: call create_all() of its MetaData."
        )
    with engine.connect() as connection:
        is_there = inspect(connection).has_table(name, schema=schema)
    if is_there:
        return _by_itself(engine, _reflected(engine, name, schema), request, explain=explain)
    target = table_for(name, schema, request.source, request.keys or ())
    if explain:
        return _by_itself(engine, target, request, explain=True)
    target.table.create(engine)
    try:
        return _by_itself(engine, target, request, explain=False)
    except BaseException:
        target.table.drop(engine)
        raise


def _by_itself(
    engine: Engine, target: LoadTarget, request: LoadRequest, *, explain: bool
) -> LoadResult | LoadPlan:
    """Load in a transaction of its own."""
    job = LoadJob(request, target)
    with engine.connect() as connection:
        require_transaction(connection)
        if explain:
            return job.plan(connection)
        with connection.begin():
            outcome = job.run(connection)
    return job.result(outcome)


def _within(connection: Connection, job: LoadJob) -> LoadResult:
    """Load as a part of a unit of work, which a failure leaves as it was."""
    begin_writing(connection, job.table)
    with connection.begin_nested():
        outcome = job.run(connection)
    return job.result(outcome)


def _reflected(engine: Engine, name: str, schema: str | None) -> LoadTarget:
    # In a transaction of its own: SQLite makes no writer of one that has read, once others wrote.
    with engine.connect() as connection:
        return reflected(connection, name, schema)
