"""Volumes and their files by path, for statements and for whoever serves files."""

from __future__ import annotations

from typing import BinaryIO

from vinci_code.warehouse.engine import volume_paths
from vinci_code.warehouse.engine.catalog import CatalogStore
from vinci_code.warehouse.engine.model import Volume
from vinci_code.warehouse.engine.names import TableName
from vinci_code.warehouse.engine.volume_files import Entry, Upload, VolumeFiles
from vinci_code.warehouse.engine.volume_paths import VolumePath
from vinci_code.warehouse.sql.errors import SqlError


class Volumes:
    """The volumes of an engine, with their files; safe to use from several threads.

    Attributes:
        files: The files by the ids of volumes.
    """

    def __init__(self, catalogs: CatalogStore, files: VolumeFiles) -> None:
        self.files = files
        self._catalogs = catalogs

    def volume(self, name: TableName) -> Volume:
        """Return a volume.

        Raises:
            SqlError: ``UC_VOLUME_NOT_FOUND``, or that its schema or catalog is not there.
        """
        found = self._catalogs.schema(name.catalog, name.schema).volumes.get(name.name)
        if found is None:
            raise volume_not_found(name)
        return found

    def locate(self, text: str) -> VolumePath:
        """Read the text of a path in a volume that exists.

        Raises:
            VolumePathError: It is no path of a volume.
            SqlError: The volume does not exist.
        """
        path = volume_paths.parse(text)
        self.volume(path.volume)
        return path

    def file(self, path: VolumePath) -> Entry | None:
        """Return a file, or ``None``.

        Raises:
            SqlError: The volume does not exist; so do all methods below.
        """
        return self.files.file(self._id(path), path.inner)

    def is_directory(self, path: VolumePath) -> bool:
        """Return whether it is the path of a directory; that of a volume is one."""
        return self.files.is_directory(self._id(path), path.inner)

    def entries(self, path: VolumePath) -> list[Entry]:
        """Return what lies immediately in a directory, by name."""
        return self.files.entries(self._id(path), path.inner)

    def all_files(self, path: VolumePath) -> list[Entry]:
        """Return every file below a directory, however deep, by path."""
        return self.files.all_files(self._id(path), path.inner)

    def open(self, path: VolumePath) -> BinaryIO:
        """Open a file for reading.

        Raises:
            VolumeFileError: ``NOT_FOUND``.
        """
        return self.files.open(self._id(path), path.inner)

    def upload(self, path: VolumePath) -> Upload:
        """Begin a file.

        Raises:
            VolumeFileError: ``ALREADY_EXISTS``: a directory is in its way.
        """
        number = self._id(path)
        return self.files.upload(number, path.inner, lambda: self._check(path, number))

    def remove(self, path: VolumePath) -> None:
        """Remove a file.

        Raises:
            VolumeFileError: ``NOT_FOUND``.
        """
        self.files.remove(self._id(path), path.inner)

    def make_directory(self, path: VolumePath) -> None:
        """Make a directory, unless there is one.

        Raises:
            VolumeFileError: ``ALREADY_EXISTS``: a file is in its way.
        """
        number = self._id(path)
        self.files.make_directory(number, path.inner, lambda: self._check(path, number))

    def remove_directory(self, path: VolumePath) -> None:
        """Remove an empty directory.

        Raises:
            VolumeFileError: ``NOT_FOUND`` or ``NOT_EMPTY``.
        """
        self.files.remove_directory(self._id(path), path.inner)

    def _id(self, path: VolumePath) -> str:
        return self.volume(path.volume).id

    def _check(self, path: VolumePath, number: str) -> None:
        if self._id(path) != number:  # dropped, and made anew
            raise volume_not_found(path.volume)


def volume_not_found(name: TableName) -> SqlError:
    """Return ``UC_VOLUME_NOT_FOUND``."""
    return SqlError(
        "UC_VOLUME_NOT_FOUND",
        "42704",
        f"Volume {name.quoted} does not exist. Please use 'SHOW VOLUMES' to list available "
        "volumes.",
    )
