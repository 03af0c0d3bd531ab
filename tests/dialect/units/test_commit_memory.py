"""A commit of very many objects takes little memory beside the objects."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.full import part
from vinci_code.warehouse.pytest_plugin import TestWarehouse

OBJECTS = 100_000
LIMIT = 2.5
"""How much more than what is sent may be in memory at a time."""

# Measured in a process of its own, which the warehouse is no part of.
COMMIT = """
import gc, json, re, sys
from datetime import datetime, timedelta
import sqlalchemy as sa
from sqlalchemy import orm

class Base(orm.DeclarativeBase):
    pass

class Sale(Base):
    __tablename__ = "sale"
    id: orm.Mapped[int] = orm.mapped_column(primary_key=True)
    customer: orm.Mapped[str]
    product: orm.Mapped[str]
    amount: orm.Mapped[float] = orm.mapped_column(sa.Double)
    paid: orm.Mapped[bool]
    at: orm.Mapped[datetime]
    note: orm.Mapped[str | None]

def resident(what):
    with open("/proc/self/status") as status:
        return int(re.search(rf"{what}:\\s+(\\d+) kB", status.read()).group(1)) * 1024

def sales(first, count):
    start = datetime(2024, 1, 1)
    return [
        Sale(customer=f"customer {n % 97}", product=f"product {n % 13}", amount=n / 7,
             paid=n % 2 == 0, at=start + timedelta(seconds=n), note=None if n % 3 else "a note")
        for n in range(first, first + count)
    ]

given = json.loads(sys.argv[1])
engine = sa.create_engine(given["url"], connect_args=given["arguments"])
Base.metadata.create_all(engine)
with orm.Session(engine) as session:  # imports, compiled statements, a session
    session.add_all(sales(0, 10))
    session.commit()
before = engine.dialect.statistics.read()
with orm.Session(engine) as session:
    session.add_all(sales(10, given["objects"]))
    session.flush()
    gc.collect()
    with open("/proc/self/clear_refs", "w") as peak:
        peak.write("5")  # the peak is the present from now on: proc_pid_clear_refs(5)
    held = resident("VmRSS")
    session.commit()
    beyond = resident("VmHWM") - held
after = engine.dialect.statistics.read()
print(json.dumps({
    "beyond": beyond,
    "sent": after.bytes - before.bytes,
    "rows": after.rows - before.rows,
    "statements": after.statements - before.statements,
}))
"""


@part(2)
@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="the peak is Linux's")
def test_a_commit_of_very_many_objects_takes_little_memory(
    local_warehouse: TestWarehouse,
) -> None:
    arguments = local_warehouse.connect_args
    url = f"databricks+vinci://{arguments.pop('server_hostname')}:{arguments.pop('_port')}"
    given = json.dumps({"url": url, "arguments": arguments, "objects": OBJECTS})
    done = subprocess.run(
        [sys.executable, "-c", COMMIT, given],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    measured = json.loads(done.stdout)
    assert measured["rows"] == OBJECTS
    assert measured["statements"] <= 8
    assert measured["beyond"] <= LIMIT * measured["sent"], measured
