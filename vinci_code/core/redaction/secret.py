"""Objects with a secret in them: shown as a mask, never pickled."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NoReturn

from pydantic import SecretStr

if TYPE_CHECKING:
    from typing_extensions import Self


class HoldsSecret:
    """A base for what holds a secret: it cannot be pickled, and a copy of it is itself.

    A pickle would hold the secret in plain text, and so would every cache, queue and child process
    that it goes to.
    """

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        """Refuse to be pickled.

        Raises:
            TypeError: Always.
        """
        raise TypeError(
            f"{type(self).__name__} cannot be pickled, because the pickle would hold a secret in "
            "plain text; let the other process read its own settings from the environment instead"
        )

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: dict[int, object]) -> Self:
        return self


class Secret(HoldsSecret, SecretStr):
    """A string that shows itself as a mask, and that cannot be pickled.

    `pydantic.SecretStr` hides its value in ``str``, ``repr`` and JSON, but neither in a pickle nor
    in its ``__dict__``, which reporters of errors walk through. Here a function keeps it.
    """

    def __init__(self, secret_value: str) -> None:
        self._reveal: Callable[[], str] = lambda: secret_value

    @property
    def _secret_value(self) -> str:  # type: ignore[override]
        # Where SecretStr keeps it, and whatever is asked of a SecretStr looks for it.
        return self._reveal()
