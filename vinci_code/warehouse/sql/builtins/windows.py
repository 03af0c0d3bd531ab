"""Functions that need an OVER clause."""

from __future__ import annotations

from vinci_code.warehouse.sql.builtins.registry import FunctionCall, function
from vinci_code.warehouse.sql.errors import SqlError
from vinci_code.warehouse.sql.types import BOOLEAN, DOUBLE, INT
from vinci_code.warehouse.sql.values import Typed


@function("row_number rank dense_rank", 0, 0, "window")
def build_rank(call: FunctionCall) -> Typed:
    """The position of the row, as INT."""
    shown = "row_number()" if call.name == "row_number" else f"{call.name.upper()}()"
    return Typed(f"CAST({call.name}(){call.suffix} AS INTEGER)", INT, shown, False)


@function("percent_rank cume_dist", 0, 0, "window")
def build_share(call: FunctionCall) -> Typed:
    """The position of the row as a share."""
    shown = "PERCENT_RANK()" if call.name == "percent_rank" else call.shown
    return Typed(f"{call.name}(){call.suffix}", DOUBLE, shown, False)


@function("ntile", 1, 1, "window")
def build_ntile(call: FunctionCall) -> Typed:
    """The number of the bucket of the row."""
    return Typed(
        f"CAST(ntile({call.argument(0, INT).sql}){call.suffix} AS INTEGER)", INT, call.shown, False
    )


@function("lag lead", 1, 3, "window")
def build_neighbour(call: FunctionCall) -> Typed:
    """The value of a row before or after, else the default."""
    value = call.args[0]
    offset = "1"
    if len(call.args) > 1:
        call.constant(1, "offset")
        offset = call.argument(1, INT).sql
    default, kind = "NULL", value.type
    if len(call.args) == 3:
        # The default takes the type of the value.
        default = call.argument(2, kind).sql
    nulls = " IGNORE NULLS" if call.ignore_nulls else ""
    names = [arg.name for arg in call.args] + ["1", "NULL"][len(call.args) - 1 :]
    sql = f"{call.name}({value.sql}, {offset}, {default}{nulls}){call.suffix}"
    return Typed(sql, kind, f"{call.name}({', '.join(names)})")


@function("nth_value", 2, 3, "window")
def build_nth_value(call: FunctionCall) -> Typed:
    """The value of the n-th row of the frame."""
    value = call.args[0]
    ignore = call.ignore_nulls
    if len(call.args) == 3:
        ignore = bool(call.constant(2, "ignoreNulls", BOOLEAN)) or ignore
    place = call.constant(1, "offset")
    if not isinstance(place, int) or place < 1:
        raise SqlError(
            "DATATYPE_MISMATCH.VALUE_OUT_OF_RANGE",
            "42K09",
            f'Cannot resolve "{call.shown}" due to data type mismatch: The offset must be between '
            f"(0, 9223372036854775807] (current value = {place}).",
        )
    nulls = " IGNORE NULLS" if ignore else ""
    sql = f"nth_value({value.sql}, {call.argument(1, INT).sql}{nulls}){call.suffix}"
    name = f"nth_value({value.name}, {call.args[1].name}){nulls.lower()}"
    return Typed(sql, value.type, name)
