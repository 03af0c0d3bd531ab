"""The canonical forms of ``canonical`` in the SQL of PostgreSQL, which sums its tables itself.

``to_json`` writes dates and moments in ISO 8601, whatever the session's DateStyle is, and to the
last microsecond that is not zero. ``extract(epoch …)`` is a decimal number since PostgreSQL 14.
https://www.postgresql.org/docs/current/functions-datetime.html
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection

from vinci_code.database.moving.canonical import BITS
from vinci_code.database.moving.kinds import ValueKind

_OLDEST = 140_000


def refusal_of(connection: Connection, kinds: Sequence[ValueKind]) -> str | None:
    """Why the server cannot sum columns of these kinds; ``None`` where it can."""
    if any(kind.name == "double" for kind in kinds):
        return "PostgreSQL has no xxHash64, by which floats are counted"
    if any(kind.name == "instant" and kind.zone is not None for kind in kinds):
        return "moments without a zone are taken to be in one"
    number, encoding = (
        connection.exec_driver_sql(f"SHOW {name}").scalar_one()
        for name in ("server_version_num", "server_encoding")
    )
    if int(number) < _OLDEST:
        return "PostgreSQL before 14 has no exact seconds since 1970"
    return None if encoding == "UTF8" else f"the server's encoding is {encoding}, and not UTF8"


def pg_form(kind: ValueKind, column: str) -> str:
    """The canonical text of a column, by its quoted name."""
    if kind.name == "decimal":
        number = f"CAST({column} AS NUMERIC)"
        rounded = f"round({number}, {kind.scale})"
        # A number with more digits is another one, and is not rounded to one that is equal.
        return f"CAST(CASE WHEN {number} = {rounded} THEN {rounded} ELSE {number} END AS TEXT)"
    return _FORMS[kind.name].format(column)


def pg_number(text: str) -> str:
    """The number of a text: the first 60 bits of its MD5."""
    return f"CAST(CAST('x' || substr(md5({text}), 1, {BITS // 4}) AS BIT({BITS})) AS BIGINT)"


def pg_parts(texts: Sequence[str]) -> str:
    """The parts of several columns, one after the other; NULL is ``-``."""
    made = [f"coalesce(CAST(length({text}) AS TEXT) || ':' || {text}, '-')" for text in texts]
    return " || ".join(made) if made else "''"


_FORMS = {
    "integer": "CAST({0} AS TEXT)",
    "boolean": "CAST(CAST({0} AS BOOLEAN) AS TEXT)",
    # Of a CHAR(n) a cast would leave the spaces out, and format() does not; of NULL it makes ''.
    "text": "CASE WHEN {0} IS NOT NULL THEN format('%s', {0}) END",
    "json": "CAST({0} AS TEXT)",
    "uuid": "CAST({0} AS TEXT)",
    "binary": "upper(encode({0}, 'hex'))",
    "date": "(to_json({0}) #>> '{{}}')",
    "time": "to_char({0}, 'HH24:MI:SS.US')",
    "moment": "replace(to_json({0}) #>> '{{}}', 'T', ' ')",
    "instant": "CAST(CAST(extract(epoch FROM {0}) * 1000000 AS BIGINT) AS TEXT)",
}
