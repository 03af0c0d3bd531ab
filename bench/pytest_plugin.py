"""What the pytest plugin costs a project that does not use it: modules and time, with and without.

python -m bench.pytest_plugin --rounds 10
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

WITHOUT = ("-p", "no:vinci_code_warehouse")
TEST = "def test_nothing():\n    import sys; print(len(sys.modules))\n"


def run(folder: Path, options: tuple[str, ...]) -> tuple[float, int]:
    """Run pytest on one test; the seconds of its processor time, and how many modules it had."""
    command = [sys.executable, "-m", "pytest", "-q", "-s", "-p", "no:cacheprovider", *options]
    before = os.times()
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    after = os.times()
    seconds = after.children_user + after.children_system
    seconds -= before.children_user + before.children_system
    return seconds, int(next(line for line in done.stdout.splitlines() if line.isdigit()))


# ``-X importtime`` does not see what importlib.import_module imports, as entry points do.
IMPORTS = """
import time
began = time.process_time()
import pytest, _pytest.config, _pytest.assertion.rewrite, _pytest.python, _pytest.terminal
between = time.process_time()
import vinci_code.warehouse.pytest_plugin
print(time.process_time() - between, between - began)
"""


def imported() -> tuple[float, float]:
    """Seconds of processor time that importing the plugin takes, and importing parts of pytest."""
    command = [sys.executable, "-c", IMPORTS]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    ours, theirs = map(float, done.stdout.split())
    return ours, theirs


def main() -> None:
    """Print the ratios; the two take turns, and the least of each counts."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=10)
    rounds = parser.parse_args().rounds
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "test_nothing.py").write_text(TEST)
        run(folder, ())  # compiles what is not compiled yet
        pairs = [(run(folder, ()), run(folder, WITHOUT)) for _ in range(rounds)]
    ours, theirs = (min(side) for side in zip(*(imported() for _ in range(rounds)), strict=True))
    (with_, modules), (without, fewer) = (min(side) for side in zip(*pairs, strict=True))
    print(f"modules with the plugin: {modules}, without: {fewer}, so {modules - fewer} more")
    print(f"processor time with: {with_:.3f} s, without: {without:.3f} s: {with_ / without:.3f}")
    print(f"importing it takes {ours / theirs:.2%} of the time of importing pytest")
    print(f"{rounds} rounds in {time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    main()
