"""What the prompt proposes, and when a text is whole."""

from __future__ import annotations

import pytest

from vinci_code.warehouse.prompt import proposals
from vinci_code.warehouse.scripts import is_whole, statements

BLOCK = "BEGIN ATOMIC DELETE FROM t; BEGIN ATOMIC SELECT CASE WHEN a THEN b END; END; END"
TABLES = {"orders": ["id", "amount"], "old_orders": ["id", "selected_at"]}


@pytest.mark.parametrize(
    ("start", "expected"),
    [
        ("ord", ["order by", "orders"]),
        ("ORD", ["ORDER BY", "orders"]),
        ("old", ["old_orders"]),
        ("amo", ["amount"]),
        ("sele", ["select", "selected_at"]),
        ("date_tr", ["date_trunc("]),
        ("\\t", ["\\timing"]),
        ("", []),
        ("nothing_so", []),
    ],
)
def test_what_a_word_may_become(start: str, expected: list[str]) -> None:
    assert list(proposals(start, ["\\d", "\\timing"], TABLES)) == expected


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("SELECT 1", ["SELECT 1"]),
        ("SELECT 1;;  SELECT ';' -- ;\n; ", ["SELECT 1", "SELECT ';'"]),
        ("/* ; */ SELECT `a;b` ; SELECT 2", ["SELECT `a;b`", "SELECT 2"]),
        ("BEGIN; DELETE FROM t; COMMIT;", ["BEGIN", "DELETE FROM t", "COMMIT"]),
        ("BEGIN TRANSACTION; COMMIT", ["BEGIN TRANSACTION", "COMMIT"]),
        (
            f"{BLOCK}; SELECT 1;",
            [BLOCK, "SELECT 1"],
        ),
        (" -- nothing", []),
    ],
)
def test_statements_of_a_text(text: str, parts: list[str]) -> None:
    found = list(statements(text))
    assert [statement for _, statement in found] == parts
    assert all(text[start:].startswith(statement) for start, statement in found)


@pytest.mark.parametrize(
    ("text", "whole"),
    [
        ("SELECT 1;", True),
        ("SELECT 1; -- done", True),
        ("SELECT 1", False),
        ("SELECT 'a;", False),
        ("SELECT 1 /* ;", False),
        ("BEGIN ATOMIC DELETE FROM t;", False),
        ("BEGIN ATOMIC DELETE FROM t; END;", True),
    ],
)
def test_when_a_text_is_whole(text: str, whole: bool) -> None:
    assert is_whole(text) is whole
