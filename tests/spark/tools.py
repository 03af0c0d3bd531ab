"""What a run on Spark needs: Java, PySpark and the jars of Delta Lake, each had or said to lack."""

from __future__ import annotations

import hashlib
import importlib.util
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
LOCK = ROOT / "requirements" / "spark.lock"

# Delta Lake for the Spark of the lock file. Newer Sparks have no Delta yet: with 4.3 every MERGE
# fails with NoSuchMethodError.
JARS = {
    "io.delta:delta-spark_4.2_2.13:4.4.0": (
        "27d4fd8b1f879535c573ed1c718177d6a27f24d3e626ba02e216369725721ead"
    ),
    "io.delta:delta-storage:4.4.0": (
        "c46735481fa8e326b0957be02b4420cbcab4b325bb08009b7f2045a95133f1cc"
    ),
}
_JAVA = 17
_MINUTES_FOR_A_DOWNLOAD = 10

_IVY = """
import sys
from pyspark.sql import SparkSession
SparkSession.builder.master("local[1]").config("spark.jars.packages", sys.argv[1]).config(
    "spark.jars.ivy", sys.argv[2]
).config("spark.ui.enabled", "false").getOrCreate().stop()
"""


class MissingError(Exception):
    """Something that a run on Spark needs cannot be had here; the text says what, and why."""


def require_java() -> None:
    """Find Java 17 or newer.

    Raises:
        MissingError: There is none, or an older one.
    """
    java = shutil.which("java")
    if java is None:
        raise MissingError(f"no Java: Spark needs Java {_JAVA} or newer on the PATH")
    result = subprocess.run([java, "-version"], capture_output=True, text=True, check=False)
    version = re.search(r'version "(\d+)', result.stderr + result.stdout)
    if version is None or int(version[1]) < _JAVA:
        found = (result.stderr + result.stdout).partition("\n")[0]
        raise MissingError(f"Spark needs Java {_JAVA} or newer; {java} says: {found}")


def require_pyspark() -> None:
    """Install the PySpark of the lock file, unless it is there.

    Raises:
        MissingError: It cannot be installed.
    """
    wanted = re.search(r"^pyspark==(\S+)", LOCK.read_text(encoding="utf-8"), re.MULTILINE)
    if importlib.util.find_spec("pyspark") and wanted and _pyspark_version() == wanted[1]:
        return
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
    # PySpark comes as source only; there is nothing to compile in it.
    options = ["--require-hashes", "--no-deps", "--requirement", str(LOCK)]
    _run([*command, *options], "PySpark cannot be installed")


def require_jars(folder: Path) -> Path:
    """Fetch Delta Lake's jars into a folder, unless they are there, and check what they hold.

    Returns:
        The folder.

    Raises:
        MissingError: They cannot be fetched, or are not those that are asked for.
    """
    folder.mkdir(parents=True, exist_ok=True)
    missing = [name for name in JARS if not _file(folder, name).exists()]
    if missing:
        with tempfile.TemporaryDirectory() as fetched:
            _fetch(missing, Path(fetched))
            for name in missing:
                _take(name, Path(fetched), folder)
    return folder


def _fetch(names: list[str], into: Path) -> None:
    maven = shutil.which("mvn")
    if maven is None:
        # Spark's own way, which asks Maven's central repository.
        command = [sys.executable, "-c", _IVY, ",".join(names), str(into)]
        _run(command, "Delta Lake's jars cannot be fetched, and there is no Maven (mvn)")
        return
    for name in names:
        command = [maven, "--batch-mode", "--quiet", "dependency:copy"]
        options = [f"-Dartifact={name}", f"-DoutputDirectory={into}"]
        _run([*command, *options], f"Maven cannot fetch {name}")


def _take(name: str, fetched: Path, folder: Path) -> None:
    _, artifact, version = name.split(":")
    found = next(fetched.rglob(f"*{artifact}-{version}.jar"), None)
    if found is None:
        raise MissingError(f"{name} was not among what was fetched")
    digest = hashlib.sha256(found.read_bytes()).hexdigest()
    if digest != JARS[name]:
        raise MissingError(f"{name} has SHA-256 {digest}, expected {JARS[name]}")
    shutil.copyfile(found, _file(folder, name))


def _file(folder: Path, name: str) -> Path:
    _, artifact, version = name.split(":")
    return folder / f"{artifact}-{version}.jar"


def _pyspark_version() -> str:
    from pyspark import __version__

    return str(__version__)


def _run(command: list[str], trouble: str) -> None:
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            check=False,
            timeout=60 * _MINUTES_FOR_A_DOWNLOAD,
            cwd=tempfile.gettempdir(),
        )
    except subprocess.TimeoutExpired as error:
        raise MissingError(f"{trouble}: no end after {_MINUTES_FOR_A_DOWNLOAD} minutes") from error
    if done.returncode != 0:
        said = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]
        raise MissingError("\n  ".join([f"{trouble}:", *said[-6:]]))
