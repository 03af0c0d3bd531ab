"""The SQLAlchemy dialect for Databricks SQL: ``create_engine("databricks+vinci://…")``."""
