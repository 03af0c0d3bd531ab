"""Held writes as a document, and again: what is sent of them is the same, byte by byte."""

from __future__ import annotations

import datetime as dt
import json
import math
import random
import uuid
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Date,
    DateTime,
    Engine,
    Enum,
    Float,
    ForeignKey,
    Integer,
    Interval,
    LargeBinary,
    MetaData,
    Numeric,
    String,
    Table,
    Time,
    Uuid,
    delete,
    func,
    insert,
    select,
    text,
    update,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from tests.fallback.documents import Write, held_of, sent_of, unit_of
from tests.full import part
from vinci_code.core.errors import DocumentError, UnknownTableError, VinciError
from vinci_code.database import upsert
from vinci_code.database.dialect.dberrors import DataError, NotSupportedError
from vinci_code.database.dialect.units.held import Held, HeldRows, joined
from vinci_code.database.dialect.writes.sets import Checks
from vinci_code.database.fallback.coding import FORMAT, decode, encode

pytestmark = part(3)


class Base(DeclarativeBase):
    pass


class Account(Base):
    __tablename__ = "account"
    id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    balance: Mapped[int]
    note: Mapped[str | None] = mapped_column(String)
    ratio: Mapped[float | None]


class Counted(Base):
    __tablename__ = "counted"
    id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    n: Mapped[int]
    version: Mapped[int] = mapped_column()
    __mapper_args__ = {"version_id_col": version}


METADATA = Base.metadata
WIDE = Table(
    "wide",
    METADATA,
    Column("id", BigInteger, primary_key=True, autoincrement=False),
    Column("yes", Boolean),
    Column("ratio", Float),
    Column("amount", Numeric(12, 2)),
    Column("exact", Numeric),
    Column("name", String),
    Column("data", LargeBinary),
    Column("day", Date),
    Column("at", DateTime),
    Column("moment", DateTime(timezone=True)),
    Column("time", Time),
    Column("span", Interval),
    Column("uid", Uuid),
    Column("kind", Enum("a", "b", name="kind")),
    Column("doc", JSON),
)
PAIR = Table(
    "pair",
    METADATA,
    Column("one", Integer, primary_key=True),
    Column("two", String, primary_key=True),
    Column("n", Integer),
    Column("mail", String, unique=True),
)
CHILD = Table(
    "child",
    METADATA,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("parent", ForeignKey("child.id")),
    Column("account", ForeignKey("account.id")),
)
BARE = Table("bare", METADATA, Column("line", String), Column("n", Integer, server_default="7"))
LOOSE = Table("loose", METADATA, Column("id", Integer, primary_key=True), Column("v"))

_VALUES: list[dict[str, Any]] = [
    {"id": 1},
    {
        "id": 2,
        "yes": True,
        "ratio": math.nan,
        "amount": Decimal("12.5"),
        "exact": Decimal("1E-10"),
        "name": "é\0'\"\\",
        "data": b"\x00\xff",
        "day": dt.date(2024, 2, 29),
        "at": dt.datetime(2024, 1, 1, 1, 2, 3, 4),
        "moment": dt.datetime(2024, 1, 1, tzinfo=dt.timezone(dt.timedelta(hours=2))),
        "time": dt.time(1, 2, 3, 4),
        "span": dt.timedelta(days=-1, microseconds=5),
        "uid": uuid.UUID(int=5),
        "kind": "b",
        "doc": {"a": [1, None]},
    },
]


def _doing(*statements: Any) -> list[Write]:
    def of(statement: Any) -> Write:
        if isinstance(statement, tuple):
            return lambda connection: connection.execute(statement[0], statement[1])
        return lambda connection: connection.execute(statement)

    return [of(statement) for statement in statements]


