"""A local warehouse in a process of its own, for tests that fork theirs.

In the process that forks, the warehouse's threads may hold a lock of OpenSSL just then: of the
children of such a process one in some hundred waited for it in ``ssl.SSLContext()`` for ever.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from vinci_code.warehouse import LocalWarehouse


@contextmanager
def served_elsewhere() -> Iterator[tuple[str, dict[str, Any]]]:
    """Serve a warehouse in another process.

    Yields:
        Its URL for SQLAlchemy, and the arguments to connect with.
    """
    with served_process() as (url, arguments, _):
        yield url, arguments


@contextmanager
def served_process() -> Iterator[tuple[str, dict[str, Any], int]]:
    """Serve a warehouse in another process.

    Yields:
        Its URL for SQLAlchemy, the arguments to connect with, and the number of the process.
    """
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(theirs,))
    process.start()
    try:
        url, arguments = ours.recv()
        assert process.pid is not None
        yield url, arguments, process.pid
    finally:
        ours.send("stop")
        process.join()


def _serve(pipe: Any) -> None:
    with LocalWarehouse(record_limit=64) as warehouse:
        url = (
            f"databricks+vinci://{warehouse.host}:{warehouse.port}?http_path={warehouse.http_path}"
        )
        arguments = {
            "access_token": warehouse.access_token,
            "_tls_trusted_ca_file": str(warehouse.ca_file),
        }
        pipe.send((url, arguments))
        pipe.recv()
