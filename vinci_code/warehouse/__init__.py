"""A Databricks SQL warehouse that runs on this machine, for development and tests.

``LocalWarehouse`` serves the vendor's own driver over TLS, with DuckDB behind it; ``Fault`` scripts
what can go wrong.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vinci_code.warehouse.faults import Fault
    from vinci_code.warehouse.local import LocalWarehouse

__all__ = ["Fault", "LocalWarehouse"]


_HOMES = {
    "Fault": "vinci_code.warehouse.faults",
    "LocalWarehouse": "vinci_code.warehouse.local",
}
# The modules of the extra, and the packages that they are in.
_EXTRA = {
    "cryptography": "cryptography",
    "databricks": "databricks-sql-connector",
    "duckdb": "duckdb",
    "lz4": "lz4",
    "pyarrow": "pyarrow",
    "sqlglot": "sqlglot",
    "thrift": "thrift",
}


def __getattr__(name: str) -> object:
    # DuckDB, sqlglot and pyarrow are loaded by whoever uses the warehouse, not by importing a part.
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        return getattr(importlib.import_module(_HOMES[name]), name)
    except ModuleNotFoundError as error:
        missing = _EXTRA.get((error.name or "").partition(".")[0])
        if missing is None:
            raise
        # Here: pytest loads this package in every project that has it installed.
        from vinci_code.core.errors import MissingExtraError

        raise MissingExtraError("warehouse", "The local warehouse", [missing]) from error
