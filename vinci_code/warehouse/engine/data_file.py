"""The file in which tables are kept: whether it can be, before anything of it is changed."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

import duckdb

from vinci_code.core.errors import DatabaseFileError

# https://duckdb.org/docs/stable/internals/storage: behind a checksum of eight bytes.
_MAGIC, _MAGIC_AT = b"DUCK", 8
_OTHER = "name another file with --data; this one is left as it is"


def require_data_file(path: Path) -> None:
    """Refuse a file that DuckDB cannot keep tables in.

    DuckDB would look at what is not its own by an extension, which it would get from the network.

    Raises:
        DatabaseFileError: What is wrong with it, and what to do.
    """
    try:
        if path.is_dir():
            raise _unusable(path, "it is a folder", "name a file in it with --data")
        if not path.exists():
            _require_folder(path)
            return
        if not path.is_file():
            raise _unusable(path, "it is no regular file", _OTHER)
        with path.open("rb") as stream:
            beginning = stream.read(_MAGIC_AT + len(_MAGIC))
    except PermissionError as error:
        raise _not_allowed(path, "read") from error
    except (OSError, ValueError) as error:
        raise _unusable(path, getattr(error, "strerror", None) or str(error), _OTHER) from error
    if beginning and beginning[_MAGIC_AT:] != _MAGIC:
        raise _unusable(path, "it is no file of DuckDB's", _OTHER)
    if not os.access(path, os.W_OK):
        raise _not_allowed(path, "written")


def not_opened(path: Path, error: duckdb.Error) -> DatabaseFileError:
    """The error for a file that is DuckDB's, and that it does not open."""
    said = str(error).splitlines()[0].partition(": ")[2] or str(error)
    return _unusable(
        path,
        f"DuckDB says: {said}",
        "end the process that uses it, if one is named; else put a copy in its place, or name "
        "another file with --data",
    )


def of_another_application(path: Path) -> DatabaseFileError:
    """The error for a file of DuckDB's that holds tables of somebody else."""
    return _unusable(path, "it holds tables that are not a local warehouse's", _OTHER)


def _require_folder(path: Path) -> None:
    folder = path.parent
    if not folder.is_dir():
        made = f"create it (mkdir -p {shlex.quote(str(folder))}), or name another with --data"
        raise _unusable(path, f"the folder {folder} does not exist", made)
    if not os.access(folder, os.W_OK | os.X_OK):
        raise _unusable(
            path,
            f"you may not create files in {folder}",
            f"get the right to (chmod u+rwx {shlex.quote(str(folder))}), or name another folder "
            "with --data",
        )


def _not_allowed(path: Path, what: str) -> DatabaseFileError:
    right = f"get the right to (chmod u+rw {shlex.quote(str(path))}), or name another with --data"
    return _unusable(path, f"it may not be {what} by you", right)


def _unusable(path: Path, why: str, step: str) -> DatabaseFileError:
    return DatabaseFileError(
        f"The tables of the local warehouse cannot be kept in {path}: {why.rstrip('.')}\n"
        f"To fix it: {step}."
    )
