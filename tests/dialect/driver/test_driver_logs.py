"""With every logger at DEBUG, no row and no key that a statement carries stands in the log."""

from __future__ import annotations

import io
import logging
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import Engine, orm

from vinci_code.core.redaction import forget_secrets, register_secret
from vinci_code.database.dialect.driver import driver_logs

# One to 12 of these, so that each way of sending values is gone: as parameters, as a payload that
# is one parameter, as literals where they are more than 255, as a payload in the text.
VALUE = "Sample-Person"
MANY, LONG = 300, 1_000_000


class Base(orm.DeclarativeBase):
    """The base of the class."""


class Person(Base):
    """Somebody whose name is nobody's business."""

    __tablename__ = "person"
    id: orm.Mapped[str] = orm.mapped_column(sa.String(50), primary_key=True)
    name: orm.Mapped[str]


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """All that is logged, from DEBUG on."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    root = logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield stream
    root.setLevel(level)
    root.removeHandler(handler)


def work(engine: Engine) -> None:
    """Write and read in each way, with the values in the statements."""
    people = [{"id": f"{VALUE}-{n}", "name": f"{VALUE} {n}"} for n in range(MANY)]
    with orm.Session(engine) as session:
        session.add(Person(id=f"{VALUE}-one", name=VALUE))
        session.commit()
        session.execute(sa.insert(Person), people)
        session.execute(sa.insert(Person), [{"id": f"{VALUE}-long", "name": VALUE * (LONG // 13)}])
        session.commit()
        keys = [person["id"] for person in people]
        found = session.scalars(sa.select(Person).where(Person.id.in_(keys))).all()
        assert len(found) == MANY
        found[0].name = f"{VALUE} changed"
        assert session.scalar(sa.text(f"SELECT count(*) FROM person WHERE name = '{VALUE}'")) == 1
        session.execute(sa.delete(Person).where(Person.id.in_(keys[:2])))
        session.commit()


def test_no_value_stands_in_the_log(engine: Engine, log: io.StringIO) -> None:
    Base.metadata.create_all(engine)
    work(engine)
    assert "<a statement of " in log.getvalue()
    assert VALUE not in log.getvalue()


def test_without_it_the_driver_logs_them(
    engine: Engine, log: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    Base.metadata.create_all(engine)

    def everything(_: Any, record: logging.LogRecord) -> bool:
        return bool(record)

    monkeypatch.setattr(driver_logs._WithoutStatement, "filter", everything)
    # To look a megabyte through for secrets, each time that it is logged, takes a minute.
    monkeypatch.setattr(sys.modules[__name__], "LONG", 1_000)
    work(engine)
    assert VALUE in log.getvalue()


def test_the_text_that_sqlalchemy_wraps_an_error_in_is_masked(engine: Engine) -> None:
    secret = "Vc9kZ7qTpatLw3Rx5Nf8Hy2"
    register_secret(secret)
    try:
        with engine.connect() as connection, pytest.raises(sa.exc.DBAPIError) as caught:
            connection.exec_driver_sql(f"SELECT '{secret}' FROM nowhere")
        assert "nowhere" in str(caught.value)
        assert secret not in str(caught.value)
        assert secret not in repr(vars(caught.value))
    finally:
        forget_secrets()
