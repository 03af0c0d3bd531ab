"""What the local warehouse costs, as ratios against peers in the same run.

    python bench/warehouse.py [--rounds N] [--rows N]

1. ``SELECT 1`` through the driver, against the same driver and statement answered by a bare TLS
   server whose replies were made beforehand: the driver's floor.
2. A million rows as Arrow through the driver, against DuckDB to Arrow in this process, and against
   the same driver reading the warehouse's own replies from a tape: what the driver costs by itself.
   The rows come inline; ``cloud_fetch.py`` measures those that come by links.
3. Ten thousand rows inserted behind a guard of the primary key, and as many updated by MERGE behind
   a guard of their version, each one statement through the driver that carries the rows as JSON:
   against DuckDB in this process, which inserts and updates the same rows from the same JSON and
   guards nothing.
4. A new process until the warehouse accepts connections, against a process that only imports
   DuckDB, pyarrow and the driver.

Rounds of both sides take turns, so that a busy machine slows both down; medians are compared.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import socket
import ssl
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from http.client import HTTPSConnection
from typing import Any, TypeAlias

import duckdb
import pyarrow as pa
from databricks import sql
from databricks.sql.client import Connection, Cursor
from databricks.sql.thrift_api.TCLIService import TCLIService
from databricks.sql.thrift_api.TCLIService import ttypes as _ttypes
from thrift.protocol.TBinaryProtocol import TBinaryProtocol
from thrift.Thrift import TMessageType
from thrift.transport.TTransport import TMemoryBuffer

from vinci_code.warehouse import LocalWarehouse
from vinci_code.warehouse.wire.tls import LoopbackCertificate

ttypes: Any = _ttypes  # generated, without annotations

# What a bare server answers to a call: its method and its whole message.
Replies: TypeAlias = Callable[[bytes, bytes], bytes]

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


WRITTEN = 10_000
WRITTEN_TABLE = """
CREATE TABLE written (id BIGINT NOT NULL, name STRING, amount DECIMAL(38,18), moment TIMESTAMP,
  day DATE, raw BINARY, ok BOOLEAN, x DOUBLE, ver BIGINT, CONSTRAINT pk PRIMARY KEY (id))
