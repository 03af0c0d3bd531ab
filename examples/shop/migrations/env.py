"""What the ``alembic`` command does, on the database that the environment names."""

from shop.models import Base

from vinci_code.database.alembic import run_migrations

run_migrations(Base.metadata)
