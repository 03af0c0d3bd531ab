"""Any database of SQLAlchemy's: here a SQLite file by its dialect alone, and what is refused.

``test_postgresql`` has the same with a server.
"""

from __future__ import annotations

import datetime as dt
import uuid
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.dialects import mssql, mysql, oracle, postgresql

from tests.database.moving.samples import content, execute
from vinci_code.core.errors import CopyRefusedError
from vinci_code.database import copy_database
from vinci_code.database.moving import copying, places
from vinci_code.database.moving.driver_forms import driver_reader, driver_writer
from vinci_code.database.moving.errors import NoPlainValueError
from vinci_code.database.moving.kinds import (
    UnknownKindError,
    ValueKind,
    kind_named,
    kind_of,
    type_on_other,
)
from vinci_code.database.moving.postgres import pg_form

# Decimals of SQLite are floats, of which SQLAlchemy warns.
pytestmark = pytest.mark.filterwarnings("ignore:Dialect sqlite.pysqlite does .not. support Decimal")

META = sa.MetaData()
sa.Table("parents", META, sa.Column("id", sa.Integer, primary_key=True), sa.Column("s", sa.Text))
sa.Table(
    "many",
    META,
    sa.Column("a", sa.String(9), primary_key=True),
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("parent_id", sa.ForeignKey("parents.id")),
    sa.Column("i", sa.BigInteger),
    sa.Column("b", sa.Boolean),
    sa.Column("f", sa.Float),
    sa.Column("n", sa.Numeric(12, 3)),
    sa.Column("x", sa.LargeBinary),
    sa.Column("d", sa.Date),
    sa.Column("t", sa.Time),
    sa.Column("m", sa.DateTime),
    sa.Index("many_i", "i", "b"),
)
sa.Table("keyless", META, sa.Column("n", sa.Integer), sa.Column("s", sa.Text))


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "source.db"
    engine = sa.create_engine(f"sqlite:///{path}")
    META.create_all(engine)
    engine.dispose()
    for one in range(60):
        moment = f"2024-02-29 01:02:03.{one:06}"
        execute(path, "INSERT INTO parents VALUES (?, ?)", one, "ä" * one)
        row = (f"a{one % 7}", one, one, 2**63 - 1 - one, one % 2, one * 1.1, one + 0.5)
        more = (bytes([one]), moment[:10], moment[11:], moment if one % 3 else None)
        marks = ", ".join("?" * 11)
        execute(path, f"INSERT INTO many VALUES ({marks})", *row, *more)
        execute(path, "INSERT INTO keyless VALUES (?, NULL)", one % 4)
    return path


