"""Reading events: every form that is accepted, and every bad record with its line and reason."""

from __future__ import annotations

import gzip
import io
import os
import random
import sys
import threading
from collections.abc import Iterable
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any, Literal, cast

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.patience import PATIENCE_S
from vinci_code.core.errors import InputDataError
from vinci_code.database.events import EventRow, checked_event, open_source, parse_instant, reading
from vinci_code.database.files import lines
from vinci_code.database.models.types import MAX_JSON_DEPTH

INSTANT = datetime(2018, 1, 31, 1, 49, 59, 650000, tzinfo=timezone.utc)
GOOD = b'{"event_type":"t","source":"s","occurred_at":"2018-01-31T01:49:59.650Z"}'
HEADER = b"event_key,event_type,source,description,occurred_at,payload\n"
CELLS = b"k,t,s,d,2018-01-31T01:49:59.650Z,\n"
ROW: EventRow = {
    "event_key": None,
    "event_type": "t",
    "source": "s",
    "description": None,
    "occurred_at": INSTANT,
    "payload": None,
}
FULL_ROW: EventRow = {**ROW, "event_key": "k", "description": "d"}


def read(content: bytes, name: str, kind: Literal["jsonl", "csv"] | None = None) -> list[Any]:
    """What stands in a file: events, and (line, reason) for what cannot be used."""
    Path(name).write_bytes(content)
    with open_source(name, kind) as source:
        return [taken(record, name) for record in source.records]


def taken(record: EventRow | InputDataError, name: str) -> EventRow | tuple[int | None, str]:
    if isinstance(record, InputDataError):
        assert record.source == name
        return record.line, record.reason
    return record


def line(**fields: Any) -> bytes:
    """A good line of JSON with these fields instead, or without those that are ``...``."""
    record = {**orjson.loads(GOOD), **fields}
    return orjson.dumps({name: value for name, value in record.items() if value is not ...})


BAD_LINES = {
    "no JSON": (b"event", "is not JSON"),
    "half an object": (GOOD[:-1], "is not JSON"),
    "two objects": (GOOD + GOOD, "is not JSON"),
    "single quotes": (GOOD.replace(b'"', b"'"), "is not JSON"),
    "NaN": (line(payload={"a": 1}).replace(b"1}", b"NaN}"), "is not JSON"),
    "infinity": (line(payload={"a": 1}).replace(b"1}", b"1e999}"), "is not JSON"),
    "NaN beside a long number": (
        line(payload={"a": [1, 2]}).replace(b"[1,2]", b"[NaN,12345678901234567890]"),
        "is not JSON",
    ),
    "lone surrogate": (line(source="x").replace(b'"x"', b'"\\ud800"'), "is not JSON"),
    "not UTF-8": (line(source="x").replace(b"x", b"\xff"), "is no text in UTF-8: byte "),
    "control character": (line(source="x").replace(b"x", b"\x01"), "is not JSON"),
    "array": (b"[1]", "is a JSON array; an object with the event's fields is wanted"),
    "text": (b'"event"', "is a JSON string"),
    "number": (b"1", "is a JSON number"),
    "boolean": (b"true", "is a JSON boolean"),
    "null": (b"null", "is a JSON null"),
    "empty object": (b"{}", "event_type is missing or empty"),
    "unknown field": (line(id=1), "has the unknown field 'id'; known: event_key, event_type"),
    "no type": (line(event_type=...), "event_type is missing or empty"),
    "null type": (line(event_type=None), "event_type is missing or empty"),
    "empty type": (line(event_type=""), "event_type is missing or empty"),
    "number as type": (line(event_type=1), "event_type is a JSON number; text is wanted"),
    "no source": (line(source=...), "source is missing or empty"),
    "array as source": (line(source=["s"]), "source is a JSON array; text is wanted"),
    "number as key": (line(event_key=17), "event_key is a JSON number; text is wanted"),
    "boolean as description": (line(description=False), "description is a JSON boolean"),
    "no time": (line(occurred_at=...), "occurred_at is missing"),
    "number as time": (line(occurred_at=1517363399), "occurred_at is a JSON number"),
    "naive time": (line(occurred_at="2018-01-31T01:49:59"), "no date and time with an offset"),
    "array as payload": (line(payload=[1]), "payload is a JSON array; an object is wanted"),
    "text as payload": (line(payload="{}"), "payload is a JSON string; an object is wanted"),
    "too deep": (
        line(payload={}).replace(b"{}", b'{"a":' + b"[" * 100 + b"]" * 100 + b"}"),
        "cannot be stored: a JSON value with more than",
    ),
    "far too deep": (b"[" * 100_000, "is not JSON"),
    "a number of too many digits": (
        line(payload={"a": 1}).replace(b"1}", b"1" * 5000 + b"}"),
        "is not JSON",
    ),
}


