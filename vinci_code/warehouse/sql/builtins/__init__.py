"""The functions of Databricks SQL that the local warehouse computes, and those it knows by name.

``FUNCTIONS`` is the allow-list; each module registers the functions of one subject. ``DOCUMENTED``
holds the other functions of
https://docs.databricks.com/aws/en/sql/language-manual/sql-ref-functions-builtin-alpha, which are
refused by name instead of being unknown.
"""

from __future__ import annotations

from vinci_code.warehouse.sql.builtins import (
    aggregates,
    collections,
    conditionals,
    datetimes,
    json,
    numbers,
    strings,
    windows,
)
from vinci_code.warehouse.sql.builtins.documented import DOCUMENTED
from vinci_code.warehouse.sql.builtins.registry import FUNCTIONS

__all__ = [
    "DOCUMENTED",
    "FUNCTIONS",
    "aggregates",
    "collections",
    "conditionals",
    "datetimes",
    "json",
    "numbers",
    "strings",
    "windows",
]
