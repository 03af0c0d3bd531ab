"""Errors: their text, their way through DuckDB, and DuckDB's own in Databricks' words."""

from __future__ import annotations

from collections.abc import Iterator

import duckdb
import pytest

from tests.warehouse.sql.support import Database
from vinci_code.warehouse.sql.errors import SqlError, encode, from_duckdb, unsupported


@pytest.fixture(scope="module")
def database() -> Iterator[Database]:
    database = Database()
    yield database
    database.close()


def test_text_has_class_and_sqlstate() -> None:
    error = SqlError("TABLE_OR_VIEW_NOT_FOUND", "42P01", "The table cannot be found.")
    assert str(error) == "[TABLE_OR_VIEW_NOT_FOUND] The table cannot be found. SQLSTATE: 42P01"


def test_refusal_names_the_construct() -> None:
    assert str(unsupported("the function x")) == (
        "[UNSUPPORTED_BY_LOCAL_WAREHOUSE] The local warehouse cannot compute the function x. "
        "SQLSTATE: 0A000"
    )


def test_error_survives_duckdb() -> None:
    sent = SqlError("A.B", "22012", "text with 'quotes' and \n lines")
    found = from_duckdb(duckdb.InvalidInputException(f"Invalid Input Error: {encode(sent)}"), "")
    assert (found.error_class, found.sqlstate, found.message) == (
        sent.error_class,
        sent.sqlstate,
        sent.message,
    )


def test_unknown_engine_error_is_not_hidden() -> None:
    found = from_duckdb(duckdb.InternalException("something"), "SELECT 1")
    assert (found.error_class, found.sqlstate) == ("INTERNAL_ERROR", "XX000")
    assert "something" in found.message


ERRORS = {
    "2147483647 + 1": ("ARITHMETIC_OVERFLOW", "22003"),
    "9223372036854775807 + 1": ("ARITHMETIC_OVERFLOW", "22003"),
    "127Y + 1Y": ("BINARY_ARITHMETIC_OVERFLOW", "22003"),
    "-(-2147483648)": ("ARITHMETIC_OVERFLOW", "22003"),
    "1 / 0": ("DIVIDE_BY_ZERO", "22012"),
    "1 % 0": ("REMAINDER_BY_ZERO", "22012"),
    "1 DIV 0": ("DIVIDE_BY_ZERO", "22012"),
    "CAST('x' AS INT)": ("CAST_INVALID_INPUT", "22018"),
    "CAST(300 AS TINYINT)": ("CAST_OVERFLOW", "22003"),
    "CAST(1000 AS DECIMAL(2,0))": ("NUMERIC_VALUE_OUT_OF_RANGE.WITH_SUGGESTION", "22003"),
    "array(1)[1]": ("INVALID_ARRAY_INDEX", "22003"),
    "element_at(array(1), 2)": ("INVALID_ARRAY_INDEX_IN_ELEMENT_AT", "22003"),
    "nosuch(1)": ("UNRESOLVED_ROUTINE", "42883"),
    "nosuch": ("UNRESOLVED_COLUMN.WITHOUT_SUGGESTION", "42703"),
    "upper()": ("WRONG_NUM_ARGS.WITHOUT_SUGGESTION", "42605"),
    "1 + array(1)": ("DATATYPE_MISMATCH.BINARY_OP_DIFF_TYPES", "42K09"),
    "CAST(1 AS ARRAY<INT>)": ("DATATYPE_MISMATCH.CAST_WITHOUT_SUGGESTION", "42K09"),
    "raise_error('no')": ("USER_RAISED_EXCEPTION", "P0001"),
    "assert_true(1 = 2)": ("USER_RAISED_EXCEPTION", "P0001"),
    "(SELECT id FROM range(2))": ("SCALAR_SUBQUERY_TOO_MANY_ROWS", "21000"),
    "DATE 'x'": ("INVALID_TYPED_LITERAL", "42604"),
    "map(NULL, 1)": ("NULL_MAP_KEY", "2200E"),
    "map(1, 1, 1, 1)": ("DUPLICATED_MAP_KEY", "23505"),
    "decode(X'ff', 'UTF-8')": ("MALFORMED_CHARACTER_CODING", "22000"),
    "parse_json('{')": ("MALFORMED_RECORD_IN_PARSING.WITHOUT_SUGGESTION", "22023"),
    "row_number()": ("WINDOW_FUNCTION_WITHOUT_OVER_CLAUSE", "42601"),
    "max(max(1))": ("NESTED_AGGREGATE_FUNCTION", "42607"),
}


