"""Which foreign keys are declared on the warehouse.

A FOREIGN KEY of Unity Catalog refers to the primary key of its parent; CREATE TABLE fails with any
other, which SQLite takes:
https://docs.databricks.com/aws/en/sql/language-manual/sql-ref-syntax-ddl-create-table-constraint
It says nothing there that would be enforced, so a key that cannot be declared is left out. With
``enforce_foreign_keys`` it is checked all the same.
"""

from __future__ import annotations

from sqlalchemy.schema import ForeignKeyConstraint

DECLARED = "vinci_declared"
"""In ``ForeignKeyConstraint.info``: whether it is declared, where the warehouse was asked."""


def is_declared_key(constraint: ForeignKeyConstraint) -> bool:
    """Whether a foreign key is declared: its parent's primary key is what it refers to.

    Raises:
        NoReferenceError: The table or the column that it refers to is not in the ``MetaData``.
    """
    known: bool | None = constraint.info.get(DECLARED)
    if known is not None:
        return known
    if not constraint.elements:
        return True  # only its name is known
    parent = constraint.referred_table
    return refers_to(constraint, [column.name for column in parent.primary_key.columns])


def refers_to(constraint: ForeignKeyConstraint, key: list[str]) -> bool:
    """Whether the columns that a foreign key refers to are those of a primary key, in any order."""
    referred = [element.column.name for element in constraint.elements]
    return sorted(map(str.lower, referred)) == sorted(map(str.lower, key))
