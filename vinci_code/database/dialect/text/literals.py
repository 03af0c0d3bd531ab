"""Text as a literal that stays on one line, for DDL."""

from __future__ import annotations

# Databricks reads backslashes in a literal, and joins neighbouring literals, so that '' is no way
# to write a quote: https://docs.databricks.com/aws/en/sql/language-manual/data-types/string-type
_ESCAPES = str.maketrans({"\\": "\\\\", "'": "\\'", "\0": "\\u0000", "\n": "\\n", "\r": "\\r"})


def quote_text(value: str) -> str:
    """Return a string literal that means exactly this text."""
    return f"'{value.translate(_ESCAPES)}'"
