"""Running the local warehouse in the foreground, until a signal ends it."""

from __future__ import annotations

import errno
import json
import signal
import sys
import threading
from pathlib import Path
from types import FrameType
from typing import TextIO

from vinci_code.warehouse.clients import as_exports, how_to_connect
from vinci_code.warehouse.faults import read_faults
from vinci_code.warehouse.local import LocalWarehouse
from vinci_code.warehouse.scripts import run_script

RECORD_LIMIT = 10_000
"""How many requests a warehouse in the foreground remembers, since it may run for weeks."""

_OUTPUT = "standard output"


def serve(
    *,
    port: int = 0,
    data: str | Path | None = None,
    transactions: bool = True,
    latency_ms: float = 0.0,
    faults: str | Path | None = None,
    init: str | Path | None = None,
    show: str | None = None,
    as_json: bool = False,
    out: TextIO | None = None,
) -> None:
    """Serve until SIGINT (Ctrl-C) or SIGTERM, then stop with everything written.

    The first output is how to reach the warehouse; it is printed when connections are accepted.

    Args:
        port: The port to listen on; 0 takes a free one.
        data: The file in which tables are kept; ``None`` keeps them in memory.
        transactions: Whether multi-statement transactions are enabled.
        latency_ms: Milliseconds that every request waits.
        faults: A JSON file of scripted faults (see ``vinci_code.warehouse.faults``).
        init: A file of SQL statements that are run before connections are told of.
        show: How which client is pointed at it is printed, one of
            :data:`vinci_code.warehouse.clients.CLIENTS`, instead of the variables.
        as_json: Print one JSON object instead of lines for a shell.
        out: Where to print; standard output by default.

    Raises:
        FaultScriptError: The fault file cannot be understood.
        PortError: The port is taken.
        DatabaseFileError: The file for the tables cannot be used.
        ScriptError: A statement of ``init`` failed.
        OSError: How to reach it cannot be printed.
    """
    stream = sys.stdout if out is None else out
    if stream is None:
        raise OSError(errno.EBADF, "it is closed, and nobody would learn the token", _OUTPUT)
    script = [] if faults is None else read_faults(faults)
    warehouse = LocalWarehouse(
        data,
        port=port,
        transactions=transactions,
        latency=latency_ms / 1000,
        record_limit=RECORD_LIMIT,
    )
    warehouse.faults.add(*script)
    with _Signals() as stopped, warehouse:
        if init is not None:
            run_script(warehouse, Path(init))
        _print(stream, _told(warehouse, show, as_json=as_json))
        stopped.wait()


def _print(stream: TextIO, text: str) -> None:
    try:
        stream.write(text)
        stream.flush()
    except OSError as error:
        raise OSError(error.errno, error.strerror, _OUTPUT) from error


def _told(warehouse: LocalWarehouse, show: str | None, *, as_json: bool) -> str:
    if as_json:
        return _as_json(warehouse)
    return as_exports(warehouse.env) if show is None else how_to_connect(warehouse, show)


class _Signals:
    """Turns SIGINT and SIGTERM into an event, and gives the old handlers back afterwards."""

    _NUMBERS = (signal.SIGINT, signal.SIGTERM)

    def __init__(self) -> None:
        self._stopped = threading.Event()

    def __enter__(self) -> threading.Event:
        self._before = {number: signal.getsignal(number) for number in self._NUMBERS}
        for number in self._NUMBERS:
            signal.signal(number, self._handle)
        return self._stopped

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _handle(self, _number: int, _frame: FrameType | None) -> None:
        self._stopped.set()


def _as_json(warehouse: LocalWarehouse) -> str:
    content = {
        "host": warehouse.host,
        "port": warehouse.port,
        "http_path": warehouse.http_path,
        "token": warehouse.access_token,
        "ca_file": str(warehouse.ca_file),
        "client_id": warehouse.credentials.client_id,
        "client_secret": warehouse.credentials.client_secret,
        "env": warehouse.env,
    }
    return json.dumps(content) + "\n"
