"""Reads the two lists of tests that are not expected to pass."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable

from tests.compliance.suite._not_yet import NOT_YET
from tests.compliance.suite._unsupported import UNSUPPORTED

_LISTED = {
    pattern: f"{kind}: {reason}"
    for kind, table in (("unsupported", UNSUPPORTED), ("not yet", NOT_YET))
    for reason, patterns in table.items()
    for pattern in patterns
}


def reason(name: str) -> str | None:
    """Why this test is expected to fail; ``None`` if it has to pass."""
    exact = _LISTED.get(name)
    if exact is not None:
        return exact
    return next((why for pattern, why in _LISTED.items() if _matches(name, pattern)), None)


def unknown(names: Iterable[str]) -> set[str]:
    """The entries that fit no test: the suite has changed, or the entry is misspelt."""
    known = list(names)
    return {pattern for pattern in _LISTED if not any(_matches(name, pattern) for name in known)}


def _matches(name: str, pattern: str) -> bool:
    """``*`` stands for anything; brackets are taken as they are."""
    return fnmatch.fnmatchcase(name, pattern.replace("[", "[[]"))
