"""Catalogs, schemas, tables and views: CREATE, DROP, SHOW, DESCRIBE, information_schema."""

# ruff: noqa: F401, F811 - pytest finds fixtures by the name they are imported under

from __future__ import annotations

import json

import pytest

from tests.warehouse.engine.client import Client, db, engine

pytestmark = pytest.mark.usefixtures("engine")


def test_catalogs(db: Client) -> None:
    db.script("CREATE CATALOG Sales COMMENT 'c'", "CREATE CATALOG IF NOT EXISTS sales")
    assert db.run("SHOW CATALOGS") == [("main",), ("sales",), ("system",)]
    assert db.run("SHOW CATALOGS LIKE 's*'") == [("sales",), ("system",)]
    assert dict(db.run("DESCRIBE CATALOG sales"))["Comment"] == "c"
    db.fails("CREATE CATALOG sales", "CATALOG_ALREADY_EXISTS", "42P06")
    db.run("CREATE TABLE sales.default.t (a INT)")
    db.fails("DROP CATALOG sales", "CATALOG_NOT_EMPTY", "2BP01")
    db.run("DROP CATALOG sales CASCADE")
    db.fails("DROP CATALOG sales", "NO_SUCH_CATALOG_EXCEPTION", "42704")
    db.run("DROP CATALOG IF EXISTS sales")


def test_schemas(db: Client) -> None:
    db.script("CREATE SCHEMA s COMMENT 'it\\'s'", "CREATE DATABASE IF NOT EXISTS main.S")
    assert db.run("SHOW SCHEMAS") == [("default",), ("information_schema",), ("s",)]
    assert db.names("SHOW DATABASES IN main LIKE 's|x'") == ["databaseName"]
    assert db.run("SHOW DATABASES IN main LIKE 's|x'") == [("s",)]
    assert dict(db.run("DESCRIBE SCHEMA s"))["Comment"] == "it's"
    db.fails("CREATE SCHEMA s", "SCHEMA_ALREADY_EXISTS", "42P06")
    db.run("CREATE TABLE s.t (a INT)")
    db.fails("DROP SCHEMA s RESTRICT", "SCHEMA_NOT_EMPTY", "2BP01")
    db.run("DROP SCHEMA s CASCADE")
    db.fails("SELECT * FROM s.t", "TABLE_OR_VIEW_NOT_FOUND", "42P01")
    db.fails("DROP SCHEMA s", "SCHEMA_NOT_FOUND", "42704")
    db.run("DROP SCHEMA IF EXISTS s")
    db.fails("CREATE TABLE nope.t (a INT)", "SCHEMA_NOT_FOUND", "42704")


def test_show_tables_and_views(db: Client) -> None:
    db.script(
        "CREATE TABLE t1 (a INT)", "CREATE TABLE T2 (a INT)", "CREATE VIEW v AS SELECT 1 AS x"
    )
    assert db.names("SHOW TABLES") == ["database", "tableName", "isTemporary"]
    assert db.run("SHOW TABLES FROM main.default") == [
        ("default", "t1", False),
        ("default", "t2", False),
        ("default", "v", False),
    ]
    assert db.run("SHOW TABLES IN default LIKE '*2'") == [("default", "t2", False)]
    assert db.names("SHOW VIEWS") == ["namespace", "viewName", "isTemporary", "isMaterialized"]
    assert db.run("SHOW VIEWS IN main.default") == [("default", "v", False, False)]
    db.fails("SHOW TABLES IN nope", "SCHEMA_NOT_FOUND", "42704")


