"""The vendor's driver as the type checker takes it: as it comes.

Its annotations stop half-way (functions without any, ``Row | None`` where a row is certain), so its
objects are ``Any`` in the tests that prove how it behaves.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import databricks.sql
import databricks.sql.parameters
import databricks.sql.thrift_api.TCLIService.ttypes

Connection: TypeAlias = Any
Cursor: TypeAlias = Any

sql: Any = databricks.sql
parameters: Any = databricks.sql.parameters
ttypes: Any = databricks.sql.thrift_api.TCLIService.ttypes