_FULL = [{**dict.fromkeys(WIDE.columns.keys()), **row} for row in _VALUES]
_FORMS: dict[str, list[Write]] = {
    "every type": _doing((insert(WIDE), _FULL)),
    "every type, some given": _doing(*(insert(WIDE).values(row) for row in _VALUES)),
    "every type changed": _doing(
        *(
            update(WIDE).where(WIDE.c.id == 1).values({name: value})
            for name, value in _VALUES[1].items()
            if name != "id"
        )
    ),
    "every type deleted by": _doing(
        *(
            delete(WIDE).where(WIDE.c.id == 1, WIDE.c[name] == value)
            for name, value in _VALUES[1].items()
            if name not in {"id", "doc"}
        )
    ),
    "made keys": _doing((insert(Account), [{"balance": 1}, {"balance": 2}])),
    "rows of one statement": _doing(insert(PAIR).values([(1, "a", 1, "m"), (2, "b", 2, None)])),
    "composite keys": _doing(
        insert(PAIR).values(one=1, two="x", n=1, mail="m"),
        update(PAIR).where(PAIR.c.one == 1, PAIR.c.two == "x").values(n=2),
        delete(PAIR).where(PAIR.c.two == "y", PAIR.c.one == 1),
    ),
    "changed keys": _doing(
        update(PAIR).where(PAIR.c.one == 1, PAIR.c.two == "x").values(two="z", mail="k")
    ),
    "expressions": _doing(
        insert(PAIR).values(one=1, two=func.upper("x"), n=func.abs(-3)),
        update(PAIR).where(PAIR.c.one == 1, PAIR.c.two == "x").values(n=PAIR.c.n + 1),
        update(PAIR).where(PAIR.c.one == 1, PAIR.c.two == "x").values(two=func.lower(PAIR.c.two)),
    ),
    "conditions": _doing(
        update(PAIR).where(PAIR.c.n > 5).values(mail=func.concat(PAIR.c.mail, "x")),
        delete(PAIR).where(PAIR.c.n.in_([1, 2, 3])),
        update(WIDE).where(WIDE.c.moment < _VALUES[1]["moment"]).values(amount=Decimal("1.10")),
    ),
    "select": _doing(
        insert(BARE).from_select(["line"], select(PAIR.c.mail).where(PAIR.c.n == 7)),
        insert(Account).from_select(["balance"], select(PAIR.c.n)),
        insert(BARE).values(line="x", n=select(func.max(PAIR.c.n)).scalar_subquery()),
    ),
    "upserts": _doing(
        upsert(
            PAIR,
            [{"one": 1, "two": "a", "n": 1}, {"one": 1, "two": "a", "n": 2}],
            keys=["one", "two"],
        ),
        upsert(PAIR, [{"one": 1, "two": "a", "mail": "x"}], keys=["mail"], update=["n"]),
        upsert(WIDE, [{"id": 1, "name": "x"}], keys=["id"], update=[]),
    ),
    "raw text": _doing(
        text("INSERT INTO bare VALUES ('x', 1)"),
        (text("UPDATE bare SET n = :n WHERE line = :line"), {"n": 2**40, "line": "é"}),
    ),
    "no key": _doing((insert(BARE), [{"line": None}, {"line": "x"}]), delete(BARE)),
    "defaults alone": _doing(insert(BARE), insert(BARE)),
    "values of no known type": _doing(
        (insert(LOOSE), [{"id": 1, "v": 1}, {"id": 2, "v": "x"}, {"id": 3, "v": Decimal("1.5")}]),
        (insert(LOOSE), [{"id": 4, "v": [1, 2]}, {"id": 5, "v": dt.timedelta(1)}]),
        update(LOOSE).where(LOOSE.c.id == 1).values(v=dt.datetime(2024, 1, 1)),
    ),
    "rows that refer to each other": _doing(
        insert(CHILD).values([(2, 1, None), (1, None, None)]),
        (insert(CHILD), [{"id": 3, "parent": 1}, {"id": 4, "parent": 3}]),
        update(CHILD).where(CHILD.c.id == 3).values(parent=2),
        delete(CHILD).where(CHILD.c.id == 1),
        upsert(CHILD, [{"id": 5, "parent": None}, {"id": 6, "parent": 5}], keys=["id"]),
    ),
}


def _tables() -> dict[str, Table]:
    return dict(METADATA.tables)


