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
from typing import NamedTuple

from vinci_code.database.dialect.text.builtins import NAMES

# https://docs.databricks.com/aws/en/sql/language-manual/data-types/string-type and
# https://docs.databricks.com/aws/en/sql/language-manual/sql-ref-identifiers. What is not closed
# goes on to the end of the text.
_CODE = r"""
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
"""
_FLAGS = re.VERBOSE | re.DOTALL
_TOKEN = re.compile(_CODE, _FLAGS)
# The same with all that stands between, where the structure of a text matters.
_PART = re.compile(
    _CODE.replace("`[^`]*(?:`|\\Z)", "(?P<quoted>`(?:[^`]|``)*(?:`|\\Z))")
    + r"""
    | (?P<comma>,)
    | (?P<semicolon>;)
    | (?P<pipe>\|>)
    | (?P<other>\d\w*|\S)
    """,
    _FLAGS,
)
_CONSTANT = re.compile(
    r"\s*(?:[+-]?\d+(?:\.\d+)?|'(?:[^'\\]|'')*'|true|false|null)\s*", re.ASCII | re.IGNORECASE
)
_COMMENT_EDGE = re.compile(r"/\*|\*/")
# After a word and a space it is a marker: the word may be a keyword, as in "SELECT ?::INT".
_OPERAND_END = re.compile(r"(?:\w|[)\]'\"`]\s*)\Z")

_QUERIES = frozenset({"SELECT", "VALUES", "TABLE", "FROM", "WITH"})
LOOKS = frozenset({"SHOW", "DESCRIBE", "DESC", "EXPLAIN", "LIST"})
"""The keywords of what looks at names and definitions, not at rows."""
_WRITES = frozenset({"INSERT", "UPDATE", "DELETE", "MERGE"})
_BEGINS = frozenset({"BEGIN", "START"})
_TRANSACTION_ENDS = frozenset({"COMMIT", "ROLLBACK"})
# What leaves the session as it was, unless the object is a temporary one. Of any other statement
# that is not known: EXECUTE IMMEDIATE, CALL and a script may hold USE and SET.
_KEEPS_SESSION = (
    LOOKS
    | _WRITES
    | _QUERIES
    | _TRANSACTION_ENDS
    | frozenset(
        """
        ALTER ANALYZE BEGIN COMMENT CONVERT COPY CREATE DENY DROP FSCK GET GRANT MSCK OPTIMIZE PUT
        REFRESH REMOVE REORG REPAIR REPLACE RESTORE REVOKE START SYNC TRUNCATE UNDROP VACUUM
        """.split()
    )
)
TRANSFERS = frozenset({"PUT", "GET", "REMOVE"})
"""The keywords of statements that ask the client for the transfer of a file."""
ROWS = _QUERIES | LOOKS | _WRITES
"""The keywords of statements on rows: no other statement may follow in the same text."""
ANY_VIEW = "*"
"""Stands for temporary views whose names are not known."""
_CACHED_LENGTH = 4096


@dataclass(frozen=True)
class StatementTraits:
    """What a statement is, as far as sending it is concerned.

    Of what was made of a construct it is known, and only what an application has written as text
    is looked at (``describe``).

    Attributes:
        keyword: Its first keyword in capitals, or that of its main clause after ``WITH``, ``FROM``
            and parentheses.
        reads: Whether it changes nothing, so that it may be sent again.
        writes_rows: Whether it is an INSERT, UPDATE, DELETE or MERGE, or may be one.
        changes_session: Whether the session keeps something of it, or may: ``USE``, ``SET``,
            temporary views.
        begins_transaction: Whether it is BEGIN, and not a block or a script.
        ends_transaction: Whether it is COMMIT or ROLLBACK.
        temporary_view: The bare name, in lower case, of the temporary view that it makes;
            ``ANY_VIEW`` where it may make some whose names are not known.
        sets_autocommit: Whether it has the session begin transactions by itself, or end that.
    """

    keyword: str
    reads: bool = False
    writes_rows: bool = False
    changes_session: bool = False
    begins_transaction: bool = False
    ends_transaction: bool = False
    temporary_view: str | None = None
    sets_autocommit: bool = False


