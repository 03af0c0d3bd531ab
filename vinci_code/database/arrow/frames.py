"""Results as data frames of pandas and polars, by way of Arrow."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Mapping
from typing import Any

from vinci_code.core.errors import MissingPackageError
from vinci_code.database.arrow.reading import read_arrow

_NO_OPTIONS: Mapping[str, Any] = {}


def read_pandas(
    bind: Any,
    statement: Any,
    parameters: Mapping[str, Any] | None = None,
    *,
    raw: bool = False,
    execution_options: Mapping[str, Any] = _NO_OPTIONS,
) -> Any:
    """Read the whole result of a statement as a ``pandas.DataFrame``, with types of Arrow.

    Each column has a ``pandas.ArrowDtype``, so that whole numbers stay what they are beside NULL,
    keys of 63 bits among them, and a DECIMAL stays exact. ``read_arrow(…).to_pandas()`` makes the
    types of numpy, which keep neither.

    Args:
        bind: As of ``read_arrow``.
        statement: As of ``read_arrow``.
        parameters: As of ``read_arrow``.
        raw: As of ``read_arrow``.
        execution_options: As of ``read_arrow``.

    Raises:
        MissingPackageError: pandas is not installed; nothing was executed.
        Exception: As of ``read_arrow``.
    """
    _require("read_pandas()", "pandas")
    pandas: Any = importlib.import_module("pandas")
    table = read_arrow(bind, statement, parameters, raw=raw, execution_options=execution_options)
    return table.to_pandas(types_mapper=pandas.ArrowDtype)


def read_polars(
    bind: Any,
    statement: Any,
    parameters: Mapping[str, Any] | None = None,
    *,
    raw: bool = False,
    execution_options: Mapping[str, Any] = _NO_OPTIONS,
) -> Any:
    """Read the whole result of a statement as a ``polars.DataFrame``.

    Args:
        bind: As of ``read_arrow``.
        statement: As of ``read_arrow``.
        parameters: As of ``read_arrow``.
        raw: As of ``read_arrow``.
        execution_options: As of ``read_arrow``.

    Raises:
        MissingPackageError: polars is not installed; nothing was executed.
        Exception: As of ``read_arrow``.
    """
    _require("read_polars()", "polars")
    polars: Any = importlib.import_module("polars")
    table = read_arrow(bind, statement, parameters, raw=raw, execution_options=execution_options)
    return polars.from_arrow(table)


def _require(wanted_by: str, package: str) -> None:
    if importlib.util.find_spec(package) is None:
        raise MissingPackageError(wanted_by, package)
