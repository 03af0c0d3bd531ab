"""The plan of a copy: what is there on both sides, and what is made of it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from sqlalchemy import (
    Column,
    Connection,
    ForeignKeyConstraint,
    Integer,
    MetaData,
    Table,
    UniqueConstraint,
    inspect,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.engine import Inspector
from sqlalchemy.types import NullType

from vinci_code.core.errors import CopyRefusedError
from vinci_code.database.moving.carrying import (
    carry_indexes,
    left_out,
    no_warnings,
    own_statements,
    takes_indexes,
    triggers_of,
)
from vinci_code.database.moving.files import (
    ANY,
    affinities,
    affinity_of,
    collations_of_keys,
    index_names,
    last_number,
    own_numbers,
    virtual_tables,
    what_has,
)
from vinci_code.database.moving.forms import zone_named
from vinci_code.database.moving.kinds import (
    UnknownKindError,
    ValueKind,
    common_kind,
    kind_named,
    kind_of,
    type_on_databricks,
    type_on_other,
    type_on_sqlite,
)
from vinci_code.database.moving.marks import NAME as MARKS_TABLE
from vinci_code.database.moving.naming import KnownNames, as_one, folded
from vinci_code.database.moving.nested import NESTED
from vinci_code.database.moving.places import CopyEnd
from vinci_code.database.moving.plans import ColumnPlan, CopyPlan, Refusal, TablePlan


@dataclass(frozen=True)
class Wishes:
    """What was asked for.

    Attributes:
        tables: The tables to copy; all of them where there are none.
        kinds: For columns, as ``table.column``, the kinds that they are said to have.
        zone: The time zone of moments that become instants.
    """

    tables: Sequence[str] = ()
    kinds: Mapping[str, str] = field(default_factory=dict)
    zone: str | None = None


def plan_copy(
    source: tuple[CopyEnd, Connection], target: tuple[CopyEnd, Connection], wishes: Wishes
) -> CopyPlan:
    """Look at both sides, and decide; nothing is written.

    Raises:
        CopyRefusedError: A table, a column, a kind or a time zone was named that there is not.
    """
    planner = _Planner(source[0], target[0], wishes)
    planner.look(inspect(source[1]), inspect(target[1]))
    return planner.plan()


class _Planner:
    def __init__(self, source: CopyEnd, target: CopyEnd, wishes: Wishes) -> None:
        self._source, self._target, self._wishes = source, target, wishes
        self._plan = CopyPlan()
        self._used: set[str] = set()
        self._made = MetaData()
        self._kept: tuple[Mapping[str, str], Mapping[str, str]] = ({}, {})
        self._dialects = (source.engine.dialect.name, target.engine.dialect.name)
        self._is_of_files = source.backend == target.backend == "sqlite"
        self._kinds = _named_kinds(wishes.kinds, source)
        if wishes.zone is not None:
            try:
                zone_named(wishes.zone)
            except ValueError as error:
                raise CopyRefusedError([f"--timezone: {error}"]) from None

    def look(self, source: Inspector, target: Inspector) -> None:
        """Ask these what is there."""
        self._from, self._to = source, target

    def plan(self) -> CopyPlan:
        """Make the plan."""
        everything = self._from.get_table_names()
        found = [name for name in everything if not self._is_marks(name)]
        names = self._chosen(found)
        self._plan.views = sorted(self._from.get_view_names())
        there = [name for name in self._to.get_table_names() if not self._is_marks(name)]
        known = KnownNames(there, self._target)
        foreign = {name: self._from.get_foreign_keys(name) for name in names}
        taken: dict[str, str] = {}
        for name in self._ordered(names, foreign):
            own = known.find(name)
            table = self._table(name, own, names)
            if table is not None and self._is_first(taken, table):
                self._plan.tables.append(table)
        self._make_all(foreign)
        if not names:
            fix = "name a database that has one, and see which file it is: views are not copied"
            self._refuse(self._source.name, "it has no table", fix)
        if not self._wishes.tables:
            self._plan.only_there = sorted(set(there) - {known.find(one) for one in found})
            self._leave_out_of_file()
            self._plan.left_out += [
                f"{name}: a copy keeps its marks in a table of this name"
                for name in everything
                if self._is_marks(name)
            ]
        self._require_used(found, names)
        return self._plan

    def _make_all(self, foreign: Mapping[str, Sequence[Any]]) -> None:
        """Say of the tables that the target has not how they are made, and what is left out."""
        for table in self._plan.tables:
            if not table.exists and self._source.backend == "sqlite":
                triggers = triggers_of(self._from, table.name)
                self._plan.left_out += [f"{table.name}: the trigger {one}" for one in triggers]
                if not table.statements:
                    listed = collations_of_keys(self._from, table.name)
                    self._plan.left_out += [f"{table.name}.{one}" for one in listed]
            if not table.exists and not table.statements:
                table.made = self._to_make(table)
        for table in self._plan.tables:
            # Now that each table to make is known, also one that is made later.
            for one in foreign[table.name] if table.made is not None else ():
                self._refer(table, one)

    def _require_used(self, found: Sequence[str], names: Sequence[str]) -> None:
        """Refuse kinds that were said of columns that there are not."""
        others = {self._folded(name) for name in found} - {self._folded(name) for name in names}
        unused = [
            f"--as {name}: there is no such column"
            for name in sorted(set(self._kinds) - self._used)
            if name.rpartition(".")[0] not in others
        ]
        if unused and not self._plan.refusals:
            raise CopyRefusedError(unused)

    def _folded(self, name: str) -> str:
        return folded(name, self._source)

    @staticmethod
    def _is_marks(name: str) -> bool:
        return name.lower() == MARKS_TABLE

    def _is_first(self, taken: dict[str, str], table: TablePlan) -> bool:
        """Whether no other table of the source is that of the target."""
        other = taken.setdefault(as_one(table.target_name, self._target), table.name)
        if other == table.name:
            return True
        self._refuse(
            table.name,
            f"in the target it would be one table with {other}, whose name differs in letter case "
            "alone",
            "rename one of them, or leave one out with --table of the others",
        )
        return False

    def _leave_out_of_file(self) -> None:
        if self._is_of_files:
            self._plan.left_out += [f"of the file: its {one}" for one in own_numbers(self._from)]

    def _chosen(self, found: Sequence[str]) -> list[str]:
        _, shadows = self._virtual()
        if not self._wishes.tables:
            # What a shadow table has is its virtual table's, which is refused by its own name.
            return sorted(set(found) - shadows)
        known = KnownNames(found, self._source)
        chosen = {name: known.find(name) for name in self._wishes.tables}
        unknown = [name for name, one in chosen.items() if one is None]
        if unknown:
            raise CopyRefusedError(
                [
                    f"{name}: {self._source.name} has no such table; to fix it: name one of "
                    f"{', '.join(sorted(found)) or 'none'}"
                    for name in unknown
                ]
            )
        return sorted({one for one in chosen.values() if one is not None})

    def _virtual(self) -> tuple[set[str], set[str]]:
        """The virtual tables of a SQLite file as source, and the tables that belong to them."""
        return virtual_tables(self._from) if self._source.backend == "sqlite" else (set(), set())

    def _ordered(self, names: Sequence[str], foreign: Mapping[str, Sequence[Any]]) -> list[str]:
        """The tables, each behind those that it refers to."""
        known = KnownNames(names, self._source)
        referred = {
            name: {known.find(one["referred_table"]) for one in foreign[name]} for name in names
        }
        waiting = {
            name: {one for one in parents if one is not None} - {name}
            for name, parents in referred.items()
        }
        ordered: list[str] = []
        while waiting:
            free = [name for name, parents in waiting.items() if not parents - set(ordered)]
            if not free:
                self._plan.cycles = _in_circles(waiting)
                free = [self._plan.cycles[0]]
            ordered += free
            for name in free:
                del waiting[name]
        return ordered

    def _table(self, name: str, target_name: str | None, names: Sequence[str]) -> TablePlan | None:
        refused = len(self._plan.refusals)
        exists = target_name is not None
        own = target_name or (name.lower() if self._target.backend == "databricks" else name)
        self._require_ordinary(name, own, exists=exists)
        if not exists:
            self._check_name(name, own)
        if len(self._plan.refusals) > refused:
            return None
        there = self._columns_of(own) if exists else {}
        statements = [] if exists else self._own_statements(name, names)
        computed: set[str] = set()
        if statements or (exists and self._has_same_statement(name, own)):
            computed = self._computed(name)
        self._kept = self._affinities(name, own, exists=exists, is_as_it_is=bool(statements))
        columns = [
            column
            for one in self._from.get_columns(name)
            if str(one["name"]) not in computed
            and (column := self._column(name, one, there if exists else None)) is not None
        ]
        self._require_each_once(name, columns)
        # Computed are columns of the same statement, and so of the same letters.
        spare = set(there) - {column.target_name for column in columns} - computed
        if exists and spare and len(self._plan.refusals) == refused:
            self._refuse(
                f"{self._target.name}, {own}",
                f"its columns {', '.join(sorted(spare))} are none of the source's",
                "make the two tables alike, or drop the target's",
            )
        if not columns and len(self._plan.refusals) == refused:
            self._refuse(name, "it has no column", "leave it out with --table of the others")
        if len(self._plan.refusals) > refused:
            return None
        key = self._key(name, columns)
        table = TablePlan(name, own, columns, key, exists=exists, statements=statements)
        self._note_key(table)
        if computed:
            listed = ", ".join(sorted(computed))
            table.notes.append(f"computed by both, by the same expressions: {listed}")
        if exists and not self._has_same_key(table):
            return None
        self._number(table)
        return table

    def _require_ordinary(self, name: str, own: str, *, exists: bool) -> None:
        """Refuse what is no table with rows of its own, and names that something else has."""
        virtual, shadows = self._virtual()
        if name in virtual | shadows:
            what = "a virtual table" if name in virtual else "a part of a virtual table"
            self._refuse(
                name,
                f"it is {what}, whose rows a module of SQLite keeps in a form of its own",
                "make it anew in the target, and leave it out with --table of the others",
            )
        fix = "rename or drop that, or name another target"
        if self._target.backend != "sqlite":
            if not exists and self._to.has_table(own):
                self._refuse(name, f"the target has {own}, which is no table: a view?", fix)
            return
        if not exists and (found := what_has(self._to, own)) is not None:
            self._refuse(name, f"the target has {own}, which is no table: it is a {found}", fix)
        if not exists and self._source.backend == "sqlite":
            for index in index_names(self._from, name):
                if (found := what_has(self._to, index)) is not None:
                    reason = f"the target has the {found} {index}, and its index has that name"
                    self._refuse(name, reason, fix)
        if exists and own in set().union(*virtual_tables(self._to)):
            self._refuse(name, f"{own} of the target is a virtual table, or a part of one", fix)

    def _require_each_once(self, name: str, columns: Sequence[ColumnPlan]) -> None:
        """Refuse columns that are one in the target."""
        taken: dict[str, str] = {}
        for column in columns:
            other = taken.setdefault(as_one(column.target_name, self._target), column.name)
            if other != column.name:
                self._refuse(
                    f"{name}.{column.name}",
                    f"in the target it would be one column with {other}, whose name differs in "
                    "letter case alone",
                    "rename one of them",
                )

    def _affinities(
        self, name: str, own: str, *, exists: bool, is_as_it_is: bool
    ) -> tuple[Mapping[str, str], Mapping[str, str]]:
        """Of two SQLite files, which classes the columns of both prefer; else nothing."""
        theirs = affinities(self._from, name) if self._source.backend == "sqlite" else {}
        if not self._is_of_files:
            return theirs, {}
        return theirs, theirs if is_as_it_is else affinities(self._to, own) if exists else {}

    def _is_as_stored(self, name: str, own: str, kind: ValueKind, made: str | None) -> bool:
        """Whether values of a column are kept by both files as they are stored."""
        if not self._is_of_files:
            return False
        if kind.name not in _FORMED:
            return True
        theirs, ours = self._kept
        kept = ours.get(own) or (None if made is None else affinity_of(made))
        return theirs.get(name) == kept

    def _number(self, table: TablePlan) -> None:
        """Note what AUTOINCREMENT goes on behind."""
        number = last_number(self._from, table.name) if self._source.backend == "sqlite" else None
        if number is None:
            return
        is_same = table.exists and self._has_same_statement(table.name, table.target_name)
        if self._is_of_files and (table.statements or is_same):
            table.last_number = number
        elif table.exists:
            self._plan.left_out.append(
                f"{table.name}: the number {number} that AUTOINCREMENT goes on behind"
            )
        else:
            self._plan.left_out.append(f"{table.name}: AUTOINCREMENT, and its last number {number}")

    def _columns_of(self, name: str) -> dict[str, Any]:
        return {str(one["name"]): one for one in self._to.get_columns(name)}

    def _column(self, table: str, found: Any, there: dict[str, Any] | None) -> ColumnPlan | None:
        name, place = str(found["name"]), f"{table}.{found['name']}"
        self._used.add(self._folded(place))
        shown = _shown(found["type"])
        named = self._kinds.get(self._folded(place))
        try:
            is_nested = isinstance(found["type"], NESTED)
            own = None if is_nested else named
            if own is None and self._kept[0].get(name) == ANY:
                shown = ANY
                raise UnknownKindError("its type says nothing of its values")
            kind = own or kind_of(found["type"], self._source.engine.dialect.name)
        except UnknownKindError as error:
            self._refuse(
                place,
                f"{error} (declared as {shown})",
                f"say what it holds, as with --as {place}=text",
            )
            return None
        notes: list[str] = [] if named is None else [f"taken as {kind}, as it was said"]
        if found.get("computed") is not None:
            notes.append("computed by the source; its values are copied, and computed no more")
        if there is None:
            return self._new_column(place, name, kind, found, notes)
        match = KnownNames(there, self._target).find(name)
        other = None if match is None else there[match]
        if other is None:
            self._refuse(place, "the target's table has no such column", "add it there")
            return None
        if other.get("computed") is not None:
            fix = "copy into a table without it"
            self._refuse(place, "it is computed by the target, and cannot be written", fix)
            return None
        return self._matched(place, kind, found, other, notes)

    def _new_column(
        self, place: str, name: str, kind: ValueKind, found: Any, notes: list[str]
    ) -> ColumnPlan | None:
        on_databricks = self._target.backend == "databricks"
        if on_databricks and re.search(r"[ ,;{}()\n\t=]", name):
            self._refuse(
                place, "Databricks takes no such name of a column", "rename it in the source"
            )
            return None
        if self._source.backend == "sqlite" and kind.name == "instant":
            kind = self._in_zone(place, kind)
        try:
            made = self._made_type(kind, found["type"])
        except UnknownKindError as error:
            fix = "make the target's table yourself, with a type that holds these values"
            self._refuse(f"{place} of the target", str(error), fix)
            return None
        is_sqlite = self._target.backend == "sqlite"
        made_type = str(made.compile(dialect=self._target.engine.dialect))
        as_stored = self._is_as_stored(name, name, kind, made_type)
        if as_stored and kind.name == "instant":
            notes.append(f"moments in {kind.zone}, kept as they are")
        elif is_sqlite and kind.name == "instant":
            notes.append("kept in UTC, as UtcDateTime reads it")
        if is_sqlite and not as_stored and kind.name == "decimal" and kind.digits > _FLOAT_DIGITS:
            notes.append("SQLite keeps 64 bits of it: a value with more digits is refused")
        is_unbound = self._source.backend == "sqlite" != self._target.backend
        if kind.name == "text" and is_unbound and getattr(found["type"], "length", None):
            notes.append("the length is not enforced, as SQLite enforces none")
        return ColumnPlan(
            name,
            name,
            kind,
            source_type=_shown(found["type"]),
            target_type=made_type,
            nullable=bool(found["nullable"]),
            notes=tuple(notes),
            made=made,
            as_stored=as_stored,
            nested=(kind.nested, kind.nested if on_databricks else None),
        )

    def _computed(self, name: str) -> set[str]:
        found = self._from.get_columns(name)
        return {str(one["name"]) for one in found if one.get("computed") is not None}

    def _own_statements(self, name: str, names: Sequence[str]) -> list[str]:
        """What makes the table between two files as it is; nothing where it refers to others."""
        if self._dialects != ("sqlite", "sqlite"):
            return []
        known = {self._folded(one) for one in names}
        foreign = self._from.get_foreign_keys(name)
        referred = {self._folded(one["referred_table"]) for one in foreign}
        return own_statements(self._from, name) if referred <= known else []

    def _has_same_statement(self, name: str, own: str) -> bool:
        """Whether a table is made by the same text in both files."""
        if self._dialects != ("sqlite", "sqlite"):
            return False
        theirs, ours = own_statements(self._from, name), own_statements(self._to, own)
        return bool(theirs) and theirs[:1] == ours[:1]

    def _made_type(self, kind: ValueKind, found: Any) -> Any:
        """The type that the target's column is made with."""
        if self._target.backend == "databricks":
            return type_on_databricks(kind)
        if self._target.backend == "other":
            return type_on_other(kind, self._target.engine.dialect.name)
        is_known = self._source.backend == "sqlite" and not isinstance(found, NullType)
        return found if is_known else type_on_sqlite(kind)

    def _matched(
        self, place: str, kind: ValueKind, found: Any, other: Any, notes: list[str]
    ) -> ColumnPlan | None:
        name, own = str(found["name"]), str(other["name"])
        typed = _shown(other["type"])
        given = self._kinds.get(self._folded(place)) if self._target.backend == "sqlite" else None
        try:
            theirs = given or kind_of(other["type"], self._target.engine.dialect.name)
        except UnknownKindError as error:
            self._refuse(f"{place} of the target", str(error), "give it a type that says more")
            return None
        zone = self._wishes.zone
        if theirs.name == "json" and not self._keeps_text(other["type"]):
            self._refuse(
                f"{place} of the target",
                f"{typed} keeps a document in a form of its own, and not its text",
                "make it a JSON or a TEXT",
            )
            return None
        pair = {kind.name, theirs.name}
        if pair == {"moment", "instant"} or kind.name == theirs.name == "instant":
            if self._target.backend == "sqlite" != self._source.backend:
                zone = zone or "UTC"
                notes.append(f"kept in {zone}")
            elif zone is None and self._must_have_zone(kind, theirs):
                self._refuse(
                    place,
                    f"moments without a zone are to become instants ({typed})",
                    "say which zone they are in: --timezone UTC, --timezone Europe/Berlin",
                )
                return None
            elif not self._must_have_zone(kind, theirs):
                zone = None
            else:
                notes.append(f"moments are taken to be in {zone}")
        common = common_kind(kind, theirs, zone)
        if common is not None and common.name == "instant":
            common = replace(common, zone=zone)
        if common is None:
            self._refuse(
                place,
                f"{kind} cannot become {theirs} ({typed})",
                "change the type of the target's column, or say with --as what the source's holds",
            )
            return None
        return ColumnPlan(
            name,
            own,
            common,
            _shown(found["type"]),
            typed,
            bool(other["nullable"]),
            tuple(notes),
            nested=(kind.nested, theirs.nested),
            as_stored=self._is_as_stored(name, own, common, None),
        )

    def _must_have_zone(self, kind: ValueKind, theirs: ValueKind) -> bool:
        """Whether moments of the source are without a zone, and become instants."""
        if self._source.backend == "sqlite":
            return True
        is_read = self._source.backend == "other" and kind.name == "moment"
        return is_read and theirs.name == "instant"

    def _keeps_text(self, kind: Any) -> bool:
        """Whether a column of documents is known to give back the text that it was given."""
        if self._target.backend != "other":
            return True
        is_postgres = self._target.engine.dialect.name == "postgresql"
        return is_postgres and not isinstance(kind, JSONB)

    def _in_zone(self, place: str, kind: ValueKind) -> ValueKind:
        if self._wishes.zone is None:
            self._refuse(
                place,
                "SQLite keeps no zone with a moment",
                "say which zone they are in: --timezone UTC, --timezone Europe/Berlin",
            )
        return replace(kind, zone=self._wishes.zone)

    def _key(self, name: str, columns: Sequence[ColumnPlan]) -> tuple[str, ...]:
        found = [str(one) for one in self._from.get_pk_constraint(name)["constrained_columns"]]
        kinds = {column.name: column.kind for column in columns}
        return tuple(found) if all(kinds[one].is_key for one in found) else ()

    def _note_key(self, table: TablePlan) -> None:
        if not table.key:
            table.notes.append("it has no key to go on behind: it is copied as a whole, or not")

    def _has_same_key(self, table: TablePlan) -> bool:
        theirs = self._to.get_pk_constraint(table.target_name)["constrained_columns"]
        ours = {folded(table.columns[place].target_name, self._target) for place in table.keys}
        if not table.key or {folded(one, self._target) for one in theirs} == ours:
            return True
        self._refuse(
            table.name,
            f"its key is ({', '.join(table.key)}), and that of the target's table is "
            f"({', '.join(theirs) or 'none'})",
            "make the two keys alike",
        )
        return False

    def _check_name(self, name: str, own: str) -> None:
        if self._target.backend == "databricks" and re.search(r"[ ./]", own):
            self._refuse(
                name, "Databricks takes no such name of a table", "rename it in the source"
            )

    def _to_make(self, table: TablePlan) -> Table:
        """The table as SQLAlchemy is to make it in the target."""
        primary = self._from.get_pk_constraint(table.name)["constrained_columns"]
        columns = [
            Column(
                one.target_name,
                # SQLite numbers the rows of a table whose key is exactly an INTEGER.
                Integer() if self._is_number(one, primary) else one.made,
                primary_key=one.name in primary,
                autoincrement=False,
                nullable=one.nullable and one.name not in primary,
            )
            for one in table.columns
        ]
        constraints = [
            UniqueConstraint(*self._named(table, one["column_names"]), name=one["name"])
            for one in self._unique(table.name)
        ]
        made = Table(table.target_name, self._made, *columns, *constraints)
        takes = takes_indexes(*self._dialects)
        self._plan.left_out += left_out(self._from, table.name, indexes=not takes)
        if takes:
            names = {one.name: one.target_name for one in table.columns}
            self._plan.left_out += carry_indexes(self._from, table.name, made, names)
        return made

    def _named(self, table: TablePlan, names: Sequence[str]) -> list[str]:
        """The target's names of columns, which a constraint may have in another letter case."""
        known = KnownNames([one.name for one in table.columns], self._source)
        made = {one.name: one.target_name for one in table.columns}
        return [made[one] for name in names if (one := known.find(name)) is not None]

    def _unique(self, name: str) -> Sequence[Any]:
        with no_warnings():
            return self._from.get_unique_constraints(name)

    def _is_number(self, column: ColumnPlan, primary: Sequence[str]) -> bool:
        is_only = [column.name] == list(primary) and column.kind.name == "integer"
        return is_only and self._target.backend == "sqlite"

    def _refer(self, table: TablePlan, found: Any) -> None:
        referred = found["referred_table"]
        order = [one.name for one in self._plan.tables]
        referred_name = KnownNames(order, self._source).find(referred)
        known = {one.name: one for one in self._plan.tables}
        parent = None if referred_name is None else known[referred_name]
        columns = ", ".join(found["constrained_columns"])
        if parent is None:
            self._plan.left_out.append(
                f"{table.name}: the foreign key ({columns}) to {referred}, which is not copied"
            )
            return
        is_later = order.index(parent.name) > order.index(table.name)
        if is_later and self._target.backend != "sqlite":
            self._plan.left_out.append(
                f"{table.name}: the foreign key ({columns}) to {referred}, which is made later"
            )
            return
        if parent is table and self._target.backend == "other":
            self._plan.left_out.append(
                f"{table.name}: the foreign key ({columns}) to itself, which chunks would break"
            )
            return
        its_key = self._from.get_pk_constraint(parent.name)["constrained_columns"]
        remote = self._named(parent, found["referred_columns"] or its_key)
        own = self._named(table, found["constrained_columns"])
        if not own or len(own) != len(remote):
            self._plan.left_out.append(
                f"{table.name}: the foreign key ({columns}) to {referred}, which has no such key"
            )
            return
        if parent.target_name not in self._made.tables:
            # There already, or made by its own statement: known here by columns and key alone.
            listed = [
                Column(one.target_name, NullType(), primary_key=one.name in its_key)
                for one in parent.columns
            ]
            Table(parent.target_name, self._made, *listed)
        referred_to = self._made.tables[parent.target_name]
        table.made.append_constraint(
            ForeignKeyConstraint(
                own,
                # Columns, since a name may have a point in it.
                [referred_to.c[name] for name in remote],
                name=found["name"],
                ondelete=found.get("options", {}).get("ondelete"),
            )
        )

    def _refuse(self, place: str, reason: str, fix: str) -> None:
        self._plan.refusals.append(Refusal(place, reason, fix))


_FLOAT_DIGITS = 15


# Kinds whose values another column may keep in another storage class: 5 as 5.0, or as '5'.
_FORMED = frozenset({"decimal", "double", "json"})


def _named_kinds(given: Mapping[str, str], source: CopyEnd) -> dict[str, ValueKind]:
    found: dict[str, ValueKind] = {}
    for name, text in given.items():
        try:
            found[folded(name, source)] = kind_named(text)
        except UnknownKindError as error:
            raise CopyRefusedError([f"--as {name}={text}: {error}"]) from None
    return found


def _in_circles(waiting: Mapping[str, set[str]]) -> list[str]:
    """The tables that are in a circle themselves, and do not only refer to one."""

    def reached(name: str) -> set[str]:
        found: set[str] = set()
        open_ends = [name]
        while open_ends:
            for one in waiting.get(open_ends.pop(), ()):
                if one in waiting and one not in found:
                    found.add(one)
                    open_ends.append(one)
        return found

    return sorted(name for name in waiting if name in reached(name))


def _shown(kind: Any) -> str:
    return "nothing" if isinstance(kind, NullType) else str(kind)
