"""What the inspector learns of a schema, and with how many statements."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Connection,
    Date,
    Engine,
    ForeignKey,
    ForeignKeyConstraint,
    Identity,
    Inspector,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
    inspect,
    text,
)
from sqlalchemy.engine.reflection import ObjectKind, ObjectScope
from sqlalchemy.exc import DBAPIError, NoSuchTableError, SAWarning
from sqlalchemy.types import BIGINT, DECIMAL, INTEGER, NullType

from tests.full import part
from vinci_code.database.dialect.reflection.generated import parse_generated
from vinci_code.database.dialect.reflection.information_schema import plain_condition
from vinci_code.database.dialect.types import ARRAY, MAP, STRUCT, TIMESTAMP, VARIANT
from vinci_code.warehouse.pytest_plugin import TestWarehouse

pytestmark = part(3)


MAPPED = "TBLPROPERTIES ('delta.columnMapping.mode' = 'name')"
# Unity Catalog allows these in the name of a table; dots, spaces and slashes it refuses.
TABLE_NAMES = ["with-hyphen", "quote'd", 'double"quoted', "back`tick", "ünï_ço", "select", "a|b*c"]
COLUMN_NAMES = ["a.b", "a b", "back`tick", "quote'd", 'double"quoted', "MixedCase", "Ünï", "select"]


@pytest.fixture
def connection(engine: Engine) -> Iterator[Connection]:
    with engine.connect() as connection:
        yield connection


@pytest.fixture
def run(connection: Connection) -> Callable[..., None]:
    """Runs statements, one after the other."""

    def execute(*statements: str) -> None:
        for statement in statements:
            connection.exec_driver_sql(statement)

    return execute


@pytest.fixture
def sent(local_warehouse: TestWarehouse) -> Callable[[], list[str]]:
    """The statements since it was asked last."""
    warehouse = local_warehouse.warehouse
    start = [len(warehouse.statements)]

    def since() -> list[str]:
        statements = warehouse.statements
        new, start[0] = statements[start[0] :], len(statements)
        return new

    return since


@pytest.fixture
def other_schema(local_warehouse: TestWarehouse) -> Iterator[str]:
    """Another schema in the same catalog."""
    name = f"{local_warehouse.schema}_other"
    local_warehouse.warehouse.sql(f"CREATE SCHEMA {name}")
    yield name
    local_warehouse.warehouse.sql(f"DROP SCHEMA {name} CASCADE")


@pytest.fixture
def far_schema(local_warehouse: TestWarehouse) -> Iterator[str]:
    """A schema in another catalog, with the catalog's name."""
    catalog = f"cat_{local_warehouse.schema}"
    local_warehouse.warehouse.sql(f"CREATE CATALOG {catalog}")
    local_warehouse.warehouse.sql(f"CREATE SCHEMA {catalog}.far")
    yield f"{catalog}.far"
    local_warehouse.warehouse.sql(f"DROP CATALOG {catalog} CASCADE")


def everything(inspector: Inspector, schema: str | None = None) -> list[Any]:
    """All that can be asked of each table of a schema."""
    return [
        (
            inspector.get_columns(name, schema),
            inspector.get_pk_constraint(name, schema),
            inspector.get_foreign_keys(name, schema),
            inspector.get_unique_constraints(name, schema),
            inspector.get_check_constraints(name, schema),
            inspector.get_indexes(name, schema),
            inspector.get_table_comment(name, schema),
        )
        for name in inspector.get_table_names(schema)
    ]


# --- how many statements -------------------------------------------------------------------------


def make_tables(local_warehouse: TestWarehouse, count: int) -> None:
    place = {"catalog": local_warehouse.catalog, "schema": local_warehouse.schema}
    local_warehouse.warehouse.sql(
        "CREATE TABLE t0 (id BIGINT NOT NULL, CONSTRAINT pk_t0 PRIMARY KEY (id))", **place
    )
    for number in range(1, count):
        local_warehouse.warehouse.sql(
            f"CREATE TABLE t{number} (id BIGINT NOT NULL COMMENT 'the key', "
            f"parent BIGINT, n STRING, CONSTRAINT pk_t{number} PRIMARY KEY (id), "
            f"CONSTRAINT uq_t{number} UNIQUE (n), "
            f"CONSTRAINT fk_t{number} FOREIGN KEY (parent) REFERENCES t{number - 1} (id)) "
            f"COMMENT 'table {number}'",
            **place,
        )


