"""Autogenerate by the names of the models, where the warehouse stores them in small letters.

Alembic compares names letter by letter, and hands those of the database to ``include_name``. So
what is reflected is given to it by the names of the models, from the list of schemas on.
"""

from __future__ import annotations

from typing import Any

from alembic.autogenerate import comparators
from sqlalchemy import Table

from vinci_code.database.dialect.reflection import spelling

# Until 1.18, Alembic runs the comparators of a dialect, or else those of all.
_RUNS_ALL = not hasattr(comparators, "uselist")


@comparators.dispatch_for("schema", qualifier="databricks")
def _spell_names(context: Any, changes: Any, schemas: set[str | None]) -> None:
    """Have the names that are reflected from here on spelled as those of the models."""
    if getattr(context.dialect, "inspector", None) is spelling.SpellingInspector:
        _spell(context, schemas)
    if not _RUNS_ALL:
        comparators.dispatch("schema")(context, changes, schemas)


def _spell(context: Any, schemas: set[str | None]) -> None:
    default = context.dialect.default_schema_name
    tables = context.sorted_tables
    spelling.refuse_same_names(tables, default)
    known = spelling.spelling_of(context.dialect, tables, apart=True)
    migration = context.migration_context
    known.add(migration.version_table_schema, migration.version_table)
    inspector = context.inspector
    inspector.info_cache[spelling.KEY] = known
    # What is in the default schema is reflected without a schema.
    inspector.info_cache[_MODELS] = {
        (None if table.schema == default else table.schema, table.name): table for table in tables
    }
    # Under another name than the stored one a schema was not asked for yet.
    for name, written in known.schemas.items():
        if written == name:
            continue
        if name == default:
            schemas.add(written)
        elif context.opts.get("include_schemas") and inspector.has_schema(name):
            schemas.discard(name)
            if context.run_name_filters(written, "schema", {}):
                schemas.add(written)


def model_of(inspector: Any, table: Table) -> Table | None:
    """The table of the models that a reflected one is compared with."""
    models = inspector.info_cache.get(_MODELS, {})
    found: Table | None = models.get((table.schema, table.name))
    return found


_MODELS = ("vinci", "models")
