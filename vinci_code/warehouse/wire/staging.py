"""The transfers that PUT, GET and REMOVE ask a client for: URLs that are all the right they need.

A statement is answered with one row, whose columns databricks-sql-connector reads as attributes
(``client.py``, ``_handle_staging_operation``), and a mark in the result's metadata. The client then
sends PUT, GET or DELETE to the URL in it, with the row's headers and without a token.

Such a URL is bound to its method and its path, and is good until it expires, as often as it is
asked, like one of a cloud's storage: a PUT that is repeated replaces the file. Its query string is
the secret. It stands nowhere but in the row; the request log keeps paths alone.
"""

from __future__ import annotations

import json
import secrets
import time
import urllib.parse

from vinci_code.warehouse.engine.result import Result, StagingRequest, rows_result, text_columns
from vinci_code.warehouse.engine.volumes import Volumes
from vinci_code.warehouse.wire import presigned
from vinci_code.warehouse.wire.file_answers import file_answer, store_body, volume_answer
from vinci_code.warehouse.wire.server import HttpAnswer, Request

PREFIX = "/staging"

LIFETIME_SECONDS = 900
"""How long a URL is good. What a workspace's are is not documented."""

_METHODS = {"PUT": "PUT", "GET": "GET", "REMOVE": "DELETE"}


class Staging:
    """Makes the URLs, and answers those who have one.

    Args:
        volumes: The volumes and their files.

    Attributes:
        base_url: The server's address, ``https://localhost:PORT``; known once it listens.
    """

    def __init__(self, volumes: Volumes) -> None:
        self._volumes = volumes
        self._key = secrets.token_bytes(32)
        self.base_url = ""

    def rows(self, result: Result) -> Result:
        """The row that tells a client what to do; any other result as it is."""
        request = result.staging
        if request is None:
            return result
        row = [request.operation, self._url(request), json.dumps(_headers(request))]
        columns = text_columns("operation", "presignedUrl", "headers")
        if request.local_file is not None:
            row.append(request.local_file)
            columns += text_columns("localFile")
        made = rows_result("STAGING", columns, [row])
        made.staging = request
        return made

    def check(self, request: Request) -> HttpAnswer | None:
        """The refusal of a request whose URL was not made here for it; ``None`` lets it pass."""
        method, path, now = request.method, request.path, time.time() * 1000
        try:
            presigned.check(self._key, method, path, request.query, now)
        except presigned.LinkError as error:
            return _forbidden(str(error))
        return None

    def answer(self, request: Request) -> HttpAnswer:
        """Transfer or remove the file of a request that was checked."""
        return volume_answer(lambda: self._transfer(request))

    def _transfer(self, request: Request) -> HttpAnswer:
        path = self._volumes.locate(urllib.parse.unquote(request.path.removeprefix(PREFIX)))
        if request.method == "PUT":
            store_body(self._volumes, path, request)
            return HttpAnswer(200)
        if request.method == "DELETE":
            self._volumes.remove(path)
            return HttpAnswer(204)
        return file_answer(self._volumes, path)

    def _url(self, request: StagingRequest) -> str:
        path = PREFIX + urllib.parse.quote(str(request.path))
        expires = int((time.time() + LIFETIME_SECONDS) * 1000)
        query = presigned.sign(self._key, _METHODS[request.operation], path, expires)
        return f"{self.base_url}{path}?{query}"


def is_staging(path: str) -> bool:
    """Whether a request is for a URL of a transfer."""
    return path.startswith(f"{PREFIX}/")


def operation_of(method: str) -> str:
    """What the request log, and a fault, calls a transfer."""
    return f"{method} {PREFIX}"


def takes_file(method: str, path: str) -> bool:
    """Whether the body of a request is a file."""
    return method == "PUT" and (is_staging(path) or path.startswith("/api/2.0/fs/files/"))


def _headers(request: StagingRequest) -> dict[str, str]:
    return {"Content-Type": "application/octet-stream"} if request.operation == "PUT" else {}


def _forbidden(reason: str) -> HttpAnswer:
    return HttpAnswer(403, reason.encode(), {"Content-Type": "text/plain"})
