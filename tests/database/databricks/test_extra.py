"""Without the driver, and before it is needed: in processes of their own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.full import part
from tests.patience import PATIENCE_S

ROOT = Path(__file__).resolve().parents[3]
SCRIPT = ROOT / "scripts" / "test_databricks_connection.py"
INSTALL = "python -m pip install 'vinci-code[databricks]'"

# What an environment without the extra looks like to the import system.
WITHOUT_THE_EXTRA = """
import sys

class NotInstalled:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("databricks", "thrift", "pyarrow", "pandas", "requests"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return None

sys.meta_path.insert(0, NotInstalled())
"""

CONFIGURED = {
    "USE_DATABRICKS": "true",
    "DATABRICKS_HOST": "dbc-a1b2c3d4-e5f6.cloud.databricks.com",
    "DATABRICKS_WAREHOUSE_ID": "1a2b3c4d5e6f7a8b",
    "DATABRICKS_TOKEN": "dapi0f1e2d3c4b5a69788796a5b4c3d2e1f0",
}


def run(
    *arguments: str,
    tmp_path: Path,
    without_extra: bool = False,
    variables: Mapping[str, str] | None = None,
) -> subprocess.CompletedProcess[str]:
    path = [str(ROOT)]
    if without_extra:
        (tmp_path / "sitecustomize.py").write_text(WITHOUT_THE_EXTRA)
        path.insert(0, str(tmp_path))
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "PYTHONPATH": os.pathsep.join(path),
        **(variables or {}),
    }
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )


def test_the_missing_extra_is_one_line_with_the_command(tmp_path: Path) -> None:
    done = run(str(SCRIPT), tmp_path=tmp_path, without_extra=True, variables=CONFIGURED)
    assert done.returncode == 78, done.stdout + done.stderr
    assert "FAILED    Driver" in done.stdout
    assert INSTALL in done.stdout
    assert "skipped   TCP" in done.stdout
    assert done.stderr == ""
    assert CONFIGURED["DATABRICKS_TOKEN"] not in done.stdout


def test_the_missing_extra_is_an_error_of_its_own(tmp_path: Path) -> None:
    code = """
from vinci_code.core.errors import MissingExtraError
from vinci_code.database.databricks_connector import *
for ask in (DatabricksConnector, create_databricks_engine):
    try:
        ask()
    except MissingExtraError as error:
        print(error, error.exit_code)
print(bool(validate_databricks_connection()), validate_databricks_connection().next_step)
"""
    done = run("-c", code, tmp_path=tmp_path, without_extra=True, variables=CONFIGURED)
    lines = done.stdout.splitlines()
    assert done.returncode == 0, done.stderr
    assert len(lines) == 3
    assert all(INSTALL in line for line in lines)
    assert lines[0].endswith("78")


ASK = """
from vinci_code.core.errors import MissingExtraError
from vinci_code.database.databricks_connector import DatabricksConnector
try:
    print(DatabricksConnector())
except MissingExtraError as error:
    print(error)
    print(error.command)
"""


@pytest.mark.parametrize(
    ("modules", "said"),
    [
        (("pyarrow",), ": pyarrow is not installed."),
        (("databricks.sdk",), ": databricks-sdk is not installed."),
        (("databricks.sql",), ": databricks-sql-connector is not installed."),
        (("databricks.sdk", "pyarrow"), ": databricks-sdk and pyarrow are not installed."),
    ],
)
def test_what_is_missing_of_the_extra_is_named(
    modules: tuple[str, ...], said: str, tmp_path: Path
) -> None:
    (tmp_path / "hidden").mkdir()
    (tmp_path / "hidden" / "sitecustomize.py").write_text(
        WITHOUT_THE_EXTRA.replace('name.partition(".")[0] in', "name in").replace(
            '("databricks", "thrift", "pyarrow", "pandas", "requests")', repr(modules)
        )
    )
    path = os.pathsep.join([str(tmp_path / "hidden"), str(ROOT)])
    done = run("-c", ASK, tmp_path=tmp_path, variables={**CONFIGURED, "PYTHONPATH": path})
    assert f"USE_DATABRICKS=true needs the 'databricks' extra{said}" in done.stdout, done.stderr


@pytest.fixture(scope="module")
def offline(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an environment, all that the base needs, and stand-ins for the extra."""
    folder = tmp_path_factory.mktemp("offline")
    subprocess.run([sys.executable, "-m", "venv", str(folder / "venv")], check=True)
    base, wheels = folder / "base", folder / "wheels"
    base.mkdir()
    wheels.mkdir()
    for entry in Path(sysconfig.get_path("purelib")).iterdir():
        if not entry.name.startswith(("databricks", "pyarrow", "urllib3", "vinci_code", "_vinci")):
            (base / entry.name).symlink_to(entry)
    for name, version, module in (
        ("databricks-sdk", "0.99.0", "databricks/sdk/__init__.py"),
        ("databricks-sql-connector", "4.9.0", "databricks/sql/__init__.py"),
        ("pyarrow", "18.0.0", "pyarrow/__init__.py"),
        ("urllib3", "2.2.0", "urllib3/__init__.py"),
    ):
        write_wheel(wheels, name, version, module)
    return folder


def write_wheel(folder: Path, name: str, version: str, module: str) -> None:
    """A package with one empty module; the connector's extra ``pyarrow`` is as its own."""
    stem = f"{name.replace('-', '_')}-{version}"
    needs = "Provides-Extra: pyarrow\nRequires-Dist: pyarrow; extra == 'pyarrow'\n"
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
    with zipfile.ZipFile(folder / f"{stem}-py3-none-any.whl", "w") as wheel:
        wheel.writestr(module, "")
        wheel.writestr(
            f"{stem}.dist-info/METADATA", metadata + (needs if "connector" in name else "")
        )
        wheel.writestr(
            f"{stem}.dist-info/WHEEL",
            "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        )
        wheel.writestr(f"{stem}.dist-info/RECORD", "")


@part(3)
@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="the command is for a POSIX shell")
@pytest.mark.parametrize("activated", [True, False])
@pytest.mark.parametrize("installed", [True, False])
def test_what_is_said_about_a_missing_extra_helps(
    installed: bool, activated: bool, offline: Path, tmp_path: Path
) -> None:
    venv, base = tmp_path / "venv", offline / "base"
    shutil.copytree(offline / "venv", venv, symlinks=True)
    python = venv / "bin" / "python"
    environment = {
        **CONFIGURED,
        "PATH": os.pathsep.join([*([str(venv / "bin")] if activated else []), "/usr/bin", "/bin"]),
        "HOME": str(tmp_path),
        "PYTHONPATH": os.pathsep.join([str(base)] if installed else [str(base), str(ROOT)]),
        # As if an index had what the package needs, and no more.
        "PIP_NO_INDEX": "1",
        "PIP_FIND_LINKS": str(offline / "wheels"),
        "PIP_NO_BUILD_ISOLATION": "0",
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    }

    def done(*command: str) -> str:
        found = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )
        assert found.returncode == 0, found.stdout + found.stderr
        return found.stdout

    if installed:
        done(str(python), "-m", "pip", "install", "--no-deps", str(ROOT))
    _, command = done(str(python), "-c", ASK).splitlines()
    assert command.startswith("python -m pip" if activated else f"{python} -m pip")
    done("/bin/sh", "-c", command)
    assert done(str(python), "-c", ASK).startswith("<DatabricksConnector")


