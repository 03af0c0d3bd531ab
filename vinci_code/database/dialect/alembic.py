"""Migrations with Alembic.

Importing this module tells Alembic how tables are changed on Databricks. Creating an engine does
that by itself where Alembic is loaded already, as it is in an ``env.py``; where an engine that was
made before is handed to Alembic, import it::

    import vinci_code.database.dialect.alembic

What differs from other databases:

- Columns are renamed and dropped only where they are mapped by name: the table property
  ``delta.columnMapping.mode`` is set first, where it is not yet; in the same way the properties for
  column defaults and for wider types are set where a change needs them.
- A column is added without its default and may be NULL; its default, the values of the rows that
  are there already, and NOT NULL follow, so that it ends as on SQLite.
- Plain indexes are left out, unique ones are UNIQUE constraints.
- There is no transaction around DDL. A revision that was interrupted between two of its statements
  is taken up where it ended: see ``migrations.progress``, ``settle_interrupted``. What a revision
  writes over ``op.get_bind()`` is held, and sent before its next operation; it is not written down,
  and is sent again.
- Two processes must not migrate at once: ``claimed`` lets one in and has the others wait.
- ``alembic revision --autogenerate`` also compares ``databricks_tblproperties=`` and
  ``databricks_cluster_by=`` of the tables that declare them. Properties that Delta keeps for itself
  (``delta.…``) are compared where they are declared, others also where they are not.
"""

from __future__ import annotations

from vinci_code.database.dialect.migrations import names  # noqa: F401 - registers a comparator
from vinci_code.database.dialect.migrations.changes import ChangingImpl
from vinci_code.database.dialect.migrations.claim import MigrationRunningError, claimed
from vinci_code.database.dialect.migrations.compare import ComparingImpl
from vinci_code.database.dialect.migrations.layout import LayoutOp
from vinci_code.database.dialect.migrations.progress import settle_interrupted

__all__ = [
    "LayoutOp",
    "MigrationRunningError",
    "VinciImpl",
    "claimed",
    "register",
    "settle_interrupted",
]


class VinciImpl(ChangingImpl, ComparingImpl):
    """Runs and compares migrations on Databricks."""

    __dialect__ = "databricks"
    transactional_ddl = False


def register() -> None:
    """Have Alembic use this implementation, whoever has registered another one since."""
    # Alembic takes note of a class when it is made.
    type("VinciImpl", (VinciImpl,), {"__dialect__": VinciImpl.__dialect__})
