"""Text to expressions: literals, markers, errors, and statements whose data is lifted out."""

from __future__ import annotations

import pytest
from sqlglot import exp

from tests.full import part
from vinci_code.warehouse.sql import parse
from vinci_code.warehouse.sql.errors import SqlError
from vinci_code.warehouse.sql.parse import (
    MAX_STATEMENT_BYTES,
    parse_expression,
    parse_statement,
)
from vinci_code.warehouse.sql.shapes import own_expression

LITERALS = {
    r"'a\nb'": "a\nb",
    r"'a\\b'": "a\\b",
    r"'it\'s'": "it's",
    "'a' 'b'": "ab",
    "'a''b'": "ab",
    '"it\'s"': "it's",
    r"r'a\nb'": r"a\nb",
    r'R"a\tb"': r"a\tb",
    r"'\u00e9'": "é",
    r"'\U0001F600'": "😀",
    r"'\101'": "A",
    r"'\x'": "x",
    r"'a\%b\_'": r"a\%b\_",
    r"'\0\Z'": "\0\x1a",
    "'é😀'": "é😀",
    "''": "",
    "'a' -- x\n 'b'": "ab",
}


@pytest.mark.parametrize("text", LITERALS)
def test_string_literal(text: str) -> None:
    literal = parse_expression(text)
    assert isinstance(literal, exp.Literal)
    assert literal.is_string
    assert literal.this == LITERALS[text]


@pytest.mark.parametrize("text", ["1L", "1S", "1Y", "1.5BD", "1D", "1.5F", "1e3"])
def test_number_keeps_its_suffix(text: str) -> None:
    assert parse_expression(text).this == text


def test_markers_are_numbered_in_the_order_of_the_text() -> None:
    expression = parse_statement("SELECT ?, a FROM t WHERE b = ? LIMIT ?")
    found = list(expression.find_all(exp.Placeholder))
    assert sorted(node.name for node in found) == ["0", "1", "2"]
    limit = expression.args["limit"].expression
    assert limit.name == "2"


def test_named_markers_with_backticks() -> None:
    marker = parse_expression(":`my ``name`")
    assert isinstance(marker, exp.Placeholder)
    assert marker.name == "my `name"


SYNTAX_ERRORS = {
    "INSER INTO x": ("INSER", (1, 0)),
    "SELECT 1 FRM x": ("x", (1, 13)),
    "SELECT\n  1 +": ("", (2, 5)),
    "SELECT": ("", (1, 6)),
    "SELECT 1; SELECT 2": ("SELECT", (1, 10)),
    "SELECT 'abc": ("'", (1, 7)),
    "PRAGMA database_list": ("PRAGMA", (1, 0)),
    "ATTACH 'x.db'": ("ATTACH", (1, 0)),
    "CREATE TABLE t (a INT)": ("CREATE", (1, 0)),
    "BEGIN ATOMIC SELECT 1; END": ("BEGIN", (1, 0)),
}


@pytest.mark.parametrize("text", SYNTAX_ERRORS)
def test_syntax_error(text: str) -> None:
    with pytest.raises(SqlError) as caught:
        parse_statement(text)
    near, position = SYNTAX_ERRORS[text]
    error = caught.value
    assert (error.error_class, error.sqlstate) == ("PARSE_SYNTAX_ERROR", "42601")
    assert error.position == position
    place = f"'{near}'" if near else "end of input"
    assert error.message == f"Syntax error at or near {place}."


def test_syntax_error_reads_as_sparks() -> None:
    with pytest.raises(SqlError) as caught:
        parse_statement("INSER INTO x")
    assert str(caught.value) == (
        "\n[PARSE_SYNTAX_ERROR] Syntax error at or near 'INSER'. "
        "SQLSTATE: 42601 (line 1, pos 0)\n\n== SQL ==\nINSER INTO x\n^^^\n"
    )


@pytest.mark.parametrize("text", ["", "  "])
def test_empty_statement(text: str) -> None:
    with pytest.raises(SqlError, match="PARSE_EMPTY_STATEMENT"):
        parse_statement(text)


@pytest.mark.parametrize("text", [";", "-- only a comment", "/* a */ ;"])
def test_statement_of_nothing_but_comments(text: str) -> None:
    with pytest.raises(SqlError, match="Syntax error at or near end of input"):
        parse_statement(text)


