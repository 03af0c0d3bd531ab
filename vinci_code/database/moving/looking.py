"""Looking at what a SQLite file has stored: its columns take what their types do not say."""

from __future__ import annotations

from collections import Counter

from sqlalchemy import Connection

from vinci_code.database.moving.errors import NoPlainValueError
from vinci_code.database.moving.forms import reader
from vinci_code.database.moving.plans import ColumnPlan, Refusal, TablePlan
from vinci_code.database.moving.sqlite_side import SqliteSide, readable

# The storage classes that a kind may have. https://www.sqlite.org/datatype3.html
_CLASSES = {
    "integer": ("integer",),
    "boolean": ("integer",),
    "double": ("real", "integer"),
    "decimal": ("real", "integer"),
    "json": ("text", "integer", "real"),
    "binary": ("blob",),
}
_MOMENTS = frozenset({"moment", "instant"})
_WHOLE_LENGTH = len("2024-02-29 23:59:59.999999")
# Kinds whose stored values have to be read to know whether they are of it.
_READ = frozenset({"boolean", "decimal", "uuid", "date", "time", "moment", "instant"})


def look_at(connection: Connection, table: TablePlan) -> list[Refusal]:
    """Count the rows of a table, and refuse columns with values that are none of their kind.

    Returns:
        What is refused; the number of rows is set in the plan.
    """
    quoted = SqliteSide.quoted
    name = f"main.{quoted(table.name)}"
    parts = ["count(*)"]
    for column in table.columns:
        classes = ", ".join(f"'{one}'" for one in (*_classes(column), "null"))
        parts.append(f"sum(typeof({quoted(column.name)}) NOT IN ({classes}))")
    parts += [f"sum({quoted(one)} IS NULL)" for one in table.key]
    row = connection.exec_driver_sql(f"SELECT {', '.join(parts)} FROM {name}").one()  # noqa: S608
    table.rows = int(row[0])
    refusals = [
        _of_other_classes(connection, table, column)
        for column, wrong in zip(table.columns, row[1:], strict=False)
        if wrong
    ]
    refusals += [
        Refusal(f"{table.name}.{one}", f"{wrong:,} rows have no key", "give each row a key")
        for one, wrong in zip(table.key, row[1 + len(table.columns) :], strict=True)
        if wrong
    ]
    refused = {one.place for one in refusals}
    for column in table.columns:
        if column.kind.name in _READ and f"{table.name}.{column.name}" not in refused:
            refusals += _of_other_forms(connection, table, column)
    return refusals


def _classes(column: ColumnPlan) -> tuple[str, ...]:
    return _CLASSES.get(column.kind.name, ("text",))


def forms_lost(connection: Connection, table: TablePlan) -> list[str]:
    """Texts of moments that the target keeps in another form: what they say is copied, and told."""
    return [
        f"{table.name}.{column.name}: the form of {found:,} texts, which have no six digits of a "
        "second; the moments are the same"
        for column in table.columns
        if column.kind.name in _MOMENTS and not column.as_stored
        for found in [_without_fraction(connection, table, column)]
        if found
    ]


def _without_fraction(connection: Connection, table: TablePlan, column: ColumnPlan) -> int:
    quoted = SqliteSide.quoted
    name = quoted(column.name)
    found = connection.exec_driver_sql(
        f"SELECT count(*) FROM main.{quoted(table.name)} WHERE length({name}) != ?",  # noqa: S608
        (_WHOLE_LENGTH,),
    )
    return int(found.scalar_one())


def _of_other_classes(connection: Connection, table: TablePlan, column: ColumnPlan) -> Refusal:
    name = SqliteSide.quoted(column.name)
    rows = connection.exec_driver_sql(
        f"SELECT typeof({name}), count(*) FROM main.{SqliteSide.quoted(table.name)} "  # noqa: S608
        f"WHERE {name} IS NOT NULL GROUP BY 1 ORDER BY 1"
    )
    found = ", ".join(f"{count:,} {kind}" for kind, count in rows)
    place = f"{table.name}.{column.name}"
    return Refusal(
        place,
        f"declared as {column.source_type}, it is to be {column.kind}, and has stored {found}",
        f"change these values, or say what the column holds, as with --as {place}=text",
    )


def _of_other_forms(connection: Connection, table: TablePlan, column: ColumnPlan) -> list[Refusal]:
    read, wrong, total = reader(column.kind), Counter[str](), 0
    name = SqliteSide.quoted(column.name)
    result = connection.exec_driver_sql(
        f"SELECT {name} FROM main.{SqliteSide.quoted(table.name)} WHERE {name} IS NOT NULL"  # noqa: S608
    )
    for (value,) in readable(result.cursor, table.name):
        try:
            read(value)
        except NoPlainValueError as error:
            wrong[str(error)] += 1
            total += 1
    result.close()
    if not wrong:
        return []
    ((reason, _),) = wrong.most_common(1)
    place = f"{table.name}.{column.name}"
    return [
        Refusal(
            place,
            f"{total:,} of its values are no {column.kind}: {reason}",
            f"change these values, or name another kind, as with --as {place}=text",
        )
    ]
