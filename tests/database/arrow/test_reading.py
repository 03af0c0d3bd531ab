"""Reading as Arrow is part of the unit of work, and goes the way of every other statement."""

from __future__ import annotations

import asyncio
import datetime as dt
import importlib.util
import uuid
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import sqlalchemy as sa
from sqlalchemy import orm
from sqlalchemy.exc import ArgumentError, DBAPIError, IntegrityError, InvalidRequestError
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine

from tests.dialect.held import sending
from tests.full import part
from tests.patience import FOR_LONG_S, SHORT_S, soon
from vinci_code.core.errors import ColumnRefusedError, MissingExtraError
from vinci_code.database import read_arrow, read_arrow_async, read_batches
from vinci_code.database.dialect import dberrors
from vinci_code.database.dialect.driver import dbapi
from vinci_code.database.models.types import INTEGER_KEY, UtcDateTime
from vinci_code.warehouse import Fault
from vinci_code.warehouse.pytest_plugin import TestWarehouse


class Base(orm.DeclarativeBase):
    pass


class Author(Base):
    __tablename__ = "authors"

    id: orm.Mapped[int] = orm.mapped_column(sa.BigInteger, primary_key=True, autoincrement=False)
    name: orm.Mapped[str | None] = orm.mapped_column("full_name")
    life: orm.Mapped[str | None] = orm.mapped_column(deferred=True)
    books: orm.Mapped[list[Book]] = orm.relationship(back_populates="author")


class Book(Base):
    __tablename__ = "books"

    id: orm.Mapped[int] = orm.mapped_column(sa.BigInteger, primary_key=True, autoincrement=False)
    author_id: orm.Mapped[int | None] = orm.mapped_column(sa.ForeignKey("authors.id"))
    title: orm.Mapped[str | None]
    author: orm.Mapped[Author | None] = orm.relationship(back_populates="books", lazy="joined")


class Note(Base):
    __tablename__ = "notes"

    id: orm.Mapped[int] = orm.mapped_column(INTEGER_KEY, primary_key=True)
    key: orm.Mapped[uuid.UUID]
    price: orm.Mapped[Decimal] = orm.mapped_column(sa.Numeric(10, 2))
    day: orm.Mapped[dt.date]
    done: orm.Mapped[dt.datetime | None] = orm.mapped_column(UtcDateTime)


DAY = dt.date(2024, 2, 29)
NOON = dt.datetime(2024, 2, 29, 12, tzinfo=dt.timezone.utc)
BY_ID = sa.select(Author.id, Author.name).order_by(Author.id)


@pytest.fixture
def tables(engine: sa.Engine) -> Iterator[sa.Engine]:
    """The engine, with two authors."""
    Base.metadata.create_all(engine)
    with orm.Session(engine) as session:
        session.add_all([Author(id=1, name="Ada"), Author(id=2, name="Bob")])
        session.commit()
    yield engine
    Base.metadata.drop_all(engine)


def names(bind: Any) -> list[str]:
    found: list[str] = read_arrow(bind, BY_ID)["full_name"].to_pylist()
    return found


# --- the unit of work -----------------------------------------------------------------------------


def test_a_session_reads_what_it_has_written(tables: sa.Engine) -> None:
    with orm.Session(tables) as session:
        session.add(Author(id=3, name="Cy"))
        assert names(session) == ["Ada", "Bob", "Cy"], "flushed, as by execute()"
        session.execute(sa.update(Author).where(Author.id == 1).values(name="Eve"))
        session.execute(sa.delete(Author).where(Author.id == 2))
        assert names(session) == ["Eve", "Cy"]
        with read_batches(session, BY_ID, batch_rows=1) as batches:
            assert [batch["full_name"].to_pylist() for batch in batches] == [["Eve"], ["Cy"]]
        session.rollback()
        assert names(session) == ["Ada", "Bob"]
    assert names(tables) == ["Ada", "Bob"]


