"""Events into the database and out of it: each once, unchanged, with a report that is right."""

from __future__ import annotations

import gzip
import os
import stat
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from datetime import date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, delete, insert, select, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from tests.patience import PATIENCE_S
from vinci_code.core.errors import DatabaseFileError, InputDataError
from vinci_code.database.events import (
    EventRow,
    EventStatistics,
    ImportReport,
    export_events,
    import_events,
    newest_events,
    open_source,
    statistics,
)
from vinci_code.database.models import Base, Event
from vinci_code.database.models.types import MAX_JSON_DEPTH
from vinci_code.database.sqlite import create_sqlite_engine

INSTANT = datetime(2018, 1, 31, 1, 49, 59, 650000, tzinfo=timezone.utc)
BAD = InputDataError("a.jsonl", 7, "is not JSON")


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    engine = create_sqlite_engine(f"sqlite:///{tmp_path / 'data.db'}")
    Base.metadata.create_all(engine)
    yield engine
    engine.dispose()


def row(key: str | None = None, **fields: Any) -> EventRow:
    event: EventRow = {
        "event_key": key,
        "event_type": "t",
        "source": "s",
        "description": None,
        "occurred_at": INSTANT,
        "payload": None,
    }
    return {**event, **fields}  # type: ignore[typeddict-item]


def keys(engine: Engine) -> list[str | None]:
    with Session(engine) as session:
        return list(session.scalars(select(Event.event_key).order_by(Event.id)))


def contents(engine: Engine) -> list[tuple[Any, ...]]:
    """Everything that an import is to keep, in its order."""
    with Session(engine) as session:
        return [
            (e.event_key, e.event_type, e.source, e.description, e.occurred_at, repr(e.payload))
            for e in session.scalars(select(Event).order_by(Event.id))
        ]