def _check(held: list[Held], engine: Engine) -> list[Held]:
    assert held
    document = encode(held)
    assert encode(held) == document
    back = decode(document, _tables())
    for bound in (True, False):
        assert sent_of(back, engine, bound=bound) == sent_of(held, engine, bound=bound)
    for one, other in zip(held, back, strict=True):
        assert type(one) is type(other)
        assert one.tables == other.tables
        if isinstance(one, HeldRows) and isinstance(other, HeldRows):
            assert other.signature == one.signature
            assert other.shape.table is one.shape.table
            assert other.shape.key == one.shape.key
            assert repr(list(map(tuple, other.rows))) == repr(list(map(tuple, one.rows)))
        else:
            # From which keys it takes the proof, and what it leaves of its table, counts when it is
            # executed, not when it is sent.
            own = {"parameters": None, "sets": None, "after": None}
            assert {**vars(other), **own} == {**vars(one), **own}
    # Documents of one form are joined as the units would have been.
    again = decode(document, _tables())
    assert sent_of([*back, *again], engine) == sent_of([*held, *held], engine)
    return back


@pytest.mark.parametrize("form", _FORMS)
@pytest.mark.parametrize("checks", ["as they are", "foreign keys", "none"])
def test_each_form_is_sent_as_before(form: str, checks: str, engine: Engine) -> None:
    options = {
        "as they are": {},
        "foreign keys": {"enforce_foreign_keys": True},
        "none": {"enforce_keys": False},
    }[checks]
    _check(held_of(engine.execution_options(**options), *_FORMS[form]), engine)


def test_tables_of_other_schemas(engine: Engine) -> None:
    moved = engine.execution_options(schema_translate_map={None: "elsewhere"})
    held = held_of(moved, *_FORMS["composite keys"], *_FORMS["conditions"])
    back = _check(held, engine)
    assert {w.shape.target for w in back if isinstance(w, HeldRows)} == {"elsewhere.pair"}
    rows = held_of(moved, *_doing(*(insert(BARE).values(line=str(n)) for n in range(9))))
    # Each execution had a shape of its own.
    assert len({w.shape for w in rows if isinstance(w, HeldRows)}) == 9
    assert len({w.shape for w in decode(encode(rows), _tables()) if isinstance(w, HeldRows)}) == 1


def test_a_flush_with_what_was_loaded(engine: Engine) -> None:
    tables = [METADATA.tables[name] for name in ("account", "counted")]
    METADATA.create_all(engine, tables=tables, checkfirst=False)
    with Session(engine) as session:
        session.add_all(
            [Account(id=1, balance=1, note="x" * 500, ratio=math.nan), Account(id=2, balance=2)]
        )
        session.add_all([Counted(id=1, n=1), Counted(id=2, n=2)])
        session.commit()
        first, second = session.get_one(Account, 1), session.get_one(Account, 2)
        one, other = session.get_one(Counted, 1), session.get_one(Counted, 2)
        first.balance, first.note, first.ratio = 5, "y" * 300, 1.5
        second.note = "z"
        one.n = 7
        session.delete(other)
        session.add_all([Account(balance=3), Counted(n=3)])
        session.flush()
        second.balance = Account.balance + 1
        session.flush()
        session.delete(first)
        session.flush()
        held = list(unit_of(session.connection()).held)
        back = _check(held, engine)
        assert any(isinstance(w, HeldRows) and w.shape.loaded for w in back)
        assert any(isinstance(w, HeldRows) and w.checks.matched for w in back)
        session.rollback()


def test_the_rows_of_a_key_that_was_made_are_noted(engine: Engine) -> None:
    held = held_of(engine, *_FORMS["made keys"], *_doing(insert(Account).values(id=5, balance=1)))
    made, given = decode(encode(held), _tables())
    assert isinstance(made, HeldRows)
    assert isinstance(given, HeldRows)
    assert made.made == {row[made.shape.key[0]] for row in made.rows if made.shape.key}
    assert not given.made


