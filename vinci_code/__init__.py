"""One SQLAlchemy application on SQLite and on Databricks SQL, switched by configuration alone."""

__version__ = "0.1.0"
