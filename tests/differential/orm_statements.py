"""Statements of SQLAlchemy's ORM, as Python: objects are named o1, o2, … within a unit."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapper

from tests.differential.expressions import GENERATED, Expressions
from tests.differential.tables import Base
from tests.differential.values import domain, written

_SYNCHRONIZE = ["'auto'", "'fetch'", "'evaluate'", "False"]
_RELATED = {
    "Item": "tags",
    "Tag": "item",
    "Student": "courses",
    "Course": "students",
    "Node": "children",
}
_CLASSES: dict[str, Mapper[Any]] = {
    mapper.class_.__name__: mapper
    for mapper in sorted(Base.registry.mappers, key=lambda mapper: mapper.class_.__name__)
}


class OrmStatements:
    """Makes statements for a ``Session``, within one unit.

    Args:
        chooser: What is chosen.
        tables: The tables that sub-selects may read.
    """

    def __init__(self, chooser: random.Random, tables: Sequence[sa.Table]) -> None:
        self._chooser = chooser
        self._made = Expressions(chooser, tables)
        self._objects: list[tuple[str, str]] = []
        self._number = 0

    def write(self, table: sa.Table) -> list[str]:
        """One or more lines that change objects of a class of a table."""
        names = [name for name, mapper in _CLASSES.items() if table in mapper.tables]
        if not names:
            return self._relate("Student")
        name = self._chooser.choice(names)
        forms = [
            (6, self._add),
            (5, self._change),
            (3, self._remove),
            (2, self._merge),
            (3, self._relate),
            (2, self._bulk),
            (3, self._update_rows),
            (2, self._delete_rows),
            (2, self._again),
            (2, self._behind),
            (2, lambda _: ["session.flush()"]),
        ]
        chosen = self._chooser.choices([f for _, f in forms], [w for w, _ in forms])[0]
        lines = chosen(name)
        return lines or self._add(name)

    def read(self, table: sa.Table) -> list[str]:
        """A query for objects."""
        names = [name for name, mapper in _CLASSES.items() if table in mapper.tables]
        if not names:
            return ["see(session.query(Student).filter(Student.courses.any()))"]
        name = self._chooser.choice(names)
        roll = self._chooser.random()
        if roll < 0.25 and self._objects:
            variable, of = self._chooser.choice(self._objects)
            column = self._attribute(of)
            return [f"if {variable}: see({variable}.{column.key})"]
        if roll < 0.4 and self._key(name) is not None:
            return [f"see(session.get({name}, {self._key(name)}))"]
        if roll < 0.5:
            return [f"see(session.query({name}).count())"]
        if roll < 0.7 and name in _RELATED:
            return self._related(name)
        return [f"see(session.query({name}).filter({self._condition(name)}))"]

    def _related(self, name: str) -> list[str]:
        """What objects are related to, loaded late or early."""
        relation = _RELATED[name]
        if self._chooser.random() < 0.5:
            lines: list[str] = []
            variable = self._one(name, lines)
            return [*lines, f"if {variable}: see({variable}.{relation})"]
        how = self._chooser.choice(["joinedload", "selectinload"])
        query = f"session.query({name}).options({how}({name}.{relation}))"
        return [f"see([(o, o.{relation}) for o in {query}])"]

    def _key(self, name: str) -> str | None:
        """A value for the key of a class; none where it is given out by the database."""
        keys: Any = _CLASSES[name].primary_key
        if any(str(c) in GENERATED for c in keys):
            return None
        values = tuple(self._chooser.choice(domain(c)) for c in keys)
        return written(values[0] if len(values) == 1 else values)

    def _columns(self, name: str) -> list[sa.Column[Any]]:
        mapper = _CLASSES[name]
        return [
            column
            for attribute in mapper.column_attrs
            for column in attribute.columns[:1]
            if isinstance(column, sa.Column)
            and str(column) not in GENERATED
            and column.computed is None
            and column is not mapper.polymorphic_on
            and column is not mapper.version_id_col
        ]

    def _attribute(self, name: str) -> sa.Column[Any]:
        return self._chooser.choice(self._columns(name))

    def _condition(self, name: str, *, writes: bool = False) -> str:
        table: Any = _CLASSES[name].local_table
        if name == "Employee":
            return "Employee.salary > 1"
        return self._made.condition(table, name, apart=table.columns if writes else ())

    def _new(self, name: str) -> str:
        values = {
            c.key: self._made.value(c)
            for c in self._columns(name)
            if c.primary_key or not c.nullable or self._chooser.random() < 0.6
        }
        for column in self._columns(name):
            chance = self._chooser.random()
            if column.key in values and not column.primary_key and chance < 0.08:
                values[column.key] = self._made.inserted(column)
        return f"{name}({', '.join(f'{key}={written(value)}' for key, value in values.items())})"

    def _fresh(self, name: str) -> str:
        self._number += 1
        self._objects.append((f"o{self._number}", name))
        return f"o{self._number}"

    def _one(self, name: str, lines: list[str]) -> str | None:
        """A variable with an object of a class; it is loaded if there is none."""
        known = [variable for variable, of in self._objects if of == name]
        if known and self._chooser.random() < 0.6:
            return self._chooser.choice(known)
        key = self._key(name)
        variable = self._fresh(name)
        if key is None or self._chooser.random() < 0.3:
            order = ", ".join(f"{name}.{c.key}" for c in _CLASSES[name].primary_key)
            lines.append(f"{variable} = session.query({name}).order_by({order}).first()")
        else:
            lines.append(f"{variable} = session.get({name}, {key})")
        return variable

    # --- writes ---------------------------------------------------------------------------------

    def _add(self, name: str) -> list[str]:
        if self._chooser.random() < 0.3:
            objects = [self._new(name) for _ in range(self._chooser.randint(2, 3))]
            return [f"session.add_all([{', '.join(objects)}])"]
        made = self._new(name)
        variable = self._fresh(name)
        return [f"{variable} = {made}", f"session.add({variable})"]

    def _change(self, name: str) -> list[str]:
        lines: list[str] = []
        variable = self._one(name, lines)
        for _ in range(self._chooser.randint(1, 2)):
            column = self._attribute(name)
            if column.primary_key and self._chooser.random() < 0.6:
                continue
            value = written(self._made.value(column))
            if self._chooser.random() < 0.25 and not column.primary_key:
                value = written(self._made.updated(column, _of(name, column)))
            lines.append(f"if {variable}: {variable}.{column.key} = {value}")
        return lines

    def _remove(self, name: str) -> list[str]:
        lines: list[str] = []
        variable = self._one(name, lines)
        lines.append(f"if {variable} and {variable} in session: session.delete({variable})")
        return lines

    def _merge(self, name: str) -> list[str]:
        return [f"session.merge({self._new(name)})"] if self._key(name) else []

    def _relate(self, name: str) -> list[str]:
        relations = {
            "Tag": ("Item", "item = {}"),
            "Item": ("Tag", "tags.append({})"),
            "Student": ("Course", "courses.append({})"),
            "Course": ("Student", "students = [{}]"),
            "Node": ("Node", "parent = {}"),
        }
        if name not in relations:
            return []
        other, form = relations[name]
        if name == "Node" and self._chooser.random() < 0.5:
            form = "children.append({})"
        lines: list[str] = []
        variable = self._one(name, lines)
        if self._chooser.random() < 0.5:
            return [*lines, f"if {variable}: {variable}.{form.format(self._new(other))}"]
        target = self._one(other, lines)
        return [*lines, f"if {variable} and {target}: {variable}.{form.format(target)}"]

    def _bulk(self, name: str) -> list[str]:
        columns = [c for c in self._columns(name) if c.primary_key or self._chooser.random() < 0.6]
        columns += [c for c in self._columns(name) if not c.nullable and c not in columns]
        if name == "Employee":
            return []
        rows = [
            {c.key: self._made.value(c) for c in columns}
            for _ in range(self._chooser.randint(1, 3))
        ]
        listed = f"[{', '.join(map(written, rows))}]"
        forms = [
            f"session.bulk_insert_mappings({name}, {listed})",
            f"session.execute(insert({name}), {listed})",
        ]
        changes = len(columns) > len(_CLASSES[name].primary_key)
        if changes and self._key(name) is not None and _CLASSES[name].version_id_col is None:
            forms.append(f"session.bulk_update_mappings({name}, {listed})")
            forms.append(f"session.execute(update({name}), {listed})")
        return [self._chooser.choice(forms)]

    def _update_rows(self, name: str) -> list[str]:
        columns = [c for c in self._columns(name) if not c.primary_key and c.table.name != "person"]
        if not columns or name == "Employee":
            return []
        column = self._chooser.choice(columns)
        value = (
            self._made.updated(column, _of(name, column))
            if self._chooser.random() < 0.4
            else self._made.value(column)
        )
        how = self._chooser.choice(_SYNCHRONIZE)
        condition = self._condition(name, writes=True)
        if self._chooser.random() < 0.3:
            values = f"{{{column.key!r}: {written(value)}}}"
            query = f"session.query({name}).filter({condition})"
            return [f"{query}.update({values}, synchronize_session={how})"]
        text = f"update({name}).where({condition}).values({column.key}={written(value)})"
        return [f"session.execute({text}, execution_options={{'synchronize_session': {how}}})"]

    def _delete_rows(self, name: str) -> list[str]:
        if name in ("Employee", "Person"):
            return []
        how = self._chooser.choice(_SYNCHRONIZE)
        text = f"delete({name}).where({self._condition(name, writes=True)})"
        return [f"session.execute({text}, execution_options={{'synchronize_session': {how}}})"]

    def _behind(self, name: str) -> list[str]:
        """Change a row behind the back of its object, and then the object."""
        key = self._key(name)
        table: Any = _CLASSES[name].local_table
        columns = [c for c in self._columns(name) if not c.primary_key and c.table is table]
        if key is None or not columns or len(table.primary_key.columns) > 1:
            return []
        variable, column = self._fresh(name), self._chooser.choice(columns)
        (of,) = table.primary_key.columns
        values = [written(self._made.value(column)) for _ in range(2)]
        update = f"update({table.name}).where({table.name}.c.{of.key} == {key})"
        return [
            f"{variable} = session.get({name}, {key})",
            f"session.execute({update}.values({column.key}={values[0]}))",
            f"if {variable}: {variable}.{column.key} = {values[1]}",
        ]

    def _again(self, name: str) -> list[str]:
        """Load an object again, or have it loaded again."""
        lines: list[str] = []
        variable = self._one(name, lines)
        does = self._chooser.choice(["refresh", "expire", "expunge"])
        lines.append(f"if {variable} and {variable} in session: session.{does}({variable})")
        return lines


def _of(name: str, column: sa.Column[Any]) -> str:
    """What the column is an attribute of, as an expression that an object is given."""
    return name if column.table is _CLASSES[name].local_table else f"{column.table.name}.c"
