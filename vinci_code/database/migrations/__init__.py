"""The history of the tables, and the functions that move a database along it.

The revisions stand in ``versions/``; Alembic is loaded only when there is something to do.

Other rooms import from it:

- ``project``: an application's own Alembic project
- ``writing``: the only process and the only thread that migrate
"""

from vinci_code.database.migrations.runner import (
    HEAD,
    VERSION_TABLE,
    MigrationStatus,
    apply_pending,
    downgrade,
    require_head,
    status,
    upgrade,
)

__all__ = [
    "HEAD",
    "VERSION_TABLE",
    "MigrationStatus",
    "apply_pending",
    "downgrade",
    "require_head",
    "status",
    "upgrade",
]