def test_a_row_that_the_unit_has_inserted_is_read_without_a_request(
    engines: tuple[sa.Engine, ...], local_warehouse: TestWarehouse
) -> None:
    tables = []
    key = uuid.UUID(int=5)
    for engine in engines:
        Base.metadata.create_all(engine)
        with orm.Session(engine) as session:
            note = Note(key=key, price=Decimal("1.5"), day=DAY, done=NOON)
            session.add(note)
            session.flush()
            query = sa.select(Note.key, Note.day, Note.done).where(Note.id == note.id)
            with sending(lambda: local_warehouse.warehouse.statements) as sent:
                tables.append(read_arrow(session, query))
                with read_batches(session, query) as batches:
                    assert [batch.num_rows for batch in batches] == [1]
            assert sent == []
            if engine is engines[1]:
                with pytest.raises(ColumnRefusedError, match="leave raw=True out"):
                    read_arrow(session, query, raw=True)
    assert tables[0].equals(tables[1])
    assert tables[0].to_pylist() == [{"key": str(key), "day": DAY, "done": NOON}]


def test_rows_are_locked(engines: tuple[sa.Engine, ...]) -> None:
    for engine in engines:
        Base.metadata.create_all(engine)
        with orm.Session(engine) as session:
            session.add_all([Author(id=1, name="Ada"), Author(id=2, name="Bob")])
            session.add(Note(key=uuid.UUID(int=5), price=Decimal("1.5"), day=DAY))
            session.commit()
            assert read_arrow(session, BY_ID.with_for_update()).num_rows == 2
            note = sa.select(Note.key, Note.price, Note.day, Note.done).with_for_update()
            assert read_arrow(session, note).to_pylist() == [
                {"key": str(uuid.UUID(int=5)), "price": Decimal("1.50"), "day": DAY, "done": None}
            ]


def test_a_savepoint_is_seen(tables: sa.Engine) -> None:
    with tables.connect() as connection:
        nested = connection.begin_nested()
        connection.execute(sa.insert(Author).values(id=3, name="Cy"))
        assert names(connection) == ["Ada", "Bob", "Cy"]
        nested.rollback()
        assert names(connection) == ["Ada", "Bob"]


def test_a_held_row_that_is_there_already_is_an_error(engines: tuple[sa.Engine, ...]) -> None:
    Base.metadata.create_all(engines[1])
    with engines[1].begin() as connection:
        connection.execute(sa.insert(Author).values(id=1, name="Ada"))
    with engines[1].connect() as connection:
        connection.execute(sa.insert(Author).values(id=1, name="Again"))
        with pytest.raises(IntegrityError, match="UNIQUE constraint failed"):
            read_arrow(connection, BY_ID)


def test_schemas_are_translated(engines: tuple[sa.Engine, ...]) -> None:
    table = sa.Table("t", sa.MetaData(), sa.Column("a", sa.Integer), schema="here")
    sqlite, warehouse = engines
    of_url = warehouse.url.query["schema"]
    for engine, schema in ((sqlite, None), (warehouse, of_url)):
        with engine.connect() as connection:
            connection = connection.execution_options(schema_translate_map={"here": schema})
            table.create(connection)
            connection.execute(sa.insert(table), [{"a": 1}])
            assert read_arrow(connection, sa.select(table)).to_pylist() == [{"a": 1}]


def test_nothing_but_the_select_is_sent(
    engines: tuple[sa.Engine, ...], local_warehouse: TestWarehouse
) -> None:
    with sending(lambda: local_warehouse.warehouse.statements) as sent:
        read_arrow(engines[1], sa.select(sa.literal(1).label("a")))
    assert len(sent) == 1


def test_events_see_the_statement(tables: sa.Engine) -> None:
    seen: list[str] = []

    @sa.event.listens_for(tables, "before_cursor_execute", retval=True)
    def commented(_c: Any, _k: Any, text: str, parameters: Any, *_: Any) -> tuple[str, Any]:
        seen.append(text)
        return f"{text} -- seen", parameters

    assert names(tables) == ["Ada", "Bob"]
    assert [text.split()[0] for text in seen if not text.startswith("BEGIN")] == ["SELECT"]


def test_criteria_of_the_session_count(tables: sa.Engine) -> None:
    with orm.Session(tables) as session:

        @sa.event.listens_for(session, "do_orm_execute")
        def only_bob(state: orm.ORMExecuteState) -> None:
            state.statement = state.statement.options(
                orm.with_loader_criteria(Author, Author.name == "Bob")
            )

        assert names(session) == ["Bob"]


def test_an_answer_from_a_cache_is_refused(tables: sa.Engine) -> None:
    with orm.Session(tables) as session:
        frozen = session.execute(BY_ID).freeze()

        @sa.event.listens_for(session, "do_orm_execute")
        def cached(_state: orm.ORMExecuteState) -> Any:
            return frozen()

        with pytest.raises(InvalidRequestError, match="do not come from a cursor"):
            read_arrow(session, BY_ID)


