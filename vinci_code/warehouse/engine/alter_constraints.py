"""ALTER TABLE: adding and dropping constraints."""
# ruff: noqa: S608 - the names and values in this SQL are made by the engine itself

from __future__ import annotations

from dataclasses import replace

from vinci_code.warehouse.engine.alteration import Alteration
from vinci_code.warehouse.engine.columns import (
    invalid_key,
    read_key,
    resolve_key,
)
from vinci_code.warehouse.engine.model import (
    CheckConstraint,
)
from vinci_code.warehouse.engine.names import backtick, duckdb_name
from vinci_code.warehouse.engine.rows import staged_relation
from vinci_code.warehouse.engine.store import select_rows
from vinci_code.warehouse.engine.work import refuse_chance
from vinci_code.warehouse.sql import parse
from vinci_code.warehouse.sql.errors import SqlError


def add_constraint(change: Alteration) -> None:
    """Run ADD CONSTRAINT, and ADD of a key without a name."""
    reader = change.reader
    named = reader.lexemes[reader.index - 1].text.upper() == "CONSTRAINT"
    first = reader.index
    name = reader.identifier() if named else None
    if named and reader.accept("CHECK"):
        _add_check(change, name or "", reader.enclosed())
        return
    reader.index = first - 1
    spec = read_key(reader)
    schema = change.schema
    if spec.kind == "PRIMARY KEY":
        if schema.primary_key is not None:
            raise invalid_key(f"The table {change.table.name} has a primary key already.")
        loose = [item for item in spec.columns if schema.column(item).nullable]
        if loose:
            raise invalid_key(
                f"Cannot create the primary key {backtick(spec.name or 'primary key')} because its "
                f"child column(s) {', '.join(backtick(item) for item in loose)} is nullable. "
                "Please change the column nullability and retry."
            )
    key = resolve_key(change.work, change.table.name, schema, spec)
    change.commit(replace(schema, keys=(*schema.keys, key)), "ADD CONSTRAINT", {"name": key.name})


def _add_check(change: Alteration, name: str, condition: str) -> None:
    schema, work, state = change.schema, change.work, change.state
    for check in schema.checks:
        if check.name == name.lower():
            raise SqlError(
                "DELTA_CONSTRAINT_ALREADY_EXISTS",
                "42710",
                f"Constraint '{name}' already exists. Please delete the old constraint first. Old "
                f"constraint: {check.condition}",
            )
    refuse_chance("CHECK constraint", parse.parse_expression(condition))
    alias = state.name.name
    rows = select_rows(state)
    translated = work.text_expression(condition, (alias, staged_relation(state, f"({rows})")))
    work.binds.clear()
    if translated.type.name != "BOOLEAN":
        raise SqlError(
            "DELTA_NON_BOOLEAN_CHECK_CONSTRAINT",
            "42621",
            f"CHECK constraint '{name}' ({condition}) should be a boolean expression.",
        )
    count = work.run(
        f"SELECT count(*) FROM ({rows}) AS {duckdb_name(alias)} "
        f"WHERE NOT coalesce({translated.sql}, false)",
        translated.binds,
    )[0][0]
    if count:
        raise SqlError(
            "DELTA_NEW_CHECK_CONSTRAINT_VIOLATION",
            "23512",
            f"{count} rows in {change.table.name} violate the new CHECK constraint ({condition})",
        )
    changed = replace(schema, checks=(*schema.checks, CheckConstraint(name.lower(), condition)))
    change.commit(changed, "ADD CONSTRAINT", {"name": name, "expr": condition})


def drop_constraint(change: Alteration) -> None:
    """Run DROP CONSTRAINT."""
    reader, schema = change.reader, change.schema
    tolerant = reader.if_exists()
    name = reader.identifier()
    reader.accept_any("RESTRICT", "CASCADE")
    lowered = name.lower()
    keys = tuple(key for key in schema.keys if key.name != lowered)
    checks = tuple(check for check in schema.checks if check.name != lowered)
    if len(keys) == len(schema.keys) and len(checks) == len(schema.checks):
        if tolerant:
            return
        raise SqlError(
            "DELTA_CONSTRAINT_DOES_NOT_EXIST",
            "42704",
            f"Cannot drop nonexistent constraint {name} from table {change.table.name}. To avoid "
            "throwing an error, provide the parameter IF EXISTS.",
        )
    change.commit(replace(schema, keys=keys, checks=checks), "DROP CONSTRAINT", {"name": name})


def drop_key(change: Alteration, kind: str) -> None:
    """Run DROP PRIMARY KEY and DROP FOREIGN KEY."""
    reader, schema = change.reader, change.schema
    tolerant = reader.if_exists()
    columns = reader.identifier_list() if reader.peek("(") else None
    reader.accept_any("RESTRICT", "CASCADE")

    def matches(columns_of_key: tuple[str, ...]) -> bool:
        wanted = [item.lower() for item in columns or columns_of_key]
        return [item.lower() for item in columns_of_key] == wanted

    keys = tuple(key for key in schema.keys if not (key.kind == kind and matches(key.columns)))
    if len(keys) == len(schema.keys):
        if tolerant:
            return
        raise SqlError(
            "DELTA_CONSTRAINT_DOES_NOT_EXIST",
            "42704",
            f"Cannot drop nonexistent constraint {kind} from table {change.table.name}.",
        )
    change.commit(replace(schema, keys=keys), "DROP CONSTRAINT")
