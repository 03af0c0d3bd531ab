"""A whole Alembic project: 30 revisions, on SQLite and on the warehouse, up, down and as a script.

Names with capitals, renames, branches and a merge, rows by every way that a revision has, foreign
keys, indexes, comments and defaults. After each revision the models are those of that revision.
"""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import alembic.command
import pytest
from sqlalchemy import Engine, MetaData, inspect, text
from sqlalchemy.engine.reflection import Inspector

from tests.full import some
from tests.integration.test_alembic_env import Project, configure
from vinci_code.database import create_configured_engine
from vinci_code.database.dialect.text.scanning import parts_of
from vinci_code.warehouse.pytest_plugin import TestWarehouse

pytestmark = pytest.mark.slow

ODD = "a;b\n\nc -- d"
"""What ends a statement outside of a literal."""
DEFAULT = "x;y -- z"
"""The same for a default: Alembic compares none on SQLite that has several lines."""

CUSTOMER = """
Table("Customer", M, Column("Id", Integer, primary_key=True), {columns}comment="who; buys")
"""
ORDER = """
Table("{name}", M, Column("Id", Integer, primary_key=True),
    Column("customerId", Integer, ForeignKey("Customer.Id", name="FK_Order_Customer")),
    Column("Total", Numeric({precision}, 2)){more})
"""
LINE = """
Table("OrderLine", M, Column("orderId", Integer,
        ForeignKey("SalesOrder.Id", name="FK_Line_Order"), primary_key=True),
    Column("Line", Integer, primary_key=True, autoincrement=False), Column("What", String(40)))
"""
TAG = """
Table("Tag", M, Column("Id", Integer, primary_key=True), Column("Label", String(20)){more})
"""
CUSTOMER_TAG = """
Table("CustomerTag", M,
    Column("customer", Integer, ForeignKey("Customer.Id", name="FK_CT_C"), primary_key=True),
    Column("tag", Integer, ForeignKey("Tag.Id", name="FK_CT_T"), primary_key=True))
"""
AUDIT = """
Table("Audit", M, Column("Id", Integer, primary_key=True),
    Column("{at}", DateTime, server_default=func.now(), nullable=False),
    Column("Level", Integer, server_default="-1"){more})
"""
ALIAS = """
Table("Alias", M, Column("Id", Integer, primary_key=True),
    Column("mail", String(80), ForeignKey("Customer.EMail", name="FK_Alias_Mail")))
"""


class Revision(NamedTuple):
    """A revision, and what the models are behind it.

    Attributes:
        upgrade: Its way up.
        downgrade: Its way down.
        tables: The tables that are new in the models, or not as before; ``None`` is gone.
        after: The revisions that it follows; the one before it where there is none.
    """

    upgrade: str
    downgrade: str
    tables: Mapping[str, str | None] = {}
    after: tuple[int, ...] = ()


def customer(*columns: str) -> str:
    return CUSTOMER.format(columns="".join(f"{column}, " for column in columns))


def changed(table: str, *steps: str) -> str:
    lines = [f'with op.batch_alter_table("{table}") as batch:', *(f"    batch.{s}" for s in steps)]
    return "\n".join(lines)


