"""What the tests of the journal share."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from tests import patience
from vinci_code.database.fallback.journal import Journal

PATIENCE_S = patience.PATIENCE_S


@contextmanager
def opened(path: Path | str = "journal.db") -> Iterator[Journal]:
    """A journal that is prepared, and closed at the end."""
    with closing(Journal(Path(path))) as journal:
        journal.prepare()
        yield journal


def add(journal: Journal, *documents: bytes) -> list[int]:
    """Append units of work, each in a transaction of its own; their seqs."""
    seqs = []
    with closing(journal.connect()) as connection:
        for document in documents:
            connection.execute("BEGIN IMMEDIATE")
            seq = journal.append(
                connection, identity=f"unit of {document[:20]!r}", document=document, rows=1
            )
            connection.execute("COMMIT")
            journal.acknowledged(seq)
            seqs.append(seq)
    return seqs


def run(program: str, *arguments: str) -> str:
    """Run a program in the present folder with warnings as errors; return what it prints."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(program), *arguments],
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return done.stdout
