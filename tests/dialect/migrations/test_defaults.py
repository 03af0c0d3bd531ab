"""Which defaults mean the same, and which may not."""

from __future__ import annotations

import pytest

from vinci_code.database.dialect.migrations.defaults import same_default

SAME = [
    ("TIMESTAMP", "current_timestamp()", "CURRENT_TIMESTAMP"),
    ("TIMESTAMP_NTZ", "(CURRENT_TIMESTAMP)", "now()"),
    ("TIMESTAMP", "((now( )))", "Current_Timestamp"),
    ("DATE", "current_date()", "CURRENT_DATE"),
    ("DATE", "curdate()", "CURRENT_DATE"),
    ("STRING", "current_user()", "CURRENT_USER"),
    ("BIGINT", "5", "'5'"),
    ("BIGINT", "5", "(5)"),
    ("BIGINT", "-5", "'-5'"),
    ("BIGINT", "(-5)", "- 5"),
    ("BIGINT", "CAST('7' AS BIGINT)", "7"),
    ("INT", "+7", "cast(7 as int)"),
    ("DECIMAL(10, 2)", "1.50", "'1.5'"),
    ("DECIMAL(10, 2)", "CAST('1.5' AS DECIMAL(10,2))", "1.5"),
    ("DOUBLE", "1.5", "CAST('1.5' AS DOUBLE)"),
    ("DOUBLE", "1e3", "1000"),
    ("BOOLEAN", "TRUE", "true"),
    ("BOOLEAN", "CAST('1' AS BOOLEAN)", "TRUE"),
    ("BOOLEAN", "'f'", "FALSE"),
    ("STRING", "'x'", '"x"'),
    ("STRING", r"'it\'s'", '"it\'s"'),
    ("STRING", r"'a\\b'", r"r'a\b'"),
    ("STRING", r"'\u0041\n\101'", "'A\nA'"),
    ("STRING", "'5'", "5"),
    ("STRING", "'a :x'", "('a :x')"),
    ("STRING", "CAST('a' AS STRING)", "'a'"),
    ("DATE", "DATE'2024-01-01'", "CAST('2024-01-01' AS DATE)"),
    ("TIMESTAMP_NTZ", "TIMESTAMP_NTZ '2024-01-01 00:00:00'", "'2024-01-01 00:00:00'"),
    ("STRING", None, "NULL"),
    ("STRING", "upper( 'a' )", "UPPER('a')"),
    ("BIGINT", "1 + /* one */ 1", "1+1"),
]
DIFFERENT = [
    ("BIGINT", "5", "6"),
    ("BIGINT", "5", "-5"),
    ("BIGINT", "5", None),
    ("STRING", "''", None),
    ("STRING", "'NULL'", None),
    ("STRING", "'x'", "'X'"),
    ("STRING", "'x'", "' x'"),
    ("STRING", "'a b'", "'a  b'"),
    ("STRING", "'X()'", "'X'"),
    ("STRING", "'now()'", "now()"),
    ("STRING", "'5'", "'05'"),
    ("STRING", "5", "'5.0'"),
    ("STRING", r"'a\nb'", r"r'a\nb'"),
    ("STRING", r"'\%'", "'%'"),
    ("STRING", "'TRUE'", "TRUE"),
    ("BOOLEAN", "TRUE", "FALSE"),
    ("BOOLEAN", "'1'", "'0'"),
    ("DECIMAL(10, 2)", "1.5", "1.51"),
    ("TIMESTAMP", "current_timestamp()", "current_date()"),
    ("DATE", "current_date()", "'2024-01-01'"),
    # They may mean the same: nobody knows that for certain, so they are reported.
    ("STRING", "'it''s'", r"'it\'s'"),
    ("STRING", "'a' 'b'", "'ab'"),
    ("BIGINT", "1 + 1", "2"),
    ("DATE", "CAST(current_timestamp() AS DATE)", "current_date()"),
    ("BIGINT", "CAST('7' AS INT)", "'7.0'"),
    ("STRING", "`a`", "a"),
    ("BINARY", "X'00'", "'\x00'"),
]


@pytest.mark.parametrize(("kind", "one", "other"), SAME)
def test_the_same_in_other_words(kind: str, one: str | None, other: str | None) -> None:
    assert same_default(one, other, kind)
    assert same_default(other, one, kind)


@pytest.mark.parametrize(("kind", "one", "other"), DIFFERENT)
def test_something_else(kind: str, one: str | None, other: str | None) -> None:
    assert not same_default(one, other, kind)
    assert not same_default(other, one, kind)
