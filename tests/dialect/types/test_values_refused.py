"""Values to be stored: what a column gives back equal is taken, and all else refused at once.

What is taken is read again on SQLite and on the warehouse. What is refused is refused before
anything is held or sent. What is only compared is refused on neither.
"""

from __future__ import annotations

import datetime as dt
import enum
import pickle
import uuid
from collections.abc import Iterator
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import orm
from sqlalchemy.exc import StatementError

from tests.dialect.held import Of, sending, value_of
from tests.dialect.sides import Sides, sides_of
from tests.full import part
from vinci_code.core.errors import ValueRefusedError
from vinci_code.database.dialect import (
    ARRAY,
    MAP,
    STRUCT,
    TIMESTAMP,
    TIMESTAMP_NTZ,
    TINYINT,
    VARIANT,
)
from vinci_code.database.dialect.base import VinciDialect
from vinci_code.database.dialect.types.base import stored_as, write_processor
from vinci_code.database.models.types import StrictText, UtcDateTime
from vinci_code.warehouse import LocalWarehouse

pytestmark = [
    pytest.mark.filterwarnings("ignore:Dialect sqlite.pysqlite does .not. support Decimal"),
    part(3),
]

UTC = dt.timezone.utc
EAST = dt.timezone(dt.timedelta(hours=5))
MOMENT = dt.datetime(2024, 1, 1, 1, 2, 3, 4)
AWARE = MOMENT.replace(tzinfo=UTC)


class Size(enum.Enum):
    SMALL = "s"
    LARGE = "l"


class Named(str, enum.Enum):
    ONE = "one"


class Numbered(enum.IntEnum):
    SEVEN = 7


class Word(str):
    """A subclass, as ORMs and template engines have them."""

    __slots__ = ()

    def __str__(self) -> str:
        return "something else"


class Buffer(bytearray):
    pass


class Day(dt.date):
    pass


class Moment(dt.datetime):
    pass


class Ratio(float):
    pass


class Hidden(sa.TypeDecorator[str]):
    """An application's type: what it makes of a value is what is stored."""

    impl = sa.String
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Any) -> Any:
        return None if value is None else value.hidden

    def process_result_value(self, value: str | None, dialect: Any) -> Any:
        return None if value is None else Secret(value)


class Secret:
    def __init__(self, hidden: Any) -> None:
        self.hidden = hidden

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other.hidden == self.hidden

    __hash__ = None  # type: ignore[assignment]


class Twice(sa.TypeDecorator[int]):
    """A decorator of a decorator."""

    impl = sa.Interval
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Any) -> Any:
        return None if value is None else value * 2

    def process_result_value(self, value: Any, dialect: Any) -> Any:
        return None if value is None else value / 2


WHOLE = [True, False, 1.5, float("nan"), float("inf"), "9", "x", b"9", Decimal(2), MOMENT, [1]]
REALS = [True, "1.5", b"1", MOMENT, Fraction(1, 3), [1.5], 1j]
TEXTS = [
    True,
    5,
    1.5,
    b"x",
    bytearray(b"x"),
    uuid.UUID(int=1),
    Decimal("1.10"),
    AWARE,
    MOMENT,
    MOMENT.date(),
    Size.SMALL,
    ["x"],
    "half\ud800",
]