def test_200_tables_are_few_statements(
    local_warehouse: TestWarehouse, engine: Engine, sent: Callable[[], list[str]]
) -> None:
    make_tables(local_warehouse, 200)
    sent()
    metadata = MetaData()
    metadata.reflect(engine)
    assert len(metadata.tables) == 200
    assert len(sent()) <= 3
    assert metadata.tables["t7"].c.id.comment == "the key"
    assert [key.target_fullname for key in metadata.tables["t7"].foreign_keys] == ["t6.id"]

    inspector = inspect(engine)
    first = everything(inspector)
    assert len(first) == 200
    # Each was asked for by name, so that each is asked for its identity columns.
    assert len([text for text in sent() if not text.startswith("SHOW CREATE TABLE")]) <= 3
    assert repr(everything(inspector)) == repr(first)
    assert sent() == []
    assert inspector.has_table("t5")
    assert len(inspector.get_multi_columns()) == 200
    assert sent() == []


def test_one_table_of_many_is_asked_for_by_name(
    local_warehouse: TestWarehouse, engine: Engine, sent: Callable[[], list[str]]
) -> None:
    make_tables(local_warehouse, 5)
    sent()
    assert [column["name"] for column in inspect(engine).get_columns("t3")] == ["id", "parent", "n"]
    asked = local_warehouse.warehouse.requests
    named = [record for record in asked if record.parameters]
    assert [record.parameters for record in named[-2:]] == [((None, "STRING", "t3"),)] * 2
    # Whether its BIGINT columns are identity columns, only the table itself tells.
    *listed, itself = sent()
    assert len(listed) == 2
    assert itself == "SHOW CREATE TABLE `t3`"
    assert inspect(engine).get_pk_constraint("t3")["constrained_columns"] == ["id"]
    assert len(sent()) == 2


def test_several_tables_one_by_one_are_not_several_times_the_statements(
    local_warehouse: TestWarehouse, engine: Engine, sent: Callable[[], list[str]]
) -> None:
    make_tables(local_warehouse, 20)
    sent()
    inspector = inspect(engine)
    for number in range(20):
        assert inspector.get_columns(f"t{number}")
        assert inspector.get_pk_constraint(f"t{number}")["constrained_columns"] == ["id"]
    assert len([text for text in sent() if not text.startswith("SHOW CREATE TABLE")]) <= 12


# --- what is reflected ---------------------------------------------------------------------------


def test_columns(connection: Connection, run: Callable[..., None]) -> None:
    run(
        "CREATE TABLE t (id BIGINT NOT NULL COMMENT 'the key', s STRING DEFAULT 'it\\'s', "
        "n DECIMAL(10,2) DEFAULT 1.5, at TIMESTAMP DEFAULT current_timestamp(), v VARIANT, "
        "deep ARRAY<STRUCT<a: INT, `b c`: MAP<STRING, ARRAY<BIGINT>>>>) "
        "TBLPROPERTIES ('delta.feature.allowColumnDefaults' = 'supported')"
    )
    found = {column["name"]: column for column in inspect(connection).get_columns("t")}
    assert [(item["nullable"], item["comment"]) for item in found.values()] == [
        (False, "the key"),
        *[(True, None)] * 5,
    ]
    assert [item["default"] for item in found.values()] == [
        None,
        "'it\\'s'",
        "1.5",
        "current_timestamp()",
        None,
        None,
    ]
    assert isinstance(found["id"]["type"], BIGINT)
    assert repr(found["n"]["type"]) == repr(DECIMAL(10, 2))
    assert isinstance(found["at"]["type"], TIMESTAMP)
    assert isinstance(found["v"]["type"], VARIANT)
    deep = found["deep"]["type"]
    assert isinstance(deep, ARRAY)
    assert isinstance(deep.item_type, STRUCT)
    (a, a_type), (b, b_type) = deep.item_type.fields
    assert (a, b) == ("a", "b c")
    assert isinstance(a_type, INTEGER)
    assert isinstance(b_type, MAP)


