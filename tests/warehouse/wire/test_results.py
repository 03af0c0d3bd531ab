"""Rows taken page by page, parameters off the wire, and what the log keeps: each by itself."""

from __future__ import annotations

import random
from collections.abc import Iterator

import lz4.frame
import pyarrow as pa
import pytest
from databricks.sql.thrift_api.TCLIService import ttypes

from vinci_code.warehouse.engine.result import Column
from vinci_code.warehouse.sql import types
from vinci_code.warehouse.sql.errors import SqlError
from vinci_code.warehouse.sql.parameters import Parameter
from vinci_code.warehouse.wire import parameters
from vinci_code.warehouse.wire.recording import RequestLog
from vinci_code.warehouse.wire.result_files import FileStore
from vinci_code.warehouse.wire.results import Encoder, ResultFormat, ResultRows, json_type

# --- rows ---------------------------------------------------------------------------------------


def batches(*sizes: int) -> Iterator[pa.RecordBatch]:
    """Batches of these sizes, counting up from 0."""
    start = 0
    for size in sizes:
        numbers = pa.array(range(start, start + size), pa.int64())
        yield pa.RecordBatch.from_arrays([numbers], names=["n"])
        start += size


def numbers(taken: list[pa.RecordBatch]) -> list[int]:
    return [value for batch in taken for value in batch.column(0).to_pylist()]


def test_a_page_spans_batches() -> None:
    rows = ResultRows(batches(3, 0, 4))
    assert numbers(rows.take(5, 10**6)) == [0, 1, 2, 3, 4]
    assert rows.has_more()
    assert numbers(rows.take(5, 10**6)) == [5, 6]
    assert not rows.has_more()
    assert rows.position == 7


def test_a_page_is_bounded_in_bytes_but_never_empty() -> None:
    rows = ResultRows(batches(10))
    assert numbers(rows.take(100, 32)) == [0, 1, 2, 3]
    assert numbers(rows.take(100, 1)) == [4]


def test_a_limit_ends_the_rows() -> None:
    rows = ResultRows(batches(3, 3), limit=4)
    assert numbers(rows.take(100, 10**6)) == [0, 1, 2, 3]
    assert not rows.has_more()


def test_no_more_is_read_than_is_asked_for() -> None:
    read: list[int] = []

    def source() -> Iterator[pa.RecordBatch]:
        for batch in batches(2, 2, 2):
            read.append(batch.num_rows)
            yield batch

    rows = ResultRows(source())
    rows.take(1, 10**6)
    assert len(read) == 1
    rows.read_ahead(20)
    assert len(read) == 2


def test_pages_put_back_are_taken_again() -> None:
    seeded = random.Random(7)
    rows, seen = ResultRows(batches(50, 50, 50)), []
    while rows.has_more():
        page = rows.take(seeded.randint(1, 30), seeded.randint(1, 400))
        if seeded.random() < 0.5:
            rows.put_back(page)
        else:
            seen += numbers(page)
    assert seen == list(range(150))
    assert rows.position == 150


def test_a_failure_in_the_rows_is_not_mistaken_for_their_end() -> None:
    def source() -> Iterator[pa.RecordBatch]:
        yield from batches(2)
        raise SqlError("DIVIDE_BY_ZERO", "22012", "Division by zero.")

    rows = ResultRows(source())
    assert numbers(rows.take(2, 10**6)) == [0, 1]
    for _ in range(3):
        with pytest.raises(SqlError, match="DIVIDE_BY_ZERO"):
            rows.has_more()
        with pytest.raises(SqlError, match="DIVIDE_BY_ZERO"):
            rows.take(1, 1)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("TINYINT", '"byte"'),
        ("BIGINT", '"long"'),
        ("DECIMAL(10,2)", '"decimal(10,2)"'),
        ("TIMESTAMP_NTZ", '"timestamp_ntz"'),
        ("ARRAY<INT>", '{"type":"array","elementType":"integer","containsNull":true}'),
        (
            "STRUCT<a: INT NOT NULL>",
            (
                '{"type":"struct","fields":'
                '[{"name":"a","type":"integer","nullable":false,"metadata":{}}]}'
            ),
        ),
    ],
)
def test_types_in_spark_s_json(text: str, expected: str) -> None:
    assert json_type(types.parse_type(text)) == expected


