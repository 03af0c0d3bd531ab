"""The file of a report for support: a zip that is its owner's alone, complete or not there.

The same report makes the same bytes: members have no time of their own. It is written beside its
place and put there when it is complete. Nothing is replaced but an earlier report.
"""

from __future__ import annotations

import json
import os
import stat
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from vinci_code.core.errors import ReportFileError
from vinci_code.diagnostics.support import FORMAT, MANIFEST, Member

_NO_TIME = (1980, 1, 1, 0, 0, 0)  # the earliest that the format has
_PRIVATE = 0o600
_LARGEST_MANIFEST = 1024 * 1024


def refuse_file(path: Path, *, replace: bool) -> None:
    """See whether a report may be written there, before anything is collected for it.

    Args:
        path: The file.
        replace: Whether an earlier report may be replaced.

    Raises:
        ReportFileError: It may not; the message says why.
    """
    if path.suffix.lower() != ".zip":
        raise ReportFileError(f"{path} is no name of a zip file", "name one that ends with .zip")
    if not path.parent.is_dir():
        raise ReportFileError(f"the folder {path.parent} is not there", "name one that is there")
    if not os.path.lexists(path):
        return
    if not replace:
        raise ReportFileError(
            f"{path} is there already",
            "name another file; an earlier report is replaced by --force",
        )
    if path.is_symlink() or not path.is_file() or not _is_report(path):
        raise ReportFileError(
            f"{path} is no report of 'vinci report', and is not replaced", "name another file"
        )


def write_report(path: Path, members: Iterable[Member], *, replace: bool = False) -> None:
    """Write a report, readable by its owner alone.

    Args:
        path: The file, whose name ends with ``.zip``.
        members: What ``support.collect`` gave.
        replace: Whether an earlier report may be replaced; never anything else.

    Raises:
        ReportFileError: The file may not be written.
        OSError: It cannot be written.
    """
    refuse_file(path, replace=replace)
    with _beside(path) as unfinished:
        with _private(unfinished) as stream:
            _pack(stream, members)
        if replace:
            refuse_file(path, replace=True)
            unfinished.replace(path)
        else:
            _put(unfinished, path)


def _pack(stream: IO[bytes], members: Iterable[Member]) -> None:
    with zipfile.ZipFile(stream, "w") as packed:
        for member in members:
            entry = zipfile.ZipInfo(member.name, _NO_TIME)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.create_system = 3  # Unix, wherever it is written
            entry.external_attr = (stat.S_IFREG | _PRIVATE) << 16
            packed.writestr(entry, member.content)


@contextmanager
def _beside(path: Path) -> Iterator[Path]:
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.unfinished")
    try:
        yield unfinished
    finally:
        with suppress(FileNotFoundError):
            unfinished.unlink()


@contextmanager
def _private(path: Path) -> Iterator[IO[bytes]]:
    with suppress(FileNotFoundError):
        path.unlink()  # of a process of the same number that was killed
    number = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _PRIVATE)
    with open(number, "wb") as stream:  # noqa: PTH123 - its number
        yield stream
        stream.flush()
        os.fsync(number)  # or a crash could leave the name without the content


def _put(unfinished: Path, path: Path) -> None:
    """Give the file its name, unless somebody was quicker."""
    try:
        os.link(unfinished, path)
    except FileExistsError:
        raise ReportFileError(f"{path} has come meanwhile", "name another file") from None
    except OSError:
        # A file system without links: there a file that comes in this very moment is replaced.
        refuse_file(path, replace=False)
        unfinished.replace(path)


def _is_report(path: Path) -> bool:
    try:
        with zipfile.ZipFile(path) as packed:
            entry = packed.getinfo(MANIFEST)
            if entry.file_size > _LARGEST_MANIFEST:
                return False
            manifest = json.loads(packed.read(entry))
    except (OSError, KeyError, ValueError, RecursionError, RuntimeError, zipfile.BadZipFile):
        return False
    return isinstance(manifest, dict) and manifest.get("format") == FORMAT