@pytest.mark.parametrize(
    "module", ["vinci_code.database.databricks_connector", "vinci_code.diagnostics"]
)
def test_importing_loads_neither_driver_nor_sdk_nor_pandas(module: str, tmp_path: Path) -> None:
    code = f"""
import json, sys
import {module}
heavy = ("databricks", "pandas", "pyarrow", "numpy", "thrift", "requests", "rich", "typer")
print(json.dumps([name for name in sys.modules if name.partition(".")[0] in heavy]))
"""
    done = run("-c", code, tmp_path=tmp_path)
    assert json.loads(done.stdout) == [], done.stderr


def test_the_connector_alone_loads_no_http_client(tmp_path: Path) -> None:
    code = """
import sys
before = set(sys.modules)
import vinci_code.database.databricks_connector
print(sorted({"vinci_code.database.databricks.http"} & (set(sys.modules) - before)))
"""
    assert run("-c", code, tmp_path=tmp_path).stdout.strip() == "[]"


def test_importing_and_building_listens_on_nothing_and_contacts_nobody(tmp_path: Path) -> None:
    code = """
import socket, sys
seen = []
sys.addaudithook(lambda name, args: seen.append(name) if name.startswith("socket.") else None)
from vinci_code.database.databricks_connector import DatabricksConnector
import vinci_code.diagnostics
DatabricksConnector().connect_arguments()
print(sorted({name for name in seen if name in (
    "socket.bind", "socket.connect", "socket.getaddrinfo", "socket.sendto")}))
"""
    done = run("-c", code, tmp_path=tmp_path, variables=CONFIGURED)
    assert done.stdout.strip() == "[]", done.stdout + done.stderr


def test_the_script_runs_from_any_folder_and_tells_that_databricks_is_off(tmp_path: Path) -> None:
    done = run("-I", str(SCRIPT), tmp_path=tmp_path)
    assert done.returncode == 78, done.stdout + done.stderr
    assert "set USE_DATABRICKS=true" in done.stdout
    as_json = run(str(SCRIPT), "--json", tmp_path=tmp_path)
    assert as_json.returncode == 78
    assert json.loads(as_json.stdout)["exit_code"] == 78


def test_the_script_lists_every_problem_of_the_configuration(tmp_path: Path) -> None:
    incomplete = {"USE_DATABRICKS": "true", "DATABRICKS_TOKEN": "your-token"}
    done = run(str(SCRIPT), tmp_path=tmp_path, variables=incomplete)
    assert done.returncode == 78
    for name in ("DATABRICKS_SERVER_HOSTNAME", "DATABRICKS_HTTP_PATH", "DATABRICKS_TOKEN"):
        assert name in done.stdout


def test_pytest_does_not_collect_the_script(tmp_path: Path) -> None:
    done = run(
        "-m", "pytest", "-q", "--collect-only", "-p", "no:cacheprovider", str(SCRIPT),
        tmp_path=tmp_path,
    )  # fmt: skip
    assert "no tests" in done.stdout
