"""What the standby has of a table after a copy: what the warehouse had, whole and equal."""

from __future__ import annotations

import contextlib
import datetime as dt
import random
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError

from tests.dialect.held import engine_on
from tests.fallback.mirrored import ITEMS, Mirrored, mirrored
from tests.full import full, part, some
from tests.parity import test_types as parity
from tests.parity.backends import same
from tests.patience import wait_until
from vinci_code.core.errors import FallbackFileError, MirrorError, StandbyReadError
from vinci_code.database.dialect.types import ARRAY, MAP, STRUCT, VARIANT
from vinci_code.database.fallback import fallback as fallback_module
from vinci_code.database.fallback.fallback import Fallback
from vinci_code.database.fallback.journal import Journal
from vinci_code.database.fallback.mirror import refresh
from vinci_code.database.fallback.records import Sent
from vinci_code.database.models import Event
from vinci_code.warehouse import Fault
from vinci_code.warehouse.pytest_plugin import TestWarehouse

pytestmark = [
    pytest.mark.filterwarnings("ignore:Dialect sqlite.* does .not. support Decimal"),
    part(3),
]

UTC = dt.timezone.utc


@pytest.fixture
def online(local_warehouse: TestWarehouse) -> Iterator[Engine]:
    """An engine on an empty schema for this test alone."""
    engine = engine_on(local_warehouse.warehouse, local_warehouse.schema)
    yield engine
    engine.dispose()


@pytest.fixture
def items(local_warehouse: TestWarehouse, online: Engine, tmp_path: Path) -> Iterator[Mirrored]:
    """A fallback whose only table are the items."""
    with mirrored(local_warehouse, online, tmp_path / "standby.db") as found:
        yield found


Made = Callable[..., Mirrored]


@pytest.fixture
def made(local_warehouse: TestWarehouse, online: Engine, tmp_path: Path) -> Iterator[Made]:
    """Makes a fallback of tables."""
    with contextlib.ExitStack() as stack:

        def make(*tables: sa.Table, **options: Any) -> Mirrored:
            file = tmp_path / "standby.db"
            metadata = tables[0].metadata
            return stack.enter_context(mirrored(local_warehouse, online, file, metadata, **options))

        yield make


def table_of(*columns: sa.Column[Any], name: str = "t", **options: Any) -> sa.Table:
    key = sa.Column("id", sa.BigInteger, primary_key=True, autoincrement=False)
    return sa.Table(name, sa.MetaData(), key, *columns, **options)


def write(engine: Engine, table: sa.Table, *rows: dict[str, Any]) -> None:
    with engine.begin() as connection:
        for row in rows:
            connection.execute(sa.insert(table).values(row))


# --- values -----------------------------------------------------------------------------------


def test_values_of_all_types_are_equal(made: Made) -> None:
    table = parity.everything
    on = made(table)
    rows = [{name: value} for name, values in parity.VALUES.items() for value in values]
    rows += [{name: sa.null()} for name in parity.NULLABLE] + [{"document": sa.JSON.NULL}]
    write(on.online, table, *({"id": n, **row} for n, row in enumerate(rows)))
    [mirror] = refresh(on.fallback)
    assert mirror.rows == len(rows)
    here, there = on.here(table), on.there(table)
    assert len(here) == len(rows)
    for found, expected in zip(here, there, strict=True):
        assert same(found, expected)


def test_null_of_json_is_not_null(made: Made) -> None:
    table = table_of(sa.Column("document", sa.JSON))
    on = made(table)
    write(on.online, table, {"id": 1, "document": sa.JSON.NULL}, {"id": 2, "document": sa.null()})
    refresh(on.fallback)
    with on.fallback.standby.connect() as connection:
        query = sa.select(table.c.id).where(table.c.document.is_(None))
        assert connection.scalars(query).all() == [2]