QUERY = StatementTraits("SELECT", reads=True)
"""A query that was made of a construct."""
WRITE = StatementTraits("MERGE", writes_rows=True)
"""An INSERT, UPDATE, DELETE or MERGE that was made of a construct."""
LOOK = StatementTraits("SHOW", reads=True)
"""SHOW or DESCRIBE."""
DEFINITION = StatementTraits("CREATE")
"""DDL that was made of a construct, of which the session keeps nothing."""
TRANSFER = StatementTraits("PUT", reads=True)
"""PUT … OVERWRITE or REMOVE of a file with a name of its own, which may as well be sent twice."""
BEGIN = StatementTraits("BEGIN", begins_transaction=True)
BLOCK = StatementTraits("BEGIN")
"""A block of writes, which is all or nothing, or a script that the session keeps nothing of."""
COMMIT, ROLLBACK = (StatementTraits(word, ends_transaction=True) for word in ("COMMIT", "ROLLBACK"))


def markers(text: str) -> list[int]:
    """The positions of the parameter markers, ``?``, in order."""
    return [
        match.start()
        for match in _tokens(text, _TOKEN)
        if match.lastgroup == "marker" and not _is_try_cast(text, match.start())
    ]


def describe(text: str) -> StatementTraits:
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


def is_several(text: str) -> bool:
    """Whether something follows a semicolon, so that the text is more than one statement."""
    return ";" in text and _Parts(text).several()


def words_of(text: str) -> Iterator[str]:
    """The words of a text in capitals, but for those in quotes and comments."""
    return (match.group().upper() for match in _parts(text) if match.lastgroup == "word")


class Part(NamedTuple):
    """A word, a name in backticks, a literal or a sign of a text.

    Attributes:
        kind: ``word``, ``quoted``, ``literal``, ``open``, ``close``, ``comma``, or ``other``, which
            are numbers and the other signs.
        text: The part as it is written.
        start: Where it begins.
        end: Where it ends.
    """

    kind: str
    text: str
    start: int
    end: int


def parts_of(text: str) -> Iterator[Part]:
    """The parts of a text, but for blanks and comments."""
    for match in _parts(text):
        kind = match.lastgroup or "literal"
        if kind not in _NAMED_PARTS:
            kind = "other"
        yield Part(kind, match.group(), match.start(), match.end())


_NAMED_PARTS = frozenset({"word", "quoted", "literal", "open", "close", "comma"})


def unquoted(name: str) -> str:
    """A name without the backticks that it may stand in."""
    return name[1:-1].replace("``", "`") if name.startswith("`") else name


def is_constant(text: str) -> bool:
    """Whether a fragment of SQL is one number, one text, TRUE, FALSE or NULL, and nothing else."""
    return _CONSTANT.fullmatch(text) is not None


def may_read_tables(text: str) -> bool:
    """Whether a fragment of SQL may read a table: by a sub-select, or by a function of its own."""
    called, before = True, ""
    for match in _parts(text):
        kind, part = match.lastgroup, match.group()
        if kind == "word" and part.upper() in _NAMES_TABLES:
            return True
        if kind == "open" and not called:
            return True
        # What may be called, and reads no table: a built-in function has no schema.
        own = kind in {"word", "quoted"} and (before == "." or not _is_harmless(part))
        called, before = not own, part
    return False


def _is_harmless(name: str) -> bool:
    return name.strip("`").lower() in NAMES | _CONSTRUCTS


_NAMES_TABLES = frozenset({"SELECT", "FROM", "JOIN", "TABLE"})
# Words that a parenthesis may follow beside the names of functions.
_CONSTRUCTS = frozenset(
    """
    all and any array as between by case cast char decimal distinct dec else exists filter group in
    interval is like map not numeric on or order over partition rlike row rows some struct then
    varchar values when where within
    """.split()
)


