"""What the local warehouse costs, as ratios against peers in the same run.

    python bench/warehouse.py [--rounds N] [--rows N]

1. ``SELECT 1`` through the driver, against the same driver and statement answered by a bare TLS
   server whose replies were made beforehand: the driver's floor.
2. A million rows as Arrow through the driver, against DuckDB to Arrow in this process.
3. A new process until the warehouse accepts connections, against a process that only imports
   DuckDB, pyarrow and the driver.

Rounds of both sides take turns, so that a busy machine slows both down; medians are compared.
"""

from __future__ import annotations

import argparse
import socket
import ssl
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import duckdb
import pyarrow as pa
from databricks import sql
from databricks.sql.client import Connection
from databricks.sql.thrift_api.TCLIService import TCLIService
from databricks.sql.thrift_api.TCLIService import ttypes as _ttypes
from thrift.protocol.TBinaryProtocol import TBinaryProtocol
from thrift.Thrift import TMessageType
from thrift.transport.TTransport import TMemoryBuffer

from vinci_code.warehouse import LocalWarehouse
from vinci_code.warehouse.tls import Identity

ttypes: Any = _ttypes  # generated, without annotations

WARM_UP = 20
HEAD = "HTTP/1.1 200 OK\r\nContent-Type: application/x-thrift\r\nContent-Length: {length}\r\n\r\n"
BATCH = 20

IMPORTS = "import duckdb, pyarrow, databricks.sql.client; print('ready', flush=True)"
START = """
import databricks.sql.client
from vinci_code.warehouse import LocalWarehouse
with LocalWarehouse():
    print('ready', flush=True)
"""

TABLE = """
SELECT id, id * 0.5D AS price, concat('name-', id) AS name, id % 7 = 0 AS lucky,
       timestamp_seconds(id) AS at
FROM range({rows})
"""
# The same columns and values as DuckDB spells them.
DUCKDB_TABLE = """
SELECT range AS id, range * 0.5::DOUBLE AS price, 'name-' || range AS name, range % 7 = 0 AS lucky,
       to_timestamp(range) AS at
FROM range({rows})
"""