def test_values_of_the_types_of_databricks_are_equal(made: Made) -> None:
    table = table_of(
        sa.Column("list", ARRAY(sa.Numeric(30, 10))),
        sa.Column("map", MAP(sa.String, sa.Date)),
        sa.Column("pairs", MAP(sa.Integer, sa.String)),
        sa.Column("struct", STRUCT(("at", sa.DateTime(timezone=True)), ("raw", sa.LargeBinary))),
        sa.Column("any", VARIANT),
    )
    on = made(table)
    write(
        on.online,
        table,
        {
            "id": 1,
            "list": [Decimal("12345678901234567890.0123456789"), None],
            "map": {"a": dt.date(2024, 2, 29)},
            "pairs": {1: "x", 2: None},
            "struct": {"at": dt.datetime(2024, 1, 1, tzinfo=UTC), "raw": b"\x00\xff"},
            "any": {"a": [1, None, 2.5]},
        },
        {"id": 2},
    )
    refresh(on.fallback)
    assert same(on.here(table), on.there(table))


def test_events_are_equal(made: Made) -> None:
    table: Any = Event.__table__
    on = made(table)
    moment = dt.datetime(2024, 2, 29, 12, 34, 56, 789012, tzinfo=UTC)
    values = {"event_type": "quake", "source": "usgs", "occurred_at": moment, "created_at": moment}
    write(
        on.online,
        table,
        {"id": 2**53 + 1, "event_key": "k", "payload": {"a": [1.5, None]}, **values},
        {"id": 2, "description": "", **values},
    )
    refresh(on.fallback)
    assert same(on.here(table), on.there(table))


class Hashed(sa.types.TypeDecorator[str]):
    """What it is given it hides; what it reads, it gives."""

    impl = sa.String
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: sa.Dialect) -> str | None:
        return None if value is None else f"hidden({value})"


class OrEmpty(sa.types.TypeDecorator[str]):
    """Reads text where nothing is stored; other text for each database."""

    impl = sa.String
    cache_ok = True

    def load_dialect_impl(self, dialect: sa.Dialect) -> Any:
        return dialect.type_descriptor(sa.Text() if dialect.name == "sqlite" else sa.String())

    def process_result_value(self, value: str | None, dialect: sa.Dialect) -> str:
        return value or ""


def test_decorators_are_not_applied_twice(made: Made) -> None:
    table = table_of(sa.Column("password", Hashed), sa.Column("text", OrEmpty))
    on = made(table)
    write(on.online, table, {"id": 1, "password": "x", "text": "y"}, {"id": 2})
    refresh(on.fallback)
    assert on.here(table) == on.there(table) == [(1, "hidden(x)", "y"), (2, None, "")]
    with on.fallback.standby.connect() as connection:
        nothing = sa.select(table.c.id).where(table.c.text.is_(None))
        assert connection.scalars(nothing).all() == [2]


class Reversed(sa.types.UserDefinedType[str]):
    """Text that SQL turns round."""

    cache_ok = True

    def get_col_spec(self, **_: Any) -> str:
        return "STRING"

    def bind_expression(self, bindvalue: Any) -> Any:
        return sa.func.upper(bindvalue, type_=self)

    def column_expression(self, colexpr: Any) -> Any:
        return sa.func.lower(colexpr, type_=self)


def test_types_with_sql_of_their_own(made: Made) -> None:
    table = table_of(sa.Column("text", Reversed))
    on = made(table)
    on.of.warehouse.sql(f"INSERT INTO {on.of.schema}.t VALUES (1, 'ABC'), (2, NULL)")
    refresh(on.fallback)
    assert on.here(table) == on.there(table) == [(1, "abc"), (2, None)]
    with on.fallback.standby.connect() as connection:
        raw = sa.select(sa.type_coerce(table.c.text, sa.String))
        assert connection.scalars(raw).all() == ["ABC", None]


def test_instants_are_instants(made: Made) -> None:
    table = table_of(sa.Column("at", sa.DateTime(timezone=True)))
    on = made(table)
    east = dt.timezone(dt.timedelta(hours=5, minutes=30))
    write(on.online, table, {"id": 1, "at": dt.datetime(2024, 7, 1, 12, tzinfo=east)}, {"id": 2})
    refresh(on.fallback)
    assert same(on.here(table), on.there(table))
    with on.fallback.standby.connect() as connection:
        west = dt.datetime(2024, 7, 1, 4, 30, tzinfo=dt.timezone(dt.timedelta(hours=-2)))
        assert connection.scalar(sa.select(table.c.id).where(table.c.at == west)) == 1


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (sa.Numeric(30, 10), Decimal("12345678901234567890.0123456789")),
        (sa.Numeric(), Decimal("0.123456789012345678")),
        (sa.Float(), float("nan")),
    ],
)
def test_what_sqlite_cannot_hold_is_refused(made: Made, kind: Any, value: Any) -> None:
    table = table_of(sa.Column("number", kind))
    on = made(table)
    refresh(on.fallback)
    write(on.online, table, {"id": 1, "number": 1}, {"id": 2, "number": value})
    with pytest.raises(MirrorError, match=r"t\.number was not copied"):
        refresh(on.fallback)
    assert on.here(table) == []
    assert on.leftovers() == []


