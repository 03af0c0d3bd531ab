"""Random queries on small relations: every clause, each answer the same whatever the plan.

Rows are few, with NULLs and doubles; what an engine may choose (the order of rows, which of the
equal rows a LIMIT keeps, which error of several comes first) is kept out: a LIMIT orders by every
column, and expressions on rows cannot fail.
"""

# ruff: noqa: E501 - tables of forms read best one list a line
from __future__ import annotations

import random
from collections.abc import Callable

from tests.spark.random_expressions import Expressions, split_forms
from tests.spark.random_tree import Node, Script

COLUMNS = {"k": "i", "s": "s", "n": "e", "d": "d", "x": "f"}

# Forms that cannot fail on the values of the relations.
CALM = {
    "i": """
        ({i} + {i}) ;; ({i} - 1) ;; ({i} * 2) ;; length({s}) ;; coalesce({i}, {i}) ;; abs({i}) ;; CASE WHEN {b} THEN {i} ELSE {i} END
        year({d}) ;; day({d}) ;; nullif({i}, {i}) ;; if({b}, {i}, {i}) ;; greatest({i}, {i}) ;; datediff({d}, {d}) ;; pmod({i}, 3) ;; ({i} % 2) ;; CAST({e} AS INT)
    """,
    "s": "upper({s}) ;; concat({s}, {s}) ;; ({s} || {i}) ;; coalesce({s}, 'z') ;; CAST({i} AS STRING) ;; CAST({e} AS STRING) ;; left({s}, 1) ;; nullif({s}, {s}) ;; CAST({d} AS STRING) ;; CASE {s} WHEN 'a' THEN 'p' ELSE {s} END",
    "e": "({e} + {e}) ;; ({e} * {i}) ;; ({e} - 0.5) ;; round({e}, 1) ;; coalesce({e}, 0) ;; CAST({i} AS DECIMAL(12,2)) ;; -({e}) ;; ({e} * 1.05)",
    "d": "date_add({d}, {i}) ;; coalesce({d}, DATE'2024-02-29') ;; last_day({d}) ;; add_months({d}, 1) ;; trunc({d}, 'MM') ;; ({d} + INTERVAL 1 DAY)",
    "f": "({f} * 2) ;; ({f} + {i}) ;; coalesce({f}, 0) ;; abs({f}) ;; CAST({i} AS DOUBLE) ;; -({f})",
    "b": """
        ({i} = {i}) ;; ({i} < {i}) ;; ({i} <=> {i}) ;; ({i} <> {i}) ;; ({s} = {s}) ;; ({s} >= {s}) ;; ({e} > {e}) ;; ({d} <= {d}) ;; ({f} < {f}) ;; ({f} = {f}) ;; ({i} IS NULL) ;; ({s} IS NOT NULL)
        ({b} AND {b}) ;; ({b} OR {b}) ;; NOT ({b}) ;; ({i} IN (1, 2, NULL)) ;; ({i} NOT IN (1, 3)) ;; ({s} LIKE '%a%') ;; ({i} BETWEEN 1 AND 2) ;; ({e} = {i}) ;; ({s} IN ('a', 'B')) ;; ({f} <=> {f}) ;; ({s} IS DISTINCT FROM {s})
    """,
}  # fmt: skip
AGGREGATES = """
count(*) ;; count({i}) ;; count(DISTINCT {i}) ;; count(DISTINCT {i}, {s}) ;; sum({i}) ;; sum({e}) ;; sum(DISTINCT {i}) ;; avg({i}) ;; avg({e}) ;; avg(DISTINCT {e}) ;; mean({i}) ;; min({i}) ;; max({s}) ;; min({d}) ;; max({f}) ;; min({f})
min({s}) ;; max({e}) ;; sum({f}) ;; avg({f}) ;; count_if({b}) ;; bool_and({b}) ;; bool_or({b}) ;; every({b}) ;; some({b}) ;; any({b}) ;; bit_and({i}) ;; bit_or({i}) ;; bit_xor({i}) ;; stddev({i}) ;; stddev_pop({i}) ;; stddev_samp({i}) ;; std({i})
variance({i}) ;; var_pop({i}) ;; var_samp({i}) ;; median({i}) ;; mode({i}, true) ;; percentile({i}, 0.5) ;; percentile({i}, array(0.25, 1)) ;; percentile_cont(0.5) WITHIN GROUP (ORDER BY {i}) ;; percentile_disc(0.5) WITHIN GROUP (ORDER BY {i})
approx_percentile({i}, 0.5) ;; percentile_approx({i}, 0.5, 100) ;; approx_count_distinct({i}) ;; max_by({i}, struct({i}, {s}, {e})) ;; min_by(k, struct(k, s, n, d, x)) ;; sort_array(collect_list({i})) ;; sort_array(collect_set({i})) ;; sort_array(array_agg({s}))
listagg(s, '-') WITHIN GROUP (ORDER BY s) ;; string_agg(DISTINCT s, ',') WITHIN GROUP (ORDER BY s DESC) ;; try_sum({i}) ;; try_avg({e}) ;; covar_pop({i}, {i}) ;; covar_samp({i}, {e}) ;; skewness({i}) ;; kurtosis({i})
regr_count({i}, {i}) ;; regr_avgx({i}, {i}) ;; regr_avgy({i}, {i}) ;; regr_slope({i}, k) ;; regr_intercept({i}, k) ;; regr_r2({i}, k) ;; regr_sxx({i}, k) ;; regr_sxy({i}, k) ;; regr_syy({i}, k)
(sum({i}) + count(*)) ;; (max({i}) - min({i})) ;; coalesce(sum({e}), 0) ;; sum(CASE WHEN {b} THEN 1 ELSE 0 END) ;; max(struct({i}, {s})) ;; upper(max({s})) ;; round(avg({e}), 1)
"""  # fmt: skip
WINDOWS = """
row_number() ;; rank() ;; dense_rank() ;; percent_rank() ;; cume_dist() ;; ntile(2) ;; ntile(3) ;; lag({i}) ;; lead({i}) ;; lag({s}, 2) ;; lead({s}, 1, '-') ;; lag({i}, 1, 0)
"""  # fmt: skip
FRAMED = """
sum({i}) ;; count({i}) ;; count(*) ;; min({s}) ;; max({i}) ;; avg({e}) ;; first_value({i}) ;; last_value({s}) ;; nth_value({i}, 2) ;; first({i}, true) ;; last({i}) IGNORE NULLS ;; collect_list({i}) ;; sum({e}) ;; bool_or({b}) ;; any_value({i})
"""  # fmt: skip
FRAMES = [
    "", "", " ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW", " ROWS BETWEEN 1 PRECEDING AND 1 FOLLOWING",
    " ROWS UNBOUNDED PRECEDING", " ROWS BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING", " ROWS BETWEEN 2 PRECEDING AND 1 PRECEDING",
    " ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING", " ROWS BETWEEN 1 FOLLOWING AND 2 FOLLOWING",
]  # fmt: skip
RANGES = [
    " RANGE BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW", " RANGE BETWEEN 1 PRECEDING AND 1 FOLLOWING",
    " RANGE BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING", " RANGE BETWEEN CURRENT ROW AND CURRENT ROW",
]  # fmt: skip
JOINS = [
    "JOIN", "INNER JOIN", "LEFT JOIN", "LEFT OUTER JOIN", "RIGHT JOIN", "FULL JOIN", "FULL OUTER JOIN",
    "LEFT SEMI JOIN", "LEFT ANTI JOIN", "SEMI JOIN", "ANTI JOIN",
]  # fmt: skip
SETS = [
    "UNION",
    "UNION ALL",
    "UNION DISTINCT",
    "EXCEPT",
    "EXCEPT ALL",
    "INTERSECT",
    "INTERSECT ALL",
    "MINUS",
]
KINDS = ("rows", "groups", "windows", "join", "set", "subquery", "cte", "generated", "limit")