class TestImport:
    def test_events_are_stored_as_they_were_read(self, engine: Engine) -> None:
        before = datetime.now(timezone.utc)
        elsewhere = INSTANT.astimezone(timezone(timedelta(hours=5)))
        full = row("k", description="d", payload={"a": [1, None]}, occurred_at=elsewhere)

        report = import_events(engine, [full], report=ImportReport())

        assert report == ImportReport(read=1, inserted=1)
        assert contents(engine) == [("k", "t", "s", "d", INSTANT, "{'a': [1, None]}")]
        with Session(engine) as session:
            created = session.scalars(select(Event.created_at)).one()
        assert before <= created <= datetime.now(timezone.utc)

    def test_nothing_is_nothing(self, engine: Engine) -> None:
        commits: list[ImportReport] = []

        report = import_events(engine, [], report=ImportReport(), on_commit=commits.append)

        assert report == ImportReport()
        assert commits == []

    def test_what_is_stored_already_is_left_as_it_is(self, engine: Engine) -> None:
        import_events(engine, [row("a", description="first")], report=ImportReport())

        report = import_events(
            engine, [row("a", description="second"), row("b")], report=ImportReport()
        )

        assert report == ImportReport(read=2, inserted=1, already_there=1)
        assert [found[3] for found in contents(engine)] == ["first", None]

    @pytest.mark.parametrize("batch_size", [1, 2, 3, 4, 5, 5000])
    def test_a_second_run_adds_nothing(self, engine: Engine, batch_size: int) -> None:
        rows = [row(key) for key in "abcd"]

        first = import_events(engine, rows, report=ImportReport(), batch_size=batch_size)
        second = import_events(engine, rows, report=ImportReport(), batch_size=batch_size)

        assert first == ImportReport(read=4, inserted=4)
        assert second == ImportReport(read=4, already_there=4)
        assert keys(engine) == ["a", "b", "c", "d"]

    def test_a_key_that_comes_twice_in_one_batch_is_stored_once(self, engine: Engine) -> None:
        rows = [row("a", description="first"), row("b"), row("a", description="second")]

        report = import_events(engine, rows, report=ImportReport())

        assert report == ImportReport(read=3, inserted=2, already_there=1)
        assert contents(engine)[0][3] == "first"

    def test_events_without_key_are_added_each_time_and_counted(self, engine: Engine) -> None:
        rows = [row(), row(), row("a")]

        for _ in range(2):
            report = import_events(engine, rows, report=ImportReport())

        assert report == ImportReport(read=3, inserted=2, already_there=1, without_key=2)
        assert keys(engine) == [None, None, "a", None, None]

    @pytest.mark.parametrize("batch_size", [0, -1])
    def test_a_batch_of_nothing_is_refused(self, engine: Engine, batch_size: int) -> None:
        with pytest.raises(ValueError, match=f"found {batch_size}"):
            import_events(engine, [row("a")], report=ImportReport(), batch_size=batch_size)

        assert keys(engine) == []

    def test_stop_keeps_the_batches_before_and_nothing_of_its_own(self, engine: Engine) -> None:
        report = ImportReport()
        rows: list[EventRow | InputDataError] = [*map(row, "abcde"), BAD, row("f")]

        with pytest.raises(InputDataError) as caught:
            import_events(engine, rows, report=report, batch_size=2)

        assert caught.value is BAD
        assert report == ImportReport(read=4, inserted=4)
        assert keys(engine) == ["a", "b", "c", "d"]

    def test_skip_goes_on_and_counts(self, engine: Engine) -> None:
        skipped: list[InputDataError] = []
        commits: list[tuple[int, int]] = []
        rows: list[EventRow | InputDataError] = [BAD, row("a"), BAD, row("b"), row("a"), BAD]

        report = import_events(
            engine,
            rows,
            report=ImportReport(),
            batch_size=2,
            on_error="skip",
            on_skip=skipped.append,
            on_commit=lambda so_far: commits.append((so_far.read, so_far.inserted)),
        )

        assert report == ImportReport(read=6, inserted=2, already_there=1, skipped=3)
        assert skipped == [BAD, BAD, BAD]
        assert commits == [(2, 1), (4, 2), (6, 2)]
        assert keys(engine) == ["a", "b"]

    def test_a_file_of_bad_records_alone_is_counted_too(self, engine: Engine) -> None:
        report = import_events(engine, [BAD, BAD], report=ImportReport(), on_error="skip")

        assert report == ImportReport(read=2, skipped=2)

    @pytest.mark.parametrize(
        ("on_error", "kept"), [("stop", ["a", "b"]), ("skip", ["a", "b", "c"])]
    )
    def test_a_file_that_breaks_off(
        self, engine: Engine, on_error: Literal["stop", "skip"], kept: list[str]
    ) -> None:
        def records() -> Iterator[EventRow]:
            yield from map(row, "abc")
            raise BAD

        report = ImportReport()
        with pytest.raises(InputDataError):
            import_events(engine, records(), report=report, batch_size=2, on_error=on_error)

        assert keys(engine) == kept
        assert report == ImportReport(read=len(kept), inserted=len(kept))

    @pytest.mark.parametrize("kind", [KeyboardInterrupt, RuntimeError])
    def test_the_report_is_right_after_any_exception(
        self, engine: Engine, kind: type[BaseException]
    ) -> None:
        def records() -> Iterator[EventRow]:
            yield from map(row, "abcde")
            raise kind

        report = ImportReport()
        with pytest.raises(kind):
            import_events(engine, records(), report=report, batch_size=2, on_error="skip")

        assert report == ImportReport(read=4, inserted=4)
        assert keys(engine) == ["a", "b", "c", "d"]

    def test_the_report_is_right_after_a_commit_that_is_followed_by_an_exception(
        self, engine: Engine
    ) -> None:
        def interrupt(_: ImportReport) -> None:
            raise KeyboardInterrupt

        report = ImportReport()
        with pytest.raises(KeyboardInterrupt):
            import_events(engine, [row("a"), row("b")], report=report, on_commit=interrupt)

        assert report == ImportReport(read=2, inserted=2)
        assert keys(engine) == ["a", "b"]

    def test_a_batch_that_the_database_refuses_leaves_nothing(self, engine: Engine) -> None:
        with engine.begin() as connection:
            connection.execute(
                text(
                    "CREATE TRIGGER full BEFORE INSERT ON events WHEN NEW.event_key = 'd' "
                    "BEGIN SELECT RAISE(ABORT, 'no room'); END"
                )
            )
        report = ImportReport()

        with pytest.raises(Exception, match="no room"):
            import_events(engine, map(row, "abcdef"), report=report, batch_size=2)

        assert report == ImportReport(read=2, inserted=2)
        assert keys(engine) == ["a", "b"]

    def test_records_are_taken_one_batch_at_a_time(self, engine: Engine) -> None:
        taken: list[int] = []
        seen: list[int] = []

        def records() -> Iterator[EventRow]:
            for number in range(10):
                taken.append(number)
                yield row(str(number))

        import_events(
            engine,
            records(),
            report=ImportReport(),
            batch_size=3,
            on_commit=lambda _: seen.append(len(taken)),
        )

        assert seen == [3, 6, 9, 10]


