"""One SQLAlchemy application on SQLite and on Databricks SQL, switched by configuration alone."""

__all__ = ["__version__"]

__version__ = "0.1.0"
