"""The names of execution options, where more than one part of the house uses them."""

from __future__ import annotations

TIMEOUT = "databricks_timeout"
"""The seconds that a statement may take that is sent at once."""

QUERY_TAGS = "query_tags"
"""Query tags of a statement, of a unit of work, or of all statements of an engine; in
``Session.info`` those of a session."""

AT_ONCE = "vinci_at_once"
"""A write is not held, as a migration's: it is DDL for the most part, which is committed as it
runs."""

UPSERT = "vinci_upsert"
"""What an INSERT does with rows whose key is there already."""

EXPECTED = "vinci_expected"
"""Of a flush that is executed again: what its rows are to hold before."""

AS_ARROW = "vinci_as_arrow"
"""The rows of a query are fetched as Arrow, by its cursor."""
