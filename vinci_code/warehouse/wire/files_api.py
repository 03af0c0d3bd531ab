"""The Files API: files and directories of volumes, as ``WorkspaceClient.files`` asks for them.

https://docs.databricks.com/api/workspace/files. Paths, parameters and fields are those that
databricks-sdk-py sends and reads (``service/files.py``). An upload is one request; the SDK's upload
in parts, which it begins with a POST, is refused by name.
"""

from __future__ import annotations

import base64
import binascii
import urllib.parse
from collections.abc import Callable

from vinci_code.warehouse.engine import volume_files
from vinci_code.warehouse.engine.volume_files import Entry, VolumeFileError
from vinci_code.warehouse.engine.volume_paths import VolumePath, VolumePathError
from vinci_code.warehouse.engine.volumes import Volumes
from vinci_code.warehouse.wire.file_answers import (
    file_answer,
    file_headers,
    store_body,
    volume_answer,
)
from vinci_code.warehouse.wire.rest import json_answer, refused
from vinci_code.warehouse.wire.server import HttpAnswer, Request

FILES, DIRECTORIES = "/api/2.0/fs/files", "/api/2.0/fs/directories"

LARGEST_PAGE = 1000
"""How many entries a page of a listing has at most, and without ``page_size``."""


class FilesApi:
    """Answers the requests of the Files API, whose token was checked.

    Args:
        volumes: The volumes and their files.
    """

    def __init__(self, volumes: Volumes) -> None:
        self._volumes = volumes

    def answer(self, request: Request) -> HttpAnswer:
        """Answer a request."""
        return volume_answer(lambda: self._answer(request))

    def _answer(self, request: Request) -> HttpAnswer:
        of_files = request.path.startswith(f"{FILES}/")
        start = FILES if of_files else DIRECTORIES
        action = (_FILE_ACTIONS if of_files else _DIRECTORY_ACTIONS).get(request.method)
        if not request.path.startswith(f"{start}/") or action is None:
            return refused(f"{request.method} of this part of the Files REST API (volumes)")
        # Once: a path that was encoded twice has a percent sign in it.
        text = urllib.parse.unquote(request.path.removeprefix(start), errors="surrogateescape")
        return action(self, request, self._volumes.locate(text))

    # ---- files

    def _upload(self, request: Request, path: VolumePath) -> HttpAnswer:
        overwrite = _only(request, "overwrite").get("overwrite", "true").lower()
        if overwrite not in ("true", "false"):
            raise VolumePathError("overwrite is true or false")
        if overwrite == "false" and self._volumes.file(path) is not None:
            raise VolumeFileError(volume_files.ALREADY_EXISTS, "The file being created exists.")
        store_body(self._volumes, path, request)
        return HttpAnswer(204)

    def _download(self, request: Request, path: VolumePath) -> HttpAnswer:
        _only(request)
        if any(name in request.headers for name in ("range", "if-unmodified-since")):
            return refused("a part of a file, or a condition, in the Files REST API (volumes)")
        return file_answer(self._volumes, path)

    def _describe(self, request: Request, path: VolumePath) -> HttpAnswer:
        _only(request)
        found = self._volumes.file(path)
        if found is None:
            raise VolumeFileError(volume_files.NOT_FOUND, "The file does not exist.")
        return HttpAnswer(200, headers=file_headers(found.modified), head_size=found.size)

    def _remove(self, request: Request, path: VolumePath) -> HttpAnswer:
        _only(request)
        self._volumes.remove(path)
        return HttpAnswer(204)

    # ---- directories

    def _list(self, request: Request, path: VolumePath) -> HttpAnswer:
        given = _only(request, "page_size", "page_token")
        size = _page_size(given.get("page_size"))
        after = _place(given["page_token"]) if given.get("page_token") else ""
        if not self._volumes.is_directory(path):
            raise VolumeFileError(volume_files.NOT_FOUND, "The directory does not exist.")
        entries = [item for item in self._volumes.entries(path) if item.path > after]
        content: dict[str, object] = {"contents": [_entry(path, one) for one in entries[:size]]}
        if len(entries) > size:
            content["next_page_token"] = _token(entries[size - 1].path)
        return json_answer(content)

    def _make_directory(self, request: Request, path: VolumePath) -> HttpAnswer:
        _only(request)
        self._volumes.make_directory(path)
        return HttpAnswer(204)

    def _find_directory(self, request: Request, path: VolumePath) -> HttpAnswer:
        _only(request)
        if not self._volumes.is_directory(path):
            raise VolumeFileError(volume_files.NOT_FOUND, "The directory does not exist.")
        return HttpAnswer(200)

    def _remove_directory(self, request: Request, path: VolumePath) -> HttpAnswer:
        _only(request)
        self._volumes.remove_directory(path)
        return HttpAnswer(204)


_Action = Callable[[FilesApi, Request, VolumePath], HttpAnswer]
_FILE_ACTIONS: dict[str, _Action] = {
    "PUT": FilesApi._upload,
    "GET": FilesApi._download,
    "HEAD": FilesApi._describe,
    "DELETE": FilesApi._remove,
}
_DIRECTORY_ACTIONS: dict[str, _Action] = {
    "GET": FilesApi._list,
    "PUT": FilesApi._make_directory,
    "HEAD": FilesApi._find_directory,
    "DELETE": FilesApi._remove_directory,
}


def _only(request: Request, *known: str) -> dict[str, str]:
    """The parameters of a request, which may be these.

    Raises:
        VolumePathError: There are others.
    """
    unknown = sorted({name for name, _ in request.query} - set(known))
    if unknown:
        raise VolumePathError(f"the parameter {unknown[0][:100]!a} is not known")
    return dict(request.query)


def _page_size(text: str | None) -> int:
    if text is None:
        return LARGEST_PAGE
    if not (text.isascii() and text.isdigit() and 0 < len(text) < 10):
        raise VolumePathError(f"page_size is a whole number, not {text[:100]!a}")
    # Values above are taken as the largest; 0 is no page.
    return min(int(text), LARGEST_PAGE) or LARGEST_PAGE


def _entry(directory: VolumePath, entry: Entry) -> dict[str, object]:
    path = str(VolumePath(directory.volume, entry.path))
    found: dict[str, object] = {
        "path": path,
        "is_directory": entry.is_directory,
        "name": entry.name,
        "last_modified": entry.modified,
    }
    return found if entry.is_directory else {**found, "file_size": entry.size}


def _token(path: str) -> str:
    return base64.urlsafe_b64encode(path.encode()).decode()


def _place(token: str) -> str:
    try:
        return base64.b64decode(token, altchars=b"-_", validate=True).decode()
    except (binascii.Error, ValueError) as error:
        raise VolumePathError("page_token is none that was given out") from error
