"""What Alembic runs for every command: it works on the connection that the runner hands over."""

from __future__ import annotations

from alembic import context

from vinci_code.database.migrations.runner import VERSION_TABLE
from vinci_code.database.models import Base


def _run() -> None:
    """Run the migrations inside the transaction that the runner has opened."""
    connection = context.config.attributes.get("connection")
    if connection is None:
        raise RuntimeError(
            "These migrations are run by 'vinci db upgrade', or by "
            "vinci_code.database.migrations.upgrade(engine), not by the alembic command."
        )
    if connection.dialect.name == "databricks":
        # Its engine was made before Alembic was loaded, which therefore does not know it yet.
        connection.dialect.register_migrations()
    context.configure(
        connection=connection,
        target_metadata=Base.metadata,
        version_table=VERSION_TABLE,
        render_as_batch=connection.dialect.name == "sqlite",
        compare_server_default=True,
    )
    with context.begin_transaction():
        context.run_migrations()


_run()