# --- which tables -----------------------------------------------------------------------------


def test_capitals_and_odd_names(made: Made) -> None:
    table = table_of(sa.Column("When", sa.String), sa.Column('a "b"', sa.String), name="My_Items")
    on = made(table)
    write(on.online, table, {"id": 1, "When": "now", 'a "b"': "c"})
    assert [mirror.table for mirror in refresh(on.fallback, ["my_items"])] == ["My_Items"]
    assert on.here(table) == [(1, "now", "c")]


def test_tables_of_schemas(local_warehouse: TestWarehouse, online: Engine, tmp_path: Path) -> None:
    metadata = sa.MetaData()
    other = f"{local_warehouse.schema}_other"
    key: Callable[[], sa.Column[int]] = lambda: sa.Column(  # noqa: E731
        "id", sa.BigInteger, primary_key=True, autoincrement=False
    )
    owners = sa.Table("Owners", metadata, key(), schema=other)
    pets = sa.Table(
        "pets", metadata, key(), sa.Column("owner", sa.ForeignKey(owners.c.id)), schema=other
    )
    plain = sa.Table("plain", metadata, key(), sa.Column("pet", sa.ForeignKey(pets.c.id)))
    local_warehouse.warehouse.sql(f"CREATE SCHEMA {other}")
    try:
        with mirrored(local_warehouse, online, tmp_path / "s.db", metadata) as on:
            write(online, owners, {"id": 1})
            write(online, pets, {"id": 2, "owner": 1})
            write(online, plain, {"id": 3, "pet": 2})
            found = refresh(on.fallback, ["plain", "owners", f"{other}.pets", "plain"])
            assert [mirror.table for mirror in found] == [
                "plain",
                f"{other}.Owners",
                f"{other}.pets",
            ]
            on.leave()
            with on.session() as session:
                query = sa.select(pets.c.id, owners.c.id).join(owners)
                assert session.execute(query).all() == [(2, 1)]
                assert session.info["standby"]["as_of"].keys() == {"plain", "owners", "pets"}
                session.execute(sa.insert(pets).values(id=4, owner=1))
                session.commit()
            on.of.warehouse.faults.clear()
            assert on.fallback.bring_back() is not None
            assert [row[0] for row in on.there(pets)] == [2, 4]
    finally:
        local_warehouse.warehouse.sql(f"DROP SCHEMA {other} CASCADE")


def test_two_tables_of_one_name_are_refused(online: Engine, tmp_path: Path) -> None:
    metadata = sa.MetaData()
    for schema in ("one", "other"):
        sa.Table("t", metadata, sa.Column("id", sa.Integer, primary_key=True), schema=schema)
    fallback = Fallback(online, tmp_path / "s.db", metadata)
    try:
        with pytest.raises(MirrorError, match=r"T may be one\.t or other\.t"):
            refresh(fallback, ["T"])
        with pytest.raises(FallbackFileError, match=r"both one\.t and other\.t"):
            _ = fallback.standby
    finally:
        fallback.dispose()


def test_unknown_names_are_listed(items: Mirrored) -> None:
    before = len(items.of.requests)
    with pytest.raises(MirrorError, match=r"called nobody, x\.items") as caught:
        refresh(items.fallback, ["nobody", "items", "x.items"])
    assert "name some of these: items" in str(caught.value)
    assert len(items.of.requests) == before