def main() -> None:
    """Run the three comparisons and print them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=15, help="rounds of each side (default 15)")
    parser.add_argument("--rows", type=int, default=1_000_000, help="rows to fetch")
    options = parser.parse_args()
    round_trips(options.rounds)
    rows_as_arrow(max(3, options.rounds // 3), options.rows)
    start_up(max(3, options.rounds // 2))


def round_trips(rounds: int) -> None:
    """``SELECT 1``: the local warehouse against the bare server."""
    with (
        LocalWarehouse() as warehouse,
        bare_server() as bare_args,
        sql.connect(**warehouse.connect_args) as real,
        sql.connect(**bare_args) as bare,
    ):
        select_one(real, WARM_UP)
        select_one(bare, WARM_UP)
        times: tuple[list[float], list[float]] = ([], [])
        for _ in range(rounds):
            times[0].extend(select_one(real, BATCH))
            times[1].extend(select_one(bare, BATCH))
    report("SELECT 1, round trip", "warehouse", times[0], "driver's floor", times[1], "ms", 1e3)


def rows_as_arrow(rounds: int, rows: int) -> None:
    """Many rows: the driver against DuckDB in process."""
    local = duckdb.connect()
    local.execute("SET TimeZone = 'UTC'")
    local.execute("CREATE TABLE t AS " + DUCKDB_TABLE.format(rows=rows))
    with (
        LocalWarehouse() as warehouse,
        sql.connect(**warehouse.connect_args) as connection,
        connection.cursor() as cursor,
    ):
        cursor.execute("CREATE TABLE t AS " + TABLE.format(rows=rows))

        def through_driver() -> pa.Table:
            cursor.execute("SELECT * FROM t")
            return cursor.fetchall_arrow()

        def in_process() -> pa.Table:
            return local.execute("SELECT * FROM t").to_arrow_table()

        for fetch in (through_driver, in_process):
            if fetch().num_rows != rows:
                raise SystemExit("The two sides do not fetch the same rows.")
        times = take_turns(through_driver, in_process, rounds)
    local.close()
    report(f"{rows:,} rows as Arrow", "driver", times[0], "DuckDB in process", times[1], "ms", 1e3)
    speed = statistics.median(times[1]) / statistics.median(times[0])
    print(f"    speed against DuckDB in process: {speed:.2f}")


def start_up(rounds: int) -> None:
    """A new process: ready for connections against bare imports."""
    until_ready(START)
    until_ready(IMPORTS)
    times = take_turns(lambda: until_ready(START), lambda: until_ready(IMPORTS), rounds)
    report(
        "Start-up of a process", "warehouse ready", times[0], "bare imports", times[1], "ms", 1e3
    )


def select_one(connection: Connection, times: int) -> list[float]:
    """Seconds of each of several round trips."""
    found = []
    with connection.cursor() as cursor:
        for _ in range(times):
            started = time.perf_counter()
            cursor.execute("SELECT 1")
            cursor.fetchall()
            found.append(time.perf_counter() - started)
    return found


def take_turns(
    one: Callable[[], object], other: Callable[[], object], rounds: int
) -> tuple[list[float], list[float]]:
    """Seconds of both sides, one after the other, round by round."""
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(rounds):
        for side, run in enumerate((one, other)):
            started = time.perf_counter()
            run()
            times[side].append(time.perf_counter() - started)
    return times


def until_ready(program: str) -> None:
    """Start a Python process and wait for its first line."""
    with subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, text=True
    ) as process:
        line = process.stdout.readline() if process.stdout else ""
        if line.strip() != "ready":
            raise SystemExit("The process did not become ready.")
        process.terminate()


def report(
    title: str,
    name: str,
    ours: list[float],
    peer: str,
    theirs: list[float],
    unit: str,
    scale: float,
) -> None:
    """Print medians, the slowest twentieth, and the ratio."""
    print(title)
    width = max(len(name), len(peer))
    for label, times in ((name, ours), (peer, theirs)):
        slow = statistics.quantiles(times, n=20)[-1] if len(times) >= 20 else max(times)
        middle = statistics.median(times)
        figures = f"median {middle * scale:9.2f} {unit}  p95 {slow * scale:9.2f} {unit}"
        print(f"    {label:<{width}}  {figures}  n={len(times)}")
    print(f"    ratio of medians: {statistics.median(ours) / statistics.median(theirs):.2f}")


# --- the bare server -----------------------------------------------------------------------------


@contextmanager
def bare_server() -> Iterator[dict[str, object]]:
    """A TLS server that knows one prepared reply for each call; yields connect arguments."""
    identity = Identity()
    replies = prepared_replies()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(
            target=accept, args=(listener, identity.context, replies), daemon=True
        ).start()
        yield {
            "server_hostname": "localhost",
            "_port": listener.getsockname()[1],
            "http_path": "/sql/1.0/warehouses/bare",
            "access_token": "dapi-bare",
            "_tls_trusted_ca_file": str(identity.ca_file),
            "enable_telemetry": False,
        }
        listener.shutdown(socket.SHUT_RDWR)
    identity.close()


def accept(listener: socket.socket, context: ssl.SSLContext, replies: dict[bytes, bytes]) -> None:
    """Give every connection its thread, until the listener is shut."""
    while True:
        try:
            plain, _ = listener.accept()
        except OSError:
            return
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        secure = context.wrap_socket(plain, server_side=True)
        threading.Thread(target=answer, args=(secure, replies), daemon=True).start()


def answer(connection: ssl.SSLSocket, replies: dict[bytes, bytes]) -> None:
    """Answer request after request on one connection."""
    with connection, connection.makefile("rb") as stream:
        while stream.readline():
            length = 0
            while (line := stream.readline().strip()) != b"":
                name, _, value = line.partition(b":")
                if name.lower() == b"content-length":
                    length = int(value)
            body = stream.read(length)
            # A strict binary message: version (4 bytes), length of the name (4), name, number (4).
            end = 8 + int.from_bytes(body[4:8], "big")
            reply = replies[body[8:end]]
            reply = reply[:end] + body[end : end + 4] + reply[end + 4 :]
            head = HEAD.format(length=len(reply))
            connection.sendall(head.encode() + reply)


def prepared_replies() -> dict[bytes, bytes]:
    """The fewest calls that the driver makes for a session and a statement with an empty result."""
    done = ttypes.TStatus(statusCode=ttypes.TStatusCode.SUCCESS_STATUS)
    identifier = ttypes.THandleIdentifier(guid=b"0" * 16, secret=b"1" * 16)
    version = ttypes.TProtocolVersion.SPARK_CLI_SERVICE_PROTOCOL_V8
    column = ttypes.TColumnDesc(
        columnName="1",
        position=1,
        typeDesc=ttypes.TTypeDesc(
            types=[ttypes.TTypeEntry(ttypes.TPrimitiveTypeEntry(ttypes.TTypeId.INT_TYPE))]
        ),
    )
    metadata = ttypes.TGetResultSetMetadataResp(
        status=done,
        schema=ttypes.TTableSchema([column]),
        resultFormat=ttypes.TSparkRowSetType.ARROW_BASED_SET,
        lz4Compressed=False,
        arrowSchema=pa.schema([("1", pa.int32())]).serialize().to_pybytes(),
    )
    execute = ttypes.TExecuteStatementResp(
        status=done,
        operationHandle=ttypes.TOperationHandle(
            operationId=identifier, operationType=0, hasResultSet=True
        ),
        directResults=ttypes.TSparkDirectResults(
            operationStatus=ttypes.TGetOperationStatusResp(
                status=done, operationState=ttypes.TOperationState.FINISHED_STATE
            ),
            resultSetMetadata=metadata,
            resultSet=ttypes.TFetchResultsResp(
                status=done,
                hasMoreRows=False,
                results=ttypes.TRowSet(startRowOffset=0, rows=[], arrowBatches=[]),
            ),
            closeOperation=ttypes.TCloseOperationResp(status=done),
        ),
    )
    session = ttypes.TOpenSessionResp(
        status=done,
        serverProtocolVersion=version,
        sessionHandle=ttypes.TSessionHandle(sessionId=identifier, serverProtocolVersion=version),
        canUseMultipleCatalogs=True,
    )
    return {
        b"OpenSession": framed("OpenSession", session),
        b"ExecuteStatement": framed("ExecuteStatement", execute),
        b"CloseOperation": framed("CloseOperation", ttypes.TCloseOperationResp(status=done)),
        b"CloseSession": framed("CloseSession", ttypes.TCloseSessionResp(status=done)),
    }


def framed(method: str, reply: object) -> bytes:
    """A reply as the body of an HTTP response."""
    buffer = TMemoryBuffer()
    protocol = TBinaryProtocol(buffer)
    protocol.writeMessageBegin(method, TMessageType.REPLY, 0)
    getattr(TCLIService, f"{method}_result")(reply).write(protocol)
    protocol.writeMessageEnd()
    value: bytes = buffer.getvalue()
    return value


if __name__ == "__main__":
    main()
