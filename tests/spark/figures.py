"""What a run on Spark compared, kept in files: each process of the tests writes its own."""

from __future__ import annotations

import json
import os
from collections import Counter
from pathlib import Path

#: Names the folder that a run keeps its figures in.
FOLDER_VARIABLE = "VINCI_SPARK_FIGURES"

# Read before a test begins: tests run without any of our variables.
_FOLDER = os.environ.get(FOLDER_VARIABLE)


def keep(kind: str, counts: dict[str, int]) -> None:
    """Keep what one process counted.

    Args:
        kind: What was compared: ``corpus``, ``recorded``, ``random``.
        counts: How often, by name.
    """
    if _FOLDER:
        path = Path(_FOLDER) / f"{kind}-{os.getpid()}.json"
        path.write_text(json.dumps(counts), encoding="utf-8")


def gather(folder: Path) -> dict[str, Counter[str]]:
    """Add up what all processes kept, by kind."""
    found: dict[str, Counter[str]] = {}
    for path in sorted(folder.glob("*.json")):
        kind = path.stem.rpartition("-")[0]
        found.setdefault(kind, Counter()).update(json.loads(path.read_text(encoding="utf-8")))
    return found
