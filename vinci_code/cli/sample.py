"""The sample data that ``vinci demo`` imports."""

from __future__ import annotations

from pathlib import Path

_NAME = "earthquakes.jsonl"


def sample_file() -> Path:
    """Find the sample: inside the package where it was installed, in ``examples/`` in a checkout.

    There is one copy of it; the build puts it into the wheel (``force-include`` in
    ``pyproject.toml``).

    Raises:
        FileNotFoundError: It is in neither place.
    """
    package = Path(__file__).parent
    places = (package / "data" / _NAME, package.parents[1] / "examples" / _NAME)
    for path in places:
        if path.is_file():
            return path
    raise FileNotFoundError(
        2, "The sample is in neither place it belongs to; install vinci-code again", _NAME
    )
