"""What can be read as Arrow, and on what: anything else is refused before it is executed."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import ArgumentError
from sqlalchemy.orm import Query, Session, scoped_session
from sqlalchemy.sql.dml import UpdateBase
from sqlalchemy.sql.elements import TextClause
from sqlalchemy.sql.selectable import SelectBase

from vinci_code.database.dialect.text.scanning import describe

Bind = Engine | Connection | Session


def checked_statement(statement: Any, wanted_by: str) -> SelectBase | TextClause:
    """A statement that reads.

    Raises:
        ArgumentError: It is none; nothing was executed.
    """
    if isinstance(statement, SelectBase):
        return statement
    if isinstance(statement, TextClause):
        traits = describe(statement.text)
        if traits.reads:
            return statement
        found, fix = f"text that begins with {traits.keyword or 'nothing'}", _EXECUTE
    elif isinstance(statement, UpdateBase):
        found, fix = f"{statement.__visit_name__.upper()}", _EXECUTE
    elif isinstance(statement, Query):
        found, fix = "a Query of the ORM", "pass query.statement"
    elif isinstance(statement, str):
        found, fix = "a str", "pass text(…) of it"
    else:
        found, fix = f"a {type(statement).__name__}", "pass select(…) of what it has"
    raise ArgumentError(
        f"{wanted_by} takes a SELECT or text() that reads, found {found}; nothing was executed\n"
        f"To fix it: {fix}."
    )


def checked_bind(bind: Any, wanted_by: str) -> Bind:
    """What a statement is read on.

    Raises:
        ArgumentError: It is for asyncio, or something else, or a database that is not known here.
    """
    if isinstance(bind, scoped_session):
        bind = bind()
    if isinstance(bind, Session):
        return bind
    if isinstance(bind, (Engine, Connection)):
        require_known(bind.dialect, wanted_by)
        return bind
    if type(bind).__module__.startswith("sqlalchemy.ext.asyncio"):
        raise ArgumentError(
            f"{wanted_by} takes an Engine, a Connection or a Session, found "
            f"{type(bind).__name__}, which is for asyncio; nothing was executed\n"
            "To fix it: await read_arrow_async(…), or run_sync() of a connection or a session."
        )
    raise ArgumentError(
        f"{wanted_by} takes an Engine, a Connection or a Session, found a {type(bind).__name__}; "
        "nothing was executed\nTo fix it: pass one of these first, and the statement second."
    )


def require_known(dialect: Any, wanted_by: str) -> None:
    """Refuse a database of which it is not known what its values are in Arrow.

    Raises:
        ArgumentError: It is one.
    """
    if dialect.name != "sqlite" and not hasattr(dialect, "held_by"):
        raise ArgumentError(
            f"{wanted_by} knows SQLite and databricks+vinci, found {dialect.name}+{dialect.driver}"
            "\nTo fix it: execute the statement, and make a table of its rows."
        )


_EXECUTE = "run it with execute(), which gives its rows where it has some"
