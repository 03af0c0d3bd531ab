"""No frame of ours that a failure leaves behind may hold a secret in anything that shows it.

Reporters of errors show the locals of every frame of a traceback: Sentry, rich, IPython and
``pytest --showlocals``. So each exception that a test expects is walked through, with its whole
chain: in a frame of ours, no local may show a secret in use, nor may the ``__dict__`` of an object
of ours.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from vinci_code.core.redaction.text import exact_values

_OURS = "vinci_code."
# They are given the very texts that are to be masked.
_MASKS = "vinci_code.core.redaction."
_MASK = "**********"


def watch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Walk through every exception that ``pytest.raises`` catches from now on."""
    kind = type(pytest.raises(LookupError))
    leave: Callable[..., bool] = kind.__exit__

    def walk_and_leave(self: Any, *raised: Any) -> bool:
        expected = leave(self, *raised)
        if expected and raised[1] is not None:
            found = sorted(set(shown_in(raised[1])))
            assert not found, f"a secret is shown by the frames of {raised[1]!r}: {found}"
        return expected

    monkeypatch.setattr(kind, "__exit__", walk_and_leave)


def shown_in(error: BaseException) -> Iterator[str]:
    """Where the frames of an exception and of its chain show a secret in use."""
    if not len(exact_values):
        return
    waiting: list[BaseException | None] = [error]
    seen: set[int] = set()
    while waiting:
        current = waiting.pop()
        if current is not None and id(current) not in seen:
            seen.add(id(current))
            yield from _shown_in_frames(current.__traceback__)
            waiting += [current.__cause__, current.__context__]


def _shown_in_frames(trace: types.TracebackType | None) -> Iterator[str]:
    while trace is not None:
        frame = trace.tb_frame
        module = str(frame.f_globals.get("__name__", ""))
        if module.startswith(_OURS) and not module.startswith(_MASKS):
            for name, value in list(frame.f_locals.items()):
                if any(map(_shows_a_secret, _texts_of(value))):
                    yield f"{name} in {module}.{frame.f_code.co_name}"
        trace = trace.tb_next


def _texts_of(value: object) -> Iterator[str]:
    # The fields of an object of ours are for us to hide; of others, what they show of themselves.
    is_ours = type(value).__module__.startswith(_OURS)
    for show in (repr, lambda item: repr(vars(item)) if is_ours else ""):
        try:
            yield show(value)
        except Exception:  # noqa: BLE001 - any object's __repr__ may raise anything
            continue


def _shows_a_secret(text: str) -> bool:
    return exact_values.mask(text, _MASK) != text