def test_parameters(tables: sa.Engine) -> None:
    query = BY_ID.where(Author.id == sa.bindparam("key"))
    assert read_arrow(tables, query, {"key": 2})["full_name"].to_pylist() == ["Bob"]
    several = BY_ID.where(Author.id.in_(sa.bindparam("keys", expanding=True)))
    with orm.Session(tables) as session:
        assert read_arrow(session, several, {"keys": [1, 2, 3]}).num_rows == 2


@pytest.mark.parametrize("option", [{"stream_results": True}, {"yield_per": 1}], ids=str)
def test_no_row_is_fetched_in_advance(option: dict[str, Any], tables: sa.Engine) -> None:
    for bind in (tables, tables.execution_options(**option)):
        for query in (BY_ID, BY_ID.execution_options(**option)):
            assert names(bind) == ["Ada", "Bob"]
            with orm.Session(bind) as session:
                found = read_arrow(session, query, execution_options=option)
                assert found.num_rows == 2
            with read_batches(bind, query, batch_rows=1) as batches:
                assert len(list(batches)) == 2


def test_a_result_that_somebody_has_begun_to_fetch_is_refused(tables: sa.Engine) -> None:
    made = tables.dialect.execution_ctx_cls

    class Buffering(made):  # type: ignore[misc,valid-type]
        def _setup_result_proxy(self) -> Any:
            self.execution_options = self.execution_options.union({"stream_results": True})
            return super()._setup_result_proxy()

    tables.dialect.execution_ctx_cls = Buffering
    try:
        with pytest.raises(InvalidRequestError, match="none was read"):
            read_arrow(tables, BY_ID)
    finally:
        tables.dialect.execution_ctx_cls = made
    assert names(tables) == ["Ada", "Bob"]


# --- entities -------------------------------------------------------------------------------------


def test_an_entity_stands_for_its_columns(tables: sa.Engine) -> None:
    query = sa.select(Author).order_by(Author.id)
    wanted = [{"id": 1, "full_name": "Ada"}, {"id": 2, "full_name": "Bob"}]
    with orm.Session(tables) as session:
        assert read_arrow(session, query).to_pylist() == wanted
        assert list(session.identity_map) == [], "no object is made"
        whole = query.options(orm.undefer(Author.life))
        assert read_arrow(session, whole).schema.names == ["id", "full_name", "life"]
        aliased = orm.aliased(Author)
        counted = sa.select(aliased.id, sa.func.count(aliased.id)).group_by(aliased.id)
        assert read_arrow(session, counted).num_rows == 2
    assert read_arrow(tables, query).to_pylist() == wanted


def test_eager_joins_are_refused(tables: sa.Engine) -> None:
    with orm.Session(tables) as session:
        session.add(Book(id=1, author_id=1, title="t"))
        for query in (sa.select(Book), sa.select(Author).options(orm.joinedload(Author.books))):
            for bind in (session, session.connection()):
                with pytest.raises(InvalidRequestError, match=r"options\(lazyload\('\*'\)\)"):
                    read_arrow(bind, query)
        alone = sa.select(Book).options(orm.lazyload("*"))
        assert read_arrow(session, alone).to_pylist() == [{"id": 1, "author_id": 1, "title": "t"}]
        others = sa.select(Author).options(orm.selectinload(Author.books))
        assert read_arrow(session, others).num_rows == 2
        union = sa.union_all(sa.select(Author.id), sa.select(Book.id))
        assert read_arrow(session, union).num_rows == 3


def test_names_that_come_twice_are_refused(tables: sa.Engine) -> None:
    for query in (
        sa.select(Author.__table__.c.id, Author.__table__.c.full_name.label("id")),
        sa.text("SELECT 1 AS id, 2 AS id"),
    ):
        for raw in (False, True):
            with pytest.raises(ColumnRefusedError, match=r"'id' (.|\n)* column.label\(name\)"):
                read_arrow(tables, query, raw=raw)


# --- columns without a type -----------------------------------------------------------------------


