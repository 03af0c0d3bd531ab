"""Migrations on the warehouse: up, down, by autogenerate, and after an interruption."""

from __future__ import annotations

import io
import itertools
import textwrap
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import alembic
import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.ddl.base import AddColumn, AlterTable
from alembic.migration import MigrationContext
from alembic.operations import Operations
from sqlalchemy import (
    INTEGER,
    JSON,
    URL,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Computed,
    Connection,
    DateTime,
    Engine,
    ForeignKey,
    Identity,
    Index,
    Integer,
    MetaData,
    Numeric,
    String,
    Table,
    UniqueConstraint,
    column,
    create_engine,
    inspect,
    text,
)
from sqlalchemy import table as lightweight
from sqlalchemy.exc import CompileError, DBAPIError, StatementError
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.types import NullType

from tests.full import full, some
from vinci_code.database.dialect.alembic import VinciImpl, settle_interrupted
from vinci_code.database.dialect.base import VinciDialect
from vinci_code.database.dialect.migrations.compare import same_type
from vinci_code.database.dialect.migrations.progress import PROPERTY, UnknownOutcomeError
from vinci_code.database.dialect.text.scanning import parts_of
from vinci_code.database.dialect.types import ARRAY, STRUCT, VARIANT
from vinci_code.warehouse import Fault
from vinci_code.warehouse.pytest_plugin import TestWarehouse

ENV = """
from alembic import context

connection = context.config.attributes["connection"]
context.configure(
    connection=connection,
    target_metadata=context.config.attributes.get("metadata"),
    compare_server_default=True,
    literal_binds=context.is_offline_mode(),
)
with context.begin_transaction():
    context.run_migrations()
"""
TEMPLATE = """
import sqlalchemy as sa
from alembic import op
${imports if imports else ""}
revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}

def upgrade():
    ${upgrades if upgrades else "pass"}

def downgrade():
    ${downgrades if downgrades else "pass"}
"""


class Migrations:
    """A folder of revisions for one test."""

    def __init__(self, folder: Path, connection: Connection) -> None:
        self.folder = folder
        self.connection = connection
        (folder / "versions").mkdir(parents=True)
        (folder / "env.py").write_text(ENV)
        (folder / "script.py.mako").write_text(TEMPLATE)
        self.config = Config()
        self.config.set_main_option("script_location", str(folder))
        self.config.set_main_option("path_separator", "os")
        self.config.attributes["connection"] = connection

    def revision(self, upgrade: str, downgrade: str = "pass", *, number: int = 1) -> None:
        """Write a revision."""
        before = f'"{number - 1:04}"' if number > 1 else "None"
        body = "import sqlalchemy as sa\nfrom alembic import op\n"
        body += f'revision = "{number:04}"\ndown_revision = {before}\n'
        body += "def upgrade():\n" + textwrap.indent(textwrap.dedent(upgrade), "    ") + "\n"
        body += "def downgrade():\n" + textwrap.indent(textwrap.dedent(downgrade), "    ") + "\n"
        (self.folder / "versions" / f"{number:04}.py").write_text(body)

    def upgrade(self, revision: str = "head") -> None:
        command.upgrade(self.config, revision)

    def downgrade(self, revision: str) -> None:
        command.downgrade(self.config, revision)

    def autogenerate(self, metadata: MetaData) -> str:
        """Have a revision written; return its text."""
        self.config.attributes["metadata"] = metadata
        number = f"{len(list((self.folder / 'versions').glob('*.py'))) + 1:04}"
        script = command.revision(self.config, "auto", autogenerate=True, rev_id=number)
        assert script is not None
        assert not isinstance(script, list)
        return Path(script.path).read_text()

    def version(self) -> list[str]:
        return list(
            self.connection.execute(text("SELECT version_num FROM alembic_version")).scalars()
        )


@pytest.fixture
def connection(engine: Engine) -> Iterator[Connection]:
    with engine.connect() as connection:
        yield connection


@pytest.fixture
def migrations(tmp_path: Path, connection: Connection) -> Migrations:
    return Migrations(tmp_path / "migrations", connection)


@pytest.fixture
def op(connection: Connection) -> Operations:
    """Alembic's operations, outside of any revision."""
    return Operations(MigrationContext.configure(connection))


@pytest.fixture
def changes(connection: Connection) -> Callable[..., list[Any]]:
    """What autogenerate finds different."""

    def compare(metadata: MetaData, **options: Any) -> list[Any]:
        context = MigrationContext.configure(
            connection,
            opts={"compare_server_default": True, "target_metadata": metadata, **options},
        )
        return list(compare_metadata(context, metadata))

    return compare


def columns(connection: Connection, table: str) -> dict[str, Any]:
    return {item["name"]: item for item in inspect(connection).get_columns(table)}


def rows(connection: Connection, statement: str) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in connection.exec_driver_sql(statement)]