FAMILIES: dict[str, tuple[Any, type[Any] | None, list[Any], list[Any]]] = {
    # name: (type, what is stored, values taken, values refused)
    "Integer": (sa.Integer(), int, [0, -(2**63), 2**63 - 1, 2.0, -0.0, 2.0**62], [2**63, *WHOLE]),
    "SmallInteger": (sa.SmallInteger(), int, [40_000, Numbered.SEVEN], [-(2**63) - 1, *WHOLE]),
    "BigInteger": (sa.BigInteger(), int, [2**53 + 1], [2.0**63, 10**5000, *WHOLE]),
    "INTEGER": (sa.INTEGER(), int, [2**31 - 1, -(2**31)], [2**31, -(2**31) - 1, *WHOLE]),
    "SMALLINT": (sa.SMALLINT(), int, [2**15 - 1], [2**15, *WHOLE]),
    "TINYINT": (TINYINT(), int, [127, -128], [128, -129, *WHOLE]),
    "Boolean": (sa.Boolean(), bool, [True, False, 1, 0, 1.0], [2, -1, 0.5, "true", "1", b"1"]),
    "Float": (
        sa.Float(),
        float,
        [0.1, -0.0, 5, 2**53, 2**60, Ratio(0.1), float("inf")],
        [2**53 + 1, 10**400, Decimal("0.1234567890123456789"), Decimal("sNaN"), *REALS],
    ),
    "Float of decimals": (
        sa.Float(asdecimal=True),
        float,
        [Decimal("15.7563"), Decimal(3)],
        [Decimal("0.1234567890123456789"), *REALS],
    ),
    "Double": (sa.Double(), float, [1 / 3], REALS),
    "REAL": (sa.REAL(), float, [0.5, 2**24, -1.25], [0.1, 2**24 + 1, 1e300, *REALS]),
    "Numeric(6, 2)": (
        sa.Numeric(6, 2),
        Decimal,
        [Decimal("1.10"), Decimal("-9999.99"), Decimal("1E+3"), Decimal("2.500"), 7, 1.25],
        [Decimal("2.345"), Decimal(10_000), 10_000, 1e4, Decimal("NaN"), float("nan"), *REALS],
    ),
    "Numeric": (
        sa.Numeric(),
        Decimal,
        [Decimal("1.5"), Decimal(-7)],
        [Decimal("1E-19"), Decimal(10) ** 20, Decimal("Infinity"), Decimal("1E+999999"), *REALS],
    ),
    "Numeric of floats": (
        sa.Numeric(6, 2, asdecimal=False),
        Decimal,
        [1.25, 3, -0.5],
        [1.005, 1e5, *REALS],
    ),
    "String": (sa.String(), str, ["", "x", "ü😀", "nul\0in", Named.ONE, Word("word")], TEXTS),
    "String(3)": (sa.String(3), str, ["longer"], TEXTS),
    "Text": (sa.Text(), str, ["x" * 5000], TEXTS),
    "Unicode": (sa.Unicode(), str, ["ü"], TEXTS),
    "VARCHAR(3)": (sa.VARCHAR(3), str, ["abc", "ü😀"], ["abcd", "abc ", *TEXTS]),
    "StrictText": (StrictText(), str, ["x"], TEXTS),
    "Enum": (sa.Enum(Size), str, [Size.SMALL, Size.LARGE], ["s", 1, b"SMALL", [], Named.ONE]),
    "Enum of texts": (sa.Enum("a", "b"), str, ["a", "b"], ["c", "", 1, b"a", Size.SMALL]),
    "Uuid": (
        sa.Uuid(),
        str,
        [uuid.UUID(int=0), uuid.UUID(int=2**128 - 1)],
        [str(uuid.UUID(int=1)), uuid.UUID(int=1).bytes, 1, True],
    ),
    "Uuid of text": (
        sa.Uuid(as_uuid=False),
        str,
        ["0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0"],
        [uuid.UUID(int=1), "no uuid", "", b"0" * 32, 1],
    ),
    "LargeBinary": (
        sa.LargeBinary(),
        bytes,
        [b"", b"\0\xff", bytearray(b"x"), memoryview(b"xyz")[1:], Buffer(b"own")],
        ["text", 5, True, [1, 2], (1,), uuid.UUID(int=1), 1.5],
    ),
    "PickleType": (sa.PickleType(), bytes, [{"a": {1, 2}}, True, "x"], []),
    "JSON": (
        sa.JSON(),
        str,
        [{"a": [1, None, "ü\ud800"]}, True, "x", 1.5, None],
        [{1, 2}, MOMENT, b"x", {"a": Decimal(1)}, [uuid.UUID(int=1)], {(1, 2): 3}],
    ),
    "Date": (
        sa.Date(),
        dt.date,
        [dt.date(1, 1, 1), dt.date(9999, 12, 31), Day(2024, 2, 29)],
        [MOMENT, AWARE, AWARE.replace(hour=0, minute=0, second=0, microsecond=0), "2024-01-01", 1],
    ),
    "Time": (
        sa.Time(),
        str,
        [dt.time(0), dt.time(23, 59, 59, 999999)],
        [dt.time(1, tzinfo=UTC), MOMENT, "12:00", 1, dt.timedelta(1)],
    ),
    "DateTime": (
        sa.DateTime(),
        dt.datetime,
        [MOMENT, dt.datetime(1, 1, 1), Moment(2024, 5, 6, 7)],
        [AWARE, "2024-01-01", 1.5, True, dt.time(1)],
    ),
    "TIMESTAMP": (
        TIMESTAMP(),
        dt.datetime,
        [AWARE, MOMENT.replace(tzinfo=EAST)],
        [MOMENT, dt.date(2024, 1, 1), dt.datetime(1, 1, 1, tzinfo=EAST), "2024-01-01"],
    ),
    "TIMESTAMP_NTZ": (TIMESTAMP_NTZ(), dt.datetime, [MOMENT], [AWARE, "2024-01-01", 1]),
    "UtcDateTime": (UtcDateTime(), dt.datetime, [AWARE], [MOMENT, MOMENT.date(), "2024-01-01"]),
    "Interval": (
        sa.Interval(),
        dt.datetime,
        [dt.timedelta(0), dt.timedelta(days=-400, microseconds=7)],
        [5, "1 day", dt.timedelta.max, dt.timedelta.min, True],
    ),
    "ARRAY": (
        ARRAY(sa.Integer),
        str,
        [[], [1, None, -2]],
        [[1.5], [True], ["1"], [2**63], "12", 5, {1, 2}, {"a": 1}, iter([1])],
    ),
    "MAP": (
        MAP(sa.String, sa.Numeric(6, 2)),
        str,
        [{}, {"a": Decimal("1.10")}],
        [{"a": "1.1"}, {"a": Decimal("1.234")}, {1: Decimal(1)}, {True: None}, [("a", 1)], "a"],
    ),
    "STRUCT": (
        STRUCT(("name", sa.String), ("at", sa.DateTime)),
        str,
        [{"name": "x", "at": MOMENT}, {"name": None, "at": None}],
        [{"name": b"x"}, {"at": AWARE}, {"other": 1}, [1], "name"],
    ),
    "VARIANT": (
        VARIANT(),
        str,
        [{"a": [1, "x"]}, [], [10**37]],
        [float("nan"), {"a": float("inf")}, [10**38], {1, 2}, "half\ud800"],
    ),
    "a type of the application": (
        Hidden(),
        str,
        [Secret("x")],
        [Secret(5), Secret(b"x"), Secret(True)],
    ),
    "a decorated decorator": (Twice(), dt.datetime, [dt.timedelta(hours=3)], [5, "x"]),
}
METADATA = sa.MetaData()
TABLES = {
    name: sa.Table(
        f"of_{number}",
        METADATA,
        sa.Column("k", sa.Integer, primary_key=True),
        sa.Column("v", kind),
    )
    for number, (name, (kind, *_)) in enumerate(FAMILIES.items())
}
REFUSED = [
    pytest.param(name, value, id=f"{name}-{number}-{type(value).__name__}")
    for name, (*_, refused) in FAMILIES.items()
    for number, value in enumerate(refused)
]


