"""What is wrong, and not away, is an error at once: it is never hidden by going on locally."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import URL, Engine, String, create_engine, select, text, update
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from tests.fallback.circle import Circle, circle
from tests.patience import soon
from vinci_code.database.dialect.driver import dbapi
from vinci_code.warehouse import Fault
from vinci_code.warehouse.pytest_plugin import TestWarehouse


class Base(DeclarativeBase):
    pass


class Note(Base):
    __tablename__ = "notes"
    id: Mapped[int] = mapped_column(primary_key=True)
    text: Mapped[str] = mapped_column(String(50))


class Missing(Base):
    """A table that nobody has made on the warehouse."""

    __tablename__ = "missing"
    id: Mapped[int] = mapped_column(primary_key=True)


def _reading(session: Session) -> None:
    session.scalars(select(Note)).all()


def _writing(session: Session) -> None:
    session.add(Note(text="new"))
    session.commit()


def _changing(session: Session) -> None:
    session.execute(update(Note).values(text="other"))
    session.commit()


WORKS = (_reading, _writing, _changing)


@pytest.fixture
def made(
    local_warehouse: TestWarehouse, connected: Callable[..., Engine], tmp_path: Path
) -> Iterator[Circle]:
    with circle(local_warehouse, connected(), tmp_path / "standby.db", Base.metadata) as found:
        with found.online.begin() as connection:
            Base.metadata.drop_all(connection, tables=[Base.metadata.tables["missing"]])
        yield found


def _engine(of: TestWarehouse, token: str, path: str) -> Engine:
    warehouse = of.warehouse
    url = URL.create(
        "databricks+vinci",
        host=warehouse.host,
        port=warehouse.port,
        query={"http_path": path, "catalog": of.catalog, "schema": of.schema},
    )
    arguments = {"access_token": token, "_tls_trusted_ca_file": str(warehouse.ca_file)}
    return create_engine(url, connect_args=arguments)


def _require_error(made: Circle, work: Callable[[Session], None], error: Any = DBAPIError) -> Any:
    """The error of a unit of work, which comes soon, and after which nothing is kept."""
    with soon(), made.session() as session:
        with pytest.raises(error) as raised:
            work(session)
        session.rollback()
        assert "standby" not in session.info
    state = made.fallback.state()
    assert (state.state, state.goes_to, made.units()) == ("online", "databricks", [])
    return raised.value.orig


@pytest.mark.parametrize("work", WORKS)
@pytest.mark.parametrize("wrong", ["token", "path"])
def test_a_wrong_configuration_is_an_error(
    made: Circle, wrong: str, work: Callable[[Session], None], tmp_path: Path
) -> None:
    warehouse = made.of.warehouse
    token = "dapi" + "0" * 32 if wrong == "token" else warehouse.access_token
    path = "/sql/1.0/warehouses/0123456789abcdef" if wrong == "path" else warehouse.http_path
    engine = _engine(made.of, token, path)
    try:
        made.fallback.dispose()
        other = Circle(
            made.of, engine, type(made.fallback)(engine, tmp_path / "o.db", Base.metadata)
        )
        try:
            found = _require_error(other, work)
            assert isinstance(found, dbapi.Error)
        finally:
            other.fallback.dispose()
    finally:
        engine.dispose()


@pytest.mark.parametrize("work", WORKS)
@pytest.mark.parametrize("status", [400, 401, 403, 404])
def test_what_the_workspace_refuses_is_an_error(
    made: Circle, status: int, work: Callable[[Session], None]
) -> None:
    """Of a session that is open, and of one that is to be opened."""
    made.run(lambda session: session.scalars(select(Note)).all())
    made.of.inject(Fault.http(status, operation="ExecuteStatement", times=1000))
    _require_error(made, work)
    made.of.warehouse.faults.clear()
    made.online.dispose()
    made.of.inject(Fault.http(status, operation="OpenSession", times=1000))
    _require_error(made, work)


def test_a_token_that_is_revoked_is_an_error(made: Circle) -> None:
    made.run(lambda session: session.scalars(select(Note)).all())
    made.of.inject(Fault.token_revoked())
    try:
        _require_error(made, _writing)
        _require_error(made, _reading)
    finally:
        made.of.warehouse.credentials.reinstate()


@pytest.mark.parametrize(
    "work",
    [
        lambda session: session.execute(text("SELEKT 1")),
        lambda session: session.execute(text("SELECT nothing FROM notes")),
        lambda session: session.scalars(select(Missing)).all(),
        lambda session: (session.add(Missing()), session.commit()),
    ],
    ids=["syntax", "column", "read table", "written table"],
)
def test_broken_sql_is_an_error(made: Circle, work: Callable[[Session], Any]) -> None:
    _require_error(made, work)


def test_a_certificate_that_is_not_trusted_is_an_error(made: Circle, tmp_path: Path) -> None:
    from vinci_code.warehouse.wire.tls import LoopbackCertificate

    warehouse = made.of.warehouse
    other = LoopbackCertificate()
    try:
        url = made.online.url
        arguments = {
            "access_token": warehouse.access_token,
            "_tls_trusted_ca_file": str(other.ca_file),
        }
        engine = create_engine(url, connect_args=arguments)
        try:
            made.fallback.dispose()
            fallback = type(made.fallback)(engine, tmp_path / "o.db", Base.metadata)
            try:
                _require_error(Circle(made.of, engine, fallback), _writing)
            finally:
                fallback.dispose()
        finally:
            engine.dispose()
    finally:
        other.close()


@pytest.mark.parametrize("status", [400, 401, 403, 404])
def test_what_is_refused_while_units_wait_is_an_error_and_they_wait(
    made: Circle, status: int
) -> None:
    """A right that is missing when the warehouse is back parks nothing, and hides nothing."""
    made.begin()
    made.run(lambda session: session.add(Note(id=1, text="kept")))
    made.end()
    made.of.inject(Fault.http(status, operation="ExecuteStatement", times=1000))
    with soon(), made.session() as session, pytest.raises(DBAPIError):
        _reading(session)
    assert (made.fallback.state().waiting, made.fallback.state().parked) == (1, 0)
    made.of.warehouse.faults.clear()
    made.of.inject(Fault.http(status, statement="INSERT|MERGE", times=1000))
    with made.session() as session, pytest.raises(DBAPIError):
        _reading(session)
    assert (made.fallback.state().waiting, made.fallback.state().parked) == (1, 0)
    made.end()
    assert made.is_back()
    assert made.rows(Note.__table__) == [(1, "kept")]


@pytest.mark.parametrize("fault", [Fault.session_lost, Fault.commit_conflict])
def test_what_a_replay_was_outrun_by_is_no_fault_of_its_units(made: Circle, fault: Any) -> None:
    """They wait, however often it comes, and arrive when it has passed."""
    made.begin()
    made.run(
        lambda session: session.add(Note(id=1, text="kept")),
        lambda session: session.add(Note(id=2, text="kept")),
    )
    made.end()
    made.of.inject(fault(statement="INSERT|MERGE", times=1000))
    made.run(lambda session: session.add(Note(id=3, text="behind them")))
    assert (made.fallback.state().waiting, made.fallback.state().parked) == (3, 0)
    assert made.fallback.state().state == "returning"
    made.end()
    made.fallback.bring_back()
    assert [row[0] for row in made.rows(Note.__table__)] == [1, 2, 3]