_INTS = ["1", "2", "3", "NULL", "0", "-1", "2"]
_TEXTS = ["'a'", "'b'", "'B'", "NULL", "''", "'é'", "'a'", "'ab'"]
_DECIMALS = ["1.50", "2.25", "NULL", "0.00", "-3.75", "10.00"]
_DATES = ["DATE'2024-02-29'", "DATE'2023-12-31'", "NULL", "DATE'1970-01-01'"]
_DOUBLES = ["1.5D", "-0.5D", "NULL", "double('NaN')", "double('Infinity')", "0D", "4D"]


def query_script(rng: random.Random) -> Script:
    """One query."""
    kind = rng.choice(KINDS)
    return Script(f"query: {kind}", (_Queries(rng).draw(kind),))


class _Queries:
    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._makers: dict[str, Callable[[], Node]] = {
            "rows": self._rows, "groups": self._groups, "windows": self._windows, "join": self._join,
            "set": self._set, "subquery": self._subquery, "cte": self._cte, "generated": self._generated,
            "limit": self._limit,
        }  # fmt: skip

    def draw(self, kind: str) -> Node:
        return self._makers[kind]()

    def _relation(self, alias: str) -> Node:
        """VALUES with the five columns."""
        rng = self._rng
        rows: list[str | Node] = [Node("row", ("(1, 'a', 1.50, DATE'2024-02-29', 1.5D)",))]
        for _ in range(rng.randrange(0, 6)):
            values = [rng.choice(pool) for pool in (_INTS, _TEXTS, _DECIMALS, _DATES, _DOUBLES)]
            rows.append(Node("row", (f"({', '.join(values)})",)))
        listed = Node("list", tuple(rows), least=1, separator=", ")
        return Node("relation", ("VALUES ", listed, f" AS {alias}({', '.join(COLUMNS)})"))

    def _expressions(self, *aliases: str) -> Expressions:
        columns: dict[str, list[str]] = {}
        for name, kind in COLUMNS.items():
            columns[kind] = [f"{alias}.{name}" for alias in aliases] or [name]
        return Expressions(self._rng, columns, CALM, CONSTANTS)

    def _value(self, *aliases: str) -> Node:
        kind = self._rng.choice("iisedf")
        return Node("any", (self._expressions(*aliases).of(kind, self._rng.randrange(3)),))

    def _condition(self, *aliases: str) -> Node:
        return self._expressions(*aliases).of("b", self._rng.choice((1, 1, 2)))

    def _where(self, *aliases: str) -> Node:
        if self._rng.random() < 0.5:
            return Node("where", ("",))
        return Node("where", (" WHERE ", self._condition(*aliases)), removable=True)

    def _items(self, values: list[Node]) -> Node:
        named = tuple(Node("item", (value, f" AS c{n}")) for n, value in enumerate(values))
        return Node("list", named, least=1, separator=", ")

    def _formed(self, forms: str, *aliases: str) -> Node:
        """A form of a list such as ``AGGREGATES``."""
        form = self._rng.choice(split_forms(forms))
        return self._expressions(*aliases).filled("aggregate", form, self._rng.choice((0, 0, 1)))

    def _rows(self) -> Node:
        values = [self._value() for _ in range(self._rng.randrange(1, 5))]
        distinct = Node("word", ("DISTINCT ",), removable=True) if self._rng.random() < 0.3 else ""
        return Node(
            "query",
            (
                "SELECT ",
                distinct,
                self._items(values),
                " FROM ",
                self._relation("t"),
                self._where(),
            ),
        )

    def _limit(self) -> Node:
        rng = self._rng
        names = list(COLUMNS)
        rng.shuffle(names)
        order = ", ".join(
            name
            + rng.choice(
                ("", " ASC", " DESC", " NULLS LAST", " DESC NULLS FIRST", " ASC NULLS FIRST")
            )
            for name in names
        )
        limit = rng.choice(
            ("", " LIMIT 2", " LIMIT 3 OFFSET 1", " LIMIT 0", " OFFSET 2", " LIMIT ALL")
        )
        return Node(
            "query",
            (
                "SELECT * FROM ",
                self._relation("t"),
                self._where(),
                f" ORDER BY {order}",
                Node("word", (limit,), removable=True),
            ),
        )

    def _groups(self) -> Node:
        rng = self._rng
        keys = [
            self._expressions().of(rng.choice("issd"), rng.choice((0, 0, 1)))
            for _ in range(rng.choice((0, 1, 1, 2, 2)))
        ]
        # A number alone would be the place of a column.
        keys = [Node("i", ("k",)) if key.sql in CONSTANTS[key.kind] else key for key in keys]
        aggregates = []
        for _ in range(rng.randrange(1, 4)):
            value: Node = self._formed(AGGREGATES)
            if (
                rng.random() < 0.2
                and ") " not in value.sql
                and value.sql[0] != "("
                and value.sql.split("(")[0] in _FILTERED
            ):
                value = Node("aggregate", (value, " FILTER (WHERE ", self._condition(), ")"))
            aggregates.append(value)
        having: str | Node = ""
        if keys and rng.random() < 0.3:
            having = Node(
                "having",
                (
                    " HAVING ",
                    rng.choice(
                        ("count(*) > 1", "max(k) > 1", "sum(k) IS NOT NULL", "min(s) < 'b'")
                    ),
                ),
                removable=True,
            )
        return Node(
            "query",
            (
                "SELECT ",
                self._items([*keys, *aggregates]),
                " FROM ",
                self._relation("t"),
                self._where(),
                self._grouping(keys),
                having,
            ),
        )

    def _grouping(self, keys: list[Node]) -> str:
        if not keys:
            return ""
        written = [key.sql for key in keys]
        inner = ", ".join(written)
        sets = f"({inner}), (), ({written[0]})"
        return self._rng.choice(
            (f" GROUP BY {inner}", f" GROUP BY {inner}", f" GROUP BY ROLLUP({inner})", f" GROUP BY CUBE({inner})",
             f" GROUP BY GROUPING SETS({sets})", f" GROUP BY {inner} WITH ROLLUP", " GROUP BY ALL")
        )  # fmt: skip

    def _windows(self) -> Node:
        rng = self._rng
        values: list[Node] = []
        for _ in range(rng.randrange(1, 3)):
            partition = rng.choice(
                ("", "PARTITION BY s ", "PARTITION BY k % 2 ", "PARTITION BY s, d ")
            )
            order = "ORDER BY " + rng.choice(
                (
                    "k, s, n, d, x",
                    "k DESC NULLS LAST, s, n, d, x",
                    "s NULLS LAST, k, n, d, x",
                    "n DESC, k, s, d, x",
                )
            )
            if rng.random() < 0.4:
                value = self._formed(WINDOWS)
                frame = ""
                if value.sql[0] in "rdpc" and rng.random() < 0.5:
                    order = "ORDER BY " + rng.choice(("k", "s DESC", "k % 2, s"))
                    value = Node("aggregate", ("rank()",)) if value.sql.startswith("row") else value
            elif rng.random() < 0.3:
                value, frame = (
                    self._formed("sum({i}) ;; count({i}) ;; max({s}) ;; avg({e}) ;; min({i})"),
                    rng.choice(RANGES),
                )
                order = "ORDER BY " + rng.choice(("k", "k DESC"))
            else:
                value, frame = self._formed(FRAMED), rng.choice(FRAMES)
            over = Node("over", (partition, order, frame))
            values.append(Node("aggregate", (value, " OVER (", over, ")")))
        plain = [Node("i", ("k",)), Node("s", ("s",))]
        return Node(
            "query",
            (
                "SELECT ",
                self._items([*plain, *values]),
                " FROM ",
                self._relation("t"),
                self._where(),
            ),
        )

    def _join(self) -> Node:
        rng = self._rng
        if rng.random() < 0.25:
            how = rng.choice(
                ("JOIN", "LEFT JOIN", "FULL JOIN", "RIGHT JOIN", "LEFT SEMI JOIN", "LEFT ANTI JOIN")
            )
            using = rng.choice(("USING (k)", "USING (k, s)"))
            left, right = (
                Node("relation", ("(SELECT k, s, n FROM ", self._relation("t"), ") AS t")),
                Node("relation", ("(SELECT k, s, d FROM ", self._relation("u"), ") AS u")),
            )
            natural = rng.random() < 0.3 and "SEMI" not in how and "ANTI" not in how
            if natural:
                return Node("query", ("SELECT * FROM ", left, f" NATURAL {how} ", right))
            return Node("query", ("SELECT * FROM ", left, f" {how} ", right, f" {using}"))
        how = rng.choice((*JOINS, "CROSS JOIN", ","))
        one_sided = "SEMI" in how or "ANTI" in how
        sides = ("t",) if one_sided else ("t", "u")
        values = [self._value(*sides) for _ in range(rng.randrange(1, 4))]
        parts: list[str | Node] = [
            "SELECT ",
            self._items(values),
            " FROM ",
            self._relation("t"),
            f" {how} " if how != "," else ", ",
            self._relation("u"),
        ]
        if how not in ("CROSS JOIN", ","):
            equal = rng.choice(
                (
                    "t.k = u.k",
                    "t.k <=> u.k",
                    "t.s = u.s",
                    "t.k = u.k AND t.s <=> u.s",
                    "t.k < u.k",
                    "t.k = u.k + 1",
                )
            )
            parts += [
                f" ON {equal}",
                Node("where", (" AND ", self._condition("t", "u")), removable=True)
                if rng.random() < 0.3
                else "",
            ]
        parts.append(self._where(*sides))
        return Node("query", tuple(parts))

    def _set(self) -> Node:
        rng = self._rng
        kinds = [rng.choice("isedf") for _ in range(rng.randrange(1, 4))]
        parts: list[str | Node] = [self._branch(kinds, "t")]
        for alias in ("u", "w")[: rng.choice((1, 1, 2))]:
            parts += [f" {rng.choice(SETS)} ", self._branch(kinds, alias)]
        return Node("query", tuple(parts))

    def _branch(self, kinds: list[str], alias: str) -> Node:
        rng = self._rng
        mixed = {"i": "ie", "e": "eif", "f": "fi"}
        values = [
            Node(
                "any",
                (
                    self._expressions(alias).of(
                        rng.choice(mixed[kind]) if kind in mixed and rng.random() < 0.2 else kind,
                        rng.choice((0, 1)),
                    ),
                ),
            )
            for kind in kinds
        ]
        return Node(
            "branch",
            ("SELECT ", self._items(values), " FROM ", self._relation(alias), self._where(alias)),
        )

    def _subquery(self) -> Node:
        rng = self._rng
        inner = self._relation("u")
        tests: list[tuple[str | Node, ...]] = [
            ("t.k IN (SELECT u.k FROM ", inner, ")"),
            ("t.k NOT IN (SELECT u.k FROM ", inner, " WHERE u.k IS NOT NULL)"),
            ("t.k NOT IN (SELECT u.k FROM ", inner, ")"),
            ("(t.k, t.s) IN (SELECT u.k, u.s FROM ", inner, ")"),
            ("EXISTS (SELECT 1 FROM ", inner, " WHERE u.k = t.k)"),
            ("NOT EXISTS (SELECT 1 FROM ", inner, " WHERE u.k <=> t.k AND u.s = t.s)"),
            ("t.k = (SELECT max(u.k) FROM ", inner, ")"),
            ("t.n > (SELECT avg(u.n) FROM ", inner, " WHERE u.k = t.k)"),
            ("t.k IN (SELECT u.k FROM ", inner, " WHERE u.s = t.s) OR t.s = 'a'"),
            ("t.k < (SELECT count(*) FROM ", inner, " WHERE u.k = t.k)"),
        ]  # fmt: skip
        columns: list[tuple[str | Node, ...]] = [
            ("(SELECT max(u.s) FROM ", inner, " WHERE u.k = t.k)"),
            ("(SELECT count(*) FROM ", inner, " WHERE u.k = t.k)"),
            ("coalesce((SELECT sum(u.n) FROM ", inner, " WHERE u.s = t.s), 0)"),
            ("(SELECT min(u.d) FROM ", inner, ")"),
        ]
        if rng.random() < 0.6:
            return Node(
                "query",
                (
                    "SELECT ",
                    self._items([self._value("t"), Node("i", ("t.k",))]),
                    " FROM ",
                    self._relation("t"),
                    " WHERE ",
                    *rng.choice(tests),
                ),
            )
        return Node(
            "query",
            (
                "SELECT ",
                self._items([Node("any", rng.choice(columns)), self._value("t")]),
                " FROM ",
                self._relation("t"),
            ),
        )

    def _cte(self) -> Node:
        rng = self._rng
        first = ("WITH a AS (SELECT * FROM ", self._relation("t"), self._where(), ")")
        chosen: list[tuple[str | Node, ...]] = [
            (*first, " SELECT ", self._items([self._value("a")]), " FROM a", self._where("a")),
            (*first, ", b AS (SELECT k, count(*) AS c FROM a GROUP BY k) SELECT a.k, b.c FROM a LEFT JOIN b ON a.k = b.k"),
            (*first, " SELECT a.k, c.s FROM a JOIN a AS c ON a.k = c.k"),
            (*first, " SELECT k FROM a UNION ALL SELECT n FROM a"),
            ("WITH RECURSIVE r(n, p) AS (SELECT 1, ", rng.choice(("1L", "'a'")), " UNION ALL SELECT n + 1, p FROM r WHERE n < ", str(rng.randrange(1, 6)), ") SELECT * FROM r"),
            ("SELECT q.c0, q.k FROM (SELECT ", self._items([self._value()]), ", k FROM ", self._relation("t"), ") AS q WHERE q.k > 0"),
            (*first, ", b(y, z) AS (SELECT s, ", self._formed(AGGREGATES), " FROM a GROUP BY s) SELECT * FROM b"),
        ]  # fmt: skip
        return Node("query", rng.choice(chosen))

    def _generated(self) -> Node:
        rng = self._rng
        source = self._relation("t")
        chosen: list[tuple[str | Node, ...]] = [
            ("SELECT k, e FROM ", source, " LATERAL VIEW explode(array(k, 9)) v AS e"),
            ("SELECT k, e FROM ", source, " LATERAL VIEW OUTER explode(split(s, 'b')) v AS e"),
            ("SELECT k, p, e FROM ", source, " LATERAL VIEW posexplode(array(s, 'q')) v AS p, e"),
            ("SELECT k, e FROM ", source, ", LATERAL explode(sequence(1, coalesce(k, 0) + 2)) AS v(e)"),
            ("SELECT * FROM (SELECT k, s, n FROM ", source, ") PIVOT (sum(n) AS a FOR s IN ('a', 'b' AS b))"),
            ("SELECT * FROM (SELECT k, s, n FROM ", source, ") PIVOT (count(*) AS c, max(n) AS m FOR k IN (1, 2))"),
            ("SELECT * FROM (SELECT s, k, CAST(n AS INT) AS m FROM ", source, ") UNPIVOT (v FOR c IN (k, m))"),
            ("SELECT * FROM (SELECT s, k, CAST(n AS INT) AS m FROM ", source, ") UNPIVOT INCLUDE NULLS (v FOR c IN (k AS first, m))"),
            ("SELECT k, stack(2, k, s, 7, 'q') AS (a, b) FROM ", source),
            ("SELECT inline(array(struct(k, s), struct(1, 'z'))) FROM ", source),
            ("SELECT k, explode(map(k + 10, s)) AS (a, b) FROM ", source, " WHERE k IS NOT NULL"),
            ("SELECT t.k, q.m FROM ", source, ", LATERAL (SELECT t.k + 1 AS m WHERE t.k > 0) AS q"),
            ("SELECT * EXCEPT (x, d) FROM ", source, self._where()),
            ("SELECT k AS a, a + 1 AS b FROM ", source),
            ("SELECT k, s FROM ", source, " QUALIFY row_number() OVER (PARTITION BY s ORDER BY k, n, d, x) = 1"),
        ]  # fmt: skip
        return Node("query", rng.choice(chosen))


_FILTERED = {"count", "sum", "avg", "min", "max", "bool_or", "bool_and", "stddev", "count_if"}
# Nothing in CALM can fail on these.
CONSTANTS = {
    "i": ["1", "2", "0", "-3"], "s": ["'a'", "'b'", "''"], "e": ["0.5", "1.25", "2.0"],
    "d": ["DATE'2024-01-31'"], "f": ["0.5D", "2D"], "b": ["true", "false"],
}  # fmt: skip
