"""From SQLAlchemy's constructs to the SQL of Databricks."""