def test_constraints_and_keys_are_those_of_who_reads(engine: Engine) -> None:
    held = held_of(engine, *_doing(insert(BARE).values(line="x")))
    declared = Table(
        "bare", MetaData(), Column("line", String, primary_key=True), Column("n", Integer)
    )
    (back,) = decode(encode(held), {"bare": declared})
    assert isinstance(back, HeldRows)
    assert back.shape.table is declared
    assert back.shape.key == (0,)
    assert "PRIMARY KEY" in sent_of([back], engine)[0][0]
    assert "PRIMARY KEY" not in sent_of(held, engine)[0][0]


def test_what_is_not_known_is_named(engine: Engine) -> None:
    document = encode(held_of(engine, *_FORMS["composite keys"]))
    with pytest.raises(UnknownTableError, match="the table pair") as caught:
        decode(document, {})
    assert (caught.value.table, caught.value.column) == ("pair", None)
    less = Table(
        "pair", MetaData(), *(Column(n, Integer, primary_key=True) for n in ("one", "two"))
    )
    with pytest.raises(UnknownTableError, match="the column n of the table pair"):
        decode(document, {"pair": less})
    whole = [Column("one", Integer), Column("two", Integer), Column("n", Integer)]
    other = Table("pair", MetaData(), *whole, schema="far")
    with pytest.raises(UnknownTableError, match="the table pair") as caught:
        decode(document, {"pair": other})
    assert (caught.value.table, caught.value.column) == ("pair", None)


def test_half_of_a_character_is_refused(engine: Engine) -> None:
    for write in (insert(BARE).values(line="ok"), text("INSERT INTO bare VALUES ('x', 1)")):
        (held,) = held_of(engine, *_doing(write))
        if isinstance(held, HeldRows):
            held.rows.append(("half \ud800",))
        else:
            held.parameters = ("half \ud800",)
        with pytest.raises(DataError, match="half of a surrogate pair"):
            encode([held])


def test_a_value_of_another_type_is_refused(engine: Engine) -> None:
    (held,) = held_of(engine, *_doing(text("INSERT INTO bare VALUES ('x', 1)")))
    held.parameters = (object(),)  # type: ignore[union-attr]
    with pytest.raises(NotSupportedError, match=r"while the warehouse is away.*builtins\.object"):
        encode([held])


def test_a_document_of_a_later_release_is_refused_by_name(engine: Engine) -> None:
    document = json.loads(encode(held_of(engine, *_FORMS["no key"])))
    for found in (FORMAT + 1, 0, "1", None, 1.0):
        document["format"] = found
        with pytest.raises(DocumentError, match=f"its format is {found!r}"):
            decode(json.dumps(document).encode(), _tables())


def test_a_damaged_document_is_reported_and_nothing_else(engine: Engine) -> None:
    whole = encode(
        held_of(engine, *_FORMS["every type"], *_FORMS["upserts"], *_FORMS["conditions"])
    )
    for end in range(0, len(whole), 7):
        with pytest.raises(DocumentError):
            decode(whole[:end], _tables())
    chance = random.Random(7)
    for _ in range(3000):
        flipped = bytearray(whole)
        for _ in range(chance.choice([1, 1, 3])):
            flipped[chance.randrange(len(flipped))] = chance.choice(b'"0[]{},:aZ\\ \xff')
        try:
            decode(bytes(flipped), _tables())
        except VinciError:
            continue
    for other in (
        b"",
        b"null",
        b"[]",
        b"{}",
        b'{"format":1}',
        b'{"format":1,"shapes":5,"writes":7}',
    ):
        with pytest.raises(DocumentError):
            decode(other, _tables())


def test_rows_that_are_joined_are_kept_as_they_are(engine: Engine) -> None:
    held = held_of(engine, *_FORMS["composite keys"], *_FORMS["every type"])
    assert sent_of(decode(encode(joined(held)), _tables()), engine) == sent_of(held, engine)


def test_many_rows(engine: Engine) -> None:
    (held,) = held_of(engine, *_doing((insert(WIDE), _FULL)))
    assert isinstance(held, HeldRows)
    many = HeldRows(held.shape, held.rows * 20_000, Checks(keys=False))
    (back,) = decode(encode([many]), _tables())
    assert repr(back.rows[-2:]) == repr(many.rows[-2:])  # type: ignore[union-attr]
    assert len(back) == 40_000
