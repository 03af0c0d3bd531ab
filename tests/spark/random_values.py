r"""Literals of every type, chosen for their edges.

A kind is a letter or two: ``y`` TINYINT, ``h`` SMALLINT, ``i`` INT, ``l`` BIGINT, ``e`` DECIMAL,
``g`` FLOAT, ``f`` DOUBLE, ``b`` BOOLEAN, ``s`` STRING, ``x`` BINARY, ``d`` DATE, ``t`` TIMESTAMP,
``z`` TIMESTAMP_NTZ, ``m`` an interval of months, ``v`` one of seconds, ``ai`` ARRAY<INT>, ``as``
ARRAY<STRING>, ``aa`` ARRAY<ARRAY<INT>>, ``ar`` an array of structs, ``k`` MAP<STRING, INT>, ``r`` a
STRUCT, ``j`` VARIANT. The other kinds are texts with a meaning, and constants that a function
wants: JSON, paths, patterns, zones.
"""

# ruff: noqa: E501, RUF001 - tables of forms read best one list a line
from __future__ import annotations

import random

from tests.spark.random_tree import SIMPLEST, Node

TYPES = {
    "y": "TINYINT", "h": "SMALLINT", "i": "INT", "l": "BIGINT", "e": "DECIMAL(10,2)", "g": "FLOAT",
    "f": "DOUBLE", "b": "BOOLEAN", "s": "STRING", "x": "BINARY", "d": "DATE", "t": "TIMESTAMP",
    "z": "TIMESTAMP_NTZ", "m": "INTERVAL YEAR TO MONTH", "v": "INTERVAL DAY TO SECOND",
    "ai": "ARRAY<INT>", "as": "ARRAY<STRING>", "aa": "ARRAY<ARRAY<INT>>",
    "ar": "ARRAY<STRUCT<a: INT, b: STRING>>", "k": "MAP<STRING, INT>",
    "r": "STRUCT<a: INT, b: STRING>", "j": "VARIANT",
}  # fmt: skip
NUMBERS = ("y", "h", "i", "l", "e", "g", "f")
# What a kind that names several may be.
FAMILIES = {
    "n": (*NUMBERS, "i", "e", "f"),
    "w": ("y", "h", "i", "l"),
    "o": (*NUMBERS, "b", "s", "x", "d", "t", "z", "m", "v"),
    "any": tuple(TYPES),
    "a": ("ai", "as"),
}

