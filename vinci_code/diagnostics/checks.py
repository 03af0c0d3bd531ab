"""What a check is, and what checks pass on to later ones."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vinci_code.core.config import Settings
from vinci_code.database.databricks_connector import DatabricksConnector
from vinci_code.diagnostics.report import Finding

if TYPE_CHECKING:
    from vinci_code.database.databricks.failures import Failure
    from vinci_code.database.dialect.driver.dbapi import Connection


@dataclass
class Context:
    """What the checks work with, and what they have found so far.

    Attributes:
        load_settings: Where the settings come from.
        write: Whether a scratch table may be made.
        require_databricks: Whether Databricks has to be switched on.
        start_budget: Seconds that a stopped warehouse is given to start.
        progress: Called with what is being waited for.
        settings: Set once they were read.
        connector: Set once the settings name a warehouse.
        connection: Set once a session was opened.
        namespace_failure: Why no session could be opened in the catalog and schema of the settings,
            where one was opened without them.
    """

    load_settings: Callable[[], Settings]
    write: bool
    require_databricks: bool
    start_budget: float
    progress: Callable[[str], None]
    settings: Settings | None = None
    connector: DatabricksConnector | None = None
    connection: Connection | None = None
    namespace_failure: Failure | None = None

    @property
    def backend(self) -> str | None:
        """Which database the settings choose, if they could be read."""
        if self.settings is None:
            return None
        return "databricks" if self.settings.database.use_databricks else "sqlite"

    def close(self) -> None:
        """Close what was opened."""
        if self.connector is not None:
            self.connector.close()

    def the_connector(self) -> DatabricksConnector:
        """The connector, for the checks that only run when there is one."""
        assert self.connector is not None  # noqa: S101 - such checks need 'driver'
        return self.connector

    def the_connection(self) -> Connection:
        """The open connection, for the checks that only run when there is one."""
        assert self.connection is not None  # noqa: S101 - such checks need 'warehouse'
        return self.connection


SLOW_TO_LOAD = (
    "nothing was contacted; this machine loads Python packages slowly: try again, and see whether "
    "a virus scanner looks into each file, or the packages lie on a network drive"
)
"""What to do where reading the settings, or loading the driver, takes too long."""


def _never(_context: Context) -> str | None:
    return None


@dataclass(frozen=True)
class Check:
    """One check.

    Attributes:
        name: For machines.
        title: For people.
        deadline: Seconds it may take, on top of what it waits for a warehouse to start.
        run: Does it; what it raises is a failure.
        needs: Names of the checks that have to have succeeded.
        skip_if: Why it is left out, or ``None``.
        waits_for_start: Whether the start budget is added to the deadline.
        when_late: What to do if it is not done by its deadline.
    """

    name: str
    title: str
    deadline: float
    run: Callable[[Context], Finding]
    needs: tuple[str, ...] = ()
    skip_if: Callable[[Context], str | None] = _never
    waits_for_start: bool = False
    when_late: str = "try again; if it stays, look at the network between here and there"

    def seconds(self, context: Context) -> float:
        """The deadline under these circumstances."""
        return self.deadline + (context.start_budget if self.waits_for_start else 0.0)