def rich_metadata(**options: Any) -> MetaData:
    """Tables with everything that a migration can lose on the way."""
    metadata = MetaData(
        naming_convention={
            "uq": "uq_%(table_name)s_%(column_0_name)s",
            "ix": "ix_%(column_0_label)s",
        }
    )
    Table(
        "parent",
        metadata,
        Column("id", Integer, primary_key=True),
        Column("code", String(20), unique=True, nullable=False),
        Column("kind", String(5), index=True),
        Column("serial", BigInteger),
        Index("ux_serial", "serial", unique=True),
        comment="It's the parent",
    )
    Table(
        "child",
        metadata,
        Column("id", BigInteger, primary_key=True),
        Column("parent_id", ForeignKey("parent.id", name="fk_parent", ondelete="CASCADE")),
        Column("amount", Numeric(12, 2), server_default="1.50", comment='how "much" it\'s'),
        Column("name", String, server_default="it's", nullable=False),
        Column("active", Boolean, server_default=text("true")),
        Column("at", DateTime(timezone=True), server_default=text("current_timestamp()")),
        Column("local", DateTime),
        Column("document", JSON),
        Column("variant", VARIANT),
        Column("nested", ARRAY(STRUCT(("a b", Integer), ("c", String)))),
        CheckConstraint("amount > 0", name="ck_amount"),
        UniqueConstraint("name", "parent_id", name="uq_child"),
        comment="children",
        **{
            "databricks_cluster_by": ["parent_id", "name"],
            "databricks_tblproperties": {"delta.appendOnly": "false", "owner": "it's us"},
            **options,
        },
    )
    Table("counted", metadata, Column("id", BigInteger, Identity(start=5), primary_key=True))
    return metadata


# --- up and down ---------------------------------------------------------------------------------


def test_up_and_down(migrations: Migrations, connection: Connection) -> None:
    migrations.revision(
        """
        op.create_table("t", sa.Column("id", sa.BigInteger, primary_key=True),
            sa.Column("n", sa.Integer, index=True),
            sa.Column("c", sa.Integer, sa.CheckConstraint("c > 0", name="ck_c")),
            sa.UniqueConstraint("n", name="uq_n"), comment="one")
        op.bulk_insert(sa.table("t", sa.column("id"), sa.column("n"), sa.column("c")),
            [{"id": 1, "n": 5, "c": 1}])
        """,
        'op.drop_table("t")',
    )
    migrations.revision(
        """
        op.add_column("t", sa.Column("s", sa.String, server_default="it's", nullable=False))
        op.alter_column("t", "n", new_column_name="number")
        op.execute("UPDATE t SET number = number + 1")
        """,
        """
        op.alter_column("t", "number", new_column_name="n")
        op.drop_column("t", "s")
        """,
        number=2,
    )
    migrations.upgrade()
    assert migrations.version() == ["0002"]
    assert rows(connection, "SELECT id, number, s FROM t") == [(1, 6, "it's")]
    assert not columns(connection, "t")["s"]["nullable"]
    assert [item["name"] for item in inspect(connection).get_check_constraints("t")] == ["ck_c"]
    migrations.downgrade("0001")
    assert migrations.version() == ["0001"]
    assert list(columns(connection, "t")) == ["id", "n", "c"]
    migrations.downgrade("base")
    assert migrations.version() == []
    assert inspect(connection).get_table_names() == ["alembic_version"]
    migrations.upgrade()
    assert migrations.version() == ["0002"]


def test_the_implementation_is_ours_without_being_asked_for(connection: Connection) -> None:
    context = MigrationContext.configure(connection)
    assert isinstance(context.impl, VinciImpl)
    assert not context.impl.transactional_ddl


def test_sql_is_written_instead_of_run(
    migrations: Migrations, connection: Connection, capsys: pytest.CaptureFixture[str]
) -> None:
    migrations.revision(
        """
        op.create_table("t", sa.Column("id", sa.BigInteger, primary_key=True),
            sa.CheckConstraint("id > 0", name="ck"))
        op.alter_column("t", "id", new_column_name="key")
        """
    )
    command.upgrade(migrations.config, "head", sql=True)
    written = " ".join(capsys.readouterr().out.split())
    assert "CREATE TABLE t (" in written
    assert "ALTER TABLE t ADD CONSTRAINT ck CHECK ((id > 0) IS NOT FALSE);" in written
    assert "SET TBLPROPERTIES ('delta.columnMapping.mode' = 'name'); " in written
    assert "ALTER TABLE t RENAME COLUMN id TO key;" in written
    assert inspect(connection).get_table_names() == []


# --- single operations ---------------------------------------------------------------------------


def test_a_column_is_added_as_on_sqlite(op: Operations, connection: Connection) -> None:
    op.create_table("t", Column("id", BigInteger, primary_key=True, autoincrement=False))
    op.execute("INSERT INTO t (id) VALUES (1)")
    op.add_column("t", Column("plain", String, comment="it's plain"))
    op.add_column("t", Column("number", Integer, server_default="7", nullable=False))
    op.add_column("t", Column("unique", String, unique=True))
    op.execute("INSERT INTO t (id) VALUES (2)")
    found = rows(connection, "SELECT id, plain, number, `unique` FROM t ORDER BY id")
    assert found == [(1, None, 7, None), (2, None, 7, None)]
    reflected = columns(connection, "t")
    assert reflected["plain"]["comment"] == "it's plain"
    assert not reflected["number"]["nullable"]
    (unique,) = inspect(connection).get_unique_constraints("t")
    assert unique["column_names"] == ["unique"]


class UseDefault(AlterTable):
    """A construct of the application's own, which does what none of Alembic's does."""


