"""Databricks SQL on the way to DuckDB: reading, types, errors, parameters and translation."""
