"""A Databricks SQL warehouse that runs on this machine, for development and tests.

``LocalWarehouse`` serves the vendor's own driver over TLS, with DuckDB behind it; ``Fault`` scripts
what can go wrong.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vinci_code.warehouse.faults import Fault
    from vinci_code.warehouse.local import LocalWarehouse

__all__ = ["Fault", "LocalWarehouse"]


def __getattr__(name: str) -> object:
    # DuckDB, sqlglot and pyarrow are loaded by whoever uses the warehouse, not by importing a part.
    if name == "LocalWarehouse":
        from vinci_code.warehouse.local import LocalWarehouse

        return LocalWarehouse
    if name == "Fault":
        from vinci_code.warehouse.faults import Fault

        return Fault
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