def test_a_type_that_is_not_known_warns(connection: Connection, run: Callable[..., None]) -> None:
    run("CREATE VIEW t AS SELECT INTERVAL '1' DAY AS i")
    with pytest.warns(SAWarning, match="interval day.*column 'i'"):
        (column,) = inspect(connection).get_columns("t")
    assert isinstance(column["type"], NullType)


def test_constraints(connection: Connection, run: Callable[..., None]) -> None:
    run(
        "CREATE TABLE p (x BIGINT NOT NULL, y BIGINT NOT NULL, CONSTRAINT p_pk PRIMARY KEY (y, x))",
        "CREATE TABLE c (id BIGINT NOT NULL, a BIGINT, b BIGINT, s STRING, "
        "CONSTRAINT c_pk PRIMARY KEY (id), CONSTRAINT c_uq UNIQUE (s, a), "
        "CONSTRAINT c_fk FOREIGN KEY (a, b) REFERENCES p (y, x), "
        "CONSTRAINT c_self FOREIGN KEY (b) REFERENCES c (id))",
        "ALTER TABLE c ADD CONSTRAINT c_ck CHECK (a > 0 AND s <> 'it\\'s')",
    )
    inspector = inspect(connection)
    assert inspector.get_pk_constraint("p") == {"constrained_columns": ["y", "x"], "name": "p_pk"}
    assert inspector.get_pk_constraint("c") == {"constrained_columns": ["id"], "name": "c_pk"}
    assert inspector.get_unique_constraints("c") == [{"name": "c_uq", "column_names": ["s", "a"]}]
    assert inspector.get_check_constraints("c") == [
        {"name": "c_ck", "sqltext": "a > 0 AND s <> 'it\\'s'"}
    ]
    assert inspector.get_indexes("c") == []
    fks = {item["name"]: item for item in inspector.get_foreign_keys("c")}
    assert fks["c_fk"] == {
        "name": "c_fk",
        "constrained_columns": ["a", "b"],
        "referred_schema": None,
        "referred_table": "p",
        "referred_columns": ["y", "x"],
    }
    assert fks["c_self"]["referred_table"] == "c"
    assert inspector.get_foreign_keys("p") == []


def test_foreign_keys_across_schemas_and_catalogs(
    connection: Connection,
    run: Callable[..., None],
    local_warehouse: TestWarehouse,
    other_schema: str,
    far_schema: str,
) -> None:
    here = f"{local_warehouse.catalog}.{local_warehouse.schema}"
    run(
        f"CREATE TABLE {other_schema}.o (i BIGINT NOT NULL, CONSTRAINT o_pk PRIMARY KEY (i))",
        f"CREATE TABLE {far_schema}.f (k BIGINT NOT NULL, l STRING NOT NULL, "
        "CONSTRAINT f_pk PRIMARY KEY (l, k))",
        "CREATE TABLE c (id BIGINT NOT NULL, i BIGINT, k BIGINT, l STRING, "
        "CONSTRAINT c_pk PRIMARY KEY (id), "
        f"CONSTRAINT c_o FOREIGN KEY (i) REFERENCES {other_schema}.o (i), "
        f"CONSTRAINT c_f FOREIGN KEY (l, k) REFERENCES {far_schema}.f (l, k))",
        f"CREATE TABLE {far_schema}.back (c BIGINT, f STRING, g BIGINT, "
        f"CONSTRAINT back_c FOREIGN KEY (c) REFERENCES {here}.c (id), "
        f"CONSTRAINT back_f FOREIGN KEY (f, g) REFERENCES {far_schema}.f (l, k))",
    )
    inspector = inspect(connection)

    def referred(table: str, schema: str | None) -> dict[str | None, tuple[Any, ...]]:
        return {
            item["name"]: (
                item["referred_schema"],
                item["referred_table"],
                item["referred_columns"],
            )
            for item in inspector.get_foreign_keys(table, schema)
        }

    expected = {"c_o": (other_schema, "o", ["i"]), "c_f": (far_schema, "f", ["l", "k"])}
    assert referred("c", None) == expected
    assert referred("back", far_schema) == {
        "back_c": (None, "c", ["id"]),
        "back_f": (far_schema, "f", ["l", "k"]),
    }
    # The schema of the session named in full is a schema like any other.
    qualified = f"{local_warehouse.catalog}.{other_schema}"
    assert referred("c", here)["c_o"] == (qualified, "o", ["i"])

    metadata = MetaData()
    metadata.reflect(connection)
    assert set(metadata.tables) == {"c", f"{other_schema}.o", f"{far_schema}.f"}


