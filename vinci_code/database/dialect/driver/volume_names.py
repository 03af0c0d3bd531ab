"""Names and paths of volumes.

https://docs.databricks.com/aws/en/volumes/paths has the path; a volume is also named by three
parts, as a table is.
"""

from __future__ import annotations

import re

FORM = "catalog.schema.volume, or /Volumes/catalog/schema/volume"
"""What names a volume."""

_ROOT = "/Volumes/"
# What https://docs.databricks.com/aws/en/sql/language-manual/sql-ref-names forbids in a name.
_PART = re.compile(r"[^./\\\s\x00-\x1f\x7f`'\"]{1,255}")


def volume_path(text: str) -> str | None:
    """The path of a volume that is given by its name or its path; ``None`` where it is neither."""
    given = text.strip()
    path = given.startswith(_ROOT)
    parts = given[len(_ROOT) :].removesuffix("/").split("/") if path else given.split(".")
    parts = [part[1:-1] if part[:1] == part[-1:] == "`" and not path else part for part in parts]
    if len(parts) != 3 or not all(_PART.fullmatch(part) for part in parts):
        return None
    return _ROOT + "/".join(parts)