TEXT = st.text(max_size=20) | st.sampled_from(
    ['"', "a,b", "\r\n", "\n", "\r", "\0", "\U0001d518", " x "]
)
DOCUMENTS = st.dictionaries(
    st.text(max_size=5),
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats(allow_nan=False, allow_infinity=False)
        | TEXT,
        lambda inner: st.lists(inner, max_size=3),
        max_leaves=5,
    ),
    max_size=3,
)
EVENTS = st.lists(
    st.fixed_dictionaries(
        {
            "event_key": st.none() | TEXT,
            "event_type": TEXT.filter(bool),
            "source": TEXT.filter(bool),
            "description": st.none() | TEXT,
            "occurred_at": st.datetimes(timezones=st.just(timezone.utc)),
            "payload": st.none() | DOCUMENTS,
        }
    ),
    max_size=5,
    unique_by=lambda event: object() if event["event_key"] is None else event["event_key"],
)
# Each example empties the table first.
one_table = settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])


def fill(engine: Engine, events: list[dict[str, Any]]) -> None:
    with engine.begin() as connection:
        connection.execute(delete(Event))
        if events:
            connection.execute(insert(Event), events)


def export(engine: Engine, file: str, **options: Any) -> int:
    with Session(engine) as session:
        return export_events(session, file, **options)


def import_file(engine: Engine, file: str) -> None:
    with open_source(file) as source:
        import_events(engine, source.records, report=ImportReport())


