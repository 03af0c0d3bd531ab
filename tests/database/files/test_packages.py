"""Lines and CSV go in and out without pyarrow; what needs it says so, and writes nothing."""

from __future__ import annotations

import subprocess
import sys

from tests.cli.process import PATIENCE_S, SAMPLE, environment

_PROGRAM = """
import sys
sys.modules["pyarrow"] = None
from pathlib import Path
from sqlalchemy.orm import Session
from vinci_code.core.errors import MissingExtraError
from vinci_code.database.events import ImportReport, export_events, import_events, open_source
from vinci_code.database.models import Base
from vinci_code.database.sqlite import create_sqlite_engine

engine = create_sqlite_engine("sqlite:///a.db")
Base.metadata.create_all(engine)
def stored(file):
    report = ImportReport()
    with open_source(file) as source:
        import_events(engine, source.records, report=report)
    return report.inserted, report.already_there

assert stored(sys.argv[1]) == (1707, 0)
for name in ("A.JSONL", "a.csv", "A.CSV.GZ"):
    with Session(engine) as session:
        assert export_events(session, name) == 1707
    assert stored(name) == (0, 1707), name
for name in ("a.parquet", "A.PARQUET", "a.jsonl.zst", "a.csv.ZST"):
    try:
        with Session(engine) as session:
            export_events(session, name)
    except MissingExtraError as error:
        assert "pyarrow" in str(error)
    else:
        sys.exit(f"{name} was written")
    assert not Path(name).exists()
    Path(name).write_bytes(b"")
    try:
        with open_source(name):
            sys.exit(f"{name} was opened")
    except MissingExtraError as error:
        assert "pyarrow" in str(error)
assert not [name for name in sys.modules if name.startswith("pandas")]
"""


def test_the_base_install() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", _PROGRAM, str(SAMPLE)],
        capture_output=True,
        text=True,
        env=environment(),
        timeout=PATIENCE_S,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
