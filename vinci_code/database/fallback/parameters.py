"""Parameters of rows that are given whole, taken as they are.

For each row SQLAlchemy looks at each parameter of a statement: is it given, required, computed? On
the standby a row passes that twice, for SQLite and for what the warehouse would hold, which was a
third of an INSERT of 10,000 rows.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy.sql.compiler import SQLCompiler


class WholeRows(SQLCompiler):
    """Takes a row as it is that names each parameter, and nothing else."""

    # Of the compiler of keys: the parameter that gets one where it is None.
    _made_key: str | None = None
    _whole: frozenset[str] | None = None

    def construct_params(self, params: Any = None, *args: Any, **kw: Any) -> Any:
        """Return the parameters of one row."""
        if (
            params
            and type(params) is dict
            and params.keys() == self._names_of_a_row()
            and kw.get("escape_names") is False
            and not kw.get("_collected_params")
            and (self._made_key is None or params.get(self._made_key) is not None)
        ):
            return params.copy()
        return super().construct_params(params, *args, **kw)

    def _names_of_a_row(self) -> frozenset[str]:
        """The names of all parameters; none of them where they are not those of the columns."""
        if self._whole is None:
            named = {bind.key: name for bind, name in self.bind_names.items()}
            alike = len(named) == len(self.bind_names) and all(k == v for k, v in named.items())
            special = self.literal_execute_params or self.post_compile_params
            self._whole = frozenset(named if alike and not special else ())
        return self._whole
