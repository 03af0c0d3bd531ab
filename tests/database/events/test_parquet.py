"""Events as Parquet: out and in again, unchanged, and what is none is named."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from tests.cli.process import SAMPLE, shell, vinci
from vinci_code.core.errors import InputDataError
from vinci_code.database.events import ImportReport, export_events, import_events, open_source
from vinci_code.database.models import Base, Event
from vinci_code.database.sqlite import create_sqlite_engine

_FIELDS = ("event_key", "event_type", "source", "description", "occurred_at", "payload")
_AT = dt.datetime(2018, 1, 31, 1, 49, 59, 650_001, tzinfo=dt.timezone.utc)


@pytest.fixture
def engines(tmp_path: Path) -> Iterator[tuple[Engine, Engine]]:
    made = tuple(create_sqlite_engine(f"sqlite:///{tmp_path / name}") for name in ("a.db", "b.db"))
    for engine in made:
        Base.metadata.create_all(engine)
    yield made[0], made[1]
    for engine in made:
        engine.dispose()


def stored(engine: Engine) -> list[tuple[Any, ...]]:
    """All events, without their ids and the time of storing."""
    with Session(engine) as session:
        columns = [getattr(Event, name) for name in _FIELDS]
        return [tuple(row) for row in session.execute(select(*columns).order_by(Event.id))]


def load(engine: Engine, file: Path) -> int:
    """Import a file; return how many events were new."""
    report = ImportReport()
    with open_source(str(file)) as source:
        import_events(engine, source.records, report=report)
    return report.inserted


def test_out_and_in_again_is_the_same(engines: tuple[Engine, Engine], tmp_path: Path) -> None:
    first, second = engines
    assert load(first, SAMPLE) == 1_707
    with Session(first) as session:
        session.add(Event(event_type="t", source="s", description="", occurred_at=_AT))
        session.add(Event(event_type="ä\U0001f600", source="s", occurred_at=_AT, payload={"n": 1}))
        session.commit()
        told: list[int] = []
        file = tmp_path / "events.parquet"
        assert export_events(session, str(file), on_progress=told.append) == 1_709
    assert told == [1_000, 1_709]
    assert pq.read_schema(file).field("occurred_at").type == pa.timestamp("us", tz="UTC")
    assert load(second, file) == 1_709
    assert stored(second) == stored(first)
    assert [one.name for one in tmp_path.iterdir() if "unfinished" in one.name] == []


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"occurred_at": dt.datetime(2018, 1, 31)}, "no date and time with an offset"),  # noqa: DTZ001
        ({"event_type": None}, "event_type"),
        ({"event_type": 5}, "event_type"),
        ({"payload": "[1]"}, "payload is a JSON array"),
        ({"payload": '{"a": 1, "a": 2}'}, "a"),
        ({"payload": "{"}, "JSON"),
    ],
)
def test_a_row_that_is_no_event_is_named(
    tmp_path: Path, changed: dict[str, Any], reason: str
) -> None:
    row = {"event_type": "t", "source": "s", "occurred_at": _AT, "payload": None, **changed}
    file = tmp_path / "events.parquet"
    pq.write_table(pa.Table.from_pylist([row]), file)
    with open_source(str(file)) as source:
        (found,) = source.records
    assert isinstance(found, InputDataError)
    assert found.line == 1
    assert reason in found.reason


def test_a_file_that_is_none_is_named(tmp_path: Path) -> None:
    file = tmp_path / "events.parquet"
    file.write_bytes(b"PAR1 and no more")
    with (
        open_source(str(file)) as source,
        pytest.raises(InputDataError, match="cannot be read as Parquet"),
    ):
        list(source.records)
    pq.write_table(pa.table({"event_type": ["t"], "more": [1]}), file)
    with (
        open_source(str(file)) as source,
        pytest.raises(InputDataError, match=r"missing: source, occurred_at; unknown: 'more'"),
    ):
        list(source.records)


def test_a_pipe_is_refused() -> None:
    done = vinci("events", "import", "-", "--format", "parquet", stdin=b"PAR1")
    assert done.code == 65
    assert "is no file: Parquet has its table of contents at its end" in done.err


def test_the_command_line_takes_and_gives_it(tmp_path: Path) -> None:
    file = str(tmp_path / "events.parquet")
    assert vinci("events", "import", str(SAMPLE)).code == 0
    assert vinci("events", "export", file).code == 0
    again = vinci("events", "import", file)
    assert (again.code, "0 new events" in again.out) == (0, True)
    other = str(tmp_path / "other.parquet")
    assert shell(f"$VINCI events export - --format parquet > {other}").code == 0
    assert pq.read_table(other).equals(pq.read_table(file))
