"""What is unique is checked as it was declared, or refused when the table is made."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import (
    Boolean,
    Column,
    Computed,
    Connection,
    Engine,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    UniqueConstraint,
    create_engine,
    delete,
    func,
    insert,
    inspect,
    select,
    text,
    update,
)
from sqlalchemy.exc import CompileError, DBAPIError, IntegrityError
from sqlalchemy.schema import CreateTable
from sqlalchemy.sql.elements import Grouping

from tests.dialect.held import rows_of
from tests.full import part
from vinci_code.database import upsert
from vinci_code.database.dialect.base import VinciDialect
from vinci_code.database.dialect.dberrors import NotSupportedError
from vinci_code.database.dialect.sql.uniques import unchecked, uniques
from vinci_code.warehouse.pytest_plugin import TestWarehouse

pytestmark = part(5)


Declare = Callable[[Table], Any]


def _table(declare: Declare) -> Table:
    columns: list[Column[Any]] = [
        Column("id", Integer, primary_key=True, autoincrement=False),
        Column("mail", String),
        Column("gone", Integer, server_default="0"),
        Column("b", Boolean),
    ]
    table = Table("t", MetaData(), *columns)
    declare(table)
    return table


def _partial(table: Table) -> None:
    Index("ux", table.c.mail, unique=True, sqlite_where=table.c.gone == 0)


def _partial_text(table: Table) -> None:
    Index("ux", table.c.mail, unique=True, sqlite_where=text("gone = 0 AND mail <> 'free'"))


def _lower(table: Table) -> None:
    Index("ux", func.lower(table.c.mail), unique=True)


def _lower_text(table: Table) -> None:
    Index("ux", text("lower(mail)"), unique=True, _table=table)


def _lower_partial(table: Table) -> None:
    Index("ux", func.lower(table.c.mail), unique=True, sqlite_where=table.c.gone == 0)


def _no_case(table: Table) -> None:
    Index("ux", table.c.mail.collate("NOCASE"), unique=True)


def _descending(table: Table) -> None:
    Index("ux", table.c.mail.desc(), unique=True)


def _two(table: Table) -> None:
    Index("ux", func.lower(table.c.mail), table.c.gone.desc(), unique=True)


def _coalesced(table: Table) -> None:
    Index("ux", func.coalesce(table.c.mail, "none"), unique=True)


DECLARED: dict[str, Declare] = {
    "partial": _partial,
    "partial, as text": _partial_text,
    "expression": _lower,
    "expression, as text": _lower_text,
    "expression, partial": _lower_partial,
    "NOCASE": _no_case,
    "DESC": _descending,
    "expression and column": _two,
    "expression without NULL": _coalesced,
}


@pytest.mark.parametrize(
    "written",
    [
        lambda mail: mail,
        lambda mail: mail.desc(),
        lambda mail: mail.asc().nulls_last(),
        lambda mail: mail.label("m"),
        lambda mail: mail.label("m").desc(),
        lambda mail: Grouping(mail),
        lambda mail: Grouping(mail.label("m")).desc().nulls_first(),
        lambda mail: mail.label("m").collate("BINARY"),
    ],
)
def test_a_column_is_itself_however_an_index_has_it(written: Callable[[Any], Any]) -> None:
    table = _table(lambda table: Index("ux", written(table.c.mail), unique=True))
    _, of_index = uniques(table)
    assert of_index.is_plain
    assert of_index.columns == (table.c.mail,)
    assert of_index.violation == "UNIQUE constraint failed: t.mail (ux)"


class Program:
    """Statements on a table, as ``"insert 9 a 0, 10 b 1; change 3 gone=0; delete 2"``."""

    def __init__(self, words: str) -> None:
        self._words = words

    def run(self, connection: Connection, table: Table) -> None:
        """Execute each of them."""
        for words in self._words.split("; "):
            verb, rest = words.split(" ", 1)
            if verb == "insert":
                rows = [row.split() for row in rest.split(", ")]
                connection.execute(insert(table).values([_row(*row) for row in rows]))
            elif verb == "change":
                key, change = rest.split(" ")
                name, value = change.split("=")
                values = {name: int(value) if name == "gone" else value}
                connection.execute(update(table).where(table.c.id == int(key)).values(values))
            else:
                connection.execute(delete(table).where(table.c.id == int(rest)))


def _row(key: str, mail: str, gone: str | None = None) -> dict[str, Any]:
    row = {"id": int(key), "mail": None if mail == "NULL" else mail}
    return row if gone is None else {**row, "gone": int(gone)}


FIRST = [_row("1", "a", "0"), _row("2", "B", "0"), _row("3", "a", "1"), _row("4", "NULL", "0")]
PROGRAMS = [
    "insert 9 B 0",
    "insert 9 B 1",
    "insert 9 b 0",
    "insert 9 b 1",
    "insert 9 NULL 0",
    "insert 9 NULL 1",
    "insert 9 free 0; insert 10 free 0",
    "insert 9 new 0, 10 new 0",
    "insert 9 new 0, 10 new 1",
    "insert 9 new 0, 10 NEW 0",
    "insert 9 new; insert 10 NEW",
    "change 3 gone=0",
    "change 1 gone=1; insert 9 a 0",
    "change 3 mail=B",
    "change 1 mail=b",
    "change 2 mail=b",
    "change 1 mail=c; change 2 mail=A",
    "delete 2; insert 9 b 0",
    "insert 9 x 1; change 9 mail=b; change 9 gone=0",
    "insert 9 b 1; delete 2; change 9 gone=0",
]


def _outcome(engine: Engine, table: Table, program: Program) -> Any:
    try:
        with engine.begin() as connection:
            program.run(connection, table)
    except IntegrityError as error:
        assert "UNIQUE" in str(error)  # noqa: PT017 - some programs raise, and some do not
        return "refused"
    return rows_of(engine, table)


def _begin(engine: Engine, table: Table, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Put rows into a table, one by one; those that it takes are returned."""
    with engine.begin() as connection:
        connection.execute(delete(table))
    taken = []
    for row in rows:
        try:
            with engine.begin() as connection:
                connection.execute(insert(table), row)
        except IntegrityError:
            continue
        taken.append(row)
    return taken


