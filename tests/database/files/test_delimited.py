"""CSV: what is read, what is an error with its line, and how it goes on behind one."""

from __future__ import annotations

import io

import pytest

from vinci_code.database.files import delimited
from vinci_code.database.files.delimited import DelimitedError, DelimitedRows, Fields


def rows(text: str, wanted: int | None = None) -> list[Fields]:
    return list(DelimitedRows(io.StringIO(text, newline="")).rows(wanted))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        ("a,b", [["a", "b"]]),
        ('a,""\n,\n', [["a", ""], [None, None]]),
        ('"a ""q"", b\r\nc",d\r\n', [['a "q", b\r\nc', "d"]]),
        ('""""\n"a\n\n""\nb"\n', [['"'], ['a\n\n"\nb']]),
        ("a\r\nb\rc\n", [["a"], ["b"], ["c"]]),
        ("a,b\n\nc,d\n", [["a", "b"], ["c", "d"]]),
        ('"a",\n', [["a", None]]),
        ('a,"b"', [["a", "b"]]),
        ("'a,b'\n", [["'a", "b'"]]),
        ("a\\b, c \n", [["a\\b", " c "]]),
        ("a\u2028b\x0b\x1c\n", [["a\u2028b\x0b\x1c"]]),
    ],
)
def test_rows(text: str, expected: list[Fields]) -> None:
    assert rows(text) == expected


def test_an_empty_line_is_a_row_of_one_field() -> None:
    assert rows('a\n\n""\n\n', 1) == [["a"], [None], [""], [None]]


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        ('a,b\nc,"d', 2, "closed nowhere"),
        ('a,b\nc,"d\ne\n', 2, "closed nowhere"),
        ('a,"b\n1,"c"\n', 2, "the field begins in line 1"),
        ('a,b\n"c"d,e\n', 2, "behind a quote"),
        ('a,"b\\"c"\n', 1, "behind a quote"),
        ('a,"b" \n', 1, "behind a quote"),
        ('a,b"c\n', 1, "begins without one"),
        ('a, "b"\n', 1, "begins without one"),
        ("a,b\nc\n", 2, "it has 1 fields"),
        ('a,b\n"c\nd",e,f\n', 2, "it has 3 fields"),
        ("a,b\n   \n", 2, "it has 1 fields"),
    ],
)
def test_what_is_no_csv(text: str, line: int, reason: str) -> None:
    with pytest.raises(DelimitedError, match=reason) as caught:
        rows(text, 2)
    assert caught.value.line == line


def test_what_has_no_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delimited, "LONGEST", 10)
    assert rows("123456789\n"[1:]) == [["23456789"]]
    with pytest.raises(DelimitedError, match="longer than 10"):
        rows("a\n0123456789\n")
    with pytest.raises(DelimitedError, match="not closed within 10"):
        rows('"' + "a\n" * 9)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('a"b\nc\n', [1, ["c"]]),
        ('a\n"b"c\nc\n"d"e\nc', [["a"], 2, ["c"], 4, ["c"]]),
        ('"a\nb"c\nc\n', [2, ["c"]]),
        ('c\n"a\nb\n', [["c"], 2]),
        ('a\rb\nc\n"a"\rb\n"c"\r\n', [1, ["c"], 3, ["c"]]),
        ('"a",b\rc\n"a\rb"\n', [1, ["a\rb"]]),
    ],
)
def test_it_goes_on_behind_an_error(text: str, expected: list[Fields | int]) -> None:
    # Lines that end with a line feed alone, as those of bytes do.
    reader = DelimitedRows(io.StringIO(text, newline="\n"))
    found: list[Fields | int] = []
    while True:
        try:
            row = reader.read()
        except DelimitedError as error:
            found.append(-error.line if error.is_lost else error.line)
            continue
        if row is None:
            break
        found.append(row)
    assert found == expected


def test_it_is_said_where_the_next_row_cannot_be_found() -> None:
    for text in ("0123456789\na\n", '"' + "a\n" * 9 + '"\n'):
        with pytest.raises(DelimitedError) as caught:
            DelimitedRows(io.StringIO(text), 10).read()
        assert caught.value.is_lost
