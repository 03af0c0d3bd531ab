"""Several writes to one table as one statement: a MERGE of what they leave of it.

Where there are no transactions, a unit of work is all-or-nothing if it is one statement. What its
writes leave of a table is known (``layers``): the rows that differ from those that are stored are
changed, inserted and deleted by one MERGE. Each write makes sure of its constraints as it would by
itself, on what was before it.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy.schema import Table

from vinci_code.database.dialect.types.base import innermost
from vinci_code.database.dialect.types.documents import VARIANT
from vinci_code.database.dialect.types.nested import MAP
from vinci_code.database.dialect.writes.guards import unless_raised
from vinci_code.database.dialect.writes.layers import CannotLayError, Layers
from vinci_code.database.dialect.writes.sets import Checks, SetWriter
from vinci_code.database.dialect.writes.shapes import BEFORE, ROWS, Field, Shape, WriteKind

_AFTER = "vinci_after"
_KEY, _GONE = "vinci_key_", "vinci_gone"
# Of these, two values cannot be compared there.
_NOT_COMPARED = (MAP, VARIANT)


def merged(layers: Layers, table: Table, dialect: Any, *, unique: bool) -> str:
    """The MERGE of what writes leave of a table.

    Args:
        layers: The writes, laid over the table.
        table: The table.
        dialect: The dialect.
        unique: Whether it makes sure that what is unique in the table comes once, since a write
            may break that which is no set of rows.

    Raises:
        CannotLayError: It cannot be made.
    """
    key = list(table.primary_key)
    if not key or any(isinstance(innermost(c.type, dialect), _NOT_COMPARED) for c in table.columns):
        raise CannotLayError("the table has no primary key, or a column that cannot be compared")
    format_column = dialect.identifier_preparer.format_column
    names = [str(format_column(column)) for column in table.columns]
    keys = [str(format_column(column)) for column in key]
    target = str(dialect.identifier_preparer.format_table(table))
    after = layers.names[table]
    source = _differing(after, target, names, keys)
    fields = tuple(
        Field(column, name, f"{ROWS}.{name}", f"{ROWS}.{name}")
        for column, name in zip(table.columns, names, strict=True)
    )
    shape = Shape(WriteKind.INSERT, table, target, fields, ())
    writer = SetWriter(shape, Checks(hide_keys=dialect.hide_keys), dialect)
    # The warehouse looks at what is stored, and not at what was so in between.
    checks = [check for name in layers.passed(table) for check in writer.kept(name)]
    checks += writer.twice(f"SELECT * FROM {after}") if unique else ()
    if checks:
        source = f"SELECT {ROWS}.* {unless_raised(checks, f'({source}) AS {ROWS}')}"
    on = " AND ".join(
        f"{target}.{name} = {ROWS}.{_KEY}{number}" for number, name in enumerate(keys)
    )
    sets = ", ".join(f"{name} = {ROWS}.{name}" for name in names if name not in keys)
    changed = f"WHEN MATCHED THEN UPDATE SET {sets} " if sets else ""
    return (
        f"MERGE INTO {target} USING (WITH {', '.join(layers.texts)} {source}) AS {ROWS} ON {on} "
        f"WHEN MATCHED AND {ROWS}.{_GONE} THEN DELETE {changed}"
        f"WHEN NOT MATCHED THEN INSERT ({', '.join(names)}) "
        f"VALUES ({', '.join(f'{ROWS}.{name}' for name in names)})"
    )


def _differing(after: str, target: str, names: list[str], keys: list[str]) -> str:
    """The rows that differ, each with the key of the one that is stored."""
    on = " AND ".join(f"{_AFTER}.{name} = {BEFORE}.{name}" for name in keys)
    stored = ", ".join(f"{BEFORE}.{name} AS {_KEY}{n}" for n, name in enumerate(keys))
    same = " AND ".join(f"{_AFTER}.{name} <=> {BEFORE}.{name}" for name in names)
    return (
        f"SELECT {', '.join(f'{_AFTER}.{name}' for name in names)}, {stored}, "
        f"{_AFTER}.{keys[0]} IS NULL AS {_GONE} "
        f"FROM {after} AS {_AFTER} FULL OUTER JOIN {target} AS {BEFORE} ON {on} WHERE NOT ({same})"
    )
