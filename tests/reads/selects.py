"""Random SELECTs of SQLAlchemy, as Python: every clause, each with one answer on both databases.

What SQLite would answer in another way stands within ``wide()``, and is asked of the warehouse
alone: LATERAL, the average of decimals, LIKE, INTERSECT ALL and EXCEPT ALL.
"""

from __future__ import annotations

import itertools
import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tests.differential.values import written
from tests.reads.tables import CLASSES, COPIES, FIRST, VALUES, kinds

_SLOT = re.compile(r"\{(\w+)\}")

# What a value of a kind may be made of; ``b`` is a condition.
_FORMS: dict[str, list[str]] = {
    "i": [
        "({i} + {i})", "({i} - 1)", "({i} * 2)", "func.coalesce({i}, {i})", "func.abs({i})",
        "(-{i})",
        "case(({b}, {i}), else_={i})", "case(({b}, {i}))", "func.nullif({i}, {i})", "({i} % 3)",
        "func.length({s})", "func.coalesce({i}, 0)", "cast({i}, Integer)", "func.length({t})",
    ],
    "s": [
        "func.upper({s})", "func.lower({s})", "({s} + {s})", "func.coalesce({s}, 'z')",
        "case(({b}, {s}), else_={s})", "func.substr({s}, 1, 1)", "func.trim({s})",
        "func.replace({s}, 'a', 'bb')", "cast({i}, String)", "func.nullif({s}, {s})", "({t} + {s})",
    ],
    "d": [
        "({d} + {d})", "({d} * 2)", "({d} - Decimal('0.50'))", "func.coalesce({d}, {d})",
        "case(({b}, {d}), else_={d})", "func.abs({d})",
    ],
    "f": ["({f} * 2)", "({f} + {f})", "func.coalesce({f}, 0.5)", "case(({b}, {f}), else_={f})"],
    "day": ["func.coalesce({day}, {day})", "case(({b}, {day}), else_={day})"],
    "at": ["func.coalesce({at}, {at})", "case(({b}, {at}), else_={at})"],
    "ok": ["func.coalesce({ok}, {ok})", "case(({b}, {ok}), else_={ok})"],
    "g": ["func.coalesce({g}, {g})", "case(({b}, {g}), else_={g})"],
}  # fmt: skip
_CONDITIONS = [
    "({i} == {i})", "({i} < {i})", "({i} != {i})", "({s} == {s})", "({s} >= {s})", "({d} > {d})",
    "({f} <= {f})", "({day} < {day})", "({at} >= {at})", "({g} == {g})", "({d} == {d})",
    "{i}.is_(None)", "{s}.is_not(None)", "{i}.in_([1, 2, 5])", "{i}.in_([])", "{i}.not_in([1, 3])",
    "{s}.in_(['a', 'b', ''])", "{i}.between(1, 4)", "{i}.is_distinct_from({i})",
    "{s}.is_not_distinct_from({s})", "and_({b}, {b})", "or_({b}, {b})", "not_({b})", "{ok}",
    "({ok} == True)", "{ok}.is_(None)", "{d}.is_(None)", "{u}.in_([UUID(int=1), UUID(int=2)])",
    "tuple_({i}, {s}).in_([(1, 'a'), (2, 'b')])", "({t} == {t})", "({u} == {u})",
]  # fmt: skip
_AGGREGATES: dict[str, list[str]] = {
    "i": [
        "func.count()", "func.count({i})", "func.count({s})", "func.count({s}.distinct())",
        "func.sum({i})", "func.sum({i}.distinct())", "func.max({i})", "func.min({i})",
        "func.sum(case(({b}, 1), else_=0))", "func.count().filter({b})", "(func.max({i}) + 1)",
        "func.coalesce(func.sum({i}), 0)", "func.count({i}.distinct())",
    ],
    "s": ["func.max({s})", "func.min({s})", "func.lower(func.min({s}))"],
    "d": ["func.sum({d})", "func.max({d})", "func.min({d})"],
    "f": ["func.sum({f})", "func.max({f})", "func.avg({i})", "func.avg({f})"],
    "day": ["func.max({day})", "func.min({day})"],
    "at": ["func.max({at})"],
    "g": ["func.max({g})", "func.min({g})"],
}  # fmt: skip
# Alike for rows that the order leaves alike.
_WINDOWS = [
    "func.rank()", "func.dense_rank()", "func.count()", "func.sum({i})", "func.max({s})",
    "func.min({d})", "func.count({i})", "func.percent_rank()",
]  # fmt: skip
# Of a total order.
_ROW_WINDOWS = [
    "func.row_number()", "func.lag({i})", "func.lead({s})", "func.first_value({i})",
    "func.ntile(2)", "func.lag({s}, 2)",
]  # fmt: skip
_GROUPED = frozenset({"i", "s", "day", "ok", "d", "u", "g", "f"})
_SELECTED = ("i", "i", "i", "s", "s", "d", "f", "day", "at", "ok", "g")
_LITERALS = frozenset({"i", "s", "d", "f"})