NAME = 'Column("Name", String(40), nullable=False)'
NAMED = f'Column("Name", String(40), nullable=False, server_default="{DEFAULT}")'
MAIL = 'Column("{}", String(80))'
ACTIVE = 'Column("Active", Boolean, nullable=False, server_default=true())'
SCORE = 'Column("Score", Integer, nullable=False, server_default="5")'
UNIQUE = 'UniqueConstraint("EMail", name="UQ_Customer_EMail")'
OLD, NEW = MAIL.format("eMail"), MAIL.format("EMail")
CREATE_CUSTOMER = """
op.create_table("Customer", sa.Column("Id", sa.Integer, primary_key=True),
    sa.Column("Name", sa.String(40), nullable=False), sa.Column("eMail", sa.String(80)),
    comment="who; buys")
"""
CREATE_ORDER = """
op.create_table("Order", sa.Column("Id", sa.Integer, primary_key=True),
    sa.Column("customerId", sa.Integer),
    sa.Column("Total", sa.Numeric(12, 2)),
    sa.ForeignKeyConstraint(["customerId"], ["Customer.Id"], name="FK_Order_Customer"))
"""
BULK = f"""
people = sa.table("Customer", sa.column("Name", sa.String), sa.column("eMail", sa.String))
op.bulk_insert(people, [
    {{"Name": "Ada; Lady", "eMail": "ada@example.org"}}, {{"Name": {ODD!r}, "eMail": None}}])
"""
ORM = """
from alembic import context
from sqlalchemy.orm import Session, declarative_base
if not context.is_offline_mode():
    class Order(declarative_base()):
        __tablename__ = "SalesOrder"
        Id = sa.Column(sa.Integer, primary_key=True)
        Total = sa.Column(sa.Numeric(12, 2))
    with Session(op.get_bind()) as session:
        session.add_all([Order(Id=100, Total=1), Order(Id=101, Total=2)])
        session.commit()
"""
WHOLE_LINE = """
op.create_table("OrderLine",
    sa.Column("orderId", sa.Integer, sa.ForeignKey("SalesOrder.Id", name="FK_Line_Order"),
        primary_key=True),
    sa.Column("Line", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("What", sa.String(40)))
"""
CREATE_TAG = """
op.create_table("Tag", sa.Column("Id", sa.Integer, primary_key=True),
    sa.Column("Label", sa.String(20)))
"""
CREATE_CUSTOMER_TAG = """
op.create_table("CustomerTag", sa.Column("customer", sa.Integer, primary_key=True),
    sa.Column("tag", sa.Integer, primary_key=True),
    sa.ForeignKeyConstraint(["customer"], ["Customer.Id"], name="FK_CT_C"),
    sa.ForeignKeyConstraint(["tag"], ["Tag.Id"], name="FK_CT_T"))
"""
CREATE_AUDIT = """
op.create_table("Audit", sa.Column("Id", sa.Integer, primary_key=True),
    sa.Column("Made", sa.DateTime, server_default=sa.func.now(), nullable=False),
    sa.Column("Level", sa.Integer, server_default="-1"))
"""
CREATE_ALIAS = """
op.create_table("Alias", sa.Column("Id", sa.Integer, primary_key=True),
    sa.Column("mail", sa.String(80)),
    sa.ForeignKeyConstraint(["mail"], ["Customer.EMail"], name="FK_Alias_Mail"))
"""
UPDATE = """
tag = sa.table("Tag", sa.column("Id", sa.Integer), sa.column("Label", sa.String))
op.bulk_insert(tag, [{"Id": 1, "Label": "one"}, {"Id": 2, "Label": "two"}])
op.execute(tag.update().where(tag.c.Id == 2).values(Label="TWO; 2"))
op.execute(tag.delete().where(tag.c.Label == "one"))
"""
INDEXED = ', Index("IX_Order_Customer", "customerId")'
LABELED = ', Index("UX_Tag_Label", "Label", unique=True)'
WHO = ', Column("who", Integer, ForeignKey("Customer.Id", name="FK_Audit_Who"))'
COLUMN = 'sa.Column("{}", {})'


def order(name: str = "SalesOrder", precision: int = 12, more: str = "") -> dict[str, str | None]:
    made: dict[str, str | None] = {"Order": None}
    made[name] = ORDER.format(name=name, precision=precision, more=more)
    return made


def total(before: int, after: int) -> str:
    return changed(
        "SalesOrder",
        f'alter_column("Total", existing_type=sa.Numeric({before}, 2), '
        f"type_=sa.Numeric({after}, 2))",
    )