@pytest.mark.parametrize("place", ["", "other", "far"])
def test_a_foreign_key_in_another_order_than_the_primary_key(
    engine: Engine, other_schema: str, far_schema: str, place: str
) -> None:
    schema = {"": None, "other": other_schema, "far": far_schema}[place]
    metadata = MetaData()
    key = [Column(name, kind) for name, kind in (("x", BigInteger), ("y", String), ("z", Date))]
    parent = Table("p", metadata, *key, PrimaryKeyConstraint("z", "x", "y"), schema=schema)
    ours = ["a", "b", "c"]
    Table(
        "c",
        metadata,
        *(Column(name, column.type) for name, column in zip(ours, key, strict=True)),
        ForeignKeyConstraint(ours, [parent.c.x, parent.c.y, parent.c.z], name="fk"),
    )
    metadata.create_all(engine)
    (found,) = inspect(engine).get_foreign_keys("c")
    assert (found["referred_schema"], found["referred_table"]) == (schema, "p")
    assert found["constrained_columns"] == ours
    assert found["referred_columns"] == ["x", "y", "z"]
    reflected = Table("c", MetaData(), autoload_with=engine)
    targets = {key.parent.name: key.column.name for key in reflected.foreign_keys}
    assert targets == {"a": "x", "b": "y", "c": "z"}


def test_checks_of_the_same_name_on_two_tables_are_not_mixed_up(
    connection: Connection, run: Callable[..., None]
) -> None:
    run(
        "CREATE TABLE t (a INT)",
        "CREATE TABLE u (b INT)",
        "ALTER TABLE t ADD CONSTRAINT positive CHECK (a > 0)",
        "ALTER TABLE u ADD CONSTRAINT positive CHECK (b > 0)",
    )
    inspector = inspect(connection)
    checks = [inspector.get_check_constraints(name) for name in ("t", "u")]
    # Which of the two conditions is whose, only the table itself can tell, if it does.
    assert checks in ([[], []], [[_check("a > 0")], [_check("b > 0")]])


def _check(condition: str) -> dict[str, str]:
    return {"name": "positive", "sqltext": condition}


def test_comments(connection: Connection, run: Callable[..., None]) -> None:
    run("CREATE TABLE t (a INT) COMMENT 'ein \"Wörtchen\"\\nit\\'s'", "CREATE TABLE u (a INT)")
    inspector = inspect(connection)
    assert inspector.get_table_comment("t") == {"text": 'ein "Wörtchen"\nit\'s'}
    assert inspector.get_table_comment("u") == {"text": None}


def test_identity_properties_and_clustering_of_one_table(
    connection: Connection, run: Callable[..., None]
) -> None:
    run(
        "CREATE TABLE t (id BIGINT GENERATED ALWAYS AS IDENTITY (START WITH 5 INCREMENT BY 2) "
        "COMMENT 'no: `n` BIGINT GENERATED ALWAYS AS IDENTITY', `n` BIGINT, s STRING) "
        "CLUSTER BY (s, n) TBLPROPERTIES ('k' = 'it\\'s', 'delta.columnMapping.mode' = 'name')"
    )
    table = Table("t", MetaData(), autoload_with=connection)
    identity = table.c.id.identity
    assert identity is not None
    assert (identity.always, identity.start, identity.increment) == (True, 5, 2)
    assert table.c.n.identity is None
    identities = {
        column["name"]: column.get("identity") for column in inspect(connection).get_columns("t")
    }
    assert identities == {"id": {"always": True, "start": 5, "increment": 2}, "n": None, "s": None}
    assert table.dialect_kwargs["databricks_cluster_by"] == ("s", "n")
    properties = table.dialect_kwargs["databricks_tblproperties"]
    assert properties["k"] == "it's"
    assert properties["delta.columnMapping.mode"] == "name"
    assert not any(key.startswith("delta.feature.") for key in properties)
    assert inspect(connection).get_table_options("t")["databricks_cluster_by"] == ("s", "n")


