"""What a client's check tells: runs in the client's own environment, with Python alone."""

from __future__ import annotations

import json
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from typing import Any

RESULT = "RESULT "
"""What the line with the counts begins with."""


class Checks:
    """Counts what was right and what was wrong, each with its name."""

    def __init__(self) -> None:
        self.passed: list[str] = []
        self.failed: list[str] = []

    def step(self, name: str, action: Callable[[], Any]) -> Any:
        """Do something that has to succeed; what it returns, or ``None`` where it failed."""
        try:
            found = action()
        except Exception as error:  # noqa: BLE001 - whatever a client raises is counted
            traceback.print_exc()
            self._wrong(name, f"{type(error).__name__}: {error}")
            return None
        self.passed.append(name)
        print(f"  ok    {name}", flush=True)
        return found

    def equal(self, name: str, found: Callable[[], Any], expected: Any) -> None:
        """Compare what a client has read with what it has to be."""

        def compared() -> None:
            value = found()
            assert value == expected, f"found {value!r}, expected {expected!r}"

        self.step(name, compared)

    def end(self) -> None:
        """Print the counts for :mod:`tests.clients.suites`, and end the process."""
        print(RESULT + json.dumps({"passed": len(self.passed), "failed": self.failed}), flush=True)
        sys.stdout.flush()
        # Some clients leave threads and sessions behind, which the interpreter would wait for.
        os._exit(bool(self.failed))

    def _wrong(self, name: str, why: str) -> None:
        self.failed.append(name)
        print(f"  WRONG {name}: {why[:2000]}", flush=True)


def connect_arguments() -> dict[str, Any]:
    """What the vendor's driver for Python takes, from the environment."""
    return {
        "server_hostname": "localhost",
        "_port": int(os.environ["DATABRICKS_PORT"]),
        "http_path": os.environ["DATABRICKS_HTTP_PATH"],
        "access_token": os.environ["DATABRICKS_TOKEN"],
        "_tls_trusted_ca_file": os.environ["DATABRICKS_CA_FILE"],
        "enable_telemetry": False,
    }


def rows_of(statement: str) -> Sequence[tuple[Any, ...]]:
    """The rows of a statement, asked beside the client, with the vendor's driver."""
    from databricks import sql

    with sql.connect(**connect_arguments()) as connection, connection.cursor() as cursor:
        return [tuple(row) for row in cursor.execute(statement).fetchall()]