class TestExport:
    @one_table
    @given(EVENTS, st.sampled_from(["a.jsonl", "a.jsonl.gz"]))
    def test_what_is_exported_as_json_lines_is_imported_equal(
        self, engine: Engine, events: list[dict[str, Any]], file: str
    ) -> None:
        fill(engine, events)
        before = contents(engine)

        assert export(engine, file) == len(events)
        fill(engine, [])
        import_file(engine, file)

        assert contents(engine) == before

    @one_table
    @given(EVENTS, st.sampled_from(["a.csv", "a.csv.gz"]))
    @pytest.mark.skipif(
        sys.version_info < (3, 11), reason="the csv module reads no null characters before 3.11"
    )
    def test_what_is_exported_as_csv_is_imported_equal_but_for_empty_texts(
        self, engine: Engine, events: list[dict[str, Any]], file: str
    ) -> None:
        fill(engine, events)
        before = [
            tuple(None if value == "" else value for value in event) for event in contents(engine)
        ]

        assert export(engine, file) == len(events)
        fill(engine, [])
        import_file(engine, file)

        assert contents(engine) == before

    def test_the_forms(self, engine: Engine) -> None:
        fill(engine, [{**row("k", payload={"a": 1}, description='say "ü"')}, {**row()}])

        export(engine, "a.jsonl")
        export(engine, "a.csv")

        assert Path("a.jsonl").read_text(encoding="utf-8") == (
            '{"event_key":"k","event_type":"t","source":"s","description":"say \\"ü\\"",'
            '"occurred_at":"2018-01-31T01:49:59.650000Z","payload":{"a":1}}\n'
            '{"event_key":null,"event_type":"t","source":"s","description":null,'
            '"occurred_at":"2018-01-31T01:49:59.650000Z","payload":null}\n'
        )
        assert Path("a.csv").read_bytes().decode() == (
            "event_key,event_type,source,description,occurred_at,payload\r\n"
            'k,t,s,"say ""ü""",2018-01-31T01:49:59.650000Z,"{""a"":1}"\r\n'
            ",t,s,,2018-01-31T01:49:59.650000Z,\r\n"
        )

    def test_a_format_that_is_given_counts(self, engine: Engine) -> None:
        export(engine, "a.txt", format="csv")
        export(engine, "a.csv", format="jsonl")

        assert Path("a.txt").read_text().startswith("event_key,")
        assert Path("a.csv").read_bytes() == b""

    def test_every_payload_that_can_be_stored_can_be_exported(self, engine: Engine) -> None:
        deepest: Any = []
        for _ in range(MAX_JSON_DEPTH - 2):
            deepest = [deepest]
        fill(engine, [{**row("k", payload={"a": deepest})}])
        before = contents(engine)

        for file in ("a.jsonl", "a.csv"):
            export(engine, file)
            fill(engine, [])
            import_file(engine, file)
            assert contents(engine) == before

    def test_progress_is_reported_by_the_thousand_and_at_the_end(self, engine: Engine) -> None:
        fill(engine, [{**row()}] * 2_500)
        counts: list[int] = []

        assert export(engine, "a.jsonl", on_progress=counts.append) == 2_500
        assert counts == [1_000, 2_000, 2_500]

    @pytest.mark.parametrize("file", ["a.jsonl.gz", "a.csv.gz"])
    def test_the_same_events_are_packed_into_the_same_bytes(
        self, engine: Engine, file: str
    ) -> None:
        fill(engine, [{**row(str(number))} for number in range(10)])

        export(engine, file)
        first = Path(file).read_bytes()
        export(engine, file)
        export(engine, f"other-{file}")

        assert Path(file).read_bytes() == Path(f"other-{file}").read_bytes() == first
        # Neither a time nor a name: https://www.rfc-editor.org/rfc/rfc1952, section 2.3
        assert first[3:8] == bytes(5)

    @pytest.mark.parametrize("file", ["a.jsonl", "a.csv", "a.jsonl.gz", "a.csv.zst", "a.parquet"])
    def test_an_export_that_breaks_off_leaves_what_was_there(
        self, engine: Engine, file: str
    ) -> None:
        fill(engine, [{**row()}] * 1_500)
        Path(file).write_text("what was there")

        with pytest.raises(KeyboardInterrupt):
            export(engine, file, on_progress=interrupt)

        assert Path(file).read_text() == "what was there"
        assert [path.name for path in Path.cwd().iterdir()] == [file]

    def test_a_new_file_that_breaks_off_is_not_there(self, engine: Engine) -> None:
        fill(engine, [{**row()}] * 1_500)

        with pytest.raises(KeyboardInterrupt):
            export(engine, "a.jsonl.gz", on_progress=interrupt)

        assert list(Path.cwd().iterdir()) == []

    def test_the_rights_of_a_file_stay_as_they_are(self, engine: Engine) -> None:
        Path("a.jsonl").write_text("private")
        Path("a.jsonl").chmod(0o600)

        export(engine, "a.jsonl")

        assert stat.S_IMODE(Path("a.jsonl").stat().st_mode) == 0o600

    def test_a_link_stays_one(self, engine: Engine) -> None:
        fill(engine, [{**row()}])
        Path("target.jsonl").write_text("old")
        Path("a.jsonl").symlink_to("target.jsonl")

        export(engine, "a.jsonl")

        assert Path("a.jsonl").is_symlink()
        assert "2018-01-31" in Path("target.jsonl").read_text()

    def test_standard_output(
        self, engine: Engine, capsysbinary: pytest.CaptureFixture[bytes]
    ) -> None:
        fill(engine, [{**row("k", description="\U0001d518")}])
        export(engine, "a.jsonl")

        export(engine, "-")
        sys.stdout.write("after")

        assert capsysbinary.readouterr().out == Path("a.jsonl").read_bytes() + b"after"

    @pytest.mark.parametrize("name", ["pipe", "pipe.gz"])
    def test_a_pipe_is_written_to(self, engine: Engine, name: str) -> None:
        fill(engine, [{**row()}])
        os.mkfifo(name)
        read: list[bytes] = []
        reader = threading.Thread(target=lambda: read.append(Path(name).read_bytes()))
        reader.start()

        export(engine, name)
        reader.join(PATIENCE_S)

        export(engine, "a.jsonl")
        unpacked = gzip.decompress(read[0]) if name.endswith(".gz") else read[0]
        assert unpacked == Path("a.jsonl").read_bytes()
        assert stat.S_ISFIFO(Path(name).stat().st_mode)

    def test_a_device_is_written_to(self, engine: Engine) -> None:
        fill(engine, [{**row()}])

        assert export(engine, os.devnull) == 1
        assert Path(os.devnull).is_char_device()

    @pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a full device")
    @pytest.mark.parametrize("name", ["full", "full.csv", "full.gz", "full.zst", "full.parquet"])
    def test_a_full_disk_is_an_error(self, engine: Engine, name: str) -> None:
        fill(engine, [{**row()}] * 1_500)
        Path(name).symlink_to("/dev/full")

        with pytest.raises(OSError, match="No space left"):
            export(engine, name)

    @pytest.mark.parametrize("name", [".", "no/such/folder/a.jsonl"])
    def test_a_place_that_cannot_be_written_is_named(self, engine: Engine, name: str) -> None:
        with pytest.raises(OSError, match=name):
            export(engine, name)

    @pytest.mark.parametrize("way", ["itself", "symbolic link", "hard link", "relative"])
    def test_the_database_is_not_overwritten_by_its_events(
        self, engine: Engine, tmp_path: Path, way: str
    ) -> None:
        fill(engine, [{**row()}])
        database = tmp_path / "data.db"
        name = {"itself": str(database), "relative": "../data.db"}.get(way, "link")
        if way == "symbolic link":
            Path(name).symlink_to(database)
        elif way == "hard link":
            Path(name).hardlink_to(database)

        with pytest.raises(DatabaseFileError, match="the database itself"):
            export(engine, name)

        assert keys(engine) == [None]

    def test_a_database_named_by_a_uri_is_recognised(self, tmp_path: Path) -> None:
        file = tmp_path / "uri.db"
        engine = create_sqlite_engine(f"sqlite:///file:{file}?uri=true")
        Base.metadata.create_all(engine)

        with pytest.raises(DatabaseFileError, match="the database itself"):
            export(engine, str(file))
        engine.dispose()

    def test_the_writers_of_others_do_not_change_an_export_that_runs(self, engine: Engine) -> None:
        fill(engine, [{**row()}] * 1_500)
        with Session(engine) as session:
            count = export_events(session, "a.jsonl", on_progress=lambda _: import_one(engine))

        assert count == 1_500
        assert len(keys(engine)) == 1_502