def test_all_tables_by_default(made: Made) -> None:
    metadata = sa.MetaData()
    tables = [
        sa.Table(name, metadata, sa.Column("id", sa.BigInteger, primary_key=True))
        for name in ("one", "two")
    ]
    on = made(*tables)
    write(on.online, tables[0], {"id": 1})
    assert [(mirror.table, mirror.rows) for mirror in refresh(on.fallback)] == [
        ("one", 1),
        ("two", 0),
    ]
    assert refresh(on.fallback, []) == []


def test_an_older_standby_is_named(made: Made, online: Engine, tmp_path: Path) -> None:
    old = table_of()
    older = Fallback(online, tmp_path / "standby.db", old.metadata)
    _ = older.standby
    older.dispose()
    on = made(table_of(sa.Column("more", sa.String)))
    with pytest.raises(MirrorError, match=r"has not t\.more"):
        refresh(on.fallback)


# --- as of when -------------------------------------------------------------------------------


def test_sessions_say_as_of_when(items: Mirrored) -> None:
    items.fill(3, 1)
    before = dt.datetime.now(UTC)
    [mirror] = refresh(items.fallback)
    assert before <= dt.datetime.fromisoformat(mirror.as_of) <= dt.datetime.now(UTC)
    assert (mirror.table, mirror.rows, mirror.version) == ("items", 3, None)
    assert items.fallback.journal.mirrored() == {"items": mirror}
    items.leave()
    with items.session() as session:
        assert session.execute(sa.select(sa.func.count()).select_from(ITEMS)).scalar() == 3
        assert session.info["standby"]["as_of"] == {"items": mirror.as_of}


def test_one_select_for_each_table(items: Mirrored) -> None:
    items.fill(3, 1)
    refresh(items.fallback)
    before = len(items.of.statements)
    refresh(items.fallback)
    assert len(items.of.statements) == before + 1
    refresh(items.fallback, progress=lambda *_: None)
    assert len(items.of.statements) == before + 3


def test_progress(items: Mirrored) -> None:
    items.fill(5000, 1)
    calls: list[tuple[str, int, int | None]] = []
    refresh(items.fallback, ["items"], lambda *given: calls.append(given))
    assert calls[0] == ("items", 0, 5000)
    assert calls[-1] == ("items", 5000, 5000)
    assert len(calls) > 4
    assert [rows for _, rows, _ in calls] == sorted(rows for _, rows, _ in calls)


def test_a_copy_of_another_process_is_seen(
    items: Mirrored, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fallback_module, "_FRESH", 0.0)
    reads = items.fallback.reads
    with pytest.raises(StandbyReadError):
        reads.require(frozenset({"items"}))
    other = Fallback(items.online, items.file, items.metadata)
    try:
        refresh(other)
    finally:
        other.dispose()
    reads.require(frozenset({"items"}))


def test_what_is_mirrored_is_not_read_for_each_statement(
    items: Mirrored, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fallback_module, "_FRESH", 3600.0)
    read: list[None] = []
    mirrored_tables = Journal.mirrored

    def counted(self: Journal) -> Any:
        read.append(None)
        return mirrored_tables(self)

    monkeypatch.setattr(Journal, "mirrored", counted)
    with pytest.raises(StandbyReadError):
        items.fallback.reads.require(frozenset({"items"}))
    refresh(items.fallback)
    for _ in range(100):
        items.fallback.reads.require(frozenset({"items"}))
    assert len(read) == 2


# --- the old or the new -----------------------------------------------------------------------


def test_readers_see_one_version(items: Mirrored) -> None:
    items.fill(4000, 1)
    refresh(items.fallback)
    seen: set[tuple[int, int, int]] = set()
    stop, failed = threading.Event(), []

    def read() -> None:
        try:
            while not stop.is_set():
                seen.add(items.versions())
        except Exception as error:  # noqa: BLE001 - reported below
            failed.append(error)

    reader = threading.Thread(target=read)
    reader.start()
    try:
        for version in range(2, 6):
            items.fill(4000, version)
            refresh(items.fallback)
        wait_until(lambda: seen or failed, "the reader")
    finally:
        stop.set()
        reader.join()
    assert not failed
    assert {count for count, _, _ in seen} == {4000}
    assert all(least == greatest for _, least, greatest in seen)
    assert items.versions() == (4000, 5, 5)