DAYS = """
0001-01-01 1582-10-04 1582-10-15 1899-12-31 1900-02-28 1900-03-01 1969-12-31 1970-01-01 1999-12-31
2000-02-29 2023-02-28 2023-03-31 2023-12-31 2024-01-31 2024-02-29 2024-03-10 2024-03-31 2024-10-27
2024-11-03 2024-12-29 2024-12-30 2100-02-28 9999-12-31
""".split()
TIMES = """
00:00:00 23:59:59 23:59:59.999999 12:34:56.789 01:30:00 02:30:00 03:00:00 00:00:00.000001 11:59:59.5
""".split()
ZONES = """
UTC America/New_York Europe/Berlin Asia/Kolkata Australia/Lord_Howe America/St_Johns +05:30 -08:00
Pacific/Apia GMT+1
""".split()
NUMERALS = """
0 1 -1 +7 12 007 1.5 -1.50 .5 5. 1e3 1E-3 -1.5e2 127 128 -128 32768 2147483647 2147483648
9223372036854775807 9223372036854775808 99999999999999999999 1e400 NaN nan Infinity -inf +Infinity
0x1F 1_000 1,000 1.5d 1L - . e5
""".split()
MOMENTS = [
    *"""
2024-02-29 2023-02-29 2024-2-9 2024-02 2024 20240229 0001-01-01 9999-12-31 +2024-01-01 24-01-01
2024-13-01 2024-01-32 -0001-01-01
""".split(),
    "2024-02-29 12:34:56", "2024-02-29T12:34:56.123456", "2024-02-29 12:34:56.1234567",
    "2024-02-29T12:34:56Z", "2024-02-29 12:34:56+02:00", "2024-02-29 12:34:56 Europe/Berlin",
    "2024-02-29 24:00:00", "2024-02-29 1:2:3", "2024-02-29 12:34", "12:34:56", " 2024-02-29 ",
    "2024-02-29T", "2024-03-10 02:30:00 America/New_York", "2024-02-29 12:60:00",
]  # fmt: skip
WORDS = [
    *"""
true false t F yes NO y n on abc ABC aXbXc a.b.c a,b,c Hello straße ÀÉ é😀z 漢字 ＡＢ aaa abcabc banana
YWJj 4A6F bm9wZQ== %b% a_c x=1&y=2
""".split(),
    "", " ", "  two  words ", "tab\tline\nend", "quote'double\"back\\slash", "\\d+", "nul\x01\x1f",
    "e\u0301", "\u00a0x\u00a0", "İıſ", "trailing ", "a b  c", "100%", "$1", "hello world",
    "http://a.b/c?d=e f&g=ü",
]  # fmt: skip
JSON = [
    '{"a": 1, "b": "x"}', '{"a": [1, {"b": "x"}], "c": null}', "[1, 2, 3]", '{"a": {"b": {"c": true}}}',
    '[{"a": 1, "b": "p"}, {"a": 2}]', "{}", "[]", '"text"', "12", "null", "true", '{"a": 1.5e3}',
    '{"a": "oops"}', '{"a": ', '{"a": 1}}'[:-1], '{"A": 5, "b": "é😀"}', '{"a": 9223372036854775808}',
    '{"a.b": 1, "c d": 2}', '{"a": "2024-02-29"}', '{"a": -0.0}', '{"a":"q\\"u\\\\o\\n"}', "[[1,2],[3]]",
    '{"a": 12345678901234567890.123}', "",
]  # fmt: skip
PATHS = """
$ $.a $.b $.a.b $.a[0] $.a[1].b $[0] $[*].a $[1].a $.zz $.a.b.c $.A $['a'] $['c|d'] $.a[*] a $. $[ $.a[-1]
""".split()
SCHEMAS = [
    "a INT", "a INT, b STRING", "a STRING", "a DOUBLE, b STRING", "a ARRAY<INT>", "MAP<STRING, STRING>",
    "ARRAY<INT>", "ARRAY<STRUCT<a: INT, b: STRING>>", "a STRUCT<b: STRUCT<c: BOOLEAN>>", "A INT",
    "a DECIMAL(10,2)", "a DATE", "a BIGINT, b STRING, c INT", "a BOOLEAN", "a TIMESTAMP", "INT",
]  # fmt: skip
REGEXES = [
    "a", "[a-c]+", "\\d+", "(a)(.)", "^a.*c$", "X", "\\.", "(?i)ABC", "[", "", "(\\w+) (\\w+)", "b*",
    "\\s+", "(b)|(c)", "é", ".", "a{2,}", "\\p{L}+",
]  # fmt: skip
LIKES = [
    "%",
    "_",
    "a%",
    "%c",
    "%b%",
    "a_c",
    "",
    "\\%",
    "100\\%",
    "a\\_c",
    "abc",
    "%😀%",
    "__",
    "%%",
    "A%",
    "a\\\\%",
]
DATE_UNITS = "YEAR QUARTER MONTH WEEK DAY HOUR MINUTE SECOND MILLISECOND MICROSECOND".split()
TRUNC_UNITS = [*DATE_UNITS, "yyyy", "yy", "mon", "mm", "dd", "nope"]
PARTS = """
YEAR QUARTER MONTH WEEK DAY DOW DAYOFWEEK DOW_ISO DAYOFWEEK_ISO DOY HOUR MINUTE SECOND YEAROFWEEK
""".split()
FORMATS = [
    "yyyy-MM-dd", "yyyy/MM/dd HH:mm:ss", "dd.MM.yyyy", "E, d MMM yyyy", "EEEE MMMM", "hh:mm a",
    "yy-M-d", "D", "Q QQQ", "HH:mm:ss.SSSSSS", "'day' d", "yyyyMMdd", "HH:mm:ss.SSS", "X", "XXX", "z",
    "u", "YYYY", "G y", "k K", "ss.S", "''yyyy", "x", "MMM", "",
]  # fmt: skip


def quoted(text: str, rng: random.Random) -> str:
    """Write a string literal in one of the ways there are."""
    style = rng.randrange(8)
    if style == 0 and not set(text) & set("'\n\t\x01\x1f") and not text.endswith("\\"):
        return f"r'{text}'"
    quote = '"' if style == 1 else "'"
    written = []
    for character in text:
        if character in ("\\", quote):
            written.append("\\" + character)
        elif character in _ESCAPES and style != 2:
            written.append(_ESCAPES[character])
        elif ord(character) > 126 and style in (3, 4):
            written.append(_unicode(character))
        elif ord(character) < 127 and style == 5 and character.isalnum():
            written.append(f"\\{ord(character):03o}")
        else:
            written.append(character)
    return quote + "".join(written) + quote