def test_a_format_is_arrow_by_default() -> None:
    assert ResultFormat().arrow
    assert not ResultFormat().lz4


# --- parameters ---------------------------------------------------------------------------------


def parameter(ordinal: int | None, value: str, **more: object) -> ttypes.TSparkParameter:
    content = ttypes.TSparkParameterValue(stringValue=value)
    return ttypes.TSparkParameter(ordinal=ordinal, type="STRING", value=content, **more)


def test_the_driver_s_ordinals_say_nothing() -> None:
    found = parameters.from_thrift([parameter(1, "b"), parameter(1, "a"), parameter(1, "c")])
    assert [item.value for item in found] == ["b", "a", "c"]


def test_ordinals_from_1_to_n_give_the_order() -> None:
    found = parameters.from_thrift([parameter(3, "c"), parameter(1, "a"), parameter(2, "b")])
    assert [item.value for item in found] == ["a", "b", "c"]


def test_a_name_makes_a_parameter_named() -> None:
    (found,) = parameters.from_thrift([parameter(0, "x", name="p")])
    assert found == Parameter("p", "STRING", "x")


def test_values_of_other_kinds_become_text() -> None:
    def value(**given: object) -> str | None:
        item = ttypes.TSparkParameter(
            ordinal=1, type="DOUBLE", value=ttypes.TSparkParameterValue(**given)
        )
        return parameters.from_thrift([item])[0].value

    assert value(doubleValue=0.1) == "0.1"
    assert value(booleanValue=True) == "true"
    assert value() is None
    with pytest.raises(parameters.ParameterError):
        value(stringValue="a", doubleValue=1.0)


def test_nesting_has_a_limit() -> None:
    argument = ttypes.TSparkParameterValueArg(type="INT", value="1")
    for _ in range(100):
        argument = ttypes.TSparkParameterValueArg(type="ARRAY", arguments=[argument])
    item = ttypes.TSparkParameter(ordinal=1, type="ARRAY", arguments=[argument])
    with pytest.raises(parameters.ParameterError, match="nested"):
        parameters.from_thrift([item])


def test_no_parameters() -> None:
    assert parameters.from_thrift(None) == ()


# --- the log ------------------------------------------------------------------------------------


def test_secrets_are_masked_wherever_they_appear() -> None:
    log = RequestLog()
    log.hide(["s3cret", ""])
    assert log.scrub("a s3cret b") == "a ******** b"
    kept = log.scrub_parameters([("p", "ARRAY", ("s3cret", None, ("x", "s3cret")))])
    assert kept == (("p", "ARRAY", ("********", None, ("x", "********"))),)
    record = log.open("GET /s3cret", "GET", "/s3cret", 0)
    assert "s3cret" not in record.path + record.operation


def test_a_bounded_log_keeps_the_newest() -> None:
    log = RequestLog(limit=2)
    for number in range(4):
        log.open(str(number), "GET", "/", 0)
    assert [record.operation for record in log.snapshot()] == ["2", "3"]
    assert len(log) == 2
    log.clear()
    assert log.snapshot() == ()


def test_frames_have_independent_blocks() -> None:
    # databricks-jdbc reads no others. A frame of one block says so in any case: these have many.
    batch = pa.RecordBatch.from_pydict({"id": pa.array(range(300_000), pa.int64())})
    encoder = Encoder([Column("id", types.BIGINT)], ResultFormat(lz4=True))
    (sent,) = encoder.row_set([batch], 0).arrowBatches
    store = FileStore()
    files = store.open("0" * 32, "1" * 32, None, encoder)
    files.add([batch], 0)
    for frame in (sent.batch, files.content(0), b"".join(files.parts(0))):
        assert len(lz4.frame.decompress(frame)) > 300_000 * 8
        assert frame[4] & 0x20
    store.close()
