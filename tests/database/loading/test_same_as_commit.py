"""A table of Arrow that is loaded is stored as the same rows are by a commit, on both databases."""

from __future__ import annotations

import json
from typing import Any

import pyarrow as pa
import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.database.arrow.test_same_tables import KINDS, METADATA, SCHEMA, TYPES, wanted
from tests.full import some
from vinci_code.database import load, read_arrow, upsert
from vinci_code.database.loading import choosing
from vinci_code.database.models.types import dump_json

pytestmark = pytest.mark.filterwarnings("ignore:Dialect sqlite.pysqlite does .not. support Decimal")

MODES = st.sampled_from(["append", "replace", "upsert", "insert_missing"])
COLUMNS = [column for column in KINDS.columns if column.name != "id"]

# Other types of Arrow for the same values, where these fit.
OTHERS: dict[Any, list[Any]] = {
    pa.string(): [pa.large_string(), pa.string_view(), pa.dictionary(pa.int32(), pa.string())],
    pa.binary(): [pa.large_binary(), pa.binary_view()],
    pa.int64(): [pa.int8(), pa.uint16(), pa.uint64(), pa.float64(), pa.decimal128(19, 0)],
    pa.timestamp("us"): [pa.timestamp("ns"), pa.timestamp("s"), pa.date32()],
    pa.timestamp("us", "UTC"): [pa.timestamp("us", "Asia/Tokyo"), pa.timestamp("ns", "UTC")],
    pa.decimal128(15, 4): [pa.decimal256(40, 4), pa.decimal128(38, 6)],
    pa.date32(): [pa.date64(), pa.timestamp("ms")],
    pa.duration("us"): [pa.duration("ns"), pa.duration("ms")],
    pa.time64("us"): [pa.time64("ns"), pa.time32("s")],
    pa.float64(): [pa.float32()],
}


@st.composite
def tables(draw: st.DrawFn) -> tuple[list[dict[str, Any]], pa.Table]:
    """Rows as an application gives them, by the keys of columns, and the same as Arrow."""
    names = draw(st.lists(st.sampled_from(list(TYPES)), min_size=1, max_size=6, unique=True))
    keys = draw(st.lists(st.integers(0, 9), max_size=8, unique=True))
    rows: list[dict[str, Any]] = [{"id": key} for key in keys]
    columns = [pa.array(keys, pa.int64())]
    for name in names:
        _, kind, strategy = TYPES[name]
        values = draw(
            st.lists(st.none() | strategy, min_size=len(keys), max_size=len(keys)), label=name
        )
        column = next(column for column in COLUMNS if column.name == name)
        for row, value in zip(rows, values, strict=True):
            row[column.key] = value
        columns.append(encoded(draw, pa.array([given_as(name, v) for v in values], kind)))
    return rows, pa.table(columns, names=["id", *names])


def encoded(draw: st.DrawFn, column: Any) -> Any:
    """A column in another type that has the same values, or as it is."""
    other = draw(st.sampled_from([None, *OTHERS.get(column.type, [])]))
    if other is None:
        return column
    try:
        found = column.dictionary_encode() if pa.types.is_dictionary(other) else column.cast(other)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return column
    back = found.cast(column.type) if not pa.types.is_dictionary(other) else column
    return found if back.equals(column) else column


def given_as(name: str, value: Any) -> Any:
    """A value as Arrow has it."""
    if name == "json":
        return None if value is None else dump_json(value)
    if name == "map" and value is not None:
        return list(value.items())
    return wanted(value)


def commit(engine: sa.Engine, rows: list[dict[str, Any]], mode: str) -> None:
    """What a commit of the rows does."""
    with engine.begin() as connection:
        if mode == "replace":
            connection.execute(sa.delete(KINDS))
        if not rows:
            return
        if mode in {"append", "replace"}:
            connection.execute(sa.insert(KINDS), rows)
        else:
            update = [] if mode == "insert_missing" else [key for key in rows[0] if key != "id"]
            connection.execute(upsert(KINDS, rows, keys=["id"], update=update))


def stored(engine: sa.Engine) -> Any:
    """The table as it is, with documents as what they say."""
    found = read_arrow(engine, sa.select(KINDS).order_by(KINDS.c.id))
    assert found.schema == SCHEMA
    return found


def test_random_tables(
    sqlite: sa.Engine, online: sa.Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    for engine in (sqlite, online):
        METADATA.create_all(engine)
    ways = [(sqlite, 0, "rows"), (online, 1 << 30, "rows"), (online, 0, "staged")]

    @settings(
        max_examples=some(2000, 4),
        deadline=None,
        suppress_health_check=list(HealthCheck),
        print_blob=True,
    )
    @given(tables(), tables(), MODES)
    def run(before: Any, after: Any, mode: str) -> None:
        rows, table = after
        there = [] if mode == "append" else before[0]
        expected = []
        for engine in (sqlite, online):
            commit(engine, there, "replace")
            commit(engine, rows, mode)
            expected.append(stored(engine))
        assert expected[0].equals(expected[1])
        for engine, limit, way in ways:
            monkeypatch.setattr(choosing, "LARGE_JSON_BYTES", limit)
            commit(engine, there, "replace")
            keys = {row["id"] for row in there}
            done = load(engine, KINDS, table, mode=mode)
            found = stored(engine)
            assert found.equals(expected[0]), (way, difference(found, expected[0]))
            assert (done.way, done.read) == (way if rows else "rows", len(rows))
            known = sum(row["id"] in keys for row in rows)
            if mode == "upsert":
                assert (done.inserted, done.changed) == (len(rows) - known, known)
            elif mode == "insert_missing":
                assert (done.inserted, done.skipped) == (len(rows) - known, known)

    run()


def difference(found: Any, expected: Any) -> str:
    """The first columns that are not equal."""
    return json.dumps(
        {
            name: [found[name].to_pylist(), expected[name].to_pylist()]
            for name in expected.column_names
            if not found[name].equals(expected[name])
        },
        default=str,
    )[:2000]
