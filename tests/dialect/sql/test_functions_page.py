"""docs/functions.md is true: of each function of SQLite it says what it is on Databricks."""

from __future__ import annotations

import datetime as dt
import itertools
import math
import re
import sqlite3
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import func
from sqlalchemy.exc import CompileError

from tests.dialect.sides import Sides, sides_of
from vinci_code.core.errors import ValueRefusedError
from vinci_code.database.dialect.sql.refused_functions import ALTERNATIVES
from vinci_code.database.dialect.types.nested import ARRAY
from vinci_code.warehouse import LocalWarehouse
from vinci_code.warehouse.pytest_plugin import TestWarehouse

PAGE = Path(__file__).parents[3] / "docs" / "functions.md"
WORDS = {"same", "rendered", "different", "refused", "left"}
_ROW = re.compile(r"^\| (?P<names>`[a-z0-9_`, ]+`) \| (?P<word>\w+) \|", re.MULTILINE)

METADATA = sa.MetaData()
T = sa.Table(
    "hostile",
    METADATA,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("t", sa.String),
    sa.Column("u", sa.String),
    sa.Column("i", sa.Integer),
    sa.Column("j", sa.Integer),
    sa.Column("x", sa.Float),
    sa.Column("y", sa.Float),
    sa.Column("b", sa.LargeBinary),
    sa.Column("ok", sa.Boolean),
    sa.Column("d", sa.Date),
    sa.Column("m", sa.DateTime),
    sa.Column("c", sa.Time),
    sa.Column("doc", sa.JSON(none_as_null=True)),
)
C = T.c
LISTS = sa.Table(
    "lists",
    METADATA,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("items", ARRAY(sa.Integer)),
)