@pytest.mark.parametrize("sql", ERRORS)
def test_error(database: Database, sql: str) -> None:
    with pytest.raises(SqlError) as caught:
        database.value(sql)
    assert (caught.value.error_class, caught.value.sqlstate) == ERRORS[sql]


@pytest.mark.parametrize("symbol", ["=", "<>", "<", "<=", ">", ">=", "<=>"])
@pytest.mark.parametrize(
    ("kind", "most", "error"),
    [
        ("TINYINT", 127, "BINARY_ARITHMETIC_OVERFLOW"),
        ("SMALLINT", 32767, "BINARY_ARITHMETIC_OVERFLOW"),
        ("INT", 2147483647, "ARITHMETIC_OVERFLOW"),
        ("BIGINT", 9223372036854775807, "ARITHMETIC_OVERFLOW"),
    ],
)
def test_a_comparison_with_a_constant_keeps_the_overflow(
    database: Database, kind: str, most: int, error: str, symbol: str
) -> None:
    one, two, six = (f"CAST({number} AS {kind})" for number in (1, 2, 6))
    table = f"FROM (SELECT CAST(id AS {kind}) AS x FROM range({most}, {most} + 1)) AS v"
    if kind == "BIGINT":
        table = f"FROM (SELECT id + 1 AS x FROM range({most} - 1, {most})) AS v"
    for sum_ in (f"x + {one}", f"{one} + x", f"x - (-{one})", f"-{two} - x", f"{two} * x"):
        for comparison in (f"{sum_} {symbol} {six}", f"{six} {symbol} {sum_}"):
            with pytest.raises(SqlError) as caught:
                database.run(f"SELECT {comparison} {table}")
            assert (caught.value.error_class, caught.value.sqlstate) == (error, "22003")


QUERY_ERRORS = {
    "SELECT x FROM t": ("UNRESOLVED_COLUMN.WITH_SUGGESTION", "42703"),
    "SELECT * FROM nosuch": ("TABLE_OR_VIEW_NOT_FOUND", "42P01"),
    "SELECT a FROM t JOIN t AS u ON t.a = u.a": ("AMBIGUOUS_REFERENCE", "42704"),
    "SELECT a, count(*) FROM t": ("MISSING_GROUP_BY", "42803"),
    "SELECT a, count(*) FROM t GROUP BY b": ("MISSING_AGGREGATION", "42803"),
    "SELECT a FROM t WHERE sum(a) > 1": ("INVALID_WHERE_CONDITION", "42903"),
    "SELECT sum(sum(sum(a) OVER (ORDER BY b)) OVER (ORDER BY b)) OVER (ORDER BY b) FROM t": (
        "UNSUPPORTED_BY_LOCAL_WAREHOUSE",
        "0A000",
    ),
    "SELECT rank() OVER (ORDER BY sum(a) OVER ()) FROM t": (
        "UNSUPPORTED_BY_LOCAL_WAREHOUSE",
        "0A000",
    ),
    "SELECT schema_of_variant(DATE'2020-01-01'::VARIANT)": (
        "UNSUPPORTED_BY_LOCAL_WAREHOUSE",
        "0A000",
    ),
    "SELECT schema_of_variant(to_variant_object(named_struct('a', array(X'00'))))": (
        "UNSUPPORTED_BY_LOCAL_WAREHOUSE",
        "0A000",
    ),
    "SELECT length(TRY_CAST(X'80' AS STRING))": ("UNSUPPORTED_BY_LOCAL_WAREHOUSE", "0A000"),
    "SELECT timestamp_seconds(1e30D)": ("UNSUPPORTED_BY_LOCAL_WAREHOUSE", "0A000"),
    "SELECT a FROM t WHERE a": ("DATATYPE_MISMATCH.FILTER_NOT_BOOLEAN", "42K09"),
    "SELECT a FROM t GROUP BY 2": ("GROUP_BY_POS_OUT_OF_RANGE", "42805"),
    "SELECT a FROM t ORDER BY 2": ("ORDER_BY_POS_OUT_OF_RANGE", "42805"),
    "SELECT a FROM t LIMIT -1": ("INVALID_LIMIT_LIKE_EXPRESSION.IS_NEGATIVE", "42K0E"),
    "SELECT 1 UNION SELECT 1, 2": ("NUM_COLUMNS_MISMATCH", "42826"),
    "SELECT a FROM t UNION SELECT arr FROM n": ("INCOMPATIBLE_COLUMN_TYPE", "42825"),
    "SELECT s.z FROM n": ("FIELD_NOT_FOUND", "42704"),
    "SELECT a.b FROM t": ("INVALID_EXTRACT_BASE_FIELD_TYPE", "42000"),
    "SELECT id FROM n ORDER BY m": ("DATATYPE_MISMATCH.INVALID_ORDERING_TYPE", "42K09"),
    "WITH RECURSIVE r(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM r) SELECT * FROM r": (
        "RECURSION_LEVEL_LIMIT_EXCEEDED",
        "42836",
    ),
}


