"""A frame that is loaded is stored as ``pandas.DataFrame.to_sql`` stores it, on both databases.

``to_sql`` is told the types of the table, since it takes none from it, and the frame holds objects
of Python, since pandas would make floats of whole numbers beside a NULL, and nanoseconds of times.
What it cannot hold is left out, by name.
"""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.database.arrow.test_same_tables import KINDS, METADATA
from tests.database.loading.test_same_as_commit import commit, difference, stored, tables
from tests.full import some
from vinci_code.database import load
from vinci_code.database.loading import choosing
from vinci_code.database.loading.sizes import json_bytes
from vinci_code.database.loading.sources import source_of

pd = pytest.importorskip("pandas")
pytestmark = pytest.mark.filterwarnings("ignore:Dialect sqlite.pysqlite does .not. support Decimal")

KINDS_BY_NAME = {column.name: column.type for column in KINDS.columns}
NAMES = {column.key: column.name for column in KINDS.columns}
NOT_HELD = {
    "interval": "to_sql makes whole nanoseconds of a timedelta, and stores this number",
}
"""Columns that ``to_sql`` stores otherwise or refuses, and why."""


def to_sql(engine: sa.Engine, frame: Any) -> None:
    """Append a frame to the table."""
    types = {name: KINDS_BY_NAME[name] for name in frame.columns}
    frame.to_sql("kinds", engine, if_exists="append", index=False, dtype=types)


def frame_of(rows: list[dict[str, Any]]) -> Any:
    """The rows as a frame of objects."""
    named = [{NAMES[key]: value for key, value in row.items()} for row in rows]
    frame = pd.DataFrame(named, dtype=object)
    return frame.drop(columns=[name for name in NOT_HELD if name in frame.columns])


def test_random_frames(
    sqlite: sa.Engine, online: sa.Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    for engine in (sqlite, online):
        METADATA.create_all(engine)

    @settings(
        max_examples=some(2000, 4),
        deadline=None,
        suppress_health_check=list(HealthCheck),
        print_blob=True,
    )
    @given(tables(), tables(), st.sampled_from(["append", "replace"]), st.booleans())
    def run(before: Any, after: Any, mode: str, is_close: bool) -> None:
        frame = frame_of(after[0])
        if frame.empty:
            return
        there = [] if mode == "append" else before[0]
        size = json_size(frame)
        above, below = (size, size - 1) if is_close else (1 << 30, 0)
        for engine, limit, way in (
            (sqlite, 0, "rows"),
            (online, above, "rows"),
            (online, below, "staged"),
        ):
            monkeypatch.setattr(choosing, "LARGE_JSON_BYTES", limit)
            commit(engine, [], "replace")
            to_sql(engine, frame)
            expected = stored(engine)
            commit(engine, there, "replace")
            done = load(engine, KINDS, frame, mode=mode)
            found = stored(engine)
            assert found.equals(expected), (way, difference(found, expected))
            assert (done.way, done.read) == (way, len(frame))

    run()


def test_where_the_way_changes(sqlite: sa.Engine, online: sa.Engine) -> None:
    for engine in (sqlite, online):
        METADATA.create_all(engine)
    last = longest_of_one_statement()
    assert json_size(texts(last)) == choosing.LARGE_JSON_BYTES
    for length, on_warehouse in ((last, "rows"), (last + 1, "staged")):
        frame = texts(length)
        for engine, way in ((sqlite, "rows"), (online, on_warehouse)):
            commit(engine, [], "replace")
            to_sql(engine, frame)
            expected = stored(engine)
            done = load(engine, KINDS, frame, mode="replace")
            assert stored(engine).equals(expected), (way, length)
            assert (done.way, done.read) == (way, len(frame)), length


def longest_of_one_statement() -> int:
    """How long the text is at most that goes as rows."""
    low, high = 1, choosing.LARGE_JSON_BYTES
    while high - low > 1:
        middle = (low + high) // 2
        if json_size(texts(middle)) <= choosing.LARGE_JSON_BYTES:
            low = middle
        else:
            high = middle
    return low


def texts(length: int) -> Any:
    """A frame of texts, of which one has this length."""
    rows = [{"id": number, "a b": "x" * (1 if number else length)} for number in range(20)]
    return pd.DataFrame(rows, dtype=object)


def json_size(frame: Any) -> int:
    """What the way of a frame is chosen by."""
    return sum(json_bytes(portion) for portion in source_of(frame).portions())
