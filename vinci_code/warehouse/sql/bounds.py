"""How large what a statement makes may be: looked at before it is made.

DuckDB's limit of memory counts tables, sorts and joins; the texts and lists of the 2,048 rows that
it computes at a time are not in it, and nothing stops a function within them. So a function whose
result is larger than its arguments looks at its size first, and at what those rows need together.
"""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from vinci_code.warehouse.sql.errors import SqlError, unsupported
from vinci_code.warehouse.sql.types import SqlType

MAX_BYTES = 64 * 1024 * 1024
"""The largest text, and what the texts of 2,048 rows may have together, in bytes."""

MAX_ITEMS = 4_000_000
"""The longest list, and how many items the lists of 2,048 rows may have together."""

_SMALL_BYTES = MAX_BYTES // 2048
_SMALL_ITEMS = MAX_ITEMS // 2048
# Spark's own limit of an array, and Databricks' words for what is beyond.
_SPARK_ITEMS = 2**31 - 1 - 15


def check_length(function: str, length: int) -> None:
    """Refuse a text that would be too long.

    Raises:
        SqlError: A refusal by name.
    """
    if length > MAX_BYTES:
        raise _too_long(function, length)


class Room:
    """Counts the characters of a text that is made piece by piece."""

    def __init__(self, function: str) -> None:
        self._function = function
        self._taken = 0

    def take(self, length: int) -> None:
        """Count some more.

        Raises:
            SqlError: A refusal by name, where they are too many.
        """
        self._taken += length
        check_length(self._function, self._taken)


def bytes_checked(function: str, size: str, value: str) -> str:
    """Return SQL of an argument from which a text of ``size`` bytes is made, if it is in bounds.

    It goes around the argument and not around the call, which DuckDB would compute beforehand where
    it is constant. Both are DuckDB SQL; NULL as a size gives NULL.
    """
    room = f"vinci_room_bytes('{function}', CAST({size} AS DOUBLE))"
    return f"(CASE WHEN ({size}) <= {_SMALL_BYTES} OR {room} THEN {value} END)"


def result_checked(value: str, kind: SqlType) -> str:
    """Return SQL of a column of a result, of which each vector must be within bounds.

    A constant is made once, whatever its size, and repeated for every row only as it leaves.
    """
    size = weight(value, kind)
    room = f"vinci_room_result('the result', CAST({size} AS DOUBLE))"
    return f"CASE WHEN {size} <= {_SMALL_BYTES} OR {room} THEN {value} END"


def makes_much(sql: str) -> bool:
    """Whether DuckDB SQL has a function whose result may be larger than its arguments."""
    return "vinci_room_" in sql


def has_variable_size(kind: SqlType) -> bool:
    """Whether values of a type have no fixed size."""
    return kind.is_nested or kind.is_string or kind.name in ("BINARY", "VARIANT")


def items_checked(function: str, size: str, value: str) -> str:
    """Return SQL of an argument from which a list of ``size`` items is made, if it is in bounds."""
    room = f"vinci_room_items('{function}', CAST({size} AS DOUBLE))"
    return f"(CASE WHEN ({size}) <= {_SMALL_ITEMS} OR {room} THEN {value} END)"


def weight(sql: str, kind: SqlType) -> str:
    """Return SQL of about how many bytes a value takes."""
    if kind.name == "BINARY":
        return f"coalesce(octet_length({sql}), 0)"
    if kind.is_string or kind.name == "VARIANT":
        return f"coalesce(strlen({sql}), 0)"
    if kind.element is not None:
        if kind.element.is_nested or kind.element.is_string or kind.element.name == "BINARY":
            inner = weight("one", kind.element)
            each = f"list_sum(list_transform({sql}, lambda one: {inner}))"
            return f"(8 * coalesce(len({sql}), 0) + coalesce({each}, 0))"
        return f"(8 * coalesce(len({sql}), 0))"
    if kind.is_nested:
        return f"coalesce(strlen(CAST({sql} AS VARCHAR)), 0)"
    return "8"


def room_bytes(functions: Any, sizes: Any) -> Any:
    """Whether the texts of some rows fit, by their sizes in bytes.

    Raises:
        SqlError: They do not.
    """
    return _room(functions, sizes, MAX_BYTES, _too_long)


def room_items(functions: Any, sizes: Any) -> Any:
    """Whether the lists of some rows fit, by their numbers of items.

    Raises:
        SqlError: They do not; of a class of Databricks' where Spark could not make one either.
    """
    return _room(functions, sizes, MAX_ITEMS, _too_many)


def _room(functions: Any, sizes: Any, most: int, error: Any) -> Any:
    largest = pc.max(sizes).as_py()
    if largest is not None:
        total = pc.sum(sizes).as_py()
        if total > most:
            raise error(functions[0].as_py(), int(largest if largest > most else total))
    return pa.array(pc.is_valid(sizes).to_pylist(), type=pa.bool_())


def _too_long(function: str, length: int) -> SqlError:
    return unsupported(
        f"a text of {length} bytes, or characters, that {function} would make: the texts of 2,048 "
        f"rows can have {MAX_BYTES} together"
    )


def _too_many(function: str, count: int) -> SqlError:
    if count > _SPARK_ITEMS:
        return SqlError(
            "COLLECTION_SIZE_LIMIT_EXCEEDED.PARAMETER",
            "54000",
            f"Can't create array with {count} elements which exceeding the array size limit "
            f"{_SPARK_ITEMS}, the value of parameter(s) `count` in the function `{function}` is "
            "invalid.",
        )
    return unsupported(
        f"a list of {count} items that {function} would make: the lists of 2,048 rows can have "
        f"{MAX_ITEMS} together"
    )
