"""Files of volumes as the bodies of requests and answers."""

from __future__ import annotations

from collections.abc import Callable
from email.utils import formatdate

from vinci_code.warehouse.engine import volume_files
from vinci_code.warehouse.engine.volume_files import Entry, VolumeFileError
from vinci_code.warehouse.engine.volume_paths import VolumePath, VolumePathError
from vinci_code.warehouse.engine.volumes import Volumes
from vinci_code.warehouse.sql.errors import SqlError
from vinci_code.warehouse.wire.rest import error_answer
from vinci_code.warehouse.wire.server import HttpAnswer, IncompleteBodyError, Request

_STATUSES = {
    volume_files.NOT_FOUND: (404, "NOT_FOUND"),
    volume_files.ALREADY_EXISTS: (409, "ALREADY_EXISTS"),
    volume_files.NOT_EMPTY: (400, "DIRECTORY_NOT_EMPTY"),
    volume_files.TOO_LARGE: (413, "FILE_TOO_LARGE"),
}


def volume_answer(answer: Callable[[], HttpAnswer]) -> HttpAnswer:
    """The answer, or what went wrong with a path, a volume or a file as an HTTP error."""
    try:
        return answer()
    except VolumePathError as error:
        return error_answer(400, "INVALID_PARAMETER_VALUE", f"Of the path of a file: {error}.")
    except VolumeFileError as error:
        return error_answer(*_STATUSES[error.reason], str(error))
    except SqlError as error:
        # The volume, its schema or its catalog is not there.
        return error_answer(404, "NOT_FOUND", error.message)
    except (IncompleteBodyError, TimeoutError) as error:
        return error_answer(400, "BAD_REQUEST", f"The file has not arrived: {error}.")


def store_body(volumes: Volumes, path: VolumePath, request: Request) -> Entry:
    """Store the body of a request as a file, whole or not at all, in constant memory.

    Raises:
        SqlError: The volume does not exist.
        VolumeFileError: The file is too large, or a directory is in its way.
        IncompleteBodyError: Not all of it has arrived.
    """
    with volumes.upload(path) as upload:
        for piece in request.stream or (request.body,):
            upload.write(piece)
        return upload.finish()


def file_answer(volumes: Volumes, path: VolumePath) -> HttpAnswer:
    """The answer whose body is a file.

    Raises:
        VolumeFileError: There is no such file.
    """
    entry = volumes.file(path)
    # Opened first: what is read is whole, whatever takes its place meanwhile.
    stream = volumes.open(path)
    size = stream.seek(0, 2)
    stream.seek(0)
    modified = 0 if entry is None else entry.modified
    return HttpAnswer(200, headers=file_headers(modified), file=stream, file_size=size)


def file_headers(modified: int) -> dict[str, str]:
    """The headers of a file, but for its length, which every answer has."""
    return {
        "Content-Type": "application/octet-stream",
        "Last-Modified": formatdate(modified / 1000, usegmt=True),
    }
