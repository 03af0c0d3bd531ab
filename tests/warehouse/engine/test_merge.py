"""MERGE: all kinds of clauses, stars, errors; and random merges against a model in Python."""

# ruff: noqa: F401, F811 - pytest finds fixtures by the name they are imported under

from __future__ import annotations

import random

import pytest

from tests.warehouse.engine.client import Client, db, engine


@pytest.fixture
def merging(db: Client) -> Client:
    db.script(
        "CREATE TABLE t (k INT, v STRING, n INT)",
        "INSERT INTO t VALUES (1, 'one', 10), (2, 'two', 20), (3, 'three', 30)",
        "CREATE TABLE s (k INT, v STRING, n INT)",
        "INSERT INTO s VALUES (2, 'zwei', 200), (3, 'drei', 300), (4, 'vier', 400)",
    )
    return db


def rows(client: Client) -> list[tuple[object, ...]]:
    return client.run("SELECT * FROM t ORDER BY k, v")


def test_upsert_with_stars(merging: Client) -> None:
    result = merging.result(
        "MERGE INTO t USING s ON t.k = s.k "
        "WHEN MATCHED THEN UPDATE SET * WHEN NOT MATCHED THEN INSERT *"
    )
    assert [column.name for column in result.columns] == [
        "num_affected_rows",
        "num_updated_rows",
        "num_deleted_rows",
        "num_inserted_rows",
    ]
    assert result.batches.__next__().to_pylist()[0] == {
        "num_affected_rows": 3,
        "num_updated_rows": 2,
        "num_deleted_rows": 0,
        "num_inserted_rows": 1,
    }
    assert result.num_modified_rows == 3
    assert rows(merging) == [(1, "one", 10), (2, "zwei", 200), (3, "drei", 300), (4, "vier", 400)]


def test_all_kinds_of_clauses_in_order(merging: Client) -> None:
    merging.run(
        "MERGE INTO t AS x USING s AS y ON x.k = y.k "
        "WHEN MATCHED AND y.n > 250 THEN DELETE "
        "WHEN MATCHED THEN UPDATE SET v = concat(x.v, '/', y.v), x.n = x.n + y.n "
        "WHEN NOT MATCHED BY TARGET AND y.k > 100 THEN INSERT (k) VALUES (-1) "
        "WHEN NOT MATCHED THEN INSERT (k, v) VALUES (y.k, upper(y.v)) "
        "WHEN NOT MATCHED BY SOURCE AND x.k = 1 THEN UPDATE SET n = 0 "
        "WHEN NOT MATCHED BY SOURCE THEN DELETE"
    )
    assert rows(merging) == [(1, "one", 0), (2, "two/zwei", 220), (4, "VIER", None)]


def test_rows_that_no_clause_applies_to_stay(merging: Client) -> None:
    merging.run("MERGE INTO t USING s ON t.k = s.k WHEN MATCHED AND s.n > 999 THEN DELETE")
    assert len(rows(merging)) == 3
    assert len(merging.run("DESCRIBE HISTORY t")) == 2


def test_source_may_be_a_query_or_values(merging: Client) -> None:
    merging.run(
        "MERGE INTO t USING (SELECT 1 AS k, 'x' AS v) q ON t.k = q.k "
        "WHEN MATCHED THEN UPDATE SET v = q.v"
    )
    merging.run(
        "MERGE INTO t USING (SELECT * FROM VALUES (9, 'nine') AS v(k, v)) AS q ON t.k = q.k "
        "WHEN NOT MATCHED THEN INSERT (v, k) VALUES (q.v, q.k)"
    )
    assert rows(merging)[0] == (1, "x", 10)
    assert rows(merging)[-1] == (9, "nine", None)


def test_several_source_rows_for_one_target_row(merging: Client) -> None:
    twice = "(SELECT 1 AS k, 'a' AS v UNION ALL SELECT 1, 'b') s ON t.k = s.k"
    merging.fails(
        f"MERGE INTO t USING {twice} WHEN MATCHED THEN UPDATE SET v = s.v",
        "DELTA_MULTIPLE_SOURCE_ROW_MATCHING_TARGET_ROW_IN_MERGE",
        "21506",
    )
    assert len(rows(merging)) == 3
    # Only one of them applies, so there is no ambiguity.
    merging.run(f"MERGE INTO t USING {twice} WHEN MATCHED AND s.v = 'a' THEN UPDATE SET v = s.v")
    assert rows(merging)[0] == (1, "a", 10)
    # Deleting a row twice is deleting it.
    merging.run(f"MERGE INTO t USING {twice} WHEN MATCHED THEN DELETE")
    assert [row[0] for row in rows(merging)] == [2, 3]


