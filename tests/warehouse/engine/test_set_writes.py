"""Many rows in one statement: a JSON text read by ``inline(from_json(…))``, with guards."""

# ruff: noqa: F401, F811 - pytest finds fixtures by the name they are imported under

from __future__ import annotations

import json
import math
import random
import struct
import threading
from base64 import b64encode
from datetime import date, datetime, timezone
from decimal import Decimal
from typing import Any

import pytest

from tests.warehouse.engine.client import MANAGED, Client, db, engine, other
from vinci_code.warehouse.engine.engine import Engine
from vinci_code.warehouse.sql import payloads
from vinci_code.warehouse.sql.errors import SqlError
from vinci_code.warehouse.sql.parameters import Parameter

RAISED = ("USER_RAISED_EXCEPTION", "P0001")
MALFORMED = ("MALFORMED_RECORD_IN_PARSING.WITHOUT_SUGGESTION", "22023")
ABORTED = "TRANSACTION_ROLLBACK_REQUIRED_AFTER_ABORT.PREVIOUS_QUERY_FAILURE"
CONFLICT = "DELTA_CONCURRENT_APPEND"


def encoded(rows: list[Any] | str) -> str:
    """A JSON text as a literal of any length and any characters."""
    text = rows if isinstance(rows, str) else json.dumps(rows, ensure_ascii=False)
    return f"decode(unbase64('{b64encode(text.encode()).decode()}'), 'UTF-8')"


def quoted(rows: list[Any]) -> str:
    """A JSON text as a string literal."""
    text = json.dumps(rows, ensure_ascii=False).replace("\\", "\\\\").replace("'", "\\'")
    return f"'{text}'"


def source(payload: str, fields: str) -> str:
    return (
        f"SELECT inline(from_json({payload}, 'array<struct<{fields}>>', map('mode', 'FAILFAST')))"
    )


def key_guard(word: str = "duplicate key") -> str:
    return (
        f"(SELECT raise_error(concat('{word} ', CAST(t.id AS STRING))) "
        "FROM t JOIN s ON t.id = s.a LIMIT 1) IS NULL"
    )


def insert(rows: list[Any], *guards: str) -> str:
    where = f" WHERE {' AND '.join(guards)}" if guards else ""
    return (
        f"INSERT INTO t (id, name) WITH s AS ({source(encoded(rows), 'a:bigint,b:string')}) "
        f"SELECT s.a, s.b FROM s{where}"
    )


def merge(rows: list[Any], on: str, *clauses: str, guard: str = "") -> str:
    rows_sql = source(encoded(rows), "a:bigint,b:string")
    using = f"WITH s AS ({rows_sql}) SELECT * FROM s{guard}"
    return f"MERGE INTO t USING ({using}) AS s ON {on} {' '.join(clauses)}"


STALE = (
    " WHERE (SELECT raise_error(concat('stale row ', CAST(s.a AS STRING))) "
    "FROM s LEFT ANTI JOIN t ON t.id = s.a LIMIT 1) IS NULL"
)
UPDATE = "WHEN MATCHED THEN UPDATE SET name = s.b"
UPSERT = (UPDATE, "WHEN NOT MATCHED THEN INSERT (id, name) VALUES (s.a, s.b)")
TABLE = f"CREATE TABLE t (id BIGINT NOT NULL, name STRING) {MANAGED}"


@pytest.fixture
def held(db: Client) -> Client:
    """A session of an engine whose table t has the rows 1 and 2."""
    db.script(TABLE, "INSERT INTO t VALUES (1, 'one'), (2, 'two')")
    return db


def rows(client: Client) -> list[tuple[Any, ...]]:
    return client.run("SELECT * FROM t ORDER BY id")


# ---- values


TEXTS = [
    "", " ", "\0", "a\0b", "'", "''", '"', "\\", "\\'", "\\n", "\n\r\t", "%_", "`", "é", "😀",
    "\x01\x1f\x7f", "null", "NaN", "\u2028", "\ufffd", "\U0010ffff", "{}", "--x", "/*", ";",
    "\\u0000", "\ue0000",
]  # fmt: skip