@pytest.fixture(scope="module")
def sides(local_warehouse_server: LocalWarehouse, tmp_path_factory: Any) -> Iterator[Sides]:
    server = local_warehouse_server
    server.sql("CREATE SCHEMA test_values")
    engine = sa.create_engine(
        f"databricks+vinci://{server.host}:{server.port}?http_path={server.http_path}"
        f"&catalog={server.catalog}&schema=test_values",
        connect_args={
            "access_token": server.access_token,
            "_tls_trusted_ca_file": str(server.ca_file),
        },
    )
    with sides_of(engine, Path(tmp_path_factory.mktemp("values")), METADATA) as made:
        yield made
    engine.dispose()
    server.sql("DROP SCHEMA test_values CASCADE")


# --- what is taken --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", FAMILIES)
def test_what_is_taken_is_read_again_equal(sides: Sides, name: str) -> None:
    table, (_, _, taken, _) = TABLES[name], FAMILIES[name]
    values = [*taken, None]
    rows = [{"k": number, "v": value} for number, value in enumerate(values)]
    sides.write(sa.insert(table), rows)
    found = [value for [value] in sides.rows(sa.select(table.c.v).order_by(table.c.k))]
    assert found == values


@pytest.mark.parametrize("name", FAMILIES)
def test_what_is_stored_is_of_one_plain_type(name: str) -> None:
    kind, expected, taken, _ = FAMILIES[name]
    dialect = VinciDialect()
    assert stored_as(kind, dialect) is expected
    process = write_processor(kind, dialect)
    assert process is not None
    for value in taken:
        # JSON has a value of its own for None.
        if value is not None:
            assert type(process(value)) is expected
    if not isinstance(kind, (sa.JSON, sa.PickleType)):
        assert process(None) is None


@pytest.mark.parametrize("name", [name for name in FAMILIES if FAMILIES[name][1] is dt.datetime])
def test_moments_are_naive_or_in_utc(name: str) -> None:
    kind, _, taken, _ = FAMILIES[name]
    process = write_processor(kind, VinciDialect())
    assert process is not None
    zone = UTC if name in ("TIMESTAMP", "UtcDateTime") else None
    assert {process(value).tzinfo for value in taken} == {zone}


