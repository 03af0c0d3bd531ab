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


def imported(folder: Path) -> tuple[int, int]:
    """Microseconds that importing the plugin's own modules takes, and all that pytest loads."""
    command = [sys.executable, "-X", "importtime", "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    lines = [line[12:].split("|") for line in done.stderr.splitlines() if "import time:" in line]
    own = [(int(line[0]), line[2].strip()) for line in lines if line[0].strip().isdigit()]
    ours = sum(took for took, name in own if name.split(".")[0] == "vinci_code")
    return ours, sum(took for took, _ in own)


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
        ours, whole = min((imported(folder) for _ in range(3)), key=lambda pair: pair[1])
    (with_, modules), (without, fewer) = (min(side) for side in zip(*pairs, strict=True))
    print(f"modules with the plugin: {modules}, without: {fewer}, so {modules - fewer} more")
    print(f"processor time with: {with_:.3f} s, without: {without:.3f} s: {with_ / without:.3f}")
    print(f"of the time of all imports (-X importtime): {ours / whole:.2%}, {ours} of {whole} µs")
    print(f"{rounds} rounds in {time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    main()
