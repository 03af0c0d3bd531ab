"""The sqlglot dialect with which statements are read: Databricks, without guesses.

sqlglot's own Databricks dialect turns functions into the nearest neutral form, which loses what the
user wrote (``date_add`` and ``dateadd`` become one thing, ``concat`` and ``||`` another). Here
every function call stays a call by its name, so that the translation can apply Databricks' own
rules and refuse whatever it does not know. String literals, numeric suffixes and intervals are read
as the Databricks reference describes them:
https://docs.databricks.com/aws/en/sql/language-manual/data-types/string-type,
https://docs.databricks.com/aws/en/sql/language-manual/data-types/interval-type.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import islice
from typing import Any, ClassVar

from sqlglot import exp
from sqlglot.dialects.databricks import Databricks
from sqlglot.errors import ParseError
from sqlglot.parsers.databricks import DatabricksParser
from sqlglot.tokenizer_core import Token, TokenType

from vinci_code.warehouse.sql.errors import SqlError, missing_size, too_complex, unsupported
from vinci_code.warehouse.sql.interruption import check_interrupt
from vinci_code.warehouse.sql.lexemes import Lexeme, check_words, lexemes, name_of, string_value

# The suffixes of numeric literals, as types: 1L, 1S, 1Y, 1.5D, 1.5F, 1.5BD.
SUFFIXES = {"L": "BIGINT", "S": "SMALLINT", "Y": "TINYINT", "D": "DOUBLE", "F": "FLOAT", "BD": ""}


class UnexpectedTokenError(ParseError):
    """The parser met a token that cannot stand where it stands."""

    def __init__(self, message: str, token: Token) -> None:
        super().__init__(message)
        self.token = token


class WarehouseParser(DatabricksParser):
    """Reads statements without changing the meaning of a function call."""

    FUNCTIONS: ClassVar[dict[str, Callable[..., exp.Expr]]] = {}
    FUNCTIONS_WITH_ALIASED_ARGS: ClassVar[set[str]] = set()
    FUNCTION_PARSERS: ClassVar[dict[str, Callable[..., exp.Expr]]] = {
        name: DatabricksParser.FUNCTION_PARSERS[name] for name in ("CAST", "TRY_CAST")
    }
    # ANY is a quantifier behind LIKE, and an aggregate anywhere else.
    NO_PAREN_FUNCTION_PARSERS: ClassVar[dict[str, Callable[..., exp.Expr]]] = {
        "ANY": lambda self: self._parse_any(),
        "CASE": lambda self: self._parse_case(),
    }
    UNARY_PARSERS: ClassVar[dict[TokenType, Callable[..., exp.Expr | None]]] = {
        **DatabricksParser.UNARY_PARSERS,
        TokenType.DASH: lambda self: self._parse_minus(),
    }
    # array[0] reads an element; it never builds one.
    ARRAY_CONSTRUCTORS: ClassVar[dict[str, type[exp.Func]]] = {}
    STATEMENT_PARSERS: ClassVar[dict[TokenType, Callable[..., exp.Expr]]] = {
        key: value
        for key, value in DatabricksParser.STATEMENT_PARSERS.items()
        if key not in (TokenType.PRAGMA, TokenType.COPY, TokenType.LOAD, TokenType.CACHE)
    }

    def _parse_any(self) -> exp.Expr | None:
        before = self._tokens[self._index - 2].token_type if self._index > 1 else None
        if before in (TokenType.LIKE, TokenType.ILIKE, TokenType.RLIKE):
            return self.expression(exp.Any(this=self._parse_bitwise()))
        if not self._match(TokenType.L_PAREN, advance=False):
            self.raise_error("Expected (")
        arguments = self._parse_wrapped_csv(self._parse_lambda)
        return self.expression(exp.Anonymous(this="any", expressions=arguments))

    def _parse_minus(self) -> exp.Expr | None:
        # The sign is part of a number: -1::STRING is a cast of -1.
        number = self._curr.token_type == TokenType.NUMBER
        operand = self._parse_unary()
        inner = operand
        while isinstance(inner, exp.Cast):
            inner = inner.this
        if not number or inner is operand or not isinstance(inner, exp.Literal):
            return self.expression(exp.Neg(this=operand))
        inner.replace(exp.Neg(this=inner.copy()))
        return operand

    def raise_error(self, message: str, token: Token | None = None) -> None:
        """Raise at once, with the token at which reading stopped."""
        raise UnexpectedTokenError(message, token or self._curr or Token(TokenType.SENTINEL, ""))

    def _parse_type(
        self, parse_interval: bool = True, fallback_to_identifier: bool = False
    ) -> exp.Expr | None:
        # Every operand comes by here.
        check_interrupt()
        # DATE '2020-01-01' is a typed literal, not a cast: its name and its error differ.
        start = self._index
        if (
            self._curr.text.upper() in ("ARRAY", "MAP", "STRUCT")
            and self._next
            and self._next.token_type == TokenType.L_PAREN
        ):
            # array(1)[0] is a call, not a type.
            return self._parse_column()
        result = super()._parse_type(parse_interval, fallback_to_identifier)
        following = self._tokens[start + 1] if start + 1 < len(self._tokens) else None
        if (
            isinstance(result, exp.Cast)
            and following is not None
            and following.token_type == TokenType.STRING
            and self._tokens[start].text.upper() in _TYPED_LITERALS
        ):
            return _typed_literal(result)
        return result

    def _parse_types(self, *given: Any, **named: Any) -> exp.Expr | None:
        # sqlglot makes STRING of CAST(a AS VARCHAR(…)), as Spark does, whatever the length is.
        tokens = self._tokens[self._index : self._index + 4]
        result = super()._parse_types(*given, **named)
        if isinstance(result, exp.DataType) and tokens[0].text.upper() in _SIZED:
            kinds = [token.token_type for token in tokens[1:]]
            if kinds[:1] != [TokenType.L_PAREN]:
                raise missing_size(tokens[0].text.upper())
            if kinds != [TokenType.L_PAREN, TokenType.NUMBER, TokenType.R_PAREN]:
                self.raise_error("Expected a length", tokens[2])
        return result

    def _parse_table_parts(self, *given: Any, **named: Any) -> exp.Table | exp.Dot | None:
        table = super()._parse_table_parts(*given, **named)
        # sqlglot passes over the star of FROM t*, which means something to PostgreSQL.
        if self._match(TokenType.STAR, advance=False):
            self.raise_error("Expected the end of a table's name")
        return table

    def _parse_csv(
        self, parse_method: Callable[[], Any], sep: TokenType = TokenType.COMMA
    ) -> list[Any]:
        # sqlglot passes over a comma that nothing follows.
        def required() -> Any:
            found = parse_method()
            if found is None and self._index and self._prev.token_type == sep:
                self.raise_error("Expected something behind the comma")
            return found

        return super()._parse_csv(required, sep)

    def _parse_star_op(self, *keywords: str) -> list[exp.Expr] | None:
        return super()._parse_star_op(*(word for word in keywords if word != "EXCLUDE"))

    def _parse_subquery(
        self, this: exp.Expr | None, parse_alias: bool = True
    ) -> exp.Subquery | None:
        # sqlglot expects the alias before TABLESAMPLE, Databricks behind it.
        found = super()._parse_subquery(this, parse_alias)
        if found is not None and parse_alias and found.args.get("sample") is not None:
            if found.args.get("alias") is not None:
                self.raise_error("Expected TABLESAMPLE before the alias", self._prev)
            found.set("alias", self._parse_table_alias())
        return found

    def _parse_version(self) -> exp.Version | None:
        # Where AS OF is missing sqlglot reads it all the same.
        index = self._index
        version = super()._parse_version()
        if version is not None:
            words = [token.text.upper() for token in self._tokens[index : index + 4]]
            if "AS OF" not in " ".join(words):
                self.raise_error("Expected AS OF", self._tokens[index])
        return version

    def _parse_group(self, *given: Any, **named: Any) -> exp.Group | None:
        # GROUP BY DISTINCT would be read as GROUP BY.
        if (
            self._curr.token_type == TokenType.GROUP_BY
            and self._next
            and self._next.token_type == TokenType.DISTINCT
        ):
            self.raise_error("Expected an expression", self._next)
        return super()._parse_group(*given, **named)

    def _parse_limit(self, *given: Any, **named: Any) -> exp.Expr | None:
        limit = super()._parse_limit(*given, **named)
        # LIMIT 1, 2 would be read as LIMIT 2 OFFSET 1.
        if isinstance(limit, exp.Limit) and limit.args.get("offset") is not None:
            self.raise_error("Expected the end of the query", self._prev)
        return limit

    def _parse_insert_table(self) -> exp.Expr | None:
        table = super()._parse_insert_table()
        # INSERT INTO t SET a = 1 would be read as INSERT INTO t (a) VALUES (1).
        if self._match(TokenType.SET, advance=False):
            self.raise_error("Expected a query")
        return table

    def _parse_function_args(self, alias: bool = False) -> list[exp.Expr]:
        # EXTRACT(f FROM x), SUBSTRING(x FROM a FOR n), TRIM(BOTH y FROM x), POSITION(a IN b),
        # OVERLAY(x PLACING y FROM a FOR n): the words become arguments named by keyword.
        name = self._tokens[self._index - 2].text.upper()
        special = _WORDED.get(name)
        if special is not None:
            return special(self)
        return super()._parse_function_args(alias)

    def _parse_interval(  # type: ignore[override]  # sqlglot would sum several parts
        self,
        require_interval: bool = True,
        parse_function_unit: bool = True,
    ) -> exp.Expr | None:
        index = self._index
        if not self._match(TokenType.INTERVAL):
            return None
        parts = []
        while True:
            part = self._parse_interval_part()
            if part is None:
                break
            parts.append(part)
            if part.args.get("unit") is None or isinstance(part.args["unit"], exp.IntervalSpan):
                break
            if not self._match_set(
                (TokenType.STRING, TokenType.NUMBER, TokenType.DASH), advance=False
            ):
                break
        if not parts:
            self._retreat(index)
            return None
        if len(parts) == 1:
            return parts[0]
        return self.expression(exp.Anonymous(this="#interval", expressions=parts))

    def _parse_interval_part(self) -> exp.Interval | None:
        index = self._index
        if self._match(TokenType.STRING, advance=False):
            value = self._parse_primary()
        else:
            value = self._parse_unary()
        unit: exp.Expr | None = self._interval_unit()
        if value is None or (unit is None and not value.is_string):
            self._retreat(index)
            return None
        if unit is not None and self._match_text_seq("TO"):
            end = self._interval_unit()
            if end is None:
                self.raise_error("Expected an interval unit")
            unit = self.expression(exp.IntervalSpan(this=unit, expression=end))
        return self.expression(exp.Interval(this=value, unit=unit))

    def _interval_unit(self) -> exp.Var | None:
        if self._curr and self._curr.text.upper() in INTERVAL_UNITS:
            self._advance()
            return exp.Var(this=INTERVAL_UNITS[self._prev.text.upper()])
        return None

    def _parse_placeholder(self) -> exp.Expr | None:
        if self._match(TokenType.PLACEHOLDER):
            return self.expression(exp.Placeholder(this=self._prev.text, kind="?"))
        if self._curr and self._curr.token_type == TokenType.COLON and _is_marker(self._next):
            self._advance(2)
            return self.expression(exp.Placeholder(this=self._prev.text, kind=":"))
        return None


_SIZED = ("CHAR", "CHARACTER", "VARCHAR")


def _typed_literal(node: exp.Cast) -> exp.Expr:
    """Mark a typed literal; sqlglot reads ``::STRING`` behind it as a part of its text."""
    outer: exp.Expr = node.this
    text = outer
    while not isinstance(text, exp.Literal):
        text = text.this
    if text is outer:
        node.meta["typed_literal"] = True
        return node
    literal = exp.Cast(this=text.copy(), to=node.args["to"])
    literal.meta["typed_literal"] = True
    text.replace(literal)
    return outer


def _is_marker(token: Token | None) -> bool:
    return token is not None and token.token_type not in (
        TokenType.SENTINEL,
        TokenType.STRING,
        TokenType.NUMBER,
        TokenType.COLON,
        TokenType.L_PAREN,
    )


def _operand(parser: WarehouseParser) -> list[exp.Expr]:
    value = parser._parse_bitwise()
    return [] if value is None else [value]


def _worded_extract(parser: WarehouseParser) -> list[exp.Expr]:
    index = parser._index
    if parser._curr and parser._next and parser._next.token_type == TokenType.FROM:
        parser._advance(2)
        field = exp.Literal.string(parser._tokens[index].text)
        return [field, *_operand(parser)]
    return parser._parse_csv(parser._parse_lambda)


def _worded_substring(parser: WarehouseParser) -> list[exp.Expr]:
    args = parser._parse_csv(parser._parse_bitwise)
    if parser._match(TokenType.FROM):
        args += _operand(parser)
    if parser._match(TokenType.FOR):
        args += _operand(parser)
    return args


def _worded_overlay(parser: WarehouseParser) -> list[exp.Expr]:
    args = parser._parse_csv(parser._parse_bitwise)
    for word in ("PLACING", "FROM", "FOR"):
        if parser._match_text_seq(word):
            args += _operand(parser)
    return args


def _worded_position(parser: WarehouseParser) -> list[exp.Expr]:
    args = parser._parse_csv(parser._parse_bitwise)
    if parser._match(TokenType.IN):
        args += _operand(parser)
    return args


def _worded_trim(parser: WarehouseParser) -> list[exp.Expr]:
    side = ""
    if parser._match_texts(("BOTH", "LEADING", "TRAILING")):
        side = parser._prev.text.upper()
    if parser._match(TokenType.FROM):
        return [*_operand(parser), exp.Var(this=side or "BOTH")]
    args = parser._parse_csv(parser._parse_bitwise)
    if parser._match(TokenType.FROM):
        return [*_operand(parser), exp.Var(this=side or "BOTH"), *args]
    if side:
        parser.raise_error("Expected FROM")
    return args


_WORDED: dict[str, Callable[[WarehouseParser], list[exp.Expr]]] = {
    "EXTRACT": _worded_extract,
    "SUBSTRING": _worded_substring,
    "SUBSTR": _worded_substring,
    "OVERLAY": _worded_overlay,
    "POSITION": _worded_position,
    "TRIM": _worded_trim,
}

_TYPED_LITERALS = ("DATE", "TIMESTAMP", "TIMESTAMP_NTZ", "TIMESTAMP_LTZ")

INTERVAL_UNITS = {
    **{unit: unit for unit in ("YEAR", "MONTH", "WEEK", "DAY", "HOUR", "MINUTE", "SECOND")},
    **{f"{unit}S": unit for unit in ("YEAR", "MONTH", "WEEK", "DAY", "HOUR", "MINUTE", "SECOND")},
    "MILLISECOND": "MILLISECOND",
    "MILLISECONDS": "MILLISECOND",
    "MICROSECOND": "MICROSECOND",
    "MICROSECONDS": "MICROSECOND",
}


class Warehouse(Databricks):
    """Databricks SQL as the local warehouse reads it."""

    Parser = WarehouseParser


_DIALECT = Warehouse()

# Words of other dialects, which are names as any other: SELECT a ISNULL names a column.
_NAMES = frozenset(
    "ASOF FETCH GLOB ISNULL KEEP LOCK MATCH_RECOGNIZE NOTNULL OPERATOR OVERLAPS STRAIGHT_JOIN "
    "XOR".split()
) | {"CONNECT BY", "SIMILAR TO"}
_WORDS = {word: kind for word, kind in Databricks.Tokenizer.KEYWORDS.items() if word not in _NAMES}

MAX_LEXEMES = 500_000
"""The most words and signs of a statement that is read whole: each takes about a KiB, and DuckDB
needs as much again, which its limit of memory does not count."""

_MAX_PARTS = 200

# What sqlglot calls the words and symbols of Databricks SQL, and the two words that are one to it.
_TOKENS: dict[str, TokenType] = {
    **Databricks.Tokenizer.SINGLE_TOKENS,
    **{word: kind for word, kind in _WORDS.items() if " " not in word},
}
_PAIRS: dict[tuple[str, ...], TokenType] = {
    tuple(words.split()): kind for words, kind in _WORDS.items() if " " in words
}


def tokenize(text: str) -> list[Token]:
    """Return the tokens of a statement, literals decoded and adjacent strings joined.

    Raises:
        SqlError: As ``lexemes``, for an unquoted name that is none, and for a text that is too
            long to be read.
    """
    found = list(islice(check_words(lexemes(text)), MAX_LEXEMES + 1))
    if len(found) > MAX_LEXEMES:
        raise unsupported(
            f"a statement of more than {MAX_LEXEMES} words and signs, save for rows of literals "
            "after VALUES: it would have to be sent in parts"
        )
    _check_chains(found)
    tokens: list[Token] = []
    index = 0
    while index < len(found):
        index += _add_token(tokens, found, index)
    return tokens


def _check_chains(found: list[Lexeme]) -> None:
    """Refuse a name of some hundred parts, which sqlglot reads in the square of their number."""
    last = dots = 0
    for index, lexeme in enumerate(found):
        if lexeme.text == ".":
            dots = dots + 1 if index - last <= 2 else 1
            last = index
            if dots > _MAX_PARTS:
                raise too_complex()


def _add_token(tokens: list[Token], found: list[Lexeme], index: int) -> int:
    """Add what begins at a lexeme, and return how many lexemes it is."""
    lexeme = found[index]
    if lexeme.kind in ("string", "raw"):
        _add_string(tokens, lexeme)
        return 1
    if lexeme.kind == "word":
        return _add_words(tokens, found, index)
    if lexeme.kind == "quoted":
        tokens.append(_token(TokenType.IDENTIFIER, name_of(lexeme), lexeme))
    elif lexeme.kind == "number":
        text = f"0{lexeme.text}" if lexeme.text[0] == "." else lexeme.text
        tokens.append(_token(TokenType.NUMBER, text, lexeme))
    elif _is_version(found, index):
        tokens += _version(found[index + 1])
        return 2
    else:
        tokens.append(_token(_TOKENS[lexeme.text], lexeme.text, lexeme))
    return 1


def _add_string(tokens: list[Token], lexeme: Lexeme) -> None:
    value = string_value(lexeme)
    before = tokens[-1] if tokens else None
    if before is not None and before.token_type == TokenType.STRING:
        tokens[-1] = Token.string(before.text + value)
        tokens[-1].start, tokens[-1].end = before.start, lexeme.end - 1
    else:
        tokens.append(_token(TokenType.STRING, value, lexeme))


def _add_words(tokens: list[Token], found: list[Lexeme], index: int) -> int:
    word = found[index].text.upper()
    following = found[index + 1] if index + 1 < len(found) else None
    if word == "X" and following is not None and following.kind in ("string", "raw"):
        tokens.append(_hexadecimal(found[index], following))
        return 2
    pair = (word, following.text.upper() if following is not None else "")
    if following is not None and pair in _PAIRS:
        place = Lexeme("word", "", found[index].start, following.end)
        tokens.append(_token(_PAIRS[pair], " ".join(pair), place))
        return 2
    tokens.append(_token(_TOKENS.get(word, TokenType.VAR), found[index].text, found[index]))
    return 1


def _hexadecimal(mark: Lexeme, string: Lexeme) -> Token:
    digits = string_value(string)
    if re.fullmatch("[0-9a-fA-F]*", digits) is None:
        raise SqlError(
            "INVALID_TYPED_LITERAL",
            "42604",
            f"The value of the typed literal \"X\" is invalid: '{digits}'.",
        )
    return _token(TokenType.HEX_STRING, digits, Lexeme("word", "", mark.start, string.end))


def _is_version(found: list[Lexeme], index: int) -> bool:
    """``t@v3`` is ``t VERSION AS OF 3``."""
    return (
        found[index].text == "@"
        and 0 < index < len(found) - 1
        and found[index - 1].end == found[index].start
        and re.fullmatch(r"[vV]\d+", found[index + 1].text) is not None
    )


def _version(lexeme: Lexeme) -> list[Token]:
    words = (
        (TokenType.VAR, "VERSION"),
        (TokenType.ALIAS, "AS"),
        (TokenType.VAR, "OF"),
        (TokenType.NUMBER, lexeme.text[1:]),
    )
    return [_token(kind, text, lexeme) for kind, text in words]


def _token(kind: TokenType, text: str, place: Lexeme) -> Token:
    return Token(kind, text, start=place.start, end=place.end - 1)


def parse_tokens(tokens: list[Token], text: str) -> list[exp.Expr | None]:
    """Parse tokens of ``text`` into statements."""
    return _DIALECT.parser().parse(tokens, text)