@pytest.mark.parametrize("sql", QUERY_ERRORS)
def test_query_error(database: Database, sql: str) -> None:
    with pytest.raises(SqlError) as caught:
        database.run(sql)
    assert (caught.value.error_class, caught.value.sqlstate) == QUERY_ERRORS[sql]


# DuckDB says what went wrong in words alone: a release with other words is seen here.
DUCKDB_WORDS = {
    "SELECT 127::TINYINT + 1::TINYINT": "BINARY_ARITHMETIC_OVERFLOW",
    "SELECT 2147483647::INTEGER + 1::INTEGER": "ARITHMETIC_OVERFLOW",
    "SELECT sum(x) FROM (VALUES (9e37::HUGEINT), (9e37::HUGEINT)) t(x)": "ARITHMETIC_OVERFLOW",
    "SELECT abs(x) FROM (VALUES ((-128)::TINYINT)) t(x)": "ARITHMETIC_OVERFLOW",
    "SELECT -x FROM (VALUES ((-128)::TINYINT)) t(x)": "ARITHMETIC_OVERFLOW",
    "SELECT make_date(9999999, 1, 1)": "UNSUPPORTED_BY_LOCAL_WAREHOUSE",
    "SELECT DATE '5881580-07-10' + INTERVAL 1 DAY": "UNSUPPORTED_BY_LOCAL_WAREHOUSE",
    "SELECT make_timestamp(9223372036854775807)": "UNSUPPORTED_BY_LOCAL_WAREHOUSE",
    "SELECT 'ab' LIKE x ESCAPE '\\' FROM (VALUES ('a\\')) t(x)": "INVALID_FORMAT.ESC_AT_THE_END",
    "SELECT 1::DECIMAL(30,20) * 1::DECIMAL(30,20)": (
        "NUMERIC_VALUE_OUT_OF_RANGE.WITHOUT_SUGGESTION"
    ),
    "SELECT sum(x)::BIGINT FROM (VALUES (9223372036854775807), (1)) t(x)": "ARITHMETIC_OVERFLOW",
    "SELECT 300::TINYINT": "CAST_OVERFLOW",
    "SELECT 1000::DECIMAL(2,0)": "NUMERIC_VALUE_OUT_OF_RANGE.WITHOUT_SUGGESTION",
    "SELECT a FROM (VALUES (1, 2)) t(a, b) GROUP BY b": "MISSING_AGGREGATION",
    "SELECT list_transform([1], lambda x: sum(x))": "UNSUPPORTED_BY_LOCAL_WAREHOUSE",
    "SELECT list_transform([1], lambda x: (SELECT x))": "UNSUPPORTED_BY_LOCAL_WAREHOUSE",
    "SELECT timezone('Nowhere', TIMESTAMP '2020-01-01 00:00:00')": "INVALID_TIMEZONE",
    "SELECT 1 = (SELECT a FROM (VALUES (1), (2)) t(a))": "SCALAR_SUBQUERY_TOO_MANY_ROWS",
}


# DuckDB 1.5, the last for Python 3.10, calls this an error of its own.
_INTERNAL_BEFORE_DUCKDB_2 = "SELECT list_transform([1], lambda x: sum(x))"


@pytest.mark.parametrize("sql", DUCKDB_WORDS)
def test_duckdb_still_says_it_in_these_words(database: Database, sql: str) -> None:
    with pytest.raises(duckdb.Error) as caught:
        database.connection.execute(sql).fetchall()
    internal = duckdb.__version__.startswith("1.") and sql == _INTERNAL_BEFORE_DUCKDB_2
    expected = "INTERNAL_ERROR" if internal else DUCKDB_WORDS[sql]
    assert from_duckdb(caught.value, sql).error_class == expected


def test_suggestions_begin_with_the_nearest_name(database: Database) -> None:
    with pytest.raises(SqlError) as caught:
        database.run("SELECT ids FROM n")
    assert "[`main`.`default`.`n`.`id`, " in caught.value.message


def test_branches_that_are_not_taken_do_not_fail(database: Database) -> None:
    assert database.value("CASE WHEN 1 = 1 THEN 1 ELSE 1 / 0 END") == 1
    assert database.value("if(true, 1, raise_error('no'))") == 1
    assert database.value("coalesce(1, CAST('x' AS INT))") == 1
