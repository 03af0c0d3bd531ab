"""What a load does to a table: its modes, its results, and what is left where it fails."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pytest
import sqlalchemy as sa
from sqlalchemy import orm
from sqlalchemy.exc import ArgumentError, IntegrityError, NoSuchTableError
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine

from tests.dialect.held import engine_on, rows_of
from vinci_code.core.errors import LoadRefusedError, RowRefusedError
from vinci_code.database import LoadPlan, LoadProgress, LoadResult, load, load_async
from vinci_code.database.loading import choosing, rows
from vinci_code.warehouse.pytest_plugin import TestWarehouse


class Base(orm.DeclarativeBase):
    pass


class Reading(Base):
    __tablename__ = "readings"

    number: orm.Mapped[int] = orm.mapped_column("id", primary_key=True)
    sensor: orm.Mapped[str]
    value: orm.Mapped[float | None]
    kind: orm.Mapped[str] = orm.mapped_column(default="plain")


TABLE: Any = Reading.__table__


@pytest.fixture(autouse=True)
def tables(request: pytest.FixtureRequest) -> None:
    for name in ("engine", "online", "sqlite", "staged"):
        if name in request.fixturenames:
            Base.metadata.create_all(request.getfixturevalue(name))


def arrow(*numbers: int, sensor: str = "s", **more: Any) -> pa.Table:
    return pa.table({"id": list(numbers), "sensor": [sensor] * len(numbers), **more})


def sensors(engine: sa.Engine) -> list[tuple[int, str]]:
    return [(row[0], row[1]) for row in rows_of(engine, TABLE)]


def is_left(engine: sa.Engine) -> bool:
    """Whether files lie in the volume."""
    if engine.dialect.name == "sqlite":
        return False
    with engine.connect() as connection:
        path = connection.exec_driver_sql("DESCRIBE VOLUME vinci_load").one()
        found = connection.exec_driver_sql(f"LIST '/Volumes/{path[1]}/{path[2]}/vinci_load'").all()
        inner = [
            row
            for folder in found
            for row in connection.exec_driver_sql(f"LIST '{folder[0]}'").all()
        ]
    return bool(inner)


# --- modes ----------------------------------------------------------------------------------------


def test_append(engine: sa.Engine) -> None:
    done = load(engine, Reading, arrow(1, 2))
    assert (done.read, done.written, done.inserted, done.changed, done.skipped) == (2, 2, 2, 0, 0)
    # In another order than the table's, and with a default between.
    load(engine, Reading, arrow(3, value=pa.nulls(1)).select(["value", "sensor", "id"]))
    assert rows_of(engine, TABLE) == [(n, "s", None, "plain") for n in (1, 2, 3)]
    with pytest.raises(IntegrityError):
        load(engine, Reading, arrow(4, 2))
    with pytest.raises(IntegrityError):
        load(engine, Reading, arrow(5, 5))
    assert len(sensors(engine)) == 3
    assert not is_left(engine)


def test_replace(engine: sa.Engine) -> None:
    load(engine, Reading, arrow(1, 2))
    done = load(engine, Reading, arrow(2, 3, sensor="new"), mode="replace")
    assert (done.written, done.inserted) == (2, 2)
    assert sensors(engine) == [(2, "new"), (3, "new")]
    assert load(engine, Reading, arrow()[:0], mode="replace").read == 0
    assert sensors(engine) == []


def test_upsert(engine: sa.Engine) -> None:
    load(engine, Reading, arrow(1, 2, value=[1.5, 2.5]))
    done = load(engine, Reading, arrow(2, 3, sensor="new", value=[9.5, None]), mode="upsert")
    assert done.read == 2
    assert (done.written, done.inserted, done.changed, done.skipped) == (2, 1, 1, 0)
    assert [row[:3] for row in rows_of(engine, TABLE)] == [
        (1, "s", 1.5),
        (2, "new", 9.5),
        (3, "new", None),
    ]
    load(
        engine,
        Reading,
        arrow(3, sensor="other", value=[7.0]),
        mode="upsert",
        keys=["number"],
        update=["value"],
    )
    assert rows_of(engine, TABLE)[2][:3] == (3, "new", 7.0)


def test_insert_missing(engine: sa.Engine) -> None:
    load(engine, Reading, arrow(1, 2))
    done = load(engine, Reading, arrow(2, 3, 4, sensor="new"), mode="insert_missing")
    assert (done.written, done.inserted, done.changed, done.skipped) == (2, 2, 0, 1)
    assert sensors(engine) == [(1, "s"), (2, "s"), (3, "new"), (4, "new")]


def test_an_upsert_of_keys_alone_changes_nothing(engine: sa.Engine) -> None:
    table = sa.Table(
        "keys",
        sa.MetaData(),
        sa.Column("id", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("name", sa.String),
    )
    table.create(engine)
    load(engine, table, [{"id": 1, "name": "a"}])
    done = load(engine, table, pa.table({"id": [1, 2]}), mode="upsert")
    assert (done.written, done.inserted, done.changed, done.skipped) == (1, 1, 0, 1)
    assert rows_of(engine, table) == [(1, "a"), (2, None)]


def test_schemas_that_stand_for_others(engine: sa.Engine) -> None:
    table = TABLE.to_metadata(sa.MetaData(), schema="elsewhere")
    with engine.connect().execution_options(schema_translate_map={"elsewhere": None}) as connection:
        load(connection, table, arrow(1, 2))
        connection.commit()
        load(connection, table, arrow(2, 3, sensor="new"), mode="insert_missing")
        connection.commit()
    assert sensors(engine) == [(1, "s"), (2, "s"), (3, "new")]


def test_keys_from_ranges_travel_as_rows(staged: sa.Engine, local_warehouse: TestWarehouse) -> None:
    engine = engine_on(local_warehouse.warehouse, local_warehouse.schema, keys="blocks")
    table = sa.Table(
        "numbered",
        sa.MetaData(),
        sa.Column("id", sa.BigInteger, primary_key=True),
        sa.Column("sensor", sa.String),
    )
    table.create(engine)
    done = load(engine, table, pa.table({"sensor": ["a", "b"]}))
    assert (done.way, "keys='blocks'" in done.why) == ("rows", True)
    assert rows_of(engine, table) == [(1, "a"), (2, "b")]
    engine.dispose()


def test_what_nobody_has_told_is_not_told(online: sa.Engine) -> None:
    twice = arrow(1, 1, 2)
    done = load(online, Reading, twice, mode="upsert")
    assert (done.read, done.written, done.inserted, done.changed) == (3, None, None, None)
    with online.begin() as connection:
        done = load(connection, Reading, arrow(2, 3), mode="insert_missing")
        assert (done.read, done.written, done.inserted) == (2, None, None)
    assert len(sensors(online)) == 3


def test_keys_are_not_checked_where_nobody_wants_it(staged: sa.Engine, sqlite: sa.Engine) -> None:
    load(staged, Reading, arrow(1, 1), enforce_keys=False)
    assert len(sensors(staged)) == 2
    with pytest.raises(IntegrityError):
        load(sqlite, Reading, arrow(1, 1), enforce_keys=False)


def test_keys_are_made_as_by_a_commit(engine: sa.Engine) -> None:
    load(engine, Reading, [{"sensor": "a"}, {"sensor": "b"}])
    load(engine, Reading, pa.table({"id": [None, 5], "sensor": ["c", "d"]}))
    found = sensors(engine)
    assert sorted(name for _, name in found) == ["a", "b", "c", "d"]
    assert len({number for number, _ in found}) == 4
    assert (5, "d") in found


# --- where it is loaded ---------------------------------------------------------------------------


def test_a_connection_commits_by_itself(engine: sa.Engine) -> None:
    with engine.connect() as connection:
        load(connection, Reading, arrow(1))
        assert connection.scalar(sa.select(sa.func.count()).select_from(TABLE)) == 1
        connection.rollback()
    assert sensors(engine) == []
    assert not is_left(engine)
    with engine.begin() as connection:
        load(connection, Reading, arrow(1))
    assert sensors(engine) == [(1, "s")]
    assert not is_left(engine)


def test_a_session_is_flushed_before(engine: sa.Engine) -> None:
    with orm.Session(engine) as session:
        session.add(Reading(number=1, sensor="own"))
        load(session, Reading, arrow(1, 2), mode="insert_missing")
        assert sorted(session.scalars(sa.select(Reading.sensor))) == ["own", "s"]
        session.rollback()
        assert session.scalars(sa.select(Reading)).all() == []
        session.add(Reading(number=1, sensor="own"))
        load(session, Reading, arrow(2))
        session.commit()
    assert sensors(engine) == [(1, "own"), (2, "s")]


def test_what_fails_leaves_the_unit_as_it_was(engine: sa.Engine) -> None:
    def broken() -> Iterator[dict[str, Any]]:
        for number in range(12_000):
            yield {"number": number, "sensor": "x"}
        raise KeyboardInterrupt

    with engine.connect() as connection:
        connection.execute(sa.insert(TABLE), {"id": -1, "sensor": "before"})
        with pytest.raises(KeyboardInterrupt):
            load(connection, Reading, broken())
        with pytest.raises(RowRefusedError) as caught:
            load(connection, Reading, pa.table({"id": [1, 2.5], "sensor": ["x", "y"]}))
        assert (caught.value.row, caught.value.column) == (2, "id")
        connection.commit()
    assert sensors(engine) == [(-1, "before")]
    assert not is_left(engine)


def test_what_fails_by_itself_leaves_nothing(engine: sa.Engine) -> None:
    def broken() -> Iterator[dict[str, Any]]:
        for number in range(12_000):
            yield {"number": number, "sensor": "x"}
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        load(engine, Reading, broken())
    assert sensors(engine) == []
    assert not is_left(engine)


def test_sqlite3_with_its_own_transactions() -> None:
    """As of create_engine(): the end of a savepoint would commit where nothing was begun."""
    engine = sa.create_engine("sqlite://")
    Base.metadata.create_all(engine)
    with engine.connect() as connection:
        load(connection, Reading, arrow(1))
        connection.rollback()
        assert connection.scalar(sa.select(sa.func.count()).select_from(TABLE)) == 0
    engine.dispose()


def test_autocommit_is_refused(engine: sa.Engine) -> None:
    with (
        engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection,
        pytest.raises(ArgumentError, match="all or nothing"),
    ):
        load(connection, Reading, arrow(1))
    with pytest.raises(ArgumentError, match="all or nothing"):
        load(engine.execution_options(isolation_level="AUTOCOMMIT"), Reading, arrow(1))
    assert sensors(engine) == []


def test_asyncio(
    tmp_path: Any, local_warehouse: TestWarehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    warehouse = local_warehouse.warehouse
    urls: list[tuple[Any, dict[str, Any]]] = [
        (f"sqlite+aiosqlite:///{tmp_path / 'async.db'}", {}),
        (
            sa.URL.create(
                "databricks+vinci_async",
                host=warehouse.host,
                port=warehouse.port,
                query={
                    "http_path": warehouse.http_path,
                    "catalog": local_warehouse.catalog,
                    "schema": local_warehouse.schema,
                },
            ),
            {
                "access_token": warehouse.access_token,
                "_tls_trusted_ca_file": str(warehouse.ca_file),
            },
        ),
    ]

    async def work(url: Any, arguments: dict[str, Any]) -> None:
        engine = create_async_engine(url, connect_args=arguments)
        try:
            async with engine.begin() as connection:
                await connection.run_sync(Base.metadata.create_all)
            assert isinstance(await load_async(engine, Reading, arrow(1, 2)), LoadResult)
            async with engine.connect() as connection:
                await load_async(connection, Reading, arrow(3))
            async with AsyncSession(engine) as session:
                session.add(Reading(number=4, sensor="own"))
                await load_async(session, Reading, arrow(5), mode="upsert")
                await session.commit()
                found = await session.scalars(sa.select(Reading.number).order_by(TABLE.c.id))
                assert found.all() == [1, 2, 4, 5]
            if engine.dialect.name != "sqlite":
                monkeypatch.setattr(choosing, "LARGE_JSON_BYTES", 0)
                async with engine.begin() as connection:
                    await connection.exec_driver_sql("CREATE VOLUME vinci_load")
                done = await load_async(engine, Reading, arrow(1, 9), mode="upsert")
                assert isinstance(done, LoadResult)
                assert (done.way, done.inserted, done.changed) == ("staged", 1, 1)
            with pytest.raises(ArgumentError, match=r"await load_async\("):
                load(engine, Reading, arrow(6))
            with pytest.raises(ArgumentError, match=r"call load\("):
                await load_async(engine.sync_engine, Reading, arrow(6))
        finally:
            await engine.dispose()

    for url, arguments in urls:
        asyncio.run(work(url, arguments))


# --- tables of a name -----------------------------------------------------------------------------


def test_a_name_is_reflected(engine: sa.Engine) -> None:
    load(engine, "readings", arrow(1, kind=["k"]))
    assert rows_of(engine, TABLE) == [(1, "s", None, "k")]
    with pytest.raises(NoSuchTableError):
        load(engine, "nothing", arrow(1))


def test_a_table_is_made_of_the_types(engine: sa.Engine) -> None:
    noon = dt.datetime(2024, 2, 29, 12)  # noqa: DTZ001
    source = pa.table(
        {
            "id": [1, 2],
            "small": pa.array([1, None], pa.int8()),
            "unsigned": pa.array([2**64 - 1, None], pa.uint64()),
            "odd name": ["a", "b"],
            "at": pa.array([noon, None], pa.timestamp("us")),
            "instant": pa.array([noon, None], pa.timestamp("us", "UTC")),
            "kind": pa.array(["x", "y"]).dictionary_encode(),
            "parts": pa.array([[1, None], None], pa.list_(pa.int64())),
        }
    )
    plan = load(engine, "made", source, create=True, keys=["id"], explain=True)
    assert isinstance(plan, LoadPlan)
    assert not sa.inspect(engine).has_table("made")
    load(engine, "made", source, create=True, keys=["id"])
    # Which of its times have a zone is nothing that SQLite tells of a table.
    again = source.slice(1).drop_columns(["at", "instant"])
    load(engine, "made", again, create=True, keys=["id"], mode="upsert")
    table = sa.Table("made", sa.MetaData(), autoload_with=engine)
    assert [column.name for column in table.primary_key] == ["id"]
    assert table.columns.keys() == source.column_names
    with engine.connect() as connection:
        found = connection.execute(sa.select(table.c["odd name"], table.c.kind)).all()
    assert sorted(found) == [("a", "x"), ("b", "y")]


def test_a_table_that_was_made_goes_where_the_load_fails(engine: sa.Engine) -> None:
    with pytest.raises(IntegrityError):
        load(engine, "made", arrow(1, 1), create=True, keys=["id"])
    assert not sa.inspect(engine).has_table("made")
    with engine.connect() as connection, pytest.raises(ArgumentError, match="pass an engine"):
        load(connection, "made", arrow(1), create=True)
    with pytest.raises(LoadRefusedError, match="rows of Python have none"):
        load(engine, "made", [{"id": 1}], create=True)
    with pytest.raises(ArgumentError, match="create_all"):
        load(engine, Reading, arrow(1), create=True)
    with pytest.raises(LoadRefusedError, match="null"):
        load(engine, "made", pa.table({"a": pa.nulls(1)}), create=True)
    assert not sa.inspect(engine).has_table("made")


# --- names ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "options", "message"),
    [
        ({"id": [1], "sensor": ["s"], "other": [1]}, {}, "has no 'other'"),
        ({"id": [1]}, {}, "the source has no 'sensor'"),
        ({"id": [1], "number": [1], "sensor": ["s"]}, {}, "are one column"),
        ({"sensor": ["s"]}, {"mode": "upsert"}, "which is a key"),
        ({"id": [1], "sensor": ["s"]}, {"mode": "upsert", "keys": ["sensor"]}, "declared unique"),
        ({"id": [1], "sensor": ["s"]}, {"mode": "merge"}, "it is one of"),
        ({"id": [1], "sensor": ["s"]}, {"keys": ["id"]}, "goes with mode"),
        ({"id": [1], "sensor": ["s"]}, {"mode": "upsert", "update": ["id"]}, "is a key"),
        ({"id": [1], "sensor": ["s"]}, {"mode": "upsert", "update": []}, "insert_missing"),
        ({"id": [1], "sensor": ["s"]}, {"mode": "upsert", "keys": "id"}, "list of names"),
        ({"id": [1], "sensor": ["s"]}, {"schema": "x"}, "goes with the name of a table"),
    ],
)
def test_what_does_not_go_together_is_refused(
    sqlite: sa.Engine, source: Any, options: Any, message: str
) -> None:
    with pytest.raises(ArgumentError, match=message):
        load(sqlite, Reading, pa.table(source), **options)
    assert sensors(sqlite) == []


def test_what_is_no_target_or_bind_is_refused(sqlite: sa.Engine) -> None:
    with pytest.raises(ArgumentError, match="a mapped class, a Table or the name"):
        load(sqlite, 5, arrow(1))
    with pytest.raises(ArgumentError, match="found a str"):
        load("sqlite://", Reading, arrow(1))
    other = sa.create_mock_engine("postgresql://", lambda *_: None)
    with pytest.raises(ArgumentError):
        load(other, Reading, arrow(1))


# --- how it goes ----------------------------------------------------------------------------------


def test_how_rows_travel_is_told(
    engine: sa.Engine, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    way = {"sqlite": "rows", "online": "rows", "staged": "staged"}[request.node.callspec.id]
    plan = load(engine, Reading, arrow(1, 2), mode="upsert", explain=True)
    assert (plan.table, plan.mode, plan.keys) == ("readings", "upsert", ("id",))
    assert (plan.way, plan.rows, plan.columns) == (way, 2, ("id", "sensor"))
    assert str(plan).startswith("upsert by id into readings: 2 rows")
    assert sensors(engine) == []
    assert load(engine, Reading, arrow(1)).way == way


def test_it_is_not_explained_of_what_is_read_once(online: sa.Engine) -> None:
    reader = pa.RecordBatchReader.from_batches(arrow(1).schema, arrow(1).to_batches())
    with pytest.raises(ArgumentError, match="read once only"):
        load(online, Reading, reader, explain=True)
    assert load(online, Reading, reader).read == 1


@dataclass
class Row:
    id: int
    sensor: str


def test_without_a_volume_they_travel_as_rows(
    local_warehouse: TestWarehouse, staged: sa.Engine
) -> None:
    with staged.connect() as connection:
        connection.exec_driver_sql("DROP VOLUME vinci_load")
    done = load(staged, Reading, arrow(1, 2))
    assert done.way == "rows"
    assert "no volume was named" in done.why
    assert len(sensors(staged)) == 2
    with pytest.raises(sa.exc.DBAPIError, match="cannot be found"):
        load(staged, Reading, arrow(3), volume="main.nowhere.volume")


def test_what_the_warehouse_alone_knows_travels_as_rows(staged: sa.Engine) -> None:
    table = sa.Table(
        "asked",
        sa.MetaData(),
        sa.Column("id", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("at", sa.DateTime, default=sa.func.now()),
        sa.Column(
            "own", sa.Integer, default=lambda context: context.get_current_parameters()["id"]
        ),
    )
    table.create(staged)
    done = load(staged, table, pa.table({"id": [1], "own": [5]}))
    assert (done.way, "computed by the warehouse" in done.why) == ("rows", True)
    at = dt.datetime(2024, 1, 1)  # noqa: DTZ001
    done = load(staged, table, pa.table({"id": [2], "at": [at]}))
    assert (done.way, "may look at its row" in done.why) == ("rows", True)
    assert [(row[0], row[2]) for row in rows_of(staged, table)] == [(1, 5), (2, 2)]


def test_objects_travel_as_rows(staged: sa.Engine) -> None:
    objects = [
        Reading(number=1, sensor="a"),
        Reading(sensor="b", value=2.0),
        Reading(sensor="c", kind=None),
    ]
    done = load(staged, Reading, objects)
    assert (done.way, done.read) == ("rows", 3)
    assert sorted(row[1:] for row in rows_of(staged, TABLE)) == [
        ("a", None, "plain"),
        ("b", 2.0, "plain"),
        ("c", None, "plain"),
    ]


def test_progress(engine: sa.Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "ROWS", 10)
    told: list[LoadProgress] = []
    load(engine, Reading, [{"number": n, "sensor": "s"} for n in range(25)], progress=told.append)
    assert told[-1].rows == told[-1].total_rows == 25
    assert [one.rows for one in told] == sorted({one.rows for one in told})
    assert told[-1].time_left == 0
    assert told[-1].rate > 0
    told.clear()
    load(engine, Reading, iter([Row(100, "s")]), progress=told.append)
    assert (told[-1].rows, told[-1].total_rows, told[-1].time_left) == (1, None, None)


def test_a_large_load_goes_by_a_volume(online: sa.Engine) -> None:
    """As it is without anything being changed: more than one statement takes."""
    numbers = range(120_000)
    source = pa.table({"id": numbers, "sensor": ["a text of some length"] * len(numbers)})
    assert source.nbytes * 3 > choosing.LARGE_JSON_BYTES
    done = load(online, Reading, source)
    assert (done.way, done.written) == ("staged", len(numbers))
    with online.connect() as connection:
        assert connection.scalar(sa.select(sa.func.count()).select_from(TABLE)) == len(numbers)
    assert not is_left(online)