def test_generated_columns_as_show_create_table_writes_them() -> None:
    found = parse_generated(
        "CREATE TABLE c.s.t (\n  id BIGINT GENERATED ALWAYS AS IDENTITY (START WITH -5 INCREMENT "
        "BY -1) NOT NULL COMMENT 'x BIGINT GENERATED ALWAYS AS IDENTITY',\n"
        "  `a``b c` BIGINT GENERATED BY DEFAULT AS IDENTITY,\n"
        "  generated STRUCT<a: ARRAY<INT>, generated: DECIMAL(10,2)> NOT NULL,\n"
        "  d BOOLEAN DEFAULT 1 < 2, e STRING DEFAULT ') GENERATED ALWAYS AS (x',\n"
        "  `g,` STRUCT<x: INT, y: INT> GENERATED ALWAYS AS ( named_struct('x', (id), 'y)', 2 > 1) )"
        " COMMENT 'no', h INT GENERATED ALWAYS AS (id), "
        "CONSTRAINT `pk` PRIMARY KEY (`generated`))\nUSING delta\nTBLPROPERTIES (\n"
        "  'k' = 'GENERATED ALWAYS AS (a)')"
    )
    assert {name: tuple(item) for name, item in found.items()} == {
        "id": (True, -5, -1),
        "a`b c": (False, 1, 1),
        "g,": ("named_struct('x', (id), 'y)', 2 > 1)", True),
        "h": ("id", True),
    }


def test_computed_columns(connection: Connection, run: Callable[..., None]) -> None:
    run(
        "CREATE TABLE t (a INT, b STRING, c INT GENERATED ALWAYS AS (a * (a + 1)), "
        "d STRING GENERATED ALWAYS AS (concat(b, ':x (')))"
    )
    columns = {item["name"]: item.get("computed") for item in inspect(connection).get_columns("t")}
    assert columns == {
        "a": None,
        "b": None,
        "c": {"sqltext": "a * (a + 1)", "persisted": True},
        "d": {"sqltext": "concat(b, ':x (')", "persisted": True},
    }
    copied = MetaData()
    Table("t", MetaData(), autoload_with=connection).to_metadata(copied, name="u")
    copied.create_all(connection)
    run("INSERT INTO u (a, b) VALUES (3, 'b')")
    assert connection.execute(text("SELECT c, d FROM u")).all() == [(12, "b:x (")]


def test_a_default_that_is_reflected_means_what_it_says(
    connection: Connection, run: Callable[..., None]
) -> None:
    run(
        "CREATE TABLE t (a INT, b STRING DEFAULT 'a :x \\\\:y 10:30::z', c INT DEFAULT 1) "
        "TBLPROPERTIES ('delta.feature.allowColumnDefaults' = 'supported')"
    )
    copied = MetaData()
    Table("t", MetaData(), autoload_with=connection).to_metadata(copied, name="u")
    copied.create_all(connection)
    for table in ("t", "u"):
        run(f"INSERT INTO {table} (a) VALUES (1)")
        connection.commit()
    [(wanted,)] = connection.execute(text("SELECT b FROM t")).all()
    assert wanted == "a :x \\:y 10:30::z"
    assert connection.execute(text("SELECT b, c FROM u")).all() == [(wanted, 1)]


@pytest.mark.parametrize(
    ("kept", "written"),
    [
        ("(a > 0) IS NOT FALSE", "a > 0"),
        ("((a) > (0)) IS NOT FALSE", "(a) > (0)"),
        ("( a > 0 ) IS NOT FALSE", "a > 0"),
        ("(a <> ')') IS NOT FALSE", "a <> ')'"),
        ("(`)` = 'it\\'s (') IS NOT FALSE", "`)` = 'it\\'s ('"),
        ("(a) IS NULL OR (b) IS NOT FALSE", "(a) IS NULL OR (b) IS NOT FALSE"),
        ("a IS NOT FALSE", "a IS NOT FALSE"),
        ("a > 0", "a > 0"),
    ],
)
def test_a_check_is_reflected_as_it_was_written(kept: str, written: str) -> None:
    assert plain_condition(kept) == written