def test_a_type_is_that_of_all_values_on_sqlite(engines: tuple[sa.Engine, ...]) -> None:
    mixed = sa.text("SELECT 1 AS a UNION ALL SELECT 2.5 UNION ALL SELECT NULL")
    table = read_arrow(engines[0], mixed)
    assert table.schema == pa.schema({"a": pa.float64()})
    assert sorted(table["a"].drop_null().to_pylist()) == [1.0, 2.5]
    with pytest.raises(ColumnRefusedError, match="its values are int and str"):
        read_arrow(engines[0], sa.text("SELECT 1 AS a UNION ALL SELECT 'x'"))
    with pytest.raises(ColumnRefusedError, match="more digits than a float"):
        read_arrow(engines[0], sa.text(f"SELECT {2**53 + 1} AS a UNION ALL SELECT 0.5"))


def test_a_type_is_that_of_the_first_batch_on_sqlite(engines: tuple[sa.Engine, ...]) -> None:
    later = sa.text("SELECT * FROM (SELECT 1.5 AS a UNION ALL SELECT 2 UNION ALL SELECT NULL)")
    with read_batches(engines[0], later, batch_rows=1) as batches:
        assert [batch["a"].to_pylist() for batch in batches] == [[1.5], [2.0], [None]]
    other = sa.text("SELECT * FROM (SELECT 1 AS a UNION ALL SELECT 'x')")
    batches = read_batches(engines[0], other, batch_rows=1)
    assert next(batches)["a"].to_pylist() == [1]
    with pytest.raises(ColumnRefusedError, match="first values were int64, and later ones are st"):
        next(batches)
    assert list(batches) == [], "closed by the error"


def test_types_of_the_warehouse_are_kept_where_there_are_no_others(
    engines: tuple[sa.Engine, ...],
) -> None:
    query = sa.text("SELECT CAST(1 AS SMALLINT) AS a, TIMESTAMP'2024-01-01 00:00:00Z' AS t")
    table = read_arrow(engines[1], query)
    assert table.schema == pa.schema({"a": pa.int16(), "t": pa.timestamp("us", "UTC")})
    raw = read_arrow(engines[1], query, raw=True)
    assert raw.schema.field("t").type == pa.timestamp("us", "Etc/UTC")
    assert raw.schema.field("a").metadata[b"Spark:DataType:SqlName"] == b"SMALLINT"


def test_raw_is_what_the_driver_gives(tables: sa.Engine) -> None:
    query = sa.select(Author.id, sa.type_coerce(Author.name, sa.JSON).label("n"), sa.func.now())
    assert read_arrow(tables, query, raw=True)["n"].to_pylist() == ["Ada", "Bob"]


