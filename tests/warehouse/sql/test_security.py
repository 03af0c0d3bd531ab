"""Nothing of DuckDB's own can be reached from a statement."""

from __future__ import annotations

from collections.abc import Iterator

import duckdb
import pytest

from tests.warehouse.sql.support import Database, translate
from vinci_code.warehouse.sql.builtins import DOCUMENTED, FUNCTIONS
from vinci_code.warehouse.sql.errors import SqlError
from vinci_code.warehouse.sql.functions import PYTHON_FUNCTIONS
from vinci_code.warehouse.sql.parameters import Parameter


@pytest.fixture(scope="module")
def database() -> Iterator[Database]:
    database = Database()
    yield database
    database.close()


REFUSED = [
    "SELECT read_csv('/etc/passwd')",
    "SELECT * FROM read_csv('/etc/passwd')",
    "SELECT * FROM read_text('/etc/passwd')",
    "SELECT * FROM '/etc/passwd'",
    "SELECT * FROM csv.`/etc/passwd`",
    "SELECT * FROM glob('*')",
    "SELECT getenv('HOME')",
    "SELECT current_setting('threads')",
    "SELECT * FROM duckdb_settings()",
    "SELECT * FROM pragma_version()",
    "SELECT * FROM query('select 1')",
    "SELECT error('x')",
    "SELECT vinci_java_float('1')",
    "SELECT list_transform(array(1), x -> x)",
    "SELECT unnest(array(1))",
    "SELECT CAST(1 AS HUGEINT)",
    "SELECT CAST('x' AS UUID)",
    "SELECT 1::JSON",
    "SELECT [1, 2]",
    "SELECT {'a': 1}",
    "SELECT $x",
    "SELECT 'a'.upper()",
    "SELECT COLUMNS(*) FROM t",
    "SELECT * REPLACE (1 AS a) FROM t",
    "SELECT DISTINCT ON (a) a FROM t",
    "SELECT a FROM t FOR UPDATE",
    "SELECT 1 INTO x",
    "SELECT sum(a ORDER BY a) FROM t",
    "SELECT a FROM t USING SAMPLE 10",
    "SELECT * FROM t ASOF JOIN t AS u ON t.a = u.a",
    "WITH x AS MATERIALIZED (SELECT 1) SELECT * FROM x",
    "SELECT 'a' GLOB 'b'",
    "SELECT 'a' SIMILAR TO 'b'",
    "SELECT a -> 1 FROM t",
    "PRAGMA database_list",
    "ATTACH 'x.db'",
    "DETACH x",
    "INSTALL httpfs",
    "EXPORT DATABASE 'x'",
    "SUMMARIZE SELECT 1",
    "CHECKPOINT",
    "COPY t TO '/tmp/x'",
    "LOAD 'x'",
    "SET threads = 1",
    "CALL f()",
    "CREATE TABLE t (a INT)",
]


@pytest.mark.parametrize("sql", REFUSED)
def test_refused_before_duckdb_sees_it(sql: str) -> None:
    with pytest.raises(SqlError):
        translate(sql)


def test_only_the_functions_of_the_allow_list_are_known(database: Database) -> None:
    rows = database.connection.execute(
        "SELECT DISTINCT function_name FROM duckdb_functions() "
        "WHERE regexp_full_match(function_name, '[a-z_0-9]+')"
    ).fetchall()
    unknown = {name for (name,) in rows if name not in FUNCTIONS and name not in DOCUMENTED}
    assert {"read_csv", "read_text", "vinci_java_float", "error"} <= unknown
    for name in sorted(unknown):
        with pytest.raises(SqlError) as caught:
            translate(f"SELECT `{name}`(1)")
        assert caught.value.error_class == "UNRESOLVED_ROUTINE", name


def test_documented_functions_are_refused_by_name() -> None:
    assert not set(FUNCTIONS) & DOCUMENTED
    for name in sorted(DOCUMENTED):
        with pytest.raises(SqlError, match=rf"UNSUPPORTED_BY_LOCAL_WAREHOUSE.* {name}") as caught:
            translate(f"SELECT `{name}`(1)")
        assert caught.value.sqlstate == "0A000"


HOSTILE = [
    "'; DROP TABLE t; --",
    '"; DROP TABLE t; --',
    "\\'; SELECT 1; --",
    "$b1",
    "\0",
    "\x01A\x02B\x03",
    "{}",
    "' || error('x') || '",
    "é😀\u2028",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_user_data_comes_back_as_it_went_in(database: Database, text: str) -> None:
    assert database.value(":p", Parameter("p", "STRING", text)) == text
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    assert database.value(f"'{escaped}'") == text
    alias = text.replace("`", "``")
    if "\0" not in text:
        assert database.run(f"SELECT 1 AS `{alias}`").names == [text]
        assert database.run(f"SELECT `{alias}` FROM (SELECT 1 AS `{alias}`)").rows == [(1,)]


def test_errors_carry_user_text_safely(database: Database) -> None:
    with pytest.raises(SqlError) as caught:
        database.run("SELECT CAST(:p AS INT)", Parameter("p", "STRING", "'; {} x"))
    assert caught.value.error_class == "CAST_INVALID_INPUT"
    assert "The value ''; {} x' of the type" in caught.value.message


def test_names_of_python_functions_are_reserved() -> None:
    assert all(item.name.startswith("vinci_") for item in PYTHON_FUNCTIONS)
    assert not any(name.startswith("vinci_") for name in FUNCTIONS)


def test_duckdb_itself_would_have_run_them(database: Database) -> None:
    # The test above is only worth something if DuckDB has what is refused.
    assert database.connection.execute("SELECT current_setting('threads')").fetchall()
    with pytest.raises(duckdb.Error):
        database.connection.execute("SELECT nosuch(1)").fetchall()