def interrupt(_: int) -> None:
    raise KeyboardInterrupt


def import_one(engine: Engine) -> None:
    import_events(engine, [row()], report=ImportReport())


class TestStatistics:
    def test_of_nothing(self, engine: Engine) -> None:
        with Session(engine) as session:
            assert statistics(session) == EventStatistics(0, {}, {}, {})
            assert newest_events(session) == []

    def test_totals_are_ordered_by_size_and_days_by_time(self, engine: Engine) -> None:
        first = datetime(2018, 1, 31, 23, 59, 59, 999999, tzinfo=timezone.utc)
        late = datetime(2018, 2, 1, 1, tzinfo=timezone(timedelta(hours=2)))  # the day before in UTC
        fill(
            engine,
            [
                {**row(event_type="b", source="y", occurred_at=first)},
                {**row(event_type="c", source="x", occurred_at=late)},
                {**row(event_type="a", source="x", occurred_at=first + timedelta(seconds=1))},
                {
                    **row(
                        event_type="c",
                        source="x",
                        occurred_at=datetime.min.replace(tzinfo=timezone.utc),
                    )
                },
            ],
        )

        with Session(engine) as session:
            found = statistics(session)

        assert found.total == 4
        assert list(found.by_type.items()) == [("c", 2), ("a", 1), ("b", 1)]
        assert list(found.by_source.items()) == [("x", 3), ("y", 1)]
        assert list(found.by_day.items()) == [
            (date(1, 1, 1), 1),
            (date(2018, 1, 31), 2),
            (date(2018, 2, 1), 1),
        ]

    def test_the_newest_are_those_that_occurred_last(self, engine: Engine) -> None:
        hours = [3, 1, 2, 3, 0]
        fill(
            engine,
            [
                {
                    **row(
                        str(number),
                        event_type="even" if number % 2 == 0 else "odd",
                        source="first" if number < 2 else "rest",
                        occurred_at=INSTANT + timedelta(hours=hour),
                    )
                }
                for number, hour in enumerate(hours)
            ],
        )

        with Session(engine) as session:

            def newest(limit: int = 10, **only: str) -> str:
                return "".join(e.event_key or "" for e in newest_events(session, limit, **only))

            assert newest() == "30214"
            assert newest(2) == "30"
            assert newest(0) == ""
            assert newest(event_type="even") == "024"
            assert newest(event_type="odd", source="rest") == "3"
            assert newest(event_type="none") == ""


def test_an_import_waits_for_a_writer_and_tells_when_it_waited_too_long(tmp_path: Path) -> None:
    engine = create_sqlite_engine(f"sqlite:///{tmp_path / 'data.db'}?timeout=0.1")
    Base.metadata.create_all(engine)
    report = ImportReport()
    with closing(engine.raw_connection()) as writer:
        writer.cursor().execute("BEGIN IMMEDIATE")
        with pytest.raises(OperationalError, match="locked"):
            import_events(engine, [row("a")], report=report)

    assert report == ImportReport()
    import_events(engine, [row("a")], report=report)
    assert report == ImportReport(read=1, inserted=1)
    engine.dispose()