REVISIONS = [
    Revision(CREATE_CUSTOMER, 'op.drop_table("Customer")', {"Customer": customer(NAME, OLD)}),
    Revision(CREATE_ORDER, 'op.drop_table("Order")', order("Order")),
    Revision(BULK, 'op.execute("DELETE FROM Customer")'),
    Revision(
        changed(
            "Customer",
            'add_column(sa.Column("Active", sa.Boolean, nullable=False, server_default=sa.true()))',
        ),
        changed("Customer", 'drop_column("Active")'),
        {"Customer": customer(NAME, OLD, ACTIVE)},
    ),
    Revision(
        "op.execute(\"INSERT INTO Customer (Id, Name) VALUES (7, 'a;b--c\t d')\")",
        'op.execute("DELETE FROM Customer WHERE Id = 7")',
    ),
    Revision(
        changed("Customer", 'alter_column("eMail", new_column_name="EMail")'),
        changed("Customer", 'alter_column("EMail", new_column_name="eMail")'),
        {"Customer": customer(NAME, NEW, ACTIVE)},
    ),
    Revision(
        changed("Customer", 'create_unique_constraint("UQ_Customer_EMail", ["EMail"])'),
        changed("Customer", 'drop_constraint("UQ_Customer_EMail", type_="unique")'),
        {"Customer": customer(NAME, NEW, ACTIVE, UNIQUE)},
    ),
    Revision(
        'op.create_index("IX_Order_Customer", "Order", ["customerId"])',
        'op.drop_index("IX_Order_Customer", table_name="Order")',
        order("Order", more=INDEXED),
    ),
    Revision(
        'op.rename_table("Order", "SalesOrder")',
        'op.rename_table("SalesOrder", "Order")',
        order(more=INDEXED),
    ),
    Revision(WHOLE_LINE, 'op.drop_table("OrderLine")', {"OrderLine": LINE}),
    Revision(ORM, 'op.execute("DELETE FROM SalesOrder")'),
    Revision(total(12, 14), "pass", order(precision=14, more=INDEXED)),
    Revision(
        changed(
            "Customer",
            f'alter_column("Name", existing_type=sa.String(40), server_default="{DEFAULT}")',
        ),
        changed(
            "Customer", 'alter_column("Name", existing_type=sa.String(40), server_default=None)'
        ),
        {"Customer": customer(NAMED, NEW, ACTIVE, UNIQUE)},
    ),
    Revision(
        "op.execute(\"INSERT INTO Customer (Id, EMail) VALUES (8, 'eight')\")",
        'op.execute("DELETE FROM Customer WHERE Id = 8")',
    ),
    # Two branches, and what brings them together.
    Revision(CREATE_TAG, 'op.drop_table("Tag")', {"Tag": TAG.format(more="")}),
    Revision(
        changed("Customer", 'add_column(sa.Column("Note", sa.Text))'),
        changed("Customer", 'drop_column("Note")'),
        {"Customer": customer(NAMED, NEW, ACTIVE, 'Column("Note", Text)', UNIQUE)},
        after=(14,),
    ),
    Revision("pass", "pass", after=(15, 16)),
    Revision(CREATE_CUSTOMER_TAG, 'op.drop_table("CustomerTag")', {"CustomerTag": CUSTOMER_TAG}),
    Revision(
        changed("Customer", 'drop_column("Note")'),
        changed("Customer", 'add_column(sa.Column("Note", sa.Text))'),
        {"Customer": customer(NAMED, NEW, ACTIVE, UNIQUE)},
    ),
    Revision(
        'op.create_index("UX_Tag_Label", "Tag", ["Label"], unique=True)',
        'op.drop_index("UX_Tag_Label", table_name="Tag")',
        {"Tag": TAG.format(more=LABELED)},
    ),
    Revision(UPDATE, 'op.execute("DELETE FROM Tag")'),
    Revision(CREATE_AUDIT, 'op.drop_table("Audit")', {"Audit": AUDIT.format(at="Made", more="")}),
    Revision(
        'op.drop_index("IX_Order_Customer", table_name="SalesOrder")',
        'op.create_index("IX_Order_Customer", "SalesOrder", ["customerId"])',
        order(precision=14),
    ),
    Revision(
        changed(
            "Audit",
            'add_column(sa.Column("who", sa.Integer))',
            'create_foreign_key("FK_Audit_Who", "Customer", ["who"], ["Id"])',
        ),
        changed(
            "Audit", 'drop_constraint("FK_Audit_Who", type_="foreignkey")', 'drop_column("who")'
        ),
        {"Audit": AUDIT.format(at="Made", more=WHO)},
    ),
    Revision(
        changed("Audit", 'drop_constraint("FK_Audit_Who", type_="foreignkey")'),
        changed("Audit", 'create_foreign_key("FK_Audit_Who", "Customer", ["who"], ["Id"])'),
        {"Audit": AUDIT.format(at="Made", more=', Column("who", Integer)')},
    ),
    Revision(
        changed("Audit", 'alter_column("Made", new_column_name="MadeAt")'),
        changed("Audit", 'alter_column("MadeAt", new_column_name="Made")'),
        {"Audit": AUDIT.format(at="MadeAt", more=', Column("who", Integer)')},
    ),
    # To what is no primary key.
    Revision(CREATE_ALIAS, 'op.drop_table("Alias")', {"Alias": ALIAS}),
    Revision(
        changed(
            "Customer",
            'add_column(sa.Column("Score", sa.Integer, nullable=False, server_default="5"))',
        ),
        changed("Customer", 'drop_column("Score")'),
        {"Customer": customer(NAMED, NEW, ACTIVE, SCORE, UNIQUE)},
    ),
    Revision(
        changed("Tag", 'alter_column("Label", existing_type=sa.String(20), nullable=False)'),
        changed("Tag", 'alter_column("Label", existing_type=sa.String(20), nullable=True)'),
        {"Tag": TAG.format(more=LABELED).replace("String(20)", "String(20), nullable=False")},
    ),
    Revision(
        'op.drop_table("CustomerTag")',
        CREATE_CUSTOMER_TAG,
        {"CustomerTag": None},
    ),
]
CHECKED = some(1, 10)
"""After each how many revisions everything is compared."""


