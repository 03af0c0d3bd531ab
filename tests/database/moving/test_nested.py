"""ARRAY, MAP and STRUCT become documents, as to_json writes them, and come back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from tests.database.moving.samples import content, execute
from vinci_code.core.errors import CopyRefusedError
from vinci_code.database import copy_database
from vinci_code.database.dialect.types.nested import ARRAY, MAP, STRUCT
from vinci_code.database.moving.errors import NoPlainValueError
from vinci_code.database.moving.nested import inexact_part, value_of

_COLUMNS = (
    "id BIGINT NOT NULL PRIMARY KEY, a ARRAY<INT>, m MAP<STRING, BIGINT>, "
    "s STRUCT<x: INT, y: STRING, z: ARRAY<BOOLEAN>>, d ARRAY<DECIMAL(10,2)>, "
    "e MAP<STRING, STRUCT<at: DATE>>"
)
_ROWS = (
    (
        "(1, array(1, NULL, -3), map('b', 1, 'a', 9223372036854775807), "
        "named_struct('x', NULL, 'y', 'ä\"\\\\', 'z', array(true, NULL)), array(1.50, 0.00), "
        "map('k', named_struct('at', DATE'2024-02-29')))"
    ),
    "(2, NULL, NULL, NULL, NULL, NULL)",
    "(3, array(), map(), named_struct('x', NULL, 'y', NULL, 'z', NULL), array(NULL), map())",
)


@pytest.fixture
def nested(warehouse: sa.Engine) -> sa.Engine:
    with warehouse.begin() as connection:
        connection.exec_driver_sql(f"CREATE TABLE t ({_COLUMNS})")
    with warehouse.begin() as connection:
        connection.exec_driver_sql(f"INSERT INTO t VALUES {', '.join(_ROWS)}")
    return warehouse


def all_of(warehouse: sa.Engine) -> list[Any]:
    with warehouse.connect() as connection:
        rows = connection.exec_driver_sql(
            "SELECT id, a, m, s.x, s.y, s.z, s IS NULL, d, e FROM t ORDER BY id"
        )
        return [str(row) for row in rows]


def test_there_and_back(nested: sa.Engine, tmp_path: Path) -> None:
    before, file = all_of(nested), tmp_path / "copy.db"
    there = copy_database(nested, file)
    assert there.is_proved, there.lines()
    first = content(file)["t"][0][::2]
    assert first[1] == "[1,null,-3]"
    assert first[3] == '{"y":"ä\\"\\\\","z":[true,null]}'
    with nested.begin() as connection:
        connection.exec_driver_sql("DELETE FROM t")
    back = copy_database(file, nested, chunk_rows=2)
    assert back.is_proved, back.lines()
    assert all_of(nested) == before
    with nested.begin() as connection:
        connection.exec_driver_sql("UPDATE t SET d = array(1.51, 0.00) WHERE id = 1")
    found = copy_database(file, nested, verify_only=True)
    assert [one.name for one in found.tables[0].columns if not one.is_equal] == ["d"]
    assert copy_database(file, nested, sync=True).is_proved
    assert all_of(nested) == before


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        ('{"x":1,"more":2}', "a field that the STRUCT has not"),
        ('{"x":"1"}', "found a str in a document where a int is wanted"),
        ('{"x":true}', "found a bool in a document where a int is wanted"),
        ("{x}", "no JSON document"),
        ('{"x":99999999999999999999}', "no room"),
    ],
)
def test_a_document_that_is_none_of_the_type_is_refused(
    warehouse: sa.Engine, tmp_path: Path, document: str, reason: str
) -> None:
    source = tmp_path / "source.db"
    execute(source, "CREATE TABLE t (id INTEGER PRIMARY KEY, s JSON)")
    execute(source, "INSERT INTO t VALUES (1, ?)", document)
    with warehouse.begin() as connection:
        connection.exec_driver_sql(
            "CREATE TABLE t (id BIGINT NOT NULL PRIMARY KEY, s STRUCT<x: BIGINT>)"
        )
    with pytest.raises(CopyRefusedError, match=reason):
        copy_database(source, warehouse)


def test_parts_that_json_has_no_exact_form_for() -> None:
    assert inexact_part(ARRAY(STRUCT(("a", sa.Integer), ("b", sa.Double)))) == "DOUBLE"
    assert inexact_part(MAP(sa.Integer, sa.Integer)) == "a MAP by other than text"
    assert inexact_part(ARRAY(sa.LargeBinary)) is not None
    assert inexact_part(ARRAY(sa.DateTime)) is not None
    assert inexact_part(MAP(sa.String, ARRAY(sa.Date))) is None
    with pytest.raises(NoPlainValueError):
        value_of(ARRAY(sa.Date))('["29.2.2024"]')