def test_a_table_of_the_drivers_without_columns_has_those_of_the_select(
    engines: tuple[sa.Engine, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dbapi.Cursor, "fetchall_arrow", lambda _: pa.table({}))
    query = sa.select(sa.literal(1).label("a"), sa.literal(DAY).label("b"), sa.null().label("c"))
    assert read_arrow(engines[1], query).schema == pa.schema(
        {"a": pa.int64(), "b": pa.date32(), "c": pa.null()}
    )


# --- batches --------------------------------------------------------------------------------------


def test_batches_are_closed_with_their_connection(tables: sa.Engine) -> None:
    pool: Any = tables.pool
    before = pool.checkedout()
    batches = read_batches(tables, BY_ID, batch_rows=1)
    assert pool.checkedout() == before + 1
    assert next(batches).num_rows == 1
    batches.close()
    batches.close()
    assert pool.checkedout() == before
    assert list(batches) == []
    with read_batches(tables, BY_ID) as whole:
        assert len(list(whole)) == 1
        assert pool.checkedout() == before, "closed at the end"
    with pytest.raises(ColumnRefusedError):
        read_batches(tables, sa.text("SELECT 1 AS a, 2 AS a"))
    assert pool.checkedout() == before, "closed by an error"


@pytest.mark.parametrize("rows", [0, -1, 1.5, True, None])
def test_a_batch_has_rows(rows: Any, engine: sa.Engine) -> None:
    with pytest.raises(ArgumentError, match="1 or more; nothing was executed"):
        read_batches(engine, sa.text("SELECT 1 AS a"), batch_rows=rows)


def test_a_reader_of_batches_is_made_of_them(tables: sa.Engine) -> None:
    with read_batches(tables, BY_ID, batch_rows=1) as batches:
        reader = pa.RecordBatchReader.from_batches(batches.schema, batches)
        assert reader.read_all().num_rows == 2


# --- errors ---------------------------------------------------------------------------------------


@pytest.fixture
def inline(engines: tuple[sa.Engine, ...]) -> sa.Engine:
    """The warehouse's engine, to which large results come in replies, where faults meet them."""

    def without_links(_dialect: Any, _record: Any, _args: Any, arguments: dict[str, Any]) -> None:
        arguments["use_cloud_fetch"] = False

    sa.event.listen(engines[1], "do_connect", without_links)
    return engines[1]


def test_errors_of_a_fetch_are_sqlalchemys(
    inline: sa.Engine, local_warehouse: TestWarehouse
) -> None:
    with inline.connect() as connection:
        batches = read_batches(connection, sa.text("SELECT id FROM range(350000)"), batch_rows=10)
        local_warehouse.inject(Fault.session_lost(operation="FetchResults"))
        with pytest.raises(DBAPIError) as caught:
            list(batches)
        assert isinstance(caught.value.orig, dberrors.SessionLostError)
        assert caught.value.connection_invalidated == connection.invalidated
        connection.rollback()
        assert read_arrow(connection, sa.text("SELECT 1 AS a")).num_rows == 1


def test_a_deadline_counts_for_the_fetch(inline: sa.Engine, local_warehouse: TestWarehouse) -> None:
    query = sa.text("SELECT id FROM range(350000)").execution_options(databricks_timeout=SHORT_S)
    with inline.connect() as connection:
        with read_batches(connection, query, batch_rows=10) as batches:
            local_warehouse.inject(Fault.delay(FOR_LONG_S, operation="FetchResults"))
            with soon(), pytest.raises(DBAPIError) as caught:
                list(batches)
        assert isinstance(caught.value.orig, dberrors.StatementTimeout)


def test_an_error_of_the_database_is_one_of_sqlalchemys(engine: sa.Engine) -> None:
    with pytest.raises(DBAPIError):
        read_arrow(engine, sa.text("SELECT * FROM missing"))


def test_values_do_not_stand_in_a_message(engines: tuple[sa.Engine, ...]) -> None:
    query = sa.text("SELECT 'secret' AS a").columns(a=sa.Date)
    for engine in engines:
        with pytest.raises(ColumnRefusedError) as caught:
            read_arrow(engine, query)
        assert "secret" not in str(caught.value)
        assert (caught.value.column, caught.value.__cause__) == ("a", None)


def test_without_pyarrow_it_says_what_to_install(
    engine: sa.Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(importlib.util, "find_spec", lambda _: None)
        for read in (read_arrow, read_batches):
            with pytest.raises(MissingExtraError, match=r"pyarrow is not installed. Install it: "):
                read(engine, sa.text("SELECT 1 AS a"))


# --- asyncio --------------------------------------------------------------------------------------


@pytest.fixture(params=["sqlite", "warehouse"])
def async_url(
    request: pytest.FixtureRequest, local_warehouse: TestWarehouse, tmp_path: Path
) -> tuple[Any, dict[str, Any]]:
    if request.param == "sqlite":
        return f"sqlite+aiosqlite:///{tmp_path / 'async.db'}", {}
    warehouse = local_warehouse.warehouse
    url = sa.URL.create(
        "databricks+vinci_async",
        host=warehouse.host,
        port=warehouse.port,
        query={
            "http_path": warehouse.http_path,
            "catalog": local_warehouse.catalog,
            "schema": local_warehouse.schema,
        },
    )
    arguments = {
        "access_token": warehouse.access_token,
        "_tls_trusted_ca_file": str(warehouse.ca_file),
    }
    return url, arguments


def test_asyncio(async_url: tuple[Any, dict[str, Any]]) -> None:
    async def work() -> None:
        engine = create_async_engine(async_url[0], connect_args=async_url[1])
        try:
            async with engine.begin() as connection:
                await connection.run_sync(Base.metadata.create_all)
                await connection.execute(sa.insert(Author), [{"id": n} for n in range(5)])
                assert (await read_arrow_async(connection, BY_ID)).num_rows == 5
            assert (await read_arrow_async(engine, BY_ID))["id"].to_pylist() == [0, 1, 2, 3, 4]
            async with AsyncSession(engine) as session:
                session.add(Author(id=9, name="Held"))
                assert (await read_arrow_async(session, sa.select(Author))).num_rows == 6

                def batches(on: orm.Session) -> list[int]:
                    with read_batches(on, BY_ID, batch_rows=4) as found:
                        return [batch.num_rows for batch in found]

                assert await session.run_sync(batches) == [4, 2]
                with pytest.raises(ArgumentError, match=r"await read_arrow_async\("):
                    read_arrow(session, BY_ID)
            with pytest.raises(ArgumentError, match="found AsyncEngine, which is for asyncio"):
                read_batches(engine, BY_ID)
            with pytest.raises(ArgumentError, match="call read_arrow"):
                await read_arrow_async(engine.sync_engine, BY_ID)
        finally:
            await engine.dispose()

    asyncio.run(work())


# --- what is refused before anything happens ------------------------------------------------------

REFUSED: dict[str, tuple[Callable[[], Any], str]] = {
    "insert": (lambda: sa.insert(Author).values(id=9), "found INSERT; nothing was executed"),
    "returning": (
        lambda: sa.insert(Author).values(id=9).returning(Author.id),
        r"found INSERT; .*\n.* run it with execute\(\)",
    ),
    "update": (lambda: sa.update(Author).values(name="x"), "found UPDATE"),
    "delete": (lambda: sa.delete(Author), "found DELETE"),
    "text that writes": (lambda: sa.text("insert into authors (id) values (9)"), "with INSERT"),
    "text after WITH": (
        lambda: sa.text("WITH a AS (SELECT 9) INSERT INTO authors (id) SELECT * FROM a"),
        "begins with INSERT",
    ),
    "definition": (lambda: sa.text("DROP TABLE authors"), "begins with DROP"),
    "what may write": (lambda: sa.text("PRAGMA user_version"), "begins with PRAGMA"),
    "a construct of DDL": (lambda: sa.schema.CreateTable(Author.__table__), "a CreateTable"),
    "a query": (lambda: orm.Query(Author), "pass query.statement"),
    "a str": (lambda: "SELECT 1", r"pass text\(…\) of it"),
    "a class": (lambda: Author, r"pass select\(…\)"),
    "from_statement": (
        lambda: sa.select(Author).from_statement(sa.text("SELECT * FROM authors")),
        "found a FromStatement",
    ),
}


@part(2)
@pytest.mark.parametrize("name", REFUSED)
def test_what_does_not_read_is_refused(name: str, tables: sa.Engine) -> None:
    make, message = REFUSED[name]
    for read in (read_arrow, read_batches):
        with pytest.raises(ArgumentError, match=message):
            read(tables, make())
    assert names(tables) == ["Ada", "Bob"]


@pytest.mark.parametrize("bind", [None, "sqlite://", orm.sessionmaker()], ids=repr)
def test_what_is_no_bind_is_refused(bind: Any) -> None:
    with pytest.raises(ArgumentError, match="takes an Engine, a Connection or a Session"):
        read_arrow(bind, sa.text("SELECT 1 AS a"))


def test_another_database_is_refused() -> None:
    engine = sa.create_engine("sqlite://")
    engine.dialect.name = "postgresql"
    with pytest.raises(ArgumentError, match="found postgresql\\+pysqlite"):
        read_arrow(engine, sa.text("SELECT 1 AS a"))
    engine.dispose()


def test_a_scoped_session_is_its_session(tables: sa.Engine) -> None:
    scoped = orm.scoped_session(orm.sessionmaker(tables))
    scoped.add(Author(id=3, name="Cy"))
    assert names(scoped) == ["Ada", "Bob", "Cy"]
    scoped.remove()


def test_a_statement_that_gives_no_rows_after_all_is_an_error(
    engines: tuple[sa.Engine, ...],
) -> None:
    # As a listener may make of a SELECT what it likes.
    @sa.event.listens_for(engines[0], "before_cursor_execute", retval=True)
    def replaced(*given: Any) -> tuple[str, Any]:
        return "PRAGMA user_version = 1", ()

    with pytest.raises(InvalidRequestError, match="has given none; it was executed"):
        read_arrow(engines[0], sa.text("SELECT 1 AS a"))


def test_dates_are_those_of_the_rows(tables: sa.Engine) -> None:
    day = sa.literal(dt.date(2024, 2, 29), sa.Date).label("day")
    assert read_arrow(tables, sa.select(day))["day"].to_pylist() == [dt.date(2024, 2, 29)]
