"""Run clients that nobody here wrote against the local warehouse: `make clients`.

Each client is installed from its registry, pinned, into an environment of its own below
``.venv-clients``; what cannot be had is skipped, and said. Each check compares rows. The counts are
in ``docs/clients.md``.
"""

from __future__ import annotations

import argparse
import json
import socket
import subprocess
import sys
import venv
from dataclasses import dataclass
from pathlib import Path

from tests.clients.checks import RESULT
from tests.clients.recorded import wrong_lines

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent
ENVIRONMENTS = ROOT / ".venv-clients"
TIMEOUT_S = 900


@dataclass(frozen=True)
class Client:
    """A client and what its check needs.

    Attributes:
        name: Of its folder, its requirements and its environment.
        port: The port of its warehouse: 443 for a client that knows no other one.
    """

    name: str
    port: int = 0

    @property
    def python(self) -> Path:
        """The interpreter of its environment."""
        return ENVIRONMENTS / self.name / "bin" / "python"

    @property
    def requirements(self) -> Path:
        """The file that pins it."""
        return HERE / "requirements" / f"{self.name}.txt"


CLIENTS = (
    Client("dbt"),
    Client("sqlmesh", port=443),
    Client("dlt"),
    Client("ibis"),
    Client("frames"),
    Client("great_expectations", port=443),
    Client("harlequin", port=443),
    Client("sdk"),
)


@dataclass(frozen=True)
class Outcome:
    """How a client's check ended; ``skipped`` says why it was not run."""

    passed: int = 0
    failed: tuple[str, ...] = ()
    skipped: str = ""


def main() -> int:
    """Run the checks that are asked for; 1 where one was wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="CLIENT", help="which; all by default")
    names = parser.parse_args().names
    unknown = set(names) - {client.name for client in CLIENTS}
    if unknown:
        parser.error(f"no such client: {', '.join(sorted(unknown))}")
    outcomes = {
        client.name: outcome_of(client) for client in CLIENTS if not names or client.name in names
    }
    print("\nclient              right  wrong")
    for name, outcome in outcomes.items():
        told = f"SKIPPED: {outcome.skipped}" if outcome.skipped else ""
        counts = f"{outcome.passed:5}  {len(outcome.failed):5}"
        print(f"{name:18}  {told or counts}")
        for wrong in outcome.failed:
            print(f"{'':18}  wrong: {wrong}")
    return int(any(outcome.failed for outcome in outcomes.values()))


def outcome_of(client: Client) -> Outcome:
    """Install a client and run its check."""
    print(f"== {client.name}", flush=True)
    missing = _installed(client) or _port_refused(client.port)
    if missing:
        print(f"  SKIPPED: {missing}", flush=True)
        return Outcome(skipped=missing)
    port = ["--port", str(client.port)] if client.port else []
    command = [sys.executable, "-m", "vinci_code", "warehouse", "run", *port, "--"]
    command += ["env", f"PYTHONPATH={ROOT}", str(client.python), str(_check(client))]
    done = subprocess.run(
        command, cwd=ROOT, stdout=subprocess.PIPE, text=True, timeout=TIMEOUT_S, check=False
    )
    told = [line for line in done.stdout.splitlines() if line.startswith(RESULT)]
    print("\n".join(line for line in done.stdout.splitlines() if line.startswith("  ")))
    if not told:
        return Outcome(failed=(f"it ended with {done.returncode} before it had told",))
    counts = json.loads(told[-1].removeprefix(RESULT))
    if client.name != "dbt":
        return Outcome(counts["passed"], tuple(counts["failed"]))
    wrong = wrong_lines(client.python)
    print("\n".join(f"  WRONG {line}" for line in wrong) or "  ok    the recorded session")
    told_so = () if not wrong else ("the recorded session",)
    return Outcome(counts["passed"] + (not wrong), (*counts["failed"], *told_so))


def _check(client: Client) -> Path:
    return HERE / client.name / "check.py"


def _installed(client: Client) -> str:
    """Install what is pinned, where it is not there yet; why it cannot be had, or nothing."""
    stamp = ENVIRONMENTS / client.name / "installed.txt"
    wanted = client.requirements.read_text("utf-8")
    if stamp.exists() and stamp.read_text("utf-8") == wanted:
        return ""
    if not client.python.exists():
        venv.create(ENVIRONMENTS / client.name, with_pip=True)
    command = [str(client.python), "-m", "pip", "install", "--quiet", "--no-deps"]
    command += ["--disable-pip-version-check", "-r", str(client.requirements)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["pip said nothing"])[-1]
        return f"pip could not install it: {last}"
    stamp.write_text(wanted, "utf-8")
    return ""


def _port_refused(port: int) -> str:
    """Why a port cannot be listened on, or nothing."""
    if not port:
        return ""
    try:
        with socket.create_server(("127.0.0.1", port)):
            return ""
    except OSError as error:
        return f"it knows no other port than {port}, which cannot be listened on: {error.strerror}"


if __name__ == "__main__":
    sys.exit(main())