def test_what_is_written_meanwhile_is_in_it_wholly_or_not_at_all(items: Mirrored) -> None:
    items.fill(30_000, 1)
    changed = iter([2])

    def change(name: str, rows: int, total: int | None) -> None:
        if rows and (version := next(changed, None)):
            items.fill(30_000, version)

    refresh(items.fallback, progress=change)
    assert items.versions() == (30_000, 1, 1)
    refresh(items.fallback)
    assert items.versions() == (30_000, 2, 2)


def test_an_error_in_the_middle_leaves_the_old(items: Mirrored) -> None:
    items.fill(1000, 1)
    [before] = refresh(items.fallback)
    items.fill(2000, 2)

    def fail(name: str, rows: int, total: int | None) -> None:
        if rows:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        refresh(items.fallback, progress=fail)
    assert items.versions() == (1000, 1, 1)
    assert items.fallback.journal.mirrored() == {"items": before}
    assert items.leftovers() == []


def test_an_outage_in_the_middle_leaves_the_old(items: Mirrored) -> None:
    # Files of a result are fetched ahead: so many rows would be here before the outage.
    sa.event.listen(items.online, "do_connect", _without_links)
    items.online.dispose()
    items.fill(1000, 1)
    refresh(items.fallback)
    items.fill(300_000, 2)

    def leave(name: str, rows: int, total: int | None) -> None:
        if rows == 100:
            items.leave()

    with pytest.raises(DBAPIError, match=r"(?i)answer|connect|reach"):
        refresh(items.fallback, progress=leave)
    assert items.versions() == (1000, 1, 1)
    assert items.fallback.state().state == "away"
    with pytest.raises(DBAPIError, match=r"(?i)answer|connect|reach"):
        refresh(items.fallback)
    items.of.warehouse.faults.clear()
    refresh(items.fallback)
    assert items.versions() == (300_000, 2, 2)


def _without_links(_dialect: Any, _record: Any, _given: Any, arguments: dict[str, Any]) -> None:
    arguments["use_cloud_fetch"] = False


def test_rows_that_break_a_constraint_are_refused(items: Mirrored) -> None:
    items.fill(3, 1)
    refresh(items.fallback)
    items.of.warehouse.sql(f"INSERT INTO {items.of.schema}.items VALUES (1, 2, 'again')")
    with pytest.raises(MirrorError, match=r"items was not copied.*UNIQUE.*items\.id"):
        refresh(items.fallback)
    assert items.versions() == (3, 1, 1)


def test_a_killed_copy_leaves_the_old(items: Mirrored) -> None:
    items.fill(5000, 1)
    refresh(items.fallback)
    items.fill(5000, 2)
    with items.copier() as copier:
        assert copier.stdout is not None
        for line in copier.stdout:
            if int(line.split()[0]) > 100:
                break
        copier.kill()
    assert items.leftovers() == ["standby.db.mirror"]
    assert (items.file.parent / "standby.db.mirror").stat().st_mode & 0o777 == 0o600
    assert items.versions() == (5000, 1, 1)
    refresh(items.fallback)
    assert items.versions() == (5000, 2, 2)
    assert items.leftovers() == []


@pytest.mark.slow
def test_a_copy_that_is_killed_while_it_is_put_in_leaves_the_one_or_the_other(
    items: Mirrored,
) -> None:
    seed = random.randrange(10**6)
    chance = random.Random(seed)
    print("seed", seed)
    rows = 20_000
    items.fill(rows, 1)
    refresh(items.fallback)
    for version in range(2, some(12, few=6)):
        [before] = items.fallback.journal.mirrored().values()
        _, old, _ = items.versions()
        items.fill(rows, version)
        with items.copier() as copier:
            assert copier.stdout is not None
            for line in copier.stdout:
                if line.startswith("swap"):
                    break
            time.sleep(chance.uniform(0, 0.15))
            copier.kill()
        count, least, greatest = items.versions()
        [after] = items.fallback.journal.mirrored().values()
        assert count == rows
        assert least == greatest in (old, version)
        assert (after == before) == (least == old)


# --- with a journal ---------------------------------------------------------------------------


def add(on: Mirrored, key: int) -> None:
    with on.session() as session, session.begin():
        session.execute(sa.insert(ITEMS).values(id=key, version=0, text="mine"))


