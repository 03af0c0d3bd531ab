"""Paths of volumes and of the files in them: ``/Volumes/<catalog>/<schema>/<volume>/<path>``.

https://docs.databricks.com/aws/en/sql/language-manual/sql-ref-syntax-aux-connector-put-into names
this form, and the same behind ``dbfs:``. A path is a name and never a place on this machine's disk.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from vinci_code.core.errors import VinciError
from vinci_code.warehouse.engine.names import TableName

ROOT = "/Volumes"
MAX_PATH_BYTES = 1024
"""The longest path within a volume, in UTF-8: the longest key of an object in S3."""

MAX_NAME_BYTES = 255
"""The longest name of a file or directory, in UTF-8."""

_SCHEME = "dbfs:"
_FORBIDDEN = re.compile(r"[\x00-\x1f\x7f\\]")


class VolumePathError(VinciError, ValueError):
    """A text is no path of a volume."""


@dataclass(frozen=True)
class VolumePath:
    """A place in a volume.

    Attributes:
        volume: The volume's full name, in lower case.
        inner: The path within it, without a slash at either end; empty for the volume itself.
    """

    volume: TableName
    inner: str

    def __str__(self) -> str:
        name = self.volume
        whole = f"{ROOT}/{name.catalog}/{name.schema}/{name.name}"
        return f"{whole}/{self.inner}" if self.inner else whole

    def child(self, relative: str) -> VolumePath:
        """Return the place of a relative path below this one.

        Raises:
            VolumePathError: It leads elsewhere, or is none.
        """
        return parse(f"{self}/{relative}")


def parse(text: str) -> VolumePath:
    """Read a path; a slash at its end is allowed.

    Raises:
        VolumePathError: What is wrong with it.
    """
    path = text.removeprefix(_SCHEME)
    if not path.startswith(f"{ROOT}/"):
        raise VolumePathError(f"it begins with {ROOT}/<catalog>/<schema>/<volume>")
    parts = path[len(ROOT) + 1 :].removesuffix("/").split("/")
    if len(parts) < 3:
        raise VolumePathError(f"it names a catalog, a schema and a volume after {ROOT}/")
    for part in parts:
        _check_name(part)
    inner = "/".join(parts[3:])
    if len(inner.encode()) > MAX_PATH_BYTES:
        raise VolumePathError(f"a path within a volume has at most {MAX_PATH_BYTES} bytes")
    return VolumePath(TableName(*(part.lower() for part in parts[:3])), inner)


def _check_name(name: str) -> None:
    if name in ("", ".", ".."):
        raise VolumePathError("none of its names is empty, '.' or '..'")
    if _FORBIDDEN.search(name):
        raise VolumePathError("none of its names has a control character or a backslash")
    try:
        size = len(name.encode())
    except UnicodeEncodeError:
        raise VolumePathError("its names are text in UTF-8") from None
    if size > MAX_NAME_BYTES:
        raise VolumePathError(f"each of its names has at most {MAX_NAME_BYTES} bytes")
