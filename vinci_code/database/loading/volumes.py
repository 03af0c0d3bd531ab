"""The volume that files of a load are staged in."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy.exc import ArgumentError, DBAPIError

from vinci_code.database.dialect.dberrors import OperationalError, PermissionDenied
from vinci_code.database.dialect.driver.volume_names import FORM, volume_path

if TYPE_CHECKING:
    from sqlalchemy import Connection

OURS = "vinci_load"
"""What a volume is called that loads are staged in without being told to, in the schema that the
connection begins with; and the folder in any volume."""

NO_VOLUME = "UC_VOLUME_NOT_FOUND"
"""The condition of a volume that does not exist."""

_NONE = (
    "no volume was named by volume= or DATABRICKS_VOLUME, and the connection's schema has none "
    f"called {OURS}"
)
_VOLUME = re.compile(r"/Volumes/([^/]+)/([^/]+)/([^/]+)\Z")


@dataclass(frozen=True)
class Volume:
    """A volume.

    Attributes:
        path: Its path, ``/Volumes/catalog/schema/volume``.
    """

    path: str

    @classmethod
    def parse(cls, text: str) -> Volume:
        """The volume by its name, ``catalog.schema.volume``, or by its path.

        Raises:
            ArgumentError: The text is neither.
        """
        path = volume_path(text)
        if path is None:
            raise ArgumentError(f"volume={text!r} names no volume; wanted is {FORM}")
        return cls(path)

    def __str__(self) -> str:
        found = _VOLUME.match(self.path)
        return ".".join(found.groups()) if found else self.path


@dataclass(frozen=True)
class ChosenVolume:
    """The volume that is used, or the reason why there is none.

    Attributes:
        volume: The volume; ``None`` where there is none.
        reason: Why, in words.
    """

    volume: Volume | None
    reason: str


def volume_for(connection: Connection, wanted: str | None) -> ChosenVolume:
    """The volume that a load is to use.

    It is the one that is asked for; else that of the engine (``volume=`` of ``create_engine``,
    ``DATABRICKS_VOLUME``); else the volume ``vinci_load`` of the schema that the connection is in,
    for which the warehouse is asked once.

    Args:
        connection: A connection to Databricks.
        wanted: The volume that the caller asks for.

    Raises:
        ArgumentError: What is asked for names no volume.
        DBAPIError: The warehouse could not be asked.
    """
    if wanted is not None:
        return ChosenVolume(Volume.parse(wanted), "it was asked for")
    dialect: Any = connection.dialect
    if dialect.volume is not None:
        return ChosenVolume(Volume.parse(dialect.volume), "it is that of the engine")
    try:
        found = connection.exec_driver_sql(f"DESCRIBE VOLUME {OURS}").one()
    except DBAPIError as error:
        if getattr(error.orig, "error_class", None) == NO_VOLUME:
            return ChosenVolume(None, _NONE)
        if isinstance(error.orig, OperationalError) and not isinstance(
            error.orig, PermissionDenied
        ):
            raise  # the connection, or time: it says nothing of the volume
        return ChosenVolume(None, f"{_NONE}, as far as it tells: {_first_line(error)}")
    told = found._mapping
    volume = Volume.parse(f"/Volumes/{told['catalog']}/{told['database']}/{told['name']}")
    return ChosenVolume(volume, f"the connection's schema has a volume called {OURS}")


def _first_line(error: DBAPIError) -> str:
    return str(error.orig).partition("\n")[0]