def test_version_behind_an_at_sign() -> None:
    expression = parse_statement("SELECT * FROM a.t@v12 AS x")
    table = expression.find(exp.Table)
    assert table is not None
    assert table.args["version"].expression.this == "12"
    assert table.alias == "x"


def test_statement_of_more_than_16_mib_is_refused() -> None:
    text = "SELECT '" + "a" * MAX_STATEMENT_BYTES + "'"
    with pytest.raises(SqlError, match=r"too large: 16777225 bytes .* limit is 16777216 bytes"):
        parse_statement(text)


def test_statement_of_almost_16_mib_is_read() -> None:
    text = "SELECT '" + "a" * (MAX_STATEMENT_BYTES - 9) + "'"
    assert isinstance(parse_statement(text), exp.Select)


def test_expression_is_one_expression() -> None:
    for text in ("1, 2", "1 FROM t", "1; SELECT 2", ""):
        with pytest.raises(SqlError):
            parse_expression(text)


LONG = "x\\'\\\\\\n\\u00e9" + "y" * 80


@pytest.mark.parametrize(
    "text",
    [
        f"SELECT '{LONG}' AS a, 'short' AS b, '{LONG}' AS c",
        "SELECT unbase64('QQ=='), UNBASE64( 'QUI=' ), unbase64(\"QQ==\")",
        f"SELECT '{LONG}' 'and more', r'{'z' * 70}', \"{'q' * 70}\"",
        f"SELECT 1 -- '{LONG}'\n, /* '{LONG}' */ `'{'n' * 70}'`, '{LONG}'",
        f"SELECT '\ue0000', '{LONG}'",
        f"SELECT '\ue0000' /* /* */ '{LONG}' */",
        f"SELECT ?, '{LONG}', ?, 1 AS `\ue0000`",
        f"INSERT INTO t WITH s AS (SELECT '{LONG}' AS a) SELECT a FROM s",
        f"SELECT '{LONG}''{LONG}'",
    ],
)
def test_strings_that_are_data_are_read_as_all_others(text: str) -> None:
    read = own_expression(text)
    assert read == parse_statement(text)
    assert read is not parse_statement(text)


def test_the_shape_of_a_statement_is_read_once() -> None:
    texts = [f"SELECT concat('{'a' * 70}{index}', 'é\\\\{index}')" for index in range(3)]
    found = [own_expression(text) for text in texts]
    before = parse._parse_cached.cache_info().misses
    found.append(own_expression(texts[0].replace("a" * 70, "b" * 100)))
    literals = [next(iter(one.find_all(exp.Literal))).this for one in found]
    assert literals == [*("a" * 70 + str(index) for index in range(3)), "b" * 100 + "0"]
    assert parse._parse_cached.cache_info().misses == before


def test_an_error_beside_data_is_placed_in_the_text_as_it_was_sent() -> None:
    text = f"SELECT '{'x' * 100}' AS a FROM WHERE"
    with pytest.raises(SqlError) as caught:
        own_expression(text)
    with pytest.raises(SqlError) as expected:
        parse_statement(text)
    assert str(caught.value) == str(expected.value)
    assert "x" * 100 in str(caught.value)


MANY = ", ".join(f"({n}, -{n}, 'a{n}\\\\\\'é', {n}.5e3, NULL, true, '(),')" for n in range(900))


@part(2)
@pytest.mark.parametrize(
    "text",
    [
        f"INSERT INTO t (a, b) VALUES {MANY}",
        f"INSERT INTO t VALUES\n{MANY};",
        f"SELECT * FROM VALUES {MANY}",
        "VALUES " + ", ".join(f"({n})" for n in range(9000)),
        "INSERT INTO t VALUES " + ", ".join(f"({n} , now())" for n in range(2000)),
        "INSERT INTO t VALUES " + ", ".join(f"({n}, 'a' 'b')" for n in range(2000)),
        f"SELECT * FROM VALUES ('x') AS v(a) -- VALUES {MANY}",
        f"SELECT * FROM VALUES 1, 2 -- VALUES {MANY}",
        "INSERT INTO t SELECT 1 /* " + "x" * 20_000 + " */ FROM VALUES (1), (2)",
    ],
)
def test_rows_that_are_data_are_read_as_all_others(text: str) -> None:
    assert len(text) > 20_000
    assert own_expression(text) == parse_statement(text)