@pytest.mark.parametrize(
    ("clauses", "error_class", "sqlstate"),
    [
        (
            "WHEN MATCHED THEN DELETE WHEN MATCHED THEN UPDATE SET v = 'x'",
            "NON_LAST_MATCHED_CLAUSE_OMIT_CONDITION",
            "42613",
        ),
        ("WHEN MATCHED THEN UPDATE SET zz = 1", "DELTA_MERGE_UNRESOLVED_EXPRESSION", "42601"),
        ("WHEN MATCHED THEN UPDATE SET v = 'a', v = 'b'", "DELTA_CONFLICT_SET_COLUMN", "42701"),
        (
            "WHEN NOT MATCHED THEN INSERT (k, k) VALUES (1, 2)",
            "DELTA_DUPLICATE_COLUMNS_ON_INSERT",
            "42701",
        ),
        ("WHEN NOT MATCHED THEN INSERT (k) VALUES (t.k)",
         "DELTA_MERGE_UNRESOLVED_EXPRESSION", "42601"),
        ("WHEN MATCHED AND s.v THEN DELETE", "DATATYPE_MISMATCH.FILTER_NOT_BOOLEAN", "42K09"),
    ],
)  # fmt: skip
def test_refusals(merging: Client, clauses: str, error_class: str, sqlstate: str) -> None:
    merging.fails(f"MERGE INTO t USING s ON t.k = s.k {clauses}", error_class, sqlstate)
    assert len(rows(merging)) == 3


def test_star_needs_every_column_in_the_source(merging: Client) -> None:
    merging.fails(
        "MERGE INTO t USING (SELECT 1 AS k) s ON t.k = s.k WHEN NOT MATCHED THEN INSERT *",
        "DELTA_MERGE_UNRESOLVED_EXPRESSION",
        "42601",
    )


def test_constraints_hold_in_a_merge(merging: Client) -> None:
    merging.run("ALTER TABLE t ADD CONSTRAINT small CHECK (k < 4)")
    merging.fails(
        "MERGE INTO t USING s ON t.k = s.k WHEN NOT MATCHED THEN INSERT *",
        "DELTA_VIOLATE_CONSTRAINT_WITH_VALUES",
        "23001",
    )


def test_a_merge_fills_in_defaults_and_identity(db: Client) -> None:
    db.script(
        "CREATE TABLE t (id BIGINT GENERATED ALWAYS AS IDENTITY, k INT, d STRING DEFAULT 'dd') "
        "TBLPROPERTIES ('delta.feature.allowColumnDefaults' = 'supported')",
        "INSERT INTO t (k) VALUES (1)",
        "MERGE INTO t USING (SELECT * FROM VALUES (1), (2), (3) AS v(k)) AS s ON t.k = s.k "
        "WHEN MATCHED THEN UPDATE SET d = 'old' WHEN NOT MATCHED THEN INSERT (k) VALUES (s.k)",
    )
    found = db.run("SELECT id, d FROM t ORDER BY id")
    assert found == [(1, "old"), (2, "dd"), (3, "dd")]


def test_null_keys_match_nothing(merging: Client) -> None:
    merging.run(
        "MERGE INTO t USING (SELECT CAST(NULL AS INT) AS k) s ON t.k = s.k "
        "WHEN MATCHED THEN DELETE WHEN NOT MATCHED THEN INSERT (v) VALUES ('null')"
    )
    assert (None, "null", None) in rows(merging)
    assert len(rows(merging)) == 4


@pytest.mark.parametrize("seed", range(12))
def test_random_merges_agree_with_a_model(db: Client, seed: int) -> None:
    chance = random.Random(seed)
    target = {k: chance.randrange(100) for k in chance.sample(range(20), 10)}
    source = {k: chance.randrange(100) for k in chance.sample(range(20), 10)}
    db.script("CREATE TABLE t (k INT, n INT)", "CREATE TABLE s (k INT, n INT)")
    for name, content in (("t", target), ("s", source)):
        listed = ", ".join(f"({k}, {n})" for k, n in content.items())
        db.run(f"INSERT INTO {name} VALUES {listed}")
    limits = [chance.randrange(100) for _ in range(3)]
    db.run(
        "MERGE INTO t USING s ON t.k = s.k "
        f"WHEN MATCHED AND s.n < {limits[0]} THEN UPDATE SET n = t.n + s.n "
        "WHEN MATCHED AND t.n > s.n THEN DELETE "
        f"WHEN NOT MATCHED AND s.n >= {limits[1]} THEN INSERT * "
        f"WHEN NOT MATCHED BY SOURCE AND t.n < {limits[2]} THEN DELETE "
        "WHEN NOT MATCHED BY SOURCE THEN UPDATE SET n = -t.n"
    )
    assert dict(db.run("SELECT k, n FROM t")) == model(target, source, limits)


def model(target: dict[int, int], source: dict[int, int], limits: list[int]) -> dict[int, int]:
    after = {}
    for k, n in target.items():
        if k not in source:
            if n >= limits[2]:
                after[k] = -n
        elif source[k] < limits[0]:
            after[k] = n + source[k]
        elif n <= source[k]:
            after[k] = n
    new = {k: n for k, n in source.items() if k not in target and n >= limits[1]}
    return {**after, **new}


def test_an_error_of_the_source_is_raised_where_no_row_can_match(db: Client) -> None:
    db.script("CREATE TABLE t (id INT, version INT)", "INSERT INTO t VALUES (1, 5)")
    db.fails(
        "MERGE INTO t USING (WITH r AS (SELECT inline(from_json('[{\"v\":1}]',"
        " 'array<struct<v:int>>'))) SELECT r.* FROM r WHERE (SELECT raise_error('stale') FROM r"
        " LEFT ANTI JOIN t ON t.version = r.v LIMIT 1) IS NULL) AS s"
        " ON t.version = s.v WHEN MATCHED THEN UPDATE SET id = 2",
        "USER_RAISED_EXCEPTION",
        "P0001",
        "stale",
    )
