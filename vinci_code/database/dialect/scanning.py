"""Reading SQL just far enough: where its parameter markers are, and what sort of statement it is.

The text is Databricks SQL: strings in single or double quotes with backslash escapes, raw strings
(``r'…'``), names in backticks, comments that nest, and bodies of functions between ``$$``. Nothing
in any of them is a marker or a keyword.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from dataclasses import dataclass

# https://docs.databricks.com/aws/en/sql/language-manual/data-types/string-type and
# https://docs.databricks.com/aws/en/sql/language-manual/sql-ref-identifiers. What is not closed
# goes on to the end of the text.
_TOKEN = re.compile(
    r"""
      --[^\n]*
    | (?P<comment>/\*)
    | (?<!\w)[rR](?:'[^']*(?:'|\Z)|"[^"]*(?:"|\Z))
    | '[^'\\]*(?:\\.[^'\\]*)*(?:'|\\?\Z)
    | "[^"\\]*(?:\\.[^"\\]*)*(?:"|\\?\Z)
    | `[^`]*(?:`|\Z)
    | \$\$.*?(?:\$\$|\Z)
    | (?P<marker>\?)
    | (?P<word>[^\W\d]\w*)
    | (?P<open>\()
    | (?P<close>\))
    """,
    re.VERBOSE | re.DOTALL,
)
_COMMENT_EDGE = re.compile(r"/\*|\*/")
# After a word and a space it is a marker: the word may be a keyword, as in "SELECT ?::INT".
_OPERAND_END = re.compile(r"(?:\w|[)\]'\"`]\s*)\Z")

_READS = frozenset({"SELECT", "VALUES", "TABLE", "SHOW", "DESCRIBE", "DESC", "EXPLAIN", "LIST"})
_WRITES = frozenset({"INSERT", "UPDATE", "DELETE", "MERGE"})
# Statements after which the session is not what it was when it was opened.
_SESSION_CHANGES = frozenset({"USE", "SET", "RESET", "DECLARE", "CACHE", "ADD"})
_TRANSACTION_ENDS = frozenset({"COMMIT", "ROLLBACK"})
_PREFIXES = frozenset({"WITH", "FROM"})
_CACHED_LENGTH = 4096


@dataclass(frozen=True)
class Statement:
    """What a statement is, as far as sending it is concerned.

    Attributes:
        keyword: Its first keyword in capitals, or that of its main clause after ``WITH``.
        reads: Whether it changes nothing, so that it may be sent again.
        writes_rows: Whether it is an INSERT, UPDATE, DELETE or MERGE.
        changes_session: Whether the session keeps something of it: ``USE``, ``SET``, temporary
            views.
        begins_transaction: Whether it is BEGIN, and not a block, BEGIN ATOMIC.
        ends_transaction: Whether it is COMMIT or ROLLBACK.
    """

    keyword: str
    reads: bool
    writes_rows: bool
    changes_session: bool
    begins_transaction: bool = False
    ends_transaction: bool = False


def markers(text: str) -> list[int]:
    """The positions of the parameter markers, ``?``, in order."""
    return [
        match.start()
        for match in _tokens(text)
        if match.lastgroup == "marker" and not _is_try_cast(text, match.start())
    ]


def describe(text: str) -> Statement:
    """What sort of statement a text is; what is not known for certain counts as a write."""
    if len(text) > _CACHED_LENGTH:
        return _describe(text)
    return _describe_short(text)


def is_comment(text: str) -> bool:
    """Whether a text holds nothing but comments and blanks."""
    position = 0
    while position < len(text):
        if text.startswith("/*", position):
            position = _end_of_comment(text, position + 2)
        elif text.startswith("--", position):
            position = text.find("\n", position) % (len(text) + 1)
        elif text[position].isspace():
            position += 1
        else:
            return False
    return True


def _describe(text: str) -> Statement:
    words = _outer_words(text)
    keyword = next(words, "")
    if keyword in _PREFIXES:
        # Both may stand before a query and before a write.
        keyword = next((word for word in words if word in _READS | _WRITES), keyword)
    return Statement(
        keyword,
        reads=keyword in _READS,
        writes_rows=keyword in _WRITES,
        changes_session=keyword in _SESSION_CHANGES or _is_temporary(keyword, words),
        begins_transaction=keyword in {"BEGIN", "START"} and next(words, "") != "ATOMIC",
        ends_transaction=keyword in _TRANSACTION_ENDS,
    )


_describe_short = functools.lru_cache(maxsize=512)(_describe)


def _is_temporary(keyword: str, words: Iterator[str]) -> bool:
    if keyword not in {"CREATE", "DROP"}:
        return False
    return any(word in {"TEMP", "TEMPORARY"} for word, _ in zip(words, range(4), strict=False))


def _outer_words(text: str) -> Iterator[str]:
    """The words in capitals that are in no parentheses, but for those around everything."""
    depth = 0
    begun = False
    for match in _tokens(text):
        kind = match.lastgroup
        if kind == "open":
            depth += begun
        elif kind == "close":
            depth -= depth > 0
        elif kind == "word" and depth == 0:
            begun = True
            yield match.group().upper()


def _tokens(text: str) -> Iterator[re.Match[str]]:
    position = 0
    while (match := _TOKEN.search(text, position)) is not None:
        if match.lastgroup == "comment":
            position = _end_of_comment(text, match.end())
            continue
        yield match
        position = match.end()


def _end_of_comment(text: str, position: int) -> int:
    depth = 1
    while depth:
        edge = _COMMENT_EDGE.search(text, position)
        if edge is None:
            return len(text)
        depth += 1 if edge.group() == "/*" else -1
        position = edge.end()
    return position


def _is_try_cast(text: str, position: int) -> bool:
    """Whether a ``?`` begins the operator ``?::``, which follows what it casts."""
    if not text.startswith("::", position + 1):
        return False
    return _OPERAND_END.search(text, max(0, position - 64), position) is not None
