"""The drawing at the top of ``core/errors.py`` has every error, each where it belongs."""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator
from pathlib import Path

import vinci_code
from vinci_code.core import errors

PACKAGE = Path(vinci_code.__file__).parent
# Raised and caught among the modules of one room.
WITHIN = frozenset({"DeadlinePassed"})
# Indented by four characters a level, behind the four of the drawing itself.
LINE = re.compile(r"^    (?P<branches>(?:│   |    |├── |└── )*)(?P<name>[A-Z]\w+)(?: |$)")


def test_the_drawing_is_the_tree() -> None:
    import_all()
    assert dict(drawn(errors.__doc__ or "")) == dict(edges(errors.VinciError))


def test_a_drawing_is_read() -> None:
    text = "    Base  all\n    ├── One  of it\n    │   └── Below\n    └── Two  more\n\nWords.\n"
    assert dict(drawn(text)) == {"Base": None, "One": "Base", "Below": "One", "Two": "Base"}


def drawn(text: str) -> Iterator[tuple[str, str | None]]:
    """Each name of the first drawing in a text, with the one that it hangs on."""
    above: list[str] = []
    for line in text.splitlines():
        found = LINE.match(line)
        if found is None and above:
            return
        if found is not None:
            del above[len(found["branches"]) // 4 :]
            yield found["name"], above[-1] if above else None
            above.append(found["name"])


def edges(base: type[BaseException]) -> Iterator[tuple[str, str | None]]:
    """Each class below one, that is not private, with its base."""
    yield base.__name__, None
    waiting = [base]
    while waiting:
        parent = waiting.pop()
        for child in parent.__subclasses__():
            if child.__module__.startswith("vinci_code.") and not is_private(child):
                yield child.__name__, parent.__name__
                waiting.append(child)


def is_private(child: type) -> bool:
    """Whether no application is to know it."""
    return child.__name__.startswith("_") or child.__name__ in WITHIN


def import_all() -> None:
    for path in PACKAGE.rglob("*.py"):
        parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
        if path.name not in ("env.py", "__main__.py") and "versions" not in parts:
            importlib.import_module(".".join(parts).removesuffix(".__init__"))
