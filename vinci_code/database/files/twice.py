"""Objects of JSON, of which each name stands once: of one that stands twice, a value is lost."""

from __future__ import annotations

from typing import Any


class TwiceError(ValueError):
    """An object with one name twice, of which one value would be lost.

    Attributes:
        name: The name.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__("an object of it has one name twice")


def names_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """The object of pairs, for ``object_pairs_hook``.

    Raises:
        TwiceError: One name stands twice.
    """
    made = dict(pairs)
    if len(made) < len(pairs):
        names = [name for name, _ in pairs]
        raise TwiceError(next(name for name in names if names.count(name) > 1))
    return made
