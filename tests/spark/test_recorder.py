"""The recorder itself: a script of statements, and exactly the cases that it comes to."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.spark.local import Replay
from tests.spark.recorder import Recorder, kind_of
from tests.spark.watching import quiet, watching
from tests.warehouse.corpus import reader
from tests.warehouse.corpus.reader import Case
from tests.warehouse.engine.client import MANAGED, Client
from vinci_code.warehouse.engine.engine import Engine
from vinci_code.warehouse.sql.errors import SqlError
from vinci_code.warehouse.sql.parameters import Parameter

HEAD = ["Recorded by a test."]


def record(
    *statements: str | tuple[str, Sequence[Parameter]],
    prepare: Sequence[str] = (),
    known: frozenset[str] = frozenset(),
) -> str:
    """The file of cases that statements come to, in a schema of their own."""
    engine = Engine()
    recorder = Recorder(known)
    with watching(recorder):
        with quiet():
            Client(engine).script("CREATE SCHEMA shop", "CREATE SCHEMA other")
            client = Client(engine, schema="shop")
            client.script(*prepare)
        for statement in statements:
            text, parameters = (statement, ()) if isinstance(statement, str) else statement
            try:
                client.run(text, parameters)
            except SqlError:
                continue
    engine.close()
    return recorder.text(HEAD)


SCRIPT = (
    """CREATE TABLE t (id INT NOT NULL, name STRING DEFAULT 'x', price DECIMAL(4,2))
TBLPROPERTIES ('delta.feature.allowColumnDefaults' = 'supported')""",
    (
        "INSERT INTO t VALUES (1, ?, ?)",
        [Parameter(None, "STRING", "a'\n\u2028"), Parameter(None, "DECIMAL(3,2)", "1.50")],
    ),
    "SELECT name FROM shop.t WHERE id = 1",
    "SELECT name FROM shop.t WHERE id = 2",
    "SELECT id, current_timestamp() AS now FROM main.shop.t ORDER BY id",
    ("SELECT :a AS a, current_schema() AS s", [Parameter("a", "DATE", None)]),
    "SELECT nothing FROM t",
    "SHOW TABLES IN other",
)

EXPECTED = r"""# Recorded by a test.

=== recorder_select_6b5f41ee
> SELECT :a AS a, current_schema() AS s
?? {"a": {"type": "DATE", "value": null}}
~~ a DATE, s STRING
[null, "${schema}"]

=== recorder_create_42c9371f
> CREATE TABLE t (id INT NOT NULL, name STRING DEFAULT 'x', price DECIMAL(4,2))
. TBLPROPERTIES ('delta.feature.allowColumnDefaults' = 'supported')

+++ schemas_7cde0c68
> CREATE SCHEMA IF NOT EXISTS ${schema}_2

=== recorder_show_schemas_55db1764
<< schemas_7cde0c68
> SHOW TABLES IN ${schema}_2

+++ t_59818d40
> CREATE TABLE `t` (
.   `id` INT NOT NULL,
.   `name` STRING DEFAULT 'x',
.   `price` DECIMAL(4,2))
. TBLPROPERTIES ('delta.feature.allowColumnDefaults' = 'supported')

=== recorder_insert_t_b2625bf5
<< t_59818d40
> INSERT INTO t VALUES (1, ?, ?)
?? [{"type": "STRING", "value": "a'\n\u2028"}, {"type": "DECIMAL(3,2)", "value": "1.50"}]
:: num_affected_rows BIGINT, num_inserted_rows BIGINT
[1, 1]
> SELECT * FROM `t`
~~ id INT, name STRING, price DECIMAL(4,2)
[1, "a'\n\u2028", "1.50"]

+++ t_bc98b84b
> CREATE TABLE `t` (
.   `id` INT NOT NULL,
.   `name` STRING DEFAULT 'x',
.   `price` DECIMAL(4,2))
. TBLPROPERTIES ('delta.feature.allowColumnDefaults' = 'supported')
> INSERT INTO `t` (`id`, `name`, `price`) VALUES
. (1, 'a\'\n\u2028', CAST('1.50' AS DECIMAL(4,2)))

=== recorder_select_t_5c7040c6
<< t_bc98b84b
> SELECT name FROM ${schema}.t WHERE id = 1
~~ name STRING
["a'\n\u2028"]

