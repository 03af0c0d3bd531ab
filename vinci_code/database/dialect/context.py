"""What SQLAlchemy does around the execution of a statement."""

from __future__ import annotations

from typing import Any

from sqlalchemy.engine import default
from sqlalchemy.exc import InvalidRequestError

from vinci_code.database.dialect.connecting import checked_seconds
from vinci_code.database.dialect.refusals import IDENTITY_FLUSH

TIMEOUT_OPTION = "databricks_timeout"
"""The execution option for a statement's deadline."""


class VinciExecutionContext(default.DefaultExecutionContext):
    """One execution."""

    def create_default_cursor(self) -> Any:
        """A cursor with the deadline that the execution options name, if they name one."""
        cursor: Any = super().create_default_cursor()
        if TIMEOUT_OPTION in self.execution_options:
            cursor.timeout = checked_seconds(TIMEOUT_OPTION, self.execution_options[TIMEOUT_OPTION])
        return cursor

    def pre_exec(self) -> None:
        """Refuse a flush that could not learn the key of its object, before the row is written.

        Raises:
            InvalidRequestError: The key is one of an IDENTITY column.
        """
        # The ORM's own statements come with the compiled cache of the mapper.
        if self.isinsert and not self.executemany and "compiled_cache" in self.execution_options:
            column = self._unknown_key()
            if column is not None:
                raise InvalidRequestError(
                    IDENTITY_FLUSH.format(f"{column.table.fullname}.{column.name}", "Model")
                )

    def post_exec(self) -> None:
        """Keep how many rows an INSERT wrote, which the cursor forgets when it is closed."""
        if self.isinsert and self._rowcount is None:
            self._rowcount = self.cursor.rowcount

    def _unknown_key(self) -> Any:
        compiled: Any = self.compiled
        table = compiled.compile_state.dml_table
        for column in table.primary_key:
            given = self.compiled_parameters[0] if self.compiled_parameters else {}
            if column.identity is not None and given.get(column.key) is None:
                return column
        return None
