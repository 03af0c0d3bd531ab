"""Databricks SQL on the way to DuckDB: reading, types, errors, parameters and translation."""

from __future__ import annotations

from vinci_code.warehouse.sql import sqlglot_parts

# Here, since modules of this part need a sqlglot that is supported to be loaded at all.
sqlglot_parts.check()