class UseDefaultToo(AddColumn):
    """Another one, which is derived from one that Alembic renders itself."""


@compiles(UseDefault)
@compiles(UseDefaultToo)
def _use_default(element: Any, compiler: Any, **options: Any) -> str:
    return "USE SCHEMA default"


@pytest.mark.parametrize(
    "construct",
    [UseDefault("t"), UseDefaultToo("t", Column("a", Integer))],
    ids=["of ALTER TABLE", "of ADD COLUMN"],
)
def test_of_the_application_s_own_construct_only_the_text_is_known(
    construct: AlterTable, engine: Engine
) -> None:
    current = text("SELECT current_schema()")
    with engine.connect() as connection:
        before = connection.scalar(current)
        Operations(MigrationContext.configure(connection)).execute(construct)
        assert connection.scalar(current) == "default" != before
    # What the session was changed to ends with its user, as where the text is given itself.
    with engine.connect() as connection:
        assert connection.scalar(current) == before


def test_columns_are_renamed_and_dropped(
    op: Operations, connection: Connection, local_warehouse: TestWarehouse
) -> None:
    op.create_table("t", Column("a", Integer), Column("b c", Integer), Column("d", Integer))
    op.execute("INSERT INTO t VALUES (1, 2, 3)")
    op.alter_column("t", "a", new_column_name="it's `a`.b")
    op.drop_column("t", "d")
    assert list(columns(connection, "t")) == ["it's `a`.b", "b c"]
    assert rows(connection, "SELECT * FROM t") == [(1, 2)]
    set_mapping = [item for item in local_warehouse.statements if "SET TBLPROPERTIES" in item]
    assert len(set_mapping) <= 1


@pytest.mark.skipif(
    tuple(map(int, alembic.__version__.split(".")[:2])) < (1, 16),
    reason="Alembic has IF EXISTS for columns from 1.16 on",
)
def test_columns_that_are_there_already_or_no_longer(
    op: Operations, connection: Connection
) -> None:
    op.create_table("t", Column("a", Integer))
    op.add_column("t", Column("A", String), if_not_exists=True)
    op.add_column("t", Column("b", String), if_not_exists=True)
    op.drop_column("t", "nope", if_exists=True)
    assert list(columns(connection, "t")) == ["a", "b"]


def test_columns_are_changed(op: Operations, connection: Connection) -> None:
    op.create_table("t", Column("n", INTEGER), Column("s", String(5)))
    op.alter_column("t", "s", comment="it's", nullable=False, server_default="x")
    op.alter_column("t", "s", type_=String(50), existing_type=String(5))
    op.execute("INSERT INTO t (n) VALUES (1)")
    column = columns(connection, "t")["s"]
    assert column["comment"] == "it's"
    assert not column["nullable"]
    assert column["default"] == "'x'"
    assert rows(connection, "SELECT s FROM t") == [("x",)]
    op.alter_column("t", "s", comment=None, nullable=True, server_default=None)
    column = columns(connection, "t")["s"]
    assert (column["comment"], column["nullable"], column["default"]) == (None, True, None)


def test_a_type_is_widened(op: Operations, connection: Connection) -> None:
    op.create_table("t", Column("a", Numeric(12, 2)), Column("b", INTEGER))
    op.execute("INSERT INTO t VALUES (1234567890.12, 7)")
    op.alter_column("t", "a", type_=Numeric(14, 2), existing_type=Numeric(12, 2))
    op.alter_column("t", "b", type_=BigInteger(), existing_type=INTEGER())
    op.execute("INSERT INTO t VALUES (123456789012.34, 5000000000)")
    assert rows(connection, "SELECT a, b FROM t ORDER BY b") == [
        (Decimal("1234567890.12"), 7),
        (Decimal("123456789012.34"), 5_000_000_000),
    ]
    found = dict(rows(connection, "SHOW TBLPROPERTIES t"))
    assert found["delta.enableTypeWidening"] == "true"
    assert str(columns(connection, "t")["a"]["type"]) == "DECIMAL(14, 2)"
    for narrow in (Numeric(14, 3), Numeric(10, 2), String()):
        with pytest.raises(DBAPIError, match="is not supported for changing"):
            op.alter_column("t", "a", type_=narrow, existing_type=Numeric(14, 2))


def test_constraints_comments_and_tables(op: Operations, connection: Connection) -> None:
    op.create_table("p", Column("id", BigInteger, primary_key=True))
    op.create_table("t", Column("a", BigInteger), Column("b", BigInteger, nullable=False))
    op.create_foreign_key("fk", "t", "p", ["a"], ["id"])
    op.create_unique_constraint("uq", "t", ["a", "b"])
    op.create_check_constraint("ck", "t", "a > 0")
    op.create_primary_key("pk", "t", ["b"])
    op.create_table_comment("t", "it's a table")
    inspector = inspect(connection)
    assert [item["name"] for item in inspector.get_foreign_keys("t")] == ["fk"]
    assert [item["name"] for item in inspector.get_unique_constraints("t")] == ["uq"]
    assert [item["name"] for item in inspector.get_check_constraints("t")] == ["ck"]
    assert inspector.get_pk_constraint("t")["name"] == "pk"
    assert inspector.get_table_comment("t") == {"text": "it's a table"}
    for name in ("fk", "uq", "ck", "pk"):
        op.drop_constraint(name, "t")
    op.drop_table_comment("t")
    op.rename_table("t", "u")
    inspector = inspect(connection)
    assert inspector.get_foreign_keys("u") == []
    assert inspector.get_unique_constraints("u") == []
    assert inspector.get_check_constraints("u") == []
    assert inspector.get_pk_constraint("u")["name"] is None
    assert inspector.get_table_comment("u") == {"text": None}


