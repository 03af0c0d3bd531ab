"""Going on locally while the warehouse is away, and bringing everything there afterwards.

``DATABRICKS_FALLBACK=sqlite`` switches it on for ``vinci_code.database.session``; an application
with an engine of its own calls ``with_fallback``. Nothing is loaded before it is asked for: the
modules of the journal know nothing of SQLAlchemy.

Other rooms import from it:

- ``away``: whether an error says that the warehouse is away
- ``belonging``: which warehouse and which application a file belongs to
- ``journal``: what was committed while the warehouse was away
- ``making``: sessions with a fallback
- ``mirror``: copies of the warehouse's tables
- ``records``: units in the journal, and their bytes
- ``replay``: the way back to the warehouse
- ``salvage``: what is whole of a damaged journal
- ``states``: where units of work go
- ``telling``: what a unit in the journal would write, for people
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
