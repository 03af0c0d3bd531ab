"""Sees every statement that clients send to a local warehouse of this process."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeAlias
from unittest import mock

from vinci_code.warehouse import LocalWarehouse
from vinci_code.warehouse.engine.result import Result
from vinci_code.warehouse.engine.session import EngineSession
from vinci_code.warehouse.sql.parameters import Parameter

Watcher: TypeAlias = Callable[
    [EngineSession, str, Sequence[Parameter], Callable[[], Result]], Result
]
"""Is called in place of a statement; has to call the function, which runs it."""

_here = threading.local()


@contextmanager
def watching(watcher: Watcher) -> Iterator[None]:
    """Let a watcher run the statements of every session; one watcher may stand in another's."""
    execute, prepare = EngineSession.execute, LocalWarehouse.sql

    def watched(session: EngineSession, text: str, parameters: Sequence[Parameter] = ()) -> Result:
        if getattr(_here, "quiet", False):
            return execute(session, text, parameters)
        return watcher(session, text, parameters, lambda: execute(session, text, parameters))

    def prepared(*arguments: Any, **options: Any) -> None:
        with quiet():
            prepare(*arguments, **options)

    with (
        mock.patch.object(EngineSession, "execute", watched),
        mock.patch.object(LocalWarehouse, "sql", prepared),
    ):
        yield


@contextmanager
def quiet() -> Iterator[None]:
    """Run statements in this thread that no watcher sees."""
    before = getattr(_here, "quiet", False)
    _here.quiet = True
    try:
        yield
    finally:
        _here.quiet = before
