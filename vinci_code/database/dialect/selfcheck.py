"""Checks, once and without a request, that SQLAlchemy is as this dialect takes it to be.

What a write does is known from parts of SQLAlchemy that are not public. A release that changes them
must be an error when an engine is made, and not a loss of guards when rows are written.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy
from sqlalchemy.exc import InvalidRequestError

from vinci_code.database.dialect.borrowed import missing, of_sqlalchemy
from vinci_code.database.dialect.units import flushes, loaded

_TO_DO = (
    "this release of SQLAlchemy ({0}) is not as this dialect takes it to be: {1}. Rows could be "
    "written without their checks, so no engine is made. To fix it: install a release of "
    "vinci-code that names this one, or an older SQLAlchemy."
)


_checked = False


def check(dialect: Any) -> None:
    """Check it, the first time in a process.

    Raises:
        InvalidRequestError: It is not.
    """
    global _checked
    if not _checked:
        _check_names()
        _check_shapes(dialect)
        _check_flush()
        _checked = True


def _check_names() -> None:
    lacks = missing(*of_sqlalchemy(sqlalchemy.__version__))
    if lacks:
        raise _changed(f"it lacks {', '.join(lacks)}")


def _check_shapes(dialect: Any) -> None:
    from sqlalchemy import Column, Integer, MetaData, Table, bindparam, delete, insert, update

    table = Table(
        "checked", MetaData(), Column("id", Integer, primary_key=True), Column("x", Integer)
    )
    by_key = table.c.id == bindparam("key")
    statements = {
        "INSERT": insert(table).values(id=1, x=1),
        "UPDATE": update(table).where(by_key).values(x=1),
        "DELETE": delete(table).where(by_key),
    }
    for word, statement in statements.items():
        compiled: Any = statement.compile(dialect=dialect)
        if compiled.shape is None:
            raise _changed(f"what a plain {word} writes is not told any more")


def _check_flush() -> None:
    """Flush an object to a database in memory, and look whether that is seen."""
    from sqlalchemy import Column, Float, Integer, create_engine, event
    from sqlalchemy.orm import Session, registry
    from sqlalchemy.orm.attributes import flag_modified
    from sqlalchemy.pool import StaticPool

    mapped = registry()
    table = sqlalchemy.Table(
        "checked", mapped.metadata, Column("id", Integer, primary_key=True), Column("x", Float)
    )
    checked: Any = type("Checked", (), {})
    mapped.map_imperatively(checked, table)
    engine = create_engine("sqlite://", poolclass=StaticPool)
    mapped.metadata.create_all(engine)
    seen: list[bool] = []
    written: list[Any] = []

    @event.listens_for(engine, "before_cursor_execute")
    def _see(*arguments: Any) -> None:
        context = arguments[4]
        if context.isinsert or context.isupdate or context.isdelete:
            seen.append(flushes.is_flush(context.execution_options) and flushes.is_running())
        if context.isupdate:
            written.append(context.compiled_parameters[0]["x"])

    try:
        with Session(engine) as session:
            one = checked()
            one.id = 1
            session.add(one)
            session.flush()
            one.x = 2
            session.flush()
            session.refresh(one)
            # By its very value an UPDATE is known to be one of the object.
            one.x = value = float("1.5")
            flag_modified(one, "x")
            kept = loaded.loaded_of(sqlalchemy.inspect(one))
            session.flush()
            session.delete(one)
            session.flush()
    finally:
        engine.dispose()
        mapped.dispose()
    if seen != [True] * 4:
        raise _changed("a flush of the ORM is not recognised any more")
    if kept != {"x": 2} or written[-1] is not value:
        raise _changed("what an object was loaded with is not told any more")


def _changed(what: str) -> InvalidRequestError:
    return InvalidRequestError(_TO_DO.format(sqlalchemy.__version__, what))