def test_indexes(op: Operations, connection: Connection) -> None:
    op.create_table("t", Column("a", BigInteger, index=True), Column("b", BigInteger))
    op.create_index("ix_b", "t", ["b"])
    op.create_index("ux_b", "t", ["b"], unique=True)
    assert [item["name"] for item in inspect(connection).get_unique_constraints("t")] == ["ux_b"]
    op.drop_index("ux_b", table_name="t")
    op.drop_index("ix_b", table_name="t")
    assert inspect(connection).get_unique_constraints("t") == []
    with pytest.raises(CompileError, match="table_name"):
        op.drop_index("ix_b")


# --- autogenerate --------------------------------------------------------------------------------


def test_nothing_is_different_after_create_all(
    engine: Engine, changes: Callable[[MetaData], list[Any]]
) -> None:
    metadata = rich_metadata()
    metadata.create_all(engine)
    assert changes(metadata) == []


def test_the_default_schema_is_not_compared_as_another_one_too(
    engine: Engine, changes: Callable[..., list[Any]], local_warehouse: TestWarehouse
) -> None:
    metadata = rich_metadata()
    metadata.create_all(engine)
    asked: list[str | None] = []

    def include(name: str | None, kind: str, _: Any) -> bool:
        if kind == "schema":
            asked.append(name)
        return kind != "schema" or name in (None, local_warehouse.schema)

    assert changes(metadata, include_schemas=True, include_name=include) == []
    assert None in asked
    assert local_warehouse.schema not in asked


def test_nothing_is_different_after_an_upgrade(
    migrations: Migrations, changes: Callable[[MetaData], list[Any]]
) -> None:
    metadata = rich_metadata()
    written = migrations.autogenerate(metadata)
    assert "databricks_cluster_by=['parent_id', 'name']" in written
    assert "from vinci_code.database.dialect import STRUCT" in written
    migrations.upgrade()
    assert changes(metadata) == []
    assert "pass" in migrations.autogenerate(metadata).split("def upgrade():")[1]


def test_autogenerate_of_what_has_changed(
    migrations: Migrations, engine: Engine, changes: Callable[[MetaData], list[Any]]
) -> None:
    rich_metadata().create_all(engine)
    wanted = rich_metadata(
        databricks_cluster_by=["name"],
        databricks_tblproperties={"delta.appendOnly": "true", "team": "it's new"},
    )
    child = wanted.tables["child"]
    child.append_column(Column("added", Integer, server_default="3", nullable=False))
    child.c.name.comment = "new comment"
    child.comment = "other children"
    child.append_constraint(UniqueConstraint("document", name="uq_document"))
    kinds = {item[0] if isinstance(item, tuple) else item[0][0] for item in changes(wanted)}
    assert kinds == {
        "add_column",
        "modify_comment",
        "add_table_comment",
        "add_constraint",
        "alter_table_layout",
    }
    before = changes(rich_metadata())
    assert before == []
    migrations.autogenerate(wanted)
    migrations.upgrade()
    assert changes(wanted) == []
    migrations.downgrade("base")
    assert changes(rich_metadata()) == []


def test_a_property_that_nobody_declares_is_left_alone(
    engine: Engine, connection: Connection, changes: Callable[[MetaData], list[Any]]
) -> None:
    metadata = MetaData()
    Table("t", metadata, Column("id", BigInteger, primary_key=True))
    metadata.create_all(engine)
    connection.exec_driver_sql("ALTER TABLE t SET TBLPROPERTIES ('k' = 'v')")
    connection.exec_driver_sql("ALTER TABLE t CLUSTER BY (id)")
    assert changes(metadata) == []


def test_types_that_differ_are_reported(
    engine: Engine, connection: Connection, changes: Callable[[MetaData], list[Any]]
) -> None:
    connection.exec_driver_sql("CREATE TABLE t (a INT, b DECIMAL(10,2), c ARRAY<INT>)")
    metadata = MetaData()
    Table("t", metadata, Column("a", Integer), Column("b", Numeric(10, 2)), Column("c", String))
    assert [item[0][3] for item in changes(metadata)] == ["a", "c"]


def test_defaults_that_differ_are_reported(
    engine: Engine, connection: Connection, changes: Callable[[MetaData], list[Any]]
) -> None:
    def metadata_of(*defaults: Any) -> MetaData:
        metadata = MetaData()
        kinds: tuple[Any, ...] = (
            Integer,
            Integer,
            Integer,
            String,
            String,
            DateTime(timezone=True),
        )
        given = zip("abcdef", kinds, defaults, strict=True)
        Table("t", metadata, *(Column(name, kind, server_default=d) for name, kind, d in given))
        return metadata

    now = text("current_timestamp()")
    metadata_of("1", "1", None, "x", "X()", now).create_all(engine)
    assert changes(metadata_of("1", "1", None, "x", "X()", text("CURRENT_TIMESTAMP"))) == []
    found = changes(metadata_of("2", None, "1", "X", "X", now))
    assert [item[0][3] for item in found] == ["a", "b", "c", "d", "e"]