TEXTS = [
    None, "", "a", "Hello World", "ÄÖé ß", "😀x😀", "  pad ", "0", "12abc", "a%b_c\\d",
    "it's \"q\"", "xxaxx", "abcabc" * 200, "\t\n", "\U0010ffff",
]  # fmt: skip
PARTS = [None, "", "a", "x", "😀", "bc", " ", "é", "zz"]
NUMBERS = [None, 0, 1, -1, 7, -12345, 2**53 + 1, 2**63 - 1, -(2**63) + 1, 255]
PLACES = [None, 0, 1, 2, 3, -1, -2, -3, 5, 100, -100, 2**31 - 1]
FLOATS = [None, 0.0, 0.5, -2.5, 1.005, 1e300, -1e-300, 123456789.125, 2.0, -0.4, 1.0, -1.0, 3.0]
SMALL = [None, 0.0, 1.0, -1.0, 0.5, 2.0, -3.0, 10.0]
BYTES = [None, b"", b"\x00", b"\x00\xff\x01", "é😀".encode(), b"abc"]
DAYS = [None, dt.date(2024, 2, 29), dt.date(1900, 1, 1), dt.date(2023, 12, 31), dt.date(9000, 5, 6)]
MOMENTS = [
    None, dt.datetime(2024, 1, 31, 23, 59, 59, 999999), dt.datetime(1969, 12, 31, 23, 59, 59, 1),
    dt.datetime(2024, 2, 29, 12, 34, 56, 789500), dt.datetime(1600, 3, 1), dt.datetime(2024, 3, 3),
]  # fmt: skip
TIMES = [None, dt.time(0, 0), dt.time(23, 59, 59, 999999), dt.time(1, 2, 3)]
DOCUMENTS = [None, [], [1, None, "x"], {"a": 1}, "text", 5, [[1, 2], {"b": []}]]
COLUMNS: dict[str, list[Any]] = {
    "t": TEXTS, "u": PARTS, "i": NUMBERS, "j": PLACES, "x": FLOATS, "y": SMALL, "b": BYTES,
    "ok": [None, True, False], "d": DAYS, "m": MOMENTS, "c": TIMES, "doc": DOCUMENTS,
}  # fmt: skip
COUNT = 90
# The lists are of different lengths, so that each value meets others of the other columns.
ROWS = [
    {"id": number, **{name: values[at % len(values)] for name, values in COLUMNS.items()}}
    for number, at in enumerate(itertools.chain(range(COUNT // 2), range(1000, 1000 + COUNT // 2)))
]

# Rows of which both databases can make something; the errors of the others are below.
SMALL_X = sa.func.abs(C.x) < 1e10

WINDOW: dict[str, Any] = {"order_by": [C.y, C.id], "partition_by": C.ok}
CASES: dict[str, list[Any]] = {
    "abs": [func.abs(C.i), func.abs(C.x), func.abs(C.ok)],
    "acos": [func.acos(C.x), func.acos(C.ok)],
    "acosh": [func.acosh(C.x)],
    "asin": [func.asin(C.x)],
    "asinh": [func.asinh(C.x)],
    "atan": [func.atan(C.x), func.atan(C.i)],
    "atan2": [func.atan2(C.x, C.y)],
    "atanh": [func.atanh(C.y)],
    "ceil": [func.ceil(C.x), func.ceil(C.i), func.ceil(C.ok), func.ceil(C.i + C.j * 0) * 1],
    "ceiling": [func.ceiling(C.x), func.ceiling(C.i)],
    "cos": [func.cos(C.y)],
    "cosh": [func.cosh(C.y)],
    "degrees": [func.degrees(C.x)],
    "exp": [func.exp(C.y), func.exp(C.i)],
    "floor": [sa.case((SMALL_X, func.floor(func.coalesce(C.x, 0.5))))],
    "ln": [func.ln(C.x), func.ln(C.i)],
    "log": [func.log(C.x), func.log(C.y, C.x), func.log(C.i, C.i), func.log(C.ok)],
    "log10": [func.log10(C.x)],
    "log2": [func.log2(C.x)],
    "mod": [func.mod(C.i, C.y), func.mod(C.x, C.y), func.mod(C.i, 0)],
    "pi": [func.pi()],
    "pow": [func.pow(C.y, C.x)],
    "power": [func.power(C.x, C.y), func.power(C.ok, 2)],
    "radians": [func.radians(C.x)],
    "random": [func.typeof(sa.type_coerce(func.random(), sa.Integer)), func.random() * 0],
    "round": [
        func.round(C.x), func.round(C.i), func.round(C.x, 2), func.round(C.x, -1),
        func.round(C.x, sa.null()), func.round(C.ok),
    ],
    "sign": [func.sign(C.x), func.sign(C.i), func.sign(C.ok)],
    "sin": [func.sin(C.y)],
    "sinh": [func.sinh(C.y)],
    "sqrt": [func.sqrt(C.x), func.sqrt(C.i)],
    "tan": [func.tan(C.y)],
    "tanh": [func.tanh(C.x)],
    "trunc": [func.trunc(C.x), func.trunc(C.i), func.trunc(-C.x)],
    "char": [func.char(), func.char(65, 233, 0x1F600), func.char(0x10FFFF)],
    "hex": [func.hex(C.t), func.hex(C.i), func.hex(C.b), func.hex(C.ok)],
    "instr": [func.instr(C.t, C.u), func.instr(C.i, "3")],
    "length": [func.length(C.t), func.length(C.i), func.length(C.b), func.length(C.ok)],
    "like": [
        func.like("%a%", func.replace(C.t, "Ä", "")), func.like("_", C.t), func.like(C.u, C.t)
    ],
    "ltrim": [func.ltrim(C.t), func.ltrim(C.t, C.u), func.ltrim(C.i, "-1")],
    "replace": [func.replace(C.t, C.u, "-"), func.replace(C.t, "a", C.u), func.replace(C.i, 5, 6)],
    "rtrim": [func.rtrim(C.t), func.rtrim(C.t, C.u)],
    "substr": [
        func.substr(C.t, C.j), func.substr(C.t, 0, 3), func.substr(C.t, -3, 2),
        func.substr(C.t, 3, -2), func.substr(C.t, C.j, C.y * 0 + 2),
        func.substr(C.t, C.j % 7, C.i % 5), func.substr(C.b, 2, 1),
    ],
    "substring": [func.substring(C.t, C.j), func.substring(C.i, 2, 2)],
    "trim": [func.trim(C.t), func.trim(C.t, C.u), func.trim(C.t, "xa")],
    "unicode": [func.unicode(C.t), func.unicode(C.i)],
    "zeroblob": [func.zeroblob(C.j % 7), func.zeroblob(3), func.length(func.zeroblob(9))],
    "coalesce": [func.coalesce(C.t, C.u, "-"), func.coalesce(C.i, C.ok)],
    "ifnull": [func.ifnull(C.t, "none"), func.ifnull(C.ok, 5)],
    "nullif": [func.nullif(C.t, ""), func.nullif(C.i, 0)],
    "iif": [func.iif(C.i > 0, C.t, C.u), func.iif(C.i, 1, 2), func.iif(C.ok, C.x, C.y)],
    "likely": [func.likely(C.i), sa.case((func.likely(C.i > 0), 1), else_=0)],
    "unlikely": [func.unlikely(C.t), func.unlikely(C.j % 2 + 1) * 3],
    "likelihood": [func.likelihood(C.i, sa.literal_column("0.5"))],
    "max": [func.max(C.j, C.i), func.max(C.t, C.u), func.max(C.x, C.y, 0.25)],
    "min": [func.min(C.j, C.i), func.min(C.t, C.u), func.min(C.i, C.ok)],
    "typeof": [
        func.typeof(one) for one in (C.t, C.i, C.x, C.b, C.ok, C.d, C.m, C.c)
    ],
    "date": [
        func.date(C.d), func.date(C.m), func.date(C.m, "+1 month"), func.date(C.m, "weekday 0"),
        func.date(C.m, "start of month", "-1 day"), func.date("2024-02-29", "-1 year"),
        func.date("now"), func.date("10:11"), func.date(C.i % 10**9, "unixepoch"), func.date(),
        func.date(C.d, "-13 months", "+1.5 days"),
    ],
    "datetime": [
        func.datetime(C.m), func.datetime(C.m, "+90 minutes"), func.datetime(C.m, "start of year"),
        func.datetime("2024-02-29T10:11:12.5+02:00"), func.datetime(C.m, "-0.25 seconds"),
        func.datetime(C.y * 1000.5, "unixepoch", "+2 hours"), func.datetime(C.d, "+10 years"),
    ],
    "time": [func.time(C.m), func.time(C.c), func.time("01:02:03.5"), func.time(C.m, "+1 hour")],
    "julianday": [
        func.julianday(C.m), func.julianday(C.d), func.julianday("2024-02-29 12:00"),
        func.julianday(C.m, "start of day"), func.julianday(C.m) - func.julianday(C.d),
    ],
    "unixepoch": [func.unixepoch(C.m), func.unixepoch(C.d), func.unixepoch(C.m, "+1 day")],
    "strftime": [
        func.strftime("%Y-%m-%d %H:%M:%S %f %j %%", C.m), func.strftime("%Hh", C.c),
        func.strftime("%Y", C.m, "+1 year"), func.strftime("%Y"), func.strftime("", C.d),
        func.strftime("%w%W %s x%f", C.m), func.strftime("%s %Y", C.d, "+1 day"),
        func.strftime("%W", C.c),
    ],
    "current_date": [func.current_date() == sa.type_coerce(func.date("now"), sa.Date)],
    "current_time": [func.length(sa.cast(func.current_time(), sa.String))],
    "current_timestamp": [func.current_timestamp().is_(None)],
    "avg": [func.avg(one).over(partition_by=C.ok) for one in (C.j, C.y, C.ok)],
    "count": [func.count(C.t).over(partition_by=C.u), func.count().over(partition_by=C.j)],
    "sum": [func.sum(one).over(partition_by=C.u) for one in (C.j, C.y, C.ok)],
    "total": [
        *(func.total(one).over(partition_by=C.u) for one in (C.j, C.y, C.ok)),
        sa.select(func.total(sa.distinct(C.y))).scalar_subquery(),
        sa.select(func.total(C.y)).where(C.id < 0).scalar_subquery(),
        sa.select(func.total(C.y).filter(C.id < 0)).scalar_subquery(),
        func.total(C.y).filter(C.ok).over(partition_by=C.u),
    ],
    "group_concat": [
        sa.select(func.group_concat(C.u)).where(C.u == "x").scalar_subquery(),
        sa.select(func.group_concat(C.j, "")).where(C.j == 5).scalar_subquery(),
        sa.select(func.group_concat(C.ok, sa.null())).where(C.ok).scalar_subquery(),
        sa.select(func.group_concat(C.u)).where(C.id < 0).scalar_subquery(),
        sa.select(func.group_concat(sa.distinct(C.u))).where(C.u == "é").scalar_subquery(),
    ],
    "dense_rank": [func.dense_rank().over(order_by=C.y)],
    "first_value": [func.first_value(C.t).over(**WINDOW)],
    "lag": [func.lag(C.t).over(**WINDOW), func.lag(C.i, 2, -1).over(**WINDOW)],
    "last_value": [func.last_value(C.t).over(**WINDOW), func.last_value(C.y).over(order_by=C.y)],
    "lead": [func.lead(C.t).over(**WINDOW), func.lead(C.i, 0).over(**WINDOW)],
    "nth_value": [func.nth_value(C.t, 2).over(**WINDOW)],
    "ntile": [func.ntile(7).over(**WINDOW)],
    "rank": [func.rank().over(order_by=C.y.desc())],
    "row_number": [func.row_number().over(**WINDOW)],
    "json_array_length": [func.json_array_length(C.doc), func.json_array_length("[1,[2],null]")],
}  # fmt: skip

# Of functions that this SQLite may lack: what it gives by its documentation.
NEWER: dict[str, list[tuple[Any, Any]]] = {
    "concat": [(func.concat("a", sa.null(), 5), "a5"), (func.concat(sa.null()), "")],
    "concat_ws": [
        (func.concat_ws("-", "a", sa.null(), "", "b"), "a--b"),
        (func.concat_ws(sa.literal(None, sa.String), "a"), None),
    ],
    "octet_length": [
        (func.octet_length("é😀"), 6), (func.octet_length(-12), 3),
        (func.octet_length(b"\x00\xff"), 2), (func.octet_length(sa.null()), None),
    ],
    "unhex": [
        (func.unhex("00fF"), b"\x00\xff"), (func.unhex(""), b""), (func.unhex("123"), None),
        (func.unhex("1g"), None), (func.unhex(sa.literal(None, sa.String)), None),
    ],
    "if": [
        (getattr(func, "if")(sa.literal(1) > 2, "a", "b"), "b"),
        (getattr(func, "if")(sa.literal(1) > 2, "a"), None),
        (func.iif(sa.literal(1) > 2, "a", sa.literal(2) > 1, "b", "c"), "b"),
    ],
    "string_agg": [
        (sa.select(func.string_agg(sa.literal_column("'x'"), ";")).scalar_subquery(), "x"),
    ],
    "median": [(sa.select(func.median(sa.literal_column("1.5"))).scalar_subquery(), 1.5)],
}  # fmt: skip


def second_of(rows: int, function: Any) -> Any:
    """What a function of a window gives to the second of some rows."""
    each = sa.select(C.id, function.over(order_by=C.id).label("share")).where(C.id < rows)
    found = each.subquery()
    return sa.select(found.c.share).order_by(found.c.id).offset(1).limit(1).scalar_subquery()


DIFFERENT: dict[str, list[tuple[Any, Any, Any]]] = {
    "cume_dist": [
        (second_of(3, func.cume_dist()), Decimal("0.6666666667"), Decimal("0.6666666666666666"))
    ],
    "percent_rank": [
        (second_of(4, func.percent_rank()), Decimal("0.3333333333"), Decimal("0.3333333333333333"))
    ],
    "lower": [(func.lower("ÄA"), "Äa", "äa"), (func.lower("Az-1😀"), "az-1😀", "az-1😀")],
    "upper": [(func.upper("éa"), "éA", "ÉA"), (func.upper("aZ-1😀"), "AZ-1😀", "AZ-1😀")],
}
# These are in no SQLite that Python comes with.
NOT_SHOWN = {"percentile", "percentile_cont", "percentile_disc"}

# Two libraries compute them, so that the last digit may be another one.
COMPUTED = {
    "acos", "acosh", "asin", "asinh", "atan", "atan2", "atanh", "cos", "cosh", "degrees", "exp",
    "ln", "log", "log10", "log2", "pow", "power", "radians", "sin", "sinh", "sqrt", "tan", "tanh",
}  # fmt: skip


def words() -> dict[str, str]:
    """What the page says of each function, by its name."""
    found = {}
    for row in _ROW.finditer(PAGE.read_text(encoding="utf-8")):
        for name in re.findall(r"`([a-z0-9_]+)`", row["names"]):
            assert name not in found, f"{name} stands on the page twice"
            found[name] = row["word"]
    return found


def of_this_sqlite() -> set[str]:
    """The names of the functions that the sqlite3 here has."""
    with sqlite3.connect(":memory:") as connection:
        return {name for (name,) in connection.execute("SELECT name FROM pragma_function_list")}


def named(word: str) -> set[str]:
    """The functions of which the page says something."""
    return {name for name, said in words().items() if said == word}


@pytest.fixture(scope="module")
def sides(local_warehouse_server: LocalWarehouse, tmp_path_factory: Any) -> Iterator[Sides]:
    server = local_warehouse_server
    server.sql("CREATE SCHEMA test_functions_page")
    engine = sa.create_engine(
        f"databricks+vinci://{server.host}:{server.port}?http_path={server.http_path}"
        f"&catalog={server.catalog}&schema=test_functions_page",
        connect_args={
            "access_token": server.access_token,
            "_tls_trusted_ca_file": str(server.ca_file),
        },
    )
    with sides_of(engine, Path(tmp_path_factory.mktemp("functions")), METADATA) as made:
        made.write(sa.insert(T), ROWS)
        lists = [[1, 2], [], None, [None, 3], [3, 3]]
        made.write(sa.insert(LISTS), [{"id": n, "items": one} for n, one in enumerate(lists)])
        yield made
    engine.dispose()
    server.sql("DROP SCHEMA test_functions_page CASCADE")


def agrees(one: Any, two: Any, exact: bool) -> bool:
    """Whether two values are equal, and of one type; a truth value is 1 or 0."""
    one, two = (int(value) if isinstance(value, bool) else value for value in (one, two))
    if type(one) is not type(two):
        return False
    if isinstance(one, float) and not exact:
        return math.isclose(one, two, rel_tol=1e-14)
    return bool(one == two)


def test_every_function_of_this_sqlite_stands_on_the_page() -> None:
    said = words()
    operators = {"->", "->>"}
    assert of_this_sqlite() - operators - said.keys() == set()
    assert set(said.values()) == WORDS


def test_the_page_is_shown_to_be_true() -> None:
    assert named("same") | named("rendered") == CASES.keys() | NEWER.keys()
    assert named("refused") == ALTERNATIVES.keys()
    assert named("different") == DIFFERENT.keys() | NOT_SHOWN


@pytest.mark.parametrize("name", sorted(CASES.keys() - COMPUTED))
def test_the_same_on_both(sides: Sides, name: str) -> None:
    compare(sides, name, CASES[name], exact=True)


@pytest.mark.parametrize("name", sorted(COMPUTED))
def test_the_same_on_both_to_the_last_digits(sides: Sides, name: str) -> None:
    compare(sides, name, CASES[name], exact=False)


@pytest.mark.parametrize("name", sorted(COMPUTED))
def test_the_same_on_both_when_rounded(sides: Sides, name: str) -> None:
    """What Spark judges: it has another library."""
    rounded = [sa.case((func.abs(one) < 1e5, func.round(one, 9))) for one in CASES[name]]
    compare(sides, name, [*rounded, *(one.is_(None) for one in CASES[name])], exact=True)


def compare(sides: Sides, name: str, expressions: list[Any], *, exact: bool) -> None:
    """Compare what expressions give for all rows."""
    if name not in of_this_sqlite():
        pytest.skip(f"this SQLite has no {name}()")
    query = sa.select(C.id, *(one.label(f"r{n}") for n, one in enumerate(expressions)))
    on_sqlite, on_warehouse = (
        Sides._rows(engine, query.order_by(C.id), None) for engine in sides.engines
    )
    differences = [
        f"{expressions[n]} of {ROWS[row[0]]}: SQLite {row[n + 1]!r}, warehouse {other[n + 1]!r}"
        for row, other in zip(on_sqlite, on_warehouse, strict=True)
        for n in range(len(expressions))
        if not agrees(row[n + 1], other[n + 1], exact)
    ]
    assert differences == []
    assert len(on_sqlite) == len(ROWS)


@pytest.mark.parametrize("name", NEWER)
def test_what_this_sqlite_may_lack(sides: Sides, name: str) -> None:
    for expression, expected in NEWER[name]:
        engines = list(sides.engines) if name in of_this_sqlite() else [sides.warehouse]
        for engine in engines:
            [(found,)] = Sides._rows(engine, sa.select(expression), None)
            assert agrees(found, expected, True), f"{expression}: {engine.name} gives {found!r}"


@pytest.mark.parametrize("name", DIFFERENT)
def test_what_is_different(sides: Sides, name: str) -> None:
    for expression, *expected in DIFFERENT[name]:
        found = [Sides._rows(one, sa.select(expression), None)[0][0] for one in sides.engines]
        assert found == expected


@pytest.mark.parametrize("name", sorted(ALTERNATIVES))
def test_what_is_refused_names_the_alternative(sides: Sides, name: str) -> None:
    with pytest.raises(CompileError, match=re.escape(f"SQLite's {name}()")) as raised:
        sa.select(getattr(func, name)(C.t)).compile(sides.warehouse)
    assert ALTERNATIVES[name] in str(raised.value)
    with pytest.raises(CompileError):
        sa.select(getattr(func, name.upper())(C.t).table_valued("value")).compile(sides.warehouse)


@pytest.mark.parametrize("sign", ["->", "->>", "glob"])
def test_operators_of_sqlite_alone_are_refused(sides: Sides, sign: str) -> None:
    with pytest.raises(CompileError, match="no operator"):
        sa.select(C.t.op(sign)("$.a")).compile(sides.warehouse)


REFUSED: dict[str, tuple[Any, str]] = {
    "modifiers that are columns": (func.date(C.m, C.t), "modifiers of date"),
    "modifiers with a name": (func.time(C.m, sa.bindparam("p", "+1 day")), "modifiers of time"),
    "patterns that are columns": (func.strftime(C.t, C.m), "pattern of strftime"),
    "days since -4713": (func.date(C.i), "unixepoch"),
    "the day of a Time": (func.datetime(C.c), "has no day"),
    "digits that are a column": (func.round(C.x, C.j), "digits"),
    "places of bytes": (func.instr(C.b, C.t), "bytes of BLOBs"),
    "the kind of each value": (func.typeof(C.doc), "system.builtin.typeof"),
    "an escape character": (func.like("a", C.t, "/"), "escape"),
    "what is left out of digits": (func.unhex(C.t, "-"), "unhex"),
    "a path": (func.json_array_length(C.doc, "$.a"), "one document"),
    "a comparison with any of a query": (
        C.i == sa.any_(sa.select(C.j).scalar_subquery()), "ANY and ALL of no query"
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", REFUSED)
def test_what_would_mean_something_else_is_refused(sides: Sides, what: str) -> None:
    expression, message = REFUSED[what]
    with pytest.raises(CompileError, match=message):
        sa.select(expression).compile(sides.warehouse)


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        (func.date(C.m, "localtime"), "the modifier 'localtime'"),
        (func.date(C.m, "+1.5 months"), "the modifier"),
        (func.date(C.m, "+1.2345 seconds"), "the modifier"),
        (func.date(C.i, "auto"), "the modifier 'auto'"),
        (func.date("yesterday"), "'yesterday' is no moment"),
        (func.date("2460000.5"), "is no moment"),
        (func.strftime("%G", C.m), "'%G' has no counterpart"),
        (func.strftime(sa.bindparam("p", "%s"), C.m), "parameter with a name"),
    ],
    ids=str,
)
def test_values_without_counterpart_are_refused(
    sides: Sides, local_warehouse: TestWarehouse, expression: Any, message: str
) -> None:
    with sides.warehouse.connect() as connection:
        before = len(local_warehouse.statements)
        with pytest.raises(sa.exc.StatementError, match=message) as raised:
            connection.execute(sa.select(expression))
        assert isinstance(raised.value.orig, ValueRefusedError)
        assert len(local_warehouse.statements) == before


def test_one_compiled_statement_serves_all_constants(sides: Sides) -> None:
    for text in ("now", "2024-02-29", "it's", "10:11", "2024-02-29 01:02:03"):
        query = sa.select(func.date(text))
        if text == "it's":
            with pytest.raises(sa.exc.StatementError, match="no moment"):
                Sides._rows(sides.warehouse, query, None)
        else:
            sides.value(query)
    for modifier in ("+1 day", "start of month", "weekday 3", "-2 months", "+1 day"):
        sides.value(sa.select(func.datetime("2024-01-31 01:02:03", modifier)))
    for pattern in ("%Y", "%w %f", "it's %m", "%s", "%Y"):
        sides.value(sa.select(func.strftime(pattern, "2024-01-31 01:02:03.25")))


def test_many_sets_of_parameters_take_moments(sides: Sides) -> None:
    query = sa.select(func.date(sa.bindparam("day", type_=sa.String)))
    for day in ("2024-02-29", "2023-01-31 10:00", "12:30", None):
        sides.rows(query, {"day": day})
    with pytest.raises(sa.exc.StatementError, match="no moment"):
        Sides._rows(sides.warehouse, query, {"day": "now"})


def test_groups_by_what_is_rendered(sides: Sides) -> None:
    for key in (
        func.date(C.m, "+1 month"), func.strftime("%w %f", C.m), func.date(C.m, "weekday 1"),
        func.ceil(C.y), func.trunc(C.y), func.sign(C.j), func.unicode(C.t),
    ):  # fmt: skip
        query = sa.select(key, func.count()).group_by(key).order_by(key)
        assert len(sides.rows(query)) > 2


def test_random_is_a_whole_number_that_differs(sides: Sides) -> None:
    for engine in sides.engines:
        rows = Sides._rows(engine, sa.select(func.random()).select_from(T), None)
        found = [value for (value,) in rows]
        assert len(set(found)) == len(ROWS)
        assert all(isinstance(one, int) and -(2**63) <= one < 2**63 for one in found)
        assert {one > 0 for one in found} == {True, False}
        shuffled = sa.select(C.id).order_by(func.random())
        assert Sides._rows(engine, shuffled, None) != Sides._rows(engine, shuffled, None)


def test_a_random_value_that_is_held_is_stored_as_it_was_read(sides: Sides) -> None:
    with sides.warehouse.connect() as connection:
        connection.execute(sa.insert(T).values(id=-1, i=func.random()))
        query = sa.select(C.i).where(C.id == -1)
        read = [connection.scalar(query) for _ in range(3)]
        connection.commit()
        read.append(connection.scalar(query))
        connection.execute(sa.delete(T).where(C.id == -1))
        connection.commit()
    assert len(set(read)) == 1
    assert isinstance(read[0], int)


def test_functions_of_databricks_have_full_names(sides: Sides) -> None:
    builtin = func.system.builtin
    for expression, expected in (
        (builtin.log(sa.literal(1.0)), 0.0),
        (builtin.round(15, -1), 20),
        (builtin.soundex("Ashcraft"), "A261"),
        (builtin.typeof(C.i), "bigint"),
        (func.date_trunc("YEAR", C.d), None),
    ):
        query = sa.select(expression).where(C.id == 0)
        assert Sides._rows(sides.warehouse, query, None) == [(expected,)]


def test_a_function_of_databricks_reads_no_table(sides: Sides) -> None:
    def compiled(function: Any) -> Any:
        return sa.select(function, C.id).compile(sides.warehouse)

    assert compiled(func.system.builtin.log(C.x)).tables_used == {"hostile"}
    assert compiled(func.system.builtin.nosuch(C.x)).tables_used is None
    assert compiled(func.shop.log(C.x)).tables_used is None
    assert compiled(func.julianday(C.m)).tables_used == {"hostile"}


def test_order_within_an_aggregate(sides: Sides) -> None:
    chosen = C.id.in_([1, 2, 3, 5, 8])
    query = sa.select(sa.func.group_concat(C.u, "|")).where(chosen)
    if not hasattr(func.group_concat(C.u), "aggregate_order_by"):
        pytest.skip("this SQLAlchemy has no aggregate_order_by()")
    ordered = func.group_concat(C.u, "|").aggregate_order_by(C.id.desc())
    [(found,)] = Sides._rows(sides.warehouse, sa.select(ordered).where(chosen), None)
    texts = [row[0] for row in sides.rows(sa.select(C.u).where(chosen).order_by(C.id.desc()))]
    assert found == "|".join(text for text in texts if text is not None)
    assert sorted(Sides._rows(sides.warehouse, query, None)[0][0].split("|")) == sorted(
        found.split("|")
    )


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        (sa.literal(3) == sa.any_(LISTS.c["items"]), [3, 4]),
        (sa.all_(LISTS.c["items"]) == 3, [1, 4]),
        (sa.any_(LISTS.c["items"]) > 2, [3, 4]),
        (sa.literal(1) < sa.all_(LISTS.c["items"]), [1, 4]),
        (~(sa.literal(3) == sa.any_(LISTS.c["items"])), [0, 1]),
        (LISTS.c.id == sa.any_(LISTS.c["items"]), [3]),
    ],
    ids=str,
)
def test_any_and_all_of_an_array(sides: Sides, condition: Any, expected: list[int]) -> None:
    query = sa.select(LISTS.c.id).where(condition).order_by(LISTS.c.id)
    assert [number for (number,) in Sides._rows(sides.warehouse, query, None)] == expected


# SQLAlchemy 2.1 would rather have any_() and all_().
@pytest.mark.filterwarnings("ignore:The ARRAY.Comparator.any")
def test_any_and_all_as_methods(sides: Sides) -> None:
    items: Any = LISTS.c["items"]
    query = sa.select(items.any(3), items.all(3)).order_by(LISTS.c.id)
    assert Sides._rows(sides.warehouse, query, None) == [
        (False, False), (False, True), (None, None), (True, None), (True, True)
    ]  # fmt: skip


def test_a_function_that_gives_one_column(sides: Sides) -> None:
    numbers = func.explode(func.sequence(1, 3)).column_valued("n")
    found = Sides._rows(sides.warehouse, sa.select(numbers).order_by(numbers.desc()), None)
    assert found == [(3,), (2,), (1,)]
    # Its name is that of a column of another table, too.
    each = func.explode(func.sequence(3, 4)).column_valued("id")
    query = sa.select(LISTS.c.id, each).where(each == LISTS.c.id)
    assert Sides._rows(sides.warehouse, query, None) == [(3, 3), (4, 4)]
