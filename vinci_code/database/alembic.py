"""The ``env.py`` of an application's own Alembic, on the database that the configuration chooses.

All of it::

    from vinci_code.database.alembic import run_migrations

    from shop.models import Base

    run_migrations(Base.metadata)

``alembic upgrade``, ``downgrade``, ``revision --autogenerate``, ``check`` and ``--sql`` then work
on SQLite and on Databricks as they do elsewhere. The application's revisions stand in
``alembic_version``, those of this package in a table of their own; neither knows of the other.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy import Connection, MetaData

from vinci_code.database.table_copies import migrating_on

_IncludeName = Callable[[Any, str, Any], bool]
_RenderItem = Callable[[str, Any, Any], Any]


def run_migrations(metadata: MetaData, **options: Any) -> None:
    """Do what the ``alembic`` command was asked for; to be called by an ``env.py``.

    The connection that ``config.attributes["connection"]`` holds is used where there is one, as
    Alembic's cookbook has it for tests; without, an engine is made from the settings.

    On SQLite all revisions are one transaction, which holds the write lock from its start, and a
    table is changed by being copied (``render_as_batch``); foreign keys act on nothing meanwhile,
    and are checked before the commit. On Databricks, which has no transaction around DDL, others
    that migrate meanwhile wait (``claimed``).

    Args:
        metadata: The tables as the models have them. Those of this package that are not among them
            are left alone by autogenerate.
        **options: What ``context.configure`` takes beside, such as ``compare_type``,
            ``version_table`` or ``include_object``.

    Raises:
        ConfigurationError: The configuration cannot be used.
        SchemaError: On SQLite rows would be left that refer to rows which are not there, or be
            lost with a table that is copied on a connection which enforces foreign keys.
        MigrationRunningError: Another process migrates tables on Databricks, and is not done in
            time, or is dead.
    """
    from alembic import context

    from vinci_code.database.engines import create_configured_engine
    from vinci_code.database.migrations.writing import alone

    given = context.config.attributes.get("connection")
    if given is not None:
        _run_on(given, metadata, options)
        return
    engine = create_configured_engine()
    try:
        if context.is_offline_mode():
            dialect = {"paramstyle": "named"}
            _run(
                metadata,
                {"url": engine.url, "dialect_opts": dialect, "literal_binds": True},
                options,
            )
        else:
            schema = options.get("version_table_schema")
            table = _version_table(options)
            with alone(engine, version_table=table, schema=schema) as connection:
                _run_on(connection, metadata, options)
    finally:
        engine.dispose()


def _run_on(connection: Connection, metadata: MetaData, options: Mapping[str, Any]) -> None:
    if connection.dialect.name == "databricks":
        dialect: Any = connection.dialect
        # Its engine may have been made before Alembic was loaded, which does not know it then.
        dialect.register_migrations()
    if connection.dialect.name == "sqlite":
        with migrating_on(connection):
            _run(metadata, {"connection": connection, "render_as_batch": True}, options)
    else:
        _run(metadata, {"connection": connection}, options)


def _run(metadata: MetaData, place: Mapping[str, Any], options: Mapping[str, Any]) -> None:
    from alembic import context

    claim = f"{_version_table(options)}_claim"
    include_name = _but_ours(metadata, claim, options.get("include_name"))
    context.configure(
        **{
            "target_metadata": metadata,
            "compare_server_default": True,
            **place,
            **options,
            "include_name": include_name,
            "render_item": _with_imports(options.get("render_item")),
        }
    )
    with context.begin_transaction():
        context.run_migrations()


def _but_ours(metadata: MetaData, claim: str, asked: _IncludeName | None) -> _IncludeName:
    """What autogenerate looks at: not the tables of this package, which it would want to drop."""
    from vinci_code.database.migrations import VERSION_TABLE
    from vinci_code.database.models import Base

    theirs = {table.name.lower() for table in metadata.tables.values()}
    ours = {VERSION_TABLE, claim.lower(), *Base.metadata.tables} - theirs

    def include(name: Any, kind: str, parents: Any) -> bool:
        if kind == "table" and name.lower() in ours and not parents.get("schema_name"):
            return False
        return asked is None or asked(name, kind, parents)

    return include


def _with_imports(asked: _RenderItem | None) -> _RenderItem:
    """How autogenerate writes what it finds: a type of this package with the import that it needs.

    Alembic writes ``vinci_code.database.models.types.StrictText()`` and imports nothing for it.
    """

    def render(kind: str, item: Any, context: Any) -> Any:
        found = False if asked is None else asked(kind, item, context)
        module = type(item).__module__
        if found is False and kind == "type" and module.startswith("vinci_code."):
            context.imports.add(f"import {module}")
        return found

    return render


def _version_table(options: Mapping[str, Any]) -> str:
    return str(options.get("version_table", "alembic_version"))