def _describe(text: str) -> StatementTraits:
    parts = _Parts(text)
    opened = parts.skip_opening()
    keyword = parts.word()
    if opened or keyword in _QUERIES:
        return _query(parts)
    if keyword in _BEGINS:
        return _begin(parts, keyword)
    changes = keyword not in _KEEPS_SESSION or _is_temporary(parts)
    # SET AUTOCOMMIT alone asks for it.
    named = parts.text(1).strip("`'\"").upper() == "AUTOCOMMIT"
    sets_autocommit = keyword == "SET" and named and parts.kind(2) != ""
    return StatementTraits(
        keyword,
        reads=keyword in LOOKS and not parts.several(),
        writes_rows=keyword in _WRITES,
        changes_session=changes,
        ends_transaction=keyword in _TRANSACTION_ENDS,
        temporary_view=_temporary_view(parts, keyword) if changes else None,
        sets_autocommit=sets_autocommit,
    )


_describe_short = functools.lru_cache(maxsize=512)(_describe)


def _begin(parts: _Parts, keyword: str) -> StatementTraits:
    """What BEGIN begins: a transaction, an atomic block, or a script that may do anything."""
    following = parts.word(1)
    if following in {"TRANSACTION", "WORK"} or parts.kind(1) in {"", "semicolon"}:
        return StatementTraits(keyword, begins_transaction=True)
    if following == "ATOMIC":
        return StatementTraits(keyword)
    return StatementTraits(keyword, changes_session=True, temporary_view=ANY_VIEW)


def _query(parts: _Parts) -> StatementTraits:
    """What begins as a query does: a query, or a write behind WITH or FROM."""
    keyword = parts.word()
    while keyword == "WITH":
        if not _skip_with(parts):
            return StatementTraits(keyword, writes_rows=True)
        parts.skip_opening()
        keyword = parts.word()
    if keyword in _WRITES:
        return StatementTraits(keyword, writes_rows=True)
    if parts.holds_insert():
        return StatementTraits("INSERT", writes_rows=True)
    if keyword not in _QUERIES or (keyword == "FROM" and not parts.holds_query()):
        return StatementTraits(keyword, writes_rows=True)
    # Several statements are none that may be sent again.
    return StatementTraits(keyword, reads=not parts.several())


def _skip_with(parts: _Parts) -> bool:
    """Pass a WITH list; whether it has the form that it should have.

    ``WITH [RECURSIVE] name [(columns)] [MAX RECURSION LEVEL n] [AS] (query), …``:
    https://docs.databricks.com/aws/en/sql/language-manual/sql-ref-syntax-qry-select-cte
    """
    parts.skip()
    if (
        parts.word() == "RECURSIVE"
        and parts.kind(1) in {"word", "quoted"}
        and parts.word(1) != "AS"
    ):
        parts.skip()
    while True:
        if parts.kind() not in {"word", "quoted"}:
            return False
        parts.skip()
        if not _skip_columns_and_query(parts):
            return False
        if parts.kind() != "comma":
            return True
        parts.skip()


def _skip_columns_and_query(parts: _Parts) -> bool:
    """Pass what follows a name of a WITH list."""
    if parts.kind() == "open" and parts.is_list_of_names():
        parts.skip_group()
    if [parts.word(n) for n in range(3)] == ["MAX", "RECURSION", "LEVEL"]:
        parts.skip(4)
    if parts.word() == "AS":
        parts.skip()
    return parts.kind() == "open" and parts.skip_group()


def _is_temporary(parts: _Parts) -> bool:
    """Whether CREATE or DROP is of something that the session has, and no other."""
    at = 1
    while parts.word(at) in {"OR", "REPLACE", "GLOBAL", "LOCAL"}:
        at += 1
    return parts.word() in {"CREATE", "DROP"} and parts.word(at) in {"TEMP", "TEMPORARY"}


def _temporary_view(parts: _Parts, keyword: str) -> str | None:
    """The name of the temporary view that a statement makes which changes the session."""
    if keyword != "CREATE":
        return None if keyword in _KEEPS_SESSION | _MAKES_NO_VIEW else ANY_VIEW
    words = [parts.word(n) for n in range(1, 6)]
    if "VIEW" not in words:
        return None
    parts.skip(words.index("VIEW") + 2)
    if [parts.word(n) for n in range(3)] == ["IF", "NOT", "EXISTS"]:
        parts.skip(3)
    return parts.dotted_name() or ANY_VIEW


