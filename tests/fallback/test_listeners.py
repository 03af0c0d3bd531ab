"""What is told of units of work that the warehouse does not take at once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, String, event
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from tests.dialect.heard import hearing
from tests.fallback.circle import circle
from vinci_code.warehouse import Fault
from vinci_code.warehouse.pytest_plugin import TestWarehouse


class Base(DeclarativeBase):
    pass


class Note(Base):
    __tablename__ = "notes"
    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    text: Mapped[str] = mapped_column(String(50))


def test_a_unit_is_kept_and_what_brings_it_is_told(
    local_warehouse: TestWarehouse, connected: Callable[..., Engine], tmp_path: Path
) -> None:
    online = connected()
    event.listen(online, "do_connect", _in_a_hurry)
    with circle(local_warehouse, online, tmp_path / "standby.db", Base.metadata) as made:
        made.run(lambda session: session.add(Note(id=1, text="sent")))
        local_warehouse.inject(Fault.http(503, retry_after=60, times=10**6))
        with hearing(online, local_warehouse) as heard:
            made.run(lambda session: session.add(Note(id=2, text="kept")))
        outcomes = [unit.outcome and unit.outcome.value for unit in heard.ended]
        assert outcomes == ["kept"]
        assert len(heard.cursors) == len(heard.after) == len(heard.before)
        made.of.warehouse.faults.clear()
        made.wait_for(0.0)
        with hearing(online, local_warehouse) as heard:
            made.fallback.bring_back()
        heard.agree()
        assert heard.kinds[0] == "read"
        assert heard.kinds[-1] == "commit"
        assert [unit.outcome and unit.outcome.value for unit in heard.ended][-1] == "committed"


def _in_a_hurry(*arguments: Any) -> None:
    arguments[-1].update(start_timeout=0.3)
