"""What rows can come from, and what is refused before anything happens."""

from __future__ import annotations

import dataclasses
import gzip
import importlib.machinery
import json
import subprocess
import sys
import types
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import sqlalchemy as sa
from sqlalchemy import orm

from tests.dialect.held import rows_of
from vinci_code.core.errors import InputDataError, LoadRefusedError, RowRefusedError
from vinci_code.database import load, read_batches

TABLE = sa.Table(
    "things",
    sa.MetaData(),
    sa.Column("id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("name", sa.String),
    sa.Column("price", sa.Numeric(15, 4)),
    sa.Column("document", sa.JSON(none_as_null=True)),
)
ROWS = [(1, "a", Decimal("1.2500"), {"n": [1, None]}), (2, None, None, None)]
ARROW = pa.table(
    {
        "id": [1, 2],
        "name": ["a", None],
        "price": pa.array([Decimal("1.25"), None], pa.decimal128(5, 2)),
        "document": ['{"n":[1,null]}', None],
    }
)

pytestmark = pytest.mark.filterwarnings("ignore:Dialect sqlite.pysqlite does .not. support Decimal")


@pytest.fixture(autouse=True)
def table(request: pytest.FixtureRequest) -> None:
    for name in ("engine", "sqlite"):
        if name in request.fixturenames:
            TABLE.create(request.getfixturevalue(name), checkfirst=True)


@dataclasses.dataclass
class Thing:
    id: int
    name: str | None = None
    price: Decimal | None = None
    document: Any = None


class Base(orm.DeclarativeBase):
    pass


class Mapped(Base):
    __table__ = TABLE.to_metadata(Base.metadata)


class Stream:
    """What has an Arrow stream, and is of no package that is known."""

    def __arrow_c_stream__(self, requested_schema: Any = None) -> Any:
        return ARROW.__arrow_c_stream__(requested_schema)


def written(folder: Path, name: str, data: bytes) -> str:
    path = folder / name
    path.write_bytes(data)
    return str(path)


def packed(data: bytes) -> bytes:
    with pa.BufferOutputStream() as sink:
        with pa.CompressedOutputStream(sink, "zstd") as out:
            out.write(data)
        found: bytes = sink.getvalue().to_pybytes()
    return found


CSV = b'id,name,price,document\n1,a,1.25,"{""n"":[1,null]}"\n2,,,\n'
JSONL = (
    b'{"id": 1, "name": "a", "price": 1.25, "document": {"n": [1, null]}}\n\n'
    b'{"id": 2, "price": null, "name": null, "document": null}\n'
)
DICTS: list[dict[str, Any]] = [
    {"id": 1, "name": "a", "price": Decimal("1.25"), "document": {"n": [1, None]}},
    {"id": 2, "name": None, "price": None, "document": None},
]


@pytest.mark.parametrize(
    "kind",
    [
        *("table batch batches reader stream pandas dicts generator dataclasses mapped".split()),
        *("parquet several csv csv.gz csv.zst jsonl jsonl.gz ndjson jsonl.zst".split()),
    ],
)
def test_each_kind(engine: sa.Engine, tmp_path: Path, kind: str) -> None:
    made = source(kind, tmp_path)
    done = load(engine, TABLE, made)
    assert done.read == 2
    assert rows_of(engine, TABLE) == ROWS


def source(kind: str, folder: Path) -> Any:
    made = MADE.get(kind)
    if made is not None:
        return made()
    if kind in {"parquet", "several"}:
        for number in range(2):
            pq.write_table(ARROW.slice(number, 1), folder / f"part-{number}.parquet")
        pq.write_table(ARROW, folder / "all.parquet")
        return folder / "all.parquet" if kind == "parquet" else str(folder / "part-*.parquet")
    data = CSV if kind.startswith("csv") else JSONL
    if kind.endswith(".gz"):
        data = gzip.compress(data)
    if kind.endswith(".zst"):
        data = packed(data)
    return written(folder, f"things.{kind}", data)


def frame() -> Any:
    made = pytest.importorskip("pandas").DataFrame(DICTS)
    assert made["document"].dtype == object
    return made


MADE: dict[str, Callable[[], Any]] = {
    "table": lambda: ARROW,
    "batch": lambda: ARROW.to_batches()[0],
    "batches": lambda: ARROW.to_batches(max_chunksize=1),
    "reader": lambda: pa.RecordBatchReader.from_batches(ARROW.schema, ARROW.to_batches()),
    "stream": Stream,
    "pandas": frame,
    "dicts": lambda: DICTS,
    "generator": lambda: (row for row in DICTS),
    "dataclasses": lambda: [Thing(**row) for row in DICTS],
    "mapped": lambda: [Mapped(**DICTS[0]), Mapped(id=2)],
}


def test_what_was_read_is_loaded(engine: sa.Engine, sqlite: sa.Engine) -> None:
    load(engine, TABLE, ARROW)
    with (
        engine.connect() as connection,
        read_batches(connection, sa.select(TABLE), batch_rows=1) as batches,
    ):
        other = sa.create_engine("sqlite://")
        TABLE.create(other)
        assert load(other, TABLE, batches).read == 2
        assert rows_of(other, TABLE) == ROWS
        other.dispose()


def test_polars_is_asked_for_its_table(sqlite: sa.Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stands in for polars, which is no dependency: it is called by its documented name."""
    polars = types.ModuleType("polars")
    polars.__spec__ = importlib.machinery.ModuleSpec("polars", None)
    frame = type("DataFrame", (), {"__module__": "polars.dataframe", "to_arrow": lambda _: ARROW})
    lazy = type("LazyFrame", (), {"__module__": "polars.lazyframe"})
    monkeypatch.setitem(sys.modules, "polars", polars)
    load(sqlite, TABLE, frame())
    assert rows_of(sqlite, TABLE) == ROWS
    with pytest.raises(LoadRefusedError, match="collect"):
        load(sqlite, TABLE, lazy())


def test_polars_itself(engine: sa.Engine) -> None:
    polars = pytest.importorskip("polars")
    load(engine, TABLE, polars.from_arrow(ARROW))
    assert rows_of(engine, TABLE) == ROWS


def test_pandas_says_in_many_ways_that_there_is_nothing(engine: sa.Engine) -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(
        {
            "id": [1.0, 2.0, 3.0],
            "name": ["a", float("nan"), None],
            "price": [0.1, float("nan"), 1e9],
            "document": [{"a": 1}, pandas.NA, pandas.NaT],
        }
    )
    load(engine, TABLE, frame)
    assert rows_of(engine, TABLE) == [
        (1, "a", Decimal("0.1000"), {"a": 1}),
        (2, None, None, None),
        (3, None, Decimal("1000000000.0000"), None),
    ]


def test_texts_of_files_say_values(engine: sa.Engine, tmp_path: Path) -> None:
    kinds = sa.Table(
        "said",
        sa.MetaData(),
        sa.Column("id", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("flag", sa.Boolean),
        sa.Column("day", sa.Date),
        sa.Column("moment", sa.DateTime),
        sa.Column("key", sa.Uuid),
        sa.Column("text", sa.String),
        sa.Column("exact", sa.Numeric(20, 15)),
        sa.Column("double", sa.Double),
    )
    kinds.create(engine)
    key = "12345678-1234-5678-1234-567812345678"
    csv = written(
        tmp_path,
        "a.csv",
        "id,flag,day,moment,key,text,exact,double\n"
        f'1,true,2024-02-29,2024-02-29T12:00:00.5,{key},"",0.123456789012345,1e3\n'.encode(),
    )
    row = {
        "id": 2,
        "flag": False,
        "day": "2024-02-29",
        "moment": "2024-02-29 12:00:00.500000",
        "key": key,
        "text": "",
        "double": 2.5,
    }
    line = json.dumps(row)[:-1] + ', "exact": 0.123456789012345}\n'
    load(engine, kinds, [csv])
    load(engine, kinds, written(tmp_path, "b.jsonl", line.encode()))
    first, second = rows_of(engine, kinds)
    assert first[1:-1] == (True, *second[2:-1])
    assert second[6] == Decimal("0.123456789012345")
    assert first[5] == ""
    with pytest.raises(RowRefusedError) as caught:
        load(engine, kinds, written(tmp_path, "c.csv", b"id,day\n5,2024-02-29\n6,yesterday\n"))
    assert (caught.value.row, caught.value.column) == (2, "day")
    assert len(rows_of(engine, kinds)) == 2


def test_numbers_of_json_have_all_their_digits(staged: sa.Engine, tmp_path: Path) -> None:
    exact = sa.Table(
        "exact",
        sa.MetaData(),
        sa.Column("number", sa.Numeric(30, 25)),
        sa.Column("document", sa.JSON),
    )
    exact.create(staged)
    line = b'{"number": 0.1234567890123456789012345, "document": {"a": [0.5]}}'
    load(staged, exact, written(tmp_path, "a.jsonl", line))
    assert rows_of(staged, exact) == [(Decimal("0.1234567890123456789012345"), {"a": [0.5]})]


def test_nan_of_a_type_of_arrow_is_nothing_in_pandas(sqlite: sa.Engine) -> None:
    pandas = pytest.importorskip("pandas")
    kind = pandas.ArrowDtype(pa.float64())
    numbers = pandas.arrays.ArrowExtensionArray(pa.array([0.5, float("nan")]))
    frame = pandas.DataFrame({"id": [1, 2], "price": pandas.Series(numbers, dtype=kind)})
    load(sqlite, TABLE, frame)
    assert [row[2] for row in rows_of(sqlite, TABLE)] == [Decimal("0.5000"), None]


# --- what is refused ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (5, "it is no source"),
        (b"bytes", "it is no source"),
        ({"id": 1}, "it is no source"),
        ([1, 2], "whose first item is int"),
        (pa.array([1]), "it has no rows with names"),
        ("nothing.csv", "there is no such file"),
        ("nothing-*.csv", "there is no such file"),
        ([{"id": 1}, {"id": 2, "name": "b"}], r"row 2 .* it has 'id', 'name', and row 1 has 'id'"),
        ([Thing(1), {"id": 2}], "row 2 .* it is dict, and row 1 is Thing"),
    ],
)
def test_no_source(sqlite: sa.Engine, made: Any, message: str) -> None:
    with pytest.raises(LoadRefusedError, match=message):
        load(sqlite, TABLE, made)
    assert rows_of(sqlite, TABLE) == []


def test_files_that_tell_too_little(sqlite: sa.Engine, tmp_path: Path) -> None:
    for name, message in [
        ("a.txt", "its name does not tell"),
        ("a.parquet.gz", "packed within"),
        ("a.csv", "no first line"),
    ]:
        with pytest.raises(LoadRefusedError, match=message):
            load(sqlite, TABLE, written(tmp_path, name, b""))
    with pytest.raises(LoadRefusedError, match="it is a folder"):
        load(sqlite, TABLE, tmp_path)
    with pytest.raises(LoadRefusedError, match="called 'id'"):
        load(sqlite, TABLE, written(tmp_path, "b.csv", b"id,id\n1,2\n"))
    one = written(tmp_path, "c.csv", b"id\n1\n")
    other = written(tmp_path, "d.csv", b"id,name\n1,a\n")
    with pytest.raises(LoadRefusedError, match="'name' is in it or in"):
        load(sqlite, TABLE, [one, other])
    pq.write_table(ARROW, tmp_path / "e.parquet")
    with pytest.raises(LoadRefusedError, match="csv and parquet"):
        load(sqlite, TABLE, [one, tmp_path / "e.parquet"])
    assert load(sqlite, TABLE, written(tmp_path, "f.data", b"id\n1\n"), format="csv").read == 1
    with pytest.raises(LoadRefusedError, match="that of files"):
        load(sqlite, TABLE, ARROW, format="csv")
    with pytest.raises(LoadRefusedError, match="no format"):
        load(sqlite, TABLE, one, format="xml")


@pytest.mark.parametrize(
    ("name", "data", "line"),
    [
        ("a.parquet", b"PAR1 and nothing", None),
        ("a.csv", b"id,name\n1,a,3\n", 2),
        ("a.csv.gz", b"no gzip", None),
        ("a.jsonl", b'{"id": 1}\nnothing\n', 2),
        ("a.jsonl", b'{"id": 1}\n[1]\n', 2),
        ("a.jsonl", b'{"id": 1}\n{"id": 2, "id": 3}\n', 2),
        ("a.jsonl", b'{"id": 1}\n{"id": 2, "name": "b"}\n', 2),
        ("a.jsonl", b'{"id": 1}\n{"id": NaN}\n', 2),
    ],
)
def test_damaged_files(
    sqlite: sa.Engine, tmp_path: Path, name: str, data: bytes, line: int | None
) -> None:
    with pytest.raises(InputDataError) as caught:
        load(sqlite, TABLE, written(tmp_path, name, data))
    assert (Path(caught.value.source).name, caught.value.line) == (name, line)
    assert rows_of(sqlite, TABLE) == []


def test_dicts_need_no_pyarrow() -> None:
    script = """
import sys
sys.modules["pyarrow"] = None
import sqlalchemy as sa
from vinci_code.core.errors import MissingExtraError
from vinci_code.database import load
engine = sa.create_engine("sqlite://")
table = sa.Table("t", sa.MetaData(), sa.Column("id", sa.Integer, primary_key=True))
with engine.begin() as connection:
    table.create(connection)
    assert load(connection, table, ({"id": n} for n in range(5))).written == 5
    assert load(connection, table, [{"id": 1}, {"id": 9}], mode="upsert").inserted == 1
    try:
        load(connection, table, "nothing.csv")
    except (MissingExtraError, ValueError):
        print("done")
"""
    found = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60
    )
    assert found.stdout == "done\n", found.stderr