def literal(kind: str, rng: random.Random) -> Node:
    """Write a value of a kind."""
    kind = rng.choice(FAMILIES[kind]) if kind in FAMILIES else kind
    if kind in TYPES and rng.random() < _NULLS:
        return Node(kind, (f"CAST(NULL AS {TYPES[kind]})",))
    if kind in _TEXTS:
        return Node(kind, (quoted(rng.choice(_TEXTS[kind]), rng),))
    if kind in ("d", "t", "z"):
        return Node(kind, (_moment(kind, rng),))
    if kind == "s":
        return Node(kind, (quoted(_string(rng), rng),))
    return Node(kind, (rng.choice(_LITERALS[kind]),))


def _string(rng: random.Random) -> str:
    pool = rng.choice((WORDS, WORDS, WORDS, NUMERALS, MOMENTS, JSON))
    text = rng.choice(pool)
    return f" {text}\t" if rng.random() < 0.05 else text


def _moment(kind: str, rng: random.Random) -> str:
    day = rng.choice(DAYS)
    if kind == "d":
        return f"DATE'{day}'"
    # A zone may move the last day of all into a year that Python does not have.
    day = rng.choice(DAYS[:-1])
    time = rng.choice(TIMES)
    if kind == "z":
        return f"TIMESTAMP_NTZ'{day} {time}'"
    zone = " " + rng.choice(ZONES) if rng.random() < 0.1 and "1900" < day < "9" else ""
    return f"TIMESTAMP'{day} {time}{zone}'"


def _unicode(character: str) -> str:
    code = ord(character)
    return f"\\u{code:04X}" if code < 0x10000 else f"\\U{code:08X}"


