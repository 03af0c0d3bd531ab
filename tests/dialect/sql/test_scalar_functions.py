"""Functions that Databricks has by the same name as SQLite, and that give something else there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import func
from sqlalchemy.exc import CompileError

from tests.dialect.sides import Sides, sides_of
from vinci_code.warehouse import LocalWarehouse

METADATA = sa.MetaData()
T = sa.Table(
    "numbers",
    METADATA,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("x", sa.Float),
    sa.Column("begin", sa.Integer),
    sa.Column("count", sa.Integer),
    sa.Column("s", sa.String),
    sa.Column("b", sa.LargeBinary),
    sa.Column("ok", sa.Boolean),
)


@pytest.fixture(scope="module")
def sides(local_warehouse_server: LocalWarehouse, tmp_path_factory: Any) -> Iterator[Sides]:
    server = local_warehouse_server
    server.sql("CREATE SCHEMA test_scalars")
    engine = sa.create_engine(
        f"databricks+vinci://{server.host}:{server.port}?http_path={server.http_path}"
        f"&catalog={server.catalog}&schema=test_scalars",
        connect_args={
            "access_token": server.access_token,
            "_tls_trusted_ca_file": str(server.ca_file),
        },
    )
    with sides_of(engine, Path(tmp_path_factory.mktemp("scalars")), METADATA) as made:
        made.write(sa.insert(T), ROWS)
        yield made
    engine.dispose()
    server.sql("DROP SCHEMA test_scalars CASCADE")


PLACES = [(begin, count) for begin in range(-9, 10) for count in range(-7, 8)]
ROWS: list[dict[str, Any]] = [
    {
        "id": number,
        "x": (number - 20) / 4,
        "begin": begin,
        "count": count,
        "s": "Héllo" if number % 3 else None,
        "b": bytes([number % 256]),
        "ok": bool(number % 2),
    }
    for number, (begin, count) in enumerate(PLACES)
]


@pytest.mark.parametrize(
    "expression",
    [
        func.log(100),
        func.log(2, 8),
        func.log(0),
        func.log(-1),
        func.log10(100),
        func.sqrt(4),
        func.sqrt(-1),
        func.acos(2),
        func.power(2, 3),
        func.pow(-1, 0.5),
        func.round(15, -1),
        func.round(15.55, 1),
        func.round(-2.5),
        func.round(2.5),
        func.round(15, 2),
        func.substr("Hello", 0, 3),
        func.substr("Hello", 3, -2),
        func.substr("Hello", -3, 2),
        func.substr("Hello", -9, 5),
        func.substr("Hello", 2),
        func.substr("Hello", 0),
        func.substr("Hello", -2),
        func.substring("Hello", 2, 2),
        func.char(8364),
        func.char(72, 128512),
        func.char(),
        func.hex(255),
        func.hex("aé"),
        func.hex(b"\x01\xff"),
        func.hex(True),
        func.hex(sa.literal(None, sa.String)),
    ],
    ids=lambda expression: str(expression.compile(compile_kwargs={"literal_binds": False})),
)
def test_of_values(sides: Sides, expression: Any) -> None:
    sides.value(sa.select(expression))


@pytest.mark.parametrize(
    "expression",
    [
        func.sqrt(T.c.x),
        func.round(T.c.x),
        func.round(T.c.x, 1),
        func.round(T.c.x, -1),
        func.substr(T.c.s, T.c.begin, T.c.count),
        func.substr(T.c.s, T.c.begin),
        func.substr(T.c.b, 1, 1),
        func.hex(T.c.s),
        func.hex(T.c.b),
        func.hex(T.c.id),
        func.hex(T.c.ok),
    ],
    ids=str,
)
def test_of_columns(sides: Sides, expression: Any) -> None:
    assert len(set(sides.rows(sa.select(expression).order_by(T.c.id)))) > 1


def test_logarithms_of_columns(sides: Sides) -> None:
    query = sa.select(func.log(T.c.x)).order_by(T.c.id)
    on_sqlite, on_warehouse = (Sides._rows(engine, query, None) for engine in sides.engines)
    for [one], [two] in zip(on_sqlite, on_warehouse, strict=True):
        # The last digit is that of a library of C, or of another one.
        assert one == (None if two is None else pytest.approx(two, rel=1e-14))


def test_one_statement_serves_all_values(sides: Sides) -> None:
    for digits in (1, -1, 0, 2):
        sides.value(sa.select(func.round(15.155, digits)))
    for begin, count in [(0, 3), (3, -2), (-9, 5), (1, 2), (9, -6)]:
        sides.value(sa.select(func.substr("Hello", begin, count)))


@pytest.mark.parametrize(
    ("expression", "message"),
    [(func.char(T.c.id), "code points"), (func.hex(func.now()), "its text on SQLite")],
)
def test_what_is_not_known_is_refused(sides: Sides, expression: Any, message: str) -> None:
    with sides.warehouse.connect() as connection, pytest.raises(CompileError, match=message):
        connection.execute(sa.select(expression))
