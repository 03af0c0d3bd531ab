"""Tests that need Apache Spark with Delta Lake: run by ``make test-spark``, and by nothing else."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

# Java, PySpark and the jars are not a part of what the other tests need.
collect_ignore_glob = [] if os.environ.get("VINCI_SPARK_JARS") else ["test_*.py"]


@pytest.fixture(scope="session")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkSession]:
    """The session of the whole run: one JVM for each process of the tests."""
    from tests.spark.session import spark_session

    with spark_session(Path(tmp_path_factory.mktemp("spark"))) as session:
        yield session


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the random statements: they are one test, and take longest."""
    items.sort(key=lambda item: "random" not in item.nodeid)