def test_identity_columns_that_differ_are_reported(
    engine: Engine, changes: Callable[[MetaData], list[Any]]
) -> None:
    def metadata_of(identity: Identity | None) -> MetaData:
        metadata = MetaData()
        given = [] if identity is None else [identity]
        Table("t", metadata, Column("a", BigInteger, *given), Column("b", BigInteger))
        return metadata

    metadata_of(Identity(start=5, increment=2)).create_all(engine)
    assert changes(metadata_of(Identity(start=5, increment=2))) == []
    for other in (
        Identity(),
        Identity(start=6, increment=2),
        Identity(always=True, start=5, increment=2),
    ):
        [[change]] = changes(metadata_of(other))
        assert change[0] == "modify_default"


def test_computed_columns_are_compared(
    engine: Engine, changes: Callable[[MetaData], list[Any]]
) -> None:
    def metadata_of(expression: str | None) -> MetaData:
        metadata = MetaData()
        given = [] if expression is None else [Computed(expression)]
        twice = Column("b", Integer, Computed("a * 2"))
        Table("t", metadata, Column("a", Integer), twice, Column("c", Integer, *given))
        return metadata

    metadata_of("(a + 1) * 2").create_all(engine)
    assert changes(metadata_of("(a + 1) * 2")) == []
    assert changes(metadata_of("(A+1)*2")) == []
    for other in ("(a + 1) * 3", None):
        with pytest.warns(UserWarning, match=r"Computed default on t\.c cannot be modified"):
            assert changes(metadata_of(other)) == []


# --- keys ----------------------------------------------------------------------------------------


def parent_and_child(*, key: bool) -> MetaData:
    """A table that refers to a column which is no primary key, and to one that is."""
    metadata = MetaData()
    Table(
        "Parent",
        metadata,
        Column("id", Integer, primary_key=True),
        Column("code", String, unique=key),
    )
    Table(
        "child",
        metadata,
        Column("id", Integer, primary_key=True),
        Column("code", String, ForeignKey("Parent.code", name="fk_code")),
        Column("parent", Integer, ForeignKey("Parent.id", name="fk_parent")),
    )
    return metadata


@pytest.mark.parametrize("key", [True, False])
def test_a_foreign_key_to_no_primary_key_is_left_out(
    engine: Engine,
    changes: Callable[[MetaData], list[Any]],
    caplog: pytest.LogCaptureFixture,
    key: bool,
) -> None:
    metadata = parent_and_child(key=key)
    with caplog.at_level("INFO", "vinci_code.database.dialect"):
        metadata.create_all(engine)
    told = [text for text in caplog.messages if "is not declared" in text]
    assert len(told) == 1
    assert "foreign key fk_code on child (code)" in told[0]
    assert [item["name"] for item in inspect(engine).get_foreign_keys("child")] == ["fk_parent"]
    assert changes(metadata) == []
    metadata.drop_all(engine)


def test_a_foreign_key_that_is_added_to_no_primary_key_is_left_out(
    op: Operations, connection: Connection, caplog: pytest.LogCaptureFixture
) -> None:
    op.create_table("p", Column("id", Integer, primary_key=True), Column("code", String))
    op.create_table("q", Column("a", Integer, primary_key=True), Column("b", Integer))
    op.create_table(
        "c",
        Column("id", Integer, primary_key=True),
        Column("p", Integer, ForeignKey("p.id", name="fk_p")),
        Column("code", String, ForeignKey("p.code", name="fk_code")),
        Column("c", Integer, ForeignKey("c.id", name="fk_self")),
    )
    with caplog.at_level("INFO", "vinci_code.database.dialect"):
        op.create_foreign_key("fk_b", "c", "q", ["p"], ["b"])
    assert len([text for text in caplog.messages if "fk_b on c (p) is not declared" in text]) == 1
    op.create_foreign_key("fk_a", "c", "q", ["p"], ["a"])
    names = {item["name"] for item in inspect(connection).get_foreign_keys("c")}
    assert names == {"fk_p", "fk_self", "fk_a"}
    for name in ("fk_a", "fk_b", "fk_code"):
        op.drop_constraint(name, "c", type_="foreignkey")
    names = {item["name"] for item in inspect(connection).get_foreign_keys("c")}
    assert names == {"fk_p", "fk_self"}
    with pytest.raises(DBAPIError, match="TABLE_OR_VIEW_NOT_FOUND"):
        op.create_foreign_key("fk_no", "c", "nosuch", ["p"], ["b"])


def test_rows_without_a_key_get_one(op: Operations, connection: Connection) -> None:
    op.create_table("T", Column("id", Integer, primary_key=True), Column("g", String))
    table = lightweight("T", column("g", String))
    op.bulk_insert(table, [{"g": "a"}, {"g": "b"}])
    op.bulk_insert(table, [{"g": "c"}], multiinsert=False)
    with_key = lightweight("T", column("id", Integer), column("g", String))
    op.bulk_insert(with_key, [{"id": 7, "g": "d"}, {"id": None, "g": "e"}])
    whole = Table("T", MetaData(), Column("id", Integer, primary_key=True), Column("g", String))
    op.bulk_insert(whole, [{"g": "f"}])
    found = dict(rows(connection, "SELECT g, id FROM t"))
    assert sorted(found) == ["a", "b", "c", "d", "e", "f"]
    assert found["d"] == 7
    assert len(set(found.values())) == 6
    op.bulk_insert(table, [])