@pytest.mark.parametrize("declare", DECLARED.values(), ids=list(DECLARED))
def test_as_on_sqlite(engine: Engine, tmp_path: Path, declare: Declare) -> None:
    table = _table(declare)
    sqlite = create_engine(f"sqlite:///{tmp_path / 'side.db'}")
    for side in (sqlite, engine):
        table.metadata.create_all(side)
    found = set()
    for words in PROGRAMS:
        rows = _begin(sqlite, table, FIRST)
        with engine.begin() as connection:
            connection.execute(delete(table))
            connection.execute(insert(table).execution_options(enforce_keys=False), rows)
        expected, given = (_outcome(side, table, Program(words)) for side in (sqlite, engine))
        assert given == expected, words
        found.add(expected == "refused")
    sqlite.dispose()
    assert found == {True, False}


def test_a_partial_index_lets_the_other_rows_be(engine: Engine) -> None:
    table = _table(_partial)
    table.metadata.create_all(engine)
    with engine.begin() as connection:
        connection.execute(insert(table), [_row("1", "a", "0"), _row("2", "a", "1")])
    assert [row[:3] for row in rows_of(engine, table)] == [(1, "a", 0), (2, "a", 1)]


def _update_mails(table: Table, rows: list[dict[str, Any]]) -> Any:
    return upsert(table, rows, keys=["id"], update=["mail", "gone"])