=== recorder_select_t_78f35d52
<< t_bc98b84b
> SELECT id, current_timestamp() AS now FROM ${catalog}.${schema}.t ORDER BY id
:: id INT, now TIMESTAMP
[1, "<any>"]

=== recorder_select_t_ee6c032a
<< t_bc98b84b
> SELECT nothing FROM t
!! UNRESOLVED_COLUMN.WITH_SUGGESTION 42703
"""


def test_a_script_comes_to_these_cases() -> None:
    assert record(*SCRIPT) == EXPECTED


def test_the_same_again_is_the_same_to_the_byte() -> None:
    assert record(*SCRIPT).encode() == record(*SCRIPT).encode()


EVERY_TYPE = """CREATE TABLE every (
    t TINYINT, s SMALLINT, i INT, b BIGINT, f FLOAT, d DOUBLE, n DECIMAL(38,10), o BOOLEAN,
    x STRING, y BINARY, a DATE, m TIMESTAMP, w TIMESTAMP_NTZ, l ARRAY<STRING>, p MAP<STRING, INT>,
    r STRUCT<a: INT, b: ARRAY<DATE>>, v VARIANT)"""
VALUES = (
    r"""-128, -32768, -2147483648, -9223372036854775808, CAST('NaN' AS FLOAT), 1e-300,
    -1234567890.0123456789, false, '\\ \'\n\t\r 😀', X'00FF', DATE'0001-01-01',
    TIMESTAMP'1969-12-31 23:59:59.999999', TIMESTAMP_NTZ'9999-12-31 23:59:59.999999',
    ARRAY('a', NULL), MAP('k', NULL), NAMED_STRUCT('a', NULL, 'b', ARRAY(DATE'2024-02-29')),
    PARSE_JSON('{"a":[1,2.5,null,"x"]}')""",
    """127, 32767, 2147483647, 9223372036854775807, CAST('-Infinity' AS FLOAT),
    CAST('NaN' AS DOUBLE), 0, true, '', X'', DATE'9999-12-31', TIMESTAMP'2024-02-29 12:00:00',
    NULL, ARRAY(), MAP(), NULL, PARSE_JSON('null')""",
    ", ".join(["NULL"] * 17),
)


def cases_of(text: str, folder: Path) -> list[Case]:
    path = folder / "some.case"
    path.write_text(text, encoding="utf-8", newline="\n")
    return reader.read(path)


def test_a_set_up_has_every_value_of_every_type(tmp_path: Path) -> None:
    prepare = [EVERY_TYPE, *(f"INSERT INTO every VALUES ({row})" for row in VALUES)]
    (case,) = cases_of(record("SELECT * FROM every", prepare=prepare), tmp_path)
    assert len(case.steps[0].rows) == len(VALUES)
    engine = Engine()
    assert Replay(engine).problems(case) == []
    engine.close()


def test_a_transaction_is_recorded_as_it_sees_the_tables_and_is_not_disturbed(
    tmp_path: Path,
) -> None:
    engine = Engine()
    client = Client(engine)
    client.script(
        f"CREATE TABLE t (id INT) {MANAGED}",
        f"CREATE TABLE u (id INT) {MANAGED}",
        "INSERT INTO t VALUES (1)",
        "INSERT INTO u VALUES (9)",
    )
    recorder = Recorder()
    with watching(recorder):
        client.script(
            "BEGIN TRANSACTION",
            "INSERT INTO t VALUES (2)",
            "UPDATE t SET id = 3 WHERE id = 1",
            "INSERT INTO u VALUES (5)",
        )
        # What the recorder looked at is no read of the transaction's: no conflict comes of it.
        with quiet():
            Client(engine).run("DELETE FROM u WHERE id = 9")
        client.script("COMMIT", "BEGIN TRANSACTION", "INSERT INTO t VALUES (7)")
        client.script("SELECT id + 0 FROM t", "ROLLBACK", "SELECT id FROM t")
    assert client.column("SELECT id FROM t") == [2, 3]
    assert client.column("SELECT id FROM u") == [5]
    engine.close()
    cases = {case.steps[0].sql: case for case in cases_of(recorder.text(HEAD), tmp_path)}
    seen = {sql: case.setup[-1].sql.partition("\n")[2] for sql, case in cases.items() if case.setup}
    assert seen["UPDATE t SET id = 3 WHERE id = 1"] == "(1),\n(2)"
    assert seen["SELECT id + 0 FROM t"] == "(2),\n(3),\n(7)"
    assert seen["SELECT id FROM t"] == "(2),\n(3)"
    text = recorder.text(HEAD)
    assert all(f"> BEGIN TRANSACTION\n> {end}\n" in text for end in ("COMMIT", "ROLLBACK"))


def test_what_a_transaction_has_read_stays_read() -> None:
    engine = Engine()
    client = Client(engine)
    client.script(*(f"CREATE TABLE {name} (id INT) {MANAGED}" for name in ("t", "u")))
    client.run("INSERT INTO t VALUES (1)")
    with watching(Recorder()):
        client.script("BEGIN TRANSACTION", "SELECT id FROM t")
        client.script("INSERT INTO u VALUES (1)", "INSERT INTO t VALUES (2)")
        with quiet():
            Client(engine).run("DELETE FROM t WHERE id = 1")
        with pytest.raises(SqlError, match="DELTA_CONCURRENT_DELETE_READ"):
            client.run("COMMIT")
    engine.close()


def test_a_view_brings_its_tables_and_a_second_schema_its_name(tmp_path: Path) -> None:
    prepare = [
        "CREATE TABLE other.t (id INT)",
        "INSERT INTO other.t VALUES (1)",
        "CREATE VIEW v AS SELECT id + 1 AS next FROM other.t",
    ]
    text = record("SELECT next FROM v", prepare=prepare)
    (case,) = cases_of(text, tmp_path)
    assert [step.sql.split("(")[0].strip() for step in case.setup] == [
        "CREATE SCHEMA IF NOT EXISTS ${schema}_2",
        "CREATE TABLE ${schema}_2.`t`",
        "INSERT INTO ${schema}_2.`t`",
        "CREATE VIEW `v`",
    ]
    assert case.steps[0].rows == [[2]]
    engine = Engine()
    assert Replay(engine).problems(case) == []
    engine.close()


def test_of_values_alone_three_are_kept_and_of_a_table_the_first_with_rows(tmp_path: Path) -> None:
    prepare = ["CREATE TABLE t (id INT)", "INSERT INTO t VALUES (1), (2)"]
    numbers = (9, 1, 2)
    text = record(
        *(f"SELECT {n} + 1 AS x" for n in (1, 2, 2, 3, 4)),
        *(f"SELECT id FROM t WHERE id = {n}" for n in numbers),
        prepare=prepare,
    )
    sent = [step.sql for case in cases_of(text, tmp_path) for step in case.steps]
    assert sorted(sent) == [
        "SELECT 1 + 1 AS x",
        "SELECT 2 + 1 AS x",
        "SELECT 3 + 1 AS x",
        "SELECT id FROM t WHERE id = 1",
    ]


def test_a_large_table_is_left_out_and_listed_where_no_other_case_has_the_shape() -> None:
    large = "INSERT INTO t SELECT repeat('x', 2000) FROM explode(sequence(1, 100))"
    engine = Engine()
    client = Client(engine)
    client.script("CREATE TABLE t (name STRING)", large)
    recorder = Recorder()
    with watching(recorder):
        client.run("SELECT count(*) FROM t")
    assert "1 shapes left out" in recorder.summary()
    assert "left out: a table of 100 rows" in recorder.summary()
    with watching(recorder):
        client.script("DELETE FROM t WHERE name = name", "SELECT count(*) FROM t")
    assert ": SELECT count" not in recorder.summary()
    engine.close()


def test_an_order_that_rows_share_is_no_order() -> None:
    prepare = ["CREATE TABLE t (id INT, a INT)", "INSERT INTO t VALUES (2, 1), (1, 1)"]
    text = record("SELECT id, a FROM t ORDER BY a", "SELECT id FROM t ORDER BY id", prepare=prepare)
    assert "~~ id INT, a INT" in text
    assert ":: id INT\n[1]\n[2]" in text


def test_what_another_file_has_a_case_of_is_not_recorded_again(tmp_path: Path) -> None:
    known = frozenset(kind_of(case) for case in cases_of(record(*SCRIPT), tmp_path))
    (case,) = cases_of(record(*SCRIPT, "SELECT id + 1 FROM t", known=known), tmp_path)
    assert case.steps[0].sql == "SELECT id + 1 FROM t"