_MAKES_NO_VIEW = frozenset({"USE", "SET", "RESET", "DECLARE", "CLEAR", "UNCACHE", "ADD", ""})


class _Parts:
    """The parts of a text, read from the front.

    Only as many are looked for as are asked for, since a text may be very long.
    """

    def __init__(self, text: str) -> None:
        self._text = text
        self._rest = _parts(text)
        self._ahead: list[re.Match[str]] = []

    def _peek(self, ahead: int) -> re.Match[str] | None:
        while len(self._ahead) <= ahead:
            match = next(self._rest, None)
            if match is None:
                return None
            self._ahead.append(match)
        return self._ahead[ahead]

    def kind(self, ahead: int = 0) -> str:
        """The sort of a part; empty behind the last."""
        match = self._peek(ahead)
        return "" if match is None else (match.lastgroup or "other")

    def word(self, ahead: int = 0) -> str:
        """A word in capitals; empty where there is none."""
        match = self._peek(ahead)
        return match.group().upper() if match is not None and match.lastgroup == "word" else ""

    def text(self, ahead: int = 0) -> str:
        """A part as it is written; empty behind the last."""
        match = self._peek(ahead)
        return "" if match is None else match.group()

    def skip(self, count: int = 1) -> None:
        """Pass parts."""
        self._peek(count - 1)
        del self._ahead[:count]

    def skip_opening(self) -> bool:
        """Pass opening parentheses; whether there are any."""
        found = False
        while self.kind() == "open":
            self.skip()
            found = True
        return found

    def skip_group(self) -> bool:
        """Pass parentheses and what is in them; whether they are closed."""
        depth = 0
        while (kind := self.kind()) != "":
            self.skip()
            depth += (kind == "open") - (kind == "close")
            if depth == 0:
                return True
        return False

    def is_list_of_names(self) -> bool:
        """Whether the parentheses that come next hold names alone, as of columns."""
        ahead = 1
        while self.kind(ahead) in {"word", "quoted"} and self.word(ahead) not in _QUERIES:
            if self.kind(ahead + 1) == "close":
                return True
            if self.kind(ahead + 1) != "comma":
                return False
            ahead += 2
        return False

    def dotted_name(self) -> str:
        """The last part of a name with dots, in lower case; empty where it is none."""
        name = ""
        while self.kind() in {"word", "quoted"} and self.word() != "IDENTIFIER":
            name = self.text().strip("`").replace("``", "`").lower()
            if self.text(1) != ".":
                return name
            self.skip(2)
        return ""

    def holds_insert(self) -> bool:
        """Whether there is an INSERT in what is left: behind FROM there may be one or more."""
        return any(
            self.word(at) == "INSERT" and self.word(at + 1) in {"INTO", "OVERWRITE"}
            for at in self._left()
        )

    def holds_query(self) -> bool:
        """Whether a SELECT, or a pipe, stands outside of parentheses in what is left."""
        depth = 0
        for at in self._left():
            depth += (self.kind(at) == "open") - (self.kind(at) == "close")
            if depth <= 0 and (self.kind(at) == "pipe" or self.word(at) == "SELECT"):
                return True
        return False

    def several(self) -> bool:
        """Whether something follows a semicolon in what is left."""
        kinds = [self.kind(at) for at in self._left()]
        return "semicolon" in kinds and any(
            kind != "semicolon" for kind in kinds[kinds.index("semicolon") :]
        )

    def _left(self) -> Iterator[int]:
        """The places of the parts that are left."""
        at = 0
        while self.kind(at):
            yield at
            at += 1


def _parts(text: str) -> Iterator[re.Match[str]]:
    """Everything in a text but blanks and comments."""
    return (match for match in _tokens(text, _PART) if not match.group().startswith("--"))


def _tokens(text: str, pattern: re.Pattern[str]) -> Iterator[re.Match[str]]:
    position = 0
    while (match := pattern.search(text, position)) is not None:
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
