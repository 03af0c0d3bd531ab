"""Read the environment and the ``.env`` file, and remember where each value came from."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from dotenv.parser import parse_stream

from vinci_code.core.errors import ConfigurationProblem
from vinci_code.core.files import warn_if_exposed


@dataclass(frozen=True)
class Variable:
    """The environment variable of a setting, marked on its field with ``Annotated``.

    Attributes:
        name: The name that the documentation uses.
        alias: A second name that is read too, because other Databricks tools use it.
        secret: Whether the value is a secret, from the moment it is read.
    """

    name: str
    alias: str | None = None
    secret: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        """Every name that is read, the documented one first."""
        return (self.name,) if self.alias is None else (self.name, self.alias)


@dataclass(frozen=True)
class Reading:
    """One raw value and the place where it stood."""

    value: str
    variable: str
    place: str

    @property
    def source(self) -> str:
        """Name and place as they are shown to people: ``DATABRICKS_HOST (.env line 3)``."""
        return f"{self.variable} ({self.place})"

    def __repr__(self) -> str:
        # The value may be a secret, and a reading may end up in a traceback that shows locals.
        return f"Reading({self.source})"


@dataclass(frozen=True)
class Misspelling:
    """A name that letter case or hyphens alone keep from being one that is read.

    Attributes:
        source: Name and place as they are shown to people.
        right: The name that is read.
    """

    source: str
    right: str


@dataclass(frozen=True)
class EnvFile:
    """The values of a ``.env`` file, by name, and what could not be read of it.

    A name has several readings where several lines set it.
    """

    readings: Mapping[str, Sequence[Reading]]
    problems: tuple[ConfigurationProblem, ...] = ()


def read_env_file(path: Path) -> EnvFile:
    """Read a ``.env`` file; one that does not exist holds nothing.

    References such as ``${TOKEN}`` are not expanded: what they name is not what the file says, and
    a value that was never filled in is to be recognised as such.
    """
    # A folder called .env is a virtual environment, not a mistake.
    if not path.is_file():
        return EnvFile({})
    try:
        with path.open(encoding="utf-8-sig") as stream:
            bindings = list(parse_stream(stream))
    except (OSError, UnicodeDecodeError) as error:
        return EnvFile({}, (_unreadable(path, error),))
    readings: dict[str, list[Reading]] = {}
    problems: list[ConfigurationProblem] = []
    for binding in bindings:
        place = f"{path.name} line {binding.original.line}"
        if binding.error:
            problems.append(_unparsable(place))
        elif binding.key is not None and binding.value is not None:
            reading = Reading(binding.value, binding.key, place)
            readings.setdefault(binding.key, []).append(reading)
    return EnvFile(readings, tuple(problems))


def readings_of(variable: Variable, env_file: EnvFile) -> list[Reading]:
    """Every value that is set for ``variable``; the environment hides the file, name by name.

    A variable that is set to nothing but spaces counts as not set: that is how a line of
    ``.env.example`` looks before it is filled in.
    """
    found: list[Reading] = []
    for name in variable.names:
        value = os.environ.get(name)
        if value is not None:
            found.append(Reading(value, name, "environment"))
        else:
            found += env_file.readings.get(name, ())
    return [reading for reading in found if reading.value.strip()]


def misspellings_of(
    variables: Iterable[Variable], env_file: EnvFile
) -> Iterator[tuple[Variable, Misspelling]]:
    """Find names such as ``use_databricks``, which other libraries read and this one does not.

    On Windows ``os.environ`` has every name in capital letters, since the system ignores their
    case: there, ``use_databricks`` is right in the environment, and wrong in the file alone.
    """
    by_name = {name: variable for variable in variables for name in variable.names}
    in_file = [reading for readings in env_file.readings.values() for reading in readings]
    environment = [Reading(value, name, "environment") for name, value in os.environ.items()]
    for reading in (*environment, *in_file):
        right = reading.variable.upper().replace("-", "_")
        if right in by_name and reading.variable not in by_name and reading.value.strip():
            yield by_name[right], Misspelling(reading.source, right)


def warn_if_exposed_to_others(path: Path, secrets: list[Reading]) -> None:
    """Warn where other users of the machine can read the secrets of the file, or can change it."""
    held = [reading.variable for reading in secrets if reading.place != "environment"]
    if path.is_file():  # a folder called .env is none
        warn_if_exposed(path, ", ".join(sorted(held)))


def _unreadable(path: Path, error: OSError | UnicodeDecodeError) -> ConfigurationProblem:
    found = "bytes that are not UTF-8" if isinstance(error, UnicodeDecodeError) else error.strerror
    return ConfigurationProblem(
        variable=path.name,
        found=f"a file that cannot be read ({found})",
        accepted="a readable text file in UTF-8 with lines NAME=value, or no such file",
        fix=f"save {path.name} as UTF-8 and make it readable for you: chmod 600 {path.name}",
    )


def _unparsable(place: str) -> ConfigurationProblem:
    return ConfigurationProblem(
        variable=place,
        found="a line that is not NAME=value (not repeated here, since it may hold a secret)",
        accepted="NAME=value, a comment that starts with #, or an empty line",
        fix="check the quotes on that line, and that the name has no spaces in it",
    )