@pytest.mark.parametrize(
    ("definition", "error_class", "sqlstate"),
    [
        ("(a INT, A STRING)", "COLUMN_ALREADY_EXISTS", "42711"),
        ("(a NOTATYPE)", "UNSUPPORTED_DATATYPE", "0A000"),
        ("(a INT, CHECK (a > 0))", "PARSE_SYNTAX_ERROR", "42601"),
        ("(a INT CHECK (a > 0))", "PARSE_SYNTAX_ERROR", "42601"),
        ("(a INT, CONSTRAINT c CHECK (a > 0))", "PARSE_SYNTAX_ERROR", "42601"),
        ("(a INT DEFAULT 1)", "WRONG_COLUMN_DEFAULTS_FOR_DELTA_FEATURE_NOT_ENABLED", "0AKDE"),
        ("(a INT GENERATED ALWAYS AS IDENTITY)",
         "DELTA_IDENTITY_COLUMNS_UNSUPPORTED_DATA_TYPE", "428H2"),
        ("(a BIGINT GENERATED ALWAYS AS IDENTITY (INCREMENT BY 0))",
         "DELTA_IDENTITY_COLUMNS_ILLEGAL_STEP", "42611"),
        ("(a BIGINT GENERATED ALWAYS AS IDENTITY, b INT) PARTITIONED BY (a)",
         "DELTA_IDENTITY_COLUMNS_PARTITION_NOT_SUPPORTED", "42601"),
        ("(a INT, b INT GENERATED ALWAYS AS (zz + 1))",
         "DELTA_INVALID_GENERATED_COLUMN_REFERENCES", "42621"),
        ("(a INT, b STRING GENERATED ALWAYS AS (a + 1))",
         "DELTA_GENERATED_COLUMNS_EXPR_TYPE_MISMATCH", "42K09"),
        ("(`a b` INT)", "DELTA_INVALID_CHARACTERS_IN_COLUMN_NAMES", "42K05"),
        ("(a INT) USING parquet", "UNSUPPORTED_BY_LOCAL_WAREHOUSE", "0A000"),
        ("(a INT) LOCATION 's3://x'", "UNSUPPORTED_BY_LOCAL_WAREHOUSE", "0A000"),
        ("(a INT) PARTITIONED BY (z)", "UNRESOLVED_COLUMN.WITH_SUGGESTION", "42703"),
        ("(a INT) PARTITIONED BY (a)", "DELTA_CANNOT_USE_ALL_COLUMNS_FOR_PARTITION", "428FT"),
        ("(a INT, b INT) PARTITIONED BY (a) CLUSTER BY (b)",
         "DELTA_CLUSTER_BY_WITH_PARTITIONED_BY", "42613"),
        ("(a INT) TBLPROPERTIES ('delta.nope' = '1')", "DELTA_UNKNOWN_CONFIGURATION", "F0000"),
        ("(a INT) TBLPROPERTIES ('delta.feature.nope' = 'supported')",
         "DELTA_UNSUPPORTED_FEATURES_IN_CONFIG", "56038"),
        ("(a INT) TBLPROPERTIES ('delta.feature.catalogManaged' = 'yes')",
         "DELTA_UNSUPPORTED_FEATURE_STATUS", "0AKDE"),
        ("(a INT) TBLPROPERTIES ('delta.isolationLevel' = 'Snap')",
         "DELTA_INVALID_ISOLATION_LEVEL", "25000"),
        ("(a INT PRIMARY KEY, b INT PRIMARY KEY)", "MULTIPLE_PRIMARY_KEYS", "42P16"),
        ("(a INT REFERENCES nope)", "TABLE_OR_VIEW_NOT_FOUND", "42P01"),
        ("(a INT) FROB", "PARSE_SYNTAX_ERROR", "42601"),
        ("(a INTERVAL DAY)", "DELTA_UNSUPPORTED_DATA_TYPES", "0AKDC"),
        ("AS SELECT 1 AS a, 2 AS a", "COLUMN_ALREADY_EXISTS", "42711"),
        ("(a INT) AS SELECT 1", "INVALID_STATEMENT_OR_CLAUSE", "42601"),
    ],
)  # fmt: skip
def test_tables_that_cannot_be(
    db: Client, definition: str, error_class: str, sqlstate: str
) -> None:
    db.fails(f"CREATE TABLE t {definition}", error_class, sqlstate)
    assert db.run("SHOW TABLES") == []