def test_scalars_of_numpy_and_pandas_are_what_they_are() -> None:
    numpy, pandas = pytest.importorskip("numpy"), pytest.importorskip("pandas")
    stamp = pandas.Timestamp("2024-01-01 01:02:03.000004")
    cases: list[tuple[Any, Any, Any]] = [
        (sa.Integer(), numpy.int64(5), 5),
        (sa.Boolean(), numpy.bool_(True), True),
        (sa.Float(), numpy.float32(0.5), 0.5),
        (sa.Float(), numpy.float64(0.1), 0.1),
        (sa.Numeric(6, 2), numpy.float64(0.1), Decimal("0.1")),
        (sa.Numeric(6, 2), numpy.int32(3), Decimal(3)),
        (sa.String(), numpy.str_("x"), "x"),
        (sa.LargeBinary(), numpy.bytes_(b"x"), b"x"),
        (sa.DateTime(), stamp, MOMENT),
        (sa.DateTime(), pandas.NaT, None),
        (sa.Date(), pandas.Timestamp("2024-01-01"), dt.date(2024, 1, 1)),
        (sa.Date(), pandas.NaT, None),
        (sa.DateTime(timezone=True), stamp.tz_localize("UTC"), AWARE),
        (sa.Interval(), pandas.Timedelta(hours=1), dt.datetime(1970, 1, 1, 1)),
        (sa.Interval(), pandas.NaT - stamp, None),
    ]
    for kind, given, expected in cases:
        process = write_processor(kind, VinciDialect())
        assert process is not None
        if isinstance(given, type(pandas.NaT)) and isinstance(kind, sa.Interval):
            continue
        found = process(given)
        assert (type(found), found) == (type(expected), expected)
    for kind, refused in (
        (sa.Integer(), numpy.bool_(True)),
        (sa.Integer(), numpy.float64(1.5)),
        (sa.Integer(), numpy.array([5])),
        (sa.String(), numpy.int64(5)),
        (sa.DateTime(), pandas.Timestamp("2024-01-01T00:00:00.000000001")),
        (sa.DateTime(), numpy.datetime64("2024-01-01T00:00:00.000000001")),
        (sa.Interval(), pandas.Timedelta(nanoseconds=5)),
        (UtcDateTime(), pandas.Timestamp("2024-01-01T00:00:00.000000001", tz="UTC")),
    ):
        process = write_processor(kind, VinciDialect())
        assert process is not None
        with pytest.raises(ValueRefusedError):
            process(refused)


# --- what is refused ------------------------------------------------------------------------------


def _writes(table: sa.Table, value: Any) -> Iterator[tuple[Any, Any]]:
    """Every way in which a value is given to be stored."""
    row = {"k": 1000, "v": value}
    yield sa.insert(table), row
    yield sa.insert(table), [row, {"k": 1001, "v": value}]
    yield sa.insert(table).values(row), None
    yield sa.insert(table).values([row, {"k": 1001, "v": value}]), None
    yield sa.insert(table).values(k=1000, v=sa.bindparam("given")), {"given": value}
    yield sa.update(table).values(v=value), None
    yield sa.update(table).where(table.c.k == 1).values(v=sa.bindparam("given")), {"given": value}
    yield sa.update(table).where(table.c.k == sa.bindparam("one")), {"one": 1, "v": value}


@pytest.mark.parametrize(("name", "value"), REFUSED)
def test_what_is_refused_is_refused_before_anything_is_held(
    sides: Sides, local_warehouse_server: LocalWarehouse, name: str, value: Any
) -> None:
    table = TABLES[name]
    with (
        sides.warehouse.connect() as connection,
        sending(lambda: local_warehouse_server.statements) as sent,
    ):
        for statement, parameters in _writes(table, value):
            with pytest.raises(StatementError) as caught:
                connection.execute(statement, parameters)
            assert isinstance(caught.value.orig, ValueRefusedError)
            if name not in ("StrictText", "UtcDateTime"):
                assert str(caught.value.orig).startswith(f"{table.name}.v: ")
            connection.commit()
    assert sent == []


# What SQLite, with SQLAlchemy's own types, changes without a word is out of our hands; our types
# are not.
OURS = ("StrictText", "UtcDateTime", "TIMESTAMP", "TIMESTAMP_NTZ", "ARRAY", "MAP", "STRUCT")
ON_SQLITE = [
    case
    for case in REFUSED
    if case.values[0] in OURS and not (case.values[0] != "UtcDateTime" and case.values[1] is None)
]


@pytest.mark.parametrize(("name", "value"), ON_SQLITE)
def test_types_of_ours_refuse_the_same_on_sqlite(sides: Sides, name: str, value: Any) -> None:
    with sides.sqlite.connect() as connection:
        for statement, parameters in _writes(TABLES[name], value):
            with pytest.raises(StatementError):
                connection.execute(statement, parameters)


