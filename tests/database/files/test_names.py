"""What a file is by its name: for imports, exports and loads alike, in capitals or not."""

from __future__ import annotations

import gzip
import random
from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Session

from vinci_code.core.errors import InputDataError, LoadRefusedError
from vinci_code.database import load
from vinci_code.database.events import (
    EventRow,
    ImportReport,
    export_events,
    import_events,
    open_source,
)
from vinci_code.database.models import Base
from vinci_code.database.sqlite import create_sqlite_engine

KEYS = sa.Table("event_keys", sa.MetaData(), sa.Column("event_key", sa.String))


def unzstd(data: bytes) -> bytes:
    with pa.input_stream(pa.py_buffer(data), compression="zstd") as stream:
        found: bytes = stream.read()
    return found


def as_it_is(data: bytes) -> bytes:
    return data


# Each name, how it is unpacked, and what the content begins with then.
NAMES: dict[str, tuple[Callable[[bytes], bytes], bytes]] = {
    "A.CSV.GZ": (gzip.decompress, b"event_key,"),
    "a.Csv.gz": (gzip.decompress, b"event_key,"),
    "a.csv.zst": (unzstd, b"event_key,"),
    "A.JSONL": (as_it_is, b'{"'),
    "a.NdJson": (as_it_is, b'{"'),
    "a.JsonL.Gz": (gzip.decompress, b'{"'),
    "A.JSONL.ZST": (unzstd, b'{"'),
    "A.CSV": (as_it_is, b"event_key,"),
    "A.PARQUET": (as_it_is, b"PAR1"),
    "a.csv.d.jsonl": (as_it_is, b'{"'),
}


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[sa.Engine]:
    engine = create_sqlite_engine(f"sqlite:///{tmp_path / 'a.db'}")
    Base.metadata.create_all(engine)
    KEYS.create(engine)
    yield engine
    engine.dispose()


def store(engine: sa.Engine) -> None:
    # Many, so that a piece of what is packed is none of its end.
    rows: list[EventRow | InputDataError] = [
        {
            "event_key": f"k{number}",
            "event_type": "t",
            "source": "s",
            "description": None,
            "occurred_at": datetime(2018, 1, 31, tzinfo=timezone.utc),
            "payload": None,
        }
        for number in range(3_000)
    ]
    import_events(engine, rows, report=ImportReport())


def export(engine: sa.Engine, file: Path | str) -> int:
    with Session(engine) as session:
        return export_events(session, str(file))


@pytest.mark.parametrize("name", NAMES)
def test_what_is_written_is_what_the_name_says(
    engine: sa.Engine, tmp_path: Path, name: str
) -> None:
    store(engine)
    file = tmp_path / name
    assert export(engine, file) == 3_000
    unpacked, begin = NAMES[name]
    assert unpacked(file.read_bytes()).startswith(begin)
    with open_source(str(file)) as source:
        found = [row for row in source.records if not isinstance(row, InputDataError)]
        assert source.position() == source.total_bytes or begin == b"PAR1"
    assert [row["event_key"] for row in found] == [f"k{number}" for number in range(3_000)]


@pytest.mark.parametrize("name", ["B.CSV.GZ", "b.Csv.Zst", "B.JSONL.GZ", "B.NDJSON", "B.PARQUET"])
def test_a_load_knows_it_too(engine: sa.Engine, tmp_path: Path, name: str) -> None:
    keys = tmp_path / name
    _write_keys(keys)
    assert load(engine, KEYS, keys).read == 2
    with engine.connect() as connection:
        assert connection.scalars(sa.select(KEYS.c.event_key)).all() == ["a", "b"]


def _write_keys(file: Path) -> None:
    name = file.name.lower()
    if name.endswith(".parquet"):
        pq.write_table(pa.table({"event_key": ["a", "b"]}), file)
        return
    data = b"event_key\na\nb\n" if ".csv" in name else b'{"event_key":"a"}\n{"event_key":"b"}\n'
    if name.endswith(".gz"):
        data = gzip.compress(data)
    if name.endswith(".zst"):
        data = pa.compress(data, codec="zstd", asbytes=True)
    file.write_bytes(data)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("a.parquet.gz", "leave .gz out"),
        ("A.PARQUET.ZST", "leave .zst out"),
        ("a.csv.bz2", "packed as .bz2 by its name"),
        ("a.jsonl.XZ", "packed as .xz by its name"),
        ("a.zip", "packed as .zip by its name"),
    ],
)
def test_a_name_that_says_something_else_is_refused(
    engine: sa.Engine, tmp_path: Path, name: str, reason: str
) -> None:
    file = tmp_path / name
    with pytest.raises(OSError, match=reason):
        export(engine, file)
    assert not file.exists()
    file.write_bytes(b"")
    with pytest.raises(InputDataError, match=reason), open_source(str(file)):
        pass
    with pytest.raises(LoadRefusedError, match=reason):
        load(engine, KEYS, file)


def test_parquet_that_is_said_is_not_packed_once_more(engine: sa.Engine, tmp_path: Path) -> None:
    file = tmp_path / "a.gz"
    with Session(engine) as session, pytest.raises(OSError, match=r"leave \.gz out"):
        export_events(session, str(file), format="parquet")
    assert not file.exists()


def test_several_packed_parts_are_read_to_the_end(tmp_path: Path) -> None:
    part = b'{"event_type":"t","source":"s","occurred_at":"2018-01-31T00:00:00Z"}\n'
    file = tmp_path / "a.jsonl.zst"
    file.write_bytes(pa.compress(part, codec="zstd", asbytes=True) * 2)
    with open_source(str(file)) as source:
        assert len(list(source.records)) == 2


def test_what_stands_before_a_damaged_place_of_zstd_is_read(tmp_path: Path) -> None:
    draw = random.Random(20_261_201)
    lines = [
        b'{"event_key":"%s","event_type":"t","source":"s","occurred_at":"2018-01-31T00:00:00Z"}\n'
        % draw.randbytes(40).hex().encode()
        for _ in range(20_000)
    ]
    packed = pa.compress(b"".join(lines), codec="zstd", asbytes=True)
    file = tmp_path / "a.jsonl.zst"
    for damaged in (packed[: len(packed) // 2], packed[:-40_000] + bytes(40_000)):
        file.write_bytes(damaged)
        found: list[Any] = []
        with open_source(str(file)) as source, pytest.raises(InputDataError) as caught:
            found.extend(source.records)
        assert 1_000 < len(found) < 20_000
        assert all(not isinstance(event, InputDataError) for event in found)
        assert caught.value.line == len(found) + 1
