"""With ``hide_keys``, no error says which key it is about; without, each does."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import (
    Column,
    Engine,
    ForeignKey,
    Integer,
    MetaData,
    String,
    Table,
    bindparam,
    delete,
    func,
    insert,
    select,
    update,
)
from sqlalchemy.exc import IntegrityError, OperationalError
from sqlalchemy.orm import Session, registry
from sqlalchemy.orm.exc import StaleDataError

from tests.full import part
from vinci_code.database.dialect.dberrors import ConflictError
from vinci_code.database.upserts import upsert

pytestmark = part(3)

KEY = "Hidden-4711"
METADATA = MetaData()
PARENT = Table(
    "parent",
    METADATA,
    Column("code", String, primary_key=True),
    Column("name", String, unique=True),
    Column("above", String, ForeignKey("parent.code")),
)
CHILD = Table(
    "child",
    METADATA,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("parent_code", String, ForeignKey(PARENT.c.code)),
)
LINK = Table("link", METADATA, Column("left", String), Column("right", String))
_BY_CODE = update(PARENT).where(PARENT.c.code == bindparam("which"))


class Parent:
    """A row of ``PARENT`` as an object."""


class Link:
    """A row of ``LINK`` as an object; nothing but the mapper says that its columns are a key."""


registry().map_imperatively(Parent, PARENT)
registry().map_imperatively(Link, LINK, primary_key=[LINK.c.left, LINK.c.right])


def _stored(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(insert(PARENT), [{"code": KEY, "name": KEY}, {"code": "b", "name": "b"}])
    with engine.begin() as connection:
        connection.execute(insert(CHILD), [{"id": 1, "parent_code": KEY}])


def _run(*statements: Any) -> Callable[[Engine], None]:
    def run(engine: Engine) -> None:
        with engine.begin() as connection:
            for statement in statements:
                given = statement if isinstance(statement, tuple) else (statement,)
                connection.execute(*given)

    return run


def _savepoint(engine: Engine) -> None:
    with engine.connect() as connection, connection.begin_nested():
        connection.execute(insert(PARENT), [{"code": KEY}])


def _flush(change: Callable[[Any], None]) -> Callable[[Engine], None]:
    def run(engine: Engine) -> None:
        with Session(engine) as session:
            changed = session.get_one(Parent, KEY)
            change(changed)
            _meanwhile(engine, delete(CHILD), delete(PARENT).where(PARENT.c.code == KEY))
            session.commit()

    return run


def _renamed(parent: Any) -> None:
    parent.name = "another"


def _object_to_a_taken_name(engine: Engine) -> None:
    with Session(engine) as session:
        session.get_one(Parent, "b").name = KEY  # type: ignore[attr-defined]
        session.commit()


def _link_that_is_there_twice(engine: Engine) -> None:
    _meanwhile(engine, (insert(LINK), [{"left": KEY, "right": "x"}]))
    with Session(engine) as session:
        link = session.scalars(select(Link)).one()
        _meanwhile(engine, (insert(LINK), [{"left": KEY, "right": "x"}]))
        session.delete(link)
        session.commit()


def _locked(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(select(PARENT).where(PARENT.c.code == KEY).with_for_update()).all()
        _meanwhile(engine, update(PARENT).where(PARENT.c.code == KEY).values(name="another"))
        connection.execute(insert(LINK), [{"left": "a", "right": "b"}])


def _meanwhile(engine: Engine, *statements: Any) -> None:
    """Somebody else's unit of work."""
    with engine.connect() as other:
        for statement in statements:
            other.execute(*(statement if isinstance(statement, tuple) else (statement,)))
            other.commit()


SCENARIOS: dict[str, Callable[[Engine], None]] = {
    "twice in a statement": _run(
        (insert(PARENT), [{"code": code, "name": KEY + "2"} for code in "xy"])
    ),
    "twice in a unit": _run(
        (insert(PARENT), [{"code": KEY + "2"}]),
        (insert(PARENT), [{"code": KEY + "2", "name": "z"}]),
    ),
    "there already": _run((insert(PARENT), [{"code": KEY}])),
    "unique and there already": _run((insert(PARENT), [{"code": "c", "name": KEY}])),
    "by an expression": _run(insert(PARENT).values(code="c", name=func.concat("Hidden", "-4711"))),
    "computed twice": _run(
        insert(PARENT).values(code="c", name=func.concat(KEY, "2")),
        insert(PARENT).values(code="d", name=func.concat(KEY, "2")),
    ),
    "changed to a key that is there": _run(
        (_BY_CODE.values(name=bindparam("to")), [{"which": "b", "to": KEY}])
    ),
    "changed by a condition": _run(update(PARENT).where(PARENT.c.name == "b").values(name=KEY)),
    "rows of a query": _run(
        insert(PARENT).from_select(["code"], select(PARENT.c.code).where(PARENT.c.code == KEY))
    ),
    "upsert": _run(upsert(PARENT, [{"code": "c", "name": KEY}], keys=["code"])),
    "an object": _object_to_a_taken_name,
    "a savepoint": _savepoint,
    "several writes in one statement": _run(
        (insert(PARENT), [{"code": "c", "name": KEY + "2"}]),
        update(PARENT).where(PARENT.c.name == "b").values(name=KEY + "2"),
    ),
    "refers to nothing": _run((insert(CHILD), [{"id": 2, "parent_code": KEY + "2"}])),
    "refers to nothing, computed": _run(
        insert(CHILD).values(id=2, parent_code=func.concat(KEY, "2"))
    ),
    "refers to what comes later": _run(
        (
            insert(PARENT),
            [{"code": "y", "above": KEY + "2"}, {"code": KEY + "2", "above": None}],
        )
    ),
    "key that is referred to changed": _run(
        (_BY_CODE.values(code=bindparam("to")), [{"which": KEY, "to": "c"}])
    ),
    "what is referred to deleted": _run(delete(PARENT).where(PARENT.c.code == KEY)),
    "an object that is gone": _flush(_renamed),
    "a link that is there twice": _link_that_is_there_twice,
    "a row that was locked": _locked,
}

ERRORS = (IntegrityError, StaleDataError, OperationalError)


@pytest.mark.parametrize("name", SCENARIOS)
def test_no_error_names_the_key_if_that_is_hidden(
    name: str, connected: Callable[..., Engine], caplog: pytest.LogCaptureFixture
) -> None:
    said = {}
    for hide_keys in (False, True):
        engine = connected(
            hide_keys=hide_keys,
            hide_parameters=True,
            enforce_foreign_keys="refer" in name,
            transactions="off",
        )
        METADATA.drop_all(engine)
        METADATA.create_all(engine)
        _stored(engine)
        caplog.clear()
        with caplog.at_level(logging.DEBUG), pytest.raises(ERRORS) as caught:
            SCENARIOS[name](engine)
        # The driver's "unsafe" logger goes nowhere; pytest listens to it all the same.
        logged = [r.getMessage() for r in caplog.records if r.name != "databricks.sql.unsafe"]
        said[hide_keys] = "\n".join([*traceback.format_exception(caught.value), *logged])
        if isinstance(caught.value, OperationalError):
            assert isinstance(caught.value.orig, ConflictError)
    assert KEY in said[False]
    assert KEY not in said[True]
    assert any(
        told in said[True] for told in ("the key is ", "the key, ", "the row is ", " one was ")
    )
