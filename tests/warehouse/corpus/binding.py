"""The parameters of a step as the driver takes them."""

from __future__ import annotations

from typing import Any

from databricks.sql.parameters.native import DbsqlParameterBase, dbsql_parameter_from_primitive

from tests.warehouse.corpus.reader import Typed, typed
from tests.warehouse.driver import ttypes


class TypedParameter(DbsqlParameterBase):
    """A parameter that travels with the type that the step names, whatever the driver has."""

    def __init__(self, parameter: Typed, name: str | None) -> None:
        self.name = name
        self._parameter = parameter

    def as_tspark_param(self, named: bool) -> Any:
        """The parameter as the wire has it."""
        made = ttypes.TSparkParameter(type=self._parameter.type, name=self.name, ordinal=not named)
        value = self._parameter.value
        if isinstance(value, tuple):
            made.arguments = [_argument(item) for item in value]
        elif value is not None:
            made.value = ttypes.TSparkParameterValue(stringValue=value)
        return made


def driver_parameters(parameters: object) -> list[Any]:
    """The parameters of a step, read from its JSON, for ``cursor.execute``."""
    if isinstance(parameters, dict):
        return [_bound(value, name) for name, value in parameters.items()]
    assert isinstance(parameters, list), parameters
    return [_bound(value, None) for value in parameters]


def _bound(value: Any, name: str | None) -> Any:
    parameter = typed(value)
    if parameter is None:
        return dbsql_parameter_from_primitive(value=value, name=name)
    return TypedParameter(parameter, name)


def _argument(item: Typed) -> Any:
    if isinstance(item.value, tuple):
        return ttypes.TSparkParameterValueArg(
            type=item.type, arguments=[_argument(part) for part in item.value]
        )
    return ttypes.TSparkParameterValueArg(type=item.type, value=item.value)
