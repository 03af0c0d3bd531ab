"""Mapped classes and objects: what a flush does beside columns is done, or refused by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import pytest
import sqlalchemy as sa
from sqlalchemy import orm
from sqlalchemy.exc import ArgumentError

from tests.dialect.held import rows_of
from vinci_code.core.errors import LoadRefusedError
from vinci_code.database import load


class Base(orm.DeclarativeBase):
    pass


class Key:
    id: orm.Mapped[int] = orm.mapped_column(
        sa.BigInteger, primary_key=True, autoincrement=False, sort_order=-1
    )


class Parent(Key, Base):
    __tablename__ = "parents"

    children: orm.Mapped[list[Child]] = orm.relationship(back_populates="parent")


class Child(Key, Base):
    __tablename__ = "children"

    parent_id: orm.Mapped[int | None] = orm.mapped_column(sa.ForeignKey("parents.id"))
    parent: orm.Mapped[Parent | None] = orm.relationship(back_populates="children")
    toys: orm.WriteOnlyMapped[Toy] = orm.relationship()


class Toy(Key, Base):
    __tablename__ = "toys"

    child_id: orm.Mapped[int | None] = orm.mapped_column(sa.ForeignKey("children.id"))


class Employee(Key, Base):
    __tablename__ = "employees"

    kind: orm.Mapped[str | None]
    name: orm.Mapped[str | None]
    __mapper_args__: ClassVar[Any] = {"polymorphic_on": "kind", "polymorphic_identity": "employee"}


class Manager(Employee):
    __mapper_args__: ClassVar[Any] = {"polymorphic_identity": "manager"}


class Versioned(Key, Base):
    __tablename__ = "versioned"

    version: orm.Mapped[int | None] = orm.mapped_column()
    __mapper_args__: ClassVar[Any] = {"version_id_col": version}


Base.registry.configure()


@pytest.fixture(autouse=True)
def tables(request: pytest.FixtureRequest) -> None:
    if "engine" in request.fixturenames:
        Base.metadata.create_all(request.getfixturevalue("engine"))


def test_a_class_of_several_in_one_table_is_told_by_its_column(engine: sa.Engine) -> None:
    for given in (Manager, Employee):
        with pytest.raises(ArgumentError, match="has no 'kind', by which"):
            load(engine, given, [{"id": 1, "name": "a"}])
    load(engine, Manager, [{"id": 1, "name": "a", "kind": "manager"}])
    load(engine, Manager, [Manager(id=2, name="b")])
    load(engine, Employee, [Employee(id=3)], mode="insert_missing")
    with orm.Session(engine) as session:
        found = session.scalars(sa.select(Manager).order_by(Manager.id)).all()
        assert [one.id for one in found] == [1, 2]
    with pytest.raises(ArgumentError, match="'manager' for a Manager"):
        load(engine, Manager, [{"id": 9}])


@pytest.mark.parametrize("mode", ["replace", "upsert"])
def test_rows_of_other_classes_are_not_touched(engine: sa.Engine, mode: Any) -> None:
    load(engine, Employee, [Employee(id=1)])
    with pytest.raises(ArgumentError, match=f"rows mode='{mode}' would change"):
        load(engine, Manager, [{"id": 1, "kind": "manager"}], mode=mode)
    assert rows_of(engine, Employee.__table__) == [(1, "employee", None)]
    load(engine, Employee, [{"id": 1, "kind": "manager"}], mode=mode)
    assert rows_of(engine, Employee.__table__) == [(1, "manager", None)]


def _toys() -> Child:
    child = Child(id=2)
    child.toys.add(Toy(id=1))
    return child


@pytest.mark.parametrize(
    "make",
    [
        lambda: Child(id=2, parent=Parent(id=5)),
        lambda: Child(id=2, parent_id=5, parent=None),
        lambda: Parent(id=2, children=[Child(id=6)]),
        lambda: Parent(id=5, children=[Child(id=2)]).children[0],
        _toys,
    ],
)
def test_an_object_with_others_beside_it_is_refused(
    engine: sa.Engine, make: Callable[[], Any]
) -> None:
    given = make()
    kind = type(given)
    with pytest.raises(LoadRefusedError, match=r"row 2 cannot .*(\n.*)session\.add_all"):
        load(engine, kind, [kind(id=1), given])
    assert rows_of(engine, kind.__table__) == []


def test_objects_whose_relationships_are_empty_are_taken(engine: sa.Engine) -> None:
    load(engine, Parent, [Parent(id=1, children=[])])
    load(engine, Child, [Child(id=1, parent=None), Child(id=2, parent_id=1)])
    assert rows_of(engine, Child.__table__) == [(1, None), (2, 1)]


def test_a_class_that_counts_versions_is_refused(engine: sa.Engine) -> None:
    with pytest.raises(ArgumentError, match="version_id_col"):
        load(engine, Versioned, [{"id": 1, "version": 1}])
    for target in (Versioned, Versioned.__table__):
        with pytest.raises((ArgumentError, LoadRefusedError), match="version_id_col"):
            load(engine, target, [Versioned(id=1)])
    load(engine, Versioned.__table__, [{"id": 1, "version": 1}])
    assert rows_of(engine, Versioned.__table__) == [(1, 1)]
