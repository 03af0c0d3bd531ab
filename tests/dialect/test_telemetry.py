"""Spans and metrics: ours, those of OpenTelemetry's instrumentor, and Sentry's."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry.instrumentation.sqlalchemy import SQLAlchemyInstrumentor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode
from sqlalchemy import Column, Engine, Integer, MetaData, String, Table, insert, select, text
from sqlalchemy.exc import DBAPIError

from tests.dialect.heard import hearing
from vinci_code.database import pool_status
from vinci_code.database.sqlite import create_sqlite_engine
from vinci_code.database.telemetry import instrument_engine
from vinci_code.warehouse import Fault
from vinci_code.warehouse.pytest_plugin import TestWarehouse

ONE = Table("one", MetaData(), Column("id", Integer, primary_key=True), Column("v", String))
SECRET = "not-for-anybody-else"


@pytest.fixture
def tables(engine: Engine) -> Engine:
    """The engine, with a table."""
    ONE.create(engine)
    return engine


@pytest.fixture
def spans() -> Iterator[tuple[TracerProvider, InMemorySpanExporter]]:
    """A provider of spans, and what they are exported to."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    yield provider, exporter
    provider.shutdown()


@pytest.fixture
def metrics() -> Iterator[tuple[MeterProvider, InMemoryMetricReader]]:
    """A provider of metrics, and what reads them."""
    reader = InMemoryMetricReader()
    provider = MeterProvider([reader])
    yield provider, reader
    provider.shutdown()


