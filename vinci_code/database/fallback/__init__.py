"""Going on locally while the warehouse is away, and bringing everything there afterwards.

``DATABRICKS_FALLBACK=sqlite`` switches it on for ``vinci_code.database.session``; an application
with an engine of its own calls ``with_fallback``. Nothing is loaded before it is asked for: the
modules of the journal know nothing of SQLAlchemy.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vinci_code.database.fallback.fallback import Fallback
    from vinci_code.database.fallback.making import FallbackSessions, with_fallback
    from vinci_code.database.fallback.states import DatabaseState

__all__ = ["DatabaseState", "Fallback", "FallbackSessions", "with_fallback"]

_HOME = {
    "DatabaseState": "states",
    "Fallback": "fallback",
    "FallbackSessions": "making",
    "with_fallback": "making",
}

if not TYPE_CHECKING:  # or every name that is not there would be one of any type

    def __getattr__(name: str) -> Any:
        if name not in _HOME:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