@dataclass(frozen=True)
class From:
    """What rows are read of.

    Attributes:
        name: It, as Python.
        columns: Its columns, each by its kind.
        key: The columns that tell its rows apart; empty where that is not known.
        of: What its columns are attributes of, as Python.
    """

    name: str
    columns: Mapping[str, str]
    key: tuple[str, ...] = ()
    of: str = ""

    def column(self, name: str) -> str:
        """A column, as Python."""
        return f"{self.of or self.name + '.c'}.{name}"


@dataclass(frozen=True)
class Made:
    """A query, and the kinds of what it selects, whose names are c0, c1, …"""

    text: str
    kinds: tuple[str, ...]

    @property
    def columns(self) -> dict[str, str]:
        """The kinds, by these names."""
        return {f"c{number}": kind for number, kind in enumerate(self.kinds)}


class Selects:
    """Makes SELECTs.

    Args:
        chooser: What is chosen.
        tables: The names of the tables that they may read.
        apart: The name of a table that no sub-query may read.
    """

    def __init__(
        self, chooser: random.Random, tables: Sequence[str], apart: str | None = None
    ) -> None:
        self.chooser = chooser
        self.tables = [name for name in tables if name != apart] or list(tables)
        self._may_nest = apart is None or any(name != apart for name in tables)
        self._taken: set[str] = set()
        self._numbers = itertools.count(1)
        self._lines: list[str] = []

    # --- reads ----------------------------------------------------------------------------------

    def read(self, on: str) -> list[str]:
        """The lines of one read."""
        form = self.chooser.choices(
            [self._rows, self._page, self._total, self._set, self._whole, self._recursive,
             self._lateral, self._counted, self._grouped_again, self._wide],
            [8, 3, 4, 4, 2, 1, 1, 2, 1, 1],
        )[0]  # fmt: skip
        self._lines, self._taken = [], set()
        shown = form(on)
        return [*self._lines, shown]

    def _rows(self, on: str) -> str:
        return f"see({on}.execute({self.query(2).text}))"

    def _page(self, on: str) -> str:
        made = self.query(1)
        names = list(made.columns)
        self.chooser.shuffle(names)
        order = ", ".join(
            f"desc({name!r})" if self.chooser.random() < 0.3 else repr(name) for name in names
        )
        limit = self.chooser.choice(["", ".limit(2)", ".limit(3).offset(1)", ".limit(0)"])
        return f"see_ordered({on}.execute({made.text}.order_by({order}){limit}))"

    def _total(self, on: str) -> str:
        source, text = self._source(1)
        values = [self._aggregate([source])[0] for _ in range(self.chooser.randint(1, 3))]
        query = f"select({', '.join(values)}).select_from({text}){self._where([source])}"
        return f"see({on}.execute({query}))"

    def _set(self, on: str) -> str:
        made = self._compound(1)
        order = ""
        if self.chooser.random() < 0.4:
            names = ", ".join(map(repr, made.columns))
            order = f".order_by({names})" + self.chooser.choice(["", ".limit(3)"])
        see = "see_ordered" if order else "see"
        return f"{see}({on}.execute({made.text}{order}))"

    def _whole(self, on: str) -> str:
        source = self._table()
        return f"see({on}.execute(select({source.name}){self._where([source])}))"

    def _counted(self, on: str) -> str:
        made = self.query(1)
        return (
            f"see({on}.scalar(select(func.count()).select_from({made.text}.subquery('counted'))))"
        )

    def _grouped_again(self, on: str) -> str:
        """One expression that is read twice, and joined with itself."""
        made = self._grouped(0)
        one = self._named(made, "cte")
        two = f"{one.name}.alias({one.name + '_again'!r})"
        self._lines.append(f"{one.name}_again = {two}")
        other = From(f"{one.name}_again", one.columns)
        on_ = f"{one.column('c0')} == {other.column('c0')}"
        return (
            f"see({on}.execute(select({one.column('c0')}, {other.column('c0')}, func.count())"
            f".select_from({one.name}.outerjoin({other.name}, {on_}))"
            f".group_by({one.column('c0')}, {other.column('c0')})))"
        )

    def _recursive(self, on: str) -> str:
        if "node" not in self.tables:
            return self._rows(on)
        start = self.chooser.choice(
            ["node.c.parent_id.is_(None)", f"node.c.id == {self.chooser.choice(FIRST)}"]
        )
        self._lines += [
            (
                "tree = select(node.c.id.label('id'), node.c.label.label('label'), literal(0)"
                f".label('depth')).where({start}).cte('tree', recursive=True)"
            ),
            (
                "tree = tree.union_all(select(node_2.c.id, node_2.c.label, tree.c.depth + 1)"
                ".where(node_2.c.parent_id == tree.c.id, tree.c.depth < 4))"
            ),
        ]
        tree = From("tree", {"id": "i", "label": "s", "depth": "i"})
        text, sources = "tree", [tree]
        if self.chooser.random() < 0.4:
            other = self._table()
            text = f"tree.outerjoin({other.name}, {self._on(tree, other)})"
            sources.append(other)
        return f"see({on}.execute({self._selected(sources, text, 0).text}))"

    def _lateral(self, on: str) -> str:
        outer = self._table()
        inner = self._table()
        column, order = self._any_of(inner, "i"), ", ".join(map(inner.column, inner.key))
        condition = self._on(inner, outer)
        self._lines.append(
            f"beside = select({column}.label('c0')).where({condition}).order_by({order})"
            f".limit(2).correlate({outer.name}).lateral('beside')"
        )
        keys = ", ".join(map(outer.column, outer.key))
        left = ", isouter=True" * (self.chooser.random() < 0.5)
        return (
            f"see({on}.execute(wide(select({keys}, beside.c.c0)"
            f".select_from({outer.name}.join(beside, true(){left})))))"
        )

    def _wide(self, on: str) -> str:
        """What SQLite has not, or has otherwise."""
        source = self._table()
        one, two = self._selected([source], source.name, 0, kinds=("i", "s")), self.query(0, "is")
        forms = [
            f"intersect_all({one.text}, {two.text})",
            f"except_all({one.text}, {two.text})",
            f"{one.text}.where({self._value('s', [source], 0)}.like('%a%'))",
            f"{one.text}.where({self._value('s', [source], 0)}.ilike('A%'))",
            f"select({self._any_of(source, 'i')} / 2).select_from({source.name})",
            f"select(func.round({self._value('d', [source], 1)}, 1)).select_from({source.name})",
            f"select(func.avg({self._value('d', [source], 0)})).select_from({source.name})",
        ]
        return f"see({on}.execute(wide({self.chooser.choice(forms)})))"

    # --- of objects -----------------------------------------------------------------------------

    def read_objects(self) -> list[str]:
        """The lines of one read of the ORM."""
        names = [name for name in CLASSES if name.lower() in self.tables]
        name = self.chooser.choice(names)
        self._lines, self._taken = [], {name.lower()}
        source = From(name, kinds(name.lower()), of=name)
        where = self._where([source])
        condition = self._value("b", [source], 1)
        key = self.chooser.choice(FIRST)
        found = f"objects(session, select({name}){where})"
        forms = [
            f"see({found})",
            f"see({found})",
            f"see(session.query({name}).filter({condition}).count())",
            f"see(session.query(session.query({name}).filter({condition}).exists()).scalar())",
            f"see(session.scalar(select(exists().select_from({name}).where({condition}))))",
            f"see(session.scalar(select(func.count()).select_from({name}){where}))",
        ]
        if name != "Stock":
            forms += [f"see(session.get({name}, {key}))", f"see(again(session, {name}, {key}))"]
            order = f".order_by({name}.id)"
            forms.append(f"see(session.scalars(select({name}.id){where}{order}.limit(2)).all())")
        many, one = {"Author": ("books", ""), "Book": ("", "author")}.get(name, ("", ""))
        if name == "Node":
            many, one = "children", "parent"
        loads = ["", ".options(selectinload({}))", ".options(joinedload({}))"]
        for attribute in filter(None, (many, one)):
            load = self.chooser.choice(loads).format(f"{name}.{attribute}")
            found = f"objects(session, select({name}){load}{where})"
            forms += [f"see([(o, o.{attribute}) for o in {found}])"] * 2
        if many:
            other = {"Author": "Book", "Node": "Node_2"}[name]
            target = f"{name}.{many}" + ".of_type(Node_2)" * (name == "Node")
            forms += [
                f"see(session.execute(select({name}.id, {other}.id).outerjoin({target}){where}))",
                f"see(objects(session, select({name}).where({name}.{many}.any())))",
                (
                    f"see(session.execute(select({name}.id, func.count({other}.id))"
                    f".outerjoin({target}).group_by({name}.id)))"
                ),
            ]
        return [*self._lines, self.chooser.choice(forms)]

    # --- queries --------------------------------------------------------------------------------

    def query(self, depth: int, wanted: Sequence[str] = ()) -> Made:
        """A SELECT without ORDER BY.

        Args:
            depth: How many queries may stand in each other.
            wanted: The kinds of its columns.
        """
        if not wanted and self.chooser.random() < 0.25:
            return self._grouped(depth)
        if not wanted and self.chooser.random() < 0.15:
            return self._windowed(depth)
        sources, text = self._joined(depth)
        return self._selected(sources, text, depth, kinds=tuple(wanted))

    def _selected(
        self, sources: Sequence[From], text: str, depth: int, kinds: Sequence[str] = ()
    ) -> Made:
        if not kinds:
            there = {kind for source in sources for kind in source.columns.values()}
            found = [kind for kind in _SELECTED if kind in there] or ["i"]
            kinds = [self.chooser.choice(found) for _ in range(self.chooser.randint(1, 4))]
        values = [self._value(kind, sources, self.chooser.choice((0, 0, 1, 2))) for kind in kinds]
        distinct = ".distinct()" * (self.chooser.random() < 0.2)
        shown = self._listed(values)
        return Made(
            f"select({shown}).select_from({text}){self._where(sources, depth)}{distinct}",
            tuple(kinds),
        )

    def _grouped(self, depth: int) -> Made:
        sources, text = self._joined(depth)
        found = [
            (source.column(name), kind)
            for source in sources
            for name, kind in source.columns.items()
            if kind in _GROUPED
        ]
        keys = self.chooser.sample(found, min(len(found), self.chooser.choice((1, 1, 2))))
        made = [self._aggregate(sources) for _ in range(self.chooser.randint(1, 2))]
        columns = [key for key, _ in keys]
        having = ""
        if self.chooser.random() < 0.3:
            having = f".having({self._aggregate(sources, 'i')[0]} > {self.chooser.randint(0, 2)})"
        return Made(
            f"select({self._listed([*columns, *(text for text, _ in made)])})"
            f".select_from({text}){self._where(sources, depth)}"
            f".group_by({', '.join(columns)}){having}",
            (*(kind for _, kind in keys), *(kind for _, kind in made)),
        )

    def _windowed(self, depth: int) -> Made:
        sources, text = self._joined(depth)
        if not {"i", "s"} & set(sources[0].columns.values()):
            return self._selected(sources, text, depth)
        keys = [source.column(name) for source in sources for name in source.key]
        total = all(source.key for source in sources)
        partition = self._any_of(sources[0], "i") or self._any_of(sources[0], "s")
        part = f"partition_by={partition}, " * (self.chooser.random() < 0.5)
        order = [self._any_of(sources[0], self.chooser.choice("is")) or partition]
        form = self.chooser.choice(_WINDOWS)
        if total and self.chooser.random() < 0.5:
            form, order = self.chooser.choice(_ROW_WINDOWS), [*order, *keys]
        value = f"{self._filled(form, sources, 0)}.over({part}order_by=[{', '.join(order)}])"
        kind = "s" if "{s}" in form else ("f" if "percent" in form else "i")
        kind = "d" if "{d}" in form else kind
        first = self._any_of(sources[0], "i") or partition
        return Made(
            f"select({self._listed([first, value])}).select_from({text}){self._where(sources)}",
            ("i", kind),
        )

    def _compound(self, depth: int) -> Made:
        wanted = [self.chooser.choice("iisdf") for _ in range(self.chooser.randint(1, 3))]
        number = self.chooser.choice((2, 2, 3))
        parts = [self.query(depth, wanted).text for _ in range(number)]
        how = self.chooser.choice(["union", "union_all", "intersect", "except_"])
        return Made(f"{how}({', '.join(parts)})", tuple(wanted))

    # --- what is read of ------------------------------------------------------------------------

    def _joined(self, depth: int) -> tuple[list[From], str]:
        first, text = self._source(depth)
        sources = [first]
        while len(sources) < 3 and self.chooser.random() < 0.35:
            source, other = self._source(depth - 1)
            how = self.chooser.choice(["join", "outerjoin", "outerjoin", "full"])
            condition = self._on(self.chooser.choice(sources), source)
            full = ", full=True" * (how == "full")
            text = f"{text}.{how if not full else 'outerjoin'}({other}, {condition}{full})"
            sources.append(source)
        return sources, text

    def _source(self, depth: int) -> tuple[From, str]:
        if depth > 0 and self.chooser.random() < 0.3:
            made = self._compound(0) if self.chooser.random() < 0.3 else self.query(depth - 1)
            source = self._named(made, self.chooser.choice(["subquery", "cte"]))
        else:
            source = self._table()
        return source, source.name

    def _named(self, made: Made, how: str) -> From:
        name = f"q{next(self._numbers)}"
        self._lines.append(f"{name} = {made.text}.{how}({name!r})")
        return From(name, made.columns)

    def _table(self) -> From:
        """A table, or an alias of one, that the query has not named."""
        names = [
            (table, name)
            for table in self.tables
            for name in (table, *(f"{table}_{n}" for n in range(2, COPIES + 1)))
            if name not in self._taken
        ]
        # Of very many sub-queries the last ones read what another one reads, too.
        names = names or [(table, f"{table}_{COPIES}") for table in self.tables]
        table, name = self.chooser.choice([pair for pair in names if pair[0] == pair[1]] or names)
        if self.chooser.random() < 0.3:
            table, name = self.chooser.choice(names)
        self._taken.add(name)
        key = ("shop", "book_id") if table == "stock" else ("id",)
        return From(name, kinds(table), key)

    def _on(self, one: From, other: From) -> str:
        shared = [kind for kind in ("i", "i", "s", "d", "f", "day") if self._has(one, other, kind)]
        if not shared:
            return "true()"
        kind = self.chooser.choice(shared)
        return f"{self._any_of(one, kind)} == {self._any_of(other, kind)}"

    def _has(self, one: From, other: From, kind: str) -> bool:
        return kind in one.columns.values() and kind in other.columns.values()

    def _any_of(self, source: From, kind: str) -> str:
        """A column of a kind; an empty text where there is none."""
        found = [name for name, of in source.columns.items() if of == kind]
        keyed = [name for name in found if name == "id" or name.endswith("_id")]
        if keyed and self.chooser.random() < 0.4:
            found = keyed
        return source.column(self.chooser.choice(found)) if found else ""

    # --- expressions ----------------------------------------------------------------------------

    def _listed(self, values: Sequence[str]) -> str:
        return ", ".join(f"{value}.label('c{number}')" for number, value in enumerate(values))

    def _aggregate(self, sources: Sequence[From], kind: str = "") -> tuple[str, str]:
        there = {of for source in sources for of in source.columns.values()}
        kind = kind or self.chooser.choice([k for k in _AGGREGATES if k in there] + ["i"] * 4)
        form = self.chooser.choice(_AGGREGATES[kind])
        return self._filled(form, sources, self.chooser.choice((0, 0, 1)), nests=False), kind

    def _where(self, sources: Sequence[From], depth: int = 1) -> str:
        if self.chooser.random() < 0.4:
            return ""
        return f".where({self.condition(sources, depth)})"

    def condition(self, sources: Sequence[From], depth: int = 1) -> str:
        """A condition on rows of some tables."""
        if depth > 0 and self._may_nest and self.chooser.random() < 0.3:
            return self._nested(sources)
        return self._value("b", sources, self.chooser.choice((0, 1, 1, 2)))

    def _nested(self, sources: Sequence[From]) -> str:
        outer, inner = self.chooser.choice(sources), self._table()
        condition = self._on(inner, outer)
        if self.chooser.random() < 0.3:
            condition = f"{condition}, {self._value('b', [inner], 1)}"
        negated = self.chooser.choice(["", "~"])
        found = f"select({inner.column(inner.key[0])}).where({condition}).correlate({outer.name})"
        kind = self.chooser.choice("is")
        own = self._any_of(outer, kind) or "literal(1)"
        if not own.startswith("literal"):
            other = self._any_of(inner, kind) or f"literal({'1' if kind == 'i' else repr('a')})"
        else:
            other = inner.column(inner.key[-1]) if "id" in inner.key[-1] else "literal(1)"
        where = self._where([inner], 0)
        scalar = self.scalar(sources, "i")
        return self.chooser.choice(
            [
                f"{negated}{found}.exists()",
                f"{negated}exists().select_from({inner.name}).where({condition}).correlate({outer.name})",
                f"{own}.in_(select({other}).select_from({inner.name}){where})",
                f"{own}.not_in(select({other}).select_from({inner.name}){where})",
                f"({self._value('i', [outer], 0)} <= {scalar})",
            ]
        )

    def scalar(self, sources: Sequence[From], kind: str) -> str:
        """A sub-query of one value, which may refer to the rows around it."""
        inner = self._table()
        value = self._aggregate([inner], kind)[0]
        where = self._where([inner], 0)
        if sources and self.chooser.random() < 0.5:
            outer = self.chooser.choice(sources)
            if self._has(inner, outer, "i"):
                on = f"{self._any_of(inner, 'i')} == {self._any_of(outer, 'i')}"
                where = f"{where}.where({on}).correlate({outer.name})"
        return f"select({value}).select_from({inner.name}){where}.scalar_subquery()"

    def value(self, kind: str, sources: Sequence[From], depth: int = 1) -> str:
        """An expression of a kind, on rows of some tables."""
        return self._value(kind, sources, depth)

    def _value(self, kind: str, sources: Sequence[From], depth: int, nests: bool = True) -> str:
        if kind == "b":
            forms = [
                form for form in _CONDITIONS if depth > 0 or not ({"b"} & set(_SLOT.findall(form)))
            ]
            forms = [form for form in forms if self._can_fill(form, sources)]
            return self._filled(self.chooser.choice(forms), sources, depth - 1, nests=nests)
        roll = self.chooser.random()
        if nests and self._may_nest and depth > 0 and kind in "isdf" and roll < 0.08:
            return self.scalar(sources, kind)
        if depth > 0 and roll < 0.6:
            forms = [form for form in _FORMS.get(kind, ()) if self._can_fill(form, sources)]
            if forms:
                return self._filled(self.chooser.choice(forms), sources, depth - 1, nests=nests)
        found = [self._any_of(source, kind) for source in sources]
        found = [text for text in found if text]
        if found and not (kind in _LITERALS and self.chooser.random() < 0.15):
            return self.chooser.choice(found)
        return self.literal(kind)

    def literal(self, kind: str) -> str:
        """A value of a kind that is no column's."""
        if kind == "t":
            kind = "s"
        return f"literal({written(self.chooser.choice(VALUES[kind]))})"

    def _can_fill(self, form: str, sources: Sequence[From]) -> bool:
        """Whether the columns are there that a form is of, literals apart."""
        there = {kind for source in sources for kind in source.columns.values()} | {"b"}
        return set(_SLOT.findall(form)) <= there | _LITERALS

    def _filled(self, form: str, sources: Sequence[From], depth: int, *, nests: bool = True) -> str:
        return _SLOT.sub(lambda match: self._value(match[1], sources, depth, nests), form)
