"""What is on the warehouse, as SQLAlchemy's inspector tells it."""
