"""Records of JSON files, checked against columns as Spark's JSON reader does.

The rules are those of ``from_json`` (``documents.py``), with two more: an array stands for the
records in it, and a text that is no date or time for certain is refused, since what becomes of it
depends on what the parser of old versions could read (``LEGACY_TIME_PARSER_POLICY`` is EXCEPTION).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from vinci_code.warehouse.sql.documents import BadRecordError, Fitter
from vinci_code.warehouse.sql.errors import unsupported
from vinci_code.warehouse.sql.json_reading import Number, read, read_alone
from vinci_code.warehouse.sql.types import SqlType

MAX_DEPTH = 100
"""How deeply arrays and objects of a record may lie in each other."""

_TIMES = {
    "DATE": re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}"),
    "TIMESTAMP": re.compile(
        r"[0-9]{4}-[0-9]{2}-[0-9]{2}(?:[ T][0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,6})?"
        r"(?:Z|[+-][0-9]{2}:[0-9]{2})?)?"
    ),
    "TIMESTAMP_NTZ": re.compile(
        r"[0-9]{4}-[0-9]{2}-[0-9]{2}(?:[ T][0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,6})?)?"
    ),
}
_BRACKETS = re.compile(r'"(?:[^"\\]|\\.)*(?:"|\Z)|[\[{]|[\]}]', re.DOTALL)


class TooDeepError(ValueError):
    """Arrays and objects lie too deeply in each other."""


def records_of(text: str, *, whole: bool) -> list[dict[str, Any]]:
    """Return the objects that a text holds: one, or those of an array.

    Args:
        text: The text.
        whole: Whether nothing may follow them.

    Raises:
        BadRecordError: It holds anything else.
        TooDeepError: It is nested too deeply.
    """
    _check_depth(text)
    try:
        value = read_alone(text) if whole else read(text, words=True)
    except (ValueError, RecursionError):
        raise BadRecordError(text) from None
    found = value if isinstance(value, list) else [value]
    if not all(isinstance(item, dict) for item in found):
        raise BadRecordError(text)
    return found


class RecordReader:
    """Reads texts as rows of some columns.

    Args:
        kind: The STRUCT of the columns.
        formats: Patterns of dates and times, by the names of their options in small letters.
        zone: The time zone of times that name none.
        whole: Whether a text is a whole file.
    """

    def __init__(
        self, kind: SqlType, formats: Mapping[str, str], zone: str, *, whole: bool
    ) -> None:
        self._kind = kind
        self._whole = whole
        self._strict = _FileFitter(zone, strict=True, formats=dict(formats))
        self._lenient = _FileFitter(zone, strict=False, formats=dict(formats))

    def read(self, text: str) -> list[str]:
        """Return the rows of a text as JSON, every leaf a text that DuckDB casts without loss.

        Raises:
            BadRecordError: It is no such record, or a value in it does not fit its column.
            TooDeepError: It is nested too deeply.
            SqlError: It is not known what Spark makes of it.
        """
        try:
            return self._fitted(self._strict, text)
        except (BadRecordError, TooDeepError):
            raise
        except ValueError as error:
            raise BadRecordError(text) from error

    def read_leniently(self, text: str) -> list[str]:
        """Return the same for a malformed record: what does not fit in it is NULL."""
        try:
            return self._fitted(self._lenient, text)
        except ValueError:
            if self._whole or text.lstrip().startswith("["):
                raise unsupported("a malformed JSON record that spans lines or is an array") from (
                    None
                )
            return [json.dumps({item.name: None for item in self._kind.fields})]

    def _fitted(self, fitter: Fitter, text: str) -> list[str]:
        rows = [fitter.fit(value, self._kind) for value in records_of(text, whole=self._whole)]
        # Half of a surrogate pair is a question mark, as in Java.
        return [
            json.dumps(row, ensure_ascii=False).encode("utf-8", "replace").decode() for row in rows
        ]


class _FileFitter(Fitter):
    """Fits values of files: of times only those that every parser reads alike."""

    def fit(self, value: Any, kind: SqlType) -> Any:
        pattern = _TIMES.get(kind.name)
        if pattern is None or not isinstance(value, str) or isinstance(value, Number):
            return super().fit(value, kind)
        by_option = self.pattern(kind) is not None
        if by_option or pattern.fullmatch(value):
            try:
                return super().fit(value, kind)
            except BadRecordError:
                pass
        if any(letter.isdigit() for letter in value):
            raise unsupported(f"the text '{value[:100]}' in a file as {kind.name}")
        raise BadRecordError(kind.name)


def _check_depth(text: str) -> None:
    if text.count("[") + text.count("{") <= MAX_DEPTH:
        return
    depth = 0
    for match in _BRACKETS.finditer(text):
        if match[0] in "[{":
            depth += 1
            if depth > MAX_DEPTH:
                raise TooDeepError(f"more than {MAX_DEPTH} deep")
        elif match[0] in "]}":
            depth -= 1
