"""The same 200 statements through Thrift, SEA, the kernel, the SDK, Node and JDBC.

``make test`` runs a part of them through what pip installs for development; the kernel, Node and
JDBC run where ``make clients`` has fetched them, all 200, and are skipped by name elsewhere.
"""

from __future__ import annotations

import importlib
import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.clients.protocols import (
    SOME,
    STATEMENTS,
    Outcome,
    as_counts,
    as_javascript,
    as_kernel,
    failed,
    succeeded,
)
from tests.full import some
from tests.warehouse.driver import sql
from vinci_code.warehouse import LocalWarehouse
from vinci_code.warehouse.clients import CLIENTS

CHOSEN = some(STATEMENTS, SOME)
HERE = Path(__file__).parent
TIMEOUT_S = 300.0

# Where ``make clients`` has put what is not Python's.
NODE_MODULES = os.environ.get("VINCI_CLIENTS_NODE")
JDBC_JAR = os.environ.get("VINCI_CLIENTS_JDBC")

# The numbers of TTypeId, as Node's driver gives them.
_THRIFT_TYPES = (
    "boolean", "tinyint", "smallint", "int", "bigint", "float", "double", "string", "timestamp",
    "binary", "array", "map", "struct", "union", "user_defined", "decimal", "null", "date",
    "varchar", "char", "interval_year_month", "interval_day_time",
)  # fmt: skip

Run = Callable[[LocalWarehouse, str], list[Outcome]]


@pytest.fixture(scope="module")
def warehouse() -> Iterator[LocalWarehouse]:
    with LocalWarehouse() as warehouse:
        yield warehouse


@pytest.fixture(scope="module")
def expected(warehouse: LocalWarehouse) -> list[Outcome]:
    """What Thrift gives: the protocol that all other tests go through."""
    return _driver(warehouse, "thrift")


def test_thrift_knows_every_statement(expected: list[Outcome]) -> None:
    wrong = [
        (statement, outcome.error)
        for statement, outcome in zip(CHOSEN, expected, strict=True)
        if outcome.error is not None and outcome.error[0] in ("no error class", "INTERNAL_ERROR")
    ]
    assert not wrong
    assert sum(outcome.error is not None for outcome in expected) >= 25
    assert len(STATEMENTS) == 200


@pytest.mark.parametrize("arrow", [True, False], ids=["arrow", "json"])
def test_sea(warehouse: LocalWarehouse, expected: list[Outcome], arrow: bool) -> None:
    found = _driver(warehouse, f"sea_{arrow}".lower(), use_sea=True, use_cloud_fetch=arrow)
    _compare(found, expected)


def test_the_kernel(warehouse: LocalWarehouse, expected: list[Outcome]) -> None:
    try:
        importlib.import_module("databricks_sql_kernel")
    except ImportError:
        pytest.skip("databricks-sql-kernel is not installed: run it with 'make clients'")
    found = _driver(
        warehouse,
        "kernel",
        use_kernel=True,
        server_hostname=f"{warehouse.host}:{warehouse.port}",
    )
    _compare(found, [as_kernel(outcome) for outcome in expected])


@pytest.mark.parametrize("links", [False, True], ids=["inline", "links"])
def test_the_sdk(
    warehouse: LocalWarehouse,
    expected: list[Outcome],
    monkeypatch: pytest.MonkeyPatch,
    links: bool,
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(warehouse.ca_file))
    _compare(_sdk(warehouse, f"sdk_{links}".lower(), links), expected)


def test_node(warehouse: LocalWarehouse, expected: list[Outcome], tmp_path: Path) -> None:
    node = shutil.which("node")
    if node is None or NODE_MODULES is None:
        pytest.skip("Node or @databricks/sql is not here: run it with 'make clients'")
    warehouse.sql("CREATE SCHEMA node")
    command = [node, str(HERE / "node" / "run.js"), warehouse.host, str(warehouse.port)]
    command += [warehouse.http_path, "node", str(_statements_file(tmp_path))]
    environment = {
        **os.environ,
        "TOKEN": warehouse.access_token,
        "NODE_EXTRA_CA_CERTS": str(warehouse.ca_file),
        "NODE_PATH": NODE_MODULES,
    }
    found = [
        _told(item, lambda kind: _THRIFT_TYPES[int(kind)]) for item in _ran(command, environment)
    ]
    _compare(
        [as_javascript(outcome) for outcome in found],
        [as_javascript(outcome) for outcome in expected],
    )