_NULLS = 0.08
_ESCAPES = {"\n": "\\n", "\t": "\\t", "\x01": "\\u0001", "\x1f": "\\037"}
_TEXTS = {
    "js": JSON, "path": PATHS, "sch": SCHEMAS, "re": REGEXES, "like": LIKES,
    "subject": ["100%", "abc", "a_c", "a%c", "%", "_", "a\\c", "é😀z", "", "A"],
    "slash": ["a/_c", "100/%", "a/%c", "//", "a%", "/_", "a_c", "%/%"], "tz": ZONES,
    "tu": TRUNC_UNITS, "fmt": FORMATS, "num": NUMERALS, "when": MOMENTS,
    "dow": ["MO", "Tuesday", "fri", "sun", "x"], "cs": ["UTF-8", "US-ASCII", "ISO-8859-1", "UTF-16", "UTF-16BE", "nope"],
    "bf": ["hex", "utf-8", "base64", "nope"], "one": [",", "X", ".", "", "-", "ab", " "],
    "pf": ["%s", "%d", "%05d", "%x", "%,d", "%+d", "%%|%s", "%10s|", "%-5s|", "%c", "%o", "%X"],
    "pff": ["%f", "%.2f", "%8.3f", "%e", "%+.1f", "%-8.2f|", "%08.2f", "%,.2f", "%g", "%s"],
    "kv": ["a:1,b:2", "a=1&b=2", "", "a", "a:1,b", "x:1,y:2,z:"],
}  # fmt: skip
_LITERALS = {
    "y": ["0Y", "1Y", "-1Y", "127Y", "-128Y", "5Y"],
    "h": ["0S", "1S", "-1S", "32767S", "-32768S", "7S"],
    "i": ["0", "1", "2", "3", "-1", "7", "10", "-5", "100", "2147483647", "-2147483648"],
    "l": ["0L", "1L", "-1L", "2147483648", "86400L", "9223372036854775807", "-9223372036854775808"],
    "e": [
        "0.0", "1.5", "-1.50", "0.05", "99.995", "2.5", "-3.5", "10.00", "123456789.987654321", "1e3BD", "0BD",
        "9999999999999999999999999999999BD", "-0.00000000000000000000000000000000000001BD", "2.345",
        "CAST('12.345' AS DECIMAL(10,2))", "CAST(7 AS DECIMAL(38,18))", "CAST(-1 AS DECIMAL(3,0))",
        "CAST(99999999.99 AS DECIMAL(10,2))", "1234567890.12345BD", "0.5", "-0.5", "5BD",
    ],
    "g": ["1.1F", "0F", "-2.5F", "1e20F", "CAST('NaN' AS FLOAT)", "16777217F", "CAST('3.4028235E38' AS FLOAT)", "0.1F"],
    "f": [
        "0D", "-0.0D", "1.5D", "2.5D", "-2.5D", "0.1D", "1e10D", "1e17D", "1.7976931348623157E308D", "1e-300D",
        "double('NaN')", "double('Infinity')", "CAST('-Infinity' AS DOUBLE)", "3.0E0", "123456.789D", "0.001D", "1e-5D",
        "9007199254740993D",
    ],
    "b": ["true", "false", "CAST(NULL AS BOOLEAN)"],
    "x": ["X''", "X'00'", "X'CAFE'", "X'616263'", "X'C3A9'", "X'FF'", "CAST('abc' AS BINARY)", "X'F09F9880'"],
    "m": [
        "INTERVAL 1 MONTH", "INTERVAL '1-2' YEAR TO MONTH", "INTERVAL -1 YEAR", "INTERVAL 0 MONTH", "INTERVAL '13' MONTH",
        "INTERVAL '-1-11' YEAR TO MONTH",
    ],
    "v": [
        "INTERVAL 1 DAY", "INTERVAL '1 02:03:04.000005' DAY TO SECOND", "INTERVAL -90 MINUTE", "INTERVAL 0 SECOND",
        "INTERVAL '1.5' SECOND", "INTERVAL '-1 01' DAY TO HOUR", "INTERVAL 36 HOUR", "INTERVAL '100' DAY",
        "INTERVAL '01:02:03' HOUR TO SECOND", "INTERVAL '59:59.999999' MINUTE TO SECOND",
    ],
    "ai": ["array(1, 2, 3)", "array(3, NULL, 1)", "CAST(array() AS ARRAY<INT>)", "array(1, 1, 2)", "array(-1)", "array(2147483647, 1)"],
    "as": ["array('a', 'b')", "array('b', NULL, 'a')", "CAST(array() AS ARRAY<STRING>)", "array('')", "array('é', 'A', 'a')"],
    "aa": ["array(array(1), array(2, 3))", "array(array(1), NULL)", "array(CAST(array() AS ARRAY<INT>))"],
    "ar": ["array(named_struct('a', 1, 'b', 'x'), named_struct('a', 2, 'b', NULL))", "array(named_struct('a', 0, 'b', ''))"],
    "k": ["map('a', 1, 'b', 2)", "map('a', CAST(NULL AS INT))", "CAST(map() AS MAP<STRING, INT>)", "map('', 0)", "map('b', -1, 'a', 5)"],
    "r": ["named_struct('a', 1, 'b', 'x')", "named_struct('a', CAST(NULL AS INT), 'b', '')", "struct(5 AS a, 'é' AS b)"],
    "j": [
        "parse_json('{\"a\": 1, \"b\": [true, null, \"x\"]}')", "parse_json('[1, 2.50, \"3\"]')", "parse_json('null')", "parse_json('\"text\"')",
        "parse_json('1.5')", "CAST(5 AS VARIANT)", "CAST('s' AS VARIANT)", "parse_json('{\"a\": {\"b\": 1e3}}')", "parse_json('true')",
        "to_variant_object(named_struct('a', 1, 'b', array('x')))", "CAST(DATE'2024-02-29' AS VARIANT)", "CAST(1.50 AS VARIANT)",
    ],
    "vt": ["'int'", "'string'", "'double'", "'boolean'", "'array<int>'", "'date'", "'decimal(10,2)'", "'bigint'", "'map<string,int>'", "'struct<a: int>'"],
    "bool": ["true", "false"],
    "small": ["0", "1", "2", "3", "-1", "5", "10", "-2"],
    "du": DATE_UNITS,
    "part": PARTS,
    "bits": ["0", "224", "256", "384", "512", "1"],
    "p": ["0", "0.5", "1", "0.25", "0.9"],
    "to": [*TYPES.values(), "DECIMAL(38,0)", "DECIMAL(5,2)", "DECIMAL(38,18)", "DECIMAL(3,3)", "INTERVAL DAY", "INTERVAL HOUR TO SECOND", "INTERVAL YEAR", "ARRAY<DOUBLE>", "MAP<STRING, STRING>", "STRUCT<x: STRING, y: STRING>", "ARRAY<BIGINT>"],
}  # fmt: skip

SIMPLEST.update(
    {
        "y": ("1Y", "0Y"), "h": ("1S", "0S"), "i": ("1", "0", "2"), "l": ("1L", "0L"),
        "e": ("0.5", "0.0", "1.0"), "g": ("1F", "0F"), "f": ("1D", "0D", "1.5D"), "b": ("true",),
        "s": ("'a'", "''", "'1'"), "x": ("X''", "X'00'"), "d": ("DATE'2024-01-01'",),
        "t": ("TIMESTAMP'2024-01-01 00:00:00'",), "z": ("TIMESTAMP_NTZ'2024-01-01 00:00:00'",),
        "m": ("INTERVAL 1 YEAR",), "v": ("INTERVAL 1 DAY",), "ai": ("array(1)",), "as": ("array('a')",),
        "k": ("map('a', 1)",), "small": ("1", "0"), "re": ("'a'",), "like": ("'a'", "'%'"),
    }
)  # fmt: skip
