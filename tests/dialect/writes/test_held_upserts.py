"""upsert(): the same rows afterwards on SQLite and on the warehouse."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import given as for_any
from hypothesis import strategies as st
from sqlalchemy import (
    Boolean,
    Column,
    Computed,
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
    select,
)
from sqlalchemy.exc import ArgumentError, IntegrityError
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column
from sqlalchemy.types import TypeDecorator

from tests.dialect.held import first_words, rows_of, sending
from tests.dialect.sides import sides_of
from tests.full import part, some
from vinci_code.database import upsert
from vinci_code.warehouse import LocalWarehouse
from vinci_code.warehouse.pytest_plugin import TestWarehouse

pytestmark = part(3)


METADATA = MetaData()
ROW = Table(
    "row",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("a", Integer),
    Column("b", String, default="by default"),
    Column("u", Integer),
    Column("w", Integer),
    UniqueConstraint("u", "w"),
    Index("a_index", "a", unique=True),
)


class Base(DeclarativeBase):
    pass


class Setting(Base):
    __tablename__ = "setting"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column("setting_name", unique=True)
    value: Mapped[str | None]


class Sides:
    """The table on both."""

    def __init__(self, file: Engine, warehouse: Engine) -> None:
        self.file, self.warehouse = file, warehouse

    def run(self, there: list[dict[str, Any]], *units: Any) -> list[list[Any]]:
        """What the units say and leave on each side, SQLite first."""
        results: list[list[Any]] = []
        for engine in (self.file, self.warehouse):
            with engine.begin() as connection:
                connection.execute(delete(ROW))
                if there:
                    connection.execute(insert(ROW), there)
            said = [self._said(engine, unit) for unit in units]
            results.append([said, rows_of(engine, ROW)])
        return results

    @staticmethod
    def _said(engine: Engine, unit: Any) -> str:
        try:
            with engine.begin() as connection:
                connection.execute(unit)
        except IntegrityError:
            return "refused"
        return "committed"


@pytest.fixture
def sides(engine: Engine, tmp_path: Path) -> Iterator[Sides]:
    file = create_engine(f"sqlite:///{tmp_path / 'file.db'}")
    for side in (file, engine):
        METADATA.create_all(side)
    yield Sides(file, engine)
    file.dispose()


_IDS = st.integers(1, 4)
_FEW = st.none() | st.integers(1, 3)
_ROWS = st.fixed_dictionaries(
    {"id": _IDS, "a": st.none(), "b": st.sampled_from("xy"), "u": _FEW, "w": _FEW}
)
_THERE = st.lists(
    _ROWS, max_size=3, unique_by=(lambda row: row["id"], lambda row: (row["u"], row["w"]))
)
_KEYS = st.sampled_from([["id"], ["u", "w"]])


@settings(
    max_examples=some(40, few=15), suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@for_any(there=_THERE, rows=st.lists(_ROWS, min_size=1, max_size=5), keys=_KEYS, data=st.data())
def test_as_on_sqlite(
    sides: Sides,
    there: list[dict[str, Any]],
    rows: list[dict[str, Any]],
    keys: list[str],
    data: st.DataObject,
) -> None:
    others = [name for name in ("id", "b", "u", "w") if name not in keys]
    chosen = st.none() | st.lists(st.sampled_from(others), unique=True)
    unit = upsert(ROW, rows, keys=keys, update=data.draw(chosen))
    file, warehouse = sides.run(there, unit)
    if file[0] == ["committed"]:
        assert warehouse == file
    elif warehouse[0] == ["refused"]:
        assert warehouse[1] == file[1]
    else:
        # One row after the other collides where all at once do not; no key is there twice.
        found = warehouse[1]
        assert len({row[0] for row in found}) == len(found)
        pairs = [row[3:] for row in found if None not in row[3:]]
        assert len(set(pairs)) == len(pairs)


def _row(number: int, **values: Any) -> dict[str, Any]:
    return {"id": number, "u": number, "w": number, **values}


UNITS: dict[str, tuple[list[dict[str, Any]], Any]] = {
    "new": ([], upsert(ROW, [_row(1), _row(2)], keys=["id"])),
    "there": ([_row(1, b="old")], upsert(ROW, [_row(1, b="new")], keys=["id"])),
    "nothing is changed": (
        [_row(1, b="old")],
        upsert(ROW, [_row(1, b="new"), _row(2, b="x")], keys=["id"], update=[]),
    ),
    "twice in the batch": (
        [],
        upsert(ROW, [_row(1, b="x"), _row(1, b="y")], keys=["id"], update=["b"]),
    ),
    "another key is taken": (
        [_row(1), _row(2)],
        upsert(ROW, [{"id": 3, "u": 1, "w": 1}], keys=["id"]),
    ),
    "another key is taken by a change": (
        [_row(1), _row(2)],
        upsert(ROW, [{"id": 2, "u": 1, "w": 1}], keys=["id"]),
    ),
    "another key is taken by half": (
        [_row(1, w=5), _row(2, w=5)],
        upsert(ROW, [{"id": 2, "u": 1}], keys=["id"]),
    ),
    "the key of the row itself": (
        [_row(1, a=7)],
        upsert(ROW, [{"id": 9, "a": 7, "u": 1, "w": 1}], keys=["u", "w"], update=["id"]),
    ),
    "an index": (
        [_row(1, a=7)],
        upsert(ROW, [{"a": 7, "b": "new", "id": 5}], keys=["a"], update=["b"]),
    ),
    "NULL in the key": (
        [{"id": 1, "u": None, "w": 1}],
        upsert(ROW, [{"id": 2, "u": None, "w": 1}], keys=["u", "w"], update=[]),
    ),
}


@pytest.mark.parametrize("name", UNITS)
def test_cases_as_on_sqlite(name: str, sides: Sides) -> None:
    there, unit = UNITS[name]
    file, warehouse = sides.run(there, unit)
    assert warehouse == file


def test_one_statement_for_many(engine: Engine, local_warehouse: TestWarehouse) -> None:
    METADATA.create_all(engine, checkfirst=False)
    rows = [{"id": n, "b": str(n)} for n in range(2000)]
    with engine.begin() as connection:
        connection.execute(insert(ROW), rows[:1000])
    with sending(lambda: local_warehouse.statements) as sent, engine.begin() as connection:
        changed = [{**row, "b": "new"} for row in rows]
        connection.execute(upsert(ROW, changed, keys=["id"]))
        connection.execute(upsert(ROW, [{"id": 5, "b": "last"}], keys=["id"]))
    assert first_words(sent) == ["MERGE"]
    found = rows_of(engine, ROW)
    assert len(found) == 2000
    assert {row[2] for row in found} == {"new", "last"}
    assert found[5][2] == "last"


def test_between_other_writes(engine: Engine) -> None:
    METADATA.create_all(engine, checkfirst=False)
    with engine.begin() as connection:
        connection.execute(insert(ROW), {"id": 1, "b": "inserted"})
        connection.execute(upsert(ROW, [{"id": 1, "b": "x"}, {"id": 2, "b": "y"}], keys=["id"]))
        connection.execute(delete(ROW).where(ROW.c.id == 2))
        connection.execute(upsert(ROW, [{"id": 2, "b": "again"}], keys=["id"]))
        assert connection.scalar(select(ROW.c.b).where(ROW.c.id == 1)) == "x"
    assert [row[2] for row in rows_of(engine, ROW)] == ["x", "again"]


def test_models(engine: Engine) -> None:
    Base.metadata.create_all(engine, checkfirst=False)
    with Session(engine) as session:
        session.execute(upsert(Setting, [{"id": 1, "name": "a", "value": "1"}], keys=["name"]))
        rows = [{"name": "a", "value": "2"}, {"name": "b", "value": "3"}]
        result = session.execute(upsert(Setting, rows, keys=["name"]))
        assert result.rowcount == -1  # type: ignore[attr-defined]
        session.commit()
        found = session.scalars(select(Setting).order_by(Setting.name)).all()
        assert [(item.name, item.value) for item in found] == [("a", "2"), ("b", "3")]
        assert found[0].id == 1
        assert found[1].id > 1000


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"rows": [{"id": 1, "x": 2}], "keys": ["id"]}, "has no 'x'"),
        ({"rows": [{"b": "x"}], "keys": ["id"]}, "have no 'id', which is a key"),
        ({"rows": [{"id": 1}, {"id": 2, "b": "x"}], "keys": ["id"]}, "row 2 has 'b', 'id'"),
        ({"rows": [{"b": "x"}], "keys": ["b"]}, "nor declared unique"),
        ({"rows": [{"id": 1}], "keys": []}, "nor declared unique"),
        ({"rows": [{"id": 1}], "keys": ["id"], "update": ["id"]}, "cannot be updated"),
    ],
)
def test_what_is_refused(arguments: dict[str, Any], expected: str) -> None:
    with pytest.raises(ArgumentError, match=expected):
        upsert(ROW, **arguments)


LOGIN = Table(
    "login",
    MetaData(),
    Column("id", Integer, primary_key=True),
    Column("mail", String),
    Column("name", String),
    Column("nick", String),
    Column("active", Boolean),
    Column("full", String, Computed("name || nick")),
)
Index("live_mail", LOGIN.c.mail, unique=True, sqlite_where=LOGIN.c.active.is_(True))
Index("folded_name", func.lower(LOGIN.c.name), unique=True)
Index("newest_nick", LOGIN.c.nick.desc(), unique=True)


@pytest.mark.parametrize(
    ("keys", "update", "expected"),
    [
        (["mail"], None, "'mail' of login is neither"),
        (["name"], None, "'name' of login is neither"),
        (["id"], ["full"], "'full' is computed"),
    ],
)
def test_an_index_of_something_else_is_no_key(
    keys: list[str], update: list[str] | None, expected: str
) -> None:
    row = {"id": 1, "mail": "m", "name": "n", "nick": "k", "active": True}
    upsert(LOGIN, [row], keys=["nick"])
    with pytest.raises(ArgumentError, match=expected):
        upsert(LOGIN, [row], keys=keys, update=update)


NAMED = Table(
    "named",
    MetaData(),
    Column("Id", Integer, primary_key=True, key="ident"),
    Column("the_name", String, key="name"),
)


@pytest.mark.filterwarnings("error")
def test_columns_that_go_by_other_keys(engine: Engine, tmp_path: Path) -> None:
    with sides_of(engine, tmp_path, NAMED.metadata) as both:
        both.write(
            upsert(NAMED, [{"ident": 1, "name": "a"}, {"ident": 1, "name": "b"}], keys=["ident"])
        )
        assert both.rows(select(NAMED)) == [(1, "b")]


class Folded(TypeDecorator[str]):
    """A text that the database stores in small letters."""

    impl = String
    cache_ok = True

    def bind_expression(self, bindvalue: Any) -> Any:
        return func.lower(bindvalue)


FOLDED = Table(
    "folded",
    MetaData(),
    Column("id", Integer, primary_key=True),
    Column("u", Folded, unique=True),
    Column("n", Integer),
)


@pytest.mark.parametrize("there", [False, True])
def test_rows_that_are_one_only_as_they_are_stored(engine: Engine, there: bool) -> None:
    FOLDED.metadata.create_all(engine, checkfirst=False)
    first = [{"id": 1, "u": "R", "n": 1}] if there else []
    with engine.begin() as connection:
        connection.execute(upsert(FOLDED, first, keys=["u"]))
    two = [{"id": 2, "u": "r", "n": 2}, {"id": 3, "u": "R", "n": 3}]
    with pytest.raises(IntegrityError, match=r"\(r\) is that of several rows"), engine.begin() as c:
        c.execute(upsert(FOLDED, two, keys=["u"], update=["n"]))
    with engine.begin() as connection:
        connection.execute(upsert(FOLDED, two[:1], keys=["u"], update=["n"]))
    assert rows_of(engine, FOLDED) == [(1 if there else 2, "r", 2)]


def test_what_is_no_model() -> None:
    with pytest.raises(ArgumentError, match="mapped class"):
        upsert("row", [], keys=["id"])  # type: ignore[arg-type]


def test_another_database(local_warehouse_server: LocalWarehouse) -> None:
    del local_warehouse_server
    engine = create_engine("sqlite://")
    engine.dialect.name = "other"
    with pytest.raises(NotImplementedError, match="not other"), engine.connect() as connection:
        connection.execute(upsert(ROW, [{"id": 1}], keys=["id"]))
    engine.dispose()