def test_keys_of_blocks_are_not_made_for_a_script() -> None:
    written = io.StringIO()
    dialect = VinciDialect(keys="blocks")
    options = {"as_sql": True, "output_buffer": written, "literal_binds": True}
    script = Operations(MigrationContext.configure(dialect=dialect, opts=options))
    script.create_table("t", Column("id", Integer, primary_key=True), Column("g", String))
    table = lightweight("t", column("g", String))
    with pytest.raises(CompileError, match="reserved on the warehouse"):
        script.bulk_insert(table, [{"g": "a"}])
    assert "INSERT" not in written.getvalue()


def test_rows_get_keys_of_blocks_where_the_engine_has_them(
    engine_url: URL, engine_args: dict[str, Any]
) -> None:
    engine = create_engine(engine_url, connect_args=engine_args, keys="blocks")
    with engine.connect() as connection:
        op = Operations(MigrationContext.configure(connection))
        op.create_table("t", Column("id", Integer, primary_key=True), Column("g", String))
        op.bulk_insert(lightweight("t", column("g", String)), [{"g": "a"}, {"g": "b"}])
        found = rows(connection, "SELECT id FROM t ORDER BY g")
    engine.dispose()
    assert found == [(1,), (2,)]


def test_rows_get_no_key_where_sqlite_would_give_none(
    op: Operations, connection: Connection
) -> None:
    op.create_table("texts", Column("id", String, primary_key=True), Column("g", String))
    with pytest.raises(DBAPIError, match="Column id is not specified"):
        op.bulk_insert(lightweight("texts", column("g", String)), [{"g": "a"}])
    op.create_table("plain", Column("g", String))
    op.bulk_insert(lightweight("plain", column("g", String)), [{"g": "a"}])
    op.create_table(
        "counted", Column("id", Integer, Identity(True), primary_key=True), Column("g", String)
    )
    op.bulk_insert(lightweight("counted", column("g", String)), [{"g": "a"}])
    assert rows(connection, "SELECT id FROM counted") == [(1,)]
    op.create_table("narrow", Column("id", INTEGER, primary_key=True), Column("g", String))
    with pytest.raises(StatementError, match="cannot hold it"):
        op.bulk_insert(lightweight("narrow", column("g", String)), [{"g": "a"}])


# --- what a revision writes by itself ------------------------------------------------------------

OWN = """
from sqlalchemy.orm import Session, declarative_base
class Thing(declarative_base()):
    __tablename__ = "t"
    id = sa.Column(sa.Integer, primary_key=True)
    name = sa.Column(sa.String)
table = Thing.__table__
"""


ADD = "s = Session(op.get_bind()); s.add_all([Thing(id=1, name='a'), Thing(id=2, name='b')])"
WRITES = {
    "execute": (
        "op.get_bind().execute(table.insert(), [dict(id=1, name='a'), dict(id=2, name='b')])"
    ),
    "commit": f"{ADD}; s.commit()",
    "flush": f"{ADD}; s.flush()",
}


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
def test_what_a_revision_writes_by_itself_is_there_for_what_comes_next(
    migrations: Migrations, connection: Connection, write: str, first: bool
) -> None:
    migrations.revision(
        'op.create_table("t", sa.Column("id", sa.Integer, primary_key=True), '
        'sa.Column("name", sa.String))'
    )
    if first:
        migrations.upgrade()
    migrations.revision(
        f"{OWN}\n{write}\nop.execute(\"UPDATE t SET name = 'c' WHERE id = 2\")\n"
        'op.alter_column("t", "name", new_column_name="named", existing_type=sa.String())\n'
        "op.get_bind().execute(sa.text('INSERT INTO t VALUES (3, NULL)'))",
        number=2,
    )
    migrations.upgrade()
    connection.rollback()
    assert migrations.version() == ["0002"]
    found = rows(connection, "SELECT id, named FROM t ORDER BY id")
    assert found == [(1, "a"), (2, "c"), (3, None)]


# --- literals ------------------------------------------------------------------------------------

ODD = "a;b\n\nc\t:x -- d /* e */ ; 'f' \\\\ \"g\""
"""What a literal may hold that ends a statement, or begins something else, outside of one."""


