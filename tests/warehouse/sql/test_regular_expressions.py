"""Java's regular expressions on RE2: what is translated, and what is refused by name."""

from __future__ import annotations

import pytest

from vinci_code.warehouse.sql.errors import SqlError
from vinci_code.warehouse.sql.regular_expressions import Wildcard, pattern, wildcards

FOUND = [
    (r"\d", "1", True),
    (r"\d", "\u0661", False),  # a digit, and none of ASCII
    (r"\w", "\u00e9", False),
    (r"\s", "\x0b", True),  # RE2's own \s leaves it out
    (r"\h", "\u00a0", True),
    (r"^[[:alpha:]]+$", "alpha:", True),  # a set of these letters, as in Java
    (r"^[[:alpha:]]+$", "b", False),
    (r"^\p{Alpha}+$", "Ab", True),
    (r"^\p{Alpha}+$", "\u00e9", False),
    (r"^\p{L}+$", "\u00e9", True),
    (r"^\P{L}+$", "1", True),
    (r"(?i)abc", "aBC", True),
    (r"(?i)k", "\u212a", False),  # the sign of Kelvin, which RE2 folds to k
    (r"(?i)[a-c]", "B", True),
    (r"(?i)[^a-c]", "B", False),
    (r"a(?i)b|c", "C", True),
    (r"a(?i:b)c", "aBc", True),
    (r"a(?i:b)c", "aBC", False),
    (r"a.b", "a\nb", False),
    (r"a.b", "a\u2028b", False),
    (r"(?s)a.b", "a\nb", True),
    (r"^a$", "a\n", True),
    (r"^a$", "a\r\n", True),
    (r"^a$", "a\n\n", False),
    (r"^a\z", "a\n", False),
    (r"[]a]", "]", True),
    (r"[a-]", "-", True),
    (r"[\d-z]", "-", True),
    (r"[a[bc]]", "c", True),
    (r"[\D]", "x", True),
    (r"\Qa.b\E", "a.b", True),
    (r"\Qa.b\E", "axb", False),
    (r"\x41\u0042\x{43}\0104", "ABCD", True),
    (r"a{2,3}?$", "aaaa", True),
    (r"}]", "}]", True),
    (r"(?<name>a)", "a", True),
    (r"(|a)*b", "aab", True),
    (r"^(a+)+$", "a" * 5000 + "!", False),
    (r"", "", True),
]


@pytest.mark.parametrize(("text", "value", "found"), FOUND)
def test_what_java_finds_is_found(text: str, value: str, found: bool) -> None:
    assert pattern(text).found(value) is found


REFUSED = [
    ("(?=a)", "lookahead"),
    ("(?!a)", "lookahead"),
    ("(?<=a)", "lookbehind"),
    ("(?<!a)", "lookbehind"),
    ("(?>a)", "atomic groups"),
    ("a*+", "possessive"),
    ("a{2}+", "possessive"),
    (r"(a)\1", "backreferences"),
    (r"(?<n>a)\k<n>", r"\k"),
    ("(?u)a", "the flag u"),
    ("(?x)a", "the flag x"),
    ("(?m)^a", "the flag m"),
    ("[a&&b]", "&& in a set"),
    ("[^a[b]]", "a set in a set"),
    ("a{1001}", "a repetition"),
    ("a{2}{3}", "a quantifier of a quantifier"),
    (r"\p{IsLatin}", "IsLatin"),
    (r"(?i)\p{Lu}", "with the flag i"),
    (r"\R", r"\R"),
    ("^*", "a quantifier on what matches no character"),
    ("(" * 200 + ")" * 200, "groups in more than"),
    ("((a{900}){900})", "RE2 says"),
    ("a" * 100_001, "more than 100000 characters"),
]


@pytest.mark.parametrize(("text", "named"), REFUSED)
def test_what_is_not_known_is_refused_by_name(text: str, named: str) -> None:
    with pytest.raises(SqlError, match="UNSUPPORTED_BY_LOCAL_WAREHOUSE") as caught:
        pattern(text)
    assert named in str(caught.value)


@pytest.mark.parametrize(
    "text", ["(", ")", "*a", "a**", "[a", "[b-a]", "a{", "a{3,2}", "\\", r"\y", "(?<1>a)", r"\xg"]
)
def test_what_java_cannot_read_has_sparks_class(text: str) -> None:
    with pytest.raises(SqlError) as caught:
        pattern(text)
    assert caught.value.error_class == "INVALID_PARAMETER_VALUE.PATTERN"


def test_what_depends_on_the_text_is_refused_where_it_shows() -> None:
    bounded = pattern(r"\ba\b")
    assert bounded.found("a b")
    ended = pattern("a$|b$")
    assert ended.found("xa")
    looped = pattern("(a*)*")
    assert looped.found("b")
    for compiled, text in ((bounded, "a \u00e9"), (ended, "a\n")):
        with pytest.raises(SqlError, match="UNSUPPORTED_BY_LOCAL_WAREHOUSE"):
            compiled.found(text)
    for compiled, text in ((looped, "b"), (pattern("a$"), "a\n")):
        with pytest.raises(SqlError, match="UNSUPPORTED_BY_LOCAL_WAREHOUSE"):
            compiled.first(text)


def test_the_steps_that_a_pattern_and_a_text_take_are_bounded() -> None:
    large = pattern("(?:[ab]{0,30}[bx]{0,30}){10}z")
    assert not large.found("x" * 1000)
    with pytest.raises(SqlError, match="instructions for each of them"):
        large.found("x" * 10_000_000)


def test_wildcards_take_linear_time() -> None:
    compiled = wildcards(["a", Wildcard.TEXT] * 40 + ["b"])
    assert compiled.fullmatch("A" * 300) is None
    assert compiled.fullmatch("A" * 40 + "xB") is not None
    assert wildcards(["a.", Wildcard.CHARACTER]).fullmatch("a.\n") is not None
