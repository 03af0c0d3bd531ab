"""Measure the import of events against the plain bulk insert of SQLAlchemy Core, side by side.

    python bench/import_events.py [--rows N] [--rounds N]

Both store the same generated rows (seeded) into the same tables, made by the migrations, on the
same engine, each in a new process with a new SQLite file, by turns; the best round of each counts.

*import* is what ``vinci events import`` runs: the file is read, every line parsed and checked, and
stored with ``ON CONFLICT DO NOTHING``. *plain insert* is ``insert(Event.__table__)`` with lists of
dictionaries that lie in memory, parsed, before the clock starts; one transaction for as many rows
as the import has in one. So the plain insert is spared the reading, the parsing and the look for
keys that are there already.

Exit code 1 if the import is slower than ``MIN_RATIO`` of the plain insert, or takes more memory
than ``MAX_RSS_MB`` at its peak.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

ROWS = 100_000
ROUNDS = 5
MIN_RATIO = 0.7
MAX_RSS_MB = 150.0


@dataclass(frozen=True)
class Measurement:
    """One run of one way.

    Attributes:
        seconds: From the first row to the last commit.
        cpu_seconds: The processor time of it, which other processes hardly change.
        peak_rss_mb: The most memory that the process has had, in units of 2**20 bytes.
        rows: The rows in the table at the end.
    """

    seconds: float
    cpu_seconds: float
    peak_rss_mb: float
    rows: int


@dataclass(frozen=True)
class Comparison:
    """The best of some rounds of both ways."""

    rows: int
    importing: Measurement
    plain: Measurement

    @property
    def ratio(self) -> float:
        """How fast the import is, the plain insert being 1."""
        return self.plain.seconds / self.importing.seconds

    @property
    def cpu_ratio(self) -> float:
        """The same by processor time."""
        return self.plain.cpu_seconds / self.importing.cpu_seconds

    def misses(self) -> list[str]:
        """Which targets are missed."""
        found = []
        if self.ratio < MIN_RATIO:
            found.append(f"ratio {self.ratio:.2f}, wanted at least {MIN_RATIO}")
        if self.importing.peak_rss_mb >= MAX_RSS_MB:
            found.append(
                f"peak RSS {self.importing.peak_rss_mb:.0f} MB, wanted below {MAX_RSS_MB:.0f} MB"
            )
        return found


def write_events(path: Path, rows: int, seed: int = 20180131) -> None:
    """Write a file of events, each with a key and a payload like those of the sample."""
    rng = random.Random(seed)
    start = datetime(2018, 1, 31, tzinfo=timezone.utc)
    with path.open("w", encoding="utf-8") as file:
        for number in range(rows):
            at = start + timedelta(milliseconds=number * 350 + rng.randrange(350))
            file.write(json.dumps(_event(rng, number, at)) + "\n")


def _event(rng: random.Random, number: int, at: datetime) -> dict[str, Any]:
    place = f"{rng.randrange(200)}km {rng.choice(('N', 'SSW', 'ENE', 'W'))} of Somewhere"
    magnitude = round(rng.uniform(0, 7), 2)
    return {
        "event_key": f"{rng.choice(('us', 'ci', 'nc', 'ak'))}{number:08d}",
        "event_type": rng.choice(("earthquake", "earthquake", "explosion", "quarry blast")),
        "source": f"usgs.{rng.choice(('us', 'ci', 'nc', 'ak', 'nn'))}",
        "description": f"M {magnitude:.1f} - {place}",
        "occurred_at": at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "payload": {
            "mag": magnitude,
            "magType": "ml",
            "place": place,
            "tsunami": False,
            "sig": rng.randrange(1000),
            "rms": round(rng.uniform(0, 2), 2),
            "gap": rng.randrange(360),
            "felt": None,
            "status": "reviewed",
            "lon": round(rng.uniform(-180, 180), 4),
            "lat": round(rng.uniform(-90, 90), 4),
            "depth_km": round(rng.uniform(0, 600), 2),
        },
    }


def compare(rows: int, rounds: int, folder: Path) -> Comparison:
    """Run both ways by turns, and take the best round of each."""
    file = folder / "events.jsonl"
    write_events(file, rows)
    found: dict[str, list[Measurement]] = {"import": [], "plain": []}
    for turn in range(rounds):
        for way in sorted(found, reverse=turn % 2 == 1):
            database = folder / f"{way}-{turn}.db"
            found[way].append(_in_a_process(way, file, database))
            for left in folder.glob(f"{database.name}*"):
                left.unlink()
    return Comparison(rows, _best_of(found["import"]), _best_of(found["plain"]))


def _best_of(runs: list[Measurement]) -> Measurement:
    return Measurement(
        seconds=min(run.seconds for run in runs),
        cpu_seconds=min(run.cpu_seconds for run in runs),
        # Of the memory the worst round counts.
        peak_rss_mb=max(run.peak_rss_mb for run in runs),
        rows=min(run.rows for run in runs),
    )


def _in_a_process(way: str, file: Path, database: Path) -> Measurement:
    command = [sys.executable, __file__, "--way", way, "--file", str(file)]
    done = subprocess.run(
        [*command, "--database", str(database)], check=True, capture_output=True, text=True
    )
    return Measurement(**json.loads(done.stdout))


def run_one(way: str, file: Path, database: Path) -> Measurement:
    """Run one way in this process."""
    from sqlalchemy import func, select

    from vinci_code.database import migrations
    from vinci_code.database.models import Event
    from vinci_code.database.sqlite import create_sqlite_engine

    engine = create_sqlite_engine(f"sqlite:///{database}")
    migrations.upgrade(engine)
    store = _import if way == "import" else _plain_insert
    seconds, cpu_seconds = store(engine, file)
    with engine.connect() as connection:
        rows = connection.execute(select(func.count()).select_from(Event)).scalar_one()
    engine.dispose()
    return Measurement(seconds, cpu_seconds, _peak_rss_mb(), rows)


def _import(engine: Any, file: Path) -> tuple[float, float]:
    from vinci_code.database.events import ImportReport, import_events, open_source

    started, cpu_started = time.perf_counter(), time.process_time()
    with open_source(str(file)) as source:
        import_events(engine, source.records, report=ImportReport())
    return time.perf_counter() - started, time.process_time() - cpu_started


def _plain_insert(engine: Any, file: Path) -> tuple[float, float]:
    from sqlalchemy import Table, insert

    from vinci_code.database.events.importing import DEFAULT_BATCH_SIZE
    from vinci_code.database.models import Event

    table = Event.__table__
    assert isinstance(table, Table)
    rows = list(_rows(file))
    started, cpu_started = time.perf_counter(), time.process_time()
    for start in range(0, len(rows), DEFAULT_BATCH_SIZE):
        with engine.begin() as connection:
            connection.execute(insert(table), rows[start : start + DEFAULT_BATCH_SIZE])
    return time.perf_counter() - started, time.process_time() - cpu_started


def _rows(file: Path) -> Iterator[dict[str, Any]]:
    with file.open(encoding="utf-8") as lines:
        for line in lines:
            row = json.loads(line)
            row["occurred_at"] = datetime.fromisoformat(row["occurred_at"].replace("Z", "+00:00"))
            yield row


def _peak_rss_mb() -> float:
    status = Path("/proc/self/status")
    if status.exists():
        # Linux hands the parent's ru_maxrss on through vfork and exec (fs/exec.c, exec_mmap): in a
        # child of pytest it would be that of pytest.
        fields = dict(line.split(":", 1) for line in status.read_text().splitlines())
        return int(fields["VmHWM"].split()[0]) / 2**10
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)


def _show(comparison: Comparison) -> None:
    print(f"{comparison.rows:,} events, best of the rounds\n")
    print(f"{'':<13} {'seconds':>8} {'cpu':>6} {'rows/s':>9} {'peak RSS':>9}")
    for name, run in (("import", comparison.importing), ("plain insert", comparison.plain)):
        rate = run.rows / run.seconds
        times = f"{run.seconds:>8.2f} {run.cpu_seconds:>6.2f}"
        print(f"{name:<13} {times} {rate:>9,.0f} {run.peak_rss_mb:>6.0f} MB")
    print(f"\nratio {comparison.ratio:.2f} (wanted: at least {MIN_RATIO})", end="")
    print(f", by processor time {comparison.cpu_ratio:.2f}")
    for miss in comparison.misses():
        print(f"MISSED: {miss}")


def main() -> int:
    """Run the comparison, or one way of it; return the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    for option in ("--way", "--file", "--database"):
        parser.add_argument(option, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.way is not None:
        run = run_one(options.way, Path(options.file), Path(options.database))
        print(json.dumps(vars(run)))
        return 0
    with tempfile.TemporaryDirectory() as folder:
        comparison = compare(options.rows, options.rounds, Path(folder))
    _show(comparison)
    return 1 if comparison.misses() else 0


if __name__ == "__main__":
    sys.exit(main())
