"""Move a large SQLite file to the local warehouse and back, and compare both files to the bit.

    python -m tests.database.moving.run [--tables 20] [--rows 5000000] [--seed 7] [--folder DIR]

The tables have, one after the other, every kind of column beside their key; the first two have all
of them. There are a view, an index, a CHECK and a DEFAULT too, which the report has to name. The
warehouse is a process of its own. The exit code is 1 where anything differs.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import random
import sqlite3
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from vinci_code.database import copy_database
from vinci_code.database.models.types import dump_json
from vinci_code.database.moving.reports import CopyReport

_WAREHOUSE = """
import json, sys
from vinci_code.warehouse import LocalWarehouse
with LocalWarehouse() as it:
    facts = {"port": it.port, "path": it.http_path, "token": it.access_token, "ca": str(it.ca_file)}
    print(json.dumps(facts), flush=True)
    sys.stdin.read()
"""
_AT_ONCE = 20_000
_KINDS: dict[str, Callable[[], sa.types.TypeEngine[Any]]] = {
    "i": sa.BigInteger,
    "b": sa.Boolean,
    "f": sa.Float,
    "n": lambda: sa.Numeric(14, 3),
    "s": sa.Text,
    "j": sa.JSON,
    "x": sa.LargeBinary,
    "d": sa.Date,
    "t": sa.Time,
    "m": sa.DateTime,
    "u": sa.Uuid,
    "v": lambda: sa.String(40),
}
_COLUMNS_EACH = 4


def main() -> int:
    """Run it, and print its figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--tables", type=int, default=20)
    parser.add_argument("--rows", type=int, default=5_000_000, help="rows of all tables")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--folder", type=Path, default=None, help="where the files are made")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        source, back = Path(folder) / "source.db", Path(folder) / "back.db"
        meta = schema(options.tables)
        started = time.monotonic()
        fill(source, meta, options.rows // options.tables, options.seed)
        size = source.stat().st_size / 1e6
        print(f"seed {options.seed}: made {options.rows:,} rows in {options.tables} tables")
        print(f"    {size:,.0f} MB, {time.monotonic() - started:,.0f} s", flush=True)
        with warehouse() as engine:
            there = moved("there", source, engine, meta)
            engine_back = sa.create_engine(f"sqlite:///{back}")
            meta.create_all(engine_back)
            engine_back.dispose()
            again = moved("back", engine, back, meta)
        wrong = [line for line in unlike(source, back, meta) if line]
        for line in wrong:
            print(f"DIFFERS: {line}")
        missing = [word for word in NAMED if word not in "\n".join(there.lines())]
        for word in missing:
            print(f"NOT NAMED in the report: {word}")
        ok = there.is_proved and again.is_proved and not wrong and not missing
        print("Equal to the bit." if ok else "NOT EQUAL.")
        return 0 if ok else 1


NAMED = ("t0_view", "t0_index", "CHECK (i IS NOT 17)", "t1.s: its DEFAULT")
"""What a warehouse does not take over, as the report names it."""


def schema(tables: int) -> sa.MetaData:
    """The tables; each refers to the one before it."""
    meta, names = sa.MetaData(), list(_KINDS)
    for number in range(tables):
        chosen = (
            names
            if number < 2
            else [names[(number + step * 3) % len(names)] for step in range(_COLUMNS_EACH)]
        )
        columns: list[Any] = [sa.Column("id", sa.Integer, primary_key=True)]
        if number:
            columns.append(sa.Column("parent_id", sa.ForeignKey(f"t{number - 1}.id")))
        for name in chosen:
            default = "none" if (number, name) == (1, "s") else None
            columns.append(sa.Column(name, _KINDS[name](), server_default=default))
        checks = [sa.CheckConstraint("i IS NOT 17")] if number == 0 else []
        sa.Table(f"t{number}", meta, *columns, *checks)
    sa.Index("t0_index", meta.tables["t0"].c.i)
    return meta


def fill(path: Path, meta: sa.MetaData, rows: int, seed: int) -> None:
    """Write the rows as SQLAlchemy's types store them, without what it takes to do so by them."""
    engine = sa.create_engine(f"sqlite:///{path}")
    meta.create_all(engine)
    engine.dispose()
    pools = {
        name: list(_pool(name, random.Random(f"{seed} {name}"))) for name in _KINDS if name != "f"
    }
    with closing(sqlite3.connect(path)) as connection:
        for place, table in enumerate(meta.sorted_tables):
            names = [column.name for column in table.columns]
            marks = ", ".join("?" * len(names))
            listed = ", ".join(names)
            draw = random.Random(seed * 1_000 + place)
            for start in range(0, rows, _AT_ONCE):
                numbers = range(start, min(rows, start + _AT_ONCE))
                columns = [_values(name, numbers, pools, draw) for name in names]
                connection.executemany(
                    f"INSERT INTO {table.name} ({listed}) VALUES ({marks})",
                    zip(*columns, strict=True),
                )
            connection.commit()
        connection.execute("CREATE VIEW t0_view AS SELECT id FROM t0")
        connection.commit()


@contextmanager
def warehouse() -> Iterator[sa.Engine]:
    """A local warehouse in a process of its own, with a volume."""
    with subprocess.Popen(
        [sys.executable, "-c", _WAREHOUSE],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        facts = json.loads(process.stdout.readline())
        engine = sa.create_engine(
            sa.URL.create(
                "databricks+vinci",
                host="localhost",
                port=facts["port"],
                query={"http_path": facts["path"], "catalog": "main", "schema": "default"},
            ),
            connect_args={"access_token": facts["token"], "_tls_trusted_ca_file": facts["ca"]},
            json_serializer=dump_json,
        )
        try:
            with engine.begin() as connection:
                connection.execute(sa.text("CREATE VOLUME IF NOT EXISTS vinci_load"))
            yield engine
        finally:
            engine.dispose()
            process.stdin.close()
            process.wait(60)


def moved(word: str, source: Any, target: Any, meta: sa.MetaData) -> CopyReport:
    """Copy, and say how it went."""
    kinds = {f"{table.name}.u": "uuid" for table in meta.sorted_tables if "u" in table.columns}
    started = time.monotonic()
    report = copy_database(source, target, kinds=kinds)
    seconds = time.monotonic() - started
    rows = sum(one.copied for one in report.tables)
    print(f"{word}: {rows:,} rows in {seconds:,.0f} s, {rows / seconds:,.0f} a second")
    for line in report.lines():
        print(f"    {line}")
    sys.stdout.flush()
    return report


def unlike(source: Path, back: Path, meta: sa.MetaData) -> Iterator[str]:
    """What differs between two files, value by value and by the class that it is stored in."""
    with closing(sqlite3.connect(source)) as connection:
        connection.execute("ATTACH ? AS back", (str(back),))
        for table in meta.sorted_tables:
            name = table.name
            counts = [
                connection.execute(f"SELECT count(*) FROM {where}.{name}").fetchone()[0]
                for where in ("main", "back")
            ]
            if counts[0] != counts[1]:
                yield f"{name}: {counts[0]:,} rows, and {counts[1]:,}"
            differing = " OR ".join(
                f"a.{one.name} IS NOT b.{one.name} OR typeof(a.{one.name}) != typeof(b.{one.name})"
                for one in table.columns
            )
            (wrong,) = connection.execute(
                f"SELECT count(*) FROM main.{name} a LEFT JOIN back.{name} b ON a.id = b.id "
                f"WHERE {differing}"
            ).fetchone()
            if wrong:
                yield f"{name}: {wrong:,} rows"


def _values(
    name: str, numbers: range, pools: dict[str, list[Any]], draw: random.Random
) -> list[Any]:
    if name == "id":
        return list(numbers)
    if name == "parent_id":
        return [None if number % 10 == 9 else number // 2 for number in numbers]
    if name == "f":
        return [draw.random() * 1e9 if number % 3 else _FLOATS[number % 7] for number in numbers]
    pool = pools[name]
    return draw.choices(pool, k=len(numbers))


def _pool(name: str, draw: random.Random) -> Iterator[Any]:
    """Values as they are stored; a tenth of them NULL."""
    for number in range(5_000):
        yield None if number % 10 == 0 else _value(name, number, draw)


def _value(name: str, number: int, draw: random.Random) -> Any:
    if name == "i":
        edge = (0, -(2**63), 2**63 - 1)
        return edge[number % 3] if number % 11 == 1 else draw.randrange(-(2**63), 2**63)
    if name == "b":
        return number % 2
    if name == "n":
        return round(draw.randrange(-(10**13), 10**13) / 1000, 3)
    if name in ("s", "v"):
        text = "".join(draw.choices(_LETTERS, k=draw.randrange(20)))
        return text if name == "s" else text[:40]
    if name == "j":
        return dump_json({"a": number, "b": [draw.random(), None, "ä"], "c": {}})
    if name == "x":
        return draw.randbytes(draw.randrange(24))
    if name == "u":
        return uuid.UUID(int=draw.getrandbits(128)).hex
    day = dt.date.fromordinal(draw.randrange(1, dt.date.max.toordinal() + 1))
    clock = f"{draw.randrange(24):02}:{draw.randrange(60):02}:{draw.randrange(60):02}"
    time_of_day = f"{clock}.{draw.choice([0, draw.randrange(1_000_000)]):06}"
    return {"d": str(day), "t": time_of_day, "m": f"{day} {time_of_day}"}[name]


_FLOATS = [0.1, 1e300, 5e-324, float("inf"), float("-inf"), 0.0, 1.7976931348623157e308]
_LETTERS = "abc xyzäöß'\"\\%:\U0001f600\n\t5-"

if __name__ == "__main__":
    sys.exit(main())
