"""A client of raw HTTP and of the generated Thrift classes, for what the driver never sends."""

from __future__ import annotations

import http.client
import json
import ssl
import struct
from typing import Any, TypeAlias

from databricks.sql.thrift_api.TCLIService import TCLIService, ttypes
from thrift.protocol.TBinaryProtocol import TBinaryProtocol
from thrift.Thrift import TMessageType
from thrift.transport.TTransport import TMemoryBuffer
from typing_extensions import Self

from tests.patience import PATIENCE_S
from vinci_code.warehouse.local import LocalWarehouse

TIMEOUT = PATIENCE_S

# A struct of the generated classes, which carry no types.
Struct: TypeAlias = Any


class WireClient:
    """One connection to a warehouse, with its own token unless another is given."""

    def __init__(self, warehouse: LocalWarehouse, token: str = "") -> None:
        self.warehouse = warehouse
        self.token = token or warehouse.access_token
        context = ssl.create_default_context(cafile=str(warehouse.ca_file))
        self.http = http.client.HTTPSConnection(
            warehouse.host, warehouse.port, timeout=TIMEOUT, context=context
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.http.close()

    def request(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: dict[str, str] | None = None,
        *,
        token: str | None = "",
    ) -> tuple[int, dict[str, str], bytes]:
        """Send a request; ``token`` is the client's own unless given, ``None`` sends none."""
        sent = dict(headers or {})
        if token is not None:
            sent["Authorization"] = f"Bearer {token or self.token}"
        self.http.request(method, path, body, sent)
        response = self.http.getresponse()
        received = {name.lower(): value for name, value in response.getheaders()}
        return response.status, received, response.read()

    def json(self, method: str, path: str, body: bytes | None = None) -> tuple[int, dict[str, Any]]:
        """Send an authenticated request and read a JSON answer."""
        status, _, content = self.request(method, path, body)
        return status, json.loads(content)

    def post(self, body: bytes) -> tuple[int, dict[str, str], bytes]:
        """Send a body to the Thrift endpoint."""
        headers = {"Content-Type": "application/x-thrift"}
        return self.request("POST", self.warehouse.http_path, body, headers)

    def call(self, name: str, **fields: object) -> Struct:
        """Call an RPC and return its response struct."""
        status, headers, body = self.post(message(name, **fields))
        assert status == 200, (status, headers)
        protocol = TBinaryProtocol(TMemoryBuffer(body))
        found, kind, _ = protocol.readMessageBegin()
        assert (found, kind) == (name, TMessageType.REPLY)
        result = getattr(TCLIService, f"{name}_result")()
        result.read(protocol)
        return result.success

    def send(self, name: str, **fields: object) -> None:
        """Send a call, and do not wait for its answer."""
        headers = {
            "Content-Type": "application/x-thrift",
            "Authorization": f"Bearer {self.warehouse.access_token}",
        }
        self.http.request("POST", self.warehouse.http_path, message(name, **fields), headers)

    def open_session(self) -> Struct:
        """Open a session and return its handle."""
        version = ttypes.TProtocolVersion.SPARK_CLI_SERVICE_PROTOCOL_V7
        return self.call("OpenSession", client_protocol_i64=version).sessionHandle

    def rows(self, name: str, **fields: object) -> list[tuple[object, ...]]:
        """Call a metadata RPC and return its rows."""
        direct = ttypes.TSparkGetDirectResults(maxRows=1000, maxBytes=1_000_000)
        response = self.call(name, getDirectResults=direct, **fields)
        assert response.status.statusCode == ttypes.TStatusCode.SUCCESS_STATUS, response.status
        return list(zip(*self.columns(response.directResults.resultSet), strict=True))

    @staticmethod
    def columns(response: ttypes.TFetchResultsResp) -> list[list[object]]:
        """The values of a column set, NULLs in their places."""
        columns = []
        for column in response.results.columns:
            (content,) = (value for value in vars(column).values() if value is not None)
            columns.append(
                [
                    None if content.nulls[index >> 3] & (1 << (index & 7)) else value
                    for index, value in enumerate(content.values)
                ]
            )
        return columns


def message(name: str, **fields: object) -> bytes:
    """The bytes of a call."""
    buffer = TMemoryBuffer()
    protocol = TBinaryProtocol(buffer)
    protocol.writeMessageBegin(name, TMessageType.CALL, 1)
    request = getattr(ttypes, f"T{name}Req")(**fields)
    getattr(TCLIService, f"{name}_args")(req=request).write(protocol)
    return bytes(buffer.getvalue())


def header(name: str) -> bytes:
    """The beginning of a call's bytes: what comes before its arguments."""
    return struct.pack("!Ii", 0x80010001, len(name)) + name.encode() + struct.pack("!i", 1)