def test_sqlite_changes_values_without_a_word(sides: Sides) -> None:
    changed: list[tuple[str, Any, Any]] = [
        ("String", 5, "5"),
        ("Integer", True, 1),
        ("Integer", "9", 9),
        ("Float", float("nan"), None),
        ("Date", MOMENT, MOMENT.date()),
        ("DateTime", AWARE, MOMENT),
    ]
    with sides.sqlite.connect() as connection:
        for name, given, expected in changed:
            table = TABLES[name]
            connection.execute(sa.insert(table), {"k": 5000, "v": given})
            found = connection.scalar(sa.select(table.c.v).where(table.c.k == 5000))
            assert (type(found), found) == (type(expected), expected)
            connection.rollback()


def test_a_text_without_a_meaning_is_refused_without_the_text(sides: Sides) -> None:
    process = write_processor(sa.Uuid(as_uuid=False), VinciDialect(), "user.token")
    assert process is not None
    with pytest.raises(ValueRefusedError) as caught:
        process("dapi0123")
    assert "dapi" not in str(caught.value)
    assert "user.token" in str(caught.value)


def test_a_decorator_that_binds_by_itself_is_checked_afterwards() -> None:
    class Raw(sa.TypeDecorator[Any]):
        impl = sa.String
        cache_ok = True

        def bind_processor(self, dialect: Any) -> Any:
            return lambda value: value

    process = write_processor(Raw(), VinciDialect(), "t.raw")
    assert process is not None
    assert process("x") == "x"
    with pytest.raises(ValueRefusedError, match=r"t\.raw: str is stored here, found an int"):
        process(5)


def test_a_parameter_of_another_type_is_checked_by_the_column(engine: sa.Engine) -> None:
    table = sa.Table(
        "mixed",
        sa.MetaData(),
        sa.Column("k", sa.Integer, primary_key=True),
        sa.Column("whole", sa.Integer),
        sa.Column("exact", sa.Numeric(6, 2)),
        sa.Column("text", sa.String),
        sa.Column("at", sa.DateTime(timezone=True)),
        sa.Column("span", sa.Interval),
    )
    table.create(engine)
    with engine.begin() as connection:
        connection.execute(sa.insert(table).values(k=1, exact=sa.literal(5), text=sa.literal("x")))
        for column, value in (
            ("whole", sa.literal(1.5)),
            ("whole", sa.literal(True)),
            ("text", sa.literal(b"x")),
            ("text", sa.literal(5)),
            ("exact", sa.literal(2.5, sa.String())),
            ("at", sa.literal(MOMENT, sa.DateTime())),
            ("span", sa.literal(5)),
            ("text", sa.type_coerce(5, sa.String)),
            ("text", sa.literal(5).label("named")),
            ("text", sa.type_coerce(sa.literal(True), sa.String).label("named")),
        ):
            with pytest.raises(StatementError) as caught:
                connection.execute(sa.insert(table).values({"k": 2, column: value}))
            assert isinstance(caught.value.orig, ValueRefusedError)
            query = sa.select(table.c.k + 1, value)
            for source in (query, sa.union_all(sa.select(table.c.k, sa.null()), query)):
                with pytest.raises(StatementError, match=rf"mixed\.{column}") as caught:
                    connection.execute(sa.insert(table).from_select(["k", column], source))
                assert isinstance(caught.value.orig, ValueRefusedError)
    with engine.connect() as connection:
        assert connection.execute(sa.select(table)).all() == [
            (1, None, Decimal(5), "x", None, None)
        ]


def test_a_parameter_for_two_columns_is_checked_by_both(engine: sa.Engine) -> None:
    table = sa.Table(
        "both",
        sa.MetaData(),
        sa.Column("k", sa.Integer, primary_key=True),
        sa.Column("a", sa.String),
        sa.Column("b", sa.Integer),
        sa.Column("c", sa.Time),
    )
    table.create(engine)
    given = sa.bindparam("given", type_=sa.Integer)
    with engine.begin() as connection:
        for names in ("ab", "ba", "cb", "bc"):
            statement = sa.insert(table).values({"k": 1, **dict.fromkeys(names, given)})
            with pytest.raises(StatementError, match=r"both\.[ac]") as caught:
                connection.execute(statement, {"given": 5})
            assert isinstance(caught.value.orig, ValueRefusedError)


def test_a_value_that_is_written_out_is_checked(engine: sa.Engine) -> None:
    table = TABLES["Integer"]
    written: dict[str, Any] = {"dialect": engine.dialect, "compile_kwargs": {"literal_binds": True}}
    assert "VALUES (1, 2)" in str(sa.insert(table).values(k=1, v=2).compile(**written))
    for statement in (
        sa.insert(table).values(k=1, v=1.5),
        sa.insert(table).values([{"k": 1, "v": True}]),
        sa.update(table).values(v="9"),
    ):
        with pytest.raises((ValueRefusedError, sa.exc.CompileError)) as caught:
            statement.compile(**written)
        assert f"{table.name}.v: a whole number is wanted here" in str(caught.value)