@pytest.mark.parametrize("write", [encoded, quoted])
def test_every_character_arrives(db: Client, write: Any) -> None:
    db.run("CREATE TABLE t (id BIGINT, name STRING)")
    objects = [{"a": index, "b": text} for index, text in enumerate(TEXTS)]
    select = source(write(objects), "a:bigint,b:string")
    db.run(f"INSERT INTO t WITH s AS ({select}) SELECT s.a, s.b FROM s")
    assert rows(db) == list(enumerate(TEXTS))


def test_a_parameter_can_hold_the_rows(held: Client) -> None:
    text = json.dumps([{"a": 8, "b": "x"}, {"a": 9, "b": "é😀'"}])
    statement = f"INSERT INTO t {source('?', 'a:bigint,b:string')}"
    assert held.run(statement, [Parameter(None, "STRING", text)]) == [(2, 2)]
    assert rows(held)[2:] == [(8, "x"), (9, "é😀'")]


def test_every_conversion_is_exact(db: Client) -> None:
    doubles = [0.1, -0.0, 5e-324, 1.7976931348623157e308, 1 / 3, math.inf, -math.inf, 2.0**53 + 2]
    decimals = ["99999999999999999999.999999999999999999", "-0.000000000000000001", "12", "0"]
    objects = [
        {
            "a": (2**63 - 1) * (-1) ** i - (i % 2),
            "c": decimals[i % 4],
            "d": str(x).replace("inf", "Infinity"),
            "e": ["0001-01-01", "9999-12-31"][i % 2],
            "f": ["0001-01-01 00:00:00.000001+00:00", "9999-12-31 23:59:59.999999+00:00"][i % 2],
            "g": ["0001-01-01 00:00:00", "9999-12-31 23:59:59.999999"][i % 2],
            "h": b64encode(bytes(range(i, i + 200))).decode(),
            "i": json.dumps({"z": [1, None], "a": i}),
            "j": json.dumps(["x", None, str(i)]),
            "k": i % 2 == 0,
        }
        for i, x in enumerate(doubles)
    ]
    db.run(
        "CREATE TABLE v (a BIGINT, c DECIMAL(38,18), d DOUBLE, e DATE, f TIMESTAMP, "
        "g TIMESTAMP_NTZ, h BINARY, i VARIANT, j ARRAY<STRING>, k BOOLEAN, n INT)"
    )
    fields = ",".join(
        f"{name}:{ {'a': 'bigint', 'k': 'boolean'}.get(name, 'string') }" for name in objects[0]
    ).replace(" ", "")
    db.run(
        f"INSERT INTO v WITH s AS ({source(encoded(objects), fields)}) SELECT s.a, "
        "CAST(s.c AS DECIMAL(38,18)), CAST(s.d AS DOUBLE), CAST(s.e AS DATE), "
        "CAST(s.f AS TIMESTAMP), CAST(s.g AS TIMESTAMP_NTZ), unbase64(s.h), parse_json(s.i), "
        "from_json(s.j, 'ARRAY<STRING>', map('mode', 'FAILFAST')), s.k, NULL FROM s"
    )
    found = db.run("SELECT a, c, d, e, f, g, h, CAST(i AS STRING), j, k, n FROM v")
    by_text = {row[7]: row for row in found}
    for i, x in enumerate(doubles):
        row = by_text[f'{{"a":{i},"z":[1,null]}}']
        assert row[0] == objects[i]["a"]
        assert row[1] == Decimal(decimals[i % 4])
        assert struct.pack(">d", row[2]) == struct.pack(">d", x)
        assert row[3] == [date(1, 1, 1), date(9999, 12, 31)][i % 2]
        first, last = (
            datetime(1, 1, 1, 0, 0, 0, 1, timezone.utc),
            datetime(9999, 12, 31, 23, 59, 59, 999999, timezone.utc),
        )
        assert row[4] == [first, last][i % 2]
        assert row[5] == [datetime(1, 1, 1), last.replace(tzinfo=None)][i % 2]  # noqa: DTZ001
        assert row[6] == bytes(range(i, i + 200))
        assert row[8:] == (["x", None, str(i)], i % 2 == 0, None)