class Whole(Project):
    """The project of these revisions, on the database that is configured."""

    def __init__(self, folder: Path, engine: Engine) -> None:
        folder.mkdir()
        sys.path.insert(0, str(folder))
        super().__init__(folder)
        self.engine = engine
        self.tables: dict[str, str] = {}

    def close(self) -> None:
        """Leave nothing of it in the process."""
        sys.path.remove(str(self.folder))
        sys.modules.pop("their_models", None)
        self.engine.dispose()

    def add(self, number: int, revision: Revision) -> None:
        """Write a revision, and the models that go with it."""
        before = revision.after or ((number - 1,) if number > 1 else ())
        below: Any = tuple(f"r{one:02}" for one in before)
        below = below[0] if len(below) == 1 else below or None
        body = f'import sqlalchemy as sa\nfrom alembic import op\nrevision = "r{number:02}"\n'
        body += f"down_revision = {below!r}\n"
        for name, steps in (("upgrade", revision.upgrade), ("downgrade", revision.downgrade)):
            body += f"def {name}():\n{textwrap.indent(steps.strip(), '    ')}\n"
        (self.folder / "theirs" / "versions" / f"r{number:02}.py").write_text(body)
        for table, source in revision.tables.items():
            self.tables.pop(table, None)
            if source is not None:
                self.tables[table] = source
        self.models("from sqlalchemy import *\nM = METADATA = MetaData()\n" + self.declared())

    def declared(self) -> str:
        return "".join(self.tables.values())

    def found(self) -> dict[str, Any]:
        """The tables, but for the version table, as far as both databases have the same."""
        inspector = inspect(self.engine)
        metadata = MetaData()
        scope: dict[str, Any] = {}
        exec("from sqlalchemy import *\nM = MetaData()\n" + self.declared(), scope)
        metadata = scope["M"]
        return {
            name.lower(): told(inspector, name, metadata)
            for name in inspector.get_table_names()
            if name != "alembic_version"
        }

    def rows(self) -> dict[str, list[Any]]:
        """The rows that the revisions have left; a key that was made is another one each time."""
        asked = {
            "given": "SELECT Id, Name, EMail, Score FROM Customer WHERE Id IN (7, 8) AND Active",
            "made": "SELECT Name, EMail, Score FROM Customer WHERE NOT Id IN (7, 8) AND Active",
            "Tag": "SELECT Id, Label FROM Tag",
            "orm": "SELECT Id, CAST(Total AS INTEGER) FROM SalesOrder",
        }
        with self.engine.connect() as connection:
            return {
                name: sorted(map(repr, map(tuple, connection.execute(text(question)))))
                for name, question in asked.items()
            }