# --- what SQLAlchemy makes itself -----------------------------------------------------------------


class Base(orm.DeclarativeBase):
    pass


class Animal(Base):
    __tablename__ = "animal"
    id: orm.Mapped[int] = orm.mapped_column(primary_key=True)
    kind: orm.Mapped[Named] = orm.mapped_column(sa.String)
    version: orm.Mapped[int] = orm.mapped_column(default=0)
    tame: orm.Mapped[bool] = orm.mapped_column(default=True)
    seen: orm.Mapped[dt.datetime] = orm.mapped_column(default=lambda: MOMENT)
    __mapper_args__ = {
        "polymorphic_on": "kind",
        "polymorphic_identity": "animal",
        "version_id_col": version,
    }


class Cat(Animal):
    __tablename__ = "cat"
    id: orm.Mapped[int] = orm.mapped_column(sa.ForeignKey("animal.id"), primary_key=True)
    name: orm.Mapped[str]
    __mapper_args__ = {"polymorphic_identity": Named.ONE}


def test_what_the_orm_makes_passes(engine: sa.Engine) -> None:
    Base.metadata.create_all(engine)
    with orm.Session(engine) as session:
        session.add_all([Animal(), Cat(name="a"), Cat(name="b")])
        session.commit()
        cat = session.scalars(sa.select(Cat).where(Cat.name == "a")).one()
        cat.tame = False
        session.commit()
        assert (cat.version, cat.tame, cat.seen) == (2, False, MOMENT)
        given: sa.BindParameter[Any] = sa.bindparam("given")
        for statement in (
            sa.update(Cat).where(Cat.name == "b").values(name=given),
            sa.update(Cat).where(Cat.name == "b").values({Cat.name: given}),
            sa.insert(Cat).values(id=99, name=given),
        ):
            with pytest.raises(StatementError, match=r"cat\.name: text is wanted"):
                session.execute(statement, {"given": 5})


# --- what is compared -----------------------------------------------------------------------------

COMPARED = sa.Table(
    "compared",
    METADATA,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("s", sa.String),
    sa.Column("ok", sa.Boolean),
    sa.Column("n", sa.Numeric(6, 2)),
    sa.Column("day", sa.Date),
)
C = COMPARED.c


@pytest.fixture(scope="module")
def compared(sides: Sides) -> Sides:
    rows = [
        {"id": 1, "s": "5", "ok": True, "n": Decimal("1.50"), "day": dt.date(2024, 1, 1)},
        {"id": 9, "s": "no number", "ok": False, "n": Decimal("2.50"), "day": dt.date(2024, 1, 2)},
        {"id": 10, "s": "5.5", "ok": None, "n": None, "day": None},
        {"id": 11, "s": "1.0e+20", "ok": True, "n": Decimal(3), "day": None},
    ]
    sides.write(sa.insert(COMPARED), rows)
    return sides


@pytest.mark.parametrize(
    "condition",
    [
        C.id == "9",
        C.id == 9.0,
        C.id != 1.5,
        C.id > 1.5,
        C.id == True,  # noqa: E712 - what is tested
        C.id.in_([9, True]),
        C.id.in_([True, False]),
        C.id.not_in([True]),
        C.n.in_([True, False]),
        C.id == "",
        C.id != "x",
        C.id < "x",
        C.id >= "x",
        C.id.in_(["9", "x"]),
        C.id.not_in(["9", "x"]),
        C.id.is_distinct_from("x"),
        C.id == " +9.0e0\n",
        C.id > "9.5",
        C.id < "1e999",
        C.id > "-1e999",
        C.id == "0x9",
        C.n == "1.5",
        C.n == "x",
        C.n < "x",
        C.n > "2",
        C.id == sa.bindparam("given", "x", type_=sa.Integer()),
        C.id < sa.bindparam("given", "9.5", type_=sa.Integer()),
        C.id.in_(sa.bindparam("given", ["x", "9"], type_=sa.Integer(), expanding=True)),
        C.s == 5,
        C.s != 5,
        C.s == 5.5,
        C.s == 1e20,
        C.s < 6,
        sa.literal(5) == C.s,
        C.s.in_([5, 7]),
        C.s.not_in([5]),
        C.s.is_distinct_from(5),
        C.ok == 1,
        C.ok == 0,
        C.ok != 1,
        C.ok > 0,
        sa.literal(1) == C.ok,
        C.ok == 2,
        C.ok == 1.0,
        C.ok == C.id,
        C.ok.in_([1]),
        C.ok.not_in([1, 0]),
        C.ok.in_([1, 7]),
        C.ok.is_distinct_from(1),
        C.ok.is_not_distinct_from(1),
        sa.not_(C.ok == 1),
        (C.id > 1) == 1,
        C.ok == sa.bindparam("given", 1, type_=sa.Boolean()),
        C.ok == sa.bindparam("given", 1, type_=sa.Integer()),
        C.n == 1.5,
        C.n > 2,
        C.day == dt.date(2024, 1, 1),
    ],
    ids=str,
)
def test_what_is_compared_is_compared_as_on_sqlite(compared: Sides, condition: Any) -> None:
    compared.rows(sa.select(C.id).where(condition).order_by(C.id))