def test_a_double_that_is_no_number(db: Client) -> None:
    select = source(encoded([{"a": "NaN"}, {"a": None}, {}]), "a:string")
    found = db.run(f"SELECT CAST(s.a AS DOUBLE) FROM ({select}) AS s")
    assert math.isnan(found[0][0])
    assert found[1:] == [(None,), (None,)]


def test_no_rows_at_all(held: Client) -> None:
    assert held.run(insert([], key_guard())) == [(0, 0)]
    assert held.run(merge([], "t.id = s.a", *UPSERT, guard=STALE)) == [(0, 0, 0, 0)]
    assert len(rows(held)) == 2


@pytest.mark.parametrize(
    "text",
    [
        '[{"a": "1"}]',
        '[{"a": 1.0}]',
        '[{"a": true}]',
        '[{"a": 9223372036854775808}]',
        '[{"c": 1}]',
        '[{"c": "true"}]',
        "[1]",
        '[{"a": 1}',
        "null",
        '[{"a": 01}]',
    ],
)
def test_what_does_not_fit_is_refused_whole(held: Client, text: str) -> None:
    select = source(encoded(text), "a:bigint,b:string,c:boolean")
    held.fails(f"INSERT INTO t WITH s AS ({select}) SELECT s.a, s.b FROM s", *MALFORMED)
    assert len(rows(held)) == 2