def test_a_literal_may_hold_anything(
    migrations: Migrations, connection: Connection, capsys: pytest.CaptureFixture[str]
) -> None:
    migrations.revision(
        f"""
        odd = {ODD!r}
        op.create_table("t", sa.Column("id", sa.Integer, primary_key=True),
            sa.Column("a", sa.String, server_default=odd, comment=odd),
            sa.Column("b", sa.String, server_default=sa.literal(odd)), comment=odd)
        op.execute(sa.text("INSERT INTO t (id, a) VALUES (1, :odd)").bindparams(odd=odd))
        op.execute("INSERT INTO t (id, a) VALUES (2, 'x;y\\n\\n\\tz')")
        op.bulk_insert(sa.table("t", sa.column("id", sa.Integer),
            sa.column("a", sa.String)), [dict(id=3, a=odd), dict(id=4, a=None)])
        op.add_column("t", sa.Column("c", sa.String, server_default=odd, comment=odd))
        op.alter_column("t", "a", comment=odd + "2", server_default=odd + "2",
            existing_type=sa.String())
        """,
        'op.drop_table("t")',
    )
    migrations.upgrade()
    everything = "SELECT id, a, b, c FROM t ORDER BY id"
    wanted = [
        (1, ODD, ODD, ODD),
        (2, "x;y\n\n\tz", ODD, ODD),
        (3, ODD, ODD, ODD),
        (4, None, ODD, ODD),
    ]
    assert rows(connection, everything) == wanted
    online = inspect(connection).get_columns("t")
    assert [item["comment"] for item in online] == [None, ODD + "2", None, ODD]
    assert inspect(connection).get_table_comment("t")["text"] == ODD
    migrations.downgrade("base")
    connection.exec_driver_sql("DROP TABLE alembic_version")

    capsys.readouterr()
    command.upgrade(migrations.config, "head", sql=True)
    connection.commit()
    connection = connection.execution_options(isolation_level="AUTOCOMMIT")
    for statement in statements_of(capsys.readouterr().out):
        # As it stands: not even a parameter in it is looked for.
        connection.exec_driver_sql(statement)
    assert rows(connection, everything) == wanted
    offline = inspect(connection).get_columns("t")
    assert repr(offline) == repr(online)


def statements_of(script: str) -> list[str]:
    """The statements of a script, which end with semicolons."""
    statements, begin = [], 0
    for part in parts_of(script):
        if part.text == ";":
            statements.append(script[begin : part.start].strip())
            begin = part.end
    assert not script[begin:].strip()
    return statements


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (Integer(), Integer(), True),
        (Integer(), String(), False),
        (Numeric(10, 2), Numeric(10, 2), True),
        (Numeric(10, 2), Numeric(10, 3), False),
        (NullType(), Integer(), True),
        (Integer(), NullType(), True),
        (Integer(), None, False),
    ],
)
def test_types_are_the_same_where_they_are_written_so_or_one_is_not_known(
    one: Any, other: Any, same: bool
) -> None:
    assert same_type(VinciDialect(), one, other) is same


# --- interrupted ---------------------------------------------------------------------------------

STATEMENTS = """
op.create_table("a", sa.Column("id", sa.BigInteger, primary_key=True),
    sa.CheckConstraint("id > 0", name="ck_a"))
op.add_column("a", sa.Column("n", sa.Integer, server_default="7", nullable=False))
op.alter_column("a", "n", new_column_name="number")
op.create_table("b", sa.Column("id", sa.BigInteger, primary_key=True), sa.Column("x", sa.Integer))
op.drop_column("b", "x")
op.rename_table("b", "c")
"""


class Killed(BaseException):
    """What a signal raises in the middle of a migration."""


@contextmanager
def killed(
    connection: Connection, chosen: Callable[[int, str], bool], *, before: bool
) -> Iterator[None]:
    """Die before or behind the statement that is chosen, by its number or text."""
    dbapi: Any = type(connection.connection.dbapi_connection)
    original = dbapi.cursor
    count = itertools.count(1)

    def cursor(self: Any) -> Any:
        made = original(self)
        execute = made.execute

        def counted(operation: str, parameters: Any = (), **named: Any) -> Any:
            if operation.split()[0] not in ("ALTER", "CREATE", "DROP", "UPDATE", "INSERT"):
                return execute(operation, parameters, **named)
            dies = chosen(next(count), operation)
            if dies and before:
                raise Killed
            result = execute(operation, parameters, **named)
            if dies:
                raise Killed
            return result

        made.execute = counted
        return made

    dbapi.cursor = cursor
    try:
        yield
    finally:
        dbapi.cursor = original


def _is_nth(nth: int, number: int, _: str) -> bool:
    return number == nth


@full
@pytest.mark.slow
def test_a_revision_that_was_killed_anywhere_can_be_run_again(
    migrations: Migrations, connection: Connection
) -> None:
    migrations.revision(STATEMENTS, "op.drop_table('a')\nop.drop_table('c')")
    for nth in itertools.count(1, some(1, few=3)):
        try:
            with killed(connection, partial(_is_nth, nth), before=False):
                migrations.upgrade()
            break
        except Killed:
            connection.rollback()
        migrations.upgrade()
        assert migrations.version() == ["0001"], nth
        assert list(columns(connection, "a")) == ["id", "number"], nth
        inspector = inspect(connection)
        assert [item["name"] for item in inspector.get_check_constraints("a")] == ["ck_a"], nth
        assert inspector.get_table_names() == ["a", "alembic_version", "c"]
        migrations.downgrade("base")
        assert PROPERTY not in dict(rows(connection, "SHOW TBLPROPERTIES alembic_version"))
    assert nth > 20


def test_the_layout_of_a_table_is_nothing_to_another_database() -> None:
    """An application that runs on SQLite declares it too."""
    metadata = MetaData()
    layout: dict[str, Any] = {
        "databricks_cluster_by": ["id"],
        "databricks_tblproperties": {"team": "a"},
    }
    Table("t", metadata, Column("id", BigInteger, primary_key=True), **layout)
    engine = create_engine("sqlite://")
    with engine.connect() as connection:
        metadata.create_all(connection)
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
    engine.dispose()