class TestJsonLines:
    def test_a_line_is_an_event(self) -> None:
        full = line(event_key="k", description="d", payload={"a": [1, None]})

        assert read(GOOD + b"\n" + full + b"\n", "a.jsonl") == [
            ROW,
            {**FULL_ROW, "payload": {"a": [1, None]}},
        ]

    @pytest.mark.parametrize(("bad", "reason"), BAD_LINES.values(), ids=BAD_LINES.keys())
    def test_a_bad_line_comes_with_its_number_and_reason(self, bad: bytes, reason: str) -> None:
        first, second, third = read(GOOD + b"\n" + bad + b"\n" + GOOD, "a.jsonl")

        assert first == third == ROW
        assert second[0] == 2
        assert second[1].startswith(reason) or reason in second[1]

    def test_blank_lines_are_passed_over_and_counted(self) -> None:
        content = b"\n \t\n" + GOOD + b"\n\r\n\nbad\n\n"

        found = read(content, "a.jsonl")

        assert found[0] == ROW
        assert found[1][0] == 6
        assert len(found) == 2

    def test_an_empty_file_has_no_events(self) -> None:
        assert read(b"", "a.jsonl") == []
        assert read(b"\xef\xbb\xbf", "a.jsonl") == []

    def test_a_byte_order_mark_and_windows_line_ends_are_no_matter(self) -> None:
        content = b"\xef\xbb\xbf" + GOOD + b"\r\n" + GOOD + b"\r\n"

        assert read(content, "a.jsonl") == [ROW, ROW]

    def test_a_byte_order_mark_further_on_is_bad(self) -> None:
        assert read(GOOD + b"\n\xef\xbb\xbf" + GOOD, "a.jsonl")[1][0] == 2

    def test_line_separators_of_unicode_end_no_line(self) -> None:
        words = "one\u2028two\u2029three\x85four\x0bfive"

        assert read(line(description=words), "a.jsonl") == [{**ROW, "description": words}]

    @pytest.mark.parametrize(
        "number",
        [2**53 + 1, 2**63 - 1, 2**63, -(2**63) - 1, 2**64, 10**18, 10**19 + 1, 10**60 + 1],
    )
    def test_integers_are_exact(self, number: int) -> None:
        content = line(payload={"a": 1}).replace(b":1}", b":%d}" % number)

        (event,) = read(content, "a.jsonl")

        assert event["payload"] == {"a": number}
        assert type(event["payload"]["a"]) is int

    def test_all_the_levels_that_can_be_stored_can_be_read(self) -> None:
        inner = MAX_JSON_DEPTH - 1
        deepest = b'{"a":' + b"[" * inner + b"]" * inner + b"}"

        (jsonl,) = read(line(payload={}).replace(b"{}", deepest), "a.jsonl")
        (csv,) = read(HEADER + CELLS[:-1] + b'"' + deepest.replace(b'"', b'""') + b'"', "a.csv")

        assert jsonl["payload"] == csv["payload"] == orjson.loads(deepest)

    def test_a_line_that_is_too_long_is_one_bad_line(self, monkeypatch: pytest.MonkeyPatch) -> None:
        # The limit is 16 MiB otherwise; what matters is on which side of it a line is.
        monkeypatch.setattr(reading, "MAX_LINE_BYTES", len(GOOD) + 1)
        long = GOOD + b" " * 2

        for longer in (long, long * 5, long + b" " * len(GOOD)):
            content = GOOD + b"\n" + longer + b"\n" + GOOD + b"\n" + longer
            found = read(content, "a.jsonl")

            assert found[0] == found[2] == ROW
            assert [found[1][0], found[3][0]] == [2, 4]
            assert "is longer than 73 bytes" in found[1][1]

    @pytest.mark.skipif(not Path("/dev/zero").exists(), reason="this system has no /dev/zero")
    def test_a_line_without_an_end_ends_the_reading(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(lines, "ENDLESS_BYTES", 3 * reading.MAX_LINE_BYTES)

        with (
            open_source("/dev/zero") as source,
            pytest.raises(InputDataError, match="line 1: does not end within 50,331,648 bytes"),
        ):
            list(source.records)


class TestCsv:
    def test_a_line_is_an_event(self) -> None:
        content = HEADER + CELLS + b',t,s,,2018-01-31T01:49:59.650Z,"{""a"": 1}"\n'

        assert read(content, "a.csv") == [FULL_ROW, {**ROW, "payload": {"a": 1}}]

    def test_columns_stand_in_any_order_and_some_may_be_missing(self) -> None:
        content = b"occurred_at,source,event_type\n2018-01-31T01:49:59.650Z,s,t\n"

        assert read(content, "a.csv") == [ROW]

    def test_byte_order_mark_windows_line_ends_and_blank_lines_are_no_matter(self) -> None:
        content = b"\xef\xbb\xbf" + (HEADER + b"\n" + CELLS + b"\n\n").replace(b"\n", b"\r\n")

        assert read(content, "a.csv") == [FULL_ROW]

    def test_quotes_commas_and_line_ends_stand_in_quoted_cells(self) -> None:
        content = HEADER + b'"k,""1""",t,s,"one\ntwo\r\n\r three",2018-01-31T01:49:59.650Z,\n'

        (event,) = read(content, "a.csv")

        assert event["event_key"] == 'k,"1"'
        assert event["description"] == "one\ntwo\r\n\r three"

    def test_an_empty_cell_is_no_value(self) -> None:
        (event,) = read(HEADER + b'"",t,s,"",2018-01-31T01:49:59.650Z,""\n', "a.csv")

        assert event == ROW

    def test_a_cell_may_be_as_long_as_a_line(self) -> None:
        # csv's own limit, 131,072 characters, is less than what an export writes.
        words = b"x" * 1_000_000

        (event,) = read(HEADER + CELLS.replace(b",d,", b"," + words + b","), "a.csv")

        assert event["description"] == words.decode()

    @pytest.mark.parametrize(
        ("bad", "reason"),
        [
            (b"k,t,s\n", "has 3 cells, the header has 6"),
            (CELLS[:-1] + b",more\n", "has 7 cells, the header has 6"),
            (b" \n", "has 1 cells, the header has 6"),
            (CELLS.replace(b",t,", b",,"), "event_type is missing or empty"),
            (CELLS.replace(b",2018-01-31T01:49:59.650Z", b","), "occurred_at is missing"),
            (CELLS.replace(b"2018-01", b"2018-13"), "occurred_at is '2018-13-31T01"),
            (CELLS.replace(b",d,", b",\xff\xfe,"), "description holds bytes that are not UTF-8"),
            (CELLS[:-1] + b"{\n", "is not JSON"),
            (CELLS[:-1] + b"1\n", "payload is a JSON number; an object is wanted"),
            (CELLS[:-1] + b"NaN\n", "is not JSON"),
            (b'"k"x,t,s,d,2018-01-31T01:49:59.650Z,\n', "is not CSV: text stands behind a quote"),
            (b'k"x",t,s,d,2018-01-31T01:49:59.650Z,\n', "is not CSV: a quote stands within"),
            (b'k, "x",s,d,2018-01-31T01:49:59.650Z,\n', "is not CSV: a quote stands within"),
            (CELLS.replace(b"d", b"a\rb"), "is not CSV: a carriage return stands within"),
            (CELLS.replace(b"d", b'"a"\rb'), "is not CSV: text stands behind a quote"),
        ],
    )
    def test_a_bad_record_is_reported_and_the_rest_is_read(self, bad: bytes, reason: str) -> None:
        first, second, third = read(HEADER + CELLS + bad + CELLS, "a.csv")

        assert first == third == FULL_ROW
        assert second[0] == 3
        assert reason in second[1]

    def test_a_record_over_several_lines_has_the_number_of_its_first(self) -> None:
        content = HEADER + b'k,,s,"one\ntwo\nthree",2018-01-31T01:49:59.650Z,\n' + b"short\n"

        assert [number for number, _ in read(content, "a.csv")] == [2, 5]

    def test_a_quote_that_is_never_closed_is_reported_where_it_stands(self) -> None:
        found = read(HEADER + CELLS + b'"' + CELLS * 100, "a.csv")

        reason = "is not CSV: a quote that opens in this line is closed nowhere behind it"
        assert found == [FULL_ROW, (3, reason)]

    @pytest.mark.parametrize(
        ("header", "reason"),
        [
            (b"a,b\n", "missing: event_type, source, occurred_at; unknown: 'a', 'b'"),
            (b"\n", "missing: event_type, source, occurred_at"),
            (HEADER.replace(b"source,", b""), "missing: source; unknown: none"),
            (HEADER.replace(b"event_key", b"id"), "missing: none; unknown: 'id'"),
            (HEADER.replace(b"event_key", b"source"), "each once"),
            (HEADER.replace(b"source", b" source"), "missing: source; unknown: ' source'"),
            (HEADER.replace(b"event_key", b"\xff"), "unknown: '\\udcff'"),
            (HEADER.decode().encode("utf-16"), "is text in UTF-16 or UTF-32"),
            (HEADER.replace(b"\n", b"\r"), "is not CSV: a carriage return stands within"),
            (b'"event_type"x,source\n', "is not CSV"),
            (
                b'"event_type,source\n',
                "is not CSV: a quote that opens in this line is closed nowhere",
            ),
        ],
    )
    def test_a_header_that_cannot_be_used_ends_it(self, header: bytes, reason: str) -> None:
        with pytest.raises(InputDataError) as caught:
            read(header + CELLS, "a.csv")

        assert (caught.value.source, caught.value.line) == ("a.csv", 1)
        assert reason in caught.value.reason

    def test_an_empty_file_has_no_events(self) -> None:
        assert read(b"", "a.csv") == []
        assert read(HEADER, "a.csv") == []

    def test_a_line_that_is_too_long_ends_it(self, monkeypatch: pytest.MonkeyPatch) -> None:
        # The limit is 16 MiB otherwise. A quote may stand in what is passed over, so that where the
        # next record begins cannot be known.
        monkeypatch.setattr(reading, "MAX_LINE_BYTES", len(HEADER))

        with pytest.raises(InputDataError, match="line 2: is longer than 60 bytes"):
            read(HEADER + CELLS.replace(b"d", b"d" * 60) + CELLS, "a.csv")

    def test_a_cell_that_is_too_long_ends_it(self, monkeypatch: pytest.MonkeyPatch) -> None:
        # What stands behind it may be a part of it, and is taken for no event.
        monkeypatch.setattr(reading, "MAX_LINE_BYTES", len(HEADER))

        with pytest.raises(InputDataError, match=r"line 2: is not CSV: a quote .* within 61 "):
            read(HEADER + b'k,t,s,"' + b"d\n" * 40 + CELLS + b'"' + CELLS, "a.csv")


class TestFiles:
    @pytest.mark.parametrize("name", ["a.jsonl", "a.json", "a.txt", "a", "a.csv.jsonl"])
    def test_anything_but_csv_is_json_lines(self, name: str) -> None:
        assert read(GOOD, name) == [ROW]
        assert read(gzip.compress(GOOD), f"{name}.gz") == [ROW]

    def test_csv_is_known_by_its_name(self) -> None:
        assert read(HEADER + CELLS, "a.csv") == [FULL_ROW]
        assert read(gzip.compress(HEADER + CELLS), "a.csv.gz") == [FULL_ROW]

    def test_a_format_that_is_given_counts(self) -> None:
        assert read(GOOD, "a.csv", "jsonl") == [ROW]
        assert read(gzip.compress(HEADER + CELLS), "a.jsonl.gz", "csv") == [FULL_ROW]

    def test_several_packed_parts_are_one_file(self) -> None:
        assert read(gzip.compress(GOOD + b"\n") + gzip.compress(GOOD), "a.gz") == [ROW, ROW]

    def test_the_position_is_in_bytes_of_the_file(self) -> None:
        content = gzip.compress(GOOD + b"\n")
        Path("a.jsonl.gz").write_bytes(content)

        with open_source("a.jsonl.gz") as source:
            assert (source.total_bytes, source.position()) == (len(content), 0)
            assert len(list(source.records)) == 1
            assert source.position() == len(content)

    @pytest.mark.parametrize("content", [b"GIF89a not packed", b"\x1f\x8b\x08 damaged"])
    @pytest.mark.parametrize("name", ["a.jsonl.gz", "a.csv.gz"])
    def test_what_is_not_packed_is_reported(self, content: bytes, name: str) -> None:
        with pytest.raises(InputDataError, match="line 1: cannot be read on: "):
            read(content, name)

    def test_what_stands_before_the_damage_is_read(self) -> None:
        lines = [line(event_key=str(number), description=noise(number)) for number in range(2000)]
        packed = gzip.compress(b"\n".join(lines))
        cut_off = packed[: len(packed) // 2]
        damaged = bytearray(packed)
        middle = len(packed) // 2
        damaged[middle : middle + 50] = bytes(50)

        for content in (cut_off, bytes(damaged)):
            Path("a.gz").write_bytes(content)
            found: list[EventRow | InputDataError] = []
            with open_source("a.gz") as source, pytest.raises(InputDataError) as caught:
                found.extend(source.records)
            # extend() keeps what came before the error.
            assert 100 < len(found) < 2000
            assert all(not isinstance(event, InputDataError) for event in found[:100])
            assert caught.value.line == len(found) + 1

    def test_a_checksum_that_does_not_fit_is_reported(self) -> None:
        packed = bytearray(gzip.compress(GOOD + b"\n"))
        packed[-8] ^= 1

        with pytest.raises(InputDataError, match="CRC"):
            read(bytes(packed), "a.gz")

    def test_standard_input(self, monkeypatch: pytest.MonkeyPatch) -> None:
        # A process of its own for each form would cost more than the stream that is put in here;
        # tests of the command use a real one.
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(GOOD + b"\nbad")))

        with open_source("-") as source:
            assert (source.name, source.total_bytes, source.position()) == ("<stdin>", None, 0)
            good, bad = source.records

        assert good == ROW
        assert str(bad).startswith("<stdin>, line 2: is not JSON")
        assert not sys.stdin.closed

    @pytest.mark.parametrize("name", ["pipe", "pipe.gz"])
    def test_a_pipe_has_no_size(self, name: str) -> None:
        os.mkfifo(name)
        content = gzip.compress(GOOD) if name.endswith(".gz") else GOOD
        writer = threading.Thread(target=Path(name).write_bytes, args=(content,))
        writer.start()

        with open_source(name) as source:
            assert (source.total_bytes, source.position()) == (None, 0)
            assert list(source.records) == [ROW]
            assert source.position() == 0
        writer.join(PATIENCE_S)

    @pytest.mark.parametrize(
        ("name", "reason"),
        [
            ("missing.jsonl", "cannot be opened: No such file or directory"),
            (".", "is a folder"),
            ("", "is a folder"),
            ("a\0b", "cannot be opened"),
            ("x" * 300, "cannot be opened: File name too long"),
        ],
    )
    def test_a_file_that_cannot_be_opened(self, name: str, reason: str) -> None:
        with pytest.raises(InputDataError) as caught, open_source(name):
            pass

        assert (caught.value.source, caught.value.line) == (name, None)
        assert reason in caught.value.reason