def test_some_are_found(compared: Sides) -> None:
    def found(condition: Any) -> list[int]:
        return [key for [key] in compared.rows(sa.select(C.id).where(condition).order_by(C.id))]

    assert found(C.ok == 1) == [1, 11]
    assert found(C.ok.in_([1])) == [1, 11]
    assert found(C.s == 5) == [1]
    assert found(C.s.in_([5, 5.5])) == [1, 10]
    assert found(C.id == "9") == [9]


def test_a_key_of_a_url_finds_what_it_finds_on_sqlite(compared: Sides) -> None:
    class Own(orm.DeclarativeBase):
        pass

    class Row(Own):
        __table__ = COMPARED

    for engine in compared.engines:
        with orm.Session(engine) as session:
            assert session.get(Row, "abc") is None
            row: Any = session.get_one(Row, "9")
            assert row.s == "no number"


def test_a_long_key_is_not_confused_beside_text(engine: sa.Engine) -> None:
    table = sa.Table("long", sa.MetaData(), sa.Column("id", sa.BigInteger, primary_key=True))
    table.create(engine)
    keys = [2**62, 2**62 + 1]
    with engine.begin() as connection:
        connection.execute(sa.insert(table), [{"id": key} for key in keys])
    with engine.connect() as connection:
        for given in ([str(keys[0]), "x"], [str(keys[0]), "1.5"]):
            found = connection.scalars(sa.select(table.c.id).where(table.c.id.in_(given))).all()
            assert found == keys[:1]


def test_filter_by_one_finds_what_is_true(engine: sa.Engine) -> None:
    Base.metadata.create_all(engine)
    with orm.Session(engine) as session:
        session.add_all([Cat(name="a"), Cat(name="b", tame=False)])
        session.commit()
        assert [cat.name for cat in session.query(Cat).filter_by(tame=1)] == ["a"]


# --- keys ----------------------------------------------------------------------------------------

KEYS: list[tuple[Any, Any, Any]] = [
    (sa.String(), Named.ONE, "two"),
    (sa.String(), Word("one"), Named.ONE),
    (sa.Integer(), Numbered.SEVEN, 8.0),
    (sa.Integer(), 2.0, Of("numpy", "int64", 3)),
    (sa.Float(), Of("numpy", "float64", 0.5), 2),
    (sa.Date(), dt.datetime(2024, 1, 1), Of("pandas", "Timestamp", "2024-01-02")),
    (sa.DateTime(), Of("pandas", "Timestamp", "2024-01-01"), dt.date(2024, 1, 2)),
    (sa.Interval(), Of("pandas", "Timedelta", dt.timedelta(1)), dt.timedelta(2)),
    (sa.Boolean(), Of("numpy", "bool_", True), 0),
    (sa.LargeBinary(), b"one", bytearray(b"two")),
    (sa.Enum(Size), Size.SMALL, "LARGE"),
]


@pytest.mark.parametrize(("kind", "key", "other"), KEYS, ids=[repr(row) for row in KEYS])
def test_a_key_of_a_subclass_says_which_row_is_meant(
    engine: sa.Engine, kind: Any, key: Any, other: Any
) -> None:
    key, other = value_of(key), value_of(other)

    class Own(orm.DeclarativeBase):
        pass

    class Keyed(Own):
        __tablename__ = "keyed"
        id: orm.Mapped[Any] = orm.mapped_column(kind, primary_key=True, autoincrement=False)
        n: orm.Mapped[int]

    Own.metadata.create_all(engine)
    table = Own.metadata.tables["keyed"]
    with orm.Session(engine, expire_on_commit=False) as session:
        if not isinstance(key, (bytes, bytearray)):
            session.add(row := Keyed(id=key, n=1))
            session.flush()
            row.n = 2
            session.commit()
            row.n = 3
            session.commit()
            session.delete(row)
            session.commit()
    with engine.begin() as connection:
        connection.execute(sa.insert(table), [{"id": key, "n": 1}])
        was, now = sa.literal(key, kind), sa.bindparam("k", type_=kind)
        connection.execute(sa.update(table).where(table.c.id == was).values(id=other))
        connection.execute(sa.update(table).where(table.c.id == now), [{"k": other, "n": 5}])
    with engine.connect() as connection:
        assert connection.execute(sa.select(table.c.n)).all() == [(5,)]
        assert (
            connection.scalar(
                sa.select(sa.func.count()).where(table.c.id == sa.literal(other, kind))
            )
            == 1
        )