@pytest.fixture
def other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A SQLite file that is read and written as any database is, by its dialect."""
    engine = sa.create_engine(
        f"sqlite:///{tmp_path / 'other.db'}", connect_args={"check_same_thread": False}
    )
    end = places.CopyEnd("other", "other", engine, is_ours=False)
    known = copying.place_of

    def place_of(given: Any, use: Any, **options: Any) -> places.CopyEnd:
        return end if given == "other" else known(given, use, **options)

    monkeypatch.setattr(copying, "place_of", place_of)
    yield engine
    engine.dispose()


def test_there_and_back(source: Path, other: sa.Engine, tmp_path: Path) -> None:
    there = copy_database(source, "other", chunk_rows=17)
    assert there.is_proved, there.lines()
    assert sa.inspect(other).get_indexes("many")[0]["column_names"] == ["i", "b"]
    told = "\n".join(there.lines())
    assert "other: the checksums of keyless, parents, many were computed here" in told
    back = tmp_path / "back.db"
    engine = sa.create_engine(f"sqlite:///{back}")
    META.create_all(engine)
    engine.dispose()
    again = copy_database("other", str(back), chunk_rows=17)
    assert again.is_proved, again.lines()
    assert content(back) == content(source)
    assert "not known to read several tables as they were at one moment" in again.notes[0]


def test_it_goes_on_and_is_kept_up(source: Path, other: sa.Engine) -> None:
    def stop(rows: int, _total: int) -> None:
        if rows > 90:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        copy_database(source, "other", chunk_rows=10, on_progress=stop)
    report = copy_database(source, "other", chunk_rows=10)
    assert report.is_proved, report.lines()
    assert sum(one.went_on for one in report.tables) > 60
    execute(source, "UPDATE many SET n = 7.125 WHERE id = 5")
    execute(source, "DELETE FROM many WHERE id = 6")
    execute(source, "INSERT INTO many (a, id) VALUES ('new', 777)")
    found = copy_database(source, "other", verify_only=True)
    assert {one.plan.name: one.is_proved for one in found.tables}["many"] is False
    assert len(found.tables[-1].differing) == 3
    report = copy_database(source, "other", sync=True, delete=True)
    assert report.is_proved, report.lines()
    (many,) = [one for one in report.tables if one.plan.name == "many"]
    assert (many.copied, many.changed, many.deleted) == (1, 1, 1)


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("nosuch://host/db", "SQLAlchemy knows no dialect nosuch"),
        ("mssql+pymssql://me:hunter2hunter2@host/db", r"its driver \(pymssql\) is not installed"),
        ("sqlite+aiosqlite:///x.db", "it is not known by its URL, found sqlite.aiosqlite"),
        ("databricks://token:hunter2hunter2@host", "it is not known by its URL, found databricks"),
        ("no url://", "a URL that SQLAlchemy cannot read"),
    ],
)
def test_what_cannot_be_reached_is_refused(source: Path, url: str, message: str) -> None:
    with pytest.raises(CopyRefusedError, match=message) as refused:
        copy_database(source, url)
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize(
    ("kind", "dialect", "wanted"),
    [
        (postgresql.TIMESTAMP(timezone=True), "postgresql", ValueKind("instant")),
        (postgresql.TIMESTAMP(), "postgresql", ValueKind("moment")),
        (postgresql.REAL(), "postgresql", ValueKind("double", stored="REAL")),
        (postgresql.DOUBLE_PRECISION(), "postgresql", ValueKind("double")),
        (postgresql.UUID(), "postgresql", ValueKind("uuid")),
        (postgresql.BYTEA(), "postgresql", ValueKind("binary")),
        (postgresql.JSONB(), "postgresql", ValueKind("json")),
        (postgresql.ENUM("a", name="e"), "postgresql", ValueKind("text")),
        (sa.SMALLINT(), "postgresql", ValueKind("integer", stored="SMALLINT")),
        (mysql.INTEGER(unsigned=True), "mysql", ValueKind("integer")),
        (mysql.DATETIME(), "mysql", ValueKind("moment")),
        (oracle.FLOAT(), "oracle", ValueKind("double")),
        (mssql.DATETIMEOFFSET(), "mssql", ValueKind("instant")),
        (mysql.TIMESTAMP(), "mysql", "depends on the time zone of the session"),
        (postgresql.TIME(timezone=True), "postgresql", "a time of day with a zone"),
        (postgresql.INTERVAL(), "postgresql", "says nothing of its values"),
        (postgresql.ARRAY(sa.Integer), "postgresql", "says nothing of its values"),
        (postgresql.INET(), "postgresql", "says nothing of its values"),
        (postgresql.MONEY(), "postgresql", "says nothing of its values"),
        (mysql.YEAR(), "mysql", "says nothing of its values"),
    ],
)
def test_kinds_are_those_of_the_type(kind: Any, dialect: str, wanted: Any) -> None:
    if isinstance(wanted, str):
        with pytest.raises(UnknownKindError, match=wanted):
            kind_of(kind, dialect)
    else:
        assert kind_of(kind, dialect) == wanted


def test_types_are_made_that_hold_the_values() -> None:
    my: Any = mysql.dialect()
    assert type_on_other(ValueKind("moment"), "mysql").compile(my) == "DATETIME(6)"
    assert type_on_other(ValueKind("json"), "mysql").compile(my) == "TEXT"
    made = type_on_other(ValueKind("instant"), "postgresql")
    pg: Any = postgresql.dialect()
    assert made.compile(pg) == "TIMESTAMP WITH TIME ZONE"
    with pytest.raises(UnknownKindError, match="not known to keep moments with a zone"):
        type_on_other(ValueKind("instant"), "mysql")


@pytest.mark.parametrize(
    ("kind", "value", "reason"),
    [
        ("integer", True, "gave a bool where a whole number of 64 bits"),
        ("integer", 2**63, "gave a int where a whole number of 64 bits"),
        ("boolean", 1, "gave a int where true or false"),
        ("double", Decimal(1), "gave a Decimal"),
        ("decimal(5, 2)", Decimal("1.005"), "more digits"),
        ("decimal(5, 2)", Decimal(1000), "no room"),
        ("decimal(5, 2)", Decimal("NaN"), "where a decimal number"),
        ("text", b"x", "gave a bytes where text"),
        ("uuid", "00000000-0000-0000-0000-00000000000A", "where a UUID"),
        ("date", dt.datetime(2024, 1, 1), "gave a datetime where a date"),  # noqa: DTZ001
        ("time", dt.time(1, tzinfo=dt.timezone.utc), "a time without a zone"),
        ("moment", dt.datetime(2024, 1, 1, tzinfo=dt.timezone.utc), "a moment without a zone"),
        ("instant", dt.datetime(2024, 1, 1), "a moment with a zone"),  # noqa: DTZ001
    ],
)
def test_a_value_of_another_class_is_refused(kind: str, value: Any, reason: str) -> None:
    with pytest.raises(NoPlainValueError, match=reason):
        driver_reader(kind_named(kind))(value)


def test_values_that_a_column_would_change_are_refused() -> None:
    write = driver_writer(ValueKind("double"), sa.REAL(), "postgresql")
    assert write(0.5) == 0.5
    with pytest.raises(NoPlainValueError, match="32 bits"):
        write(0.1)
    with pytest.raises(NoPlainValueError, match="code zero"):
        driver_writer(ValueKind("text"), sa.Text(), "postgresql")("a\x00")
    made = driver_writer(ValueKind("uuid"), sa.Uuid(), "postgresql")(str(uuid.UUID(int=5)))
    assert made == uuid.UUID(int=5)


def test_each_kind_has_a_form_in_the_sql_of_postgresql_but_floats() -> None:
    from vinci_code.database.moving.kinds import KIND_NAMES

    forms = {name: pg_form(ValueKind(name, 5, 2), "c") for name in KIND_NAMES if name != "double"}
    assert all("c" in form for form in forms.values())
