"""Queries: the same statement gives the same rows on SQLite and on the warehouse."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import (
    Boolean,
    Column,
    Date,
    DateTime,
    Engine,
    Float,
    Integer,
    MetaData,
    Numeric,
    Sequence,
    String,
    Table,
    and_,
    bindparam,
    case,
    cast,
    create_engine,
    delete,
    distinct,
    except_,
    exists,
    extract,
    false,
    func,
    insert,
    intersect,
    literal,
    literal_column,
    not_,
    null,
    or_,
    select,
    text,
    true,
    tuple_,
    union,
    union_all,
    update,
    values,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import CompileError

from tests.dialect.sides import Sides, sides_of
from vinci_code.core.errors import ValueRefusedError
from vinci_code.database.dialect.base import VinciDialect
from vinci_code.database.dialect.sql.date_functions import date_pattern
from vinci_code.warehouse.pytest_plugin import TestWarehouse

METADATA = MetaData()
ITEM = Table(
    "item",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("name", String(20)),
    Column("n", Integer),
    Column("price", Numeric(10, 2)),
    Column("weight", Float),
    Column("ok", Boolean),
    Column("day", Date),
    Column("at", DateTime),
    Column("parent_id", Integer),
)
TAG = Table(
    "tag",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("item_id", Integer),
    Column("label", String),
)
ITEMS: list[dict[str, Any]] = [
    {
        "id": 1,
        "name": "Anna",
        "n": 7,
        "price": Decimal("1.25"),
        "weight": 0.1,
        "ok": True,
        "day": dt.date(2024, 1, 1),
        "at": dt.datetime(2024, 1, 1, 0, 0),
        "parent_id": None,
    },
    {
        "id": 2,
        "name": "bob_1",
        "n": -7,
        "price": Decimal("10.00"),
        "weight": -2.5,
        "ok": False,
        "day": dt.date(2024, 2, 29),
        "at": dt.datetime(2024, 2, 29, 23, 59, 59, 123456),
        "parent_id": 1,
    },
    {
        "id": 3,
        "name": "50%",
        "n": 0,
        "price": None,
        "weight": None,
        "ok": None,
        "day": None,
        "at": None,
        "parent_id": 1,
    },
    {
        "id": 4,
        "name": "a'b\\c",
        "n": None,
        "price": Decimal("-3.30"),
        "weight": 1e300,
        "ok": True,
        "day": dt.date(2023, 12, 31),
        "at": dt.datetime(2023, 12, 31, 12, 30, 15),
        "parent_id": 2,
    },
    {
        "id": 5,
        "name": None,
        "n": 3,
        "price": Decimal("0.00"),
        "weight": 3.0,
        "ok": False,
        "day": dt.date(1999, 6, 15),
        "at": dt.datetime(1999, 6, 15, 6, 7, 8),
        "parent_id": 4,
    },
]
TAGS = [
    {"id": 1, "item_id": 1, "label": "x"},
    {"id": 2, "item_id": 1, "label": "y"},
    {"id": 3, "item_id": 2, "label": "x"},
]
I, T = ITEM.c, TAG.c  # noqa: E741 - short names keep the tables of cases legible


@pytest.fixture(scope="module")
def read_only(local_warehouse_server: Any, tmp_path_factory: Any) -> Iterator[Sides]:
    """Both sides with the rows above; for queries that change nothing."""
    server = local_warehouse_server
    server.sql("CREATE SCHEMA test_compiler")
    engine = create_engine(
        f"databricks+vinci://{server.host}:{server.port}?http_path={server.http_path}"
        f"&catalog={server.catalog}&schema=test_compiler",
        connect_args={
            "access_token": server.access_token,
            "_tls_trusted_ca_file": str(server.ca_file),
        },
    )
    with sides_of(engine, Path(tmp_path_factory.mktemp("sides")), METADATA) as sides:
        for made in sides.engines:
            _fill(made)
        yield sides
    engine.dispose()
    server.sql("DROP SCHEMA test_compiler CASCADE")


@pytest.fixture
def sides(engine: Engine, tmp_path: Path) -> Iterator[Sides]:
    """Both sides with the rows above, for this test alone."""
    with sides_of(engine, tmp_path, METADATA) as made:
        for side in made.engines:
            _fill(side)
        yield made


def _fill(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(insert(ITEM).values(ITEMS))
        connection.execute(insert(TAG).values(TAGS))


def _compiled(statement: Any) -> str:
    return str(statement.compile(dialect=VinciDialect()))


# --- conditions -----------------------------------------------------------------------------------

_CONDITIONS = {
    "equal": I.n == 7,
    "not equal": I.n != 7,
    "null": I.n.is_(None),
    "not null": I.n.is_not(None),
    "true": I.ok,
    "is true": I.ok.is_(True),
    "is false": I.ok.is_(False),
    "equals true": I.ok == True,  # noqa: E712
    "not": not_(I.ok),
    "is not true": I.ok.is_not(True),
    "distinct": I.n.is_distinct_from(7),
    "distinct from null": I.n.is_distinct_from(None),
    "not distinct": I.n.is_not_distinct_from(None),
    "and or": or_(and_(I.n > 0, I.ok), I.n < 0),
    "constants": and_(true(), or_(false(), I.n == 3)),
    "between": I.n.between(-7, 3),
    "in": I.n.in_([7, 3, 99]),
    "not in": I.n.not_in([7]),
    "in nothing": I.n.in_([]),
    "not in nothing": I.n.not_in([]),
    "in with null": I.n.in_([7, None]),
    "in many": I.id.in_(range(0, 5000, 2)),
    "not in many": I.id.not_in(range(3, 5003)),
    "in pairs": tuple_(I.id, I.n).in_([(1, 7), (2, 0)]),
    "in no pairs": tuple_(I.id, I.n).in_([]),
    "in select": I.id.in_(select(T.item_id)),
    "not in select": I.id.not_in(select(T.item_id)),
    "exists": exists().where(T.item_id == I.id),
    "not exists": ~exists().where(T.item_id == I.id),
    "like": I.name.like("a%"),
    "like in capitals": I.name.like("ANNA"),
    "not like": I.name.not_like("a%"),
    "like with escape": I.name.like("%#_%", escape="#"),
    "like with backslash escape": I.name.like("50\\%", escape="\\"),
    "like a backslash": I.name.like("%\\%"),
    "ilike": I.name.ilike("ANN%"),
    "not ilike": I.name.not_ilike("%A%"),
    "startswith": I.name.startswith("a"),
    "endswith": I.name.endswith("1"),
    "contains": I.name.contains("NN"),
    "contains percent": I.name.contains("%", autoescape=True),
    "contains underscore": I.name.contains("_", autoescape=True),
    "contains slash": I.name.contains("\\", autoescape=True),
    "contains quote": I.name.contains("'b\\"),
    "icontains": I.name.icontains("BOB"),
    "istartswith": I.name.istartswith("aN"),
    "regexp": I.name.regexp_match("^[a-z]+_[0-9]$"),
    "not regexp": ~I.name.regexp_match("n{2}"),
    "text compared": I.name < "b",
    "float": I.weight > 1e299,
    "decimal": I.price > Decimal("1.249"),
    "decimal by float": I.price > 1.2,
    "date": I.day >= dt.date(2024, 1, 1),
    "datetime": I.at < dt.datetime(2024, 2, 29, 23, 59, 59, 123456),
    "datetime to the microsecond": I.at == dt.datetime(2024, 2, 29, 23, 59, 59, 123456),
    "scalar subquery": I.n == select(func.max(I.n)).scalar_subquery(),
    "any of a case": case((I.n > 0, "plus"), (I.n < 0, "minus"), else_="?") == "plus",
    "coalesce": func.coalesce(I.n, -1) == -1,
    "nullif": func.nullif(I.n, 0).is_(None),
}


@pytest.mark.parametrize("name", _CONDITIONS)
def test_condition(read_only: Sides, name: str) -> None:
    read_only.rows(select(I.id).where(_CONDITIONS[name]).order_by(I.id))


# --- expressions ----------------------------------------------------------------------------------

_EXPRESSIONS = {
    "integer division": I.n // 2,
    "division": I.n / 2,
    "division by zero": I.n / I.n,
    "integer division by zero": I.n // I.n,
    "modulo": I.n % 4,
    "modulo by zero": I.n % (I.n - I.n),
    "modulo of negative divisor": I.n % -4,
    "division of floats": I.weight / 4,
    "division of decimals": I.price / 5,
    "sum of decimals": I.price + Decimal("0.05"),
    "product of decimals": I.price * 3,
    "large product": (I.n + 1_000_000_000) * 1_000_000_000,
    "negated": -I.n,
    "concatenated": I.name + "-" + I.name,
    "concatenated with a number": I.name + cast(I.n, String),
    "coalesced and concatenated": func.coalesce(I.name, "") + "x",
    "lower": func.lower(I.name),
    "upper": func.upper(I.name),
    "length": func.length(I.name),
    "char_length": func.char_length(I.name),
    "substr": func.substr(I.name, 2, 2),
    "substr to the end": func.substr(I.name, 3),
    "substr from the end": func.substr(I.name, -2),
    "replace": func.replace(I.name, "b", "BB"),
    "trim": func.trim(literal("  x  ")),
    "trim what holds spaces": func.trim(literal_column("' a  b '")),
    "trim letters": func.trim(literal("xxaxx"), "x"),
    "ltrim letters": func.ltrim(literal("xxaxx"), "x"),
    "rtrim letters": func.rtrim(literal("xxaxx"), "x"),
    "ltrim": func.ltrim(literal("  x ")),
    "instr": func.instr(I.name, "b"),
    "abs": func.abs(I.n),
    "round": func.round(literal(2.25), 1),
    "ifnull": func.ifnull(I.n, 9),
    "iif": func.iif(I.n > 0, "plus", "else"),
    "greatest": func.max(I.n, 3),
    "least": func.min(I.n, 3),
    "cast to text": cast(I.n, String),
    "cast to integer": cast(literal("12"), Integer),
    "cast float to integer": cast(literal(3.7), Integer),
    "cast negative float to integer": cast(literal(-3.7), Integer),
    "cast truth to text": cast(I.ok, String),
    "cast truth to number": cast(I.ok, Integer),
    "comparison": I.n > 0,
    "null": null(),
    "true": true(),
    "literal column": literal_column("1 + 1"),
    "literal text": literal("it's a \\ and a \" and ü and 😀"),
    "year": extract("year", I.at),
    "month": extract("month", I.at),
    "day": extract("day", I.at),
    "hour": extract("hour", I.at),
    "minute": extract("minute", I.at),
    "second": extract("second", I.at),
    "day of year": extract("doy", I.at),
    "day of week": extract("dow", I.at),
    "week": extract("week", I.at),
    "epoch": extract("epoch", I.at),
    "year of a date": extract("year", I.day),
    "strftime": func.strftime("%Y-%m", I.at),
    "strftime with words": func.strftime("%d of %m, %Hh", I.at),
    "strftime with percent": func.strftime("%H%%", I.at),
    "date": func.date(I.at),
    "datetime": func.datetime(I.at),
    "time": func.time(I.at),
    "case": case((I.ok, I.n), else_=0),
    "simple case": case({1: "one", 2: "two"}, value=I.id, else_="many"),
    "exists": exists().where(T.item_id == I.id),
    "scalar subquery": select(func.count()).where(T.item_id == I.id).scalar_subquery(),
    "row number": func.row_number().over(order_by=I.id.desc()),
    "running sum": func.sum(I.n).over(order_by=I.id),
    "partition": func.count().over(partition_by=I.ok),
    "rows between": func.sum(I.n).over(order_by=I.id, rows=(-1, 0)),
    "lag": func.lag(I.name, 1).over(order_by=I.id),
    "first value": func.first_value(I.name).over(order_by=I.id),
    "ntile": func.ntile(2).over(order_by=I.id),
}


@pytest.mark.parametrize("name", _EXPRESSIONS)
def test_expression(read_only: Sides, name: str) -> None:
    read_only.rows(select(I.id, _EXPRESSIONS[name]).order_by(I.id))


_AGGREGATES = {
    "count": func.count(),
    "count of a column": func.count(I.n),
    "count distinct": func.count(distinct(I.ok)),
    "sum": func.sum(I.n),
    "sum of truth": func.sum(I.ok),
    "sum of decimals": func.sum(I.price),
    "sum distinct": func.sum(distinct(I.n)),
    "sum of nothing": func.sum(I.n).filter(I.id > 99),
    "total": func.total(I.n),
    "average": func.avg(I.n),
    "average of decimals": func.avg(I.price),
    "max": func.max(I.name),
    "min": func.min(I.at),
    "max of nothing": func.max(I.n).filter(I.id > 99),
    "filter": func.count().filter(I.ok),
    "joined text": func.aggregate_strings(I.name, "|"),
    "group_concat": func.group_concat(I.name),
    "joined text of nothing": func.aggregate_strings(case((I.id > 99, I.name)), "|"),
}


@pytest.mark.parametrize("name", _AGGREGATES)
def test_aggregate(read_only: Sides, name: str) -> None:
    read_only.rows(select(_AGGREGATES[name]).where(I.id < 4))


# --- statements -----------------------------------------------------------------------------------

_TREE = select(I.id, literal(0).label("depth")).where(I.parent_id.is_(None)).cte(recursive=True)
_TREE = _TREE.union_all(
    select(I.id, _TREE.c.depth + 1).join_from(_TREE, ITEM, I.parent_id == _TREE.c.id)
)
_POSITIVE = select(I.id, I.n).where(I.n > 0).cte("positive")
_OTHER = _POSITIVE.alias("other")
_PARENT = ITEM.alias("parent")
_LATEST = select(T.item_id, func.max(T.id).label("last")).group_by(T.item_id).subquery()
_PAIRS = values(Column("a", Integer), Column("b", String), name="pairs").data(
    [(1, "x"), (2, "it's \\"), (3, None)]
)
_STATEMENTS = {
    "limit": select(I.id).order_by(I.id).limit(2),
    "limit and offset": select(I.id).order_by(I.id).limit(2).offset(1),
    "offset": select(I.id).order_by(I.id).offset(3),
    "limit zero": select(I.id).limit(0),
    "limit below zero": select(I.id).order_by(I.id).limit(-1),
    "limit beyond an INT": select(I.id).order_by(I.id).limit(2**40),
    "offset below zero": select(I.id).order_by(I.id).limit(9).offset(-1),
    "limit by an expression": select(I.id).order_by(I.id).limit(literal(1) + 1),
    "ascending nulls": select(I.n).order_by(I.n, I.id),
    "descending nulls": select(I.n).order_by(I.n.desc(), I.id),
    "nulls first": select(I.n).order_by(I.n.desc().nulls_first()),
    "nulls last": select(I.n).order_by(I.n.nulls_last()),
    "distinct": select(I.ok).distinct().order_by(I.ok),
    "group by": select(I.ok, func.count()).group_by(I.ok).order_by(I.ok),
    "having": select(I.ok, func.sum(I.n)).group_by(I.ok).having(func.count() > 1).order_by(I.ok),
    "join": select(I.name, T.label).join_from(ITEM, TAG, T.item_id == I.id).order_by(T.id),
    "outer join": select(I.id, T.label)
    .join_from(ITEM, TAG, T.item_id == I.id, isouter=True)
    .order_by(I.id, T.id),
    "self join": select(I.id, _PARENT.c.name)
    .join_from(ITEM, _PARENT, _PARENT.c.id == I.parent_id)
    .order_by(I.id),
    "subquery": select(I.id, _LATEST.c.last)
    .join_from(ITEM, _LATEST, _LATEST.c.item_id == I.id)
    .order_by(I.id),
    "cte": select(_POSITIVE.c.id).order_by(_POSITIVE.c.id),
    "cte twice": select(_POSITIVE.c.id)
    .join_from(_POSITIVE, _OTHER, _OTHER.c.id == _POSITIVE.c.id)
    .order_by(_POSITIVE.c.id),
    "recursive cte": select(_TREE.c.id, _TREE.c.depth).order_by(_TREE.c.id),
    "union": union(select(I.n), select(T.id)).order_by("n"),
    "union all": union_all(select(I.id), select(T.id)).order_by("id"),
    "except": except_(select(I.id), select(T.item_id)).order_by("id"),
    "intersect": intersect(select(I.id), select(T.item_id)).order_by("id"),
    "no table": select(literal(1), literal("a"), literal(None)),
    "label with a space": select(I.id.label("the id"), I.name.label("select")).order_by("the id"),
    "order by a label": select((I.n * 2).label("double")).order_by("double", I.id),
    "empty set": select(I.id).where(I.id.in_(select(T.id).where(T.id.in_([])))),
    "text": text("SELECT id FROM item WHERE n > :low ORDER BY id").bindparams(low=0),
    "window in a subquery": select(literal_column("r"), literal_column("id"))
    .select_from(select(I.id, func.rank().over(order_by=I.ok).label("r")).subquery("ranked"))
    .order_by(literal_column("id")),
}


@pytest.mark.parametrize("name", _STATEMENTS)
def test_statement(read_only: Sides, name: str) -> None:
    read_only.rows(_STATEMENTS[name])


def test_a_statement_is_compiled_once_for_all_its_values(read_only: Sides) -> None:
    for form in ("%Y", "%m"):
        for limit in (1, 2, -1):
            read_only.rows(select(func.strftime(form, I.at)).order_by(I.id).limit(limit))


def test_values_are_a_table(read_only: Sides) -> None:
    pairs = select(_PAIRS.c.a, _PAIRS.c.b).order_by(_PAIRS.c.a)
    joined = select(I.name, _PAIRS.c.b).join_from(ITEM, _PAIRS, _PAIRS.c.a == I.id).order_by(I.id)
    with read_only.warehouse.connect() as connection:
        assert connection.execute(pairs).all() == [(1, "x"), (2, "it's \\"), (3, None)]
        assert connection.execute(joined).all() == [
            ("Anna", "x"),
            ("bob_1", "it's \\"),
            ("50%", None),
        ]


@pytest.mark.parametrize("pairs", [[(1, 7), (2, 0)], []])
def test_pairs_as_literals(read_only: Sides, pairs: list[tuple[int, int]]) -> None:
    query = select(I.id).where(tuple_(I.id, I.n).in_(pairs)).order_by(I.id)
    text = str(query.compile(read_only.warehouse, compile_kwargs={"literal_binds": True}))
    with read_only.warehouse.connect() as connection:
        found = [tuple(row) for row in connection.exec_driver_sql(text)]
    assert found == read_only.rows(query)
    assert bool(found) == bool(pairs)


def test_fetch_is_limit(engine: Engine) -> None:
    with engine.connect() as connection:
        statement = select(literal(1)).fetch(5).offset(0)
        assert connection.execute(statement).scalar_one() == 1


def test_like_can_tell_capitals(
    local_warehouse: TestWarehouse, engine_url: Any, engine_args: Any
) -> None:
    engine = create_engine(engine_url, connect_args=engine_args, case_sensitive_like=True)
    with engine.connect() as connection:
        assert connection.scalar(select(literal("Anna").like("a%"))) is False
        assert connection.scalar(select(literal("Anna").ilike("a%"))) is True
    engine.dispose()


def test_flags_of_regular_expressions(engine: Engine) -> None:
    with engine.connect() as connection:
        assert connection.scalar(select(literal("Anna").regexp_match("^ANNA", flags="i"))) is True
        replaced = select(literal("a1b22").regexp_replace("[0-9]+", "#"))
        assert connection.scalar(replaced) == "a#b#"


# --- writes ---------------------------------------------------------------------------------------


def _all(sides: Sides) -> list[tuple[Any, ...]]:
    return sides.rows(select(ITEM).order_by(I.id))


_WRITES = {
    "update": update(ITEM).where(I.id == 1).values(name="new"),
    "update with an expression": update(ITEM).values(n=I.n + 1),
    "update by a subquery": update(ITEM).where(I.id.in_(select(T.item_id))).values(name="tagged"),
    "update by exists": update(ITEM)
    .where(exists().where(and_(T.item_id == I.id, T.label == "y")))
    .values(ok=False),
    "update with a second table": update(ITEM)
    .where(and_(T.item_id == I.id, T.label == "y"))
    .values(name=T.label),
    "update to null": update(ITEM).where(I.id == 1).values(name=None, n=null()),
    "delete": delete(ITEM).where(I.id > 3),
    "delete by a subquery": delete(ITEM).where(I.id.in_(select(T.item_id))),
    "delete by a negated subquery": delete(ITEM).where(~exists().where(T.item_id == I.id)),
    "delete all": delete(ITEM),
    "insert from select": insert(ITEM).from_select(
        ["id", "name"], select(T.id + 100, T.label).where(T.id > 1)
    ),
    "insert from a cte": insert(ITEM).from_select(
        ["id", "n"], select(_POSITIVE.c.id + 200, _POSITIVE.c.n)
    ),
    "insert of expressions": insert(ITEM).values(id=50, name=func.lower("ABC"), n=literal(1) + 1),
    "insert of a subquery": insert(ITEM).values(id=51, n=select(func.max(T.id)).scalar_subquery()),
}


@pytest.mark.parametrize("name", _WRITES)
def test_write(sides: Sides, name: str) -> None:
    counts = sides.both(lambda connection: connection.execute(_WRITES[name]).rowcount)
    # SQLite's driver does not count what stands behind WITH.
    assert counts[1] == counts[0] or counts[0] == -1
    _all(sides)


def test_update_of_many(sides: Sides) -> None:
    statement = update(ITEM).where(I.id == bindparam("key")).values(name=bindparam("to"))
    sides.write(statement, [{"key": 1, "to": "one"}, {"key": 2, "to": None}])
    _all(sides)


# --- what is refused ------------------------------------------------------------------------------

_REFUSED: dict[str, tuple[Any, str]] = {
    "skip locked": (select(T.id).with_for_update(skip_locked=True), r"run_unit\(\)"),
    "on conflict of sqlite": (
        sqlite.insert(TAG).values(id=1).on_conflict_do_nothing(),
        r"upsert\(\)",
    ),
    "on conflict of postgresql": (
        postgresql.insert(TAG)
        .values(id=1)
        .on_conflict_do_update(index_elements=["id"], set_={"label": "x"}),
        r"upsert\(\)",
    ),
    "with before update": (
        update(TAG).where(T.id.in_(select(_POSITIVE.c.id))).values(label="x"),
        "subquery",
    ),
    "with before delete": (delete(TAG).where(T.id.in_(select(_POSITIVE.c.id))), "subquery"),
    "sequence": (select(Sequence("s").next_value()), "made by this dialect"),
    "fetch with ties": (select(T.id).order_by(T.id).fetch(1, with_ties=True), "window"),
    "fetch percent": (select(T.id).order_by(T.id).fetch(1, percent=True), "window"),
    "match": (select(T.id).where(T.label.match("x")), "regexp_match"),
    "date with modifiers of rows": (select(func.date(I.at, I.name)), "timedelta"),
}


@pytest.mark.parametrize("name", _REFUSED)
def test_refused_with_the_alternative(name: str) -> None:
    statement, alternative = _REFUSED[name]
    with pytest.raises(CompileError, match=alternative):
        _compiled(statement)


def test_nothing_is_sent_of_what_is_refused(engine: Engine, local_warehouse: TestWarehouse) -> None:
    with engine.connect() as connection:
        connection.execute(select(literal(1)))
        before = len(local_warehouse.statements)
        with pytest.raises(CompileError):
            connection.execute(select(T.id).with_for_update(skip_locked=True))
        assert len(local_warehouse.statements) == before


@pytest.mark.parametrize(
    ("of_sqlite", "of_databricks"),
    [
        ("%Y-%m-%d", "yyyy-MM-dd"),
        ("%H:%M:%S", "HH:mm:ss"),
        ("", ""),
        ("100%%", "100%"),
        ("%Y-%mT%Hh", "yyyy-MM'T'HH'h'"),
        ("on %d of %m", "'on' dd 'of' MM"),
        ("%H o'clock", "HH 'o''clock'"),
    ],
)
def test_patterns_of_dates(of_sqlite: str, of_databricks: str) -> None:
    assert date_pattern(of_sqlite) == of_databricks


def test_patterns_without_counterpart() -> None:
    with pytest.raises(ValueRefusedError, match="%w"):
        date_pattern("%w")
