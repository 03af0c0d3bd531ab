"""A warehouse, a fallback, and a process that copies tables."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import (
    URL,
    BigInteger,
    Column,
    Engine,
    Integer,
    MetaData,
    String,
    Table,
    create_engine,
    func,
    select,
)
from sqlalchemy.engine import Connection

from vinci_code.database.fallback.fallback import Fallback, ReadsOption
from vinci_code.database.fallback.mirror import refresh
from vinci_code.database.fallback.sessions import RoutedSession
from vinci_code.warehouse import Fault
from vinci_code.warehouse.pytest_plugin import TestWarehouse

METADATA = MetaData()
ITEMS = Table(
    "items",
    METADATA,
    Column("id", BigInteger, primary_key=True, autoincrement=False),
    Column("version", Integer, nullable=False),
    Column("text", String),
)


@dataclass
class Mirrored:
    """A fallback of an engine of the warehouse.

    Attributes:
        of: The warehouse, as the test sees it.
        online: The engine on it.
        file: The file of the fallback.
        metadata: The tables, which are on the warehouse.
        fallback: The fallback.
    """

    of: TestWarehouse
    online: Engine
    file: Path
    metadata: MetaData
    fallback: Fallback

    def session(self) -> RoutedSession:
        """A session that is routed."""
        return RoutedSession(bind=self.online, fallback=lambda: self.fallback)

    def fill(self, rows: int, version: int) -> None:
        """Have the items on the warehouse be so many of one version, at once."""
        self.of.warehouse.sql(
            f"INSERT OVERWRITE {self.of.schema}.items "
            f"SELECT id, {version}, concat('item ', id) FROM range({rows})"
        )

    def leave(self) -> None:
        """Cut every request off."""
        self.of.inject(Fault.reset(when="before", times=10**6))

    def here(self, table: Table) -> list[tuple[Any, ...]]:
        """The rows of a table in the standby, in order of its key."""
        with self.fallback.standby.connect() as connection:
            return _rows(connection, table)

    def there(self, table: Table) -> list[tuple[Any, ...]]:
        """The rows of a table on the warehouse, in order of its key."""
        with self.online.connect() as connection:
            return _rows(connection, table)

    def versions(self) -> tuple[int, int, int]:
        """How many items the standby has, of which versions."""
        counted = select(
            func.count(), func.min(ITEMS.c.version), func.max(ITEMS.c.version)
        ).select_from(ITEMS)
        with self.fallback.standby.connect() as connection:
            count, least, greatest = connection.execute(counted).one()
        return count, least, greatest

    def leftovers(self) -> list[str]:
        """The files beside the file of the fallback that are none of the journal's."""
        known = {self.file.name + ending for ending in ("", "-wal", "-shm", ".lock", ".mark")}
        there = {path.name for path in self.file.parent.glob(f"{self.file.name}*")}
        return sorted(there - known)

    def copier(self) -> subprocess.Popen[str]:
        """A process that copies the items; it tells of each step, in a line."""
        warehouse = self.of.warehouse
        given = {
            "host": warehouse.host,
            "port": warehouse.port,
            "http_path": warehouse.http_path,
            "catalog": self.of.catalog,
            "schema": self.of.schema,
            "token": warehouse.access_token,
            "ca": str(warehouse.ca_file),
            "file": str(self.file),
        }
        return subprocess.Popen(
            [sys.executable, "-m", __name__, json.dumps(given)],
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[2],
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        )


@contextmanager
def mirrored(
    of: TestWarehouse,
    online: Engine,
    file: Path,
    metadata: MetaData = METADATA,
    reads: ReadsOption = "mirrored",
) -> Iterator[Mirrored]:
    """A fallback of an engine, whose tables are made."""
    metadata.create_all(online)
    fallback = Fallback(online, file, metadata, reads=reads)
    try:
        yield Mirrored(of, online, file, metadata, fallback)
    finally:
        of.warehouse.faults.clear()
        fallback.dispose()


def _rows(connection: Connection, table: Table) -> list[tuple[Any, ...]]:
    query = select(table).order_by(*table.primary_key)
    return [tuple(row) for row in connection.execute(query)]


def peak_kb() -> int:
    """The most memory that this process has had, in kB."""
    # Of getrusage, what the parent had before this process began counts as well.
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1])
    raise AssertionError("this system does not tell")


def _copy(given: dict[str, Any]) -> None:
    from vinci_code.database.fallback.mirror import _Stage

    url = URL.create(
        "databricks+vinci",
        host=given["host"],
        port=given["port"],
        query={name: given[name] for name in ("http_path", "catalog", "schema")},
    )
    online = create_engine(
        url,
        connect_args={"access_token": given["token"], "_tls_trusted_ca_file": given["ca"]},
    )
    fallback = Fallback(online, Path(given["file"]), METADATA)
    swap = _Stage.swap

    def announced(self: _Stage, *args: Any) -> None:
        print("swap", flush=True)
        swap(self, *args)

    _Stage.swap = announced  # type: ignore[assignment, method-assign]
    refresh(
        fallback,
        ["items"],
        lambda name, rows, total: print(f"{rows} {peak_kb()}", flush=True),
    )
    fallback.dispose()
    online.dispose()
    print("done", flush=True)


if __name__ == "__main__":
    _copy(json.loads(sys.argv[1]))