def test_create_if_not_exists_or_replace(db: Client) -> None:
    db.script("CREATE TABLE t (a INT)", "INSERT INTO t VALUES (1)")
    db.run("CREATE TABLE IF NOT EXISTS t (zz STRING)")
    assert db.names("SELECT * FROM t") == ["a"]
    db.fails("CREATE TABLE t (b INT)", "TABLE_OR_VIEW_ALREADY_EXISTS", "42P07")
    db.run("CREATE OR REPLACE TABLE t (b STRING, c INT)")
    assert db.run("SELECT b, c FROM t") == []
    db.run("REPLACE TABLE t AS SELECT 5 AS d")
    assert db.run("SELECT * FROM t") == [(5,)]
    db.fails("REPLACE TABLE u (a INT)", "DELTA_CANNOT_REPLACE_MISSING_TABLE", "42P01")
    db.fails(
        "CREATE OR REPLACE TABLE t (a INT) "
        "TBLPROPERTIES ('delta.feature.catalogManaged' = 'supported')",
        "DELTA_REPLACE_TABLE_WITH_CATALOG_MANAGED_NOT_SUPPORTED",
        "0A000",
    )


def test_as_select_takes_names_and_types(db: Client) -> None:
    db.run("CREATE TABLE t AS SELECT 1 AS i, 'x' AS s, 1.25 AS d, array(1) AS a")
    assert db.run("DESCRIBE t") == [
        ("i", "int", None),
        ("s", "string", None),
        ("d", "decimal(3,2)", None),
        ("a", "array<int>", None),
    ]
    db.run("CREATE TABLE u LIKE t")
    assert db.run("DESCRIBE u") == db.run("DESCRIBE t")
    assert db.run("SELECT * FROM u") == []


@pytest.fixture
def keyed(db: Client) -> Client:
    db.script(
        "CREATE TABLE p (a INT, b STRING, CONSTRAINT p_key PRIMARY KEY (a, b) RELY)",
        "CREATE TABLE c (id BIGINT PRIMARY KEY COMMENT 'key', x INT, y STRING NOT NULL, "
        "CONSTRAINT c_p FOREIGN KEY (x, y) REFERENCES p (a, b) NOT ENFORCED, UNIQUE (y)) "
        "USING DELTA COMMENT 'children' CLUSTER BY (id)",
        "ALTER TABLE c ADD CONSTRAINT positive CHECK (id > 0)",
    )
    return db


def test_describe_extended_as_the_dialect_reads_it(keyed: Client) -> None:
    rows = keyed.run("DESCRIBE TABLE EXTENDED c")
    assert rows[:3] == [("id", "bigint", "key"), ("x", "int", None), ("y", "string", None)]
    start = rows.index(("# Detailed Table Information", "", ""))
    details = {name: value for name, value, _ in rows[start + 1 :]}
    assert details["Catalog"] == "main"
    assert details["Database"] == "default"
    assert details["Table"] == "c"
    assert details["Type"] == "MANAGED"
    assert details["Provider"] == "delta"
    assert details["Comment"] == "children"
    assert details["Table Properties"].startswith("[delta.")
    keys = rows[rows.index(("# Constraints", "", "")) + 1 :]
    assert keys == [
        ("c_pk", "PRIMARY KEY (`id`)", ""),
        (
            "c_p",
            "FOREIGN KEY (`x`, `y`) REFERENCES `main`.`default`.`p` (`a`, `b`)",
            "",
        ),
        ("c_unique", "UNIQUE (`y`)", ""),
    ]