def test_rows_are_not_changed_twice(migrations: Migrations, connection: Connection) -> None:
    migrations.revision(
        """
        op.create_table("t", sa.Column("id", sa.BigInteger, primary_key=True))
        op.execute("INSERT INTO t VALUES (1)")
        op.create_table("u", sa.Column("id", sa.BigInteger, primary_key=True))
        """
    )
    connection.exec_driver_sql("CREATE TABLE u (id INT)")
    with pytest.raises(DBAPIError, match="u"):
        migrations.upgrade()
    connection.exec_driver_sql("DROP TABLE u")
    migrations.upgrade()
    assert rows(connection, "SELECT id FROM t") == [(1,)]
    assert migrations.version() == ["0001"]


OVER_BIND = """
    op.create_table("n", sa.Column("id", sa.Integer, primary_key=True), sa.Column("v", sa.Integer))
    n = sa.table("n", sa.column("id"), sa.column("v"))
    op.get_bind().execute(sa.insert(n), [{"id": 1, "v": 1}, {"id": 2, "v": 2}])
    op.add_column("n", sa.Column("w", sa.Integer))
    with sa.orm.Session(op.get_bind()) as session:
        session.execute(sa.update(n).where(n.c.v > 1).values(v=n.c.v * 10))
        session.commit()
    with op.batch_alter_table("n") as batch:
        batch.alter_column("v", nullable=False)
    op.get_bind().execute(sa.delete(n).where(n.c.id == 1))
"""


def test_what_a_revision_writes_over_its_connection_is_sent_before_its_next_operation(
    migrations: Migrations, connection: Connection, local_warehouse: TestWarehouse
) -> None:
    migrations.revision("import sqlalchemy.orm\n" + textwrap.dedent(OVER_BIND))
    migrations.upgrade()
    assert rows(connection, "SELECT id, v, w FROM n") == [(2, 20, None)]
    assert migrations.version() == ["0001"]
    # The connection holds what it is given afterwards, as before.
    before = len(local_warehouse.statements)
    connection.execute(text("INSERT INTO n (id, v) VALUES (3, 3)"))
    assert local_warehouse.statements[before:] == []
    connection.rollback()


def test_what_the_caller_has_written_is_not_committed_by_the_way(
    migrations: Migrations, op: Operations, connection: Connection
) -> None:
    connection.exec_driver_sql("CREATE TABLE mine (id BIGINT)")
    connection.commit()
    migrations.revision('op.create_table("t", sa.Column("id", sa.BigInteger, primary_key=True))')
    mine = lightweight("mine", column("id"))
    ways: list[Callable[[], None]] = [migrations.upgrade, lambda: op.drop_table("mine")]
    for run in ways:
        connection.execute(mine.insert().values(id=1))
        with pytest.raises(DBAPIError, match="commit first"):
            run()
        connection.rollback()
        assert rows(connection, "SELECT id FROM mine") == []
    migrations.upgrade()
    assert migrations.version() == ["0001"]


@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
def test_whether_rows_were_changed_is_not_guessed(
    migrations: Migrations, connection: Connection, before: bool
) -> None:
    migrations.revision(
        """
        op.create_table("t", sa.Column("id", sa.BigInteger, primary_key=True))
        op.execute("INSERT INTO t VALUES (1)")
        """
    )
    inserts = killed(connection, lambda _, text: text.startswith("INSERT INTO t"), before=before)
    with inserts, pytest.raises(Killed):
        migrations.upgrade()
    connection.rollback()
    with pytest.raises(UnknownOutcomeError, match="INSERT INTO t"):
        migrations.upgrade()
    assert rows(connection, "SELECT id FROM t") == ([] if before else [(1,)])
    settle_interrupted(connection, was_run=not before)
    migrations.upgrade()
    assert migrations.version() == ["0001"]
    assert rows(connection, "SELECT id FROM t") == [(1,)]


def test_a_table_of_somebody_else_is_in_the_way(
    migrations: Migrations, connection: Connection
) -> None:
    connection.exec_driver_sql("CREATE TABLE t (other STRING)")
    migrations.revision('op.create_table("t", sa.Column("id", sa.BigInteger, primary_key=True))')
    for _ in range(2):  # refused each time: what failed is not taken for done
        with pytest.raises(DBAPIError, match="already exists"):
            migrations.upgrade()
    assert migrations.version() == []
    assert list(columns(connection, "t")) == ["other"]


def test_a_lost_answer_is_not_taken_for_a_refusal(
    migrations: Migrations, connection: Connection, local_warehouse: TestWarehouse
) -> None:
    migrations.revision('op.create_table("t", sa.Column("id", sa.BigInteger, primary_key=True))')
    local_warehouse.inject(
        Fault.reset("after", operation="ExecuteStatement", statement="CREATE TABLE t")
    )
    with pytest.raises(DBAPIError):
        migrations.upgrade()
    connection.rollback()
    migrations.upgrade()
    assert migrations.version() == ["0001"]
    assert list(columns(connection, "t")) == ["id"]