@pytest.mark.parametrize(
    ("rows", "refused"),
    [
        ([("3", "a", "0")], True),
        ([("3", "a", "1"), ("9", "b", "1")], False),
        ([("9", "B", "0")], True),
        ([("9", "B", "1")], False),
        ([("1", "c", "0"), ("3", "a", "0")], False),
        ([("9", "new", "0"), ("10", "new", "0")], True),
    ],
)
def test_an_upsert(engine: Engine, tmp_path: Path, rows: list[Any], refused: bool) -> None:
    table = _table(_partial)
    sqlite = create_engine(f"sqlite:///{tmp_path / 'side.db'}")
    for side in (sqlite, engine):
        table.metadata.create_all(side)
        _begin(side, table, FIRST)
        given = [_row(*row) for row in rows]
        if refused:
            with pytest.raises(IntegrityError), side.begin() as connection:
                connection.execute(_update_mails(table, given))
        else:
            with side.begin() as connection:
                connection.execute(_update_mails(table, given))
    assert rows_of(engine, table) == rows_of(sqlite, table)
    sqlite.dispose()


def test_nulls_that_equal_each_other(engine: Engine) -> None:
    table = _table(
        lambda table: Index("ux", table.c.mail, unique=True, postgresql_nulls_not_distinct=True)
    )
    table.metadata.create_all(engine)
    with engine.begin() as connection:
        connection.execute(insert(table), [_row("1", "a"), _row("2", "NULL")])
    for rows in ([_row("3", "NULL")], [_row("3", "a")], [_row("3", "b"), _row("4", "b")]):
        with pytest.raises(IntegrityError, match="ux"), engine.begin() as connection:
            connection.execute(insert(table), rows)
    with pytest.raises(IntegrityError, match="ux"), engine.begin() as connection:
        connection.execute(update(table).where(table.c.id == 1).values(mail=None))


@pytest.mark.parametrize("collation", ["NOCASE", "RTRIM", "nocase"])
def test_a_column_that_sqlite_compares_otherwise_is_refused(engine: Engine, collation: str) -> None:
    table = Table("t", MetaData(), Column("id", String(collation=collation)), Column("x", Integer))
    with pytest.raises(CompileError, match=r"collation .*Leave the collation out"):
        table.create(engine)
    # Somebody else may have made it.
    with engine.connect() as connection:
        for condition in (table.c.id == "a", table.c.id.in_(["a"]), table.c.id > "a"):
            for statement in (select(table), delete(table), update(table).values(x=1)):
                with pytest.raises(CompileError, match="collation"):
                    connection.execute(statement.where(condition))
        connection.execute(insert(table).execution_options(enforce_keys=False), {"id": "a"})
        connection.rollback()


def test_one_that_is_compared_by_a_function_is_taken(engine: Engine) -> None:
    table = Table("t", MetaData(), Column("id", String(collation="UTF8_BINARY")))
    table.create(engine)
    with engine.begin() as connection:
        connection.execute(insert(table), {"id": "A"})
        assert connection.scalars(select(table.c.id).where(func.lower(table.c.id) == "a")).all()


def test_a_computed_column(engine: Engine) -> None:
    table = Table(
        "t",
        MetaData(),
        Column("id", Integer, primary_key=True),
        Column("mail", String),
        Column("low", String, Computed("lower(mail)")),
        Column("gone", Integer),
    )
    Index("ux", table.c.low, unique=True, sqlite_where=table.c.gone == 0)
    table.create(engine)
    with engine.begin() as connection:
        connection.execute(
            insert(table),
            [{"id": 1, "mail": "A", "gone": 0}, {"id": 2, "mail": "a", "gone": 1}],
        )
    with pytest.raises(IntegrityError, match="ux"), engine.begin() as connection:
        connection.execute(insert(table), {"id": 3, "mail": "a", "gone": 0})
    with pytest.raises(IntegrityError, match="ux"), engine.begin() as connection:
        connection.execute(update(table).where(table.c.id == 2).values(gone=0))


# --- what cannot be checked -----------------------------------------------------------------------


def _name_of_ours(table: Table) -> None:
    table.append_column(Column("Vinci_key_0", Integer))
    _partial(table)


