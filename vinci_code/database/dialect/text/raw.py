"""Texts of the application's own that write: each is announced to who keeps note of writes."""

from __future__ import annotations

from collections.abc import Callable

_listeners: list[Callable[[], object]] = []


def when_written(call: Callable[[], object]) -> None:
    """Have something called before each text that may write is run; nobody knows what it writes."""
    _listeners.append(call)


def about_to_write() -> None:
    """Tell those that listen."""
    for call in _listeners:
        call()
