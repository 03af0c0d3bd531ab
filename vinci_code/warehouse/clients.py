"""How each client is pointed at a local warehouse: its environment, and the lines to copy."""

from __future__ import annotations

import importlib.util
import shlex
import ssl
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vinci_code.warehouse.local import LocalWarehouse

_ROOTS = "roots.pem"


def client_environment(warehouse: LocalWarehouse) -> dict[str, str]:
    """The variables that the vendor's clients read, beside those of :attr:`LocalWarehouse.env`.

    ``SSL_CERT_FILE`` and ``REQUESTS_CA_BUNDLE`` replace the roots that a client trusts, so the file
    that they name holds these too: a command may ask other hosts as before. Node adds what
    ``NODE_EXTRA_CA_CERTS`` names to its own. The file goes with the warehouse.
    """
    roots = _with_roots(warehouse.ca_file)
    return {
        **warehouse.env,
        "DATABRICKS_HOST": f"https://{warehouse.host}:{warehouse.port}",
        "DATABRICKS_TOKEN": warehouse.access_token,
        "DATABRICKS_WAREHOUSE_ID": warehouse.warehouse_id,
        "DATABRICKS_PORT": str(warehouse.port),
        "SSL_CERT_FILE": str(roots),
        "REQUESTS_CA_BUNDLE": str(roots),
        "NODE_EXTRA_CA_CERTS": str(warehouse.ca_file),
    }


def how_to_connect(warehouse: LocalWarehouse, client: str) -> str:
    """The lines that point a client at a warehouse, for a person to copy.

    Args:
        warehouse: A warehouse that runs.
        client: One of :data:`CLIENTS`.
    """
    return CLIENTS[client](warehouse)


def as_exports(environment: Mapping[str, str]) -> str:
    """Lines for a POSIX shell that set variables."""
    return "".join(f"export {name}={shlex.quote(value)}\n" for name, value in environment.items())


def _env(warehouse: LocalWarehouse) -> str:
    return as_exports(client_environment(warehouse))


def _jdbc(warehouse: LocalWarehouse) -> str:
    # The driver takes PEM files for no trust store, and asks a list of revoked certificates that
    # our authority does not keep.
    return f"""\
# databricks-jdbc, once: a trust store with the warehouse's certificate.
keytool -importcert -noprompt -alias vinci -file {shlex.quote(str(warehouse.ca_file))} \\
  -keystore vinci.p12 -storetype PKCS12 -storepass changeit
# The URL; UseThriftClient=1 takes the protocol of the vendor's other drivers.
jdbc:databricks://{warehouse.host}:{warehouse.port}/{warehouse.schema};transportMode=http;ssl=1;\
httpPath={warehouse.http_path};AuthMech=3;UID=token;PWD={warehouse.access_token};\
ConnCatalog={warehouse.catalog};UseThriftClient=1;CheckCertRevocation=0;EnableTelemetry=0;\
SSLTrustStore=vinci.p12;SSLTrustStorePwd=changeit;SSLTrustStoreType=PKCS12
"""


def _dbt(warehouse: LocalWarehouse) -> str:
    # Its host is the SDK's, which needs the port, and the driver's, which refuses one; the driver
    # takes _connection_uri before it (thrift_backend.py).
    return f"""\
# profiles.yml of dbt-databricks; start dbt with REQUESTS_CA_BUNDLE={warehouse.ca_file}
vinci:
  target: local
  outputs:
    local:
      type: databricks
      host: {warehouse.host}:{warehouse.port}
      http_path: {warehouse.http_path}
      token: {warehouse.access_token}
      catalog: {warehouse.catalog}
      schema: {warehouse.schema}
      threads: 4
      connection_parameters:
        _connection_uri: https://{warehouse.host}:{warehouse.port}{warehouse.http_path}
        _tls_trusted_ca_file: {warehouse.ca_file}
        enable_telemetry: false
"""


def _node(warehouse: LocalWarehouse) -> str:
    return f"""\
// @databricks/sql; start node with NODE_EXTRA_CA_CERTS={warehouse.ca_file}
const {{ DBSQLClient }} = require('@databricks/sql');
const client = new DBSQLClient();
client.connect({{
  host: '{warehouse.host}',
  port: {warehouse.port},
  path: '{warehouse.http_path}',
  token: '{warehouse.access_token}',
}}).then(() => client.openSession({{
  initialCatalog: '{warehouse.catalog}', initialSchema: '{warehouse.schema}',
}}));
"""


def _python(warehouse: LocalWarehouse) -> str:
    arguments = "".join(
        f"    {name}={value!r},\n" for name, value in warehouse.connect_args.items()
    )
    return f"from databricks import sql\n\nconnection = sql.connect(\n{arguments})\n"


CLIENTS: Mapping[str, Callable[[LocalWarehouse], str]] = {
    "env": _env,
    "python": _python,
    "dbt": _dbt,
    "node": _node,
    "jdbc": _jdbc,
}
"""What can be shown, by its name."""


def _with_roots(ca_file: Path) -> Path:
    """A file beside the certificate, with it and with the roots that clients trust now."""
    path = ca_file.with_name(_ROOTS)
    if not path.exists():
        parts = [ca_file.read_text("utf-8")]
        parts += [found.read_text("utf-8") for found in _roots() if found.exists()]
        # Nothing of it is secret, and the folder is its owner's alone.
        path.write_text("".join(f"{part.rstrip()}\n" for part in parts), "utf-8")
    return path


def _roots() -> list[Path]:
    # OpenSSL's, which may be what SSL_CERT_FILE names; requests brings others.
    known: str | None = ssl.get_default_verify_paths().cafile
    found = [] if known is None else [Path(known)]
    spec = importlib.util.find_spec("certifi")
    if spec is not None and spec.origin is not None:
        found.append(Path(spec.origin).with_name("cacert.pem"))
    return found