def noise(seed: int) -> str:
    """Text that does not pack well, so that a cut takes lines away."""
    return random.Random(seed).randbytes(40).hex()


ACCEPTED_INSTANTS = {
    "2018-01-31T01:49:59.650Z": INSTANT,
    "2018-01-31T01:49:59.65Z": INSTANT,
    "2018-01-31T01:49:59,650000Z": INSTANT,
    "2018-01-31T01:49:59.650000000Z": INSTANT,
    "2018-01-31 01:49:59.65z": INSTANT,
    "2018-01-31T02:49:59.650+01:00": INSTANT,
    "2018-01-30T18:04:59.650-07:45": INSTANT,
    "2018-01-31T01:49:59.6500-00:00": INSTANT,
    "2018-01-31T01:49:59Z": INSTANT.replace(microsecond=0),
    "2018-01-31T01:49:59.0000000000000Z": INSTANT.replace(microsecond=0),
    "2018-01-31T01:49:59.000001Z": INSTANT.replace(microsecond=1),
    "2020-02-29T23:59:59.999999+00:00": datetime(
        2020, 2, 29, 23, 59, 59, 999999, tzinfo=timezone.utc
    ),
    "0001-01-01T00:00:00Z": datetime(1, 1, 1, tzinfo=timezone.utc),
    "0001-01-01T01:00:00+01:00": datetime(1, 1, 1, tzinfo=timezone.utc),
    "9999-12-31T23:59:59.999999Z": datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=timezone.utc),
    "2018-01-31T23:59:59+23:59": datetime(2018, 1, 31, 0, 0, 59, tzinfo=timezone.utc),
}