def _write(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(insert(ONE), [{"id": 1, "v": SECRET}, {"id": 2, "v": SECRET}])


def _of(exporter: InMemorySpanExporter) -> list[ReadableSpan]:
    found = list(exporter.get_finished_spans())
    exporter.clear()
    return found


def _seconds(span: ReadableSpan) -> float:
    assert span.start_time is not None
    assert span.end_time is not None
    return (span.end_time - span.start_time) / 1e9


def test_a_unit_has_a_span_and_its_statements_are_children(
    tables: Engine, spans: Any, local_warehouse: TestWarehouse
) -> None:
    provider, exporter = spans
    instrumented = instrument_engine(tables, tracer_provider=provider)
    local_warehouse.inject(Fault.delay(0.3, operation="ExecuteStatement", statement="INSERT"))
    with provider.get_tracer("test").start_as_current_span("request"):
        _write(tables)
    commit, unit, request = _of(exporter)
    assert (commit.name, unit.name, request.name) == ("commit", "unit of work", "request")
    assert commit.parent is not None
    assert commit.parent.span_id == unit.context.span_id
    assert unit.parent is not None
    assert unit.parent.span_id == request.context.span_id
    assert _seconds(commit) >= 0.3
    found = dict(unit.attributes or {})
    assert found["vinci.unit.outcome"] == "committed"
    assert (found["vinci.unit.statements"], found["vinci.unit.rows"]) == (1, 2)
    told = dict(commit.attributes or {})
    assert told["db.system.name"] == "databricks"
    assert str(told["db.namespace"]).endswith(local_warehouse.schema)
    assert told["db.query.summary"] == "INSERT 2 rows of one"
    assert told["vinci.statement.id"] in {each.operation_id for each in local_warehouse.requests}
    instrumented.end()
    instrumented.end()
    with tables.begin() as connection:
        connection.execute(insert(ONE), {"id": 3})
    assert _of(exporter) == []


def test_a_span_of_what_fails_has_its_class_and_nothing_of_what_it_says(
    tables: Engine, spans: Any
) -> None:
    provider, exporter = spans
    _write(tables)
    instrument_engine(tables, tracer_provider=provider)
    with pytest.raises(DBAPIError):
        _write(tables)
    commit, unit = _of(exporter)
    assert commit.status.status_code is unit.status.status_code is StatusCode.ERROR
    assert dict(unit.attributes or {})["error.type"] == "IntegrityError"
    assert dict(unit.attributes or {})["vinci.unit.outcome"] == "failed"
    for span in (commit, unit):
        assert SECRET not in span.to_json()


def test_no_value_is_in_a_span_or_a_metric(tables: Engine, spans: Any, metrics: Any) -> None:
    (provider, exporter), (meters, reader) = spans, metrics
    instrument_engine(tables, tracer_provider=provider, meter_provider=meters)
    _write(tables)
    with tables.connect() as connection:
        connection.execute(select(ONE).where(ONE.c.v == SECRET)).all()
        connection.execute(text(f"SELECT '{SECRET}'")).all()
    shown = [span.to_json() for span in _of(exporter)]
    assert len(shown) == 5
    shown.append(reader.get_metrics_data().to_json())
    assert [each for each in shown if SECRET in each or "access_token" in each] == []


def test_metrics_agree_with_the_statistics(tables: Engine, metrics: Any) -> None:
    meters, reader = metrics
    instrument_engine(tables, meter_provider=meters)
    _write(tables)
    found: dict[str, dict[Any, Any]] = {}
    for resource in reader.get_metrics_data().resource_metrics:
        for scope in resource.scope_metrics:
            for metric in scope.metrics:
                points = found.setdefault(metric.name, {})
                for point in metric.data.data_points:
                    named = dict(point.attributes)
                    key = named.get("vinci.count") or named.get("db.client.connection.state")
                    points[key] = point
    assert found["vinci.engine.counts"]["units"].value == 1
    assert found["vinci.engine.counts"]["rows"].value == 2
    assert found["db.client.connection.count"]["idle"].value == 1
    assert found["db.client.connection.count"]["used"].value == 0
    [durations] = found["db.client.operation.duration"].values()
    assert durations.count == 1


def test_another_database_is_refused() -> None:
    engine = create_sqlite_engine("sqlite:///:memory:")
    try:
        with pytest.raises(TypeError, match=r"databricks\+vinci"):
            instrument_engine(engine)
        assert pool_status(engine).in_use in (0, None)
    finally:
        engine.dispose()


def test_the_pool_of_an_engine(tables: Engine) -> None:
    with tables.connect():
        status = pool_status(tables)
        assert (status.in_use, status.idle) == (1, 0)
    status = pool_status(tables)
    assert (status.in_use, status.idle, status.size, status.limit) == (0, 1, 5, 15)
    assert status.as_dict()["kind"] == "SessionPool"


# --- instrumentations of others -------------------------------------------------------------------


@pytest.mark.parametrize("comments", [False, True])
def test_the_instrumentor_for_sqlalchemy_sees_each_statement_once(
    comments: bool, tables: Engine, spans: Any, local_warehouse: TestWarehouse
) -> None:
    provider, exporter = spans
    instrumentor = SQLAlchemyInstrumentor()
    instrumentor.instrument(
        engine=tables, tracer_provider=provider, enable_commenter=comments, skip_dep_check=True
    )
    try:
        local_warehouse.inject(Fault.delay(0.3, operation="ExecuteStatement", statement="INSERT"))
        local_warehouse.warehouse.clear_requests()
        with tables.begin() as connection:
            connection.execute(insert(ONE).values(id=1, v="a"))
            connection.execute(select(ONE.c.id)).all()
        with pytest.raises(DBAPIError), tables.begin() as connection:
            connection.execute(insert(ONE).values(id=1, v="again"))
    finally:
        instrumentor.uninstrument()
    read, commit, failed = [s for s in _of(exporter) if s.name != "connect"]
    sent = [each for each in local_warehouse.statements if each]
    assert len(sent) == 3
    texts = [str((s.attributes or {})["db.statement"]) for s in (read, commit, failed)]
    assert [each.startswith(own) for each, own in zip(sent, texts, strict=True)] == [True] * 3
    assert all(("/*db_driver" in each) == comments for each in sent)
    assert _seconds(commit) >= 0.3
    assert failed.status.status_code is StatusCode.ERROR


def test_sentry_sees_each_statement_once(tables: Engine, local_warehouse: TestWarehouse) -> None:
    import sentry_sdk
    from sentry_sdk.integrations.sqlalchemy import SqlalchemyIntegration

    caught: list[Any] = []
    with sentry_sdk.isolation_scope():
        sentry_sdk.init(
            dsn="https://key@sentry.invalid/1",
            integrations=[SqlalchemyIntegration()],
            default_integrations=False,
            auto_enabling_integrations=False,
            traces_sample_rate=1.0,
            before_send_transaction=lambda found, _: caught.append(found),
        )
        try:
            local_warehouse.inject(
                Fault.delay(0.3, operation="ExecuteStatement", statement="INSERT")
            )
            a_unit = sentry_sdk.start_transaction(name="a unit")
            with hearing(tables, local_warehouse) as heard, a_unit:
                _write(tables)
        finally:
            sentry_sdk.get_client().close(timeout=0)
            sentry_sdk.init()
    [found] = caught
    sent = [span for span in found["spans"] if span["op"] == "db"]
    assert [span["description"] for span in sent] == [each.text for each in heard.after]
    assert len(sent) == len(heard.recorded) == 1
    [(began, ended)] = [(_moment(s["start_timestamp"]), _moment(s["timestamp"])) for s in sent]
    assert (ended - began).total_seconds() >= 0.3


def _moment(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text.replace("Z", "+00:00"))