"""
INSERT = """
INSERT INTO written (id, name, amount, moment, day, raw, ok, x, ver)
WITH s AS (SELECT inline(from_json({payload}, 'array<struct<a:bigint,b:string,c:string,d:string,
  e:string,f:string,g:boolean,h:string,i:bigint>>', map('mode', 'FAILFAST'))))
SELECT s.a, s.b, CAST(s.c AS DECIMAL(38,18)), CAST(s.d AS TIMESTAMP), CAST(s.e AS DATE),
  unbase64(s.f), s.g, CAST(s.h AS DOUBLE), s.i FROM s
WHERE (SELECT raise_error(concat('duplicate key ', CAST(t.id AS STRING)))
       FROM written t JOIN s ON t.id = s.a LIMIT 1) IS NULL
"""
MERGE = """
MERGE INTO written t USING (
  WITH s AS (SELECT inline(from_json({payload}, 'array<struct<a:bigint,v:bigint,n:string>>',
    map('mode', 'FAILFAST'))))
  SELECT * FROM s WHERE (
    SELECT raise_error(concat('stale row ', CAST(s.a AS STRING)))
    FROM s LEFT ANTI JOIN written t ON t.id = s.a AND t.ver = s.v LIMIT 1) IS NULL
) AS s ON t.id = s.a AND t.ver = s.v WHEN MATCHED THEN UPDATE SET ver = s.v + 1, name = s.n
"""
DUCKDB_WRITTEN_TABLE = """
CREATE TABLE written (id BIGINT NOT NULL, name VARCHAR, amount DECIMAL(38,18), moment TIMESTAMPTZ,
  day DATE, raw BLOB, ok BOOLEAN, x DOUBLE, ver BIGINT)
"""
DUCKDB_INSERT = """
INSERT INTO written SELECT r.a, r.b, r.c, r.d, r.e, from_base64(r.f), r.g, r.h, r.i FROM (
  SELECT unnest(from_json_strict(CAST($1 AS JSON), '[{"a":"BIGINT","b":"VARCHAR",
    "c":"DECIMAL(38,18)","d":"TIMESTAMPTZ","e":"DATE","f":"VARCHAR","g":"BOOLEAN","h":"DOUBLE",
    "i":"BIGINT"}]')) AS r)
"""
DUCKDB_UPDATE = """
UPDATE written SET ver = r.v + 1, name = r.n FROM (
  SELECT unnest(from_json_strict(CAST($1 AS JSON),
    '[{"a":"BIGINT","v":"BIGINT","n":"VARCHAR"}]')) AS r)
WHERE id = r.a AND ver = r.v
"""


def main() -> None:
    """Run the comparisons and print them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=15, help="rounds of each side (default 15)")
    parser.add_argument("--rows", type=int, default=1_000_000, help="rows to fetch")
    options = parser.parse_args()
    round_trips(options.rounds)
    rows_as_arrow(max(3, options.rounds // 3), options.rows)
    set_writes(options.rounds)
    start_up(max(3, options.rounds // 2))


def round_trips(rounds: int) -> None:
    """``SELECT 1``: the local warehouse against the bare server."""
    with (
        LocalWarehouse() as warehouse,
        bare_server(prepared_replies()) as bare_args,
        sql.connect(**warehouse.connect_args) as real,
        sql.connect(**bare_args) as bare,
    ):
        select_one(real, WARM_UP)
        select_one(bare, WARM_UP)
        times: tuple[list[float], list[float]] = ([], [])
        for _ in range(rounds):
            times[0].extend(select_one(real, BATCH))
            times[1].extend(select_one(bare, BATCH))
    report("SELECT 1, round trip", "warehouse", times[0], "driver's floor", times[1])


def rows_as_arrow(rounds: int, rows: int) -> None:
    """Many rows: the driver against DuckDB in process, and against the driver's own cost."""
    local = duckdb.connect()
    local.execute("SET TimeZone = 'UTC'")
    local.execute("CREATE TABLE t AS " + DUCKDB_TABLE.format(rows=rows))
    with LocalWarehouse() as warehouse, ExitStack() as stack:
        tape = Tape(warehouse)
        taped_args = stack.enter_context(bare_server(tape.record, warehouse))
        cursors = [
            stack.enter_context(
                # Inline: links are good for the result that they were given for, and no other.
                stack.enter_context(sql.connect(**args, use_cloud_fetch=False)).cursor()
            )
            for args in (warehouse.connect_args, taped_args)
        ]
        cursors[0].execute("CREATE TABLE t AS " + TABLE.format(rows=rows))
        fetch(cursors[1])
        tape.rewind()
        sides: list[Callable[[], pa.Table]] = [
            lambda: fetch(cursors[0]),
            lambda: local.sql("SELECT * FROM t").to_arrow_table(),
            lambda: fetch(cursors[1]),
        ]
        if {side().num_rows for side in sides} != {rows}:
            raise SystemExit("The sides do not fetch the same rows.")
        ours, in_process, taped = take_turns(sides, rounds)
    local.close()
    title = f"{rows:,} rows as Arrow"
    report(title, "through the driver", ours, "DuckDB in process", in_process)
    report(title, "through the driver", ours, "driver with a tape", taped)
    for peer, times in (("DuckDB in process", in_process), ("the driver with a tape", taped)):
        print(f"    speed against {peer}: {statistics.median(times) / statistics.median(ours):.2f}")


def set_writes(rounds: int) -> None:
    """Thousands of rows in one statement, inserted and updated, against DuckDB from JSON."""
    inserted = [written_row(number) for number in range(WRITTEN)]
    updated = [{"a": number, "v": 1, "n": f"new{number}"} for number in range(WRITTEN)]
    with (
        LocalWarehouse() as warehouse,
        sql.connect(**warehouse.connect_args) as connection,
        connection.cursor() as cursor,
        duckdb.connect() as local,
    ):
        local.execute("SET TimeZone = 'UTC'")
        cursor.execute(WRITTEN_TABLE)
        local.execute(DUCKDB_WRITTEN_TABLE)
        insert = INSERT.format(payload=payload(inserted))
        merge = MERGE.format(payload=payload(updated))
        times: list[list[float]] = [[], [], [], []]
        for _ in range(rounds):
            cursor.execute("TRUNCATE TABLE written")
            local.execute("TRUNCATE written")
            sides: list[Callable[[], object]] = [
                lambda: cursor.execute(insert),
                lambda: local.execute(DUCKDB_INSERT, [json.dumps(inserted)]),
                lambda: cursor.execute(merge),
                lambda: local.execute(DUCKDB_UPDATE, [json.dumps(updated)]),
            ]
            for found, taken in zip(take_turns(sides, 1), times, strict=True):
                taken.extend(found)
        check = "SELECT count(*), sum(ver), max(name), sum(amount) FROM written"
        cursor.execute(check)
        if tuple(cursor.fetchall()[0]) != local.execute(check).fetchall()[0]:
            raise SystemExit("The sides do not write the same rows.")
    report(f"INSERT of {WRITTEN:,} rows, guarded", "warehouse", times[0], "DuckDB", times[1])
    report(f"MERGE of {WRITTEN:,} rows, guarded", "warehouse", times[2], "DuckDB", times[3])


def written_row(number: int) -> dict[str, object]:
    """One row as JSON carries it."""
    return {
        "a": number,
        "b": f"näme '{number}'",
        "c": f"{number}.5",
        "d": "2024-01-01 00:00:00.000001+00:00",
        "e": "2024-02-29",
        "f": base64.b64encode(b"\0\xff%d" % number).decode(),
        "g": number % 2 == 0,
        "h": repr(number / 7),
        "i": 1,
    }


def payload(rows: object) -> str:
    """A literal that holds rows as JSON."""
    text = base64.b64encode(json.dumps(rows).encode()).decode()
    return f"decode(unbase64('{text}'), 'UTF-8')"


def start_up(rounds: int) -> None:
    """A new process: ready for connections against bare imports."""
    until_ready(START)
    until_ready(IMPORTS)
    ready, imported = take_turns([lambda: until_ready(START), lambda: until_ready(IMPORTS)], rounds)
    report("Start-up of a process", "warehouse ready", ready, "bare imports", imported)


def fetch(cursor: Cursor) -> pa.Table:
    """The whole table through the driver."""
    cursor.execute("SELECT * FROM t")
    return cursor.fetchall_arrow()


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


def take_turns(sides: Sequence[Callable[[], object]], rounds: int) -> list[list[float]]:
    """Seconds of every side, one after the other, round by round."""
    times: list[list[float]] = [[] for _ in sides]
    for _ in range(rounds):
        for side, run in enumerate(sides):
            started = time.perf_counter()
            run()
            times[side].append(time.perf_counter() - started)
    return times


def until_ready(program: str) -> None:
    """Start a Python process and wait for its first line."""
    # The peers' modules were compiled when they were installed: ours are when they run first.
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    with subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, env=kept
    ) as process:
        line = process.stdout.readline() if process.stdout else ""
        if line.strip() != "ready":
            raise SystemExit("The process did not become ready.")
        process.terminate()


def report(title: str, name: str, ours: list[float], peer: str, theirs: list[float]) -> None:
    """Print medians, the slowest twentieth, and the ratio."""
    print(title)
    width = max(len(name), len(peer))
    for label, times in ((name, ours), (peer, theirs)):
        slow = statistics.quantiles(times, n=20)[-1] if len(times) >= 20 else max(times)
        middle = statistics.median(times)
        figures = f"median {middle * 1e3:9.2f} ms  p95 {slow * 1e3:9.2f} ms"
        print(f"    {label:<{width}}  {figures}  n={len(times)}")
    print(f"    ratio of medians: {statistics.median(ours) / statistics.median(theirs):.2f}")


# --- the bare server -----------------------------------------------------------------------------


class Tape:
    """The replies of a warehouse: passed on and kept at first, then played again and again."""

    def __init__(self, warehouse: LocalWarehouse) -> None:
        context = ssl.create_default_context(cafile=str(warehouse.ca_file))
        self._upstream = HTTPSConnection("localhost", warehouse.port, context=context)
        self._path = warehouse.http_path
        self._headers = {"Authorization": f"Bearer {warehouse.access_token}"}
        self._kept: dict[bytes, list[bytes]] = {}
        self._played: dict[bytes, int] = {}
        self._playing = False

    def record(self, method: bytes, body: bytes) -> bytes:
        """The reply to a call."""
        if self._playing and method in self._kept:
            kept = self._kept[method]
            number = self._played.get(method, 0)
            self._played[method] = (number + 1) % len(kept)
            return kept[number]
        self._upstream.request("POST", self._path, body, self._headers)
        reply = self._upstream.getresponse().read()
        self._kept.setdefault(method, []).append(reply)
        return reply

    def rewind(self) -> None:
        """From now on, play what was kept."""
        self._playing = True


@contextmanager
def bare_server(
    replies: Replies, like: LocalWarehouse | None = None
) -> Iterator[dict[str, object]]:
    """A TLS server that does nothing but answer; yields connect arguments."""
    identity = LoopbackCertificate()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(
            target=accept, args=(listener, identity.context, replies), daemon=True
        ).start()
        yield {
            "server_hostname": "localhost",
            "_port": listener.getsockname()[1],
            "http_path": like.http_path if like else "/sql/1.0/warehouses/bare",
            "access_token": "dapi-bare",
            "_tls_trusted_ca_file": str(identity.ca_file),
            "enable_telemetry": False,
        }
        listener.shutdown(socket.SHUT_RDWR)
    identity.close()


def accept(listener: socket.socket, context: ssl.SSLContext, replies: Replies) -> None:
    """Give every connection its thread, until the listener is shut."""
    while True:
        try:
            plain, _ = listener.accept()
        except OSError:
            return
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        secure = context.wrap_socket(plain, server_side=True)
        threading.Thread(target=answer, args=(secure, replies), daemon=True).start()


def answer(connection: ssl.SSLSocket, replies: Replies) -> None:
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
            reply = replies(body[8:end], body)
            reply = reply[:end] + body[end : end + 4] + reply[end + 4 :]
            connection.sendall(HEAD.format(length=len(reply)).encode() + reply)


def prepared_replies() -> Replies:
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
    prepared = {
        b"OpenSession": framed("OpenSession", session),
        b"ExecuteStatement": framed("ExecuteStatement", execute),
        b"CloseOperation": framed("CloseOperation", ttypes.TCloseOperationResp(status=done)),
        b"CloseSession": framed("CloseSession", ttypes.TCloseSessionResp(status=done)),
    }
    return lambda method, _: prepared[method]


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
