"""PUT, GET and REMOVE: the client transfers a file itself, and is told where to and where from.

https://docs.databricks.com/aws/en/sql/language-manual/sql-ref-syntax-aux-connector-put-into and the
pages beside it. The error classes are those that the tests of databricks-sql-python expect
(``tests/e2e/common/uc_volume_tests.py``), which name no SQLSTATE.
"""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa

from vinci_code.warehouse.engine.reader import Reader
from vinci_code.warehouse.engine.result import Result, StagingRequest, text_columns
from vinci_code.warehouse.engine.volume_paths import VolumePath, VolumePathError
from vinci_code.warehouse.engine.work import Work
from vinci_code.warehouse.sql.errors import SqlError, unsupported

INPUT_STREAM = "__input_stream__"
"""The local file of a PUT whose bytes the client has at hand."""

_INVALID = "22023"  # invalid parameter value


def put(work: Work, reader: Reader) -> Result:
    """Run ``PUT 'local' INTO 'path' [OVERWRITE]``."""
    reader.expect("PUT")
    local = reader.string()
    reader.expect("INTO")
    text = reader.string()
    overwrite = reader.accept("OVERWRITE")
    reader.end()
    _require_local_file("PUT", local)
    path = _file_path(work, "PUT", text)
    if work.room.volumes.is_directory(path):
        raise _invalid_path("PUT", text, "a directory is there")
    if not overwrite and work.room.volumes.file(path) is not None:
        raise SqlError(
            "FILE_IN_STAGING_PATH_ALREADY_EXISTS",
            _INVALID,
            f"File in staging path {path} already exists but OVERWRITE is not set.",
        )
    return _result(StagingRequest("PUT", path, local))


def get(work: Work, reader: Reader) -> Result:
    """Run ``GET 'path' TO 'local'``; whether the file is there is found by the transfer."""
    reader.expect("GET")
    text = reader.string()
    reader.expect("TO")
    local = reader.string()
    reader.end()
    _require_local_file("GET", local)
    return _result(StagingRequest("GET", _file_path(work, "GET", text), local))


def remove(work: Work, reader: Reader) -> Result:
    """Run ``REMOVE 'path'``; whether the file is there is found by the request that removes it."""
    reader.expect("REMOVE")
    text = reader.string()
    reader.end()
    return _result(StagingRequest("REMOVE", _file_path(work, "REMOVE", text), None))


def _file_path(work: Work, operation: str, text: str) -> VolumePath:
    try:
        path = work.room.volumes.locate(text)
    except VolumePathError as error:
        raise _invalid_path(operation, text, str(error)) from error
    except SqlError as error:
        if error.error_class != "NO_SUCH_CATALOG_EXCEPTION":
            raise
        # The words that the driver's tests expect of a path.
        name = text.partition("/Volumes/")[2].partition("/")[0]
        raise SqlError(
            error.error_class, error.sqlstate, f"NOT_FOUND: Catalog '{name}' does not exist."
        ) from error
    if not path.inner or text.endswith("/"):
        raise _invalid_path(operation, text, "it names no file")
    return path


def _require_local_file(operation: str, local: str) -> None:
    if not local:
        raise SqlError(
            "EMPTY_LOCAL_FILE_IN_STAGING_ACCESS_QUERY",
            _INVALID,
            f"Empty local file in staging {operation} query.",
        )


def _invalid_path(operation: str, text: str, reason: str) -> SqlError:
    return SqlError(
        "INVALID_STAGING_PATH_IN_STAGING_ACCESS_QUERY",
        _INVALID,
        f"Invalid staging path in staging {operation} query: {text}. Of the path of a file in a "
        f"volume: {reason}.",
    )


def _result(request: StagingRequest) -> Result:
    return Result(text_columns("operation"), _NoRows(), None, "STAGING", staging=request)


class _NoRows(Iterator[pa.RecordBatch]):
    """What is read where nobody has told a client what to do."""

    def __next__(self) -> pa.RecordBatch:
        raise unsupported("PUT, GET or REMOVE without a client that transfers the file")
