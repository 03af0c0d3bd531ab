"""What reporters of errors show of our failures: Sentry, rich, IPython, structlog, loguru, …"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.core.redaction.reporter_program import REPORTERS
from tests.fakes.certificates import Authority
from tests.fakes.dead_ends import closed_port
from tests.full import some
from tests.patience import PATIENCE_S

ROOT = Path(__file__).parents[3]
SECRET = "Vc9/kZ+7qT~pat.Lw3=Rx5_Nf8-Hy2"  # of no known shape

# They show no values, or lines of source alone.
_SHOWS_NONE = {"faulthandler"}
# What an application's own code prints is masked where the interpreter or logging prints it, and
# not where a library does; SECURITY.md says so.
_PRINT_BY_THEMSELVES = {"Sentry", "structlog", "loguru", "pytest"}


def run(reporter: str, failure: str, folder: Path, **settings: str) -> str:
    """What comes out of a process in which a failure is reported."""
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "PYTHONPATH": str(ROOT),
        "PYTHONIOENCODING": "utf-8",
        "IPYTHONDIR": str(folder / "ipython"),
        "CANARY_SECRET" if failure == "plain" else "DATABRICKS_ACCESS_TOKEN": SECRET,
        **settings,
    }
    done = subprocess.run(
        [sys.executable, "-m", "tests.core.redaction.reporter_program", reporter, failure],
        env=environment,
        cwd=folder,
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        timeout=PATIENCE_S,
        check=False,
    )
    return done.stdout + done.stderr


@pytest.mark.parametrize("reporter", sorted(REPORTERS.keys() - _SHOWS_NONE))
def test_a_reporter_shows_the_secret_of_others(reporter: str, tmp_path: Path) -> None:
    assert SECRET in run(reporter, "plain", tmp_path)


_ALL = [
    (reporter, failure)
    for reporter in REPORTERS
    for failure in ("no host", "no answer", "no answer, engine")
]
# Each of them once, and those that show most of an engine that cannot connect.
_FEW = [
    *((reporter, "no host") for reporter in REPORTERS),
    *((reporter, "no answer, engine") for reporter in ("Sentry", "rich", "a hook")),
]


@pytest.mark.parametrize(("reporter", "failure"), some(_ALL, few=_FEW))
def test_no_reporter_shows_a_secret_of_ours(
    reporter: str, failure: str, tmp_path: Path, authority: Authority
) -> None:
    with closed_port() as port:
        settings = settings_for(failure, port, authority)
        found = run(reporter, failure, tmp_path, **settings)
    expected = "DATABRICKS_SERVER_HOSTNAME" if failure == "no host" else "localhost"
    assert expected in found or reporter == "faulthandler"
    assert shown_parts(found) == []


@pytest.mark.parametrize("reporter", sorted(REPORTERS.keys() - _PRINT_BY_THEMSELVES))
def test_no_reporter_shows_a_secret_in_the_text_of_an_error(
    reporter: str, tmp_path: Path, authority: Authority
) -> None:
    settings = settings_for("in the text", 1, authority)
    found = run(reporter, "in the text", tmp_path, **settings)
    assert "refused" in found or reporter == "faulthandler"
    assert shown_parts(found) == []


def settings_for(failure: str, port: int, authority: Authority) -> dict[str, str]:
    """The settings beside the token: an address where nobody listens, or none."""
    if failure == "no host":
        return {"USE_DATABRICKS": "true"}
    return {
        "USE_DATABRICKS": "true",
        "DATABRICKS_SERVER_HOSTNAME": f"localhost:{port}",
        "DATABRICKS_HTTP_PATH": "/sql/1.0/warehouses/0123456789abcdef",
        "DATABRICKS_CA_FILE": str(authority.file),
    }


def shown_parts(text: str) -> list[str]:
    """The lines in which a good part of the secret stands, cut short or not."""
    size = 10
    parts = {SECRET[at : at + size] for at in range(len(SECRET) - size + 1)}
    return [line for line in text.splitlines() if any(part in line for part in parts)]
