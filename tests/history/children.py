"""A unit of work of a forked child process, which may use no connection of its parent."""

from __future__ import annotations

import os
import signal
import sys
import traceback
import warnings
from collections.abc import Callable, Sequence
from typing import NoReturn

import sqlalchemy as sa

from tests.history import model
from tests.history.deeds import bump
from tests.history.model import WALLET
from tests.history.schedules import Step
from tests.history.unit import Unit
from vinci_code.database.dialect.driver import dbapi

# After how long a child is ended.
_SECONDS = 60
# The exit code of a child that could use a connection of its parent.
_USED_PARENTS = 3


def run_in_child(
    unit: Unit,
    step: Step,
    engine: sa.Engine,
    others: Sequence[Unit],
    *,
    first: Callable[[], None],
) -> None:
    """Run a unit in a child process, and wait for its end.

    Args:
        unit: The unit; it notes what the child writes.
        step: Its one step.
        engine: The engine of all units, of which the child disposes.
        others: The units of the parent, which the child tries to commit.
        first: What the child does first.

    Raises:
        AssertionError: It could commit one of them, or it has failed.
    """
    unit.wrote(model.EXTEND, WALLET, step.keys[0], (f",{unit.name}",))
    with warnings.catch_warnings():
        # Python 3.12 and later warn of exactly what is tried here.
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if not child:
        _be_child(unit, step, engine, others, first)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if code:
        meaning = {_USED_PARENTS: "has committed what its parent holds"}
        raise AssertionError(f"a child {meaning.get(code, f'has ended with {code}')}")


def _be_child(
    unit: Unit,
    step: Step,
    engine: sa.Engine,
    others: Sequence[Unit],
    first: Callable[[], None],
) -> NoReturn:
    code = 1
    try:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(_SECONDS)
        first()
        code = _work(unit, step, engine, others)
    except BaseException:  # noqa: BLE001 - a child must not go on as its parent
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


def _work(unit: Unit, step: Step, engine: sa.Engine, others: Sequence[Unit]) -> int:
    for parents in others:
        try:
            parents.session.commit()
        except (sa.exc.SQLAlchemyError, dbapi.Error):
            # For its connection, or before that for what it holds; what is stored tells it.
            continue
        else:
            if parents.writes:
                return _USED_PARENTS
    with unit.session as session:
        bump(unit, step)
        session.commit()
    engine.dispose()
    return 0