def told(inspector: Inspector, name: str, metadata: MetaData) -> dict[str, Any]:
    """A table as it is reflected, in the words of both databases."""
    names = {table.name.lower(): table for table in metadata.tables.values()}
    columns = inspector.get_columns(name)
    uniques: list[Any] = [item["column_names"] for item in inspector.get_unique_constraints(name)]
    uniques += [item["column_names"] for item in inspector.get_indexes(name) if item["unique"]]
    keys = []
    for item in inspector.get_foreign_keys(name):
        parent = names[item["referred_table"].lower()]
        if set(item["referred_columns"]) == set(parent.primary_key.columns.keys()):
            keys.append((item["constrained_columns"], parent.name, item["referred_columns"]))
    return {
        "columns": [
            (item["name"], item["type"].python_type.__name__, item["nullable"]) for item in columns
        ],
        "defaults": [item["name"] for item in columns if item["default"] is not None],
        "primary key": inspector.get_pk_constraint(name)["constrained_columns"],
        "foreign keys": sorted(map(repr, keys)),
        "unique": sorted(map(repr, uniques)),
    }


@pytest.fixture
def sides(
    tmp_path: Path, local_warehouse: TestWarehouse, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Mapping[str, tuple[Mapping[str, str], Whole]]]:
    """The project on each database, with the environment that chooses it."""
    environments = {
        "sqlite": {
            "USE_DATABRICKS": "false",
            "DATABASE_URL": f"sqlite:///{tmp_path / 'theirs.db'}",
        },
        "warehouse": dict(local_warehouse.env),
    }
    made = {}
    for name, environment in environments.items():
        configure(environment, monkeypatch)
        made[name] = (environment, Whole(tmp_path / name, create_configured_engine()))
    yield made
    for _, project in made.values():
        project.close()


def test_thirty_revisions(
    sides: Mapping[str, tuple[Mapping[str, str], Whole]], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert len(REVISIONS) == 30
    found: dict[str, list[Any]] = {name: [] for name in sides}
    rows = {}
    for name, (environment, project) in sides.items():
        configure(environment, monkeypatch)
        # Both have a module of this name; the one of this side has to be found.
        monkeypatch.syspath_prepend(str(project.folder))
        for number, revision in enumerate(REVISIONS, 1):
            project.add(number, revision)
            if number % CHECKED == 0 or number == len(REVISIONS):
                alembic.command.upgrade(project.config, "heads")
                alembic.command.check(project.config)
                found[name].append(project.found())
        rows[name] = project.rows()
    assert found["warehouse"] == found["sqlite"]
    assert rows["warehouse"] == rows["sqlite"]
    assert {name: len(each) for name, each in rows["sqlite"].items()} == {
        "given": 2,
        "made": 2,
        "Tag": 1,
        "orm": 2,
    }

    environment, project = sides["warehouse"]
    alembic.command.downgrade(project.config, "base")
    assert inspect(project.engine).get_table_names() == ["alembic_version"]
    run_as_a_script(project)
    assert project.found() == found["warehouse"][-1]
    # An ORM session writes nothing into a script.
    assert project.rows() == {**rows["warehouse"], "orm": []}
    alembic.command.check(project.config)

    environment, project = sides["sqlite"]
    configure(environment, monkeypatch)
    monkeypatch.syspath_prepend(str(project.folder))
    sys.modules.pop("their_models", None)
    alembic.command.downgrade(project.config, "base")
    assert inspect(project.engine).get_table_names() == ["alembic_version"]


def run_as_a_script(project: Whole) -> None:
    """Have Alembic write the SQL of all revisions, and run it."""
    project.output.seek(0)
    project.output.truncate()
    alembic.command.upgrade(project.config, "heads", sql=True)
    script, begin = project.output.getvalue(), 0
    with project.engine.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
        connection.exec_driver_sql("DROP TABLE alembic_version")
        for part in parts_of(script):
            if part.text == ";":
                connection.exec_driver_sql(script[begin : part.start].strip())
                begin = part.end
    assert not script[begin:].strip()