@pytest.mark.parametrize("thrift", [1, 0], ids=["thrift", "rest"])
def test_jdbc(
    warehouse: LocalWarehouse, expected: list[Outcome], tmp_path: Path, thrift: int
) -> None:
    java, keytool = shutil.which("java"), shutil.which("keytool")
    if java is None or keytool is None or JDBC_JAR is None:
        pytest.skip("Java or databricks-jdbc is not here: run it with 'make clients'")
    # What `vinci warehouse serve --show jdbc` prints: a command, and the URL in the last line.
    shown = [line for line in CLIENTS["jdbc"](warehouse).splitlines() if not line.startswith("#")]
    store = tmp_path / "vinci.p12"
    subprocess.run(
        " ".join(line.rstrip("\\") for line in shown[:-1]),
        shell=True,
        check=True,
        capture_output=True,
        timeout=TIMEOUT_S,
        cwd=tmp_path,
    )
    schema = f"jdbc_{thrift}"
    warehouse.sql(f"CREATE SCHEMA {schema}")
    url = shown[-1]
    for option, ours in (
        (f"/{warehouse.schema};", f"/{schema};"),
        ("SSLTrustStore=vinci.p12;", f"SSLTrustStore={store};"),
        ("UseThriftClient=1;", f"UseThriftClient={thrift};LogLevel=0;"),
    ):
        assert option in url
        url = url.replace(option, ours)
    command = [java, "--add-opens=java.base/java.nio=ALL-UNNAMED", "-Duser.timezone=UTC", "-cp"]
    command += [JDBC_JAR, str(HERE / "java" / "Run.java"), url, str(_statements_file(tmp_path))]
    items = _ran(command, dict(os.environ))
    _compare([_told(item, str) for item in items], [as_counts(outcome) for outcome in expected])


def _driver(warehouse: LocalWarehouse, schema: str, **options: Any) -> list[Outcome]:
    warehouse.sql(f"CREATE SCHEMA {schema}")
    arguments = {**warehouse.connect_args_for("main", schema), **options}
    found = []
    with sql.connect(**arguments) as connection, connection.cursor() as cursor:
        for statement in CHOSEN:
            try:
                cursor.execute(statement)
                columns = [item[:2] for item in cursor.description or ()]
                rows = cursor.fetchall() if columns else []
            except sql.exc.Error as error:
                found.append(failed(str(error)))
            else:
                found.append(succeeded(columns, rows))
    return found


def _sdk(warehouse: LocalWarehouse, schema: str, links: bool) -> list[Outcome]:
    from databricks.sdk import WorkspaceClient
    from databricks.sdk.service.sql import Disposition, StatementState

    warehouse.sql(f"CREATE SCHEMA {schema}")
    client = WorkspaceClient(
        host=f"https://{warehouse.host}:{warehouse.port}", token=warehouse.access_token
    )
    disposition = Disposition.EXTERNAL_LINKS if links else Disposition.INLINE
    found = []
    for statement in CHOSEN:
        answer = client.statement_execution.execute_statement(
            statement,
            warehouse.warehouse_id,
            catalog="main",
            schema=schema,
            disposition=disposition,
        )
        if answer.status.state == StatementState.FAILED:
            found.append(failed(answer.status.error.message))
            continue
        assert answer.status.state == StatementState.SUCCEEDED
        # As JSON: the SDK's own enumeration of types has no VARIANT.
        columns = [(item.name, item.type_text) for item in answer.manifest.schema.columns or ()]
        rows: list[list[str | None]] = []
        part = answer.result
        while part is not None:
            linked = part.external_links
            rows += (
                _followed(warehouse, linked[0].external_link) if linked else part.data_array or []
            )
            following = linked[0].next_chunk_index if linked else part.next_chunk_index
            part = following and client.statement_execution.get_statement_result_chunk_n(
                answer.statement_id, following
            )
        found.append(succeeded(columns, rows))
    return found


def _followed(warehouse: LocalWarehouse, link: str) -> list[list[str | None]]:
    import ssl
    import urllib.request

    context = ssl.create_default_context(cafile=str(warehouse.ca_file))
    with urllib.request.urlopen(link, context=context, timeout=TIMEOUT_S) as answer:
        rows: list[list[str | None]] = json.load(answer)
    return rows


def _statements_file(folder: Path) -> Path:
    path = folder / "statements.sql"
    path.write_text("\n".join(CHOSEN), encoding="utf-8")
    return path


def _ran(command: Sequence[str], environment: dict[str, str]) -> list[dict[str, Any]]:
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=TIMEOUT_S, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    marked = (line for line in done.stdout.splitlines() if line.startswith("RESULT "))
    return [json.loads(line.removeprefix("RESULT ")) for line in marked]


def _told(item: dict[str, Any], type_of: Callable[[Any], str]) -> Outcome:
    if "error" in item:
        return failed(item["error"])
    if "changed" in item:
        return Outcome(changed=item["changed"])
    return succeeded([(name, type_of(kind)) for name, kind in item["columns"]], item["rows"])


def _compare(found: Sequence[Outcome], expected: Sequence[Outcome]) -> None:
    assert len(found) == len(expected)
    different = [
        f"{statement}\n  expected {_short(right)}\n  found    {_short(left)}"
        for statement, left, right in zip(CHOSEN, found, expected, strict=True)
        if left != right
    ]
    assert not different, "\n".join([f"{len(different)} differ:", *different])


def _short(outcome: Outcome) -> str:
    return f"{outcome} {str(outcome.rows)[:200]}"