REFUSED_INSTANTS = {
    "": "no date and time with an offset",
    "now": "no date and time",
    "2018-01-31": "no date and time",
    "2018-01-31T01:49:59": "no date and time with an offset",
    "2018-01-31T01:49Z": "no date and time",
    "2018-01-31T01:49:59.Z": "no date and time",
    "2018-01-31T01:49:59+0100": "no date and time",
    "2018-01-31T01:49:59+01": "no date and time",
    "2018-01-31T01:49:59 +01:00": "no date and time",
    "2018-01-31T01:49:59Z ": "no date and time",
    "2018-01-31T01:49:59Z\n": "no date and time",
    "20180131T014959Z": "no date and time",
    "2018-W05-3T01:49:59Z": "no date and time",
    "18-01-31T01:49:59Z": "no date and time",
    "12018-01-31T01:49:59Z": "no date and time",
    "31.01.2018 01:49:59": "no date and time",
    "1517363399": "no date and time",
    "\u0662018-01-31T01:49:59Z": "no date and time",
    "2018-01-31T01:49:59.6500001Z": "finer than a microsecond",
    "2018-02-29T01:49:59Z": "day",
    "2018-13-31T01:49:59Z": "month",
    "2018-01-31T25:49:59Z": "hour",
    "2018-01-31T01:60:59Z": "minute",
    "2018-01-31T01:49:60Z": "second",
    "0000-01-31T01:49:59Z": "year",
    "2018-01-31T01:49:59+24:00": "offset",
    "2018-01-31T01:49:59+00:60": "no date and time",
    "2018-01-31T01:49:59-00:99": "no date and time",
    "0001-01-01T00:00:00+00:01": "outside of the years 1 to 9999",
    "9999-12-31T23:59:59-00:01": "outside of the years 1 to 9999",
}