def test_describe_as_json(keyed: Client) -> None:
    data = json.loads(keyed.run("DESCRIBE TABLE EXTENDED c AS JSON")[0][0])
    assert (data["catalog_name"], data["schema_name"], data["table_name"]) == (
        "main",
        "default",
        "c",
    )
    assert data["columns"][0] == {
        "name": "id",
        "type": {"name": "bigint"},
        "nullable": False,
        "comment": "key",
    }
    assert data["table_constraints"] == (
        "[(c_pk, PRIMARY KEY (`id`)), (c_p, FOREIGN KEY (`x`, `y`) REFERENCES "
        "`main`.`default`.`p` (`a`, `b`)), (c_unique, UNIQUE (`y`))]"
    )
    keyed.fails("DESCRIBE TABLE c AS JSON", "DESCRIBE_JSON_NOT_EXTENDED", "0A000")


def test_nested_types_as_json(db: Client) -> None:
    db.run("CREATE TABLE t (a ARRAY<STRUCT<x: INT, y: DECIMAL(5,2)>>, m MAP<STRING, VARCHAR(3)>)")
    columns = json.loads(db.run("DESCRIBE EXTENDED t AS JSON")[0][0])["columns"]
    assert columns[0]["type"]["element_type"]["fields"][1]["type"] == {
        "name": "decimal",
        "precision": 5,
        "scale": 2,
    }
    assert columns[1]["type"]["value_type"] == {"name": "varchar", "length": 3}


def test_describe_of_what_is_not_there(db: Client) -> None:
    for statement in (
        "DESCRIBE TABLE EXTENDED `main`.`default`.`nope`",
        "DESCRIBE nope",
        "SHOW COLUMNS IN nope",
        "SHOW CREATE TABLE nope",
        "SHOW TBLPROPERTIES nope",
        "DESCRIBE HISTORY nope",
        "DESCRIBE DETAIL nope",
        "DROP TABLE nope",
        "DROP VIEW nope",
    ):
        db.fails(statement, "TABLE_OR_VIEW_NOT_FOUND", "42P01")
    db.script("DROP TABLE IF EXISTS nope", "DROP VIEW IF EXISTS nope")


def test_show_create_table_makes_the_same_table(keyed: Client) -> None:
    keyed.run(
        "CREATE TABLE q (`odd name` INT COMMENT 'it\\'s', d STRING DEFAULT 'x') TBLPROPERTIES "
        "('delta.columnMapping.mode' = 'name', 'delta.feature.allowColumnDefaults' = 'enabled')"
    )
    for name in ("q", "c"):
        text = keyed.run(f"SHOW CREATE TABLE {name}")[0][0]
        copy = text.replace(f"main.default.{name} ", f"main.default.{name}2 ", 1)
        keyed.run(copy)
        again = keyed.run(f"SHOW CREATE TABLE {name}2")[0][0]
        assert again == copy


def test_information_schema(keyed: Client) -> None:
    keyed.run("CREATE VIEW w AS SELECT id FROM c")
    tables = keyed.run(
        "SELECT table_name, table_type, comment FROM information_schema.tables "
        "WHERE table_schema = 'default' ORDER BY table_name"
    )
    assert tables == [("c", "MANAGED", "children"), ("p", "MANAGED", None), ("w", "VIEW", None)]
    columns = keyed.run(
        "SELECT column_name, ordinal_position, is_nullable, data_type, full_data_type "
        "FROM main.information_schema.columns WHERE table_name = 'c' ORDER BY ordinal_position"
    )
    assert columns == [
        ("id", 1, "NO", "BIGINT", "bigint"),
        ("x", 2, "YES", "INT", "int"),
        ("y", 3, "NO", "STRING", "string"),
    ]
    constraints = keyed.run(
        "SELECT constraint_name, constraint_type FROM system.information_schema.table_constraints "
        "WHERE table_name = 'c' ORDER BY constraint_name"
    )
    assert constraints == [
        ("c_p", "FOREIGN KEY"),
        ("c_pk", "PRIMARY KEY"),
        ("c_unique", "UNIQUE"),
        ("positive", "CHECK"),
    ]
    usage = keyed.run(
        "SELECT column_name, ordinal_position, position_in_unique_constraint "
        "FROM information_schema.key_column_usage WHERE constraint_name = 'c_p' ORDER BY 2"
    )
    assert usage == [("x", 1, 1), ("y", 2, 2)]
    referenced = keyed.run(
        "SELECT table_name, column_name FROM information_schema.constraint_column_usage "
        "WHERE constraint_name = 'c_p' ORDER BY column_name"
    )
    assert referenced == [("p", "a"), ("p", "b")]
    assert keyed.run(
        "SELECT unique_constraint_name FROM information_schema.referential_constraints"
    ) == [("p_key",)]
    assert keyed.run("SELECT view_definition FROM information_schema.views") == [
        ("SELECT id FROM c",)
    ]
    assert ("default",) in keyed.run("SELECT schema_name FROM information_schema.schemata")
    assert keyed.column("SELECT catalog_name FROM system.information_schema.catalogs") == [
        "main",
        "system",
    ]
    keyed.fails("SELECT * FROM information_schema.nope", "TABLE_OR_VIEW_NOT_FOUND", "42P01")


