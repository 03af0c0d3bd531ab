"""Sessions with a fallback, for applications with an engine and models of their own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, MetaData
from sqlalchemy.exc import ArgumentError
from sqlalchemy.orm import Session, sessionmaker

from vinci_code.database.fallback.fallback import Fallback, ReadsOption
from vinci_code.database.fallback.replay import OnParked
from vinci_code.database.fallback.sessions import RoutedSession
from vinci_code.database.fallback.states import DatabaseState


class FallbackSessions(sessionmaker[Session]):
    """A ``sessionmaker`` whose sessions go on in a standby while the warehouse is away.

    Attributes:
        fallback: Where units go and what waits; ``None`` on a database that needs no fallback.
    """

    fallback: Fallback | None = None

    def state(self) -> DatabaseState:
        """Where units of work go now, and what has not arrived yet; asks nobody.

        Raises:
            FallbackFileError: The file of the fallback cannot be read.
        """
        return DatabaseState("sqlite") if self.fallback is None else self.fallback.state()

    def dispose(self) -> None:
        """Close what the fallback has open; the engine is its owner's."""
        if self.fallback is not None:
            self.fallback.dispose()


def with_fallback(
    engine: Engine,
    *,
    file: str | Path,
    metadata: MetaData,
    reads: ReadsOption = "mirrored",
    create_tables: Callable[[Engine], object] | None = None,
    check: Callable[[Engine], object] | None = None,
    on_parked: OnParked | None = None,
    class_: type[Session] = Session,
    **options: Any,
) -> FallbackSessions:
    """Make a ``sessionmaker`` whose sessions go on locally while the warehouse is away.

    ::

        Session = with_fallback(engine, file="orders-fallback.db", metadata=Base.metadata)

        with Session.begin() as session:
            session.add(Order(item="lamp"))

        Session.state().waiting

    Nothing is asked of the warehouse by the call. Once for each engine and process: what it returns
    is used for all sessions.

    Args:
        engine: The engine of the warehouse, of ``databricks+vinci``; with one of SQLite, sessions
            are what they are without a fallback.
        file: The SQLite file of journal and standby, on a disk that stays; its folder is there.
        metadata: The tables of the application.
        reads: What is answered for while the warehouse is away: tables that were ``mirrored``,
            ``always`` everything that is here, ``never`` anything.
        create_tables: Makes the tables in the standby with the engine that it is given, or changes
            those of an earlier release, as by Alembic; by default ``metadata.create_all``, which
            changes none that is there.
        check: Makes sure, with the engine and before anything is sent, that the warehouse is as the
            application needs it: that its migrations are applied. What it raises is raised by the
            unit of work.
        on_parked: Is called with each unit that cannot arrive, and why.
        class_: The class of the sessions.
        **options: What ``sessionmaker`` takes.

    Raises:
        ArgumentError: The engine is one for which nothing can be kept.
        FallbackFileError: The file cannot be used.
    """
    if engine.dialect.name == "sqlite":
        return FallbackSessions(bind=engine, class_=class_, **options)
    _require_fit(engine)
    fallback = Fallback(
        engine,
        Path(file),
        metadata,
        create_tables=create_tables,
        reads=reads,
        on_parked=on_parked,
        check=check,
    )
    made = FallbackSessions(
        bind=engine, class_=routed(class_), fallback=lambda: fallback, **options
    )
    made.fallback = fallback
    return made


def routed(class_: type[Session]) -> type[RoutedSession]:
    """A class of sessions like another one, whose units of work are routed; for each one class."""
    made = _routed.get(class_)
    if made is None:
        made = _routed.setdefault(class_, type(class_.__name__, (RoutedSession, class_), {}))
    return made


_routed: dict[type[Session], type[RoutedSession]] = {}


def _require_fit(engine: Engine) -> None:
    dialect: Any = engine.dialect
    wrong = None
    if (dialect.name, dialect.driver) != ("databricks", "vinci"):
        wrong = f"an engine of databricks+vinci is wanted, found one of {dialect.name}"
    elif dialect.atomicity == "per_table":
        wrong = (
            "atomicity='per_table' writes a unit of work in parts, and what is kept arrives as a "
            "whole; use atomicity='unit'"
        )
    elif _is_in_autocommit(engine):
        wrong = (
            "the engine is in AUTOCOMMIT, where each statement is sent as it runs, so that there "
            "is no unit of work that could be kept; use it without isolation_level='AUTOCOMMIT'"
        )
    elif dialect.unsent is not None:
        wrong = "the engine has a fallback already; use that one, or dispose() of it first"
    if wrong:
        raise ArgumentError(f"no fallback can be made: {wrong}")


def _is_in_autocommit(engine: Engine) -> bool:
    asked = engine.get_execution_options().get("isolation_level")
    return "AUTOCOMMIT" in (asked, getattr(engine.dialect, "_on_connect_isolation_level", None))