class TestInstants:
    @pytest.mark.parametrize(("words", "instant"), ACCEPTED_INSTANTS.items())
    def test_accepted(self, words: str, instant: datetime) -> None:
        found = parse_instant(words)

        assert found == instant
        assert found.utcoffset() is not None

    @pytest.mark.parametrize(("words", "reason"), REFUSED_INSTANTS.items())
    def test_refused(self, words: str, reason: str) -> None:
        with pytest.raises(ValueError, match=reason):
            parse_instant(words)

    @given(
        st.datetimes(timezones=st.just(timezone.utc)),
        st.integers(-1439, 1439).map(lambda minutes: timezone(timedelta(minutes=minutes))),
    )
    def test_what_python_writes_is_read(self, instant: datetime, zone: timezone) -> None:
        try:
            moment = instant.astimezone(zone)
        except OverflowError:  # Python has no such value in this zone
            return

        assert parse_instant(moment.isoformat()) == instant

    @given(st.text(alphabet="0123456789-T:.,Z+ ", max_size=30) | st.text())
    @example("0001-01-01T00:00:00+00:00")
    def test_any_other_text_is_a_value_error(self, words: str) -> None:
        try:
            found = parse_instant(words)
        except ValueError:
            return
        found.astimezone(timezone.utc)


class TestAnyContent:
    """Whatever stands in a file: an event, or a line and a reason, never another error."""

    fragments: Iterable[bytes] = (
        *(bad for bad, _ in BAD_LINES.values() if len(bad) < 1000),
        *(GOOD, HEADER, CELLS, b"\n", b"\r", b'"', b",", b"\xef\xbb\xbf", b"\xff", b"\0", b"{"),
    )
    contents = st.lists(st.sampled_from(tuple(fragments)) | st.binary(max_size=5), max_size=8).map(
        b"".join
    )

    @given(contents, st.sampled_from(["any.jsonl", "any.csv"]))
    def test_is_read_or_reported(self, content: bytes, name: str) -> None:
        try:
            found = read(content, name)
        except InputDataError:
            if name.endswith(".jsonl"):
                raise
            return  # the header cannot be used: there is nothing more to read
        lines = content.count(b"\n") + 1
        for record in found:
            if isinstance(record, tuple):
                assert 1 <= cast("int", record[0]) <= lines
            else:
                assert checked_again(record) == record


def checked_again(row: EventRow) -> EventRow:
    return checked_event({**row, "occurred_at": row["occurred_at"].isoformat()})