REFUSED: dict[str, Declare] = {
    "collation": lambda table: Index("ux", table.c.mail.collate("de_DE"), unique=True),
    "collation of a column": lambda table: table.append_column(
        Column("other", String(collation="UNICODE_CI"), unique=True)
    ),
    "on conflict": lambda table: table.append_constraint(
        UniqueConstraint("mail", name="ux", sqlite_on_conflict="REPLACE")
    ),
    "a name of ours": _name_of_ours,
    "the beginning": lambda table: Index("ux", table.c.mail, unique=True, mysql_length={"mail": 3}),
}


@pytest.mark.parametrize("declare", REFUSED.values(), ids=list(REFUSED))
def test_what_cannot_be_checked_is_refused_when_the_table_is_made(
    engine: Engine, local_warehouse: TestWarehouse, declare: Declare
) -> None:
    table = _table(declare)
    assert len(unchecked(table)) == 1
    assert [unique.name for unique in uniques(table)] == ["PRIMARY KEY"]
    with pytest.raises(CompileError, match=r"cannot be checked as it is meant(.|\n)*To fix it"):
        table.metadata.create_all(engine)
    assert not [sent for sent in local_warehouse.statements if "CREATE" in sent]
    # Somebody else may have made it.
    with engine.connect() as connection:
        with pytest.raises(DBAPIError) as refused:
            connection.execute(insert(table), {"id": 1})
        assert isinstance(refused.value.orig, NotSupportedError)
        connection.execute(insert(table).execution_options(enforce_keys=False), {"id": 1})
        connection.rollback()


@pytest.mark.parametrize("declare", REFUSED.values(), ids=list(REFUSED))
def test_what_is_declared_after_the_first_write_is_not_overlooked(declare: Declare) -> None:
    table = _table(lambda _: None)
    assert list(unchecked(table)) == []
    declare(table)
    assert len(unchecked(table)) == 1


def test_who_checks_nothing_may_make_any_table(connected: Callable[..., Engine]) -> None:
    engine = connected(enforce_keys=False)
    for declare in REFUSED.values():
        table = _table(declare)
        table.metadata.drop_all(engine)
        table.metadata.create_all(engine)
        assert inspect(engine).has_table("t")


def test_what_is_no_constraint_is_not_declared(
    engine: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    for declare, constraints in ((_partial, []), (_lower, []), (_descending, ["ux"])):
        table = _table(declare)
        with caplog.at_level(logging.INFO, "vinci_code"):
            table.metadata.create_all(engine)
        names = [item["name"] for item in inspect(engine).get_unique_constraints("t")]
        assert names == constraints
        [index] = table.indexes
        index.drop(engine)
        table.metadata.drop_all(engine)
    assert "unique index ux on t is not declared" in caplog.text


def test_one_that_is_made_later_is_checked_from_then_on(engine: Engine) -> None:
    table = _table(lambda table: None)
    table.metadata.create_all(engine)
    index = Index("ux", table.c.mail, unique=True, sqlite_where=table.c.gone == 0)
    index.create(engine)
    with engine.begin() as connection:
        connection.execute(insert(table), [_row("1", "a", "0"), _row("2", "a", "1")])
    with pytest.raises(IntegrityError, match="ux"), engine.begin() as connection:
        connection.execute(insert(table), _row("3", "a", "0"))


def test_an_expression_that_cannot_be_rendered_is_refused() -> None:
    table = _table(lambda table: Index("ux", table.c.mail.match("a"), unique=True))
    with pytest.raises(CompileError, match="full-text"):
        CreateTable(table).compile(dialect=VinciDialect())


def test_the_first_condition_that_is_given_counts() -> None:
    table = _table(lambda table: None)
    gone, kept = table.c.gone == 1, table.c.gone == 0
    Index("ux", table.c.mail, unique=True, postgresql_where=gone, sqlite_where=kept)
    Index("uy", table.c.mail, unique=True, postgresql_where=gone)
    found = {unique.name: unique.where for unique in uniques(table)}
    assert found["ux"] is kept
    assert found["uy"] is gone
