"""How Alembic changes tables here, what it compares, and how a broken revision is taken up."""
