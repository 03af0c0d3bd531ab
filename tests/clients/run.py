"""``make clients``: fetch clients that pip does not install for development, and run the tests.

Each comes from its own registry, in the version that is written here or beside, into a folder of
its own; one that cannot be had is named, and its tests are skipped by name.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
FETCHED = ROOT / ".clients"

# Without its dependencies, which the environment has: this version asks for an older pyarrow, and
# works with the newer one.
KERNEL = "databricks-sql-kernel==1.3.0"


def main(arguments: list[str]) -> int:
    """Fetch what can be had, and run the tests of the clients."""
    environment = {**os.environ, "VINCI_FULL": "1"}
    if fetch_kernel(FETCHED / "kernel"):
        paths = [str(FETCHED / "kernel"), environment.get("PYTHONPATH", "")]
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, paths))
    if fetch_node(FETCHED / "node"):
        environment["VINCI_CLIENTS_NODE"] = str(FETCHED / "node" / "node_modules")
    jar = fetch_jdbc(FETCHED / "java")
    if jar is not None:
        environment["VINCI_CLIENTS_JDBC"] = str(jar)
    command = [sys.executable, "-m", "pytest", "-rs", str(HERE), *arguments]
    return subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode


def fetch_kernel(folder: Path) -> bool:
    """Fetch the kernel of databricks-sql-connector; whether it is there."""
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--upgrade"]
    return _run([*pip, "--target", str(folder), KERNEL], KERNEL)


def fetch_node(folder: Path) -> bool:
    """Fetch @databricks/sql; whether it is there."""
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(HERE / "node" / "package.json", folder)
    return _run(["npm", "install", "--silent", "--prefix", str(folder)], "@databricks/sql")


def fetch_jdbc(folder: Path) -> Path | None:
    """Fetch databricks-jdbc; its archive, or ``None``."""
    pom = HERE / "java" / "pom.xml"
    command = ["mvn", "--quiet", "--file", str(pom), "dependency:copy-dependencies"]
    if not _run([*command, f"-DoutputDirectory={folder}"], "databricks-jdbc"):
        return None
    return next(iter(sorted(folder.glob("databricks-jdbc-*.jar"))), None)


def _run(command: list[str], name: str) -> bool:
    if shutil.which(command[0]) is None:
        print(f"NOT RUN: {name}: there is no {command[0]} on this machine", flush=True)
        return False
    done = subprocess.run(command, check=False)
    if done.returncode != 0:
        print(f"NOT RUN: {name} cannot be had: {command[0]} ended with {done.returncode}")
    return done.returncode == 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