def test_what_was_created_is_what_is_reflected(engine: Engine) -> None:
    metadata = MetaData()
    Table("parent", metadata, Column("id", BigInteger, Identity(start=3), primary_key=True))
    Table(
        "child",
        metadata,
        Column("id", BigInteger, primary_key=True, comment="key"),
        Column("parent_id", ForeignKey("parent.id"), nullable=False),
        Column("name", String(20), unique=True, server_default="x"),
        CheckConstraint("name <> 'it''s'", name="ck_name"),
        comment="children",
        databricks_cluster_by=["parent_id"],
    )
    metadata.create_all(engine)
    found = MetaData()
    child = Table("child", found, autoload_with=engine)
    assert [column.name for column in child.primary_key] == ["id"]
    assert next(iter(child.c.parent_id.foreign_keys)).column is found.tables["parent"].c.id
    assert found.tables["parent"].c.id.identity is not None
    assert child.comment == "children"
    (check,) = inspect(engine).get_check_constraints("child")
    assert check["name"] == "ck_name"
    assert check["sqltext"].startswith("name <> ")
    again = MetaData()
    copy = child.to_metadata(again, name="copy")
    found.tables["parent"].to_metadata(again)
    copy.create(engine)
    assert repr(inspect(engine).get_columns("copy")) == repr(inspect(engine).get_columns("child"))


# --- names ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", TABLE_NAMES)
def test_any_legal_name_of_a_table(
    engine: Engine, connection: Connection, local_warehouse: TestWarehouse, name: str
) -> None:
    table = Table(name, MetaData(), Column("id", BigInteger, primary_key=True))
    table.create(engine)
    inspector = inspect(connection)
    assert inspector.has_table(name)
    assert not inspector.has_table(name + "x")
    assert inspector.get_table_names() == [name]
    assert [item["name"] for item in inspector.get_columns(name)] == ["id"]
    assert Table(name, MetaData(), autoload_with=connection).primary_key.columns.keys() == ["id"]
    schema = f"{local_warehouse.catalog}.{local_warehouse.schema}"
    assert inspect(connection).has_table(name, schema)
    assert inspect(connection).get_columns(name, schema)


@pytest.mark.parametrize("name", COLUMN_NAMES)
def test_any_legal_name_of_a_column(engine: Engine, connection: Connection, name: str) -> None:
    table = Table(
        "t",
        MetaData(),
        Column(name, BigInteger, primary_key=True, autoincrement=False),
        Column("parent", ForeignKey(f"t.{name}")) if "." not in name else Column("n", String),
        databricks_tblproperties={"delta.columnMapping.mode": "name"},
    )
    table.create(engine)
    found = Table("t", MetaData(), autoload_with=connection)
    assert found.primary_key.columns.keys() == [name]
    assert [key.column.name for key in found.foreign_keys] in ([name], [])


def test_names_of_schemas(
    engine: Engine, connection: Connection, local_warehouse: TestWarehouse
) -> None:
    name = f"with-hyphen-{local_warehouse.schema}"
    local_warehouse.warehouse.sql(f"CREATE SCHEMA `{name}`")
    try:
        table = Table("t", MetaData(), Column("id", BigInteger, primary_key=True), schema=name)
        table.create(engine)
        inspector = inspect(connection)
        assert name in inspector.get_schema_names()
        assert inspector.has_schema(name)
        assert inspector.get_table_names(name) == ["t"]
        assert inspect(connection).has_table("t", name)
        assert Table("t", MetaData(), schema=name, autoload_with=connection).c.keys() == ["id"]
    finally:
        local_warehouse.warehouse.sql(f"DROP SCHEMA `{name}` CASCADE")


def test_names_are_found_in_any_case(connection: Connection, run: Callable[..., None]) -> None:
    run("CREATE TABLE MyTable (MyColumn INT, CONSTRAINT Pk PRIMARY KEY (MyColumn))")
    assert inspect(connection).get_table_names() == ["mytable"]
    assert inspect(connection).has_table("MyTable")
    table = Table("MyTable", MetaData(), autoload_with=connection)
    assert table.c.keys() == ["MyColumn"]
    assert table.primary_key.columns.keys() == ["MyColumn"]


def test_schemas_of_another_catalog(connection: Connection, far_schema: str) -> None:
    catalog = far_schema.split(".")[0]
    inspector = inspect(connection)
    assert far_schema in inspector.get_schema_names(catalog=catalog)
    assert inspector.has_schema(far_schema)
    assert not inspector.has_schema(f"{catalog}.nope")