def test_what_waits_is_sent_first(items: Mirrored) -> None:
    items.leave()
    items.fallback.went_away(ConnectionError("as the test wants it"))
    add(items, 1)
    assert items.fallback.state().waiting == 1
    items.of.warehouse.faults.clear()
    refresh(items.fallback)
    assert items.fallback.state().state == "online"
    assert items.here(ITEMS) == items.there(ITEMS) == [(1, 0, "mine")]


def test_it_is_refused_while_the_outcome_of_a_unit_is_not_known(items: Mirrored) -> None:
    journal = items.fallback.journal
    with items.online.connect() as connection:
        connection.exec_driver_sql("SELECT 1")
    items.fallback.online.dialect.history_timeout = 0.2  # type: ignore[attr-defined]
    opened = journal.connect()
    opened.execute("BEGIN IMMEDIATE")
    journal.append(
        opened,
        identity=str(uuid.uuid4()),
        document=b"{}",
        rows=1,
        sent=Sent("INSERT", time.time(), "its answer was lost"),
    )
    opened.execute("COMMIT")
    opened.close()
    items.of.inject(Fault.http(403, operation="GET /api/2.0/sql/history/queries", times=10**6))
    with pytest.raises((MirrorError, DBAPIError)) as caught:
        refresh(items.fallback)
    assert "have not arrived" in str(caught.value)
    assert items.fallback.journal.mirrored() == {}


def test_a_unit_that_is_committed_here_meanwhile_is_not_hidden(items: Mirrored) -> None:
    items.fill(5000, 1)
    refresh(items.fallback)
    kept = iter([True])

    def keep(name: str, rows: int, total: int | None) -> None:
        if rows and next(kept, False):
            items.fallback.went_away(ConnectionError("as another process sees it"))
            add(items, 10_000)

    with pytest.raises(MirrorError, match="1 units of work"):
        refresh(items.fallback, progress=keep)
    assert items.versions() == (5001, 0, 1)
    assert items.fallback.state().waiting == 1
    refresh(items.fallback)
    assert items.here(ITEMS) == items.there(ITEMS)
    assert len(items.here(ITEMS)) == 5001


def test_the_rows_of_a_parked_unit_are_those_of_the_warehouse(items: Mirrored) -> None:
    items.leave()
    items.fallback.went_away(ConnectionError("as the test wants it"))
    add(items, 1)
    items.of.warehouse.faults.clear()
    items.of.warehouse.sql(f"INSERT INTO {items.of.schema}.items VALUES (1, 7, 'theirs')")
    refresh(items.fallback)
    assert items.fallback.state().parked == 1
    assert items.here(ITEMS) == [(1, 7, "theirs")]


def test_one_at_a_time(items: Mirrored) -> None:
    items.fill(10, 1)
    with items.fallback.journal.replaying() as mine:
        assert mine
        with pytest.raises(MirrorError, match="another process"):
            refresh(items.fallback)
    free: list[bool] = []

    def look(name: str, rows: int, total: int | None) -> None:
        with items.fallback.journal.replaying() as mine:
            free.append(mine)

    refresh(items.fallback, progress=look)
    assert set(free) == {False}


def test_while_away_the_error_is_that_of_the_warehouse(items: Mirrored) -> None:
    refresh(items.fallback)
    items.leave()
    with pytest.raises(DBAPIError, match=r"(?i)answer|connect|reach"):
        refresh(items.fallback)
    assert items.fallback.state().state == "away"


# --- memory -----------------------------------------------------------------------------------


@full
@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_memory_is_constant(items: Mirrored) -> None:
    items.fill(600_000, 1)
    peaks: dict[int, int] = {}
    with items.copier() as copier:
        assert copier.stdout is not None
        for line in copier.stdout:
            if line[0].isdigit():
                rows, peak = map(int, line.split())
                peaks[rows] = peak
    assert copier.returncode == 0
    assert items.versions() == (600_000, 1, 1)
    first = next(peak for rows, peak in peaks.items() if rows > 150_000)
    assert peaks[600_000] - first < 20_000
    assert peaks[600_000] - peaks[0] < 150_000
