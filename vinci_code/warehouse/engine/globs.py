"""The PATTERN of COPY INTO: a glob.

https://docs.databricks.com/aws/en/sql/language-manual/delta-copy-into says that it is one, and
https://docs.databricks.com/aws/en/ingestion/cloud-object-storage/auto-loader/patterns which signs
there are. Neither says whether a sign matches the slash between two directories, so a PATTERN whose
answer depends on it is refused.
"""

from __future__ import annotations

import re

import re2

from vinci_code.warehouse.sql.errors import SqlError, unsupported
from vinci_code.warehouse.sql.regular_expressions import compiled

_MEMORY = 64 * 1024 * 1024
# A set of characters and ranges; what else a bracket may hold is not documented.
_SET = re.compile(r"\[(?P<negated>\^?)(?P<items>[^\[\]{}\\/^!]+)\]")
_OTHER_SIGNS = frozenset("[]{}\\")


class Glob:
    """A glob that a client sent, matched by RE2 in time that grows with the path alone.

    Raises:
        SqlError: It has signs that the local warehouse does not know.
    """

    def __init__(self, pattern: str) -> None:
        self._pattern = pattern
        options = re2.Options()
        options.log_errors = False
        options.dot_nl = True
        options.max_mem = _MEMORY
        self._within = compiled(_translated(pattern, "[^/]", "/"), options)
        self._across = compiled(_translated(pattern, ".", ""), options)

    def matches(self, path: str) -> bool:
        """Whether a path below the source is one of those.

        Raises:
            SqlError: It would be one only if a sign matched a slash.
        """
        within = self._within.fullmatch(path) is not None
        if not within and self._across.fullmatch(path) is not None:
            raise unsupported(
                f"the PATTERN '{self._pattern}' beside the file '{path}': whether a sign matches "
                "a slash is not documented"
            )
        return within


def _translated(pattern: str, any_one: str, never: str) -> str:
    """Return a glob as a pattern of RE2's, by what any character is and what no set has."""
    parts: list[str] = []
    index = 0
    while index < len(pattern):
        sign = pattern[index]
        found = _SET.match(pattern, index) if sign == "[" else None
        if found is not None:
            parts.append(_set(found["items"], found["negated"], never, pattern))
            index = found.end()
            continue
        if sign in _OTHER_SIGNS:
            raise _unknown(pattern)
        parts.append({"*": f"{any_one}*", "?": any_one}.get(sign) or re2.escape(sign))
        index += 1
    return "".join(parts)


def _set(items: str, negated: str, never: str, pattern: str) -> str:
    inner: list[str] = []
    index = 0
    while index < len(items):
        if items[index + 1 : index + 2] == "-" and index + 2 < len(items):
            low, high = items[index], items[index + 2]
            if not low < high or low <= "/" <= high:
                raise _unknown(pattern)
            inner.append(f"{re2.escape(low)}-{re2.escape(high)}")
            index += 3
        elif items[index] == "-":
            raise _unknown(pattern)
        else:
            inner.append(re2.escape(items[index]))
            index += 1
    return f"[{negated}{''.join(inner)}{never if negated else ''}]"


def _unknown(pattern: str) -> SqlError:
    return unsupported(
        f"the PATTERN '{pattern}': of its signs *, ? and sets such as [abc], [a-z] and [^a] are "
        "known"
    )
