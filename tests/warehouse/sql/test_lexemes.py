"""Text to lexemes: what strings mean, what is a comment, a number or a name."""

from __future__ import annotations

import pytest

from tests.warehouse.engine.client import Client
from vinci_code.warehouse.engine.engine import Engine
from vinci_code.warehouse.engine.reader import Reader
from vinci_code.warehouse.sql.dialect import tokenize
from vinci_code.warehouse.sql.errors import SqlError
from vinci_code.warehouse.sql.lexemes import lexemes, parse_name, string_value
from vinci_code.warehouse.sql.parse import parse_expression
from vinci_code.warehouse.sql.types import parse_type

STRINGS = {
    "'plain'": "plain",
    "''": "",
    r"'\101\7778'": "A7778",
    r"'\777'": "777",
    r"'\08\18'": "\x00818",
    r"'\0\b\n\r\t\Z'": "\0\b\n\r\t\x1a",
    r"'a\%b\_c'": r"a\%b\_c",
    r"'\q\'\"\\'": "q'\"\\",
    r"'\u00e9\u12'": "éu12",
    r"'\U0001F600\U1F600'": "😀U1F600",
    r"'\ud83d\ude00'": "😀",
    r"'\ude00a\ud83d'": "?a?",
    r"'\U00110000'": "??",
    r"r'\n\'": "\\n\\",
    r'R"a\"': "a\\",
    "'a\nb'": "a\nb",
}


@pytest.mark.parametrize("text", STRINGS)
def test_a_string_means_the_same_to_whoever_reads_it(text: str) -> None:
    value = STRINGS[text]
    assert [string_value(one) for one in lexemes(text)] == [value]
    assert parse_expression(text).this == value
    assert Reader(text).string() == value
    assert parse_type(f"STRUCT<a: INT COMMENT {text}>").fields[0].comment == value


def test_adjacent_strings_are_one() -> None:
    text = "'a' -- x\n 'b' r'\\' \"c\""
    assert parse_expression(text).this == "ab\\c"
    assert Reader(text).string() == "ab\\c"


COMMENTS = {
    "1 -- to the end of the line\n + 2": "1 + 2",
    "1 -- to a carriage return\r+ 2": "1 + 2",
    "1 -- goes on \\\n + 2\n+ 3": "1 + 3",
    "1 /* /* nested */ */ + 2": "1 + 2",
    "1 /* 'no string */ + 2": "1 + 2",
    "1 /*+ hint */ + 2": "1 + 2",
    "'-- no comment' /**/": "'-- no comment'",
}


@pytest.mark.parametrize("text", COMMENTS)
def test_comments_are_left_out(text: str) -> None:
    assert " ".join(one.text for one in lexemes(text)) == COMMENTS[text]


NUMBERS = {
    "1.5e-3D 2L 3S 4Y 5.BD .5f": ["1.5e-3D", "2L", "3S", "4Y", "5.BD", ".5f"],
    "1+2": ["1", "+", "2"],
    "1.a": ["1", ".", "a"],
    "a.5": ["a", ".", "5"],
    "1e": ["1e"],
    "12ab": ["12ab"],
    "1Lx": ["1Lx"],
}


@pytest.mark.parametrize("text", NUMBERS)
def test_numbers_end_where_sparks_do(text: str) -> None:
    assert [one.text for one in lexemes(text)] == NUMBERS[text]


UNREADABLE = {
    "'a": "PARSE_SYNTAX_ERROR",
    "'a\\'": "PARSE_SYNTAX_ERROR",
    '"a': "PARSE_SYNTAX_ERROR",
    "`a``": "PARSE_SYNTAX_ERROR",
    "a\x01": "PARSE_SYNTAX_ERROR",
    "1 /* a": "UNCLOSED_BRACKETED_COMMENT",
    "1 /* /* a */": "UNCLOSED_BRACKETED_COMMENT",
    "é": "INVALID_IDENTIFIER",
    "a€": "INVALID_IDENTIFIER",
}


@pytest.mark.parametrize("text", UNREADABLE)
def test_what_cannot_be_read_is_refused_alike(text: str) -> None:
    for read in (parse_expression, Reader, parse_name):
        with pytest.raises(SqlError) as caught:
            read(text)
        assert caught.value.error_class == UNREADABLE[text]


NAMES = {"a": ["a"], "a.b.c": ["a", "b", "c"], "`a.b`.c": ["a.b", "c"], "`a``b`": ["a`b"]}


@pytest.mark.parametrize("text", NAMES)
def test_name(text: str) -> None:
    assert parse_name(text) == NAMES[text]
    assert Reader(text).name_parts() == NAMES[text]


@pytest.mark.parametrize("text", ["", "a..b", "a b", "a.", ".a", "1; DROP", "1a", "'a'", "a-b"])
def test_no_name(text: str) -> None:
    with pytest.raises(SqlError, match="PARSE_SYNTAX_ERROR"):
        parse_name(text)


@pytest.fixture
def client() -> Client:
    return Client(Engine())


def test_a_statement_reads_its_strings_alike_wherever_they_stand(client: Client) -> None:
    client.run(r"CREATE TABLE t (a STRING COMMENT '\777', b STRUCT<c: INT COMMENT '\777'>)")
    client.run(r"ALTER TABLE t SET TBLPROPERTIES ('p' = '\ud83d\ude00')")
    assert client.run("DESCRIBE t")[0][2] == client.run(r"SELECT '\777'")[0][0] == "777"
    assert client.run("SHOW TBLPROPERTIES t ('p')")[0][1] == "😀"
    assert client.run(r"SELECT '\ud83d\ude00', '\ud83d'") == [("😀", "?")]


def test_hexadecimal_digits_are_checked(client: Client) -> None:
    assert client.run("SELECT X'41', x \"42\"") == [(b"A", b"B")]
    client.fails("SELECT X'4G'", "INVALID_TYPED_LITERAL", "42604", "4G")


def test_identifier_takes_one_name_and_nothing_behind_it(client: Client) -> None:
    client.run("CREATE TABLE t (a INT)")
    client.run("INSERT INTO IDENTIFIER('`t`') VALUES (1)")
    for text in (
        "INSERT INTO IDENTIFIER('t x') VALUES (2)",
        "SELECT * FROM IDENTIFIER('t x')",
        "DROP TABLE IDENTIFIER('t x')",
    ):
        client.fails(text, "PARSE_SYNTAX_ERROR", "42601")
    assert client.run("SELECT * FROM t") == [(1,)]


def test_every_symbol_of_a_keyboard_has_a_token() -> None:
    for symbol in "!#$%&()*+,-./:;<=>?@[\\]^{|}~":
        assert [token.text for token in tokenize(f"a {symbol} b")] == ["a", symbol, "b"]
    for symbol in ("<=>", "<=", ">=", "<>", "!=", "==", "=>", "||", "|>", "?::", "::", ":=", "->"):
        assert [token.text for token in tokenize(f"a{symbol}b")] == ["a", symbol, "b"]


def test_keywords_of_two_words_may_have_a_comment_between(client: Client) -> None:
    assert client.run("SELECT 1 AS a GROUP /* x */ BY 1 ORDER -- y\n BY 1") == [(1,)]


def test_templates_are_no_sql(client: Client) -> None:
    client.fails("SELECT {# x #} 1", "PARSE_SYNTAX_ERROR", "42601")