def test_a_key_of_another_type_is_refused(engine: sa.Engine) -> None:
    table = sa.Table("keyed", sa.MetaData(), sa.Column("id", sa.Integer, primary_key=True))
    table.create(engine)
    given: sa.BindParameter[Any] = sa.bindparam("k", type_=sa.Integer())
    for key in (1.5, Decimal(1)):
        with engine.begin() as connection, pytest.raises(sa.exc.DataError, match="column's type"):
            connection.execute(sa.update(table).where(table.c.id == given).values(id=2), {"k": key})


# --- values are copied when they are given --------------------------------------------------------


class Parts(list[Any]):
    pass


class Pairs(dict[Any, Any]):
    pass


def test_what_changes_later_changes_nothing(engine: sa.Engine) -> None:
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE kept (k INT, b BINARY, a ARRAY<INT>)")
    buffer, own, numbers = bytearray(b"one"), Buffer(b"two"), Parts([1, 2])
    write = sa.text("INSERT INTO kept VALUES (1, :b, :a), (2, :own, :more)")
    given = {"b": memoryview(buffer), "a": numbers, "own": own, "more": (3,)}
    with engine.begin() as connection:
        connection.execute(write, given)
        buffer[:], own[:] = b"XXX", b"YYY"
        numbers.append(9)
    with engine.connect() as connection:
        found = connection.exec_driver_sql("SELECT k, b, a FROM kept ORDER BY k").all()
    assert [(k, bytes(b), list(a)) for k, b, a in found] == [(1, b"one", [1, 2]), (2, b"two", [3])]


def test_what_changes_later_changes_nothing_in_columns(engine: sa.Engine) -> None:
    table = sa.Table(
        "kept",
        sa.MetaData(),
        sa.Column("k", sa.Integer, primary_key=True),
        sa.Column("b", sa.LargeBinary),
        sa.Column("j", sa.JSON),
        sa.Column("a", ARRAY(sa.Integer)),
    )
    table.create(engine)
    buffer, document, numbers = bytearray(b"one"), {"a": [1]}, Parts([1])
    row = {"b": memoryview(buffer), "j": document, "a": numbers}
    with engine.begin() as connection:
        connection.execute(sa.insert(table), {"k": 1, **row})
        connection.execute(sa.insert(table).values([{"k": 2, **row}, {"k": 3, **row}]))
        buffer[:] = b"XXX"
        document["a"].append(2)
        numbers.append(2)
    with engine.connect() as connection:
        found = connection.execute(sa.select(table).order_by(table.c.k)).all()
    assert found == [(k, b"one", {"a": [1]}, [1]) for k in (1, 2, 3)]


def test_what_cannot_be_sent_is_refused_when_it_is_given(engine: sa.Engine) -> None:
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE kept (k INT)")
        with pytest.raises(sa.exc.ProgrammingError, match=r"Secret.*cannot be sent"):
            connection.execute(sa.text("INSERT INTO kept VALUES (:k)"), {"k": [Secret(1)]})
    with engine.connect() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM kept").scalar() == 0


def test_copies_hold_copies() -> None:
    from vinci_code.database.dialect.text.binding import Struct, Typed
    from vinci_code.database.dialect.units.copying import settled

    inner, buffer = [1], bytearray(b"x")
    pairs = Pairs(a=inner)
    given: list[Any] = [
        Parts([inner, (inner, buffer)]),
        pairs,
        Struct(a=inner),
        Typed(inner, "ARRAY<BIGINT>"),
        memoryview(buffer),
    ]
    [row] = settled([given])
    inner.append(2)
    buffer[:] = b"y"
    pairs["b"] = 1
    expected = [[[1], ([1], b"x")], {"a": [1]}, Struct(a=[1]), Typed([1], "ARRAY<BIGINT>"), b"x"]
    assert list(row) == expected
    assert [type(value) for value in row] == [list, dict, Struct, Typed, bytes]


def test_rows_of_fixed_values_are_not_copied() -> None:
    from vinci_code.database.dialect.units.copying import settled

    rows = [(1, "x", None, MOMENT, Decimal(1)), (2, "y", b"z", uuid.UUID(int=1), 1.5)]
    assert all(map(lambda one, two: one is two, settled(rows), rows))


def test_a_pickle_is_made_when_it_is_given(sides: Sides) -> None:
    process = write_processor(sa.PickleType(), VinciDialect())
    assert process is not None
    assert pickle.loads(process({"a": 1})) == {"a": 1}
