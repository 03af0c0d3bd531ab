"""Tells of statements that no case was recorded of, at the end of a run of the parity suite.

Spark judges what was recorded. A rule of the dialect's compiler that is changed, so that another
statement is sent, would not be judged without this.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import sqlalchemy as sa

from tests.spark.shapes import Namespace, shape, shapes_of
from tests.spark.watching import watching
from tests.warehouse.corpus import reader
from vinci_code.warehouse.engine.result import Result
from vinci_code.warehouse.engine.session import EngineSession
from vinci_code.warehouse.sql.parameters import Parameter

RECORDED = Path(__file__).parent / "recorded" / "parity.case"
# Statements that are not the dialect's own: the vendor's, and those that hypothesis makes up.
NOT_OURS = ("tests/parity/test_values_hypothesis.py", "tests/parity/test_moving.py::test_vendor")
PARITY = "tests/parity/"
WITH = "Recorded with SQLAlchemy"
_SHOWN = 5


class Guard:
    """Notes the shapes of statements that are not among those recorded.

    Args:
        recorded: The cases.
        folder: Where the tests are whose statements count: in a run of all tests it watches others.
    """

    def __init__(self, recorded: Path = RECORDED, folder: str = "") -> None:
        self._folder = folder
        self._known = {one for case in reader.read(recorded) for one in shapes_of(case)}
        self._unknown: dict[str, str] = {}

    def __call__(
        self,
        session: EngineSession,
        text: str,
        parameters: Sequence[Parameter],
        run: Callable[[], Result],
    ) -> Result:
        """Look at a statement, and run it."""
        running = os.environ.get("PYTEST_CURRENT_TEST", "")
        if running.startswith(self._folder) and not running.startswith(NOT_OURS):
            names = Namespace.of(session)
            template = names.text(text)
            found = shape(template, [parameter.type for parameter in parameters])
            if found not in self._known:
                self._unknown.setdefault(found, f"{template}\n  first sent by {running}")
        return run()

    def complaint(self) -> str:
        """What is to be said at the end of a run; nothing where every statement is known."""
        if not self._unknown:
            return ""
        listed = list(self._unknown.values())
        more = f"\n… and {len(listed) - _SHOWN} more" if len(listed) > _SHOWN else ""
        return (
            f"{len(listed)} statements were sent that {RECORDED.name} has no case of, so that "
            "Spark has not judged them. If the dialect is meant to send them, run 'make record', "
            "look at what it changed, and commit it.\n" + "\n".join(listed[:_SHOWN]) + more
        )


@contextmanager
def guarding(folder: str = PARITY) -> Iterator[Guard | None]:
    """Watch every statement; ``None`` for another series of SQLAlchemy than was recorded with.

    Another series may write the same statements in another way.

    Args:
        folder: Where the tests are whose statements count: in a run of all tests it watches others.
    """
    if _series(recorded_with()) != _series(sa.__version__):
        yield None
        return
    guard = Guard(folder=folder)
    with watching(guard):
        yield guard


def recorded_with() -> str:
    """The version of SQLAlchemy that the parity suite was recorded with."""
    found = re.search(rf"^# {WITH} (\S+)$", RECORDED.read_text(encoding="utf-8"), re.MULTILINE)
    if found is None:
        raise LookupError(f"{RECORDED.name} does not say which SQLAlchemy it was recorded with")
    return found[1]


def _series(version: str) -> list[str]:
    return version.split(".")[:2]
