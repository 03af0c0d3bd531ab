"""OpenTelemetry for engines of Databricks: a span for each unit of work and for each statement.

::

    from vinci_code.database.telemetry import instrument_engine

    instrument_engine(engine)

Spans and metrics go to the providers that the application has set; nothing is exported by itself.
They hold no values and no text of a statement: what a statement is for, how many rows and bytes it
has, and how it has ended. Names follow the conventions for databases
(https://opentelemetry.io/docs/specs/semconv/db/database-spans/); what has no name there begins
with ``vinci.``.

The instrumentor of OpenTelemetry for SQLAlchemy works without this, and beside it: it has a span
for each statement that is sent, with its text.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary, ref

from sqlalchemy import event
from sqlalchemy.engine import Engine
from sqlalchemy.ext.asyncio import AsyncEngine

from vinci_code.core.errors import MissingExtraError
from vinci_code.database.connection_pools import pool_status
from vinci_code.database.units_of_work import statistics

if TYPE_CHECKING:
    from opentelemetry.metrics import CallbackOptions, MeterProvider, Observation
    from opentelemetry.trace import Span, TracerProvider

    from vinci_code.database.dialect.driver.announcing import SentStatement, UnitOfWork
    from vinci_code.database.fallback import Fallback

SYSTEM = "databricks"
"""``db.system.name``: the conventions have no name for it, and let a custom one be used."""

_SCOPE = "vinci_code"


class Instrumented:
    """What listens to an engine for OpenTelemetry, until ``end()``."""

    def __init__(
        self,
        engine: Engine,
        tracers: TracerProvider | None,
        meters: MeterProvider | None,
        fallback: Fallback | None,
    ) -> None:
        from opentelemetry import metrics, trace

        self._engine = ref(engine)
        self._fallback = fallback
        self._ended = False
        self._tracer = trace.get_tracer(_SCOPE, tracer_provider=tracers)
        self._spans: WeakKeyDictionary[Any, Span] = WeakKeyDictionary()
        self._attributes = _of_engine(engine)
        meter = metrics.get_meter(_SCOPE, meter_provider=meters)
        self._durations = meter.create_histogram(
            "db.client.operation.duration", "s", "How long statements took"
        )
        meter.create_observable_counter(
            "vinci.engine.counts", [self._counts_now], "1", "What statistics() counts, by its names"
        )
        meter.create_observable_up_down_counter(
            "db.client.connection.count", [self._connections_now], "{connection}"
        )
        if fallback is not None:
            meter.create_observable_gauge("vinci.fallback.units", [self._kept_now], "{unit}")
        self._listeners: dict[str, Callable[[Any], None]] = {
            "vinci_unit_begin": self._unit_begins,
            "vinci_unit_end": self._unit_ends,
            "vinci_before_send": self._is_sent,
            "vinci_after_send": self._was_sent,
        }
        for name, listener in self._listeners.items():
            event.listen(engine, name, listener)

    def end(self) -> None:
        """Listen no more; ending twice does nothing."""
        engine = self._engine()
        if self._ended or engine is None:
            return
        self._ended = True
        for name, listener in self._listeners.items():
            event.remove(engine, name, listener)

    # --- spans ----------------------------------------------------------------------------------

    def _unit_begins(self, unit: UnitOfWork) -> None:
        self._spans[unit] = self._tracer.start_span(
            "unit of work", attributes={**self._attributes, "vinci.unit.id": unit.id}
        )

    def _unit_ends(self, unit: UnitOfWork) -> None:
        span = self._spans.pop(unit, None)
        if span is None:
            return
        span.set_attributes(
            {
                "vinci.unit.outcome": "" if unit.outcome is None else unit.outcome.value,
                "vinci.unit.statements": unit.statements,
                "vinci.unit.rows": unit.rows,
                "vinci.unit.bytes": unit.bytes,
                "vinci.unit.retries": unit.retries,
                "vinci.unit.waited": unit.waited,
            }
        )
        _note_error(span, unit.error)
        span.end()

    def _is_sent(self, statement: SentStatement) -> None:
        from opentelemetry import trace

        within = self._spans.get(statement.unit) if statement.unit is not None else None
        self._spans[statement] = self._tracer.start_span(
            statement.kind.value,
            None if within is None else trace.set_span_in_context(within),
            trace.SpanKind.CLIENT,
            {**self._attributes, "vinci.statement.kind": statement.kind.value},
        )

    def _was_sent(self, statement: SentStatement) -> None:
        measured = {**self._attributes, "vinci.statement.kind": statement.kind.value}
        if statement.error is not None:
            measured["error.type"] = type(statement.error).__name__
        self._durations.record(statement.duration or 0.0, measured)
        span = self._spans.pop(statement, None)
        if span is None:
            return
        span.set_attributes(
            {
                "db.query.summary": statement.summary,
                "vinci.statement.attempts": statement.attempts,
                "vinci.statement.bytes": statement.bytes,
                "vinci.statement.waited": statement.waited,
            }
        )
        if statement.statement_id is not None:
            span.set_attribute("vinci.statement.id", statement.statement_id)
        if statement.rows is not None:
            span.set_attribute("vinci.statement.rows", statement.rows)
        _note_error(span, statement.error)
        span.end()

    # --- metrics --------------------------------------------------------------------------------

    def _counts_now(self, options: CallbackOptions) -> Iterable[Observation]:
        del options
        engine = self._engine()
        if engine is None or self._ended:
            return []
        return [
            _observed(value, {**self._attributes, "vinci.count": name})
            for name, value in statistics(engine).as_dict().items()
        ]

    def _connections_now(self, options: CallbackOptions) -> Iterable[Observation]:
        del options
        engine = self._engine()
        if engine is None or self._ended:
            return []
        status = pool_status(engine)
        named = {"used": status.in_use, "idle": status.idle}
        return [
            _observed(number, {**self._attributes, "db.client.connection.state": state})
            for state, number in named.items()
            if number is not None
        ]

    def _kept_now(self, options: CallbackOptions) -> Iterable[Observation]:
        del options
        if self._fallback is None or self._ended:
            return []
        state = self._fallback.state()
        named = {"waiting": state.waiting, "in_doubt": state.in_doubt, "parked": state.parked}
        return [
            _observed(number, {**self._attributes, "vinci.fallback.state": name})
            for name, number in named.items()
        ]


def instrument_engine(
    engine: Engine | AsyncEngine,
    *,
    tracer_provider: TracerProvider | None = None,
    meter_provider: MeterProvider | None = None,
    fallback: Fallback | None = None,
) -> Instrumented:
    """Tell OpenTelemetry of what an engine for Databricks sends.

    Args:
        engine: The engine.
        tracer_provider: Where spans go; by default the provider that the application has set.
        meter_provider: Where metrics go; likewise.
        fallback: The fallback whose journal is to be measured, if there is one.

    Returns:
        What ends it by ``end()``.

    Raises:
        MissingExtraError: OpenTelemetry is not installed.
        TypeError: The engine is one of another database.
    """
    real = engine.sync_engine if isinstance(engine, AsyncEngine) else engine
    statistics(real)  # refuses an engine of another database
    try:
        import opentelemetry.metrics
        import opentelemetry.trace  # noqa: F401 - whether it is there
    except ImportError as error:
        raise MissingExtraError(
            "telemetry", "instrument_engine()", ["opentelemetry-api"]
        ) from error
    return Instrumented(real, tracer_provider, meter_provider, fallback)


def _of_engine(engine: Engine) -> dict[str, str | int]:
    url = engine.url
    space = [url.query.get(name) for name in ("catalog", "schema")]
    found: dict[str, str | int | None] = {
        "db.system.name": SYSTEM,
        "db.namespace": ".".join(str(part) for part in space if part) or None,
        "server.address": url.host,
        "server.port": url.port,
    }
    return {name: value for name, value in found.items() if value is not None}


def _note_error(span: Span, error: BaseException | None) -> None:
    """Note the class of an error: what it says may name keys."""
    if error is None:
        return
    from opentelemetry.trace import Status, StatusCode

    span.set_status(Status(StatusCode.ERROR))
    span.set_attribute("error.type", type(error).__name__)
    sqlstate = getattr(error, "sqlstate", None)
    if sqlstate is not None:
        span.set_attribute("db.response.status_code", str(sqlstate))


def _observed(value: float, attributes: dict[str, Any]) -> Observation:
    from opentelemetry.metrics import Observation

    return Observation(value, attributes)
