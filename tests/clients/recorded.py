"""The session of dbt that the documentation shows, run again."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "clients.md"
COMMAND = "$ vinci warehouse run -- dbt "
TIMEOUT_S = 300

_TIMES = re.compile(r"\d\d:\d\d:\d\d|\d+\.\d\ds?( seconds)?")


def wrong_lines(dbt: Path) -> list[str]:
    """What the recorded session has and the command does not say now, and the other way round.

    Args:
        dbt: The interpreter of dbt's environment.
    """
    shown, *expected = _recorded()
    arguments = shown.removeprefix(COMMAND).split()
    with tempfile.TemporaryDirectory(prefix="dbt-recorded-") as folder:
        project = Path(folder) / "project"
        shutil.copytree(ROOT / "tests" / "clients" / "dbt" / "project", project)
        command = [sys.executable, "-m", "vinci_code", "warehouse", "run", "--"]
        command += [str(dbt), "-c", "from dbt.cli.main import cli; cli()", *arguments]
        done = subprocess.run(
            command,
            cwd=project,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
        )
    # What is done at once may be told in another order.
    before, now = _plain(expected), _plain(done.stdout.splitlines())
    missing = [f"not said any more: {line}" for line in before if line not in now]
    return missing + [f"not in the recording: {line}" for line in now if line not in before]


def _recorded() -> list[str]:
    blocks = re.findall(r"^```text\n(.*?)^```$", PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    found = [block.splitlines() for block in blocks if block.startswith(COMMAND)]
    assert len(found) == 1, f"one recorded session in {PAGE}"
    return found[0]


def _plain(lines: list[str]) -> list[str]:
    return sorted(_TIMES.sub("…", line).rstrip() for line in lines)