def test_the_quick_reader_and_the_general_one_agree(
    db: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    pool = [
        None, True, False, 0, -1, 2**63 - 1, -(2**63), 2**63, 2**64, 1.0, 1.5, 1e300, "", "1",
        "é\0", "😀", "true", [], [1, "x"], {}, {"y": None},
    ]  # fmt: skip
    read = payloads.read_rows
    agreed = 0
    for _ in range(150):
        objects = [
            {name: chance.choice(pool) for name in chance.sample("abcz", chance.randrange(5))}
            if chance.random() < 0.97
            else chance.choice(pool)
            for _ in range(chance.randrange(4))
        ]
        select = source(encoded(objects), "a:bigint,b:string,c:boolean")
        monkeypatch.setattr(payloads, "read_rows", read)
        quick = _answer(db, select)
        monkeypatch.setattr("vinci_code.warehouse.sql.rewrites.generators.read_rows", _no_rows)
        assert _answer(db, select) == quick, objects
        monkeypatch.undo()
        agreed += isinstance(quick, list)
    assert 10 < agreed < 150


def _no_rows(*_: object) -> None:
    return None


def _answer(client: Client, statement: str) -> list[tuple[Any, ...]] | str:
    try:
        return client.run(statement)
    except SqlError as error:
        return str(error)


# ---- guards


def test_insert_counts_and_guard(held: Client) -> None:
    assert held.run(insert([{"a": 3, "b": "x"}, {"a": 4}], key_guard())) == [(2, 2)]
    held.fails(insert([{"a": 5}, {"a": 4}], key_guard()), *RAISED, "duplicate key 4")
    assert [row[0] for row in rows(held)] == [1, 2, 3, 4]


def test_a_guard_with_a_constant_message(held: Client) -> None:
    guard = "(SELECT raise_error('taken') FROM t JOIN s ON t.id = s.a LIMIT 1) IS NULL"
    assert held.run(insert([{"a": 3}], guard)) == [(1, 1)]
    held.fails(insert([{"a": 3}], guard), *RAISED, "taken")


def test_several_guards(held: Client) -> None:
    held.script("CREATE TABLE p (id BIGINT)", "INSERT INTO p VALUES (70)")
    unique = (
        "(SELECT raise_error('name taken') FROM t JOIN s ON t.name = s.b AND t.id <> s.a LIMIT 1) "
        "IS NULL"
    )
    parent = (
        "(SELECT raise_error(concat('no parent ', CAST(s.a AS STRING))) FROM s "
        "LEFT ANTI JOIN p ON p.id = s.a WHERE s.a IS NOT NULL LIMIT 1) IS NULL"
    )
    guards = (key_guard(), unique, parent)
    held.fails(insert([{"a": 1, "b": "x"}], *guards[:1]), *RAISED, "duplicate key 1")
    held.fails(insert([{"a": 70, "b": "two"}], *guards), *RAISED, "name taken")
    held.fails(insert([{"a": 71, "b": "x"}], *guards), *RAISED, "no parent 71")
    assert held.run(insert([{"a": 70, "b": "x"}], *guards)) == [(1, 1)]


def test_not_null_and_check_are_enforced(held: Client) -> None:
    held.fails(insert([{"b": "x"}]), "DELTA_NOT_NULL_CONSTRAINT_VIOLATED", "23502")
    held.run("ALTER TABLE t ADD CONSTRAINT low CHECK (id < 100)")
    held.fails(insert([{"a": 100}]), "DELTA_VIOLATE_CONSTRAINT_WITH_VALUES", "23001")
    assert len(rows(held)) == 2


def test_merge_counts_and_guard(held: Client) -> None:
    both = [{"a": 1, "b": "eins"}, {"a": 2, "b": None}]
    assert held.run(merge(both, "t.id = s.a", UPDATE, guard=STALE)) == [(2, 2, 0, 0)]
    assert rows(held) == [(1, "eins"), (2, None)]
    stale = merge([{"a": 1, "b": "x"}, {"a": 9}], "t.id = s.a", UPDATE, guard=STALE)
    held.fails(stale, *RAISED, "stale row 9")
    assert rows(held) == [(1, "eins"), (2, None)]
    more = [{"a": 2, "b": "zwei"}, {"a": 3, "b": "drei"}]
    assert held.run(merge(more, "t.id = s.a", *UPSERT)) == [(2, 1, 0, 1)]
    assert held.run(merge(more, "t.id = s.a", "WHEN MATCHED THEN DELETE")) == [(2, 0, 2, 0)]
    assert rows(held) == [(1, "eins")]


def test_a_probe_matches_nulls(held: Client) -> None:
    held.run("INSERT INTO t VALUES (3, NULL)")
    objects = [{"a": 1, "b": "one"}, {"a": 2, "b": "zwei"}, {"a": 3}]
    select = source(encoded(objects), "a:bigint,b:string")
    probe = f"SELECT count(*) FROM t JOIN ({select}) s ON t.id = s.a AND t.name <=> s.b"
    assert held.run(probe) == [(2,)]


def test_a_guard_undoes_a_whole_block(held: Client) -> None:
    one = insert([{"a": 3, "b": "x;'"}], key_guard())
    two = merge([{"a": 3, "b": "y"}], "t.id = s.a", UPDATE, guard=STALE)
    bad = insert([{"a": 3}], key_guard())
    held.fails(f"BEGIN ATOMIC {one}; {two}; {bad}; END", *RAISED, "duplicate key 3")
    assert len(rows(held)) == 2
    held.run(f"BEGIN ATOMIC {one}; {two}; END")
    assert rows(held)[2:] == [(3, "y")]


def test_a_guard_aborts_a_transaction(held: Client) -> None:
    held.run("BEGIN TRANSACTION")
    held.run(insert([{"a": 3, "b": "x"}], key_guard()))
    held.fails(insert([{"a": 3}], key_guard()), *RAISED, "duplicate key 3")
    held.fails("SELECT 1", ABORTED, "40000")
    held.run("ROLLBACK")
    assert len(rows(held)) == 2


def test_a_transaction_of_several_chunks(held: Client) -> None:
    held.run("BEGIN TRANSACTION")
    for chunk in range(3):
        objects = [{"a": 10 * chunk + i, "b": str(i)} for i in range(10, 20)]
        assert held.run(insert(objects, key_guard())) == [(10, 10)]
    staged = "SELECT count(*) FROM duckdb_tables() WHERE database_name = 'memory'"
    # What is left of the statements before: the rows added and those removed.
    left = held.session.cursor.execute(staged).fetchall()[0][0]
    held.run("SELECT 1")
    assert held.session.cursor.execute(staged).fetchall()[0][0] == 2 <= left
    held.run("COMMIT")
    assert len(rows(held)) == 32
    assert held.session.cursor.execute(staged).fetchall() == [(0,)]


# ---- several writers


def guarded(key: int) -> str:
    return insert([{"a": key, "b": "x"}], key_guard())


def renamed(key: int) -> str:
    """Give a row the name x, which no other may have."""
    guard = (
        " WHERE (SELECT raise_error('name taken') FROM t JOIN s ON t.name = s.b "
        "WHERE t.id <> s.a LIMIT 1) IS NULL"
    )
    return merge([{"a": key, "b": "x"}], "t.id = s.a", UPDATE, guard=guard)


@pytest.mark.parametrize(
    ("mine", "theirs"),
    [
        (guarded(5), guarded(5)),
        (guarded(5), merge([{"a": 5}], "t.id = s.a", *UPSERT)),
        (merge([{"a": 5}], "t.id = s.a", *UPSERT), guarded(5)),
        (merge([{"a": 1}, {"a": 5}], "t.id = s.a", *UPSERT), guarded(5)),
        (
            merge([{"a": 1}, {"a": 5}], "t.id = s.a", *UPSERT),
            f"BEGIN ATOMIC DELETE FROM t WHERE id = 2; {guarded(5)}; END",
        ),
        (renamed(1), renamed(2)),
    ],
)
def test_two_guarded_writers_of_one_key(
    held: Client, other: Client, monkeypatch: pytest.MonkeyPatch, mine: str, theirs: str
) -> None:
    from vinci_code.warehouse.engine.transactions import Transaction

    commit = Transaction.commit

    def late(self: Transaction) -> None:
        monkeypatch.setattr(Transaction, "commit", commit)
        other.run(theirs)
        commit(self)

    monkeypatch.setattr(Transaction, "commit", late)
    with pytest.raises(SqlError) as caught:
        held.run(mine)
    assert (caught.value.error_class.split(".")[0], caught.value.sqlstate) == (CONFLICT, "2D521")
    assert [key == 5 or name == "x" for key, name in rows(held)].count(True) == 1


@pytest.mark.parametrize("mine", [guarded(5), merge([{"a": 5}], "t.id = s.a", *UPSERT)])
def test_two_transactions_with_one_key(held: Client, other: Client, mine: str) -> None:
    for client, statement in ((held, mine), (other, guarded(5))):
        client.run("BEGIN TRANSACTION")
        client.run(statement)
    other.run("COMMIT")
    with pytest.raises(SqlError) as caught:
        held.run("COMMIT")
    assert (caught.value.error_class.split(".")[0], caught.value.sqlstate) == (CONFLICT, "2D521")
    held.run("ROLLBACK")
    assert [key for key, _ in rows(held)] == [1, 2, 5]


def test_threads_never_write_a_key_twice(engine: Engine, db: Client) -> None:
    db.run(TABLE)
    outcomes: list[str] = []

    def write(number: int) -> None:
        client = Client(engine)
        for key in range(8):
            statement = guarded(key)
            if number % 2:
                statement = merge([{"a": key, "b": "m"}], "t.id = s.a", *UPSERT[1:])
            outcomes.append(_outcome(client, statement))
            while outcomes[-1] == CONFLICT:
                outcomes.append(_outcome(client, statement))
        client.session.close()

    threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(outcomes) <= {"done", CONFLICT, RAISED[0]}
    keys = [key for key, _ in rows(db)]
    assert keys == list(range(8))


def _outcome(client: Client, statement: str) -> str:
    try:
        client.run(statement)
    except SqlError as error:
        return error.error_class.split(".")[0]
    return "done"