def test_views_follow_their_tables(db: Client) -> None:
    db.script(
        "CREATE TABLE t (a INT, b STRING) TBLPROPERTIES ('delta.columnMapping.mode' = 'name')",
        "INSERT INTO t VALUES (1, 'x')",
        "CREATE VIEW v (one COMMENT 'first', two) AS SELECT * FROM t",
        "CREATE SCHEMA s",
        "USE s",
    )
    assert db.run("SELECT two, one FROM main.default.v") == [("x", 1)]
    db.run("ALTER TABLE main.default.t ADD COLUMN c INT FIRST")
    assert db.run("SELECT * FROM main.default.v") == [(1, "x")]
    assert db.run("DESCRIBE main.default.v")[0] == ("one", "int", "first")
    db.run("ALTER TABLE main.default.t DROP COLUMN b")
    db.fails("SELECT * FROM main.default.v", "INCOMPATIBLE_VIEW_SCHEMA_CHANGE", "51024")


def test_views_change_and_go(db: Client) -> None:
    db.run("CREATE VIEW v AS SELECT 1 AS a")
    db.fails("CREATE VIEW v AS SELECT 2 AS a", "TABLE_OR_VIEW_ALREADY_EXISTS", "42P07")
    db.script(
        "CREATE VIEW IF NOT EXISTS v AS SELECT 2 AS a", "CREATE OR REPLACE VIEW v AS SELECT 3 AS a"
    )
    assert db.run("SELECT a FROM v") == [(3,)]
    db.run("ALTER VIEW v AS SELECT 4 AS b")
    assert db.run("SELECT b FROM v") == [(4,)]
    db.run("ALTER VIEW v RENAME TO w")
    db.fails("SELECT * FROM v", "TABLE_OR_VIEW_NOT_FOUND", "42P01")
    db.run("COMMENT ON VIEW w IS 'hm'")
    assert ("Comment", "hm", "") in db.run("DESCRIBE EXTENDED w")
    db.fails("DROP TABLE w", "WRONG_COMMAND_FOR_OBJECT_TYPE", "42809")
    db.run("DROP VIEW w")
    assert db.run("SHOW VIEWS") == []
    db.fails("CREATE VIEW x AS SELECT * FROM nope", "TABLE_OR_VIEW_NOT_FOUND", "42P01")


def test_names_in_three_parts_and_any_case(db: Client) -> None:
    db.script(
        "CREATE TABLE MAIN.Default.`Mixed` (Col INT)", "INSERT INTO main.`DEFAULT`.mixed VALUES (1)"
    )
    assert db.run("SELECT main.default.mixed.COL FROM mixed") == [(1,)]
    assert db.names("SELECT * FROM Mixed") == ["Col"]
    db.fails("SELECT * FROM a.b.c.d", "IDENTIFIER_TOO_MANY_NAME_PARTS", "42601")
    db.fails("CREATE TABLE `a b` (x INT)", "INVALID_SCHEMA_OR_RELATION_NAME", "42602")
