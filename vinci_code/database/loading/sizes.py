"""How large rows are as JSON: an estimate that errs on the side of more."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from vinci_code.database.loading.portions import Portion, is_arrow

_SAMPLE = 200
# Of a name of one or two letters, with quotes, a colon and a comma; of a value that is no text.
_NAME, _VALUE = 6, 24


def json_bytes(portion: Portion) -> int:
    """About how many bytes of JSON the rows of a portion take."""
    size = portion.rows * 2
    for values in portion.columns.values():
        size += portion.rows * _NAME
        size += _of_arrow(values) if is_arrow(values) else _of_python(values)
    return size


def _of_arrow(column: Any) -> int:
    kind = str(column.type)
    if kind.startswith(("bool", "int", "uint", "float", "double", "timestamp", "date", "null")):
        return len(column) * _VALUE
    # Base64 makes four bytes of three; of nested values each level has its own signs.
    return int(column.nbytes * 4 / 3) + len(column) * _VALUE


def _of_python(values: Sequence[Any]) -> int:
    sample = values[:: max(len(values) // _SAMPLE, 1)]
    if not sample:
        return 0
    taken = sum(_of_value(value) for value in sample)
    return int(taken / len(sample) * len(values))


def _of_value(value: Any) -> int:
    if isinstance(value, str):
        return len(value.encode(errors="replace")) + 2
    if isinstance(value, (bytes, bytearray, memoryview)):
        return len(value) * 4 // 3 + 2
    if isinstance(value, (list, tuple, dict)):
        return len(repr(value))
    return _VALUE