# --- what is not there ---------------------------------------------------------------------------


@pytest.mark.parametrize("schema", [None, "nope", "nope.nope"])
def test_a_table_that_is_not_there(connection: Connection, schema: str | None) -> None:
    inspector = inspect(connection)
    assert not inspector.has_table("nope", schema)
    for ask in (
        inspector.get_columns,
        inspector.get_pk_constraint,
        inspector.get_foreign_keys,
        inspector.get_unique_constraints,
        inspector.get_check_constraints,
        inspector.get_indexes,
        inspector.get_table_comment,
        inspector.get_table_options,
        inspector.get_view_definition,
    ):
        with pytest.raises(NoSuchTableError):
            ask("nope", schema)
    with pytest.raises(NoSuchTableError):
        Table("nope", MetaData(), schema=schema, autoload_with=connection)
    if schema is not None:
        assert not inspector.has_schema(schema)
        assert inspector.get_table_names(schema) == []


def test_an_empty_schema_has_nothing(connection: Connection) -> None:
    inspector = inspect(connection)
    assert inspector.get_table_names() == []
    assert inspector.get_view_names() == []
    assert inspector.get_multi_columns() == {}
    metadata = MetaData()
    metadata.reflect(connection, views=True)
    assert not metadata.tables


def test_another_error_is_not_taken_for_an_absence(
    connection: Connection, local_warehouse: TestWarehouse
) -> None:
    local_warehouse.warehouse.credentials.revoke(local_warehouse.warehouse.access_token)
    with pytest.raises(DBAPIError):
        inspect(connection).has_table("t")


# --- views ---------------------------------------------------------------------------------------


def test_views(connection: Connection, run: Callable[..., None]) -> None:
    run(
        "CREATE TABLE t (id BIGINT, s STRING)",
        "CREATE VIEW v (one COMMENT 'first') COMMENT 'a view' AS "
        "SELECT s FROM t WHERE s <> 'it\\'s'",
        "CREATE TEMPORARY VIEW tv AS SELECT 1 AS a, 'x' AS b",
    )
    inspector = inspect(connection)
    assert inspector.get_table_names() == ["t"]
    assert inspector.get_view_names() == ["v"]
    assert inspector.get_temp_view_names() == ["tv"]
    assert inspector.get_view_definition("v") == "SELECT s FROM t WHERE s <> 'it\\'s'"
    assert inspector.get_view_definition("tv") == "SELECT 1 AS a, 'x' AS b"
    assert inspector.get_table_comment("v") == {"text": "a view"}
    (column,) = inspector.get_columns("v")
    assert (column["name"], column["comment"]) == ("one", "first")
    assert [item["name"] for item in inspector.get_columns("tv")] == ["a", "b"]
    assert inspect(connection).has_table("tv")
    assert inspect(connection).has_table("v")
    assert inspector.get_pk_constraint("v") == {"constrained_columns": [], "name": None}
    assert not inspector.has_table("tv", "information_schema")
    metadata = MetaData()
    metadata.reflect(connection, views=True)
    assert set(metadata.tables) == {"t", "v"}


def test_kinds_and_scopes(connection: Connection, run: Callable[..., None]) -> None:
    run(
        "CREATE TABLE t (id BIGINT)",
        "CREATE VIEW v AS SELECT id FROM t",
        "CREATE TEMPORARY VIEW tv AS SELECT 1 AS a",
    )
    inspector = inspect(connection)

    def names(kind: ObjectKind, scope: ObjectScope, **kw: Any) -> set[str]:
        return {name for _, name in inspector.get_multi_columns(kind=kind, scope=scope, **kw)}

    assert names(ObjectKind.TABLE, ObjectScope.DEFAULT) == {"t"}
    assert names(ObjectKind.VIEW, ObjectScope.DEFAULT) == {"v"}
    assert names(ObjectKind.VIEW, ObjectScope.TEMPORARY) == {"tv"}
    assert names(ObjectKind.ANY, ObjectScope.ANY) == {"t", "v", "tv"}
    assert names(ObjectKind.ANY, ObjectScope.ANY, filter_names=["TV", "t"]) == {"t", "TV"}
    assert names(ObjectKind.MATERIALIZED_VIEW, ObjectScope.ANY) == set()
