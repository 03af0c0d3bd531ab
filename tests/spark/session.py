"""A Spark session with Delta Lake, set up as a SQL warehouse is, and made quick for small data."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pyspark import SparkContext
from pyspark.sql import SparkSession

#: Names the folder with the jars of Delta Lake; without it nothing here can run.
JARS_VARIABLE = "VINCI_SPARK_JARS"

# What makes it answer as a SQL warehouse does.
_AS_A_WAREHOUSE = {
    "spark.sql.ansi.enabled": "true",
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
    "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
    "spark.sql.sources.default": "delta",
    "spark.sql.legacy.createHiveTableByDefault": "false",
    # ${name} is text in Databricks SQL; here it would be a setting's value.
    "spark.sql.variable.substitute": "false",
}

# What makes a statement on a few rows take milliseconds: one task, nothing compiled, nothing kept.
_QUICK = {
    "spark.sql.shuffle.partitions": "1",
    "spark.databricks.delta.snapshotPartitions": "1",
    "spark.sql.sources.parallelPartitionDiscovery.parallelism": "1",
    "spark.sql.codegen.wholeStage": "false",
    "spark.sql.codegen.factoryMode": "NO_CODEGEN",
    "spark.sql.adaptive.enabled": "false",
    "spark.databricks.delta.merge.materializeSource": "none",
    # The default renames through Hadoop's FileContext, which starts a process for each readlink.
    "spark.delta.logStore.file.impl": "io.delta.storage.LocalLogStore",
    # Both start processes for each file: to read its links, and to set the rights of it and of its
    # checksum.
    "spark.databricks.delta.writeChecksumFile.enabled": "false",
    "spark.hadoop.fs.file.impl": "org.apache.hadoop.fs.RawLocalFileSystem",
    "spark.ui.enabled": "false",
    "spark.sql.ui.explainMode": "simple",
    "spark.sql.maxPlanStringLength": "100",
    "spark.ui.showConsoleProgress": "false",
    "spark.driver.memory": "2g",
    "spark.driver.host": "127.0.0.1",
    "spark.driver.bindAddress": "127.0.0.1",
}


def jars() -> list[Path]:
    """The jars to give to Spark; none where the variable is not set."""
    folder = os.environ.get(JARS_VARIABLE)
    return sorted(Path(folder).glob("*.jar")) if folder else []


@contextmanager
def spark_session(folder: Path) -> Iterator[SparkSession]:
    """A session whose tables lie in a folder; it, its JVM and its tables are gone afterwards.

    Args:
        folder: An empty folder for the tables and for what Spark writes beside them.
    """
    # PySpark makes a TIMESTAMP a datetime in the zone of the process.
    os.environ["TZ"] = "UTC"
    time.tzset()
    options = [
        "-XX:TieredStopAtLevel=1",
        "-XX:+UseSerialGC",
        # With one compiler 48 MB are reserved, which Spark fills: what was compiled is thrown away.
        "-XX:ReservedCodeCacheSize=256m",
        f"-Dderby.system.home={folder}",
        f"-Djava.io.tmpdir={folder}",
    ]
    builder = SparkSession.builder.master("local[1]")
    for name, value in {
        **_AS_A_WAREHOUSE,
        **_QUICK,
        "spark.jars": ",".join(map(str, jars())),
        "spark.sql.warehouse.dir": str(folder / "tables"),
        "spark.local.dir": str(folder / "local"),
        "spark.driver.extraJavaOptions": " ".join(options),
    }.items():
        builder = builder.config(name, value)
    session = builder.getOrCreate()
    session.sparkContext.setLogLevel("OFF")
    # Otherwise each RDD walks the stack, to say where it was made.
    for form in ("callSite.short", "callSite.long"):
        session.sparkContext.setLocalProperty(form, "a test")
    # PySpark logs every error of a statement as JSON.
    for name in ("SQLQueryContextLogger", "DataFrameQueryContextLogger"):
        logging.getLogger(name).disabled = True
    try:
        yield session
    finally:
        session.stop()
        _end_the_jvm()


def _end_the_jvm() -> None:
    # stop() leaves the JVM running until the process ends.
    gateway = SparkContext._gateway
    if gateway is None:
        return
    gateway.shutdown()
    gateway.proc.stdin.close()
    gateway.proc.wait()
    SparkContext._gateway = SparkContext._jvm = None
